package check

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/service"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/internal/transport/limits"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

const (
	// OnlineTimeout bounds how long a validation, and the user of a form, waits for the service (RATIONALE.md P27).
	OnlineTimeout = 3 * time.Second
	// LogonLimitWait is the [Checker.LimitWait] of a check of the logon.
	LogonLimitWait = 9 * time.Second
	// FormLimitWait is the [Checker.LimitWait] of a form before it shows its fields.
	FormLimitWait = 500 * time.Millisecond
	// onlineConcurrency bounds concurrent requests of a validation, in addition to the destination's limits.
	onlineConcurrency = 4
)

func (ch *Checker) log() *slog.Logger {
	if ch.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return ch.Logger
}

// validateOnline calls the plugin's validate and fetches the documents that it requests, as far as the service responds
// in time. A missing response is a warning, a rejected user an error. If the plugin fails, validateOffline calls it.
func (ch *Checker) validateOnline(ctx context.Context, connector *resolved.Connector,
	found config.Problems) (validated []wit.ConfigValue, logon logonHint, problems config.Problems) {
	bound, err := bind(connector, nil)
	if err != nil {
		return nil, logon, config.Problems{{File: connector.File, Line: 1, Text: err.Error()}}
	}
	defer bound.Close()
	online := ch.newOnlineCheck(ctx, connector)
	defer online.close()
	err = bound.callWithFetch(ctx, online, func(i *plugin.Instance, state []byte,
		answers []wit.Response) (*wit.RequestBatch, error) {
		const mayFetch = true
		result, err := i.Validate(ctx, bound.component, bound.settings, mayFetch, state, answers)
		if err == nil && result.Pending == nil && result.Done != nil {
			validated = *result.Done
		}
		return result.Pending, err
	})
	if err != nil {
		ch.log().Warn("the plugin cannot check settings with the service: checking without it",
			"connector", connector.Name, "plugin", connector.Class.Module.Name, "error", err)
		return nil, logon, ch.validateOffline(ctx, connector, nil, found)
	}
	problems = validationProblems(connector, "", validated, found)
	if online.rejected != nil {
		problems = append(problems, problem(entryFor(connector, online.rejectedSetting), online.rejected))
	}
	online.skipped.result = online.logonResult()
	return validated, online.skipped, append(problems, online.unansweredWarnings(connector)...)
}

// OpenedSource is a source as its plugin opens it. The zero value has no feeds.
type OpenedSource = wit.SourceOpened

// OpenSource opens a source with its plugin within the time of a validation. The result has no feeds if the connector
// is no source or its class is unknown.
func (ch *Checker) OpenSource(ctx context.Context, connector *resolved.Connector) (source OpenedSource, err error) {
	if connector.Class.RunError() != nil || !connector.Class.Is(wit.ComponentSource) {
		return source, nil
	}
	bound, err := bind(connector, nil)
	if err != nil {
		return source, err
	}
	defer bound.Close()
	online := ch.newOnlineCheck(ctx, connector)
	defer online.close()
	err = bound.callWithFetch(ctx, online, func(i *plugin.Instance, state []byte,
		answers []wit.Response) (*wit.RequestBatch, error) {
		opening, err := i.OpenSource(ctx, bound.component, bound.settings, state, answers)
		if err == nil && opening.Ready != nil {
			source = *opening.Ready
		}
		return opening.Pending, err
	})
	return source, err
}

// StartLog returns what the plugin would log at a start of a feed with its stored offset, for example that it reads
// nothing. feed is the index of the feed in source.
func (ch *Checker) StartLog(ctx context.Context, connector *resolved.Connector, source OpenedSource, feed int,
	offset []wit.OffsetEntry) (lines []string, err error) {
	bound, err := bind(connector, nil)
	if err != nil {
		return nil, err
	}
	defer bound.Close()
	err = bound.do(ctx, func(i *plugin.Instance) error {
		lines, err = i.StartLog(ctx, source.Context, uint32(feed), offset, time.Now().UnixMilli())
		return err
	})
	return lines, err
}

// logonHint describes the logon of a validation.
type logonHint struct {
	setting string // the setting of the secret that was not tried, "" if none was skipped
	reason  string // why it was not tried
	result  string // Logon of [Validation]
}

// secretSetting returns the setting that an error about a logon belongs to. secret is the role of the secret, or "" for
// the one with which the client logs on to the service.
func secretSetting(roles resolved.Roles, secret string) string {
	if secret != "" {
		return roles.Setting(secret)
	}
	names := []string{role.Password, role.User, role.Address}
	switch auth := strings.ToLower(roles.Text(role.Auth)); {
	case roles.Has(role.Destination) && auth == "" && !roles.Has(role.User): // the destination has the secret
		names = []string{role.Destination}
	case auth == transport.AuthOAuth2:
		names = []string{role.OAuthClientSecret}
	case auth == transport.AuthCertificate:
		names = []string{role.TLSKeyStoreLocation}
	case auth == transport.AuthHeader:
		var secrets []string // the service does not say which one it refused, so the first one by name is reported
		for _, prefix := range []string{role.Header, role.Query} {
			for _, name := range slices.Sorted(maps.Keys(roles.Prefix(prefix))) {
				secrets = append(secrets, prefix+name)
			}
		}
		names = append(secrets, names...)
		names = slices.DeleteFunc(names, func(name string) bool { return slices.Contains(nonSecretHeaders, name) })
	}
	i := max(0, slices.IndexFunc(names, roles.Declared)) // the first one if none is declared
	return roles.Setting(names[i])
}

var nonSecretHeaders = []string{role.Header + "sap-client", role.Header + "sap-language"}

// onlineCheck fetches documents for a plugin during one validation. A request that gets no response in time, or must
// not be sent, results in status 504 or 502 with the reason as text, as from a gateway that cannot reach the service; a
// rejected logon results in 401.
type onlineCheck struct {
	log     *slog.Logger
	wait    time.Duration // for the service
	connect func() (*transport.Client, error)
	// refusedSetting returns the setting of the secret that the service refused. connect sets it.
	refusedSetting func() string
	// isAccepted reports whether the service accepted a secret. connect sets it.
	isAccepted func() bool
	// clock starts with the first request, because the time that the plugin takes before does not count.
	clock *onlineClock
	// limitText describes the wait for limits that has ended the clock, with the setting of the limit.
	limitText func(limits.Wait) string

	mu              sync.Mutex
	client          *transport.Client // nil before the first request
	connectErr      error             // of the first connect, which is not repeated
	rejected        error             // the service or the proxy rejects the user
	rejectedSetting string            // the setting of a secret that was rejected
	skipped         logonHint         // the setting of the secret that was not tried, and the reason
	unanswered      []string          // requests without a response, with the reason
	answered        bool              // a request has a response other than status 401 or an error of the server
}

// logonResult returns [LogonAccepted], or why it is unknown whether the service accepts the logon. "" means neither.
func (o *onlineCheck) logonResult() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.rejected != nil:
		return ""
	case o.answered && o.isAccepted():
		return LogonAccepted
	case len(o.unanswered) > 0:
		return notChecked + o.unanswered[0]
	}
	return ""
}

const notChecked = "not checked with the service: "

// unansweredWarnings returns a warning for each request without a response, at the setting of the service's address.
func (o *onlineCheck) unansweredWarnings(connector *resolved.Connector) (warnings config.Problems) {
	o.mu.Lock()
	defer o.mu.Unlock()
	roles := connector.Roles()
	name := roles.Setting(role.Address)
	if roles.Has(role.Destination) {
		name = roles.Setting(role.Destination)
	}
	slices.Sort(o.unanswered)
	for _, reason := range slices.Compact(o.unanswered) {
		w := warning(entryFor(connector, name), notChecked+reason)
		w.Code = setting.CodeNotChecked
		warnings = append(warnings, w)
	}
	return warnings
}

const (
	timeoutReason = "no answer within "
	limitReason   = "not sent within "
)

// TimedOut reports whether the service did not respond in time to a request of the check, or limits delayed it.
func TimedOut(problems config.Problems) bool {
	return slices.ContainsFunc(problems, func(p config.Problem) bool {
		return p.Code == setting.CodeNotChecked &&
			(strings.Contains(p.Text, ": "+timeoutReason) || strings.Contains(p.Text, ": "+limitReason))
	})
}

// newOnlineCheck returns a check that sends no request before [onlineCheck.Fetch]. The caller closes it.
func (ch *Checker) newOnlineCheck(ctx context.Context, connector *resolved.Connector) *onlineCheck {
	limitWait := cmp.Or(ch.LimitWait, ch.Wait)
	roles := connector.Roles()
	c := &onlineClock{service: ch.Wait, limits: limitWait}
	c.ctx, c.end = context.WithCancelCause(ctx)
	online := &onlineCheck{log: ch.log(), wait: ch.Wait, clock: c}
	online.limitText = func(wait limits.Wait) string {
		reason := cmp.Or(strings.Join(wait.Reasons, "; "), "waiting for a limit of its origin")
		if wait.ByRate {
			reason += " (" + roles.Setting(role.RequestsPerSecond) + " of this connector, or of another one to it)"
		}
		return limitReason + limitWait.String() + ": " + reason
	}
	// connect returns an error instead of a client whose requests must not be sent.
	online.connect = func() (*transport.Client, error) {
		if roles.Text(role.User) != "" && !roles.Has(role.Password) && !roles.Has(role.Destination) {
			return nil, fmt.Errorf("%s is not set", roles.Setting(role.Password))
		}
		if err := ch.Worker.Providers.CheckSent(connector.Connector, connector.Class.Component.Table()); err != nil {
			return nil, err
		}
		s, err := service.New(connector, ch.Lockouts, online.log)
		if err != nil {
			return nil, err
		}
		s.NoRetries()
		s.UseLimits(ch.Destinations)
		destination, err := s.Destination(clockContext{Context: online.clock.ctx, clock: online.clock})
		if err != nil {
			return nil, err
		}
		logon, err := transport.LogonOf(destination)
		if err != nil {
			return nil, err
		}
		online.isAccepted = logon.Accepted
		online.refusedSetting = func() string {
			refused, _ := logon.Refused()
			return secretSetting(roles, refused)
		}
		if untried, ok := logon.Untried(); ok && !ch.Logon {
			online.skipped.setting = secretSetting(roles, untried)
			recipient := "service"
			if strings.HasPrefix(untried, role.Proxy) {
				recipient = "proxy"
			}
			online.skipped.reason = "the " + recipient + " has not accepted this secret yet, and it is not stored"
			return nil, errors.New("logon not tried: " + online.skipped.reason)
		}
		client, err := transport.New(destination)
		if err == nil {
			online.clock.observe(client)
		}
		return client, err
	}
	return online
}

// Fetch implements [transport.Fetcher]. It fails only if the caller's context ends.
func (o *onlineCheck) Fetch(ctx context.Context, batch wit.RequestBatch) ([]wit.Response, error) {
	answers := make([]wit.Response, len(batch.Requests))
	slots := make(chan struct{}, onlineConcurrency)
	var requests sync.WaitGroup
	for i := range batch.Requests {
		slots <- struct{}{}
		requests.Add(1)
		go func() {
			defer func() { <-slots; requests.Done() }()
			defer guard.Recover(o.log, "validation of a connector", nil)
			requestCtx, end := o.clock.request()
			defer end()
			answers[i] = o.answer(requestCtx, &batch.Requests[i])
		}()
	}
	requests.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return answers, nil
}

// answer sends one request of the plugin, or returns the status that replaces a response.
func (o *onlineCheck) answer(ctx context.Context, r *wit.Request) wit.Response {
	unanswered := func(why string) {
		o.mu.Lock()
		defer o.mu.Unlock()
		path, _, _ := strings.Cut(r.Target, "?")
		o.unanswered = append(o.unanswered, r.Method+" "+path+": "+why)
	}
	respond := func(status uint16, why string) wit.Response {
		if status != http.StatusUnauthorized { // o.rejected reports a rejected logon
			unanswered(why)
		}
		return wit.Response{Tag: r.Tag, Status: status, Target: r.Target, Body: []byte(why),
			ReceivedAt: time.Now().UnixMilli(), Headers: []wit.Header{{Name: "Content-Type", Value: "text/plain"}}}
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return respond(http.StatusBadGateway, "a check of settings sends no "+r.Method)
	}
	client, err := o.open()
	if err != nil {
		return respond(http.StatusBadGateway, err.Error())
	}
	response, err := client.Exchange(ctx, r)
	switch {
	case err == nil && response.Status == http.StatusUnauthorized, service.IsUnauthorized(err),
		err != nil && client.Refusal() != "": // the service or the proxy, with status 407, rejects the logon
		if err == nil {
			err = &wit.Error{Kind: wit.ErrorUnauthorized, Message: "the service answered 401"}
		}
		why := service.Explain(client, err)
		o.mu.Lock()
		if o.rejected == nil {
			o.rejected = why
			o.rejectedSetting = o.refusedSetting()
		}
		o.mu.Unlock()
		return respond(http.StatusUnauthorized, why.Error())
	case err == nil:
		if response.Status >= http.StatusInternalServerError {
			unanswered("status " + strconv.Itoa(int(response.Status)))
			return response
		}
		o.mu.Lock()
		o.answered = true
		o.mu.Unlock()
		return response
	}
	why := err.Error()
	var limitErr limitError
	switch cause := context.Cause(ctx); {
	case cause == errServiceSlow:
		why = timeoutReason + o.wait.String()
	case errors.As(cause, &limitErr):
		why = o.limitText(limitErr.wait)
	}
	return respond(http.StatusGatewayTimeout, why)
}

func (o *onlineCheck) open() (*transport.Client, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.client == nil && o.connectErr == nil {
		o.client, o.connectErr = o.connect()
	}
	return o.client, o.connectErr
}

// close ends the clock. It closes the client in the background, because the end of a session is a request.
func (o *onlineCheck) close() {
	o.clock.end(nil)
	if o.client == nil {
		return
	}
	go func() {
		defer guard.Recover(o.log, "end of a validation's session", nil)
		o.client.Close()
	}()
}
