// Package embedded is a Kafka broker in this process for development and tests: kfake, with data that survives a kill
// and groups that stay alive. broker.go: [Broker]; folder.go: its folder, [Find] and [Attach]; members.go: heartbeats
// for members that wait for a response, which kfake would remove.
//
// Invariants: one broker at a time owns a folder. Acknowledged records are on disk. Nothing is compacted or expires.
package embedded

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/culvert-project/culvert/internal/base/lock"
	"github.com/culvert-project/culvert/internal/base/wholefile"
)

// ClusterPrefix begins the cluster ID of every embedded broker.
const ClusterPrefix = "culvert-embedded-"

const (
	firstPort = 9092
	lastPort  = 9191
)

// Options of an embedded broker.
type Options struct {
	// Dir is created if missing and owned by one broker at a time.
	Dir string
	// Listen is HOST:PORT; "" is 127.0.0.1 with the first free port from 9092 to 9191. Port 0 is any free one, an
	// empty host all interfaces.
	Listen string
	// Advertised is the host or HOST:PORT for clients. Default: the listener's, or the machine's name for all
	// interfaces.
	Advertised string
	// Hidden keeps the address out of broker.json.
	Hidden bool
	// Logger may be nil.
	Logger *slog.Logger
}

// Broker is an in-process Kafka broker of one node. It owns its goroutines until Close.
//
// Acknowledged records survive kill -9. Nothing is compacted or expires, whatever a topic's configuration: both lose
// data here after a kill. Transactions do not survive a kill, so it cannot promise exactly-once.
type Broker struct {
	addr string
	dir  string
	// Cluster is for tests that make the broker misbehave.
	Cluster    *kfake.Cluster
	heartbeats *heartbeats
	lock       *lock.Lock
	announced  bool

	close sync.Once
	err   error
}

// Open locks the folder, replays it and listens. After a kill -9 each written partition is held in memory during
// replay.
func Open(options Options) (*Broker, error) {
	log := options.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	data := filepath.Join(options.Dir, "broker")
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	locked, err := lockFolder(options.Dir)
	if err != nil {
		return nil, err
	}
	if err := wholefile.Only(data); err != nil { // what is there is opened as it is, and a pipe waits for ever
		locked.Release()
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	listener, err := listen(options.Listen, options.Advertised)
	if err != nil {
		locked.Release()
		return nil, err
	}
	waiting := &waitingMembers{byConn: map[*memberConn]*waitingMember{}}
	started := time.Now()
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(1),
		kfake.DataDir(data),
		kfake.SyncWrites(),
		kfake.ClusterID(newClusterID()), // of a new folder; an old one keeps its own
		kfake.ListenFn(func(string, string) (net.Listener, error) { return memberListener{listener, waiting}, nil }),
		kfake.DefaultNumPartitions(1),
		kfake.AllowAutoTopicCreation(),
		kfake.MaxVersions(javaCompatibleVersions()),
		kfake.BrokerConfigs(neverDeleteConfigs),
		kfake.WithLogger(brokerLogger{log}),
	)
	if err != nil {
		listener.Close()
		locked.Release()
		return nil, fmt.Errorf("embedded broker: opening %s: %w", data, err)
	}
	persistAutoCreatedTopics(cluster)
	beats, err := startHeartbeats(waiting, cluster, listener.localAddr(), log)
	if err != nil {
		cluster.Close()
		locked.Release()
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	debug.FreeOSMemory()

	b := &Broker{addr: listener.Addr().String(), dir: options.Dir, Cluster: cluster, heartbeats: beats, lock: locked,
		announced: !options.Hidden}
	if b.announced {
		if err := writeAnnouncement(options.Dir, announcement{Address: b.addr, PID: os.Getpid(),
			Started: started.UTC()}); err != nil {
			b.announced = false
			b.Close()
			return nil, err
		}
	}
	log.Info("embedded Kafka broker, for trying out: use Apache Kafka in production", "address", b.addr, "folder", data,
		"opened in", time.Since(started).Round(time.Millisecond))
	return b, nil
}

// Addr returns the HOST:PORT for clients.
func (b *Broker) Addr() string { return b.addr }

// Close removes the address from broker.json, stops the broker, and unlocks the folder.
func (b *Broker) Close() error {
	b.close.Do(func() {
		if b.announced {
			b.err = os.Remove(filepath.Join(b.dir, announcementFile))
		}
		b.heartbeats.close()
		b.Cluster.Close()
		b.err = errors.Join(b.err, b.lock.Release())
	})
	return b.err
}

// neverDeleteConfigs disables the cleaner, which loses data: compaction skips open transactions and loses keys when
// killed, and an expired partition restarts at offset 0. Group offsets would expire after a week.
var neverDeleteConfigs = map[string]string{
	"log.retention.ms":          "-1",
	"log.cleaner.backoff.ms":    "3155760000000",
	"offsets.retention.minutes": "52596000",
}

// javaCompatibleVersions limits two requests that fail in Java's admin client: createTopics ("id should be positive")
// and describeTopics (NullPointerException).
func javaCompatibleVersions() *kversion.Versions {
	v := kversion.Stable() // not Tip: without its features Java's transactions fail
	v.SetMaxKeyVersion(int16(kmsg.CreateTopics), 4)
	v.SetMaxKeyVersion(int16(kmsg.DescribeTopicPartitions), -1)
	return v
}

func newClusterID() string {
	var random [16]byte
	rand.Read(random[:])
	return ClusterPrefix + base64.RawURLEncoding.EncodeToString(random[:])
}

// persistAutoCreatedTopics stores auto-created topics at once; kfake does so only for topics created by name, and loses
// the others in a kill.
func persistAutoCreatedTopics(cluster *kfake.Cluster) {
	// kfake keeps state per connection that a control function saw, so the function is renewed periodically.
	const renewAfter = 1000
	var seen atomic.Int32
	cluster.ControlKey(int16(kmsg.Metadata), func(request kmsg.Request) (kmsg.Response, error, bool) {
		if seen.Add(1) == renewAfter {
			persistAutoCreatedTopics(cluster)
			cluster.DropControl()
		} else {
			cluster.KeepControl()
		}
		metadata, ok := request.(*kmsg.MetadataRequest)
		if !ok || !metadata.AllowAutoTopicCreation {
			return nil, nil, false
		}
		for _, topic := range metadata.Topics {
			if topic.Topic != nil && *topic.Topic != "" && cluster.TopicInfo(*topic.Topic) == nil {
				cluster.CreateTopic(*topic.Topic, -1, nil) // refused: the request itself answers why
			}
		}
		return nil, nil, false
	})
}

func listen(address, advertised string) (*advertisedListener, error) {
	if address == "" {
		return listenNextFree(advertised)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("embedded broker: listen address: expected HOST:PORT, found %q", address)
	}
	if port != "0" && isListening(net.JoinHostPort(loopbackFor(host), port)) {
		return nil, fmt.Errorf("embedded broker: %s is taken: another program listens there", address)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	return advertise(l, host, advertised)
}

func listenNextFree(advertised string) (*advertisedListener, error) {
	var last error
	for port := firstPort; port <= lastPort; port++ {
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		if isListening(addr) {
			continue
		}
		l, err := net.Listen("tcp", addr)
		if err == nil {
			return advertise(l, "127.0.0.1", advertised)
		}
		last = err
	}
	return nil, fmt.Errorf("embedded broker: no free port from %d to %d on 127.0.0.1 (last: %v)", firstPort, lastPort,
		last)
}

// isListening reports whether a process listens: some systems let us bind a narrower address next to a wildcard, which
// would split clients between two brokers.
func isListening(addr string) bool {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

func loopbackFor(host string) string {
	if host == "" || isWildcard(host) {
		return "127.0.0.1"
	}
	return host
}

func isWildcard(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || (ip != nil && ip.IsUnspecified())
}

func advertise(listener net.Listener, host, advertised string) (*advertisedListener, error) {
	bound := listener.Addr().(*net.TCPAddr).Port
	advertisedHost, port := advertised, strconv.Itoa(bound)
	if h, p, err := net.SplitHostPort(advertised); err == nil {
		advertisedHost, port = h, p
	}
	switch {
	case advertisedHost != "":
	case isWildcard(host):
		name, err := os.Hostname()
		if err != nil {
			listener.Close()
			return nil, fmt.Errorf("embedded broker: listening on all interfaces needs an advertised host: %w", err)
		}
		advertisedHost = name
	default:
		advertisedHost = host
	}
	return &advertisedListener{listener, advertisedAddr(net.JoinHostPort(advertisedHost, port))}, nil
}

type advertisedListener struct {
	net.Listener
	addr advertisedAddr
}

func (l *advertisedListener) Addr() net.Addr { return l.addr }

// localAddr returns the address for this process.
func (l *advertisedListener) localAddr() string {
	bound := l.Listener.Addr().(*net.TCPAddr)
	return net.JoinHostPort(loopbackFor(bound.IP.String()), strconv.Itoa(bound.Port))
}

type advertisedAddr string

func (advertisedAddr) Network() string  { return "tcp" }
func (a advertisedAddr) String() string { return string(a) }

type brokerLogger struct{ log *slog.Logger }

func (l brokerLogger) Logf(level kfake.LogLevel, format string, args ...any) {
	to := slog.LevelDebug
	switch level {
	case kfake.LogLevelError:
		to = slog.LevelError
	case kfake.LogLevelWarn:
		to = slog.LevelWarn
	}
	if ctx := context.Background(); l.log.Enabled(ctx, to) {
		l.log.Log(ctx, to, "embedded broker: "+strings.TrimSpace(fmt.Sprintf(format, args...)))
	}
}
