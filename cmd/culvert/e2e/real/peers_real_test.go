//go:build real

package real

import (
	"context"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/e2etest"
)

// produceTo puts records into topics, which are made if they are missing.
func produceTo(t *testing.T, servers string, records ...*kgo.Record) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(servers), kgo.AllowAutoTopicCreation())
	e2etest.NoError(t, err)
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), e2etest.Limit)
	defer cancel()
	e2etest.NoError(t, client.ProduceSync(ctx, records...).FirstErr())
}

// fetchFrom reads n records of a topic as they are in the broker.
func fetchFrom(t *testing.T, servers, topic string, n int) []*kgo.Record {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(servers), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	e2etest.NoError(t, err)
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), e2etest.Limit)
	defer cancel()
	var all []*kgo.Record
	for len(all) < n {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			t.Fatalf("%d of %d records of %s: %v", len(all), n, topic, err)
		}
		all = append(all, fetches.Records()...)
	}
	return all
}
