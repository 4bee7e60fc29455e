package sink

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/run/runtest"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/wit"
)

// P19: what a response proves by its status alone. Only statuses for which [wit.IsRejection] is true prove that the row
// was not written.
func TestStatusesThatProveNothing(t *testing.T) {
	for _, c := range []struct {
		status    uint16
		code      string
		requests  int
		uncertain bool
	}{
		{status: 406, requests: 1, uncertain: true},
		{status: 408, requests: 1, uncertain: true},
		{status: 499, requests: 1, uncertain: true},
		{status: 101, requests: 1, uncertain: true},
		{status: 303, requests: 1, uncertain: true},
		{status: 304, requests: 1, uncertain: true},
		{status: 500, requests: 1, uncertain: true},
		{status: 501, requests: 1, uncertain: true},
		{status: 502, requests: 1, uncertain: true},
		{status: 504, requests: 1, uncertain: true},
		{status: 505, requests: 1, uncertain: true},
		{status: 507, requests: 1, uncertain: true},
		{status: 520, requests: 1, uncertain: true},
		{status: 524, requests: 1, uncertain: true},
		{status: 527, requests: 1, uncertain: true},
		{status: 530, requests: 1, uncertain: true},
		{status: 599, requests: 1, uncertain: true},
		{status: 520, code: "X/2", requests: 1, uncertain: true},
		{status: 520, code: "520", requests: 1, uncertain: true},
		{status: 502, code: "502", requests: 1, uncertain: true},
		{status: 520, code: "X/1", requests: 4},
		{status: 500, code: "X/1", requests: 4},
		{status: 503, requests: 4},
		{status: 302, requests: 1},
		{status: 400, requests: 1},
		{status: 401, requests: 1},
	} {
		runtest.Bubble(t, fmt.Sprint(c.status, c.code), func(t *testing.T) {
			w := &writer{}
			if c.code != "" {
				w.errorCode = &c.code
			}
			x := newWorld(w)
			x.service.retry.Codes = []string{"500", "502", "503", "520", "X/1"}
			x.o.TolerateAll = c.uncertain // errors.tolerance does not apply to records in doubt
			x.group.put("t", 0, "a=1")
			x.service.answer = func(int, string) (uint16, error) { return c.status, nil }
			_, err := x.run(t)
			runtest.Fails(t, err, "topic t, partition 0, offset 0", fmt.Sprint("answered ", c.status))
			metadata := ""
			if c.uncertain {
				runtest.Fails(t, err, "it may have been written or not, and is not sent again",
					"errors.uncertain.skip=t-0@0", fmt.Sprintf("POST /Set was answered %d", c.status))
				metadata = "uncertain=0"
			}
			assert.Equal(t, c.requests, len(x.service.bodies()), "requests")
			assert.Equal(t, metadata, x.group.metadata[topicPartition{"t", 0}], "metadata")
		})
	}
}

// The pause before a row is sent again is as long as the service specifies.
func TestRetryAfterIsObeyed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{})
		x.group.put("t", 0, "a=1")
		x.service.headers = []wit.Header{{Name: "retry-after", Value: "120"}}
		x.service.answer = func(n int, _ string) (uint16, error) { return []uint16{503, 201}[n-1], nil }
		start := time.Now()
		x.mustRun(t)
		assert.AtLeast(t, 2*time.Minute, time.Since(start), "a pause of 2 min")
	})
}

var errTrap = errors.New("wasm error: unreachable")

// If the plugin traps on a response, the response is settled once more; a row that is still not settled is in doubt,
// unless the status means that the service rejected it.
func TestResponsesThePluginCannotRead(t *testing.T) {
	panicked := &wit.Error{Kind: wit.ErrorInternal, Message: "index out of range"}
	stale := &wit.Error{Kind: wit.ErrorStale, Message: "metadata changed"}
	for name, c := range map[string]struct {
		status   uint16
		settle   []error // the results of the first calls that settle the response
		open     []error // the results of the calls that open the plugin again
		opens    int
		want     string // a part of the task's error; empty means that the row is settled
		metadata string // that the task leaves
	}{
		"a trap": {status: 201, settle: []error{errTrap}, opens: 1},
		"two traps": {
			status: 201, settle: []error{errTrap, errTrap}, opens: 1, metadata: "uncertain=0",
			want: "POST /Set was answered 201, which the plugin could not interpret: wasm error",
		},
		"two panics": {
			status: 201, settle: []error{panicked, panicked}, opens: 1, metadata: "uncertain=0",
			want: "index out of range",
		},
		"two traps on a 204": {
			status: 204, settle: []error{errTrap, errTrap}, opens: 1, metadata: "uncertain=0",
			want: "was answered 204",
		},
		"two traps on a 520": {
			status: 520, settle: []error{errTrap, errTrap}, opens: 1, metadata: "uncertain=0",
			want: "was answered 520",
		},
		"two traps on a rejection": {
			status: 400, settle: []error{errTrap, errTrap}, opens: 1,
			want: "settle: wasm error: unreachable",
		},
		"a trap on a rejection": {status: 400, settle: []error{errTrap}, opens: 1, want: "write: answered 400"},
		"stale once":            {status: 201, settle: []error{stale}, opens: 2},
		"stale twice": {
			status: 201, settle: []error{stale, stale}, opens: 2, metadata: "uncertain=0",
			want: "metadata changed",
		},
		"stale twice, and not opened again": {
			status: 201, settle: []error{stale, stale}, open: []error{errors.New("no metadata")}, opens: 2,
			metadata: "uncertain=0",
			want:     "metadata changed",
		},
		"stale once, and not opened again": {
			status: 201, settle: []error{stale}, open: []error{errors.New("no metadata")}, opens: 2,
		},
		"a trap, then stale": {status: 201, settle: []error{errTrap, stale}, opens: 2},
	} {
		runtest.Bubble(t, name, func(t *testing.T) {
			w := &writer{settleErrs: slices.Clone(c.settle), openErrs: c.open}
			x := newWorld(w)
			x.group.put("t", 0, "a=1")
			x.service.answer = func(int, string) (uint16, error) { return c.status, nil }
			_, err := x.run(t)
			if c.want != "" {
				runtest.Fails(t, err, "topic t, partition 0, offset 0", c.want)
			} else if err != nil || x.committed("t", 0) != 1 {
				t.Errorf("expected the row to be settled, found %v", err)
			}
			fresh := x.versions.Current().(*runtest.Code[Writer]).FreshCalls.Load()
			if w.opens != c.opens || fresh == 0 || x.group.metadata[topicPartition{"t", 0}] != c.metadata ||
				len(x.service.bodies()) != 1 {
				t.Errorf("expected %d opens, a fresh instance, metadata %q and one request, found %d, %d, %q, %d",
					c.opens, c.metadata, w.opens, fresh, x.metadata(topicPartition{"t", 0}), len(x.service.bodies()))
			}
			if c.metadata != "" {
				x.o.InDoubt = nil // another process
				if _, err := x.run(t); err == nil || len(x.service.bodies()) != 1 {
					t.Errorf("expected no repeated request, found %q and %v", x.service.bodies(), err)
				}
			}
		})
	}
}

// A stop that can no longer wait for the plugin accounts for every response.
func TestStopWhileResponsesAreRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{hang: true})
		x.o.Once = false
		x.group.put("t", 0, "a=1", "b=2")
		stop := runtest.Start(t, NewTask(x.o).Run)
		time.Sleep(3 * time.Second)
		start := time.Now()
		runtest.Fails(t, stop(), "topic t, partition 0, offset 0", "was answered 201", "is not sent again")
		assert.AtMost(t, 5*time.Second, time.Since(start), "a stop within 5 s")
		assert.Equal(t, "uncertain=0-1", x.metadata(topicPartition{"t", 0}), "metadata")
	})
}

// A response that arrived just before the stop canceled its request is settled.
func TestResponseDuringStopIsSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{})
		x.o.Once = false
		x.service.delay = 5*time.Second - 10*time.Millisecond
		x.group.put("t", 0, "a=1")
		stop := runtest.Start(t, NewTask(x.o).Run)
		time.Sleep(2*time.Second + 240*time.Millisecond) // sent after 1 s; canceled 3.75 s after the stop
		if err := stop(); err != nil || x.committed("t", 0) != 1 {
			t.Errorf("expected the row to be settled, found %v, metadata %q", err, x.metadata(topicPartition{"t", 0}))
		}
	})
}

// If the transport could not read a response, the error contains the status.
func TestUnreadableResponses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{})
		x.group.put("t", 0, "a=1")
		x.service.answer = func(int, string) (uint16, error) {
			return 0, &transport.NoResponseError{Method: "POST", Target: "/Set", Status: 201,
				Cause: &wit.Error{Kind: wit.ErrorData, Message: "packed in br"}}
		}
		x.mustFail(t, "topic t, partition 0, offset 0", "is not sent again",
			"POST /Set: the response with status 201 cannot be used: packed in br")
	})
}
