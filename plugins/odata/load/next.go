package load

import (
	"strconv"
	"time"

	"github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

const (
	// maxReadings is how many times a set is read by one walk before a load that does not come to its end fails.
	maxReadings = 3
	// maxEmpty is how many pages without a row may follow one another.
	maxEmpty = 1000
)

// Answer is what a page said about itself at its end.
type Answer struct {
	// Rows on it, those included that could not be read. Count is the number that the service says there are, -1: it
	// doesn't say.
	Rows, Count int
	// Link is the path and query of the next link, "" for none.
	Link string
	// At is when the answer came, in milliseconds since 1970.
	At int64
}

// turn is one transition: from the position of a page, by what its auditors have found and by its answer, to the next
// one.
type turn struct {
	*Page
	Answer
	// next is the position that is made; memory is its own copy.
	next *Position
	// notes are for the log.
	notes []note
}

type note struct {
	level wit.Level
	text  string
}

// Next is the position after a page that was read to its end.
func (pg *Page) Next(a Answer) (*Position, error) {
	t := pg.turn(a)
	return t.end(t.page())
}

// turn begins a transition.
func (pg *Page) turn(a Answer) *turn {
	next, memory, earlier := *pg.at, *pg.at.memory, *pg.at.earlier
	next.memory, next.earlier = &memory, &earlier
	return &turn{Page: pg, Answer: a, next: &next}
}

func (t *turn) end(err error) (*Position, error) {
	if err != nil {
		return nil, err
	}
	t.cursor.end(t)
	for _, n := range t.notes {
		sdk.Log(n.level, t.set.What()+": "+n.text)
	}
	return t.next, nil
}

func (t *turn) warn(text string) { t.notes = append(t.notes, note{wit.LevelWarn, text}) }
func (t *turn) info(text string) { t.notes = append(t.notes, note{wit.LevelInfo, text}) }

func number(n int) string { return strconv.Itoa(n) }

// page goes on after a page.
func (t *turn) page() error {
	switch {
	case t.cursor.unasked != "":
		return t.cursor.ignored(t.set, t.at)
	case t.at.ask.kind != "":
		return t.answered()
	case t.verdict != "" && t.at.isUnannounced():
		t.next.facts.set(unannounced, t.next.facts.has(unannounced) || t.handed > 0)
		return t.notToBeHad()
	case t.verdict != "":
		return t.contradicted()
	}
	n, m := t.next, t.next.memory
	n.repeats, n.faults = 0, ""
	passed := 0
	if w, keyed := t.at.walk.(byKey); keyed {
		passed = w.passed
	}
	n.seen += passed + t.Rows - t.repeated()
	if t.at.seen == 0 && t.at.count < 0 && t.set.Count && t.Count >= 0 {
		t.firstCount()
	}
	if m.empty++; t.Rows > 0 {
		m.empty = 0
	}
	if m.empty > maxEmpty {
		return t.circle(number(maxEmpty) + " pages came one after another without a row, the last one " + t.at.url)
	}
	if again, err := t.circles(); again || err != nil {
		return err
	}
	t.moreThanCounted()
	if t.at.isUnannounced() && n.seen > t.at.seen+t.at.repeats {
		n.facts.set(unannounced, true)
	}
	t.remember()
	if t.Link != "" {
		return t.linked()
	}
	return t.unlinked()
}

// firstCount takes the first page's count, if it is one of the set's rows. Some services give the number of the page's
// rows, or 0: that is below what came, or no more than that although there is a link to more. Where it is as many as
// came, and nothing has shown yet that the service counts more than it gives, it is asked (P4).
func (t *turn) firstCount() {
	switch {
	case t.Count < t.Rows:
		t.warn("the service counts " + number(t.Count) + " rows, and its first page has " + number(t.Rows) +
			": its count is ignored")
		t.next.facts.set(warned, true)
	case t.Count == t.Rows && t.Link != "":
	case t.Count == t.Rows && t.Rows > 0 && !t.next.facts.has(countsAll):
		t.next.facts.set(claims, true)
	default:
		t.next.count = t.Count
	}
}

// circles is the auditor of circles; done: where the page was not announced, that it is one which came before shows
// that $skip is ignored, and the position is made.
func (t *turn) circles() (done bool, err error) {
	if _, keyed := t.at.walk.(byKey); keyed && !t.unread() {
		return false, nil // rows after the key, and in order: a page like that is no other's
	}
	if t.Link == "" && t.repeated() == t.Rows && t.at.seen > t.Rows {
		return false, nil // the page before, since so many rows were inserted meanwhile
	}
	content, some := t.content.hash()
	if _, keyed := t.at.walk.(byKey); keyed && t.content.faulty == 0 {
		some = false
	}
	if !some || !t.next.memory.pages.step(content) {
		return false, nil
	}
	if _, keyed := t.at.walk.(byKey); t.at.isUnannounced() && (t.unread() || !keyed) {
		if t.set.Once && t.handed > 0 {
			return true, t.restart("the page after the last one brought the first ones again")
		}
		t.next.seen, t.next.repeats, t.next.faults = t.at.seen, t.at.repeats, t.at.faults
		return true, t.notToBeHad()
	}
	return true, t.circle(t.at.url + " brings the rows of a page that came before")
}

// linkInCircle goes on by key from the last row where links lead in a circle, unless pages can't be asked for so. That
// there are more rows the link has said.
func (t *turn) linkInCircle(why string) error {
	if !t.byKey(true) {
		return t.circle(why)
	}
	t.next.facts.set(unannounced, true)
	t.chooseKeys("")
	t.warn("the service's pages go in a circle: " + why + "; going on by key")
	return nil
}

func (t *turn) circle(why string) error {
	return &wit.Fault{Kind: wit.FaultData, Message: t.set.What() + ": the service's pages go in a circle: " + why}
}

// moreThanCounted warns once.
func (t *turn) moreThanCounted() {
	if n := t.next; n.count >= 0 && n.seen > n.count && !n.facts.has(warned) {
		n.facts.set(warned, true)
		t.warn("more rows come than the " + number(n.count) + " that the service counted: rows were inserted " +
			"meanwhile or come twice, or it counts up to a limit only")
	}
}

// remember puts what the auditors have seen into the memory of the load.
func (t *turn) remember() {
	m := t.next.memory
	if _, keyed := t.at.walk.(byKey); !keyed {
		t.repeats.end(m)
		if n := t.next; t.repeats.twins || t.content.twins {
			n.facts.set(twins, true)
		}
		t.next.earlier.fell = t.repeats.fell
	}
	if t.order.rows == 0 && t.Rows == t.repeated() {
		return // nothing came that could tell
	}
	texts := []string(nil)
	if t.order.ascends() {
		texts = t.set.texts(t.content.last)
	}
	if m.sorted, m.folded, m.key = false, false, ""; texts != nil {
		m.sorted, m.folded, m.key = t.order.bytes, t.order.folds, t.set.Keys.Pack(texts)
	}
}

// linked goes on from a page with a next link: by key in its place, where the link counts rows or nothing shows that it
// doesn't, since rows that were deleted or inserted before it would shift what it leads to, and hide others (P3).
func (t *turn) linked() error {
	if t.Link == t.at.url {
		return t.linkInCircle("the next link of " + t.Link + " leads to itself")
	}
	w, keyed := t.at.walk.(byKey)
	safe := t.set.leadsByKey(t.Link, t.at.url, t.set.plainKey(t.content.last), t.next.seen)
	switch {
	case keyed && t.unread() && t.set.Pageable:
		return t.passUnread(w)
	case (keyed || t.set.Paging == "keys" || !safe) && t.byKey(false):
		t.chooseKeys(t.Link)
		return nil
	}
	return t.follow(t.Link, !safe)
}

// follow makes a link of the service the next page. One that was followed before leads in a circle.
func (t *turn) follow(link string, counts bool) error {
	m := t.next.memory
	if m.followed.steps == 0 {
		m.followed.step(hashOf(t.at.url))
	}
	if m.followed.step(hashOf(link)) {
		return t.linkInCircle("the link " + link + " was followed before")
	}
	t.next.url, t.next.walk = link, byLinks{counts}
	t.byCounting(counts)
	return nil
}

// byCounting notes whether the next page is asked for by counting, as far as is known, and the last rows before it.
func (t *turn) byCounting(counts bool) {
	if t.next.memory.last = ""; counts {
		t.next.facts.set(mayShift, true)
		t.next.memory.last = packMarks(t.repeats.recent)
	}
}

// byKey makes next the page after the last row that could be read, where the rows come in the order of their keys;
// those after it that could not be read come again. False where it can't be.
func (t *turn) byKey(isUnannounced bool) bool {
	n := t.next
	if !t.set.sorts(n.facts) || !n.memory.ascending() || t.unread() {
		return false
	}
	if _, keyed := t.at.walk.(byKey); n.count < 0 && !keyed && (!n.memory.sorted ||
		!isUnannounced && !n.facts.has(keysHold) && t.order.rows < enoughToSort) {
		return false // too little to go by where no count shows in the end that rows are missing
	}
	url := t.set.page(n, t.set.Keys.After(t.set.unpack(n.memory.key)), 0)
	if url == t.at.url {
		return false
	}
	t.unreadAgain()
	n.url, n.walk = url, byKey{unannounced: isUnannounced}
	if n.memory.last = ""; isUnannounced || !n.facts.has(keysHold) { // it may turn out to be no way
		n.memory.last = packMarks(t.repeats.recent)
	}
	return true
}

// chooseKeys asks before the first page by key whether the service sorts and compares, if that is not known. link is
// what is followed where it doesn't, "" for none.
func (t *turn) chooseKeys(link string) {
	if !t.next.facts.has(keysHold) {
		t.next.ask = &question{kind: askKeys, link: link, prior: t.priorKey()}
	}
}

// priorKey is the first of the two keys of the question: that of the row before the last one, which may stand on the
// page before; "" where there is none.
func (t *turn) priorKey() string {
	if texts := t.set.texts(t.order.prior); t.order.rows > 1 && texts != nil {
		return t.set.Keys.Pack(texts)
	}
	return t.at.memory.key
}

// bySkip makes next the page after the rows seen, by number.
func (t *turn) bySkip(overlaps, isUnannounced bool) {
	n, skip := t.next, t.next.seen
	if overlaps {
		t.unreadAgain()
		skip = n.seen - 1
	}
	n.walk = bySkip{overlaps, isUnannounced}
	n.url = t.set.page(n, "", skip)
	t.byCounting(true)
}

// unreadAgain has the rows after the last one that could be read come again, and not be faults twice.
func (t *turn) unreadAgain() {
	t.next.repeats = t.Rows - 1 - int(t.lastAt)
	t.next.seen -= t.next.repeats
	t.next.faults = packMarks(t.faulty[:min(len(t.faulty), t.next.repeats, maxFaults)])
}

// unlinked goes on from a page without a next link, which is the last one only where nothing says that the service has
// more rows (P4).
func (t *turn) unlinked() error {
	n := t.next
	w, keyed := t.at.walk.(byKey)
	rows := t.Rows - t.known - t.repeated() // the others came before
	// more, complete: by its own count the page isn't, or is, all that is after the key.
	all := t.Rows + w.passed
	more, complete := keyed && t.Count > all, keyed && t.Count == all && n.count >= 0
	short := n.count > n.seen
	switch {
	case complete, rows == 0 && !(t.unread() && t.known > 0), n.count >= 0 && !short && !more:
		return t.ended()
	case t.unread() && (t.set.Pageable || short || more || n.facts.has(unannounced)):
		return t.passUnread(w)
	case rows == 0:
		return t.ended()
	}
	isUnannounced := n.count < 0 && !more
	switch {
	case t.byKey(isUnannounced):
		if !isUnannounced || n.facts.has(unannounced) {
			t.chooseKeys("") // else nothing says yet that there are more rows
		}
	case !t.set.Pageable && short:
		return t.short("and its metadata say that it can't be paged")
	case short && len(t.content.last) == 0:
		return t.short("without a link to the others; without keys rows can't be asked for by number")
	case !t.set.Pageable, len(t.content.last) == 0, keyed && !short:
		return t.ended()
	default:
		t.bySkip(t.lastAt > 0 && (isUnannounced || n.facts.has(unordered)), isUnannounced)
	}
	if t.at.seen == 0 && n.facts.has(claims) && n.seen+n.repeats > 1 {
		n.ask = &question{kind: askCount}
	}
	if short && t.set.Top == 0 {
		t.info(number(n.seen) + " of " + number(n.count) + " rows came without a next link; going on with " + n.url)
	}
	return nil
}

// passUnread goes on from a page of which no row could be read, so that it has no key to go on from: by number, from
// the key before, if there is one. Without a count nothing says that there are more rows: a service that refuses $skip
// or ignores it, which its bringing the same rows again shows, has no more then.
func (t *turn) passUnread(w byKey) error {
	n, at := t.next, t.at
	if !t.set.Pageable {
		return &wit.Fault{Kind: wit.FaultData, Message: t.set.What() + ": none of the rows of " + at.url +
			" can be read, and its metadata say that others can't be asked for by number: expected a page with a row " +
			"that can be read, by a greater " + t.set.Setting("page.size")}
	}
	n.faults = packMarks(t.faulty)
	if _, keyed := at.walk.(byKey); !keyed {
		t.bySkip(false, n.count < 0)
	} else {
		m := n.memory
		m.sorted, m.folded, m.key = at.memory.sorted, at.memory.folded, at.memory.key
		n.seen, n.walk = at.seen, byKey{passed: w.passed + t.Rows, unannounced: n.count < 0}
		n.url = t.set.page(n, t.set.Keys.After(t.set.unpack(m.key)), w.passed+t.Rows)
	}
	if t.at.seen == 0 && n.facts.has(claims) && t.Rows > 1 {
		n.ask = &question{kind: askCount}
	}
	return nil
}

// ended looks whether a load of which no more pages come is complete: the auditor of counts.
func (t *turn) ended() error {
	n := t.next
	switch {
	case n.count <= n.seen:
		return t.complete()
	case n.seen == 0:
		return t.short("and " + t.at.url + " brings none")
	case n.facts.has(mayShift):
		return t.again("rows that went may have hidden others, since pages were asked for by counting")
	}
	n.ask = &question{kind: askRows}
	return nil
}

// complete ends a load of which all pages came, unless keys came twice while pages were asked for by counting: rows
// that moved may have hidden others. Those that come twice alike in the next reading too are not unique.
func (t *turn) complete() error {
	n, m := t.next, t.next.memory
	if m.again == 0 {
		t.done()
		return nil
	}
	if m.againKeys == n.earlier.repeated && n.facts.has(twins) {
		if t.at.earlier.readings > 0 {
			t.warn("the keys of " + number(m.again) + " rows came on a page before, in each reading, and on one page " +
				"some came twice: they are not unique")
		}
		t.done()
		return nil
	}
	n.earlier.repeated = m.againKeys
	return t.again("and the keys of at least " + number(m.again) + " came on a page before, or may have: rows that " +
		"moved may have hidden others, since pages were asked for by counting")
}

// done is the position of a complete load.
func (t *turn) done() {
	n := t.next
	seen := n.seen + n.repeats
	took := "?"
	if begun := int64(n.when); begun > 0 && t.At >= begun {
		took = (time.Duration(t.At-begun) * time.Millisecond).String()
	}
	t.info("extraction finished: " + number(seen) + " rows in " + took + "; " + t.set.Next)
	end := newPosition(n.facts&ofService | done)
	end.url, end.seen, end.count, end.when, end.unmarked = t.at.url, seen, n.count, int(t.At), n.unmarked
	if end.earlier.fell = n.earlier.fell; n.memory.again > 0 {
		end.earlier.repeated = n.earlier.repeated
	}
	if n.facts.has(claims) && !n.facts.has(unannounced) {
		end.count = max(end.count, seen)
	}
	t.next = end
}

// contradicted goes on where a page is not what was asked for.
func (t *turn) contradicted() error {
	if _, keyed := t.at.walk.(byKey); keyed {
		return t.nextWalk(t.verdict)
	}
	return t.again(t.verdict)
}

// nextWalk begins the load again and not by key: the service does not do what it said it does.
func (t *turn) nextWalk(why string) error {
	if t.next.facts.has(ignoresKeys) {
		return t.again(why)
	}
	t.ignoresKeys()
	t.next.earlier.readings = 0
	return t.restart(why)
}

// again begins the load again by the same walk; it fails a load that came to this too often.
func (t *turn) again(why string) error {
	if t.next.earlier.readings++; t.next.earlier.readings < maxReadings {
		return t.restart(why)
	}
	how := "if the service counts rows that it doesn't give, " + t.set.Setting("count") + " = none takes what comes. "
	if t.next.count < 0 {
		how = "else the service must give counts or next links, or heed $skip or $orderby and $filter. "
	}
	return t.short(why + "; the set was read " + number(maxReadings) + " times. If its rows are changed all the " +
		"time, read it when they aren't; " + how + "Reset the connector's offsets to begin again")
}

// restart begins the load from its start, since what came isn't all, or may not be.
func (t *turn) restart(why string) error {
	n := t.next
	came := number(n.seen) + " rows came"
	if n.count >= 0 {
		came += " of " + number(n.count)
	}
	if t.set.Once && (n.seen > 0 || t.handed > 0) {
		name := t.set.Setting("unsound")
		return &wit.Fault{Kind: wit.FaultData, Setting: &name, Message: t.set.What() + ": " + came + ", " + why +
			". Reading the set again would deliver rows twice, which exactly-once excludes: " + name +
			" = reload does so nevertheless, and marks them"}
	}
	first := t.set.start(n.facts & (ofService | warned))
	first.earlier, first.when = n.earlier, n.when
	first.reload, first.unmarked = max(int(t.At), n.reload+1), n.unmarked
	first.cursor = &cursorPosition{from: n.cursor.from, high: n.cursor.high, known: n.cursor.known}
	first.url = t.set.page(first, "", 0)
	if n.facts.has(unannounced) {
		first.earlier.least = max(n.earlier.least, n.seen)
	}
	t.next = first
	t.warn(came + ", " + why + "; reading it again from its start, rows that came are delivered again")
	return nil
}

func (t *turn) short(why string) error {
	n := t.next
	text := "the service says that it has " + number(n.count) + " rows, " + number(n.seen) + " came, "
	if n.count < 0 {
		text = "the service gives no count, " + number(n.seen) + " rows came, "
		if n.facts.has(claims) {
			text = "the service counts the rows of a page only, " + number(n.seen) + " rows came, "
		}
	}
	return &wit.Fault{Kind: wit.FaultData, Message: t.set.What() + ": " + text + why}
}
