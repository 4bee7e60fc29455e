package connect

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/host/logtest"
	"github.com/culvert-project/culvert/host/offset"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/plugin/guesttest"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
)

// bench is a worker without connectors: plugins in a folder, an embedded broker.
type bench struct {
	options Options
	checker Checker
	log     logtest.Journal
}

func newBench(t *testing.T, guests ...string) *bench {
	t.Helper()
	b := &bench{}
	dir := t.TempDir()
	for _, g := range guests {
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(g)+".wasm"), guesttest.Bytes(t, g), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	log := slog.New(slog.NewTextHandler(&b.log, nil))
	registry := record.NewRegistry()
	manager, err := plugin.New(context.Background(), plugin.Options{Folders: []string{dir}, Registry: registry, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { manager.Close() })
	worker, problems := config.NewWorker("", nil, nil, nil)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	k := kafka.Defaults()
	b.options = Options{Worker: worker, Plugins: manager, Registry: registry, Kafka: k, WorkerID: "w:1", Version: "v", Logger: log}
	b.checker = Checker{Worker: worker, Plugins: manager, Kafka: k, Embedded: true, Registry: registry}
	return b
}

// connect opens the embedded broker.
func (b *bench) connect(t *testing.T) {
	t.Helper()
	broker, err := kafka.OpenBroker(kafka.BrokerOptions{Dir: t.TempDir(), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { broker.Close() })
	b.options.Kafka.Bootstrap = []string{broker.Addr()}
	if b.options.Offsets, err = offset.Open(context.Background(), b.options.Kafka, offset.Defaults(), b.options.Logger); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.options.Offsets.Close)
}

func (b *bench) connector(t *testing.T, lines ...string) *config.Connector {
	t.Helper()
	entries, problems := config.Read("c.properties", []byte(strings.Join(lines, "\n")))
	c, more := config.NewConnector("c.properties", entries, b.options.Worker.Providers)
	if all := append(problems, more...); len(all) > 0 {
		t.Fatal(all)
	}
	return c
}

func text(problems config.Problems) string {
	var lines []string
	for _, p := range problems {
		lines = append(lines, p.String())
	}
	return strings.Join(lines, "\n")
}

// What a plugin asks for, is asked by the host with the user's secret; the plugin itself never sees it.
func TestSecretsNeverEnterAPlugin(t *testing.T) {
	const secret = "hunter2"
	var sent http.Header
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent = r.Header
		w.Header().Set("Set-Cookie", "session="+secret)
		io.WriteString(w, "hello from the service")
	}))
	defer service.Close()
	b := newBench(t, "./testdata/spy")
	b.connect(t)
	host, port, _ := strings.Cut(strings.TrimPrefix(service.URL, "http://"), ":")
	c := b.connector(t, "name=c", "connector.class=test.SpySource", "spy.scheme=http", "spy.address="+host, "spy.port="+port, "spy.user=reader",
		"spy.password="+secret, "spy#00.token="+secret, "spy.pasword="+secret, "unknown.settings=warn",
		"value.converter.basic.auth.user.info="+secret, "producer.override.sasl.jaas.config="+secret, "something.password="+secret)
	problems := b.checker.Check(context.Background(), c)
	h := New(b.options, []*config.Connector{c})
	err := h.RunOnce(context.Background())
	log := b.log.String()
	for _, call := range []string{"spy validate", "spy plan", "spy open", "{a 200 /hello", "{spy.user reader}"} {
		if !strings.Contains(log, call) {
			t.Errorf("expected the spy to report %q, found\n%s\n%v", call, log, err)
		}
	}
	if user, password, ok := (&http.Request{Header: sent}).BasicAuth(); !ok || user != "reader" || password != secret {
		t.Errorf("expected the host to send user and password, found %v", sent)
	}
	status, _ := h.Status("c")
	for name, shown := range map[string]string{"log": log, "problems": text(problems), "error": fmt.Sprint(err), "status": fmt.Sprint(status)} {
		if strings.Contains(shown, secret) {
			t.Errorf("found the secret in the %s: %s", name, shown)
		}
	}
}

func TestCheck(t *testing.T) {
	b := newBench(t, "./testdata/spy")
	b.checker.Connectors = []*config.Connector{b.connector(t, "name=other")}
	const good = "connector.class=test.SpySource\nspy.address=localhost\nspy.port=80\nspy.scheme=http"
	cases := []struct{ name, text, want string }{
		{"nothing wrong", good, ""},
		{"no class", "name=x", "c.properties:1: connector.class: required setting is missing"},
		{"misspelt class", "name=x\nconector.class=test.SpySource", "c.properties:2: conector.class: unknown setting; the nearest known one is connector.class"},
		{"unknown class", "name=x\nconnector.class=Nope", "c.properties:2: connector.class: no plugin has the source or sink Nope; there are test.SpySource"},
		{"unknown version", good + "\nconnector.plugin.version=9\ntasks.max=none", "c.properties:5: connector.plugin.version: source test.SpySource: expected version 9, there are "},
		{"what is wrong beside an unknown version", good + "\ntasks.max=none\nconnector.plugin.version=9", "c.properties:5: tasks.max: Invalid value none for configuration tasks.max: Not a number of type INT"},
		{"short form of the class", strings.Replace(good, "test.SpySource", "SpySource", 1), ""},
		{"unknown transform", good + "\ntransforms=a\ntransforms.a.type=Nope", "c.properties:6: transforms.a.type: no plugin has it, and there are none"},
		{"unknown converter", good + "\nvalue.converter=Nope", "c.properties:5: value.converter: "},
		{"Avro", good + "\nvalue.converter=io.confluent.connect.avro.AvroConverter", `c.properties:5: value.converter: Missing required configuration "schema.registry.url"`},
		{"Protobuf", good + "\nvalue.converter=io.confluent.connect.protobuf.ProtobufConverter", "c.properties:5: value.converter: value converter: Protobuf is not built yet"},
		{"header converter", good + "\nheader.converter=Nope", "c.properties:5: header.converter: expected org.apache"},
		{"address", strings.Replace(good, "localhost", "http://localhost/", 1), "c.properties:2: spy.address: expected a host name"},
		{"a role that the host does nothing about", good + "\nspy.store=/x.jks", "c.properties:5: spy.store: not built yet"},
		{"client override", good + "\nproducer.override.linger.ms=soon", "c.properties:5: producer.override.linger.ms: Invalid value soon for configuration producer.override.linger.ms: Not a number of type INT"},
		{"records elsewhere than their topics", good + "\nproducer.override.bootstrap.servers=h:1", "c.properties:5: producer.override.bootstrap.servers: warning: records go to these brokers"},
		{"another connector's group", good + "\nconsumer.override.group.id=connect-other", "c.properties:5: consumer.override.group.id: expected a group of the connector's own, found that of connector other"},
		{"exactly once", good + "\nexactly.once.support=required", "c.properties:5: exactly.once.support: expected requested, found required: exactly-once needs a worker's file"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := text(b.checker.Check(context.Background(), b.connector(t, strings.Split(c.text, "\n")...)))
			if c.want == "" && got != "" || !strings.HasPrefix(got, c.want) {
				t.Errorf("expected %q, found %q", c.want, got)
			}
		})
	}
}

func TestTrace(t *testing.T) {
	fault := &wit.Fault{Kind: wit.FaultData, Message: "bad value", Detail: wit.Ptr("line 3")}
	got := trace(fmt.Errorf("feed a: %w", fault), "task c-0", "plugin p 1")
	want := "org.apache.kafka.connect.errors.DataException: feed a: bad value\n\tat task c-0\n\tat plugin p 1\n\tat line 3\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestNewTopic(t *testing.T) {
	b := newBench(t)
	c := b.connector(t, "topic.creation.groups=big,eu", "topic.creation.default.partitions=1", "topic.creation.default.cleanup.policy=compact",
		"topic.creation.big.include=big.*", "topic.creation.big.exclude=big.eu", "topic.creation.big.partitions=12", "topic.creation.eu.include=.*eu",
		"topic.creation.eu.replication.factor=2")
	for name, want := range map[string]kafka.Topic{
		"big.us": {Partitions: 12, Configs: map[string]string{}}, "big.eu": {Replication: 2, Configs: map[string]string{}},
		"small": {Partitions: 1, Configs: map[string]string{"cleanup.policy": "compact"}},
	} {
		want.Name = name
		if diff := cmp.Diff(want, newTopic(c, name)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestStatesOfAConnectorThatCannotStart(t *testing.T) {
	b := newBench(t)
	c := b.connector(t, "name=c", "connector.class=Nope")
	h := New(b.options, []*config.Connector{c})
	if s, _ := h.Status("c"); s.Connector.State != Unassigned || s.Type != "unknown" {
		t.Errorf("expected UNASSIGNED before the start, found %v", s)
	}
	err := h.RunOnce(context.Background())
	if s, _ := h.Status("c"); s.Connector.State != Failed || !strings.HasPrefix(s.Connector.Trace, "org.apache.kafka.connect.errors.ConnectException: ") {
		t.Errorf("expected FAILED with a trace, found %v", s)
	}
	if err == nil || !strings.HasPrefix(err.Error(), "connector c: FAILED: no plugin has it, and there are none: this program was built without plugins") {
		t.Errorf("found %v", err)
	}
}
