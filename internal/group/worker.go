package group

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/cluster"
	"github.com/culvert-project/culvert/internal/cluster/configtopic"
	"github.com/culvert-project/culvert/internal/components"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/kafka/security"
	"github.com/culvert-project/culvert/internal/logging"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/internal/setup"
	"github.com/culvert-project/culvert/internal/targetstate"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/internal/transport/limits"
	"github.com/culvert-project/culvert/internal/transport/lockouts"
	"github.com/culvert-project/culvert/wit"
)

// Options configures a [Worker].
type Options struct {
	Settings   *config.Worker
	Files      config.Files
	Connectors []*config.Connector
	Levels     *logging.Levels
	Log        *slog.Logger
	Parts      Parts
	URL        func() string
	Check      func(context.Context, *config.Connector) config.Problems
}

// Parts returns the open parts of a worker, nil for parts that are not open yet.
type Parts interface {
	Herder() *connect.Herder
	Plugins() *plugin.Manager
	REST() *rest.Server
}

// Worker connects a worker with its group. It can be used before Begin configures its membership.
type Worker struct {
	*cluster.Worker
	Options
	session      *rest.Session
	handlers     map[string]rest.Call
	destinations *transport.OriginRegistry
	lockouts     *cluster.Lockouts
	store        *configtopic.Store
	fences       *cluster.Fencer
	log          *cluster.Log
	status       *cluster.StatusTopic
	folder       *Folder    // nil until Watch
	tracksTopics bool       // topic.tracking.enable
	readErr      chan error // receives why the config topic cannot be read any more

	mu      sync.Mutex
	targets map[string]string

	targetMu sync.Mutex // held while REST changes a target state
}

// New returns a worker that has not joined its group yet.
func New(o Options) (*Worker, error) {
	w := o.Settings
	session, err := rest.NewSession(w.Text("inter.worker.signature.algorithm"),
		w.List("inter.worker.verification.algorithms"))
	if err != nil {
		return nil, err
	}
	c := &Worker{Worker: cluster.NewWorker(cluster.WorkerOptions{}), Options: o, session: session,
		handlers: map[string]rest.Call{}, destinations: transport.NewOriginRegistry(),
		tracksTopics: w.Boolean("topic.tracking.enable"), readErr: make(chan error, 1)}
	c.store = configtopic.NewStore(w.ConfigTopic(), w, c.changed, o.Log)
	c.fences = cluster.NewFencer(c.store, w.Text("group.id"), c.CheckLeader)
	c.handle(cluster.LockoutsCall, cluster.NewAttemptArbiter(c.store, c.MemberIDs).HandleCall)
	c.handle(cluster.TasksCall, c.HandleTasksCall)
	c.handle(fenceCall, c.fenceAsLeader)
	c.handle(notificationCall, c.handleNotification)
	c.handle(cluster.OwnedCall, func(context.Context, string, []byte) (any, error) {
		if herder := c.Parts.Herder(); herder != nil {
			return herder.Owned(), nil
		}
		return nil, rest.ErrStarting
	})
	c.divideLimits(nil) // before the worker has joined it has no tasks
	return c, nil
}

// Session returns the session that signs requests between workers.
func (c *Worker) Session() *rest.Session { return c.session }

// Destinations returns the registry of limits that the worker's clients share.
func (c *Worker) Destinations() *transport.OriginRegistry { return c.destinations }

// Store returns the store of the config topic.
func (c *Worker) Store() *configtopic.Store { return c.store }

// Refresh waits until the current end of the config topic was read.
func (c *Worker) Refresh(ctx context.Context) error { return c.log.Refresh(ctx) }

// AwaitStatuses waits until this worker has read back everything that it has written about a connector's status and
// topics.
func (c *Worker) AwaitStatuses(ctx context.Context, connector string) error {
	return c.status.AwaitWritten(ctx, connector)
}

// LeadEmptyGroup makes this worker the leader of a group without members, to write to the config topic.
func (c *Worker) LeadEmptyGroup(ctx context.Context) error { return c.log.LeadEmptyGroup(ctx) }

func (c *Worker) handle(call string, do rest.Call) {
	c.handlers[call] = do
	c.session.Handle(call, func(ctx context.Context, connector string, body []byte) (any, error) {
		answer, err := do(ctx, connector, body)
		return answer, asHTTPError(err)
	})
}

// ShareLockouts shares the rejected logons of a store with the other workers. Call it before the store is used.
func (c *Worker) ShareLockouts(store *lockouts.Store) {
	c.lockouts = cluster.NewLockouts(store, c.store, func(ctx context.Context, call, answer any) error {
		return c.CallLeader(ctx, cluster.LockoutsCall, "", call, answer)
	}, c.MemberID, c.Log)
}

// asHTTPError returns 409 or 503 if a repeated call may succeed.
func asHTTPError(err error) error {
	switch {
	case err == nil, errors.As(err, new(*rest.Refusal)):
		return err
	case errors.Is(err, cluster.ErrNotLeader), errors.As(err, new(*cluster.WriteError)):
		return &rest.Refusal{Status: http.StatusConflict, Message: err.Error()}
	case isTransient(err):
		return &rest.Refusal{Status: http.StatusServiceUnavailable, Message: err.Error()}
	}
	return &rest.Refusal{Status: http.StatusBadRequest, Message: err.Error()}
}

func isTransient(err error) bool {
	var fault *wit.Error
	return (errors.As(err, &fault) && fault.Kind == wit.ErrorTransient) || security.IsTransient(err) ||
		errors.Is(err, connect.ErrUnknownConnector)
}

// isRetriable reports whether a repeated call may succeed. A 403 may be due to a newer session key.
func isRetriable(err error) bool {
	var refused *rest.Refusal
	if errors.As(err, &refused) {
		return refused.Status == http.StatusConflict || refused.Status == http.StatusServiceUnavailable ||
			refused.Status == http.StatusForbidden
	}
	return errors.As(err, new(*url.Error)) || errors.Is(err, rest.ErrNoKey) || isTransient(err)
}

// Membership implements [rest.Cluster].
func (c *Worker) Membership() rest.Membership {
	leader, leads, led := c.Leader()
	return rest.Membership{URL: c.URL(), Leader: leader, IsLeader: leads, LeaderKnown: led, Pending: c.Pending(),
		Blocked: AsRESTError(c.store.CheckGroup())}
}

// Drain implements [rest.Cluster].
func (c *Worker) Drain(ctx context.Context) error { return AsRESTError(c.Worker.Drain(ctx)) }

// Publish implements [rest.Cluster].
func (c *Worker) Publish(ctx context.Context, r configtopic.Record) error {
	_, err := c.store.Write(ctx, r)
	return AsRESTError(err)
}

// Choose implements [rest.Cluster].
func (c *Worker) Choose(ctx context.Context, name, hash string) error {
	return AsRESTError(c.Worker.Choose(ctx, name, hash))
}

// Open opens the topics of the group and waits until they were read. cleanup closes them.
func (c *Worker) Open(ctx context.Context, k kafka.Config, cleanup *setup.Cleanup) error {
	w := c.Settings
	settings := w.All()
	delete(settings, config.SecretsSetting) // it is no setting of the topic
	configs, problems := kafka.ParseInternalTopic(settings, "config.storage.",
		kafka.InternalTopic{Name: w.ConfigTopic(), Partitions: 1})
	states, statusProblems := cluster.ParseStatusTopic(w.All())
	if err := append(problems, statusProblems...).Err(); err != nil {
		return &setup.Error{Cause: err}
	}
	log, err := cluster.OpenLog(ctx, cluster.LogOptions{Kafka: k, Topic: configs, Group: w.Text("group.id"),
		Logger: c.Log})
	if err != nil {
		return &setup.Error{Cause: err}
	}
	cleanup.Add(log.Close)
	status, err := cluster.OpenStatusTopic(ctx, k, states, c.Log)
	if err != nil {
		return &setup.Error{Cause: err}
	}
	cleanup.Add(func() {
		ending, cancel := context.WithTimeout(context.Background(), statusTimeout)
		defer cancel()
		if err := status.Close(ending); err != nil {
			c.Log.Warn("the last states of connectors could not be written to the status topic", "error", err)
		}
	})
	c.store.SetWriter(log)
	c.log = log
	c.status = status
	reading, stop := context.WithCancel(context.WithoutCancel(ctx))
	caughtUp := make(chan struct{})
	var readers sync.WaitGroup
	readers.Go(func() {
		defer guard.Vital("reading the config topic")
		c.readErr <- log.Read(reading, c.store.Apply, func() { c.store.CaughtUp(); close(caughtUp) })
	})
	cleanup.Add(func() { stop(); readers.Wait() })
	select {
	case <-caughtUp:
	case err := <-c.readErr:
		return &setup.Error{Cause: err}
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := c.store.CheckGroup(); err != nil {
		return &setup.Error{Cause: err}
	}
	c.setSigningKey()
	readers.Go(func() {
		defer guard.Vital("what this worker knows of refused logons")
		c.lockouts.Run(reading)
	})
	return status.Await(ctx)
}

const statusTimeout = 5 * time.Second

// changed handles a change of the config topic. It must not block, since it delays reading the topic.
func (c *Worker) changed(change configtopic.Change) {
	switch change.Kind {
	case configtopic.KindSession:
		c.setSigningKey()
	case configtopic.KindLogger:
		if _, _, err := c.Levels.Set(change.Name, change.Level); err != nil {
			c.Log.Warn("the cluster-wide level of a logger could not be set", "logger", change.Name, "error", err)
		}
	case configtopic.KindRestart:
		c.restart(change.Restart)
	}
	if c.Parts.Herder() != nil { // it starts with everything that was read
		c.ConfigChanged(change)
	}
}

func (c *Worker) setSigningKey() {
	if key, ok := c.store.SessionKey(); ok {
		if err := c.session.SetKey(key.Key); err != nil {
			c.Log.Error("the session key of the cluster was rejected", "error", err)
		}
	}
}

func (c *Worker) restart(r configtopic.RestartRequest) {
	herder := c.Parts.Herder()
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
		return // with its tasks on this worker
	}
	for _, t := range s.Tasks {
		if r.IncludeTasks && failed(t.State) {
			_ = herder.Restart(r.Connector, t.ID)
		}
	}
}

// Begin configures the membership. The herder runs what the group assigns.
func (c *Worker) Begin(herder *connect.Herder, k kafka.Config) {
	w := c.Settings
	c.Worker.Configure(cluster.WorkerOptions{
		Group: cluster.GroupOptions{Kafka: k, Group: w.Text("group.id"), Topic: w.ConfigTopic(),
			InstanceID: w.Text("group.instance.id"), SessionTimeout: w.Duration("session.timeout.ms"),
			RebalanceTimeout:  w.Duration("rebalance.timeout.ms"),
			HeartbeatInterval: w.Duration("heartbeat.interval.ms")},
		URL: c.URL(), WorkerID: c.workerID(), RebalanceDelay: w.Duration("scheduled.rebalance.max.delay.ms"),
		SyncTimeout: w.Duration("worker.sync.timeout.ms"), Herder: herder,
		Topics:  cluster.Topics{Log: c.log, Store: c.store, Status: c.status},
		Plugins: c.Parts.Plugins(), Classes: c.classes,
		ResolveClass: c.resolveClass, EnsureSessionKey: c.rotateSessionKey, SetQuotas: c.divideLimits,
		IsRetriable:  isRetriable,
		FolderDigest: c.folderDigest,
		Call:         c.callWorker, Logger: c.Log})
}

func (c *Worker) workerID() string {
	_, id, _ := strings.Cut(c.URL(), "://")
	return id
}

func (c *Worker) folderDigest() string {
	c.mu.Lock()
	f := c.folder
	c.mu.Unlock()
	return f.publishedDigest()
}

// divideLimits gives each worker its share of an origin's limits: a service sees one client (RATIONALE.md P16).
func (c *Worker) divideLimits(origins map[cluster.Key]limits.Division) {
	c.destinations.Divide(func(origin string) limits.Division { return origins[cluster.KeyOf(origin)] })
}

func (c *Worker) callWorker(ctx context.Context, to, call, connector string, body, answer any) error {
	sent, err := json.Marshal(body)
	if err != nil {
		return err
	}
	response, err := c.send(ctx, to, call, connector, sent)
	if err != nil || answer == nil {
		return err
	}
	return json.Unmarshal(response, answer)
}

func (c *Worker) send(ctx context.Context, to, call, connector string, body []byte) ([]byte, error) {
	server := c.Parts.REST()
	switch {
	case to == "":
		answer, err := c.handlers[call](ctx, connector, body)
		if err != nil {
			return nil, err
		}
		return json.Marshal(answer)
	case server == nil:
		return nil, errors.New("expected listeners, which the workers of a group use to reach each other, found none")
	}
	method, path, _ := strings.Cut(call, " ")
	return server.CallWorker(ctx, to, method, strings.Replace(path, "{name}", url.PathEscape(connector), 1), body)
}

func (c *Worker) classes() (all []string) {
	for _, info := range c.Parts.Plugins().Modules() {
		if state := info.State(); state == "active" || state == "retired" {
			for _, component := range info.Components {
				all = append(all, component.Name)
			}
		}
	}
	return all
}

// resolveClass returns the declared name of a class and its plugin, also of versions that the group does not run.
func (c *Worker) resolveClass(class string) (name, pluginName string) {
	info, component, err := components.Find(c.Parts.Plugins(), class, "", wit.ComponentSource, wit.ComponentSink,
		wit.ComponentTransformation, wit.ComponentPredicate)
	if err == nil {
		return component.Name, info.Name
	}
	for _, info := range c.Parts.Plugins().Modules() {
		for i := range info.Components {
			if slices.Contains(plugin.Names(&info.Components[i]), class) {
				return info.Components[i].Name, info.Name
			}
		}
	}
	return class, ""
}

func (c *Worker) rotateSessionKey(ctx context.Context) error {
	w := c.Settings
	current, ok := c.store.SessionKey()
	if ok && !c.session.NeedsRotation() && current.IsFresh(w.Duration("inter.worker.key.ttl.ms")) {
		return nil
	}
	algorithm := w.Text("inter.worker.key.generation.algorithm")
	secret, err := rest.NewKey(algorithm, w.Int("inter.worker.key.size"))
	if err != nil {
		return err
	}
	_, err = c.store.Write(ctx, configtopic.SessionKeyRecord(configtopic.SessionKey{Key: secret, Algorithm: algorithm,
		Created: time.Now()}))
	return err
}

// PutTaskConfigs implements [connect.Group]: it checks the connector, then stores its task configurations.
func (c *Worker) PutTaskConfigs(ctx context.Context, name string, p config.TaskPlan) error {
	running, err := c.Parts.Herder().RunningConfig(name)
	if err != nil {
		return err
	}
	if err := c.Check(ctx, running.Config).Err(); err != nil {
		return err
	}
	return c.Worker.PutTaskConfigs(ctx, name, p)
}

type fenceRequest struct {
	Version int64                `json:"version"`
	Now     config.FencingCounts `json:"now"`
}

// Fence implements [connect.Group]. It retries until there is a leader.
func (c *Worker) Fence(ctx context.Context, connector string, version int64, now config.FencingCounts) error {
	return c.RetryWithLeader(ctx, func() error {
		return c.CallLeader(ctx, fenceCall, connector, fenceRequest{version, now}, nil)
	})
}

// RecordTopic implements [connect.Group].
func (c *Worker) RecordTopic(connector, topic string, task int) {
	if c.tracksTopics {
		c.status.RecordTopic(connector, topic, task)
	}
}

const fenceCall = "PUT /connectors/{name}/fence"

func (c *Worker) fenceAsLeader(ctx context.Context, connector string, body []byte) (any, error) {
	var f fenceRequest
	if err := json.Unmarshal(body, &f); err != nil {
		return nil, err
	}
	producers, err := c.Parts.Herder().TransactionalConfig(ctx, connector)
	if err != nil {
		return nil, err
	}
	return nil, c.fences.Fence(ctx, producers, connector, f.Version, f.Now)
}

// Target returns the target state of a connector in the config topic.
func (c *Worker) Target(name string) connect.TargetState {
	c.mu.Lock()
	defer c.mu.Unlock()
	return targetstate.Parse(c.targets[name])
}

// Applied implements [reload.Group]: it applies the target states of a snapshot.
func (c *Worker) Applied(s config.Snapshot) {
	c.mu.Lock()
	previous := c.targets
	c.targets = s.Targets
	c.mu.Unlock()
	for _, k := range s.Connectors {
		if target := targetstate.Parse(s.Targets[k.Name]); target != targetstate.Parse(previous[k.Name]) {
			_ = targetstate.Apply(c.Parts.Herder(), k.Name, target)
		}
	}
	c.ApplySnapshot(s)
}

// Serve joins the group and stays a member until ctx ends, then hands over its assignment. resume, if not nil, retries
// refused logons. An error means that the config topic cannot be read any more.
func (c *Worker) Serve(ctx context.Context, resume func(context.Context) (int, error)) (err error) {
	log := c.Log
	for err := c.Join(ctx); err != nil; err = c.Join(ctx) {
		if ctx.Err() == nil {
			log.Warn("the worker cannot join its group; it will retry", "error", err)
		}
		if pause.For(ctx, rejoinPause) != nil {
			return nil
		}
	}
	membership, stop := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() {
		defer guard.Vital("the worker's part in its group")
		c.Run(membership)
	})
	if resume != nil {
		running.Go(func() {
			defer guard.Recover(log, "resuming logons", nil)
			n, err := resume(ctx)
			if err != nil {
				log.Warn("refused logons of the group could not be resumed", "error", err)
				return
			}
			log.Info("refused logons of the group are retried", "refusals", n)
		})
	}
	select {
	case <-ctx.Done():
	case err = <-c.readErr:
	}
	leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx),
		c.Settings.Duration("task.shutdown.graceful.timeout.ms"))
	defer cancel()
	if err := c.Leave(leaving); err != nil {
		log.Warn("the worker could not leave its group cleanly: the group waits for it", "error", err)
	}
	stop()
	running.Wait()
	return err
}

const rejoinPause = 5 * time.Second
