package deadletters

import (
	"context"
	"log/slog"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/run/source"
	"github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/wit"
)

// watchRows runs transforms and converters without sending, because only they know the keys of the records that the
// selected letters become. Then it reads whether the topics have newer records of these keys.
func (p *partitionReplay) watchRows(ctx context.Context) error {
	dry := *p.connectorReplay
	dry.request.DryRun = true
	dry.request.running = new(runningReplay)
	dry.result = &Result{Kept: map[string]int{}}
	dry.rejections = newRejections(p.rejections.redact, dry.result)
	dry.newer = newSourceNewerRecords(p.task.Kafka, nil) // watches no topic, so it finds nothing
	dry.partitions = map[int32]*partitionReplay{}
	for partition, other := range p.partitions {
		trial := *other
		trial.connectorReplay = &dry
		trial.state = other.state.clone()
		dry.partitions[partition] = &trial
	}
	if err := dry.partitions[p.partition].sendRows(ctx, p.newer.watch); err != nil {
		return err
	}
	return p.newer.read(ctx)
}

// sendRows sends the letters of the partition. If watch is not nil, it is called with the records that they become.
func (p *partitionReplay) sendRows(ctx context.Context, watch func(l *Letter, topic string, key, value []byte)) error {
	options, closeDelivery := p.sender.Source(p.owner(), p.request.DryRun)
	defer closeDelivery(context.WithoutCancel(ctx))
	options.Tolerance.TolerateAll = true
	options.DeadLetters = p.sender.Writer.ForSource()
	headers := options.DeadLetters.Headers
	options.DeadLetters.Headers = func(row source.FailedRow) []kgo.RecordHeader {
		p.rejections.add(row.ReplayedFrom, row.Err)
		if p.request.DryRun {
			return nil
		}
		return headers(row)
	}
	if p.request.DryRun {
		options.EnsureTopic = nil
		options.Logger = slog.New(slog.DiscardHandler)
		newOutput := options.NewOutput
		options.NewOutput = func(feed string) (source.Output, error) {
			output, err := newOutput(feed)
			return discardOutput{output}, err
		}
	}
	var sent map[string]*Letter    // the letters of the last batch by position
	delivered := map[string]bool{} // positions among them
	replay := source.Replay{Partition: p.stateKey(), Delivered: func(position string) { delivered[position] = true }}
	replay.Next = func(ctx context.Context,
		unreadable source.UnreadableReason) (batch []task.DeadLetter, state []wit.OffsetEntry, err error) {
		for position := range sent { // the results of the batch are stored now
			p.count(position, delivered[position])
		}
		clear(delivered)
		if err := p.checkLock(ctx); err != nil {
			return nil, nil, err
		}
		batch, sent, err = p.nextRows(ctx, unreadable)
		return batch, p.state.fields(), err
	}
	if watch != nil {
		replay.Converted = func(position, topic string, key, value []byte) {
			watch(sent[position], topic, key, value)
		}
	}
	return source.NewTask(options).Replay(ctx, replay)
}

// nextRows returns the next batch of letters that can be sent, in the order of their rows, and marks them as settled.
// It counts the others as kept.
func (p *partitionReplay) nextRows(ctx context.Context,
	unreadable source.UnreadableReason) (batch []task.DeadLetter, sent map[string]*Letter, err error) {
	sent = map[string]*Letter{}
	for len(batch) == 0 {
		letters, err := p.nextBatch(ctx)
		if err != nil || len(letters) == 0 {
			return nil, nil, err
		}
		if letters, err = p.dropSuperseded(ctx, letters); err != nil {
			return nil, nil, err
		}
		slices.SortStableFunc(letters, func(a, b *Letter) int { return orderOf(a).compare(orderOf(b)) })
		for _, l := range letters {
			replayed := p.replayed(l)
			replayed.Record.Partition = l.TargetPartition
			if replayed.IsDocument {
				reason, err := unreadable(ctx, &replayed)
				if err != nil {
					return nil, nil, err
				}
				if reason != "" {
					p.keep(reason)
					continue
				}
			}
			batch = append(batch, replayed)
			sent[replayed.Position] = l
			p.newer.markSent(l)
		}
	}
	return batch, sent, p.settle(ctx, &p.state, slices.Collect(maps.Values(sent)))
}
