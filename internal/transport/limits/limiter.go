// Package limits bounds what the clients of one origin ask it for, all together: requests at a time and in a second,
// connections, and times without requests.
//
//   - limiter.go: the limits, their division among the workers of a group, who waits for whom. window.go: times without
//     requests, as users write them.
//
// Invariants: of several clients the strictest limits count, of all workers of a group, divided by the workers. Who has
// waited longest is next, client by client. What was let in is counted until it is done, also if its client has left.
package limits

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/guard"
)

// Limits bound the requests to an origin (P16). Of several clients the strictest limits apply, and all windows.
type Limits struct {
	// Concurrent is the number of requests in flight, from the first byte sent to the last byte read. Zero means
	// [role.MaxConcurrent].
	Concurrent int
	// Connections is the number of connections, idle ones included, and of sessions; requests on behalf of an open
	// answer get one more. Zero means as many as Concurrent allows.
	Connections int
	// PerSecond is the number of requests that start per second, evenly spread. Zero means no limit.
	PerSecond float64
	// Windows are times in which no request starts; answers in progress continue.
	Windows []Window
}

// Limiter enforces the limits of one origin for all its clients.
type Limiter struct {
	origin string

	mu       guard.Mutex
	clients  map[*Client]struct{}
	division Division // of one worker if this one is alone
	// strictest are the limits of all clients, limits this worker's share of them; only restrict sets them.
	strictest, limits Limits
	sessions          int   // that a user may have, 0: any number
	granted           int64 // requests that were let through

	requests, connections semaphore

	// pacing is held by the next request that waits for rate. changed is closed when the rate changes.
	pacing  guard.CtxMutex
	rate    *rate.Limiter
	changed chan struct{}
}

// semaphore is a counter whose limit may change while it is used.
type semaphore struct {
	inUse   int
	waiting []*waiter // for one more
}

// grant admits waiters up to the limit (zero means no limit). next returns the index of the waiter whose turn it is.
func (s *semaphore) grant(limit int, next func([]*waiter) int) {
	for len(s.waiting) > 0 && (s.inUse < limit || limit == 0) {
		i := next(s.waiting)
		close(s.waiting[i].ready)
		s.waiting = slices.Delete(s.waiting, i, i+1)
		s.inUse++
	}
}

// New returns a limiter without limits, until a client joins.
func New(origin string) *Limiter {
	return &Limiter{origin: origin, clients: map[*Client]struct{}{}, division: Division{Workers: 1},
		pacing: guard.NewCtxMutex(), rate: rate.NewLimiter(rate.Inf, 1), changed: make(chan struct{})}
}

// Client is one client of an origin, from [Limiter.Join] to [Client.Leave].
type Client struct {
	limiter *Limiter
	// log receives why requests wait; endIdle closes idle connections; trim ends unused sessions in excess of a
	// number, without waiting.
	log     *slog.Logger
	endIdle func()
	trim    func(sessions int)

	// Guarded by the limiter's lock. lastGranted orders clients: the one that was served longest ago is next.
	limits         Limits
	lastGranted    int64
	waits          map[*waiter]struct{}
	loggedWindow   time.Time // the window that was logged
	longWaitLogged time.Time // when a long wait was logged last
}

// waiter is a waiting request or connection.
type waiter struct {
	client     *Client
	ready      chan struct{}
	reason     string
	since      time.Time // zero: Waiting names it at once
	recordedAt time.Time // when it began to wait
	byService  bool      // by the service, with Retry-After
}

// Join adds a client with its limits, of which Concurrent is set. Its connections count if [Client.Dial] makes
// them. endIdle is called when others wait for a connection; trim, under the limiter's lock, when the worker's
// share changes.
func (l *Limiter) Join(own Limits, log *slog.Logger, endIdle func(), trim func(sessions int)) *Client {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := &Client{limiter: l, log: log, endIdle: endIdle, trim: trim, limits: own, waits: map[*waiter]struct{}{}}
	l.clients[c] = struct{}{}
	l.restrict()
	return c
}

// Leave removes the client and reports whether it was the last one.
func (c *Client) Leave() (last bool) {
	l := c.limiter
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.clients, c)
	l.restrict()
	l.grant()
	return len(l.clients) == 0
}

// MaxSessions returns the limit of sessions per user. Zero means as many as requests need.
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
	// A request without a connection would only wait for one.
	strictest.Concurrent = Least(strictest.Concurrent, strictest.Connections)
	l.strictest, l.limits = strictest, strictest.perWorker(l.division.Workers)
	if l.sessions = l.limits.Connections; l.division.Workers != 1 {
		l.sessions = cmp.Or(l.sessions, l.limits.Concurrent) // some may be left of a larger part
	}
	l.setRate(l.limits.PerSecond)
	for _, w := range l.requests.waiting {
		w.reason = l.requestWait()
	}
}

// perWorker returns the share of one of several workers, rounded down, and at least one request with a connection.
// Zero workers means a worker without tasks of the origin, which only plans and validates.
func (l Limits) perWorker(workers int) Limits {
	most := max(l.Concurrent, 1)
	if workers <= 0 {
		workers = most
	}
	l.PerSecond /= float64(workers)
	workers = min(workers, most)
	l.Concurrent /= workers
	l.Connections /= workers
	return l
}

// Division describes how the workers of a group divide the limits of an origin.
type Division struct {
	// Workers is the number that have tasks of the origin: 1 for a single worker, 0 if this one has no tasks of it.
	Workers int `json:"w"`
	// Requests and PerSecond are the strictest limits of all connectors of the group. Zero means no limit.
	Requests  int     `json:"r,omitempty"`
	PerSecond float64 `json:"p,omitempty"`
}

// Divide sets this worker's share. Requests in flight continue.
func (l *Limiter) Divide(group Division) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if group == l.division {
		return
	}
	l.division = group
	l.restrict()
	l.grant()
	if group.Workers == 1 {
		return
	}
	kept := l.sessions
	if group.Workers == 0 { // those of tasks that were taken away, or of planning
		kept = 0
	}
	for c := range l.clients {
		c.trim(kept)
	}
}

func (l *Limiter) requestWait() string {
	return fmt.Sprintf("requests to %s wait for others: %d at a time%s", l.origin, l.limits.Concurrent,
		quotaNote(l.limits.Concurrent < l.strictest.Concurrent))
}

func quotaNote(is bool) string {
	if is {
		return ", this worker's part in the cluster"
	}
	return ""
}

// Least returns the stricter of two limits. Zero means no limit.
func Least[N int | float64](a, b N) N {
	if a == 0 || b != 0 && b < a {
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
var ErrNoRoom = errors.New("the limits of the origin leave no room for one more request at present")

// TryAcquire is [Client.Acquire] without waiting: it returns [ErrNoRoom] instead.
func (c *Client) TryAcquire(ctx context.Context) error {
	if !c.Window().IsZero() {
		return ErrNoRoom
	}
	l := c.limiter
	l.mu.Lock()
	defer l.mu.Unlock()
	if limit := l.limits.Concurrent; len(l.requests.waiting) > 0 || limit > 0 && l.requests.inUse >= limit {
		return ErrNoRoom
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	l.requests.inUse++
	return nil
}

// wait releases what is granted after ctx ended.
func (c *Client) wait(ctx context.Context, w *waiter, from *semaphore) error {
	select {
	case <-w.ready:
		return nil
	default:
	}
	defer c.recordWait(w)()
	defer pause.MarkWait(ctx)()
	select {
	case <-w.ready:
		c.logLong(w)
		return nil
	case <-ctx.Done():
	}
	c.limiter.mu.Lock()
	defer c.limiter.mu.Unlock()
	if i := slices.Index(from.waiting, w); i >= 0 {
		from.waiting = slices.Delete(from.waiting, i, i+1)
	} else {
		from.inUse--
		c.limiter.grant()
	}
	return context.Cause(ctx)
}

// logEvery is the minimum interval between a client's messages about long waits.
const logEvery = 5 * time.Minute

func (c *Client) logLong(w *waiter) {
	now := time.Now()
	if now.Sub(w.since) <= longWait {
		return
	}
	c.limiter.mu.Lock()
	due := now.Sub(c.longWaitLogged) >= logEvery
	if due {
		c.longWaitLogged = now
	}
	c.limiter.mu.Unlock()
	if due {
		c.log.Info("a request had to wait", "for", now.Sub(w.since).Round(time.Second), "why", w.reason)
	}
}

// grant admits waiters: requests of the client that was served longest ago first, connections in order; l.mu is
// held.
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

func (l *Limiter) release(to *semaphore) {
	l.mu.Lock()
	defer l.mu.Unlock()
	to.inUse--
	l.grant()
}

// setRate expects l.mu to be held. Zero means no limit.
func (l *Limiter) setRate(perSecond float64) {
	limit := rate.Limit(perSecond)
	if perSecond == 0 {
		limit = rate.Inf
	}
	if limit != l.rate.Limit() {
		l.rate.SetLimit(limit)
		close(l.changed)
		l.changed = make(chan struct{})
	}
}

// WaitToSend waits for the rate and for the end of maintenance windows.
func (c *Client) WaitToSend(ctx context.Context) error {
	for {
		if err := c.waitForWindow(ctx); err != nil {
			return err
		}
		if err := c.pace(ctx); err != nil || c.Window().IsZero() {
			return err
		}
	}
}

func (c *Client) pace(ctx context.Context) error {
	l := c.limiter
	if l.rate.Limit() == rate.Inf {
		return nil
	}
	if !l.pacing.TryLock() {
		l.mu.Lock()
		why := l.rateWait()
		l.mu.Unlock()
		defer c.recordWait(&waiter{client: c, reason: why})()
		defer pause.MarkWait(ctx)()
		if err := l.pacing.Lock(ctx); err != nil {
			return err
		}
	}
	defer l.pacing.Unlock()
	for {
		l.mu.Lock()
		slot, why, changed := l.rate.Reserve(), l.rateWait(), l.changed
		l.mu.Unlock()
		delay := slot.Delay()
		if delay == 0 {
			return nil
		}
		timely, err := c.waitFor(ctx, delay, why, changed)
		if timely {
			return nil
		}
		slot.Cancel()
		if err != nil {
			return err
		}
	}
}

func (l *Limiter) rateWait() string {
	return fmt.Sprintf("no more than %v requests a second go to %s%s", l.limits.PerSecond, l.origin,
		quotaNote(l.limits.PerSecond != l.strictest.PerSecond))
}

// Window returns when the open maintenance window ends. Zero means none is open.
func (c *Client) Window() time.Time {
	l := c.limiter
	l.mu.Lock()
	defer l.mu.Unlock()
	return openUntil(l.limits.Windows, time.Now())
}

// waitForWindow waits for the end of a maintenance window and logs it once per client.
func (c *Client) waitForWindow(ctx context.Context) error {
	for {
		until := c.Window()
		if until.IsZero() {
			return nil
		}
		why := fmt.Sprintf("maintenance window: nothing is sent to %s until %s", c.limiter.origin,
			until.Format("2006-01-02 15:04:05 MST"))
		c.limiter.mu.Lock()
		known := c.loggedWindow.Equal(until)
		c.loggedWindow = until
		c.limiter.mu.Unlock()
		if !known {
			c.log.Info(why)
		}
		if _, err := c.waitFor(ctx, time.Until(until), why, nil); err != nil {
			return err
		}
	}
}

// waitFor waits for d; timely is false if sooner was closed first.
func (c *Client) waitFor(ctx context.Context, d time.Duration, why string, sooner <-chan struct{}) (timely bool,
	err error) {
	defer c.recordWait(&waiter{client: c, reason: why})()
	defer pause.MarkWait(ctx)()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true, nil
	case <-sooner:
		return false, nil
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
}

// recordWait registers a waiting request until end is called.
func (c *Client) recordWait(w *waiter) (end func()) {
	c.limiter.mu.Lock()
	defer c.limiter.mu.Unlock()
	w.recordedAt = time.Now()
	c.waits[w] = struct{}{}
	return func() {
		c.limiter.mu.Lock()
		defer c.limiter.mu.Unlock()
		delete(c.waits, w)
	}
}

// RecordLogonWait registers a request that waits for another one's logon, until end is called.
func (c *Client) RecordLogonWait() (end func()) {
	return c.recordWait(&waiter{client: c, reason: "logons to " + c.limiter.origin + " go one after another",
		since: time.Now()})
}

// RecordRetryAfter registers a request that waits because of Retry-After, until end is called.
func (c *Client) RecordRetryAfter() (end func()) {
	return c.recordWait(&waiter{client: c, reason: c.limiter.origin + " has asked to wait (Retry-After)",
		byService: true})
}

// longWait is how long a request waits before that is reported.
const longWait = 5 * time.Second

// Wait describes why requests of a client wait.
type Wait struct {
	// Reasons are sorted and empty if no request has waited for long; Since is the start of the longest wait.
	Reasons []string
	Since   time.Time
	// ByService reports that the service requested the pause.
	ByService bool
}

// Waits returns why requests of the client wait.
func (c *Client) Waits() Wait {
	c.limiter.mu.Lock()
	defer c.limiter.mu.Unlock()
	return c.waitsNow()
}

// waitsNow is Waits with the limiter's lock held.
func (c *Client) waitsNow() (now Wait) {
	for w := range c.waits {
		if time.Since(w.since) <= longWait {
			continue
		}
		now.Reasons, now.ByService = append(now.Reasons, w.reason), now.ByService || w.byService
		if now.Since.IsZero() || w.recordedAt.Before(now.Since) {
			now.Since = w.recordedAt
		}
	}
	slices.Sort(now.Reasons)
	now.Reasons = slices.Compact(now.Reasons)
	return now
}

// Waiting returns the reasons of [Client.Waits] as text; "" if none.
func (c *Client) Waiting() string { return strings.Join(c.Waits().Reasons, "; ") }

// Usage compares the use of an origin by all clients with the present limits, in a group this worker's share of
// them.
type Usage struct {
	Origin   string `json:"origin"`
	Requests Count  `json:"requests"`
	// Connections are open ones, idle ones included.
	Connections Count `json:"connections"`
	// Sessions are those of the user with most of them; the caller sets Used.
	Sessions Count `json:"sessions"`
	// PerSecond is how many requests may begin in a second; 0: there is no limit.
	PerSecond float64  `json:"requests_per_second,omitempty"`
	Waiting   []string `json:"waiting,omitempty"`
	// Windows are the maintenance windows, Until is the end of the open one, zero if none is.
	Windows []string  `json:"maintenance_windows,omitempty"`
	Until   time.Time `json:"maintenance_until,omitzero"`
}

// Count is a number in use, its limit (zero means none) and the number of waiters.
type Count struct {
	Used    int `json:"used"`
	Limit   int `json:"limit"`
	Waiting int `json:"waiting,omitempty"`
}

func (n Count) String() string {
	text := fmt.Sprint(n.Used)
	if n.Limit > 0 {
		text += fmt.Sprintf(" of %d", n.Limit)
	}
	if n.Waiting > 0 {
		text += fmt.Sprintf(", %d wait", n.Waiting)
	}
	return text
}

// Usage returns the usage of the client's origin.
func (c *Client) Usage() Usage {
	until, l := c.Window(), c.limiter
	l.mu.Lock()
	defer l.mu.Unlock()
	of := func(n *semaphore, limit int) Count { return Count{n.inUse, limit, len(n.waiting)} }
	u := Usage{Origin: l.origin, Requests: of(&l.requests, l.limits.Concurrent),
		Connections: of(&l.connections, l.limits.Connections),
		Sessions:    Count{Limit: l.sessions}, PerSecond: l.limits.PerSecond, Until: until.UTC()}
	for client := range l.clients {
		u.Waiting = append(u.Waiting, client.waitsNow().Reasons...)
	}
	for _, w := range l.limits.Windows {
		u.Windows = append(u.Windows, w.String())
	}
	for _, texts := range []*[]string{&u.Waiting, &u.Windows} {
		slices.Sort(*texts)
		*texts = slices.Compact(*texts)
	}
	return u
}

// Dial waits for a free connection slot, for which idle connections of other clients are closed, and dials. within
// marks a request on behalf of an open answer: it does not wait.
func (c *Client) Dial(ctx context.Context, within bool, dial func(context.Context) (net.Conn, error)) (net.Conn,
	error) {
	if err := c.acquireConn(ctx, within); err != nil {
		return nil, err
	}
	conn, err := dial(ctx)
	if err != nil {
		c.limiter.release(&c.limiter.connections)
		return nil, err
	}
	return &countedConn{Conn: conn, closed: sync.OnceFunc(func() { c.limiter.release(&c.limiter.connections) })}, nil
}

func (c *Client) acquireConn(ctx context.Context, within bool) error {
	l := c.limiter
	l.mu.Lock()
	if within {
		l.connections.inUse++
		l.mu.Unlock()
		return nil
	}
	w := &waiter{client: c, ready: make(chan struct{}), reason: "all connections to " + l.origin + " are in use",
		since: time.Now()}
	l.connections.waiting = append(l.connections.waiting, w)
	l.grant()
	var others []*Client
	if len(l.connections.waiting) > 0 {
		others = slices.Collect(maps.Keys(l.clients))
	}
	l.mu.Unlock()
	for _, other := range others {
		other.endIdle()
	}
	return c.wait(ctx, w, &l.connections)
}

// countedConn releases its slot on Close.
type countedConn struct {
	net.Conn
	closed func()
}

func (c *countedConn) Close() error {
	defer c.closed()
	return c.Conn.Close()
}
