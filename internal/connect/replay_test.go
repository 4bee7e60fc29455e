package connect

import (
	"errors"
	"maps"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/run/sink"
)

// Replayed dead letters are known in whatever order they were settled. Unmarking one changes no other.
func TestReplayState(t *testing.T) {
	random := rand.New(rand.NewPCG(14, 0))
	for round := range 500 {
		state := replayState{topicID: "a", done: []offsetRange{{0, 2}}}
		inDoubtLetters := map[int64]string{}
		settled := map[int64]bool{0: true, 1: true, 2: true}
		for range random.IntN(40) {
			first := int64(random.IntN(60))
			switch kind := random.IntN(3); {
			case kind == 0 && round%2 == 0 && !settled[first]:
				inDoubtLetters[first] = []string{"", "0a"}[first%2]
				state.setInDoubt(first, inDoubtLetters[first])
			case kind == 0 && round%2 == 1:
				state.unmark(first)
				delete(settled, first)
			default:
				last := first + int64(random.IntN(4)) - 1
				state.markDone(first, last)
				for at := first; at <= last; at++ {
					settled[at] = true
					delete(inDoubtLetters, at)
				}
			}
		}
		reparsed, err := parseReplayState(state.fields())
		require.NoError(t, err)
		for at := range int64(70) {
			if state.isDone(at) != settled[at] || reparsed.isDone(at) != settled[at] {
				t.Fatalf("offset %d: expected settled %t, found %t, and %t after a round trip: %v", at, settled[at],
					state.isDone(at), reparsed.isDone(at), state)
			}
		}
		assert.Equal(t, true, maps.Equal(inDoubtLetters, reparsed.inDoubt), "in doubt")
		assert.Equal(t, "a", reparsed.topicID)
		for i, replayed := range state.done {
			if replayed.first > replayed.last || (i > 0 && state.done[i-1].last+1 >= replayed.first) {
				t.Fatalf("expected runs with gaps between them, found %v", state.done)
			}
		}
	}
}

// An empty list of positions does not mean all.
func TestFilterByPosition(t *testing.T) {
	deadLetter := DeadLetter{Record: &kgo.Record{Partition: 0, Offset: 17}}
	for want, names := range map[bool][][]string{true: {nil, {"0@17"}, {"1@2", "0@17"}},
		false: {{}, {"0@18"}, {"1@17"}}} {
		for _, positions := range names {
			var f DeadLetterFilter
			if err := f.SelectPositions(positions); err != nil || f.Matches(&deadLetter) != want {
				t.Errorf("%q: expected a match %t, found %v", positions, want, err)
			}
		}
	}
}

func TestParseDeadLetterPosition(t *testing.T) {
	for text, want := range map[string]DeadLetterPosition{"0@17": {0, 17},
		"2147483647@9223372036854775807": {math.MaxInt32, math.MaxInt64}} {
		found, err := ParseDeadLetterPosition(text)
		require.NoError(t, err)
		assert.Equal(t, want, found)
		assert.Equal(t, text, found.String())
	}
	for _, text := range []string{"", "@", "0", "0@", "@1", "-1@1", "0@-1", "+1@1", "0@1@2", "2147483648@0",
		"0@9223372036854775808", " 0@1", strings.Repeat("9", 1000)} {
		if _, err := ParseDeadLetterPosition(text); err == nil || len(err.Error()) > 250 {
			t.Errorf("%.50q: expected a short error, found %v", text, err)
		}
	}
}

// Filters leave gaps, whose number is bounded. Every second dead letter is the worst case.
func TestReplayStateIsBounded(t *testing.T) {
	var state replayState
	for i := range int64(maxReplayedRanges) {
		state.markDone(2*i+1, 2*i+1)
	}
	assert.NoError(t, state.checkBounds(0))
	state.markDone(2*maxReplayedRanges+1, 2*maxReplayedRanges+1)
	if err := state.checkBounds(maxReplayedRanges); !errors.Is(err, ErrTooManyRanges) {
		t.Errorf("expected at most %d ranges, found %d", maxReplayedRanges, len(state.done))
	}
	assert.NoError(t, state.checkBounds(maxReplayedRanges+1), "it was not less before")
}

// A batch does not count as delivered what the batch before has written in the same positions.
func TestWrittenRecordsOfOneBatch(t *testing.T) {
	p := &partitionReplay{connectorRun: &connectorRun{controller: &controller{}},
		records: newRecordIndex(kafka.Config{}), written: map[recordID]bool{{}: true}}
	require.NoError(t, p.deliver(t.Context(), sink.Options{}, nil))
	assert.Equal(t, 0, len(p.written))
}

// A value that is not JSON replaces no JSON object or array. Other values may be plain text, also those that are JSON
// by chance.
func TestRetryKeepsJSON(t *testing.T) {
	for _, c := range []struct{ stored, sent, want string }{
		{`{"a":1}`, `{"a":2}`, ""},
		{`[1]`, `null`, ""},
		{`{"a":1}`, "{\"a\":1,\n\"\u00e4\" 2}", "line 2, column 5"},
		{` [1]`, "", "line 1, column 1"},
		{`{}`, "{} x", "line 1, column 4"},
		{`17`, "seventeen", ""},
		{`{"a":`, "no JSON", ""},
		{"", "no JSON", ""},
	} {
		err := (&ReplayRequest{Value: &c.sent}).checkValue([]byte(c.stored))
		if c.want == "" {
			assert.NoError(t, err)
			continue
		}
		assert.Equal(t, true, errors.Is(err, ErrNotJSON), c.sent)
		assert.Contains(t, err.Error(), c.want)
	}
	assert.NoError(t, (&ReplayRequest{}).checkValue([]byte("{}")))
}
