package connect

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/check/checktest"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/resolved"
)

// herd is a running herder of connectors of the spy plugin.
type herd struct {
	*bench
	*Herder
	t       *testing.T
	service string // address of the service of new connectors
}

func newHerd(t *testing.T, names ...string) *herd {
	t.Helper()
	return newHerdWith(t, func(*herd) {}, names...)
}

// newHerdWith calls set before it creates the herder.
func newHerdWith(t *testing.T, set func(*herd), names ...string) *herd {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "hello")
	}))
	t.Cleanup(server.Close)
	b := newKafkaBench(t)
	h := &herd{bench: b, t: t, service: strings.TrimPrefix(server.URL, "http://")}
	set(h)
	var connectors []*resolved.Connector
	for _, name := range names {
		connectors = append(connectors, h.spyConnector(name))
	}
	h.Herder = New(b.options, connectors)
	runHerder(t, h.Herder)
	return h
}

// runHerder runs a herder until the end of the test.
func runHerder(t *testing.T, h *Herder) {
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		h.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-ended
	})
}

func hasRunningTask(result Status) bool {
	return len(result.Tasks) == 1 && result.Tasks[0].State == Running
}

// startExclusive starts an exclusive action on a stopped connector, which ends when endAction is closed. done receives
// its error.
func startExclusive(t *testing.T, ctl *controller) (endAction chan struct{}, done chan error) {
	begun := make(chan struct{})
	endAction = make(chan struct{})
	done = make(chan error, 1)
	go func() { // without waiting for the stop, as a client does
		done <- ctl.runWhenStopped(t.Context(), 10*time.Minute, waitForAction, func(context.Context) error {
			close(begun)
			<-endAction
			return nil
		})
	}()
	<-begun
	return endAction, done
}

// spyConnector returns a connector of the spy with these further lines.
func (h *herd) spyConnector(name string, lines ...string) *resolved.Connector {
	h.t.Helper()
	host, port, _ := strings.Cut(h.service, ":")
	return h.Connector(h.t, append([]string{"name=" + name, "connector.class=test.SpySource", "spy.scheme=http",
		"spy.address=" + host, "spy.port=" + port}, lines...)...)
}

// await waits until a connector has the state and fulfils all conditions, which are evaluated in any state.
func (h *herd) await(name string, want State, conditions ...func(Status) bool) Status {
	h.t.Helper()
	var result Status
	require.Until(h.t, func() bool {
		result, _ = h.Status(name)
		isUnfulfilled := func(condition func(Status) bool) bool { return !condition(result) }
		return !slices.ContainsFunc(conditions, isUnfulfilled) && result.Connector.State == want
	}, func() string {
		return fmt.Sprintf("%s: expected %v, found %+v\n%s", name, want, result, h.Log.String())
	})
	return result
}

// silentService returns the address of a service that never responds, and a channel that receives for each request.
func silentService(t *testing.T) (address string, requests chan struct{}) {
	requests = make(chan struct{}, 100)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		requests <- struct{}{}
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://"), requests
}

// A blocking service does not block the loop of its connector or other connectors at start, stop and restart (Kafka
// Connect's BlockingConnectorTest).
func TestBlockedConnectors(t *testing.T) {
	silent, requests := silentService(t)
	h := newHerd(t)
	responsive := h.service
	putBlocked := func(name string, lines ...string) {
		h.service = silent
		h.Put(h.spyConnector(name, lines...), nil)
		h.service = responsive
		<-requests
	}
	checkLoops := func(kafkaTest string) {
		t.Helper()
		assert.NoError(t, h.WaitIdle(t.Context()), kafkaTest)
		h.Put(h.spyConnector("other"), nil)
		h.await("other", Running)
		h.must(h.Remove("other"))
	}
	putBlocked("start")
	checkLoops("testBlockInConnectorStart")
	h.must(h.Restart("start"))
	<-requests
	checkLoops("testWorkerRestartWithBlockInConnectorStart")
	putBlocked("start", "tasks.max=2")
	checkLoops("testBlockInConnectorConfig")
	h.must(h.SetTarget("start", Paused))
	h.await("start", Paused)
	h.must(h.SetTarget("start", Running))
	<-requests
	h.must(h.SetTarget("start", Stopped))
	h.await("start", Stopped)
	checkLoops("testBlockInConnectorStop")
	h.must(h.SetTarget("start", Running))
	<-requests
	h.must(h.Remove("start"))
	checkLoops("testBlockInSourceTaskStop")
	assert.Len(t, 0, h.Names(), "connectors after their removal")
}

// tasks.max is enforced unless disabled (Kafka Connect's testTasksMaxEnforcement), and removed tasks are not shown
// (testTaskStatuses).
func TestTasksMaxIsEnforced(t *testing.T) {
	h := newHerd(t)
	hasTasks := func(n int) func(Status) bool {
		return func(result Status) bool {
			infos, _ := h.Tasks("many")
			return len(result.Tasks) == n && len(infos) == n
		}
	}
	h.Put(h.spyConnector("many", "spy.tasks=3", "tasks.max=2"), nil)
	trace := h.await("many", Failed).Connector.Trace
	assert.Contains(t, trace, "expected at most 2 tasks (tasks.max), the plugin wants 3")
	h.Put(h.spyConnector("many", "spy.tasks=3", "tasks.max=2", "tasks.max.enforce=false"), nil)
	h.await("many", Running, hasTasks(3))
	assert.Contains(t, h.Log.String(), "the plugin planned more tasks than tasks.max")
	h.Put(h.spyConnector("many", "spy.tasks=1", "tasks.max=3"), nil)
	result := h.await("many", Running, hasTasks(1))
	assert.Equal(t, 0, result.Tasks[0].ID)
	h.Put(h.spyConnector("many", "spy.tasks=3", "tasks.max=3"), nil)
	h.await("many", Running, hasTasks(3))
}

// The error of WaitIdle names a loop that does not respond, and events do not accumulate.
func TestWaitIdleNamesBlockedLoop(t *testing.T) {
	h := newHerd(t, "b") // only one, because on a slow machine another loop may not respond within a millisecond either
	h.await("b", Running)
	h.must(h.WaitIdle(t.Context()))
	unblock := make(chan struct{})
	blocked := make(chan struct{})
	ctl, _ := h.find("b")
	ctl.enqueue(event{apply: func(context.Context) {
		close(blocked)
		<-unblock
	}})
	<-blocked
	var idleCh chan struct{}
	for attempt := range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		assert.Error(t, h.WaitIdle(ctx), "The loop of connector b does not respond")
		cancel()
		ctl.mu.Lock()
		if attempt == 0 {
			idleCh = ctl.idleCh
		}
		assert.True(t, idleCh != nil && ctl.idleCh == idleCh,
			"attempt %d: expected the first request to wait, found another", attempt)
		ctl.mu.Unlock()
	}
	close(unblock)
	h.must(h.WaitIdle(t.Context()))
	err := New(h.bench.options, nil).WaitIdle(t.Context())
	assert.True(t, err != nil, "expected an error from a herder that does not run")
}

func (h *herd) must(err error) {
	h.t.Helper()
	require.NoError(h.t, err)
}

// countStarts returns how often a run of the connector has started, according to the log.
func (h *herd) countStarts(name string) int {
	n := 0
	for line := range strings.Lines(h.Log.String()) {
		if strings.Contains(line, `msg="connector started" connector=`+name+" ") {
			n++
		}
	}
	return n
}

// Each request leads to its state, the last of many requests counts, and other connectors are not affected.
func TestPauseStopResumeRestart(t *testing.T) {
	h := newHerd(t, "a", "b")
	// The state alone is not enough: it is RUNNING before the run has started.
	hasStarted := func(name string, times int) func(Status) bool {
		return func(Status) bool { return h.countStarts(name) == times }
	}
	h.await("a", Running, hasStarted("a", 1))
	h.await("b", Running, hasStarted("b", 1))
	h.must(h.SetTarget("a", Paused))
	result := h.await("a", Paused)
	assert.True(t, len(result.Tasks) == 1 && (result.Tasks[0].State == Paused || result.Tasks[0].State == Failed),
		"paused: expected one task, PAUSED or FAILED, found %+v", result)
	h.must(h.Restart("a")) // it remains paused
	h.must(h.SetTarget("a", Stopped))
	result = h.await("a", Stopped)
	assert.True(t, len(result.Tasks) == 0, "stopped: expected no tasks, found %+v", result)
	tasks, err := h.Tasks("a")
	assert.True(t, err == nil && len(tasks) == 0, "stopped: expected no tasks, found %v, %v", tasks, err)
	h.must(h.SetTarget("a", Paused))
	h.await("a", Paused)
	h.must(h.SetTarget("a", Running))
	h.await("a", Running, func(result Status) bool { return len(result.Tasks) == 1 }, hasStarted("a", 2))
	h.must(h.Restart("a"))
	h.await("a", Running, hasStarted("a", 3))
	for range 20 {
		h.must(h.SetTarget("a", Paused))
		h.must(h.Restart("a"))
		h.must(h.SetTarget("a", Running))
		h.must(h.SetTarget("a", Stopped))
	}
	h.await("a", Stopped)
	h.must(h.SetTarget("a", Running))
	h.await("a", Running)
	n := h.countStarts("b")
	assert.True(t, n == 1, "expected the other connector to keep running, found it started %d times", n)
	for _, err := range []error{h.SetTarget("nobody", Paused), h.SetTarget("nobody", Stopped),
		h.SetTarget("nobody", Running), h.Restart("nobody"), h.Remove("nobody")} {
		assert.ErrorIs(t, err, ErrUnknownConnector)
	}
}

func TestConnectorRemovedAtTheEndOfRunIsForgotten(t *testing.T) {
	b := newBench(t, checktest.New(t, nil))
	h := New(b.options, []*resolved.Connector{b.Connector(t, "name=c", "connector.class=Nope")})
	ctx, stop := context.WithCancel(t.Context())
	stop()
	h.runCtx = ctx // it has ended, but Run has not noticed yet
	require.NoError(t, h.Remove("c"))
	assert.Len(t, 0, h.deleting, "connectors that are being deleted")
}

// Concurrent reads of connectors that are added, changed and removed are consistent.
func TestConnectorsAreAddedAndRemoved(t *testing.T) {
	h := newHerd(t)
	readCtx, stop := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			ticker := time.NewTicker(time.Millisecond)
			defer ticker.Stop()
			for readCtx.Err() == nil {
				<-ticker.C
				for _, name := range h.Names() {
					result, err := h.Status(name)
					assert.True(t, err != nil || result.Name == name, "expected %s, found %+v", name, result)
					h.Info(name)
					h.Tasks(name)
				}
				h.Progress()
			}
		})
	}
	var changers sync.WaitGroup
	for n := range 3 {
		changers.Go(func() {
			name := fmt.Sprintf("c%d", n)
			for i := range 10 {
				h.Put(h.spyConnector(name, fmt.Sprintf("spy.user=u%d", i)), nil)
				if i%3 == 2 {
					h.must(h.Remove(name))
				}
			}
		})
	}
	changers.Wait()
	stop()
	readers.Wait()
	names := h.Names()
	assert.True(t, slices.Equal(names, []string{"c0", "c1", "c2"}), "expected three connectors, found %q", names)
	for _, name := range h.Names() {
		h.await(name, Running)
		if info, _ := h.Info(name); info.Config["spy.user"] != "u9" {
			t.Errorf("%s: expected the last configuration, found %v", name, info.Config)
		}
		h.must(h.Remove(name))
	}
	assert.Len(t, 0, h.Names(), "connectors")
	h.Put(h.spyConnector("after"), nil) // the herder still runs
	h.await("after", Running)
}

// A connector with a rejected configuration is FAILED and runs with the next valid one. A configuration that is
// rejected later leaves it running.
func TestRejectedConfigurationKeepsTheRun(t *testing.T) {
	h := newHerd(t)
	invalid := h.spyConnector("c")
	invalid.Problems = config.Problems{{File: "c.properties", Line: 7, Setting: "x", Text: "no"}}
	h.Put(invalid, nil)
	if result := h.await("c", Failed); !strings.Contains(result.Connector.Trace, "c.properties:7: x: no") {
		t.Errorf("expected the problem in the trace, found %+v", result)
	}
	h.Put(h.spyConnector("c"), nil)
	h.await("c", Running, func(Status) bool { return h.countStarts("c") == 1 })
	h.must(h.RejectConfig("c", invalid.Problems))
	if result := h.await("c", Running); result.Connector.ConfigError != "c.properties:7: x: no" ||
		result.Connector.Trace != "" {
		t.Errorf("expected the connector to run and show the problem, found %+v", result)
	}
	h.must(h.UpdateInPlace(h.spyConnector("c", "spy.user=other")))
	result := h.await("c", Running, func(result Status) bool { return result.Connector.ConfigError == "" })
	if info, _ := h.Info("c"); info.Config["spy.user"] != "other" || h.countStarts("c") != 1 {
		t.Errorf("expected the connector to continue with another user, found %+v, %v, %d starts", result, info,
			h.countStarts("c"))
	}
}

// An exclusive action waits until the tasks have ended. It delays only a resume, and the log explains it.
func TestExclusiveActionWaitsForTheEndOfTasks(t *testing.T) {
	h := newHerd(t, "a")
	h.await("a", Running)
	ctl, _ := h.find("a")
	doNothing := func(context.Context) error { return nil }
	err := ctl.runWhenStopped(t.Context(), time.Minute, waitForAction, doNothing)
	assert.ErrorIs(t, err, ErrNotStopped, "of a connector that runs")
	h.must(h.SetTarget("a", Stopped))
	endAction, done := startExclusive(t, ctl)
	assert.NoError(t, h.WaitIdle(t.Context()))
	h.must(h.SetTarget("a", Running))
	assert.NoError(t, h.WaitIdle(t.Context()))
	result, _ := h.Status("a")
	assert.True(t, result.Connector.State != Running, "expected the connector not to resume during the action")
	err = ctl.runWhenStopped(t.Context(), time.Minute, waitForAction, doNothing)
	assert.ErrorIs(t, err, ErrNotStopped, "of a connector that was resumed")
	ctl.enqueue(event{apply: func(context.Context) { ctl.stopTimer.Reset(0) }}) // without waiting for the limit
	h.awaitLog("the connector waits for an action that requires it to be stopped")
	close(endAction)
	assert.NoError(t, <-done)
	h.await("a", Running)
	assert.NotContains(t, h.Log.String(), "did not stop in time", "nothing about tasks")
}

// awaitLog waits until the log contains text.
func (h *herd) awaitLog(text string) {
	h.t.Helper()
	require.Until(h.t, func() bool { return strings.Contains(h.Log.String(), text) },
		func() string { return fmt.Sprintf("expected %q, found:\n%s", text, h.Log.String()) })
}

// A connector that was paused before the worker started shows the tasks of its newest configuration without requests to
// its service, as in Kafka Connect. A connector that was created as paused has no tasks.
func TestTasksOfAPausedConnector(t *testing.T) {
	silent, requests := silentService(t)
	var responsive string
	h := newHerdWith(t, func(h *herd) {
		responsive = h.service
		h.service = silent
		h.bench.options.Target = func(*config.Connector) TargetState { return Paused }
	}, "a")
	hasPausedTask := func(result Status) bool { return len(result.Tasks) == 1 && result.Tasks[0].State == Paused }
	h.await("a", Paused, hasPausedTask)
	h.Put(h.spyConnector("created"), nil)
	if tasks, _ := h.Tasks("a"); len(tasks) != 1 || tasks[0].Config["spy.address"] == "" {
		t.Errorf("expected its task with its settings, found %+v", tasks)
	}
	if metrics, _ := h.ConnectorMetrics("a"); len(metrics.Tasks) != 1 || metrics.Tasks[0].ConnectState != Paused {
		t.Errorf("expected figures of its task, found %+v", metrics)
	}
	h.Put(h.spyConnector("a", "spy.user=other"), nil)
	var tasks []TaskInfo
	require.Until(t, func() bool {
		tasks, _ = h.Tasks("a")
		return len(tasks) == 1 && tasks[0].Config["spy.user"] == "other"
	}, func() string { return fmt.Sprintf("expected the task with its other user, found %+v", tasks) })
	h.must(h.SetTarget("a", Stopped))
	h.await("a", Stopped, func(result Status) bool { return len(result.Tasks) == 0 })
	assert.Equal(t, 0, len(requests), "request to the service")
	assert.Len(t, 0, h.await("created", Paused).Tasks, "task of a connector created as paused")
	h.service = responsive
	h.Put(h.spyConnector("a"), nil)
	h.must(h.SetTarget("a", Running))
	h.await("a", Running, hasRunningTask)
}

// Between two runs the tasks of the first run are shown, as in Kafka Connect, but not its closed client.
func TestTasksBetweenRuns(t *testing.T) {
	h := newHerd(t, "a")
	h.await("a", Running, hasRunningTask)
	assert.Equal(t, 1, h.RunningTasks())
	ctl, _ := h.find("a")
	first := ctl.currentRun()
	second := ctl.newDetachedRun()
	if metrics, _ := h.ConnectorMetrics("a"); metrics.HTTP == nil || len(h.Origins()) != 1 {
		t.Errorf("expected a client with its origin, found %+v, %+v", metrics.HTTP, h.Origins())
	}
	if m := h.Metrics()[0]; m.State+m.Tasks[0].State != "" || m.Tasks[0].ConnectState != Running {
		t.Errorf("expected metrics without conditions, found %+v", m)
	}
	ctl.update(func(_ *spec, s *status) {
		s.previousRun = first
		s.currentRun = second
	})
	info, _ := h.Info("a")
	metrics, _ := h.ConnectorMetrics("a")
	origins := h.Origins()
	ctl.update(func(_ *spec, s *status) {
		s.previousRun = nil
		s.currentRun = first
	})
	assert.True(t, metrics.HTTP == nil && len(origins) == 0,
		"expected no client between the runs, found %+v, %+v", metrics.HTTP, origins)
	assert.Equal(t, []TaskID{{"a", 0}}, info.Tasks)
}

// The clocks of tasks continue after a pause and begin again with a restart.
func TestTaskClocksContinueAfterAPause(t *testing.T) {
	h := newHerd(t, "a")
	h.await("a", Running, hasRunningTask)
	ctl, _ := h.find("a")
	createdAt := func() time.Time {
		ctl.mu.Lock()
		defer ctl.mu.Unlock()
		if s := ctl.status.clocks[0]; s != nil {
			return s.createdAt
		}
		return time.Time{}
	}
	beforePause := createdAt()
	h.must(h.SetTarget("a", Paused))
	h.await("a", Paused)
	assert.Equal(t, 0, h.RunningTasks())
	pausedRun := ctl.currentRun()
	for _, kind := range []eventKind{evResume, evPaused, evResume} {
		ctl.applyTransition(event{kind: kind})
		ctl.mu.Lock()
		ctl.newRun()
		ctl.mu.Unlock()
		s, _ := h.Status("a")
		assert.Len(t, 1, s.Tasks, kind, "its task")
		if tasks, _ := h.Tasks("a"); len(tasks) != 1 || tasks[0].Config["spy.address"] == "" {
			t.Errorf("%s: expected its task with its settings, found %+v", kind, tasks)
		}
	}
	ctl.applyTransition(event{kind: evPaused})
	ctl.mu.Lock()
	ctl.status.currentRun = pausedRun
	ctl.mu.Unlock()
	h.must(h.SetTarget("a", Running))
	h.await("a", Running, hasRunningTask)
	if afterPause := createdAt(); !afterPause.Equal(beforePause) {
		t.Errorf("expected the same task after a pause, since %v, found one since %v", beforePause, afterPause)
	}
	h.must(h.Restart("a"))
	h.await("a", Running, hasRunningTask, func(Status) bool { return createdAt().After(beforePause) })
	beforeRestart := createdAt()
	h.must(h.Restart("a", 0))
	h.await("a", Running, hasRunningTask, func(Status) bool { return createdAt().After(beforeRestart) })
}

// The progress sums up the tasks, also of a stopped connector.
func TestProgressSumsUpTasks(t *testing.T) {
	run := newEmptyRun(&Options{}, slog.New(slog.DiscardHandler))
	ctl := run.controller
	taskProgress := Progress{CaughtUp: true, Rows: 1, Failed: 2, Pages: 3, Bytes: 4, Lag: 5,
		InternalProgress: InternalProgress{Read: 6, Warnings: 7}}
	for number := range 2 {
		run.taskSet.tasks = append(run.taskSet.tasks, &task{run: run, number: number,
			taskStatus: taskStatus{fillProgress: func(progress *Progress) { *progress = taskProgress }}})
	}
	ctl.status.currentRun = run
	ctl.status.state = Stopped
	ctl.spec.target = Stopped
	h := &Herder{controllers: map[string]*controller{"c": ctl}}
	want := Progress{Type: "source", State: ConditionStopped, CaughtUp: true, Rows: 2, Failed: 4, Pages: 6, Bytes: 8,
		Lag: 10, InternalProgress: InternalProgress{Read: 12, Warnings: 14}}
	assert.Equal(t, []Progress{want}, h.Progress())
}
