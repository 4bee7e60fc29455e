// Package embedded is a Kafka broker in this process for development and tests: kfake, with data that survives a kill
// and members that kfake would remove while they wait. broker.go, listener.go: [Broker]; folder.go: its folder, [Find]
// and [Attach]; members.go: heartbeats for members that wait for a response.
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

// Options configures a [Broker].
type Options struct {
	Dir string // Dir is created if missing and owned by one broker at a time.
	// Listen is HOST:PORT; "" is 127.0.0.1 with the first free port from 9092 to 9191. Port 0 is any free one, an
	// empty host all interfaces.
	Listen string
	// Advertised is the host or HOST:PORT for clients. Default: the listener's, or the machine's name.
	Advertised string
	Hidden     bool         // Hidden keeps the address out of broker.json.
	Logger     *slog.Logger // Logger may be nil.
}

// Broker is an in-process Kafka broker of one node, which owns its goroutines until Close. Acknowledged records survive
// kill -9, transactions do not. Nothing is compacted or expires: both would lose data after a kill.
type Broker struct {
	addr       string
	dir        string
	Cluster    *kfake.Cluster // Cluster is for tests in which the broker misbehaves.
	heartbeats *heartbeats
	lock       *lock.Lock
	// isAnnounced reports that broker.json has the address.
	isAnnounced bool

	closing sync.Once
	err     error // of the first Close
}

// Open locks the folder, reads its data and listens. Reading needs memory for a whole partition after a kill -9.
func Open(options Options) (*Broker, error) {
	log := options.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	data := filepath.Join(options.Dir, "broker")
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	folderLock, err := lockFolder(options.Dir)
	if err != nil {
		return nil, err
	}
	started := time.Now()
	b, err := start(options, data, log)
	if err != nil {
		folderLock.Release()
		return nil, err
	}
	b.lock = folderLock
	debug.FreeOSMemory() // reading the data has used much memory
	if b.isAnnounced {
		err := writeAnnouncement(options.Dir, announcement{Address: b.addr, PID: os.Getpid(), Started: started.UTC()})
		if err != nil {
			b.isAnnounced = false // Close has no file to remove
			b.Close()
			return nil, err
		}
	}
	log.Info("embedded Kafka broker started, for development only: use Apache Kafka in production", "address", b.addr,
		"folder", data, "opened in", time.Since(started).Round(time.Millisecond))
	return b, nil
}

// start opens the data and listens. The caller has locked the folder.
func start(options Options, data string, log *slog.Logger) (*Broker, error) {
	// kfake opens what it finds in the folder, and would wait forever for a pipe.
	if err := wholefile.CheckRegular(data); err != nil {
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	listener, err := listen(options.Listen, options.Advertised)
	if err != nil {
		return nil, err
	}
	members := &waitingMembers{byConn: map[*memberConn]*waitingMember{}}
	// createTopics and describeTopics otherwise fail in Java's admin client.
	versions := kversion.Stable() // not Tip: without its features Java's transactions fail
	versions.SetMaxKeyVersion(int16(kmsg.CreateTopics), 4)
	versions.SetMaxKeyVersion(int16(kmsg.DescribeTopicPartitions), -1)
	var random [16]byte // for a new folder; an existing one keeps its ID
	rand.Read(random[:])
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(1),
		kfake.DataDir(data),
		kfake.SyncWrites(),
		kfake.ClusterID(ClusterPrefix+base64.RawURLEncoding.EncodeToString(random[:])),
		kfake.ListenFn(func(string, string) (net.Listener, error) { return memberListener{listener, members}, nil }),
		kfake.DefaultNumPartitions(1),
		kfake.AllowAutoTopicCreation(),
		kfake.MaxVersions(versions),
		kfake.BrokerConfigs(neverDeleteConfigs),
		kfake.WithLogger(brokerLogger{log}),
	)
	if err != nil {
		listener.Close()
		return nil, fmt.Errorf("embedded broker: opening %s: %w", data, err)
	}
	persistAutoCreatedTopics(cluster)
	bound := listener.Listener.Addr().(*net.TCPAddr)
	address := net.JoinHostPort(loopbackFor(bound.IP.String()), strconv.Itoa(bound.Port))
	heartbeats, err := startHeartbeats(members, cluster, address, log)
	if err != nil {
		cluster.Close()
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	return &Broker{addr: listener.Addr().String(), dir: options.Dir, Cluster: cluster, heartbeats: heartbeats,
		isAnnounced: !options.Hidden}, nil
}

// Addr returns the host:port for clients.
func (b *Broker) Addr() string { return b.addr }

// Close ends the broker, removes its announcement and unlocks the folder. Further calls return the same error.
func (b *Broker) Close() error {
	b.closing.Do(func() {
		if b.isAnnounced {
			b.err = os.Remove(filepath.Join(b.dir, announcementFile))
		}
		b.heartbeats.close()
		b.Cluster.Close()
		b.err = errors.Join(b.err, b.lock.Release())
	})
	return b.err
}

// neverDeleteConfigs disables the cleaner, which loses data: compaction loses keys when killed, an expired partition
// restarts at offset 0. Group offsets would expire after a week.
var neverDeleteConfigs = map[string]string{
	"log.retention.ms":          "-1",
	"log.cleaner.backoff.ms":    "3155760000000", // a hundred years
	"offsets.retention.minutes": "52596000",      // a hundred years
}

// persistAutoCreatedTopics creates topics of metadata requests by the API that stores them; kfake would not.
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
				cluster.CreateTopic(*topic.Topic, -1, nil) // on failure the response to the request has the reason
			}
		}
		return nil, nil, false
	})
}

type brokerLogger struct{ log *slog.Logger }

// Logf implements [kfake.Logger]. Messages below WARN are logged at DEBUG.
func (l brokerLogger) Logf(level kfake.LogLevel, format string, args ...any) {
	logLevel := slog.LevelDebug
	switch level {
	case kfake.LogLevelError:
		logLevel = slog.LevelError
	case kfake.LogLevelWarn:
		logLevel = slog.LevelWarn
	}
	if ctx := context.Background(); l.log.Enabled(ctx, logLevel) {
		l.log.Log(ctx, logLevel, "embedded broker: "+strings.TrimSpace(fmt.Sprintf(format, args...)))
	}
}
