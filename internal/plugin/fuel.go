package plugin

import (
	"sync"
	"time"
)

// maxTick is the longest work between two ticks that counts, five times what plain work takes on this machine. Ticks
// that take longer include waiting. It is measured once, by a loop of the host: running a guest for it would cost ten
// times as much at the start.
var maxTick = sync.OnceValue(func() time.Duration {
	best := time.Hour
	for range calibrations {
		began := time.Now()
		spin(calibrationRounds)
		best = min(best, time.Since(began)) // the one that was disturbed least
	}
	return max(best*calibrationsPerTick, minMaxTick)
})

const (
	calibrations     = 5
	calibrationRounds = 40_000
	// calibrationsPerTick loops of 67 µs take as long as a tick may; plain work ticks every 0.2 ms.
	calibrationsPerTick = 15
	minMaxTick          = 100 * time.Microsecond
)

var spun uint64

// spin runs operations that depend on each other, as most of a guest's do.
//
//go:noinline
func spin(turns int) {
	x := spun | 1
	for range turns {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	spun = x
}
