package operate

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// Connectors of a worker are made, changed, steered and looked at from the command line.
func TestConnectorsCommand(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	_, address := e2etest.Demo(t, odatatest.Options{Rows: 10})
	f := p.Follows("conf")
	culvert := func(code int, want string, args ...string) {
		t.Helper()
		p.Run(append(args, "--url", f.Url)...).Exits(code).Tells(want)
	}
	file := p.File("customers.properties", e2etest.Source("customers", address, "Customers")...)
	culvert(0, "customers is created", "connectors", "apply", file)
	// Rows are counted by Culvert's figures.
	f.Eventually("its rows", func() bool {
		var states []struct {
			Rows   *float64
			Errors []string
		}
		r := p.Run("status", "--json", "--url", f.Url)
		return json.Unmarshal([]byte(r.Stdout), &states) == nil && len(states) == 1 && states[0].Rows != nil &&
			*states[0].Rows == 91
	})
	culvert(0, "customers needs no change", "connectors", "apply", file)
	file = p.File("customers.properties", append(e2etest.Source("customers", address, "Customers"), "tasks.max=2")...)
	culvert(0, "customers is changed", "connectors", "apply", file)
	f.Await("customers", "runs", e2etest.Runs)
	culvert(0, "tasks.max = 2", "connectors", "show", "customers")
	secret := p.File("secret.properties", append(e2etest.Source("secret", address, "Suppliers"), "sap.odata.user.pwd=geheim")...)
	culvert(0, "secret is created", "connectors", "apply", secret, "--state", "STOPPED")
	for _, args := range [][]string{{"show", "secret"}, {"show", "secret", "--json"}} {
		p.Run(append([]string{"connectors", "--url", f.Url}, args...)...).Exits(0).Omits("geheim").Prints("[hidden]")
	}
	p.Run("connectors", "list", "--json", "--url", f.Url).Exits(0).Omits("geheim").Prints(`"connector":"secret"`)
	culvert(0, "secret is deleted", "connectors", "delete", "secret")
	other := p.File("other.json", `{"name": "other", "config": {"connector.class": "ODataSource",`+
		`"sap.odata.host.adress": "x"}}`)
	culvert(1, "the nearest known one is sap.odata.host.address", "connectors", "apply", other)
	second := p.File("second.properties", e2etest.Source("second", address, "Products")...)
	culvert(0, "second is created", "connectors", "apply", second, "--state", "STOPPED")
	culvert(0, "second is being resumed", "connectors", "resume", "second")
	f.Await("second", "runs", e2etest.Runs)
	culvert(0, "second has restarted task 0", "connectors", "restart", "second", "--task", "0")
	culvert(0, "second has restarted what had failed", "connectors", "restart", "second", "--failed")
	culvert(0, "second is restarted", "connectors", "restart", "second")
	culvert(1, "1 of 2 connectors failed", "connectors", "pause", "second", "ghost")
	f.Await("second", "is paused", func(s connect.Status) bool { return s.Connector.State == connect.Paused })
	culvert(0, "paused", "connectors", "list")
	culvert(0, "second is being stopped", "connectors", "stop", "second")
	p.Run("connectors", "list", "--url", "nowhere").Exits(2).Says("--url: expected http://HOST:PORT")
	culvert(2, "expected NAME, found nothing", "connectors", "pause")

	p.Run("__complete", "connectors", "show", "--url", f.Url, "").Prints("second\n")
	culvert(0, "second is deleted", "connectors", "delete", "second")
	p.Run("completion", "bash").Exits(0).Prints("bash completion")
	f.Stop()
}

// The table comes again and again, with how many rows go through in a second, also after an answer that did not come.
func TestStatusIsWatched(t *testing.T) {
	t.Parallel()
	var looks atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := looks.Load()
		switch {
		case r.URL.Path != "/connectors":
			w.WriteHeader(404)
		case r.URL.RawQuery == "expand=motion" && n == 3:
			looks.Add(1)
			fmt.Fprint(w, `{"a":{"motion":{"type":"source","tasks":[{"id":0,"rows":1},{"id":1,"error":"lost"}]}}}`)
		case r.URL.RawQuery == "expand=motion":
			looks.Add(1)
			fmt.Fprintf(w, `{"a":{"motion":{"type":"source","tasks":[{"id":0,"rows":%d},{"id":1,"rows":%[1]d}]}}}`, 1000*n)
		case n == 1:
			looks.Add(1)
			w.WriteHeader(500)
			io.WriteString(w, `{"error_code":500,"message":"not now"}`)
		default:
			io.WriteString(w, `{"a":{"info":{"name":"a","config":{},"tasks":[],"type":"source"},"status":{"name":"a",`+
				`"connector":{"state":"RUNNING","worker_id":"w"},"tasks":[{"id":0,"state":"RUNNING","worker_id":"w"}],`+
				`"type":"source"}}}`)
		}
	}))
	defer server.Close()
	c := e2etest.NewPlace(t).Start("status", "--watch", "--url", server.URL)
	table := func() (rows []string) {
		for line := range strings.Lines(c.Stdout.String()) {
			if cells := strings.Fields(line); len(cells) > 2 && cells[0] == "a" {
				rows = append(rows, strings.Join(cells[4:7], " "))
			}
		}
		return rows
	}
	c.Eventually("two tables, and what came between them", func() bool {
		return len(table()) > 1 && strings.Contains(c.Stdout.String(), "not now")
	})
	rows := table()
	if rows[0] != "0 - -" { // there is nothing to compare the first one with
		t.Errorf("expected no rate, found %q", rows[0])
	}
	cells := strings.Fields(rows[1])
	if rate, err := strconv.ParseFloat(cells[1], 64); err != nil || rate < 0 || cells[0] != "4000" || cells[1] == "-" {
		t.Errorf("expected 4000 rows and their rate, found %q (%v)", rows[1], err)
	}
	c.Eventually("a look with less than all, and one after it", func() bool { return len(table()) > 3 })
	if rows := table(); rows[2] != "- - -" || rows[3] != "8000 - -" {
		t.Errorf("expected no sum of what is not known whole, and no rate after it, found %q", rows)
	}
	if !strings.Contains(c.Stdout.String(), "a: task 1 has no figures: lost\n") {
		t.Errorf("expected why there are no figures, found %s", c.Stdout.String())
	}
	c.Signal(syscall.SIGINT)
	c.MustEnd()
}

// Commands that ask a worker send its password to no other origin that an answer leads to, nor the passwords of a
// configuration; and they show it in no answer.
func TestCommandsKeepPasswords(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	p.Environ = []string{"CULVERT_REST_PASSWORD=gehe/im+42"}
	var mu sync.Mutex
	var strayed []string
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		strayed = append(strayed, fmt.Sprint(r.Method, r.URL.Path, r.Header.Get("Authorization"), string(body)))
		mu.Unlock()
		io.WriteString(w, "[]")
	}))
	defer elsewhere.Close()
	leads := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL+r.URL.Path, http.StatusTemporaryRedirect)
	}))
	defer leads.Close()
	repeats := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, password, _ := r.BasicAuth()
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, `{"message": "not with %s, %s"}`, password, r.Header.Get("Authorization"))
	}))
	defer repeats.Close()
	file := p.File("a.properties", "name=a", "connector.class=ODataSource", "sap.odata.user.pwd=geheim")
	logon := func(url string) string { return strings.Replace(url, "//", "//anna:gehe%2Fim+42@", 1) }
	for _, args := range [][]string{{"connectors", "show", "a"}, {"connectors", "list"}, {"status"},
		{"connectors", "apply", file}, {"offsets", "show", "a"}} {
		for _, at := range []string{leads.URL, repeats.URL} {
			call := append(slices.Clone(args), "--url", at, "--user", "anna")
			if args[0] == "offsets" {
				call = append(slices.Clone(args), "--url", logon(at))
			}
			r := p.Run(call...)
			r.Omits("gehe/im", "YW5uYTpnZWhlL2ltKzQy")
			if at == repeats.URL && !strings.Contains(r.Stderr, "not with [hidden]") {
				t.Errorf("culvert %q: expected the answer, found %s", call, r.Stderr)
			}
		}
	}
	if came := strings.Join(strayed, "\n"); came == "" || strings.Contains(came, "Basic") || strings.Contains(came, "geheim") {
		t.Errorf("expected requests without passwords elsewhere, found %s", came)
	}
}
