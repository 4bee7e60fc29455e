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

// maxIndexedRecords is how many records the letters of one connector may name in a topic: a replay knows of each what
// became of it, in some 60 bytes.
const maxIndexedRecords = 4_000_000

// recordIndex are the records of a sink that the letters of a topic name, whatever partitions these are in and
// however many there are of a record: after a kill a letter may stand there twice, and what was refused once more has
// one more. It is made of the whole topic and of what is stored about its letters, when a replay begins.
//
// Invariants: a letter whose record has one that was replayed more often is done with: the later one says what became
// of it. Of those that were replayed equally often all stand for one another: one is sent, and the others are settled
// when that is stored.
type recordIndex struct {
	states map[recordID]recordState
	// limit is how many they may be.
	limit int
	// rows are the rows that are left of records of which others are written; a record whose letters contradict each
	// other is in odd.
	rows          map[recordID]core.RowSubset
	contradictory map[recordID]bool
	// newest is, by the keys of letters that are to be sent, the offset of the last record of the key which is no such
	// letter, or was one and is sent, -1 for none; from is where these are looked for next.
	newest map[recordID]int64
	from   map[string]kafka.Positions
	// unkeyed are the topics of letters without a key that are to be sent.
	unkeyed map[string]*unkeyedTopic
	// kafka configures admin and reader, which are nil until compare is called.
	kafka  kafka.Config
	admin  *kafka.Admin
	reader *kafka.Reader
}

func newRecordIndex(k kafka.Config) *recordIndex {
	return &recordIndex{states: map[recordID]recordState{}, limit: maxIndexedRecords,
		rows: map[recordID]core.RowSubset{}, contradictory: map[recordID]bool{}, newest: map[recordID]int64{},
		from: map[string]kafka.Positions{}, unkeyed: map[string]*unkeyedTopic{}, kafka: k}
}

// recordState is what is known of one record.
type recordState struct {
	// times is how often that of its letters was replayed which was most often, and settled the same among letters that
	// are done with, -1 for none.
	replays, settled int32
	// inDoubt: nobody knows whether a replay has written it. taken: this one has sent it.
	inDoubt, selected bool
}

// recordID tells records apart by where they stood, and by what they were: a topic that was deleted and made
// again has others in the same place.
type recordID [16]byte

// newRecordID is that of a record, which a letter holds as it was read.
func newRecordID(topic string, partition int32, offset int64, at time.Time, key, value []byte) (id recordID) {
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

func (l *DeadLetter) recordID() recordID {
	return newRecordID(l.Topic, l.Partition, l.Offset, l.Timestamp, l.Record.Key, l.Record.Value)
}

// add takes a letter. settled: it is done with; doubt: nobody knows whether it was written.
func (r *recordIndex) add(l *DeadLetter, settled, inDoubt bool) error {
	id, times := l.recordID(), int32(l.Replays)
	state, known := r.states[id]
	if !known {
		if len(r.states) >= r.limit {
			return fmt.Errorf("expected dead letters of at most %d records, found more: delete those that were "+
				"replayed, with kafka-delete-records for example", r.limit)
		}
		state = recordState{replays: times, settled: -1}
	}
	if times > state.replays {
		state.replays, state.inDoubt = times, false
		delete(r.rows, id)
		delete(r.contradictory, id)
	}
	if times == state.replays {
		state.inDoubt = state.inDoubt || inDoubt
		common, ok := r.rows[id].Intersect(l.Rows)
		if !ok {
			r.contradictory[id] = true
		}
		if !common.IsAll() {
			r.rows[id] = common
		}
	}
	if settled {
		state.settled = max(state.settled, times)
	}
	r.states[id] = state
	return nil
}

// isDone tells whether a letter needs no sending: its record was replayed by another one.
func (r *recordIndex) isDone(l *DeadLetter) bool {
	state := r.states[l.recordID()]
	return int32(l.Replays) < state.replays || int32(l.Replays) <= state.settled || state.selected
}

// take notes whether this replay sends a record.
func (r *recordIndex) setSelected(id recordID, selected bool) recordState {
	state := r.states[id]
	state.selected = selected
	r.states[id] = state
	return state
}

// newKeyID names a key within a partition.
func newKeyID(topic string, partition int32, key []byte) recordID {
	return newRecordID(topic, partition, -1, time.Time{}, key, nil)
}

// isSuperseded tells whether a later record of the key is in the letter's topic, which is no letter that is still to be sent;
// for a letter without a key, whether any later record is.
func (r *recordIndex) isSuperseded(l *DeadLetter) bool {
	if u := r.unkeyed[l.Topic]; l.Record.Key == nil {
		return u != nil && u.hasNewer(l)
	}
	newest, watched := r.newest[newKeyID(l.Topic, l.Partition, l.Record.Key)]
	return watched && newest > l.Offset
}

// ask has compare look for later records of a letter's key, or for any where it has none.
func (r *recordIndex) watchNewer(l *DeadLetter) {
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
		r.newest[newKeyID(l.Topic, l.Partition, l.Record.Key)] = -1
	}
	if r.from[l.Topic] == nil {
		r.from[l.Topic] = kafka.Positions{}
	}
	if first, known := r.from[l.Topic][l.Partition]; !known || l.Offset+1 < first {
		r.from[l.Topic][l.Partition] = l.Offset + 1
	}
}

// markSent says that a letter was: one of an older record of its key that is read later is left.
func (r *recordIndex) markSent(l *DeadLetter) {
	if u := r.unkeyed[l.Topic]; l.Record.Key == nil && u != nil {
		u.add(l.Partition, l.Offset, l.Timestamp)
	}
	key := newKeyID(l.Topic, l.Partition, l.Record.Key)
	if newest, watched := r.newest[key]; watched {
		r.newest[key] = max(newest, l.Offset)
	}
}

// open creates the Kafka clients at its first call.
func (r *recordIndex) open() (err error) {
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
func (r *recordIndex) close() {
	if r.admin != nil {
		r.admin.Close()
	}
	if r.reader != nil {
		r.reader.Close()
	}
}

// readNewer reads the topics of the letters up to their current end offsets and notes later records. Each call continues
// after the records that the call before has read.
func (r *recordIndex) readNewer(ctx context.Context) error {
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
		if u != nil && !u.started { // records of one entity may be in all partitions
			begin := u.first
			if epoch := time.UnixMilli(0); begin.Before(epoch) { // there are no records before
				begin = epoch
			}
			since, err := r.reader.Since(ctx, topic, begin)
			if err != nil {
				return err
			}
			u.started = true
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
			key := newKeyID(topic, record.Partition, record.Key)
			newest, watched := r.newest[key]
			if watched = watched && record.Key != nil; !watched && u == nil {
				return nil
			}
			state, letter := r.states[newRecordID(topic, record.Partition, record.Offset, record.Timestamp, record.Key,
				record.Value)]
			if letter && state.settled < state.replays {
				return nil
			}
			if watched {
				r.newest[key] = max(newest, record.Offset)
			}
			if u != nil {
				u.add(record.Partition, record.Offset, record.Timestamp)
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
	started bool
	// last is, by partition, the greatest offset and the latest time of its records that are no letters which are still
	// to be sent.
	last map[int32]lastRecord
}

type lastRecord struct {
	offset int64
	at     time.Time
}

// has takes a record of the topic.
func (u *unkeyedTopic) add(partition int32, offset int64, at time.Time) {
	last := u.last[partition]
	last.offset = max(last.offset, offset)
	if at.After(last.at) {
		last.at = at
	}
	u.last[partition] = last
}

// hasNewer tells whether a record came later than a letter's.
func (u *unkeyedTopic) hasNewer(l *DeadLetter) bool {
	for partition, last := range u.last {
		if partition == l.Partition && last.offset > l.Offset ||
			partition != l.Partition && !last.at.IsZero() && !last.at.Before(l.Timestamp) {
			return true
		}
	}
	return false
}
