package check

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/porttest"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/resolved/resolvedtest"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/internal/transport/limits"
	"github.com/culvert-project/culvert/internal/transport/lockouts"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/wit"
)

// The service's timeout starts with the first request to it, not with the start of the plugin. While requests only wait
// for limits of the origin, it does not run, but the timeout of the limits does.
func TestServiceTimeoutStartsWithFirstRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ch := &Checker{Wait: OnlineTimeout, LimitWait: LogonLimitWait}
		connector := resolved.Resolver{}.ResolveAs(&config.Connector{}, resolvedtest.OfRoles())
		clock := ch.newOnlineCheck(t.Context(), connector).clock
		time.Sleep(2 * OnlineTimeout) // the plugin starts
		ctx, end := clock.request()
		_, endOther := clock.request()
		endWait := pause.MarkLimitWait(ctx)
		endSecondWait := pause.MarkLimitWait(ctx)

		// This second counts against the service, because the other request does not wait.
		time.Sleep(time.Second)
		endOther()
		time.Sleep(LogonLimitWait - time.Second) // counts against the limits
		endSecondWait()
		endWait()

		time.Sleep(OnlineTimeout - time.Second - time.Nanosecond)
		assert.NoError(t, context.Cause(ctx))
		deadline, _ := ctx.Deadline() // of retries, after the clock
		assert.Equal(t, time.Nanosecond+100*time.Millisecond, time.Until(deadline))
		time.Sleep(2 * time.Nanosecond)
		assert.Error(t, context.Cause(ctx), errServiceSlow.Error())
		end()

		// A wait that outlasts its request is not counted.
		clock = ch.newOnlineCheck(t.Context(), connector).clock
		ctx, end = clock.request()
		endWait = pause.MarkLimitWait(ctx)
		end()
		endWait()
		assert.Equal(t, []int{0, 0}, []int{clock.sent, clock.waiting})

		// The limits have a timeout of their own.
		ctx, _ = clock.request()
		pause.MarkLimitWait(ctx)
		time.Sleep(LogonLimitWait + 1)
		assert.Error(t, context.Cause(ctx), limitError{}.Error())
	})
}

// linesOf returns the settings of a service, named by their roles, and other lines.
func linesOf(service *url.URL, others ...string) string {
	return strings.Join(append(others, role.Scheme+"=http", role.Address+"="+service.Hostname(),
		role.Port+"="+service.Port()), "\n")
}

// A check of a logon waits longer for the connector's own low rate than for the service, and the first response
// decides. If the wait ends before, the warning names the setting of the rate, not the service.
func TestLogonUnderOwnRate(t *testing.T) {
	t.Parallel()
	component := resolvedtest.OfRoles(role.Scheme, role.Address, role.Port, role.User, role.Password,
		role.RequestsPerSecond, role.MaintenanceWindows)
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	address, err := url.Parse(server.URL)
	require.NoError(t, err)
	const byRate = "limit of 0.5 requests per second to"
	for _, c := range []struct {
		limitWait time.Duration
		windows   string // maintenance windows
		answered  int    // of two requests
		result    string // the beginning of the result of the logon
		reason    string // of the warning. Empty means no warning.
	}{
		{limitWait: time.Minute, answered: 2, result: LogonAccepted},
		{limitWait: 50 * time.Millisecond, answered: 1, result: LogonAccepted, reason: byRate},
		{limitWait: time.Nanosecond, answered: 0, result: notChecked, reason: byRate},
		{limitWait: time.Nanosecond, windows: "0 0 0 * * ?/25h UTC", answered: 0, result: notChecked,
			reason: "maintenance window: no requests to"},
	} {
		connector := resolve(t, component, linesOf(address, role.User+"=me", role.Password+"=pw",
			role.RequestsPerSecond+"=0.5", role.MaintenanceWindows+"="+c.windows))
		ch := &Checker{Worker: connector.Worker, Wait: 1500 * time.Millisecond, LimitWait: c.limitWait, Logon: true,
			Lockouts: lockouts.New(), Destinations: transport.NewOriginRegistry()}
		// Another client keeps the limits of the origin, and may have used up the rate.
		other, err := ch.newOnlineCheck(t.Context(), connector).connect()
		require.NoError(t, err)
		defer other.Close()
		if c.answered == 0 && c.windows == "" {
			_, err = other.Exchange(t.Context(), &wit.Request{Method: "GET", Target: "/"})
			require.NoError(t, err)
			ch.Lockouts = lockouts.New()
		}
		online := ch.newOnlineCheck(t.Context(), connector)
		answered := 0
		for range 2 {
			answers, err := online.Fetch(t.Context(),
				wit.RequestBatch{Requests: []wit.Request{{Tag: "1", Method: "GET", Target: "/"}}})
			require.NoError(t, err)
			if answers[0].Status == http.StatusOK {
				answered++
			}
		}
		warnings := online.unansweredWarnings(connector)
		online.close()
		assert.Equal(t, c.answered, answered, "answers")
		assert.Equal(t, true, strings.HasPrefix(online.logonResult(), c.result), online.logonResult())
		assert.Equal(t, c.answered < 2, TimedOut(warnings), "other checks of a reload do not wait, too")
		if c.answered == 2 {
			continue
		}
		require.True(t, len(warnings) != 0, "expected a warning about %s", c.reason)
		assert.Contains(t, warnings[0].Text, c.reason)
		namesRate := strings.Contains(warnings[0].Text, role.RequestsPerSecond)
		assert.Equal(t, c.reason == byRate, namesRate, warnings[0].Text)
	}
}

// A check has timed out if the service does not respond to a request, not if it responds 503 or is unreachable.
func TestSilentService(t *testing.T) {
	t.Parallel()
	component := resolvedtest.OfRoles(role.Scheme, role.Address, role.Port)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/silent":
			<-r.Context().Done()
		case "/busy":
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	for _, request := range []struct {
		path     string
		address  string
		wait     time.Duration
		warnings int
		timedOut bool
	}{
		{path: "/silent", address: server.URL, wait: 10 * time.Millisecond, warnings: 1, timedOut: true},
		{path: "/busy", address: server.URL, wait: time.Hour, warnings: 1},
		{path: "/available", address: server.URL, wait: time.Hour},
		{path: "/unreachable", address: "http://" + porttest.Address(t), wait: time.Hour, warnings: 1},
	} {
		address, err := url.Parse(request.address)
		require.NoError(t, err)
		connector := resolve(t, component, linesOf(address))
		ch := &Checker{Worker: connector.Worker, Wait: request.wait, Destinations: transport.NewOriginRegistry()}
		online := ch.newOnlineCheck(t.Context(), connector)
		_, err = online.Fetch(t.Context(),
			wit.RequestBatch{Requests: []wit.Request{{Tag: "1", Method: "GET", Target: request.path}}})
		require.NoError(t, err)
		warnings := online.unansweredWarnings(connector)
		online.close()
		assert.True(t, len(warnings) == request.warnings && TimedOut(warnings) == request.timedOut,
			"%s: expected %d requests without a response and a timeout %t, found %v", request.path, request.warnings,
			request.timedOut, warnings)
		// The service needs no logon, so a response leaves the result empty.
		isUnknown := strings.HasPrefix(online.logonResult(), notChecked)
		assert.Equal(t, request.warnings > 0, isUnknown, request.path)
		assert.Equal(t, isUnknown, online.logonResult() != "", request.path)
	}
}

// A validation shares the limits of the worker's clients.
func TestValidationSharesClientLimits(t *testing.T) {
	t.Parallel()
	connector := resolve(t, resolvedtest.OfRoles(role.Address), role.Address+"=sap.example")
	ch := &Checker{Worker: connector.Worker, Wait: OnlineTimeout, Destinations: transport.NewOriginRegistry()}
	client, err := ch.newOnlineCheck(t.Context(), connector).connect()
	require.NoError(t, err)
	defer client.Close()
	var origins []string
	ch.Destinations.Divide(func(origin string) limits.Division {
		origins = append(origins, origin)
		return limits.Division{Workers: 1}
	})
	assert.Equal(t, []string{"https://sap.example"}, origins)
}

// A check does not send the service a secret that the service has not accepted yet, because the user may still be
// typing it, unless the checker may log on. A secret that the service accepted or rejected before needs no permission:
// it is sent, or the rejection is repeated without a request.
func TestUnacceptedSecretIsNotSent(t *testing.T) {
	t.Parallel()
	component := resolvedtest.OfRoles(role.Scheme, role.Address, role.Port, role.User, role.Password)
	var received []string // passwords
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, password, _ := r.BasicAuth()
		received = append(received, password)
		if password != "right" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer server.Close()
	address, err := url.Parse(server.URL)
	require.NoError(t, err)
	store := lockouts.New()
	for _, request := range []struct {
		password string
		logon    bool // the checker may log on
		status   uint16
		sent     int // all passwords that the service has received so far
	}{
		{password: "r", status: 502},
		{password: "wrong", logon: true, status: 401, sent: 1},
		{password: "wrong", logon: true, status: 401, sent: 1},
		{password: "wrong", status: 401, sent: 1},
		{password: "right", status: 502, sent: 1},
		{password: "right", logon: true, status: 200, sent: 2},
		{password: "right", status: 200, sent: 3},
		{logon: true, status: 502, sent: 3},
	} {
		connector := resolve(t, component, linesOf(address, role.User+"=me", role.Password+"="+request.password))
		ch := &Checker{Worker: connector.Worker, Wait: time.Minute, Lockouts: store, Logon: request.logon,
			Destinations: transport.NewOriginRegistry()}
		online := ch.newOnlineCheck(t.Context(), connector)
		answers, err := online.Fetch(t.Context(),
			wit.RequestBatch{Requests: []wit.Request{{Tag: "1", Method: "GET", Target: "/"}}})
		require.NoError(t, err)
		online.close()
		assert.Equal(t, []int{int(request.status), request.sent}, []int{int(answers[0].Status), len(received)},
			request.password)
		result := map[uint16]string{200: LogonAccepted, 401: "", 502: notChecked}[request.status]
		assert.Equal(t, true, strings.HasPrefix(online.logonResult(), result), online.logonResult())
		assert.Equal(t, result == "", online.logonResult() == "", online.logonResult())
	}
}
