package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/logtest"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/cluster/clustertest"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/configtopic"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/run/offset"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/internal/transport/limits"
	"github.com/culvert-project/culvert/internal/transport/lockouts"
	"github.com/culvert-project/culvert/wit"
)

// Timings of a simulated group.
const (
	simSession   = 6 * time.Second  // session timeout
	simHeartbeat = 2 * time.Second  // heartbeat interval
	simDelay     = 5 * time.Second  // scheduled.rebalance.max.delay.ms
	simRebalance = 20 * time.Second // rebalance timeout
)

// simLevel is the level of the log. A failing seed prints its last lines.
const simLevel = slog.LevelInfo

// simOrigin is the origin of connectors that share one. At the counter service each worker has its own origin.
const simOrigin = "https://service"

// memberSuffix is the suffix of the client name of the connection that a worker uses as a member of its group.
const memberSuffix = " as a member"

// simWorkers is the maximum number of members of a simulated group.
const simWorkers = 10

// simulatedGroup is a group in virtual time: a broker, and workers with a herder each.
type simulatedGroup struct {
	t        testing.TB
	network  *clustertest.Network
	service  *counterService
	registry *record.Registry
	// plugins is shared by all workers, because loading the code at each start takes a third of the time.
	plugins    *plugin.Manager
	journal    logtest.Journal
	startedAt  time.Time
	startCount int // worker starts so far

	// Settings of workers that start from now on.
	group         string
	topic         string        // config.storage.topic
	flushInterval time.Duration // offset.flush.interval.ms
	requestLimit  int           // concurrent requests to simOrigin; zero means that no connector uses it

	mu         sync.Mutex
	workers    map[string]*simWorker // running workers by client name
	unfinished sync.WaitGroup        // goroutines of workers
}

// newSimulatedGroup returns a group without workers. They load the plugin from a folder, see counterFolder.
func newSimulatedGroup(t testing.TB, service *counterService, folder string) *simulatedGroup {
	s := &simulatedGroup{
		t:             t,
		service:       service,
		registry:      record.NewRegistry(),
		startedAt:     time.Now(),
		group:         testGroup,
		topic:         testTopic,
		flushInterval: time.Minute,
		workers:       map[string]*simWorker{},
	}
	var err error
	s.plugins, err = plugin.New(t.Context(), plugin.Options{
		Folders:  []string{folder},
		CacheDir: filepath.Join(folder, "cache"),
		Registry: s.registry,
		Logger:   slog.New(slog.DiscardHandler),
		Idle:     time.Hour,
		CodeIdle: time.Hour,
	})
	require.NoError(t, err)
	s.network = clustertest.New(t, "rows")
	return s
}

// usesSharedOrigin reports whether a connector uses simOrigin: every third one does, by the last digit of its name.
func (s *simulatedGroup) usesSharedOrigin(connector string) bool {
	lastDigit := connector[len(connector)-1]
	return s.requestLimit > 0 && lastDigit%3 == 1
}

// simWorker is one run of a worker. Its fields do not change while it runs, except those below the lock.
type simWorker struct {
	group      *simulatedGroup
	slot       int    // index of its counter service listener
	name       string // unique among the running workers
	url        string
	clientName string // identifies its network connections, unique for each run
	worker     *Worker
	herder     *connect.Herder
	log        *Log
	store      *configtopic.Store
	status     *StatusTopic
	fencer     *Fencer
	logger     *slog.Logger
	ctx        context.Context
	stop       context.CancelFunc
	done       chan struct{} // closed after the worker ended

	// appliedOffsets contains the config topic offsets of the connectors in the herder. Only applySnapshot uses it.
	appliedOffsets map[string]int64

	mu      sync.Mutex
	link    linkState
	targets map[string]string       // target states by connector, from the last snapshot
	quotas  map[Key]limits.Division // its division of the limits of origins
}

// linkState is the state of a worker's simulated faults.
type linkState struct {
	isCutOff bool // the worker is paused, or its connections to the broker are cut or held
	removed  bool // the worker is not in the group's list anymore
	// resumed and readsResumed are closed when the worker, or its reading of the config topic, continues. nil means
	// that it is not paused.
	resumed      chan struct{}
	readsResumed chan struct{}
}

var errNoResponse = errors.New("no answer")

// start starts a worker, which joins by itself.
func (s *simulatedGroup) start(slot int) *simWorker {
	w := &simWorker{
		group:          s,
		slot:           slot,
		name:           fmt.Sprintf("w%d", slot),
		appliedOffsets: map[string]int64{},
		targets:        map[string]string{},
		done:           make(chan struct{}),
	}
	s.startCount++
	w.clientName = fmt.Sprint(w.name, " start ", s.startCount)
	w.url = "http://" + w.name + ":8083"
	w.logger = s.journal.Logger(simLevel).With("worker", w.name)
	w.ctx, w.stop = context.WithCancel(s.t.Context())
	offsets := w.open()
	s.mu.Lock()
	s.workers[w.clientName] = w
	s.mu.Unlock()
	s.unfinished.Go(func() {
		defer close(w.done)
		w.run(w.ctx)
		closeCtx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		offsets.Close()
		_ = w.status.Close(closeCtx)
		w.log.Close()
	})
	return w
}

// open opens the topics and creates the parts of the worker. It returns its offsets, which the caller closes.
func (w *simWorker) open() *offset.Store {
	s := w.group
	must := func(err error) {
		s.t.Helper()
		require.NoError(s.t, err)
	}
	settings := w.settings()
	client := s.network.Config(w.clientName)
	client.Consumer.FetchMaxWait = 10 * time.Second
	client.Logger = w.logger

	var err error
	configTopic := kafka.InternalTopic{Name: s.topic, Setting: "config.storage.topic", Replication: 1}
	w.log, err = OpenLog(w.ctx, LogOptions{Kafka: client, Topic: configTopic, Group: s.group, Logger: w.logger})
	must(err)
	statusTopic := kafka.InternalTopic{Name: "statuses", Partitions: 1, Replication: 1}
	w.status, err = OpenStatusTopic(w.ctx, client, statusTopic, w.logger)
	must(err)
	w.store = configtopic.NewStore(s.topic, settings, w.configChanged, w.logger)
	w.store.SetWriter(w.log)
	w.fencer = NewFencer(w.store, s.group, func(ctx context.Context) error { return w.worker.CheckLeader(ctx) })
	offsetConfig, problems := offset.ParseConfig(settings.All())
	must(problems.Err())
	offsets, err := offset.Open(w.ctx, client, offsetConfig, nil, w.logger)
	must(err)

	w.herder = connect.New(connect.Options{
		Worker:       settings,
		Plugins:      s.plugins,
		Registry:     s.registry,
		Kafka:        client,
		Offsets:      offsets,
		Lockouts:     lockouts.New(),
		Destinations: transport.NewOriginRegistry(),
		WorkerID:     w.name + ":8083",
		Version:      "v",
		Target:       func(c *config.Connector) connect.TargetState { return w.target(c.Name) },
		Group:        herderGroup{w},
		Logger:       w.logger,
	}, nil)
	w.worker = NewWorker(w.workerOptions())
	return offsets
}

// settings returns the worker's settings.
func (w *simWorker) settings() *config.Worker {
	var entries []config.Entry
	for key, value := range map[string]string{
		"group.id":                          w.group.group,
		"bootstrap.servers":                 "a:1",
		"config.storage.topic":              w.group.topic,
		"status.storage.topic":              "statuses",
		"offset.storage.topic":              "offsets",
		"offset.storage.partitions":         "1",
		"offset.storage.replication.factor": "1",
		"offset.flush.interval.ms":          fmt.Sprint(w.group.flushInterval.Milliseconds()),
		"task.shutdown.graceful.timeout.ms": "3000",
		"key.converter":                     "org.apache.kafka.connect.storage.StringConverter",
		"value.converter":                   "org.apache.kafka.connect.storage.StringConverter",
		"topic.creation.enable":             "false",
	} {
		entries = append(entries, config.NewEntry(key, value, "", 0))
	}
	settings, problems := config.NewWorker("", entries, nil, nil)
	require.NoError(w.group.t, problems.Err())
	return settings
}

func (w *simWorker) workerOptions() WorkerOptions {
	member := w.group.network.Config(w.clientName + memberSuffix)
	member.Logger = w.logger
	return WorkerOptions{
		Group: GroupOptions{
			Kafka:             member,
			Group:             w.group.group,
			Topic:             w.group.topic,
			SessionTimeout:    simSession,
			RebalanceTimeout:  simRebalance,
			HeartbeatInterval: simHeartbeat,
		},
		URL:            w.url,
		WorkerID:       w.name + ":8083",
		RebalanceDelay: simDelay,
		SyncTimeout:    3 * time.Second,
		Topics:         Topics{w.log, w.store, w.status},
		Herder:         pausableHerder{w.herder, w},
		Plugins:        w.group.plugins,
		FolderDigest:   func() string { return "" },
		Classes:        func() []string { return []string{"test.CounterSource"} },
		ResolveClass:   func(class string) (string, string) { return class, "counter" },
		SetQuotas: func(quotas map[Key]limits.Division) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.quotas = quotas
		},
		Call: w.call,
		IsRetriable: func(err error) bool {
			return errors.Is(err, errNoResponse) || errors.Is(err, context.DeadlineExceeded)
		},
		EnsureSessionKey: func(context.Context) error { return nil },
		Logger:           w.logger,
	}
}

// run runs the worker until ctx ends.
func (w *simWorker) run(ctx context.Context) {
	var loops sync.WaitGroup
	defer loops.Wait()
	caughtUp := make(chan struct{})
	loops.Go(func() {
		err := w.log.Read(ctx, w.apply, func() { w.store.CaughtUp(); close(caughtUp) })
		assert.True(w.group.t, err == nil, "%s: reading ended with %v", w.name, err)
	})
	loops.Go(func() { w.herder.Run(ctx) })
	select {
	case <-caughtUp:
	case <-ctx.Done():
		return
	}
	if w.status.Await(ctx) != nil {
		return
	}
	loops.Go(func() { w.store.Watch(ctx, w.applySnapshot) })
	for w.worker.Join(ctx) != nil {
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return
		}
	}
	defer w.worker.group.Load().Close()
	w.worker.Run(ctx)
}

// apply applies a record of the config topic, once reading is not paused.
func (w *simWorker) apply(r configtopic.Record) {
	w.mu.Lock()
	readsResumed := w.link.readsResumed
	w.mu.Unlock()
	if readsResumed != nil {
		select {
		case <-readsResumed:
		case <-w.ctx.Done():
			return
		}
	}
	w.store.Apply(r)
}

// hasSharedOriginTasks reports whether the worker has tasks that use simOrigin.
func (w *simWorker) hasSharedOriginTasks() bool {
	return slices.ContainsFunc(w.herder.Owned(), func(h connect.Ownership) bool {
		return len(h.Tasks) > 0 && w.group.usesSharedOrigin(h.Connector)
	})
}

// ownsAssignment reports whether the worker is a member within its session.
func (w *simWorker) ownsAssignment() bool {
	g := w.worker.group.Load()
	return g != nil && g.OwnsAssignment()
}

// pausableHerder is the herder of a worker. It receives no assignment while the worker is paused.
type pausableHerder struct {
	*connect.Herder
	w *simWorker
}

func (p pausableHerder) Assign(connector string, assignment connect.Assignment) error {
	p.w.awaitResumed()
	return p.Herder.Assign(connector, assignment)
}

// awaitResumed waits until the worker is not paused, or ends.
func (w *simWorker) awaitResumed() {
	w.mu.Lock()
	resumed := w.link.resumed
	w.mu.Unlock()
	if resumed != nil {
		select {
		case <-resumed:
		case <-w.ctx.Done():
		}
	}
}

// configChanged calls the worker, which is created after the store.
func (w *simWorker) configChanged(change configtopic.Change) { w.worker.ConfigChanged(change) }

// target returns a connector's target state. One without a target record is to run.
func (w *simWorker) target(connector string) connect.TargetState {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch w.targets[connector] {
	case config.TargetPaused:
		return connect.Paused
	case config.TargetStopped:
		return connect.Stopped
	default:
		return connect.Running
	}
}

// applySnapshot applies a snapshot to the herder, like the host's reloader.
func (w *simWorker) applySnapshot(s config.Snapshot) {
	w.awaitResumed()
	if w.store.IsStale(s) {
		return
	}
	for _, name := range w.herder.Names() {
		if _, ok := s.ConfigOffsets[name]; !ok {
			_ = w.herder.Remove(name)
			delete(w.appliedOffsets, name)
		}
	}
	for _, c := range s.Connectors {
		if applied, ok := w.appliedOffsets[c.Name]; !ok || applied != s.ConfigOffsets[c.Name] {
			w.herder.Put(w.withPort(c), nil)
			w.appliedOffsets[c.Name] = s.ConfigOffsets[c.Name]
		}
	}
	w.mu.Lock()
	oldTargets := w.targets
	w.targets = s.Targets
	w.mu.Unlock()
	for _, c := range s.Connectors {
		if oldTargets[c.Name] != s.Targets[c.Name] {
			_ = w.herder.SetTarget(c.Name, w.target(c.Name))
		}
	}
	w.worker.ApplySnapshot(s)
}

// withPort returns a connector with this worker's port of the service.
func (w *simWorker) withPort(c *config.Connector) *resolved.Connector {
	settings := maps.Clone(c.Raw())
	settings["counter.port"] = w.group.service.port(w.slot)
	resolver := resolved.Resolver{Worker: w.settings(), Plugins: w.group.plugins}
	return resolver.Resolve(simConnector(w.group.t, settings))
}

func simConnector(t testing.TB, settings map[string]string) *config.Connector {
	var entries []config.Entry
	for key, value := range settings {
		entries = append(entries, config.NewEntry(key, value, "", 0))
	}
	worker, _ := config.NewWorker("", nil, nil, nil)
	c, problems := config.NewConnector("a test", entries, worker.Providers)
	require.NoError(t, problems.Err())
	return c
}

// herderGroup is the group as a worker's herder sees it.
type herderGroup struct{ *simWorker }

func (g herderGroup) PutTaskConfigs(ctx context.Context, connector string, plan config.TaskPlan) error {
	plan.Origin = ""
	plan.Requests = g.group.requestLimit
	if g.group.usesSharedOrigin(connector) {
		plan.Origin = simOrigin
	}
	delete(plan.Config, "counter.port") // different for each worker
	return g.worker.PutTaskConfigs(ctx, connector, plan)
}

func (g herderGroup) CheckLease(ctx context.Context) error       { return g.worker.CheckLease(ctx) }
func (g herderGroup) StatusChanged(name string)                  { g.worker.StatusChanged(name) }
func (herderGroup) OwnersLost(string) func(context.Context) bool { return nil }
func (herderGroup) RecordTopic(string, string, int)              {}
func (herderGroup) InGroup() bool                                { return true }
func (herderGroup) Forward(context.Context, string, wit.Notification) (h connect.ForwardResult) {
	return h
}

// Fence requests fencing from the leader, as in the host.
func (w *simWorker) Fence(ctx context.Context, connector string, version int64, counts config.FencingCounts,
	_ kafka.Config) error {
	return w.worker.RetryWithLeader(ctx, func() error {
		return w.atLeader(ctx, func(leader *simWorker) error {
			producers, err := leader.herder.TransactionalConfig(ctx, connector)
			if err != nil {
				return err
			}
			return leader.fencer.Fence(ctx, producers, connector, version, counts)
		})
	})
}

// atLeader runs do with the leader, as the REST API of any worker does.
func (w *simWorker) atLeader(ctx context.Context, do func(leader *simWorker) error) error {
	url, isLeader, ok := w.worker.Leader()
	switch {
	case !ok:
		return ErrNotLeader
	case isLeader:
		return do(w)
	}
	leader, err := w.peer(ctx, url)
	if err != nil {
		return err
	}
	return leader.serve(func() error { return do(leader) })
}

// call sends a signed call to another worker, or to itself if url is "".
func (w *simWorker) call(ctx context.Context, url, call, connector string, body, _ any) error {
	payload, err := json.Marshal(body)
	if err != nil || call != TasksCall {
		return fmt.Errorf("expected %s, found %s: %w", TasksCall, call, err)
	}
	receiver := w
	if url != "" {
		if receiver, err = w.peer(ctx, url); err != nil {
			return err
		}
	}
	return receiver.serve(func() error {
		_, err := receiver.worker.HandleTasksCall(ctx, connector, payload)
		return err
	})
}

// serve handles a call of another worker. It fails if this worker ends before it has responded.
func (w *simWorker) serve(handle func() error) error {
	result := make(chan error, 1)
	go func() { result <- handle() }()
	select {
	case err := <-result:
		return err
	case <-w.ctx.Done():
		return errNoResponse
	}
}

// peer returns another worker, once neither is paused. It waits at most 5 s for each.
func (w *simWorker) peer(ctx context.Context, url string) (*simWorker, error) {
	w.group.mu.Lock()
	var peer *simWorker
	for _, candidate := range w.group.workers {
		if candidate.url == url {
			peer = candidate
		}
	}
	w.group.mu.Unlock()
	if peer == nil {
		return nil, errNoResponse
	}
	for _, side := range []*simWorker{w, peer} {
		side.mu.Lock()
		link := side.link
		side.mu.Unlock()
		if link.removed {
			return nil, errNoResponse
		}
		if link.resumed != nil {
			select {
			case <-link.resumed:
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(5 * time.Second):
				return nil, errNoResponse
			}
		}
	}
	return peer, nil
}

// isolate stops all input and output, as of a stopped process, until reconnect.
func (w *simWorker) isolate() {
	w.holdConnections(clustertest.BothWays)
	w.setPaused(true)
}

// makeZombie makes the worker lose its membership without knowing it, until reconnect. Its tasks continue.
func (w *simWorker) makeZombie() {
	w.group.network.Hold(w.clientName+memberSuffix, clustertest.BothWays)
	w.setPaused(true)
}

// holdBroker holds the connections to the broker only, until reconnect. Other workers stay reachable.
func (w *simWorker) holdBroker(held clustertest.Directions) {
	w.holdConnections(held)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.link.isCutOff = held.ToBroker || held.ToWorker
}

// reconnect ends the effect of isolate, makeZombie and holdBroker.
func (w *simWorker) reconnect() {
	w.holdConnections(clustertest.Directions{})
	w.setPaused(false)
}

// holdConnections delays what the worker sends to the broker and what it receives from it, see Network.Hold.
func (w *simWorker) holdConnections(held clustertest.Directions) {
	w.group.network.Hold(w.clientName, held)
	w.group.network.Hold(w.clientName+memberSuffix, held)
}

// setPaused makes the worker apply nothing and respond to no worker, or ends that. A paused worker counts as cut off.
func (w *simWorker) setPaused(paused bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.link.isCutOff = paused
	switch {
	case paused && w.link.resumed == nil:
		w.link.resumed = make(chan struct{})
	case !paused && w.link.resumed != nil:
		close(w.link.resumed)
		w.link.resumed = nil
	}
}

// setReadsPaused makes the worker apply no records of the config topic, or ends that.
func (w *simWorker) setReadsPaused(paused bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case paused && w.link.readsResumed == nil:
		w.link.readsResumed = make(chan struct{})
	case !paused && w.link.readsResumed != nil:
		close(w.link.readsResumed)
		w.link.readsResumed = nil
	}
}

// cut breaks the connections to the broker and rejects new ones until mend.
func (w *simWorker) cut() {
	w.group.network.Cut(w.clientName)
	w.group.network.Cut(w.clientName + memberSuffix)
	w.setCutOff(true)
}

// mend ends the effect of cut.
func (w *simWorker) mend() {
	w.group.network.Mend(w.clientName)
	w.group.network.Mend(w.clientName + memberSuffix)
	w.setCutOff(false)
}

func (w *simWorker) setCutOff(isCutOff bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.link.isCutOff = isCutOff
}

// kill ends a worker abruptly. Nothing more from it arrives anywhere. Its connections stay open: kfake never removes a
// member whose connection is closed while it joins.
func (w *simWorker) kill() {
	w.reconnect() // a paused worker would not end
	w.holdConnections(clustertest.BothWays)
	w.remove()
}

// remove removes the worker from the group's list and stops it. It does not wait for its end.
func (w *simWorker) remove() {
	w.group.mu.Lock()
	delete(w.group.workers, w.clientName)
	w.group.mu.Unlock()
	w.mu.Lock()
	w.link.removed = true
	w.mu.Unlock()
	w.stop()
}

// shutDown shuts the worker down in an orderly way: it leaves the Kafka group first.
func (w *simWorker) shutDown() {
	ctx, cancel := context.WithTimeout(w.group.t.Context(), 5*time.Second)
	defer cancel()
	if w.worker.group.Load() != nil {
		_ = w.worker.Leave(ctx)
	}
	w.remove()
	<-w.done
}

// counterFolder returns a folder with the counter's module and its compiled code.
func counterFolder(t testing.TB) string {
	folder := t.TempDir()
	module := guesttest.Bytes(t, "./testdata/counter")
	require.NoError(t, os.WriteFile(filepath.Join(folder, "counter.wasm"), module, 0o600))
	plugins, err := plugin.New(t.Context(), plugin.Options{Folders: []string{folder},
		CacheDir: filepath.Join(folder, "cache"), Registry: record.NewRegistry()})
	require.NoError(t, err)
	require.NoError(t, plugins.Close())
	return folder
}

// counterService is the service of the counter plugin. It has a listener for each worker, so it knows the sender of a
// request. It runs outside the synctest bubble and closes each connection after the response: time stands still in
// the bubble while a connection is open.
type counterService struct {
	servers []*httptest.Server // by slot of the worker

	mu           sync.Mutex
	runs         int                        // task runs so far
	acknowledged map[string]acknowledgement // the last one of each partition
	errors       []string                   // since the last call of takeErrors
}

// acknowledgement is a request for a row, which makes the service forget the rows before it.
type acknowledgement struct {
	worker int // slot of the worker
	run    int // number of the task run
	row    int64
}

func newCounterService(t testing.TB) *counterService {
	s := &counterService{acknowledged: map[string]acknowledgement{}}
	for slot := range simWorkers {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.respond(slot, w, r)
		}))
		server.Config.SetKeepAlivesEnabled(false)
		// A connection that its ended task no longer uses blocks time until this timeout.
		server.Config.ReadHeaderTimeout = 30 * time.Millisecond
		server.Start()
		t.Cleanup(server.Close)
		s.servers = append(s.servers, server)
	}
	return s
}

// port returns the port for the worker of a slot.
func (s *counterService) port(slot int) string {
	return strconv.Itoa(s.servers[slot].Listener.Addr().(*net.TCPAddr).Port)
}

// runCount returns the number of task runs so far.
func (s *counterService) runCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.runs
}

// takeErrors returns the errors since the last call.
func (s *counterService) takeErrors() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	errs := s.errors
	s.errors = nil
	return errs
}

// respond numbers task runs and returns rows. It records an error if an earlier run acknowledges a partition after a
// later run of another worker, or if a request is for a row that the service has forgotten.
func (s *counterService) respond(slot int, w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	query := r.URL.Query()
	if r.URL.Path == "/open" {
		s.runs++
		fmt.Fprint(w, s.runs)
		return
	}
	partition := query.Get("connector") + "-" + query.Get("task")
	if query.Get("claim") != "" {
		current := acknowledgement{worker: slot}
		current.run, _ = strconv.Atoi(query.Get("life"))
		current.row, _ = strconv.ParseInt(query.Get("n"), 10, 64)
		switch last, ok := s.acknowledged[partition]; {
		case ok && current.run < last.run && current.worker != last.worker:
			s.errors = append(s.errors, fmt.Sprintf("%s: w%d acknowledges in run %d, and w%d has in run %d",
				partition, current.worker, current.run, last.worker, last.run))
		case ok && current.row < last.row:
			s.errors = append(s.errors, fmt.Sprintf(
				"%s: w%d requests row %d, but w%d made the service forget the rows before %d",
				partition, current.worker, current.row, last.worker, last.row))
		}
		s.acknowledged[partition] = current
	}
	io.WriteString(w, partition+" "+query.Get("n"))
}
