package sink

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
)

// delayResponses returns a handler that applies requests at once and sends each response when hold returns.
func delayResponses(inner http.Handler, hold func(r *http.Request, status int)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		inner.ServeHTTP(answer, r)
		hold(r, answer.Code)
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	})
}

// holdFirst starts a service that applies the first matching request, but holds its response until release is called.
// isHeld reports whether that request was applied.
func holdFirst(t *testing.T, inner http.Handler,
	matches func(r *http.Request, status int) bool) (address string, isHeld func() bool, release func()) {
	t.Helper()
	var held atomic.Bool
	released := make(chan struct{})
	address = e2etest.Serve(t, delayResponses(inner, func(r *http.Request, status int) {
		if matches(r, status) && held.CompareAndSwap(false, true) {
			<-released
		}
	}))
	release = sync.OnceFunc(func() { close(released) })
	t.Cleanup(release) // before the server ends, which waits for its responses
	return address, held.Load, release
}

func isPost(r *http.Request, _ int) bool { return r.Method == http.MethodPost }
