// Package kafkatest has brokers answer as those of Apache Kafka do at odd moments.
package kafkatest

import (
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
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
