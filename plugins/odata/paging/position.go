package paging

import "github.com/culvert-project/culvert/wit"

// Position is the state of a full load, stored in the offset: the next page and what is known so far. On the first
// page, pager is zero and rowsRead is 0. Values behind its pointers are replaced, never changed.
type Position struct {
	url        string // path and query of the page
	pager      pager
	probe      *probe // request that precedes the page; never nil
	rowsRead   int
	totalCount int // the service's count on the first page, negative if unknown
	pageRows   int // rows of the largest page that was emitted
	// suspectFrom is the number of rows before a suspected page, see [transition.suspect]. Zero means no suspicion.
	suspectFrom int
	verdict     string // the proof of a load that has ended, see verdict.go
	undecoded   undecodedRows
	// snapshot is the number in the headers of a restarted load, so that consumers can delete other rows (RATIONALE.md
	// P8). Zero means no headers.
	snapshot int
	// endMarkerPending is the number of a snapshot whose end no row has marked yet. Zero means no snapshot.
	endMarkerPending int
	capabilities     Capabilities
	timestamp        int // the start of the load, or its end if complete, in milliseconds since 1970
	checks           *checkState
	previous         *previousAttempts
	cursor           *cursorState
}

// undecodedRows are the rows after the last decoded one. They are requested again, but reported once.
type undecodedRows struct {
	count  int    // not included in [Position.rowsRead]
	hashes string // of the last undecodable rows, at most [maxErrorHashes]; may be set even if count is zero
}

// rowsSeen returns the number of rows read, with the undecoded ones at the end.
func (p *Position) rowsSeen() int { return p.rowsRead + p.undecoded.count }

func (p *Position) usesKeyset() bool { return p.pager.kind == keysWorked }

// countUndecoded adds the undecoded rows at the end to rowsRead. Callers do not request these rows again.
func (p *Position) countUndecoded() {
	p.rowsRead = p.rowsSeen()
	p.undecoded = undecodedRows{}
}

// checkState is the state of the checks that is kept from page to page.
type checkState struct {
	sorted bool   // all rows ascend by bytes
	folded bool   // all rows ascend case-insensitively
	key    string // the last key if sorted or folded
	// lastHashes are hashes of the last rows. If the next page starts with them, rows were inserted. A probe of the
	// order must return one of these rows.
	lastHashes   string
	sample       string       // hashes of keys
	repeatCount  int          // keys on two pages
	repeatDigest string       // hash of these keys
	links        LoopDetector // detects next links that repeat
	pages        LoopDetector // detects pages that repeat, by their digests
	contents     string       // hash of the last page's first rows without their keys
	keys         string       // hash of all keys of the last page
	emptyPages   int          // consecutive pages without a new row
	// unreturned counts consecutive probes that found a row after the last key. A page by key with new rows resets it.
	unreturned int
}

func (c *checkState) ascending() bool { return c.sorted || c.folded }

// previousAttempts has the findings of earlier attempts and of the previous load.
type previousAttempts struct {
	count         int    // attempts before this one
	minRows       int    // rows that the service has at least
	provenRows    int    // rows of the previous load if it was proven
	repeatDigest  string // keys are not unique if it is the same in two attempts
	outOfOrderKey string // the service orders this key differently if it is the same in two attempts
	verdict       string // how the previous load ended
}

// cursorState is the stored state of a load by cursor.
type cursorState struct {
	from         string // the lower bound in the filter; empty means all rows
	high         string // the highest value so far
	base         string // the highest value at the start
	baseUnknown  bool   // the load started without a highest value
	truncated    bool   // an offset had no room for all rows within the look-back
	previousRows string // the rows of the previous load within the look-back
	currentRows  string // the rows of this load within the look-back
}

func newPosition(capabilities Capabilities) *Position {
	return &Position{totalCount: -1, capabilities: capabilities, probe: &probe{}, checks: &checkState{},
		previous: &previousAttempts{}, cursor: &cursorState{}}
}

// encodedState holds what an offset stores in another form than a Position.
type encodedState struct {
	keysetRows  int    // rows read if pages are requested by key
	startedAt   int    // timestamp before the load is complete
	endedAt     int    // timestamp of a complete load
	skips       bool   // pages are requested by $skip
	firstCount  int    // in offsets of earlier versions: the first page's count, which may count that page alone
	earlierHash string // in offsets of earlier versions: the last hash of checks.lastHashes
}

// offsetFields returns the fields of an offset in their stored order, with pointers both to read and to write them. The
// names are a storage format: they never change, even if they differ from the variables' names.
func (p *Position) offsetFields(state *encodedState) []OffsetField {
	flag := func(name string, capability Capabilities) OffsetField {
		return OffsetField{Name: name, Capabilities: &p.capabilities, Capability: capability}
	}
	return []OffsetField{
		{Name: "url", Text: &p.url},
		{Name: "seen", Number: &p.rowsRead},
		{Name: "count", Number: &p.totalCount},
		{Name: "base", Number: &state.keysetRows, Min: 1},
		flag("unordered", refusesOrderBy), flag("uncounted", refusesCount), flag("links", ignoresKeyFilter),
		flag("sorts", sortsByKey),
		{Name: "sorted", Flag: &p.checks.sorted},
		{Name: "folded", Flag: &p.checks.folded},
		flag("shifts", rowsMayShift),
		{Name: "again", Number: &p.undecoded.count, Min: 1},
		{Name: "faults", Text: &p.undecoded.hashes},
		{Name: "passed", Number: &p.pager.skipped, Min: 1},
		flag("done", loadComplete), flag("answered", answeredBefore),
		{Name: "key", Text: &p.checks.key},
		{Name: "next", Text: &p.probe.fallbackLink},
		{Name: "prior", Text: &p.probe.lastKey},
		{Name: "check", Text: &p.probe.kind},
		{Name: "skipping", Flag: &state.skips},
		{Name: "laps", Flag: &p.pager.overlaps},
		{Name: "beyond", Flag: &p.pager.speculative},
		flag("further", foundSpeculativeRows), flag("same", duplicateKeys),
		{Name: "least", Number: &p.previous.minRows, Min: 1},
		{Name: "tail", Text: &state.earlierHash},
		{Name: "run", Text: &p.checks.lastHashes},
		{Name: "sample", Text: &p.checks.sample},
		{Name: "twice", Number: &p.checks.repeatCount, Min: 1},
		{Name: "repeated", Text: &p.checks.repeatDigest},
		{Name: "before", Text: &p.previous.repeatDigest},
		{Name: "fell", Text: &p.previous.outOfOrderKey},
		{Name: "followed", Loop: &p.checks.links},
		{Name: "pages", Loop: &p.checks.pages},
		{Name: "empty", Number: &p.checks.emptyPages, Min: 1},
		{Name: "pass", Number: &p.previous.count, Min: 1},
		{Name: "page", Number: &p.pageRows, Min: 1},
		{Name: "suspect", Number: &p.suspectFrom, Min: 1},
		{Name: "contents", Text: &p.checks.contents},
		{Name: "complete", Text: &p.verdict},
		{Name: "whole", Number: &p.previous.provenRows, Min: 1},
		{Name: "verdict", Text: &p.previous.verdict},
		flag("bylinks", linksWorked), flag("bykeys", keysWorked), flag("byskip", skipWorked),
		flag("unread", leftUnreadRows), flag("settled", suspicionSettled), flag("numbered", keysNumberRows),
		{Name: "keydigest", Text: &p.checks.keys},
		flag("assumed", orderAssumed), flag("single", equalKeysUnseen), flag("misled", skipUnreliable),
		flag("started", firstSinceStart),
		{Name: "shown", Number: &p.checks.unreturned, Min: 1},
		{Name: "claimed", Number: &state.firstCount, Min: 1},
		flag("ofpage", countMayBePageOnly), flag("proven", countsWholeSet),
		{Name: "snapshot", Number: &p.snapshot, Min: 1},
		{Name: "owed", Number: &p.endMarkerPending, Min: 1},
		{Name: "from", Text: &p.cursor.from},
		{Name: "high", Text: &p.cursor.high},
		{Name: "low", Text: &p.cursor.base},
		{Name: "lowless", Flag: &p.cursor.baseUnknown},
		{Name: "cut", Flag: &p.cursor.truncated},
		{Name: "known", Text: &p.cursor.previousRows},
		{Name: "fresh", Text: &p.cursor.currentRows},
		{Name: "began", Number: &state.startedAt, Min: 1},
		{Name: "at", Number: &state.endedAt, Min: 1},
	}
}

// Fields returns the position as an offset.
func (p *Position) Fields() []wit.OffsetEntry {
	state := encodedState{startedAt: p.timestamp, skips: p.pager.kind == skipWorked}
	if p.capabilities.has(loadComplete) {
		state.startedAt = 0
		state.endedAt = p.timestamp
	}
	if p.usesKeyset() {
		state.keysetRows = p.rowsRead
	}
	return WriteFields(p.offsetFields(&state))
}

// Read reads a stored offset, or returns nil if it is empty. Probes that this version does not know are skipped.
func Read(offset []wit.OffsetEntry) (*Position, error) {
	if len(offset) == 0 {
		return nil, nil
	}
	position := newPosition(0)
	state := &encodedState{}
	if err := ReadFields(offset, position.offsetFields(state)); err != nil {
		return nil, err
	}
	if position.url == "" {
		return nil, &wit.Error{Kind: wit.ErrorIncompatible,
			Message: "offset: expected field url with a path, found none"}
	}
	position.checks.lastHashes += state.earlierHash
	position.timestamp = max(state.startedAt, state.endedAt)
	switch {
	case position.capabilities.has(loadComplete): // the next load starts with its first page
	case state.keysetRows > 0 && state.keysetRows == position.rowsRead && position.checks.key != "":
		position.pager.kind = keysWorked
	case state.skips, position.pager.overlaps, position.pager.speculative:
		position.pager.kind = skipWorked
	case position.rowsRead > 0, position.checks.links.steps > 0:
		position.pager.kind = linksWorked
	}
	if state.firstCount > 0 && !position.capabilities.has(loadComplete) {
		position.capabilities.set(countMayBePageOnly, true)
		if position.probe.kind == probePageCount { // an earlier version sent this probe before the page
			position.probe = &probe{}
		}
	}
	switch position.probe.kind {
	case probeKeyOrder, probePageCount, probeRowCount, probeHighestCursor, probeDeletedRow, probeKnownRows,
		probeKnownEnd, probeFurtherRows, "": // as this version stores it
	case "order": // of an earlier version
		position.probe = &probe{kind: probeKeyOrder, fallbackLink: position.probe.fallbackLink}
	default:
		position.probe = &probe{}
	}
	return position, nil
}

// URL returns the path and query of the next page, without the probe before it.
func (p *Position) URL() string { return p.url }

// WithURL returns a copy whose next page has another path and query.
func (p *Position) WithURL(url string) *Position {
	position := *p
	position.url = url
	return &position
}

// Snapshot returns the number in the headers of rows, or zero without headers, and whether a previous page had rows.
func (p *Position) Snapshot() (snapshot int, hasRows bool) { return p.snapshot, p.rowsSeen() > 0 }

// EndMarkerPending returns the number of a snapshot whose end no row has marked yet, or zero.
func (p *Position) EndMarkerPending() int { return p.endMarkerPending }

// SetEndMarkerPending stores the number of a snapshot whose end no row has marked yet; zero means that it is marked.
func (p *Position) SetEndMarkerPending(snapshot int) { p.endMarkerPending = snapshot }

// Done reports whether and when the load was completed.
func (p *Position) Done() (isDone bool, doneAt int64) {
	return p.capabilities.has(loadComplete), int64(p.timestamp)
}

// Answered reports whether the service has answered a request of this load, or of an earlier one.
func (p *Position) Answered() bool {
	return p.pager.kind != 0 || p.snapshot > 0 || p.capabilities.has(answeredBefore)
}

// SetStarted records that the connector has started: an unproven end is reported, even if the previous one was.
func (p *Position) SetStarted() { p.capabilities.set(firstSinceStart, true) }

// SetAnswered records that the service has answered the requests of an earlier load.
func (p *Position) SetAnswered() { p.capabilities.set(answeredBefore, true) }

// followsEmptyPage reports whether the page is the next link of a keyset page without rows.
func (p *Position) followsEmptyPage() bool {
	return p.usesKeyset() && !p.pager.speculative && p.checks.emptyPages > 0
}

// Capabilities is a bit set of what is known about a service and about a load.
type Capabilities uint32

const (
	// refusesOrderBy means that the service rejects requests with $orderby.
	refusesOrderBy       Capabilities = 1 << iota
	refusesCount                      // the service rejects requests with $inlinecount
	sortsByKey                        // a probe has shown that the service sorts by key and compares keys
	ignoresKeyFilter                  // pages by key were wrong or rejected
	countsWholeSet                    // the service counted more rows than one page had
	countMayBePageOnly                // the first page had as many rows as its count and no link
	rowsMayShift                      // the count proves nothing: shifted rows may be missing
	foundSpeculativeRows              // a page that neither a link nor a count had promised had rows
	duplicateKeys                     // one page contained the same key twice, which moving rows do not explain
	loadComplete
	answeredBefore   // an earlier load was completed
	linksWorked      // a page requested by a link was read in this load
	keysWorked       // a page requested by key was read
	skipWorked       // a page requested by $skip was read
	leftUnreadRows   // a page that was not emitted had a row that was not read
	suspicionSettled // the service skips rows in links because it hides them
	firstSinceStart  // the first load since the connector started
	keysNumberRows   // keys number the rows of each response
	orderAssumed     // the probe did not show that the service sorts, but its rows ascend so far
	equalKeysUnseen  // pages of one row were requested by key, which hide rows with equal keys
	skipUnreliable   // a speculative page by $skip was not the one requested

	// serviceCapabilities are kept for later loads.
	serviceCapabilities = refusesOrderBy | refusesCount | sortsByKey | ignoresKeyFilter | countsWholeSet | orderAssumed
)

func (c Capabilities) has(capability Capabilities) bool { return c&capability != 0 }

func (c *Capabilities) set(capability Capabilities, isTrue bool) {
	*c &^= capability
	if isTrue {
		*c |= capability
	}
}
