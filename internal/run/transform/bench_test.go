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

// benched returns a stage with an alias and settings in pairs.
func benched(alias, class string, settings ...string) Stage {
	return Stage{Alias: alias, Class: classes + class, Settings: given(settings...)}
}

// when returns a stage with a predicate.
func when(s Stage, negate bool, class string, settings ...string) Stage {
	p := benched("when", "predicates."+class, settings...)
	s.Predicate = &Predicate{Alias: p.Alias, Class: p.Class, Settings: p.Settings}
	s.Negate = negate
	return s
}

// live returns a stage that skips tombstones.
func live(s Stage) Stage { return when(s, true, "RecordIsTombstone") }

// Stages of the benchmarks.
var (
	insertStage = benched("source", "InsertField$Value", "static.field", "system", "static.value", "SAP-PRD-100")
	topicStage  = benched("topic", "InsertField$Value", "topic.field", "topic")
	castStage   = benched("cast", "Cast$Value", "spec", "f0:string,f2:float32")
	timeStage   = benched("time", "TimestampConverter$Value", "field", "f1", "target.type", "string", "format",
		"yyyy-MM-dd'T'HH:mm:ss")
	routeStage = benched("route", "RegexRouter", "regex", "(.*)", "replacement", "sap.$1")
	keyStage   = benched("key", "ValueToKey", "fields", "f0,f3")
	headStage  = benched("head", "HeaderFrom$Value", "fields", "f1", "headers", "at", "operation", "move")
	dayStage   = benched("day", "TimestampRouter")
	namesStage = benched("names", "ReplaceField$Value", "renames", "f3:name", "exclude", "f7")
)

// benchChains are the chains of the benchmarks, next to Kafka's classes and alone. The targets apply to a chain of
// three and one of five; fieldStages only move bytes.
var (
	fiveStages  = []Stage{insertStage, namesStage, castStage, timeStage, routeStage}
	fieldStages = []Stage{insertStage, benched("names", "ReplaceField$Value", "renames", "f0:id,f3:name", "exclude",
		"f7"), topicStage}
	benchChains = []struct {
		name   string
		stages []Stage
	}{
		{"three", fiveStages[:3]}, {"five", fiveStages}, {"fields", fieldStages},
		{"keys", []Stage{benched("key", "ValueToKey", "fields", "f0"), benched("id", "ExtractField$Key", "field", "f0"),
			routeStage}},
		{"columns", []Stage{keyStage, headStage, dayStage}},
		{"days", []Stage{insertStage, dayStage}},
		{"live", []Stage{live(fieldStages[0]), live(fieldStages[1]), live(fieldStages[2])}},
	}
)

// maskStages is a transform with the simple interface of the SDK, the first plugin of the README.
var maskStages = []Stage{{Alias: "mask", Class: "example.MaskText", Settings: given("fields", "f3", "keep", "4")}}

// tenFields returns rows of ten fields, size bytes in total.
func tenFields(t testing.TB, reg *record.Registry, rows, size int) *record.Batch {
	nodes := []wit.SchemaNode{{Kind: wit.Struct, Name: wit.Ptr("Order")}, {Kind: wit.Int32}, {Kind: wit.Int64,
		Optional: true},
		{Kind: wit.Float64, Optional: true}, {Kind: wit.Boolean, Optional: true}, {Kind: wit.String, Optional: true}}
	tree := connectdata.Struct{}
	for i, node := range []uint32{1, 2, 3, 5, 5, 5, 4, 5, 5, 5} {
		nodes[0].Fields = append(nodes[0].Fields, wit.Field{Name: "f" + strconv.Itoa(i), Node: node})
		tree = append(tree, []any{nil, int32(100_000), int64(1_709_184_496_789), 1.5, true, strings.Repeat("x",
			size/6-5)}[node])
	}
	s, err := reg.Intern(nodes)
	require.NoError(t, err)
	b := &record.Batch{Registry: reg, Topics: []string{"orders"}}
	for i := range rows {
		b.Rows = append(b.Rows, wit.Row{RowIndex: uint32(i), Partition: -1, Offset: -1, Timestamp: 1,
			Value: structured(t, b, s, tree)})
	}
	return b
}

// structured appends a value of a schema to a batch's data.
func structured(t testing.TB, b *record.Batch, s *record.Schema, v any) wit.ValueSlice {
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
		for _, form := range []string{"", "plain-"} {
			b.Run(form+name, func(b *testing.B) { benchChain(b, m, reg, stages, rows, size, form != "") })
		}
	}
	for _, c := range []struct{ rows, size int }{{100, 1024}, {2000, 1024}, {500, 4096}, {500, 200}} {
		run(fmt.Sprintf("three/%dx%d", c.rows, c.size), fiveStages[:3], c.rows, c.size)
	}
	for _, c := range benchChains {
		run(c.name+"/500x1024", c.stages, 500, 1024)
	}
	run("easy/500x1024", maskStages, 500, 1024)
	run("rename/500x1024", []Stage{namesStage}, 500, 1024)
}

func benchChain(b *testing.B, m *plugin.Manager, reg *record.Registry, stages []Stage, count, size int, plain bool) {
	chain := open(b, m, 0, stages...)
	batch := tenFields(b, reg, count, size)
	if plain {
		withoutSchema(b, batch)
	}
	rows := slices.Clone(batch.Rows)
	data := len(batch.Data)
	b.ReportAllocs()
	before := cpu(b)
	for b.Loop() {
		batch.Rows = append(batch.Rows[:0], rows...)
		batch.Data = batch.Data[:data]
		batch.Topics = batch.Topics[:1]
		if faults, err := chain.Apply(context.Background(), batch); err != nil || len(faults) > 0 ||
			len(batch.Rows) != count {
			b.Fatal(err, faults)
		}
	}
	b.ReportMetric(float64(cpu(b)-before)/float64(b.N*count), "cpu-ns/record")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*count), "ns/record")
}

// cpu returns the processor time of the process: on a busy machine wall time is not meaningful.
func cpu(t testing.TB) int64 {
	var u syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return u.Utime.Nano() + u.Stime.Nano()
}
