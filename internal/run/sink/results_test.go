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
		{status: 302, requests: 1, uncertain: true},
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
		{status: 400, requests: 1},
		{status: 401, requests: 1},
	} {
		runtest.Bubble(t, fmt.Sprint(c.status, c.code), func(t *testing.T) {
			w := &writer{}
			if c.code != "" {
				w.code = &c.code
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
			assert.Equal(t, c.requests, len(x.service.seen()), "requests")
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
		x.ok(t)
		if elapsed := time.Since(start); elapsed < 2*time.Minute {
			t.Errorf("expected a pause of 2 min, found %v", elapsed)
		}
	})
}

var errTrap = errors.New("wasm error: unreachable")

// If the plugin traps on a response, the response is settled once more; a row that is still not settled is in doubt,
// unless the status means that the service rejected it.
func TestResponsesThePluginCannotRead(t *testing.T) {
	oops := &wit.Error{Kind: wit.ErrorInternal, Message: "index out of range"}
	old := &wit.Error{Kind: wit.ErrorStale, Message: "metadata changed"}
	for name, c := range map[string]struct {
		status   uint16
		settle   []error
		open     []error
		opens    int
		want     string
		metadata string
	}{
		"a trap": {201, []error{errTrap}, nil, 1, "", ""},
		"two traps": {201, []error{errTrap, errTrap}, nil, 1,
			"POST /Set was answered 201, which the plugin could not interpret: wasm error", "uncertain=0"},
		"two panics":             {201, []error{oops, oops}, nil, 1, "index out of range", "uncertain=0"},
		"two traps of a 204":     {204, []error{errTrap, errTrap}, nil, 1, "was answered 204", "uncertain=0"},
		"two traps of a 520":     {520, []error{errTrap, errTrap}, nil, 1, "was answered 520", "uncertain=0"},
		"two traps of a refusal": {400, []error{errTrap, errTrap}, nil, 1, "settle: wasm error: unreachable", ""},
		"a trap of a refusal":    {400, []error{errTrap}, nil, 1, "write: answered 400", ""},
		"old, then judged":       {201, []error{old}, nil, 2, "", ""},
		"old, and old again":     {201, []error{old, old}, nil, 2, "metadata changed", "uncertain=0"},
		"old, and not to be opened": {201, []error{old, old}, []error{errors.New("no metadata")}, 2,
			"metadata changed", "uncertain=0"},
		"not opened, judged all the same": {201, []error{old}, []error{errors.New("no metadata")}, 2, "", ""},
		"a trap, then old":                {201, []error{errTrap, old}, nil, 2, "", ""},
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
				len(x.service.seen()) != 1 {
				t.Errorf("found %d opened, %d fresh instances, metadata %q, %d requests", w.opens, fresh,
					x.group.metadata[topicPartition{"t", 0}], len(x.service.seen()))
			}
			if c.metadata != "" {
				x.o.InDoubt = nil // another process
				if _, err := x.run(t); err == nil || len(x.service.seen()) != 1 {
					t.Errorf("expected no repeated request, found %q and %v", x.service.seen(), err)
				}
			}
		})
	}
}

// A stop that can no longer wait for the plugin accounts for every response.
func TestStopWhileResponsesAreRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{hangs: true})
		x.o.Once = false
		x.group.put("t", 0, "a=1", "b=2")
		stop := runtest.Start(t, NewTask(x.o).Run)
		time.Sleep(3 * time.Second)
		start := time.Now()
		runtest.Fails(t, stop(), "topic t, partition 0, offset 0", "was answered 201", "is not sent again")
		if elapsed := time.Since(start); elapsed > 5*time.Second || x.group.metadata[topicPartition{"t",
			0}] != "uncertain=0-1" {
			t.Errorf("took %v, metadata %q", elapsed, x.group.metadata[topicPartition{"t", 0}])
		}
	})
}

// A response that arrived just before the stop canceled its request is settled.
func TestResponseDuringStopIsSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{})
		x.o.Once = false
		x.service.slow = 5*time.Second - 10*time.Millisecond
		x.group.put("t", 0, "a=1")
		stop := runtest.Start(t, NewTask(x.o).Run)
		time.Sleep(2*time.Second + 240*time.Millisecond) // sent after 1 s; canceled 3.75 s after the stop
		if err := stop(); err != nil || x.committed("t", 0) != 1 {
			t.Errorf("expected the row to be settled, found %v, metadata %q", err, x.group.metadata[topicPartition{"t",
				0}])
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
		x.fails(t, "topic t, partition 0, offset 0", "is not sent again",
			"POST /Set: the response with status 201 cannot be used: packed in br")
	})
}
