package operate

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/check"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/porttest"
)

// A connector is paused, stopped, resumed and restarted by REST; each of its rows arrives once.
func TestConnectorsAreSteered(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 10})
	p.File("conf/calm.properties", e2etest.Source("calm", address, "Customers")...)
	f := p.StartWorker("conf")
	f.Await("calm", "runs", e2etest.IsRunning)
	f.Steer("calm", "pause")
	f.MustCall(204, "POST", "/connectors/calm/restart", "") // it stays paused
	f.Steer("calm", "resume")
	f.Steer("calm", "stop")
	f.MustCall(404, "POST", "/connectors/calm/tasks/0/restart", "") // a stopped connector has no tasks
	f.Steer("calm", "resume")
	s := e2etest.Decode[connect.Status](t, f.MustCall(202, "POST", "/connectors/calm/restart?includeTasks=true", ""))
	assert.True(t, e2etest.HasState(connect.Restarting, 1)(s),
		"expected connector and task to be RESTARTING, found %+v", s)
	f.AwaitStarts("calm", 4)
	f.Await("calm", "runs", e2etest.IsRunning)
	f.MustCall(204, "POST", "/connectors/calm/tasks/0/restart", "")
	f.AwaitStderr(`msg="the task is restarted on request" connector=calm task=0`)
	f.Await("calm", "runs", e2etest.IsRunning)
	f.MustCall(404, "PUT", "/connectors/ghost/pause", "")
	for _, query := range []string{"", "?onlyFailed=false&includeTasks=false", "?onlyFailed=true&includeTasks=true"} {
		f.MustCall(404, "POST", "/connectors/ghost/restart"+query, "", "Unknown connector: ghost")
	}

	// Validation reports errors, hides passwords, and changes nothing.
	answer := f.MustCall(200, "PUT", "/connector-plugins/ODataSource/config/validate",
		`{"name": "new", "connector.class": "ODataSource", "tasks.max": 0, "sap.odata.user.pwd": "geheim", "sap.odata.host.adress": "x"}`,
		"Value must be at least 1", "the nearest known one is sap.odata.host.address")
	if v := e2etest.Decode[check.Validation](t, answer); v.ErrorCount < 2 || strings.Contains(answer, "geheim") {
		t.Errorf("expected at least two errors and no password, found %s", answer)
	}
	// A connector without a name does not have the name of the request.
	e2etest.MustNotContain(t, "the comparison", f.MustCall(200, "POST", "/culvert/diff",
		`{"text": "connector.class=ODataSource\nname="}`, "String may not be empty"), "the request")
	for pathClass, configClass := range map[string]string{
		"ODataSink":             "ODataSource",
		"NotThere":              "ODataSource",
		"ODataSource":           "NotThere",
		"OData2SourceConnector": "",
	} {
		f.MustCall(400, "PUT", "/connector-plugins/"+pathClass+"/config/validate", e2etest.AsJSON(t,
			map[string]string{"connector.class": configClass}))
	}
	f.MustCall(400, "PUT", "/connector-plugins/ODataSource/config/validate",
		`{"connector.class": "ODataSource", "sap.odata.user.pwd": "[hidden]"}`)
	f.MustCall(500, "PUT", "/connector-plugins/ODataSource/config/validate", `{"topic": "x"}`)
	f.MustCall(500, "PUT", "/connector-plugins/NotThere/config/validate", `{"connector.class": "NotThere"}`)
	f.MustStop()
	p.MustRunOnce("--config", filepath.Join(p.Dir, "conf"))
	p.CheckRecordCount("Customers", 91)
}

// REST creates, changes and deletes connectors, except those with a file; each of their rows arrives once, also after a
// restart of the worker.
func TestConnectorsAreWritten(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 10})
	p.File("conf/calm.properties", e2etest.Source("calm", address, "Products")...)
	f := p.StartWorker("conf", "rest.config.masked=true")
	f.Await("calm", "runs", e2etest.IsRunning)
	settings := e2etest.SettingsOf(append(e2etest.Source("customers", address, "Customers"),
		"sap.odata.user.name=someone",
		"sap.odata.user.pwd=geheim"))
	delete(settings, "name")
	body := e2etest.AsJSON(t, map[string]any{"name": "customers", "config": settings, "initial_state": "PAUSED"})
	e2etest.MustNotContain(t, "what is made", f.MustCall(201, "POST", "/connectors", body,
		`"tasks":[],"type":"source"`), "geheim")
	f.MustCall(409, "POST", "/connectors", body)
	f.Await("customers", "is paused", e2etest.HasState(connect.Paused, 0))
	f.Steer("customers", "resume")

	// A masked configuration can be sent back, and is stored unmasked.
	shown := f.Config("customers")
	assert.True(t, shown["sap.odata.user.pwd"] == "[hidden]" && len(shown) == len(settings)+1,
		"expected a masked password and all settings, found %v", shown)
	shown["transforms"] = ""
	f.MustCall(200, "PUT", "/connectors/customers/config", e2etest.AsJSON(t, shown), `"transforms":""`)
	f.AwaitStarts("customers", 2)
	f.Await("customers", "runs", e2etest.IsRunning)
	answer := f.MustCall(200, "PATCH", "/connectors/customers/config", `{"transforms": null, "tasks.max": 1}`)
	e2etest.MustNotContain(t, "what is changed", answer, "transforms")
	file := filepath.Join(p.Data, "connectors.log")
	if data, err := os.ReadFile(file); err != nil || !strings.Contains(string(data), `"geheim"`) {
		t.Errorf("expected the password in the file, found %s %v", data, err)
	}

	// Like in Kafka Connect, an invalid configuration is reported before a name that exists.
	f.MustCall(400, "POST", "/connectors",
		`{"name": "customers", "config": {"connector.class": "ODataSource", "tasks.max": "0"}}`)

	// An invalid change changes nothing.
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	f.MustCall(400, "PATCH", "/connectors/customers/config", `{"tasks.max": "many"}`,
		"contains the following 1 error(s):",
		"Invalid value many for configuration tasks.max: Not a number of type INT")
	f.MustCall(400, "PUT", "/connectors/other/config", e2etest.AsJSON(t, shown))
	f.MustCall(400, "PUT", "/connectors/other/config", `{"connector.class": "NotThere"}`)
	f.MustCall(404, "PATCH", "/connectors/other/config", `{}`)
	f.MustCall(404, "DELETE", "/connectors/other", "")
	if after, err := os.ReadFile(file); err != nil || string(after) != string(content) {
		t.Errorf("expected nothing to have changed, found %s %v", after, err)
	}

	// A connector with a file is changed in its file.
	const kept = "conf/calm.properties, in the folder of connectors (--config): change it there"
	f.MustCall(409, "PATCH", "/connectors/calm/config", `{"sap.odata.user.name": "x", "sap.odata.user.pwd": "y"}`, kept)
	f.MustCall(409, "PUT", "/connectors/calm/config", e2etest.AsJSON(t, f.Config("calm")), kept)
	f.MustCall(409, "DELETE", "/connectors/calm", "", kept)
	names := f.ConnectorNames()
	assert.True(t, slices.Equal(names, []string{"calm", "customers"}), "expected calm and customers, found %q", names)
	f.Await("customers", "runs", e2etest.IsRunning)
	f.AwaitRecords(p, "Customers", 91)
	f.Steer("calm", "pause")
	f.MustStop().WantNo("an internal error of culvert")
	f = p.StartWorker("conf", "rest.config.masked=true")
	f.Await("customers", "runs", e2etest.IsRunning)
	f.Await("calm", "is paused", e2etest.HasState(connect.Paused, 1))
	f.MustStop().WantNo("an internal error of culvert")
	p.CheckRecordCount("Customers", 91)
}

// Connectors are created, changed and deleted concurrently while files of others change; no other connector is deleted.
func TestManyWriteAtOnce(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 10})
	p.File("conf/calm.properties", e2etest.Source("calm", address, "Products")...)
	f := p.StartWorker("conf")
	f.Await("calm", "runs", e2etest.IsRunning)
	const connectors = 8
	var writers sync.WaitGroup
	for i := range connectors {
		writers.Go(func() {
			name := fmt.Sprintf("n%d", i)
			settings := e2etest.SettingsOf(e2etest.Source(name, address, "Customers"))
			// Two connectors may not read the same rows into one topic.
			settings["sap.odata#00.topic"] = name
			for _, c := range []struct {
				want   int
				method string
				path   string
				body   string
			}{
				{
					want:   201,
					method: "POST",
					path:   "/connectors",
					body: e2etest.AsJSON(t, map[string]any{"name": name, "config": settings,
						"initial_state": "STOPPED"}),
				},
				{want: 200, method: "PATCH", path: "/connectors/" + name + "/config", body: `{"tasks.max": "2"}`},
				{want: 200, method: "GET", path: "/connectors/" + name + "/status"},
			} {
				status, answer := f.Call(c.method, c.path, c.body)
				assert.Equal(t, c.want, status, c.method, c.path, answer)
			}
			if i%2 == 1 {
				status, answer := f.Call("DELETE", "/connectors/"+name, "")
				assert.Equal(t, 204, status, name, answer)
			}
		})
	}
	for i := range connectors {
		f.ReplaceFile("conf/calm.properties", append(e2etest.Source("calm", address, "Products"),
			fmt.Sprintf("tasks.max=%d", i+1))...)
	}
	writers.Wait()
	f.Eventually("half of them", func() bool {
		return slices.Equal(f.ConnectorNames(), []string{"calm", "n0", "n2", "n4", "n6"})
	})
	f.Await("n6", "is stopped", e2etest.HasState(connect.Stopped, 0))
	f.Stop().WantCode(0).WantNo("an internal error of culvert").
		WantStderrTimes(connectors/2, "the connector's file was deleted").
		WantStderrTimes(connectors, "reload: a new connector")
}

// If files are named on the command line, connectors from REST are stored in the data folder; paused and stopped
// connectors stay so after a restart of the worker.
func TestConnectorsWithoutAFolder(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 10})
	listen := porttest.Address(t)
	worker := p.File("worker.properties", "bootstrap.servers=embedded", "listeners=http://"+listen,
		"task.shutdown.graceful.timeout.ms=60000")
	named := p.File("named.properties", e2etest.Source("named", address, "Products")...)
	begin := func() *e2etest.Worker {
		return p.StartWorkerAt(listen, "--plugins", e2etest.Plugins(t), "--data", p.Data, worker, named)
	}
	made := func(name, set, state string) string {
		return e2etest.AsJSON(t, map[string]any{"name": name,
			"config":        e2etest.SettingsOf(e2etest.Source(name, address, set)),
			"initial_state": state})
	}
	f := begin()
	f.Await("named", "runs", e2etest.IsRunning)
	f.AwaitCall(201, "POST", "/connectors", made("made", "Customers", "RUNNING"))
	f.MustCall(201, "POST", "/connectors", made("still", "Suppliers", "STOPPED"))
	f.Await("made", "runs", e2etest.IsRunning)
	f.AwaitRecords(p, "Customers", 91)
	f.Steer("named", "pause")
	f.MustCall(409, "PATCH", "/connectors/named/config", `{"tasks.max": "2"}`,
		"which was named when the worker was started")
	f.MustCall(409, "DELETE", "/connectors/named", "")
	f.MustStop().WantNo("an internal error of culvert")

	f = begin()
	f.Await("made", "runs", e2etest.IsRunning)
	f.Await("named", "is paused", e2etest.HasState(connect.Paused, 1))
	f.Await("still", "is stopped", e2etest.HasState(connect.Stopped, 0))
	f.Steer("named", "resume")
	f.AwaitCall(200, "PATCH", "/connectors/made/config", `{"tasks.max": "1"}`)
	f.MustCall(204, "DELETE", "/connectors/still", "")
	f.MustCall(204, "DELETE", "/connectors/made", "")
	f.MustStop().WantNo("an internal error of culvert")
	f = begin()
	f.Await("named", "runs", e2etest.IsRunning)
	assert.Equal(t, []string{"named"}, f.ConnectorNames())
	f.MustStop()
	p.CheckRecordCount("Customers", 91)
}

// REST restarts a failed task without the other tasks of its connector.
func TestTasksAreRestarted(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	s := odatatest.New(odatatest.Options{Rows: 10})
	var status atomic.Int64 // of requests for Customers; zero means that the rows are returned
	address := e2etest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if code := status.Load(); code != 0 && strings.Contains(r.URL.Path, "/Customers") {
			w.WriteHeader(int(code))
			return
		}
		s.ServeHTTP(w, r)
	}))
	f := p.StartWorker("conf")
	states := func(products, customers connect.State) func(connect.Status) bool {
		return func(s connect.Status) bool {
			return s.Connector.State == connect.Running && len(s.Tasks) == 2 && s.Tasks[0].State == products &&
				s.Tasks[1].State == customers
		}
	}
	status.Store(404)
	f.Create(append(e2etest.Source("asked", address, "Products", "Customers"), "tasks.max=2")...)
	f.Await("asked", "has failed by half", states(connect.Running, connect.Failed))
	answer := f.MustCall(202, "POST", "/connectors/asked/restart?includeTasks=true&onlyFailed=true", "")
	assert.True(t, states(connect.Running, connect.Restarting)(e2etest.Decode[connect.Status](t, answer)),
		"expected that only the failed task restarts, found %s", answer)
	f.Await("asked", "has failed again", states(connect.Running, connect.Failed))
	status.Store(0)
	f.MustCall(204, "POST", "/connectors/asked/tasks/1/restart", "")
	f.Await("asked", "runs", states(connect.Running, connect.Running))
	f.MustCall(204, "POST", "/connectors/asked/tasks/0/restart", "")
	f.AwaitStderr(`msg="the task is restarted on request" connector=asked task=0`)
	f.Await("asked", "runs", states(connect.Running, connect.Running))
	f.MustCall(404, "POST", "/connectors/asked/tasks/2/restart", "")
	f.AwaitStderr("extraction finished: 91 rows")

	f.Stop().WantCode(0).WantNo("an internal error of culvert").
		WantStderrTimes(1, `msg="connector started" connector=asked `)
	p.CheckRecordCount("Products", 77)
	p.CheckRecordCount("Customers", 91)
}

// initial_state in a connector's file sets its first target state and is no setting. A later target state wins, also
// after a restart of the worker and when the file is written again.
func TestInitialStateOfFiles(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 10})
	file := func(name, set, state string) {
		p.File("conf/"+name+".json", e2etest.AsJSON(t, map[string]any{"name": name, "initial_state": state,
			"config": e2etest.SettingsOf(e2etest.Source(name, address, set))}))
	}
	lines := append(e2etest.Source("paused", address, "Customers"), "initial_state=paused")
	p.File("conf/paused.properties", lines...)
	file("stopped", "Suppliers", "STOPPED")
	f := p.StartWorker("conf")
	f.Await("paused", "is paused", e2etest.HasState(connect.Paused, 0))
	f.Await("stopped", "is stopped", e2etest.HasState(connect.Stopped, 0))
	f.MustCall(200, "POST", "/culvert/diff",
		e2etest.AsJSON(t, map[string]any{"name": "paused", "text": strings.Join(lines, "\n")}), `"differences":[]`)
	f.Steer("paused", "resume")
	f.MustCall(202, "POST", "/culvert/reload", "")
	f.AwaitStderr(`msg="the folder of connectors was read again on request"`)
	f.MustStop()

	f = p.StartWorker("conf")
	f.Await("paused", "runs", e2etest.IsRunning)
	f.Await("stopped", "is stopped", e2etest.HasState(connect.Stopped, 0))
	f.Stop().WantNo("initial_state")
	// Nobody could resume it in a run that ends by itself.
	p.RunOnce("conf/worker.properties", "conf/paused.properties").
		WantCode(2).WantStderr("initial_state: expected RUNNING in a run with --once, found paused")
}

// A stored secret is sent only where the stored configuration sends it, whatever a client tries: validation, PUT with
// the placeholder of the secret, PATCH of other settings. The response names the missing secret.
func TestStoredSecretsGoNowhereElse(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 10})
	var received logonRecorder
	other := e2etest.Serve(t, &received)
	_, port, err := net.SplitHostPort(other)
	require.NoError(t, err)
	secrets := p.File("secrets.properties", "pwd=behind-a-file")
	p.Subfolder("conf")
	stored := map[string][]string{
		"plain": e2etest.WithSettings(e2etest.Source("plain", address, "Products"), "sap.odata.user.name=me",
			"sap.odata.user.pwd=in-place"),
		"behind": e2etest.WithSettings(e2etest.Source("behind", address, "Products"), "sap.odata.user.name=me",
			"sap.odata.user.pwd=${file:"+secrets+":pwd}"),
		"header": e2etest.WithSettings(e2etest.Source("header", address, "Products"), "sap.odata.auth.type=header",
			"sap.odata.header.X-Key=in-place"),
	}
	p.File("conf/behind.properties", stored["behind"]...)
	f := p.StartWorker("conf")
	f.Create(stored["plain"]...)
	f.Create(stored["header"]...)
	for name := range stored {
		f.Await(name, "runs", e2etest.IsRunning)
	}
	const password, key = "sap.odata.user.pwd", "sap.odata.header.X-Key"
	for name, c := range map[string]redirection{
		"port": {connector: "plain", secret: password, set: map[string]string{"sap.odata.host.port": port}},
		"proxy": {connector: "plain", secret: password, set: map[string]string{"sap.odata.proxy.type": "http",
			"sap.odata.proxy.address": other}},
		"reference": {connector: "behind", secret: password, set: map[string]string{"sap.odata.host.port": port}},
		"header":    {connector: "header", secret: key, set: map[string]string{"sap.odata.host.port": port}},
	} {
		t.Run(name, func(t *testing.T) { c.checkRefusal(t, f, stored[c.connector]) })
	}
	assert.Len(t, 0, received.values(), "logons at the other service")

	// Settings that do not change the target need no secret, and a secret that is not masked can be sent anywhere.
	f.MustCall(200, "PATCH", "/connectors/plain/config", `{"sap.odata.max.retries": "1", "sap.odata.user.name": "you"}`)
	f.MustCall(200, "PATCH", "/connectors/plain/config", e2etest.AsJSON(t,
		map[string]string{"sap.odata.host.port": port, password: "shown", "sap.odata#00.query.change": "reload"}))
	f.Eventually("the logon that was shown", func() bool { return len(received.values()) > 0 })
	for _, logon := range received.values() {
		assert.True(t, logon == "Basic "+base64.StdEncoding.EncodeToString([]byte("you:shown")),
			"expected the logon of the request, found %q", logon)
	}
	f.Stop()
}

// redirection is a change that would send a secret of a connector to another service.
type redirection struct {
	connector string
	secret    string            // the setting with the secret
	set       map[string]string // the changed settings
}

// checkRefusal checks that validation, PUT and PATCH reject the change of a stored configuration, and name the secret.
func (r redirection) checkRefusal(t *testing.T, f *e2etest.Worker, stored []string) {
	t.Helper()
	path := "/connectors/" + r.connector + "/config"
	unchanged := f.MustCall(200, "GET", path, "")
	shown := e2etest.SettingsOf(stored)
	maps.Copy(shown, r.set)
	if !strings.HasPrefix(shown[r.secret], "${") {
		shown[r.secret] = "[hidden]"
	}
	for range 2 {
		answer := f.MustCall(200, "PUT", "/connector-plugins/ODataSource/config/validate", e2etest.AsJSON(t, shown))
		assert.True(t, strings.Contains(answer, "expected the secret itself"),
			"expected that the check requires the secret, found %.500s", answer)
	}
	status := 400
	message := r.secret + ": expected the secret itself"
	if r.connector == "behind" {
		status = 409
		message = "is kept in conf/"
	}
	for _, answer := range []string{f.MustCall(status, "PUT", path, e2etest.AsJSON(t, shown)),
		f.MustCall(status, "PATCH", path, e2etest.AsJSON(t, r.set))} {
		assert.Contains(t, answer, message)
		assert.True(t, !strings.Contains(answer, "in-place") && !strings.Contains(answer, "behind-a-file"),
			"expected no secret, found %s", answer)
	}
	f.MustAnswer(200, "GET", path, "", unchanged)
}

// logonRecorder is a service that stores the logons that it receives.
type logonRecorder struct {
	mu     sync.Mutex
	logons []string
}

func (l *logonRecorder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, header := range []string{"Authorization", "Proxy-Authorization", "X-Key"} {
		if value := r.Header.Get(header); value != "" {
			l.logons = append(l.logons, value)
		}
	}
	w.WriteHeader(http.StatusNotFound)
}

func (l *logonRecorder) values() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.logons)
}

// Like in Kafka Connect, PUT or PATCH of the same configuration restarts a failed connector, because there is no other
// reason to send it.
func TestFailedConnectorsStartWhenWrittenAgain(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 10})
	f := p.StartWorker("conf")
	f.AwaitReady()
	for method, same := range map[string]string{"PUT": "", "PATCH": "{}"} {
		name := strings.ToLower(method)
		// A missing key store fails the connector; a server that speaks no TLS fails its task. The action none leaves
		// the restart to the request: otherwise the connector starts as soon as the file is back.
		store, err := os.ReadFile(filepath.Join(e2etest.KeyStoreFolder(t), "trust.jks"))
		require.NoError(t, err)
		file := e2etest.WriteFile(t, p.Dir, name+".jks", store)
		settings := e2etest.SettingsOf(e2etest.WithSettings(e2etest.Source(name, address, "Customers"),
			"sap.odata.host.protocol=https", "config.action.reload=none",
			"sap.odata.truststore.location="+file, "sap.odata.truststore.password="+e2etest.StorePassword))
		settings["sap.odata#00.topic"] = name
		body := e2etest.AsJSON(t, settings)
		if same == "" {
			same = body
		}
		hasState := func(state connect.State) func(connect.Status) bool {
			return func(s connect.Status) bool { return s.Connector.State == state }
		}
		f.MustCall(201, "PUT", "/connectors/"+name+"/config", body)
		f.Await(name, "runs", hasState(connect.Running))
		require.NoError(t, os.Remove(file))
		f.MustCall(204, "POST", "/connectors/"+name+"/restart", "")
		f.Await(name, "has failed", hasState(connect.Failed))
		e2etest.WriteFile(t, p.Dir, name+".jks", store)
		f.MustCall(200, method, "/connectors/"+name+"/config", same)
		f.Await(name, "runs", hasState(connect.Running))
		restarts := slices.DeleteFunc(f.Events(name), func(e string) bool { return e != "restarted by 127.0.0.1" })
		assert.Equal(t, 2, len(restarts), "restarts")
	}
}

// A connector is created under the exact name of the request or not at all: references in it are not resolved, a space
// that Java does not trim stays, and what a file cannot represent is rejected.
func TestOddNamesAndSizes(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 1})
	f := p.StartWorker("conf")
	f.AwaitReady()
	plain := e2etest.SettingsOf(e2etest.Source("", address, "Customers"))
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
		answer := f.MustCall(201, "POST", "/connectors", body(name, 0))
		if made := e2etest.Decode[connect.Info](t, answer); made.Name != name || made.Config["name"] != name ||
			made.Type != "source" || !strings.HasPrefix(answer, `{"name":"`+name+`",`) {
			t.Errorf("%q: expected a source of this name, found %s", name, answer)
		}
		names := f.ConnectorNames()
		assert.True(t, slices.Equal(names, []string{name}), "%q: expected only this connector, found %q", name, names)
		f.MustCall(200, "GET", "/connectors/"+url.PathEscape(name)+"/config", "")
		f.MustCall(204, "DELETE", "/connectors/"+url.PathEscape(name), "")
	}
	for name, why := range map[string]string{
		"${env:HOME}": "found a reference to a config provider",
		"a\u0085b":    "String may not contain control sequences but had the following ASCII chars: 133",
		"a\u007fb":    "String may not contain control sequences but had the following ASCII chars: 127",
	} {
		f.MustCall(400, "POST", "/connectors", body(name, 0), why)
	}
	many := body("many", config.MaxSettings)
	f.MustCall(400, "POST", "/connectors", many, "expected at most 10000 settings, found 100")
	f.MustCall(200, "POST", "/culvert/diff", strings.Replace(many, `"initial_state": "STOPPED",`, "", 1),
		`"effect":"refuse"`,
		"expected at most 10000 settings, found 100")
	assert.Len(t, 0, f.ConnectorNames(), "connectors")
	f.MustCall(201, "POST", "/connectors", body("many", config.MaxSettings-100))
	shown := f.Config("many")
	if want := config.MaxSettings - 100 + len(plain) + 2; len(shown) != want { // name and unknown.settings
		t.Errorf("expected %d settings, found %d", want, len(shown))
	}
}
