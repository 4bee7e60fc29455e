package paging

import (
	"slices"
)

// probe is a request whose rows are not emitted: it finds out what a service can do before the load relies on it.
type probe struct {
	kind         string
	fallbackLink string // to follow if the service does not sort by key; empty means $skip
	lastKey      string // the key of the row that probeDeletedRow requests
}

const ( // kinds of probes, as stored
	probeKeyOrder      = "keys"    // does the service sort by key and compare keys, and is the last key the last one?
	probePageCount     = "count"   // does a page of one row have the count of all rows?
	probeRowCount      = "end"     // how many rows are there now?
	probeHighestCursor = "high"    // what is the highest value of the cursor property?
	probeDeletedRow    = "deleted" // was the last row deleted, with which the page should have started?
	probeKnownRows     = "known"   // were the rows that $skip returns in place of a suspected page read?
	probeKnownEnd      = "lastly"  // the same at the end of the load
	probeFurtherRows   = "further" // is there a row after those read, while links return no new one?
)

// requestsKnownRows reports whether a probe requests rows that were all read, unless rows are missing.
func (p *Position) requestsKnownRows() bool {
	return p.probe.kind == probeKnownRows || p.probe.kind == probeKnownEnd || p.probe.kind == probeKeyOrder
}

// requestsLastRows reports whether a probe requests the last rows of the set, to show that nothing follows the last
// key, and that the service sorts by key.
func (p *Position) requestsLastRows() bool {
	return p.probe.kind == probeKeyOrder && p.pager.speculative
}

// afterProbe evaluates a probe. The next position is then the page that the probe preceded, another one, or the end.
func (t *transition) afterProbe() error {
	next := t.next
	answered := t.position.probe
	next.probe = &probe{fallbackLink: answered.fallbackLink} // the next page may contradict the answer
	switch answered.kind {
	case probeKeyOrder:
		return t.afterKeyOrder()
	case probePageCount:
		if t.Count <= t.Rows {
			return t.afterLastSpeculativePage()
		}
		return t.complete("its count may end at a limit, and it ignores or rejects requests for further rows")
	case probeRowCount:
		return t.afterRowCount()
	case probeDeletedRow:
		if slices.Equal(t.set.sortTexts(t.firstKey), t.set.unpackKey(answered.lastKey)) {
			return t.restartWithoutKeyset("the service omits the last row read from a page that must start with it")
		}
	case probeKnownRows, probeKnownEnd:
		return t.afterKnownRows()
	case probeFurtherRows:
		if t.Rows == 0 && t.Link == "" {
			return t.afterConfirmedEnd()
		}
	}
	return nil
}

// maxUnreturned limits consecutive probes that find a row after the last key which no page returns. Fewer such probes
// show nothing, since a row may exist for a short time only.
const maxUnreturned = 10

// afterKeyOrder evaluates the rows up to the last key, or the last rows of the set, in descending order. At least one
// of the last rows read must be among them: others may have been inserted or deleted in the meantime.
func (t *transition) afterKeyOrder() error {
	next := t.next
	areLastRows := t.position.requestsLastRows()
	isKnown := t.hasKnownRow || slices.Equal(t.set.sortTexts(t.firstKey), t.set.unpackKey(t.position.checks.key))
	// One row shows no order, but pages of one row cannot show more. If only one row was read, it may be the first by
	// chance.
	hasOrder := (t.order.rows > 1 || next.pageRows == 1) && t.position.rowsRead > 1
	isConfirmed := t.order.ascends() && hasOrder && isKnown && !t.hasUnreadRow
	isUndecoded := t.startsWithNewErrors || (t.order.rows <= 1 && t.digest.errorCount > 0)
	switch {
	case areLastRows && t.hasUnreadRow && next.checks.unreturned == maxUnreturned:
		return t.restartWithoutKeyset("the service has a row after the last key, and pages by key do not return it")
	case areLastRows && t.hasUnreadRow:
		next.previous.minRows = max(next.previous.minRows, next.rowsRead+1)
		t.foundMoreRows()
		next.checks.unreturned++
		t.continueByKey(promised)
		t.requireKeyOrder("")
		return nil
	case t.Rows == 0 && areLastRows && next.capabilities.has(sortsByKey):
		next.capabilities.set(rowsMayShift, true) // some services hide rows after they cut a page
		return t.afterLastRow()
	case areLastRows && isUndecoded && (isConfirmed || next.capabilities.has(sortsByKey)):
		if !isConfirmed {
			next.capabilities.set(rowsMayShift, true)
		}
		return nil // the page from the last key on shows whether these rows were reported
	case isConfirmed && areLastRows:
		sortsFiltered := next.capabilities.has(sortsByKey) // for later loads: some services sort only without a filter
		next.capabilities.set(sortsByKey, true)
		err := t.afterLastRow()
		t.next.capabilities.set(sortsByKey, sortsFiltered)
		return err
	case !isConfirmed && next.capabilities.has(keysWorked) && !areLastRows:
		return t.restartWithoutKeyset("the service does not sort by key or does not compare keys")
	case !isConfirmed && next.totalCount < 0:
		return t.abandonKeyset("the service does not sort by key or does not compare keys")
	}
	// If not confirmed, rows may still be stored in the order of the keys. The checks continue, but prove nothing.
	next.capabilities.set(sortsByKey, isConfirmed)
	next.capabilities.set(orderAssumed, !isConfirmed)
	return nil
}

// afterRejectedProbe continues without the answer to a probe. Then nothing proves what the probe should have shown.
func (t *transition) afterRejectedProbe(kind string) error {
	t.next.probe = &probe{fallbackLink: t.next.probe.fallbackLink}
	t.next.suspectFrom = 0
	switch kind {
	case probeKeyOrder, probeDeletedRow, probeKnownRows, probeFurtherRows:
		t.next.capabilities.set(rowsMayShift, true)
	case probeKnownEnd:
		t.next.capabilities.set(rowsMayShift, true)
		return t.lastPage()
	case probePageCount:
		return t.afterLastSpeculativePage()
	case probeRowCount:
		return t.complete("it rejects the request for a second count")
	}
	return nil
}

// afterConfirmedEnd ends a load whose links continue after the last row.
func (t *transition) afterConfirmedEnd() error {
	if t.set.Keys == nil && t.next.checks.repeatCount > 0 {
		return t.loopError(t.position.url + " and others have the same rows as earlier pages, and the service has no " +
			"row after the first " + itoa(t.next.rowsRead))
	}
	t.next.url = t.position.url
	return t.lastPage()
}

// checkDeleted probes whether the last row was deleted, since the page did not start with it.
func (t *transition) checkDeleted(key string) {
	if t.next.probe.kind == "" && !t.next.capabilities.has(loadComplete) {
		t.next.probe = &probe{kind: probeDeletedRow, lastKey: key}
	}
}

// abandonKeyset continues by the next link that paging by key replaced, or by $skip.
func (t *transition) abandonKeyset(reason string) error {
	next := t.next
	link := t.position.probe.fallbackLink
	endsDecoded := next.undecoded.count == 0
	t.markKeyFilterIgnored()
	next.probe = &probe{}
	next.countUndecoded()
	if link == "" {
		t.info(reason + "; continuing by $skip")
		needsOverlap := next.totalCount < 0 || next.capabilities.has(linksWorked)
		t.useSkip(pager{overlaps: endsDecoded && next.pageRows > 1 && needsOverlap, speculative: next.totalCount < 0})
		return nil
	}
	t.info(reason + "; continuing by its next links")
	return t.followLink(link, true) // the link may count rows
}
