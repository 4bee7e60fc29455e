package source

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/run/runtest"
	"github.com/culvert-project/culvert/internal/run/task"
)

const (
	// trapsPerRow is the number of traps until a row is found: on a whole piece, on a part of it, and on one byte.
	trapsPerRow = 3
	// trapsPerChange bounds the traps of a search that a changed page starts again: it may need one more.
	trapsPerChange = trapsPerRow + 1
)

// trappingPage returns a page of several pieces with rows that make the plugin trap, and the records of the other rows.
func trappingPage(trapping ...int) (lines, records []string) {
	for i := range 12_000 {
		if slices.Contains(trapping, i) {
			lines = append(lines, "!trap")
			continue
		}
		lines = append(lines, fmt.Sprintf("k%d=%020d", i, i))
		records = append(records, "topic0/"+lines[i])
	}
	return lines, records
}

// A row that makes the plugin trap is found, and skipped if that is tolerated, with its document as a dead letter; the
// others are delivered (RATIONALE.md P32).
func TestTrappingRowsAreFound(t *testing.T) {
	for _, repeatsExactly := range []bool{true, false} {
		runtest.Bubble(t, fmt.Sprintf("exact %t", repeatsExactly), func(t *testing.T) {
			lines, records := trappingPage(0, 5000, 5001, 11_999)
			r := &reader{repeatsExactly: repeatsExactly}
			w := newWorld(r, lines, rows("next", 3))
			records = append(records, recordsOf(rows("next", 3))...)
			w.o.Tolerance = task.Tolerance{TolerateAll: true}
			var letters []string
			w.o.DeadLetters = newDeadLetters(func(l FailedRow) {
				letters = append(letters, fmt.Sprintf("%s %d %s", l.Stage, l.Row, l.Err))
			})
			w.mustRun(t)
			dead, delivered := w.splitRecords()
			if !repeatsExactly { // the page was read several times
				slices.Sort(delivered)
				delivered = slices.Compact(delivered)
				slices.Sort(records)
			}
			slices.Sort(letters) // a dead letter without a later row may be repeated
			letters = slices.Compact(letters)
			assert.Equal(t, records, delivered)
			assert.True(t, slices.Contains(dead, "dead/=!trap"), "expected the dead letter !trap, found %q", dead)
			if want := 4 * trapsPerRow; r.trapCount != want { // the page has four such rows
				t.Errorf("expected %d traps, found %d", want, r.trapCount)
			}
			var want []string
			for _, row := range []int{0, 11_999, 5000, 5001} { // in the order of texts
				want = append(want, fmt.Sprintf("decode %d the plugin breaks on this row: plugin fake : decode: "+
					"unreachable", row))
			}
			assert.Equal(t, want, letters)
		})
	}
}

// A row whose followed responses make the plugin trap, however deep, is found and skipped like others.
func TestTrappingNestedRowsAreFound(t *testing.T) {
	for _, repeatsExactly := range []bool{true, false} {
		runtest.Bubble(t, fmt.Sprintf("exact %t", repeatsExactly), func(t *testing.T) {
			lines, records := trappingPage()
			lines[3] = ">deep"
			lines[9000] = ">deeper"
			records = slices.Concat(records[:3], records[4:9000], records[9001:])
			r := &reader{repeatsExactly: repeatsExactly}
			w := newWorld(r, lines)
			w.service.bodies = map[string][]string{"deep": {"!trap"}, "deeper": {">inner"}, "inner": {"!trap"}}
			w.o.Tolerance = task.Tolerance{TolerateAll: true}
			var letters []string
			w.o.DeadLetters = newDeadLetters(func(l FailedRow) {
				letters = append(letters, fmt.Sprintf("%s %s", l.Stage, l.Err))
			})
			w.mustRun(t)
			dead, delivered := w.splitRecords()
			slices.Sort(records)
			slices.Sort(delivered)
			// The page is read again: the reader does not number what it has followed.
			delivered = slices.Compact(delivered)
			assert.Equal(t, records, delivered)
			for _, row := range []string{"dead/=>deep", "dead/=>deeper"} {
				assert.True(t, slices.Contains(dead, row), "expected the dead letter %q, found %q", row, dead)
			}
			if len(letters) == 0 || slices.ContainsFunc(letters, func(l string) bool {
				return l != "decode the plugin breaks on this row: plugin fake : decode: unreachable"
			}) {
				t.Errorf("expected dead letters with the trap, found %q", letters)
			}
		})
	}
}

// If no row may be skipped, the task fails and names the row, and earlier rows are delivered.
func TestTrappingRowIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lines, records := trappingPage(9000)
		w := newWorld(&reader{repeatsExactly: true}, lines)
		w.mustFail(t, "row 9000: the plugin breaks on this row: plugin fake : decode: unreachable")
		assert.Equal(t, records[:9000], w.broker.records())
	})
}

// A plugin that traps on every row, a row that the plugin does not skip, and a page that differs each time fail the
// task.
func TestTrappingPagesFailTheTask(t *testing.T) {
	for name, c := range map[string]struct {
		change         func(w *world)
		ignoresSkipRow bool
		maxTraps       int
	}{
		"on every row": {
			change:   func(w *world) { w.service.pages[0] = slices.Repeat([]string{"!trap"}, 100) },
			maxTraps: maxSearches + 1,
		},
		"skipping ignored": {
			change:         func(w *world) { w.service.pages[0] = []string{"a=1", "!trap"} },
			ignoresSkipRow: true,
			maxTraps:       2 * trapsPerRow, // the row is found again
		},
		"other pages": {
			change: func(w *world) {
				n := 0
				w.service.respond = func(_ int, body string) (uint16, string, bool) {
					n++
					return 200, strings.Repeat(fmt.Sprintf("x%d=1\n", n), 100) + "!trap\n" + body, false
				}
			},
			maxTraps: trapsPerChange*(maxPageChanges+1) + 1, // the last trap shows one change too many
		},
	} {
		runtest.Bubble(t, name, func(t *testing.T) {
			r := &reader{ignoresSkipRow: c.ignoresSkipRow}
			w := newWorld(r, rows("a", 3))
			w.o.Tolerance = task.Tolerance{TolerateAll: true}
			c.change(w)
			w.mustFail(t, "unreachable")
			assert.AtMost(t, c.maxTraps, r.trapCount, "traps")
		})
	}
}

// Responses may differ each time although their rows are equal: each entry of an Atom feed has the time of the
// response. The rows are found, whether their position is unchanged or moves by some bytes.
func TestTrappingRowsBetweenChangingTimes(t *testing.T) {
	for name, c := range map[string]struct {
		time     func(n int) string // of the response n
		maxTraps int
	}{
		"of one length": {
			time:     func(n int) string { return fmt.Sprintf("%03d", n) },
			maxTraps: 2 * trapsPerRow,
		},
		"of several lengths": {
			time:     func(n int) string { return strings.Repeat("x", 1+n%3) },
			maxTraps: 2*trapsPerRow + trapsPerChange*maxPageChanges,
		},
	} {
		for _, repeatsExactly := range []bool{true, false} {
			runtest.Bubble(t, fmt.Sprintf("%s, exact %t", name, repeatsExactly), func(t *testing.T) {
				lines, records := trappingPage(5000, 9000)
				r := &reader{repeatsExactly: repeatsExactly}
				w := newWorld(r, lines)
				w.o.Tolerance = task.Tolerance{TolerateAll: true}
				n := 0
				w.service.respond = func(_ int, body string) (uint16, string, bool) {
					n++
					return 200, strings.Replace(body, "=0", "="+c.time(n), 1), false
				}
				w.mustRun(t)
				keys := func(records []string) (keys []string) {
					for _, record := range records {
						key, _, _ := strings.Cut(record, "=")
						keys = append(keys, key)
					}
					slices.Sort(keys)
					return keys
				}
				delivered := keys(w.broker.records())
				if !repeatsExactly {
					delivered = slices.Compact(delivered)
				}
				assert.Equal(t, keys(records), delivered)
				assert.AtMost(t, c.maxTraps, r.trapCount, "traps")
			})
		}
	}
}

// A search ends when it cannot be narrowed further: the plugin traps after the last byte, whatever precedes it.
func TestSearchEndsAfterLastByte(t *testing.T) {
	const maxRequests = 5 // for ranges of 1, 4, 16, 64 and 256 pieces
	for _, size := range []int64{0, 1, pieceSize, 100 * pieceSize} {
		s := bisection{}
		n := 0
		for s.narrow(&trapError{from: size, to: size}) {
			n++
		}
		assert.AtMost(t, maxRequests, n, "requests of a page of", size, "bytes")
	}
}

// If a plugin traps on any input, also before the first byte, no row is at fault.
func TestTrapBeforeFirstByteIsNoRowFault(t *testing.T) {
	s := bisection{}
	assert.True(t, s.narrow(&trapError{from: 0, to: 1480}), "expected the page to be requested again in smaller pieces")
	assert.True(t, !s.narrow(&trapError{}), "expected the search to end")
}

// Tags that the host itself uses are rejected from plugins.
func TestReservedTagsAreRejected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&reader{repeatsExactly: true}, []string{"a=1", ">culvert:skip-row"})
		w.service.bodies = map[string][]string{"culvert:skip-row": rows("b", 1)}
		w.mustFail(t, `linked request with the tag "culvert:skip-row"`)
	})
}
