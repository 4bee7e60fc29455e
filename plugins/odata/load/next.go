package load

import (
	"github.com/culvert-project/culvert/wit"
)

// maxEmpty is how many pages without a row may follow one another.
const maxEmpty = 1000

// Next is the position after a page that was read to its end.
func (pg *Page) Next(a Answer) (*Position, error) {
	t := pg.turn(a)
	return t.end(t.page())
}

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
	case t.verdict != "" && t.at.isBehindEmpty() && !t.above:
		return t.ended()
	case t.verdict != "" && t.at.isBehindEmpty():
		return t.short("the page after them has none, and a link to rows before and after their last key; " +
			t.set.Setting("paging") + " = links follows such links")
	case t.verdict != "":
		return t.contradicted()
	}
	n, m := t.next, t.next.memory
	n.unread, n.faults = 0, ""
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
	if t.at.isUnannounced() && n.seen > t.at.seen+t.at.unread {
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
		t.next.seen, t.next.unread, t.next.faults = t.at.seen, t.at.unread, t.at.faults
		return true, t.notToBeHad()
	}
	return true, t.circle(t.at.url + " brings the rows of a page that came before")
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
	w, keyed := t.at.walk.(byKey)
	if keyed && t.Rows == 0 {
		return t.behindEmpty(w)
	}
	t.Link, _ = t.restoreOptions(t.Link) // one that is wrong fails when it is followed
	if t.Link == t.at.url {
		return t.linkInCircle("the next link of " + t.Link + " leads to itself")
	}
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

// behindEmpty follows the link of a page by key that has no row, unless all rows came or it leads in a circle: services
// that hide rows of a page after they cut it have others behind it. Only rows after the last key count there, see page.
func (t *turn) behindEmpty(w byKey) error {
	n := t.next
	link, err := t.restoreOptions(t.Link)
	switch {
	case n.count >= 0 && n.count <= n.seen, link == t.at.url:
		return t.ended()
	case err != nil:
		return err
	case n.memory.followed.step(hashOf(link)):
		return t.ended()
	}
	n.url, n.walk, n.seen = link, byKey{passed: w.passed}, t.at.seen // what w passes counts with the next page
	return nil
}

// pastEmpty continues after such a link was lost or refused, and returns what it does: it asks for the rows after the
// last key again, since their page may have another link by now. If that link is lost or refused at once, too, the load
// ends: the service names no further rows.
func (t *turn) pastEmpty() (how string, err error) {
	asked := Trail{}
	t.next.url = t.afterKey()
	asked.Passed(t.next.url)
	linked := asked
	if linked.Passed(t.at.url); t.next.memory.followed == linked {
		return "the page before it was asked for again, and has no row: the load ends there", t.ended()
	}
	t.next.memory.followed = asked // the link was not answered, and may come again
	return "asking for the page before it again", nil
}

// afterKey is the page by key at which the load stands, or from which a link led to where it does.
func (t *turn) afterKey() string {
	w, _ := t.at.walk.(byKey)
	return t.set.page(t.next, t.set.Keys.After(t.set.unpack(t.next.memory.key)), w.passed)
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
	if t.at.seen == 0 && n.facts.has(claims) && n.seen+n.unread > 1 {
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
		return &wit.Error{Kind: wit.ErrorData, Message: t.set.What() + ": none of the rows of " + at.url +
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

// contradicted goes on where a page is not what was asked for.
func (t *turn) contradicted() error {
	if _, keyed := t.at.walk.(byKey); keyed {
		return t.nextWalk(t.verdict)
	}
	return t.again(t.verdict)
}
