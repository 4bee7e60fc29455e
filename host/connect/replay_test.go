package connect

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/culvert-project/culvert/host/internal/base/assert"
	"github.com/culvert-project/culvert/host/internal/base/require"
)

// What was replayed is known again after it was stored, whatever the order in which letters were settled.
func TestWhatWasReplayed(t *testing.T) {
	random := rand.New(rand.NewPCG(14, 0))
	for range 200 {
		place, settled, doubtful := replayPlace{next: 3}, map[int64]bool{}, map[int64]bool{}
		for range random.IntN(40) {
			first := int64(random.IntN(60))
			last := first + int64(random.IntN(4)) - 1
			if random.IntN(3) == 0 && first >= place.next && !settled[first] {
				place.doubt(first, true)
				doubtful[first] = true
				continue
			}
			place.settle(first, last)
			for at := first; at <= last; at++ {
				settled[at] = true
				delete(doubtful, at)
			}
		}
		again, err := readReplayPlace(place.fields())
		require.NoError(t, err)
		for at := range int64(70) {
			if expected := at < 3 || settled[at]; place.settled(at) != expected || again.settled(at) != expected {
				t.Fatalf("%d: expected settled %t, found %t and, stored, %t in %v", at, expected, place.settled(at),
					again.settled(at), place)
			}
		}
		assert.Equal(t, slices.Sorted(maps.Keys(doubtful)), slices.Sorted(maps.Keys(again.sent)), "in doubt")
		for i := 1; i < len(place.done); i++ {
			if place.done[i-1].last+1 >= place.done[i].first {
				t.Fatalf("expected runs with gaps between them, found %v", place.done)
			}
		}
	}
}

// Letters that are replayed by filters leave gaps, whose number is bounded; every second one is the worst.
func TestWhatWasReplayedIsBounded(t *testing.T) {
	var place replayPlace
	for i := range int64(maxGaps) {
		place.settle(2*i+1, 2*i+1)
	}
	assert.NoError(t, place.bounded())
	place.settle(2*maxGaps+1, 2*maxGaps+1)
	if place.bounded() == nil {
		t.Errorf("expected at most %d runs, found %d taken", maxGaps, len(place.done))
	}
}
