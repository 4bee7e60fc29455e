package transport

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/transport/session"
	"github.com/culvert-project/culvert/wit"
)

// refusedToken renews a CSRF token: an accepted one was lost with its session. This does not count as a retry, since
// the service has not processed the request; concurrent requests may lose several sessions in a row.
func (r *retryLoop) refusedToken(_ context.Context, t *attempt) (decision, error) {
	if !t.answer.tokenRefused || r.exchange.tokenFrom == "" {
		return notApplicable, nil
	}
	if !t.token.Accepted.Load() {
		r.freshRefusals++
	}
	if r.freshRefusals > maxFreshRefusals || r.tokenRenewals > max(maxFreshRefusals,
		t.permit.destination.config.Retry.Times()) {
		return final, nil
	}
	r.tokenRenewals++
	t.answer.discard()
	return retry, nil
}

// tryOnce makes an attempt with a CSRF token. If the answer ended the session, that restarts before other requests
// get it.
func (c *Client) tryOnce(ctx context.Context, p *permit, e *exchange, fetching bool) (*Answer, http.Header,
	*session.Token, error) {
	defer p.returnSession()
	used, answered, err := p.session.Token(ctx, e.tokenFrom,
		func() (string, error) { return c.fetchToken(ctx, p, e) })
	if err != nil {
		p.release()
		return nil, nil, nil, err
	}
	a, h, err := c.send(ctx, p, e, used)
	if err == nil {
		if a.tokenRefused = a.refusesToken(h, used); !a.tokenRefused {
			used.Accepted.Store(true)
		}
	}
	answered()
	switch {
	case err != nil:
		p.release()
	case a.tokenRefused:
		if e.tokenFrom != "" {
			p.session.Restart(used.Generation, fetching, h, e.line)
		}
	case a.isSessionEnd():
		a.sessionEnded = true
		p.session.Restart(a.generation, fetching, h, e.line)
	}
	return a, h, used, err
}

// tokenRefusals are SAP's texts in a 403 that refuses a CSRF token, in lower case (SAP Note 3048103).
var tokenRefusals = []string{"csrf token validation failed", "csrf token required", "csrf token expired"}

// refusesToken uses SAP's text if a proxy has removed the header.
func (a *Answer) refusesToken(h http.Header, used *session.Token) bool {
	if a.Status != http.StatusForbidden {
		return false
	}
	if strings.EqualFold(h.Get("X-Csrf-Token"), "Required") {
		return true
	}
	head := ""
	if used.Value != "" {
		head = strings.ToLower(a.peek(1 << 10))
	}
	return slices.ContainsFunc(tokenRefusals, func(text string) bool { return strings.Contains(head, text) })
}

// fetchToken requests a CSRF token by HEAD, GET, and GET with or without a trailing slash, as SAP's SDKs do. SAP
// SuccessFactors responds to HEAD without a token (openui5 issue 3445).
func (c *Client) fetchToken(ctx context.Context, p *permit, tokenFor *exchange) (string, error) {
	from := tokenFor.tokenFrom
	path, query, _ := strings.Cut(from, "?")
	other := path + "/"
	if strings.HasSuffix(path, "/") {
		other = strings.TrimSuffix(path, "/")
	}
	if query != "" {
		other += "?" + query
	}
	for _, try := range []struct{ method, line string }{{http.MethodHead, from}, {http.MethodGet, from},
		{http.MethodGet, other}} {
		if try.line == "" {
			continue
		}
		e := &exchange{method: try.method, line: try.line, sapClient: firstClientInLine(try.line), repeatable: true,
			tokenFor: tokenFor, otherOrigin: tokenFor.otherOrigin,
			header: http.Header{"X-Csrf-Token": {"Fetch"}, "Accept": {"*/*"}}}
		a, err := (&retryLoop{client: c, exchange: e, permit: p}).run(ctx)
		if err != nil {
			return "", err
		}
		value := a.token
		switch {
		case value != "" && !strings.EqualFold(value, csrfRequired) && !strings.EqualFold(value, "Fetch"):
			a.discard()
			c.counter.tokens.Add(1)
			return value, nil
		case a.Status == http.StatusUnauthorized:
			return "", errorf(wit.ErrorUnauthorized, "%s %s for a CSRF token: status 401: %s", try.method, try.line,
				a.excerpt())
		case a.Status >= 500 && try.method == http.MethodGet:
			return "", errorf(wit.ErrorTransient, "%s %s for a CSRF token: status %d: %s", try.method, try.line, a.Status,
				a.excerpt())
		}
		a.discard()
	}
	c.counter.noTokens.Add(1)
	c.target.Load().config.Logger.Debug("the service returns no CSRF token", "from", from)
	return "", nil
}
