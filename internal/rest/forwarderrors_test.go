package rest

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
)

// An error of a hop names the URL.
func TestForwardingErrors(t *testing.T) {
	away, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	away.Close()
	unreachable := "http://" + away.Addr().String()
	odd := oddLeader(t)
	for name, c := range map[string]struct {
		leader string
		status int
		want   string
	}{
		"away":         {unreachable, 500, "IO Error trying to forward REST request: "},
		"closed":       {odd, 500, "IO Error trying to forward REST request: "},
		"elsewhere":    {odd, 500, "Unexpected status code when handling forwarded request: 307 from "},
		"chunked":      {odd, 500, "expected a response with Content-Length from "},
		"ftp":          {"ftp://example.com", 500, "expected http://HOST:PORT or https://HOST:PORT as the URL that a worker"},
		"path":         {unreachable + "/connect", 500, "expected http://HOST:PORT or https://HOST:PORT"},
		"password":     {"http://a:b@example.com", 500, "expected http://HOST:PORT or https://HOST:PORT"},
		"no URL":       {"\x00", 500, "expected http://HOST:PORT or https://HOST:PORT"},
		"unauthorized": {odd, 401, ""},
		"not https":    {strings.Replace(odd, "http:", "https:", 1), 500, "server gave HTTP response to HTTPS client"},
	} {
		a := newFollower(t, c.leader)
		answer, body := a.send(t, "DELETE", "/connectors/"+name, "")
		if answer.StatusCode != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s: expected %d %s, found %d %s", name, c.status, c.want, answer.StatusCode, body)
		}
		if c.status == 500 && !strings.Contains(body, strings.Trim(c.leader, "\x00")) {
			t.Errorf("%s: expected the URL, found %s", name, body)
		}
		if (answer.Header.Get("WWW-Authenticate") != "") != (c.status == 401) {
			t.Errorf("%s: found %v", name, answer.Header)
		}
	}
	answer, body := newFollower(t, odd).send(t, "DELETE", "/connectors/cut", "")
	if answer.StatusCode != 200 || !strings.Contains(body, "unexpected EOF") {
		t.Errorf("expected a truncated response, found %d %s", answer.StatusCode, body)
	}
}

// oddLeader returns the URL of a leader whose response depends on the name of the connector.
func oddLeader(t *testing.T) string {
	t.Helper()
	odd := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch name := strings.Split(r.URL.Path, "/")[2]; name {
		case "elsewhere":
			http.Redirect(w, r, "/connectors/unauthorized", http.StatusTemporaryRedirect)
		case "chunked":
			io.WriteString(w, "{")
			http.NewResponseController(w).Flush()
		case "cut":
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, `{"name"`)
		case "closed":
			panic(http.ErrAbortHandler)
		case "unauthorized":
			w.Header().Set("WWW-Authenticate", "Basic")
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	odd.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	t.Cleanup(odd.Close)
	return odd.URL
}

// If two workers advertise one URL, nothing is forwarded in circles.
func TestNothingIsForwardedInCircles(t *testing.T) {
	a := newFollower(t, "")
	a.set(func(s *seat) { s.owners = map[string]string{"a": strings.ToUpper(s.url[:4]) + s.url[4:] + "/"} })
	answer, body := a.send(t, "POST", "/connectors/a/restart", "")
	if answer.StatusCode != 500 || !strings.Contains(body, "advertises the URL of this one, "+a.url) {
		t.Errorf("found %d %s", answer.StatusCode, body)
	}
}

// No part of a body that is too large or incomplete is forwarded.
func TestIncompleteBodiesAreNotForwarded(t *testing.T) {
	forwarded := false
	leader := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { forwarded = true }))
	defer leader.Close()
	a := newFollower(t, leader.URL)
	answer, body := a.send(t, "POST", "/connectors", strings.Repeat("x", maxBodyBytes+1), "Content-Type",
		"application/json")
	if answer.StatusCode != 413 || forwarded {
		t.Errorf("expected 413, found %d %s, forwarded: %t", answer.StatusCode, body, forwarded)
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(a.url, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	fmt.Fprintf(conn, "POST /connectors HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"+
		"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\nx\r\n")
	cut, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	if cut.StatusCode != 400 || forwarded {
		t.Errorf("expected 400, found %d, forwarded: %t", cut.StatusCode, forwarded)
	}
}
