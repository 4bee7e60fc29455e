package operate

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/porttest"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

func TestWrongUse(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
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
		{"log level", []string{"validate", "--log-level", "loud", p.File("a.properties", "connector.class=x")}, 2,
			"expected debug, info"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p.Run(c.args...).Exits(c.code).Says(c.want).PrintsNothing()
		})
	}
}

func TestHelpIsEverywhere(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	for _, words := range []string{"", "run", "consume", "validate", "test", "plugins", "plugins list", "plugins show",
		"plugins check", "broker", "version", "ping"} {
		r := p.Run(append(strings.Fields(words), "--help")...)
		if r.Code != 0 || !strings.Contains(r.Stdout, "Usage:") || words != "plugins" && !strings.Contains(r.Stdout,
			"Examples:") {
			t.Errorf("culvert %s --help: exit %d, stdout\n%s", words, r.Code, r.Stdout)
		}
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	s, address := e2etest.Demo(t, odatatest.Options{Rows: 10})
	good := p.File("good.properties", e2etest.Source("good", address, "Orders")...)
	p.Run("validate", "--plugins", e2etest.Plugins(t), good).Exits(0).PrintsNothing()
	bad := p.File("bad.json", `{"name": "bad", "config": {`, `"connector.class": "ODataSource",`,
		`"sap.odata.host.adress": "x",`,
		`"sap.odata.host.port": "none", "sap.odata.user.pwd": "hunter2"`, `}}`)
	worker := p.File("worker.properties", "bootstrap.servers=embedded", "group.id=x", "offset.flush.interval.ms=soon")
	p.Run("validate", "--plugins", e2etest.Plugins(t), worker, good, bad).Exits(1).Omits("hunter2").Prints(
		worker+":2: group.id: warning: has no effect",
		worker+":3: offset.flush.interval.ms: Invalid value soon for configuration offset.flush.interval.ms: "+
			"Not a number of type LONG",
		bad+`:1: sap.odata.host.address: Missing required configuration "sap.odata.host.address" which has no default value.`+"\n",
		bad+":3: sap.odata.host.adress: unknown setting; the nearest known one is sap.odata.host.address; with "+
			"unknown.settings=warn this is a warning\n",
		bad+":4: sap.odata.host.port: Invalid value none for configuration sap.odata.host.port: "+
			"Not a number of type INT")
	p.Run("validate", "--plugins", e2etest.Plugins(t), p.Dir).Exits(1).Prints(bad+":4: ", worker+":3: ")
	grouped := p.File("group/worker.properties", "bootstrap.servers=a:1", "group.id=x", "config.storage.topic=c",
		"status.storage.topic=s", "config.storage.secrets=refuse")
	refers := p.File("group/good.properties", append(e2etest.Source("good", address, "Orders"), "sap.odata.user.name=${env:PATH}",
		"sap.odata.user.pwd=hunter2")...)
	p.Run("validate", "--plugins", e2etest.Plugins(t), refers).Exits(0)
	p.Run("validate", "--plugins", e2etest.Plugins(t), grouped, refers).Exits(1).Omits("hunter2").Prints(
		"sap.odata.user.name: ", "config.providers=env", "config.storage.secrets=refuse keeps passwords out")
	var list []map[string]any
	r := p.Run("validate", "--json", "--plugins", e2etest.Plugins(t), bad)
	if err := json.Unmarshal([]byte(r.Stdout), &list); err != nil || len(list) < 3 || list[0]["file"] != bad {
		t.Errorf("expected a list, found %v in %s", err, r.Stdout)
	}
	for setting, code := range map[string]string{"sap.odata.host.adress": "unknown",
		"sap.odata.host.port": "invalid-value", "sap.odata.host.address": "missing"} {
		if !slices.ContainsFunc(list, func(p map[string]any) bool {
			return p["setting"] == setting &&
				p["code"] == code
		}) {
			t.Errorf("expected %s as %s in %s", setting, code, r.Stdout)
		}
	}
	if got := s.Ledger().Total; got != 0 {
		t.Errorf("expected validate to send nothing, the service saw %d requests", got)
	}
}

func TestPing(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	_, address := e2etest.Demo(t, odatatest.Options{Rows: 10, User: "u", Password: "right"})
	lines := append(e2etest.Source("x", address, "Orders"), "sap.odata.user.name=u", "sap.odata.user.pwd=right")
	file := p.File("x.properties", lines...)
	p.Run("ping", "-p", file, "-s", odatatest.NorthwindPath, "--plugins", e2etest.Plugins(t)).Exits(0).Prints("entitySets")
	r := p.Run("ping", "-p", file, "-s", odatatest.NorthwindPath, "--plugins", e2etest.Plugins(t), "--json")
	e2etest.As[map[string]any](t, r.Stdout)
	p.Run("list-entitysets", "-p", file, "-s", odatatest.NorthwindPath, "--plugins", e2etest.Plugins(t)).
		Exits(0).Prints("Order_Details")
	p.Run("ping", "-p", file, "--plugins", e2etest.Plugins(t), "--help").Exits(0).Prints("--service")
	p.Run("nonsense", "-p", file, "--plugins", e2etest.Plugins(t)).Exits(2).Says("ping")
	misspelt := p.File("misspelt.properties", append(lines, "sap.odata.host.adress=x")...)
	p.Run("ping", "-p", misspelt, "-s", odatatest.NorthwindPath, "--plugins", e2etest.Plugins(t)).
		Exits(2).Says(misspelt + ":12: sap.odata.host.adress: unknown setting")
	wrong := p.File("wrong.properties", append(lines, "sap.odata.user.pwd=hunter2")...)
	p.Run("ping", "-p", wrong, "-s", odatatest.NorthwindPath, "--plugins", e2etest.Plugins(t)).Exits(1).Omits("hunter2")
}

// Converters are shown by what they declare, by their class or its last part.
func TestPluginsShowConverter(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	for args, wants := range map[string][]string{
		"JsonConverter": {"org.apache.kafka.connect.json.JsonConverter", "converter", "decimal.format", "BASE64"},
		"io.confluent.connect.avro.AvroConverter": {"io.confluent.connect.avro.AvroConverter", "converter",
			"schema.registry.url", "auto.register.schemas"},
		"StringConverter --json": {`"class":"org.apache.kafka.connect.storage.StringConverter"`, `"default":"UTF-8"`},
	} {
		p.Run(append([]string{"plugins", "show"}, strings.Fields(args)...)...).
			Exits(0).Prints(wants...).Omits("converter.type")
	}
}

func TestPlugins(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	p.Run("plugins", "list", "--plugins", e2etest.Plugins(t)).Exits(0).Prints("odata-source", "0.1.0")
	var list []struct {
		Name       string
		From       string
		Components []struct{ Class string }
	}
	r := p.Run("plugins", "list", "--json", "--plugins", e2etest.Plugins(t))
	if err := json.Unmarshal([]byte(r.Stdout), &list); err != nil || len(list) == 0 || len(list[0].Components) == 0 {
		t.Errorf("%v in %s", err, r.Stdout)
	}
	r = p.Run("plugins", "list", "--plugins", e2etest.Plugins(t, "smt"))
	for line := range strings.Lines(r.Stdout) {
		if len(line) > 300 {
			t.Errorf("expected a component in each line, found %q", line)
		}
	}
	r.Prints("  transformation  org.apache.kafka.connect.transforms.Cast$Key\n")
	p.Run("plugins", "show", "odata-source", "--plugins", e2etest.Plugins(t)).Exits(0).Prints("sap.odata.host.address")
	p.Run("plugins", "check", e2etest.Plugins(t)+"/odata-source.wasm").Exits(0).Prints("accepted")
	empty := p.File("empty.wasm")
	p.Run("plugins", "check", empty).Exits(1).Says(empty).PrintsNothing()
}
