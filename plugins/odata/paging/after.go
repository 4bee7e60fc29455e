package paging

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

const (
	// maxPasses is how many times a set is read from its start before a load that does not reach the service's count
	// fails.
	maxPasses = 3
	// maxEmpty is how many pages without a row may follow one another.
	maxEmpty = 1000
	// maxProbes is how many pages that are asked for by key the question for the reverse order goes before, where
	// there are no counts.
	maxProbes = 3
	// maxBeyond is how many rows may come that the service didn't count, of large sets three times the count.
	maxBeyond = 10_000
)

// After is the position behind the page.
func (pg *Page) After() (*Position, error) {
	next, err := pg.after()
	if err == nil {
		pg.note(next)
	}
	return next, err
}

func (pg *Page) after() (*Position, error) {
	at, read := &pg.At, &pg.Out.Page
	next := *at
	next.refused, next.without, next.tries = "", false, 0
	switch {
	case pg.cursor.unasked != "":
		setting := "sap.odata#" + pg.Number + ".cursor.property"
		return nil, &wit.Fault{Kind: wit.FaultData, Setting: &setting, Message: pg.What() + ": a row came whose " +
			pg.Cursor.Property.Name + " is " + pg.cursor.unasked + ", and rows from " + at.cursor.from +
			" on were asked for: the service takes $filter and does not heed it, or its next links don't"}
	case at.check != "":
		return pg.answered(&next)
	case pg.deaf != "" && at.beyond:
		next.further = at.further || pg.handed > 0
		return pg.otherwise(&next)
	case pg.deaf != "" && at.laps:
		return pg.anew(&next, pg.deaf)
	case pg.deaf != "":
		return pg.distrust(&next, pg.deaf)
	case pg.handed == 0 && pg.fewer():
		next.check, next.level = checkRows, at.base+int(read.Count)
		return &next, nil
	}
	next.link, next.checked, next.sound, next.laps, next.tail, next.beyond = "", false, false, false, "", false
	next.again, next.faults, next.passed, next.run = 0, "", 0, ""
	next.seen += at.passed + int(read.Rows) - pg.repeated()
	if at.seen == 0 && at.count < 0 && pg.Count && read.Count >= 0 {
		pg.count(&next)
	}
	nothingReadable := pg.content.rows == 0 && pg.content.faulty > 0
	if at.beyond && (nothingReadable || !at.keyed() && pg.handed > 0) && pg.before(next.pages) {
		next.seen, next.again, next.faults, next.passed = at.seen, at.again, at.faults, at.passed
		return pg.otherwise(&next) // it doesn't heed $skip
	}
	if err := pg.progress(&next); err != nil {
		return nil, err
	}
	next.further = at.further || at.beyond && next.seen > at.seen+at.again
	pg.ordered(&next)
	pg.remember(&next)
	if read.Next.Href != "" {
		target, err := pg.Resolve(read.Next)
		if err != nil {
			return nil, err
		}
		return pg.late(pg.follow(&next, target))
	}
	return pg.late(pg.atEnd(&next))
}

// count takes the first page's count, if it is one of the set's rows. Some services give the number of the page's rows,
// or 0: that is below what came, or no more than that although there is a link to more. Where it is as many as came,
// and nothing has shown yet that the service counts more than it gives, it is asked (P4).
func (pg *Page) count(next *Position) {
	read := &pg.Out.Page
	switch rows := int64(read.Rows); {
	case read.Count < rows:
		sdk.Log(wit.LevelWarn, pg.What()+": the service counts "+strconv.FormatInt(read.Count,
			10)+" rows, and its first page has "+
			strconv.FormatInt(rows, 10)+": its count is not gone by")
		next.warned = true
	case read.Count == rows && read.Next.Href != "":
	case read.Count == rows && rows > 0 && !next.proven:
		next.claimed = int(read.Count)
	default:
		next.count = int(read.Count)
	}
}

// late asks before the next page what is to be asked before this one, whose count came behind rows that were handed on.
func (pg *Page) late(next *Position, err error) (*Position, error) {
	if err == nil && pg.fewer() && next.keyed() && next.check == "" {
		next.check, next.level, next.sound = checkRows, pg.At.base+int(pg.Out.Page.Count), false
		next.floor, next.floorSeen = pg.At.floor, pg.At.floorSeen
	}
	return next, err
}

// repeated is how many of the page's rows came before.
func (pg *Page) repeated() int {
	if pg.At.twins && !pg.At.laps {
		return 0
	}
	if pg.At.laps && pg.Out.Page.Rows > 0 {
		return max(1, pg.content.repeated())
	}
	return pg.content.repeated()
}

// progress fails a load that goes in a circle, and warns of one that brings more rows than there are.
func (pg *Page) progress(next *Position) error {
	if pg.At.keyed() {
		next.mixed = next.mixed || pg.Out.Page.Rows > 0 // behind the key, and in order: a page like that is no other's
	} else if content, some := pg.content.hash(); some && next.pages.step(content) {
		return pg.circle(pg.At.url + " brings the rows of a page that came before")
	}
	if next.empty++; pg.Out.Page.Rows > 0 {
		next.empty = 0
	}
	if next.empty > maxEmpty {
		return pg.circle(strconv.Itoa(maxEmpty) + " pages came one after another without a row, the last one " +
			pg.At.url)
	}
	if next.count >= 0 && next.seen-next.count > max(maxBeyond, 3*next.count) && !pg.At.keyed() {
		return pg.circle(strconv.Itoa(next.seen) + " rows came of the " + strconv.Itoa(next.count) +
			" that it counted, up to " + pg.At.url + "; if it counts up to a limit only, sap.odata#" + pg.Number +
			".count = none does without counts")
	}
	if next.count >= 0 && next.seen > next.count && !next.warned {
		next.warned = true
		sdk.Log(wit.LevelWarn, pg.What()+": more rows come than the "+strconv.Itoa(next.count)+
			" that the service counted: rows were inserted meanwhile or come twice, or it counts up to a limit only")
	}
	return nil
}

func (pg *Page) circle(why string) error {
	return &wit.Fault{Kind: wit.FaultData, Message: pg.What() + ": the service's pages go in a circle: " + why}
}

// ordered notes whether all rows so far came in the order of their keys, and the last key.
func (pg *Page) ordered(next *Position) {
	rows := pg.order.rows
	if rows == 0 && pg.Out.Page.Rows == 0 {
		return // nothing came that could tell
	}
	next.sorted, next.folded, next.floor, next.floorSeen = false, false, "", 0
	if pg.At.keyed() {
		next.floor, next.floorSeen = pg.At.key, pg.At.base
	}
	texts := []string(nil)
	if pg.order.ascends() && (rows > 1 || pg.At.seen > 0 || next.count >= 0 || pg.Out.Page.Next.Href == "") &&
		(pg.sorts(next) || pg.At.ascending() || next.seen >= enoughToSort) {
		texts = pg.keyTexts(pg.last)
	}
	if texts == nil {
		next.key = ""
		return
	}
	next.sorted, next.folded, next.key = pg.order.bytes, pg.order.folds, pg.packKey(texts)
}

// follow goes on with a next link, or by key in its place where the link counts rows or nothing shows that it doesn't:
// rows deleted or inserted before it would shift what it leads to, and hide others (P3).
func (pg *Page) follow(next *Position, link string) (*Position, error) {
	f := pg.Set
	if link == pg.At.url {
		return nil, pg.circle("the next link of " + link + " leads to itself")
	}
	pages := 1
	if !pg.At.keyed() {
		pages = max(1, next.followed.steps)
	}
	to := leads(link, pg.At.url, pg.plainTexts(pg.last), pages, next.seen-next.base)
	if f.Paging != "links" && (f.Paging == "keys" || to != behindKey) && pg.byKey(next) {
		next.link = link
		return next, nil
	}
	if err := pg.take(next, link); err != nil {
		return nil, err
	}
	pg.counts(next, to != behindKey)
	return next, nil
}

// counts notes whether the page is asked for by counting, as far as is known.
func (pg *Page) counts(next *Position, by bool) {
	if next.shifts = next.shifts || by; next.shifts && len(pg.last) > 0 {
		pg.endOn(next)
	}
}

// endOn notes the last rows that came, by which the next page is known to begin with them.
func (pg *Page) endOn(next *Position) {
	next.tail = short(hashOf(pg.last))
	if next.seen < enoughToSort || !pg.goesByKey(next) {
		next.run = packSample(pg.recent[:max(0, len(pg.recent)-1)])
	}
}

// take makes a link of the service the next page. One that was followed before leads in a circle.
func (pg *Page) take(next *Position, link string) error {
	if next.followed.steps == 0 {
		next.followed.step(hashOf(pg.At.url))
	}
	if next.followed.step(hashOf(link)) {
		return pg.circle("the link " + link + " was followed before")
	}
	next.url = link
	return nil
}

// byKey makes next the page behind the last row that could be read, where the rows come in the order of their keys;
// those behind it come again. False where it can't be: a service that doesn't heed $orderby. Where the service gives no
// counts, which would tell, it is asked for the reverse order first: one that doesn't heed $orderby doesn't bring its
// last row first.
func (pg *Page) byKey(next *Position) bool {
	if !pg.goesByKey(next) || next.count < 0 && !next.sorted || pg.unread() {
		return false
	}
	texts := pg.keyTexts(pg.last)
	if texts == nil {
		return false
	}
	url := pg.url(next, behind(pg.keyLiterals(texts)), 0)
	if url == pg.At.url {
		return false
	}
	pg.repeatFaults(next)
	next.url, next.base, next.key = url, next.seen, pg.packKey(texts)
	next.sound = !pg.At.keyed() && !pg.At.mixed || pg.At.keyed() && next.count >= 0 && pg.Out.Page.Count >= 0
	if next.count < 0 && next.probed < maxProbes {
		next.check = checkOrder
	}
	if next.seen < enoughToSort {
		pg.endOn(next)
	}
	return true
}

// atEnd looks whether a page without next link was the last one: not where the service has more rows than came (P4).
func (pg *Page) atEnd(next *Position) (*Position, error) {
	all, short := int64(pg.Out.Page.Rows)+int64(pg.At.passed), next.count > next.seen
	// more: by its own count the page isn't all that is behind the key.
	more := pg.At.keyed() && pg.Out.Page.Count > all
	rows := int(pg.Out.Page.Rows) - pg.known // the others came before
	if pg.At.laps && rows > 0 {
		rows--
	}
	switch {
	case rows > 0 && more && pg.byKey(next):
		return next, nil
	case pg.unread() && (next.count < 0 || short || more) && !(pg.At.keyed() && pg.Out.Page.Count == all) &&
		(pg.Pageable && (rows > 0 || pg.known > 0) || rows > 0 && (short || more || next.further)):
		if err := pg.beyondFaults(next); err != nil {
			return nil, err
		}
		pg.claims(next)
		return next, nil
	case next.count < 0 && rows > 0 && pg.goBeyond(next):
		pg.claims(next)
		return next, nil
	case !short && next.count > next.seen-next.twice:
		return pg.anew(next, "and at least "+strconv.Itoa(next.twice)+" of them twice, so that others are missing: "+
			"the order of the service's rows changes between its pages")
	case !short && rows > 0 && pg.limited(next):
		return next, nil
	case !short:
		return pg.complete(next)
	case rows > 0 && !(pg.At.keyed() && pg.Out.Page.Count == all):
		return pg.missing(next)
	case next.shifts:
		return pg.anew(next, "rows that went may have hidden others, since pages were asked for by counting")
	case next.seen == 0:
		return nil, pg.short(next, "and "+pg.At.url+" brings none")
	}
	next.check = checkEnd
	return next, nil
}

// limited goes on behind a load that has reached its count where that may be the most that the service counts, or where
// more rows came than it counts: it may have others still. What comes behind makes it a load without a count.
func (pg *Page) limited(next *Position) bool {
	seen := next.seen + next.again
	if next.count < 0 || next.count > seen || next.count == seen && !mayLimit(next.count) {
		return false
	}
	was := *next
	if next.count == seen {
		next.claimed, next.proven = seen, true
	}
	next.count = -1
	if pg.goBeyond(next) {
		return true
	}
	*next = was
	return false
}

// mayLimit tells whether a number is one that people choose as a limit: a multiple of 50, a power of two, or one less
// than such a power or than a multiple of 1,000. Assumption: services that count up to a limit only have such a one; no
// reference says so.
func mayLimit(n int) bool {
	return n >= 50 && (n%50 == 0 || n&(n-1) == 0 || n&(n+1) == 0 || (n+1)%1000 == 0)
}

// claims asks whether the first page's count is the set's: then the page behind need not be asked for, unless the count
// may be a limit.
func (pg *Page) claims(next *Position) {
	if pg.At.seen == 0 && next.claimed > 1 && !mayLimit(next.claimed) {
		next.check = checkCount
	}
}

// missing goes on behind a page without next link where the service has more rows than came: by key, else by number.
func (pg *Page) missing(next *Position) (*Position, error) {
	f := pg.Set
	switch {
	case f.Paging != "links" && pg.byKey(next):
	case !f.Pageable:
		return nil, pg.short(next, "and its metadata say that it can't be paged")
	case next.mixed:
		return pg.anew(next, "its last page has no link to the others")
	case next.unordered && len(pg.last) == 0:
		return nil, pg.short(next, "without a link to the others; without $orderby, which it refuses, and without "+
			"keys rows can't be asked for by number")
	default:
		if next.laps = next.unordered && f.Top != 1 && pg.lastAt > 0; next.laps {
			pg.repeatFaults(next)
		}
		pg.counts(next, true)
		next.url, next.base = f.url(next, "", next.skips()), 0
	}
	if f.Top > 0 {
		return next, nil // as asked for
	}
	sdk.Log(wit.LevelInfo, pg.What()+": "+strconv.Itoa(next.seen)+" of "+strconv.Itoa(next.count)+
		" rows came without a next link; going on with "+next.url)
	return next, nil
}

// goBeyond makes next the page behind the last row, where the service gives no count and no link: it may have more rows
// than it gives in one page (P4). It asks by key, else by number and then, except of pages of one row, from the last
// row on, which shows that $skip is heeded. A service that gives all its rows is asked once. False: it can't be asked.
func (pg *Page) goBeyond(next *Position) bool {
	f := pg.Set
	if f.Paging != "links" && pg.byKey(next) {
		if !next.further {
			next.check = "" // nothing says yet that there are more rows
		}
		next.tail, next.beyond = short(hashOf(pg.last)), true
		return true
	}
	if next.mixed || len(pg.last) == 0 || !f.Pageable {
		return false
	}
	pg.counts(next, true)
	laps := pg.lastAt > 0 // else it would be this page once more
	if laps {
		pg.repeatFaults(next)
	}
	pg.bySkip(next, laps)
	return true
}

// bySkip makes next the page behind the rows seen, by number; laps: from the last one of them on.
func (pg *Page) bySkip(next *Position, laps bool) {
	next.laps, next.shifts, next.beyond = laps, true, true
	next.url, next.base = pg.url(next, "", next.skips()), 0
}

// skips is how many rows a page by number leaves out.
func (p *Position) skips() int {
	if p.laps {
		return p.seen - 1
	}
	return p.seen
}

// unread tells whether none of the page's rows could be read, but for the one that came before.
func (pg *Page) unread() bool {
	return pg.content.rows == 0 || pg.content.rows == 1 && pg.At.laps
}

// repeatFaults has the rows behind the last one that could be read come again, and not be faults twice.
func (pg *Page) repeatFaults(next *Position) {
	next.again = int(pg.Out.Page.Rows) - 1 - int(pg.lastAt)
	next.seen -= next.again
	next.faults = packSample(pg.faulty[:min(len(pg.faulty), next.again, maxFaults)])
}

// beyondFaults goes on behind a page of which no row could be read, so that it has no key to go on from: by number,
// from the key before, if there is one. Without a count nothing says that there are more rows: a service that refuses
// $skip or doesn't heed it, which its bringing the same rows again shows, has no more then.
func (pg *Page) beyondFaults(next *Position) error {
	at := &pg.At
	if !pg.Pageable {
		return &wit.Fault{Kind: wit.FaultData, Message: pg.What() + ": none of the rows of " + at.url +
			" can be read, and its metadata say that others can't be asked for by number: expected a page with a row " +
			"that can be read, by a greater sap.odata#" + pg.Number + ".page.size"}
	}
	if !at.keyed() {
		pg.bySkip(next, false)
		next.beyond, next.faults = next.count < 0, packSample(pg.faulty)
		return nil
	}
	if content, some := pg.content.hash(); some && next.pages.step(content) {
		return pg.circle(at.url + " brings the rows of a page that came before")
	}
	next.beyond, next.faults, next.passed = next.count < 0, packSample(pg.faulty), at.passed+int(pg.Out.Page.Rows)
	next.seen, next.base, next.key, next.sorted, next.folded = at.seen, at.base, at.key, at.sorted, at.folded
	next.url = pg.url(next, behind(pg.keyLiterals(pg.unpackKey(at.key))), next.passed)
	return nil
}

// otherwise goes on where a page behind the service's last one can't be had: by number if it was asked for by key, else
// the load ends where the service said, unless rows came behind that, or they are as many as were asked for.
func (pg *Page) otherwise(next *Position) (*Position, error) {
	next.check, next.refused = "", ""
	answered := next.seen + next.again // the rows that came, of the set or, by number from a key, behind that
	if next.passed > 0 {
		answered = next.passed
	}
	next.seen, next.passed = next.seen+next.passed, 0
	switch {
	case pg.At.keyed() && !pg.At.mixed && pg.Pageable && next.tail != "":
		next.links = true
		pg.bySkip(next, next.seen > 1)
		return next, nil
	case next.further || next.least > next.seen:
		next.links = true
		return pg.anew(next, "the last ones behind a page without a next link, and the page behind them can't be had")
	case answered == pg.Top && next.claimed == answered && !pg.At.verified:
		same := pg.At
		same.check, same.refused, same.verified = checkCount, "", true
		return &same, nil
	case answered == pg.Top:
		// As many as were asked for: that the service has no more is chance, if it is so.
		return nil, pg.short(next, "as many as were asked for, and it doesn't heed what asks for those behind them, "+
			"or refuses it; paging = auto leaves the cutting of pages to the service")
	}
	if next.claimed > 0 && next.claimed == next.seen+next.again {
		sdk.Log(wit.LevelInfo, pg.What()+": "+strconv.Itoa(next.seen)+" rows came, as many as the service counts; "+
			"whether it counts more than those of a page can't be found out, and it refuses or doesn't heed what asks "+
			"for rows behind these")
		return pg.complete(next)
	}
	counts := "gives no count and no next link"
	if next.warned {
		counts = "gives no next link, and its count is not that of all rows"
	}
	sdk.Log(wit.LevelWarn, pg.What()+": the service "+counts+", and refuses or doesn't heed what asks for rows behind "+
		"these: the "+strconv.Itoa(next.seen)+" that came are taken for all")
	return pg.complete(next)
}

// before tells whether the page's rows are those of a page before.
func (pg *Page) before(pages Trail) bool {
	content, some := pg.content.hash()
	return some && pages.step(content)
}

func (pg *Page) short(next *Position, why string) error {
	if next.count < 0 {
		counts := "gives no count"
		if next.claimed > 0 {
			counts = "counts the rows of a page only"
		}
		return &wit.Fault{Kind: wit.FaultData, Message: pg.What() + ": the service " + counts + ", " +
			strconv.Itoa(next.seen) + " rows came, " + why}
	}
	return &wit.Fault{Kind: wit.FaultData, Message: pg.What() + ": the service says that it has " +
		strconv.Itoa(next.count) + " rows, " +
		strconv.Itoa(next.seen) + " came, " + why}
}

// answered goes on by the answer to a question.
func (pg *Page) answered(next *Position) (*Position, error) {
	at, count := &pg.At, int(pg.Out.Page.Count)
	next.check = ""
	switch at.check {
	case checkRows:
		if most := at.seen - at.floorSeen; count < 0 || count > most {
			next.check = checkOrder // others came in between, or were never in the order of the keys
			return next, nil
		}
		next.checked = true
		sdk.Log(wit.LevelInfo, pg.What()+": "+strconv.Itoa(at.count-at.level)+
			" rows fewer are to come than the service counted: they were deleted meanwhile")
	case checkOrder:
		switch key := pg.unpackKey(at.key); {
		case slices.Equal(pg.probed, key):
		case pg.reverse.rows >= enoughToSort && pg.reverse.ascends() && pg.isBefore(pg.probed, key):
			sdk.Log(wit.LevelInfo, pg.What()+": the last row that came was deleted meanwhile, the others "+
				"come in the reverse order")
		case pg.reverse.rows <= 1, pg.reverse.ascends() && pg.isBefore(pg.probed, key):
			// Either the service doesn't sort, or the row was deleted: by number others might be missing then.
			next.links = at.links || at.pass > 0
			return pg.anew(next, "the row with the key "+at.key+" came, and is not there when the "+
				"reverse order is asked for")
		default:
			return pg.distrust(next, "the service doesn't heed $orderby: the last row of the reverse "+
				"order doesn't come first")
		}
		next.probed, next.checked = at.probed+1, true
	case checkWithout:
		next.refused, next.without = at.refused, true
	case checkCount:
		if count > int(pg.Out.Page.Rows) {
			next.proven = true
			return pg.complete(next)
		}
	case checkEnd:
		if count < 0 || count > at.seen-at.twice {
			// Without a level the counts of pages that are asked for by key were none of what is behind the key.
			next.links = next.links || at.mixed && (at.level == 0 || at.pass > 0)
			return pg.anew(next, "and it counts "+strconv.Itoa(count)+" now")
		}
		sdk.Log(wit.LevelInfo, pg.What()+": "+strconv.Itoa(at.seen)+" rows came of "+strconv.Itoa(at.count)+
			": the others were deleted meanwhile, the service counts "+strconv.Itoa(count)+" now")
		return pg.complete(next)
	}
	return next, nil
}

// enoughToSort is how many rows in order show that the service sorts: by chance one of 40,320 orders of eight rows is
// that one.
const enoughToSort = 8

// isBefore tells whether a key is below another, in either way to compare them.
func (pg *Page) isBefore(a, b []string) bool {
	plain, folded, known := pg.compareTexts(a, b)
	return known && (plain < 0 || folded < 0)
}

// distrust gives up asking by key: the service doesn't do what it says. From the last position that is sound the load
// goes on by the service's own links; where there is none, from its start.
func (pg *Page) distrust(next *Position, why string) (*Position, error) {
	at, f := pg.At, pg.Set
	*next = Position{url: next.url, cursor: at.cursor, seen: at.seen + at.passed, count: at.count,
		unordered: at.unordered, uncounted: at.uncounted, links: true, mixed: at.mixed, again: at.again,
		faults: at.faults, shifts: at.shifts, further: at.further, least: at.least, claimed: at.claimed,
		verified: at.verified, proven: at.proven, followed: at.followed, pages: at.pages, pass: at.pass,
		warned: at.warned, began: at.began, sample: at.sample, twice: at.twice, twins: at.twins, alike: at.alike,
		fell: at.fell}
	if at.seen >= enoughToSort { // what is not above these rows may have come
		next.sorted, next.folded, next.key, next.level = at.sorted, at.folded, at.key, at.level
	} else {
		next.tail, next.run = at.tail, at.run
	}
	switch {
	case at.sound && at.link != "":
		if err := pg.take(next, at.link); err != nil {
			return nil, err
		}
		// The link stood on the page before: it may count its rows, or all.
		next.seen, next.again, next.faults = at.seen+at.again, 0, ""
		to := leads(at.link, "", f.unpackKey(at.key), 1, next.seen, next.seen-at.floorSeen)
		next.shifts = next.shifts || to != behindKey
	case at.sound && !at.mixed && f.Pageable && !at.unordered:
		next.url, next.shifts = f.url(next, "", next.seen), true
	default:
		return pg.anew(next, why)
	}
	sdk.Log(wit.LevelWarn, pg.What()+": GET "+f.PageURL(&at)+": "+why+"; going on by its own links with "+next.url)
	return next, nil
}

// anew begins the load from its start, since what came isn't all; it fails a load that came to this before.
func (pg *Page) anew(next *Position, why string) (*Position, error) {
	came := strconv.Itoa(next.seen) + " rows came"
	if next.count >= 0 {
		came += " of " + strconv.Itoa(next.count)
	}
	if next.pass+1 >= maxPasses {
		phantoms := "if the service counts rows that it doesn't give, sap.odata#" + pg.Number +
			".count = none takes what comes. "
		if next.count < 0 {
			phantoms = "else the service must give counts or next links, or heed $skip or $orderby and $filter. "
		}
		return nil, pg.short(next, why+"; the set was read "+strconv.Itoa(maxPasses)+
			" times. If its rows are changed all the time, read it when they "+
			"aren't; "+phantoms+"Reset the connector's offsets to begin anew")
	}
	first := pg.startOf(&pg.At, next.unordered, next.uncounted)
	first.links, first.pass, first.warned, first.began, first.least = next.links, next.pass+1, next.warned, next.began,
		next.least
	if first.fell = next.fell; next.further {
		first.least = max(first.least, next.seen)
	}
	sdk.Log(wit.LevelWarn, pg.What()+": "+came+", "+why+
		"; reading it anew from its start, rows that came are delivered again")
	return first, nil
}

// complete is the position behind a load of which all pages came, or its start where rows moved between them.
func (pg *Page) complete(next *Position) (*Position, error) {
	if next.twice == 0 || !next.shifts || next.twins || next.alike {
		return pg.done(next), nil
	}
	next.links = true
	return pg.anew(next, "and the keys of at least "+strconv.Itoa(next.twice)+" came on a page before, or may have: "+
		"rows that moved may have hidden others, since pages were asked for by counting")
}

// done is the position behind a complete load.
func (pg *Page) done(next *Position) *Position {
	f, seen := pg.Set, next.seen+next.again
	came := "nothing more: exec-period=-1"
	if f.Repeated {
		came = "the next one begins at its time"
	}
	if f.Period > 0 {
		came = "the next one begins in " + (time.Duration(f.Period) * time.Second).String()
	}
	if f.Tracked {
		came = "changes follow"
	}
	took := "?"
	if at := int(pg.Answer.At); next.began > 0 && at >= next.began {
		took = (time.Duration(at-next.began) * time.Millisecond).String()
	}
	if next.twice > 0 {
		sdk.Log(wit.LevelWarn, pg.What()+": at least "+strconv.Itoa(next.twice)+
			" rows came twice: where the order of the service's rows changes between its pages, others are missing")
	}
	sdk.Log(wit.LevelInfo, pg.What()+": extraction finished: "+strconv.Itoa(seen)+" rows in "+took+"; "+came)
	count := next.count
	if next.claimed > 0 && next.claimed == seen {
		count = max(count, next.claimed)
	}
	return &Position{url: pg.At.url, seen: seen, count: count, proven: next.proven, done: true,
		at: int(pg.Answer.At), fell: next.fell}
}

// Refused turns an answer that is no success into a fault, or into another way to ask for the same rows: services
// refuse $orderby, $inlinecount and filters by key (P3). 400 and 501 say so. Services of SAP also dump with 500 on
// options that they never implemented, but most 500 are of the moment: the same one must come twice, the request
// without $orderby be good, and the one with it fail once more.
func (pg *Page) Refused() (wit.Portion, error) {
	at := &pg.At
	failed := fault.Of(pg.What(), &pg.Answer, pg.Body)
	sure, perhaps := refusal(pg.Answer.Status, failed)
	answer := answerOf(pg.Answer.Status, failed)
	if sure {
		at.refused = "" // whatever came before, this says so
	}
	// Also where the answer comes of sorting all rows: whoever could repeat the request has done so.
	if status := pg.Answer.Status; (at.check == checkHigh || at.check == checkCount) && (sure || status == 404 ||
		status == 405 || status == 408 || status >= 500) {
		other, goes := *at, "going on without the highest value of the cursor"
		if other.check == checkCount {
			goes = "asking for the rows behind those that came"
		}
		other.check = ""
		return pg.instead(&other, failed, goes)
	}
	if at.beyond && at.check == "" && !(at.keyed() && at.further) {
		switch status := pg.Answer.Status; {
		case status == 500 && at.refused != answer:
			same := *at
			same.refused = answer
			return pg.instead(&same, failed, "asking again")
		case sure, status == 500, status == 404, status == 405:
			return pg.beyondRefused(failed)
		case status != 403 && status != 408 && status < 500, at.further, at.claimed == 0,
			at.claimed != at.seen+at.again:
		case at.proven: // by the service's count the load is complete
			return pg.beyondRefused(failed)
		case !at.verified:
			same := *at
			same.check, same.refused, same.verified = checkCount, "", true
			return pg.instead(&same, failed, "asking whether its count is that of all rows")
		}
	}
	optional := at.check != "" && at.check != checkEnd || at.keyed() || pg.first()
	switch {
	case !optional || !sure && !perhaps || at.check != checkWithout && at.refused != "" && at.refused != answer:
		if at.tries > 0 && failed.Code != nil {
			failed.Message += "; without $orderby it answers no better. If it doesn't know " + pg.countName() +
				", sap.odata#" + pg.Number + ".count = none leaves that out"
		}
		return wit.Portion{}, failed
	case at.check == checkWithout:
		return pg.instead(pg.all(), failed, "asking again with all options")
	case perhaps && at.refused == "":
		same := *at
		same.refused = answer
		return pg.instead(&same, failed, "asking again")
	case at.check != "" || at.keyed():
		next := *at
		other, err := pg.distrust(&next, failed.Message)
		if err != nil {
			return wit.Portion{}, err
		}
		return pg.instead(other, failed, "going on without what the service may not know")
	}
	other := pg.fewerOptions(at, pg.Body)
	switch {
	case other == nil:
		return pg.instead(pg.all(), failed, "it isn't the options, asking again with all of them")
	case perhaps && !at.without:
		same := *at
		same.check = checkWithout
		return pg.instead(&same, failed, "trying whether it answers without $orderby")
	}
	pg.keep(other)
	return pg.instead(other, failed, "going on without what the service may not know")
}

// beyondRefused goes on where the page behind the service's last one is refused.
func (pg *Page) beyondRefused(failed *wit.Fault) (wit.Portion, error) {
	next := pg.At
	other, err := pg.otherwise(&next)
	if err != nil {
		return wit.Portion{}, err
	}
	pg.note(other)
	portion, err := pg.instead(other, failed, "going on as the service doesn't say whether it has more rows")
	portion.More = !other.done
	return portion, err
}

// first tells whether the page is a load's first one, which can be asked for with fewer options.
func (pg *Page) first() bool {
	at := &pg.At
	return at.tries < maxTries && at.seen == 0 && at.url == pg.startOf(at, at.unordered, at.uncounted).url
}

// all is the first page with all options, where leaving them out was of no use: also after a restart.
func (pg *Page) all() *Position {
	p := pg.startOf(&pg.At, false, false)
	p.tries = maxTries
	pg.keep(p)
	return p
}

// keep takes over what is known of the load.
func (pg *Page) keep(first *Position) {
	at := &pg.At
	first.pass, first.links, first.warned, first.began = at.pass, at.links, at.warned, at.began
}

// maxTries is the [Position.tries] of a first page that was asked for without any of its options in vain.
const maxTries = 1

// instead goes on with another position after an answer that was no success, and after a while.
func (pg *Page) instead(other *Position, failed *wit.Fault, how string) (wit.Portion, error) {
	sdk.Log(wit.LevelWarn, "GET "+pg.PageURL(&pg.At)+": "+failed.Message+"; "+how+": "+pg.PageURL(other))
	fields := other.Fields()
	portion := wit.Portion{Next: &fields, More: true}
	if pg.Answer.Status == 500 {
		portion.WaitMs = 1000
	}
	return portion, nil
}

// answerOf is by which two answers are the same.
func answerOf(status uint16, f *wit.Fault) string {
	answer := strconv.Itoa(int(status))
	if f.Code != nil {
		answer += " " + *f.Code
	}
	return answer
}

// refusal tells whether an answer means that the service doesn't take an option, or perhaps does.
func refusal(status uint16, f *wit.Fault) (sure, perhaps bool) {
	switch status {
	case 400:
		return f.Kind != wit.FaultTransient, false
	case 501:
		return true, false
	case 500:
		return false, f.Code != nil
	}
	return false, false
}

// fewerOptions is the first page asked for with fewer options, nil if there is nothing left to leave out. The one that
// the error names goes first, else $orderby, then $inlinecount in its place, then both. A service that doesn't say that
// it doesn't know them loses $orderby only, and only where the count is watched then.
func (f *Set) fewerOptions(at *Position, body []byte) *Position {
	orders, counts := f.Ordered && !at.unordered, f.Count && f.Countable && !at.uncounted
	namesCount := bytes.Contains(bytes.ToLower(body), []byte(strings.TrimPrefix(f.countName(), "$")))
	switch {
	case at.refused != "" && orders && counts:
		return f.startOf(at, true, false)
	case at.refused != "":
		return nil
	case orders && counts && namesCount:
		return f.startOf(at, false, true)
	case orders && counts:
		return f.startOf(at, true, false)
	case counts && f.Ordered && !namesCount:
		// Without $orderby it wasn't accepted either.
		return f.startOf(at, false, true)
	case counts, orders:
		return f.startOf(at, true, true)
	}
	return nil
}

// countName is the name of the option that asks for the count.
func (f *Set) countName() string {
	name, _, _ := strings.Cut(f.CountOption, "=")
	return name
}
