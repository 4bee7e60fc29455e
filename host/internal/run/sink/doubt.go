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
func (w *writing) doubt(row uint32, why error) {
	w.tries[row].doubt = &inDoubt{failure: w.task.unsure(w.batch.items[row], why)}
}

// takeOverDoubts notes the doubts about rows of records that an earlier run left in doubt, and gives the hints by which
// they are checked.
func (w *writing) takeOverDoubts(rows []uint32) (hints []wit.Hint) {
	for n, row := range rows {
		i := w.batch.items[row]
		why := w.task.o.InDoubt.why(i.record)
		if why == nil {
			continue
		}
		w.tries[row].doubt = &inDoubt{failure: &recordError{item: i, err: why, uncertain: true,
			stage: "it may have been written or not by a task that failed, and is not sent again"}, inherited: true}
		w.tries[row].hint = w.task.o.InDoubt.hint(i.record)
		hints = append(hints, wit.Hint{Row: uint32(n), Text: w.tries[row].hint})
	}
	return hints
}

// repeatMoved takes records out of doubt that may have been written by a worker whose metadata are not about this log
// ([Task.committed]), where all that is sent for them may be sent twice: for these nobody need look.
func (w *writing) repeatMoved() error {
	var rows []uint32
	for _, row := range w.rows {
		if w.task.o.InDoubt.moved(w.batch.items[row].record) {
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
	o := w.task.plugin.Opened()
	d, err := w.made(&o, rows, hints, true)
	if errors.As(err, new(*plugin.Trap)) { // the row is found when they are checked
		return nil
	}
	once := map[*item]bool{}
	for i := range d.Rejected {
		if f := &d.Rejected[i]; ofAllRows(&f.Error) { // also by what an earlier run knew, which only checks are told
			once[w.batch.items[rows[f.RowIndex]]] = true
		}
	}
	for _, ready := range d.Ready {
		for _, row := range ready.Rows {
			i := w.batch.items[rows[row]]
			once[i] = once[i] || !ready.Request.Repeatable
		}
	}
	for _, row := range rows {
		if i := w.batch.items[row]; err == nil && !once[i] {
			w.task.o.InDoubt.resolve(idOf(i.record))
			w.task.account.apply(doubtLookedAt{[]*item{i}})
			w.task.account.apply(doubtChanged{i})
		}
	}
	return err
}

// onlyReads returns a delivery that encode made; where it would write rows in doubt, [writing.noCheck] of each of them
// in its place. Where it would write others with them it fails by the first one: the others, left out, would come after
// later rows of their keys.
func (w *writing) onlyReads(j job) (jobs []job, err error) {
	inDoubt := slices.DeleteFunc(slices.Clone(j.rows), func(row uint32) bool { return w.tries[row].doubt == nil })
	if j.reads() || len(inDoubt) == 0 {
		return []job{j}, nil
	}
	reason := errors.New("the plugin wants to send " + cmp.Or(j.Request.Method, "a request without a method") +
		" as the check: expected GET or HEAD")
	for _, row := range inDoubt {
		jobs = append(jobs, w.noCheck(row, reason))
	}
	if len(inDoubt) < len(j.rows) {
		return nil, jobs[0].noCheck.failure
	}
	return jobs, nil
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

// giveUpChecks leaves rows in doubt. Rows that an earlier run left go to o.doubt; the error is that of the first other
// one, nil if there is none.
func (w *writing) giveUpChecks(o *outcome, rows []uint32) (failure error) {
	for _, row := range rows {
		if d := w.tries[row].doubt; d.inherited {
			w.task.account.apply(doubtLookedAt{w.batch.items[row : row+1]})
			o.doubtful(d.failure)
		} else if goesFirst(d.failure, failure) {
			failure = d.failure
		}
	}
	return failure
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
	w.task.o.InDoubt.resolve(idOf(item.record))
	w.task.account.apply(doubtChanged{item}) // its metadata says so no more
}

// stillInDoubt decides about a row in doubt whose check did not say. again: it is checked once more.
func (w *writing) stillInDoubt(o *outcome, row uint32, f *wit.Error, retryable bool) (again bool, err error) {
	t := w.task
	t.count.faults.Add()
	if w.another(row, f) && retryable && w.task.run.stopping.Err() == nil {
		t.o.Metrics.Retries.Add(1)
		task.LogRetry(t.log, t.o.Client, "row in doubt to be checked again", "record", w.batch.items[row].String(),
			"error", f)
		return true, nil
	}
	return false, w.leftInDoubt(o, row, f)
}

// leftInDoubt has the task fail by a row in doubt that cannot be checked: at once, which the error says, or, where an
// earlier run left it in doubt, when all others of its kind were looked at.
func (w *writing) leftInDoubt(o *outcome, row uint32, reason error) error {
	d := w.tries[row].doubt.because(reason)
	if !d.inherited {
		return d.failure
	}
	w.task.account.apply(doubtLookedAt{w.batch.items[row : row+1]})
	o.doubtful(d.failure)
	return nil
}

// checks reports whether a hint has a row checked.
func checks(hint string) bool {
	word, _, _ := strings.Cut(hint, " ")
	return word == wit.HintUncertain
}

// afterCheck decides about a row in doubt whose check was answered with `again`. `again` without a fault and with any
// hint but `uncertain`, also none, says that the row was not written: it is encoded again.
func (w *writing) afterCheck(o *outcome, row uint32, r *wit.Retry) (again bool, err error) {
	if r.Error != nil {
		return w.stillInDoubt(o, row, r.Error, true)
	}
	if again, err = w.mayRepeat(row, r); err != nil {
		return false, w.leftInDoubt(o, row, err)
	}
	if !checks(r.Hint) {
		w.resolved(row)
	}
	return again, nil
}
