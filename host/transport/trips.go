package transport

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"

	"github.com/culvert-project/culvert/host/guard"
)

// trips are the exchanges of a destination, and the connections that they have. net/http counts a connection as idle a moment before it
// hands over an answer without a body, and one that is ended in this moment takes the answer with it: a POST that was written would be
// reported as one of unknown fate. So it is asked to end idle connections only where no exchange waits for its answer.
type trips struct {
	mu       guard.Mutex
	underway int
	// conns are the connections that an exchange had, by how many have them, up to the end of the answer.
	conns map[*counted]int
}

// trip is one exchange, as those who dial for it know it by its context.
type trip struct{ connected atomic.Bool }

type tripKey struct{}

// errNotNeeded: the exchange that a connection was asked for got another one meanwhile.
var errNotNeeded = errors.New("the request has a connection")

// use counts an exchange, by n, as one of those that have a connection.
func (t *trips) use(c *counted, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conns == nil {
		t.conns = map[*counted]int{}
	}
	t.conns[c] += n
	for other, used := range t.conns {
		if used <= 0 && other.gone.Load() {
			delete(t.conns, other)
		}
	}
}

// roundTrip makes an exchange up to the beginning of its answer.
func (d *destination) roundTrip(r *http.Request) (*http.Response, error) {
	t := &d.trips
	var mu sync.Mutex
	var had []*counted // more than one where net/http tries again
	one := &trip{}
	got := func(info httptrace.GotConnInfo) {
		one.connected.Store(true)
		if c := countedIn(info.Conn); c != nil {
			t.use(c, 1)
			mu.Lock()
			defer mu.Unlock()
			had = append(had, c)
		}
	}
	over := func() {
		mu.Lock()
		defer mu.Unlock()
		for _, c := range had {
			t.use(c, -1)
		}
		had = nil
		if d.limiter.wanted(d) {
			d.closeIdle()
		}
	}
	t.mu.Lock()
	t.underway++
	t.mu.Unlock()
	ctx := context.WithValue(r.Context(), tripKey{}, one)
	answer, err := d.way.RoundTrip(r.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: got})))
	t.mu.Lock()
	t.underway--
	t.mu.Unlock()
	if err != nil {
		over()
		return nil, err
	}
	answer.Body = &closing{answer.Body, over}
	return answer, nil
}

// closing is a body that says when it is closed.
type closing struct {
	io.ReadCloser
	closed func()
}

func (c *closing) Close() error {
	defer c.closed()
	return c.ReadCloser.Close()
}

// countedIn is the connection below TLS, nil for one that is not ours.
func countedIn(conn net.Conn) *counted {
	if secure, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = secure.NetConn()
	}
	c, _ := conn.(*counted)
	return c
}

// closeIdle ends the connections that nobody uses.
func (d *destination) closeIdle() {
	d.trips.mu.Lock()
	defer d.trips.mu.Unlock()
	if d.trips.underway == 0 {
		d.wire.CloseIdleConnections() // no exchange begins meanwhile
		return
	}
	for c, used := range d.trips.conns {
		if used == 0 {
			delete(d.trips.conns, c)
			c.Close() // net/http takes another one for what has not begun to be written
		}
	}
}
