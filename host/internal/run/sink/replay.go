package sink

import (
	"cmp"
	"context"
	"math"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/internal/run/task"
	"github.com/culvert-project/culvert/host/kafka"
)

// Replay is records that are delivered once more, without a group.
type Replay struct {
	// Letters are in the order of the topics, partitions and offsets of their records, each of which has one.
	Letters []task.DeadLetter
	// Lock is what nobody else replays the same records during.
	Lock Lock
	// Store keeps which of them are settled, and of which nobody would know it if the process ended now. What must not
	// be sent twice is sent when that is stored.
	Store func(ctx context.Context, settled, sent []bool) error
	// DryRun has nothing sent: what the plugin has made a request of is settled.
	DryRun bool
}

// Lock is the right to send records that no group gives.
type Lock interface {
	// Alive returns nil where nobody else can have it, and Lasts tells that without asking, as of a [Consumer].
	Alive(context.Context) error
	Lasts() bool
}

// Deliver writes records as a task writes those of its group, and returns when all are settled. Options need neither
// NewConsumer nor CaughtUp.
func Deliver(ctx context.Context, o Options, r Replay) error {
	c := &replayed{Lock: r.Lock, replay: r}
	o.NewConsumer, o.Once = c.open, true
	o.CaughtUp = func(context.Context) (bool, error) { return c.account.open() == 0, nil }
	o.replayed, o.dry = map[recordID]task.DeadLetter{}, r.DryRun
	for _, l := range r.Letters {
		o.replayed[idOf(l.Record)] = l
		c.records = append(c.records, l.Record)
	}
	c.left = c.records
	t := NewTask(o)
	c.account = t.account
	err := t.Run(ctx)
	if c.opened { // of what comes at the time of the last commit, too
		err = cmp.Or(err, c.Commit(context.WithoutCancel(ctx), nil))
	}
	if err == nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// replayed is the consumer of what is replayed.
type replayed struct {
	Lock
	replay  Replay
	account *account
	records []*kgo.Record
	left    []*kgo.Record // that were not polled yet
	opened  bool          // before that, nothing is known of the records
}

func (c *replayed) open(_ []string, r kafka.Rebalances) (Consumer, error) {
	partitions, sent := map[string][]int32{}, map[topicPartition][]offsetRange{}
	first := map[topicPartition]int64{}
	for _, l := range c.replay.Letters {
		at, offset := idOf(l.Record).topicPartition(), l.Record.Offset
		if _, known := first[at]; !known {
			first[at] = offset
			partitions[at.topic] = append(partitions[at.topic], at.partition)
		}
		if l.InDoubt {
			sent[at] = append(sent[at], offsetRange{offset, offset})
		}
	}
	r.Assigned(partitions)
	for at, next := range first {
		r.Committed(at.topic, at.partition, next, kafka.CommitMetadata{WrittenFor: next, Verified: true,
			End: math.MaxInt64, Text: metadata{sent: joined(sent[at])}.text(next)})
	}
	c.opened = true
	return c, nil
}

// Poll returns all records at once.
func (c *replayed) Poll(ctx context.Context) ([]*kgo.Record, error) {
	if records := c.left; len(records) > 0 {
		c.left = nil
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
	settled, sent := c.account.standing(c.records)
	return c.replay.Store(ctx, settled, sent)
}

func (c *replayed) Close() {}
