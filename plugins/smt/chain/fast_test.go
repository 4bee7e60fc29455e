package chain

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/smt/kernel"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
	"github.com/culvert-project/culvert/wit/connectdata/connectdatatest"
)

// damage returns a copy of b with spare capacity, unchanged, cut off, or with a byte changed or added.
func (m maker) damage(b []byte) []byte {
	b = slices.Clone(b)
	index := m.IntN(len(b) + 1)
	switch m.IntN(5) {
	case 0:
		if index < len(b) {
			b[index] ^= 1 << m.IntN(8)
		}
	case 1:
		b = b[:index]
	case 2:
		b = slices.Insert(b, index, byte(m.Uint32()))
	}
	return append(make([]byte, 0, len(b)+kernel.Room), b...)
}

// An invalid value has the same result after rows of its kind as alone.
func TestInvalidValuesDoNotDependOnOtherRows(t *testing.T) {
	random := maker{connectdatatest.New(3)}
	valid := 0
	failures := 0
	for range 5_000 {
		nodes := random.structure()
		if nodes[0].Kind != wit.Struct || len(nodes[0].Fields) == 0 {
			continue
		}
		member := func() string { return nodes[0].Fields[random.IntN(len(nodes[0].Fields))].Name }
		stages := []wit.Stage{stageOf(ClassInsertValue, "static.field", "new field", "static.value", "x")}
		if random.IntN(2) == 0 {
			stages = append(stages, stageOf(ClassReplaceValue, "exclude", member()))
		}
		if random.IntN(4) == 0 {
			stages = append(stages, stageOf(ClassMaskValue, "fields", member()))
		}
		if random.IntN(4) == 0 {
			stages = append(stages, stageOf(ClassCastValue, "spec",
				member()+":"+castTypes[random.IntN(len(castTypes))]))
		}
		if random.IntN(4) == 0 {
			stages = append(stages, stageOf(ClassValueToKey, "fields", member()))
		}
		for i := range stages {
			if random.IntN(4) == 0 {
				stages[i].Condition = &wit.Condition{Component: ClassIsTombstone, Negate: true}
			}
		}
		value, err := connectdata.Append(nil, nodes, 0, random.nonNull(nodes, 0))
		require.NoError(t, err)
		damaged := random.damage(value)
		data := append(slices.Concat(value, damaged), make([]byte, kernel.Room)...)
		rows := []wit.Row{{Value: wit.ValueSlice{Encoding: wit.WithSchema, Schema: 1, Size: uint32(len(value))}},
			{Value: wit.ValueSlice{Encoding: wit.WithSchema, Schema: 1, Start: uint32(len(value)),
				Size: uint32(len(damaged))}}}
		// lastResult returns the value of the last row, or its error.
		lastResult := func(rows []wit.Row) ([]byte, []wit.RowError) {
			engine, context := newPrepared(t, stages...)
			out, err := engine.Apply(context, []wit.Schema{{ID: 1, Nodes: nodes}}, []string{"t"}, rows, data)
			require.True(t, err == nil && int(out.Consumed) == len(rows),
				"expected %d rows to be consumed, found %d, %v", len(rows), out.Consumed, err)
			out.Errors = slices.DeleteFunc(out.Errors, func(f wit.RowError) bool {
				return int(f.RowIndex) < len(rows)-1
			})
			if len(out.Rows) == 0 || int(out.Rows[len(out.Rows)-1].RowIndex) != len(rows)-1 {
				return nil, out.Errors
			}
			slice := out.Rows[len(out.Rows)-1].Value
			return out.Data[slice.Start : slice.Start+slice.Size], out.Errors
		}
		got, gotErrors := lastResult(rows)
		want, wantErrors := lastResult(rows[1:])
		require.True(t, bytes.Equal(got, want) && len(gotErrors) == len(wantErrors) &&
			(len(gotErrors) != 1 || gotErrors[0].Error == wantErrors[0].Error),
			"%v of %x, made of %x: expected %x, %v, found %x, %v", stages, damaged, value, want, wantErrors, got,
			gotErrors)
		failures += len(gotErrors)
		if len(gotErrors) == 0 {
			valid++
		}
	}
	assert.True(t, valid >= 1000 && failures >= 200,
		"expected 1000 valid and 200 failed values, found %d and %d", valid, failures)
}

// resultValue is a value slice of a result with its schema and bytes.
type resultValue struct {
	Encoding wit.Encoding
	Schema   []wit.SchemaNode
	Bytes    []byte
}

// resultRow returns a row of a result without its index, in comparable form.
func resultRow(engine *Engine, out wit.ApplyResult, row wit.Row, topics []string) any {
	if out.Topics != nil {
		topics = out.Topics
	}
	read := func(slice wit.ValueSlice) (result resultValue) {
		result.Encoding = slice.Encoding
		if slice.Encoding != wit.Absent && slice.Encoding != wit.Unchanged {
			result.Bytes = append([]byte{}, out.Data[slice.Start:slice.Start+slice.Size]...)
		}
		if slice.Schema != 0 {
			result.Schema = engine.interpreter.Schemas.Nodes(slice.Schema)
		}
		return result
	}
	return struct {
		Topic     string
		Partition int32
		Offset    int64
		Timestamp int64
		Key       resultValue
		Value     resultValue
		Headers   resultValue
	}{topics[row.Topic], row.Partition, row.Offset, row.Timestamp, read(row.Key), read(row.Value), read(row.Headers)}
}

// Results are appended in place, to the values in the call's data, if the rows are separated. They have the same values
// as alone. The data of other calls is unchanged.
func TestAppendsInPlace(t *testing.T) {
	random := maker{connectdatatest.New(4)}
	topics := []string{"t", "u"}
	inPlace := 0
	for range 1500 {
		text := "x" + strings.Repeat("y", random.IntN(50))
		stages := []wit.Stage{stageOf(ClassInsertValue, "static.field", "new", "static.value", text,
			"timestamp.field", "at")}
		if random.IntN(3) == 0 { // the topic changes with the day
			stages = append(stages, wit.Stage{Component: ClassTimestampRouter})
		}
		engine, context := newPrepared(t, stages...)
		schemas := []wit.Schema{{ID: 1, Nodes: random.structure()}, {ID: 2, Nodes: random.structure()}}
		layout := random.IntN(6)
		room := []int{kernel.Room, kernel.Room, kernel.Room, kernel.Room - 1, 0, kernel.Room}[layout]
		var data []byte
		var rows []wit.Row
		put := func(b []byte, encoding wit.Encoding, schema uint32) wit.ValueSlice {
			start := len(data)
			data = append(data, b...)
			return wit.ValueSlice{Encoding: encoding, Schema: schema, Start: uint32(start), Size: uint32(len(b))}
		}
		for range 2 + random.IntN(6) {
			row := wit.Row{Timestamp: int64(random.Uint32() >> 5), Topic: uint32(random.IntN(10) / 9),
				Partition: int32(random.IntN(9)), Offset: int64(random.IntN(9))}
			if random.IntN(2) == 0 {
				row.Key = put([]byte{connectdata.TagTrue}, wit.Schemaless, 0)
			}
			schema := &schemas[random.IntN(10)/9]
			if random.IntN(8) > 0 {
				value, err := connectdata.Append(nil, schema.Nodes, 0, random.Value(schema.Nodes, 0))
				require.NoError(t, err)
				row.Value = put(value, wit.WithSchema, schema.ID)
				data = append(data, make([]byte, room)...)
			}
			if random.IntN(3) == 0 {
				row.Headers = put([]byte{connectdata.TagNull}, wit.Schemaless, 0)
			}
			rows = append(rows, row)
		}
		areSeparated := layout < 3
		if layout == 5 { // the last row has the memory of the first one
			rows = append(rows, rows[0])
			areSeparated = rows[0].Key.Size+rows[0].Value.Size+rows[0].Headers.Size == 0
		}
		original := slices.Clone(data)
		for range 2 { // the second time with compiled programs
			copy(data, original)
			out, err := engine.Apply(context, schemas, topics, rows, data)
			require.True(t, err == nil && int(out.Consumed) == len(rows),
				"expected %d rows to be consumed, found %d, %v", len(rows), out.Consumed, err)
			if len(out.Data)*len(data) > 0 && &out.Data[0] == &data[0] {
				inPlace++
			}
			require.True(t, areSeparated || bytes.Equal(data, original),
				"rows that are not separated: %v: expected %x, found %x", rows, original, data)
			for _, r := range out.Rows {
				in := rows[r.RowIndex]
				otherEngine := New()
				single, err := otherEngine.Apply(context, schemas, topics, []wit.Row{in}, original)
				require.True(t, err == nil && len(single.Rows) == 1,
					"row %d alone: expected one row, found %d, %v", r.RowIndex, len(single.Rows), err)
				got := resultRow(engine, out, r, topics)
				want := resultRow(otherEngine, single, single.Rows[0], topics)
				if !reflect.DeepEqual(want, got) {
					t.Fatalf("row %d of %v: differs (-alone +among others):\n%s", r.RowIndex, rows, cmp.Diff(want, got))
				}
			}
		}
	}
	assert.AtLeast(t, 100, inPlace, "calls with appended results")
}

// The timestamps of rows with the same topic are scanned once, even if some rows need the interpreter.
func TestTimestampsAreScannedOnce(t *testing.T) {
	schema, rows, data := tenFields(t, 20, 1024)
	other := wit.Schema{ID: 2, Nodes: schema.Nodes}
	for i := 1; i < 10; i += 2 {
		rows[i].Value.Schema = other.ID // needs the interpreter
	}
	data = append(data, make([]byte, kernel.Room)...)
	topics := []string{"t"}
	engine, context := newPrepared(t, append(benchChain(), wit.Stage{Component: ClassTimestampRouter})...)
	_, err := engine.Apply(context, []wit.Schema{schema, other}, topics, rows[:1], data)
	require.NoError(t, err)
	chain, err := engine.chain(context)
	require.NoError(t, err)
	engine.start(input{topics: topics, rows: rows, data: data})
	require.Equal(t, 1, engine.fastPath.run(chain.routes, 0), "row on the fast path")
	rows[15].Timestamp += 24 * 60 * 60 * 1000 // only detected if the timestamp is scanned again
	if done := engine.fastPath.run(chain.routes, 10); done != len(rows) {
		t.Errorf("expected the rows up to %d without another scan of timestamps, found those up to %d", len(rows), done)
	}
	engine.start(input{topics: topics, rows: rows, data: data})
	engine.fastPath.run(chain.routes, 0)
	done := engine.fastPath.run(chain.routes, 10)
	assert.True(t, done == 15, "in another call, expected the rows up to 15, found those up to %d", done)
}

// A result lists the call's topics and those of its rows, but no topics of rows that failed or were dropped.
func TestResultListsOnlyUsedTopics(t *testing.T) {
	split := stageOf(ClassSplit, "field", "f")
	route := stageOf(ClassRegexRouter, "regex", "t", "replacement", "u")
	cast := stageOf(ClassCastValue, "spec", "f:int64")
	for name, stages := range map[string][]wit.Stage{
		"time":  {cast, {Component: ClassTimestampRouter}},
		"regex": {cast, route},
		"split": {split, route, {Component: ClassCastValue, Settings: pairs("spec", "f:int64")}},
	} {
		t.Run(name, func(t *testing.T) {
			call := rowsOf(t, nil, int64(1), "no number", connectdata.List{int64(1), "no number"})
			rows := call.rows[:2]
			if name == "split" {
				rows = call.rows[2:]
			}
			engine, context := newPrepared(t, stages...)
			for range 2 { // the second call uses the programs of the first
				for _, row := range rows {
					out, err := engine.Apply(context, nil, call.topics, []wit.Row{row}, call.data)
					require.NoError(t, err)
					if want := len(call.topics) + len(out.Rows); out.Topics != nil && len(out.Topics) != want {
						t.Errorf("row %d: expected %d topics, found %q", row.RowIndex, want, out.Topics)
					}
					assert.True(t, (len(out.Errors) == 0) == (row.RowIndex == 0),
						"row %d: expected rows after the first to fail, found %v", row.RowIndex, out.Errors)
				}
			}
		})
	}
}
