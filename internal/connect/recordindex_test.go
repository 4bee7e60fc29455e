package connect

import (
	"fmt"
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

// newDeadLetter returns a dead letter of the record at an offset of one topic.
func newDeadLetter(offset int64, value string, replays int, rows core.RowSubset) *DeadLetter {
	return &DeadLetter{Record: &kgo.Record{Key: []byte("k"), Value: []byte(value)}, Replays: replays,
		DeadLetterOrigin: DeadLetterOrigin{Topic: "t", Offset: offset, Timestamp: time.UnixMilli(7), Rows: rows}}
}

// Arguments of recordIndex.add for a letter that is not done and not in doubt.
const (
	isOpen    = false
	isCertain = false
)

// A dead letter is done if its record is settled or has a dead letter with more replays.
func TestRecordIndexFindsOpenLetters(t *testing.T) {
	type letter struct {
		*DeadLetter
		isDone  bool
		inDoubt bool
	}
	allRows := core.RowSubset{}
	first := newDeadLetter(1, "a", 0, allRows)
	open := letter{DeadLetter: first}
	replayed := letter{DeadLetter: first, isDone: true}
	inDoubt := letter{DeadLetter: first, inDoubt: true}
	rejected := letter{DeadLetter: newDeadLetter(1, "a", 1, allRows)}
	for name, test := range map[string]struct {
		letters     []letter
		wantDone    []bool
		wantInDoubt bool // for the record of the first
		wantReplays int32
	}{
		"one":                   {letters: []letter{open}, wantDone: []bool{false}},
		"one that was replayed": {letters: []letter{replayed}, wantDone: []bool{true}},
		"one in doubt":          {letters: []letter{inDoubt}, wantDone: []bool{false}, wantInDoubt: true},
		"two":                   {letters: []letter{open, inDoubt}, wantDone: []bool{false, false}, wantInDoubt: true},
		"the second was replayed": {
			letters:     []letter{inDoubt, replayed},
			wantDone:    []bool{true, true},
			wantInDoubt: true,
		},
		"rejected again": {
			letters:     []letter{replayed, rejected, open},
			wantDone:    []bool{true, false, true},
			wantReplays: 1,
		},
		"killed after its rejection": {
			letters:     []letter{inDoubt, rejected},
			wantDone:    []bool{true, false},
			wantReplays: 1,
		},
		"of a topic that was created again": {
			letters:  []letter{replayed, {DeadLetter: newDeadLetter(1, "b", 0, allRows)}},
			wantDone: []bool{true, false},
		},
	} {
		index := newRecordIndex(kafka.Config{})
		for _, l := range test.letters {
			require.NoError(t, index.add(l.DeadLetter, l.isDone, l.inDoubt))
		}
		for i, l := range test.letters {
			about := fmt.Sprintf("%s: dead letter %d is done", name, i)
			assert.Equal(t, test.wantDone[i], index.isDone(l.DeadLetter), about)
		}
		state := index.setSelected(first.recordID(), true)
		assert.Equal(t, test.wantInDoubt, state.inDoubt, name+": in doubt")
		assert.Equal(t, test.wantReplays, state.replays, name+": replays")
		assert.Equal(t, true, index.isDone(first), name+": a selected letter is done")
	}
}

// A sink may read the dead letter topic of another connector. Two letters of one record in that topic are two records
// of the sink, whatever was replayed or written of that record.
func TestDeadLetterOfADeadLetterIsAnotherRecord(t *testing.T) {
	failureHeaders := []kgo.RecordHeader{{Key: culvertHeaderPrefix + "stage", Value: []byte("write")}}
	recordHeaders := []kgo.RecordHeader{
		{Key: "of the record"},
		{Key: culvertHeaderPrefix + "parts", Value: []byte("2 of 3")},
		{Key: culvertHeaderPrefix + "replays", Value: []byte("3")},
		{Key: culvertHeaderPrefix + "original", Value: []byte(strings.Repeat("0a", 16))},
	}
	letter := ParseDeadLetter(&kgo.Record{Headers: appendHeaders(nil, recordHeaders, failureHeaders)})
	assert.Equal(t, []kgo.RecordHeader{recordHeaders[0], failureHeaders[0]}, letter.Record.Headers)
	assert.Equal(t, []any{"", 0, true}, []any{letter.Original, letter.Replays, letter.Rows.IsAll()})
	assert.Equal(t, recordHeaders, appendHeaders(nil, recordHeaders, nil), "without headers of the failure")
}

// Rows of a source that have no time are identified by their letters: a settled one does not settle the next letter of
// the same row. A retry keeps the identifier.
func TestRowsWithoutTimeAreIdentifiedByTheirLetters(t *testing.T) {
	letterAt := func(offset int64, original string) *DeadLetter { // a letter with an original is a retry
		replays := 0
		if original != "" {
			replays = 1
		}
		r := deadLetterOf("dlq", "c", 1, replays, "no")
		r.Offset = offset
		r.Attrs = kgo.NewRecordAttrs(kgo.RecordAttrsOpts{TimestampType: 1}) // LogAppendTime
		l := ParseDeadLetter(r)
		l.Original = original
		return &l
	}
	first := letterAt(0, "")
	retry := letterAt(1, first.forReplay().Original)
	index := newDeadLetterIndex()
	for _, l := range []*DeadLetter{first, retry, letterAt(2, "")} {
		index.add(l)
	}
	settled := replayState{}
	settled.markDone(0, 1)
	index.update(kafka.Positions{0: 0}, map[int32]replayState{0: settled})
	page, _, err := index.page(DeadLetterQuery{Show: ShowAll})
	require.NoError(t, err)
	assert.Equal(t, []any{2, int64(1)}, []any{len(page), *index.summary().Open})
}

// Of the dead letters with the most replays, the rows to send are those that failed in all of them.
func TestRecordIndexIntersectsRows(t *testing.T) {
	index := newRecordIndex(kafka.Config{})
	id := newDeadLetter(1, "a", 0, core.RowSubset{}).recordID()
	for i, letter := range []struct {
		replays           int
		rows              uint32
		failedRows        []uint32
		want              string // after this letter; "" means all rows
		wantContradiction bool
	}{
		{rows: 3},
		{rows: 3, failedRows: []uint32{0, 2}, want: "1,3 of 3"},
		{rows: 3, failedRows: []uint32{2}, want: "3 of 3"},
		{rows: 4, failedRows: []uint32{2}, want: "3 of 3", wantContradiction: true},
		{replays: 1, rows: 4, failedRows: []uint32{1}, want: "2 of 4"},
	} {
		deadLetter := newDeadLetter(1, "a", letter.replays, core.NewRowSubset(letter.rows, letter.failedRows))
		require.NoError(t, index.add(deadLetter, isOpen, isCertain))
		rows := ""
		if subset := index.rows[id]; !subset.IsAll() {
			rows = subset.String()
		}
		if rows != letter.want || index.contradictory[id] != letter.wantContradiction {
			t.Errorf("dead letter %d: expected %q, contradictory %t, found %q, %t", i, letter.want,
				letter.wantContradiction, rows, index.contradictory[id])
		}
	}
}

func TestRecordIndexIsBounded(t *testing.T) {
	index := newRecordIndex(kafka.Config{})
	assert.Equal(t, maxIndexedRecords, index.limit)
	index.limit = 3
	for i := range 6 { // two letters of each record
		letter := newDeadLetter(int64(i/2), strconv.Itoa(i/2), 0, core.RowSubset{})
		require.NoError(t, index.add(letter, isOpen, isCertain))
	}
	err := index.add(newDeadLetter(3, "3", 0, core.RowSubset{}), isOpen, isCertain)
	assert.Error(t, err, "expected dead letters of at most 3 records")
}
