package deadletters

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
// sink reads, or a source writes. Keys are compared as they are in these topics.
type newerRecords struct {
	*topicScan
	recordComparison
}

// recordComparison compares the records that dead letters become with the records of their topics: it decides which
// dead letters would overwrite newer records.
type recordComparison interface {
	// watch makes the next read look for records that are newer than a record that a dead letter becomes.
	watch(l *Letter, topic string, key, value []byte)
	add(*kgo.Record)           // adds a record of a topic
	markSent(*Letter)          // records that a dead letter was sent, so that it supersedes older ones
	isSuperseded(*Letter) bool // reports whether a newer record would be overwritten
}

// newSinkNewerRecords returns the newerRecords for the letters of a sink. isOpen reports whether a record is itself a
// dead letter to send.
func newSinkNewerRecords(kafkaConfig kafka.Config, running *runningReplay, isOpen func(originalID) bool) newerRecords {
	scan := &topicScan{kafka: kafkaConfig, running: running, topics: map[string]*scannedTopic{}}
	return newerRecords{scan, &offsetComparison{scan: scan, isOpen: isOpen, newest: map[recordID]int64{},
		unkeyed: map[string]unkeyedTopic{}}}
}

// newSourceNewerRecords returns the newerRecords for the letters of a source. Records of open transactions count,
// because a running task may commit them.
func newSourceNewerRecords(kafkaConfig kafka.Config, running *runningReplay) newerRecords {
	kafkaConfig.Consumer.ClientConfig = kafkaConfig.Producer.ClientConfig // a source has settings of producers only
	kafkaConfig.Consumer.ReadUncommitted = true
	scan := &topicScan{kafka: kafkaConfig, running: running, topics: map[string]*scannedTopic{}}
	return newerRecords{scan, &timeComparison{scan: scan, records: map[Position][]rowRecord{},
		newest: map[recordID]newestRow{}, sent: map[recordID]rowOrder{}}}
}

// read reads the topics of the dead letters to find newer records, from the end of the previous call on.
func (n newerRecords) read(ctx context.Context) error {
	err := n.err
	for name, topic := range n.topics {
		if err == nil {
			err = n.readTopic(ctx, name, topic, n.add)
		}
	}
	if err != nil {
		return fmt.Errorf("read records that are newer than the dead letters: %w", err)
	}
	return nil
}

// topicScan reads topics in parts. It reserves memory for the records to look for.
type topicScan struct {
	topics  map[string]*scannedTopic
	kafka   kafka.Config
	clients *kafka.Clients // nil until topics are read
	running *runningReplay
	err     error // set when no bytes are left
}

// topic returns where the next read of a topic starts. It adds the topic to the scan if needed.
func (s *topicScan) topic(name string) *scannedTopic {
	topic := s.topics[name]
	if topic == nil {
		topic = &scannedTopic{positions: kafka.Positions{}}
		s.topics[name] = topic
	}
	return topic
}

// reserve reserves memory to look for a record, and reports whether it could. If not, read returns an error.
func (s *topicScan) reserve(bytes int64) bool {
	if s.err == nil {
		s.err = s.running.reserve(bytes)
	}
	return s.err == nil
}

// readTopic calls add with the next records of a topic.
func (s *topicScan) readTopic(ctx context.Context, name string, topic *scannedTopic, add func(*kgo.Record)) error {
	if s.clients == nil {
		clients, err := kafka.OpenClients(kafka.NewConsumerAdmin, s.kafka)
		if err != nil {
			return err
		}
		s.clients = clients
	}
	uncommitted := s.kafka.Consumer.ReadUncommitted
	ends, err := s.clients.Admin.EndOffsets(ctx, uncommitted, name)
	if errors.Is(err, kafka.ErrUnknownTopic) {
		return nil // its records are gone
	}
	if err != nil {
		return err
	}
	if topic.since != nil {
		starts, err := s.clients.Reader.OffsetsForTime(ctx, name, *topic.since)
		if err != nil {
			return err
		}
		topic.since = nil
		for partition, offset := range starts {
			topic.readFrom(partition, offset)
		}
	}
	to := kafka.Positions{}
	for partition := range topic.positions {
		if end, ok := ends[name][partition]; ok {
			to[partition] = end
		}
	}
	options := kafka.ReadOptions{From: topic.positions, To: to, Uncommitted: uncommitted}
	next, err := s.clients.Reader.Read(ctx, name, options, func(record *kgo.Record) error {
		add(record)
		return nil
	})
	maps.Copy(topic.positions, next)
	return err
}

// scannedTopic is where the next read of a topic starts.
type scannedTopic struct {
	positions kafka.Positions // of the partitions that are read
	since     *time.Time      // if not nil, all partitions are read, from this time or an earlier position on
}

// readFrom makes the next read of a partition start at an offset, or at an earlier one.
func (t *scannedTopic) readFrom(partition int32, offset int64) {
	if next, ok := t.positions[partition]; !ok || offset < next {
		t.positions[partition] = offset
	}
}

// readSince makes the next read of all partitions start at a time, or at an earlier one.
func (t *scannedTopic) readSince(start time.Time) {
	if epoch := time.UnixMilli(0); start.Before(epoch) { // no record is older
		start = epoch
	}
	if t.since == nil || start.Before(*t.since) {
		t.since = &start
	}
}
