package deadletters

import (
	"encoding/base64"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/wit"
)

// The state has the settled dead letters in whatever order they were settled. Unmarking one changes no other.
func TestReplayStateRoundTrip(t *testing.T) {
	random := rand.New(rand.NewPCG(14, 0))
	for round := range 500 {
		state := replayState{topicID: "a", settled: []offsetRange{{first: 0, last: 2}}}
		inDoubt := map[int64]string{}
		settled := map[int64]bool{0: true, 1: true, 2: true}
		for range random.IntN(40) {
			first := int64(random.IntN(60))
			switch choice := random.IntN(3); {
			case choice == 0 && round%2 == 0 && !settled[first]:
				inDoubt[first] = []string{"", "0a"}[first%2]
				state.setInDoubt(first, inDoubt[first])
			case choice == 0 && round%2 == 1:
				state.unmark(first)
				delete(settled, first)
			default:
				last := first + int64(random.IntN(4)) - 1
				state.markSettled(first, last)
				for pos := first; pos <= last; pos++ {
					settled[pos] = true
					delete(inDoubt, pos)
				}
			}
		}
		reparsed, err := parseReplayState(state.fields())
		require.NoError(t, err)
		for pos := range int64(70) {
			if state.isSettled(pos) != settled[pos] || reparsed.isSettled(pos) != settled[pos] {
				t.Fatalf("offset %d: expected settled %t, found %t, and %t after a round trip: %v", pos, settled[pos],
					state.isSettled(pos), reparsed.isSettled(pos), state)
			}
		}
		assert.True(t, maps.Equal(inDoubt, reparsed.inDoubt), "in doubt: expected %v, found %v", inDoubt,
			reparsed.inDoubt)
		assert.Equal(t, "a", reparsed.topicID)
		for i, span := range state.settled {
			require.True(t, span.first <= span.last && (i <= 0 || state.settled[i-1].last+1 < span.first),
				"expected ranges with gaps between them, found %v", state.settled)
		}
	}
}

// Nil selects all positions, an empty list no position.
func TestFilterSelectsPositions(t *testing.T) {
	index := newIndex()
	letter := Parse(deadLetterOf("dlq", "c", 1, 0, "no"), nil)
	letter.Record.Offset = 17
	index.add(&letter)
	index.update(kafka.Positions{}, nil)
	for _, test := range []struct {
		positions []string
		want      int
	}{
		{positions: nil, want: 1},
		{positions: []string{"0@17"}, want: 1},
		{positions: []string{"1@2", "0@17"}, want: 1},
		{positions: []string{}},
		{positions: []string{"0@18"}},
		{positions: []string{"1@17"}},
	} {
		var filter Filter
		require.NoError(t, filter.SelectPositions(test.positions))
		selected := maps.Collect(index.selected(ShowOpen, &filter))
		assert.Equal(t, test.want, len(selected), fmt.Sprintf("%q selects 0@17", test.positions))
	}
}

func TestParseDeadLetterPosition(t *testing.T) {
	for text, want := range map[string]Position{
		"0@17":                           {Partition: 0, Offset: 17},
		"2147483647@9223372036854775807": {Partition: math.MaxInt32, Offset: math.MaxInt64},
	} {
		position, err := ParsePosition(text)
		require.NoError(t, err)
		assert.Equal(t, want, position)
		assert.Equal(t, text, position.String())
	}
	for _, text := range []string{
		"",
		"@",
		"0",
		"0@",
		"@1",
		"-1@1",
		"0@-1",
		"+1@1",
		"0@1@2",
		"2147483648@0",
		"0@9223372036854775808",
		" 0@1",
		strings.Repeat("9", 1000),
	} {
		_, err := ParsePosition(text)
		assert.True(t, err != nil && len(err.Error()) <= 250, "%.50q: expected a short error, found %v", text, err)
	}
}

// replayFields returns the stored form of a state that ends at an offset.
func replayFields(next int64, done, sent string) []wit.OffsetEntry {
	return []wit.OffsetEntry{wit.StringEntry(fieldSent, sent), wit.StringEntry(fieldDone, done),
		wit.IntegerEntry(fieldNext, next)}
}

// Ranges ascend with gaps between them. An error names the field and the range, and what to do.
func TestReplayStateAscends(t *testing.T) {
	for done, want := range map[string]string{
		"4-5,7-7":                 "",
		"4-5,6-6":                 "found 6-6 after offset 5",
		"7-7,4-5":                 "found 4-5 after offset 7",
		"4-9,5-6":                 "found 5-6 after offset 9",
		"3-4":                     "found 3-4 after offset 2",
		"0-1":                     "found 0-1 after offset 2",
		"5-9223372036854775807":   `found "5-9223372036854775807"`,
		"5-4":                     `found "5-4"`,
		"4-5,":                    `found ""`,
		"4":                       `found "4"`,
		"-1-4":                    `found "-1-4"`,
		"5-9223372036854775806":   "",
		"99999999999999999999-99": `found "99999999999999999999-99"`,
	} {
		state, err := parseReplayState(replayFields(3, done, "1,20"))
		if want == "" {
			require.NoError(t, err)
			assert.Equal(t, int64(2), state.settled[0].last)
			assert.Equal(t, false, state.isSettled(3))
			continue
		}
		assert.Error(t, err, "field done", want, "dlq replay --again")
	}
}

// A letter that is done is not in doubt, in whatever order the fields are.
func TestSettledLettersAreNotInDoubt(t *testing.T) {
	state, err := parseReplayState(replayFields(3, "5-6", "1,3,5,7"))
	require.NoError(t, err)
	assert.Equal(t, map[int64]string{3: "", 7: ""}, state.inDoubt)
}

// largeReplayFields returns a state of 721 KiB: 35,000 ranges, and 55,000 positions in doubt.
func largeReplayFields() []wit.OffsetEntry {
	var done, sent []string
	for n := range 55_000 {
		if n < 35_000 {
			done = append(done, fmt.Sprintf("%d-%d", 2*n+1, 2*n+1))
		}
		sent = append(sent, fmt.Sprint(2*n+100_000))
	}
	return replayFields(0, strings.Join(done, ","), strings.Join(sent, ","))
}

// A large state is parsed in one pass. Comparing each range with each position in doubt would take minutes.
func TestLargeReplayStateIsParsed(t *testing.T) {
	state, err := parseReplayState(largeReplayFields())
	require.NoError(t, err)
	assert.Equal(t, 35_000, state.ranges())
	assert.Equal(t, 55_000, len(state.inDoubt))
	for pos := range int64(55_000) { // settling a single letter looks at no other one
		state.markSettled(2*pos+100_000, 2*pos+100_000)
	}
	assert.Equal(t, 0, len(state.inDoubt))
}

func BenchmarkParseReplayState(b *testing.B) {
	fields := largeReplayFields()
	for b.Loop() {
		_, err := parseReplayState(fields)
		require.NoError(b, err)
	}
}

// What is accepted is parsed again from its own stored form with the same result.
func FuzzReplayState(f *testing.F) {
	f.Add(int64(3), "5-6,8-9", "1,3,7", "7:0a")
	f.Add(int64(0), "0-1", "9223372036854775807", "")
	f.Add(int64(-1), "1-1,2-2", "", ":")
	f.Fuzz(func(t *testing.T, next int64, done, sent, values string) {
		fields := append(replayFields(next, done, sent), wit.StringEntry(fieldValues, values))
		if values == "" {
			fields = fields[:3]
		}
		state, err := parseReplayState(fields)
		if err != nil {
			return
		}
		for i, span := range state.settled {
			if span.first < 0 || span.first > span.last || (i > 0 && state.settled[i-1].last+1 >= span.first) {
				t.Fatalf("expected ascending ranges with gaps between them, found %v", state.settled)
			}
		}
		again, err := parseReplayState(state.fields())
		require.NoError(t, err)
		assert.Equal(t, fmt.Sprint(state), fmt.Sprint(again))
	})
}

// Filters leave gaps, whose number is bounded. Every second dead letter is the worst case: a bitmap has more of them
// than ranges, but only within a number of offsets.
func TestReplayStateIsBounded(t *testing.T) {
	const start, end = 7, 7 + 8*maxSettledBitmap // the offsets of the largest bitmap
	var state replayState
	state.markSettled(0, start-1)
	form := func() (field string, size int) {
		t.Helper()
		fields := state.fields()
		last := fields[len(fields)-1]
		parsed, err := parseReplayState(fields)
		require.NoError(t, err)
		assert.Equal(t, true, slices.Equal(state.settled, parsed.settled), "parsed again")
		return last.Name, len(*last.Value.String)
	}
	for i := range int64(maxSettledRanges - 1) {
		state.markSettled(start+2*i+1, start+2*i+1)
	}
	state.markSettled(end-1, end-1)
	assert.NoError(t, state.checkBounds(0))
	name, _ := form()
	assert.Equal(t, fieldDone, name, "as many ranges as are stored as text")
	state.markSettled(end-3, end-3)
	assert.NoError(t, state.checkBounds(0))
	name, size := form()
	assert.Equal(t, []any{fieldBitmap, base64.StdEncoding.EncodedLen(maxSettledBitmap)}, []any{name, size})

	state.markSettled(end+1, end+1)
	assert.ErrorIs(t, state.checkBounds(0), ErrTooManyRanges)
	assert.NoError(t, state.checkBounds(state.ranges()), "as many ranges as before")
	name, _ = form()
	assert.Equal(t, fieldDone, name, "too many offsets for a bitmap")

	for name, text := range map[string]string{
		"expected at most 524288 bytes": strings.Repeat("A", base64.StdEncoding.EncodedLen(maxSettledBitmap)+4),
		"illegal base64 data":           "A",
		"expected ascending ranges":     "AQ==", // begins with a settled offset, which next would contain
	} {
		_, err := parseReplayState([]wit.OffsetEntry{wit.IntegerEntry(fieldNext, 1),
			wit.StringEntry(fieldBitmap, text)})
		assert.Error(t, err, name)
	}
}

// A value that is not JSON replaces no JSON object or array. Any other stored value may be plain text, even if it is
// valid JSON.
func TestRetryKeepsJSON(t *testing.T) {
	for _, test := range []struct {
		stored string
		value  string
		want   string // in the error; "" means no error
	}{
		{stored: `{"a":1}`, value: `{"a":2}`},
		{stored: `[1]`, value: `null`},
		{stored: `{"a":1}`, value: "{\"a\":1,\n\"\u00e4\" 2}", want: "line 2, column 5"},
		{stored: ` [1]`, value: "", want: "line 1, column 1"},
		{stored: `{}`, value: "{} x", want: "line 1, column 4"},
		{stored: `17`, value: "seventeen"},
		{stored: `{"a":`, value: "no JSON"},
		{stored: "", value: "no JSON"},
	} {
		err := checkValue([]byte(test.stored), test.value)
		if test.want == "" {
			assert.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, ErrNotJSON, test.value)
		assert.Contains(t, err.Error(), test.want)
	}
}
