package host

import (
	"context"
	"errors"
	"testing"

	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/rest"
)

// A change that waits for another one is answered when its time is over, though the other one never ends.
func TestChangesWaitNoLongerThanTheirRequests(t *testing.T) {
	r := &reloader{applying: newTurn()}
	if err := r.applying.lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, over := context.WithCancel(t.Context())
	over()
	w := worker{&Host{reloads: r, herder: new(connect.Herder)}}
	_, created := w.Create(ctx, "a", map[string]string{}, nil, connect.Running)
	_, _, put := w.Put(ctx, "a", map[string]string{}, nil)
	_, patched := w.Patch(ctx, "a", map[string]string{}, nil)
	for _, err := range []error{created, put, patched, w.Delete(ctx, "a")} {
		var refusal *rest.Refusal
		if !errors.As(err, &refusal) || refusal.Status != 500 {
			t.Errorf("expected a refusal, found %v", err)
		}
	}
}
