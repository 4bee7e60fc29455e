package paging

import (
	"strconv"
	"time"

	"github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

// PageInfo is what a page said about itself at its end.
type PageInfo struct {
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
type transition struct {
	*Page
	PageInfo
	// next is the position that is made; memory is its own copy.
	next *Position
	// notes are for the log.
	notes []note
}

type note struct {
	level wit.Level
	text  string
}

// newTransition begins a transition.
func (pg *Page) newTransition(a PageInfo) *transition {
	next, memory, earlier := *pg.at, *pg.at.checks, *pg.at.previous
	next.checks, next.previous = &memory, &earlier
	return &transition{Page: pg, PageInfo: a, next: &next}
}

func (t *transition) end(err error) (*Position, error) {
	if n := t.next; err == nil && n.pager != nil && !n.capabilities.has(loadComplete) && n.rowsRead <= t.at.rowsRead &&
		t.set.Target(n) == t.set.Target(t.at) {
		err = t.loopError(t.set.Target(n) + " was asked for, brought no new row, and comes next again")
	}
	if err != nil {
		return nil, err
	}
	for _, text := range t.cursor.save(t.set, t.at, t.next) {
		t.warn(text)
	}
	for _, n := range t.notes {
		sdk.Log(n.level, t.set.Label()+": "+n.text)
	}
	return t.next, nil
}

func (t *transition) warn(text string) { t.notes = append(t.notes, note{wit.LevelWarn, text}) }

func (t *transition) info(text string) { t.notes = append(t.notes, note{wit.LevelInfo, text}) }

func number(n int) string { return strconv.Itoa(n) }

// complete ends a load of which all pages came, unless keys came twice while pages were asked for by counting: rows
// that moved may have hidden others. Those that come twice alike in the next reading too are not unique.
func (t *transition) complete() error {
	n, m := t.next, t.next.checks
	if m.repeatCount == 0 {
		t.finish()
		return nil
	}
	if m.repeatDigest == n.previous.repeatDigest && n.capabilities.has(duplicateKeys) {
		if t.at.previous.attempts > 0 {
			t.warn("the keys of " + number(m.repeatCount) +
				" rows came on a page before, in each reading, and on one page " +
				"some came twice: they are not unique")
		}
		t.finish()
		return nil
	}
	n.previous.repeatDigest = m.repeatDigest
	return t.retry("and the keys of at least " + number(m.repeatCount) +
		" came on a page before, or may have: rows that " +
		"moved may have hidden others, since pages were asked for by counting")
}

// finish is the position of a complete load.
func (t *transition) finish() {
	n := t.next
	seen := n.rowsRead + n.undecoded
	duration := "?"
	if begun := int64(n.timestamp); begun > 0 && t.At >= begun {
		duration = (time.Duration(t.At-begun) * time.Millisecond).String()
	}
	t.info("extraction finished: " + number(seen) + " rows in " + duration + "; " + t.set.AfterLoad)
	end := newPosition(n.capabilities&serviceCapabilities | loadComplete)
	end.url, end.rowsRead, end.totalCount, end.timestamp, end.endMarkerPending = t.at.url, seen, n.totalCount,
		int(t.At), n.endMarkerPending
	if end.previous.outOfOrderKey = n.previous.outOfOrderKey; n.checks.repeatCount > 0 {
		end.previous.repeatDigest = n.previous.repeatDigest
	}
	if n.capabilities.has(countMayBePageOnly) && !n.capabilities.has(hadUnsolicitedRows) {
		end.totalCount = max(end.totalCount, seen)
	}
	t.next = end
}

// restartWithoutKeyset begins the load again and not by key: the service does not do what it said it does.
func (t *transition) restartWithoutKeyset(why string) error {
	if t.next.capabilities.has(ignoresKeyFilter) {
		return t.retry(why)
	}
	t.markKeyFilterIgnored()
	t.next.previous.attempts = 0
	return t.restart(why)
}

func (t *transition) markKeyFilterIgnored() {
	t.next.capabilities.set(ignoresKeyFilter, true)
	t.next.capabilities.set(sortsByKey, false)
}

// maxAttempts is how many times a set is read by one walk before a load that does not come to its end fails.
const maxAttempts = 3

// retry begins the load again by the same walk; it fails a load that came to this too often.
func (t *transition) retry(why string) error {
	if t.next.previous.attempts++; t.next.previous.attempts < maxAttempts {
		return t.restart(why)
	}
	how := "if the service counts rows that it doesn't give, " + t.set.Setting("count") + " = none takes what comes. "
	if t.next.totalCount < 0 {
		how = "else the service must give counts or next links, or heed $skip or $orderby and $filter. "
	}
	return t.incomplete(why + "; the set was read " + number(maxAttempts) + " times. If its rows are changed all the " +
		"time, read it when they aren't; " + how + "Reset the connector's offsets to begin again")
}

// restart begins the load from its start, since what came isn't all, or may not be.
func (t *transition) restart(why string) error {
	n := t.next
	progress := number(n.rowsRead) + " rows came"
	if n.totalCount >= 0 {
		progress += " of " + number(n.totalCount)
	}
	if t.set.ExactlyOnce && (n.rowsRead > 0 || t.emitted > 0) {
		name := t.set.Setting("unsound")
		return &wit.Error{Kind: wit.ErrorData, Setting: &name, Message: t.set.Label() + ": " + progress + ", " + why +
			". Reading the set again would deliver rows twice, which exactly-once excludes: " + name +
			" = reload does so nevertheless, and marks them"}
	}
	first := t.set.start(n.capabilities & (serviceCapabilities | excessReported))
	first.previous, first.timestamp = n.previous, n.timestamp
	first.snapshot, first.endMarkerPending = max(int(t.At), n.snapshot+1), n.endMarkerPending
	first.cursor = &cursorPosition{from: n.cursor.from, high: n.cursor.high, previousRows: n.cursor.previousRows,
		truncated: n.cursor.truncated}
	first.url = t.set.pageURL(first, "", 0)
	if n.capabilities.has(hadUnsolicitedRows) {
		first.previous.minRows = max(n.previous.minRows, n.rowsRead)
	}
	t.next = first
	t.warn(progress + ", " + why + "; reading it again from its start, rows that came are delivered again")
	return nil
}

func (t *transition) incomplete(why string) error {
	n := t.next
	text := "the service says that it has " + number(n.totalCount) + " rows, " + number(n.rowsRead) + " came, "
	if n.totalCount < 0 {
		text = "the service gives no count, " + number(n.rowsRead) + " rows came, "
		if n.capabilities.has(countMayBePageOnly) {
			text = "the service counts the rows of a page only, " + number(n.rowsRead) + " rows came, "
		}
	}
	return &wit.Error{Kind: wit.ErrorData, Message: t.set.Label() + ": " + text + why}
}

func (t *transition) loopError(why string) error {
	return &wit.Error{Kind: wit.ErrorData, Message: t.set.Label() + ": the service's pages go in a circle: " + why}
}
