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

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
	"github.com/culvert-project/culvert/internal/porttest"
)

// lines collects the lines that a tunnel logs.
type lines struct {
	mu   sync.Mutex
	text []string
}

func (l *lines) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, line)
}

func (l *lines) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.text)
}

func cluster(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	return kafkatest.Cluster(t, append([]kfake.Opt{kfake.NumBrokers(3), kfake.SeedTopics(6, "rows")}, opts...)...)
}

func plainDial(ctx context.Context, address string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "tcp", address)
}

func open(t *testing.T, o Options) (*Tunnel, *lines) {
	t.Helper()
	announced := &lines{}
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

// client returns a client that connects through the tunnel only. Other addresses fail the test.
func client(t *testing.T, tunnel *Tunnel, announced *lines, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		if !slices.ContainsFunc(announced.all(), func(line string) bool {
			return strings.HasPrefix(line, address+" ")
		}) {
			t.Errorf("found a connection to %s, expected only the tunnel's addresses %q", address, announced.all())
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(tunnel.brokers.bootstrap.String()),
		kgo.Dialer(dial)}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestGroupThroughTunnel(t *testing.T) {
	tunnel, announced := open(t, Options{Bootstrap: cluster(t).ListenAddrs()})
	ctx := within(t, 5*time.Minute)
	roundTrip(t, ctx, tunnel, announced)
	got := announced.all()
	if len(got) != 4 {
		t.Fatalf("announced %q, expected the bootstrap and three brokers", got)
	}
	for i, line := range got[1:] {
		if want := fmt.Sprintf(" broker %d 127.0.0.1:", i); !strings.Contains(line, want) {
			t.Errorf("announced %q, expected %q in it", line, want)
		}
	}
}

// roundTrip writes records to all partitions and reads them in a group that commits.
func roundTrip(t *testing.T, ctx context.Context, tunnel *Tunnel, announced *lines, opts ...kgo.Opt) {
	t.Helper()
	const count = 1000
	writer := client(t, tunnel, announced, append(opts, kgo.DefaultProduceTopic("rows"))...)
	for i := range count {
		writer.Produce(ctx, &kgo.Record{Key: []byte(strconv.Itoa(i)), Value: bytes.Repeat([]byte{byte(i)}, 100)},
			func(_ *kgo.Record, err error) {
				if err != nil {
					t.Errorf("produce: %v", err)
				}
			})
	}
	require.NoError(t, writer.Flush(ctx))
	reader := client(t, tunnel, announced, append(opts, kgo.ConsumeTopics("rows"), kgo.ConsumerGroup("g"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	seen := map[string]int{}
	for len(seen) < count {
		fetches := reader.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			t.Fatalf("read %d of %d: %v", len(seen), count, err)
		}
		for _, e := range fetches.Errors() {
			t.Fatal(e.Err)
		}
		fetches.EachRecord(func(r *kgo.Record) { seen[string(r.Key)]++ })
	}
	for key, times := range seen {
		if times != 1 {
			t.Errorf("found record %s %d times, expected once", key, times)
		}
	}
	require.NoError(t, reader.CommitUncommittedOffsets(ctx))
	committed, err := kadm.NewClient(writer).FetchOffsets(ctx, "g")
	require.NoError(t, err)
	sum := int64(0)
	committed.Each(func(o kadm.OffsetResponse) { sum += o.At })
	if sum != count {
		t.Errorf("committed %d, expected %d", sum, count)
	}
}

func TestLogonByTunnel(t *testing.T) {
	for name, mechanism := range map[string]sasl.Mechanism{
		"PLAIN":         plain.Auth{User: "u", Pass: "p"}.AsMechanism(),
		"SCRAM-SHA-512": scram.Auth{User: "u", Pass: "p"}.AsSha512Mechanism(),
	} {
		t.Run(name, func(t *testing.T) {
			c := cluster(t, kfake.EnableSASL(), kfake.Superuser(name, "u", "p"))
			tunnel, announced := open(t, Options{Bootstrap: c.ListenAddrs(), SASL: mechanism})
			roundTrip(t, within(t, 5*time.Minute), tunnel, announced)
		})
	}
}

func TestLogonByClient(t *testing.T) {
	c := cluster(t, kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "u", "p"))
	tunnel, announced := open(t, Options{Bootstrap: c.ListenAddrs()})
	roundTrip(t, within(t, 5*time.Minute), tunnel, announced, kgo.SASL(scram.Auth{User: "u",
		Pass: "p"}.AsSha256Mechanism()))
}

func TestRejectedLogonIsLogged(t *testing.T) {
	c := cluster(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "u", "p"))
	log := &lines{}
	tunnel, _ := open(t, Options{Bootstrap: c.ListenAddrs(), SASL: plain.Auth{User: "u", Pass: "wrong"}.AsMechanism(),
		Logger: logTo(log)})
	conn := dialTo(t, tunnel)
	if _, err := io.ReadAll(conn); err != nil {
		t.Fatalf("expected the connection to be closed in order, found %v", err)
	}
	all := strings.Join(log.all(), "\n")
	if !strings.Contains(all, "SASL PLAIN") || strings.Contains(all, "wrong") {
		t.Errorf("log:\n%s\nexpected the mechanism and no password", all)
	}
}

func TestUnreachableBrokerIsLoggedOnce(t *testing.T) {
	log := &lines{}
	refused := errors.New("access control: kafka.virtual:9092 is not mapped")
	tunnel, _ := open(t, Options{Bootstrap: []string{"kafka.virtual:9092"}, Logger: logTo(log),
		Dial: func(context.Context, string) (net.Conn, error) { return nil, refused }})
	for range 5 {
		if _, err := io.ReadAll(dialTo(t, tunnel)); err != nil {
			t.Fatal(err)
		}
	}
	logged := 0
	for _, line := range log.all() {
		if strings.Contains(line, "level=WARN msg=\"tunnel: the broker cannot be reached") && strings.Contains(line,
			refused.Error()) {
			logged++
		}
	}
	if logged != 1 {
		t.Errorf("found %d lines, expected one:\n%s", logged, strings.Join(log.all(), "\n"))
	}
}

func TestOccupiedPortIsSkipped(t *testing.T) {
	// Of three consecutive ports the middle one is in use.
	var taken net.Listener
	var first int
	for range 50 {
		l := porttest.Listen(t)
		first = portOf(l.Addr())
		l.Close()
		var err error
		if taken, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(first+1))); err == nil {
			break
		}
	}
	defer taken.Close()
	announced := &lines{}
	tunnel, err := Open(context.Background(), Options{Listen: net.JoinHostPort("127.0.0.1", strconv.Itoa(first)),
		Announce:  announced.add,
		Bootstrap: cluster(t, kfake.NumBrokers(1)).ListenAddrs(), Dial: plainDial})
	require.NoError(t, err)
	defer tunnel.end()
	if _, err := client(t, tunnel, announced).Request(within(t, 5*time.Minute),
		kmsg.NewPtrMetadataRequest()); err != nil {
		t.Fatal(err)
	}
	all := announced.all()
	_, port, _ := net.SplitHostPort(strings.Fields(all[1])[0])
	if n, _ := strconv.Atoi(port); n <= first+1 {
		t.Errorf("expected port %[2]d to be skipped, found %[1]q", all, first+1)
	}
}

func TestUnknownVersionOfApiVersions(t *testing.T) {
	tunnel, _ := open(t, Options{Bootstrap: cluster(t).ListenAddrs()})
	conn := dialTo(t, tunnel)
	// A request of an unknown version.
	conn.Write([]byte{0, 0, 0, 12, 0, 18, 0, 99, 0, 0, 0, 7, 1, 2, 3, 4})
	answer := readFrame(t, conn)
	if want := []byte{0, 0, 0, 7, 0, 35, 0, 0, 0, 1, 0, 18, 0, 0}; !bytes.HasPrefix(answer[4:], want) {
		t.Fatalf("found response % x, expected % x…", answer, want)
	}
	request := kmsg.NewPtrApiVersionsRequest()
	request.Version = 3
	request.ClientSoftwareName = "test"
	request.ClientSoftwareVersion = "1"
	conn.Write(kmsg.NewRequestFormatter().AppendRequest(nil, request, 8))
	versions := kmsg.NewPtrApiVersionsResponse()
	versions.Version = 3
	if err := versions.ReadFrom(readFrame(t, conn)[8:]); err != nil || versions.ErrorCode != 0 ||
		len(versions.ApiKeys) < 20 {
		t.Fatalf("found error %d, %d APIs: %v", versions.ErrorCode, len(versions.ApiKeys), err)
	}
	for _, k := range versions.ApiKeys {
		if layout := kmsg.ResponseForKey(k.ApiKey); layout == nil || k.MaxVersion > layout.MaxVersion() ||
			(k.ApiKey == keySASLHandshake && k.MinVersion < 1) {
			t.Errorf("found API %d in versions %d to %d", k.ApiKey, k.MinVersion, k.MaxVersion)
		}
	}
}

func TestRequestsWithoutResponses(t *testing.T) {
	tunnel, announced := open(t, Options{Bootstrap: cluster(t).ListenAddrs()})
	ctx := within(t, 5*time.Minute)
	writer := client(t, tunnel, announced, kgo.DefaultProduceTopic("rows"), kgo.RequiredAcks(kgo.NoAck()),
		kgo.DisableIdempotentWrite())
	for range 3 {
		require.NoError(t, writer.ProduceSync(ctx, &kgo.Record{Value: []byte("x")}).FirstErr())
		// A request with a response on the same connections: the response must not be taken for the produce request's.
		if _, err := kadm.NewClient(writer).ListEndOffsets(ctx, "rows"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOldLogonIsRejected(t *testing.T) {
	log := &lines{}
	tunnel, _ := open(t, Options{Bootstrap: cluster(t).ListenAddrs(), Logger: logTo(log)})
	conn := dialTo(t, tunnel)
	request := kmsg.NewPtrSASLHandshakeRequest()
	request.Mechanism = "PLAIN"
	conn.Write(kmsg.NewRequestFormatter().AppendRequest(nil, request, 1))
	io.ReadAll(conn)
	tunnel.end()
	if all := strings.Join(log.all(), "\n"); !strings.Contains(all, "SaslHandshake version 0") {
		t.Errorf("expected SaslHandshake version 0, found the log\n%s", all)
	}
}

func TestClientWithTLSIsLogged(t *testing.T) {
	log := &lines{}
	tunnel, _ := open(t, Options{Bootstrap: cluster(t).ListenAddrs(), Logger: logTo(log)})
	conn := dialTo(t, tunnel)
	conn.Write([]byte{0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 0xbb, 0, 0, 0, 0})
	io.ReadAll(conn)
	tunnel.end()
	if all := strings.Join(log.all(), "\n"); !strings.Contains(all, "PLAINTEXT") {
		t.Errorf("expected PLAINTEXT, found the log\n%s", all)
	}
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
	tunnel, _ := open(t, Options{Bootstrap: []string{listener.Addr().String()}, SASL: plain.Auth{User: "u",
		Pass: "p"}.AsMechanism()})
	conn := dialTo(t, tunnel)
	formatter := kmsg.NewRequestFormatter()
	heartbeat := kmsg.NewPtrHeartbeatRequest()
	for i := range int32(3) {
		conn.Write(formatter.AppendRequest(nil, heartbeat, 100+i))
		if answer := readFrame(t, conn); answer[7] != byte(100+i) {
			t.Fatalf("found response % x, expected correlation ID %d", answer, 100+i)
		}
		if i == 0 {
			<-renewed
		}
	}
}

func renewingBroker(conn net.Conn, renewed chan struct{}) {
	defer conn.Close()
	logons := 0
	for {
		frame, err := frameOf(conn)
		if err != nil {
			return
		}
		var answer kmsg.Response
		switch frame[5] {
		case keySASLHandshake:
			answer = kmsg.NewPtrSASLHandshakeResponse()
			answer.SetVersion(1)
		case 36:
			a := kmsg.NewPtrSASLAuthenticateResponse()
			logons++
			if logons == 1 {
				a.SessionLifetimeMillis = 50
			}
			answer = a
			answer.SetVersion(1)
		case 3:
			a := kmsg.NewPtrMetadataResponse()
			a.Version = 4
			answer = a
		default:
			answer = kmsg.NewPtrHeartbeatResponse()
		}
		conn.Write(setFrameLength(answer.AppendTo(append(make([]byte, 4), frame[8:12]...))))
		if logons == 2 && frame[5] == 36 {
			close(renewed)
		}
	}
}

func TestEndWaitsForResponses(t *testing.T) {
	c := cluster(t)
	held := make(chan struct{})
	c.ControlKey(int16(kmsg.Heartbeat), func(r kmsg.Request) (kmsg.Response, error, bool) {
		close(held)
		c.SleepControl(func() { time.Sleep(100 * time.Millisecond) })
		return r.ResponseKind(), nil, true
	})
	tunnel, _ := open(t, Options{Bootstrap: c.ListenAddrs()[:1]})
	conn := dialTo(t, tunnel)
	conn.Write(kmsg.NewRequestFormatter().AppendRequest(nil, kmsg.NewPtrHeartbeatRequest(), 5))
	<-held
	go tunnel.end()
	if answer := readFrame(t, conn); answer[7] != 5 {
		t.Errorf("answer % x", answer)
	}
	if rest, err := io.ReadAll(conn); err != nil || len(rest) > 0 {
		t.Errorf("found % x, %v; expected the end", rest, err)
	}
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
	frame, err := frameOf(conn)
	require.NoError(t, err)
	return frame
}

func frameOf(conn net.Conn) ([]byte, error) {
	size := make([]byte, 4)
	if _, err := io.ReadFull(conn, size); err != nil {
		return nil, err
	}
	frame := append(size, make([]byte, int(size[2])<<8|int(size[3]))...)
	_, err := io.ReadFull(conn, frame[4:])
	return frame, err
}

func logTo(l *lines) *slog.Logger {
	return slog.New(slog.NewTextHandler(writer(l.add), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

type writer func(string)

func (w writer) Write(p []byte) (int, error) { w(string(p)); return len(p), nil }
