package sink

import (
	"fmt"
	"time"

	"github.com/culvert-project/culvert/host/internal/run/task"
	"github.com/culvert-project/culvert/host/transport"
	"github.com/culvert-project/culvert/wit"
)

// resultHandler is what verdicts on a delivery's rows come to.
type resultHandler struct {
	*activeBatch
	out      *outcome
	j        *delivery
	status   uint16
	noAnswer *transport.NoAnswer
	// retryRows are to be encoded again, with these hints; doubts are to be checked.
	retryRows, checkRows []uint32
	retryHints           []wit.Hint
	// backoff: something has failed, so that rows are sent again after a while; waits: the same of checks. atLeast is how
	// long at least, idle how often a row has come back without progress.
	backoff, backoffChecks bool
	minWait                time.Duration
	noProgress             int
	failure                error
}

// handleResults does what the verdicts say: of all rows, before the first one that failed is returned. What is written stays
// settled, and what is uncertain is noted, whatever became of the other rows.
func (w *activeBatch) handleResults(o *outcome, j *delivery, results []wit.Verdict, response wit.Response,
	noAnswer *transport.NoAnswer) ([]delivery, error) {
	t := w.task
	g := &resultHandler{activeBatch: w, out: o, j: j, status: response.Status, noAnswer: noAnswer}
	written := int64(0)
	for n, v := range results {
		if g.handleRow(j.rows[n], v); v.Written != nil {
			written++
		}
	}
	t.count.written.Add(written)
	if g.addFailure(t.sendToDLQ(o)); g.failure == nil {
		t.count.reencoded.Add(int64(len(g.retryRows)))
		g.addFailure(g.wait(transport.RetryAfter(response)))
	}
	if g.failure != nil {
		g.addFailure(w.abandonChecks(o, g.checkRows))
		return nil, g.failure
	}
	jobs, err := w.encodeChecks(o, g.checkRows, g.backoffChecks)
	if err != nil || len(g.retryRows) == 0 {
		return jobs, err
	}
	more, err := w.encodeRows(o, g.retryRows, g.retryHints)
	return append(jobs, more...), err
}

// row does what the verdict on a row says.
func (g *resultHandler) handleRow(row uint32, v wit.Verdict) {
	state := &g.rowStates[row]
	switch {
	case v.Written != nil:
		nonRepeatable := !g.j.Request.Repeatable || state.inDoubt != nil
		g.settleRow(g.out, row, nonRepeatable) // first: metadata that are made meanwhile say the one or the other of it
		g.resolve(row)
	case v.Refused != nil && state.inDoubt != nil:
		retry, err := g.handleInconclusiveCheck(g.out, row, v.Refused, isRetriable(v.Refused, g.task.o.Client.Retry()))
		if !g.addFailure(err) && retry {
			g.checkRows, g.backoffChecks = append(g.checkRows, row), true
		}
	case v.Refused != nil:
		if retry, err := g.handleRejected(g.out, g.j, row, v.Refused, g.status, g.noAnswer); !g.addFailure(err) && retry {
			g.retryRows, g.backoff, state.hint = append(g.retryRows, row), true, ""
		}
		if state.inDoubt != nil {
			g.checkRows, g.backoffChecks = append(g.checkRows, row), true
		}
	case v.Again != nil:
		g.retryRow(row, v.Again)
	}
}

// again has a row encoded or checked once more, where that is allowed.
func (g *resultHandler) retryRow(row uint32, r *wit.Retry) {
	state := &g.rowStates[row]
	checked := state.inDoubt != nil
	var ok bool
	var err error
	if checked {
		ok, err = g.handleCheckRetry(g.out, row, r)
	} else {
		if requestsCheck(r.Hint) && !g.j.Request.Repeatable {
			g.markInDoubt(row, fmt.Errorf("the plugin does not know whether %s %s, answered %d, has written it",
				g.j.Request.Method, transport.ShownTarget(g.j.Request.Target), g.status))
		}
		ok, err = g.shouldReencode(g.out, row, r, g.noAnswer)
	}
	if g.addFailure(err) || !ok {
		return
	}
	g.minWait = max(g.minWait, time.Duration(r.WaitMs)*time.Millisecond)
	if state.inDoubt != nil {
		// A check that has not found the row goes on at once, maxAgain times at most.
		g.checkRows, g.backoffChecks = append(g.checkRows, row), g.backoffChecks || !checked || r.Fault != nil
		return
	}
	if !checked {
		g.noProgress = max(g.noProgress, g.repeatsWithoutProgress(row, r))
	}
	state.hint = r.Hint
	g.retryHints = append(g.retryHints, wit.Hint{Row: uint32(len(g.retryRows)), Text: r.Hint})
	g.retryRows, g.backoff = append(g.retryRows, row), g.backoff || r.Fault != nil
}

// addFailure takes a fault; of several, that of the first record.
func (g *resultHandler) addFailure(err error) bool {
	if err != nil && takesPrecedence(err, g.failure) {
		g.failure = err
	}
	return err != nil
}

// maxRetryWait is how long a verdict can keep a row from being encoded again.
const maxRetryWait = time.Minute

// wait waits before rows are sent again, as long as verdicts, settings and the answer want.
func (g *resultHandler) wait(retryAfter time.Duration) error {
	stopping, least := g.task.run.stopCtx, min(g.minWait, maxRetryWait)
	switch {
	case g.backoff:
		return g.task.o.Client.Retry().Wait(stopping, max(least, retryAfter))
	case g.noProgress > 0 || least > 0:
		return transport.Idle(stopping, g.noProgress, least)
	}
	return nil
}

// refused decides about a row that was refused: an error fails the task; again: it is to be sent once more; neither: it
// is settled with its record's dead letter, or in doubt from now on.
func (w *activeBatch) handleRejected(o *outcome, j *delivery, row uint32, f *wit.Fault, status uint16,
	noAnswer *transport.NoAnswer) (retry bool, err error) {
	t, item := w.task, w.batch.items[row]
	switch {
	case noAnswer != nil && noAnswer.Status != 0:
		t.count.errors.Count()
		w.markInDoubt(row, noAnswer)
		return false, nil
	case noAnswer != nil:
		// P19: it may have been written. It is neither sent again nor called refused.
		t.count.errors.Count()
		w.markInDoubt(row, fmt.Errorf("%w (%w)", noAnswer, f))
		return false, nil
	case j.isRetriable(f, status, t.o.Client.Retry()):
		t.count.errors.Count()
		if !w.countFailure(row, f) {
			return false, &recordError{item: item, stage: fmt.Sprintf("tried %d times", w.rowStates[row].failures), err: f}
		}
		t.o.Tally.Retries.Add(1)
		task.TriedAgain(t.log, t.o.Client, "row to be written again", "record", item.String(), "error", f)
		return true, nil
	case !j.Request.Repeatable && !provesNotWritten(f, status):
		t.count.errors.Count()
		w.markInDoubt(row, fmt.Errorf("%s %s was answered %d: %w", j.Request.Method, transport.ShownTarget(j.Request.Target),
			status, f))
		return false, nil
	case isCallError(f):
		t.count.errors.Count()
		return false, &recordError{item: item, stage: "write", err: f}
	}
	w.rejectRow(o, row, task.AtWrite, f)
	return false, nil
}

// provesNotWritten tells whether an answer shows that a row was not written: by its status, or, in an answer of success, by what
// the plugin read in it. A fault of kind transient is no proof: it says that something is out of order.
func provesNotWritten(f *wit.Fault, status uint16) bool {
	success := status >= 200 && status <= 299
	return wit.Refuses(status) || success && f.Kind != wit.FaultTransient
}

// isRetriable tells whether a refused row is to be sent again. Where requests are not repeatable, a status of HTTP is not
// what says so: only a message code of the service does, or a refusal that is proven.
func (j *delivery) isRetriable(f *wit.Fault, status uint16, retry transport.Retry) bool {
	if j.Request.Repeatable {
		return isRetriable(f, retry)
	}
	return f.Code != nil && retry.NamesMessage(*f.Code) || f.Kind == wit.FaultTransient && provesNotWritten(f, status)
}

// shouldReencode tells whether a row is to be encoded again; where it was often enough, it is refused. By it the plugin
// says that the row was not written, whatever the status.
func (w *activeBatch) shouldReencode(o *outcome, row uint32, r *wit.Retry, noAnswer *transport.NoAnswer) (bool, error) {
	t, item := w.task, w.batch.items[row]
	if r.Fault == nil {
		return w.countRepeat(row, r)
	}
	t.count.errors.Count()
	if w.countFailure(row, r.Fault) {
		t.o.Tally.Retries.Add(1)
		task.TriedAgain(t.log, t.o.Client, "row to be written again", "record", item.String(), "hint", r.Hint, "error",
			r.Fault)
		return true, nil
	}
	if noAnswer != nil || isRetriable(r.Fault, t.o.Client.Retry()) {
		return false, &recordError{item: item, stage: fmt.Sprintf("tried %d times", w.rowStates[row].failures),
			err: r.Fault}
	}
	if isCallError(r.Fault) {
		return false, &recordError{item: item, stage: "write", err: r.Fault}
	}
	w.rejectRow(o, row, task.AtWrite, r.Fault)
	return false, nil
}

// repeatsWithoutProgress is how often a row came back without a fault and without progress: a first hint is progress, the same one
// again, or one after another, is not.
func (w *activeBatch) repeatsWithoutProgress(row uint32, r *wit.Retry) int {
	state := &w.rowStates[row]
	if r.Fault != nil || state.repeats == 1 && r.Hint != state.hint {
		return 0
	}
	return state.repeats
}
