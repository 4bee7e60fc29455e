package transform

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/base/upstreamtest"
	"github.com/culvert-project/culvert/internal/convert"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// manager loads the plugin smt, and the plugins in more, and returns their folder.
func manager(t testing.TB, more map[string][]byte) (*plugin.Manager, *record.Registry, string) {
	t.Helper()
	dir := t.TempDir()
	files := map[string][]byte{"smt.wasm": guesttest.Bytes(t, "../../../plugins/smt")}
	for name, b := range more {
		files[name] = b
	}
	for name, b := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), b, 0o644))
	}
	reg := record.NewRegistry()
	m, err := plugin.New(context.Background(), plugin.Options{Folders: []string{dir}, Registry: reg,
		CacheDir: guesttest.Code(t)})
	require.NoError(t, err)
	t.Cleanup(func() { m.Close() })
	return m, reg, dir
}

// golden is a case of plugins/smt/testdata.
type golden struct {
	stages []Stage
	record map[string]json.RawMessage
	want   string
}

// read returns the text of a file.
func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(text)
}

// parseGolden parses a case: the lines of a golden file.
func parseGolden(t *testing.T, text string) golden {
	head, want, isValid := strings.Cut(text, "-----\n")
	g := golden{want: want}
	for _, line := range strings.Split(strings.TrimSpace(head), "\n") {
		kind, text, _ := strings.Cut(line, " ")
		switch kind {
		case "stage":
			g.stages = append(g.stages, readStage(t, text, len(g.stages)))
		case "record":
			require.NoError(t, json.Unmarshal([]byte(text), &g.record))
		default:
			isValid = false
		}
	}
	require.True(t, isValid, "%s: expected lines of stage and record, ----- and the outcome", head)
	return g
}

// readStage returns the n-th stage of a case, from its JSON.
func readStage(t *testing.T, text string, n int) Stage {
	var fields map[string]any
	require.NoError(t, json.Unmarshal([]byte(text), &fields))
	settings := func(fields map[string]any) (_ func(plugin.Info) []wit.Setting, class string) {
		var pairs []string
		for name, v := range fields {
			if s, ok := v.(string); ok && name == "type" {
				class = s
			} else if ok {
				pairs = append(pairs, name, s)
			}
		}
		return settingsOf(pairs...), class
	}
	s := Stage{Alias: "s" + strconv.Itoa(n)}
	s.Settings, s.Class = settings(fields)
	if p, ok := fields["predicate"].(map[string]any); ok {
		s.Predicate = &Predicate{Alias: "p"}
		s.Predicate.Settings, s.Predicate.Class = settings(p)
		s.Negate, _ = fields["negate"].(bool)
	}
	return s
}

func jsonConverter(t testing.TB, reg *record.Registry) convert.Converter {
	c, err := convert.New(convert.ClassJSON, map[string]string{"replace.null.with.default": "false"},
		convert.Options{Schemas: reg})
	require.NoError(t, err)
	return c
}

// batch returns a batch with the case's record.
func (g golden) batch(t *testing.T, reg *record.Registry) *record.Batch {
	number := func(name string) int64 {
		n := int64(-1)
		if text, ok := g.record[name]; ok {
			require.NoError(t, json.Unmarshal(text, &n))
		}
		return n
	}
	var topic string
	require.NoError(t, json.Unmarshal(g.record["topic"], &topic))
	b := &record.Batch{Registry: reg, Topics: []string{topic}}
	row := wit.Row{RowIndex: 77, Partition: int32(number("partition")), Offset: number("offset"),
		Timestamp: number("timestamp")}
	row.Key = decodeJSON(t, b, g.record["key"])
	row.Value = decodeJSON(t, b, g.record["value"])
	row.Headers = g.headers(t, b)
	b.Rows = []wit.Row{row}
	return b
}

// decodeJSON appends the value of a JSON text to a batch.
func decodeJSON(t *testing.T, b *record.Batch, text []byte) wit.ValueSlice {
	t.Helper()
	d, err := jsonConverter(t, b.Registry).Decode(t.Context(), "t", text, b)
	require.NoError(t, err)
	return d
}

// headers appends the case's headers, which are pairs of a name and a value.
func (g golden) headers(t *testing.T, b *record.Batch) wit.ValueSlice {
	var pairs [][2]json.RawMessage
	if text := g.record["headers"]; text != nil {
		require.NoError(t, json.Unmarshal(text, &pairs))
	}
	var list []connectdata.Header
	for _, pair := range pairs {
		var h connectdata.Header
		require.NoError(t, json.Unmarshal(pair[0], &h.Name))
		d := decodeJSON(t, b, pair[1])
		h.Encoding = d.Encoding
		h.Schema = d.Schema
		h.Value = b.Bytes(d)
		if d.Encoding == wit.Absent {
			h.Encoding = wit.Schemaless
			h.Value = []byte{connectdata.TagNull}
		}
		list = append(list, h)
	}
	if list == nil {
		return wit.ValueSlice{}
	}
	start := len(b.Data)
	b.Data = connectdata.AppendHeaders(b.Data, list)
	return wit.ValueSlice{Encoding: wit.Raw, Start: uint32(start), Size: uint32(len(b.Data) - start)}
}

// The plugin in its sandbox, with the host, returns for each record what Kafka Connect 4.3.1 returned (Replay.java
// there).
func TestTransformsMatchKafka(t *testing.T) {
	m, reg, _ := manager(t, nil)
	files, _ := filepath.Glob("../../../plugins/smt/testdata/*.golden")
	require.AtLeast(t, 150, len(files), "cases")
	for _, file := range files {
		g := parseGolden(t, read(t, file))
		t.Run(strings.TrimSuffix(filepath.Base(file), ".golden"), func(t *testing.T) {
			c := open(t, m, 0, g.stages...)
			b := g.batch(t, reg)
			rowErrs, err := c.Apply(context.Background(), b)
			require.NoError(t, err)
			if got := outcome(t, b, rowErrs); !equalOutcome(g.want, got) {
				t.Errorf("differs from Kafka (-Kafka +ours):\n%s", cmp.Diff(g.want, got))
			}
			if len(b.Rows) == 1 && b.Rows[0].RowIndex != 77 {
				t.Errorf("expected the row index 77, found %d", b.Rows[0].RowIndex)
			}
			checkCopies(t, g, c, reg, g.want)
		})
	}
}

// checkCopies sends several copies of the record at once and checks that each has the same result: the plugin has
// assembly loops for rows that are like the previous ones.
func checkCopies(t *testing.T, g golden, c *Chain, reg *record.Registry, want string) {
	const copies = 3
	b := g.batch(t, reg)
	for range copies - 1 {
		b.Rows = append(b.Rows, b.Rows[0])
	}
	rowErrs, err := c.Apply(context.Background(), b)
	require.NoError(t, err)
	if len(b.Rows) > copies || len(rowErrs) > copies {
		return // a row becomes several, which another test compares individually
	}
	rows := b.Rows
	for i := range max(len(rows), len(rowErrs), 1) {
		b.Rows = rows[min(i, len(rows)):]
		if got := outcome(t, b, rowErrs[min(i, len(rowErrs)):]); !equalOutcome(want, got) {
			t.Errorf("row %d of %d equal ones of %v differs (-expected +found):\n%s", i, copies, g.stages,
				cmp.Diff(want, got))
		}
	}
}

// outcome returns the first of the errors, or the first row, in the form of a golden file.
func outcome(t *testing.T, b *record.Batch, rowErrs []wit.RowError) string {
	if len(rowErrs) > 0 {
		f := rowErrs[0]
		return "stage " + strconv.Itoa(int(f.Stage)) + " fails: " + f.ErrorClass + ": " + f.Error.Message + "\n"
	}
	if len(b.Rows) == 0 {
		return "dropped\n"
	}
	row := b.Rows[0]
	out := "topic " + b.Topics[row.Topic] + "\nkey " + encodeJSON(t, b, row.Key) +
		"\nvalue " + encodeJSON(t, b, row.Value) + "\n"
	if row.Headers.Encoding == wit.Absent {
		return out
	}
	headers, err := connectdata.Headers(nil, b.Bytes(row.Headers))
	require.NoError(t, err)
	for _, h := range headers {
		d := wit.ValueSlice{Encoding: h.Encoding, Schema: h.Schema, Start: uint32(len(b.Data)),
			Size: uint32(len(h.Value))}
		b.Data = append(b.Data, h.Value...)
		if h.Encoding == wit.Schemaless && h.Value[0] == connectdata.TagNull {
			d = wit.ValueSlice{}
		}
		text, null, err := convert.SimpleHeaders{Registry: b.Registry}.Encode(t.Context(), nil, math.MaxInt32, "t", b,
			&h)
		require.NoError(t, err)
		out += "header " + quoteJSON(h.Name, false) + " " + encodeJSON(t, b, d) + " "
		out += quoteJSON(string(text), null) + "\n"
	}
	return out
}

// quoteJSON returns a text in JSON, as Jackson writes it.
func quoteJSON(text string, null bool) string {
	if null {
		return "null"
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.Encode(text)
	return strings.TrimSpace(b.String())
}

// encodeJSON returns a value in JSON, "(none)" for null.
func encodeJSON(t *testing.T, b *record.Batch, d wit.ValueSlice) string {
	out, null, err := jsonConverter(t, b.Registry).Encode(t.Context(), nil, math.MaxInt32, "t", b, d)
	if err != nil {
		return "cannot be converted: " + err.Error()
	}
	if null {
		return "(none)"
	}
	return string(out)
}

// recordText precedes the whole record in Java's form, which Kafka appends to a message.
const recordText = "Timestamp missing on record: "

// equalOutcome compares texts, but schemaless values as JSON: their members are in the order of a Java hash table.
func equalOutcome(want, got string) bool {
	if want == got {
		return true
	}
	wantLines := strings.Split(want, "\n")
	gotLines := strings.Split(got, "\n")
	if len(wantLines) != len(gotLines) {
		return false
	}
	for i, wantLine := range wantLines {
		gotLine := gotLines[i]
		if wantLine == gotLine {
			continue
		}
		if message, _, ok := strings.Cut(wantLine, recordText); ok && strings.HasPrefix(gotLine, message+recordText) {
			continue
		}
		wantStart, wantRest, ok := strings.Cut(wantLine, `{"schema":null,`)
		gotStart, gotRest, _ := strings.Cut(gotLine, `{"schema":null,`)
		wantValues := values("{" + wantRest)
		if !ok || wantStart != gotStart || wantValues == nil || !reflect.DeepEqual(wantValues, values("{"+gotRest)) {
			return false
		}
	}
	return true
}

// values returns the values of consecutive JSON texts, or nil if they are invalid. Texts that contain JSON themselves,
// as those of headers do, are replaced by their value.
func values(text string) (list []any) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	for d.More() {
		var v any
		if d.Decode(&v) != nil {
			return nil
		}
		if inner, ok := v.(string); ok {
			e := json.NewDecoder(strings.NewReader(inner))
			e.UseNumber()
			var w any
			if e.Decode(&w) == nil && !e.More() {
				v = w
			} else if strings.HasPrefix(inner, "{") || strings.HasPrefix(inner, "[") {
				// Kafka's header of a map does not escape line breaks in it, so it may be invalid JSON.
				letters := strings.Split(inner, "")
				slices.Sort(letters)
				v = strings.Join(letters, "")
			}
		}
		list = append(list, v)
	}
	return list
}

// Every test method of Kafka's transforms in testdata/upstream-cases.txt names an existing case.
func TestUpstreamCases(t *testing.T) {
	const root = "../../.."
	upstreamtest.List{Root: root, Area: "transforms and predicates", Least: 200,
		Tests:  []string{root + "/plugins/smt/chain", root + "/internal/java/values"},
		Method: func(name string) bool { return strings.Contains(name, "Test.") },
		Case: func(method, name string) string {
			if strings.HasPrefix(name, "Test") {
				return ""
			}
			text, err := os.ReadFile(root + "/plugins/smt/testdata/" + name + ".golden")
			if err != nil {
				return "there is no case " + name
			}
			head, want, _ := strings.Cut(string(text), "-----\n")
			class, _, _ := strings.Cut(method, "Test.")
			if text := headOf(class); !strings.Contains(head, text) || want == "" {
				return "the case " + name + " has no " + text + ", which the method is about"
			}
			return ""
		}}.Check(t)
}

// headOf returns the text in the head of a case that identifies a test of a Kafka class: the class itself, or a class
// that uses it.
func headOf(class string) string {
	switch class {
	case "SingleFieldPath", "FieldPathNotation", "FieldSyntaxVersion":
		return `"field.syntax.version":`
	case "Values", "SimpleHeaderConverter": // they read a literal, and write a header
		return `"header`
	case "HasHeaderKey", "TopicNameMatches":
		return `.transforms.predicates.` + class + `"`
	case "DropHeaders", "InsertHeader", "RegexRouter", "TimestampRouter", "ValueToKey":
		return `.transforms.` + class + `"`
	}
	return `.transforms.` + class + "$" // a transform of keys or values
}
