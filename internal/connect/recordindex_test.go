package connect

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka"
	core "github.com/culvert-project/culvert/internal/run/task"
)

func newDeadLetter(offset int64, value string, times int, parts core.RowSubset) *DeadLetter {
	return &DeadLetter{Record: &kgo.Record{Key: []byte("k"), Value: []byte(value)}, Replays: times,
		DeadLetterOrigin: DeadLetterOrigin{Topic: "t", Offset: offset, Timestamp: time.UnixMilli(7), Rows: parts}}
}

func TestRecordIndex(t *testing.T) {
	type indexed struct {
		*DeadLetter
		settled, inDoubt bool
	}
	whole := core.RowSubset{}
	first := newDeadLetter(1, "a", 0, whole)
	for name, test := range map[string]struct {
		deadLetters []indexed
		done        []bool
		inDoubt     bool // for the record of the first
		times       int32
	}{
		"one":                   {[]indexed{{first, false, false}}, []bool{false}, false, 0},
		"one that was replayed": {[]indexed{{first, true, false}}, []bool{true}, false, 0},
		"one in doubt":          {[]indexed{{first, false, true}}, []bool{false}, true, 0},
		"two": {[]indexed{{first, false, false}, {first, false, true}}, []bool{false, false}, true,
			0},
		"the second was replayed": {[]indexed{{first, false, true}, {first, true, false}}, []bool{true, true}, true, 0},
		"refused once more": {[]indexed{{first, true, false}, {newDeadLetter(1, "a", 1, whole), false, false},
			{first, false, false}}, []bool{true, false, true}, false, 1},
		"killed behind its refusal": {[]indexed{{first, false, true}, {newDeadLetter(1, "a", 1, whole), false, false}},
			[]bool{true, false}, false, 1},
		"of a topic that was made anew": {[]indexed{{first, true, false},
			{newDeadLetter(1, "b", 0, whole), false, false}},
			[]bool{true, false}, false, 0},
	} {
		r := newRecordIndex(kafka.Config{})
		for _, l := range test.deadLetters {
			require.NoError(t, r.add(l.DeadLetter, l.settled, l.inDoubt))
		}
		for i, l := range test.deadLetters {
			if r.isDone(l.DeadLetter) != test.done[i] {
				t.Errorf("%s: dead letter %d: expected done %t", name, i, test.done[i])
			}
		}
		if state := r.setSelected(first.recordID(), true); state.inDoubt != test.inDoubt ||
			state.replays != test.times ||
			!r.isDone(first) {
			t.Errorf("%s: found %+v", name, state)
		}
	}
}

// A sink may read the dead letter topic of another connector. Two letters of one record there are two records of the
// sink, and what was replayed or written of that record says nothing of them.
func TestDeadLettersOfDeadLetters(t *testing.T) {
	failure := []kgo.RecordHeader{{Key: ownHeaderPrefix + "stage", Value: []byte("write")}}
	foreign := []kgo.RecordHeader{{Key: "of the record"}, {Key: ownHeaderPrefix + "parts", Value: []byte("2 of 3")},
		{Key: ownHeaderPrefix + "replays", Value: []byte("3")},
		{Key: ownHeaderPrefix + "original", Value: []byte(strings.Repeat("0a", 16))}}
	l := ParseDeadLetter(&kgo.Record{Headers: appendHeaders(nil, foreign, failure)})
	assert.Equal(t, []kgo.RecordHeader{foreign[0], failure[0]}, l.Record.Headers)
	assert.Equal(t, []any{"", 0, true}, []any{l.Original, l.Replays, l.Rows.IsAll()})
	assert.Equal(t, foreign, appendHeaders(nil, foreign, nil), "without headers of errors, records are as they were")
}

// Rows of a source that have no time are told apart by their letters: an earlier one says nothing of the next refusal
// of the same row. A retry keeps the identifier.
func TestRowsWithoutTime(t *testing.T) {
	letterAt := func(offset int64, original string) *DeadLetter {
		r := deadLetterOf("dlq", "c", 1, len(original)/32, "no")
		r.Offset = offset
		r.Attrs = kgo.NewRecordAttrs(kgo.RecordAttrsOpts{TimestampType: 1}) // LogAppendTime
		l := ParseDeadLetter(r)
		l.Original = original
		return &l
	}
	first := letterAt(0, "")
	retried := letterAt(1, first.forReplay().Original)
	x := newDeadLetterIndex()
	for _, l := range []*DeadLetter{first, retried, letterAt(2, "")} {
		x.add(l)
	}
	settled := replayState{}
	settled.markDone(0, 1)
	x.update(kafka.Positions{0: 0}, map[int32]replayState{0: settled})
	page, _, err := x.page(DeadLetterQuery{Show: ShowAll})
	require.NoError(t, err)
	assert.Equal(t, []any{2, int64(1)}, []any{len(page), *x.summary().Open})
}

func TestRecordIndexRows(t *testing.T) {
	r := newRecordIndex(kafka.Config{})
	id := newDeadLetter(1, "a", 0, core.RowSubset{}).recordID()
	for i, test := range []struct {
		times int
		of    uint32
		left  []uint32
		want  string
		odd   bool
	}{
		{0, 3, nil, "", false},
		{0, 3, []uint32{0, 2}, "1,3 of 3", false},
		{0, 3, []uint32{2}, "3 of 3", false},
		{0, 4, []uint32{2}, "3 of 3", true},
		{1, 4, []uint32{1}, "2 of 4", false},
	} {
		require.NoError(t, r.add(newDeadLetter(1, "a", test.times, core.NewRowSubset(test.of, test.left)), false,
			false))
		found := ""
		if parts := r.rows[id]; !parts.IsAll() {
			found = parts.String()
		}
		if found != test.want || r.contradictory[id] != test.odd {
			t.Errorf("dead letter %d: expected %q, contradicting %t, found %q, %t", i, test.want, test.odd, found,
				r.contradictory[id])
		}
	}
}

func TestRecordIndexIsBounded(t *testing.T) {
	r := newRecordIndex(kafka.Config{})
	if r.limit != maxIndexedRecords {
		t.Errorf("expected %d records, found %d", maxIndexedRecords, r.limit)
	}
	r.limit = 3
	for i := range 6 {
		require.NoError(t, r.add(newDeadLetter(int64(i/2), strconv.Itoa(i/2), 0, core.RowSubset{}), false, false))
	}
	if r.add(newDeadLetter(3, "3", 0, core.RowSubset{}), false, false) == nil {
		t.Error("expected at most 3 records")
	}
}
