package transport

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// If an open response uses the only connection, requests on its behalf get another one. Otherwise they would wait for
// each other.
func TestConnectionDuringOpenResponse(t *testing.T) {
	page := strings.Repeat("x", 1<<20) // more than buffers can hold
	wired(t, func(w http.ResponseWriter, r *http.Request) { w.Write([]byte(page)) },
		func(c *Config) { c.Limits.Connections = 1 }, func(t *testing.T, c *Client, w *wires) {
			outer, err := c.Do(t.Context(), get("/page"))
			require.NoError(t, err)
			defer outer.Body.Close()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			inner, err := c.Do(WithParent(ctx), get("/nested"))
			if err != nil {
				t.Fatalf("%v; waiting: %s", err, c.Waiting())
			}
			inner.Body.Close()
			outer.Body.Close()
			time.Sleep(time.Minute)
			all(t, 3, c)
			assert.Equal(t, int64(2), w.most.Load(), "connections, one more for the request within")
		})
}
