package sink

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/wit"
)

// markInDoubt marks a row that may have been written. Only a check or an operator decides whether to write it again.
func (w *activeBatch) markInDoubt(row uint32, reason error) {
	w.rowStates[row].inDoubt = &inDoubt{failure: w.task.markInDoubt(w.batch.items[row], reason)}
}

// inheritInDoubt marks rows that an earlier task left in doubt. With the hints the plugin makes checks of them.
func (w *activeBatch) inheritInDoubt(rows []uint32) (hints []wit.Hint) {
	for n, row := range rows {
		item := w.batch.items[row]
		reason := w.task.o.InDoubt.cause(item.record)
		if reason == nil {
			continue
		}
		w.rowStates[row].inDoubt = &inDoubt{failure: &recordError{item: item, err: reason, inDoubt: true,
			stage: "it may have been written or not by a task that failed, and is not sent again"}, inherited: true}
		w.rowStates[row].hint = w.task.o.InDoubt.hint(item.record)
		hints = append(hints, wit.Hint{Row: uint32(n), Text: w.rowStates[row].hint})
	}
	return hints
}

// resolveRepeatable resolves records that are in doubt only because the metadata are about another log
// ([Task.restorePartition]), if all of their requests are repeatable: these need no check.
func (w *activeBatch) resolveRepeatable() error {
	var rows []uint32
	for _, row := range w.rows {
		if w.task.o.InDoubt.relocatedInDoubt(w.batch.items[row].record) {
			rows = append(rows, row)
		}
	}
	if len(rows) == 0 {
		return nil
	}
	hints := make([]wit.Hint, len(rows))
	for n := range hints {
		moved := strings.TrimPrefix(w.task.o.InDoubt.hint(w.batch.items[rows[n]].record), wit.HintUncertain+" ")
		hints[n] = wit.Hint{Row: uint32(n), Text: moved}
	}
	encoded, err := w.callEncode(w.task.plugin.Opened(), rows, hints, maySwitch)
	if encoded.trapped { // the checks of these rows find the one that traps
		return nil
	}
	nonRepeatable := map[*item]bool{}
	for i := range encoded.Rejected {
		// possibly due to an earlier run's knowledge, which only checks get
		if f := &encoded.Rejected[i]; isCallError(&f.Error) {
			nonRepeatable[w.batch.items[rows[f.RowIndex]]] = true
		}
	}
	for _, ready := range encoded.Ready {
		for _, row := range ready.Rows {
			i := w.batch.items[rows[row]]
			nonRepeatable[i] = nonRepeatable[i] || !ready.Request.Repeatable
		}
	}
	for _, row := range rows {
		if i := w.batch.items[row]; err == nil && !nonRepeatable[i] {
			w.task.o.InDoubt.resolve(idOf(i.record))
			w.task.tracker.apply(inDoubtChecked{[]*item{i}})
			w.task.tracker.apply(inDoubtChanged{i})
		}
	}
	return err
}

// requireReads returns the delivery unchanged unless it would write rows in doubt: these become uncheckable. If it
// would write other rows with them, the task fails, because those would be sent after later rows of their keys.
func (w *activeBatch) requireReads(planned delivery) (deliveries []delivery, err error) {
	inDoubt := slices.DeleteFunc(slices.Clone(planned.rows),
		func(row uint32) bool { return w.rowStates[row].inDoubt == nil })
	if planned.isRead() || len(inDoubt) == 0 {
		return []delivery{planned}, nil
	}
	reason := errors.New("the plugin returned " + cmp.Or(planned.Request.Method, "a request without a method") +
		" as the check: expected GET or HEAD")
	for _, row := range inDoubt {
		deliveries = append(deliveries, w.uncheckable(row, reason))
	}
	if len(inDoubt) < len(planned.rows) {
		return nil, deliveries[0].uncheckable.failure
	}
	return deliveries, nil
}

func (w *activeBatch) allInDoubt(j *delivery) bool {
	return !slices.ContainsFunc(j.rows, func(row uint32) bool { return w.rowStates[row].inDoubt == nil })
}

// uncheckable returns a placeholder for a row in doubt that cannot be checked: when it would be sent, the task fails.
func (w *activeBatch) uncheckable(row uint32, reason error) delivery {
	return delivery{active: w, rows: []uint32{row}, uncheckable: w.rowStates[row].inDoubt.withReason(reason)}
}

func (w *activeBatch) abandonChecks(out *outcome, rows []uint32) (failure error) {
	for _, row := range rows {
		if d := w.rowStates[row].inDoubt; d.inherited {
			w.task.tracker.apply(inDoubtChecked{w.batch.items[row : row+1]})
			out.addInDoubt(d.failure)
		} else if takesPrecedence(d.failure, failure) {
			failure = d.failure
		}
	}
	return failure
}

func (w *activeBatch) resolve(row uint32) {
	if w.rowStates[row].inDoubt == nil {
		return
	}
	w.rowStates[row].inDoubt = nil
	item := w.batch.items[row]
	w.task.tracker.apply(inDoubtChecked{w.batch.items[row : row+1]})
	for other, i := range w.batch.items {
		if i == item && w.rowStates[other].inDoubt != nil {
			return
		}
	}
	w.task.o.InDoubt.resolve(idOf(item.record))
	w.task.tracker.apply(inDoubtChanged{item})
}

func (w *activeBatch) handleInconclusiveCheck(out *outcome, row uint32, pluginErr *wit.Error,
	retryable bool) (retry bool, err error) {
	t := w.task
	t.count.errors.Add()
	if retryable && t.countFailure(&w.rowStates[row].failures, true) && t.run.stopCtx.Err() == nil {
		t.o.Metrics.Retries.Add(1)
		task.LogRetry(t.log, t.o.Client, "the row in doubt is checked again", "record", w.batch.items[row].String(),
			"error", pluginErr)
		return true, nil
	}
	return false, w.leaveInDoubt(out, row, pluginErr)
}

// leaveInDoubt fails the task by a row that cannot be checked: at once, or if inherited after the other checks.
func (w *activeBatch) leaveInDoubt(out *outcome, row uint32, reason error) error {
	inDoubt := w.rowStates[row].inDoubt.withReason(reason)
	if !inDoubt.inherited {
		return inDoubt.failure
	}
	w.task.tracker.apply(inDoubtChecked{w.batch.items[row : row+1]})
	out.addInDoubt(inDoubt.failure)
	return nil
}

func requestsCheck(hint string) bool {
	word, _, _ := strings.Cut(hint, " ")
	return word == wit.HintUncertain
}

// handleCheckRetry handles a check that the plugin answers with a retry. Without an error and without the hint
// `uncertain`, the row was not written: it is encoded again.
func (w *activeBatch) handleCheckRetry(out *outcome, row uint32, r *wit.Retry) (retry bool, err error) {
	if r.Error != nil {
		return w.handleInconclusiveCheck(out, row, r.Error, true)
	}
	if retry, err = w.countRepeat(row, r); err != nil {
		return false, w.leaveInDoubt(out, row, err)
	}
	if !requestsCheck(r.Hint) {
		w.resolve(row)
	}
	return retry, nil
}
