package chain

import (
	"bytes"
	"strconv"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// hostileNodes returns a struct with all kinds of fields, with and without branch and default.
func hostileNodes() []wit.SchemaNode {
	nodes := []wit.SchemaNode{{Kind: wit.Struct}}
	for _, node := range []wit.SchemaNode{
		{Kind: wit.Int32},
		{Kind: wit.String},
		{Kind: wit.String, Optional: true},
		{Kind: wit.Int64, Optional: true},
		{Kind: wit.Boolean},
		{Kind: wit.Float32, Optional: true},
		{Kind: wit.Float64},
		{Kind: wit.Int16, Optional: true, DefaultValue: &[]byte{2}},
		{Kind: wit.Bytes},
	} {
		nodes[0].Fields = append(nodes[0].Fields, wit.Field{Name: pool[0] + string(rune('0'+len(nodes))),
			Node: uint32(len(nodes))})
		nodes = append(nodes, node)
	}
	nodes[0].Fields = append(nodes[0].Fields, wit.Field{Name: "list", Node: uint32(len(nodes))})
	return append(nodes, wit.SchemaNode{Kind: wit.Array, Element: uint32(len(nodes) + 1)},
		wit.SchemaNode{Kind: wit.String, Optional: true})
}

// For any bytes, the fast path and the interpreter agree, and an invalid value fails its row.
func FuzzHostileStructure(f *testing.F) {
	nodes := hostileNodes()
	valid, err := connectdata.Append(nil, nodes, 0, connectdata.Struct{int32(5), "text", nil, int64(-1), true,
		float32(1), 2.0, int16(7), []byte{1}, connectdata.List{"x", nil}})
	require.NoError(f, err)
	f.Add(valid)
	f.Add(valid[:len(valid)-1])
	f.Add(bytes.Repeat([]byte{0xff}, 40))
	engine, context := newPrepared(f, stageOf(ClassInsertValue, "topic.field", "t"),
		stageOf(ClassReplaceValue, "exclude", "a3"))
	value := func(start, size int) wit.ValueSlice {
		return wit.ValueSlice{Encoding: wit.WithSchema, Schema: 1, Start: uint32(start), Size: uint32(size)}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		data := append(append([]byte(nil), valid...), b...)
		// A valid row first, so that the fast path is tried; a new engine only has the interpreter.
		rows := []wit.Row{
			{Value: value(0, len(valid))},
			{Value: value(len(valid), len(b))},
			{Value: value(0, len(valid))},
		}
		fast, err := engine.Apply(context, []wit.Schema{{ID: 1, Nodes: nodes}}, []string{"t"}, rows, data)
		require.NoError(t, err)
		slow, err := New().Apply(context, []wit.Schema{{ID: 1, Nodes: nodes}}, []string{"t"}, rows[1:2], data)
		require.NoError(t, err)
		require.True(t, len(fast.Rows) == len(slow.Rows)+2 && len(fast.Errors) == len(slow.Errors),
			"% x: expected %d rows, found %d", b, len(slow.Rows)+2, len(fast.Rows))
		size, invalid := connectdata.Skip(nodes, 0, b)
		isValid := invalid == nil && size == len(b)
		require.True(t, !isValid || len(slow.Rows) != 0,
			"% x: expected the row of a valid value, found %v", b, slow.Errors)
		if len(slow.Rows) == 0 {
			return
		}
		got := fast.Rows[1].Value
		want := slow.Rows[0].Value
		if !bytes.Equal(fast.Data[got.Start:got.Start+got.Size], slow.Data[want.Start:want.Start+want.Size]) {
			t.Fatalf("% x: the fast path and the interpreter differ", b)
		}
	})
}

// For any bytes without schema, the fast path and the interpreter agree, and a result is valid.
func FuzzHostileDynamic(f *testing.F) {
	f.Add([]byte{0x0c, 2, 9, 2, 'k', 0})
	f.Add([]byte{0x0c, 4, 9, 2, 'a', 6, 2, 9, 2, 'b', 0x0b, 2, 0})
	engine, context := newPrepared(f, stageOf(ClassInsertValue, "topic.field", "t"),
		stageOf(ClassReplaceValue, "renames", "a:b,t:k"))
	valid := []byte{0x0c, 4, 9, 2, 'a', 6, 2, 9, 2, 'b', 0x0b, 2, 0}
	f.Fuzz(func(t *testing.T, b []byte) {
		data := append(append([]byte(nil), valid...), b...)
		row := func(start, size int) wit.Row {
			return wit.Row{Value: wit.ValueSlice{Encoding: wit.Schemaless, Start: uint32(start), Size: uint32(size)}}
		}
		validRow := row(0, len(valid))
		fuzzRow := row(len(valid), len(b))
		// The fast path knows the keys of valid at first, and the keys of b when b repeats.
		many, err := engine.Apply(context, nil, []string{"t"},
			[]wit.Row{validRow, fuzzRow, fuzzRow, fuzzRow, validRow}, data)
		require.NoError(t, err)
		out, err := New().Apply(context, nil, []string{"t"}, []wit.Row{fuzzRow}, data)
		require.True(t, err == nil && len(out.Rows)+len(out.Errors) == 1 && len(many.Rows) == 2+3*len(out.Rows) &&
			len(many.Errors) == 3*len(out.Errors),
			"% x: expected three times the result %v, found %v, %v", b, out, many, err)
		size, invalid := connectdata.SkipSchemaless(b)
		isMap := invalid == nil && size == len(b) && b[0] == connectdata.TagMap
		require.True(t, isMap == (len(out.Rows) == 1) || isKeyCastError(out),
			"% x: expected a row for a valid map (%v), found %v", b, isMap, out.Errors)
		if len(out.Rows) == 0 {
			return
		}
		slice := out.Rows[0].Value
		want := out.Data[slice.Start : slice.Start+slice.Size]
		size, err = connectdata.SkipSchemaless(want)
		require.True(t, err == nil && size == int(slice.Size), "% x: the result is invalid: % x, %v", b, want, err)
		for _, r := range many.Rows[1:4] {
			got := many.Data[r.Value.Start : r.Value.Start+r.Value.Size]
			require.True(t, bytes.Equal(got, want), "% x: expected % x as alone, found % x", b, want, got)
		}
	})
}

// isKeyCastError reports whether a row failed because of a key that is not a string.
func isKeyCastError(out wit.ApplyResult) bool {
	return len(out.Errors) == 1 && out.Errors[0].ErrorClass == record.ClassCastException
}

// For any headers, a row is emitted or fails, and a header that is added to valid headers can be read.
func FuzzHostileHeaders(f *testing.F) {
	f.Add([]byte{2, 2, 'a', 2, 2, 2, 0})
	f.Add([]byte{4, 2, 'a', 4, 0, 2, 'x', 2, 'b', 3, 0, 2, 0})
	f.Add([]byte{1})
	context, err := New().Prepare([]wit.Stage{
		stageOf(ClassHeaderFromValue, "fields", "k", "headers", "h", "operation", "move"),
		{Component: ClassFilter, Condition: &wit.Condition{Component: ClassHasHeaderKey, Negate: true,
			Settings: pairs("name", "h")}},
	})
	require.NoError(f, err)
	value := []byte{0x0c, 2, 9, 2, 'k', 6, 14}
	f.Fuzz(func(t *testing.T, block []byte) {
		data := append(append([]byte(nil), value...), block...)
		rows := []wit.Row{{Value: wit.ValueSlice{Encoding: wit.Schemaless, Size: uint32(len(value))},
			Headers: wit.ValueSlice{Encoding: wit.Raw, Start: uint32(len(value)), Size: uint32(len(block))}}}
		out, err := New().Apply(context, nil, []string{"t"}, rows, data)
		require.NoError(t, err)
		input, invalid := connectdata.Headers(nil, block)
		if invalid != nil {
			return // the host never sends such headers
		}
		require.True(t, len(out.Rows) == 1 || len(input) >= connectdata.MaxHeaders,
			"% x: expected a row, found %d, %v", block, len(out.Rows), out.Errors)
		if len(out.Rows) == 0 {
			return
		}
		slice := out.Rows[0].Headers
		result, err := connectdata.Headers(nil, out.Data[slice.Start:slice.Start+slice.Size])
		require.True(t, err == nil && len(result) == len(input)+1 && result[len(input)].Name == "h" &&
			result[len(input)].Encoding == wit.Schemaless,
			"% x: expected the header h after the others, found %v, %v", block, result, err)
	})
}

// An engine keeps a bounded number of declared schemas and never reuses a number.
func TestOwnSchemasAreForgotten(t *testing.T) {
	engine, context := newPrepared(t, stageOf(ClassInsertValue, "static.field", "system", "static.value", "x"))
	declared := map[uint32]string{}
	for n := range uint32(2*record.MaxDeclared + 10) {
		name := "f" + strconv.Itoa(int(n))
		nodes := []wit.SchemaNode{{Kind: wit.Struct, Fields: []wit.Field{{Name: name, Node: 1}}}, {Kind: wit.Boolean}}
		rows := []wit.Row{{Value: wit.ValueSlice{Encoding: wit.WithSchema, Schema: n + 1, Size: 1}}}
		out, err := engine.Apply(context, []wit.Schema{{ID: n + 1, Nodes: nodes}}, []string{"t"}, rows, []byte{1})
		require.True(t, err == nil && len(out.Rows) == 1 && len(out.Schemas) == 1 && len(out.Errors) == 0,
			"%d: expected a row with a new schema, found %v, %v", n, out, err)
		s := out.Schemas[0]
		earlier := declared[s.ID]
		require.True(t, earlier == "" && s.ID == out.Rows[0].Value.Schema && s.Nodes[0].Fields[0].Name == name,
			"%d: the number %#x is used for %q and for %v", n, s.ID, earlier, s.Nodes)
		declared[s.ID] = name
		forgotten := out.Rows[0].Value.Schema - uint32(min(int(n), record.MaxDeclared))
		require.True(t, n <= 2*record.MaxDeclared || engine.interpreter.Schemas.Nodes(forgotten) == nil,
			"%d: expected at most %d declared schemas, found %#x", n, record.MaxDeclared, forgotten)
	}
	// The first schema was forgotten and gets a new number.
	rows := []wit.Row{{Value: wit.ValueSlice{Encoding: wit.WithSchema, Schema: 1, Size: 1}}}
	out, err := engine.Apply(context, nil, []string{"t"}, rows, []byte{1})
	assert.True(t, err == nil && len(out.Schemas) == 1 && declared[out.Schemas[0].ID] == "",
		"expected the schema to be declared again, found %v, %v", out.Schemas, err)
}
