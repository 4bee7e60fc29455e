package kafka

import (
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka/embedded"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
	"github.com/culvert-project/culvert/wit"
)

// expire deletes the records of a partition before an offset, as retention does.
func expire(t *testing.T, addr, topic string, before int64) {
	t.Helper()
	offsets := kadm.Offsets{}
	offsets.AddOffset(topic, 0, before, -1)
	admin := kadm.NewClient(kafkatest.Client(t, kgo.SeedBrokers(addr)))
	response, err := admin.DeleteRecords(kafkatest.Context(t), offsets)
	if err == nil {
		err = response.Error()
	}
	require.NoError(t, err)
}

// Records that expired before a group has read them are never skipped silently, whatever auto.offset.reset is, and
// whether they expired before the consumer joined or while it ran.
func TestExpiredRecordsAreReported(t *testing.T) {
	const missing = "the records from offset 2 to 3 have expired"
	cases := []struct {
		reset     string
		fails     bool
		remaining []string
	}{
		{fails: true},
		{reset: "none", fails: true},
		{reset: "earliest", remaining: []string{"5", "6"}},
		{reset: "latest", remaining: []string{"5", "6"}},
	}
	for _, c := range cases {
		for _, when := range []string{"before", "meanwhile"} {
			t.Run(c.reset+" "+when, func(t *testing.T) {
				t.Parallel()
				b := openTestBroker(t, t.TempDir())
				kafkatest.Put(t, b.Addr(), "orders", "1", "2")
				config := testConfig(b.Addr())
				log := &journal{}
				config.Consumer.Reset = c.reset
				config.Logger = log.logger()
				a := openTestAdmin(t, b.Addr())
				ctx := kafkatest.Context(t)
				committed := int64(0)
				if when == "before" {
					committed = 2
				}
				require.NoError(t, a.CommitOffsets(ctx, "connect-test", map[string]Positions{"orders": {0: committed}}))
				var s *Consumer
				release := make(chan struct{})
				releaseFetches := sync.OnceFunc(func() { close(release) })
				t.Cleanup(releaseFetches)
				if when == "meanwhile" {
					s = openConsumer(t, config, ordersSink)
					expectValues(t, s, Offsets{}, "1", "2")
					select {
					case <-holdFetches(b, release):
					case <-ctx.Done():
						t.Fatal("expected a fetch")
					}
				}
				kafkatest.Put(t, b.Addr(), "orders", "3", "4", "5", "6")
				expire(t, b.Addr(), "orders", 4)
				if s == nil {
					s = openConsumer(t, config, ordersSink)
				}
				releaseFetches()
				if !c.fails {
					expectValues(t, s, Offsets{}, c.remaining...)
					text := log.String()
					assert.True(t, strings.Contains(text, missing) && strings.Contains(text, slog.LevelError.String()),
						"expected an error in the log with %q, found:\n%s", missing, text)
					return
				}
				var err error
				for err == nil {
					var records []*kgo.Record
					records, err = s.Poll(ctx)
					require.Equal(t, 0, len(records), "record")
				}
				expectFault(t, when, err, wit.ErrorConfig, missing, "consumer.override.auto.offset.reset=earliest")
			})
		}
	}
}

// holdFetches makes a broker hold fetches until release is closed. The returned channel is closed when the first one is
// held. The client sends one fetch at a time, so the previous one has ended by then.
func holdFetches(b *embedded.Broker, release chan struct{}) (held chan struct{}) {
	held = make(chan struct{})
	closeHeld := sync.OnceFunc(func() { close(held) })
	b.Cluster.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		closeHeld()
		b.Cluster.SleepControl(func() { <-release })
		return nil, nil, false
	})
	return held
}

// If the offset of a group is after the end of its partition, the group has read records that no longer exist.
func TestOffsetAfterEnd(t *testing.T) {
	cases := []struct {
		reset  string
		fault  string
		values []string // that the sink reads without a fault
	}{
		{reset: "", fault: "the next offset is 9, but the partition ends at 2"},
		{reset: "earliest", values: []string{"1", "2", "3"}},
		{reset: "latest", values: []string{"3"}},
	}
	for _, c := range cases {
		t.Run(c.reset, func(t *testing.T) {
			t.Parallel()
			b := openTestBroker(t, t.TempDir())
			kafkatest.Put(t, b.Addr(), "orders", "1", "2")
			config := testConfig(b.Addr())
			log := &journal{}
			config.Consumer.Reset = c.reset
			config.Logger = log.logger()
			a := openTestAdmin(t, b.Addr())
			ctx := kafkatest.Context(t)
			require.NoError(t, a.CommitOffsets(ctx, "connect-test", map[string]Positions{"orders": {0: 9}}))
			s := openConsumer(t, config, ordersSink)
			if c.fault == "" {
				for !strings.Contains(log.String(), "records of a sink's topic are missing") {
					_, err := s.Poll(ctx)
					require.NoError(t, err)
				}
				kafkatest.Put(t, b.Addr(), "orders", "3")
				expectValues(t, s, Offsets{}, c.values...)
				return
			}
			var err error
			for err == nil {
				_, err = s.Poll(ctx)
			}
			expectFault(t, "at the end", err, wit.ErrorConfig, c.fault)
		})
	}
}

// Expired records are also reported if another topic always has records.
func TestExpiredRecordsOfOnePartition(t *testing.T) {
	b := openTestBroker(t, t.TempDir())
	kafkatest.Put(t, b.Addr(), "orders", "1", "2", "3", "4")
	kafkatest.Put(t, b.Addr(), "busy", "0")
	a := openTestAdmin(t, b.Addr())
	ctx := kafkatest.Context(t)
	require.NoError(t, a.CommitOffsets(ctx, "connect-test", map[string]Positions{"orders": {0: 1}}))
	expire(t, b.Addr(), "orders", 3)
	s := openTestConsumer(t, b.Addr(), ConsumerOptions{Group: "connect-test", Topics: []string{"orders", "busy"}})
	client := kafkatest.Client(t, kgo.SeedBrokers(b.Addr()), kgo.ProducerLinger(0))
	var err error
	for n := 0; err == nil; n++ {
		require.True(t, n != 1000, "expected an error about expired records")
		r := &kgo.Record{Topic: "busy", Value: []byte("x")}
		require.NoError(t, client.ProduceSync(ctx, r).FirstErr())
		_, err = s.Poll(ctx)
	}
	assert.True(t, strings.Contains(err.Error(), "from offset 1 to 2 have expired"),
		"expected an error about the offsets 1 to 2, found %v", err)
}

// The marker of a transaction occupies an offset, but is no record that could be missed: if only markers have expired
// after a sink's offset, it continues.
func TestExpiredMarkersAreNoRecords(t *testing.T) {
	c, _ := transactionsBroker(t)
	o := openTestTransactions(t, c, "g-c-0").Output()
	for n, value := range []string{"settled", "aborted"} {
		require.NoError(t, sendPage(t, o, value, int64(n)))
		end := o.Commit
		if value == "aborted" {
			end = o.Abort
		}
		require.NoError(t, end(t.Context()))
	}
	addr := c.Bootstrap[0]
	ctx := kafkatest.Context(t)
	open := func() *Consumer {
		return openTestConsumer(t, addr, ConsumerOptions{Group: "connect-test", Topics: []string{"rows"}})
	}
	s := open()
	settled := Offsets{}
	var got []string
	for markers := 0; markers < 2; {
		records, err := s.Poll(ctx)
		require.NoError(t, err)
		for _, r := range records {
			mark(settled, r)
			if r.Attrs.IsControl() {
				markers++
			} else {
				got = append(got, string(r.Value))
			}
		}
	}
	require.True(t, slices.Equal(got, []string{"settled"}), "expected only the settled record, found %q", got)
	require.NoError(t, s.Commit(ctx, settled))
	s.Close()
	expire(t, addr, "rows", -1)
	kafkatest.Put(t, addr, "rows", "next")
	expectValues(t, open(), Offsets{}, "next")
}

// A partition of which nothing was read does not stall if its first record expires unread. With a reset the sink
// continues with the oldest record and logs an error. Without one the task fails with a message, and continues there
// when it is restarted.
func TestExpiredBeforeTheFirstCommit(t *testing.T) {
	for _, reset := range []string{"", "earliest", "latest"} {
		t.Run(reset, func(t *testing.T) {
			t.Parallel()
			b := openTestBroker(t, t.TempDir())
			ctx := kafkatest.Context(t)
			makeTopics(t, b.Addr(), Topic{Name: "orders", Partitions: 1})
			config := testConfig(b.Addr())
			startRequested := make(chan struct{})
			log := &journal{}
			config.Consumer.Reset = reset
			config.Logger = log.logger()
			// The broker processes requests one by one: a write after the request for the start comes later.
			closeRequested := sync.OnceFunc(func() { close(startRequested) })
			b.Cluster.ControlKey(int16(kmsg.ListOffsets), func(kmsg.Request) (kmsg.Response, error, bool) {
				closeRequested()
				return nil, nil, false
			})
			s := openConsumer(t, config, ordersSink)
			s.client.PauseFetchPartitions(map[string][]int32{"orders": {0}})
			type pollResult struct {
				values []string
				err    error
			}
			results := make(chan pollResult, 1)
			go func() {
				var p pollResult
				for p.err == nil && len(p.values) == 0 {
					var records []*kgo.Record
					records, p.err = s.Poll(ctx)
					for _, r := range records {
						p.values = append(p.values, string(r.Value))
					}
				}
				results <- p
			}()
			select {
			case <-startRequested:
			case p := <-results:
				t.Fatalf("expected Poll to wait for records, found %v", p)
			}
			kafkatest.Put(t, b.Addr(), "orders", "1", "2", "3", "4")
			expire(t, b.Addr(), "orders", 2)
			s.client.ResumeFetchPartitions(map[string][]int32{"orders": {0}})
			result := <-results
			if reset != "" {
				assert.True(t, slices.Equal(result.values, []string{"3", "4"}) && result.err == nil &&
					strings.Contains(log.String(), "the records from offset 0 to 1 have expired"),
					"expected 3, 4 and an error in the log, found %v\n%s", result, log)
				return
			}
			expectFault(t, "unread", result.err, wit.ErrorData, "the records before offset 2 have expired",
				"restart the task")
			s.Close()
			expectValues(t, openConsumer(t, config, ordersSink), Offsets{}, "3", "4") // after the restart
		})
	}
}

// An offset out of range is no failure, and nothing is committed, if this member no longer owns the partition.
func TestOutOfRangeOfAnotherMember(t *testing.T) {
	t.Parallel()
	b := openTestBroker(t, t.TempDir())
	makeTopics(t, b.Addr(), Topic{Name: "orders"})
	kafkatest.Put(t, b.Addr(), "orders", "0", "1")
	s := openTestConsumer(t, b.Addr(), ConsumerOptions{Group: "connect-orders", Topics: []string{"orders"}})
	ctx := kafkatest.Context(t)
	expectValues(t, s, Offsets{}, "0", "1")
	kafkatest.Put(t, b.Addr(), "orders", "2", "3")
	expire(t, b.Addr(), "orders", 4)
	s.membership.drop(map[string][]int32{"orders": {0}})
	assert.NoError(t, s.handleOutOfRange(ctx, "orders", 0), "no error for a partition of another member")
	if err := s.resetUncommitted(ctx, "orders", 0, 4, 4); err != nil {
		t.Errorf("expected no error for a partition that another member owns by now, found %v", err)
	}
	stored, err := kadm.NewClient(s.client).FetchOffsets(ctx, "connect-orders")
	require.NoError(t, err)
	offset, ok := stored.Lookup("orders", 0)
	assert.True(t, !ok, "expected no offset, found %d", offset.At)
}
