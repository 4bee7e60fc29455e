package limits

import (
	"context"
	"maps"
	"net"
	"slices"
	"sync"
	"time"
)

// Dial waits for a free connection slot, for which idle connections of other clients are closed, and dials.
func (c *Client) Dial(ctx context.Context, dial func(context.Context) (net.Conn, error)) (net.Conn, error) {
	l := c.limiter
	l.mu.Lock()
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
	if err := c.wait(ctx, w, &l.connections); err != nil {
		return nil, err
	}
	return c.dialCounted(ctx, dial)
}

// DialExtra dials on behalf of an open answer, without waiting: it might wait for that answer's own slot.
func (c *Client) DialExtra(ctx context.Context, dial func(context.Context) (net.Conn, error)) (net.Conn, error) {
	c.limiter.mu.Lock()
	c.limiter.connections.inUse++
	c.limiter.mu.Unlock()
	return c.dialCounted(ctx, dial)
}

func (c *Client) dialCounted(ctx context.Context, dial func(context.Context) (net.Conn, error)) (net.Conn, error) {
	conn, err := dial(ctx)
	if err != nil {
		c.limiter.release(&c.limiter.connections)
		return nil, err
	}
	return &countedConn{Conn: conn, onClose: sync.OnceFunc(func() { c.limiter.release(&c.limiter.connections) })}, nil
}

type countedConn struct {
	net.Conn
	onClose func()
}

func (c *countedConn) Close() error {
	defer c.onClose()
	return c.Conn.Close()
}
