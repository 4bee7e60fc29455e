package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
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
			code, stdout, stderr := command(t, append(c.args, "--url", url)...)
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
