package limits

import (
	"context"
	"maps"
	"net"
	"slices"
	"sync"
	"time"
)

// Dial waits for a free connection slot and dials. If it has to wait, all clients close their idle connections.
func (c *Client) Dial(ctx context.Context, dial func(context.Context) (net.Conn, error)) (net.Conn, error) {
	l := c.limiter
	l.mu.Lock()
	w := &waiter{client: c, ready: make(chan struct{}), reason: "all connections to " + l.origin + " are in use",
		since: time.Now()}
	l.connections.waiting = append(l.connections.waiting, w)
	l.grant() // may admit w at once
	var clients []*Client
	if len(l.connections.waiting) > 0 {
		clients = slices.Collect(maps.Keys(l.clients))
	}
	l.mu.Unlock()
	for _, client := range clients {
		client.endIdle()
	}
	if err := c.wait(ctx, w, &l.connections); err != nil {
		return nil, err
	}
	return c.dialCounted(ctx, dial)
}

// DialExtra dials for a request on behalf of an open answer. It exceeds the limit rather than wait: the slot that it
// would wait for may be the answer's own.
func (c *Client) DialExtra(ctx context.Context, dial func(context.Context) (net.Conn, error)) (net.Conn, error) {
	c.limiter.mu.Lock()
	c.limiter.connections.inUse++
	c.limiter.mu.Unlock()
	return c.dialCounted(ctx, dial)
}

// dialCounted dials with a slot, which the end of the connection, or an error, frees.
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
