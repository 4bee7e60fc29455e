// Package history keeps what connectors did in the last hour, in steps of 10 seconds, for charts. It is kept in memory:
// a connector with one task needs less than 10 kB.
package history

import (
	"slices"
	"sync"
	"time"
)

const (
	// Steps is the number of steps, of StepSeconds each.
	Steps       = 360
	StepSeconds = 10
	// Minutes is the number of minutes.
	Minutes        = 60
	stepsPerMinute = Steps / Minutes
)

// Counts are the totals of a task, or of a connector's client. They begin again with a new task or client.
type Counts struct {
	Rows     int64 // delivered rows
	Requests int64
	Errors   int64 // including refused records
	Refused  int64
	// Latency counts requests by duration, see [LatencyBuckets].
	Latency [LatencyBuckets]int64
	// Lag is nil if it is unknown.
	Lag *int64
}

// Sample has the counts of a connector with tasks on this worker.
type Sample struct {
	Name string
	// Created tells a connector from another one that had its name.
	Created time.Time
	Parts   []Part
}

// Part has the counts of a task, or of the connector's client, whose Task is [Client].
type Part struct {
	Task int
	Counts
}

// Client is the task of the client in [Sample.Parts].
const Client = -1

// History is the last hour, the oldest step first. Null means unknown: the worker or the tasks did not run.
type History struct {
	Step int       `json:"step"` // seconds
	From time.Time `json:"from"`
	// Rows are delivered rows. P50 and P95 are milliseconds until the service began to answer, at most 65,534, null
	// without requests.
	Rows     []*int64 `json:"rows"`
	Requests []*int64 `json:"requests"`
	P50      []*int64 `json:"p50"`
	P95      []*int64 `json:"p95"`
	Errors   []*int64 `json:"errors"` // including refused records
	Refused  []*int64 `json:"refused"`
	Lag      []*int64 `json:"lag"` // at the end of the step
	Silent   []string `json:"silent"`
}

// Recorder records samples. It is safe for concurrent use.
type Recorder struct {
	mu         sync.Mutex
	connectors map[string]*connectorHistory
	all        ring
}

type connectorHistory struct {
	created time.Time
	last    []Part // without lag
	ring    ring
}

// NextSample returns when the next sample is due: at the end of a step.
func NextSample(now time.Time) time.Time {
	return now.Truncate(StepSeconds * time.Second).Add(StepSeconds * time.Second)
}

// Record adds the samples of all connectors that have tasks on this worker. Connectors that are not among existing ones
// are forgotten.
func (r *Recorder) Record(now time.Time, samples []Sample, existing map[string]bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.connectors == nil {
		r.connectors = map[string]*connectorHistory{}
	}
	for name := range r.connectors {
		if !existing[name] {
			delete(r.connectors, name)
		}
	}
	step := lastStep(now)
	total := unknownPoint
	for i := range samples {
		sample := &samples[i]
		c := r.connectors[sample.Name]
		if c == nil || !c.created.Equal(sample.Created) {
			c = &connectorHistory{created: sample.Created}
			r.connectors[sample.Name] = c
		}
		point := sample.since(c.last)
		c.last = slices.Clone(sample.Parts)
		for i := range c.last {
			c.last[i].Lag = nil
		}
		c.ring.record(step, point)
		total.add(point)
	}
	r.all.record(step, total)
}

// lastStep returns the number of the step that ends about now.
func lastStep(now time.Time) int64 { return (now.Unix()+StepSeconds/2)/StepSeconds - 1 }

// Connector returns the history of a connector; all of it is unknown if the connector has none.
func (r *Recorder) Connector(name string, now time.Time) History {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.connectors[name]; c != nil {
		return c.ring.history(lastStep(now))
	}
	return new(ring).history(lastStep(now))
}

// All returns the history of all connectors together. Its latencies are the greatest of all.
func (r *Recorder) All(now time.Time) History {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all.history(lastStep(now))
}

// Hour returns the rows of each minute, the oldest first, and the refused records of the hour; nil means unknown.
func (r *Recorder) Hour(name string, now time.Time) (minutes []*int64, refused *int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	minutes = make([]*int64, Minutes)
	c := r.connectors[name]
	if c == nil {
		return minutes, nil
	}
	sums := make([]int64, Minutes+1) // the last one counts refused records
	first := lastStep(now) - Steps + 1
	for i := range Steps {
		point := c.ring.at(first + int64(i))
		if point.rows == unknown {
			continue
		}
		minute := i / stepsPerMinute
		sums[minute] += int64(point.rows)
		minutes[minute] = &sums[minute]
		sums[Minutes] += int64(point.refused)
		refused = &sums[Minutes]
	}
	return minutes, refused
}

// Add adds the history of another worker.
func (h *History) Add(other History) {
	shift := int(other.From.Sub(h.From).Seconds()) / StepSeconds
	for i := range Steps {
		from := i - shift
		if from < 0 || from >= Steps || len(other.Rows) != Steps {
			continue
		}
		for _, counts := range []struct{ sums, added []*int64 }{{h.Rows, other.Rows}, {h.Requests, other.Requests},
			{h.Errors, other.Errors}, {h.Refused, other.Refused}, {h.Lag, other.Lag}} {
			if len(counts.added) == Steps {
				counts.sums[i] = Sum(counts.sums[i], counts.added[from])
			}
		}
		for _, times := range []struct{ greatest, other []*int64 }{{h.P50, other.P50}, {h.P95, other.P95}} {
			if len(times.other) == Steps {
				times.greatest[i] = greatest(times.greatest[i], times.other[from])
			}
		}
	}
}

// Sum adds two numbers. Unknown ones add nothing.
func Sum[N int64 | float64](a, b *N) *N {
	if a == nil {
		return b
	}
	if b == nil {
		return a
	}
	total := *a + *b
	return &total
}

func greatest(a, b *int64) *int64 {
	if a == nil || (b != nil && *b > *a) {
		return b
	}
	return a
}
