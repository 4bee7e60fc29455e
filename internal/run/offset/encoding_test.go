package offset

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/java"
	"github.com/culvert-project/culvert/internal/run/runtest"
	"github.com/culvert-project/culvert/wit"
)

func realField(name string, x float64) wit.OffsetEntry {
	return wit.OffsetEntry{Name: name, Value: wit.Scalar{Real: &x}}
}

// Offsets that Java wrote are read and written byte for byte.
func TestJavaOffsetsAreUnchanged(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "connect-worker.txt"))
	require.NoError(t, err)
	lineCounts := map[string]int{}
	for _, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		kind, bytes, hasTab := strings.Cut(line, "\t")
		if !hasTab {
			continue // a comment
		}
		lineCounts[kind]++
		var written []byte
		switch kind {
		case "key":
			connector, partition, err := ParseKey([]byte(bytes))
			assert.NoError(t, err, bytes)
			written = appendKey(nil, connector, partition)
		case "value":
			fields, err := ParseJSON([]byte(bytes))
			assert.NoError(t, err, bytes)
			written = AppendJSON(nil, fields)
		}
		assert.Equal(t, bytes, string(written), "offsets that Java wrote")
	}
	assert.Equal(t, 5, lineCounts["key"], "keys")
	assert.Equal(t, 10, lineCounts["value"], "values")
}

// Offsets.java writes the same values.
func TestAppendJSON(t *testing.T) {
	cases := []struct {
		want   string
		fields []wit.OffsetEntry
	}{
		{
			want: `{"url":"https://host:443/x?$skiptoken=1%20a&b","record":12,"next":null,"done":false}`,
			fields: []wit.OffsetEntry{
				wit.StringEntry("url", "https://host:443/x?$skiptoken=1%20a&b"),
				wit.IntegerEntry("record", 12),
				wit.NullEntry("next"),
				wit.BooleanEntry("done", false),
			},
		},
		{
			want: `{"text":"\u0000\u0001\b\t\n\u000B\f\r\u001F` + "\x7f\u0080\u2028\u2029\ufeff" + `\"\\/'"}`,
			fields: []wit.OffsetEntry{
				wit.StringEntry("text", "\x00\x01\b\t\n\v\f\r\x1f\x7f\u0080\u2028\u2029\ufeff\"\\/'"),
			},
		},
		{
			want: `{"emoji":"\uD83D\uDE00 \uD800\uDC00 \uDBFF\uDFFF","\uD83D\uDE00":"k","größe":"中文"}`,
			fields: []wit.OffsetEntry{
				wit.StringEntry("emoji", "😀 \U00010000 \U0010ffff"),
				wit.StringEntry("😀", "k"),
				wit.StringEntry("größe", "中文"),
			},
		},
		{
			want: `{"max":9223372036854775807,"min":-9223372036854775808}`,
			fields: []wit.OffsetEntry{
				wit.IntegerEntry("max", math.MaxInt64),
				wit.IntegerEntry("min", math.MinInt64),
			},
		},
		{
			want: `{"d0":0.0,"d-0":-0.0,"one":1.0,"tenth":0.1,"d3":0.001,"below":9.999E-4,"seven":9999999.0,` +
				`"e7":1.0E7,"big":1.7976931348623157E308,"tiny":4.9E-324,"third":0.3333333333333333,"e21":1.0E21,` +
				`"e16":1.2345678901234568E16,"neg":-1.23456E-8,"hundred":100.0}`,
			fields: []wit.OffsetEntry{
				realField("d0", 0),
				realField("d-0", math.Copysign(0, -1)),
				realField("one", 1),
				realField("tenth", 0.1),
				realField("d3", 1e-3),
				realField("below", 9.999e-4),
				realField("seven", 9999999),
				realField("e7", 1e7),
				realField("big", math.MaxFloat64),
				realField("tiny", math.SmallestNonzeroFloat64),
				realField("third", 1.0/3),
				realField("e21", 1e21),
				realField("e16", 1.2345678901234567e16),
				realField("neg", -123.456e-10),
				realField("hundred", 100),
			},
		},
		{
			want: `{"nan":"NaN","inf":"Infinity","-inf":"-Infinity"}`,
			fields: []wit.OffsetEntry{
				realField("nan", math.NaN()),
				realField("inf", math.Inf(1)),
				realField("-inf", math.Inf(-1)),
			},
		},
		{want: `{}`},
	}
	for _, c := range cases {
		got := string(AppendJSON(nil, c.fields))
		assert.True(t, got == c.want, "wrote    %s\nexpected %s", got, c.want)
	}
	assert.Equal(t, `x["a\"b",{"p":1}]`, string(appendKey([]byte("x"), `a"b`,
		[]wit.OffsetEntry{wit.IntegerEntry("p", 1)})), "key")
}

// Of duplicate names the last value counts, and numbers keep their type.
func TestParseJSON(t *testing.T) {
	got, err := ParseJSON([]byte(" { \"a\" : 1e2 , \"b\":\"\\u00e4\\/\", \"a\":-0 } "))
	want := []wit.OffsetEntry{wit.IntegerEntry("a", 0), wit.StringEntry("b", "ä/")}
	diff := cmp.Diff(want, got)
	assert.True(t, diff == "" && err == nil, "expected no error, found %v (-want +got):\n%s", err, diff)
	got, err = ParseJSON([]byte(" null "))
	assert.True(t, got == nil && err == nil, "null: expected nil, found %v, %v", got, err)
	got, err = ParseJSON([]byte("{}"))
	assert.True(t, got != nil && err == nil, "expected an empty offset, found %v, %v", got, err)
	for text, expect := range map[string]string{
		``:                             "not JSON",
		`{"a":1`:                       "not JSON",
		`{"a":}`:                       "not JSON",
		`[1]`:                          "expected {",
		`{"a":{}}`:                     `"a": expected null, a boolean, a number or a text`,
		`{"a":[1]}`:                    `"a"`,
		`{"a":1} {}`:                   "expected the end",
		`{"a":9223372036854775808}`:    "64 bits",
		`{"a":1e999}`:                  "64 bits",
		`{"a":1}x`:                     "expected the end: not JSON: invalid character 'x'",
		`{"a":1} null`:                 "expected the end, found null",
		`{"a":1} "x`:                   "expected the end: not JSON: unexpected EOF",
		`"{}"`:                         "expected {",
		`{"schema":null,"payload":{}}`: `"payload"`,
	} {
		_, err := ParseJSON([]byte(text))
		assert.Error(t, err, expect, text)
	}
}

// Keys in any other form are rejected.
func TestParseKeyRejects(t *testing.T) {
	for _, text := range []string{``, `"a"`, `["a"]`, `["a",1]`, `[1,{}]`, `["a",{},1]`, `["a",{}`, `["a",{}]]`,
		`{"a":{}}`, `["a",null]`, `["a",[]]`} {
		c, p, err := ParseKey([]byte(text))
		assert.True(t, err != nil, "%s: expected an error, found the connector %q and the partition %v", text, c, p)
	}
}

// Partitions are the same in any order of fields, and for equal numbers of different types.
func TestIdentity(t *testing.T) {
	service := wit.StringEntry("service", "/a")
	entitySet := wit.StringEntry("entityset", "B")
	cases := []struct {
		a    []wit.OffsetEntry
		b    []wit.OffsetEntry
		same bool
	}{
		{a: []wit.OffsetEntry{service, entitySet}, b: []wit.OffsetEntry{entitySet, service}, same: true},
		{a: []wit.OffsetEntry{service}, b: []wit.OffsetEntry{service, entitySet}},
		{a: []wit.OffsetEntry{wit.IntegerEntry("p", 1)}, b: []wit.OffsetEntry{realField("p", 1)}, same: true},
		{
			a: []wit.OffsetEntry{wit.IntegerEntry("p", 0)}, b: []wit.OffsetEntry{realField("p", math.Copysign(0, -1))},
			same: true,
		},
		{a: []wit.OffsetEntry{wit.IntegerEntry("p", 1)}, b: []wit.OffsetEntry{realField("p", 1.5)}},
		{a: []wit.OffsetEntry{wit.IntegerEntry("p", 1)}, b: []wit.OffsetEntry{wit.StringEntry("p", "1")}},
		{a: []wit.OffsetEntry{wit.IntegerEntry("p", 1)}, b: []wit.OffsetEntry{wit.BooleanEntry("p", true)}},
		{a: []wit.OffsetEntry{wit.NullEntry("p")}, b: []wit.OffsetEntry{wit.StringEntry("p", "null")}},
		{a: []wit.OffsetEntry{wit.NullEntry("p")}},
		{
			a: []wit.OffsetEntry{wit.StringEntry("a", `x" "b":"y`)},
			b: []wit.OffsetEntry{wit.StringEntry("a", "x"), wit.StringEntry("b", "y")},
		},
		{
			a: []wit.OffsetEntry{realField("p", math.MaxFloat64)},
			b: []wit.OffsetEntry{realField("p", math.MaxFloat64)}, same: true,
		},
		{b: []wit.OffsetEntry{}, same: true},
	}
	for _, c := range cases {
		assert.Equal(t, c.same, Identity(c.a) == Identity(c.b), c.a, c.b)
	}
	if identity("a", nil) == identity("b", nil) {
		t.Errorf("expected different keys for two connectors, found %q", identity("a", nil))
	}
}

// FuzzFields checks that formatting a parsed value is stable.
func FuzzFields(f *testing.F) {
	for _, seed := range []string{`{}`, `null`, `{"a":1,"b":-1.5e-7,"c":null,"d":true,"e":"x"}`, `{"a":1e23}`,
		`{"a":"\ud800"}`, `{"a":-0}`, `{"a":0.1,"a":2}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		fields, err := ParseJSON(text)
		if err != nil || fields == nil {
			return
		}
		written := AppendJSON(nil, fields)
		reread, err := ParseJSON(written)
		diff := cmp.Diff(fields, reread)
		require.True(t, err == nil && diff == "", "%s: %v (-read +read from the written text):\n%s", written, err, diff)
	})
}

// FuzzReal checks that Java's format parses to the same number.
func FuzzReal(f *testing.F) {
	for _, seed := range []float64{0, 1, 0.1, 1e7, 1e-3, 5e-324, math.MaxFloat64, 2e23, 9007199254740993} {
		f.Add(math.Float64bits(seed))
	}
	f.Fuzz(func(t *testing.T, bits uint64) {
		x := math.Float64frombits(bits)
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return
		}
		text := string(java.AppendJSONFloat(nil, x, 64))
		parsed, err := strconv.ParseFloat(text, 64)
		require.True(t, err == nil && parsed == x, "%x became %s", x, text)
		mantissa, _, _ := strings.Cut(text, "E")
		integer, fraction, ok := strings.Cut(mantissa, ".")
		require.True(t, ok && integer != "" && fraction != "", "%x became %s, which Java would not write", x, text)
	})
}

// Parsing time grows linearly with the number of fields, which is bounded.
func TestOffsetFieldsAreBounded(t *testing.T) {
	list := func(n int, name func(i int) string) []byte {
		b := []byte{'{'}
		for i := range n {
			if i > 0 {
				b = append(b, ',')
			}
			b = fmt.Appendf(b, "%q:%d", name(i), i)
		}
		return append(b, '}')
	}
	fields, err := ParseJSON(list(2*maxFields, func(i int) string { return fmt.Sprint("n", i%maxFields) }))
	assert.True(t, err == nil && len(fields) == maxFields && *fields[0].Value.Integer == maxFields,
		"expected %d fields, found %d, %v", maxFields, len(fields), err)
	_, err = ParseJSON(list(maxFields+1, func(i int) string { return fmt.Sprint("n", i) }))
	runtest.Fails(t, err, "at most 10000 fields")
	_, err = ParseJSON([]byte(`{"a":` + strings.Repeat("9", 1<<20) + `}`))
	assert.True(t, err != nil && len(err.Error()) <= 1000, "expected a short error, found %.200v", err)
}

// OpenJDK 17 gave these orders for HashMaps.
func TestSortLikeHashMap(t *testing.T) {
	for names, want := range map[string]string{
		"service,entityset":    "entityset,service",
		"id,service,entityset": "entityset,service,id",
		"url,record,next,digest,fingerprint,service,entityset": "next,entityset,service,record,digest,fingerprint,url",
		// 17 entries: 32 buckets
		"a,b,c,d,e,f,g,h,i,j,k,l,service,entityset,größe,topic,client": "a,b,c,entityset,d,e,f,g,h,i,j,k,l,größe,service,topic,client",
		"𝄞,größe,service,日本,id":                                        "𝄞,größe,service,日本,id",
	} {
		var partition []wit.OffsetEntry
		for _, name := range strings.Split(names, ",") {
			partition = append(partition, wit.StringEntry(name, "x"))
		}
		var got []string
		for _, f := range sortLikeHashMap(partition) {
			got = append(got, f.Name)
		}
		assert.Equal(t, want, strings.Join(got, ","), names)
		assert.Equal(t, strings.Split(names, ",")[0], partition[0].Name, names, "was reordered in place")
	}
}
