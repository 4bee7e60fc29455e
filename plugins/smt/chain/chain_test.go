package chain

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
	"github.com/culvert-project/culvert/wit/connectdata/connectdatatest"
)

// maker creates random schemas, values and chains. Names come from a small pool, so that they often coincide.
type maker struct{ *connectdatatest.Random }

var pool = []string{"a", "b", "c", "d", "e", "f", "g", "long.name-with ümlaut"}

func (m maker) name() string { return pool[m.IntN(len(pool))] }

// newName returns a name that mostly no field has.
func (m maker) newName() string {
	if m.IntN(5) == 0 {
		return m.name()
	}
	return "n" + strconv.Itoa(m.IntN(30))
}

// setDefault sets the default of a node.
func setDefault(nodes []wit.SchemaNode, node int, value any) {
	b, err := connectdata.AppendDefault(nil, nodes, uint32(node), value)
	must(err)
	nodes[node].DefaultValue = &b
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// structure returns a schema whose root is mostly a struct, with names of the pool.
func (m maker) structure() []wit.SchemaNode {
	if m.IntN(12) == 0 {
		return m.Schema()
	}
	nodes := []wit.SchemaNode{{Kind: wit.Struct, Optional: m.IntN(5) == 0, Name: wit.Ptr("N"),
		Version: wit.Ptr(int32(m.IntN(3)))}}
	for _, i := range m.Perm(len(pool))[:m.IntN(len(pool)+1)] {
		first := uint32(len(nodes))
		nodes[0].Fields = append(nodes[0].Fields, wit.Field{Name: pool[i], Node: first})
		for _, node := range m.Schema() {
			node.Key += first
			node.Element += first
			node.Fields = slices.Clone(node.Fields)
			for k := range node.Fields {
				node.Fields[k].Node += first
			}
			nodes = append(nodes, node)
		}
	}
	return nodes
}

// nonNull returns a value for a node that is not null.
func (m maker) nonNull(nodes []wit.SchemaNode, node uint32) (value any) {
	for value == nil {
		value = m.Value(nodes, node)
	}
	return value
}

func (m maker) text() string {
	return strings.Repeat("x", []int{0, 1, 5, 63, 64, 200, 5000, 9000}[min(m.IntN(8), m.IntN(8))])
}

// schemaless returns a value that is mostly a map with these names as keys.
func (m maker) schemaless(names []int) any {
	if m.IntN(10) == 0 {
		return []any{"text", int64(1), connectdata.List{nil}, true}[m.IntN(4)]
	}
	out := connectdata.Map{}
	for _, i := range names {
		out = append(out, connectdata.Entry{Key: pool[i], Value: []any{nil, m.text(), int64(m.Uint64() >> m.IntN(64)),
			connectdata.List{int64(1)}, connectdata.Map{}, 1.5, true, int32(7)}[m.IntN(8)]})
	}
	if m.IntN(20) == 0 {
		out = append(out, connectdata.Entry{Key: int64(1), Value: nil})
	}
	return out
}

// stage returns a random stage of any transform, mostly without condition.
func (m maker) stage() wit.Stage {
	stage := wit.Stage{}
	set := func(name, value string) {
		stage.Settings = append(stage.Settings, wit.Setting{Name: name, Value: value})
	}
	switch m.IntN(23) {
	case 0:
		stage = stageOf(ClassRegexRouter, "regex", []string{"(.*)", "t0", "t1"}[m.IntN(3)], "replacement",
			[]string{"x.$0", "t1", "t2"}[m.IntN(3)])
	case 1:
		stage.Component = ClassFilter
		stage.Condition = &wit.Condition{Component: ClassTopicNameMatch}
	case 2, 3, 4, 5:
		stage.Component = []string{ClassInsertValue, "InsertField$Value", ClassInsertKey}[m.IntN(3)]
		marks := []string{"", "!", "?"}
		for _, setting := range []string{"topic.field", "partition.field", "offset.field", "timestamp.field"} {
			if m.IntN(4) == 0 {
				set(setting, m.newName()+m.mark(marks))
			}
		}
		if m.IntN(2) == 0 || len(stage.Settings) == 0 {
			set("static.field", m.newName()+marks[m.IntN(3)])
			set("static.value", m.text())
		}
	case 10:
		stage.Component = ClassTimestampRouter
	case 11:
		stage = stageOf(ClassValueToKey, "fields", m.nameList())
	case 12, 13:
		fields := m.nameList()
		stage = stageOf(m.mostly(ClassHeaderFromValue, ClassHeaderFromKey), "fields", fields)
		set("headers", strings.Repeat(m.name()+",", strings.Count(fields, ","))+m.name())
		set("operation", []string{"move", "copy"}[m.IntN(2)])
	case 14:
		stage = stageOf(ClassDropHeaders, "headers", m.nameList())
	case 15:
		stage = stageOf([]string{ClassExtractValue, ClassExtractKey}[m.IntN(2)], "field", m.name())
	case 16:
		stage = stageOf([]string{ClassHoistValue, ClassHoistKey}[m.IntN(2)], "field", m.name())
	case 17:
		stage = stageOf([]string{ClassMetadataValue, ClassMetadataKey}[m.IntN(2)], "schema.name", "M")
		if m.IntN(2) == 0 {
			set("schema.version", strconv.Itoa(m.IntN(5)-1))
		}
	case 18, 19:
		stage = stageOf(m.mostly(ClassMaskValue, ClassMaskKey), "fields", m.nameList())
		if m.IntN(2) == 0 {
			set("replacement", []string{"7", "-3e2", "1.5", "x"}[m.IntN(4)])
		}
	case 20:
		stage = stageOf(ClassInsertHeader, "header", m.name(), "value.literal",
			[]string{"", "null", "text", "-7", "[1, 2.5]"}[m.IntN(5)])
	case 21:
		stage = stageOf(m.mostly(ClassFlattenValue, ClassFlattenKey), "delimiter", []string{".", ""}[m.IntN(2)])
	case 22:
		stage = stageOf(m.mostly(ClassCastValue, ClassCastKey), "spec",
			m.name()+":"+[]string{"string", "boolean", "int16"}[m.IntN(3)])
	default:
		stage.Component = m.mostly(ClassReplaceValue, ClassReplaceKey)
		if m.IntN(2) == 0 {
			set("exclude", strings.ReplaceAll(m.distinctNames(2), ",", " ,"))
		}
		if m.IntN(4) == 0 {
			set("include", m.distinctNames(4))
		}
		if m.IntN(2) == 0 {
			from := m.Perm(len(pool))
			to := m.Perm(len(pool))
			set("renames", pool[from[0]]+":"+m.newName()+","+pool[from[1]]+":"+pool[to[1]])
		}
	}
	if m.IntN(3) == 0 {
		set("replace.null.with.default", "false")
	}
	if stage.Condition != nil || m.IntN(4) == 0 {
		stage.Condition = &wit.Condition{Component: ClassTopicNameMatch, Negate: m.IntN(2) == 0,
			Settings: pairs("pattern", []string{"t0", "t[12]", "x.*"}[m.IntN(3)])}
		switch m.IntN(4) {
		case 0:
			stage.Condition.Component = ClassIsTombstone
			stage.Condition.Settings = nil
		case 1:
			stage.Condition.Settings = pairs("name", pool[m.IntN(2)])
			stage.Condition.Component = ClassHasHeaderKey
		}
	}
	return stage
}

// mostly returns the first text in three of four cases.
func (m maker) mostly(first, second string) string {
	return []string{first, second}[min(m.IntN(2), m.IntN(2))]
}

// nameList returns a list of one or two names.
func (m maker) nameList() string { return m.distinctNames(1 + m.IntN(2)) }

// distinctNames returns a list of at most maxCount distinct names.
func (m maker) distinctNames(maxCount int) string {
	var names []string
	for range maxCount {
		if name := m.name(); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// mark returns "" or one of marks for the name of a field. Required attributes are rare, because they fail rows.
func (m maker) mark(marks []string) string {
	if m.IntN(3) > 0 {
		return ""
	}
	return marks[m.IntN(3)]
}

// rowSet is a batch of rows with three schemas and without schema.
type rowSet struct {
	schemas []wit.Schema
	topics  []string
	rows    []wit.Row
	data    []byte
	// names holds the keys of two kinds of maps, so that the same keys repeat.
	names [2][]int
}

// rowSet returns 20 or more random rows.
func (m maker) rowSet() *rowSet {
	rows := &rowSet{topics: []string{"t0", "t1", "t2"}}
	for i := range rows.names {
		rows.names[i] = m.Perm(len(pool))[:m.IntN(len(pool)+1)]
	}
	kinds := 2 + m.IntN(7) // of values, three of them without schema
	for i := range 3 {
		rows.schemas = append(rows.schemas, wit.Schema{ID: uint32(i + 1), Nodes: m.structure()})
	}
	offset := int64(m.IntN(2)) - 1
	for len(rows.rows) < 20 {
		topic := m.IntN(3)
		schema := m.IntN(3)
		// rows of the same kind are adjacent
		for range 1 + m.IntN(4) {
			row := wit.Row{RowIndex: uint32(len(rows.rows)), Topic: uint32(topic), Partition: int32(m.IntN(4)) - 1,
				Offset: offset, Timestamp: int64(m.IntN(100)) - 1}
			if offset >= 0 {
				row.Offset = int64(m.IntN(1 << 20))
			}
			row.Key = m.addValue(rows, m.IntN(3), m.IntN(3) == 0)
			row.Value = m.addValue(rows, schema, m.IntN(kinds) > kinds-3)
			if m.IntN(3) == 0 {
				row.Headers = m.headers(rows)
			}
			rows.rows = append(rows.rows, row)
		}
	}
	return rows
}

// addValue adds a value with a schema, or if isOther is set one without schema, or no value, to the data of rows.
func (m maker) addValue(rows *rowSet, schema int, isOther bool) wit.ValueSlice {
	start := len(rows.data)
	var err error
	slice := wit.ValueSlice{Encoding: wit.WithSchema, Schema: rows.schemas[schema].ID, Start: uint32(start)}
	switch {
	case isOther && m.IntN(4) == 0:
		return wit.ValueSlice{}
	case isOther:
		slice.Encoding = wit.Schemaless
		slice.Schema = 0
		rows.data, err = connectdata.AppendSchemaless(rows.data, m.schemaless(rows.names[m.IntN(2)]))
	default:
		nodes := rows.schemas[schema].Nodes
		rows.data, err = connectdata.Append(rows.data, nodes, 0, m.Value(nodes, 0))
	}
	must(err)
	slice.Size = uint32(len(rows.data) - start)
	return slice
}

// headers adds headers of all encodings to the data of rows.
func (m maker) headers(rows *rowSet) wit.ValueSlice {
	var list []connectdata.Header
	for range m.IntN(4) {
		header := connectdata.Header{Name: m.name()}
		if m.IntN(3) == 0 {
			header.Value = []byte(m.text())
			header.Encoding = wit.Raw
		} else if slice := m.addValue(rows, m.IntN(3), m.IntN(3) == 0); slice.Encoding != wit.Absent {
			header.Encoding = slice.Encoding
			header.Schema = slice.Schema
			header.Value = rows.data[slice.Start : slice.Start+slice.Size]
		} else {
			header.Encoding = wit.Schemaless
			header.Value = []byte{connectdata.TagNull}
		}
		list = append(list, header)
	}
	start := len(rows.data)
	rows.data = connectdata.AppendHeaders(rows.data, list)
	return wit.ValueSlice{Encoding: wit.Raw, Start: uint32(start), Size: uint32(len(rows.data) - start)}
}

// outcome is the result of a record in comparable form.
type outcome struct {
	Dropped  bool
	Stage    int
	Class    string
	Topic    string
	KeyNodes []wit.SchemaNode
	ValNodes []wit.SchemaNode
	Key      any
	Value    any
	Headers  []headerOutcome
	// KeyForm and ValForm distinguish a null without schema from an absent part.
	KeyForm wit.Encoding
	ValForm wit.Encoding
}

type headerOutcome struct {
	Name  string
	Nodes []wit.SchemaNode
	Value any
}

// withoutEmptyFields returns nodes with nil in place of empty lists of fields.
func withoutEmptyFields(nodes []wit.SchemaNode) []wit.SchemaNode {
	nodes = slices.Clone(nodes)
	for i := range nodes {
		if len(nodes[i].Fields) == 0 {
			nodes[i].Fields = nil
		}
	}
	return nodes
}

// put appends a value to the data, with schema 1 or, if nodes is nil, without schema.
func (i *input) put(t testing.TB, nodes []wit.SchemaNode, value any) wit.ValueSlice {
	t.Helper()
	slice := wit.ValueSlice{Encoding: wit.WithSchema, Schema: 1, Start: uint32(len(i.data))}
	err := error(nil)
	if nodes != nil {
		i.data, err = connectdata.Append(i.data, nodes, 0, value)
	} else {
		slice.Encoding = wit.Schemaless
		slice.Schema = 0
		i.data, err = connectdata.AppendSchemaless(i.data, value)
	}
	require.NoError(t, err)
	slice.Size = uint32(len(i.data)) - slice.Start
	return slice
}

// add appends a row with a value of schema 1 or, if nodes is nil, without schema.
func (i *input) add(t testing.TB, nodes []wit.SchemaNode, value any) {
	t.Helper()
	i.rows = append(i.rows, wit.Row{RowIndex: uint32(len(i.rows)), Partition: -1, Offset: -1, Timestamp: 1,
		Value: i.put(t, nodes, value)})
}

// apply calls Apply like the host: again for the remaining rows. It returns all rows, without unchanged parts, and the
// errors of rows.
func apply(t *testing.T, engine *Engine, context []byte, schemas []wit.Schema, call input) (input, []wit.RowError) {
	t.Helper()
	out := input{topics: call.topics, data: append([]byte(nil), call.data...)}
	var rowErrors []wit.RowError
	for from := 0; from < len(call.rows); {
		got, err := engine.Apply(context, schemas, call.topics, call.rows[from:], call.data)
		require.NoError(t, err)
		base := uint32(len(out.data))
		out.data = append(out.data, got.Data...)
		names := got.Topics
		if names == nil {
			names = call.topics
		}
		for _, row := range got.Rows {
			input := call.rows[from+int(row.RowIndex)]
			for _, part := range []struct{ result, input *wit.ValueSlice }{
				{&row.Key, &input.Key},
				{&row.Value, &input.Value},
				{&row.Headers, &input.Headers},
			} {
				if part.result.Encoding != wit.Unchanged {
					part.result.Start += base
					continue
				}
				schema := part.result.Schema
				*part.result = *part.input
				if part.result.Encoding == wit.WithSchema {
					part.result.Schema = schema
				}
			}
			row.RowIndex = input.RowIndex
			name := names[row.Topic]
			row.Topic = uint32(len(out.topics))
			out.topics = append(out.topics, name)
			out.rows = append(out.rows, row)
		}
		for _, f := range got.Errors {
			f.RowIndex = call.rows[from+int(f.RowIndex)].RowIndex
			rowErrors = append(rowErrors, f)
		}
		from += int(got.Consumed)
	}
	return out, rowErrors
}

// outcomes returns the results of count rows by the result of a call and the errors of rows.
func outcomes(t *testing.T, engine *Engine, count int, call input, rowErrors []wit.RowError) []outcome {
	t.Helper()
	list := make([]outcome, count)
	for i := range list {
		list[i].Dropped = true
	}
	for _, f := range rowErrors {
		list[f.RowIndex] = outcome{Stage: int(f.Stage), Class: f.ErrorClass}
	}
	value := func(slice wit.ValueSlice, bytes []byte) ([]wit.SchemaNode, any) {
		switch slice.Encoding {
		case wit.WithSchema:
			nodes := engine.interpreter.Schemas.Nodes(slice.Schema)
			require.NoError(t, connectdata.Check(nodes, bytes), "the result does not match its schema")
			decoded, _, _ := connectdata.Read(nodes, 0, bytes)
			return withoutEmptyFields(nodes), decoded
		case wit.Schemaless:
			decoded, _, err := connectdata.ReadSchemaless(bytes)
			require.NoError(t, err)
			return nil, decoded
		}
		return nil, nil
	}
	read := func(slice wit.ValueSlice) ([]wit.SchemaNode, any) {
		return value(slice, call.data[slice.Start:slice.Start+slice.Size])
	}
	for _, r := range call.rows {
		result := &list[r.RowIndex]
		*result = outcome{Topic: call.topics[r.Topic], KeyForm: r.Key.Encoding, ValForm: r.Value.Encoding}
		result.KeyNodes, result.Key = read(r.Key)
		result.ValNodes, result.Value = read(r.Value)
		if r.Headers.Encoding == wit.Absent {
			continue
		}
		headers, err := connectdata.Headers(nil, call.data[r.Headers.Start:r.Headers.Start+r.Headers.Size])
		require.NoError(t, err)
		for _, h := range headers {
			header := headerOutcome{Name: h.Name, Value: h.Value}
			if h.Encoding != wit.Raw {
				header.Nodes, header.Value = value(wit.ValueSlice{Encoding: h.Encoding, Schema: h.Schema}, h.Value)
			}
			result.Headers = append(result.Headers, header)
		}
	}
	return list
}

// The fast path, the interpreter, and single stages in turn have the same result for every record. Golden cases compare
// the interpreter with Kafka's classes.
func TestFastPathEqualsInterpreter(t *testing.T) {
	rounds := 1000
	if testing.Short() {
		rounds = 300
	}
	seen := map[string]int{}
	for seed := range uint64(rounds) {
		random := maker{connectdatatest.New(seed)}
		rows := random.rowSet()
		var stages []wit.Stage
		for range 1 + random.IntN(5) {
			stages = append(stages, random.stage())
		}
		in := input{rows.topics, rows.rows, rows.data}
		_, _, want, _ := runChain(t, stages, rows.schemas, in, withoutFastPath)
		_, _, got, _ := runChain(t, stages, rows.schemas, in, withFastPath)
		single := applyStageByStage(t, stages, rows.schemas, in)
		for i := range want {
			o := &want[i]
			seen[fmt.Sprint(o.Dropped, o.Class, o.ValNodes != nil, o.Value != nil)]++
			if !reflect.DeepEqual(*o, got[i]) {
				t.Fatalf("seed %d, row %d, %+v: differs (-interpreter +fast path):\n%s", seed, i, stages,
					cmp.Diff(*o, got[i]))
			}
			extracts := slices.ContainsFunc(stages,
				func(stage wit.Stage) bool { return strings.Contains(stage.Component, "Extract") })
			// ExtractField's null of a required type is only kept within a chain. Golden cases cover it.
			if !reflect.DeepEqual(single[i], got[i]) && !extracts {
				t.Fatalf("seed %d, row %d, %+v: differs (-stage by stage +fast path):\n%s", seed, i, stages,
					cmp.Diff(single[i], got[i]))
			}
		}
	}
	t.Log(seen)
	assert.True(t, len(seen) >= 8, "expected at least 8 kinds of results, found %v", seen)
}

// applyStageByStage sends rows through one stage at a time, each of its own chain.
func applyStageByStage(t *testing.T, stages []wit.Stage, schemas []wit.Schema, call input) []outcome {
	count := len(call.rows)
	engine := New()
	var rowErrors []wit.RowError
	for i, stage := range stages {
		context, err := engine.Prepare([]wit.Stage{stage})
		require.NoError(t, err)
		var stageErrors []wit.RowError
		call, stageErrors = apply(t, engine, context, schemas, call)
		if i == 0 {
			schemas = nil
		}
		for _, f := range stageErrors {
			f.Stage = uint32(i)
			rowErrors = append(rowErrors, f)
		}
	}
	return outcomes(t, engine, count, call, rowErrors)
}

// newPrepared returns an engine and the context of stages.
func newPrepared(t testing.TB, stages ...wit.Stage) (*Engine, []byte) {
	t.Helper()
	engine := New()
	context, err := engine.Prepare(stages)
	require.NoError(t, err)
	return engine, context
}
