package connect

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/kafka"
)

// newerRecords reads during a replay whether topics have records that dead letters would overwrite: the topics that a
// sink reads, or a source writes. Keys are compared as they are in these topics. Records of a source without a key
// overwrite nothing.
type newerRecords struct {
	// newest has, by key of a sink's dead letter to send, the offset of the newest other record of the key, or -1.
	newest  map[recordID]int64
	from    map[string]kafka.Positions // where the next read of a topic starts
	unkeyed map[string]*unkeyedTopic   // by topic
	rows    *newerRows                 // nil for a sink
	times   map[string]*startTime      // of topics that are read from a time on
	isOpen  func(originalID) bool      // reports whether a record of a sink is itself a dead letter to send
	kafka   kafka.Config
	admin   *kafka.Admin // nil until topics are read
	reader  *kafka.Reader

	replays  *replayRegistry // bounds the records to look for of all replays
	reserved int64           // bytes of it
	err      error           // no bytes are left
}

// startTime is the time from which all partitions of a topic are read.
type startTime struct {
	earliest  time.Time // of the dead letters
	isStarted bool      // newerRecords.from has the partitions of the topic
}

// newSinkNewerRecords returns newer records for the letters of a sink.
func newSinkNewerRecords(kafkaConfig kafka.Config, replays *replayRegistry,
	isOpen func(originalID) bool) *newerRecords {
	return &newerRecords{replays: replays, newest: map[recordID]int64{}, from: map[string]kafka.Positions{},
		unkeyed: map[string]*unkeyedTopic{}, times: map[string]*startTime{}, isOpen: isOpen, kafka: kafkaConfig}
}

// newSourceNewerRecords returns newer records for the letters of a source. Records of open transactions count, because
// a running task may commit them.
func newSourceNewerRecords(kafkaConfig kafka.Config, replays *replayRegistry) *newerRecords {
	kafkaConfig.Consumer.ClientConfig = kafkaConfig.Producer.ClientConfig
	kafkaConfig.Consumer.ReadUncommitted = true
	n := newSinkNewerRecords(kafkaConfig, replays, nil)
	n.rows = &newerRows{records: map[DeadLetterPosition][]rowRecord{}, newest: map[recordID]newestRow{},
		sent: map[recordID]rowOrder{}}
	return n
}

// reserve reserves memory to look for a record, and reports whether it could. If not, read returns an error.
func (n *newerRecords) reserve(bytes int64) bool {
	if n.err == nil {
		n.err = n.replays.reserve(bytes)
	}
	if n.err == nil {
		n.reserved += bytes
	}
	return n.err == nil
}

// readFrom makes the next read of a topic begin at a time, or at an earlier one that was set before.
func (n *newerRecords) readFrom(topic string, begin time.Time) {
	start := n.times[topic]
	if start == nil {
		start = &startTime{earliest: begin}
		n.times[topic] = start
	}
	if begin.Before(start.earliest) {
		start.earliest = begin
	}
	start.isStarted = false
	if n.from[topic] == nil {
		n.from[topic] = kafka.Positions{}
	}
}

// isSuperseded reports whether a newer record has the key, or for a sink's letter without a key any record is newer.
func (n *newerRecords) isSuperseded(deadLetter *DeadLetter) bool {
	if n.rows != nil {
		return n.rows.isSuperseded(deadLetter)
	}
	unkeyed := n.unkeyed[deadLetter.Topic]
	if deadLetter.Record.Key == nil {
		return unkeyed != nil && unkeyed.hasNewer(deadLetter)
	}
	newest, ok := n.newest[newKeyID(deadLetter.Topic, deadLetter.Partition, deadLetter.Record.Key)]
	return ok && newest > deadLetter.Offset
}

// watchRow makes read look for records that are newer than a record that a source's letter becomes.
func (n *newerRecords) watchRow(deadLetter *DeadLetter, topic string, key, value []byte) {
	if key != nil && n.reserve(watchedRowBytes) {
		n.rows.watch(deadLetter, topic, key, value)
		n.readFrom(topic, orderOf(deadLetter).time().Add(-clockTolerance))
	}
}

// watch makes read look for records that are newer than a sink's letter.
func (n *newerRecords) watch(deadLetter *DeadLetter) {
	if !n.reserve(watchedKeyBytes) {
		return
	}
	if deadLetter.Record.Key == nil {
		unkeyed := n.unkeyed[deadLetter.Topic]
		if unkeyed == nil {
			unkeyed = &unkeyedTopic{last: map[int32]lastRecord{}}
			n.unkeyed[deadLetter.Topic] = unkeyed
		}
		n.readFrom(deadLetter.Topic, deadLetter.Timestamp)
	} else {
		n.newest[newKeyID(deadLetter.Topic, deadLetter.Partition, deadLetter.Record.Key)] = -1
	}
	if n.from[deadLetter.Topic] == nil {
		n.from[deadLetter.Topic] = kafka.Positions{}
	}
	if first, ok := n.from[deadLetter.Topic][deadLetter.Partition]; !ok || deadLetter.Offset+1 < first {
		n.from[deadLetter.Topic][deadLetter.Partition] = deadLetter.Offset + 1
	}
}

// markSent records that a dead letter was sent, so that it supersedes older ones.
func (n *newerRecords) markSent(deadLetter *DeadLetter) {
	if n.rows != nil {
		n.rows.markSent(deadLetter)
		return
	}
	if unkeyed := n.unkeyed[deadLetter.Topic]; deadLetter.Record.Key == nil && unkeyed != nil {
		unkeyed.add(deadLetter.Partition, deadLetter.Offset, deadLetter.Timestamp)
	}
	key := newKeyID(deadLetter.Topic, deadLetter.Partition, deadLetter.Record.Key)
	if newest, ok := n.newest[key]; ok {
		n.newest[key] = max(newest, deadLetter.Offset)
	}
}

func (n *newerRecords) open() (err error) {
	if n.admin != nil {
		return nil
	}
	if n.admin, err = kafka.NewConsumerAdmin(n.kafka); err != nil {
		return err
	}
	n.reader, err = kafka.NewReader(n.kafka)
	return err
}

func (n *newerRecords) close() {
	n.replays.release(n.reserved)
	if n.admin != nil {
		n.admin.Close()
	}
	if n.reader != nil {
		n.reader.Close()
	}
}

// read reads the topics of the dead letters to find newer records, from the end of the previous call on.
func (n *newerRecords) read(ctx context.Context) error {
	if n.err != nil {
		return fmt.Errorf("look for records that are newer than the dead letters: %w", n.err)
	}
	if len(n.from) == 0 {
		return nil
	}
	if err := n.open(); err != nil {
		return err
	}
	uncommitted := n.kafka.Consumer.ReadUncommitted
	for topic, positions := range n.from {
		ends, err := n.admin.EndOffsets(ctx, uncommitted, topic)
		if errors.Is(err, kafka.ErrUnknownTopic) {
			continue // its records are gone
		}
		if err != nil {
			return err
		}
		if err := n.start(ctx, topic, positions); err != nil {
			return err
		}
		to := kafka.Positions{}
		for partition := range positions {
			if end, ok := ends[topic][partition]; ok {
				to[partition] = end
			}
		}
		options := kafka.ReadOptions{From: positions, To: to, Uncommitted: uncommitted}
		read, err := n.reader.Read(ctx, topic, options, func(record *kgo.Record) error {
			n.add(record)
			return nil
		})
		if err != nil {
			return fmt.Errorf("read records that are newer than the dead letters: %w", err)
		}
		maps.Copy(positions, read)
	}
	return nil
}

// start adds the positions of all partitions of a topic that is read from a time on.
func (n *newerRecords) start(ctx context.Context, topic string, positions kafka.Positions) error {
	start := n.times[topic]
	if start == nil || start.isStarted {
		return nil
	}
	begin := start.earliest
	if epoch := time.UnixMilli(0); begin.Before(epoch) { // no record is older
		begin = epoch
	}
	starts, err := n.reader.OffsetsForTime(ctx, topic, begin)
	if err != nil {
		return err
	}
	start.isStarted = true
	for partition, first := range starts {
		if next, ok := positions[partition]; !ok || first < next {
			positions[partition] = first
		}
	}
	return nil
}

func (n *newerRecords) add(record *kgo.Record) {
	if n.rows != nil {
		n.rows.add(record)
		return
	}
	unkeyed := n.unkeyed[record.Topic]
	key := newKeyID(record.Topic, record.Partition, record.Key)
	newest, ok := n.newest[key]
	isWatched := ok && record.Key != nil
	if !isWatched && unkeyed == nil {
		return
	}
	id := newRecordID(record.Topic, record.Partition, record.Offset, record.Timestamp, record.Key, record.Value)
	if n.isOpen(id.original()) {
		return
	}
	if isWatched {
		n.newest[key] = max(newest, record.Offset)
	}
	if unkeyed != nil {
		unkeyed.add(record.Partition, record.Offset, record.Timestamp)
	}
}

// unkeyedTopic is a topic of dead letters without a key. Only the plugin knows their entities, so any newer record may
// be of the same one. Newer means a greater offset in the same partition, and the same time or later in other
// partitions.
type unkeyedTopic struct {
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
