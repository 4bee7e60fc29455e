package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// metadataMark is in front of what we store with an offset; other clients, and kgo by itself, store other things
// there.
const metadataMark = "culvert:"

// MaxCommitMetadata is how much is stored with an offset at most, in bytes: by default brokers allow 4,096. Where one
// allows less, which the first commit finds out, a sink makes do with less, but not with less than leastMetadata.
const (
	MaxCommitMetadata = 3500
	leastMetadata     = MaxCommitMetadata >> 4
)

// metadataSetting is the setting of brokers that says how much that may be.
const metadataSetting = "offset.metadata.max.bytes"

// ErrCommitMetadata is in the error of a commit whose metadata the broker does not store. Without it, rows could be
// written twice.
var ErrCommitMetadata = errors.New("what stands with the offsets of a sink, so that nothing is written " +
	"twice, cannot be stored")

// errNothing is the error of a commit of which nothing is left to be sent.
var errNothing = errors.New("nothing to commit")

// withMetadata has a commit store metadata with its offsets. The first one that succeeds is as long as metadata may
// be: the broker's limit is known before anything is sent that would need the room. A partition whose metadata is too
// long is left out, and tooLong returns the error. One that went to another member while the commit waited for a
// rebalance is left out too: the client sends it as the new generation's, and the coordinator, which takes offsets of
// any partition from any member, would put it over those of the new owner.
func (s *Consumer) withMetadata(ctx context.Context) (with context.Context, tooLong func() error) {
	if s.o.Metadata == nil {
		return ctx, func() error { return nil }
	}
	s.mu.Lock()
	longest, asking := s.metadata.longest, !s.metadata.asked
	s.mu.Unlock()
	var failure error
	return kgo.PreCommitFnContext(ctx, func(r *kmsg.OffsetCommitRequest) error {
		for i := range r.Topics {
			t := &r.Topics[i]
			kept := t.Partitions[:0]
			for _, p := range t.Partitions {
				if !s.owns(t.Topic, p.Partition) {
					continue
				}
				metadata, ok := s.o.Metadata(t.Topic, p.Partition, p.Offset)
				if !ok {
					continue
				}
				if len(metadata) > longest {
					failure = fmt.Errorf("%w: topic %s, partition %d: expected metadata of at most %d bytes, found "+
						"%d (%s of the brokers says how many they take)",
						ErrCommitMetadata, t.Topic, p.Partition, longest, len(metadata), metadataSetting)
					continue
				}
				if asking {
					metadata, asking = metadata+strings.Repeat(" ", longest-len(metadata)), false
				}
				if metadata != "" {
					metadata = metadataMark + metadata
					p.Metadata = &metadata
				}
				kept = append(kept, p)
			}
			t.Partitions = kept
		}
		r.Topics = slices.DeleteFunc(r.Topics,
			func(t kmsg.OffsetCommitRequestTopic) bool { return len(t.Partitions) == 0 })
		if len(r.Topics) == 0 {
			return cmp.Or(failure, errNothing)
		}
		return nil
	}), func() error { return failure }
}

// commitWithMetadata commits offsets with their metadata. A broker that does not take so much is asked for less.
func (s *Consumer) commitWithMetadata(ctx context.Context, offsets Offsets) error {
	for {
		with, tooLong := s.withMetadata(ctx)
		err := s.commitOnce(with, offsets)
		if err == errNothing {
			return nil
		}
		if s.o.Metadata == nil || err != nil && !errors.Is(err, kerr.OffsetMetadataTooLarge) {
			return err
		}
		s.mu.Lock()
		s.metadata.asked = err == nil
		least := s.metadata.longest <= leastMetadata
		if err != nil && !least {
			s.metadata.longest /= 2
		}
		longest := s.metadata.longest
		s.mu.Unlock()
		switch {
		case err == nil:
			return tooLong()
		case least:
			return fmt.Errorf("%w: expected brokers that take %d bytes with an offset, found that they take fewer "+
				"(%s, by default 4096): %w",
				ErrCommitMetadata, leastMetadata+len(metadataMark), metadataSetting, err)
		}
		s.config.log().Info("kafka: the brokers take shorter metadata with offsets: fewer requests run ahead of the "+
			"first one that is not answered", "group", s.o.Group, "setting", metadataSetting, "bytes", longest)
		if s.o.MetadataLimit != nil {
			s.o.MetadataLimit(longest)
		}
	}
}

// readMetadata tells about the committed offsets of new partitions and the metadata with them: without them records
// could be written twice.
func (s *Consumer) readMetadata(ctx context.Context, client *kgo.Client, partitions map[string][]int32) error {
	stored, err := s.storedOffsets(ctx, client, slices.Collect(maps.Keys(partitions)))
	if err != nil {
		return fmt.Errorf("read what is stored with the offsets of group %s: %w", s.o.Group, err)
	}
	for topic, list := range partitions {
		for _, p := range list {
			at, _ := stored.Lookup(topic, p)
			if at.At < 0 {
				s.o.Committed(topic, p, -1, "")
				continue
			}
			metadata, ours := strings.CutPrefix(at.Metadata, metadataMark)
			if !ours {
				metadata = ""
			}
			s.o.Committed(topic, p, at.At, strings.TrimRight(metadata, " "))
		}
	}
	return nil
}

func (s *Consumer) storedOffsets(ctx context.Context, client *kgo.Client, topics []string) (kadm.OffsetResponses,
	error) {
	stored, err := kadm.NewClient(client).FetchOffsetsForTopics(ctx, s.o.Group, topics...)
	if err == nil {
		err = stored.Error()
	}
	return stored, err
}
