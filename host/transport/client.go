package transport

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/wit"
)

// Client makes exchanges with one destination, in sessions that it shares with clients that log on alike. Safe for use
// by several goroutines.
type Client struct {
	at       atomic.Pointer[destination]
	changing sync.Mutex
	asking   chan struct{} // holds who looks whether settings have changed
	closed   sync.Once
	counter  counters
}

// Answer is an answer whose body is still to be read: Response.Body is empty. Body must be closed.
type Answer struct {
	wit.Response
	// Body ends with io.EOF only where the answer ended as it said it would; everything else is an error: a *wit.Fault
	// of kind transient, or the cause of the context that [Client.Do] was called with.
	Body io.ReadCloser
	// reason is the text after the status; token is the service's CSRF token, which is none of the guest's; inSession:
	// cookies went with the request; over: their session had ended before; wantsToken: it refuses the request for its
	// CSRF token.
	reason    string
	token     string
	secrets   []string // of the request, which no message shows
	inSession bool
	over      bool
	session   int

	wantsToken bool
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

// answered counts an answer with a status; 0: there is none.
func (n *counters) answered(status int, took time.Duration) {
	if status /= 100; status >= len(n.answers) {
		status = 0
	}
	n.answers[status].Add(1)
	n.waited.Add(int64(took))
}

// New checks a destination; it sends nothing. Errors are *wit.Fault of kind config.
func New(c Config) (*Client, error) {
	d, err := newDestination(c)
	if err != nil {
		return nil, err
	}
	client := &Client{asking: make(chan struct{}, 1)}
	client.at.Store(d)
	return client, nil
}

// Change makes the client go on with other settings: requests under way end as they began, those that begin go by the
// new ones. Where the user or the service is another one, the session ends. Errors are those of [New], and change
// nothing.
func (c *Client) Change(to Config) error {
	d, err := newDestination(to)
	if err != nil {
		return err
	}
	c.changing.Lock()
	defer c.changing.Unlock()
	old := c.at.Swap(d)
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
	if d := c.at.Load(); d.config.Refresh == nil {
		return d, nil
	}
	// One goroutine refreshes at a time: else one could learn that nothing has changed, and go on with the
	// destination that another goroutine is just replacing.
	select {
	case c.asking <- struct{}{}:
		defer func() { <-c.asking }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	changed, err := c.at.Load().config.Refresh(ctx, refused)
	if err == nil && changed != nil {
		err = c.Change(*changed)
	}
	if err != nil {
		fault, _ := tokenFault(ctx, err)
		return nil, fault
	}
	return c.at.Load(), nil
}

// Origin is scheme, host and port, as in https://host:8443.
func (c *Client) Origin() string { return c.at.Load().origin.String() }

// Retry says what is tried again; callers use it for answers that break off while they read them.
func (c *Client) Retry() Retry { return c.at.Load().config.Retry }

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
		d := c.at.Load()
		d.leave()
		d.endIdle()
	})
}

// Do makes the exchange and returns the final answer, whatever its status: after tokens, redirects on the same origin,
// and retries. Errors: *NoAnswer where a request that is not repeatable may have been acted on; the context's
// cause; *wit.Fault for the rest (transient after the last retry; unauthorized where the secret was refused before, or
// where it is redirected to another origin; config for certificates; data for requests that must not be sent).
//
// Not repeatable requests are sent again only where the service cannot have acted on them: no connection came about
// (nothing was written to it), no Cloud Connector was there (see withoutConnector), the token was refused (403 with
// X-CSRF-Token: Required, which SAP Gateway checks before the request) or the secret (401: "has not been applied", RFC
// 9110, 15.5.2), the session had ended (see ended), or too many requests came (429, see [wit.Refuses]) and the request
// is no GET. Retry.Codes does not count for them: what any other answer says of the request is in its body, which the
// caller reads.
func (c *Client) Do(ctx context.Context, r *wit.Request) (a *Answer, err error) {
	// A mistake of ours is the request's: what must not be sent twice may be on its way.
	defer guard.Recover(c.at.Load().config.Logger, "a "+r.Method+" request to the service", nil, func(p *guard.Panic) {
		if a, err = nil, p; !r.Repeatable {
			err = &NoAnswer{Method: r.Method, Target: r.Target, Cause: p}
		}
	})
	d, err := c.current(ctx, false)
	if err != nil {
		return nil, err
	}
	e, err := d.exchangeOf(r)
	if err != nil {
		return nil, err
	}
	return (&repetition{client: c, e: e, service: d}).run(ctx)
}

// exchange is a request with what the host adds.
type exchange struct {
	tag, method, line string
	header            http.Header
	body              []byte
	repeatable        bool
	// single: though repeatable it is not sent again where no answer comes, or one of a server that fails: another
	// request asks the same.
	single    bool
	tokenFrom string
	patience  time.Duration
	// refused is the token that was refused.
	refused string
	// serves is the exchange that this one fetches a token for, nil for none.
	serves *exchange
	// client is the SAP client that the request names itself, "" for none.
	client string
	// elsewhere is the origin that the request goes to, of those that the user names in addition to the service's; ""
	// is the service's own.
	elsewhere string
}

// target is where the request goes, as the guest sees it: the line of another origin means nothing without it.
func (e *exchange) target() string { return e.elsewhere + e.line }

// shows says whether the request shows who asks.
func (e *exchange) shows(d *destination) bool {
	return e.elsewhere == "" || d.auth.identity != (Identity{})
}

// name is the request in a message. Links to other origins are often good for whoever has them: of their query the
// names are shown.
func (e *exchange) name() string { return e.method + " " + e.shownTarget() }

func (e *exchange) shownTarget() string { return e.elsewhere + e.shownLine() }

func (e *exchange) shownLine() string {
	if e.elsewhere != "" {
		return shown(e.line)
	}
	return e.line
}

func (d *destination) exchangeOf(r *wit.Request) (*exchange, error) {
	e := &exchange{tag: r.Tag, method: r.Method, body: r.Body, repeatable: r.Repeatable}
	if other := d.forTarget(r.Target); other != d {
		d, e.elsewhere = other, other.origin.String()
	}
	var err error
	if err := checkMethod(r.Method); err != nil {
		return nil, err
	}
	if e.line, err = d.resolve(r.Target); err != nil {
		return nil, err
	}
	if err := d.asksFor("target", e.line); err != nil {
		return nil, err
	}
	e.client = namedClient(e.line)
	if e.header, err = guestHeaders(r.Method, r.Headers); err != nil {
		return nil, err
	}
	for _, kind := range e.header["Content-Type"] {
		clients, err := d.checkForm(kind, e.body)
		if err != nil {
			return nil, err
		}
		if len(clients) > 0 && e.client == "" {
			e.client = clients[0]
		}
	}
	if r.TokenFrom != nil {
		if e.tokenFrom, err = d.resolve(*r.TokenFrom); err != nil {
			return nil, err
		}
		if err := d.asksFor("token-from", e.tokenFrom); err != nil {
			return nil, err
		}
	}
	if r.PatienceMs != nil {
		e.patience = time.Duration(*r.PatienceMs) * time.Millisecond
	}
	return e, nil
}

// withoutQuery keeps tickets that stand in the query out of messages.
func withoutQuery(location string) string {
	before, _, _ := strings.Cut(location, "?")
	return before
}

// unusable is the error of an answer that cannot be handed on, although its status was read.
func (e *exchange) unusable(status int, cause error) error {
	if e.repeatable || wit.Refuses(uint16(status)) {
		return cause
	}
	return &NoAnswer{Method: e.method, Target: e.shownTarget(), Status: status, Cause: cause}
}

// NoAnswer is the error of a request that may have been acted on, must not be sent twice, and got no answer, or none
// that could be read.
type NoAnswer struct {
	Method, Target string
	// Status of the answer that could not be read, 0 where none came.
	Status int
	Cause  error
}

func (n *NoAnswer) Error() string {
	if n.Status != 0 {
		return fmt.Sprintf("%s %s was answered %d, and the answer cannot be used: %v", n.Method, n.Target, n.Status,
			n.Cause)
	}
	return fmt.Sprintf("%s %s may have arrived, but no answer came: %v", n.Method, n.Target, n.Cause)
}

func (n *NoAnswer) Unwrap() error { return n.Cause }

// withoutConnector says whether the proxy of SAP Connectivity says that no Cloud Connector is there: the request went
// nowhere. assumption: its text names the Cloud Connector, which no service behind one does.
func (a *Answer) withoutConnector() bool {
	return strings.Contains(a.peek(1<<10), "no SAP Cloud Connector")
}

// discard reads what is left of a short body, so that its connection can be used again.
func (a *Answer) discard() {
	io.CopyN(io.Discard, a.Body, 64<<10)
	a.Body.Close()
}

// peek is the beginning of the body, which can be read all the same.
func (a *Answer) peek(n int64) string {
	head, err := io.ReadAll(io.LimitReader(a.Body, n))
	rest := a.Body
	a.Body = peeked{io.MultiReader(bytes.NewReader(head), ended{err, rest}), rest}
	return toUTF8(string(head))
}

// peeked is a body of which some was read already.
type peeked struct {
	io.Reader
	io.Closer
}

// ended goes on after a body's beginning, unless that ended in an error.
type ended struct {
	err  error
	rest io.Reader
}

func (e ended) Read(p []byte) (int, error) {
	if e.err != nil {
		return 0, e.err
	}
	return e.rest.Read(p)
}

// excerpt is the beginning of a body for a message; it discards the rest.
func (a *Answer) excerpt() string {
	head, _ := io.ReadAll(io.LimitReader(a.Body, 300))
	a.discard()
	text := toUTF8(string(head))
	for _, s := range a.secrets { // cut in the middle
		for n := min(len(s)-1, len(text)); n >= shortest; n-- {
			if strings.HasSuffix(text, s[:n]) {
				text = text[:len(text)-n]
				break
			}
		}
	}
	return strings.Join(strings.Fields(without(text, a.secrets)), " ")
}
