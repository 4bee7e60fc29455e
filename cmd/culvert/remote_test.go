package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
)

// command runs a command line in this process.
func command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = execute(t.Context(), args, &out, &err)
	return code, out.String(), err.String()
}

// workerWith is a REST server with an answer for each method and path; it answers 404 for others.
func workerWith(t *testing.T, answers map[string]string) (url string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, known := answers[r.Method+" "+r.URL.Path]
		if !known {
			w.WriteHeader(http.StatusNotFound)
			answer = `{"error_code":404,"message":"not found"}`
		}
		io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestAnswersOfWorkers(t *testing.T) {
	p := e2etest.NewPlace(t)
	connector := p.File("orders.properties", "name=orders", "connector.class=ODataSource")
	offsets := p.File("offsets.json", `{"offsets":[]}`)
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
	const running = `{"a":{"status":{"name":"a","connector":{"state":"RUNNING"},"tasks":[]}}}`
	unknown := workerWith(t, map[string]string{"GET /connectors": running, "GET /culvert/connectors": "not now"})
	away := workerWith(t, map[string]string{"GET /connectors": running,
		"GET /culvert/connectors": `{"connectors":[],"silent":["worker w2: away"]}`})
	for _, c := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"create is replaced", []string{"connectors", "create", "--state", "STOPPED", connector}, 2,
			"expected culvert connectors apply"},
		{"a state is for new connectors", []string{"connectors", "apply", connector, "--state", "STOPPED"}, 2,
			"--state is for a connector that is created, and orders exists"},
		{"status names what failed", []string{"status"}, 1, "FAILED: a (culvert"},
		{"states that are not known are no success", []string{"status", "--url", unknown}, 1,
			"are not known: states shown are Kafka Connect's"},
		{"states of some workers are not known", []string{"status", "--url", away}, 1,
			"states of connectors are not known: worker w2: away"},
		{"resumed logons are a number", []string{"connectors", "lockouts", "resume", "--json"}, 0,
			`[{"connector":"1 refused logon","done":"to be tried once more"}]`},
		{"a comparison is an object", []string{"connectors", "diff", connector, "--json"}, 1,
			`{"connector":"orders",`},
		{"an empty answer to a change", []string{"offsets", "set", "orders", offsets}, 0, "\n"},
		{"a text as the answer to a change", []string{"offsets", "reset", "text"}, 0, "done\n"},
		{"offsets are JSON", []string{"offsets", "show", "text"}, 1, "expected JSON, found <html>"},
		{"files are tested before they are read", []string{"offsets", "set", "orders", "missing.json", connector}, 2,
			"expected either --url or files, found both"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := command(t, append([]string{c.args[0], "--url", url}, c.args[1:]...)...)
			if said := stdout + stderr; code != c.code || !strings.Contains(said, c.want) {
				t.Errorf("expected exit %d and %q, found exit %d and %q", c.code, c.want, code, said)
			}
		})
	}
	code, _, stderr := command(t, "offsets", "set", "orders", "missing.json")
	if want := "expected --url, --config DIR or files"; code != exitWrong || !strings.Contains(stderr, want) {
		t.Errorf("expected exit %d and %q, found exit %d and %q", exitWrong, want, code, stderr)
	}
}

// Against a worker of Kafka Connect, with a logon, conflicts that pass, and no figures of ours.
func TestStatusOfAnotherWorker(t *testing.T) {
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, password, _ := r.BasicAuth()
		switch {
		case name != "anna" || password != "geheim":
			w.WriteHeader(401)
		case r.URL.Path != "/connectors":
			w.WriteHeader(404)
		case r.URL.RawQuery == "expand=motion": // which it does not know
			io.WriteString(w, `{"a":{}}`)
		case asked.Add(1) == 1:
			w.WriteHeader(409)
			io.WriteString(w, `{"error_code":409,"message":"Cannot complete request momentarily due to no known leader URL"}`)
		default:
			io.WriteString(w, `{"a":{"status":{"name":"a","connector":{"state":"RUNNING","worker_id":"w"},"tasks":[{"id":0,`+
				`"state":"FAILED","worker_id":"w","trace":"x"}],"type":"sink"}}}`)
		}
	}))
	defer server.Close()
	t.Setenv("CULVERT_REST_PASSWORD", "geheim")
	code, stdout, stderr := command(t, "status", "--url", server.URL, "--user", "anna")
	if code != exitFailed || !strings.Contains(stdout, "1, 1 failed") || !strings.Contains(stderr, "FAILED: a ") {
		t.Errorf("found exit %d\n%s%s", code, stdout, stderr)
	}
	code, _, stderr = command(t, "status", "--url", server.URL, "--user", "bert")
	if code != exitFailed || !strings.Contains(stderr, "401") {
		t.Errorf("with another user: found exit %d\n%s", code, stderr)
	}
}
