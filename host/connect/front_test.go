package connect

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/culvert-project/culvert/host/internal/base/assert"
	"github.com/culvert-project/culvert/host/internal/run/notify"
	"github.com/culvert-project/culvert/wit"
)

// A notification is taken by the task with its feed, and comes again while the task is away. Where the worker is alone,
// a feed that nobody has is unknown; in a group another worker may have it.
func TestWhoTakesANotification(t *testing.T) {
	c := bareConnector(&Options{}, slog.New(slog.DiscardHandler))
	k := c.controller
	k.status.current = c
	comes := func(path string) error { return k.notified(t.Context(), wit.Notification{Target: path}) }
	taken := 0
	c.set.listens.set("/a/my%20feed", func(context.Context, wit.Notification) error { taken++; return nil })
	c.set.listens.set("/a/away", nil)
	assert.NoError(t, comes("/a/my%20feed?x=1"))
	assert.Equal(t, 1, taken)
	assert.Equal(t, true, errors.Is(comes("/a/away"), notify.ErrBusy))
	var fault *wit.Fault
	assert.Equal(t, true, errors.As(comes("/a/other"), &fault) && fault.Kind == wit.FaultNotFound)
	k.spec.o = &Options{Group: &group{}}
	assert.Equal(t, true, errors.Is(comes("/a/other"), notify.ErrBusy))
}
