package sink

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/culvert-project/culvert/internal/guard"
)

// Run writes records until ctx ends, or [Task.Finish] is done. Then it waits for requests in flight, commits what is
// settled and returns nil. An error names the record that caused it.
func (t *Task) Run(ctx context.Context) (err error) {
	if t.send, err = parseDecisions(sendSetting, t.o.Send); err != nil {
		return err
	}
	if t.skip, err = parseDecisions(skipSetting, t.o.Skip); err != nil {
		return err
	}
	opened, err := t.plugin.Start(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	t.plugin.Use(opened)
	defer t.plugin.Close()
	defer t.o.Memory.Join()()
	reader, err := t.newBatchReader(ctx)
	if err != nil {
		return err
	}
	// Requests in flight may outlive ctx, but not for long.
	requestCtx, abort := context.WithCancelCause(context.WithoutCancel(ctx))
	defer abort(nil)
	resultCtx, endResults := context.WithCancelCause(context.WithoutCancel(ctx))
	defer endResults(nil)
	startCtx, fail := context.WithCancel(ctx)
	defer fail()
	t.run = &runContext{stopCtx: ctx, startCtx: startCtx, requestCtx: requestCtx, resultCtx: resultCtx, fail: fail}
	// NewConsumer needs t.run: the group's callbacks use it.
	consumer, err := t.o.NewConsumer(opened.topics, t.tracker.rebalances(t.restorePartition))
	if err != nil {
		return err
	}
	defer consumer.Close()
	reader.consumer = consumer
	t.run.consumer = consumer

	// Requests get 3/4 of the stop timeout, the handling of their responses 1/8 more; the last commit follows.
	stop := context.AfterFunc(ctx, func() {
		time.AfterFunc(t.o.StopTimeout*3/4, func() { abort(errStopped) })
		time.AfterFunc(t.o.StopTimeout*7/8, func() { endResults(errStopped) })
	})
	defer stop()
	readCtx, endReading := context.WithCancel(ctx)
	batches := make(chan *batch)
	var reading, committing sync.WaitGroup
	reading.Go(func() { defer close(batches); reader.run(readCtx, batches) })
	commitCtx, endCommits := context.WithCancel(requestCtx)
	committing.Go(func() {
		defer guard.Recover(t.log, "a sink task, its commits", nil, func(p *guard.PanicError) { abort(p) })
		t.commitLoop(commitCtx)
	})

	err = guard.Do(t.log, "a sink task", func() error { return t.writeBatches(batches) })
	// The reader and the commit loop end before the last commit.
	endReading()
	for range batches { // unblocks the batch reader
	}
	reading.Wait()
	endCommits()
	committing.Wait()
	return t.finish(ctx, err)
}

func (t *Task) finish(ctx context.Context, err error) error {
	t.skips.Close()
	finalCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(t.o.StopTimeout/4, time.Second))
	defer cancel()
	commitErr := t.commitFinal(finalCtx)
	err = t.tracker.withCommitted(err)
	if errors.As(err, new(*recordError)) {
		t.o.Metrics.Errors.Add(1)
	}
	t.logSummary()
	if err == nil {
		err = commitErr
	}
	return err
}

func (t *Task) logSummary() {
	p := t.Progress()
	c := t.count
	t.log.Info("sink task ended", "rows", p.Written, "read", p.Read, "deliveries", p.Requests, "batches", p.Batches,
		"ignored", p.Ignored, "skipped", p.Skipped, "again", p.Reencoded,
		slog.Group("at_work", "convert", c.convert.Total(), "transform", c.transform.Total(),
			"encode", c.encode.Total(), "send", c.send.Total(), "settle", c.settle.Total()))
}

var errStopped = errors.New("the stop took too long")

func (t *Task) writeBatches(batches <-chan *batch) error {
	d := newDispatcher(t)
	err := d.run(batches)
	if errors.Is(err, errDone) {
		return nil
	}
	if err == nil {
		err = d.inDoubtErr // the stop came before all records in doubt were found
	}
	if isInDoubt(err) {
		if names, resent := t.o.InDoubt.names(); len(names) > 0 {
			err = &inDoubtError{err, names, resent}
		}
	}
	if t.run.stopCtx.Err() != nil && !errors.As(err, new(*recordError)) {
		return nil // the error results from the stop
	}
	return err
}
