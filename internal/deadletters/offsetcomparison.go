package deadletters

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// offsetComparison finds out which letters of a sink are older than records of the topics that it reads. The records
// that the letters become are in these topics, so offsets decide.
type offsetComparison struct {
	scan    *topicScan
	newest  map[recordID]int64      // by key of a letter to send, the offset of the newest other record, or -1
	unkeyed map[string]unkeyedTopic // by topic
	isOpen  func(originalID) bool   // reports whether a record is itself a dead letter to send
}

func (o *offsetComparison) watch(l *Letter, name string, key, _ []byte) {
	if !o.scan.reserve(watchedKeyBytes) {
		return
	}
	topic := o.scan.topic(name)
	topic.readFrom(l.Partition, l.Offset+1)
	if key != nil {
		o.newest[newKeyID(name, l.Partition, key)] = -1
		return
	}
	topic.readSince(l.Timestamp)
	if o.unkeyed[name] == nil {
		o.unkeyed[name] = unkeyedTopic{}
	}
}

func (o *offsetComparison) add(r *kgo.Record) {
	unkeyed := o.unkeyed[r.Topic]
	key := newKeyID(r.Topic, r.Partition, r.Key)
	newest, ok := o.newest[key]
	isWatched := ok && r.Key != nil
	if !isWatched && unkeyed == nil {
		return
	}
	if o.isOpen(newRecordID(r.Topic, r.Partition, r.Offset, r.Timestamp, r.Key, r.Value).original()) {
		return
	}
	if isWatched {
		o.newest[key] = max(newest, r.Offset)
	}
	if unkeyed != nil {
		unkeyed.add(r.Partition, r.Offset, r.Timestamp)
	}
}

func (o *offsetComparison) markSent(l *Letter) {
	key := newKeyID(l.Topic, l.Partition, l.Record.Key)
	if newest, ok := o.newest[key]; ok {
		o.newest[key] = max(newest, l.Offset)
	}
	if unkeyed := o.unkeyed[l.Topic]; l.Record.Key == nil && unkeyed != nil {
		unkeyed.add(l.Partition, l.Offset, l.Timestamp)
	}
}

// isSuperseded implements [recordComparison]. Any newer record supersedes a letter without a key.
func (o *offsetComparison) isSuperseded(l *Letter) bool {
	if l.Record.Key == nil {
		for partition, last := range o.unkeyed[l.Topic] {
			isNewer := !last.timestamp.IsZero() && !last.timestamp.Before(l.Timestamp)
			if partition == l.Partition {
				isNewer = last.offset > l.Offset
			}
			if isNewer {
				return true
			}
		}
		return false
	}
	newest, ok := o.newest[newKeyID(l.Topic, l.Partition, l.Record.Key)]
	return ok && newest > l.Offset
}

// unkeyedTopic is a topic of dead letters without a key. Only the plugin knows their entities, so any newer record may
// be of the same one. Newer means a greater offset in the same partition, and the same time or later in other
// partitions. It has, by partition, the greatest offset and latest time of records that are not dead letters to send.
type unkeyedTopic map[int32]lastRecord

// lastRecord has the greatest offset and the latest time, which may be of two records.
type lastRecord struct {
	offset    int64
	timestamp time.Time
}

func (u unkeyedTopic) add(partition int32, offset int64, timestamp time.Time) {
	last := u[partition]
	last.offset = max(last.offset, offset)
	if timestamp.After(last.timestamp) {
		last.timestamp = timestamp
	}
	u[partition] = last
}
