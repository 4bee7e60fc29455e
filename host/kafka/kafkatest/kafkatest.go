// Package kafkatest has brokers answer as those of Apache Kafka do at odd moments, and others run in a process of their
// own.
package kafkatest

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// RefuseOffsets has a cluster refuse the first requests for offsets of partitions (ListOffsets), as many as times says.
// It returns how many requests came so far; those after the first that is answered are not counted.
func RefuseOffsets(cluster *kfake.Cluster, times int32, with *kerr.Error) (asked *atomic.Int32) {
	asked = &atomic.Int32{}
	cluster.ControlKey(int16(kmsg.ListOffsets), func(r kmsg.Request) (kmsg.Response, error, bool) {
		if asked.Add(1) > times {
			return nil, nil, false
		}
		cluster.KeepControl()
		answer := r.ResponseKind().(*kmsg.ListOffsetsResponse)
		for _, of := range r.(*kmsg.ListOffsetsRequest).Topics {
			topic := kmsg.NewListOffsetsResponseTopic()
			topic.Topic = of.Topic
			for _, p := range of.Partitions {
				partition := kmsg.NewListOffsetsResponseTopicPartition()
				partition.Partition, partition.ErrorCode = p.Partition, with.Code
				topic.Partitions = append(topic.Partitions, partition)
			}
			answer.Topics = append(answer.Topics, topic)
		}
		return answer, nil, true
	})
	return asked
}

// KnownLate starts a broker that does not know its topics the first times that it is asked for their offsets, like the
// leader of a topic that was made a moment ago. The test fails unless the broker is asked more often than that.
func KnownLate(t *testing.T, times int32) *kfake.Cluster {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	asked := RefuseOffsets(cluster, times, kerr.UnknownTopicOrPartition)
	t.Cleanup(func() {
		if n := asked.Load(); n <= times {
			t.Errorf("expected the leader to be asked more than %d times, found %d", times, n)
		}
	})
	return cluster
}

// Main runs the tests of a package, whose binary is a broker where [Process] has started it. open returns where it
// listens.
func Main(m *testing.M, open func(dir, listen string) (addr string, err error)) {
	if dir := os.Getenv("CULVERT_TEST_BROKER"); dir != "" {
		addr, err := open(dir, os.Getenv("CULVERT_TEST_LISTEN"))
		if err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		fmt.Println(addr)
		select {} // until killed
	}
	os.Exit(m.Run())
}

// Process is a broker in a process of its own, which can be killed.
func Process(t *testing.T, dir, listen string) (addr string, kill func()) {
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

// Context is long enough for any answer of a broker.
func Context(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// Client is closed with the test.
func Client(t *testing.T, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}
