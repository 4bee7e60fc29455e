package main

import (
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/culvert-project/culvert/examples/demo-service/service"
)

// A broker that is away is one line, and its return another, however many clients the worker has and however often they
// try: first its port is closed, then somebody answers there who ends every connection.
func TestBrokerAwayIsOneLine(t *testing.T) {
	t.Parallel()
	p, data := newPlace(t), t.TempDir()
	s, address := demo(t, service.Options{Rows: 20})
	at := freeAddress(t)
	startBroker := func() *command {
		b := p.start("broker", "--data", data, "--listen", at)
		b.eventually("an address", func() bool { return strings.Contains(b.stdout.String(), "\n") })
		return b
	}
	broker := startBroker()
	worker := p.file("worker.properties", "bootstrap.servers="+strings.Replace(at, "127.0.0.1", "localhost", 1), "listeners=",
		"offset.flush.interval.ms=200", "offset.flush.timeout.ms=300")
	var connectors []string
	for _, set := range []string{"Orders", "Products"} {
		lines := append(source(set, address, set), "sap.odata#00.exec-period=1")
		connectors = append(connectors, p.file(set+".properties", lines...))
	}
	connectors = append(connectors, p.file("details.properties", source("details", address, "Order_Details")...),
		p.file("back.properties", sinkOf("back", address, "Order_Details", "Order_DetailCopies")...))
	c := p.start(append([]string{"run", "--plugins", plugins(t, "odata-sink"), "--data", p.data, worker}, connectors...)...)
	c.eventually("rows at the other end", func() bool { return s.Count("Order_DetailCopies") == s.Count("Order_Details") })
	before := len(c.stderr.String())
	broker.signal(syscall.SIGKILL)
	broker.wait()
	c.says("kafka: a broker is away")
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	for range 6 { // tries of all clients
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
	if n := strings.Count(r.stderr, "kafka: a broker is away"); n != 1 {
		t.Errorf("expected one line about the broker that is away, found %d", n)
	}
	if n := strings.Count(r.stderr, "kafka: a broker is back"); n != 1 {
		t.Errorf("expected one line about its return, found %d", n)
	}
	// Those whose work waited may say so once: the offsets of two sources, and the sink's.
	var others []string
	for line := range strings.Lines(r.stderr[before:]) {
		if (strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR")) && !strings.Contains(line, "a broker is away") {
			others = append(others, line)
		}
	}
	if len(others) > 3 {
		t.Errorf("expected at most 3 other lines, found %d:\n%s", len(others), strings.Join(others, ""))
	}
}
