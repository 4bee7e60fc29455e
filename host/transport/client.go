package transport

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/host/guard"
)

// Client makes exchanges with one destination, in sessions that it shares with clients that log on alike. Safe for use
// by several goroutines.
type Client struct {
	target       atomic.Pointer[destination]
	changing sync.Mutex
	refreshing   guard.CtxMutex // of who looks whether settings have changed
	closed   sync.Once
	counter  counters
}

// Counters is what a client has done so far. Bytes are those of bodies as they travel; Tokens and NoTokens are the
// questions for a CSRF token that the service answered with one and without.
type Counters struct {
	Requests, Repeated, BytesSent, BytesReceived, Tokens, NoTokens int64
	// Answers are by the first digit of their status; at 0 stand requests without one.
	Answers [6]int64
	// Waited is how long requests took until the head of their answer, or until it was known that there is none.
	Waited time.Duration
}

type counters struct {
	requests, repeated, sent, received, tokens, noTokens, waited atomic.Int64

	answers [6]atomic.Int64
}

// countAnswer counts an answer with a status; 0: there is none.
func (n *counters) countAnswer(status int, elapsed time.Duration) {
	if status /= 100; status >= len(n.answers) {
		status = 0
	}
	n.answers[status].Add(1)
	n.waited.Add(int64(elapsed))
}

// New checks a destination; it sends nothing. Errors are *wit.Fault of kind config.
func New(c Config) (*Client, error) {
	d, err := newDestination(c)
	if err != nil {
		return nil, err
	}
	client := &Client{refreshing: guard.NewCtxMutex()}
	client.target.Store(d)
	return client, nil
}

// change makes the client go on with other settings: requests under way end as they began, those that begin go by the
// new ones. Where the user or the service is another one, the session ends. Errors are those of [New], and change
// nothing.
func (c *Client) change(to Config) error {
	d, err := newDestination(to)
	if err != nil {
		return err
	}
	c.changing.Lock()
	defer c.changing.Unlock()
	old := c.target.Swap(d)
	old.leave()
	old.endIdle()
	return nil
}

// Refresh has Config.Refresh look whether anything has changed, so that it is known before the next request.
func (c *Client) Refresh(ctx context.Context) error {
	_, err := c.current(ctx, false)
	return err
}

// current is the destination as it is now. refused: look whether there is another secret.
func (c *Client) current(ctx context.Context, refused bool) (*destination, error) {
	if d := c.target.Load(); d.config.Refresh == nil {
		return d, nil
	}
	// One goroutine refreshes at a time: else one could learn that nothing has changed, and go on with the
	// destination that another goroutine is just replacing.
	if err := c.refreshing.Lock(ctx); err != nil {
		return nil, err
	}
	defer c.refreshing.Unlock()
	changed, err := c.target.Load().config.Refresh(ctx, refused)
	if err == nil && changed != nil {
		err = c.change(*changed)
	}
	if err != nil {
		fault, _ := tokenFault(ctx, err)
		return nil, fault
	}
	return c.target.Load(), nil
}

// Origin is scheme, host and port, as in https://host:8443.
func (c *Client) Origin() string { return c.target.Load().origin.String() }

// Retry says what is tried again; callers use it for answers that break off while they read them.
func (c *Client) Retry() Retry { return c.target.Load().config.Retry }

// Counters is what the client has done so far.
func (c *Client) Counters() Counters {
	n := &c.counter
	now := Counters{Requests: n.requests.Load(), Repeated: n.repeated.Load(), BytesSent: n.sent.Load(),
		BytesReceived: n.received.Load(), Tokens: n.tokens.Load(), NoTokens: n.noTokens.Load(),
		Waited: time.Duration(n.waited.Load())}
	for i := range n.answers {
		now.Answers[i] = n.answers[i].Load()
	}
	return now
}

// Close ends the sessions that no other client has, which takes at most 2 s, and idle connections. Answers that are
// being read go on.
func (c *Client) Close() {
	c.closed.Do(func() {
		d := c.target.Load()
		d.leave()
		d.endIdle()
	})
}
