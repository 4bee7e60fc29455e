package load

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
	// walk is how the page was come by: byKey, byLinks, bySkip; nil: it is the first one.
	walk walk
	// ask is a question that goes before the page.
	ask *question
	// seen is the number of rows in the pages before. count is the number that the service said there are, of the whole
	// set and on its first page; -1: it didn't say.
	seen, count int
	// unread is the number of rows after the last one that could be read, which come again with the page; faults are
	// their marks, so that they are no dead letters twice.
	unread int
	faults string
	// reload is the number by which the rows of a load that was begun again are marked (P8), unmarked that of such a
	// load whose end no row has said; 0: none.
	reload, unmarked int
	// facts are what is known of the service, and of this load.
	facts Facts
	// when is the time at which the load was begun, of a complete one that of its last page, in milliseconds since
	// 1970.
	when int
	// memory is what the auditors remember, earlier what readings before left, cursor what loads by a cursor remember.
	memory  *memory
	earlier *earlier
	cursor  *cursorPosition
}

// walk is how the next page is asked for.
type walk interface{ counting() bool }

// byKey asks for the rows after the last key.
type byKey struct {
	// passed is the number of rows after the key that the page leaves out by $skip, since none of them could be read.
	passed int
	// unannounced: neither a link nor a count says that there are such rows.
	unannounced bool
}

// byLinks follows the service's next links.
type byLinks struct {
	// counts: the last link counts rows, or nothing shows that it doesn't.
	counts bool
}

// bySkip asks for the rows after so many.
type bySkip struct {
	// overlaps: the page begins with the last row that came, which shows that $skip is heeded and the order stays.
	overlaps bool
	// unannounced: neither a link nor a count says that there are such rows.
	unannounced bool
}

func (byKey) counting() bool     { return false }
func (w byLinks) counting() bool { return w.counts }
func (bySkip) counting() bool    { return true }

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
type memory struct {
	// sorted, folded: all rows so far came in the order of their keys, texts by bytes or without regard to case. key is
	// the last key then, as a key predicate.
	sorted, folded bool
	key            string
	// last has the marks of the last rows that came by counting: where the next page begins with them, rows were
	// inserted before.
	last string
	// sample are marks of rows that came; again is how many came on another page too, againKeys a digest of their keys.
	sample    string
	again     int
	againKeys string
	// followed are the links that were followed, pages what pages held; empty is how many of them had no row, one after
	// another.
	followed, pages Trail
	empty           int
}

// earlier is what readings of the set before this one left, of this load and of those before.
type earlier struct {
	// readings counts how often this walk was begun again; least is the number of rows that one brought, some of them
	// from pages that nothing had announced.
	readings, least int
	// repeated is a digest of the keys that came on several pages of the reading before: where they do so again, keys
	// are not unique. fell is the mark of the first key that came below those of a page before: where it does so again,
	// and came nowhere else, the service's order has it so.
	repeated, fell string
}

// ascending reports whether all rows so far came in the order of their keys.
func (m *memory) ascending() bool { return m.sorted || m.folded }

func newPosition(known Facts) *Position {
	return &Position{count: -1, facts: known, ask: &question{}, memory: &memory{}, earlier: &earlier{},
		cursor: &cursorPosition{}}
}

// stored is a position in the form in which offsets have it.
type stored struct {
	base, passed, claimed           int
	began, at                       int
	overlaps, unannounced, skipping bool
	final, run                      string
}

func (p *Position) items(s *stored) []Item {
	m, e, c := p.memory, p.earlier, p.cursor
	return []Item{
		{Name: "url", Text: &p.url}, {Name: "seen", Number: &p.seen}, {Name: "count", Number: &p.count},
		{Name: "base", Number: &s.base, Least: 1},
		{Name: "unordered", Facts: &p.facts, Fact: unordered}, {Name: "uncounted", Facts: &p.facts, Fact: uncounted},
		{Name: "links", Facts: &p.facts, Fact: ignoresKeys}, {Name: "sorts", Facts: &p.facts, Fact: keysHold},
		{Name: "sorted", Flag: &m.sorted}, {Name: "folded", Flag: &m.folded},
		{Name: "shifts", Facts: &p.facts, Fact: mayShift}, {Name: "again", Number: &p.unread, Least: 1},
		{Name: "faults", Text: &p.faults}, {Name: "passed", Number: &s.passed, Least: 1},
		{Name: "warned", Facts: &p.facts, Fact: warned}, {Name: "done", Facts: &p.facts, Fact: done},
		{Name: "key", Text: &m.key}, {Name: "next", Text: &p.ask.link}, {Name: "prior", Text: &p.ask.prior},
		{Name: "check", Text: &p.ask.kind}, {Name: "skipping", Flag: &s.skipping},
		{Name: "laps", Flag: &s.overlaps}, {Name: "beyond", Flag: &s.unannounced},
		{Name: "further", Facts: &p.facts, Fact: unannounced}, {Name: "same", Facts: &p.facts, Fact: twins},
		{Name: "least", Number: &e.least, Least: 1},
		{Name: "tail", Text: &s.final}, {Name: "run", Text: &s.run}, {Name: "sample", Text: &m.sample},
		{Name: "twice", Number: &m.again, Least: 1}, {Name: "repeated", Text: &m.againKeys},
		{Name: "before", Text: &e.repeated},
		{Name: "fell", Text: &e.fell}, {Name: "followed", Trail: &m.followed}, {Name: "pages", Trail: &m.pages},
		{Name: "empty", Number: &m.empty, Least: 1}, {Name: "pass", Number: &e.readings, Least: 1},
		{Name: "claimed", Number: &s.claimed, Least: 1}, {Name: "proven", Facts: &p.facts, Fact: countsAll},
		{Name: "snapshot", Number: &p.reload, Least: 1}, {Name: "owed", Number: &p.unmarked, Least: 1},
		{Name: "from", Text: &c.from}, {Name: "high", Text: &c.high}, {Name: "low", Text: &c.base},
		{Name: "lowless", Flag: &c.lowless}, {Name: "cut", Flag: &c.cut},
		{Name: "known", Text: &c.known}, {Name: "fresh", Text: &c.fresh},
		{Name: "began", Number: &s.began, Least: 1}, {Name: "at", Number: &s.at, Least: 1},
	}
}

// Fields writes a position as fields of an offset.
func (p *Position) Fields() []wit.OffsetEntry {
	s := stored{began: p.when}
	if p.facts.has(done) {
		s.began, s.at = 0, p.when
	} else if p.facts.has(claims) {
		s.claimed = p.seen
	}
	switch w := p.walk.(type) {
	case byKey:
		s.base, s.passed, s.unannounced = p.seen, w.passed, w.unannounced
	case bySkip:
		s.overlaps, s.unannounced = w.overlaps, w.unannounced
		s.skipping = !w.overlaps && !w.unannounced
	}
	if n := len(p.memory.last); n > 0 { // other versions look for the last mark apart
		s.run, s.final = p.memory.last[:n-hashSize], p.memory.last[n-hashSize:]
	}
	return Write(p.items(&s))
}

// Read reads a stored offset; nil if it is empty. Fields that aren't the plugin's are the host's. An offset that
// another version stored amid a load goes on from its page: what that version was about to ask is left out, or asked
// again.
func Read(offset []wit.OffsetEntry) (*Position, error) {
	if len(offset) == 0 {
		return nil, nil
	}
	p, s := newPosition(0), &stored{}
	if err := ReadItems(offset, p.items(s)); err != nil {
		return nil, err
	}
	if p.url == "" {
		return nil, &wit.Error{Kind: wit.ErrorIncompatible,
			Message: "offset: expected field url with a path, found none"}
	}
	p.memory.last, p.when = s.run+s.final, max(s.began, s.at)
	p.facts.set(claims, s.claimed > 0)
	switch {
	case p.facts.has(done):
	case s.base > 0 && s.base == p.seen && p.memory.key != "":
		p.walk = byKey{s.passed, s.unannounced}
	case s.skipping || s.overlaps || s.unannounced:
		p.walk = bySkip{s.overlaps, s.unannounced}
	case p.seen > 0 || p.memory.followed.steps > 0:
		p.walk = byLinks{p.facts.has(mayShift)}
	}
	switch p.ask.kind {
	case askKeys, askCount, askRows, askHighest, "":
	case "order": // by which another version found out the same, without the first key
		p.ask = &question{kind: askKeys, link: p.ask.link}
	default:
		p.ask = &question{}
	}
	return p, nil
}

// URL is the page's path and query.
func (p *Position) URL() string { return p.url }

// At is the position with the page at another path and query.
func (p *Position) At(url string) *Position {
	moved := *p
	moved.url = url
	return &moved
}

// Reload is the number by which the load's rows are marked, 0: they are not; begun: some of them came on a page before.
func (p *Position) Reload() (snapshot int, begun bool) { return p.reload, p.seen+p.unread > 0 }

// Unmarked is the number of a reload before whose end no row has said yet, 0: none.
func (p *Position) Unmarked() int { return p.unmarked }

// SetUnmarked makes it another one.
func (p *Position) SetUnmarked(snapshot int) { p.unmarked = snapshot }

// Done reports whether the load is complete, and since when.
func (p *Position) Done() (is bool, at int64) { return p.facts.has(done), int64(p.when) }

// isUnannounced reports whether neither a link nor a count says that the page has rows.
func (p *Position) isUnannounced() bool {
	switch w := p.walk.(type) {
	case byKey:
		return w.unannounced
	case bySkip:
		return w.unannounced
	}
	return false
}

// isBehindEmpty reports whether the page is behind one by key that had no row, by the service's link.
func (p *Position) isBehindEmpty() bool {
	w, keyed := p.walk.(byKey)
	return keyed && !w.unannounced && p.memory.empty > 0
}

// cursorPosition is the part of a position that is about the cursor.
type cursorPosition struct {
	// from is the least value that the load asks for, "" for all rows. high is the highest one that came. base is the
	// highest one that there was when the load began, as far as is known: what changed since then has no lower one.
	from, high, base string
	// lowless: that is not known, and rows have been read: the next load asks for all rows.
	lowless bool
	// cut: marks were left out since the offset had no room for them, and that was said, by this load or one before.
	cut bool
	// known are the rows that loads before ended with, fresh those of this load that the next one meets again.
	known, fresh string
}
