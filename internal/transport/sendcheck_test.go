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
		holds int // so often what was asked does not hold on
	}{"it waits": {0}, "it held no longer": {2}} {
		t.Run(name, func(t *testing.T) {
			g := &gateway{}
			one := func(c *Config) { c.Limits.Concurrent = 1 }
			service(t, g.ServeHTTP, one, func(t *testing.T, sink *Client) {
				other := clientNextTo(t, sink, nil)
				asked, looked := 0, 0
				gate := make(chan struct{})
				ctx := WithSendCheck(t.Context(), func() error {
					if asked++; asked > c.holds {
						<-gate
					}
					return nil
				}, func() bool { looked++; return looked > c.holds })
				done := make(chan error)
				go func() { done <- try(ctx, sink, write()) }()
				synctest.Wait() // it is at the gate
				others, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if err := try(others, other, write()); err != nil {
					t.Errorf("expected another client's request to be sent, found %v", err)
				}
				if g.writes > 1 || asked != c.holds+1 {
					t.Errorf("found %d checks, %d writes", asked, g.writes)
				}
				close(gate)
				if err := <-done; err != nil || g.writes != 2 || asked != c.holds+1 || looked != c.holds+1 {
					t.Errorf("%v: found %d checks, %d validations, %d writes", err, asked, looked, g.writes)
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
		wait := func(c *Config) { c.Limits, c.ReadTimeout = limit, time.Hour }
		service(t, g.ServeHTTP, wait, func(t *testing.T, c *Client) {
			if name == "rate" {
				require.NoError(t, try(t.Context(), c, &wit.Request{Method: "GET", Target: "/"}))
			}
			asked, looked := []time.Duration(nil), []time.Duration(nil)
			began := time.Now()
			ctx := WithSendCheck(t.Context(), func() error { asked = append(asked, time.Since(began)); return nil },
				func() bool { looked = append(looked, time.Since(began)); return len(looked) > 1 })
			require.NoError(t, try(ctx, c, write()))
			if g.writes != 1 || len(asked) != 2 || asked[0] != 0 || len(looked) != 2 ||
				looked[0] < 15*time.Minute || asked[1] != looked[0] {
				t.Errorf("%s: found %d writes, checks at %v, validations at %v", name, g.writes, asked, looked)
			}
		})
	}
}

// The check is validated once there is a connection. If it has expired, nothing is sent and it is repeated.
func TestSendCheckIsValidatedWithConnection(t *testing.T) {
	holds, dials, asked, served := false, 0, 0, 0
	slow := func(c *Config) {
		dial := c.Dial
		c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if dials++; dials == 1 {
				holds = false
			}
			return dial(ctx, network, address)
		}
	}
	service(t, func(http.ResponseWriter, *http.Request) { served++ }, slow, func(t *testing.T, c *Client) {
		ctx := WithSendCheck(t.Context(), func() error { asked++; holds = true; return nil },
			func() bool { return holds })
		for range 2 { // the second has the connection of the first
			require.NoError(t, try(ctx, c, &wit.Request{Method: "GET", Target: "/"}))
		}
		assert.Equal(t, []int{3, 2, 2}, []int{asked, served, dials})
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
		require.NoError(t, try(t.Context(), c, write())) // its place is free
		assert.Equal(t, 1, g.writes)
	})
}
