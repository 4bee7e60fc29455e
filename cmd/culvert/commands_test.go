package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/examples/demo-service/service"
	"github.com/culvert-project/culvert/host/porttest"
)

func TestWrongUse(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	cases := []struct {
		name string
		args []string
		code int
		want string // in stderr
	}{
		{"unknown command", []string{"nonsense"}, 2, `unknown command "nonsense"`},
		{"misspelt command", []string{"runn", "--help"}, 2, `unknown command "runn": did you mean run? Commands of plugins`},
		{"a built-in plugin's command without a file", []string{"peek", "-s", "/x"}, 2, "expected -p FILE"},
		{"a command of an unknown plugin without a file", []string{"grind", "-s", "/x"}, 2,
			`unknown command "grind": commands of plugins, such as peek, need a connector's file: culvert grind -p FILE`},
		{"its help without a file", []string{"grind", "--help"}, 2, "culvert grind -p FILE"},
		{"unknown flag", []string{"run", "--nonsense"}, 2, "unknown flag"},
		{"run without files", []string{"run"}, 2, "expected --config DIR or files"},
		{"run with a file that is not there", []string{"run", "nowhere.properties"}, 2, "nowhere.properties"},
		{"run with both", []string{"run", "--config", ".", "x.properties"}, 2, "found both"},
		{"ping without a file", []string{"ping", "-s", "/x"}, 2, "expected -p FILE"},
		{"ping with a file that is not there", []string{"ping", "-p", "nowhere.properties"}, 2, "nowhere.properties"},
		{"consume without a topic", []string{"consume"}, 2, "expected TOPIC, found nothing"},
		{"consume where nothing is", []string{"consume", "x", "--data", "nowhere"}, 1, "nowhere"},
		{"consume where nobody listens", []string{"consume", "x", "--bootstrap-servers", porttest.Address(t)}, 1,
			"connection refused"},
		{"check a file that is not there", []string{"plugins", "check", "nowhere.wasm"}, 2, "nowhere.wasm"},
		{"log level", []string{"validate", "--log-level", "loud", p.file("a.properties", "connector.class=x")}, 2,
			"expected debug, info"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := p.run(c.args...)
			if r.code != c.code || !strings.Contains(r.stderr, c.want) || r.stdout != "" {
				t.Errorf("expected exit %d and %q, found %d, stdout %q, stderr\n%s", c.code, c.want, r.code, r.stdout,
					r.stderr)
			}
		})
	}
}

func TestHelpIsEverywhere(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	for _, words := range []string{"", "run", "consume", "validate", "test", "plugins", "plugins list", "plugins show",
		"plugins check", "broker", "version", "ping"} {
		r := p.run(append(strings.Fields(words), "--help")...)
		if r.code != 0 || !strings.Contains(r.stdout, "Usage:") || words != "plugins" && !strings.Contains(r.stdout,
			"Examples:") {
			t.Errorf("culvert %s --help: exit %d, stdout\n%s", words, r.code, r.stdout)
		}
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s, address := demo(t, service.Options{Rows: 10})
	good := p.file("good.properties", source("good", address, "Orders")...)
	r := p.run("validate", "--plugins", plugins(t), good)
	if r.code != 0 || r.stdout != "" {
		t.Errorf("expected nothing wrong, found exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	bad := p.file("bad.json", `{"name": "bad", "config": {`, `"connector.class": "ODataSource",`,
		`"sap.odata.host.adress": "x",`,
		`"sap.odata.host.port": "none", "sap.odata.user.pwd": "hunter2"`, `}}`)
	worker := p.file("worker.properties", "bootstrap.servers=embedded", "group.id=x", "offset.flush.interval.ms=soon")
	r = p.run("validate", "--plugins", plugins(t), worker, good, bad)
	for _, want := range []string{
		worker + ":2: group.id: warning: has no effect",
		worker + ":3: offset.flush.interval.ms: Invalid value soon for configuration offset.flush.interval.ms: " +
			"Not a number of type LONG",
		bad +
			`:1: sap.odata.host.address: Missing required configuration "sap.odata.host.address" which has no default value.` + "\n",
		bad + ":3: sap.odata.host.adress: unknown setting; the nearest known one is sap.odata.host.address; with " +
			"unknown.settings=warn this is a warning\n",
		bad + ":4: sap.odata.host.port: Invalid value none for configuration sap.odata.host.port: " +
			"Not a number of type INT",
	} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("expected %q in\n%s", want, r.stdout)
		}
	}
	if r.code != 1 || strings.Contains(r.stdout+r.stderr, "hunter2") {
		t.Errorf("expected exit 1 and no secret, found %d and\n%s%s", r.code, r.stdout, r.stderr)
	}
	if r = p.run("validate", "--plugins", plugins(t), p.dir); r.code != 1 || !strings.Contains(r.stdout, bad+":4: ") ||
		!strings.Contains(r.stdout,
			worker+":3: ") {
		t.Errorf("expected a folder to stand for its files, found exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	var list []map[string]any
	r = p.run("validate", "--json", "--plugins", plugins(t), bad)
	if err := json.Unmarshal([]byte(r.stdout), &list); err != nil || len(list) < 3 || list[0]["file"] != bad {
		t.Errorf("expected a list, found %v in %s", err, r.stdout)
	}
	for setting, code := range map[string]string{"sap.odata.host.adress": "unknown",
		"sap.odata.host.port": "invalid-value", "sap.odata.host.address": "missing"} {
		if !slices.ContainsFunc(list, func(p map[string]any) bool {
			return p["setting"] == setting &&
				p["code"] == code
		}) {
			t.Errorf("expected %s as %s in %s", setting, code, r.stdout)
		}
	}
	if got := s.Ledger().Total; got != 0 {
		t.Errorf("expected validate to send nothing, the service saw %d requests", got)
	}
}

func TestPing(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	_, address := demo(t, service.Options{Rows: 10, User: "u", Password: "right"})
	lines := append(source("x", address, "Orders"), "sap.odata.user.name=u", "sap.odata.user.pwd=right")
	file := p.file("x.properties", lines...)
	r := p.run("ping", "-p", file, "-s", service.NorthwindPath, "--plugins", plugins(t))
	if r.code != 0 || !strings.Contains(r.stdout, "entitySets") {
		t.Errorf("exit %d, stdout %q\n%s", r.code, r.stdout, r.stderr)
	}
	var document map[string]any
	r = p.run("ping", "-p", file, "-s", service.NorthwindPath, "--plugins", plugins(t), "--json")
	if err := json.Unmarshal([]byte(r.stdout), &document); err != nil {
		t.Errorf("%v in %s", err, r.stdout)
	}
	r = p.run("list-entitysets", "-p", file, "-s", service.NorthwindPath, "--plugins", plugins(t))
	if r.code != 0 || !strings.Contains(r.stdout, "Order_Details") {
		t.Errorf("another command of the plugin: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	r = p.run("ping", "-p", file, "--plugins", plugins(t), "--help")
	if r.code != 0 || !strings.Contains(r.stdout, "--service") {
		t.Errorf("expected the plugin's options in the help, found exit %d\n%s", r.code, r.stdout)
	}
	if r = p.run("nonsense", "-p", file, "--plugins", plugins(t)); r.code != 2 || !strings.Contains(r.stderr, "ping") {
		t.Errorf("expected exit 2 and the commands there are, found %d\n%s", r.code, r.stderr)
	}
	misspelt := p.file("misspelt.properties", append(lines, "sap.odata.host.adress=x")...)
	if r = p.run("ping", "-p", misspelt, "-s", service.NorthwindPath, "--plugins", plugins(t)); r.code != 2 ||
		!strings.Contains(r.stderr,
			misspelt+":12: sap.odata.host.adress: unknown setting") {
		t.Errorf("expected exit 2 and the misspelt setting, found %d\n%s", r.code, r.stderr)
	}
	wrong := p.file("wrong.properties", append(lines, "sap.odata.user.pwd=hunter2")...)
	if r = p.run("ping", "-p", wrong, "-s", service.NorthwindPath, "--plugins", plugins(t)); r.code != 1 ||
		strings.Contains(r.stderr, "hunter2") {
		t.Errorf("expected exit 1 and no secret, found %d\n%s", r.code, r.stderr)
	}
}

// Converters are shown by what they declare, by their class or its last part.
func TestPluginsShowConverter(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	for args, wants := range map[string][]string{
		"JsonConverter": {"converter org.apache.kafka.connect.json.JsonConverter", "decimal.format", "BASE64"},
		"io.confluent.connect.avro.AvroConverter --template": {"\nvalue.converter=io.confluent.connect.avro.AvroConverter\n",
			"\nvalue.converter.schema.registry.url=\n", "\n#value.converter.auto.register.schemas=true\n"},
		"StringConverter --json": {`"class":"org.apache.kafka.connect.storage.StringConverter"`, `"default":"UTF-8"`},
	} {
		r := p.run(append([]string{"plugins", "show"}, strings.Fields(args)...)...)
		for _, want := range wants {
			if r.code != exitDone || !strings.Contains(r.stdout, want) {
				t.Errorf("plugins show %s: expected %q, found exit code %d, %s%s", args, want, r.code, r.stdout,
					r.stderr)
			}
		}
		if strings.Contains(r.stdout, "converter.type") {
			t.Errorf("plugins show %s shows what no user gives:\n%s", args, r.stdout)
		}
	}
}

func TestPlugins(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	r := p.run("plugins", "list", "--plugins", plugins(t))
	if r.code != 0 || !strings.Contains(r.stdout, "odata-source") || !strings.Contains(r.stdout, "0.1.0") {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	var list []struct {
		Name       string
		From       string
		Components []struct{ Class string }
	}
	r = p.run("plugins", "list", "--json", "--plugins", plugins(t))
	if err := json.Unmarshal([]byte(r.stdout), &list); err != nil || len(list) == 0 || len(list[0].Components) == 0 {
		t.Errorf("%v in %s", err, r.stdout)
	}
	r = p.run("plugins", "list", "--plugins", plugins(t, "smt"))
	for line := range strings.Lines(r.stdout) {
		if len(line) > 300 {
			t.Errorf("expected a component in each line, found %q", line)
		}
	}
	if want := "\n  transformation  org.apache.kafka.connect.transforms.Cast$Key\n"; !strings.Contains(r.stdout, want) {
		t.Errorf("expected %q in\n%s", want, r.stdout)
	}
	r = p.run("plugins", "show", "InsertField", "--template", "--plugins", plugins(t, "smt"))
	want := "no plugin has the source, sink, transformation or predicate InsertField; the nearest of "
	if r.code != 1 || !strings.HasPrefix(r.stderr, want) || !strings.Contains(r.stderr,
		": org.apache.kafka.connect.transforms.InsertField$Key, "+
			"org.apache.kafka.connect.transforms.InsertField$Value\n") || len(r.stderr) > 600 {
		t.Errorf("expected exit 1 and %q, found %d and\n%s", want, r.code, r.stderr)
	}
	r = p.run("plugins", "show", "odata-source", "--plugins", plugins(t))
	if r.code != 0 || !strings.Contains(r.stdout, "sap.odata.host.address") {
		t.Errorf("exit %d\n%s", r.code, r.stdout)
	}
	r = p.run("plugins", "show", "odata-source", "--template", "--plugins", plugins(t))
	template := p.file("template.properties", strings.Split(strings.TrimSuffix(r.stdout, "\n"), "\n")...)
	if r.code != 0 || !strings.Contains(r.stdout, "\nsap.odata.host.address=\n") || !strings.Contains(r.stdout,
		"\n#sap.odata#00.topic=") {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	r = p.run("validate", template, "--plugins", plugins(t))
	if want := "sap.odata.host.address: Missing required configuration"; r.code != 1 || !strings.Contains(r.stdout,
		want) ||
		strings.Contains(r.stdout, "unknown") {
		t.Errorf("expected what is to be filled in to be missing and nothing else to be wrong, found %d\n%s%s", r.code,
			r.stdout, r.stderr)
	}
	if r = p.run("plugins", "check", plugins(t)+"/odata-source.wasm"); r.code != 0 || !strings.Contains(r.stdout,
		"accepted") {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	empty := p.file("empty.wasm")
	if r = p.run("plugins", "check", empty); r.code != 1 || !strings.Contains(r.stderr, empty) || r.stdout != "" {
		t.Errorf("expected exit 1 and the file's name, found %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}
