package e2etest

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/kafka/embedded"
)

// StartEmbeddedBroker starts a broker in this process, which ends with the test.
func StartEmbeddedBroker(t *testing.T) *embedded.Broker {
	t.Helper()
	b, err := embedded.Open(embedded.Options{Dir: t.TempDir(), Listen: "127.0.0.1:0"})
	require.NoError(t, err)
	t.Cleanup(func() { b.Close() })
	return b
}

// NewClient returns a client of a broker, which is closed at the end of the test.
func NewClient(t *testing.T, broker string, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append(options, kgo.SeedBrokers(broker))...)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

// CreateTopics creates topics with one partition.
func CreateTopics(t *testing.T, client *kgo.Client, names ...string) {
	t.Helper()
	results, err := kadm.NewClient(client).CreateTopics(t.Context(), 1, 1, nil, names...)
	require.NoError(t, err)
	require.NoError(t, results.Error())
}

// EndOffsets returns the end offsets of a topic's partitions; nil if the topic does not exist.
func EndOffsets(t *testing.T, servers, topic string) kafka.Positions {
	t.Helper()
	c := kafka.Defaults()
	c.Bootstrap = strings.Split(servers, ",")
	admin, err := kafka.NewAdmin(c)
	require.NoError(t, err)
	defer admin.Close()
	const includeInternal = false
	offsets, _ := admin.EndOffsets(t.Context(), includeInternal, topic)
	return offsets[topic]
}
