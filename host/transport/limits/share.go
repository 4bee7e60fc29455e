package limits

import (
	"strconv"
	"time"
)

// Share is what a worker of a cluster may ask of an origin, as its part of what all workers may. It comes in addition to
// the limits of the clients, and leaves windows alone.
type Share struct {
	// Requests is how many are under way at a time. 0: the worker has no share of the origin yet. It may ask one request
	// at a time then, and its part of those in a second: planning and validation ask before the leader knows the origin,
	// and would wait for ever otherwise; tasks get their shares with the assignment, so they do not add to it.
	Requests int
	// PerSecond is how many begin in a second. 0: the share sets no limit.
	PerSecond float64
}

// of is the part of the clients' limits that the share allows. Connections are in proportion to requests: the sum over
// all workers is then no more than one worker could have, and each request has one.
func (s *Share) of(clients Limits) Limits {
	most, part := max(clients.Concurrent, 1), clients
	part.Concurrent = least(clients.Concurrent, max(s.Requests, 1))
	part.Connections = clients.Connections * part.Concurrent / most
	part.PerSecond = least(clients.PerSecond, s.PerSecond)
	if s.Requests == 0 {
		part.PerSecond = clients.PerSecond / float64(most)
	}
	return part
}

// Share bounds what all clients ask together by a share, from now on; nil: by their own limits alone, as in a worker
// without a cluster. What is under way goes on: nothing more is let through before there is less than the share.
func (l *Limiter) Share(s *Share) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.limits.Concurrent
	l.share = s
	l.restrict()
	l.grant()
	if l.limits.Concurrent < before {
		for c := range l.clients {
			c.fewer()
		}
	}
}

// Taken is how many requests are under way: as long as they run, more than the share where that has become smaller.
func (l *Limiter) Taken() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.requests.taken
}

// sharing says what makes a limit the worker's own, for texts: "" if the clients do; l.mu is held.
func (l *Limiter) sharing(narrower bool) string {
	switch {
	case !narrower:
		return ""
	case l.share.Requests == 0:
		return ", until this worker has a share of the origin in the cluster"
	}
	return ", this worker's share in the cluster"
}

// manyRequests and manyConnections are why a request or a connection waits; l.mu is held.
func (l *Limiter) manyRequests() string {
	return "requests to " + l.origin + " wait for others: " + strconv.Itoa(l.limits.Concurrent) + " at a time" +
		l.sharing(l.limits.Concurrent < l.strictest.Concurrent)
}

func (l *Limiter) manyConnections() string {
	return "all connections to " + l.origin + " are in use" +
		l.sharing(l.limits.Connections < l.strictest.Connections)
}

// interval is the time from one request to the next at a rate, 0 without one.
func interval(perSecond float64) time.Duration {
	if perSecond == 0 {
		return 0
	}
	return time.Duration(float64(time.Second) / perSecond)
}

// repace has those that wait for their time by the rate before ask for another one. The next request begins an interval
// of the new rate after the last one that has begun, so that frequent changes neither hold requests back nor let more
// through than either rate; l.mu is held.
func (l *Limiter) repace(before, after time.Duration) {
	now := time.Now()
	last := l.begin.Add(-before)
	if ahead := l.begin.Sub(now); ahead > 0 && before > 0 { // others have times to come: the last one before now counts
		last = now.Add(ahead%before - before)
		if ahead%before == 0 {
			last = now
		}
	}
	l.begin = last.Add(after)
	close(l.repaced)
	l.repaced = make(chan struct{})
}
