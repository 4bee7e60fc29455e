package sink

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/host/internal/run/task"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/wit"
)

// doubt notes that nobody knows whether a row was written, before anything else is done about it.
func (w *activeBatch) markInDoubt(row uint32, reason error) {
	w.rowStates[row].inDoubt = &inDoubt{failure: w.task.markInDoubt(w.batch.items[row], reason)}
}

// inheritInDoubt notes the doubts about rows of records that an earlier run left in doubt, and gives the hints by which
// they are checked.
func (w *activeBatch) inheritInDoubt(rows []uint32) (hints []wit.Hint) {
	for n, row := range rows {
		i := w.batch.items[row]
		reason := w.task.o.Uncertain.cause(i.record)
		if reason == nil {
			continue
		}
		w.rowStates[row].inDoubt = &inDoubt{failure: &recordError{item: i, err: reason, inDoubt: true,
			stage: "it may have been written or not by a task that failed, and is not sent again"}, inherited: true}
		w.rowStates[row].hint = w.task.o.Uncertain.hint(i.record)
		hints = append(hints, wit.Hint{Row: uint32(n), Text: w.rowStates[row].hint})
	}
	return hints
}

// resolveRepeatable takes records out of doubt that may have been written by a worker whose metadata are not about this log
// ([Task.restorePartition]), where all that is sent for them may be sent twice: for these nobody need look.
func (w *activeBatch) resolveRepeatable() error {
	var rows []uint32
	for _, row := range w.rows {
		if w.task.o.Uncertain.moved(w.batch.items[row].record) {
			rows = append(rows, row)
		}
	}
	if len(rows) == 0 {
		return nil
	}
	hints := make([]wit.Hint, len(rows))
	for n := range hints {
		moved := strings.TrimPrefix(w.task.o.Uncertain.hint(w.batch.items[rows[n]].record), wit.HintUncertain+" ")
		hints[n] = wit.Hint{Row: uint32(n), Text: moved}
	}
	o := w.task.plugin.Opened()
	d, err := w.callEncode(&o, rows, hints, true)
	if errors.As(err, new(*plugin.Trap)) { // the row is found when they are checked
		return nil
	}
	nonRepeatable := map[*item]bool{}
	for i := range d.Refused {
		if f := &d.Refused[i]; isCallError(&f.Fault) { // also by what an earlier run knew, which only checks are told
			nonRepeatable[w.batch.items[rows[f.Origin]]] = true
		}
	}
	for _, ready := range d.Ready {
		for _, row := range ready.Rows {
			i := w.batch.items[rows[row]]
			nonRepeatable[i] = nonRepeatable[i] || !ready.Request.Repeatable
		}
	}
	for _, row := range rows {
		if i := w.batch.items[row]; err == nil && !nonRepeatable[i] {
			w.task.o.Uncertain.resolve(idOf(i.record))
			w.task.tracker.apply(inDoubtChecked{[]*item{i}})
			w.task.tracker.apply(inDoubtChanged{i})
		}
	}
	return err
}

// requireReads returns a delivery that encode made; where it would write rows in doubt, [activeBatch.uncheckable] of each of them
// in its place. Where it would write others with them it fails by the first one: the others, left out, would come after
// later rows of their keys.
func (w *activeBatch) requireReads(j delivery) (jobs []delivery, err error) {
	inDoubt := slices.DeleteFunc(slices.Clone(j.rows), func(row uint32) bool { return w.rowStates[row].inDoubt == nil })
	if j.isRead() || len(inDoubt) == 0 {
		return []delivery{j}, nil
	}
	reason := errors.New("the plugin wants to send " + cmp.Or(j.Request.Method, "a request without a method") +
		" as the check: expected GET or HEAD")
	for _, row := range inDoubt {
		jobs = append(jobs, w.uncheckable(row, reason))
	}
	if len(inDoubt) < len(j.rows) {
		return nil, jobs[0].uncheckable.failure
	}
	return jobs, nil
}

// allInDoubt tells whether all rows of a delivery are in doubt: it checks them, or stands for a check that there is
// none of, and writes nothing.
func (w *activeBatch) allInDoubt(j *delivery) bool {
	return !slices.ContainsFunc(j.rows, func(row uint32) bool { return w.rowStates[row].inDoubt == nil })
}

// uncheckable stands for a row in doubt of which there is no check: where it would be sent, the task fails.
func (w *activeBatch) uncheckable(row uint32, reason error) delivery {
	return delivery{active: w, rows: []uint32{row}, uncheckable: w.rowStates[row].inDoubt.withReason(reason)}
}

// abandonChecks leaves rows in doubt. Rows that an earlier run left go to o.doubt; the error is that of the first other
// one, nil if there is none.
func (w *activeBatch) abandonChecks(o *outcome, rows []uint32) (failure error) {
	for _, row := range rows {
		if d := w.rowStates[row].inDoubt; d.inherited {
			w.task.tracker.apply(inDoubtChecked{w.batch.items[row : row+1]})
			o.addInDoubt(d.failure)
		} else if takesPrecedence(d.failure, failure) {
			failure = d.failure
		}
	}
	return failure
}

// resolve says that somebody knows now whether a row was written.
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
	w.task.o.Uncertain.resolve(idOf(item.record))
	w.task.tracker.apply(inDoubtChanged{item}) // its metadata says so no more
}

// handleInconclusiveCheck decides about a row in doubt whose check did not say. again: it is checked once more.
func (w *activeBatch) handleInconclusiveCheck(o *outcome, row uint32, f *wit.Fault, retryable bool) (retry bool, err error) {
	t := w.task
	t.count.errors.Count()
	if w.countFailure(row, f) && retryable && w.task.run.stopCtx.Err() == nil {
		t.o.Tally.Retries.Add(1)
		task.TriedAgain(t.log, t.o.Client, "row in doubt to be checked again", "record", w.batch.items[row].String(),
			"error", f)
		return true, nil
	}
	return false, w.leaveInDoubt(o, row, f)
}

// leaveInDoubt has the task fail by a row in doubt that cannot be checked: at once, which the error says, or, where an
// earlier run left it in doubt, when all others of its kind were looked at.
func (w *activeBatch) leaveInDoubt(o *outcome, row uint32, reason error) error {
	d := w.rowStates[row].inDoubt.withReason(reason)
	if !d.inherited {
		return d.failure
	}
	w.task.tracker.apply(inDoubtChecked{w.batch.items[row : row+1]})
	o.addInDoubt(d.failure)
	return nil
}

// requestsCheck reports whether a hint has a row checked.
func requestsCheck(hint string) bool {
	word, _, _ := strings.Cut(hint, " ")
	return word == wit.HintUncertain
}

// handleCheckRetry decides about a row in doubt whose check was answered with `again`. `again` without a fault and with any
// hint but `uncertain`, also none, says that the row was not written: it is encoded again.
func (w *activeBatch) handleCheckRetry(o *outcome, row uint32, r *wit.Retry) (retry bool, err error) {
	if r.Fault != nil {
		return w.handleInconclusiveCheck(o, row, r.Fault, true)
	}
	if retry, err = w.countRepeat(row, r); err != nil {
		return false, w.leaveInDoubt(o, row, err)
	}
	if !requestsCheck(r.Hint) {
		w.resolve(row)
	}
	return retry, nil
}
