package sink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/run/runtest"
)

// writeCounts returns how often each line was written.
func writeCounts(t *testing.T, x *world) map[string]int {
	t.Helper()
	all := map[string]int{}
	for _, body := range x.service.seen() {
		for _, line := range strings.Split(body, ",") {
			line, _, _ = strings.Cut(line, "?")
			all[line]++
			if all[line] > 1 {
				t.Fatalf("%s was written twice", line)
			}
		}
	}
	return all
}

// A stop in the middle of a batch of any size writes nothing twice: no more records are sent ahead of the first one
// than fit into the metadata.
func TestStopsInLargeBatches(t *testing.T) {
	runtest.Seeds(t, 4, 5, func(t *testing.T, seed uint64, r *rand.Rand) {
		const records = 4000
		w := &writer{each: []int{1, 1, 3, records}[seed%4]}
		x := newWorld(w)
		x.group.takes = []int{0, 218, 437, 0}[seed%4]
		var log strings.Builder
		x.o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError}))
		x.o.Once = false
		x.o.BatchRows = records
		x.o.InFlight = 1 + r.IntN(64)
		x.group.atMost = 500
		partitions := 1 + r.IntN(3)
		for i := range records {
			lane := 'A' + rune(r.IntN(26))
			if i%2 == 0 {
				lane = 'a' // half of the records are in one slow lane
			}
			x.group.put("t", int32(i%partitions), fmt.Sprintf("%c%d=%d", lane, i, i))
		}
		x.service.slow = 10 * time.Millisecond
		x.service.slowFor = map[string]time.Duration{}
		for i := 0; i < records; i += 2 {
			x.service.slowFor[fmt.Sprintf("a%d=%d", i, i)] = time.Duration(r.IntN(300)) * time.Millisecond
		}
		for stops := 0; stops < 60; stops++ {
			stop := runtest.Start(t, NewTask(x.o).Run)
			time.Sleep(2*time.Second + time.Duration(r.IntN(20_000))*time.Millisecond)
			if err := stop(); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			writeCounts(t, x)
			if all, _ := x.group.caughtUp(t.Context()); all {
				break
			}
		}
		x.o.Once = true
		x.ok(t)
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
		x.group.atMost = 10_000
		x.service.slow = time.Second
		for i := range 5000 {
			x.group.put("t", 0, fmt.Sprintf("%c%d=1", 'A'+i%50, i), "z=~left out")
		}
		start := time.Now()
		x.ok(t)
		if elapsed := time.Since(start); elapsed > 5000/8*2*time.Second || x.service.maxBusy != 8 {
			t.Errorf("took %v, at most %d at a time", elapsed, x.service.maxBusy)
		}
	})
}

// A delivery of more rows than fit into the metadata is sent in parts.
func TestDeliveriesThatExceedTheMetadata(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{each: 5000})
		x.o.BatchRows = 10_000
		x.group.atMost = 10_000
		x.group.takes = 437
		for i := range 5000 {
			x.group.put("t", 0, fmt.Sprintf("a%d=1", i), fmt.Sprintf("b%d=1", i))
		}
		x.ok(t)
		if n := len(writeCounts(t, x)); n != 10_000 || len(x.service.seen()) < 20 {
			t.Errorf("found %d records in %d requests", n, len(x.service.seen()))
		}
	})
}

// A batch that is too large for the metadata is sent in parts, and its rows are encoded once, not again for each part.
// The requests are as large as the settings allow, also with one partition.
func TestLargeBatchesAreEncodedOnce(t *testing.T) {
	for partitions := range int32(3) {
		synctest.Test(t, func(t *testing.T) {
			w := &writer{each: 1000}
			x := newWorld(w)
			x.o.BatchRows = 8000
			x.o.InFlight = 8
			x.group.atMost = 8000
			x.service.slow = time.Second
			for i := range 16_000 {
				x.group.put("t", int32(i)%(partitions+1), fmt.Sprintf("%c%d=1", 'a'+i%8, i))
			}
			x.ok(t)
			n := len(writeCounts(t, x))
			requests := len(x.service.seen())
			if n != 16_000 || w.encoded != n || (partitions == 0 && requests > 20) {
				t.Errorf("%d partitions: found %d records in %d requests, of %d rows that were encoded", partitions+1,
					n, requests, w.encoded)
			}
		})
	}
}

// A version that traps in the middle of such a batch is tried three times and rolled back: the previous version writes
// all of it, each record once, except those that the new one has ignored by then.
func TestTrappingVersionInLargeBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := &writer{each: 1000, version: "1"}
		after := &writer{each: 1000, version: "2", trap: &plugin.Trap{Function: "encode"}}
		x := newWorld(before)
		x.versions.SetCandidate(code("2", after))
		breaks := 0
		x.versions.OnShouldRetry = func() bool {
			if x.versions.Current().Version() != "2" {
				return false
			}
			breaks++
			if breaks == 3 {
				x.versions.SetCandidate(code("1", before))
			}
			return true
		}
		x.o.BatchRows = 8000
		x.o.InFlight = 8
		x.group.atMost = 8000
		x.service.slow = time.Second
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
		x.ok(t)
		if n := len(writeCounts(t, x)); n != 7999 || breaks != 3 || before.encoded < 7999 ||
			x.committed("t", 0) != 8000 {
			t.Errorf("found %d records, %d breaks, %d rows encoded by the version before, offset %d", n, breaks,
				before.encoded, x.committed("t", 0))
		}
	})
}

// If nothing can be stored with an offset, nothing is sent.
func TestNothingIsSentWithoutAnnouncement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{})
		x.group.put("t", 0, "a=1", "b=1")
		x.group.refuse = fmt.Errorf("commit: %w", kafka.ErrCommitMetadata)
		if _, err := x.run(t); !errors.Is(err, kafka.ErrCommitMetadata) || len(x.service.seen()) != 0 {
			t.Errorf("expected no request and the commit's error, found %d and %v", len(x.service.seen()), err)
		}
		x.group.refuse = nil
		x.ok(t)
		assert.Equal(t, 2, len(writeCounts(t, x)))
		// A stop also reports what it could not store.
		x.group.put("t", 0, "c=1")
		x.o.Once = false
		x.service.slow = time.Second
		stop := runtest.Start(t, NewTask(x.o).Run)
		time.Sleep(1500 * time.Millisecond) // the request is in progress
		x.group.failCommits(kafka.ErrCommitMetadata)
		if err := stop(); !errors.Is(err, kafka.ErrCommitMetadata) || len(x.service.seen()) != 3 {
			t.Errorf("expected the commit's error after 3 requests, found %v after %d", err, len(x.service.seen()))
		}
	})
}

// An entry in errors.uncertain.send applies once, whatever its outcome and whenever the run ends.
func TestDecisionsAreUsedUp(t *testing.T) {
	at := topicPartition{"t", 0}
	prepare := func(t *testing.T) *world {
		x := newWorld(&writer{})
		x.group.put("t", 0, "a=1")
		x.service.answer = func(int, string) (uint16, error) { return 0, lostResponse() }
		x.fails(t, "errors.uncertain.send=t-0@0")
		return x
	}
	retry := func(t *testing.T, x *world, requests int, metadata string, send ...string) error {
		t.Helper()
		// another process
		x.o.InDoubt = nil
		x.o.Send = send
		_, err := x.run(t)
		assert.Equal(t, requests, len(x.service.seen()), "requests")
		assert.Equal(t, metadata, x.group.metadata[at], "metadata")
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
			assert.Equal(t, "uncertain=0 decided=0", x.group.metadata[at], "the decision is stored before the request")
			return 201, nil
		}
		x.o.Send = []string{"t-0@0"}
		killed(t, x, 1)
		runtest.Fails(t, retry(t, x, 2, "uncertain=0 decided=0", "t-0@0"), "was used up for t-0@0")
	})
	runtest.Bubble(t, "not to be stored", func(t *testing.T) {
		x := prepare(t)
		x.group.refuse = errors.New("no coordinator")
		runtest.Fails(t, retry(t, x, 1, "uncertain=0", "t-0@0"), "not sent again, because the use of", "no coordinator")
	})
	runtest.Bubble(t, "refused", func(t *testing.T) {
		x := prepare(t)
		x.service.answer = func(int, string) (uint16, error) { return 400, nil }
		runtest.Fails(t, retry(t, x, 2, "uncertain=0 decided=0", "t-0@0"), "answered 400")
		retry(t, x, 2, "uncertain=0 decided=0", "t-0@0")
	})
	t.Run("no names", func(t *testing.T) {
		x := newWorld(&writer{})
		x.o.Skip = []string{"t@0"}
		x.fails(t, `errors.uncertain.skip: expected TOPIC-PARTITION@OFFSET, as orders-0@17, found "t@0"`)
	})
}

// A commit that failed because of a rebalance or a missing coordinator is repeated, even if nothing new is settled.
func TestFailedCommitIsRepeated(t *testing.T) {
	for _, rejected := range []error{fmt.Errorf("commit: %w", kafka.ErrRebalanced), errors.New("no coordinator")} {
		runtest.Bubble(t, rejected.Error(), func(t *testing.T) { refusedCommit(t, rejected) })
	}
}

func refusedCommit(t *testing.T, rejected error) {
	x := newWorld(&writer{repeatable: true})
	x.o.Once = false
	x.group.put("t", 0, lines("a", 3)...)
	x.group.refuse = rejected
	stop := runtest.Start(t, NewTask(x.o).Run)
	time.Sleep(5 * time.Second)
	x.group.failCommits(nil)
	time.Sleep(2 * time.Second)
	assert.Equal(t, 3, x.committed("t", 0), "committed")
	x.group.failCommits(rejected)
	x.group.put("t", 0, "b=1", "c=1", "d=1")
	time.Sleep(3 * time.Second)
	time.AfterFunc(500*time.Millisecond, func() { // the last commit is tried more than once
		x.group.failCommits(nil)
	})
	if err := stop(); err != nil || x.committed("t", 0) != 6 {
		t.Errorf("expected 6 to be committed, found %v, %v", x.group.committed, err)
	}
}

// killed runs a task until a number of requests got their response, and then stores nothing more, like a killed task.
func killed(t *testing.T, x *world, requests int) {
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
	x.group.refuse = nil
	x.service.answer = inner
	x.o.Once = true
}

// existing makes the service reject rows that it has.
func existing(x *world) {
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
		name  string
		rows  int
		one   int
		first int // records that were committed before
	}{{"first load", 500, 500, 0}, {"batches of another size", 500, 30, 0}, {"after a commit", 100, 100, 300}} {
		runtest.Bubble(t, c.name, func(t *testing.T) {
			x := newWorld(&writer{})
			existing(x)
			x.service.slow = 2 * time.Millisecond
			x.o.CommitInterval = time.Hour
			x.group.atMost = 50
			if c.first > 0 {
				x.group.put("t", 0, lines("x", c.first)...)
				x.ok(t)
			}
			for i := range 400 {
				x.group.put("t", 0, fmt.Sprintf("%c%d=1", 'a'+i%7, i))
			}
			x.o.BatchRows = c.rows
			killed(t, x, 60)
			written := len(x.service.seen()) - c.first
			x.o.BatchRows = c.one
			x.o.InDoubt = nil
			_, err := x.run(t)
			var names []string
			for i := c.first; i < c.first+400; i++ {
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
				if _, err := fmt.Sscanf(name, "t-0@%d", &i); err != nil {
					t.Fatal(err)
				}
				i -= c.first
				if slices.Contains(x.service.seen(), fmt.Sprintf("%c%d=1", 'a'+i%7, i)) {
					x.o.Skip = append(x.o.Skip, name)
				} else {
					x.o.Send = append(x.o.Send, name)
				}
			}
			x.ok(t)
			lines := map[string]int{}
			for _, body := range x.service.seen() {
				lines[body]++
				if lines[body] > 1 {
					t.Errorf("%s was sent twice", body)
				}
			}
			if n := len(lines); n != c.first+400 || x.committed("t", 0) != int64(n) ||
				x.group.metadata[topicPartition{"t", 0}] != "" {
				t.Errorf("found %d lines, %d committed, metadata %q", n, x.committed("t", 0),
					x.group.metadata[topicPartition{"t", 0}])
			}
		})
	}
}

// If no run was killed, no record is in doubt: a record that the service already has is rejected as usual.
func TestExistingRecordsAreRejected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{})
		existing(x)
		x.group.put("t", 0, "a=1", "b=2", "a=1", "c=3")
		for range 2 {
			_, err := x.run(t)
			runtest.Fails(t, err, `topic t, partition 0, offset 2, key "a": write: answered 410`)
			if strings.Contains(err.Error(), "killed") {
				t.Error(err)
			}
		}
	})
}

// Unreadable metadata does not prove what was written: the task does not start, and leaves the metadata unchanged.
func TestUnreadableMetadata(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{})
		x.group.put("t", 0, "a=1", "b=2")
		at := topicPartition{"t", 0}
		x.group.metadata[at] = "settled=1 of-a-later-version=1"
		x.group.committed[at] = 0
		x.fails(t, "topic t, partition 0", "expected settled, uncertain, decided or sent",
			"set the group's offset again")
		assert.Equal(t, 0, len(x.service.seen()), "requests")
		assert.Equal(t, "settled=1 of-a-later-version=1", x.group.metadata[at], "metadata")
	})
}

// A record of which some rows are written is finished before a stop, or reported: otherwise all of it would be written
// again.
func TestPartiallyWrittenRecords(t *testing.T) {
	made := func() *world {
		x := newWorld(&writer{})
		x.o.Once = false
		x.o.InFlight = 1
		x.o.NewChain = times(3)
		x.service.slow = time.Second
		x.group.put("t", 0, "a=1", "b=2")
		return x
	}
	run := func(t *testing.T, x *world) error {
		stop := runtest.Start(t, NewTask(x.o).Run)
		time.Sleep(1500*time.Millisecond + time.Second)
		return stop()
	}
	synctest.Test(t, func(t *testing.T) {
		x := made()
		if err := run(t, x); err != nil || x.committed("t", 0) != 1 || len(x.service.seen()) != 3 {
			t.Errorf("found %v, %d committed, %q", err, x.committed("t", 0), x.service.seen())
		}
	})
	synctest.Test(t, func(t *testing.T) {
		x := made()
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
		task := x.fails(t, `offset 1, key "b"`, "may have been written")
		assert.Equal(t, 1, task.Progress().InDoubt, "records in doubt")
		// The group starts at the committed offset.
		x.fails(t, `topic orders, partition 3, offset 1, key "b"`,
			"by a task that failed, and is not sent again", "POST /Set may have arrived")
		assert.Equal(t, []string{"a=1", "b=2"}, x.service.seen(), "requests of the second task")
	})
}

// A decision is used up when its record is sent: a task that loses its partition before leaves the decision to the next
// task. A used decision stays used while the record is not settled, also if it was not in doubt for a while.
func TestDecisionsFollowTheirPartition(t *testing.T) {
	var u InDoubtRecords
	at := recordID{"t", 0, 5}
	reason := errors.New("no answer")
	tp := at.topicPartition()
	for range 2 { // two tasks, one after another
		if !u.decide(at, reason, 1, 0) || len(u.usedDecisions(tp, 0)) != 0 {
			t.Fatalf("expected the record to be sent, and no decision to be used up, found %v", u.usedDecisions(tp, 0))
		}
	}
	for range 2 { // tried twice
		u.useDecision(at)
	}
	if n := len(u.usedDecisions(tp, 0)); n != 1 {
		t.Fatalf("expected one decision to be used up, found %d", n)
	}
	u.add(at, reason) // the response is lost again
	if u.decide(at, reason, 1, 1) {
		t.Error("expected the decision to apply once")
	}
	u.resolve(at) // a check finds that it was not written
	if all, _ := u.names(); len(all) != 0 || len(u.openRanges(tp, 0)) != 0 || len(u.usedDecisions(tp, 0)) != 1 {
		t.Errorf("expected nothing in doubt and one decision used up, found %q, %v", all, u.usedDecisions(tp, 0))
	}
	var next InDoubtRecords // another process, after a kill while it was sent
	next.restoreDecisions(at, 1)
	if next.decide(at, errKilled, 1, 1) {
		t.Error("expected the decision to apply once after a kill, too")
	}
	next.remove(at)
	if len(next.usedDecisions(tp, 0)) != 0 {
		t.Error("expected a settled record to be removed")
	}
}
