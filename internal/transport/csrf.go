package transport

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/transport/lockouts"
	"github.com/culvert-project/culvert/internal/transport/session"
	"github.com/culvert-project/culvert/wit"
)

// handleRefusedToken sends the request again with a new CSRF token. Only refusals of tokens that were never accepted
// count for the error, since sessions may be lost in a row. A service that refuses fresh tokens may end a user's other
// sessions, so the last attempts share one session.
func (r *retryLoop) handleRefusedToken(_ context.Context, t *attempt) (decision, error) {
	if !t.answer.tokenRefused || r.exchange.tokenFrom == "" {
		return notApplicable, nil // without tokenFrom the plugin wants no token
	}
	if isFresh := !t.token.Accepted.Load(); isFresh && !t.permit.mayBeEndedByOthers() {
		r.freshRefusals++
	}
	if r.freshRefusals > maxFreshRefusals {
		return final, errorf(wit.ErrorForbidden, "%s: the service refuses CSRF tokens that it has just issued, even "+
			"in a single session: status %d: %s; %s", r.exchange.name(), t.answer.Status, t.answer.excerpt(),
			t.permit.destination.config.names.connectionsAdvice())
	}
	if r.tokenRenewals > max(maxFreshRefusals, t.permit.destination.config.Retry.Times()) {
		return final, nil // other requests may have ended each session: the answer is the service's
	}
	if r.freshRefusals == maxFreshRefusals && t.permit.useSingleSession() {
		r.tokenRenewals = 0
	}
	r.tokenRenewals++
	t.answer.discard()
	return retry, nil
}

// tryOnce makes an attempt with a CSRF token. If the answer ended the session, that restarts before other requests
// get it. If the answer is 401 because the session had ended before, the request is sent again in a new session, with
// the slot that it has (RATIONALE.md P10); requests for a CSRF token leave that to the request that needs it.
func (c *Client) tryOnce(ctx context.Context, t *attempt, e *exchange) {
	p := t.permit
	defer p.returnSession()
	c.tryInSession(ctx, t, e)
	if expired, ok := errors.AsType[*sessionExpiredError](t.err); ok && e.tokenFor == nil {
		c.retryInNewSession(ctx, t, e, expired)
	}
	switch a := t.answer; {
	case t.err != nil:
		p.release()
	case a.tokenRefused:
		if e.tokenFrom != "" { // else the request had no token
			p.session.Restart(t.token.Generation, t.header, e.line)
		}
	case a.isSessionEnd():
		a.sessionEnded = true
		p.session.Restart(a.generation, t.header, e.line)
	}
}

// sessionExpiredError is the error of a request that was answered 401 in a session that had ended.
type sessionExpiredError struct {
	recheck *lockouts.Recheck
	session *session.Session // replaces the session that ended, and is acquired
}

func (s *sessionExpiredError) Error() string { return "the session has expired" }

func (c *Client) tryInSession(ctx context.Context, t *attempt, e *exchange) {
	var release func()
	t.token, release, t.err = t.permit.session.Token(ctx, e.tokenFrom,
		func() (*session.Token, error) { return c.fetchToken(ctx, t.permit, e) })
	if t.err == nil {
		defer release()
		c.sendWithToken(ctx, t, e)
	}
}

// retryInNewSession sends a request without cookies, and its CSRF token's request before. The token is not taken from
// the session: another request may hold its lock and wait for this logon.
func (c *Client) retryInNewSession(ctx context.Context, t *attempt, e *exchange, expired *sessionExpiredError) {
	p := t.permit
	p.session = expired.session
	endWait := p.destination.limits.RecordLogonWait()
	done, err := expired.recheck.Acquire(ctx)
	endWait()
	t.err = err
	if err != nil {
		return
	}
	defer done(lockouts.Unsent) // no effect once send has reported a status
	p.logon = done
	defer func() { p.logon = nil }()
	t.token = &session.Token{}
	if e.tokenFrom != "" {
		t.token, t.err = c.fetchToken(ctx, p, e)
	}
	if t.err == nil {
		c.sendWithToken(ctx, t, e)
	}
}

func (c *Client) sendWithToken(ctx context.Context, t *attempt, e *exchange) {
	if t.answer, t.header, t.err = c.send(ctx, t.permit, e, t.token); t.err != nil {
		return
	}
	t.answer.tokenRefused = t.answer.refusesToken(t.header, t.token)
	if !t.answer.tokenRefused {
		t.token.Accepted.Store(true)
	}
}

// tokenRefusals are SAP's texts in a 403 that refuses a CSRF token, in lower case (SAP Note 3048103).
var tokenRefusals = []string{"csrf token validation failed", "csrf token required", "csrf token expired"}

// refusesToken reports whether an answer refuses the CSRF token that was sent: by its header, or without it by SAP's
// text.
func (a *Answer) refusesToken(h http.Header, sent *session.Token) bool {
	if a.Status != http.StatusForbidden {
		return false
	}
	if strings.EqualFold(h.Get("X-Csrf-Token"), csrfRequired) {
		return true
	}
	head := ""
	if sent.Value != "" {
		head = strings.ToLower(a.peek(1 << 10))
	}
	return slices.ContainsFunc(tokenRefusals, func(text string) bool { return strings.Contains(head, text) })
}

// fetchToken requests a CSRF token by HEAD, GET, and GET with or without a trailing slash, as SAP's SDKs do.
func (c *Client) fetchToken(ctx context.Context, p *permit, tokenFor *exchange) (*session.Token, error) {
	from := tokenFor.tokenFrom
	path, query, _ := strings.Cut(from, "?")
	otherForm := path + "/"
	if strings.HasSuffix(path, "/") {
		otherForm = strings.TrimSuffix(path, "/")
	}
	if query != "" {
		otherForm += "?" + query
	}
	generation := 0
	for _, try := range []struct{ method, line string }{
		{http.MethodHead, from},
		{http.MethodGet, from},
		{http.MethodGet, otherForm},
	} {
		if try.line == "" { // the other form of "/"
			continue
		}
		e := &exchange{method: try.method, line: try.line, sapClient: firstClientInLine(try.line), repeatable: true,
			tokenFor: tokenFor, otherOrigin: tokenFor.otherOrigin,
			header: http.Header{"X-Csrf-Token": {"Fetch"}, "Accept": {"*/*"}}}
		a, err := (&retryLoop{client: c, exchange: e, permit: p}).run(ctx)
		if err != nil {
			return nil, err
		}
		value := a.token
		generation = a.generation
		// Neither a refusal nor the request's own value is a token.
		switch {
		case value != "" && !strings.EqualFold(value, csrfRequired) && !strings.EqualFold(value, "Fetch"):
			a.discard()
			c.counter.tokens.Add(1)
			return &session.Token{Value: value, Generation: generation}, nil
		case a.Status == http.StatusUnauthorized:
			return nil, errorf(wit.ErrorUnauthorized, "%s %s for a CSRF token: status 401: %s", try.method, try.line,
				a.excerpt())
		case a.Status >= 500 && try.method == http.MethodGet: // after HEAD, GET is tried
			return nil, errorf(wit.ErrorTransient, "%s %s for a CSRF token: status %d: %s", try.method, try.line,
				a.Status, a.excerpt())
		}
		a.discard()
	}
	c.counter.noTokens.Add(1)
	c.target.Load().config.Logger.Debug("the service returns no CSRF token", "from", from)
	return &session.Token{Generation: generation}, nil
}
