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
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/internal/transport/limits"
	"github.com/culvert-project/culvert/wit"
)

// What a client waits for decides about the condition of a running task, and a limit is only noted.
func TestConditionsOfClients(t *testing.T) {
	t.Parallel()
	always, err := limits.ParseWindows("0 0 0 * * ?/25h UTC")
	require.NoError(t, err)
	for name, test := range map[string]struct {
		limits  limits.Limits
		answer  http.HandlerFunc // nil means none
		asks    int
		want    ComponentStatus
		because string
	}{
		"runs":      {want: ComponentStatus{Condition: "idle"}},
		"a window":  {limits: limits.Limits{Windows: always}, asks: 1, want: ComponentStatus{Condition: "waiting"}},
		"no answer": {asks: 1, want: ComponentStatus{Condition: "away", Kind: "transient"}, because: "does not answer"},
		"of a rate": {asks: 2, limits: limits.Limits{PerSecond: 0.001}, answer: atOnce,
			want: ComponentStatus{Condition: "idle", Note: "limited to 0.001 requests a second"}},
		"Retry-After": {asks: 1, answer: later, want: ComponentStatus{Condition: "waiting"}, because: "(Retry-After)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(test.answer)
			if test.answer == nil {
				server.Close()
			}
			defer server.Close()
			at, _ := url.Parse(server.URL)
			port, _ := strconv.Atoi(at.Port())
			client, err := transport.New(transport.Config{
				Service: transport.Service{Scheme: "http", Address: at.Hostname(), Port: port},
				Limits:  test.limits,
				Shared:  transport.Shared{Destinations: transport.NewOriginRegistry()},
			})
			require.NoError(t, err)
			defer client.Close()
			ctx, end := context.WithCancel(t.Context())
			defer end()
			for range test.asks {
				go client.Exchange(ctx, &wit.Request{Method: "GET", Target: "/", Repeatable: true})
			}
			v := newTestView(t)
			v.client = client
			task := taskView{taskStatus: taskStatus{state: Running}}
			task.fillProgress = func(p *Progress) { p.CaughtUp = true }
			component := ComponentStatus{}
			require.Until(t, func() bool {
				current := task.currentProgress()
				component = v.taskStatus(&task, &current)
				return component.Condition == test.want.Condition && strings.Contains(component.Cause, test.because) &&
					component.Note == test.want.Note
			}, func() string { return fmt.Sprintf("%+v because of %q, found %+v", test.want, test.because, component) })
			use := OriginUse{Usage: client.Usage(nil)[0]}
			use.add("c", client)
			assert.Equal(t, test.want.Condition == "away", use.AwaySince != nil)
			assert.Equal(t, test.want.Kind, component.Kind)
			assert.Equal(t, test.want.Condition == "waiting" && test.answer == nil, !component.RestartsAt.IsZero())
		})
	}
}

// newTestView returns the view of a connector whose class is unknown.
func newTestView(t *testing.T) *view {
	t.Helper()
	run := emptyConnector(&Options{Worker: &config.Worker{}}, slog.New(slog.DiscardHandler))
	run.controller.status.currentRun = run
	run.config = &config.Connector{Name: "c"}
	run.class.declarations = config.DeclareComponent(wit.Component{})
	v := run.controller.observe()
	v.assignment.Standalone = true
	v.config = run.config
	return v
}

func TestTimesOfTaskConditions(t *testing.T) {
	t.Parallel()
	began := time.Now().Add(-time.Hour)
	rows := core.Flow{ActiveSince: time.Now().Add(-30 * time.Second), LastActive: time.Now()}
	reading := time.Now().Add(-LoadingTime)
	for name, test := range map[string]struct {
		now  Progress
		want Condition
		time time.Time
	}{
		"runs":       {Progress{}, "running", began},
		"rows":       {Progress{InternalProgress: InternalProgress{Flow: rows}}, "running", rows.ActiveSince},
		"caught up":  {Progress{CaughtUp: true}, "idle", began},
		"after rows": {Progress{CaughtUp: true, InternalProgress: InternalProgress{Flow: rows}}, "idle", rows.LastActive},
		"refused":    {Progress{InternalProgress: InternalProgress{LastRefused: reading}}, "refusing", reading},
		"pages": {Progress{Feeds: []FeedProgress{{Name: "a", ReadingSince: &reading}, {Name: "b"}}}, "loading",
			reading},
	} {
		task := taskView{taskStatus: taskStatus{state: Running, fillProgress: func(p *Progress) {}},
			clock: stateClock{stateSince: began}}
		component := newTestView(t).taskStatus(&task, &test.now)
		assert.Equal(t, test.want, component.Condition, name)
		assert.Equal(t, test.time, component.Since, name)
		if name == "pages" {
			assert.Equal(t, "loading running", test.now.Feeds[0].State+" "+test.now.Feeds[1].State)
		}
	}
}

func atOnce(http.ResponseWriter, *http.Request) {}

func later(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Retry-After", "100")
	w.WriteHeader(http.StatusServiceUnavailable)
}

func TestFailureKinds(t *testing.T) {
	t.Parallel()
	next := time.Now()
	setting := "sap.odata.user.pwd"
	restart := &Action{Do: "restart"}
	for _, test := range []struct {
		fault error
		next  time.Time
		want  ComponentStatus
	}{
		{errors.New("broken\nat x"), time.Time{}, ComponentStatus{Condition: "failed", Cause: "broken", Action: restart}},
		{&wit.Error{Kind: wit.ErrorUnauthorized, Message: "no", Setting: &setting}, time.Time{},
			ComponentStatus{Condition: "failed", Cause: setting + ": no", Kind: "unauthorized",
				Action: &Action{Do: "edit", Setting: setting}}},
		{&wit.Error{Kind: wit.ErrorTransient, Message: "gone"}, time.Time{},
			ComponentStatus{Condition: "failed", Cause: "gone", Kind: "transient", Action: restart}},
		{fmt.Errorf("feed: %w", &wit.Error{Kind: wit.ErrorTransient, Message: "gone"}), next,
			ComponentStatus{Condition: "away", Cause: "feed: gone", Kind: "transient", RestartsAt: next, Action: restart}},
		{fmt.Errorf("topic t: %w", kgo.ErrRecordTimeout), next, ComponentStatus{Condition: "away",
			Cause: "Kafka: topic t: " + kgo.ErrRecordTimeout.Error(), RestartsAt: next, Action: restart}},
		{fmt.Errorf("topic t: %w", kerr.NotLeaderForPartition), next, ComponentStatus{Condition: "away",
			Cause: "Kafka: topic t: " + kerr.NotLeaderForPartition.Error(), RestartsAt: next, Action: restart}},
		{&net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, next,
			ComponentStatus{Condition: "away", Cause: "Kafka: dial: i/o timeout", RestartsAt: next, Action: restart}},
		{config.Problems{{Text: "x"}, {Setting: "tasks.max", Text: "y"}}, time.Time{}, ComponentStatus{Condition: "failed",
			Cause: causeLine(config.Problems{{Text: "x"}, {Setting: "tasks.max", Text: "y"}}.Error()), Kind: "config",
			Action: &Action{Do: "edit", Setting: "tasks.max"}}},
	} {
		task := taskView{taskStatus: taskStatus{state: Failed, err: test.fault, restartsAt: test.next}}
		component := newTestView(t).taskStatus(&task, &Progress{})
		test.want.State = Failed
		test.want.Local = true
		test.want.Activity = Activity{Rows: new(float64), Refused: new(int64)}
		assert.Equal(t, test.want, component)
	}
	task := taskView{taskStatus: taskStatus{state: Failed, err: errors.New(strings.Repeat("x", 1000))}}
	component := newTestView(t).taskStatus(&task, &Progress{})
	assert.Equal(t, true, len([]rune(component.Cause)) <= 300, "bounded")
	task.restartsAt = next
	task.failingSince = next.Add(-time.Hour)
	task.clock.stateSince = next.Add(-time.Second) // of the last retry
	component = newTestView(t).taskStatus(&task, &Progress{})
	assert.Equal(t, task.failingSince, component.Since, "since the first failure")
}

// A failure in the status topic outlives the silence of its worker, unless the worker would have restarted the task.
func TestSilentWorkersKeepFailures(t *testing.T) {
	t.Parallel()
	for restarts, want := range map[string]string{"": "failed broken", "2026-11-28T10:00:00Z": "unknown no answer"} {
		component := RemoteStatus(0, Failed, "w1", "broken\n\tat x", restarts)
		assert.Equal(t, "broken", component.Cause)
		assert.Equal(t, restarts, formatRestart(component.RestartsAt))
		moved := RemoteStatus(0, Unassigned, "w1", "", restarts)
		assert.Equal(t, true, moved.RestartsAt.IsZero(), "of the worker that had it")
		component.SetUnknown("no answer")
		assert.Equal(t, want, string(component.Condition)+" "+component.Cause)
		assert.Equal(t, restarts == "", component.Action != nil)
	}
}

func TestLoadsOfStoppedTasksHaveNoEstimate(t *testing.T) {
	t.Parallel()
	load := &source.FeedLoad{Read: 1, SecondsLeft: wit.Ptr(int64(9))}
	for _, state := range []State{Running, Paused, Failed} {
		task := taskStatus{state: state, fillProgress: func(p *Progress) { p.Feeds = []FeedProgress{{Load: load}} }}
		found := task.currentProgress().Feeds[0].Load
		assert.Equal(t, state == Running, found.SecondsLeft != nil)
		assert.Equal(t, uint64(1), found.Read)
	}
}

// A cause is the first line of an error, with the reason first. It is the whole error if that is one short line.
func TestCauseBeginsWithTheReason(t *testing.T) {
	const place = `topic a, partition 0, offset 7, key "k"`
	for text, want := range map[string]string{
		place + ": write: no":            "write: no (" + place + ")",
		place + ": write: no\nmore":      "write: no (" + place + ")",
		"  the service refused it\nmore": "the service refused it",
		"the service refused it":         "the service refused it",
		strings.Repeat("x", 270):         strings.Repeat("x", 270),
		strings.Repeat("x", 271):         strings.Repeat("x", 270) + "... (1 bytes more)",
	} {
		assert.Equal(t, want, causeLine(text))
		isAll := !strings.Contains(text, "\n") && len(text) <= 270
		assert.Equal(t, isAll, IsAllOf(text, want), text)
	}
}
