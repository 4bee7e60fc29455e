package transport

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/wit"
)

// handleRedirect follows a redirect. One that is not followed is an outage if the service has answered before: it is
// repeated like other outages, unless the service may have processed the request. Otherwise it ends the exchange,
// because the secret may be wrong and must not be sent repeatedly.
func (r *retryLoop) handleRedirect(ctx context.Context, t *attempt) (decision, error) {
	status := t.status()
	location := t.header.Get("Location")
	if !isRedirect(status) || (location == "" && !slices.Contains(redirectsWithLocation, status)) {
		return notApplicable, nil
	}
	t.answer.discard()
	sharesPermit := r.permit != nil // then it is for the permit's origin only
	next, err := t.permit.redirectedExchange(r.exchange, location, !sharesPermit)
	notFollowed, isNotFollowed := errors.AsType[*notFollowedError](err)
	switch {
	case err == nil && r.redirects < maxRedirects:
		r.redirects++
		r.exchange = next
		return retry, nil
	case err == nil:
		return final, errorf(wit.ErrorData, "%s: redirected more than %d times", r.exchange.name(), maxRedirects)
	case !isNotFollowed:
		return final, r.exchange.unusable(status, err)
	}
	d := t.permit.destination
	message := fmt.Sprintf("%s: status %d with a redirect to %s, which is not followed (only GET and only to %s). ",
		r.exchange.name(), status, notFollowed.address, d.origin)
	hasSuccess := r.client.counter.answers[2].Load() > 0 // a status of 2xx
	hasAnswered := d.gateFor(r.exchange.sapClient).RedirectedAway(hasSuccess)
	if !hasAnswered {
		return final, r.exchange.unusable(status, errorf(wit.ErrorUnauthorized, "%sIf that is a logon page, the "+
			"service does not accept this user by password: use a technical or communication user", message))
	}
	failure := r.exchange.unusable(status, errorf(wit.ErrorTransient, "%sThe service has answered before: it seems to "+
		"be unavailable, and another server to respond in its place", message))
	if !r.exchange.isUnprocessed(status) || r.retries >= d.config.Retry.Times() {
		return final, failure
	}
	d.logOutage(t.sent, unavailableText, r.exchange, "status", status, "location", notFollowed.address, "retry",
		r.retries+1)
	r.exchange = r.start
	r.redirects = 0
	return r.repeat(ctx, d, pause.RetryAfter(t.header.Get("Retry-After"), time.Now()))
}

func isRedirect(status int) bool {
	return status >= 300 && status < 400 && status != http.StatusNotModified
}

// redirectsWithLocation are statuses that should come with the header Location (RFC 9110, 15.4).
var redirectsWithLocation = []int{http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
	http.StatusTemporaryRedirect, http.StatusPermanentRedirect}

// notFollowedError is the error for a redirect that may be to a logon page or another server.
type notFollowedError struct{ address string } // without a query

func (n *notFollowedError) Error() string { return "a redirect to " + n.address + " is not followed" }

// redirectedExchange returns the exchange for a redirect. toOtherOrigin allows a configured further origin.
func (p *permit) redirectedExchange(e *exchange, location string, toOtherOrigin bool) (*exchange, error) {
	d := p.destination
	next := *e
	if other := p.service.forTarget(location); toOtherOrigin && e.otherOrigin == "" && other != d {
		d = other
		next.otherOrigin = other.origin.String()
		next.tokenFrom = ""
	}
	line, err := d.origin.resolve(location, e.line)
	if err != nil || location == "" || (e.method != http.MethodGet && e.method != http.MethodHead) {
		address, _, _ := strings.Cut(printable(location), "?")
		return nil, &notFollowedError{cmp.Or(address, "an unknown address")}
	}
	line = d.withoutSecrets(line)
	if err := d.checkTarget("redirect", line); err != nil {
		return nil, err
	}
	next.sapClient = firstClientInLine(line)
	next.line = line
	return &next, nil
}
