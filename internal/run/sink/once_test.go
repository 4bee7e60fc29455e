package sink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/run/runtest"
	"github.com/culvert-project/culvert/wit"
)

// writeCounts returns how often each line was written, which must be once.
func writeCounts(t *testing.T, x *world) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for _, body := range x.service.bodies() {
		for _, line := range strings.Split(body, ",") {
			line, _, _ = strings.Cut(line, "?")
			counts[line]++
			require.True(t, counts[line] <= 1, "%s was written twice", line)
		}
	}
	return counts
}

// A stop in the middle of a batch of any size writes nothing twice: no more records are sent ahead of the first one
// than fit into the metadata.
func TestStopsInLargeBatches(t *testing.T) {
	runtest.Seeds(t, 4, 5, func(t *testing.T, seed uint64, r *rand.Rand) {
		const records = 4000
		w := &writer{rowsPerRequest: []int{1, 1, 3, records}[seed%4]}
		x := newWorld(w)
		x.group.metadataLimit = []int{0, 218, 437, 0}[seed%4]
		var log strings.Builder
		x.o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError}))
		x.o.Once = false
		x.o.BatchRows = records
		x.o.InFlight = 1 + r.IntN(64)
		x.group.maxPoll = 500
		partitions := 1 + r.IntN(3)
		for i := range records {
			lane := 'A' + rune(r.IntN(26))
			if i%2 == 0 {
				lane = 'a' // half of the records are in one slow lane
			}
			x.group.put("t", int32(i%partitions), fmt.Sprintf("%c%d=%d", lane, i, i))
		}
		x.service.delay = 10 * time.Millisecond
		x.service.delayByBody = map[string]time.Duration{}
		for i := 0; i < records; i += 2 {
			x.service.delayByBody[fmt.Sprintf("a%d=%d", i, i)] = time.Duration(r.IntN(300)) * time.Millisecond
		}
		for stops := 0; stops < 60; stops++ {
			stop := runtest.Start(t, NewTask(x.o).Run)
			time.Sleep(2*time.Second + time.Duration(r.IntN(20_000))*time.Millisecond)
			require.NoError(t, stop(), "seed", seed)
			writeCounts(t, x)
			if isCaughtUp, _ := x.group.caughtUp(t.Context()); isCaughtUp {
				break
			}
		}
		x.o.Once = true
		x.mustRun(t)
		if n := len(writeCounts(t, x)); n != records || log.Len() > 0 {
			t.Errorf("seed %d: expected %d records, found %d; %s", seed, records, n, log.String())
		}
	})
}

// Records for which nothing is sent do not limit the records ahead: they need no space in the metadata.
func TestIgnoredRecordsNeedNoMetadata(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{})
		x.o.BatchRows = 10_000
		x.o.InFlight = 8
		x.group.maxPoll = 10_000
		x.service.delay = time.Second
		for i := range 5000 {
			x.group.put("t", 0, fmt.Sprintf("%c%d=1", 'A'+i%50, i), "z=~left out")
		}
		start := time.Now()
		x.mustRun(t)
		if elapsed := time.Since(start); elapsed > 5000/8*2*time.Second || x.service.maxInFlight != 8 {
			t.Errorf("expected at most %v with 8 requests at a time, found %v with %d", 5000/8*2*time.Second, elapsed,
				x.service.maxInFlight)
		}
	})
}

// A delivery of more rows than fit into the metadata is sent in parts.
func TestDeliveriesThatExceedTheMetadata(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{rowsPerRequest: 5000})
		x.o.BatchRows = 10_000
		x.group.maxPoll = 10_000
		x.group.metadataLimit = 437
		for i := range 5000 {
			x.group.put("t", 0, fmt.Sprintf("a%d=1", i), fmt.Sprintf("b%d=1", i))
		}
		x.mustRun(t)
		if n := len(writeCounts(t, x)); n != 10_000 || len(x.service.bodies()) < 20 {
			t.Errorf("expected 10,000 records in at least 20 requests, found %d in %d", n, len(x.service.bodies()))
		}
	})
}

// A batch that is too large for the metadata is sent in parts, and its rows are encoded once, not again for each part.
// The requests are as large as the settings allow, also with one partition.
func TestLargeBatchesAreEncodedOnce(t *testing.T) {
	for partitions := range int32(3) {
		synctest.Test(t, func(t *testing.T) {
			w := &writer{rowsPerRequest: 1000}
			x := newWorld(w)
			x.o.BatchRows = 8000
			x.o.InFlight = 8
			x.group.maxPoll = 8000
			x.service.delay = time.Second
			for i := range 16_000 {
				x.group.put("t", int32(i)%(partitions+1), fmt.Sprintf("%c%d=1", 'a'+i%8, i))
			}
			x.mustRun(t)
			n := len(writeCounts(t, x))
			requests := len(x.service.bodies())
			assert.True(t, n == 16_000 && w.encoded == n && (partitions != 0 || requests <= 20),
				"%d partitions: found %d records in %d requests, of %d rows that were encoded", partitions+1, n,
				requests, w.encoded)
		})
	}
}

// A version that traps in the middle of such a batch is tried three times and rolled back: the previous version writes
// all of it, each record once, except those that the new one has ignored by then.
func TestTrappingVersionInLargeBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		oldVersion := &writer{rowsPerRequest: 1000, version: "1"}
		newVersion := &writer{rowsPerRequest: 1000, version: "2", trap: &plugin.Trap{Function: "encode"}}
		x := newWorld(oldVersion)
		x.versions.SetCandidate(code("2", newVersion))
		traps := 0
		x.versions.OnShouldRetry = func() bool {
			if x.versions.Current().Version() != "2" {
				return false
			}
			traps++
			if traps == 3 {
				x.versions.SetCandidate(code("1", oldVersion))
			}
			return true
		}
		x.o.BatchRows = 8000
		x.o.InFlight = 8
		x.group.maxPoll = 8000
		x.service.delay = time.Second
		for i := range 8000 {
			value := "1"
			switch i {
			case 7:
				value = "~ignored"
			case 6000:
				value = "#the new version breaks"
			}
			x.group.put("t", 0, fmt.Sprintf("%c%d=%s", 'a'+i%8, i, value))
		}
		x.mustRun(t)
		if n := len(writeCounts(t, x)); n != 7999 || traps != 3 || oldVersion.encoded < 7999 ||
			x.committed("t", 0) != 8000 {
			t.Errorf("found %d records, %d breaks, %d rows encoded by the version before, offset %d", n, traps,
				oldVersion.encoded, x.committed("t", 0))
		}
	})
}

// If nothing can be stored with an offset, nothing is sent.
func TestNothingIsSentWithoutAnnouncement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{})
		x.group.put("t", 0, "a=1", "b=1")
		x.group.commitErr = fmt.Errorf("commit: %w", kafka.ErrCommitMetadata)
		if _, err := x.run(t); !errors.Is(err, kafka.ErrCommitMetadata) || len(x.service.bodies()) != 0 {
			t.Errorf("expected no request and the commit's error, found %d and %v", len(x.service.bodies()), err)
		}
		x.group.commitErr = nil
		x.mustRun(t)
		assert.Equal(t, 2, len(writeCounts(t, x)))
		// A stop also reports what it could not store.
		x.group.put("t", 0, "c=1")
		x.o.Once = false
		x.service.delay = time.Second
		stop := runtest.Start(t, NewTask(x.o).Run)
		time.Sleep(1500 * time.Millisecond) // the request is in progress
		x.group.failCommits(kafka.ErrCommitMetadata)
		if err := stop(); !errors.Is(err, kafka.ErrCommitMetadata) || len(x.service.bodies()) != 3 {
			t.Errorf("expected the commit's error after 3 requests, found %v after %d", err, len(x.service.bodies()))
		}
	})
}

// An entry in errors.uncertain.send applies once, whatever its outcome and whenever the run ends.
func TestDecisionsAreUsedUp(t *testing.T) {
	tp := topicPartition{"t", 0}
	prepare := func(t *testing.T) *world {
		x := newWorld(&writer{})
		x.group.put("t", 0, "a=1")
		x.service.answer = func(int, string) (uint16, error) { return 0, lostResponse() }
		x.mustFail(t, "errors.uncertain.send=t-0@0")
		return x
	}
	retry := func(t *testing.T, x *world, requests int, metadata string, send ...string) error {
		t.Helper()
		// another process
		x.o.InDoubt = nil
		x.o.Send = send
		_, err := x.run(t)
		assert.Equal(t, requests, len(x.service.bodies()), "requests")
		assert.Equal(t, metadata, x.group.metadata[tp], "metadata")
		return err
	}
	runtest.Bubble(t, "no answer again", func(t *testing.T) {
		x := prepare(t)
		retry(t, x, 2, "uncertain=0 decided=0", "t-0@0")
		for range 3 {
			runtest.Fails(t, retry(t, x, 2, "uncertain=0 decided=0", "t-0@0"), "is not sent again",
				"errors.uncertain.send=t-0@0", "a name in errors.uncertain.send counts once, and was used up for t-0@0")
		}
		retry(t, x, 3, "uncertain=0 decided=0,0", "t-0@0", "t-0@0")
		retry(t, x, 3, "uncertain=0 decided=0,0", "t-0@0", "t-0@0")
		retry(t, x, 3, "uncertain=0") // not named, so the next entry is a new decision
		retry(t, x, 4, "uncertain=0 decided=0", "t-0@0")
		x.service.answer = nil
		require.NoError(t, retry(t, x, 5, "", "t-0@0", "t-0@0"))
	})
	runtest.Bubble(t, "killed while it is sent", func(t *testing.T) {
		x := prepare(t)
		x.service.answer = func(int, string) (uint16, error) {
			assert.Equal(t, "uncertain=0 decided=0", x.group.metadata[tp], "the decision is stored before the request")
			return 201, nil
		}
		x.o.Send = []string{"t-0@0"}
		runUntilKilled(t, x, 1)
		runtest.Fails(t, retry(t, x, 2, "uncertain=0 decided=0", "t-0@0"), "was used up for t-0@0")
	})
	runtest.Bubble(t, "the decision cannot be stored", func(t *testing.T) {
		x := prepare(t)
		x.group.commitErr = errors.New("no coordinator")
		runtest.Fails(t, retry(t, x, 1, "uncertain=0", "t-0@0"), "not sent again, because the use of", "no coordinator")
	})
	runtest.Bubble(t, "rejected by the service", func(t *testing.T) {
		x := prepare(t)
		x.service.answer = func(int, string) (uint16, error) { return 400, nil }
		runtest.Fails(t, retry(t, x, 2, "uncertain=0 decided=0", "t-0@0"), "answered 400")
		retry(t, x, 2, "uncertain=0 decided=0", "t-0@0")
	})
	t.Run("invalid name", func(t *testing.T) {
		x := newWorld(&writer{})
		x.o.Skip = []string{"t@0"}
		x.mustFail(t, `errors.uncertain.skip: expected TOPIC-PARTITION@OFFSET, as orders-0@17, found "t@0"`)
	})
}

// A commit that failed because of a rebalance or a missing coordinator is repeated, even if nothing new is settled.
func TestFailedCommitIsRepeated(t *testing.T) {
	for _, commitErr := range []error{fmt.Errorf("commit: %w", kafka.ErrRebalanced), errors.New("no coordinator")} {
		runtest.Bubble(t, commitErr.Error(), func(t *testing.T) { checkFailedCommit(t, commitErr) })
	}
}

func checkFailedCommit(t *testing.T, commitErr error) {
	x := newWorld(&writer{repeatable: true})
	x.o.Once = false
	x.group.put("t", 0, lines("a", 3)...)
	x.group.commitErr = commitErr
	stop := runtest.Start(t, NewTask(x.o).Run)
	time.Sleep(5 * time.Second)
	x.group.failCommits(nil)
	time.Sleep(2 * time.Second)
	assert.Equal(t, 3, x.committed("t", 0), "committed")
	x.group.failCommits(commitErr)
	x.group.put("t", 0, "b=1", "c=1", "d=1")
	time.Sleep(3 * time.Second)
	time.AfterFunc(500*time.Millisecond, func() { // the last commit is tried more than once
		x.group.failCommits(nil)
	})
	if err := stop(); err != nil || x.committed("t", 0) != 6 {
		t.Errorf("expected 6 to be committed, found %v, %v", x.group.committed, err)
	}
}

// runUntilKilled runs a task until a number of requests got their response, and then stores nothing more, like a killed
// task.
func runUntilKilled(t *testing.T, x *world, requests int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	inner := x.service.answer
	created := 0
	x.service.answer = func(n int, body string) (uint16, error) {
		created++
		if created == requests {
			x.group.failCommits(errors.New("killed"))
			cancel()
		}
		if inner != nil {
			return inner(n, body)
		}
		return 201, nil
	}
	x.o.Once = false
	x.o.InDoubt = nil
	x.o.Revoked = nil
	require.NoError(t, NewTask(x.o).Run(ctx))
	x.group.commitErr = nil
	x.service.answer = inner
	x.o.Once = true
}

// rejectExisting makes the service reject rows that it has.
func rejectExisting(x *world) {
	has := map[string]bool{}
	x.service.answer = func(_ int, body string) (uint16, error) {
		if has[body] {
			return 410, nil
		}
		has[body] = true
		return 201, nil
	}
}

// Records that a killed run had in progress, and that it could not mark as written, are reported all at once; nothing
// is sent twice.
func TestRecordsOfAKilledRun(t *testing.T) {
	for _, c := range []struct {
		name          string
		batchRows     int
		nextBatchRows int // of the run after the killed one
		committed     int // records that were committed before
	}{
		{name: "first load", batchRows: 500, nextBatchRows: 500},
		{name: "batches of another size", batchRows: 500, nextBatchRows: 30},
		{name: "after a commit", batchRows: 100, nextBatchRows: 100, committed: 300},
	} {
		runtest.Bubble(t, c.name, func(t *testing.T) {
			x := newWorld(&writer{})
			rejectExisting(x)
			x.service.delay = 2 * time.Millisecond
			x.o.CommitInterval = time.Hour
			x.group.maxPoll = 50
			if c.committed > 0 {
				x.group.put("t", 0, lines("x", c.committed)...)
				x.mustRun(t)
			}
			for i := range 400 {
				x.group.put("t", 0, fmt.Sprintf("%c%d=1", 'a'+i%7, i))
			}
			x.o.BatchRows = c.batchRows
			runUntilKilled(t, x, 60)
			written := len(x.service.bodies()) - c.committed
			x.o.BatchRows = c.nextBatchRows
			x.o.InDoubt = nil
			_, err := x.run(t)
			var names []string
			for i := c.committed; i < c.committed+400; i++ {
				name := fmt.Sprintf("t-0@%d", i)
				if err != nil && slices.Contains(strings.FieldsFunc(err.Error(),
					func(r rune) bool { return strings.ContainsRune(" ,=;", r) }), name) {
					names = append(names, name)
				}
			}
			runtest.Fails(t, err, "an earlier run, which was killed, may have written it",
				"errors.uncertain.skip="+strings.Join(names, ",")+" to skip them")
			if n := NewTask(x.o).o.InFlight; len(names) == 0 || len(names) > n*(1+announcedRowsPerSlot) {
				t.Fatalf("expected an error that names up to %d of the %d written records, found %d: %v",
					n*(1+announcedRowsPerSlot), written, len(names), err)
			}
			// Announced records that were not sent are among them: the service's operator checks which of them exist.
			x.o.InDoubt = nil
			for _, name := range names {
				var i int
				_, err := fmt.Sscanf(name, "t-0@%d", &i)
				require.NoError(t, err)
				i -= c.committed
				if slices.Contains(x.service.bodies(), fmt.Sprintf("%c%d=1", 'a'+i%7, i)) {
					x.o.Skip = append(x.o.Skip, name)
				} else {
					x.o.Send = append(x.o.Send, name)
				}
			}
			x.mustRun(t)
			lines := map[string]int{}
			for _, body := range x.service.bodies() {
				lines[body]++
				assert.True(t, lines[body] <= 1, "%s was sent twice", body)
			}
			if n := len(lines); n != c.committed+400 || x.committed("t", 0) != int64(n) ||
				x.group.metadata[topicPartition{"t", 0}] != "" {
				t.Errorf("expected %d lines, all committed, no metadata, found %d, %d, %q", c.committed+400, n,
					x.committed("t", 0), x.group.metadata[topicPartition{"t", 0}])
			}
		})
	}
}

// If no run was killed, no record is in doubt: a record that the service already has is rejected as usual.
func TestExistingRecordsAreRejected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{})
		rejectExisting(x)
		x.group.put("t", 0, "a=1", "b=2", "a=1", "c=3")
		for range 2 {
			_, err := x.run(t)
			runtest.Fails(t, err, `topic t, partition 0, offset 2, key "a": write: answered 410`)
			assert.True(t, !strings.Contains(err.Error(), "killed"),
				"expected no mention of a killed run, found %v", err)
		}
	})
}

// Unreadable metadata does not prove what was written: the task does not start, and leaves the metadata unchanged.
func TestUnreadableMetadata(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{})
		x.group.put("t", 0, "a=1", "b=2")
		tp := topicPartition{"t", 0}
		x.group.metadata[tp] = "settled=1 of-a-later-version=1"
		x.group.committed[tp] = 0
		x.mustFail(t, "topic t, partition 0", "expected settled, uncertain, decided or sent",
			"set the group's offset again")
		assert.Equal(t, 0, len(x.service.bodies()), "requests")
		assert.Equal(t, "settled=1 of-a-later-version=1", x.group.metadata[tp], "metadata")
	})
}

// A record of which some rows are written is finished before a stop, or reported: otherwise all of it would be written
// again.
func TestPartiallyWrittenRecords(t *testing.T) {
	newSplitWorld := func() *world {
		x := newWorld(&writer{})
		x.o.Once = false
		x.o.InFlight = 1
		x.o.NewChain = repeatRows(3)
		x.service.delay = time.Second
		x.group.put("t", 0, "a=1", "b=2")
		return x
	}
	run := func(t *testing.T, x *world) error {
		stop := runtest.Start(t, NewTask(x.o).Run)
		time.Sleep(1500*time.Millisecond + time.Second)
		return stop()
	}
	synctest.Test(t, func(t *testing.T) {
		x := newSplitWorld()
		if err := run(t, x); err != nil || x.committed("t", 0) != 1 || len(x.service.bodies()) != 3 {
			t.Errorf("expected one record committed after 3 requests, found %v, %d committed, %q", err,
				x.committed("t", 0), x.service.bodies())
		}
	})
	synctest.Test(t, func(t *testing.T) {
		x := newSplitWorld()
		x.service.answer = func(n int, _ string) (uint16, error) { return []uint16{201, 400, 201}[min(n, 3)-1], nil }
		err := run(t, x)
		runtest.Fails(t, err, `topic t, partition 0, offset 0, key "a"`, "answered 400")
		assert.Equal(t, "uncertain=0", x.group.metadata[topicPartition{"t", 0}])
	})
}

// P19: the task that gets the partitions of a failed task does not send the records that it left in doubt.
func TestRecordInDoubtIsNotSentByAnotherTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{})
		x.o.InFlight = 1
		x.o.InDoubt = &InDoubtRecords{}
		x.group.put("orders", 3, "a=1", "b=2", "c=3")
		x.service.answer = byBody(map[string]uint16{"b=2": 0})
		task := x.mustFail(t, `offset 1, key "b"`, "may have been written")
		assert.Equal(t, 1, task.Progress().InDoubt, "records in doubt")
		// The group starts at the committed offset.
		x.mustFail(t, `topic orders, partition 3, offset 1, key "b"`,
			"by a task that failed, and is not sent again", "POST /Set may have arrived")
		assert.Equal(t, []string{"a=1", "b=2"}, x.service.bodies(), "requests of the second task")
	})
}

// A decision is used up when its record is sent: a task that loses its partition before leaves the decision to the next
// task. A used decision stays used while the record is not settled, also if it was not in doubt for a while.
func TestDecisionsFollowTheirPartition(t *testing.T) {
	var inDoubt InDoubtRecords
	id := recordID{"t", 0, 5}
	reason := errors.New("no answer")
	tp := id.topicPartition()
	for range 2 { // two tasks, one after another
		if !inDoubt.decide(id, reason, 1, 0) || len(inDoubt.usedDecisions(tp, 0)) != 0 {
			t.Fatalf("expected the record to be sent, and no decision to be used up, found %v",
				inDoubt.usedDecisions(tp, 0))
		}
	}
	for range 2 { // tried twice
		inDoubt.useDecision(id)
	}
	require.Equal(t, 1, len(inDoubt.usedDecisions(tp, 0)), "decision to be used up")
	inDoubt.add(id, reason) // the response is lost again
	assert.True(t, !inDoubt.decide(id, reason, 1, 1), "expected the decision to apply once")
	inDoubt.resolve(id) // a check finds that it was not written
	names, _ := inDoubt.names()
	used := inDoubt.usedDecisions(tp, 0)
	assert.True(t, len(names) == 0 && len(inDoubt.openRanges(tp, 0)) == 0 && len(used) == 1,
		"expected nothing in doubt and one decision used up, found %q, %v", names, used)
	var next InDoubtRecords // another process, after a kill while it was sent
	next.restoreDecisions(id, 1)
	assert.True(t, !next.decide(id, errKilled, 1, 1), "expected the decision to apply once after a kill, too")
	next.remove(id)
	assert.True(t, len(next.usedDecisions(tp, 0)) == 0, "expected a settled record to be removed")
}

// unlockingConsumer releases the lock of the records in doubt before it commits.
type unlockingConsumer struct {
	Consumer
	unlock func()
}

func (c *unlockingConsumer) Commit(ctx context.Context, offsets kafka.Offsets) error {
	c.unlock()
	return c.Consumer.Commit(ctx, offsets)
}

// A batch takes no lock of the records in doubt while there are none. Here another task holds it from the encoding of
// a batch until its commit.
func TestBatchWithoutDoubtTakesNoLock(t *testing.T) {
	t.Parallel()
	w := &writer{rowsPerRequest: 3, repeatable: true}
	x := newWorld(w)
	x.group.put("t", 0, lines("a", 7)...)
	x.o.Linger = time.Millisecond
	x.o.CommitInterval = time.Hour
	x.o.InDoubt = &InDoubtRecords{}
	var isHeld atomic.Bool
	unlock := func() {
		if isHeld.CompareAndSwap(true, false) {
			x.o.InDoubt.mu.Unlock()
		}
	}
	w.onEncode = func(*wit.EncodeResult, []wit.Hint) error {
		x.o.InDoubt.mu.Lock()
		isHeld.Store(true)
		return nil
	}
	x.o.NewConsumer = func(topics []string, r kafka.Rebalances) (Consumer, error) {
		consumer, err := x.group.join(topics, r)
		return &unlockingConsumer{consumer, unlock}, err
	}
	timeout := time.AfterFunc(10*time.Second, func() {
		t.Error("expected no lock between encoding and commit, found that the task waits for it")
		unlock()
	})
	defer timeout.Stop()
	x.mustRun(t)
	assert.Equal(t, 7, x.committed("t", 0), "committed")
	assert.Equal(t, 3, len(x.service.bodies()), "requests")
}
