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

// late is a service that applies requests at once and sends each response when hold returns.
func late(inner http.Handler, hold func(r *http.Request, status int)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		inner.ServeHTTP(answer, r)
		hold(r, answer.Code)
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	})
}

// holdsFirst starts a service that holds its response to the first request of a kind until free is called; done is
// closed when the request was applied.
func holdsFirst(t *testing.T, inner http.Handler,
	which func(r *http.Request, status int) bool) (address string, done func() bool, free func()) {
	t.Helper()
	var held atomic.Bool
	goOn := make(chan struct{})
	address = e2etest.Serve(t, late(inner, func(r *http.Request, status int) {
		if which(r, status) && held.CompareAndSwap(false, true) {
			<-goOn
		}
	}))
	free = sync.OnceFunc(func() { close(goOn) })
	t.Cleanup(free) // before the server ends, which waits for its answers
	return address, held.Load, free
}

// posted reports whether a request is a POST.
func posted(r *http.Request, _ int) bool { return r.Method == http.MethodPost }
