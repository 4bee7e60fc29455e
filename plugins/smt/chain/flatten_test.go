package chain

import (
	"fmt"
	"math/big"
	"reflect"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// A struct's default supplies the defaults of its fields. Kafka's JSON converter has no such defaults, so no golden
// case covers it.
func TestFlattenTakesDefaultsOfStructures(t *testing.T) {
	nodes := []wit.SchemaNode{
		{Kind: wit.Struct, Fields: []wit.Field{{Name: "in", Node: 1}}},
		{Kind: wit.Struct, Optional: true,
			Fields: []wit.Field{{Name: "n", Node: 2}, {Name: "s", Node: 3}, {Name: "own", Node: 4}}},
		{Kind: wit.Int32},
		{Kind: wit.String, Optional: true},
		{Kind: wit.String, Optional: true, DefaultValue: wit.Ptr(connectdata.AppendString(nil, "own"))},
	}
	setDefault(nodes, 1, connectdata.Struct{int32(5), nil, "other"})
	in := input{topics: []string{"t"}}
	in.add(t, nodes, connectdata.Struct{nil})
	engine, context := newPrepared(t, wit.Stage{Component: ClassFlattenValue})
	out, rowErrors := apply(t, engine, context, []wit.Schema{{ID: 1, Nodes: nodes}}, in)
	require.Len(t, 0, rowErrors, "error")
	got := outcomes(t, engine, 1, out, nil)[0]
	want := (connectdata.Struct{nil, nil, nil})
	assert.True(t, reflect.DeepEqual(got.Value, want), "expected %v, found %v", want, got.Value)
	five := connectdata.AppendNumber(nil, 5)
	if n := got.ValNodes; !n[1].Optional || string(*n[1].DefaultValue) != string(five) || n[2].DefaultValue != nil ||
		string(*n[3].DefaultValue) != string(connectdata.AppendString(nil, "own")) {
		t.Errorf("expected the defaults 5, none and own, found %+v", n)
	}
}

// The total size of names is bounded, because a long name is repeated for each field below it.
func TestFlattenBoundsNames(t *testing.T) {
	nested := connectdata.Map{}
	for i := range 100 {
		nested = append(nested, connectdata.Entry{Key: strings.Repeat("k", i+1), Value: nil})
	}
	in := input{topics: []string{"t"}}
	in.add(t, nil, connectdata.Map{{Key: strings.Repeat("x", 200_000), Value: nested}})
	engine, context := newPrepared(t, wit.Stage{Component: ClassFlattenValue})
	_, rowErrors := apply(t, engine, context, nil, in)
	assert.True(t, len(rowErrors) == 1 && strings.Contains(rowErrors[0].Error.Message, "16 MiB"),
		"expected a row that fails because of its names, found %v", rowErrors)
}

// Decimals without schema keep their digits, unlike Kafka Connect's doubles.
func TestDecimalsWithoutASchema(t *testing.T) {
	in := input{topics: []string{"t"}}
	decimal := connectdata.Decimal{Scale: 2, Unscaled: big.NewInt(1234567890123456789)}
	in.add(t, nil, connectdata.Map{{Key: "a", Value: connectdata.Map{{Key: "b", Value: decimal},
		{Key: "c", Value: decimal}, {Key: "d", Value: decimal}}}})
	engine, context := newPrepared(t, wit.Stage{Component: ClassFlattenValue},
		stageOf(ClassCastValue, "spec", "a.c:float64,a.d:string"))
	out, rowErrors := apply(t, engine, context, nil, in)
	require.Len(t, 0, rowErrors, "error")
	for _, entry := range outcomes(t, engine, 1, out, nil)[0].Value.(connectdata.Map) {
		want := map[any]string{
			"a.b": "{2 1234567890123456789}",
			"a.c": "1.2345678901234568e16",
			"a.d": "12345678901234567.89",
		}[entry.Key]
		assert.Equal(t, want, strings.ReplaceAll(fmt.Sprint(entry.Value), "+", ""), entry.Key)
	}
}
