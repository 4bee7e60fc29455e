package guest

import "testing"

// The heap is looked at when it has twice what is alive, from 1 MiB on, as far as Go's own percentage goes.
func TestHeapsGrowToTwiceWhatIsAlive(t *testing.T) {
	for _, kib := range []uint64{1, 100, 400, 512, 800, 1024, 1500, 2048, 5000, 100_000} {
		alive := kib << 10
		percent := uint64(percentFor(alive))
		looked := max(goHeap*percent/100, alive+alive*percent/100) // Go's rule
		want := max(leastHeap, 2*alive)
		if looked > want+want/10 || looked < want-want/10 || percent > maxPercent {
			t.Errorf("%d KiB alive: expected a look at some %d KiB, found one at %d, %d percent", kib, want>>10, looked>>10, percent)
		}
	}
}
