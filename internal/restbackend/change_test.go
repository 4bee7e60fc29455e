package restbackend

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/group"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/reload"
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/internal/setup"
)

// A change that waits for another one ends with its own timeout, even if the other one never ends.
func TestWaitingChangeEndsWithItsRequest(t *testing.T) {
	r := reload.New(reload.Options{Lock: guard.NewCtxMutex(), Group: &group.Standalone{}}, nil)
	require.NoError(t, r.Lock.Lock(t.Context()))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var parts setup.Parts
	parts.Set(func(o *setup.Opened) {
		o.Reloader = r
		o.Herder = new(connect.Herder)
	})
	backend := New(Options{Installation: &setup.Installation{}, Parts: &parts, Group: &group.Standalone{}})
	running := connect.Running
	const masked = false
	_, createErr := backend.writeConnector(ctx, "a", rest.ConfigRequest{Settings: map[string]string{}, New: &running})
	_, putErr := backend.writeConnector(ctx, "a", rest.ConfigRequest{Settings: map[string]string{}})
	_, compareErr := backend.compareConfig(ctx, "a", rest.ConfigRequest{Settings: map[string]string{}}, masked)
	_, patchErr := backend.writeConnector(ctx, "a", rest.ConfigRequest{Patch: true})
	for name, err := range map[string]error{
		"create":  createErr,
		"put":     putErr,
		"compare": compareErr,
		"patch":   patchErr,
		"delete":  backend.deleteConnector(ctx, "a"),
	} {
		var refusal *rest.Refusal
		assert.True(t, errors.As(err, &refusal) && refusal.Status == 500,
			"%s: expected a refusal with 500, found %v", name, err)
	}
}

// A check that its request's timeout has canceled gets Kafka Connect's message.
func TestTimeoutOfCheck(t *testing.T) {
	expired, cancelExpired := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancelExpired()
	var refusal *rest.Refusal
	if err := timeoutError(expired); !errors.As(err, &refusal) || refusal.Status != 500 ||
		!strings.HasPrefix(refusal.Message, "Request timed out. The worker is currently ") {
		t.Errorf("expected a refusal, found %v", err)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	assert.ErrorIs(t, timeoutError(canceled), context.Canceled, "the end of the request")
}
