package e2etest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/odatatest"
)

// Password stands in the settings of every connector here and must stand nowhere else.
const Password = "hunter2-is-secret"

// WithoutPassword fails when the password, as it is or as it travels, stands in what the program said.
func WithoutPassword(t *testing.T, said ...string) {
	t.Helper()
	for _, text := range said {
		for _, secret := range []string{Password, "aHVudGVyMi1pcy1zZWNyZXQ", "Om" + "h1bnRlcjItaXMtc2VjcmV0"} {
			if strings.Contains(text, secret) {
				t.Errorf("the password stands in what the program said:\n%s", text)
			}
		}
	}
}

// Reading is a test of one connector that reads Orders of a demo service of its own.
type Reading struct {
	Name     string // of the connector and of its topic
	Switches map[string]string
	// Front stands in front of the service.
	Front    func(http.Handler) http.Handler
	Settings []string
	// Fails are texts in the task's fault; none: it ends well.
	Fails []string
	// Says are texts in the log, in a line of the connector's.
	Says []string
	// Check looks at what the service saw.
	Check func(t *testing.T, l odatatest.Ledger)

	Service *odatatest.Service
}

const ReadRows, ReadPage = 60, 25

// Start starts the service and returns the connector's file.
func (r *Reading) Start(p *Place) string {
	p.T.Helper()
	r.Service = odatatest.New(odatatest.Options{Rows: ReadRows, PageSize: ReadPage, User: "me", Password: Password})
	for name, value := range r.Switches {
		if err := r.Service.Set(name, value); err != nil {
			p.T.Fatal(r.Name, err)
		}
	}
	var handler http.Handler = r.Service
	if r.Front != nil {
		handler = r.Front(handler)
	}
	address := Serve(p.T, handler)
	lines := Instead(Source(r.Name, address, "Orders"), "sap.odata#00.topic="+r.Name,
		"sap.odata.user.name=me", "sap.odata.user.pwd="+Password,
		"sap.odata.max.retries=1", "sap.odata.min.retry.backoff.ms=1", "sap.odata.max.retry.backoff.ms=2")
	return p.File(r.Name+".properties", Instead(lines, r.Settings...)...)
}

// Instead adds settings, in the place of those of the same name.
func Instead(lines []string, settings ...string) []string {
	for _, s := range settings {
		name, _, _ := strings.Cut(s, "=")
		lines = slices.DeleteFunc(slices.Clone(lines), func(line string) bool {
			return strings.HasPrefix(line,
				name+"=")
		})
	}
	return append(lines, settings...)
}

func (r *Reading) Judge(t *testing.T, run Result) {
	failure, log := "", ""
	for line := range strings.Lines(run.Stderr) {
		if strings.HasPrefix(line, "connector "+r.Name+", task 0: FAILED: ") {
			failure = line
		} else if strings.Contains(strings.ReplaceAll(line, "\n", " "), "connector="+r.Name+" ") {
			log += line
		}
	}
	if (failure == "") != (len(r.Fails) == 0) {
		t.Errorf("expected failure: %t, found %q; it said\n%s", len(r.Fails) > 0, failure, log)
	}
	for _, want := range r.Fails {
		if !strings.Contains(failure, want) {
			t.Errorf("expected %q in the fault, found\n%s", want, failure)
		}
	}
	for _, want := range r.Says {
		if !strings.Contains(log, want) {
			t.Errorf("expected %q in the log, found\n%s", want, log)
		}
	}
	if r.Check != nil {
		r.Check(t, r.Service.Ledger())
	}
}

// Topic is what a topic holds, nil where there is none: the values by key, and the keys in the order of their first
// records.
func (p *Place) Topic(name string) (values map[string]any, keys []string) {
	p.T.Helper()
	r := p.Run("consume", name, "--data", p.Data)
	if r.Code != 0 && !strings.Contains(r.Stderr, name) {
		p.T.Fatalf("consume %s: exit %d\n%s", name, r.Code, r.Stderr)
	}
	values = map[string]any{}
	for line := range strings.Lines(r.Stdout) {
		var one struct{ Key, Value any }
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			p.T.Fatalf("%v in %s", err, line)
		}
		key := fmt.Sprint(one.Key)
		if _, ok := values[key]; !ok {
			keys = append(keys, key)
		}
		values[key] = one.Value
	}
	return values, keys
}

// Front has serve answer requests whose paths hold a text, and the service all others.
func Front(path string,
	serve func(w http.ResponseWriter, r *http.Request, s http.Handler)) func(http.Handler) http.Handler {
	return func(inner http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, path) {
				serve(w, r, inner)
			} else {
				inner.ServeHTTP(w, r)
			}
		})
	}
}

// Forged replaces a text in the answers to requests for a set.
func Forged(old, new string) func(http.Handler) http.Handler {
	return Front("/Orders", func(w http.ResponseWriter, r *http.Request, s http.Handler) {
		answer := httptest.NewRecorder()
		s.ServeHTTP(answer, r)
		maps.Copy(w.Header(), answer.Header())
		w.Header().Del("Content-Length")
		w.WriteHeader(answer.Code)
		w.Write(bytes.Replace(answer.Body.Bytes(), []byte(old), []byte(new), 1))
	})
}

// Folder is a copy of the folder with our guests, for a test to put files into.
func Folder(t *testing.T, more ...string) string {
	t.Helper()
	from, dir := Plugins(t, more...), t.TempDir()
	for _, name := range append([]string{"odata-source"}, more...) {
		NoError(t, os.Link(filepath.Join(from, name+".wasm"), filepath.Join(dir, name+".wasm")))
	}
	return dir
}

func Put(t *testing.T, dir, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	NoError(t, os.WriteFile(path, data, 0o600))
	return path
}
