package transport

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/wit"
)

// countingFetcher counts requests and returns an empty response for each.
type countingFetcher struct{ requests int }

func (f *countingFetcher) Fetch(_ context.Context, batch wit.RequestBatch) ([]wit.Response, error) {
	f.requests += len(batch.Requests)
	return make([]wit.Response, len(batch.Requests)), nil
}

// Rounds without a new request are paced and bounded. Other rounds are not paced.
func TestRoundsWithoutProgressArePaced(t *testing.T) {
	for name, c := range map[string]struct {
		requests func(round int) []wit.Request
		isPaced  bool
	}{
		"the same": {
			requests: func(int) []wit.Request { return []wit.Request{*get("/a")} },
			isPaced:  true,
		},
		"none": {
			requests: func(int) []wit.Request { return nil },
			isPaced:  true,
		},
		"in turns": {
			requests: func(round int) []wit.Request { return []wit.Request{*get(fmt.Sprint("/", round%2))} },
			isPaced:  true,
		},
		"others": {
			requests: func(round int) []wit.Request { return []wit.Request{*get(fmt.Sprint("/", round))} },
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &countingFetcher{}
				rounds := 0
				start := time.Now()
				err := CallWithFetch(t.Context(), f, func([]byte, []wit.Response) (*wit.RequestBatch, error) {
					rounds++
					return &wit.RequestBatch{State: []byte{byte(rounds)}, Requests: c.requests(rounds)}, nil
				})
				wantFault(t, err, wit.ErrorInternal, "after 20 rounds")
				assert.Equal(t, maxRounds+1, rounds, "rounds")
				if elapsed := time.Since(start); c.isPaced != (elapsed > 20*time.Second) || elapsed > time.Minute {
					t.Errorf("expected more than 20 s: %v, and at most a minute, found %v", c.isPaced, elapsed)
				}
			})
		})
	}
}

// A plugin may request 10,000 documents in all its rounds; more are not sent.
func TestRequestsOfNeedsAreBounded(t *testing.T) {
	for _, perRound := range []int{maxRequests / 2, maxRequests + 1, 1_000_000} {
		f := &countingFetcher{}
		rounds := 0
		err := CallWithFetch(t.Context(), f, func([]byte, []wit.Response) (*wit.RequestBatch, error) {
			rounds++
			if rounds > 2 {
				return nil, nil
			}
			requests := make([]wit.Request, perRound)
			for i := range requests {
				requests[i] = *get(fmt.Sprint("/", rounds, "/", i))
			}
			return &wit.RequestBatch{Requests: requests}, nil
		})
		if perRound > maxRequests {
			wantFault(t, err, wit.ErrorInternal, fmt.Sprint("at most 10000 requests of the plugin, found ", perRound))
			assert.Equal(t, 0, f.requests, "requests beyond the limit")
			continue
		}
		assert.NoError(t, err)
		assert.Equal(t, 2*perRound, f.requests, "requests")
	}
}
