package task

import (
	"math"
	"time"
)

const halfWindow = 30 * time.Second

// Window summarizes the values of the last 30 to 60 seconds, as Kafka's metrics do (metrics.num.samples=2). The first
// half is the current one. It is not safe for concurrent use.
type Window [2]windowHalf

type windowHalf struct {
	start time.Time
	count int64
	sum   float64
	max   float64
	min   float64
}

// Summary is NaN without values, as in Kafka.
type Summary struct {
	Avg float64
	Max float64
	Min float64
}

func (w *Window) add(now time.Time, value float64) {
	if current := &w[0]; current.count == 0 || now.Sub(current.start) >= halfWindow {
		w[1] = *current
		w[0] = windowHalf{start: now, max: value, min: value}
	}
	current := &w[0]
	current.count++
	current.sum += value
	current.max = max(current.max, value)
	current.min = min(current.min, value)
}

// AddSince adds the milliseconds from start to now.
func (w *Window) AddSince(now, start time.Time) {
	w.add(now, float64(now.Sub(start))/float64(time.Millisecond))
}

// Summary summarizes the values of the window.
func (w *Window) Summary(now time.Time) Summary {
	var total windowHalf
	for _, half := range w {
		if half.count == 0 || now.Sub(half.start) >= 2*halfWindow {
			continue
		}
		if total.count == 0 {
			total.max = half.max
			total.min = half.min
		}
		total.count += half.count
		total.sum += half.sum
		total.max = max(total.max, half.max)
		total.min = min(total.min, half.min)
	}
	if total.count == 0 {
		return Summary{Avg: math.NaN(), Max: math.NaN(), Min: math.NaN()}
	}
	return Summary{Avg: total.sum / float64(total.count), Max: total.max, Min: total.min}
}

// Outcomes counts operations and computes their success ratio in the window, as Kafka's percentages do
// (org.apache.kafka.common.metrics.stats.Frequencies). It is not safe for concurrent use.
type Outcomes struct {
	Succeeded int64
	Failed    int64
	recent    Window // 1 for each success, 0 for each failure
}

// OutcomeRatios are from 0 to 1; both are 0 without operations, as in Kafka.
type OutcomeRatios struct {
	Succeeded float64
	Failed    float64
}

// Add counts an operation.
func (o *Outcomes) Add(now time.Time, succeeded bool) {
	if succeeded {
		o.Succeeded++
		o.recent.add(now, 1)
	} else {
		o.Failed++
		o.recent.add(now, 0)
	}
}

// Ratios returns the ratios of the window.
func (o *Outcomes) Ratios(now time.Time) OutcomeRatios {
	succeeded := o.recent.Summary(now).Avg
	if math.IsNaN(succeeded) {
		return OutcomeRatios{}
	}
	return OutcomeRatios{Succeeded: succeeded, Failed: 1 - succeeded}
}
