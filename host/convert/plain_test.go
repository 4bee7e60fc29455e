package convert

import (
	encodinghex "encoding/hex"
	"fmt"
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/convert/fault"
	"github.com/culvert-project/culvert/host/internal/base/assert"
	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

func TestStringConverter(t *testing.T) {
	reg := record.NewRegistry()
	c := newConverter(t, ClassString, reg)
	date := func(name string, k wit.Kind) []wit.Node { return []wit.Node{{Kind: k, Name: &name}} }
	for _, x := range []struct {
		nodes []wit.Node
		v     any
		want  string
	}{
		{[]wit.Node{{Kind: wit.Text}}, "Größe", "Größe"},
		{[]wit.Node{{Kind: wit.Text, Optional: true}}, "x", "x"},
		{[]wit.Node{{Kind: wit.Float32}}, float32(1e7), "1.0E7"},
		{[]wit.Node{{Kind: wit.Boolean}}, true, "true"},
		{date(wit.NameTimestamp, wit.Int64), int64(1709184496789), "Thu Feb 29 05:28:16 UTC 2024"},
		{date(wit.NameDate, wit.Int32), int32(-1), "Wed Dec 31 00:00:00 UTC 1969"},
		// Java's calendar is Julian before 1582-10-15, and years are not padded: OpenJDK 17 writes these.
		{date(wit.NameTimestamp, wit.Int64), int64(-62135769600000), "Sat Jan 01 00:00:00 UTC 1"},
		{date(wit.NameTimestamp, wit.Int64), int64(-62135596800000), "Mon Jan 03 00:00:00 UTC 1"},
		{date(wit.NameTimestamp, wit.Int64), int64(-12219292800000), "Fri Oct 15 00:00:00 UTC 1582"},
		{date(wit.NameTimestamp, wit.Int64), int64(-12219292800001), "Thu Oct 04 23:59:59 UTC 1582"},
		{date(wit.NameTimestamp, wit.Int64), int64(-62167392000000), "Thu Jan 01 00:00:00 UTC 1"},
		{date(wit.NameTimestamp, wit.Int64), int64(253402300800000), "Sat Jan 01 00:00:00 UTC 10000"},
		{[]wit.Node{{Kind: wit.Bytes, Name: wit.Ptr(wit.NameDecimal), Parameters: []wit.Setting{{Name: "scale",
			Value: "2"}}}}, big.NewInt(-129), "-1.29"},
		{[]wit.Node{{Kind: wit.Structure, Members: []wit.Member{{Name: "a", Node: 1}, {Name: "b", Node: 1}, {Name: "c",
			Node: 2}}},
			{Kind: wit.Int32, Optional: true}, {Kind: wit.Array,
				Element: 3}, {Kind: wit.Text}}, datum.Record{nil, int32(1), datum.List{"x", "y"}},
			"Struct{b=1,c=[x, y]}"},
		{nil, datum.Map{{Key: "a", Value: nil}, {Key: "b", Value: int64(2)}}, "{a=null, b=2}"},
		{nil, true, "true"},
		{nil, datum.Decimal{Scale: 2, Unscaled: big.NewInt(1250)}, "12.50"},
	} {
		got, null, err := encode(t, c, reg, x.nodes, x.v)
		if err != nil || null || got != x.want {
			t.Errorf("%v: expected %q, found %q, %v", x.v, x.want, got, err)
		}
	}
	if _, null, err := encode(t, c, reg, []wit.Node{{Kind: wit.Text, Optional: true}}, nil); !null || err != nil {
		t.Error("null must be a tombstone", err)
	}
	if _, _, err := encode(t, c, reg, nil, []byte{1}); err == nil {
		t.Error("bytes were written")
	}
	b := &record.Batch{Registry: reg}
	d, err := c.Decode(t.Context(), "t", []byte("a\xff"), b)
	if err != nil || string(b.Bytes(d)) != "\x02\x08a\uFFFD" || !reg.Get(d.Schema).Root().Optional {
		t.Errorf("%v % x", err, b.Bytes(d))
	}
}

func TestStringConverterEncodings(t *testing.T) {
	for name, want := range map[string]string{"ISO-8859-1": "\xfc?",
		"UTF-16": "\xfe\xff\x00\xfc\x20\xac", "utf-16le": "\xfc\x00\xac\x20"} {
		reg := record.NewRegistry()
		c := newConverter(t, ClassString, reg, "converter.encoding", name)
		got, _, err := encode(t, c, reg, []wit.Node{{Kind: wit.Text}}, "ü€")
		if err != nil || got != want {
			t.Errorf("%s: % x, %v", name, got, err)
		}
		b := &record.Batch{Registry: reg}
		d, _ := c.Decode(t.Context(), "t", []byte(want), b)
		if back := string(b.Bytes(d)[2:]); strings.HasPrefix(strings.ToUpper(name), "UTF") && back != "ü€" {
			t.Errorf("%s: read %q", name, back)
		}
	}
	if _, err := New(ClassString, map[string]string{"converter.encoding": "EBCDIC"},
		Use{Schemas: record.NewRegistry()}); fault.Class(err) != fault.ConfigException {
		t.Error(err)
	}
}

// The lines of strings.tsv are what Kafka's StringConverter reads in one encoding and writes in another, in hex.
func TestEncodingsAsKafka(t *testing.T) {
	rows := readTSV(t, "strings.tsv", 4)
	for _, row := range rows {
		assert.Equal(t, row[3], rewriteText(t, row[0], row[1], row[2]), row)
	}
	if len(rows) < 20 {
		t.Errorf("only %d cases", len(rows))
	}
}

// rewriteText reads bytes in hex in one encoding and writes them in another.
func rewriteText(t *testing.T, reads, writes, data string) string {
	t.Helper()
	content, err := encodinghex.DecodeString(data)
	require.NoError(t, err)
	b := &record.Batch{Registry: record.NewRegistry()}
	c := newConverter(t, ClassString, b.Registry, "value.deserializer.encoding", reads, "value.serializer.encoding",
		writes)
	d, err := c.Decode(t.Context(), "t", content, b)
	require.NoError(t, err)
	out, _, err := c.Encode(t.Context(), nil, 1000, "t", b, d)
	require.NoError(t, err)
	return fmt.Sprintf("%x", out)
}

func TestByteArrayConverter(t *testing.T) {
	reg := record.NewRegistry()
	c := newConverter(t, classByteArray, reg)
	for _, x := range []struct {
		nodes []wit.Node
		v     any
		want  string
		null  bool
		error string
	}{
		{[]wit.Node{{Kind: wit.Bytes}}, []byte{0, 255}, "\x00\xff", false, ""},
		{[]wit.Node{{Kind: wit.Bytes, Optional: true}}, nil, "", true, ""},
		{nil, []byte("x"), "x", false, ""},
		{nil, "x", "", false, "not compatible"},
		{[]wit.Node{{Kind: wit.Text}}, "x", "", false, "Invalid schema type for ByteArrayConverter: STRING"},
	} {
		got, null, err := encode(t, c, reg, x.nodes, x.v)
		if got != x.want || null != x.null || (err == nil) != (x.error == "") || err != nil &&
			!strings.Contains(err.Error(), x.error) {
			t.Errorf("%v: %q %v %v", x.v, got, null, err)
		}
	}
	b := &record.Batch{Registry: reg}
	if d, _ := c.Decode(t.Context(), "t", []byte{}, b); d.Form != wit.Structured || string(b.Bytes(d)) != "\x02\x00" {
		t.Errorf("no bytes are not null: %v", d)
	}
}

// What is not there is a null with the converter's schema, as Kafka's own converters have it; it is written as nothing.
func TestNothingHasASchema(t *testing.T) {
	for class, kind := range map[string]wit.Kind{ClassString: wit.Text, classByteArray: wit.Bytes,
		"org.apache.kafka.connect.converters.IntegerConverter": wit.Int32,
		"org.apache.kafka.connect.converters.BooleanConverter": wit.Boolean} {
		b := &record.Batch{Registry: record.NewRegistry(), Data: []byte("before")}
		c := newConverter(t, class, b.Registry)
		d, err := c.Decode(t.Context(), "t", nil, b)
		if err != nil || d.Form != wit.Structured {
			t.Errorf("%s: expected a null with a schema, found %v, %v", class, d, err)
			continue
		}
		root := b.Registry.Get(d.Schema).Root()
		if null, size, ok := datum.IsNull(root, b.Bytes(d)); !null || size != 1 || !ok || root.Kind != kind ||
			!root.Optional {
			t.Errorf("%s: found % x of %v", class, b.Bytes(d), root)
		}
		if out, null, err := c.Encode(t.Context(), nil, math.MaxInt32, "t", b, d); err != nil || !null || len(out) > 0 {
			t.Errorf("%s: expected nothing, found %q, %v, %v", class, out, null, err)
		}
	}
}
