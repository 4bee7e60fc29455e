package connect

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
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

// recordIndex records during a replay which records of a sink in a dead letter topic must still be sent. A record may
// have several dead letters, in any partitions: one for each failed replay, and duplicates after a crash.
//
// Invariants: a dead letter is done if a dead letter of its record was replayed more often. Of dead letters with the
// same number of replays one is sent; the others are done when its result is stored.
type recordIndex struct {
	states        map[recordID]recordState
	limit         int                         // of states
	rows          map[recordID]core.RowSubset // the rows to send of a record; all if it is missing
	contradictory map[recordID]bool           // records whose letters have different numbers of rows
	// values has the digests of other values that earlier retries of records in doubt have sent, see [valueDigest].
	values map[recordID]string
	// newest has, by key of a dead letter to send, the offset of the newest other record of the key, or -1.
	newest  map[recordID]int64
	from    map[string]kafka.Positions // where the next read of a topic starts
	unkeyed map[string]*unkeyedTopic
	kafka   kafka.Config
	admin   *kafka.Admin // nil until newer records are read
	reader  *kafka.Reader
}

func newRecordIndex(kafkaConfig kafka.Config) *recordIndex {
	return &recordIndex{
		states: map[recordID]recordState{}, limit: maxIndexedRecords, rows: map[recordID]core.RowSubset{},
		contradictory: map[recordID]bool{}, values: map[recordID]string{}, newest: map[recordID]int64{},
		from: map[string]kafka.Positions{}, unkeyed: map[string]*unkeyedTopic{}, kafka: kafkaConfig,
	}
}

type recordState struct {
	replays    int32 // maximum of the replays of its dead letters
	settled    int32 // maximum of the replays of its dead letters that are done, or -1
	inDoubt    bool  // an earlier replay may have written it
	isSelected bool  // this replay sends it
}

// recordID identifies a record by position and content: a recreated topic has other records in the same positions.
type recordID [16]byte

func newRecordID(topic string, partition int32, offset int64, timestamp time.Time, key, value []byte) (id recordID) {
	h := sha256.New()
	place := binary.LittleEndian.AppendUint32(nil, uint32(partition))
	place = binary.LittleEndian.AppendUint64(place, uint64(offset))
	if !timestamp.IsZero() {
		place = binary.LittleEndian.AppendUint64(place, uint64(timestamp.UnixMilli()))
	}
	for _, part := range [][]byte{[]byte(topic), place, key, value} {
		h.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(part))))
		h.Write(part)
	}
	copy(id[:], h.Sum(nil))
	return id
}

// recordID identifies the record or row of all attempts.
func (l *DeadLetter) recordID() (id recordID) {
	if original, err := hex.DecodeString(l.Original); err == nil && len(original) == len(id) {
		return recordID(original)
	}
	if l.Partition < 0 && l.Timestamp.IsZero() && l.Replays == 0 {
		r := l.Record // only the position of the dead letter distinguishes rows of a source without a time
		return newRecordID(r.Topic, r.Partition, r.Offset, r.Timestamp, r.Key, r.Value)
	}
	return newRecordID(l.Topic, l.Partition, l.Offset, l.Timestamp, l.Record.Key, l.Record.Value)
}

// add adds a dead letter. isDone means that it is settled, inDoubt that a replay of it may have written its record.
func (r *recordIndex) add(deadLetter *DeadLetter, isDone, inDoubt bool) error {
	id := deadLetter.recordID()
	replays := int32(deadLetter.Replays)
	state, ok := r.states[id]
	if !ok {
		if len(r.states) >= r.limit {
			return fmt.Errorf("expected dead letters of at most %d records, found more: delete those that were "+
				"replayed, with kafka-delete-records for example", r.limit)
		}
		state = recordState{replays: replays, settled: -1}
	}
	if replays > state.replays {
		state.replays = replays
		state.inDoubt = false
		delete(r.rows, id)
		delete(r.contradictory, id)
		delete(r.values, id)
	}
	if replays == state.replays {
		state.inDoubt = state.inDoubt || inDoubt
		common, ok := r.rows[id].Intersect(deadLetter.Rows)
		if !ok {
			r.contradictory[id] = true
		}
		if !common.IsAll() {
			r.rows[id] = common
		}
	}
	if isDone {
		state.settled = max(state.settled, replays)
	}
	r.states[id] = state
	return nil
}

// addValue records that an earlier retry has sent another value, after add of the dead letter in doubt.
func (r *recordIndex) addValue(deadLetter *DeadLetter, digest string) {
	if id := deadLetter.recordID(); digest != "" && int32(deadLetter.Replays) == r.states[id].replays {
		r.values[id] = digest
	}
}

// isDone reports whether a dead letter need not be sent: its record is settled, selected, or has a later dead letter.
func (r *recordIndex) isDone(deadLetter *DeadLetter) bool {
	state := r.states[deadLetter.recordID()]
	return int32(deadLetter.Replays) < state.replays || int32(deadLetter.Replays) <= state.settled || state.isSelected
}

func (r *recordIndex) setSelected(id recordID, isSelected bool) recordState {
	state := r.states[id]
	state.isSelected = isSelected
	r.states[id] = state
	return state
}

func newKeyID(topic string, partition int32, key []byte) recordID {
	return newRecordID(topic, partition, -1, time.Time{}, key, nil)
}

// isSuperseded reports whether a newer record has the key, or for a letter without a key any record is newer.
func (r *recordIndex) isSuperseded(deadLetter *DeadLetter) bool {
	unkeyed := r.unkeyed[deadLetter.Topic]
	if deadLetter.Record.Key == nil {
		return unkeyed != nil && unkeyed.hasNewer(deadLetter)
	}
	newest, ok := r.newest[newKeyID(deadLetter.Topic, deadLetter.Partition, deadLetter.Record.Key)]
	return ok && newest > deadLetter.Offset
}

func (r *recordIndex) watchNewer(deadLetter *DeadLetter) {
	if deadLetter.Record.Key == nil {
		unkeyed := r.unkeyed[deadLetter.Topic]
		if unkeyed == nil {
			unkeyed = &unkeyedTopic{earliest: deadLetter.Timestamp, last: map[int32]lastRecord{}}
			r.unkeyed[deadLetter.Topic] = unkeyed
		}
		if deadLetter.Timestamp.Before(unkeyed.earliest) {
			unkeyed.earliest = deadLetter.Timestamp
		}
	} else {
		r.newest[newKeyID(deadLetter.Topic, deadLetter.Partition, deadLetter.Record.Key)] = -1
	}
	if r.from[deadLetter.Topic] == nil {
		r.from[deadLetter.Topic] = kafka.Positions{}
	}
	if first, ok := r.from[deadLetter.Topic][deadLetter.Partition]; !ok || deadLetter.Offset+1 < first {
		r.from[deadLetter.Topic][deadLetter.Partition] = deadLetter.Offset + 1
	}
}

// markSent records that a dead letter was sent, so that it supersedes older ones.
func (r *recordIndex) markSent(deadLetter *DeadLetter) {
	if unkeyed := r.unkeyed[deadLetter.Topic]; deadLetter.Record.Key == nil && unkeyed != nil {
		unkeyed.add(deadLetter.Partition, deadLetter.Offset, deadLetter.Timestamp)
	}
	key := newKeyID(deadLetter.Topic, deadLetter.Partition, deadLetter.Record.Key)
	if newest, ok := r.newest[key]; ok {
		r.newest[key] = max(newest, deadLetter.Offset)
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

// readNewer reads the topics of the dead letters to find newer records, from the end of the previous call on.
func (r *recordIndex) readNewer(ctx context.Context) error {
	if len(r.from) == 0 {
		return nil
	}
	if err := r.open(); err != nil {
		return err
	}
	uncommitted := r.kafka.Consumer.ReadUncommitted
	for topic, positions := range r.from {
		ends, err := r.admin.EndOffsets(ctx, uncommitted, topic)
		if errors.Is(err, kafka.ErrUnknownTopic) {
			continue // its records are gone
		}
		if err != nil {
			return err
		}
		if err := r.startUnkeyed(ctx, topic, positions); err != nil {
			return err
		}
		to := kafka.Positions{}
		for partition := range positions {
			if end, ok := ends[topic][partition]; ok {
				to[partition] = end
			}
		}
		options := kafka.ReadOptions{From: positions, To: to, Uncommitted: uncommitted}
		read, err := r.reader.Read(ctx, topic, options, func(record *kgo.Record) error {
			r.addNewer(record)
			return nil
		})
		if err != nil {
			return fmt.Errorf("read records that are newer than the dead letters: %w", err)
		}
		maps.Copy(positions, read)
	}
	return nil
}

// startUnkeyed adds all partitions of a topic with letters without a key, from the time of the earliest letter.
func (r *recordIndex) startUnkeyed(ctx context.Context, topic string, positions kafka.Positions) error {
	unkeyed := r.unkeyed[topic]
	if unkeyed == nil || unkeyed.isStarted {
		return nil
	}
	begin := unkeyed.earliest
	if epoch := time.UnixMilli(0); begin.Before(epoch) { // no record is older
		begin = epoch
	}
	starts, err := r.reader.OffsetsForTime(ctx, topic, begin)
	if err != nil {
		return err
	}
	unkeyed.isStarted = true
	for partition, first := range starts {
		if start, ok := positions[partition]; !ok || first < start {
			positions[partition] = first
		}
	}
	return nil
}

func (r *recordIndex) addNewer(record *kgo.Record) {
	unkeyed := r.unkeyed[record.Topic]
	key := newKeyID(record.Topic, record.Partition, record.Key)
	newest, ok := r.newest[key]
	isWatched := ok && record.Key != nil
	if !isWatched && unkeyed == nil {
		return
	}
	id := newRecordID(record.Topic, record.Partition, record.Offset, record.Timestamp, record.Key, record.Value)
	if state, ok := r.states[id]; ok && state.settled < state.replays { // it is itself a dead letter to send
		return
	}
	if isWatched {
		r.newest[key] = max(newest, record.Offset)
	}
	if unkeyed != nil {
		unkeyed.add(record.Partition, record.Offset, record.Timestamp)
	}
}

// unkeyedTopic is a topic of dead letters without a key. Only the plugin knows their entities, so any newer record may
// be of the same one. Newer means a greater offset in the same partition, and the same time or later in other
// partitions.
type unkeyedTopic struct {
	earliest  time.Time // of its dead letters
	isStarted bool      // recordIndex.from has the partitions of the topic
	// last has, by partition, the greatest offset and latest time of records that are not dead letters to send.
	last map[int32]lastRecord
}

type lastRecord struct {
	offset    int64
	timestamp time.Time
}

func (u *unkeyedTopic) add(partition int32, offset int64, timestamp time.Time) {
	last := u.last[partition]
	last.offset = max(last.offset, offset)
	if timestamp.After(last.timestamp) {
		last.timestamp = timestamp
	}
	u.last[partition] = last
}

func (u *unkeyedTopic) hasNewer(deadLetter *DeadLetter) bool {
	for partition, last := range u.last {
		isNewer := !last.timestamp.IsZero() && !last.timestamp.Before(deadLetter.Timestamp)
		if partition == deadLetter.Partition {
			isNewer = last.offset > deadLetter.Offset
		}
		if isNewer {
			return true
		}
	}
	return false
}
