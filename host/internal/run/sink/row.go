package sink

import (
	"fmt"
	"time"

	"github.com/culvert-project/culvert/host/internal/run/task"
	"github.com/culvert-project/culvert/host/transport"
	"github.com/culvert-project/culvert/wit"
)

// settled notes that a row is done with; once: written by a request that must not be sent twice.
func (w *writing) settled(o *outcome, row uint32, once bool) {
	o.due = append(o.due, w.task.account.apply(rowsSettled{w.batch.items[row : row+1], once}).items...)
}

// refuse has a row that cannot be written settled with its record's dead letter where such rows are tolerated; else the
// task fails when all that was read before is settled.
func (w *writing) refuse(o *outcome, row uint32, stage task.ErrorStage, fault error) {
	err := w.task.refuse(o, w.batch.items[row], int(w.batch.origins.IDs[row].Part), stage, fault)
	if err == nil {
		return
	}
	if o.bad == nil || o.bad.before(w, row) {
		o.bad = &badRecord{w, row, err}
	}
}

// fault is one of a delivery's rows together: it names the first one, and how many more.
func (w *writing) fault(rows []uint32, stage string, err error) error {
	if len(rows) == 0 {
		return fmt.Errorf("no row: %s: %w", stage, err)
	}
	return &recordError{item: w.batch.items[rows[0]], more: len(rows) - 1, stage: stage, err: err}
}

// maxAgain is how often a row may be encoded again without a fault.
const maxAgain = 16

// mayRepeat tells whether a row is to be encoded again without a fault.
func (w *writing) mayRepeat(row uint32, r *wit.Retry) (bool, error) {
	if w.tries[row].again++; w.tries[row].again > maxAgain {
		return false, &recordError{item: w.batch.items[row], stage: "write",
			err: fmt.Errorf("the plugin wants to write it again for the %dth time, last with the hint %q", maxAgain+1,
				r.Hint)}
	}
	return true, nil
}

// another counts an attempt that failed, and tells whether there is to be one more: as often as the client's settings
// say, and beyond that for as long as those of the task allow where the fault may be gone the next time.
func (w *writing) another(row uint32, f *wit.Error) bool {
	tried := &w.tries[row]
	if tried.attempts == 0 {
		tried.since = time.Now()
	}
	tried.attempts++
	retry := w.task.o.Client.Retry()
	return tried.attempts <= retry.Times() || retryable(f, retry) && w.task.o.Retry.Allows(time.Since(tried.since))
}

// ofAllRows tells whether a fault is none of the row's: the next one would fare no better.
func ofAllRows(f *wit.Error) bool {
	return f.Kind == wit.ErrorUnauthorized || f.Kind == wit.ErrorConfig || f.Kind == wit.ErrorIncompatible ||
		f.Kind == wit.ErrorInternal
}

// retryable tells whether a fault may be gone the next time.
func retryable(f *wit.Error, retry transport.Retry) bool {
	return f.Kind == wit.ErrorTransient || f.Code != nil && retry.Names(*f.Code)
}
