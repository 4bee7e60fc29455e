package main

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

const (
	// mostPasses is how many times a set is read from its start before a load that does not reach the service's count fails.
	mostPasses = 3
	// mostEmpty is how many pages without a row may follow one another.
	mostEmpty = 1000
	// mostProbes is how many pages that are asked for by key the question for the reverse order goes before, where there are no counts.
	mostProbes = 3
	// mostBeyond is how many rows may come that the service didn't count, of large sets three times the count.
	mostBeyond = 10_000
)

// after is the place behind the page.
func (pg *page) after() (*place, error) {
	at, read := &pg.at, &pg.out.Page
	next := *at
	next.refused, next.without, next.tries = "", false, 0
	switch {
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
	next.seen += int(read.Rows) - pg.repeated()
	if at.seen == 0 && at.count < 0 && pg.feed.count && read.Count >= 0 {
		next.count = int(read.Count)
	}
	if at.beyond && !at.keyed() && pg.handed > 0 && pg.before(next.pages) {
		next.seen = at.seen
		return pg.otherwise(&next) // it doesn't heed $skip
	}
	if err := pg.progress(&next); err != nil {
		return nil, err
	}
	next.further = at.further || at.beyond && next.seen > at.seen
	pg.ordered(&next)
	if read.Next.Href != "" {
		target, err := pg.resolve(read.Next)
		if err != nil {
			return nil, err
		}
		return pg.late(pg.follow(&next, target))
	}
	return pg.late(pg.atEnd(&next))
}

// late asks before the next page what is to be asked before this one, whose count came behind rows that were handed on.
func (pg *page) late(next *place, err error) (*place, error) {
	if err == nil && pg.fewer() && next.keyed() && next.check == "" {
		next.check, next.level, next.sound = checkRows, pg.at.base+int(pg.out.Page.Count), false
		next.floor, next.floorSeen = pg.at.floor, pg.at.floorSeen
	}
	return next, err
}

// repeated is how many of the page's rows came before.
func (pg *page) repeated() int {
	if pg.at.laps && pg.out.Page.Rows > 0 {
		return max(1, pg.content.repeated())
	}
	return pg.content.repeated()
}

// progress fails a load that goes in a circle, and warns of one that brings more rows than there are.
func (pg *page) progress(next *place) error {
	if pg.at.keyed() {
		next.mixed = next.mixed || pg.out.Page.Rows > 0 // behind the key, and in order: a page like that is no other's
	} else if content, some := pg.content.hash(); some && next.pages.step(content) {
		return pg.circle(pg.at.url + " brings the rows of a page that came before")
	}
	if next.empty++; pg.out.Page.Rows > 0 {
		next.empty = 0
	}
	if next.empty > mostEmpty {
		return pg.circle(strconv.Itoa(mostEmpty) + " pages came one after another without a row, the last one " + pg.at.url)
	}
	if next.count >= 0 && next.seen-next.count > max(mostBeyond, 3*next.count) {
		return pg.circle(strconv.Itoa(next.seen) + " rows came of the " + strconv.Itoa(next.count) + " that it counted, up to " + pg.at.url)
	}
	if next.count >= 0 && next.seen > next.count && !next.warned {
		next.warned = true
		sdk.Log(wit.LevelWarn, pg.what()+": more rows come than the "+strconv.Itoa(next.count)+
			" that the service counted: rows were inserted meanwhile, or come twice")
	}
	return nil
}

func (pg *page) circle(why string) error {
	return &wit.Fault{Kind: wit.FaultData, Message: pg.what() + ": the service's pages go in a circle: " + why}
}

// ordered notes whether all rows so far came in the order of their keys, and the last key.
func (pg *page) ordered(next *place) {
	rows := pg.order.rows
	if rows == 0 && pg.out.Page.Rows == 0 {
		return // nothing came that could tell
	}
	next.sorted, next.folded, next.floor, next.floorSeen = false, false, "", 0
	if pg.at.keyed() {
		next.floor, next.floorSeen = pg.at.key, pg.at.base
	}
	texts := []string(nil)
	if pg.order.ascends() && (rows > 1 || pg.at.seen > 0 || next.count >= 0 || pg.out.Page.Next.Href == "") {
		texts = pg.feed.keyTexts(pg.last)
	}
	if texts == nil {
		next.key = ""
		return
	}
	next.sorted, next.folded, next.key = pg.order.bytes, pg.order.folds, pg.feed.packKey(texts)
}

// follow goes on with a next link, or by key in its place where the link counts rows: rows deleted or inserted before it would shift
// what it leads to, and hide others (P3).
func (pg *page) follow(next *place, link string) (*place, error) {
	f := pg.feed
	if link == pg.at.url {
		return nil, pg.circle("the next link of " + link + " leads to itself")
	}
	counts := positional(link, next.seen-next.base)
	if f.paging != "links" && (f.paging == "keys" || counts) && pg.byKey(next) {
		next.link = link
		return next, nil
	}
	if err := pg.take(next, link); err != nil {
		return nil, err
	}
	pg.counts(next, counts)
	return next, nil
}

// counts notes whether the page is asked for by counting.
func (pg *page) counts(next *place, by bool) {
	if next.shifts = next.shifts || by; next.shifts && len(pg.last) > 0 {
		next.tail = short(hashOf(pg.last))
	}
}

// take makes a link of the service the next page. One that was followed before leads in a circle.
func (pg *page) take(next *place, link string) error {
	if next.followed.steps == 0 {
		next.followed.step(hashOf(pg.at.url))
	}
	if next.followed.step(hashOf(link)) {
		return pg.circle("the link " + link + " was followed before")
	}
	next.url = link
	return nil
}

// positional tells whether a link says how many rows to skip: $skip, or a $skiptoken that is the number of rows read so far.
// Assumption: a token that happens to be both that number and a key does no harm, since going by key reads the same rows.
func positional(link string, seen int) bool {
	_, query, _ := strings.Cut(link, "?")
	for _, option := range strings.Split(query, "&") {
		name, text, _ := strings.Cut(option, "=")
		text = strings.Trim(uri.Unescape(text), "'")
		switch uri.Unescape(name) {
		case "$skip":
			return true
		case "$skiptoken":
			return text == strconv.Itoa(seen) || text == strconv.Itoa(seen+1)
		}
	}
	return false
}

// byKey makes next the page behind the last row, where the rows come in the order of their keys; false where it can't be: a last
// row that is a fault, a service that doesn't heed $orderby. Where the service gives no counts, which would tell, it is asked for
// the reverse order first: one that doesn't heed $orderby doesn't bring its last row first.
func (pg *page) byKey(next *place) bool {
	rows := pg.out.Page.Rows
	if !next.ascending() || next.count < 0 && !next.sorted || next.links || rows == 0 || pg.lastAt != rows-1 {
		return false
	}
	texts := pg.feed.keyTexts(pg.last)
	if texts == nil {
		return false
	}
	url := pg.feed.url(next, behind(pg.feed.keyLiterals(texts)), 0)
	if url == pg.at.url {
		return false
	}
	next.url, next.base, next.key = url, next.seen, pg.feed.packKey(texts)
	next.sound = !pg.at.keyed() && !pg.at.mixed || pg.at.keyed() && pg.out.Page.Count >= 0
	if next.count < 0 && next.probed < mostProbes {
		next.check = checkOrder
	}
	return true
}

// atEnd looks whether a page without next link was the last one: not where the service has more rows than came (P4).
func (pg *page) atEnd(next *place) (*place, error) {
	rows, short := pg.out.Page.Rows, next.count > next.seen
	if pg.at.laps && rows > 0 {
		rows-- // that came before
	}
	switch {
	case rows > 0 && pg.at.keyed() && pg.out.Page.Count > int64(rows) && pg.byKey(next):
		return next, nil // by its own count the page wasn't all that is behind the key
	case next.count < 0 && rows > 0 && pg.goBeyond(next):
		return next, nil
	case !short:
		return pg.done(next), nil
	case rows > 0 && !(pg.at.keyed() && pg.out.Page.Count == int64(rows)):
		return pg.missing(next)
	case next.shifts:
		return pg.anew(next, "rows that went may have hidden others, since pages were asked for by counting")
	case next.seen == 0:
		return nil, pg.short(next, "and "+pg.at.url+" brings none")
	}
	next.check = checkEnd
	return next, nil
}

// missing goes on behind a page without next link where the service has more rows than came: by key, else by number.
func (pg *page) missing(next *place) (*place, error) {
	f := pg.feed
	switch {
	case f.paging != "links" && pg.byKey(next):
	case !f.pageable:
		return nil, pg.short(next, "and its metadata say that it can't be paged")
	case next.mixed:
		return pg.anew(next, "its last page has no link to the others")
	case next.unordered && len(pg.last) == 0:
		return nil, pg.short(next, "without a link to the others; without $orderby, which it refuses, and without keys rows can't be asked for by number")
	default:
		next.laps = next.unordered
		skip := next.seen
		if next.laps {
			skip--
		}
		next.url, next.base = f.url(next, "", skip), 0
		pg.counts(next, true)
	}
	sdk.Log(wit.LevelInfo, pg.what()+": "+strconv.Itoa(next.seen)+" of "+strconv.Itoa(next.count)+" rows came without a next link; going on with "+next.url)
	return next, nil
}

// goBeyond makes next the page behind the last row, where the service gives no count and no link: it may have more rows than it gives
// in one page (P4). It asks by key, else by number and then, except of pages of one row, from the last row on, which shows that $skip is
// heeded. A service that gives all its rows is asked once. False: it can't be asked.
func (pg *page) goBeyond(next *place) bool {
	f := pg.feed
	if f.paging != "links" && pg.byKey(next) {
		if !next.further {
			next.check = "" // nothing says yet that there are more rows
		}
		next.tail, next.beyond = short(hashOf(pg.last)), true
		return true
	}
	if next.mixed || len(pg.last) == 0 || !f.pageable {
		return false
	}
	pg.counts(next, true)
	pg.bySkip(next, pg.at.laps || pg.out.Page.Rows > 1)
	return true
}

// bySkip makes next the page behind the rows seen, by number; laps: from the last one of them on.
func (pg *page) bySkip(next *place, laps bool) {
	skip := next.seen
	if laps {
		skip--
	}
	next.url, next.base, next.laps, next.shifts, next.beyond = pg.feed.url(next, "", skip), 0, laps, true, true
}

// otherwise goes on where a page behind the service's last one can't be had: by number if it was asked for by key, else the load
// ends where the service said, unless rows came behind that.
func (pg *page) otherwise(next *place) (*place, error) {
	next.check, next.refused = "", ""
	switch {
	case pg.at.keyed() && !pg.at.mixed && pg.feed.pageable && next.tail != "":
		next.links = true
		pg.bySkip(next, next.seen > 1)
		return next, nil
	case next.further || next.least > next.seen:
		next.links = true
		return pg.anew(next, "the last ones behind a page without a next link, and the page behind them can't be had")
	}
	return pg.done(next), nil
}

// before tells whether the page's rows are those of a page before.
func (pg *page) before(pages trail) bool {
	content, some := pg.content.hash()
	return some && pages.step(content)
}

func (pg *page) short(next *place, why string) error {
	if next.count < 0 {
		return &wit.Fault{Kind: wit.FaultData, Message: pg.what() + ": the service gives no count, " + strconv.Itoa(next.seen) + " rows came, " + why}
	}
	return &wit.Fault{Kind: wit.FaultData, Message: pg.what() + ": the service says that it has " + strconv.Itoa(next.count) + " rows, " +
		strconv.Itoa(next.seen) + " came, " + why}
}

// answered goes on by the answer to a question.
func (pg *page) answered(next *place) (*place, error) {
	at, count := &pg.at, int(pg.out.Page.Count)
	next.check = ""
	switch at.check {
	case checkRows:
		if most := at.seen - at.floorSeen; count < 0 || count > most {
			next.check = checkOrder // others came in between, or were never in the order of the keys
			return next, nil
		}
		next.checked = true
		sdk.Log(wit.LevelInfo, pg.what()+": "+strconv.Itoa(at.count-at.level)+" rows fewer are to come than the service counted: they were deleted meanwhile")
	case checkOrder:
		if !slices.Equal(pg.probed, pg.feed.unpackKey(at.key)) {
			return pg.distrust(next, "the service doesn't heed $orderby: the last row of the reverse order doesn't come first")
		}
		next.probed, next.checked = at.probed+1, true
	case checkWithout:
		next.refused, next.without = at.refused, true
	case checkEnd:
		if count < 0 || count > at.seen {
			// Without a level the counts of pages that are asked for by key were none of what is behind the key.
			next.links = next.links || at.mixed && (at.level == 0 || at.pass > 0)
			return pg.anew(next, "and it counts "+strconv.Itoa(count)+" now")
		}
		sdk.Log(wit.LevelInfo, pg.what()+": "+strconv.Itoa(at.seen)+" rows came of "+strconv.Itoa(at.count)+
			": the others were deleted meanwhile, the service counts "+strconv.Itoa(count)+" now")
		return pg.done(next), nil
	}
	return next, nil
}

// distrust gives up asking by key: the service doesn't do what it says. From the last place that is sound the load goes on by the
// service's own links; where there is none, from its start.
func (pg *page) distrust(next *place, why string) (*place, error) {
	at, f := pg.at, pg.feed
	*next = place{url: next.url, seen: at.seen, count: at.count, unordered: at.unordered, uncounted: at.uncounted, links: true, mixed: at.mixed,
		shifts: at.shifts, further: at.further, least: at.least,
		followed: at.followed, pages: at.pages, pass: at.pass, warned: at.warned, began: at.began}
	counts := positional(at.link, at.seen-at.base)
	switch {
	case at.sound && at.link != "":
		if err := pg.take(next, at.link); err != nil {
			return nil, err
		}
		next.shifts = next.shifts || counts
	case at.sound && !at.mixed && f.pageable && !at.unordered:
		next.url, next.shifts = f.url(next, "", next.seen), true
	default:
		return pg.anew(next, why)
	}
	sdk.Log(wit.LevelWarn, pg.what()+": GET "+f.target(&at)+": "+why+"; going on by its own links with "+next.url)
	return next, nil
}

// anew begins the load from its start, since what came isn't all; it fails a load that came to this before.
func (pg *page) anew(next *place, why string) (*place, error) {
	came := strconv.Itoa(next.seen) + " rows came"
	if next.count >= 0 {
		came += " of " + strconv.Itoa(next.count)
	}
	if next.pass+1 >= mostPasses {
		phantoms := "if the service counts rows that it doesn't give, sap.odata#" + pg.feed.number + ".count = none takes what comes. "
		if next.count < 0 {
			phantoms = "else the service must give counts or next links, or heed $skip or $orderby and $filter. "
		}
		return nil, pg.short(next, why+"; the set was read "+strconv.Itoa(mostPasses)+" times. If its rows are changed all the time, read it when they "+
			"aren't; "+phantoms+"Reset the connector's offsets to begin anew")
	}
	first := pg.feed.first(next.unordered, next.uncounted)
	first.links, first.pass, first.warned, first.began, first.least = next.links, next.pass+1, next.warned, next.began, next.least
	if next.further {
		first.least = max(first.least, next.seen)
	}
	sdk.Log(wit.LevelWarn, pg.what()+": "+came+", "+why+
		"; reading it anew from its start, rows that came are delivered again")
	return first, nil
}

// done is the place behind a complete load.
func (pg *page) done(next *place) *place {
	f := pg.feed
	came := "nothing more: exec-period=-1"
	if f.period > 0 {
		came = "the next one begins in " + (time.Duration(f.period) * time.Second).String()
	}
	took := "?"
	if at := int(pg.answer.At); next.began > 0 && at >= next.began {
		took = (time.Duration(at-next.began) * time.Millisecond).String()
	}
	sdk.Log(wit.LevelInfo, pg.what()+": extraction finished: "+strconv.Itoa(next.seen)+" rows in "+took+"; "+came)
	return &place{url: pg.at.url, seen: next.seen, count: next.count, done: true, at: int(pg.answer.At)}
}

// refused turns an answer that is no success into a fault, or into another way to ask for the same rows: services refuse
// $orderby, $inlinecount and filters by key (P3). 400 and 501 say so. Services of SAP also dump with 500 on options that they never
// implemented, but most 500 are of the moment: the same one must come twice, the request without $orderby be good, and the one with
// it fail once more.
func (pg *page) refused() (wit.Portion, error) {
	at := &pg.at
	failed := fault.Of(pg.what(), &pg.answer, pg.body)
	sure, perhaps := refusal(pg.answer.Status, failed)
	answer := answerOf(pg.answer.Status, failed)
	if sure {
		at.refused = "" // whatever came before, this says so
	}
	if at.beyond && at.check == "" && !(at.keyed() && at.further) {
		switch status := pg.answer.Status; {
		case status == 500 && at.refused != answer:
			same := *at
			same.refused = answer
			return pg.instead(&same, failed, "asking again")
		case sure, status == 500, status == 404, status == 405:
			return pg.beyondRefused(failed)
		}
	}
	optional := at.check != "" && at.check != checkEnd || at.keyed() || pg.first()
	switch {
	case !optional || !sure && !perhaps || at.check != checkWithout && at.refused != "" && at.refused != answer:
		if at.tries > 0 && failed.Code != nil {
			failed.Message += "; without $orderby it answers no better. If it doesn't know $inlinecount, sap.odata#" + pg.feed.number + ".count = none leaves that out"
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
	other := pg.feed.fewerOptions(at, pg.body)
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
func (pg *page) beyondRefused(failed *wit.Fault) (wit.Portion, error) {
	next := pg.at
	other, err := pg.otherwise(&next)
	if err != nil {
		return wit.Portion{}, err
	}
	portion, err := pg.instead(other, failed, "going on as the service doesn't say whether it has more rows")
	portion.More = !other.done
	return portion, err
}

// first tells whether the page is a load's first one, which can be asked for with fewer options.
func (pg *page) first() bool {
	at := &pg.at
	return at.tries < mostTries && at.seen == 0 && at.url == pg.feed.first(at.unordered, at.uncounted).url
}

// all is the first page with all options, where leaving them out was of no use: also after a restart.
func (pg *page) all() *place {
	p := pg.feed.first(false, false)
	p.tries = mostTries
	pg.keep(p)
	return p
}

// keep takes over what is known of the load.
func (pg *page) keep(first *place) {
	at := &pg.at
	first.pass, first.links, first.warned, first.began = at.pass, at.links, at.warned, at.began
}

// mostTries is the [place.tries] of a first page that was asked for without any of its options in vain.
const mostTries = 1

// instead goes on with another place after an answer that was no success, and after a while.
func (pg *page) instead(other *place, failed *wit.Fault, how string) (wit.Portion, error) {
	sdk.Log(wit.LevelWarn, "GET "+pg.feed.target(&pg.at)+": "+failed.Message+"; "+how+": "+pg.feed.target(other))
	fields := other.fields()
	portion := wit.Portion{Next: &fields, More: true}
	if pg.answer.Status == 500 {
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

// fewerOptions is the first page asked for with fewer options, nil if there is nothing left to leave out. The one that the error
// names goes first, else $orderby, then $inlinecount in its place, then both. A service that doesn't say that it doesn't know them
// loses $orderby only, and only where the count is watched then.
func (f *feed) fewerOptions(at *place, body []byte) *place {
	orders, counts := f.ordered && !at.unordered, f.count && f.countable && !at.uncounted
	namesCount := bytes.Contains(bytes.ToLower(body), []byte("inlinecount"))
	switch {
	case at.refused != "" && orders && counts:
		return f.first(true, false)
	case at.refused != "":
		return nil
	case orders && counts && namesCount:
		return f.first(false, true)
	case orders && counts:
		return f.first(true, false)
	case counts && f.ordered && !namesCount:
		// Without $orderby it wasn't accepted either.
		return f.first(false, true)
	case counts, orders:
		return f.first(true, true)
	}
	return nil
}
