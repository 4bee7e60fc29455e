package connect

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/check/checktest"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/kafka/embedded"
	"github.com/culvert-project/culvert/internal/run/offset"
	"github.com/culvert-project/culvert/wit"
)

type bench struct {
	*checktest.Bench
	options Options
}

func newBench(t *testing.T, b *checktest.Bench) *bench {
	k := b.Checker
	return &bench{b, Options{Worker: k.Worker, Plugins: k.Plugins, Registry: k.Registry, Kafka: k.Kafka,
		WorkerID: "w:1", Version: "v", Logger: b.Logger}}
}

// group does nothing unless a test sets a function.
type group struct {
	planned func(string, config.TaskPlan) error
	lease   func() error
	fence   func(connector string, version int64, now config.FencingCounts) error
	uses    func(connector, topic string, task int)
	changed func(connector string)
}

func (g *group) PutTaskConfigs(_ context.Context, connector string, p config.TaskPlan) error {
	if g.planned == nil {
		return nil
	}
	return g.planned(connector, p)
}

func (g *group) CheckLease(context.Context) error {
	if g.lease == nil {
		return nil
	}
	return g.lease()
}

func (g *group) Fence(_ context.Context, connector string, version int64, counts config.FencingCounts) error {
	if g.fence == nil {
		return nil
	}
	return g.fence(connector, version, counts)
}

func (g *group) RecordTopic(connector, topic string, task int) {
	if g.uses != nil {
		g.uses(connector, topic, task)
	}
}

func (*group) Forward(context.Context, string, wit.Notification) (result ForwardResult) {
	return result
}
func (*group) OwnersLost(string) func(context.Context) bool { return nil }

func (g *group) StatusChanged(connector string) {
	if g.changed != nil {
		g.changed(connector)
	}
}

func connected(t *testing.T) *bench {
	t.Helper()
	return connectedWith(t, checktest.WithSpy(t))
}

func connectedWith(t *testing.T, with *checktest.Bench) *bench {
	t.Helper()
	b := newBench(t, with)
	broker, err := embedded.Open(embedded.Options{Dir: t.TempDir(), Listen: "127.0.0.1:0"})
	require.NoError(t, err)
	t.Cleanup(func() { broker.Close() })
	b.options.Kafka.Bootstrap = []string{broker.Addr()}
	b.options.Offsets, err = offset.Open(context.Background(), b.options.Kafka, offset.DefaultConfig(), nil,
		b.options.Logger)
	require.NoError(t, err)
	t.Cleanup(b.options.Offsets.Close)
	return b
}

// The host sends a plugin's requests with the user's secret, which the plugin never sees.
func TestSecretsNeverEnterAPlugin(t *testing.T) {
	const secret = "hunter2"
	var sent http.Header
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent = r.Header
		w.Header().Set("Set-Cookie", "session="+secret)
		io.WriteString(w, "hello from the service")
	}))
	defer service.Close()
	b := connected(t)
	host, port, _ := strings.Cut(strings.TrimPrefix(service.URL, "http://"), ":")
	connector := b.Connector(t, "name=c", "connector.class=test.SpySource", "spy.scheme=http", "spy.address="+host,
		"spy.port="+port, "spy.user=reader",
		"spy.password="+secret, "spy#00.token="+secret, "spy.pasword="+secret, "unknown.settings=warn",
		"value.converter.basic.auth.user.info="+secret, "producer.override.sasl.jaas.config="+secret,
		"something.password="+secret)
	problems := b.Checker.Check(context.Background(), connector)
	h := New(b.options, []*config.Connector{connector})
	err := h.RunOnce(context.Background())
	log := b.Log.String()
	assert.Contains(t, log, "spy validate", "spy plan", "spy open", "{a 200 /hello", "{spy.user reader}")
	if user, password, ok := (&http.Request{Header: sent}).BasicAuth(); !ok || user != "reader" || password != secret {
		t.Errorf("expected the host to send user and password, found %v", sent)
	}
	status, _ := h.Status("c")
	for name, shown := range map[string]string{"log": log, "problems": checktest.Text(problems),
		"error":  fmt.Sprint(err),
		"status": fmt.Sprint(status)} {
		if strings.Contains(shown, secret) {
			t.Errorf("expected no secret, found it in the %s: %s", name, shown)
		}
	}
}

func TestTrace(t *testing.T) {
	witError := &wit.Error{Kind: wit.ErrorData, Message: "bad value", Detail: wit.Ptr("line 3")}
	got := trace(fmt.Errorf("feed a: %w", witError), "task c-0 (p 1)")
	want := "org.apache.kafka.connect.errors.DataException: feed a: bad value\n\tat task c-0 (p 1)\n\tat line 3\n"
	assert.Equal(t, want, got)
}

func TestNewTopic(t *testing.T) {
	b := newBench(t, checktest.New(t, nil))
	connector := b.Connector(t, "topic.creation.groups=big,eu", "topic.creation.default.partitions=1",
		"topic.creation.default.cleanup.policy=compact",
		"topic.creation.big.include=big.*", "topic.creation.big.exclude=big.eu", "topic.creation.big.partitions=12",
		"topic.creation.eu.include=.*eu", "topic.creation.eu.replication.factor=2")
	for name, want := range map[string]kafka.Topic{
		"big.us": {Partitions: 12, Configs: map[string]string{}}, "big.eu": {Replication: 2,
			Configs: map[string]string{}},
		"small": {Partitions: 1, Configs: map[string]string{"cleanup.policy": "compact"}},
	} {
		want.Name = name
		got, err := newTopic(connector, name)
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
}

func TestStatesOfAConnectorThatCannotStart(t *testing.T) {
	b := newBench(t, checktest.New(t, nil))
	connector := b.Connector(t, "name=c", "connector.class=Nope")
	h := New(b.options, []*config.Connector{connector})
	if result, _ := h.Status("c"); result.Connector.State != Unassigned || result.Type != "unknown" {
		t.Errorf("expected UNASSIGNED before the start, found %v", result)
	}
	err := h.RunOnce(context.Background())
	if result, _ := h.Status("c"); result.Connector.State != Failed || !strings.HasPrefix(result.Connector.Trace,
		"org.apache.kafka.connect.errors.ConnectException: ") {
		t.Errorf("expected FAILED with a trace, found %v", result)
	}
	if err == nil || !strings.HasPrefix(err.Error(),
		"connector c: failed: no plugins are loaded: this program was built without plugins") {
		t.Errorf("found %v", err)
	}
}
