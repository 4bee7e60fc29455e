package transport

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/transport/limits"
	"github.com/culvert-project/culvert/wit"
)

// traffic is a service that counts its requests.
type traffic struct {
	current  atomic.Int64
	peak     atomic.Int64 // most requests at a time
	total    atomic.Int64
	duration time.Duration // of each request
}

func (t *traffic) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t.total.Add(1)
	current := t.current.Add(1)
	defer t.current.Add(-1)
	for peak := t.peak.Load(); current > peak && !t.peak.CompareAndSwap(peak, current); peak = t.peak.Load() {
		// another request changed the peak
	}
	time.Sleep(t.duration)
	io.WriteString(w, "ok")
}

// clientNextTo returns another client with the configuration of c after a change, which may be nil.
func clientNextTo(t *testing.T, c *Client, change func(*Config)) *Client {
	t.Helper()
	config := c.target.Load().config
	if change != nil {
		change(&config)
	}
	other, err := New(config)
	require.NoError(t, err)
	t.Cleanup(other.Close)
	return other
}

// sendAll sends n requests with each client, all at the same time, and returns how long they last together.
func sendAll(t *testing.T, n int, clients ...*Client) time.Duration {
	t.Helper()
	began := time.Now()
	var wg sync.WaitGroup
	for _, c := range clients {
		for range n {
			wg.Go(func() {
				wantStatus(t, c, get("/"), 200)
			})
		}
	}
	wg.Wait()
	return time.Since(began)
}

// Clients of an origin share the strictest of their limits.
func TestConcurrentRequestsAreBounded(t *testing.T) {
	for _, c := range []struct {
		first  limits.Limits
		second limits.Limits
		peak   int64 // expected requests at a time; 4 by default
	}{
		{peak: 4},
		{first: limits.Limits{Concurrent: 7}, second: limits.Limits{Concurrent: 9}, peak: 7},
		{first: limits.Limits{Concurrent: 9}, second: limits.Limits{Concurrent: 3}, peak: 3},
		{first: limits.Limits{Concurrent: 9}, second: limits.Limits{Concurrent: 9, Connections: 2}, peak: 2},
	} {
		server := &traffic{duration: time.Second}
		configure := func(config *Config) { config.Limits = c.first }
		serviceWithNetwork(t, server.ServeHTTP, configure, func(t *testing.T, first *Client, w *memoryNetwork) {
			second := clientNextTo(t, first, func(config *Config) { config.Limits = c.second })
			elapsed := sendAll(t, 10, first, second)
			rounds := (20 + c.peak - 1) / c.peak // of 20 requests, rounded up
			want := time.Duration(rounds) * time.Second
			assert.True(t, server.peak.Load() == c.peak && elapsed == want,
				"%+v and %+v: expected %d at a time and %v, found %d and %v", c.first, c.second, c.peak, want,
				server.peak.Load(), elapsed)
			assert.True(t, c.second.Connections <= 0 || w.peak.Load() <= int64(c.second.Connections),
				"expected at most %d connections, found %d", c.second.Connections, w.peak.Load())
		})
	}
}

// A client with many requests does not delay one with few.
func TestClientsTakeTurns(t *testing.T) {
	server := &traffic{duration: time.Second}
	var log bytes.Buffer
	service(t, server.ServeHTTP, func(c *Config) {
		c.Limits.Concurrent = 1
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
	}, func(t *testing.T, busy *Client) {
		occasional := clientNextTo(t, busy, nil)
		done := make(chan time.Duration)
		go func() { done <- sendAll(t, 30, busy) }()
		time.Sleep(5500 * time.Millisecond)
		if why := busy.Waiting(); !strings.Contains(why,
			"waiting for other requests to http://sap.example:8000: limit 1 at a time") {
			t.Errorf("expected to wait for other requests, found %q", why)
		}
		assert.Equal(t, 1500*time.Millisecond, sendAll(t, 1, occasional),
			"the rest of the current request, and its own")
		<-done
		assert.Equal(t, "", busy.Waiting()+occasional.Waiting())
		n := strings.Count(log.String(), `msg="a request had to wait" for=7s why="waiting for other requests to `+
			`http://sap.example:8000: limit 1 at a time"`)
		assert.True(t, n == 1 && strings.Count(log.String(), "\n") == 1,
			"expected one line about many requests, found\n%s", &log)
	})
}

// A request that waits for a slot ends with its context, and takes no slot.
func TestWaitingEndsWithItsContext(t *testing.T) {
	server := &traffic{duration: time.Minute}
	change := func(c *Config) {
		c.Limits.Concurrent = 1
		c.ReadTimeout = time.Hour
	}
	service(t, server.ServeHTTP, change,
		func(t *testing.T, c *Client) {
			go readText(t, c, get("/"))
			synctest.Wait()
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, fmt.Errorf("enough"))
			defer cancel()
			_, err := c.Do(ctx, get("/"))
			assert.True(t, err != nil && err.Error() == "enough", "expected the context's cause, found %v", err)
			// The first request has 59 s left, this one lasts 60 s, and the cancelled one takes no time.
			assert.Equal(t, 119*time.Second, sendAll(t, 1, c), "119 s")
		})
}

// A maintenance window of one client holds back the requests of all clients of the origin.
func TestMaintenanceWindow(t *testing.T) {
	windows, err := limits.ParseWindows("0 0 1 * * ?/2h UTC") // synctest begins at midnight
	require.NoError(t, err)
	server := &traffic{duration: time.Second}
	change := func(c *Config) {
		c.Limits.Windows = windows
		c.ReadTimeout = time.Hour
	}
	service(t, server.ServeHTTP, change,
		func(t *testing.T, c *Client) {
			other := clientNextTo(t, c, func(c *Config) { c.Limits = limits.Limits{} })
			sendAll(t, 1, c)
			time.Sleep(time.Until(time.Date(2000, 1, 1, 0, 59, 59, 5e8, time.UTC)))
			sendAll(t, 4, c) // half a second before the window opens
			totalBefore := server.total.Load()
			done := make(chan time.Duration)
			go func() { done <- sendAll(t, 5, c, other) }()
			time.Sleep(time.Hour)
			assert.Equal(t, totalBefore, server.total.Load(), "requests sent")
			for _, c := range []*Client{c, other} {
				if why := c.Waiting(); why != "maintenance window: no requests to http://sap.example:8000 until "+
					"2000-01-01 03:00:00 UTC" {
					t.Errorf("expected to wait for the end of the window, found %q", why)
				}
			}
			<-done
			if now := time.Now().UTC(); now.Hour() != 3 || now.Minute() != 0 {
				t.Errorf("expected the requests to be sent at 3:00, found %s", now)
			}
			assert.Equal(t, "", c.Waiting())
		})
}

// Requests that must not wait take a free slot or fail; requests with a parent need no slot.
func TestRequestsThatMustNotWait(t *testing.T) {
	release := make(chan struct{})
	handler := func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "first bytes")
		w.(http.Flusher).Flush()
		if r.URL.Path == "/open" {
			<-release
		}
	}
	setTwoSlots := func(config *Config) { config.Limits.Concurrent = 2 }
	service(t, handler, setTwoSlots, func(t *testing.T, c *Client) {
		open := func(ctx context.Context) *Answer {
			t.Helper()
			a, err := c.Do(ctx, &wit.Request{Method: "GET", Target: "/open", Repeatable: true})
			require.NoError(t, err)
			return a
		}
		first := open(t.Context())
		noWaitCtx := WithoutWaiting(WithParent(t.Context()))
		second := open(noWaitCtx)
		_, err := c.Do(noWaitCtx, &wit.Request{Method: "GET", Target: "/", Repeatable: true})
		assert.ErrorIs(t, err, ErrNoRoom, "no room for a third request")
		nested := open(WithParent(t.Context())) // needs no slot
		close(release)
		for _, a := range []*Answer{first, second, nested} {
			_, err := io.ReadAll(a.Body)
			assert.NoError(t, err)
			a.Body.Close()
		}

		a := open(noWaitCtx) // takes a slot that is free again
		a.Body.Close()
	})
}
