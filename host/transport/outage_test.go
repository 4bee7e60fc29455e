package transport

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A service that is away is one warning, whatever number of requests meet that and in what way, and one line when it
// answers again; clients know of it meanwhile.
func TestOutageIsOneLine(t *testing.T) {
	ways := map[string]struct {
		requests int // that are under way together
		answer   func(w http.ResponseWriter)
	}{
		"no answer": {4, func(http.ResponseWriter) { panic(http.ErrAbortHandler) }},
		"503":       {4, func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) }},
		"half a body": {1, func(w http.ResponseWriter) { // another one would have its head, and so an answer
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
				Surroundings{Logger: log.logger()})
			ask := func() error {
				_, _, err := text(t, c, get("/x"))
				return err
			}
			if err := ask(); err != nil || c.Away() {
				t.Fatalf("expected an answer, found %v", err)
			}
			away.Store(true)
			together(way.requests, func(int) { ask() })
			if !c.Away() || met.Load() < int64(way.requests) {
				t.Errorf("expected the client to know that the service is away, which %d requests met", met.Load())
			}
			away.Store(false)
			if err := ask(); err != nil || c.Away() {
				t.Errorf("expected an answer, found %v", err)
			}
			log.once(t, "level=WARN", "the service answers again")
		})
	}
}

// An outage begins with a request that was sent when none was known, and ends with an answer to one that was sent
// since: what others met that ran late says nothing.
func TestOutageOfLateRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o outage
		early := time.Now()
		time.Sleep(time.Second)
		if !o.begins(time.Now()) || o.begins(time.Now()) || o.begins(early) {
			t.Error("expected one beginning")
		}
		time.Sleep(time.Second)
		if lasted := o.ends(early); lasted != 0 || o.from().IsZero() {
			t.Errorf("an answer to a request from before: expected the outage to last, found %v", lasted)
		}
		during := time.Now()
		time.Sleep(time.Second)
		if lasted := o.ends(time.Now()); lasted != 2*time.Second || !o.from().IsZero() || o.ends(time.Now()) != 0 {
			t.Errorf("expected an outage of 2s to be over once, found %v", lasted)
		}
		if o.begins(during) || o.begins(time.Now()) {
			t.Error("expected tries of the outage that is over, and of the moment behind it, to say nothing")
		}
		time.Sleep(settling)
		if !o.begins(time.Now()) {
			t.Error("expected another outage")
		}
	})
}
