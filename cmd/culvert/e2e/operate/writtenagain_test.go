package operate

import (
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// A connector that has failed is started again by whoever writes the configuration that it has, by PUT or by PATCH, as
// by Kafka Connect: there is nothing else that it would be written for.
func TestFailedConnectorsStartWhenWrittenAgain(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	_, address := e2etest.Demo(t, odatatest.Options{Rows: 10})
	f := p.Follows("conf")
	f.Ready()
	for method, same := range map[string]string{"PUT": "", "PATCH": "{}"} {
		name := strings.ToLower(method)
		// A store that is not there is found when the connector starts; that no TLS is spoken, by its task.
		store, err := os.ReadFile(filepath.Join(e2etest.Stores(t), "trust.jks"))
		e2etest.NoError(t, err)
		file := e2etest.Put(t, p.Dir, name+".jks", store)
		settings := e2etest.Configuration(e2etest.Instead(e2etest.Source(name, address, "Customers"), "sap.odata.host.protocol=https",
			"sap.odata.truststore.location="+file, "sap.odata.truststore.password="+e2etest.StorePassword))
		settings["sap.odata#00.topic"] = name
		whole := e2etest.AsJSON(t, settings)
		if same == "" {
			same = whole
		}
		in := func(state connect.State) func(connect.Status) bool {
			return func(s connect.Status) bool { return s.Connector.State == state }
		}
		f.Must(201, "PUT", "/connectors/"+name+"/config", whole)
		f.Await(name, "runs", in(connect.Running))
		e2etest.NoError(t, os.Remove(file))
		f.Must(204, "POST", "/connectors/"+name+"/restart", "")
		f.Await(name, "has failed", in(connect.Failed))
		e2etest.Put(t, p.Dir, name+".jks", store)
		f.Must(200, method, "/connectors/"+name+"/config", same)
		f.Await(name, "runs", in(connect.Running))
	}
}

// A connector is made under the name that was asked for, or not at all: a reference in it is not resolved, a space that
// Java does not trim stays, and what a file cannot hold is refused.
func TestOddNamesAndSizes(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	_, address := e2etest.Demo(t, odatatest.Options{Rows: 1})
	f := p.Follows("conf")
	f.Ready()
	plain := e2etest.Configuration(e2etest.Source("", address, "Customers"))
	delete(plain, "name")
	body := func(name string, more int) string {
		settings := maps.Clone(plain)
		for i := range more {
			settings[fmt.Sprintf("unknown.%d", i)] = "x"
		}
		if more > 0 {
			settings["unknown.settings"] = "warn"
		}
		return e2etest.AsJSON(t, map[string]any{"name": name, "initial_state": "STOPPED", "config": settings})
	}
	for _, name := range []string{"\u00a0a", "a->b", "<&>", "a\u3000", "con", ".hidden"} {
		answer := f.Must(201, "POST", "/connectors", body(name, 0))
		if made := e2etest.As[connect.Info](t, answer); made.Name != name || made.Config["name"] != name ||
			made.Type != "source" || !strings.HasPrefix(answer, `{"name":"`+name+`",`) {
			t.Errorf("%q: found %s", name, answer)
		}
		if names := f.Names(); !slices.Equal(names, []string{name}) {
			t.Errorf("%q: found %q", name, names)
		}
		f.Must(200, "GET", "/connectors/"+url.PathEscape(name)+"/config", "")
		f.Must(204, "DELETE", "/connectors/"+url.PathEscape(name), "")
	}
	for name, why := range map[string]string{
		"${env:HOME}": "found a reference to a config provider",
		"a\u0085b":    "String may not contain control sequences but had the following ASCII chars: 133",
		"a\u007fb":    "String may not contain control sequences but had the following ASCII chars: 127",
	} {
		f.Must(400, "POST", "/connectors", body(name, 0), why)
	}
	many := body("many", config.MaxSettings)
	f.Must(400, "POST", "/connectors", many, "expected at most 10000 settings, found 100")
	f.Must(200, "POST", "/culvert/diff", strings.Replace(many, `"initial_state": "STOPPED",`, "", 1), `"effect":"refuse"`,
		"expected at most 10000 settings, found 100")
	if names := f.Names(); len(names) > 0 {
		t.Errorf("found %q", names)
	}
	f.Must(201, "POST", "/connectors", body("many", config.MaxSettings-100))
	shown := f.Shown("many")
	if want := config.MaxSettings - 100 + len(plain) + 2; len(shown) != want { // name and unknown.settings
		t.Errorf("expected %d settings, found %d", want, len(shown))
	}
}
