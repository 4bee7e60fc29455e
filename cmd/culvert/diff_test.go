package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
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
