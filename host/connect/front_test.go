package connect

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/internal/base/assert"
	"github.com/culvert-project/culvert/host/internal/base/logtest"
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
	var fault *wit.Error
	assert.Equal(t, true, errors.As(comes("/a/other"), &fault) && fault.Kind == wit.ErrorNotFound)
	k.spec.o = &Options{Group: &group{}}
	assert.Equal(t, true, errors.Is(comes("/a/other"), notify.ErrBusy))
}

// What a plugin breaks on is an error of the worker, named in the log, and no reason to send again. In a group the
// sender sends again, as the feed may have moved; the worker whose task failed logs why.
func TestNotificationThatBreaksThePlugin(t *testing.T) {
	trap := errors.New("the plugin trapped")
	for _, c := range []struct {
		name         string
		group        Group
		answer, want error
		logged       bool
	}{
		{"alone", nil, trap, trap, false}, // the listener logs it
		{"alone, busy", nil, notify.ErrBusy, notify.ErrBusy, false},
		{"group", &group{}, trap, notify.ErrBusy, true},
		{"group, busy", &group{}, notify.ErrBusy, notify.ErrBusy, false},
		{"group, sender gone", &group{}, context.Canceled, notify.ErrBusy, false},
	} {
		var log logtest.Journal
		k := bareConnector(&Options{Group: c.group}, log.Logger(slog.LevelWarn)).controller
		k.status.current = bareConnector(k.spec.o, k.log)
		k.status.current.set.listens.set("/a/b", func(context.Context, wit.Notification) error { return c.answer })
		h := &Herder{controllers: map[string]*controller{"a": k}}
		n := wit.Notification{Target: "/a/b"}
		if err := k.notified(t.Context(), n); err != c.want {
			t.Errorf("%s: expected %v, found %v", c.name, c.want, err)
		}
		if h := h.HandleNotification(t.Context(), "a", n); c.group != nil && (!h.Found || !h.Retry) {
			t.Errorf("%s: expected it to be sent again, found %+v", c.name, h)
		}
		if n := strings.Count(log.String(), trap.Error()); c.group != nil && (n == 2) != c.logged {
			t.Errorf("%s: expected a line for each attempt: %t, found:\n%s", c.name, c.logged, log.String())
		}
	}
}
