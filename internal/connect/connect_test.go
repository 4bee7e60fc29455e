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
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/resolved/resolvedtest"
	"github.com/culvert-project/culvert/internal/run/offset"
	"github.com/culvert-project/culvert/wit"
)

// bench has the options of a worker with the plugins of a [checktest.Bench].
type bench struct {
	*checktest.Bench
	broker  *embedded.Broker // nil without Kafka
	options Options
}

func newBench(t *testing.T, base *checktest.Bench) *bench {
	checker := base.Checker
	return &bench{Bench: base, options: Options{
		Worker:   checker.Worker,
		Plugins:  checker.Plugins,
		Registry: checker.Registry,
		Kafka:    checker.Kafka,
		WorkerID: "w:1",
		Version:  "v",
		Logger:   base.Logger,
	}}
}

// group implements [Group] by its functions. Nil ones do nothing.
type group struct {
	putTaskConfigs func(connector string, plan config.TaskPlan) error
	checkLease     func() error
	fence          func(connector string, version int64, counts config.FencingCounts) error
	recordTopic    func(connector, topic string, task int)
	statusChanged  func(connector string)
}

func (g *group) PutTaskConfigs(_ context.Context, connector string, plan config.TaskPlan) error {
	if g.putTaskConfigs == nil {
		return nil
	}
	return g.putTaskConfigs(connector, plan)
}

func (g *group) CheckLease(context.Context) error {
	if g.checkLease == nil {
		return nil
	}
	return g.checkLease()
}

func (*group) InGroup() bool { return true }

func (g *group) Fence(_ context.Context, connector string, version int64, counts config.FencingCounts,
	_ kafka.Config) error {
	if g.fence == nil {
		return nil
	}
	return g.fence(connector, version, counts)
}

func (g *group) RecordTopic(connector, topic string, task int) {
	if g.recordTopic != nil {
		g.recordTopic(connector, topic, task)
	}
}

func (*group) Forward(context.Context, string, wit.Notification) ForwardResult {
	return ForwardResult{}
}

func (*group) OwnersLost(string) func(context.Context) bool { return nil }

func (g *group) StatusChanged(connector string) {
	if g.statusChanged != nil {
		g.statusChanged(connector)
	}
}

// newKafkaBench returns a bench with the spy plugin and a broker.
func newKafkaBench(t *testing.T) *bench {
	t.Helper()
	return newKafkaBenchWith(t, checktest.WithSpy(t))
}

func newKafkaBenchWith(t *testing.T, base *checktest.Bench) *bench {
	t.Helper()
	b := newBench(t, base)
	broker, err := embedded.Open(embedded.Options{Dir: t.TempDir(), Listen: "127.0.0.1:0"})
	require.NoError(t, err)
	t.Cleanup(func() { broker.Close() })
	b.broker = broker
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
	var header http.Header
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header = r.Header
		w.Header().Set("Set-Cookie", "session="+secret)
		io.WriteString(w, "hello from the service")
	}))
	defer service.Close()
	b := newKafkaBench(t)
	host, port, _ := strings.Cut(strings.TrimPrefix(service.URL, "http://"), ":")
	connector := b.Connector(t,
		"name=c",
		"connector.class=test.SpySource",
		"spy.scheme=http",
		"spy.address="+host,
		"spy.port="+port,
		"spy.user=reader",
		"spy.password="+secret,
		"spy#00.token="+secret,
		"spy.pasword="+secret,
		"unknown.settings=warn",
		"value.converter.basic.auth.user.info="+secret,
		"producer.override.sasl.jaas.config="+secret,
		"something.password="+secret)
	problems := b.Checker.Check(context.Background(), connector)
	h := New(b.options, []*resolved.Connector{connector})
	err := h.RunOnce(context.Background())
	log := b.Log.String()
	assert.Contains(t, log, "spy validate", "spy plan", "spy open", "{a 200 /hello", "{spy.user reader}")
	user, password, ok := (&http.Request{Header: header}).BasicAuth()
	assert.True(t, ok && user == "reader" && password == secret,
		"expected the host to send user and password, found %v", header)
	status, _ := h.Status("c")
	for name, text := range map[string]string{
		"log":      log,
		"problems": resolvedtest.Lines(problems),
		"error":    fmt.Sprint(err),
		"status":   fmt.Sprint(status),
	} {
		assert.True(t, !strings.Contains(text, secret), "expected no secret, found it in the %s: %s", name, text)
	}
}

func TestTraceHasTheJavaClassAndTheLines(t *testing.T) {
	witError := &wit.Error{Kind: wit.ErrorData, Message: "bad value", Detail: wit.Ptr("line 3")}
	got := trace(fmt.Errorf("feed a: %w", witError), "task c-0 (p 1)")
	want := "org.apache.kafka.connect.errors.DataException: feed a: bad value\n\tat task c-0 (p 1)\n\tat line 3\n"
	assert.Equal(t, want, got)
}

// The first group whose patterns match a topic determines its settings; other topics have the defaults.
func TestNewTopicHasTheSettingsOfItsGroup(t *testing.T) {
	b := newBench(t, checktest.New(t, nil))
	connector := b.Connector(t, "topic.creation.groups=big,eu", "topic.creation.default.partitions=1",
		"topic.creation.default.cleanup.policy=compact",
		"topic.creation.big.include=big.*", "topic.creation.big.exclude=big.eu", "topic.creation.big.partitions=12",
		"topic.creation.eu.include=.*eu", "topic.creation.eu.replication.factor=2")
	for name, want := range map[string]kafka.Topic{
		"big.us": {Partitions: 12, Configs: map[string]string{}},
		"big.eu": {Replication: 2, Configs: map[string]string{}},
		"small":  {Partitions: 1, Configs: map[string]string{"cleanup.policy": "compact"}},
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
	h := New(b.options, []*resolved.Connector{connector})
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
		t.Errorf("expected the failure of the connector, found %v", err)
	}
}
