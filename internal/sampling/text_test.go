package sampling

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// testWriter returns a writer that redacts "geheim". shape: it writes types and sizes instead of values.
func testWriter(t *testing.T, shape bool) *writer {
	return &writer{
		ctx:       t.Context(),
		registry:  record.NewRegistry(),
		redact:    func(s string) string { return strings.ReplaceAll(s, "geheim", "***") },
		shape:     shape,
		remaining: maxTextBytes,
	}
}

// Documents are shown indented or by their shape, without secrets.
func TestText(t *testing.T) {
	for _, c := range []struct{ document, full, shape string }{
		{document: `{"a":1,"b":[true,null,"x<é"],"c":{}}`,
			full: "{\n  \"a\": 1,\n  \"b\": [\n    true,\n    null,\n    \"x<é\"\n  ],\n  \"c\": {}\n}",
			shape: "{\n  \"a\": \"number\",\n  \"b\": [\n    \"boolean\",\n    null,\n    \"string(3)\"\n  ],\n" +
				"  \"c\": {}\n}"},
		{document: `1234567890123456789012.50`, full: `1234567890123456789012.50`, shape: `"number"`},
		{document: `{"geheim":"ein geheimes"}`, full: "{\n  \"***\": \"ein ***es\"\n}",
			shape: "{\n  \"***\": \"string(12)\"\n}"},
		{document: `[]`, full: `[]`, shape: `[]`},
		{document: `[{}]`, full: "[\n  {}\n]", shape: "[\n  {}\n]"},
		{document: `null`, full: `null`, shape: `null`},
	} {
		full, cut := testWriter(t, false).json([]byte(c.document), false)
		shape, shapeCut := testWriter(t, true).json([]byte(c.document), true)
		assert.True(t, full == c.full && shape == c.shape && !cut && !shapeCut,
			"%s: expected %s and the shape %s, found %s and %s, cut %t %t", c.document, c.full, c.shape, full, shape,
			cut, shapeCut)
	}
}

// Long or deep values are truncated between characters, in linear time.
func TestTextIsBounded(t *testing.T) {
	list := `["` + strings.Repeat(`é","`, 1<<20) + `"]`
	for name, document := range map[string]string{
		"a text":        `{"a":1,"b":"` + strings.Repeat("é", 5<<20) + `"}`,
		"escapes":       `"` + strings.Repeat(`\u0001`, 1<<20) + `"`,
		"a list":        list,
		"a name":        `{"` + strings.Repeat("n", 1<<20) + `":1}`,
		"many names":    `{"a":[{"` + strings.Repeat(`x":1,"`, 1<<18) + `y":2}]}`,
		"a number":      strings.Repeat("9", 1<<20),
		"a deep one":    strings.Repeat(`{"a":[`, 5000) + strings.Repeat(`]}`, 5000),
		"a deep list":   strings.Repeat(`[`, 9000) + strings.Repeat(`]`, 9000),
		"deep and long": strings.Repeat(`[`, 1000) + list + strings.Repeat(`]`, 1000),
	} {
		began := time.Now()
		text, cut := testWriter(t, false).json([]byte(document), false)
		assert.True(t, utf8.ValidString(text) && len(text) <= maxText && len(text) >= maxText-2 && cut,
			"%s: expected %d bytes of a cut text, found %d, cut %t: %.100s", name, maxText, len(text), cut, text)
		elapsed := time.Since(began)
		assert.True(t, elapsed <= 10*time.Second, "%s took %v", name, elapsed)
	}
	w := testWriter(t, false)
	for range maxTextBytes/maxText + 10 {
		w.json([]byte(list), false)
	}
	if text, cut := w.json([]byte(list), false); w.remaining > 2 || len(text) > 2 || !cut {
		t.Errorf("expected at most 2 bytes, found %s, with %d remaining", text, w.remaining)
	}
}

// Values of all kinds are shown: ninety levels, numbers that JSON does not have, dates, bytes.
func TestValues(t *testing.T) {
	deep := any("end")
	for range 90 {
		deep = connectdata.List{deep}
	}
	for want, v := range map[string]any{
		`"NaN"`:         math.NaN(),
		`"/wA="`:        []byte{0xff, 0},
		`1700000000000`: connectdata.Instant(1700000000000),
		`"end"`:         deep,
		`"a": null`:     connectdata.Map{{Key: "a"}},
	} {
		b := &record.Batch{}
		var err error
		b.Data, err = connectdata.AppendSchemaless(nil, v)
		require.NoError(t, err)
		text, schema, cut := testWriter(t, false).value(b, wit.ValueSlice{Encoding: wit.Schemaless,
			Size: uint32(len(b.Data))})
		assert.True(t, strings.Contains(text, want) && schema == "" && !cut && json.Valid([]byte(text)),
			"%v: expected %s without a schema, found %s, schema %q, cut %t", v, want, text, schema, cut)
	}
	reg := record.NewRegistry()
	s, err := reg.Intern([]wit.SchemaNode{{
		Kind:       wit.Bytes,
		Name:       wit.Ptr(wit.NameDecimal),
		Parameters: []wit.Setting{{Name: "scale", Value: "2"}},
	}})
	require.NoError(t, err)
	b := &record.Batch{Registry: reg, Data: connectdata.AppendDecimal64(nil, 1250)}
	w := testWriter(t, false)
	w.registry = reg
	text, schema, _ := w.value(b, wit.ValueSlice{Encoding: wit.WithSchema, Schema: s.ID, Size: uint32(len(b.Data))})
	assert.True(t, text == "12.50" && strings.Contains(schema, `"name": "org.apache.kafka.connect.data.Decimal"`),
		"expected 12.50 with the schema of a Decimal, found %s with %s", text, schema)
	// Invalid values and invalid UTF-8 are reported as such.
	for _, data := range [][]byte{{0xff}, append([]byte{connectdata.TagString, 4}, 0xff, 0xfe)} {
		b := &record.Batch{Data: data}
		slice := wit.ValueSlice{Encoding: wit.Schemaless, Size: uint32(len(data))}
		text, _, cut := testWriter(t, false).value(b, slice)
		assert.True(t, strings.HasPrefix(text, "it cannot be shown as JSON: ") && utf8.ValidString(text) && cut,
			"% x: expected a problem with its cause, found %s, cut %t", data, text, cut)
		text, _, _ = testWriter(t, true).value(b, slice)
		assert.True(t, text == "it cannot be shown as JSON",
			"% x: expected a problem without its cause, found %s", data, text)
	}
}

// Only the first records of a row, and the first headers of a record, are shown.
func TestShownRecordsAreBounded(t *testing.T) {
	headers := make([]connectdata.Header, maxHeaders+1)
	for i := range headers {
		headers[i] = connectdata.Header{Name: "h", Encoding: wit.Schemaless, Value: []byte{connectdata.TagNull}}
	}
	b := &record.Batch{Topics: []string{"t"}, Data: connectdata.AppendHeaders(nil, headers)}
	b.Rows = make([]wit.Row, maxRecords+1)
	b.Rows[0].Headers = wit.ValueSlice{Encoding: wit.Raw, Size: uint32(len(b.Data))}
	records := testWriter(t, false).records(b, b.Rows)
	assert.True(t, len(records) == maxRecords && records[maxRecords-1].Cut && !records[1].Cut && records[0].Cut &&
		len(records[0].Headers) == maxHeaders &&
		records[0].Headers[0] == (rest.SampledHeader{Name: "h", Value: "null"}),
		"expected %d records, the first with %d headers, found %d and %d", maxRecords, maxHeaders, len(records),
		len(records[0].Headers))
}
