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

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/base/pause"
)

// Limits bound what a destination is asked (P16). Of several clients of one origin the strictest limits count, and the
// windows of all.
type Limits struct {
	// Concurrent is how many requests are under way at a time, from the first byte sent to the last byte read. Default:
	// that of [role.MaxConcurrent].
	Concurrent int
	// Connections is how many connections there are at a time, idle ones included, and how many sessions; requests
	// within an open answer get one more. Default: as many as Concurrent allows.
	Connections int
	// PerSecond is how many requests begin in a second, evenly spread. 0: no limit.
	PerSecond float64
	// Windows are times in which nothing is sent; answers that are being read then go on.
	Windows []Window
}

// Limiter bounds the use of an origin by all its clients: requests at a time and in a second, connections, and times
// without requests.
type Limiter struct {
	origin string

	mu      guard.Mutex
	clients map[*Client]struct{}
	division   Division // of one worker if this one is alone
	// strictest are the limits of all clients, limits this worker's part of them; only restrict changes them.
	strictest, limits Limits
	sessions          int   // that a user may have, 0: any number
	granted           int64 // requests that were let through

	requests, connections semaphore

	// The next request to begin holds pacing while it waits for rate. changed is closed when the rate changes.
	pacing  guard.CtxMutex
	rate    *rate.Limiter
	changed chan struct{}
}

// semaphore counts what there may be so many of at a time. Its limit may change while it is used.
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

// New bounds nothing before a client joins.
func New(origin string) *Limiter {
	return &Limiter{origin: origin, clients: map[*Client]struct{}{}, division: Division{Workers: 1},
		pacing: guard.NewCtxMutex(), rate: rate.NewLimiter(rate.Inf, 1), changed: make(chan struct{})}
}

// Client is a client's part of an origin's use, from [Limiter.Join] to [Client.Leave].
type Client struct {
	limiter *Limiter
	// log gets why requests wait; endIdle ends connections that nobody uses; trim has sessions ended that nobody uses
	// where there are more than so many, without waiting for that.
	log     *slog.Logger
	endIdle func()
	trim    func(sessions int)

	// Under the limiter's lock: own are the client's limits; served says when a request of it was last let through:
	// the one that has waited longest in this sense is next.
	limits       Limits
	lastGranted    int64
	waits     map[*waiter]struct{}
	loggedWindow time.Time // the window that was logged
	longWaitLogged    time.Time // when a long wait was logged last
}

// waiter is a request or connection that has to wait.
type waiter struct {
	client   *Client
	ready chan struct{}
	reason   string
	since time.Time // zero: Waiting names it at once
	recordedAt time.Time // when it began to wait
	byService bool      // by the service, with Retry-After
}

// Join adds a client with its limits, of which Concurrent is set. Its connections count from now on, as far as they are
// made by [Client.Dial]. endIdle is called for others that wait for a connection; trim, under the limiter's lock, when
// the worker's part is another one.
func (l *Limiter) Join(own Limits, log *slog.Logger, endIdle func(), trim func(sessions int)) *Client {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := &Client{limiter: l, log: log, endIdle: endIdle, trim: trim, limits: own, waits: map[*waiter]struct{}{}}
	l.clients[c] = struct{}{}
	l.restrict()
	return c
}

// Leave takes the client away; last: it was the only one.
func (c *Client) Leave() (last bool) {
	l := c.limiter
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.clients, c)
	l.restrict()
	l.grant()
	return len(l.clients) == 0
}

// MaxSessions is how many sessions of a user there may be: as many as connections; 0: as many as requests need.
func (c *Client) MaxSessions() int {
	c.limiter.mu.Lock()
	defer c.limiter.mu.Unlock()
	return c.limiter.sessions
}

// restrict works out the limits of all clients and of the group; l.mu is held. Requests of clients that have left keep
// the last ones.
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

// perWorker returns the limits of one of several workers that share an origin, rounded down, so that all of them together
// keep to l. Each may have one request under way, with a connection, at least; so may a worker without tasks of the
// origin (zero workers), which only plans and validates.
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

// Division says how the workers of a group divide the limits of an origin.
type Division struct {
	// Workers is how many have tasks of the origin: 1 if this worker is alone, 0 if it has none of its tasks.
	Workers int `json:"w"`
	// Requests at a time and PerSecond are the strictest limits of all connectors of the group, which count in addition
	// to those of this worker's clients. Zero means no limit.
	Requests  int     `json:"r,omitempty"`
	PerSecond float64 `json:"p,omitempty"`
}

// Divide bounds, from now on, what all clients ask to one worker's part of the limits. What is under way goes on.
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

// requestWait is why a request waits; l.mu is held.
func (l *Limiter) requestWait() string {
	return fmt.Sprintf("requests to %s wait for others: %d at a time%s", l.origin, l.limits.Concurrent,
		quotaNote(l.limits.Concurrent < l.strictest.Concurrent))
}

// quotaNote says in texts that a limit is the worker's part, if it is.
func quotaNote(is bool) string {
	if is {
		return ", this worker's part in the cluster"
	}
	return ""
}

// Least returns the lesser of two limits. Zero means no limit.
func Least[N int | float64](a, b N) N {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// Acquire waits until one more request may be under way; [Client.Release] ends it.
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

// ErrNoRoom is the error of a request that would have to wait for others, and was not to.
var ErrNoRoom = errors.New("the limits of the origin leave no room for one more request at present")

// TryAcquire takes room for one more request if that can be had without waiting, else it is [ErrNoRoom].
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

// wait waits for what a waiter stands in the line for. What comes too late is given back.
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

// logEvery is how often a client's log says at most that its requests wait for others.
const logEvery = 5 * time.Minute

// logLong warns of a request that has waited for long.
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

// grant lets as many requests and connections through as there may be: requests of the client first that was let
// through longest ago, connections in the order in which they were asked for; l.mu is held.
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

// Release says that a request is no longer under way.
func (c *Client) Release() { c.limiter.release(&c.limiter.requests) }

func (l *Limiter) release(to *semaphore) {
	l.mu.Lock()
	defer l.mu.Unlock()
	to.inUse--
	l.grant()
}

// setRate changes how many requests may begin in a second (zero means any number); l.mu is held.
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

// WaitToSend waits until a request may begin: by the rate, and outside of windows.
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

// pace waits until a request may begin by the rate.
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

// rateWait is why a request waits for the rate; l.mu is held.
func (l *Limiter) rateWait() string {
	return fmt.Sprintf("no more than %v requests a second go to %s%s", l.limits.PerSecond, l.origin,
		quotaNote(l.limits.PerSecond != l.strictest.PerSecond))
}

// Window is when the window ends that is open now; zero if none is.
func (c *Client) Window() time.Time {
	l := c.limiter
	l.mu.Lock()
	defer l.mu.Unlock()
	return openUntil(l.limits.Windows, time.Now())
}

// waitForWindow waits while a maintenance window is open, and says so once for each client.
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

// waitFor waits for a time; timely is false where sooner was closed before. The reason is noted meanwhile.
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

// recordWait notes that a request of the client waits, until end is called.
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

// RecordLogonWait notes that a request of the client waits for the logon of another one, until end is called.
func (c *Client) RecordLogonWait() (end func()) {
	return c.recordWait(&waiter{client: c, reason: "logons to " + c.limiter.origin + " go one after another", since: time.Now()})
}

// RecordRetryAfter notes that a request of the client waits because the service has asked for that, until end is called.
func (c *Client) RecordRetryAfter() (end func()) {
	return c.recordWait(&waiter{client: c, reason: c.limiter.origin + " has asked to wait (Retry-After)", byService: true})
}

// longWait is how long a request waits for others before anybody hears of it: some always wait a little.
const longWait = 5 * time.Second

// Wait is why requests of a client wait at present.
type Wait struct {
	// Reasons are sorted, none where no request has waited for long; Since is when the first of them began to wait.
	Reasons []string
	Since   time.Time
	// Asked: the service has asked for it.
	Asked bool
}

// Waits says why requests of the client wait.
func (c *Client) Waits() Wait {
	c.limiter.mu.Lock()
	defer c.limiter.mu.Unlock()
	return c.waitsNow()
}

// waitsNow is Waits under the limiter's lock.
func (c *Client) waitsNow() (now Wait) {
	for w := range c.waits {
		if time.Since(w.since) <= longWait {
			continue
		}
		now.Reasons, now.Asked = append(now.Reasons, w.reason), now.Asked || w.byService
		if now.Since.IsZero() || w.recordedAt.Before(now.Since) {
			now.Since = w.recordedAt
		}
	}
	slices.Sort(now.Reasons)
	now.Reasons = slices.Compact(now.Reasons)
	return now
}

// Waiting says why requests of the client wait at present; "" if none has waited for long.
func (c *Client) Waiting() string { return strings.Join(c.Waits().Reasons, "; ") }

// Usage is what all clients of an origin use of it, against the limits that hold at the moment: the strictest of its
// connectors', or the worker's part of them in a group.
type Usage struct {
	Origin   string `json:"origin"`
	Requests Count  `json:"requests"`
	// Connections are open ones, idle ones included.
	Connections Count `json:"connections"`
	// Sessions are those of the user that has most; who keeps them counts what is taken.
	Sessions Count `json:"sessions"`
	// PerSecond is how many requests may begin in a second; 0: there is no limit.
	PerSecond float64 `json:"requests_per_second,omitempty"`
	// Waiting says why requests wait that have waited for long.
	Waiting []string `json:"waiting,omitempty"`
	// Windows are the maintenance windows, Until is when the one ends that is open; zero: none is.
	Windows []string  `json:"maintenance_windows,omitempty"`
	Until   time.Time `json:"maintenance_until,omitzero"`
}

// Count is how many there are at a time, of so many, and how many more wait. A limit of 0 is none.
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

// Usage is that of the client's origin.
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

// Dial makes a connection when there may be one more. Idle ones of other clients are ended for it. within: it is for
// the sake of an answer that has a connection, until this one has done its work; it does not wait then.
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

// acquireConn waits until there may be one more connection; it counts then.
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

// countedConn is a connection that counts.
type countedConn struct {
	net.Conn
	closed func()
}

func (c *countedConn) Close() error {
	defer c.closed()
	return c.Conn.Close()
}
