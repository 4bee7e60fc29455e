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
func TestNotificationIsForwarded(t *testing.T) {
	run := emptyConnector(&Options{}, slog.New(slog.DiscardHandler))
	ctl := run.controller
	ctl.status.currentRun = run
	comes := func(path string) error { return ctl.handleNotification(t.Context(), wit.Notification{Target: path}) }
	taken := 0
	run.taskSet.handlers.set("/a/my%20feed", func(context.Context, wit.Notification) error { taken++; return nil })
	run.taskSet.handlers.set("/a/away", nil)
	assert.NoError(t, comes("/a/my%20feed?x=1"))
	assert.Equal(t, 1, taken)
	assert.Equal(t, true, errors.Is(comes("/a/away"), notify.ErrBusy))
	var witError *wit.Error
	assert.Equal(t, true, errors.As(comes("/a/other"), &witError) && witError.Kind == wit.ErrorNotFound)
	ctl.spec.options = &Options{Group: &group{}}
	assert.Equal(t, true, errors.Is(comes("/a/other"), notify.ErrBusy))
}

// A trap of a plugin is logged as an error, and the sender is not asked to retry. In a group it is, because the feed
// may have moved.
func TestTrapInNotificationIsLogged(t *testing.T) {
	trap := errors.New("the plugin trapped")
	for _, test := range []struct {
		name   string
		group  Group
		answer error
		want   error
		logged bool
	}{
		{name: "alone", answer: trap, want: trap}, // the listener logs it
		{name: "alone, busy", answer: notify.ErrBusy, want: notify.ErrBusy},
		{name: "group", group: &group{}, answer: trap, want: notify.ErrBusy, logged: true},
		{name: "group, busy", group: &group{}, answer: notify.ErrBusy, want: notify.ErrBusy},
		{name: "group, sender gone", group: &group{}, answer: context.Canceled, want: notify.ErrBusy},
	} {
		var log logtest.Journal
		ctl := emptyConnector(&Options{Group: test.group}, log.Logger(slog.LevelWarn)).controller
		ctl.status.currentRun = emptyConnector(ctl.spec.options, ctl.log)
		ctl.status.currentRun.taskSet.handlers.set("/a/b", func(context.Context, wit.Notification) error {
			return test.answer
		})
		h := &Herder{controllers: map[string]*controller{"a": ctl}}
		n := wit.Notification{Target: "/a/b"}
		if err := ctl.handleNotification(t.Context(), n); err != test.want {
			t.Errorf("%s: expected %v, found %v", test.name, test.want, err)
		}
		if h := h.HandleNotification(t.Context(), "a", n); test.group != nil && (!h.Found || !h.Retry) {
			t.Errorf("%s: expected a request to retry, found %+v", test.name, h)
		}
		if n := strings.Count(log.String(), trap.Error()); test.group != nil && (n == 2) != test.logged {
			t.Errorf("%s: expected a line for each attempt: %t, found:\n%s", test.name, test.logged, log.String())
		}
	}
}
