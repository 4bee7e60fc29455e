package sink

import (
	"fmt"
	"time"

	"github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/wit"
)

// resultHandler handles the results that the plugin has read from a response, one for each row of the delivery.
type resultHandler struct {
	*activeBatch
	out        *outcome
	delivery   *delivery
	status     uint16
	noResponse *transport.NoResponseError
	// retryRows are encoded again with retryHints, checkRows are checked.
	retryRows   []uint32
	checkRows   []uint32
	retryHints  []wit.Hint
	checkTiming checkTiming
	// Repeated rows wait for minWait, and with backoff at least for the client's backoff. noProgress is how often a row
	// was encoded with its new hint before, the maximum over the rows.
	minWait    time.Duration
	backoff    bool
	noProgress int
	isBusy     bool  // the service does not accept a row now, for a reason that may concern others
	failure    error // the one that takes precedence
}

// handleResults applies all results before it returns the first failure: what is written stays settled, and what is in
// doubt is recorded. It returns the deliveries that repeat or check rows.
func (a *activeBatch) handleResults(out *outcome, delivery *delivery, results []wit.RowResult, response wit.Response,
	noResponse *transport.NoResponseError) ([]delivery, error) {
	t := a.task
	handler := &resultHandler{
		activeBatch: a,
		out:         out,
		delivery:    delivery,
		status:      response.Status,
		noResponse:  noResponse,
	}
	var written []uint32
	var checked []uint32 // written, and in doubt until now
	for n, result := range results {
		row := delivery.rows[n]
		switch {
		case noResponse != nil || result.Written == nil: // handled below, after the written rows are settled
		case a.rowStates[row].inDoubt != nil:
			checked = append(checked, row)
		default:
			written = append(written, row)
		}
	}
	t.count.written.Add(int64(len(written) + len(checked)))
	a.reportWritten(written)
	a.reportWritten(checked)
	a.settleRows(out, written, !delivery.Request.Repeatable)
	// Settle before resolve: a commit in between stores the row as settled or in doubt.
	a.settleRows(out, checked, true)
	for _, row := range checked {
		a.resolve(row)
	}
	for n, result := range results {
		if noResponse != nil || result.Written == nil {
			handler.handleUnwritten(delivery.rows[n], result)
		}
	}
	handler.addFailure(t.sendToDLQ(out))
	if handler.failure == nil {
		t.count.reencoded.Add(int64(len(handler.retryRows)))
		handler.addFailure(handler.wait(transport.RetryAfter(response)))
	}
	if handler.failure != nil {
		handler.addFailure(a.abandonChecks(out, handler.checkRows))
		return nil, handler.failure
	}
	deliveries, err := a.encodeChecks(out, handler.checkRows, handler.checkTiming)
	if err != nil || len(handler.retryRows) == 0 {
		return deliveries, err
	}
	more, err := a.encodeRows(out, handler.retryRows, handler.retryHints)
	return append(deliveries, more...), err
}

// handleUnwritten decides about a row that is not known to be written: it is sent again, checked or rejected, or it
// fails the task.
func (h *resultHandler) handleUnwritten(row uint32, result wit.RowResult) {
	state := &h.rowStates[row]
	switch {
	case h.noResponse != nil:
		h.handleNoResponse(row, result.Rejected)
	case result.Rejected != nil && state.inDoubt != nil:
		retry, err := h.handleInconclusiveCheck(h.out, row, result.Rejected,
			isRetriable(result.Rejected, h.task.o.Client.Retry()))
		if !h.addFailure(err) && retry {
			h.checkRows = append(h.checkRows, row)
			h.checkTiming = checkAfterPause
		}
	case result.Rejected != nil:
		retry, err := h.handleRejected(h.out, h.delivery, row, result.Rejected, h.status)
		if !h.addFailure(err) && retry {
			h.retryRows = append(h.retryRows, row)
			h.backoff = true
			h.isBusy = true
			state.hint = "" // it is encoded again without a hint
		}
		if state.inDoubt != nil { // handleRejected has put it in doubt
			h.checkRows = append(h.checkRows, row)
			h.checkTiming = checkAfterPause
		}
	case result.Retry != nil:
		h.retryRow(row, result.Retry)
	}
}

// handleNoResponse handles a row whose request must not be repeated and got no response. It may have been written:
// sending it again could create a second entity (RATIONALE.md P19). So it is checked. rejection may be nil.
func (h *resultHandler) handleNoResponse(row uint32, rejection *wit.Error) {
	if h.rowStates[row].inDoubt != nil {
		reason := &wit.Error{Kind: wit.ErrorTransient, Message: h.noResponse.Error()}
		retry, err := h.handleInconclusiveCheck(h.out, row, reason, true)
		if h.addFailure(err) || !retry {
			return
		}
	} else {
		h.task.count.errors.Add()
		var reason error = h.noResponse
		if h.noResponse.Status == 0 && rejection != nil {
			reason = fmt.Errorf("%w (%w)", h.noResponse, rejection)
		}
		h.markInDoubt(row, reason)
	}
	h.checkRows = append(h.checkRows, row)
	h.checkTiming = checkAfterPause
}

// retryRow handles a row that the plugin wants to write or to check again.
func (h *resultHandler) retryRow(row uint32, r *wit.Retry) {
	state := &h.rowStates[row]
	checked := state.inDoubt != nil
	var retry bool
	var err error
	if checked {
		retry, err = h.handleCheckRetry(h.out, row, r)
	} else {
		if requestsCheck(r.Hint) && !h.delivery.Request.Repeatable {
			h.markInDoubt(row, fmt.Errorf("the plugin cannot tell whether %s %s, answered %d, has written it",
				h.delivery.Request.Method, transport.PrintableTarget(h.delivery.Request.Target), h.status))
		}
		retry, err = h.shouldReencode(h.out, row, r)
	}
	if h.addFailure(err) || !retry {
		return
	}
	h.minWait = max(h.minWait, time.Duration(r.WaitMs)*time.Millisecond)
	if state.inDoubt != nil {
		// A check that has not found the row is repeated at once, maxRepeats times at most.
		h.checkRows = append(h.checkRows, row)
		if !checked || r.Error != nil {
			h.checkTiming = checkAfterPause
		}
		return
	}
	if !checked && r.Error == nil { // a hint that is new to the row is progress: it is sent in another form
		encodings := 0
		for _, earlier := range state.repeated {
			if earlier == r.Hint {
				encodings++
			}
		}
		h.noProgress = max(h.noProgress, encodings)
	}
	state.hint = r.Hint
	h.retryHints = append(h.retryHints, wit.Hint{Row: uint32(len(h.retryRows)), Text: r.Hint})
	h.retryRows = append(h.retryRows, row)
	h.backoff = h.backoff || r.Error != nil
	h.isBusy = h.isBusy || (r.Error != nil && isRetriable(r.Error, h.task.o.Client.Retry()))
}

// addFailure records an error and reports whether it is not nil.
func (h *resultHandler) addFailure(err error) bool {
	if err != nil && takesPrecedence(err, h.failure) {
		h.failure = err
	}
	return err != nil
}

const maxRetryWait = time.Minute

// wait pauses before rows are sent again. Locked rows do not keep rows of other lanes waiting; a service that accepts
// nothing now gets no further requests instead.
func (h *resultHandler) wait(retryAfter time.Duration) error {
	stopCtx := h.task.run.stopCtx
	minWait := min(h.minWait, maxRetryWait)
	if h.backoff && !h.isBusy {
		h.delivery.releaseSlot()
	}
	switch {
	case h.backoff:
		return h.task.o.Client.Retry().Wait(stopCtx, max(minWait, retryAfter))
	case h.noProgress > 0 || minWait > 0:
		return transport.PauseIdle(stopCtx, h.noProgress, minWait)
	}
	return nil
}

// handleRejected decides about a row that the service has rejected. retry sends it again; an error fails the task;
// otherwise the row gets a dead letter or is in doubt. The order of the cases matters.
func (a *activeBatch) handleRejected(out *outcome, delivery *delivery, row uint32, pluginErr *wit.Error,
	status uint16) (retry bool, err error) {
	t := a.task
	item := a.batch.items[row]
	switch {
	case delivery.isRetriable(pluginErr, status, t.o.Client.Retry()):
		t.count.errors.Add()
		failures := &a.rowStates[row].failures
		if !t.countFailure(failures, isRetriable(pluginErr, t.o.Client.Retry())) {
			return false, &recordError{item: item, stage: fmt.Sprintf("tried %d times", failures.attempts),
				err: pluginErr}
		}
		t.o.Metrics.Retries.Add(1)
		task.LogRetry(t.log, t.o.Client, "the row is written again", "record", item.String(), "error", pluginErr)
		return true, nil
	case !delivery.Request.Repeatable && !provesNotWritten(pluginErr, status):
		t.count.errors.Add()
		a.markInDoubt(row, fmt.Errorf("%s %s was answered %d: %w", delivery.Request.Method,
			transport.PrintableTarget(delivery.Request.Target), status, pluginErr))
		return false, nil
	case isCallError(pluginErr):
		t.count.errors.Add()
		return false, &recordError{item: item, stage: "write", err: pluginErr}
	}
	a.rejectRow(out, row, task.StageWrite, pluginErr)
	return false, nil
}

// provesNotWritten reports whether a row was certainly not written, by the status or by what the plugin has read.
func provesNotWritten(f *wit.Error, status uint16) bool {
	success := status >= 200 && status <= 299
	return wit.IsRejection(status) || (success && f.Kind != wit.ErrorTransient)
}

// isRetriable reports whether a rejected row may be sent again. For a non-repeatable request an HTTP status does not
// suffice: only a message code of the service or a proof that it was not written does.
func (d *delivery) isRetriable(f *wit.Error, status uint16, retry transport.Retry) bool {
	if d.Request.Repeatable {
		return isRetriable(f, retry)
	}
	if f.Code != nil && retry.NamesMessage(*f.Code) {
		return true
	}
	return f.Kind == wit.ErrorTransient && provesNotWritten(f, status)
}

// shouldReencode decides about a row to write again. The plugin vouches that it was not written, whatever the status.
// After the last attempt a transient error fails the task; others (RATIONALE.md P17) reject the row.
func (a *activeBatch) shouldReencode(out *outcome, row uint32, r *wit.Retry) (bool, error) {
	t := a.task
	item := a.batch.items[row]
	if r.Error == nil {
		err := a.countRepeat(row, r)
		return err == nil, err
	}
	t.count.errors.Add()
	failsTask := isRetriable(r.Error, t.o.Client.Retry())
	failures := &a.rowStates[row].failures
	if !failsTask {
		failures = &a.rowStates[row].rejectable
	}
	if t.countFailure(failures, true) {
		t.o.Metrics.Retries.Add(1)
		task.LogRetry(t.log, t.o.Client, "the row is written again", "record", item.String(), "hint", r.Hint, "error",
			r.Error)
		return true, nil
	}
	if failsTask {
		return false, &recordError{item: item, stage: fmt.Sprintf("tried %d times", failures.attempts), err: r.Error}
	}
	if isCallError(r.Error) {
		return false, &recordError{item: item, stage: "write", err: r.Error}
	}
	a.rejectRow(out, row, task.StageWrite, fmt.Errorf("%w (tried %d times)", r.Error, failures.attempts))
	return false, nil
}
