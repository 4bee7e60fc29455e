package cluster

import (
	"bytes"
	"compress/flate"
	"encoding/hex"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/transport/limits"
)

func units(indexes ...int) (r ResourceIndexes) {
	for _, index := range indexes {
		r.Add(index)
	}
	return r
}

var metadataExample = Metadata{
	URL:    "http://a:8083",
	Offset: 258,
	Owned: []ResourceSet{{Connector: 0x0102030405060708, Version: 300, Resources: units(0, 1, 3)},
		{Connector: 0x0102030405060709, Resources: units(0)}},
	Generation: 7,
	Leaving:    true,
	Name:       "a-0",
	Plugins:    []plugin.Offer{{Name: "odata-source", Version: "1.2.0", Hash: "9f86d081"}},
	Digest:     "e3b0",
	Classes:    []Key{0x2122232425262728},
	Topic:      "configs",
	IsBehind:   true,
}

var assignmentExample = Assignment{
	Leader:            "m-1",
	LeaderURL:         "http://a:8083",
	Offset:            258,
	Delay:             3 * time.Second,
	RejoinAfterRevoke: true,
	Target:            []ResourceSet{{Connector: 0x0102030405060708, Version: 300, Resources: units(0, 9)}},
	Origins:           map[Key]limits.Division{0x1112131415161718: {Workers: 2, Requests: 4, PerSecond: 0.5}},
	LastMember:        true,
}

// Java's part comes first, and all of our data follows it. What is read equals what was written.
func TestMemberEncoding(t *testing.T) {
	t.Parallel()
	java := "0002000d" + hex.EncodeToString([]byte("http://a:8083")) + "0000000000000102"
	b, err := metadataExample.Encode()
	require.NoError(t, err)
	text, err := io.ReadAll(flate.NewReader(bytes.NewReader(b[len(java)/2+5:])))
	require.NoError(t, err)
	assert.Equal(t, java+"ffffffffc2", hex.EncodeToString(b[:len(java)/2+5]))
	assert.Equal(t, `{"Holds":[{"c":72623859790382856,"v":300,"u":"Cw=="},{"c":72623859790382857,"u":"AQ=="}],`+
		`"Generation":7,"Leaving":true,"Name":"a-0",`+
		`"Plugins":[{"Name":"odata-source","Version":"1.2.0","Hash":"9f86d081","Left":false}],`+
		`"Digest":"e3b0","Classes":[2387509390608836392],"Topic":"configs","Lags":true}`+"\n", string(text))
	m, err := DecodeMetadata(b)
	require.NoError(t, err)
	assert.Equal(t, metadataExample, m)
	b, err = assignmentExample.Encode()
	require.NoError(t, err)
	a, err := DecodeAssignment(b)
	require.NoError(t, err)
	assert.Equal(t, assignmentExample, a)
	java = "0002000000036d2d31" + java[4:] + "000000000000000000000bb8c2"
	text, err = io.ReadAll(flate.NewReader(bytes.NewReader(b[len(java)/2:])))
	require.NoError(t, err)
	assert.Equal(t, java, hex.EncodeToString(b[:len(java)/2]))
	assert.Equal(t, `{"Again":true,"Target":[{"c":72623859790382856,"v":300,"u":"AQI="}],`+
		`"Origins":{"1230066625199609624":{"w":2,"r":4,"p":0.5}},"Alone":true}`+"\n", string(text))
	assert.Equal(t, Key(0xba7816bf8f01cfea), KeyOf("abc"), "FIPS 180-2, the first example")
}

// metadataWith returns Java's part of a member's metadata with other JSON.
func metadataWith(t testing.TB, text string) []byte {
	java := kmsg.ConnectMemberMetadata{Version: javaVersion, URL: "http://a:8083", ConfigOffset: 258}
	b, err := encode(&java, json.RawMessage(text), nil)
	require.NoError(t, err)
	return b
}

// Additions of a later version are ignored.
func TestAdditionsOfLaterVersionAreIgnored(t *testing.T) {
	t.Parallel()
	m, err := DecodeMetadata(metadataWith(t, `{"Name":"a","New":{"x":[1]},"Holds":[{"c":1,"u":"AQ==","new":2}]}`))
	require.NoError(t, err)
	assert.Equal(t, Metadata{URL: "http://a:8083", Offset: 258, Name: "a", Owned: []ResourceSet{{1, 0, units(0)}}}, m)
}

// Metadata of Java's workers, truncated metadata and values out of bounds are rejected. The error states what was
// expected.
func TestInvalidMemberBytesAreRejected(t *testing.T) {
	t.Parallel()
	valid, err := metadataExample.Encode()
	require.NoError(t, err)
	// The layout is that of a Kafka Connect 4.3.1 worker with connector c and its task 0.
	assignment := "0002000000016d000175000000000000000500000001000163" + "00000002ffffffff000000000000000000000000"
	java := unhex(t, "000200017500000000000000050000002d"+assignment)
	otherFormat := slices.Clone(valid)
	otherFormat[29] = 0xC1
	ours := "expected version 2 of Kafka Connect's protocol and a section 0xc2 of Culvert's, found "
	for _, test := range []struct {
		name  string
		bytes []byte
		want  string
	}{
		{"nothing", nil, "not contain enough data"},
		{"Java's", java, ours + "000200017500"},
		{"Java's without an assignment", valid[:29], ours + "0002000d"},
		{"version 1", append([]byte{0, 1}, valid[2:]...), ours + "0001000d"},
		{"URL of a negative length", []byte{0, 2, 0xff, 0xff}, "not contain enough data"},
		{"a format that is not ours", otherFormat, ours + "0002000d"},
		{"cut", valid[:len(valid)/2], "unexpected EOF"},
		{"no JSON", append(slices.Clone(valid[:30]), 0xff), "flate: corrupt input"},
		{"generation", metadataWith(t, `{"Generation":2147483648}`), "cannot unmarshal number 2147483648"},
		{"units", metadataWith(t, `{"Holds":[{"c":1,"u":"`+strings.Repeat("////", maxTask/24+2)+`"}]}`),
			"expected at most 100000 tasks of a connector, found 100032"},
		{"long name", metadataWith(t, `{"Name":"`+strings.Repeat("x", 1001)+`"}`),
			"expected a text of at most 1000 bytes, found 1001"},
		{"long version", metadataWith(t, `{"Plugins":[{"Version":"`+strings.Repeat("x", 1001)+`"}]}`), "found 1001"},
		{"too much", metadataWith(t, `{"Name":"`+strings.Repeat("x", maxSection)+`"}`), "unexpected EOF"},
	} {
		_, err := DecodeMetadata(test.bytes)
		assert.Error(t, err, "metadata of a member: ", test.name)
		assert.Error(t, err, test.want, test.name)
	}

	_, err = DecodeAssignment(unhex(t, assignment))
	assert.Error(t, err, "assignment: "+ours)

	long := strings.Repeat("x", 40_000)
	for _, test := range []struct {
		m    Metadata
		want string
	}{
		{Metadata{URL: long}, "expected a text of at most 1000 bytes, found 40000"},
		{Metadata{Name: long}, "expected a text of at most 1000 bytes, found 40000"},
		{Metadata{Owned: []ResourceSet{{1, 2, units(maxTask + 8)}}}, "expected at most 100000 tasks of a connector"},
	} {
		_, err := test.m.Encode()
		assert.Error(t, err, test.want)
	}
	m := Metadata{Owned: []ResourceSet{{1, 2, units(maxTask)}}}
	b, err := m.Encode()
	require.NoError(t, err)
	_, err = DecodeMetadata(b)
	assert.NoError(t, err)
}

func unhex(t *testing.T, text string) []byte {
	b, err := hex.DecodeString(text)
	require.NoError(t, err)
	return b
}

func FuzzMetadata(f *testing.F) {
	b, _ := metadataExample.Encode()
	fuzzRoundTrip(f, b, DecodeMetadata, Metadata.Encode)
}

func FuzzAssignment(f *testing.F) {
	b, _ := assignmentExample.Encode()
	fuzzRoundTrip(f, b, DecodeAssignment, Assignment.Encode)
}

// fuzzRoundTrip checks that a decoded value survives another round of encoding and decoding.
func fuzzRoundTrip[T any](f *testing.F, example []byte, decode func([]byte) (T, error),
	encode func(T) ([]byte, error)) {
	f.Add(example)
	f.Fuzz(func(t *testing.T, b []byte) {
		value, err := decode(b)
		if err != nil {
			return
		}
		encoded, err := encode(value)
		require.NoError(t, err)
		got, err := decode(encoded)
		require.NoError(t, err)
		assert.Equal(t, value, got)
	})
}
