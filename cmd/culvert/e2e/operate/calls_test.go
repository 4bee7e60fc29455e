package operate

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/check"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/rest"
)

// TestCallsOfClients sends the requests of Kafka Connect's client programs in their order and checks what these
// programs rely on. The requests come from the programs' sources; the programs themselves do not run here.
// TestRecordedCalls covers single requests.
func TestCallsOfClients(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 10})
	f := p.StartWorker("conf", "log.level=error")
	checkCallsOfStrimzi(f, address)
	checkCallsOfAKHQ(f)
	checkCallsOfUserInterfaces(f, address)
	// kcctl parses the version as one of Kafka to learn what the worker supports.
	root := e2etest.Decode[rest.Root](t, f.MustCall(200, "GET", "/", ""))
	assert.True(t, regexp.MustCompile(`^([4-9]|3\.([7-9]|\d\d))\.?\d*`).MatchString(root.Version) && root.Cluster != "",
		"expected a version like Kafka's and a cluster, found %+v", root)
}

// checkCallsOfStrimzi probes, creates a connector in an initial state, and compares configurations. Statuses are exact,
// and names have an arrow.
func checkCallsOfStrimzi(f *e2etest.Worker, address string) {
	t := f.Place.T
	f.MustCall(200, "GET", "/health", "")
	f.MustCall(404, "GET", "/connectors/a-%3Eb/config", "")
	createConnector(f, "a->b", address, "Customers", "running")
	f.Await("a-%3Eb", "runs", e2etest.IsRunning)
	config := e2etest.Decode[map[string]string](t, f.MustCall(200, "GET", "/connectors/a-%3Eb/config", ""))
	f.MustCall(200, "PUT", "/connectors/a-%3Eb/config", e2etest.AsJSON(t, config))
	f.Await("a-%3Eb", "runs", e2etest.IsRunning)
	f.Steer("a-%3Eb", "stop")
	answer := f.MustCall(200, "DELETE", "/connectors/a-%3Eb/offsets", "")
	assert.True(t, strings.HasPrefix(answer,
		`{"message":`), "expected a message, found %s", answer)
	f.MustCall(204, "PUT", "/admin/loggers/some.logger?scope=cluster", `{"level":"INFO"}`)
	f.MustCall(204, "DELETE", "/connectors/a-%3Eb", "")
	f.Eventually("it to be gone", func() bool {
		status, answer := f.Call("GET", "/connectors/a-%3Eb/status", "")
		var refused struct{ Message string }
		return status == 404 && json.Unmarshal([]byte(answer), &refused) == nil &&
			refused.Message == "No status found for connector a->b"
	})
}

// checkCallsOfAKHQ validates each listed plugin with little more than the class. No definition is null.
func checkCallsOfAKHQ(f *e2etest.Worker) {
	t := f.Place.T
	for _, plugin := range e2etest.Decode[[]connect.Plugin](t, f.MustCall(200, "GET", "/connector-plugins", "")) {
		assert.True(t, plugin.Class != "" && plugin.Type != "" && plugin.Version != "",
			"expected a class, a type and a version, found %+v", plugin)
		answer := f.MustCall(200, "PUT", "/connector-plugins/"+plugin.Class+"/config/validate",
			e2etest.AsJSON(t, map[string]string{"connector.class": plugin.Class, "topics": "getPlugins"}),
			`"order":1,`, `"order_in_group":1,`)
		v := e2etest.Decode[check.Validation](t, answer)
		assert.True(t, len(v.Configs) != 0 && !strings.Contains(answer, `"definition":null`),
			"%s: expected definitions, found %s", plugin.Class, answer)
		for _, c := range v.Configs {
			d := c.Definition
			if !definitionPattern.MatchString(d.Type + " " + d.Importance + " " + d.Width) {
				t.Errorf("%s: expected a type, an importance and a width of Kafka's, found %+v", d.Name, d)
			} else if plugin.Type == "source" && (d.Group == nil || d.Order < 1 || d.Order != d.OrderInGroup) {
				t.Errorf("%s: expected a group and an order in it, found %+v", d.Name, d)
			}
		}
	}
}

// checkCallsOfUserInterfaces reads info and status like kafbat UI, AKHQ and Redpanda Console. States are of a closed
// list, and a connector's are scalars.
func checkCallsOfUserInterfaces(f *e2etest.Worker, address string) {
	t := f.Place.T
	createConnector(f, "shown", address, "Products", "PAUSED")
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
	expanded := e2etest.Decode[map[string]shown](t, f.MustCall(200, "GET", "/connectors?expand=info&expand=status", ""))
	if c := expanded["shown"]; c.Info == nil || c.Status == nil || c.Info.Config["connector.class"] == "" ||
		c.Info.Type != "source" || c.Status.Connector["state"] != "RUNNING" || len(c.Status.Tasks) != 1 {
		t.Errorf("expected info and status with a running task, found %+v", expanded)
	}
	f.Eventually("its topic", func() bool {
		_, answer := f.Call("GET", "/connectors/shown/topics", "")
		return answer == `{"shown":{"topics":["Products"]}}`
	})
}

// definitionPattern matches the types, importances and widths of Kafka's ConfigDef.
var definitionPattern = regexp.MustCompile(`^(BOOLEAN|STRING|INT|SHORT|LONG|DOUBLE|LIST|CLASS|PASSWORD) ` +
	`(HIGH|MEDIUM|LOW) (NONE|SHORT|MEDIUM|LONG)$`)

// createConnector creates a source by REST in an initial state.
func createConnector(f *e2etest.Worker, name, address, set, state string) {
	f.Place.T.Helper()
	f.MustCall(201, "POST", "/connectors", e2etest.AsJSON(f.Place.T, map[string]any{"name": name,
		"initial_state": state, "config": e2etest.SettingsOf(e2etest.Source(name, address, set))}))
}

// randomCaller sends random REST requests.
type randomCaller struct {
	t       *testing.T
	address string
	secret  string
	config  map[string]string
	rng     *rand.Rand
}

// randomRoutes has paths; NAME is replaced by a connector's name, CLASS by a plugin's class.
var randomRoutes = strings.Fields(`/ /health /metrics /connectors /connectors /connectors /connectors/NAME /connectors/NAME
/connectors/NAME/config /connectors/NAME/config /connectors/NAME/status /connectors/NAME/tasks
/connectors/NAME/tasks/0/status /connectors/NAME/tasks/x/status /connectors/NAME/tasks/0/restart
/connectors/NAME/tasks/99999999999/restart /connectors/NAME/pause /connectors/NAME/resume /connectors/NAME/stop
/connectors/NAME/restart /connectors/NAME/offsets /connectors/NAME/topics /connectors/NAME/topics/reset
/connectors/NAME/fence /connector-plugins /connector-plugins/CLASS/config /connector-plugins/CLASS/config/validate
/admin/loggers /admin/loggers/root /admin/loggers/a.b /culvert/reload /culvert/plugins /culvert/connectors/NAME
/culvert/openapi.json /nowhere // /% /%zz/../x`)

// configRoutes matches routes that return configurations as they were written. No other route may return a password.
var configRoutes = regexp.MustCompile(`^/connectors(/[^/]+(/config|/tasks)?)?/?$`)

// expectedFailures matches messages of Kafka Connect's own 500 responses to bodies that are not JSON or have another
// shape.
var expectedFailures = regexp.MustCompile(`^(expected .*|Cannot .*|Failed to find any class .*|` +
	`initial_state: expected .*|` +
	`Connector config .*contains no connector type.*|Illegal null or empty Level name\.)`)

// pick returns one of the values. A value that occurs repeatedly is more likely.
func pick[T any](rng *rand.Rand, values ...T) T { return values[rng.IntN(len(values))] }

func (c *randomCaller) name() string {
	return pick(c.rng, "a", "b", "c", "a b", "ü;x", "..", "none", "a", "b", "\x01", strings.Repeat("n", 300))
}

// body returns a body that fits the route, or none.
func (c *randomCaller) body() string {
	config := maps.Clone(c.config)
	switch c.rng.IntN(4) {
	case 0:
		config["tasks.max"] = pick(c.rng, "0", "2", "many")
	case 1:
		config[pick(c.rng, "sap.odata.colour", "transforms", "connector.class", "name", "value.converter")] = c.name()
	}
	complete := e2etest.AsJSON(c.t, config)
	switch c.rng.IntN(20) {
	case 0, 1:
		return complete
	case 3, 4:
		return e2etest.AsJSON(c.t, map[string]any{"name": c.name(), "config": config,
			"initial_state": pick(c.rng, "STOPPED", "STOPPED", "PAUSED", "RUNNING", "x")})
	case 6:
		return e2etest.AsJSON(c.t, map[string]any{"level": pick(c.rng, "INFO", "DEBUG", "LOUD", "")})
	case 7:
		return `{"offsets":[{"partition":{"x":"a"},"offset":null}]}`
	case 8:
		return complete[:c.rng.IntN(len(complete))]
	case 9:
		return strings.Repeat(pick(c.rng, "[", `{"a":`), 1+c.rng.IntN(20000))
	case 10:
		return pick(c.rng, "null", "{}", "[]", "7", `"x"`, `{"config":null}`, `{"name":null,"config":{}}`, `{"a":null}`,
			`{"a":{}}`, "\xff\xfe")
	case 11:
		return strings.Repeat("x", pick(c.rng, 0, 0, 0, 0, 0, 1200<<10))
	}
	return ""
}

// call sends a request and checks the response.
func (c *randomCaller) call() {
	route := strings.ReplaceAll(pick(c.rng, randomRoutes...), "NAME", url.PathEscape(c.name()))
	route = strings.ReplaceAll(route, "CLASS", pick(c.rng, "ODataSource", "ODataSink", "Cast",
		"org.apache.kafka.connect.transforms.Filter", "Nobody"))
	query := pick(c.rng, "", "", "", "?expand=info&expand=status", "?expand=x", "?includeTasks=true&onlyFailed=true",
		"?includeTasks=x", "?scope=cluster", "?connectorsOnly=false", "?%zz", "?forward=false")
	method := pick(c.rng, "GET", "GET", "GET", "PUT", "PUT", "POST", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS",
		"TRACE", "FOO")
	body := c.body()
	request := fmt.Sprintf(
		"%s %s%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n%s%s\r\n%s",
		method, route, query, len(body), pick(c.rng, "", "Content-Type: application/json\r\n",
			"Content-Type: application/json\r\n", "Content-Type: application/json;charset=utf-8\r\n",
			"Content-Type: text/plain\r\n", "Content-Type: /;\r\n"), pick(c.rng, "", "", "", "Accept: */*\r\n",
			"Accept: application/json\r\n", "Accept: text/html\r\n", "Accept: application/json;q=0\r\n",
			"Accept: ;;\r\n"), body)
	what := fmt.Sprintf("%s %s%s %.60q", method, route, query, body)
	conn, err := net.Dial("tcp", c.address)
	if err != nil {
		c.t.Errorf("%s: %v", what, err)
		return
	}
	defer conn.Close()
	io.WriteString(conn, request) // the worker may close the connection before its end
	var answer []byte
	r, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err == nil {
		answer, err = io.ReadAll(r.Body)
	}
	if err != nil {
		if body == "" { // a client whose body is rejected may miss the answer
			c.t.Errorf("%s: %v", what, err)
		}
		return
	}
	var failure struct {
		Code    int `json:"error_code"`
		Message string
	}
	// A slow machine may answer with a timeout.
	if r.StatusCode >= 500 && route != "/health" && !(r.StatusCode == 500 && (method == "HEAD" ||
		(json.Unmarshal(answer, &failure) == nil && failure.Code == 500 &&
			expectedFailures.MatchString(failure.Message)))) {
		c.t.Errorf("%s: expected a status below 500, found %d %.300s", what, r.StatusCode, answer)
	}
	if strings.Contains(string(answer), c.secret) && (r.StatusCode >= 400 || !configRoutes.MatchString(route)) {
		c.t.Errorf("%s: expected no password, found it in %d %.300s", what, r.StatusCode, answer)
	}
}

// readMetric reads one metric of the worker.
func readMetric(f *e2etest.Worker, name string) float64 {
	_, after, _ := strings.Cut(f.Metrics(), "\n"+name+" ")
	value, _, _ := strings.Cut(after, "\n")
	n, err := strconv.ParseFloat(value, 64)
	require.NoError(f.Place.T, err)
	return n
}

// Random requests (valid, invalid and huge, with wrong methods and media types) are all answered, no response contains
// a password unless the request did, and the worker is unchanged afterwards. CULVERT_SOAK=1 sends 10,000 requests,
// CULVERT_SEED repeats a run. TestSlowClients covers slow clients.
func TestSoakRandomCalls(t *testing.T) {
	t.Parallel()
	calls := 1000
	seed := uint64(1)
	if os.Getenv("CULVERT_SOAK") != "" {
		calls = 10_000
		seed = uint64(time.Now().UnixNano())
	}
	if n, err := strconv.ParseUint(os.Getenv("CULVERT_SEED"), 10, 64); err == nil {
		seed = n
	}
	t.Logf("CULVERT_SEED=%d", seed)
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 10})
	f := p.StartWorker("conf", "log.level=error")
	f.AwaitChangeable()
	const secret = "geheim-4711"
	config := e2etest.SettingsOf(append(e2etest.Source("x", address, "Customers"), "sap.odata.user.name=me",
		"sap.odata.user.pwd="+secret))
	goroutines := readMetric(f, "go_goroutines")
	heap := readMetric(f, "go_memstats_heap_inuse_bytes")
	var callers sync.WaitGroup
	const parallelCallers = 4
	for i := range uint64(parallelCallers) {
		c := &randomCaller{t: t, address: strings.TrimPrefix(f.URL, "http://"), secret: secret, config: config,
			rng: rand.New(rand.NewPCG(seed, i))}
		callers.Go(func() {
			for range calls / parallelCallers {
				c.call()
			}
		})
	}
	callers.Wait()
	f.AwaitCall(200, "GET", "/health", "")
	for _, name := range f.ConnectorNames() {
		f.MustCall(204, "DELETE", "/connectors/"+url.PathEscape(name), "")
	}
	f.Eventually("its goroutines to have ended", func() bool {
		http.DefaultClient.CloseIdleConnections()
		return readMetric(f, "go_goroutines") < goroutines+30
	})
	f.Eventually("its memory to be free again", func() bool {
		return readMetric(f, "go_memstats_heap_inuse_bytes") < heap+96<<20
	})
	f.Stop().WantCode(0).WantNo("an internal error of culvert", "panic", secret)
}
