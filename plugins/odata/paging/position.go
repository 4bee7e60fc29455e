package paging

import (
	"slices"

	"github.com/culvert-project/culvert/wit"
)

// Position is the state of a full load, stored in the offset: the next page and what is known so far. On the first
// page, pager is zero and rowsRead is 0. Values behind its pointers are replaced, never changed.
type Position struct {
	url        string // path and query of the page
	pager      pager
	probe      *probe // request that precedes the page; never nil
	rowsRead   int    // without the undecoded rows at the end
	totalCount int    // the service's count on the first page, negative if unknown
	pageRows   int    // rows of the largest page that was emitted
	isDone     bool
	verdict    string // the proof of a load that has ended, see verdict.go
	undecoded  undecodedRows
	snapshot   snapshotState
	known      known
	seen       seen
	timestamp  int // the start of the load, or its end if complete, in milliseconds since 1970
	checks     *checkState
	previous   *previousAttempts
	cursor     *cursorState
}

// snapshotState has the numbers of snapshots: loads that replace others, so that consumers can delete the rows that
// these do not contain (RATIONALE.md P8).
type snapshotState struct {
	number           int // in the headers of a restarted load. Zero means no headers.
	endMarkerPending int // the number of a snapshot whose end no row has marked yet. Zero means no snapshot.
}

// undecodedRows are the rows after the last decoded one. They are requested again, but reported once.
type undecodedRows struct {
	count  int    // not included in [Position.rowsRead]
	hashes string // of the last undecodable rows, at most [maxErrorHashes]; may be set even if count is zero
}

// rowsSeen returns the number of rows read, with the undecoded ones at the end.
func (p *Position) rowsSeen() int { return p.rowsRead + p.undecoded.count }

// distinctRows returns the number of rows read whose keys were not repeated.
func (p *Position) distinctRows() int { return p.rowsSeen() - p.checks.repeatCount }

func (p *Position) usesKeyset() bool { return p.pager.kind == byKey }

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
	lastHashes    string
	sample        string       // hashes of keys
	repeatCount   int          // keys on two pages
	repeatDigest  string       // hash of these keys
	repeatedPages int          // in a set without keys, consecutive pages that repeat rows
	links         LoopDetector // detects next links that repeat
	pages         LoopDetector // detects pages that repeat, by their digests
	contents      string       // hash of the last page's first rows without their keys
	keys          string       // hash of all keys of the last page
	emptyPages    int          // consecutive pages without a new row
	// unreturned counts consecutive probes that found a row after the last key. A page by key with new rows resets it.
	unreturned int
}

func (c *checkState) ascending() bool { return c.sorted || c.folded }

// previousAttempts has the findings of earlier attempts and of the previous load.
type previousAttempts struct {
	count        int    // attempts before this one
	witness      string // the packed key of a row that must be read if it still exists. Empty means in any case.
	witnessHash  string // the hash of that row. Empty means that there is none.
	gap          int    // rows that the service counted in the previous attempt and did not return
	repeatDigest string // keys are not unique if it is the same in two attempts
	verdict      string // how the previous load ended
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

func newPosition(k known) *Position {
	return &Position{totalCount: -1, known: k, probe: &probe{}, checks: &checkState{},
		previous: &previousAttempts{}, cursor: &cursorState{}}
}

// encodedState holds what an offset stores in another form than a Position.
type encodedState struct {
	keysetRows int  // rows read if pages are requested by key
	startedAt  int  // timestamp before the load is complete
	endedAt    int  // timestamp of a complete load
	skips      bool // pages are requested by $skip
}

// appendFields appends the fields of an offset in their stored order, with pointers both to read and to write them. The
// names are a storage format: they never change, even if they differ from the variables' names.
func (p *Position) appendFields(fields []OffsetField, state *encodedState) []OffsetField {
	fields = append(fields,
		Text("url", &p.url), OffsetField{Name: "seen", Number: &p.rowsRead},
		OffsetField{Name: "count", Number: &p.totalCount}, Number("base", &state.keysetRows),
		Number("page", &p.pageRows), Flag("done", &p.isDone), Text("complete", &p.verdict),
		Number("again", &p.undecoded.count), Text("faults", &p.undecoded.hashes),
		Number("passed", &p.pager.skipped), Flag("skipping", &state.skips), Flag("laps", &p.pager.overlaps),
		Text("check", &p.probe.kind), Text("next", &p.probe.fallbackLink), Text("prior", &p.probe.key),
		Text("dropped", &p.probe.dropped), Text("message", &p.probe.message), Number("unfiltered", &p.probe.count),
		Text("digest", &p.probe.digest), Flag("expanded", &p.probe.expanded), Flag("closing", &p.probe.closing),
		Number("snapshot", &p.snapshot.number), Number("owed", &p.snapshot.endMarkerPending),
		Number("began", &state.startedAt), Number("at", &state.endedAt))
	fields = p.seen.appendFields(p.known.appendFields(fields))
	return p.cursor.appendFields(p.previous.appendFields(p.checks.appendFields(fields)))
}

func (k *known) appendFields(fields []OffsetField) []OffsetField {
	return append(fields,
		Flag("unordered", &k.refusesOrderBy), Flag("uncounted", &k.refusesCount), Flag("keyless", &k.refusesKeysAlone),
		Flag("sorts", &k.sortsByKey), Flag("links", &k.ignoresKeyFilter), Flag("proven", &k.countsWholeSet),
		Flag("overcounts", &k.overcounts), Flag("answered", &k.hasAnswered), Text("applied", &k.appliedConditions))
}

func (s *seen) appendFields(fields []OffsetField) []OffsetField {
	return append(fields,
		Number("rowsbefore", &s.rowsBefore), Number("rowsafter", &s.rowsAfter), Number("recounted", &s.counted),
		Number("ranked", &s.ranked), Flag("steady", &s.steady), Number("descends", &s.descends),
		Flag("shifts", &s.shifted), Flag("same", &s.duplicateKeys), Flag("numbered", &s.numberedKeys),
		Flag("assumed", &s.assumedOrder), Flag("single", &s.equalKeys),
		Flag("deleted", &s.deleted), Flag("gapped", &s.countGap),
		Flag("bylinks", &s.used[byLink]), Flag("bykeys", &s.used[byKey]), Flag("byskip", &s.used[bySkip]),
		Flag("witnessed", &s.witnessed), Flag("undecodable", &s.undecodable), Flag("further", &s.unpromised),
		Flag("ofpage", &s.mayCountPage), Flag("started", &s.firstSinceStart))
}

func (c *checkState) appendFields(fields []OffsetField) []OffsetField {
	return append(fields,
		Flag("sorted", &c.sorted), Flag("folded", &c.folded), Text("key", &c.key), Text("run", &c.lastHashes),
		Text("sample", &c.sample), Number("twice", &c.repeatCount), Text("repeated", &c.repeatDigest),
		Number("repeatpages", &c.repeatedPages), Loop("followed", &c.links), Loop("pages", &c.pages),
		Text("contents", &c.contents), Text("keydigest", &c.keys), Number("empty", &c.emptyPages),
		Number("shown", &c.unreturned))
}

func (p *previousAttempts) appendFields(fields []OffsetField) []OffsetField {
	return append(fields,
		Number("pass", &p.count), Text("witness", &p.witness), Text("witnesshash", &p.witnessHash),
		Number("gap", &p.gap), Text("before", &p.repeatDigest), Text("verdict", &p.verdict))
}

func (c *cursorState) appendFields(fields []OffsetField) []OffsetField {
	return append(fields,
		Text("from", &c.from), Text("high", &c.high), Text("low", &c.base), Flag("lowless", &c.baseUnknown),
		Flag("cut", &c.truncated), Text("known", &c.previousRows), Text("fresh", &c.currentRows))
}

// Fields returns the position as an offset.
func (p *Position) Fields() []wit.OffsetEntry {
	state := encodedState{startedAt: p.timestamp, skips: p.pager.kind == bySkip}
	if p.isDone {
		state.startedAt = 0
		state.endedAt = p.timestamp
	}
	if p.usesKeyset() {
		state.keysetRows = p.rowsRead
	}
	var room [96]OffsetField // on the stack
	return WriteFields(p.appendFields(room[:0], &state))
}

// Read reads a stored offset, or returns nil if it is empty. An offset of another connector has only some of the
// fields, and others; one of this connector has the number of rows.
func Read(offset []wit.OffsetEntry) (*Position, error) {
	if len(offset) == 0 {
		return nil, nil
	}
	position := newPosition(known{})
	state := &encodedState{}
	var room [96]OffsetField // on the stack
	_, isOwn := wit.Lookup(offset, "seen")
	if err := ReadFields(offset, position.appendFields(room[:0], state), isOwn); err != nil {
		return nil, err
	}
	if position.url == "" {
		return nil, &wit.Error{Kind: wit.ErrorIncompatible,
			Message: "offset: expected field url with a path, found none"}
	}
	position.timestamp = max(state.startedAt, state.endedAt)
	switch {
	case position.isDone: // the next load starts with its first page
	case state.keysetRows > 0 && state.keysetRows == position.rowsRead && position.checks.key != "":
		position.pager.kind = byKey
	case state.skips, position.pager.overlaps:
		position.pager.kind = bySkip
	case position.rowsRead > 0, position.checks.links.steps > 0:
		position.pager.kind = byLink
	}
	kind := position.probe.kind
	if kind != "" && kind != probeRowCount && kind != probeHighestCursor && !slices.Contains(keyProbes, kind) {
		return nil, &wit.Error{Kind: wit.ErrorIncompatible, Message: "offset: found the probe " + kind +
			" in field check, which this version does not know: use the version that wrote it, or reset the " +
			"connector's offsets"}
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
func (p *Position) Snapshot() (snapshot int, hasRows bool) {
	return p.snapshot.number, p.rowsSeen() > 0
}

// EndMarkerPending returns the number of a snapshot whose end no row has marked yet, or zero.
func (p *Position) EndMarkerPending() int { return p.snapshot.endMarkerPending }

// SetEndMarkerPending stores the number of a snapshot whose end no row has marked yet; zero means that it is marked.
func (p *Position) SetEndMarkerPending(snapshot int) { p.snapshot.endMarkerPending = snapshot }

// Done reports whether and when the load was completed.
func (p *Position) Done() (isDone bool, doneAt int64) {
	return p.isDone, int64(p.timestamp)
}

// Answered reports whether the service has answered a request of this load, or of an earlier one.
func (p *Position) Answered() bool {
	return p.pager.kind != firstPage || p.snapshot.number > 0 || p.known.hasAnswered
}

// SetStarted records that the connector has started: an unproven end is reported, even if the previous one was.
func (p *Position) SetStarted() { p.seen.firstSinceStart = true }

// SetAnswered records that the service has answered the requests of an earlier load.
func (p *Position) SetAnswered() { p.known.hasAnswered = true }

// followsEmptyPage reports whether the page is the next link of a keyset page without rows.
func (p *Position) followsEmptyPage() bool { return p.usesKeyset() && p.checks.emptyPages > 0 }
