package transport

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/history"
)

// Client sends requests to one destination. Clients with the same logon share sessions. Safe for concurrent use.
type Client struct {
	target      atomic.Pointer[destination]
	refreshLock guard.CtxMutex // held during Config.Refresh
	changeLock  sync.Mutex     // held while setConfig replaces target
	isClosed    bool           // target has left the clients of its origin; guarded by changeLock
	counter     counters
}

// Counters are the totals of a client: bytes of bodies on the wire, and CSRF token requests with and without a token.
type Counters struct {
	Requests      int64
	Repeated      int64
	BytesSent     int64
	BytesReceived int64
	Tokens        int64
	NoTokens      int64
	// Answers are counted by the first digit of their status; index 0 counts requests without one.
	Answers [6]int64
	// Waited is the time from sending to the response's header, or to the error. Latency counts answers by it.
	Waited  time.Duration
	Latency [history.LatencyBuckets]int64
}

type counters struct {
	requests atomic.Int64
	repeated atomic.Int64
	sent     atomic.Int64
	received atomic.Int64
	tokens   atomic.Int64
	noTokens atomic.Int64
	waited   atomic.Int64

	answers [6]atomic.Int64
	latency [history.LatencyBuckets]atomic.Int64
}

// countAnswer counts an answer; status zero means none.
func (c *counters) countAnswer(status int, elapsed time.Duration) {
	if status /= 100; status >= len(c.answers) {
		status = 0
	}
	c.answers[status].Add(1)
	c.latency[history.LatencyBucket(elapsed)].Add(1)
	c.waited.Add(int64(elapsed))
}

// New validates a configuration; it sends nothing. Errors are *wit.Error of kind config.
func New(c Config) (*Client, error) {
	d, err := newDestination(c)
	if err != nil {
		return nil, err
	}
	client := &Client{refreshLock: guard.NewCtxMutex()}
	client.target.Store(d)
	return client, nil
}

// setConfig replaces the configuration, except for requests in flight. After an error nothing has changed.
func (c *Client) setConfig(config Config) error {
	d, err := newDestination(config)
	if err != nil {
		return err
	}
	c.changeLock.Lock()
	defer c.changeLock.Unlock()
	unused := d
	if !c.isClosed {
		unused = c.target.Swap(d)
	}
	unused.deregister()
	unused.closeIdle()
	return nil
}

// Refresh applies changed settings before the next request.
func (c *Client) Refresh(ctx context.Context) error {
	_, err := c.current(ctx)
	return err
}

func (c *Client) current(ctx context.Context) (*destination, error) { return c.refresh(ctx, false) }

// refresh applies changed settings and returns the current destination. secretRefused is passed to Config.Refresh.
func (c *Client) refresh(ctx context.Context, secretRefused bool) (*destination, error) {
	if d := c.target.Load(); d.config.Refresh == nil {
		return d, nil
	}
	// Concurrent calls wait: otherwise one could use the destination that another call is just replacing.
	if err := c.refreshLock.Lock(ctx); err != nil {
		return nil, err
	}
	defer c.refreshLock.Unlock()
	config, err := c.target.Load().config.Refresh(ctx, secretRefused)
	if err == nil && config != nil {
		err = c.setConfig(*config)
	}
	if err != nil {
		err, _ = tokenError(ctx, err) // Refresh may request a BTP destination
		return nil, err
	}
	return c.target.Load(), nil
}

// Origin returns the origin, as in https://host:8443.
func (c *Client) Origin() string { return c.target.Load().origin.String() }

// Retry returns the retry policy.
func (c *Client) Retry() Retry { return c.target.Load().config.Retry }

// Counters returns the totals since New. They are read one after the other.
func (c *Client) Counters() Counters {
	n := &c.counter
	totals := Counters{Requests: n.requests.Load(), Repeated: n.repeated.Load(), BytesSent: n.sent.Load(),
		BytesReceived: n.received.Load(), Tokens: n.tokens.Load(), NoTokens: n.noTokens.Load(),
		Waited: time.Duration(n.waited.Load())}
	for i := range n.answers {
		totals.Answers[i] = n.answers[i].Load()
	}
	for i := range n.latency {
		totals.Latency[i] = n.latency[i].Load()
	}
	return totals
}

// Close ends idle connections, and logs off, within 2 s, the sessions that no other client uses. Reads of answers
// continue.
func (c *Client) Close() {
	c.changeLock.Lock()
	defer c.changeLock.Unlock()
	if c.isClosed {
		return
	}
	c.isClosed = true
	d := c.target.Load()
	d.deregister()
	d.closeIdle()
}
