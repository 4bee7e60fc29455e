package source

import (
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"net"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/porttest"
	"github.com/culvert-project/culvert/internal/transport/connectivitytest"
)

// The Cloud Connector in front of both the service and Kafka stops under a worker with a source and a sink, and with it
// all tunnels, and starts again. No task fails, and nothing is lost.
func TestCloudConnectorAway(t *testing.T) {
	t.Parallel()
	outage := e2etest.LongOrShort(time.Minute, 4*time.Second)
	rows := e2etest.LongOrShort(4000, 2000)
	p := e2etest.NewPlace(t)
	folder := e2etest.Plugins(t, "odata-sink")
	btp := connectivitytest.NewServer()
	t.Cleanup(btp.Close)
	p.Environ = []string{"VCAP_SERVICES=" + btp.VCAP(0), "NO_PROXY="}
	issuer := httptest.NewTLSServer(nil)
	issuer.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.TLS(&tls.Config{Certificates: issuer.TLS.Certificates}),
		kfake.ListenFn(func(string, string) (net.Listener, error) {
			return renamedListener{Listener: l, name: "example.com:9092"}, nil
		}))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	s, address := e2etest.StartDemo(t, odatatest.Options{Rows: rows, PageSize: 40,
		Switches: odatatest.Switches{SlowFirstByte: 20 * time.Millisecond}})
	btp.Map("example.com:9092", l.Addr().String())
	btp.Map("s4.virtual:8000", address)
	listen := porttest.Address(t)
	roots := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: issuer.Certificate().Raw}))
	worker := p.File("worker.properties", "bootstrap.servers=example.com:9092", "kafka.proxy.type=sap-connectivity",
		"security.protocol=SSL", "ssl.truststore.type=PEM", "ssl.truststore.location="+p.File("roots.pem", roots),
		"listeners=http://"+listen, "offset.flush.interval.ms=500")
	proxySettings := []string{"sap.odata.proxy.type=sap-connectivity-http", "sap.odata.max.retries=3",
		"sap.odata.min.retry.backoff.ms=10", "sap.odata.max.retry.backoff.ms=100"}
	sourceFile := p.File("there.properties", e2etest.WithSettings(e2etest.Source("there", "s4.virtual:8000", "Orders"),
		proxySettings...)...)
	back := p.File("back.properties", e2etest.WithSettings(e2etest.Sink("back", "s4.virtual:8000", "Orders",
		"OrderCopies"), proxySettings...)...)
	c := p.StartFor(e2etest.Limit+outage, "run", "--plugins", folder, "--data", p.Data, worker, sourceFile, back)

	c.Eventually("rows on their way", func() bool { return s.Count("OrderCopies") > 100 })
	n := s.Count("OrderCopies")
	require.True(t, n < s.Count("Orders"), "expected rows that have not arrived before the outage, found all %d", n)
	btp.Detach("")
	for end := time.Now().Add(outage); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		checkRunning(t, c, listen)
	}
	during := s.Count("OrderCopies")
	btp.Attach("")
	c.Eventually("all rows back", func() bool {
		checkRunning(t, c, listen)
		return s.Count("OrderCopies") >= s.Count("Orders")
	})
	if btp.Count(func(e connectivitytest.Entry) bool { return e.Port == "socks5" && e.Code == 3 }) == 0 ||
		btp.Count(func(e connectivitytest.Entry) bool { return e.Port == "http" && e.Code == 503 }) == 0 {
		t.Errorf("expected refusals at both ports during the outage, found none at one; %d rows at its end", during)
	}
	assert.Equal(t, s.Count("Orders"), s.Count("OrderCopies"), "rows to be written back")
	c.MustStop()
	p.Run("consume", "Orders", "-p", worker).WantCode(0).WantStdout(`"OrderID"`)
}

// checkRunning fails the test if a task is in another state than RUNNING or UNASSIGNED.
func checkRunning(t *testing.T, c *e2etest.Command, listen string) {
	t.Helper()
	for _, name := range []string{"there", "back"} {
		var status connect.Status
		code := e2etest.Get(t, fmt.Sprintf("http://%s/connectors/%s/status", listen, name), &status)
		require.True(t, code == 200, "status of %s: %d", name, code)
		for _, task := range status.Tasks {
			require.True(t, task.State == connect.Running || task.State == connect.Unassigned, "%s is %s: %s\n%s", name,
				task.State, task.Trace, c.Stderr.String())
		}
	}
}

// renamedListener is a listener of a broker that advertises another name, as host:port.
type renamedListener struct {
	net.Listener
	name string
}

func (l renamedListener) Addr() net.Addr { return l }

func (renamedListener) Network() string { return "tcp" }

func (l renamedListener) String() string { return l.name }
