package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/base/pause"
	"github.com/culvert-project/culvert/sdk/go/role"
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

var defaultConcurrent = ownNumber(role.MaxConcurrent)

// limitBy reads limits and the way to log off from roles.
func limitBy(c *Config, roles Roles, _ Surroundings) (err error) {
	r := roleReader{roles: roles}
	c.Limits = Limits{Concurrent: r.number(role.MaxConcurrent), Connections: r.number(role.MaxConnections)}
	c.Limits.PerSecond = r.decimal(role.RequestsPerSecond)
	c.ClientInQuery = r.is(role.ClientIn, "query")
	if r.err != nil {
		return r.err
	}
	if c.Limits.Windows, err = ParseWindows(roles.Text(role.MaintenanceWindows)); err != nil {
		return invalid(roles, role.MaintenanceWindows, roles.Text(role.MaintenanceWindows), err)
	}
	if c.LogoffPath = strings.TrimSpace(roles.Text(role.LogoffPath)); c.LogoffPath == "" {
		return nil
	}
	if !strings.HasPrefix(c.LogoffPath, "/") || strings.ContainsAny(c.LogoffPath, "\r\n\x00# ") {
		return invalid(roles, role.LogoffPath, c.LogoffPath, errors.New("expected a path that begins with /"))
	}
	return nil
}

// originLimiter bounds the use of an origin by all its clients: requests at a time and in a second, connections, and
// times without requests.
type originLimiter struct {
	origin string

	mu       guard.Mutex
	members  map[*destination]*member
	limits   Limits    // the strictest of all members
	quiet    time.Time // no window opens before that
	busy     int
	requests []*waiter
	granted  int64
	begin    time.Time // when the next request may begin, by PerSecond

	connections int
	dialling    []*waiter
}

func newLimiter(origin string) *originLimiter {
	return &originLimiter{origin: origin, members: map[*destination]*member{}}
}

// member is a client's part of an origin's use.
type member struct {
	limits Limits
	// served tells when a request of the client was last let through: the one that has waited longest in this sense is
	// next.
	served int64
	waits  map[*waiter]struct{}
	told   time.Time // the window that was logged
	logged time.Time // when a long wait was logged last
}

// waiter is a request or connection that has to wait.
type waiter struct {
	who   *destination
	ready chan struct{}
	why   string
	since time.Time // zero: to be told at once
}

// join adds a client, by its destination. Its connections count from now on.
func (l *originLimiter) join(d *destination) {
	limits := d.config.Limits
	if limits.Concurrent <= 0 {
		limits.Concurrent = defaultConcurrent
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.members[d] = &member{limits: limits, waits: map[*waiter]struct{}{}}
	l.restrict()
	dial := d.transport.DialContext
	d.transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		return l.dial(ctx, d, func(ctx context.Context) (net.Conn, error) { return dial(ctx, network, address) })
	}
}

// leave takes a client away; it tells whether it was the last.
func (l *originLimiter) leave(d *destination) (last bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.members, d)
	l.restrict()
	l.grant()
	l.connect()
	return len(l.members) == 0
}

// maxConnections is how many connections, and sessions, there may be; 0: no limit.
func (l *originLimiter) maxConnections() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.limits.Connections
}

// restrict works out the limits of all members; l.mu is held.
func (l *originLimiter) restrict() {
	var strictest Limits
	for _, m := range l.members {
		strictest.Concurrent = least(strictest.Concurrent, m.limits.Concurrent)
		strictest.Connections = least(strictest.Connections, m.limits.Connections)
		strictest.PerSecond = least(strictest.PerSecond, m.limits.PerSecond)
		strictest.Windows = append(strictest.Windows, m.limits.Windows...)
	}
	// A request without a connection would only wait for one.
	strictest.Concurrent = least(strictest.Concurrent, strictest.Connections)
	l.limits, l.quiet = strictest, time.Time{}
}

// least is the lesser of two limits, where 0 is none.
func least[N int | float64](a, b N) N {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// enter waits until one more request may be under way.
func (l *originLimiter) enter(ctx context.Context, d *destination) error {
	if err := l.maintained(ctx, d); err != nil {
		return err
	}
	l.mu.Lock()
	w := &waiter{who: d, ready: make(chan struct{}), since: time.Now()}
	l.requests = append(l.requests, w)
	l.grant()
	w.why = fmt.Sprintf("requests to %s wait for others: %d at a time", l.origin, l.limits.Concurrent)
	l.mu.Unlock()
	return l.wait(ctx, w, &l.requests, l.leaveRequest)
}

// enterAtOnce takes room for one more request if that can be had without waiting, else it is ErrNoRoom.
func (l *originLimiter) enterAtOnce(ctx context.Context, _ *destination) error {
	if !l.window().IsZero() {
		return ErrNoRoom
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if limit := l.limits.Concurrent; len(l.requests) > 0 || limit > 0 && l.busy >= limit {
		return ErrNoRoom
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	l.busy++
	return nil
}

// wait waits for what a waiter stands in the line for. done gives it back where it came too late.
func (l *originLimiter) wait(ctx context.Context, w *waiter, line *[]*waiter, done func()) error {
	select {
	case <-w.ready:
		return nil
	default:
	}
	l.waits(w, true)
	defer l.waits(w, false)
	select {
	case <-w.ready:
		l.log(w)
		return nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	i := slices.Index(*line, w)
	if i >= 0 {
		*line = slices.Delete(*line, i, i+1)
	}
	l.mu.Unlock()
	if i < 0 {
		done()
	}
	return context.Cause(ctx)
}

// logEvery is how often a client's log says at most that its requests wait for others.
const logEvery = 5 * time.Minute

// log warns of a request that has waited for long.
func (l *originLimiter) log(w *waiter) {
	now := time.Now()
	if now.Sub(w.since) <= waitsTold {
		return
	}
	l.mu.Lock()
	m := l.members[w.who]
	tell := m != nil && now.Sub(m.logged) >= logEvery
	if tell {
		m.logged = now
	}
	l.mu.Unlock()
	if tell {
		w.who.config.Logger.Info("a request had to wait", "for", now.Sub(w.since).Round(time.Second), "why", w.why)
	}
}

// grant lets as many requests through as there may be, those first whose client was let through longest ago; l.mu is
// held.
func (l *originLimiter) grant() {
	limit := l.limits.Concurrent
	for len(l.requests) > 0 && (l.busy < limit || limit == 0) {
		next := 0
		for i, w := range l.requests {
			if l.served(w) < l.served(l.requests[next]) {
				next = i
			}
		}
		w := l.requests[next]
		l.requests = slices.Delete(l.requests, next, next+1)
		l.busy++
		l.granted++
		if m := l.members[w.who]; m != nil {
			m.served = l.granted
		}
		close(w.ready)
	}
}

func (l *originLimiter) served(w *waiter) int64 {
	if m := l.members[w.who]; m != nil {
		return m.served
	}
	return 0
}

// leaveRequest says that a request is no longer under way.
func (l *originLimiter) leaveRequest() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy--
	l.grant()
}

// begins waits until a request may begin: by the rate, and outside of windows.
func (l *originLimiter) begins(ctx context.Context, d *destination) error {
	for {
		if err := l.maintained(ctx, d); err != nil {
			return err
		}
		l.mu.Lock()
		rate, now := l.limits.PerSecond, time.Now()
		if rate == 0 {
			l.mu.Unlock()
			return nil
		}
		at := l.begin
		if at.Before(now) {
			at = now
		}
		l.begin = at.Add(time.Duration(float64(time.Second) / rate))
		l.mu.Unlock()
		if !at.After(now) {
			return nil
		}
		if err := l.until(ctx, at, d, fmt.Sprintf("no more than %v requests a second go to %s", rate,
			l.origin)); err != nil {
			return err
		}
		if l.window().IsZero() {
			return nil
		}
	}
}

// window is when the window ends that is open now; zero if none is.
func (l *originLimiter) window() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if len(l.limits.Windows) == 0 || now.Before(l.quiet) {
		return time.Time{}
	}
	until := openUntil(l.limits.Windows, now)
	if until.IsZero() {
		l.quiet = nextStart(l.limits.Windows, now)
	}
	return until
}

// maintained waits while a maintenance window is open, and says so once for each client.
func (l *originLimiter) maintained(ctx context.Context, d *destination) error {
	for {
		until := l.window()
		if until.IsZero() {
			return nil
		}
		why := fmt.Sprintf("maintenance window: nothing is sent to %s until %s", l.origin,
			until.Format("2006-01-02 15:04:05 MST"))
		l.mu.Lock()
		m := l.members[d]
		tell := m != nil && !m.told.Equal(until)
		if tell {
			m.told = until
		}
		l.mu.Unlock()
		if tell {
			d.config.Logger.Info(why)
		}
		if err := l.until(ctx, until, d, why); err != nil {
			return err
		}
	}
}

// until waits for a time.
func (l *originLimiter) until(ctx context.Context, at time.Time, d *destination, why string) error {
	w := &waiter{who: d, why: why}
	l.waits(w, true)
	defer l.waits(w, false)
	return pause.For(ctx, time.Until(at))
}

// waits notes that a request of a client waits, or no longer.
func (l *originLimiter) waits(w *waiter, begin bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.members[w.who]
	switch {
	case m == nil:
	case begin:
		m.waits[w] = struct{}{}
	default:
		delete(m.waits, w)
	}
}

// waitsTold is how long a request waits for others before that is worth telling: some always wait a little.
const waitsTold = 5 * time.Second

// Waiting says why requests of the client wait at present because of the limits of its destination; "" if none has
// waited for long.
func (c *Client) Waiting() string {
	d := c.at.Load()
	l := d.limiter
	l.mu.Lock()
	defer l.mu.Unlock()
	var reasons []string
	if m := l.members[d]; m != nil {
		for w := range m.waits {
			if time.Since(w.since) > waitsTold {
				reasons = append(reasons, w.why)
			}
		}
	}
	slices.Sort(reasons)
	return strings.Join(slices.Compact(reasons), "; ")
}

// dial makes a connection when there may be one more. Idle ones of other clients are ended for it.
func (l *originLimiter) dial(ctx context.Context, d *destination, dial func(context.Context) (net.Conn,
	error)) (net.Conn, error) {
	if err := l.mayDial(ctx, d); err != nil {
		return nil, err
	}
	conn, err := dial(ctx)
	if err != nil {
		l.disconnect()
		return nil, err
	}
	return &counted{Conn: conn, closed: sync.OnceFunc(l.disconnect)}, nil
}

// mayDial waits until there may be one more connection; it counts then.
func (l *originLimiter) mayDial(ctx context.Context, d *destination) error {
	l.mu.Lock()
	if isWithin(ctx) {
		// The answer that it is for has a connection until this one has done its work.
		l.connections++
		l.mu.Unlock()
		return nil
	}
	w := &waiter{who: d, ready: make(chan struct{}), why: "all connections to " + l.origin + " are in use",
		since: time.Now()}
	l.dialling = append(l.dialling, w)
	l.connect()
	var others []*destination
	if len(l.dialling) > 0 {
		for m := range l.members {
			others = append(others, m)
		}
	}
	l.mu.Unlock()
	for _, other := range others {
		other.endIdle()
	}
	return l.wait(ctx, w, &l.dialling, l.disconnect)
}

// connect lets as many connections be made as there may be, in the order in which they were asked for; l.mu is held.
func (l *originLimiter) connect() {
	limit := l.limits.Connections
	for len(l.dialling) > 0 && (l.connections < limit || limit == 0) {
		close(l.dialling[0].ready)
		l.dialling = l.dialling[1:]
		l.connections++
	}
}

func (l *originLimiter) disconnect() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.connections--
	l.connect()
}

// counted is a connection that counts.
type counted struct {
	net.Conn
	closed func()
}

func (c *counted) Close() error {
	defer c.closed()
	return c.Conn.Close()
}
