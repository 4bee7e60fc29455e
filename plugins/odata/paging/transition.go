package paging

import (
	"strconv"

	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

// PageInfo has the facts that are known at the end of a response.
type PageInfo struct {
	Rows       int    // the number of rows, undecodable ones included
	Count      int    // the service's count, negative if missing
	Link       string // the next link; empty means no link
	ReceivedAt int64  // in milliseconds since 1970
}

// transition computes the next position from the current one, the results of checks and the response.
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

func (pg *Page) newTransition(info PageInfo) *transition {
	next := *pg.position
	checks := *pg.position.checks
	previous := *pg.position.previous
	next.checks = &checks
	next.previous = &previous
	if !pg.set.Count && next.totalCount >= 0 { // the setting has changed during the load
		next.totalCount = -1
		next.known.overcounts = true
	}
	return &transition{Page: pg, PageInfo: info, next: &next}
}

// end saves the cursor, writes the log entries and returns the next position. After an error it only returns the error.
func (t *transition) end(err error) (*Position, error) {
	if err == nil && t.repeatsRequest() {
		err = t.loopError(t.set.Target(t.next) + " has no new row and would be requested again")
	}
	if err != nil {
		return nil, err
	}
	if t.filterError == nil { // else the page follows again
		for _, warning := range t.cursor.save(t.set, t.position, t.next) {
			t.warn(warning)
		}
	}
	for _, entry := range t.logEntries {
		sdk.Log(entry.level, t.set.Label()+": "+entry.text)
	}
	return t.next, nil
}

// repeatsRequest reports whether the next request is the same one although the page had no new row.
func (t *transition) repeatsRequest() bool {
	continues := t.next.pager.kind != firstPage && !t.next.isDone
	isSame := t.next.rowsRead <= t.position.rowsRead && t.set.Target(t.next) == t.set.Target(t.position)
	return continues && isSame
}

func (t *transition) warn(text string) {
	t.logEntries = append(t.logEntries, logEntry{level: wit.LevelWarn, text: text})
}

func (t *transition) info(text string) {
	t.logEntries = append(t.logEntries, logEntry{level: wit.LevelInfo, text: text})
}

func itoa(n int) string { return strconv.Itoa(n) }

// restartWithoutKeyset starts the load over without requests by key. If that was tried before, it is a retry.
func (t *transition) restartWithoutKeyset(reason string) error {
	if t.next.known.ignoresKeyFilter {
		return t.retry(reason)
	}
	t.markKeyFilterIgnored()
	t.next.previous.count = 0
	return t.restart(reason)
}

func (t *transition) markKeyFilterIgnored() {
	t.next.known.ignoresKeyFilter = true
	t.next.known.sortsByKey = false
}

const maxAttempts = 3 // with one pager

// retry starts the load over, or fails it after maxAttempts.
func (t *transition) retry(reason string) error {
	t.next.previous.count++
	t.next.known.overcounts = t.next.known.overcounts || t.next.totalCount > t.next.distinctRows()
	if t.next.previous.count < maxAttempts {
		return t.restart(reason)
	}
	action := "if the service counts rows that it does not return, " + t.set.Setting("count") + " = none removes " +
		"this evidence, and the load ends as unproven. "
	if t.next.totalCount < 0 {
		action = "else the service must return counts or next links, or support $skip or $orderby and $filter. "
	}
	return t.incomplete(reason + "; the set was read " + itoa(maxAttempts) + " times. If its rows change all the " +
		"time, read it when they do not; " + action + "Reset the connector's offsets to start over")
}

// restart starts the load over with another snapshot number, or fails it if exactly-once forbids to read rows again.
func (t *transition) restart(reason string) error {
	next := t.next
	progress := itoa(next.rowsRead) + " rows were read"
	if next.totalCount >= 0 {
		progress += " of " + itoa(next.totalCount)
	}
	if t.set.ExactlyOnce && (next.rowsRead > 0 || t.emittedRows > 0) {
		name := t.set.Setting("incomplete.load")
		return &wit.Error{Kind: wit.ErrorData, Setting: &name, Message: t.set.Label() + ": " + progress + ", " +
			reason + ". Reading the set again would deliver rows twice, which exactly-once excludes: " + name +
			" = reload does so nevertheless, and marks them"}
	}
	first := newPosition(next.known)
	first.seen.duplicateKeys = next.seen.duplicateKeys
	first.seen.numberedKeys = next.seen.numberedKeys
	first.seen.firstSinceStart = next.seen.firstSinceStart
	first.previous = next.previous
	first.timestamp = next.timestamp
	first.snapshot = next.snapshot
	first.snapshot.number = max(int(t.ReceivedAt), next.snapshot.number+1) // greater than all before
	first.cursor = &cursorState{from: next.cursor.from, high: next.cursor.high, previousRows: next.cursor.previousRows,
		truncated: next.cursor.truncated}
	first.url = t.set.pageURL(first, "", 0)
	// The new attempt must read the last row of this one, unless another row was missing before.
	if last := unpackHashes(next.checks.lastHashes); next.previous.witnessHash == "" && next.checks.key != "" &&
		len(last) > 0 && next.checks.repeatCount == 0 {
		first.previous.witness = next.checks.key
		first.previous.witnessHash = packHashes(last[len(last)-1:])
	}
	t.next = first
	t.warn(progress + ", " + reason + "; reading the set again from its start, " + t.set.AfterRestart)
	return nil
}

// incomplete returns the error of a load that cannot be complete. reason continues the sentence about the rows read.
func (t *transition) incomplete(reason string) error {
	next := t.next
	message := "the service counts " + itoa(next.totalCount) + " rows, " + itoa(next.rowsRead) + " were read, "
	if next.totalCount < 0 {
		message = "the service returns no count, " + itoa(next.rowsRead) + " rows were read, "
		if next.seen.mayCountPage {
			message = "the service counts the rows of a page only, " + itoa(next.rowsRead) + " rows were read, "
		}
	}
	return &wit.Error{Kind: wit.ErrorData, Message: t.set.Label() + ": " + message + reason}
}

func (t *transition) loopError(reason string) error {
	return &wit.Error{Kind: wit.ErrorData, Message: t.set.Label() + ": the service's pages form a loop: " + reason}
}
