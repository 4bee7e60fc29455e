package operate

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/check"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// TestUpstreamValidation has the cases of Kafka's ConnectorValidationIntegrationTest by their names: the number of
// errors that a validation finds, with one worker for all of them.
func TestUpstreamValidation(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 1})
	f := p.StartWorkerWith(e2etest.Plugins(t, "odata-sink", "smt"), "conf", "log.level=error")
	f.AwaitChangeable()
	for _, c := range upstreamValidations(address) {
		t.Run(c.name, func(t *testing.T) {
			settings := maps.Clone(c.base)
			for key, value := range c.set {
				settings[key] = value
				if value == "-" {
					delete(settings, key)
				}
			}
			answer := f.MustCall(200, "PUT", "/connector-plugins/"+settings["connector.class"]+"/config/validate",
				e2etest.AsJSON(t, settings))
			v := e2etest.Decode[check.Validation](t, answer)
			var invalid, problems []string
			for _, setting := range v.Configs {
				if len(setting.Value.Errors) > 0 {
					invalid = append(invalid, setting.Value.Name)
					problems = append(problems, setting.Value.Errors...)
				}
			}
			assert.True(t, v.ErrorCount == c.errors && len(problems) == c.errors &&
				strings.Join(invalid, " ") == c.invalid,
				"expected %d errors at %q, found %d at %q: %q", c.errors, c.invalid, v.ErrorCount, invalid, problems)
		})
	}
}

// upstreamValidation is a configuration, and the errors that a validation finds in it.
type upstreamValidation struct {
	name    string
	base    map[string]string
	set     map[string]string // changed settings; "-" removes one
	errors  int
	invalid string // the settings with errors
}

// upstreamValidations returns Kafka's cases for connectors of a service at an address.
func upstreamValidations(address string) []upstreamValidation {
	// A topic that a sink's settings name must be among its topics; these cases test other settings.
	source := e2etest.SettingsOf(e2etest.Source("source", address, "Customers"))
	sink := e2etest.SettingsOf(e2etest.Sink("sink", address, "t1", "OrderCopies"))
	const filter, tombstone = "org.apache.kafka.connect.transforms.Filter",
		"org.apache.kafka.connect.transforms.predicates.RecordIsTombstone"
	return []upstreamValidation{
		{name: "NothingIsWrongWithTheSink", base: sink, errors: 0},
		{name: "NothingIsWrongWithTheSource", base: source, errors: 0},
		{name: "testSinkConnectorHasBothTopicsListAndTopicsRegex", base: sink,
			set: map[string]string{"topics.regex": "r.*"}, errors: 2, invalid: "topics topics.regex"},
		{name: "testSinkConnectorDeadLetterQueueTopicInTopicsList", base: sink,
			set: map[string]string{"errors.deadletterqueue.topic.name": "t1"}, errors: 1,
			invalid: "errors.deadletterqueue.topic.name"},
		{name: "testSinkConnectorDeadLetterQueueTopicMatchesTopicsRegex", base: sink,
			set: map[string]string{"topics": "-", "topics.regex": "t.*",
				"errors.deadletterqueue.topic.name": "t.oh"}, errors: 1, invalid: "errors.deadletterqueue.topic.name"},
		{name: "testSourceConnectorHasDuplicateTopicCreationGroups", base: source, set: map[string]string{
			"topic.creation.groups": "g1, g2, g1", "topic.creation.g1.include": "a", "topic.creation.g2.include": "b",
			"topic.creation.default.partitions": "1", "topic.creation.default.replication.factor": "1"}, errors: 1,
			invalid: "topic.creation.groups"},
		{name: "testConnectorHasDuplicateTransformations", base: sink, set: map[string]string{"transforms": "t, t",
			"transforms.t.type": filter}, errors: 1, invalid: "transforms"},
		{name: "testConnectorHasMissingTransformClass", base: sink, set: map[string]string{"transforms": "t",
			"transforms.t.type": "WheresTheFruit"}, errors: 1, invalid: "transforms.t.type"},
		{name: "testConnectorHasInvalidTransformClass", base: sink, set: map[string]string{"transforms": "t",
			"transforms.t.type": "ODataSink"}, errors: 1, invalid: "transforms.t.type"},
		{name: "testConnectorHasNegationForUndefinedPredicate", base: sink, set: map[string]string{"transforms": "t",
			"transforms.t.type": filter, "transforms.t.negate": "true"}, errors: 1, invalid: "transforms.t.negate"},
		{name: "testConnectorHasDuplicatePredicates", base: sink, set: map[string]string{"predicates": "p, p",
			"predicates.p.type": tombstone}, errors: 1, invalid: "predicates"},
		{name: "testConnectorHasMissingPredicateClass", base: sink, set: map[string]string{"predicates": "p",
			"predicates.p.type": "WheresTheFruit"}, errors: 1, invalid: "predicates.p.type"},
		{name: "testConnectorHasInvalidPredicateClass", base: sink, set: map[string]string{"predicates": "p",
			"predicates.p.type": "ODataSink"}, errors: 1, invalid: "predicates.p.type"},
		{name: "testConnectorHasMissingConverterClass", base: sink,
			set: map[string]string{"key.converter": "WheresTheFruit"}, errors: 1, invalid: "key.converter"},
		{name: "testConnectorHasInvalidConverterClassType", base: sink,
			set: map[string]string{"key.converter": "ODataSink"}, errors: 1, invalid: "key.converter"},
		{name: "testConnectorHasMisconfiguredConverter", base: sink, set: map[string]string{
			"key.converter":                "org.apache.kafka.connect.json.JsonConverter",
			"key.converter.schemas.enable": "notaboolean"}, errors: 1, invalid: "key.converter.schemas.enable"},
		{name: "testConnectorHasMissingHeaderConverterClass", base: sink,
			set: map[string]string{"header.converter": "WheresTheFruit"}, errors: 1, invalid: "header.converter"},
		{name: "testConnectorHasInvalidHeaderConverterClassType", base: sink,
			set: map[string]string{"header.converter": "ODataSink"}, errors: 1, invalid: "header.converter"},
		{name: "testConnectorHasMisconfiguredHeaderConverter", base: sink, set: map[string]string{
			"header.converter":                "org.apache.kafka.connect.json.JsonConverter",
			"header.converter.schemas.enable": "notaboolean"}, errors: 1, invalid: "header.converter.schemas.enable"},
	}
}

// TestUpstreamReferences has the cases that Kafka 4.4 added to ConnectorValidationIntegrationTest: the value behind a
// reference to a config provider is in no response, neither among the values nor in the errors.
func TestUpstreamReferences(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 1})
	f := p.StartWorker("conf", "config.providers=file",
		"config.providers.file.class=org.apache.kafka.common.config.provider.FileConfigProvider",
		"config.providers.file.param.allowed.paths="+p.Dir)
	f.AwaitReady()
	file := e2etest.WriteFile(t, p.Dir, "values.properties", []byte("text=behind-the-reference\nnumber=-9999\n"))
	reference := func(provider, key string) string { return "${" + provider + ":" + file + ":" + key + "}" }
	for name, c := range map[string]struct {
		set     map[string]string // changed settings; "" removes one
		setting string            // the setting that is shown with its reference; "" means no setting
		status  int
		errors  int
	}{
		"testValidationResponseDoesNotContainResolvedValue": {
			set:     map[string]string{"name": reference("file", "text")},
			setting: "name",
			status:  200,
		},
		"testValidationErrorMessagesDoNotContainResolvedValueOnTypeMismatch": {
			set:     map[string]string{"tasks.max": reference("file", "text")},
			setting: "tasks.max",
			status:  200,
			errors:  1,
		},
		"testValidationErrorMessagesDoNotContainResolvedValueOnValidatorRejection": {
			set:     map[string]string{"tasks.max": reference("file", "number")},
			setting: "tasks.max",
			status:  200,
			errors:  1,
		},
		"testConnectorDeclaredConfigProviderDoesNotContainResolvedValue": {
			set: map[string]string{"config.providers": "own",
				"config.providers.own.class":  "org.apache.kafka.common.config.provider.FileConfigProvider",
				"producer.override.client.id": reference("own", "text")},
			status: 200,
		},
		"testMissingConnectorClassErrorDoesNotContainResolvedValue": {
			set:    map[string]string{"connector.class": "", "name": reference("file", "text")},
			status: 500,
		},
	} {
		t.Run(name, func(t *testing.T) {
			settings := e2etest.SettingsOf(e2etest.Source("source", address, "Customers"))
			for key, value := range c.set {
				settings[key] = value
				if value == "" {
					delete(settings, key)
				}
			}
			answer := f.MustCall(c.status, "PUT", "/connector-plugins/ODataSource/config/validate",
				e2etest.AsJSON(t, settings))
			_, made := f.Call("PUT", "/connectors/source/config", e2etest.AsJSON(t, settings))
			for _, response := range []string{answer, made} {
				assert.True(t, !strings.Contains(response, "behind-the-reference") &&
					!strings.Contains(response, "-9999"), "expected no value of a reference, found %s", response)
			}
			if c.setting == "" {
				return
			}
			v := e2etest.Decode[check.Validation](t, answer)
			i := slices.IndexFunc(v.Configs, func(s check.Validated) bool { return s.Value.Name == c.setting })
			require.True(t, i >= 0, "expected the setting %s, found %s", c.setting, answer)
			value := v.Configs[i].Value
			assert.True(t, value.Value != nil && *value.Value == c.set[c.setting] && len(value.Errors) == c.errors &&
				v.ErrorCount == c.errors, "expected the reference %s and %d errors, found %+v and %d errors",
				c.set[c.setting], c.errors, value, v.ErrorCount)
		})
	}
}

// TestUpstreamOffsets has cases of Kafka's OffsetsApiIntegrationTest: a source created as STOPPED with its own offsets
// topic, and a sink with its own group that has another member.
func TestUpstreamOffsets(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 10})
	f := p.StartWorkerWith(e2etest.Plugins(t, "odata-sink"), "conf")
	f.AwaitChangeable()
	create := func(name, state string, settings map[string]string) {
		f.MustCall(201, "POST", "/connectors", e2etest.AsJSON(t, map[string]any{"name": name, "config": settings,
			"initial_state": state}))
	}
	reads := e2etest.SettingsOf(append(e2etest.Source("reads", address, "Customers"),
		"offsets.storage.topic=own-offsets"))
	create("reads", "STOPPED", reads)
	f.Await("reads", "is stopped", e2etest.HasState(connect.Stopped, 0))
	base := strings.TrimSuffix(odatatest.NorthwindPath, "/")
	newOffsets := `{"offsets":[{"partition":{"service":"` + base + `","entityset":"Customers"},"offset":{"url":"` +
		base + `/Customers?$skip=81"}}]}`
	f.MustCall(200, "PATCH", "/connectors/reads/offsets", newOffsets)
	f.MustCall(200, "GET", "/connectors/reads/offsets", "", "$skip=81")
	f.MustCall(202, "PUT", "/connectors/reads/resume", "")
	f.AwaitCall(200, "GET", "/connectors/reads/topics", "", "Customers")
	f.AwaitRecords(p, "Customers", 10)
	f.Steer("reads", "stop")
	f.MustCall(200, "DELETE", "/connectors/reads/offsets", "")
	f.MustCall(200, "DELETE", "/connectors/reads/offsets", "")
	f.MustAnswer(200, "GET", "/connectors/reads/offsets", "", `{"offsets":[]}`)

	// A sink that never ran starts at the offset that was set.
	create("early", "STOPPED", e2etest.SettingsOf(append(e2etest.Sink("early", address, "Customers", "OrderCopies"),
		"errors.tolerance=all")))
	f.Await("early", "is stopped", e2etest.HasState(connect.Stopped, 0))
	f.MustAnswer(200, "GET", "/connectors/early/offsets", "", `{"offsets":[]}`)
	f.MustCall(200, "PATCH", "/connectors/early/offsets",
		`{"offsets":[{"partition":{"kafka_topic":"Customers","kafka_partition":0},"offset":{"kafka_offset":8}}]}`)
	f.MustCall(202, "PUT", "/connectors/early/resume", "")
	f.AwaitCall(200, "GET", "/connectors/early/offsets", "", `"kafka_offset":10`)
	f.Eventually("the two records that were left", func() bool {
		return strings.Contains(f.Metrics(),
			`kafka_connect_sink_task_sink_record_read_total{connector="early",task="0"} 2`)
	})
	f.Steer("early", "stop")
	f.MustCall(200, "DELETE", "/connectors/early/offsets", "")
	f.MustCall(204, "DELETE", "/connectors/early", "")

	create("writes", "RUNNING", e2etest.SettingsOf(append(e2etest.Sink("writes", address, "Customers",
		"OrderCopies"),
		"consumer.override.group.id=mine", "errors.tolerance=all")))
	f.AwaitCall(200, "GET", "/connectors/writes/offsets", "", `"kafka_offset":10`)
	f.Steer("writes", "stop")
	broker := strings.Fields(f.AwaitStderr(`use Apache Kafka in production" address=`))[0]
	otherMember := e2etest.NewClient(t, broker, kgo.ConsumerGroup("mine"), kgo.ConsumeTopics("Customers"),
		kgo.DisableAutoCommit())
	offsets := `{"offsets":[{"partition":{"kafka_topic":"Customers","kafka_partition":0},"offset":{"kafka_offset":4}}]}`
	for method, body := range map[string]string{"PATCH": offsets, "DELETE": ""} {
		f.Eventually("the group to have a member: "+method, func() bool {
			status, answer := f.Call(method, "/connectors/writes/offsets", body)
			return status == 500 && strings.Contains(answer, "have not stopped completely")
		})
	}
	otherMember.Close()
	f.AwaitCall(200, "PATCH", "/connectors/writes/offsets", offsets)
	f.MustCall(200, "GET", "/connectors/writes/offsets", "", `"kafka_offset":4`)
	f.MustCall(200, "DELETE", "/connectors/writes/offsets", "")
	f.MustAnswer(200, "GET", "/connectors/writes/offsets", "", `{"offsets":[]}`)
}

// TestUpstreamOffsetsElsewhere has the cases of connectors whose clients use another cluster than the worker's: their
// offsets are shown, altered and reset there.
func TestUpstreamOffsetsElsewhere(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 10})
	broker := e2etest.StartEmbeddedBroker(t).Addr()
	f := p.StartWorkerWith(e2etest.Plugins(t, "odata-sink"), "conf", "offset.flush.interval.ms=200")
	f.AwaitReady()
	elsewhere := func(lines []string, clients ...string) string {
		for _, client := range clients {
			lines = append(lines, client+".override.bootstrap.servers="+broker)
		}
		return e2etest.AsJSON(t, e2etest.SettingsOf(lines))
	}
	base := strings.TrimSuffix(odatatest.NorthwindPath, "/")
	for _, c := range []struct {
		name    string
		config  string
		initial string // a part of the offsets after a run
		altered string // a part of the altered offsets
		body    string // the altered offsets
	}{
		{
			name: "reads",
			config: elsewhere(append(e2etest.Source("reads", address, "Customers"),
				"offsets.storage.topic=own-offsets"),
				"producer", "consumer", "admin"),
			initial: `"entityset":"Customers"`,
			altered: "$skip=4",
			body: `{"partition":{"service":"` + base + `","entityset":"Customers"},"offset":{"url":"` + base +
				`/Customers?$skip=4"}}`,
		},
		{
			name: "writes",
			config: elsewhere(append(e2etest.Sink("writes", address, "Customers", "OrderCopies"),
				"errors.tolerance=all"),
				"consumer", "admin"),
			initial: `"kafka_offset":91`,
			altered: `"kafka_offset":4`,
			body:    `{"partition":{"kafka_topic":"Customers","kafka_partition":0},"offset":{"kafka_offset":4}}`,
		},
	} {
		path := "/connectors/" + c.name
		f.MustCall(201, "PUT", path+"/config", c.config)
		awaitOffsets := func(want string) {
			t.Helper()
			f.Eventually(c.name+": "+want, func() bool {
				_, answer := f.Call("GET", path+"/offsets", "")
				return strings.Contains(answer, want)
			})
		}
		f.Await(c.name, "runs", e2etest.IsRunning)
		awaitOffsets(c.initial)
		f.MustCall(204, "PUT", path+"/stop", "")
		f.Await(c.name, "is stopped", e2etest.HasState(connect.Stopped, 0))
		f.MustCall(200, "PATCH", path+"/offsets", `{"offsets":[`+c.body+`]}`)
		awaitOffsets(c.altered)
		f.MustCall(200, "DELETE", path+"/offsets", "")
		awaitOffsets(`{"offsets":[]}`)
	}
	if ends := e2etest.EndOffsets(t, broker, "own-offsets"); len(ends) == 0 {
		t.Error("expected the offsets of the source in a topic of the other cluster, found no such topic")
	}
}

// A service that accepts a sink's requests but never responds delays no other connector, neither when the sink starts
// nor when it stops (Kafka Connect's BlockingConnectorTest).
func TestBlockedSinks(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 10})
	requests := make(chan struct{}, 1)
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case requests <- struct{}{}:
		default:
		}
		<-r.Context().Done()
	}))
	t.Cleanup(silent.Close)
	f := p.StartWorkerWith(e2etest.Plugins(t, "odata-sink"), "conf")
	f.AwaitReady()
	checkOtherRuns := func(name string) {
		t.Helper()
		settings := e2etest.SettingsOf(e2etest.Source(name, address, "Customers"))
		settings["sap.odata#00.topic"] = name
		f.MustCall(201, "PUT", "/connectors/"+name+"/config", e2etest.AsJSON(t, settings))
		f.Await(name, "runs", e2etest.IsRunning)
		f.MustCall(200, "GET", "/health", "")
	}
	checkOtherRuns("first")
	f.Eventually("the topic that it writes", func() bool { // there is no topic to read before
		_, answer := f.Call("GET", "/connectors/first/topics", "")
		return answer == `{"first":{"topics":["first"]}}`
	})
	f.AwaitRecords(p, "first", 91)
	f.MustCall(201, "PUT", "/connectors/blocked/config", e2etest.AsJSON(t, e2etest.SettingsOf(e2etest.Sink("blocked",
		strings.TrimPrefix(silent.URL, "http://"), "first", "OrderCopies"))))
	<-requests
	checkOtherRuns("started")
	f.MustCall(204, "PUT", "/connectors/blocked/stop", "")
	checkOtherRuns("stopping")
	f.Await("blocked", "is stopped", e2etest.HasState(connect.Stopped, 0))
	f.MustCall(202, "PUT", "/connectors/blocked/resume", "")
	<-requests
	f.MustCall(204, "DELETE", "/connectors/blocked", "")
	checkOtherRuns("deleted")
}
