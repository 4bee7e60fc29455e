package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/host/transport/btp"
	"github.com/culvert-project/culvert/wit"
)

// lostError is an exchange without an answer.
type lostError struct {
	// sent: some of it may have arrived
	sent  bool
	cause error
}

func (l *lostError) Error() string { return l.cause.Error() }

// errOldToken: nothing was sent, since the session of the token has ended.
var errOldToken = errors.New("the session of the CSRF token has ended")

// errNoSecondTry: a request that is sent once was sent and has no answer.
var errNoSecondTry = errors.New("sent once, without an answer")

// errRefusedToken: the service has refused a token, for which there may be another one.
var errRefusedToken = errors.New("the token was refused")

// send makes one exchange, once. The error is a *lostError where there was no answer.
func (c *Client) send(ctx context.Context, p *pass, e *exchange, csrf *csrf) (*Answer, http.Header, error) {
	d, s := p.destination, p.session
	if err := d.limits.Begin(ctx); err != nil {
		return nil, nil, err
	}
	waited := d.limits.Logons()
	leave, err := d.logonOf(e.client).enter(ctx, d.config.Lockouts.asks(e),
		func() bool { return d.sessions.opening(s) })
	waited()
	if err != nil {
		return nil, nil, err
	}
	status := unsent
	defer func() { leave.done(status) }()
	if !leave.doubt.IsZero() {
		s.jar.renew(leave.doubt)
	}
	h, shown, err := d.headers(ctx, e)
	if err != nil {
		fault, refused := tokenFault(ctx, err)
		if refused {
			status = http.StatusUnauthorized
		}
		return nil, nil, fault
	}

	quiet := newSilence(ctx, max(d.config.ReadTimeout, e.patience))
	var wrote atomic.Bool
	trace := &httptrace.ClientTrace{
		WroteHeaders: func() { wrote.Store(true); quiet.asking() },
		WroteRequest: func(httptrace.WroteRequestInfo) { quiet.asking() },
	}
	r, session := c.request(httptrace.WithClientTrace(quiet.ctx, trace), p, e, h, csrf.value, quiet)
	if csrf.value != "" && csrf.session != session {
		quiet.cancel(nil)
		return nil, nil, errOldToken
	}
	c.counter.requests.Add(1)
	status = 0
	// The limit on silence starts when something was sent; before that the connect time-out holds.
	began := time.Now()
	answer, err := d.roundTrip(r)
	quiet.answer(d.config.ReadTimeout)
	if err != nil {
		c.counter.answered(0, time.Since(began))
		defer quiet.cancel(nil)
		err = d.lost(ctx, quiet, e, wrote.Load(), err)
		d.exchanged(e, r.Header, 0, 0, began, err)
		return nil, nil, err
	}
	c.counter.answered(answer.StatusCode, time.Since(began))
	// drop ends an exchange whose answer is not read.
	drop := func(err error) {
		d.exchanged(e, r.Header, answer.StatusCode, 0, began, err)
		answer.Body.Close()
		quiet.cancel(nil)
	}
	if e.newlyRefused(answer.StatusCode, shown) {
		drop(nil)
		return nil, nil, errRefusedToken
	}
	status = answer.StatusCode
	s.jar.follow(answer.Header, e.line, time.Now(), session)
	d.sessions.learn(s, status)
	if err := d.checkClient(answer.Header); err != nil {
		drop(err)
		return nil, nil, e.unusable(status, err)
	}
	b := &body{inner: answer.Body, quiet: quiet, parent: ctx, what: e.name(), received: &c.counter.received}
	ended := sync.OnceFunc(func() {
		broken := b.err
		if errors.Is(broken, io.EOF) {
			broken = nil
		}
		d.exchanged(e, r.Header, status, b.read, began, broken)
	})
	b.leave = func() { ended(); p.leave() }
	b.broke = func(err error) { d.silent(time.Now(), noAnswerComes, e, "cause", err) }
	a := &Answer{Response: wit.Response{Tag: e.tag, Status: uint16(status), Target: e.target(),
		At: time.Now().UnixMilli()}, Body: b,
		reason: answer.Status, inSession: r.Header["Cookie"] != nil, session: session}
	if e.method != http.MethodHead {
		b.decode(answer.Header)
	}
	a.secrets = d.secrets(r.Header)
	ofAddresses := func() []string { return d.secretsOf(r.Header, shortestSession) }
	a.Headers, a.token = answerHeaders(answer.Header, a.secrets, ofAddresses), answer.Header.Get("X-Csrf-Token")
	a.Body = mask(b, d.hides(status, a.secrets))
	return a, answer.Header, nil
}

// newlyRefused says whether a token was refused for the first time in this exchange, so that another one is to be
// tried.
func (e *exchange) newlyRefused(status int, shown string) bool {
	if status != http.StatusUnauthorized || shown == "" || e.refused != "" {
		return false
	}
	e.refused = shown
	return true
}

// headers are the guest's with the host's own; shown is the token among them, "" if there is none.
func (d *destination) headers(ctx context.Context, e *exchange) (h http.Header, shown string, err error) {
	h = e.header.Clone()
	if h.Get("Accept-Encoding") == "" {
		h.Set("Accept-Encoding", "gzip")
	}
	if h.Get("User-Agent") == "" {
		h.Set("User-Agent", "culvert")
	}
	for name, value := range d.config.Headers {
		h.Set(name, value)
	}
	shown, err = d.auth.authorize(ctx, h, e.refused)
	return h, shown, err
}

// request builds what net/http sends, in the jar's present session.
func (c *Client) request(ctx context.Context, p *pass, e *exchange, h http.Header, csrf string,
	quiet *silence) (r *http.Request, session int) {
	d := p.destination
	cookies, session := p.session.jar.header(e.line, time.Now())
	if cookies != "" {
		h.Set("Cookie", cookies)
	}
	if csrf != "" {
		h.Set("X-Csrf-Token", csrf)
	}
	r = (&http.Request{Method: e.method, URL: d.urlOf(e.line), Host: d.origin.authority(), Header: h,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}).WithContext(ctx)
	body := func() (io.ReadCloser, error) {
		return &upload{Reader: bytes.NewReader(e.body), quiet: quiet, sent: &c.counter.sent}, nil
	}
	switch {
	case len(e.body) > 0:
		r.ContentLength = int64(len(e.body))
		r.Body, _ = body()
		// net/http uses this for methods other than GET only where nothing was written
		if e.repeatable || e.method != http.MethodGet && e.method != http.MethodHead {
			r.GetBody = body
		}
	case e.repeatable:
	case e.method == http.MethodGet || e.method == http.MethodHead:
		// An empty body that cannot be had twice keeps net/http from repeating on its own a GET that must not be
		// repeated.
		r.Body = io.NopCloser(bytes.NewReader(nil))
	default:
		r.Body, r.GetBody = http.NoBody, func() (io.ReadCloser, error) { return http.NoBody, nil }
	}
	return r, session
}

func (d *destination) lost(ctx context.Context, quiet *silence, e *exchange, sent bool, err error) error {
	if ctx.Err() != nil {
		if sent && !e.repeatable {
			return &lostError{sent, context.Cause(ctx)}
		}
		return context.Cause(ctx)
	}
	if f := d.untrusted(err); f != nil {
		return f
	}
	if permanent(err) && !sent {
		return faultf(wit.FaultConfig, "%s: %v", d.origin, err)
	}
	if f := d.noToken(err); f != nil && !sent {
		return f
	}
	if cause := context.Cause(quiet.ctx); cause != nil {
		err = cause
	}
	return &lostError{sent, err}
}

// noToken is the fault of a route for which there is no token, and will be none before somebody mends a setting; nil:
// that was not the reason. The token service is not asked again with a secret that it has refused.
func (d *destination) noToken(err error) error {
	failure, ok := errors.AsType[*btp.Failure](err)
	if !ok || failure.Temporary() {
		return nil
	}
	kind := wit.FaultConfig
	if failure.Kind == btp.Unauthorized {
		kind = wit.FaultUnauthorized
	}
	return faultf(kind, "%s: %v", d.origin, err)
}

// silence ends an exchange in which nothing has come for too long. It holds a timer, not a goroutine. The hooks of
// net/http call it from other goroutines, some after the answer is there.
type silence struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer

	mu       sync.Mutex
	limit    time.Duration
	answered bool
}

// newSilence returns one whose time does not run yet.
func newSilence(ctx context.Context, limit time.Duration) *silence {
	s := &silence{limit: limit}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	s.timer = time.AfterFunc(time.Hour, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.cancel(fmt.Errorf("nothing came for %v", s.limit))
	})
	s.timer.Stop()
	return s
}

// asking starts the time again while the request goes out.
func (s *silence) asking() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.answered {
		s.timer.Reset(s.limit)
	}
}

// answer ends the first phase; limit holds from now on.
func (s *silence) answer(limit time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answered, s.limit = true, limit
	s.timer.Stop()
}

// reading starts the time again, waiting stops it.
func (s *silence) reading() { s.timer.Reset(s.limit) }
func (s *silence) waiting() { s.timer.Stop() }

// upload is a request's body; every piece that goes out breaks the silence.
type upload struct {
	*bytes.Reader
	quiet *silence
	sent  interface{ Add(int64) int64 }
}

func (u *upload) Read(p []byte) (int, error) {
	n, err := u.Reader.Read(p)
	u.quiet.asking()
	u.sent.Add(int64(n))
	return n, err
}

// WriteTo is hidden on purpose: it would hand out the whole body at once, and a slow upload would count as silence.
func (u *upload) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{u})
}

func (u *upload) Close() error { return nil }
