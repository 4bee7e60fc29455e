package convert

import (
	"math"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/record"
)

// Writing and reading a row allocates nothing once its schema is compiled.
func TestNoAllocationForARow(t *testing.T) {
	g := findGolden(t, "order-plain")
	batch := &record.Batch{Registry: record.NewRegistry()}
	for _, settings := range [][]string{
		{"schemas.enable", "true"},
		{"schemas.enable", "false"},
		{"decimal.format", "numeric"},
	} {
		c := newConverter(t, ClassJSON, batch.Registry, settings...)
		d, err := newConverter(t, ClassJSON, batch.Registry).Decode(t.Context(), "t",
			[]byte(`{"schema":`+g.schema+`,"payload":`+g.value+`}`), batch)
		require.NoError(t, err)
		dst := make([]byte, 0, 8192)
		dst, _, _ = c.Encode(t.Context(), dst, math.MaxInt32, "t", batch, d)
		decoded := &record.Batch{Registry: batch.Registry, Data: make([]byte, 0, 8192)}
		allocations := testing.AllocsPerRun(100, func() {
			dst, _, _ = c.Encode(t.Context(), dst[:0], math.MaxInt32, "t", batch, d)
			decoded.Data = decoded.Data[:0]
			_, err := c.Decode(t.Context(), "t", dst, decoded)
			require.NoError(t, err)
		})
		assert.Equal(t, 0.0, allocations, "allocations per row", settings)
	}
}

func findGolden(t testing.TB, name string) golden {
	g, ok := goldens(t, "../../testdata/convert")[name]
	require.True(t, ok, "no case %s", name)
	return g
}
