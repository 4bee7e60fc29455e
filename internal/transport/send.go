package transport

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/culvert-project/culvert/internal/transport/lockouts"
	"github.com/culvert-project/culvert/internal/transport/route"
	"github.com/culvert-project/culvert/internal/transport/session"
	"github.com/culvert-project/culvert/wit"
)

// errOldToken is the error of a request whose CSRF token belongs to a session that has ended.
var errOldToken = errors.New("the session of the CSRF token has ended")

// errSessionEnded is the error of a request whose session has ended, as another request found.
var errSessionEnded = errors.New("the session has ended")

var errRefusedToken = errors.New("the token was refused")

// send makes one attempt. Without an answer the error is a *sendError.
func (c *Client) send(ctx context.Context, p *permit, e *exchange, csrf *session.Token) (*Answer, http.Header, error) {
	d := p.destination
	if err := d.limits.WaitToSend(ctx); err != nil {
		return nil, nil, err
	}
	// Take turns at the gates of the secrets: the service's, then the route's.
	gate := d.gateFor(e.sapClient)
	done, err := p.logOn(ctx, gate, e)
	if err != nil {
		return nil, nil, err
	}
	status := lockouts.Unsent
	defer func() {
		done(status)
		d.headerGate.Observe(status)
	}()
	if p.logon == nil && d.sessions.HasEnded(p.session) {
		return nil, nil, errSessionEnded
	}
	report, err := d.routeGate.Acquire(ctx, func() bool { return false })
	if err != nil {
		return nil, nil, err
	}
	logon := &routeLogon{done: report}
	defer logon.report(lockouts.Unsent)
	h, token, err := d.headers(ctx, e)
	if err != nil {
		logon.report(d.config.Route.statusOfTokenError(err))
		err, isRefused := tokenError(ctx, err)
		if isRefused {
			status = http.StatusUnauthorized
		}
		return nil, nil, err
	}
	// Maybe only requests for tokens send the proxy's secret, not those to the origin.
	if r := &d.config.Route; r.Settings.Type == route.HTTP && r.proxyOf(d.origin) == nil && r.proxyOfTokens() != nil {
		logon.report(http.StatusOK)
	}
	t := c.prepare(ctx, p, e, h, csrf.Value, logon)
	if csrf.Value != "" && csrf.Generation != t.cookies.Generation {
		t.timeout.cancel(nil)
		return nil, nil, errOldToken
	}
	status = 0 // from now on the secret may have arrived, with an unknown result
	response, err := t.roundTrip()
	if err != nil {
		if errors.Is(err, errSendCheckExpired) {
			status = lockouts.Unsent
		}
		return nil, nil, err
	}
	logon.report(d.config.Route.statusOfAnswer(response.StatusCode))
	// A 401 may mean an old token or session instead of a wrong secret.
	if response.StatusCode == http.StatusUnauthorized && token != "" && e.refusedToken == "" {
		e.refusedToken = token // a new one is tried, once
		t.drop(response, nil)
		return nil, nil, errRefusedToken
	}
	if response.StatusCode == http.StatusUnauthorized && t.cookies.Proven && p.logon == nil {
		t.drop(response, nil)
		// The session is replaced after a 401 in it. The logon has not ended yet.
		newSession := d.sessions.Replace(p.session)
		if newSession == nil {
			return nil, nil, errSessionEnded
		}
		if newSession.EarlyEnds() >= maxFreshRefusals {
			p.useSingleSession()
		}
		return nil, nil, &sessionExpiredError{recheck: gate.BeginRecheck(), session: newSession}
	}
	status = response.StatusCode
	return t.accept(response)
}

// routeLogon is the turn of one attempt at the gate of the route's secret.
type routeLogon struct {
	once sync.Once
	done func(status int)
}

// report ends the turn with a status once the route has accepted or refused its secret. Further calls do nothing.
func (l *routeLogon) report(status int) { l.once.Do(func() { l.done(status) }) }

// transmission is one attempt, from the complete request to the end of the answer's body.
type transmission struct {
	client         *Client
	permit         *permit
	exchange       *exchange
	parent         context.Context // of the caller; the request has that of timeout
	timeout        *readTimeout
	request        *http.Request
	cookies        session.Cookies
	mayHaveArrived atomic.Bool // the header was written
	began          time.Time
	logon          *routeLogon
}

// prepare returns the transmission of an exchange with the session's cookies, which it adds to h.
func (c *Client) prepare(ctx context.Context, p *permit, e *exchange, h http.Header, csrf string,
	logon *routeLogon) *transmission {
	t := &transmission{client: c, permit: p, exchange: e, parent: ctx, logon: logon,
		timeout: newReadTimeout(ctx, max(p.destination.config.ReadTimeout, e.firstByteTimeout))}
	trace := &httptrace.ClientTrace{
		GotConn: func(i httptrace.GotConnInfo) {
			if p.destination.config.Route.checksOnConnect() {
				logon.report(http.StatusOK)
			}
			if e.tokenFor == nil && !SendCheckHolds(ctx) {
				t.timeout.cancel(errSendCheckExpired)
				i.Conn.Close() // otherwise net/http would still send
			}
		},
		WroteHeaders: func() {
			t.mayHaveArrived.Store(true)
			t.timeout.restart()
		},
		WroteRequest: func(httptrace.WroteRequestInfo) { t.timeout.restart() },
	}
	t.cookies = p.session.Cookies(e.line)
	if t.cookies.Header != "" {
		h.Set("Cookie", t.cookies.Header)
	}
	if csrf != "" {
		h.Set("X-Csrf-Token", csrf)
	}
	t.request = (&http.Request{Method: e.method, URL: p.destination.urlOf(e.line),
		Host: p.destination.origin.authority(), Header: h, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}).
		WithContext(httptrace.WithClientTrace(t.timeout.ctx, trace))
	// net/http repeats only repeatable requests.
	r := t.request
	newBody := func() (io.ReadCloser, error) {
		return &uploadBody{Reader: bytes.NewReader(e.body), timeout: t.timeout, sent: &t.client.counter.sent}, nil
	}
	switch {
	case len(e.body) > 0:
		r.ContentLength = int64(len(e.body))
		r.Body, _ = newBody()
		// net/http uses this for methods other than GET only if nothing was written.
		if e.repeatable || (e.method != http.MethodGet && e.method != http.MethodHead) {
			r.GetBody = newBody
		}
	case e.repeatable:
		// Without a body net/http repeats it.
	case e.method == http.MethodGet || e.method == http.MethodHead:
		// A body that cannot be read twice prevents net/http from repeating the request.
		r.Body = io.NopCloser(bytes.NewReader(nil))
	default:
		r.Body = http.NoBody
		r.GetBody = func() (io.ReadCloser, error) { return http.NoBody, nil }
	}
	return t
}

// roundTrip sends the request and returns the response once its header has arrived.
func (t *transmission) roundTrip() (*http.Response, error) {
	d := t.permit.destination
	counter := &t.client.counter
	counter.requests.Add(1)
	t.began = time.Now()
	response, err := d.roundTrip(t.request)
	t.timeout.beginAnswer(d.config.ReadTimeout)
	if err != nil {
		counter.countAnswer(0, time.Since(t.began))
		t.logon.report(d.config.Route.statusOfError(err))
		defer t.timeout.cancel(nil)
		err = d.explainFailure(t.parent, t.timeout, t.exchange, t.mayHaveArrived.Load(), err)
		t.log(0, 0, err)
		return nil, err
	}
	counter.countAnswer(response.StatusCode, time.Since(t.began))
	return response, nil
}

// log logs a request at DEBUG, without secrets. Status zero means no answer; size is the length of the body in bytes.
func (t *transmission) log(status int, size int64, err error) {
	log := t.permit.destination.config.Logger
	if !log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	e := t.exchange
	secrets := t.permit.destination.secrets(t.request.Header)
	attributes := []any{"method", e.method, "path", e.otherOrigin + redact(printable(e.line), secrets), "status",
		status, "bytes", size, "ms", time.Since(t.began).Milliseconds()}
	if err != nil {
		attributes = append(attributes, "error", redact(err.Error(), secrets))
	}
	log.Debug("request", attributes...)
}

// drop closes a response that is not returned to the caller.
func (t *transmission) drop(response *http.Response, err error) {
	t.log(response.StatusCode, 0, err)
	response.Body.Close()
	t.timeout.cancel(nil)
}

// accept updates the session and returns the answer without the request's secrets, and the header as received.
func (t *transmission) accept(response *http.Response) (*Answer, http.Header, error) {
	d := t.permit.destination
	e := t.exchange
	status := response.StatusCode
	sent := t.request.Header
	t.permit.session.Update(response.Header, e.line, t.cookies.Generation, status < 400 && !isRedirect(status))
	d.sessions.Observe(t.permit.session, status)
	if err := d.checkClient(response.Header); err != nil {
		t.drop(response, err)
		return nil, nil, e.unusable(status, err)
	}
	a := &Answer{
		Response: wit.Response{Tag: e.tag, Status: uint16(status), Target: e.target(),
			ReceivedAt: time.Now().UnixMilli()},
		reason:     response.Status,
		inSession:  sent["Cookie"] != nil,
		generation: t.cookies.Generation,
		secrets:    d.secrets(sent),
		token:      response.Header.Get("X-Csrf-Token"),
	}
	decoded := t.body(response) // before the headers: it removes Content-Encoding
	addressSecrets := func() []string { return d.secretsOf(sent, shortestCookieInAddress) }
	// Headers for plugins are in lower case and UTF-8, without cookies, tokens and secrets.
	a.Headers = make([]wit.Header, 0, len(response.Header))
	for _, name := range slices.Sorted(maps.Keys(response.Header)) {
		for _, v := range response.Header[name] {
			if (secretHeaders[name] && !strings.EqualFold(v, csrfRequired)) || hasReservedPrefix(name) {
				continue
			}
			value := toUTF8(v)
			switch {
			case slices.Contains(addressHeaders, name):
				value = redact(value, addressSecrets())
			case !slices.Contains(verbatimHeaders, name):
				value = redact(value, a.secrets)
			}
			a.Headers = append(a.Headers, wit.Header{Name: strings.ToLower(toUTF8(name)), Value: value})
		}
	}
	a.Body = mask(decoded, d.hiddenTexts(status, a.secrets))
	return a, response.Header, nil
}

// body returns the body of a response, which ends the request when it was read or closed.
func (t *transmission) body(response *http.Response) *body {
	e := t.exchange
	b := &body{inner: response.Body, timeout: t.timeout, parent: t.parent, request: e.name(),
		received: &t.client.counter.received}
	b.release = sync.OnceFunc(func() {
		readErr := b.err
		if errors.Is(readErr, io.EOF) {
			readErr = nil
		}
		t.log(response.StatusCode, b.read, readErr)
		t.permit.release()
	})
	b.onBroken = func(err error) { t.permit.destination.logOutage(time.Now(), noResponseText, e, "cause", err) }
	if e.method != http.MethodHead {
		b.decode(response.Header)
	}
	return b
}

// headers returns the header of a request without cookies and CSRF token. token is its OAuth 2.0 token, or "".
func (d *destination) headers(ctx context.Context, e *exchange) (h http.Header, token string, err error) {
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
	if d.auth.fixed != "" {
		h.Set("Authorization", d.auth.fixed)
	}
	if d.auth.tokens == nil {
		return h, "", nil
	}
	name, token, err := d.auth.tokens.Authorize(ctx, e.refusedToken) // a token that was refused is renewed
	if err != nil {
		return h, "", err
	}
	if !isToken(name) || !httpguts.ValidHeaderFieldValue(token) {
		return h, "", errorf(wit.ErrorUnauthorized, "token for the service: expected a token without line breaks")
	}
	h.Set(name, token)
	return h, token, nil
}
