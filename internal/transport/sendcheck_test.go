package transport

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/transport/limits"
	"github.com/culvert-project/culvert/wit"
)

// try sends a request and ignores the response.
func try(ctx context.Context, c *Client, r *wit.Request) error {
	a, err := c.Do(ctx, r)
	if err == nil {
		a.discard()
	}
	return err
}

// During its check a request has neither a slot nor the lock of the session's token. If the result expires, both are
// released and the check is repeated.
func TestSendCheckHoldsNoSlot(t *testing.T) {
	for name, c := range map[string]struct {
		holds int // number of results that expire
	}{"valid": {0}, "expired twice": {2}} {
		t.Run(name, func(t *testing.T) {
			g := &gateway{}
			one := func(c *Config) { c.Limits.Concurrent = 1 }
			service(t, g.ServeHTTP, one, func(t *testing.T, sink *Client) {
				other := clientNextTo(t, sink, nil)
				checks := 0
				validations := 0
				gate := make(chan struct{})
				ctx := WithSendCheck(t.Context(), func() error {
					checks++
					if checks > c.holds {
						<-gate
					}
					return nil
				}, func() bool { validations++; return validations > c.holds })
				done := make(chan error)
				go func() { done <- try(ctx, sink, write()) }()
				synctest.Wait() // it waits at the gate
				others, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if err := try(others, other, write()); err != nil {
					t.Errorf("expected another client's request to be sent, found %v", err)
				}
				if g.writes > 1 || checks != c.holds+1 {
					t.Errorf("found %d checks, %d writes", checks, g.writes)
				}
				close(gate)
				if err := <-done; err != nil || g.writes != 2 || checks != c.holds+1 || validations != c.holds+1 {
					t.Errorf("%v: found %d checks, %d validations, %d writes", err, checks, validations, g.writes)
				}
			})
		})
	}
}

// A check before a wait for the rate or a maintenance window is validated after it. Token requests are not checked.
func TestSendCheckIsValidatedAfterWaits(t *testing.T) {
	windows, err := limits.ParseWindows("0 0 0 * * ?/2h UTC") // synctest begins at midnight
	require.NoError(t, err)
	for name, limit := range map[string]limits.Limits{"window": {Windows: windows}, "rate": {PerSecond: 0.001}} {
		g := &gateway{}
		wait := func(c *Config) {
			c.Limits = limit
			c.ReadTimeout = time.Hour
		}
		service(t, g.ServeHTTP, wait, func(t *testing.T, c *Client) {
			if name == "rate" {
				require.NoError(t, try(t.Context(), c, &wit.Request{Method: "GET", Target: "/"}))
			}
			checks := []time.Duration(nil)
			validations := []time.Duration(nil)
			began := time.Now()
			ctx := WithSendCheck(t.Context(), func() error { checks = append(checks, time.Since(began)); return nil },
				func() bool { validations = append(validations, time.Since(began)); return len(validations) > 1 })
			require.NoError(t, try(ctx, c, write()))
			if g.writes != 1 || len(checks) != 2 || checks[0] != 0 || len(validations) != 2 ||
				validations[0] < 15*time.Minute || checks[1] != validations[0] {
				t.Errorf("%s: found %d writes, checks at %v, validations at %v", name, g.writes, checks, validations)
			}
		})
	}
}

// The check is validated once there is a connection. If it has expired, nothing is sent and it is repeated.
func TestSendCheckIsValidatedWithConnection(t *testing.T) {
	holds := false
	dials := 0
	checks := 0
	served := 0
	slow := func(c *Config) {
		dial := c.Dial
		c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			dials++
			if dials == 1 {
				holds = false
			}
			return dial(ctx, network, address)
		}
	}
	service(t, func(http.ResponseWriter, *http.Request) { served++ }, slow, func(t *testing.T, c *Client) {
		ctx := WithSendCheck(t.Context(), func() error { checks++; holds = true; return nil },
			func() bool { return holds })
		for range 2 { // the second request uses the connection of the first
			require.NoError(t, try(ctx, c, &wit.Request{Method: "GET", Target: "/"}))
		}
		assert.Equal(t, []int{3, 2, 2}, []int{checks, served, dials})
	})
}

// The check's error is the request's, and nothing is sent.
func TestSendCheckRejectsRequest(t *testing.T) {
	g := &gateway{}
	service(t, g.ServeHTTP, func(c *Config) { c.Limits.Concurrent = 1 }, func(t *testing.T, c *Client) {
		no := errors.New("no")
		refused := WithSendCheck(t.Context(), func() error { return no }, func() bool { return true })
		if err := try(refused, c, write()); !errors.Is(err, no) {
			t.Errorf("found %v", err)
		}
		require.NoError(t, try(t.Context(), c, write())) // its slot is free
		assert.Equal(t, 1, g.writes)
	})
}
