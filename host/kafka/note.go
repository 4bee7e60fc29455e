package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

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

// readNotes tells about the committed offsets of new partitions and the notes beside them. While nobody can be reached it goes on
// asking: without them records could be written twice. What cannot be read for other reasons ends the next Poll.
func (s *Consumer) readNotes(ctx context.Context, client *kgo.Client, partitions map[string][]int32) {
	if s.o.Noted == nil || len(partitions) == 0 {
		return
	}
	topics := make([]string, 0, len(partitions))
	for topic := range partitions {
		topics = append(topics, topic)
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.Consumer.MaxPollInterval)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	stored, err := s.storedOffsets(ctx, client, topics)
	for err != nil && passes(err) && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
			stored, err = s.storedOffsets(ctx, client, topics)
		}
	}
	if err != nil {
		s.mu.Lock()
		if s.life.Err() == nil {
			s.failure = fmt.Errorf("read what is stored beside the offsets of group %s: %w", s.o.Group, err)
		}
		s.mu.Unlock()
		return
	}
	for topic, list := range partitions {
		for _, p := range list {
			at, _ := stored.Lookup(topic, p)
			if at.At < 0 {
				s.o.Noted(topic, p, -1, "")
				continue
			}
			note, ours := strings.CutPrefix(at.Metadata, noteMark)
			if !ours {
				note = ""
			}
			s.o.Noted(topic, p, at.At, note)
		}
	}
}

func (s *Consumer) storedOffsets(ctx context.Context, client *kgo.Client, topics []string) (kadm.OffsetResponses, error) {
	stored, err := kadm.NewClient(client).FetchOffsetsForTopics(ctx, s.o.Group, topics...)
	if err == nil {
		err = stored.Error()
	}
	return stored, err
}
