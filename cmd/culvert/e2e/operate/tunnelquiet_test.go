package operate

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/e2etest"
)

// Clients that try again and again fill no log with one and the same reason.
func TestTunnelIsQuietAboutWhatItHasSaid(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	double, lines := behind(t, p)
	double.Unmap("kafka.virtual:9092")
	c := p.Start("tunnel", "-p", p.File("worker.properties", lines...), "--listen", "127.0.0.1:0")
	c.Eventually("the bootstrap listener", func() bool { return strings.Contains(c.Stdout.String(), " bootstrap ") })
	for range 40 {
		conn, err := net.Dial("tcp", strings.Fields(c.Stdout.String())[0])
		e2etest.NoError(t, err)
		conn.SetDeadline(time.Now().Add(e2etest.ComesAbout))
		if _, err := io.Copy(io.Discard, conn); err != nil {
			t.Errorf("expected the connection to be closed, found %v", err)
		}
		conn.Close()
	}
	r := c.Stop()
	if n := strings.Count(r.Stderr, "level="); n == 0 || n >= 40 || !strings.Contains(r.Stderr,
		"add kafka.virtual:9092") {
		t.Errorf("expected the reason to be said less often than it is met, found %d lines\n%s", n, r.Stderr)
	}
}
