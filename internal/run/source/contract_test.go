package source

import (
	"context"
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

// Linked requests are sent concurrently, and their responses are decoded in the order of the requests.
func TestFollowedRequestsAreConcurrent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&reader{repeatsExactly: true}, []string{"a=1", ">/one", ">/two", ">/three"})
		w.service.bodies = map[string][]string{"/one": {"+a=1"}, "/two": {"+a=2"}, "/three": {"+a=3"}}
		var requests sync.WaitGroup
		requests.Add(3)
		w.service.onRequest = func(r *wit.Request) {
			if r.Tag == "/one" || r.Tag == "/two" || r.Tag == "/three" {
				requests.Done()
				requests.Wait() // no response before all requests are sent
			}
		}
		w.mustRun(t)
		assert.Equal(t, []string{"topic0/a=1", "topic0/a=1", "topic0/a=2", "topic0/a=3"}, w.broker.records())
	})
}

// busyClient has no room for the request /two when that is sent for the first time.
type busyClient struct {
	*service
	hasRejected atomic.Bool
}

func (c *busyClient) Do(ctx context.Context, r *wit.Request) (*transport.Answer, error) {
	if r.Tag == "/two" && c.hasRejected.CompareAndSwap(false, true) {
		return nil, transport.ErrNoRoom
	}
	return c.service.Do(ctx, r)
}

// A linked request that cannot be sent early for want of a free slot is sent at its turn.
func TestFollowedRequestWithoutFreeSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&reader{repeatsExactly: true}, []string{"a=1", ">/one", ">/two"})
		w.service.bodies = map[string][]string{"/one": {"+a=1"}, "/two": {"+a=2"}}
		c := &busyClient{service: w.service}
		w.o.Client = c
		w.mustRun(t)
		diff := cmp.Diff([]string{"topic0/a=1", "topic0/a=1", "topic0/a=2"}, w.broker.records())
		assert.True(t, diff == "" && c.hasRejected.Load(),
			"expected a rejected request (%t), records (-want +got):\n%s", c.hasRejected.Load(), diff)
	})
}

// A tolerated status of a linked request is passed to Decode; any other error status fails the page.
func TestToleratedStatuses(t *testing.T) {
	for _, c := range []struct {
		tolerated []uint16
		wantErr   string // empty means no error
	}{
		{tolerated: []uint16{410, 404}},
		{tolerated: []uint16{410}, wantErr: "GET /page/0, after row 1: linked request /gone: answered 404"},
		{wantErr: "linked request /gone: answered 404"},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := &reader{repeatsExactly: true, toleratedStatuses: c.tolerated}
			w := newWorld(r, []string{"a=1", ">/there", ">/gone", "b=2"})
			w.service.bodies = map[string][]string{"/there": {"+a=1.1"}}
			_, err := w.run(t)
			assert.ErrorOrNone(t, err, c.wantErr, "tolerated", c.tolerated)
			if err == nil {
				assert.Equal(t, map[string]uint16{"": 200, "/there": 200, "/gone": 404}, r.statuses)
			}
		})
	}
}

// Each changed value, and each member that only one side has, is named once.
func TestDiffers(t *testing.T) {
	for stored, want := range map[string][]string{
		"set=S client=100 filter=a":         nil,
		"set=S client=200 filter=a":         {"client"},
		"set=S filter=b expand=c":           {"client", "expand", "filter"},
		"set=S client=100 filter=a;topic=T": nil,
		"set=S client=100 filter=a;topic=U": {"topic"},
	} {
		feed := &wit.Feed{Fingerprint: "set=S client=100 filter=a", Topic: "T"}
		assert.Equal(t, want, FingerprintDiff([]wit.OffsetEntry{wit.StringEntry(fieldFingerprint, stored)}, feed),
			stored)
	}
	assert.Equal(t, nil, FingerprintDiff([]wit.OffsetEntry{wit.IntegerEntry("page", 1)}, &wit.Feed{Fingerprint: "a"}),
		"an offset without a fingerprint")
}

// The feed's mismatch policy applies to a changed fingerprint, both at a start and when the plugin is reopened.
func TestChangedFingerprint(t *testing.T) {
	offset := []wit.OffsetEntry{wit.IntegerEntry("page", 1), wit.StringEntry("fingerprint", "client=100")}
	// At a start.
	for policy, want := range map[wit.MismatchPolicy]struct {
		requests []string
		err      string // empty means no error
	}{
		wit.MismatchFail: {
			requests: []string{"/open"},
			err:      `belongs to something else (stored "client=100", now "client=200")`,
		},
		wit.MismatchReload: {requests: []string{"/open", "/page/0", "/page/1"}},
		wit.MismatchKeep:   {requests: []string{"/open", "/page/1"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(&reader{repeatsExactly: true, fingerprint: "client=200", onMismatch: policy}, []string{"a=1"},
				[]string{"b=2"})
			w.broker.offsets["feed=0"] = offset
			_, err := w.run(t)
			assert.ErrorOrNone(t, err, want.err, policy)
			assert.Equal(t, want.requests, w.service.requests, policy)
			stored := describeOffset(w.broker.offsets["feed=0"])
			assert.True(t, err != nil || stored == "page=2 total=2 fingerprint=client=200",
				"%d: expected the offset of the end with the new fingerprint, found %s", policy, stored)
		})
	}

	// When the plugin is reopened.
	for policy, want := range map[wit.MismatchPolicy][]string{
		wit.MismatchReload: {"/open", "/page/0", "/page/1", "/open", "/page/0", "/page/1"},
		wit.MismatchKeep:   {"/open", "/page/0", "/page/1", "/open", "/page/1"},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := &reader{repeatsExactly: true, fingerprint: "metadata=1", onMismatch: policy, staleOnce: true}
			w := newWorld(r, []string{"a=1"}, []string{"b=2", "!stale"})
			w.service.onRequest = func(request *wit.Request) {
				if request.Target == "/page/1" {
					r.fingerprint = "metadata=2"
				}
			}
			w.mustRun(t)
			assert.Equal(t, want, w.service.requests, policy, "reopened")
			assert.Equal(t, "page=2 total=2 fingerprint=metadata=2", w.storedOffset(), policy,
				"offset stored after reopening")
		})
	}
}

// A snapshot that the plugin can read only after its current load is requested again after it. A snapshot that it
// cannot read at all is reported, and does not block the feed.
func TestSnapshotAfterLoad(t *testing.T) {
	for _, readsLater := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			r := &reader{repeatsExactly: true, snapshotsLast: readsLater}
			w := newWorld(r, []string{"a=1"}, []string{"b=2"})
			w.service.bodies = map[string][]string{"/snapshot": {"x=1"}}
			task := NewTask(w.o)
			requestedAt := "/page/0" // in the middle of the load
			if !readsLater {
				requestedAt = "/page/1" // the last page, after which the plugin is idle
			}
			w.requestSnapshotAt(t, task, requestedAt)
			require.NoError(t, task.Run(t.Context()))
			want := []string{"topic0/a=1", "topic0/b=2", "topic0/x=1"}
			if !readsLater {
				want = want[:2]
			}
			assert.Equal(t, want, w.broker.records()[:len(want)])
			checkSnapshotEnded(t, task, readsLater)
		})
	}
}

// A snapshot is read between two pages without changing the feed's offset, and the next page follows it.
func TestSnapshotBetweenPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{repeatsExactly: true}
		w := newWorld(r, []string{"a=1"}, []string{"b=2"})
		w.service.bodies = map[string][]string{"/snapshot": {"x=1"}}
		task := NewTask(w.o)
		w.requestSnapshotAt(t, task, "/page/0")
		require.NoError(t, task.Run(t.Context()))
		assert.Equal(t, []string{"start", "snapshot now", "more"}, r.causes)
		assert.Equal(t, []string{"topic0/a=1", "topic0/x=1", "topic0/b=2"}, w.broker.records())
		assert.Equal(t, "page=2 total=2 fingerprint=", w.storedOffset())
		assert.ErrorIs(t, task.Snapshot("none", "now"), ErrNoFeed)
		checkSnapshotEnded(t, task, true)
	})
}
