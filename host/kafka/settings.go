package kafka

import (
	"fmt"
	"maps"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// side is the client that a setting belongs to.
type side int

const (
	sideNone side = iota
	sideCommon
	sideProducer
	sideConsumer
	sideAdmin
)

// setter puts a value into c and may return a note for the user.
type setter func(c *Config, value string) (note string, err error)

const connectTimeout = "socket.connection.setup.timeout.ms"

// maxMillis is the most that Kafka's settings in milliseconds take.
const maxMillis = math.MaxInt32

// settings are the names of Kafka's Java clients that are understood; nil: known, without effect here, because the
// client does it by itself or has no such thing.
var settings = map[side]map[string]setter{
	sideCommon: {
		"bootstrap.servers":                      list(func(c *Config) *[]string { return &c.Bootstrap }, bootstrapServer),
		"client.id":                              text(func(c *Config) *string { return &c.ClientID }),
		"compression.type":                       compressionType,
		"metadata.max.age.ms":                    millis(func(c *Config) *time.Duration { return &c.MetadataMaxAge }, 1),
		"request.timeout.ms":                     millis(func(c *Config) *time.Duration { return &c.RequestTimeout }, 1),
		"retry.backoff.ms":                       nil,
		"reconnect.backoff.ms":                   nil,
		"reconnect.backoff.max.ms":               nil,
		"send.buffer.bytes":                      nil,
		"receive.buffer.bytes":                   nil,
		"client.dns.lookup":                      nil,
		connectTimeout:                           millis(func(c *Config) *time.Duration { return &c.ConnectTimeout }, 1),
		"connections.max.idle.ms":                idleTimeout(func(c *Config) *time.Duration { return &c.IdleTimeout }),
		"socket.connection.setup.timeout.max.ms": nil,
	},
	sideProducer: {
		"bootstrap.servers":                      list(func(c *Config) *[]string { return &c.Producer.Bootstrap }, bootstrapServer),
		"client.id":                              text(func(c *Config) *string { return &c.Producer.ClientID }),
		"compression.type":                       compressionType,
		"acks":                                   acks,
		"enable.idempotence":                     boolean(func(c *Config) *bool { return &c.Producer.Idempotent }),
		"linger.ms":                              millis(func(c *Config) *time.Duration { return &c.Producer.Linger }, 0),
		"delivery.timeout.ms":                    deliveryTimeout,
		"retries":                                retries,
		"max.in.flight.requests.per.connection":  integer(func(c *Config) *int { return &c.Producer.InFlight }, 1, math.MaxInt32),
		"buffer.memory":                          integer(func(c *Config) *int { return &c.Producer.BufferBytes }, 1<<10, math.MaxInt64),
		"max.request.size":                       integer(func(c *Config) *int32 { return &c.Producer.MaxRequestBytes }, 1<<10, math.MaxInt32),
		"transaction.timeout.ms":                 millis(func(c *Config) *time.Duration { return &c.Producer.TransactionTimeout }, 1),
		"request.timeout.ms":                     millis(func(c *Config) *time.Duration { return &c.Producer.RequestTimeout }, 1),
		"metadata.max.age.ms":                    millis(func(c *Config) *time.Duration { return &c.Producer.MetadataMaxAge }, 1),
		"batch.size":                             nil,
		"max.block.ms":                           nil,
		"partitioner.class":                      nil,
		"key.serializer":                         nil,
		"value.serializer":                       nil,
		"interceptor.classes":                    nil,
		"metric.reporters":                       nil,
		"retry.backoff.ms":                       nil,
		"reconnect.backoff.ms":                   nil,
		"reconnect.backoff.max.ms":               nil,
		"send.buffer.bytes":                      nil,
		"receive.buffer.bytes":                   nil,
		connectTimeout:                           millis(func(c *Config) *time.Duration { return &c.Producer.ConnectTimeout }, 1),
		"connections.max.idle.ms":                idleTimeout(func(c *Config) *time.Duration { return &c.Producer.IdleTimeout }),
		"socket.connection.setup.timeout.max.ms": nil,
	},
	sideConsumer: {
		"bootstrap.servers":                      list(func(c *Config) *[]string { return &c.Consumer.Bootstrap }, bootstrapServer),
		"client.id":                              text(func(c *Config) *string { return &c.Consumer.ClientID }),
		"client.rack":                            text(func(c *Config) *string { return &c.Consumer.Rack }),
		"group.id":                               text(func(c *Config) *string { return &c.Consumer.Group }),
		"group.instance.id":                      text(func(c *Config) *string { return &c.Consumer.Instance }),
		"auto.offset.reset":                      oneOf(func(c *Config) *string { return &c.Consumer.Reset }, "earliest", "latest", "none"),
		"isolation.level":                        isolationLevel,
		"fetch.max.bytes":                        integer(func(c *Config) *int32 { return &c.Consumer.FetchBytes }, 1<<10, math.MaxInt32),
		"max.partition.fetch.bytes":              integer(func(c *Config) *int32 { return &c.Consumer.PartitionBytes }, 1<<10, math.MaxInt32),
		"fetch.min.bytes":                        integer(func(c *Config) *int32 { return &c.Consumer.FetchMinBytes }, 0, math.MaxInt32),
		"fetch.max.wait.ms":                      millis(func(c *Config) *time.Duration { return &c.Consumer.FetchMaxWait }, 10),
		"max.poll.records":                       integer(func(c *Config) *int { return &c.Consumer.MaxPollRecords }, 1, math.MaxInt32),
		"session.timeout.ms":                     millis(func(c *Config) *time.Duration { return &c.Consumer.SessionTimeout }, 100),
		"heartbeat.interval.ms":                  millis(func(c *Config) *time.Duration { return &c.Consumer.HeartbeatInterval }, 100),
		"max.poll.interval.ms":                   millis(func(c *Config) *time.Duration { return &c.Consumer.MaxPollInterval }, 100),
		"partition.assignment.strategy":          list(func(c *Config) *[]string { return &c.Consumer.Assignors }, assignor),
		"request.timeout.ms":                     millis(func(c *Config) *time.Duration { return &c.Consumer.RequestTimeout }, 1),
		"metadata.max.age.ms":                    millis(func(c *Config) *time.Duration { return &c.Consumer.MetadataMaxAge }, 1),
		"enable.auto.commit":                     nil,
		"auto.commit.interval.ms":                nil,
		"allow.auto.create.topics":               nil,
		"check.crcs":                             nil,
		"exclude.internal.topics":                nil,
		"key.deserializer":                       nil,
		"value.deserializer":                     nil,
		"interceptor.classes":                    nil,
		"metric.reporters":                       nil,
		"retry.backoff.ms":                       nil,
		"reconnect.backoff.ms":                   nil,
		"reconnect.backoff.max.ms":               nil,
		"send.buffer.bytes":                      nil,
		"receive.buffer.bytes":                   nil,
		"default.api.timeout.ms":                 nil,
		connectTimeout:                           millis(func(c *Config) *time.Duration { return &c.Consumer.ConnectTimeout }, 1),
		"connections.max.idle.ms":                idleTimeout(func(c *Config) *time.Duration { return &c.Consumer.IdleTimeout }),
		"socket.connection.setup.timeout.max.ms": nil,
	},
	sideAdmin: {
		"bootstrap.servers":                      list(func(c *Config) *[]string { return &c.Admin.Bootstrap }, bootstrapServer),
		"client.id":                              text(func(c *Config) *string { return &c.Admin.ClientID }),
		"request.timeout.ms":                     millis(func(c *Config) *time.Duration { return &c.Admin.RequestTimeout }, 1),
		"metadata.max.age.ms":                    millis(func(c *Config) *time.Duration { return &c.Admin.MetadataMaxAge }, 1),
		"retries":                                nil,
		"retry.backoff.ms":                       nil,
		"default.api.timeout.ms":                 nil,
		connectTimeout:                           millis(func(c *Config) *time.Duration { return &c.Admin.ConnectTimeout }, 1),
		"connections.max.idle.ms":                idleTimeout(func(c *Config) *time.Duration { return &c.Admin.IdleTimeout }),
		"socket.connection.setup.timeout.max.ms": nil,
	},
}

func text(at func(*Config) *string) setter {
	return func(c *Config, v string) (string, error) {
		*at(c) = v
		return "", nil
	}
}

func oneOf(at func(*Config) *string, allowed ...string) setter {
	return func(c *Config, v string) (string, error) {
		for _, a := range allowed {
			if strings.EqualFold(a, v) {
				*at(c) = a
				return "", nil
			}
		}
		return "", fmt.Errorf("expected one of %s, found %q", strings.Join(allowed, ", "), v)
	}
}

func boolean(at func(*Config) *bool) setter {
	return func(c *Config, v string) (string, error) {
		switch strings.ToLower(v) {
		case "true":
			*at(c) = true
		case "false":
			*at(c) = false
		default:
			return "", fmt.Errorf("expected true or false, found %q", v)
		}
		return "", nil
	}
}

// number parses a whole number in a range.
func number(least, most int64) func(string) (int64, error) {
	return func(v string) (int64, error) {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < least || n > most {
			return 0, fmt.Errorf("expected a number from %d to %d, found %q", least, most, v)
		}
		return n, nil
	}
}

func integer[T int | int32](at func(*Config) *T, least, most int64) setter {
	return func(c *Config, v string) (string, error) {
		n, err := number(least, most)(v)
		if err != nil {
			return "", err
		}
		*at(c) = T(n)
		return "", nil
	}
}

func millis(at func(*Config) *time.Duration, least int64) setter {
	return func(c *Config, v string) (string, error) {
		n, err := number(least, math.MaxInt32)(v)
		if err != nil {
			return "", fmt.Errorf("%w (milliseconds)", err)
		}
		*at(c) = time.Duration(n) * time.Millisecond
		return "", nil
	}
}

// idleTimeout: -1 is never in Kafka; the client has a limit of its own.
func idleTimeout(at func(*Config) *time.Duration) setter {
	const least, most = 100 * time.Millisecond, 15 * time.Minute
	return func(c *Config, v string) (string, error) {
		n, err := number(-1, math.MaxInt64/int64(time.Millisecond))(v)
		if err != nil {
			return "", fmt.Errorf("%w (milliseconds)", err)
		}
		asked := time.Duration(n) * time.Millisecond
		*at(c) = min(max(asked, least), most)
		if n < 0 || asked > most {
			*at(c) = most
			return "taken as 15 minutes, which is the most", nil
		}
		return "", nil
	}
}

// list parses items between commas; item checks one and may rewrite it.
func list(at func(*Config) *[]string, item func(string) (string, error)) setter {
	return func(c *Config, v string) (string, error) {
		var list []string
		for _, s := range items(v) {
			s, err := item(s)
			if err != nil {
				return "", err
			}
			list = append(list, s)
		}
		*at(c) = list
		return "", nil
	}
}

func bootstrapServer(s string) (string, error) {
	if s == "embedded" || strings.HasPrefix(s, "embedded:") {
		return s, nil
	}
	// Kafka's files may name the listener's protocol in front.
	if _, rest, found := strings.Cut(s, "://"); found {
		s = rest
	}
	host, port, err := net.SplitHostPort(s)
	if err == nil && host != "" {
		if _, err = number(1, math.MaxUint16)(port); err == nil {
			return s, nil
		}
	}
	return "", fmt.Errorf("expected HOST:PORT or embedded, found %q", s)
}

func compressionType(c *Config, v string) (string, error) {
	return oneOf(func(c *Config) *string { return &c.Producer.Compression }, "none", "gzip", "snappy", "lz4", "zstd")(c, v)
}

// acks=0 cannot be had: offsets are written behind acknowledged records only.
func acks(c *Config, v string) (string, error) {
	switch strings.ToLower(v) {
	case "all", "-1":
		c.Producer.Acks = -1
		return "", nil
	case "1":
		c.Producer.Acks = 1
		return "", nil
	case "0":
		c.Producer.Acks = 1
		return "taken as 1, since offsets are stored behind acknowledged records only", nil
	}
	return "", fmt.Errorf("expected all, -1, 1 or 0, found %q", v)
}

// Kafka Connect sets delivery.timeout.ms to the largest int: no bound.
func deliveryTimeout(c *Config, v string) (string, error) {
	n, err := number(1, math.MaxInt32)(v)
	if err != nil {
		return "", fmt.Errorf("%w (milliseconds)", err)
	}
	c.Producer.DeliveryTimeout = 0
	if n < math.MaxInt32 {
		c.Producer.DeliveryTimeout = time.Duration(n) * time.Millisecond
	}
	return "", nil
}

func retries(c *Config, v string) (string, error) {
	n, err := number(0, math.MaxInt32)(v)
	if err != nil {
		return "", err
	}
	c.Producer.Retries = -1
	if n < math.MaxInt32 {
		c.Producer.Retries = int(n)
	}
	return "", nil
}

func isolationLevel(c *Config, v string) (string, error) {
	var level string
	if _, err := oneOf(func(*Config) *string { return &level }, "read_committed", "read_uncommitted")(c, v); err != nil {
		return "", err
	}
	c.Consumer.ReadUncommitted = level == "read_uncommitted"
	return "", nil
}

// assignor takes Java's class name or Kafka's short name.
func assignor(v string) (string, error) {
	class := v[strings.LastIndexByte(v, '.')+1:]
	switch class {
	case "CooperativeStickyAssignor", "cooperative-sticky":
		return "cooperative-sticky", nil
	case "RangeAssignor", "range":
		return "range", nil
	case "RoundRobinAssignor", "roundrobin":
		return "roundrobin", nil
	case "StickyAssignor", "sticky":
		return "sticky", nil
	}
	return "", fmt.Errorf("expected CooperativeStickyAssignor, StickyAssignor, RangeAssignor or RoundRobinAssignor, found %q", v)
}

// nearest is a hint at the known name that differs least from a wrong one.
func nearest(name string, s side) string {
	return nearestOf(name, slices.Sorted(maps.Keys(settings[s])))
}

func nearestOf(name string, names []string) string {
	best, least := "", 4
	for _, known := range names {
		if d := distance(name, known); d < least {
			best, least = known, d
		}
	}
	if best == "" {
		return ""
	}
	return ", did you mean " + best + "?"
}

// distance is the number of letters to insert, delete or change.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
