package transport

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// An outage is logged once at WARN, whatever the number and errors of requests, and once at its end.
func TestOutageIsLoggedOnce(t *testing.T) {
	outages := map[string]struct {
		requests int // concurrent requests
		answer   func(w http.ResponseWriter)
	}{
		"no answer": {
			requests: 4,
			answer:   func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
		},
		"503": {
			requests: 4,
			answer:   func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) },
		},
		"half a body": {
			requests: 1, // each response has the status 200, which would end the outage of another request
			answer: func(w http.ResponseWriter) {
				w.Header().Set("Content-Length", "100")
				io.WriteString(w, "half")
			},
		},
	}
	for name, outage := range outages {
		t.Run(name, func(t *testing.T) {
			var isAway atomic.Bool
			var failures atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if isAway.Load() {
					failures.Add(1)
					outage.answer(w)
				}
			}))
			defer server.Close()
			var log journal
			c := clientOf(t, rolesOf(t, server.URL, "retry.max=3", "retry.min-backoff-ms=1", "retry.max-backoff-ms=2"),
				Environment{Shared: Shared{Logger: log.logger()}})
			send := func() error {
				_, _, err := readText(t, c, get("/x"))
				return err
			}

			require.NoError(t, send(), "a response")
			require.True(t, !c.Away(), "expected no outage before the first failed request, found one")
			isAway.Store(true)
			runConcurrently(outage.requests, func(int) { send() })
			if n := failures.Load(); n < int64(outage.requests) {
				t.Errorf("expected at least %d failed requests, found %d", outage.requests, n)
			}
			assert.True(t, c.Away(), "expected the client to report the outage after failed requests, found no outage")
			isAway.Store(false)
			assert.NoError(t, send(), "a response")
			assert.True(t, !c.Away(), "expected the outage to end with a response, found the client still away")
			log.wantOnce(t, "level=WARN", "the service responds again")
		})
	}
}
