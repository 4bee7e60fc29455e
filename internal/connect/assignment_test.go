package connect

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/check/checktest"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/internal/transport/limits"
	"github.com/culvert-project/culvert/wit"
)

// steppedService is a service whose feeds (query option feed) return a page only when the test calls servePage.
type steppedService struct {
	*httptest.Server
	t         *testing.T
	requested [steppedFeeds]chan struct{} // receives when a feed requests a page
	permits   [steppedFeeds]chan struct{} // permits one response each
}

const (
	steppedFeeds = 8
	steppedRows  = 60 // in six pages
)

func newSteppedService(t *testing.T) *steppedService {
	service := &steppedService{t: t}
	for n := range service.requested {
		service.requested[n] = make(chan struct{}, 1000)
		service.permits[n] = make(chan struct{}, 1000)
	}
	northwind := odatatest.New(odatatest.Options{Rows: steppedRows, PageSize: 10})
	service.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var feed int
		if _, err := fmt.Sscan(r.URL.Query().Get("feed"), &feed); err == nil {
			service.requested[feed] <- struct{}{}
			select {
			case <-service.permits[feed]:
			case <-r.Context().Done():
				return
			}
		}
		northwind.ServeHTTP(w, r)
	}))
	t.Cleanup(service.Close)
	return service
}

// servePage returns one page to a feed, and waits until the feed requests the next.
func (s *steppedService) servePage(feed int) {
	s.t.Helper()
	s.permits[feed] <- struct{}{}
	<-s.requested[feed]
}

// connector returns a connector that reads one set with a task for each feed. lines are further lines of its file.
func (s *steppedService) connector(b *bench, lines ...string) *resolved.Connector {
	host, port, _ := strings.Cut(strings.TrimPrefix(s.URL, "http://"), ":")
	settings := []string{
		"name=c",
		"connector.class=org.init.ohja.kafka.connect.odatav2.source.OData2SourceConnector",
		"tasks.max=8",
		"sap.odata.host.protocol=http",
		"sap.odata.host.address=" + host,
		"sap.odata.host.port=" + port,
		"sap.odata.max.concurrent.requests=16",
		"sap.odata.page.size=10",
		"sap.odata.count=none",
		"sap.odata.paging=links",
	}
	for n := range s.requested {
		entry := fmt.Sprintf("sap.odata#%02d.", n)
		settings = append(settings, entry+"service="+odatatest.NorthwindPath, entry+"entityset=Orders",
			fmt.Sprintf("%sid=%d", entry, n), fmt.Sprintf("%stopic=rows%d", entry, n),
			fmt.Sprintf("%squery=feed=%d", entry, n))
	}
	return b.Connector(s.t, append(settings, lines...)...)
}

// rows returns the keys of a topic's rows in order.
func rows(t *testing.T, kafkaConfig kafka.Config, topic string) (keys []string) {
	t.Helper()
	reader, err := kafka.NewReader(kafkaConfig)
	require.NoError(t, err)
	defer reader.Close()
	_, err = reader.Read(t.Context(), topic, kafka.ReadOptions{}, func(r *kgo.Record) error {
		keys = append(keys, string(r.Key))
		return nil
	})
	require.NoError(t, err)
	return keys
}

// A revoked task ends alone: the other tasks continue while it stops, and all rows arrive once.
func TestAssignmentStartsAndStopsTasks(t *testing.T) {
	const revoked = 3
	b := newKafkaBenchWith(t, checktest.New(t, map[string][]byte{
		"odata-source": guesttest.Bytes(t, "../../plugins/odata-source")}))
	service := newSteppedService(t)
	h := New(b.options, []*resolved.Connector{service.connector(b)})
	runHerder(t, h)
	for n := range service.requested {
		<-service.requested[n]
		service.servePage(n)
	}
	ctl := h.controllers["c"]
	initialTasks := tasksOf(ctl)
	var others []int
	for n := range service.requested {
		if n != revoked {
			others = append(others, n)
		}
	}
	assert.Equal(t, 8, len(initialTasks))
	require.NoError(t, h.Assign("c", Assignment{Tasks: others}))
	for range 2 { // the request of the revoked task has no response yet
		for _, n := range others {
			service.servePage(n)
		}
	}
	require.Until(t, func() bool { return len(tasksOf(ctl)) == 7 }, func() string { return b.Log.String() })
	for _, n := range others {
		service.servePage(n)
	}
	if tasks := tasksOf(ctl); !slices.Equal(tasks, slices.Concat(initialTasks[:revoked], initialTasks[revoked+1:])) {
		t.Errorf("expected the tasks %v without task %d, found %v", initialTasks, revoked, tasks)
	}
	require.NoError(t, h.Assign("c", Assignment{Tasks: append(others, revoked)}))
	<-service.requested[revoked]
	require.Until(t, func() bool { return len(tasksOf(ctl)) == 8 }, func() string { return b.Log.String() })
	for n := range service.permits {
		close(service.permits[n])
	}
	for n := range service.requested {
		var keys []string
		require.Until(t, func() bool {
			keys = rows(t, b.options.Kafka, fmt.Sprintf("rows%d", n))
			return len(keys) >= steppedRows
		}, func() string { return fmt.Sprintf("feed %d: found %d rows\n%s", n, len(keys), b.Log.String()) })
		distinct := slices.Compact(slices.Sorted(slices.Values(keys)))
		assert.True(t, len(keys) == steppedRows && len(distinct) == steppedRows,
			"feed %d: expected %d rows, found %d, of which %d differ", n, steppedRows, len(keys), len(distinct))
	}
}

// storedTaskConfigs returns task configs as a group stores them.
func storedTaskConfigs(t *testing.T, h *Herder, name string, version int64) *config.TaskConfigs {
	infos, err := h.Tasks(name)
	require.NoError(t, err)
	set := &config.TaskConfigs{Version: version}
	for _, task := range infos {
		set.Settings = append(set.Settings, task.Config)
	}
	return set
}

// tasksOf returns the tasks of the controller's current run.
func tasksOf(ctl *controller) []*task {
	run := ctl.currentRun()
	ctl.mu.Lock()
	defer ctl.mu.Unlock()
	return slices.Clone(run.taskSet.tasks)
}

// Revoked tasks are owned until their sessions are logged off, because the next owner opens its own (P16).
func TestTasksAreOwnedUntilLogoff(t *testing.T) {
	b := newKafkaBenchWith(t, checktest.New(t, map[string][]byte{
		"odata-source": guesttest.Bytes(t, "../../plugins/odata-source")}))
	service := newSteppedService(t)
	northwind := service.Config.Handler
	logoffs := make(chan struct{}, 10)
	continueLogoff := make(chan struct{})
	service.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/logoff") {
			logoffs <- struct{}{}
			<-continueLogoff
			return
		}
		http.SetCookie(w, &http.Cookie{Name: "SAP_SESSIONID_NWD_100", Value: "a", Path: "/"})
		northwind.ServeHTTP(w, r)
	})
	h := New(b.options, []*resolved.Connector{service.connector(b)})
	runHerder(t, h)
	for n := range service.requested {
		<-service.requested[n]
		service.servePage(n)
	}
	require.NoError(t, h.Assign("c", Assignment{}))
	<-logoffs
	var owned []int
	for _, ownership := range h.Owned() {
		owned = append(owned, ownership.Tasks...)
	}
	slices.Sort(owned)
	assert.Equal(t, []int{0, 1, 2, 3, 4, 5, 6, 7}, owned)
	close(continueLogoff)
	require.Until(t, func() bool { return len(h.Owned()) == 0 }, func() string { return fmt.Sprint(h.Owned()) })
}

// A worker without an assignment runs nothing; it starts with the first assigned task.
func TestEmptyAssignmentRunsNothing(t *testing.T) {
	h := newHerd(t, "a")
	h.await("a", Running, hasRunningTask)
	taskConfigs := storedTaskConfigs(t, h.Herder, "a", 7)
	require.NoError(t, h.Assign("a", Assignment{}))
	h.await("a", Unassigned)
	for _, action := range []func() error{func() error { return h.Restart("a") },
		func() error { return h.SetTarget("a", Paused) }, func() error { return h.SetTarget("a", Running) }} {
		require.NoError(t, action())
		require.NoError(t, h.WaitIdle(t.Context()))
		if result, _ := h.Status("a"); result.Connector.State != Unassigned || h.controllers["a"].activity != nil {
			t.Errorf("expected UNASSIGNED, and nothing that runs, found %+v", result)
		}
	}
	// Offsets can be changed if the connector is stopped, even if it is not assigned.
	assert.ErrorIs(t, h.ResetOffsets(t.Context(), "a"), ErrNotStopped, "an error because the connector is not stopped")
	require.NoError(t, h.SetTarget("a", Stopped))
	require.NoError(t, h.ResetOffsets(t.Context(), "a"))
	require.NoError(t, h.SetTarget("a", Paused))
	require.NoError(t, h.Assign("a", Assignment{Tasks: []int{0}, TaskConfigs: taskConfigs}))
	h.await("a", Paused)
	require.NoError(t, h.SetTarget("a", Running))
	h.await("a", Running, hasRunningTask)
}

// An assignment is owned at once, even if it is revoked before the loop applies it.
func TestPendingAssignmentsAreOwned(t *testing.T) {
	b := newKafkaBench(t)
	b.options.Group = &group{}
	h := New(b.options, []*resolved.Connector{(&herd{bench: b, t: t, service: "nowhere"}).spyConnector("a")})
	taskConfigs := &config.TaskConfigs{Version: 5, Settings: []map[string]string{{}}}
	require.NoError(t, h.Assign("a", Assignment{TaskConfigs: taskConfigs, Tasks: []int{0}}))
	require.NoError(t, h.Assign("a", Assignment{TaskConfigs: taskConfigs}))
	assert.Equal(t, []Ownership{{Connector: "a", Version: 5, Tasks: []int{0}}}, h.Owned())
	runHerder(t, h)
	require.Until(t, func() bool { return len(h.Owned()) == 0 }, func() string { return fmt.Sprint(h.Owned()) })
}

// In a group the worker stores its plan and runs the tasks that it is assigned; another plan starts another run.
func TestPlanIsStoredInTheGroup(t *testing.T) {
	var h *herd
	plans := make(chan config.TaskPlan, 10)
	h = newHerdWith(t, func(h *herd) {
		h.bench.options.Group = &group{putTaskConfigs: func(_ string, plan config.TaskPlan) error {
			plans <- plan
			return nil
		}}
	})
	connector := h.spyConnector("a", "spy.tasks=3", "tasks.max=3", "spy.claim=a queue")
	h.Put(connector, nil)
	h.await("a", Unassigned)
	require.NoError(t, h.Assign("a", Assignment{OwnsConnector: true}))
	plan := <-plans
	assert.Equal(t, 3, len(plan.Tasks))
	assert.Equal(t, connector.Raw(), plan.Config)
	assert.Contains(t, strings.Join(plan.Claims, " "), `"a queue" at `)
	h.await("a", Running, func(result Status) bool { return len(result.Tasks) == 0 })
	runsTasks := func(numbers ...int) func(Status) bool {
		return func(result Status) bool {
			var running []int
			for _, task := range result.Tasks {
				if task.State == Running {
					running = append(running, task.ID)
				}
			}
			return slices.Equal(numbers, running)
		}
	}
	first := &config.TaskConfigs{Version: 5, Settings: plan.Tasks}
	ctl := h.controllers["a"]
	run := ctl.currentRun()
	require.NoError(t, h.Assign("a", Assignment{OwnsConnector: true, TaskConfigs: first, Tasks: []int{0, 2}}))
	h.await("a", Running, runsTasks(0, 2))
	require.NoError(t, h.Assign("a", Assignment{TaskConfigs: first, Tasks: []int{1, 2}}))
	h.await("a", Running, runsTasks(1, 2))
	require.NoError(t, h.Assign("a", Assignment{OwnsConnector: true, TaskConfigs: first}))
	h.await("a", Running, runsTasks())
	assert.True(t, ctl.currentRun() == run, "expected the same run with other assignments of one plan, found another")
	require.NoError(t, h.Assign("a", Assignment{TaskConfigs: &config.TaskConfigs{Version: 9, Settings: plan.Tasks[:1]},
		Tasks: []int{0}}))
	h.await("a", Running, runsTasks(0))
	assert.True(t, ctl.currentRun() != run, "expected another run by another plan, found the same")
	require.NoError(t, h.Assign("a", Assignment{OwnsConnector: true})) // without task configs it plans again
	assert.Equal(t, 3, len((<-plans).Tasks))
	h.await("a", Running, runsTasks())

	// A worker that has not run the connector applies a newer plan than the one it knows.
	h.Put(h.spyConnector("b"), nil)
	settings := []map[string]string{{"spy.tasks": "1"}}
	require.NoError(t, h.Assign("b", Assignment{TaskConfigs: &config.TaskConfigs{Version: 5, Settings: settings}}))
	h.must(h.WaitIdle(t.Context()))
	require.NoError(t, h.Assign("b", Assignment{TaskConfigs: &config.TaskConfigs{Version: 9, Settings: settings},
		Tasks: []int{0}}))
	h.await("b", Running, hasRunningTask)
}

// The group can query the status in StatusChanged.
func TestStatusChangedIsCalledWithoutLock(t *testing.T) {
	var states sync.Map
	h := newHerdWith(t, func(h *herd) {
		h.bench.options.Group = &group{statusChanged: func(name string) {
			result, _ := h.Status(name)
			states.Store(result.Connector.State, true)
			h.Owned()
		}}
	})
	h.Put(h.spyConnector("a"), nil)
	set := &config.TaskConfigs{Version: 5, Settings: []map[string]string{{"spy.tasks": "1"}}}
	require.NoError(t, h.Assign("a", Assignment{TaskConfigs: set, Tasks: []int{0}}))
	h.await("a", Running, hasRunningTask)
	require.NoError(t, h.Restart("a", 0))
	require.NoError(t, h.SetTarget("a", Paused))
	h.await("a", Paused)
	for _, state := range []State{Unassigned, Running, Paused} {
		_, ok := states.Load(state)
		assert.True(t, ok, "expected a report of state %s, found none", state)
	}
}

// A failed task restarts alone from the moment that its failure is reported, before it waits for the request.
func TestReportedTaskRestartsAlone(t *testing.T) {
	const failing = 3
	b := newKafkaBenchWith(t, checktest.New(t, map[string][]byte{
		"odata-source": guesttest.Bytes(t, "../../plugins/odata-source")}))
	service := newSteppedService(t)
	var isRejecting atomic.Bool
	northwind := service.Config.Handler
	service.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isRejecting.Load() && r.URL.Query().Get("feed") == fmt.Sprint(failing) {
			w.Header().Set("DataServiceVersion", "2.0")
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		northwind.ServeHTTP(w, r)
	})
	plans := make(chan config.TaskPlan, 10)
	restarted := make(chan error, 1)
	var h *Herder
	var hasFailed atomic.Bool
	b.options.Group = &group{
		putTaskConfigs: func(_ string, plan config.TaskPlan) error {
			plans <- plan
			return nil
		},
		statusChanged: func(name string) {
			result, _ := h.Status(name)
			isReported := len(result.Tasks) == steppedFeeds && result.Tasks[failing].State == Failed
			if isReported && hasFailed.CompareAndSwap(false, true) { // the task has not continued yet
				isRejecting.Store(false)
				restarted <- errors.Join(h.Restart(name, failing), h.WaitIdle(t.Context()))
			}
		},
	}
	h = New(b.options, []*resolved.Connector{service.connector(b)})
	runHerder(t, h)
	require.NoError(t, h.Assign("c", Assignment{OwnsConnector: true}))
	taskConfigs := &config.TaskConfigs{Version: 5, Settings: (<-plans).Tasks}
	require.NoError(t, h.Assign("c", Assignment{OwnsConnector: true, TaskConfigs: taskConfigs,
		Tasks: []int{0, 1, 2, 3, 4, 5, 6, 7}}))
	for n := range service.requested {
		<-service.requested[n]
	}
	require.NoError(t, h.WaitIdle(t.Context()))
	initialTasks := tasksOf(h.controllers["c"])
	tasksCtx := initialTasks[0].run.taskSet.ctx
	isRejecting.Store(true)
	service.permits[failing] <- struct{}{} // the first page; the request for the second is rejected
	require.NoError(t, <-restarted)
	require.True(t, tasksCtx.Err() == nil,
		"expected the other tasks to continue after the restart of one, found the connector restarting")
	<-service.requested[failing]
	service.servePage(failing)
	for n := range service.requested {
		service.permits[n] <- struct{}{}
		<-service.requested[n]
	}
	assert.True(t, slices.Equal(tasksOf(h.controllers["c"]), initialTasks),
		"expected the same tasks after the restart of one, found others:\n%s", b.Log.String())
}

// The trace of a transform's failure names the plugin of the transform, not that of the source.
func TestTraceNamesThePluginOfTheTransform(t *testing.T) {
	trapping := guesttest.Static(wit.Description{
		Name:       "odd",
		Version:    "2.0.0",
		Components: []wit.Component{{Name: "Odd", Kind: wit.ComponentTransformation}},
	}, "", wit.InterfaceTransform)
	b := newKafkaBenchWith(t, checktest.New(t, map[string][]byte{
		"odata-source": guesttest.Bytes(t, "../../plugins/odata-source"),
		"odd":          trapping,
	}))
	h := New(b.options, []*resolved.Connector{newSteppedService(t).connector(b, "transforms=o", "transforms.o.type=Odd",
		"task.auto.restart=false")})
	runHerder(t, h)
	(&herd{bench: b, Herder: h, t: t}).await("c", Running, func(result Status) bool {
		return len(result.Tasks) == 8 && result.Tasks[0].State == Failed &&
			strings.Contains(result.Tasks[0].Trace, "\tat task c-0 (odd 2.0.0)\n")
	})
}

// A revoked task that is assigned again while it stops restarts when it has ended.
func TestRevokedTaskCanBeAssignedAgain(t *testing.T) {
	silent, requests := silentService(t)
	h := newHerd(t)
	h.service = silent
	h.Put(h.spyConnector("a", "spy.tasks=2", "tasks.max=2"), nil)
	<-requests
	<-requests
	ctl := h.controllers["a"]
	tasks := tasksOf(ctl)
	require.NoError(t, h.Assign("a", Assignment{Tasks: []int{0}}))
	require.NoError(t, h.Assign("a", Assignment{Tasks: []int{0, 1}}))
	<-requests
	newTasks := tasksOf(ctl)
	assert.True(t, len(newTasks) == 2 && newTasks[0] == tasks[0] && newTasks[1] != tasks[1],
		"expected the first task to be unchanged and the second to be new, found %v and %v", tasks, newTasks)
}

// Connectors use the worker's quota of their service's limits.
func TestConnectorsUseTheWorkersQuota(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	b := newKafkaBench(t)
	host, port, _ := strings.Cut(strings.TrimPrefix(server.URL, "http://"), ":")
	connector := b.Connector(t, "name=c", "connector.class=test.SpySource", "spy.scheme=http", "spy.address="+host,
		"spy.port="+port, "spy.user=reader", "spy.password=p")
	var origins []string
	b.options.Destinations = transport.NewOriginRegistry()
	b.options.Destinations.Divide(func(origin string) limits.Division {
		origins = append(origins, origin)
		return limits.Division{Workers: 4}
	})
	New(b.options, []*resolved.Connector{connector}).RunOnce(t.Context())
	assert.Contains(t, b.Log.String(), "{a 200 /hello")
	assert.Equal(t, []string{server.URL}, origins)
}
