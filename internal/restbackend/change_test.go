package restbackend

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/reload"
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/internal/setup"
)

// A change that waits for another one ends with its own timeout, even if the other one never ends.
func TestWaitingChangeEndsWithItsRequest(t *testing.T) {
	r := reload.New(reload.Options{Lock: guard.NewCtxMutex()}, nil)
	require.NoError(t, r.Lock.Lock(t.Context()))
	ctx, over := context.WithCancel(t.Context())
	over()
	w := New(Options{Installation: &setup.Installation{},
		Parts: func() Parts { return Parts{Reloader: r, Herder: new(connect.Herder)} }})
	running := connect.Running
	_, created := w.writeConnector(ctx, "a", rest.ConfigRequest{Settings: map[string]string{}, New: &running})
	_, put := w.writeConnector(ctx, "a", rest.ConfigRequest{Settings: map[string]string{}})
	_, compared := w.compareConfig(ctx, "a", rest.ConfigRequest{Settings: map[string]string{}}, false)
	_, patched := w.writeConnector(ctx, "a", rest.ConfigRequest{Patch: true})
	for _, err := range []error{created, put, compared, patched, w.deleteConnector(ctx, "a")} {
		var refusal *rest.Refusal
		if !errors.As(err, &refusal) || refusal.Status != 500 {
			t.Errorf("expected a refusal, found %v", err)
		}
	}
}

// A check that its request's timeout has canceled gets Kafka Connect's message.
func TestTimeoutOfCheck(t *testing.T) {
	late, over := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer over()
	var refusal *rest.Refusal
	if err := timeoutError(late); !errors.As(err, &refusal) || refusal.Status != 500 ||
		!strings.HasPrefix(refusal.Message, "Request timed out. The worker is currently ") {
		t.Errorf("expected a refusal, found %v", err)
	}
	canceled, leave := context.WithCancel(t.Context())
	leave()
	if err := timeoutError(canceled); !errors.Is(err, context.Canceled) {
		t.Errorf("expected the end of the request, found %v", err)
	}
}
