package connect

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	core "github.com/culvert-project/culvert/host/internal/run/task"
	"github.com/culvert-project/culvert/host/kafka"
)

// maxLetterRecords is how many records the letters of one connector may name in a topic: a replay knows of each what
// became of it, in some 60 bytes.
const maxLetterRecords = 4_000_000

// letterRecords are the records of a sink that the letters of a topic name, whatever partitions these are in and
// however many there are of a record: after a kill a letter may stand there twice, and what was refused once more has
// one more. It is made of the whole topic and of what is stored about its letters, when a replay begins.
//
// Invariants: a letter whose record has one that was replayed more often is done with: the later one says what became
// of it. Of those that were replayed equally often all stand for one another: one is sent, and the others are settled
// when that is stored.
type letterRecords struct {
	of map[recordIdentity]letterRecord
	// most is how many they may be.
	most int
	// parts are the rows that are left of records of which others are written; a record whose letters contradict each
	// other is in odd.
	parts map[recordIdentity]core.RowSubset
	odd   map[recordIdentity]bool
	// newest is, by the keys of letters that are to be sent, the offset of the last record of the key which is no such
	// letter, or was one and is sent, -1 for none; from is where these are looked for next.
	newest map[recordIdentity]int64
	from   map[string]kafka.Positions
	// unkeyed are the topics of letters without a key that are to be sent.
	unkeyed map[string]*unkeyedTopic
	// kafka configures admin and reader, which are nil until compare is called.
	kafka  kafka.Config
	admin  *kafka.Admin
	reader *kafka.Reader
}

func newLetterRecords(k kafka.Config) *letterRecords {
	return &letterRecords{of: map[recordIdentity]letterRecord{}, most: maxLetterRecords,
		parts: map[recordIdentity]core.RowSubset{}, odd: map[recordIdentity]bool{}, newest: map[recordIdentity]int64{},
		from: map[string]kafka.Positions{}, unkeyed: map[string]*unkeyedTopic{}, kafka: k}
}

// letterRecord is what is known of one record.
type letterRecord struct {
	// times is how often that of its letters was replayed which was most often, and settled the same among letters that
	// are done with, -1 for none.
	times, settled int32
	// doubt: nobody knows whether a replay has written it. taken: this one has sent it.
	doubt, taken bool
}

// recordIdentity tells records apart by where they stood, and by what they were: a topic that was deleted and made
// again has others in the same place.
type recordIdentity [16]byte

// identityOf is that of a record, which a letter holds as it was read.
func identityOf(topic string, partition int32, offset int64, at time.Time, key, value []byte) (id recordIdentity) {
	h := sha256.New()
	place := binary.LittleEndian.AppendUint32(nil, uint32(partition))
	place = binary.LittleEndian.AppendUint64(place, uint64(offset))
	if !at.IsZero() {
		place = binary.LittleEndian.AppendUint64(place, uint64(at.UnixMilli()))
	}
	for _, part := range [][]byte{[]byte(topic), place, key, value} {
		h.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(part))))
		h.Write(part)
	}
	copy(id[:], h.Sum(nil))
	return id
}

func (l *DeadLetter) identity() recordIdentity {
	return identityOf(l.Topic, l.Partition, l.Offset, l.Timestamp, l.Record.Key, l.Record.Value)
}

// add takes a letter. settled: it is done with; doubt: nobody knows whether it was written.
func (r *letterRecords) add(l *DeadLetter, settled, doubt bool) error {
	id, times := l.identity(), int32(l.Replays)
	one, known := r.of[id]
	if !known {
		if len(r.of) >= r.most {
			return fmt.Errorf("expected dead letters of at most %d records, found more: delete those that were "+
				"replayed, with kafka-delete-records for example", r.most)
		}
		one = letterRecord{times: times, settled: -1}
	}
	if times > one.times {
		one.times, one.doubt = times, false
		delete(r.parts, id)
		delete(r.odd, id)
	}
	if times == one.times {
		one.doubt = one.doubt || doubt
		both, ok := r.parts[id].Intersect(l.Rows)
		if !ok {
			r.odd[id] = true
		}
		if !both.IsAll() {
			r.parts[id] = both
		}
	}
	if settled {
		one.settled = max(one.settled, times)
	}
	r.of[id] = one
	return nil
}

// done tells whether a letter needs no sending: its record was replayed by another one.
func (r *letterRecords) done(l *DeadLetter) bool {
	one := r.of[l.identity()]
	return int32(l.Replays) < one.times || int32(l.Replays) <= one.settled || one.taken
}

// take notes whether this replay sends a record.
func (r *letterRecords) take(id recordIdentity, taken bool) letterRecord {
	one := r.of[id]
	one.taken = taken
	r.of[id] = one
	return one
}

// keyOf names a key within a partition.
func keyOf(topic string, partition int32, key []byte) recordIdentity {
	return identityOf(topic, partition, -1, time.Time{}, key, nil)
}

// older tells whether a later record of the key is in the letter's topic, which is no letter that is still to be sent;
// for a letter without a key, whether any later record is.
func (r *letterRecords) older(l *DeadLetter) bool {
	if u := r.unkeyed[l.Topic]; l.Record.Key == nil {
		return u != nil && u.later(l)
	}
	newest, asked := r.newest[keyOf(l.Topic, l.Partition, l.Record.Key)]
	return asked && newest > l.Offset
}

// ask has compare look for later records of a letter's key, or for any where it has none.
func (r *letterRecords) ask(l *DeadLetter) {
	if l.Record.Key == nil {
		u := r.unkeyed[l.Topic]
		if u == nil {
			u = &unkeyedTopic{first: l.Timestamp, last: map[int32]lastRecord{}}
			r.unkeyed[l.Topic] = u
		}
		if l.Timestamp.Before(u.first) {
			u.first = l.Timestamp
		}
	} else {
		r.newest[keyOf(l.Topic, l.Partition, l.Record.Key)] = -1
	}
	if r.from[l.Topic] == nil {
		r.from[l.Topic] = kafka.Positions{}
	}
	if first, known := r.from[l.Topic][l.Partition]; !known || l.Offset+1 < first {
		r.from[l.Topic][l.Partition] = l.Offset + 1
	}
}

// sent says that a letter was: one of an older record of its key that is read later is left.
func (r *letterRecords) sent(l *DeadLetter) {
	if u := r.unkeyed[l.Topic]; l.Record.Key == nil && u != nil {
		u.has(l.Partition, l.Offset, l.Timestamp)
	}
	key := keyOf(l.Topic, l.Partition, l.Record.Key)
	if newest, asked := r.newest[key]; asked {
		r.newest[key] = max(newest, l.Offset)
	}
}

// open creates the Kafka clients at its first call.
func (r *letterRecords) open() (err error) {
	if r.admin != nil {
		return nil
	}
	if r.admin, err = kafka.NewConsumerAdmin(r.kafka); err != nil {
		return err
	}
	r.reader, err = kafka.NewReader(r.kafka)
	return err
}

// close closes the Kafka clients.
func (r *letterRecords) close() {
	if r.admin != nil {
		r.admin.Close()
	}
	if r.reader != nil {
		r.reader.Close()
	}
}

// compare reads the topics of the letters up to their current end offsets and notes later records. Each call continues
// after the records that the call before has read.
func (r *letterRecords) compare(ctx context.Context) error {
	if len(r.from) == 0 {
		return nil
	}
	if err := r.open(); err != nil {
		return err
	}
	uncommitted := r.kafka.Consumer.ReadUncommitted
	for topic, at := range r.from {
		ends, err := r.admin.EndOffsets(ctx, uncommitted, topic)
		if errors.Is(err, kafka.ErrUnknownTopic) {
			continue // whatever was written of it is not there to be looked at
		}
		if err != nil {
			return err
		}
		u := r.unkeyed[topic]
		if u != nil && !u.begun { // records of one entity may be in all partitions
			begin := u.first
			if epoch := time.UnixMilli(0); begin.Before(epoch) { // there are no records before
				begin = epoch
			}
			since, err := r.reader.Since(ctx, topic, begin)
			if err != nil {
				return err
			}
			u.begun = true
			for partition, first := range since {
				if known, there := at[partition]; !there || first < known {
					at[partition] = first
				}
			}
		}
		to := kafka.Positions{}
		for partition := range at {
			if end, there := ends[topic][partition]; there {
				to[partition] = end
			}
		}
		options := kafka.ReadOptions{From: at, To: to, Uncommitted: uncommitted}
		read, err := r.reader.Read(ctx, topic, options, func(record *kgo.Record) error {
			key := keyOf(topic, record.Partition, record.Key)
			newest, asked := r.newest[key]
			if asked = asked && record.Key != nil; !asked && u == nil {
				return nil
			}
			one, letter := r.of[identityOf(topic, record.Partition, record.Offset, record.Timestamp, record.Key,
				record.Value)]
			if letter && one.settled < one.times {
				return nil
			}
			if asked {
				r.newest[key] = max(newest, record.Offset)
			}
			if u != nil {
				u.has(record.Partition, record.Offset, record.Timestamp)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("look for records that are newer than the letters': %w", err)
		}
		maps.Copy(at, read)
	}
	return nil
}

// unkeyedTopic is what is known of a topic whose letters have no key: their entities are named by their values, which
// its plugin alone can read, so any record that came later may be of the same one. In a letter's own partition
// a later record has a greater offset, in the others the same time or a later one.
type unkeyedTopic struct {
	first time.Time // of its letters
	// begun reports whether from contains the offsets of first.
	begun bool
	// last is, by partition, the greatest offset and the latest time of its records that are no letters which are still
	// to be sent.
	last map[int32]lastRecord
}

type lastRecord struct {
	offset int64
	at     time.Time
}

// has takes a record of the topic.
func (u *unkeyedTopic) has(partition int32, offset int64, at time.Time) {
	last := u.last[partition]
	last.offset = max(last.offset, offset)
	if at.After(last.at) {
		last.at = at
	}
	u.last[partition] = last
}

// later tells whether a record came later than a letter's.
func (u *unkeyedTopic) later(l *DeadLetter) bool {
	for partition, last := range u.last {
		if partition == l.Partition && last.offset > l.Offset ||
			partition != l.Partition && !last.at.IsZero() && !last.at.Before(l.Timestamp) {
			return true
		}
	}
	return false
}
