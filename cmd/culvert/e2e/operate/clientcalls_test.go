package operate

import (
	"encoding/json"
	"maps"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/check"
	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/rest"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// TestCallsOfClients makes calls that tools for Kafka Connect make, in their order, and expects what they go by. These
// are replays of what their sources say: none of the programs runs here. Single calls have TestRecordedCalls.
func TestCallsOfClients(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	_, address := e2etest.Demo(t, odatatest.Options{Rows: 10})
	f := p.Follows("conf", "log.level=error")
	of := func(name string) (settings map[string]string) {
		settings = e2etest.Configuration(e2etest.Source(name, address, "Customers"))
		settings["sap.odata#00.topic"] = strings.ReplaceAll(name, "->", "-")
		delete(settings, "name")
		return settings
	}
	created := func(name string, with map[string]any) string {
		with["name"], with["config"] = name, of(name)
		return e2etest.AsJSON(t, with)
	}
	gone := func(name string) {
		t.Helper()
		path := "/connectors/" + url.PathEscape(name)
		f.Must(204, "DELETE", path, "")
		f.Eventually(name+" to be gone", func() bool {
			status, answer := f.Call("GET", path+"/status", "")
			var refused struct{ Message string }
			return status == 404 && json.Unmarshal([]byte(answer), &refused) == nil &&
				refused.Message == "No status found for connector "+name
		})
	}

	// Strimzi: probes, creation in a state, maps that are equal, exact statuses, names with an arrow.
	f.Must(200, "GET", "/health", "")
	f.Must(404, "GET", "/connectors/a-%3Eb/config", "")
	f.Must(201, "POST", "/connectors", created("a->b", map[string]any{"initial_state": "running"}))
	f.Await("a-%3Eb", "runs", e2etest.Runs)
	config := e2etest.As[map[string]string](t, f.Must(200, "GET", "/connectors/a-%3Eb/config", ""))
	f.Must(200, "PUT", "/connectors/a-%3Eb/config", e2etest.AsJSON(t, config))
	f.Await("a-%3Eb", "runs", e2etest.Runs)
	f.Steer("a-%3Eb", "stop")
	if answer := f.Must(200, "DELETE", "/connectors/a-%3Eb/offsets", ""); !strings.HasPrefix(answer, `{"message":`) {
		t.Errorf("found %s", answer)
	}
	f.Must(204, "PUT", "/admin/loggers/some.logger?scope=cluster", `{"level":"INFO"}`)
	gone("a->b")

	// Terraform's provider: what is stored is what was sent, key by key, and it is gone at the end.
	f.Must(201, "POST", "/connectors", created("terraform", map[string]any{}))
	for _, change := range []map[string]string{{}, {"tasks.max": "2", "description": " as it is "}} {
		want := of("terraform")
		want["name"] = "terraform"
		maps.Copy(want, change)
		f.Must(200, "PUT", "/connectors/terraform/config", e2etest.AsJSON(t, want))
		found := e2etest.As[map[string]string](t, f.Must(200, "GET", "/connectors/terraform/config", ""))
		if !maps.Equal(want, found) {
			t.Errorf("expected %v, found %v", want, found)
		}
	}
	gone("terraform")

	// AKHQ: a check with little else than the class, for each plugin that is listed, and no definition that is null.
	for _, plugin := range e2etest.As[[]connect.Plugin](t, f.Must(200, "GET", "/connector-plugins", "")) {
		if plugin.Class == "" || plugin.Type == "" || plugin.Version == "" {
			t.Errorf("found %+v", plugin)
		}
		answer := f.Must(200, "PUT", "/connector-plugins/"+plugin.Class+"/config/validate",
			e2etest.AsJSON(t, map[string]string{"connector.class": plugin.Class, "topics": "getPlugins"}),
			`"order":1,`, `"order_in_group":1,`)
		v := e2etest.As[check.Validation](t, answer)
		if len(v.Configs) == 0 || strings.Contains(answer, `"definition":null`) {
			t.Errorf("%s: found %s", plugin.Class, answer)
		}
		for _, one := range v.Configs {
			if d := one.Definition; !regexp.MustCompile(`^(BOOLEAN|STRING|INT|SHORT|LONG|DOUBLE|LIST|CLASS|PASSWORD) ` +
				`(HIGH|MEDIUM|LOW) (NONE|SHORT|MEDIUM|LONG)$`).MatchString(d.Type + " " + d.Importance + " " +
				d.Width) {
				t.Errorf("found %+v", d)
			} else if plugin.Type == "source" && (d.Group == nil || d.Order < 1 || d.Order != d.InGroup) {
				t.Errorf("%s: expected a group and an order in it, found %+v", d.Name, d)
			}
		}
	}

	// kafbat's UI, AKHQ and Console: info and status of each, states of a closed list, both scalar in the connector.
	f.Must(201, "POST", "/connectors", created("shown", map[string]any{"initial_state": "PAUSED"}))
	f.Steer("shown", "resume")
	type shown struct {
		Info *struct {
			Config map[string]string
			Type   string
		}
		Status *struct {
			Connector map[string]string
			Tasks     []map[string]any
		}
	}
	expanded := e2etest.As[map[string]shown](t, f.Must(200, "GET", "/connectors?expand=info&expand=status", ""))
	if one := expanded["shown"]; one.Info == nil || one.Status == nil || one.Info.Config["connector.class"] == "" ||
		one.Info.Type != "source" || one.Status.Connector["state"] != "RUNNING" || len(one.Status.Tasks) != 1 {
		t.Errorf("found %+v", expanded)
	}
	f.Eventually("its topic", func() bool {
		_, answer := f.Call("GET", "/connectors/shown/topics", "")
		return answer == `{"shown":{"topics":["shown"]}}`
	})
	// Console shows what stands behind the first colon of a trace in Java's form.
	broken := of("shown")
	broken["sap.odata#00.entityset"] = "NotThere"
	f.Steer("shown", "pause") // its service judges what would end tasks that run
	f.Must(200, "PUT", "/connectors/shown/config", e2etest.AsJSON(t, broken))
	f.Must(202, "PUT", "/connectors/shown/resume", "")
	f.Eventually("a trace", func() bool {
		var s connect.Status
		e2etest.Get(t, f.Url+"/connectors/shown/status", &s)
		trace := s.Connector.Trace
		for _, task := range s.Tasks {
			trace += task.Trace
		}
		return regexp.MustCompile(`^[\w.$]+: .*NotThere(?s:.*)\n\tat `).MatchString(trace)
	})
	gone("shown")

	// kcctl: a version of Kafka's form, by which it knows what there is.
	root := e2etest.As[rest.Root](t, f.Must(200, "GET", "/", ""))
	if !regexp.MustCompile(`^([4-9]|3\.([7-9]|\d\d))\.?\d*`).MatchString(root.Version) || root.Cluster == "" {
		t.Errorf("found %+v", root)
	}
}
