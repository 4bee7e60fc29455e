package kafka

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

// warningTexts returns warnings as the user reads them, without the word "warning".
func warningTexts(warnings setting.Problems) (texts []string) {
	for _, w := range warnings {
		texts = append(texts, w.Setting+": "+w.Text)
	}
	return texts
}

func TestParse(t *testing.T) {
	got, warnings, err := Parse(t.Context(), map[string]string{
		"bootstrap.servers": " a:9092, SASL://b:9093 ", "client.id": "w1", "compression.type": "none",
		"key.converter": "x", "listeners": "http://:8083", "group.id": "workers", "offset.storage.topic": "o",
		"producer.compression.type": "ZSTD", "producer.acks": "0", "producer.delivery.timeout.ms": "2147483647",
		"producer.retries": "3", "producer.batch.size": "16384", "producer.max.block.ms": "1",
		"producer.linger.ms":         "5",
		"consumer.auto.offset.reset": "latest", "consumer.isolation.level": "read_uncommitted",
		"consumer.max.poll.recods":               "7",
		"consumer.partition.assignment.strategy": "org.apache.kafka.clients.consumer.RangeAssignor,roundrobin",
		"admin.listeners":                        "http://:8084", // not a setting of clients
		"admin.metadata.max.age.ms":              "1000", "producer.something.else.entirely": "1",
	})
	require.NoError(t, err)
	want := Defaults()
	want.Bootstrap = []string{"a:9092", "b:9093"}
	want.ClientID = "w1"
	want.Admin.MetadataMaxAge = time.Second
	want.Producer.Compression = "zstd"
	want.Producer.Acks = 1
	want.Producer.Retries = 3
	want.Producer.Linger = 5 * time.Millisecond
	want.Consumer.Reset = "latest"
	want.Consumer.ReadUncommitted = true
	want.Consumer.Assignors = []string{"range", "roundrobin"}
	diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Config{}, ClientConfig{}))
	assert.True(t, diff == "", "configuration (-want +got):\n%s", diff)
	assert.Equal(t, []string{
		"consumer.max.poll.recods: unknown setting; the nearest known one is max.poll.records",
		"producer.acks: 1 is used instead, since offsets are stored only after acknowledged records",
		"producer.batch.size: has no effect here",
		"producer.max.block.ms: has no effect here",
		"producer.something.else.entirely: unknown setting",
	}, warningTexts(warnings), "warnings")
}

func TestParseRejects(t *testing.T) {
	cases := []struct{ name, value, expect string }{
		{name: "bootstrap.servers", expect: "Missing required configuration"},
		{
			name:   "bootstrap.servers",
			value:  "localhost",
			expect: `Invalid value localhost for configuration bootstrap.servers: expected HOST:PORT`,
		},
		{name: "bootstrap.servers", value: "localhost:99999", expect: `"localhost:99999"`},
		{name: "compression.type", value: "brotli", expect: "lz4"},
		{name: "producer.acks", value: "2", expect: "all"},
		{
			name:   "producer.linger.ms",
			value:  "soon",
			expect: "Invalid value soon for configuration producer.linger.ms: Not a number of type INT",
		},
		{name: "producer.enable.idempotence", value: "maybe", expect: "true or false"},
		{name: "consumer.auto.offset.reset", value: "first", expect: "earliest"},
		{name: "consumer.max.poll.records", value: "0", expect: "Value must be at least 1"},
		{name: "ssl.truststore.location", value: "/nowhere/x.jks", expect: "cannot be read: "},
	}
	for _, c := range cases {
		t.Run(c.name+"="+c.value, func(t *testing.T) {
			properties := map[string]string{"bootstrap.servers": "a:9092", "security.protocol": "SSL",
				"ssl.truststore.password": "x"}
			properties[c.name] = c.value
			_, _, err := Parse(t.Context(), properties)
			var p setting.Problem
			assert.True(t, errors.As(err, &p) && p.Setting == c.name,
				"expected a problem of the setting, found %#v", err)
			if err == nil || !strings.HasPrefix(err.Error(), c.name+":") || !strings.Contains(err.Error(), c.expect) {
				t.Errorf("expected an error about %s that contains %s, got %v", c.name, c.expect, err)
			}
		})
	}
}

func TestOverride(t *testing.T) {
	worker, _, err := Parse(t.Context(), map[string]string{"bootstrap.servers": "a:9092", "producer.linger.ms": "5"})
	require.NoError(t, err)
	got, warnings, err := worker.Override(t.Context(), map[string]string{
		"name": "orders", "producer.override.compression.type": "lz4", "consumer.override.group.id": "mine",
		"producer.linger.ms": "99", "topics": "t",
	})
	require.True(t, err == nil && len(warnings) == 0, "%v %v", warnings, err)
	if got.Producer.Compression != "lz4" || got.Consumer.Group != "mine" || got.Producer.Linger != 5*time.Millisecond {
		t.Errorf("expected the overrides of compression and group only, found %+v %+v", got.Producer, got.Consumer)
	}
	assert.True(t, worker.Producer.Compression == "none", "expected the worker's configuration not to change")
}

// Settings of one kind of client do not change the others.
func TestClientSettingsAreIndependent(t *testing.T) {
	c, _, err := Parse(t.Context(), map[string]string{
		"bootstrap.servers": "a:9092", "client.id": "all",
		"producer.bootstrap.servers": "p:9092", "consumer.client.id": "c", "admin.bootstrap.servers": "x:9092",
		"admin.client.id": "admin",
	})
	require.NoError(t, err)
	for _, side := range []struct {
		name   string
		broker string
		id     string
		opts   []kgo.Opt
	}{
		{name: "producer", broker: "p:9092", id: "all", opts: c.ProducerOpts()},
		{name: "consumer", broker: "a:9092", id: "c", opts: c.ConsumerOpts()},
		{name: "admin", broker: "x:9092", id: "admin", opts: c.AdminOpts()},
	} {
		client := kafkatest.Client(t, side.opts...)
		brokers := client.OptValue(kgo.SeedBrokers).([]string)
		id := client.OptValue(kgo.ClientID).(string)
		assert.True(t, len(brokers) == 1 && brokers[0] == side.broker && id == side.id,
			"%s: expected the broker %s and the client ID %s, found %v and %s", side.name, side.broker, side.id,
			brokers, id)
	}
}

func TestEmbeddedListen(t *testing.T) {
	cases := []struct {
		servers  string
		listen   string
		embedded bool
		invalid  bool
	}{
		{servers: "embedded", embedded: true},
		{servers: "embedded:9095", listen: "127.0.0.1:9095", embedded: true},
		{servers: "embedded:x", embedded: true, invalid: true},
		{servers: "embedded,a:9092", embedded: true, invalid: true},
		{servers: "a:9092"},
		{servers: "embedded.example.com:9092"},
	}
	for _, c := range cases {
		listen, embedded, err := EmbeddedListen(strings.Split(c.servers, ","))
		assert.True(t, listen == c.listen && embedded == c.embedded && (err != nil) == c.invalid,
			"%s: expected %q, embedded %v, an error %v, found %q, %v, %v", c.servers, c.listen, c.embedded, c.invalid,
			listen, embedded, err)
	}
}

// The client accepts every combination of settings.
func TestOptionsAreValid(t *testing.T) {
	for _, properties := range []map[string]string{
		{},
		{"producer.acks": "1", "producer.max.in.flight.requests.per.connection": "3"},
		{"producer.enable.idempotence": "false", "producer.retries": "0", "producer.delivery.timeout.ms": "1000"},
		{"producer.buffer.memory": "1024", "producer.max.request.size": "10485760"},
		{"producer.max.request.size": "209715200"},
		{"consumer.auto.offset.reset": "none", "consumer.client.rack": "r", "consumer.fetch.max.bytes": "1024"},
		{"consumer.fetch.max.bytes": "209715200", "consumer.max.partition.fetch.bytes": "209715200"},
		{"request.timeout.ms": "1000", "metadata.max.age.ms": "10"},
	} {
		properties["bootstrap.servers"] = "a:9092"
		c, _, err := Parse(t.Context(), properties)
		require.NoError(t, err)
		for side, opts := range map[string][]kgo.Opt{"producer": c.ProducerOpts(), "consumer": c.ConsumerOpts(),
			"admin": c.AdminOpts()} {
			assert.NoError(t, kgo.ValidateOpts(opts...), properties, side)
		}
	}
}
