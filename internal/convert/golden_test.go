package convert

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// golden is one case of testdata/convert: a value and the JSON that Kafka Connect's JsonConverter 4.3.1 wrote for it
// (Replay.java there).
type golden struct {
	settings map[string]string
	schema   string // as JsonConverter writes it
	value    string // as JSON
	written  string // by Kafka Connect
}

// goldens returns the cases of a folder by name.
func goldens(t testing.TB, folder string) map[string]golden {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.golden"))
	require.True(t, err == nil && len(files) != 0, "no cases in %s: %v", folder, err)
	cases := map[string]golden{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		head, written, ok := strings.Cut(string(text), "\n-----\n")
		lines := strings.SplitN(head, "\n", 3)
		require.True(t, ok && len(lines) == 3,
			"%s: expected lines of settings, schema and value, ----- and the expected bytes", file)
		g := golden{settings: map[string]string{}, schema: lines[1][len("schema "):], value: lines[2][len("value "):],
			written: strings.TrimSuffix(written, "\n")}
		for _, pair := range strings.Fields(lines[0])[1:] {
			name, value, _ := strings.Cut(pair, "=")
			g.settings[name] = value
		}
		cases[strings.TrimSuffix(filepath.Base(file), ".golden")] = g
	}
	return cases
}

// read returns the value of a case, which it appends to b.
func (g golden) read(t *testing.T, b *record.Batch) wit.ValueSlice {
	t.Helper()
	converter := newConverter(t, ClassJSON, b.Registry, "replace.null.with.default", "false")
	d, err := converter.Decode(t.Context(), "t", []byte(`{"schema":`+g.schema+`,"payload":`+g.value+`}`), b)
	require.NoError(t, err)
	return d
}

// newConverter returns a converter with settings, each a name and its value.
func newConverter(t testing.TB, class string, reg *record.Registry, settings ...string) Converter {
	t.Helper()
	c, _ := newRecording(t, class, reg, settings...)
	return c
}

// newRecording is newConverter, and also returns the text of the schema that was registered last.
func newRecording(t testing.TB, class string, reg *record.Registry, settings ...string) (c Converter, text *string) {
	t.Helper()
	text = new(string)
	settingValues := map[string]string{}
	for i := 0; i < len(settings); i += 2 {
		settingValues[settings[i]] = settings[i+1]
	}
	use := Options{Schemas: reg}
	if class == ClassAvro || class == ClassJSONSchema {
		settingValues["schema.registry.url"] = "http://registry.test"
		use.OpenRegistry = recordingRegistry(text)
	}
	c, err := New(class, settingValues, use)
	require.NoError(t, err)
	return c, text
}

// The value of each case is written with the bytes that Kafka Connect wrote.
func TestWritesWhatKafkaWrites(t *testing.T) {
	folder := "../../testdata/convert"
	if otherFolder := os.Getenv("CONVERT_GOLDEN"); otherFolder != "" {
		folder = otherFolder
	}
	for name, g := range goldens(t, folder) {
		t.Run(name, func(t *testing.T) {
			b := &record.Batch{Registry: record.NewRegistry()}
			d := g.read(t, b)
			if d.Encoding == wit.WithSchema {
				err := connectdata.Check(b.Registry.Get(d.Schema).Nodes, b.Bytes(d))
				require.NoError(t, err, "a value of its schema")
			}
			c, err := New(ClassJSON, g.settings, Options{Schemas: b.Registry})
			require.NoError(t, err)
			out, isNull, err := c.Encode(t.Context(), []byte("before "), math.MaxInt32, "t", b, d)
			require.True(t, err == nil && !isNull, "expected a value, found null: %v, %v", isNull, err)
			diff := cmp.Diff("before "+g.written, string(out))
			assert.True(t, diff == "", "differs from Kafka (-Kafka +ours):\n%s", diff)
		})
	}
}

// JSON that Kafka wrote with a schema is read as the value that it was written from.
func TestReadsWhatKafkaWrote(t *testing.T) {
	for name, g := range goldens(t, "../../testdata/convert") {
		if !strings.HasPrefix(g.written, `{"schema":`) || strings.Contains(name, "default") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			b := &record.Batch{Registry: record.NewRegistry()}
			want := g.read(t, b)
			c := newConverter(t, ClassJSON, b.Registry)
			// The second time, the schema is cached.
			for range 2 {
				got, err := c.Decode(t.Context(), "t", []byte(g.written), b)
				require.NoError(t, err)
				require.True(t, got.Encoding == want.Encoding && got.Schema == want.Schema &&
					string(b.Bytes(got)) == string(b.Bytes(want)),
					"expected %v % x, found %v % x", want, b.Bytes(want), got, b.Bytes(got))
			}
		})
	}
}

// minRows contains the minimum number of rows of each file of testdata/convert: a comparison with fewer rows proves
// nothing.
var minRows = map[string]int{
	"avro-cases.tsv":        1013,
	"avro.tsv":              370,
	"differences.tsv":       21,
	"documents.tsv":         1517,
	"grid.tsv":              1692,
	"jsonschema-reads.tsv":  31,
	"jsonschema-writes.tsv": 175,
	"primitives.tsv":        664,
	"strings.tsv":           1738,
	"upstream.tsv":          74,
}

// readTSV returns the rows of a file of testdata/convert, each with the given number of columns; zero means any number.
func readTSV(t *testing.T, name string, columns int) (rows [][]string) {
	t.Helper()
	content, err := os.ReadFile("../../testdata/convert/" + name)
	require.NoError(t, err)
	for line := range strings.Lines(string(content)) {
		row := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		require.True(t, columns <= 0 || len(row) == columns, "%s: expected %d columns, found %q", name, columns, line)
		rows = append(rows, row)
	}
	if minimum := minRows[name]; minimum == 0 || len(rows) < minimum {
		t.Fatalf("%s: expected at least %d rows, found %d", name, minimum, len(rows))
	}
	return rows
}
