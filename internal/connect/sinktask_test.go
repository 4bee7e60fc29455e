package connect

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// The lag of a task counts its own partitions only.
func TestLagOfATask(t *testing.T) {
	t.Parallel()
	ctx := kafkatest.Context(t)
	addrs := kafkatest.Cluster(t, kfake.NumBrokers(1), kfake.SeedTopics(2, "orders")).ListenAddrs()
	kafkaConfig := kafka.Defaults()
	kafkaConfig.Bootstrap = addrs
	admin, err := kafka.NewConsumerAdmin(kafkaConfig)
	require.NoError(t, err)
	defer admin.Close()
	client := kafkatest.Client(t, kgo.SeedBrokers(addrs...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for partition, records := range []int{3, 5} {
		for range records {
			r := &kgo.Record{Topic: "orders", Partition: int32(partition)}
			require.NoError(t, client.ProduceSync(ctx, r).FirstErr())
		}
	}
	l := &lagTracker{log: slog.New(slog.DiscardHandler), admin: admin, group: "connect-copies"}
	l.setTopics([]string{"orders"}, "")
	expect := func(want int64, has ...bool) {
		t.Helper()
		group, ofTask, err := l.measure(ctx, func(topic string, partition int32) bool {
			return topic == "orders" && has[partition]
		})
		require.NoError(t, err)
		assert.Equal(t, [2]int64{8, want}, [2]int64{group, ofTask})
	}
	expect(3, true, false)
	expect(5, false, true)
	expect(0, false, false)
	expectKnown := func(taskLag *lag, want bool) {
		t.Helper()
		require.Until(t, func() bool { return taskLag.isKnown.Load() == want },
			func() string { return "expected another knowledge of the lag" })
	}
	tracking, stop := context.WithCancel(ctx)
	defer stop()
	var taskLag lag
	go l.track(tracking, &taskLag, func(string, int32) bool { return true }, func() bool { return false })
	expectKnown(&taskLag, true)
	l.setTopics(nil, "(")
	expectKnown(&taskLag, false)
	l.setTopics([]string{"orders"}, "")
	expectKnown(&taskLag, true)
	stop()
	expectKnown(&taskLag, false)
}

// The worker's offset.flush.interval.ms applies if the sink sets none.
func TestFlushInterval(t *testing.T) {
	component := wit.Component{Name: "C", Kind: wit.ComponentSink, Settings: []wit.ConfigKey{
		setting.Define("x.flush.ms", wit.KindLong, wit.Low, setting.Default("1000"), "",
			setting.Role(role.SinkFlushIntervalMS))}}
	for _, test := range []struct {
		worker    string
		connector string
		want      time.Duration
	}{{"", "", time.Second}, {"250", "", 250 * time.Millisecond}, {"250", "40", 40 * time.Millisecond},
		{"", "40", 40 * time.Millisecond}} {
		entries := func(name, value string) []config.Entry {
			if value == "" {
				return nil
			}
			return []config.Entry{config.NewEntry(name, value, "x.properties", 0)}
		}
		worker, problems := config.NewWorker("", entries("offset.flush.interval.ms", test.worker), nil, nil)
		connector, more := config.NewConnector("", entries("x.flush.ms", test.connector), worker.Providers)
		if len(problems)+len(more) > 0 {
			t.Fatal(problems, more)
		}
		if found := flushEvery(connector.Roles(component), worker); found != test.want {
			t.Errorf("worker %q, connector %q: expected %v, found %v", test.worker, test.connector, test.want, found)
		}
	}
}
