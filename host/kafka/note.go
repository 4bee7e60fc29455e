package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// noteMark is in front of what we store beside an offset; other clients, and kgo by itself, store other things there.
const noteMark = "culvert:"

// LongestNote is how much may be stored beside an offset, in bytes: brokers allow 4,096 (offset.metadata.max.bytes).
const LongestNote = 3500

// noted has a commit store notes beside its offsets.
func (s *Consumer) noted(ctx context.Context) context.Context {
	if s.o.Note == nil {
		return ctx
	}
	return kgo.PreCommitFnContext(ctx, func(r *kmsg.OffsetCommitRequest) error {
		for i := range r.Topics {
			t := &r.Topics[i]
			for j := range t.Partitions {
				p := &t.Partitions[j]
				if note := s.o.Note(t.Topic, p.Partition, p.Offset); note != "" && len(note) <= LongestNote {
					note = noteMark + note
					p.Metadata = &note
				}
			}
		}
		return nil
	})
}

// tooLong tells whether a broker takes no notes, or only shorter ones.
func tooLong(err error) bool { return errors.Is(err, kerr.OffsetMetadataTooLarge) }

// readNotes tells about the notes beside the offsets of new partitions. What cannot be read ends the next Poll: without it records
// could be written twice.
func (s *Consumer) readNotes(ctx context.Context, client *kgo.Client, partitions map[string][]int32) {
	if s.o.Noted == nil || len(partitions) == 0 {
		return
	}
	topics := make([]string, 0, len(partitions))
	for topic := range partitions {
		topics = append(topics, topic)
	}
	stored, err := kadm.NewClient(client).FetchOffsetsForTopics(ctx, s.o.Group, topics...)
	if err == nil {
		err = stored.Error()
	}
	if err != nil {
		if ctx.Err() == nil {
			s.mu.Lock()
			s.failure = fmt.Errorf("read what is stored beside the offsets of group %s: %w", s.o.Group, err)
			s.mu.Unlock()
		}
		return
	}
	for topic, list := range partitions {
		for _, p := range list {
			at, ok := stored.Lookup(topic, p)
			if note, ours := strings.CutPrefix(at.Metadata, noteMark); ok && ours && at.At >= 0 {
				s.o.Noted(topic, p, at.At, note)
			}
		}
	}
}
