package chain

import (
	"bytes"
	"math/big"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/plugins/smt/batch"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
	"github.com/culvert-project/culvert/wit/connectdata/connectdatatest"
)

// editable returns a schema whose fields Cast and TimestampConverter mostly accept.
func (m maker) editable() []wit.SchemaNode {
	nodes := []wit.SchemaNode{{Kind: wit.Struct, Optional: m.IntN(8) == 0}}
	for i, name := range pool[:2+m.IntN(5)] {
		node := wit.SchemaNode{Kind: wit.Kind(m.IntN(int(wit.Array))), Optional: m.IntN(2) == 0}
		switch {
		case node.Kind == wit.Int32 && m.IntN(2) == 0:
			node.Name = wit.Ptr([]string{wit.NameDate, wit.NameTime}[m.IntN(2)])
		case node.Kind == wit.Int64 && m.IntN(2) == 0:
			node.Name = wit.Ptr(wit.NameTimestamp)
		case node.Kind == wit.Bytes:
			node.Name, node.Parameters = wit.Ptr(wit.NameDecimal), pairs("scale", "2")
		}
		nodes[0].Fields = append(nodes[0].Fields, wit.Field{Name: name, Node: uint32(i + 1)})
		nodes = append(nodes, node)
		if m.IntN(4) == 0 {
			setDefault(nodes, i+1, m.scalar(&nodes[i+1]))
		}
	}
	if m.IntN(10) == 0 {
		setDefault(nodes, 0, m.record(nodes))
	}
	return nodes
}

// record returns a value of such a schema.
func (m maker) record(nodes []wit.SchemaNode) (result connectdata.Struct) {
	for _, member := range nodes[0].Fields {
		var value any
		if node := &nodes[member.Node]; !node.Optional || m.IntN(4) > 0 {
			value = m.scalar(node)
		}
		result = append(result, value)
	}
	return result
}

// scalar returns a value of a field that can mostly be cast.
func (m maker) scalar(node *wit.SchemaNode) any {
	number := int64(m.Uint64() >> (8 + m.IntN(56)))
	if m.IntN(3) == 0 {
		number = -number
	}
	switch node.Kind {
	case wit.Int8:
		return int8(number)
	case wit.Int16:
		return int16(number)
	case wit.Int32:
		return int32(number)
	case wit.Int64:
		return number
	case wit.Float32:
		return float32(number) / 8
	case wit.Float64:
		return float64(number) / 8
	case wit.Boolean:
		return number&1 == 0
	case wit.Bytes:
		return connectdata.AppendDecimal(nil, big.NewInt(number))[1:]
	}
	return []string{"7", "-12", "1.5", "true", "2024-02-29", "31-12", "x", ""}[min(m.IntN(8), m.IntN(8))]
}

// editStage returns a stage that edits values, or one that the fast path joins with such stages.
func (m maker) editStage() wit.Stage {
	stage := wit.Stage{}
	set := func(name, value string) {
		stage.Settings = append(stage.Settings, wit.Setting{Name: name, Value: value})
	}
	switch m.IntN(11) {
	case 8:
		stage = stageOf(ClassValueToKey, "fields", m.some())
	case 9:
		stage = stageOf(ClassExtractKey, "field", m.name())
	case 10:
		class := []string{ClassCastKey, ClassMaskKey, ClassReplaceKey, ClassTimestampKey, ClassInsertKey}[m.IntN(5)]
		name := m.name()
		stage = stageOf(class, "spec", name+":string", "fields", name, "field", name, "exclude", name, "target.type",
			"unix",
			"static.field", m.fresh(), "static.value", "key")
	case 0, 1, 2:
		spec := m.name() + ":" + castTypes[m.IntN(len(castTypes))]
		if m.IntN(2) == 0 {
			spec += "," + m.name() + ":" + castTypes[m.IntN(len(castTypes))]
		}
		stage = stageOf(ClassCastValue, "spec", spec)
	case 3, 4:
		stage = stageOf(ClassTimestampValue, "field", m.name(), "target.type",
			[]string{"string", "unix", "Date", "Time", "Timestamp"}[m.IntN(5)],
			"format", []string{"yyyy-MM-dd", "yyyyMMddHHmmssSSS", "'" + longText + "'yyyy"}[m.IntN(3)])
		if m.IntN(2) == 0 {
			set("unix.precision", []string{"nanoseconds", "microseconds", "milliseconds", "seconds"}[m.IntN(4)])
		}
	case 5:
		stage = stageOf(ClassMaskValue, "fields", m.name())
	case 6:
		stage = stageOf(ClassInsertValue, []string{"timestamp.field", "partition.field"}[m.IntN(2)], m.fresh(),
			"static.field", m.name(), "static.value", "17")
	default:
		stage = stageOf(ClassReplaceValue, "exclude", m.name(), "renames", m.name()+":"+m.name())
	}
	if m.IntN(2) == 0 {
		set("replace.null.with.default", "false")
	}
	return stage
}

// longText makes date texts whose length prefix takes two bytes.
var longText = strings.Repeat("long ", 20)

var castTypes = []string{"int8", "int16", "int32", "int64", "float32", "float64", "boolean", "string"}

// Edited rows have the same results and failures on the fast path as in the interpreter.
func TestEditsEqualInterpreter(t *testing.T) {
	fast := 0
	good := 0
	failed := 0
	for seed := range uint64(2500) {
		random := maker{connectdatatest.New(seed)}
		var stages []wit.Stage
		for range 1 + random.IntN(5) {
			stages = append(stages, random.editStage())
		}
		nodes := random.editable()
		call := testCall{topics: []string{"t"}}
		dynamic := random.IntN(2) == 0
		for range 12 {
			record := random.record(nodes)
			if dynamic {
				call.add(t, nil, asMap(nodes, record))
			} else {
				call.add(t, nodes, record)
			}
			row := &call.rows[len(call.rows)-1]
			row.Partition = 1
			row.Timestamp = int64(random.IntN(1 << 40))
		}
		call.data = append(call.data, make([]byte, 100)...) // capacity, so that the last rows are handled as the first
		schemas := []wit.Schema{{ID: 1, Nodes: nodes}}
		engine, chain, _, faults := bothWays(t, seed, stages, schemas, call)
		failed += len(faults)
		engine.start(call.call())
		fast += engine.fastPath.Run(chain.routes, 0)
		good += len(call.rows)
	}
	good -= failed
	t.Logf("%d rows changed, %d of them on the fast path, %d failed", good, fast, failed)
	if fast < 5000 || failed < 5000 {
		t.Errorf("expected 5000 rows each on the fast path and failed, found %d and %d", fast, failed)
	}
}

// sent sends rows through a chain, with the interpreter alone if plain is set.
func sent(t *testing.T, stages []wit.Stage, schemas []wit.Schema, call testCall,
	plain bool) (*Engine, *compiledChain, []outcome, []wit.RowError) {
	t.Helper()
	engine, context := prepared(t, stages...)
	chain, err := engine.chain(context)
	noError(t, err)
	engine.fastPath.Off = plain
	out, faults := apply(t, engine, context, schemas, call)
	return engine, chain, outcomes(t, engine, len(call.rows), out, faults), faults
}

// bothWays compares the results of interpreter and fast path. about describes the case.
func bothWays(t *testing.T, about any, stages []wit.Stage, schemas []wit.Schema,
	call testCall) (*Engine, *compiledChain, []outcome, []wit.RowError) {
	t.Helper()
	_, _, want, _ := sent(t, stages, schemas, call, true)
	engine, chain, got, faults := sent(t, stages, schemas, call, false)
	if !reflect.DeepEqual(want, got) {
		t.Fatalf("%v: %+v of %+v: differs (-interpreter +fast path):\n%s", about, stages, schemas, cmp.Diff(want, got))
	}
	return engine, chain, got, faults
}

// rowsOf returns rows with one field, with spare capacity after the last one.
func rowsOf(t *testing.T, nodes []wit.SchemaNode, values ...any) testCall {
	t.Helper()
	call := testCall{topics: []string{"t"}}
	for _, value := range values {
		if nodes != nil {
			call.add(t, nodes, connectdata.Struct{value})
		} else {
			call.add(t, nil, connectdata.Map{{Key: "f", Value: value}})
		}
	}
	call.data = append(call.data, make([]byte, 100)...)
	return call
}

// A null that becomes the key removes the key, also after edits of the field.
func TestNullKeyIsAbsent(t *testing.T) {
	key := stageOf(ClassValueToKey, "fields", "f")
	extract := stageOf(ClassExtractKey, "field", "f")
	cast := stageOf(ClassCastValue, "spec", "f:string")
	mask := stageOf(ClassMaskValue, "fields", "f")
	for name, stages := range map[string][]wit.Stage{
		"as it is":          {key, extract},
		"cast":              {cast, key, extract},
		"cast in the key":   {key, stageOf(ClassCastKey, "spec", "f:string"), extract},
		"cast in both":      {cast, key, stageOf(ClassCastKey, "spec", "f:int8"), extract},
		"a time":            {stageOf(ClassTimestampValue, "field", "f", "target.type", "unix"), key, extract},
		"a time in the key": {key, stageOf(ClassTimestampKey, "field", "f", "target.type", "unix"), extract},
		"cast and masked":   {cast, mask, key, extract},
	} {
		t.Run(name, func(t *testing.T) {
			call := rowsOf(t, nil, int64(5), nil, int64(6), nil, int64(7))
			engine, chain, result, _ := bothWays(t, name, stages, nil, call)
			if result[1].KeyForm != wit.Absent || result[2].KeyForm != wit.Schemaless {
				t.Errorf("expected no key and then a key, found %v and %v", result[1].KeyForm, result[2].KeyForm)
			}
			engine.start(call.call())
			if done := engine.fastPath.Run(chain.routes, 0); done != 1 {
				t.Errorf("expected one row on the fast path, up to the null, found %d", done)
			}
		})
	}
}

// A row whose key is invalid fails, and so does each later row of its kind.
func TestInvalidKeyFailsEachRow(t *testing.T) {
	key := stageOf(ClassValueToKey, "fields", "f")
	for name, edits := range map[string]wit.Stage{"cast": stageOf(ClassCastKey, "spec", "f:int8"),
		"a time": stageOf(ClassTimestampKey, "field", "f", "target.type", "unix")} {
		for encoding, nodes := range map[string][]wit.SchemaNode{"plain": nil,
			"schema": {{Kind: wit.Struct, Fields: []wit.Field{{Name: "f", Node: 1}}}, {Kind: wit.String}}} {
			t.Run(name+"/"+encoding, func(t *testing.T) {
				call := rowsOf(t, nodes, "x", "x", "x")
				_, _, _, faults := bothWays(t, name, []wit.Stage{key, edits}, []wit.Schema{{ID: 1, Nodes: nodes}}, call)
				if len(faults) != len(call.rows) {
					t.Errorf("expected each row to fail, found %v", faults)
				}
			})
		}
	}
}

// RecordIsTombstone evaluates the extracted field, not the struct.
func TestTombstonesOfExtractedNulls(t *testing.T) {
	extract := stageOf(ClassExtractValue, "field", "f")
	route := stageOf(ClassRegexRouter, "regex", "(.*)", "replacement", "null.$1")
	header := stageOf(ClassInsertHeader, "header", "h", "value.literal", "x")
	tombstone := func(stage wit.Stage, negate bool) wit.Stage {
		stage.Condition = &wit.Condition{Component: ClassIsTombstone, Negate: negate}
		return stage
	}
	for name, test := range map[string]struct {
		stages []wit.Stage
		fast   bool
	}{
		"filter":           {stages: []wit.Stage{extract, tombstone(wit.Stage{Component: ClassFilter}, false)}},
		"filter others":    {stages: []wit.Stage{extract, tombstone(wit.Stage{Component: ClassFilter}, true)}},
		"route":            {stages: []wit.Stage{extract, tombstone(route, false)}},
		"route others":     {stages: []wit.Stage{extract, tombstone(route, true)}},
		"header":           {stages: []wit.Stage{extract, tombstone(header, false)}},
		"header of others": {stages: []wit.Stage{extract, tombstone(header, true)}},
		"filter before": {stages: []wit.Stage{tombstone(wit.Stage{Component: ClassFilter}, false), extract},
			fast: true},
		"extract from others": {stages: []wit.Stage{tombstone(extract, true), route}, fast: true},
	} {
		for encoding, nodes := range map[string][]wit.SchemaNode{"plain": nil,
			"schema": {{Kind: wit.Struct, Fields: []wit.Field{{Name: "f", Node: 1}}},
				{Kind: wit.Int64, Optional: true}}} {
			t.Run(name+"/"+encoding, func(t *testing.T) {
				call := rowsOf(t, nodes, int64(5), int64(6), nil, int64(7), nil)
				engine, chain, _, _ := bothWays(t, name, test.stages, []wit.Schema{{ID: 1, Nodes: nodes}}, call)
				engine.start(call.call())
				if row := engine.fastPath.Run(chain.routes, 0); row > 0 != test.fast {
					t.Errorf("expected rows on the fast path: %t, found %d", test.fast, row)
				}
			})
		}
	}
}

// MaskField accepts a required field that InsertField added.
func TestMasksOfRequiredAttributes(t *testing.T) {
	mask := stageOf(ClassMaskValue, "fields", "x")
	key := []wit.Stage{stageOf(ClassValueToKey, "fields", "x"), stageOf(ClassMaskKey, "fields", "x")}
	nodes := []wit.SchemaNode{{Kind: wit.Struct, Fields: []wit.Field{{Name: "f", Node: 1}}}, {Kind: wit.Int64}}
	for _, attribute := range []string{"partition.field", "timestamp.field", "offset.field"} {
		for name, stages := range map[string][]wit.Stage{
			"masked":          {mask},
			"cast and masked": {stageOf(ClassCastValue, "spec", "x:string"), mask},
			"masked and cast": {mask, stageOf(ClassCastValue, "spec", "x:string")},
			"in the key":      key,
		} {
			t.Run(attribute+"/"+name, func(t *testing.T) {
				call := rowsOf(t, nodes, int64(5), int64(6), int64(7), int64(8))
				for i := range call.rows {
					row := &call.rows[i]
					row.Partition = int32(i)
					row.Offset = int64(i)
					row.Timestamp = int64(i)
				}
				last := &call.rows[len(call.rows)-1]
				last.Partition = -1
				last.Offset = -1
				last.Timestamp = -1
				stages := append([]wit.Stage{stageOf(ClassInsertValue, attribute, "x!")}, stages...)
				_, _, _, faults := bothWays(t, name, stages, []wit.Schema{{ID: 1, Nodes: nodes}}, call)
				if len(faults) != 1 || int(faults[0].RowIndex) != len(call.rows)-1 {
					t.Errorf("expected a fault of the last row only, found %v", faults)
				}
			})
		}
	}
}

// Edited values that are written to key and value fit into the output.
func TestOutputGrowsForEditedKeyAndValue(t *testing.T) {
	stages := []wit.Stage{stageOf(ClassTimestampValue, "field", "f", "target.type", "string", "format",
		"yyyy'"+strings.Repeat(longText, 10)+"'"),
		stageOf(ClassValueToKey, "fields", "f")}
	times := make([]any, 300)
	for i := range times {
		times[i] = int64(i) << 30
	}
	for name, nodes := range map[string][]wit.SchemaNode{"plain": nil,
		"schema": {{Kind: wit.Struct, Fields: []wit.Field{{Name: "f", Node: 1}}}, {Kind: wit.Int64}}} {
		t.Run(name, func(t *testing.T) {
			call := rowsOf(t, nodes, times...)
			schemas := []wit.Schema{{ID: 1, Nodes: nodes}}
			engine, chain, _, _ := bothWays(t, t.Name(), stages, schemas, call)
			// too small a buffer again, followed by guard bytes
			for size := 1; size < 2500; size++ {
				guarded := bytes.Repeat([]byte{0xa5}, size+3000)
				engine.out.Data = guarded[:0:size]
				engine.start(batch.Input{Topics: call.topics, Rows: call.rows[:1], Data: call.data})
				if done := engine.fastPath.Run(chain.routes, 0); done != 1 {
					t.Fatalf("%d bytes: expected the row on the fast path", size)
				}
				if rest := bytes.TrimLeft(guarded[size:], "\xa5"); len(rest) > 0 {
					t.Fatalf("%d bytes: guard bytes were overwritten", size)
				}
			}
		})
	}
}

// A Cast to the field's own type fails values with the name of a date type of another type.
func TestCastOfTimesUnderAnotherType(t *testing.T) {
	stages := []wit.Stage{stageOf(ClassCastValue, "spec", "f:int64")}
	for name, failed := range map[string]bool{wit.NameDate: true, wit.NameTime: true, wit.NameTimestamp: false,
		wit.NameDecimal: false, "other": false} {
		nodes := []wit.SchemaNode{{Kind: wit.Struct, Fields: []wit.Field{{Name: "f", Node: 1}}}, {Kind: wit.Int64,
			Name: &name}}
		call := rowsOf(t, nodes, int64(5), int64(6))
		schemas := []wit.Schema{{ID: 1, Nodes: nodes}}
		if _, _, _, faults := bothWays(t, failed, stages, schemas, call); len(faults) > 0 != failed {
			t.Errorf("%s: %d faults", name, len(faults))
		}
	}
}

// Chains of common transforms use the fast path for all rows.
func TestChainsOnFastPath(t *testing.T) {
	casting := func(spec string) wit.Stage { return stageOf(ClassCastValue, "spec", spec) }
	mask := func(field string) wit.Stage { return stageOf(ClassMaskValue, "fields", field) }
	without := func(field string) wit.Stage { return stageOf(ClassReplaceValue, "exclude", field) }
	cast := casting("f0:string,f2:float32")
	when := stageOf(ClassTimestampValue, "field", "f1", "target.type", "string", "format", "yyyy-MM-dd")
	stamp := stageOf(ClassInsertValue, "timestamp.field", "at")
	stamped := stageOf(ClassTimestampValue, "field", "at", "target.type", "unix", "unix.precision", "seconds")
	tombstone := func(list []wit.Stage, negate bool) (result []wit.Stage) {
		for _, stage := range list {
			stage.Condition = &wit.Condition{Component: ClassIsTombstone, Negate: negate}
			result = append(result, stage)
		}
		return result
	}
	route := stageOf(ClassRegexRouter, "regex", "(.*)", "replacement", "sap.$1")
	filter := []wit.Stage{{Component: ClassFilter}}
	castKey := stageOf(ClassCastKey, "spec", "f0:string")
	key := stageOf(ClassValueToKey, "fields", "f1,f0")
	header := stageOf(ClassHeaderFromValue, "fields", "f1,f4", "headers", "h,i", "operation", "move")
	extract := stageOf(ClassExtractKey, "field", "f0")
	for name, test := range map[string]struct {
		stages []wit.Stage
		fast   bool // for all rows
	}{
		"edits": {stages: []wit.Stage{cast, when}, fast: true},
		"among others": {stages: append(append(benchChain()[:1:1], cast, when), benchChain()[2]),
			fast: true},
		"of what was inserted":       {stages: []wit.Stage{stamp, stamped}, fast: true},
		"masked":                     {stages: []wit.Stage{cast, mask("f0")}, fast: true},
		"taken out":                  {stages: []wit.Stage{cast, without("f0")}, fast: true},
		"one after another":          {stages: []wit.Stage{cast, casting("f0:int64")}, fast: true},
		"one that fails":             {stages: []wit.Stage{cast, casting("f3:int8")}},
		"one that fails, taken out":  {stages: []wit.Stage{casting("f3:int8"), without("f3")}},
		"one that fails, and a mask": {stages: []wit.Stage{casting("f3:int8"), mask("f3")}},
		"for no tombstones":          {stages: tombstone(benchChain(), true), fast: true},
		"without tombstones":         {stages: append(tombstone(filter, false), benchChain()...), fast: true},
		"a key":                      {stages: []wit.Stage{key}, fast: true},
		"a key that is no structure": {stages: []wit.Stage{key, extract, route}, fast: true},
		"a key of what is edited":    {stages: []wit.Stage{cast, when, key, extract, casting("f0:int64")}, fast: true},
		"a key that is edited":       {stages: append(benchChain()[2:], key, castKey, extract), fast: true},
		"a key that was there":       {stages: []wit.Stage{extract}},
		"a topic of the day": {stages: append(benchChain(), wit.Stage{Component: ClassTimestampRouter}),
			fast: true},
		"another topic": {stages: tombstone([]wit.Stage{route}, true), fast: true},
		"headers":       {stages: []wit.Stage{header}, fast: true},
		"headers of what stays": {stages: []wit.Stage{casting("f0:string"), key, header,
			{Component: ClassTimestampRouter}}, fast: true},
		"a value as a whole": {stages: []wit.Stage{casting("string")}},
		"flat":               {stages: []wit.Stage{{Component: ClassFlattenValue}}, fast: true},
	} {
		for _, encoding := range []string{"schema", "plain"} {
			t.Run(name+"/"+encoding, func(t *testing.T) {
				engine, context := prepared(t, test.stages...)
				chain, err := engine.chain(context)
				noError(t, err)
				schema, rows, data := tenFields(t, 20, 1024)
				if encoding == "plain" {
					data = withoutSchema(t, schema.Nodes, rows, data)
				}
				data = append(data, make([]byte, 100)...)
				if _, err := engine.Apply(context, []wit.Schema{schema}, []string{"t"}, rows[:1], data); err != nil {
					t.Fatal(err)
				}
				engine.start(batch.Input{Topics: []string{"t"}, Rows: rows, Data: data})
				want := 0
				if test.fast {
					want = len(rows)
				}
				if got := engine.fastPath.Run(chain.routes, 0); got != want {
					t.Errorf("expected %d of %d rows, found %d", want, len(rows), got)
				}
			})
		}
	}
}
