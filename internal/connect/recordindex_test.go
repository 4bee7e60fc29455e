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
		settled bool
		inDoubt bool
	}
	allRows := core.RowSubset{}
	first := newDeadLetter(1, "a", 0, allRows)
	open := indexed{DeadLetter: first}
	replayed := indexed{DeadLetter: first, settled: true}
	inDoubt := indexed{DeadLetter: first, inDoubt: true}
	for name, test := range map[string]struct {
		deadLetters []indexed
		done        []bool
		inDoubt     bool // for the record of the first
		times       int32
	}{
		"one":                   {deadLetters: []indexed{open}, done: []bool{false}},
		"one that was replayed": {deadLetters: []indexed{replayed}, done: []bool{true}},
		"one in doubt":          {deadLetters: []indexed{inDoubt}, done: []bool{false}, inDoubt: true},
		"two":                   {deadLetters: []indexed{open, inDoubt}, done: []bool{false, false}, inDoubt: true},
		"the second was replayed": {
			deadLetters: []indexed{inDoubt, replayed}, done: []bool{true, true}, inDoubt: true,
		},
		"rejected once more": {
			deadLetters: []indexed{replayed, {DeadLetter: newDeadLetter(1, "a", 1, allRows)}, open},
			done:        []bool{true, false, true}, times: 1,
		},
		"killed after its rejection": {
			deadLetters: []indexed{inDoubt, {DeadLetter: newDeadLetter(1, "a", 1, allRows)}},
			done:        []bool{true, false}, times: 1,
		},
		"of a topic that was created again": {
			deadLetters: []indexed{replayed, {DeadLetter: newDeadLetter(1, "b", 0, allRows)}},
			done:        []bool{true, false},
		},
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
		state := r.setSelected(first.recordID(), true)
		if state.inDoubt != test.inDoubt || state.replays != test.times || !r.isDone(first) {
			t.Errorf("%s: found %+v", name, state)
		}
	}
}

// A sink may read the dead letter topic of another connector. Two letters of one record there are two records of the
// sink, and what was replayed or written of that record says nothing of them.
func TestDeadLettersOfDeadLetters(t *testing.T) {
	failure := []kgo.RecordHeader{{Key: culvertHeaderPrefix + "stage", Value: []byte("write")}}
	foreign := []kgo.RecordHeader{{Key: "of the record"}, {Key: culvertHeaderPrefix + "parts", Value: []byte("2 of 3")},
		{Key: culvertHeaderPrefix + "replays", Value: []byte("3")},
		{Key: culvertHeaderPrefix + "original", Value: []byte(strings.Repeat("0a", 16))}}
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
		times         int
		rows          uint32
		undelivered   []uint32
		want          string
		contradictory bool
	}{
		{rows: 3},
		{rows: 3, undelivered: []uint32{0, 2}, want: "1,3 of 3"},
		{rows: 3, undelivered: []uint32{2}, want: "3 of 3"},
		{rows: 4, undelivered: []uint32{2}, want: "3 of 3", contradictory: true},
		{times: 1, rows: 4, undelivered: []uint32{1}, want: "2 of 4"},
	} {
		letter := newDeadLetter(1, "a", test.times, core.NewRowSubset(test.rows, test.undelivered))
		require.NoError(t, r.add(letter, false, false))
		indexedRows := ""
		if parts := r.rows[id]; !parts.IsAll() {
			indexedRows = parts.String()
		}
		if indexedRows != test.want || r.contradictory[id] != test.contradictory {
			t.Errorf("dead letter %d: expected %q, contradictory %t, found %q, %t", i, test.want, test.contradictory,
				indexedRows, r.contradictory[id])
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
