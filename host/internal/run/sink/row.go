package sink

import (
	"fmt"
	"time"

	"github.com/culvert-project/culvert/host/internal/run/task"
	"github.com/culvert-project/culvert/host/transport"
	"github.com/culvert-project/culvert/wit"
)

// settled notes that a row is done with; once: written by a request that must not be sent twice.
func (w *activeBatch) settleRow(o *outcome, row uint32, nonRepeatable bool) {
	o.forDLQ = append(o.forDLQ, w.task.tracker.apply(rowsSettled{w.batch.items[row : row+1], nonRepeatable}).items...)
}

// refuse has a row that cannot be written settled with its record's dead letter where such rows are tolerated; else the
// task fails when all that was read before is settled.
func (w *activeBatch) rejectRow(o *outcome, row uint32, stage task.ErrorStage, fault error) {
	err := w.task.reject(o, w.batch.items[row], int(w.batch.recordIDs.IDs[row].Part), stage, fault)
	if err == nil {
		return
	}
	if o.firstFailure == nil || o.firstFailure.readBefore(w, row) {
		o.firstFailure = &failedRow{w, row, err}
	}
}

// rowsError is one of a delivery's rows together: it names the first one, and how many more.
func (w *activeBatch) rowsError(rows []uint32, stage string, err error) error {
	if len(rows) == 0 {
		return fmt.Errorf("no row: %s: %w", stage, err)
	}
	return &recordError{item: w.batch.items[rows[0]], more: len(rows) - 1, stage: stage, err: err}
}

// maxRepeats is how often a row may be encoded again without a fault.
const maxRepeats = 16

// countRepeat tells whether a row is to be encoded again without a fault.
func (w *activeBatch) countRepeat(row uint32, r *wit.Retry) (bool, error) {
	if w.rowStates[row].repeats++; w.rowStates[row].repeats > maxRepeats {
		return false, &recordError{item: w.batch.items[row], stage: "write",
			err: fmt.Errorf("the plugin wants to write it again for the %dth time, last with the hint %q", maxRepeats+1,
				r.Hint)}
	}
	return true, nil
}

// countFailure counts an attempt that failed, and tells whether there is to be one more: as often as the client's settings
// say, and beyond that for as long as those of the task allow where the fault may be gone the next time.
func (w *activeBatch) countFailure(row uint32, f *wit.Fault) bool {
	state := &w.rowStates[row]
	if state.failures == 0 {
		state.failedSince = time.Now()
	}
	state.failures++
	retry := w.task.o.Client.Retry()
	return state.failures <= retry.Times() || isRetriable(f, retry) && w.task.o.Retry.Allows(time.Since(state.failedSince))
}

// isCallError tells whether a fault is none of the row's: the next one would fare no better.
func isCallError(f *wit.Fault) bool {
	return f.Kind == wit.FaultUnauthorized || f.Kind == wit.FaultConfig || f.Kind == wit.FaultIncompatible ||
		f.Kind == wit.FaultInternal
}

// isRetriable tells whether a fault may be gone the next time.
func isRetriable(f *wit.Fault, retry transport.Retry) bool {
	return f.Kind == wit.FaultTransient || f.Code != nil && retry.Names(*f.Code)
}
