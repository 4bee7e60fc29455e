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
	var b batch
	for range rows {
		b.add(t, nodes, tree)
	}
	return wit.Schema{ID: 1, Nodes: nodes}, b.rows, b.data
}

// asMap is a structure without its schema.
func asMap(nodes []wit.Node, of datum.Record) datum.Map {
	m := datum.Map{}
	for f, v := range of {
		m = append(m, datum.Entry{Key: nodes[0].Members[f].Name, Value: v})
	}
	return m
}

// withoutSchema makes maps of the structures of rows, and returns the data that they are in.
func withoutSchema(t testing.TB, nodes []wit.Node, rows []wit.Row, data []byte) []byte {
	var all batch
	for i := range rows {
		d := &rows[i].Value
		tree, _, err := datum.Read(nodes, 0, data[d.Start:d.Start+d.Size])
		noError(t, err)
		*d = all.put(t, nil, asMap(nodes, tree.(datum.Record)))
	}
	return all.data
}

func benchChain() []wit.Stage {
	return []wit.Stage{
		stageOf(ClassInsertValue, "static.field", "system", "static.value", "SAP-PRD-100"),
		stageOf(ClassReplaceValue, "renames", "f0:id,f3:name", "exclude", "f7"),
		stageOf(ClassInsertValue, "topic.field", "topic"),
	}
}

// The chains alone, native: what is left in the sandbox's figure is the sandbox and the crossing. Those that fall to
// the plain way have "plain" in their name.
func BenchmarkApply(b *testing.B) {
	edits := []wit.Stage{stageOf(ClassCastValue, "spec", "f0:string,f2:float32"),
		stageOf(ClassTimestampValue, "field", "f1", "target.type", "string", "format", "yyyy-MM-dd")}
	one := func(class string, settings ...string) []wit.Stage { return []wit.Stage{stageOf(class, settings...)} }
	header := wit.Stage{Component: ClassFilter,
		Condition: &wit.Condition{Component: ClassHasHeaderKey, Settings: pairs("name", "h")}}
	for _, c := range []struct {
		name   string
		stages []wit.Stage
		schema bool
	}{
		{"three", benchChain(), true},
		{"three with Cast", append(benchChain()[1:], edits[0]), true},
		{"five", append(benchChain(), edits...), true},
		{"schemaless/three", benchChain(), false},
		{"schemaless/five", append(benchChain(), edits...), false},
		{"ReplaceField", one(ClassReplaceValue, "exclude", "f0"), true},
		{"ValueToKey", one(ClassValueToKey, "fields", "f0"), true},
		{"MaskField", one(ClassMaskValue, "fields", "f4"), true},
		{"HoistField", one(ClassHoistValue, "field", "value"), true},
		{"InsertHeader", one(ClassInsertHeader, "header", "h", "value.literal", "text"), true},
		{"SetSchemaMetadata", one(ClassMetadataValue, "schema.name", "n"), true},
		{"HasHeaderKey", []wit.Stage{header}, true},
		{"plain/ExtractField V2", one(ClassExtractValue, "field", "f3.x", "field.syntax.version", "V2"), true},
		{"plain/Flatten", one(ClassFlattenValue), true},
		{"plain/schemaless/Flatten", one(ClassFlattenValue), false},
		{"plain/schemaless/HoistField", one(ClassHoistValue, "field", "value"), false},
		{"plain/Coalesce", one(ClassCoalesceValue, "fields", "f4,f5", "field", "f4"), true},
	} {
		b.Run(c.name, func(b *testing.B) {
			e, context := prepared(b, c.stages...)
			schema, rows, data := tenFields(b, 500, 1024)
			schemas := []wit.Schema{schema}
			if !c.schema {
				data, schemas = withoutSchema(b, schema.Nodes, rows, data), nil
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := e.Apply(context, schemas, []string{"orders"}, rows, data); err != nil {
					b.Fatal(err)
				}
				schemas = nil
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*500), "ns/record")
		})
	}
}
