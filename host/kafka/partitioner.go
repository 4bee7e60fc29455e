package kafka

import "github.com/twmb/franz-go/pkg/kgo"

// partitioner keeps a partition that the record names (0 or higher) and else does what Kafka's own producer does:
// murmur2 of the key, or evenly filled batches without one.
type partitioner struct{ byKey kgo.Partitioner }

func newPartitioner() kgo.Partitioner {
	return partitioner{kgo.UniformBytesPartitioner(64<<10, true, true, nil)}
}

func (p partitioner) ForTopic(topic string) kgo.TopicPartitioner {
	return &topicPartitioner{p.byKey.ForTopic(topic).(kgo.TopicBackupPartitioner)}
}

type topicPartitioner struct{ byKey kgo.TopicBackupPartitioner }

// RequiresConsistency: a record for a certain partition waits for it rather than going elsewhere while it has no
// leader.
func (p *topicPartitioner) RequiresConsistency(r *kgo.Record) bool {
	return r.Partition >= 0 || p.byKey.RequiresConsistency(r)
}

// Partition is not called by the client, which prefers PartitionByBackup; it is right for records with a partition or a
// key.
func (p *topicPartitioner) Partition(r *kgo.Record, n int) int { return p.PartitionByBackup(r, n, nil) }

func (p *topicPartitioner) PartitionByBackup(r *kgo.Record, n int, backup kgo.TopicBackupIter) int {
	if r.Partition >= 0 {
		return int(r.Partition)
	}
	return p.byKey.PartitionByBackup(r, n, backup)
}
