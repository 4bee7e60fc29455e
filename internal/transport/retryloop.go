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

	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/transport/session"
	"github.com/culvert-project/culvert/wit"
)

// Do sends a request and returns the final answer of any status, after CSRF tokens, redirects and retries. Errors are
// *NoResponseError, the context's cause, or *wit.Error: transient after the last retry; unauthorized if the secret was
// refused or a redirect leads to another origin; config for certificates; data for invalid requests.
//
// A request that is not repeatable is repeated only if the service cannot have processed it: nothing was written to a
// connection, there was no Cloud Connector, SAP Gateway refused the CSRF token, the secret was refused (401), the
// session had ended, another server redirected the request during an outage, or a request other than GET got 429 (see
// [wit.IsRejection]). Retry.Codes does not apply to it.
func (c *Client) Do(ctx context.Context, r *wit.Request) (a *Answer, err error) {
	// After a panic the request may have been sent.
	defer guard.Recover(c.target.Load().config.Logger, "a "+r.Method+" request to the service", nil,
		func(p *guard.PanicError) {
			a = nil
			err = p
			if !r.Repeatable {
				err = &NoResponseError{Method: r.Method, Target: r.Target, Cause: p}
			}
		})
	d, err := c.current(ctx)
	if err != nil {
		return nil, err
	}
	e, err := d.exchangeOf(r)
	if err != nil {
		return nil, err
	}
	return (&retryLoop{client: c, exchange: e, service: d}).run(ctx)
}

// retryLoop repeats an exchange until its answer is final: the first rule that applies decides after each attempt.
type retryLoop struct {
	client   *Client
	exchange *exchange
	start    *exchange // without the redirects that were followed
	// permit is shared with another exchange, or nil.
	permit *permit
	// service is the destination for the next attempt. Nil means the current one.
	service *destination

	retries             int                // after no answer, or a retriable one
	redirects           int                // followed redirects since start was sent
	tokenRenewals       int                // refused CSRF tokens
	freshRefusals       int                // refused CSRF tokens that were never accepted
	secretChanges       int                // secrets changed during the exchange
	isProxyTokenRenewed bool               // a new token was sent to the proxy
	outageSince         time.Time          // since when there is no Cloud Connector
	endedSessions       []*session.Session // each is restarted once
}

// attempt is an exchange that was sent once, with its result: answer or err.
type attempt struct {
	permit *permit
	answer *Answer
	header http.Header    // the answer's, before redaction
	token  *session.Token // the CSRF token of the request
	err    error
	sent   time.Time
}

// keepAffinity binds an accepted request's session to its read, or sets SessionLost if the read's session has ended.
func (a *attempt) keepAffinity(affinity *Affinity) {
	switch {
	case affinity == nil || a.answer == nil:
		return // the request belongs to no read, or has no answer
	case a.status() < http.StatusBadRequest:
		affinity.Keep(a.permit.session, a.answer.generation)
	default:
		a.answer.SessionLost = affinity.Lost(a.permit.session, a.answer.generation)
	}
}

func (a *attempt) status() int { return int(a.answer.Status) }

type decision uint8

const (
	notApplicable decision = iota // the next rule decides
	retry
	final
)

// rules are applied in this order, which matters: from handleRedirect on they expect an answer.
var rules = []func(*retryLoop, context.Context, *attempt) (decision, error){
	(*retryLoop).handleNotProcessed,
	(*retryLoop).handleChangedSecret,
	(*retryLoop).handleNoResponse,
	(*retryLoop).handleRedirect,
	(*retryLoop).handleOutageEnd,
	(*retryLoop).handleRefusedToken,
	(*retryLoop).handleEndedSession,
	(*retryLoop).handleProxyRefusal,
	(*retryLoop).handleMissingConnector,
	(*retryLoop).handleStatus,
}

const (
	maxRedirects     = 10
	maxFreshRefusals = 2 // of CSRF tokens
	maxSecrets       = 3 // from changed settings
)

// run makes attempts until one is final.
func (r *retryLoop) run(ctx context.Context) (*Answer, error) {
	r.start = r.exchange
	for {
		t, err := r.try(ctx)
		if err != nil {
			return nil, err
		}
		switch d, err := r.decide(ctx, t); {
		case err != nil:
			return nil, err
		case d == final:
			t.keepAffinity(affinityOf(ctx))
			return t.answer, nil
		}
	}
}

// try makes one attempt. Its own error means that nothing was sent.
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
	r.client.tryOnce(ctx, t, r.exchange)
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

// handleNotProcessed repeats attempts that were not processed: the send check expired, the session of the request or of
// its CSRF token ended, or the token was refused and another one may exist.
func (r *retryLoop) handleNotProcessed(_ context.Context, t *attempt) (decision, error) {
	// If another exchange shares the permit, the request that needs the token is repeated instead. No count is needed:
	// before each repetition another request has logged on.
	if errors.Is(t.err, errSessionEnded) && r.permit == nil {
		return retry, nil
	}
	if errors.Is(t.err, errSendCheckExpired) || errors.Is(t.err, errOldToken) || errors.Is(t.err, errRefusedToken) {
		return retry, nil
	}
	return notApplicable, nil
}

// handleChangedSecret tries again if the secret was refused and the settings contain another one by now.
func (r *retryLoop) handleChangedSecret(ctx context.Context, t *attempt) (decision, error) {
	sentCredentials := r.exchange.otherOrigin == "" || t.permit.destination.auth.identity != (Identity{})
	isRefused := sentCredentials && wasRefused(t.answer, t.err)
	mayRetry := r.permit == nil && r.secretChanges < maxSecrets
	if !isRefused || !mayRetry {
		return notApplicable, nil
	}
	const secretRefused = true
	d, err := r.client.refresh(ctx, secretRefused)
	if err != nil || d == t.permit.service { // settings without a change, those of the route included
		return notApplicable, nil
	}
	r.secretChanges++
	if t.answer != nil {
		t.answer.discard()
	}
	return retry, nil
}

// handleNoResponse repeats an attempt without an answer if the service may process the request again.
func (r *retryLoop) handleNoResponse(ctx context.Context, t *attempt) (decision, error) {
	if t.err == nil {
		return notApplicable, nil
	}
	sendErr, ok := errors.AsType[*sendError](t.err)
	if !ok {
		return final, t.err
	}
	d := t.permit.destination
	e := r.exchange
	if sendErr.mayHaveArrived && !e.repeatable {
		return final, &NoResponseError{Method: e.method, Target: e.printableTarget(), Cause: sendErr.cause}
	}
	cause := fmt.Sprintf("%v%s", sendErr.cause, d.settingsHint(sendErr.cause))
	if d.config.Retry.Times() > 0 {
		d.logOutage(t.sent, noResponseText, e, "cause", cause, "retry", r.retries+1)
	} else {
		d.logOutage(t.sent, notRetriedText, e, "cause", cause)
	}
	if _, ok := errors.AsType[*outageError](sendErr.cause); ok || r.retries >= d.config.Retry.Times() {
		f := errorf(wit.ErrorTransient, "%s %s at %s: %s", e.method, e.printableLine(), d.origin, cause)
		if r.retries > 0 {
			f.Message += fmt.Sprintf(" (sent %d times)", r.retries+1)
		}
		return final, f
	}
	return r.repeat(ctx, d, 0)
}

// handleOutageEnd ends a logged outage, unless the status means that the service is not available.
func (r *retryLoop) handleOutageEnd(_ context.Context, t *attempt) (decision, error) {
	if d := t.permit.destination; t.status() != http.StatusServiceUnavailable &&
		!d.config.Retry.Names(strconv.Itoa(t.status())) {
		d.partner.Back(d.config.Logger, t.sent, "the service responds again", "origin", d.origin.String())
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

// handleEndedSession repeats an attempt in a restarted session, once per session. If that session ended as well, other
// sessions may have ended it, so the last attempts share one session.
func (r *retryLoop) handleEndedSession(_ context.Context, t *attempt) (decision, error) {
	if !t.answer.sessionEnded {
		return notApplicable, nil
	}
	if slices.Contains(r.endedSessions, t.permit.session) {
		attempts := max(maxFreshRefusals, t.permit.destination.config.Retry.Times())
		switch {
		case t.permit.useSingleSession():
			r.endedSessions = nil
		case !t.permit.mayBeEndedByOthers() || len(r.endedSessions) > attempts:
			return notApplicable, nil
		}
	}
	r.endedSessions = append(r.endedSessions, t.permit.session)
	t.answer.discard()
	return retry, nil
}

// handleProxyRefusal sends a new token once to a proxy that accepts tokens.
func (r *retryLoop) handleProxyRefusal(_ context.Context, t *attempt) (decision, error) {
	d := t.permit.destination
	switch {
	case t.status() != http.StatusProxyAuthRequired:
		return notApplicable, nil
	case r.isProxyTokenRenewed || d.config.Route.Network == "": // only SAP Connectivity, with tokens, has one
		return final, errorf(wit.ErrorConfig, "%s: the proxy rejected the credentials (407)%s: %s", d.origin,
			d.config.Route.credentialsHint(), t.answer.excerpt())
	}
	r.isProxyTokenRenewed = true
	t.answer.discard()
	return retry, nil
}

// handleMissingConnector waits for a Cloud Connector, or for the service behind it.
func (r *retryLoop) handleMissingConnector(ctx context.Context, t *attempt) (decision, error) {
	d := t.permit.destination
	outage := d.config.Route.Outage
	if t.status() != http.StatusServiceUnavailable || !d.config.Route.AbsoluteForm || outage <= 0 {
		return notApplicable, nil
	}
	// Assumptions: the service's 503 looks like the proxy's, so repeatable requests wait for both; and services do not
	// mention a missing Cloud Connector in a 503.
	if !r.exchange.repeatable && !strings.Contains(t.answer.peek(1<<10), "no SAP Cloud Connector") {
		return notApplicable, nil
	}
	if r.outageSince.IsZero() {
		r.outageSince = time.Now()
	}
	if time.Since(r.outageSince) >= outage {
		return notApplicable, nil
	}
	d.logOutage(t.sent, noConnectorText, r.exchange, "for", time.Since(r.outageSince).Round(time.Second), "at most",
		outage, "answer", t.answer.excerpt())
	if err := d.config.Retry.Wait(ctx, pause.RetryAfter(t.header.Get("Retry-After"), time.Now())); err != nil {
		return final, err
	}
	r.client.counter.repeated.Add(1)
	return retry, nil
}

// handleStatus repeats an attempt whose status is configured as retriable.
func (r *retryLoop) handleStatus(ctx context.Context, t *attempt) (decision, error) {
	d := t.permit.destination
	hasWaited := !r.outageSince.IsZero() // see handleMissingConnector
	if !r.exchange.isRetriable(d.config.Retry, t.status()) || r.retries >= d.config.Retry.Times() || hasWaited {
		return notApplicable, nil
	}
	d.logOutage(t.sent, unavailableText, r.exchange, "status", t.status(), "retry", r.retries+1, "answer",
		t.answer.excerpt())
	atLeast := pause.RetryAfter(t.header.Get("Retry-After"), time.Now())
	if atLeast > 0 {
		defer d.limits.RecordRetryAfter()()
	}
	return r.repeat(ctx, d, atLeast)
}

func wasRefused(a *Answer, err error) bool {
	if err == nil {
		return a.Status == http.StatusUnauthorized
	}
	_, isNoResponse := errors.AsType[*NoResponseError](err) // may wrap a *wit.Error
	f, ok := errors.AsType[*wit.Error](err)
	return !isNoResponse && ok && f.Kind == wit.ErrorUnauthorized
}

// isRetriable reports whether a status permits another attempt. A request that is not repeatable gets one only if it
// writes and the status is 429.
func (e *exchange) isRetriable(policy Retry, status int) bool {
	if !e.repeatable {
		if e.method == http.MethodGet || e.method == http.MethodHead {
			return false
		}
		return status == http.StatusTooManyRequests
	}
	return policy.Names(strconv.Itoa(status))
}
