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

	"github.com/culvert-project/culvert/internal/kafka"
	core "github.com/culvert-project/culvert/internal/run/task"
)

// maxIndexedRecords bounds the memory of a replay, which needs about 60 bytes for each record.
const maxIndexedRecords = 4_000_000

// recordIndex has the state of all records of a sink in a dead letter topic. A record may have several letters, in any
// partitions: one for each failed replay, and duplicates after a crash.
//
// Invariants: a letter is done if a letter of its record was replayed more often. Of letters with the same number of
// replays one is sent; the others are done when its result is stored.
type recordIndex struct {
	states        map[recordID]recordState
	limit         int
	rows          map[recordID]core.RowSubset
	contradictory map[recordID]bool
	// newest is, by key of a letter to send, the offset of the newest record of the key that is not itself a letter to
	// send, or -1. from is where the next read starts.
	newest  map[recordID]int64
	from    map[string]kafka.Positions
	unkeyed map[string]*unkeyedTopic
	kafka   kafka.Config
	admin   *kafka.Admin
	reader  *kafka.Reader
}

func newRecordIndex(k kafka.Config) *recordIndex {
	return &recordIndex{states: map[recordID]recordState{}, limit: maxIndexedRecords,
		rows: map[recordID]core.RowSubset{}, contradictory: map[recordID]bool{}, newest: map[recordID]int64{},
		from: map[string]kafka.Positions{}, unkeyed: map[string]*unkeyedTopic{}, kafka: k}
}

type recordState struct {
	// replays is the maximum of its letters, settled the maximum of those that are done, or -1.
	replays, settled int32
	// inDoubt means that an earlier replay may have written it, selected that this replay sends it.
	inDoubt, selected bool
}

// recordID identifies a record by position and content: a topic that was deleted and created again has other records in
// the same positions.
type recordID [16]byte

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

func (r *recordIndex) isDone(l *DeadLetter) bool {
	state := r.states[l.recordID()]
	return int32(l.Replays) < state.replays || int32(l.Replays) <= state.settled || state.selected
}

func (r *recordIndex) setSelected(id recordID, selected bool) recordState {
	state := r.states[id]
	state.selected = selected
	r.states[id] = state
	return state
}

func newKeyID(topic string, partition int32, key []byte) recordID {
	return newRecordID(topic, partition, -1, time.Time{}, key, nil)
}

// isSuperseded reports whether the topic has a newer record of the key that is not itself a letter to send, or, for a
// letter without a key, any newer record.
func (r *recordIndex) isSuperseded(l *DeadLetter) bool {
	if u := r.unkeyed[l.Topic]; l.Record.Key == nil {
		return u != nil && u.hasNewer(l)
	}
	newest, watched := r.newest[newKeyID(l.Topic, l.Partition, l.Record.Key)]
	return watched && newest > l.Offset
}

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

func (r *recordIndex) markSent(l *DeadLetter) {
	if u := r.unkeyed[l.Topic]; l.Record.Key == nil && u != nil {
		u.add(l.Partition, l.Offset, l.Timestamp)
	}
	key := newKeyID(l.Topic, l.Partition, l.Record.Key)
	if newest, watched := r.newest[key]; watched {
		r.newest[key] = max(newest, l.Offset)
	}
}

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

func (r *recordIndex) close() {
	if r.admin != nil {
		r.admin.Close()
	}
	if r.reader != nil {
		r.reader.Close()
	}
}

// readNewer reads the topics of the letters up to their end offsets to find newer records. Each call continues after
// the previous one.
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
			continue // its records are gone
		}
		if err != nil {
			return err
		}
		if err := r.startUnkeyed(ctx, topic, at); err != nil {
			return err
		}
		to := kafka.Positions{}
		for partition := range at {
			if end, ok := ends[topic][partition]; ok {
				to[partition] = end
			}
		}
		options := kafka.ReadOptions{From: at, To: to, Uncommitted: uncommitted}
		read, err := r.reader.Read(ctx, topic, options, func(record *kgo.Record) error {
			r.addNewer(record)
			return nil
		})
		if err != nil {
			return fmt.Errorf("read records that are newer than the dead letters: %w", err)
		}
		maps.Copy(at, read)
	}
	return nil
}

func (r *recordIndex) startUnkeyed(ctx context.Context, topic string, at kafka.Positions) error {
	u := r.unkeyed[topic]
	if u == nil || u.started {
		return nil
	}
	begin := u.first
	if epoch := time.UnixMilli(0); begin.Before(epoch) { // no record is older
		begin = epoch
	}
	since, err := r.reader.OffsetsForTime(ctx, topic, begin)
	if err != nil {
		return err
	}
	u.started = true
	for partition, first := range since {
		if known, ok := at[partition]; !ok || first < known {
			at[partition] = first
		}
	}
	return nil
}

func (r *recordIndex) addNewer(record *kgo.Record) {
	u, key := r.unkeyed[record.Topic], newKeyID(record.Topic, record.Partition, record.Key)
	newest, watched := r.newest[key]
	if watched = watched && record.Key != nil; !watched && u == nil {
		return
	}
	state, letter := r.states[newRecordID(record.Topic, record.Partition, record.Offset, record.Timestamp, record.Key,
		record.Value)]
	if letter && state.settled < state.replays {
		return
	}
	if watched {
		r.newest[key] = max(newest, record.Offset)
	}
	if u != nil {
		u.add(record.Partition, record.Offset, record.Timestamp)
	}
}

// unkeyedTopic is a topic of letters without a key. Only the plugin knows their entities, so any newer record may be of
// the same one. Newer means a greater offset in the same partition, and the same time or later in other partitions.
type unkeyedTopic struct {
	first   time.Time // of its letters
	started bool
	// last has, by partition, the greatest offset and latest time of records that are not letters to send.
	last map[int32]lastRecord
}

type lastRecord struct {
	offset int64
	at     time.Time
}

func (u *unkeyedTopic) add(partition int32, offset int64, at time.Time) {
	last := u.last[partition]
	last.offset = max(last.offset, offset)
	if at.After(last.at) {
		last.at = at
	}
	u.last[partition] = last
}

func (u *unkeyedTopic) hasNewer(l *DeadLetter) bool {
	for partition, last := range u.last {
		if partition == l.Partition && last.offset > l.Offset ||
			partition != l.Partition && !last.at.IsZero() && !last.at.Before(l.Timestamp) {
			return true
		}
	}
	return false
}
