package kafka

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/kafka/embedded"
	"github.com/culvert-project/culvert/host/kafka/kafkatest"
)

// TestMain lets the test binary be a broker that can be killed.
func TestMain(m *testing.M) {
	kafkatest.Main(m, func(dir, listen string) (string, error) {
		b, err := embedded.Open(embedded.Options{Dir: dir, Listen: listen})
		if err != nil {
			return "", err
		}
		return b.Addr(), nil
	})
}

func openTestBroker(t *testing.T, dir string) *embedded.Broker {
	t.Helper()
	b, err := embedded.Open(embedded.Options{Dir: dir, Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func testConfig(addr string) Config {
	c := Defaults()
	c.Bootstrap = []string{addr}
	return c
}

// put writes values to a topic, one acknowledged after the other.
func put(t *testing.T, addr, topic string, values ...string) {
	t.Helper()
	client := kafkatest.Client(t, testConfig(addr).ProducerOpts(kgo.AllowAutoTopicCreation(), kgo.ProducerLinger(0))...)
	for _, v := range values {
		r := &kgo.Record{Topic: topic, Value: []byte(v), Partition: -1}
		if err := client.ProduceSync(kafkatest.Context(t), r).FirstErr(); err != nil {
			t.Fatalf("produce %q to %s: %v", v, topic, err)
		}
	}
}

// values are what a topic holds, partition by partition.
func values(t *testing.T, addr, topic string) []string {
	t.Helper()
	reader, err := NewReader(testConfig(addr))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	var got []string
	_, err = reader.Read(kafkatest.Context(t), topic, ReadOptions{}, func(r *kgo.Record) error {
		got = append(got, string(r.Value))
		return nil
	})
	if err != nil {
		t.Fatalf("read %s: %v", topic, err)
	}
	return got
}

func shortContext(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithTimeout(context.Background(), 500*time.Millisecond)
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
