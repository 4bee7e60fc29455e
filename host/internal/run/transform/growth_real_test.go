//go:build real

package transform

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/internal/base/require"
)

// A batch that goes to a plugin in several calls, each of which gives less than a call may, does not grow without end.
func TestRealGrowthOfABatchIsBounded(t *testing.T) {
	const each = 8 << 20
	m, reg := withOdd(t)
	c := open(t, m, 1, mark(strings.Repeat("m", each)))
	_, err := c.Apply(t.Context(), numbered(t, reg, 2))
	require.NoError(t, err)
	_, err = c.Apply(t.Context(), numbered(t, reg, maxGrowth/each+2))
	if err == nil || !strings.Contains(err.Error(), "more than it: at most 268435456 are allowed") ||
		!strings.Contains(err.Error(), "transforms.mark") {
		t.Errorf("expected it to be refused, found %.300v", err)
	}
}
