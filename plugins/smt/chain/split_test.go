package chain

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// A record whose items would exceed the limit fails alone and leaves nothing in the result.
func TestSplitsAreBounded(t *testing.T) {
	engine, context := newPrepared(t, stageOf(ClassSplit, "field", "list"))
	list := make(connectdata.List, 1000)
	for i := range list {
		list[i] = int64(i)
	}
	var call input
	for _, text := range []string{"x", strings.Repeat("x", 32<<20/500), "y"} {
		call.add(t, nil, connectdata.Map{{Key: "list", Value: list}, {Key: "text", Value: text}})
	}
	out, err := engine.Apply(context, nil, []string{"t"}, call.rows, call.data)
	require.NoError(t, err)
	require.True(t, len(out.Errors) == 1 && out.Errors[0].RowIndex == 1 &&
		strings.Contains(out.Errors[0].Error.Message, "more than") && len(out.Rows) == 2000 && out.Consumed == 3,
		"expected 2000 rows of 3 and an error of the second, found %d of %d, %v", len(out.Rows), out.Consumed,
		out.Errors)
	for i, row := range out.Rows {
		value, _, err := connectdata.ReadSchemaless(out.Data[row.Value.Start : row.Value.Start+row.Value.Size])
		require.NoError(t, err)
		want := int64(i % 1000)
		text := "x"
		if i >= 1000 {
			text = "y"
		}
		m := value.(connectdata.Map)
		require.True(t, m[0].Value == want && m[1].Value == text && row.RowIndex == uint32(i/1000*2),
			"row %d: expected %d and %q of row %d, found %v of row %d", i, want, text, i/1000*2, value, row.RowIndex)
	}
}
