//go:build real

package real

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/transport/connectivitytest"
)

// remoteCluster is three real brokers whose names do not resolve: they are reachable only through the double of the
// Connectivity proxy, with TLS and SASL.
type remoteCluster struct {
	double *connectivitytest.Server
	dir    string
	ports  string
	tls    string // folder with stores
	key    string // file of the service key
	// directServers has listeners that are not behind the proxy, to look at what arrived.
	directServers string
}

func startRemoteCluster(t *testing.T, p *e2etest.Place) *remoteCluster {
	t.Helper()
	c := &remoteCluster{double: connectivitytest.NewServer(), dir: t.TempDir()}
	t.Cleanup(c.double.Close)
	first := e2etest.ConsecutivePorts(t, 9)
	c.ports = strconv.Itoa(first)
	c.tls = filepath.Join(c.dir, "tls")
	e2etest.StartPeer(t, "kafka/start-3-brokers.sh", c.dir, []string{"VIRTUAL_PORT=" + strconv.Itoa(first+6)}, c.ports,
		c.dir)
	var direct []string
	for i := range 3 {
		c.double.Map(fmt.Sprintf("kafka-%d.virtual:9092", i+1), fmt.Sprintf("127.0.0.1:%d", first+6+i))
		direct = append(direct, fmt.Sprintf("127.0.0.1:%d", first+i))
	}
	c.directServers = strings.Join(direct, ",")
	c.key = p.File("key.json", c.double.ServiceKey(0))
	return c
}

// worker returns a worker's settings; with logon, Culvert logs on to the brokers.
func (c *remoteCluster) worker(logon bool) []string {
	settings := []string{"bootstrap.servers=kafka-1.virtual:9092,kafka-2.virtual:9092",
		"kafka.proxy.type=sap-connectivity", "kafka.proxy.service.key=" + c.key,
		"security.protocol=SSL", "ssl.truststore.location=" + filepath.Join(c.tls, "trust.p12"),
		"ssl.truststore.password=changeit"}
	if logon {
		settings = append(settings, "security.protocol=SASL_SSL", "sasl.mechanism=SCRAM-SHA-512",
			`sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required `+
				`username="admin" password="admin-secret";`)
	}
	return settings
}

// openTunnel runs culvert tunnel and returns the address to use as bootstrap.servers.
func (c *remoteCluster) openTunnel(t *testing.T, p *e2etest.Place, logon bool) (string, *e2etest.Command) {
	t.Helper()
	name := fmt.Sprintf("worker-%v.properties", logon)
	tunnel := p.StartFor(10*time.Minute, "tunnel", "-p", p.File(name, c.worker(logon)...), "--listen",
		fmt.Sprintf("127.0.0.1:%d", e2etest.ConsecutivePorts(t, 4)))
	tunnel.Eventually("the bootstrap listener", func() bool {
		return strings.Contains(tunnel.Stdout.String(), " bootstrap ")
	})
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("output of the tunnel:\n%s%s", tunnel.Stdout.String(), tunnel.Stderr.String())
		}
	})
	return strings.Fields(tunnel.Stdout.String())[0], tunnel
}

// TestRealTunnel lets kafkajs and Kafka's own tools use a remote cluster of three real brokers through culvert tunnel.
func TestRealTunnel(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	c := startRemoteCluster(t, p)
	node := nodeExample(t)
	address, tunnel := c.openTunnel(t, p, true)
	tunnel.Eventually("three brokers", func() bool { return strings.Count(tunnel.Stdout.String(), "\n") == 4 })
	for i, line := range strings.Split(strings.TrimSpace(tunnel.Stdout.String()), "\n")[1:] {
		want := fmt.Sprintf(`^127\.0\.0\.1:\d+ broker %d kafka-%d\.virtual:9092$`, i+1, i+1)
		assert.True(t, regexp.MustCompile(want).MatchString(line),
			"expected a line that matches %s, found %q", want, line)
	}
	t.Run("Doctor", func(t *testing.T) { c.testDoctor(t, p) })
	admin := kadm.NewClient(e2etest.NewClient(t, strings.Split(c.directServers, ",")[0]))
	for topic, partitions := range map[string]int32{"nodejs-trial": 6, "killed": 3, "dropped": 3} {
		_, err := admin.CreateTopic(t.Context(), partitions, 3, nil, topic)
		require.NoError(t, err)
	}
	t.Run("NodeJS", func(t *testing.T) { c.testNodeJS(t, node, address) })
	t.Run("Tools", func(t *testing.T) { c.testTools(t, address) })
	t.Run("BrokerKilled", func(t *testing.T) { c.testBrokerKilled(t, address) })
	t.Run("TunnelsDropped", func(t *testing.T) { c.testDropped(t, address) })
	t.Run("OwnLogon", func(t *testing.T) { c.testOwnLogon(t, p, node) })
	for i := range 3 {
		name := fmt.Sprintf("kafka-%d.virtual:9092", i+1)
		if c.double.Count(func(e connectivitytest.Entry) bool { return e.Target == name && e.Code == 0 }) == 0 {
			t.Errorf("expected a connection to %s through the double, found none", name)
		}
	}
	tunnel.MustStop()
}

func (c *remoteCluster) testDoctor(t *testing.T, p *e2etest.Place) {
	r := p.Run("doctor", "-p", filepath.Join(p.Dir, "worker-true.properties"), "--json")
	want := []string{"token", "cloud connectors", "proxy HOST", "greeting", "authentication"}
	for i := range 3 {
		address := fmt.Sprintf("kafka-%d.virtual:9092", i+1)
		want = append(want, "connect "+address, "tls "+address)
		if i == 0 {
			want = append(want, "sasl "+address, "metadata "+address)
		}
	}
	if got := e2etest.DoctorSteps(t, r); r.Code != 0 || !slices.Equal(got, want) {
		t.Errorf("expected exit 0 and the steps %q, found %d and %q\n%s%s", want, r.Code, got, r.Stdout, r.Stderr)
	}
	wrong := append(c.worker(true),
		`sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required `+
			`username="admin" password="wrong";`)
	r = p.Run("doctor", "-p", p.File("wrong.properties", wrong...))
	assert.True(t, r.Code == 1 && strings.Contains(r.Stdout, "FAIL") &&
		strings.Contains(r.Stdout, "sasl.jaas.config:") && !strings.Contains(r.Stdout+r.Stderr, `"wrong"`),
		"a wrong password: expected exit 1 and a message without it, found %d\n%s%s", r.Code, r.Stdout, r.Stderr)
}

// nodeExample fetches what examples/tunnel-nodejs needs and returns a folder in which it can run.
func nodeExample(t *testing.T) string {
	t.Helper()
	fetch := exec.Command("../../../../testdata/peers/kafkajs/fetch.sh")
	fetch.Stderr = os.Stderr
	out, err := fetch.Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(out))
}

// nodeCommand returns a program of the example.
func nodeCommand(ctx context.Context, dir, address string, env []string,
	args ...string) (c *exec.Cmd, stdout, stderr *e2etest.Buffer) {
	c = exec.CommandContext(ctx, "node", args...)
	c.Dir = dir
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = e2etest.PeerEndLimit
	c.Env = append(append(os.Environ(), "KAFKAJS_NO_PARTITIONER_WARNING=1", "KAFKA_BROKERS="+address), env...)
	stdout = &e2etest.Buffer{}
	stderr = &e2etest.Buffer{}
	c.Stdout = stdout
	c.Stderr = stderr
	return c, stdout, stderr
}

// countValues counts the values in the consumer's lines.
func countValues(t *testing.T, out string) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for line := range strings.Lines(out) {
		var m struct{ Value string }
		require.NoError(t, json.Unmarshal([]byte(line), &m))
		counts[m.Value]++
	}
	return counts
}

// testNodeJS checks that two members of one group share the records; one leaves, the other takes over, and nothing is
// lost.
func (c *remoteCluster) testNodeJS(t *testing.T, node, address string) {
	ctx, cancel := context.WithTimeout(context.Background(), e2etest.ToolLimit)
	defer cancel()
	produce := func(prefix string) {
		t.Helper()
		args := []string{"producer.js"}
		for i := range 600 {
			args = append(args, fmt.Sprint(prefix, i))
		}
		command, stdout, stderr := nodeCommand(ctx, node, address, nil, args...)
		if err := command.Run(); err != nil || !strings.Contains(stdout.String(), `"messages":600`) {
			t.Fatalf("producer.js: %v\n%s%s", err, stdout, stderr)
		}
	}
	type member struct {
		command *exec.Cmd
		stdout  *e2etest.Buffer
		stderr  *e2etest.Buffer
	}
	join := func() member {
		command, stdout, stderr := nodeCommand(ctx, node, address, []string{"GROUP=nodejs"}, "consumer.js")
		require.NoError(t, command.Start())
		return member{command: command, stdout: stdout, stderr: stderr}
	}
	await := func(what string, isDone func() bool) {
		t.Helper()
		for !isDone() {
			require.True(t, ctx.Err() == nil, "expected %s, found nothing in time", what)
			time.Sleep(50 * time.Millisecond) // of other programs nothing but their output can be waited for
		}
	}
	first := join()
	second := join()
	await("joining", func() bool {
		return strings.Contains(first.stderr.String(), "joined") && strings.Contains(second.stderr.String(), "joined")
	})
	produce("a")
	countMessages := func(members ...member) (n int) {
		for _, m := range members {
			n += strings.Count(m.stdout.String(), "\n")
		}
		return n
	}
	await("the first 600 messages", func() bool { return countMessages(first, second) >= 600 })
	first.command.Process.Signal(syscall.SIGTERM)
	assert.NoError(t, first.command.Wait(), "consumer.js", first.stderr)
	produce("b")
	await("the next 600 messages", func() bool { return countMessages(first, second) >= 1200 })
	second.command.Process.Signal(syscall.SIGTERM)
	assert.NoError(t, second.command.Wait(), "consumer.js", second.stderr)
	values := countValues(t, first.stdout.String()+second.stdout.String())
	for _, prefix := range []string{"a", "b"} {
		for i := range 600 {
			n := values[fmt.Sprint(prefix, i)]
			assert.True(t, n == 1, "expected message %s%d once, found %d times", prefix, i, n)
		}
	}
	described := e2etest.RunKafkaTool(t, "group", "--bootstrap-server", address, "--describe", "--group", "nodejs")
	assert.Equal(t, 1200, columnSum(described, "nodejs-trial", 3), "the group to commit", described)
}

// columnSum adds up a column of the lines that contain a word.
func columnSum(table, word string, column int) (sum int) {
	for line := range strings.Lines(table) {
		if fields := strings.Fields(line); slices.Contains(fields, word) && len(fields) > column {
			n, _ := strconv.Atoi(fields[column])
			sum += n
		}
	}
	return sum
}

// testTools runs console, performance and group tools, transactions, and the verifiable clients.
func (c *remoteCluster) testTools(t *testing.T, address string) {
	bootstrap := []string{"--bootstrap-server", address}
	e2etest.RunKafkaTool(t, slices.Concat([]string{"topic"}, bootstrap, []string{"--create", "--topic", "tools",
		"--partitions", "3"})...)
	e2etest.RunKafkaToolWithInput(t, "one\ntwo\nthree\n", slices.Concat([]string{"produce"}, bootstrap,
		[]string{"--topic", "tools"})...)
	read := e2etest.RunKafkaTool(t, slices.Concat([]string{"consume"}, bootstrap,
		[]string{"--topic", "tools", "--from-beginning", "--group", "tools", "--max-messages", "3", "--timeout-ms",
			"300000"})...)
	lines := strings.Fields(read)
	slices.Sort(lines)
	assert.True(t, slices.Equal(lines, []string{"one", "three", "two"}),
		"console consumer: expected three lines, found %q", read)
	reset := e2etest.RunKafkaTool(t, slices.Concat([]string{"group"}, bootstrap,
		[]string{"--group", "tools", "--topic", "tools", "--reset-offsets", "--to-earliest", "--execute"})...)
	assert.True(t, strings.Count(reset, "tools") >= 3 && columnSum(reset, "tools", 3) == 0,
		"expected three partitions of the group at 0, found\n%s", reset)
	// A transaction has its own coordinators.
	performance := e2etest.RunKafkaTool(t, "perf-produce", "--bootstrap-server", address, "--topic", "tools",
		"--num-records", "1000", "--record-size", "100", "--throughput", "-1",
		"--transactional-id", "tunnel", "--transaction-duration-ms", "100")
	assert.True(t, strings.Contains(performance, "1000 records sent"),
		"perf-produce with transactions: expected 1000 records to be sent, found\n%s", performance)
	performance = e2etest.RunKafkaTool(t, "perf-consume", "--bootstrap-server", address, "--topic", "tools",
		"--num-records", "1000", "--timeout", "300000")
	// The second line is a table's row, with the number of records in its fifth column.
	fields := strings.Split(strings.Split(strings.TrimSpace(performance), "\n")[1], ",")
	records := ""
	if len(fields) >= 5 {
		records = strings.TrimSpace(fields[4])
	}
	n, err := strconv.Atoi(records)
	assert.True(t, err == nil && n >= 1000, "perf-consume: expected at least 1000 records, found\n%s", performance)
	versions := e2etest.RunKafkaTool(t, "api-versions", "--bootstrap-server", address)
	for _, line := range strings.Split(strings.TrimSpace(versions), "\n") {
		assert.True(t, !regexp.MustCompile(`^\S+:\d+ \(id`).MatchString(line) || strings.HasPrefix(line, "127.0.0.1:"),
			"expected addresses of the tunnel only, found %s", line)
	}
}

// testBrokerKilled checks that an idempotent producer loses and duplicates nothing while a broker is killed and started
// again.
func (c *remoteCluster) testBrokerKilled(t *testing.T, address string) {
	const count = 8000
	pids, err := os.ReadFile(filepath.Join(c.dir, "pids"))
	require.NoError(t, err)
	pid, _ := strconv.Atoi(strings.Fields(string(pids))[1])
	// This is in the middle of its ten seconds.
	kill := time.AfterFunc(4*time.Second, func() { syscall.Kill(pid, syscall.SIGKILL) })
	defer kill.Stop()
	out := e2etest.RunKafkaTool(t, "perf-produce", "--bootstrap-server", address, "--topic", "killed", "--num-records",
		strconv.Itoa(count), "--record-size", "100", "--throughput", "800", "--command-property",
		"enable.idempotence=true")
	assert.True(t, syscall.Kill(pid, 0) != nil,
		"expected the broker to be killed while records are sent, it still runs")
	e2etest.StartPeer(t, "kafka/start-3-brokers.sh", c.dir, nil, "--node", "2", c.dir)
	assert.True(t, strings.Contains(out, "8000 records sent"),
		"perf-produce: expected 8000 records to be sent, found\n%s", out)
	assert.Equal(t, count, countTopic(t, c.directServers, "killed"), "records in the topic")
}

// testDropped cuts every tunnel repeatedly while an idempotent producer writes: each record arrives once.
func (c *remoteCluster) testDropped(t *testing.T, address string) {
	stop := make(chan struct{})
	ended := make(chan int)
	go func() {
		dropped := 0
		drops := 0
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				ended <- dropped
				return
			case <-tick.C:
				// On a slow machine nothing arrives within half a second.
				if drops < 20 {
					n := c.double.DropTunnels()
					dropped += n
					if n > 0 {
						drops++
					}
				}
			}
		}
	}()
	out := e2etest.RunKafkaTool(t, "perf-produce", "--bootstrap-server", address, "--topic", "dropped", "--num-records",
		"20000", "--record-size", "500", "--throughput", "4000",
		"--command-property", "enable.idempotence=true")
	close(stop)
	assert.True(t, <-ended != 0, "expected tunnels to be dropped, found none")
	assert.True(t, strings.Contains(out, "20000 records sent"),
		"perf-produce: expected 20000 records to be sent, found\n%s", out)
	assert.Equal(t, 20000, countTopic(t, c.directServers, "dropped"), "records in the topic")
}

// testOwnLogon checks that without sasl.* in the worker's file the client's own logon passes.
func (c *remoteCluster) testOwnLogon(t *testing.T, p *e2etest.Place, node string) {
	address, _ := c.openTunnel(t, p, false)
	ctx, cancel := context.WithTimeout(context.Background(), e2etest.ToolLimit)
	defer cancel()
	for _, mechanism := range []string{"plain", "scram-sha-256", "scram-sha-512"} {
		command, stdout, stderr := nodeCommand(ctx, node, address, []string{"KAFKA_USERNAME=admin",
			"KAFKA_PASSWORD=admin-secret", "KAFKA_MECHANISM=" + mechanism, "KAFKA_TOPIC=own"}, "producer.js", "x")
		assert.NoError(t, command.Run(), mechanism, stdout, stderr)
	}
	client := p.File("client.properties", "security.protocol=SASL_PLAINTEXT", "sasl.mechanism=PLAIN",
		`sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required `+
			`username="admin" password="admin-secret";`)
	read := e2etest.RunKafkaTool(t, "consume", "--bootstrap-server", address, "--topic", "own", "--from-beginning",
		"--max-messages", "3", "--timeout-ms", "300000", "--command-config", client)
	assert.True(t, strings.Count(read, "x\n") == 3, "expected 3 records, found %q", read)
}
