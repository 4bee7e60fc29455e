package main

import (
	"encoding/json"
	"maps"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/examples/demo-service/service"
	"github.com/culvert-project/culvert/host/check"
	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/rest"
)

// TestCallsOfClients makes the calls that tools for Kafka Connect make, in their order, and expects what they go by.
// These are replays of what their sources say: none of the programs runs here.
func TestCallsOfClients(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	_, address := demo(t, service.Options{Rows: 10})
	p.subfolder("conf")
	f := p.follows("conf", "log.level=error")
	of := func(name string) (settings map[string]string) {
		settings = configuration(source(name, address, "Customers"))
		settings["sap.odata#00.topic"] = strings.ReplaceAll(name, "->", "-")
		delete(settings, "name")
		return settings
	}
	created := func(name string, with map[string]any) string {
		with["name"], with["config"] = name, of(name)
		return asJSON(t, with)
	}
	decoded := func(answer string, into any) {
		t.Helper()
		if err := json.Unmarshal([]byte(answer), into); err != nil {
			t.Fatalf("%v in %s", err, answer)
		}
	}
	gone := func(name string) {
		t.Helper()
		path := "/connectors/" + url.PathEscape(name)
		f.must(204, "DELETE", path, "")
		f.eventually(name+" to be gone", func() bool {
			status, answer := f.call("GET", path+"/status", "")
			var refused struct{ Message string }
			return status == 404 && json.Unmarshal([]byte(answer), &refused) == nil &&
				refused.Message == "No status found for connector "+name
		})
	}

	// Strimzi: probes, creation in a state, maps that are equal, exact statuses, names with an arrow.
	f.must(200, "GET", "/health", "")
	f.must(404, "GET", "/connectors/a-%3Eb/config", "")
	f.must(201, "POST", "/connectors", created("a->b", map[string]any{"initial_state": "running"}))
	f.await("a-%3Eb", "runs", runs)
	var config map[string]string
	decoded(f.must(200, "GET", "/connectors/a-%3Eb/config", ""), &config)
	if want := of("a->b"); config["name"] != "a->b" || len(config) != len(want)+1 {
		t.Errorf("expected what was sent and the name, found %v", config)
	}
	f.must(200, "PUT", "/connectors/a-%3Eb/config", asJSON(t, config))
	f.await("a-%3Eb", "runs", runs)
	f.must(202, "PUT", "/connectors/a-%3Eb/pause", "")
	f.must(202, "PUT", "/connectors/a-%3Eb/resume", "")
	f.await("a-%3Eb", "runs", runs)
	f.must(202, "POST", "/connectors/a-%3Eb/restart?includeTasks=true&onlyFailed=true", "")
	f.must(204, "POST", "/connectors/a-%3Eb/tasks/0/restart", "")
	f.must(204, "PUT", "/connectors/a-%3Eb/stop", "")
	f.await("a-%3Eb", "is stopped", is(connect.Stopped, 0))
	f.must(200, "GET", "/connectors/a-%3Eb/offsets", "")
	if answer := f.must(200, "DELETE", "/connectors/a-%3Eb/offsets", ""); !strings.HasPrefix(answer, `{"message":`) {
		t.Errorf("found %s", answer)
	}
	f.must(200, "GET", "/admin/loggers/", "")
	f.must(204, "PUT", "/admin/loggers/some.logger?scope=cluster", `{"level":"INFO"}`)
	gone("a->b")

	// Terraform's provider: what is stored is what was sent, key by key, and it is gone at the end.
	f.must(201, "POST", "/connectors", created("terraform", map[string]any{}))
	for _, change := range []map[string]string{{}, {"tasks.max": "2", "description": " as it is "}} {
		want := of("terraform")
		want["name"] = "terraform"
		maps.Copy(want, change)
		f.must(200, "PUT", "/connectors/terraform/config", asJSON(t, want))
		var found map[string]string
		decoded(f.must(200, "GET", "/connectors/terraform/config", ""), &found)
		if !maps.Equal(want, found) {
			t.Errorf("expected %v, found %v", want, found)
		}
	}
	gone("terraform")

	// AKHQ: a check with little else than the class, for each plugin that is listed, and no definition that is null.
	var plugins []connect.Plugin
	decoded(f.must(200, "GET", "/connector-plugins", ""), &plugins)
	for _, plugin := range plugins {
		if plugin.Class == "" || plugin.Type == "" || plugin.Version == "" {
			t.Errorf("found %+v", plugin)
		}
		answer := f.must(200, "PUT", "/connector-plugins/"+plugin.Class+"/config/validate",
			asJSON(t, map[string]string{"connector.class": plugin.Class, "topics": "getPlugins"}))
		var v check.Validation
		decoded(answer, &v)
		if len(v.Configs) == 0 || strings.Contains(answer, `"definition":null`) || !strings.Contains(answer,
			`"order":1,`) ||
			!strings.Contains(answer, `"order_in_group":1,`) {
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
	f.must(201, "POST", "/connectors", created("shown", map[string]any{"initial_state": "PAUSED"}))
	f.must(202, "PUT", "/connectors/shown/resume", "")
	f.await("shown", "runs", runs)
	var expanded map[string]struct {
		Info *struct {
			Config map[string]string
			Type   string
		}
		Status *struct {
			Connector map[string]string
			Tasks     []map[string]any
		}
	}
	decoded(f.must(200, "GET", "/connectors?expand=info&expand=status", ""), &expanded)
	if one := expanded["shown"]; one.Info == nil || one.Status == nil || one.Info.Config["connector.class"] == "" ||
		one.Info.Type != "source" || one.Status.Connector["state"] != "RUNNING" || len(one.Status.Tasks) != 1 {
		t.Errorf("found %+v", expanded)
	}
	f.eventually("its topic", func() bool {
		_, answer := f.call("GET", "/connectors/shown/topics", "")
		return answer == `{"shown":{"topics":["shown"]}}`
	})
	f.must(202, "PUT", "/connectors/shown/topics/reset", "")
	if answer := f.must(400, "DELETE", "/connectors/shown/offsets", ""); !strings.Contains(answer, "STOPPED") {
		t.Errorf("found %s", answer)
	}
	// Console shows what stands behind the first colon of a trace in Java's form.
	broken := of("shown")
	broken["sap.odata#00.entityset"] = "NotThere"
	f.must(200, "PUT", "/connectors/shown/config", asJSON(t, broken))
	f.eventually("a trace", func() bool {
		var s connect.Status
		get(t, f.url+"/connectors/shown/status", &s)
		trace := s.Connector.Trace
		for _, task := range s.Tasks {
			trace += task.Trace
		}
		return regexp.MustCompile(`^[\w.$]+: .*NotThere(?s:.*)\n\tat `).MatchString(trace)
	})
	gone("shown")

	// kcctl: a version of Kafka's form, by which it knows what there is; then what its commands call.
	var root rest.Root
	decoded(f.must(200, "GET", "/", ""), &root)
	if !regexp.MustCompile(`^([4-9]|3\.([7-9]|\d\d))\.?\d*`).MatchString(root.Version) || root.Cluster == "" {
		t.Errorf("found %+v", root)
	}
	f.must(200, "GET", "/connector-plugins?connectorsOnly=false", "")
	f.must(200, "GET", "/connector-plugins/ODataSource/config", "")
	full := of("kcctl")
	full["name"] = "kcctl"
	f.must(200, "PUT", "/connector-plugins/ODataSource/config/validate", asJSON(t, full))
	f.must(201, "POST", "/connectors/", created("kcctl", map[string]any{}))
	f.await("kcctl", "runs", runs)
	f.must(200, "GET", "/connectors/?expand=status", "")
	for _, path := range []string{"", "/config", "/status", "/tasks", "/topics", "/offsets", "/tasks/0/status"} {
		f.must(200, "GET", "/connectors/kcctl"+path, "")
	}
	f.must(200, "PUT", "/connectors/kcctl/config", asJSON(t, full))
	f.must(204, "POST", "/connectors/kcctl/restart", "")
	f.must(200, "GET", "/admin/loggers/root", "")
	f.must(200, "PUT", "/admin/loggers/some.logger", `{"level":"INFO"}`)
	f.must(204, "PUT", "/connectors/kcctl/stop", "")
	gone("kcctl")
}
