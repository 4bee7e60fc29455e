package transport

import (
	"context"
	"net/http"
	"strings"

	"github.com/culvert-project/culvert/wit"
)

// handleRedirect follows a redirect. One to another origin ends the exchange even if the service is only unavailable:
// the secret must not be sent repeatedly without knowing whether it is right.
func (r *retryLoop) handleRedirect(ctx context.Context, t *attempt) (decision, error) {
	status := t.status()
	location := t.header.Get("Location")
	if !isRedirect(status) || location == "" {
		return notApplicable, nil
	}
	t.answer.discard()
	next, err := t.permit.redirectedExchange(r.exchange, status, location, r.permit == nil)
	r.redirects++
	switch {
	case err != nil:
		return final, r.exchange.unusable(status, err)
	case r.redirects > maxRedirects:
		return final, errorf(wit.ErrorData, "%s: redirected more than %d times", r.exchange.name(), maxRedirects)
	}
	r.exchange = next
	return retry, nil
}

func isRedirect(status int) bool {
	return status >= 300 && status < 400 && status != http.StatusNotModified
}

// redirectedExchange returns the exchange for a redirect. One to another origin, probably a logon page, counts as a
// refusal, unless the secret is known to be right, or toOtherOrigin allows a configured further origin.
func (p *permit) redirectedExchange(e *exchange, status int, location string, toOtherOrigin bool) (*exchange, error) {
	d := p.destination
	next := *e
	if other := p.service.forTarget(location); toOtherOrigin && e.otherOrigin == "" && other != d {
		d = other
		next.otherOrigin = other.origin.String()
		next.tokenFrom = ""
	}
	line, err := d.origin.resolve(location, e.line)
	if err != nil || (e.method != http.MethodGet && e.method != http.MethodHead) {
		address, _, _ := strings.Cut(printable(location), "?")
		f := errorf(wit.ErrorUnauthorized,
			"%s: status %d with a redirect to %s, which is not followed (only GET and only to %s). ",
			e.name(), status, address, d.origin)
		if err != nil && p.destination.gateFor(e.sapClient).RedirectedAway() {
			f.Kind = wit.ErrorTransient
			f.Message += "The service accepted this user before: it seems to be unavailable, and another " +
				"server to respond in its place"
			return nil, f
		}
		f.Message += "If that is a logon page, the service does not accept this user by password: use a " +
			"technical or communication user"
		return nil, f
	}
	line = d.withoutSecrets(line)
	if err := d.checkTarget("redirect", line); err != nil {
		return nil, err
	}
	next.sapClient = firstClientInLine(line)
	next.line = line
	return &next, nil
}
