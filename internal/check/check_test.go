package check_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/check/checktest"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
)

func TestCheck(t *testing.T) {
	b := checktest.WithSpy(t)
	b.Checker.Connectors = []*config.Connector{b.Connector(t, "name=other")}
	const good = "connector.class=test.SpySource\nspy.address=localhost\nspy.port=80\nspy.scheme=http"
	cases := []struct{ name, text, want string }{
		{"no problem", good, ""},
		{"no class", "name=x",
			`c.properties:1: connector.class: Missing required configuration "connector.class" which has no default value`},
		{"misspelt class", "name=x\nconector.class=test.SpySource",
			"c.properties:2: conector.class: unknown setting; the nearest known one is connector.class"},
		{"unknown class", "name=x\nconnector.class=Nope",
			"c.properties:2: connector.class: no plugin has the source or sink Nope; available: test.SpySource"},
		{"unknown version", good + "\nconnector.plugin.version=9\ntasks.max=none",
			"c.properties:5: connector.plugin.version: source test.SpySource: expected version 9, found "},
		{"another error next to an unknown version", good + "\ntasks.max=none\nconnector.plugin.version=9",
			"c.properties:5: tasks.max: Invalid value none for configuration tasks.max: Not a number of type INT"},
		{"short form of the class", strings.Replace(good, "test.SpySource", "SpySource", 1), ""},
		{"unknown transform", good + "\ntransforms=a\ntransforms.a.type=Nope",
			"c.properties:6: transforms.a.type: no plugins are loaded"},
		{"unknown converter", good + "\nvalue.converter=Nope", "c.properties:5: value.converter: "},
		{"Avro", good + "\nvalue.converter=io.confluent.connect.avro.AvroConverter",
			`c.properties:5: value.converter.schema.registry.url: Missing required configuration "schema.registry.url"`},
		{"Protobuf", good + "\nvalue.converter=io.confluent.connect.protobuf.ProtobufConverter",
			"c.properties:5: value.converter: value converter: Protobuf is not built yet"},
		{"misspelt setting of a converter",
			good + "\nvalue.converter=JsonConverter\nvalue.converter.schema.enable=false",
			"c.properties:6: value.converter.schema.enable: warning: unknown setting; the nearest " +
				"known one is schemas.enable"},
		{"setting of a converter that the file does not name", good + "\nvalue.converter.schemas.enable=false",
			"c.properties:5: value.converter.schemas.enable: warning: has no effect, as in Kafka Connect: this file " +
				"names no value.converter"},
		{"wrong value of a converter's setting",
			good + "\nkey.converter=JsonConverter\nkey.converter.schemas.enable=no",
			"c.properties:6: key.converter.schemas.enable: Invalid value no for configuration " +
				"schemas.enable: Expected value to be either true or false"},
		{"value that only the converter rejects",
			good + "\nvalue.converter=StringConverter\nvalue.converter.converter.encoding=x",
			"c.properties:5: value.converter: Invalid value x for configuration converter.encoding: expected UTF-8"},
		{"header converter", good + "\nheader.converter=Nope", "c.properties:5: header.converter: header converter: " +
			`unknown class "Nope"`},
		{"address", strings.Replace(good, "localhost", "http://localhost/", 1),
			"c.properties:2: spy.address: expected a host name"},
		{"unsupported role", good + "\nspy.store=/x.jks",
			"c.properties:5: spy.store: not supported yet"},
		{"client override", good + "\nproducer.override.linger.ms=soon", "c.properties:5: " +
			"producer.override.linger.ms: Invalid value soon for configuration producer.override.linger.ms: Not a " +
			"number of type INT"},
		{"records on other brokers than their topics", good + "\nproducer.override.bootstrap.servers=h:1",
			"c.properties:5: producer.override.bootstrap.servers: warning: records are written to these brokers"},
		{"group of a source, which uses none", good + "\nconsumer.override.group.id=connect-other",
			""},
		{"exactly once", good + "\nexactly.once.support=required", "c.properties:5: exactly.once.support: expected " +
			"requested, found required: exactly-once requires a worker's file"},
		{"invalid exactly once", good + "\nexactly.once.support=invalid", "c.properties:5: exactly.once.support: " +
			"Invalid value invalid for configuration exactly.once.support: String must be one of: requested, required"},
		{"invalid boundary", good + "\ntransaction.boundary=invalid", "c.properties:5: transaction.boundary: Invalid " +
			"value invalid for configuration transaction.boundary: String must be one of: poll, interval, connector"},
	}
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			got := checktest.Text(b.Checker.Check(context.Background(),
				b.Connector(t, strings.Split(test.text, "\n")...)))
			if (test.want == "" && got != "") || !strings.HasPrefix(got, test.want) {
				t.Errorf("expected %q, found %q", test.want, got)
			}
		})
	}
}

// A sink in the consumer group of the workers would stop itself and the workers. It is rejected, as in Kafka Connect.
func TestSinkInTheWorkersGroupIsRejected(t *testing.T) {
	b := checktest.WithSpy(t)
	var problems config.Problems
	b.Checker.Worker, problems = config.NewWorker("w",
		[]config.Entry{config.NewEntry("bootstrap.servers", "h:1", "w", 1),
			config.NewEntry("group.id", "connect-workers", "w", 2)}, nil, nil)
	require.NoError(t, problems.Err())
	const good = "connector.class=test.SpySource\nspy.address=localhost\nspy.port=80\nspy.scheme=http"
	for text, want := range map[string]string{
		good + "\nconsumer.override.group.id= connect-workers": "c.properties:5: consumer.override.group.id: " +
			"Consumer group connect-workers conflicts with Connect worker group connect-workers",
		good + "\nconsumer.override.group.id=workers": "",
		good: "",
	} {
		got := checktest.Text(b.Checker.Check(t.Context(), b.Connector(t, strings.Split(text, "\n")...)))
		if !strings.HasPrefix(got, want) || (want == "" && got != "") {
			t.Errorf("%s: expected %q, found %q", text, want, got)
		}
	}
}

// Two sinks must not have the same consumer group, by name or by default: each would miss records that the other one
// has read. Of two files the later one is rejected; a change is compared with all connectors, and a sink that runs with
// a group keeps it.
func TestSinksHaveGroupsOfTheirOwn(t *testing.T) {
	b := checktest.New(t, map[string][]byte{"sink": guesttest.Bytes(t, "../../plugins/odata-sink"),
		"spy": checktest.Spy(t)})
	sink := func(name string, lines ...string) *config.Connector {
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
	installed := []*config.Connector{first, otherBrokers, unnamed, source, groupNamer, groupOwner, last}
	for name, test := range map[string]struct {
		connector *config.Connector
		want      []string            // names of the connectors with which it conflicts
		running   []*config.Connector // before the change
	}{
		"first of two files":                   {first, nil, nil},
		"second of two files":                  {last, []string{"a"}, nil},
		"new connector":                        {sink("m", shared), []string{"a", "z"}, nil},
		"changed connector":                    {sink("unnamed", shared), []string{"a", "z"}, nil},
		"names the default group of another":   {namesDefault, []string{"unnamed"}, nil},
		"names its own default group":          {namesOwnDefault, nil, nil},
		"names no group":                       {unnamed, nil, nil},
		"names the group of a source":          {sink("m", "consumer.override.group.id=connect-source"), nil, nil},
		"same group on other brokers":          {otherBrokers, nil, nil},
		"source":                               {source, nil, nil},
		"changes to a running group":           {first, []string{"z"}, []*config.Connector{sink("a"), last}},
		"new before a running one":             {first, []string{"z"}, []*config.Connector{last}},
		"runs with the group":                  {last, nil, []*config.Connector{sink("a"), last}},
		"both run with the group":              {last, []string{"a"}, []*config.Connector{first, last}},
		"both change to the group":             {first, nil, []*config.Connector{sink("a"), sink("z")}},
		"default group that another names":     {groupOwner, nil, nil},
		"names that default group":             {groupNamer, []string{"owner"}, nil},
		"default group in which another runs":  {groupOwner, []string{"namer"}, []*config.Connector{groupNamer}},
		"runs in the default group of another": {groupNamer, nil, []*config.Connector{groupNamer}},
		"group that runs on other brokers":     {otherBrokers, nil, []*config.Connector{first, last}},
	} {
		t.Run(name, func(t *testing.T) {
			b.Checker.Connectors = installed
			b.Checker.Running = test.running
			problems := checktest.Text(b.Checker.Check(t.Context(), test.connector))
			for _, other := range installed {
				conflict := "no other sink uses, found the group of connector " + other.Name + ": "
				if strings.Contains(problems, conflict) != slices.Contains(test.want, other.Name) {
					t.Errorf("expected conflicts with %v, found %s", test.want, problems)
				}
			}
		})
	}
}

// A sink whose default group is the group of the workers is rejected too.
func TestSinkWithTheWorkersGroupByDefaultIsRejected(t *testing.T) {
	b := checktest.New(t, map[string][]byte{"sink": guesttest.Bytes(t, "../../plugins/odata-sink"),
		"spy": checktest.Spy(t)})
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
		"connector.class=test.SpySource\nname=workers":                                   false,
	} {
		got := checktest.Text(b.Checker.Check(t.Context(), b.Connector(t, strings.Split(text, "\n")...)))
		if strings.Contains(got, "c.properties:2: "+conflict) != isConflict ||
			strings.Contains(got, "conflicts") != isConflict {
			t.Errorf("%s: expected a conflict %t, found %s", text, isConflict, got)
		}
	}
}
