package connect

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/resolved/resolvedtest"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// The lag of a task counts its own partitions only, the lag of the group all of them.
func TestLagOfATaskCountsItsPartitionsOnly(t *testing.T) {
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
	tracker := &lagTracker{clients: &kafka.Clients{Admin: admin}, log: slog.New(slog.DiscardHandler),
		group: "connect-copies"}
	tracker.setTopics([]string{"orders"}, "")
	expectTaskLag := func(want int64, partitions ...int32) {
		t.Helper()
		group, ofTask, err := tracker.measure(ctx, func(topic string, partition int32) bool {
			return topic == "orders" && slices.Contains(partitions, partition)
		})
		require.NoError(t, err)
		assert.Equal(t, int64(8), group)
		assert.Equal(t, want, ofTask, fmt.Sprintf("task with partitions %v", partitions))
	}
	expectTaskLag(3, 0)
	expectTaskLag(5, 1)
	expectTaskLag(0)
	trackCtx, stop := context.WithCancel(ctx)
	defer stop()
	var taskLag lag
	awaitKnown := func(want bool) {
		t.Helper()
		require.Until(t, func() bool { return taskLag.isKnown.Load() == want },
			func() string { return fmt.Sprintf("expected that the lag is known: %t", want) })
	}
	go tracker.track(trackCtx, &taskLag, func(string, int32) bool { return true }, func() bool { return false })
	awaitKnown(true)
	tracker.setTopics(nil, "(") // an invalid regex: the measurement fails
	awaitKnown(false)
	tracker.setTopics([]string{"orders"}, "")
	awaitKnown(true)
	stop()
	awaitKnown(false)
}

// The worker's offset.flush.interval.ms applies if the sink sets none.
func TestFlushIntervalDefaultsToTheWorkers(t *testing.T) {
	component := plugin.NewComponent(&wit.Component{Settings: []wit.ConfigKey{
		resolvedtest.Declare("x.flush.ms", wit.KindLong, "1000", setting.Role(role.SinkFlushIntervalMS))}})
	for _, test := range []struct {
		worker    string // in milliseconds; "" means not set
		connector string
		want      time.Duration
	}{
		{want: time.Second},
		{worker: "250", want: 250 * time.Millisecond},
		{worker: "250", connector: "40", want: 40 * time.Millisecond},
		{connector: "40", want: 40 * time.Millisecond},
	} {
		entries := func(name, value string) []config.Entry {
			if value == "" {
				return nil
			}
			return []config.Entry{config.NewEntry(name, value, "x.properties", 0)}
		}
		worker, problems := config.NewWorker("", entries("offset.flush.interval.ms", test.worker), nil, nil)
		connector, connectorProblems := config.NewConnector("", entries("x.flush.ms", test.connector), worker.Providers)
		require.True(t, len(problems)+len(connectorProblems) <= 0, "%v %v", problems, connectorProblems)
		got := flushInterval(resolved.Resolver{}.ResolveAs(connector, component).Roles(), worker)
		assert.Equal(t, test.want, got, "worker", test.worker, "connector", test.connector)
	}
}
