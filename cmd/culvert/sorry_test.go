package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/culvert-project/culvert/examples/demo-service/service"
	"github.com/culvert-project/culvert/host/connect"
)

// A gateway that leads to a page of its own while the service is maintained, and took the same user before: the task
// goes on by itself, and all rows arrive.
func TestServiceBehindASorryPage(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s := service.New(service.Options{Rows: 60, PageSize: 10, User: "me", Password: password})
	var pages atomic.Int64
	var maintained atomic.Bool
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/Orders") && pages.Add(1) == 3 {
			maintained.Store(true)
		}
		if maintained.Load() {
			http.Redirect(w, r, "https://sorry.example/maintenance", http.StatusFound)
			return
		}
		s.ServeHTTP(w, r)
	}))
	t.Cleanup(gateway.Close)
	p.subfolder("conf")
	p.file("conf/in.properties", instead(source("in", gateway.Listener.Addr().String(), "Orders"),
		"sap.odata.user.name=me", "sap.odata.user.pwd="+password, "sap.odata.max.retries=1",
		"sap.odata.min.retry.backoff.ms=1", "sap.odata.max.retry.backoff.ms=2", "task.auto.restart=true")...)
	f := p.follows("conf")
	f.await("in", "to go on later", func(s connect.Status) bool {
		return len(s.Tasks) == 1 && s.Tasks[0].State == connect.Failed && s.Tasks[0].Restarts != ""
	})
	maintained.Store(false)
	f.says("extraction finished: 60 rows")
	f.signal(syscall.SIGTERM)
	r := f.wait()
	if n := len(p.records("Orders")); r.code != 0 || n < s.Count("Orders") {
		t.Errorf("expected %d rows, found %d and exit %d\n%s", s.Count("Orders"), n, r.code, r.stderr)
	}
}
