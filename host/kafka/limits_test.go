package kafka

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/culvert-project/culvert/host/internal/base/assert"
	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/host/kafka/kafkatest"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// smallTopic is a broker whose topic rows takes batches of 2,000 bytes, with how many of its answers refused one. It
// says what the topic takes where tells is set.
func smallTopic(t *testing.T, partitions int32, tells bool) (c Config, refused *atomic.Int64) {
	t.Helper()
	b := openTestBroker(t, t.TempDir())
	makeTopics(t, b.Addr(), Topic{Name: "rows", Partitions: partitions,
		Configs: map[string]string{"max.message.bytes": "2000"}}, Topic{Name: "offsets"})
	if !tells {
		kafkatest.Refuse(b.Cluster, kmsg.DescribeConfigs, kafkatest.Always, kerr.TopicAuthorizationFailed)
	}
	c = shareable(t, b.Addr())
	c.Producer.Linger = time.Minute // Flush sends
	refused = &atomic.Int64{}
	c.Extra = append(c.Extra, kgo.WithLogger(countsRefused{refused}))
	return c, refused
}

// countsRefused counts what a client says of batches that are too large.
type countsRefused struct{ n *atomic.Int64 }

func (countsRefused) Level() kgo.LogLevel { return kgo.LogLevelInfo }

func (r countsRefused) Log(_ kgo.LogLevel, _ string, values ...any) {
	for _, v := range values {
		if err, ok := v.(error); ok && errors.Is(err, kerr.MessageTooLarge) {
			r.n.Add(1)
		}
	}
}

// valuesOf are the values of a topic's partitions, with read_committed.
func valuesOf(t *testing.T, c Config, topic string) (of map[int32][]string, n int) {
	t.Helper()
	r, err := NewReader(c)
	require.NoError(t, err)
	defer r.Close()
	of = map[int32][]string{}
	if _, err := r.Read(kafkatest.Context(t), topic, ReadOptions{}, func(r *kgo.Record) error {
		of[r.Partition] = append(of[r.Partition], string(r.Value[:min(6, len(r.Value))]))
		n++
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return of, n
}

const rowsOfTest = 1000

// fill makes a batch of the numbered rows from one up to another, of some 100 bytes but for one in a thousand with
// 1,500.
func fill(b Records, from, to int) {
	for i := from; i < to; i++ {
		r := b.Add()
		size := 90
		if i%rowsOfTest == 500 {
			size = 1500
		}
		r.Topic, r.Value = "rows", fmt.Appendf(nil, "%06d%s", i, strings.Repeat("x", size))
		r.Key = fmt.Append(nil, i)
	}
}

// expectRows checks that the topic has each row once, and those of a partition in order. Where the feed started over,
// rows may have come before that, too.
func expectRows(t *testing.T, c Config, startedOver bool) {
	t.Helper()
	of, n := valuesOf(t, c, "rows")
	seen := map[string]bool{}
	for partition, values := range of {
		before := len(seen)
		for _, v := range values {
			seen[v] = true
		}
		last := values[len(values)-(len(seen)-before):]
		if !slices.IsSorted(last) || len(slices.Compact(slices.Clone(last))) != len(last) {
			t.Errorf("partition %d is not in order", partition)
		}
	}
	if n != rowsOfTest && !startedOver || len(seen) != rowsOfTest {
		t.Errorf("expected %d rows once each, found %d records of %d rows", rowsOfTest, n, len(seen))
	}
}

// sent sends by a producer, and after each [Rewound] once more by a new one, as feeds do: brokers may take a small
// batch after they refused a larger one. It returns the last producer, and whether the feed started over.
func sent(t *testing.T, config Config, p *Producer, send func(*Producer)) (*Producer, bool, error) {
	t.Helper()
	for tries := 0; ; tries++ {
		send(p)
		err := p.Flush(kafkatest.Context(t))
		if rewound := (*Rewound)(nil); !errors.As(err, &rewound) || tries == 4 {
			return p, tries > 0, err
		}
		p = openTestProducer(t, config)
	}
}

// A topic that takes small batches gets such: as large as it says, as batch.size says where the user may not read that,
// and else, when brokers have refused larger ones, as small as they take them. Nothing is lost or changes
// places, and nothing comes twice unless the feed starts over.
func TestTopicOfSmallBatches(t *testing.T) {
	for name, c := range map[string]struct {
		tells     bool
		batchSize int32
		refuses   bool
	}{
		"that says so":                    {true, 0, false},
		"that says so, batch.size larger": {true, 100_000, false},
		"batch.size":                      {false, 1_800, false},
		"batch.size, less than a record":  {false, 1_000, false},
		"batch.size too large":            {false, 100_000, true},
		"nobody knows":                    {false, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			config, refused := smallTopic(t, 3, c.tells)
			config.Producer.BatchBytes = c.batchSize
			require.NoError(t, config.LearnTopic(t.Context(), openTestAdmin(t, config.Bootstrap[0]), "rows"))
			var got *reports
			var want []string
			p, startedOver, err := sent(t, config, openTestProducer(t, config), func(p *Producer) {
				got, want = &reports{}, nil
				for i := 0; i < rowsOfTest; i += 100 {
					b := p.NewBatch()
					fill(b, i, i+100)
					name := fmt.Sprint("rows from ", i)
					want = append(want, name+" 100 false")
					p.Produce(t.Context(), b, got.take(name))
				}
			})
			if err != nil || startedOver && !c.refuses {
				t.Fatalf("expected the rows to be taken, found %v; the feed started over: %t", err, startedOver)
			}
			if !slices.Equal(got.all, want) {
				t.Errorf("expected %q, found %q", want, got.all)
			}
			if n := refused.Load(); !c.refuses && n > 0 {
				t.Errorf("brokers refused %d batches", n)
			}
			expectRows(t, config, startedOver)
			after := p.NewBatch()
			fill(after, 0, 1)
			p.Produce(t.Context(), after, got.take("after"))
			assert.NoError(t, p.Flush(kafkatest.Context(t)), "afterwards")
		})
	}
}

// A record that no batch is small enough for fails its producer, as ever.
func TestRecordTooLargeForItsTopic(t *testing.T) {
	for _, tells := range []bool{true, false} {
		config, _ := smallTopic(t, 1, tells)
		require.NoError(t, config.LearnTopic(t.Context(), openTestAdmin(t, config.Bootstrap[0]), "rows"))
		p := openTestProducer(t, config)
		b := p.NewBatch()
		fill(b, 0, 10)
		r := b.Add()
		r.Topic, r.Value = "rows", make([]byte, 5000)
		var got reports
		p.Produce(t.Context(), b, got.take("b"))
		err := p.Flush(kafkatest.Context(t))
		if !errors.Is(err, kerr.MessageTooLarge) || !strings.Contains(err.Error(), "rows") {
			t.Errorf("told %t: expected MESSAGE_TOO_LARGE that names the topic, found %v", tells, err)
		}
		if len(got.all) != 1 || !strings.HasSuffix(got.all[0], "true") {
			t.Errorf("told %t: %q", tells, got.all)
		}
	}
}

// Clients that were opened before brokers refused the batches of others go on with what those have found, also where
// that is as small as a record.
func TestTopicOfSmallBatchesOfManyClients(t *testing.T) {
	config, _ := smallTopic(t, 1, false)
	var all []*Producer
	for range 4 {
		p := openTestProducer(t, config)
		b := p.NewBatch()
		fill(b, 0, 1)
		p.Produce(t.Context(), b, nil)
		if err := p.Flush(kafkatest.Context(t)); err != nil { // its client has asked for the limit
			t.Fatal(err)
		}
		all = append(all, p)
	}
	once := true // no feed started over
	for i, p := range all {
		var got *reports
		_, startedOver, err := sent(t, config, p, func(p *Producer) {
			got = &reports{}
			b := p.NewBatch()
			fill(b, 0, rowsOfTest)
			p.Produce(t.Context(), b, got.take("rows"))
		})
		if err != nil {
			t.Errorf("client %d: %v", i, err)
		}
		once = once && !startedOver
		if want := []string{fmt.Sprintf("rows %d false", rowsOfTest)}; !slices.Equal(got.all, want) {
			t.Errorf("client %d: expected %q, found %q", i, want, got.all)
		}
	}
	want := len(all) * (1 + rowsOfTest)
	if _, n := valuesOf(t, config, "rows"); n < want || once && n > want {
		t.Errorf("expected %d records, found %d", want, n)
	}
}

// With transactions what was refused is not committed, and the feed starts over with smaller batches.
func TestTransactionsOfSmallBatches(t *testing.T) {
	for _, c := range []struct{ batchSize, maxRequest int32 }{{0, 1_000_012}, {1000, 1_000_012}, {0, 100 << 20}} {
		t.Run(fmt.Sprint("batch.size ", c.batchSize, ", max.request.size ", c.maxRequest), func(t *testing.T) {
			transactionsOfSmallBatches(t, c.batchSize, c.maxRequest)
		})
	}
}

func transactionsOfSmallBatches(t *testing.T, batchSize, maxRequest int32) {
	config, _ := smallTopic(t, 3, false)
	config.Producer.BatchBytes, config.Producer.MaxRequestBytes = batchSize, maxRequest
	require.NoError(t, config.LearnTopic(t.Context(), openTestAdmin(t, config.Bootstrap[0]), "rows"))
	tries, err := startingOver(t, newTransacting(t, config, 0, "g-c-0").Output, 0, rowsOfTest)
	require.NoError(t, err)
	if tries == 0 {
		t.Error("nothing was refused")
	}
	expectRows(t, config, false)
}

// startingOver sends rows in one transaction, and once more by another output for as long as brokers refuse what is to
// be sent in smaller batches, as feeds do, which give up when they were refused five times in succession.
func startingOver(t *testing.T, output func() *TransactionalOutput, from, to int) (tries int, err error) {
	for ; ; tries++ {
		o := output()
		if err := o.Begin(t.Context()); err != nil {
			return tries, err
		}
		err := sendRows(t, o, from, to)
		if closed := o.Close(kafkatest.Context(t)); err == nil {
			err = closed
		}
		if rewound := (*Rewound)(nil); err == nil || !errors.As(err, &rewound) || tries == 4 {
			return tries, err
		}
	}
}

// sendRows sends rows in the open transaction, and commits it.
func sendRows(t *testing.T, o *TransactionalOutput, from, to int) error {
	b := o.NewBatch()
	fill(b, from, to)
	done := make(chan error, 1)
	o.Produce(t.Context(), b, at(1), func(_ int, err error) { done <- err })
	err := o.Commit(kafkatest.Context(t))
	if sent := <-done; err == nil {
		err = sent
	}
	return err
}

// Transactional clients that were all opened, and have asked for the limit, before brokers refused a batch of any: each
// feed starts over a few times, and its rows are there once each, in order.
func TestTransactionsOfSmallBatchesOfManyClients(t *testing.T) {
	config, _ := smallTopic(t, 1, false)
	all := newTransacting(t, config, 0, "g-c-0", "g-c-0-1", "g-c-0-2", "g-c-0-3")
	var open []*TransactionalOutput
	for range cap(all.free) {
		o := all.Output()
		if err := o.Begin(t.Context()); err != nil { // each has a client of its own
			t.Fatal(err)
		}
		open = append(open, o)
	}
	const first = 900_000
	for feed, o := range open {
		err := sendRows(t, o, first+feed, first+feed+1)
		if err = errors.Join(err, o.Close(kafkatest.Context(t))); err != nil {
			t.Fatal(err)
		}
	}
	var feeds sync.WaitGroup
	for feed := range open {
		feeds.Go(func() {
			from := feed * rowsOfTest
			if tries, err := startingOver(t, all.Output, from, from+rowsOfTest); err != nil {
				t.Errorf("feed %d, try %d: %v", feed, tries, err)
			}
		})
	}
	feeds.Wait()
	of, _ := valuesOf(t, config, "rows")
	slices.SortStableFunc(of[0], func(a, b string) int { return strings.Compare(a[:3], b[:3]) }) // feed by feed
	var want []string
	for i := range len(open) * rowsOfTest {
		want = append(want, fmt.Sprintf("%06d", i))
	}
	for feed := range open {
		want = append(want, fmt.Sprintf("%06d", first+feed))
	}
	if !slices.Equal(of[0], want) {
		t.Errorf("expected each row of each feed once, in order, found %d of %d records", len(of[0]), len(want))
	}
}
