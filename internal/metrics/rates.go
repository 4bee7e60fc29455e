package metrics

import (
	"sync"
	"time"
)

// rates computes how fast counters grow, from samples of successive scrapes.
type rates struct {
	mu sync.Mutex
	// The samples of the previous and of the current scrape; the second of a pair is the newer one.
	previous map[rateKey][2]sample
	samples  map[rateKey][2]sample
}

// rateKey identifies a counter. An empty connector means a counter of the worker.
type rateKey struct {
	metric    string
	connector string
	task      int
}

type sample struct {
	at    time.Time
	value float64
}

const rateWindow = time.Minute // the minimum age of the older sample, unless the counter is younger

// beginScrape locks r until endScrape. Counters that the previous scrape did not read are forgotten.
func (r *rates) beginScrape() {
	r.mu.Lock()
	r.previous = r.samples
	r.samples = map[rateKey][2]sample{}
}

func (r *rates) endScrape() { r.mu.Unlock() }

// rate returns the growth per second since the older sample. A counter that fell was reset; its rate is zero.
func (r *rates) rate(key rateKey, now time.Time, value float64) (rate float64) {
	pair, ok := r.previous[key]
	if !ok || value < pair[1].value {
		pair = [2]sample{{now, value}, {now, value}}
	}
	if now.After(pair[0].at) {
		rate = (value - pair[0].value) / now.Sub(pair[0].at).Seconds()
	}
	if now.Sub(pair[1].at) >= rateWindow {
		pair = [2]sample{pair[1], {now, value}}
	}
	r.samples[key] = pair
	return rate
}
