package paging

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/wit"
)

const (
	// linkBytes is the length up to which links and URLs always fit into an offset. By default servers accept no longer
	// URLs: nginx, Apache and Tomcat allow 8 KiB.
	linkBytes = 8 << 10
	// textBytes is the length up to which keys and values of cursors always fit.
	textBytes = 1 << 10
)

func textOfLength(n int) string { return "/" + strings.Repeat("x", n-1) }

func randomHashes(n int) (hashes []uint64) {
	for range n {
		hashes = append(hashes, rand.Uint64()>>16)
	}
	return hashes
}

// largestPosition returns a position of which every part has its maximum size.
func largestPosition() *Position {
	position := newPosition(known{})
	for _, field := range position.appendFields(nil, &encodedState{}) {
		if field.Flag != nil && field.Name != "done" && field.Name != "cut" {
			*field.Flag = true
		}
	}
	position.url = textOfLength(linkBytes)
	position.pager = pager{kind: bySkip, overlaps: true}
	position.probe = &probe{kind: probeBefore, fallbackLink: textOfLength(linkBytes), key: textOfLength(textBytes),
		message: textOfLength(maxMessage)}
	for _, n := range []*int{&position.rowsRead, &position.totalCount, &position.undecoded.count,
		&position.snapshot.number, &position.snapshot.endMarkerPending, &position.timestamp,
		&position.checks.repeatCount, &position.checks.repeatedPages, &position.checks.emptyPages,
		&position.checks.unreturned, &position.pageRows, &position.pager.skipped, &position.previous.gap,
		&position.previous.count} {
		*n = math.MaxInt
	}
	checks := position.checks
	repeats := repeatCheck{isSampling: true}
	checks.key = textOfLength(textBytes)
	position.previous.witness = textOfLength(textBytes)
	position.previous.witnessHash = "12345678"
	checks.folded = true
	checks.sorted = true
	rows := make([]wit.Row, 4*sampleSize)
	data := make([]byte, 4*sampleSize)
	for i := range rows {
		data[i] = byte(i)
		rows[i].Key = wit.ValueSlice{Size: uint32(i)}
		checks.links.Visit(fmt.Sprint(i))
		checks.pages.Visit(fmt.Sprint(i))
	}
	repeats.rememberLast(rows, data)
	repeats.current = randomHashes(4 * sampleSize)
	repeats.repeatedHashes = randomHashes(1)
	repeats.save(checks)
	checks.lastHashes = packHashes(repeats.lastHashes)
	position.undecoded.hashes = packHashes(randomHashes(maxErrorHashes))
	position.previous.repeatDigest = checks.repeatDigest
	return position
}

// checkFits checks that a position fits into an offset and can be read back.
func checkFits(t *testing.T, p *Position) {
	t.Helper()
	fields := p.Fields()
	t.Logf("%d bytes", wit.OffsetBytes(fields))
	assert.NoError(t, plugin.CheckOffset("next", fields), "an offset that fits")
	_, err := Read(fields)
	assert.NoError(t, err, "a readable offset")
}

// The largest offset of a load fits into the host's limit.
func TestLargestPositionFits(t *testing.T) {
	position := largestPosition()
	assert.True(t, position.checks.sample == packHashes(unpackHashes(position.checks.sample)[:sampleSize]) &&
		len(position.checks.lastHashes) == maxTail*hashSize && len(position.checks.pages.recent) == maxRecent*hashSize,
		"expected the largest parts")
	checkFits(t, position)
}

// The same holds for a load by a cursor whose look-back contains more rows than can be remembered, during the load and
// at its end, for any values: only as many rows are remembered as fit.
func TestLargestPositionOfACursorFits(t *testing.T) {
	for name, value := range map[string]string{
		"time":           "2024-01-01T00:00:00",
		"number":         "7",
		"time with zone": "2024-01-01T00:00:00.1234567+02:00",
		"escaped":        strings.Repeat("ä", textBytes/12),
	} {
		t.Run(name, func(t *testing.T) {
			set := setOf("links", 0)
			set.Cursor = &Cursor{Name: "C", SubtractLookback: func(string) string { return "" },
				Compare: func(a, b string) (int, bool) { return strings.Compare(a, b), true }}
			position := largestPosition()
			for _, isDone := range []bool{false, true, false, true} {
				var check cursorCheck
				check.begin(set.Cursor, position.cursor)
				check.high = value
				for i := range 6_000 {
					check.rows = append(check.rows, seenRow{value, fmt.Sprintf("%011d", i)})
				}
				next := largestPosition()
				next.isDone = isDone
				if isDone {
					next.probe = &probe{}
				} else {
					position.probe = &probe{}
				}
				check.save(set, position, next)
				next.cursor.from = value
				checkFits(t, next)
				n := len(unpackRows(next.cursor.currentRows + next.cursor.previousRows))
				assert.True(t, n >= 100 || len(value) >= 100, "expected at least 100 remembered rows, found %d", n)
				position = next
			}
		})
	}
}

// TestMarksCutToFit: rows within the look-back that an offset has no room for are reported once in three loads, as are
// rows above the limit.
func TestMarksCutToFit(t *testing.T) {
	for name, test := range map[string]struct {
		rows    int
		reports int // for the largest position
	}{
		"all fit":        {rows: 200, reports: 0},
		"cut":            {rows: 1_700, reports: 1},
		"more than kept": {rows: 6_000, reports: 1},
	} {
		for _, isLarge := range []bool{true, false} {
			set := setOf("links", 0)
			set.Cursor = &Cursor{Name: "C", SubtractLookback: func(string) string { return "" },
				Condition: func(string) string { return "" },
				Compare:   func(a, b string) (int, bool) { return strings.Compare(a, b), true }}
			createPosition := func() *Position {
				if !isLarge {
					return newPosition(known{})
				}
				position := largestPosition()
				position.probe.kind = ""
				return position
			}
			current := createPosition()
			reports := 0
			for load := range 3 {
				for number := range 3 {
					var check cursorCheck
					check.begin(set.Cursor, current.cursor)
					for i := range test.rows / 3 {
						check.rows = append(check.rows, seenRow{"7", fmt.Sprintf("%d%010d", number, i)})
					}
					check.high = "7"
					next := createPosition()
					next.isDone = number == 2
					if number == 2 {
						next = newPosition(known{})
						next.isDone = true
					}
					reports += len(check.save(set, current, next))
					current = next
				}
				last := current
				if load < 2 {
					current = createPosition()
					current.cursor = set.Cursor.nextState(last.cursor)
				}
			}
			want := test.reports
			if name == "cut" && !isLarge {
				want = 0
			}
			assert.Equal(t, want, reports, name, "large", isLarge, "reports")
		}
	}
}
