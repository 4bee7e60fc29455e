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

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// An error of a hop names the URL.
func TestForwardingErrors(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	listener.Close()
	unreachable := "http://" + listener.Addr().String()
	oddURL := oddLeader(t)
	for name, c := range map[string]struct {
		leader string
		status int
		want   string
	}{
		"away":   {leader: unreachable, status: 500, want: "IO Error trying to forward REST request: "},
		"closed": {leader: oddURL, status: 500, want: "IO Error trying to forward REST request: "},
		"elsewhere": {
			leader: oddURL,
			status: 500,
			want:   "Unexpected status code when handling forwarded request: 307 from ",
		},
		"chunked": {leader: oddURL, status: 500, want: "expected a response with Content-Length from "},
		"ftp": {
			leader: "ftp://example.com",
			status: 500,
			want:   "expected http://HOST:PORT or https://HOST:PORT as the URL that a worker",
		},
		"path": {
			leader: unreachable + "/connect",
			status: 500,
			want:   "expected http://HOST:PORT or https://HOST:PORT",
		},
		"password": {
			leader: "http://a:b@example.com",
			status: 500,
			want:   "expected http://HOST:PORT or https://HOST:PORT",
		},
		"no URL":       {leader: "\x00", status: 500, want: "expected http://HOST:PORT or https://HOST:PORT"},
		"unauthorized": {leader: oddURL, status: 401},
		"not https": {
			leader: strings.Replace(oddURL, "http:", "https:", 1),
			status: 500,
			want:   "server gave HTTP response to HTTPS client",
		},
	} {
		follower := newFollower(t, c.leader)
		answer, body := follower.send(t, "DELETE", "/connectors/"+name, "")
		assert.True(t, answer.StatusCode == c.status && strings.Contains(body, c.want),
			"%s: expected %d %s, found %d %s", name, c.status, c.want, answer.StatusCode, body)
		assert.True(t, c.status != 500 || strings.Contains(body, strings.Trim(c.leader, "\x00")),
			"%s: expected the URL, found %s", name, body)
		assert.True(t, (answer.Header.Get("WWW-Authenticate") != "") == (c.status == 401),
			"%s: expected WWW-Authenticate only with 401, found %v", name, answer.Header)
	}
	answer, body := newFollower(t, oddURL).send(t, "DELETE", "/connectors/cut", "")
	assert.True(t, answer.StatusCode == 200 && strings.Contains(body, "unexpected EOF"),
		"expected a truncated response, found %d %s", answer.StatusCode, body)
}

// oddLeader returns the URL of a leader whose response depends on the name of the connector.
func oddLeader(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
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
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	t.Cleanup(server.Close)
	return server.URL
}

// If two workers advertise one URL, nothing is forwarded in circles.
func TestNothingIsForwardedInCircles(t *testing.T) {
	follower := newFollower(t, "")
	follower.set(func(s *seat) { s.owners = map[string]string{"a": strings.ToUpper(s.url[:4]) + s.url[4:] + "/"} })
	answer, body := follower.send(t, "POST", "/connectors/a/restart", "")
	assert.True(t, answer.StatusCode == 500 && strings.Contains(body, "advertises the URL of this one, "+follower.url),
		"expected 500 with this worker's own URL, found %d %s", answer.StatusCode, body)
}

// No part of a body that is too large or incomplete is forwarded.
func TestIncompleteBodiesAreNotForwarded(t *testing.T) {
	isForwarded := false
	leader := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { isForwarded = true }))
	defer leader.Close()
	follower := newFollower(t, leader.URL)
	answer, body := follower.send(t, "POST", "/connectors", strings.Repeat("x", maxBodyBytes+1), "Content-Type",
		"application/json")
	assert.True(t, answer.StatusCode == 413 && !isForwarded,
		"expected 413, found %d %s, forwarded: %t", answer.StatusCode, body, isForwarded)
	conn, err := net.Dial("tcp", strings.TrimPrefix(follower.url, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	fmt.Fprintf(conn, "POST /connectors HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"+
		"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\nx\r\n")
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	assert.True(t, response.StatusCode == 400 && !isForwarded,
		"expected 400, found %d, forwarded: %t", response.StatusCode, isForwarded)
}
