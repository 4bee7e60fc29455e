// Package limits bounds what the clients of one origin ask it for, all together: requests at a time and in a second,
// connections, and times without requests.
//
//   - limiter.go: the limits, who waits for whom. window.go: times without requests, as users write them.
//
// Invariants: of several clients the strictest limits count. Who has waited longest is next, client by client. What was
// let in is counted until it is done, also where its client has left.
package limits

import (
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

	mu       guard.Mutex
	clients  map[*Client]struct{}
	limits   Limits    // the strictest of all clients
	quiet    time.Time // no window opens before that
	busy     int
	requests []*waiter
	granted  int64
	begin    time.Time // when the next request may begin, by PerSecond

	connections int
	dialling    []*waiter
}

// New bounds nothing before a client joins.
func New(origin string) *Limiter { return &Limiter{origin: origin, clients: map[*Client]struct{}{}} }

// Client is a client's part of an origin's use, from [Limiter.Join] to [Client.Leave].
type Client struct {
	*Limiter
	// log gets why requests wait; endIdle ends connections that nobody uses.
	log     *slog.Logger
	endIdle func()

	// Under the limiter's lock: own are the client's limits; served tells when a request of it was last let through:
	// the one that has waited longest in this sense is next.
	own    Limits
	served int64
	waits  map[*waiter]struct{}
	told   time.Time // the window that was logged
	logged time.Time // when a long wait was logged last
}

// waiter is a request or connection that has to wait.
type waiter struct {
	who   *Client
	ready chan struct{}
	why   string
	since time.Time // zero: to be told at once
}

// Join adds a client with its limits, of which Concurrent is set. Its connections count from now on, as far as they are
// made by [Client.Dial].
func (l *Limiter) Join(own Limits, log *slog.Logger, endIdle func()) *Client {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := &Client{Limiter: l, log: log, endIdle: endIdle, own: own, waits: map[*waiter]struct{}{}}
	l.clients[c] = struct{}{}
	l.restrict()
	return c
}

// Leave takes the client away; it tells whether it was the last.
func (c *Client) Leave() (last bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.clients, c)
	c.restrict()
	c.grant()
	c.connect()
	return len(c.clients) == 0
}

// MaxConnections is how many connections, and sessions, there may be; 0: no limit.
func (l *Limiter) MaxConnections() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.limits.Connections
}

// restrict works out the limits of all clients; l.mu is held.
func (l *Limiter) restrict() {
	var strictest Limits
	for c := range l.clients {
		strictest.Concurrent = least(strictest.Concurrent, c.own.Concurrent)
		strictest.Connections = least(strictest.Connections, c.own.Connections)
		strictest.PerSecond = least(strictest.PerSecond, c.own.PerSecond)
		strictest.Windows = append(strictest.Windows, c.own.Windows...)
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

// Enter waits until one more request may be under way; [Limiter.Done] ends it.
func (c *Client) Enter(ctx context.Context) error {
	if err := c.maintained(ctx); err != nil {
		return err
	}
	c.mu.Lock()
	w := &waiter{who: c, ready: make(chan struct{}), since: time.Now()}
	c.requests = append(c.requests, w)
	c.grant()
	w.why = fmt.Sprintf("requests to %s wait for others: %d at a time", c.origin, c.limits.Concurrent)
	c.mu.Unlock()
	return c.wait(ctx, w, &c.requests, c.Done)
}

// ErrNoRoom is the error of a request that would have to wait for others, and was not to.
var ErrNoRoom = errors.New("the limits of the origin leave no room for one more request at present")

// EnterAtOnce takes room for one more request if that can be had without waiting, else it is [ErrNoRoom].
func (l *Limiter) EnterAtOnce(ctx context.Context) error {
	if !l.Window().IsZero() {
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
func (c *Client) wait(ctx context.Context, w *waiter, line *[]*waiter, done func()) error {
	select {
	case <-w.ready:
		return nil
	default:
	}
	defer c.note(w)()
	select {
	case <-w.ready:
		c.logLong(w)
		return nil
	case <-ctx.Done():
	}
	c.mu.Lock()
	i := slices.Index(*line, w)
	if i >= 0 {
		*line = slices.Delete(*line, i, i+1)
	}
	c.mu.Unlock()
	if i < 0 {
		done()
	}
	return context.Cause(ctx)
}

// logEvery is how often a client's log says at most that its requests wait for others.
const logEvery = 5 * time.Minute

// logLong warns of a request that has waited for long.
func (c *Client) logLong(w *waiter) {
	now := time.Now()
	if now.Sub(w.since) <= waitsTold {
		return
	}
	c.mu.Lock()
	tell := now.Sub(c.logged) >= logEvery
	if tell {
		c.logged = now
	}
	c.mu.Unlock()
	if tell {
		c.log.Info("a request had to wait", "for", now.Sub(w.since).Round(time.Second), "why", w.why)
	}
}

// grant lets as many requests through as there may be, those first whose client was let through longest ago; l.mu is
// held.
func (l *Limiter) grant() {
	limit := l.limits.Concurrent
	for len(l.requests) > 0 && (l.busy < limit || limit == 0) {
		next := 0
		for i, w := range l.requests {
			if w.who.served < l.requests[next].who.served {
				next = i
			}
		}
		w := l.requests[next]
		l.requests = slices.Delete(l.requests, next, next+1)
		l.busy++
		l.granted++
		w.who.served = l.granted
		close(w.ready)
	}
}

// Done says that a request is no longer under way.
func (l *Limiter) Done() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy--
	l.grant()
}

// Begin waits until a request may begin: by the rate, and outside of windows.
func (c *Client) Begin(ctx context.Context) error {
	for {
		if err := c.maintained(ctx); err != nil {
			return err
		}
		c.mu.Lock()
		rate, now := c.limits.PerSecond, time.Now()
		if rate == 0 {
			c.mu.Unlock()
			return nil
		}
		at := c.begin
		if at.Before(now) {
			at = now
		}
		c.begin = at.Add(time.Duration(float64(time.Second) / rate))
		c.mu.Unlock()
		if !at.After(now) {
			return nil
		}
		err := c.until(ctx, at, fmt.Sprintf("no more than %v requests a second go to %s", rate, c.origin))
		if err != nil {
			return err
		}
		if c.Window().IsZero() {
			return nil
		}
	}
}

// Window is when the window ends that is open now; zero if none is.
func (l *Limiter) Window() time.Time {
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
func (c *Client) maintained(ctx context.Context) error {
	for {
		until := c.Window()
		if until.IsZero() {
			return nil
		}
		why := fmt.Sprintf("maintenance window: nothing is sent to %s until %s", c.origin,
			until.Format("2006-01-02 15:04:05 MST"))
		c.mu.Lock()
		tell := !c.told.Equal(until)
		c.told = until
		c.mu.Unlock()
		if tell {
			c.log.Info(why)
		}
		if err := c.until(ctx, until, why); err != nil {
			return err
		}
	}
}

// until waits for a time.
func (c *Client) until(ctx context.Context, at time.Time, why string) error {
	defer c.note(&waiter{who: c, why: why})()
	return pause.For(ctx, time.Until(at))
}

// note notes that a request of the client waits, until end is called.
func (c *Client) note(w *waiter) (end func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waits[w] = struct{}{}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.waits, w)
	}
}

// Logons notes that a request of the client waits for the logon of another one, until end is called.
func (c *Client) Logons() (end func()) {
	return c.note(&waiter{who: c, why: "logons to " + c.origin + " go one after another", since: time.Now()})
}

// waitsTold is how long a request waits for others before that is worth telling: some always wait a little.
const waitsTold = 5 * time.Second

// Waiting says why requests of the client wait at present; "" if none has waited for long.
func (c *Client) Waiting() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var reasons []string
	for w := range c.waits {
		if time.Since(w.since) > waitsTold {
			reasons = append(reasons, w.why)
		}
	}
	slices.Sort(reasons)
	return strings.Join(slices.Compact(reasons), "; ")
}

// Dial makes a connection when there may be one more. Idle ones of other clients are ended for it. within: it is for
// the sake of an answer that has a connection, until this one has done its work; it does not wait then.
func (c *Client) Dial(ctx context.Context, within bool, dial func(context.Context) (net.Conn, error)) (net.Conn,
	error) {
	if err := c.mayDial(ctx, within); err != nil {
		return nil, err
	}
	conn, err := dial(ctx)
	if err != nil {
		c.disconnect()
		return nil, err
	}
	return &counted{Conn: conn, closed: sync.OnceFunc(c.disconnect)}, nil
}

// mayDial waits until there may be one more connection; it counts then.
func (c *Client) mayDial(ctx context.Context, within bool) error {
	c.mu.Lock()
	if within {
		c.connections++
		c.mu.Unlock()
		return nil
	}
	w := &waiter{who: c, ready: make(chan struct{}), why: "all connections to " + c.origin + " are in use",
		since: time.Now()}
	c.dialling = append(c.dialling, w)
	c.connect()
	var others []*Client
	if len(c.dialling) > 0 {
		others = slices.Collect(maps.Keys(c.clients))
	}
	c.mu.Unlock()
	for _, other := range others {
		other.endIdle()
	}
	return c.wait(ctx, w, &c.dialling, c.disconnect)
}

// connect lets as many connections be made as there may be, in the order in which they were asked for; l.mu is held.
func (l *Limiter) connect() {
	limit := l.limits.Connections
	for len(l.dialling) > 0 && (l.connections < limit || limit == 0) {
		close(l.dialling[0].ready)
		l.dialling = l.dialling[1:]
		l.connections++
	}
}

func (l *Limiter) disconnect() {
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
