package delivery

import (
	"net"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/porttest"
)

// The log reports that a broker is unreachable and that it is back: first its port is closed, then a listener closes
// every connection. All connectors continue without help. internal/kafka.TestOutages checks that each report is one
// line; here a client may add a line of its own on a slow machine.
func TestBrokerAwayIsSaid(t *testing.T) {
	t.Parallel()
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 20})
	data := t.TempDir()
	brokerAddress := porttest.Address(t)
	startBroker := func() *e2etest.Command { return p.StartBrokerAt(data, brokerAddress) }
	broker := startBroker()
	worker := p.File("worker.properties", "bootstrap.servers="+strings.Replace(brokerAddress, "127.0.0.1", "localhost",
		1), "listeners=", "offset.flush.interval.ms=200")
	var connectors []string
	for _, set := range []string{"Orders", "Products"} {
		lines := append(e2etest.Source(set, address, set), "sap.odata#00.exec-period=1")
		connectors = append(connectors, p.File(set+".properties", lines...))
	}
	connectors = append(connectors, p.File("details.properties",
		e2etest.Source("details", address, "Order_Details")...),
		p.File("back.properties", e2etest.Sink("back", address, "Order_Details", "Order_DetailCopies")...))
	c := p.Start(append([]string{"run", "--plugins", e2etest.Plugins(t, "odata-sink"), "--data", p.Data, worker},
		connectors...)...)
	c.Eventually("rows at the other end",
		func() bool { return s.Count("Order_DetailCopies") == s.Count("Order_Details") })
	broker.Kill()
	c.AwaitStderr("kafka: a broker is unreachable")
	l, err := net.Listen("tcp", brokerAddress)
	require.NoError(t, err)
	for range 5 { // some clients try to connect
		conn, err := l.Accept()
		require.NoError(t, err)
		conn.Close()
	}
	l.Close()
	startBroker()
	c.AwaitStderr("kafka: a broker is reachable again")
	sent := s.Ledger().Rows
	c.Eventually("rows again", func() bool { return s.Ledger().Rows > sent+100 })
	c.Stop().WantCode(0)
}
