package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// A worker that is starting is asked again: without an answer all of a folder would seem to be new.
func TestDiffAsksAStartingWorkerAgain(t *testing.T) {
	t.Parallel()
	var asked409 atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/culvert/reload": // Kafka Connect has none
			http.NotFound(w, r)
		case asked409.Add(1) == 1:
			w.WriteHeader(http.StatusConflict)
			fmt.Fprint(w,
				`{"error_code":409,"message":"Cannot complete request momentarily: the worker is still starting up"}`)
		default:
			fmt.Fprint(w, `{"orders":{"info":{"name":"orders"},"status":{"connector":{"state":"RUNNING"}}}}`)
		}
	}))
	defer server.Close()
	now, _, err := asked(t.Context(), server.URL, "folder")
	if err != nil || len(now) != 1 || now[0].Name != "orders" || now[0].Unsettled {
		t.Errorf("expected orders, found %+v %v", now, err)
	}
	refuses := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"error_code":403,"message":"not for you"}`)
	}))
	defer refuses.Close()
	if _, _, err := asked(t.Context(), refuses.URL, "folder"); err == nil || !strings.Contains(err.Error(),
		"not for you") {
		t.Errorf("expected what the worker says, found %v", err)
	}
}

// What a reload would do is told by what the worker runs with: that its own file names another provider by now changes
// nothing before the worker is started again.
func TestDiffByTheWorkersOwnProviders(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	_, address := e2etest.Demo(t, odatatest.Options{Rows: 1})
	p.Subfolder("conf")
	p.Environ = []string{"SIZE=30"}
	p.File("conf/good.properties", e2etest.Source("good", address, "Orders")...)
	p.File("conf/orders.properties", append(e2etest.Source("orders", address, "Orders"), "sap.odata.colour=x",
		"sap.odata.page.size=${vault:SIZE}")...) // refused for its colour, which each diff says
	f := p.Follows("conf", "config.providers=vault",
		"config.providers.vault.class=org.apache.kafka.common.config.provider.EnvVarConfigProvider")
	own := filepath.Join(p.Dir, "conf", "worker.properties")
	before, err := os.ReadFile(own)
	e2etest.NoError(t, err)
	f.Eventually("a first look at the folder", func() bool {
		status, _ := f.Call("GET", "/culvert/diff", "")
		return status == 200
	})
	f.Replaced("conf/worker.properties", strings.ReplaceAll(string(before), "config.providers", "# "))
	answer := f.Must(200, "GET", "/culvert/diff", "")
	if !strings.Contains(answer, "colour") || strings.Contains(answer, "page.size") {
		t.Errorf("expected its colour to be refused and nothing else, found %s", answer)
	}
	f.Signal(syscall.SIGTERM)
	if r := f.Wait(); r.Code != 0 {
		t.Errorf("exit %d\n%s", r.Code, r.Stderr)
	}
}
