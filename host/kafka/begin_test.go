package kafka

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// latestConsumer is a sink's consumer with auto.offset.reset=latest that soon sees new partitions.
func latestConsumer(t *testing.T, addr string, o ConsumerOptions) *Consumer {
	t.Helper()
	config := testConfig(addr)
	config.Consumer.Reset = "latest"
	config.Consumer.MetadataMaxAge = 200 * time.Millisecond
	config.Consumer.HeartbeatInterval = 100 * time.Millisecond
	o.Group = "connect-test"
	s, err := NewConsumer(config, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// joined polls until a consumer has so many partitions, and none of their records.
func joined(t *testing.T, s *Consumer, partitions int) {
	t.Helper()
	for ctx := testContext(t); ; {
		// The commits of where they begin come before their records.
		a, err := kadm.NewClient(s.client).FetchOffsets(ctx, s.o.Group)
		if err == nil && len(s.Owned()["orders"]) == partitions && len(a["orders"]) == partitions {
			return
		}
		polling, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		records, err := s.Poll(polling)
		cancel()
		if len(records) > 0 || ctx.Err() != nil || err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("%d records, %v", len(records), err)
		}
	}
}

// With `latest` a group begins behind what was there before it, and from then on nothing is passed over: neither what
// comes into a partition that it has not read yet while it is away, nor what is written to a partition that is added,
// before the consumer sees it or while none is there.
func TestLatestPassesNothingOver(t *testing.T) {
	for name, o := range map[string]ConsumerOptions{"topics": {Topics: []string{"orders"}}, "regex": {Regex: "ord.*"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := openTestBroker(t, t.TempDir())
			ctx := testContext(t)
			admin := kadm.NewClient(testClient(t, kgo.SeedBrokers(b.Addr())))
			if _, err := admin.CreateTopic(ctx, 2, 1, nil, "orders"); err != nil {
				t.Fatal(err)
			}
			to := func(partition int32, value string) {
				t.Helper()
				client := testClient(t, kgo.SeedBrokers(b.Addr()), kgo.RecordPartitioner(kgo.ManualPartitioner()))
				if err := client.ProduceSync(ctx, &kgo.Record{Topic: "orders", Partition: partition,
					Value: []byte(value)}).FirstErr(); err != nil {
					t.Fatal(err)
				}
			}
			more := func(partitions int) {
				t.Helper()
				answers, err := admin.UpdatePartitions(ctx, partitions, "orders")
				if err == nil {
					err = answers.Error()
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			to(0, "before")
			to(1, "before")
			s := latestConsumer(t, b.Addr(), o)
			joined(t, s, 2)
			to(0, "1")
			settled := Offsets{}
			if got := pollValues(t, s, 1, settled); !slices.Equal(got, []string{"1"}) {
				t.Fatalf("first: %q", got)
			}
			more(3)
			to(2, "2")
			if got := pollValues(t, s, 1, settled); !slices.Equal(got, []string{"2"}) {
				t.Errorf("into a new partition: %q", got)
			}
			if err := s.Commit(ctx, settled); err != nil {
				t.Fatal(err)
			}
			s.Close()
			more(4)
			to(1, "3")
			to(3, "4")
			if got := pollValues(t, latestConsumer(t, b.Addr(), o), 2, Offsets{}); !slices.Equal(got,
				[]string{"3", "4"}) {
				t.Errorf("while no consumer was there: %q", got)
			}
		})
	}
}
