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
	if active := d.firstIn(batchEncoded); active != nil && d.fits(active) {
		d.queue.add(active.encoded)
		d.noteUncheckable(active)
		active.encoded, active.state = nil, batchQueued
		d.startDeliveries()
		d.requeue()
	}
	active := d.firstIn(batchWaiting)
	switch {
	case d.firstIn(batchEncoding) != nil || d.firstIn(batchEncoded) != nil:
		return false, nil
	case active != nil && d.firstFailure != nil && active.number > d.firstFailure.active.number:
		d.finishBatch(active)
		return d.step()
	case active != nil:
		return d.reencode(active)
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
func (d *dispatcher) noteUncheckable(active *activeBatch) {
	for i := range active.encoded.deliveries {
		delivery := &active.encoded.deliveries[i]
		if delivery.uncheckable == nil {
			continue
		}
		if active.started = true; d.firstUncheckable == nil || d.firstUncheckable.readBefore(active, delivery.rows[0]) {
			d.firstUncheckable = &failedRow{active: active, row: delivery.rows[0], err: delivery.uncheckable.failure}
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
	at := slices.IndexFunc(d.active, func(active *activeBatch) bool { return active.state == batchWaiting })
	if at < 0 {
		at = len(d.active)
	}
	if at == 0 || d.firstIn(batchEncoding) != nil || !d.contextChanged() {
		return
	}
	if active := d.active[at-1]; active.state == batchEncoded {
		if at == 1 && active.encoded.mixed || active.encoded.version == d.contextVersion() &&
			!d.task.plugin.UpgradePending() {
			return // it only waits for the batches before it
		}
		active.requeueRows(active.encoded.deliveries)
		active.encoded, active.state = nil, batchWaiting
		at--
	}
	for at > 0 && !d.active[at-1].started {
		at--
		d.retract(d.active[at])
		d.active[at].requeueRows(d.queue.removeBatch(d.active[at]))
		d.active[at].state = batchWaiting
	}
}

func (d *dispatcher) reencode(active *activeBatch) (finished bool, err error) {
	t := d.task
	switch idle := d.isIdle(); {
	case !idle && (active.switchVersion || d.contextChanged()):
		return false, nil
	case active.switchVersion || t.plugin.UpgradePending():
		if _, err := t.plugin.Upgrade(t.run.stopCtx); err != nil {
			return true, d.abort(err)
		}
	}
	d.encode(active)
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
	active := &activeBatch{task: t, batch: b, number: int(t.count.batches.Add(1)),
		rowStates: make([]rowState, len(b.rows.Rows)),
		bytes:     b.bytes(), startedAt: time.Now(), rows: make([]uint32, len(b.rows.Rows))}
	for i := range active.rows {
		active.rows[i] = uint32(i)
	}
	d.next, d.active = nil, append(d.active, active)
	t.o.Metrics.Batches.AddActive(len(b.rows.Rows))
	d.encode(active)
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

func (d *dispatcher) encode(active *activeBatch) {
	active.state, active.switchVersion = batchEncoding, false
	go func() {
		var deliveries []delivery
		var out outcome
		span := active.batch.span.StartChild("encode", tracing.Internal)
		err := guard.Do(d.task.log, "a sink task, the stage of encoding", func() (err error) {
			deliveries, err = active.encodeBatch(&out)
			return err
		})
		span.SetInt("culvert.requests", int64(len(deliveries)))
		span.End(err)
		d.events <- func() {
			d.merge(&out)
			d.onEncoded(active, deliveries, err)
		}
	}()
}

func (d *dispatcher) merge(out *outcome) {
	if f := out.firstFailure; f != nil && (d.firstFailure == nil || d.firstFailure.readBefore(f.active, f.row)) {
		d.firstFailure = f
	}
	if out.inDoubtErr != nil && takesPrecedence(out.inDoubtErr, d.inDoubtErr) {
		d.inDoubtErr = out.inDoubtErr
	}
}

func (d *dispatcher) onEncoded(active *activeBatch, deliveries []delivery, err error) {
	switch active.remaining = len(deliveries); {
	case errors.Is(err, errSwitchVersion):
		active.switchVersion, active.state = true, batchWaiting
		return
	case err != nil:
		d.fail(err)
		d.finishBatch(active)
		return
	case active.remaining == 0:
		d.finishBatch(active)
		return
	}
	active.state, active.encoded = batchEncoded, &encodedBatch{deliveries: deliveries, version: d.contextVersion()}
	active.bytes = active.batch.bytes() + int(active.deliveryBytes.Load())
	first := true
	for n := range deliveries {
		delivery := &deliveries[n]
		if delivery.uncheckable != nil {
			continue
		}
		if first {
			active.encoded.version, first = delivery.version, false
		}
		active.encoded.mixed = active.encoded.mixed || delivery.version != active.encoded.version
	}
	if active.encoded.mixed {
		active.encoded.version = contextVersion{}
	}
}

func (d *dispatcher) finishBatch(active *activeBatch) {
	d.failPartialRecords(active)
	active.batch.span.End(nil) // its children have the errors
	tally := &active.task.o.Metrics.Batches
	tally.Record(active.startedAt, len(active.batch.rows.Rows))
	tally.AddActive(-len(active.batch.rows.Rows))
	d.active = slices.DeleteFunc(d.active, func(other *activeBatch) bool { return other == active })
	d.batchEnded = true
	d.queue.dropDurable(d.task.tracker.isDurable)
}

func (d *dispatcher) failPartialRecords(active *activeBatch) {
	for n, i := range active.batch.items {
		if n > 0 && active.batch.items[n-1] == i || !active.task.tracker.check(i, (*item).partiallyWritten) ||
			active.task.o.InDoubt.cause(i.record) != nil {
			continue
		}
		reason := errors.New("some of the rows that the transforms made of it are written, and others are not")
		if d.firstFailure != nil && d.firstFailure.active == active && active.batch.items[d.firstFailure.row] == i {
			reason = fmt.Errorf("%w: %w", reason, errors.Unwrap(d.firstFailure.err))
		}
		d.fail(active.task.markInDoubt(i, reason))
	}
}

func (d *dispatcher) startDeliveries() {
	for d.inFlight < d.task.o.InFlight {
		lane := d.nextDelivery()
		if lane == nil {
			return
		}
		d.inFlight++
		delivery := lane.deliveries[0] // a copy: the lane may grow in the meantime
		delivery.active.started = true
		delivery.awaitedSeq = d.queue.awaitedSeq(lane)
		go func() {
			var out outcome
			retries, err := delivery.active.deliverGuarded(&out, &delivery)
			d.events <- func() {
				d.inFlight--
				d.merge(&out)
				// A read without retries has settled its row: the entity existed already.
				if lane.keyed && (!delivery.isRead() || err == nil && len(retries) == 0) {
					d.queue.settledSeq[lane.key] = d.task.tracker.apply(storeRequested{}).number
				}
				d.onDelivered(lane, retries, err)
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
			if lane := d.announce(d.nextLane(false, false)); lane != nil {
				return lane
			}
			d.retractAll()
		}
		if len(d.announced) > 0 {
			return d.nextAnnounced()
		}
	}
	for rows := 0; rows < announcedRowsPerSlot*d.task.o.InFlight; {
		announcing := len(d.announced) > 0
		lane := d.announce(d.nextLane(d.inFlight == 0 && !announcing, announcing))
		if lane == nil {
			break
		}
		if d.announced = append(d.announced, lane); lane.deliveries[0].Request.Repeatable || d.isEnding() {
			break
		}
		rows += len(lane.deliveries[0].rows)
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
func (d *dispatcher) retract(active *activeBatch) {
	d.announced = slices.DeleteFunc(d.announced, func(l *lane) bool {
		delivery := &l.deliveries[0]
		if active != nil && delivery.active != active {
			return false
		}
		items := delivery.active.items(delivery)
		if delivery.announcedSeq > 0 {
			d.task.tracker.apply(outcomeKnown{items})
		}
		delivery.announcedSeq = 0
		d.task.tracker.apply(deliveryEnded{items})
		d.queue.pushBack(l)
		return true
	})
}

// onDelivered puts retries before the rest of the lane, so that rows of one key stay in order (P20).
func (d *dispatcher) onDelivered(lane *lane, retries []delivery, err error) {
	if err != nil {
		d.fail(err)
		retries = nil
	}
	active := lane.deliveries[0].active
	active.started = true
	active.deliveryBytes.Add(-bytesOf(lane.deliveries[:1]))
	active.remaining += len(retries) - 1
	d.queue.complete(lane, retries)
	if active.remaining == 0 {
		d.finishBatch(active)
	}
}

func (d *dispatcher) skip(l *lane) {
	d.queue.pop(l)
	d.onDelivered(l, nil, nil)
}

func (d *dispatcher) abandonLane(lane *lane) {
	d.queue.discard(lane)
	for _, j := range lane.deliveries {
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
		lane := d.queue.first()
		if lane == nil || nonRepeatableOnly && (lane.deliveries[0].Request.Repeatable ||
			lane.deliveries[0].uncheckable != nil) {
			return nil
		}
		items := lane.deliveries[0].active.items(&lane.deliveries[0])
		if d.prune(lane, items) {
			continue
		}
		switch d.task.tracker.apply(deliveryStart{items, idle}).start {
		case startOK:
			d.queue.pop(lane)
			return lane
		case startRevoked: // just now; the next iteration drops these rows
		case startMetadataFull:
			if idle {
				d.split(lane)
			} else {
				d.queue.block(lane)
			}
		}
	}
}

// prune drops or replaces the next delivery of a lane if it must not be sent as it is, and reports whether it did.
func (d *dispatcher) prune(lane *lane, items []*item) bool {
	delivery, tracker := &lane.deliveries[0], d.task.tracker
	active := delivery.active
	if d.task.run.isEnding() && !active.completesPartial(items) {
		d.abandonLane(lane)
		return true
	}
	// even if another member owns it now: later rows were skipped
	if delivery.uncheckable != nil && delivery.uncheckable.inherited {
		tracker.apply(inDoubtChecked{items})
		d.merge(&outcome{inDoubtErr: delivery.uncheckable.failure})
		d.skip(lane)
		return true
	}
	if tracker.checkAny(items, (*item).revoked) {
		owned := slices.DeleteFunc(slices.Clone(delivery.rows),
			func(row uint32) bool { return tracker.check(active.batch.items[row], (*item).revoked) })
		if len(owned) == 0 { // their new owner writes all of them
			d.skip(lane)
		} else {
			d.reencodeFirst(lane, owned)
		}
		return true
	}
	// If the task is about to fail, only records in doubt are checked, so that nothing overtakes them.
	if d.inDoubtErr != nil && !active.allInDoubt(delivery) && !active.completesPartial(items) {
		tracker.apply(inDoubtChecked{items})
		d.skip(lane)
		return true
	}
	if before := d.rowsBeforeEnd(delivery); len(before) == 0 {
		d.skip(lane)
		return true
	} else if len(before) < len(delivery.rows) {
		d.reencodeFirst(lane, before)
		return true
	}
	if err := active.inDoubtUnchecked(delivery); err != nil {
		d.fail(err)
		d.abandonLane(lane)
		return true
	}
	return false
}

// split halves the next delivery because the metadata have no room for all outcomes; a single row fails the task.
func (d *dispatcher) split(lane *lane) {
	active, rows := lane.deliveries[0].active, lane.deliveries[0].rows
	if len(rows) == 1 {
		d.fail(&recordError{item: active.batch.items[rows[0]], stage: "write",
			err: errors.New("the commit metadata has no room for its outcome: too many " +
				"records are uncertain, or the brokers' offset.metadata.max.bytes is too small")})
		d.abandonLane(lane)
		return
	}
	d.reencodeFirst(lane, rows[:len(rows)/2], rows[len(rows)/2:])
}

func (d *dispatcher) reencodeFirst(lane *lane, parts ...[]uint32) {
	active := lane.deliveries[0].active
	var deliveries []delivery
	var out outcome
	for _, rows := range parts {
		if len(rows) == 0 {
			continue
		}
		var hints []wit.Hint
		for n, row := range rows {
			if hint := active.rowStates[row].hint; hint != "" {
				hints = append(hints, wit.Hint{Row: uint32(n), Text: hint})
			}
		}
		more, err := active.encodeRows(&out, rows, hints)
		d.merge(&out)
		if err != nil {
			d.fail(err)
			d.abandonLane(lane)
			return
		}
		deliveries = append(deliveries, more...)
	}
	d.queue.pop(lane)
	d.onDelivered(lane, deliveries, nil)
}

// rowsBeforeEnd returns the rows that were read before the failing record, and those of partially written records.
func (d *dispatcher) rowsBeforeEnd(delivery *delivery) []uint32 {
	if d.firstFailure == nil && d.firstUncheckable == nil {
		return delivery.rows
	}
	return slices.DeleteFunc(slices.Clone(delivery.rows), func(row uint32) bool {
		excluded := d.firstFailure != nil && !d.firstFailure.readBefore(delivery.active, row) ||
			d.firstUncheckable != nil && !d.firstUncheckable.readBefore(delivery.active, row) &&
				delivery.active.rowStates[row].inDoubt == nil
		return excluded && !d.task.tracker.check(delivery.active.batch.items[row], (*item).partiallyWritten)
	})
}
