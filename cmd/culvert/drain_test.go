package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
)

// Who drains a worker is told what no other one can run, and goes on.
func TestDrainSaysWhatRunsNowhere(t *testing.T) {
	t.Parallel()
	unplaced := `{"unplaced":{"orders":"expected a worker that has what class X needs, found none among 2"}}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		fmt.Fprint(w, unplaced)
	}))
	defer server.Close()
	p := e2etest.NewPlace(t)
	p.Run("drain", "--url", server.URL).Exits(0).Prints("the worker is drained").Says("orders: no worker runs it, or " +
		"tasks of it: expected a worker that has what class X needs, found none among 2")
	unplaced = `{"unplaced":{}}`
	p.Run("drain", "--url", server.URL).Exits(0).Prints("the worker is drained").Omits("orders", "known")
}
