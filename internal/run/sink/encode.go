package sink

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/wit"
)

// encodeBatch has the plugin make requests of the rows of a batch. Before the first encoding of a partition it stores
// metadata, because only a commit shows their maximum length.
func (a *activeBatch) encodeBatch(out *outcome) ([]delivery, error) {
	t := a.task
	if err := t.sendToDLQ(&a.batch.outcome); err != nil {
		return nil, err
	}
	if t.tracker.apply(encodingStarted{a.batch.items}).ok {
		if err := t.commit(t.run.requestCtx); errors.Is(err, kafka.ErrCommitMetadata) {
			return nil, err
		}
	}
	if len(a.rows) == 0 {
		return nil, nil
	}
	if err := a.resolveRepeatable(); err != nil {
		return nil, err
	}
	var deliveries []delivery
	portions := t.tracker.portions(a.batch.items, a.rows, t.o.InFlight)
	for n, rows := range portions {
		for _, row := range rows {
			a.rowStates[row].portion = n
		}
		more, err := a.encodeWith(out, t.plugin.Opened(), rows, a.inheritInDoubt(rows), maySwitch)
		if errors.Is(err, errSwitchVersion) { // rejected and ignored rows of earlier portions are settled
			a.requeueRows(deliveries)
			for _, later := range portions[n:] {
				a.rows = append(a.rows, later...)
			}
			slices.Sort(a.rows)
		}
		if err != nil {
			return nil, err
		}
		deliveries = append(deliveries, more...)
	}
	return deliveries, nil
}

func (a *activeBatch) requeueRows(deliveries []delivery) {
	a.deliveryBytes.Add(-bytesOf(deliveries))
	a.rows = a.rows[:0]
	for i := range deliveries {
		a.rows = append(a.rows, deliveries[i].rows...)
	}
	slices.Sort(a.rows)
}

func (a *activeBatch) encodeRows(out *outcome, rows []uint32, hints []wit.Hint) ([]delivery, error) {
	return a.encodeWith(out, a.task.plugin.Opened(), rows, hints, keepVersion)
}

// checkTiming is when to send checks of rows in doubt. The zero value means at once.
type checkTiming bool

// checkAfterPause waits first, because the service may still be processing the original requests.
const checkAfterPause checkTiming = true

// encodeChecks has the plugin make checks of rows in doubt. If it cannot, the rows stay in doubt.
func (a *activeBatch) encodeChecks(out *outcome, rows []uint32, timing checkTiming) ([]delivery, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	hints := make([]wit.Hint, len(rows))
	for n, row := range rows {
		a.rowStates[row].hint = a.task.o.InDoubt.hint(a.batch.items[row].record)
		hints[n] = wit.Hint{Row: uint32(n), Text: a.rowStates[row].hint}
	}
	if a.task.run.isEnding() {
		return nil, a.abandonChecks(out, rows)
	}
	deliveries, err := a.encodeRows(out, rows, hints)
	if err != nil {
		a.task.log.Warn("rows in doubt could not be checked", "error", err)
		return nil, a.abandonChecks(out, rows)
	}
	if timing == checkAfterPause && slices.ContainsFunc(deliveries,
		func(d delivery) bool { return d.uncheckable == nil }) {
		if a.task.o.Client.Retry().Wait(a.task.run.stopCtx, 0) != nil {
			return nil, a.abandonChecks(out, rows)
		}
	}
	return deliveries, nil
}

// versionPolicy is what happens if a version of the plugin on trial fails to encode rows.
type versionPolicy bool

const (
	keepVersion versionPolicy = false // other rows of the batch were sent already
	maySwitch   versionPolicy = true  // the batch may be encoded with another version
)

// errSwitchVersion: another version must encode the batch, once no delivery of the old one is in flight.
var errSwitchVersion = errors.New("another version of the plugin takes over")

// encodeWith has a version of the plugin make deliveries of rows, and settles or rejects the rows that get none.
func (a *activeBatch) encodeWith(out *outcome, opened *openedVersion, rows []uint32, hints []wit.Hint,
	policy versionPolicy) ([]delivery, error) {
	encoded, err := a.callEncode(opened, rows, hints, policy)
	switch {
	case encoded.trapped:
		return a.bisect(out, encoded.opened, rows, hints, err)
	case err != nil:
		return nil, err
	}
	t := a.task
	deliveries := make([]delivery, 0, len(encoded.Ready))
	// Ignored and rejected rows need no request. If they are in doubt, nothing can check them.
	var ignored []uint32
	for _, row := range encoded.Ignored {
		if a.rowStates[rows[row]].inDoubt != nil {
			deliveries = append(deliveries, a.uncheckable(rows[row], errors.New("the plugin ignores it")))
		} else {
			ignored = append(ignored, rows[row])
		}
	}
	t.count.ignored.Add(int64(len(ignored)))
	a.settleRows(out, ignored, false)
	for i := range encoded.Rejected {
		rowErr := &encoded.Rejected[i]
		if a.rowStates[rows[rowErr.RowIndex]].inDoubt != nil {
			deliveries = append(deliveries, a.uncheckable(rows[rowErr.RowIndex], &rowErr.Error))
			continue
		}
		if isCallError(&rowErr.Error) {
			t.count.errors.Add()
			return nil, &recordError{item: a.batch.items[rows[rowErr.RowIndex]], stage: "encode", err: &rowErr.Error}
		}
		a.rejectRow(out, rows[rowErr.RowIndex], task.StageEncode, &rowErr.Error)
	}
	if err := t.sendToDLQ(out); err != nil {
		return nil, err
	}
	// The others get deliveries; rows in doubt only if these are reads.
	for n, ready := range encoded.Ready {
		if len(ready.Rows) == 0 {
			return nil, fmt.Errorf("encode: delivery %d of %d has no rows", n+1, len(encoded.Ready))
		}
		next := delivery{Delivery: ready, active: a, rows: make([]uint32, len(ready.Rows)),
			items: make([]*item, len(ready.Rows)), opened: encoded.opened, context: encoded.context}
		for pos, row := range ready.Rows {
			next.rows[pos] = rows[row]
			next.items[pos] = a.batch.items[rows[row]]
		}
		more, err := a.requireReads(next)
		if err != nil {
			return nil, err
		}
		deliveries = append(deliveries, more...)
	}
	if maxBytes := int64(a.batch.bytes()) + maxDeliveryBytes; a.deliveryBytes.Add(bytesOf(deliveries)) > maxBytes {
		return nil, a.rowsError(rows, "encode", fmt.Errorf("the plugin made more than %d bytes of requests and states "+
			"for the %d rows of the batch: reduce consumer.override.max.poll.records", maxBytes,
			len(a.batch.rows.Rows)))
	}
	return deliveries, nil
}

func (a *activeBatch) subset(rows []uint32) (*record.Batch, record.RecordIDs) {
	part := a.batch.rows.Subset(rows)
	recordIDs := record.RecordIDs{Topics: a.batch.recordIDs.Topics, IDs: make([]wit.RecordID, len(rows))}
	for n, row := range rows {
		part.Rows[n].RowIndex = uint32(n)
		// Not the transforms' timestamp: an ID that the plugin derives from it must stay the same in another run.
		part.Rows[n].Timestamp = timestampOf(a.batch.items[row].record)
		recordIDs.IDs[n] = a.batch.recordIDs.IDs[row]
	}
	return part, recordIDs
}

type encodeResult struct {
	wit.EncodeResult
	opened  *openedVersion // encoded the rows; the given version, or that version opened again
	context *pluginContext
	trapped bool // by the rows: a trap while the version is opened again is no row's fault
}

// callEncode calls the plugin, and repeats the call after transient errors and stale contexts.
func (a *activeBatch) callEncode(opened *openedVersion, rows []uint32, hints []wit.Hint,
	policy versionPolicy) (encoded encodeResult, err error) {
	part, recordIDs := a.subset(rows)
	encoded.opened = opened
	startedAt := time.Now()
	for attempt, reopened := 0, 0; ; {
		a.task.count.encode.Start()
		err = task.Do(a.task.run.requestCtx, encoded.opened.code, func(p Writer) error {
			encoded.context = encoded.opened.currentContext()
			encoded.EncodeResult, err = p.Encode(a.task.run.requestCtx, encoded.context.data, part, recordIDs, hints)
			return err
		})
		a.task.count.encode.Stop()
		switch {
		case task.IsStale(err) && reopened < maxRepeats:
			fresh, err := a.reopen(encoded.opened, err)
			if err != nil {
				return encoded, err
			}
			encoded.opened = fresh
			reopened++
			continue
		case policy == maySwitch && a.task.plugin.ShouldRetry(err):
			a.task.log.Warn("a new version of the plugin failed: the batch is encoded again",
				"version", encoded.opened.code.Version(), "error", err)
			return encoded, errSwitchVersion
		case isTransient(err) && (attempt < a.task.o.Client.Retry().Times() ||
			a.task.o.Retry.Allows(time.Since(startedAt))):
			attempt++
			if err := a.task.o.Client.Retry().Wait(a.task.run.stopCtx, 0); err != nil {
				return encoded, err
			}
			continue
		}
		break
	}
	encoded.trapped = errors.As(err, new(*plugin.Trap))
	if err != nil && !encoded.trapped {
		err = a.rowsError(rows, "encode", err)
	}
	return encoded, err
}

// reopen is [Task.reopen]. It is repeated after transient failures as often as requests are.
func (a *activeBatch) reopen(opened *openedVersion, stale error) (*openedVersion, error) {
	t := a.task
	for retries := t.o.Retry.Start(); ; {
		fresh, err := t.reopen(t.run.requestCtx, opened, stale)
		if err == nil || !isTransient(err) {
			return fresh, err
		}
		if retry, waitErr := retries.Wait(t.run.stopCtx); !retry || waitErr != nil {
			return nil, err
		}
		t.count.errors.Add()
		task.LogRetry(t.log, t.o.Client, "the plugin could not be opened again; repeating that", "error", err)
	}
}

// bisect encodes two halves of rows that trap the plugin, to find the row that does: only that one is rejected, so that
// it does not stop the connector for ever (RATIONALE.md P32).
func (a *activeBatch) bisect(out *outcome, opened *openedVersion, rows []uint32, hints []wit.Hint,
	err error) ([]delivery, error) {
	if len(rows) == 1 {
		if a.rowStates[rows[0]].inDoubt != nil {
			return []delivery{a.uncheckable(rows[0], err)}, nil
		}
		a.rejectRow(out, rows[0], task.StageEncode, err)
		return nil, a.task.sendToDLQ(out)
	}
	var deliveries []delivery
	middle := len(rows) / 2
	for _, half := range [][2]int{{0, middle}, {middle, len(rows)}} {
		var halfHints []wit.Hint
		for _, h := range hints {
			if int(h.Row) >= half[0] && int(h.Row) < half[1] {
				halfHints = append(halfHints, wit.Hint{Row: h.Row - uint32(half[0]), Text: h.Text})
			}
		}
		more, err := a.encodeWith(out, opened, rows[half[0]:half[1]], halfHints, keepVersion)
		if err != nil {
			return nil, err
		}
		deliveries = append(deliveries, more...)
	}
	return deliveries, nil
}
