package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/internal/pause"
)

// Where auto.offset.reset says where partitions begin that the group has no offset of, that is decided once, and
// committed before their first record: `latest` decided anew at each start would pass over what came in between, and a
// partition without an offset stands still when what it was to begin with expires.
//
// A partition that was added to a topic which the group reads is read from its beginning, also with `latest`: what is
// in it came after the group began. Kafka's consumer would pass over the records that are written until it sees the
// partition (KAFKA-12478, KIP-1282).

// join finds out which topics the group has offsets of, and then joins it. With the other resets the member joins when
// it is made. While nobody can be reached it goes on asking.
func (s *Consumer) join(ctx context.Context) error {
	stored, err := kadm.NewClient(s.client).FetchOffsets(ctx, s.o.Group)
	for err != nil && passes(err) && pause.For(ctx, time.Second) == nil {
		stored, err = kadm.NewClient(s.client).FetchOffsets(ctx, s.o.Group)
	}
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) { // some brokers say so of a group that has not begun
		return fmt.Errorf("read the offsets of group %s: %w", s.o.Group, Lacking(err, "READ", "Group "+s.o.Group))
	}
	before := map[string]bool{}
	stored.Each(func(o kadm.OffsetResponse) { before[o.Topic] = before[o.Topic] || o.At >= 0 })
	s.mu.Lock()
	s.before, s.counts = before, map[string]int{}
	s.mu.Unlock()
	s.subscribe()
	s.subscribe = nil
	return nil
}

// beginAt commits where new partitions begin that the group has no offset of, as auto.offset.reset says: `earliest` or
// `latest`.
func (s *Consumer) beginAt(ctx context.Context, client *kgo.Client, partitions map[string][]int32) error {
	latest, topics := s.config.Consumer.Reset == "latest", slices.Collect(maps.Keys(partitions))
	stored, err := s.storedOffsets(ctx, client, topics)
	if err != nil {
		return fmt.Errorf("read the offsets of group %s: %w", s.o.Group, err)
	}
	admin := kadm.NewClient(client)
	starts, err := offsetsOf(ctx, admin.ListStartOffsets, topics...)
	if err != nil {
		return err
	}
	ends := starts
	if latest {
		list := admin.ListCommittedOffsets // what an open transaction holds comes when it is committed
		if s.config.Consumer.ReadUncommitted {
			list = admin.ListEndOffsets
		}
		if ends, err = offsetsOf(ctx, list, topics...); err != nil {
			return err
		}
	}
	begin := Offsets{}
	for topic, list := range partitions {
		old := s.old(topic, len(starts[topic]))
		for _, p := range list {
			if at, _ := stored.Lookup(topic, p); at.At >= 0 {
				continue
			}
			to := ends[topic][p]
			if latest && int(p) >= old {
				to = starts[topic][p]
				if s.config.Logger != nil {
					s.config.Logger.Info("kafka: a partition was added since the group began with the topic: it is "+
						"read from its beginning, also with auto.offset.reset=latest",
						"group", s.o.Group, "topic", topic, "partition", p, "offset", to)
				}
			}
			if begin[topic] == nil {
				begin[topic] = map[int32]kgo.EpochOffset{}
			}
			begin[topic][p] = kgo.EpochOffset{Epoch: -1, Offset: to}
		}
	}
	if len(begin) == 0 {
		return nil
	}
	err = s.commitOnce(ctx, begin)
	if forgotten(err) { // it joins anew, and is asked for the partitions that it has then
		return nil
	}
	if err != nil {
		return fmt.Errorf("commit where group %s begins: %w", s.o.Group, err)
	}
	return nil
}

// old is how many partitions a topic had, which has so many now, when the group began with it: all others were added.
// It is 0 where the group has begun before this member joined it: then a partition without an offset was.
func (s *Consumer) old(topic string, count int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.before[topic] || s.counts == nil {
		return 0
	}
	if s.counts[topic] == 0 {
		s.counts[topic] = count
	}
	return s.counts[topic]
}
