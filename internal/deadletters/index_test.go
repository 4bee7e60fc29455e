package deadletters

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/run/task"
)

// newDeadLetter returns a dead letter of the record at an offset of one topic.
func newDeadLetter(offset int64, value string, replays int, rows task.RowSubset) *Letter {
	return &Letter{Connector: "c", Record: &kgo.Record{Key: []byte("k"), Value: []byte(value)}, Replays: replays,
		Origin: Origin{Topic: "t", Offset: offset, Timestamp: time.UnixMilli(7), Rows: rows}}
}

// testLetter is a letter of one record in a replay index.
type testLetter struct {
	value     string // of the record; letters with other values are of other records
	partition int32
	replays   int
	failedAt  int64 // Unix seconds
	isSettled bool
	inDoubt   bool
}

// indexOf returns an index of letters, whose offsets are their places in the list.
func indexOf(t *testing.T, indexed []testLetter) (index *replayIndex, letters []*Letter) {
	t.Helper()
	index = newReplayIndex(nil)
	replays := map[int32]*partitionReplay{0: {}, 1: {}}
	for i, l := range indexed {
		letter := newDeadLetter(1, l.value, l.replays, task.RowSubset{})
		letter.Record.Partition = l.partition
		letter.Record.Offset = int64(i)
		letter.FailedAt = time.Unix(l.failedAt, 0)
		letters = append(letters, letter)
		require.NoError(t, index.add(letter, &Filter{}))
		state := &replays[l.partition].state
		if l.isSettled {
			state.markSettled(int64(i), int64(i))
		}
		if l.inDoubt {
			state.setInDoubt(int64(i), "")
		}
	}
	index.update(replays)
	return index, letters
}

// Each letter's own position decides whether it is settled. Of the open letters of a record the newest one is sent,
// whatever the headers of others say.
func TestReplayIndexFindsOpenLetters(t *testing.T) {
	for name, test := range map[string]struct {
		letters []testLetter
		want    int // the letter that is sent for the record of the first one, or -1
		attempt attempt
	}{
		"a letter":         {letters: []testLetter{{}}, want: 0, attempt: attempt{replays: 1}},
		"a settled letter": {letters: []testLetter{{isSettled: true}}, want: -1, attempt: attempt{replays: 1}},
		"a letter in doubt": {letters: []testLetter{{inDoubt: true}}, want: 0,
			attempt: attempt{replays: 1, inDoubt: true}},
		"a duplicate, the first is in doubt": {letters: []testLetter{{inDoubt: true}, {}}, want: 1,
			attempt: attempt{replays: 1, inDoubt: true}},
		"a duplicate in another partition, the first is in doubt": {letters: []testLetter{
			{partition: 1, inDoubt: true}, {failedAt: 5}}, want: 1, attempt: attempt{replays: 1, inDoubt: true}},
		"refused again": {letters: []testLetter{{isSettled: true}, {replays: 1}}, want: 1,
			attempt: attempt{replays: 2}},
		"killed after it was refused": {letters: []testLetter{{inDoubt: true}, {replays: 1}}, want: 1,
			attempt: attempt{replays: 2}},
		"read and refused again after it was settled": {letters: []testLetter{{isSettled: true}, {}}, want: 1,
			attempt: attempt{replays: 1}},
		"read and refused again after a replay was refused": {
			letters: []testLetter{{isSettled: true}, {replays: 1, isSettled: true}, {}}, want: 2,
			attempt: attempt{replays: 2}},
		"an older letter is open": {letters: []testLetter{{}, {replays: 1, isSettled: true}}, want: 0,
			attempt: attempt{replays: 2}},
		"a topic that was created again": {letters: []testLetter{{isSettled: true}, {value: "b"}}, want: -1,
			attempt: attempt{replays: 1}},
		"forged headers": {letters: []testLetter{{replays: math.MaxInt32, failedAt: math.MaxUint32}, {failedAt: 5}},
			want: 1, attempt: attempt{replays: math.MaxInt32 + 1}},
		"two partitions": {letters: []testLetter{{partition: 1, failedAt: 5}, {failedAt: 7}, {partition: 1}},
			want: 1, attempt: attempt{replays: 1}},
	} {
		index, letters := indexOf(t, test.letters)
		found := -1
		for i, l := range letters {
			original := l.recordID().original()
			if l.recordID() == letters[0].recordID() && index.newest(original).position() == l.position() &&
				index.isOpen(original) {
				found = i
			}
		}
		assert.Equal(t, test.want, found, name+": the letter to send")
		attempt := index.nextAttempt(letters[0].recordID().original())
		assert.Equal(t, []any{test.attempt.replays, test.attempt.inDoubt}, []any{attempt.replays, attempt.inDoubt},
			name+": replays, in doubt")
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
	letter := Parse(&kgo.Record{Headers: appendHeaders(nil, recordHeaders, failureHeaders)}, nil)
	assert.Equal(t, []kgo.RecordHeader{recordHeaders[0], failureHeaders[0]}, letter.Record.Headers)
	assert.Equal(t, []any{"", 0, true}, []any{letter.Original, letter.Replays, letter.Rows.IsAll()})
	assert.Equal(t, recordHeaders, appendHeaders(nil, recordHeaders, nil), "without headers of the failure")
}

// A header of ours in an unknown format is named, whatever its value: the letter is not replayed. Other headers are of
// other programs.
func TestHeadersInUnknownFormat(t *testing.T) {
	const original = "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"
	for _, test := range []struct{ name, value, want string }{
		{name: "__culvert.errors.parts", value: "2 of 3"},
		{name: "__culvert.errors.parts", value: "none of 3"},
		{name: "__culvert.errors.parts", value: " of 3", want: "__culvert.errors.parts"},
		{name: "__culvert.errors.parts", want: "__culvert.errors.parts"},
		{name: "__culvert.errors.replays", value: "3"},
		{name: "__culvert.errors.replays", value: "-1", want: "__culvert.errors.replays"},
		{name: "__culvert.errors.original", value: original},
		{name: "__culvert.errors.original", value: original[2:], want: "__culvert.errors.original"},
		{name: "__culvert.errors.timestamp", value: "1700000000000"},
		{name: "__culvert.errors.timestamp", value: "yesterday", want: "__culvert.errors.timestamp"},
		{name: "__culvert.errors.partition", value: "7"},
		{name: "__culvert.errors.partition", value: "7,8", want: "__culvert.errors.partition"},
		{name: "__culvert.errors.time", value: "2026-01-02T03:04:05Z"},
		{name: "__culvert.errors.time", value: "3 o'clock", want: "__culvert.errors.time"},
		{name: "__culvert.errors.service.code", value: "SY/530"},
		{name: "__culvert.errors.attempts", value: "1", want: unknownHeader},
		{name: "__connect.errors.attempts", value: "1"},
		{name: "of the record", value: "1"},
	} {
		headers := []kgo.RecordHeader{{Key: "__culvert.errors.stage", Value: []byte("write")},
			{Key: test.name, Value: []byte(test.value)}}
		letter := Parse(&kgo.Record{Headers: headers}, nil)
		assert.Equal(t, test.want, letter.UnreadableHeader, test.name, test.value)
	}
}

// A row of a source with a key is one original each time that it is read, until it has another value. Rows without key
// and time are identified by their letters: a settled one does not settle the next letter of the same row. A retry
// keeps the identifier.
func TestRowsOfASourceAreIdentified(t *testing.T) {
	letterAt := func(offset int64, key []byte, value, original string) *Letter { // with an original it is a retry
		replays := 0
		if original != "" {
			replays = 1
		}
		r := deadLetterOf("dlq", "c", 1, replays, "no")
		r.Offset = offset
		r.Key = key
		r.Value = nil
		if value != "" {
			r.Value = []byte(value)
		}
		r.Attrs = kgo.NewRecordAttrs(kgo.RecordAttrsOpts{TimestampType: 1}) // LogAppendTime
		l := Parse(r, nil)
		l.Original = original
		return &l
	}
	for _, test := range []struct {
		key       []byte
		others    string // the value of the last letter
		want      int    // number of originals
		wantOpen  int64
		wantTries int // attempts of the newest original
	}{
		{key: nil, others: "v1", want: 2, wantOpen: 1, wantTries: 1},
		{key: []byte("k"), others: "v1", want: 1, wantOpen: 1, wantTries: 3},
		{key: []byte("k"), others: "v2", want: 2, wantOpen: 1, wantTries: 1},
		{key: []byte("k"), others: "", want: 2, wantOpen: 1, wantTries: 1}, // a tombstone
	} {
		first := letterAt(0, test.key, "v1", "")
		retry := letterAt(1, test.key, "edited", first.forReplay().Original)
		last := letterAt(2, test.key, test.others, "")
		index := newIndex()
		for _, l := range []*Letter{first, retry, last} {
			index.add(l)
		}
		settled := replayState{}
		settled.markSettled(0, 1)
		index.update(kafka.Positions{0: 0}, map[int32]replayState{0: settled})
		page, err := index.page("dlq", Query{Show: ShowAll})
		require.NoError(t, err)
		tries := index.failures(last.recordID().original())
		assert.Equal(t, []any{test.want, test.wantOpen, test.wantTries},
			[]any{len(page.listed), *index.summary().Open, tries}, fmt.Sprint(test))
	}
}

// A letter is superseded by a newer one of the same key with another value: a row by the time of its last read, beyond
// what clocks may differ, a record by its offset. A retry that is rejected makes neither newer.
func TestSupersededLetters(t *testing.T) {
	const tolerance = 2000 // milliseconds
	type letter struct {
		key       string // "" means none
		value     string
		millis    int64 // when a row failed, or the offset of a sink's record
		retryOf   int   // the place of the letter that was retried, plus one
		isOfASink bool
		failedAt  int64 // Unix seconds, of a sink's record
	}
	for name, test := range map[string]struct {
		letters []letter
		want    []int // the places of the newest letters of superseded originals
	}{
		"one value": {letters: []letter{{key: "k", value: "a"}, {key: "k", value: "a", millis: 9000}}},
		"another value": {letters: []letter{{key: "k", value: "a"}, {key: "k", value: "b", millis: tolerance + 1}},
			want: []int{0}},
		"clocks may differ": {letters: []letter{{key: "k", value: "a"}, {key: "k", value: "b", millis: tolerance}}},
		"other keys":        {letters: []letter{{key: "k", value: "a"}, {key: "l", value: "b", millis: 9000}}},
		"no keys":           {letters: []letter{{value: "a"}, {value: "b", millis: 9000}}},
		"the value returns": {letters: []letter{{key: "k", value: "a"}, {key: "k", value: "b", millis: 9000},
			{key: "k", value: "a", millis: 18000}}, want: []int{1}},
		"three values": {letters: []letter{{key: "k", value: "a"}, {key: "k", value: "b", millis: 9000},
			{key: "k", value: "c", millis: 18000}}, want: []int{0, 1}},
		"a retry": {letters: []letter{{key: "k", value: "a"}, {key: "k", value: "b", millis: 9000},
			{key: "k", value: "a", millis: 18000, retryOf: 1}}, want: []int{2}},
		"records": {letters: []letter{{key: "k", value: "a", millis: 7, isOfASink: true},
			{key: "k", value: "b", millis: 8, isOfASink: true}}, want: []int{0}},
		"records of a topic that was created again": {letters: []letter{{key: "k", value: "a", millis: 1000, isOfASink: true},
			{key: "k", value: "b", millis: 5, isOfASink: true, failedAt: 1}}},
		"records of one value": {letters: []letter{{key: "k", value: "a", millis: 7, isOfASink: true},
			{key: "k", value: "a", millis: 8, isOfASink: true}}},
	} {
		index := newIndex()
		var letters []*Letter
		for i, l := range test.letters {
			r := &kgo.Record{Offset: int64(i), Value: []byte(l.value), Timestamp: time.UnixMilli(l.millis)}
			if l.key != "" {
				r.Key = []byte(l.key)
			}
			added := Parse(r, nil)
			added.Connector = "c"
			if l.isOfASink {
				added.Origin = Origin{Topic: "t", Offset: l.millis}
				added.FailedAt = time.Unix(l.failedAt, 0)
			}
			if l.retryOf > 0 {
				first := letters[l.retryOf-1]
				added.Original = first.forReplay().Original
				added.Timestamp = first.Timestamp
				added.Replays = 1
			}
			letters = append(letters, &added)
			index.add(&added)
		}
		index.update(kafka.Positions{0: 0}, nil)
		var superseded []int
		for position := range index.selected(ShowOpen, &Filter{Superseded: true}) {
			superseded = append(superseded, int(position.Offset))
		}
		slices.Sort(superseded)
		assert.Equal(t, test.want, superseded, name)
		assert.Equal(t, len(test.want), index.summary().Superseded, name)
	}
}

// The rows to send are those that failed in all open letters of a record, and in the last read of a source's row: rows
// that were delivered after an earlier read may have been overwritten since.
func TestReplayIndexIntersectsRows(t *testing.T) {
	index := newReplayIndex(nil)
	for i, letter := range []struct {
		rows              uint32
		failedRows        []uint32
		want              string // after this letter; "" means all rows
		wantContradiction bool
	}{
		{rows: 3},
		{rows: 3, failedRows: []uint32{0, 2}, want: "1,3 of 3"},
		{rows: 3, failedRows: []uint32{2}, want: "3 of 3"},
		{rows: 4, failedRows: []uint32{2}, want: "3 of 4", wantContradiction: true},
	} {
		deadLetter := newDeadLetter(1, "a", 0, task.NewRowSubset(letter.rows, letter.failedRows))
		deadLetter.Record.Offset = int64(i)
		require.NoError(t, index.add(deadLetter, &Filter{}))
		index.update(nil)
		attempt := index.nextAttempt(deadLetter.recordID().original())
		assert.Equal(t, letter.want, attempt.rows.String(), fmt.Sprintf("after letter %d", i))
		assert.Equal(t, letter.wantContradiction, attempt.isContradictory, fmt.Sprintf("after letter %d", i))
	}

	index = newReplayIndex(nil)
	for i, letter := range []struct {
		failedRow uint32
		replays   int
		want      string // after this letter
	}{
		{failedRow: 0, want: "1 of 3"},
		{failedRow: 1, want: "2 of 3"},
		{failedRow: 1, replays: 1, want: "2 of 3"},
		{failedRow: 2, want: "3 of 3"},
	} {
		row := newDeadLetter(0, "a", letter.replays, task.NewRowSubset(3, []uint32{letter.failedRow}))
		row.Partition = -1
		row.Record.Offset = int64(i)
		require.NoError(t, index.add(row, &Filter{}))
		index.update(nil)
		attempt := index.nextAttempt(row.recordID().original())
		assert.Equal(t, letter.want, attempt.rows.String(), fmt.Sprintf("of a source, after letter %d", i))
	}
}

func TestReplayIndexIsBounded(t *testing.T) {
	const reserved = maxReplayBytes - 3*indexedLetterBytes
	running := &runningReplay{registry: &replayRegistry{bytes: reserved}, bytes: reserved}
	index := newReplayIndex(running)
	for i := range 3 {
		require.NoError(t, index.add(newDeadLetter(int64(i), "", 0, task.RowSubset{}), &Filter{}))
	}
	err := index.add(newDeadLetter(3, "", 0, task.RowSubset{}), &Filter{})
	assert.Error(t, err, "expected dead letters that need at most 312 MiB")
	running.end()
	assert.Equal(t, 0, running.registry.bytes)
}

// A filter by time selects an original that was failing within it, also if it has failed again since.
func TestTimesOfAnOriginal(t *testing.T) {
	index, letters := indexOf(t, []testLetter{{failedAt: 5}, {failedAt: 15}})
	for _, test := range []struct {
		since int64 // Unix seconds
		until int64
		want  int
	}{{since: 15, want: 1}, {since: 16}, {until: 6, want: 1}, {until: 5}, {since: 7, until: 8, want: 1}} {
		filter := Filter{Since: time.Unix(test.since, 0)}
		if test.until > 0 {
			filter.Until = time.Unix(test.until, 0)
		}
		selected := maps.Collect(index.selected(ShowOpen, &filter))
		assert.Equal(t, test.want, len(selected), fmt.Sprint(test))
		assert.Equal(t, test.want == 1, selected[letters[1].position()], "the newest letter")
	}
}
