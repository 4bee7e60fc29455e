package load

import "github.com/culvert-project/culvert/wit"

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
	t.next.unread = t.Rows - 1 - int(t.lastAt)
	t.next.seen -= t.next.unread
	t.next.faults = packMarks(t.faulty[:min(len(t.faulty), t.next.unread, maxFaults)])
}

// follow makes a link of the service the next page. One that was followed before leads in a circle.
func (t *turn) follow(link string, counts bool) error {
	link, err := t.restoreOptions(link)
	if err != nil {
		return err
	}
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

// restoreOptions is a link with the options of the first page, or of the page that it was on: a service repeats the
// filter by key in all links after such a page.
func (t *turn) restoreOptions(link string) (string, error) {
	restored, err := t.set.RestoreOptions(link, t.set.page(t.next, "", 0), t.at.url)
	if err != nil {
		err.(*wit.Error).Message += "; " + t.set.Setting("paging") + " = top asks for pages without links"
	}
	return restored, err
}

// byCounting notes whether the next page is asked for by counting, as far as is known, and the last rows before it.
func (t *turn) byCounting(counts bool) {
	if t.next.memory.last = ""; counts {
		t.next.facts.set(mayShift, true)
		t.next.memory.last = packMarks(t.repeats.recent)
	}
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

// skipFrom makes next the page after the rows seen, by number, where the page before is no longer at hand.
func (t *turn) skipFrom(isUnannounced bool) {
	n, skip := t.next, t.next.seen
	overlaps := n.seen > 1 && isUnannounced
	if overlaps {
		skip--
	}
	n.walk = bySkip{overlaps, isUnannounced}
	n.url = t.set.page(n, "", skip)
	n.facts.set(mayShift, true)
}

// notToBeHad goes on where a page that was not announced can't be had: by number if it was asked for by key, else the
// load ends where the service said, unless rows came from such pages, or they are as many as were asked for.
func (t *turn) notToBeHad() error {
	n := t.next
	w, keyed := t.at.walk.(byKey)
	answered := n.seen + n.unread // the rows that came, of the set or, by number from a key, after that
	if w.passed > 0 {
		answered = w.passed
	}
	n.ask, n.seen = &question{}, n.seen+w.passed
	switch {
	case n.facts.has(unannounced), n.earlier.least > n.seen:
		return t.nextWalk("the last ones after a page without a next link, and the page after them can't be had")
	case keyed && w.passed == 0 && t.set.Pageable && n.memory.last != "":
		t.ignoresKeys()
		n.seen, n.unread, n.faults = n.seen+n.unread, 0, ""
		t.skipFrom(true)
		return nil
	case !keyed && t.set.sorts(n.facts) && n.memory.ascending():
		n.walk = byKey{unannounced: true}
		n.url = t.set.page(n, t.set.Keys.After(t.set.unpack(n.memory.key)), 0)
		return nil
	case answered == t.set.Top:
		// As many as were asked for: that the service has no more is chance, if it is so.
		return t.short("as many as were asked for, and it ignores what asks for those after them, or refuses it; " +
			"paging = auto leaves the cutting of pages to the service")
	}
	counts := "gives no count and no next link"
	if n.facts.has(warned) || n.facts.has(claims) {
		counts = "gives no next link, and its count may not be that of all rows"
	}
	t.warn("the service " + counts + ", and refuses or ignores what asks for rows after these: the " + number(n.seen) +
		" that came are taken for all")
	return t.complete()
}
