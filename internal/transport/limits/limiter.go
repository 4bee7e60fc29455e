// Package limits enforces the limits of an origin for all its clients together: concurrent requests, requests per
// second, connections, and maintenance windows. The strictest limits of the clients apply, divided by the workers of a
// group (RATIONALE.md P16). Clients take turns; an admitted request counts until its end, even if its client has left.
package limits

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/guard"
)

// Limits bound the requests to an origin.
type Limits struct {
	// Concurrent is the number of requests in flight, until the last byte is read. Zero means [role.MaxConcurrent].
	Concurrent int
	// Connections is the number of connections, idle ones included, and of sessions; requests on behalf of an open
	// answer get one more. Zero means as many as Concurrent allows.
	Connections int
	// PerSecond is the number of requests that start per second, evenly spread. Zero means no limit.
	PerSecond float64
	// Windows are times in which no request starts.
	Windows []Window
}

// Limiter enforces the limits of one origin for all its clients.
type Limiter struct {
	origin string

	mu        guard.Mutex
	clients   map[*Client]struct{}
	division  Division // of one worker without a group
	strictest Limits   // of all clients; set by restrict
	limits    Limits   // this worker's part of strictest; set by restrict
	sessions  int      // per user; zero means no limit
	granted   int64    // admitted requests

	requests    semaphore
	connections semaphore

	// pacing is held by the request that waits for rate; changed is closed when the rate changes.
	pacing  guard.CtxMutex
	rate    *rate.Limiter
	changed chan struct{}
}

// semaphore counts slots in use and queues waiters for more. Limiter.mu guards it.
type semaphore struct {
	inUse   int
	waiting []*waiter
}

// grant admits waiters while the limit allows; next returns the index of the next one. Limit zero means no limit.
func (s *semaphore) grant(limit int, next func([]*waiter) int) {
	for len(s.waiting) > 0 && (s.inUse < limit || limit == 0) {
		index := next(s.waiting)
		close(s.waiting[index].ready)
		s.waiting = slices.Delete(s.waiting, index, index+1)
		s.inUse++
	}
}

// New returns the limiter of an origin without clients, for one worker.
func New(origin string) *Limiter {
	return &Limiter{
		origin:   origin,
		clients:  map[*Client]struct{}{},
		division: Division{Workers: 1},
		pacing:   guard.NewCtxMutex(),
		rate:     rate.NewLimiter(rate.Inf, 1),
		changed:  make(chan struct{}),
	}
}

// Client is a client of an origin, between [Limiter.Join] and [Client.Leave].
type Client struct {
	limiter *Limiter
	log     *slog.Logger
	endIdle func()             // closes idle connections
	trim    func(sessions int) // ends unused sessions beyond this number, without waiting

	// Guarded by Limiter.mu. lastGranted is the value of granted at the client's last request.
	limits         Limits
	lastGranted    int64
	waits          map[*waiter]struct{}
	loggedWindow   time.Time // the window that was logged
	delayedAt      time.Time // the last wait for the rate
	longWaitLogged time.Time // when a long wait was last logged
}

type waiter struct {
	client     *Client
	ready      chan struct{}
	reason     string
	since      time.Time // zero means that Waiting reports it at once
	recordedAt time.Time // the start of the wait
	byService  bool      // because of Retry-After
	byRate     bool      // because of the limit of requests per second
}

// Join adds a client with its limits, of which Concurrent is set. endIdle is called when others wait for a
// connection; trim, under the limiter's lock, when the worker's part changes.
func (l *Limiter) Join(limits Limits, log *slog.Logger, endIdle func(), trim func(sessions int)) *Client {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := &Client{limiter: l, log: log, endIdle: endIdle, trim: trim, limits: limits, waits: map[*waiter]struct{}{}}
	l.clients[c] = struct{}{}
	l.restrict()
	return c
}

// Leave removes the client and admits others. Requests in flight still call Release. isLast means no client is left.
func (c *Client) Leave() (isLast bool) {
	l := c.limiter
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.clients, c)
	l.restrict()
	l.grant()
	return len(l.clients) == 0
}

// MaxSessions returns the limit of sessions per user. Zero means no limit.
func (c *Client) MaxSessions() int {
	c.limiter.mu.Lock()
	defer c.limiter.mu.Unlock()
	return c.limiter.sessions
}

// restrict recomputes the limits; l.mu is held. Without clients the last limits stay for requests in flight.
func (l *Limiter) restrict() {
	if len(l.clients) == 0 {
		return
	}
	strictest := Limits{Concurrent: l.division.Requests, PerSecond: l.division.PerSecond}
	for c := range l.clients {
		strictest.Concurrent = Least(strictest.Concurrent, c.limits.Concurrent)
		strictest.Connections = Least(strictest.Connections, c.limits.Connections)
		strictest.PerSecond = Least(strictest.PerSecond, c.limits.PerSecond)
		strictest.Windows = append(strictest.Windows, c.limits.Windows...)
	}
	// More requests would only wait for a connection.
	strictest.Concurrent = Least(strictest.Concurrent, strictest.Connections)
	l.limits = strictest.perWorker(l.division.Workers)
	l.strictest = strictest
	l.sessions = l.limits.Connections
	if l.division.Workers != 1 {
		l.sessions = cmp.Or(l.sessions, l.limits.Concurrent) // else sessions of an earlier, larger part would remain
	}
	// A changed rate wakes the request that waits for it.
	limit := rate.Limit(l.limits.PerSecond)
	if l.limits.PerSecond == 0 {
		limit = rate.Inf
	}
	if limit != l.rate.Limit() {
		l.rate.SetLimit(limit)
		close(l.changed)
		l.changed = make(chan struct{})
	}
	for _, w := range l.requests.waiting {
		w.reason = l.requestWait()
	}
}

// perWorker returns one worker's part, at least one request. Zero workers means one that only plans and validates.
func (l Limits) perWorker(workers int) Limits {
	concurrent := max(l.Concurrent, 1)
	if workers <= 0 {
		workers = concurrent
	}
	l.PerSecond /= float64(workers)
	workers = min(workers, concurrent) // at least one request each
	l.Concurrent /= workers
	l.Connections /= workers
	return l
}

// Division describes how the workers of a group divide the limits of an origin.
type Division struct {
	Workers int `json:"w"` // with tasks of the origin; 1 without a group, 0 if this one has none
	// Requests and PerSecond are the strictest limits of all connectors of the group. Zero means no limit.
	Requests  int     `json:"r,omitempty"`
	PerSecond float64 `json:"p,omitempty"`
}

// Divide sets the worker's part, admits requests, and calls trim of all clients under the lock if it is one of a group.
func (l *Limiter) Divide(division Division) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if division == l.division {
		return
	}
	l.division = division
	l.restrict()
	l.grant()
	if division.Workers == 1 {
		return
	}
	maxSessions := l.sessions
	if division.Workers == 0 { // sessions of revoked tasks or of planning
		maxSessions = 0
	}
	for c := range l.clients {
		c.trim(maxSessions)
	}
}

func (l *Limiter) requestWait() string {
	return fmt.Sprintf("waiting for other requests to %s: limit %d at a time%s", l.origin, l.limits.Concurrent,
		quotaNote(l.limits.Concurrent < l.strictest.Concurrent))
}

func quotaNote(isPart bool) string {
	if isPart {
		return ", this worker's part of the cluster's limit"
	}
	return ""
}

// Least returns the stricter limit. Zero means no limit.
func Least[N int | float64](a, b N) N {
	if a == 0 || (b != 0 && b < a) {
		return b
	}
	return a
}

// Acquire waits until one more request may be in flight; [Client.Release] ends it.
func (c *Client) Acquire(ctx context.Context) error {
	if err := c.waitForWindow(ctx); err != nil {
		return err
	}
	l := c.limiter
	l.mu.Lock()
	w := &waiter{client: c, ready: make(chan struct{}), since: time.Now(), reason: l.requestWait()}
	l.requests.waiting = append(l.requests.waiting, w)
	l.grant()
	l.mu.Unlock()
	return c.wait(ctx, w, &l.requests)
}

// ErrNoRoom is the error of [Client.TryAcquire] if the request would have to wait.
var ErrNoRoom = errors.New("the limits of the origin do not allow another request now")

// TryAcquire is [Client.Acquire] without waiting.
func (c *Client) TryAcquire(ctx context.Context) error {
	if !c.Window().IsZero() {
		return ErrNoRoom
	}
	l := c.limiter
	l.mu.Lock()
	defer l.mu.Unlock()
	if limit := l.limits.Concurrent; len(l.requests.waiting) > 0 || (limit > 0 && l.requests.inUse >= limit) {
		return ErrNoRoom
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	l.requests.inUse++
	return nil
}

// wait waits until w is admitted by s. If ctx ends first, it removes w, or passes the slot on.
func (c *Client) wait(ctx context.Context, w *waiter, s *semaphore) error {
	select {
	case <-w.ready:
		return nil
	default:
	}
	defer c.recordWait(w)()
	defer pause.MarkLimitWait(ctx)()
	select {
	case <-w.ready:
		now := time.Now()
		if now.Sub(w.since) > longWait {
			c.limiter.mu.Lock()
			isDue := now.Sub(c.longWaitLogged) >= logEvery
			if isDue {
				c.longWaitLogged = now
			}
			c.limiter.mu.Unlock()
			if isDue {
				c.log.Info("a request had to wait", "for", now.Sub(w.since).Round(time.Second), "why", w.reason)
			}
		}
		return nil
	case <-ctx.Done():
	}
	c.limiter.mu.Lock()
	defer c.limiter.mu.Unlock()
	if index := slices.Index(s.waiting, w); index >= 0 {
		s.waiting = slices.Delete(s.waiting, index, index+1)
	} else { // w was admitted in the meantime
		s.inUse--
		c.limiter.grant()
	}
	return context.Cause(ctx)
}

// grant admits waiters: requests of the client that was served longest ago first, connections in order; l.mu is held.
func (l *Limiter) grant() {
	l.requests.grant(l.limits.Concurrent, func(waiting []*waiter) (next int) {
		for i, w := range waiting {
			if w.client.lastGranted < waiting[next].client.lastGranted {
				next = i
			}
		}
		l.granted++
		waiting[next].client.lastGranted = l.granted
		return next
	})
	l.connections.grant(l.limits.Connections, func([]*waiter) int { return 0 })
}

// Release ends a request.
func (c *Client) Release() { c.limiter.release(&c.limiter.requests) }

func (l *Limiter) release(s *semaphore) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.inUse--
	l.grant()
}
