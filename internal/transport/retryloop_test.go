package transport

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
)

// Settings are refreshed once per sent request, retries included.
func TestSettingsAreRefreshedOncePerRequest(t *testing.T) {
	var requests, asked atomic.Int64
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if requests.Add(1) == 2 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	config := configOf(t, rolesOf(t, server.URL), Environment{})
	config.Refresh = func(context.Context, bool) (*Config, error) { asked.Add(1); return nil, nil }
	c := opened(t, config)
	for i, want := range []int64{1, 3} { // the second request gets one 503
		if _, err := c.Exchange(t.Context(), get("/a")); err != nil || asked.Load() != want || requests.Load() != want {
			t.Errorf("%d: expected %d requests and as many questions, found %d, %d, %v", i, want, requests.Load(),
				asked.Load(), err)
		}
	}
}
