package sink

import (
	"cmp"
	"context"
	"errors"
	"math"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/run/task"
)

// Replay writes dead letters again, without a consumer group.
type Replay struct {
	// Letters are sorted by topic, partition and offset of their records, one for each record.
	Letters    []task.DeadLetter
	Membership Membership // excludes other replays of the same records
	// Store saves whether each record of Letters is settled, and whether it would be in doubt if the replay ended now.
	// Non-repeatable requests are sent after that.
	Store     func(ctx context.Context, settled, inDoubt []bool) error
	CheckOnly bool              // sends only checks of letters in doubt, and rejects missing rows with [ErrNotWritten]
	Written   func(*kgo.Record) // if not nil, called with the record of each accepted row, concurrently
	DryRun    bool              // sends nothing and settles every row for which the plugin has made a request
}

// ErrNotWritten is the rejection of a row that a check has not found.
var ErrNotWritten = errors.New("the service does not have it")

// Membership is in a group of only one process. It permits sending records without owning their partitions.
type Membership interface {
	// CheckMembership returns nil if no other process can be the member.
	CheckMembership(context.Context) error
	// IsSessionValid reports whether CheckMembership would return nil without a request.
	IsSessionValid() bool
}

// Deliver writes dead letters and returns when all are settled. Options need neither NewConsumer nor CaughtUp.
func Deliver(ctx context.Context, o Options, r Replay) error {
	c := &replayConsumer{Membership: r.Membership, replay: r}
	o.NewConsumer = c.open
	o.Once = true
	o.CaughtUp = func(context.Context) (bool, error) { return c.tracker.unsettled() == 0, nil }
	o.deadLetterOf = map[recordID]task.DeadLetter{}
	o.dryRun = r.DryRun
	o.checkOnly = r.CheckOnly
	o.written = r.Written
	for _, letter := range r.Letters {
		o.deadLetterOf[idOf(letter.Record)] = letter
		c.records = append(c.records, letter.Record)
	}
	c.unpolled = c.records
	t := NewTask(o)
	c.tracker = t.tracker
	err := t.Run(ctx)
	if c.opened { // store what was settled after the last commit, too
		err = cmp.Or(err, c.Commit(context.WithoutCancel(ctx), nil))
	}
	if err == nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// replayConsumer reads dead letters in place of a topic and stores outcomes in place of commits.
type replayConsumer struct {
	Membership
	replay   Replay
	tracker  *offsetTracker
	records  []*kgo.Record
	unpolled []*kgo.Record
	opened   bool // whether the tracker knows the records
}

func (c *replayConsumer) open(_ []string, r kafka.Rebalances) (Consumer, error) {
	partitions := map[string][]int32{}
	inDoubt := map[topicPartition][]offsetRange{}
	firstOffsets := map[topicPartition]int64{}
	for _, letter := range c.replay.Letters {
		tp := idOf(letter.Record).topicPartition()
		offset := letter.Record.Offset
		if _, ok := firstOffsets[tp]; !ok {
			firstOffsets[tp] = offset
			partitions[tp.topic] = append(partitions[tp.topic], tp.partition)
		}
		if letter.InDoubt {
			inDoubt[tp] = append(inDoubt[tp], offsetRange{offset, offset})
		}
	}
	r.Assigned(partitions)
	for tp, next := range firstOffsets {
		r.Committed(tp.topic, tp.partition, next, kafka.CommitMetadata{WrittenFor: next, Verified: true,
			End: math.MaxInt64, Text: metadata{inFlight: mergeRanges(inDoubt[tp])}.encode(next)})
	}
	c.opened = true
	return c, nil
}

// Poll returns all records at once, and later blocks until ctx ends.
func (c *replayConsumer) Poll(ctx context.Context) ([]*kgo.Record, error) {
	if records := c.unpolled; len(records) > 0 {
		c.unpolled = nil
		return records, nil
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

// Commit stores the outcomes.
func (c *replayConsumer) Commit(ctx context.Context, offsets kafka.Offsets) error {
	for topic, partitions := range offsets {
		for partition, committed := range partitions {
			c.tracker.metadata(topic, partition, committed.Offset) // required in each commit, see [commitSucceeded]
		}
	}
	settled, inDoubt := c.tracker.snapshot(c.records)
	return c.replay.Store(ctx, settled, inDoubt)
}

func (c *replayConsumer) Close() {}
