package paging

import "github.com/culvert-project/culvert/wit"

// expectation is whether the service promised the next page, by a link or a count.
type expectation bool

const (
	promised expectation = false
	// speculative pages are requested although nothing shows that there are more rows: some services only return a
	// page.
	speculative expectation = true
)

type pager interface{ countsRows() bool }

// keysetPager requests rows after the last key ($filter and $orderby).
type keysetPager struct {
	skipped     int // undecodable rows after the key
	speculative bool
}

// nextLinkPager follows the service's next link. counts means that the link counts rows, or may do so.
type nextLinkPager struct{ counts bool }

type skipPager struct {
	overlaps    bool // the page starts with the last row read, to check $skip and the order
	speculative bool
}

func (keysetPager) countsRows() bool     { return false }
func (w nextLinkPager) countsRows() bool { return w.counts }
func (skipPager) countsRows() bool       { return true }

// useKeyset continues by key, if the keys ascended so far. It returns false if another pager must be used.
func (t *transition) useKeyset(request expectation) bool {
	next := t.next
	if !t.set.canUseKeyset(next.capabilities) || !next.checks.ascending() || t.nothingDecoded() {
		return false
	}
	if next.totalCount < 0 && !t.position.usesKeyset() {
		// Without a count nothing would reveal missing rows, so the order must be certain.
		ordered := request == speculative || next.capabilities.has(sortsByKey) || t.order.rows >= minOrderedRows
		if !next.checks.sorted || !ordered {
			return false
		}
	}
	url := t.keysetURL(0)
	if url == t.position.url {
		return false
	}
	t.rereadUndecoded()
	next.url, next.pager = url, keysetPager{speculative: request == speculative}
	// the pager may change
	if next.checks.lastHashes = ""; request == speculative || !next.capabilities.has(sortsByKey) {
		next.checks.lastHashes = packHashes(t.repeats.lastHashes)
	}
	return true
}

func (t *transition) keysetURL(skipped int) string {
	return t.set.pageURL(t.next, t.set.Keys.FilterAfter(t.set.unpackKey(t.next.checks.key)), skipped)
}

// requireKeyOrder probes, unless known, whether the service sorts and compares keys. If not, fallbackLink is followed.
func (t *transition) requireKeyOrder(fallbackLink string) {
	if !t.next.capabilities.has(sortsByKey) {
		t.next.probe = &probe{kind: probeKeyOrder, fallbackLink: fallbackLink, priorKey: t.previousKey()}
	}
}

func (t *transition) previousKey() string {
	if texts := t.set.sortTexts(t.order.prior); t.order.rows > 1 && texts != nil {
		return t.set.Keys.Pack(texts)
	}
	return t.position.checks.key
}

func (t *transition) useSkip(pager skipPager) {
	rows := t.next.rowsRead
	if pager.overlaps {
		t.rereadUndecoded()
		rows = t.next.rowsRead - 1
	}
	t.next.pager = pager
	t.next.url = t.set.pageURL(t.next, "", rows)
	t.recordCounting(pager)
}

func (t *transition) skipRowsRead(request expectation) {
	pager, rows := skipPager{speculative: request == speculative}, t.next.rowsRead
	if rows > 1 && pager.speculative {
		pager.overlaps = true
		rows--
	}
	t.next.pager = pager
	t.next.url = t.set.pageURL(t.next, "", rows)
	t.next.capabilities.set(rowsMayShift, true)
}

// rereadUndecoded moves the position back so that undecodable rows at the end are requested again but reported once.
func (t *transition) rereadUndecoded() {
	t.next.undecoded = t.Rows - 1 - int(t.lastDecoded)
	t.next.rowsRead -= t.next.undecoded
	t.next.undecodedHashes = packHashes(t.errorHashes[:min(len(t.errorHashes), t.next.undecoded, maxErrorHashes)])
}

func (t *transition) followLink(link string, pager nextLinkPager) error {
	link, err := t.restoreOptions(link)
	if err != nil {
		return err
	}
	followed := &t.next.checks.followed
	if followed.steps == 0 {
		followed.visit(hashOf(t.position.url))
	}
	if followed.visit(hashOf(link)) {
		return t.afterLinkLoop("the link " + link + " was followed before")
	}
	t.next.url, t.next.pager = link, pager
	t.recordCounting(pager)
	return nil
}

func (t *transition) restoreOptions(link string) (string, error) {
	restored, err := t.set.RestoreOptions(link, t.set.pageURL(t.next, "", 0), t.position.url)
	if err != nil {
		err.(*wit.Error).Message += "; " + t.set.Setting("paging") + " = top requests pages without links"
	}
	return restored, err
}

// recordCounting stores the last keys if the next page is requested by counting, so that shifted rows are detected.
func (t *transition) recordCounting(next pager) {
	if t.next.checks.lastHashes = ""; next.countsRows() {
		t.next.capabilities.set(rowsMayShift, true)
		t.next.checks.lastHashes = packHashes(t.repeats.lastHashes)
	}
}

// afterLinkLoop continues by key if links loop: the link has shown that there are more rows.
func (t *transition) afterLinkLoop(reason string) error {
	if !t.useKeyset(speculative) {
		return t.loopError(reason)
	}
	t.next.capabilities.set(foundSpeculativeRows, true)
	t.requireKeyOrder("")
	t.warn("the service's pages form a loop: " + reason + "; continuing by key")
	return nil
}

// afterSpeculativeFailure handles an error for a speculative page: it tries another pager, or ends the load.
func (t *transition) afterSpeculativeFailure() error {
	next := t.next
	skipped, keyset := t.position.skippedRows(), t.position.usesKeyset()
	answered := next.rowsRead + next.undecoded // rows read, of the set or after the key
	if skipped > 0 {
		answered = skipped
	}
	next.probe, next.rowsRead = &probe{}, next.rowsRead+skipped
	switch {
	case next.capabilities.has(foundSpeculativeRows), next.previous.minRows > next.rowsRead:
		return t.restartWithoutKeyset("the service returned rows beyond the last announced page and now refuses the " +
			"next page")
	case keyset && skipped == 0 && t.set.Pageable && next.checks.lastHashes != "":
		t.markKeyFilterIgnored()
		next.rowsRead, next.undecoded, next.undecodedHashes = next.rowsRead+next.undecoded, 0, ""
		t.skipRowsRead(speculative)
		return nil
	case !keyset && t.set.canUseKeyset(next.capabilities) && next.checks.ascending():
		next.pager = keysetPager{speculative: true}
		next.url = t.keysetURL(0)
		return nil
	case answered == t.set.Top:
		return t.incomplete("as many as requested, and it ignores or rejects requests for further rows; " +
			"paging = auto lets the service choose the pages")
	}
	counts := "returns no count and no next link"
	if next.capabilities.has(excessReported) || next.capabilities.has(countMayBePageOnly) {
		counts = "returns no next link, and its count may be that of a page"
	}
	t.warn("the service " + counts + ", and rejects or ignores requests for further rows: the " +
		itoa(next.rowsRead) + " rows read are considered all rows")
	return t.complete()
}
