package transport

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/wit"
)

type answering struct{ requests int }

func (a *answering) Fetch(_ context.Context, n wit.RequestBatch) ([]wit.Response, error) {
	a.requests += len(n.Requests)
	return make([]wit.Response, len(n.Requests)), nil
}

// Rounds without a new request are paced and bounded. Other rounds are not paced.
func TestRoundsWithoutProgressArePaced(t *testing.T) {
	for name, c := range map[string]struct {
		need  func(n int) []wit.Request
		paced bool
	}{
		"the same": {need: func(int) []wit.Request { return []wit.Request{*get("/a")} }, paced: true},
		"none":     {need: func(int) []wit.Request { return nil }, paced: true},
		"in turns": {need: func(n int) []wit.Request { return []wit.Request{*get(fmt.Sprint("/", n%2))} }, paced: true},
		"others":   {need: func(n int) []wit.Request { return []wit.Request{*get(fmt.Sprint("/", n))} }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &answering{}
				n := 0
				start := time.Now()
				err := CallWithFetch(t.Context(), a, func([]byte, []wit.Response) (*wit.RequestBatch, error) {
					n++
					return &wit.RequestBatch{State: []byte{byte(n)}, Requests: c.need(n)}, nil
				})
				wantFault(t, err, wit.ErrorInternal, "after 20 rounds")
				if elapsed := time.Since(start); c.paced != (elapsed > 20*time.Second) || elapsed > time.Minute ||
					n != maxRounds+1 {
					t.Errorf("found %d rounds in %v", n, elapsed)
				}
			})
		})
	}
}

// A plugin may request 10,000 documents in all its rounds; more are not sent.
func TestRequestsOfNeedsAreBounded(t *testing.T) {
	for _, each := range []int{maxRequests / 2, maxRequests + 1, 1_000_000} {
		a := &answering{}
		n := 0
		err := CallWithFetch(t.Context(), a, func([]byte, []wit.Response) (*wit.RequestBatch, error) {
			n++
			if n > 2 {
				return nil, nil
			}
			requests := make([]wit.Request, each)
			for i := range requests {
				requests[i] = *get(fmt.Sprint("/", n, "/", i))
			}
			return &wit.RequestBatch{Requests: requests}, nil
		})
		if each > maxRequests {
			wantFault(t, err, wit.ErrorInternal, fmt.Sprint("at most 10000 requests of the plugin, found ", each))
		} else if err != nil {
			t.Error(err)
		}
		if want := 2 * each; a.requests != want && (each <= maxRequests || a.requests != 0) {
			t.Errorf("found %d requests, expected %d", a.requests, want)
		}
	}
}
