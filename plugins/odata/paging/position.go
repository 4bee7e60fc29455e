package paging

import (
	"github.com/culvert-project/culvert/wit"
)

// Position is the state of a full load: the next page and what is known so far. It is stored in the offset. Values
// behind its pointers are replaced, never changed.
//
// On the first page pager is nil and rowsRead is 0. It is a keysetPager only while checks say that all rows ascended;
// checks.key is the last decoded one. While question is set, url is the page to read after a yes.
type Position struct {
	url      string
	pager    pager
	question *probe
	// totalCount is the service's count on the first page. A negative value means unknown.
	rowsRead, totalCount int
	// undecoded counts the rows after the last decoded one; they are requested again, but their hashes reported once.
	undecoded       int
	undecodedHashes string
	// snapshot is the number in the headers of a restarted load (P8); endMarkerPending is that of one whose end no row
	// has marked yet. Zero means none.
	snapshot, endMarkerPending int
	capabilities               Capabilities
	// timestamp is the start of the load, or the time of a complete load's last page, in milliseconds since 1970.
	timestamp int
	checks    *checkState
	previous  *previousAttempts
	cursor    *cursorState
}

// pager is the way in which the next page is requested.
type pager interface{ countsRows() bool }

type keysetPager struct {
	// skipped is the number of undecodable rows after the key.
	skipped int
	// speculative reports that neither a link nor a count promises such rows.
	speculative bool
}

type nextLinkPager struct {
	counts bool
}

type skipPager struct {
	// overlaps reports that the page starts with the last row read, to check $skip and the order.
	overlaps    bool
	speculative bool
}

func (keysetPager) countsRows() bool     { return false }
func (w nextLinkPager) countsRows() bool { return w.counts }
func (skipPager) countsRows() bool       { return true }

// checkState is what the checks remember from page to page.
type checkState struct {
	// sorted, folded: all rows ascend, by bytes or case-insensitively. key is the last key, as a key predicate.
	sorted, folded bool
	key            string
	// lastHashes are those of a counted page's end: if the next page starts with them, rows were inserted.
	lastHashes string
	// sample holds hashes of rows, repeatCount the number of keys on two pages, repeatDigest a hash of these keys.
	sample          string
	repeatCount     int
	repeatDigest    string
	followed, pages LoopDetector
	emptyPages      int
}

// previousAttempts is what earlier attempts, of this load or the previous one, found.
type previousAttempts struct {
	count, minRows int
	// If repeatDigest is the same in two attempts, keys are not unique. If outOfOrderKey is the same in both and occurs
	// nowhere else, the service orders it that way.
	repeatDigest, outOfOrderKey string
}

func (m *checkState) ascending() bool { return m.sorted || m.folded }

func newPosition(known Capabilities) *Position {
	return &Position{totalCount: -1, capabilities: known, question: &probe{}, checks: &checkState{},
		previous: &previousAttempts{},
		cursor:   &cursorState{}}
}

type encodedState struct {
	base, skipped, pageOnlyCount    int
	began, at                       int
	overlaps, speculative, skipping bool
	final, run                      string
}

func (p *Position) offsetFields(s *encodedState) []OffsetField {
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
		{Name: "laps", Flag: &s.overlaps}, {Name: "beyond", Flag: &s.speculative},
		{Name: "further", Capabilities: &p.capabilities, Capability: foundSpeculativeRows},
		{Name: "same", Capabilities: &p.capabilities, Capability: duplicateKeys},
		{Name: "least", Number: &e.minRows, Min: 1},
		{Name: "tail", Text: &s.final}, {Name: "run", Text: &s.run}, {Name: "sample", Text: &m.sample},
		{Name: "twice", Number: &m.repeatCount, Min: 1}, {Name: "repeated", Text: &m.repeatDigest},
		{Name: "before", Text: &e.repeatDigest},
		{Name: "fell", Text: &e.outOfOrderKey}, {Name: "followed", Loop: &m.followed}, {Name: "pages", Loop: &m.pages},
		{Name: "empty", Number: &m.emptyPages, Min: 1}, {Name: "pass", Number: &e.count, Min: 1},
		{Name: "claimed", Number: &s.pageOnlyCount, Min: 1}, {Name: "proven", Capabilities: &p.capabilities,
			Capability: countsWholeSet},
		{Name: "snapshot", Number: &p.snapshot, Min: 1}, {Name: "owed", Number: &p.endMarkerPending, Min: 1},
		{Name: "from", Text: &c.from}, {Name: "high", Text: &c.high}, {Name: "low", Text: &c.base},
		{Name: "lowless", Flag: &c.baseUnknown}, {Name: "cut", Flag: &c.truncated},
		{Name: "known", Text: &c.previousRows}, {Name: "fresh", Text: &c.currentRows},
		{Name: "began", Number: &s.began, Min: 1}, {Name: "at", Number: &s.at, Min: 1},
	}
}

// Fields returns the fields of the offset.
func (p *Position) Fields() []wit.OffsetEntry {
	s := encodedState{began: p.timestamp}
	if p.capabilities.has(loadComplete) {
		s.began, s.at = 0, p.timestamp
	} else if p.capabilities.has(countMayBePageOnly) {
		s.pageOnlyCount = p.rowsRead
	}
	switch w := p.pager.(type) {
	case keysetPager:
		s.base, s.skipped, s.speculative = p.rowsRead, w.skipped, w.speculative
	case skipPager:
		s.overlaps, s.speculative = w.overlaps, w.speculative
		s.skipping = !w.overlaps && !w.speculative
	}
	if n := len(p.checks.lastHashes); n > 0 { // earlier versions store the last hash separately
		s.run, s.final = p.checks.lastHashes[:n-hashSize], p.checks.lastHashes[n-hashSize:]
	}
	return WriteFields(p.offsetFields(&s))
}

// Read reads a stored offset and returns nil if it is empty. A load that another version began continues from its page;
// questions that this version does not know are skipped or asked again.
func Read(offset []wit.OffsetEntry) (*Position, error) {
	if len(offset) == 0 {
		return nil, nil
	}
	p, s := newPosition(0), &encodedState{}
	if err := ReadFields(offset, p.offsetFields(s)); err != nil {
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
		p.pager = keysetPager{s.skipped, s.speculative}
	case s.skipping || s.overlaps || s.speculative:
		p.pager = skipPager{s.overlaps, s.speculative}
	case p.rowsRead > 0 || p.checks.followed.steps > 0:
		p.pager = nextLinkPager{p.capabilities.has(rowsMayShift)}
	}
	switch p.question.kind {
	case probeKeyOrder, probePageCount, probeRowCount, probeHighestCursor, "":
	case "order": // the same question of an earlier version
		p.question = &probe{kind: probeKeyOrder, link: p.question.link}
	default:
		p.question = &probe{}
	}
	return p, nil
}

// URL returns the path and query of the page.
func (p *Position) URL() string { return p.url }

// WithURL returns a copy with another path and query.
func (p *Position) WithURL(url string) *Position {
	moved := *p
	moved.url = url
	return &moved
}

// Snapshot returns the number in the headers of the load's rows, or zero, and whether a previous page had rows.
func (p *Position) Snapshot() (snapshot int, begun bool) {
	return p.snapshot, p.rowsRead+p.undecoded > 0
}

// EndMarkerPending returns the number of a reload whose end no row has marked yet, or zero.
func (p *Position) EndMarkerPending() int { return p.endMarkerPending }

// SetEndMarkerPending sets it.
func (p *Position) SetEndMarkerPending(snapshot int) { p.endMarkerPending = snapshot }

// Done reports whether the load is complete, and since when.
func (p *Position) Done() (is bool, at int64) {
	return p.capabilities.has(loadComplete), int64(p.timestamp)
}

func (p *Position) isSpeculative() bool {
	switch w := p.pager.(type) {
	case keysetPager:
		return w.speculative
	case skipPager:
		return w.speculative
	}
	return false
}

// followsEmptyPage reports whether the page is the link of a keyset page without rows.
func (p *Position) followsEmptyPage() bool {
	w, keyed := p.pager.(keysetPager)
	return keyed && !w.speculative && p.checks.emptyPages > 0
}

type cursorState struct {
	// from is the least value requested, "" for all rows. base is the highest value when the load began.
	from, high, base string
	baseUnknown      bool
	truncated        bool
	// previousRows are the last ones of the previous load, currentRows those that the next one will read again.
	previousRows, currentRows string
}
