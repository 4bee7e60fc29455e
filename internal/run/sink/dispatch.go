package sink

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/run/tracing"
)

const maxActiveBytes = maxBatchBytes + maxConvertedBytes

// dispatcher takes batches of rows, has the plugin encode them as requests, and sends these, several batches at the
// same time: a delivery (a request with its rows) waits for the earlier ones with the same ordering key, not for those
// of its batch. This file moves batches through their states; startdelivery.go chooses the deliveries to send.
//
// Encodings and deliveries run in goroutines of their own, which end before run returns. The fields belong to the
// goroutine of run: the others return a function through events.
//
// Invariants: active is in read order. Batches that wait to be encoded are the last ones; at most one batch is being
// encoded or waits for its place in the queue, and it precedes these. After a failure nothing new starts, and run
// returns the error of the record that was read first.
type dispatcher struct {
	task       *Task
	queue      *queue
	events     chan func() // the follow-up functions of finished deliveries and encodings
	inFlight   int         // running deliveries
	waiting    int         // deliveries of inFlight whose rows wait to be sent again
	announced  []*lane     // wait, in sending order, for a commit that stores their non-repeatable deliveries
	next       *batch      // the batch that was received last and has not started
	closed     bool        // no further batch will be received
	active     []*activeBatch
	batchEnded bool // whether a batch has ended since the last commit
	// failure ends the task without waiting for earlier records. firstFailure is the first record in read order that
	// cannot be written and must not be skipped. inDoubtErr ends the task after the checks of records in doubt.
	failure          error
	firstFailure     *failedRow
	inDoubtErr       error
	firstUncheckable *failedRow // the first inherited record in doubt without a check; then only checks are sent
}

func newDispatcher(t *Task) *dispatcher {
	return &dispatcher{task: t, events: make(chan func(), t.o.InFlight+1),
		queue: &queue{lanes: map[uint32]*lane{}, ready: map[*partition]*laneHeap{}, blocked: map[*partition]bool{},
			settledSeq: map[uint32]int{}}}
}

// run writes batches until there are none left or the task stops. It returns when nothing is in flight.
func (d *dispatcher) run(batches <-chan *batch) error {
	t := d.task
	stop := d.task.run.startCtx.Done()
	for {
		if finished, err := d.step(); finished {
			return err
		}
		if len(d.active) == 0 && d.batchEnded {
			// One commit stores the outcome of the earlier batches and announces the next one.
			if d.receiveNow(batches) {
				continue
			}
			d.batchEnded = false
			if err := t.commit(t.run.requestCtx); errors.Is(err, kafka.ErrCommitMetadata) {
				return err // others may pass: commitLoop tries again
			}
			continue
		}
		incoming := batches
		if !d.mayReceive() || stop == nil || t.run.isEnding() || d.firstFailure != nil {
			incoming = nil // never received from
		}
		var graceOver <-chan time.Time
		if d.inDoubtErr != nil && len(d.active) == 0 { // more records in doubt may follow
			timer := time.NewTimer(2*t.o.Linger + inDoubtGrace) // the reader may be two batches ahead
			defer timer.Stop()
			graceOver = timer.C
		}
		select {
		case handle := <-d.events:
			handle()
		case b, ok := <-incoming:
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

const inDoubtGrace = 5 * time.Second // the wait for more records that a killed run may have sent

var errDone = errors.New("done")

func (d *dispatcher) setNext(b *batch, ok bool) {
	d.next = b
	d.closed = !ok
}

func (d *dispatcher) mayReceive() bool { return d.next == nil && !d.closed }

func (d *dispatcher) receiveNow(batches <-chan *batch) bool {
	if !d.mayReceive() || d.inDoubtErr != nil {
		return false
	}
	select {
	case b, ok := <-batches:
		d.setNext(b, ok)
		return true
	default:
		return false
	}
}

// step does everything that is possible now; finished means that nothing will follow. Only then err counts.
func (d *dispatcher) step() (finished bool, err error) {
	d.startDeliveries()
	if d.task.run.isEnding() {
		return d.stop()
	}
	d.requeue()
	if active := d.firstIn(batchEncoded); active != nil && d.fits(active) {
		if d.isIdle() {
			d.queue.setContext(active.keyContext())
		}
		d.queue.add(active.encoded)
		for i := range active.encoded {
			delivery := &active.encoded[i]
			if delivery.uncheckable == nil {
				continue
			}
			active.started = true // it is not requeued any more, so that the task fails by it
			if d.firstUncheckable == nil || d.firstUncheckable.readBefore(active, delivery.rows[0]) {
				d.firstUncheckable = &failedRow{active: active, row: delivery.rows[0],
					err: delivery.uncheckable.failure}
			}
		}
		active.encoded = nil
		active.state = batchQueued
		d.startDeliveries()
		d.requeue()
	}
	waiting := d.firstIn(batchWaiting)
	// The order matters: batches are encoded one at a time, in read order, and the task ends when none is active.
	switch {
	case d.firstIn(batchEncoding) != nil || d.firstIn(batchEncoded) != nil:
		return false, nil
	case waiting != nil && d.firstFailure != nil && waiting.number > d.firstFailure.active.number:
		d.finishBatch(waiting) // nothing after the failed record is written
		return d.step()
	case waiting != nil:
		return d.reencode(waiting)
	case d.next != nil && d.firstFailure == nil:
		return d.startBatch(d.next)
	case len(d.active) > 0:
		return false, nil
	case d.firstFailure != nil && d.inDoubtErr == nil:
		return true, d.firstFailure.err
	}
	allChecked := d.inDoubtErr != nil && (d.firstFailure != nil || !d.task.tracker.checksPending())
	return d.closed || allChecked, d.inDoubtErr
}

func (d *dispatcher) reencode(active *activeBatch) (finished bool, err error) {
	if active.switchVersion || d.task.plugin.UpgradePending() {
		if !d.isIdle() { // first the queue must be sent
			return false, nil
		}
		if _, err := d.task.plugin.Upgrade(d.task.run.stopCtx); err != nil {
			return true, d.abort(err)
		}
	}
	d.encode(active)
	return false, nil
}

func (d *dispatcher) firstIn(s batchState) *activeBatch {
	for _, active := range d.active {
		if active.state == s {
			return active
		}
	}
	return nil
}

// stop drops the batches that are not queued. finished means that nothing is in flight; err is then the task's error.
func (d *dispatcher) stop() (finished bool, err error) {
	for _, active := range slices.Clone(d.active) {
		if active.state == batchEncoded || active.state == batchWaiting {
			d.finishBatch(active)
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
	return !slices.ContainsFunc(d.active, func(active *activeBatch) bool {
		return active.state == batchQueued || active.state == batchEncoding
	})
}

// fits reports whether a batch may join the queue: only ordering keys of one context can be compared.
func (d *dispatcher) fits(active *activeBatch) bool {
	return d.isIdle() || active.hasKeysOf(d.queue.context)
}

func (d *dispatcher) currentContext() *pluginContext { return d.task.plugin.Opened().currentContext() }

// updateQueueContext sets the queue's context to the current one if all queued deliveries have keys of that, and
// returns it: the next batch must have its keys. Nil means that the queued keys have no common context.
func (d *dispatcher) updateQueueContext() *pluginContext {
	if d.isIdle() {
		return nil
	}
	current := d.currentContext()
	hasOtherKeys := func(active *activeBatch) bool { return active.state == batchQueued && !active.hasKeysOf(current) }
	if !slices.ContainsFunc(d.active, hasOtherKeys) {
		d.queue.setContext(current)
	}
	return d.queue.context
}

// requeue takes back the last batches that were not sent yet and that must be encoded again: by another version of the
// plugin, or because the plugin has learned something.
func (d *dispatcher) requeue() {
	end := 0
	for end < len(d.active) && d.active[end].state != batchWaiting {
		end++
	}
	if end == 0 || d.firstIn(batchEncoding) != nil {
		return
	}
	if end == 1 && d.active[0].state == batchEncoded && d.active[0].keyContext() == nil {
		return // it is queued next, alone, although its keys have no common context
	}
	start := end
	for start > 0 && !d.active[start-1].started {
		start--
	}
	if !d.task.plugin.UpgradePending() {
		current := d.currentContext()
		for start < end && (d.active[start].retakes >= maxRetakes || !d.active[start].keyContext().isOlder(current)) {
			start++
		}
	}
	for _, active := range slices.Backward(d.active[start:end]) {
		deliveries := active.encoded
		if active.state == batchQueued {
			d.retract(active)
			deliveries = d.queue.removeBatch(active)
		}
		active.requeueRows(deliveries)
		active.encoded = nil
		active.state = batchWaiting
		active.retakes++
	}
}

// maxRetakes is how often an unsent batch is encoded again as a whole, so that its rows get the lanes that the plugin
// gives them after it has learned something. More would cost much: hundreds of batches may be waiting while the plugin
// learns from each response. What it knows of the service counts all the same, see [dispatcher.prune].
const maxRetakes = 1

// abort fails the task, drops the batches that are not queued, and returns the task's error.
func (d *dispatcher) abort(err error) error {
	d.fail(err)
	_, err = d.stop()
	return err
}

// startBatch starts a received batch, or ends the task if that batch reports an error or that nothing is left to do.
func (d *dispatcher) startBatch(b *batch) (finished bool, err error) {
	t := d.task
	idle := len(d.active) == 0
	// The order matters: the reader's error and idleness precede the conditions for records.
	switch {
	case b.err != nil:
		if idle {
			t.commit(t.run.requestCtx)
		}
		return idle, b.err
	case b.idle && idle:
		d.next = nil
		t.commit(t.run.requestCtx)
		if d.inDoubtErr != nil {
			return true, d.inDoubtErr
		}
		done, err := t.o.CaughtUp(t.run.requestCtx)
		if err != nil {
			return true, fmt.Errorf("read the end offsets of the topics: %w", err)
		}
		return done, errDone
	case b.idle, d.inDoubtErr != nil && !idle:
		return false, nil // until other batches have ended
	case d.inDoubtErr != nil && !t.tracker.checksPending():
		return true, d.inDoubtErr
	case !idle && (t.plugin.UpgradePending() || d.bytes()+b.bytes()+t.tracker.bytes() > t.o.memoryLimits().active):
		return false, nil // likewise, to upgrade or for their memory
	}
	if idle && t.plugin.UpgradePending() {
		if _, err := t.plugin.Upgrade(t.run.stopCtx); err != nil {
			return true, err
		}
	}
	active := &activeBatch{
		task:      t,
		batch:     b,
		number:    int(t.count.batches.Add(1)),
		rowStates: make([]rowState, len(b.rows.Rows)),
		rows:      make([]uint32, len(b.rows.Rows)),
		bytes:     b.bytes(),
		startedAt: time.Now(),
	}
	for i := range active.rows {
		active.rows[i] = uint32(i)
	}
	d.next = nil
	d.active = append(d.active, active)
	t.o.Metrics.Batches.AddActive(len(b.rows.Rows))
	d.encode(active)
	return false, nil
}

func (d *dispatcher) bytes() (n int) {
	for _, active := range d.active {
		n += active.bytes
	}
	return n
}

// encode starts the encoding of a batch in a goroutine.
func (d *dispatcher) encode(active *activeBatch) {
	queueContext := d.updateQueueContext()
	active.state = batchEncoding
	active.switchVersion = false
	go func() {
		var deliveries []delivery
		var out outcome
		span := active.batch.span.StartChild("encode", tracing.Internal)
		err := guard.Do(d.task.log, "a sink task, the stage of encoding", func() (err error) {
			deliveries, err = active.encodeBatch(&out)
			if err == nil {
				active.setContexts(deliveries, queueContext)
			}
			return err
		})
		span.SetInt("culvert.requests", int64(len(deliveries)))
		span.End(err)
		d.events <- func() {
			d.merge(&out)
			active.remaining = len(deliveries)
			switch {
			case errors.Is(err, errSwitchVersion):
				active.switchVersion = true
				active.state = batchWaiting
				return
			case err != nil:
				d.fail(err)
				d.finishBatch(active)
				return
			case active.remaining == 0:
				d.finishBatch(active)
				return
			}
			active.state = batchEncoded
			active.encoded = deliveries
			active.bytes = active.batch.bytes() + int(active.deliveryBytes.Load())
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

func (d *dispatcher) finishBatch(active *activeBatch) {
	// A restart would write again the rows of partially written records.
	for _, i := range d.task.tracker.filter(active.batch.items, (*item).partiallyWritten) {
		if d.task.o.InDoubt.cause(i.record) != nil {
			continue
		}
		reason := errors.New("some of the rows that the transforms made of it are written, and others are not")
		if d.firstFailure != nil && d.firstFailure.active == active && active.batch.items[d.firstFailure.row] == i {
			reason = fmt.Errorf("%w: %w", reason, errors.Unwrap(d.firstFailure.err))
		}
		d.fail(active.task.markInDoubt(i, reason))
	}
	active.batch.span.End(nil) // its children have the errors
	metrics := &active.task.o.Metrics.Batches
	metrics.Record(active.startedAt, len(active.batch.rows.Rows))
	metrics.AddActive(-len(active.batch.rows.Rows))
	d.active = slices.DeleteFunc(d.active, func(other *activeBatch) bool { return other == active })
	d.batchEnded = true
	maps.DeleteFunc(d.queue.settledSeq, func(_ uint32, seq int) bool { return d.task.tracker.isDurable(seq) })
}

// fail records an error that ends the task without waiting for earlier records, and stops the start of deliveries.
func (d *dispatcher) fail(err error) {
	if takesPrecedence(err, d.failure) {
		d.failure = err
	}
	d.task.run.fail()
}
