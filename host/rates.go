package host

import (
	"sync"
	"time"
)

// rates are how fast counters grow. Whoever asks for figures takes the samples.
type rates struct {
	mu      sync.Mutex
	samples map[rateKey][]sample
	seen    map[rateKey]bool
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

const (
	// rateWindow is over how long a rate is taken, at least where there are samples of that age.
	rateWindow = time.Minute
	// sampleEvery is how far samples that are kept are apart.
	sampleEvery = 5 * time.Second
)

// begin locks the rates for a round of all tasks, end lets them go and forgets tasks that are gone.
func (r *rates) begin() {
	r.mu.Lock()
	r.seen = map[rateKey]bool{}
}

func (r *rates) end() {
	for key := range r.samples {
		if !r.seen[key] {
			delete(r.samples, key)
		}
	}
	r.mu.Unlock()
}

// of takes a sample and returns the growth in a second since the oldest one that is kept. A counter that has begun
// again has begun at zero.
func (r *rates) of(key rateKey, now time.Time, value float64) float64 {
	r.seen[key] = true
	kept := r.samples[key]
	if n := len(kept); n > 0 && value < kept[n-1].value {
		kept = nil
	}
	for len(kept) > 1 && now.Sub(kept[1].at) >= rateWindow {
		kept = kept[1:]
	}
	rate := 0.0
	if len(kept) > 0 && now.After(kept[0].at) {
		rate = (value - kept[0].value) / now.Sub(kept[0].at).Seconds()
	}
	if n := len(kept); n == 0 || now.Sub(kept[n-1].at) >= sampleEvery {
		kept = append(kept, sample{now, value})
	}
	if r.samples == nil {
		r.samples = map[rateKey][]sample{}
	}
	r.samples[key] = kept
	return rate
}
