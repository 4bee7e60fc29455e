package paging

import (
	"github.com/culvert-project/culvert/wit"
)

// maxEmptyPages limits consecutive pages without rows.
const maxEmptyPages = 1000

// Next returns the position after a complete page: the next page, a probe, or the end of the load. It fails if the load
// cannot be complete, and starts the load over if a check failed.
func (pg *Page) Next(info PageInfo) (*Position, error) {
	t := pg.newTransition(info)
	return t.end(t.afterPage())
}

// afterPage handles pages other than those requested first, then the rows, then the link.
func (t *transition) afterPage() error {
	switch {
	case t.cursor.belowFrom != "":
		return t.cursor.filterIgnored(t.set, t.position)
	case t.position.probe.kind != "":
		return t.afterProbe()
	case t.mismatch != "":
		return t.afterMismatch()
	}
	t.countRows()
	checks := t.next.checks
	if checks.emptyPages++; t.Rows > 0 {
		checks.emptyPages = 0
	}
	if checks.emptyPages > maxEmptyPages {
		return t.loopError(itoa(maxEmptyPages) + " consecutive pages have no rows, the last one is " + t.position.url)
	}
	if handled, err := t.checkLoop(); handled || err != nil {
		return err
	}
	t.warnExcess()
	if t.position.isSpeculative() && t.next.rowsRead > t.position.rowsRead+t.position.undecoded {
		t.next.capabilities.set(foundSpeculativeRows, true)
	}
	t.saveChecks()
	if t.Link != "" {
		return t.afterLinkedPage()
	}
	return t.afterUnlinkedPage()
}

// afterMismatch handles a page that is not the one requested.
func (t *transition) afterMismatch() error {
	switch {
	case t.position.isSpeculative():
		if t.emitted > 0 {
			t.next.capabilities.set(foundSpeculativeRows, true)
		}
		return t.afterSpeculativeFailure()
	case t.position.followsEmptyPage() && !t.keyAdvanced:
		return t.checkCount()
	case t.position.followsEmptyPage():
		return t.incomplete("the page after them has none, and a link to rows before and after their last key; " +
			t.set.Setting("paging") + " = links follows such links")
	case t.position.usesKeyset():
		return t.restartWithoutKeyset(t.mismatch)
	}
	return t.retry(t.mismatch)
}

func (t *transition) countRows() {
	t.next.undecoded, t.next.undecodedHashes = 0, ""
	t.next.rowsRead += t.position.skippedRows() + t.Rows - t.overlapRows()
	if t.position.rowsRead == 0 && t.position.totalCount < 0 && t.set.Count && t.Count >= 0 {
		t.checkFirstCount()
	}
}

// checkFirstCount decides whether the first page's count covers the set, because some services count the rows of the
// page only, or return 0. If nothing shows that the service counts beyond a page, a probe follows (RATIONALE.md P4).
func (t *transition) checkFirstCount() {
	switch {
	case t.Count < t.Rows:
		t.warn("the service counts " + itoa(t.Count) + " rows, and its first page has " + itoa(t.Rows) +
			": its count is ignored")
		t.next.capabilities.set(excessReported, true)
	case t.Count == t.Rows && t.Link != "": // the count of a page: ignored
	case t.Count == t.Rows && t.Rows > 0 && !t.next.capabilities.has(countsWholeSet):
		t.next.capabilities.set(countMayBePageOnly, true)
	default:
		t.next.totalCount = t.Count
	}
}

// checkLoop compares the page with earlier ones. handled means that the next position is set: if a speculative page
// repeats an earlier one, the service ignores $skip.
func (t *transition) checkLoop() (handled bool, err error) {
	keyset := t.position.usesKeyset()
	if keyset && !t.nothingDecoded() {
		return false, nil // rows after the key, in order, are new
	}
	if t.Link == "" && t.overlapRows() == t.Rows && t.position.rowsRead > t.Rows {
		return false, nil // inserted rows moved the previous page here
	}
	content, known := t.digest.hash()
	if keyset && t.digest.errorCount == 0 {
		known = false
	}
	if !known || !t.next.checks.pages.visit(content) {
		return false, nil
	}
	if t.position.isSpeculative() && (t.nothingDecoded() || !keyset) {
		if t.set.ExactlyOnce && t.emitted > 0 {
			return true, t.restart("the page after the last one repeats the first rows")
		}
		t.next.rowsRead, t.next.undecoded, t.next.undecodedHashes = t.position.rowsRead, t.position.undecoded,
			t.position.undecodedHashes
		return true, t.afterSpeculativeFailure()
	}
	return true, t.loopError(t.position.url + " has the same rows as an earlier page")
}

func (t *transition) warnExcess() {
	next := t.next
	if next.totalCount < 0 || next.rowsRead <= next.totalCount || next.capabilities.has(excessReported) {
		return
	}
	next.capabilities.set(excessReported, true)
	t.warn("there are more rows than the " + itoa(next.totalCount) + " that the service counted: rows were inserted " +
		"in the meantime or occur twice, or it counts up to a limit only")
}

func (t *transition) saveChecks() {
	checks := t.next.checks
	if !t.position.usesKeyset() {
		t.repeats.save(checks)
		if t.repeats.duplicateKeys || t.digest.duplicateKeys {
			t.next.capabilities.set(duplicateKeys, true)
		}
		t.next.previous.outOfOrderKey = t.repeats.outOfOrderKey
	}
	if t.order.rows == 0 && t.Rows == t.overlapRows() {
		return // no new rows
	}
	texts := []string(nil)
	if t.order.ascends() {
		texts = t.set.sortTexts(t.digest.last)
	}
	if checks.sorted, checks.folded, checks.key = false, false, ""; texts != nil {
		checks.sorted, checks.folded, checks.key = t.order.bytes, t.order.folded, t.set.Keys.Pack(texts)
	}
}

// afterLinkedPage follows the next link, or continues by key if the link may count rows: rows deleted or inserted
// meanwhile would then hide others (RATIONALE.md P3).
func (t *transition) afterLinkedPage() error {
	keyset := t.position.usesKeyset()
	if keyset && t.Rows == 0 {
		return t.followEmptyPage()
	}
	t.Link, _ = t.restoreOptions(t.Link) // an error is reported when the link is followed
	if t.Link == t.position.url {
		return t.afterLinkLoop("the next link of " + t.Link + " is its own URL")
	}
	safe := t.set.linkHasKey(t.Link, t.position.url, t.set.literalTexts(t.digest.last), t.next.rowsRead)
	switch {
	case keyset && t.nothingDecoded() && t.set.Pageable:
		return t.skipUndecoded()
	case (keyset || t.set.Paging == "keys" || !safe) && t.useKeyset(promised):
		t.requireKeyOrder(t.Link)
		return nil
	}
	return t.followLink(t.Link, nextLinkPager{counts: !safe})
}

// followEmptyPage follows the link of an empty keyset page, unless all rows were read or links loop: some services
// remove rows after they cut a page. Only rows after the last key count there.
func (t *transition) followEmptyPage() error {
	next := t.next
	link, err := t.restoreOptions(t.Link)
	switch {
	case next.totalCount >= 0 && next.totalCount <= next.rowsRead, link == t.position.url:
		return t.checkCount()
	case err != nil:
		return err
	case next.checks.followed.visit(hashOf(link)):
		return t.checkCount()
	}
	// The skipped rows are counted with the next page.
	next.url, next.pager, next.rowsRead = link, keysetPager{skipped: t.position.skippedRows()}, t.position.rowsRead
	return nil
}

// retryEmptyPage handles a lost or rejected link of an empty page: it requests the page after the last key again. If
// that link fails too, the load ends. action is for the log.
func (t *transition) retryEmptyPage() (action string, err error) {
	requested := LoopDetector{}
	t.next.url = t.keysetURL(t.position.skippedRows())
	requested.Visit(t.next.url)
	linked := requested
	if linked.Visit(t.position.url); t.next.checks.followed == linked {
		return "the page before it was requested again and has no rows: the load ends there", t.checkCount()
	}
	t.next.checks.followed = requested // the link returned no page and may be followed again
	return "requesting the page before it again", nil
}

// afterUnlinkedPage handles a page without next link. It is the last one only if no count and no further page say
// otherwise (RATIONALE.md P4). The order of the cases matters: first the ends, then ways to continue.
func (t *transition) afterUnlinkedPage() error {
	next, keyset := t.next, t.position.usesKeyset()
	newRows := t.Rows - t.reportedErrors - t.overlapRows()
	afterKey := t.Rows + t.position.skippedRows() // counts of keyset pages cover the rows after the key
	counted := next.totalCount >= 0
	short := next.totalCount > next.rowsRead
	more := keyset && t.Count > afterKey
	complete := keyset && t.Count == afterKey && counted
	switch {
	case complete, newRows == 0 && !(t.nothingDecoded() && t.reportedErrors > 0), counted && !short && !more:
		return t.checkCount()
	case t.nothingDecoded() && (t.set.Pageable || short || more || next.capabilities.has(foundSpeculativeRows)):
		return t.skipUndecoded()
	case newRows == 0:
		return t.checkCount()
	}
	request := promised
	if !counted && !more {
		request = speculative
	}
	switch {
	case t.useKeyset(request):
		if request == promised || next.capabilities.has(foundSpeculativeRows) {
			t.requireKeyOrder("")
		}
	case !t.set.Pageable && short:
		return t.incomplete("and according to its metadata it cannot be paged")
	case short && len(t.digest.last) == 0:
		return t.incomplete("without a next link; without keys, rows cannot be requested by $skip")
	case !t.set.Pageable, len(t.digest.last) == 0, keyset && !short:
		return t.checkCount()
	default:
		orderUnknown := request == speculative || next.capabilities.has(refusesOrderBy)
		t.useSkip(skipPager{overlaps: t.lastDecoded > 0 && orderUnknown, speculative: request == speculative})
	}
	t.probePageCount(next.rowsRead + next.undecoded)
	if short && t.set.Top == 0 {
		t.info(itoa(next.rowsRead) + " of " + itoa(next.totalCount) +
			" rows were read and there is no next link; continuing with " + next.url)
	}
	return nil
}

// probePageCount probes after a first page of several rows whether the service's count is of a page only.
func (t *transition) probePageCount(rows int) {
	if t.position.rowsRead == 0 && t.next.capabilities.has(countMayBePageOnly) && rows > 1 {
		t.next.probe = &probe{kind: probePageCount}
	}
}

// skipUndecoded continues after a page without a decodable row, which has no key to continue from: by $skip, from the
// previous key if there is one. A service that rejects or ignores $skip and returns no count has no more rows.
func (t *transition) skipUndecoded() error {
	next, position := t.next, t.position
	if !t.set.Pageable {
		return &wit.Error{Kind: wit.ErrorData, Message: t.set.Label() + ": none of the rows of " + position.url +
			" can be decoded, and according to its metadata others cannot be requested by $skip: expected a page " +
			"with a row that can be decoded; increase " + t.set.Setting("page.size")}
	}
	next.undecodedHashes = packHashes(t.errorHashes)
	if !position.usesKeyset() {
		t.useSkip(skipPager{speculative: next.totalCount < 0})
	} else {
		checks := next.checks
		checks.sorted, checks.folded, checks.key = position.checks.sorted, position.checks.folded, position.checks.key
		skipped := position.skippedRows() + t.Rows
		next.rowsRead, next.pager = position.rowsRead, keysetPager{skipped: skipped, speculative: next.totalCount < 0}
		next.url = t.keysetURL(skipped)
	}
	t.probePageCount(t.Rows)
	return nil
}

// checkCount ends the load if all counted rows were read. Else it probes whether the others were deleted meanwhile.
func (t *transition) checkCount() error {
	next := t.next
	switch {
	case next.totalCount <= next.rowsRead:
		return t.complete()
	case next.rowsRead == 0:
		return t.incomplete("and " + t.position.url + " has none")
	case next.capabilities.has(rowsMayShift):
		return t.retry("deleted rows may have hidden others, since pages were requested by counting")
	}
	next.probe = &probe{kind: probeRowCount}
	return nil
}
