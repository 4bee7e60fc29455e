package source

import (
	"context"
	"fmt"

	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/run/tracing"
)

// runProduce is the third stage: it sends chunks without waiting for acknowledgements.
func (f *feed) runProduce() {
	for chunk := range f.pipeline.converted {
		if chunk.err == nil && f.pipeline.ctx.Err() == nil {
			f.task.count.produce.Start()
			if err := guard.Do(f.task.log, "feed "+f.name+", the stage of producing",
				func() error { return f.produceOne(chunk) }); err != nil {
				f.pipeline.fail(err)
			}
			f.task.count.produce.Stop()
		}
		f.pipeline.sent <- chunk
	}
}

func (f *feed) produceOne(chunk *chunk) error {
	if chunk.firstOfPage {
		if err := f.pipeline.output.Begin(f.pipeline.ctx); err != nil {
			return fmt.Errorf("%s: %w", chunk.origin.request, err)
		}
	}
	if chunk.loadBeginning.Partition != nil {
		if err := f.storeBeginning(chunk); err != nil {
			return fmt.Errorf("store the offset: %w", err)
		}
	}
	if chunk.produced.Len() > 0 {
		chunk.sending = chunk.origin.span.StartChild("produce", tracing.Producer)
		chunk.sending.SetInt("culvert.records", int64(chunk.produced.Len()))
	}
	f.pipeline.output.Produce(f.pipeline.ctx, chunk.produced, chunk.offsetAfter, chunk.done)
	endPage := f.pipeline.output.Commit
	switch chunk.pageEnd {
	case pageContinues:
		return nil
	case pageAborted:
		endPage = f.pipeline.output.Abort
	}
	if err := endPage(f.pipeline.ctx); err != nil {
		return fmt.Errorf("%s: %w", chunk.origin.request, err)
	}
	return nil
}

// runSettle is the last stage: it waits for the acknowledgements in order and releases the chunks. If an earlier stage
// has failed on a chunk, the feed fails here, when all previous chunks are acknowledged.
func (f *feed) runSettle() {
	for chunk := range f.pipeline.sent {
		if err := guard.Do(f.task.log, "feed "+f.name+", the stage of settling",
			func() error { return f.settleOne(chunk) }); err != nil {
			f.pipeline.fail(err)
		}
		f.releaseChunk(chunk)
	}
}

// settleOne waits for the acknowledgement of a chunk. After a failure of the feed it does nothing.
func (f *feed) settleOne(chunk *chunk) error {
	if f.pipeline.ctx.Err() != nil {
		return nil
	}
	if chunk.err != nil {
		return chunk.err
	}
	select {
	case s := <-chunk.settled:
		chunk.sending.End(s.err)
		if s.err != nil {
			// Some of the dead letters may have been written: then this counts too many.
			f.task.o.Metrics.LostDeadLetters.Add(int64(chunk.deadLetterCount))
			return fmt.Errorf("%s: %w", chunk.origin.request, s.err)
		}
		written := s.records - chunk.deadLetterCount
		f.task.count.written.Add(int64(written))
		if written > 0 && chunk.origin.delivered != nil {
			chunk.origin.delivered(chunk.origin.replayed.Position)
		}
	case <-f.pipeline.ctx.Done():
		chunk.sending.End(context.Cause(f.pipeline.ctx))
		return nil
	}
	if chunk.barrier != nil {
		if err := f.pipeline.output.Flush(f.pipeline.ctx); err != nil {
			return fmt.Errorf("store the offset: %w", err)
		}
		close(chunk.barrier)
	}
	return nil
}
