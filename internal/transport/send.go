package transport

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/internal/transport/lockouts"
	"github.com/culvert-project/culvert/internal/transport/session"
	"github.com/culvert-project/culvert/wit"
)

var errOldToken = errors.New("the session of the CSRF token has ended")

var errRefusedToken = errors.New("the token was refused")

// send makes one attempt. The error is a *sendError if no answer arrived.
func (c *Client) send(ctx context.Context, p *permit, e *exchange, csrf *session.Token) (*Answer, http.Header, error) {
	d := p.destination
	if err := d.limits.WaitToSend(ctx); err != nil {
		return nil, nil, err
	}
	waited := d.limits.RecordLogonWait()
	done, err := d.gateFor(e.sapClient).Acquire(ctx, func() bool { return d.sessions.IsOpening(p.session) })
	waited()
	if err != nil {
		return nil, nil, err
	}
	status := lockouts.Unsent
	defer func() { done(status) }()
	h, shown, err := d.headers(ctx, e)
	if err != nil {
		fault, refused := tokenError(ctx, err)
		if refused {
			status = http.StatusUnauthorized
		}
		return nil, nil, fault
	}
	s := c.prepare(ctx, p, e, h, csrf.Value)
	if csrf.Value != "" && csrf.Generation != s.generation {
		s.timeout.cancel(nil)
		return nil, nil, errOldToken
	}
	status = 0
	answer, err := s.roundTrip()
	if err != nil {
		if errors.Is(err, errSendCheckExpired) {
			status = lockouts.Unsent
		}
		return nil, nil, err
	}
	if e.newlyRefused(answer.StatusCode, shown) {
		s.drop(answer, nil)
		return nil, nil, errRefusedToken
	}
	status = answer.StatusCode
	a, err := s.accept(answer)
	if err != nil {
		return nil, nil, err
	}
	return a, answer.Header, nil
}

// sending is an attempt, from the complete request to the end of the answer's body.
type sending struct {
	client         *Client
	permit         *permit
	exchange       *exchange
	parent         context.Context // of whoever wants the answer; the request has that of quiet
	timeout        *readTimeout
	request        *http.Request
	generation     int
	mayHaveArrived atomic.Bool
	began          time.Time
}

// prepare builds a request in the present session. The read timeout starts when something was sent; until then the
// connect timeout applies.
func (c *Client) prepare(ctx context.Context, p *permit, e *exchange, h http.Header, csrf string) *sending {
	s := &sending{client: c, permit: p, exchange: e, parent: ctx,
		timeout: newReadTimeout(ctx, max(p.destination.config.ReadTimeout, e.firstByteTimeout))}
	trace := &httptrace.ClientTrace{
		GotConn: func(i httptrace.GotConnInfo) {
			if e.tokenFor == nil && !SendCheckHolds(ctx) {
				s.timeout.cancel(errSendCheckExpired)
				i.Conn.Close() // net/http would send all the same
			}
		},
		WroteHeaders: func() { s.mayHaveArrived.Store(true); s.timeout.sending() },
		WroteRequest: func(httptrace.WroteRequestInfo) { s.timeout.sending() },
	}
	cookies, generation := p.session.Cookies(e.line)
	s.generation = generation
	if cookies != "" {
		h.Set("Cookie", cookies)
	}
	if csrf != "" {
		h.Set("X-Csrf-Token", csrf)
	}
	s.request = (&http.Request{Method: e.method, URL: p.destination.urlOf(e.line),
		Host: p.destination.origin.authority(), Header: h, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}).
		WithContext(httptrace.WithClientTrace(s.timeout.ctx, trace))
	s.setBody()
	return s
}

// setBody sets the body so that net/http repeats only repeatable requests.
func (s *sending) setBody() {
	e, r := s.exchange, s.request
	body := func() (io.ReadCloser, error) {
		return &uploadBody{Reader: bytes.NewReader(e.body), timeout: s.timeout, sent: &s.client.counter.sent}, nil
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
}

func (s *sending) roundTrip() (*http.Response, error) {
	d, counter := s.permit.destination, &s.client.counter
	counter.requests.Add(1)
	s.began = time.Now()
	answer, err := d.roundTrip(s.request)
	s.timeout.answerBegan(d.config.ReadTimeout)
	if err != nil {
		counter.countAnswer(0, time.Since(s.began))
		defer s.timeout.cancel(nil)
		err = d.explainFailure(s.parent, s.timeout, s.exchange, s.mayHaveArrived.Load(), err)
		s.log(0, 0, err)
		return nil, err
	}
	counter.countAnswer(answer.StatusCode, time.Since(s.began))
	return answer, nil
}

func (s *sending) log(status int, bytes int64, err error) {
	s.permit.destination.logExchange(s.exchange, s.request.Header, status, bytes, s.began, err)
}

func (s *sending) drop(answer *http.Response, err error) {
	s.log(answer.StatusCode, 0, err)
	answer.Body.Close()
	s.timeout.cancel(nil)
}

// accept updates the session and returns the answer without the request's secrets.
func (s *sending) accept(answer *http.Response) (*Answer, error) {
	d, e, status, sent := s.permit.destination, s.exchange, answer.StatusCode, s.request.Header
	s.permit.session.Update(answer.Header, e.line, s.generation)
	d.sessions.Observe(s.permit.session, status)
	if err := d.checkClient(answer.Header); err != nil {
		s.drop(answer, err)
		return nil, e.unusable(status, err)
	}
	a := &Answer{Response: wit.Response{Tag: e.tag, Status: uint16(status), Target: e.target(),
		ReceivedAt: time.Now().UnixMilli()}, reason: answer.Status, inSession: sent["Cookie"] != nil,
		generation: s.generation,
		secrets:    d.secrets(sent), token: answer.Header.Get("X-Csrf-Token")}
	body := s.body(answer) // before the headers: it takes the encoding out of them
	ofAddresses := func() []string { return d.secretsOf(sent, shortestSession) }
	a.Headers = answerHeaders(answer.Header, a.secrets, ofAddresses)
	a.Body = mask(body, d.hiddenTexts(status, a.secrets))
	return a, nil
}

// body ends the exchange and releases its slot when it is read or closed.
func (s *sending) body(answer *http.Response) *body {
	e := s.exchange
	b := &body{inner: answer.Body, timeout: s.timeout, parent: s.parent, request: e.name(),
		received: &s.client.counter.received}
	b.release = sync.OnceFunc(func() {
		broken := b.err
		if errors.Is(broken, io.EOF) {
			broken = nil
		}
		s.log(answer.StatusCode, b.read, broken)
		s.permit.release()
	})
	b.onBroken = func(err error) { s.permit.destination.logOutage(time.Now(), noResponseText, e, "cause", err) }
	if e.method != http.MethodHead {
		b.decode(answer.Header)
	}
	return b
}

// newlyRefused reports whether a token was refused for the first time, so that another one is tried.
func (e *exchange) newlyRefused(status int, shown string) bool {
	if status != http.StatusUnauthorized || shown == "" || e.refusedToken != "" {
		return false
	}
	e.refusedToken = shown
	return true
}

// headers merges the guest's headers with the host's. shown is the token among them, or "".
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
	shown, err = d.auth.authorize(ctx, h, e.refusedToken)
	return h, shown, err
}
