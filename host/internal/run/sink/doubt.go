package sink

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/culvert-project/culvert/host/internal/run/task"
	"github.com/culvert-project/culvert/wit"
)

// Rows in doubt: a request that must not be sent twice may have arrived, and no answer came, or none that says whether
// they were written. They are encoded with the hint `uncertain`, by which the plugin makes a check of them, a GET or
// HEAD, or refuses them. What the check says settles them or has them written; whatever goes wrong with it leaves them
// in doubt, and the task fails with what was known before.

// inDoubt is the reason why it is not known whether a row was written: its request may have arrived, and no answer
// came, or none that says whether it was written.
type inDoubt struct {
	failure *recordError
	// inherited: an earlier run left the row in doubt: the task fails only after all such rows were looked at, see
	// [outcome].
	inherited bool
}

// because adds why there is no check.
func (d *inDoubt) because(reason error) *inDoubt {
	failure := *d.failure
	failure.err = &unchecked{failure.err, reason}
	return &inDoubt{&failure, d.inherited}
}

// unchecked is why a row is in doubt, and what keeps it so: by the latter alone the task may go on by itself, because a
// check that fails for now is made again by the next start, and a row that nobody can check waits for an operator.
type unchecked struct{ doubt, reason error }

func (u *unchecked) Error() string { return fmt.Sprintf("%v (not checked: %v)", u.doubt, u.reason) }
func (u *unchecked) Unwrap() error { return u.reason }

// doubt notes that nobody knows whether a row was written, before anything else is done about it.
func (w *writing) doubt(row uint32, why error) {
	w.tries[row].doubt = &inDoubt{failure: w.task.unsure(w.batch.items[row], why)}
}

// takeOverDoubts notes the doubts about rows of records that an earlier run left in doubt, and gives the hints by which
// they are checked.
func (w *writing) takeOverDoubts(rows []uint32) (hints []wit.Hint) {
	for n, row := range rows {
		i := w.batch.items[row]
		why := w.task.o.Uncertain.why(i.record)
		if why == nil {
			continue
		}
		w.tries[row].doubt = &inDoubt{failure: &recordError{item: i, err: why, uncertain: true,
			stage: "it may have been written or not by a task that failed, and is not sent again"}, inherited: true}
		w.tries[row].hint = wit.HintUncertain
		hints = append(hints, wit.Hint{Row: uint32(n), Text: wit.HintUncertain})
	}
	return hints
}

// encodeChecks makes deliveries that check rows in doubt. With pause, the first is sent after one: what may have
// arrived may still be at work there.
func (w *writing) encodeChecks(o *outcome, rows []uint32, pause bool) ([]job, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	hints := make([]wit.Hint, len(rows))
	for n, row := range rows {
		w.tries[row].hint = wit.HintUncertain
		hints[n] = wit.Hint{Row: uint32(n), Text: wit.HintUncertain}
	}
	if w.task.run.ends() {
		return nil, w.giveUpChecks(o, rows)
	}
	jobs, err := w.encode(o, rows, hints)
	if err != nil {
		w.task.log.Warn("rows in doubt could not be checked", "error", err)
		return nil, w.giveUpChecks(o, rows)
	}
	if pause && slices.ContainsFunc(jobs, func(j job) bool { return j.noCheck == nil }) {
		if w.task.o.Client.Retry().Wait(w.task.run.stopping, 0) != nil {
			return nil, w.giveUpChecks(o, rows)
		}
	}
	return jobs, nil
}

// giveUpChecks leaves rows in doubt. Rows that an earlier run left go to o.doubt; the error is that of the first other
// one, nil if there is none.
func (w *writing) giveUpChecks(o *outcome, rows []uint32) (failure error) {
	for _, row := range rows {
		if d := w.tries[row].doubt; d.inherited {
			w.task.account.apply(doubtLookedAt{w.batch.items[row : row+1]})
			o.doubtful(d.failure)
		} else if earlier(d.failure, failure) {
			failure = d.failure
		}
	}
	return failure
}

// onlyReads returns a delivery that encode made; where it would write a row in doubt, [writing.noCheck] of that row in
// its place.
func (w *writing) onlyReads(j job) job {
	if j.reads() {
		return j
	}
	for _, row := range j.rows {
		if w.tries[row].doubt != nil {
			return w.noCheck(row, errors.New("the plugin wants to send "+
				cmp.Or(j.Request.Method, "a request without a method")+" as the check: expected GET or HEAD"))
		}
	}
	return j
}

// allInDoubt tells whether all rows of a delivery are in doubt: it checks them, or stands for a check that there is
// none of, and writes nothing.
func (w *writing) allInDoubt(j *job) bool {
	return !slices.ContainsFunc(j.rows, func(row uint32) bool { return w.tries[row].doubt == nil })
}

// noCheck stands for a row in doubt of which there is no check: where it would be sent, the task fails.
func (w *writing) noCheck(row uint32, reason error) job {
	return job{of: w, rows: []uint32{row}, noCheck: w.tries[row].doubt.because(reason)}
}

// resolved says that somebody knows now whether a row was written.
func (w *writing) resolved(row uint32) {
	if w.tries[row].doubt == nil {
		return
	}
	w.tries[row].doubt = nil
	item := w.batch.items[row]
	w.task.account.apply(doubtLookedAt{w.batch.items[row : row+1]})
	for other, i := range w.batch.items {
		if i == item && w.tries[other].doubt != nil {
			return
		}
	}
	w.task.o.Uncertain.resolve(idOf(item.record))
	w.task.account.apply(doubtChanged{item}) // its metadata says so no more
}

// stillInDoubt decides about a row in doubt whose check did not say. again: it is checked once more.
func (w *writing) stillInDoubt(o *outcome, row uint32, f *wit.Fault, retryable bool) (again bool, err error) {
	t, d := w.task, w.tries[row].doubt
	t.count.faults.Count()
	if w.another(row, f) && retryable && w.task.run.stopping.Err() == nil {
		t.o.Tally.Retries.Add(1)
		task.TriedAgain(t.log, t.o.Client, "row in doubt to be checked again", "record", w.batch.items[row].String(),
			"error", f)
		return true, nil
	}
	d = d.because(f)
	if d.inherited {
		t.account.apply(doubtLookedAt{w.batch.items[row : row+1]})
		o.doubtful(d.failure)
		return false, nil
	}
	return false, d.failure
}

// afterCheck decides about a row in doubt whose check was answered with `again`. `again` without a fault and with any
// hint but `uncertain`, also none, says that the row was not written: it is encoded again.
func (w *writing) afterCheck(o *outcome, row uint32, r *wit.Retry) (again bool, err error) {
	if r.Fault != nil {
		return w.stillInDoubt(o, row, r.Fault, true)
	}
	if again, err = w.mayRepeat(row, r); err != nil {
		return false, w.tries[row].doubt.because(err).failure
	}
	if r.Hint != wit.HintUncertain {
		w.resolved(row)
	}
	return again, nil
}
