package source

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/wit"
)

// swap has another version take the place of the one at work, whose code is closed then.
func (v *versions) swap(r *reader) {
	v.mu.Lock()
	old := v.current
	v.mu.Unlock()
	v.offer(r)
	v.Promote(nil)
	old.closed.Store(true)
}

// refusingOne is an output of which one commit fails, counted from 1.
type refusingOne struct {
	transactions
	commits *int
	refused int
}

func (o *refusingOne) Commit(ctx context.Context) error {
	if *o.commits++; *o.commits != o.refused {
		return o.transactions.Commit(ctx)
	}
	_ = o.transactions.Abort(ctx)
	return &kafka.Rewound{Cause: kerr.NotCoordinator}
}

// A feed that starts over goes on with the version of the plugin that others have taken meanwhile: the code of its own
// is closed.
func TestStartsOverWhileAnotherFeedSwaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&reader{version: "1", exact: true, feeds: 2}, rows("a", 3), rows("b", 3), rows("c", 3))
		commits := 0
		w.o.NewOutput = func(name string) (Output, error) {
			if name == "feed1" {
				return &transactions{t: t, b: w.broker}, nil
			}
			return &refusingOne{transactions{t: t, b: w.broker}, &commits, 2}, nil
		}
		renewed := 0
		w.o.Renew = func(context.Context, int) error {
			if renewed++; renewed == 2 {
				w.versions.swap(&reader{version: "2", exact: true, feeds: 2})
			}
			return nil
		}
		task := w.ok(t)
		lines := slices.Concat(rows("a", 3), rows("b", 3), rows("c", 3))
		want := topic(lines)
		for _, line := range lines {
			want = append(want, "topic1/"+line)
		}
		slices.Sort(want)
		if diff := cmp.Diff(want, slices.Sorted(slices.Values(w.broker.records()))); diff != "" {
			t.Error(diff)
		}
		if v := task.Progress().Version; v != "2" || renewed != 2 {
			t.Errorf("runs version %s, renewed %d times", v, renewed)
		}
	})
}

// A feed whose version asks to be opened again goes on with another one that has taken its place meanwhile.
func TestStaleVersionThatWasSwapped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&reader{version: "1", exact: true, staleOnce: true},
			slices.Concat(rows("a", 3), []string{"!stale"}, rows("b", 3)))
		swapped := false
		w.service.before = func(r *wit.Request) {
			if r.Target == "/page/0" && !swapped {
				swapped = true
				w.versions.swap(&reader{version: "2", exact: true, feeds: 1})
			}
		}
		task := w.ok(t)
		if diff := cmp.Diff(topic(slices.Concat(rows("a", 3), rows("b", 3))), w.broker.records()); diff != "" {
			t.Error(diff)
		}
		if v := task.Progress().Version; v != "2" {
			t.Errorf("runs version %s", v)
		}
	})
}

// What is not committed while its feed is at rest comes again at once, not with the next page.
func TestFailureBetweenPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&reader{exact: true}, rows("a", 3))
		w.o.Once = false
		var last *transactions
		w.o.NewOutput = func(string) (Output, error) {
			last = &transactions{t: t, b: w.broker}
			return last, nil
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- NewTask(w.o).Run(ctx) }()
		time.Sleep(time.Minute)
		synctest.Wait()
		w.broker.mu.Lock()
		came := w.broker.log
		w.broker.log, w.broker.offsets = nil, map[string][]wit.Field{}
		w.broker.mu.Unlock()
		last.failed(&kafka.Rewound{Cause: errors.New("connection refused")})
		time.Sleep(time.Minute)
		synctest.Wait()
		if diff := cmp.Diff(came, w.broker.records()); diff != "" || len(came) != 3 {
			t.Errorf("%d records at first, then\n%s", len(came), diff)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// A snapshot whose first page is not committed is asked for again by the feed that starts over, after what that reads
// at its start.
func TestSnapshotThatIsNotCommitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{exact: true}
		w := newWorld(r, rows("a", 3), rows("b", 3), rows("c", 3))
		w.service.follows = map[string][]string{"/snapshot": rows("s", 2)}
		commits := 0
		w.o.NewOutput = func(string) (Output, error) {
			return &refusingOne{transactions{t: t, b: w.broker}, &commits, 2}, nil
		}
		task := NewTask(w.o)
		asked := false
		w.service.before = func(r *wit.Request) {
			if r.Target == "/page/0" && !asked {
				asked = true
				if err := task.Snapshot("feed0", "now"); err != nil {
					t.Error(err)
				}
			}
		}
		require.NoError(t, task.Run(t.Context()))
		want := topic(slices.Concat(rows("a", 3), rows("b", 3), rows("s", 2), rows("c", 3)))
		if diff := cmp.Diff(want, w.broker.records()); diff != "" {
			t.Error(diff)
		}
		if s := task.Progress().Feeds[0]; s.Snapshots != 0 || s.LastSnapshot.Snapshot != "now" || !s.LastSnapshot.Begun {
			t.Errorf("%+v", s)
		}
	})
}
