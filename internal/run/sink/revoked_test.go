package sink

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/run/runtest"
)

// An unreachable group revokes partitions before settled records are committed. When they are reassigned, nothing is
// written again; requests in progress are waited for.
func TestLostPartitionsComeBack(t *testing.T) {
	for _, c := range []struct {
		name string
		// setOffset, if not nil, changes the committed offset during the outage, like another client.
		setOffset func(g *group, tp topicPartition)
		committed int64    // before the outage, -1 for no offset
		want      []string // the requests, sorted
	}{
		{name: "nothing was ever committed", committed: -1, want: []string{"a=1", "b=1", "c=1", "d=1", "e=1"}},
		{name: "committed before", committed: 2, want: []string{"a=1", "b=1", "c=1", "d=1", "e=1"}},
		{
			name:      "another member has committed",
			setOffset: func(g *group, tp topicPartition) { g.committed[tp] = 5 },
			committed: -1,
			want:      []string{"a=1", "b=1", "c=1", "d=1"},
		},
		{
			name: "an operator has reset the offset",
			setOffset: func(g *group, tp topicPartition) {
				g.committed[tp] = 0
				g.metadata[tp] = ""
			},
			committed: 2,
			want:      []string{"a=1", "a=1", "b=1", "b=1", "c=1", "c=1", "d=1", "d=1", "e=1"},
		},
	} {
		runtest.Bubble(t, c.name, func(t *testing.T) {
			x := newWorld(&writer{repeatable: true})
			x.o.Once = false
			x.o.InFlight = 2
			x.o.CommitInterval = 100 * time.Millisecond
			x.service.delay = time.Second
			tp := topicPartition{"t", 0}
			x.group.put("t", 0, "a=1", "b=1", "c=1", "d=1", "e=1")
			if c.committed < 0 {
				x.group.commitErr = errors.New("nobody there")
			}
			stop := runtest.Start(t, NewTask(x.o).Run)
			time.Sleep(2500 * time.Millisecond) // a=1 and b=1 are written, c=1 and d=1 are in progress
			x.group.failCommits(errors.New("nobody there"))
			synctest.Wait()
			committed, ok := x.group.committed[tp]
			if !ok {
				committed = -1
			}
			assert.Equal(t, c.committed, committed, "committed before the outage")
			x.group.lose(tp)
			x.group.mu.Lock()
			if c.setOffset != nil {
				c.setOffset(x.group, tp)
			}
			x.group.commitErr = nil
			x.group.mu.Unlock()
			x.group.assign(tp) // waits for c=1 and d=1
			time.Sleep(20 * time.Second)
			assert.Equal(t, c.want, slices.Sorted(slices.Values(x.service.bodies())))
			assert.Equal(t, 5, x.committed("t", 0), "committed")
			require.NoError(t, stop())
		})
	}
}

// Records that one task has settled and could not commit are not written again by another task of the connector.
func TestSettledIsSharedByTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{repeatable: true})
		x.o.Once = false
		x.o.Revoked = &RevokedPartitions{}
		x.group.put("t", 0, "a=1", "b=1")
		x.group.commitErr = errors.New("nobody there")
		stop := runtest.Start(t, NewTask(x.o).Run)
		runtest.Pass(time.Second)
		x.group.lose(topicPartition{"t", 0})
		require.NoError(t, stop())
		x.group.commitErr = nil
		x.group.put("t", 0, "a=3")
		stop = runtest.Start(t, NewTask(x.o).Run)
		time.Sleep(5 * time.Second)
		assert.Equal(t, []string{"a=1", "a=3", "b=1"}, slices.Sorted(slices.Values(x.service.bodies())))
		if err := stop(); err != nil || x.committed("t", 0) != 3 {
			t.Errorf("expected 3 to be committed, found %d, %v", x.committed("t", 0), err)
		}
	})
}

// The settled records of a partition that was lost and reassigned are stored, although nothing of it is read before the
// stop: another process does not write them again.
func TestSettledOfALostPartitionIsStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{repeatable: true})
		x.o.Once = false
		tp := topicPartition{"t", 0}
		x.group.put("t", 0, "a=1")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- NewTask(x.o).Run(ctx) }()
		time.Sleep(5 * time.Second)
		x.group.failCommits(errors.New("nobody there"))
		x.group.put("t", 0, "b=2", "c=3")
		runtest.Pass(5 * time.Second)
		x.group.lose(tp)
		x.group.failCommits(nil)
		cancel() // no more polls
		x.group.assign(tp)
		require.NoError(t, <-done)
		assert.Equal(t, 1, x.committed("t", 0), "committed")
		assert.Equal(t, "settled=0-1", x.metadata(tp), "metadata")
		x.o.Once = true // another process
		x.mustRun(t)
		assert.Equal(t, []string{"a=1", "b=2", "c=3"}, slices.Sorted(slices.Values(x.service.bodies())))
	})
}

// Records that are settled out of order are stored with the offset that is committed when a partition is revoked, for
// its next owner.
func TestMetadataOfARevokedPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{})
		x.o.Once = false
		x.o.InFlight = 2
		x.service.delay = time.Second
		x.service.delayByBody = map[string]time.Duration{"a=1": 3 * time.Second}
		tp := topicPartition{"t", 0}
		x.group.put("t", 0, "a=1", "a=2", "b=1")
		stop := runtest.Start(t, NewTask(x.o).Run)
		runtest.Pass(2500 * time.Millisecond) // b=1 is written, a=1 is in progress
		x.group.revoke(t.Context(), tp)
		assert.Equal(t, 1, x.committed("t", 0), "committed")
		assert.Equal(t, "settled=1", x.group.metadata[tp], "metadata")
		require.NoError(t, stop())
	})
}

// A partition is lost again before anything of it is stored: its metadata about requests in progress is from before the
// first loss, and is still valid.
func TestPartitionLostTwiceBeforeACommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{})
		x.o.Once = false
		x.o.CommitInterval = time.Minute
		x.service.delay = time.Second
		x.service.answer = func(n int, _ string) (uint16, error) {
			if n == 1 {
				return 409, nil // not written, to be encoded again
			}
			return 201, nil
		}
		tp := topicPartition{"t", 0}
		x.group.put("t", 0, "a=1", "a=2")
		stop := runtest.Start(t, NewTask(x.o).Run)
		runtest.Pass(1500 * time.Millisecond) // a=1 is in progress
		require.Equal(t, "sent=0", x.metadata(tp), "metadata of a request in progress")
		x.group.lose(tp)
		x.group.assign(tp) // waits for a=1
		x.group.lose(tp)
		x.group.assign(tp)
		time.Sleep(10 * time.Second)
		require.NoError(t, stop())
		assert.Equal(t, []string{"a=1", "a=1", "a=2"}, x.service.bodies())
		assert.Equal(t, 2, x.committed("t", 0), "committed")
	})
}

// The settled records of a partition that was lost and reassigned are stored before anything is sent that may follow
// them: the run after a kill would send them again, after later records.
func TestSettledRecordsAreStoredBeforeLaterSends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{repeatable: true})
		x.o.Once = false
		tp := topicPartition{"t", 0}
		x.group.put("t", 0, "a=1")
		x.group.put("t", 1)
		stop := runtest.Start(t, NewTask(x.o).Run)
		time.Sleep(5 * time.Second)
		x.group.failCommits(errors.New("nobody there"))
		x.group.put("t", 0, "b=2")
		time.Sleep(5 * time.Second)
		x.group.lose(tp)
		x.group.failCommits(nil)
		x.group.put("t", 1, "c=1") // is stored, but the state of the other partition is not
		time.Sleep(5 * time.Second)
		x.group.failCommits(errors.New("nobody there"))
		x.group.assign(tp)
		x.group.put("t", 0, "b=3")
		time.Sleep(5 * time.Second)
		assert.Equal(t, []string{"a=1", "b=2", "c=1"}, x.service.bodies(), "requests while offsets cannot be stored")
		x.group.failCommits(nil)
		time.Sleep(20 * time.Second)
		assert.Equal(t, []string{"a=1", "b=2", "c=1", "b=3"}, x.service.bodies())
		require.NoError(t, stop())
	})
}

// A commit waits while a group rebalances. A commit of an earlier assignment is not stored over the state of the
// partition's current one.
func TestCommitOfEndedAssignment(t *testing.T) {
	partitions := map[string][]int32{"t": {0}}
	for _, c := range []struct {
		name      string
		reported  bool
		committed int64
	}{
		{name: "the new offset is not known yet", committed: offsetUnknown},
		{name: "the new offset is known", reported: true, committed: 30},
	} {
		l := newLedger(&InDoubtRecords{})
		l.apply(assigned{partitions})
		l.apply(offsetFetched{tp: topicPartition{"t", 0}, committed: -1})
		var records []*kgo.Record
		for n := range int64(12) {
			records = append(records, &kgo.Record{Topic: "t", Offset: n})
		}
		items := l.apply(recordsRead{records}).items
		l.apply(rowsSettled{items: items[:10], written: true})
		commit := l.apply(commitStarted{}) // up to 10, and waits
		endedPartition := l.apply(revoked{partitions: partitions, lost: true}).revoked[0]
		l.apply(assigned{partitions})
		if c.reported {
			l.apply(offsetFetched{tp: topicPartition{"t", 0}, committed: 30, settled: []offsetRange{{31, 33}},
				mustStore: true})
		}
		next := commit.offsets["t"][0].Offset
		if stored := l.apply(metadataRequested{topicPartition{"t", 0}, next, endedPartition}); next != 10 || stored.ok {
			t.Errorf("%s: expected a commit without the offset 10, found %d with %q", c.name, next, stored.text)
		}
		l.apply(commitSucceeded{commit.offsets, commit.number})
		p := l.partitions[topicPartition{"t", 0}]
		assert.True(t, (p.storedCommit == nil || !p.storedCommit.current) && p.committed == c.committed &&
			p.predecessorUncommitted == c.reported && p.dirty == c.reported,
			"%s: expected nothing to be stored, found %+v", c.name, p)
	}
}

// A partition that ends before the group's offset, because its topic was recreated, is read from its start if
// auto.offset.reset specifies that. Its offsets are committed again, and inserts wait until it is stored that they are
// sent.
func TestPartitionBelowItsOffset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{})
		tp := topicPartition{"t", 0}
		x.group.put("t", 0, "a=1", "b=2", "b=3")
		x.group.committed[tp] = 9
		x.group.metadata[tp] = "settled=1-3"
		var log strings.Builder
		x.o.Logger = slog.New(slog.NewTextHandler(&log, nil))
		x.service.answer = func(_ int, body string) (uint16, error) {
			if next := x.committed("t", 0); next > 2 || !strings.Contains(x.metadata(tp), "sent=") {
				t.Errorf("%s is sent while offset %d is stored with %q", body, next, x.metadata(tp))
			}
			return 201, nil
		}
		x.mustRun(t)
		assert.Equal(t, 3, len(writeCounts(t, x)), "records")
		assert.Equal(t, 3, x.committed("t", 0), "committed")
		assert.Equal(t, "", x.metadata(tp), "metadata")
		if !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), "offset=0 dropped=0") {
			t.Errorf("expected an error with the offset at which it continues, found:\n%s", log.String())
		}
	})
}

// A log becomes shorter while the task runs: offsets of records that were read before are not committed for the new
// ones.
func TestTruncatedPartition(t *testing.T) {
	l := newLedger(&InDoubtRecords{})
	tp := topicPartition{"t", 0}
	l.apply(assigned{map[string][]int32{"t": {0}}})
	l.apply(offsetFetched{tp: tp, committed: -1})
	records := func(first, end int64) (records []*kgo.Record) {
		for n := first; n < end; n++ {
			records = append(records, &kgo.Record{Topic: "t", Offset: n})
		}
		return records
	}
	oldItems := l.apply(recordsRead{records(0, 12)}).items
	l.apply(rowsSettled{items: oldItems[:10], written: true})
	seqBefore := l.apply(storeRequested{}).number
	commit := l.apply(commitStarted{}) // up to 10, and waits
	reread := l.apply(recordsRead{records(4, 7)})
	l.apply(deliveryStart{items: reread.items[:1]})
	seqAfter := l.apply(deliveryAnnounced{items: reread.items[:1], nonRepeatable: true}).number
	if next := commit.offsets["t"][0].Offset; next != 10 || len(reread.resets) != 1 || reread.resets[0].dropped != 2 {
		t.Errorf("expected the offset 10 and 2 records to be dropped, found %d and %+v", next, reread.resets)
	}
	if stored := l.apply(metadataRequested{tp: tp, next: 10}); stored.ok {
		t.Errorf("the offset 10 is committed, with %q, over records from 4 on", stored.text)
	}
	assert.True(t, !l.apply(commitSucceeded{commit.offsets, commit.number}).ok && !l.isDurable(seqBefore),
		"expected no stored metadata after a commit without the partition")
	assert.True(t, oldItems[10].revoked() && !slices.ContainsFunc(reread.items, (*item).revoked),
		"expected the earlier records to be dropped, and the others to be delivered")
	commit = l.apply(commitStarted{})
	stored := l.apply(metadataRequested{tp: tp, next: commit.offsets["t"][0].Offset})
	if next := commit.offsets["t"][0].Offset; next != 4 || !stored.ok || stored.text != "sent=0" {
		t.Errorf("expected the offset 4 with sent=0, found %d with %q, %v", next, stored.text, stored.ok)
	}
	assert.True(t, l.apply(commitSucceeded{commit.offsets, commit.number}).ok && l.isDurable(seqAfter),
		"expected the announced deliveries to be stored")
}

// The commit moves past transaction markers, also past an abort marker without records before it; they are neither rows
// nor part of the metadata.
func TestTransactionMarkersAreCommitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{})
		tp := topicPartition{"t", 0}
		x.group.put("t", 0, "a=1", "marker", "b=2", "marker", "marker")
		for _, r := range x.group.logs[tp] {
			if string(r.Key) == "marker" {
				r.Attrs = markerAttrs(t)
			}
		}
		x.service.delayByBody = map[string]time.Duration{"a=1": time.Minute}
		metadata := "" // when the first record is sent
		x.service.answer = func(_ int, body string) (uint16, error) {
			if body == "a=1" {
				metadata = x.metadata(tp)
			}
			return 201, nil
		}
		task := x.mustRun(t)
		assert.Equal(t, 2, len(writeCounts(t, x)), "records")
		assert.Equal(t, 2, task.Progress().Read, "read")
		assert.Equal(t, 5, x.committed("t", 0), "committed")
		assert.Equal(t, "sent=0 settled=2", metadata, "metadata without the markers")
	})
}

// markerAttrs returns the attributes of a transaction marker, which only a fetch sets.
func markerAttrs(t *testing.T) kgo.RecordAttrs {
	t.Helper()
	marker := kmsg.NewRecord()
	marker.Key = []byte{0, 0, 0, 1} // version 0, a commit
	marker.Length = int32(len(marker.AppendTo(nil)) - 1)
	batch := kmsg.NewRecordBatch()
	batch.Magic = 2
	batch.Attributes = 1<<4 | 1<<5
	batch.NumRecords = 1
	batch.Records = marker.AppendTo(nil)
	batch.Length = int32(len(batch.AppendTo(nil)) - 12)
	fetched := kmsg.NewFetchResponseTopicPartition()
	fetched.RecordBatches = batch.AppendTo(nil)
	options := kgo.ProcessFetchPartitionOpts{KeepControlRecords: true, DisableCRCValidation: true}
	p, _ := kgo.ProcessFetchPartition(options, &fetched, kgo.DefaultDecompressor(), nil)
	require.True(t, len(p.Records) == 1 && p.Records[0].Attrs.IsControl(), "expected a marker, found %+v", p)
	return p.Records[0].Attrs
}
