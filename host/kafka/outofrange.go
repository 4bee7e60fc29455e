package kafka

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/wit"
)

// outOfRange decides where a sink goes on whose next offset is not in the log: its records have expired before they
// were read, or the log has become shorter. Kafka's consumer goes to where auto.offset.reset says, with a line of
// information. Here it does so only where auto.offset.reset is set, and logs an error; otherwise what is missing is an
// error that names it. Nothing is decided, and nil returned, where the offset is in the log by now.
//
// Behind expired records the sink goes on with the oldest that is left, also with `latest`, which would skip these too.
func (s *Consumer) outOfRange(ctx context.Context, topic string, partition int32) error {
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
	to, missing := start, ""
	switch {
	case !known: // nothing is committed, and what was to be read first has expired meanwhile
		if s.config.Consumer.Reset == "latest" {
			to = end
		}
	case at < start:
		missing = fmt.Sprintf("the records from offset %d up to %d are no longer there (they have expired or were "+
			"deleted) and were not read", at, start-1)
	case at > end:
		missing = fmt.Sprintf("the next record has offset %d, and the partition ends at %d: it has lost records, or "+
			"the topic was deleted and made anew", at, end)
		if s.config.Consumer.Reset == "latest" {
			to = end
		}
	default:
		return nil
	}
	if missing != "" {
		switch s.config.Consumer.Reset {
		case "earliest", "latest":
			if s.config.Logger != nil {
				s.config.Logger.Error("kafka: records of a sink's topic are missing; it goes on as auto.offset.reset says",
					"group", s.o.Group, "topic", topic, "partition", partition, "missing", missing, "goes_on_at", to)
			}
		default:
			return &wit.Fault{Kind: wit.FaultConfig, Message: fmt.Sprintf("group %s, topic %s, partition %d: %s. To go on "+
				"without them, set consumer.override.auto.offset.reset=earliest, or the offset of this sink (%d to %d)",
				s.o.Group, topic, partition, missing, start, end)}
		}
	}
	s.client.SetOffsets(map[string]map[int32]kgo.EpochOffset{topic: {partition: {Epoch: -1, Offset: to}}})
	return nil
}

// position is the offset of the next record of a partition; false where nothing was read and nothing is committed.
func (s *Consumer) position(topic string, partition int32) (next int64, known bool) {
	at, known := s.client.UncommittedOffsets()[topic][partition]
	if !known {
		at, known = s.client.CommittedOffsets()[topic][partition]
	}
	return at.Offset, known && at.Offset >= 0
}
