package source

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/internal/base/assert"
	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/host/internal/run/task"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
)

// splitter makes a row of each of the words of a value, and keeps the rows' numbers.
type splitter struct{ input []wit.Row }

func (s *splitter) Input(at uint32) wit.Row { return s.input[at] }

func (s *splitter) Apply(_ context.Context, b *record.Batch) ([]wit.RowFault, error) {
	s.input = slices.Clone(b.Rows)
	b.Rows = b.Rows[:0]
	for _, r := range s.input {
		for word := range strings.SplitSeq(string(b.Bytes(r.Value)), "|") {
			part := r
			part.Value = appendDatum(b, word)
			b.Rows = append(b.Rows, part)
		}
	}
	return nil, nil
}

// Of a row that becomes several records, of which the converter refuses some, the others are delivered; the letter is
// of the row, and names those that are left; and a replay delivers these alone.
func TestPartsThatAConverterRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const number = 5 // of the row in its page: two before it have the same
		page := append(rows("a", number), "+b=v", "k=x|bad y|z|bad w", "l=v")
		w := newWorld(&reader{exact: true}, page)
		w.o.TolerateAll = true
		w.o.NewConverters = converting(asIs{}, asIs{"bad"})
		w.o.NewChain = func(context.Context) (Chain, error) { return &splitter{}, nil }
		var said []Letter
		w.o.DeadLetters = deadLetters(func(l Letter) { said = append(said, l) })
		run := w.ok(t)
		all := w.broker.records()
		assert.Equal(t, number+1+2+1+1, len(all), "records")
		of := func(key string) (found []string) {
			for _, r := range all {
				if _, record, _ := strings.Cut(r, "/"); strings.HasPrefix(record, key+"=") {
					found = append(found, r)
				}
			}
			return found
		}
		want := []string{"dead/k=x|bad y|z|bad w", "topic0/k=x", "topic0/k=z"}
		assert.Equal(t, want, slices.Sorted(slices.Values(of("k"))))
		if len(said) != 1 || said[0].Row != number || said[0].Parts.String() != "2,4 of 4" ||
			said[0].Stage != task.AtValueConverter || run.Progress().Skipped != 2 {
			t.Fatalf("found %+v", said)
		}

		// Replayed: one of them is refused once more, then none.
		letter := task.DeadLetter{Parts: said[0].Parts, Times: 1, Record: &kgo.Record{Topic: "topic0", Partition: 3,
			Offset: number, Key: []byte("k"), Value: []byte("x|bad y|z|bad w"), Timestamp: time.UnixMilli(7)}}
		replayed := func(refuses string, l task.DeadLetter) []string {
			w.broker = newBroker()
			w.o.Stored, w.o.NewOutput = w.broker.Get, w.broker.output
			w.o.NewConverters = converting(asIs{}, asIs{refuses})
			said = nil
			require.NoError(t, NewTask(w.o).Replay(t.Context(), lettersLeft([]task.DeadLetter{l}, nil)))
			return slices.Sorted(slices.Values(w.broker.records()))
		}
		for name, c := range map[string]struct {
			refuses string
			value   string
			want    []string
			said    string
		}{
			"none is refused": {"", "x|bad y|z|bad w", []string{"topic0/k=bad w", "topic0/k=bad y"}, "[]"},
			"one is refused": {"bad w", "x|bad y|z|bad w", []string{"dead/k=x|bad y|z|bad w", "topic0/k=bad y"},
				"[4 of 4]"},
			"other rows are made": {"", "x|y", []string{"dead/k=x|y"}, "[2,4 of 4]"},
		} {
			l := letter
			l.Record.Value = []byte(c.value)
			assert.Equal(t, c.want, replayed(c.refuses, l), name)
			var parts []string
			for _, l := range said {
				parts = append(parts, l.Parts.String())
				if l.Partition != 3 || l.Timestamp != 7 {
					t.Errorf("%s: expected partition and timestamp to be kept, found %+v", name, l)
				}
			}
			assert.Equal(t, c.said, fmt.Sprint(parts), name)
		}
	})
}
