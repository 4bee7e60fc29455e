package chain

import (
	"bytes"
	"math/big"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
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
			node.Name = wit.Ptr(wit.NameDecimal)
			node.Parameters = pairs("scale", "2")
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

// record returns a value of a schema that editable returned.
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
		stage = stageOf(ClassValueToKey, "fields", m.nameList())
	case 9:
		stage = stageOf(ClassExtractKey, "field", m.name())
	case 10:
		class := []string{ClassCastKey, ClassMaskKey, ClassReplaceKey, ClassTimestampKey, ClassInsertKey}[m.IntN(5)]
		name := m.name()
		stage = stageOf(class, "spec", name+":string", "fields", name, "field", name, "exclude", name, "target.type",
			"unix", "static.field", m.newName(), "static.value", "key")
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
		stage = stageOf(ClassInsertValue, []string{"timestamp.field", "partition.field"}[m.IntN(2)], m.newName(),
			"static.field", m.name(), "static.value", "17")
	default:
		stage = stageOf(ClassReplaceValue, "exclude", m.name(), "renames", m.name()+":"+m.name())
	}
	if m.IntN(2) == 0 {
		set("replace.null.with.default", "false")
	}
	return stage
}

// longText is a literal of date patterns, for texts whose length prefix has two bytes.
var longText = strings.Repeat("long ", 20)

var castTypes = []string{"int8", "int16", "int32", "int64", "float32", "float64", "boolean", "string"}

// Edited rows have the same results and failures on the fast path as in the interpreter.
func TestEditsEqualInterpreter(t *testing.T) {
	fast := 0
	changed := 0
	failures := 0
	for seed := range uint64(2500) {
		random := maker{connectdatatest.New(seed)}
		var stages []wit.Stage
		for range 1 + random.IntN(5) {
			stages = append(stages, random.editStage())
		}
		nodes := random.editable()
		call := input{topics: []string{"t"}}
		isSchemaless := random.IntN(2) == 0
		for range 12 {
			record := random.record(nodes)
			if isSchemaless {
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
		engine, chain, _, rowErrors := compareRuns(t, seed, stages, schemas, call)
		failures += len(rowErrors)
		engine.start(call)
		fast += engine.fastPath.run(chain.routes, 0)
		changed += len(call.rows) - len(rowErrors)
	}
	t.Logf("%d rows changed, %d of them on the fast path, %d failed", changed, fast, failures)
	assert.True(t, fast >= 5000 && failures >= 5000,
		"expected 5000 rows each on the fast path and failed, found %d and %d", fast, failures)
}

// Values of the parameter plain of runChain.
const (
	withoutFastPath = true
	withFastPath    = false
)

// runChain sends rows through a chain, with the interpreter alone if plain is set.
func runChain(t *testing.T, stages []wit.Stage, schemas []wit.Schema, call input,
	plain bool) (*Engine, *compiledChain, []outcome, []wit.RowError) {
	t.Helper()
	engine, context := newPrepared(t, stages...)
	chain, err := engine.chain(context)
	require.NoError(t, err)
	engine.fastPath.off = plain
	out, rowErrors := apply(t, engine, context, schemas, call)
	return engine, chain, outcomes(t, engine, len(call.rows), out, rowErrors), rowErrors
}

// compareRuns compares the results of the fast path and the interpreter, and returns those of the fast path. about is
// the case, for messages.
func compareRuns(t *testing.T, about any, stages []wit.Stage, schemas []wit.Schema,
	call input) (*Engine, *compiledChain, []outcome, []wit.RowError) {
	t.Helper()
	_, _, want, _ := runChain(t, stages, schemas, call, withoutFastPath)
	engine, chain, got, rowErrors := runChain(t, stages, schemas, call, withFastPath)
	if !reflect.DeepEqual(want, got) {
		t.Fatalf("%v: %+v of %+v: differs (-interpreter +fast path):\n%s", about, stages, schemas, cmp.Diff(want, got))
	}
	return engine, chain, got, rowErrors
}

// rowsOf returns rows with one field, with spare capacity after the last one.
func rowsOf(t *testing.T, nodes []wit.SchemaNode, values ...any) input {
	t.Helper()
	call := input{topics: []string{"t"}}
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
		"unchanged":         {key, extract},
		"cast":              {cast, key, extract},
		"cast in the key":   {key, stageOf(ClassCastKey, "spec", "f:string"), extract},
		"cast in both":      {cast, key, stageOf(ClassCastKey, "spec", "f:int8"), extract},
		"a time":            {stageOf(ClassTimestampValue, "field", "f", "target.type", "unix"), key, extract},
		"a time in the key": {key, stageOf(ClassTimestampKey, "field", "f", "target.type", "unix"), extract},
		"cast and masked":   {cast, mask, key, extract},
	} {
		t.Run(name, func(t *testing.T) {
			call := rowsOf(t, nil, int64(5), nil, int64(6), nil, int64(7))
			engine, chain, result, _ := compareRuns(t, name, stages, nil, call)
			assert.True(t, result[1].KeyForm == wit.Absent && result[2].KeyForm == wit.Schemaless,
				"expected no key and then a key, found %v and %v", result[1].KeyForm, result[2].KeyForm)
			engine.start(call)
			assert.Equal(t, 1, engine.fastPath.run(chain.routes, 0), "row on the fast path, up to the null")
		})
	}
}

// A row whose key is invalid fails, and so does each later row of its kind.
func TestInvalidKeyFailsEachRow(t *testing.T) {
	key := stageOf(ClassValueToKey, "fields", "f")
	for name, edit := range map[string]wit.Stage{
		"cast":   stageOf(ClassCastKey, "spec", "f:int8"),
		"a time": stageOf(ClassTimestampKey, "field", "f", "target.type", "unix"),
	} {
		for encoding, nodes := range map[string][]wit.SchemaNode{
			"schemaless": nil,
			"schema":     {{Kind: wit.Struct, Fields: []wit.Field{{Name: "f", Node: 1}}}, {Kind: wit.String}},
		} {
			t.Run(name+"/"+encoding, func(t *testing.T) {
				call := rowsOf(t, nodes, "x", "x", "x")
				schemas := []wit.Schema{{ID: 1, Nodes: nodes}}
				_, _, _, rowErrors := compareRuns(t, name, []wit.Stage{key, edit}, schemas, call)
				assert.Len(t, len(call.rows), rowErrors, "each row to fail")
			})
		}
	}
}

// RecordIsTombstone evaluates the extracted field, not the struct.
func TestTombstonesOfExtractedNulls(t *testing.T) {
	extract := stageOf(ClassExtractValue, "field", "f")
	route := stageOf(ClassRegexRouter, "regex", "(.*)", "replacement", "null.$1")
	header := stageOf(ClassInsertHeader, "header", "h", "value.literal", "x")
	const negate = true
	withCondition := func(stage wit.Stage, isNegated bool) wit.Stage {
		stage.Condition = &wit.Condition{Component: ClassIsTombstone, Negate: isNegated}
		return stage
	}
	for name, test := range map[string]struct {
		stages     []wit.Stage
		isFastPath bool // for the rows before the first null
	}{
		"filter":           {stages: []wit.Stage{extract, withCondition(wit.Stage{Component: ClassFilter}, !negate)}},
		"filter others":    {stages: []wit.Stage{extract, withCondition(wit.Stage{Component: ClassFilter}, negate)}},
		"route":            {stages: []wit.Stage{extract, withCondition(route, !negate)}},
		"route others":     {stages: []wit.Stage{extract, withCondition(route, negate)}},
		"header":           {stages: []wit.Stage{extract, withCondition(header, !negate)}},
		"header of others": {stages: []wit.Stage{extract, withCondition(header, negate)}},
		"filter before": {stages: []wit.Stage{withCondition(wit.Stage{Component: ClassFilter}, !negate), extract},
			isFastPath: true},
		"extract from others": {stages: []wit.Stage{withCondition(extract, negate), route}, isFastPath: true},
	} {
		for encoding, nodes := range map[string][]wit.SchemaNode{
			"schemaless": nil,
			"schema": {{Kind: wit.Struct, Fields: []wit.Field{{Name: "f", Node: 1}}},
				{Kind: wit.Int64, Optional: true}},
		} {
			t.Run(name+"/"+encoding, func(t *testing.T) {
				call := rowsOf(t, nodes, int64(5), int64(6), nil, int64(7), nil)
				engine, chain, _, _ := compareRuns(t, name, test.stages, []wit.Schema{{ID: 1, Nodes: nodes}}, call)
				engine.start(call)
				if done := engine.fastPath.run(chain.routes, 0); done > 0 != test.isFastPath {
					t.Errorf("expected rows on the fast path: %t, found %d", test.isFastPath, done)
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
			"edit and mask":   {mask},
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
				_, _, _, rowErrors := compareRuns(t, name, stages, []wit.Schema{{ID: 1, Nodes: nodes}}, call)
				assert.True(t, len(rowErrors) == 1 && int(rowErrors[0].RowIndex) == len(call.rows)-1,
					"expected a fault of the last row only, found %v", rowErrors)
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
	for name, nodes := range map[string][]wit.SchemaNode{
		"schemaless": nil,
		"schema":     {{Kind: wit.Struct, Fields: []wit.Field{{Name: "f", Node: 1}}}, {Kind: wit.Int64}},
	} {
		t.Run(name, func(t *testing.T) {
			call := rowsOf(t, nodes, times...)
			schemas := []wit.Schema{{ID: 1, Nodes: nodes}}
			engine, chain, _, _ := compareRuns(t, t.Name(), stages, schemas, call)
			// The output has a buffer that is too small, followed by guard bytes.
			for size := 1; size < 2500; size++ {
				guarded := bytes.Repeat([]byte{0xa5}, size+3000)
				engine.out.data = guarded[:0:size]
				engine.start(input{topics: call.topics, rows: call.rows[:1], data: call.data})
				done := engine.fastPath.run(chain.routes, 0)
				require.True(t, done == 1, "%d bytes: expected the row on the fast path", size)
				overwritten := bytes.TrimLeft(guarded[size:], "\xa5")
				require.True(t, len(overwritten) == 0, "%d bytes: guard bytes were overwritten", size)
			}
		})
	}
}

// A Cast to the field's own type fails values with the name of a date type of another type.
func TestCastOfTimesUnderAnotherType(t *testing.T) {
	stages := []wit.Stage{stageOf(ClassCastValue, "spec", "f:int64")}
	for name, isRejected := range map[string]bool{
		wit.NameDate:      true,
		wit.NameTime:      true,
		wit.NameTimestamp: false,
		wit.NameDecimal:   false,
		"other":           false,
	} {
		nodes := []wit.SchemaNode{{Kind: wit.Struct, Fields: []wit.Field{{Name: "f", Node: 1}}}, {Kind: wit.Int64,
			Name: &name}}
		call := rowsOf(t, nodes, int64(5), int64(6))
		schemas := []wit.Schema{{ID: 1, Nodes: nodes}}
		if _, _, _, rowErrors := compareRuns(t, name, stages, schemas, call); len(rowErrors) > 0 != isRejected {
			t.Errorf("%s: expected rows to be rejected: %t, found %v", name, isRejected, rowErrors)
		}
	}
}

// Chains of common transforms use the fast path for all rows.
func TestChainsOnFastPath(t *testing.T) {
	castTo := func(spec string) wit.Stage { return stageOf(ClassCastValue, "spec", spec) }
	mask := func(field string) wit.Stage { return stageOf(ClassMaskValue, "fields", field) }
	without := func(field string) wit.Stage { return stageOf(ClassReplaceValue, "exclude", field) }
	cast := castTo("f0:string,f2:float32")
	dateText := stageOf(ClassTimestampValue, "field", "f1", "target.type", "string", "format", "yyyy-MM-dd")
	insertTime := stageOf(ClassInsertValue, "timestamp.field", "at")
	convertTime := stageOf(ClassTimestampValue, "field", "at", "target.type", "unix", "unix.precision", "seconds")
	const negate = true
	ifTombstone := func(list []wit.Stage, isNegated bool) (result []wit.Stage) {
		for _, stage := range list {
			stage.Condition = &wit.Condition{Component: ClassIsTombstone, Negate: isNegated}
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
		stages     []wit.Stage
		isFastPath bool // for all rows
	}{
		"edits": {stages: []wit.Stage{cast, dateText}, isFastPath: true},
		"edits among other transforms": {stages: append(append(benchChain()[:1:1], cast, dateText), benchChain()[2]),
			isFastPath: true},
		"edit of an inserted field":       {stages: []wit.Stage{insertTime, convertTime}, isFastPath: true},
		"edit and mask":                   {stages: []wit.Stage{cast, mask("f0")}, isFastPath: true},
		"edit and removal":                {stages: []wit.Stage{cast, without("f0")}, isFastPath: true},
		"edit of an edited field":         {stages: []wit.Stage{cast, castTo("f0:int64")}, isFastPath: true},
		"failing edit":                    {stages: []wit.Stage{cast, castTo("f3:int8")}},
		"failing edit of a removed field": {stages: []wit.Stage{castTo("f3:int8"), without("f3")}},
		"failing edit of a masked field":  {stages: []wit.Stage{castTo("f3:int8"), mask("f3")}},
		"not for tombstones":              {stages: ifTombstone(benchChain(), negate), isFastPath: true},
		"without tombstones": {stages: append(ifTombstone(filter, !negate), benchChain()...),
			isFastPath: true},
		"a key":                      {stages: []wit.Stage{key}, isFastPath: true},
		"a key that is no structure": {stages: []wit.Stage{key, extract, route}, isFastPath: true},
		"a key of edited fields": {stages: []wit.Stage{cast, dateText, key, extract, castTo("f0:int64")},
			isFastPath: true},
		"a key that is edited": {stages: append(benchChain()[2:], key, castKey, extract), isFastPath: true},
		"the key of the input": {stages: []wit.Stage{extract}},
		"a topic of the day": {stages: append(benchChain(), wit.Stage{Component: ClassTimestampRouter}),
			isFastPath: true},
		"another topic": {stages: ifTombstone([]wit.Stage{route}, negate), isFastPath: true},
		"headers":       {stages: []wit.Stage{header}, isFastPath: true},
		"headers and a key of the same field": {stages: []wit.Stage{castTo("f0:string"), key, header,
			{Component: ClassTimestampRouter}}, isFastPath: true},
		"a value as a whole": {stages: []wit.Stage{castTo("string")}},
		"flat":               {stages: []wit.Stage{{Component: ClassFlattenValue}}, isFastPath: true},
	} {
		for _, encoding := range []string{"schema", "schemaless"} {
			t.Run(name+"/"+encoding, func(t *testing.T) {
				engine, context := newPrepared(t, test.stages...)
				chain, err := engine.chain(context)
				require.NoError(t, err)
				schema, rows, data := tenFields(t, 20, 1024)
				if encoding == "schemaless" {
					data = withoutSchema(t, schema.Nodes, rows, data)
				}
				data = append(data, make([]byte, 100)...)
				_, err = engine.Apply(context, []wit.Schema{schema}, []string{"t"}, rows[:1], data)
				require.NoError(t, err)
				engine.start(input{topics: []string{"t"}, rows: rows, data: data})
				want := 0
				if test.isFastPath {
					want = len(rows)
				}
				assert.Equal(t, want, engine.fastPath.run(chain.routes, 0), "of", len(rows), "rows")
			})
		}
	}
}
