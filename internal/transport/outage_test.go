package transport

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

// An outage is logged once at WARN, whatever the number and errors of requests, and once at its end.
func TestOutageIsLoggedOnce(t *testing.T) {
	ways := map[string]struct {
		requests int // in flight at the same time
		answer   func(w http.ResponseWriter)
	}{
		"no answer": {4, func(http.ResponseWriter) { panic(http.ErrAbortHandler) }},
		"503":       {4, func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) }},
		"half a body": {1, func(w http.ResponseWriter) { // another status would count as a response
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, "half")
		}},
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			var away atomic.Bool
			var met atomic.Int64
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if away.Load() {
					met.Add(1)
					way.answer(w)
				}
			}))
			server.Config.ErrorLog = nil
			server.Start()
			defer server.Close()
			var log journal
			c := clientOf(t, rolesOf(t, server.URL, "retry.max=3", "retry.min-backoff-ms=1", "retry.max-backoff-ms=2"),
				Environment{Shared: Shared{Logger: log.logger()}})
			ask := func() error {
				_, _, err := text(t, c, get("/x"))
				return err
			}
			if err := ask(); err != nil || c.Away() {
				t.Fatalf("expected a response, found %v", err)
			}
			away.Store(true)
			together(way.requests, func(int) { ask() })
			if !c.Away() || met.Load() < int64(way.requests) {
				t.Errorf("expected the client to report the outage, which %d requests had", met.Load())
			}
			away.Store(false)
			if err := ask(); err != nil || c.Away() {
				t.Errorf("expected a response, found %v", err)
			}
			log.once(t, "level=WARN", "the service responds again")
		})
	}
}
