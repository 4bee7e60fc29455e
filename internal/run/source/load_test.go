package source

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/run/runtest"
	"github.com/culvert-project/culvert/wit"
)

// killedRun runs the task until all feeds wait, then kills the worker: nothing is stored any more.
func (w *world) killedRun(t *testing.T) {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	w.o.Once = false
	go func() { ended <- NewTask(w.o).Run(ctx) }()
	time.Sleep(400 * time.Millisecond) // of the bubble
	synctest.Wait()
	w.broker.mu.Lock()
	w.broker.kill = 1
	w.broker.mu.Unlock()
	end()
	<-ended
	w.broker.kill = 0
	w.o.Once = true
	clear(w.broker.pending)
}

// logged returns what a run of the task logs.
func (w *world) logged(t *testing.T) string {
	t.Helper()
	var log bytes.Buffer
	w.o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	if _, err := w.run(t); err != nil && !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	w.broker.kill = 0
	clear(w.broker.pending)
	return log.String()
}

// The end of a load that had rows is stored when they are acknowledged: a worker that is killed right after it reads
// nothing again.
func TestEndIsStoredAtOnce(t *testing.T) {
	for name, c := range map[string]struct {
		pages [][]string
		want  int // ends that are stored promptly
	}{
		"rows in the last page":    {[][]string{rows("a", 3), rows("b", 3)}, 1},
		"no rows in the last page": {[][]string{rows("a", 3), {}}, 1},
		"no rows":                  {[][]string{{}, {}}, 0},
	} {
		runtest.Bubble(t, name, func(t *testing.T) {
			w := newWorld(&reader{exact: true, pollMs: 3_600_000}, c.pages...)
			w.broker.flushes = false
			w.killedRun(t)
			assert.Equal(t, c.want, len(w.broker.prompt), "stored promptly")
			if c.want == 0 {
				return
			}
			written := len(w.broker.records())
			if stored := w.stored(); !strings.HasPrefix(stored, "page=2 total=2") {
				t.Fatalf("expected the offset of the end, found %q", stored)
			}
			w.service.requests = nil
			w.ok(t)
			assert.Equal(t, written, len(w.broker.records()), "records after the restart")
			if slices.Contains(w.service.requests, "/page/0") {
				t.Errorf("the set was read again: %q", w.service.requests)
			}
		})
	}
}

// The beginning of a first load is stored before its first row. A run that begins it again warns that nothing reports
// entities that were deleted in between; other runs do not.
func TestBeginningOfFirstLoad(t *testing.T) {
	page := rows("a", 3000)
	for i := range page {
		page[i] += strings.Repeat("x", 200) // so that it has several chunks
	}
	for name, c := range map[string]struct {
		exact     bool
		killAfter int // stored offsets
		warns     bool
	}{
		"before the first row":   {exact: true, killAfter: 1, warns: true},
		"page cannot be resumed": {killAfter: 1, warns: true},
		"within the page":        {exact: true, killAfter: 3},
		"after the page":         {killAfter: 2},
	} {
		runtest.Bubble(t, name, func(t *testing.T) {
			w := newWorld(&reader{exact: c.exact}, page, rows("b", 3))
			w.broker.killAfter = c.killAfter
			const warning = "begins again"
			if log := w.logged(t); strings.Contains(log, warning) {
				t.Errorf("expected no warning of a first run, found %s", log)
			}
			if first := w.broker.stores[0]; !strings.HasPrefix(first, "page=0 "+fieldBeginning+"=") {
				t.Errorf("expected the beginning in the first offset, found %q", first)
			}
			if c.killAfter == 1 {
				assert.Equal(t, 0, len(w.broker.records()), "records before the beginning was stored")
			}
			for _, later := range w.broker.stores[1:] {
				if strings.Contains(later, fieldBeginning) {
					t.Errorf("expected no beginning in %q", later)
				}
			}
			log := w.logged(t)
			assert.Equal(t, c.warns, strings.Contains(log, warning), log)
			if c.warns && !strings.Contains(log, `command="culvert connectors snapshot c feed0"`) {
				t.Errorf("expected the command that mends it, found %s", log)
			}
			if log := w.logged(t); strings.Contains(log, warning) {
				t.Errorf("expected no warning after the load, found %s", log)
			}
		})
	}
}

// The extra page of a start does not hide that the load begins again; another first request does not begin it.
func TestBeginningAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&reader{stores: true}, rows("a", 3))
		w.service.bodies = map[string][]string{"/store": {"LATER 0"}}
		w.broker.killAfter = 2 // the extra page, and the beginning
		w.logged(t)
		if stored := w.stored(); !strings.Contains(stored, fieldBeginning) {
			t.Fatalf("expected the beginning, found %q", stored)
		}
		w.broker.killAfter = 1
		w.logged(t)
		if stored := w.stored(); !strings.Contains(stored, fieldBeginning) {
			t.Fatalf("expected the beginning after an extra page, found %q", stored)
		}
		partition := []wit.OffsetEntry{wit.IntegerEntry("feed", 0)}
		fields, err := w.broker.Get(t.Context(), partition)
		require.NoError(t, err)
		assert.Equal(t, true, strings.Contains(w.logged(t), "begins again"), "the same request")
		for i := range fields {
			if fields[i].Name == fieldBeginning {
				fields[i] = wit.StringEntry(fieldBeginning, digestOf("GET /other"))
			}
		}
		w.broker.offsets[describeOffset(partition)] = fields
		assert.Equal(t, false, strings.Contains(w.logged(t), "begins again"), "another request")
	})
}

// The progress of a load and the proof of its end are the plugin's, asked for at most once a second, and at its end.
func TestLoadProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{exact: true}
		w := newWorld(r, rows("a", 3), rows("b", 3), rows("c", 3), rows("d", 3), rows("e", 3))
		task := NewTask(w.o)
		seen := map[string]*FeedLoad{}
		w.service.onRequest = func(q *wit.Request) {
			if q.Target == "/open" {
				return
			}
			seen[q.Target] = task.Progress().Feeds[0].Load
			time.Sleep(600 * time.Millisecond) // of the bubble
		}
		require.NoError(t, task.Run(t.Context()))
		assert.Equal(t, []string{"page=1", "page=3", "page=5 total=5"}, r.asked, "asked for")
		want := map[string]*FeedLoad{"/page/0": nil, "/page/1": {Read: 1}, "/page/2": {Read: 1}, "/page/3": {Read: 3},
			"/page/4": {Read: 3}}
		if diff := cmp.Diff(want, seen); diff != "" {
			t.Errorf("before the requests: %s", diff)
		}
		ended := func(when string, task *Task, want *string) {
			t.Helper()
			feed := task.Progress().Feeds[0]
			if feed.Load != nil || !cmp.Equal(want, feed.Complete) {
				t.Errorf("%s: expected no load and the proof %v, found %+v", when, want, feed)
			}
		}
		ended("at the end", task, wit.Ptr("key"))
		w.service.onRequest = nil
		r.asked = nil
		ended("after a restart", w.ok(t), wit.Ptr("key"))
		assert.Equal(t, []string{"page=5 total=5"}, r.asked, "asked for at a start")
		r.silent = true
		ended("a plugin without progress", w.ok(t), nil)
	})
}
