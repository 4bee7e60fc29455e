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

	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/transport/session"
	"github.com/culvert-project/culvert/wit"
)

// Do sends a request and returns the final answer of any status, after CSRF tokens, redirects and retries. Errors:
// *NoResponseError if a request that is not repeatable may have been processed; the context's cause; else
// *wit.Error: transient after the last retry; unauthorized if the secret was refused before or the redirect leads
// to another origin; config for certificates; data for invalid requests. Requests that are not repeatable are sent
// again only if the service cannot have processed them: nothing was written to a connection, there was no Cloud
// Connector (isConnectorMissing), the CSRF token was refused (SAP Gateway checks it before the request), the secret
// was refused (401: "has not been applied", RFC 9110, 15.5.2), the session had ended (isSessionEnd), or a request
// other than GET got 429 (see [wit.Refuses]). Retry.Codes does not apply to them: the caller reads their answers.
func (c *Client) Do(ctx context.Context, r *wit.Request) (a *Answer, err error) {
	// A mistake of ours is the request's: what must not be sent twice may be on its way.
	defer guard.Recover(c.target.Load().config.Logger, "a "+r.Method+" request to the service", nil,
		func(p *guard.Panic) {
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
	return (&retryLoop{client: c, exchange: e, service: d}).run(ctx)
}

// retryLoop repeats an exchange until its answer is final. After each attempt the rules are applied in order; the
// first applicable one decides. Each rule counts its own repetitions.
type retryLoop struct {
	client *Client
	// exchange is the exchange after redirects.
	exchange *exchange
	// permit is shared with another exchange; nil means one per attempt.
	permit *permit
	// service is the destination for the next attempt; nil means the current one.
	service *destination

	retries       int                // after no answer, or one that asks for it
	redirected    int                // followed
	tokenRenewals int                // CSRF tokens that were refused
	freshRefusals int                // those of them that had never been taken
	secretChanges int                // changed while the exchange was under way
	proxyRenewed  bool               // the proxy refused what was shown to it
	outageSince   time.Time          // since when the Cloud Connector is away
	endedSessions []*session.Session // begun again since; the next try may get another one that is as old
}

// attempt is the result of one attempt: an answer or an error.
type attempt struct {
	permit *permit
	answer *Answer
	header http.Header    // of the answer, with what the guest does not see
	token  *session.Token // that was used
	err    error
	sent   time.Time // before that
}

func (t *attempt) status() int { return int(t.answer.Status) }

type decision uint8

const (
	notApplicable decision = iota // it is no case of this rule
	retry
	final
)

// rules are applied in this order. From endOutage on they expect an answer.
var rules = []func(*retryLoop, context.Context, *attempt) (decision, error){
	(*retryLoop).notSent, (*retryLoop).changedSecret, (*retryLoop).noResponse, (*retryLoop).endOutage,
	(*retryLoop).refusedToken, (*retryLoop).endedSession, (*retryLoop).redirect, (*retryLoop).refusedByProxy,
	(*retryLoop).missingConnector, (*retryLoop).retryStatus,
}

const (
	maxRedirects = 10
	// maxFreshRefusals bounds refusals of tokens that were just fetched.
	maxFreshRefusals = 2
	// maxSecrets bounds the secrets that one exchange tries because settings change.
	maxSecrets = 3
)

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
	p, err := r.client.acquire(ctx, r.permit, r.service, r.exchange)
	if err != nil {
		return nil, err
	}
	r.service = nil
	t := &attempt{permit: p, sent: time.Now()}
	t.answer, t.header, t.token, t.err = r.client.tryOnce(ctx, p, r.exchange, r.permit != nil)
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

// notSent handles attempts that sent nothing: the send check expired, the session of the CSRF token ended, or the
// token was refused and another one may exist.
func (r *retryLoop) notSent(_ context.Context, t *attempt) (decision, error) {
	if errors.Is(t.err, errSendCheckExpired) || errors.Is(t.err, errOldToken) || errors.Is(t.err, errRefusedToken) {
		return retry, nil
	}
	return notApplicable, nil
}

func (r *retryLoop) changedSecret(ctx context.Context, t *attempt) (decision, error) {
	if !wasRefused(t.answer, t.err) || r.permit != nil || !r.exchange.showsCredentials(t.permit.destination) ||
		r.secretChanges >= maxSecrets || !r.client.hasOtherSettings(ctx, t.permit.service) {
		return notApplicable, nil
	}
	r.secretChanges++
	if t.answer != nil {
		t.answer.discard()
	}
	return retry, nil
}

// noResponse retries an attempt without an answer if that is safe.
func (r *retryLoop) noResponse(ctx context.Context, t *attempt) (decision, error) {
	if t.err == nil {
		return notApplicable, nil
	}
	lost, ok := errors.AsType[*sendError](t.err)
	if !ok {
		return final, t.err
	}
	d, e := t.permit.destination, r.exchange
	if lost.sent && !e.repeatable {
		return final, &NoResponseError{Method: e.method, Target: e.printableTarget(), Cause: lost.cause}
	}
	cause := fmt.Sprintf("%v%s", lost.cause, d.settingsHint(lost.cause))
	d.logOutage(t.sent, noResponseText, e, "cause", cause, "retry", r.retries+1)
	if _, outage := errors.AsType[*outageError](lost.cause); outage || r.retries >= d.config.Retry.Times() {
		f := errorf(wit.ErrorTransient, "%s %s at %s: %s", e.method, e.printableLine(), d.origin, cause)
		if r.retries > 0 {
			f.Message += fmt.Sprintf(" (sent %d times)", r.retries+1)
		}
		return final, f
	}
	return r.repeat(ctx, d, 0)
}

func (r *retryLoop) endOutage(_ context.Context, t *attempt) (decision, error) {
	if d := t.permit.destination; t.status() != http.StatusServiceUnavailable &&
		!d.config.Retry.Names(strconv.Itoa(t.status())) {
		d.logRecovery(t.sent)
	}
	return notApplicable, nil
}

func (r *retryLoop) repeat(ctx context.Context, d *destination, atLeast time.Duration) (decision, error) {
	if err := d.config.Retry.Wait(ctx, atLeast); err != nil {
		return final, err
	}
	r.retries++
	r.client.counter.repeated.Add(1)
	return retry, nil
}

// refusedToken renews a CSRF token. One that was accepted before was lost with its session; a fresh one is refused
// again unless the server was restarted. That does not count as a retry, since the service has not processed the
// request: with concurrent requests a second session may be lost in a row.
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

func (r *retryLoop) endedSession(_ context.Context, t *attempt) (decision, error) {
	if !t.answer.sessionEnded || slices.Contains(r.endedSessions, t.permit.session) {
		return notApplicable, nil
	}
	r.endedSessions = append(r.endedSessions, t.permit.session)
	t.answer.discard()
	return retry, nil
}

// redirect follows a redirect. One to another origin ends the exchange, even if the service is only down: the
// secret was sent, and must not be sent repeatedly to an unknown server.
func (r *retryLoop) redirect(ctx context.Context, t *attempt) (decision, error) {
	status, location := t.status(), t.header.Get("Location")
	if !isRedirect(status) || location == "" {
		return notApplicable, nil
	}
	t.answer.discard()
	next, err := t.permit.redirect(r.exchange, status, location, r.permit == nil)
	switch r.redirected++; {
	case err != nil:
		return final, r.exchange.unusable(status, err)
	case r.redirected > maxRedirects:
		return final, errorf(wit.ErrorData, "%s: redirected more than %d times", r.exchange.name(), maxRedirects)
	}
	r.exchange = next
	return retry, nil
}

func isRedirect(status int) bool {
	return status >= 300 && status < 400 && status != http.StatusNotModified
}

// refusedByProxy sends a fresh token once to a proxy that accepts tokens.
func (r *retryLoop) refusedByProxy(_ context.Context, t *attempt) (decision, error) {
	d := t.permit.destination
	switch {
	case t.status() != http.StatusProxyAuthRequired:
		return notApplicable, nil
	case r.proxyRenewed || d.config.Route.Outage <= 0:
		return final, errorf(wit.ErrorConfig, "%s: the proxy refused what was shown to it (407)%s: %s", d.origin,
			d.config.Route.credentialsHint(), t.answer.excerpt())
	}
	r.proxyRenewed = true
	t.answer.discard()
	return retry, nil
}

// missingConnector waits for a Cloud Connector, or for the service behind it.
func (r *retryLoop) missingConnector(ctx context.Context, t *attempt) (decision, error) {
	d := t.permit.destination
	if t.status() != http.StatusServiceUnavailable || !r.exchange.repeatable && !t.answer.isConnectorMissing() ||
		!d.waitsForConnector(&r.outageSince) {
		return notApplicable, nil
	}
	d.logOutage(t.sent, noConnectorText, r.exchange,
		"for", time.Since(r.outageSince).Round(time.Second), "at most", d.config.Route.Outage, "answer",
		t.answer.excerpt())
	if err := d.config.Retry.Wait(ctx, retryAfter(t.header, time.Now())); err != nil {
		return final, err
	}
	r.client.counter.repeated.Add(1)
	return retry, nil
}

func (r *retryLoop) retryStatus(ctx context.Context, t *attempt) (decision, error) {
	d := t.permit.destination
	if !r.exchange.isRetriable(d.config.Retry, t.status()) || r.retries >= d.config.Retry.Times() || !r.outageSince.IsZero() {
		return notApplicable, nil
	}
	d.logOutage(t.sent, unavailableText, r.exchange, "status", t.status(), "retry", r.retries+1, "answer", t.answer.excerpt())
	atLeast := retryAfter(t.header, time.Now())
	if atLeast > 0 {
		defer d.limits.RecordRetryAfter()()
	}
	return r.repeat(ctx, d, atLeast)
}

// tryOnce makes an attempt with a CSRF token and releases its permit but for the open answer. A session that the
// answer ended restarts before other requests get it.
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

// tokenRefusals are SAP's texts in a 403 that refuses a CSRF token, in lower case (SAP Note 3048103; blogs.sap.com,
// "How does CSRF token work? SAP Gateway").
var tokenRefusals = []string{"csrf token validation failed", "csrf token required", "csrf token expired"}

// refusesToken reports whether an answer refuses the CSRF token: by the header, or by SAP's text if a proxy has
// removed the header.
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

// wasRefused reports whether the service refused the secret, now or before.
func wasRefused(a *Answer, err error) bool {
	if err == nil {
		return a.Status == http.StatusUnauthorized
	}
	_, lost := errors.AsType[*NoResponseError](err) // it wraps faults
	f, ok := errors.AsType[*wit.Error](err)
	return !lost && ok && f.Kind == wit.ErrorUnauthorized
}

// hasOtherSettings reports whether the settings have changed since the refusal. The changed secret may be the
// route's; an unchanged one of the service is not sent again.
func (c *Client) hasOtherSettings(ctx context.Context, refused *destination) bool {
	d, err := c.current(ctx, true)
	return err == nil && d != refused
}

// waitsForConnector reports whether to wait for the Cloud Connector. Assumption: a 503 of the service looks like
// that of the Connectivity proxy; a repeatable request waits for both.
func (d *destination) waitsForConnector(since *time.Time) bool {
	if !d.config.Route.AbsoluteForm || d.config.Route.Outage <= 0 {
		return false
	}
	if since.IsZero() {
		*since = time.Now()
	}
	return time.Since(*since) < d.config.Route.Outage
}

// redirect returns the exchange for a redirect. A redirect to another origin counts as a refused logon, by a logon
// page, unless the secret is known to be right: then a gateway stands in for a service under maintenance. The
// service's own requests may be redirected to a configured further origin, unless the permit is shared. Further
// origins cannot redirect to the service, which receives credentials.
func (p *permit) redirect(e *exchange, status int, location string, free bool) (*exchange, error) {
	d := p.destination
	next := *e
	if other := p.service.forTarget(location); free && e.otherOrigin == "" && other != d {
		d, next.otherOrigin, next.tokenFrom = other, other.origin.String(), ""
	}
	line, err := d.origin.resolve(location, e.line)
	if err != nil || e.method != http.MethodGet && e.method != http.MethodHead {
		f := errorf(wit.ErrorUnauthorized,
			"%s: answered %d with a redirect to %s, which is not followed (only GET and only to %s). ",
			e.name(), status, withoutQuery(printable(location)), d.origin)
		if err != nil && p.destination.gateFor(e.sapClient).RedirectedAway() {
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
	next.line, next.sapClient = line, firstClientInLine(line)
	return &next, nil
}

// isRetriable reports whether a status requests another attempt. For requests that are not repeatable only 429
// does; GET is excluded, since it may start an operation.
func (e *exchange) isRetriable(retry Retry, status int) bool {
	if !e.repeatable {
		if e.method == http.MethodGet || e.method == http.MethodHead {
			return false
		}
		return status == http.StatusTooManyRequests
	}
	return retry.Names(strconv.Itoa(status))
}

// fetchToken tries HEAD, GET, and GET with or without a trailing slash, as SAP's SDKs do. SAP SuccessFactors
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
		e := &exchange{method: try[0], line: try[1], sapClient: firstClientInLine(try[1]), repeatable: true,
			tokenFor: serves, otherOrigin: serves.otherOrigin,
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
			return "", errorf(wit.ErrorUnauthorized, "%s %s for a CSRF token: answered 401: %s", try[0], try[1],
				a.excerpt())
		case a.Status >= 500 && try[0] == http.MethodGet:
			return "", errorf(wit.ErrorTransient, "%s %s for a CSRF token: answered %d: %s", try[0], try[1], a.Status,
				a.excerpt())
		}
		a.discard()
	}
	c.counter.noTokens.Add(1)
	c.target.Load().config.Logger.Debug("service hands out no CSRF token", "from", from)
	return "", nil
}
