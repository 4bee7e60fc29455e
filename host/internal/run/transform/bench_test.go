package transform

import (
	"context"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/culvert-project/culvert/host/plugin/guesttest"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

const classes = "org.apache.kafka.connect.transforms."

// benchStages are the three transforms that speed is measured with.
var benchStages = []Stage{
	{Alias: "source", Class: classes + "InsertField$Value", Settings: []wit.Setting{{Name: "static.field",
		Value: "system"}, {Name: "static.value", Value: "SAP-PRD-100"}}},
	{Alias: "names", Class: classes + "ReplaceField$Value", Settings: []wit.Setting{{Name: "renames",
		Value: "f0:id,f3:name"}, {Name: "exclude", Value: "f7"}}},
	{Alias: "topic", Class: classes + "InsertField$Value", Settings: []wit.Setting{{Name: "topic.field",
		Value: "topic"}}},
}

var routedStages = append(benchStages[:2:2], Stage{Alias: "route", Class: classes + "RegexRouter",
	Settings: []wit.Setting{{Name: "regex", Value: "(.*)"}, {Name: "replacement", Value: "sap.$1"}}})

// columnStages move fields between columns; liveStages are those of benchStages, each for records that are no
// tombstones.
var (
	columnStages = []Stage{
		{Alias: "key", Class: classes + "ValueToKey", Settings: []wit.Setting{{Name: "fields", Value: "f0,f3"}}},
		{Alias: "head", Class: classes + "HeaderFrom$Value", Settings: []wit.Setting{{Name: "fields", Value: "f1"},
			{Name: "headers", Value: "at"}, {Name: "operation", Value: "move"}}},
		{Alias: "day", Class: classes + "TimestampRouter"},
	}
	// keyStages make the key of a field, dayStages a topic of the day.
	keyStages = []Stage{
		{Alias: "key", Class: classes + "ValueToKey", Settings: []wit.Setting{{Name: "fields", Value: "f0"}}},
		{Alias: "id", Class: classes + "ExtractField$Key", Settings: []wit.Setting{{Name: "field", Value: "f0"}}},
		routedStages[2],
	}
	dayStages  = []Stage{benchStages[0], columnStages[2]}
	liveStages = func() (list []Stage) {
		for _, s := range benchStages {
			s.Predicate, s.Negate = &Predicate{Alias: "tombstone", Class: classes +
				"predicates.RecordIsTombstone"}, true
			list = append(list, s)
		}
		return list
	}()
)

// editedStages are chains of three and five stages with one or two among them that make other values of fields: Cast,
// and TimestampConverter.
func editedStages(edits, stages int) []Stage {
	cast := Stage{Alias: "cast", Class: classes + "Cast$Value", Settings: []wit.Setting{{Name: "spec",
		Value: "f0:string,f2:float32"}}}
	when := Stage{Alias: "when", Class: classes + "TimestampConverter$Value", Settings: []wit.Setting{{Name: "field",
		Value: "f1"}, {Name: "target.type", Value: "string"}, {Name: "format", Value: "yyyy-MM-dd'T'HH:mm:ss"}}}
	names := Stage{Alias: "names", Class: classes + "ReplaceField$Value", Settings: []wit.Setting{{Name: "renames",
		Value: "f3:name"}, {Name: "exclude", Value: "f7"}}}
	list := []Stage{benchStages[0], cast}
	if edits == 1 && stages == 5 {
		list = append(list, names, peerMask, benchStages[2])
	} else if edits == 1 {
		list = append(list, names)
	} else if stages == 5 {
		list = append(list, names, when, benchStages[2])
	} else {
		list = []Stage{cast, names, when}
	}
	return list
}

// peerMask masks a text.
var peerMask = Stage{Alias: "mask", Class: classes + "MaskField$Value", Settings: []wit.Setting{{Name: "fields",
	Value: "f4"}}}

// maskStages is a transform in the easy form of the SDK, the first plugin of the README; renameStages is a built-in
// one.
var (
	maskStages = []Stage{{Alias: "mask", Class: "example.MaskText", Settings: []wit.Setting{{Name: "fields",
		Value: "f3"}, {Name: "keep", Value: "4"}}}}
	renameStages = []Stage{{Alias: "names", Class: classes + "ReplaceField$Value",
		Settings: []wit.Setting{{Name: "renames", Value: "f3:name"}}}}
)

// tenFields makes rows of ten fields with together size bytes.
func tenFields(t testing.TB, reg *record.Registry, rows, size int) *record.Batch {
	nodes := []wit.Node{{Kind: wit.Structure, Name: wit.Ptr("Order")}, {Kind: wit.Int32}, {Kind: wit.Int64,
		Optional: true},
		{Kind: wit.Float64, Optional: true}, {Kind: wit.Boolean, Optional: true}, {Kind: wit.Text, Optional: true}}
	tree := datum.Record{}
	for i, node := range []uint32{1, 2, 3, 5, 5, 5, 4, 5, 5, 5} {
		nodes[0].Members = append(nodes[0].Members, wit.Member{Name: "f" + strconv.Itoa(i), Node: node})
		tree = append(tree, []any{nil, int32(100_000), int64(1_709_184_496_789), 1.5, true, strings.Repeat("x",
			size/6-5)}[node])
	}
	s, err := reg.Intern(nodes)
	if err != nil {
		t.Fatal(err)
	}
	b := &record.Batch{Registry: reg, Topics: []string{"orders"}}
	for i := range rows {
		start := len(b.Data)
		if b.Data, err = datum.Append(b.Data, s.Nodes, 0, tree); err != nil {
			t.Fatal(err)
		}
		b.Rows = append(b.Rows, wit.Row{Origin: uint32(i), Partition: -1, Offset: -1, Timestamp: 1,
			Value: wit.Datum{Form: wit.Structured, Schema: s.ID, Start: uint32(start),
				Size: uint32(len(b.Data) - start)}})
	}
	return b
}

// withoutSchema makes maps of the structures.
func withoutSchema(t testing.TB, b *record.Batch) {
	for i := range b.Rows {
		d := &b.Rows[i].Value
		nodes := b.Registry.Get(d.Schema).Nodes
		tree, _, err := datum.Read(nodes, 0, b.Bytes(*d))
		if err != nil {
			t.Fatal(err)
		}
		m := datum.Map{}
		for f, v := range tree.(datum.Record) {
			m = append(m, datum.Entry{Key: nodes[0].Members[f].Name, Value: v})
		}
		start := len(b.Data)
		if b.Data, err = datum.AppendDynamic(b.Data, m); err != nil {
			t.Fatal(err)
		}
		*d = wit.Datum{Form: wit.Dynamic, Start: uint32(start), Size: uint32(len(b.Data) - start)}
	}
}

func BenchmarkChainOfThree(b *testing.B) {
	m, reg, _ := manager(b, map[string][]byte{"mask.wasm": guesttest.Bytes(b, "../../../../examples/plugin-transform")})
	for _, c := range []struct {
		name       string
		stages     []Stage
		rows, size int
	}{
		{"500x1024", benchStages, 500, 1024}, {"500x1000", benchStages, 500, 1000}, {"500x1100", benchStages, 500,
			1100}, {"512x1024", benchStages, 512, 1024},
		{"100x1024", benchStages, 100, 1024}, {"2000x1024", benchStages, 2000, 1024}, {"500x4096", benchStages, 500,
			4096},
		{"500x200", benchStages, 500, 200}, {"route/500x1024", routedStages, 500, 1024}, {"rows/500x1024",
			routedStages[2:], 500, 1024},
		{"schemaless/500x1024", benchStages, 500, 1024},
		{"columns/500x1024", columnStages, 500, 1024}, {"live/500x1024", liveStages, 500, 1024},
		{"schemaless-columns/500x1024", columnStages, 500, 1024},
		{"keys/500x1024", keyStages, 500, 1024}, {"schemaless-keys/500x1024", keyStages, 500, 1024},
		{"days/500x1024", dayStages, 500, 1024},
		{"rename/500x1024", renameStages, 500, 1024}, {"easy/500x1024", maskStages, 500, 1024}, {"easy/500x200",
			maskStages, 500, 200},
		{"schemaless-easy/500x1024", maskStages, 500, 1024},
		{"edited-3-1/500x1024", editedStages(1, 3), 500, 1024}, {"edited-3-2/500x1024", editedStages(2, 3), 500, 1024},
		{"edited-5-1/500x1024", editedStages(1, 5), 500, 1024}, {"edited-5-2/500x1024", editedStages(2, 5), 500, 1024},
		{"schemaless-edited-3-1/500x1024", editedStages(1, 3), 500, 1024},
		{"schemaless-edited-3-2/500x1024", editedStages(2, 3), 500, 1024},
		{"schemaless-edited-5-1/500x1024", editedStages(1, 5), 500, 1024},
		{"schemaless-edited-5-2/500x1024", editedStages(2, 5), 500, 1024},
	} {
		b.Run(c.name, func(b *testing.B) {
			chain, err := New(context.Background(), Options{Manager: m, Connector: "c", Stages: c.stages})
			if err != nil {
				b.Fatal(err)
			}
			defer chain.Close()
			batch := tenFields(b, reg, c.rows, c.size)
			if strings.HasPrefix(c.name, "schemaless") {
				withoutSchema(b, batch)
			}
			rows, data := append([]wit.Row(nil), batch.Rows...), len(batch.Data)
			b.ReportAllocs()
			b.ResetTimer()
			before := cpu(b)
			for range b.N {
				batch.Rows, batch.Data, batch.Topics = append(batch.Rows[:0],
					rows...), batch.Data[:data], batch.Topics[:1]
				if faults, err := chain.Apply(context.Background(), batch); err != nil || len(faults) > 0 ||
					len(batch.Rows) != c.rows {
					b.Fatal(err, faults)
				}
			}
			b.ReportMetric(float64(cpu(b)-before)/float64(b.N*c.rows), "cpu-ns/record")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*c.rows), "ns/record")
		})
	}
}

// cpu is the processor time that the process has taken: on a busy machine the clock tells little.
func cpu(t testing.TB) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
