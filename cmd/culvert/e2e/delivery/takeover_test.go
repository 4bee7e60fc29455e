package delivery

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/porttest"
)

// A worker shows what workers of another program have left in the topics of a group, and takes it over: a paused
// connector stays paused with its tasks, and one with an unknown class reports it. Afterwards the other program can
// continue.
func TestTakeover(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 10})
	servers := p.StartBroker()
	client := e2etest.NewClient(t, servers)
	e2etest.CreateTopics(t, client, "configs", "states", "offsets")
	put := func(key string, value any) {
		t.Helper()
		r := &kgo.Record{Topic: "configs", Key: []byte(key), Value: []byte(e2etest.AsJSON(t, value))}
		require.NoError(t, client.ProduceSync(t.Context(), r).FirstErr())
	}
	type object = map[string]any
	source := func(name string, settings ...string) object {
		return object{"properties": e2etest.SettingsOf(append(e2etest.Source(name, address, "Orders"), settings...))}
	}
	put("connector-runs", source("runs"))
	put("connector-paused", source("paused"))
	put("task-paused-0", source("paused", "task.class=com.example.Task"))
	put("commit-paused", object{"tasks": 1})
	put("target-state-paused", object{"state": "PAUSED", "state.v2": "PAUSED"})
	put("connector-foreign", object{"properties": object{"connector.class": "com.example.Foreign",
		"x.password": "c4n4ry"}})
	listen := porttest.Address(t)
	worker := p.File("worker.properties", "bootstrap.servers="+servers, "group.id=workers",
		"config.storage.topic=configs",
		"status.storage.topic=states", "offset.storage.topic=offsets", "session.timeout.ms=6000",
		"heartbeat.interval.ms=1000", "listeners=http://"+listen)
	plugins := []string{"--plugins", e2etest.Plugins(t), "--data", p.Data + "-worker"}
	cluster := func(code int, args ...string) e2etest.Result {
		t.Helper()
		return p.Run(append(append([]string{"cluster"}, args...), append(plugins,
			worker)...)...).WantCode(code).WantNo("c4n4ry")
	}

	check := cluster(1, "check").WantStdout("configs: connector-foreign: connector.class: no plugin has",
		"configs: connector-foreign: x.password: warning: a secret in clear text").WantOutput("1 problem, 1 warning")
	if lines := strings.Split(check.Stdout, "\n"); strings.Join(strings.Fields(lines[0]), " ") != "NAME CLASS STATE "+
		"TASKS OFFSETS" || strings.Join(strings.Fields(lines[1]), " ") != "foreign com.example.Foreign RUNNING 0 0" {
		t.Errorf("expected the titles and the row of foreign, found %q", lines[:2])
	}
	var shown struct {
		Connectors []struct {
			Name  string
			State string
			Tasks int
		}
		Problems []struct {
			Setting string
			Warning bool
		}
	}
	require.NoError(t, json.Unmarshal([]byte(cluster(1, "check", "--json").Stdout), &shown))
	if len(shown.Connectors) != 3 || shown.Connectors[1].Name != "paused" || shown.Connectors[1].State != "PAUSED" ||
		shown.Connectors[1].Tasks != 1 || len(shown.Problems) != 2 || shown.Problems[1].Setting != "x.password" {
		t.Errorf("expected three connectors, of which one is paused with a task, and two problems, found %+v", shown)
	}
	p.Run("cluster", "check", p.File("orders.properties", e2etest.Source("orders", address, "Orders")...)).WantCode(2).
		WantOutput("expected the file of a worker, found a connector's")
	p.Run("cluster", "check", p.File("alone.properties", "bootstrap.servers="+servers, "group.id=g")).WantCode(2).
		WantOutput("expected a worker of a group")

	w := p.StartWorkerAt(listen, append(plugins, worker)...)
	w.Await("runs", "runs", e2etest.IsRunning)
	w.Await("paused", "is paused", e2etest.HasState(connect.Paused, 1))
	w.AwaitCall(200, "GET", "/connectors/foreign/status", "", `"state":"UNASSIGNED"`,
		`"trace":"expected a worker with the plugins of class com.example.Foreign (com.example.Foreign of no plugin `+
			`of the leader), found none among 1"`)
	w.MustCall(409, "POST", "/connectors/foreign/restart", "",
		"connector foreign is assigned to no worker of the group: expected "+
			"a worker with the plugins of class com.example.Foreign")
	cluster(1, "release").
		WantOutput("a Culvert worker is live: stop it first, by SIGTERM (", "is over): http://"+listen)
	w.MustStop()
	cluster(0, "release").WantStdout("group workers: its leader is fenced", "runs: 1 task removed from topic configs",
		"topic configs: free for the next group that starts")
	if shown := cluster(1, "check", "--json").Stdout; strings.Count(shown, `"tasks":0`) != 3 {
		t.Errorf("expected no tasks, found %s", shown)
	}
}
