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

// manager loads the built plugin smt, and the plugins in more.
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
	head, want, found := strings.Cut(text, "-----\n")
	g := golden{want: want}
	for _, line := range strings.Split(strings.TrimSpace(head), "\n") {
		kind, rest, _ := strings.Cut(line, " ")
		switch kind {
		case "stage":
			g.stages = append(g.stages, readStage(t, rest, len(g.stages)))
		case "record":
			require.NoError(t, json.Unmarshal([]byte(rest), &g.record))
		default:
			found = false
		}
	}
	if !found {
		t.Fatalf("%s: expected lines of stage and record, ----- and the outcome", head)
	}
	return g
}

func readStage(t *testing.T, text string, n int) Stage {
	var fields map[string]any
	require.NoError(t, json.Unmarshal([]byte(text), &fields))
	settings := func(of map[string]any) (_ func(plugin.Info) []wit.Setting, class string) {
		var list []string
		for name, v := range of {
			if s, ok := v.(string); ok && name == "type" {
				class = s
			} else if ok {
				list = append(list, name, s)
			}
		}
		return given(list...), class
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
	row.Key, row.Value = decoded(t, b, g.record["key"]), decoded(t, b, g.record["value"])
	row.Headers = g.headers(t, b)
	b.Rows = []wit.Row{row}
	return b
}

// decoded appends the value of a JSON text to a batch.
func decoded(t *testing.T, b *record.Batch, text []byte) wit.ValueSlice {
	t.Helper()
	d, err := jsonConverter(t, b.Registry).Decode(t.Context(), "t", text, b)
	require.NoError(t, err)
	return d
}

// headers appends the case's headers, given as pairs of a name and a value.
func (g golden) headers(t *testing.T, b *record.Batch) wit.ValueSlice {
	var given [][2]json.RawMessage
	if text := g.record["headers"]; text != nil {
		require.NoError(t, json.Unmarshal(text, &given))
	}
	var list []connectdata.Header
	for _, pair := range given {
		var h connectdata.Header
		require.NoError(t, json.Unmarshal(pair[0], &h.Name))
		d := decoded(t, b, pair[1])
		h.Encoding, h.Schema, h.Value = d.Encoding, d.Schema, b.Bytes(d)
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
	if len(files) < 150 {
		t.Fatalf("only %d cases", len(files))
	}
	for _, file := range files {
		g := parseGolden(t, read(t, file))
		t.Run(strings.TrimSuffix(filepath.Base(file), ".golden"), func(t *testing.T) {
			c := open(t, m, 0, g.stages...)
			b := g.batch(t, reg)
			faults, err := c.Apply(context.Background(), b)
			require.NoError(t, err)
			if got := outcome(t, b, faults); !equalOutcome(g.want, got) {
				t.Errorf("differs from Kafka (-Kafka +ours):\n%s", cmp.Diff(g.want, got))
			}
			if len(b.Rows) == 1 && b.Rows[0].RowIndex != 77 {
				t.Errorf("row index %d", b.Rows[0].RowIndex)
			}
			again(t, g, c, reg, g.want)
		})
	}
}

// again sends several copies of the record at once and checks that each has the same result: the plugin has assembly
// loops for rows that are like the previous ones.
func again(t *testing.T, g golden, c *Chain, reg *record.Registry, want string) {
	const times = 3
	b := g.batch(t, reg)
	for range times - 1 {
		b.Rows = append(b.Rows, b.Rows[0])
	}
	faults, err := c.Apply(context.Background(), b)
	require.NoError(t, err)
	if len(b.Rows) > times || len(faults) > times {
		return // a row becomes several, which another test compares individually
	}
	rows := b.Rows
	for i := range max(len(rows), len(faults), 1) {
		b.Rows = rows[min(i, len(rows)):]
		if got := outcome(t, b, faults[min(i, len(faults)):]); !equalOutcome(want, got) {
			t.Errorf("row %d of %d equal ones of %v differs (-expected +found):\n%s", i, times, g.stages,
				cmp.Diff(want, got))
		}
	}
}

func outcome(t *testing.T, b *record.Batch, faults []wit.RowError) string {
	if len(faults) > 0 {
		f := faults[0]
		return "stage " + strconv.Itoa(int(f.Stage)) + " fails: " + f.ErrorClass + ": " + f.Error.Message + "\n"
	}
	if len(b.Rows) == 0 {
		return "dropped\n"
	}
	row := b.Rows[0]
	out := "topic " + b.Topics[row.Topic] + "\nkey " + written(t, b, row.Key) + "\nvalue " + written(t, b, row.Value) +
		"\n"
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
		out += "header " + quoted(h.Name, false) + " " + written(t, b, d) + " " + quoted(string(text), null) + "\n"
	}
	return out
}

// quoted returns a text in JSON, as Jackson writes it.
func quoted(text string, null bool) string {
	if null {
		return "null"
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.Encode(text)
	return strings.TrimSpace(b.String())
}

func written(t *testing.T, b *record.Batch, d wit.ValueSlice) string {
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
	a := strings.Split(want, "\n")
	b := strings.Split(got, "\n")
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		x, xs, ok := strings.Cut(a[i], `{"schema":null,`)
		y, ys, _ := strings.Cut(b[i], `{"schema":null,`)
		if a[i] == b[i] {
			continue
		}
		if x, _, ok := strings.Cut(a[i], recordText); ok && strings.HasPrefix(b[i], x+recordText) {
			continue
		}
		v := values("{" + xs)
		w := values("{" + ys)
		if !ok || x != y || v == nil || !reflect.DeepEqual(v, w) {
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
			if what := tested(class); !strings.Contains(head, what) || want == "" {
				return "the case " + name + " has no " + what + ", which the method is about"
			}
			return ""
		}}.Check(t)
}

// tested returns the text in the head of a case that identifies a test of a Kafka class: the class itself, or a class
// that uses it.
func tested(class string) string {
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
