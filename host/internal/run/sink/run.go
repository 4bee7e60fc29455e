package sink

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/culvert-project/culvert/host/guard"
)

// Run writes until ctx ends, then waits for what is on its way, commits and returns nil; likewise after [Task.Finish].
// An error is the task's fault and names the record, where it is one's. Offsets of what was settled in order are
// committed then too.
func (t *Task) Run(ctx context.Context) (err error) {
	if t.send, err = parseDecisions(sendSetting, t.o.Send); err != nil {
		return err
	}
	if t.skip, err = parseDecisions(skipSetting, t.o.Skip); err != nil {
		return err
	}
	o, err := t.plugin.Start(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	t.plugin.Use(o)
	defer t.plugin.Close()
	g, err := t.newGatherer(ctx)
	if err != nil {
		return err
	}
	// Requests on their way outlive ctx, but not for ever.
	working, abort := context.WithCancelCause(context.WithoutCancel(ctx))
	defer abort(nil)
	settling, endSettling := context.WithCancelCause(context.WithoutCancel(ctx))
	defer endSettling(nil)
	ending, fail := context.WithCancel(ctx)
	defer fail()
	t.run = &running{stopping: ctx, ending: ending, working: working, settling: settling, fail: fail}
	consumer, err := t.o.NewConsumer(o.topics, t.account.rebalances(t.committed))
	if err != nil {
		return err
	}
	defer consumer.Close()
	g.consumer, t.run.consumer = consumer, consumer

	stop := context.AfterFunc(ctx, func() {
		time.AfterFunc(t.o.StopTimeout*3/4, func() { abort(errStopped) })
		time.AfterFunc(t.o.StopTimeout*7/8, func() { endSettling(errStopped) })
	})
	defer stop()
	gathering, endGathering := context.WithCancel(ctx)
	batches := make(chan *batch)
	var gatherer sync.WaitGroup
	gatherer.Go(func() { defer close(batches); g.run(gathering, batches) })
	committing, endCommits := context.WithCancel(working)
	var committer sync.WaitGroup
	committer.Go(func() {
		defer guard.Recover(t.log, "a sink task, its commits", nil, func(p *guard.Panic) { abort(p) })
		t.commits(committing)
	})

	err = guard.Do(t.log, "a sink task", func() error { return t.deliverAll(batches) })
	endGathering()
	for range batches { // lets the gatherer go
	}
	gatherer.Wait()
	endCommits()
	committer.Wait()
	t.skips.Close()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(t.o.StopTimeout/4, time.Second))
	defer cancel()
	lost := t.commitLast(last)
	err = t.account.upTo(err)
	if errors.As(err, new(*recordError)) {
		t.o.Metrics.Errors.Add(1)
	}
	t.sum()
	if err == nil {
		err = lost
	}
	return err
}

// sum says what the task did and how long each stage was at work.
func (t *Task) sum() {
	p, c := t.Progress(), t.count
	t.log.Info("sink task ended", "rows", p.Written, "read", p.Read, "deliveries", p.Requests, "batches", p.Batches,
		"ignored", p.Ignored, "skipped", p.Skipped, "again", p.Reencoded,
		slog.Group("at_work", "convert", c.convert.Total(),
			"transform", c.transform.Total(), "encode", c.encode.Total(), "send", c.send.Total(), "settle",
			c.settle.Total()))
}

var errStopped = errors.New("the stop took too long")

// deliverAll writes batch after batch.
func (t *Task) deliverAll(batches <-chan *batch) error {
	d := newDispatch(t)
	err := d.run(batches)
	if errors.Is(err, errDone) {
		return nil
	}
	if err == nil {
		err = d.doubt // the stop came before all of them were found
	}
	if isUncertain(err) {
		err = t.o.InDoubt.advised(err)
	}
	return ignoreStop(t.run.stopping, err)
}

// ignoreStop takes what comes of the end of ctx for no fault.
func ignoreStop(ctx context.Context, err error) error {
	var record *recordError
	if ctx.Err() != nil && !errors.As(err, &record) {
		return nil
	}
	return err
}
