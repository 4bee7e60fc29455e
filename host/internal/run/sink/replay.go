package sink

import (
	"context"
	"math"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/internal/run/task"
	"github.com/culvert-project/culvert/host/kafka"
)

// Replay is records that are delivered once more, without a group.
type Replay struct {
	// Records are in the order of their topics, partitions and offsets, each of them once.
	Records []*kgo.Record
	// Sent tells of which nobody knows whether an earlier replay has written them.
	Sent []bool
	// Parts are the rows of each that are to be written.
	Parts []task.Parts
	// Turn is what nobody else replays the same records during.
	Turn Turn
	// Store keeps which of them are settled, and of which nobody would know it if the process ended now. What must not
	// be sent twice is sent when that is stored.
	Store func(ctx context.Context, settled, sent []bool) error
	// Dry has nothing sent: what the plugin has made a request of is settled.
	Dry bool
}

// Turn is the right to send records that no group gives.
type Turn interface {
	// Alive returns nil where nobody else can have it, and Lasts tells that without asking, as of a [Consumer].
	Alive(context.Context) error
	Lasts() bool
}

// Deliver writes records as a task writes those of its group, and returns when all are settled. Options need neither
// NewConsumer nor CaughtUp.
func Deliver(ctx context.Context, o Options, r Replay) error {
	c := &replayed{replay: r, records: r.Records}
	o.NewConsumer, o.Once = c.open, true
	o.CaughtUp = func(context.Context) (bool, error) { return c.account.open() == 0, nil }
	o.parts, o.dry = map[recordID]task.Parts{}, r.Dry
	for i, record := range r.Records {
		if parts := r.Parts[i]; !parts.Whole() {
			o.parts[idOf(record)] = parts
		}
	}
	t := NewTask(o)
	c.account = t.account
	err := t.Run(ctx)
	stored := c.Commit(context.WithoutCancel(ctx), nil) // of what comes at the time of the last commit, too
	if err == nil {
		err = stored
	}
	if err == nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// replayed is the consumer of what is replayed.
type replayed struct {
	replay  Replay
	account *account
	records []*kgo.Record // that were not polled yet
}

func (c *replayed) open(_ []string, r kafka.Rebalances) (Consumer, error) {
	partitions, sent := map[string][]int32{}, map[topicPartition][]offsetRange{}
	first := map[topicPartition]int64{}
	for i, record := range c.records {
		at := idOf(record).topicPartition()
		if _, known := first[at]; !known {
			first[at] = record.Offset
			partitions[at.topic] = append(partitions[at.topic], at.partition)
		}
		if c.replay.Sent[i] {
			sent[at] = append(sent[at], offsetRange{record.Offset, record.Offset})
		}
	}
	r.Assigned(partitions)
	for at, next := range first {
		r.Committed(at.topic, at.partition, next, kafka.CommitMetadata{WrittenFor: next, Verified: true,
			End: math.MaxInt64, Text: metadata{sent: joined(sent[at])}.text(next)})
	}
	return c, nil
}

// Poll returns all records at once.
func (c *replayed) Poll(ctx context.Context) ([]*kgo.Record, error) {
	if records := c.records; len(records) > 0 {
		c.records = nil
		return records, nil
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

// Commit stores what the ledger says, in place of metadata.
func (c *replayed) Commit(ctx context.Context, offsets kafka.Offsets) error {
	for topic, partitions := range offsets {
		for partition, at := range partitions {
			c.account.metadata(topic, partition, at.Offset)
		}
	}
	settled, sent := c.account.standing(c.replay.Records)
	return c.replay.Store(ctx, settled, sent)
}

func (c *replayed) Alive(ctx context.Context) error { return c.replay.Turn.Alive(ctx) }

func (c *replayed) Lasts() bool { return c.replay.Turn.Lasts() }

func (c *replayed) Close() {}
