package convert

import (
	hexadecimal "encoding/hex"
	"math"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/convert/conversion"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// The results of the converters equal the results of Kafka Connect 4.3.1's own converters in primitives.tsv
// (Primitives.java in its folder). Our messages have the expected type after Kafka's text.
func TestPrimitivesMatchKafka(t *testing.T) {
	for _, row := range readTSV(t, "primitives.tsv", 4) {
		class := row[0]
		direction := row[1]
		in := row[2]
		want := row[3]
		var got string
		if direction == "read" {
			got = readPrimitive(t, class, in)
		} else {
			got = writePrimitive(t, class, in)
		}
		if got != want && !(strings.HasPrefix(want, "!") && strings.HasPrefix(got, strings.TrimRight(want, " "))) {
			t.Errorf("%s %s %s: expected %s, found %s", class, direction, in, want, got)
		}
	}
}

// readPrimitive returns the document that JsonConverter writes for data in hex, or "!" and the error of the class.
func readPrimitive(t *testing.T, class, data string) string {
	t.Helper()
	b := &record.Batch{Registry: record.NewRegistry()}
	content, err := hexadecimal.DecodeString(data)
	require.NoError(t, err)
	d, err := newConverter(t, class, b.Registry).Decode(t.Context(), "t", content, b)
	if err != nil {
		return "!" + err.Error()
	}
	out, _, err := newConverter(t, ClassJSON, b.Registry).Encode(t.Context(), nil, math.MaxInt32, "t", b, d)
	require.NoError(t, err)
	return string(out)
}

// writePrimitive returns what a class writes for the value of a document, in hex: "(none)" for null, or "!" and the
// error.
func writePrimitive(t *testing.T, class, document string) string {
	t.Helper()
	b := &record.Batch{Registry: record.NewRegistry()}
	d, err := newConverter(t, ClassJSON, b.Registry).Decode(t.Context(), "t", []byte(document), b)
	require.NoError(t, err)
	var out []byte
	var isNull bool
	if class == conversion.SimpleName(classSimpleHeaders) {
		h := connectdata.Header{Name: "h", Encoding: d.Encoding, Schema: d.Schema, Value: b.Bytes(d)}
		if d.Encoding == wit.Absent {
			h.Encoding = wit.Schemaless
			h.Value = nullValue
		}
		out, isNull, err = SimpleHeaders{b.Registry}.Encode(t.Context(), nil, math.MaxInt32, "t", b, &h)
	} else {
		out, isNull, err = newConverter(t, class, b.Registry).Encode(t.Context(), nil, math.MaxInt32, "t", b, d)
	}
	switch {
	case err != nil:
		return "!" + err.Error()
	case isNull:
		return "(none)"
	}
	return hexadecimal.EncodeToString(out)
}

// A number is written if it fits maxBytes; otherwise the error reports a record that is too large.
func TestPrimitivesAreBounded(t *testing.T) {
	b := &record.Batch{Registry: record.NewRegistry()}
	c := newConverter(t, "LongConverter", b.Registry)
	d, err := newConverter(t, ClassJSON, b.Registry).Decode(t.Context(), "t", []byte(`{"schema":null,"payload":7}`), b)
	require.NoError(t, err)
	out, _, err := c.Encode(t.Context(), []byte("x"), 8, "t", b, d)
	assert.True(t, err == nil && len(out) == 9, "expected 8 bytes where 8 are allowed, found %x, %v", out, err)
	out, _, err = c.Encode(t.Context(), []byte("x"), 7, "t", b, d)
	assert.True(t, fault.Class(err) == fault.TooLargeException && string(out) == "x",
		"expected an error where 7 of 8 bytes are allowed, found %x, %v", out, err)
}
