package sink

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/run/tracing"
	"github.com/culvert-project/culvert/wit"
)

const maxActiveBytes = maxBatchBytes + maxConvertedBytes

// dispatcher writes several batches at the same time: a delivery waits for the earlier ones of its lane, not of its
// batch. Deliveries and encodings run in their own goroutines, which end before run returns; the dispatcher's state
// belongs to the goroutine of run.
//
// Invariants: active is in read order. Batches that wait to be encoded are the last ones; at most one batch is being
// encoded or waits for its place in the queue, and it precedes these. After a failure nothing new starts, and the error
// returned is that of the record that was read first.
type dispatcher struct {
	task     *Task
	queue    *queue
	events   chan func() // the follow-up functions of finished deliveries and encodings
	inFlight int
	// announced lanes have started a non-repeatable delivery that is not sent yet; they share one commit, in sending
	// order.
	announced  []*lane
	next       *batch // the batch that was received last and has not started
	closed     bool
	active     []*activeBatch
	batchEnded bool // since the last commit
	// failure is the first error that is no record's. firstFailure is the first record in read order that cannot be
	// written and must not be skipped. inDoubtErr ends the task when all inherited records in doubt were checked.
	failure      error
	firstFailure *failedRow
	inDoubtErr   error
	// firstUncheckable is the first inherited record in doubt without a check. After it, only checks are sent.
	firstUncheckable *failedRow
}

func newDispatcher(t *Task) *dispatcher {
	return &dispatcher{task: t, queue: newQueue(), events: make(chan func(), t.o.InFlight+1)}
}

// run writes batches until there are none left or the task stops, and returns the task's error when nothing is in
// flight.
func (d *dispatcher) run(batches <-chan *batch) error {
	t, stop := d.task, d.task.run.startCtx.Done()
	for {
		if finished, err := d.step(); finished {
			return err
		}
		if len(d.active) == 0 && d.batchEnded {
			// One commit stores the outcome of the batches before and announces the next one.
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
		if d.inDoubtErr != nil && len(d.active) == 0 { // more records in doubt may follow
			timer := time.NewTimer(2*t.o.Linger + inDoubtGrace)
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

// inDoubtGrace is the wait for more records that a killed run may have sent.
const inDoubtGrace = 5 * time.Second

var errDone = errors.New("done")

func (d *dispatcher) setNext(b *batch, ok bool) { d.next, d.closed = b, !ok }

// step does everything that is possible now; finished means that nothing will follow.
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

// noteUncheckable updates firstUncheckable. The batch is not requeued any more, so that the task fails by it.
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

func (d *dispatcher) firstIn(s batchState) *activeBatch {
	if at := slices.IndexFunc(d.active, func(w *activeBatch) bool { return w.state == s }); at >= 0 {
		return d.active[at]
	}
	return nil
}

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

func (d *dispatcher) isIdle() bool {
	return !slices.ContainsFunc(d.active, func(w *activeBatch) bool {
		return w.state == batchQueued || w.state == batchEncoding
	})
}

// fits reports whether a batch may join the queue: lanes of different context versions cannot be compared.
func (d *dispatcher) fits(w *activeBatch) bool {
	return d.isIdle() || !w.encoded.mixed && w.encoded.version == d.queue.version
}

func (d *dispatcher) contextVersion() contextVersion {
	_, version := d.task.plugin.Opened().currentContext()
	return version
}

func (d *dispatcher) contextChanged() bool {
	return d.contextVersion() != d.queue.version || d.task.plugin.UpgradePending()
}

// requeue takes back the last batches, unsent ones that another context version must encode.
func (d *dispatcher) requeue() {
	at := slices.IndexFunc(d.active, func(w *activeBatch) bool { return w.state == batchWaiting })
	if at < 0 {
		at = len(d.active)
	}
	if at == 0 || d.firstIn(batchEncoding) != nil || !d.contextChanged() {
		return
	}
	if w := d.active[at-1]; w.state == batchEncoded {
		if at == 1 && w.encoded.mixed || w.encoded.version == d.contextVersion() && !d.task.plugin.UpgradePending() {
			return // it only waits for the batches before it
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

func (d *dispatcher) reencode(w *activeBatch) (finished bool, err error) {
	t := d.task
	switch idle := d.isIdle(); {
	case !idle && (w.switchVersion || d.contextChanged()):
		return false, nil
	case w.switchVersion || t.plugin.UpgradePending():
		if _, err := t.plugin.Upgrade(t.run.stopCtx); err != nil {
			return true, d.abort(err)
		}
	}
	d.encode(w)
	return false, nil
}

func (d *dispatcher) abort(err error) error {
	d.fail(err)
	_, err = d.stop()
	return err
}

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
	if idle && t.plugin.UpgradePending() {
		if _, err := t.plugin.Upgrade(t.run.stopCtx); err != nil {
			return true, err
		}
	}
	w := &activeBatch{task: t, batch: b, number: int(t.count.batches.Add(1)),
		rowStates: make([]rowState, len(b.rows.Rows)),
		bytes:     b.bytes(), startedAt: time.Now(), rows: make([]uint32, len(b.rows.Rows))}
	for i := range w.rows {
		w.rows[i] = uint32(i)
	}
	d.next, d.active = nil, append(d.active, w)
	t.o.Metrics.Batches.AddActive(len(b.rows.Rows))
	d.encode(w)
	return false, nil
}

func (d *dispatcher) bytes() (n int) {
	for _, w := range d.active {
		n += w.bytes
	}
	return n
}

func (d *dispatcher) checkCaughtUp() (finished bool, err error) {
	t := d.task
	t.commit(t.run.requestCtx)
	if d.inDoubtErr != nil {
		return true, d.inDoubtErr
	}
	done, err := t.o.CaughtUp(t.run.requestCtx)
	if err != nil {
		return true, fmt.Errorf("read the end offsets of the topics: %w", err)
	}
	return done, errDone
}

func (d *dispatcher) encode(w *activeBatch) {
	w.state, w.switchVersion = batchEncoding, false
	go func() {
		var deliveries []delivery
		var out outcome
		span := w.batch.span.StartChild("encode", tracing.Internal)
		err := guard.Do(d.task.log, "a sink task, the stage of encoding", func() (err error) {
			deliveries, err = w.encodeBatch(&out)
			return err
		})
		span.SetInt("culvert.requests", int64(len(deliveries)))
		span.End(err)
		d.events <- func() {
			d.merge(&out)
			d.onEncoded(w, deliveries, err)
		}
	}()
}

func (d *dispatcher) merge(o *outcome) {
	if f := o.firstFailure; f != nil && (d.firstFailure == nil || d.firstFailure.readBefore(f.active, f.row)) {
		d.firstFailure = f
	}
	if o.inDoubtErr != nil && takesPrecedence(o.inDoubtErr, d.inDoubtErr) {
		d.inDoubtErr = o.inDoubtErr
	}
}

func (d *dispatcher) onEncoded(w *activeBatch, deliveries []delivery, err error) {
	switch w.remaining = len(deliveries); {
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
	w.state, w.encoded = batchEncoded, &encodedBatch{deliveries: deliveries, version: d.contextVersion()}
	w.bytes = w.batch.bytes() + int(w.deliveryBytes.Load())
	first := true
	for n := range deliveries {
		j := &deliveries[n]
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

func (d *dispatcher) finishBatch(w *activeBatch) {
	d.failPartialRecords(w)
	w.batch.span.End(nil) // its children have the errors
	tally := &w.task.o.Metrics.Batches
	tally.Record(w.startedAt, len(w.batch.rows.Rows))
	tally.AddActive(-len(w.batch.rows.Rows))
	d.active = slices.DeleteFunc(d.active, func(other *activeBatch) bool { return other == w })
	d.batchEnded = true
	d.queue.dropDurable(d.task.tracker.isDurable)
}

func (d *dispatcher) failPartialRecords(w *activeBatch) {
	for n, i := range w.batch.items {
		if n > 0 && w.batch.items[n-1] == i || !w.task.tracker.check(i, (*item).partiallyWritten) ||
			w.task.o.InDoubt.cause(i.record) != nil {
			continue
		}
		reason := errors.New("some of the rows that the transforms made of it are written, and others are not")
		if d.firstFailure != nil && d.firstFailure.active == w && w.batch.items[d.firstFailure.row] == i {
			reason = fmt.Errorf("%w: %w", reason, errors.Unwrap(d.firstFailure.err))
		}
		d.fail(w.task.markInDoubt(i, reason))
	}
}

func (d *dispatcher) startDeliveries() {
	for d.inFlight < d.task.o.InFlight {
		l := d.nextDelivery()
		if l == nil {
			return
		}
		d.inFlight++
		j := l.deliveries[0] // a copy: the lane may grow in the meantime
		j.active.started = true
		j.awaitedSeq = d.queue.awaitedSeq(l)
		go func() {
			var out outcome
			retries, err := j.active.deliverGuarded(&out, &j)
			d.events <- func() {
				d.inFlight--
				d.merge(&out)
				// A read without retries has settled its row: the entity existed already.
				if l.keyed && (!j.isRead() || err == nil && len(retries) == 0) {
					d.queue.settledSeq[l.key] = d.task.tracker.apply(storeRequested{}).number
				}
				d.onDelivered(l, retries, err)
			}
		}()
	}
}

// announcedRowsPerSlot bounds the rows announced for each request slot; after a kill all of them are in doubt.
const announcedRowsPerSlot = 3

// nextDelivery announces a non-repeatable delivery together with those that follow it. Earlier ones that return to the
// queue precede them.
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

func (d *dispatcher) announce(l *lane) *lane {
	if l != nil && !l.deliveries[0].Request.Repeatable {
		j := &l.deliveries[0]
		j.announcedSeq = j.active.announce(j)
	}
	return l
}

// isEnding reports whether each delivery must be checked again before it is sent.
func (d *dispatcher) isEnding() bool {
	return d.task.run.isEnding() || d.firstFailure != nil || d.inDoubtErr != nil
}

func (d *dispatcher) retractAll() {
	if d.isEnding() {
		d.retract(nil)
	}
}

// retract returns announced, unsent lanes to the queue: those whose next delivery belongs to the batch, all if it is
// nil.
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

// onDelivered puts retries before the rest of the lane, so that rows of one key stay in order (P20).
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

func (d *dispatcher) skip(l *lane) {
	d.queue.pop(l)
	d.onDelivered(l, nil, nil)
}

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

// nextLane starts the delivery that was read first of all that may start, so that little is settled out of order.
func (d *dispatcher) nextLane(idle, nonRepeatableOnly bool) *lane {
	for {
		l := d.queue.first()
		if l == nil || nonRepeatableOnly && (l.deliveries[0].Request.Repeatable || l.deliveries[0].uncheckable != nil) {
			return nil
		}
		items := l.deliveries[0].active.items(&l.deliveries[0])
		if d.prune(l, items) {
			continue
		}
		switch d.task.tracker.apply(deliveryStart{items, idle}).start {
		case startOK:
			d.queue.pop(l)
			return l
		case startRevoked: // just now; the next iteration drops these rows
		case startMetadataFull:
			if idle {
				d.split(l)
			} else {
				d.queue.block(l)
			}
		}
	}
}

// prune drops or replaces the next delivery of a lane if it must not be sent as it is, and reports whether it did.
func (d *dispatcher) prune(l *lane, items []*item) bool {
	j, tracker := &l.deliveries[0], d.task.tracker
	w := j.active
	if d.task.run.isEnding() && !w.completesPartial(items) {
		d.abandonLane(l)
		return true
	}
	// even if another member owns it now: later rows were skipped
	if j.uncheckable != nil && j.uncheckable.inherited {
		tracker.apply(inDoubtChecked{items})
		d.merge(&outcome{inDoubtErr: j.uncheckable.failure})
		d.skip(l)
		return true
	}
	if tracker.checkAny(items, (*item).revoked) {
		owned := slices.DeleteFunc(slices.Clone(j.rows),
			func(row uint32) bool { return tracker.check(w.batch.items[row], (*item).revoked) })
		if len(owned) == 0 { // their new owner writes all of them
			d.skip(l)
		} else {
			d.reencodeFirst(l, owned)
		}
		return true
	}
	// If the task is about to fail, only records in doubt are checked, so that nothing overtakes them.
	if d.inDoubtErr != nil && !w.allInDoubt(j) && !w.completesPartial(items) {
		tracker.apply(inDoubtChecked{items})
		d.skip(l)
		return true
	}
	if before := d.rowsBeforeEnd(j); len(before) == 0 {
		d.skip(l)
		return true
	} else if len(before) < len(j.rows) {
		d.reencodeFirst(l, before)
		return true
	}
	if err := w.inDoubtUnchecked(j); err != nil {
		d.fail(err)
		d.abandonLane(l)
		return true
	}
	return false
}

// split halves the next delivery because the metadata have no room for all outcomes; a single row fails the task.
func (d *dispatcher) split(l *lane) {
	w, rows := l.deliveries[0].active, l.deliveries[0].rows
	if len(rows) == 1 {
		d.fail(&recordError{item: w.batch.items[rows[0]], stage: "write",
			err: errors.New("the commit metadata has no room for its outcome: too many " +
				"records are uncertain, or the brokers' offset.metadata.max.bytes is too small")})
		d.abandonLane(l)
		return
	}
	d.reencodeFirst(l, rows[:len(rows)/2], rows[len(rows)/2:])
}

func (d *dispatcher) reencodeFirst(l *lane, parts ...[]uint32) {
	w := l.deliveries[0].active
	var deliveries []delivery
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
		deliveries = append(deliveries, more...)
	}
	d.queue.pop(l)
	d.onDelivered(l, deliveries, nil)
}

// rowsBeforeEnd returns the rows that were read before the failing record, and those of partially written records.
func (d *dispatcher) rowsBeforeEnd(j *delivery) []uint32 {
	if d.firstFailure == nil && d.firstUncheckable == nil {
		return j.rows
	}
	return slices.DeleteFunc(slices.Clone(j.rows), func(row uint32) bool {
		excluded := d.firstFailure != nil && !d.firstFailure.readBefore(j.active, row) ||
			d.firstUncheckable != nil && !d.firstUncheckable.readBefore(j.active, row) &&
				j.active.rowStates[row].inDoubt == nil
		return excluded && !d.task.tracker.check(j.active.batch.items[row], (*item).partiallyWritten)
	})
}
