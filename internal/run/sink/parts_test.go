package sink

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/run/runtest"
	"github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/wit"
)

// times returns a chain that creates a number of rows for each record.
func times(rows int) func(context.Context) (Chain, error) {
	return func(context.Context) (Chain, error) {
		return chainFunc(func(b *record.Batch) []wit.RowError {
			var out []wit.Row
			for _, r := range b.Rows {
				out = append(out, slices.Repeat([]wit.Row{r}, rows)...)
			}
			b.Rows = out
			return nil
		}), nil
	}
}

// A record with some rejected rows has one dead letter after its other rows are written, and the dead letter names the
// remaining rows.
func TestDeadLettersNameTheRemainingParts(t *testing.T) {
	for rejected, want := range map[string]string{
		"":     "[]",
		"2":    "[1@0: write: answered 400, parts 2 of 3]",
		"13":   "[1@0: write: answered 400, parts 1,3 of 3]",
		"3":    "[1@0: write: answered 400, parts 3 of 3]",
		"123":  "[1@0: write: answered 400]",
		"1234": "[1@0: write: answered 400 2@1: write: answered 400, parts 1 of 3]",
	} {
		synctest.Test(t, func(t *testing.T) {
			x := newWorld(&writer{})
			kept := &letters{}
			x.o.NewChain = times(3)
			x.o.TolerateAll = true
			x.o.DeadLetters = kept
			x.o.InFlight = 1
			x.group.put("t", 0, "a=1", "b=2")
			x.service.answer = func(n int, _ string) (uint16, error) {
				if strings.Contains(rejected, fmt.Sprint(n)) {
					return 400, nil
				}
				return 201, nil
			}
			p := x.ok(t).Progress()
			assert.Equal(t, want, fmt.Sprint(kept.kept), rejected, "is rejected")
			if int(p.Skipped) != len(rejected) || int(p.Written) != 6-len(rejected) || x.committed("t", 0) != 2 {
				t.Errorf("%s is rejected: %+v, committed %v", rejected, p, x.group.committed)
			}
		})
	}
}

// A record whose dead letter cannot be stored is not settled; if other rows of it are written it is reported, because
// otherwise all of it would be written again.
func TestPartsWithoutStoredDeadLetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{})
		x.o.TolerateAll, x.o.DeadLetters, x.o.NewChain, x.o.InFlight = true, &letters{refuses: errors.New("away")},
			times(2), 1
		x.group.put("t", 0, "a=1")
		x.service.answer = func(n int, _ string) (uint16, error) { return []uint16{201, 400}[n-1], nil }
		x.fails(t, `topic t, partition 0, offset 0, key "a"`, "dead letter cannot be stored: away")
		assert.Equal(t, "uncertain=0", x.group.metadata[topicPartition{"t", 0}], "metadata")
		assert.Equal(t, 0, x.committed("t", 0), "committed")
	})
}

// A replay writes only the remaining rows, with their original indexes; if the transforms return another number of rows
// than before, it is unknown which were written: the record is put back and names the same rows.
func TestReplayOfParts(t *testing.T) {
	for name, c := range map[string]struct {
		rows  int
		left  []uint32
		want  int // rows that are sent
		kept  string
		parts string // that the plugin receives
	}{
		"some":          {4, []uint32{1, 3}, 2, "[]", "[1 3]"},
		"another count": {3, []uint32{1, 3}, 0, "expected the transforms to create 4 rows", "[]"},
		"all":           {4, nil, 4, "[]", "[0 1 2 3]"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := &writer{}
			kept := &letters{}
			x := newWorld(w)
			x.o.NewChain = times(c.rows)
			x.o.TolerateAll = true
			x.o.DeadLetters = kept
			x.o.InFlight = 1
			var settled []bool
			err := Deliver(t.Context(), x.o, Replay{Membership: &group{},
				Letters: []task.DeadLetter{{Rows: task.NewRowSubset(4,
					c.left), Replays: 1, Record: &kgo.Record{Topic: "t", Offset: 7, Key: []byte("a"),
					Value:     []byte("1"),
					Timestamp: time.UnixMilli(7)}}}, Store: func(_ context.Context, all, _ []bool) error {
					settled = all
					return nil
				}})
			if err != nil || !slices.Equal(settled, []bool{true}) {
				t.Fatalf("%s: %v, settled %v", name, err, settled)
			}
			assert.Equal(t, c.want, len(x.service.seen()), name, "requests")
			if found := fmt.Sprint(kept.kept); !strings.Contains(found, c.kept) ||
				(c.want == 0 && !strings.HasSuffix(found, "parts 2,4 of 4]")) {
				t.Errorf("%s: expected %s, found %s", name, c.kept, found)
			}
			var parts []uint32
			for _, id := range w.given {
				parts = append(parts, id.Part)
			}
			assert.Equal(t, c.parts, fmt.Sprint(parts), name, "parts")
		})
	}
}

// A replay whose plugin cannot be opened stores nothing, so dead letters
// that an earlier replay left in doubt stay in doubt.
func TestFailedReplayKeepsRecordsInDoubt(t *testing.T) {
	x := newWorld(&writer{})
	x.o.Send = []string{"no name"} // which the task rejects before it reads
	err := Deliver(t.Context(), x.o, Replay{Membership: &group{},
		Letters: []task.DeadLetter{{InDoubt: true, Record: &kgo.Record{Topic: "t", Offset: 7,
			Timestamp: time.UnixMilli(7)}}},
		Store: func(_ context.Context, settled, inDoubt []bool) error {
			t.Errorf("stored settled %v, sent %v", settled, inDoubt)
			return errors.New("nothing is to be stored")
		}})
	runtest.Fails(t, err, sendSetting)
}

// Held records are not written before they may be, and do not prevent the task from stopping.
func TestRecordsWaitUntilWritable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{})
		x.group.put("t", 0, "a=1", "b=2")
		free := make(chan struct{})
		x.o.AwaitWritable = func(ctx context.Context, records []*kgo.Record) error {
			select {
			case <-free:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		waitErr, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		require.NoError(t, NewTask(x.o).Run(waitErr))
		if seen := x.service.seen(); len(seen) > 0 || x.committed("t", 0) != 0 {
			t.Errorf("expected no written record, found %v", seen)
		}
		close(free)
		x.ok(t)
		assert.Equal(t, 2, len(x.service.seen()), "requests")
		assert.Equal(t, 2, x.committed("t", 0), "committed")
	})
}
