package sink

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/internal/run/tracing"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/wit"
)

// completesPartial reports whether a delivery completes a partially written record, which a restart would repeat.
func (a *activeBatch) completesPartial(items []*item) bool {
	return a.task.run.requestCtx.Err() == nil && a.task.tracker.checkAny(items, (*item).partiallyWritten)
}

// inDoubtUnchecked returns the error of a row in doubt that the delivery would write without a check, or nil.
func (a *activeBatch) inDoubtUnchecked(delivery *delivery) error {
	if delivery.uncheckable != nil {
		return delivery.uncheckable.failure
	}
	for _, doubt := range a.task.o.InDoubt.search(a.batch.items, delivery.rows) {
		if doubt.cause != nil && a.rowStates[delivery.rows[doubt.position]].inDoubt == nil {
			return &recordError{item: delivery.items[doubt.position], err: doubt.cause, inDoubt: true,
				stage: "it may have been written or not by a task that failed, and is not sent again"}
		}
	}
	return nil
}

// deliverGuarded is deliver, but it recovers panics: then the outcome of a request that was sent is unknown.
func (a *activeBatch) deliverGuarded(out *outcome, delivery *delivery) (retries []delivery, err error) {
	err = guard.Do(a.task.log, "a sink task, the stage of delivering", func() (err error) {
		retries, err = a.deliver(out, delivery)
		return err
	})
	var panicked *guard.PanicError
	if errors.As(err, &panicked) && !delivery.Request.Repeatable {
		for _, i := range a.task.tracker.filter(delivery.items, (*item).unsettled) {
			err = a.task.markInDoubt(i, panicked)
		}
	}
	return retries, err
}

// deliver sends a request and handles the response. It returns the deliveries to send next for its rows, or the same
// delivery if it was not sent because records were revoked.
func (a *activeBatch) deliver(out *outcome, delivery *delivery) ([]delivery, error) {
	sendable := a.task.tracker.apply(deliverySent{delivery.items}).ok
	end := deliveryEnded{items: delivery.items, sent: sendable, outcomeOpen: !delivery.Request.Repeatable}
	defer func() { a.task.tracker.apply(end) }()
	if end.outcomeOpen {
		releaseSlot := delivery.releaseSlot
		delivery.releaseSlot = func() { // called only after a response
			a.task.tracker.apply(outcomeKnown{delivery.items})
			end.outcomeOpen = false
			releaseSlot()
		}
	}
	if !sendable {
		return a.returnUnsent(delivery), nil
	}
	switch o := &a.task.o; {
	case o.dryRun:
		a.reportWritten(delivery.rows)
		a.settleRows(out, delivery.rows, false)
		return nil, a.task.sendToDLQ(out)
	case o.checkOnly && !delivery.isRead(): // a check has not found the rows
		for _, row := range delivery.rows {
			a.rejectRow(out, row, task.StageWrite, ErrNotWritten)
		}
		return nil, a.task.sendToDLQ(out)
	}
	if owned, err := a.storeIntent(delivery); err != nil {
		return nil, err
	} else if !owned {
		return a.returnUnsent(delivery), nil
	}
	a.task.count.requests.Add(1)
	span := a.batch.span.StartRequest("deliver", &delivery.Request)
	span.SetInt("culvert.rows", int64(len(delivery.rows)))
	response, err := a.sendRequest(delivery)
	if err == nil {
		span.SetStatus(response.Status)
	}
	span.End(err)
	var noResponse *transport.NoResponseError
	var notSent *unsentError
	// The order matters: a request that was not sent leaves no doubt; one without a response leaves its rows in doubt.
	switch {
	case errors.As(err, &notSent) && notSent.cause == nil:
		return a.returnUnsent(delivery), nil
	case errors.As(err, &notSent):
		return nil, notSent.cause
	case errors.As(err, &noResponse):
		response = wit.Response{Tag: delivery.Request.Tag, Target: delivery.Request.Target,
			ReceivedAt: time.Now().UnixMilli()}
	case err != nil && a.task.run.requestCtx.Err() != nil:
		return nil, context.Cause(a.task.run.requestCtx)
	case err != nil:
		if inDoubt := a.rowStates[delivery.rows[0]].inDoubt; inDoubt != nil { // it was a check
			return nil, inDoubt.withReason(err).failure
		}
		return nil, a.rowsError(delivery.rows,
			delivery.Request.Method+" "+transport.PrintableTarget(delivery.Request.Target), err)
	}
	results, err := a.interpret(delivery, response)
	if err != nil {
		if delivery.Request.Repeatable || (noResponse == nil && wit.IsRejection(response.Status)) {
			return nil, a.rowsError(delivery.rows, "settle", err) // a restart may send the rows again
		}
		reason := fmt.Errorf("%s %s was answered %d, which the plugin could not interpret: %w", delivery.Request.Method,
			transport.PrintableTarget(delivery.Request.Target), response.Status, err)
		if noResponse != nil {
			reason = noResponse
		}
		for _, row := range delivery.rows {
			a.markInDoubt(row, reason)
		}
		return a.encodeChecks(out, delivery.rows, checkAfterPause)
	}
	return a.handleResults(out, delivery, results, response, noResponse)
}

func (a *activeBatch) returnUnsent(unsent *delivery) []delivery {
	deliveries := []delivery{*unsent}
	a.deliveryBytes.Add(bytesOf(deliveries))
	return deliveries
}

// sendRequest sends a request while this task owns its records, and repeats it after transient errors.
func (a *activeBatch) sendRequest(delivery *delivery) (wit.Response, error) {
	workCtx := transport.WithSendCheck(a.task.run.requestCtx, func() error { return a.awaitOwnership(delivery.items) },
		func() bool {
			return a.task.run.consumer.IsSessionValid() && !a.task.tracker.checkAny(delivery.items, (*item).revoked)
		})
	for retries := a.task.o.Retry.Start(); ; {
		sendCtx, endSend := a.task.count.send.Track(workCtx, &a.task.count.wait)
		response, err := a.task.o.Client.Exchange(sendCtx, &delivery.Request)
		endSend()
		var noResponse *transport.NoResponseError
		if err == nil || errors.As(err, &noResponse) || !isTransient(err) {
			return response, err
		}
		if retry, waitErr := retries.Wait(a.task.run.stopCtx); !retry || waitErr != nil {
			return response, err
		}
		a.task.count.errors.Add()
		a.task.o.Metrics.Retries.Add(1)
		task.LogRetry(a.task.log, a.task.o.Client, "a request failed and is sent again", "request",
			delivery.Request.Method+" "+transport.PrintableTarget(delivery.Request.Target), "error", err)
	}
}

const ownershipInterval = time.Second

// unsentError means that the request was not sent. Without a cause, another member owns its records.
type unsentError struct{ cause error }

func (u *unsentError) Error() string {
	if u.cause == nil {
		return "another member of the group owns the records"
	}
	return u.cause.Error()
}

func (u *unsentError) Unwrap() error { return u.cause }

// awaitOwnership waits until this task certainly owns the records: after a long pause of the worker another one may.
func (a *activeBatch) awaitOwnership(items []*item) error {
	for logged := false; ; {
		err := a.task.run.consumer.CheckMembership(a.task.run.requestCtx)
		switch {
		case a.task.tracker.checkAny(items, (*item).revoked):
			return &unsentError{}
		case err == nil:
			return nil
		}
		if !logged {
			logged = true
			a.task.log.Warn("requests are on hold: the session of the group has expired and cannot be confirmed",
				"error", err)
		}
		if err := pause.For(a.task.run.stopCtx, ownershipInterval); err != nil {
			return &unsentError{err}
		}
	}
}

// storeIntent commits, before records are sent, what the next run needs if this one crashes:
//
// - that they are in flight by a non-repeatable request, which must not be repeated (RATIONALE.md P19), and the
// plugin's knowledge for a check;
// - that a decision to send them again is used up;
// - what their lane, or an earlier assignment of their partition, has settled: the next run would otherwise send older
// records of an entity after newer ones.
//
// Deliveries that start together share a commit. owned reports whether this task still owns the records.
func (a *activeBatch) storeIntent(delivery *delivery) (owned bool, err error) {
	items := delivery.items
	seq := max(delivery.awaitedSeq, delivery.announcedSeq)
	isResend := slices.ContainsFunc(a.task.o.InDoubt.search(a.batch.items, delivery.rows),
		func(doubt rowInDoubt) bool { return doubt.resending })
	switch {
	case delivery.announcedSeq > 0:
		seq = max(seq, a.task.tracker.knownSeq())
	case isResend:
		seq = a.announce(delivery)
	case delivery.isRead(): // it changes nothing
		return true, nil
	case a.task.tracker.checkAny(items, (*item).predecessorUncommitted):
		seq = a.task.tracker.apply(storeRequested{}).number
	case a.task.tracker.isDurable(seq): // the usual case of a repeatable delivery
		return true, nil
	}
	for attempt := 0; ; attempt++ {
		switch err = a.task.ensureDurable(a.task.run.requestCtx, seq); {
		case a.task.tracker.checkAny(items, (*item).revoked):
			return false, nil
		case err == nil:
			return true, nil
		case errors.Is(err, kafka.ErrCommitMetadata):
			return false, err
		}
		if isResend && attempt >= a.task.o.Client.Retry().Times() {
			return true, &recordError{item: items[0], moreRecords: len(items) - 1, err: err,
				stage: "not sent again, because the use of " + sendSetting + " cannot be stored"}
		}
		if a.task.run.isEnding() && !a.completesPartial(items) { // the task reports another error
			return false, nil
		}
		if err := a.task.o.Client.Retry().Wait(a.task.run.stopCtx, 0); err != nil {
			return true, err
		}
	}
}

// announce uses up the decisions to send the rows again, and returns the sequence number that must be durable first.
func (a *activeBatch) announce(d *delivery) int {
	for _, doubt := range a.task.o.InDoubt.search(a.batch.items, d.rows) {
		a.task.o.InDoubt.useDecision(idOf(d.items[doubt.position].record))
	}
	return a.task.tracker.apply(deliveryAnnounced{items: d.items, nonRepeatable: !d.Request.Repeatable}).number
}

// interpret has the plugin read a response. It repeats a failed call once, on a fresh instance of the version that
// encoded the delivery, because no other one can read its state. If the context is stale, it opens that version again
// once, for a further call.
func (a *activeBatch) interpret(delivery *delivery, response wit.Response) (results []wit.RowResult, err error) {
	span := a.batch.span.StartChild("settle", tracing.Internal)
	defer func() { span.End(err) }()
	ctx := a.task.run.resultCtx
	for fresh, reopened := false, false; ; fresh = true {
		results, err = a.callHandleResponse(ctx, delivery, response, fresh)
		switch {
		case err == nil || ctx.Err() != nil:
			return results, err
		case task.IsStale(err) && !reopened:
			reopened = true
			opened, failure := a.task.reopen(ctx, delivery.opened, err)
			if failure != nil {
				err = fmt.Errorf("%w; %w", err, failure)
				if fresh {
					return nil, err
				}
				continue
			}
			delivery.opened = opened
		case fresh:
			return nil, err
		default:
			a.task.log.Warn("the plugin failed to read a response; trying a fresh instance",
				"request", delivery.Request.Method+" "+transport.PrintableTarget(delivery.Request.Target),
				"status", response.Status, "version", delivery.opened.code.Version(), "error", err)
		}
	}
}

func (a *activeBatch) callHandleResponse(ctx context.Context, delivery *delivery, response wit.Response,
	fresh bool) (results []wit.RowResult, err error) {
	acquire := delivery.opened.code.Acquire
	if fresh {
		acquire = delivery.opened.code.AcquireFresh
	}
	if err := delivery.opened.responseLock.Lock(ctx); err != nil {
		return nil, err
	}
	defer delivery.opened.responseLock.Unlock()
	a.task.count.settle.Start()
	defer a.task.count.settle.Stop()
	var settled wit.ResponseResult
	err = task.DoAcquired(ctx, delivery.opened.code, acquire, func(p Writer) error {
		data := delivery.opened.currentContext().data
		settled, err = p.HandleResponse(ctx, data, delivery.State, delivery.Delivery.Rows, response)
		a.task.count.warnings.Add(int64(p.Warnings()))
		return err
	})
	if err != nil {
		return nil, err
	}
	results = settled.Results
	if len(results) != len(delivery.rows) {
		return nil, fmt.Errorf("expected %d results, found %d", len(delivery.rows), len(results))
	}
	for n, result := range results {
		if result.Written == nil && result.Rejected == nil && result.Retry == nil {
			return nil, fmt.Errorf("the plugin returned no result for row %d of %d", n+1, len(results))
		}
	}
	// Keep what the plugin has learned.
	if settled.Context != nil {
		delivery.opened.updateContext(*settled.Context)
		if a.task.o.InDoubt.MergeKnown(wit.KnownIn(*settled.Context)) {
			a.task.tracker.apply(knownChanged{})
			select {
			case a.task.knownChanged <- struct{}{}:
			default:
			}
		}
	}
	return results, nil
}
