package chaintest

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// A written file is read back unchanged: texts that YAML would read as something else, characters that it does not
// allow, numbers, values with schemas, which are written once, headers, and dropped records.
func TestWrittenTestsHold(t *testing.T) {
	o := options(t)
	schema, err := o.Registry.Intern([]wit.SchemaNode{{Kind: wit.Struct, Fields: []wit.Field{{Name: "price", Node: 1},
		{Name: "note", Node: 2}}}, {Kind: wit.Bytes, Name: wit.Ptr(wit.NameDecimal), Parameters: []wit.Setting{{
		Name: "scale", Value: "2"}}}, {Kind: wit.String, Optional: true}})
	require.NoError(t, err)
	b := &record.Batch{Registry: o.Registry, Topics: []string{"orders"}, Retained: []*record.Schema{schema}}
	odd := connectdata.Map{{Key: "schema", Value: "null"}, {Key: "payload", Value: "12"}}
	values := []any{odd, connectdata.List{odd, "yes", "~", "1e3", "2024-01-01",
		"\x7f\u0085\ufeff\u2028\x00 \n - a: b", "#", "&a *b !c"},
		connectdata.Map{{Key: "a: b", Value: connectdata.Map{}}, {Key: strings.Repeat("n", 2000),
			Value: connectdata.List{}},
			{Key: "<<", Value: "x"}},
		int64(math.MaxInt64), 0.1, math.Inf(1), true, nil, "", "😀"}
	for i := range len(values) + 2 {
		row := wit.Row{Partition: 3, Offset: int64(i), Timestamp: -1}
		start := len(b.Data)
		if i < len(values) {
			b.Data, err = connectdata.AppendSchemaless(b.Data, values[i])
			row.Value = wit.ValueSlice{Encoding: wit.Schemaless}
		} else {
			b.Data, err = connectdata.Append(b.Data, schema.Nodes, 0, connectdata.Struct{[]byte{4, byte(i)}, nil})
			row.Value = wit.ValueSlice{Encoding: wit.WithSchema, Schema: schema.ID}
		}
		require.NoError(t, err)
		row.Value.Start = uint32(start)
		row.Value.Size = uint32(len(b.Data) - start)
		row.Key = row.Value
		start = len(b.Data)
		b.Data = connectdata.AppendHeaders(b.Data,
			[]connectdata.Header{{Name: "h", Encoding: wit.Schemaless, Value: []byte{connectdata.TagNull}}})
		row.Headers = wit.ValueSlice{Encoding: wit.Raw, Start: uint32(start), Size: uint32(len(b.Data) - start)}
		b.Rows = append(b.Rows, row)
	}
	w := Writer{Registry: o.Registry, Strike: func(text string) string { return text }}
	for i := range b.Rows {
		made := b.CopyRow(i)
		require.NoError(t, w.Add(t.Context(), b.CopyRow(i), made, &Outcome{Rows: made.Rows}))
	}
	text, err := w.File("all", map[string]string{"transforms": "r", "transforms.r.regex": "none",
		"transforms.r.replacement": "x",
		"transforms.r.type":        "org.apache.kafka.connect.transforms.RegexRouter"})
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "all_test.yaml")
	require.NoError(t, os.WriteFile(file, text, 0o600))
	results, err := Run(t.Context(), o, []string{file})
	require.NoError(t, err)
	if len(results) != 1 || len(results[0].Failures) > 0 || strings.Count(string(text), "scale: \"2\"") != 1 {
		t.Errorf("expected one test that passes, and each schema once, found %+v of\n%.4000s", results, text)
	}
}
