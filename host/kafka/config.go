package kafka

import (
	"cmp"
	"log/slog"
	"maps"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/kafka/security"
)

// Config says how clients reach Kafka and how they behave. The zero value is not usable: take [Defaults] or [Parse].
type Config struct {
	// ClientConfig is for every client; what Producer, Consumer and Admin have of their own wins.
	ClientConfig
	Producer ProducerConfig
	Consumer ConsumerConfig
	// Admin is what `admin.*` and `admin.override.*` set.
	Admin ClientConfig

	// Proxy stands before the brokers; nil: none does. [Parse] makes it of kafka.proxy.*.
	Proxy *security.Proxy
	// Extra is appended to the options of every client and wins over all else.
	Extra []kgo.Opt
	// Logger gets what the clients have to say; nil: nothing is logged.
	Logger *slog.Logger
	// Figures count what the clients do; nil: nobody does.
	Figures *Figures

	live   *security.Live
	shared *shared
}

// log is the logger, one that discards where there is none.
func (c Config) log() *slog.Logger {
	if c.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return c.Logger
}

// Follow has every logon ask for the value that a property has at that time, by its whole name, where it came from a
// file that may have changed since; !ok: it has not. It also holds for what was made of c, and not for what c was made
// of.
func (c Config) Follow(current func(name string) (value string, ok bool)) {
	if c.live != nil {
		c.live.Follow(current)
	}
}

// ClientConfig is what all kinds of clients have.
type ClientConfig struct {
	// Bootstrap holds HOST:PORT of brokers to start from. [Parse] leaves the word "embedded" (or "embedded:PORT") as
	// it stands; whoever opens the broker puts its address here. See [EmbeddedListen].
	Bootstrap []string
	// ClientID names the process in the broker's logs and quotas. Default "culvert", or what the caller thinks fit.
	ClientID string
	// MetadataMaxAge is the longest time that topics and leaders are believed without asking. Default 5 min.
	MetadataMaxAge time.Duration
	// RequestTimeout is how long one request may take at the broker. Default: what the request says, 10 s for produce.
	RequestTimeout time.Duration
	// ConnectTimeout bounds a connection with its handshakes. Default 10 s, through a proxy 30 s.
	ConnectTimeout time.Duration
	// IdleTimeout is after how long an unused connection is closed. Default 30 s, which is below what proxies and
	// firewalls allow.
	IdleTimeout time.Duration
	// Security is what is given of security.protocol, ssl.* and sasl.*, by Kafka's names without a prefix.
	Security map[string]security.Given

	access *security.Access // that Parse and Override made of it; nil: plain TCP
}

// withDefaults is c with what it leaves open taken from base.
func (c ClientConfig) withDefaults(base ClientConfig) ClientConfig {
	elsewhere := len(c.Bootstrap) > 0
	if len(c.Bootstrap) == 0 {
		c.Bootstrap = base.Bootstrap
	}
	c.ClientID = cmp.Or(c.ClientID, base.ClientID)
	c.MetadataMaxAge = cmp.Or(c.MetadataMaxAge, base.MetadataMaxAge)
	c.RequestTimeout = cmp.Or(c.RequestTimeout, base.RequestTimeout)
	c.ConnectTimeout = cmp.Or(c.ConnectTimeout, base.ConnectTimeout)
	c.IdleTimeout = cmp.Or(c.IdleTimeout, base.IdleTimeout)
	c.access = cmp.Or(c.access, base.access)
	if elsewhere {
		return c // another cluster: the passwords of the one are none of the other's business
	}
	given := maps.Clone(base.Security)
	if given == nil {
		given = map[string]security.Given{}
	}
	maps.Copy(given, c.Security)
	c.Security = given
	return c
}

// ProducerConfig is what `producer.*` and `producer.override.*` set.
type ProducerConfig struct {
	ClientConfig
	// Compression: none, gzip, snappy, lz4 or zstd. Default none: snappy costs 1.4 µs, lz4 2.6 µs, zstd 6 µs a record
	// of 1 KB.
	Compression string
	// Acks is -1 (all in-sync replicas, default) or 1 (the leader).
	Acks int
	// Idempotent is true unless enable.idempotence=false or acks=1.
	Idempotent bool
	// Linger is how long a batch waits to fill. Default 10 ms; a flush does not wait.
	Linger time.Duration
	// DeliveryTimeout bounds the time of a record from Produce to its acknowledgement. 0 (default): no bound, as in
	// Kafka Connect.
	DeliveryTimeout time.Duration
	// Retries of a record; negative (default): no bound, as in Kafka Connect.
	Retries int
	// InFlight is the number of requests under way to one broker without idempotence (with it, 5 and in order). Default
	// 1.
	InFlight int
	// BufferBytes bounds what waits to be acknowledged; producing blocks above it. Default 32 MiB.
	BufferBytes int
	// MaxRequestBytes bounds one record and one batch, before compression. Default 1,000,012, Kafka's max.message.bytes
	// less its overhead.
	MaxRequestBytes int32
	// TransactionTimeout is after how long the broker aborts an open transaction. Default 1 min.
	TransactionTimeout time.Duration
}

// ConsumerConfig is what `consumer.*` and `consumer.override.*` set.
type ConsumerConfig struct {
	ClientConfig
	// Group replaces the group that the caller names (consumer.override.group.id); empty: none.
	Group string
	// Instance makes a static member (group.instance.id).
	Instance string
	// Reset is where to start without a committed offset: earliest, latest, none (an error); empty (default): earliest,
	// as in Kafka Connect. A sink goes by it also where its next offset is no longer in the log; empty: an error then.
	Reset string
	// ReadUncommitted also gives records of open and aborted transactions. Default false; Kafka's own default is true.
	ReadUncommitted bool
	// FetchBytes bounds one answer of one broker. Default 16 MiB.
	FetchBytes int32
	// PartitionBytes bounds the share of one partition. 0 (default): 8 MiB for up to 4 partitions, 1 MiB for more.
	PartitionBytes int32
	// DecompressedBytes bounds what one compressed batch of records may grow to. Default 128 MiB.
	DecompressedBytes int32
	// FetchMinBytes is waited for at the broker up to FetchMaxWait. Defaults 1 byte, 500 ms.
	FetchMinBytes int32
	FetchMaxWait  time.Duration
	// MaxPollRecords bounds one poll. Default 500.
	MaxPollRecords int
	// SessionTimeout and HeartbeatInterval: a member that is silent for so long is dropped. Defaults 45 s and 3 s.
	SessionTimeout    time.Duration
	HeartbeatInterval time.Duration
	// MaxPollInterval is how long a member may take to give partitions back. Default 5 min.
	MaxPollInterval time.Duration
	// Rack of this process, to fetch from the nearest replica.
	Rack string
	// Assignors by Kafka's short names, in order of preference. Default cooperative-sticky.
	Assignors []string
}

// Defaults is a Config without brokers.
func Defaults() Config {
	return Config{
		ClientConfig: ClientConfig{ClientID: "culvert", MetadataMaxAge: 5 * time.Minute},
		Producer: ProducerConfig{
			Compression: "none", Acks: -1, Idempotent: true, Linger: 10 * time.Millisecond, Retries: -1, InFlight: 1,
			BufferBytes: 32 << 20, MaxRequestBytes: 1_000_012, TransactionTimeout: time.Minute,
		},
		Consumer: ConsumerConfig{
			FetchBytes: 16 << 20, DecompressedBytes: 128 << 20, FetchMinBytes: 1, FetchMaxWait: 500 * time.Millisecond,
			MaxPollRecords: 500, SessionTimeout: 45 * time.Second, HeartbeatInterval: 3 * time.Second,
			MaxPollInterval: 5 * time.Minute,
		},
	}
}

// OfProducers is c for clients that go where the producers of c go, and log on as they do, whatever they do there.
func (c Config) OfProducers() Config {
	c.ClientConfig = c.Producer.withDefaults(c.ClientConfig)
	c.Consumer.ClientConfig, c.Admin = c.ClientConfig, c.ClientConfig
	return c
}
