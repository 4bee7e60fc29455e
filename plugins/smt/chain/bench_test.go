package chain

import (
	"strconv"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// tenFields makes a call of rows with ten fields and together about size bytes.
func tenFields(t testing.TB, rows, size int) (schema wit.Schema, list []wit.Row, data []byte) {
	nodes := []wit.Node{{Kind: wit.Structure, Name: wit.Ptr("Order")}, {Kind: wit.Int32},
		{Kind: wit.Int64, Optional: true},
		{Kind: wit.Float64, Optional: true}, {Kind: wit.Boolean, Optional: true}, {Kind: wit.Text, Optional: true}}
	tree := datum.Record{}
	for i, node := range []uint32{1, 2, 3, 5, 5, 5, 4, 5, 5, 5} {
		nodes[0].Members = append(nodes[0].Members, wit.Member{Name: "f" + strconv.Itoa(i), Node: node})
		tree = append(tree, []any{nil, int32(100_000), int64(1_709_184_496_789), 1.5, true,
			strings.Repeat("x", size/6-5)}[node])
	}
	for i := range rows {
		start := len(data)
		var err error
		if data, err = datum.Append(data, nodes, 0, tree); err != nil {
			t.Fatal(err)
		}
		list = append(list, wit.Row{Origin: uint32(i), Partition: -1, Offset: -1, Timestamp: 1,
			Value: wit.Datum{Form: wit.Structured, Schema: 1, Start: uint32(start), Size: uint32(len(data) - start)}})
	}
	return wit.Schema{ID: 1, Nodes: nodes}, list, data
}

// withoutSchema makes maps of the structures of rows, and returns the data that they are in.
func withoutSchema(t testing.TB, nodes []wit.Node, rows []wit.Row, data []byte) (all []byte) {
	for i := range rows {
		d := &rows[i].Value
		tree, _, err := datum.Read(nodes, 0, data[d.Start:d.Start+d.Size])
		noError(t, err)
		m := datum.Map{}
		for f, v := range tree.(datum.Record) {
			m = append(m, datum.Entry{Key: nodes[0].Members[f].Name, Value: v})
		}
		start := len(all)
		if all, err = datum.AppendDynamic(all, m); err != nil {
			t.Fatal(err)
		}
		*d = wit.Datum{Form: wit.Dynamic, Start: uint32(start), Size: uint32(len(all) - start)}
	}
	return all
}

func benchChain() []wit.Stage {
	return []wit.Stage{
		stageOf(ClassInsertValue, "static.field", "system", "static.value", "SAP-PRD-100"),
		stageOf(ClassReplaceValue, "renames", "f0:id,f3:name", "exclude", "f7"),
		stageOf(ClassInsertValue, "topic.field", "topic"),
	}
}

// The plan alone, native: what is left in the sandbox's figure is the sandbox and the crossing.
func BenchmarkApply(b *testing.B) {
	e, context := prepared(b, benchChain()...)
	schema, rows, data := tenFields(b, 500, 1024)
	schemas := []wit.Schema{schema}
	b.ReportAllocs()
	for b.Loop() {
		if out, err := e.Apply(context, schemas, []string{"orders"}, rows, data); err != nil || len(out.Rows) != 500 {
			b.Fatal(err)
		}
		schemas = nil
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*500), "ns/record")
}
