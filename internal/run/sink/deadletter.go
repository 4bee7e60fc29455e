package sink

import (
	"fmt"

	"github.com/culvert-project/culvert/internal/run/task"
)

// reject rejects a row if such rows are tolerated, by its place among the rows of its record; otherwise it returns the
// task's error.
func (t *Task) reject(o *outcome, i *item, part int, stage task.ErrorStage, err error) error {
	t.count.errors.Add()
	if !t.o.TolerateAll {
		return &recordError{item: i, stage: string(stage), err: err}
	}
	l := FailedRecord{Record: i.record, Failure: task.NewFailure(stage, err)}
	if t.tracker.apply(rowRejected{i, part, l}).ok {
		o.forDLQ = append(o.forDLQ, i)
	}
	return nil
}

// sendToDLQ settles the rejected records once the brokers have their dead letters, if there is a topic for these.
func (t *Task) sendToDLQ(o *outcome) error {
	items := o.forDLQ
	if o.forDLQ = nil; len(items) == 0 {
		return nil
	}
	letters := make([]FailedRecord, len(items))
	for n, i := range items {
		letters[n] = i.failedRecord(t.o.deadLetterOf[idOf(i.record)])
	}
	if t.o.DeadLetters != nil {
		n := int64(len(letters))
		t.o.Metrics.DeadLetters.Add(n)
		if failure := t.o.DeadLetters.Send(t.run.resultCtx, letters); failure != nil {
			t.o.Metrics.LostDeadLetters.Add(n)
			return &recordError{item: items[0], more: len(items) - 1, stage: string(letters[0].Stage),
				err: fmt.Errorf("%w; it is not skipped, because its dead letter cannot be stored: %w", letters[0].Err,
					failure)}
		}
	}
	for n, i := range items {
		t.count.errors.Skipped.Add(int64(t.tracker.apply(deadLetterStored{i}).number))
		t.logSkipped(&letters[n], i)
	}
	return nil
}

func (t *Task) logSkipped(l *FailedRecord, i *item) {
	r := i.record
	t.o.Metrics.Logged.Add(1)
	about := []any{"topic", r.Topic, "partition", r.Partition, "offset", r.Offset}
	more := func() []any { return []any{"timestamp", r.Timestamp.UnixMilli(), "record", i.String()} }
	if t.o.DeadLetters == nil {
		t.o.LogSkipped(t.log, recordSkipped, append(about, "stage", l.Stage, "error", l.Err), more)
		return
	}
	t.skips.Skip(t.log, l.Stage, l.Err, about, more)
}
