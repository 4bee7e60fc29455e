package plugin

import (
	"sync"
	"time"
)

// maxTick is the most that a guest is taken to work between two ticks, as fast as this machine is: five times what
// plain work takes. A call whose ticks take longer waits for a processor, or does what is dearer than its fuel. It is
// measured once, by a loop of the host's own, since running a guest for it would cost a start ten times as much.
var maxTick = sync.OnceValue(func() time.Duration {
	best := time.Hour
	for range calibrations {
		began := time.Now()
		spin(calibrationTurns)
		best = min(best, time.Since(began)) // the one that was disturbed least
	}
	return max(best*calibrationsPerTick, minMaxTick)
})

const (
	// calibrations are how many loops of so many turns are measured: 0.3 ms in all.
	calibrations     = 5
	calibrationTurns = 40_000
	// calibrationsPerTick is how many of them take as long as a tick may: 67 µs each where plain work comes by every
	// 0.2 ms.
	calibrationsPerTick = 15
	// minMaxTick is for clocks that stand still for long.
	minMaxTick = 100 * time.Microsecond
)

// spun keeps the loop from being left out.
var spun uint64

// spin is a chain of operations each of which waits for the one before, as most of a guest's do.
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
