package kafka

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/host/kafka/embedded"
	"github.com/culvert-project/culvert/host/kafka/kafkatest"
	"github.com/culvert-project/culvert/wit"
)

// expire deletes the records of a partition before an offset, as retention does.
func expire(t *testing.T, addr, topic string, before int64) {
	t.Helper()
	offsets := kadm.Offsets{}
	offsets.AddOffset(topic, 0, before, -1)
	admin := kadm.NewClient(kafkatest.Client(t, kgo.SeedBrokers(addr)))
	deleted, err := admin.DeleteRecords(kafkatest.Context(t), offsets)
	if err == nil {
		err = deleted.Error()
	}
	require.NoError(t, err)
}

// What a group has not read before it expired is not passed over without a word: whatever auto.offset.reset is, and
// whether that happened before the consumer came or while it was at work.
func TestExpiredRecordsAreNotPassedOver(t *testing.T) {
	const missing = "the records from offset 2 up to 3 are no longer there"
	cases := []struct {
		reset string
		fails bool
		rest  []string
	}{
		{"", true, nil},
		{"none", true, nil},
		{"earliest", false, []string{"5", "6"}},
		{"latest", false, []string{"5", "6"}},
	}
	for _, c := range cases {
		for _, when := range []string{"before", "meanwhile"} {
			t.Run(c.reset+" "+when, func(t *testing.T) {
				t.Parallel()
				b := openTestBroker(t, t.TempDir())
				kafkatest.Put(t, b.Addr(), "orders", "1", "2")
				config, log := testConfig(b.Addr()), &journal{}
				config.Consumer.Reset, config.Logger = c.reset, log.logger()
				a, ctx := openTestAdmin(t, b.Addr()), kafkatest.Context(t)
				begin := int64(0)
				if when == "before" {
					begin = 2
				}
				if err := a.CommitOffsets(ctx, "connect-test", map[string]Positions{"orders": {0: begin}}); err != nil {
					t.Fatal(err)
				}
				open := func() *Consumer {
					return openConsumer(t, config, ConsumerOptions{Group: "connect-test", Topics: []string{"orders"}})
				}
				var s *Consumer
				release := make(chan struct{})
				let := sync.OnceFunc(func() { close(release) })
				t.Cleanup(let)
				if when == "meanwhile" {
					s = open()
					if got := pollValues(t, s, 2, Offsets{}); !slices.Equal(got, []string{"1", "2"}) {
						t.Fatalf("first: %v", got)
					}
					select {
					case <-held(b, release):
					case <-ctx.Done():
						t.Fatal("no fetch came")
					}
				}
				kafkatest.Put(t, b.Addr(), "orders", "3", "4", "5", "6")
				expire(t, b.Addr(), "orders", 4)
				if s == nil {
					s = open()
				}
				let()
				if !c.fails {
					if got := pollValues(t, s, 2, Offsets{}); !slices.Equal(got, c.rest) {
						t.Errorf("expected %v, found %v", c.rest, got)
					}
					text := log.String()
					if !strings.Contains(text, missing) || !strings.Contains(text, slog.LevelError.String()) {
						t.Errorf("expected an error in the log with %q, found:\n%s", missing, text)
					}
					return
				}
				var err error
				for err == nil {
					var records []*kgo.Record
					if records, err = s.Poll(ctx); len(records) > 0 {
						t.Fatalf("expected no record, found %d", len(records))
					}
				}
				if fault := (*wit.Fault)(nil); !errors.As(err, &fault) || fault.Kind != wit.FaultConfig ||
					!strings.Contains(err.Error(), missing) ||
					!strings.Contains(err.Error(), "consumer.override.auto.offset.reset=earliest") {
					t.Errorf("expected a fault with %q and what is to be set, found %v", missing, err)
				}
			})
		}
	}
}

// held has a broker hold fetches back until release is closed; what it returns is closed when one is held. The client
// sends one at a time: the one before has ended then.
func held(b *embedded.Broker, release chan struct{}) (one chan struct{}) {
	one = make(chan struct{})
	var once sync.Once
	b.Cluster.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		once.Do(func() { close(one) })
		b.Cluster.SleepControl(func() { <-release })
		return nil, nil, false
	})
	return one
}

// A group whose offset lies after the end of its partition has read what is no longer there.
func TestOffsetBehindTheEnd(t *testing.T) {
	cases := []struct {
		reset, fault string
		rest         []string
	}{
		{"", "the next record has offset 9, and the partition ends at 2", nil},
		{"earliest", "", []string{"1", "2", "3"}},
		{"latest", "", []string{"3"}},
	}
	for _, c := range cases {
		t.Run(c.reset, func(t *testing.T) {
			t.Parallel()
			b := openTestBroker(t, t.TempDir())
			kafkatest.Put(t, b.Addr(), "orders", "1", "2")
			config, log := testConfig(b.Addr()), &journal{}
			config.Consumer.Reset, config.Logger = c.reset, log.logger()
			a, ctx := openTestAdmin(t, b.Addr()), kafkatest.Context(t)
			require.NoError(t, a.CommitOffsets(ctx, "connect-test", map[string]Positions{"orders": {0: 9}}))
			s := openConsumer(t, config, ConsumerOptions{Group: "connect-test", Topics: []string{"orders"}})
			if c.fault == "" {
				for !strings.Contains(log.String(), "records of a sink's topic are missing") {
					_, err := s.Poll(ctx)
					require.NoError(t, err)
				}
				kafkatest.Put(t, b.Addr(), "orders", "3")
				if got := pollValues(t, s, len(c.rest), Offsets{}); !slices.Equal(got, c.rest) {
					t.Errorf("expected %v, found %v", c.rest, got)
				}
				return
			}
			var err error
			for err == nil {
				_, err = s.Poll(ctx)
			}
			if fault := (*wit.Fault)(nil); !errors.As(err, &fault) || !strings.Contains(err.Error(), c.fault) {
				t.Errorf("expected a fault with %q, found %v", c.fault, err)
			}
		})
	}
}

// That is told also where another topic always has records.
func TestExpiredRecordsBesideOthers(t *testing.T) {
	b := openTestBroker(t, t.TempDir())
	kafkatest.Put(t, b.Addr(), "orders", "1", "2", "3", "4")
	kafkatest.Put(t, b.Addr(), "busy", "0")
	a, ctx := openTestAdmin(t, b.Addr()), kafkatest.Context(t)
	require.NoError(t, a.CommitOffsets(ctx, "connect-test", map[string]Positions{"orders": {0: 1}}))
	expire(t, b.Addr(), "orders", 3)
	s := openTestConsumer(t, b.Addr(), ConsumerOptions{Group: "connect-test", Topics: []string{"orders", "busy"}})
	client := kafkatest.Client(t, kgo.SeedBrokers(b.Addr()), kgo.ProducerLinger(0))
	var err error
	for n := 0; err == nil; n++ {
		if n == 1000 {
			t.Fatal("expected to be told of the records that have expired")
		}
		r := &kgo.Record{Topic: "busy", Value: []byte("x")}
		require.NoError(t, client.ProduceSync(ctx, r).FirstErr())
		_, err = s.Poll(ctx)
	}
	if !strings.Contains(err.Error(), "from offset 1 up to 2 are no longer there") {
		t.Error(err)
	}
}

// A transaction's marker takes an offset, and is no record that could be missed: where nothing but markers has expired
// after what a sink has settled, it goes on.
func TestExpiredMarkersAreNoRecords(t *testing.T) {
	c := transactionsConfig(t)
	o := newTransacting(t, c, 0, "g-c-0").Output()
	for n, value := range []string{"settled", "aborted"} {
		require.NoError(t, page(t, o, value, int64(n)))
		end := o.Commit
		if value == "aborted" {
			end = o.Abort
		}
		require.NoError(t, end(t.Context()))
	}
	addr, ctx := c.Bootstrap[0], kafkatest.Context(t)
	open := func() *Consumer {
		return openTestConsumer(t, addr, ConsumerOptions{Group: "connect-test", Topics: []string{"rows"}})
	}
	s, settled := open(), Offsets{}
	var got []string
	for markers := 0; markers < 2; {
		records, err := s.Poll(ctx)
		require.NoError(t, err)
		for _, r := range records {
			if mark(settled, r); r.Attrs.IsControl() {
				markers++
			} else {
				got = append(got, string(r.Value))
			}
		}
	}
	if !slices.Equal(got, []string{"settled"}) {
		t.Fatalf("found %q", got)
	}
	require.NoError(t, s.Commit(ctx, settled))
	s.Close()
	expire(t, addr, "rows", -1)
	kafkatest.Put(t, addr, "rows", "next")
	if got := pollValues(t, open(), 1, Offsets{}); got[0] != "next" {
		t.Errorf("found %q", got)
	}
}

// A partition of which nothing was read does not stand still when what it was to begin with expires unread: with a
// reset the sink goes on with the oldest record that is left and logs an error; without, the task fails and says so,
// and goes on there when it is restarted.
func TestExpiredBeforeTheFirstCommit(t *testing.T) {
	for _, reset := range []string{"", "earliest", "latest"} {
		t.Run(reset, func(t *testing.T) {
			t.Parallel()
			b := openTestBroker(t, t.TempDir())
			ctx := kafkatest.Context(t)
			makeTopics(t, b.Addr(), Topic{Name: "orders", Partitions: 1})
			config, begun, log := testConfig(b.Addr()), make(chan struct{}), &journal{}
			config.Consumer.Reset, config.Logger = reset, log.logger()
			open := func() *Consumer {
				return openConsumer(t, config, ConsumerOptions{Group: "connect-test", Topics: []string{"orders"}})
			}
			// The broker works requests off one by one: what is put after the one for the start comes later.
			var once sync.Once
			b.Cluster.ControlKey(int16(kmsg.ListOffsets), func(kmsg.Request) (kmsg.Response, error, bool) {
				once.Do(func() { close(begun) })
				return nil, nil, false
			})
			s := open()
			s.client.PauseFetchPartitions(map[string][]int32{"orders": {0}})
			type polled struct {
				values []string
				err    error
			}
			ended := make(chan polled, 1)
			go func() {
				for {
					records, err := s.Poll(ctx)
					if err == nil && len(records) == 0 {
						continue
					}
					p := polled{err: err}
					for _, r := range records {
						p.values = append(p.values, string(r.Value))
					}
					ended <- p
					return
				}
			}()
			select {
			case <-begun:
			case p := <-ended:
				t.Fatal(p)
			}
			kafkatest.Put(t, b.Addr(), "orders", "1", "2", "3", "4")
			expire(t, b.Addr(), "orders", 2)
			s.client.ResumeFetchPartitions(map[string][]int32{"orders": {0}})
			end := <-ended
			if reset != "" {
				if !slices.Equal(end.values, []string{"3", "4"}) || end.err != nil ||
					!strings.Contains(log.String(), "the records from offset 0 up to 1 are no longer there") {
					t.Errorf("expected 3, 4 and an error in the log, found %v\n%s", end, log)
				}
				return
			}
			err := end.err
			if fault := (*wit.Fault)(nil); !errors.As(err, &fault) ||
				!strings.Contains(err.Error(), "the records before offset 2 are no longer there") ||
				!strings.Contains(err.Error(), "restart the task") {
				t.Errorf("expected a fault that names the records and the restart, found %v", err)
			}
			s.Close()
			if got := pollValues(t, open(), 2, Offsets{}); !slices.Equal(got, []string{"3", "4"}) {
				t.Errorf("after the restart: expected 3 and 4, found %q", got)
			}
		})
	}
}
