package transport

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
)

// Settings are refreshed once per sent request, retries included.
func TestSettingsAreRefreshedOncePerRequest(t *testing.T) {
	var requests, refreshes atomic.Int64
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if n := requests.Add(1); n == 2 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	config := configOf(t, rolesOf(t, server.URL), Environment{})
	config.Refresh = func(context.Context, bool) (*Config, error) {
		refreshes.Add(1)
		return nil, nil
	}
	c := newClient(t, config)
	// The second call is answered by 503, and repeated.
	for i, want := range []int64{1, 3} {
		_, err := c.Exchange(t.Context(), get("/a"))
		assert.True(t, err == nil && refreshes.Load() == want && requests.Load() == want,
			"%d: expected %d requests and as many refreshes, found %d, %d, %v", i, want, requests.Load(),
			refreshes.Load(), err)
	}
}
