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

func (p *Position) offsetFields(state *encodedState) []OffsetField {
	checks, previous, cursor := p.checks, p.previous, p.cursor
	return []OffsetField{
		{Name: "url", Text: &p.url}, {Name: "seen", Number: &p.rowsRead}, {Name: "count", Number: &p.totalCount},
		{Name: "base", Number: &state.base, Min: 1},
		{Name: "unordered", Capabilities: &p.capabilities, Capability: refusesOrderBy},
		{Name: "uncounted", Capabilities: &p.capabilities, Capability: refusesCount},
		{Name: "links", Capabilities: &p.capabilities, Capability: ignoresKeyFilter},
		{Name: "sorts", Capabilities: &p.capabilities, Capability: sortsByKey},
		{Name: "sorted", Flag: &checks.sorted}, {Name: "folded", Flag: &checks.folded},
		{Name: "shifts", Capabilities: &p.capabilities, Capability: rowsMayShift},
		{Name: "again", Number: &p.undecoded, Min: 1},
		{Name: "faults", Text: &p.undecodedHashes}, {Name: "passed", Number: &state.skipped, Min: 1},
		{Name: "warned", Capabilities: &p.capabilities, Capability: excessReported},
		{Name: "done", Capabilities: &p.capabilities, Capability: loadComplete},
		{Name: "key", Text: &checks.key}, {Name: "next", Text: &p.question.link},
		{Name: "prior", Text: &p.question.prior},
		{Name: "check", Text: &p.question.kind}, {Name: "skipping", Flag: &state.skipping},
		{Name: "laps", Flag: &state.overlaps}, {Name: "beyond", Flag: &state.speculative},
		{Name: "further", Capabilities: &p.capabilities, Capability: foundSpeculativeRows},
		{Name: "same", Capabilities: &p.capabilities, Capability: duplicateKeys},
		{Name: "least", Number: &previous.minRows, Min: 1},
		{Name: "tail", Text: &state.final}, {Name: "run", Text: &state.run}, {Name: "sample", Text: &checks.sample},
		{Name: "twice", Number: &checks.repeatCount, Min: 1}, {Name: "repeated", Text: &checks.repeatDigest},
		{Name: "before", Text: &previous.repeatDigest},
		{Name: "fell", Text: &previous.outOfOrderKey}, {Name: "followed", Loop: &checks.followed},
		{Name: "pages", Loop: &checks.pages},
		{Name: "empty", Number: &checks.emptyPages, Min: 1}, {Name: "pass", Number: &previous.count, Min: 1},
		{Name: "claimed", Number: &state.pageOnlyCount, Min: 1}, {Name: "proven", Capabilities: &p.capabilities,
			Capability: countsWholeSet},
		{Name: "snapshot", Number: &p.snapshot, Min: 1}, {Name: "owed", Number: &p.endMarkerPending, Min: 1},
		{Name: "from", Text: &cursor.from}, {Name: "high", Text: &cursor.high}, {Name: "low", Text: &cursor.base},
		{Name: "lowless", Flag: &cursor.baseUnknown}, {Name: "cut", Flag: &cursor.truncated},
		{Name: "known", Text: &cursor.previousRows}, {Name: "fresh", Text: &cursor.currentRows},
		{Name: "began", Number: &state.began, Min: 1}, {Name: "at", Number: &state.at, Min: 1},
	}
}

// Fields returns the fields of the offset.
func (p *Position) Fields() []wit.OffsetEntry {
	state := encodedState{began: p.timestamp}
	if p.capabilities.has(loadComplete) {
		state.began, state.at = 0, p.timestamp
	} else if p.capabilities.has(countMayBePageOnly) {
		state.pageOnlyCount = p.rowsRead
	}
	switch w := p.pager.(type) {
	case keysetPager:
		state.base, state.skipped, state.speculative = p.rowsRead, w.skipped, w.speculative
	case skipPager:
		state.overlaps, state.speculative = w.overlaps, w.speculative
		state.skipping = !w.overlaps && !w.speculative
	}
	if n := len(p.checks.lastHashes); n > 0 { // earlier versions store the last hash separately
		state.run, state.final = p.checks.lastHashes[:n-hashSize], p.checks.lastHashes[n-hashSize:]
	}
	return WriteFields(p.offsetFields(&state))
}

// Read reads a stored offset and returns nil if it is empty. A load that another version began continues from its page;
// questions that this version does not know are skipped or asked again.
func Read(offset []wit.OffsetEntry) (*Position, error) {
	if len(offset) == 0 {
		return nil, nil
	}
	position, state := newPosition(0), &encodedState{}
	if err := ReadFields(offset, position.offsetFields(state)); err != nil {
		return nil, err
	}
	if position.url == "" {
		return nil, &wit.Error{Kind: wit.ErrorIncompatible,
			Message: "offset: expected field url with a path, found none"}
	}
	position.checks.lastHashes, position.timestamp = state.run+state.final, max(state.began, state.at)
	position.capabilities.set(countMayBePageOnly, state.pageOnlyCount > 0)
	switch {
	case position.capabilities.has(loadComplete):
	case state.base > 0 && state.base == position.rowsRead && position.checks.key != "":
		position.pager = keysetPager{state.skipped, state.speculative}
	case state.skipping || state.overlaps || state.speculative:
		position.pager = skipPager{state.overlaps, state.speculative}
	case position.rowsRead > 0 || position.checks.followed.steps > 0:
		position.pager = nextLinkPager{position.capabilities.has(rowsMayShift)}
	}
	switch position.question.kind {
	case probeKeyOrder, probePageCount, probeRowCount, probeHighestCursor, "":
	case "order": // the same question of an earlier version
		position.question = &probe{kind: probeKeyOrder, link: position.question.link}
	default:
		position.question = &probe{}
	}
	return position, nil
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
