package limits

import "fmt"

// Share is what a worker of a cluster may ask of an origin, as its part of what all workers may. It counts in addition
// to the limits of the clients, and leaves windows alone.
type Share struct {
	// Requests is how many are under way at a time. 0: the worker has no share of the origin yet. It may ask one
	// request at a time then, and its part of those in a second: planning and validation ask before the leader knows
	// the origin, and could not go on otherwise; tasks get their shares with the assignment, so they add nothing to it.
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

// Share bounds what all clients ask together by the origin's share, from now on; nil: by their own limits alone, as in
// a worker without a cluster. What is under way goes on; nothing more is let through before there is less than the
// share.
func (l *Limiter) Share(of func(origin string) Share) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.share = nil
	if of != nil {
		share := of(l.origin)
		l.share = &share
	}
	l.restrict()
	l.grant()
	if l.share == nil {
		return
	}
	kept := l.sessions
	if l.share.Requests == 0 { // those of tasks that were taken away, or of planning
		kept = 0
	}
	for c := range l.clients {
		c.trim(kept)
	}
}

// Taken is how many requests are under way. While they end, they may be more than a share that has become smaller.
func (l *Limiter) Taken() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.requests.taken
}

// busy is why a request waits; l.mu is held.
func (l *Limiter) busy() string {
	return fmt.Sprintf("requests to %s wait for others: %d at a time%s", l.origin, l.limits.Concurrent,
		byShare(l.limits.Concurrent < l.strictest.Concurrent))
}

// byShare says in texts that a limit is the worker's share, where it is.
func byShare(is bool) string {
	if is {
		return ", this worker's share in the cluster"
	}
	return ""
}
