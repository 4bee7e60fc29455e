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

	"github.com/culvert-project/culvert/internal/base/logtest"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/cluster/clustertest"
	"github.com/culvert-project/culvert/internal/cluster/configtopic"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/run/offset"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/internal/transport/limits"
	"github.com/culvert-project/culvert/internal/transport/lockouts"
	"github.com/culvert-project/culvert/wit"
)

// Timings of a simulated group.
const (
	simSession   = 6 * time.Second
	simHeartbeat = 2 * time.Second
	simDelay     = 5 * time.Second
	simRebalance = 20 * time.Second
)

// simLevel is the level of the log, whose end a failing seed prints.
const simLevel = slog.LevelInfo

// simWorkers is the maximum number of members of a simulated group.
const simWorkers = 10

// counterService is the counter service. It has a listener for each worker, so it knows the sender of a request. It is
// outside the bubble and closes each connection after the response: time stands still in between.
type counterService struct {
	servers []*httptest.Server

	mu sync.Mutex
	// runs is the number of task runs so far. The other fields record, for each partition, which worker
	// acknowledged which row last, and in which run.
	runs  int
	acked map[string]acknowledged
	wrong []string
}

type acknowledged struct {
	worker int
	run    int
	row    int64
}

func newCounted(t testing.TB) *counterService {
	s := &counterService{acked: map[string]acknowledged{}}
	for n := range simWorkers {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.answer(n, w, r)
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

func (s *counterService) port(worker int) string {
	return strconv.Itoa(s.servers[worker].Listener.Addr().(*net.TCPAddr).Port)
}

// begun returns the number of task runs so far.
func (s *counterService) begun() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.runs
}

// answer numbers task runs and rejects requests for rows that it has forgotten. A partition is acknowledged by one run
// at a time, never by an earlier run after a later one.
func (s *counterService) answer(worker int, w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := r.URL.Query()
	if r.URL.Path == "/open" {
		s.runs++
		fmt.Fprint(w, s.runs)
		return
	}
	task := q.Get("connector") + "-" + q.Get("task")
	if q.Get("claim") != "" {
		now := acknowledged{worker: worker}
		now.run, _ = strconv.Atoi(q.Get("life"))
		now.row, _ = strconv.ParseInt(q.Get("n"), 10, 64)
		switch before, ok := s.acked[task]; {
		case ok && now.run < before.run && now.worker != before.worker:
			s.wrong = append(s.wrong, fmt.Sprintf("%s: w%d acknowledges in life %d, and w%d has in life %d", task,
				now.worker, now.run, before.worker, before.run))
		case ok && now.row < before.row:
			s.wrong = append(s.wrong, fmt.Sprintf(
				"%s: w%d requests row %d, but w%d made the service forget the rows before %d "+
					"(536)", task, now.worker, now.row, before.worker, before.row))
		}
		s.acked[task] = now
	}
	io.WriteString(w, task+" "+q.Get("n"))
}

// found returns the errors since the last call.
func (s *counterService) found() (wrong []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	wrong, s.wrong = s.wrong, nil
	return wrong
}

// simulated is a group in virtual time: a broker, and workers with a herder each.
type simulated struct {
	t        testing.TB
	network  *clustertest.Network
	service  *counterService
	registry *record.Registry
	// plugins is shared by all workers, because loading the code at each start takes a third of the time.
	plugins *plugin.Manager
	journal logtest.Journal
	began   time.Time
	started int
	group   string // group and config topic of workers that start from now on
	topic   string
	flush   time.Duration // their offset.flush.interval.ms
	limit   int           // concurrent requests to simOrigin; zero means that no connector uses it

	mu      sync.Mutex
	workers map[string]*simWorker // running workers by network name
	ending  sync.WaitGroup
}

// simWorker is one run of a worker. Its fields do not change while it runs, except those below the lock.
type simWorker struct {
	of     *simulated
	slot   int
	name   string
	url    string
	way    string // its name on the network, unique for each run
	worker *Worker
	herder *connect.Herder
	log    *Log
	store  *configtopic.Store
	status *StatusTopic
	fences *Fencer
	logger *slog.Logger
	ctx    context.Context
	stop   context.CancelFunc
	ended  chan struct{}

	mu       sync.Mutex
	targets  map[string]string
	have     map[string]int64 // offsets of the connectors that the herder knows
	variants map[string]*config.Connector
	silent   chan struct{} // set while it is paused
	deaf     chan struct{} // set while it does not read the config topic
	blind    bool          // a connection to the broker is cut or held
	removed  bool
	origins  map[Key]limits.Division // its division of the limits of origins
}

func newSimulated(t testing.TB, service *counterService, code string) *simulated {
	s := &simulated{t: t, service: service, registry: record.NewRegistry(), began: time.Now(),
		group: testGroup, topic: testTopic, flush: time.Minute, workers: map[string]*simWorker{}}
	var err error
	s.plugins, err = plugin.New(t.Context(), plugin.Options{Folders: []string{code},
		CacheDir: filepath.Join(code, "cache"), Registry: s.registry, Logger: slog.New(slog.DiscardHandler),
		Idle: time.Hour, CodeIdle: time.Hour})
	require.NoError(t, err)
	s.network = clustertest.New(t, "rows")
	return s
}

// simOrigin is the origin of connectors that share one. At the counter service each worker has its own origin.
const simOrigin = "https://service"

// sharing reports whether a connector uses simOrigin.
func (s *simulated) sharing(name string) bool { return s.limit > 0 && name[len(name)-1]%3 == 1 }

var errSilent = errors.New("no answer")

// start starts a worker, which joins by itself.
func (s *simulated) start(slot int) *simWorker {
	w := &simWorker{of: s, slot: slot, name: fmt.Sprintf("w%d", slot), targets: map[string]string{},
		have: map[string]int64{}, variants: map[string]*config.Connector{},
		ended: make(chan struct{})}
	s.started++
	w.way = fmt.Sprint(w.name, " start ", s.started)
	w.url = "http://" + w.name + ":8083"
	w.logger = s.journal.Logger(simLevel).With("worker", w.name)
	k := s.network.Config(w.way)
	k.Consumer.FetchMaxWait = 10 * time.Second
	k.Logger = w.logger
	ctx, stop := context.WithCancel(s.t.Context())
	w.ctx = ctx
	w.stop = stop
	must := func(err error) { s.t.Helper(); require.NoError(s.t, err) }
	var entries []config.Entry
	for key, value := range map[string]string{"group.id": s.group, "config.storage.topic": s.topic,
		"status.storage.topic": "statuses", "offset.storage.topic": "offsets",
		"offset.storage.partitions": "1", "offset.storage.replication.factor": "1", "bootstrap.servers": "a:1",
		"offset.flush.interval.ms": fmt.Sprint(s.flush.Milliseconds()), "task.shutdown.graceful.timeout.ms": "3000",
		"key.converter":   "org.apache.kafka.connect.storage.StringConverter",
		"value.converter": "org.apache.kafka.connect.storage.StringConverter", "topic.creation.enable": "false"} {
		entries = append(entries, config.NewEntry(key, value, "", 0))
	}
	settings, problems := config.NewWorker("", entries, nil, nil)
	must(problems.Err())
	var err error
	w.log, err = OpenLog(ctx, LogOptions{Kafka: k, Topic: kafka.InternalTopic{Name: s.topic,
		Setting: "config.storage.topic", Replication: 1}, Group: s.group, Logger: w.logger})
	must(err)
	w.status, err = OpenStatusTopic(ctx, k, kafka.InternalTopic{Name: "statuses", Partitions: 1, Replication: 1},
		w.logger)
	must(err)
	w.store = configtopic.NewStore(s.topic, settings, w.changed, w.logger)
	w.store.SetWriter(w.log)
	w.fences = NewFencer(w.store, s.group, func(ctx context.Context) error { return w.worker.CheckLeader(ctx) })
	offsets, problemsOfOffsets := offset.ParseConfig(settings.All())
	must(problemsOfOffsets.Err())
	stored, err := offset.Open(ctx, k, offsets, nil, w.logger)
	must(err)
	w.herder = connect.New(connect.Options{Worker: settings, Plugins: s.plugins, Registry: s.registry, Kafka: k,
		Offsets: stored, Lockouts: lockouts.New(), Destinations: transport.NewOriginRegistry(),
		WorkerID: w.name + ":8083", Version: "v",
		Target: func(c *config.Connector) connect.TargetState { return w.target(c.Name) },
		Group:  simGroup{w, s}, Logger: w.logger}, nil)
	member := s.network.Config(w.way + memberWay)
	member.Logger = w.logger
	w.worker = NewWorker(WorkerOptions{Group: GroupOptions{Kafka: member, Group: s.group, Topic: s.topic,
		SessionTimeout: simSession, RebalanceTimeout: simRebalance, HeartbeatInterval: simHeartbeat}, URL: w.url,
		WorkerID: w.name + ":8083", RebalanceDelay: simDelay, SyncTimeout: 3 * time.Second,
		Topics:  Topics{w.log, w.store, w.status},
		Herder:  pausableHerder{w.herder, w},
		Plugins: s.plugins, FolderDigest: func() string { return "" },
		Classes:      func() []string { return []string{"test.CounterSource"} },
		ResolveClass: func(c string) (string, string) { return c, "counter" },
		SetQuotas: func(origins map[Key]limits.Division) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.origins = origins
		},
		Call: w.ask, IsRetriable: func(err error) bool {
			return errors.Is(err, errSilent) || errors.Is(err, context.DeadlineExceeded)
		},
		EnsureSessionKey: func(context.Context) error { return nil }, Logger: w.logger})
	s.mu.Lock()
	s.workers[w.way] = w
	s.mu.Unlock()
	s.ending.Go(func() {
		defer close(w.ended)
		w.run(ctx)
		closing, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		stored.Close()
		_ = w.status.Close(closing)
		w.log.Close()
	})
	return w
}

// run runs a worker until it is stopped. On shutdown it leaves the group first.
func (w *simWorker) run(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	caught := make(chan struct{})
	all.Go(func() {
		if err := w.log.Read(ctx, w.apply, func() { w.store.CaughtUp(); close(caught) }); err != nil {
			w.of.t.Errorf("%s: reading ended with %v", w.name, err)
		}
	})
	all.Go(func() { w.herder.Run(ctx) })
	select {
	case <-caught:
	case <-ctx.Done():
		return
	}
	if w.status.Await(ctx) != nil {
		return
	}
	all.Go(func() { w.store.Watch(ctx, w.applySnapshot) })
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

// apply applies a record of the config topic, after any simulated delay.
func (w *simWorker) apply(r configtopic.Record) {
	w.mu.Lock()
	deaf := w.deaf
	w.mu.Unlock()
	if deaf != nil {
		select {
		case <-deaf:
		case <-w.ctx.Done():
			return
		}
	}
	w.store.Apply(r)
}

// sharing reports whether the worker has tasks that use simOrigin.
func (w *simWorker) sharing() bool {
	return slices.ContainsFunc(w.herder.Owned(), func(h connect.Ownership) bool {
		return len(h.Tasks) > 0 && w.of.sharing(h.Connector)
	})
}

// holds reports whether the worker is a member within its session.
func (w *simWorker) holds() bool {
	g := w.worker.group.Load()
	return g != nil && g.OwnsAssignment()
}

// pausableHerder is the herder of a worker. It receives nothing while the worker is paused.
type pausableHerder struct {
	*connect.Herder
	w *simWorker
}

func (p pausableHerder) Assign(name string, share connect.Assignment) error {
	p.w.awaitResumed()
	return p.Herder.Assign(name, share)
}

// awaitResumed waits until the worker is not paused.
func (w *simWorker) awaitResumed() {
	w.mu.Lock()
	silent := w.silent
	w.mu.Unlock()
	if silent != nil {
		select {
		case <-silent:
		case <-w.ctx.Done():
		}
	}
}

func (w *simWorker) changed(change configtopic.Change) { w.worker.ConfigChanged(change) }

func (w *simWorker) target(name string) connect.TargetState {
	w.mu.Lock()
	defer w.mu.Unlock()
	return map[string]connect.TargetState{config.TargetPaused: connect.Paused,
		config.TargetStopped: connect.Stopped, "": connect.Running, "STARTED": connect.Running}[w.targets[name]]
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
			delete(w.have, name)
		}
	}
	for _, c := range s.Connectors {
		if at, ok := w.have[c.Name]; !ok || at != s.ConfigOffsets[c.Name] {
			w.herder.Put(w.localized(c), nil)
			w.have[c.Name] = s.ConfigOffsets[c.Name]
		}
	}
	w.mu.Lock()
	before := w.targets
	w.targets = s.Targets
	w.mu.Unlock()
	for _, c := range s.Connectors {
		if before[c.Name] == s.Targets[c.Name] {
			continue
		}
		switch w.target(c.Name) {
		case connect.Paused:
			_ = w.herder.Pause(c.Name)
		case connect.Stopped:
			_ = w.herder.Stop(c.Name)
		default:
			_ = w.herder.Resume(c.Name)
		}
	}
	w.worker.ApplySnapshot(s)
}

// localized returns a connector with this worker's port of the service.
func (w *simWorker) localized(c *config.Connector) *config.Connector {
	settings := maps.Clone(c.Raw())
	settings["counter.port"] = w.of.service.port(w.slot)
	return simConnector(w.of.t, settings)
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

// simGroup is the group as a worker's herder sees it.
type simGroup struct {
	*simWorker
	s *simulated
}

func (g simGroup) PutTaskConfigs(ctx context.Context, name string, p config.TaskPlan) error {
	p.Origin = ""
	p.Requests = g.s.limit
	if g.s.sharing(name) {
		p.Origin = simOrigin
	}
	delete(p.Config, "counter.port") // different for each worker
	return g.worker.PutTaskConfigs(ctx, name, p)
}

func (g simGroup) CheckLease(ctx context.Context) error       { return g.worker.CheckLease(ctx) }
func (g simGroup) StatusChanged(name string)                  { g.worker.StatusChanged(name) }
func (simGroup) OwnersLost(string) func(context.Context) bool { return nil }
func (simGroup) RecordTopic(string, string, int)              {}
func (simGroup) Forward(context.Context, string, wit.Notification) (h connect.ForwardResult) {
	return h
}

// Fence requests fencing from the leader, as in the host.
func (w *simWorker) Fence(ctx context.Context, connector string, version int64, now config.FencingCounts) error {
	return w.worker.RetryWithLeader(ctx, func() error {
		to, me, known := w.worker.Leader()
		switch {
		case !known:
			return ErrNotLeader
		case me:
			return w.fenceAsLeader(ctx, connector, version, now)
		}
		leader, err := w.peer(ctx, to)
		if err != nil {
			return err
		}
		return leader.serve(ctx, func(ctx context.Context) error {
			return leader.fenceAsLeader(ctx, connector, version, now)
		})
	})
}

func (w *simWorker) fenceAsLeader(ctx context.Context, connector string, version int64,
	now config.FencingCounts) error {
	producers, err := w.herder.TransactionalConfig(ctx, connector)
	if err != nil {
		return err
	}
	return w.fences.Fence(ctx, producers, connector, version, now)
}

// peer returns another worker, once both are reachable.
func (w *simWorker) peer(ctx context.Context, to string) (*simWorker, error) {
	w.of.mu.Lock()
	var other *simWorker
	for _, one := range w.of.workers {
		if one.url == to {
			other = one
		}
	}
	w.of.mu.Unlock()
	if other == nil {
		return nil, errSilent
	}
	for _, one := range []*simWorker{w, other} {
		one.mu.Lock()
		silent := one.silent
		removed := one.removed
		one.mu.Unlock()
		if removed {
			return nil, errSilent
		}
		if silent != nil {
			select {
			case <-silent:
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(5 * time.Second):
				return nil, errSilent
			}
		}
	}
	return other, nil
}

// ask sends a signed call to another worker.
func (w *simWorker) ask(ctx context.Context, to, call, connector string, body, _ any) error {
	sent, err := json.Marshal(body)
	if err != nil || call != TasksCall {
		return fmt.Errorf("expected %s, found %s: %w", TasksCall, call, err)
	}
	other := w
	if to != "" {
		if other, err = w.peer(ctx, to); err != nil {
			return err
		}
	}
	return other.serve(ctx, func(ctx context.Context) error {
		_, err := other.worker.HandleTasksCall(ctx, connector, sent)
		return err
	})
}

// serve handles a call of another worker. It fails if this worker ends before it has responded.
func (w *simWorker) serve(ctx context.Context, do func(context.Context) error) error {
	answer := make(chan error, 1)
	go func() { answer <- do(ctx) }()
	select {
	case err := <-answer:
		return err
	case <-w.ctx.Done():
		return errSilent
	}
}

// write makes the leader write, like the REST API of any worker.
func (w *simWorker) write(ctx context.Context, do func(leader *simWorker) error) error {
	to, me, known := w.worker.Leader()
	switch {
	case !known:
		return ErrNotLeader
	case me:
		return do(w)
	}
	leader, err := w.peer(ctx, to)
	if err != nil {
		return err
	}
	return leader.serve(ctx, func(context.Context) error { return do(leader) })
}

// memberWay is the suffix of the name of the connection that a worker uses as a member of its group.
const memberWay = " as a member"

// hold holds all connections to the broker.
func (w *simWorker) hold(there, back bool) {
	w.of.network.Hold(w.way, there, back)
	w.of.network.Hold(w.way+memberWay, there, back)
}

// isolate stops all input and output, as of a stopped process, or resumes it.
func (w *simWorker) isolate(quiet bool) {
	w.hold(quiet, quiet)
	w.setPaused(quiet)
}

// zombie lets a worker's tasks continue while it is no member any more and does not know it, until quiet ends that.
func (w *simWorker) zombie() {
	w.of.network.Hold(w.way+memberWay, true, true)
	w.setPaused(true)
}

// setPaused makes the worker apply nothing and respond to nobody.
func (w *simWorker) setPaused(still bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.blind = still; still && w.silent == nil {
		w.silent = make(chan struct{})
	} else if !still && w.silent != nil {
		close(w.silent)
		w.silent = nil
	}
}

// holdBroker holds the connections to the broker only. Other workers stay reachable.
func (w *simWorker) holdBroker(there, back bool) {
	w.hold(there, back)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.blind = there || back
}

// cut breaks the connections to the broker.
func (w *simWorker) cut(cut bool) {
	w.of.network.Cut(w.way, cut)
	w.of.network.Cut(w.way+memberWay, cut)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.blind = cut
}

// kill ends a worker abruptly. Nothing more from it arrives anywhere. Its connections stay open: kfake never removes a
// member whose connection is closed while it joins.
func (w *simWorker) kill() {
	w.isolate(false)
	w.hold(true, true)
	w.leave()
}

// leave removes the worker from the list and ends it.
func (w *simWorker) leave() {
	w.of.mu.Lock()
	delete(w.of.workers, w.way)
	w.of.mu.Unlock()
	w.mu.Lock()
	w.removed = true
	w.mu.Unlock()
	w.stop()
}

// shutDown shuts the worker down in an orderly way.
func (w *simWorker) shutDown() {
	ctx, cancel := context.WithTimeout(w.of.t.Context(), 5*time.Second)
	defer cancel()
	if w.worker.group.Load() != nil {
		_ = w.worker.Leave(ctx)
	}
	w.leave()
	<-w.ended
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
