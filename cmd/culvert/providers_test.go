package main

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/examples/demo-service/service"
	"github.com/culvert-project/culvert/host/check"
	"github.com/culvert-project/culvert/host/connect"
	secrets "github.com/culvert-project/culvert/host/secret"
	"github.com/culvert-project/culvert/host/tracetest"
)

// canary is a secret that stands in a file of this machine.
const canary = "c4n4ry/of a s3cret: x0x,s3c0nd"

// secretFile is a properties file with the canary as `key`, and the same as a file of its folder.
func (p *place) secretFile(folder string) (file string) {
	p.t.Helper()
	p.subfolder(folder)
	p.file(filepath.Join(folder, "whole"), canary)
	return p.file(filepath.Join(folder, "some.properties"), "key="+canary, "user=someone", "pwd=geheim")
}

// What comes by REST reads no file, folder or variable that the worker's file does not open to it: not in a check, nor
// in a connector that is written, nor where REST is for reading alone. The answer names the lines that would open it.
func TestReferencesOfREST(t *testing.T) {
	t.Parallel()
	for name, lines := range map[string][]string{"open": nil, "masked": {"rest.config.masked=true"},
		"read only": {"rest.read.only=true"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			p.environ = []string{"CANARY=" + canary}
			_, address := demo(t, service.Options{Rows: 10})
			secrets := p.secretFile("secrets")
			p.subfolder("conf")
			p.file("conf/calm.properties", source("calm", address, "Products")...)
			f := p.follows("conf", lines...)
			f.await("calm", "runs", runs)
			for _, reference := range []string{"${file:" + secrets + ":key}",
				"${dir:" + filepath.Dir(secrets) + ":whole}", "${env:CANARY}"} {
				for _, key := range []string{"sap.odata.proxy.address", "sap.odata.host.address", "sap.odata.user.pwd",
					"transforms", "transforms.a.type", "transforms.a.spec", "connector.class", "name", "tasks.max",
					"producer.override.linger.ms", "producer.override.sasl.jaas.config", "value.converter",
					"value.converter.schemas.enable", "key.converter.schema.registry.url", "topic.creation.groups",
					"predicates", "errors.tolerance", "unknown.setting", "sap.odata#00.topic",
					"sap.odata#00.entityset"} {
					settings := configuration(source("probe", address, "Products"))
					settings["transforms"], settings["transforms.a.type"] = "a",
						"org.apache.kafka.connect.transforms.Cast$Value"
					settings["transforms.a.spec"] = "ProductID:string"
					settings[key] = reference
					for _, way := range []struct{ method, path string }{
						{"PUT", "/connector-plugins/ODataSource/config/validate"},
						{"PUT", "/connectors/probe/config"},
						{"PATCH", "/connectors/calm/config"},
					} {
						sent := settings
						if way.method == "PATCH" {
							sent = map[string]string{key: reference}
						}
						status, answer := f.call(way.method, way.path, asJSON(t, sent))
						provider, _, _ := strings.Cut(reference[2:], ":")
						said := strings.Contains(answer, "config.providers="+provider) ||
							key == "name" && strings.Contains(answer, "doesn't match connector name") ||
							name == "read only" && status == 403
						if checked := strings.Contains(way.path, "validate"); !said || !checked && status/100 != 4 {
							t.Errorf("%s %s with %s=%s: found %d %s", way.method, way.path, key, reference, status,
								answer)
						}
						for _, piece := range []string{"c4n4ry", "s3cret", "x0x", "s3c0nd"} {
							if strings.Contains(answer, piece) {
								t.Errorf("%s %s with %s=%s shows %q: %s", way.method, way.path, key, reference, piece,
									answer)
							}
						}
					}
				}
			}
			f.await("calm", "runs", runs)
			f.signal(syscall.SIGTERM)
			if r := f.wait(); r.code != 0 || strings.Contains(r.stderr, "c4n4ry") {
				t.Errorf("exit %d\n%s", r.code, r.stderr)
			}
		})
	}
}

// A reference of a file that somebody wrote goes on to hold when its connector is changed by REST, and no other one
// does. What REST wrote stays REST's, also when the worker is started again with other lines; what somebody changes in
// the file after that is theirs.
func TestReferencesThatRESTKeeps(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	_, address := demo(t, service.Options{Rows: 10, User: "someone", Password: "geheim"})
	secrets := p.secretFile("secrets")
	pwd := "${file:" + secrets + ":pwd}"
	p.subfolder("conf")
	p.file("conf/calm.properties", append(source("calm", address, "Products"), "sap.odata.user.name=someone",
		"sap.odata.user.pwd="+pwd)...)
	f := p.follows("conf")
	f.await("calm", "runs", runs)
	var shown map[string]string
	get(t, f.url+"/connectors/calm/config", &shown)
	if shown["sap.odata.user.pwd"] != pwd {
		t.Fatalf("found %v", shown)
	}
	shown["tasks.max"] = "1"
	f.must(200, "PUT", "/connectors/calm/config", asJSON(t, shown))
	f.must(200, "PATCH", "/connectors/calm/config", `{"sap.odata.connection.read.timeout.ms": "50000"}`)
	f.await("calm", "runs", runs)
	if answer := f.must(400, "PATCH", "/connectors/calm/config", asJSON(t, map[string]string{
		"sap.odata.user.name": "${file:" + secrets + ":user}"})); !strings.Contains(answer, "config.providers=file") {
		t.Errorf("found %s", answer)
	}
	f.must(400, "PATCH", "/connectors/calm/config", asJSON(t, map[string]string{"sap.odata.proxy.user.pwd": pwd}))
	end := func() {
		t.Helper()
		f.signal(syscall.SIGTERM)
		if r := f.wait(); r.code != 0 {
			t.Fatalf("exit %d\n%s", r.code, r.stderr)
		}
	}
	end()

	// A provider that the worker's file names, for a folder, holds for what comes by REST.
	opened := []string{"config.providers=file", "config.providers.file.class=" +
		"org.apache.kafka.common.config.provider.FileConfigProvider",
		"config.providers.file.param.allowed.paths=" + filepath.Dir(secrets)}
	f = p.follows("conf", opened...)
	f.await("calm", "runs", runs)
	made := configuration(append(source("made", address, "Customers"), "sap.odata.user.name=someone",
		"sap.odata.user.pwd="+pwd))
	f.must(200, "PATCH", "/connectors/calm/config", asJSON(t, map[string]string{"tasks.max": "2"}))
	f.must(201, "PUT", "/connectors/made/config", asJSON(t, made))
	f.await("made", "runs", runs)
	made["sap.odata.user.pwd"] = "${file:" + p.file("other.properties", "pwd=geheim") + ":pwd}"
	if answer := f.must(400, "PUT", "/connectors/made/config", asJSON(t, made)); !strings.Contains(answer,
		"outside allowed.paths") {
		t.Errorf("found %s", answer)
	}
	if err := os.Symlink(filepath.Join(p.dir, "other.properties"), filepath.Join(p.dir, "secrets/link")); err != nil {
		t.Fatal(err)
	}
	made["sap.odata.user.pwd"] = "${file:" + filepath.Join(p.dir, "secrets/link") + ":pwd}"
	if answer := f.must(400, "PUT", "/connectors/made/config", asJSON(t, made)); !strings.Contains(answer,
		"outside allowed.paths") {
		t.Errorf("found %s", answer)
	}
	end()

	// Without these lines what REST wrote is refused, and what somebody wrote is not.
	f = p.follows("conf")
	f.await("calm", "runs", runs)
	f.await("made", "is refused", func(s connect.Status) bool {
		return s.Connector.State == connect.Failed && strings.Contains(s.Connector.Trace, "config.providers=file")
	})
	shown = nil
	get(t, f.url+"/connectors/made/config", &shown)
	if shown["sap.odata.user.pwd"] != pwd || len(shown) != len(made) {
		t.Errorf("found %v", shown)
	}
	f.must(400, "PUT", "/connectors/made/config", asJSON(t, shown))

	// A file that somebody writes holds, whatever REST wrote into it before.
	f.replaced("conf/made.json", asJSON(t, map[string]any{"name": "made",
		"config": configuration(append(source("made", address, "Customers"), "sap.odata.user.name=someone",
			"sap.odata.user.pwd= "+pwd))}))
	f.await("made", "runs", runs)
	end()
}

// shows tells which piece of the canary a text shows, in any of the forms in which texts write it, "" for none.
func shows(text string) string {
	const piece = "c4n4ry.s3cret"
	text = strings.ToLower(text)
	for _, form := range []string{piece, hex.EncodeToString([]byte(piece)), "C4N4RY", "s3cret-x0x",
		base64.RawStdEncoding.EncodeToString([]byte(piece))[:16]} {
		if strings.Contains(text, strings.ToLower(form)) {
			return form
		}
	}
	return ""
}

// A secret behind a config provider stands in each setting of each plugin, one after the other: nothing that a check, a
// start, REST, the log, figures, traces or dead letters say shows it. Names of topics, services and sets are looked at
// in checks alone.
func TestNothingShowsWhatProvidersGive(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s, address := demo(t, service.Options{Rows: 10})
	s.Set("match", "POST")
	s.Set("status", "400")
	s.Set("status-count", "1000000")
	spans := tracetest.Start(t)
	p.subfolder("secrets")
	const secret = "c4n4ry.s3cret-x0x"
	reference := "${file:" + p.file("secrets/some.properties", "key="+secret) + ":key}"
	p.subfolder("conf")
	p.environ = []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + spans.URL}
	f := p.followsWith(plugins(t, "odata-sink", "smt"), "conf", "config.providers=file", "config.providers.file.class="+
		"org.apache.kafka.common.config.provider.FileConfigProvider", "config.providers.file.param.allowed.paths="+
		filepath.Join(p.dir, "secrets"))
	looked := func(what, text string) {
		t.Helper()
		if piece := shows(text); piece != "" {
			at := strings.Index(strings.ToLower(text), strings.ToLower(piece))
			t.Errorf("%s shows %q: …%.300s", what, piece, text[max(0, at-150):])
		}
	}
	all := f.settingsOfPlugins(address)
	if len(all) < 300 {
		t.Errorf("expected more settings than %d", len(all))
	}
	var taken []settingOfPlugin // with the secret
	for _, one := range all {
		what := one.settings["connector.class"] + " " + one.key
		one.settings[one.key] = reference
		body := asJSON(t, one.settings)
		_, answer := f.call("PUT", "/connector-plugins/"+one.settings["connector.class"]+"/config/validate", body)
		looked("a check with "+what, answer)
		if one.published {
			continue
		}
		status, answer := f.call("PUT", "/connectors/probe/config", body)
		looked("a change with "+what, answer)
		if status != 201 {
			continue
		}
		taken = append(taken, one)
		f.eventually("a state with "+what, func() bool {
			var s connect.Status
			return get(t, f.url+"/connectors/probe/status", &s) == 200 && s.Connector.State != connect.Unassigned
		})
		for _, path := range []string{"/connectors/probe", "/connectors/probe/config", "/connectors/probe/status",
			"/connectors/probe/tasks", "/connectors/probe/tasks-config", "/connectors/probe/offsets",
			"/connectors/probe/topics", "/culvert/connectors/probe", "/connectors?expand=status&expand=info"} {
			_, answer := f.call("GET", path, "")
			looked("GET "+path+" with "+what, answer)
		}
		_, answer = f.call("GET", "/metrics", "")
		looked("figures with "+what, answer)
		f.must(204, "DELETE", "/connectors/probe", "")
	}
	for _, path := range []string{"/", "/health", "/connectors", "/connector-plugins?connectorsOnly=false", "/culvert/plugins",
		"/culvert/reload", "/culvert/lockouts", "/admin/loggers", "/metrics"} {
		_, answer := f.call("GET", path, "")
		looked("GET "+path, answer)
	}
	f.signal(syscall.SIGTERM)
	r := f.wait()
	for line := range strings.Lines(r.stderr) {
		looked("the log", line)
	}
	if r.code != 0 {
		t.Errorf("exit %d", r.code)
	}
	letters := p.lettersOf(taken, address, reference)
	connectors := map[string]bool{}
	for _, l := range letters {
		one := connect.ReadLetter(l)
		connectors[one.Connector] = true
		looked("a letter's key", string(l.Key))
		looked("a letter's value", string(l.Value))
		for _, h := range l.Headers {
			looked("a letter's header "+h.Key, string(h.Value))
		}
	}
	if len(connectors) < 80 {
		t.Errorf("expected letters of many of %d connectors, found those of %d", len(taken), len(connectors))
	}
	names := map[string]bool{}
	for _, span := range spans.Spans("") {
		names[span.Name] = true
		looked("a trace", fmt.Sprintf("%+v", span))
	}
	if len(names) < 5 {
		t.Errorf("expected traces of pages, batches and their parts, found %v", slices.Collect(maps.Keys(names)))
	}
}

// lettersOf runs a connector for each setting, all of whose rows are refused, and returns their letters.
func (p *place) lettersOf(taken []settingOfPlugin, address, reference string) []*kgo.Record {
	p.t.Helper()
	broker := embedded(p.t).Addr()
	client, err := kgo.NewClient(kgo.SeedBrokers(broker))
	if err != nil {
		p.t.Fatal(err)
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).CreateTopics(p.t.Context(), 1, 1, nil, "Orders", "refused"); err != nil {
		p.t.Fatal(err)
	}
	produce(p.t, broker, &kgo.Record{Topic: "Orders", Value: []byte("no JSON")},
		&kgo.Record{Topic: "Orders", Value: []byte(`{"ShipName":"no key"}`)},
		&kgo.Record{Topic: "Orders", Value: []byte(`{"OrderID":1,"ShipName":"refused by the service"}`)})
	files := []string{p.file("worker.properties", "bootstrap.servers="+broker, "listeners=",
		"value.converter.schemas.enable=false", "key.converter.schemas.enable=false")}
	for i, one := range taken {
		if strings.HasSuffix(one.key, ".topic.name") {
			continue // a name that others see
		}
		settings := map[string]string{"errors.tolerance": "all", "errors.deadletterqueue.topic.name": "refused",
			"errors.deadletterqueue.context.headers.enable": "true",
			"transforms.refuse.type":                        "org.apache.kafka.connect.transforms.Cast$Value",
			"transforms.refuse.spec":                        "ProductName:int16"}
		maps.Copy(settings, one.settings)
		settings["name"] = fmt.Sprintf("probe-%d", i)
		settings["transforms"] = strings.TrimPrefix(settings["transforms"]+",refuse", ",")
		settings[one.key] = reference
		var lines []string
		for name, value := range settings {
			lines = append(lines, name+"="+value)
		}
		files = append(files, p.file(settings["name"]+".properties", lines...))
	}
	r := p.run(append([]string{"run", "--once", "--plugins", plugins(p.t, "odata-sink", "smt"), "--data",
		p.subfolder("letters")}, files...)...)
	for line := range strings.Lines(r.stderr) {
		if shows(line) != "" {
			p.t.Errorf("the log: %s", line)
		}
	}
	if r.code == 2 {
		p.t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
	end := endsOn(p.t, broker, "refused")[0]
	return readTopic(p.t, broker, "refused", int(end))
}

// settingOfPlugin is a configuration that is sound but for what key is given.
type settingOfPlugin struct {
	settings map[string]string
	key      string
	// published: its value is a name that others see.
	published bool
}

// settingsOfPlugins are all settings that plugins, converters and every connector have.
func (f *followed) settingsOfPlugins(address string) (all []settingOfPlugin) {
	f.place.t.Helper()
	settingsOf := func(class string) (names []string) {
		var declared []check.Definition
		if get(f.place.t, f.url+"/connector-plugins/"+url.PathEscape(class)+"/config", &declared) != 200 {
			return nil
		}
		for _, d := range declared {
			names = append(names, strings.NewReplacer("{n}", "00", "{m}", "00", "{name}", "NAME").Replace(d.Name))
		}
		return names
	}
	source := func() map[string]string { return configuration(source("probe", address, "Products")) }
	var plugins []connect.Plugin
	get(f.place.t, f.url+"/connector-plugins?connectorsOnly=false", &plugins)
	for _, plugin := range plugins {
		for _, name := range settingsOf(plugin.Class) {
			one, last := settingOfPlugin{settings: source(), key: name}, name[strings.LastIndexByte(name, '.')+1:]
			switch strings.ToLower(plugin.Type) {
			case "source":
				one.published = name == "name" || slices.Contains([]string{"topic", "service", "entityset"}, last)
			case "sink":
				one.settings = configuration(sinkOf("probe", address, "Orders", "OrderCopies"))
				one.published = name == "name" || slices.Contains([]string{"topic", "topics", "service", "entityset"}, last)
			case "transformation", "predicate":
				part := map[string]string{"transformation": "transforms", "predicate": "predicates"}[strings.ToLower(plugin.Type)]
				one.settings[part], one.settings[part+".a.type"] = "a", plugin.Class
				one.key = part + ".a." + name
			default:
				one.settings["value.converter"], one.key = plugin.Class, "value.converter."+name
			}
			all = append(all, one)
		}
	}
	for _, key := range []string{"transforms", "transforms.a.type", "transforms.a.predicate", "transforms.a.negate",
		"predicates", "predicates.p.type", "connector.plugin.version", "producer.override.linger.ms",
		"producer.override.client.id", "producer.override.bootstrap.servers", "producer.override.sasl.jaas.config",
		"producer.override.security.protocol", "producer.override.ssl.keystore.location",
		"admin.override.request.timeout.ms", "consumer.override.group.id", "consumer.override.max.poll.records",
		"value.converter", "key.converter.schema.registry.url", "header.converter", "topic.creation.groups",
		"topic.creation.default.partitions", "nobody.knows", "sap.odata.nobody.knows"} {
		all = append(all, settingOfPlugin{settings: source(), key: key})
	}
	return all
}

// A look at a service does not show where a config provider says that it is.
func TestDoctorShowsNoValueOfProviders(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	secrets := p.file("some.properties", "key=c4n4ry.s3cret-x0x.invalid")
	lines := source("probe", "HOST:1", "Products")
	for i := range lines {
		lines[i] = strings.Replace(lines[i], "HOST", "${file:"+secrets+":key}", 1)
	}
	r := p.run("doctor", "--plugins", plugins(t), "--data", p.data, "-p", p.file("probe.properties", lines...))
	if said := r.stdout + r.stderr; r.code == 0 || shows(said) != "" || !strings.Contains(said, "[hidden]") {
		t.Errorf("exit %d: %s", r.code, said)
	}
}

// canaried is a place with a file of secrets, whose commands are looked at for them.
type canaried struct {
	*place
	plugins string
	struck  int // texts with something hidden
}

const providedCanary = "c4n4ry.s3cret-x0x"

func newCanaried(t *testing.T) *canaried {
	p := &canaried{place: newPlace(t), plugins: plugins(t, "odata-sink", "smt")}
	p.file("some.properties", "key="+providedCanary, "host=localhost", "line=org.apache.kafka.common.security.plain."+
		"PlainLoginModule required username=\"c4n4ry.user-x\" password=\"c4n4ry.s3cret-x0x\";")
	return p
}

// with is a file of lines in which a setting has the secret of a name.
func (p *canaried) with(file, setting, secret string, lines ...string) (path string) {
	p.t.Helper()
	lines = slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return strings.HasPrefix(l, setting+"=") })
	return p.file(file, append(lines, setting+"=${file:"+filepath.Join(p.dir, "some.properties")+":"+secret+"}")...)
}

// shows runs a command that is to show no canary, nor another secret.
func (p *canaried) shows(what, secret string, args ...string) {
	p.t.Helper()
	if args = append(args, "--data", p.data); args[0] != "consume" && args[1] != "list" {
		args = append(args, "--plugins", p.plugins)
	}
	r := p.run(args...)
	text := r.stdout + r.stderr
	if shows(text) != "" || secret != "" && strings.Contains(text, secret) || r.code < 0 ||
		strings.Contains(text, "unknown flag") || strings.Contains(text, "unknown shorthand") {
		p.t.Errorf("with %s: culvert %s: exit %d: %.600s", what, strings.Join(args, " "), r.code, text)
	}
	if strings.Contains(text, secrets.Hidden) {
		p.struck++
	}
}

// Commands of plugins do not show what config providers give to the connector's file, however they end.
func TestPluginCommandsShowNoValueOfProviders(t *testing.T) {
	t.Parallel()
	p := newCanaried(t)
	_, address := demo(t, service.Options{Rows: 10, User: providedCanary, Password: providedCanary})
	_, port, _ := net.SplitHostPort(address)
	sound := append(source("probe", "localhost:"+port, "Products"), "sap.odata.user.pwd="+providedCanary)
	for _, key := range []string{"sap.odata.host.address", "sap.odata.host.port", "connector.class",
		"sap.odata.user.name", "sap.odata#00.service", "sap.odata#00.entityset", "sap.odata.sap.client",
		"sap.odata.proxy.address", "sap.odata.ssl.truststore.location"} {
		lines := append(sound, "sap.odata.user.name="+providedCanary, "sap.odata.proxy.type=http")
		if !strings.Contains(key, "proxy") {
			lines = lines[:len(lines)-1]
		}
		file := p.with("probe.properties", key, "key", lines...)
		p.shows(key, "", "ping", "-p", file, "-s", service.NorthwindPath)
		p.shows(key, "", "peek", "-p", file, "-s", service.NorthwindPath, "-e", "Products")
	}
	wrong := p.with("wrong.properties", "sap.odata.host.address", "host", append(sound, "sap.odata.user.name=x")...)
	good := p.with("good.properties", "sap.odata.user.name", "key", append(sound, "sap.odata.host.address=127.0.0.1")...)
	for _, c := range [][]string{{"ping"}, {"peek", "-e", "Products"}, {"extract-schema", "-e", "Products"},
		{"list-entitysets"}, {"list-services"}, {"active-subscriptions"}, {"delete-subscription", "-u", "http://localhost/x"},
		{"retire"}} {
		if !slices.Contains([]string{"delete-subscription", "list-services", "retire", "active-subscriptions"}, c[0]) {
			c = append(c, "-s", service.NorthwindPath)
		}
		p.shows("host", "localhost", append(c, "-p", wrong)...)
		p.shows("user", "", append(c, "-p", good, "--json")...)
		p.shows("user", "", append(c, "-p", good, "--log-level", "debug")...)
	}
	if p.struck < 15 {
		t.Errorf("expected texts that are struck, found %d", p.struck)
	}
}

// Commands that read a worker's file do not show what config providers give to it, and what is said of a logon stays
// readable.
func TestCommandsShowNoValueOfTheWorkersFile(t *testing.T) {
	t.Parallel()
	p := newCanaried(t)
	connector := p.file("probe.properties", source("probe", "127.0.0.1:1", "Products")...)
	sasl := []string{"bootstrap.servers=127.0.0.1:1", "security.protocol=SASL_PLAINTEXT", "sasl.mechanism=PLAIN"}
	for _, one := range []struct {
		key, secret string
		lines       []string
		starts      bool // nothing is wrong with it by itself
	}{
		{"bootstrap.servers", "key", nil, false},
		{"ssl.truststore.location", "key", []string{"bootstrap.servers=127.0.0.1:1", "security.protocol=SSL"}, false},
		{"security.protocol", "key", sasl, false},
		{"sasl.jaas.config", "key", sasl, false},
		{"sasl.jaas.config", "line", sasl, true},
		{"kafka.proxy.address", "key", []string{"bootstrap.servers=127.0.0.1:1", "kafka.proxy.type=http"}, false},
		{"value.converter.schema.registry.url", "key", sasl[:1], true},
		{"plugin.path", "key", sasl[:1], true},
	} {
		w := p.with("worker.properties", one.key, one.secret, one.lines...)
		p.shows(one.key, "", "consume", "T", "-p", w)
		p.shows(one.key, "", "dlq", "list", "T", "-p", w)
		p.shows(one.key, "", "offsets", "import", "probe", "--from-topic", "T", "-p", w)
		p.shows(one.key, "", "validate", w, connector)
		p.shows(one.key, "", "doctor", "-p", w, "-p", connector)
		p.shows(one.key, "", "test", "--worker", w, p.file("some_test.yaml", "tests: 1"))
		if !one.starts {
			p.shows(one.key, "", "offsets", "show", "probe", w, connector)
			p.shows(one.key, "", "dlq", "replay", "T", w, connector)
			p.shows(one.key, "", "run", "--once", w, connector)
			r := p.run("tunnel", "-p", w, "--listen", "127.0.0.1:0")
			if text := r.stdout + r.stderr; shows(text) != "" {
				t.Errorf("with %s: culvert tunnel: exit %d: %s", one.key, r.code, text)
			}
		}
	}
	if p.struck < 30 {
		t.Errorf("expected texts that are struck, found %d", p.struck)
	}
}

// Tests of transforms show no value of a config provider: neither what their chain is set by, nor what it makes of it.
func TestTestsShowNoValueOfProviders(t *testing.T) {
	t.Parallel()
	p := newCanaried(t)
	p.environ = []string{"CANARY=" + providedCanary} // which every plugin may see, wherever it comes from
	for class, setting := range map[string]string{"Cast$Value": "spec", "HoistField$Value": "field",
		"ReplaceField$Value": "renames", "InsertField$Value": "static.field", "TimestampConverter$Value": "target.type",
		"Filter": "type"} {
		file := p.file("own_test.yaml", "settings:", "  transforms: a",
			"  transforms.a.type: org.apache.kafka.connect.transforms."+class,
			"  transforms.a.static.value: ${env:CANARY}",
			"tests:", "- name: one", "  settings: {transforms.a."+setting+": \"${env:CANARY}\"}", "  records:",
			"  - topic: t", "    value: {a: \"1\"}", "    becomes: {value: {a: 2}}",
			"- name: two", "  refused: something else", "  settings: {transforms.a."+setting+": \"${env:CANARY}\"}")
		report := filepath.Join(p.dir, "report.xml")
		p.shows(class, "", "test", file, "--log-level", "debug", "--junit", report)
		if written, err := os.ReadFile(report); err != nil || shows(string(written)) != "" {
			t.Errorf("with %s: the report: %v\n%s", class, err, written)
		}
	}
	if p.struck < 6 {
		t.Errorf("expected texts that are struck, found %d", p.struck)
	}
}
