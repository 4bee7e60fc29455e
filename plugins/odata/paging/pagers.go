package paging

import "github.com/culvert-project/culvert/wit"

const (
	// promised pages were announced, by a link or a count.
	promised = false
	// speculative pages are requested although nothing shows that there are more rows.
	speculative = true
)

// pager is how a page is requested. The zero value requests the first page.
type pager struct {
	kind Capabilities // keysWorked, linksWorked or skipWorked: the capability that a page requested so proves
	// overlaps means that the page starts with the last row read, to check $skip, or to show rows with equal keys.
	overlaps    bool
	speculative bool // its rows are not emitted
	skipped     int  // undecodable rows after the key
}

// useKeyset continues by key, if the keys ascended so far. It returns false, and changes nothing, if another pager must
// be used.
func (t *transition) useKeyset(isSpeculative bool) bool {
	next := t.next
	if !t.set.canUseKeyset(next.capabilities) || !next.checks.ascending() || next.checks.key == "" {
		return false
	}
	if next.totalCount < 0 && !t.position.usesKeyset() {
		// Without a count nothing would reveal missing rows, so the order must be certain.
		isOrdered := isSpeculative || next.capabilities.has(sortsByKey) || t.order.rows >= minOrderedRows
		if !next.checks.sorted || !isOrdered {
			return false
		}
	}
	t.continueByKey(isSpeculative)
	next.checks.lastHashes = packHashes(t.repeats.lastHashes)
	return true
}

// continueByKey requests the rows from the last key on, or the rows after that key if pages have one row.
func (t *transition) continueByKey(isSpeculative bool) {
	if t.isEmittedPage() && t.digest.rows > 0 {
		t.rereadUndecoded()
	}
	hasRoom := t.next.pageRows > 1 // else the page would consist of the last row
	if !isSpeculative && !hasRoom {
		t.next.capabilities.set(equalKeysUnseen, true)
	}
	t.useKeysetPager(pager{overlaps: hasRoom, speculative: isSpeculative})
}

func (t *transition) useKeysetPager(pager pager) {
	pager.kind = keysWorked
	t.next.pager = pager
	t.next.url = t.keysetURL(pager)
	t.next.checks.emptyPages = 0 // the request does not follow the link of an empty page
}

func (t *transition) keysetURL(pager pager) string {
	condition := t.set.Keys.FilterAfter
	if pager.overlaps {
		condition = t.set.Keys.FilterFrom
	}
	return t.set.pageURL(t.next, condition(t.set.unpackKey(t.next.checks.key)), pager.skipped)
}

// requireKeyOrder probes whether the service sorts and compares keys, unless that is known, or is assumed and there is
// a count. If it does not, fallbackLink is followed, or $skip is used if that is empty. A probe of the last rows of the
// set takes the place of a speculative page.
func (t *transition) requireKeyOrder(fallbackLink string) {
	isAssumed := t.next.capabilities.has(orderAssumed) && t.next.totalCount >= 0
	isShown := t.next.capabilities.has(sortsByKey)
	hasOrder := t.next.rowsRead > 1 // else the order of the next page is probed
	t.next.probe = &probe{fallbackLink: fallbackLink}
	if !isAssumed && (t.next.pager.speculative || (hasOrder && !isShown)) {
		t.next.probe.kind = probeKeyOrder
	}
}

// useSkip requests the rows after those read. A page that overlaps starts with the last of them.
func (t *transition) useSkip(pager pager) {
	if t.isEmittedPage() && pager.overlaps && t.digest.rows > 0 {
		t.rereadUndecoded()
	}
	rows := t.next.rowsRead
	if pager.overlaps {
		rows--
	}
	if !pager.speculative {
		t.next.capabilities.set(rowsMayShift, true)
	}
	t.recordLastKeys(true) // $skip counts rows
	pager.kind = skipWorked
	t.next.pager = pager
	t.next.url = t.set.pageURL(t.next, "", rows)
}

// isEmittedPage reports whether the response is a page whose rows were emitted.
func (t *transition) isEmittedPage() bool {
	return t.mismatch == "" && t.position.probe.kind == "" && !t.position.pager.speculative
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
	t.next.pager = pager{kind: linksWorked}
	if countsRows {
		t.next.capabilities.set(rowsMayShift, true)
	}
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
	if !t.isEmittedPage() || (t.Rows == 0 && t.position.pager.kind != 0) {
		return // the keys of the page before it are stored
	}
	t.next.checks.lastHashes = ""
	if countsRows {
		t.next.checks.lastHashes = packHashes(t.repeats.lastHashes)
	}
}

// afterLinkLoop continues by key if links loop: the link has shown that there are more rows.
func (t *transition) afterLinkLoop(reason string) error {
	if !t.useKeyset(speculative) {
		return t.loopError(reason)
	}
	t.next.capabilities.set(foundSpeculativeRows, true)
	t.warn("the service's pages form a loop: " + reason + "; continuing by key")
	return nil
}

// afterSpeculativeFailure handles a speculative page that the service rejects, or that is not the one requested: it
// requests further rows in another way, or ends the load.
func (t *transition) afterSpeculativeFailure() error {
	next := t.next
	position := t.position
	next.probe = &probe{}
	if t.mismatch != "" && !position.usesKeyset() {
		next.capabilities.set(skipUnreliable, true)
	}
	switch {
	case position.usesKeyset() && position.pager.skipped == 0 && t.set.Pageable && next.checks.lastHashes != "":
		t.markKeyFilterIgnored()
		overlaps := next.pageRows > 1 && next.undecoded.count == 0
		next.countUndecoded()
		t.useSkip(pager{overlaps: overlaps, speculative: true})
		return nil
	case !position.usesKeyset() && t.set.canUseKeyset(next.capabilities) && next.checks.ascending():
		t.useKeysetPager(pager{overlaps: next.pageRows > 1, speculative: true})
		t.requireKeyOrder("")
		return nil
	}
	next.countUndecoded()
	next.rowsRead += position.pager.skipped
	if next.capabilities.has(countMayBePageOnly) && next.rowsRead > 1 {
		next.probe = &probe{kind: probePageCount}
		return nil
	}
	return t.afterLastSpeculativePage()
}

// afterLastSpeculativePage ends a load if no way to request further rows has worked.
func (t *transition) afterLastSpeculativePage() error {
	next := t.next
	skipped := t.position.pager.skipped
	switch {
	case next.capabilities.has(foundSpeculativeRows), next.previous.minRows > next.rowsRead:
		return t.restartWithoutKeyset("the service has more rows than it announced, and rejects requests for them")
	case next.capabilities.has(leftUnreadRows):
		return t.retry("the service has other rows, and ignores or rejects requests for the rows after the last one")
	case skipped > 0 && skipped == t.set.Top, next.rowsRead == t.set.Top:
		return t.incomplete("as many as requested, and it ignores or rejects requests for further rows; " +
			t.set.Setting("paging") + " = auto lets the service choose the pages")
	}
	return t.complete("it ignores or rejects requests for further rows")
}
