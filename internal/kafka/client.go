package kafka

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"

	"github.com/culvert-project/culvert/internal/kafka/security"
	"github.com/culvert-project/culvert/wit"
)

// opts returns the options that clients of all kinds have.
func (c Config) opts(client ClientConfig) []kgo.Opt {
	opts := []kgo.Opt{
		kgo.SeedBrokers(client.Bootstrap...),
		kgo.ClientID(client.ClientID),
		kgo.SoftwareNameAndVersion("culvert", "0"),
		// Pushing metrics to the broker (KIP-714) costs a request when a client opens.
		kgo.DisableClientMetrics(),
		kgo.MaxDecompressBatchBytes(int(c.Consumer.DecompressedBytes)),
		// A broker that is killed while a client opens looks like one that requires SASL or TLS. The dialer tells
		// them apart, so this must not fail the task.
		kgo.AlwaysRetryEOF(),
		client.metadataMinAge(time.Second),
	}
	opts = append(opts, security.NewDialer(client.access, c.outages(client), c.Logger).Opts()...)
	if client.IdleTimeout > 0 {
		opts = append(opts, kgo.ConnIdleTimeout(client.IdleTimeout))
	}
	if client.MetadataMaxAge > 0 {
		opts = append(opts, kgo.MetadataMaxAge(client.MetadataMaxAge))
	}
	if c.Logger != nil {
		opts = append(opts, kgo.WithLogger(clientLogger{c.Logger}))
	}
	return opts
}

// outages returns the known outages of the client's cluster, nil if clients of the configuration share nothing.
func (c Config) outages(client ClientConfig) *security.Outages {
	if c.shared == nil {
		return nil
	}
	return &c.shared.cluster(client.Bootstrap).outages
}

// Unreachable returns since when the producers' (or consumers') cluster is unreachable; zero means no outage.
func (c Config) Unreachable(consumes bool) time.Time {
	client := c.Producer.withDefaults(c.ClientConfig)
	if consumes {
		client = c.Consumer.withDefaults(c.ClientConfig)
	}
	if outages := c.outages(client); outages != nil {
		return outages.Unreachable()
	}
	return time.Time{}
}

// metadataMinAge is [kgo.MetadataMinAge] with an age that does not exceed MetadataMaxAge.
func (c ClientConfig) metadataMinAge(age time.Duration) kgo.Opt {
	if c.MetadataMaxAge > 0 {
		age = min(age, c.MetadataMaxAge)
	}
	return kgo.MetadataMinAge(age)
}

// ProducerOpts returns options of a producing client; extra ones and [Config.Extra] follow.
func (c Config) ProducerOpts(extra ...kgo.Opt) []kgo.Opt {
	producer := c.Producer
	client := c.Producer.withDefaults(c.ClientConfig)
	opts := append(c.opts(client),
		kgo.ProducerBatchCompression(codecs[producer.Compression]),
		kgo.ProducerLinger(producer.Linger),
		// Batches are bounded by max.request.size and the topic's max.message.bytes. It is called once per topic.
		kgo.ProducerBatchMaxBytesFn(func(topic string) int32 {
			limit := min(c.Producer.MaxRequestBytes, batchBytesLimit)
			if bytes, ok := c.topicLimits().Load(topic); ok {
				limit = min(limit, bytes.(int32))
			}
			return max(minBatchBytes, limit)
		}),
		// As in Kafka's producer this bounds a request, not each batch: with many topics a request would otherwise
		// copy all waiting data.
		kgo.BrokerMaxWriteBytes(max(minRequestBytes, withOverhead(producer.MaxRequestBytes))),
		kgo.TransactionTimeout(producer.TransactionTimeout),
		// The default of 20 ms makes back-to-back transactions of one producer 21 ms long.
		kgo.ConcurrentTransactionsBackoff(time.Millisecond),
		kgo.RecordPartitioner(newPartitioner()),
	)
	if producer.Acks == 1 {
		opts = append(opts, kgo.RequiredAcks(kgo.LeaderAck()))
	}
	if producer.Acks == 1 || !producer.Idempotent {
		opts = append(opts, kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(producer.InFlight))
	}
	if producer.DeliveryTimeout > 0 {
		opts = append(opts, kgo.RecordDeliveryTimeout(producer.DeliveryTimeout))
	}
	if producer.Retries >= 0 {
		opts = append(opts, kgo.RecordRetries(producer.Retries))
	}
	if client.RequestTimeout > 0 {
		opts = append(opts, kgo.ProduceRequestTimeout(client.RequestTimeout))
	}
	opts = c.Metrics.appendTo(opts, func(m *Metrics) kgo.Opt { return m.producers })
	return append(append(opts, extra...), c.Extra...)
}

// ConsumerOpts returns options of a consuming client; extra ones and [Config.Extra] follow.
func (c Config) ConsumerOpts(extra ...kgo.Opt) []kgo.Opt {
	consumer := c.Consumer
	fetchBytes := c.fetchBytes()
	opts := append(c.opts(consumer.withDefaults(c.ClientConfig)),
		kgo.FetchMaxBytes(fetchBytes),
		kgo.BrokerMaxReadBytes(max(100<<20, withOverhead(fetchBytes))), // 100 MiB is kgo's default
		kgo.FetchMaxPartitionBytes(min(fetchBytes, consumer.partitionLimit(1))),
		kgo.FetchMinBytes(consumer.FetchMinBytes),
		kgo.FetchMaxWait(consumer.FetchMaxWait),
	)
	if !consumer.ReadUncommitted {
		opts = append(opts, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	}
	switch consumer.Reset {
	case "latest":
		opts = append(opts, kgo.ConsumeStartOffset(kgo.NewOffset().AtEnd()),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()))
	case "none":
		opts = append(opts, kgo.ConsumeStartOffset(kgo.NewOffset().AtCommitted()),
			kgo.ConsumeResetOffset(kgo.NoResetOffset()))
	default:
		opts = append(opts, kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	}
	if consumer.Rack != "" {
		opts = append(opts, kgo.Rack(consumer.Rack))
	}
	opts = c.Metrics.appendTo(opts, func(m *Metrics) kgo.Opt { return m.consumers })
	return append(append(opts, extra...), c.Extra...)
}

// fetchBytes returns the size of a fetch before the expansion of batches is known.
func (c Config) fetchBytes() int32 {
	return cmp.Or(c.Consumer.FetchBytes, int32(min(c.Memory.Part(), defaultFetchBytes)))
}

// AdminOpts returns options of a client that neither reads nor writes records.
func (c Config) AdminOpts(extra ...kgo.Opt) []kgo.Opt {
	client := c.Admin.withDefaults(c.ClientConfig)
	// Metadata are cached for at least this long. Until they are refreshed, a new topic is unknown.
	opts := append(c.opts(client), client.metadataMinAge(50*time.Millisecond))
	opts = c.Metrics.appendTo(opts, func(m *Metrics) kgo.Opt { return m.admins })
	return append(append(opts, extra...), c.Extra...)
}

// explainTooLarge names the limit to raise in the error of a batch that is too large when decompressed; other errors
// are returned unchanged. offset is the batch's offset, unless the error contains it.
func (c ConsumerConfig) explainTooLarge(err error, offset int64) error {
	skipHint := ""
	var tooLarge *kgo.ErrDecompressTooLarge
	switch {
	case errors.As(err, &tooLarge):
		offset = tooLarge.Offset
		skipHint = fmt.Sprintf(" To continue without the batch, start at offset %d", tooLarge.NextOffset)
	case !errors.Is(err, zstd.ErrWindowSizeExceeded):
		return err
	}
	return fmt.Errorf("%w (%w)", &wit.Error{Kind: wit.ErrorConfig,
		Message: fmt.Sprintf("the batch at offset %d is larger than %d bytes (%s) after decompression. If you trust "+
			"its producer, raise the limit: consumer.%[3]s for a worker, consumer.override.%[3]s for a connector.%s",
			offset, c.DecompressedBytes, decompressedBytesSetting, skipHint)}, err)
}

// partitionLimit returns how many bytes of one partition a fetch may return if a client consumes this many partitions.
// Kafka's default of 1 MiB shares a fetch among many partitions, but would make fetches from few of them small.
func (c ConsumerConfig) partitionLimit(partitions int) int32 {
	switch {
	case c.PartitionBytes > 0:
		return c.PartitionBytes
	case partitions <= 4:
		return 8 << 20
	}
	return 1 << 20
}

// minRequestBytes is the least limit of a produce request. max.request.size also bounds each batch: if it is small, a
// request still has room for batches of several partitions, for four with the default.
const minRequestBytes = 4 << 20

// withOverhead adds 1 MiB to the bytes of a request's or response's records, for its header and the names of topics.
// The sum is at most [math.MaxInt32].
func withOverhead(bytes int32) int32 {
	const overhead = 1 << 20
	return min(bytes, math.MaxInt32-overhead) + overhead
}

var codecs = map[string]kgo.CompressionCodec{
	"none":   kgo.NoCompression(),
	"gzip":   kgo.GzipCompression(),
	"snappy": kgo.SnappyCompression(),
	"lz4":    kgo.Lz4Compression(),
	"zstd":   kgo.ZstdCompression(),
}

func newClient(opts []kgo.Opt) (*kgo.Client, *security.Dialer, error) {
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, nil, fmt.Errorf("kafka client: %w", err)
	}
	return client, security.DialerOf(opts), nil
}

// clientLogger logs what franz-go logs, transient failures at DEBUG, since [security.Outages] logs them once.
type clientLogger struct{ log *slog.Logger }

// Level implements [kgo.Logger]. Messages of level info are logged at DEBUG.
func (l clientLogger) Level() kgo.LogLevel {
	ctx := context.Background()
	switch {
	case l.log.Enabled(ctx, slog.LevelDebug):
		return kgo.LogLevelInfo
	case l.log.Enabled(ctx, slog.LevelWarn):
		return kgo.LogLevelWarn
	case l.log.Enabled(ctx, slog.LevelError):
		return kgo.LogLevelError
	}
	return kgo.LogLevelNone
}

func (l clientLogger) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	logLevel := slog.LevelDebug
	switch {
	case slices.ContainsFunc(keyvals, isTransientValue): // stays at DEBUG
	case level == kgo.LogLevelError:
		logLevel = slog.LevelError
	case level == kgo.LogLevelWarn:
		logLevel = slog.LevelWarn
	}
	l.log.Log(context.Background(), logLevel, "kafka: "+msg, keyvals...)
}

func isTransientValue(value any) bool {
	err, ok := value.(error)
	return ok && (security.IsTransient(err) || isUnknownMember(err) || security.IsUnreachable(err) ||
		errors.Is(err, context.Canceled) || errors.Is(err, kgo.ErrClientClosed))
}

// Dial connects to a broker as the administrator does, with proxy and TLS but without SASL. It logs nothing.
func (c Config) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return c.Admin.withDefaults(c.ClientConfig).access.Dial(ctx, c.Logger, network, address)
}

// SASL returns the administrator's mechanism, nil for none.
func (c Config) SASL() sasl.Mechanism { return c.Admin.withDefaults(c.ClientConfig).access.SASL() }

// CheckReachable returns nil if a bootstrap broker accepts connections. Otherwise the error joins the failures of
// all brokers, and wraps a [*security.Denied] if any of them is permanent.
func (c Config) CheckReachable(ctx context.Context) error {
	var errs []error
	for _, address := range c.Admin.withDefaults(c.ClientConfig).Bootstrap {
		conn, err := c.Dial(ctx, "tcp", address)
		if err == nil {
			conn.Close()
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// TLS returns the administrator's TLS configuration or nil. explain adds the setting that fixes a failed handshake.
func (c Config) TLS() (config *tls.Config, explain func(error) error) {
	return c.Admin.withDefaults(c.ClientConfig).access.TLS()
}
