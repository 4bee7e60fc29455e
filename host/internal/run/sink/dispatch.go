package sink

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/run/tracing"
	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/wit"
)

// maxHeld is how many bytes of records and rows are held, about, by batches that are written side by side: as many as
// one batch may have.
const maxHeld = maxBatchBytes + maxConvertedBytes

// dispatch writes batches side by side: a delivery waits for those before it in its lane, not for its batch's. A batch
// begins as long as all that is held has few bytes, each of its deliveries when the metadata says what must be known of
// it should the worker be killed. Those of which nothing was sent are encoded again when the plugin has learned
// something, or another version takes over: lanes can be compared where they were made by the same. It belongs to one
// goroutine; deliveries, at most InFlight at a time, and the encoding of a batch are goroutines of their own, all of
// them ended when run returns.
//
// Invariants: live is in the order in which batches were read. Of its batches those that wait to be encoded are the
// last ones, at most one is encoded or waits for its place in the queue, and it stands before these. What fails ends
// the start of anything new; the fault that is returned is that of the record that was read first.
type dispatch struct {
	task  *Task
	queue *queue
	// events are functions that finished deliveries and encodings post; run calls them, so only its goroutine changes
	// dispatch.
	events chan func()
	// running is how many deliveries are on their way.
	running int
	// noted are lanes whose next delivery has begun and goes out next, in this order: it must not be sent twice, and is
	// announced with others, so that one commit says of all of them that they may have been sent.
	noted []*lane
	// next is the batch that came last and has not begun; closed: none are to come.
	next   *batch
	closed bool
	// live are the batches that have begun and not ended; ended: one has since the last commit.
	live  []*writing
	ended bool
	// failure is why nothing more is begun. bad is the first record, in the order in which they were read, that cannot
	// be written where none may be skipped: the task ends at it. doubt is the fault of records in doubt that nobody can
	// check, which ends the task when all of them are found. nil: there is none.
	failure error
	bad     *badRecord
	doubt   error
	// unchecked is the first record, in the order in which they were read, that a run before has left in doubt and of
	// which there is no check: the task will fail by it, and nothing but checks of what was read after it goes out.
	// nil: there is none.
	unchecked *badRecord
}

func newDispatch(t *Task) *dispatch {
	return &dispatch{task: t, queue: newQueue(), events: make(chan func(), t.o.InFlight+1)}
}

// run writes batches until there are no more, or the task is to stop. It returns the task's fault when nothing is on
// its way any more.
func (d *dispatch) run(batches <-chan *batch) error {
	t, stop := d.task, d.task.run.ending.Done()
	for {
		if over, err := d.step(); over {
			return err
		}
		if len(d.live) == 0 && d.ended {
			// One commit says what came of the batches before, and that the next one is about to be sent.
			if d.next == nil && !d.closed && d.doubt == nil {
				select {
				case b, some := <-batches:
					d.take(b, some)
					continue
				default:
				}
			}
			d.ended = false
			if err := t.commit(t.run.working); errors.Is(err, kafka.ErrCommitMetadata) {
				return err
			}
			continue
		}
		in := batches
		if d.next != nil || d.closed || stop == nil || t.run.ends() || d.bad != nil {
			in = nil
		}
		var late <-chan time.Time
		if d.doubt != nil && len(d.live) == 0 { // records that may be in doubt, too, are waited for
			timer := time.NewTimer(2*t.o.Linger + doubtWithin)
			defer timer.Stop()
			late = timer.C
		}
		select {
		case happened := <-d.events:
			happened()
		case b, some := <-in:
			d.take(b, some)
		case err := <-t.broken:
			d.fail(err)
		case <-stop:
			stop = nil
		case <-late:
			return d.doubt
		}
	}
}

// doubtWithin is how long further records are waited for that a run which was killed may have sent.
const doubtWithin = 5 * time.Second

// errDone ends a task that finishes.
var errDone = errors.New("done")

func (d *dispatch) take(b *batch, some bool) { d.next, d.closed = b, !some }

// step does what can be done now. over: nothing is on its way, and nothing is to come.
func (d *dispatch) step() (over bool, err error) {
	d.start()
	if d.task.run.ends() {
		return d.stop()
	}
	d.recall()
	if w := d.first(isEncoded); w != nil && d.fits(w) {
		d.queue.add(w.encoded)
		d.stopAtUnchecked(w)
		w.encoded, w.state = nil, isQueued
		d.start()
		d.recall()
	}
	w := d.first(isWaiting)
	switch {
	case d.first(isEncoding) != nil || d.first(isEncoded) != nil:
		return false, nil
	case w != nil && d.bad != nil && w.number > d.bad.of.number:
		d.finish(w)
		return d.step()
	case w != nil:
		return d.again(w)
	case d.next != nil && d.bad == nil:
		return d.begin(d.next)
	case len(d.live) > 0:
		return false, nil
	case d.bad != nil && d.doubt == nil:
		return true, d.bad.err
	}
	return d.closed || d.doubt != nil && (d.bad != nil || !d.task.account.examining()), d.doubt
}

// stopAtUnchecked notes the first record in doubt of a batch of which there is no check. The batch is not taken back
// any more, so that the task fails by it.
func (d *dispatch) stopAtUnchecked(w *writing) {
	for i := range w.encoded.jobs {
		j := &w.encoded.jobs[i]
		if j.noCheck == nil {
			continue
		}
		if w.sent = true; d.unchecked == nil || d.unchecked.before(w, j.rows[0]) {
			d.unchecked = &badRecord{of: w, row: j.rows[0], err: j.noCheck.failure}
		}
	}
}

// first is the first batch in a state, nil for none.
func (d *dispatch) first(s writingState) *writing {
	if at := slices.IndexFunc(d.live, func(w *writing) bool { return w.state == s }); at >= 0 {
		return d.live[at]
	}
	return nil
}

// stop ends the batches of which nothing is on its way.
func (d *dispatch) stop() (over bool, err error) {
	for _, w := range slices.Clone(d.live) {
		if w.state == isEncoded || w.state == isWaiting {
			d.finish(w)
		}
	}
	switch {
	case len(d.live) > 0:
		return false, nil
	case d.bad != nil && goesFirst(d.bad.err, d.failure):
		return true, d.bad.err
	case d.failure != nil:
		return true, d.failure
	}
	return true, context.Cause(d.task.run.stopping)
}

// alone tells whether nothing can be on its way: all batches wait to be encoded, or for their place in the queue.
func (d *dispatch) alone() bool {
	return !slices.ContainsFunc(d.live, func(w *writing) bool { return w.state == isQueued || w.state == isEncoding })
}

// fits tells whether the deliveries of a batch can go after those of the queue.
func (d *dispatch) fits(w *writing) bool {
	return d.alone() || !w.encoded.mixed && w.encoded.hashed == d.queue.hashed
}

// newest is what lanes are made by now.
func (d *dispatch) newest() hashed {
	_, newest := d.task.plugin.Opened().newest()
	return newest
}

// changed tells whether batches are encoded otherwise now than those of the queue were.
func (d *dispatch) changed() bool {
	return d.newest() != d.queue.hashed || d.task.plugin.UpgradePending()
}

// recall takes back batches of which nothing was sent, where they are to be encoded again: those after the last one of
// which something was.
func (d *dispatch) recall() {
	at := slices.IndexFunc(d.live, func(w *writing) bool { return w.state == isWaiting })
	if at < 0 {
		at = len(d.live)
	}
	if at == 0 || d.first(isEncoding) != nil || !d.changed() {
		return
	}
	if w := d.live[at-1]; w.state == isEncoded {
		if at == 1 && w.encoded.mixed || w.encoded.hashed == d.newest() && !d.task.plugin.UpgradePending() {
			return // it waits for those before it, and no longer
		}
		w.takenBack(w.encoded.jobs)
		w.encoded, w.state = nil, isWaiting
		at--
	}
	for at > 0 && !d.live[at-1].sent {
		at--
		d.unnote(d.live[at])
		d.live[at].takenBack(d.queue.takeBack(d.live[at]))
		d.live[at].state = isWaiting
	}
}

// again has a batch encoded that waits for that.
func (d *dispatch) again(w *writing) (over bool, err error) {
	t := d.task
	switch alone := d.alone(); {
	case !alone && (w.adopt || d.changed()):
		return false, nil
	case w.adopt || t.plugin.UpgradePending():
		if _, err := t.plugin.Upgrade(t.run.stopping); err != nil {
			return true, d.abort(err)
		}
	}
	d.encode(w)
	return false, nil
}

// abort ends all batches: a fault has come while nothing was on its way.
func (d *dispatch) abort(err error) error {
	d.fail(err)
	_, err = d.stop()
	return err
}

// begin has the next batch encoded, where it need not wait.
func (d *dispatch) begin(b *batch) (over bool, err error) {
	t, alone := d.task, len(d.live) == 0
	switch {
	case b.err != nil:
		if alone {
			t.commit(t.run.working)
		}
		return alone, b.err
	case b.caughtUp && alone:
		d.next = nil
		return d.caughtUp()
	case b.caughtUp, d.doubt != nil && !alone:
		return false, nil
	case d.doubt != nil && !t.account.examining():
		return true, d.doubt
	case !alone && (d.changed() || d.bytes()+b.bytes()+t.account.bytes() > maxHeld):
		return false, nil
	}
	if alone && t.plugin.UpgradePending() {
		if _, err := t.plugin.Upgrade(t.run.stopping); err != nil {
			return true, err
		}
	}
	w := &writing{task: t, batch: b, number: int(t.count.batches.Add(1)), tries: make([]tries, len(b.rows.Rows)),
		bytes: b.bytes(), began: time.Now(), rows: make([]uint32, len(b.rows.Rows))}
	for i := range w.rows {
		w.rows[i] = uint32(i)
	}
	d.next, d.live = nil, append(d.live, w)
	t.o.Metrics.Batches.AddActive(len(b.rows.Rows))
	d.encode(w)
	return false, nil
}

// bytes are those that batches hold.
func (d *dispatch) bytes() (n int) {
	for _, w := range d.live {
		n += w.bytes
	}
	return n
}

// caughtUp looks whether a task that finishes is at its end.
func (d *dispatch) caughtUp() (over bool, err error) {
	t := d.task
	t.commit(t.run.working)
	if d.doubt != nil {
		return true, d.doubt
	}
	done, err := t.o.CaughtUp(t.run.working)
	if err != nil {
		return true, fmt.Errorf("look for the ends of the topics: %w", err)
	}
	return done, errDone
}

// encode makes the deliveries of a batch.
func (d *dispatch) encode(w *writing) {
	w.state, w.adopt = isEncoding, false
	go func() {
		var jobs []job
		var out outcome
		span := w.batch.span.StartChild("encode", tracing.Internal)
		err := guard.Do(d.task.log, "a sink task, the stage of encoding", func() (err error) {
			jobs, err = w.deliveries(&out)
			return err
		})
		span.SetInt("culvert.requests", int64(len(jobs)))
		span.End(err)
		d.events <- func() {
			d.learn(&out)
			d.made(w, jobs, err)
		}
	}()
}

// learn takes what came of encoding or delivering rows.
func (d *dispatch) learn(o *outcome) {
	if o.bad != nil && (d.bad == nil || d.bad.before(o.bad.of, o.bad.row)) {
		d.bad = o.bad
	}
	if o.doubt != nil && goesFirst(o.doubt, d.doubt) {
		d.doubt = o.doubt
	}
}

// made takes the deliveries of a batch.
func (d *dispatch) made(w *writing, jobs []job, err error) {
	switch w.left = len(jobs); {
	case errors.Is(err, errAdopt):
		w.adopt, w.state = true, isWaiting
		return
	case err != nil:
		d.fail(err)
		d.finish(w)
		return
	case w.left == 0:
		d.finish(w)
		return
	}
	w.state, w.encoded = isEncoded, &encoded{jobs: jobs, hashed: d.newest()}
	w.bytes = w.batch.bytes() + int(w.held.Load())
	first := true
	for n := range jobs {
		j := &jobs[n]
		if j.noCheck != nil {
			continue
		}
		if first {
			w.encoded.hashed, first = j.hashed, false
		}
		w.encoded.mixed = w.encoded.mixed || j.hashed != w.encoded.hashed
	}
	if w.encoded.mixed {
		w.encoded.hashed = hashed{}
	}
}

// finish ends a batch of which nothing is on its way any more.
func (d *dispatch) finish(w *writing) {
	d.reportHalves(w)
	w.batch.span.End(nil) // what went wrong stands in its parts
	tally := &w.task.o.Metrics.Batches
	tally.Record(w.began, len(w.batch.rows.Rows))
	tally.AddActive(-len(w.batch.rows.Rows))
	d.live = slices.DeleteFunc(d.live, func(other *writing) bool { return other == w })
	d.ended = true
	d.queue.forgetSettled(d.task.account.holds)
}

// reportHalves fails by records of which some rows are written, and others will not be.
func (d *dispatch) reportHalves(w *writing) {
	for n, i := range w.batch.items {
		if n > 0 && w.batch.items[n-1] == i || !w.task.account.is(i, (*item).halfWritten) ||
			w.task.o.InDoubt.why(i.record) != nil {
			continue
		}
		why := errors.New("some of the rows that the transforms made of it are written, and others are not")
		if d.bad != nil && d.bad.of == w && w.batch.items[d.bad.row] == i {
			why = fmt.Errorf("%w: %w", why, errors.Unwrap(d.bad.err))
		}
		d.fail(w.task.unsure(i, why))
	}
}

// start begins deliveries, as many as may.
func (d *dispatch) start() {
	for d.running < d.task.o.InFlight {
		l := d.following()
		if l == nil {
			return
		}
		d.running++
		j := l.jobs[0] // the lane may get longer meanwhile
		j.of.sent = true
		j.awaits = d.queue.awaits(l)
		go func() {
			var out outcome
			again, err := j.of.guarded(&out, &j)
			d.events <- func() {
				d.running--
				d.learn(&out)
				// A read that comes back with nothing to be sent again has settled its row: it was there already.
				if l.numbered && (!j.reads() || err == nil && len(again) == 0) {
					d.queue.settled[l.number] = d.task.account.apply(marked{}).number
				}
				d.delivered(l, again, err)
			}
		}()
	}
}

// notedRows is how many rows are announced ahead for each request that may be on its way: after a kill they are in
// doubt as those are that were sent.
const notedRows = 3

// following is the lane whose delivery goes out next, nil for none. One that must not be sent twice is announced, and
// with it those that follow. What comes back into the queue meanwhile and was read before these goes before them.
func (d *dispatch) following() *lane {
	d.unnoteAll()
	if len(d.noted) > 0 {
		if first := d.queue.first(); first != nil && first.before(d.noted[0]) {
			if l := d.note(d.nextLane(false, false)); l != nil {
				return l
			}
			d.unnoteAll()
		}
		if len(d.noted) > 0 {
			return d.nextNoted()
		}
	}
	for rows := 0; rows < notedRows*d.task.o.InFlight; {
		ahead := len(d.noted) > 0
		l := d.note(d.nextLane(d.running == 0 && !ahead, ahead))
		if l == nil {
			break
		}
		if d.noted = append(d.noted, l); l.jobs[0].Request.Repeatable || d.ends() {
			break
		}
		rows += len(l.jobs[0].rows)
	}
	return d.nextNoted()
}

func (d *dispatch) nextNoted() *lane {
	if len(d.noted) == 0 {
		return nil
	}
	l := d.noted[0]
	d.noted = d.noted[1:]
	return l
}

// note announces the delivery of a lane that must not be sent twice; nil: there is none.
func (d *dispatch) note(l *lane) *lane {
	if l != nil && !l.jobs[0].Request.Repeatable {
		j := &l.jobs[0]
		j.note = j.of.note(j)
	}
	return l
}

// ends tells whether the task is about to end, so that what may still go out is asked of each delivery.
func (d *dispatch) ends() bool { return d.task.run.ends() || d.bad != nil || d.doubt != nil }

// unnoteAll puts back all that was announced, where the task is about to end: which of it still goes out is asked of
// each delivery then.
func (d *dispatch) unnoteAll() {
	if d.ends() {
		d.unnote(nil)
	}
}

// unnote puts back lanes whose next delivery is of the batch, nil for any, was announced and has not been sent.
func (d *dispatch) unnote(w *writing) {
	d.noted = slices.DeleteFunc(d.noted, func(l *lane) bool {
		j := &l.jobs[0]
		if w != nil && j.of != w {
			return false
		}
		items := j.of.items(j)
		if j.note > 0 {
			d.task.account.apply(outcomeKnown{items})
		}
		j.note = 0
		d.task.account.apply(deliveryEnded{items})
		d.queue.putBack(l)
		return true
	})
}

// delivered takes a delivery from its lane. What is to be encoded again goes before what comes after it, so that rows
// of one key never overtake (P20).
func (d *dispatch) delivered(l *lane, again []job, err error) {
	if err != nil {
		d.fail(err)
		again = nil
	}
	w := l.jobs[0].of
	w.sent = true
	w.held.Add(-bytesOf(l.jobs[:1]))
	w.left += len(again) - 1
	d.queue.ended(l, again)
	if w.left == 0 {
		d.finish(w)
	}
}

// drop ends the delivery that is next, unsent.
func (d *dispatch) drop(l *lane) {
	d.queue.begin(l)
	d.delivered(l, nil, nil)
}

// setAside takes the lane that is next out for good.
func (d *dispatch) setAside(l *lane) {
	d.queue.setAside(l)
	for _, j := range l.jobs {
		if j.of.left--; j.of.left == 0 {
			d.finish(j.of)
		}
	}
}

func (d *dispatch) fail(err error) {
	if goesFirst(err, d.failure) {
		d.failure = err
	}
	d.task.run.fail()
}

// nextLane is the lane whose first delivery may begin now, nil for none: of all that can, the one that was read first,
// so that little is settled out of order. alone: nothing is on its way. ahead: only one that must not be sent twice.
func (d *dispatch) nextLane(alone, ahead bool) *lane {
	account := d.task.account
	for {
		l := d.queue.first()
		if l == nil || ahead && (l.jobs[0].Request.Repeatable || l.jobs[0].noCheck != nil) {
			return nil
		}
		j := &l.jobs[0]
		w := j.of
		items := w.items(j)
		if d.task.run.ends() && !w.completes(items) {
			d.setAside(l)
			continue
		}
		if j.noCheck != nil && j.noCheck.inherited { // even if another member owns it now: later rows were dropped
			account.apply(doubtLookedAt{items})
			d.learn(&outcome{doubt: j.noCheck.failure})
			d.drop(l)
			continue
		}
		if account.some(items, (*item).theirs) { // this delivery no longer decides about them
			mine := slices.DeleteFunc(slices.Clone(j.rows),
				func(row uint32) bool { return account.is(w.batch.items[row], (*item).theirs) })
			if len(mine) == 0 { // their new owner writes them
				d.drop(l)
			} else {
				d.encodeAgain(l, mine)
			}
			continue
		}
		if d.doubt != nil && !w.allInDoubt(j) && !w.completes(items) {
			// The task is about to fail: what is in doubt is looked at, and nothing else goes out that could overtake
			// it.
			account.apply(doubtLookedAt{items})
			d.drop(l)
			continue
		}
		if before := d.beforeEnd(j); len(before) == 0 {
			d.drop(l)
			continue
		} else if len(before) < len(j.rows) {
			d.encodeAgain(l, before)
			continue
		}
		if err := w.undecided(j); err != nil {
			d.fail(err)
			d.setAside(l)
			continue
		}
		switch account.apply(deliveryBegins{items, alone}).begins {
		case begun:
			d.queue.begin(l)
			return l
		case theirs: // just now; the next round drops these rows
		case full:
			if alone {
				d.split(l)
			} else {
				d.queue.full(l)
			}
		}
	}
}

// split replaces a lane's first delivery by two halves, because the commit metadata has no room for the outcome of all
// its rows; a single row fails the task.
func (d *dispatch) split(l *lane) {
	w, rows := l.jobs[0].of, l.jobs[0].rows
	if len(rows) == 1 {
		d.fail(&recordError{item: w.batch.items[rows[0]], stage: "write",
			err: errors.New("the metadata with the group's offset has no room for what may become of it: too many " +
				"records are uncertain, or the brokers take too little with an offset (offset.metadata.max.bytes)")})
		d.setAside(l)
		return
	}
	d.encodeAgain(l, rows[:len(rows)/2], rows[len(rows)/2:])
}

// encodeAgain puts other deliveries in the place of a lane's first one, which has not begun: one or more for each part
// of its rows.
func (d *dispatch) encodeAgain(l *lane, parts ...[]uint32) {
	w := l.jobs[0].of
	var jobs []job
	var out outcome
	for _, rows := range parts {
		if len(rows) == 0 {
			continue
		}
		var hints []wit.Hint
		for n, row := range rows {
			if hint := w.tries[row].hint; hint != "" {
				hints = append(hints, wit.Hint{Row: uint32(n), Text: hint})
			}
		}
		some, err := w.encode(&out, rows, hints)
		d.learn(&out)
		if err != nil {
			d.fail(err)
			d.setAside(l)
			return
		}
		jobs = append(jobs, some...)
	}
	d.queue.begin(l)
	d.delivered(l, jobs, nil)
}

// beforeEnd are the rows of a delivery that were read before the record at which the task ends, or will fail, or
// complete a record of which others are written; all of them where there is none.
func (d *dispatch) beforeEnd(j *job) []uint32 {
	if d.bad == nil && d.unchecked == nil {
		return j.rows
	}
	return slices.DeleteFunc(slices.Clone(j.rows), func(row uint32) bool {
		ends := d.bad != nil && !d.bad.before(j.of, row) ||
			d.unchecked != nil && !d.unchecked.before(j.of, row) && j.of.tries[row].doubt == nil
		return ends && !d.task.account.is(j.of.batch.items[row], (*item).halfWritten)
	})
}
