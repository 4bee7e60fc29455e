package cluster

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/host/internal/base/assert"
	"github.com/culvert-project/culvert/host/internal/base/require"
)

func units(list ...int) (b Bits) {
	for _, u := range list {
		b.Add(u)
	}
	return b
}

var metadataExample = Metadata{
	URL:    "http://a:8083",
	Offset: 258,
	Holds: []Held{{Connector: 0x0102030405060708, Version: 300, Units: units(0, 1, 3)},
		{Connector: 0x0102030405060709, Units: units(0)}},
	Shares:     []Share{{Origin: 0x1112131415161718, Requests: 2, PerSecondMilli: 500}},
	Generation: 7,
	Leaving:    true,
	Name:       "a-0",
	Plugins:    []PluginOffer{{Name: "odata-source", Version: "1.2.0", Hash: "9f86d081"}},
	Digest:     "e3b0",
	Classes:    []Key{0x2122232425262728},
	Proven:     []string{"9f86d081"},
	Left:       []string{"aa"},
}

var assignmentExample = Assignment{
	Leader:    "m-1",
	LeaderURL: "http://a:8083",
	Offset:    258,
	Delay:     3 * time.Second,
	Again:     true,
	Target:    []Held{{Connector: 0x0102030405060708, Version: 300, Units: units(0, 9)}},
	Shares:    []Share{{Origin: 0x1112131415161718, Requests: 1}},
	Alone:     true,
}

// The bytes are those that earlier versions wrote.
func TestBytesOfMembers(t *testing.T) {
	t.Parallel()
	java := "0002" + "000d" + hex.EncodeToString([]byte("http://a:8083")) + "0000000000000102"
	b, err := metadataExample.Encode()
	require.NoError(t, err)
	before := java + "ffffffff" + "c1" + "01" + "07" + "03" + "612d30" + "04" + "65336230" +
		"02" + "0102030405060708" + "ac02" + "01" + "0b" + "0102030405060709" + "00" + "01" + "01" +
		"01" + "1112131415161718" + "02" + "f403" +
		"01" + "0c" + hex.EncodeToString([]byte("odata-source")) + "05" + hex.EncodeToString([]byte("1.2.0")) +
		"08" + hex.EncodeToString([]byte("9f86d081")) +
		"01" + "2122232425262728"
	assert.Equal(t, before+"01"+"08"+hex.EncodeToString([]byte("9f86d081"))+"01"+"02"+"6161", hex.EncodeToString(b))
	b, err = hex.DecodeString(before) // what the first version wrote
	require.NoError(t, err)
	first, err := DecodeMetadata(b)
	require.NoError(t, err)
	want := metadataExample
	want.Proven, want.Left = nil, nil
	assert.Equal(t, want, first)
	b, err = assignmentExample.Encode()
	require.NoError(t, err)
	assert.Equal(t, "0002"+"0000"+"0003"+"6d2d31"+java[4:]+"00000000"+"00000000"+"00000bb8"+"c1"+"01"+
		"01"+"0102030405060708"+"ac02"+"02"+"0102"+"01"+"1112131415161718"+"01"+"00"+"01", hex.EncodeToString(b))
	assert.Equal(t, Key(0xba7816bf8f01cfea), KeyOf("abc"), "FIPS 180-2, the first example")
}

// What is read is what was written; fields that a later version adds at the end are ignored.
func TestMembersBytesComeBack(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		m := Metadata{URL: text(r), Offset: r.Int64(), Holds: randomHeld(r), Shares: randomShares(r),
			Generation: r.Int32(), Leaving: r.IntN(2) == 0, Name: text(r), Digest: text(r)}
		for range r.IntN(3) {
			m.Plugins = append(m.Plugins, PluginOffer{text(r), text(r), text(r)})
		}
		for range r.IntN(3) {
			m.Classes = append(m.Classes, Key(r.Uint64()))
			m.Proven = append(m.Proven, text(r))
			m.Left = append(m.Left, text(r))
		}
		b, err := m.Encode()
		require.NoError(t, err)
		got, err := DecodeMetadata(append(b, text(r)...))
		require.NoError(t, err)
		assert.Equal(t, m, got)

		a := Assignment{Leader: text(r), LeaderURL: text(r), Offset: r.Int64(), Again: r.IntN(2) == 0,
			Delay: time.Duration(r.Int32()) * time.Millisecond, Target: randomHeld(r), Shares: randomShares(r),
			Alone: r.IntN(2) == 0}
		b, err = a.Encode()
		require.NoError(t, err)
		gotA, err := DecodeAssignment(append(b, text(r)...))
		require.NoError(t, err)
		assert.Equal(t, a, gotA)
	}
}

func text(r *rand.Rand) string { return strings.Repeat("ü", r.IntN(9)) }

func randomHeld(r *rand.Rand) (list []Held) {
	for range r.IntN(5) {
		h := Held{Connector: Key(r.Uint64()), Version: 1 + r.Int64N(1<<40)}
		for range 1 + r.IntN(4) {
			h.Units.Add(r.IntN(1 << r.IntN(12)))
		}
		list = append(list, h)
	}
	slices.SortFunc(list, compareHeld)
	return list
}

func randomShares(r *rand.Rand) (list []Share) {
	for range r.IntN(3) {
		list = append(list, Share{Key(r.Uint64()), r.Int32(), r.Int32()})
	}
	return list
}

// Tools that decode metadata of Kafka Connect's groups find what they look for.
func TestMetadataAsToolsReadThem(t *testing.T) {
	t.Parallel()
	b, err := metadataExample.Encode()
	require.NoError(t, err)
	var m kmsg.ConnectMemberMetadata
	require.NoError(t, m.ReadFrom(b))
	assert.Equal(t, "http://a:8083", m.URL)
	assert.Equal(t, int64(258), m.ConfigOffset)
	assert.Equal(t, 0, len(m.CurrentAssignment))

	b, err = assignmentExample.Encode()
	require.NoError(t, err)
	var a kmsg.ConnectMemberAssignment
	require.NoError(t, a.ReadFrom(b))
	assert.Equal(t, "m-1 http://a:8083 258 0", fmt.Sprintf("%s %s %d %d", a.Leader, a.LeaderURL, a.ConfigOffset,
		len(a.Assignment)))
}

// What Java's workers write, what is cut, and what is out of bounds is refused, with what was expected and where.
func TestBoundsOfMembersBytes(t *testing.T) {
	t.Parallel()
	good, err := metadataExample.Encode()
	require.NoError(t, err)
	section := bytes.IndexByte(good, sectionFormat)
	with := func(at int, b ...byte) []byte { return append(slices.Clone(good[:at]), b...) }
	// As a worker of Kafka Connect 4.3.1 lays it out: it holds connector c itself and its task 0.
	held := "0002" + "0000" + "0001" + "6d" + "0001" + "75" + "0000000000000005" + "00000001" + "0001" + "63" +
		"00000002" + "ffffffff" + "00000000" + "00000000" + "00000000"
	java := unhex(t, "0002"+"0001"+"75"+"0000000000000005"+"0000002d"+held)
	for _, test := range []struct {
		name  string
		bytes []byte
		want  string
	}{
		{"nothing", nil, "expected 2 more bytes, found 0 at byte 0 of 0"},
		{"Java's", java, "expected no assignment of Kafka Connect's (-1), found 45 at byte 13 of 62"},
		{"Java's without an assignment", good[:section], "expected 1 more bytes, found 0 at byte 29 of 29"},
		{"version 1", append([]byte{0, 1}, good[2:]...),
			"expected version 2 of Kafka Connect's protocol, found 1 at byte 0"},
		{"URL of a negative length", []byte{0, 2, 0xff, 0xff},
			"expected a number of 0 to 32767, found 65535 at byte 2"},
		{"a format that is not ours", with(section, 0xC2), "expected the section of Culvert, found 194 at byte 29"},
		{"generation", with(section+2, 0xff, 0xff, 0xff, 0xff, 0xff, 0),
			"expected a number of 0 to 2147483647, found 34359738367 at byte 31"},
		{"no end of a number", with(section+2, 0xff), "expected a number of variable length, found none at byte 31"},
		{"long name", with(section+3, 0xe9, 0x07), "expected a number of 0 to 1000, found 1001 at byte 32"},
		{"connectors that are not there", with(section+12, 0xff, 0xff, 3, 1),
			"expected at most 0 elements in 1 bytes, found 65535 at byte 41"},
		{"units that are not there", append(append(with(section+12, 1), good[section+13:section+23]...), 0x80, 0x60),
			"expected 12288 more bytes, found 0 at byte 54"},
	} {
		_, err := DecodeMetadata(test.bytes)
		assert.Error(t, err, "metadata of a member: ", test.name)
		assert.Error(t, err, test.want, test.name)
	}

	_, err = DecodeAssignment(unhex(t, held))
	assert.Error(t, err,
		"assignment: expected an empty list of Kafka Connect's assigned connectors (0), found 1 at byte 18")
	_, err = DecodeAssignment(append([]byte{0, 2, 0, 1}, unhex(t, held)[4:]...))
	assert.Error(t, err, "assignment: expected no error (0), found 1 at byte 2")

	long := strings.Repeat("x", 40_000)
	for _, test := range []struct {
		m    Metadata
		want string
	}{
		{Metadata{URL: long}, "expected a number of 0 to 32767, found 40000"},
		{Metadata{Name: long}, "expected a number of 0 to 1000, found 40000"},
		{Metadata{Generation: -1}, "expected a number of 0 to 2147483647, found -1"},
		{Metadata{Holds: []Held{{1, 2, units(maxTask + 8)}}}, "expected a number of 0 to 12501, found 12502"},
	} {
		_, err := test.m.Encode()
		assert.Error(t, err, test.want)
	}
	m := Metadata{Holds: []Held{{1, 2, units(maxTask)}}}
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

// What is announced is not allocated: 4 GB of connectors in a list of which nothing follows.
func TestHostileBytesAllocateNothing(t *testing.T) {
	good, err := metadataExample.Encode()
	require.NoError(t, err)
	b := binary.AppendUvarint(slices.Clone(good[:bytes.IndexByte(good, sectionFormat)+12]), 1<<32-1)
	allocated := testing.AllocsPerRun(10, func() { DecodeMetadata(b) })
	if allocated > 20 {
		t.Errorf("expected few allocations, found %v", allocated)
	}
	b = append(b, make([]byte, 100_000)...)
	if _, err := DecodeMetadata(b); err == nil || !strings.Contains(err.Error(), "expected at most 10000 elements") {
		t.Errorf("expected an error, found %v", err)
	}
}

func FuzzMetadata(f *testing.F) {
	b, _ := metadataExample.Encode()
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := DecodeMetadata(b)
		if err != nil {
			return
		}
		again, err := m.Encode()
		require.NoError(t, err)
		got, err := DecodeMetadata(again)
		require.NoError(t, err)
		assert.Equal(t, m, got)
	})
}

func FuzzAssignment(f *testing.F) {
	b, _ := assignmentExample.Encode()
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := DecodeAssignment(b)
		if err != nil {
			return
		}
		again, err := a.Encode()
		require.NoError(t, err)
		got, err := DecodeAssignment(again)
		require.NoError(t, err)
		assert.Equal(t, a, got)
	})
}
