package rest

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// startServerOn starts a server on a listener, with allowed host names.
func startServerOn(t *testing.T, listener string, allowed ...string) *Server {
	t.Helper()
	return startServerFor(t, Options{Listeners: []string{listener}, AllowedHosts: allowed},
		slog.New(slog.DiscardHandler), &standIn{})
}

// askWithHost sends a request with a Host unchanged and further header lines, and returns the response.
func askWithHost(t *testing.T, s *Server, line, host string, headers ...string) (status int, body string) {
	t.Helper()
	_, port, _ := net.SplitHostPort(s.Addresses()[0])
	conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", port))
	require.NoError(t, err)
	defer conn.Close()
	fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s\r\n", line, host,
		strings.Join(append(headers, ""), "\r\n"))
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer r.Body.Close()
	text, _ := io.ReadAll(r.Body)
	return r.StatusCode, string(text)
}

// A page whose name resolves to this machine reads nothing from a loopback listener. On other listeners Host is checked
// if allowed hosts are configured.
func TestHostIsChecked(t *testing.T) {
	loopback := startServerOn(t, "http://127.0.0.1:0")
	named := startServerOn(t, "http://localhost:0", "Connect.Example.com", "10.1.2.3:8083")
	everywhere := startServerOn(t, "http://:0")
	restricted := startServerOn(t, "http://0.0.0.0:0", "connect.example.com")
	for _, c := range []struct {
		host       string
		loopback   bool // whether each of the servers accepts the host
		named      bool
		everywhere bool
		restricted bool
	}{
		{host: "localhost", loopback: true, named: true, everywhere: true, restricted: true},
		{host: "localhost:8083", loopback: true, named: true, everywhere: true, restricted: true},
		{host: "LocalHost.:8083", loopback: true, named: true, everywhere: true, restricted: true},
		{host: "my.localhost", loopback: true, named: true, everywhere: true, restricted: true},
		{host: "127.0.0.1", loopback: true, named: true, everywhere: true, restricted: true},
		{host: "127.8.9.10", loopback: true, named: true, everywhere: true, restricted: true},
		{host: "[::1]", loopback: true, named: true, everywhere: true, restricted: true},
		{host: "[::ffff:127.0.0.1]:8083", loopback: true, named: true, everywhere: true, restricted: true},
		{host: "connect.example.com", named: true, everywhere: true, restricted: true},
		{host: "CONNECT.example.com.:8083", named: true, everywhere: true, restricted: true},
		{host: "10.1.2.3", named: true, everywhere: true},
		{host: "evil.example", everywhere: true},
		{host: "localhost.evil.example", everywhere: true},
		{host: "evil.example.connect.example.com", everywhere: true},
		{host: "notlocalhost", everywhere: true},
		{host: "0.0.0.0", everywhere: true},
		{host: "[::]", everywhere: true},
		{host: "127.1", everywhere: true},
		{host: "127.0.0.1.evil.example", everywhere: true},
		{host: "localhost@evil.example", everywhere: true},
		{everywhere: true},
	} {
		for _, k := range []struct {
			name   string
			server *Server
			want   bool
		}{
			{name: "loopback", server: loopback, want: c.loopback},
			{name: "named", server: named, want: c.named},
			{name: "everywhere", server: everywhere, want: c.everywhere},
			{name: "restricted", server: restricted, want: c.restricted},
		} {
			want := map[bool]int{true: 200, false: 403}[k.want]
			status, body := askWithHost(t, k.server, "GET /connectors", c.host, "X-Forwarded-Host: localhost",
				"Forwarded: host=localhost")
			if status == 400 && strings.Contains(c.host, "@") {
				continue // net/http rejects such a Host
			}
			assert.True(t, status == want && (want != 403 || strings.Contains(body, `"error_code":403`)),
				"%s, Host %q: expected %d, found %d %s", k.name, c.host, want, status, body)
		}
	}
}

// Metrics may be read by an IP address on a listener that is reachable for others, but not by a foreign name. Nothing
// else may be read by an address.
func TestMetricsAreReadByAddress(t *testing.T) {
	loopback := startServerOn(t, "http://127.0.0.1:0")
	restricted := startServerOn(t, "http://0.0.0.0:0", "connect.example.com")
	for _, c := range []struct {
		server  *Server
		line    string
		host    string
		allowed bool
	}{
		{server: restricted, line: "GET /metrics", host: "10.1.2.3:8083", allowed: true},
		{server: restricted, line: "GET /metrics", host: "[fd00::1]:8083", allowed: true},
		{server: restricted, line: "HEAD /metrics/", host: "10.1.2.3", allowed: true},
		{server: restricted, line: "GET /metrics", host: "evil.example:8083"},
		{server: restricted, line: "GET /metrics", host: "10.1.2.3.evil.example"},
		{server: restricted, line: "POST /metrics", host: "10.1.2.3:8083"},
		{server: restricted, line: "GET /metrics/../connectors", host: "10.1.2.3:8083"},
		{server: restricted, line: "GET /connectors", host: "10.1.2.3:8083"},
		{server: loopback, line: "GET /metrics", host: "10.1.2.3:8083"},
		{server: loopback, line: "GET /metrics", host: "0.0.0.0:8083"},
	} {
		if status, body := askWithHost(t, c.server, c.line, c.host); (status != 403) != c.allowed {
			t.Errorf("%s, Host %s: expected allowed=%t, found %d %s", c.line, c.host, c.allowed, status, body)
		}
	}
}

// Only GET /health works without a valid Host: no other resource, no other method, and no target that names another
// host.
func TestOnlyHealthNeedsNoHost(t *testing.T) {
	loopback := startServerOn(t, "http://127.0.0.1:0")
	for _, line := range []string{"GET /health", "GET /health/", "HEAD /health"} {
		status, body := askWithHost(t, loopback, line, "evil.example")
		assert.True(t, status != 403, "%s: expected that Host is never checked, found %d %s", line, status, body)
	}
	for _, line := range []string{"GET /", "GET /metrics", "GET /connectors?expand=info", "POST /connectors",
		"PUT /connectors/a/config", "OPTIONS /connectors", "GET /health/../connectors", "GET /connectors/health",
		"GET //", "GET /nothing", "GET http://evil.example/connectors"} {
		host := "evil.example"
		if strings.Contains(line, "http://") {
			host = "localhost"
		}
		status, body := askWithHost(t, loopback, line, host)
		assert.Equal(t, 403, status, line, body)
	}
}

// Invalid host names are errors.
func TestAllowedHostsAreChecked(t *testing.T) {
	for host, want := range map[string]string{
		"http://a":   "rest.allowed.hosts: Invalid value http://a for configuration rest.allowed.hosts: expected names",
		"a/b":        "rest.allowed.hosts",
		"*.a":        "rest.allowed.hosts",
		"":           "",
		"a:8083":     "",
		"[::1]:1":    "",
		"A.example.": "",
	} {
		err := Options{AllowedHosts: []string{"fine", host}}.Check()
		assert.ErrorOrNone(t, err, want, host)
	}
}

// An accepted host names the loopback interface.
func FuzzHost(f *testing.F) {
	for _, host := range []string{"localhost:1", "[::1]:1", "a.localhost.", "127.0.0.1", "[::ffff:127.0.0.1]", "::1%lo",
		"localhost..", "[localhost]"} {
		f.Add(host)
	}
	f.Fuzz(func(t *testing.T, host string) {
		if !isOwnHost(host, nil) {
			return
		}
		name := normalizeHost(host)
		if name == "localhost" || strings.HasSuffix(name, ".localhost") {
			return
		}
		a, err := netip.ParseAddr(name)
		assert.True(t, err == nil && a.Unmap().IsLoopback(), "expected %q to be rejected", host)
	})
}
