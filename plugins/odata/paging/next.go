package paging

import (
	"github.com/culvert-project/culvert/wit"
)

const maxEmptyPages = 1000

// Next returns the position after a complete page.
func (pg *Page) Next(a PageInfo) (*Position, error) {
	t := pg.newTransition(a)
	return t.end(t.afterPage())
}

func (t *transition) afterPage() error {
	switch {
	case t.cursor.belowFrom != "":
		return t.cursor.filterIgnored(t.set, t.at)
	case t.at.question.kind != "":
		return t.afterProbe()
	case t.mismatch != "" && t.at.isSpeculative():
		t.next.capabilities.set(foundSpeculativeRows, t.next.capabilities.has(foundSpeculativeRows) || t.emitted > 0)
		return t.afterSpeculativeFailure()
	case t.mismatch != "" && t.at.followsEmptyPage() && !t.keyAdvanced:
		return t.checkCount()
	case t.mismatch != "" && t.at.followsEmptyPage():
		return t.incomplete("the page after them has none, and a link to rows before and after their last key; " +
			t.set.Setting("paging") + " = links follows such links")
	case t.mismatch != "":
		return t.afterMismatch()
	}
	n, checks := t.next, t.next.checks
	n.undecoded, n.undecodedHashes = 0, ""
	skipped := 0
	if w, keyed := t.at.pager.(keysetPager); keyed {
		skipped = w.skipped
	}
	n.rowsRead += skipped + t.Rows - t.overlapRows()
	if t.at.rowsRead == 0 && t.at.totalCount < 0 && t.set.Count && t.Count >= 0 {
		t.checkFirstCount()
	}
	if checks.emptyPages++; t.Rows > 0 {
		checks.emptyPages = 0
	}
	if checks.emptyPages > maxEmptyPages {
		return t.loopError(itoa(maxEmptyPages) + " consecutive pages have no rows, the last one is " + t.at.url)
	}
	if again, err := t.checkLoop(); again || err != nil {
		return err
	}
	t.warnExcess()
	if t.at.isSpeculative() && n.rowsRead > t.at.rowsRead+t.at.undecoded {
		n.capabilities.set(foundSpeculativeRows, true)
	}
	t.saveChecks()
	if t.Link != "" {
		return t.afterLinkedPage()
	}
	return t.afterUnlinkedPage()
}

// checkFirstCount decides whether the first page's count is that of the set. Some services return the number of rows on
// the page, or 0. If it equals the rows of the page and nothing shows that the service counts more than that, a
// question follows (P4).
func (t *transition) checkFirstCount() {
	switch {
	case t.Count < t.Rows:
		t.warn("the service counts " + itoa(t.Count) + " rows, and its first page has " + itoa(t.Rows) +
			": its count is ignored")
		t.next.capabilities.set(excessReported, true)
	case t.Count == t.Rows && t.Link != "":
	case t.Count == t.Rows && t.Rows > 0 && !t.next.capabilities.has(countsWholeSet):
		t.next.capabilities.set(countMayBePageOnly, true)
	default:
		t.next.totalCount = t.Count
	}
}

// checkLoop compares the page with earlier ones. done reports that the position was made: an unsolicited page that
// repeats an earlier one shows that $skip is ignored.
func (t *transition) checkLoop() (done bool, err error) {
	if _, keyed := t.at.pager.(keysetPager); keyed && !t.nothingDecoded() {
		return false, nil // rows after the key, in order, are new
	}
	if t.Link == "" && t.overlapRows() == t.Rows && t.at.rowsRead > t.Rows {
		return false, nil // a page of inserted rows moved the previous one here
	}
	content, some := t.digest.hash()
	if _, keyed := t.at.pager.(keysetPager); keyed && t.digest.errorCount == 0 {
		some = false
	}
	if !some || !t.next.checks.pages.visit(content) {
		return false, nil
	}
	if _, keyed := t.at.pager.(keysetPager); t.at.isSpeculative() && (t.nothingDecoded() || !keyed) {
		if t.set.ExactlyOnce && t.emitted > 0 {
			return true, t.restart("the page after the last one repeats the first rows")
		}
		t.next.rowsRead, t.next.undecoded, t.next.undecodedHashes = t.at.rowsRead, t.at.undecoded, t.at.undecodedHashes
		return true, t.afterSpeculativeFailure()
	}
	return true, t.loopError(t.at.url + " has the same rows as an earlier page")
}

func (t *transition) warnExcess() {
	if n := t.next; n.totalCount >= 0 && n.rowsRead > n.totalCount && !n.capabilities.has(excessReported) {
		n.capabilities.set(excessReported, true)
		t.warn("there are more rows than the " + itoa(n.totalCount) +
			" that the service counted: rows were inserted " +
			"in the meantime or occur twice, or it counts up to a limit only")
	}
}

func (t *transition) saveChecks() {
	checks := t.next.checks
	if _, keyed := t.at.pager.(keysetPager); !keyed {
		t.repeats.save(checks)
		if n := t.next; t.repeats.duplicateKeys || t.digest.duplicateKeys {
			n.capabilities.set(duplicateKeys, true)
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

// afterLinkedPage follows the next link, or uses keysets if the link counts rows or may do so, because rows deleted or
// inserted before it would hide others (P3).
func (t *transition) afterLinkedPage() error {
	w, keyed := t.at.pager.(keysetPager)
	if keyed && t.Rows == 0 {
		return t.followEmptyPage(w)
	}
	t.Link, _ = t.restoreOptions(t.Link) // an error is reported when the link is followed
	if t.Link == t.at.url {
		return t.afterLinkLoop("the next link of " + t.Link + " is its own URL")
	}
	safe := t.set.linkHasKey(t.Link, t.at.url, t.set.literalTexts(t.digest.last), t.next.rowsRead)
	switch {
	case keyed && t.nothingDecoded() && t.set.Pageable:
		return t.skipUndecoded(w)
	case (keyed || t.set.Paging == "keys" || !safe) && t.useKeyset(false):
		t.requireKeyOrder(t.Link)
		return nil
	}
	return t.followLink(t.Link, !safe)
}

// followEmptyPage follows the link of an empty keyset page, unless all rows were read or links loop: some services hide
// rows after they cut a page. Only rows after the last key count there.
func (t *transition) followEmptyPage(w keysetPager) error {
	n := t.next
	link, err := t.restoreOptions(t.Link)
	switch {
	case n.totalCount >= 0 && n.totalCount <= n.rowsRead, link == t.at.url:
		return t.checkCount()
	case err != nil:
		return err
	case n.checks.followed.visit(hashOf(link)):
		return t.checkCount()
	}
	// the rows that w skips count with the next page
	n.url, n.pager, n.rowsRead = link, keysetPager{skipped: w.skipped}, t.at.rowsRead
	return nil
}

// retryEmptyPage handles a lost or refused link of an empty page: it requests the page after the last key again. If
// that link fails too, the load ends.
func (t *transition) retryEmptyPage() (action string, err error) {
	asked := LoopDetector{}
	t.next.url = t.keysetURL()
	asked.Visit(t.next.url)
	linked := asked
	if linked.Visit(t.at.url); t.next.checks.followed == linked {
		return "the page before it was requested again and has no rows: the load ends there", t.checkCount()
	}
	t.next.checks.followed = asked // the link was not answered and may be returned again
	return "requesting the page before it again", nil
}

func (t *transition) keysetURL() string {
	w, _ := t.at.pager.(keysetPager)
	return t.set.pageURL(t.next, t.set.Keys.FilterAfter(t.set.unpackKey(t.next.checks.key)), w.skipped)
}

// afterUnlinkedPage handles a page without next link. It is the last one only if nothing says that the service has more
// rows (P4).
func (t *transition) afterUnlinkedPage() error {
	n := t.next
	w, keyed := t.at.pager.(keysetPager)
	rows := t.Rows - t.reportedErrors - t.overlapRows() // rows not read before
	all := t.Rows + w.skipped
	more, complete := keyed && t.Count > all, keyed && t.Count == all && n.totalCount >= 0
	short := n.totalCount > n.rowsRead
	switch {
	case complete, rows == 0 && !(t.nothingDecoded() && t.reportedErrors > 0), n.totalCount >= 0 && !short && !more:
		return t.checkCount()
	case t.nothingDecoded() && (t.set.Pageable || short || more || n.capabilities.has(foundSpeculativeRows)):
		return t.skipUndecoded(w)
	case rows == 0:
		return t.checkCount()
	}
	isUnsolicited := n.totalCount < 0 && !more
	switch {
	case t.useKeyset(isUnsolicited):
		if !isUnsolicited || n.capabilities.has(foundSpeculativeRows) {
			t.requireKeyOrder("") // else nothing promises more rows yet
		}
	case !t.set.Pageable && short:
		return t.incomplete("and according to its metadata it cannot be paged")
	case short && len(t.digest.last) == 0:
		return t.incomplete("without a next link; without keys, rows cannot be requested by $skip")
	case !t.set.Pageable, len(t.digest.last) == 0, keyed && !short:
		return t.checkCount()
	default:
		t.useSkip(t.lastDecoded > 0 && (isUnsolicited || n.capabilities.has(refusesOrderBy)), isUnsolicited)
	}
	if t.at.rowsRead == 0 && n.capabilities.has(countMayBePageOnly) && n.rowsRead+n.undecoded > 1 {
		n.question = &probe{kind: probePageCount}
	}
	if short && t.set.Top == 0 {
		t.info(itoa(n.rowsRead) + " of " + itoa(n.totalCount) +
			" rows were read and there is no next link; continuing with " +
			n.url)
	}
	return nil
}

// skipUndecoded continues after a page without a decodable row, which has no key to continue from: by $skip, from the
// previous key if there is one. A service that refuses or ignores $skip and gives no count has no more rows.
func (t *transition) skipUndecoded(w keysetPager) error {
	n, at := t.next, t.at
	if !t.set.Pageable {
		return &wit.Error{Kind: wit.ErrorData, Message: t.set.Label() + ": none of the rows of " + at.url +
			" can be decoded, and according to its metadata others cannot be requested by $skip: expected a page " +
			"with a row " +
			"that can be decoded; increase " + t.set.Setting("page.size")}
	}
	n.undecodedHashes = packHashes(t.errorHashes)
	if _, keyed := at.pager.(keysetPager); !keyed {
		t.useSkip(false, n.totalCount < 0)
	} else {
		m := n.checks
		m.sorted, m.folded, m.key = at.checks.sorted, at.checks.folded, at.checks.key
		n.rowsRead, n.pager = at.rowsRead, keysetPager{skipped: w.skipped + t.Rows, speculative: n.totalCount < 0}
		n.url = t.set.pageURL(n, t.set.Keys.FilterAfter(t.set.unpackKey(m.key)), w.skipped+t.Rows)
	}
	if t.at.rowsRead == 0 && n.capabilities.has(countMayBePageOnly) && t.Rows > 1 {
		n.question = &probe{kind: probePageCount}
	}
	return nil
}

func (t *transition) checkCount() error {
	n := t.next
	switch {
	case n.totalCount <= n.rowsRead:
		return t.complete()
	case n.rowsRead == 0:
		return t.incomplete("and " + t.at.url + " has none")
	case n.capabilities.has(rowsMayShift):
		return t.retry("deleted rows may have hidden others, since pages were requested by counting")
	}
	n.question = &probe{kind: probeRowCount}
	return nil
}

func (t *transition) afterMismatch() error {
	if _, keyed := t.at.pager.(keysetPager); keyed {
		return t.restartWithoutKeyset(t.mismatch)
	}
	return t.retry(t.mismatch)
}
