package convert

import (
	encodinghex "encoding/hex"
	"fmt"
	"math"
	"math/big"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Values that primitives.tsv cannot contain, because Kafka's JSON cannot represent them without a schema.
func TestPlainValuesOutsidePrimitivesFile(t *testing.T) {
	for _, test := range []struct {
		class string
		value any
		want  string // "" means rejected
	}{
		{class: ClassString, value: connectdata.Decimal{Scale: 2, Unscaled: big.NewInt(1250)}, want: "12.50"},
		{class: ClassString, value: []byte{1}},
		{class: classByteArray, value: []byte("x"), want: "x"},
	} {
		reg := record.NewRegistry()
		got, isNull, err := encode(t, newConverter(t, test.class, reg), reg, nil, test.value)
		assert.True(t, got == test.want && !isNull && (err == nil) == (test.want != ""),
			"%s, %v: expected %q, found %q, %v", test.class, test.value, test.want, got, err)
	}
}

// The lines of strings.tsv contain what Kafka's StringConverter reads in one encoding and writes in another, in hex.
func TestEncodingsMatchKafka(t *testing.T) {
	for _, row := range readTSV(t, "strings.tsv", 4) {
		assert.Equal(t, row[3], rewriteText(t, row[0], row[1], row[2]), row)
	}
	if _, err := New(ClassString, map[string]string{"converter.encoding": "EBCDIC"},
		Options{Schemas: record.NewRegistry()}); fault.Class(err) != fault.ConfigException {
		t.Errorf("expected EBCDIC to be rejected, found %v", err)
	}
}

// rewriteText reads bytes in hex in one encoding and writes them in another.
func rewriteText(t *testing.T, readEncoding, writeEncoding, data string) string {
	t.Helper()
	content, err := encodinghex.DecodeString(data)
	require.NoError(t, err)
	b := &record.Batch{Registry: record.NewRegistry()}
	c := newConverter(t, ClassString, b.Registry, "value.deserializer.encoding", readEncoding,
		"value.serializer.encoding", writeEncoding)
	d, err := c.Decode(t.Context(), "t", content, b)
	require.NoError(t, err)
	out, _, err := c.Encode(t.Context(), nil, math.MaxInt32, "t", b, d)
	require.NoError(t, err)
	return fmt.Sprintf("%x", out)
}

// A missing value is read as a null with the converter's schema, as Kafka's own converters do it, and is written as
// nothing.
func TestMissingValueHasConverterSchema(t *testing.T) {
	for class, kind := range map[string]wit.Kind{
		ClassString:    wit.String,
		classByteArray: wit.Bytes,
		"org.apache.kafka.connect.converters.IntegerConverter": wit.Int32,
		"org.apache.kafka.connect.converters.BooleanConverter": wit.Boolean,
	} {
		b := &record.Batch{Registry: record.NewRegistry(), Data: []byte("before")}
		c := newConverter(t, class, b.Registry)
		d, err := c.Decode(t.Context(), "t", nil, b)
		if err != nil || d.Encoding != wit.WithSchema {
			t.Errorf("%s: expected a null with a schema, found %v, %v", class, d, err)
			continue
		}
		root := b.Registry.Get(d.Schema).Root()
		isNull, size, ok := connectdata.IsNull(root, b.Bytes(d))
		assert.True(t, isNull && size == 1 && ok && root.Kind == kind && root.Optional,
			"%s: expected a null of an optional %v, found % x of %v", class, kind, b.Bytes(d), root)
		out, isNull, err := c.Encode(t.Context(), nil, math.MaxInt32, "t", b, d)
		assert.True(t, err == nil && isNull && len(out) == 0,
			"%s: expected nothing, found %q, %v, %v", class, out, isNull, err)
	}
}
