package sink

import (
	"errors"
	"fmt"
	"time"

	"github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/wit"
)

// settleRows settles rows that need no request any more. written means that non-repeatable requests have written them.
func (a *activeBatch) settleRows(out *outcome, rows []uint32, written bool) {
	if len(rows) == 0 {
		return
	}
	items := make([]*item, len(rows))
	for n, row := range rows {
		items[n] = a.batch.items[row]
	}
	settled := a.task.tracker.apply(rowsSettled{items: items, written: written})
	out.forDLQ = append(out.forDLQ, settled.items...)
}

func (a *activeBatch) reportWritten(rows []uint32) {
	if written := a.task.o.written; written != nil {
		for _, row := range rows {
			written(a.batch.items[row].record)
		}
	}
}

func (a *activeBatch) rejectRow(out *outcome, row uint32, stage task.ErrorStage, cause error) {
	err := a.task.reject(out, a.batch.items[row], int(a.batch.recordIDs.IDs[row].Part), stage, cause)
	if err == nil {
		return
	}
	if out.firstFailure == nil || out.firstFailure.readBefore(a, row) {
		out.firstFailure = &failedRow{a, row, err}
	}
}

func (a *activeBatch) rowsError(rows []uint32, stage string, err error) error {
	if len(rows) == 0 {
		return fmt.Errorf("no row: %s: %w", stage, err)
	}
	return &recordError{item: a.batch.items[rows[0]], moreRecords: len(rows) - 1, stage: stage, err: err}
}

// maxRepeats bounds how often a row is encoded again without an error, and how often a call opens the plugin again.
const maxRepeats = 16

// countRepeat counts that the plugin wants to write a row again, and fails after maxRepeats times.
func (a *activeBatch) countRepeat(row uint32, r *wit.Retry) error {
	state := &a.rowStates[row]
	state.repeated = append(state.repeated, state.hint)
	if len(state.repeated) > maxRepeats {
		return &recordError{item: a.batch.items[row], stage: "write",
			err: fmt.Errorf("the plugin wants to write it again for the %dth time, last with the hint %q", maxRepeats+1,
				r.Hint)}
	}
	return nil
}

// countFailure counts a failed attempt and reports whether to try again: as often as the client's settings allow, and
// for errors that may pass as long as errors.retry.timeout allows.
func (t *Task) countFailure(count *failureCount, mayPass bool) bool {
	if count.attempts == 0 {
		count.since = time.Now()
	}
	count.attempts++
	retry := t.o.Client.Retry()
	return count.attempts <= retry.Times() || (mayPass && t.o.Retry.Allows(time.Since(count.since)))
}

func isTransient(err error) bool {
	var pluginErr *wit.Error
	return errors.As(err, &pluginErr) && pluginErr.Kind == wit.ErrorTransient
}

// isCallError reports whether an error is not about the row, so that the next row would fail as well.
func isCallError(f *wit.Error) bool {
	return f.Kind == wit.ErrorUnauthorized || f.Kind == wit.ErrorConfig || f.Kind == wit.ErrorIncompatible ||
		f.Kind == wit.ErrorInternal
}

func isRetriable(f *wit.Error, retry transport.Retry) bool {
	return f.Kind == wit.ErrorTransient || (f.Code != nil && retry.Names(*f.Code))
}
