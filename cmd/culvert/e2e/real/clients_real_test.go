//go:build real

package real

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// restClients are other authors' programs for Kafka Connect's REST API, and a worker for them.
type restClients struct {
	*e2etest.Worker
	home     string
	settings map[string]string
}

// run runs a client, which must succeed, and returns its output.
func (c *restClients) run(program string, args ...string) string {
	c.Place.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), e2etest.ToolLimit)
	defer cancel()
	command := exec.CommandContext(ctx, filepath.Join(c.home, program), args...)
	if strings.HasSuffix(program, ".js") {
		command = exec.CommandContext(ctx, "node", append([]string{filepath.Join(c.home, program)}, args...)...)
	}
	command.Env = append(os.Environ(), "NO_COLOR=1")
	var stderr strings.Builder
	command.Stderr = &stderr
	out, err := command.Output()
	require.True(c.Place.T, err == nil,
		"%s %s: expected exit 0, found %v\n%s%s", program, strings.Join(args, " "), err, out, stderr.String())
	return string(out)
}

// configuration returns the settings in JSON, with more settings.
func (c *restClients) configuration(more ...string) string {
	changed := maps.Clone(c.settings)
	for i := 0; i < len(more); i += 2 {
		changed[more[i]] = more[i+1]
	}
	return e2etest.AsJSON(c.Place.T, changed)
}

// checkInOrder checks that an output contains texts in this order.
func checkInOrder(t *testing.T, output string, want ...string) {
	t.Helper()
	remaining := output
	for _, text := range want {
		_, after, ok := strings.Cut(remaining, text)
		if !ok {
			t.Errorf("expected %q after the texts before it, found\n%s", text, output)
			return
		}
		remaining = after
	}
}

// TestRealClients lets other authors' clients of Kafka Connect's REST API operate a worker.
func TestRealClients(t *testing.T) {
	t.Parallel()
	fetch := exec.Command("../../../../testdata/peers/clients/fetch.sh")
	fetch.Stderr = os.Stderr
	home, err := fetch.Output()
	require.NoError(t, err)
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 20})
	c := &restClients{Worker: p.StartWorker("conf"), home: strings.TrimSpace(string(home)),
		settings: map[string]string{}}
	for _, line := range e2etest.Source("x", address, "Orders") {
		name, value, _ := strings.Cut(line, "=")
		if name != "name" {
			c.settings[name] = value
		}
	}
	for _, part := range []struct {
		name string
		test func(*testing.T)
	}{
		{name: "Py", test: c.testPy},
		{name: "CLI", test: c.testCLI},
		{name: "Healthcheck", test: c.testHealthcheck},
		{name: "Go", test: c.testGo},
		{name: "Node", test: c.testNode},
	} {
		t.Run(part.name, func(t *testing.T) {
			defer func(parent *testing.T) { p.T = parent }(p.T)
			p.T = t
			part.test(t)
			assert.Len(t, 0, c.ConnectorNames(), "connector to be left")
		})
	}
}

// kafka-connect-py 1.0.0.
func (c *restClients) testPy(t *testing.T) {
	callPy := func(args ...string) string {
		return c.run("py/bin/kafka-connect", append([]string{"-u", c.URL}, args...)...)
	}
	checkInOrder(t, callPy("info"), `"version"`, `"kafka_cluster_id"`)
	checkInOrder(t, callPy("list-plugins"), "OData2SourceConnector")
	checkInOrder(t, callPy("create", "-d", `{"name": "py", "config": `+c.configuration()+`}`), `"name": "py"`)
	c.Await("py", "runs", e2etest.IsRunning)
	checkInOrder(t, callPy("list", "--expand", "status"), `"py"`, "RUNNING")
	checkInOrder(t, callPy("list", "--state", "running"), `py`)
	checkInOrder(t, callPy("update", "py", "-d", c.configuration("tasks.max", "2")), `"tasks.max": "2"`)
	c.Await("py", "runs", e2etest.IsRunning)
	checkInOrder(t, callPy("get", "py"), `"name": "py"`, `"type": "source"`)
	checkInOrder(t, callPy("config", "py"), `"tasks.max": "2"`)
	checkInOrder(t, callPy("status", "py"), "RUNNING", c.URL[len("http://"):])
	checkInOrder(t, callPy("list-tasks", "py"), `"task": 0`)
	checkInOrder(t, callPy("task-status", "py", "0"), "RUNNING")
	c.Eventually("a topic", func() bool { return strings.Contains(callPy("list-topics", "py"), "Orders") })
	callPy("reset-topics", "py")
	callPy("pause", "py")
	c.Await("py", "is paused", e2etest.HasState(connect.Paused, 1))
	callPy("resume", "--all", "--state", "paused")
	c.Await("py", "runs", e2etest.IsRunning)
	callPy("restart-task", "py", "0")
	// The program requests the status after the response, when the tasks may run again.
	checkInOrder(t, callPy("restart", "py", "--include-tasks"), `"name": "py"`, `"tasks": [`)
	c.AwaitStderr("POST /connectors/py/restart?includeTasks=True")
	c.Await("py", "runs", e2etest.IsRunning)
	// The program sends the settings as a member of an object, which Kafka Connect answers with 500, too.
	checkInOrder(t, callPy("validate-config", "ODataSource", "-d", c.configuration("name", "py")), "500 Server Error")
	callPy("delete", "py")
	c.Eventually("it to be gone", func() bool { return len(c.ConnectorNames()) == 0 })
}

// kafka-connect-cli 0.2.5.
func (c *restClients) testCLI(t *testing.T) {
	callCLI := func(args ...string) string {
		return c.run("cli/bin/kafka_connect", append(args, "--url", c.URL)...)
	}
	callCLI("connector", "create", "--name", "cli", "--configuration", c.configuration())
	c.Await("cli", "runs", e2etest.IsRunning)
	checkInOrder(t, callCLI("connector", "list"), "cli")
	checkInOrder(t, callCLI("connector", "get", "--name", "cli"), `"connector": "cli"`, "RUNNING")
	checkInOrder(t, callCLI("connector", "configuration", "--name", "cli"), "ODataSource")
	callCLI("connector", "update", "--name", "cli", "--configuration", c.configuration("tasks.max", "2"))
	c.Await("cli", "runs", e2etest.IsRunning)
	checkInOrder(t, callCLI("task", "list", "--connector", "cli"), "0")
	callCLI("task", "restart", "--connector", "cli", "--task", "0")
	callCLI("connector", "pause", "--name", "cli")
	c.Await("cli", "is paused", e2etest.HasState(connect.Paused, 1))
	callCLI("connector", "resume", "--name", "cli")
	c.Await("cli", "runs", e2etest.IsRunning)
	callCLI("connector", "restart", "--name", "cli")
	c.Await("cli", "runs", e2etest.IsRunning)
	callCLI("health-check")
	callCLI("connector", "delete", "--name", "cli")
	c.Eventually("it to be gone", func() bool { return len(c.ConnectorNames()) == 0 })
}

// kafka-connect-healthcheck 0.3.0 is a server next to the worker.
func (c *restClients) testHealthcheck(t *testing.T) {
	port := e2etest.FreePort(t)
	ctx, cancel := context.WithCancel(context.Background())
	check := exec.CommandContext(ctx, filepath.Join(c.home, "healthcheck/bin/kafka-connect-healthcheck"),
		"--connect-url", c.URL, "--connect-worker-id", strings.TrimPrefix(c.URL, "http://"), "--port", port)
	require.NoError(t, check.Start())
	defer func() {
		cancel()
		check.Wait()
	}()
	answers := func(status int, healthy bool) bool {
		client := http.Client{Timeout: time.Minute}
		r, err := client.Get("http://127.0.0.1:" + port + "/")
		if err != nil {
			return false
		}
		defer r.Body.Close()
		var body struct{ Healthy bool }
		return json.NewDecoder(r.Body).Decode(&body) == nil && r.StatusCode == status && body.Healthy == healthy
	}
	c.Eventually("the check to say that all is well", func() bool { return answers(200, true) })
	// The service does not exist, so the task fails.
	c.MustCall(201, "PUT", "/connectors/health/config", c.configuration("sap.odata.host.port", e2etest.FreePort(t),
		"sap.odata.max.retries", "0"))
	c.Eventually("the check to say that it is not", func() bool { return answers(503, false) })
	c.MustCall(204, "DELETE", "/connectors/health", "")
	c.Eventually("the check to say that all is well", func() bool { return answers(200, true) })
}

// github.com/go-kafka/connect v0.9.0.
func (c *restClients) testGo(t *testing.T) {
	checkInOrder(t, c.run("go-client", c.URL, "go", c.configuration()), "CreateConnector 201 null <nil>",
		"GetConnectorStatus 200 ", `"state":"RUNNING"`, "ListConnectors 200 [\"go\"]", "GetConnector 200 ",
		"ODataSource", "GetConnectorConfig 200 ", "ODataSource", "GetConnectorTasks 200 [{",
		"UpdateConnectorConfig 200 ", `"tasks.max":"2"`,
		"PauseConnector 202 null <nil>", "ResumeConnector 202 null <nil>", "RestartConnector 204 null <nil>",
		"DeleteConnector 204 null <nil>", "GetConnectorOfNone 404 ", "Connector go not found")
}

// kafka-connect-client 2.3.0 sends forms as empty bodies, which Kafka Connect rejects with 415, too.
func (c *restClients) testNode(t *testing.T) {
	host, port, _ := strings.Cut(strings.TrimPrefix(c.URL, "http://"), ":")
	checkInOrder(t, c.run("client.js", host, port, "node", c.configuration()), "getCluster 200 ",
		"getConnectorPlugins 200 ", "createConnector 201 ", `"name":"node"`, "getStatus 200 ", "RUNNING",
		`getConnectors 200 ["node"]`, `getConnectorsExpanded 200 {"node":{"status":`, "get 200 ", "getConfig 200 ",
		"updateConfig 200 ", `"tasks.max":"2"`,
		"getTasks 200 ", "getOffsets 200 ", "pause 415 ", "resume 415 ", "stop 415 ", "resetTopics 415 ",
		"alterOffsets 400 ", "delete 204 ", "getStatusOfNone 404 ")
}
