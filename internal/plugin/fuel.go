package plugin

import (
	"sync"
	"time"
)

// maxTick is the longest work between two ticks that counts, five times the work of plain code on this machine. Longer
// ticks include waiting. It is measured once by a loop of the host: a guest would take ten times as long at the start.
var maxTick = sync.OnceValue(func() time.Duration {
	best := time.Hour
	for range calibrations {
		started := time.Now()
		spin(calibrationRounds)
		best = min(best, time.Since(started))
	}
	return max(best*calibrationsPerTick, minMaxTick)
})

const (
	calibrations      = 5
	calibrationRounds = 40_000
	// A tick may take as long as calibrationsPerTick loops of 67 µs; plain work ticks every 0.2 ms.
	calibrationsPerTick = 15
	minMaxTick          = 100 * time.Microsecond
)

// spinState is package-level so that the compiler cannot remove the loop of spin.
var spinState uint64

// spin runs dependent operations, like most of a guest's.
//
//go:noinline
func spin(rounds int) {
	x := spinState | 1
	for range rounds {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	spinState = x
}
