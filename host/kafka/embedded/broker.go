// Package embedded is a Kafka broker inside this process, for trying out, development and tests: kfake with what keeps
// its data over a kill and its groups alive.
//
//   - broker.go: [Broker], how it is opened and where it listens.
//   - folder.go: the folder that it keeps its data in, and how the broker of a folder is found ([Find], [Attach]).
//   - members.go: heartbeats for members of groups that wait for an answer, which kfake would take for dead.
//
// Invariants: one broker at a time has a folder. What was acknowledged is on the disk. Nothing is compacted or expires.
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

	"github.com/culvert-project/culvert/host/internal/base/lock"
	"github.com/culvert-project/culvert/host/internal/base/wholefile"
)

// ClusterPrefix begins the cluster id of every embedded broker, so that a client can tell whom it talks to.
const ClusterPrefix = "culvert-embedded-"

// The ports that are tried when none is asked for.
const (
	firstPort = 9092
	lastPort  = 9191
)

// Options say where an embedded broker keeps its data and listens.
type Options struct {
	// Dir holds the broker's folder, its lock and broker.json. It is made if missing. One broker at a time can have it.
	Dir string
	// Listen is "" for 127.0.0.1 with port 9092 or the next free one (up to 9191), or HOST:PORT for exactly that;
	// port 0 takes any free one, an empty host all interfaces.
	Listen string
	// Advertised is the host, or HOST:PORT, that clients are to connect to. Default: what was listened on, and
	// the machine's name where that is all interfaces.
	Advertised string
	// Unannounced keeps the address out of broker.json: for a broker that is opened for a moment.
	Unannounced bool
	// Logger gets the broker's warnings; nil: nothing is logged.
	Logger *slog.Logger
}

// Broker is a Kafka broker inside this process, for trying out, development and tests. It owns the goroutines of a
// kfake cluster of one node until Close.
//
// Every acknowledged record is synced to disk and survives kill -9. Nothing is ever compacted or expires by age or
// size, whatever a topic's configuration says: both lose data here when the process is killed or restarted.
// Transactions are torn by a kill of this process, so exactly-once must not be promised on it.
type Broker struct {
	addr string
	dir  string
	// Cluster is the broker itself, for tests that have it misbehave.
	Cluster   *kfake.Cluster
	beats     *heartbeats
	lock      *lock.Lock
	announced bool

	close sync.Once
	err   error
}

// Open locks the folder, replays what is in it and listens. After a kill -9 each partition that was written to is
// held in memory while it is replayed; that memory is given back before Open returns.
func Open(o Options) (*Broker, error) {
	log := o.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	data := filepath.Join(o.Dir, "broker")
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	locked, err := lockFolder(o.Dir)
	if err != nil {
		return nil, err
	}
	if err := wholefile.Only(data); err != nil { // what is there is opened as it is, and a pipe waits for ever
		locked.Release()
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	listener, err := listen(o.Listen, o.Advertised)
	if err != nil {
		locked.Release()
		return nil, err
	}
	waiting := &waitingMembers{all: map[*memberConn]*waitingMember{}}
	started := time.Now()
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(1),
		kfake.DataDir(data),
		kfake.SyncWrites(),
		kfake.ClusterID(newClusterID()), // of a new folder; an old one keeps its own
		kfake.ListenFn(func(string, string) (net.Listener, error) { return memberListener{listener, waiting}, nil }),
		kfake.DefaultNumPartitions(1),
		kfake.AllowAutoTopicCreation(),
		kfake.MaxVersions(versionsForJava()),
		kfake.BrokerConfigs(nothingIsForgotten),
		kfake.WithLogger(brokerLogger{log}),
	)
	if err != nil {
		listener.Close()
		locked.Release()
		return nil, fmt.Errorf("embedded broker: opening %s: %w", data, err)
	}
	keepAutoCreated(cluster)
	beats, err := startHeartbeats(waiting, cluster, listener.bound(), log)
	if err != nil {
		cluster.Close()
		locked.Release()
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	debug.FreeOSMemory()

	b := &Broker{addr: listener.Addr().String(), dir: o.Dir, Cluster: cluster, beats: beats, lock: locked,
		announced: !o.Unannounced}
	if b.announced {
		if err := announce(o.Dir, announcement{Address: b.addr, PID: os.Getpid(), Started: started.UTC()}); err != nil {
			b.announced = false
			b.Close()
			return nil, err
		}
	}
	log.Info("embedded Kafka broker, for trying out: use Apache Kafka in production", "address", b.addr, "folder", data,
		"opened in", time.Since(started).Round(time.Millisecond))
	return b, nil
}

// Addr is the HOST:PORT that clients connect to.
func (b *Broker) Addr() string { return b.addr }

// Close takes the address out of broker.json, saves what an orderly stop saves, stops, and unlocks the folder.
func (b *Broker) Close() error {
	b.close.Do(func() {
		if b.announced {
			b.err = os.Remove(filepath.Join(b.dir, announcementFile))
		}
		b.beats.close()
		b.Cluster.Close()
		b.err = errors.Join(b.err, b.lock.Release())
	})
	return b.err
}

// nothingIsForgotten switches off what makes the embedded broker lose data: compaction passes open transactions and
// loses keys when it is killed half-way, and a partition whose records have all expired starts again at offset 0.
// The cleaner does both, also for topics that ask for them; it first runs after a hundred years.
// Offsets of groups would be dropped after a week without a member.
var nothingIsForgotten = map[string]string{
	"log.retention.ms":          "-1",
	"log.cleaner.backoff.ms":    "3155760000000",
	"offsets.retention.minutes": "52596000",
}

// versionsForJava caps two requests that Java's admin client trips over: createTopics would fail with "id should be
// positive" and describeTopics with a NullPointerException.
func versionsForJava() *kversion.Versions {
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

// keepAutoCreated has topics that a metadata request creates written down at once. kfake by itself writes the list of
// topics only when one is created by name: after a kill the records of an auto-created topic would be gone.
func keepAutoCreated(cluster *kfake.Cluster) {
	// kfake keeps something of each connection that a control function saw, so the function is renewed now and then.
	const renewAfter = 1000
	var seen atomic.Int32
	cluster.ControlKey(int16(kmsg.Metadata), func(request kmsg.Request) (kmsg.Response, error, bool) {
		if seen.Add(1) == renewAfter {
			keepAutoCreated(cluster)
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

// listen binds as Options.Listen says; the listener's Addr is the advertised address.
func listen(where, advertised string) (*advertisedListener, error) {
	if where == "" {
		return listenNextFree(advertised)
	}
	host, port, err := net.SplitHostPort(where)
	if err != nil {
		return nil, fmt.Errorf("embedded broker: listen address: expected HOST:PORT, found %q", where)
	}
	if port != "0" && answers(net.JoinHostPort(loopbackFor(host), port)) {
		return nil, fmt.Errorf("embedded broker: %s is taken: another program listens there", where)
	}
	l, err := net.Listen("tcp", where)
	if err != nil {
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	return advertise(l, host, advertised)
}

func listenNextFree(advertised string) (*advertisedListener, error) {
	var last error
	for port := firstPort; port <= lastPort; port++ {
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		if answers(addr) {
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

// answers tells whether somebody listens: where a wildcard address is taken, some systems let us bind the narrower one
// and would split the clients between two brokers.
func answers(addr string) bool {
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

// advertise wraps a listener so that its Addr is what clients connect to.
func advertise(l net.Listener, host, advertised string) (*advertisedListener, error) {
	bound := l.Addr().(*net.TCPAddr).Port
	shown, port := advertised, strconv.Itoa(bound)
	if h, p, err := net.SplitHostPort(advertised); err == nil {
		shown, port = h, p
	}
	switch {
	case shown != "":
	case isWildcard(host):
		name, err := os.Hostname()
		if err != nil {
			l.Close()
			return nil, fmt.Errorf("embedded broker: listening on all interfaces needs an advertised host: %w", err)
		}
		shown = name
	default:
		shown = host
	}
	return &advertisedListener{l, advertisedAddr(net.JoinHostPort(shown, port))}, nil
}

type advertisedListener struct {
	net.Listener
	addr advertisedAddr
}

func (l *advertisedListener) Addr() net.Addr { return l.addr }

// bound is where this process itself reaches the listener.
func (l *advertisedListener) bound() string {
	bound := l.Listener.Addr().(*net.TCPAddr)
	return net.JoinHostPort(loopbackFor(bound.IP.String()), strconv.Itoa(bound.Port))
}

type advertisedAddr string

func (advertisedAddr) Network() string  { return "tcp" }
func (a advertisedAddr) String() string { return string(a) }

// brokerLogger is kfake's logger over slog; what it tells at info is debug here.
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
