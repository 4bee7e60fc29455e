//go:build real

package real

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/internal/rest/replaytest"
)

// comparedWorkers are two workers that receive the recorded requests in step: Kafka Connect's, and Culvert's.
type comparedWorkers struct {
	connect     replaytest.Worker
	culvert     replaytest.Worker
	differences map[string][]replaytest.Kind // the expected ones
	// isSkipped means that the last request has an expected difference here, so that the awaited state does not occur.
	isSkipped bool
	compared  int
}

// settleLimit is how long a response may depend on the moment, and a state differ that both workers reach.
const settleLimit = 2 * time.Minute

// do sends a step to both workers and returns an unexpected difference between their responses.
func (w *comparedWorkers) do(s *replaytest.Step) (difference string, err error) {
	switch {
	case s.File != "":
		for _, worker := range []*replaytest.Worker{&w.connect, &w.culvert} {
			file := strings.Replace(s.File, "${dir}", worker.Folder, 1)
			if err := os.WriteFile(file, []byte(s.Content), 0o600); err != nil {
				return "", err
			}
		}
	case s.Until != "":
		if err := w.connect.Await(s); err != nil {
			return "", fmt.Errorf("Kafka Connect: %w", err)
		}
		if w.isSkipped {
			return "", nil
		}
		if err := w.culvert.Await(s); err != nil {
			return "", fmt.Errorf("this worker: %w", err)
		}
	case s.Method != "":
		w.compared++
		w.isSkipped = slices.Contains(w.differences[s.At()], replaytest.Other)
		for end := time.Now().Add(settleLimit); ; time.Sleep(50 * time.Millisecond) {
			difference, err = w.compare(s)
			if err != nil || difference == "" || !isStateRequest(s) || time.Now().After(end) {
				return difference, err
			}
		}
	}
	return "", nil
}

// isStateRequest reports whether a request changes nothing and returns the state of connectors. The same request may be
// answered differently a moment later, because each worker changes states at its own pace.
func isStateRequest(s *replaytest.Step) bool {
	path, query, _ := strings.Cut(s.Path, "?")
	return strings.HasPrefix(path, "/connectors") && (s.Method == "GET" ||
		(s.Method == "POST" && strings.HasSuffix(path, "/restart") && strings.Contains(query, "onlyFailed=true")))
}

// compare sends a request to both workers and compares the responses.
func (w *comparedWorkers) compare(s *replaytest.Step) (difference string, err error) {
	connectAnswer, err := send(&w.connect, s)
	if err != nil {
		return "", fmt.Errorf("Kafka Connect: %w", err)
	}
	culvertAnswer, err := send(&w.culvert, s)
	if err != nil {
		return "", fmt.Errorf("this worker: %w", err)
	}
	connectAnswer.Body, culvertAnswer.Body = replaytest.Alike(connectAnswer.Body,
		replaytest.WithoutOrder(culvertAnswer.Body))
	status, body := replaytest.Compare(s, connectAnswer, culvertAnswer)
	kinds := []replaytest.Kind{}
	switch {
	case status != "":
		kinds = append(kinds, replaytest.Other)
	case body != "":
		kinds = append(kinds, replaytest.Text, replaytest.Body)
	}
	for _, kind := range w.differences[s.At()] {
		if kind != replaytest.LeftOut && !slices.Contains(kinds, kind) {
			difference += fmt.Sprintf("%s: is listed as %q, and there is no such difference\n", s.At(), kind)
		}
	}
	isListed := func(k replaytest.Kind) bool { return slices.Contains(w.differences[s.At()], k) }
	if len(kinds) > 0 && !slices.ContainsFunc(kinds, isListed) {
		difference += fmt.Sprintf("%s %s %.80s (-Kafka Connect +this worker):\n%s%s", s.At(), s.Method, s.Path, status,
			body)
	}
	return difference, nil
}

// send sends a request, again if the worker rejects it because its group has not settled.
func send(w *replaytest.Worker, s *replaytest.Step) (replaytest.Answer, error) {
	for end := time.Now().Add(settleLimit); ; time.Sleep(50 * time.Millisecond) {
		answer, err := w.Send(s)
		if err != nil || answer.Status == s.Status || !isMomentary(answer) || time.Now().After(end) {
			return answer, err
		}
	}
}

// isMomentary reports whether a response depends on the moment, for example because a worker has not read its own last
// change.
func isMomentary(a replaytest.Answer) bool {
	text := fmt.Sprint(a.Body)
	return (a.Status == 409 || a.Status == 500) && (strings.Contains(text, "rebalance") ||
		strings.Contains(text, "stale configuration") || strings.Contains(text, "conflicting operation"))
}

// workerAt returns the worker at an address, under the name it uses.
func workerAt(t *testing.T, address string) replaytest.Worker {
	t.Helper()
	r, err := http.Get("http://" + address + "/")
	require.NoError(t, err)
	defer r.Body.Close()
	var root rest.Root
	require.NoError(t, json.NewDecoder(r.Body).Decode(&root))
	return replaytest.Worker{Address: address, Folder: t.TempDir(), Versions: []string{root.Version},
		Masks: map[string]string{root.Commit: "${commit}", root.Cluster: "${cluster}"}}
}

// filesServer serves the machine's files to the plugins of testdata/guests that replace Kafka's file connectors.
func filesServer(t *testing.T) (port string) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.FormValue("path")
		flags := os.O_RDONLY
		if r.Method == "POST" {
			flags = os.O_WRONLY | os.O_APPEND
		} else if !r.Form.Has("from") {
			flags = os.O_RDONLY | os.O_CREATE
		}
		f, err := os.OpenFile(path, flags, 0o600)
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		defer f.Close()
		if r.Method == "POST" {
			if _, err = io.Copy(f, r.Body); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
			}
			return
		}
		from, _ := strconv.ParseInt(r.FormValue("from"), 10, 64)
		f.Seek(from, io.SeekStart)
		io.Copy(w, f)
	}))
	t.Cleanup(server.Close)
	return server.URL[strings.LastIndexByte(server.URL, ':')+1:]
}

// TestRealWorkerAgainstConnect sends the recorded sequences to a Kafka Connect worker and to Culvert, and compares the
// responses. Plugins with the classes, settings and offsets of Kafka's file connectors replace these.
func TestRealWorkerAgainstConnect(t *testing.T) {
	t.Parallel()
	const folder = "../../../../testdata/connect-rest"
	// The worker compiles the plugins while the others start.
	p := e2etest.NewPlace(t)
	port := filesServer(t)
	p.Subfolder("plugins")
	for _, name := range []string{"files-source", "files-sink"} {
		e2etest.WriteFile(t, filepath.Join(p.Dir, "plugins"), name+".wasm",
			guesttest.Bytes(t, "../../../../testdata/guests/"+name, "main.version=4.3.1"))
	}
	e2etest.WriteFile(t, filepath.Join(p.Dir, "plugins"), "smt.wasm", guesttest.Bytes(t, "../../../../plugins/smt"))
	worker := p.StartWorkerWith(filepath.Join(p.Dir, "plugins"), "conf", "offset.flush.interval.ms=500",
		"key.converter=org.apache.kafka.connect.json.JsonConverter",
		"value.converter=org.apache.kafka.connect.json.JsonConverter")
	broker := e2etest.FreePort(t)
	connectPort := e2etest.FreePort(t)
	dir := t.TempDir()
	e2etest.StartPeer(t, "kafka/start-broker.sh", dir, []string{"CONTROLLER_PORT=" + e2etest.FreePort(t)}, broker,
		filepath.Join(dir, "broker"))
	e2etest.StartPeer(t, "kafka/start-connect.sh", dir, nil, connectPort, "127.0.0.1:"+broker,
		filepath.Join(dir, "connect"))
	connect := workerAt(t, "127.0.0.1:"+connectPort)
	worker.Eventually("that REST can change something", func() bool {
		status, _ := worker.Call("DELETE", "/connectors/none", "")
		return status == 404
	})
	culvert := workerAt(t, strings.TrimPrefix(worker.URL, "http://"))

	culvert.Versions = append(culvert.Versions, connect.Versions...)
	culvert.Prefix = "files."
	culvert.Own = map[string]string{"files.scheme": "http", "files.address": "127.0.0.1", "files.port": port}

	files, err := replaytest.Sequences(folder)
	require.NoError(t, err)
	differences, err := replaytest.Differences(folder)
	require.NoError(t, err)
	both := comparedWorkers{connect: connect, culvert: culvert, differences: differences}
	began := time.Now()
	for _, file := range files {
		steps, err := replaytest.Read(file)
		require.NoError(t, err)
		for _, s := range steps {
			difference, err := both.do(s)
			require.NoError(t, err)
			assert.True(t, difference == "", "%v", difference)
		}
	}
	t.Logf("%d calls compared, sent within %v", both.compared, time.Since(began).Round(time.Second))
}
