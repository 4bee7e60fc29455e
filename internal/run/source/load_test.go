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

// runAndKill runs the task until all feeds wait, then kills the worker: nothing is stored any more.
func (w *world) runAndKill(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	w.o.Once = false
	go func() { result <- NewTask(w.o).Run(ctx) }()
	time.Sleep(400 * time.Millisecond) // of the bubble
	synctest.Wait()
	w.broker.mu.Lock()
	w.broker.killAt = 1
	w.broker.mu.Unlock()
	cancel()
	<-result
	w.broker.killAt = 0
	w.o.Once = true
	clear(w.broker.pending)
}

// runLogged runs the task, which may be killed, and returns its log.
func (w *world) runLogged(t *testing.T) string {
	t.Helper()
	var log bytes.Buffer
	w.o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	_, err := w.run(t)
	require.True(t, err == nil || errors.Is(err, errKilled), "%v", err)
	w.broker.killAt = 0
	clear(w.broker.pending)
	return log.String()
}

// The end of a load that had rows is stored when they are acknowledged: a worker that is killed right after it reads
// nothing again.
func TestEndIsStoredAtOnce(t *testing.T) {
	for name, c := range map[string]struct {
		pages      [][]string
		wantPrompt int // offsets that are stored at once
	}{
		"rows in the last page":    {pages: [][]string{rows("a", 3), rows("b", 3)}, wantPrompt: 1},
		"no rows in the last page": {pages: [][]string{rows("a", 3), {}}, wantPrompt: 1},
		"no rows":                  {pages: [][]string{{}, {}}},
	} {
		runtest.Bubble(t, name, func(t *testing.T) {
			w := newWorld(&reader{repeatsExactly: true, pollMs: 3_600_000}, c.pages...)
			w.broker.storesAtOnce = false
			w.runAndKill(t)
			assert.Equal(t, c.wantPrompt, len(w.broker.promptOffsets), "stored promptly")
			if c.wantPrompt == 0 {
				return
			}
			written := len(w.broker.records())
			if stored := w.storedOffset(); !strings.HasPrefix(stored, "page=2 total=2") {
				t.Fatalf("expected the offset of the end, found %q", stored)
			}
			w.service.requests = nil
			w.mustRun(t)
			assert.Equal(t, written, len(w.broker.records()), "records after the restart")
			assert.True(t, !slices.Contains(w.service.requests, "/page/0"),
				"expected no second read of the set, found %q", w.service.requests)
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
		repeatsExactly bool
		killAfter      int  // stored offsets
		warns          bool // the second run logs a warning
	}{
		"before the first row":   {repeatsExactly: true, killAfter: 1, warns: true},
		"page cannot be resumed": {killAfter: 1, warns: true},
		"within the page":        {repeatsExactly: true, killAfter: 3},
		"after the page":         {killAfter: 2},
	} {
		runtest.Bubble(t, name, func(t *testing.T) {
			w := newWorld(&reader{repeatsExactly: c.repeatsExactly}, page, rows("b", 3))
			w.broker.killAfter = c.killAfter
			const warning = "begins again"
			assert.NotContains(t, w.runLogged(t), warning, "warning of a first run")
			if first := w.broker.storedOffsets[0]; !strings.HasPrefix(first, "page=0 "+fieldBeginning+"=") {
				t.Errorf("expected the beginning in the first offset, found %q", first)
			}
			if c.killAfter == 1 {
				assert.Equal(t, 0, len(w.broker.records()), "records before the beginning was stored")
			}
			for _, offset := range w.broker.storedOffsets[1:] {
				assert.NotContains(t, offset, fieldBeginning, "beginning")
			}
			log := w.runLogged(t)
			assert.Equal(t, c.warns, strings.Contains(log, warning), log)
			assert.True(t, !c.warns || strings.Contains(log, `command="culvert connectors snapshot c feed0"`),
				"expected the command that mends it, found %s", log)
			assert.NotContains(t, w.runLogged(t), warning, "warning after the load")
		})
	}
}

// The extra page of a start does not hide that the load begins again; another first request does not begin it.
func TestBeginningAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&reader{hasStartPage: true}, rows("a", 3))
		w.service.bodies = map[string][]string{"/store": {"LATER 0"}}
		w.broker.killAfter = 2 // the extra page, and the beginning
		w.runLogged(t)
		stored := w.storedOffset()
		require.True(t, strings.Contains(stored, fieldBeginning), "expected the beginning, found %q", stored)
		w.broker.killAfter = 1
		w.runLogged(t)
		if stored := w.storedOffset(); !strings.Contains(stored, fieldBeginning) {
			t.Fatalf("expected the beginning after an extra page, found %q", stored)
		}
		partition := []wit.OffsetEntry{wit.IntegerEntry("feed", 0)}
		fields, err := w.broker.Get(t.Context(), partition)
		require.NoError(t, err)
		assert.Equal(t, true, strings.Contains(w.runLogged(t), "begins again"), "the same request")
		for i := range fields {
			if fields[i].Name == fieldBeginning {
				fields[i] = wit.StringEntry(fieldBeginning, digestOf("GET /other"))
			}
		}
		w.broker.offsets[describeOffset(partition)] = fields
		assert.Equal(t, false, strings.Contains(w.runLogged(t), "begins again"), "another request")
	})
}

// The plugin is called for the progress of a load at most once a second, and at the end of the load, for its proof.
func TestLoadProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{repeatsExactly: true}
		w := newWorld(r, rows("a", 3), rows("b", 3), rows("c", 3), rows("d", 3), rows("e", 3))
		task := NewTask(w.o)
		loads := map[string]*FeedLoad{} // before each request
		w.service.onRequest = func(q *wit.Request) {
			if q.Target == "/open" {
				return
			}
			loads[q.Target] = task.Progress().Feeds[0].Load
			time.Sleep(600 * time.Millisecond) // of the bubble
		}
		require.NoError(t, task.Run(t.Context()))
		assert.Equal(t, []string{"page=1", "page=3", "page=5 total=5"}, r.progressOffsets, "calls of Progress")
		want := map[string]*FeedLoad{
			"/page/0": nil,
			"/page/1": {Read: 1},
			"/page/2": {Read: 1},
			"/page/3": {Read: 3},
			"/page/4": {Read: 3},
		}
		assert.Equal(t, want, loads, "before the requests")
		checkEnded := func(when string, task *Task, want *string) {
			t.Helper()
			feed := task.Progress().Feeds[0]
			assert.True(t, feed.Load == nil && cmp.Equal(want, feed.Complete),
				"%s: expected no load and the proof %v, found %+v", when, want, feed)
		}
		checkEnded("at the end", task, wit.Ptr("key"))
		w.service.onRequest = nil
		r.progressOffsets = nil
		checkEnded("after a restart", w.mustRun(t), wit.Ptr("key"))
		assert.Equal(t, []string{"page=5 total=5"}, r.progressOffsets, "calls of Progress at a start")
		r.noProgress = true
		checkEnded("a plugin without progress", w.mustRun(t), nil)
	})
}
