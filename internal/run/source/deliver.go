package source

import (
	"context"
	"fmt"

	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/run/tracing"
)

// runProduce is the third stage: it sends chunks without waiting for acknowledgements.
func (f *feed) runProduce() {
	for c := range f.pipeline.converted {
		if c.err == nil && f.pipeline.ctx.Err() == nil {
			f.task.count.produce.Start()
			if err := guard.Do(f.task.log, "feed "+f.name+", the stage of producing",
				func() error { return f.produceOne(c) }); err != nil {
				f.pipeline.fail(err)
			}
			f.task.count.produce.Stop()
		}
		f.pipeline.sent <- c
	}
}

func (f *feed) produceOne(c *chunk) error {
	if c.firstOfPage {
		if err := f.pipeline.output.Begin(f.pipeline.ctx); err != nil {
			return fmt.Errorf("%s: %w", c.origin.request, err)
		}
	}
	if c.produced.Len() > 0 {
		c.sending = c.origin.span.StartChild("produce", tracing.Producer)
		c.sending.SetInt("culvert.records", int64(c.produced.Len()))
	}
	f.pipeline.output.Produce(f.pipeline.ctx, c.produced, c.offsetAfter, c.done)
	end := f.pipeline.output.Commit
	switch c.pageEnd {
	case pageContinues:
		return nil
	case pageAborted:
		end = f.pipeline.output.Abort
	}
	if err := end(f.pipeline.ctx); err != nil {
		return fmt.Errorf("%s: %w", c.origin.request, err)
	}
	return nil
}

// runSettle is the last stage: it waits for the acknowledgements in order and releases the chunks. A chunk that an
// earlier stage failed on fails the feed here, when all before it are acknowledged.
func (f *feed) runSettle() {
	for c := range f.pipeline.sent {
		if err := guard.Do(f.task.log, "feed "+f.name+", the stage of settling",
			func() error { return f.settleOne(c) }); err != nil {
			f.pipeline.fail(err)
		}
		f.releaseChunk(c)
	}
}

func (f *feed) settleOne(c *chunk) error {
	if f.pipeline.ctx.Err() != nil {
		return nil
	}
	if c.err != nil {
		return c.err
	}
	select {
	case s := <-c.settled:
		c.sending.End(s.err)
		if s.err != nil {
			f.task.o.Metrics.LostDeadLetters.Add(int64(c.deadLetterCount)) // possibly only some of them
			return fmt.Errorf("%s: %w", c.origin.request, s.err)
		}
		f.task.count.written.Add(int64(s.records - c.deadLetterCount))
	case <-f.pipeline.ctx.Done():
		c.sending.End(context.Cause(f.pipeline.ctx))
		return nil
	}
	if c.barrier != nil {
		if err := f.pipeline.output.Flush(f.pipeline.ctx); err != nil {
			return fmt.Errorf("store the offset: %w", err)
		}
		close(c.barrier)
	}
	return nil
}
