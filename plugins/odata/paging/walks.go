package paging

import "github.com/culvert-project/culvert/wit"

// useKeyset makes next the page after the last row that could be read, where the rows come in the order of their keys;
// those after it that could not be read come again. False where it can't be.
func (t *transition) useKeyset(isUnsolicited bool) bool {
	n := t.next
	if !t.set.canUseKeyset(n.capabilities) || !n.checks.ascending() || t.nothingDecoded() {
		return false
	}
	if _, keyed := t.at.pager.(keysetPager); n.totalCount < 0 && !keyed && (!n.checks.sorted ||
		!isUnsolicited && !n.capabilities.has(sortsByKey) && t.order.rows < enoughToSort) {
		return false // too little to go by where no count shows in the end that rows are missing
	}
	url := t.set.pageURL(n, t.set.Keys.After(t.set.unpack(n.checks.key)), 0)
	if url == t.at.url {
		return false
	}
	t.rereadUndecoded()
	n.url, n.pager = url, keysetPager{unsolicited: isUnsolicited}
	if n.checks.lastHashes = ""; isUnsolicited || !n.capabilities.has(sortsByKey) { // it may turn out to be no way
		n.checks.lastHashes = packHashes(t.repeats.lastHashes)
	}
	return true
}

// requireKeyOrder asks before the first page by key whether the service sorts and compares, if that is not known. link
// is what is followed where it doesn't, "" for none.
func (t *transition) requireKeyOrder(link string) {
	if !t.next.capabilities.has(sortsByKey) {
		t.next.question = &question{kind: askKeys, link: link, prior: t.previousKey()}
	}
}

// previousKey is the first of the two keys of the question: that of the row before the last one, which may stand on the
// page before; "" where there is none.
func (t *transition) previousKey() string {
	if texts := t.set.texts(t.order.prior); t.order.rows > 1 && texts != nil {
		return t.set.Keys.Pack(texts)
	}
	return t.at.checks.key
}

// bySkip makes next the page after the rows seen, by number.
func (t *transition) useSkip(overlaps, isUnsolicited bool) {
	n, skip := t.next, t.next.rowsRead
	if overlaps {
		t.rereadUndecoded()
		skip = n.rowsRead - 1
	}
	n.pager = skipPager{overlaps, isUnsolicited}
	n.url = t.set.pageURL(n, "", skip)
	t.noteCounting(true)
}

// rereadUndecoded has the rows after the last one that could be read come again, and not be faults twice.
func (t *transition) rereadUndecoded() {
	t.next.undecoded = t.Rows - 1 - int(t.lastAt)
	t.next.rowsRead -= t.next.undecoded
	t.next.undecodedHashes = packHashes(t.faultHashes[:min(len(t.faultHashes), t.next.undecoded, maxFaultHashes)])
}

// followLink makes a link of the service the next page. One that was followed before leads in a circle.
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
	t.noteCounting(counts)
	return nil
}

// restoreOptions is a link with the options of the first page, or of the page that it was on: a service repeats the
// filter by key in all links after such a page.
func (t *transition) restoreOptions(link string) (string, error) {
	restored, err := t.set.RestoreOptions(link, t.set.pageURL(t.next, "", 0), t.at.url)
	if err != nil {
		err.(*wit.Error).Message += "; " + t.set.Setting("paging") + " = top asks for pages without links"
	}
	return restored, err
}

// noteCounting notes whether the next page is asked for by counting, as far as is known, and the last rows before it.
func (t *transition) noteCounting(counts bool) {
	if t.next.checks.lastHashes = ""; counts {
		t.next.capabilities.set(rowsMayShift, true)
		t.next.checks.lastHashes = packHashes(t.repeats.lastHashes)
	}
}

// afterLinkLoop goes on by key from the last row where links lead in a circle, unless pages can't be asked for so. That
// there are more rows the link has said.
func (t *transition) afterLinkLoop(why string) error {
	if !t.useKeyset(true) {
		return t.loopError(why)
	}
	t.next.capabilities.set(hadUnsolicitedRows, true)
	t.requireKeyOrder("")
	t.warn("the service's pages go in a circle: " + why + "; going on by key")
	return nil
}

// skipRead makes next the page after the rows seen, by number, where the page before is no longer at hand.
func (t *transition) skipRead(isUnsolicited bool) {
	n, skip := t.next, t.next.rowsRead
	overlaps := n.rowsRead > 1 && isUnsolicited
	if overlaps {
		skip--
	}
	n.pager = skipPager{overlaps, isUnsolicited}
	n.url = t.set.pageURL(n, "", skip)
	n.capabilities.set(rowsMayShift, true)
}

// pageUnavailable goes on where a page that was not announced can't be had: by number if it was asked for by key, else
// the load ends where the service said, unless rows came from such pages, or they are as many as were asked for.
func (t *transition) pageUnavailable() error {
	n := t.next
	w, keyed := t.at.pager.(keysetPager)
	answered := n.rowsRead + n.undecoded // the rows that came, of the set or, by number from a key, after that
	if w.skipped > 0 {
		answered = w.skipped
	}
	n.question, n.rowsRead = &question{}, n.rowsRead+w.skipped
	switch {
	case n.capabilities.has(hadUnsolicitedRows), n.previous.minRows > n.rowsRead:
		return t.restartWithoutKeyset("the last ones after a page without a next link, and the page after them " +
			"can't be had")
	case keyed && w.skipped == 0 && t.set.Pageable && n.checks.lastHashes != "":
		t.markKeyFilterIgnored()
		n.rowsRead, n.undecoded, n.undecodedHashes = n.rowsRead+n.undecoded, 0, ""
		t.skipRead(true)
		return nil
	case !keyed && t.set.canUseKeyset(n.capabilities) && n.checks.ascending():
		n.pager = keysetPager{unsolicited: true}
		n.url = t.set.pageURL(n, t.set.Keys.After(t.set.unpack(n.checks.key)), 0)
		return nil
	case answered == t.set.Top:
		// As many as were asked for: that the service has no more is chance, if it is so.
		return t.incomplete("as many as were asked for, and it ignores what asks for those after them, or refuses " +
			"it; " +
			"paging = auto leaves the cutting of pages to the service")
	}
	counts := "gives no count and no next link"
	if n.capabilities.has(excessReported) || n.capabilities.has(countMayBePageOnly) {
		counts = "gives no next link, and its count may not be that of all rows"
	}
	t.warn("the service " + counts + ", and refuses or ignores what asks for rows after these: the " +
		number(n.rowsRead) +
		" that came are taken for all")
	return t.complete()
}
