package kafka

import (
	"fmt"
	"maps"
	"math"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/kafka/clientconfig"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

type clientKind int

const (
	kindNone clientKind = iota
	kindCommon
	kindProducer
	kindConsumer
	kindAdmin
)

// property is a property of Kafka's clients, without a prefix.
type property struct {
	kind  wit.SettingKind
	rules []wit.Rule
	// set applies a valid value and may return a hint or a problem. Nil means that the property has no effect.
	set func(c *Config, value string) (hint, problem string)
}

var ignoredProperty = property{}

const connectTimeout = "socket.connection.setup.timeout.ms"

// decompressedBytesSetting names a property of our own: Kafka's consumers have no such limit.
const decompressedBytesSetting = "fetch.max.decompressed.bytes"

const maxMillis = math.MaxInt32 // the largest time in Kafka's properties of type int

var settings = map[clientKind]map[string]property{
	kindCommon: clientProperties(func(c *Config) *ClientConfig { return &c.ClientConfig },
		map[string]property{"compression.type": compressionType()},
		ignoredConnection, []string{"client.dns.lookup"}),
	kindProducer: clientProperties(func(c *Config) *ClientConfig { return &c.Producer.ClientConfig },
		map[string]property{
			"compression.type":    compressionType(),
			"acks":                acks(),
			"enable.idempotence":  boolean(func(c *Config) *bool { return &c.Producer.Idempotent }),
			"linger.ms":           millis(func(c *Config) *time.Duration { return &c.Producer.Linger }, 0),
			"delivery.timeout.ms": deliveryTimeout(),
			"retries":             retries(),
			"max.in.flight.requests.per.connection": integer(func(c *Config) *int { return &c.Producer.InFlight },
				1, math.MaxInt32),
			"buffer.memory": integer(func(c *Config) *int { return &c.Producer.BufferBytes }, 1<<10, math.MaxInt64),
			"max.request.size": integer(func(c *Config) *int32 { return &c.Producer.MaxRequestBytes },
				1<<10, math.MaxInt32),
			"transaction.timeout.ms": millis(func(c *Config) *time.Duration { return &c.Producer.TransactionTimeout },
				1),
		}, ignoredConnection, []string{"batch.size", "max.block.ms", "partitioner.class", "key.serializer",
			"value.serializer", "interceptor.classes", "metric.reporters"}),
	kindConsumer: clientProperties(func(c *Config) *ClientConfig { return &c.Consumer.ClientConfig },
		map[string]property{
			"client.rack":       textual(func(c *Config) *string { return &c.Consumer.Rack }),
			"group.id":          textual(func(c *Config) *string { return &c.Consumer.Group }),
			"group.instance.id": textual(func(c *Config) *string { return &c.Consumer.Instance }),
			"auto.offset.reset": oneOf(func(c *Config) *string { return &c.Consumer.Reset },
				"earliest", "latest", "none"),
			"isolation.level": isolationLevel(),
			"fetch.max.bytes": integer(func(c *Config) *int32 { return &c.Consumer.FetchBytes }, 1<<10, math.MaxInt32),
			decompressedBytesSetting: integer(func(c *Config) *int32 { return &c.Consumer.DecompressedBytes },
				1<<10, math.MaxInt32),
			"max.partition.fetch.bytes": integer(func(c *Config) *int32 { return &c.Consumer.PartitionBytes },
				1<<10, math.MaxInt32),
			"fetch.min.bytes":    integer(func(c *Config) *int32 { return &c.Consumer.FetchMinBytes }, 0, math.MaxInt32),
			"fetch.max.wait.ms":  millis(func(c *Config) *time.Duration { return &c.Consumer.FetchMaxWait }, 10),
			"max.poll.records":   integer(func(c *Config) *int { return &c.Consumer.MaxPollRecords }, 1, math.MaxInt32),
			"session.timeout.ms": millis(func(c *Config) *time.Duration { return &c.Consumer.SessionTimeout }, 100),
			"heartbeat.interval.ms": millis(func(c *Config) *time.Duration { return &c.Consumer.HeartbeatInterval },
				100),
			"max.poll.interval.ms":          millis(func(c *Config) *time.Duration { return &c.Consumer.MaxPollInterval }, 100),
			"partition.assignment.strategy": listOf(func(c *Config) *[]string { return &c.Consumer.Assignors }, assignor),
		}, ignoredConnection, []string{"enable.auto.commit", "auto.commit.interval.ms", "allow.auto.create.topics",
			"check.crcs", "exclude.internal.topics", "key.deserializer", "value.deserializer", "interceptor.classes",
			"metric.reporters", "default.api.timeout.ms"}),
	kindAdmin: clientProperties(func(c *Config) *ClientConfig { return &c.Admin }, nil,
		[]string{"retries", "retry.backoff.ms", "default.api.timeout.ms"}),
}

var ignoredConnection = []string{"retry.backoff.ms", "reconnect.backoff.ms", "reconnect.backoff.max.ms",
	"send.buffer.bytes", "receive.buffer.bytes"}

// clientProperties returns the properties of one kind of client: common, additional and ignored ones.
func clientProperties(client func(*Config) *ClientConfig, additional map[string]property,
	ignored ...[]string) map[string]property {
	properties := map[string]property{
		"bootstrap.servers":   listOf(func(c *Config) *[]string { return &client(c).Bootstrap }, bootstrapServer),
		"client.id":           textual(func(c *Config) *string { return &client(c).ClientID }),
		"metadata.max.age.ms": millis(func(c *Config) *time.Duration { return &client(c).MetadataMaxAge }, 1),
		"request.timeout.ms":  millis(func(c *Config) *time.Duration { return &client(c).RequestTimeout }, 1),

		"socket.connection.setup.timeout.max.ms": ignoredProperty,
	}
	properties[connectTimeout] = millis(func(c *Config) *time.Duration { return &client(c).ConnectTimeout }, 1)
	properties["connections.max.idle.ms"] = idleTimeout(func(c *Config) *time.Duration {
		return &client(c).IdleTimeout
	})
	maps.Copy(properties, additional)
	for _, names := range ignored {
		for _, name := range names {
			properties[name] = ignoredProperty
		}
	}
	return properties
}

func textual(field func(*Config) *string) property {
	return property{set: func(c *Config, v string) (hint, problem string) {
		*field(c) = v
		return "", ""
	}}
}

func oneOf(field func(*Config) *string, allowed ...string) property {
	p := property{rules: []wit.Rule{setting.Allowed(allowed...)}}
	p.set = func(c *Config, v string) (hint, problem string) {
		*field(c), _ = setting.Canonical(&wit.ConfigKey{Rules: p.rules}, v)
		return "", ""
	}
	return p
}

func boolean(field func(*Config) *bool) property {
	return property{kind: wit.KindBoolean, set: func(c *Config, v string) (hint, problem string) {
		*field(c), _ = setting.ParseBool(v)
		return "", ""
	}}
}

// number is an integer in a range. A highest of MaxInt32 makes it an int, MaxInt64 a long, both without another limit.
func number(lowest, highest int64, set func(c *Config, n int64) (hint string)) property {
	result := property{kind: wit.KindLong, rules: []wit.Rule{setting.AtLeast(lowest)}}
	switch highest {
	case math.MaxInt32:
		result.kind = wit.KindInt
	case math.MaxInt64: // no limit
	default:
		result.rules = append(result.rules, setting.AtMost(highest))
	}
	result.set = func(c *Config, v string) (hint, problem string) {
		n, _ := setting.ParseInt(result.kind, v)
		return set(c, n), ""
	}
	return result
}

func integer[T int | int32](field func(*Config) *T, lowest, highest int64) property {
	return number(lowest, highest, func(c *Config, n int64) string {
		*field(c) = T(n)
		return ""
	})
}

func millis(field func(*Config) *time.Duration, lowest int64) property {
	return number(lowest, maxMillis, func(c *Config, n int64) string {
		*field(c) = time.Duration(n) * time.Millisecond
		return ""
	})
}

// idleTimeout bounds connections.max.idle.ms. Negative means no limit to Kafka's clients.
func idleTimeout(field func(*Config) *time.Duration) property {
	const shortest, longest = 100 * time.Millisecond, 15 * time.Minute
	return number(-1, math.MaxInt64/int64(time.Millisecond), func(c *Config, n int64) string {
		requested := time.Duration(n) * time.Millisecond
		*field(c) = min(max(requested, shortest), longest)
		if n < 0 || requested > longest {
			*field(c) = longest
			return "limited to 15 minutes"
		}
		return ""
	})
}

func listOf(field func(*Config) *[]string, parse func(string) (item, problem string)) property {
	return property{kind: wit.KindList, set: func(config *Config, v string) (hint, problem string) {
		var items []string
		for _, s := range nonEmptyItems(v) {
			item, problem := parse(s)
			if problem != "" {
				return "", problem
			}
			items = append(items, item)
		}
		*field(config) = items
		return "", ""
	}}
}

func bootstrapServer(server string) (address, problem string) {
	if clientconfig.IsEmbedded(server) {
		return server, ""
	}
	if _, address, ok := strings.Cut(server, "://"); ok { // PLAINTEXT://HOST:PORT, which Kafka's clients accept
		server = address
	}
	host, port, err := net.SplitHostPort(server)
	if n, ok := setting.ParseInt(wit.KindInt, port); err == nil && host != "" && ok && n >= 1 && n <= math.MaxUint16 {
		return server, ""
	}
	return "", fmt.Sprintf("expected HOST:PORT or embedded, found %q", server)
}

func compressionType() property {
	return oneOf(func(c *Config) *string { return &c.Producer.Compression }, "none", "gzip", "snappy", "lz4", "zstd")
}

// acks does not support 0: offsets are stored only after acknowledged records.
func acks() property {
	p := property{rules: []wit.Rule{setting.Allowed("all", "-1", "0", "1")}}
	p.set = func(c *Config, v string) (hint, problem string) {
		c.Producer.Acks = -1
		switch v {
		case "0":
			c.Producer.Acks = 1
			return "1 is used instead, since offsets are stored only after acknowledged records", ""
		case "1":
			c.Producer.Acks = 1
		}
		return "", ""
	}
	return p
}

// deliveryTimeout reads the largest int, which Kafka Connect sets, as no limit.
func deliveryTimeout() property {
	return number(1, maxMillis, func(c *Config, n int64) string {
		c.Producer.DeliveryTimeout = 0
		if n < maxMillis {
			c.Producer.DeliveryTimeout = time.Duration(n) * time.Millisecond
		}
		return ""
	})
}

func retries() property {
	return number(0, math.MaxInt32, func(c *Config, n int64) string {
		c.Producer.Retries = -1
		if n < math.MaxInt32 {
			c.Producer.Retries = int(n)
		}
		return ""
	})
}

func isolationLevel() property {
	p := property{rules: []wit.Rule{setting.Allowed("read_committed", "read_uncommitted")}}
	p.set = func(c *Config, v string) (hint, problem string) {
		c.Consumer.ReadUncommitted = strings.EqualFold(v, "read_uncommitted")
		return "", ""
	}
	return p
}

var assignors = map[string]struct {
	class    string
	balancer func() kgo.GroupBalancer
}{
	"cooperative-sticky": {"CooperativeStickyAssignor", kgo.CooperativeStickyBalancer},
	"range":              {"RangeAssignor", kgo.RangeBalancer},
	"roundrobin":         {"RoundRobinAssignor", kgo.RoundRobinBalancer},
	"sticky":             {"StickyAssignor", kgo.StickyBalancer},
}

func assignor(v string) (name, problem string) {
	class := v[strings.LastIndexByte(v, '.')+1:]
	for name, a := range assignors {
		if class == name || class == a.class {
			return name, ""
		}
	}
	return "", fmt.Sprintf("expected CooperativeStickyAssignor, StickyAssignor, RangeAssignor or "+
		"RoundRobinAssignor, found %q", v)
}

// apply checks a value and sets it in c. hint is a warning for the user, "" means no warning.
func (p property) apply(c *Config, name, value string) (hint string, err error) {
	spec := wit.ConfigKey{Name: name, Kind: p.kind, Rules: p.rules}
	if problem := (setting.Check{}).Value(&spec, value); problem != "" {
		return "", setting.Problem{Setting: name, Code: setting.CodeInvalid, Text: problem}
	}
	hint, problem := p.set(c, value)
	if problem != "" {
		return "", setting.Problem{Setting: name, Code: setting.CodeInvalid,
			Text: setting.Invalid(name, value, problem)}
	}
	return hint, nil
}

func nonEmptyItems(list string) []string {
	return slices.DeleteFunc(setting.ParseList(list), func(item string) bool { return item == "" })
}

// ClientProperty describes a property of Kafka's clients for users.
type ClientProperty struct {
	Name        string
	Kind        wit.SettingKind
	Clients     []string // producer, consumer, admin; common for all clients
	Ignored     bool     // The property is accepted without an effect.
	Unsupported string   // why the property is rejected, or ""
}

// ClientProperties returns all supported properties by name. Workers and connectors add prefixes.
func ClientProperties() []ClientProperty {
	byName := map[string]*ClientProperty{}
	for _, client := range []struct {
		kind clientKind
		name string
	}{
		{kindCommon, "common"},
		{kindProducer, "producer"},
		{kindConsumer, "consumer"},
		{kindAdmin, "admin"},
	} {
		for name, p := range settings[client.kind] {
			merged := byName[name]
			if merged == nil {
				merged = &ClientProperty{Name: name, Kind: p.kind, Ignored: p.set == nil}
				byName[name] = merged
			}
			merged.Clients = append(merged.Clients, client.name)
			merged.Ignored = merged.Ignored && p.set == nil
		}
	}
	for _, p := range clientconfig.Properties() {
		byName[p.Name] = &ClientProperty{Name: p.Name, Clients: []string{"common"}, Ignored: p.NoEffect,
			Unsupported: p.Unsupported}
	}
	list := make([]ClientProperty, 0, len(byName))
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		list = append(list, *byName[name])
	}
	return list
}
