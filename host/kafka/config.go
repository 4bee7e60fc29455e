package kafka

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/kafka/security"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
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

// over is c with what it leaves open taken from base.
func (c ClientConfig) over(base ClientConfig) ClientConfig {
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
	// BatchBytes bounds a batch of several records of a topic whose max.message.bytes is not known. 0 (default):
	// nothing but MaxRequestBytes does.
	BatchBytes int32
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
			FetchBytes: 16 << 20, FetchMinBytes: 1, FetchMaxWait: 500 * time.Millisecond,
			MaxPollRecords: 500, SessionTimeout: 45 * time.Second, HeartbeatInterval: 3 * time.Second,
			MaxPollInterval: 5 * time.Minute,
		},
	}
}

// Parse takes from a worker's properties those that are about Kafka clients; the rest is not looked at. Warnings name
// settings that are Kafka's but change nothing here, and those below producer., consumer. or admin. that nobody knows.
// The error is, or wraps, a [setting.Problem]; nobody here knows of files. ctx ends the reading of key stores.
func Parse(ctx context.Context, properties map[string]string) (Config, setting.Problems, error) {
	c := Defaults()
	c.live, c.shared = &security.Live{}, &shared{}
	warnings, err := c.apply(properties, map[string]side{
		"": sideCommon, "producer.": sideProducer, "consumer.": sideConsumer, "admin.": sideAdmin,
	})
	if err != nil {
		return Config{}, warnings, err
	}
	if len(c.Bootstrap) == 0 {
		return Config{}, warnings, setting.Problem{Setting: "bootstrap.servers", Code: setting.CodeMissing,
			Text: setting.Missing("bootstrap.servers")}
	}
	if c.Proxy, err = security.NewProxy(properties, c.Bootstrap, c.live); err != nil {
		return Config{}, warnings, err
	}
	notes, err := c.secure(ctx)
	return c, append(warnings, notes...), err
}

// Override is the configuration of one connector: c changed by the connector's producer.override.*, consumer.override.*
// and admin.override.* properties. ctx ends the reading of key stores.
func (c Config) Override(ctx context.Context, properties map[string]string) (Config, setting.Problems, error) {
	warnings, err := c.apply(properties, map[string]side{
		"producer.override.": sideProducer, "consumer.override.": sideConsumer, "admin.override.": sideAdmin,
	})
	c.live, c.shared = c.live.Next(), cmp.Or(c.shared, &shared{})
	if err != nil || !overridesAccess(properties) {
		return c, warnings, err
	}
	notes, err := c.secure(ctx)
	return c, append(warnings, notes...), err
}

// OfProducers is c for clients that go where the producers of c go, and log on as they do, whatever they do there.
func (c Config) OfProducers() Config {
	c.ClientConfig = c.Producer.over(c.ClientConfig)
	c.Consumer.ClientConfig, c.Admin = c.ClientConfig, c.ClientConfig
	return c
}

// overridePrefixes are those of a connector's settings for its own clients.
var overridePrefixes = []string{"producer.override.", "consumer.override.", "admin.override."}

// overridesAccess tells whether properties of a connector change how its clients come to their brokers.
func overridesAccess(properties map[string]string) bool {
	for name := range properties {
		for _, prefix := range overridePrefixes {
			short, ok := strings.CutPrefix(name, prefix)
			if ok && (security.Concerns(short) || short == "bootstrap.servers" || short == connectTimeout) {
				return true
			}
		}
	}
	return false
}

// apply sets every property whose name begins with one of the prefixes. Names are taken in order, so that the first
// error and the warnings do not depend on the map.
func (c *Config) apply(properties map[string]string, prefixes map[string]side) (warnings setting.Problems, err error) {
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		prefix, s := maxPrefix(name, prefixes)
		if s == sideNone {
			continue
		}
		short, value := name[len(prefix):], setting.Trim(properties[name])
		p, known := settings[s][short]
		switch {
		case security.Concerns(short):
			warning, err := c.secured(s, short, security.Given{Name: name, Value: value})
			if err != nil {
				return warnings, err
			}
			if warning.Text != "" {
				warnings = append(warnings, warning)
			}
		case known && p.set != nil:
			note, err := p.give(c, name, value)
			if err != nil {
				return warnings, err
			}
			if note != "" {
				warnings = append(warnings, warning(name, "", note))
			}
		case known:
			warnings = append(warnings, warning(name, setting.CodeNoEffect, "has no effect here"))
		case name == "admin.listeners": // of REST, not of admin clients
		case prefix != "":
			warnings = append(warnings, warning(name, setting.CodeUnknown,
				unknownAmong(short, maps.Keys(settings[s]))))
		}
	}
	return warnings, nil
}

func warning(name string, code setting.Code, text string) setting.Problem {
	return setting.Problem{Setting: name, Code: code, Text: text, Warning: true}
}

// secured notes a property of security for one kind of client. A warning without a text is none.
func (c *Config) secured(s side, name string, given security.Given) (warns setting.Problem, err error) {
	effective, warns, err := security.Check(name, given)
	if !effective {
		return warns, err
	}
	client := c.client(s)
	client.Security = maps.Clone(client.Security) // shared with the configuration that this one was made of
	if client.Security == nil {
		client.Security = map[string]security.Given{}
	}
	client.Security[name] = given
	return warns, nil
}

// client is where the settings of one kind of client are.
func (c *Config) client(s side) *ClientConfig {
	switch s {
	case sideProducer:
		return &c.Producer.ClientConfig
	case sideConsumer:
		return &c.Consumer.ClientConfig
	case sideAdmin:
		return &c.Admin
	}
	return &c.ClientConfig
}

// secure makes the accesses of all kinds of clients and returns what the user should know. Stores are opened, nothing
// is sent. ctx ends the opening.
func (c *Config) secure(ctx context.Context) (warnings setting.Problems, err error) {
	if c.live == nil {
		c.live = &security.Live{}
	}
	for _, s := range []side{sideProducer, sideConsumer, sideAdmin} {
		client := c.client(s)
		merged := client.over(c.ClientConfig)
		if like := c.alike(s, merged); like != nil {
			client.access = like.access
			continue
		}
		made, notes, err := security.New(ctx, security.Options{Given: merged.Security, Bootstrap: merged.Bootstrap,
			Timeout: merged.ConnectTimeout, Proxy: c.Proxy, Live: c.live})
		if err != nil {
			return warnings, err
		}
		client.access = made
		for _, note := range notes {
			if !slices.Contains(warnings, note) {
				warnings = append(warnings, note)
			}
		}
	}
	return warnings, nil
}

// alike is a kind of client before s whose access would be the same: stores are opened and tokens are fetched once.
func (c *Config) alike(s side, merged ClientConfig) *ClientConfig {
	for before := sideProducer; before < s; before++ {
		other := c.client(before).over(c.ClientConfig)
		if maps.Equal(other.Security, merged.Security) && slices.Equal(other.Bootstrap, merged.Bootstrap) &&
			other.ConnectTimeout == merged.ConnectTimeout {
			return c.client(before)
		}
	}
	return nil
}

// EmbeddedListen tells whether bootstrap.servers asks for the embedded broker, and on which address: "" is the default
// of [BrokerOptions.Listen].
func EmbeddedListen(bootstrap []string) (listen string, embedded bool, err error) {
	if len(bootstrap) == 0 || (bootstrap[0] != "embedded" && !strings.HasPrefix(bootstrap[0], "embedded:")) {
		return "", false, nil
	}
	if len(bootstrap) > 1 {
		return "", true, setting.Problem{Setting: "bootstrap.servers", Code: setting.CodeInvalid,
			Text: setting.Invalid("bootstrap.servers", strings.Join(bootstrap, ","), "expected embedded alone")}
	}
	_, port, given := strings.Cut(bootstrap[0], ":")
	if !given {
		return "", true, nil
	}
	n, ok := setting.Integer(wit.KindInt, port)
	if !ok || n < 1 || n > math.MaxUint16 {
		return "", true, setting.Problem{Setting: "bootstrap.servers", Code: setting.CodeInvalid,
			Text: setting.Invalid("bootstrap.servers", bootstrap[0],
				"expected embedded:PORT with a port from 1 to 65535")}
	}
	return fmt.Sprintf("127.0.0.1:%d", n), true, nil
}

func maxPrefix(name string, prefixes map[string]side) (string, side) {
	best, found := "", sideNone
	for prefix, s := range prefixes {
		if strings.HasPrefix(name, prefix) && (found == sideNone || len(prefix) > len(best)) {
			best, found = prefix, s
		}
	}
	return best, found
}
