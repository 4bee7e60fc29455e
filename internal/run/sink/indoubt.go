package sink

import (
	"cmp"
	"errors"
	"strings"

	"github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/wit"
)

// markInDoubt marks a row that may have been written. Only a check or an operator decides whether to write it again.
func (a *activeBatch) markInDoubt(row uint32, reason error) {
	a.rowStates[row].inDoubt = &inDoubt{failure: a.task.markInDoubt(a.batch.items[row], reason)}
}

// inheritInDoubt marks rows that an earlier task left in doubt. With the hints the plugin makes checks of them.
func (a *activeBatch) inheritInDoubt(rows []uint32) (hints []wit.Hint) {
	for _, doubt := range a.task.o.InDoubt.search(a.batch.items, rows) {
		if doubt.cause == nil {
			continue
		}
		row := rows[doubt.position]
		item := a.batch.items[row]
		a.rowStates[row].inDoubt = &inDoubt{failure: &recordError{item: item, err: doubt.cause, inDoubt: true,
			stage: "it may have been written or not by a task that failed, and is not sent again"}, inherited: true}
		a.rowStates[row].hint = a.task.o.InDoubt.hint(item.record)
		hints = append(hints, wit.Hint{Row: uint32(doubt.position), Text: a.rowStates[row].hint})
	}
	return hints
}

// resolveRepeatable resolves records that are in doubt only because the metadata are about another log
// ([Task.restorePartition]), if all of their requests are repeatable: these need no check.
func (a *activeBatch) resolveRepeatable() error {
	var rows []uint32
	for _, doubt := range a.task.o.InDoubt.search(a.batch.items, a.rows) {
		if doubt.relocated && !doubt.resending {
			rows = append(rows, a.rows[doubt.position])
		}
	}
	if len(rows) == 0 {
		return nil
	}
	hints := make([]wit.Hint, len(rows))
	for n := range hints {
		// Without the first word the plugin returns the request that writes the row, not a check.
		moved := strings.TrimPrefix(a.task.o.InDoubt.hint(a.batch.items[rows[n]].record), wit.HintUncertain+" ")
		hints[n] = wit.Hint{Row: uint32(n), Text: moved}
	}
	encoded, err := a.callEncode(a.task.plugin.Opened(), rows, hints, maySwitch)
	if encoded.trapped { // encoding the checks of these rows finds the one that traps
		return nil
	}
	nonRepeatable := map[*item]bool{}
	for i := range encoded.Rejected {
		// What an earlier run has learned, which the hint contains, may be the cause: then the row stays in doubt.
		if f := &encoded.Rejected[i]; isCallError(&f.Error) {
			nonRepeatable[a.batch.items[rows[f.RowIndex]]] = true
		}
	}
	for _, ready := range encoded.Ready {
		for _, row := range ready.Rows {
			i := a.batch.items[rows[row]]
			nonRepeatable[i] = nonRepeatable[i] || !ready.Request.Repeatable
		}
	}
	for _, row := range rows {
		if i := a.batch.items[row]; err == nil && !nonRepeatable[i] {
			a.task.o.InDoubt.resolve(idOf(i.record))
			a.task.tracker.apply(inDoubtChecked{[]*item{i}})
			a.task.tracker.apply(inDoubtChanged{i})
		}
	}
	return err
}

// requireReads returns the delivery unchanged unless it would write rows in doubt: these become uncheckable. If it
// would write other rows with them, the task fails, because those would be sent after later rows of their keys.
func (a *activeBatch) requireReads(planned delivery) (deliveries []delivery, err error) {
	var inDoubt []uint32
	for _, row := range planned.rows {
		if a.rowStates[row].inDoubt != nil {
			inDoubt = append(inDoubt, row)
		}
	}
	if planned.isRead() || len(inDoubt) == 0 {
		return []delivery{planned}, nil
	}
	reason := errors.New("the plugin returned " + cmp.Or(planned.Request.Method, "a request without a method") +
		" as the check: expected GET or HEAD")
	for _, row := range inDoubt {
		deliveries = append(deliveries, a.uncheckable(row, reason))
	}
	if len(inDoubt) < len(planned.rows) {
		return nil, deliveries[0].uncheckable.failure
	}
	return deliveries, nil
}

// uncheckable returns a placeholder for a row in doubt that cannot be checked: when it would be sent, the task fails.
func (a *activeBatch) uncheckable(row uint32, reason error) delivery {
	return delivery{active: a, rows: []uint32{row}, items: a.batch.items[row : row+1],
		uncheckable: a.rowStates[row].inDoubt.withReason(reason)}
}

// abandonChecks leaves rows in doubt. It returns the first error of this run's rows, and adds earlier runs' to out.
func (a *activeBatch) abandonChecks(out *outcome, rows []uint32) (failure error) {
	for _, row := range rows {
		if d := a.rowStates[row].inDoubt; d.inherited {
			a.task.tracker.apply(inDoubtChecked{a.batch.items[row : row+1]})
			out.addInDoubt(d.failure)
		} else if takesPrecedence(d.failure, failure) {
			failure = d.failure
		}
	}
	return failure
}

// resolve ends the doubt about a row, and about its record if no other row of that is in doubt.
func (a *activeBatch) resolve(row uint32) {
	if a.rowStates[row].inDoubt == nil {
		return
	}
	a.rowStates[row].inDoubt = nil
	item := a.batch.items[row]
	a.task.tracker.apply(inDoubtChecked{a.batch.items[row : row+1]})
	for other, i := range a.batch.items {
		if i == item && a.rowStates[other].inDoubt != nil {
			return
		}
	}
	a.task.o.InDoubt.resolve(idOf(item.record))
	a.task.tracker.apply(inDoubtChanged{item})
}

// handleInconclusiveCheck decides about a check that has neither settled the row nor shown that it was not written.
func (a *activeBatch) handleInconclusiveCheck(out *outcome, row uint32, pluginErr *wit.Error,
	retryable bool) (retry bool, err error) {
	t := a.task
	t.count.errors.Add()
	if retryable && t.countFailure(&a.rowStates[row].failures, true) && t.run.stopCtx.Err() == nil {
		t.o.Metrics.Retries.Add(1)
		task.LogRetry(t.log, t.o.Client, "the row in doubt is checked again", "record", a.batch.items[row].String(),
			"error", pluginErr)
		return true, nil
	}
	return false, a.leaveInDoubt(out, row, pluginErr)
}

// leaveInDoubt fails the task by a row that cannot be checked: at once, or if inherited after the other checks.
func (a *activeBatch) leaveInDoubt(out *outcome, row uint32, reason error) error {
	inDoubt := a.rowStates[row].inDoubt.withReason(reason)
	if !inDoubt.inherited {
		return inDoubt.failure
	}
	a.task.tracker.apply(inDoubtChecked{a.batch.items[row : row+1]})
	out.addInDoubt(inDoubt.failure)
	return nil
}

func requestsCheck(hint string) bool {
	word, _, _ := strings.Cut(hint, " ")
	return word == wit.HintUncertain
}

// handleCheckRetry handles the retry of a check. Without error and hint, the row was not written and is encoded again.
func (a *activeBatch) handleCheckRetry(out *outcome, row uint32, r *wit.Retry) (retry bool, err error) {
	if r.Error != nil {
		return a.handleInconclusiveCheck(out, row, r.Error, true)
	}
	if err := a.countRepeat(row, r); err != nil {
		return false, a.leaveInDoubt(out, row, err)
	}
	if !requestsCheck(r.Hint) {
		a.resolve(row)
	}
	return true, nil
}
