package paging

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/wit"
)

// Lengths up to which links and URLs, and texts of keys and cursors, always fit into an offset. By default servers
// accept no longer URLs: nginx, Apache and Tomcat allow 8 KiB.
const (
	linkBytes = 8 << 10
	textBytes = 1 << 10
)

func textOf(n int) string { return "/" + strings.Repeat("x", n-1) }

func marksOf(n int) (marks []uint64) {
	for range n {
		marks = append(marks, rand.Uint64()>>16)
	}
	return marks
}

// largestPosition returns a position of which every part has its maximum size.
func largestPosition() *Position {
	position := newPosition(math.MaxUint32 &^ loadComplete)
	position.url = textOf(linkBytes)
	position.pager = pager{by: skipWorked, overlaps: true}
	position.probe = &probe{probeKeyOrder, textOf(linkBytes), textOf(textBytes)}
	for _, n := range []*int{&position.rowsRead, &position.totalCount, &position.undecoded.count, &position.snapshot,
		&position.endMarkerPending, &position.timestamp,
		&position.checks.repeatCount,
		&position.checks.emptyPages, &position.checks.unreturned, &position.pageRows, &position.suspectFrom,
		&position.pager.skipped, &position.previous.provenRows, &position.previous.count, &position.previous.minRows} {
		*n = math.MaxInt
	}
	checks := position.checks
	r := repeatCheck{sampling: true}
	checks.key = textOf(textBytes)
	checks.folded = true
	checks.sorted = true
	rows := make([]wit.Row, 4*sampled)
	data := make([]byte, 4*sampled)
	for i := range rows {
		data[i] = byte(i)
		rows[i].Key = wit.ValueSlice{Size: uint32(i)}
		checks.followed.Visit(fmt.Sprint(i))
		checks.pages.Visit(fmt.Sprint(i))
	}
	r.rememberLast(rows, data)
	r.current, r.repeated = marksOf(4*sampled), marksOf(1)
	r.save(checks)
	checks.lastHashes = packHashes(r.lastHashes)
	position.undecoded.hashes = packHashes(marksOf(maxErrorHashes))
	position.previous.repeatDigest, position.previous.outOfOrderKey = checks.repeatDigest, encodeHash(hashOf("x"))
	return position
}

func fits(t *testing.T, p *Position) {
	t.Helper()
	fields := p.Fields()
	t.Logf("%d bytes", wit.OffsetBytes(fields))
	if err := plugin.CheckOffset("next", fields); err != nil {
		t.Error(err)
	}
	if _, err := Read(fields); err != nil {
		t.Error(err)
	}
}

// The largest offset of a load fits into the host's limit.
func TestLargestPositionFits(t *testing.T) {
	position := largestPosition()
	if position.checks.sample != packHashes(unpackHashes(position.checks.sample)[:sampled]) ||
		len(position.checks.lastHashes) != maxTail*hashSize ||
		len(position.checks.pages.recent) != maxRecent*hashSize {
		t.Error("expected the largest parts")
	}
	fits(t, position)
}

// The same holds for a load by a cursor whose look-back contains more rows than can be remembered, during the load and
// at its end, for any values: only as many rows are remembered as fit.
func TestLargestPositionOfACursorFits(t *testing.T) {
	for name, value := range map[string]string{"time": "2024-01-01T00:00:00", "number": "7",
		"time with zone": "2024-01-01T00:00:00.1234567+02:00", "escaped": strings.Repeat("ä", textBytes/12)} {
		t.Run(name, func(t *testing.T) {
			set := setOf("links", 0)
			set.Cursor = &Cursor{Name: "C", SubtractLookback: func(string) string { return "" },
				Compare: func(a, b string) (int, bool) { return strings.Compare(a, b), true }}
			position := largestPosition()
			for _, isDone := range []bool{false, true, false, true} {
				var page cursorCheck
				page.begin(set.Cursor, position.cursor)
				page.high = value
				for i := range 6_000 {
					page.rows = append(page.rows, seenRow{value, fmt.Sprintf("%011d", i)})
				}
				next := largestPosition()
				next.capabilities.set(loadComplete, isDone)
				if isDone {
					next.probe = &probe{}
				} else {
					position.probe = &probe{}
				}
				page.save(set, position, next)
				next.cursor.from = value
				fits(t, next)
				if n := len(unpackRows(next.cursor.currentRows + next.cursor.previousRows)); n < 100 &&
					len(value) < 100 {
					t.Errorf("unexpected number of remembered rows %d", n)
				}
				position = next
			}
		})
	}
}

// TestMarksCutToFit: marks that are cut because the offset is full are reported once, as are marks above the limit.
func TestMarksCutToFit(t *testing.T) {
	for name, test := range map[string]struct{ rows, reports int }{
		"all fit": {200, 0}, "cut": {1_700, 1}, "more than kept": {6_000, 1}} {
		for _, large := range []bool{true, false} {
			set := setOf("links", 0)
			set.Cursor = &Cursor{Name: "C", SubtractLookback: func(string) string { return "" },
				Condition: func(string) string { return "" },
				Compare:   func(a, b string) (int, bool) { return strings.Compare(a, b), true }}
			position := func() *Position {
				if large {
					p := largestPosition()
					p.probe.kind = ""
					return p
				}
				return newPosition(0)
			}
			current := position()
			reports := 0
			for load := range 3 {
				for pages := range 3 {
					var page cursorCheck
					page.begin(set.Cursor, current.cursor)
					for i := range test.rows / 3 {
						page.rows = append(page.rows, seenRow{"7", fmt.Sprintf("%d%010d", pages, i)})
					}
					page.high = "7"
					next := position()
					next.capabilities.set(loadComplete, pages == 2)
					if pages == 2 {
						next = newPosition(loadComplete)
					}
					reports += len(page.save(set, current, next))
					current = next
				}
				last := current
				if load < 2 {
					current = position()
					current.cursor = set.Cursor.nextState(last.cursor)
				}
			}
			want := test.reports
			if name == "cut" && !large {
				want = 0
			}
			if reports != want {
				t.Errorf("%s, large %v: reported %d times, expected %d", name, large, reports, want)
			}
		}
	}
}
