package guest

import "testing"

// Garbage is collected when there is as much of it as live memory, and at least leastGarbage, however much each call
// allocates.
func TestGarbageIsCollectedAtLiveSize(t *testing.T) {
	for _, alive := range []uint64{100 << 10, 1 << 20, 5 << 20, 100 << 20} {
		for _, each := range []uint64{0, 16, 1000, 100_000, 3 << 20, 500 << 20} {
			var c collector
			most := max(minGarbage, alive)
			allocated := uint64(0)
			last := uint64(0)
			checks := 0
			for call := range 10_000 {
				if each == 100_000 && call == 500 {
					each = 150_000 // increased by half
				}
				allocated += each
				if !c.mustCheck() {
					continue
				}
				checks++
				garbage := allocated - last
				collected := c.mustCollect(allocated, alive)
				late := 2 * each // the longest allowed delay
				if each < 1000 {
					late *= maxSkip
				}
				if collected != (garbage >= most) || (each != 1000 && garbage > most+late) {
					t.Errorf("%d live bytes, %d per call: collected %t at %d", alive, each, collected, garbage)
				}
				if collected {
					last = allocated
				}
			}
			if each == 0 && checks > 10_000/maxSkip+1 {
				t.Errorf("found %d checks without allocations", checks)
			}
		}
	}
}
