package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/buildinfo"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/porttest"
)

// A wrong command line exits with 2 before anything is sent, an unreachable worker with 1. stderr has one line.
func TestInvalidCommandLines(t *testing.T) {
	var requests atomic.Int64
	server := e2etest.Serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) }))
	p := e2etest.NewPlace(t)
	for _, c := range invalidCommandLines(p, server) {
		args := strings.Fields(strings.ReplaceAll(c.line, "URL", "--url http://"+server))
		for i, arg := range args {
			args[i] = strings.ReplaceAll(arg, "EMPTY", "")
		}
		code, stdout, stderr := command(t, args...)
		assert.True(t, code == c.code && stdout == "" && strings.Count(stderr, "\n") == 1 &&
			strings.Contains(stderr, c.want) && !strings.Contains(stderr, "Get \"") &&
			!strings.Contains(stderr, "geheim"),
			"culvert %s: expected exit %d and %q, found %d\n%s%s", c.line, c.code, c.want, code, stdout, stderr)
	}
	n := requests.Load()
	assert.True(t, n <= 0, "expected nothing to be sent, found %d requests", n)
}

// invalidCommandLine is a command line that fails before anything is sent.
type invalidCommandLine struct {
	line string // URL means a worker's URL, EMPTY an empty argument
	code int    // the expected exit code
	want string // a part of stderr
}

// invalidCommandLines returns command lines with files in a place. server is an address that listens.
func invalidCommandLines(p *e2etest.Place, server string) []invalidCommandLine {
	closed := porttest.Address(p.T)
	_, port, _ := net.SplitHostPort(closed)
	file := p.File("c.properties", "name=c", "connector.class=ODataSource")
	noWorker := "expected a running worker at http://" + closed + ": dial tcp "
	const otherWorker = "; --url, --config FILE or CULVERT_URL selects another one"
	const noURL = `--url: expected http://HOST:PORT, found "ftp://x:1"`
	return []invalidCommandLine{
		{line: "nonsense", code: 2, want: `unknown command "nonsense"`},
		{line: "runn --help", code: 2, want: `unknown command "runn": did you mean run? Commands of plugins`},
		{line: "peek -s /x", code: 2, want: "expected -p FILE"},
		{
			line: "grind -s /x",
			code: 2,
			want: `unknown command "grind": commands of plugins, such as peek, need a connector's file: ` +
				"culvert grind -p FILE",
		},
		{line: "grind --help", code: 2, want: "culvert grind -p FILE"},
		{line: "completion tcsh", code: 2, want: `unknown command "tcsh"`},
		{line: "run --nonsense", code: 2, want: "unknown flag: --nonsense\n"},
		{line: "status --jsn", code: 2, want: "unknown flag: --jsn: did you mean --json?"},
		{line: "connectors pasue x", code: 2, want: `"pasue" for "culvert connectors": did you mean pause?`},
		{line: "run", code: 2, want: "expected --config DIR or files"},
		{line: "run nowhere.properties", code: 2, want: "nowhere.properties"},
		{line: "run --config . x.properties", code: 2, want: "found both"},
		{line: "ping -p nowhere.properties", code: 2, want: "nowhere.properties"},
		{line: "plugins check nowhere.wasm", code: 2, want: "nowhere.wasm"},
		{line: "validate --log-level loud " + file, code: 2, want: "expected debug, info"},
		{
			line: "validate --log-format xml " + file,
			code: 2,
			want: `--log-format: expected text, text+location or json, found "xml"`,
		},
		{
			line: "connectors lockouts resume --url http://" + closed,
			code: 1,
			want: "; without a worker, culvert run --resume-logons retries them",
		},
		{line: "consume", code: 2, want: "expected TOPIC, found nothing"},
		{line: "consume x --data nowhere", code: 1, want: "nowhere"},
		{
			line: "consume x --data nowhere --properties " + p.File("port.properties",
				"bootstrap.servers=embedded:9999"),
			code: 1,
			want: "no embedded broker's data to read (--data nowhere)",
		},
		{
			line: "consume x --data nowhere --properties " + p.File("two.properties", "bootstrap.servers=embedded:x"),
			code: 2,
			want: "expected embedded:PORT with a port from 1 to 65535",
		},
		{line: "consume x --bootstrap-servers " + closed, code: 1, want: "connection refused"},
		{
			line: "reference AvroConvrter",
			code: 2,
			want: `there is no page "AvroConvrter": the nearest one is AvroConverter (culvert ` +
				"reference lists all)",
		},
		{line: "reference guide/sinks", code: 2, want: `there is no page "guide/sinks": the nearest one is guide/sink`},
		{line: "connectors list --url ftp://x:1", code: 2, want: noURL},
		{line: "offsets show c --url ftp://x:1", code: 2, want: noURL},
		{line: "connectors list --url admin:geheim@host:8083", code: 2, want: "--url: expected http://HOST:PORT"},
		{
			line: "run --set a=b --set rest.password:geheim " + file,
			code: 2,
			want: "--set number 2: expected name=value, found no =",
		},
		{line: "connectors list --url http://" + closed, code: 1, want: noWorker},
		{line: "status --url http://" + closed, code: 1, want: otherWorker},
		{line: "offsets show c --url http://" + closed, code: 1, want: noWorker},
		{line: "connectors list --url https://" + server, code: 1, want: "server gave HTTP response to HTTPS client"},
		{line: "connectors list --timeout 0s URL", code: 2, want: "--timeout: expected a time such as 30s, found 0s"},
		{
			line: "connectors restart c --task -3 URL",
			code: 2,
			want: "--task: expected the number of a task, from 0 on, found -3",
		},
		{
			line: "connectors apply " + file + " --state OFF URL",
			code: 2,
			want: `--state: expected RUNNING, PAUSED or STOPPED, found "OFF"`,
		},
		{line: "connectors pause URL", code: 2, want: "expected NAME, found nothing"},
		{line: "connectors delete EMPTY a URL", code: 2, want: "expected NAME, found an empty one"},
		{line: "connectors delete a EMPTY URL", code: 2, want: "expected NAME, found an empty one"},
		{line: "connectors show a b URL", code: 2, want: `expected one NAME, found ["a" "b"]`},
		{line: "offsets show URL", code: 2, want: "expected NAME, found nothing"},
		{line: "offsets set c URL", code: 2, want: "expected FILE, found nothing"},
		{line: "offsets set c EMPTY URL", code: 2, want: "expected FILE, found an empty one"},
		{
			line: "offsets set c " + p.File("bad.json", "nonsense") + " URL",
			code: 2,
			want: "bad.json: expected JSON, as culvert offsets show --json prints it",
		},
		{line: "dlq list", code: 2, want: "expected TOPIC or --connector NAME, found neither"},
		{line: "dlq show 0@1", code: 2, want: "expected TOPIC or --connector NAME, found neither"},
		{
			line: "dlq show orders-refused",
			code: 2,
			want: `expected PARTITION@OFFSET as culvert dlq list shows it, such as 0@17, found "orders-ref`,
		},
		{
			line: "dlq show --connector c",
			code: 2,
			want: `expected PARTITION@OFFSET as culvert dlq list shows it, such as 0@17, found ""`,
		},
		{line: "dlq list --connector c -p w.properties", code: 2, want: "--properties: expected TOPIC too"},
		{line: "dlq show 0@1 --connector c --data d", code: 2, want: "--data: expected TOPIC too"},
		{line: "dlq replay --connector c --set a=b", code: 2, want: "--set: expected TOPIC too"},
		{line: "dlq list T --show new", code: 2, want: `--show: expected open, settled or all, found "new"`},
		{line: "dlq show T 0@1 --connector c", code: 2, want: "--connector: expected no TOPIC"},
		{line: "dlq replay T URL", code: 2, want: "--url: expected no TOPIC"},
		{line: "doctor", code: 2},
		{line: "doctor -p missing.properties", code: 2, want: "missing.properties"},
		{
			line: "doctor -p " + p.File("broken.properties", "bootstrap.servers=h:1", "kafka.proxy.type=pigeon"),
			code: 2,
			want: "pigeon",
		},
		{line: "doctor -p " + p.File("embedded.properties", "bootstrap.servers=embedded"), code: 2},
		{line: "tunnel", code: 2},
		{line: "tunnel -p " + p.File("none.properties", "kafka.proxy.type=none"), code: 2},
		// A tunnel to itself would open connections to itself without end.
		{
			line: "tunnel --listen 127.0.0.1:" + port + " -p " + p.File("same.properties", "bootstrap.servers="+closed),
			code: 2,
			want: "bootstrap.servers: expected brokers elsewhere, found " + closed,
		},
		{
			line: "tunnel --listen :" + port + " -p " + p.File("local.properties", "bootstrap.servers=localhost:"+port),
			code: 2,
			want: "bootstrap.servers: expected brokers elsewhere, found localhost:" + port,
		},
	}
}

func TestVersionCommandAndFlagPrintTheSame(t *testing.T) {
	_, byFlag, _ := command(t, "--version")
	if _, byCommand, _ := command(t, "version"); byFlag != byCommand ||
		!strings.HasPrefix(byFlag, "Culvert "+buildinfo.Product()+", compatible with Kafka Connect 4.3.1, ") {
		t.Errorf("expected the same version, found %q by the flag and %q by the command", byFlag, byCommand)
	}
}

// command runs a command line in this process.
func command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = execute(t.Context(), args, &out, &err)
	return code, out.String(), err.String()
}

// workerWith serves a response for each method and path, and 404 for others.
func workerWith(t *testing.T, answers map[string]string) (url string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, ok := answers[r.Method+" "+r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			answer = `{"error_code":404,"message":"not found"}`
		}
		io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// The nearest name is suggested for a connector that the worker does not have.
func TestNearestConnectorIsSuggested(t *testing.T) {
	url := workerWith(t, map[string]string{"GET /connectors": `["orders","items"]`})
	for line, want := range map[string]string{
		"connectors pause ordrs":             "not found: did you mean orders?\n",
		"connectors show Ordres":             "not found: did you mean orders?\n",
		"dlq list --connector itmes":         "not found: did you mean items?\n",
		"offsets show oders":                 "not found: did you mean orders?\n",
		"connectors pause customers":         "not found\n",
		"connectors restart orders --task 9": "not found\n", // only the task is unknown
		"plugins rollback orderz":            "not found\n",
	} {
		code, _, stderr := command(t, append(strings.Fields(line), "--url", url)...)
		assert.True(t, code == exitFailed && stderr == want,
			"culvert %s: expected exit %d and %q, found exit %d and %q", line, exitFailed, want, code, stderr)
	}
}

// A shell completes names of connectors where a command expects them, each once.
func TestCompletionOfConnectors(t *testing.T) {
	url := workerWith(t, map[string]string{"GET /connectors": `["orders","items"]`})
	for line, want := range map[string]string{
		"connectors pause EMPTY":             "orders items",
		"connectors pause orders EMPTY":      "items",
		"connectors snapshot orders EMPTY":   "",
		"offsets show EMPTY":                 "orders items",
		"offsets show orders EMPTY":          "",
		"dlq retry 0@17 --connector EMPTY":   "orders items",
		"dlq list --connector EMPTY":         "orders items",
		"dlq discard 0@17 --connector EMPTY": "orders items",
		"plugins rollback EMPTY":             "",
		"drain EMPTY":                        "",
	} {
		args := strings.Fields(line)
		args = append([]string{"__complete"}, args...)
		args[len(args)-1] = "" // the word at the cursor
		last := len(args) - 1
		if args[last-1] == "--connector" {
			last--
		}
		_, stdout, _ := command(t, slices.Insert(args, last, "--url", url)...)
		names, _, _ := strings.Cut(stdout, ":")
		assert.Equal(t, want, strings.Join(strings.Fields(names), " "), "culvert", line)
	}
}

func TestCommandsShowWorkerResponses(t *testing.T) {
	url := workerWith(t, map[string]string{
		"GET /connectors/orders/config":    `{"name":"orders","connector.class":"ODataSource"}`,
		"GET /connectors":                  `{"a":{"status":{"name":"a","connector":{"state":"FAILED"},"tasks":[]}}}`,
		"GET /culvert/connectors":          `{"connectors":[{"name":"a","state":"failed"}]}`,
		"PUT /culvert/lockouts/resume":     `{"resumed":1}`,
		"POST /culvert/diff":               `{"connector":"orders","effect":"refuse"}`,
		"PATCH /connectors/orders/offsets": "",
		"DELETE /connectors/text/offsets":  "done",
		"GET /connectors/text/offsets":     "<html>",
	})
	for _, c := range workerResponseCases(t) {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := command(t, append([]string{c.args[0], "--url", url}, c.args[1:]...)...)
			output := stdout + stderr
			assert.True(t, code == c.code && strings.Contains(output, c.want) && (!c.noStderr || stderr == ""),
				"expected exit %d and %q, found exit %d and %q", c.code, c.want, code, output)
		})
	}
	code, _, stderr := command(t, "offsets", "set", "orders", "missing.json")
	if want := "expected --url, --config DIR or files"; code != exitWrong || !strings.Contains(stderr, want) {
		t.Errorf("expected exit %d and %q, found exit %d and %q", exitWrong, want, code, stderr)
	}
}

// workerResponseCase is a command line with its expected exit code and output.
type workerResponseCase struct {
	name     string
	args     []string // without the worker's URL, unless another worker responds
	code     int
	want     string // a part of the output
	noStderr bool   // whether stderr must be empty
}

// workerResponseCases returns command lines with files, and starts other workers for some of them.
func workerResponseCases(t *testing.T) []workerResponseCase {
	t.Helper()
	p := e2etest.NewPlace(t)
	connector := p.File("orders.properties", "name=orders", "connector.class=ODataSource")
	offsets := p.File("offsets.json", `{"offsets":[]}`)
	drainedWorker := func(unplaced string) (url string) {
		return workerWith(t, map[string]string{"PUT /culvert/drain": "",
			"GET /culvert/cluster": `{"unplaced":{` + unplaced + `}}`})
	}
	allPlaced := drainedWorker("")
	onePlacedNowhere := drainedWorker(`"orders":"expected a worker with the plugins of class X"`)
	const running = `{"a":{"status":{"name":"a","connector":{"state":"RUNNING"},"tasks":[]}}}`
	noSummaries := workerWith(t, map[string]string{"GET /connectors": running, "GET /culvert/connectors": "not now"})
	memberAway := workerWith(t, map[string]string{"GET /connectors": running,
		"GET /culvert/connectors": `{"connectors":[],"silent":["worker w2: away"]}`})
	return []workerResponseCase{
		{
			name: "create is replaced",
			args: []string{"connectors", "create", "--state", "STOPPED", connector},
			code: 2,
			want: "expected culvert connectors apply",
		},
		{
			name: "a state is for new connectors",
			args: []string{"connectors", "apply", connector, "--state", "STOPPED"},
			code: 2,
			want: "--state is for a connector that is created, and orders exists",
		},
		{name: "status names what failed", args: []string{"status"}, code: 1, want: "failed: a (see culvert"},
		{
			name: "unknown states are a failure",
			args: []string{"status", "--url", noSummaries},
			code: 1,
			want: "unknown states of connectors: only Kafka Connect's states are shown",
		},
		{
			name:     "a worker is drained",
			args:     []string{"drain", "--url", allPlaced},
			code:     0,
			want:     "the worker is drained\n",
			noStderr: true,
		},
		{
			name: "drain names connectors that run nowhere",
			args: []string{"drain", "--url", onePlacedNowhere},
			code: 0,
			want: "orders: no worker runs it, or tasks of it: expected a worker with the plugins of class X",
		},
		{
			name: "unknown states of one worker are a failure",
			args: []string{"status", "--url", memberAway},
			code: 1,
			want: "unknown states of connectors: worker w2: away",
		},
		{
			name: "resumed logons are counted",
			args: []string{"connectors", "lockouts", "resume", "--json"},
			code: 0,
			want: `[{"connector":"1 refused logon","done":"will be retried"}]`,
		},
		{
			name: "a comparison is an object",
			args: []string{"connectors", "diff", connector, "--json"},
			code: 1,
			want: `{"connector":"orders",`,
		},
		{name: "an empty answer to a change", args: []string{"offsets", "set", "orders", offsets}, code: 0, want: "\n"},
		{name: "a text as the answer to a change", args: []string{"offsets", "reset", "text"}, code: 0, want: "done\n"},
		{
			name: "offsets are JSON",
			args: []string{"offsets", "show", "text"},
			code: 1,
			want: "expected JSON, found <html>",
		},
		{
			name: "wrong use is reported before files are read",
			args: []string{"offsets", "set", "orders", "missing.json", connector},
			code: 2,
			want: "expected either --url or files, found both",
		},
	}
}

// status works with a Kafka Connect worker that requires a logon, responds with temporary conflicts, and has none of
// Culvert's metrics.
func TestStatusOfKafkaConnectWorker(t *testing.T) {
	var requests atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, password, _ := r.BasicAuth()
		switch {
		case name != "anna" || password != "geheim":
			w.WriteHeader(401)
		case r.URL.Path != "/connectors":
			w.WriteHeader(404)
		case r.URL.RawQuery == "expand=motion": // Kafka Connect ignores this value
			io.WriteString(w, `{"a":{}}`)
		case requests.Add(1) == 1:
			w.WriteHeader(409)
			io.WriteString(w,
				`{"error_code":409,"message":"Cannot complete request momentarily due to no known leader URL"}`)
		default:
			io.WriteString(w,
				`{"a":{"status":{"name":"a","connector":{"state":"RUNNING","worker_id":"w"},"tasks":[{"id":0,`+
					`"state":"FAILED","worker_id":"w","trace":"x"}],"type":"sink"}}}`)
		}
	}))
	defer server.Close()
	t.Setenv("CULVERT_REST_PASSWORD", "geheim")
	code, stdout, stderr := command(t, "status", "--url", server.URL, "--user", "anna")
	if code != exitFailed || !strings.Contains(stdout, "1, 1 failed") || !strings.Contains(stderr, "failed: a ") {
		t.Errorf("expected exit %d and the failed task of a, found exit %d\n%s%s", exitFailed, code, stdout, stderr)
	}
	code, _, stderr = command(t, "status", "--url", server.URL, "--user", "bert")
	assert.True(t, code == exitFailed && strings.Contains(stderr, "401"),
		"with another user: expected exit %d and 401, found exit %d\n%s", exitFailed, code, stderr)
}

// A file's initial state is no setting of the connector that is created.
func TestInitialStateOfAppliedFile(t *testing.T) {
	file := e2etest.NewPlace(t).File("orders.properties", "connector.class=ODataSource", "initial_state=paused")
	files, err := readConnectorFiles([]string{file})
	want := connectorFile{settings: map[string]string{"name": "orders", "connector.class": "ODataSource"},
		initialState: "paused"}
	assert.True(t, err == nil && cmp.Diff([]connectorFile{want}, files, cmp.AllowUnexported(connectorFile{})) == "",
		"expected %v, found %v, %v", want, files, err)
}

// status --json has what a worker's list of connectors has.
func TestStatusAsJSON(t *testing.T) {
	url := workerWith(t, map[string]string{
		"GET /connectors": `{"a":{"status":{"name":"a","connector":{"state":"RUNNING"},"tasks":[]}}}`,
		"GET /culvert/connectors": `{"connectors":[{"name":"a","state":"loading","note":"limited to 3 requests a second",` +
			`"cause":"two rows were refused","advice":"Mend them","rows_per_second":12.5,"lag":7,"letters_open":2,` +
			`"refused":3,"load":{"read":10,"total":40,"seconds_left":9}}]}`,
	})
	_, stdout, _ := command(t, "status", "--json", "--url", url)
	var states []map[string]any
	err := json.Unmarshal([]byte(stdout), &states)
	require.True(t, err == nil && len(states) == 1, "expected one connector, found %v\n%s", err, stdout)
	for member, want := range map[string]string{
		"cause":           "two rows were refused",
		"advice":          "Mend them",
		"note":            "limited to 3 requests a second",
		"rows_per_second": "12.5",
		"letters_open":    "2",
		"refused":         "3",
		"load":            "map[read:10 seconds_left:9 total:40]",
	} {
		assert.Equal(t, want, fmt.Sprint(states[0][member]), member)
	}
}

// A Kafka Connect worker does not report reloads. Its connectors are compared all the same.
func TestDiffOfKafkaConnectWorker(t *testing.T) {
	url := workerWith(t, map[string]string{
		"GET /connectors": `{"orders":{"info":{"name":"orders"},"status":{"connector":{"state":"RUNNING"}}}}`})
	running, _, err := runningConnectors(t.Context(), url, "folder")
	assert.True(t, err == nil && len(running) == 1 && running[0].Name == "orders" && !running[0].HasFailed,
		"expected orders, found %+v %v", running, err)
	_, _, err = runningConnectors(t.Context(), workerWith(t, nil), "folder")
	assert.True(t, err != nil && strings.Contains(err.Error(), "not found"),
		"expected the error of the worker, found %v", err)
}

func TestInitUsesDefaultsForEmptyValues(t *testing.T) {
	for _, c := range []struct {
		name      string
		flag      string
		value     string
		connector string
		fault     string
	}{
		{
			name:      "entity sets are blank",
			flag:      "--entity-set",
			value:     " ",
			connector: "",
			fault:     "--entity-set is required",
		},
		{
			name:      "entity sets are commas",
			flag:      "--entity-set",
			value:     " , ",
			connector: "",
			fault:     "--entity-set is required",
		},
		{name: "the name is empty", flag: "--name", value: "", connector: "orders", fault: ""},
		{name: "the name is given", flag: "--name", value: "mine", connector: "mine", fault: ""},
		{name: "the port is 0", flag: "--port", value: "0", connector: "orders", fault: ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			command := newInit()
			args := []string{"--host", "h", "--service", "/s", "--entity-set", "Orders", c.flag, c.value}
			if c.flag == "--entity-set" {
				args = append(args[:4], c.flag, c.value)
			}
			require.NoError(t, command.ParseFlags(args))
			d := &initDialog{isYes: true, flags: command.Flags()}
			name := d.answers(t.Context())
			if c.fault != "" {
				assert.True(t, d.err != nil && strings.HasPrefix(d.err.Error(), c.fault),
					"expected %q, found %v", c.fault, d.err)
				return
			}
			assert.True(t, d.err == nil && name == c.connector,
				"expected connector %q, found %q and %v", c.connector, name, d.err)
			for _, e := range d.entries {
				assert.True(t, e.Key != "sap.odata.host.port" || e.Raw == "443", "expected port 443, found %s", e.Raw)
			}
		})
	}
}

func TestPrintDocument(t *testing.T) {
	for document, want := range map[string]string{
		`[{"b":"x","a":1},{"b":"longer","a":null}]`: "B       A\nx       1\nlonger  \n",
		`{"service":"/x","sets":["a","b"],"n":2}`:   "service  /x\nsets     a, b\nn        2\n",
		`{"n":2,"list":[{"k":"v"}]}`:                "n  2\nlist:\nK\nv\n",
		`"text"`:                                    "\"text\"\n",
		`[]`:                                        "[]\n",
		`[1,2]`:                                     "[1,2]\n",
	} {
		var b bytes.Buffer
		assert.NoError(t, printDocument(&b, []byte(document)), document)
		assert.Equal(t, want, b.String(), document)
	}
}

// --progress prints a table with the rates since the previous line. Without changes it prints nothing.
func TestProgress(t *testing.T) {
	var out bytes.Buffer
	d := &display{out: &out}
	start := time.Unix(1000, 0)
	earlier := progressSnapshot(start, []connect.Progress{{Connector: "orders", Rows: 100}})
	later := progressSnapshot(start.Add(2*time.Second), []connect.Progress{
		{Connector: "orders", Type: "source", State: connect.ConditionRunning, Rows: 300, Pages: 3,
			Feeds: []connect.FeedProgress{{Name: "A", Complete: new("key")}, {Name: "B", Complete: new("key")}}},
		{Connector: "parts", Type: "source", State: connect.ConditionRunning,
			Feeds: []connect.FeedProgress{{Name: "A", Complete: new("unproven")}, {Name: "B"}}},
		{Connector: "copies", Type: "sink", State: connect.ConditionFailed, Rows: 5, Lag: 7, Failed: 1,
			InternalProgress: connect.InternalProgress{IsLagKnown: true}},
		{Connector: "unknown", Type: "sink", State: connect.ConditionFailed, Failed: 1},
	})
	d.show(later, earlier)
	d.Write([]byte("log\n"))
	d.show(later, earlier) // unchanged, so nothing is printed
	want := "" +
		"NAME     TYPE    STATE    TASKS  ROWS  ROWS/S  LAG  REFUSED  LETTERS  COMPLETE\n" +
		"copies   sink    failed   -      5     -       7    1        -        -\n" +
		"orders   source  running  -      300   100     -    0        -        key\n" +
		"parts    source  running  -      0     -       -    0        -        -,unproven\n" +
		"unknown  sink    failed   -      0     -       -    1        -        -\n" +
		"log\n"
	assert.Equal(t, want, out.String())
}

// A message of net/http becomes a line at level debug, without the bytes of an unsolicited response.
func TestLibraryLogIsRedirected(t *testing.T) {
	for level, want := range map[slog.Level]string{
		slog.LevelInfo: "",
		slog.LevelDebug: `level=DEBUG msg="library: ` +
			`Unsolicited response received on idle HTTP channel starting with \"HTTP/1.1 400 Bad Request"` + "\n",
	} {
		var out bytes.Buffer
		captureLibraryLogs(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level})))
		log.Printf("Unsolicited response received on idle HTTP channel starting with %q; err=%v",
			"HTTP/1.1 400 Bad Request\r\nSet-Cookie: session=abc\r\n", nil)
		_, line, _ := strings.Cut(out.String(), " ")
		assert.Equal(t, want, line, level)
	}
}

// Bytes of an unsolicited response, cookies among them, do not reach stderr in a library's line.
func TestUnsolicitedResponsesAreNotLogged(t *testing.T) {
	p := e2etest.NewPlace(t)
	s := odatatest.New(odatatest.Options{Rows: 5})
	address := e2etest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "$metadata") { // another request follows, which would get the second response
			s.ServeHTTP(w, r)
			return
		}
		conn, out, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		answer := httptest.NewRecorder()
		s.ServeHTTP(answer, r)
		result := answer.Result()
		result.ContentLength = int64(answer.Body.Len())
		result.Write(out)
		out.WriteString("HTTP/1.1 400 Bad Request\r\nSet-Cookie: session=abc\r\nContent-Length: 0\r\n\r\n")
		out.Flush()
		conn.Read(make([]byte, 1))
	}))
	args := []string{"ping", "--plugins", e2etest.Plugins(t), "--data", p.Data, "--log-level", "debug", "-s",
		odatatest.NorthwindPath, "-p", p.File("orders.properties", e2etest.Source("orders", address, "Orders")...)}
	var stderr e2etest.Buffer
	// If the command ends before the bytes after the response were read, net/http logs nothing.
	for tries := 0; tries < 30 && !strings.Contains(stderr.String(), "Unsolicited response"); tries++ {
		code := execute(t.Context(), args, io.Discard, &stderr)
		require.True(t, code == exitDone, "expected exit %d, found %d: %s", exitDone, code, stderr.String())
	}
	assert.Contains(t, stderr.String(), "Unsolicited response", "HTTP/1.1 400 Bad Request")
	e2etest.MustNotContain(t, "stderr", stderr.String(), "session=abc")
}

// panickingWriter panics, as a mistake in a command would.
type panickingWriter struct{}

func (panickingWriter) Write([]byte) (int, error) { panic("a mistake in a command") }

// A panic in a command ends it with exit code 1 and prints the stack.
func TestPanicEndsCommandWithExitCode1(t *testing.T) {
	var stderr bytes.Buffer
	code := execute(t.Context(), []string{"version"}, panickingWriter{}, &stderr)
	assert.True(t, code == exitFailed, "expected exit %d, found %d", exitFailed, code)
	for _, want := range []string{"an internal error of culvert", "a mistake in a command", "commands_test.go"} {
		assert.True(t, strings.Contains(stderr.String(), want), "expected %q, found %s", want, &stderr)
	}
}

func TestMain(m *testing.M) { e2etest.Main(m) }
