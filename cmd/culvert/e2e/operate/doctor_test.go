package operate

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/porttest"
	"github.com/culvert-project/culvert/internal/transport/connectivitytest"
)

var northwind = strings.TrimSuffix(odatatest.NorthwindPath, "/")

// startBrokerBehindProxy starts a broker that is reachable only through the simulated connectivity service, and returns
// that and the lines of a worker's file.
func startBrokerBehindProxy(t *testing.T, p *e2etest.Place) (proxy *connectivitytest.Server, worker []string) {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "rows"))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	proxy = connectivitytest.NewServer()
	t.Cleanup(proxy.Close)
	broker := c.ListenAddrs()[0]
	proxy.Map("kafka.virtual:9092", broker)
	key := p.File("key.json", proxy.ServiceKey(0))
	return proxy, []string{"bootstrap.servers=" + broker, "kafka.proxy.type=sap-connectivity",
		"kafka.proxy.service.key=" + key,
		"kafka.proxy.address.map=" + broker + "=kafka.virtual:9092"}
}

func TestDoctor(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Switches: odatatest.Switches{CSRF: true}})
	folder := e2etest.Plugins(t, "odata-sink")
	proxy, lines := startBrokerBehindProxy(t, p)
	worker := p.File("worker.properties", lines...)
	connector := p.File("orders.properties", append(e2etest.Source("orders", address, "Products"),
		"sap.odata.user.name=u",
		"sap.odata.user.pwd=p")...)
	viaKafka := []string{"token", "cloud connectors", "proxy HOST", "greeting", "authentication", "connect HOST",
		"metadata HOST"}
	viaService := []string{"settings of the service", "connect HOST", "service " + northwind, "metadata " + northwind,
		"entityset " + northwind + "/Products", "catalogue", "settings", "topic Products"}

	r := p.Run("doctor", "-p", worker, "-p", connector, "--json", "--plugins", folder, "--data", p.Data)
	if d := cmp.Diff(slices.Concat(viaKafka, viaService), e2etest.DoctorSteps(t, r)); r.Code != 0 || d != "" {
		t.Errorf("expected exit 0 and these steps, found exit %d (-want +got)\n%s%s\n%s", r.Code, d, r.Stdout, r.Stderr)
	}

	host, port, _ := strings.Cut(address, ":")
	writer := p.File("writer.properties", "name=w", "connector.class=ODataSink", "topics=T",
		"sap.odata.host.protocol=http", "sap.odata.host.address="+host,
		"sap.odata.host.port="+port, "sap.odata#00.service="+odatatest.NorthwindPath, "sap.odata#00.entityset=Products",
		"sap.odata#00.topic=T")
	p.Run("doctor", "-p", writer, "--plugins", folder, "--data", p.Data).
		WantCode(0).WantStdout("csrf "+northwind, "the service issues CSRF tokens")

	proxy.Unmap("kafka.virtual:9092")
	r = p.Run("doctor", "-p", worker, "-p", connector, "--json", "--plugins", folder, "--data", p.Data).WantCode(1)
	d := cmp.Diff(append(viaKafka[:5:5], "connect HOST FAIL kafka.proxy.address.map"), e2etest.DoctorSteps(t, r))
	assert.True(t, d == "", "steps (-want +got)\n%s", d)
	r = p.Run("doctor", "-p", worker).WantCode(1)
	last := r.Stdout[strings.LastIndex(strings.TrimSpace(r.Stdout), "\n")+1:]
	assert.Contains(t, last, "FAIL", "ms", "kafka.proxy.address.map:", "kafka.virtual:9092", "Access Control")
	assert.Equal(t, "", r.Stderr, "on stderr")
}

// Besides reachable brokers, doctor checks the rights of the clients' user on the topics, and a schema registry that
// requires its user.
func TestDoctorChecksRightsAndTheRegistry(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	folder := e2etest.Plugins(t, "odata-sink")
	allow := func(topic string, operation kmsg.ACLOperation) kfake.ACL {
		return kfake.ACL{Resource: kmsg.ACLResourceTypeTopic, Name: topic, Pattern: kmsg.ACLResourcePatternTypeLiteral,
			Operation: operation, Allow: true}
	}
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "written", "seen", "closed", "read"),
		kfake.EnableSASL(), kfake.EnableACLs(), kfake.User("PLAIN", "u", "p", allow("written", kmsg.ACLOperationWrite),
			allow("written", kmsg.ACLOperationDescribe), allow("new", kmsg.ACLOperationDescribe),
			allow("seen", kmsg.ACLOperationDescribe), allow("read", kmsg.ACLOperationDescribe),
			allow("read", kmsg.ACLOperationRead)))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	worker := p.File("worker.properties", "bootstrap.servers="+c.ListenAddrs()[0], "security.protocol=SASL_PLAINTEXT",
		"sasl.mechanism=PLAIN", "sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required "+
			`username="u" password="p";`)
	_, address := e2etest.StartDemo(t, odatatest.Options{})
	closed := porttest.Address(t)
	source := func(topic string, more ...string) []string {
		return append(e2etest.WithSettings(e2etest.Source("orders", address, "Products"), "sap.odata#00.topic="+topic),
			more...)
	}
	for name, c := range map[string]struct {
		lines []string
		last  string // the last step
		want  string // a part of the output
	}{
		"may write":     {lines: source("written"), last: "topic written", want: "DESCRIBE, WRITE"},
		"not there yet": {lines: source("new"), last: "topic new", want: "does not exist"},
		"may not write": {
			lines: source("seen"),
			last:  "topic seen FAIL sap.odata#00.topic",
			want:  "the right WRITE on the resource Topic",
		},
		"may not see": {lines: source("closed"), last: "topic closed FAIL sap.odata#00.topic", want: "DESCRIBE"},
		"may read": {
			lines: e2etest.Sink("s", address, "read", "OrderCopies"),
			last:  "topic read",
			want:  "DESCRIBE, READ",
		},
		"may not read": {
			lines: e2etest.Sink("s", address, "seen", "OrderCopies"),
			last:  "topic seen FAIL topics",
			want:  "the right READ",
		},
		"no dead letters": {
			lines: append(e2etest.Sink("s", address, "read", "OrderCopies"), "errors.tolerance=all",
				"errors.deadletterqueue.topic.name=seen"),
			last: "topic seen FAIL errors.deadletterqueue.topic.name",
			want: "WRITE",
		},
		"no registry": {
			lines: source("written", "value.converter=io.confluent.connect.avro.AvroConverter",
				"value.converter.schema.registry.url=http://"+closed),
			last: "schema registry http://HOST FAIL value.converter.schema.registry.url",
			want: closed,
		},
	} {
		t.Run(name, func(t *testing.T) {
			file := p.File("c.properties", c.lines...)
			r := p.Run("doctor", "-p", worker, "-p", file, "--json", "--plugins", folder, "--data",
				e2etest.NewPlace(t).Data)
			got := e2etest.DoctorSteps(t, r)
			last := got[len(got)-1]
			assert.True(t, last == c.last && strings.Contains(r.Stdout, c.want) &&
				(r.Code != 0) == strings.Contains(c.last, "FAIL"),
				"expected the last step %q with %q, found exit %d\n%s%s", c.last, c.want, r.Code, r.Stdout, r.Stderr)
		})
	}
}

// If doctor waits for the end of an outage, or runs repeatedly, it tries each logon once only.
func TestDoctorAsksOnce(t *testing.T) {
	t.Parallel()
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Switches: odatatest.Switches{Status: 503,
		StatusCount: 1000}})
	folder := e2etest.Plugins(t)
	proxy := connectivitytest.NewServer()
	t.Cleanup(proxy.Close)
	key := "sap.odata.proxy.service.key=" + p.File("key.json", proxy.ServiceKey(0))
	away := append(e2etest.Source("away", "s4.virtual:8000", "Products"), "sap.odata.proxy.type=sap-connectivity-http",
		"sap.odata.proxy.location.id=DE-Berlin", key)
	for name, lines := range map[string][]string{"busy": e2etest.Source("busy", address, "Products"), "away": away} {
		p.Run("doctor", "-p", p.File(name+".properties", lines...), "--json", "--plugins", folder, "--data", p.Data).
			WantCode(1).WantStdout("HTTP 503")
	}
	n := s.Ledger().Total
	assert.True(t, n == 1, "expected 1 request to the service, found %d: %+v", n, s.Ledger().Requests)
	n = proxy.Count(func(e connectivitytest.Entry) bool { return e.Port == "http" })
	assert.Equal(t, 1, n, "request to the proxy")
}

func TestTunnel(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	proxy, lines := startBrokerBehindProxy(t, p)
	c := p.Start("tunnel", "-p", p.File("worker.properties", lines...), "--listen", "127.0.0.1:0")
	c.Eventually("a listener for the broker", func() bool { return strings.Count(c.Stdout.String(), "\n") == 2 })
	listeners := regexp.MustCompile(`^(127\.0\.0\.1:\d+) bootstrap 127\.0\.0\.1:\d+\n` +
		`(127\.0\.0\.1:\d+) broker 0 127\.0\.0\.1:\d+\n$`).FindStringSubmatch(c.Stdout.String())
	require.True(t, listeners != nil, "expected the listeners of bootstrap.servers and of a broker, found\n%s",
		c.Stdout.String())
	ctx, cancel := context.WithTimeout(context.Background(), e2etest.WaitLimit)
	defer cancel()
	client := e2etest.NewClient(t, listeners[1], kgo.DefaultProduceTopic("rows"),
		kgo.ConsumeTopics("rows"),
		kgo.ConsumerGroup("g"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.Dialer(func(ctx context.Context, network, address string) (net.Conn, error) {
			assert.True(t, address == listeners[1] || address == listeners[2],
				"expected only addresses of the tunnel, found %s", address)
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}))
	const count = 1000
	for i := range count {
		client.Produce(ctx, kgo.StringRecord(fmt.Sprint(i)), nil)
	}
	require.NoError(t, client.Flush(ctx))
	isSeen := map[string]bool{}
	for len(isSeen) < count {
		fetches := client.PollFetches(ctx)
		require.True(t, ctx.Err() == nil, "expected %d records, found %d\n%s", count, len(isSeen), c.Stderr.String())
		fetches.EachRecord(func(r *kgo.Record) { isSeen[string(r.Value)] = true })
	}
	assert.True(t, proxy.Tunnels() != 0, "expected connections through the proxy, found none")
	c.MustStop()
}

// --log-level debug logs each request with its response, but never a secret.
func TestRequestsAtDebug(t *testing.T) {
	t.Parallel()
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 50, PageSize: 20, User: "demo",
		Password: "s3cr3t pass"})
	lines := append(e2etest.Source("orders", address, "Orders"), "sap.odata.user.name=demo",
		"sap.odata.user.pwd=s3cr3t pass",
		"sap.odata.header.APIKey=k3y-of-a-gateway")
	r := p.MustRun("run", "--once", "--log-level", "debug", "--plugins", e2etest.Plugins(t), "--data", p.Data,
		p.File("orders.properties", lines...))
	line := regexp.MustCompile(
		`level=DEBUG msg=request connector=orders method=(\w+) path="?([^ "]+)"? status=(\d+) bytes=(\d+) ms=\d+\n`)
	matches := line.FindAllStringSubmatch(r.Stderr, -1)
	assert.True(t, len(matches) == s.Ledger().Total,
		"expected a line for each of %d requests, found %d in\n%s", s.Ledger().Total, len(matches), r.Stderr)
	pages := 0
	for _, m := range matches { // method, path, status, bytes
		if m[1] == "GET" && strings.HasPrefix(m[2], northwind+"/Orders?$") && m[3] == "200" && m[4] != "0" {
			pages++
		}
	}
	assert.True(t, pages >= 3, "expected 3 pages with their path and bytes, found %d in %q", pages, matches)
	r.WantNo("s3cr3t", "k3y-of", "ZGVtbzpzM2NyM3")

	closed := p.File("closed.properties", e2etest.Source("closed", porttest.Address(t), "Orders")...)
	// In JSON each line is an object with its place in the source.
	r = p.Run("ping", "-p", closed, "-s", odatatest.NorthwindPath, "--log-level", "debug", "--log-format", "json",
		"--plugins", e2etest.Plugins(t))
	requests := 0
	for line := range strings.Lines(r.Stderr) {
		var l map[string]any
		if json.Unmarshal([]byte(line), &l) == nil && l["msg"] == "request" && l["level"] == "DEBUG" &&
			l["status"] == 0.0 && regexp.MustCompile(`^transport\..+:\d+$`).MatchString(
			fmt.Sprint(l["ohja.location"])) {
			requests++
		}
	}
	assert.True(t, requests != 0, "expected requests in JSON, found\n%s", r.Stderr)
}
