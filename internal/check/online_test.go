package check

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/porttest"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/internal/transport/limits"
	"github.com/culvert-project/culvert/internal/transport/lockouts"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/wit"
)

// The service's timeout starts with the first request to it, not before the plugin has responded. While requests only
// wait for the limits of the origin, it does not run, but another one does.
func TestServiceTimeoutStartsWithFirstRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ch := &Checker{Wait: OnlineTimeout, LimitWait: LogonLimitWait}
		clock := ch.newOnlineCheck(t.Context(), wit.Component{}, &config.Connector{}).clock
		time.Sleep(2 * OnlineTimeout) // to start the instance
		ctx, end := clock.request()
		_, endOther := clock.request()
		endWait := pause.MarkLimitWait(ctx)
		endSecond := pause.MarkLimitWait(ctx)
		time.Sleep(time.Second) // of the service, because of the other one
		endOther()
		time.Sleep(LogonLimitWait - time.Second)
		endSecond()
		endWait()
		time.Sleep(OnlineTimeout - time.Second - 1)
		assert.NoError(t, context.Cause(ctx))
		deadline, _ := ctx.Deadline() // for what retries
		assert.Equal(t, 1+100*time.Millisecond, time.Until(deadline))
		time.Sleep(2 * time.Nanosecond)
		assert.Error(t, context.Cause(ctx), errServiceSlow.Error())
		end()
		clock = ch.newOnlineCheck(t.Context(), wit.Component{}, &config.Connector{}).clock
		ctx, end = clock.request()
		outlasting := pause.MarkLimitWait(ctx) // of a shared connection
		end()
		outlasting()
		assert.Equal(t, []int{0, 0}, []int{clock.sent, clock.waiting})
		ctx, _ = clock.request()
		pause.MarkLimitWait(ctx)
		time.Sleep(LogonLimitWait + 1)
		assert.Error(t, context.Cause(ctx), limitError{}.Error())
	})
}

// A check of a logon waits longer than for the service if the connector's own rate is low, and the first answer
// decides. One that ends before names the setting, and does not blame the service.
func TestLogonUnderOwnRate(t *testing.T) {
	t.Parallel()
	w, _, err := config.LoadWorker("", nil, nil)
	require.NoError(t, err)
	var component wit.Component
	for _, name := range []string{role.Scheme, role.Address, role.Port, role.User, role.Password,
		role.RequestsPerSecond, role.MaintenanceWindows} {
		component.Settings = append(component.Settings, wit.ConfigKey{Name: name, Kind: wit.KindString,
			Rules: []wit.Rule{{Role: &name}}})
	}
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	at, err := url.Parse(server.URL)
	require.NoError(t, err)
	entries := []config.Entry{config.NewEntry(role.Scheme, "http", "", 0),
		config.NewEntry(role.Address, at.Hostname(), "", 0), config.NewEntry(role.Port, at.Port(), "", 0),
		config.NewEntry(role.User, "me", "", 0), config.NewEntry(role.Password, "pw", "", 0),
		config.NewEntry(role.RequestsPerSecond, "0.5", "", 0)}
	const byRate = "limit of 0.5 requests per second to"
	for _, c := range []struct {
		limitWait time.Duration
		windows   string
		answered  int
		result    string
		reason    string
	}{
		{time.Minute, "", 2, LogonAccepted, ""},
		{50 * time.Millisecond, "", 1, LogonAccepted, byRate},
		{time.Nanosecond, "", 0, notChecked, byRate},
		{time.Nanosecond, "0 0 0 * * ?/25h UTC", 0, notChecked, "maintenance window: no requests to"},
	} {
		connector, _ := config.NewConnector("c.properties", append(slices.Clone(entries),
			config.NewEntry(role.MaintenanceWindows, c.windows, "", 0)), w.Providers)
		ch := &Checker{Worker: w, Wait: 1500 * time.Millisecond, LimitWait: c.limitWait, Logon: true,
			Lockouts: lockouts.New(), Destinations: transport.NewOriginRegistry()}
		other, err := ch.newOnlineCheck(t.Context(), component, connector).connect() // keeps the origin's rate
		require.NoError(t, err)
		defer other.Close()
		if c.answered == 0 && c.windows == "" { // the connector's task has the turn
			_, err = other.Exchange(t.Context(), &wit.Request{Method: "GET", Target: "/"})
			require.NoError(t, err)
			ch.Lockouts = lockouts.New()
		}
		online := ch.newOnlineCheck(t.Context(), component, connector)
		answered := 0
		for range 2 {
			answers, err := online.Fetch(t.Context(),
				wit.RequestBatch{Requests: []wit.Request{{Tag: "1", Method: "GET", Target: "/"}}})
			require.NoError(t, err)
			if answers[0].Status == http.StatusOK {
				answered++
			}
		}
		warnings := online.unansweredWarnings(connector, component)
		online.close()
		assert.Equal(t, c.answered, answered, "answers")
		assert.Equal(t, true, strings.HasPrefix(online.logonResult(), c.result), online.logonResult())
		assert.Equal(t, c.answered < 2, TimedOut(warnings), "other checks of a reload do not wait, too")
		if c.answered == 2 {
			continue
		}
		if len(warnings) == 0 {
			t.Fatalf("expected a warning about %s", c.reason)
		}
		assert.Contains(t, warnings[0].Text, c.reason)
		namesRate := strings.Contains(warnings[0].Text, role.RequestsPerSecond)
		assert.Equal(t, c.reason == byRate, namesRate, warnings[0].Text)
	}
}

// A service is silent if it does not respond to a request, not if it responds 503 or is unreachable.
func TestSilentService(t *testing.T) {
	t.Parallel()
	w, _, err := config.LoadWorker("", nil, nil)
	require.NoError(t, err)
	var component wit.Component
	for _, name := range []string{role.Scheme, role.Address, role.Port} {
		component.Settings = append(component.Settings, wit.ConfigKey{Name: name, Kind: wit.KindString,
			Rules: []wit.Rule{{Role: &name}}})
	}
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
		path    string
		address string
		wait    time.Duration
		unasked int
		silent  bool
	}{
		{path: "/silent", address: server.URL, wait: 10 * time.Millisecond, unasked: 1, silent: true},
		{path: "/busy", address: server.URL, wait: time.Hour, unasked: 1},
		{path: "/well", address: server.URL, wait: time.Hour},
		{path: "/away", address: "http://" + porttest.Address(t), wait: time.Hour, unasked: 1},
	} {
		address, err := url.Parse(request.address)
		require.NoError(t, err)
		entries := []config.Entry{config.NewEntry(role.Scheme, "http", "", 0),
			config.NewEntry(role.Address, address.Hostname(), "", 0), config.NewEntry(role.Port, address.Port(), "", 0)}
		connector, _ := config.NewConnector("c.properties", entries, w.Providers)
		ch := &Checker{Worker: w, Wait: request.wait, Destinations: transport.NewOriginRegistry()}
		online := ch.newOnlineCheck(t.Context(), component, connector)
		_, err = online.Fetch(t.Context(), wit.RequestBatch{Requests: []wit.Request{{Tag: "1", Method: "GET",
			Target: request.path}}})
		require.NoError(t, err)
		warnings := online.unansweredWarnings(connector, component)
		online.close()
		if len(warnings) != request.unasked || TimedOut(warnings) != request.silent {
			t.Errorf("%s: expected %d requests without a response and silence %t, found %v", request.path,
				request.unasked,
				request.silent, warnings)
		}
		unknown := strings.HasPrefix(online.logonResult(), notChecked)
		assert.Equal(t, request.unasked > 0, unknown, "a service that needs no logon accepts none")
		assert.Equal(t, unknown, online.logonResult() != "")
	}
}

// A validation shares the limits of the worker's clients.
func TestValidationSharesClientLimits(t *testing.T) {
	t.Parallel()
	w, _, err := config.LoadWorker("", nil, nil)
	require.NoError(t, err)
	address := "http.address"
	component := wit.Component{Settings: []wit.ConfigKey{{Name: "address", Kind: wit.KindString,
		Rules: []wit.Rule{{Role: &address}}}}}
	connector, _ := config.NewConnector("c.properties",
		[]config.Entry{config.NewEntry("address", "sap.example", "", 0)},
		w.Providers)
	ch := &Checker{Worker: w, Wait: OnlineTimeout, Destinations: transport.NewOriginRegistry()}
	client, err := ch.newOnlineCheck(t.Context(), component, connector).connect()
	require.NoError(t, err)
	defer client.Close()
	var met []string
	ch.Destinations.Divide(func(origin string) limits.Division {
		met = append(met, origin)
		return limits.Division{Workers: 1}
	})
	assert.Equal(t, []string{"https://sap.example"}, met)
}

// A check does not send the service a secret that it has not accepted yet, because the sender may still be typing,
// unless the checker may log on. A secret that the service rejected or accepted before needs no permission.
func TestUnacceptedSecretIsNotSent(t *testing.T) {
	t.Parallel()
	w, _, err := config.LoadWorker("", nil, nil)
	require.NoError(t, err)
	var component wit.Component
	for _, name := range []string{role.Scheme, role.Address, role.Port, role.User, role.Password} {
		component.Settings = append(component.Settings, wit.ConfigKey{Name: name, Kind: wit.KindString,
			Rules: []wit.Rule{{Role: &name}}})
	}
	var shown []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, password, _ := r.BasicAuth()
		shown = append(shown, password)
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
		logon    bool
		status   uint16
		sent     int
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
		connector, _ := config.NewConnector("c.properties", []config.Entry{config.NewEntry(role.Scheme, "http", "", 0),
			config.NewEntry(role.Address, address.Hostname(), "", 0), config.NewEntry(role.Port, address.Port(), "", 0),
			config.NewEntry(role.User, "me", "", 0), config.NewEntry(role.Password, request.password, "", 0)},
			w.Providers)
		ch := &Checker{Worker: w, Wait: time.Minute, Lockouts: store, Logon: request.logon,
			Destinations: transport.NewOriginRegistry()}
		online := ch.newOnlineCheck(t.Context(), component, connector)
		answers, err := online.Fetch(t.Context(),
			wit.RequestBatch{Requests: []wit.Request{{Tag: "1", Method: "GET", Target: "/"}}})
		require.NoError(t, err)
		online.close()
		assert.Equal(t, []int{int(request.status), request.sent}, []int{int(answers[0].Status), len(shown)},
			request.password)
		result := map[uint16]string{200: LogonAccepted, 401: "", 502: notChecked}[request.status]
		assert.Equal(t, true, strings.HasPrefix(online.logonResult(), result), online.logonResult())
		assert.Equal(t, result == "", online.logonResult() == "", online.logonResult())
	}
}
