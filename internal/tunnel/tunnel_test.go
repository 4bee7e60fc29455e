package tunnel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
	"github.com/culvert-project/culvert/internal/porttest"
)

// lineRecorder collects the lines that a tunnel announces or logs.
type lineRecorder struct {
	mu    sync.Mutex
	lines []string
}

func (r *lineRecorder) add(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, line)
}

func (r *lineRecorder) snapshot() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.lines)
}

func newCluster(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	return kafkatest.Cluster(t, append([]kfake.Opt{kfake.NumBrokers(3), kfake.SeedTopics(6, "rows")}, opts...)...)
}

func plainDial(ctx context.Context, address string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "tcp", address)
}

// open opens a tunnel for the test and returns it with the lines that it announces.
func open(t *testing.T, o Options) (*Tunnel, *lineRecorder) {
	t.Helper()
	announced := &lineRecorder{}
	o.Listen = "127.0.0.1:0"
	o.Announce = announced.add
	if o.Dial == nil {
		o.Dial = plainDial
	}
	tunnel, err := Open(context.Background(), o)
	require.NoError(t, err)
	t.Cleanup(tunnel.end)
	return tunnel, announced
}

// end cancels a tunnel and waits until it has ended.
func (t *Tunnel) end() {
	t.cancel()
	t.Wait()
}

// newClient returns a client that connects through the tunnel only. Other addresses fail the test.
func newClient(t *testing.T, tunnel *Tunnel, announced *lineRecorder, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		isListener := func(line string) bool { return strings.HasPrefix(line, address+" ") }
		if lines := announced.snapshot(); !slices.ContainsFunc(lines, isListener) {
			t.Errorf("expected only connections to the tunnel's addresses %q, found %s", lines, address)
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(tunnel.brokers.bootstrap.String()),
		kgo.Dialer(dial)}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// testContext ends after a time that no test needs.
func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestGroupThroughTunnel(t *testing.T) {
	tunnel, announced := open(t, Options{Bootstrap: newCluster(t).ListenAddrs()})
	ctx := testContext(t)
	roundTrip(t, ctx, tunnel, announced)
	lines := announced.snapshot()
	require.Len(t, 4, lines, "lines for the bootstrap and three brokers")
	for i, line := range lines[1:] {
		assert.Contains(t, line, fmt.Sprintf(" broker %d 127.0.0.1:", i))
	}
}

// roundTrip writes records to all partitions and reads them in a group that commits.
func roundTrip(t *testing.T, ctx context.Context, tunnel *Tunnel, announced *lineRecorder, opts ...kgo.Opt) {
	t.Helper()
	const count = 1000
	writer := newClient(t, tunnel, announced, append(opts, kgo.DefaultProduceTopic("rows"))...)
	for i := range count {
		writer.Produce(ctx, &kgo.Record{Key: []byte(strconv.Itoa(i)), Value: bytes.Repeat([]byte{byte(i)}, 100)},
			func(_ *kgo.Record, err error) {
				assert.NoError(t, err, "produce")
			})
	}
	require.NoError(t, writer.Flush(ctx))
	reader := newClient(t, tunnel, announced, append(opts, kgo.ConsumeTopics("rows"), kgo.ConsumerGroup("g"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	reads := map[string]int{} // by key
	for len(reads) < count {
		fetches := reader.PollFetches(ctx)
		err := ctx.Err()
		require.True(t, err == nil, "expected all records, found %d of %d: %v", len(reads), count, err)
		for _, e := range fetches.Errors() {
			t.Fatal(e.Err)
		}
		fetches.EachRecord(func(r *kgo.Record) { reads[string(r.Key)]++ })
	}
	for key, times := range reads {
		assert.True(t, times == 1, "expected record %s once, found it %d times", key, times)
	}
	require.NoError(t, reader.CommitUncommittedOffsets(ctx))
	committed, err := kadm.NewClient(writer).FetchOffsets(ctx, "g")
	require.NoError(t, err)
	sum := int64(0)
	committed.Each(func(o kadm.OffsetResponse) { sum += o.At })
	assert.True(t, sum == count, "expected committed offsets with the sum %d, found %d", count, sum)
}

func TestTunnelLogsOnForClients(t *testing.T) {
	for name, mechanism := range map[string]sasl.Mechanism{
		"PLAIN":         plain.Auth{User: "u", Pass: "p"}.AsMechanism(),
		"SCRAM-SHA-512": scram.Auth{User: "u", Pass: "p"}.AsSha512Mechanism(),
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, kfake.EnableSASL(), kfake.Superuser(name, "u", "p"))
			tunnel, announced := open(t, Options{Bootstrap: c.ListenAddrs(), SASL: mechanism})
			roundTrip(t, testContext(t), tunnel, announced)
		})
	}
}

func TestClientLogsOnThroughTunnel(t *testing.T) {
	c := newCluster(t, kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "u", "p"))
	tunnel, announced := open(t, Options{Bootstrap: c.ListenAddrs()})
	mechanism := scram.Auth{User: "u", Pass: "p"}.AsSha256Mechanism()
	roundTrip(t, testContext(t), tunnel, announced, kgo.SASL(mechanism))
}

func TestRejectedLogonIsLogged(t *testing.T) {
	c := newCluster(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "u", "p"))
	log := &lineRecorder{}
	tunnel, _ := open(t, Options{Bootstrap: c.ListenAddrs(), SASL: plain.Auth{User: "u", Pass: "wrong"}.AsMechanism(),
		Logger: logTo(log)})
	conn := dialTo(t, tunnel)
	_, err := io.ReadAll(conn)
	require.NoError(t, err, "the connection to be closed in order")
	lines := strings.Join(log.snapshot(), "\n")
	assert.True(t, strings.Contains(lines, "SASL PLAIN") && !strings.Contains(lines, "wrong"),
		"expected the mechanism and no password in the log, found\n%s", lines)
}

func TestUnreachableBrokerIsLoggedOnce(t *testing.T) {
	log := &lineRecorder{}
	dialErr := errors.New("access control: kafka.virtual:9092 is not mapped")
	tunnel, _ := open(t, Options{
		Bootstrap: []string{"kafka.virtual:9092"},
		Logger:    logTo(log),
		Dial:      func(context.Context, string) (net.Conn, error) { return nil, dialErr },
	})
	for range 5 {
		_, err := io.ReadAll(dialTo(t, tunnel))
		require.NoError(t, err)
	}
	warnings := 0
	for _, line := range log.snapshot() {
		if strings.Contains(line, "level=WARN msg=\"tunnel: the broker cannot be reached") &&
			strings.Contains(line, dialErr.Error()) {
			warnings++
		}
	}
	if warnings != 1 {
		t.Errorf("expected one warning, found %d:\n%s", warnings, strings.Join(log.snapshot(), "\n"))
	}
}

func TestOccupiedPortIsSkipped(t *testing.T) {
	// Of three consecutive ports the middle one is in use.
	var occupied net.Listener
	var firstPort int
	for range 50 {
		listener := porttest.Listen(t)
		firstPort = portOf(listener.Addr())
		listener.Close()
		var err error
		occupied, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(firstPort+1)))
		if err == nil {
			break
		}
	}
	defer occupied.Close()
	announced := &lineRecorder{}
	tunnel, err := Open(context.Background(), Options{
		Listen:    net.JoinHostPort("127.0.0.1", strconv.Itoa(firstPort)),
		Announce:  announced.add,
		Bootstrap: newCluster(t, kfake.NumBrokers(1)).ListenAddrs(),
		Dial:      plainDial,
	})
	require.NoError(t, err)
	defer tunnel.end()
	_, err = newClient(t, tunnel, announced).Request(testContext(t), kmsg.NewPtrMetadataRequest())
	require.NoError(t, err)
	lines := announced.snapshot()
	_, port, _ := net.SplitHostPort(strings.Fields(lines[1])[0])
	n, _ := strconv.Atoi(port)
	assert.True(t, n > firstPort+1, "expected port %d to be skipped, found %q", firstPort+1, lines)
}

func TestUnknownVersionOfApiVersionsIsRejectedAsByABroker(t *testing.T) {
	tunnel, _ := open(t, Options{Bootstrap: newCluster(t).ListenAddrs()})
	conn := dialTo(t, tunnel)
	const unknownVersion = 99
	conn.Write([]byte{0, 0, 0, 12, 0, keyApiVersions, 0, unknownVersion, 0, 0, 0, 7, 1, 2, 3, 4})
	response := readFrame(t, conn)
	want := []byte{0, 0, 0, 7, 0, errUnsupportedVersion, 0, 0, 0, 1, 0, keyApiVersions, 0, 0}
	require.True(t, bytes.HasPrefix(response[4:], want), "expected response % x…, found % x", want, response)
	request := kmsg.NewPtrApiVersionsRequest()
	request.Version = 3
	request.ClientSoftwareName = "test"
	request.ClientSoftwareVersion = "1"
	conn.Write(kmsg.NewRequestFormatter().AppendRequest(nil, request, 8))
	versions := kmsg.NewPtrApiVersionsResponse()
	versions.Version = 3
	err := versions.ReadFrom(readFrame(t, conn)[8:])
	require.True(t, err == nil && versions.ErrorCode == 0 && len(versions.ApiKeys) >= 20,
		"expected at least 20 APIs, found error %d, %d APIs: %v", versions.ErrorCode, len(versions.ApiKeys), err)
	for _, k := range versions.ApiKeys {
		if layout := kmsg.ResponseForKey(k.ApiKey); layout == nil || k.MaxVersion > layout.MaxVersion() ||
			(k.ApiKey == keySASLHandshake && k.MinVersion < 1) {
			t.Errorf("expected APIs that the tunnel can decode, found %d in versions %d to %d", k.ApiKey, k.MinVersion,
				k.MaxVersion)
		}
	}
}

func TestRequestsWithoutResponsesKeepTheOrder(t *testing.T) {
	tunnel, announced := open(t, Options{Bootstrap: newCluster(t).ListenAddrs()})
	ctx := testContext(t)
	writer := newClient(t, tunnel, announced, kgo.DefaultProduceTopic("rows"), kgo.RequiredAcks(kgo.NoAck()),
		kgo.DisableIdempotentWrite())
	for range 3 {
		require.NoError(t, writer.ProduceSync(ctx, &kgo.Record{Value: []byte("x")}).FirstErr())
		// The response to a request on the same connections must not count as the response to the produce request.
		_, err := kadm.NewClient(writer).ListEndOffsets(ctx, "rows")
		require.NoError(t, err)
	}
}

func TestOldLogonIsRejected(t *testing.T) {
	log := &lineRecorder{}
	tunnel, _ := open(t, Options{Bootstrap: newCluster(t).ListenAddrs(), Logger: logTo(log)})
	conn := dialTo(t, tunnel)
	request := kmsg.NewPtrSASLHandshakeRequest()
	request.Mechanism = "PLAIN"
	conn.Write(kmsg.NewRequestFormatter().AppendRequest(nil, request, 1))
	io.ReadAll(conn)
	tunnel.end()
	if lines := strings.Join(log.snapshot(), "\n"); !strings.Contains(lines, "SaslHandshake version 0") {
		t.Errorf("expected SaslHandshake version 0, found the log\n%s", lines)
	}
}

func TestClientWithTLSIsLogged(t *testing.T) {
	log := &lineRecorder{}
	tunnel, _ := open(t, Options{Bootstrap: newCluster(t).ListenAddrs(), Logger: logTo(log)})
	conn := dialTo(t, tunnel)
	conn.Write([]byte{tlsHandshake, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 0xbb, 0, 0, 0, 0})
	io.ReadAll(conn)
	tunnel.end()
	lines := strings.Join(log.snapshot(), "\n")
	assert.True(t, strings.Contains(lines, "PLAINTEXT"), "expected PLAINTEXT, found the log\n%s", lines)
}

// With short sessions the second logon happens while a request of the client is in flight.
func TestLogonIsRenewed(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	renewed := make(chan struct{})
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go renewingBroker(conn, renewed)
		}
	}()
	mechanism := plain.Auth{User: "u", Pass: "p"}.AsMechanism()
	tunnel, _ := open(t, Options{Bootstrap: []string{listener.Addr().String()}, SASL: mechanism})
	conn := dialTo(t, tunnel)
	formatter := kmsg.NewRequestFormatter()
	heartbeat := kmsg.NewPtrHeartbeatRequest()
	for i := range int32(3) {
		conn.Write(formatter.AppendRequest(nil, heartbeat, 100+i))
		if response := readFrame(t, conn); response[7] != byte(100+i) {
			t.Fatalf("expected a response with correlation ID %d, found % x", 100+i, response)
		}
		if i == 0 {
			<-renewed
		}
	}
}

// A client is not left waiting by a broker that does not answer the second logon.
func TestRenewedLogonWithoutAnswerEndsTheConnection(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go renewingBroker(conn, nil)
		}
	}()
	mechanism := plain.Auth{User: "u", Pass: "p"}.AsMechanism()
	log := &lineRecorder{}
	tunnel, _ := open(t, Options{Bootstrap: []string{listener.Addr().String()}, SASL: mechanism, Logger: logTo(log),
		DialTimeout: 2 * time.Second})
	conn := dialTo(t, tunnel)
	conn.SetReadDeadline(time.Now().Add(time.Minute))
	_, err = conn.Read(make([]byte, 1))
	assert.ErrorIs(t, err, io.EOF)
	lines := strings.Join(log.snapshot(), "\n")
	assert.Contains(t, lines, "logging on again: no answer after 2s")
}

// renewingBroker responds like a broker whose sessions expire after 50 ms. It closes renewed after the second logon,
// which it does not answer if renewed is nil.
func renewingBroker(conn net.Conn, renewed chan struct{}) {
	defer conn.Close()
	const keySASLAuthenticate = 36
	logons := 0
	for {
		frame, err := readFrameFrom(conn)
		if err != nil {
			return
		}
		var response kmsg.Response
		switch frame[5] {
		case keySASLHandshake:
			response = kmsg.NewPtrSASLHandshakeResponse()
			response.SetVersion(1)
		case keySASLAuthenticate:
			authenticated := kmsg.NewPtrSASLAuthenticateResponse()
			logons++
			if logons == 2 && renewed == nil {
				continue
			}
			if logons == 1 {
				authenticated.SessionLifetimeMillis = 50
			}
			response = authenticated
			response.SetVersion(1)
		case keyMetadata:
			response = kmsg.NewPtrMetadataResponse()
			response.SetVersion(4)
		default:
			response = kmsg.NewPtrHeartbeatResponse()
		}
		conn.Write(setFrameLength(response.AppendTo(append(make([]byte, 4), frame[8:12]...))))
		if logons == 2 && frame[5] == keySASLAuthenticate {
			close(renewed)
		}
	}
}

func TestEndWaitsForResponses(t *testing.T) {
	c := newCluster(t)
	received := make(chan struct{})
	c.ControlKey(int16(kmsg.Heartbeat), func(r kmsg.Request) (kmsg.Response, error, bool) {
		close(received)
		c.SleepControl(func() { time.Sleep(100 * time.Millisecond) })
		return r.ResponseKind(), nil, true
	})
	tunnel, _ := open(t, Options{Bootstrap: c.ListenAddrs()[:1]})
	conn := dialTo(t, tunnel)
	conn.Write(kmsg.NewRequestFormatter().AppendRequest(nil, kmsg.NewPtrHeartbeatRequest(), 5))
	<-received
	go tunnel.end()
	response := readFrame(t, conn)
	assert.True(t, response[7] == 5, "expected a response with correlation ID 5, found % x", response)
	b, err := io.ReadAll(conn)
	assert.True(t, err == nil && len(b) == 0, "expected the end of the connection, found % x, %v", b, err)
}

func dialTo(t *testing.T, tunnel *Tunnel) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", tunnel.brokers.bootstrap.String())
	require.NoError(t, err)
	conn.SetDeadline(time.Now().Add(5 * time.Minute))
	t.Cleanup(func() { conn.Close() })
	return conn
}

func readFrame(t *testing.T, conn net.Conn) []byte {
	t.Helper()
	frame, err := readFrameFrom(conn)
	require.NoError(t, err)
	return frame
}

// readFrameFrom reads a frame with its size.
func readFrameFrom(conn net.Conn) ([]byte, error) {
	size := make([]byte, 4)
	if _, err := io.ReadFull(conn, size); err != nil {
		return nil, err
	}
	frame := append(size, make([]byte, int(size[2])<<8|int(size[3]))...)
	_, err := io.ReadFull(conn, frame[4:])
	return frame, err
}

func logTo(r *lineRecorder) *slog.Logger {
	return slog.New(slog.NewTextHandler(lineWriter(r.add), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// lineWriter calls itself with each write.
type lineWriter func(string)

func (w lineWriter) Write(p []byte) (int, error) {
	w(string(p))
	return len(p), nil
}
