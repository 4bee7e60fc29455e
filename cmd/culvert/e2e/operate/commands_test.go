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
	// Nobody waits through ten retries to learn that a port is closed: a command asks once.
	closed := p.File("closed.properties", e2etest.Instead(e2etest.Source("orders", porttest.Address(t), "Orders"),
		"sap.odata.max.retries=10", "sap.odata.min.retry.backoff.ms=3600000", "sap.odata.max.retry.backoff.ms=3600000")...)
	p.Run("ping", "-p", closed, "-s", odatatest.NorthwindPath, "--plugins", e2etest.Plugins(t)).
		Exits(1).Says("connection refused")
	wrong := p.File("wrong.properties", append(lines, "sap.odata.user.pwd=hunter2")...)
	p.Run("ping", "-p", wrong, "-s", odatatest.NorthwindPath, "--plugins", e2etest.Plugins(t)).Exits(1).Omits("hunter2")
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
	// Converters are shown by what they declare, by their class or its last part.
	for args, wants := range map[string][]string{
		"JsonConverter": {"org.apache.kafka.connect.json.JsonConverter", "converter", "decimal.format", "BASE64"},
		"io.confluent.connect.avro.AvroConverter --json": {`"class":"io.confluent.connect.avro.AvroConverter"`,
			"schema.registry.url", "auto.register.schemas"},
	} {
		p.Run(append([]string{"plugins", "show"}, strings.Fields(args)...)...).
			Exits(0).Prints(wants...).Omits("converter.type")
	}
}
