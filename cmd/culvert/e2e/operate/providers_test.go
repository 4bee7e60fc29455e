package operate

import (
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/check"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/deadletters"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	secrets "github.com/culvert-project/culvert/internal/secret"
	"github.com/culvert-project/culvert/internal/tracetest"
)

// References in files are resolved whatever config.providers declares, also in validation. REST may use only the
// declared providers, also after the worker restarts with other declarations.
func TestReferencesThatRESTKeeps(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 10, User: "someone", Password: "geheim"})
	secrets := p.File("secrets/some.properties", "user=someone", "pwd=geheim")
	pwd := "${file:" + secrets + ":pwd}"
	p.File("conf/calm.properties", append(e2etest.Source("calm", address, "Products"), "sap.odata.user.name=someone",
		"sap.odata.user.pwd="+pwd)...)
	f := p.StartWorker("conf")
	f.Await("calm", "runs", e2etest.IsRunning)
	shown := f.Config("calm")
	require.True(t, shown["sap.odata.user.pwd"] == pwd, "expected the reference %s, found %v", pwd, shown)
	const validate = "/connector-plugins/ODataSource/config/validate"
	e2etest.MustNotContain(t, "a check", f.MustCall(200, "PUT", validate, e2etest.AsJSON(t, shown)), "config.providers")
	shown["sap.odata.user.name"] = "${file:" + secrets + ":user}"
	f.MustCall(200, "PUT", validate, e2etest.AsJSON(t, shown), "config.providers=file")
	f.MustStop()

	// A provider of the worker's file is limited to a folder, also for REST.
	opened := []string{"config.providers=file", "config.providers.file.class=" +
		"org.apache.kafka.common.config.provider.FileConfigProvider",
		"config.providers.file.param.allowed.paths=" + filepath.Dir(secrets)}
	f = p.StartWorker("conf", opened...)
	f.Await("calm", "runs", e2etest.IsRunning)
	made := e2etest.SettingsOf(append(e2etest.Source("made", address, "Customers"), "sap.odata.user.name=someone",
		"sap.odata.user.pwd="+pwd))
	f.MustCall(201, "PUT", "/connectors/made/config", e2etest.AsJSON(t, made))
	f.Await("made", "runs", e2etest.IsRunning)
	require.NoError(t, os.Symlink(p.File("other.properties", "pwd=geheim"), filepath.Join(p.Dir, "secrets/link")))
	made["sap.odata.user.pwd"] = "${file:" + filepath.Join(p.Dir, "secrets/link") + ":pwd}"
	f.MustCall(400, "PUT", "/connectors/made/config", e2etest.AsJSON(t, made), "outside allowed.paths")
	f.MustStop()

	// Without the declarations, connectors from REST are rejected and those from files are not.
	f = p.StartWorker("conf")
	f.Await("calm", "runs", e2etest.IsRunning)
	f.Await("made", "is refused", func(s connect.Status) bool {
		return s.Connector.State == connect.Failed && strings.Contains(s.Connector.Trace, "config.providers=file")
	})
	shown = f.Config("made")
	assert.True(t, shown["sap.odata.user.pwd"] == pwd && len(shown) == len(made),
		"expected the reference %s and %d settings, found %v", pwd, len(made), shown)
	f.MustCall(400, "PUT", "/connectors/made/config", e2etest.AsJSON(t, shown))
	f.MustStop()
}

// A stopped connector starts with the secrets as they are at the start: a service would count an old password as a
// failed logon. If a secret cannot be read, the connector waits for it. A deleted connector ends its queue of changes
// with the secrets as they are then.
func TestSecretsAreReadAtTheStart(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	guarded := e2etest.NewPasswordService(odatatest.New(odatatest.Options{Rows: 10}), "first")
	address := e2etest.Serve(t, guarded)
	secrets := p.File("secrets/some.properties", "pwd=first")
	f := p.StartWorker("conf", "config.providers=file",
		"config.providers.file.class=org.apache.kafka.common.config.provider.FileConfigProvider",
		"config.providers.file.param.allowed.paths="+filepath.Dir(secrets))
	f.MustCall(201, "POST", "/connectors", e2etest.AsJSON(t, map[string]any{"name": "reads", "initial_state": "STOPPED",
		"config": e2etest.SettingsOf(e2etest.DeltaSource("reads", address, odatatest.ODPPath, "FactsOfProducts",
			"sap.odata.user.name=someone", "sap.odata.user.pwd=${file:"+secrets+":pwd}", "on.delete=terminate"))}))
	f.Await("reads", "is stopped", e2etest.HasState(connect.Stopped, 0))
	for _, password := range []string{"first", "second"} { // the one that the configuration came with, and another
		guarded.Accept(password)
		require.NoError(t, os.Remove(secrets))
		f.MustCall(202, "PUT", "/connectors/reads/resume", "")
		f.Await("reads", "fails without its secret", func(s connect.Status) bool {
			return s.Connector.State == connect.Failed && strings.Contains(s.Connector.Trace, ":pwd}")
		})
		p.File("secrets/some.properties", "pwd="+password)
		f.Await("reads", "runs with its "+password+" secret", e2etest.IsRunning)
		f.MustCall(204, "PUT", "/connectors/reads/stop", "")
		f.Await("reads", "is stopped again", e2etest.HasState(connect.Stopped, 0))
	}
	p.File("secrets/some.properties", "pwd=third")
	guarded.Accept("third")
	f.MustCall(204, "DELETE", "/connectors/reads", "")
	f.AwaitStderr("ended the deleted connector's subscriptions at its service")
	f.MustStop()
	assert.Equal(t, 0, guarded.Refusals("first")+guarded.Refusals("second"), "logon with an old password")
}

// A secret from a config provider is put into each setting of each plugin in turn: no validation, start, REST response,
// log, metric, trace or dead letter shows it. Names of topics, services and sets are tried in validation only.
func TestNothingShowsWhatProvidersGive(t *testing.T) {
	t.Parallel()
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 10})
	s.Set("match", "POST")
	s.Set("status", "400")
	s.Set("status-count", "1000000")
	spans := tracetest.Start(t)
	const secret = "c4n4ry.s3cret-x0x"
	reference := "${file:" + p.File("secrets/some.properties", "key="+secret) + ":key}"
	p.Environ = []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + spans.URL}
	f := p.StartWorkerWith(e2etest.Plugins(t, "odata-sink", "smt"), "conf", "config.providers=file",
		"config.providers.file.class=org.apache.kafka.common.config.provider.FileConfigProvider",
		"config.providers.file.param.allowed.paths="+filepath.Join(p.Dir, "secrets"))
	settings := SettingsOfPlugins(f, address)
	assert.True(t, len(settings) >= 300, "expected more settings than %d", len(settings))
	validateTogether(f, settings, reference)
	accepted := probeSettings(f, settings, reference)
	for _, path := range []string{"/", "/health", "/connectors", "/connector-plugins?connectorsOnly=false",
		"/culvert/plugins", "/culvert/reload",
		"/culvert/lockouts", "/admin/loggers", "/metrics"} {
		_, answer := f.Call("GET", path, "")
		checkNoSecret(t, "GET "+path, answer)
	}
	for line := range strings.Lines(f.Stop().WantCode(0).Stderr) {
		checkNoSecret(t, "the log", line)
	}
	checkDeadLettersHaveNoSecret(t, deadLettersOf(p, accepted, address, reference), len(accepted))
	names := map[string]bool{}
	for _, span := range spans.Spans("") {
		names[span.Name] = true
		checkNoSecret(t, "a trace", fmt.Sprintf("%+v", span))
	}
	assert.True(t, len(names) >= 5,
		"expected traces of pages, batches and their parts, found %v", slices.Collect(maps.Keys(names)))
}

// checkNoSecret checks that a text does not show the canary.
func checkNoSecret(t *testing.T, what, text string) {
	t.Helper()
	if piece := e2etest.FindCanary(text); piece != "" {
		pos := strings.Index(strings.ToLower(text), strings.ToLower(piece))
		t.Errorf("%s: expected no secret, found %q in …%.300s", what, piece, text[max(0, pos-150):])
	}
}

// validateTogether validates each plugin with references to the secret in all of its settings. No response shows the
// secret.
func validateTogether(f *e2etest.Worker, settings []SettingOfPlugin, reference string) {
	f.Place.T.Helper()
	together := map[string]map[string]string{} // by the settings that they share
	for _, setting := range settings {
		shared := e2etest.AsJSON(f.Place.T, setting.Settings)
		if together[shared] == nil {
			together[shared] = maps.Clone(setting.Settings)
		}
		together[shared][setting.Key] = reference
	}
	for shared, config := range together {
		config["connector.class"] = e2etest.Decode[map[string]string](f.Place.T, shared)["connector.class"]
		_, answer := f.Call("PUT", "/connector-plugins/"+config["connector.class"]+"/config/validate",
			e2etest.AsJSON(f.Place.T, config))
		checkNoSecret(f.Place.T, "a check with "+shared, answer)
	}
}

// probeSettings puts a reference to the secret into each setting in turn, and returns the settings with which a
// connector was created.
func probeSettings(f *e2etest.Worker, settings []SettingOfPlugin, reference string) (accepted []SettingOfPlugin) {
	f.Place.T.Helper()
	var mu sync.Mutex
	queue := make(chan SettingOfPlugin)
	var probes sync.WaitGroup
	for i := range 8 { // in parallel: most of the time is spent waiting for services that do not answer
		probes.Go(func() {
			name := fmt.Sprint("probe", i)
			for setting := range queue {
				if probe(f, name, setting, reference) {
					mu.Lock()
					accepted = append(accepted, setting)
					mu.Unlock()
				}
			}
		})
	}
	for _, setting := range settings {
		queue <- setting
	}
	close(queue)
	probes.Wait()
	return accepted
}

// probe creates and deletes a connector with a setting, or validates it if others see the value. It reports whether
// the connector was created. No response shows the secret.
func probe(f *e2etest.Worker, name string, setting SettingOfPlugin, reference string) (created bool) {
	t := f.Place.T
	t.Helper()
	what := setting.Settings["connector.class"] + " " + setting.Key
	setting.Settings["name"] = name
	setting.Settings[setting.Key] = reference
	body := e2etest.AsJSON(t, setting.Settings)
	if setting.Published {
		_, answer := f.Call("PUT", "/connector-plugins/"+setting.Settings["connector.class"]+"/config/validate", body)
		checkNoSecret(t, "a check with "+what, answer)
		return false
	}
	status, answer := f.Call("PUT", "/connectors/"+name+"/config", body)
	checkNoSecret(t, "a change with "+what, answer)
	if status != 201 {
		return false
	}
	f.Eventually("a state with "+what, func() bool {
		var s connect.Status
		return e2etest.Get(t, f.URL+"/connectors/"+name+"/status", &s) == 200 && s.Connector.State != connect.Unassigned
	})
	base := "/connectors/" + name
	for _, path := range []string{base, base + "/status", base + "/tasks", base + "/tasks-config", base + "/offsets",
		base + "/topics", "/culvert" + base, "/metrics"} {
		_, answer := f.Call("GET", path, "")
		checkNoSecret(t, "GET "+path+" with "+what, answer)
	}
	f.MustCall(204, "DELETE", "/connectors/"+name, "")
	return true
}

// checkDeadLettersHaveNoSecret checks the dead letters of connectors that were created with the secret.
func checkDeadLettersHaveNoSecret(t *testing.T, deadLetters []*kgo.Record, connected int) {
	t.Helper()
	connectors := map[string]bool{}
	for _, record := range deadLetters {
		connectors[deadletters.Parse(record, nil).Connector] = true
		checkNoSecret(t, "a dead letter's key", string(record.Key))
		checkNoSecret(t, "a dead letter's value", string(record.Value))
		for _, h := range record.Headers {
			checkNoSecret(t, "a dead letter's header "+h.Key, string(h.Value))
		}
	}
	assert.True(t, len(connectors) >= 80,
		"expected dead letters of many of %d connectors, found them of %d", connected, len(connectors))
}

// canaryPlace is a place with a file of secrets. It checks the output of its commands for them.
type canaryPlace struct {
	*e2etest.Place
	plugins  string
	redacted int // outputs in which something is hidden
}

const providedCanary = "c4n4ry.s3cret-x0x"

func newCanaryPlace(t *testing.T) *canaryPlace {
	p := &canaryPlace{Place: e2etest.NewPlace(t), plugins: e2etest.Plugins(t, "odata-sink", "smt")}
	p.File("some.properties", "key="+providedCanary, "host=localhost", "line=org.apache.kafka.common.security.plain."+
		"PlainLoginModule required username=\"c4n4ry.user-x\" password=\"c4n4ry.s3cret-x0x\";")
	return p
}

// withSecret writes a file of lines in which one setting refers to a secret, and returns its path.
func (c *canaryPlace) withSecret(file, setting, secret string, lines ...string) (path string) {
	c.T.Helper()
	lines = slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return strings.HasPrefix(l, setting+"=") })
	return c.File(file, append(lines, setting+"=${file:"+filepath.Join(c.Dir, "some.properties")+":"+secret+"}")...)
}

// checkCommand runs a command and fails if its output has a canary or another secret.
func (c *canaryPlace) checkCommand(what, secret string, args ...string) {
	c.T.Helper()
	if args = append(args, "--data", c.Data); args[0] != "consume" && args[1] != "list" {
		args = append(args, "--plugins", c.plugins)
	}
	r := c.Run(args...)
	output := r.Stdout + r.Stderr
	assert.True(c.T, e2etest.FindCanary(output) == "" && (secret == "" || !strings.Contains(output, secret)) &&
		r.Code >= 0 && !strings.Contains(output, "unknown flag") && !strings.Contains(output, "unknown shorthand"),
		"with %s: culvert %s: expected no secret, found exit %d: %.600s", what, strings.Join(args, " "), r.Code, output)
	if strings.Contains(output, secrets.Hidden) {
		c.redacted++
	}
}

// Commands of plugins print no value of a config provider, whether they succeed or fail.
func TestPluginCommandsShowNoValueOfProviders(t *testing.T) {
	t.Parallel()
	p := newCanaryPlace(t)
	_, address := e2etest.StartDemo(t, odatatest.Options{Rows: 10, User: providedCanary, Password: providedCanary})
	_, port, _ := net.SplitHostPort(address)
	sound := append(e2etest.Source("probe", "localhost:"+port, "Products"), "sap.odata.user.pwd="+providedCanary)
	for _, key := range []string{"sap.odata.host.address", "sap.odata.user.name", "sap.odata#00.service",
		"sap.odata.proxy.address"} {
		lines := append(sound, "sap.odata.user.name="+providedCanary, "sap.odata.proxy.type=http")
		if !strings.Contains(key, "proxy") {
			lines = lines[:len(lines)-1]
		}
		p.checkCommand(key, "", "peek", "-p", p.withSecret("probe.properties", key, "key", lines...), "-s",
			odatatest.NorthwindPath, "-e", "Products")
	}
	wrong := p.withSecret("wrong.properties", "sap.odata.host.address", "host", append(sound,
		"sap.odata.user.name=x")...)
	good := p.withSecret("good.properties", "sap.odata.user.name", "key",
		append(sound, "sap.odata.host.address=127.0.0.1")...)
	for _, c := range [][]string{{"ping", "-s", odatatest.NorthwindPath}, {"extract-schema", "-e", "Products", "-s",
		odatatest.NorthwindPath}, {"active-subscriptions"}, {"delete-subscription", "-u", "http://localhost/x"},
		{"retire"}, {"doctor"}} {
		p.checkCommand("host", "localhost", append(c, "-p", wrong)...)
		p.checkCommand("user", "", append(c, "-p", good, "--log-level", "debug")...)
	}
	assert.AtLeast(t, 4, p.redacted, "texts that are struck")
}

// Commands that read a worker's file print no value of its config providers, and messages about a logon stay readable.
func TestCommandsShowNoValueOfTheWorkersFile(t *testing.T) {
	t.Parallel()
	p := newCanaryPlace(t)
	connector := p.File("probe.properties", e2etest.Source("probe", "127.0.0.1:1", "Products")...)
	sasl := []string{"bootstrap.servers=127.0.0.1:1", "security.protocol=SASL_PLAINTEXT", "sasl.mechanism=PLAIN"}
	for _, c := range []struct {
		key    string
		secret string
		lines  []string
		starts bool // a worker with this file starts, so that commands that run one are left out
	}{
		{key: "bootstrap.servers", secret: "key"},
		{key: "sasl.jaas.config", secret: "line", lines: sasl, starts: true},
		{key: "value.converter.schema.registry.url", secret: "key", lines: sasl[:1], starts: true},
	} {
		w := p.withSecret("worker.properties", c.key, c.secret, c.lines...)
		p.checkCommand(c.key, "", "consume", "T", "-p", w)
		p.checkCommand(c.key, "", "dlq", "list", "T", "-p", w)
		p.checkCommand(c.key, "", "offsets", "import", "probe", "--from-topic", "T", "--dry-run", "-p", w)
		p.checkCommand(c.key, "", "validate", w, connector)
		p.checkCommand(c.key, "", "doctor", "-p", w, "-p", connector)
		p.checkCommand(c.key, "", "test", "--worker", w, p.File("some_test.yaml", "tests: 1"))
		if !c.starts {
			p.checkCommand(c.key, "", "offsets", "show", "probe", w, connector)
			p.checkCommand(c.key, "", "dlq", "replay", "T", w, connector)
			p.checkCommand(c.key, "", "run", "--once", w, connector)
			r := p.Run("tunnel", "-p", w, "--listen", "127.0.0.1:0")
			if output := r.Stdout + r.Stderr; e2etest.FindCanary(output) != "" {
				t.Errorf("with %s: culvert tunnel: exit %d: %s", c.key, r.Code, output)
			}
		}
	}
	assert.AtLeast(t, 8, p.redacted, "texts that are struck")
}

// Tests of transforms print no value of a config provider: neither settings of the chain nor its results.
func TestTestsShowNoValueOfProviders(t *testing.T) {
	t.Parallel()
	p := newCanaryPlace(t)
	p.Environ = []string{"CANARY=" + providedCanary} // which every plugin may see, wherever it comes from
	for class, setting := range map[string]string{"Cast$Value": "spec", "HoistField$Value": "field", "Filter": "type"} {
		file := p.File("own_test.yaml", "settings:", "  transforms: a",
			"  transforms.a.type: org.apache.kafka.connect.transforms."+class,
			"  transforms.a.static.value: ${env:CANARY}",
			"tests:", "- name: one", "  settings: {transforms.a."+setting+": \"${env:CANARY}\"}", "  records:",
			"  - topic: t", "    value: {a: \"1\"}", "    becomes: {value: {a: 2}}",
			"- name: two", "  refused: something else", "  settings: {transforms.a."+setting+": \"${env:CANARY}\"}")
		report := filepath.Join(p.Dir, "report.xml")
		p.checkCommand(class, "", "test", file, "--log-level", "debug", "--junit", report)
		if written, err := os.ReadFile(report); err != nil || e2etest.FindCanary(string(written)) != "" {
			t.Errorf("with %s: the report: %v\n%s", class, err, written)
		}
	}
	assert.AtLeast(t, 3, p.redacted, "texts that are struck")
}

// deadLettersOf runs a connector for each setting so that all rows are rejected, and returns the dead letters.
func deadLettersOf(p *e2etest.Place, settings []SettingOfPlugin, address, reference string) []*kgo.Record {
	p.T.Helper()
	broker := e2etest.StartEmbeddedBroker(p.T).Addr()
	client := e2etest.NewClient(p.T, broker)
	e2etest.CreateTopics(p.T, client, "Orders", "refused")
	e2etest.Produce(p.T, broker, &kgo.Record{Topic: "Orders", Value: []byte("no JSON")},
		&kgo.Record{Topic: "Orders", Value: []byte(`{"ShipName":"no key"}`)},
		&kgo.Record{Topic: "Orders", Value: []byte(`{"OrderID":1,"ShipName":"refused by the service"}`)})
	files := []string{p.File("worker.properties", "bootstrap.servers="+broker, "listeners=",
		"value.converter.schemas.enable=false", "key.converter.schemas.enable=false")}
	for i, setting := range settings {
		if strings.HasSuffix(setting.Key, ".topic.name") {
			continue // a name that others see
		}
		config := map[string]string{"errors.tolerance": "all", "errors.deadletterqueue.topic.name": "refused",
			"errors.deadletterqueue.context.headers.enable": "true",
			"transforms.refuse.type":                        "org.apache.kafka.connect.transforms.Cast$Value",
			"transforms.refuse.spec":                        "CategoryName:int16"}
		maps.Copy(config, setting.Settings)
		config["name"] = fmt.Sprintf("probe-%d", i)
		config["transforms"] = strings.TrimPrefix(config["transforms"]+",refuse", ",")
		config[setting.Key] = reference
		var lines []string
		for name, value := range config {
			lines = append(lines, name+"="+value)
		}
		files = append(files, p.File(config["name"]+".properties", lines...))
	}
	r := p.Run(append([]string{"run", "--once", "--plugins", e2etest.Plugins(p.T, "odata-sink", "smt"), "--data",
		p.Subfolder("letters")}, files...)...)
	for line := range strings.Lines(r.Stderr) {
		assert.True(p.T, e2etest.FindCanary(line) == "", "expected no secret in the log, found %s", line)
	}
	require.True(p.T, r.Code != 2, "expected that the connectors start, found exit %d\n%s", r.Code, r.Stderr)
	end := e2etest.EndOffsets(p.T, broker, "refused")[0]
	return e2etest.ReadTopic(p.T, broker, "refused", int(end))
}

// SettingOfPlugin is a configuration that is valid except for the value of key.
type SettingOfPlugin struct {
	Settings map[string]string
	Key      string
	// Published means that the value is a name that others see.
	Published bool
}

// SettingsOfPlugins returns all settings of plugins, converters and connectors.
func SettingsOfPlugins(f *e2etest.Worker, address string) (settings []SettingOfPlugin) {
	f.Place.T.Helper()
	settingsOf := func(class string) (names []string) {
		var declared []check.Definition
		if e2etest.Get(f.Place.T, f.URL+"/connector-plugins/"+url.PathEscape(class)+"/config", &declared) != 200 {
			return nil
		}
		for _, d := range declared {
			names = append(names, strings.NewReplacer("{n}", "00", "{m}", "00", "{name}", "NAME").Replace(d.Name))
		}
		return names
	}
	source := func() map[string]string { return e2etest.SettingsOf(e2etest.Source("probe", address, "Categories")) }
	var plugins []connect.Plugin
	e2etest.Get(f.Place.T, f.URL+"/connector-plugins?connectorsOnly=false", &plugins)
	for _, plugin := range plugins {
		for _, name := range settingsOf(plugin.Class) {
			setting := SettingOfPlugin{Settings: source(), Key: name}
			last := name[strings.LastIndexByte(name, '.')+1:]
			switch strings.ToLower(plugin.Type) {
			case "source":
				setting.Published = name == "name" || slices.Contains([]string{"topic", "service", "entityset"}, last)
			case "sink":
				setting.Settings = e2etest.SettingsOf(e2etest.Sink("probe", address, "Orders", "OrderCopies"))
				setting.Published = name == "name" || slices.Contains([]string{"topic", "topics", "service",
					"entityset"}, last)
			case "transformation", "predicate":
				part := map[string]string{"transformation": "transforms",
					"predicate": "predicates"}[strings.ToLower(plugin.Type)]
				setting.Settings[part] = "a"
				setting.Settings[part+".a.type"] = plugin.Class
				setting.Key = part + ".a." + name
			default:
				setting.Settings["value.converter"] = plugin.Class
				setting.Key = "value.converter." + name
			}
			settings = append(settings, setting)
		}
	}
	for _, key := range []string{"transforms", "transforms.a.type", "transforms.a.predicate", "transforms.a.negate",
		"predicates", "predicates.p.type", "connector.plugin.version", "producer.override.linger.ms",
		"producer.override.client.id", "producer.override.bootstrap.servers", "producer.override.sasl.jaas.config",
		"producer.override.security.protocol", "producer.override.ssl.keystore.location",
		"admin.override.request.timeout.ms", "consumer.override.group.id", "consumer.override.max.poll.records",
		"value.converter", "key.converter.schema.registry.url", "header.converter", "topic.creation.groups",
		"topic.creation.default.partitions", "nobody.knows", "sap.odata.nobody.knows"} {
		settings = append(settings, SettingOfPlugin{Settings: source(), Key: key})
	}
	return settings
}
