package sink

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/run/runtest"
	"github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/wit"
)

// An attemptCounter counts attempts, of which the first ones fail.
type attemptCounter struct {
	attempts int
	failures int // how many attempts fail
}

// next counts an attempt and reports whether it fails.
func (c *attemptCounter) next() bool {
	c.attempts++
	return c.attempts <= c.failures
}

var errNotNow = &wit.Error{Kind: wit.ErrorTransient, Message: "not now"}

// failTransforms makes the transforms reject the first row, and return only the others, in each attempt that fails.
func failTransforms(x *world, c *attemptCounter) {
	x.o.NewChain = func(context.Context) (Chain, error) {
		return chainFunc(func(b *record.Batch) []wit.RowError {
			for i := range b.Rows {
				b.Rows[i].RowIndex = uint32(i)
			}
			if c.next() {
				b.Rows = b.Rows[1:]
				b.Data = append(b.Data, "of a try"...)
				return []wit.RowError{{RowIndex: 0, Error: *errNotNow}}
			}
			return nil
		}), nil
	}
}

// failRows makes the service respond with 503 to each attempt that fails.
func failRows(x *world, c *attemptCounter) {
	x.service.answer = func(int, string) (uint16, error) {
		if c.next() {
			return 503, nil
		}
		return 201, nil
	}
}

// failRequests makes the requests of attempts that fail not arrive.
func failRequests(x *world, c *attemptCounter) {
	x.service.answer = func(int, string) (uint16, error) {
		if c.next() {
			return 0, errNotNow
		}
		return 201, nil
	}
}

// Transient failures are retried for as long as `errors.retry.timeout` specifies: in transforms, for rows that the
// service does not accept now, and for requests that do not arrive.
func TestRetriesUntilRetryTimeout(t *testing.T) {
	for _, c := range []struct {
		name     string
		fail     func(*world, *attemptCounter)
		retry    task.RetryPolicy
		failures int
		message  string // of the task; "" means all records are written
	}{
		{name: "transforms", fail: failTransforms, retry: task.RetryPolicy{Timeout: -1}, failures: 12},
		{
			name: "transforms, short of time", fail: failTransforms,
			retry: task.RetryPolicy{Timeout: 3 * time.Second}, failures: 12,
			message: `offset 0, key "a": transforms: not now`,
		},
		{
			name: "transforms, not tried again", fail: failTransforms, failures: 1,
			message: `offset 0, key "a": transforms: not now`,
		},
		{
			name: "rows", fail: failRows, retry: task.RetryPolicy{Timeout: -1, MaxDelay: time.Second}, failures: 12,
		},
		{name: "rows, in time", fail: failRows, retry: task.RetryPolicy{Timeout: time.Minute}, failures: 12},
		{
			name: "rows, short of time", fail: failRows,
			retry: task.RetryPolicy{Timeout: 7 * time.Second}, failures: 12,
			message: `offset 0, key "a": tried 8 times: answered 503`,
		},
		{
			name: "rows, as often as the client does", fail: failRows, failures: 12,
			message: `offset 0, key "a": tried 4 times: answered 503`,
		},
		{name: "requests", fail: failRequests, retry: task.RetryPolicy{Timeout: -1}, failures: 12},
		{
			name: "requests, short of time", fail: failRequests,
			retry: task.RetryPolicy{Timeout: 3 * time.Second}, failures: 12,
			message: `offset 0, key "a": POST /Set: not now`,
		},
		{
			name: "requests, not sent again", fail: failRequests, failures: 1,
			message: `offset 0, key "a": POST /Set: not now`,
		},
	} {
		runtest.Bubble(t, c.name, func(t *testing.T) {
			x := newWorld(&writer{})
			counter := &attemptCounter{failures: c.failures}
			x.o.InFlight = 1
			x.o.Retry = c.retry
			x.group.put("t", 0, "a=1", "b=2")
			c.fail(x, counter)
			_, err := x.run(t)
			if c.message != "" {
				runtest.Fails(t, err, "topic t, partition 0, "+c.message)
				return
			}
			if err != nil || counter.attempts <= c.failures || x.committed("t", 0) != 2 {
				t.Errorf("expected all records to be written after %d attempts, found %v after %d, committed %d",
					c.failures+1, err, counter.attempts, x.committed("t", 0))
			}
			written := x.service.bodies()
			assert.Equal(t, []string{"a=1", "b=2"}, written[len(written)-2:])
		})
	}
}

// A stop ends pauses between attempts.
func TestStopEndsRetryPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{})
		x.o.Retry = task.RetryPolicy{Timeout: -1}
		x.service.answer = func(int, string) (uint16, error) {
			return 0, &wit.Error{Kind: wit.ErrorTransient, Message: "not now"}
		}
		x.group.put("t", 0, "a=1")
		ctx, stop := context.WithTimeout(t.Context(), time.Hour)
		defer stop()
		start := time.Now()
		err := NewTask(x.o).Run(ctx)
		var noResponse *transport.NoResponseError
		assert.Equal(t, time.Hour, time.Since(start), "time until the task ended")
		if errors.As(err, &noResponse) || x.committed("t", 0) != 0 {
			t.Errorf("expected no lost response and no commit, found %v, committed %d", err, x.committed("t", 0))
		}
	})
}

// A plugin that retries a row endlessly does not keep the service busy: the pauses grow, up to a limit.
func TestRetryWithoutProgressIsPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{})
		x.group.put("t", 0, "a=1")
		var times []time.Time
		x.service.answer = func(int, string) (uint16, error) {
			times = append(times, time.Now())
			return 409, nil
		}
		x.mustFail(t, "write it again for the 17th time")
		require.Equal(t, maxRepeats+1, len(times), "requests")
		for n := range times[1:] {
			pause := times[n+1].Sub(times[n])
			if n == 0 && pause != 0 { // the first hint is progress
				t.Errorf("expected no pause before a row is written alone, found %v", pause)
			}
			if n > 0 && (pause < 100*time.Millisecond || (n > 1 && n < 5 && pause <= times[n].Sub(times[n-1]))) {
				t.Errorf("attempt %d: found a pause of %v after one of %v", n+2, pause, times[n].Sub(times[n-1]))
			}
		}
	})
}

// A plugin that needs to be reopened again and again requests documents at growing intervals, and not for ever.
func TestReopeningIsPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &writer{onEncode: func(*wit.EncodeResult, []wit.Hint) error {
			return &wit.Error{Kind: wit.ErrorStale, Message: "old"}
		}}
		x := newWorld(w)
		x.group.put("t", 0, "a=1")
		start := time.Now()
		x.mustFail(t, `topic t, partition 0, offset 0, key "a": encode: old`)
		elapsed := time.Since(start)
		assert.True(t, elapsed >= 10*time.Second && w.opens == maxRepeats+1, "opened %d times in %v", w.opens, elapsed)
	})
}

// Responses of one plugin context open the plugin once.
func TestConcurrentReopensAreOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &writer{version: "12", firstIsStale: true}
		x := newWorld(w)
		x.o.InFlight = 12
		for i := range x.o.InFlight {
			x.group.put("t", 0, fmt.Sprintf("%c=1", 'a'+i))
		}
		x.mustRun(t)
		assert.Equal(t, 2, w.opens, "opens")
	})
}

// If a router answers in place of the service when the plugin is opened again, or by the next attempt of the task, the
// task ends with a transient error, so that it restarts.
func TestServiceThatIsNotFoundAnyMoreIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		notFound := &wit.Error{Kind: wit.ErrorNotFound, Message: "no route"}
		x := newWorld(&writer{staleOnce: true, openErrs: []error{notFound, notFound}})
		x.o.Answered = &atomic.Bool{}
		x.group.put("t", 0, "a=1")
		for _, step := range []string{"open again: no route", "open: no route"} {
			_, err := x.run(t)
			runtest.Fails(t, err, step)
			assert.True(t, isTransient(err), "expected a transient error, found %v", err)
		}
		x.mustRun(t)
	})
}

// A row that the plugin has sent again for another reason than a transient error, such as a lock, is sent as often as
// the settings allow while other keys continue. Then errors.tolerance decides.
func TestRowThatStaysLockedIsRejected(t *testing.T) {
	for _, c := range []struct {
		name        string
		tolerate    bool
		retry       task.RetryPolicy
		outage      int // attempts before, which find no service
		locked      int // attempts that find the lock
		attempts    int
		deadLetters int
		message     string // of the task; "" means that it ends without an error
	}{
		{name: "tolerated", tolerate: true, locked: 1000, attempts: 4, deadLetters: 1},
		{
			name: "not tolerated", locked: 1000, attempts: 4,
			message: `topic t, partition 0, offset 0, key "a": write: changed (tried 4 times)`,
		},
		{name: "released in time", tolerate: true, locked: 3, attempts: 4},
		{
			name: "released within errors.retry.timeout", tolerate: true, retry: task.RetryPolicy{Timeout: -1},
			locked: 50, attempts: 51,
		},
		{
			name: "longer than errors.retry.timeout", tolerate: true, retry: task.RetryPolicy{Timeout: 7 * time.Second},
			locked: 1000, attempts: 8, deadLetters: 1,
		},
		{name: "after an outage, released in time", tolerate: true, outage: 3, locked: 3, attempts: 7},
		{name: "after an outage", tolerate: true, outage: 3, locked: 1000, attempts: 7, deadLetters: 1},
		{
			name: "after an outage, longer than errors.retry.timeout", tolerate: true,
			retry: task.RetryPolicy{Timeout: 7 * time.Second}, outage: 7, locked: 1000, attempts: 15, deadLetters: 1,
		},
		{
			name: "after an outage, not tolerated", outage: 3, locked: 1000, attempts: 7,
			message: `topic t, partition 0, offset 0, key "a": write: changed (tried 4 times)`,
		},
	} {
		runtest.Bubble(t, c.name, func(t *testing.T) {
			x := newWorld(&writer{})
			deadLetters := &deadLetterLog{}
			x.o.TolerateAll = c.tolerate
			x.o.Retry = c.retry
			x.o.DeadLetters = deadLetters
			x.group.put("t", 0, "a=1", "b=2", "c=3", "b=4")
			attempts := 0
			var order []string
			x.service.answer = func(_ int, body string) (uint16, error) {
				if body[0] != 'a' {
					order = append(order, body)
					return 201, nil
				}
				attempts++
				switch {
				case attempts <= c.outage:
					return 503, nil
				case attempts <= c.outage+c.locked:
					return 412, nil
				}
				return 201, nil
			}
			_, err := x.run(t)
			if c.message != "" {
				runtest.Fails(t, err, c.message)
			} else if err != nil || x.committed("t", 0) != 4 || len(order) != 3 {
				t.Errorf("expected 3 other rows and all committed, found %v, committed %d (%v)", order,
					x.committed("t", 0), err)
			}
			assert.True(t, attempts == c.attempts && len(deadLetters.lines) == c.deadLetters,
				"expected %d attempts and %d dead letters, found %d and %v", c.attempts, c.deadLetters, attempts,
				deadLetters.lines)
		})
	}
}

// If a whole table is locked, a few rows for each request slot are tried before the first ones are repeated, so that
// the attempts of all rows are not used up at once.
func TestWaitingDeliveriesAreBounded(t *testing.T) {
	const slots = 2
	const maxTried = slots * (maxWaiting + 1)
	for _, rows := range []int{maxTried + 1, maxTried + 5} {
		runtest.Bubble(t, fmt.Sprint(rows, " rows"), func(t *testing.T) {
			x := newWorld(&writer{})
			x.o.InFlight = slots
			x.service.delay = time.Millisecond
			for key := range rows {
				x.group.put("t", 0, string(rune('a'+key))+"=1")
			}
			var start time.Time
			tried := map[string]int{}
			triedBeforeRepeat := 0 // rows that were tried before one was repeated
			x.service.answer = func(n int, body string) (uint16, error) {
				if n == 1 {
					start = time.Now()
				}
				if time.Since(start) > 3*time.Second {
					return 201, nil
				}
				row, _, _ := strings.Cut(body, "?")
				tried[row]++
				if tried[row] == 2 && triedBeforeRepeat == 0 {
					triedBeforeRepeat = len(tried)
				}
				return 412, nil
			}
			x.mustRun(t)
			assert.Equal(t, maxTried, triedBeforeRepeat)
		})
	}
}

// More rows than requests may be sent at once stay locked: rows of other keys are written in the meantime, and later
// rows of the locked keys after them. The locked rows are not stored as in flight, which would leave them in doubt
// after a kill. While the service accepts nothing, it gets no further requests.
func TestLockedRowsDoNotHoldBackOtherKeys(t *testing.T) {
	const locked = 3 * time.Second
	for _, c := range []struct {
		name           string
		status         uint16
		othersContinue bool // rows of other keys are written in the meantime
		requests       int  // during the locks, at most
	}{
		{name: "locked", status: 412, othersContinue: true, requests: 6*4 + 3},
		{name: "not accepted now", status: 503, requests: 2 * 4},
	} {
		runtest.Bubble(t, c.name, func(t *testing.T) {
			x := newWorld(&writer{})
			x.o.InFlight = 2
			x.service.delay = time.Millisecond
			x.group.put("t", 0, "a=1", "b=1", "c=1", "d=1", "e=1", "f=1", "a=2", "x=1", "y=1", "z=1")
			var start time.Time
			var order []string
			metadata := ""
			requests := 0
			x.service.answer = func(n int, body string) (uint16, error) {
				if n == 1 {
					start = time.Now()
				}
				isLocked := time.Since(start) < locked
				if isLocked {
					requests = n
				}
				row, _, _ := strings.Cut(body, "?")
				if row < "x" && isLocked {
					return c.status, nil
				}
				order = append(order, row)
				if row == "z=1" {
					metadata = x.metadata(topicPartition{"t", 0})
				}
				assert.True(t, row < "x" || c.othersContinue == isLocked,
					"expected %s to be written during the locks: %t, found %t", row, c.othersContinue, isLocked)
				return 201, nil
			}
			x.mustRun(t)
			assert.True(t, requests <= c.requests && (!c.othersContinue || !strings.HasPrefix(metadata, "sent=0")),
				"expected at most %d requests and no first record in flight, found %d and %s", c.requests, requests,
				metadata)
			assert.True(t, slices.Index(order, "a=1") <= slices.Index(order, "a=2") && x.service.maxInFlight == 2,
				"found the order %v and %d requests at once", order, x.service.maxInFlight)
		})
	}
}

// hintingWriter requests that a row is written again with these hints, one after another.
type hintingWriter struct {
	*writer
	hints []string
}

func (w *hintingWriter) HandleResponse(ctx context.Context, context []byte, memo []byte, rows []uint32,
	response wit.Response) (wit.ResponseResult, error) {
	if len(w.hints) == 0 {
		return w.writer.HandleResponse(ctx, context, memo, rows, response)
	}
	hint := w.hints[0]
	w.hints = w.hints[1:]
	return wit.ResponseResult{Results: []wit.RowResult{{Retry: &wit.Retry{Hint: hint}}}}, nil
}

// A hint that is new to the row is progress, however many follow: the row is sent again at once. Only a hint that it
// had before makes it wait.
func TestOnlyRepeatedHintsPause(t *testing.T) {
	for name, c := range map[string]struct {
		hints []string
		pause time.Duration
	}{
		"new ones":        {hints: []string{"most=500", "most=62", "most=7", "single"}},
		"none":            {hints: []string{"", ""}, pause: 300 * time.Millisecond},
		"the same":        {hints: []string{"alone", "alone", "alone"}, pause: 300 * time.Millisecond},
		"two in turns":    {hints: []string{"a", "b", "a", "b"}, pause: 200 * time.Millisecond},
		"the first again": {hints: []string{"a", "b", "c", ""}, pause: 100 * time.Millisecond},
	} {
		runtest.Bubble(t, name, func(t *testing.T) {
			w := &writer{}
			x := newWorldOf(w, &hintingWriter{writer: w, hints: c.hints})
			x.group.put("t", 0, "a=1")
			var times []time.Time // of the requests
			x.service.answer = func(int, string) (uint16, error) {
				times = append(times, time.Now())
				return 201, nil
			}
			x.mustRun(t)
			assert.Equal(t, len(c.hints)+1, len(times), "requests")
			assert.Equal(t, c.pause, times[len(times)-1].Sub(times[0]), "pauses")
		})
	}
}
