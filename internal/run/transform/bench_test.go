package transform

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

const classes = "org.apache.kafka.connect.transforms."

// newStage returns a stage with settings in pairs.
func newStage(alias, class string, settings ...string) Stage {
	return Stage{Alias: alias, Class: classes + class, Settings: settingsOf(settings...)}
}

// onlyIf returns a stage for the rows that a predicate matches.
func onlyIf(s Stage, class string, settings ...string) Stage {
	p := newStage("when", "predicates."+class, settings...)
	s.Predicate = &Predicate{Alias: p.Alias, Class: p.Class, Settings: p.Settings}
	return s
}

// unless returns a stage for the rows that a predicate does not match.
func unless(s Stage, class string, settings ...string) Stage {
	s = onlyIf(s, class, settings...)
	s.Negate = true
	return s
}

func unlessTombstone(s Stage) Stage { return unless(s, "RecordIsTombstone") }

// Stages of the benchmarks.
var (
	insertStage = newStage("source", "InsertField$Value", "static.field", "system", "static.value", "SAP-PRD-100")
	topicStage  = newStage("topic", "InsertField$Value", "topic.field", "topic")
	castStage   = newStage("cast", "Cast$Value", "spec", "f0:string,f2:float32")
	timeStage   = newStage("time", "TimestampConverter$Value", "field", "f1", "target.type", "string", "format",
		"yyyy-MM-dd'T'HH:mm:ss")
	routeStage = newStage("route", "RegexRouter", "regex", "(.*)", "replacement", "sap.$1")
	keyStage   = newStage("key", "ValueToKey", "fields", "f0,f3")
	headStage  = newStage("head", "HeaderFrom$Value", "fields", "f1", "headers", "at", "operation", "move")
	dayStage   = newStage("day", "TimestampRouter")
	namesStage = newStage("names", "ReplaceField$Value", "renames", "f3:name", "exclude", "f7")
)

// benchChains are the chains of the benchmarks, next to Kafka's classes and alone. The targets apply to a chain of
// three and one of five; fieldStages only move bytes.
var (
	fiveStages  = []Stage{insertStage, namesStage, castStage, timeStage, routeStage}
	fieldStages = []Stage{
		insertStage,
		newStage("names", "ReplaceField$Value", "renames", "f0:id,f3:name", "exclude", "f7"),
		topicStage,
	}
	benchChains = []struct {
		name   string
		stages []Stage
	}{
		{"three", fiveStages[:3]},
		{"five", fiveStages},
		{"fields", fieldStages},
		{"keys", []Stage{
			newStage("key", "ValueToKey", "fields", "f0"),
			newStage("id", "ExtractField$Key", "field", "f0"),
			routeStage,
		}},
		{"columns", []Stage{keyStage, headStage, dayStage}},
		{"days", []Stage{insertStage, dayStage}},
		{"live", []Stage{unlessTombstone(fieldStages[0]), unlessTombstone(fieldStages[1]),
			unlessTombstone(fieldStages[2])}},
	}
)

// maskStages is a transform with the simple interface of the SDK, the first plugin of the README.
var maskStages = []Stage{{Alias: "mask", Class: "example.MaskText", Settings: settingsOf("fields", "f3", "keep", "4")}}

// tenFields returns rows of ten fields, size bytes in total.
func tenFields(t testing.TB, reg *record.Registry, rows, size int) *record.Batch {
	nodes := []wit.SchemaNode{
		{Kind: wit.Struct, Name: wit.Ptr("Order")},
		{Kind: wit.Int32},
		{Kind: wit.Int64, Optional: true},
		{Kind: wit.Float64, Optional: true},
		{Kind: wit.Boolean, Optional: true},
		{Kind: wit.String, Optional: true},
	}
	// The value of a field, by its node.
	values := []any{nil, int32(100_000), int64(1_709_184_496_789), 1.5, true, strings.Repeat("x", size/6-5)}
	tree := connectdata.Struct{}
	for i, node := range []uint32{1, 2, 3, 5, 5, 5, 4, 5, 5, 5} {
		nodes[0].Fields = append(nodes[0].Fields, wit.Field{Name: "f" + strconv.Itoa(i), Node: node})
		tree = append(tree, values[node])
	}
	s, err := reg.Intern(nodes)
	require.NoError(t, err)
	b := &record.Batch{Registry: reg, Topics: []string{"orders"}}
	for i := range rows {
		b.Rows = append(b.Rows, wit.Row{RowIndex: uint32(i), Partition: -1, Offset: -1, Timestamp: 1,
			Value: appendValue(t, b, s, tree)})
	}
	return b
}

// appendValue appends a value of a schema to a batch's data.
func appendValue(t testing.TB, b *record.Batch, s *record.Schema, v any) wit.ValueSlice {
	t.Helper()
	start := len(b.Data)
	var err error
	b.Data, err = connectdata.Append(b.Data, s.Nodes, 0, v)
	require.NoError(t, err)
	return wit.ValueSlice{Encoding: wit.WithSchema, Schema: s.ID, Start: uint32(start),
		Size: uint32(len(b.Data) - start)}
}

// withoutSchema converts structs to maps.
func withoutSchema(t testing.TB, b *record.Batch) {
	for i := range b.Rows {
		d := &b.Rows[i].Value
		nodes := b.Registry.Get(d.Schema).Nodes
		tree, _, err := connectdata.Read(nodes, 0, b.Bytes(*d))
		require.NoError(t, err)
		m := connectdata.Map{}
		for f, v := range tree.(connectdata.Struct) {
			m = append(m, connectdata.Entry{Key: nodes[0].Fields[f].Name, Value: v})
		}
		start := len(b.Data)
		b.Data, err = connectdata.AppendSchemaless(b.Data, m)
		require.NoError(t, err)
		*d = wit.ValueSlice{Encoding: wit.Schemaless, Start: uint32(start), Size: uint32(len(b.Data) - start)}
	}
}

// BenchmarkChains measures chains per record: of three stages by the number and size of rows, the others with 500 rows
// of 1 KB.
func BenchmarkChains(b *testing.B) {
	m, reg, _ := manager(b, map[string][]byte{"mask.wasm": guesttest.Bytes(b, "../../../examples/plugin-transform")})
	run := func(name string, stages []Stage, rows, size int) {
		b.Run(name, func(b *testing.B) { benchChain(b, m, stages, tenFields(b, reg, rows, size)) })
		b.Run("plain-"+name, func(b *testing.B) {
			batch := tenFields(b, reg, rows, size)
			withoutSchema(b, batch)
			benchChain(b, m, stages, batch)
		})
	}
	for _, c := range []struct {
		rows int
		size int // of a row, in bytes
	}{
		{rows: 100, size: 1024},
		{rows: 2000, size: 1024},
		{rows: 500, size: 4096},
		{rows: 500, size: 200},
	} {
		run(fmt.Sprintf("three/%dx%d", c.rows, c.size), fiveStages[:3], c.rows, c.size)
	}
	for _, c := range benchChains {
		run(c.name+"/500x1024", c.stages, 500, 1024)
	}
	run("easy/500x1024", maskStages, 500, 1024)
	run("rename/500x1024", []Stage{namesStage}, 500, 1024)
}

func benchChain(b *testing.B, m *plugin.Manager, stages []Stage, batch *record.Batch) {
	chain := open(b, m, 0, stages...)
	rows := slices.Clone(batch.Rows)
	dataSize := len(batch.Data)
	b.ReportAllocs()
	cpuBefore := cpu(b)
	for b.Loop() {
		batch.Rows = append(batch.Rows[:0], rows...)
		batch.Data = batch.Data[:dataSize]
		batch.Topics = batch.Topics[:1]
		rowErrs, err := chain.Apply(context.Background(), batch)
		require.True(b, err == nil && len(rowErrs) == 0 && len(batch.Rows) == len(rows),
			"expected %d rows, found %d, %v, %v", len(rows), len(batch.Rows), err, rowErrs)
	}
	b.ReportMetric(float64(cpu(b)-cpuBefore)/float64(b.N*len(rows)), "cpu-ns/record")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(rows)), "ns/record")
}

// cpu returns the processor time of the process in nanoseconds: on a busy machine wall time is not meaningful.
func cpu(t testing.TB) int64 {
	var u syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return u.Utime.Nano() + u.Stime.Nano()
}
