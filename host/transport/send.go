package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"

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

// send makes one exchange, once. The error is a *lostError where there was no answer.
func (c *Client) send(ctx context.Context, e *exchange, csrf *csrf) (*Answer, http.Header, error) {
	done, err := c.logon.enter(ctx)
	if err != nil {
		return nil, nil, err
	}
	status := 0
	defer func() { done(status) }()

	quiet := newSilence(ctx, max(c.config.ReadTimeout, e.patience))
	var wrote atomic.Bool
	trace := &httptrace.ClientTrace{
		WroteHeaders: func() { wrote.Store(true); quiet.asking() },
		WroteRequest: func(httptrace.WroteRequestInfo) { quiet.asking() },
	}
	r, session := c.request(httptrace.WithClientTrace(quiet.ctx, trace), e, csrf.value, quiet)
	if csrf.value != "" && csrf.session != session {
		quiet.cancel(nil)
		return nil, nil, errOldToken
	}
	c.counter.requests.Add(1)
	// The limit on silence starts when something was sent; before that the connect time-out holds.
	answer, err := c.wire.RoundTrip(r)
	quiet.answer(c.config.ReadTimeout)
	if err != nil {
		defer quiet.cancel(nil)
		return nil, nil, c.lost(ctx, quiet, e, wrote.Load(), err)
	}
	status = answer.StatusCode
	c.jar.follow(answer.Header, e.line, time.Now(), session)
	if err := c.checkClient(answer.Header); err != nil {
		quiet.cancel(nil)
		return nil, nil, err
	}
	b := &body{inner: answer.Body, quiet: quiet, parent: ctx, what: e.method + " " + e.line, received: &c.counter.received}
	a := &Answer{Response: wit.Response{Tag: e.tag, Status: uint16(status), Target: e.line, At: time.Now().UnixMilli()}, Body: b}
	if e.method != http.MethodHead {
		if err := b.decode(answer.Header); err != nil {
			b.Close()
			return nil, nil, err
		}
	}
	a.Headers = answerHeaders(answer.Header)
	return a, answer.Header, nil
}

// request builds what net/http sends, in the jar's present session.
func (c *Client) request(ctx context.Context, e *exchange, csrf string, quiet *silence) (r *http.Request, session int) {
	h := e.header.Clone()
	if h.Get("Accept-Encoding") == "" {
		h.Set("Accept-Encoding", "gzip")
	}
	if h.Get("User-Agent") == "" {
		h.Set("User-Agent", "culvert")
	}
	for name, value := range c.config.Headers {
		h.Set(name, value)
	}
	if c.basic != "" {
		h.Set("Authorization", c.basic)
	}
	cookies, session := c.jar.header(e.line, time.Now())
	if cookies != "" {
		h.Set("Cookie", cookies)
	}
	if csrf != "" {
		h.Set("X-Csrf-Token", csrf)
	}
	r = (&http.Request{Method: e.method, URL: c.origin.urlOf(e.line), Host: c.origin.authority(), Header: h,
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
		// An empty body that cannot be had twice keeps net/http from repeating on its own a GET that must not be repeated.
		r.Body = io.NopCloser(bytes.NewReader(nil))
	default:
		r.Body, r.GetBody = http.NoBody, func() (io.ReadCloser, error) { return http.NoBody, nil }
	}
	return r, session
}

func (c *Client) lost(ctx context.Context, quiet *silence, e *exchange, sent bool, err error) error {
	if ctx.Err() != nil {
		if sent && !e.repeatable {
			return &lostError{sent, context.Cause(ctx)}
		}
		return context.Cause(ctx)
	}
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &certificate) {
		return faultf(wit.FaultConfig, "%s: the certificate is not trusted: %v", c.origin, certificate.Err)
	}
	if cause := context.Cause(quiet.ctx); cause != nil {
		err = cause
	}
	return &lostError{sent, err}
}

// silence ends an exchange in which nothing has come for too long. It holds a timer, not a goroutine. The hooks of net/http
// call it from other goroutines, some after the answer is there.
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

// asking starts the time anew while the request goes out.
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

// reading starts the time anew, waiting stops it.
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
