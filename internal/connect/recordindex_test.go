package connect

import (
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka"
	core "github.com/culvert-project/culvert/internal/run/task"
)

func letterOf(offset int64, value string, times int, parts core.RowSubset) *DeadLetter {
	return &DeadLetter{Record: &kgo.Record{Key: []byte("k"), Value: []byte(value)}, Replays: times,
		DeadLetterOrigin: DeadLetterOrigin{Topic: "t", Offset: offset, Timestamp: time.UnixMilli(7), Rows: parts}}
}

func TestRecordIndex(t *testing.T) {
	type letter struct {
		*DeadLetter
		settled, doubt bool
	}
	whole := core.RowSubset{}
	first := letterOf(1, "a", 0, whole)
	for name, c := range map[string]struct {
		letters []letter
		done    []bool
		doubt   bool // of the first's record
		times   int32
	}{
		"one":                   {[]letter{{first, false, false}}, []bool{false}, false, 0},
		"one that was replayed": {[]letter{{first, true, false}}, []bool{true}, false, 0},
		"one in doubt":          {[]letter{{first, false, true}}, []bool{false}, true, 0},
		"two": {[]letter{{first, false, false}, {first, false, true}}, []bool{false, false}, true,
			0},
		"the second was replayed": {[]letter{{first, false, true}, {first, true, false}}, []bool{true, true}, true, 0},
		"refused once more": {[]letter{{first, true, false}, {letterOf(1, "a", 1, whole), false, false},
			{first, false, false}}, []bool{true, false, true}, false, 1},
		"killed behind its refusal": {[]letter{{first, false, true}, {letterOf(1, "a", 1, whole), false, false}},
			[]bool{true, false}, false, 1},
		"of a topic that was made anew": {[]letter{{first, true, false}, {letterOf(1, "b", 0, whole), false, false}},
			[]bool{true, false}, false, 0},
	} {
		r := newRecordIndex(kafka.Config{})
		for _, l := range c.letters {
			require.NoError(t, r.add(l.DeadLetter, l.settled, l.doubt))
		}
		for i, l := range c.letters {
			if r.isDone(l.DeadLetter) != c.done[i] {
				t.Errorf("%s: letter %d: expected done %t", name, i, c.done[i])
			}
		}
		if one := r.setSelected(first.recordID(), true); one.inDoubt != c.doubt || one.replays != c.times ||
			!r.isDone(first) {
			t.Errorf("%s: found %+v", name, one)
		}
	}
}

func TestRecordIndexRows(t *testing.T) {
	r := newRecordIndex(kafka.Config{})
	id := letterOf(1, "a", 0, core.RowSubset{}).recordID()
	for i, c := range []struct {
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
		require.NoError(t, r.add(letterOf(1, "a", c.times, core.NewRowSubset(c.of, c.left)), false, false))
		found := ""
		if parts := r.rows[id]; !parts.IsAll() {
			found = parts.String()
		}
		if found != c.want || r.contradictory[id] != c.odd {
			t.Errorf("letter %d: expected %q, contradicting %t, found %q, %t", i, c.want, c.odd, found,
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
		require.NoError(t, r.add(letterOf(int64(i/2), strconv.Itoa(i/2), 0, core.RowSubset{}), false, false))
	}
	if r.add(letterOf(3, "3", 0, core.RowSubset{}), false, false) == nil {
		t.Error("expected at most 3 records")
	}
}
