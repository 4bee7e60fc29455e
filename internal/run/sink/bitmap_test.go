package sink

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/kafka"
)

// meaning returns the metadata as a reader interprets it: a settled record has no other state, and a record that is
// both sent and in doubt is in doubt.
func (m metadata) meaning() string {
	m.settled = mergeRanges(slices.Clone(m.settled))
	var inDoubt, inFlight []offsetRange
	for _, s := range mergeRanges(slices.Clone(m.inDoubt)) {
		inDoubt = append(inDoubt, gaps(s, slices.Clone(m.settled))...)
	}
	m.inDoubt = mergeRanges(inDoubt)
	for _, s := range mergeRanges(slices.Clone(m.inFlight)) {
		inFlight = append(inFlight, gaps(s, slices.Concat(m.settled, m.inDoubt))...)
	}
	m.inFlight = mergeRanges(inFlight)
	return m.encodeLists(0)
}

// Metadata of every kind is read as it was written, and is never longer than lists.
func TestBitmapMetadata(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for round := range 600 {
		next := r.Int64N(1 << 40)
		n := metadata{}
		at := next + r.Int64N(3)
		for range r.IntN(300) {
			// Runs of all lengths, close together and far apart.
			s := offsetRange{at, at}
			if round%2 == 0 && r.IntN(10) == 0 {
				s.last += r.Int64N(500)
			}
			at = s.last + 1 + r.Int64N(3)
			if round%2 == 0 && r.IntN(100) == 0 {
				at += r.Int64N(1 << 20)
			}
			switch r.IntN(4) {
			case 0:
				n.inFlight = append(n.inFlight, s)
			case 1:
				n.inDoubt = append(n.inDoubt, s)
				if r.IntN(5) == 0 && s.last-s.first < 100 { // checked now
					n.inFlight = append(n.inFlight, offsetRange{s.first, s.last})
				}
				if r.IntN(20) == 0 {
					n.usedDecisions = append(n.usedDecisions, offsetRange{s.first, s.first})
				}
			default:
				n.settled = append(n.settled, s)
			}
		}
		text := n.encode(next)
		got, err := parseMetadata(next, text)
		if err != nil || got.meaning() != n.meaning() || len(text) > len(n.encodeLists(next)) ||
			n.listsLength(next) != len(n.encodeLists(next)) {
			t.Fatalf("round %d: %.300q, %v; expected %.300s, found %.300s", round, text, err, n.meaning(),
				got.meaning())
		}
		rangeCount := len(n.settled) + len(n.inFlight) + len(n.inDoubt)
		assert.True(t, round%2 != 1 || rangeCount <= 100 || strings.Contains(text, bitmapName+"="),
			"round %d: %d ranges in lists: %.300s", round, rangeCount, text)
	}
	// A compacted record in doubt among settled ones does not prevent the dense form.
	compacted := metadata{inDoubt: []offsetRange{{1, 1}}}
	for at := int64(0); at < 900; at += 4 {
		compacted.settled = append(compacted.settled, offsetRange{at, at + 2})
	}
	if text := compacted.encode(0); len(text) > 310 {
		t.Errorf("expected the dense form, of at most 310 bytes, found %d bytes: %.300s", len(text), text)
	} else if got, err := parseMetadata(0, text); err != nil || got.meaning() != compacted.meaning() {
		t.Errorf("expected %s, found %s, %v", compacted.meaning(), got.meaning(), err)
	}
	for metadata, want := range map[string]string{"near=0:BI-": "uncertain=7-8 sent=4,6 settled=0",
		"near=7:_ settled=1": "uncertain=7-9 settled=1", "near=0:": ""} {
		if n, err := parseMetadata(0, metadata); err != nil || n.encodeLists(0) != want {
			t.Errorf("%s: expected %s, found %s, %v", metadata, want, n.encodeLists(0), err)
		}
	}
	for _, text := range []string{"near", "near=", "near=3", "near=:A", "near=-1:A", "near=x:A", "near=1:A*",
		"near=1:A,B", "near=9000000000000000000:A", "near=0:" + strings.Repeat("q", maxInDoubt/3+1)} {
		_, err := parseMetadata(7, text)
		assert.True(t, err != nil, "%.50s: expected an error", text)
	}
}

// Metadata of a version that wrote only lists, and longer ones, is continued: settled records are not written again,
// and records that may have been sent are checked or wait.
func TestListMetadataAreContinued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{rowsPerRequest: 1000})
		x.o.BatchRows = 8000
		x.o.InFlight = 8
		x.group.maxPoll = 8000
		settled := metadata{}
		want := map[string]bool{}
		for i := range int64(3000) {
			line := fmt.Sprintf("%c%d=1", 'a'+i%8, i)
			x.group.put("t", 0, line)
			if i%4 == 1 && i < 2900 {
				settled.settled = append(settled.settled, offsetRange{i, i})
			} else {
				want[line] = true
			}
		}
		tp := topicPartition{"t", 0}
		x.group.metadata[tp] = settled.encodeLists(0)
		x.group.committed[tp] = 0
		if n := len(x.group.metadata[tp]); n < 3000 || n > kafka.MaxCommitText {
			t.Fatalf("expected metadata of 3000 to %d bytes, found %d", kafka.MaxCommitText, n)
		}
		x.mustRun(t)
		got := writeCounts(t, x)
		for line := range want {
			assert.Equal(t, 1, got[line], line)
		}
		assert.Equal(t, len(want), len(got), "records")
		assert.Equal(t, 3000, x.committed("t", 0), "committed")
	})
}
