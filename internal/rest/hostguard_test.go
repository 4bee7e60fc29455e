package rest

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/logtest"
	"github.com/culvert-project/culvert/internal/cluster/groupview"
	"github.com/culvert-project/culvert/internal/connect"
)

// guardedHosts has names in Host, with true for names that the worker trusts: no web page can have had them resolved to
// this machine.
var guardedHosts = map[string]bool{
	"localhost":                        true,
	"localhost:1":                      true,
	"a.localhost":                      true,
	"10.1.2.3:8083":                    true,
	"[fd00::1]:8083":                   true,
	"[fe80::1%25eth0]":                 true,
	"0.0.0.0":                          true,
	"connect":                          true,
	"connect:8083":                     true,
	"CONNECT.":                         true,
	"connect.example.com":              true,
	"connect.example.com.:8083":        true,
	"culvert.team.svc":                 true,
	"culvert.team.svc:8083":            true,
	"culvert.team.svc.cluster.local":   true,
	"evil.example":                     false,
	"evil.example:8083":                false,
	"evil.example.":                    false,
	"connect.example.com.evil.example": false,
	"127.0.0.1.evil.example":           false,
	"svc.evil.example":                 false,
	"notsvc.example.notsvc":            false,
	"a.cluster.local":                  false,
	"localhost.evil.example":           false,
	"10.1.2.3.nip.io":                  false,
}

// guardedServer returns a server that is reachable for others.
func guardedServer(t *testing.T, o Options, log *logtest.Journal) *Server {
	t.Helper()
	o.Listeners = []string{"http://:0"}
	return startServerFor(t, o, log.Logger(slog.LevelInfo), &standIn{connectors: map[string]*standInConnector{"a": {
		state: "RUNNING", config: map[string]string{"sap.odata.user.pwd": "geheim", "topic": "t"}}}})
}

// If REST is reachable for others, without allowed hosts and logon, a name that a page may have had resolved to this
// machine gets no passwords and changes nothing, and one line names the settings. Names that no page can have are not
// restricted.
func TestForeignHostsSeeNoPasswords(t *testing.T) {
	log := &logtest.Journal{}
	anonymous := guardedServer(t, Options{Advertise: Advertise{Host: "Connect.Example.com"}}, log)
	for host, isTrusted := range guardedHosts {
		for _, line := range []string{"GET /connectors/a", "GET /connectors/a/config", "GET /connectors?expand=info"} {
			status, body := askWithHost(t, anonymous, line, host, "X-Forwarded-Host: localhost")
			assert.True(t, status == 200 && strings.Contains(body, "geheim") == isTrusted &&
				strings.Contains(body, "[hidden]") != isTrusted && strings.Contains(body, `"topic":"t"`),
				"%s, Host %s: expected 200 with the password: %t, found %d %s", line, host, isTrusted, status, body)
		}
		for _, line := range []string{"PUT /connectors/a/pause", "POST /connectors/a/restart",
			"DELETE /connectors/a/offsets"} {
			status, body := askWithHost(t, anonymous, line, host)
			if (status == 403) == isTrusted || (status == 403 && !strings.Contains(body, "rest.allowed.hosts")) {
				t.Errorf("%s, Host %s: expected a rejection: %t, found %d %s", line, host, !isTrusted, status, body)
			}
		}
	}
	assert.Equal(t, 1, strings.Count(log.String(), "host=evil.example "), "line about a name: in", log)
	assert.Contains(t, log.String(), "rest.allowed.hosts", "rest.basic.auth.file")
	status, _ := askWithHost(t, anonymous, "GET /connectors", "a.b.c.example")
	assert.Equal(t, 200, status)
	for i := range 3 * maxWarned {
		askWithHost(t, anonymous, "GET /connectors", strings.Repeat("x", i+1)+".evil.example")
	}
	assert.AtMost(t, maxWarned, strings.Count(log.String(), "level=WARN"), "lines")
}

// No name is restricted if users log on.
func TestUsersSeePasswordsByAnyHost(t *testing.T) {
	log := &logtest.Journal{}
	users := guardedServer(t, Options{Users: usersFile(t)}, log)
	for host := range guardedHosts {
		status, body := askWithHost(t, users, "GET /connectors/a", host, "Authorization: Basic YW5uYTpnZWhlaW0=")
		assert.True(t, status == 200 && strings.Contains(body, "geheim"),
			"Host %s of a user: expected 200 with the password, found %d %s", host, status, body)
	}
	assert.True(t, !strings.Contains(log.String(), "host="), "expected no line about a name, found %s", log)
}

// Another worker shows no more than the worker that got the request would.
func TestForwardedRequestsSeeNoPasswords(t *testing.T) {
	worker := &metricsWorker{standIn{connectors: map[string]*standInConnector{"a": {
		config: map[string]string{"sap.odata.user.pwd": "geheim", "topic": "t"}}}}}
	start := func(o Options, leader string) (s *Server, url string) {
		position := &seat{leader: leader}
		o.Listeners = []string{"http://:0"}
		o.Cluster = position
		s = startServerFor(t, o, slog.New(slog.DiscardHandler), worker)
		_, port, _ := net.SplitHostPort(s.Addresses()[0])
		url = "http://127.0.0.1:" + port
		position.set(func(s *seat) {
			s.url = url
			s.leader = cmp.Or(leader, url)
			s.members = []groupview.Member{{WorkerID: "w", URL: url}}
		})
		return s, url
	}
	_, leader := start(Options{}, "")
	_, second := start(Options{}, leader) // which forwards to the leader
	for _, target := range []string{leader, second} {
		follower, _ := start(Options{}, target)
		masked, _ := start(Options{Masked: true}, target)
		for _, c := range []struct {
			server *Server
			host   string
			shown  bool
		}{
			{server: follower, host: "connect", shown: true},
			{server: follower, host: "evil.example"},
			{server: masked, host: "connect"},
		} {
			status, body := askWithHost(t, c.server, "GET /connectors?expand=info&expand=motion", c.host)
			assert.True(t, status == 200 && strings.Contains(body, "geheim") == c.shown &&
				strings.Contains(body, `"motion"`),
				"Host %s at a follower: expected 200 with the password: %t, found %d %s", c.host, c.shown, status, body)
		}
	}
}

// metricsWorker has metrics of its connectors.
type metricsWorker struct{ standIn }

func (m *metricsWorker) worker() Worker { return m.with(m) }

func (m *metricsWorker) ConnectorMetrics(name string) (connect.Metrics, error) {
	return connect.Metrics{Name: name}, nil
}

// The names of this machine are its own and the one to which the resolver completes it.
func TestHostnamesOfMachine(t *testing.T) {
	for _, c := range []struct {
		hostname  string
		canonical string
		err       error
		want      string
	}{
		{hostname: "web1", canonical: "Web1.corp.example.com.", want: "web1.corp.example.com"},
		{hostname: "web1.corp.example.com", err: errors.New("no such host"), want: "web1.corp.example.com"},
	} {
		names := &hostnames{hostname: func() (string, error) { return c.hostname, nil },
			canonical: func(context.Context, string) (string, error) { return c.canonical, c.err }}
		guard := &hostGuard{anonymous: true, hostnames: names.names}
		if !guard.isTrustedHost(c.want+":8083") || guard.isTrustedHost("web1.evil.example") {
			t.Errorf("%v: expected %s to be this machine, found %v", c, c.want, names.names())
		}
	}
}
