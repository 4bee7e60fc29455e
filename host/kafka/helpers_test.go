package kafka

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/kafka/embedded"
)

// TestMain lets the test binary be a broker that can be killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("CULVERT_TEST_BROKER"); dir != "" {
		b, err := embedded.Open(embedded.Options{Dir: dir, Listen: os.Getenv("CULVERT_TEST_LISTEN")})
		if err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		fmt.Println(b.Addr())
		select {} // until killed
	}
	os.Exit(m.Run())
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

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func testConfig(addr string) Config {
	c := Defaults()
	c.Bootstrap = []string{addr}
	return c
}

func testClient(t *testing.T, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// put writes values to a topic, one acknowledged after the other.
func put(t *testing.T, addr, topic string, values ...string) {
	t.Helper()
	client := testClient(t, testConfig(addr).ProducerOpts(kgo.AllowAutoTopicCreation(), kgo.ProducerLinger(0))...)
	for _, v := range values {
		r := &kgo.Record{Topic: topic, Value: []byte(v), Partition: -1}
		if err := client.ProduceSync(testContext(t), r).FirstErr(); err != nil {
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
	_, err = reader.Read(testContext(t), topic, ReadOptions{}, func(r *kgo.Record) error {
		got = append(got, string(r.Value))
		return nil
	})
	if err != nil {
		t.Fatalf("read %s: %v", topic, err)
	}
	return got
}

func startBrokerProcess(t *testing.T, dir, listen string) (addr string, kill func()) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(self)
	child.Env = append(os.Environ(), "CULVERT_TEST_BROKER="+dir, "CULVERT_TEST_LISTEN="+listen)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() {
		child.Process.Kill()
		child.Wait()
	}
	t.Cleanup(kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || strings.HasPrefix(line, "error:") {
		t.Fatalf("broker process: %s %v", line, err)
	}
	return strings.TrimSpace(line), kill
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
