package sink

import (
	"fmt"

	"github.com/culvert-project/culvert/host/internal/run/task"
)

// refuse takes a row that cannot be written where such rows are tolerated, by its place among those of its record: the
// record is due when its other rows are settled. Else it returns the task's fault.
func (t *Task) refuse(o *outcome, i *item, part int, stage task.ErrorStage, err error) error {
	t.count.faults.Add()
	if !t.o.TolerateAll {
		return &recordError{item: i, stage: string(stage), err: err}
	}
	l := FailedRecord{Record: i.record, Failure: task.NewFailure(stage, err)}
	if t.account.apply(rowRefused{i, part, l}).yes {
		o.due = append(o.due, i)
	}
	return nil
}

// bury settles the records that are due, when the brokers have their letters, if there are to be letters.
func (t *Task) bury(o *outcome) error {
	items := o.due
	if o.due = nil; len(items) == 0 {
		return nil
	}
	letters := make([]FailedRecord, len(items))
	for n, i := range items { // nothing else is settled of them
		letters[n] = i.letter(t.o.replayed[idOf(i.record)])
	}
	if t.o.DeadLetters != nil {
		n := int64(len(letters))
		t.o.Metrics.DeadLetters.Add(n)
		if failure := t.o.DeadLetters.Send(t.run.settling, letters); failure != nil {
			t.o.Metrics.LostDeadLetters.Add(n)
			return &recordError{item: items[0], more: len(items) - 1, stage: string(letters[0].Stage),
				err: fmt.Errorf("%w; it stays unwritten, because its dead letter cannot be stored: %w", letters[0].Err,
					failure)}
		}
	}
	for n, i := range items {
		t.count.faults.Skipped.Add(int64(t.account.apply(letterStored{i}).number))
		t.skipped(&letters[n], i)
	}
	return nil
}

// skipped says that a record was left out: by its cause where a letter holds it, else each of them.
func (t *Task) skipped(l *FailedRecord, i *item) {
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
