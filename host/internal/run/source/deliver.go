package source

import (
	"context"
	"fmt"

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/run/tracing"
)

// produce is the third stage: it sends and does not wait for answers.
func (f *feed) produce() {
	for c := range f.pipe.shaped {
		if c.err == nil && f.pipe.failed.Err() == nil {
			f.task.count.produce.Start()
			if err := guard.Do(f.task.log, "feed "+f.name+", the stage of producing",
				func() error { return f.produceOne(c) }); err != nil {
				f.pipe.fail(err)
			}
			f.task.count.produce.Stop()
		}
		f.pipe.sent <- c
	}
}

func (f *feed) produceOne(c *chunk) error {
	if c.begins {
		if err := f.pipe.output.Begin(f.pipe.failed); err != nil {
			return fmt.Errorf("%s: %w", c.of.what, err)
		}
	}
	if c.produced.Len() > 0 {
		c.sending = c.of.span.StartChild("produce", tracing.Producer)
		c.sending.SetInt("culvert.records", int64(c.produced.Len()))
	}
	f.pipe.output.Produce(f.pipe.failed, c.produced, c.upTo, c.done)
	end := f.pipe.output.Commit
	switch c.ends {
	case pageContinues:
		return nil
	case pageAborted:
		end = f.pipe.output.Abort
	}
	if err := end(f.pipe.failed); err != nil {
		return fmt.Errorf("%s: %w", c.of.what, err)
	}
	return nil
}

// settle is the last stage: in the order in which chunks were sent it waits until they are acknowledged, and gives them
// back. A chunk that an earlier stage could not handle fails the feed here, when all before it are acknowledged.
func (f *feed) settle() {
	for c := range f.pipe.sent {
		if err := guard.Do(f.task.log, "feed "+f.name+", the stage of settling",
			func() error { return f.settleOne(c) }); err != nil {
			f.pipe.fail(err)
		}
		f.give(c)
	}
}

func (f *feed) settleOne(c *chunk) error {
	if f.pipe.failed.Err() != nil {
		return nil
	}
	if c.err != nil {
		return c.err
	}
	select {
	case s := <-c.settled:
		c.sending.End(s.err)
		if s.err != nil {
			f.task.o.Metrics.LostDeadLetters.Add(int64(c.posted)) // or some of them: nobody says which
			return fmt.Errorf("%s: %w", c.of.what, s.err)
		}
		f.task.count.written.Add(int64(s.records - c.posted))
	case <-f.pipe.failed.Done():
		c.sending.End(context.Cause(f.pipe.failed))
		return nil
	}
	if c.barrier != nil {
		if err := f.pipe.output.Flush(f.pipe.failed); err != nil {
			return fmt.Errorf("store the offset: %w", err)
		}
		close(c.barrier)
	}
	return nil
}
