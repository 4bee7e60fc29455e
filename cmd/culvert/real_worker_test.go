//go:build real

package main

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
	"sync"
	"testing"
	"time"

	"github.com/culvert-project/culvert/host/plugin/guesttest"
	"github.com/culvert-project/culvert/host/rest"
	"github.com/culvert-project/culvert/host/rest/replaytest"
)

// besideWorker is a worker that the recorded calls are sent to.
type besideWorker struct {
	replaytest.Worker
	answers map[string]replaytest.Answer
}

// replay sends every call of every sequence. What a worker that has to agree with itself first says is asked again.
// What is waited for behind a call that is wanted to be answered otherwise does not come about.
func (w *besideWorker) replay(sequences [][]*replaytest.Step, wanted map[string][]replaytest.Kind) error {
	other := false
	for _, steps := range sequences {
		for _, s := range steps {
			switch {
			case s.File != "":
				if err := os.WriteFile(strings.Replace(s.File, "${dir}", w.Folder, 1), []byte(s.Content), 0o600); err != nil {
					return err
				}
			case s.Until != "" && other:
			case s.Until != "":
				if err := w.Await(s); err != nil {
					return err
				}
			case s.Method != "":
				other = slices.Contains(wanted[s.At()], replaytest.Other)
				answer, err := w.Send(s)
				for tries := 0; err == nil && tries < 200 && answer.Status != s.Status && isMomentary(answer); tries++ {
					answer, err = w.Send(s)
				}
				if err != nil {
					return err
				}
				w.answers[s.At()] = answer
			}
		}
	}
	return nil
}

// isMomentary tells whether an answer speaks of a moment, as one of a worker that has not seen its own last change.
func isMomentary(a replaytest.Answer) bool {
	text := fmt.Sprint(a.Body)
	return (a.Status == 409 || a.Status == 500) && (strings.Contains(text, "rebalance") ||
		strings.Contains(text, "stale configuration") || strings.Contains(text, "conflicting operation"))
}

// settled is an answer in which what restarts runs.
func settled(body any) any {
	data, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	var settled any
	if err := json.Unmarshal([]byte(strings.ReplaceAll(string(data), "RESTARTING", "RUNNING")), &settled); err != nil {
		panic(err)
	}
	return settled
}

// beside is a worker at an address, as it names itself.
func beside(t *testing.T, address string) *besideWorker {
	t.Helper()
	r, err := http.Get("http://" + address + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var root rest.Root
	if err := json.NewDecoder(r.Body).Decode(&root); err != nil {
		t.Fatal(err)
	}
	return &besideWorker{replaytest.Worker{Address: address, Folder: t.TempDir(), Versions: []string{root.Version},
		Masks: map[string]string{root.Commit: "${commit}", root.Cluster: "${cluster}"}}, map[string]replaytest.Answer{}}
}

// filesServer hands the files of the machine to the plugins of testdata/guests that stand for Kafka's file connectors.
func filesServer(t *testing.T) (port string) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, flags := r.FormValue("path"), os.O_RDONLY
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

// TestRealWorkerBeside sends the recorded sequences to a Kafka Connect worker and to this one, and compares the
// answers. Plugins stand in here for Kafka's file connectors, with their classes, settings and offsets.
func TestRealWorkerBeside(t *testing.T) {
	const folder = "../../testdata/connect-rest"
	// It compiles the plugins while the others start.
	p := newPlace(t)
	port := filesServer(t)
	p.subfolder("plugins")
	for _, name := range []string{"files-source", "files-sink"} {
		put(t, filepath.Join(p.dir, "plugins"), name+".wasm", guesttest.Bytes(t, "../../testdata/guests/"+name,
			"main.version=4.3.1"))
	}
	put(t, filepath.Join(p.dir, "plugins"), "smt.wasm", guesttest.Bytes(t, "../../plugins/smt"))
	p.subfolder("conf")
	f := p.followsWith(filepath.Join(p.dir, "plugins"), "conf", "offset.flush.interval.ms=500",
		"key.converter=org.apache.kafka.connect.json.JsonConverter",
		"value.converter=org.apache.kafka.connect.json.JsonConverter")
	broker, connect, dir := freePort(t), freePort(t), t.TempDir()
	startPeer(t, "kafka/start-broker.sh", dir, []string{"CONTROLLER_PORT=" + freePort(t)}, broker,
		filepath.Join(dir, "broker"))
	startPeer(t, "kafka/start-connect.sh", dir, nil, connect, "127.0.0.1:"+broker, filepath.Join(dir, "connect"))
	real := beside(t, "127.0.0.1:"+connect)
	f.eventually("that REST can change something", func() bool {
		status, _ := f.call("DELETE", "/connectors/none", "")
		return status == 404
	})
	ours := beside(t, strings.TrimPrefix(f.url, "http://"))

	ours.Versions = append(ours.Versions, real.Versions...)
	ours.Prefix = "files."
	ours.Own = map[string]string{"files.scheme": "http", "files.address": "127.0.0.1", "files.port": port}

	files, err := replaytest.Sequences(folder)
	if err != nil {
		t.Fatal(err)
	}
	var sequences [][]*replaytest.Step
	for _, file := range files {
		steps, err := replaytest.Read(file)
		if err != nil {
			t.Fatal(err)
		}
		sequences = append(sequences, steps)
	}
	wanted, err := replaytest.Differences(folder)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	var both sync.WaitGroup
	both.Go(func() {
		if err := real.replay(sequences, nil); err != nil {
			t.Errorf("Kafka Connect: %v", err)
		}
	})
	if err := ours.replay(sequences, wanted); err != nil {
		t.Errorf("this worker: %v", err)
	}
	both.Wait()
	if t.Failed() {
		return
	}
	took, compared := time.Since(began).Round(time.Second), 0
	for _, steps := range sequences {
		for _, s := range steps {
			if s.Method == "" {
				continue
			}
			compared++
			theirs, own := real.answers[s.At()], ours.answers[s.At()]
			theirs.Body, own.Body = replaytest.Alike(theirs.Body, replaytest.WithoutOrder(own.Body))
			if slices.Contains(wanted[s.At()], replaytest.Moment) {
				theirs.Body, own.Body = settled(theirs.Body), settled(own.Body)
			}
			status, body := replaytest.Compare(s, theirs, own)
			found := []replaytest.Kind{}
			switch {
			case status != "":
				found = append(found, replaytest.Other)
			case body != "":
				found = append(found, replaytest.Text, replaytest.Body)
			}
			for _, kind := range wanted[s.At()] {
				if kind != replaytest.LeftOut && kind != replaytest.Moment && !slices.Contains(found, kind) {
					t.Errorf("%s: is listed as %q, and there is no such difference", s.At(), kind)
				}
			}
			listed := func(k replaytest.Kind) bool { return slices.Contains(wanted[s.At()], k) }
			if len(found) > 0 && !slices.ContainsFunc(found, listed) {
				t.Errorf("%s %s %.80s (-Kafka Connect +this worker):\n%s%s", s.At(), s.Method, s.Path, status, body)
			}
		}
	}
	t.Logf("%d calls compared, sent within %v", compared, took)
}
