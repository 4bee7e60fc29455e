package check_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/check/checktest"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/resolved/resolvedtest"
)

// A check accepts version ranges, and reports versions that are malformed or have no effect.
func TestCheckVersions(t *testing.T) {
	b := checktest.WithSpy(t)
	const good = "connector.class=test.SpySource\nspy.address=localhost\nspy.port=80\nspy.scheme=http"
	const converter = good + "\nvalue.converter=JsonConverter\nvalue.converter.plugin.version="
	for text, want := range map[string]string{
		good + "\nconnector.plugin.version=[0.1,99)": "",
		good + "\nconnector.plugin.version=[1": "c.properties:5: connector.plugin.version: source test.SpySource: " +
			"version: Unbounded range: [1",
		converter + "[4,5)": "",
		converter + "7.9.0": "c.properties:6: value.converter.plugin.version: warning: has no effect: the only version " +
			"of converters is 4.3.1-culvert-",
		converter + "(4)": "c.properties:6: value.converter.plugin.version: Single version must be surrounded by []: (4)",
	} {
		got := resolvedtest.Lines(b.Checker.Check(t.Context(), b.Connector(t, strings.Split(text, "\n")...)))
		assert.True(t, strings.HasPrefix(got, want) && (want != "" || got == ""),
			"%s: expected %q, found %q", text, want, got)
	}
}

// A check reports the problems of a connector at their lines.
func TestCheck(t *testing.T) {
	b := checktest.WithSpy(t)
	b.Checker.Connectors = []*resolved.Connector{b.Connector(t, "name=other")}
	const good = "connector.class=test.SpySource\nspy.address=localhost\nspy.port=80\nspy.scheme=http"
	cases := []struct{ name, text, want string }{
		{name: "no problem", text: good},
		{name: "no class", text: "name=x",
			want: "c.properties:1: connector.class: Missing required configuration \"connector.class\" which has no " +
				"default value"},
		{name: "misspelt class", text: "name=x\nconector.class=test.SpySource",
			want: "c.properties:2: conector.class: unknown setting; the nearest known one is connector.class"},
		{name: "unknown class", text: "name=x\nconnector.class=Nope",
			want: "c.properties:2: connector.class: no plugin has the source or sink Nope; available: test.SpySource"},
		{name: "unknown version", text: good + "\nconnector.plugin.version=9\ntasks.max=none",
			want: "c.properties:5: connector.plugin.version: source test.SpySource: expected version 9, found "},
		{name: "another error next to an unknown version", text: good + "\ntasks.max=none\nconnector.plugin.version=9",
			want: "c.properties:5: tasks.max: Invalid value none for configuration tasks.max: Not a number of type " +
				"INT"},
		{name: "short form of the class", text: strings.Replace(good, "test.SpySource", "SpySource", 1)},
		{name: "unknown transform", text: good + "\ntransforms=a\ntransforms.a.type=Nope",
			want: "c.properties:6: transforms.a.type: no plugins are loaded"},
		{name: "unknown converter", text: good + "\nvalue.converter=Nope", want: "c.properties:5: value.converter: "},
		{name: "Avro", text: good + "\nvalue.converter=io.confluent.connect.avro.AvroConverter",
			want: "c.properties:5: value.converter.schema.registry.url: Missing required configuration " +
				`"schema.registry.url"`},
		{name: "Protobuf", text: good + "\nvalue.converter=io.confluent.connect.protobuf.ProtobufConverter",
			want: "c.properties:5: value.converter: value converter: Protobuf is not built yet"},
		{name: "misspelt setting of a converter",
			text: good + "\nvalue.converter=JsonConverter\nvalue.converter.schema.enable=false",
			want: "c.properties:6: value.converter.schema.enable: warning: unknown setting; the nearest known one is " +
				"schemas.enable"},
		{name: "setting of a converter that the file does not name",
			text: good + "\nvalue.converter.schemas.enable=false",
			want: "c.properties:5: value.converter.schemas.enable: warning: has no effect, as in Kafka Connect: this " +
				"file names no value.converter"},
		{name: "wrong value of a converter's setting",
			text: good + "\nkey.converter=JsonConverter\nkey.converter.schemas.enable=no",
			want: "c.properties:6: key.converter.schemas.enable: Invalid value no for configuration schemas.enable: " +
				"Expected value to be either true or false"},
		{name: "value that only the converter rejects",
			text: good + "\nvalue.converter=StringConverter\nvalue.converter.converter.encoding=x",
			want: "c.properties:5: value.converter: Invalid value x for configuration converter.encoding: expected " +
				"UTF-8"},
		{name: "header converter", text: good + "\nheader.converter=Nope",
			want: "c.properties:5: header.converter: header converter: " +
				`unknown class "Nope"`},
		{name: "address", text: strings.Replace(good, "localhost", "http://localhost/", 1),
			want: "c.properties:2: spy.address: expected a host name"},
		{name: "unknown role", text: good + "\nspy.store=/x.jks",
			want: "c.properties:5: spy.store: it has the role store.location, which this version does not know"},
		{name: "client override", text: good + "\nproducer.override.linger.ms=soon",
			want: "c.properties:5: producer.override.linger.ms: Invalid value soon for configuration " +
				"producer.override.linger.ms: Not a number of type INT"},
		{name: "records on other brokers than their topics", text: good + "\nproducer.override.bootstrap.servers=h:1",
			want: "c.properties:5: producer.override.bootstrap.servers: warning: records are written to these brokers"},
		{name: "group of a source, which uses none", text: good + "\nconsumer.override.group.id=connect-other"},
		{name: "exactly once", text: good + "\nexactly.once.support=required",
			want: "c.properties:5: exactly.once.support: expected requested, found required: exactly-once requires a " +
				"worker's file"},
		{name: "invalid exactly once", text: good + "\nexactly.once.support=invalid",
			want: "c.properties:5: exactly.once.support: Invalid value invalid for configuration " +
				"exactly.once.support: String must be one of: requested, required"},
		{name: "invalid boundary", text: good + "\ntransaction.boundary=invalid",
			want: "c.properties:5: transaction.boundary: Invalid value invalid for configuration " +
				"transaction.boundary: String must be one of: poll, interval, connector"},
	}
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			got := resolvedtest.Lines(b.Checker.Check(context.Background(),
				b.Connector(t, strings.Split(test.text, "\n")...)))
			assert.True(t, (test.want != "" || got == "") && strings.HasPrefix(got, test.want),
				"expected %q, found %q", test.want, got)
		})
	}
}

// A sink in the consumer group of the workers would stop itself and the workers. It is rejected, as in Kafka Connect.
func TestSinkInTheWorkersGroupIsRejected(t *testing.T) {
	b := checktest.WithSpy(t)
	var problems config.Problems
	b.Checker.Worker, problems = config.NewWorker("w",
		[]config.Entry{
			config.NewEntry("bootstrap.servers", "h:1", "w", 1),
			config.NewEntry("group.id", "connect-workers", "w", 2),
		}, nil, nil)
	require.NoError(t, problems.Err())
	const good = "connector.class=test.SpySource\nspy.address=localhost\nspy.port=80\nspy.scheme=http"
	for text, want := range map[string]string{
		good + "\nconsumer.override.group.id= connect-workers": "c.properties:5: consumer.override.group.id: " +
			"Consumer group connect-workers conflicts with Connect worker group connect-workers",
		good + "\nconsumer.override.group.id=workers": "",
		good: "",
	} {
		got := resolvedtest.Lines(b.Checker.Check(t.Context(), b.Connector(t, strings.Split(text, "\n")...)))
		assert.True(t, strings.HasPrefix(got, want) && (want != "" || got == ""),
			"%s: expected %q, found %q", text, want, got)
	}
}

// Two sinks must not have the same consumer group, by name or by default: each would miss records that the other one
// has read. Of two files the later one is rejected; a change is compared with all connectors, and a sink that runs with
// a group keeps it.
func TestSinksHaveGroupsOfTheirOwn(t *testing.T) {
	b := checktest.New(t, map[string][]byte{
		"sink": guesttest.Bytes(t, "../../plugins/odata-sink"),
		"spy":  checktest.Spy(t),
	})
	sink := func(name string, lines ...string) *resolved.Connector {
		return b.Connector(t, append([]string{"name=" + name, "connector.class=ODataSink"}, lines...)...)
	}
	const shared = "consumer.override.group.id=shared"
	first := sink("a", shared)
	last := sink("z", "consumer.override.group.id= shared") // the space is insignificant
	otherBrokers := sink("otherBrokers", shared, "consumer.override.bootstrap.servers=other:1")
	unnamed := sink("unnamed")
	source := b.Connector(t, "name=source", "connector.class=test.SpySource", shared)
	namesDefault := sink("a", "consumer.override.group.id=connect-unnamed")
	namesOwnDefault := sink("unnamed", "consumer.override.group.id=connect-unnamed")
	groupNamer := sink("namer", "consumer.override.group.id=connect-owner")
	groupOwner := sink("owner")
	installed := []*resolved.Connector{first, otherBrokers, unnamed, source, groupNamer, groupOwner, last}
	for name, test := range map[string]struct {
		connector *resolved.Connector
		want      []string              // names of the connectors with which it conflicts
		running   []*resolved.Connector // before the change
	}{
		"first of two files":                 {connector: first},
		"second of two files":                {connector: last, want: []string{"a"}},
		"new connector":                      {connector: sink("m", shared), want: []string{"a", "z"}},
		"changed connector":                  {connector: sink("unnamed", shared), want: []string{"a", "z"}},
		"names the default group of another": {connector: namesDefault, want: []string{"unnamed"}},
		"names its own default group":        {connector: namesOwnDefault},
		"names no group":                     {connector: unnamed},
		"names the group of a source":        {connector: sink("m", "consumer.override.group.id=connect-source")},
		"same group on other brokers":        {connector: otherBrokers},
		"source":                             {connector: source},
		"changes to a running group": {connector: first, want: []string{"z"},
			running: []*resolved.Connector{sink("a"), last}},
		"new before a running one": {connector: first, want: []string{"z"}, running: []*resolved.Connector{last}},
		"runs with the group":      {connector: last, running: []*resolved.Connector{sink("a"), last}},
		"both run with the group": {connector: last, want: []string{"a"},
			running: []*resolved.Connector{first, last}},
		"both change to the group":         {connector: first, running: []*resolved.Connector{sink("a"), sink("z")}},
		"default group that another names": {connector: groupOwner},
		"names that default group":         {connector: groupNamer, want: []string{"owner"}},
		"default group in which another runs": {connector: groupOwner, want: []string{"namer"},
			running: []*resolved.Connector{groupNamer}},
		"runs in the default group of another": {connector: groupNamer, running: []*resolved.Connector{groupNamer}},
		"group that runs on other brokers":     {connector: otherBrokers, running: []*resolved.Connector{first, last}},
		"changes to the brokers of others":     {connector: sink("otherBrokers", shared), want: []string{"a", "z"}},
	} {
		t.Run(name, func(t *testing.T) {
			b.Checker.Connectors = installed
			b.Checker.Running = test.running
			problems := resolvedtest.Lines(b.Checker.Check(t.Context(), test.connector))
			for _, other := range installed {
				conflict := "no other sink uses, found the group of connector " + other.Name + ": "
				assert.True(t, strings.Contains(problems, conflict) == slices.Contains(test.want, other.Name),
					"expected conflicts with %v, found %s", test.want, problems)
			}
		})
	}
}

// A sink whose default group is the group of the workers is rejected too.
func TestSinkWithTheWorkersGroupByDefaultIsRejected(t *testing.T) {
	b := checktest.New(t, map[string][]byte{
		"sink": guesttest.Bytes(t, "../../plugins/odata-sink"),
		"spy":  checktest.Spy(t),
	})
	var problems config.Problems
	b.Checker.Worker, problems = config.NewWorker("w", []config.Entry{
		config.NewEntry("bootstrap.servers", "h:1", "w", 1), config.NewEntry("group.id", "connect-workers", "w", 2),
	}, nil, nil)
	require.NoError(t, problems.Err())
	const conflict = "name: Consumer group for sink connector named workers conflicts with Connect worker group " +
		"connect-workers"
	for text, isConflict := range map[string]bool{
		"connector.class=ODataSink\nname= workers":                                       true,
		"connector.class=ODataSink\nname=worker":                                         false,
		"connector.class=ODataSink\nname=workers\nconsumer.override.group.id=of-its-own": false,
		"connector.class=ODataSink\nname=workers\nconsumer.override.group.id=":           true,
		"connector.class=test.SpySource\nname=workers":                                   false,
	} {
		got := resolvedtest.Lines(b.Checker.Check(t.Context(), b.Connector(t, strings.Split(text, "\n")...)))
		assert.True(t, strings.Contains(got, "c.properties:2: "+conflict) == isConflict &&
			strings.Contains(got, "conflicts") == isConflict,
			"%s: expected a conflict %t, found %s", text, isConflict, got)
	}
}
