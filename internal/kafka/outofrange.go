package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/wit"
)

// handleOutOfRange handles a next offset whose records have expired or were truncated. With auto.offset.reset earliest
// or latest it logs an error and resets the offset: to the start of the log if the records have expired (also with
// latest), otherwise as configured. With none it returns an error. It does nothing if the offset is valid by now.
func (c *Consumer) handleOutOfRange(ctx context.Context, topic string, partition int32) error {
	if !c.membership.owns(topic, partition) {
		return nil // kgo fetches lost partitions until it has rejoined
	}
	admin := kadm.NewClient(c.client)
	starts, err := offsetsOf(ctx, admin.ListStartOffsets, topic)
	if err != nil {
		return err
	}
	ends, err := offsetsOf(ctx, admin.ListEndOffsets, topic)
	if err != nil {
		return err
	}
	start := starts[topic][partition]
	end := ends[topic][partition]
	next, ok := c.position(topic, partition)
	if !ok {
		return c.resetUncommitted(ctx, topic, partition, start, end)
	}
	resetTo := start
	missing := ""
	switch {
	case next < start:
		missing = fmt.Sprintf("the records from offset %d to %d have expired or were deleted, and were not read", next,
			start-1)
	case next > end:
		missing = fmt.Sprintf("the next offset is %d, but the partition ends at %d: it has lost records, or the "+
			"topic was deleted and created again", next, end)
		if c.config.Consumer.Reset == "latest" {
			resetTo = end
		}
	default:
		return nil
	}
	switch c.config.Consumer.Reset {
	case "earliest", "latest":
		c.config.log().Error("kafka: records of a sink's topic are missing; it continues as auto.offset.reset "+
			"specifies", "group", c.options.Group, "topic", topic, "partition", partition, "missing", missing,
			"goes_on_at", resetTo)
	default:
		return &wit.Error{Kind: wit.ErrorConfig,
			Message: fmt.Sprintf("group %s, topic %s, partition %d: %s. To continue without them, set "+
				"consumer.override.auto.offset.reset=earliest, or set the offset of this sink (%d to %d)",
				c.options.Group, topic, partition, missing, start, end)}
	}
	c.client.SetOffsets(map[string]map[int32]kgo.EpochOffset{topic: {partition: {Epoch: -1, Offset: resetTo}}})
	return nil
}

// resetUncommitted is handleOutOfRange for a partition without a committed offset, which [kgo.Client.SetOffsets] skips.
// It commits where to continue, since a restarted task would skip newer records with latest, and returns an error, so
// that an operator restarts the task. Partitions that another consumer owns by now are left to it.
func (c *Consumer) resetUncommitted(ctx context.Context, topic string, partition int32, start, end int64) error {
	resetTo := start
	missing := fmt.Sprintf("the records before offset %d have expired or were deleted, and may not have been read",
		start)
	if start == 0 { // nothing has expired, so the offset is after the end
		missing = fmt.Sprintf("the partition now ends at %d: it has lost records, or the topic was deleted and "+
			"created again", end)
		if c.config.Consumer.Reset == "latest" {
			resetTo = end
		}
	}
	switch err := c.commitOnce(ctx, Offsets{topic: {partition: {Epoch: -1, Offset: resetTo}}}, nil); {
	case errors.Is(err, errNothingToCommit):
		return nil
	case err != nil:
		return fmt.Errorf("group %s, topic %s, partition %d: %s; commit offset %d to continue there: %w",
			c.options.Group, topic, partition, missing, resetTo,
			WithMissingRight(err, "READ", "Group "+c.options.Group))
	}
	return &wit.Error{Kind: wit.ErrorData, Message: fmt.Sprintf("group %s, topic %s, partition %d: nothing was "+
		"committed, and %s. Offset %d is committed now: restart the task to continue there", c.options.Group, topic,
		partition, missing, resetTo)}
}

// position returns the next offset of a partition after its last polled record, or as committed. !ok means neither.
func (c *Consumer) position(topic string, partition int32) (next int64, ok bool) {
	offset, ok := c.client.UncommittedOffsets()[topic][partition]
	if !ok {
		offset, ok = c.client.CommittedOffsets()[topic][partition]
	}
	return offset.Offset, ok && offset.Offset >= 0
}
