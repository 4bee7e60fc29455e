package sink

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/base/pause"
	"github.com/culvert-project/culvert/host/internal/run/task"
	"github.com/culvert-project/culvert/host/internal/run/tracing"
	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/host/transport"
	"github.com/culvert-project/culvert/wit"
)

// maxAgain is how often a row may be encoded again without a fault.
const maxAgain = 16

// MaxMadeBytes is how many bytes the requests and memos of a batch's deliveries that have not ended may have together,
// beyond those of its rows. One call's result is bounded, but a batch takes as many calls as it is halved into.
const MaxMadeBytes = 256 << 20

// writing is one batch being written. Its rows are encoded, and each of its deliveries made, by goroutines of their
// own: what these find out comes back to [dispatch], of which they know nothing.
type writing struct {
	task  *Task
	batch *batch
	// number is the batch's among those of the task, in the order in which they were read.
	number int
	// tries counts for each row what it cost so far; a row belongs to one lane.
	tries []tries
	// rows are those that are to be encoded, first or once more, because nothing of the batch was sent.
	rows []uint32
	// state is dispatch's; encoded is what was made of the batch, while it waits for its place in the queue.
	state   writingState
	encoded *encoded
	// adopt: the batch is to be encoded by another version of the plugin. sent: a delivery of it has begun, or will
	// not.
	adopt, sent bool
	// left is how many of its deliveries have not ended.
	left int
	// bytes are those of its rows and of what was made of them at first; held are those of its deliveries that have not
	// ended, see [bytesOf]: [writing.jobs] adds to it, dispatch takes away.
	bytes int
	held  atomic.Int64
	began time.Time
}

// writingState is where a batch is: it waits to be encoded, is encoded, waits for its place in the queue, or has it.
type writingState int

const (
	waiting writingState = iota
	encoding
	isEncoded
	queued
)

// encoded is what was made of a batch.
type encoded struct {
	jobs []job
	// hashed is what the lanes were made by, mixed: not all of them by the same.
	hashed hashed
	mixed  bool
}

type tries struct {
	// portion is with which others of the batch the row was encoded first.
	portion         int
	again, attempts int
	// since is when the first of the attempts failed.
	since time.Time
	// hint is that by which the row was encoded last.
	hint string
	// doubt: a request with the row may have arrived, nil where it is known whether one did.
	doubt *inDoubt
}

// job is a delivery that is to be made: its rows as positions in the batch.
type job struct {
	wit.Delivery
	of   *writing
	rows []uint32
	// opened is what encoded it: settle must be of the same.
	opened *openedVersion
	// hashed is what its lane can be compared with.
	hashed hashed
	// awaits is what [ledger.holds] must tell before it is sent: that what its lane has settled before is stored. note
	// is the same of the announcement of one that must not be sent twice, 0 where it is not announced.
	awaits, note int
	// noCheck: it is none, but a row in doubt of which there is no check.
	noCheck *inDoubt
}

// bytesOf are the bytes of what a plugin has made for deliveries.
func bytesOf(jobs []job) (n int64) {
	for i := range jobs {
		n += int64(len(jobs[i].Memo)) + transport.RequestBytes(&jobs[i].Request)
	}
	return n
}

// reads tells whether a delivery changes nothing.
func (j *job) reads() bool { return j.Request.Method == "GET" || j.Request.Method == "HEAD" }

func (w *writing) items(j *job) []*item {
	items := make([]*item, len(j.rows))
	for n, row := range j.rows {
		items[n] = w.batch.items[row]
	}
	return items
}

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
		if why := w.task.o.Uncertain.why(i.record); why != nil && w.tries[row].doubt == nil {
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

// deliver makes one delivery and settles its rows. It returns the deliveries of rows that are to be written again.
func (w *writing) deliver(o *outcome, j *job) ([]job, error) {
	items := w.items(j)
	defer w.task.account.apply(deliveryEnded{items})
	if !j.Request.Repeatable {
		defer w.task.account.apply(outcomeKnown{items})
	}
	if mine, err := w.announce(j, items); err != nil || !mine {
		return nil, err
	}
	w.task.count.requests.Add(1)
	start := time.Now()
	span := w.batch.span.Request("deliver", &j.Request)
	span.Number("culvert.rows", int64(len(j.rows)))
	response, err := w.exchange(j, items)
	w.task.count.send.Since(start)
	if err == nil {
		span.Answered(response.Status)
	}
	span.End(err)
	var lost *transport.NoAnswer
	var held *unsent
	switch {
	case errors.As(err, &held):
		return nil, held.cause
	case errors.As(err, &lost):
		response = wit.Response{Tag: j.Request.Tag, Target: j.Request.Target, At: time.Now().UnixMilli()}
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

// exchange sends a delivery's request. One that fails although the client has tried as often as it does, and that the
// service has not got, is sent again for as long as the task's settings allow.
func (w *writing) exchange(j *job, items []*item) (wit.Response, error) {
	working := transport.Before(w.task.run.working, func() error { return w.ours(items) },
		func() bool { return w.task.run.consumer.Lasts() && !w.task.account.some(items, (*item).theirs) })
	for tries := w.task.o.Retry.Begin(); ; {
		response, err := w.task.o.Client.Exchange(working, &j.Request)
		var lost *transport.NoAnswer
		var f *wit.Fault
		if err == nil || errors.As(err, &lost) || !errors.As(err, &f) || f.Kind != wit.FaultTransient {
			return response, err
		}
		again, stopped := tries.Wait(w.task.run.stopping)
		if !again || stopped != nil {
			return response, err
		}
		w.task.count.faults.Count()
		w.task.o.Tally.Retries.Add(1)
		task.TriedAgain(w.task.log, w.task.o.Client, "a request failed and is sent again", "request",
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
// records are on their way by a request that must not be sent twice (P19). That a decision to send records again is
// used up. And what their lane, or their partition before it went away and came back, has settled: else the next run
// would send older records again after newer ones, such as an update of an entity that was deleted since. Deliveries
// that begin together share a commit. Where nothing can be committed, what could be written twice waits. mine: the
// records are this task's still.
func (w *writing) announce(j *job, items []*item) (mine bool, err error) {
	number := max(j.awaits, j.note)
	decided := slices.ContainsFunc(items, func(i *item) bool { return w.task.o.Uncertain.sending(i.record) })
	switch {
	case j.note > 0:
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
		w.task.o.Uncertain.use(idOf(i.record))
	}
	return w.task.account.apply(announced{items, !j.Request.Repeatable}).number
}

// unjudged is the fault of a delivery whose answer the plugin did not judge. Where the request must not be sent twice
// and the status does not say by itself that it was refused, nobody knows what became of its rows.
func (w *writing) unjudged(o *outcome, j *job, response wit.Response, lost *transport.NoAnswer,
	err error) ([]job, error) {
	if j.Request.Repeatable || lost == nil && wit.Refuses(response.Status) {
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

// fault is one of a delivery's rows together: it names the first one, and how many more.
func (w *writing) fault(rows []uint32, stage string, err error) error {
	if len(rows) == 0 {
		return fmt.Errorf("no row: %s: %w", stage, err)
	}
	return &recordError{item: w.batch.items[rows[0]], more: len(rows) - 1, stage: stage, err: err}
}

// settle asks the plugin what became of a delivery. What came of it that is no verdict is tried once more, on a fresh
// instance of the version that encoded the delivery, since no other one can read the memo; if what it worked out no
// longer fits, it is opened again before. An answer is there: it is judged even when requests on their way are not
// waited for any more.
func (w *writing) settle(j *job, response wit.Response) (verdicts []wit.Verdict, err error) {
	defer w.task.count.settle.Since(time.Now())
	span := w.batch.span.Child("settle", tracing.Internal)
	defer func() { span.End(err) }()
	ctx := w.task.run.settling
	for fresh, reopened := false, false; ; fresh = true {
		verdicts, err = w.verdicts(ctx, j, response, fresh)
		switch {
		case err == nil || ctx.Err() != nil:
			return verdicts, err
		case task.Stale(err) && !reopened:
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
func (w *writing) verdicts(ctx context.Context, j *job, response wit.Response, fresh bool) (verdicts []wit.Verdict,
	err error) {
	acquire := j.opened.code.Acquire
	if fresh {
		acquire = j.opened.code.AcquireFresh
	}
	select {
	case j.opened.settling <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-j.opened.settling }()
	var settled wit.Settled
	err = task.With(ctx, j.opened.code, acquire, func(p Writer) error {
		context, _ := j.opened.newest()
		settled, err = p.Settle(ctx, context, j.Memo, j.Delivery.Rows, response)
		w.task.count.warnings.Add(int64(p.Warnings()))
		return err
	})
	if err != nil {
		return nil, err
	}
	verdicts = settled.Verdicts
	if len(verdicts) != len(j.rows) {
		return nil, fmt.Errorf("expected %d verdicts, found %d", len(j.rows), len(verdicts))
	}
	for n, v := range verdicts {
		if v.Written == nil && v.Refused == nil && v.Again == nil {
			return nil, fmt.Errorf("the plugin gave no verdict of row %d of %d", n+1, len(verdicts))
		}
	}
	if settled.Context != nil {
		j.opened.learn(*settled.Context)
	}
	return verdicts, nil
}

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
func (w *writing) judge(o *outcome, j *job, verdicts []wit.Verdict, response wit.Response,
	lost *transport.NoAnswer) ([]job, error) {
	t := w.task
	g := &judging{writing: w, out: o, j: j, status: response.Status, lost: lost}
	for n, v := range verdicts {
		g.row(j.rows[n], v)
	}
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
func (g *judging) row(row uint32, v wit.Verdict) {
	tried := &g.tries[row]
	switch {
	case v.Written != nil:
		g.task.count.written.Add(1)
		once := !g.j.Request.Repeatable || tried.doubt != nil
		g.resolved(row)
		g.settled(g.out, row, once)
	case v.Refused != nil && tried.doubt != nil:
		again, err := g.stillInDoubt(g.out, row, v.Refused, retryable(v.Refused, g.task.o.Client.Retry()))
		if !g.failed(err) && again {
			g.doubts, g.waits = append(g.doubts, row), true
		}
	case v.Refused != nil:
		if again, err := g.refused(g.out, g.j, row, v.Refused, g.status, g.lost); !g.failed(err) && again {
			g.rows, g.pause, tried.hint = append(g.rows, row), true, ""
		}
		if tried.doubt != nil {
			g.doubts, g.waits = append(g.doubts, row), true
		}
	case v.Again != nil:
		g.again(row, v.Again)
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
		if r.Hint == wit.HintUncertain && !g.j.Request.Repeatable {
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
		g.doubts, g.waits = append(g.doubts, row), g.waits || !checked || r.Fault != nil
		return
	}
	if !checked {
		g.idle = max(g.idle, g.fruitless(row, r))
	}
	tried.hint = r.Hint
	g.hints = append(g.hints, wit.Hint{Row: uint32(len(g.rows)), Text: r.Hint})
	g.rows, g.pause = append(g.rows, row), g.pause || r.Fault != nil
}

// failed takes a fault; of several, that of the first record.
func (g *judging) failed(err error) bool {
	if err != nil && earlier(err, g.failure) {
		g.failure = err
	}
	return err != nil
}

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

// settled notes that a row is done with; once: written by a request that must not be sent twice.
func (w *writing) settled(o *outcome, row uint32, once bool) {
	o.due = append(o.due, w.task.account.apply(rowsSettled{w.batch.items[row : row+1], once}).items...)
}

// maxAgainWait is how long a verdict can keep a row from being encoded again.
const maxAgainWait = time.Minute

// refused decides about a row that was refused: an error fails the task; again: it is to be sent once more; neither: it
// is settled with its record's dead letter, or in doubt from now on.
func (w *writing) refused(o *outcome, j *job, row uint32, f *wit.Fault, status uint16,
	lost *transport.NoAnswer) (again bool, err error) {
	t, item := w.task, w.batch.items[row]
	switch {
	case lost != nil && lost.Status != 0:
		t.count.faults.Count()
		w.doubt(row, lost)
		return false, nil
	case lost != nil:
		// P19: it may have been written. It is neither sent again nor called refused.
		t.count.faults.Count()
		w.doubt(row, fmt.Errorf("%w (%w)", lost, f))
		return false, nil
	case j.retryable(f, status, t.o.Client.Retry()):
		t.count.faults.Count()
		if !w.another(row, f) {
			return false, &recordError{item: item, stage: fmt.Sprintf("tried %d times", w.tries[row].attempts), err: f}
		}
		t.o.Tally.Retries.Add(1)
		task.TriedAgain(t.log, t.o.Client, "row to be written again", "record", item.String(), "error", f)
		return true, nil
	case !j.Request.Repeatable && !proven(f, status):
		t.count.faults.Count()
		w.doubt(row, fmt.Errorf("%s %s was answered %d: %w", j.Request.Method, transport.ShownTarget(j.Request.Target),
			status, f))
		return false, nil
	case ofAllRows(f):
		t.count.faults.Count()
		return false, &recordError{item: item, stage: "write", err: f}
	}
	w.refuse(o, row, task.AtWrite, f)
	return false, nil
}

// proven tells whether an answer shows that a row was not written: by its status, or, in an answer of success, by what
// the plugin read in it. A fault of kind transient is no proof: it says that something is out of order.
func proven(f *wit.Fault, status uint16) bool {
	success := status >= 200 && status <= 299
	return wit.Refuses(status) || success && f.Kind != wit.FaultTransient
}

// retryable tells whether a refused row is to be sent again. Where requests are not repeatable, a status of HTTP is not
// what says so: only a message code of the service does, or a refusal that is proven.
func (j *job) retryable(f *wit.Fault, status uint16, retry transport.Retry) bool {
	if j.Request.Repeatable {
		return retryable(f, retry)
	}
	return f.Code != nil && retry.NamesMessage(*f.Code) || f.Kind == wit.FaultTransient && proven(f, status)
}

// unsure notes that nobody knows whether a record was written; it returns the task's fault.
func (t *Task) unsure(i *item, why error) *recordError {
	t.o.Uncertain.put(idOf(i.record), why)
	t.account.apply(doubtChanged{i})
	return &recordError{item: i, stage: "it may have been written or not, and is not sent again", err: why,
		uncertain: true}
}

// ofAllRows tells whether a fault is none of the row's: the next one would fare no better.
func ofAllRows(f *wit.Fault) bool {
	return f.Kind == wit.FaultUnauthorized || f.Kind == wit.FaultConfig || f.Kind == wit.FaultIncompatible ||
		f.Kind == wit.FaultInternal
}

// retryable tells whether a fault may be gone the next time.
func retryable(f *wit.Fault, retry transport.Retry) bool {
	return f.Kind == wit.FaultTransient || f.Code != nil && retry.Names(*f.Code)
}

// encodedAgain tells whether a row is to be encoded again; where it was often enough, it is refused. By it the plugin
// says that the row was not written, whatever the status.
func (w *writing) encodedAgain(o *outcome, row uint32, r *wit.Retry, lost *transport.NoAnswer) (bool, error) {
	t, item := w.task, w.batch.items[row]
	if r.Fault == nil {
		return w.mayRepeat(row, r)
	}
	t.count.faults.Count()
	if w.another(row, r.Fault) {
		t.o.Tally.Retries.Add(1)
		task.TriedAgain(t.log, t.o.Client, "row to be written again", "record", item.String(), "hint", r.Hint, "error",
			r.Fault)
		return true, nil
	}
	if lost != nil || retryable(r.Fault, t.o.Client.Retry()) {
		return false, &recordError{item: item, stage: fmt.Sprintf("tried %d times", w.tries[row].attempts),
			err: r.Fault}
	}
	if ofAllRows(r.Fault) {
		return false, &recordError{item: item, stage: "write", err: r.Fault}
	}
	w.refuse(o, row, task.AtWrite, r.Fault)
	return false, nil
}

// mayRepeat tells whether a row is to be encoded again without a fault.
func (w *writing) mayRepeat(row uint32, r *wit.Retry) (bool, error) {
	if w.tries[row].again++; w.tries[row].again > maxAgain {
		return false, &recordError{item: w.batch.items[row], stage: "write",
			err: fmt.Errorf("the plugin wants to write it again for the %dth time, last with the hint %q", maxAgain+1,
				r.Hint)}
	}
	return true, nil
}

// another counts an attempt that failed, and tells whether there is to be one more: as often as the client's settings
// say, and beyond that for as long as those of the task allow where the fault may be gone the next time.
func (w *writing) another(row uint32, f *wit.Fault) bool {
	tried := &w.tries[row]
	if tried.attempts == 0 {
		tried.since = time.Now()
	}
	tried.attempts++
	retry := w.task.o.Client.Retry()
	return tried.attempts <= retry.Times() || retryable(f, retry) && w.task.o.Retry.Allows(time.Since(tried.since))
}

// fruitless is how often a row came back without a fault and without progress: a first hint is progress, the same one
// again, or one after another, is not.
func (w *writing) fruitless(row uint32, r *wit.Retry) int {
	tried := &w.tries[row]
	if r.Fault != nil || tried.again == 1 && r.Hint != tried.hint {
		return 0
	}
	return tried.again
}

// badRecord ends a task once everything that was read before it is settled. Nothing of it, and of what was read after
// it, is begun.
type badRecord struct {
	of  *writing
	row uint32
	err error
}

// before tells whether a row was read before the record.
func (b *badRecord) before(w *writing, row uint32) bool {
	if w.number != b.of.number {
		return w.number < b.of.number
	}
	return row < b.row && w.batch.items[row] != w.batch.items[b.row]
}

// refuse has a row that cannot be written settled with its record's dead letter where such rows are tolerated; else the
// task fails when all that was read before is settled.
func (w *writing) refuse(o *outcome, row uint32, stage task.ErrorStage, fault error) {
	err := w.task.refuse(o, w.batch.items[row], int(w.batch.origins.IDs[row].Part), stage, fault)
	if err == nil {
		return
	}
	if o.bad == nil || o.bad.before(w, row) {
		o.bad = &badRecord{w, row, err}
	}
}
