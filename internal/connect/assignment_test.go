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
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/internal/transport/limits"
	"github.com/culvert-project/culvert/wit"
)

// stepped is a service whose feeds (query option feed) return a page only when the test calls page.
type stepped struct {
	*httptest.Server
	t     *testing.T
	asked [8]chan struct{} // a page was requested
	let   [8]chan struct{} // a response is allowed
}

const steppedRows = 60 // in six pages

func newStepped(t *testing.T) *stepped {
	service := &stepped{t: t}
	for n := range service.asked {
		service.asked[n] = make(chan struct{}, 1000)
		service.let[n] = make(chan struct{}, 1000)
	}
	northwind := odatatest.New(odatatest.Options{Rows: steppedRows, PageSize: 10})
	service.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var feed int
		if _, err := fmt.Sscan(r.URL.Query().Get("feed"), &feed); err == nil {
			service.asked[feed] <- struct{}{}
			select {
			case <-service.let[feed]:
			case <-r.Context().Done():
				return
			}
		}
		northwind.ServeHTTP(w, r)
	}))
	t.Cleanup(service.Close)
	return service
}

// page returns one page to a feed, and waits until the feed requests the next.
func (s *stepped) page(feed int) {
	s.t.Helper()
	s.let[feed] <- struct{}{}
	<-s.asked[feed]
}

// connector reads the same set with eight tasks. more are further lines of its file.
func (s *stepped) connector(b *bench, more ...string) *config.Connector {
	host, port, _ := strings.Cut(strings.TrimPrefix(s.URL, "http://"), ":")
	lines := []string{"name=c", "connector.class=org.init.ohja.kafka.connect.odatav2.source.OData2SourceConnector",
		"tasks.max=8", "sap.odata.host.protocol=http", "sap.odata.host.address=" + host, "sap.odata.host.port=" + port,
		"sap.odata.max.concurrent.requests=16", "sap.odata.page.size=10", "sap.odata.count=none",
		"sap.odata.paging=links"}
	for n := range s.asked {
		entry := fmt.Sprintf("sap.odata#%02d.", n)
		lines = append(lines, entry+"service="+odatatest.NorthwindPath, entry+"entityset=Orders",
			fmt.Sprintf("%sid=%d", entry, n), fmt.Sprintf("%stopic=rows%d", entry, n),
			fmt.Sprintf("%squery=feed=%d", entry, n))
	}
	return b.Connector(s.t, append(lines, more...)...)
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
	const taken = 3
	b := connectedWith(t, checktest.New(t, map[string][]byte{
		"odata-source": guesttest.Bytes(t, "../../plugins/odata-source")}))
	service := newStepped(t)
	h := New(b.options, []*config.Connector{service.connector(b)})
	runs(t, h)
	for n := range service.asked {
		<-service.asked[n]
		service.page(n)
	}
	ctl := h.controllers["c"]
	before := tasksOf(ctl)
	var others []int
	for n := range service.asked {
		if n != taken {
			others = append(others, n)
		}
	}
	assert.Equal(t, 8, len(before))
	require.NoError(t, h.Assign("c", Assignment{Tasks: others}))
	for range 2 { // while the request of the revoked task has no response yet
		for _, n := range others {
			service.page(n)
		}
	}
	require.Until(t, func() bool { return len(tasksOf(ctl)) == 7 }, func() string { return b.Log.String() })
	for _, n := range others {
		service.page(n)
	}
	if after := tasksOf(ctl); !slices.Equal(after, slices.Concat(before[:taken], before[taken+1:])) {
		t.Errorf("expected the previous tasks, found %v and %v", before, after)
	}
	require.NoError(t, h.Assign("c", Assignment{Standalone: true}))
	<-service.asked[taken]
	require.Until(t, func() bool { return len(tasksOf(ctl)) == 8 }, func() string { return b.Log.String() })
	for n := range service.let {
		close(service.let[n])
	}
	for n := range service.asked {
		var found []string
		require.Until(t, func() bool {
			found = rows(t, b.options.Kafka, fmt.Sprintf("rows%d", n))
			return len(found) >= steppedRows
		}, func() string { return fmt.Sprintf("feed %d: found %d rows\n%s", n, len(found), b.Log.String()) })
		if distinct := slices.Compact(slices.Sorted(slices.Values(found))); len(found) != steppedRows ||
			len(distinct) != steppedRows {
			t.Errorf("feed %d: expected %d rows, found %d, of which %d differ", n, steppedRows, len(found),
				len(distinct))
		}
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

func tasksOf(ctl *controller) []*task {
	run := ctl.currentRun()
	ctl.mu.Lock()
	defer ctl.mu.Unlock()
	return slices.Clone(run.taskSet.tasks)
}

// Revoked tasks are owned until their sessions are logged off, because the next owner opens its own (P16).
func TestTasksAreOwnedUntilLogoff(t *testing.T) {
	b := connectedWith(t, checktest.New(t, map[string][]byte{
		"odata-source": guesttest.Bytes(t, "../../plugins/odata-source")}))
	service := newStepped(t)
	inner := service.Config.Handler
	logoffs := make(chan struct{}, 10)
	continueLogoff := make(chan struct{})
	service.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/logoff") {
			logoffs <- struct{}{}
			<-continueLogoff
			return
		}
		http.SetCookie(w, &http.Cookie{Name: "SAP_SESSIONID_NWD_100", Value: "a", Path: "/"})
		inner.ServeHTTP(w, r)
	})
	h := New(b.options, []*config.Connector{service.connector(b)})
	runs(t, h)
	for n := range service.asked {
		<-service.asked[n]
		service.page(n)
	}
	require.NoError(t, h.Assign("c", Assignment{}))
	<-logoffs
	var owned []int
	for _, holding := range h.Owned() {
		owned = append(owned, holding.Tasks...)
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
	planned := storedTaskConfigs(t, h.Herder, "a", 7)
	require.NoError(t, h.Assign("a", Assignment{}))
	h.await("a", Unassigned)
	for _, action := range []func(string) error{func(name string) error { return h.Restart(name) }, h.Pause, h.Resume} {
		require.NoError(t, action("a"))
		require.NoError(t, h.WaitIdle(t.Context()))
		if result, _ := h.Status("a"); result.Connector.State != Unassigned || h.controllers["a"].activity != nil {
			t.Errorf("expected UNASSIGNED, and nothing that runs, found %+v", result)
		}
	}
	// Offsets of a stopped connector can be changed anyway.
	if err := h.ResetOffsets(t.Context(), "a"); !errors.Is(err, ErrNotStopped) {
		t.Errorf("expected an error because the connector is not stopped, found %v", err)
	}
	require.NoError(t, h.Stop("a"))
	require.NoError(t, h.ResetOffsets(t.Context(), "a"))
	require.NoError(t, h.Pause("a"))
	require.NoError(t, h.Assign("a", Assignment{Tasks: []int{0}, TaskConfigs: planned}))
	h.await("a", Paused)
	require.NoError(t, h.Resume("a"))
	h.await("a", Running, hasRunningTask)
}

// An assignment is owned at once, even if it is revoked before the loop applies it.
func TestPendingAssignmentsAreOwned(t *testing.T) {
	b := connected(t)
	b.options.Group = &group{}
	h := New(b.options, []*config.Connector{(&herd{bench: b, t: t, service: "nowhere"}).named("a")})
	planned := &config.TaskConfigs{Version: 5, Settings: []map[string]string{{}}}
	require.NoError(t, h.Assign("a", Assignment{TaskConfigs: planned, Tasks: []int{0}}))
	require.NoError(t, h.Assign("a", Assignment{TaskConfigs: planned}))
	assert.Equal(t, []Ownership{{Connector: "a", Version: 5, Tasks: []int{0}}}, h.Owned())
	runs(t, h)
	require.Until(t, func() bool { return len(h.Owned()) == 0 }, func() string { return fmt.Sprint(h.Owned()) })
}

// In a group the worker stores its plan and runs what it is assigned of it; another plan starts another run.
func TestPlanIsStoredInTheGroup(t *testing.T) {
	var h *herd
	plans := make(chan config.TaskPlan, 10)
	h = newHerdWith(t, func(h *herd) {
		h.bench.options.Group = &group{planned: func(_ string, plan config.TaskPlan) error {
			plans <- plan
			return nil
		}}
	})
	connector := h.named("a", "spy.tasks=3", "tasks.max=3", "spy.claim=a queue")
	h.Put(connector, nil)
	h.await("a", Unassigned)
	require.NoError(t, h.Assign("a", Assignment{OwnsConnector: true}))
	plan := <-plans
	assert.Equal(t, 3, len(plan.Tasks))
	assert.Equal(t, connector.Raw(), plan.Config)
	assert.Contains(t, strings.Join(plan.Claims, " "), `"a queue" at `)
	h.await("a", Running, func(result Status) bool { return len(result.Tasks) == 0 })
	running := func(numbers ...int) func(Status) bool {
		return func(result Status) bool {
			var found []int
			for _, task := range result.Tasks {
				if task.State == Running {
					found = append(found, task.ID)
				}
			}
			return slices.Equal(numbers, found)
		}
	}
	first := &config.TaskConfigs{Version: 5, Settings: plan.Tasks}
	ctl := h.controllers["a"]
	run := ctl.currentRun()
	require.NoError(t, h.Assign("a", Assignment{OwnsConnector: true, TaskConfigs: first, Tasks: []int{0, 2}}))
	h.await("a", Running, running(0, 2))
	require.NoError(t, h.Assign("a", Assignment{TaskConfigs: first, Tasks: []int{1, 2}}))
	h.await("a", Running, running(1, 2))
	require.NoError(t, h.Assign("a", Assignment{OwnsConnector: true, TaskConfigs: first}))
	h.await("a", Running, running())
	if ctl.currentRun() != run {
		t.Error("expected one run of the connector, found another")
	}
	require.NoError(t, h.Assign("a", Assignment{TaskConfigs: &config.TaskConfigs{Version: 9, Settings: plan.Tasks[:1]},
		Tasks: []int{0}}))
	h.await("a", Running, running(0))
	if ctl.currentRun() == run {
		t.Error("expected another run by another plan, found the same")
	}
	require.NoError(t, h.Assign("a", Assignment{OwnsConnector: true})) // the plan no longer counts
	assert.Equal(t, 3, len((<-plans).Tasks))
	h.await("a", Running, running())

	// A worker that has not run the connector applies a newer plan than the one it knows.
	h.Put(h.named("b"), nil)
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
		h.bench.options.Group = &group{changed: func(name string) {
			result, _ := h.Status(name)
			states.Store(result.Connector.State, true)
			h.Owned()
		}}
	})
	h.Put(h.named("a"), nil)
	set := &config.TaskConfigs{Version: 5, Settings: []map[string]string{{"spy.tasks": "1"}}}
	require.NoError(t, h.Assign("a", Assignment{TaskConfigs: set, Tasks: []int{0}}))
	h.await("a", Running, hasRunningTask)
	require.NoError(t, h.Restart("a", 0))
	require.NoError(t, h.Pause("a"))
	h.await("a", Paused)
	for _, state := range []State{Unassigned, Running, Paused} {
		if _, calls := states.Load(state); !calls {
			t.Errorf("expected a report of state %s", state)
		}
	}
}

// A failed task restarts alone from the moment that its failure is reported, before it waits for the request.
func TestReportedTaskRestartsAlone(t *testing.T) {
	const failing = 3
	b := connectedWith(t, checktest.New(t, map[string][]byte{
		"odata-source": guesttest.Bytes(t, "../../plugins/odata-source")}))
	service := newStepped(t)
	var rejects atomic.Bool
	inner := service.Config.Handler
	service.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rejects.Load() && r.URL.Query().Get("feed") == fmt.Sprint(failing) {
			w.Header().Set("DataServiceVersion", "2.0")
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		inner.ServeHTTP(w, r)
	})
	plans := make(chan config.TaskPlan, 10)
	handled := make(chan error, 1)
	var h *Herder
	var reported atomic.Bool
	b.options.Group = &group{
		planned: func(_ string, plan config.TaskPlan) error {
			plans <- plan
			return nil
		},
		changed: func(name string) {
			result, _ := h.Status(name)
			failed := len(result.Tasks) == 8 && result.Tasks[failing].State == Failed
			if failed && reported.CompareAndSwap(false, true) { // the task has not continued yet
				rejects.Store(false)
				handled <- errors.Join(h.Restart(name, failing), h.WaitIdle(t.Context()))
			}
		},
	}
	h = New(b.options, []*config.Connector{service.connector(b)})
	runs(t, h)
	require.NoError(t, h.Assign("c", Assignment{OwnsConnector: true}))
	planned := &config.TaskConfigs{Version: 5, Settings: (<-plans).Tasks}
	require.NoError(t, h.Assign("c", Assignment{OwnsConnector: true, TaskConfigs: planned,
		Tasks: []int{0, 1, 2, 3, 4, 5, 6, 7}}))
	for n := range service.asked {
		<-service.asked[n]
	}
	require.NoError(t, h.WaitIdle(t.Context()))
	running := tasksOf(h.controllers["c"])
	tasksCtx := running[0].run.taskSet.ctx
	rejects.Store(true)
	service.let[failing] <- struct{}{} // the first page; the request for the second is rejected
	require.NoError(t, <-handled)
	if tasksCtx.Err() != nil {
		t.Fatal("expected the other tasks to continue after the restart of one, found the connector restarting")
	}
	<-service.asked[failing]
	service.page(failing)
	for n := range service.asked {
		service.let[n] <- struct{}{}
		<-service.asked[n]
	}
	if !slices.Equal(tasksOf(h.controllers["c"]), running) {
		t.Errorf("expected the same tasks after the restart of one, found others:\n%s", b.Log.String())
	}
}

// The trace of a transform's failure names the plugin of the transform, not that of the source.
func TestTraceNamesThePluginOfTheTransform(t *testing.T) {
	trapping := guesttest.Static(wit.Description{Name: "odd", Version: "2.0.0", Components: []wit.Component{
		{Name: "Odd", Kind: wit.ComponentTransformation}}}, "", wit.InterfaceTransform)
	b := connectedWith(t, checktest.New(t, map[string][]byte{
		"odata-source": guesttest.Bytes(t, "../../plugins/odata-source"), "odd": trapping}))
	h := New(b.options, []*config.Connector{newStepped(t).connector(b, "transforms=o", "transforms.o.type=Odd",
		"task.auto.restart=false")})
	runs(t, h)
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
	h.Put(h.named("a", "spy.tasks=2", "tasks.max=2"), nil)
	<-requests
	<-requests
	ctl := h.controllers["a"]
	before := tasksOf(ctl)
	require.NoError(t, h.Assign("a", Assignment{Tasks: []int{0}}))
	require.NoError(t, h.Assign("a", Assignment{Tasks: []int{0, 1}}))
	<-requests
	after := tasksOf(ctl)
	if len(after) != 2 || after[0] != before[0] || after[1] == before[1] {
		t.Errorf("expected the first task to be unchanged and the second to be new, found %v and %v", before, after)
	}
}

// Connectors use the worker's quota of their service's limits.
func TestConnectorsUseTheWorkersQuota(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	b := connected(t)
	host, port, _ := strings.Cut(strings.TrimPrefix(server.URL, "http://"), ":")
	connector := b.Connector(t, "name=c", "connector.class=test.SpySource", "spy.scheme=http", "spy.address="+host,
		"spy.port="+port, "spy.user=reader", "spy.password=p")
	var requests []string
	b.options.Destinations = transport.NewOriginRegistry()
	b.options.Destinations.Divide(func(origin string) limits.Division {
		requests = append(requests, origin)
		return limits.Division{Workers: 4}
	})
	New(b.options, []*config.Connector{connector}).RunOnce(t.Context())
	assert.Contains(t, b.Log.String(), "{a 200 /hello")
	assert.Equal(t, []string{server.URL}, requests)
}
