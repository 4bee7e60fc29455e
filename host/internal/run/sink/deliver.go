package sink

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/base/pause"
	"github.com/culvert-project/culvert/host/internal/run/task"
	"github.com/culvert-project/culvert/host/internal/run/tracing"
	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/host/transport"
	"github.com/culvert-project/culvert/wit"
)

// completes tells whether a delivery writes what is left of a record of which other rows are written: that is done even
// while the task stops, because a record is written again as a whole.
func (w *writing) completes(items []*item) bool {
	return w.task.run.working.Err() == nil && w.task.account.some(items, (*item).halfWritten)
}

// undecided is the fault of a record in doubt that would be sent without being checked.
func (w *writing) undecided(j *job) error {
	if j.noCheck != nil {
		return j.noCheck.failure
	}
	for _, row := range j.rows {
		i := w.batch.items[row]
		if why := w.task.o.InDoubt.why(i.record); why != nil && w.tries[row].doubt == nil {
			return &recordError{item: i, stage: "it may have been written or not by a task that " +
				"failed, and is not sent again", err: why, uncertain: true}
		}
	}
	return nil
}

// guarded makes a delivery. A mistake of the host's that comes after its request was sent leaves unknown what became of
// it.
func (w *writing) guarded(o *outcome, j *job) (again []job, err error) {
	err = guard.Do(w.task.log, "a sink task, the stage of delivering", func() (err error) {
		again, err = w.deliver(o, j)
		return err
	})
	var mistake *guard.Panic
	if errors.As(err, &mistake) && !j.Request.Repeatable {
		for _, row := range j.rows {
			if i := w.batch.items[row]; w.task.account.is(i, (*item).unsettled) {
				err = w.task.unsure(i, mistake)
			}
		}
	}
	return again, err
}

// deliver makes one delivery and settles its rows. It returns the deliveries of rows that are to be written again, or
// itself where it was not sent because records of it are another member's: the others may be this task's still.
func (w *writing) deliver(o *outcome, j *job) ([]job, error) {
	items := w.items(j)
	out := w.task.account.apply(underWay{items, 1}).yes
	if out {
		defer w.task.account.apply(underWay{items, -1})
	}
	defer w.task.account.apply(deliveryEnded{items})
	if !j.Request.Repeatable {
		defer w.task.account.apply(outcomeKnown{items})
	}
	if !out {
		return w.putBack(j), nil
	}
	if w.task.o.dry {
		for _, row := range j.rows {
			w.settled(o, row, false)
		}
		return nil, w.task.bury(o)
	}
	if mine, err := w.announce(j, items); err != nil {
		return nil, err
	} else if !mine {
		return w.putBack(j), nil
	}
	w.task.count.requests.Add(1)
	span := w.batch.span.StartRequest("deliver", &j.Request)
	span.SetInt("culvert.rows", int64(len(j.rows)))
	response, err := w.exchange(j, items)
	if err == nil {
		span.SetStatus(response.Status)
	}
	span.End(err)
	var lost *transport.NoAnswer
	var held *unsent
	switch {
	case errors.As(err, &held) && held.cause == nil:
		return w.putBack(j), nil
	case errors.As(err, &held):
		return nil, held.cause
	case errors.As(err, &lost):
		response = wit.Response{Tag: j.Request.Tag, Target: j.Request.Target, ReceivedAt: time.Now().UnixMilli()}
	case err != nil && w.task.run.working.Err() != nil:
		return nil, context.Cause(w.task.run.working)
	case err != nil:
		if d := w.tries[j.rows[0]].doubt; d != nil {
			return nil, d.because(err).failure
		}
		return nil, w.fault(j.rows, j.Request.Method+" "+transport.ShownTarget(j.Request.Target), err)
	}
	verdicts, err := w.settle(j, response)
	if err != nil {
		return w.unjudged(o, j, response, lost, err)
	}
	return w.judge(o, j, verdicts, response, lost)
}

// putBack has [dispatch.nextLane] decide once more about a delivery that was not sent.
func (w *writing) putBack(j *job) []job {
	jobs := []job{*j}
	w.held.Add(bytesOf(jobs))
	return jobs
}

// exchange sends a delivery's request. One that fails although the client has tried as often as it does, and that the
// service has not got, is sent again for as long as the task's settings allow.
func (w *writing) exchange(j *job, items []*item) (wit.Response, error) {
	working := transport.Before(w.task.run.working, func() error { return w.ours(items) },
		func() bool { return w.task.run.consumer.Lasts() && !w.task.account.some(items, (*item).theirs) })
	for tries := w.task.o.Retry.Start(); ; {
		sending, sent := w.task.count.send.Track(working)
		response, err := w.task.o.Client.Exchange(sending, &j.Request)
		sent()
		var lost *transport.NoAnswer
		var f *wit.Error
		if err == nil || errors.As(err, &lost) || !errors.As(err, &f) || f.Kind != wit.ErrorTransient {
			return response, err
		}
		again, stopped := tries.Wait(w.task.run.stopping)
		if !again || stopped != nil {
			return response, err
		}
		w.task.count.faults.Add()
		w.task.o.Metrics.Retries.Add(1)
		task.LogRetry(w.task.log, w.task.o.Client, "a request failed and is sent again", "request",
			j.Request.Method+" "+transport.ShownTarget(j.Request.Target), "error", err)
	}
}

// askEvery is how often a group is asked again that cannot say whether the task is still its member.
const askEvery = time.Second

// unsent is the error of a request that was not sent because its records may be another member's. A cause of nil: they
// are, and that one writes them.
type unsent struct{ cause error }

func (u *unsent) Error() string {
	if u.cause == nil {
		return "the records are another member's of the group"
	}
	return u.cause.Error()
}

func (u *unsent) Unwrap() error { return u.cause }

// ours waits until it is certain whose records are: a worker that was paused for longer than its session goes on in the
// belief that they are its own, while another one writes them, and what comes after them.
func (w *writing) ours(items []*item) error {
	for said := false; ; {
		err := w.task.run.consumer.Alive(w.task.run.working)
		switch {
		case w.task.account.some(items, (*item).theirs):
			return &unsent{}
		case err == nil:
			return nil
		}
		if !said {
			said = true
			w.task.log.Warn("nothing is sent: the group's session is over, and nobody says whether it goes on", "error",
				err)
		}
		if err := pause.For(w.task.run.stopping, askEvery); err != nil {
			return &unsent{err}
		}
	}
}

// announce commits, before records are sent, what the next run has to know if this one is killed. With once: that the
// records are on their way by a request that must not be sent twice (P19), and what the plugin knows that a check of
// them depends upon. That a decision to send records again is used up. And what their lane, or their partition before
// it went away and came back, has settled: else the next run would send older records again after newer ones, such as
// an update of an entity that was deleted since. Deliveries that begin together share a commit. Where nothing can be
// committed, what could be written twice waits. mine: the records are this task's still.
func (w *writing) announce(j *job, items []*item) (mine bool, err error) {
	number := max(j.awaits, j.note)
	decided := slices.ContainsFunc(items, func(i *item) bool { return w.task.o.InDoubt.sending(i.record) })
	switch {
	case j.note > 0:
		number = max(number, w.task.account.learned())
	case decided:
		number = w.note(j)
	case j.reads():
		return true, nil
	case w.task.account.some(items, (*item).pending): // of whichever lane: a row of it may be the entity's
		number = w.task.account.apply(marked{}).number
	case w.task.account.holds(number):
		return true, nil
	}
	for tries := 0; ; tries++ {
		switch err = w.task.store(w.task.run.working, number); {
		case w.task.account.some(items, (*item).theirs):
			return false, nil
		case err == nil:
			return true, nil
		case errors.Is(err, kafka.ErrCommitMetadata):
			return false, err
		}
		if decided && tries >= w.task.o.Client.Retry().Times() {
			return true, &recordError{item: items[0], more: len(items) - 1, err: err,
				stage: "it is not sent again, because it cannot be stored that " + sendSetting + " is used up"}
		}
		if w.task.run.ends() && !w.completes(items) { // the task fails by something else, which is to be said
			return false, nil
		}
		if err := w.task.o.Client.Retry().Wait(w.task.run.stopping, 0); err != nil {
			return true, err
		}
	}
}

// note announces a delivery in the metadata that are stored next, and has a decision to send its records again be used
// up. It returns what [ledger.holds] must tell before it is sent.
func (w *writing) note(j *job) int {
	items := w.items(j)
	for _, i := range items {
		w.task.o.InDoubt.use(idOf(i.record))
	}
	return w.task.account.apply(announced{items, !j.Request.Repeatable}).number
}

// unjudged is the fault of a delivery whose answer the plugin did not judge. Where the request must not be sent twice
// and the status does not say by itself that it was refused, nobody knows what became of its rows.
func (w *writing) unjudged(o *outcome, j *job, response wit.Response, lost *transport.NoAnswer,
	err error) ([]job, error) {
	if j.Request.Repeatable || lost == nil && wit.IsRejection(response.Status) {
		return nil, w.fault(j.rows, "settle", err)
	}
	why := fmt.Errorf("%s %s was answered %d, and the plugin could not say what that means: %w", j.Request.Method,
		transport.ShownTarget(j.Request.Target), response.Status, err)
	if lost != nil {
		why = lost
	}
	for _, row := range j.rows {
		w.doubt(row, why)
	}
	return w.encodeChecks(o, j.rows, true)
}

// settle asks the plugin what became of a delivery. What came of it that is no verdict is tried once more, on a fresh
// instance of the version that encoded the delivery, since no other one can read the memo; if what it worked out no
// longer fits, it is opened again before. An answer is there: it is judged even when requests on their way are not
// waited for any more.
func (w *writing) settle(j *job, response wit.Response) (verdicts []wit.RowResult, err error) {
	span := w.batch.span.StartChild("settle", tracing.Internal)
	defer func() { span.End(err) }()
	ctx := w.task.run.settling
	for fresh, reopened := false, false; ; fresh = true {
		verdicts, err = w.verdicts(ctx, j, response, fresh)
		switch {
		case err == nil || ctx.Err() != nil:
			return verdicts, err
		case task.IsStale(err) && !reopened:
			reopened = true
			opened, failure := w.task.reopen(ctx, j.opened)
			if failure != nil {
				err = fmt.Errorf("%w; %w", err, failure)
				if fresh {
					return nil, err
				}
				continue
			}
			j.opened = opened
		case fresh:
			return nil, err
		default:
			w.task.log.Warn("an answer could not be judged, a fresh instance of the plugin is asked", "request",
				j.Request.Method+" "+transport.ShownTarget(j.Request.Target),
				"status", response.Status, "version", j.opened.code.Version(), "error", err)
		}
	}
}

// verdicts are one for each row.
func (w *writing) verdicts(ctx context.Context, j *job, response wit.Response, fresh bool) (verdicts []wit.RowResult,
	err error) {
	acquire := j.opened.code.Acquire
	if fresh {
		acquire = j.opened.code.AcquireFresh
	}
	if err := j.opened.settling.Lock(ctx); err != nil {
		return nil, err
	}
	defer j.opened.settling.Unlock()
	w.task.count.settle.Start()
	defer w.task.count.settle.Stop()
	var settled wit.ResponseResult
	err = task.DoAcquired(ctx, j.opened.code, acquire, func(p Writer) error {
		context, _ := j.opened.newest()
		settled, err = p.HandleResponse(ctx, context, j.State, j.Delivery.Rows, response)
		w.task.count.warnings.Add(int64(p.Warnings()))
		return err
	})
	if err != nil {
		return nil, err
	}
	verdicts = settled.Results
	if len(verdicts) != len(j.rows) {
		return nil, fmt.Errorf("expected %d verdicts, found %d", len(j.rows), len(verdicts))
	}
	for n, v := range verdicts {
		if v.Written == nil && v.Rejected == nil && v.Retry == nil {
			return nil, fmt.Errorf("the plugin gave no verdict of row %d of %d", n+1, len(verdicts))
		}
	}
	if settled.Context != nil {
		j.opened.learn(*settled.Context)
		if w.task.o.InDoubt.MergeKnown(wit.KnownIn(*settled.Context)) {
			w.task.account.apply(pluginLearned{})
			select {
			case w.task.learned <- struct{}{}:
			default:
			}
		}
	}
	return verdicts, nil
}
