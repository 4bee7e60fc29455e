package e2etest

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/kafka/embedded"
)

// Embedded starts a broker in this process.
func Embedded(t *testing.T) *embedded.Broker {
	t.Helper()
	b, err := embedded.Open(embedded.Options{Dir: t.TempDir(), Listen: "127.0.0.1:0"})
	NoError(t, err)
	t.Cleanup(func() { b.Close() })
	return b
}

// Client returns a client of a broker, which is closed at the end of the test.
func Client(t *testing.T, broker string, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append(options, kgo.SeedBrokers(broker))...)
	NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

// MakeTopics creates topics with one partition.
func MakeTopics(t *testing.T, client *kgo.Client, names ...string) {
	t.Helper()
	made, err := kadm.NewClient(client).CreateTopics(t.Context(), 1, 1, nil, names...)
	NoError(t, err)
	NoError(t, made.Error())
}

// EndsOn returns the end offsets of a topic's partitions; nil if the topic does not exist.
func EndsOn(t *testing.T, servers, topic string) kafka.Positions {
	t.Helper()
	c := kafka.Defaults()
	c.Bootstrap = strings.Split(servers, ",")
	admin, err := kafka.NewAdmin(c)
	NoError(t, err)
	defer admin.Close()
	offsets, _ := admin.EndOffsets(t.Context(), false, topic)
	return offsets[topic]
}
