package convert

import (
	"math"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Headers are converted by the class in header.converter, in both directions.
func TestHeadersAreWrittenByTheirConverter(t *testing.T) {
	reg := record.NewRegistry()
	text, err := reg.Intern([]wit.SchemaNode{{Kind: wit.String}})
	require.NoError(t, err)
	structured := connectdata.Header{Name: "h", Encoding: wit.WithSchema, Schema: text.ID,
		Value: connectdata.AppendString(nil, "ä")}
	dynamic := connectdata.Header{Name: "h", Encoding: wit.Schemaless,
		Value: connectdata.AppendNumber([]byte{connectdata.TagInt64}, 7)}
	null := connectdata.Header{Name: "h", Encoding: wit.Schemaless, Value: []byte{connectdata.TagNull}}
	raw := connectdata.Header{Name: "h", Encoding: wit.Raw, Value: []byte("as it is")}
	for _, x := range []struct {
		class    string
		settings map[string]string
		header   connectdata.Header
		want     string
	}{
		{classSimpleHeaders, nil, structured, "ä"},
		{"SimpleHeaderConverter", nil, dynamic, "7"},
		{ClassJSON, nil, structured, `{"schema":{"type":"string","optional":false},"payload":"ä"}`},
		{ClassJSON, map[string]string{"schemas.enable": "false"}, structured, `"ä"`},
		{ClassJSON, map[string]string{"schemas.enable": "false"}, dynamic, `7`},
		{ClassJSON, nil, null, "(none)"},
		{ClassJSON, nil, raw, "as it is"},
		{ClassString, map[string]string{"converter.encoding": "ISO-8859-1"}, structured, "\xe4"},
		{ClassString, nil, dynamic, "7"},
		{"org.apache.kafka.connect.converters.LongConverter", nil, dynamic, "\x00\x00\x00\x00\x00\x00\x00\x07"},
		{ClassString, nil, null, "(none)"},
		{"org.apache.kafka.connect.converters.LongConverter", nil, structured,
			"fails: Failed to serialize to long (was class java.lang.String): expected a java.lang.Long"},
		{classByteArray, nil, structured, "fails: Invalid schema type for ByteArrayConverter: STRING"},
	} {
		c, err := NewHeaders(x.class, x.settings, Options{Schemas: reg})
		require.NoError(t, err)
		b := &record.Batch{Registry: reg}
		out, none, err := c.Encode(t.Context(), []byte("before"), math.MaxInt32, "t", b, &x.header)
		got := strings.TrimPrefix(string(out), "before")
		if none {
			got = "(none)"
		}
		if err != nil {
			got = "fails: " + err.Error()
		}
		assert.Equal(t, x.want, got, x.class, x.settings)
	}
}

func TestHeadersAreReadByTheirConverter(t *testing.T) {
	reg := record.NewRegistry()
	for _, x := range []struct {
		class string
		data  string
		form  wit.Encoding
		want  any
	}{
		{classSimpleHeaders, "7", wit.Raw, nil},
		{ClassString, "7", wit.WithSchema, "7"},
		{ClassJSON, `{"schema":{"type":"int32"},"payload":7}`, wit.WithSchema, int32(7)},
		{ClassJSON, `{"schema":null,"payload":[7]}`, wit.Schemaless, nil},
	} {
		c, err := NewHeaders(x.class, nil, Options{Schemas: reg})
		require.NoError(t, err)
		b := &record.Batch{Registry: reg}
		h, err := c.Decode(t.Context(), "t", "h", []byte(x.data), b)
		if err != nil || h.Name != "h" || h.Encoding != x.form {
			t.Fatalf("%s: found form %d, %v", x.class, h.Encoding, err)
		}
		if x.form == wit.WithSchema {
			if v, _, err := connectdata.Read(reg.Get(h.Schema).Nodes, 0, h.Value); err != nil || v != x.want {
				t.Errorf("%s: expected %v, found %v, %v", x.class, x.want, v, err)
			}
		}
		if h, err = c.Decode(t.Context(), "t", "h", nil, b); err != nil || h.Encoding == wit.Absent {
			t.Errorf("%s: a null: found form %d, %v", x.class, h.Encoding, err)
		}
	}
	c, err := NewHeaders(ClassJSON, nil, Options{Schemas: reg})
	require.NoError(t, err)
	if _, err := c.Decode(t.Context(), "t", "h", []byte("{"), &record.Batch{Registry: reg}); err == nil {
		t.Error("expected a header that is not JSON to be rejected")
	}
	c, err = NewHeaders("org.apache.kafka.connect.converters.LongConverter", nil, Options{Schemas: reg})
	require.NoError(t, err)
	if _, err := c.Decode(t.Context(), "t", "h", make([]byte, 10), &record.Batch{Registry: reg}); err == nil {
		t.Error("expected a header of ten bytes to be rejected as a number")
	}
}

func TestInvalidHeaderConverters(t *testing.T) {
	for class, want := range map[string]string{ClassAvro: "does not convert headers",
		"com.example.X": "unknown class"} {
		_, err := NewHeaders(class, nil, Options{Schemas: record.NewRegistry()})
		assert.Error(t, err, want, class)
	}
}
