package paging

import (
	"github.com/culvert-project/culvert/wit"
)

// Position is where a full load stands: the page to ask for next, and what is known of the load so far. It is the
// plugin's part of a stored offset. What its pointers lead to is replaced, never changed.
//
// Invariants:
//
//   - On the first page walk is nil, seen is 0 and nothing is remembered.
//   - walk is byKey only while memory says that all rows ascended; memory.key is the last of them that could be read.
//   - While a question is asked url is the page after a yes.
//   - A done position keeps url, the counts, what is known of the service, what readings left, unmarked and the cursor.
type Position struct {
	// url is the page's path and query, as it is or was asked for.
	url string
	// pager is how the page was come by: byKey, byLinks, bySkip; nil: it is the first one.
	pager pager
	// question is a question that goes before the page.
	question *question
	// rowsRead is the number of rows in the pages before. count is the number that the service said there are, of the
	// whole set and on its first page; -1: it didn't say.
	rowsRead, totalCount int
	// undecoded is the number of rows after the last one that could be read, which come again with the page; faults are
	// their marks, so that they are no dead letters twice.
	undecoded       int
	undecodedHashes string
	// snapshot is the number by which the rows of a load that was begun again are marked (P8), unmarked that of such a
	// load whose end no row has said; 0: none.
	snapshot, endMarkerPending int
	// capabilities are what is known of the service, and of this load.
	capabilities Capabilities
	// timestamp is the time at which the load was begun, of a complete one that of its last page, in milliseconds since
	// 1970.
	timestamp int
	// checks is what the auditors remember, earlier what readings before left, cursor what loads by a cursor remember.
	checks   *checkState
	previous *previousAttempts
	cursor   *cursorPosition
}

// pager is how the next page is asked for.
type pager interface{ countsRows() bool }

// byKey asks for the rows after the last key.
type keysetPager struct {
	// skipped is the number of rows after the key that the page leaves out by $skip, since none of them could be read.
	skipped int
	// unsolicited: neither a link nor a count says that there are such rows.
	unsolicited bool
}

// nextLinkPager follows the service's next links.
type nextLinkPager struct {
	// counts: the last link counts rows, or nothing shows that it doesn't.
	counts bool
}

// skipPager asks for the rows after so many.
type skipPager struct {
	// overlaps: the page begins with the last row that came, which shows that $skip is heeded and the order stays.
	overlaps bool
	// unsolicited: neither a link nor a count says that there are such rows.
	unsolicited bool
}

func (keysetPager) countsRows() bool     { return false }
func (w nextLinkPager) countsRows() bool { return w.counts }
func (skipPager) countsRows() bool       { return true }

// question goes before a page, and no row of its answer is handed on.
type question struct {
	kind string
	// link is the next link that is followed after a no, prior the key before the last one that came: see keysHeld.
	link, prior string
}

const (
	// askKeys: does the service sort by keys and compare them?
	askKeys = "keys"
	// askCount: does a page of one row have the count of all?
	askCount = "count"
	// askRows: how many rows are there now?
	askRows = "end"
	// askHighest: what is the highest value of the cursor?
	askHighest = "high"
)

// memory is what auditors remember from page to page.
type checkState struct {
	// sorted, folded: all rows so far came in the order of their keys, texts by bytes or without regard to case. key is
	// the last key then, as a key predicate.
	sorted, folded bool
	key            string
	// lastHashes has the marks of the last rows that came by counting: where the next page begins with them, rows were
	// inserted before.
	lastHashes string
	// sample are marks of rows that came; again is how many came on another page too, againKeys a digest of their keys.
	sample       string
	repeatCount  int
	repeatDigest string
	// followed are the links that were followed, pages what pages held; empty is how many of them had no row, one after
	// another.
	followed, pages LoopDetector
	emptyPages      int
}

// earlier is what readings of the set before this one left, of this load and of those before.
type previousAttempts struct {
	// attempts counts how often this walk was begun again; least is the number of rows that one brought, some of them
	// from pages that nothing had announced.
	attempts, minRows int
	// repeated is a digest of the keys that came on several pages of the reading before: where they do so again, keys
	// are not unique. fell is the mark of the first key that came below those of a page before: where it does so again,
	// and came nowhere else, the service's order has it so.
	repeatDigest, outOfOrderKey string
}

// ascending reports whether all rows so far came in the order of their keys.
func (m *checkState) ascending() bool { return m.sorted || m.folded }

func newPosition(known Capabilities) *Position {
	return &Position{totalCount: -1, capabilities: known, question: &question{}, checks: &checkState{},
		previous: &previousAttempts{},
		cursor:   &cursorPosition{}}
}

// stored is a position in the form in which offsets have it.
type stored struct {
	base, skipped, pageOnlyCount    int
	began, at                       int
	overlaps, unsolicited, skipping bool
	final, run                      string
}

func (p *Position) items(s *stored) []OffsetField {
	m, e, c := p.checks, p.previous, p.cursor
	return []OffsetField{
		{Name: "url", Text: &p.url}, {Name: "seen", Number: &p.rowsRead}, {Name: "count", Number: &p.totalCount},
		{Name: "base", Number: &s.base, Min: 1},
		{Name: "unordered", Capabilities: &p.capabilities, Capability: refusesOrderBy},
		{Name: "uncounted", Capabilities: &p.capabilities, Capability: refusesCount},
		{Name: "links", Capabilities: &p.capabilities, Capability: ignoresKeyFilter},
		{Name: "sorts", Capabilities: &p.capabilities, Capability: sortsByKey},
		{Name: "sorted", Flag: &m.sorted}, {Name: "folded", Flag: &m.folded},
		{Name: "shifts", Capabilities: &p.capabilities, Capability: rowsMayShift},
		{Name: "again", Number: &p.undecoded, Min: 1},
		{Name: "faults", Text: &p.undecodedHashes}, {Name: "passed", Number: &s.skipped, Min: 1},
		{Name: "warned", Capabilities: &p.capabilities, Capability: excessReported},
		{Name: "done", Capabilities: &p.capabilities, Capability: loadComplete},
		{Name: "key", Text: &m.key}, {Name: "next", Text: &p.question.link}, {Name: "prior", Text: &p.question.prior},
		{Name: "check", Text: &p.question.kind}, {Name: "skipping", Flag: &s.skipping},
		{Name: "laps", Flag: &s.overlaps}, {Name: "beyond", Flag: &s.unsolicited},
		{Name: "further", Capabilities: &p.capabilities, Capability: hadUnsolicitedRows},
		{Name: "same", Capabilities: &p.capabilities, Capability: duplicateKeys},
		{Name: "least", Number: &e.minRows, Min: 1},
		{Name: "tail", Text: &s.final}, {Name: "run", Text: &s.run}, {Name: "sample", Text: &m.sample},
		{Name: "twice", Number: &m.repeatCount, Min: 1}, {Name: "repeated", Text: &m.repeatDigest},
		{Name: "before", Text: &e.repeatDigest},
		{Name: "fell", Text: &e.outOfOrderKey}, {Name: "followed", Loop: &m.followed}, {Name: "pages", Loop: &m.pages},
		{Name: "empty", Number: &m.emptyPages, Min: 1}, {Name: "pass", Number: &e.attempts, Min: 1},
		{Name: "claimed", Number: &s.pageOnlyCount, Min: 1}, {Name: "proven", Capabilities: &p.capabilities,
			Capability: countsWholeSet},
		{Name: "snapshot", Number: &p.snapshot, Min: 1}, {Name: "owed", Number: &p.endMarkerPending, Min: 1},
		{Name: "from", Text: &c.from}, {Name: "high", Text: &c.high}, {Name: "low", Text: &c.base},
		{Name: "lowless", Flag: &c.baseUnknown}, {Name: "cut", Flag: &c.truncated},
		{Name: "known", Text: &c.previousRows}, {Name: "fresh", Text: &c.currentRows},
		{Name: "began", Number: &s.began, Min: 1}, {Name: "at", Number: &s.at, Min: 1},
	}
}

// Fields writes a position as fields of an offset.
func (p *Position) Fields() []wit.OffsetEntry {
	s := stored{began: p.timestamp}
	if p.capabilities.has(loadComplete) {
		s.began, s.at = 0, p.timestamp
	} else if p.capabilities.has(countMayBePageOnly) {
		s.pageOnlyCount = p.rowsRead
	}
	switch w := p.pager.(type) {
	case keysetPager:
		s.base, s.skipped, s.unsolicited = p.rowsRead, w.skipped, w.unsolicited
	case skipPager:
		s.overlaps, s.unsolicited = w.overlaps, w.unsolicited
		s.skipping = !w.overlaps && !w.unsolicited
	}
	if n := len(p.checks.lastHashes); n > 0 { // other versions look for the last mark apart
		s.run, s.final = p.checks.lastHashes[:n-hashSize], p.checks.lastHashes[n-hashSize:]
	}
	return WriteFields(p.items(&s))
}

// Read reads a stored offset; nil if it is empty. Fields that aren't the plugin's are the host's. An offset that
// another version stored amid a load goes on from its page: what that version was about to ask is left out, or asked
// again.
func Read(offset []wit.OffsetEntry) (*Position, error) {
	if len(offset) == 0 {
		return nil, nil
	}
	p, s := newPosition(0), &stored{}
	if err := ReadFields(offset, p.items(s)); err != nil {
		return nil, err
	}
	if p.url == "" {
		return nil, &wit.Error{Kind: wit.ErrorIncompatible,
			Message: "offset: expected field url with a path, found none"}
	}
	p.checks.lastHashes, p.timestamp = s.run+s.final, max(s.began, s.at)
	p.capabilities.set(countMayBePageOnly, s.pageOnlyCount > 0)
	switch {
	case p.capabilities.has(loadComplete):
	case s.base > 0 && s.base == p.rowsRead && p.checks.key != "":
		p.pager = keysetPager{s.skipped, s.unsolicited}
	case s.skipping || s.overlaps || s.unsolicited:
		p.pager = skipPager{s.overlaps, s.unsolicited}
	case p.rowsRead > 0 || p.checks.followed.steps > 0:
		p.pager = nextLinkPager{p.capabilities.has(rowsMayShift)}
	}
	switch p.question.kind {
	case askKeys, askCount, askRows, askHighest, "":
	case "order": // by which another version found out the same, without the first key
		p.question = &question{kind: askKeys, link: p.question.link}
	default:
		p.question = &question{}
	}
	return p, nil
}

// URL is the page's path and query.
func (p *Position) URL() string { return p.url }

// WithURL is the position with the page at another path and query.
func (p *Position) WithURL(url string) *Position {
	moved := *p
	moved.url = url
	return &moved
}

// Snapshot is the number by which the load's rows are marked, 0: they are not; begun: some of them came on a page
// before.
func (p *Position) Snapshot() (snapshot int, begun bool) {
	return p.snapshot, p.rowsRead+p.undecoded > 0
}

// EndMarkerPending is the number of a reload before whose end no row has said yet, 0: none.
func (p *Position) EndMarkerPending() int { return p.endMarkerPending }

// SetEndMarkerPending makes it another one.
func (p *Position) SetEndMarkerPending(snapshot int) { p.endMarkerPending = snapshot }

// Done reports whether the load is complete, and since when.
func (p *Position) Done() (is bool, at int64) {
	return p.capabilities.has(loadComplete), int64(p.timestamp)
}

// isUnsolicited reports whether neither a link nor a count says that the page has rows.
func (p *Position) isUnsolicited() bool {
	switch w := p.pager.(type) {
	case keysetPager:
		return w.unsolicited
	case skipPager:
		return w.unsolicited
	}
	return false
}

// followsEmptyPage reports whether the page is behind one by key that had no row, by the service's link.
func (p *Position) followsEmptyPage() bool {
	w, keyed := p.pager.(keysetPager)
	return keyed && !w.unsolicited && p.checks.emptyPages > 0
}

// cursorPosition is the part of a position that is about the cursor.
type cursorPosition struct {
	// from is the least value that the load asks for, "" for all rows. high is the highest one that came. base is the
	// highest one that there was when the load began, as far as is known: what changed since then has no lower one.
	from, high, base string
	// baseUnknown: that is not known, and rows have been read: the next load asks for all rows.
	baseUnknown bool
	// truncated: marks were left out since the offset had no room for them, and that was said, by this load or one
	// before.
	truncated bool
	// previousRows are the rows that loads before ended with, fresh those of this load that the next one meets again.
	previousRows, currentRows string
}
