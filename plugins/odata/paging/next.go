package paging

import "github.com/culvert-project/culvert/wit"

// maxEmptyPages limits consecutive pages without rows, or with rows that only repeat an earlier page.
const maxEmptyPages = 1000

// Next returns the position after a complete page: the next page, a probe, or the end of the load. It fails if the load
// cannot be complete, and starts the load over if a check failed.
func (pg *Page) Next(info PageInfo) (*Position, error) {
	t := pg.newTransition(info)
	return t.end(t.afterPage())
}

// afterPage handles probes and pages that are not the one requested first, then the rows of a page, then its link.
func (t *transition) afterPage() error {
	next := t.next
	switch {
	case t.filterError != nil:
		return t.requestUnfiltered()
	case t.position.probe.kind != "":
		return t.afterProbe()
	case t.mismatch != "":
		return t.afterMismatch()
	}
	// Rows requested by counting: deleted or inserted rows move the next ones.
	isBySkip := t.position.pager.kind == bySkip
	if isBySkip && t.newRows() > 0 && !t.isPromised() {
		t.foundMoreRows()
	}
	next.seen.shifted = next.seen.shifted || (isBySkip && (t.newRows() > 0 || t.isPromised()))
	next.undecoded = undecodedRows{hashes: packHashes(t.errorHashes)}
	next.rowsRead += t.position.pager.skipped + t.Rows - t.overlapRows()
	if t.position.rowsRead == 0 && t.position.totalCount < 0 && t.set.Count && t.Count >= 0 {
		t.examineFirstCount()
	}
	if !isBySkip || t.newRows() > 0 { // a request by $skip that finds nothing reads no page
		next.seen.used[t.position.pager.kind] = true
	}
	// Compare the page with earlier ones, and keep what the next page is compared with.
	next.probe = &probe{}
	next.checks.emptyPages++
	if t.Rows > 0 && (t.position.usesKeyset() || t.Rows > t.overlapRows()) {
		next.checks.emptyPages = 0
	}
	if t.Rows == 0 && t.position.pager.kind == byLink {
		next.seen.shifted = true // the link had promised rows, so no count is believed
	}
	if next.checks.emptyPages > maxEmptyPages {
		return t.loopError(itoa(maxEmptyPages) + " consecutive pages have no rows, the last one is " + t.position.url)
	}
	if handled, err := t.checkLoop(); handled || err != nil {
		return err
	}
	t.saveChecks()
	next.seen.witnessed = next.seen.witnessed || t.hasWitness
	next.seen.undecodable = next.seen.undecodable || t.digest.errorCount > 0
	next.pageRows = max(next.pageRows, t.Rows)
	// Request the next page.
	switch {
	case t.position.usesKeyset():
		return t.afterKeyPage()
	case t.Link != "":
		return t.afterLinkedPage()
	}
	return t.afterUnlinkedPage()
}

// examineFirstCount sets the total count if the count of the first page may cover the set. Some services count the rows
// of the page only, or return 0. If nothing shows that the service counts beyond a page, further rows are requested
// (RATIONALE.md P4).
func (t *transition) examineFirstCount() {
	switch {
	case t.Count < t.Rows:
		t.warn("the service counts " + itoa(t.Count) + " rows, and its first page has " + itoa(t.Rows) +
			": its count is ignored")
	case t.Count == t.Rows && t.Link != "": // it is the count of a page, so there is no total
	case t.Count == t.Rows && t.Rows > 0 && !t.next.known.countsWholeSet:
		t.next.seen.mayCountPage = true
	default:
		t.next.totalCount = t.Count
	}
}

// newRows returns the number of rows that were not read before. It may be negative for a page without rows.
func (t *transition) newRows() int { return t.Rows - t.reportedErrors - t.overlapRows() }

// isPromised reports whether a link, a count or an earlier page shows that there are more rows.
func (t *transition) isPromised() bool {
	next := t.next
	return next.totalCount > next.rowsSeen() || t.position.probe.fallbackLink != "" || next.seen.unpromised
}

// afterMismatch handles a page that is not the one requested.
func (t *transition) afterMismatch() error {
	t.setWitness()
	if t.digest.duplicateKeys {
		t.next.seen.duplicateKeys = true
	}
	isFirstByKey := t.position.usesKeyset() && !t.position.seen.used[byKey] && t.emittedRows == 0
	switch {
	case t.position.pager.kind == bySkip && t.next.totalCount < 0 && !t.position.seen.used[bySkip]:
		return t.afterFailedRequest() // nothing had shown that $skip works
	case t.position.followsEmptyPage() && !t.mayAdvanceKey: // the link of an empty page has earlier rows only
		return t.lastPage()
	case t.position.followsEmptyPage():
		return t.incomplete("the next page has none, and its link returns rows before and after the last key; " +
			t.set.Setting("paging") + " = links follows such links")
	case isFirstByKey && t.isPromised():
		return t.abandonKeyset(t.mismatch)
	case isFirstByKey:
		return t.afterFailedRequest()
	case t.position.usesKeyset():
		return t.restartWithoutKeyset(t.mismatch)
	}
	return t.retry(t.mismatch)
}

// foundMoreRows records that the service has rows that neither a link nor a count had promised.
func (t *transition) foundMoreRows() {
	next := t.next
	next.seen.unpromised = true
	next.seen.mayCountPage = false
	next.seen.support = support{rowsBefore: next.seen.rowsBefore}
	if next.totalCount >= 0 && next.totalCount <= next.rowsRead {
		t.warn("the service counts " + itoa(next.totalCount) + " rows and has more: its count is ignored")
		next.totalCount = -1
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
	if usesKeyset && t.digest.errorCount == 0 { // at most the last row, with which pages by key may start
		isKnown = false
	}
	isRepeated := isKnown && t.next.checks.pages.visit(digest)
	// A request that nothing had promised was answered by rows that were read before.
	isRefused := t.position.pager.kind >= byKey && !t.isPromised() &&
		(isRepeated || t.reportedErrors > t.position.undecoded.count)
	switch {
	case t.set.Keys == nil && t.Rows > 0 && !isRefused:
		return false, t.checkRepeatedRows(isRepeated)
	case isRefused:
		t.mismatch = "the service ignores $skip"
		return true, t.afterFailedRequest()
	case isRepeated:
		return true, t.loopError(t.position.url + " has the same rows as an earlier page")
	}
	// Pages of other rows may have the same keys, which then number the rows of each response.
	checks := t.next.checks
	contents := encodeHash(t.digest.contents)
	keys := encodeHash(t.digest.keys)
	if t.digest.rows > 1 && keys == checks.keys && contents != checks.contents {
		t.next.seen.numberedKeys = true
	}
	if t.digest.rows > 0 {
		checks.contents = contents
		checks.keys = keys
	}
	return false, nil
}

// checkRepeatedRows handles a page of rows without keys. Equal pages prove nothing, since equal rows are usual if few
// properties are selected, unless there are many, or more rows than the service counts.
func (t *transition) checkRepeatedRows(isRepeated bool) error {
	checks := t.next.checks
	checks.repeatedPages++
	switch {
	case !isRepeated:
		checks.repeatedPages = 0
	case checks.repeatedPages > maxEmptyPages, t.next.totalCount >= 0 && t.next.rowsRead > t.next.totalCount:
		return t.loopError(itoa(checks.repeatedPages) + " consecutive pages repeat the rows of earlier ones, the " +
			"last one is " + t.position.url)
	}
	return nil
}

// saveChecks stores what later pages are compared with: hashes of keys, the last rows, and the last key while rows
// ascend.
func (t *transition) saveChecks() {
	checks := t.next.checks
	if !t.position.usesKeyset() {
		t.repeats.save(checks)
		if t.repeats.duplicateKeys || t.digest.duplicateKeys {
			t.next.seen.duplicateKeys = true
		}
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
	if key := t.set.sortedKey(t.digest.last); t.order.ascends() && key != nil {
		checks.sorted = t.order.sorted
		checks.folded = t.order.folded
		checks.key = t.set.Keys.pack(key)
	}
}

// afterKeyPage continues after a page by key. A page without link that starts with the last key, or was requested after
// it, is the last one if it has no new row, as many rows as the service counts from that key on, or fewer rows than
// others while nothing promises more.
func (t *transition) afterKeyPage() error {
	next := t.next
	isLastRowMissing := t.position.pager.overlaps && !t.startsWithLast
	if isLastRowMissing {
		defer t.checkDeleted(t.position.checks.key) // after the other probes are decided
	}
	isNew := t.newRows() > 0
	if isNew {
		next.checks.unreturned = 0
		next.seen.support = support{rowsBefore: next.seen.rowsBefore} // the other observations are of another end
	}
	isCountOfRest := next.totalCount >= 0 && t.Count == t.Rows+t.position.pager.skipped
	isShort := t.Rows < t.position.pageRows && next.totalCount <= next.rowsRead && t.Count <= t.Rows
	switch {
	case t.nothingDecoded() && t.Rows > t.overlapRows():
		return t.afterUndecodedPage()
	case t.Rows == 0 && t.Link != "" && !t.position.pager.overlaps:
		return t.followEmptyPage()
	case t.Link == "" && !isLastRowMissing && (!isNew || isCountOfRest || isShort):
		// A count that exceeds a page is believed, unless it ends at the end of a page.
		if next.isOnePage() || (next.totalCount == next.rowsRead && t.Rows < t.position.pageRows) {
			next.seen.rowsAfter = shown
		}
		return t.lastPage()
	case !isNew: // only the row of the last key, or none because it was deleted
		t.useKeysetPager(pager{})
	default:
		t.continueByKey()
	}
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
	isEmpty := t.Rows == 0 && t.position.pager.kind != firstPage
	if isEmpty && next.totalCount >= 0 && next.totalCount <= next.rowsRead {
		return t.lastPage()
	}
	isSafe := t.set.linkHasKey(link, t.position.url, t.set.Keys.literalTexts(t.digest.last), next.rowsRead)
	prefersKeys := t.set.Paging == "keys" || !isSafe || next.totalCount < 0
	if prefersKeys && t.useKeyset(true) {
		t.requireKeyOrder(link)
		return nil
	}
	return t.followLink(link, !isSafe)
}

// followEmptyPage follows the link of an empty keyset page, unless all rows were read or links loop: some services
// remove rows after they cut a page. Only rows after the last key count there.
func (t *transition) followEmptyPage() error {
	next := t.next
	link, err := t.restoreOptions(t.Link)
	isCounted := next.totalCount >= 0
	switch {
	case isCounted && next.totalCount <= next.rowsRead, isCounted && t.Count == t.Rows, link == t.position.url:
		// All rows were read, the service counts none after the key, or the link returns this page.
		next.seen.shifted = true // the link had promised rows, whatever the count says
		return t.lastPage()
	case err != nil:
		return err
	case next.checks.links.visit(hashOf(link)):
		return t.lastPage()
	}
	lastKey := t.set.Keys.literalTexts(t.set.Keys.unpack(next.checks.key))
	if !t.set.linkHasKey(link, t.position.url, lastKey, next.rowsRead) {
		next.seen.shifted = true
	}
	next.url = link
	next.pager = pager{kind: byKey, skipped: t.position.pager.skipped}
	next.rowsRead = t.position.rowsRead // the skipped rows are counted with the next page
	return nil
}

// afterUnlinkedPage handles a page without next link that was not requested by key. It is the last one only if neither
// a count nor a request for further rows shows more rows (RATIONALE.md P4).
func (t *transition) afterUnlinkedPage() error {
	next := t.next
	isCounted := next.totalCount >= 0
	isMissing := next.totalCount > next.rowsRead
	isPromised := t.isPromised()
	isLinked := t.position.pager.kind == byLink
	hasOnlyErrors := t.nothingDecoded() && t.reportedErrors > 0
	// Whether the next page can start with a row that was read.
	isAfterRow := t.lastDecoded > 0 || (isLinked && t.position.pageRows > 1)
	t.recordLastKeys(true)
	switch {
	case t.set.Singleton:
		return t.complete("")
	case isCounted && !isMissing, t.newRows() <= 0 && !hasOnlyErrors && (!isLinked || isMissing):
		return t.lastPage() // all counted rows were read, or further ones were requested in vain
	case t.nothingDecoded() && t.Rows > t.overlapRows():
		return t.afterUndecodedPage()
	case (next.pageRows > 1 || next.known.sortsByKey || !isMissing) && t.useKeyset(false):
		t.requireKeyOrder("") // not if pages have one row, which does not show an order
	case !isMissing && t.position.pager.kind == firstPage && t.canFilterByKey() && int(t.lastDecoded)+1 == t.Rows:
		return t.lastPage() // a closing probe requests the rows after the last key
	case isMissing && isLinked && !isAfterRow:
		return t.lastPage() // it fails, unless a second count is lower
	case !t.set.Pageable && isMissing:
		return t.incomplete("and according to its metadata it cannot be paged")
	case !t.set.Pageable:
		return t.complete("according to its metadata it cannot be paged")
	default:
		// The next page starts with the last row, to check $skip, unless rows are promised and sorted and no link led
		// here.
		isOrdered := t.set.Ordered && !next.known.refusesOrderBy
		t.useSkip(isAfterRow && (!isPromised || !isOrdered || isLinked))
	}
	if isMissing && t.set.Top == 0 {
		t.info(itoa(next.rowsRead) + " of " + itoa(next.totalCount) +
			" rows were read and there is no next link; continuing with " + next.url)
	}
	return nil
}

// afterUndecodedPage continues after a page without a decodable row, which has no key to continue from: by $skip, from
// the previous key if there is one.
func (t *transition) afterUndecodedPage() error {
	next := t.next
	position := t.position
	if !t.set.Pageable && t.isPromised() {
		return &wit.Error{Kind: wit.ErrorData, Message: t.set.Label() + ": none of the rows of " + position.url +
			" can be decoded, and according to its metadata others cannot be requested by $skip: expected a page " +
			"with a row that can be decoded; increase " + t.set.Setting("page.size")}
	}
	if !t.set.Pageable {
		return t.lastPage()
	}
	next.undecoded.hashes = packHashes(t.errorHashes)
	if !position.usesKeyset() {
		t.useSkip(false)
		return nil
	}
	checks := next.checks // the last key remains the key before this page
	checks.sorted = position.checks.sorted
	checks.folded = position.checks.folded
	checks.key = position.checks.key
	next.rowsRead = position.rowsRead
	next.pager = pager{kind: byKey, skipped: position.pager.skipped + t.Rows - t.overlapRows()}
	next.url = t.keysetURL(next.pager)
	next.seen.shifted = true
	return nil
}
