package paging

import (
	"math/bits"

	"github.com/culvert-project/culvert/wit"
)

const (
	// maxEmptyPages limits consecutive pages without rows, or with rows that only repeat an earlier page.
	maxEmptyPages = 1000
	// confirmedEmptyPages is the number of empty pages after which a request without a link asks for further rows.
	confirmedEmptyPages = 3
)

// Next returns the position after a complete page: the next page, a probe, or the end of the load. It fails if the load
// cannot be complete, and starts the load over if a check failed.
func (pg *Page) Next(info PageInfo) (*Position, error) {
	t := pg.newTransition(info)
	return t.end(t.afterPage())
}

// afterPage handles probes, pages that are not the one requested and speculative pages first, then the rows of a
// page, then its link.
func (t *transition) afterPage() error {
	switch {
	case t.cursor.belowFrom != "":
		return t.cursor.filterIgnoredError(t.set, t.position)
	case t.position.probe.kind != "":
		return t.afterProbe()
	case t.mismatch != "":
		return t.afterMismatch()
	case t.position.pager.speculative:
		return t.afterSpeculativePage()
	}
	t.countRows()
	t.next.capabilities.set(t.position.pager.kind, true)
	t.next.probe = &probe{}
	t.next.checks.emptyPages++
	if t.Rows > 0 && (t.position.usesKeyset() || t.Rows > t.overlapRows()) {
		t.next.checks.emptyPages = 0
	}
	if t.Rows == 0 && t.position.pager.kind == linksWorked {
		t.next.capabilities.set(rowsMayShift, true) // the link had promised rows, so no count is believed
	}
	if t.next.checks.emptyPages > maxEmptyPages {
		return t.loopError(itoa(maxEmptyPages) + " consecutive pages have no rows, the last one is " + t.position.url)
	}
	if handled, err := t.checkLoop(); handled || err != nil {
		return err
	}
	t.saveChecks()
	t.next.pageRows = max(t.next.pageRows, t.Rows)
	var err error
	switch {
	case t.position.usesKeyset():
		err = t.afterKeyPage()
	case t.Link != "":
		err = t.afterLinkedPage()
	default:
		err = t.afterUnlinkedPage()
	}
	t.settleSuspicion(probeKnownRows)
	return err
}

// newRows returns the number of rows that were not read before. It may be negative for a page without rows.
func (t *transition) newRows() int { return t.Rows - t.reportedErrors - t.overlapRows() }

// afterMismatch handles a page that is not the one requested.
func (t *transition) afterMismatch() error {
	if t.hasUnreadRow {
		t.next.capabilities.set(leftUnreadRows, true)
	}
	if t.digest.duplicateKeys {
		t.next.capabilities.set(duplicateKeys, true)
	}
	switch {
	case t.position.pager.speculative:
		return t.afterSpeculativeFailure()
	case t.position.followsEmptyPage() && !t.mayAdvanceKey:
		return t.lastPage()
	case t.position.followsEmptyPage():
		return t.incomplete("the next page has none, and its link returns rows before and after the last key; " +
			t.set.Setting("paging") + " = links follows such links")
	case t.position.usesKeyset() && !t.position.capabilities.has(keysWorked) && t.emittedRows == 0:
		return t.abandonKeyset(t.mismatch)
	case t.position.usesKeyset():
		return t.restartWithoutKeyset(t.mismatch)
	}
	return t.retry(t.mismatch)
}

// afterSpeculativePage evaluates a page that nothing had promised, and that starts with the last row read if pages have
// several rows. If it has new rows, they are requested again and emitted, else the load ends.
func (t *transition) afterSpeculativePage() error {
	next := t.next
	content, isKnown := t.digest.hash()
	isRepeated := (t.newRows() > 0 && isKnown && next.checks.pages.has(content)) ||
		t.reportedErrors > next.undecoded.count
	switch {
	case isRepeated && !t.position.usesKeyset():
		t.mismatch = "the service ignores $skip"
		return t.afterSpeculativeFailure()
	case t.newRows() > 0 && !t.position.usesKeyset() && next.capabilities.has(linksWorked) && !t.startsWithLast:
		return t.retry("the service has rows that its links did not return")
	case t.newRows() > 0:
		t.foundMoreRows()
		if !t.position.usesKeyset() {
			t.useSkip(pager{overlaps: t.position.pager.overlaps})
			return nil
		}
		if skipped := t.position.pager.skipped; skipped > 0 {
			t.useKeysetPager(pager{skipped: skipped})
		} else {
			t.continueByKey(promised)
		}
		t.requireKeyOrder("")
		return nil
	case t.Link != "" && t.position.usesKeyset():
		next.checks.emptyPages++
		return t.followEmptyPage()
	case t.position.usesKeyset() && t.position.pager.overlaps && !t.startsWithLast:
		t.useKeysetPager(pager{speculative: true})
		t.checkDeleted(t.position.checks.key)
		return nil
	case next.previous.minRows > next.rowsSeen()+t.position.pager.skipped:
		return t.retry("the service returned more rows earlier, and does not return them now")
	}
	return t.afterLastRow()
}

// afterLastRow ends a load after a request has shown that nothing follows the last row.
func (t *transition) afterLastRow() error {
	t.next.countUndecoded()
	t.next.rowsRead += t.position.pager.skipped
	return t.lastPage()
}

// foundMoreRows records that the service has rows that neither a link nor a count had promised.
func (t *transition) foundMoreRows() {
	next := t.next
	next.capabilities.set(foundSpeculativeRows, true)
	next.capabilities.set(leftUnreadRows|countMayBePageOnly, false)
	if next.totalCount >= 0 && next.totalCount <= next.rowsRead {
		t.warn("the service counts " + itoa(next.totalCount) + " rows and has more: its count is ignored")
		next.totalCount = -1
	}
}

func (t *transition) countRows() {
	t.next.undecoded = undecodedRows{}
	t.next.rowsRead += t.position.pager.skipped + t.Rows - t.overlapRows()
	if t.position.rowsRead == 0 && t.position.totalCount < 0 && t.set.Count && t.Count >= 0 {
		t.checkFirstCount()
	}
}

// checkFirstCount decides whether the first page's count covers the set, because some services count the rows of the
// page only, or return 0. If nothing shows that the service counts beyond a page, further rows are requested
// (RATIONALE.md P4).
func (t *transition) checkFirstCount() {
	switch {
	case t.Count < t.Rows:
		t.warn("the service counts " + itoa(t.Count) + " rows, and its first page has " + itoa(t.Rows) +
			": its count is ignored")
	case t.Count == t.Rows && t.Link != "":
		// Nothing to do: it is the count of a page, so there is no total.
	case t.Count == t.Rows && t.Rows > t.next.previous.provenRows && !t.next.capabilities.has(countsWholeSet):
		t.next.capabilities.set(countMayBePageOnly, true)
	default:
		t.next.totalCount = t.Count
	}
}

// checkLoop compares the page with earlier ones. handled means that the next position is set.
func (t *transition) checkLoop() (handled bool, err error) {
	usesKeyset := t.position.usesKeyset()
	if usesKeyset && (!t.nothingDecoded() || t.position.pager.skipped == 0) {
		return false, nil // rows after the key, in order, are new
	}
	isMoved := t.overlapRows() == t.Rows && t.position.rowsRead >= t.Rows
	if isMoved && !usesKeyset && t.Rows > 0 && (t.Link == "" || t.next.checks.emptyPages == 1) {
		return false, nil // inserted rows moved the previous page here
	}
	digest, isKnown := t.digest.hash()
	if usesKeyset && t.digest.errorCount == 0 {
		isKnown = false
	}
	isRepeated := isKnown && t.next.checks.pages.visit(digest)
	switch {
	case t.set.Keys == nil && t.Rows > 0:
		return t.checkRepeatedRows(isRepeated)
	case isRepeated:
		return true, t.loopError(t.position.url + " has the same rows as an earlier page")
	}
	t.suspectContents()
	return false, nil
}

// checkRepeatedRows handles a page of rows without keys. Equal pages prove nothing, since equal rows are usual if few
// properties are selected; after 4, 16, 64… of them in succession, a probe requests further rows.
func (t *transition) checkRepeatedRows(isRepeated bool) (handled bool, err error) {
	checks := t.next.checks
	repeated := checks.repeatCount + 1
	switch {
	case !isRepeated:
		checks.repeatCount = 0
		return false, nil
	case repeated > maxEmptyPages, t.next.totalCount >= 0 && t.next.rowsRead > t.next.totalCount:
		return true, t.loopError(itoa(repeated) + " consecutive pages repeat the rows of earlier ones, the last one " +
			"is " + t.position.url)
	}
	checks.repeatCount = repeated
	isPowerOf4 := bits.OnesCount(uint(repeated)) == 1 && bits.TrailingZeros(uint(repeated))%2 == 0
	if t.Link == "" || repeated == 1 || !isPowerOf4 || !t.set.Pageable {
		return false, nil
	}
	t.saveChecks()
	err = t.afterLinkedPage()
	if err == nil && t.next.probe.kind == "" {
		t.next.probe = &probe{kind: probeFurtherRows}
	}
	return true, err
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
	if t.position.usesKeyset() && t.newRows() > 0 {
		checks.lastHashes = packHashes(t.repeats.lastHashes)
	}
	checks.sorted = false
	checks.folded = false
	checks.key = ""
	if texts := t.set.sortTexts(t.digest.last); t.order.ascends() && texts != nil {
		checks.sorted = t.order.sorted
		checks.folded = t.order.folded
		checks.key = t.set.Keys.Pack(texts)
	}
}

// afterKeyPage continues after a page by key. The page is the last one if it starts with the last key and has as many
// rows as the service counts from that key on, or if it has no rows and was requested after that key. The last rows of
// the set are then requested, since the service may sort differently without a filter. They are not needed if as many
// rows were read as counted, or if the load cannot be proven by key.
func (t *transition) afterKeyPage() error {
	next := t.next
	isLastRowMissing := t.position.pager.overlaps && !t.startsWithLast
	if isLastRowMissing {
		defer t.checkDeleted(t.position.checks.key)
	}
	rowsFromKey := t.Rows + t.position.pager.skipped
	isCountOfRest := next.totalCount >= 0 && t.Count == rowsFromKey
	isCountReached := next.totalCount >= 0 && next.totalCount <= next.rowsRead
	isEndUnknown := t.Link == "" && next.totalCount < 0 && t.Count <= rowsFromKey
	isSpeculative := isCountOfRest || isCountReached || isEndUnknown
	isLast := t.Link == "" && !isLastRowMissing && (t.Rows == 0 || isCountOfRest) // nothing follows the last key
	if t.newRows() > 0 {
		next.checks.unreturned = 0
	}
	isSettled := next.checks.unreturned == 0 && (next.totalCount == next.rowsRead || !t.isProvenByKey())
	isShort := t.Rows < t.position.pageRows
	switch {
	case t.nothingDecoded() && t.Rows > t.overlapRows():
		return t.afterUndecodedPage(isSpeculative)
	case t.Rows == 0 && t.Link != "" && !t.position.pager.overlaps:
		return t.followEmptyPage()
	case isLast && (isSettled || !next.capabilities.has(sortsByKey)):
		return t.lastPage()
	case isLast:
		isSpeculative = speculative
	case t.newRows() <= 0: // only the row of the last key, or none because it was deleted
		isOrderKnown := next.capabilities.has(sortsByKey) && next.checks.unreturned == 0
		isSpeculative = isSpeculative && (isOrderKnown || !next.capabilities.has(foundSpeculativeRows))
		t.useKeysetPager(pager{speculative: isSpeculative})
		t.requireKeyOrder("")
		return nil
	case isEndUnknown && next.capabilities.has(foundSpeculativeRows) && !isShort:
		isSpeculative = promised
	}
	t.continueByKey(isSpeculative)
	t.requireKeyOrder("")
	return nil
}

// afterLinkedPage follows the next link, or continues by key if the link may count rows: rows deleted or inserted
// during the load would hide others (RATIONALE.md P3). It also continues by key if no count can prove the load.
func (t *transition) afterLinkedPage() error {
	next := t.next
	link, _ := t.restoreOptions(t.Link) // an error is reported when the link is followed
	if link == t.position.url {
		return t.afterLinkLoop("the next link of " + link + " is its own URL")
	}
	isEmpty := t.Rows == 0 && t.position.pager.kind != 0
	if isEmpty && next.totalCount >= 0 && next.totalCount <= next.rowsRead {
		return t.lastPage()
	}
	isSafe := t.set.linkHasKey(link, t.position.url, t.set.literalTexts(t.digest.last), next.rowsRead)
	prefersKeys := t.set.Paging == "keys" || !isSafe || next.totalCount < 0
	if prefersKeys && t.useKeyset(promised) {
		t.requireKeyOrder(link)
		return nil
	}
	if !isSafe {
		t.suspectJump(link)
	}
	if err := t.followLink(link, !isSafe); err != nil {
		return err
	}
	if isEmpty && next.checks.emptyPages == confirmedEmptyPages && t.set.Pageable {
		next.probe = &probe{kind: probeFurtherRows}
	}
	return nil
}

// followEmptyPage follows the link of an empty keyset page, unless all rows were read or links loop: some services
// remove rows after they cut a page. Only rows after the last key count there.
func (t *transition) followEmptyPage() error {
	next := t.next
	link, err := t.restoreOptions(t.Link)
	isCounted := next.totalCount >= 0
	switch {
	case isCounted && next.totalCount <= next.rowsRead, isCounted && t.Count == t.Rows, link == t.position.url:
		next.capabilities.set(rowsMayShift, true) // the link had promised rows, whatever the count says
		return t.lastPage()
	case err != nil:
		return err
	case next.checks.links.visit(hashOf(link)):
		return t.lastPage()
	}
	if !t.set.linkHasKey(link, t.position.url, t.set.unpackKey(next.checks.key), next.rowsRead) {
		next.capabilities.set(rowsMayShift, true)
	}
	next.url = link
	next.pager = pager{kind: keysWorked, skipped: t.position.pager.skipped}
	next.rowsRead = t.position.rowsRead // the skipped rows are counted with the next page
	return nil
}

// retryEmptyPage handles a lost or rejected link of an empty page: it requests the page after the last key again. If
// that link fails too, the load ends. action is for the log.
func (t *transition) retryEmptyPage() (action string, err error) {
	requested := LoopDetector{}
	t.next.url = t.keysetURL(pager{skipped: t.position.pager.skipped})
	requested.Visit(t.next.url)
	linked := requested
	linked.Visit(t.position.url)
	if t.next.checks.links == linked {
		t.next.capabilities.set(rowsMayShift, true) // nothing proves that no row follows
		return "the page before it was requested again and has no rows: the load ends there", t.lastPage()
	}
	t.next.checks.links = requested // the link returned no page and may be followed again
	return "requesting the page before it again", nil
}

// afterUnlinkedPage handles a page without next link that was not requested by key. It is the last one only if neither
// a count nor a further page shows more rows (RATIONALE.md P4).
func (t *transition) afterUnlinkedPage() error {
	next := t.next
	isCounted := next.totalCount >= 0
	isShort := next.totalCount > next.rowsRead
	isSpeculative := !isCounted && !next.capabilities.has(foundSpeculativeRows)
	isLinked := t.position.pager.kind == linksWorked
	hasOnlyErrors := t.nothingDecoded() && t.reportedErrors > 0
	isAfterRow := t.lastDecoded > 0 || (isLinked && t.position.pageRows > 1)
	switch {
	case isCounted && !isShort, t.newRows() <= 0 && !hasOnlyErrors && (!isLinked || isShort):
		return t.lastPage()
	case t.nothingDecoded() && t.Rows > t.overlapRows():
		return t.afterUndecodedPage(isSpeculative)
	case (next.pageRows > 1 || next.capabilities.has(sortsByKey)) && t.useKeyset(isSpeculative):
		t.requireKeyOrder("") // not if pages have one row, which does not show an order
	case isShort && isLinked && !isAfterRow:
		return t.lastPage()
	case !t.set.Pageable && isShort:
		return t.incomplete("and according to its metadata it cannot be paged")
	case !t.set.Pageable:
		return t.complete("according to its metadata it cannot be paged")
	default:
		isOrdered := t.set.Ordered && !next.capabilities.has(refusesOrderBy)
		overlaps := isAfterRow && (isSpeculative || !isOrdered || isLinked)
		t.useSkip(pager{overlaps: overlaps, speculative: isSpeculative})
	}
	if isShort && t.set.Top == 0 {
		t.info(itoa(next.rowsRead) + " of " + itoa(next.totalCount) +
			" rows were read and there is no next link; continuing with " + next.url)
	}
	return nil
}

// afterUndecodedPage continues after a page without a decodable row, which has no key to continue from: by $skip, from
// the previous key if there is one.
func (t *transition) afterUndecodedPage(isSpeculative bool) error {
	next := t.next
	position := t.position
	if !t.set.Pageable && (!isSpeculative || next.capabilities.has(foundSpeculativeRows)) {
		return &wit.Error{Kind: wit.ErrorData, Message: t.set.Label() + ": none of the rows of " + position.url +
			" can be decoded, and according to its metadata others cannot be requested by $skip: expected a page " +
			"with a row that can be decoded; increase " + t.set.Setting("page.size")}
	}
	if !t.set.Pageable {
		return t.lastPage()
	}
	next.undecoded.hashes = packHashes(t.errorHashes)
	if !position.usesKeyset() {
		t.useSkip(pager{speculative: isSpeculative})
		return nil
	}
	checks := next.checks
	checks.sorted = position.checks.sorted
	checks.folded = position.checks.folded
	checks.key = position.checks.key
	skipped := position.pager.skipped + t.Rows - t.overlapRows()
	next.rowsRead = position.rowsRead
	next.pager = pager{kind: keysWorked, skipped: skipped, speculative: isSpeculative}
	next.url = t.keysetURL(next.pager)
	next.capabilities.set(rowsMayShift, true)
	return nil
}
