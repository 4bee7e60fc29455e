//go:build real

package cluster

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/logtest"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/e2etest"
)

// javaWorker is the REST URL of a Kafka Connect worker.
type javaWorker string

func (w javaWorker) call(t *testing.T, method, path, body string, answer any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, string(w)+path, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	if method == "GET" && response.StatusCode == http.StatusNotFound {
		return // no status yet
	}
	require.True(t, response.StatusCode < 300,
		"%s %s: expected a status below 300, found %s %s", method, path, response.Status, text)
	if answer != nil {
		require.NoError(t, json.Unmarshal(text, answer))
	}
}

// describe returns what REST reports about a connector, its tasks and its topics, one per line.
func (w javaWorker) describe(t *testing.T, name string) string {
	t.Helper()
	type unit struct {
		ID       int    `json:"id"`
		State    string `json:"state"`
		WorkerID string `json:"worker_id"`
		Trace    string `json:"trace"`
		Version  string `json:"version"`
	}
	var status struct {
		Connector unit   `json:"connector"`
		Tasks     []unit `json:"tasks"`
	}
	w.call(t, "GET", "/connectors/"+name+"/status", "", &status)
	var topics map[string]struct{ Topics []string }
	w.call(t, "GET", "/connectors/"+name+"/topics", "", &topics)
	status.Connector.ID = -1
	text := ""
	for _, u := range append([]unit{status.Connector}, status.Tasks...) {
		text += fmt.Sprintf("%d %s %s %q %s\n", u.ID, u.State, u.WorkerID, u.Trace, u.Version)
	}
	return text + strings.Join(slices.Sorted(slices.Values(topics[name].Topics)), " ") // REST returns them in any order
}

// linesOf returns the same from the status topic.
func linesOf(s *StatusTopic, name string) string {
	connector, _ := s.Connector(name)
	text := ""
	for _, u := range append([]Status{connector}, s.Tasks(name)...) {
		text += fmt.Sprintf("%d %s %s %q %s\n", u.Task, u.State, u.WorkerID, u.Trace, u.Version)
	}
	return text + strings.Join(s.Topics(name), " ")
}

// The statuses of an Apache Kafka worker in every state are read as its REST API shows them, and it shows the statuses
// that we write.
func TestRealStatuses(t *testing.T) {
	dir := t.TempDir()
	broker := e2etest.FreePort(t)
	restPort := e2etest.FreePort(t)
	runPeer(t, []string{"CONTROLLER_PORT=" + e2etest.FreePort(t)}, "start-broker.sh", broker,
		filepath.Join(dir, "broker"))
	runPeer(t, []string{"GROUP=statuses"}, "start-connect.sh", restPort, filepath.Join(dir, "connect"),
		"127.0.0.1:"+broker)
	java := javaWorker("http://127.0.0.1:" + restPort)
	createStatuses(t, java, filepath.Join(dir, "lines"))

	var journal logtest.Journal
	ours := openStates(t, "127.0.0.1:"+broker, "statuses-status", journal.Logger(slog.LevelInfo))
	checkStatusesAreRead(t, java, ours)
	checkSafeWriteYields(t, java, ours, &journal)
	checkStatusesAreShown(t, java, ours)

	ours.DeleteTasks("into", 3)
	ours.ResetTopics("paused")
	require.Until(t, func() bool {
		return !strings.Contains(java.describe(t, "into"), "12 FAILED") &&
			strings.HasSuffix(java.describe(t, "paused"), "\n")
	}, func() string { return java.describe(t, "into") + java.describe(t, "paused") })
	assert.NoError(t, ours.Close(t.Context()))
	assert.Equal(t, "", journal.String())
	log, err := os.ReadFile(filepath.Join(dir, "connect", "worker.log"))
	require.NoError(t, err)
	for line := range strings.Lines(string(log)) {
		assert.True(t, !strings.Contains(line, "KafkaStatusBackingStore") || strings.Contains(line, "INFO"),
			"unexpected line of the worker's log: %s", line)
	}
}

// awaitShown waits until the status that a Java worker shows contains a text.
func awaitShown(t *testing.T, java javaWorker, name, want string) {
	t.Helper()
	require.Until(t, func() bool { return strings.Contains(java.describe(t, name), want) },
		func() string { return fmt.Sprintf("%s: expected %s, found %s", name, want, java.describe(t, name)) })
}

// createStatuses creates connectors in a Java worker: running, failed, paused, stopped, deleted and restarted ones.
func createStatuses(t *testing.T, java javaWorker, file string) {
	t.Helper()
	require.NoError(t, os.WriteFile(file, []byte("one\ntwo\n"), 0o600))
	for name, settings := range map[string]string{
		"from-1":  `"connector.class":"FileStreamSource","topic":"lines","file":"` + file + `"`,
		"into":    `"connector.class":"FileStreamSink","topics":"lines","tasks.max":"3","file":"` + file + `.out"`,
		"failed":  `"connector.class":"FileStreamSink","topics":"lines","file":"/no/such/folder/lines"`,
		"paused":  `"connector.class":"FileStreamSink","topics":"lines","file":"` + file + `.paused"`,
		"stopped": `"connector.class":"FileStreamSink","topics":"lines","tasks.max":"2","file":"` + file + `.stopped"`,
		"deleted": `"connector.class":"FileStreamSink","topics":"lines","file":"` + file + `.deleted"`,
	} {
		java.call(t, "PUT", "/connectors/"+name+"/config", "{"+settings+"}", nil)
	}
	for name, want := range map[string]string{"from-1": "0 RUNNING", "into": "2 RUNNING", "failed": "0 FAILED",
		"paused": "0 RUNNING", "stopped": "1 RUNNING", "deleted": "0 RUNNING"} {
		awaitShown(t, java, name, want)
	}
	java.call(t, "PUT", "/connectors/paused/pause", "", nil)
	java.call(t, "PUT", "/connectors/stopped/stop", "", nil)
	java.call(t, "DELETE", "/connectors/deleted", "", nil)
	java.call(t, "POST", "/connectors/from-1/restart?includeTasks=true", "", nil)
	awaitShown(t, java, "paused", "0 PAUSED")
	awaitShown(t, java, "stopped", "-1 STOPPED")
	awaitShown(t, java, "from-1", "0 RUNNING")
	for _, name := range []string{"from-1", "into", "paused"} {
		awaitShown(t, java, name, "\nlines")
	}
}

// awaitSameStatus waits until the status of a connector is read as the Java worker shows it.
func awaitSameStatus(t *testing.T, java javaWorker, ours *StatusTopic, name string) {
	t.Helper()
	require.Until(t, func() bool { return linesOf(ours, name) == java.describe(t, name) },
		func() string {
			return fmt.Sprintf("REST shows\n%s\nread\n%s", java.describe(t, name), linesOf(ours, name))
		})
}

// checkStatusesAreRead checks that the statuses are read as the Java worker shows them.
func checkStatusesAreRead(t *testing.T, java javaWorker, ours *StatusTopic) {
	t.Helper()
	names := []string{"failed", "from-1", "into", "paused", "stopped"}
	require.Until(t, func() bool { return len(ours.Connectors()) == len(names) },
		func() string { return fmt.Sprint(ours.Connectors()) })
	assert.Equal(t, names, ours.Connectors())
	for _, name := range names {
		awaitSameStatus(t, java, ours, name)
		t.Logf("%s: %.200s", name, linesOf(ours, name))
	}
}

// checkSafeWriteYields checks that a safe write yields to the Java worker's newer generation, and overwrites it with a
// newer generation of its own.
func checkSafeWriteYields(t *testing.T, java javaWorker, ours *StatusTopic, journal *logtest.Journal) {
	t.Helper()
	task := ours.Tasks("into")[1]
	shown := java.describe(t, "into")
	generation := task.Generation
	task.WorkerID = "culvert:8083"
	task.Version = "1.2.3"
	task.State = connect.Unassigned
	task.Generation = 0
	ours.PutSafe(task)
	require.Until(t, func() bool { return ours.pending() == 0 }, journal.String)
	assert.Equal(t, shown, java.describe(t, "into"))
	task.Generation = generation + 1
	ours.PutSafe(task)
	awaitShown(t, java, "into", "1 UNASSIGNED culvert:8083 \"\" 1.2.3\n")
}

// checkStatusesAreShown checks that the Java worker shows statuses that we write.
func checkStatusesAreShown(t *testing.T, java javaWorker, ours *StatusTopic) {
	t.Helper()
	ours.Put(Status{Connector: "into", Task: 12, State: connect.Failed, Trace: "why\n\tat \"Ä\" 😀",
		WorkerID: "culvert:8083", Generation: 1})
	ours.Put(Status{Connector: "into", Task: -1, State: connect.Restarting, WorkerID: "culvert:8083", Generation: 1,
		Version: "2"})
	ours.RecordTopic("into", "more", 12)
	awaitShown(t, java, "into", "more")
	awaitShown(t, java, "into", "-1 RESTARTING culvert:8083 \"\" 2\n")
	awaitShown(t, java, "into", "12 FAILED culvert:8083 \"why\\n\\tat \\\"Ä\\\" 😀\" \n")
	awaitSameStatus(t, java, ours, "into")
}

// A broker that was killed and restarted has the newest status of each key.
func TestRealStatusBrokerKilled(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "broker")
	broker := e2etest.FreePort(t)
	controller := e2etest.FreePort(t)
	env := []string{"CONTROLLER_PORT=" + controller}
	peer := runPeer(t, env, "start-broker.sh", broker, dir)
	var journal, other logtest.Journal
	ours := openStates(t, "127.0.0.1:"+broker, "states", journal.Logger(slog.LevelInfo))
	const tasks = 500
	put := func(state connect.State) {
		for task := range tasks {
			ours.Put(Status{Connector: "c", Task: task, State: state, WorkerID: "a:1", Generation: 1, Version: "1"})
		}
	}
	put(connect.Restarting)
	peer.signal(t, syscall.SIGKILL)
	peer.Stop()
	put(connect.Paused)
	require.Until(t, func() bool { return strings.Contains(journal.String(), "statuses cannot be written") },
		journal.String)
	put(connect.Running)
	start := time.Now()
	runPeer(t, env, "start-broker.sh", broker, dir)
	require.Until(t, func() bool { return ours.pending() == 0 }, journal.String)
	t.Logf("all is written %v after the broker was restarted", time.Since(start))
	reader := openStates(t, "127.0.0.1:"+broker, "states", other.Logger(slog.LevelInfo))
	got := reader.Tasks("c")
	assert.Equal(t, tasks, len(got))
	for _, s := range got {
		assert.True(t, s.State == connect.Running, "unexpected status: task %d is %s", s.Task, s.State)
	}
	assert.NoError(t, reader.Close(t.Context()))
	assert.NoError(t, ours.Close(t.Context()))
	t.Log(journal.String())
}
