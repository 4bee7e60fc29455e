//go:build real

package connectivitytest_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/porttest"
	"github.com/culvert-project/culvert/internal/transport/connectivitytest"
)

// The client of SAP's article on Kafka through the Cloud Connector, which works with SAP's proxy, works with this
// server. It shares no code with Culvert.
func TestRealArticle(t *testing.T) {
	fetch := exec.Command("../../../testdata/peers/socksv5/fetch.sh")
	fetch.Stderr = os.Stderr
	home, err := fetch.Output()
	require.NoError(t, err)
	s := start(t)
	s.Attach("DE-Berlin")
	s.MapAt("DE-Berlin", "kafka.cloud:9092", echo(t, "hello "))
	s.Map("10.9.8.7:9092", echo(t, "hello "))
	s.Map("dead.cloud:9092", "127.0.0.1:1")
	validToken := s.Issue(s.Connectivity)
	host, port, _ := net.SplitHostPort(s.SOCKS5)
	run := func(token, target, location string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		name, number, _ := strings.Cut(target, ":")
		client := exec.CommandContext(ctx, "node", "--no-deprecation", filepath.Join(strings.TrimSpace(string(home)),
			"client.js"), host, port, name, number, location)
		client.Env = append(os.Environ(), "JWT="+token)
		client.Stdin = strings.NewReader("is anybody there?")
		var stderr bytes.Buffer
		client.Stderr = &stderr
		out, err := client.Output()
		require.True(t, err == nil || client.ProcessState.ExitCode() == 1, "%s: %v\n%s", target, err, &stderr)
		return string(out)
	}
	for _, fragment := range []bool{false, true} {
		s.Fragment(fragment)
		for _, c := range []struct {
			name     string
			token    string
			target   string
			location string
			want     string
		}{
			{
				name:     "by name and location id",
				token:    validToken,
				target:   "kafka.cloud:9092",
				location: "DE-Berlin",
				want:     "hello is anybody there?",
			},
			{
				name:   "by address, without location id",
				token:  validToken,
				target: "10.9.8.7:9092",
				want:   "hello is anybody there?",
			},
			{name: "not exposed", token: validToken, target: "other.cloud:9092", want: "EACCES"},
			{
				name:     "no Cloud Connector",
				token:    validToken,
				target:   "kafka.cloud:9092",
				location: "US",
				want:     "ENETUNREACH",
			},
			{name: "nobody there", token: validToken, target: "dead.cloud:9092", want: "EHOSTUNREACH"},
			{name: "token of another client", token: s.Issue(s.XSUAA), target: "10.9.8.7:9092", want: "EAUTHFAILED"},
		} {
			assert.Equal(t, c.want, run(c.token, c.target, c.location), c.name, "in pieces", fragment)
		}
	}
	s.RefuseByReply(true)
	assert.Equal(t, "ECONNREFUSED", run("eyJ", "10.9.8.7:9092", ""), "rejected by REP")
	tunnels := s.Count(func(e connectivitytest.Entry) bool {
		return e.Step == connectivitytest.Connect && e.Code == 0 && e.Sent == int64(len("is anybody there?"))
	})
	assert.Equal(t, 4, tunnels, "tunnels in the ledger")
}

func start(t *testing.T) *connectivitytest.Server {
	t.Helper()
	s := connectivitytest.NewServer()
	t.Cleanup(s.Close)
	return s
}

// echo is a system that sends a greeting and then echoes.
func echo(t *testing.T, greeting string) string {
	return porttest.Serve(t, func(conn net.Conn) {
		io.WriteString(conn, greeting)
		io.Copy(conn, conn)
	})
}
