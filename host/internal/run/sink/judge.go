package sink

import (
	"fmt"
	"time"

	"github.com/culvert-project/culvert/host/internal/run/task"
	"github.com/culvert-project/culvert/host/transport"
	"github.com/culvert-project/culvert/wit"
)

// judging is what verdicts on a delivery's rows come to.
type judging struct {
	*writing
	out    *outcome
	j      *job
	status uint16
	lost   *transport.NoAnswer
	// rows are to be encoded again, with these hints; doubts are to be checked.
	rows, doubts []uint32
	hints        []wit.Hint
	// pause: something has failed, so that rows are sent again after a while; waits: the same of checks. atLeast is how
	// long at least, idle how often a row has come back without progress.
	pause, waits bool
	atLeast      time.Duration
	idle         int
	failure      error
}

// judge does what the verdicts say: of all rows, before the first one that failed is returned. What is written stays
// settled, and what is uncertain is noted, whatever became of the other rows.
func (w *writing) judge(o *outcome, j *job, verdicts []wit.RowResult, response wit.Response,
	lost *transport.NoAnswer) ([]job, error) {
	t := w.task
	g := &judging{writing: w, out: o, j: j, status: response.Status, lost: lost}
	written := int64(0)
	for n, v := range verdicts {
		if g.row(j.rows[n], v); v.Written != nil {
			written++
		}
	}
	t.count.written.Add(written)
	if g.failed(t.bury(o)); g.failure == nil {
		t.count.again.Add(int64(len(g.rows)))
		g.failed(g.wait(transport.RetryAfter(response)))
	}
	if g.failure != nil {
		g.failed(w.giveUpChecks(o, g.doubts))
		return nil, g.failure
	}
	jobs, err := w.encodeChecks(o, g.doubts, g.waits)
	if err != nil || len(g.rows) == 0 {
		return jobs, err
	}
	others, err := w.encode(o, g.rows, g.hints)
	return append(jobs, others...), err
}

// row does what the verdict on a row says.
func (g *judging) row(row uint32, v wit.RowResult) {
	tried := &g.tries[row]
	switch {
	case v.Written != nil:
		once := !g.j.Request.Repeatable || tried.doubt != nil
		g.settled(g.out, row, once) // first: metadata that are made meanwhile say the one or the other of it
		g.resolved(row)
	case v.Rejected != nil && tried.doubt != nil:
		again, err := g.stillInDoubt(g.out, row, v.Rejected, retryable(v.Rejected, g.task.o.Client.Retry()))
		if !g.failed(err) && again {
			g.doubts, g.waits = append(g.doubts, row), true
		}
	case v.Rejected != nil:
		if again, err := g.refused(g.out, g.j, row, v.Rejected, g.status, g.lost); !g.failed(err) && again {
			g.rows, g.pause, tried.hint = append(g.rows, row), true, ""
		}
		if tried.doubt != nil {
			g.doubts, g.waits = append(g.doubts, row), true
		}
	case v.Retry != nil:
		g.again(row, v.Retry)
	}
}

// again has a row encoded or checked once more, where that is allowed.
func (g *judging) again(row uint32, r *wit.Retry) {
	tried := &g.tries[row]
	checked := tried.doubt != nil
	var ok bool
	var err error
	if checked {
		ok, err = g.afterCheck(g.out, row, r)
	} else {
		if checks(r.Hint) && !g.j.Request.Repeatable {
			g.doubt(row, fmt.Errorf("the plugin does not know whether %s %s, answered %d, has written it",
				g.j.Request.Method, transport.ShownTarget(g.j.Request.Target), g.status))
		}
		ok, err = g.encodedAgain(g.out, row, r, g.lost)
	}
	if g.failed(err) || !ok {
		return
	}
	g.atLeast = max(g.atLeast, time.Duration(r.WaitMs)*time.Millisecond)
	if tried.doubt != nil {
		// A check that has not found the row goes on at once, maxAgain times at most.
		g.doubts, g.waits = append(g.doubts, row), g.waits || !checked || r.Error != nil
		return
	}
	if !checked {
		g.idle = max(g.idle, g.fruitless(row, r))
	}
	tried.hint = r.Hint
	g.hints = append(g.hints, wit.Hint{Row: uint32(len(g.rows)), Text: r.Hint})
	g.rows, g.pause = append(g.rows, row), g.pause || r.Error != nil
}

// failed takes a fault; of several, that of the first record.
func (g *judging) failed(err error) bool {
	if err != nil && goesFirst(err, g.failure) {
		g.failure = err
	}
	return err != nil
}

// maxAgainWait is how long a verdict can keep a row from being encoded again.
const maxAgainWait = time.Minute

// wait waits before rows are sent again, as long as verdicts, settings and the answer want.
func (g *judging) wait(asked time.Duration) error {
	stopping, least := g.task.run.stopping, min(g.atLeast, maxAgainWait)
	switch {
	case g.pause:
		return g.task.o.Client.Retry().Wait(stopping, max(least, asked))
	case g.idle > 0 || least > 0:
		return transport.Idle(stopping, g.idle, least)
	}
	return nil
}

// refused decides about a row that was refused: an error fails the task; again: it is to be sent once more; neither: it
// is settled with its record's dead letter, or in doubt from now on.
func (w *writing) refused(o *outcome, j *job, row uint32, f *wit.Error, status uint16,
	lost *transport.NoAnswer) (again bool, err error) {
	t, item := w.task, w.batch.items[row]
	switch {
	case lost != nil && lost.Status != 0:
		t.count.faults.Add()
		w.doubt(row, lost)
		return false, nil
	case lost != nil:
		// P19: it may have been written. It is neither sent again nor called refused.
		t.count.faults.Add()
		w.doubt(row, fmt.Errorf("%w (%w)", lost, f))
		return false, nil
	case j.retryable(f, status, t.o.Client.Retry()):
		t.count.faults.Add()
		if !w.another(row, f) {
			return false, &recordError{item: item, stage: fmt.Sprintf("tried %d times", w.tries[row].attempts), err: f}
		}
		t.o.Metrics.Retries.Add(1)
		task.LogRetry(t.log, t.o.Client, "row to be written again", "record", item.String(), "error", f)
		return true, nil
	case !j.Request.Repeatable && !proven(f, status):
		t.count.faults.Add()
		w.doubt(row, fmt.Errorf("%s %s was answered %d: %w", j.Request.Method, transport.ShownTarget(j.Request.Target),
			status, f))
		return false, nil
	case ofAllRows(f):
		t.count.faults.Add()
		return false, &recordError{item: item, stage: "write", err: f}
	}
	w.refuse(o, row, task.StageWrite, f)
	return false, nil
}

// proven tells whether an answer shows that a row was not written: by its status, or, in an answer of success, by what
// the plugin read in it. A fault of kind transient is no proof: it says that something is out of order.
func proven(f *wit.Error, status uint16) bool {
	success := status >= 200 && status <= 299
	return wit.IsRejection(status) || success && f.Kind != wit.ErrorTransient
}

// retryable tells whether a refused row is to be sent again. Where requests are not repeatable, a status of HTTP is not
// what says so: only a message code of the service does, or a refusal that is proven.
func (j *job) retryable(f *wit.Error, status uint16, retry transport.Retry) bool {
	if j.Request.Repeatable {
		return retryable(f, retry)
	}
	return f.Code != nil && retry.NamesMessage(*f.Code) || f.Kind == wit.ErrorTransient && proven(f, status)
}

// encodedAgain tells whether a row is to be encoded again; where it was often enough, it is refused. By it the plugin
// says that the row was not written, whatever the status.
func (w *writing) encodedAgain(o *outcome, row uint32, r *wit.Retry, lost *transport.NoAnswer) (bool, error) {
	t, item := w.task, w.batch.items[row]
	if r.Error == nil {
		return w.mayRepeat(row, r)
	}
	t.count.faults.Add()
	if w.another(row, r.Error) {
		t.o.Metrics.Retries.Add(1)
		task.LogRetry(t.log, t.o.Client, "row to be written again", "record", item.String(), "hint", r.Hint, "error",
			r.Error)
		return true, nil
	}
	if lost != nil || retryable(r.Error, t.o.Client.Retry()) {
		return false, &recordError{item: item, stage: fmt.Sprintf("tried %d times", w.tries[row].attempts),
			err: r.Error}
	}
	if ofAllRows(r.Error) {
		return false, &recordError{item: item, stage: "write", err: r.Error}
	}
	w.refuse(o, row, task.StageWrite, r.Error)
	return false, nil
}

// fruitless is how often a row came back without a fault and without progress: a first hint is progress, the same one
// again, or one after another, is not.
func (w *writing) fruitless(row uint32, r *wit.Retry) int {
	tried := &w.tries[row]
	if r.Error != nil || tried.again == 1 && r.Hint != tried.hint {
		return 0
	}
	return tried.again
}
