//go:build real

package real

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/plugin/guesttest"
	"github.com/culvert-project/culvert/host/porttest"
	"github.com/culvert-project/culvert/internal/e2etest"
)

// javaWorker is a worker of Kafka Connect's, by its REST.
type javaWorker struct {
	*e2etest.Followed
	dir, port, servers string
}

// starts starts it, in a folder of its own for each start.
func (w *javaWorker) starts() {
	w.T.Helper()
	w.dir = filepath.Join(w.T.TempDir(), "connect")
	e2etest.StartPeer(w.T, "kafka/start-connect.sh", w.dir, []string{"GROUP=moves"}, w.port, w.servers, w.dir)
}

// stops has it end in good order.
func (w *javaWorker) stops() {
	w.T.Helper()
	text, err := os.ReadFile(filepath.Join(w.dir, "pids"))
	e2etest.NoError(w.T, err)
	var pid int
	_, err = fmt.Sscan(string(text), &pid)
	e2etest.NoError(w.T, err)
	e2etest.NoError(w.T, syscall.Kill(pid, syscall.SIGTERM))
	w.Eventually("the end of Kafka Connect's worker", func() bool { return syscall.Kill(pid, 0) != nil })
}

// A cluster of Kafka Connect's with connectors in several states is shown by culvert cluster check, taken over, and
// given back, and taken over again: states and offsets are what they were, and every line arrives once.
func TestRealTakeover(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	plugins := p.Subfolder("plugins") // no sink among them
	e2etest.Put(t, plugins, "files-source.wasm", guesttest.Bytes(t, "../../../../testdata/guests/files-source",
		"main.version=4.3.1"))
	files, broker, dir := filesServer(t), e2etest.FreePort(t), t.TempDir()
	e2etest.StartPeer(t, "kafka/start-broker.sh", dir, []string{"CONTROLLER_PORT=" + e2etest.FreePort(t)}, broker, dir)
	servers := "127.0.0.1:" + broker
	java := &javaWorker{Followed: &e2etest.Followed{Place: p, Command: p.Start("version")}, port: e2etest.FreePort(t),
		servers: servers}
	java.Url = "http://127.0.0.1:" + java.port
	at := porttest.Address(t)
	worker := p.File("worker.properties", "bootstrap.servers="+servers, "group.id=moves",
		"config.storage.topic=moves-configs", "status.storage.topic=moves-status", "offset.storage.topic=moves-offsets",
		"key.converter=org.apache.kafka.connect.json.JsonConverter",
		"value.converter=org.apache.kafka.connect.json.JsonConverter", "session.timeout.ms=6000",
		"heartbeat.interval.ms=1000", "offset.flush.interval.ms=500", "scheduled.rebalance.max.delay.ms=1000",
		"listeners=http://"+at)
	cluster := func(command string, code int) e2etest.Result {
		t.Helper()
		began := time.Now()
		r := p.Run("cluster", command, "--plugins", plugins, "--data", p.Data, worker)
		t.Logf("culvert cluster %s, exit %d after %v\n%s%s", command, r.Code, time.Since(began).Round(time.Millisecond),
			r.Stdout, r.Stderr)
		return r.Exits(code).Omits("c4n4ry")
	}
	file, out := filepath.Join(p.Dir, "lines"), filepath.Join(p.Dir, "out")
	written := 0
	writes := func(lines int) {
		t.Helper()
		f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		e2etest.NoError(t, err)
		defer f.Close()
		for range lines {
			written++
			_, err = fmt.Fprintln(f, "line", written)
			e2etest.NoError(t, err)
		}
	}
	arrived := func() bool {
		text, _ := os.ReadFile(out)
		return strings.Count(string(text), "\n") >= written
	}
	inTopic := func(n int) bool { return len(fetchFrom(t, servers, "lines", n)) == n }

	cluster("check", 1).Tells("config.storage.topic: topic moves-configs: UNKNOWN_TOPIC_OR_PARTITION")
	java.starts()
	writes(10)
	source := func(name string, more ...string) {
		t.Helper()
		settings := map[string]string{"connector.class": "org.apache.kafka.connect.file.FileStreamSourceConnector",
			"topic": "lines", "file": filepath.Join(p.Dir, name), "files.scheme": "http", "files.address": "127.0.0.1",
			"files.port": files}
		for _, one := range more {
			key, value, _ := strings.Cut(one, "=")
			settings[key] = value
		}
		body, err := json.Marshal(settings)
		e2etest.NoError(t, err)
		java.Until(201, "PUT", "/connectors/"+name+"/config", string(body))
	}
	states := func(w *e2etest.Followed, paused int) {
		t.Helper()
		w.Await("lines", "runs", e2etest.Is(connect.Running, 1))
		w.Await("paused", "is paused", e2etest.Is(connect.Paused, paused))
		w.Await("stopped", "is stopped", e2etest.Is(connect.Stopped, 0))
		if status, _ := w.Call("GET", "/connectors/deleted", ""); status != 404 {
			t.Errorf("expected no deleted connector, found %d", status)
		}
	}
	for _, name := range []string{"paused", "stopped", "deleted"} {
		e2etest.Put(t, p.Dir, name, nil)
		source(name)
	}
	source("lines", "files.password=c4n4ry")
	source("sink", "connector.class=org.apache.kafka.connect.file.FileStreamSinkConnector", "topics=lines", "file="+out)
	for _, name := range []string{"lines", "paused", "stopped", "deleted", "sink"} {
		java.Await(name, "runs", e2etest.Runs)
	}
	java.Until(202, "PUT", "/connectors/paused/pause", "")
	java.Until(204, "PUT", "/connectors/stopped/stop", "")
	java.Until(204, "DELETE", "/connectors/deleted", "")
	states(java.Followed, 1)
	java.Eventually("all lines", arrived)

	cluster("check", 1).Prints("a worker of Kafka Connect's is live: stop it first: http://127.0.0.1:" + java.port)
	cluster("release", 1).Tells("a worker of Kafka Connect's is live: stop it first: http://127.0.0.1:" + java.port)
	java.stops()
	const sourceClass = "org.apache.kafka.connect.file.FileStreamSourceConnector"
	found := cluster("check", 1).Tells("1 problem, 1 warning").Prints("connector-sink: connector.class: no plugin has",
		"connector-lines: files.password: warning: a secret in clear text")
	if got, want := strings.Join(strings.Fields(found.Stdout), " "), "NAME CLASS STATE TASKS OFFSETS "+
		"lines "+sourceClass+" RUNNING 1 1 paused "+sourceClass+" PAUSED 1 0 "+
		"sink org.apache.kafka.connect.file.FileStreamSinkConnector RUNNING 1 0 "+
		"stopped "+sourceClass+" STOPPED 0 0 "; !strings.HasPrefix(got, want) {
		t.Errorf("expected %s, found %s", want, got)
	}

	ours := p.Serves(at, "--plugins", plugins, "--data", p.Data, worker)
	states(ours, 1)
	ours.Until(200, "GET", "/connectors/sink/status", "", `"state":"UNASSIGNED"`, `"trace":"`, "FileStreamSinkConnector")
	writes(10)
	ours.Eventually("the lines of ours", func() bool { return inTopic(20) })
	cluster("check", 1).Prints("a worker of Culvert's is live: workers that start join it: http://" + at)
	cluster("release", 1).Tells("a worker of Culvert's is live: stop it first, by SIGTERM (",
		"is over): http://"+at)
	ours.MustStop()
	cluster("release", 0)

	java.starts()
	states(java.Followed, 0) // its tasks are planned when it goes on
	java.Await("sink", "runs", e2etest.Runs)
	writes(10)
	java.Eventually("all lines", arrived)
	text, err := os.ReadFile(out)
	e2etest.NoError(t, err)
	want := ""
	for n := range written {
		want += fmt.Sprintln("line", n+1)
	}
	e2etest.Equal(t, "what the sink has written", want, string(text))
	log, err := os.ReadFile(filepath.Join(java.dir, "worker.log"))
	e2etest.NoError(t, err)
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, "ERROR") {
			t.Logf("Kafka Connect: %.200s", line)
		}
	}

	java.stops()
	ours = p.Serves(at, "--plugins", plugins, "--data", p.Data, worker)
	states(ours, 0)
	writes(10)
	ours.Eventually("the lines of ours, again", func() bool { return inTopic(written) })
	ours.MustStop()
}
