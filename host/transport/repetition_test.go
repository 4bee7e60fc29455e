package transport

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/culvert-project/culvert/host/internal/base/require"
)

// Settings are asked for once for each request that is sent, those that are sent again included.
func TestSettingsAreAskedOncePerRequest(t *testing.T) {
	var requests, asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if requests.Add(1) == 2 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	config, err := ConfigOf(rolesOf(t, server.URL), Surroundings{})
	require.NoError(t, err)
	config.Refresh = func(context.Context, bool) (*Config, error) { asked.Add(1); return nil, nil }
	c, err := New(config)
	require.NoError(t, err)
	defer c.Close()
	for i, want := range []int64{1, 3} { // the second one is answered 503 once
		if _, err := c.Exchange(t.Context(), get("/a")); err != nil || asked.Load() != want || requests.Load() != want {
			t.Errorf("%d: expected %d requests and as many questions, found %d, %d, %v", i, want, requests.Load(),
				asked.Load(), err)
		}
	}
}
