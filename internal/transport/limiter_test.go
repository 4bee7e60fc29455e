package transport

import (
	"bytes"
	"context"
	"errors"
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

// traffic counts concurrent requests at the service.
type traffic struct {
	now   atomic.Int64
	most  atomic.Int64
	all   atomic.Int64
	takes time.Duration
}

func (t *traffic) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t.all.Add(1)
	now := t.now.Add(1)
	defer t.now.Add(-1)
	for most := t.most.Load(); now > most && !t.most.CompareAndSwap(most, now); most = t.most.Load() {
	}
	time.Sleep(t.takes)
	io.WriteString(w, "ok")
}

// clientNextTo returns another client of the destination.
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

// all sends n requests with each client concurrently, and returns the duration.
func all(t *testing.T, n int, clients ...*Client) time.Duration {
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

func TestConcurrentRequestsAreBounded(t *testing.T) {
	for _, c := range []struct {
		first  limits.Limits
		second limits.Limits
		most   int64
	}{
		{limits.Limits{}, limits.Limits{}, 4}, {limits.Limits{Concurrent: 7}, limits.Limits{Concurrent: 9}, 7},
		{limits.Limits{Concurrent: 9}, limits.Limits{Concurrent: 3}, 3},
		{limits.Limits{Concurrent: 9}, limits.Limits{Concurrent: 9, Connections: 2}, 2},
	} {
		f := &traffic{takes: time.Second}
		wired(t, f.ServeHTTP, func(config *Config) { config.Limits = c.first }, func(t *testing.T, one *Client,
			w *wires) {
			two := clientNextTo(t, one, func(config *Config) { config.Limits = c.second })
			elapsed := all(t, 10, one, two)
			if want := time.Duration((20+c.most-1)/c.most) * time.Second; f.most.Load() != c.most || elapsed != want {
				t.Errorf("%+v and %+v: expected %d at a time and %v, found %d and %v", c.first, c.second, c.most, want,
					f.most.Load(), elapsed)
			}
			if c.second.Connections > 0 && w.most.Load() > int64(c.second.Connections) {
				t.Errorf("expected at most %d connections, found %d", c.second.Connections, w.most.Load())
			}
		})
	}
}

// A client with many requests does not delay one with few.
func TestClientsTakeTurns(t *testing.T) {
	f := &traffic{takes: time.Second}
	var log bytes.Buffer
	service(t, f.ServeHTTP, func(c *Config) {
		c.Limits.Concurrent = 1
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
	}, func(t *testing.T, busy *Client) {
		quiet := clientNextTo(t, busy, nil)
		done := make(chan time.Duration)
		go func() { done <- all(t, 30, busy) }()
		time.Sleep(5500 * time.Millisecond)
		if why := busy.Waiting(); !strings.Contains(why,
			"waiting for other requests to http://sap.example:8000: limit 1 at a time") {
			t.Errorf("found %q", why)
		}
		assert.Equal(t, 1500*time.Millisecond, all(t, 1, quiet), "the client is next")
		<-done
		assert.Equal(t, "", busy.Waiting()+quiet.Waiting())
		if n := strings.Count(log.String(),
			`msg="a request had to wait" for=7s why="waiting for other requests to http://sap.example:8000: limit 1 at a time"`); n != 1 || strings.Count(log.String(), "\n") != 1 {
			t.Errorf("expected one line about many requests, found\n%s", &log)
		}
	})
}

func TestWaitingEndsWithItsContext(t *testing.T) {
	f := &traffic{takes: time.Minute}
	service(t, f.ServeHTTP, func(c *Config) { c.Limits.Concurrent = 1; c.ReadTimeout = time.Hour },
		func(t *testing.T, c *Client) {
			go text(t, c, get("/"))
			synctest.Wait()
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, fmt.Errorf("enough"))
			defer cancel()
			if _, err := c.Do(ctx, get("/")); err == nil || err.Error() != "enough" {
				t.Errorf("found %v", err)
			}
			if elapsed := all(t, 1, c); elapsed != 119*time.Second { // its slot is free again
				t.Errorf("found %v", elapsed)
			}
		})
}

func TestMaintenanceWindow(t *testing.T) {
	windows, err := limits.ParseWindows("0 0 1 * * ?/2h UTC") // synctest begins at midnight
	require.NoError(t, err)
	f := &traffic{takes: time.Second}
	service(t, f.ServeHTTP, func(c *Config) { c.Limits.Windows = windows; c.ReadTimeout = time.Hour },
		func(t *testing.T, c *Client) {
			other := clientNextTo(t, c, func(c *Config) { c.Limits = limits.Limits{} })
			all(t, 1, c)
			time.Sleep(time.Until(time.Date(2000, 1, 1, 0, 59, 59, 5e8, time.UTC)))
			all(t, 4, c) // they were sent before it began
			before := f.all.Load()
			done := make(chan time.Duration)
			go func() { done <- all(t, 5, c, other) }()
			time.Sleep(time.Hour)
			assert.Equal(t, before, f.all.Load(), "requests sent")
			for _, c := range []*Client{c, other} {
				if why := c.Waiting(); why != "maintenance window: no requests to http://sap.example:8000 until "+
					"2000-01-01 03:00:00 UTC" {
					t.Errorf("found %q", why)
				}
			}
			<-done
			if now := time.Now().UTC(); now.Hour() != 3 || now.Minute() != 0 {
				t.Errorf("expected to go on at 3:00, found %s", now)
			}
			assert.Equal(t, "", c.Waiting())
		})
}

// Requests that must not wait take a free slot or fail; requests with a parent need no slot.
func TestRequestsThatMustNotWait(t *testing.T) {
	release := make(chan struct{})
	handler := func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "begun")
		w.(http.Flusher).Flush()
		if r.URL.Path == "/open" {
			<-release
		}
	}
	two := func(config *Config) { config.Limits.Concurrent = 2 }
	service(t, handler, two, func(t *testing.T, c *Client) {
		open := func(ctx context.Context) *Answer {
			t.Helper()
			a, err := c.Do(ctx, &wit.Request{Method: "GET", Target: "/open", Repeatable: true})
			require.NoError(t, err)
			return a
		}
		main := open(t.Context())
		withoutWaiting := WithoutWaiting(WithParent(t.Context()))
		second := open(withoutWaiting)
		if _, err := c.Do(withoutWaiting, &wit.Request{Method: "GET", Target: "/", Repeatable: true}); !errors.Is(err,
			ErrNoRoom) {
			t.Errorf("expected no room for a third request, found %v", err)
		}
		within := open(WithParent(t.Context()))
		close(release)
		for _, a := range []*Answer{main, second, within} {
			if _, err := io.ReadAll(a.Body); err != nil {
				t.Error(err)
			}
			a.Body.Close()
		}
		a := open(withoutWaiting)
		a.Body.Close()
	})
}
