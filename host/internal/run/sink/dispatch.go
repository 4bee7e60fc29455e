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

// maxActiveBytes is how many bytes of records and rows are held, about, by batches that are written side by side: as many as
// one batch may have.
const maxActiveBytes = maxBatchBytes + maxConvertedBytes

// dispatcher writes batches side by side: a delivery waits for those before it in its lane, not for its batch's. A batch
// begins as long as all that is held has few bytes, each of its deliveries when the metadata says what must be known of
// it should the worker be killed. Those of which nothing was sent are encoded again when the plugin has learned
// something, or another version takes over: lanes can be compared where they were made by the same. It belongs to one
// goroutine; deliveries, at most InFlight at a time, and the encoding of a batch are goroutines of their own, all of
// them ended when run returns.
//
// Invariants: live is in the order in which batches were read. Of its batches those that wait to be encoded are the
// last ones, at most one is encoded or waits for its place in the queue, and it stands before these. What fails ends
// the start of anything new; the fault that is returned is that of the record that was read first.
type dispatcher struct {
	task  *Task
	queue *queue
	// events are functions that finished deliveries and encodings post; run calls them, so only its goroutine changes
	// dispatch.
	events chan func()
	// running is how many deliveries are on their way.
	inFlight int
	// announced are lanes whose next delivery has begun and goes out next, in this order: it must not be sent twice, and is
	// announced with others, so that one commit says of all of them that they may have been sent.
	announced []*lane
	// next is the batch that came last and has not begun; closed: none are to come.
	next   *batch
	closed bool
	// active are the batches that have begun and not ended; ended: one has since the last commit.
	active     []*activeBatch
	batchEnded bool
	// failure is why nothing more is begun. bad is the first record, in the order in which they were read, that cannot
	// be written where none may be skipped: the task ends at it. doubt is the fault of records in doubt that nobody can
	// check, which ends the task when all of them are found. nil: there is none.
	failure      error
	firstFailure *failedRow
	inDoubtErr   error
	// firstUncheckable is the first record, in the order in which they were read, that a run before has left in doubt and of
	// which there is no check: the task will fail by it, and nothing but checks of what was read after it goes out.
	// nil: there is none.
	firstUncheckable *failedRow
}

func newDispatcher(t *Task) *dispatcher {
	return &dispatcher{task: t, queue: newQueue(), events: make(chan func(), t.o.InFlight+1)}
}

// run writes batches until there are no more, or the task is to stop. It returns the task's fault when nothing is on
// its way any more.
func (d *dispatcher) run(batches <-chan *batch) error {
	t, stop := d.task, d.task.run.startCtx.Done()
	for {
		if finished, err := d.step(); finished {
			return err
		}
		if len(d.active) == 0 && d.batchEnded {
			// One commit says what came of the batches before, and that the next one is about to be sent.
			if d.next == nil && !d.closed && d.inDoubtErr == nil {
				select {
				case b, ok := <-batches:
					d.setNext(b, ok)
					continue
				default:
				}
			}
			d.batchEnded = false
			if err := t.commit(t.run.requestCtx); errors.Is(err, kafka.ErrCommitMetadata) {
				return err
			}
			continue
		}
		in := batches
		if d.next != nil || d.closed || stop == nil || t.run.isEnding() || d.firstFailure != nil {
			in = nil
		}
		var graceOver <-chan time.Time
		if d.inDoubtErr != nil && len(d.active) == 0 { // records that may be in doubt, too, are waited for
			timer := time.NewTimer(2*t.o.Every + inDoubtGrace)
			defer timer.Stop()
			graceOver = timer.C
		}
		select {
		case handle := <-d.events:
			handle()
		case b, ok := <-in:
			d.setNext(b, ok)
		case err := <-t.broken:
			d.fail(err)
		case <-stop:
			stop = nil
		case <-graceOver:
			return d.inDoubtErr
		}
	}
}

// inDoubtGrace is how long further records are waited for that a run which was killed may have sent.
const inDoubtGrace = 5 * time.Second

// errDone ends a task that finishes.
var errDone = errors.New("done")

func (d *dispatcher) setNext(b *batch, ok bool) { d.next, d.closed = b, !ok }

// step does what can be done now. over: nothing is on its way, and nothing is to come.
func (d *dispatcher) step() (finished bool, err error) {
	d.startDeliveries()
	if d.task.run.isEnding() {
		return d.stop()
	}
	d.requeue()
	if w := d.firstIn(batchEncoded); w != nil && d.fits(w) {
		d.queue.add(w.encoded)
		d.noteUncheckable(w)
		w.encoded, w.state = nil, batchQueued
		d.startDeliveries()
		d.requeue()
	}
	w := d.firstIn(batchWaiting)
	switch {
	case d.firstIn(batchEncoding) != nil || d.firstIn(batchEncoded) != nil:
		return false, nil
	case w != nil && d.firstFailure != nil && w.number > d.firstFailure.active.number:
		d.finishBatch(w)
		return d.step()
	case w != nil:
		return d.reencode(w)
	case d.next != nil && d.firstFailure == nil:
		return d.startBatch(d.next)
	case len(d.active) > 0:
		return false, nil
	case d.firstFailure != nil && d.inDoubtErr == nil:
		return true, d.firstFailure.err
	}
	return d.closed || d.inDoubtErr != nil && (d.firstFailure != nil || !d.task.tracker.checksPending()), d.inDoubtErr
}

// noteUncheckable notes the first record in doubt of a batch of which there is no check. The batch is not taken back
// any more, so that the task fails by it.
func (d *dispatcher) noteUncheckable(w *activeBatch) {
	for i := range w.encoded.deliveries {
		j := &w.encoded.deliveries[i]
		if j.uncheckable == nil {
			continue
		}
		if w.started = true; d.firstUncheckable == nil || d.firstUncheckable.readBefore(w, j.rows[0]) {
			d.firstUncheckable = &failedRow{active: w, row: j.rows[0], err: j.uncheckable.failure}
		}
	}
}

// firstIn is the first batch in a state, nil for none.
func (d *dispatcher) firstIn(s batchState) *activeBatch {
	if at := slices.IndexFunc(d.active, func(w *activeBatch) bool { return w.state == s }); at >= 0 {
		return d.active[at]
	}
	return nil
}

// stop ends the batches of which nothing is on its way.
func (d *dispatcher) stop() (finished bool, err error) {
	for _, w := range slices.Clone(d.active) {
		if w.state == batchEncoded || w.state == batchWaiting {
			d.finishBatch(w)
		}
	}
	switch {
	case len(d.active) > 0:
		return false, nil
	case d.firstFailure != nil && takesPrecedence(d.firstFailure.err, d.failure):
		return true, d.firstFailure.err
	case d.failure != nil:
		return true, d.failure
	}
	return true, context.Cause(d.task.run.stopCtx)
}

// alone tells whether nothing can be on its way: all batches wait to be encoded, or for their place in the queue.
func (d *dispatcher) isIdle() bool {
	return !slices.ContainsFunc(d.active, func(w *activeBatch) bool { return w.state == batchQueued || w.state == batchEncoding })
}

// fits tells whether the deliveries of a batch can go after those of the queue.
func (d *dispatcher) fits(w *activeBatch) bool {
	return d.isIdle() || !w.encoded.mixed && w.encoded.version == d.queue.version
}

// contextVersion is what lanes are made by now.
func (d *dispatcher) contextVersion() contextVersion {
	_, version := d.task.plugin.Opened().currentContext()
	return version
}

// contextChanged tells whether batches are encoded otherwise now than those of the queue were.
func (d *dispatcher) contextChanged() bool {
	return d.contextVersion() != d.queue.version || d.task.plugin.Waiting()
}

// requeue takes back batches of which nothing was sent, where they are to be encoded again: those after the last one of
// which something was.
func (d *dispatcher) requeue() {
	at := slices.IndexFunc(d.active, func(w *activeBatch) bool { return w.state == batchWaiting })
	if at < 0 {
		at = len(d.active)
	}
	if at == 0 || d.firstIn(batchEncoding) != nil || !d.contextChanged() {
		return
	}
	if w := d.active[at-1]; w.state == batchEncoded {
		if at == 1 && w.encoded.mixed || w.encoded.version == d.contextVersion() && !d.task.plugin.Waiting() {
			return // it waits for those before it, and no longer
		}
		w.requeueRows(w.encoded.deliveries)
		w.encoded, w.state = nil, batchWaiting
		at--
	}
	for at > 0 && !d.active[at-1].started {
		at--
		d.retract(d.active[at])
		d.active[at].requeueRows(d.queue.removeBatch(d.active[at]))
		d.active[at].state = batchWaiting
	}
}

// again has a batch encoded that waits for that.
func (d *dispatcher) reencode(w *activeBatch) (finished bool, err error) {
	t := d.task
	switch idle := d.isIdle(); {
	case !idle && (w.switchVersion || d.contextChanged()):
		return false, nil
	case w.switchVersion || t.plugin.Waiting():
		if _, err := t.plugin.Adopt(t.run.stopCtx); err != nil {
			return true, d.abort(err)
		}
	}
	d.encode(w)
	return false, nil
}

// abort ends all batches: a fault has come while nothing was on its way.
func (d *dispatcher) abort(err error) error {
	d.fail(err)
	_, err = d.stop()
	return err
}

// begin has the next batch encoded, where it need not wait.
func (d *dispatcher) startBatch(b *batch) (finished bool, err error) {
	t, idle := d.task, len(d.active) == 0
	switch {
	case b.err != nil:
		if idle {
			t.commit(t.run.requestCtx)
		}
		return idle, b.err
	case b.idle && idle:
		d.next = nil
		return d.checkCaughtUp()
	case b.idle, d.inDoubtErr != nil && !idle:
		return false, nil
	case d.inDoubtErr != nil && !t.tracker.checksPending():
		return true, d.inDoubtErr
	case !idle && (d.contextChanged() || d.bytes()+b.bytes()+t.tracker.bytes() > maxActiveBytes):
		return false, nil
	}
	if idle && t.plugin.Waiting() {
		if _, err := t.plugin.Adopt(t.run.stopCtx); err != nil {
			return true, err
		}
	}
	w := &activeBatch{task: t, batch: b, number: int(t.count.batches.Add(1)), rowStates: make([]rowState, len(b.rows.Rows)),
		bytes: b.bytes(), startedAt: time.Now(), rows: make([]uint32, len(b.rows.Rows))}
	for i := range w.rows {
		w.rows[i] = uint32(i)
	}
	d.next, d.active = nil, append(d.active, w)
	t.o.Tally.Batches.Hold(len(b.rows.Rows))
	d.encode(w)
	return false, nil
}

// bytes are those that batches hold.
func (d *dispatcher) bytes() (n int) {
	for _, w := range d.active {
		n += w.bytes
	}
	return n
}

// caughtUp looks whether a task that finishes is at its end.
func (d *dispatcher) checkCaughtUp() (finished bool, err error) {
	t := d.task
	t.commit(t.run.requestCtx)
	if d.inDoubtErr != nil {
		return true, d.inDoubtErr
	}
	done, err := t.o.CaughtUp(t.run.requestCtx)
	if err != nil {
		return true, fmt.Errorf("look for the ends of the topics: %w", err)
	}
	return done, errDone
}

// encode makes the deliveries of a batch.
func (d *dispatcher) encode(w *activeBatch) {
	w.state, w.switchVersion = batchEncoding, false
	go func() {
		var jobs []delivery
		var out outcome
		span := w.batch.span.Child("encode", tracing.Internal)
		err := guard.Do(d.task.log, "a sink task, the stage of encoding", func() (err error) {
			jobs, err = w.encodeBatch(&out)
			return err
		})
		span.Number("culvert.requests", int64(len(jobs)))
		span.End(err)
		d.events <- func() {
			d.merge(&out)
			d.onEncoded(w, jobs, err)
		}
	}()
}

// merge takes what came of encoding or delivering rows.
func (d *dispatcher) merge(o *outcome) {
	if o.firstFailure != nil && (d.firstFailure == nil || d.firstFailure.readBefore(o.firstFailure.active, o.firstFailure.row)) {
		d.firstFailure = o.firstFailure
	}
	if o.inDoubtErr != nil && takesPrecedence(o.inDoubtErr, d.inDoubtErr) {
		d.inDoubtErr = o.inDoubtErr
	}
}

// made takes the deliveries of a batch.
func (d *dispatcher) onEncoded(w *activeBatch, jobs []delivery, err error) {
	switch w.remaining = len(jobs); {
	case errors.Is(err, errSwitchVersion):
		w.switchVersion, w.state = true, batchWaiting
		return
	case err != nil:
		d.fail(err)
		d.finishBatch(w)
		return
	case w.remaining == 0:
		d.finishBatch(w)
		return
	}
	w.state, w.encoded = batchEncoded, &encodedBatch{deliveries: jobs, version: d.contextVersion()}
	w.bytes = w.batch.bytes() + int(w.deliveryBytes.Load())
	first := true
	for n := range jobs {
		j := &jobs[n]
		if j.uncheckable != nil {
			continue
		}
		if first {
			w.encoded.version, first = j.version, false
		}
		w.encoded.mixed = w.encoded.mixed || j.version != w.encoded.version
	}
	if w.encoded.mixed {
		w.encoded.version = contextVersion{}
	}
}

// finishBatch ends a batch of which nothing is on its way any more.
func (d *dispatcher) finishBatch(w *activeBatch) {
	d.failPartialRecords(w)
	w.batch.span.End(nil) // what went wrong stands in its parts
	tally := &w.task.o.Tally.Batches
	tally.Ended(w.startedAt, len(w.batch.rows.Rows))
	tally.Hold(-len(w.batch.rows.Rows))
	d.active = slices.DeleteFunc(d.active, func(other *activeBatch) bool { return other == w })
	d.batchEnded = true
	d.queue.dropDurable(d.task.tracker.isDurable)
}

// failPartialRecords fails by records of which some rows are written, and others will not be.
func (d *dispatcher) failPartialRecords(w *activeBatch) {
	for n, i := range w.batch.items {
		if n > 0 && w.batch.items[n-1] == i || !w.task.tracker.check(i, (*item).partiallyWritten) ||
			w.task.o.Uncertain.cause(i.record) != nil {
			continue
		}
		reason := errors.New("some of the rows that the transforms made of it are written, and others are not")
		if d.firstFailure != nil && d.firstFailure.active == w && w.batch.items[d.firstFailure.row] == i {
			reason = fmt.Errorf("%w: %w", reason, errors.Unwrap(d.firstFailure.err))
		}
		d.fail(w.task.markInDoubt(i, reason))
	}
}

// startDeliveries begins deliveries, as many as may.
func (d *dispatcher) startDeliveries() {
	for d.inFlight < d.task.o.InFlight {
		l := d.nextDelivery()
		if l == nil {
			return
		}
		d.inFlight++
		j := l.deliveries[0] // the lane may get longer meanwhile
		j.active.started = true
		j.awaitedSeq = d.queue.awaitedSeq(l)
		go func() {
			var out outcome
			retries, err := j.active.deliverGuarded(&out, &j)
			d.events <- func() {
				d.inFlight--
				d.merge(&out)
				// A read that comes back with nothing to be sent again has settled its row: it was there already.
				if l.keyed && (!j.isRead() || err == nil && len(retries) == 0) {
					d.queue.settledSeq[l.key] = d.task.tracker.apply(storeRequested{}).number
				}
				d.onDelivered(l, retries, err)
			}
		}()
	}
}

// announcedRowsPerSlot is how many rows are announced ahead for each request that may be on its way: after a kill they are in
// doubt as those are that were sent.
const announcedRowsPerSlot = 3

// nextDelivery is the lane whose delivery goes out next, nil for none. One that must not be sent twice is announced, and
// with it those that follow. What comes back into the queue meanwhile and was read before these goes before them.
func (d *dispatcher) nextDelivery() *lane {
	d.retractAll()
	if len(d.announced) > 0 {
		if first := d.queue.first(); first != nil && first.readBefore(d.announced[0]) {
			if l := d.announce(d.nextLane(false, false)); l != nil {
				return l
			}
			d.retractAll()
		}
		if len(d.announced) > 0 {
			return d.nextAnnounced()
		}
	}
	for rows := 0; rows < announcedRowsPerSlot*d.task.o.InFlight; {
		announcing := len(d.announced) > 0
		l := d.announce(d.nextLane(d.inFlight == 0 && !announcing, announcing))
		if l == nil {
			break
		}
		if d.announced = append(d.announced, l); l.deliveries[0].Request.Repeatable || d.isEnding() {
			break
		}
		rows += len(l.deliveries[0].rows)
	}
	return d.nextAnnounced()
}

func (d *dispatcher) nextAnnounced() *lane {
	if len(d.announced) == 0 {
		return nil
	}
	l := d.announced[0]
	d.announced = d.announced[1:]
	return l
}

// note announces the delivery of a lane that must not be sent twice; nil: there is none.
func (d *dispatcher) announce(l *lane) *lane {
	if l != nil && !l.deliveries[0].Request.Repeatable {
		j := &l.deliveries[0]
		j.announcedSeq = j.active.announce(j)
	}
	return l
}

// ends tells whether the task is about to end, so that what may still go out is asked of each delivery.
func (d *dispatcher) isEnding() bool {
	return d.task.run.isEnding() || d.firstFailure != nil || d.inDoubtErr != nil
}

// retractAll puts back all that was announced, where the task is about to end: which of it still goes out is asked of
// each delivery then.
func (d *dispatcher) retractAll() {
	if d.isEnding() {
		d.retract(nil)
	}
}

// retract puts back lanes whose next delivery is of the batch, nil for any, was announced and has not been sent.
func (d *dispatcher) retract(w *activeBatch) {
	d.announced = slices.DeleteFunc(d.announced, func(l *lane) bool {
		j := &l.deliveries[0]
		if w != nil && j.active != w {
			return false
		}
		items := j.active.items(j)
		if j.announcedSeq > 0 {
			d.task.tracker.apply(outcomeKnown{items})
		}
		j.announcedSeq = 0
		d.task.tracker.apply(deliveryEnded{items})
		d.queue.pushBack(l)
		return true
	})
}

// onDelivered takes a delivery from its lane. What is to be encoded again goes before what comes after it, so that rows
// of one key never overtake (P20).
func (d *dispatcher) onDelivered(l *lane, retries []delivery, err error) {
	if err != nil {
		d.fail(err)
		retries = nil
	}
	w := l.deliveries[0].active
	w.started = true
	w.deliveryBytes.Add(-bytesOf(l.deliveries[:1]))
	w.remaining += len(retries) - 1
	d.queue.complete(l, retries)
	if w.remaining == 0 {
		d.finishBatch(w)
	}
}

// skip ends the delivery that is next, unsent.
func (d *dispatcher) skip(l *lane) {
	d.queue.pop(l)
	d.onDelivered(l, nil, nil)
}

// setAside takes the lane that is next out for good.
func (d *dispatcher) abandonLane(l *lane) {
	d.queue.discard(l)
	for _, j := range l.deliveries {
		if j.active.remaining--; j.active.remaining == 0 {
			d.finishBatch(j.active)
		}
	}
}

func (d *dispatcher) fail(err error) {
	if takesPrecedence(err, d.failure) {
		d.failure = err
	}
	d.task.run.fail()
}

// nextLane is the lane whose first delivery may begin now, nil for none: of all that can, the one that was read first,
// so that little is settled out of order. alone: nothing is on its way. ahead: only one that must not be sent twice.
func (d *dispatcher) nextLane(idle, nonRepeatableOnly bool) *lane {
	account := d.task.tracker
	for {
		l := d.queue.first()
		if l == nil || nonRepeatableOnly && (l.deliveries[0].Request.Repeatable || l.deliveries[0].uncheckable != nil) {
			return nil
		}
		j := &l.deliveries[0]
		w := j.active
		items := w.items(j)
		if d.task.run.isEnding() && !w.completesPartial(items) {
			d.abandonLane(l)
			continue
		}
		if j.uncheckable != nil && j.uncheckable.inherited { // even if another member owns it now: later rows were dropped
			account.apply(inDoubtChecked{items})
			d.merge(&outcome{inDoubtErr: j.uncheckable.failure})
			d.skip(l)
			continue
		}
		if account.checkAny(items, (*item).revoked) { // this delivery no longer decides about them
			owned := slices.DeleteFunc(slices.Clone(j.rows),
				func(row uint32) bool { return account.check(w.batch.items[row], (*item).revoked) })
			if len(owned) == 0 { // their new owner writes them
				d.skip(l)
			} else {
				d.reencodeFirst(l, owned)
			}
			continue
		}
		if d.inDoubtErr != nil && !w.allInDoubt(j) && !w.completesPartial(items) {
			// The task is about to fail: what is in doubt is looked at, and nothing else goes out that could overtake
			// it.
			account.apply(inDoubtChecked{items})
			d.skip(l)
			continue
		}
		if before := d.rowsBeforeEnd(j); len(before) == 0 {
			d.skip(l)
			continue
		} else if len(before) < len(j.rows) {
			d.reencodeFirst(l, before)
			continue
		}
		if err := w.inDoubtUnchecked(j); err != nil {
			d.fail(err)
			d.abandonLane(l)
			continue
		}
		switch account.apply(deliveryStart{items, idle}).start {
		case startOK:
			d.queue.pop(l)
			return l
		case startRevoked: // just now; the next round drops these rows
		case startMetadataFull:
			if idle {
				d.split(l)
			} else {
				d.queue.block(l)
			}
		}
	}
}

// split replaces a lane's first delivery by two halves, because the commit metadata has no room for the outcome of all
// its rows; a single row fails the task.
func (d *dispatcher) split(l *lane) {
	w, rows := l.deliveries[0].active, l.deliveries[0].rows
	if len(rows) == 1 {
		d.fail(&recordError{item: w.batch.items[rows[0]], stage: "write",
			err: errors.New("the metadata with the group's offset has no room for what may become of it: too many " +
				"records are uncertain, or the brokers take too little with an offset (offset.metadata.max.bytes)")})
		d.abandonLane(l)
		return
	}
	d.reencodeFirst(l, rows[:len(rows)/2], rows[len(rows)/2:])
}

// reencodeFirst puts other deliveries in the place of a lane's first one, which has not begun: one or more for each part
// of its rows.
func (d *dispatcher) reencodeFirst(l *lane, parts ...[]uint32) {
	w := l.deliveries[0].active
	var jobs []delivery
	var out outcome
	for _, rows := range parts {
		if len(rows) == 0 {
			continue
		}
		var hints []wit.Hint
		for n, row := range rows {
			if hint := w.rowStates[row].hint; hint != "" {
				hints = append(hints, wit.Hint{Row: uint32(n), Text: hint})
			}
		}
		more, err := w.encodeRows(&out, rows, hints)
		d.merge(&out)
		if err != nil {
			d.fail(err)
			d.abandonLane(l)
			return
		}
		jobs = append(jobs, more...)
	}
	d.queue.pop(l)
	d.onDelivered(l, jobs, nil)
}

// rowsBeforeEnd are the rows of a delivery that were read before the record at which the task ends, or will fail, or
// complete a record of which others are written; all of them where there is none.
func (d *dispatcher) rowsBeforeEnd(j *delivery) []uint32 {
	if d.firstFailure == nil && d.firstUncheckable == nil {
		return j.rows
	}
	return slices.DeleteFunc(slices.Clone(j.rows), func(row uint32) bool {
		excluded := d.firstFailure != nil && !d.firstFailure.readBefore(j.active, row) ||
			d.firstUncheckable != nil && !d.firstUncheckable.readBefore(j.active, row) && j.active.rowStates[row].inDoubt == nil
		return excluded && !d.task.tracker.check(j.active.batch.items[row], (*item).partiallyWritten)
	})
}
