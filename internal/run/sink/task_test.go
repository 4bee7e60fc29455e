package sink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/convert"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/run/runtest"
	"github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/wit"
)

func lines(prefix string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("%s%d=v%d", prefix, i, i)
	}
	return out
}

// A task with Options.Once writes everything that the topics hold and returns.
func TestOnceWritesEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{rowsPerRequest: 3, warnings: 2})
		x.group.put("a", 0, lines("a", 700)...)
		x.group.put("a", 1, append(lines("b", 5), "b1", "c=~left out")...)
		task := x.mustRun(t)
		assert.Equal(t, 700, x.committed("a", 0), "committed")
		assert.Equal(t, 7, x.committed("a", 1), "committed")
		p := task.Progress()
		assert.True(t, p.Read == 707 && p.Written == 706 && p.Ignored == 1 && p.Unsettled == 0 &&
			p.Skipped+p.Errors+p.Reencoded == 0,
			"expected 707 records to be read, 706 to be written and one to be ignored, found %+v", p)
		assert.True(t, p.Requests != 0 && p.Warnings == 2*p.Requests,
			"expected two warnings with each of %d responses, found %d", p.Requests, p.Warnings)
		tombstone := func(s string) bool { return s == "b1" || strings.HasSuffix(s, ",b1") }
		assert.True(t, slices.ContainsFunc(x.service.bodies(), tombstone), "expected a tombstone")
	})
}

func TestRejectedRowsFailTheTaskOrAreSkipped(t *testing.T) {
	records := []string{"a=1", "b=!too long", "bad=x", "d=400", "e=5"}
	answer := byBody(map[string]uint16{"d=400": 400})
	for want, rows := range map[string][]string{
		`topic t, partition 0, offset 1, key "b": encode: too long`:             {"a=1", "b=!too long"},
		`topic t, partition 0, offset 1, key "bad": key converter: no document`: {"a=1", "bad=x"},
		`topic t, partition 0, offset 1, key "d": write: answered 400`:          {"a=1", "d=400"},
		`topic t, partition 0, offset 0, key "d": write: answered 400`:          {"d=400"},
		`topic t, partition 0, offset 1, key "e": value converter: no document`: {"a=1", "e=bad"},
	} {
		synctest.Test(t, func(t *testing.T) {
			x := newWorld(&writer{})
			x.o.InFlight = 1
			x.group.put("t", 0, rows...)
			x.service.answer = answer
			x.mustFail(t, want)
		})
	}
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{})
		x.o.TolerateAll = true
		x.group.put("t", 0, records...)
		x.service.answer = answer
		task := x.mustRun(t)
		if p := task.Progress(); p.Skipped != 3 || p.Errors != 3 || p.Written != 2 || x.committed("t", 0) != 5 {
			t.Errorf("expected 3 skipped and 2 written records, and all committed, found %+v, committed %d", p,
				x.committed("t", 0))
		}
	})
}

// deadLetterLog stores dead letters as lines, or fails with err.
type deadLetterLog struct {
	mu    sync.Mutex
	lines []string
	err   error
}

func (d *deadLetterLog) Send(ctx context.Context, failed []FailedRecord) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return d.err
	}
	for _, letter := range failed {
		parts := ""
		if !letter.Rows.IsAll() {
			parts = ", parts " + letter.Rows.String()
		}
		d.lines = append(d.lines, fmt.Sprintf("%s@%d: %s: %s%s", letter.Record.Value, letter.Record.Offset,
			letter.Stage, letter.Err, parts))
	}
	return ctx.Err()
}

// A skipped row is settled when its dead letter is stored, and not earlier.
func TestRejectedRowIsSettledWithItsDeadLetter(t *testing.T) {
	records := []string{"a=1", "b=!too long", "bad=x", "d=400", "e=5", "f=bad"}
	answer := byBody(map[string]uint16{"d=400": 400})
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{})
		deadLetters := &deadLetterLog{}
		x.o.TolerateAll = true
		x.o.DeadLetters = deadLetters
		x.group.put("t", 0, records...)
		x.service.answer = answer
		task := x.mustRun(t)
		if p := task.Progress(); p.Skipped != 4 || p.Written != 2 || x.committed("t", 0) != 6 || p.LastError.IsZero() {
			t.Errorf("expected 4 skipped and 2 written records, and all committed, found %+v, committed %d", p,
				x.committed("t", 0))
		}
		if n := task.o.Metrics.Snapshot(time.Now()); n.DeadLetters != 4 || n.LostDeadLetters != 0 || n.Logged != 4 ||
			n.Errors != 0 || n.Active != 0 || n.Commits == 0 || n.FailedCommits != 0 || n.BatchSize.Max != 4 {
			t.Errorf("expected the metrics of 4 dead letters in a batch without failures, found %+v", n)
		}
		slices.Sort(deadLetters.lines)
		want := []string{"!too long@1: encode: too long", "400@3: write: answered 400",
			"bad@5: value converter: no document", "x@2: key converter: no document"}
		assert.Equal(t, want, deadLetters.lines)
	})
	for offset, row := range map[int64]string{0: "b=!too long", 1: "bad=x", 2: "d=400"} {
		synctest.Test(t, func(t *testing.T) {
			x := newWorld(&writer{})
			x.o.TolerateAll = true
			x.o.InFlight = 1
			x.o.DeadLetters = &deadLetterLog{err: errors.New("brokers are away")}
			x.group.put("t", 0, append(slices.Repeat([]string{"a=1"}, int(offset)), row)...)
			x.service.answer = answer
			task, err := x.run(t)
			n := task.o.Metrics.Snapshot(time.Now())
			assert.True(t, n.DeadLetters == 1 && n.LostDeadLetters == 1 && n.Logged == 0 && n.Errors == 1,
				"expected the metrics of one lost dead letter, found %+v", n)
			runtest.Fails(t, err, fmt.Sprintf("topic t, partition 0, offset %d", offset),
				"it is not skipped, because its dead letter cannot be stored: brokers are away")
			if committed := x.committed("t", 0); committed > offset {
				t.Errorf("expected at most offset %d to be committed, found %d", offset, committed)
			}
		})
	}
}

// A topic without settings is no record's fault: with errors.tolerance=all, all of the topic would be skipped.
func TestTopicWithoutSettings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{})
		x.o.TolerateAll = true
		x.group.put("t", 0, "a=1", "b=!!no entity set is configured")
		x.mustFail(t, `topic t, partition 0, offset 1, key "b": encode: no entity set is configured`)
		committed := x.committed("t", 0)
		assert.True(t, committed <= 1, "expected at most offset 1 to be committed, found %d", committed)
	})
}

// Failures that are not about the row fail the task even if rows may be skipped.
func TestFailuresOfTheServiceFailTheTask(t *testing.T) {
	for status, c := range map[uint16]struct {
		want     string // a part of the task's error
		requests int
	}{
		401: {want: `key "a": write: answered 401`, requests: 1},
		503: {want: `key "a": tried 4 times: answered 503`, requests: 4},
		412: {want: `key "a": write: changed`, requests: 4},
		409: {want: `write it again for the 17th time, last with the hint "alone"`, requests: 17},
	} {
		runtest.Bubble(t, fmt.Sprint(status), func(t *testing.T) {
			x := newWorld(&writer{})
			x.o.TolerateAll = status != 412
			x.group.put("t", 0, "a=1")
			x.service.answer = func(int, string) (uint16, error) { return status, nil }
			x.mustFail(t, "topic t, partition 0, offset 0", c.want)
			assert.Equal(t, c.requests, len(x.service.bodies()), "requests")
			assert.Equal(t, 0, x.committed("t", 0), "committed")
		})
	}
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{})
		x.group.put("t", 0, "a=1")
		x.service.answer = func(int, string) (uint16, error) {
			return 0, &wit.Error{Kind: wit.ErrorTransient, Message: "no connection"}
		}
		x.mustFail(t, `topic t, partition 0, offset 0, key "a": POST /Set: no connection`)
	})
}

// Records that are settled after a failed row do not move their partition's offset, but do move another partition's.
func TestCommitsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{})
		x.group.put("t", 0, "a=1", "b=2", "c=3", "d=4")
		x.group.put("t", 1, "e=1", "f=2")
		x.service.delay = time.Second
		x.o.InFlight = 6
		x.service.answer = byBody(map[string]uint16{"b=2": 400})
		x.mustFail(t, "partition 0, offset 1")
		assert.Equal(t, 1, x.committed("t", 0), "committed")
		assert.Equal(t, 2, x.committed("t", 1), "committed")
	})
}

// The rows of a delivery are settled individually: a failed one does not prevent the others from being settled as
// written.
func TestRowsOfDeliverySettleIndividually(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{rowsPerRequest: 5, statuses: map[uint32]uint16{1: 400, 3: 401}})
		x.group.put("t", 0, "a0=0", "a1=1", "a2=2", "a3=3", "a4=4")
		task := x.mustFail(t, `topic t, partition 0, offset 1, key "a1": write: answered 400`)
		assert.Equal(t, 3, task.Progress().Written, "written")
		assert.Equal(t, 1, len(x.service.bodies()), "requests")
		assert.Equal(t, 1, x.committed("t", 0), "committed")
		assert.Equal(t, "settled=1,3", x.group.metadata[(topicPartition{"t", 0})], "metadata")
	})
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{rowsPerRequest: 3})
		x.group.put("t", 0, "a0=0", "a1=1", "a2=2")
		x.service.answer = func(int, string) (uint16, error) { return 0, lostResponse() }
		x.mustFail(t, "partition 0, offset 0,", "is not sent again")
		assert.Equal(t, "uncertain=0-2", x.group.metadata[topicPartition{"t", 0}], "all rows of the request")
	})
}

// Of several records that fail at the same time, the error names the first one, although its response arrived last.
func TestFirstFailureIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{})
		x.group.put("t", 0, "a=0", "b=1", "c=2", "d=3")
		x.service.answer = func(_ int, body string) (uint16, error) { return 400, nil }
		x.service.delay = time.Second
		x.service.delayByBody = map[string]time.Duration{
			"a=0": 3 * time.Second,
			"b=1": 2 * time.Second,
			"c=2": time.Second,
		}
		x.mustFail(t, `topic t, partition 0, offset 0, key "a": write: answered 400`)
	})
}

func TestTaskLogsItsSummary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{rowsPerRequest: 2})
		var log strings.Builder
		x.o.Logger = slog.New(slog.NewTextHandler(&log, nil))
		x.service.delay = time.Second
		x.group.put("t", 0, "a=1", "a=2", "b=3", "c=~left out")
		x.mustRun(t)
		last := log.String()[strings.LastIndex(strings.TrimSpace(log.String()), "\n")+1:]
		for _, want := range []string{`msg="sink task ended"`, "rows=3 ", "deliveries=2 ", "ignored=1 ",
			"at_work.send=2s"} {
			assert.True(t, strings.Contains(last, want), "expected %q in the last line, found %s", want, last)
		}
	})
}

func TestCommitsWhileABatchIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{})
		x.o.Once = false
		x.service.delay = 500 * time.Millisecond
		x.group.put("t", 0, lines("a", 40)...)
		stop := runtest.Start(t, NewTask(x.o).Run)
		time.Sleep(10*time.Second + 100*time.Millisecond)
		n := x.committed("t", 0)
		assert.True(t, n >= 15 && n <= 20, "offset %d is committed after 10 s of a batch that takes 20 s", n)
		require.NoError(t, stop())
		assert.Equal(t, int64(len(x.service.bodies())), x.committed("t", 0), "committed offset of the written records")
	})
}

// A commit that a stop interrupts is neither counted as failed nor logged; the last commit repeats it.
func TestStopEndsACommit(t *testing.T) {
	var logged strings.Builder
	x := newWorld(&writer{repeatable: true})
	x.o.Metrics = new(task.Metrics)
	x.o.Logger = slog.New(slog.NewTextHandler(&logged, nil))
	task := NewTask(x.o)
	task.run = &runContext{consumer: x.group}
	tp := topicPartition{"t", 0}
	task.tracker.apply(assigned{map[string][]int32{"t": {0}}})
	task.tracker.apply(offsetFetched{tp: tp, committed: -1})
	items := task.tracker.apply(recordsRead{[]*kgo.Record{{Topic: "t", Offset: 0}}}).items
	task.tracker.apply(rowsSettled{items: items, written: true})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	x.group.commitErr = ctx.Err()
	assert.ErrorIs(t, task.commit(ctx), context.Canceled, "the commit to be canceled")
	assert.Equal(t, 0, x.o.Metrics.Snapshot(time.Now()).FailedCommits, "failed commits")
	assert.Equal(t, "", logged.String(), "the log")
	assert.Equal(t, 1, task.tracker.apply(commitStarted{}).offsets["t"][0].Offset, "offset of the next commit")
}

func TestStopWaitsForRequestsInFlight(t *testing.T) {
	run := func(t *testing.T, slow time.Duration) (*world, time.Duration, error) {
		x := newWorld(&writer{})
		x.o.Once = false
		x.service.delay = slow
		x.group.put("t", 0, "a=1", "a=2", "a=3")
		stop := runtest.Start(t, NewTask(x.o).Run)
		time.Sleep(1500 * time.Millisecond) // the batch waits a second for more
		start := time.Now()
		err := stop()
		return x, time.Since(start), err
	}
	runtest.Bubble(t, "waits for a request in flight", func(t *testing.T) {
		x, elapsed, err := run(t, 2*time.Second)
		if err != nil || len(x.service.bodies()) != 1 || x.committed("t", 0) != 1 || elapsed > 2*time.Second {
			t.Errorf("expected one request and its commit within 2 s, found %v, %q, committed %v after %v", err,
				x.service.bodies(), x.group.committed, elapsed)
		}
	})
	runtest.Bubble(t, "reports a request that takes too long", func(t *testing.T) {
		x, elapsed, err := run(t, time.Hour)
		runtest.Fails(t, err, `topic t, partition 0, offset 0, key "a"`, "not sent again")
		assert.True(t, x.committed("t", 0) == 0 && elapsed <= 5*time.Second,
			"expected no commit and a stop within 5 s, found %v after %v", x.group.committed, elapsed)
	})
}

func TestRevokedPartitionIsNotWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{})
		x.o.Once = false
		x.o.InFlight = 2
		x.service.delay = time.Second
		x.group.put("t", 0, "a=1", "a=2", "a=3", "a=4")
		x.group.put("t", 1, "b=1", "b=2", "b=3", "b=4")
		stop := runtest.Start(t, NewTask(x.o).Run)
		runtest.Pass(2500 * time.Millisecond) // a=1 and b=1 are written, a=2 and b=2 are in progress
		x.group.revoke(t.Context(), topicPartition{"t", 0})
		assert.Equal(t, 2, x.committed("t", 0), "committed offset when the partition is revoked")
		time.Sleep(10 * time.Second)
		assert.Equal(t, []string{"a=1", "a=2", "b=1", "b=2", "b=3", "b=4"},
			slices.Sorted(slices.Values(x.service.bodies())))
		x.group.assign(topicPartition{"t", 0})
		time.Sleep(10 * time.Second)
		assert.Equal(t, []string{"a=1", "a=2", "a=3", "a=4", "b=1", "b=2", "b=3", "b=4"},
			slices.Sorted(slices.Values(x.service.bodies())))
		assert.Equal(t, 4, x.committed("t", 0), "committed")
		assert.Equal(t, 4, x.committed("t", 1), "committed")
		require.NoError(t, stop())
	})
}

// Some records of a delivery belong to another member when it is announced or sent: the other records of the delivery
// are written, before later ones.
func TestRebalanceOfADelivery(t *testing.T) {
	tp := topicPartition{"t", 1}
	for name, removePartition := range map[string]func(g *group){
		"revoked": func(g *group) { g.revoke(context.Background(), tp) },
		"lost":    func(g *group) { g.lose(tp) },
	} {
		// a repeatable delivery is not announced, and waits before it is sent
		for _, repeatable := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				x := newWorld(&writer{rowsPerRequest: 3, repeatable: repeatable})
				x.o.Once = false
				x.group.setUnreachable(errors.New("nobody there"))
				x.group.put("t", 0, "a1=1", "a2=2")
				x.group.put("t", 1, "a3=3")
				stop := runtest.Start(t, NewTask(x.o).Run)
				runtest.Pass(5 * time.Second)
				x.group.put("t", 0, "a4=4")
				runtest.Pass(5 * time.Second)
				removePartition(x.group)
				x.group.setUnreachable(nil)
				time.Sleep(time.Minute)
				require.NoError(t, stop())
				assert.Equal(t, []string{"a1=1,a2=2", "a4=4"}, x.service.bodies(), name, "repeatable", repeatable)
				assert.Equal(t, 3, x.committed("t", 0), name, "repeatable", repeatable)
			})
		}
	}
}

// Revoking a partition does not wait for a delivery that was not sent: deliveries before it may wait for a commit that
// is not accepted until the rebalance ends, as after the group has expelled the member.
func TestRevokeDoesNotWaitForUnsentDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{})
		x.o.Once = false
		x.o.InFlight = 1
		x.group.failCommits(errors.New("unknown member"))
		x.group.put("t", 0, "a=1")
		x.group.put("t", 1, "b=1")
		stop := runtest.Start(t, NewTask(x.o).Run)
		runtest.Pass(5 * time.Second)
		revoking, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		x.group.revoke(revoking, topicPartition{"t", 1})
		require.NoError(t, revoking.Err())
		x.group.failCommits(nil)
		time.Sleep(time.Minute)
		require.NoError(t, stop())
		assert.Equal(t, []string{"a=1"}, x.service.bodies())
		assert.Equal(t, 1, x.committed("t", 0))
	})
}

type chainFunc func(b *record.Batch) []wit.RowError

func (c chainFunc) Apply(_ context.Context, b *record.Batch) ([]wit.RowError, error) {
	return c(b), nil
}

// Transforms may drop a row, split one, and fail; a record is settled with all of its rows.
func TestTransformsDropSplitAndFailRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{})
		x.o.TolerateAll = true
		x.o.NewChain = func(context.Context) (Chain, error) {
			return chainFunc(func(b *record.Batch) (rejected []wit.RowError) {
				var out []wit.Row
				for i, r := range b.Rows {
					r.RowIndex = uint32(i)
					switch v := string(b.Bytes(r.Value)); v {
					case "drop": // no output
					case "twice":
						out = append(out, r, r)
					case "fault":
						rejected = append(rejected, wit.RowError{RowIndex: uint32(i),
							Error: wit.Error{Kind: wit.ErrorData, Message: "no"}})
					default:
						out = append(out, r)
					}
				}
				b.Rows = out
				return rejected
			}), nil
		}
		x.group.put("t", 0, "a=drop", "b=1", "c=twice", "d=fault", "e=drop")
		task := x.mustRun(t)
		assert.Equal(t, []string{"b=1", "c=twice", "c=twice"}, slices.Sorted(slices.Values(x.service.bodies())))
		if p := task.Progress(); x.committed("t", 0) != 5 || p.Skipped != 1 || p.Unsettled != 0 {
			t.Errorf("expected one skipped record and all committed, found %+v, committed %v", p, x.group.committed)
		}
		x.o.TolerateAll = false
		x.group.put("t", 0, "f=fault")
		x.mustFail(t, `topic t, partition 0, offset 5, key "f": transforms: no`)
		assert.Equal(t, 5, x.committed("t", 0), "committed offset, without the failed record")
	})
}

// P32: the row that makes the plugin trap is found, and the others are written.
func TestTrappingRowIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{trap: &plugin.Trap{Plugin: "p", Version: "1", Function: "encode",
			Reason: errors.New("unreachable")}})
		x.o.TolerateAll = true
		x.group.put("t", 0, slices.Concat(lines("a", 20), []string{"b=#"}, lines("c", 20))...)
		task := x.mustRun(t)
		if p := task.Progress(); p.Written != 40 || p.Skipped != 1 || x.committed("t", 0) != 41 {
			t.Errorf("expected 40 written records and a skipped one, found %+v, committed %d", p, x.committed("t", 0))
		}
		x.o.TolerateAll = false
		x.group.put("t", 0, "d=#")
		x.mustFail(t, `topic t, partition 0, offset 41, key "d": encode`, "unreachable")
	})
}

func TestStalePluginIsReopened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &writer{staleOnce: true, settleErrs: []error{&wit.Error{Kind: wit.ErrorStale,
			Message: "metadata changed"}}}
		x := newWorld(w)
		x.group.put("t", 0, "a=1")
		x.mustRun(t)
		assert.Equal(t, 3, w.opens, "opens")
		assert.Equal(t, 1, len(x.service.bodies()), "requests")
	})
}

// The detail of the error is the state of the call that opens the plugin again. A transient failure of that is repeated
// like a request; no row is skipped.
func TestStalePluginIsReopenedWithDetail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := &wit.Error{Kind: wit.ErrorTransient, Message: "HTTP 503"}
		w := &writer{staleOnce: true, staleDetail: wit.Ptr("fields"), openErrs: []error{away, away}}
		x := newWorld(w)
		x.o.TolerateAll = true
		x.o.ErrorHandling.Retry = task.RetryPolicy{Timeout: time.Minute}
		x.group.put("t", 0, "a=1")
		task := x.mustRun(t)
		assert.Equal(t, []string{"", "fields", "fields", "fields"}, w.openStates, "states")
		assert.Equal(t, 0, task.Progress().Skipped, "skipped")
		assert.Equal(t, []string{"a=1"}, x.service.bodies(), "requests")
	})
}

// The line of a fresh context is removed after a minute.
func TestContextIsFreshForAMinute(t *testing.T) {
	for age, want := range map[time.Duration]string{time.Minute: wit.ContextFresh + "1", time.Minute + 1: "1"} {
		synctest.Test(t, func(t *testing.T) {
			w := &writer{version: wit.ContextFresh + "1"}
			x := newWorld(w)
			x.o.BatchRows = 1
			x.o.AwaitWritable = func(context.Context, []*kgo.Record) error { time.Sleep(age); return nil }
			x.group.put("t", 0, "a=1")
			x.mustRun(t)
			assert.Equal(t, []string{want}, w.contexts, "contexts", age)
		})
	}
}

// A request that waits for longer than a context is fresh is not encoded again for that: nothing was learned.
func TestAgeOfContextEncodesNothingAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &writer{version: wit.ContextFresh + "1"}
		x := newWorld(w)
		x.service.delay = 2 * time.Minute
		x.group.put("t", 0, "a=1", "a=2")
		x.mustRun(t)
		assert.Equal(t, []string{wit.ContextFresh + "1"}, w.contexts, "contexts")
		assert.Equal(t, []string{"a=1", "a=2"}, x.service.bodies(), "requests")
	})
}

// If reopening the plugin makes it trap, no row is at fault: the task fails and nothing is skipped.
func TestTrapOfReopenSkipsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &writer{staleOnce: true, openErrs: []error{&plugin.Trap{Function: "open", Reason: errTrap}}}
		x := newWorld(w)
		x.o.TolerateAll = true
		x.group.put("t", 0, "a=1")
		task, err := x.run(t)
		runtest.Fails(t, err, "open again", "unreachable")
		assert.Equal(t, 0, task.Progress().Skipped, "skipped")
		committed := x.committed("t", 0)
		assert.True(t, committed <= 0, "expected nothing to be committed, found offset %d", committed)
	})
}

func TestVersionChangesBetweenBatches(t *testing.T) {
	for name, c := range map[string]struct {
		topics  []string // of the new version
		problem string   // why it is rejected; empty means that it is not
	}{
		"that fits":       {topics: []string{"t"}},
		"of other topics": {topics: []string{"u"}, problem: "restart the task to change topics"},
	} {
		runtest.Bubble(t, name, func(t *testing.T) {
			x := newWorld(&writer{version: "1", topics: []string{"t"}})
			x.o.BatchRows = 10
			x.group.maxPoll = 10
			x.group.put("t", 0, lines("a", 50)...)
			x.service.answer = func(n int, _ string) (uint16, error) {
				if n == 15 {
					next := &writer{version: "2", rowsPerRequest: 1, topics: c.topics}
					x.versions.SetCandidate(code(next.version, next))
				}
				return 201, nil
			}
			task := x.mustRun(t)
			problem := x.versions.Rejected()
			assert.True(t, strings.Contains(problem, c.problem) && (c.problem == "") == (problem == ""),
				"expected the version to be rejected because of %q, found %q", c.problem, problem)
			assert.Equal(t, 50, len(x.service.bodies()), "requests")
			wantVersion := "2"
			if c.problem != "" {
				wantVersion = "1"
			}
			assert.Equal(t, wantVersion, task.Progress().Version, "version")
		})
	}
}

func TestKafkaErrorsEndTheTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{})
		x.o.NewConsumer = func([]string, kafka.Rebalances) (Consumer, error) { return brokenConsumer{}, nil }
		x.mustFail(t, "not authorized")
	})
}

type brokenConsumer struct{ Consumer }

func (brokenConsumer) Poll(context.Context) (r []*kgo.Record, err error) {
	return nil, errors.New("not authorized")
}
func (brokenConsumer) Commit(context.Context, kafka.Offsets) error { return nil }
func (brokenConsumer) Close()                                      {}

// headerConverter is a converter that records the schema header of its last call, "none" if the call had no header.
type headerConverter struct {
	convert.Converter
	header string
}

func (h *headerConverter) DecodeBy(_ context.Context, _ string, header, _ []byte,
	_ *record.Batch) (wit.ValueSlice, error) {
	h.header = string(header)
	return wit.ValueSlice{}, nil
}

func (h *headerConverter) Decode(context.Context, string, []byte, *record.Batch) (wit.ValueSlice, error) {
	h.header = "none"
	return wit.ValueSlice{}, nil
}

// The header with the key's schema does not apply to the value, and the last header of a name counts, as in Kafka.
func TestKeySchemaHeaderIsIgnoredForValue(t *testing.T) {
	r := &kgo.Record{Headers: []kgo.RecordHeader{{Key: "__value_schema_id", Value: []byte("first")},
		{Key: "__value_schema_id", Value: []byte("last")}, {Key: "other"}}}
	for key, want := range map[bool]string{true: "none", false: "last"} {
		h := &headerConverter{}
		_, err := decodeValue(t.Context(), h, key, r, nil, nil)
		assert.True(t, err == nil && h.header == want, "key %v: expected %q, found %q, %v", key, want, h.header, err)
	}
}

type brokenService struct{ *service }

func (brokenService) Exchange(context.Context, *wit.Request) (wit.Response, error) {
	panic("a mistake in the transport")
}

type brokenGroup struct{ Consumer }

func (brokenGroup) Commit(context.Context, kafka.Offsets) error { panic("a mistake in the consumer") }

// A panic of the host in any stage fails the task, and the task returns.
func TestPanicsFailTheTask(t *testing.T) {
	for name, breakStage := range map[string]func(*world){
		"delivering": func(x *world) { x.o.Client = brokenService{x.service} },
		"committing": func(x *world) {
			x.o.NewConsumer = func(topics []string, r kafka.Rebalances) (Consumer, error) {
				c, err := x.group.join(topics, r)
				return brokenGroup{c}, err
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			x := newWorld(&writer{})
			x.group.put("t", 0, "a=1", "b=2")
			breakStage(x)
			err := guard.Do(nil, "the test", func() error { return NewTask(x.o).Run(t.Context()) })
			p := new(guard.PanicError)
			assert.True(t, errors.As(err, &p), "expected the panic as the task's error, found %v", err)
		})
	}
}
