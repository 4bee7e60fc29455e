package transport

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/culvert-project/culvert/host/internal/base/require"
)

// Answers of those who look at no secret leave it as unknown as it was: the next one goes alone again (P10).
func TestAnswersThatSayNothingOfTheSecret(t *testing.T) {
	for status, known := range map[int]bool{200: true, 304: true, 400: true, 403: false, 404: false,
		407: false, 408: false, 429: false, 502: false, 503: false, 0: false} {
		l := NewLockouts()
		if sent, err := try(t, l, somebody, status); !sent {
			t.Fatal(err)
		}
		permit, err := l.of(somebody).enter(t.Context(), requestID{}, never)
		require.NoError(t, err)
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errors.New("alone"))
		_, err = l.of(somebody).enter(ctx, requestID{}, never)
		if beside := err == nil; beside != known {
			t.Errorf("%d: expected the next ones to go side by side: %v, found %v", status, known, err)
		}
		permit.done(0)
	}
}

// A path behind which there is nothing is answered before anybody logs on: that takes no wrong password for one that
// was right a moment ago, which would be shown a second time.
func TestNothingThereIsNoLogon(t *testing.T) {
	refusals := 0
	service(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/nothing" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		refusals++
		w.WriteHeader(http.StatusUnauthorized)
	}, func(c *Config) { c.User, c.Password = "u", "wrong" }, func(t *testing.T, c *Client, _ *wires) {
		for _, target := range []string{"/nothing", "/a", "/nothing", "/a"} {
			text(t, c, get(target))
			time.Sleep(2 * doubtPause)
		}
		if refusals != 1 || c.Refusal() == "" {
			t.Errorf("expected one refusal, found %d, %q", refusals, c.Refusal())
		}
	})
}
