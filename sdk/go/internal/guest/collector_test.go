package guest

import (
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
)

// Garbage is collected when there is as much of it as live memory, and at least minGarbage, however much each call
// allocates.
func TestGarbageIsCollectedAtLiveSize(t *testing.T) {
	for _, live := range []uint64{100 << 10, 1 << 20, 5 << 20, 100 << 20} {
		for _, bytesPerCall := range []uint64{0, 16, 1000, 100_000, 3 << 20, 500 << 20} {
			var c collector
			threshold := max(minGarbage, live)
			allocated := uint64(0)
			collectedAt := uint64(0)
			checks := 0
			for call := range 10_000 {
				if bytesPerCall == 100_000 && call == 500 {
					bytesPerCall = 150_000 // increased by half
				}
				allocated += bytesPerCall
				if !c.mustCheck() {
					continue
				}
				checks++
				garbage := allocated - collectedAt
				collected := c.mustCollect(allocated, live)
				// maxDelay is the garbage in bytes of the calls that may follow before the collection.
				maxDelay := 2 * bytesPerCall
				if bytesPerCall <= 1000 {
					maxDelay *= maxSkip
				}
				assert.True(t, collected == (garbage >= threshold) && garbage <= threshold+maxDelay,
					"%d live bytes, %d per call: expected a collection at %d bytes, found %t at %d", live, bytesPerCall,
					threshold, collected, garbage)
				if collected {
					collectedAt = allocated
				}
			}
			assert.True(t, bytesPerCall != 0 || checks <= 10_000/maxSkip+1,
				"expected at most %d checks without allocations, found %d", 10_000/maxSkip+1, checks)
		}
	}
}
