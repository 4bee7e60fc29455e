package host

import (
	"sync"
	"time"
)

// rates computes how fast counters grow. Scrapes take the samples.
type rates struct {
	mu sync.Mutex
	// before holds the samples of the round before, samples those of the present one: an older one, and one that takes
	// its place when it is rateWindow old.
	before, samples map[rateKey][2]sample
}

// rateKey names a counter; without a connector it is the worker's.
type rateKey struct {
	metric    string
	connector string
	task      int
}

type sample struct {
	at    time.Time
	value float64
}

// rateWindow is over how long a rate is taken, at least where there are samples of that age.
const rateWindow = time.Minute

// begin locks the rates for a round of all tasks. Counters that the round before did not have are forgotten.
func (r *rates) begin() {
	r.mu.Lock()
	r.before, r.samples = r.samples, map[rateKey][2]sample{}
}

// end unlocks the rates.
func (r *rates) end() { r.mu.Unlock() }

// of takes a sample and returns the growth in a second since the older one that is kept. A counter that has begun again
// has begun at zero.
func (r *rates) of(key rateKey, now time.Time, value float64) (rate float64) {
	kept, there := r.before[key]
	if !there || value < kept[1].value {
		kept = [2]sample{{now, value}, {now, value}}
	}
	if now.After(kept[0].at) {
		rate = (value - kept[0].value) / now.Sub(kept[0].at).Seconds()
	}
	if now.Sub(kept[1].at) >= rateWindow {
		kept = [2]sample{kept[1], {now, value}}
	}
	r.samples[key] = kept
	return rate
}
