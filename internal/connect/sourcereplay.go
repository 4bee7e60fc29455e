package connect

import (
	"context"
	"log/slog"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/run/source"
	core "github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/wit"
)

// replaySource sends the selected letters of a source in the partition.
func (p *partitionReplay) replaySource(ctx context.Context, t *task, binding *plugin.Binding,
	transforms *chainFactory) error {
	run := t.run
	plan, err := run.callPlan(ctx, binding, 1)
	if err != nil {
		return err
	}
	if len(plan.Tasks) > 0 {
		t.settings = plan.Tasks[0]
	}
	if !p.request.IncludeSuperseded {
		if err := p.watchRows(ctx, t, binding, transforms); err != nil {
			return err
		}
	}
	return p.replayRows(ctx, t, binding, transforms, nil)
}

// watchRows runs transforms and converters without sending, because only they know the keys of the records that the
// selected letters become. Then it reads whether the topics have newer records of these keys.
func (p *partitionReplay) watchRows(ctx context.Context, t *task, binding *plugin.Binding,
	transforms *chainFactory) error {
	trial := &partitionReplay{
		connectorRun: p.connectorRun, reader: p.reader, request: p.request, partition: p.partition, end: p.end,
		result: &ReplayResult{Kept: map[string]int{}}, next: p.next, state: p.state.clone(), index: p.index,
		newer: newSourceNewerRecords(p.connectorRun.clients.kafka, nil), rejected: map[string]bool{},
	}
	trial.request.DryRun = true
	trial.request.notFound = nil
	err := trial.replayRows(ctx, t, binding, transforms, p.newer.watch)
	if err != nil {
		return err
	}
	return p.newer.read(ctx)
}

// replayRows sends the letters of a source. If watch is not nil, it is called with the records that they become.
func (p *partitionReplay) replayRows(ctx context.Context, t *task, binding *plugin.Binding, transforms *chainFactory,
	watch func(l *DeadLetter, topic string, key, value []byte)) error {
	run := t.run
	t.metrics = &core.Metrics{} // of the replay alone
	var delivery delivery
	if p.request.DryRun {
		delivery = t.atLeastOnceDelivery(p.owner())
	} else {
		delivery = t.newDelivery(p.owner(), func(int) []string {
			return []string{run.options.Worker.Text("group.id") + "-" + run.config.Name + "-dlq"}
		})
	}
	defer delivery.close(context.WithoutCancel(ctx))
	options := t.sourceOptions(delivery, binding, transforms)
	options.Tolerance.TolerateAll = true
	options.DeadLetters = t.newSourceDeadLetters(p.request.Topic, withFailureHeaders, binding)
	rejections := &rejections{replay: p}
	headers := options.DeadLetters.Headers
	options.DeadLetters.Headers = func(row source.FailedRow) []kgo.RecordHeader {
		rejections.add(row.ReplayedFrom, row.Err)
		if p.request.DryRun {
			return nil
		}
		return headers(row)
	}
	if p.request.DryRun {
		options.EnsureTopic = nil
		options.Logger = slog.New(slog.DiscardHandler)
		options.NewOutput = func(feed string) (source.Output, error) { // unlike the task's, it does not record topics
			output, err := delivery.output(feed)
			return discardOutput{output}, err
		}
	}
	var previousBatch []core.DeadLetter
	letters := map[string]*DeadLetter{} // of previousBatch, by position
	delivered := map[string]bool{}      // positions of letters of previousBatch
	next := func(ctx context.Context,
		unreadable source.UnreadableReason) (batch []core.DeadLetter, state []wit.OffsetEntry, err error) {
		for i := range previousBatch { // its result is stored now
			position := previousBatch[i].Position
			p.count(position, delivered[position])
		}
		previousBatch = nil
		clear(letters)
		clear(delivered)
		if err := p.checkLock(ctx); err != nil {
			return nil, nil, err
		}
		for len(batch) == 0 {
			deadLetters, err := p.nextBatch(ctx)
			if err != nil || len(deadLetters) == 0 {
				return nil, nil, err
			}
			if !p.request.DryRun {
				if deadLetters, err = p.dropSuperseded(ctx, deadLetters); err != nil {
					return nil, nil, err
				}
			}
			slices.SortStableFunc(deadLetters, func(a, b *DeadLetter) int { return orderOf(a).compare(orderOf(b)) })
			if batch, err = p.readableDeadLetters(ctx, deadLetters, unreadable); err != nil {
				return nil, nil, err
			}
			for _, letter := range deadLetters {
				letters[letter.position().String()] = letter
				p.newer.markSent(letter)
			}
		}
		previousBatch = batch
		return batch, p.state.fields(), nil
	}
	replay := source.Replay{Partition: p.storageKey(), Next: next,
		Delivered: func(position string) { delivered[position] = true }}
	if watch != nil {
		replay.Converted = func(position, topic string, key, value []byte) {
			watch(letters[position], topic, key, value)
		}
	}
	return source.NewTask(options).Replay(ctx, replay)
}

// readableDeadLetters returns the dead letters that can be sent and marks them as done. It counts the others as kept.
func (p *partitionReplay) readableDeadLetters(ctx context.Context, deadLetters []*DeadLetter,
	unreadable source.UnreadableReason) (batch []core.DeadLetter, err error) {
	var settled []*DeadLetter
	for _, deadLetter := range deadLetters {
		replayed := p.replayed(deadLetter)
		replayed.Record.Partition = deadLetter.TargetPartition
		if replayed.IsDocument {
			reason, err := unreadable(ctx, &replayed)
			if err != nil {
				return nil, err
			}
			if reason != "" {
				p.result.Kept[reason]++
				continue
			}
		}
		batch = append(batch, replayed)
		settled = append(settled, deadLetter)
	}
	if !p.request.DryRun {
		if err := p.settleElsewhere(ctx, settled); err != nil {
			return nil, err
		}
	}
	p.markSettled(&p.state, settled)
	return batch, nil
}
