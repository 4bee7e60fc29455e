package kafka

import "github.com/twmb/franz-go/pkg/kgo"

// partitioner keeps a record's partition (0 or higher), else it does what Kafka's producer does: murmur2 of the key,
// or evenly filled batches.
type partitioner struct{ byKey kgo.Partitioner }

func newPartitioner() kgo.Partitioner {
	return partitioner{kgo.UniformBytesPartitioner(64<<10, true, true, nil)}
}

func (p partitioner) ForTopic(topic string) kgo.TopicPartitioner {
	return &topicPartitioner{p.byKey.ForTopic(topic).(kgo.TopicBackupPartitioner)}
}

type topicPartitioner struct{ byKey kgo.TopicBackupPartitioner }

// RequiresConsistency makes a record with a partition wait for its leader.
func (p *topicPartitioner) RequiresConsistency(r *kgo.Record) bool {
	return r.Partition >= 0 || p.byKey.RequiresConsistency(r)
}

// Partition is not called by the client, which prefers PartitionByBackup.
func (p *topicPartitioner) Partition(r *kgo.Record, n int) int { return p.PartitionByBackup(r, n, nil) }

func (p *topicPartitioner) PartitionByBackup(r *kgo.Record, n int, backup kgo.TopicBackupIter) int {
	if r.Partition >= 0 {
		return int(r.Partition)
	}
	return p.byKey.PartitionByBackup(r, n, backup)
}
