package paging

import "github.com/culvert-project/culvert/wit"

func (t *transition) useKeyset(isUnsolicited bool) bool {
	n := t.next
	if !t.set.canUseKeyset(n.capabilities) || !n.checks.ascending() || t.nothingDecoded() {
		return false
	}
	if _, keyed := t.at.pager.(keysetPager); n.totalCount < 0 && !keyed && (!n.checks.sorted ||
		!isUnsolicited && !n.capabilities.has(sortsByKey) && t.order.rows < minOrderedRows) {
		return false // not enough evidence without a count
	}
	url := t.set.pageURL(n, t.set.Keys.FilterAfter(t.set.unpackKey(n.checks.key)), 0)
	if url == t.at.url {
		return false
	}
	t.rereadUndecoded()
	n.url, n.pager = url, keysetPager{speculative: isUnsolicited}
	if n.checks.lastHashes = ""; isUnsolicited || !n.capabilities.has(sortsByKey) { // the pager may change
		n.checks.lastHashes = packHashes(t.repeats.lastHashes)
	}
	return true
}

// requireKeyOrder asks, if unknown, whether the service sorts and compares keys. link is followed if it does not.
func (t *transition) requireKeyOrder(link string) {
	if !t.next.capabilities.has(sortsByKey) {
		t.next.question = &probe{kind: probeKeyOrder, link: link, prior: t.previousKey()}
	}
}

func (t *transition) previousKey() string {
	if texts := t.set.sortTexts(t.order.prior); t.order.rows > 1 && texts != nil {
		return t.set.Keys.Pack(texts)
	}
	return t.at.checks.key
}

func (t *transition) useSkip(overlaps, isUnsolicited bool) {
	n, skip := t.next, t.next.rowsRead
	if overlaps {
		t.rereadUndecoded()
		skip = n.rowsRead - 1
	}
	n.pager = skipPager{overlaps, isUnsolicited}
	n.url = t.set.pageURL(n, "", skip)
	t.recordCounting(true)
}

// rereadUndecoded moves the position back so that undecodable rows at the end are requested again but reported once.
func (t *transition) rereadUndecoded() {
	t.next.undecoded = t.Rows - 1 - int(t.lastDecoded)
	t.next.rowsRead -= t.next.undecoded
	t.next.undecodedHashes = packHashes(t.errorHashes[:min(len(t.errorHashes), t.next.undecoded, maxErrorHashes)])
}

func (t *transition) followLink(link string, counts bool) error {
	link, err := t.restoreOptions(link)
	if err != nil {
		return err
	}
	m := t.next.checks
	if m.followed.steps == 0 {
		m.followed.visit(hashOf(t.at.url))
	}
	if m.followed.visit(hashOf(link)) {
		return t.afterLinkLoop("the link " + link + " was followed before")
	}
	t.next.url, t.next.pager = link, nextLinkPager{counts}
	t.recordCounting(counts)
	return nil
}

func (t *transition) restoreOptions(link string) (string, error) {
	restored, err := t.set.RestoreOptions(link, t.set.pageURL(t.next, "", 0), t.at.url)
	if err != nil {
		err.(*wit.Error).Message += "; " + t.set.Setting("paging") + " = top requests pages without links"
	}
	return restored, err
}

func (t *transition) recordCounting(counts bool) {
	if t.next.checks.lastHashes = ""; counts {
		t.next.capabilities.set(rowsMayShift, true)
		t.next.checks.lastHashes = packHashes(t.repeats.lastHashes)
	}
}

// afterLinkLoop continues by keyset if links loop: the link has shown that there are more rows.
func (t *transition) afterLinkLoop(reason string) error {
	if !t.useKeyset(true) {
		return t.loopError(reason)
	}
	t.next.capabilities.set(foundSpeculativeRows, true)
	t.requireKeyOrder("")
	t.warn("the service's pages form a loop: " + reason + "; continuing by key")
	return nil
}

func (t *transition) skipRowsRead(isUnsolicited bool) {
	n, skip := t.next, t.next.rowsRead
	overlaps := n.rowsRead > 1 && isUnsolicited
	if overlaps {
		skip--
	}
	n.pager = skipPager{overlaps, isUnsolicited}
	n.url = t.set.pageURL(n, "", skip)
	n.capabilities.set(rowsMayShift, true)
}

// afterSpeculativeFailure handles an error for a page that neither a next link nor a count had promised.
func (t *transition) afterSpeculativeFailure() error {
	n := t.next
	w, keyed := t.at.pager.(keysetPager)
	answered := n.rowsRead + n.undecoded // rows read, of the set or after the key
	if w.skipped > 0 {
		answered = w.skipped
	}
	n.question, n.rowsRead = &probe{}, n.rowsRead+w.skipped
	switch {
	case n.capabilities.has(foundSpeculativeRows), n.previous.minRows > n.rowsRead:
		return t.restartWithoutKeyset("the service returned rows beyond the last announced page and now refuses the " +
			"next page")
	case keyed && w.skipped == 0 && t.set.Pageable && n.checks.lastHashes != "":
		t.markKeyFilterIgnored()
		n.rowsRead, n.undecoded, n.undecodedHashes = n.rowsRead+n.undecoded, 0, ""
		t.skipRowsRead(true)
		return nil
	case !keyed && t.set.canUseKeyset(n.capabilities) && n.checks.ascending():
		n.pager = keysetPager{speculative: true}
		n.url = t.set.pageURL(n, t.set.Keys.FilterAfter(t.set.unpackKey(n.checks.key)), 0)
		return nil
	case answered == t.set.Top:
		return t.incomplete("as many as requested, and it ignores or rejects requests for further rows; " +
			"paging = auto lets the service choose the pages")
	}
	counts := "returns no count and no next link"
	if n.capabilities.has(excessReported) || n.capabilities.has(countMayBePageOnly) {
		counts = "returns no next link, and its count may be that of a page"
	}
	t.warn("the service " + counts + ", and rejects or ignores requests for further rows: the " +
		itoa(n.rowsRead) +
		" rows read are considered all rows")
	return t.complete()
}
