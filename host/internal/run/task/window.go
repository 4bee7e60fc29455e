package task

import (
	"math"
	"time"
)

// half is how long a half of a [Window] is, as a sample of Kafka's figures (metrics.sample.window.ms).
const half = 30 * time.Second

// Window knows the average, the largest and the smallest of the values of the last half to whole minute, as Kafka's
// own figures do (metrics.num.samples=2). The zero value is empty; it is for one goroutine at a time.
type Window [2]sampled

// sampled are the values of half a minute.
type sampled struct {
	began         time.Time
	count         int64
	sum, max, min float64
}

// Summary is what is known of values. Without any all of it is NaN, as in Kafka.
type Summary struct{ Avg, Max, Min float64 }

// add takes a value that was measured at a time.
func (w *Window) add(now time.Time, value float64) {
	if s := &w[0]; s.count == 0 || now.Sub(s.began) >= half {
		w[1] = *s
		w[0] = sampled{began: now, max: value, min: value}
	}
	s := &w[0]
	s.count++
	s.sum += value
	s.max, s.min = max(s.max, value), min(s.min, value)
}

// AddSince takes the milliseconds since a time.
func (w *Window) AddSince(now, start time.Time) {
	w.add(now, float64(now.Sub(start))/float64(time.Millisecond))
}

// Summary is that of the values which are not too old at a time.
func (w *Window) Summary(now time.Time) Summary {
	var all sampled
	for _, s := range w {
		if s.count == 0 || now.Sub(s.began) >= 2*half {
			continue
		}
		if all.count == 0 {
			all.max, all.min = s.max, s.min
		}
		all.count += s.count
		all.sum += s.sum
		all.max, all.min = max(all.max, s.max), min(all.min, s.min)
	}
	if all.count == 0 {
		return Summary{math.NaN(), math.NaN(), math.NaN()}
	}
	return Summary{all.sum / float64(all.count), all.max, all.min}
}

// Outcomes count what was tried, and know which share of it in the last half to whole minute went well, as Kafka's
// percentages do (org.apache.kafka.common.metrics.stats.Frequencies). The zero value is empty; it is for one goroutine
// at a time.
type Outcomes struct {
	Succeeded, Failed int64
	recent            Window
}

// OutcomeRatios are from 0 to 1; both are 0 where nothing was tried, as in Kafka.
type OutcomeRatios struct{ Succeeded, Failed float64 }

// Add counts one that came to its end at a time.
func (o *Outcomes) Add(now time.Time, well bool) {
	if well {
		o.Succeeded++
		o.recent.add(now, 1)
	} else {
		o.Failed++
		o.recent.add(now, 0)
	}
}

// Ratios are those of what is not too old at a time.
func (o *Outcomes) Ratios(now time.Time) OutcomeRatios {
	well := o.recent.Summary(now).Avg
	if math.IsNaN(well) {
		return OutcomeRatios{}
	}
	return OutcomeRatios{well, 1 - well}
}
