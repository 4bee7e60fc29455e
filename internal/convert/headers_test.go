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

// Headers are written by the class in header.converter; bytes that no converter has read are written unchanged.
func TestHeadersAreWrittenByTheirConverter(t *testing.T) {
	reg := record.NewRegistry()
	stringSchema, err := reg.Intern([]wit.SchemaNode{{Kind: wit.String}})
	require.NoError(t, err)
	withSchema := connectdata.Header{Name: "h", Encoding: wit.WithSchema, Schema: stringSchema.ID,
		Value: connectdata.AppendString(nil, "ä")}
	schemaless := connectdata.Header{Name: "h", Encoding: wit.Schemaless,
		Value: connectdata.AppendNumber([]byte{connectdata.TagInt64}, 7)}
	null := connectdata.Header{Name: "h", Encoding: wit.Schemaless, Value: []byte{connectdata.TagNull}}
	raw := connectdata.Header{Name: "h", Encoding: wit.Raw, Value: []byte("unchanged")}
	for _, test := range []struct {
		class    string
		settings map[string]string
		header   connectdata.Header
		want     string
	}{
		{class: classSimpleHeaders, header: withSchema, want: "ä"},
		{class: "SimpleHeaderConverter", header: schemaless, want: "7"},
		{class: ClassJSON, header: withSchema, want: `{"schema":{"type":"string","optional":false},"payload":"ä"}`},
		{class: ClassJSON, settings: map[string]string{"schemas.enable": "false"}, header: withSchema, want: `"ä"`},
		{class: ClassJSON, settings: map[string]string{"schemas.enable": "false"}, header: schemaless, want: `7`},
		{class: ClassJSON, header: null, want: "(none)"},
		{class: ClassJSON, header: raw, want: "unchanged"},
		{class: ClassString, settings: map[string]string{"converter.encoding": "ISO-8859-1"}, header: withSchema,
			want: "\xe4"},
		{class: ClassString, header: schemaless, want: "7"},
		{class: "org.apache.kafka.connect.converters.LongConverter", header: schemaless,
			want: "\x00\x00\x00\x00\x00\x00\x00\x07"},
		{class: ClassString, header: null, want: "(none)"},
		{class: "org.apache.kafka.connect.converters.LongConverter", header: withSchema,
			want: "fails: Failed to serialize to long (was class java.lang.String): expected a java.lang.Long"},
		{class: classByteArray, header: withSchema, want: "fails: Invalid schema type for ByteArrayConverter: STRING"},
	} {
		c, err := NewHeaders(test.class, test.settings, Options{Schemas: reg})
		require.NoError(t, err)
		b := &record.Batch{Registry: reg}
		out, isNull, err := c.Encode(t.Context(), []byte("before"), math.MaxInt32, "t", b, &test.header)
		got := strings.TrimPrefix(string(out), "before")
		if isNull {
			got = "(none)"
		}
		if err != nil {
			got = "fails: " + err.Error()
		}
		assert.Equal(t, test.want, got, test.class, test.settings)
	}
}

// Headers are read by the class in header.converter, with a schema if it returns one. A null is read as a null value.
func TestHeadersAreReadByTheirConverter(t *testing.T) {
	reg := record.NewRegistry()
	for _, test := range []struct {
		class    string
		data     string
		encoding wit.Encoding
		want     any // of a value with a schema
	}{
		{class: classSimpleHeaders, data: "7", encoding: wit.Raw},
		{class: ClassString, data: "7", encoding: wit.WithSchema, want: "7"},
		{class: ClassJSON, data: `{"schema":{"type":"int32"},"payload":7}`, encoding: wit.WithSchema, want: int32(7)},
		{class: ClassJSON, data: `{"schema":null,"payload":[7]}`, encoding: wit.Schemaless},
	} {
		c, err := NewHeaders(test.class, nil, Options{Schemas: reg})
		require.NoError(t, err)
		b := &record.Batch{Registry: reg}
		h, err := c.Decode(t.Context(), "t", "h", []byte(test.data), b)
		require.True(t, err == nil && h.Name == "h" && h.Encoding == test.encoding,
			"%s: expected encoding %d, found %d, %v", test.class, test.encoding, h.Encoding, err)
		if test.encoding == wit.WithSchema {
			v, _, err := connectdata.Read(reg.Get(h.Schema).Nodes, 0, h.Value)
			assert.True(t, err == nil && v == test.want, "%s: expected %v, found %v, %v", test.class, test.want, v, err)
		}
		if h, err = c.Decode(t.Context(), "t", "h", nil, b); err != nil || h.Encoding == wit.Absent {
			t.Errorf("%s: expected a null value of a header, found encoding %d, %v", test.class, h.Encoding, err)
		}
	}
	c, err := NewHeaders(ClassJSON, nil, Options{Schemas: reg})
	require.NoError(t, err)
	_, err = c.Decode(t.Context(), "t", "h", []byte("{"), &record.Batch{Registry: reg})
	assert.True(t, err != nil, "expected a header that is not JSON to be rejected")
	c, err = NewHeaders("org.apache.kafka.connect.converters.LongConverter", nil, Options{Schemas: reg})
	require.NoError(t, err)
	_, err = c.Decode(t.Context(), "t", "h", make([]byte, 10), &record.Batch{Registry: reg})
	assert.True(t, err != nil, "expected a header of ten bytes to be rejected as a number")
}

func TestInvalidHeaderConverters(t *testing.T) {
	for class, want := range map[string]string{
		ClassAvro:       "does not convert headers",
		"com.example.X": "unknown class",
	} {
		_, err := NewHeaders(class, nil, Options{Schemas: record.NewRegistry()})
		assert.Error(t, err, want, class)
	}
}
