package chain

import (
	"testing"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// Rows that a mask takes with others like them come out as each does the plain way, the nulls and the failures among
// them.
func TestMasksOfRowsThatAreAlike(t *testing.T) {
	topic := stageOf(ClassInsertValue, "topic.field", "topic")
	chains := map[string][]wit.Stage{
		"one":         {stageOf(ClassMaskValue, "fields", "a")},
		"several":     {stageOf(ClassMaskValue, "fields", "c,a,none,b")},
		"replacement": {topic, stageOf(ClassMaskValue, "fields", "a,topic", "replacement", "12")},
		"no number":   {topic, stageOf(ClassMaskValue, "fields", "a,b", "replacement", "***")},
		"twice": {stageOf(ClassMaskValue, "fields", "a,d", "replacement", "1"), topic,
			stageOf(ClassMaskValue, "fields", "a", "replacement", "2")},
		"behind a failure": {stageOf(ClassMaskValue, "fields", "a"),
			stageOf(ClassMaskValue, "fields", "a", "replacement", "3")},
		"nulls kept": {stageOf(ClassMaskValue, "fields", "a,d", "replace.null.with.default", "false"),
			stageOf(ClassReplaceValue, "renames", "a:z", "replace.null.with.default", "false"), topic},
		"nulls kept for a while": {stageOf(ClassMaskValue, "fields", "a,d", "replace.null.with.default", "false"),
			topic},
		"renamed": {stageOf(ClassReplaceValue, "renames", "b:x,x:b"), stageOf(ClassMaskValue, "fields",
			"x,b,d")},
		"of an attribute": {stageOf(ClassInsertValue, "timestamp.field", "at", "partition.field", "b2"),
			stageOf(ClassMaskValue, "fields", "at,b2,a")},
		"removed": {stageOf(ClassMaskValue, "fields", "a,c"), stageOf(ClassReplaceValue, "exclude", "a")},
	}
	fallback, err := datum.Append(nil, []wit.Node{{Kind: wit.Text}}, 0, "empty")
	noError(t, err)
	nodes := []wit.Node{{Kind: wit.Structure, Name: wit.Ptr("S"), Members: []wit.Member{{Name: "a", Node: 1},
		{Name: "b", Node: 2}, {Name: "c", Node: 3}, {Name: "d", Node: 4}}}, {Kind: wit.Text, Optional: true},
		{Kind: wit.Int64}, {Kind: wit.Float64, Optional: true},
		{Kind: wit.Text, Optional: true, DefaultValue: &fallback}}
	b := batch{topics: []string{"t"}}
	add := func(nodes []wit.Node, v any) {
		d := b.put(t, nodes, v)
		for _, at := range []int64{-1, 1} { // with a timestamp and without
			b.rows = append(b.rows, wit.Row{Origin: uint32(len(b.rows)), Partition: int32(at), Offset: -1,
				Timestamp: at, Value: d})
		}
	}
	for range 3 {
		for _, x := range []struct{ a, c, d any }{{"text", 1.5, "x"}, {nil, 1.5, nil}, {"other", nil, "x"},
			{nil, nil, nil}, {"", 0.5, ""}} {
			add(nodes, datum.Record{x.a, int64(7), x.c, x.d})
		}
		for _, x := range []any{"text", nil, int64(1 << 40), int8(3), true, false, 1.5, float32(2), datum.List{"x"},
			datum.Map{{Key: "k", Value: nil}}, []byte("x"), "text"} {
			add(nil, datum.Map{{Key: "a", Value: x}, {Key: "b", Value: int32(7)},
				{Key: "a name of more than sixteen bytes", Value: x}, {Key: "ten bytes!", Value: "y"}})
		}
	}
	for name, stages := range chains {
		bothWays(t, name, stages, []wit.Schema{{ID: 1, Nodes: nodes}}, b)
	}
}
