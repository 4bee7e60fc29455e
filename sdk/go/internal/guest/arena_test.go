package guest

import (
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// After a call that needed several chunks, one chunk remains that fits such a call and little more, because linear
// memory never shrinks.
func TestArenasRetainMemoryOfACall(t *testing.T) {
	a := arena{minChunk: minArguments}
	call := func(sizes ...int) (total int) {
		for _, size := range sizes {
			b := a.alloc(size)
			require.True(t, len(b) == size, "expected %d bytes, found %d", size, len(b))
			total += size
		}
		a.released = true
		return total
	}
	for _, sizes := range [][]int{{3, 64 << 10}, {1, 70 << 10, 5}, {100_001, 300_001, 7}, {3, 64 << 10}} {
		maxSize := max(len(a.chunk), minArguments)
		maxSize = max(maxSize, call(sizes...)*5/4)
		call(sizes...)
		assert.True(t, len(a.fullChunks) <= 0 && len(a.chunk) <= maxSize,
			"%v: found a chunk of %d bytes, expected at most %d, and %d more chunks", sizes, len(a.chunk), maxSize,
			len(a.fullChunks))
	}
}

// After the first calls, all memory of a call is in one chunk.
func TestArenaUsesOneChunk(t *testing.T) {
	var a arena
	for range 3 {
		for range 10 {
			b := a.alloc(50_001)
			b[50_000] = 1
		}
		a.released = true
	}
	assert.True(t, len(a.fullChunks) == 0 && len(a.chunk) >= 500_010 && len(a.chunk) <= 2_000_000,
		"expected one chunk of 500010 to 2000000 bytes, found one of %d and %d more", len(a.chunk), len(a.fullChunks))
}
