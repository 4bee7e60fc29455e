package kafka

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
)

// openSmallTopic starts a broker whose topic rows accepts batches of 2,000 bytes, and counts rejected batches. With
// reportsLimit the broker returns the topic's limit.
func openSmallTopic(t *testing.T, partitions int32, reportsLimit bool) (c Config, rejections *atomic.Int64) {
	t.Helper()
	b := openTestBroker(t, t.TempDir())
	makeTopics(t, b.Addr(), Topic{Name: "rows", Partitions: partitions,
		Configs: map[string]string{"max.message.bytes": "2000"}}, Topic{Name: "offsets"})
	if !reportsLimit {
		kafkatest.Reject(b.Cluster, kmsg.DescribeConfigs, kafkatest.Unlimited, kerr.TopicAuthorizationFailed)
	}
	c = shareableConfig(t, b.Addr())
	c.Producer.Linger = time.Minute // only Flush sends
	rejections = &atomic.Int64{}
	c.Extra = append(c.Extra, kgo.WithLogger(rejectionCounter{rejections}))
	return c, rejections
}

// rejectionCounter counts the client's messages about batches that are too large.
type rejectionCounter struct{ n *atomic.Int64 }

func (rejectionCounter) Level() kgo.LogLevel { return kgo.LogLevelInfo }

func (r rejectionCounter) Log(_ kgo.LogLevel, _ string, values ...any) {
	for _, v := range values {
		if err, ok := v.(error); ok && errors.Is(err, kerr.MessageTooLarge) {
			r.n.Add(1)
		}
	}
}

// valuesOf returns the committed values of a topic by partition, and their number.
func valuesOf(t *testing.T, c Config, topic string) (values map[int32][]string, n int) {
	t.Helper()
	r, err := NewReader(c)
	require.NoError(t, err)
	defer r.Close()
	values = map[int32][]string{}
	if _, err := r.Read(kafkatest.Context(t), topic, ReadOptions{}, func(r *kgo.Record) error {
		values[r.Partition] = append(values[r.Partition], string(r.Value[:min(6, len(r.Value))]))
		n++
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return values, n
}

const rowsOfTest = 1000

// fill adds n numbered rows to a batch, of some 100 bytes each except for one of 1,500.
func fill(b Records, n int) {
	for i := range n {
		r := b.Add()
		size := 90
		if i == 500 {
			size = 1500
		}
		r.Topic = "rows"
		r.Value = fmt.Appendf(nil, "%06d%s", i, strings.Repeat("x", size))
		r.Key = fmt.Append(nil, i)
	}
}

// outputs contains a producer and a transaction of a configuration, by name. Each sends rows and returns the result.
var outputs = map[string]func(t *testing.T, c Config, addRow func(Records)) error{
	"idempotent": func(t *testing.T, c Config, addRow func(Records)) error {
		p := openTestProducer(t, c)
		b := p.NewBatch()
		addRow(b)
		done := make(chan error, 1)
		p.Produce(t.Context(), b, func(_ int, err error) { done <- err })
		err := p.Flush(kafkatest.Context(t))
		if settled := <-done; !errors.Is(settled, err) {
			t.Errorf("expected the batch to fail like the producer, found %v and %v", settled, err)
		}
		return err
	},
	"transactional": func(t *testing.T, c Config, addRow func(Records)) error {
		o := openTestTransactions(t, c, "g-c-0").Output()
		require.NoError(t, o.Begin(t.Context()))
		b := o.NewBatch()
		addRow(b)
		done := make(chan error, 1)
		o.Produce(t.Context(), b, offsetAt(1), func(_ int, err error) { done <- err })
		err := o.Commit(kafkatest.Context(t))
		return errors.Join(<-done, err, o.Close(kafkatest.Context(t)))
	},
}

// A topic that accepts small batches receives batches of its max.message.bytes if known, else of max.request.size. Each
// row arrives once.
func TestTopicOfSmallBatches(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		reportsLimit bool
		maxRequest   int32
	}{
		"max.message.bytes": {reportsLimit: true, maxRequest: 1_000_012},
		"max.request.size":  {maxRequest: 1_800},
	} {
		for outputName, send := range outputs {
			t.Run(name+"/"+outputName, func(t *testing.T) {
				config, rejections := openSmallTopic(t, 3, c.reportsLimit)
				config.Producer.MaxRequestBytes = c.maxRequest
				require.NoError(t, config.LoadTopicLimits(t.Context(), openTestAdmin(t, config.Bootstrap[0]), "rows"))
				require.NoError(t, send(t, config, func(b Records) { fill(b, rowsOfTest) }))
				assert.Equal(t, int64(0), rejections.Load(), "refused batches")
				values, n := valuesOf(t, config, "rows")
				for partition, rows := range values {
					assert.True(t, slices.IsSorted(rows) && len(slices.Compact(slices.Clone(rows))) == len(rows),
						"expected each row of partition %d once and in order, found %q", partition, rows)
				}
				assert.Equal(t, rowsOfTest, n, "records")
			})
		}
	}
}

// A batch that is too large for its topic fails with an error that names the topic, the size and the setting. With
// transactions nothing of it is committed.
func TestBatchTooLargeForItsTopic(t *testing.T) {
	for name, c := range map[string]struct {
		reportsLimit bool
		fill         func(Records)
	}{
		"a record that the client refuses": {reportsLimit: true, fill: addLargeRow},
		"a record that brokers refuse":     {fill: addLargeRow},
		"many records":                     {fill: func(b Records) { fill(b, 100) }},
	} {
		for outputName, send := range outputs {
			t.Run(name+"/"+outputName, func(t *testing.T) {
				config, _ := openSmallTopic(t, 1, c.reportsLimit)
				require.NoError(t, config.LoadTopicLimits(t.Context(), openTestAdmin(t, config.Bootstrap[0]), "rows"))
				err := send(t, config, c.fill)
				assert.True(t, errors.Is(err, kerr.MessageTooLarge) && !errors.As(err, new(*TransactionAbortedError)),
					"expected MESSAGE_TOO_LARGE, which no restart repairs, found %v", err)
				for _, want := range []string{"topic rows", "uncompressed_bytes=",
					"producer.override.max.request.size"} {
					assert.Error(t, err, want)
				}
				values, n := valuesOf(t, config, "rows")
				assert.True(t, n <= 0, "expected no record, found %d: %v", n, values)
			})
		}
	}
}

// addLargeRow adds a row that is larger than the topic's limit for batches.
func addLargeRow(b Records) {
	r := b.Add()
	r.Topic = "rows"
	r.Value = make([]byte, 5000)
}
