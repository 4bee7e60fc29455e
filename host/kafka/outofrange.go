package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/wit"
)

// outOfRange decides where a sink goes on whose next offset is not in the log: its records have expired before they
// were read, or the log has become shorter. Kafka's consumer goes to where auto.offset.reset says, with a line of
// information. Here it does so only where auto.offset.reset is set, and logs an error; otherwise what is missing is an
// error that names it; where nothing is committed, always ([Consumer.resetUncommitted]). It decides nothing and returns
// nil if the offset is in the log by now, or if this member does not own the partition.
//
// Behind expired records the sink goes on with the oldest that is left, also with `latest`, which would skip these too.
func (s *Consumer) outOfRange(ctx context.Context, topic string, partition int32) error {
	if !s.membership.owns(topic, partition) {
		return nil // kgo still fetches lost partitions until it has joined again
	}
	admin := kadm.NewClient(s.client)
	starts, err := offsetsOf(ctx, admin.ListStartOffsets, topic)
	if err != nil {
		return err
	}
	ends, err := offsetsOf(ctx, admin.ListEndOffsets, topic)
	if err != nil {
		return err
	}
	start, end := starts[topic][partition], ends[topic][partition]
	at, known := s.position(topic, partition)
	if !known {
		return s.resetUncommitted(ctx, topic, partition, start, end)
	}
	to, missing := start, ""
	switch {
	case at < start:
		missing = fmt.Sprintf("the records from offset %d up to %d are no longer there (they have expired or were "+
			"deleted) and were not read", at, start-1)
	case at > end:
		missing = fmt.Sprintf("the next record has offset %d, and the partition ends at %d: it has lost records, or "+
			"the topic was deleted and made again", at, end)
		if s.config.Consumer.Reset == "latest" {
			to = end
		}
	default:
		return nil
	}
	switch s.config.Consumer.Reset {
	case "earliest", "latest":
		s.config.log().Error("kafka: records of a sink's topic are missing; it goes on as auto.offset.reset says",
			"group", s.options.Group, "topic", topic, "partition", partition, "missing", missing, "goes_on_at", to)
	default:
		return &wit.Error{Kind: wit.ErrorConfig, Message: fmt.Sprintf("group %s, topic %s, partition %d: %s. To go on "+
			"without them, set consumer.override.auto.offset.reset=earliest, or the offset of this sink (%d to %d)",
			s.options.Group, topic, partition, missing, start, end)}
	}
	s.client.SetOffsets(map[string]map[int32]kgo.EpochOffset{topic: {partition: {Epoch: -1, Offset: to}}})
	return nil
}

// resetUncommitted is outOfRange where the group has no offset: the partition was to be read from where it began, or
// ended, when the task joined, and that is no longer in the log. The client cannot be set to another offset then
// ([kgo.Client.SetOffsets] skips such partitions) and would fetch nothing more. The offset to go on at is committed,
// and the fault ends the task, which begins there when it is restarted: with `latest` it would else begin after
// records that came since.
func (s *Consumer) resetUncommitted(ctx context.Context, topic string, partition int32, start, end int64) error {
	to, missing := start, fmt.Sprintf("the records before offset %d are no longer there (they have expired or were "+
		"deleted) and may not have been read", start)
	if start == 0 { // nothing has expired: the offset lies after the end
		missing = fmt.Sprintf("the partition ends at %d by now: it has lost records, or the topic was deleted and "+
			"made again", end)
		if s.config.Consumer.Reset == "latest" {
			to = end
		}
	}
	switch err := s.commitOnce(ctx, Offsets{topic: {partition: {Epoch: -1, Offset: to}}}, nil); {
	case errors.Is(err, errNothingToCommit):
		return nil
	case err != nil:
		return fmt.Errorf("group %s, topic %s, partition %d: %s; commit offset %d to go on there: %w", s.options.Group,
			topic,
			partition, missing, to, Lacking(err, "READ", "Group "+s.options.Group))
	}
	return &wit.Error{Kind: wit.ErrorData, Message: fmt.Sprintf("group %s, topic %s, partition %d: nothing was "+
		"committed, and %s. Offset %d is committed now: restart the task to go on there", s.options.Group, topic,
		partition,
		missing, to)}
}

// position is the offset of the next record of a partition; false where nothing was read and nothing is committed.
func (s *Consumer) position(topic string, partition int32) (next int64, known bool) {
	at, known := s.client.UncommittedOffsets()[topic][partition]
	if !known {
		at, known = s.client.CommittedOffsets()[topic][partition]
	}
	return at.Offset, known && at.Offset >= 0
}
