package transport

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/transport/session"
	"github.com/culvert-project/culvert/wit"
)

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
	defer guard.Recover(c.target.Load().config.Logger, "a "+r.Method+" request to the service", nil, func(p *guard.Panic) {
		if a, err = nil, p; !r.Repeatable {
			err = &NoResponseError{Method: r.Method, Target: r.Target, Cause: p}
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
	return (&retryLoop{client: c, e: e, service: d}).run(ctx)
}

// retryLoop is an exchange that is made until its answer is final. What a try came to is shown to one rule after
// another; the first that has to say something decides. Each rule counts for itself how often it has the exchange made
// once more.
type retryLoop struct {
	client *Client
	// e is the exchange as redirects have led it.
	e *exchange
	// permit is the place that another exchange has already, nil: each try gets one of its own.
	permit *permit
	// service is the destination that was asked for just now, nil: it is asked for with the next try.
	service *destination

	retries   int                // after no answer, or one that asks for it
	redirected int                // followed
	tokenRenewals    int                // CSRF tokens that were refused
	freshRefusals      int                // those of them that had never been taken
	secretChanges    int                // changed while the exchange was under way
	proxyRenewed    bool               // the proxy refused what was shown to it
	outageSince     time.Time          // since when the Cloud Connector is away
	endedSessions      []*session.Session // begun again since; the next try may get another one that is as old
}

// attempt is what one try came to: an answer, or an error.
type attempt struct {
	permit   *permit
	answer *Answer
	header http.Header    // of the answer, with what the guest does not see
	token  *session.Token // that was used
	err    error
	sent   time.Time // before that
}

func (t *attempt) status() int { return int(t.answer.Status) }

// decision is what a rule says of a try.
type decision uint8

const (
	notApplicable decision = iota // it is no case of this rule
	retry
	final
)

// rules in the order in which they are asked. Those from answers on are asked about answers alone.
var rules = []func(*retryLoop, context.Context, *attempt) (decision, error){
	(*retryLoop).notSent, (*retryLoop).changedSecret, (*retryLoop).noResponse, (*retryLoop).endOutage,
	(*retryLoop).refusedToken, (*retryLoop).endedSession, (*retryLoop).redirect, (*retryLoop).refusedByProxy,
	(*retryLoop).missingConnector, (*retryLoop).retryStatus,
}

const (
	maxRedirects = 10
	// maxFreshRefusals is how many tokens that were just fetched may be refused.
	maxFreshRefusals = 2
	// maxSecrets is how many secrets one exchange may try that were changed while it was under way.
	maxSecrets = 3
)

// run repeats the exchange until there is a final answer.
func (r *retryLoop) run(ctx context.Context) (*Answer, error) {
	for {
		t, err := r.try(ctx)
		if err != nil {
			return nil, err
		}
		switch d, err := r.decide(ctx, t); {
		case err != nil:
			return nil, err
		case d == final:
			return t.answer, nil
		}
	}
}

func (r *retryLoop) try(ctx context.Context) (*attempt, error) {
	if r.permit == nil {
		if err := CheckSend(ctx); err != nil {
			return nil, err
		}
	}
	p, err := r.client.acquire(ctx, r.permit, r.service, r.e)
	if err != nil {
		return nil, err
	}
	r.service = nil
	t := &attempt{permit: p, sent: time.Now()}
	t.answer, t.header, t.token, t.err = r.client.tryOnce(ctx, p, r.e, r.permit != nil)
	return t, nil
}

func (r *retryLoop) decide(ctx context.Context, t *attempt) (decision, error) {
	for _, rule := range rules {
		if d, err := rule(r, ctx, t); d != notApplicable || err != nil {
			return d, err
		}
	}
	return final, nil
}

// notSent: nothing was sent, and whether something may be is to be asked again; or the session of the CSRF token has
// ended; or there may be another token than the refused one.
func (r *retryLoop) notSent(_ context.Context, t *attempt) (decision, error) {
	if errors.Is(t.err, errSendCheckExpired) || errors.Is(t.err, errOldToken) || errors.Is(t.err, errRefusedToken) {
		return retry, nil
	}
	return notApplicable, nil
}

// changedSecret: the refused secret was changed meanwhile.
func (r *retryLoop) changedSecret(ctx context.Context, t *attempt) (decision, error) {
	if !unauthorized(t.answer, t.err) || r.permit != nil || !r.e.showsCredentials(t.permit.destination) ||
		r.secretChanges >= maxSecrets || !r.client.hasOtherSettings(ctx, t.permit.service) {
		return notApplicable, nil
	}
	r.secretChanges++
	if t.answer != nil {
		t.answer.discard()
	}
	return retry, nil
}

// noResponse decides about a try that had none: it is sent once more, after a pause, where that does no harm.
func (r *retryLoop) noResponse(ctx context.Context, t *attempt) (decision, error) {
	if t.err == nil {
		return notApplicable, nil
	}
	lost, ok := errors.AsType[*sendError](t.err)
	if !ok {
		return final, t.err
	}
	d, e := t.permit.destination, r.e
	if lost.sent && !e.repeatable {
		return final, &NoResponseError{Method: e.method, Target: e.printableTarget(), Cause: lost.cause}
	}
	cause := fmt.Sprintf("%v%s", lost.cause, d.settingsHint(lost.cause))
	d.logOutage(t.sent, noAnswerComes, e, "cause", cause, "retry", r.retries+1)
	if _, outage := errors.AsType[*outageError](lost.cause); outage || r.retries >= d.config.Retry.Times() {
		f := faultf(wit.ErrorTransient, "%s %s at %s: %s", e.method, e.printableLine(), d.origin, cause)
		if r.retries > 0 {
			f.Message += fmt.Sprintf(" (sent %d times)", r.retries+1)
		}
		return final, f
	}
	return r.repeat(ctx, d, 0)
}

// answers: an outage is over when an answer does not speak of one.
func (r *retryLoop) endOutage(_ context.Context, t *attempt) (decision, error) {
	if d := t.permit.destination; t.status() != http.StatusServiceUnavailable &&
		!d.config.Retry.Names(strconv.Itoa(t.status())) {
		d.logRecovery(t.sent)
	}
	return notApplicable, nil
}

// repeat has the exchange made once more after a pause.
func (r *retryLoop) repeat(ctx context.Context, d *destination, atLeast time.Duration) (decision, error) {
	if err := d.config.Retry.Wait(ctx, atLeast); err != nil {
		return final, err
	}
	r.retries++
	r.client.counter.repeated.Add(1)
	return retry, nil
}

// refusedToken: a CSRF token that could be used since it was fetched was lost with its session; one that is refused at
// once will be refused again, unless the server was started again in this moment. That is no try of the request, which
// the service has not looked at, so that with several requests under way a second session may be lost in a row although
// nothing is to be tried again.
func (r *retryLoop) refusedToken(_ context.Context, t *attempt) (decision, error) {
	if !t.answer.tokenRefused || r.e.tokenFrom == "" {
		return notApplicable, nil
	}
	if !t.token.Accepted.Load() {
		r.freshRefusals++
	}
	if r.freshRefusals > maxFreshRefusals || r.tokenRenewals > max(maxFreshRefusals, t.permit.destination.config.Retry.Times()) {
		return final, nil
	}
	r.tokenRenewals++
	t.answer.discard()
	return retry, nil
}

// endedSession: the service had ended the session before it did anything.
func (r *retryLoop) endedSession(_ context.Context, t *attempt) (decision, error) {
	if !t.answer.sessionEnded || slices.Contains(r.endedSessions, t.permit.session) {
		return notApplicable, nil
	}
	r.endedSessions = append(r.endedSessions, t.permit.session)
	t.answer.discard()
	return retry, nil
}

// redirect follows a redirect. One that leads elsewhere ends the exchange, also where it stands for a service that is
// away: the secret went along, and is not sent in a row to whoever answers so.
func (r *retryLoop) redirect(ctx context.Context, t *attempt) (decision, error) {
	status, location := t.status(), t.header.Get("Location")
	if !redirects(status) || location == "" {
		return notApplicable, nil
	}
	t.answer.discard()
	next, err := t.permit.redirect(r.e, status, location, r.permit == nil)
	switch r.redirected++; {
	case err != nil:
		return final, r.e.unusable(status, err)
	case r.redirected > maxRedirects:
		return final, faultf(wit.ErrorData, "%s: redirected more than %d times", r.e.name(), maxRedirects)
	}
	r.e = next
	return retry, nil
}

// redirects says whether a status may name another address.
func redirects(status int) bool {
	return status >= 300 && status < 400 && status != http.StatusNotModified
}

// refusedByProxy: a proxy that takes tokens is shown a fresh one once.
func (r *retryLoop) refusedByProxy(_ context.Context, t *attempt) (decision, error) {
	d := t.permit.destination
	switch {
	case t.status() != http.StatusProxyAuthRequired:
		return notApplicable, nil
	case r.proxyRenewed || d.config.Route.Outage <= 0:
		return final, faultf(wit.ErrorConfig, "%s: the proxy refused what was shown to it (407)%s: %s", d.origin,
			d.config.Route.credentialsHint(), t.answer.excerpt())
	}
	r.proxyRenewed = true
	t.answer.discard()
	return retry, nil
}

// missingConnector waits for a Cloud Connector, or for the service behind it.
func (r *retryLoop) missingConnector(ctx context.Context, t *attempt) (decision, error) {
	d := t.permit.destination
	if t.status() != http.StatusServiceUnavailable || !r.e.repeatable && !t.answer.isConnectorMissing() ||
		!d.waitsForConnector(&r.outageSince) {
		return notApplicable, nil
	}
	d.logOutage(t.sent, noConnector, r.e,
		"for", time.Since(r.outageSince).Round(time.Second), "at most", d.config.Route.Outage, "answer", t.answer.excerpt())
	if err := d.config.Retry.Wait(ctx, retryAfter(t.header, time.Now())); err != nil {
		return final, err
	}
	r.client.counter.repeated.Add(1)
	return retry, nil
}

// retryStatus: the answer asks for the request to be sent once more.
func (r *retryLoop) retryStatus(ctx context.Context, t *attempt) (decision, error) {
	d := t.permit.destination
	if !r.e.isRetriable(d.config.Retry, t.status()) || r.retries >= d.config.Retry.Times() || !r.outageSince.IsZero() {
		return notApplicable, nil
	}
	d.logOutage(t.sent, notAvailable, r.e, "status", t.status(), "retry", r.retries+1, "answer", t.answer.excerpt())
	atLeast := retryAfter(t.header, time.Now())
	if atLeast > 0 {
		defer d.limits.RecordRetryAfter()()
	}
	return r.repeat(ctx, d, atLeast)
}

// tryOnce makes an exchange once, with a token. Of its place nothing is left but that the answer is open. A session
// that ended by the answer begins again before others get it: the cookies of an answer to them would be those of a
// session that is gone already.
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

// tokenRefusals are SAP's texts in the body of a 403 that refuses a CSRF token, in small letters (SAP Note 3048103;
// blogs.sap.com, "How does CSRF token work? SAP Gateway").
var tokenRefusals = []string{"csrf token validation failed", "csrf token required", "csrf token expired"}

// refusesToken says whether an answer refuses a request for its CSRF token: by the header, or by SAP's text where a
// proxy has taken that out.
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

// unauthorized says whether the service has refused the secret, now or before.
func unauthorized(a *Answer, err error) bool {
	if err == nil {
		return a.Status == http.StatusUnauthorized
	}
	_, lost := errors.AsType[*NoResponseError](err) // it wraps faults
	f, ok := errors.AsType[*wit.Error](err)
	return !lost && ok && f.Kind == wit.ErrorUnauthorized
}

// otherSecret says whether there are other settings by now than those that were refused. The secret among them may be
// that of the route; one of the service that is the same is not sent again.
func (c *Client) hasOtherSettings(ctx context.Context, refused *destination) bool {
	d, err := c.current(ctx, true)
	return err == nil && d != refused
}

// waitsForConnector says whether the Cloud Connector is to be waited for. assumption: a 503 of the service itself looks the same as
// that of the Connectivity proxy, and is waited for as well, where the request is repeatable.
func (d *destination) waitsForConnector(since *time.Time) bool {
	if !d.config.Route.Whole || d.config.Route.Outage <= 0 {
		return false
	}
	if since.IsZero() {
		*since = time.Now()
	}
	return time.Since(*since) < d.config.Route.Outage
}

// redirect is the exchange that a redirect leads to. One that leads elsewhere is the refusal of a logon, by a logon
// page, unless the secret is known to be right: then it stands for a service that is away, as gateways answer while it
// is maintained. Of the service's own requests it may be another origin that the
// user names, unless the place is one that another request has: bound to one origin. Nobody else leads to the service,
// where credentials are shown.
func (p *permit) redirect(e *exchange, status int, location string, free bool) (*exchange, error) {
	d := p.destination
	next := *e
	if other := p.service.forTarget(location); free && e.otherOrigin == "" && other != d {
		d, next.otherOrigin, next.tokenFrom = other, other.origin.String(), ""
	}
	line, err := d.origin.resolve(location, e.line)
	if err != nil || e.method != http.MethodGet && e.method != http.MethodHead {
		f := faultf(wit.ErrorUnauthorized,
			"%s: answered %d with a redirect to %s, which is not followed (only GET and only to %s). ",
			e.name(), status, withoutQuery(printable(location)), d.origin)
		if err != nil && p.destination.logonOf(e.client).RedirectedAway() {
			f.Kind = wit.ErrorTransient
			f.Message += "The service took this user when it answered last: it seems to be away, and another " +
				"server to stand in its place"
			return nil, f
		}
		f.Message += "If that is a logon page, the service does not take this user by password: use a " +
			"technical or communication user"
		return nil, f
	}
	line = d.withoutSecrets(line)
	if err := d.checkTarget("redirect", line); err != nil {
		return nil, err
	}
	next.line, next.client = line, clientOf(line)
	return &next, nil
}

// isRetriable says whether an answer of this status asks for the request to be sent once more. Of requests that are not
// repeatable only those are sent again that the service says it has not taken up; whether a GET that begins something
// is one of them its caller finds out.
func (e *exchange) isRetriable(retry Retry, status int) bool {
	if !e.repeatable {
		if e.method == http.MethodGet || e.method == http.MethodHead {
			return false
		}
		return status == http.StatusTooManyRequests
	}
	return retry.Names(strconv.Itoa(status))
}

// fetchToken tries what the SDKs of SAP try: HEAD, GET, and GET with or without a slash at the end. SAP SuccessFactors
// answers HEAD without a token (openui5 issue 3445).
func (c *Client) fetchToken(ctx context.Context, p *permit, serves *exchange) (string, error) {
	from := serves.tokenFrom
	path, query, _ := strings.Cut(from, "?")
	other := path + "/"
	if strings.HasSuffix(path, "/") {
		other = strings.TrimSuffix(path, "/")
	}
	if query != "" {
		other += "?" + query
	}
	for _, try := range [][2]string{{http.MethodHead, from}, {http.MethodGet, from}, {http.MethodGet, other}} {
		if try[1] == "" {
			continue
		}
		e := &exchange{method: try[0], line: try[1], client: clientOf(try[1]), repeatable: true,
			tokenFor: serves, otherOrigin: serves.otherOrigin,
			header: http.Header{"X-Csrf-Token": {"Fetch"}, "Accept": {"*/*"}}}
		a, err := (&retryLoop{client: c, e: e, permit: p}).run(ctx)
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
			return "", faultf(wit.ErrorUnauthorized, "%s %s for a CSRF token: answered 401: %s", try[0], try[1],
				a.excerpt())
		case a.Status >= 500 && try[0] == http.MethodGet:
			return "", faultf(wit.ErrorTransient, "%s %s for a CSRF token: answered %d: %s", try[0], try[1], a.Status,
				a.excerpt())
		}
		a.discard()
	}
	c.counter.noTokens.Add(1)
	c.target.Load().config.Logger.Debug("service hands out no CSRF token", "from", from)
	return "", nil
}
