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

// repeatRows returns a chain that creates a number of rows for each record.
func repeatRows(rows int) func(context.Context) (Chain, error) {
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
	// The keys are the numbers of the requests that are rejected.
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
			deadLetters := &deadLetterLog{}
			x.o.NewChain = repeatRows(3)
			x.o.TolerateAll = true
			x.o.DeadLetters = deadLetters
			x.o.InFlight = 1
			x.group.put("t", 0, "a=1", "b=2")
			x.service.answer = func(n int, _ string) (uint16, error) {
				if strings.Contains(rejected, fmt.Sprint(n)) {
					return 400, nil
				}
				return 201, nil
			}
			p := x.mustRun(t).Progress()
			assert.Equal(t, want, fmt.Sprint(deadLetters.lines), rejected, "is rejected")
			assert.True(t, int(p.Skipped) == len(rejected) && int(p.Written) == 6-len(rejected) &&
				x.committed("t", 0) == 2, "%s is rejected: %+v, committed %v", rejected, p, x.group.committed)
		})
	}
}

// A record whose dead letter cannot be stored is not settled; if other rows of it are written it is reported, because
// otherwise all of it would be written again.
func TestPartsWithoutStoredDeadLetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{})
		x.o.TolerateAll = true
		x.o.DeadLetters = &deadLetterLog{err: errors.New("away")}
		x.o.NewChain = repeatRows(2)
		x.o.InFlight = 1
		x.group.put("t", 0, "a=1")
		x.service.answer = func(n int, _ string) (uint16, error) { return []uint16{201, 400}[n-1], nil }
		x.mustFail(t, `topic t, partition 0, offset 0, key "a"`, "dead letter cannot be stored: away")
		assert.Equal(t, "uncertain=0", x.group.metadata[topicPartition{"t", 0}], "metadata")
		assert.Equal(t, 0, x.committed("t", 0), "committed")
	})
}

// A replay writes only the remaining rows, with their original indexes; if the transforms return another number of rows
// than before, it is unknown which were written: the record is put back and names the same rows.
func TestReplayOfParts(t *testing.T) {
	for name, c := range map[string]struct {
		rows        int      // that the transforms make of the record; they made 4 before
		remaining   []uint32 // the rows of the dead letter, nil means all
		requests    int
		deadLetters string // a part of the dead letters
		parts       string // that the plugin receives
	}{
		"some": {rows: 4, remaining: []uint32{1, 3}, requests: 2, deadLetters: "[]", parts: "[1 3]"},
		"another count": {rows: 3, remaining: []uint32{1, 3}, deadLetters: "expected the transforms to create 4 rows",
			parts: "[]"},
		"all": {rows: 4, requests: 4, deadLetters: "[]", parts: "[0 1 2 3]"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := &writer{}
			deadLetters := &deadLetterLog{}
			x := newWorld(w)
			x.o.NewChain = repeatRows(c.rows)
			x.o.TolerateAll = true
			x.o.DeadLetters = deadLetters
			x.o.InFlight = 1
			var settled []bool
			record := &kgo.Record{Topic: "t", Offset: 7, Key: []byte("a"), Value: []byte("1"),
				Timestamp: time.UnixMilli(7)}
			err := Deliver(t.Context(), x.o, Replay{
				Membership: &group{},
				Letters:    []task.DeadLetter{{Rows: task.NewRowSubset(4, c.remaining), Replays: 1, Record: record}},
				Store: func(_ context.Context, lettersSettled, _ []bool) error {
					settled = lettersSettled
					return nil
				},
			})
			require.True(t, err == nil && slices.Equal(settled, []bool{true}), "%s: %v, settled %v", name, err, settled)
			assert.Equal(t, c.requests, len(x.service.bodies()), name, "requests")
			if got := fmt.Sprint(deadLetters.lines); !strings.Contains(got, c.deadLetters) ||
				(c.requests == 0 && !strings.HasSuffix(got, "parts 2,4 of 4]")) {
				t.Errorf("%s: expected %s, found %s", name, c.deadLetters, got)
			}
			var parts []uint32
			for _, id := range w.recordIDs {
				parts = append(parts, id.Part)
			}
			assert.Equal(t, c.parts, fmt.Sprint(parts), name, "parts")
		})
	}
}

// A replay that fails before it reads stores nothing, so dead letters that an earlier replay left in doubt stay in
// doubt.
func TestFailedReplayKeepsRecordsInDoubt(t *testing.T) {
	x := newWorld(&writer{})
	x.o.Send = []string{"no name"} // which the task rejects before it reads
	err := Deliver(t.Context(), x.o, Replay{Membership: &group{},
		Letters: []task.DeadLetter{{InDoubt: true, Record: &kgo.Record{Topic: "t", Offset: 7,
			Timestamp: time.UnixMilli(7)}}},
		Store: func(_ context.Context, settled, inDoubt []bool) error {
			t.Errorf("expected nothing to be stored, found settled %v, in doubt %v", settled, inDoubt)
			return nil
		}})
	runtest.Fails(t, err, sendSetting)
}

// Records are not written before AwaitWritable returns, and do not prevent the task from stopping.
func TestRecordsWaitUntilWritable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{})
		x.group.put("t", 0, "a=1", "b=2")
		writable := make(chan struct{})
		x.o.AwaitWritable = func(ctx context.Context, records []*kgo.Record) error {
			select {
			case <-writable:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		require.NoError(t, NewTask(x.o).Run(ctx))
		seen := x.service.bodies()
		assert.True(t, len(seen) == 0 && x.committed("t", 0) == 0, "expected no written record, found %v", seen)
		close(writable)
		x.mustRun(t)
		assert.Equal(t, 2, len(x.service.bodies()), "requests")
		assert.Equal(t, 2, x.committed("t", 0), "committed")
	})
}
