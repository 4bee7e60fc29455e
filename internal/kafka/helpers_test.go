package kafka

import (
	"context"
	"errors"
	"flag"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka/embedded"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
	"github.com/culvert-project/culvert/internal/kafka/security"
	"github.com/culvert-project/culvert/wit"
)

// TestMain lets the test binary be a broker that can be killed. The tests wait more than they compute, so eight run at
// a time unless -parallel specifies otherwise.
func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	kafkatest.Main(m, func(dir, listen string) (*embedded.Broker, error) {
		return embedded.Open(embedded.Options{Dir: dir, Listen: listen})
	})
}

func openTestBroker(t *testing.T, dir string) *embedded.Broker {
	t.Helper()
	b, err := embedded.Open(embedded.Options{Dir: dir, Listen: "127.0.0.1:0"})
	require.NoError(t, err)
	t.Cleanup(func() { b.Close() })
	return b
}

func testConfig(addr string) Config {
	c := Defaults()
	c.Bootstrap = []string{addr}
	return c
}

func shortContext(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithTimeout(context.Background(), 500*time.Millisecond)
}

// makeTopics creates topics with an administrator of its own.
func makeTopics(t *testing.T, addr string, topics ...Topic) {
	t.Helper()
	_, err := openTestAdmin(t, addr).EnsureTopics(kafkatest.Context(t), topics...)
	require.NoError(t, err)
}

// openConsumer opens a consumer that is closed with the test.
func openConsumer(t *testing.T, c Config, o ConsumerOptions) *Consumer {
	t.Helper()
	s, err := NewConsumer(c, o)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

// ordersSink are the options of a sink of the topic orders.
var ordersSink = ConsumerOptions{Group: "connect-test", Topics: []string{"orders"}}

// ownedPartitions returns the partitions of a topic that a member owns.
func ownedPartitions(s *Consumer, topic string) []int32 {
	s.membership.mu.Lock()
	defer s.membership.mu.Unlock()
	return slices.Sorted(maps.Keys(s.membership.owned[topic]))
}

// mark records that a record and all before it in its partition are settled.
func mark(o Offsets, r *kgo.Record) {
	setAt(o, r.Topic, r.Partition, kgo.EpochOffset{Epoch: r.LeaderEpoch, Offset: r.Offset + 1})
}

// expectFault expects a fault of a kind whose text contains all of these texts.
func expectFault(t *testing.T, about string, err error, kind wit.ErrorKind, texts ...string) {
	t.Helper()
	var fault *wit.Error
	assert.True(t, errors.As(err, &fault) && fault.Kind == kind && containsAll(err.Error(), texts),
		"%s: expected a fault of kind %v that contains %q, found %v", about, kind, texts, err)
}

func containsAll(text string, parts []string) bool {
	return !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(text, part) })
}

// expectDenied expects that brokers deny access to a client, with a message that contains all of these texts.
func expectDenied(t *testing.T, about string, err error, texts ...string) {
	t.Helper()
	assert.True(t, errors.As(err, new(*security.Denied)) && containsAll(err.Error(), texts),
		"%s: expected to be denied with %q, found %v", about, texts, err)
}

// expectTransient expects a transient failure, not a denial.
func expectTransient(t *testing.T, err error) {
	t.Helper()
	assert.True(t, err != nil && !errors.As(err, new(*security.Denied)),
		"expected a failure that passes, found %v", err)
}

// with returns a copy of the properties with more of the form NAME=VALUE.
func with(properties map[string]string, lines ...string) map[string]string {
	merged := map[string]string{}
	maps.Copy(merged, properties)
	for _, line := range lines {
		name, value, _ := strings.Cut(line, "=")
		merged[name] = value
	}
	return merged
}

// produce sends the values in one batch.
func produce(ctx context.Context, p *Producer, topic string, done func(int, error), values ...[]byte) {
	batch := p.NewBatch()
	for _, value := range values {
		r := batch.Add()
		r.Topic = topic
		r.Value = value
	}
	p.Produce(ctx, batch, done)
}

// deliver sends a value and returns its result.
func deliver(ctx context.Context, p *Producer, topic, value string) <-chan error {
	done := make(chan error, 1)
	produce(ctx, p, topic, func(_ int, err error) { done <- err }, []byte(value))
	return done
}
