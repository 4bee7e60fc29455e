package paging

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/wit"
)

// probe is a request whose rows are not emitted: it finds out what a service can do before the load relies on it, or
// whether rows are missing. Probes about keys request nothing else, which also shows rows that $expand hides.
type probe struct {
	kind         string // one of the constants below; empty means no probe
	fallbackLink string // to follow if the service does not sort by key; empty means $skip
	key          string // the key of the requested row, or the setting of a condition that a row contradicts
	dropped      string // the setting of a condition that the request does not contain
	message      string // the error if that condition is ignored
	count        int    // the number of rows without that condition, plus one. Zero means that it is unknown.
	digest       string // of the keys of the first of these rows
	// expanded means that the request contains $expand, since the answer without it has a row that was not read.
	expanded bool
	closing  bool // the load has read its last page
}

const ( // kinds of probes, as stored
	probeBefore        = "keys"    // are all rows before the last key read, and does the service sort and compare keys?
	probeAfter         = "after"   // does a row follow the last key?
	probeLastRows      = "last"    // the same, without a filter: what are the last rows of the set?
	probeFirstRows     = "first"   // is a row that was not read on the first page now, so that it was inserted?
	probeRank          = "rank"    // which row has the number of the last row?
	probeEarlierRow    = "earlier" // does a row of an earlier attempt still exist?
	probeRowCount      = "end"     // how many rows are there now?
	probeHighestCursor = "high"    // what is the highest value of the cursor property?
	probeDeletedRow    = "deleted" // was the last row deleted, with which the page should have started?
	probeUnfiltered    = "all"     // which rows are there without the condition that a row contradicts?
	probeFiltered      = "some"    // which are there with it?
)

// readRowProbes are the kinds of probes that expect only rows that were read. They request keys alone.
var readRowProbes = []string{probeBefore, probeAfter, probeLastRows, probeFirstRows}

// keyProbes are all kinds of probes that request keys alone.
var keyProbes = append(readRowProbes, probeRank, probeEarlierRow, probeDeletedRow, probeUnfiltered, probeFiltered)

// DroppedCondition returns the setting whose condition the next request does not contain, or "".
func (p *Position) DroppedCondition() string { return p.probe.dropped }

// RequestsKeysAlone reports whether the next request is a probe of which only the keys are read.
func (p *Position) RequestsKeysAlone() bool {
	return slices.Contains(keyProbes, p.probe.kind) && !p.probe.expanded &&
		(p.canRequestKeysAlone() || p.probe.message != "")
}

// canRequestKeysAlone reports whether keys alone identify the rows that were read. Rows that cannot be decoded have no
// known key, so they are only recognized as a whole.
func (p *Position) canRequestKeysAlone() bool {
	return !p.known.refusesKeysAlone && !p.seen.undecodable
}

// closingProbe returns the request that an end still needs for its support, or "". Each is sent once.
func (t *transition) closingProbe() string {
	next := t.next
	used := next.seen.used
	seen := &next.seen
	isOnePage := next.isOnePage()
	hasOneResponse := !used[byLink] && !used[byKey] && !used[bySkip]
	isMissing := next.totalCount > next.rowsRead
	isCounted := next.totalCount == next.rowsSeen()
	isByKey := used[byKey] && t.canProveByKey()
	isByLink := used[byLink] && isCounted && t.set.Keys != nil && t.canProveByCount()
	canSort := t.set.Ordered && !next.known.refusesOrderBy
	canUseKeys := t.canFilterByKey() && !seen.excludesProof()
	isByTexts := isByKey && !isOnePage && t.set.Keys.hasTexts()
	needsEnd := isByKey && (seen.rowsAfter == unasked || (isOnePage && seen.rowsBefore != shown))
	mustProbeEnd := isByLink || t.canCheckExpand() || needsEnd || (isByTexts && seen.counted == unasked)
	switch {
	case isCounted && hasOneResponse && !t.set.Expands:
		return "" // the count of the only response is enough
	case seen.rowsBefore == unasked && isByKey && (isOnePage || (seen.rowsAfter == shown && !next.known.sortsByKey)):
		seen.rowsBefore = asked
		return probeBefore
	case seen.ranked == unasked && t.set.Pageable &&
		((isByTexts && next.totalCount < 0) || (t.canCheckExpand() && next.rowsRead > 0)):
		seen.ranked = asked // confirms the number of rows without a count, or without $expand
		return probeRank
	case seen.descends == unasked && canSort && mustProbeEnd:
		seen.descends = asked
		seen.rowsAfter = asked // the last rows answer both
		return probeLastRows
	case seen.rowsAfter == unasked && canUseKeys && (hasOneResponse || isByLink):
		seen.rowsAfter = asked
		return probeAfter
	case seen.rowsBefore == unasked && seen.rowsAfter == shown && canUseKeys && hasOneResponse:
		seen.rowsBefore = asked
		return probeBefore
	case seen.counted == unasked && (isMissing || isByLink):
		seen.counted = asked
		return probeRowCount
	}
	return ""
}

// isOnePage reports whether all rows were on the first page.
func (p *Position) isOnePage() bool { return p.rowsRead <= p.pageRows }

// canCheckExpand reports whether requests without $expand can show rows that $expand hides.
func (t *transition) canCheckExpand() bool {
	return t.set.Expands && t.set.Keys != nil && t.next.canRequestKeysAlone()
}

// mayBeHidden reports whether $expand may hide a row of the response, which was requested without it.
func (t *transition) mayBeHidden() bool { return t.canCheckExpand() && !t.position.probe.expanded }

// repeatExpanded sends a probe again with $expand: the answer shows whether $expand hides the row that was not read.
func (t *transition) repeatExpanded() error {
	t.setWitness()
	t.next.probe.kind = t.position.probe.kind
	t.next.probe.expanded = true
	return nil
}

// canFilterByKey reports whether rows before and after the last key can be requested.
func (t *transition) canFilterByKey() bool {
	next := t.next
	return t.set.Keys != nil && next.checks.key != "" && !next.known.ignoresKeyFilter
}

// afterProbe evaluates a probe. The next position is then the page that the probe preceded, another one, or the end.
func (t *transition) afterProbe() error {
	next := t.next
	answered := t.position.probe
	// The next page may contradict the answer.
	next.probe = &probe{fallbackLink: answered.fallbackLink, closing: answered.closing}
	confirmsRank := answered.kind == probeRank && t.Rows == 1 && t.startsWithLastKey()
	isHidden := confirmsRank || (answered.kind != probeRank && !t.hasWitness)
	if answered.expanded && isHidden {
		// Some rows are only returned without $expand.
		return t.incomplete("and it has other rows if they are requested without $expand: it leaves out rows without " +
			"expanded ones. Remove " + t.set.Setting("expand") + ", and read the expanded entities by themselves")
	}
	switch answered.kind {
	case probeBefore:
		return t.afterRowsBefore()
	case probeFirstRows:
		return t.afterFirstRows()
	case probeAfter, probeLastRows:
		return t.afterLastRows()
	case probeRank:
		if confirmsRank {
			next.seen.ranked = shown
		} else if t.mayBeHidden() && t.Rows > 0 {
			return t.repeatExpanded()
		}
		return t.lastPage()
	case probeRowCount:
		return t.afterRowCount()
	case probeEarlierRow:
		if t.Rows > 0 {
			return t.retry("and the service still has the row " + answered.key + ", which was not read")
		}
		next.previous.witnessHash = ""
		next.seen.deleted = true
		return t.complete("")
	case probeDeletedRow:
		if t.firstKeyIs(answered.key) {
			return t.restartWithoutKeyset("the service omits the last row read from a page that must start with it")
		}
		next.seen.deleted = true
		if answered.closing {
			return t.lastPage()
		}
	case probeUnfiltered:
		next.probe = &probe{kind: probeFiltered, fallbackLink: answered.fallbackLink, key: answered.key,
			message: answered.message, count: t.Count + 1}
		if t.digest.errorCount == 0 && t.set.Keys != nil {
			next.probe.digest = encodeHash(t.digest.keys)
		}
	case probeFiltered:
		return t.afterFiltered()
	}
	return nil
}

func (t *transition) firstKeyIs(packedKey string) bool {
	return packedKey != "" && t.set.equalKeys(t.firstKey, t.set.Keys.unpack(packedKey))
}

func (t *transition) startsWithLastKey() bool { return t.firstKeyIs(t.position.checks.key) }

// afterRowsBefore evaluates the rows before the last key, in descending order. If more rows than those read are before
// it, the service cuts rows before it sorts them, or compares keys in another way than it sorts them, unless a row was
// inserted.
func (t *transition) afterRowsBefore() error {
	next := t.next
	isOnePage := next.isOnePage()
	isUnread := t.hasUnreadRow || (isOnePage && t.Rows >= next.rowsSeen())
	isUnsorted := t.order.rows > 1 && !t.order.ascends()
	hasOrder := (t.order.rows > 1 || next.pageRows == 1) && next.rowsRead > 1 && t.hasKnownRow
	isClosing := next.probe.closing
	next.seen.rowsBefore = asked
	switch {
	case t.advancesLastKey && isClosing:
		t.setWitness()
		return t.restartWithoutKeyset("the service does not compare keys")
	case t.hasLastRow && isClosing:
		next.seen.shifted = true // the service includes the key, so nothing shows that it has other rows
	case t.advancesLastKey || t.hasLastRow:
		if t.order.ascends() { // else the service ignores the filter, and the row may have been inserted
			t.setWitness()
		}
		return t.abandonKeyset("the service does not compare keys")
	case isUnsorted && isClosing:
		next.seen.assumedOrder = true
	case isUnsorted && next.totalCount < 0:
		return t.abandonKeyset("the service does not sort by key")
	case isUnsorted:
		// Rows may still be stored in the order of the keys. The checks continue, but prove nothing.
		next.seen.assumedOrder = true
	case t.hasUnreadRow && t.mayBeHidden():
		return t.repeatExpanded()
	case isUnread:
		next.probe.kind = probeFirstRows
		t.setWitness()
		return nil
	case next.rowsRead == 1 || t.hasKnownRow:
		next.known.sortsByKey = next.known.sortsByKey || hasOrder
		next.seen.rowsBefore = shown
	}
	if isClosing {
		return t.lastPage()
	}
	return nil
}

// setWitness records a row that was seen and not read: the load must read it, unless it is deleted.
func (t *transition) setWitness() {
	if t.hasUnreadRow {
		t.next.previous.witness = t.unreadKey
		t.next.previous.witnessHash = packHashes([]uint64{t.unreadHash})
		t.next.seen.witnessed = false
	}
}

// afterFirstRows evaluates the first page, requested again because a row before the last key was not read.
func (t *transition) afterFirstRows() error {
	const reason = "the service has rows before the last row of a page that are not on that page: it may select " +
		"rows before it sorts them"
	isInserted := t.hasUnreadRow || (t.next.isOnePage() && t.Rows > t.next.rowsSeen())
	switch {
	case !isInserted && !t.next.seen.used[byKey]:
		return t.abandonKeyset(reason)
	case !isInserted:
		return t.restartWithoutKeyset(reason)
	}
	t.next.seen.shifted = true // the row was inserted; others may be missing
	if t.hasWitness {
		t.next.previous.witnessHash = ""
	}
	if !t.next.probe.closing {
		return nil
	}
	return t.lastPage()
}

// maxUnreturned limits consecutive probes that find a row which no page returns: a row may exist for a short time only.
const maxUnreturned = 10

// afterLastRows evaluates the rows from the last key on, or the last rows of the set in descending order. The
// latter must contain one of the last rows read: others may have been inserted or deleted.
func (t *transition) afterLastRows() error {
	next := t.next
	isFiltered := t.position.probe.kind == probeAfter
	switch {
	case t.advancesLastKey && next.checks.unreturned == maxUnreturned:
		t.setWitness()
		next.previous.witness = "" // it was seen often enough
		return t.restartWithoutKeyset("the service has a row after the last key, and pages by key do not return it")
	case t.hasUnreadRow && t.mayBeHidden():
		return t.repeatExpanded()
	case t.advancesLastKey && next.seen.used[byLink] && !t.set.canUseKeyset(next.known):
		return t.retry("and the service has rows that its links did not return")
	case t.startsWithNewErrors && next.checks.unreturned == 0 && t.set.canUseKeyset(next.known):
		next.checks.unreturned++ // the page from the last key on shows whether these rows were reported
		t.continueByKey()
		return nil
	case t.advancesLastKey:
		t.setWitness()
		t.foundMoreRows()
		next.checks.unreturned++
		if !t.set.canUseKeyset(next.known) {
			return t.skipFurther()
		}
		t.continueByKey()
		t.requireKeyOrder("")
		return nil
	case isFiltered && t.Rows > 0 && (t.Rows > 1 || next.pageRows == 1 || !t.startsWithLastKey()):
		return t.skipFurther()
	case isFiltered, (t.hasKnownRow || t.startsWithLastKey()) && (t.order.rows == 1 || t.order.ascends()),
		t.Rows == 0 && next.rowsRead == 0:
		next.seen.rowsAfter = shown
		isDeleted := t.Rows > 0 && !t.startsWithLastKey()
		if isFiltered {
			isDeleted = t.Rows == 0 && next.pageRows > 1
		} else if t.order.rows > 1 {
			next.seen.descends = shown
		}
		if isDeleted {
			next.probe.kind = probeDeletedRow
			next.probe.key = next.checks.key
			return nil
		}
	}
	if !isFiltered && next.totalCount >= 0 && next.seen.counted == unasked {
		next.seen.counted = asked
		return t.afterRowCount()
	}
	return t.lastPage()
}

// skipFurther requests further rows by $skip, which nothing has promised, if that was not tried.
func (t *transition) skipFurther() error {
	if !t.set.Pageable || t.next.seen.used[byLink] || t.next.seen.used[byKey] || t.next.seen.used[bySkip] {
		return t.lastPage()
	}
	t.useSkip(t.next.pageRows > 1)
	return nil
}

// afterRejectedProbe continues without the answer to a probe. Then nothing proves what the probe should have shown.
func (t *transition) afterRejectedProbe() error {
	next := t.next
	answered := t.position.probe
	next.probe = &probe{fallbackLink: answered.fallbackLink}
	switch answered.kind {
	case probeDeletedRow:
		next.seen.shifted = true
	case probeUnfiltered, probeFiltered:
		return &wit.Error{Kind: wit.ErrorData, Setting: &answered.key, Message: answered.message}
	case probeEarlierRow:
		return t.retry("and the service rejects the request for the row " + answered.key + ", which was not read")
	case probeRowCount:
		if next.totalCount < 0 {
			return t.endAfterFailure()
		}
		return t.complete("it rejects the request for a second count")
	case probeAfter:
		return t.skipFurther()
	}
	if answered.closing {
		return t.lastPage()
	}
	return nil
}

// checkDeleted probes whether the last row was deleted, since the page did not start with it.
func (t *transition) checkDeleted(key string) {
	if t.next.probe.kind == "" && !t.next.isDone {
		t.next.probe = &probe{kind: probeDeletedRow, key: key}
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
	if link == "" && !t.set.Pageable && !t.isPromised() {
		return t.endAfterFailure()
	}
	if link == "" {
		t.info(reason + "; continuing by $skip")
		needsOverlap := next.totalCount < 0 || next.seen.used[byLink]
		t.useSkip(endsDecoded && next.pageRows > 1 && needsOverlap)
		return nil
	}
	t.info(reason + "; continuing by its next links")
	return t.followLink(link, true) // the link may count rows
}

const maxMessage = 512 // bytes of the message in an offset

// requestUnfiltered requests the rows without the condition that a row contradicts, and then those with it. The page
// follows again. The service may select by other states of a row, such as the time slices of SAP SuccessFactors, or it
// ignores the condition.
func (t *transition) requestUnfiltered() error {
	next := t.next
	isDropped := optionOf(t.position.url, "$filter") == "" && t.Count != next.totalCount
	switch {
	case t.position.pager.kind == byLink && isDropped:
		return t.filterError // the link may have dropped the condition
	case t.set.ExactlyOnce && t.emittedRows > 0:
		t.filterError.Message += ", or selects by other states of its rows; to find out which, rows of this page " +
			"would be delivered twice, which exactly-once excludes"
		return t.filterError
	}
	t.info(t.filterError.Message + "; requesting the rows without this condition")
	message := strings.ToValidUTF8(t.filterError.Message[:min(len(t.filterError.Message), maxMessage)], "")
	next.probe = &probe{kind: probeUnfiltered, fallbackLink: t.position.probe.fallbackLink,
		key: *t.filterError.Setting, dropped: *t.filterError.Setting, message: message}
	return nil
}

// afterFiltered compares the rows with a condition with those that the service returns without it. The numbers decide,
// else the keys of the first page, if all of them were decoded.
func (t *transition) afterFiltered() error {
	next := t.next
	answered := t.position.probe
	unfiltered := answered.count - 1
	isOther := t.Count >= 0 && unfiltered > max(t.Count, next.totalCount)
	if t.Count < 0 || unfiltered < 0 {
		isOther = t.digest.errorCount == 0 && answered.digest != "" && answered.digest != encodeHash(t.digest.keys)
	}
	if !isOther {
		return &wit.Error{Kind: wit.ErrorData, Setting: &answered.key, Message: answered.message}
	}
	next.known.appliedConditions += answered.key + ","
	t.warn("the service applies " + answered.key + ", but selects by other states of its rows than those that it " +
		"returns: rows may be delivered again by each load. If these are time slices, as in SAP SuccessFactors, " +
		t.set.Setting("query") + " = fromDate=1900-01-01&toDate=9999-12-31 makes each slice a row")
	return nil
}
