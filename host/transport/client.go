// Package transport makes the HTTP exchanges that plugins ask for: one origin, one user, sessions, tokens, retries, time limits.
// It does not know what the bodies mean.
package transport

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/wit"
)

// Client makes exchanges with one destination. Its cookies and its token are one session. Safe for use by several goroutines.
type Client struct {
	config  Config
	origin  origin
	basic   string
	logon   *logon
	jar     jar
	tokens  tokens
	wire    *http.Transport
	counter counters
}

// Answer is an answer whose body is still to be read: Response.Body is empty. Body must be closed.
type Answer struct {
	wit.Response
	// Body ends with io.EOF only where the answer ended as it said it would; everything else is an error: a *wit.Fault of kind
	// transient, or the cause of the context that [Client.Do] was called with.
	Body io.ReadCloser
}

// Counters is what a client has done so far. Bytes are those of bodies as they travel.
type Counters struct{ Requests, Repeated, BytesSent, BytesReceived int64 }

type counters struct{ requests, repeated, sent, received atomic.Int64 }

// New checks a destination; it sends nothing. Errors are *wit.Fault of kind config.
func New(c Config) (*Client, error) {
	o, err := c.origin()
	if err != nil {
		return nil, err
	}
	headers := make(map[string]string, len(c.Headers))
	for name, value := range c.Headers {
		if value == "" {
			continue
		}
		if !token(name) || strings.ContainsAny(value, "\r\n\x00") {
			return nil, faultf(wit.FaultConfig, "header %q: expected a header's name and a value without line breaks", name)
		}
		headers[strings.ToLower(name)] = value
	}
	c.Headers = headers
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = 10 * time.Second
	}
	if c.ReadTimeout == 0 {
		c.ReadTimeout = 60 * time.Second
	}
	c.Retry = c.Retry.withDefaults()
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Logons == nil {
		c.Logons = processLogons
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{KeepAlive: 30 * time.Second}).DialContext
	}
	client := &Client{config: c, origin: o, logon: c.Logons.of(o, c.User, c.Password), tokens: newTokens()}
	if c.User != "" {
		client.basic = "Basic " + base64.StdEncoding.EncodeToString([]byte(c.User+":"+c.Password))
	}
	client.wire = &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			ctx, cancel := context.WithTimeoutCause(ctx, c.ConnectTimeout, fmt.Errorf("no connection after %v", c.ConnectTimeout))
			defer cancel()
			conn, err := c.Dial(ctx, network, address)
			if err != nil && ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			return conn, err
		},
		TLSClientConfig: c.TLS, TLSHandshakeTimeout: c.ConnectTimeout,
		// The host decodes bodies itself, so that it sees where they end.
		DisableCompression: true,
		// A server that closes an idle connection while a POST is under way leaves its fate unknown: ours go first.
		IdleConnTimeout: 2 * time.Second, MaxIdleConnsPerHost: 16,
		ReadBufferSize: 64 << 10, WriteBufferSize: 64 << 10,
		ExpectContinueTimeout: time.Second, MaxResponseHeaderBytes: 1 << 20,
		// HTTP/1.1 alone: what may have arrived and what not is only as clear as this there.
		TLSNextProto: nil, ForceAttemptHTTP2: false, Protocols: http1(),
	}
	return client, nil
}

func http1() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	return p
}

// Origin is scheme, host and port, as in https://host:8443.
func (c *Client) Origin() string { return c.origin.String() }

// Retry says what is tried again; callers use it for answers that break off while they read them.
func (c *Client) Retry() Retry { return c.config.Retry }

// Counters is what the client has done so far.
func (c *Client) Counters() Counters {
	n := &c.counter
	return Counters{n.requests.Load(), n.repeated.Load(), n.sent.Load(), n.received.Load()}
}

// Close drops the session and idle connections. Answers that are being read go on.
func (c *Client) Close() {
	c.jar.drop(-1)
	c.wire.CloseIdleConnections()
}

// Do makes the exchange and returns the final answer, whatever its status: tokens, redirects on the same origin, and retries
// are behind it. Errors: *NoAnswer where a request that is not repeatable may have arrived; the context's cause; *wit.Fault for
// the rest (transient after the last retry; unauthorized where the secret was refused before, or where it is redirected to
// another origin; config for certificates; data for requests that must not be sent).
//
// Not repeatable requests are sent again only where the service cannot have acted on them: no connection came about, it
// refused the token, or it answered with one of the codes to be retried. Of those, 502 and 504 are a gateway's, which does not
// know what became of the request: *NoAnswer.
func (c *Client) Do(ctx context.Context, r *wit.Request) (*Answer, error) {
	e, err := c.exchangeOf(r)
	if err != nil {
		return nil, err
	}
	return c.do(ctx, e)
}

// exchange is a request with what the host adds.
type exchange struct {
	tag, method, line string
	header            http.Header
	body              []byte
	repeatable        bool
	tokenFrom         string
	patience          time.Duration
}

func (c *Client) exchangeOf(r *wit.Request) (*exchange, error) {
	e := &exchange{tag: r.Tag, method: r.Method, body: r.Body, repeatable: r.Repeatable}
	var err error
	if !token(r.Method) {
		return nil, faultf(wit.FaultData, "method of a request: expected a token, found %q", r.Method)
	}
	if e.line, err = c.origin.resolve(r.Target, ""); err != nil {
		return nil, err
	}
	if e.header, err = guestHeaders(r.Headers); err != nil {
		return nil, err
	}
	if r.TokenFrom != nil {
		if e.tokenFrom, err = c.origin.resolve(*r.TokenFrom, ""); err != nil {
			return nil, err
		}
	}
	if r.PatienceMs != nil {
		e.patience = time.Duration(*r.PatienceMs) * time.Millisecond
	}
	return e, nil
}

const mostRedirects = 10

// do repeats an exchange until there is a final answer.
func (c *Client) do(ctx context.Context, e *exchange) (*Answer, error) {
	repeated, redirected, renewed := 0, 0, 0
	for {
		used, answered, err := c.tokens.get(ctx, c, e.tokenFrom)
		if err != nil {
			return nil, err
		}
		a, h, err := c.send(ctx, e, used)
		refused := err == nil && a.Status == http.StatusForbidden && strings.EqualFold(h.Get("X-Csrf-Token"), "Required")
		if err == nil && !refused {
			used.accepted.Store(true)
		}
		answered()
		if errors.Is(err, errOldToken) {
			continue
		}
		if err != nil {
			if err := c.again(ctx, e, err, &repeated); err != nil {
				return nil, err
			}
			continue
		}
		switch status := int(a.Status); {
		case refused && e.tokenFrom != "":
			// A token that others could use since it was fetched was lost with its session; one that is refused at once will be
			// refused again.
			if renewed > 0 && (!used.accepted.Load() || renewed > c.config.Retry.Times()) {
				return a, nil
			}
			renewed++
			a.discard()
			c.tokens.drop(c, used)
		case status >= 300 && status < 400 && status != http.StatusNotModified && h.Get("Location") != "":
			a.discard()
			if redirected++; redirected > mostRedirects {
				return nil, faultf(wit.FaultData, "%s %s: redirected more than %d times", e.method, e.line, mostRedirects)
			}
			if e, err = c.redirect(e, status, h.Get("Location")); err != nil {
				return nil, err
			}
		case !e.repeatable && (status == http.StatusBadGateway || status == http.StatusGatewayTimeout):
			return nil, &NoAnswer{Method: e.method, Target: e.line, Cause: fmt.Errorf("a gateway answered %d: %s", status, a.excerpt())}
		case c.config.Retry.Names(strconv.Itoa(status)) && repeated < c.config.Retry.Times():
			c.config.Logger.Warn("answer to be retried", "request", e.method+" "+e.line, "status", status, "retry", repeated+1, "answer", a.excerpt())
			if err := c.config.Retry.Wait(ctx, retryAfter(h, time.Now())); err != nil {
				return nil, err
			}
			repeated++
			c.counter.repeated.Add(1)
		default:
			return a, nil
		}
	}
}

// again decides about an exchange that had no answer: nil, after a pause, where it is to be sent once more.
func (c *Client) again(ctx context.Context, e *exchange, err error, repeated *int) error {
	var lost *lostError
	if !errors.As(err, &lost) {
		return err
	}
	if lost.sent && !e.repeatable {
		return &NoAnswer{Method: e.method, Target: e.line, Cause: lost.cause}
	}
	if *repeated >= c.config.Retry.Times() {
		f := faultf(wit.FaultTransient, "%s %s at %s: %v", e.method, e.line, c.origin, lost.cause)
		if *repeated > 0 {
			f.Message += fmt.Sprintf(" (sent %d times)", *repeated+1)
		}
		return f
	}
	c.config.Logger.Warn("no answer, to be retried", "request", e.method+" "+e.line, "cause", lost.cause, "retry", *repeated+1)
	if err := c.config.Retry.Wait(ctx, 0); err != nil {
		return err
	}
	*repeated++
	c.counter.repeated.Add(1)
	return nil
}

func (c *Client) redirect(e *exchange, status int, location string) (*exchange, error) {
	line, err := c.origin.resolve(location, e.line)
	if err != nil || e.method != http.MethodGet && e.method != http.MethodHead {
		return nil, faultf(wit.FaultUnauthorized, "%s %s: answered %d with a redirect to %s, which is not followed (only GET and only to %s). "+
			"If that is a logon page, the service does not take this user by password: use a technical or communication user",
			e.method, e.line, status, withoutQuery(location), c.origin)
	}
	next := *e
	next.line = line
	return &next, nil
}

// withoutQuery keeps tickets that stand in the query out of messages.
func withoutQuery(location string) string {
	before, _, _ := strings.Cut(location, "?")
	return before
}

// NoAnswer is the error of a request that may have arrived, must not be sent twice, and got no answer.
type NoAnswer struct {
	Method, Target string
	Cause          error
}

func (n *NoAnswer) Error() string {
	return fmt.Sprintf("%s %s may have arrived, but no answer came: %v", n.Method, n.Target, n.Cause)
}

func (n *NoAnswer) Unwrap() error { return n.Cause }

// discard reads what is left of a short body, so that its connection can be used again.
func (a *Answer) discard() {
	io.CopyN(io.Discard, a.Body, 64<<10)
	a.Body.Close()
}

// excerpt is the beginning of a body for a message; it discards the rest.
func (a *Answer) excerpt() string {
	head, _ := io.ReadAll(io.LimitReader(a.Body, 300))
	a.discard()
	return strings.Join(strings.Fields(toUTF8(string(head))), " ")
}

func sortedNames(h http.Header) []string {
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
