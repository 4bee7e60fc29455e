package connect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/run/source"
	core "github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/internal/shown"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/internal/transport/limits"
	"github.com/culvert-project/culvert/internal/transport/lockouts"
	"github.com/culvert-project/culvert/wit"
)

// The waits of a client determine the condition of a running task. A limit of the request rate is only a note.
func TestClientWaitsDetermineTheCondition(t *testing.T) {
	t.Parallel()
	for name, test := range clientWaitCases(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(test.handler)
			if test.handler == nil {
				server.Close()
			}
			defer server.Close()
			address, _ := url.Parse(server.URL)
			port, _ := strconv.Atoi(address.Port())
			client, err := transport.New(transport.Config{
				Service: transport.Service{Scheme: "http", Address: address.Hostname(), Port: port},
				Limits:  test.limits,
				Shared:  transport.Shared{Destinations: transport.NewOriginRegistry()},
			})
			require.NoError(t, err)
			defer client.Close()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			for range test.requests {
				go client.Exchange(ctx, &wit.Request{Method: "GET", Target: "/", Repeatable: true})
			}

			v := newTestView(t)
			v.client = client
			task := taskView{taskStatus: taskStatus{state: Running}}
			task.fillProgress = func(p *Progress) {
				p.CaughtUp = true
				if test.want.Condition == ConditionLoading {
					p.Feeds = []FeedProgress{{ReadingSince: wit.Ptr(time.Now().Add(-time.Minute))}}
				}
			}
			component := ComponentStatus{}
			require.Until(t, func() bool {
				progress := task.currentProgress()
				component = v.taskStatus(&task, &progress)
				return component.Condition == test.want.Condition && strings.Contains(component.Cause, test.cause) &&
					strings.HasPrefix(component.Note, test.want.Note) &&
					(component.Note == "") == (test.want.Note == "")
			}, func() string {
				return fmt.Sprintf("expected %+v with cause %q, found %+v", test.want, test.cause, component)
			})

			isAway := test.want.Condition == "away"
			isInWindow := len(test.limits.Windows) > 0
			use := OriginUse{Usage: client.Usage(nil)[0]}
			use.add("c", client)
			assert.Equal(t, isAway, use.AwaySince != nil, "has a time since when the origin is away")
			assert.Equal(t, test.want.Kind, component.Kind)
			isWaiting := isInWindow && test.want.Condition == ConditionWaiting
			assert.Equal(t, isWaiting, !component.RestartsAt.IsZero(), "has a time of its next start")
		})
	}
}

// The use of an origin has the users with which connectors log on.
func TestOriginUseHasLogons(t *testing.T) {
	t.Parallel()
	use := OriginUse{Usage: limits.Usage{Origin: "https://sap"}}
	for connector, user := range map[string]string{"a": "me", "b": "you", "c": ""} {
		client, err := transport.New(transport.Config{
			Service:     transport.Service{Scheme: "https", Address: "sap"},
			Credentials: transport.Credentials{User: user, Password: map[bool]string{true: "secret"}[user != ""]},
			Shared:      transport.Shared{Destinations: transport.NewOriginRegistry(), Lockouts: lockouts.New()},
		})
		require.NoError(t, err)
		defer client.Close()
		use.Origin = client.Origin()
		use.add(connector, client)
	}
	users := map[string][]string{}
	for user, connectors := range use.Logons {
		users[user.User+" "+user.Secret] = connectors
	}
	assert.Equal(t, map[string][]string{"me ": {"a"}, "you ": {"b"}}, users)
}

// clientWaitCase is a client's limits and requests, and the status of a running task that uses the client.
type clientWaitCase struct {
	limits   limits.Limits
	handler  http.HandlerFunc // nil means that the service is down
	requests int
	want     ComponentStatus
	cause    string // a part of the cause
}

func clientWaitCases(t *testing.T) map[string]clientWaitCase {
	t.Helper()
	window, err := limits.ParseWindows("0 0 0 * * ?/25h UTC") // a window of 25 hours each day is always open
	require.NoError(t, err)
	return map[string]clientWaitCase{
		"no request": {want: ComponentStatus{Condition: "idle"}},
		"maintenance window": {
			limits:   limits.Limits{Windows: window},
			requests: 1,
			want:     ComponentStatus{Condition: "waiting"},
		},
		"load in a maintenance window": {
			limits:   limits.Limits{Windows: window},
			requests: 1,
			want:     ComponentStatus{Condition: "loading", Note: "maintenance window: no requests to "},
		},
		"service down": {
			requests: 1,
			want:     ComponentStatus{Condition: "away", Kind: "transient"},
			cause:    "does not answer",
		},
		"request rate": {
			limits:   limits.Limits{PerSecond: 0.001},
			handler:  respondOK,
			requests: 2,
			want:     ComponentStatus{Condition: "idle", Note: "limited to 0.001 requests a second"},
		},
		"Retry-After": {
			handler:  respondRetryAfter,
			requests: 1,
			want:     ComponentStatus{Condition: "waiting"},
			cause:    "(Retry-After)",
		},
	}
}

// Each condition has the time at which it began.
func TestTimesOfTaskConditions(t *testing.T) {
	t.Parallel()
	stateSince := time.Now().Add(-time.Hour)
	flow := core.Flow{ActiveSince: time.Now().Add(-30 * time.Second), LastActive: time.Now()}
	loadingSince := time.Now().Add(-LoadingTime)
	for name, test := range map[string]struct {
		progress  Progress
		want      Condition
		wantSince time.Time
		wantCause string
	}{
		"no rows yet": {want: "running", wantSince: stateSince},
		"rows": {
			progress:  Progress{InternalProgress: InternalProgress{Flow: flow}},
			want:      "running",
			wantSince: flow.ActiveSince,
		},
		"caught up": {progress: Progress{CaughtUp: true}, want: "idle", wantSince: stateSince},
		"caught up after rows": {
			progress:  Progress{CaughtUp: true, InternalProgress: InternalProgress{Flow: flow}},
			want:      "idle",
			wantSince: flow.LastActive,
		},
		"refused records": {
			progress: Progress{InternalProgress: InternalProgress{Refusal: core.Refusal{Since: stateSince,
				Last: loadingSince, Err: errors.New(`ProductName: "17 x" is no number`)}}},
			want:      "refusing",
			wantSince: stateSince,
			wantCause: `ProductName: "…" is no number`,
		},
		"pages": {
			progress:  Progress{Feeds: []FeedProgress{{Name: "a", ReadingSince: &loadingSince}, {Name: "b"}}},
			want:      "loading",
			wantSince: loadingSince,
		},
	} {
		task := taskView{taskStatus: taskStatus{state: Running, fillProgress: func(p *Progress) {}},
			clock: stateClock{stateSince: stateSince}}
		component := newTestView(t).taskStatus(&task, &test.progress)
		assert.Equal(t, test.want, component.Condition, name)
		assert.Equal(t, test.wantSince, component.Since, name)
		assert.Equal(t, test.wantCause, component.Cause, name)
		if name == "pages" {
			assert.Equal(t, "loading running", test.progress.Feeds[0].State+" "+test.progress.Feeds[1].State)
		}
	}
}

// failureCase is an error of a task, and the status of the task.
type failureCase struct {
	err        error
	restartsAt time.Time // zero means that the task does not restart by itself
	want       ComponentStatus
}

// failedSetting is in line 7 of c.properties.
const failedSetting = "sap.odata.user.pwd"

func failureCases() map[string]failureCase {
	restartsAt := time.Now()
	setting := failedSetting
	restart := &Action{Do: "restart"}
	timeout := fmt.Errorf("topic t: %w", kgo.ErrRecordTimeout)
	noLeader := fmt.Errorf("topic t: %w", kerr.NotLeaderForPartition)
	transient := &wit.Error{Kind: wit.ErrorTransient, Message: "gone"}
	problems := config.Problems{{Text: "x"}, {Setting: "tasks.max", Text: "y", File: "c.properties", Line: 3}}
	return map[string]failureCase{
		"unknown error": {
			err:  errors.New("broken\nat x"),
			want: ComponentStatus{Condition: "failed", Cause: "broken", Action: restart},
		},
		"error of a setting": {
			err: &wit.Error{Kind: wit.ErrorUnauthorized, Message: "no", Setting: &setting},
			want: ComponentStatus{Condition: "failed", Cause: setting + ": no", Kind: "unauthorized",
				Action: &Action{Do: "edit", Setting: setting, File: "c.properties", Line: 7}},
		},
		"refused logon": {
			err: fmt.Errorf("open: %w", &lockouts.LockedOut{Why: "no"}),
			want: ComponentStatus{Condition: "failed", Cause: "open: no", Kind: "unauthorized",
				Action: &Action{Do: "logon"}},
		},
		"refused logon with a setting": {
			err: fmt.Errorf("%[2]w; %[1]w", &wit.Error{Kind: wit.ErrorUnauthorized, Message: "401", Setting: &setting},
				&lockouts.LockedOut{Why: "no"}),
			want: ComponentStatus{Condition: "failed", Cause: "no; " + setting + ": 401", Kind: "unauthorized",
				Action: &Action{Do: "logon", Setting: setting, File: "c.properties", Line: 7}},
		},
		"transient error without restart": {
			err:  transient,
			want: ComponentStatus{Condition: "failed", Cause: "gone", Kind: "transient", Action: restart},
		},
		"transient error": {
			err:        fmt.Errorf("feed: %w", transient),
			restartsAt: restartsAt,
			want:       ComponentStatus{Condition: "away", Cause: "feed: gone", Kind: "transient", Action: restart},
		},
		"Kafka timeout": {
			err:        timeout,
			restartsAt: restartsAt,
			want:       ComponentStatus{Condition: "away", Cause: "Kafka: " + timeout.Error(), Action: restart},
		},
		"Kafka error": {
			err:        noLeader,
			restartsAt: restartsAt,
			want:       ComponentStatus{Condition: "away", Cause: "Kafka: " + noLeader.Error(), Action: restart},
		},
		"Kafka connection": {
			err:        &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded},
			restartsAt: restartsAt,
			want:       ComponentStatus{Condition: "away", Cause: "Kafka: dial: i/o timeout", Action: restart},
		},
		"problems of the configuration": {
			err: problems,
			want: ComponentStatus{Condition: "failed", Cause: causeLine(problems.Error()), Kind: "config",
				Action: &Action{Do: "edit", Setting: "tasks.max", File: "c.properties", Line: 3}},
		},
		"problem of the whole configuration": {
			err: config.Problems{{Text: "w", Setting: "tasks.max", Warning: true}, {Text: "x", File: "c.properties"}},
			want: ComponentStatus{Condition: "failed", Cause: "c.properties: x", Kind: "config",
				Action: &Action{Do: "edit", File: "c.properties"}},
		},
	}
}

// A failure has the kind and the action of its error. It is away if the task restarts by itself.
func TestStatusOfFailures(t *testing.T) {
	t.Parallel()
	for name, test := range failureCases() {
		task := taskView{taskStatus: taskStatus{state: Failed, err: test.err, restartsAt: test.restartsAt}}
		v := newTestView(t)
		v.config = newConnector(v.options.Worker, "c", config.NewEntry(failedSetting, "x", "c.properties", 7))
		component := v.taskStatus(&task, &Progress{})
		test.want.RestartsAt = test.restartsAt
		test.want.State = Failed
		test.want.Local = true
		test.want.Activity = Activity{Rows: new(float64), Refused: new(int64)}
		assert.Equal(t, test.want, component, name)
		if test.want.Action.File != "" {
			v.config.Version = "2"
			assert.Equal(t, &Action{Do: test.want.Action.Do, Setting: test.want.Action.Setting},
				v.taskStatus(&task, &Progress{}).Action, name, "of a connector in no file")
		}
	}
}

// The cause of a failure is bounded. A task that fails at each restart has been away since its first failure.
func TestCauseAndTimeOfFailure(t *testing.T) {
	t.Parallel()
	task := taskView{taskStatus: taskStatus{state: Failed, err: errors.New(strings.Repeat("x", 3000))}}
	component := newTestView(t).taskStatus(&task, &Progress{})
	assert.Equal(t, strings.Repeat("x", shown.MaxLine)+"... (1000 bytes more)", component.Cause)

	task.restartsAt = time.Now()
	task.failingSince = time.Now().Add(-time.Hour)
	task.clock.stateSince = time.Now().Add(-time.Second) // the last restart
	component = newTestView(t).taskStatus(&task, &Progress{})
	assert.Equal(t, task.failingSince, component.Since, "since the first failure")
}

// If a worker does not answer, a failure in the status topic is still shown, unless the worker would have restarted the
// task.
func TestFailureOfSilentWorkerIsShown(t *testing.T) {
	t.Parallel()
	for restartsAt, want := range map[string]string{
		"":                     "failed broken",
		"2026-11-28T10:00:00Z": "unknown no answer",
	} {
		component := RemoteStatus(0, Failed, "w1", "broken\n\tat x", restartsAt)
		assert.Equal(t, "broken", component.Cause)
		assert.Equal(t, restartsAt, formatRestart(component.RestartsAt))
		unassigned := RemoteStatus(0, Unassigned, "w1", "", restartsAt)
		assert.Equal(t, true, unassigned.RestartsAt.IsZero(), "an unassigned task does not restart")
		component.SetUnknown("no answer")
		assert.Equal(t, want, string(component.Condition)+" "+component.Cause)
		assert.Equal(t, restartsAt == "", component.Action != nil, "has an action")
	}
}

func TestLoadsOfStoppedTasksHaveNoEstimate(t *testing.T) {
	t.Parallel()
	load := &source.FeedLoad{Read: 1, SecondsLeft: wit.Ptr(int64(9))}
	for _, state := range []State{Running, Paused, Failed} {
		task := taskStatus{state: state, fillProgress: func(p *Progress) { p.Feeds = []FeedProgress{{Load: load}} }}
		shownLoad := task.currentProgress().Feeds[0].Load
		assert.Equal(t, state == Running, shownLoad.SecondsLeft != nil, state, "has an estimate")
		assert.Equal(t, uint64(1), shownLoad.Read, state)
	}
}

// A cause is the first line of an error, with the reason first. It is the whole error if that is one short line.
func TestCauseBeginsWithTheReason(t *testing.T) {
	const place = `topic a, partition 0, offset 7, key "k"`
	for text, want := range map[string]string{
		place + ": write: no":                "write: no (" + place + ")",
		place + ": write: no\nmore":          "write: no (" + place + ")",
		"  the service refused it\nmore":     "the service refused it",
		"the service refused it":             "the service refused it",
		strings.Repeat("x", shown.MaxLine):   strings.Repeat("x", shown.MaxLine),
		strings.Repeat("x", shown.MaxLine+1): strings.Repeat("x", shown.MaxLine) + "... (1 bytes more)",
	} {
		assert.Equal(t, want, causeLine(text))
		isShortLine := !strings.Contains(text, "\n") && len(text) <= shown.MaxLine
		assert.Equal(t, isShortLine, IsAllOf(text, want), text)
	}
}

// newTestView returns the view of a connector without settings.
func newTestView(t *testing.T) *view {
	t.Helper()
	run := newEmptyRun(&Options{Worker: &config.Worker{}}, slog.New(slog.DiscardHandler))
	run.controller.status.currentRun = run
	v := run.controller.observe()
	v.assignment.OwnsConnector = true
	v.config = run.config
	return v
}

func respondOK(http.ResponseWriter, *http.Request) {}

// respondRetryAfter makes the client wait for longer than the test.
func respondRetryAfter(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Retry-After", "100")
	w.WriteHeader(http.StatusServiceUnavailable)
}
