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

// send sends a request and ignores the response.
func send(ctx context.Context, c *Client, r *wit.Request) error {
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
		expired int // number of results that expire
	}{
		"valid result":        {expired: 0},
		"two expired results": {expired: 2},
	} {
		t.Run(name, func(t *testing.T) {
			g := &gateway{}
			setOneSlot := func(c *Config) { c.Limits.Concurrent = 1 }
			service(t, g.ServeHTTP, setOneSlot, func(t *testing.T, sink *Client) {
				other := clientNextTo(t, sink, nil)
				checks := 0
				validations := 0
				gate := make(chan struct{}) // closed when the last check may end
				check := func() error {
					checks++
					if isLast := checks > c.expired; isLast {
						<-gate
					}
					return nil
				}
				holds := func() bool {
					validations++
					return validations > c.expired
				}
				ctx := WithSendCheck(t.Context(), check, holds)
				done := make(chan error)
				go func() { done <- send(ctx, sink, writeRequest()) }()

				// While the last check waits at the gate, another client's request gets the only slot.
				synctest.Wait()
				otherCtx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				assert.NoError(t, send(otherCtx, other, writeRequest()), "another client's request to be sent")
				assert.True(t, g.writes <= 1 && checks == c.expired+1,
					"expected %d checks and at most one write, found %d, %d", c.expired+1, checks, g.writes)
				close(gate)
				if err := <-done; err != nil || g.writes != 2 || checks != c.expired+1 || validations != c.expired+1 {
					t.Errorf("expected two writes after %d checks and validations, found %d, %d, %d, %v", c.expired+1,
						g.writes, checks, validations, err)
				}
			})
		})
	}
}

// A check is validated again after a wait for the rate or a maintenance window, and repeated if its result has expired.
// Requests for CSRF tokens are not checked.
func TestSendCheckIsValidatedAfterWaits(t *testing.T) {
	windows, err := limits.ParseWindows("0 0 0 * * ?/2h UTC") // synctest begins at midnight
	require.NoError(t, err)
	for name, limit := range map[string]limits.Limits{"window": {Windows: windows}, "rate": {PerSecond: 0.001}} {
		g := &gateway{}
		setLimits := func(c *Config) {
			c.Limits = limit
			c.ReadTimeout = time.Hour
		}
		service(t, g.ServeHTTP, setLimits, func(t *testing.T, c *Client) {
			if name == "rate" {
				require.NoError(t, send(t.Context(), c, &wit.Request{Method: "GET", Target: "/"}))
			}
			var checks, validations []time.Duration // times since the start
			began := time.Now()
			check := func() error {
				checks = append(checks, time.Since(began))
				return nil
			}
			holds := func() bool {
				validations = append(validations, time.Since(began))
				return len(validations) > 1
			}
			ctx := WithSendCheck(t.Context(), check, holds)
			require.NoError(t, send(ctx, c, writeRequest()))
			if g.writes != 1 || len(checks) != 2 || checks[0] != 0 || len(validations) != 2 ||
				validations[0] < 15*time.Minute || checks[1] != validations[0] {
				t.Errorf("%s: expected one write after a second check, found %d writes, checks at %v, validations "+
					"at %v", name, g.writes, checks, validations)
			}
		})
	}
}

// The check is validated once there is a connection. If it has expired, nothing is sent and it is repeated.
func TestSendCheckIsValidatedWithConnection(t *testing.T) {
	isValid := false
	dials := 0
	checks := 0
	requests := 0
	expireDuringDial := func(c *Config) {
		dial := c.Dial
		c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			dials++
			if dials == 1 {
				isValid = false
			}
			return dial(ctx, network, address)
		}
	}
	handler := func(http.ResponseWriter, *http.Request) { requests++ }
	service(t, handler, expireDuringDial, func(t *testing.T, c *Client) {
		check := func() error {
			checks++
			isValid = true
			return nil
		}
		ctx := WithSendCheck(t.Context(), check, func() bool { return isValid })
		for range 2 { // the second request uses the connection of the first
			require.NoError(t, send(ctx, c, &wit.Request{Method: "GET", Target: "/"}))
		}
		assert.Equal(t, []int{3, 2, 2}, []int{checks, requests, dials}, "checks, requests, dials")
	})
}

// The check's error is the request's, and nothing is sent.
func TestSendCheckRejectsRequest(t *testing.T) {
	g := &gateway{}
	service(t, g.ServeHTTP, func(c *Config) { c.Limits.Concurrent = 1 }, func(t *testing.T, c *Client) {
		errRejected := errors.New("rejected by the check")
		ctx := WithSendCheck(t.Context(), func() error { return errRejected }, func() bool { return true })
		assert.ErrorIs(t, send(ctx, c, writeRequest()), errRejected, "the error of the check")
		require.NoError(t, send(t.Context(), c, writeRequest())) // the only slot is free
		assert.Equal(t, 1, g.writes)
	})
}
