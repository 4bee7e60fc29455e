package source

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/wit"
)

// Followed requests are sent concurrently, and their responses are decoded in the order of the requests.
func TestFollowedRequestsAreConcurrent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&reader{exact: true}, []string{"a=1", ">/one", ">/two", ">/three"})
		w.service.follows = map[string][]string{"/one": {"+a=1"}, "/two": {"+a=2"}, "/three": {"+a=3"}}
		var all sync.WaitGroup
		all.Add(3)
		w.service.before = func(r *wit.Request) {
			if r.Tag == "/one" || r.Tag == "/two" || r.Tag == "/three" {
				all.Done()
				all.Wait() // no response before all requests are sent
			}
		}
		w.ok(t)
		assert.Equal(t, []string{"topic0/a=1", "topic0/a=1", "topic0/a=2", "topic0/a=3"}, w.broker.records())
	})
}

// crowded is a service whose limits allow no request besides the page's own.
type crowded struct {
	*service
	first atomic.Bool
}

func (c *crowded) Do(ctx context.Context, r *wit.Request) (*transport.Answer, error) {
	if r.Tag == "/two" && c.first.CompareAndSwap(false, true) {
		return nil, transport.ErrNoRoom
	}
	return c.service.Do(ctx, r)
}

// A followed request without a free slot is sent at its turn.
func TestFollowedRequestWithoutFreeSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&reader{exact: true}, []string{"a=1", ">/one", ">/two"})
		w.service.follows = map[string][]string{"/one": {"+a=1"}, "/two": {"+a=2"}}
		c := &crowded{service: w.service}
		w.o.Client = c
		w.ok(t)
		if diff := cmp.Diff([]string{"topic0/a=1", "topic0/a=1", "topic0/a=2"}, w.broker.records()); diff != "" ||
			!c.first.Load() {
			t.Error(diff)
		}
	})
}

// A tolerated status of a followed request is passed to decode; any other one fails the page.
func TestToleratedStatuses(t *testing.T) {
	for _, c := range []struct {
		tolerates []uint16
		want      string
	}{{[]uint16{410, 404}, ""}, {[]uint16{410}, "GET /page/0, after row 1: linked request /gone: answered 404"},
		{nil, "linked request /gone: answered 404"}} {
		synctest.Test(t, func(t *testing.T) {
			r := &reader{exact: true, tolerates: c.tolerates}
			w := newWorld(r, []string{"a=1", ">/there", ">/gone", "b=2"})
			w.service.follows = map[string][]string{"/there": {"+a=1.1"}}
			_, err := w.run(t)
			assert.ErrorOrNone(t, err, c.want, "tolerated", c.tolerates)
			if err == nil {
				assert.Equal(t, map[string]uint16{"": 200, "/there": 200, "/gone": 404}, r.statuses)
			}
		})
	}
}

// Each difference is named once: changed values, and members that only one side has.
func TestDiffers(t *testing.T) {
	for stored, want := range map[string][]string{
		"set=S client=100 filter=a":         nil,
		"set=S client=200 filter=a":         {"client"},
		"set=S filter=b expand=c":           {"client", "expand", "filter"},
		"set=S client=100 filter=a;topic=T": nil,
		"set=S client=100 filter=a;topic=U": {"topic"},
	} {
		w := &wit.Feed{Fingerprint: "set=S client=100 filter=a", Topic: "T"}
		assert.Equal(t, want, FingerprintDiff([]wit.OffsetEntry{wit.StringEntry(fieldFingerprint, stored)}, w), stored)
	}
	assert.Equal(t, nil, FingerprintDiff([]wit.OffsetEntry{wit.IntegerEntry("page", 1)}, &wit.Feed{Fingerprint: "a"}),
		"an offset without a fingerprint")
}

// The feed decides what a changed fingerprint means: at a start, and when the plugin is reopened in between.
func TestChangedFingerprint(t *testing.T) {
	stored := []wit.OffsetEntry{wit.IntegerEntry("page", 1), wit.StringEntry("fingerprint", "client=100")}
	for changed, want := range map[wit.MismatchPolicy]struct {
		requests []string
		err      string
	}{
		wit.MismatchFail:   {[]string{"/open"}, `belongs to something else (stored "client=100", now "client=200")`},
		wit.MismatchReload: {[]string{"/open", "/page/0", "/page/1"}, ""},
		wit.MismatchKeep:   {[]string{"/open", "/page/1"}, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(&reader{exact: true, fingerprint: "client=200", changed: changed}, []string{"a=1"},
				[]string{"b=2"})
			w.broker.offsets["feed=0"] = stored
			_, err := w.run(t)
			assert.ErrorOrNone(t, err, want.err, changed)
			assert.Equal(t, want.requests, w.service.requests, changed)
			if at := describeOffset(w.broker.offsets["feed=0"]); err == nil &&
				at != "page=2 total=2 fingerprint=client=200" {
				t.Errorf("%d: stored %s", changed, at)
			}
		})
	}
	for changed, want := range map[wit.MismatchPolicy][]string{
		wit.MismatchReload: {"/open", "/page/0", "/page/1", "/open", "/page/0", "/page/1"},
		wit.MismatchKeep:   {"/open", "/page/0", "/page/1", "/open", "/page/1"},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := &reader{exact: true, fingerprint: "metadata=1", changed: changed, staleOnce: true}
			w := newWorld(r, []string{"a=1"}, []string{"b=2", "!stale"})
			w.service.before = func(q *wit.Request) {
				if q.Target == "/page/1" {
					r.fingerprint = "metadata=2"
				}
			}
			w.ok(t)
			assert.Equal(t, want, w.service.requests, changed, "reopened")
			assert.Equal(t, "page=2 total=2 fingerprint=metadata=2", w.stored(), changed,
				"offset stored after reopening")
		})
	}
}

// A snapshot that the plugin can read only after its current load is requested again then; a snapshot that it cannot
// read at all is reported, and does not block the feed.
func TestSnapshotAfterLoad(t *testing.T) {
	for _, calm := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			r := &reader{exact: true, calm: calm}
			w := newWorld(r, []string{"a=1"}, []string{"b=2"})
			w.service.follows = map[string][]string{"/snapshot": {"x=1"}}
			task := NewTask(w.o)
			at := "/page/0" // in the middle of the load
			if !calm {
				at = "/page/1" // the last page, after which the plugin is idle
			}
			w.snapshotAt(t, task, at)
			require.NoError(t, task.Run(t.Context()))
			want := []string{"topic0/a=1", "topic0/b=2", "topic0/x=1"}
			if !calm {
				want = want[:2]
			}
			assert.Equal(t, want, w.broker.records()[:len(want)])
			snapshotEnded(t, task, calm)
		})
	}
}

// A snapshot is read between two pages without changing the feed's offset, and the next page follows it.
func TestSnapshotBetweenPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{exact: true}
		w := newWorld(r, []string{"a=1"}, []string{"b=2"})
		w.service.follows = map[string][]string{"/snapshot": {"x=1"}}
		task := NewTask(w.o)
		w.snapshotAt(t, task, "/page/0")
		require.NoError(t, task.Run(t.Context()))
		assert.Equal(t, []string{"start", "snapshot now", "more"}, r.causes)
		assert.Equal(t, []string{"topic0/a=1", "topic0/x=1", "topic0/b=2"}, w.broker.records())
		assert.Equal(t, "page=2 total=2 fingerprint=", w.stored())
		if err := task.Snapshot("none", "now"); !errors.Is(err, ErrNoFeed) {
			t.Errorf("a missing feed: %v", err)
		}
		snapshotEnded(t, task, true)
	})
}
