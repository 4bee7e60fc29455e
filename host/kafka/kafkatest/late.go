// Package kafkatest has brokers answer as those of Apache Kafka do at odd moments.
package kafkatest

import (
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// KnownLate is a broker that does not know its topics the first times that it is asked for their offsets: a leader of
// a topic that was made a moment ago. The test fails unless it is asked again.
func KnownLate(t *testing.T, times int32) *kfake.Cluster {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	var asked atomic.Int32
	t.Cleanup(func() {
		if asked.Load() <= times {
			t.Errorf("the leader was asked %d times alone", asked.Load())
		}
	})
	cluster.ControlKey(int16(kmsg.ListOffsets), func(r kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if asked.Add(1) > times {
			return nil, nil, false
		}
		answer := r.ResponseKind().(*kmsg.ListOffsetsResponse)
		for _, topic := range r.(*kmsg.ListOffsetsRequest).Topics {
			unknown := kmsg.NewListOffsetsResponseTopic()
			unknown.Topic = topic.Topic
			for _, p := range topic.Partitions {
				partition := kmsg.NewListOffsetsResponseTopicPartition()
				partition.Partition, partition.ErrorCode = p.Partition, kerr.UnknownTopicOrPartition.Code
				unknown.Partitions = append(unknown.Partitions, partition)
			}
			answer.Topics = append(answer.Topics, unknown)
		}
		return answer, nil, true
	})
	return cluster
}
