package connect

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/logtest"
	"github.com/culvert-project/culvert/internal/run/notify"
	"github.com/culvert-project/culvert/wit"
)

// A notification is delivered to the task with its feed and rejected as busy while the task is stopped. An unknown feed
// is an error, but in a group another worker may have it.
func TestNotificationIsDeliveredByItsPath(t *testing.T) {
	run := newEmptyRun(&Options{}, slog.New(slog.DiscardHandler))
	ctl := run.controller
	ctl.status.currentRun = run
	deliver := func(path string) error { return ctl.handleNotification(t.Context(), wit.Notification{Target: path}) }
	calls := 0
	run.taskSet.handlers.set("/a/my%20feed", func(context.Context, wit.Notification) error {
		calls++
		return nil
	})
	run.taskSet.handlers.set("/a/stopped", nil)
	assert.NoError(t, deliver("/a/my%20feed?x=1"))
	assert.Equal(t, 1, calls)
	assert.ErrorIs(t, deliver("/a/stopped"), notify.ErrBusy, "a stopped task")
	var witError *wit.Error
	if err := deliver("/a/other"); !errors.As(err, &witError) || witError.Kind != wit.ErrorNotFound {
		t.Errorf("an unknown feed: expected the kind not-found, found %v", err)
	}
	ctl.spec.options.Group = &group{}
	assert.ErrorIs(t, deliver("/a/other"), notify.ErrBusy, "an unknown feed in a group")
}

// In a group a worker logs the trap of a plugin, and the sender must send the notification again, because the feed may
// have moved. Without a group the trap is returned to the listener, which logs it.
func TestTrapInNotificationIsLogged(t *testing.T) {
	trap := errors.New("the plugin trapped")
	for _, test := range []struct {
		name     string
		group    Group
		taskErr  error
		want     error
		isLogged bool
	}{
		{name: "alone", taskErr: trap, want: trap}, // the listener logs it
		{name: "alone, busy", taskErr: notify.ErrBusy, want: notify.ErrBusy},
		{name: "group", group: &group{}, taskErr: trap, want: notify.ErrBusy, isLogged: true},
		{name: "group, busy", group: &group{}, taskErr: notify.ErrBusy, want: notify.ErrBusy},
		{name: "group, sender gone", group: &group{}, taskErr: context.Canceled, want: notify.ErrBusy},
	} {
		var log logtest.Journal
		ctl := newEmptyRun(&Options{Group: test.group}, log.Logger(slog.LevelWarn)).controller
		ctl.status.currentRun = newEmptyRun(ctl.spec.options, ctl.log)
		ctl.status.currentRun.taskSet.handlers.set("/a/b", func(context.Context, wit.Notification) error {
			return test.taskErr
		})
		h := &Herder{controllers: map[string]*controller{"a": ctl}}
		notification := wit.Notification{Target: "/a/b"}
		err := ctl.handleNotification(t.Context(), notification)
		assert.True(t, err == test.want, "%s: expected %v, found %v", test.name, test.want, err)
		result := h.HandleNotification(t.Context(), "a", notification)
		if test.group == nil {
			continue
		}
		assert.True(t, result.Found && result.Retry, "%s: expected a request to retry, found %+v", test.name, result)
		if n := strings.Count(log.String(), trap.Error()); (n == 2) != test.isLogged {
			t.Errorf("%s: expected a line for each attempt: %t, found:\n%s", test.name, test.isLogged, log.String())
		}
	}
}
