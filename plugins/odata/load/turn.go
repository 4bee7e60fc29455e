package load

import (
	"strconv"
	"time"

	"github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
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

// turn begins a transition.
func (pg *Page) turn(a Answer) *turn {
	next, memory, earlier := *pg.at, *pg.at.memory, *pg.at.earlier
	next.memory, next.earlier = &memory, &earlier
	return &turn{Page: pg, Answer: a, next: &next}
}

func (t *turn) end(err error) (*Position, error) {
	if n := t.next; err == nil && n.walk != nil && !n.facts.has(done) && n.seen <= t.at.seen &&
		t.set.Target(n) == t.set.Target(t.at) {
		err = t.circle(t.set.Target(n) + " was asked for, brought no new row, and comes next again")
	}
	if err != nil {
		return nil, err
	}
	for _, text := range t.cursor.end(t.set, t.at, t.next) {
		t.warn(text)
	}
	for _, n := range t.notes {
		sdk.Log(n.level, t.set.What()+": "+n.text)
	}
	return t.next, nil
}

func (t *turn) warn(text string) { t.notes = append(t.notes, note{wit.LevelWarn, text}) }

func (t *turn) info(text string) { t.notes = append(t.notes, note{wit.LevelInfo, text}) }

func number(n int) string { return strconv.Itoa(n) }

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
	seen := n.seen + n.unread
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

// nextWalk begins the load again and not by key: the service does not do what it said it does.
func (t *turn) nextWalk(why string) error {
	if t.next.facts.has(ignoresKeys) {
		return t.again(why)
	}
	t.ignoresKeys()
	t.next.earlier.readings = 0
	return t.restart(why)
}

func (t *turn) ignoresKeys() {
	t.next.facts.set(ignoresKeys, true)
	t.next.facts.set(keysHold, false)
}

// maxReadings is how many times a set is read by one walk before a load that does not come to its end fails.
const maxReadings = 3

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
		name := t.set.Setting("incomplete.load")
		return &wit.Error{Kind: wit.ErrorData, Setting: &name, Message: t.set.What() + ": " + came + ", " + why +
			". Reading the set again would deliver rows twice, which exactly-once excludes: " + name +
			" = reload does so nevertheless, and marks them"}
	}
	first := t.set.start(n.facts & (ofService | warned))
	first.earlier, first.when = n.earlier, n.when
	first.reload, first.unmarked = max(int(t.At), n.reload+1), n.unmarked
	first.cursor = &cursorPosition{from: n.cursor.from, high: n.cursor.high, known: n.cursor.known, cut: n.cursor.cut}
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
	return &wit.Error{Kind: wit.ErrorData, Message: t.set.What() + ": " + text + why}
}

func (t *turn) circle(why string) error {
	return &wit.Error{Kind: wit.ErrorData, Message: t.set.What() + ": the service's pages go in a circle: " + why}
}
