package kafka

import (
	"cmp"
	"log/slog"
	"maps"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/memory"
	"github.com/culvert-project/culvert/internal/kafka/clientconfig"
	"github.com/culvert-project/culvert/internal/kafka/security"
)

// Config is the configuration of Kafka clients. Use [Defaults] or [Parse], not the zero value.
type Config struct {
	ClientConfig
	Producer ProducerConfig
	Consumer ConsumerConfig
	Admin    ClientConfig

	Proxy   *security.Proxy // Proxy, if set, is used to reach the brokers. [Parse] creates it from kafka.proxy.*.
	Extra   []kgo.Opt
	Logger  *slog.Logger
	Metrics *Metrics
	Memory  *memory.Share // Memory is shared by the consumers of a worker. Nil means no limit.

	currentValues *security.CurrentValues
	shared        *sharedClients
}

func (c Config) log() *slog.Logger {
	if c.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return c.Logger
}

// SetCurrentValues sets a function that every logon calls for the current value of a property, so that changed secret
// files take effect. !ok means unchanged. It also applies to configurations derived from c.
func (c Config) SetCurrentValues(current func(name string) (value string, ok bool)) {
	if c.currentValues != nil {
		c.currentValues.Follow(current)
	}
}

// ClientConfig holds settings of all kinds of clients. Empty fields get the value of [Config.ClientConfig].
type ClientConfig struct {
	// Bootstrap holds HOST:PORT of brokers, or "embedded" or "embedded:PORT", see [EmbeddedListen].
	Bootstrap      []string
	ClientID       string
	MetadataMaxAge time.Duration // MetadataMaxAge is the longest age of cached metadata. Default 5 min.
	// RequestTimeout bounds a request at the broker. Default by request, 10 s for produce.
	RequestTimeout time.Duration
	// ConnectTimeout bounds a connection with its handshakes. Default 10 s, through a proxy 30 s.
	ConnectTimeout time.Duration
	// IdleTimeout closes unused connections. Default 30 s, below the limits of proxies and firewalls.
	IdleTimeout time.Duration
	Security    map[string]clientconfig.Value // Security holds security.protocol, ssl.* and sasl.*, without a prefix.

	access *security.Access // built by Parse and Override; nil means plain TCP
}

// withDefaults returns c with base's values for empty fields, but not base's Security for other brokers.
func (c ClientConfig) withDefaults(base ClientConfig) ClientConfig {
	hasOwnCluster := len(c.Bootstrap) > 0
	if !hasOwnCluster {
		c.Bootstrap = base.Bootstrap
	}
	c.ClientID = cmp.Or(c.ClientID, base.ClientID)
	c.MetadataMaxAge = cmp.Or(c.MetadataMaxAge, base.MetadataMaxAge)
	c.RequestTimeout = cmp.Or(c.RequestTimeout, base.RequestTimeout)
	c.ConnectTimeout = cmp.Or(c.ConnectTimeout, base.ConnectTimeout)
	c.IdleTimeout = cmp.Or(c.IdleTimeout, base.IdleTimeout)
	c.access = cmp.Or(c.access, base.access)
	if hasOwnCluster {
		return c // credentials must not be sent to another cluster
	}
	merged := maps.Clone(base.Security)
	if merged == nil {
		merged = map[string]clientconfig.Value{}
	}
	maps.Copy(merged, c.Security)
	c.Security = merged
	return c
}

// ProducerConfig holds `producer.*` and `producer.override.*`.
type ProducerConfig struct {
	ClientConfig
	Compression string // Compression costs per record of 1 KB: snappy 1.4 µs, lz4 2.6 µs, zstd 6 µs. Default none.
	Acks        int    // Acks is -1 (all in-sync replicas, default) or 1 (the leader).
	Idempotent  bool
	Linger      time.Duration // Linger is the time that a batch waits to fill. Default 10 ms; a flush does not wait.
	// DeliveryTimeout is the limit until acknowledgement. Zero (default) means none, as in Kafka Connect.
	DeliveryTimeout time.Duration
	Retries         int // Retries of a record. Negative (default) means no limit, as in Kafka Connect.
	InFlight        int // InFlight bounds concurrent requests per broker without idempotence. Default 1.
	BufferBytes     int // BufferBytes bounds unacknowledged data; producing blocks above it. Default 32 MiB.
	// MaxRequestBytes bounds records and batches, uncompressed. Default 1,000,012: max.message.bytes less overhead.
	MaxRequestBytes    int32
	TransactionTimeout time.Duration
}

// ConsumerConfig holds `consumer.*` and `consumer.override.*`.
type ConsumerConfig struct {
	ClientConfig
	Group    string
	Instance string
	// Reset is auto.offset.reset; empty is earliest, but an error for a sink's offset that is no longer in the log.
	Reset string
	// ReadUncommitted includes records of open and aborted transactions. Default false; Kafka's default is true.
	ReadUncommitted bool
	FetchBytes      int32 // FetchBytes bounds a fetch. Zero means up to 16 MiB, within the memory of the consumer.
	// PartitionBytes bounds a fetch's part of one partition. Zero means 8 MiB for up to 4 partitions, 1 MiB for more.
	PartitionBytes    int32
	DecompressedBytes int32 // DecompressedBytes bounds a decompressed batch. Default 128 MiB.
	FetchMinBytes     int32 // The broker waits for FetchMinBytes up to FetchMaxWait. Defaults 1 byte, 500 ms.
	FetchMaxWait      time.Duration
	MaxPollRecords    int
	SessionTimeout    time.Duration // A silent member is removed after SessionTimeout. Defaults 45 s and 3 s.
	HeartbeatInterval time.Duration
	MaxPollInterval   time.Duration
	Rack              string
	Assignors         []string // Assignors by Kafka's short names, in order of preference. Default cooperative-sticky.
}

// Defaults returns the configuration without any property. Bootstrap is empty.
func Defaults() Config {
	return Config{
		ClientConfig: ClientConfig{ClientID: "culvert", MetadataMaxAge: 5 * time.Minute},
		Producer: ProducerConfig{
			Compression: "none", Acks: -1, Idempotent: true, Linger: 10 * time.Millisecond, Retries: -1, InFlight: 1,
			BufferBytes: 32 << 20, MaxRequestBytes: 1_000_012, TransactionTimeout: time.Minute,
		},
		Consumer: ConsumerConfig{
			DecompressedBytes: 128 << 20, FetchMinBytes: 1, FetchMaxWait: 500 * time.Millisecond,
			MaxPollRecords: 500, SessionTimeout: 45 * time.Second, HeartbeatInterval: 3 * time.Second,
			MaxPollInterval: 5 * time.Minute,
		},
	}
}

// ForProducers returns a configuration whose clients all use the brokers and credentials of c's producers.
func (c Config) ForProducers() Config {
	c.ClientConfig = c.Producer.withDefaults(c.ClientConfig)
	c.Admin = c.ClientConfig
	c.Consumer.ClientConfig = c.ClientConfig
	return c
}
