package sink

import (
	"errors"
	"slices"

	"github.com/culvert-project/culvert/wit"
)

// maxWaiting is how many deliveries may wait for each request slot without using one. If more rows are locked, a whole
// table may be: their attempts should not be used up at once.
const maxWaiting = 4

// startDeliveries keeps Options.InFlight deliveries in flight, in addition to those that wait. A waiting row delays
// only its lane; if requests contain many entities, a lane has many of them, too.
func (d *dispatcher) startDeliveries() {
	for d.inFlight-min(d.waiting, maxWaiting*d.task.o.InFlight) < d.task.o.InFlight {
		lane := d.nextDelivery()
		if lane == nil {
			return
		}
		d.inFlight++
		delivery := lane.deliveries[0] // a copy: the lane may grow in the meantime
		delivery.active.started = true
		delivery.awaitedSeq = d.queue.awaitedSeq(lane)
		waits := 0 // 1 after releaseSlot; belongs to the dispatcher
		delivery.releaseSlot = func() {
			d.events <- func() {
				waits = 1
				d.waiting++
			}
		}
		go func() {
			var out outcome
			retries, err := delivery.active.deliverGuarded(&out, &delivery)
			d.events <- func() {
				d.inFlight--
				d.waiting -= waits
				d.merge(&out)
				// A read without retries has settled its row: the entity existed already.
				if lane.keyed && (!delivery.isRead() || (err == nil && len(retries) == 0)) {
					d.queue.settledSeq[lane.key] = d.task.tracker.apply(storeRequested{}).number
				}
				d.onDelivered(lane, retries, err)
			}
		}()
	}
}

// announcedRowsPerSlot bounds the rows announced for each request slot; after a kill all of them are in doubt.
const announcedRowsPerSlot = 3

// nextDelivery returns the lane whose first delivery is sent next, nil if no delivery may start. It announces several
// non-repeatable deliveries together, so that they share a commit.
func (d *dispatcher) nextDelivery() *lane {
	d.retractIfEnding()
	if len(d.announced) > 0 {
		// A lane that was read before the announced ones is sent first.
		if first := d.queue.first(); first != nil && first.readBefore(d.announced[0]) {
			if lane := d.announce(d.nextLane(laneFilter{})); lane != nil {
				return lane
			}
			d.retractIfEnding() // nextLane may have failed the task
		}
		if len(d.announced) > 0 {
			return d.popAnnounced()
		}
	}
	for rows := 0; rows < announcedRowsPerSlot*d.task.o.InFlight; {
		announcing := len(d.announced) > 0
		lane := d.announce(d.nextLane(laneFilter{idle: d.inFlight == 0 && !announcing, nonRepeatableOnly: announcing}))
		if lane == nil {
			break
		}
		d.announced = append(d.announced, lane)
		if lane.deliveries[0].Request.Repeatable || d.isEnding() {
			break // it needs no announcement, or the next one must be checked when this one is sent
		}
		rows += len(lane.deliveries[0].rows)
	}
	return d.popAnnounced()
}

func (d *dispatcher) popAnnounced() *lane {
	if len(d.announced) == 0 {
		return nil
	}
	first := d.announced[0]
	d.announced = d.announced[1:]
	return first
}

// announce announces the first delivery of a lane if it is non-repeatable, and returns the lane, which may be nil.
func (d *dispatcher) announce(l *lane) *lane {
	if l != nil && !l.deliveries[0].Request.Repeatable {
		first := &l.deliveries[0]
		first.announcedSeq = first.active.announce(first)
	}
	return l
}

// isEnding reports whether each delivery must be checked again before it is sent.
func (d *dispatcher) isEnding() bool {
	return d.task.run.isEnding() || d.firstFailure != nil || d.inDoubtErr != nil
}

func (d *dispatcher) retractIfEnding() {
	if d.isEnding() {
		d.retract(nil)
	}
}

// retract returns the announced lanes of a batch to the queue, or all announced lanes if active is nil.
func (d *dispatcher) retract(active *activeBatch) {
	d.announced = slices.DeleteFunc(d.announced, func(l *lane) bool {
		delivery := &l.deliveries[0]
		if active != nil && delivery.active != active {
			return false
		}
		d.task.tracker.apply(deliveryEnded{items: delivery.items, outcomeOpen: delivery.announcedSeq > 0})
		delivery.announcedSeq = 0
		clear(d.queue.blocked) // the metadata have room again
		d.queue.push(l)
		return true
	})
}

// onDelivered puts retries before the rest of the lane, so that rows of one key stay in order (RATIONALE.md P20).
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

// skip drops the first delivery of a lane, abandonLane all of its deliveries.
func (d *dispatcher) skip(l *lane) {
	d.queue.pop(l)
	d.onDelivered(l, nil, nil)
}

func (d *dispatcher) abandonLane(lane *lane) {
	d.queue.discard(lane)
	for _, dropped := range lane.deliveries {
		dropped.active.remaining--
		if dropped.active.remaining == 0 {
			d.finishBatch(dropped.active)
		}
	}
}

// laneFilter selects the lanes that nextLane may return.
type laneFilter struct {
	idle              bool // no delivery is in flight, so that the metadata's reserve may be used
	nonRepeatableOnly bool
}

// nextLane counts the first delivery in read order that may start as started, so that little is settled out of order,
// and removes its lane from the ready ones. Nil means that no delivery may start.
func (d *dispatcher) nextLane(filter laneFilter) *lane {
	for {
		lane := d.queue.first()
		if lane == nil || (filter.nonRepeatableOnly && (lane.deliveries[0].Request.Repeatable ||
			lane.deliveries[0].uncheckable != nil)) {
			return nil
		}
		if d.prune(lane) {
			continue
		}
		switch d.task.tracker.apply(deliveryStart{items: lane.deliveries[0].items, idle: filter.idle}).start {
		case startOK:
			d.queue.pop(lane)
			return lane
		case startRevoked: // since prune; the next iteration drops these rows
		case startMetadataFull:
			if filter.idle {
				d.split(lane)
			} else {
				d.queue.block(lane)
			}
		}
	}
}

// prune drops or replaces the next delivery of a lane if it must not be sent as it is, and reports whether it did. The
// order of the checks matters: each excludes the later ones.
func (d *dispatcher) prune(lane *lane) bool {
	delivery := &lane.deliveries[0]
	items := delivery.items
	tracker := d.task.tracker
	active := delivery.active
	if d.task.run.isEnding() && !active.completesPartial(items) {
		d.abandonLane(lane)
		return true
	}
	// Even if another member owns the record now, this fails the task: later rows were skipped.
	if delivery.uncheckable != nil && delivery.uncheckable.inherited {
		tracker.apply(inDoubtChecked{items})
		d.merge(&outcome{inDoubtErr: delivery.uncheckable.failure})
		d.skip(lane)
		return true
	}
	if tracker.checkAny(items, (*item).revoked) {
		var owned []uint32
		for n, row := range delivery.rows {
			if !tracker.checkAny(items[n:n+1], (*item).revoked) {
				owned = append(owned, row)
			}
		}
		if len(owned) == 0 { // the new owner writes all of them
			d.skip(lane)
		} else {
			d.reencodeFirst(lane, owned)
		}
		return true
	}
	// If the task is about to fail, only records in doubt are checked, so that nothing overtakes them.
	isCertain := func(row uint32) bool { return active.rowStates[row].inDoubt == nil }
	if d.inDoubtErr != nil && slices.ContainsFunc(delivery.rows, isCertain) && !active.completesPartial(items) {
		tracker.apply(inDoubtChecked{items})
		d.skip(lane)
		return true
	}
	if remaining := d.rowsBeforeEnd(delivery); len(remaining) == 0 {
		d.skip(lane)
		return true
	} else if len(remaining) < len(delivery.rows) {
		d.reencodeFirst(lane, remaining)
		return true
	}
	if err := active.inDoubtUnchecked(delivery); err != nil {
		d.fail(err)
		d.abandonLane(lane)
		return true
	}
	// The plugin has learned something, such as a smaller size of batches. The rows keep their lane.
	if delivery.uncheckable == nil && delivery.context.isOlder(d.currentContext()) {
		d.reencodeFirst(lane, delivery.rows)
		return true
	}
	return false
}

// split halves the next delivery because the metadata have no room for all outcomes; a single row fails the task.
func (d *dispatcher) split(lane *lane) {
	active := lane.deliveries[0].active
	rows := lane.deliveries[0].rows
	if len(rows) == 1 {
		d.fail(&recordError{item: active.batch.items[rows[0]], stage: "write",
			err: errors.New("the commit metadata has no room for its outcome: too many " +
				"records are uncertain, or the brokers' offset.metadata.max.bytes is too small")})
		d.abandonLane(lane)
		return
	}
	d.reencodeFirst(lane, rows[:len(rows)/2], rows[len(rows)/2:])
}

// reencodeFirst replaces the first delivery of a lane: each part of its rows is encoded again. Other rows are dropped.
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

// rowsBeforeEnd returns the rows that were read before the failing record, and the rows of partially written records.
func (d *dispatcher) rowsBeforeEnd(delivery *delivery) []uint32 {
	if d.firstFailure == nil && d.firstUncheckable == nil {
		return delivery.rows
	}
	var remaining []uint32
	for n, row := range delivery.rows {
		afterFailure := d.firstFailure != nil && !d.firstFailure.readBefore(delivery.active, row)
		afterUncheckable := d.firstUncheckable != nil && !d.firstUncheckable.readBefore(delivery.active, row) &&
			delivery.active.rowStates[row].inDoubt == nil
		if (!afterFailure && !afterUncheckable) ||
			d.task.tracker.checkAny(delivery.items[n:n+1], (*item).partiallyWritten) {
			remaining = append(remaining, row)
		}
	}
	return remaining
}
