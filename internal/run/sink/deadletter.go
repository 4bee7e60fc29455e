package sink

import (
	"fmt"

	"github.com/culvert-project/culvert/internal/run/task"
)

// reject marks a row as rejected, by its place in the record; unless errors are tolerated it returns the task's error.
func (t *Task) reject(out *outcome, item *item, part int, stage task.ErrorStage, err error) error {
	t.count.errors.Add()
	if !t.o.TolerateAll {
		return &recordError{item: item, stage: string(stage), err: err}
	}
	failed := FailedRecord{Record: item.record, Failure: task.NewFailure(stage, err)}
	if t.tracker.apply(rowRejected{item, part, failed}).ok {
		out.forDLQ = append(out.forDLQ, item)
	}
	return nil
}

// sendToDLQ settles rejected records once their dead letters are stored, or at once if there is no topic for them.
func (t *Task) sendToDLQ(out *outcome) error {
	items := out.forDLQ
	out.forDLQ = nil
	if len(items) == 0 {
		return nil
	}
	deadLetters := make([]FailedRecord, len(items))
	for n, i := range items {
		replayed := t.o.deadLetterOf[idOf(i.record)]
		failed := i.rejected.failure
		failed.Rows = replayed.Rows
		failed.Replays = replayed.Replays
		failed.Original = replayed.Original
		failed.ReplayedFrom = replayed.Position
		if !i.rejected.whole {
			failed.Rows = task.NewRowSubset(i.rows, i.rejected.parts)
		}
		deadLetters[n] = failed
	}
	if t.o.DeadLetters != nil {
		n := int64(len(deadLetters))
		t.o.Metrics.DeadLetters.Add(n)
		if failure := t.o.DeadLetters.Send(t.run.resultCtx, deadLetters); failure != nil {
			t.o.Metrics.LostDeadLetters.Add(n)
			return &recordError{item: items[0], moreRecords: len(items) - 1, stage: string(deadLetters[0].Stage),
				err: fmt.Errorf("%w; it is not skipped, because its dead letter cannot be stored: %w",
					deadLetters[0].Err, failure)}
		}
	}
	for n, i := range items {
		t.count.errors.AddRefused(int64(t.tracker.apply(deadLetterStored{i}).number), deadLetters[n].Err)
		t.logSkipped(&deadLetters[n], i)
	}
	return nil
}

func (t *Task) logSkipped(failed *FailedRecord, item *item) {
	r := item.record
	t.o.Metrics.Logged.Add(1)
	attrs := []any{"topic", r.Topic, "partition", r.Partition, "offset", r.Offset}
	details := func() []any { return []any{"timestamp", r.Timestamp.UnixMilli(), "record", item.String()} }
	if t.o.DeadLetters == nil {
		t.o.LogSkipped(t.log, recordSkipped, append(attrs, "stage", failed.Stage, "error", failed.Err), details)
		return
	}
	t.skips.Skip(t.log, failed.Stage, failed.Err, attrs, details)
}
