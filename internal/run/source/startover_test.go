package source

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/run/runtest"
	"github.com/culvert-project/culvert/wit"
)

// replaceVersion replaces the current version, and closes its code.
func (w *world) replaceVersion(r *reader) {
	old := w.versions.Current().(*fakeCode)
	w.offer(r)
	w.versions.Promote(nil)
	old.closed.Store(true)
}

// rejectOneOutput is an output of which one commit fails.
type rejectOneOutput struct {
	transactionalOutput
	commits *int // counts commits of all outputs
	failing int  // the number of the commit that fails, from 1 on
}

func (o *rejectOneOutput) Commit(ctx context.Context) error {
	*o.commits++
	if *o.commits != o.failing {
		return o.transactionalOutput.Commit(ctx)
	}
	_ = o.transactionalOutput.Abort(ctx)
	return &kafka.TransactionAbortedError{Cause: kerr.NotCoordinator}
}

// A feed that starts over uses the version of the plugin that other feeds have switched to: the code of its own version
// is closed.
func TestStartsOverWhileAnotherFeedSwaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&reader{version: "1", repeatsExactly: true, feeds: 2}, rows("a", 3), rows("b", 3), rows("c", 3))
		commits := 0
		w.o.NewOutput = func(name string) (Output, error) {
			if name == "feed1" {
				return &transactionalOutput{t: t, broker: w.broker}, nil
			}
			return &rejectOneOutput{
				transactionalOutput: transactionalOutput{t: t, broker: w.broker},
				commits:             &commits,
				failing:             2,
			}, nil
		}
		preparations := 0
		w.o.PrepareOffsets = func(context.Context, int) error {
			preparations++
			if preparations == 2 {
				w.replaceVersion(&reader{version: "2", repeatsExactly: true, feeds: 2})
			}
			return nil
		}
		task := w.mustRun(t)
		lines := slices.Concat(rows("a", 3), rows("b", 3), rows("c", 3))
		want := recordsOf(lines)
		for _, line := range lines {
			want = append(want, "topic1/"+line)
		}
		slices.Sort(want)
		assert.Equal(t, want, slices.Sorted(slices.Values(w.broker.records())))
		assert.Equal(t, "2", task.Progress().Version, "version")
		assert.Equal(t, 2, preparations, "calls of PrepareOffsets")
	})
}

// A feed whose version must be reopened continues with another version that has replaced it.
func TestStaleVersionIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&reader{version: "1", repeatsExactly: true, staleOnce: true},
			slices.Concat(rows("a", 3), []string{"!stale"}, rows("b", 3)))
		isReplaced := false
		w.service.onRequest = func(r *wit.Request) {
			if r.Target == "/page/0" && !isReplaced {
				isReplaced = true
				w.replaceVersion(&reader{version: "2", repeatsExactly: true, feeds: 1})
			}
		}
		task := w.mustRun(t)
		assert.Equal(t, recordsOf(slices.Concat(rows("a", 3), rows("b", 3))), w.broker.records())
		assert.Equal(t, "2", task.Progress().Version)
	})
}

// If the commit fails while its feed is idle, the page is read again at once, not with the next page.
func TestFailureBetweenPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&reader{repeatsExactly: true}, rows("a", 3))
		w.o.Once = false
		var last *transactionalOutput
		w.o.NewOutput = func(string) (Output, error) {
			last = &transactionalOutput{t: t, broker: w.broker}
			return last, nil
		}
		stop := runtest.Start(t, NewTask(w.o).Run)
		runtest.Pass(time.Minute)
		w.broker.mu.Lock()
		written := w.broker.log
		w.broker.log = nil
		w.broker.offsets = map[string][]wit.OffsetEntry{}
		w.broker.mu.Unlock()
		last.onFailure(&kafka.TransactionAbortedError{Cause: errors.New("connection refused")})
		runtest.Pass(time.Minute)
		assert.Equal(t, written, w.broker.records(), "records after the loss")
		assert.Equal(t, 3, len(written), "records")
		require.NoError(t, stop())
	})
}

// A snapshot whose first page is not committed is requested again by the feed that starts over, after its reads at the
// start.
func TestUncommittedSnapshotIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{repeatsExactly: true}
		w := newWorld(r, rows("a", 3), rows("b", 3), rows("c", 3))
		w.service.bodies = map[string][]string{"/snapshot": rows("s", 2)}
		commits := 0
		w.o.NewOutput = func(string) (Output, error) {
			return &rejectOneOutput{
				transactionalOutput: transactionalOutput{t: t, broker: w.broker},
				commits:             &commits,
				failing:             2,
			}, nil
		}
		task := NewTask(w.o)
		w.requestSnapshotAt(t, task, "/page/0")
		require.NoError(t, task.Run(t.Context()))
		want := recordsOf(slices.Concat(rows("a", 3), rows("b", 3), rows("s", 2), rows("c", 3)))
		assert.Equal(t, want, w.broker.records())
		checkSnapshotEnded(t, task, true)
	})
}
