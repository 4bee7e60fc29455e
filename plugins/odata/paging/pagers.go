package paging

import "github.com/culvert-project/culvert/wit"

// pagerKind is the way in which pages are requested.
type pagerKind uint8

const (
	firstPage pagerKind = iota
	byLink
	byKey
	bySkip
)

// pager is how a page is requested. The zero value requests the first page.
type pager struct {
	kind pagerKind
	// overlaps means that the page starts with the last row read, to check $skip, or to show rows with equal keys.
	overlaps bool
	skipped  int // undecodable rows after the key
}

// useKeyset continues by key, if the keys ascended so far. It returns false, and changes nothing, if another pager must
// be used. hasLink means that a link may be followed instead: then a page of one row shows no order.
func (t *transition) useKeyset(hasLink bool) bool {
	next := t.next
	isUnordered := hasLink && next.pageRows == 1 && next.totalCount < 0 && !next.known.sortsByKey
	if !t.set.canUseKeyset(next.known) || !next.checks.ascending() || next.checks.key == "" || isUnordered {
		return false
	}
	t.continueByKey()
	next.checks.lastHashes = packHashes(t.repeats.lastHashes)
	return true
}

// continueByKey requests the rows from the last key on, or the rows after that key if pages have one row.
func (t *transition) continueByKey() {
	if t.isEmittedPage() && t.digest.rows > 0 {
		t.rereadUndecoded()
	}
	hasRoom := t.next.pageRows > 1 // else the page would consist of the last row
	if !hasRoom && t.next.rowsRead > 1 {
		t.next.seen.equalKeys = true
	}
	t.useKeysetPager(pager{overlaps: hasRoom})
}

func (t *transition) useKeysetPager(p pager) {
	p.kind = byKey
	t.next.pager = p
	t.next.url = t.keysetURL(p)
	t.next.checks.emptyPages = 0 // the request does not follow the link of an empty page
}

func (t *transition) keysetURL(p pager) string {
	condition := t.set.Keys.filterAfter
	if p.overlaps {
		condition = t.set.Keys.filterFrom
	}
	return t.set.pageURL(t.next, condition(t.set.Keys.unpack(t.next.checks.key)), p.skipped)
}

// requireKeyOrder probes, once and before the second page, whether the service sorts and compares keys, unless that is
// known. If it does not, fallbackLink is followed, or $skip is used if that is empty.
func (t *transition) requireKeyOrder(fallbackLink string) {
	next := t.next
	next.probe = &probe{fallbackLink: fallbackLink}
	if !next.known.sortsByKey && next.seen.rowsBefore == unasked && next.rowsRead > 1 {
		next.probe.kind = probeBefore
	}
}

// useSkip requests the rows after those read. A page that overlaps starts with the last of them.
func (t *transition) useSkip(overlaps bool) {
	if t.isEmittedPage() && overlaps && t.digest.rows > 0 {
		t.rereadUndecoded()
	}
	rows := t.next.rowsRead
	if overlaps {
		rows--
	}
	t.recordLastKeys(true) // $skip counts rows
	t.next.pager = pager{kind: bySkip, overlaps: overlaps}
	t.next.url = t.set.pageURL(t.next, "", rows)
}

// isEmittedPage reports whether the response is a page whose rows were emitted.
func (t *transition) isEmittedPage() bool {
	return t.mismatch == "" && t.position.probe.kind == ""
}

// rereadUndecoded moves the position back so that undecodable rows at the end are requested again but reported once.
func (t *transition) rereadUndecoded() {
	count := t.Rows - 1 - int(t.lastDecoded)
	t.next.rowsRead -= count
	hashes := t.errorHashes[:min(len(t.errorHashes), count, maxErrorHashes)]
	t.next.undecoded = undecodedRows{count: count, hashes: packHashes(hashes)}
}

// followLink requests the page of a link. countsRows means that deleted or inserted rows may shift that page.
func (t *transition) followLink(link string, countsRows bool) error {
	link, err := t.restoreOptions(link)
	if err != nil {
		return err
	}
	links := &t.next.checks.links
	if links.steps == 0 {
		links.visit(hashOf(t.position.url))
	}
	if links.visit(hashOf(link)) {
		return t.afterLinkLoop("the link " + link + " was followed before")
	}
	t.next.url = link
	t.next.pager = pager{kind: byLink}
	t.next.seen.shifted = t.next.seen.shifted || countsRows
	t.recordLastKeys(countsRows)
	return nil
}

func (t *transition) restoreOptions(link string) (string, error) {
	restored, err := t.set.RestoreOptions(link, t.set.pageURL(t.next, "", 0), t.position.url)
	if err != nil {
		err.(*wit.Error).Message += "; " + t.set.Setting("paging") + " = top requests pages without links"
	}
	return restored, err
}

// recordLastKeys stores the last keys if the next page is requested by counting, so that shifted rows are detected.
func (t *transition) recordLastKeys(countsRows bool) {
	if !t.isEmittedPage() || (t.Rows == 0 && t.position.pager.kind != firstPage) {
		return // the keys of the page before it are stored
	}
	t.next.checks.lastHashes = ""
	if countsRows {
		t.next.checks.lastHashes = packHashes(t.repeats.lastHashes)
	}
}

// afterLinkLoop continues by key if links loop: the link has shown that there are more rows.
func (t *transition) afterLinkLoop(reason string) error {
	if !t.useKeyset(false) {
		return t.loopError(reason)
	}
	t.next.seen.unpromised = true
	t.warn("the service's pages form a loop: " + reason + "; continuing by key")
	return nil
}

// afterFailedRequest handles a request for further rows, which nothing had promised, that the service rejects or
// answers by another page: it requests them in another way, or ends the load.
func (t *transition) afterFailedRequest() error {
	next := t.next
	position := t.position
	next.probe = &probe{}
	if position.usesKeyset() && position.pager.skipped == 0 && t.set.Pageable && next.checks.lastHashes != "" {
		t.markKeyFilterIgnored()
		overlaps := next.pageRows > 1 && next.undecoded.count == 0
		next.countUndecoded()
		t.useSkip(overlaps)
		return nil
	}
	return t.endAfterFailure()
}

// endAfterFailure ends a load if no way to request further rows has worked.
func (t *transition) endAfterFailure() error {
	next := t.next
	skipped := t.position.pager.skipped
	next.countUndecoded()
	next.rowsRead += skipped
	if next.seen.mayCountPage && next.seen.counted == unasked && next.rowsRead > 1 {
		next.seen.counted = asked
		next.probe = &probe{kind: probeRowCount}
		return nil
	}
	switch {
	case next.seen.unpromised && t.set.canUseKeyset(next.known):
		return t.restartWithoutKeyset("the service has more rows than it promised, and rejects requests for them")
	case skipped > 0 && skipped == t.set.Top, next.rowsRead == t.set.Top:
		return t.incomplete("as many as requested, and it ignores or rejects requests for further rows; " +
			t.set.Setting("paging") + " = auto lets the service choose the pages")
	case next.seen.unpromised:
		return t.incomplete("and it has more, and ignores or rejects requests for them")
	}
	return t.complete("it ignores or rejects requests for further rows")
}
