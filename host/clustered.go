package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/culvert-project/culvert/host/check"
	"github.com/culvert-project/culvert/host/cluster"
	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/base/pause"
	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/host/kafka/security"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/rest"
	"github.com/culvert-project/culvert/host/transport"
	"github.com/culvert-project/culvert/host/transport/limits"
	"github.com/culvert-project/culvert/host/transport/lockouts"
	"github.com/culvert-project/culvert/wit"
)

// clustered is what a worker has that forms a group with others: the topics that they share, its membership, and what
// they ask of each other.
//
// Its worker is asked from the start on, when it is none of the group, and has its options from join on.
type clustered struct {
	*cluster.Worker
	host    *Host
	session *rest.Session
	// calls are what workers ask of each other, by method and path.
	calls map[string]rest.Call
	// destinations are where the worker's clients meet those of the same origin.
	destinations *transport.Destinations
	// given are the connectors of the worker's files as they were read at its start.
	given []*config.Connector
	// lockouts are what the workers know together of refused logons.
	lockouts *cluster.Lockouts
	store    *config.TopicStore
	fences   *cluster.Fencer

	log    *cluster.Log
	status *cluster.StatusTopic
	tracks bool       // topic.tracking.enable
	deaf   chan error // gets why the config topic is not read any more

	mu      sync.Mutex
	targets map[string]string
}

// inGroup tells whether a worker forms a group: as its settings say, unless it is to end by itself.
func (c *Config) inGroup(w *config.Worker) bool { return w.InGroup() && !c.Once && !c.alone }

// noneOfBefore refuses a data folder with connectors that REST made while the worker was alone, with files of such
// connectors that cannot be imported, or with what the worker was to pause or stop: they would not run any more, or run
// that were not to, and nobody would notice.
func noneOfBefore(c Config) error {
	c.Logger = slog.New(slog.DiscardHandler)
	targets, problems, err := c.openStored()
	if err != nil {
		return fmt.Errorf("connectors of before the worker formed a group: %w", err)
	}
	found := c.Files.REST.Names()
	for _, p := range problems {
		found = append(found, p.File)
	}
	for name, target := range targets.All() {
		if target != config.TargetStarted {
			found = append(found, target+" "+name)
		}
	}
	if len(found) == 0 {
		return nil
	}
	slices.Sort(found)
	found = slices.Compact(found)
	return fmt.Errorf("expected no connectors in %s, as this worker forms a group (group.id, config.storage.topic and "+
		"status.storage.topic are given) whose connectors stand in config.storage.topic, found %s: `culvert cluster "+
		"adopt --data %s WORKER-FILE` brings them there, or take status.storage.topic out so that the worker goes on "+
		"alone", c.Data, strings.Join(found, ", "), c.Data)
}

// statesFile and connectorsFile are where a worker that is alone keeps what its connectors are to do, and those that
// REST has made, in its data folder.
const (
	statesFile     = "connectors.states.json"
	connectorsFile = "connectors.json"
)

// newClustered makes what REST needs of a group before the worker has joined it.
func newClustered(h *Host) (*clustered, error) {
	w := h.in.Worker
	session, err := rest.NewSession(w.Text("inter.worker.signature.algorithm"),
		w.List("inter.worker.verification.algorithms"))
	if err != nil {
		return nil, err
	}
	c := &clustered{Worker: cluster.NewWorker(cluster.WorkerOptions{}), host: h, session: session,
		calls: map[string]rest.Call{}, destinations: transport.NewDestinations(),
		tracks: w.Boolean("topic.tracking.enable"), deaf: make(chan error, 1)}
	c.store = config.NewTopicStore(w.ConfigTopic(), w, c.changed, h.log)
	c.fences = cluster.NewFencer(c.store, w.Text("group.id"), c.CheckLeader)
	c.handle(cluster.LockoutsCall, cluster.NewAttemptArbiter(c.store, c.MemberIDs).HandleCall)
	c.handle(cluster.TasksCall, c.HandleTasksCall)
	c.handle(fenceCall, c.fenceAsLeader)
	c.handle(notifiedCall, c.notified)
	c.handle(cluster.OwnedCall, func(context.Context, string, []byte) (any, error) {
		if herder := c.host.now().herder; herder != nil {
			return herder.Owned(), nil
		}
		return nil, rest.Starting
	})
	c.divide(nil) // before the worker has joined it has no tasks
	return c, nil
}

// handle has calls of other workers, and of this one, answered.
func (c *clustered) handle(call string, do rest.Call) {
	c.calls[call] = do
	c.session.Handle(call, func(ctx context.Context, connector string, body []byte) (any, error) {
		answer, err := do(ctx, connector, body)
		return answer, taken(err)
	})
}

// share has a store of refused logons share what it knows with those of other workers, before anything uses it.
func (c *clustered) share(store *lockouts.Store) {
	c.lockouts = cluster.NewLockouts(store, c.store, func(ctx context.Context, call, answer any) error {
		return c.CallLeader(ctx, cluster.LockoutsCall, "", call, answer)
	}, c.MemberID, c.host.log)
}

// taken is the answer to a call that the leader has not done: 409 or 503 where it may do it later, so that it is asked
// again.
func taken(err error) error {
	switch {
	case err == nil, errors.As(err, new(*rest.Refusal)):
		return err
	case errors.Is(err, cluster.ErrNotLeader), errors.As(err, new(*cluster.WriteError)):
		return &rest.Refusal{Status: http.StatusConflict, Message: err.Error()}
	case later(err):
		return &rest.Refusal{Status: http.StatusServiceUnavailable, Message: err.Error()}
	}
	return &rest.Refusal{Status: http.StatusBadRequest, Message: err.Error()}
}

// later tells whether what a worker was asked may be done later: a broker was away, say, or it has not read of a
// connector yet.
func later(err error) bool {
	var fault *wit.Error
	return errors.As(err, &fault) && fault.Kind == wit.ErrorTransient || security.Passes(err) ||
		errors.Is(err, connect.ErrUnknownConnector)
}

// passes tells whether a call of another worker, or of this one, may be answered when it is made again: it said so, did
// not answer, or refused the signature, as one that has not read the newest session key yet.
func passes(err error) bool {
	var refused *rest.Refusal
	if errors.As(err, &refused) {
		return refused.Status == http.StatusConflict || refused.Status == http.StatusServiceUnavailable ||
			refused.Status == http.StatusForbidden
	}
	return errors.As(err, new(*url.Error)) || errors.Is(err, rest.ErrNoKey) || later(err)
}

// rebalances are what the worker has seen of those of its group.
func (h *Host) rebalances() cluster.Rebalances {
	if h.clustered == nil {
		return (*cluster.Worker)(nil).Rebalances()
	}
	return h.clustered.Rebalances()
}

// Seat implements [rest.Cluster].
func (c *clustered) Seat() rest.Seat {
	leader, leads, led := c.Leader()
	return rest.Seat{URL: c.host.advertised(), Leader: leader, Leads: leads, Led: led, Pending: c.Pending(),
		Barred: conflict(c.store.CheckGroup())}
}

// Drain implements [rest.Cluster].
func (c *clustered) Drain(ctx context.Context) error { return conflict(c.Worker.Drain(ctx)) }

// Tell implements [rest.Cluster].
func (c *clustered) Tell(ctx context.Context, r config.Record) error {
	_, err := c.store.Write(ctx, r)
	return conflict(err)
}

// Choose implements [rest.Cluster].
func (c *clustered) Choose(ctx context.Context, name, hash string) error {
	return conflict(c.Worker.Choose(ctx, name, hash))
}

// open opens the topics of the group, and reads them.
func (c *clustered) open(ctx context.Context, closing *closers) error {
	h := c.host
	w := h.in.Worker
	settings := w.All()
	delete(settings, config.SecretsSetting) // which is none of the topic's
	configs, wrong := kafka.ParseInternal(settings, "config.storage.",
		kafka.Internal{Name: w.ConfigTopic(), Partitions: 1})
	states, more := cluster.ParseStatusTopic(w.All())
	if err := append(wrong, more...).Err(); err != nil {
		return &SetupError{err}
	}
	log, err := cluster.OpenLog(ctx, cluster.LogOptions{Kafka: h.kafka, Topic: configs, Group: w.Text("group.id"),
		Logger: h.log})
	if err != nil {
		return &SetupError{err}
	}
	closing.add(log.Close)
	status, err := cluster.OpenStatusTopic(ctx, h.kafka, states, h.log)
	if err != nil {
		return &SetupError{err}
	}
	closing.add(func() {
		ending, cancel := context.WithTimeout(context.Background(), statusWithin)
		defer cancel()
		if err := status.Close(ending); err != nil {
			h.log.Warn("states of connectors are not in the status topic", "error", err)
		}
	})
	c.store.SetWriter(log)
	c.log, c.status = log, status
	reading, stop := context.WithCancel(context.WithoutCancel(ctx))
	caught := make(chan struct{})
	var following sync.WaitGroup
	following.Go(func() {
		defer guard.Vital("reading the config topic")
		c.deaf <- log.Read(reading, c.store.Apply, func() { c.store.CaughtUp(); close(caught) })
	})
	closing.add(func() { stop(); following.Wait() })
	select {
	case <-caught:
	case err := <-c.deaf:
		return &SetupError{err}
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := c.store.CheckGroup(); err != nil {
		return &SetupError{err}
	}
	c.useKey()
	following.Go(func() {
		defer guard.Vital("what this worker knows of refused logons")
		c.lockouts.Run(reading)
	})
	return status.Await(ctx)
}

// statusWithin is how long a worker that ends waits for its last states to be written.
const statusWithin = 5 * time.Second

// changed takes what a record of the config topic has changed. It is called by whoever reads the topic, and must not
// wait.
func (c *clustered) changed(change config.TopicChange) {
	switch change.Kind {
	case config.KindSession:
		c.useKey()
	case config.KindLogger:
		if _, _, err := c.host.levels.Set(change.Name, change.Level); err != nil {
			c.host.log.Warn("the level of a logger of the whole cluster is not set", "logger", change.Name, "error",
				err)
		}
	case config.KindRestart:
		c.restart(change.Restart)
	}
	if c.host.now().herder != nil { // before it is there all is looked at anyway
		c.ConfigChanged(change)
	}
}

// useKey signs calls with the newest key that was read.
func (c *clustered) useKey() {
	if key, ok := c.store.SessionKey(); ok {
		if err := c.session.Use(key.Key); err != nil {
			c.host.log.Error("the session key of the cluster is not taken", "error", err)
		}
	}
}

// restart restarts what this worker runs of a connector, as somebody has asked any worker to.
func (c *clustered) restart(r config.RestartRequest) {
	herder := c.host.now().herder
	if herder == nil {
		return
	}
	s, err := herder.Status(r.Connector)
	if err != nil {
		return
	}
	failed := func(state connect.State) bool { return !r.OnlyFailed || state == connect.Failed }
	if _, me, _ := c.Owner(r.Connector, -1); me && failed(s.Connector.State) {
		_ = herder.Restart(r.Connector)
		return // with the tasks that it has here
	}
	for _, t := range s.Tasks {
		if r.IncludeTasks && failed(t.State) {
			_ = herder.Restart(r.Connector, t.ID)
		}
	}
}

// join makes the membership, with which the herder's connectors are brought to what the group has them be.
func (c *clustered) join(herder *connect.Herder) {
	h := c.host
	w := h.in.Worker
	c.Configure(cluster.WorkerOptions{
		Group: cluster.GroupOptions{Kafka: h.kafka, Group: w.Text("group.id"), Topic: w.ConfigTopic(),
			InstanceID: w.Text("group.instance.id"), SessionTimeout: w.Duration("session.timeout.ms"),
			RebalanceTimeout:  w.Duration("rebalance.timeout.ms"),
			HeartbeatInterval: w.Duration("heartbeat.interval.ms")},
		URL: c.host.advertised(), WorkerID: h.workerID(),
		RebalanceDelay: w.Duration("scheduled.rebalance.max.delay.ms"),
		SyncTimeout:    w.Duration("worker.sync.timeout.ms"), Log: c.log, Store: c.store, Status: c.status,
		Herder:  herder,
		Plugins: h.now().plugins, Classes: c.classes,
		ResolveClass: c.declared, EnsureSessionKey: c.key, SetQuotas: c.divide, IsRetriable: passes,
		FolderDigest: func() string { return h.now().folder.announced() },
		Call:         c.ask, Logger: h.log})
}

// divide divides limits of origins by the workers that have tasks of them (P16).
func (c *clustered) divide(origins map[cluster.Key]limits.Division) {
	c.destinations.Divide(func(origin string) limits.Division { return origins[cluster.KeyOf(origin)] })
}

// ask is [cluster.WorkerOptions]'s Ask.
func (c *clustered) ask(ctx context.Context, to, call, connector string, body, answer any) error {
	sent, err := json.Marshal(body)
	if err != nil {
		return err
	}
	text, err := c.answered(ctx, to, call, connector, sent)
	if err != nil || answer == nil {
		return err
	}
	return json.Unmarshal(text, answer)
}

func (c *clustered) answered(ctx context.Context, to, call, connector string, body []byte) ([]byte, error) {
	server := c.host.now().rest
	switch {
	case to == "":
		answer, err := c.calls[call](ctx, connector, body)
		if err != nil {
			return nil, err
		}
		return json.Marshal(answer)
	case server == nil:
		return nil, errors.New("expected listeners, by which the workers of a group reach each other, found none")
	}
	method, path, _ := strings.Cut(call, " ")
	return server.Ask(ctx, to, method, strings.Replace(path, "{name}", url.PathEscape(connector), 1), body)
}

// classes are those that connectors can name here, in the versions that the group runs.
func (c *clustered) classes() (all []string) {
	for _, info := range c.host.now().plugins.Modules() {
		if state := info.State(); state == "active" || state == "retired" {
			for _, component := range info.Components {
				all = append(all, component.Name)
			}
		}
	}
	return all
}

// declared is the name of a class as a plugin declares it, and that plugin's, though it is here in versions alone that
// the group does not run.
func (c *clustered) declared(class string) (name, of string) {
	info, component, err := check.Find(c.host.now().plugins, class, "", wit.ComponentSource, wit.ComponentSink,
		wit.ComponentTransformation, wit.ComponentPredicate)
	if err == nil {
		return component.Name, info.Name
	}
	for _, info := range c.host.now().plugins.Modules() {
		for i := range info.Components {
			if slices.Contains(plugin.Answers(&info.Components[i]), class) {
				return info.Components[i].Name, info.Name
			}
		}
	}
	return class, ""
}

// key writes a session key where there is none, or an old one.
func (c *clustered) key(ctx context.Context) error {
	w := c.host.in.Worker
	now, ok := c.store.SessionKey()
	if ok && !c.session.Worn() && now.IsFresh(w.Duration("inter.worker.key.ttl.ms")) {
		return nil
	}
	algorithm := w.Text("inter.worker.key.generation.algorithm")
	secret, err := rest.NewKey(algorithm, w.Int("inter.worker.key.size"))
	if err != nil {
		return err
	}
	_, err = c.store.Write(ctx, config.SessionKeyRecord(config.SessionKey{Key: secret, Algorithm: algorithm,
		Created: time.Now()}))
	return err
}

// PutTaskConfigs stores the plan of a connector's tasks, once it is known that Kafka Connect's worker would accept it.
func (c *clustered) PutTaskConfigs(ctx context.Context, name string, p config.TaskPlan) error {
	now, err := c.host.now().herder.RunningConfig(name)
	if err != nil {
		return err
	}
	if err := c.host.checking().Check(ctx, now.Config).Err(); err != nil {
		return err
	}
	return c.Worker.PutTaskConfigs(ctx, name, p)
}

// fencing is what the leader is asked for before the tasks of a version write in transactions.
type fencing struct {
	Version int64                `json:"version"`
	Now     config.FencingCounts `json:"now"`
}

// Fence has the leader fence what producers tasks of a connector had before. It is asked again for as long as there is
// none.
func (c *clustered) Fence(ctx context.Context, connector string, version int64, now config.FencingCounts) error {
	return c.RetryWithLeader(ctx, func() error {
		return c.CallLeader(ctx, fenceCall, connector, fencing{version, now}, nil)
	})
}

// RecordTopic notes that a task uses a topic, for all workers to show.
func (c *clustered) RecordTopic(connector, topic string, task int) {
	if c.tracks {
		c.status.RecordTopic(connector, topic, task)
	}
}

// fenceCall is Fence by the worker that leads.
const fenceCall = "PUT /connectors/{name}/fence"

func (c *clustered) fenceAsLeader(ctx context.Context, connector string, body []byte) (any, error) {
	var f fencing
	if err := json.Unmarshal(body, &f); err != nil {
		return nil, err
	}
	producers, err := c.host.now().herder.TransactionalConfig(ctx, connector)
	if err != nil {
		return nil, err
	}
	return nil, c.fences.Fence(ctx, producers, connector, f.Version, f.Now)
}

// target is what a connector is to do, as the config topic has it.
func (c *clustered) target(name string) connect.TargetState {
	c.mu.Lock()
	defer c.mu.Unlock()
	return targetOf(c.targets[name])
}

// targetOf is a target state by its name in the config topic.
func targetOf(name string) connect.TargetState {
	if name == config.TargetPaused || name == config.TargetStopped {
		return connect.TargetState(name)
	}
	return connect.Running
}

// brought takes that the herder has the connectors of a snapshot, and gives them its target states.
func (c *clustered) brought(s config.Snapshot, herder *connect.Herder) {
	c.mu.Lock()
	before := c.targets
	c.targets = s.Targets
	c.mu.Unlock()
	for _, k := range s.Connectors {
		if now := targetOf(s.Targets[k.Name]); now != targetOf(before[k.Name]) {
			_ = steer(herder, k.Name, now)
		}
	}
	c.ApplySnapshot(s)
}

// run is a member of the group until ctx ends, and hands over then what it runs, see [cluster.Worker.Leave]. The error
// is why it has ended by itself: it could not know any more what it is to run.
func (c *clustered) run(ctx context.Context) (err error) {
	log := c.host.log
	for err := c.Join(ctx); err != nil; err = c.Join(ctx) {
		if ctx.Err() == nil {
			log.Error("the worker cannot join its group, and tries again", "error", err)
		}
		if pause.For(ctx, joinAgain) != nil {
			return nil
		}
	}
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() {
		defer guard.Vital("the worker's part in its group")
		c.Run(working)
	})
	if c.host.config.ResumeLogons {
		running.Go(func() {
			defer guard.Recover(log, "resuming logons", nil)
			n, err := c.host.lockouts.Resume(ctx)
			log.Info("logons that the group knows as refused are tried once more", "refusals", n, "error", err)
		})
	}
	select {
	case <-ctx.Done():
	case err = <-c.deaf:
	}
	leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx),
		c.host.in.Worker.Duration("task.shutdown.graceful.timeout.ms"))
	defer cancel()
	if err := c.Leave(leaving); err != nil {
		log.Warn("the worker did not leave its group in good order: the group waits for it", "error", err)
	}
	stop()
	running.Wait()
	return err
}

// joinAgain is the pause after which a group is joined again that could not be.
const joinAgain = 5 * time.Second
