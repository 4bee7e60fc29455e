package convert

import (
	hexadecimal "encoding/hex"
	"math"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/convert/conversion"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// The file contains the results of Kafka Connect 4.3.1's own converters (Primitives.java in its folder). Our messages
// have the expected type after Kafka's text.
func TestPrimitivesMatchKafka(t *testing.T) {
	lines := readTSV(t, "primitives.tsv", 4)
	if len(lines) < 300 {
		t.Errorf("only %d lines", len(lines))
	}
	for _, parts := range lines {
		class := parts[0]
		direction := parts[1]
		in := parts[2]
		want := parts[3]
		b := &record.Batch{Registry: record.NewRegistry()}
		j := newConverter(t, ClassJSON, b.Registry)
		var c Converter
		if class != conversion.SimpleName(classSimpleHeaders) {
			c = newConverter(t, class, b.Registry)
		}
		var got string
		if direction == "read" {
			data, err := hexadecimal.DecodeString(in)
			require.NoError(t, err)
			d, err := c.Decode(t.Context(), "t", data, b)
			if err == nil {
				var out []byte
				if out, _, err = j.Encode(t.Context(), nil, math.MaxInt32, "t", b, d); err != nil {
					t.Fatal(err)
				}
				got = string(out)
			} else {
				got = "!" + err.Error()
			}
		} else {
			d, err := j.Decode(t.Context(), "t", []byte(in), b)
			require.NoError(t, err)
			out := []byte(nil)
			null := false
			err = error(nil)
			if c != nil {
				out, null, err = c.Encode(t.Context(), nil, math.MaxInt32, "t", b, d)
			} else {
				h := connectdata.Header{Name: "h", Encoding: d.Encoding, Schema: d.Schema, Value: b.Bytes(d)}
				if d.Encoding == wit.Absent {
					h.Encoding = wit.Schemaless
					h.Value = nullValue
				}
				out, null, err = SimpleHeaders{b.Registry}.Encode(t.Context(), nil, math.MaxInt32, "t", b, &h)
			}
			switch {
			case err != nil:
				got = "!" + err.Error()
			case null:
				got = "(none)"
			default:
				got = hexadecimal.EncodeToString(out)
			}
		}
		if got != want && !(strings.HasPrefix(want, "!") && strings.HasPrefix(got, strings.TrimRight(want, " "))) {
			t.Errorf("%s %s %s: expected %s, found %s", class, direction, in, want, got)
		}
	}
}

func TestPrimitivesAreBounded(t *testing.T) {
	b := &record.Batch{Registry: record.NewRegistry()}
	c := newConverter(t, "LongConverter", b.Registry)
	j := newConverter(t, ClassJSON, b.Registry)
	d, err := j.Decode(t.Context(), "t", []byte(`{"schema":null,"payload":7}`), b)
	require.NoError(t, err)
	if out, _, err := c.Encode(t.Context(), []byte("x"), 8, "t", b, d); err != nil || len(out) != 9 {
		t.Errorf("8 bytes of at most 8: %x, %v", out, err)
	}
	if out, _, err := c.Encode(t.Context(), []byte("x"), 7, "t", b, d); fault.Class(err) != fault.TooLargeException ||
		string(out) != "x" {
		t.Errorf("8 bytes of at most 7: %x, %v", out, err)
	}
}
