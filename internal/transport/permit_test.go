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
	page := strings.Repeat("x", 1<<20) // more than the buffers of a connection hold
	serviceWithNetwork(t, func(w http.ResponseWriter, r *http.Request) { w.Write([]byte(page)) },
		func(c *Config) { c.Limits.Connections = 1 }, func(t *testing.T, c *Client, w *memoryNetwork) {
			parent, err := c.Do(t.Context(), get("/page"))
			require.NoError(t, err)
			defer parent.Body.Close()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			nested, err := c.Do(WithParent(ctx), get("/nested"))
			if err != nil {
				t.Fatalf("%v; waiting: %s", err, c.Waiting())
			}
			nested.Body.Close()
			parent.Body.Close()
			time.Sleep(time.Minute)
			sendAll(t, 3, c)
			assert.Equal(t, int64(2), w.peak.Load(), "connections, one more for the nested request")
		})
}
