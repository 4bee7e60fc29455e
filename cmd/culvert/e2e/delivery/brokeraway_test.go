package delivery

import (
	"net"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/porttest"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// A broker that is away is said, and its return, and not by each of the worker's clients for each of its tries: first
// its port is closed, then somebody answers there who ends every connection. That it is one line each,
// host/kafka.TestOutages shows; here a machine that is slow may hold one client up so long that it adds its own.
func TestBrokerAwayIsOneLine(t *testing.T) {
	t.Parallel()
	p, data := e2etest.NewPlace(t), t.TempDir()
	s, address := e2etest.Demo(t, odatatest.Options{Rows: 20})
	at := porttest.Address(t)
	startBroker := func() *e2etest.Command { return p.BrokerAt(data, at) }
	broker := startBroker()
	worker := p.File("worker.properties", "bootstrap.servers="+strings.Replace(at, "127.0.0.1", "localhost", 1),
		"listeners=",
		"offset.flush.interval.ms=200")
	var connectors []string
	for _, set := range []string{"Orders", "Products"} {
		lines := append(e2etest.Source(set, address, set), "sap.odata#00.exec-period=1")
		connectors = append(connectors, p.File(set+".properties", lines...))
	}
	connectors = append(connectors, p.File("details.properties", e2etest.Source("details", address, "Order_Details")...),
		p.File("back.properties", e2etest.SinkOf("back", address, "Order_Details", "Order_DetailCopies")...))
	c := p.Start(append([]string{"run", "--plugins", e2etest.Plugins(t, "odata-sink"), "--data", p.Data, worker},
		connectors...)...)
	c.Eventually("rows at the other end",
		func() bool { return s.Count("Order_DetailCopies") == s.Count("Order_Details") })
	before := len(c.Stderr.String())
	broker.Kill()
	c.Awaits("kafka: a broker is away")
	l, err := net.Listen("tcp", at)
	e2etest.NoError(t, err)
	for range 30 { // tries of all clients
		conn, err := l.Accept()
		e2etest.NoError(t, err)
		conn.Close()
	}
	l.Close()
	startBroker()
	c.Awaits("kafka: a broker is back")
	sent := s.Ledger().Rows
	c.Eventually("rows again", func() bool { return s.Ledger().Rows > sent+100 })
	r := c.Stop().Exits(0)
	for _, said := range []string{"kafka: a broker is away", "kafka: a broker is back"} {
		if n := strings.Count(r.Stderr, said); n > 10 {
			t.Errorf("expected %q once, or few times on a slow machine, found it %d times:\n%s", said, n,
				r.Stderr[before:])
		}
	}
	// Those whose work waited may say so: the offsets of three sources, and the sink's, once each and seldom again.
	var others []string
	for line := range strings.Lines(r.Stderr[before:]) {
		if (strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR")) && !strings.Contains(line,
			"a broker is away") {
			others = append(others, line)
		}
	}
	if len(others) > 16 {
		t.Errorf("expected at most 16 other lines, found %d:\n%s", len(others), strings.Join(others, ""))
	}
}
