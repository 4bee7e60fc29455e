package route_test

import (
	"net/http"
	"net/url"
	"testing"

	"golang.org/x/net/http/httpproxy"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/transport/route"
)

// A configured proxy is used for loopback addresses too, unless NO_PROXY excludes them; one of the environment is not.
func TestLoopback(t *testing.T) {
	for _, c := range []struct {
		url     string
		noProxy string
		byProxy bool
	}{
		{url: "http://localhost:8000", byProxy: true},
		{url: "https://127.0.0.1", byProxy: true},
		{url: "http://[::1]:8000", byProxy: true},
		{url: "http://127.9.9.9", noProxy: "sap.example", byProxy: true},
		{url: "http://localhost:8000", noProxy: "sap.example, LOCALHOST"},
		{url: "http://localhost:8000", noProxy: "localhost:8000"},
		{url: "http://localhost:8000", noProxy: "localhost:8001", byProxy: true},
		{url: "https://localhost", noProxy: "localhost:443"},
		{url: "http://localhost", noProxy: "*"},
		{url: "http://localhost", noProxy: "127.0.0.1", byProxy: true},
		{url: "http://127.0.0.1:8000", noProxy: "127.0.0.0/8"},
		{url: "http://127.0.0.1:8000", noProxy: "10.0.0.0/8,127.0.0.1"},
		{url: "http://[::1]:8000", noProxy: "[::1]:8000"},
		{url: "http://[::1]:8000", noProxy: "::1"},
		{url: "http://[::1]:8000", noProxy: "::/0"},
		{url: "http://sap.example", noProxy: "sap.example"},
		{url: "http://sap.example", byProxy: true},
	} {
		target, err := url.Parse(c.url)
		require.NoError(t, err)
		usesProxy := func(s route.Settings) bool {
			t.Helper()
			r := routeOf(t, s)
			proxy, err := r.HTTPProxy().URL(&http.Request{URL: target})
			require.NoError(t, err)
			assert.True(t, proxy == nil || proxy.Host == "proxy:8080", "%s: found proxy %s", c.url, proxy)
			return proxy != nil
		}
		configured := route.Settings{
			Type:        route.HTTP,
			Address:     "proxy:8080",
			Environment: &httpproxy.Config{NoProxy: c.noProxy},
		}
		if byProxy := usesProxy(configured); byProxy != c.byProxy {
			t.Errorf("%s, NO_PROXY=%s: by proxy %v, expected %v", c.url, c.noProxy, byProxy, c.byProxy)
		}
		environment := &httpproxy.Config{HTTPProxy: "http://proxy:8080", HTTPSProxy: "http://proxy:8080"}
		assert.True(t, target.Hostname() == "sap.example" || !usesProxy(route.Settings{Environment: environment}),
			"%s: expected no proxy of the environment", c.url)
	}
}
