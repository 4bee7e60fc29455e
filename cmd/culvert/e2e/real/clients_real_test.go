//go:build real

package real

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// restClients are other authors' programs for Kafka Connect's REST API, and a worker for them.
type restClients struct {
	*e2etest.Worker
	home   string
	config map[string]string
}

// asked runs one of them and returns its output.
func (c *restClients) asked(want int, program string, args ...string) string {
	c.Place.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), e2etest.ToolLimit)
	defer cancel()
	run := exec.CommandContext(ctx, filepath.Join(c.home, program), args...)
	if strings.HasSuffix(program, ".js") {
		run = exec.CommandContext(ctx, "node", append([]string{filepath.Join(c.home, program)}, args...)...)
	}
	run.Env = append(os.Environ(), "NO_COLOR=1")
	var stderr strings.Builder
	run.Stderr = &stderr
	out, err := run.Output()
	if run.ProcessState == nil || run.ProcessState.ExitCode() != want {
		c.Place.T.Fatalf("%s %s: expected to exit with %d: %v\n%s%s", program, strings.Join(args, " "), want, err, out,
			stderr.String())
	}
	return string(out)
}

// in returns the configuration in JSON, with more settings.
func (c *restClients) in(more ...string) string {
	config := map[string]string{}
	for name, value := range c.config {
		config[name] = value
	}
	for i := 0; i < len(more); i += 2 {
		config[more[i]] = more[i+1]
	}
	return e2etest.AsJSON(c.Place.T, config)
}

// lines checks that an output has lines in this order.
func lines(t *testing.T, output string, want ...string) {
	t.Helper()
	remaining := output
	for _, line := range want {
		_, after, ok := strings.Cut(remaining, line)
		if !ok {
			t.Errorf("expected %q in its turn in\n%s", line, output)
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
	e2etest.NoError(t, err)
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 20})
	c := &restClients{p.StartWorker("conf"), strings.TrimSpace(string(home)), map[string]string{}}
	for _, line := range e2etest.Source("x", address, "Orders") {
		name, value, _ := strings.Cut(line, "=")
		if name != "name" {
			c.config[name] = value
		}
	}
	for _, part := range []struct {
		name string
		test func(*testing.T)
	}{{"Py", c.testPy}, {"CLI", c.testCLI}, {"Healthcheck", c.testHealthcheck}, {"Go", c.testGo},
		{"Node", c.testNode}} {
		t.Run(part.name, func(t *testing.T) {
			defer func(parent *testing.T) { p.T = parent }(p.T)
			p.T = t
			part.test(t)
			if names := c.Names(); len(names) > 0 {
				t.Errorf("expected no connector to be left, found %v", names)
			}
		})
	}
}

// kafka-connect-py 1.0.0.
func (c *restClients) testPy(t *testing.T) {
	kc := func(args ...string) string {
		return c.asked(0, "py/bin/kafka-connect", append([]string{"-u", c.URL}, args...)...)
	}
	lines(t, kc("info"), `"version"`, `"kafka_cluster_id"`)
	lines(t, kc("list-plugins"), "OData2SourceConnector")
	lines(t, kc("create", "-d", `{"name": "py", "config": `+c.in()+`}`), `"name": "py"`)
	c.Await("py", "runs", e2etest.IsRunning)
	lines(t, kc("list", "--expand", "status"), `"py"`, "RUNNING")
	lines(t, kc("list", "--state", "running"), `py`)
	lines(t, kc("update", "py", "-d", c.in("tasks.max", "2")), `"tasks.max": "2"`)
	c.Await("py", "runs", e2etest.IsRunning)
	lines(t, kc("get", "py"), `"name": "py"`, `"type": "source"`)
	lines(t, kc("config", "py"), `"tasks.max": "2"`)
	lines(t, kc("status", "py"), "RUNNING", c.URL[len("http://"):])
	lines(t, kc("list-tasks", "py"), `"task": 0`)
	lines(t, kc("task-status", "py", "0"), "RUNNING")
	c.Eventually("a topic", func() bool { return strings.Contains(kc("list-topics", "py"), "Orders") })
	kc("reset-topics", "py")
	kc("pause", "py")
	c.Await("py", "is paused", e2etest.HasState(connect.Paused, 1))
	kc("resume", "--all", "--state", "paused")
	c.Await("py", "runs", e2etest.IsRunning)
	kc("restart-task", "py", "0")
	// The program requests the status after the response, when the tasks may run again.
	lines(t, kc("restart", "py", "--include-tasks"), `"name": "py"`, `"tasks": [`)
	c.AwaitStderr("POST /connectors/py/restart?includeTasks=True")
	c.Await("py", "runs", e2etest.IsRunning)
	// The program sends the settings as a member of an object, which Kafka Connect answers with 500, too.
	lines(t, kc("validate-config", "ODataSource", "-d", c.in("name", "py")), "500 Server Error")
	kc("delete", "py")
	c.Eventually("it to be gone", func() bool { return len(c.Names()) == 0 })
}

// kafka-connect-cli 0.2.5.
func (c *restClients) testCLI(t *testing.T) {
	cli := func(args ...string) string {
		return c.asked(0, "cli/bin/kafka_connect", append(args, "--url", c.URL)...)
	}
	cli("connector", "create", "--name", "cli", "--configuration", c.in())
	c.Await("cli", "runs", e2etest.IsRunning)
	lines(t, cli("connector", "list"), "cli")
	lines(t, cli("connector", "get", "--name", "cli"), `"connector": "cli"`, "RUNNING")
	lines(t, cli("connector", "configuration", "--name", "cli"), "ODataSource")
	cli("connector", "update", "--name", "cli", "--configuration", c.in("tasks.max", "2"))
	c.Await("cli", "runs", e2etest.IsRunning)
	lines(t, cli("task", "list", "--connector", "cli"), "0")
	cli("task", "restart", "--connector", "cli", "--task", "0")
	cli("connector", "pause", "--name", "cli")
	c.Await("cli", "is paused", e2etest.HasState(connect.Paused, 1))
	cli("connector", "resume", "--name", "cli")
	c.Await("cli", "runs", e2etest.IsRunning)
	cli("connector", "restart", "--name", "cli")
	c.Await("cli", "runs", e2etest.IsRunning)
	cli("health-check")
	cli("connector", "delete", "--name", "cli")
	c.Eventually("it to be gone", func() bool { return len(c.Names()) == 0 })
}

// kafka-connect-healthcheck 0.3.0 is a server next to the worker.
func (c *restClients) testHealthcheck(t *testing.T) {
	port := e2etest.FreePort(t)
	ctx, cancel := context.WithCancel(context.Background())
	check := exec.CommandContext(ctx, filepath.Join(c.home, "healthcheck/bin/kafka-connect-healthcheck"),
		"--connect-url", c.URL, "--connect-worker-id", strings.TrimPrefix(c.URL, "http://"), "--port", port)
	e2etest.NoError(t, check.Start())
	defer func() {
		cancel()
		check.Wait()
	}()
	says := func(status int, healthy bool) bool {
		client := http.Client{Timeout: time.Minute}
		r, err := client.Get("http://127.0.0.1:" + port + "/")
		if err != nil {
			return false
		}
		defer r.Body.Close()
		var body struct{ Healthy bool }
		return json.NewDecoder(r.Body).Decode(&body) == nil && r.StatusCode == status && body.Healthy == healthy
	}
	c.Eventually("the check to say that all is well", func() bool { return says(200, true) })
	// The service does not exist, so the task fails.
	c.MustCall(201, "PUT", "/connectors/health/config", c.in("sap.odata.host.port", e2etest.FreePort(t),
		"sap.odata.max.retries", "0"))
	c.Eventually("the check to say that it is not", func() bool { return says(503, false) })
	c.MustCall(204, "DELETE", "/connectors/health", "")
	c.Eventually("the check to say that all is well", func() bool { return says(200, true) })
}

// github.com/go-kafka/connect v0.9.0.
func (c *restClients) testGo(t *testing.T) {
	lines(t, c.asked(0, "go-client", c.URL, "go", c.in()), "CreateConnector 201 null <nil>",
		"GetConnectorStatus 200 ", `"state":"RUNNING"`, "ListConnectors 200 [\"go\"]", "GetConnector 200 ",
		"ODataSource",
		"GetConnectorConfig 200 ", "ODataSource", "GetConnectorTasks 200 [{", "UpdateConnectorConfig 200 ",
		`"tasks.max":"2"`,
		"PauseConnector 202 null <nil>", "ResumeConnector 202 null <nil>", "RestartConnector 204 null <nil>",
		"DeleteConnector 204 null <nil>", "GetConnectorOfNone 404 ", "Connector go not found")
}

// kafka-connect-client 2.3.0 sends forms as empty bodies, which Kafka Connect rejects with 415, too.
func (c *restClients) testNode(t *testing.T) {
	host, port, _ := strings.Cut(strings.TrimPrefix(c.URL, "http://"), ":")
	lines(t, c.asked(0, "client.js", host, port, "node", c.in()), "getCluster 200 ", "getConnectorPlugins 200 ",
		"createConnector 201 ", `"name":"node"`, "getStatus 200 ", "RUNNING", `getConnectors 200 ["node"]`,
		`getConnectorsExpanded 200 {"node":{"status":`, "get 200 ", "getConfig 200 ", "updateConfig 200 ",
		`"tasks.max":"2"`,
		"getTasks 200 ", "getOffsets 200 ", "pause 415 ", "resume 415 ", "stop 415 ", "resetTopics 415 ",
		"alterOffsets 400 ", "delete 204 ", "getStatusOfNone 404 ")
}
