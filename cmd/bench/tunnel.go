package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/culvert-project/culvert/host/transport/connectivitytest"
	"github.com/culvert-project/culvert/host/transport/route"
)

const (
	peerBroker, peerWorker = "testdata/peers/kafka/start-broker.sh", "testdata/peers/kafka/start-connect.sh"
	// carriedSize is of a record, carriedMB of what one client carries.
	carriedSize = 1000
	carriedMB   = 300
	// carryEnds bounds one client.
	carryEnds = 3 * time.Minute
)

// carried is what a client in a process of its own is to do; it is its environment.
type carried struct {
	Consume        bool
	Servers, Topic string
	Records        int
	// CA is a file with the broker's CA, "" is without TLS; User and Password log on by SCRAM-SHA-256, "" is without.
	CA, User, Password string
	// Key is a service key of the Connectivity proxy, which leads to the broker; "" is without.
	Key string
}

const carriedEnv = "CULVERT_BENCH_CLIENT"

// carry does what the environment asks for, and tells whether it asks for something. It prints the seconds from the
// first connection to the last record.
func carry() bool {
	text := os.Getenv(carriedEnv)
	if text == "" {
		return false
	}
	var c carried
	err := json.Unmarshal([]byte(text), &c)
	if err == nil {
		err = c.run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "client:", err)
		os.Exit(1)
	}
	return true
}

func (c carried) client(more ...kgo.Opt) (*kgo.Client, error) {
	opts := append(more, kgo.SeedBrokers(strings.Split(c.Servers, ",")...))
	var roots *x509.CertPool
	if c.CA != "" {
		pem, err := os.ReadFile(c.CA)
		if err != nil {
			return nil, err
		}
		roots = x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
	}
	if c.User != "" {
		opts = append(opts, kgo.SASL(scram.Auth{User: c.User, Pass: c.Password}.AsSha256Mechanism()))
	}
	if c.Key != "" {
		way, err := route.New(route.Settings{Type: route.Connectivity, ServiceKey: c.Key})
		if err != nil {
			return nil, err
		}
		return kgo.NewClient(append(opts, kgo.Dialer(c.dialer(way, roots)))...)
	}
	if roots != nil {
		opts = append(opts, kgo.DialTLSConfig(&tls.Config{RootCAs: roots}))
	}
	return kgo.NewClient(opts...)
}

// dialer is the way with TLS inside.
func (c carried) dialer(way *route.Route, roots *x509.CertPool) func(context.Context, string, string) (net.Conn,
	error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := way.DialContext(ctx, network, address)
		if err != nil || roots == nil {
			return conn, err
		}
		host, _, _ := net.SplitHostPort(address)
		return tls.Client(conn, &tls.Config{RootCAs: roots, ServerName: host}), nil
	}
}

func (c carried) run() error {
	ctx, cancel := context.WithTimeout(context.Background(), carryEnds)
	defer cancel()
	opts := []kgo.Opt{kgo.ConsumeTopics(c.Topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())}
	if !c.Consume {
		opts = []kgo.Opt{kgo.DefaultProduceTopic(c.Topic), kgo.ProducerBatchCompression(kgo.NoCompression()),
			kgo.ProducerLinger(5 * time.Millisecond)}
	}
	client, err := c.client(opts...)
	if err != nil {
		return err
	}
	defer client.Close()
	started := time.Now()
	if c.Consume {
		for n := 0; n < c.Records; {
			fetches := client.PollFetches(ctx)
			if err := fetches.Err(); err != nil {
				return fmt.Errorf("%d of %d records: %w", n, c.Records, err)
			}
			n += fetches.NumRecords()
		}
	} else if err := c.produce(ctx, client); err != nil {
		return err
	}
	fmt.Println(time.Since(started).Seconds())
	return nil
}

func (c carried) produce(ctx context.Context, client *kgo.Client) error {
	value := make([]byte, carriedSize)
	for i := range value {
		value[i] = byte(rand.Uint32())
	}
	var failed kgo.FirstErrPromise
	for range c.Records {
		client.Produce(ctx, &kgo.Record{Value: value}, failed.Promise())
	}
	return failed.Err()
}

// inProcess runs a client in a process of its own.
func (c carried) inProcess(ctx context.Context) (seconds float64, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	text, err := json.Marshal(c)
	if err != nil {
		return 0, err
	}
	command := exec.CommandContext(ctx, self)
	command.Env = append(os.Environ(), carriedEnv+"="+string(text))
	var errs bytes.Buffer
	command.Stderr = &errs
	out, err := command.Output()
	if err != nil {
		return 0, fmt.Errorf("client: %w: %s", err, errs.String())
	}
	return strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
}

// remote is a broker that the tunnel leads to: in plain text, and with TLS and a logon where it can.
type remote struct {
	name          string
	plain, secure string
	ca            string
	stop          func()
}

// remoteBroker is Apache Kafka where `make test-real` has fetched it, else the embedded broker.
func (b *bench) remoteBroker(ctx context.Context) (*remote, error) {
	if fetched, _ := filepath.Glob(".peers/kafka-*/.complete"); len(fetched) == 0 {
		p, err := b.broker(ctx, "broker-tunnel")
		if err != nil {
			return nil, err
		}
		return &remote{name: "the embedded broker (Apache Kafka is taken once make test-real has fetched it)",
			plain: p.address, stop: p.stop}, nil
	}
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(b.dir, "kafka")
	more := filepath.Join(b.dir, "kafka.properties")
	if err := os.WriteFile(more, []byte("log.segment.delete.delay.ms=1000\n"), 0o600); err != nil {
		return nil, err
	}
	stop, err := startPeer(ctx, []string{"CONTROLLER_PORT=" + ports[1], "SASL_PORT=" + ports[2], "BROKER_PROPS=" + more,
		"HEAP=512m", "JVM_OPTS=-XX:+UseParallelGC"}, peerBroker, ports[0], dir)
	if err != nil {
		return nil, err
	}
	return &remote{"Apache Kafka", "127.0.0.1:" + ports[0], "127.0.0.1:" + ports[2], filepath.Join(dir, "tls",
		"ca.pem"), stop}, nil
}

// startPeer starts a script of testdata/peers, and waits until it can be used. It ends with this process.
func startPeer(ctx context.Context, env []string, script string, args ...string) (stop func(), err error) {
	c := exec.CommandContext(ctx, script, args...)
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = 20 * time.Second
	c.Env = append(append(os.Environ(), "UNTIL_EOF=1"), env...)
	c.Stderr = os.Stderr
	stdin, err := c.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.Start(); err != nil {
		return nil, err
	}
	stop = sync.OnceFunc(func() {
		stdin.Close()
		_ = c.Process.Signal(syscall.SIGTERM)
		_ = c.Wait()
	})
	lines := bufio.NewReader(stdout)
	if line, err := lines.ReadString('\n'); strings.TrimSpace(line) != "READY" {
		stop()
		return nil, fmt.Errorf("%s did not start: %w", script, err)
	}
	go io.Copy(io.Discard, lines)
	return stop, nil
}

func freePorts(n int) (ports []string, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // not before all are there
		_, port, _ := net.SplitHostPort(l.Addr().String())
		ports = append(ports, port)
	}
	return ports, nil
}

// lane is one kind of connection to the broker, with the tunnel that makes it.
type lane struct {
	name   string
	direct carried
	tunnel *process
	key    string
	// megabytes a second and milliseconds of CPU a megabyte, by produce and consume, and directly, by the proxy alone
	// and by the tunnel.
	rates [2][3][]float64
	cpu   [2][]float64
}

// tunnelled is what `culvert tunnel` costs: the same client carries the same bytes with it and without. Behind the
// tunnel is the double of the Connectivity proxy, in this process, whose own work the kernel does; what the proxy alone
// costs, a client shows that goes through it by itself.
func tunnelled(ctx context.Context, b *bench) error {
	broker, err := b.remoteBroker(ctx)
	if err != nil {
		return err
	}
	defer broker.stop()
	account := connectivitytest.NewServer()
	defer account.Close()
	account.Lifetime(12 * time.Hour)
	key := filepath.Join(b.dir, "key.json")
	if err := os.WriteFile(key, []byte(account.ServiceKey(0)), 0o600); err != nil {
		return err
	}
	lanes := []*lane{{name: "plain", direct: carried{Servers: broker.plain}}}
	if broker.secure != "" {
		lanes = append(lanes, &lane{name: "TLS, SCRAM", direct: carried{Servers: broker.secure, CA: broker.ca,
			User: "user", Password: "user-secret"}})
	}
	for i, l := range lanes {
		account.Map(l.direct.Servers, l.direct.Servers)
		if l.tunnel, err = b.openTunnel(ctx, fmt.Sprintf("tunnel-%d.properties", i), key, l.direct); err != nil {
			return err
		}
		defer l.tunnel.stop()
		l.key = key
	}
	for round := range b.rounds + 1 {
		for i, l := range lanes {
			// the first one warms up
			if err := l.round(ctx, fmt.Sprintf("t%d-%d", i, round), broker.plain, round, b.some(carriedMB),
				round > 0); err != nil {
				return err
			}
		}
	}
	fmt.Printf("%d MB in records of %d bytes, uncompressed, by a franz-go client in a process of its own; medians of "+
		"%d interleaved rounds; broker: %s\n", b.some(carriedMB), carriedSize, b.rounds, broker.name)
	fmt.Println("MB/s by the clock:")
	fmt.Println("with the broker    client      direct   proxy alone   tunnel   tunnel : direct   tunnel : proxy   " +
		"the tunnel's CPU, ms/MB")
	for _, l := range lanes {
		for i, what := range []string{"produces", "consumes"} {
			direct, proxied, through := median(l.rates[i][0]), median(l.rates[i][1]), median(l.rates[i][2])
			fmt.Printf("%-17s  %-8s  %8.0f  %12.0f  %7.0f  %16.2f  %15.2f  %24.2f\n", l.name, what, direct, proxied,
				through, through/direct, through/proxied, median(l.cpu[i]))
		}
	}
	return nil
}

func (b *bench) openTunnel(ctx context.Context, file, key string, c carried) (*process, error) {
	lines := "bootstrap.servers=" + c.Servers + "\nkafka.proxy.type=sap-connectivity\nkafka.proxy.service.key=" + key +
		"\n"
	if c.CA != "" {
		lines += "security.protocol=SASL_SSL\nssl.truststore.type=PEM\nssl.truststore.location=" + c.CA +
			"\nsasl.mechanism=SCRAM-SHA-256\n" +
			"sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username=\"" + c.User +
			"\" password=\"" + c.Password + "\";\n"
	}
	path := filepath.Join(b.dir, file)
	if err := os.WriteFile(path, []byte(lines), 0o600); err != nil {
		return nil, err
	}
	return spawn(ctx, b.culvert, "tunnel", "-p", path, "--listen", "127.0.0.1:0")
}

// round carries the bytes once each way, one or the other first, in a topic that is made before and deleted after it.
func (l *lane) round(ctx context.Context, topic, admin string, order, megabytes int, counts bool) error {
	proxied := l.direct
	proxied.Key = l.key
	ways := []carried{l.direct, proxied, {Servers: l.tunnel.address}}
	for n := range ways {
		way := (n + order) % len(ways)
		c := ways[way]
		c.Topic, c.Records = fmt.Sprintf("%s-%d", topic, way), megabytes*1_000_000/carriedSize
		client, err := kgo.NewClient(kgo.SeedBrokers(admin))
		if err != nil {
			return err
		}
		defer client.Close()
		topics := kadm.NewClient(client)
		if _, err := topics.CreateTopic(ctx, 6, 1, nil, c.Topic); err != nil {
			return err
		}
		for i, consume := range []bool{false, true} {
			c.Consume = consume
			before := worked(l.tunnel.cmd.Process.Pid)
			seconds, err := c.inProcess(ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", l.name, err)
			}
			if !counts {
				continue
			}
			l.rates[i][way] = append(l.rates[i][way], float64(megabytes)/seconds)
			if way == 2 {
				l.cpu[i] = append(l.cpu[i], (worked(l.tunnel.cmd.Process.Pid)-before).Seconds()*1000/float64(megabytes))
			}
		}
		if _, err := topics.DeleteTopic(ctx, c.Topic); err != nil {
			return err
		}
	}
	return nil
}

// worked is the processor time of a process so far.
func worked(pid int) time.Duration {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), ") ")
	fields := strings.Fields(rest)
	var ticks int64
	for _, i := range []int{11, 12} { // utime, stime: 14 and 15 of proc(5)
		n, _ := strconv.ParseInt(fields[i], 10, 64)
		ticks += n
	}
	return time.Duration(ticks) * (time.Second / 100) // USER_HZ is 100 on every Linux that Go knows
}
