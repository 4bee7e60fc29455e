package paging

import (
	"strconv"
	"time"

	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

// PageInfo is what a response says about itself at its end.
type PageInfo struct {
	// Rows includes undecodable ones. Count is the service's count; a negative value means none.
	Rows, Count int
	Link        string
	// ReceivedAt is the time of the response in milliseconds since 1970.
	ReceivedAt int64
}

// transition computes the next position from the current one, the check results and the response.
type transition struct {
	*Page
	PageInfo
	next       *Position
	logEntries []logEntry
}

type logEntry struct {
	level wit.Level
	text  string
}

func (pg *Page) newTransition(a PageInfo) *transition {
	next, memory, earlier := *pg.at, *pg.at.checks, *pg.at.previous
	next.checks, next.previous = &memory, &earlier
	return &transition{Page: pg, PageInfo: a, next: &next}
}

func (t *transition) end(err error) (*Position, error) {
	if n := t.next; err == nil && n.pager != nil && !n.capabilities.has(loadComplete) && n.rowsRead <= t.at.rowsRead &&
		t.set.Target(n) == t.set.Target(t.at) {
		err = t.loopError(t.set.Target(n) + " has no new row and would be requested again")
	}
	if err != nil {
		return nil, err
	}
	for _, text := range t.cursor.save(t.set, t.at, t.next) {
		t.warn(text)
	}
	for _, n := range t.logEntries {
		sdk.Log(n.level, t.set.Label()+": "+n.text)
	}
	return t.next, nil
}

func (t *transition) warn(text string) {
	t.logEntries = append(t.logEntries, logEntry{wit.LevelWarn, text})
}

func (t *transition) info(text string) {
	t.logEntries = append(t.logEntries, logEntry{wit.LevelInfo, text})
}

func itoa(n int) string { return strconv.Itoa(n) }

// complete ends a load whose pages were all read. If keys were repeated while pages were counted, moved rows may have
// hidden others; keys that repeat equally in two attempts are not unique.
func (t *transition) complete() error {
	n, checks := t.next, t.next.checks
	if checks.repeatCount == 0 {
		t.finish()
		return nil
	}
	if checks.repeatDigest == n.previous.repeatDigest && n.capabilities.has(duplicateKeys) {
		if t.at.previous.count > 0 {
			t.warn(itoa(checks.repeatCount) + " keys are duplicated, in each attempt and on one page; " +
				"the entity set's keys are not unique")
		}
		t.finish()
		return nil
	}
	n.previous.repeatDigest = checks.repeatDigest
	return t.retry("and at least " + itoa(checks.repeatCount) + " keys were, or may have been, on an earlier page: " +
		"moved rows may have hidden others, since pages were requested by counting")
}

func (t *transition) finish() {
	n := t.next
	seen := n.rowsRead + n.undecoded
	duration := "?"
	if begun := int64(n.timestamp); begun > 0 && t.ReceivedAt >= begun {
		duration = (time.Duration(t.ReceivedAt-begun) * time.Millisecond).String()
	}
	t.info("extraction finished: " + itoa(seen) + " rows in " + duration + "; " + t.set.AfterLoad)
	end := newPosition(n.capabilities&serviceCapabilities | loadComplete)
	end.url, end.rowsRead, end.totalCount, end.timestamp, end.endMarkerPending = t.at.url, seen, n.totalCount,
		int(t.ReceivedAt), n.endMarkerPending
	if end.previous.outOfOrderKey = n.previous.outOfOrderKey; n.checks.repeatCount > 0 {
		end.previous.repeatDigest = n.previous.repeatDigest
	}
	if n.capabilities.has(countMayBePageOnly) && !n.capabilities.has(foundSpeculativeRows) {
		end.totalCount = max(end.totalCount, seen)
	}
	t.next = end
}

// restartWithoutKeyset restarts the load because the service does not sort or compare as it did before.
func (t *transition) restartWithoutKeyset(reason string) error {
	if t.next.capabilities.has(ignoresKeyFilter) {
		return t.retry(reason)
	}
	t.markKeyFilterIgnored()
	t.next.previous.count = 0
	return t.restart(reason)
}

func (t *transition) markKeyFilterIgnored() {
	t.next.capabilities.set(ignoresKeyFilter, true)
	t.next.capabilities.set(sortsByKey, false)
}

// maxAttempts bounds the attempts with one pager.
const maxAttempts = 3

func (t *transition) retry(reason string) error {
	if t.next.previous.count++; t.next.previous.count < maxAttempts {
		return t.restart(reason)
	}
	action := "if the service counts rows that it does not return, " + t.set.Setting("count") +
		" = none disables the count. "
	if t.next.totalCount < 0 {
		action = "else the service must return counts or next links, or support $skip or $orderby and $filter. "
	}
	return t.incomplete(reason + "; the set was read " + itoa(maxAttempts) + " times. If its rows change all the " +
		"time, read it when they aren't; " + action + "Reset the connector's offsets to start over")
}

func (t *transition) restart(reason string) error {
	n := t.next
	progress := itoa(n.rowsRead) + " rows were read"
	if n.totalCount >= 0 {
		progress += " of " + itoa(n.totalCount)
	}
	if t.set.ExactlyOnce && (n.rowsRead > 0 || t.emitted > 0) {
		name := t.set.Setting("incomplete.load")
		return &wit.Error{Kind: wit.ErrorData, Setting: &name, Message: t.set.Label() + ": " + progress + ", " +
			reason +
			". Reading the set again would deliver rows twice, which exactly-once excludes: " + name +
			" = reload does so nevertheless, and marks them"}
	}
	first := t.set.start(n.capabilities & (serviceCapabilities | excessReported))
	first.previous, first.timestamp = n.previous, n.timestamp
	first.snapshot, first.endMarkerPending = max(int(t.ReceivedAt), n.snapshot+1), n.endMarkerPending
	first.cursor = &cursorState{from: n.cursor.from, high: n.cursor.high, previousRows: n.cursor.previousRows,
		truncated: n.cursor.truncated}
	first.url = t.set.pageURL(first, "", 0)
	if n.capabilities.has(foundSpeculativeRows) {
		first.previous.minRows = max(n.previous.minRows, n.rowsRead)
	}
	t.next = first
	t.warn(progress + ", " + reason + "; reading the set again from its start, rows are delivered again")
	return nil
}

func (t *transition) incomplete(reason string) error {
	n := t.next
	text := "the service counts " + itoa(n.totalCount) + " rows, " + itoa(n.rowsRead) + " were read, "
	if n.totalCount < 0 {
		text = "the service returns no count, " + itoa(n.rowsRead) + " rows were read, "
		if n.capabilities.has(countMayBePageOnly) {
			text = "the service counts the rows of a page only, " + itoa(n.rowsRead) + " rows were read, "
		}
	}
	return &wit.Error{Kind: wit.ErrorData, Message: t.set.Label() + ": " + text + reason}
}

func (t *transition) loopError(reason string) error {
	return &wit.Error{Kind: wit.ErrorData, Message: t.set.Label() + ": the service's pages form a loop: " + reason}
}
