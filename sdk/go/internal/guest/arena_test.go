package guest

import "testing"

// After a call that outgrew its memory, one chunk remains that fits such a call and little more, because linear memory
// never shrinks.
func TestArenasRetainMemoryOfACall(t *testing.T) {
	a := arena{minChunk: minArguments}
	call := func(sizes ...int) (total int) {
		for _, size := range sizes {
			if b := a.alloc(size); len(b) != size {
				t.Fatalf("expected %d bytes, found %d", size, len(b))
			}
			total += size
		}
		a.released = true
		return total
	}
	for _, sizes := range [][]int{{3, 64 << 10}, {1, 70 << 10, 5}, {100_001, 300_001, 7}, {3, 64 << 10}} {
		most := max(len(a.chunk), minArguments)
		most = max(most, call(sizes...)*5/4)
		call(sizes...)
		if len(a.fullChunks) > 0 || len(a.chunk) > most {
			t.Errorf("%v: found a chunk of %d bytes, expected at most %d, and %d more chunks", sizes, len(a.chunk),
				most,
				len(a.fullChunks))
		}
	}
}
