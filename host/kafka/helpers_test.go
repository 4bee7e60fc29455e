package kafka

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/host/kafka/embedded"
	"github.com/culvert-project/culvert/host/kafka/kafkatest"
)

// TestMain lets the test binary be a broker that can be killed.
func TestMain(m *testing.M) {
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

// makeTopics has an administrator of its own make topics.
func makeTopics(t *testing.T, addr string, topics ...Topic) {
	t.Helper()
	_, err := openTestAdmin(t, addr).EnsureTopics(kafkatest.Context(t), topics...)
	require.NoError(t, err)
}

// openConsumer is closed with the test.
func openConsumer(t *testing.T, c Config, o ConsumerOptions) *Consumer {
	t.Helper()
	s, err := NewConsumer(c, o)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

// owned are the partitions of a topic that a member has.
func owned(s *Consumer, topic string) []int32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.owned[topic]))
}

// mark notes that a record and all before it in its partition are settled.
func mark(o Offsets, r *kgo.Record) {
	setAt(o, r.Topic, r.Partition, kgo.EpochOffset{Epoch: r.LeaderEpoch, Offset: r.Offset + 1})
}
