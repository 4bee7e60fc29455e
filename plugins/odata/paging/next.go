package paging

import (
	"github.com/culvert-project/culvert/wit"
)

// maxEmpty is how many pages without a row may follow one another.
const maxEmpty = 1000

// Next is the position after a page that was read to its end.
func (pg *Page) Next(a PageInfo) (*Position, error) {
	t := pg.newTransition(a)
	return t.end(t.afterPage())
}

// page goes on after a page.
func (t *transition) afterPage() error {
	switch {
	case t.cursor.belowFrom != "":
		return t.cursor.filterIgnored(t.set, t.at)
	case t.at.question.kind != "":
		return t.afterAnswer()
	case t.mismatch != "" && t.at.isUnsolicited():
		t.next.capabilities.set(hadUnsolicitedRows, t.next.capabilities.has(hadUnsolicitedRows) || t.emitted > 0)
		return t.pageUnavailable()
	case t.mismatch != "" && t.at.followsEmptyPage() && !t.keyAdvanced:
		return t.checkCount()
	case t.mismatch != "" && t.at.followsEmptyPage():
		return t.incomplete("the page after them has none, and a link to rows before and after their last key; " +
			t.set.Setting("paging") + " = links follows such links")
	case t.mismatch != "":
		return t.afterMismatch()
	}
	n, m := t.next, t.next.checks
	n.undecoded, n.undecodedHashes = 0, ""
	passed := 0
	if w, keyed := t.at.pager.(keysetPager); keyed {
		passed = w.skipped
	}
	n.rowsRead += passed + t.Rows - t.overlapRows()
	if t.at.rowsRead == 0 && t.at.totalCount < 0 && t.set.Count && t.Count >= 0 {
		t.checkFirstCount()
	}
	if m.emptyPages++; t.Rows > 0 {
		m.emptyPages = 0
	}
	if m.emptyPages > maxEmpty {
		return t.loopError(number(maxEmpty) + " pages came one after another without a row, the last one " + t.at.url)
	}
	if again, err := t.checkLoop(); again || err != nil {
		return err
	}
	t.warnExcess()
	if t.at.isUnsolicited() && n.rowsRead > t.at.rowsRead+t.at.undecoded {
		n.capabilities.set(hadUnsolicitedRows, true)
	}
	t.saveChecks()
	if t.Link != "" {
		return t.afterLinkedPage()
	}
	return t.afterUnlinkedPage()
}

// checkFirstCount takes the first page's count, if it is one of the set's rows. Some services give the number of the
// page's rows, or 0: that is below what came, or no more than that although there is a link to more. Where it is as
// many as came, and nothing has shown yet that the service counts more than it gives, it is asked (P4).
func (t *transition) checkFirstCount() {
	switch {
	case t.Count < t.Rows:
		t.warn("the service counts " + number(t.Count) + " rows, and its first page has " + number(t.Rows) +
			": its count is ignored")
		t.next.capabilities.set(excessReported, true)
	case t.Count == t.Rows && t.Link != "":
	case t.Count == t.Rows && t.Rows > 0 && !t.next.capabilities.has(countsWholeSet):
		t.next.capabilities.set(countMayBePageOnly, true)
	default:
		t.next.totalCount = t.Count
	}
}

// checkLoop is the auditor of circles; done: where the page was not announced, that it is one which came before shows
// that $skip is ignored, and the position is made.
func (t *transition) checkLoop() (done bool, err error) {
	if _, keyed := t.at.pager.(keysetPager); keyed && !t.nothingDecoded() {
		return false, nil // rows after the key, and in order: a page like that is no other's
	}
	if t.Link == "" && t.overlapRows() == t.Rows && t.at.rowsRead > t.Rows {
		return false, nil // the page before, since so many rows were inserted meanwhile
	}
	content, some := t.digest.hash()
	if _, keyed := t.at.pager.(keysetPager); keyed && t.digest.faultCount == 0 {
		some = false
	}
	if !some || !t.next.checks.pages.visit(content) {
		return false, nil
	}
	if _, keyed := t.at.pager.(keysetPager); t.at.isUnsolicited() && (t.nothingDecoded() || !keyed) {
		if t.set.ExactlyOnce && t.emitted > 0 {
			return true, t.restart("the page after the last one brought the first ones again")
		}
		t.next.rowsRead, t.next.undecoded, t.next.undecodedHashes = t.at.rowsRead, t.at.undecoded, t.at.undecodedHashes
		return true, t.pageUnavailable()
	}
	return true, t.loopError(t.at.url + " brings the rows of a page that came before")
}

// warnExcess warns once.
func (t *transition) warnExcess() {
	if n := t.next; n.totalCount >= 0 && n.rowsRead > n.totalCount && !n.capabilities.has(excessReported) {
		n.capabilities.set(excessReported, true)
		t.warn("more rows come than the " + number(n.totalCount) + " that the service counted: rows were inserted " +
			"meanwhile or come twice, or it counts up to a limit only")
	}
}

// saveChecks puts what the auditors have seen into the memory of the load.
func (t *transition) saveChecks() {
	m := t.next.checks
	if _, keyed := t.at.pager.(keysetPager); !keyed {
		t.repeats.save(m)
		if n := t.next; t.repeats.duplicateKeys || t.digest.duplicateKeys {
			n.capabilities.set(duplicateKeys, true)
		}
		t.next.previous.outOfOrderKey = t.repeats.outOfOrderKey
	}
	if t.order.rows == 0 && t.Rows == t.overlapRows() {
		return // nothing came that could tell
	}
	texts := []string(nil)
	if t.order.ascends() {
		texts = t.set.texts(t.digest.last)
	}
	if m.sorted, m.folded, m.key = false, false, ""; texts != nil {
		m.sorted, m.folded, m.key = t.order.bytes, t.order.folded, t.set.Keys.Pack(texts)
	}
}

// afterLinkedPage goes on from a page with a next link: by key in its place, where the link counts rows or nothing
// shows that it doesn't, since rows that were deleted or inserted before it would shift what it leads to, and hide
// others (P3).
func (t *transition) afterLinkedPage() error {
	w, keyed := t.at.pager.(keysetPager)
	if keyed && t.Rows == 0 {
		return t.followEmptyPage(w)
	}
	t.Link, _ = t.restoreOptions(t.Link) // one that is wrong fails when it is followed
	if t.Link == t.at.url {
		return t.afterLinkLoop("the next link of " + t.Link + " leads to itself")
	}
	safe := t.set.linkHasKey(t.Link, t.at.url, t.set.plainKey(t.digest.last), t.next.rowsRead)
	switch {
	case keyed && t.nothingDecoded() && t.set.Pageable:
		return t.skipUndecoded(w)
	case (keyed || t.set.Paging == "keys" || !safe) && t.useKeyset(false):
		t.requireKeyOrder(t.Link)
		return nil
	}
	return t.followLink(t.Link, !safe)
}

// followEmptyPage follows the link of a page by key that has no row, unless all rows came or it leads in a circle:
// services that hide rows of a page after they cut it have others behind it. Only rows after the last key count there,
// see page.
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
	// what w passes counts with the next page
	n.url, n.pager, n.rowsRead = link, keysetPager{skipped: w.skipped}, t.at.rowsRead
	return nil
}

// retryEmptyPage continues after such a link was lost or refused, and returns what it does: it asks for the rows after
// the last key again, since their page may have another link by now. If that link is lost or refused at once, too, the
// load ends: the service names no further rows.
func (t *transition) retryEmptyPage() (how string, err error) {
	asked := LoopDetector{}
	t.next.url = t.keysetURL()
	asked.Visit(t.next.url)
	linked := asked
	if linked.Visit(t.at.url); t.next.checks.followed == linked {
		return "the page before it was asked for again, and has no row: the load ends there", t.checkCount()
	}
	t.next.checks.followed = asked // the link was not answered, and may come again
	return "asking for the page before it again", nil
}

// keysetURL is the page by key at which the load stands, or from which a link led to where it does.
func (t *transition) keysetURL() string {
	w, _ := t.at.pager.(keysetPager)
	return t.set.pageURL(t.next, t.set.Keys.After(t.set.unpack(t.next.checks.key)), w.skipped)
}

// afterUnlinkedPage goes on from a page without a next link, which is the last one only where nothing says that the
// service has more rows (P4).
func (t *transition) afterUnlinkedPage() error {
	n := t.next
	w, keyed := t.at.pager.(keysetPager)
	rows := t.Rows - t.knownFaults - t.overlapRows() // the others came before
	// more, complete: by its own count the page isn't, or is, all that is after the key.
	all := t.Rows + w.skipped
	more, complete := keyed && t.Count > all, keyed && t.Count == all && n.totalCount >= 0
	short := n.totalCount > n.rowsRead
	switch {
	case complete, rows == 0 && !(t.nothingDecoded() && t.knownFaults > 0), n.totalCount >= 0 && !short && !more:
		return t.checkCount()
	case t.nothingDecoded() && (t.set.Pageable || short || more || n.capabilities.has(hadUnsolicitedRows)):
		return t.skipUndecoded(w)
	case rows == 0:
		return t.checkCount()
	}
	isUnsolicited := n.totalCount < 0 && !more
	switch {
	case t.useKeyset(isUnsolicited):
		if !isUnsolicited || n.capabilities.has(hadUnsolicitedRows) {
			t.requireKeyOrder("") // else nothing says yet that there are more rows
		}
	case !t.set.Pageable && short:
		return t.incomplete("and its metadata say that it can't be paged")
	case short && len(t.digest.last) == 0:
		return t.incomplete("without a link to the others; without keys rows can't be asked for by number")
	case !t.set.Pageable, len(t.digest.last) == 0, keyed && !short:
		return t.checkCount()
	default:
		t.useSkip(t.lastAt > 0 && (isUnsolicited || n.capabilities.has(refusesOrderBy)), isUnsolicited)
	}
	if t.at.rowsRead == 0 && n.capabilities.has(countMayBePageOnly) && n.rowsRead+n.undecoded > 1 {
		n.question = &question{kind: askCount}
	}
	if short && t.set.Top == 0 {
		t.info(number(n.rowsRead) + " of " + number(n.totalCount) + " rows came without a next link; going on with " +
			n.url)
	}
	return nil
}

// skipUndecoded goes on from a page of which no row could be read, so that it has no key to go on from: by number, from
// the key before, if there is one. Without a count nothing says that there are more rows: a service that refuses $skip
// or ignores it, which its bringing the same rows again shows, has no more then.
func (t *transition) skipUndecoded(w keysetPager) error {
	n, at := t.next, t.at
	if !t.set.Pageable {
		return &wit.Error{Kind: wit.ErrorData, Message: t.set.Label() + ": none of the rows of " + at.url +
			" can be read, and its metadata say that others can't be asked for by number: expected a page with a row " +
			"that can be read, by a greater " + t.set.Setting("page.size")}
	}
	n.undecodedHashes = packHashes(t.faultHashes)
	if _, keyed := at.pager.(keysetPager); !keyed {
		t.useSkip(false, n.totalCount < 0)
	} else {
		m := n.checks
		m.sorted, m.folded, m.key = at.checks.sorted, at.checks.folded, at.checks.key
		n.rowsRead, n.pager = at.rowsRead, keysetPager{skipped: w.skipped + t.Rows, unsolicited: n.totalCount < 0}
		n.url = t.set.pageURL(n, t.set.Keys.After(t.set.unpack(m.key)), w.skipped+t.Rows)
	}
	if t.at.rowsRead == 0 && n.capabilities.has(countMayBePageOnly) && t.Rows > 1 {
		n.question = &question{kind: askCount}
	}
	return nil
}

// checkCount looks whether a load of which no more pages come is complete: the auditor of counts.
func (t *transition) checkCount() error {
	n := t.next
	switch {
	case n.totalCount <= n.rowsRead:
		return t.complete()
	case n.rowsRead == 0:
		return t.incomplete("and " + t.at.url + " brings none")
	case n.capabilities.has(rowsMayShift):
		return t.retry("rows that went may have hidden others, since pages were asked for by counting")
	}
	n.question = &question{kind: askRows}
	return nil
}

// afterMismatch goes on where a page is not what was asked for.
func (t *transition) afterMismatch() error {
	if _, keyed := t.at.pager.(keysetPager); keyed {
		return t.restartWithoutKeyset(t.mismatch)
	}
	return t.retry(t.mismatch)
}
