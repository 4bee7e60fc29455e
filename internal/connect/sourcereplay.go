package connect

import (
	"context"
	"log/slog"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/run/source"
	core "github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/wit"
)

// sendToTopics sends the selected letters of a source.
func (c *connectorReplay) sendToTopics(ctx context.Context, t *task, binding *plugin.Binding,
	transforms *chainFactory) error {
	plan, err := c.run.callPlan(ctx, binding, 1)
	if err != nil {
		return err
	}
	if len(plan.Tasks) > 0 {
		t.settings = plan.Tasks[0]
	}
	for _, partition := range slices.Sorted(maps.Keys(c.partitions)) {
		p := c.partitions[partition]
		if !c.request.IncludeSuperseded {
			if err := p.watchRows(ctx, t, binding, transforms); err != nil {
				return err
			}
		}
		if err := p.sendRows(ctx, t, binding, transforms, nil); err != nil {
			return err
		}
	}
	return nil
}

// watchRows runs transforms and converters without sending, because only they know the keys of the records that the
// selected letters become. Then it reads whether the topics have newer records of these keys.
func (p *partitionReplay) watchRows(ctx context.Context, t *task, binding *plugin.Binding,
	transforms *chainFactory) error {
	dry := *p.connectorReplay
	dry.request.DryRun = true
	dry.request.notFound = nil
	dry.request.running = new(runningReplay)
	dry.result = &ReplayResult{Kept: map[string]int{}}
	dry.rejections = newRejections(p.run, dry.result)
	dry.newer = newSourceNewerRecords(p.run.clients.kafka, nil)
	dry.partitions = map[int32]*partitionReplay{}
	for partition, other := range p.partitions {
		trial := *other
		trial.connectorReplay = &dry
		trial.state = other.state.clone()
		dry.partitions[partition] = &trial
	}
	if err := dry.partitions[p.partition].sendRows(ctx, t, binding, transforms, p.newer.watch); err != nil {
		return err
	}
	return p.newer.read(ctx)
}

// sendRows sends the letters of the partition. If watch is not nil, it is called with the records that they become.
func (p *partitionReplay) sendRows(ctx context.Context, t *task, binding *plugin.Binding, transforms *chainFactory,
	watch func(l *DeadLetter, topic string, key, value []byte)) error {
	run := p.run
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
		options.NewOutput = func(feed string) (source.Output, error) { // unlike the task's, it does not record topics
			output, err := delivery.output(feed)
			return discardOutput{output}, err
		}
	}
	var sent map[string]*DeadLetter // the letters of the last batch by position
	delivered := map[string]bool{}  // positions among them
	replay := source.Replay{Partition: p.storageKey(), Delivered: func(position string) { delivered[position] = true }}
	replay.Next = func(ctx context.Context,
		unreadable source.UnreadableReason) (batch []core.DeadLetter, state []wit.OffsetEntry, err error) {
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
	unreadable source.UnreadableReason) (batch []core.DeadLetter, sent map[string]*DeadLetter, err error) {
	sent = map[string]*DeadLetter{}
	for len(batch) == 0 {
		letters, err := p.nextBatch(ctx)
		if err != nil || len(letters) == 0 {
			return nil, nil, err
		}
		if letters, err = p.dropSuperseded(ctx, letters); err != nil {
			return nil, nil, err
		}
		slices.SortStableFunc(letters, func(a, b *DeadLetter) int { return orderOf(a).compare(orderOf(b)) })
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
