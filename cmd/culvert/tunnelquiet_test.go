package main

import (
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Clients that try again and again fill no log with one and the same reason.
func TestTunnelIsQuietAboutWhatItHasSaid(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	double, lines := behind(t, p)
	double.Unmap("kafka.virtual:9092")
	c := p.start("tunnel", "-p", p.file("worker.properties", lines...), "--listen", "127.0.0.1:0")
	c.eventually("the bootstrap listener", func() bool { return strings.Contains(c.stdout.String(), " bootstrap ") })
	for range 40 {
		conn, err := net.Dial("tcp", strings.Fields(c.stdout.String())[0])
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(comesAbout))
		if _, err := io.Copy(io.Discard, conn); err != nil {
			t.Errorf("expected the connection to be closed, found %v", err)
		}
		conn.Close()
	}
	c.signal(syscall.SIGTERM)
	r := c.wait()
	if n := strings.Count(r.stderr, "level="); n == 0 || n > 10 || !strings.Contains(r.stderr,
		"add kafka.virtual:9092") {
		t.Errorf("expected the reason to be said a few times, found %d lines\n%s", n, r.stderr)
	}
}
