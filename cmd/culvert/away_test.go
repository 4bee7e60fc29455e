package main

import (
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/culvert-project/culvert/examples/demo-service/service"
	"github.com/culvert-project/culvert/host/porttest"
)

// A broker that is away is said, and its return, and not by each of the worker's clients for each of its tries: first
// its port is closed, then somebody answers there who ends every connection. That it is one line each,
// host/kafka.TestOutages shows; here a machine that is slow may hold one client up so long that it adds its own.
func TestBrokerAwayIsOneLine(t *testing.T) {
	t.Parallel()
	p, data := newPlace(t), t.TempDir()
	s, address := demo(t, service.Options{Rows: 20})
	at := porttest.Address(t)
	startBroker := func() *command {
		b := p.start("broker", "--data", data, "--listen", at)
		b.eventually("an address", func() bool { return strings.Contains(b.stdout.String(), "\n") })
		return b
	}
	broker := startBroker()
	worker := p.file("worker.properties", "bootstrap.servers="+strings.Replace(at, "127.0.0.1", "localhost", 1),
		"listeners=",
		"offset.flush.interval.ms=200")
	var connectors []string
	for _, set := range []string{"Orders", "Products"} {
		lines := append(source(set, address, set), "sap.odata#00.exec-period=1")
		connectors = append(connectors, p.file(set+".properties", lines...))
	}
	connectors = append(connectors, p.file("details.properties", source("details", address, "Order_Details")...),
		p.file("back.properties", sinkOf("back", address, "Order_Details", "Order_DetailCopies")...))
	c := p.start(append([]string{"run", "--plugins", plugins(t, "odata-sink"), "--data", p.data, worker},
		connectors...)...)
	c.eventually("rows at the other end",
		func() bool { return s.Count("Order_DetailCopies") == s.Count("Order_Details") })
	before := len(c.stderr.String())
	broker.signal(syscall.SIGKILL)
	broker.wait()
	c.says("kafka: a broker is away")
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	for range 30 { // tries of all clients
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	l.Close()
	startBroker()
	c.says("kafka: a broker is back")
	sent := s.Ledger().Rows
	c.eventually("rows again", func() bool { return s.Ledger().Rows > sent+100 })
	c.signal(syscall.SIGTERM)
	r := c.wait()
	if r.code != 0 {
		t.Errorf("exit %d", r.code)
	}
	for _, said := range []string{"kafka: a broker is away", "kafka: a broker is back"} {
		if n := strings.Count(r.stderr, said); n > 10 {
			t.Errorf("expected %q once, or few times on a slow machine, found it %d times:\n%s", said, n,
				r.stderr[before:])
		}
	}
	// Those whose work waited may say so: the offsets of three sources, and the sink's, once each and seldom again.
	var others []string
	for line := range strings.Lines(r.stderr[before:]) {
		if (strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR")) && !strings.Contains(line,
			"a broker is away") {
			others = append(others, line)
		}
	}
	if len(others) > 16 {
		t.Errorf("expected at most 16 other lines, found %d:\n%s", len(others), strings.Join(others, ""))
	}
}
