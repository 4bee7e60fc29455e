package history

import (
	"math"
	"slices"
	"time"
)

// number is a count that may be unknown; greater ones are cut. millis is a duration of at most a minute.
type (
	number uint32
	millis uint16
)

const (
	unknown       number = math.MaxUint32
	unknownMillis millis = math.MaxUint16
)

func newNumber(n int64) number { return number(min(max(n, 0), int64(unknown)-1)) }

func newMillis(n float64) millis { return millis(min(math.Round(n), float64(unknownMillis)-1)) }

func (m millis) value() *int64 {
	if m == unknownMillis {
		return nil
	}
	value := int64(m)
	return &value
}

func (m millis) greatest(other millis) millis {
	if m == unknownMillis || (other != unknownMillis && other > m) {
		return other
	}
	return m
}

func (n number) value() *int64 {
	if n == unknown {
		return nil
	}
	value := int64(n)
	return &value
}

func (n number) plus(other number) number {
	if n == unknown {
		return other
	}
	if other == unknown {
		return n
	}
	return newNumber(int64(n) + int64(other))
}

// point is a step: 24 bytes.
type point struct {
	rows     number
	requests number
	errors   number
	refused  number
	lag      number
	p50      millis
	p95      millis
}

var unknownPoint = point{unknown, unknown, unknown, unknown, unknown, unknownMillis, unknownMillis}

func (p *point) add(other point) {
	p.rows = p.rows.plus(other.rows)
	p.requests = p.requests.plus(other.requests)
	p.errors = p.errors.plus(other.errors)
	p.refused = p.refused.plus(other.refused)
	p.lag = p.lag.plus(other.lag)
	p.p50 = p.p50.greatest(other.p50)
	p.p95 = p.p95.greatest(other.p95)
}

// ring has the points of the last steps. A point belongs to the step last-i at index (last-i)%Steps, if it is among the
// recorded ones.
type ring struct {
	points   [Steps]point
	last     int64 // the newest step
	recorded int   // steps, at most Steps
}

// record adds a point. If the clock was set back, the ring begins again.
func (r *ring) record(step int64, p point) {
	if r.recorded > 0 && step == r.last { // a sample came late and the next one in time
		last := &r.points[step%Steps]
		if p.lag != unknown { // not a count of the step
			last.lag = unknown
		}
		last.add(p)
		return
	}
	skipped := step - r.last - 1
	if r.recorded == 0 || skipped < 0 || skipped >= Steps {
		r.recorded = 0
		skipped = 0
	}
	for i := range skipped {
		r.points[(r.last+1+i)%Steps] = unknownPoint
	}
	r.points[step%Steps] = p
	r.last = step
	r.recorded = min(r.recorded+int(skipped)+1, Steps)
}

func (r *ring) at(step int64) point {
	if age := r.last - step; age >= 0 && age < int64(r.recorded) {
		return r.points[step%Steps]
	}
	return unknownPoint
}

func (r *ring) history(last int64) History {
	first := last - Steps + 1
	h := History{Step: StepSeconds, From: time.Unix(first*StepSeconds, 0).UTC(), Silent: []string{}}
	for i := range int64(Steps) {
		p := r.at(first + i)
		h.Rows = append(h.Rows, p.rows.value())
		h.Requests = append(h.Requests, p.requests.value())
		h.P50 = append(h.P50, p.p50.value())
		h.P95 = append(h.P95, p.p95.value())
		h.Errors = append(h.Errors, p.errors.value())
		h.Refused = append(h.Refused, p.refused.value())
		h.Lag = append(h.Lag, p.lag.value())
	}
	return h
}

// LatencyBuckets is the number of buckets of durations: bucket i counts durations of at most 2^i milliseconds that no
// earlier bucket counts, the last bucket all longer ones.
const LatencyBuckets = 20

// LatencyBucket returns the bucket of a duration.
func LatencyBucket(d time.Duration) int {
	bucket := 0
	for bucket < LatencyBuckets-1 && d > time.Millisecond<<bucket {
		bucket++
	}
	return bucket
}

// since returns what happened since earlier counts.
func (s *Sample) since(last []Part) point {
	total := unknownPoint
	for i := range s.Parts {
		part := &s.Parts[i]
		var previous Counts
		if pos := slices.IndexFunc(last, func(p Part) bool { return p.Task == part.Task }); pos >= 0 {
			previous = last[pos].Counts
		}
		total.add(part.since(&previous))
	}
	return total
}

// since returns what happened since earlier counts. Smaller counts belong to a new task or client.
func (c *Counts) since(last *Counts) point {
	if c.Rows < last.Rows || c.Requests < last.Requests || c.Errors < last.Errors || c.Refused < last.Refused {
		last = &Counts{}
	}
	p := point{rows: newNumber(c.Rows - last.Rows), requests: newNumber(c.Requests - last.Requests),
		errors: newNumber(c.Errors - last.Errors), refused: newNumber(c.Refused - last.Refused), lag: unknown}
	if c.Lag != nil {
		p.lag = newNumber(*c.Lag)
	}
	var latency [LatencyBuckets]int64
	for i := range latency {
		latency[i] = c.Latency[i] - last.Latency[i]
	}
	p.p50 = percentile(&latency, 0.5)
	p.p95 = percentile(&latency, 0.95)
	return p
}

// percentile interpolates within the bucket.
func percentile(latency *[LatencyBuckets]int64, share float64) millis {
	total := int64(0)
	for _, n := range latency {
		total += max(n, 0)
	}
	if total == 0 {
		return unknownMillis
	}
	wanted := share * float64(total)
	lowerCount := int64(0)
	for i, n := range latency {
		if n <= 0 || float64(lowerCount+n) < wanted {
			lowerCount += max(n, 0)
			continue
		}
		upper := float64(int64(1) << i)
		lower := upper / 2
		if i == 0 {
			lower = 0
		}
		return newMillis(lower + (upper-lower)*(wanted-float64(lowerCount))/float64(n))
	}
	return newMillis(1 << (LatencyBuckets - 1))
}
