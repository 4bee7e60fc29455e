package main

import (
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/culvert-project/culvert/host/porttest"
	"github.com/culvert-project/culvert/internal/e2etest"
)

// Wrong use is exit code 2 before anything is sent; that nobody answers is exit code 1. Either is one line on stderr.
func TestWrongUse(t *testing.T) {
	var asked atomic.Int64
	server := e2etest.Serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	p := e2etest.NewPlace(t)
	closed := porttest.Address(t)
	_, port, _ := net.SplitHostPort(closed)
	file := p.File("c.properties", "name=c", "connector.class=ODataSource")
	away := "expected a running worker at http://" + closed + ": dial tcp "
	const noURL = `--url: expected http://HOST:PORT, found "ftp://x:1"`
	for _, c := range []struct {
		line string // URL is a worker's, EMPTY an empty argument
		code int
		want string
	}{
		{"nonsense", 2, `unknown command "nonsense"`},
		{"runn --help", 2, `unknown command "runn": did you mean run? Commands of plugins`},
		{"peek -s /x", 2, "expected -p FILE"},
		{"grind -s /x", 2, `unknown command "grind": commands of plugins, such as peek, need a connector's file: ` +
			"culvert grind -p FILE"},
		{"grind --help", 2, "culvert grind -p FILE"},
		{"completion tcsh", 2, `unknown command "tcsh"`},
		{"run --nonsense", 2, "unknown flag"},
		{"run", 2, "expected --config DIR or files"},
		{"run nowhere.properties", 2, "nowhere.properties"},
		{"run --config . x.properties", 2, "found both"},
		{"ping -p nowhere.properties", 2, "nowhere.properties"},
		{"plugins check nowhere.wasm", 2, "nowhere.wasm"},
		{"validate --log-level loud " + file, 2, "expected debug, info"},
		{"validate --log-format xml " + file, 2, `--log-format: expected text, text+location or json, found "xml"`},
		{"consume", 2, "expected TOPIC, found nothing"},
		{"consume x --data nowhere", 1, "nowhere"},
		{"consume x --bootstrap-servers " + closed, 1, "connection refused"},
		{"reference AvroConvrter", 2, `there is no page "AvroConvrter": the nearest one is AvroConverter (culvert ` +
			"reference lists all)"},
		{"reference guide/sinks", 2, `there is no page "guide/sinks": the nearest one is guide/sink`},
		{"connectors list --url ftp://x:1", 2, noURL},
		{"offsets show c --url ftp://x:1", 2, noURL},
		{"connectors list --url http://" + closed, 1, away},
		{"status --url http://" + closed, 1, away},
		{"offsets show c --url http://" + closed, 1, away},
		{"connectors list --url https://" + server, 1, "server gave HTTP response to HTTPS client"},
		{"connectors list --timeout 0s URL", 2, "--timeout: expected a time such as 30s, found 0s"},
		{"connectors restart c --task -3 URL", 2, "--task: expected the number of a task, from 0 on, found -3"},
		{"connectors apply " + file + " --state OFF URL", 2,
			`--state: expected RUNNING, PAUSED or STOPPED, found "OFF"`},
		{"connectors pause URL", 2, "expected NAME, found nothing"},
		{"connectors delete EMPTY a URL", 2, "expected NAME, found an empty one"},
		{"connectors delete a EMPTY URL", 2, "expected NAME, found an empty one"},
		{"connectors show a b URL", 2, `expected one NAME, found ["a" "b"]`},
		{"offsets show URL", 2, "expected NAME, found nothing"},
		{"offsets set c URL", 2, "expected FILE, found nothing"},
		{"offsets set c EMPTY URL", 2, "expected FILE, found an empty one"},
		{"offsets set c " + p.File("bad.json", "nonsense") + " URL", 2,
			"bad.json: expected JSON, as culvert offsets show prints it"},
		{"dlq show", 2, "expected TOPIC, found nothing"},
		{"doctor", 2, ""},
		{"doctor -p missing.properties", 2, "missing.properties"},
		{"doctor -p " + p.File("broken.properties", "bootstrap.servers=h:1", "kafka.proxy.type=pigeon"), 2, "pigeon"},
		{"doctor -p " + p.File("embedded.properties", "bootstrap.servers=embedded"), 2, ""},
		{"tunnel", 2, ""},
		{"tunnel -p " + p.File("none.properties", "kafka.proxy.type=none"), 2, ""},
		// A tunnel to itself would connect to itself again and again.
		{"tunnel --listen 127.0.0.1:" + port + " -p " + p.File("same.properties", "bootstrap.servers="+closed), 2,
			"bootstrap.servers: expected brokers elsewhere, found " + closed},
		{"tunnel --listen :" + port + " -p " + p.File("local.properties", "bootstrap.servers=localhost:"+port), 2,
			"bootstrap.servers: expected brokers elsewhere, found localhost:" + port},
	} {
		args := strings.Fields(strings.ReplaceAll(c.line, "URL", "--url http://"+server))
		for i, arg := range args {
			args[i] = strings.ReplaceAll(arg, "EMPTY", "")
		}
		code, stdout, stderr := command(t, args...)
		if code != c.code || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, c.want) ||
			strings.Contains(stderr, "Get \"") {
			t.Errorf("culvert %s: expected exit %d and %q, found %d\n%s%s", c.line, c.code, c.want, code, stdout,
				stderr)
		}
	}
	if n := asked.Load(); n > 0 {
		t.Errorf("expected nothing to be sent, found %d requests", n)
	}
	_, flag, _ := command(t, "--version")
	if _, version, _ := command(t, "version"); flag == "" || flag != version {
		t.Errorf("expected the same version, found %q and %q", flag, version)
	}
}
