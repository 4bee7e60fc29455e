package transport

import (
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/transport/limits"
)

// Closing idle connections while net/http returns a response to a POST does not lose it, and the connection is closed
// afterwards.
func TestConnectionsCloseAfterTheirResponses(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			time.Sleep(time.Second) // two concurrent requests have two connections
			io.WriteString(w, "ok")
		}
	}
	for _, c := range []struct {
		name      string
		closeIdle func(t *testing.T, c, other *Client) // closes idle connections of c
	}{
		{name: "another client wants a connection", closeIdle: func(t *testing.T, _, other *Client) {
			wantStatus(t, other, get("/"), 200)
		}},
		{name: "a setting changes", closeIdle: func(t *testing.T, c, _ *Client) {
			assert.NoError(t, c.setConfig(c.target.Load().config))
		}},
		{name: "the client is closed", closeIdle: func(_ *testing.T, c, _ *Client) { c.Close() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			serviceWithNetwork(t, handler, func(config *Config) { config.Limits = limits.Limits{Connections: 2} },
				func(t *testing.T, client *Client, w *memoryNetwork) {
					other := clientNextTo(t, client, nil)
					sendAll(t, 2, client) // the client has both connections now
					assert.Equal(t, int64(2), w.open.Load(), "connections")
					idleEvents := 0
					var wg sync.WaitGroup
					ctx := httptrace.WithClientTrace(context.Background(),
						&httptrace.ClientTrace{PutIdleConn: func(error) {
							idleEvents++
							wg.Go(func() { c.closeIdle(t, client, other) })
							time.Sleep(time.Millisecond) // all other goroutines run until they block
						}})
					a, err := client.Do(ctx, post("/"))
					if err != nil {
						t.Errorf("expected a response, found %v", err)
					} else {
						a.Body.Close()
					}
					wg.Wait()
					assert.Equal(t, 1, idleEvents, "times that the connection was idle")
					other.Close()
					time.Sleep(time.Millisecond)
					assert.Equal(t, int64(0), w.open.Load(), "connections")
					assert.AtMost(t, 2, w.peak.Load(), "connections")
				})
		})
	}
}
