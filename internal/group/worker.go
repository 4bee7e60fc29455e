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
	"github.com/culvert-project/culvert/internal/check"
	"github.com/culvert-project/culvert/internal/cluster"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/configtopic"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/kafka/security"
	"github.com/culvert-project/culvert/internal/logging"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/reload"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/internal/setup"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/internal/transport/limits"
	"github.com/culvert-project/culvert/internal/transport/lockouts"
	"github.com/culvert-project/culvert/wit"
)

// Options configures a [Worker].
type Options struct {
	Settings   *config.Worker
	Files      config.Files        // of the connector folder
	Connectors []*config.Connector // from Files
	Levels     *logging.Levels
	Log        *slog.Logger
	Parts      *setup.Parts
	Lockouts   *lockouts.Store // its refusals are shared with the other workers
	URL        func() string   // URL of this worker
	Check      func(context.Context, *resolved.Connector) config.Problems
}

// Worker connects a worker with its group. It can be used before NewHerder configures its membership.
type Worker struct {
	*cluster.Worker
	Options
	session      *rest.Session
	handlers     map[string]rest.Call
	destinations *transport.OriginRegistry
	lockouts     *cluster.Lockouts
	store        *configtopic.Store
	fencer       *cluster.Fencer
	log          *cluster.Log
	status       *cluster.StatusTopic
	folder       *Folder    // nil until Follow
	tracksTopics bool       // topic.tracking.enable
	readErr      chan error // receives why the config topic cannot be read any more

	mu      sync.Mutex
	targets map[string]string // target states by connector

	targetMu sync.Mutex // held while REST changes a target state
}

// New returns a worker that has not joined its group yet.
func New(o Options) (*Worker, error) {
	settings := o.Settings
	session, err := rest.NewSession(settings.Text("inter.worker.signature.algorithm"),
		settings.List("inter.worker.verification.algorithms"))
	if err != nil {
		return nil, err
	}
	w := &Worker{Worker: cluster.NewWorker(cluster.WorkerOptions{}), Options: o, session: session,
		handlers: map[string]rest.Call{}, destinations: transport.NewOriginRegistry(),
		tracksTopics: settings.Boolean("topic.tracking.enable"), readErr: make(chan error, 1)}
	w.store = configtopic.NewStore(settings.ConfigTopic(), settings, w.handleChange, o.Log)
	w.fencer = cluster.NewFencer(w.store, settings.Text("group.id"), w.CheckLeader)
	w.addHandler(cluster.LockoutsCall, cluster.NewAttemptArbiter(w.store, w.MemberIDs).HandleCall)
	w.addHandler(cluster.TasksCall, w.HandleTasksCall)
	w.addHandler(fenceCall, w.fenceAsLeader)
	w.addHandler(notificationCall, w.handleNotification)
	w.addHandler(cluster.OwnedCall, func(context.Context, string, []byte) (any, error) {
		if herder := w.Parts.Get().Herder; herder != nil {
			return herder.Owned(), nil
		}
		return nil, rest.ErrStarting
	})
	w.divideLimits(nil) // before the worker has joined it has no tasks
	w.lockouts = cluster.NewLockouts(o.Lockouts, w.store, func(ctx context.Context, call, result any) error {
		return w.CallLeader(ctx, cluster.LockoutsCall, "", call, result)
	}, w.MemberID, w.Log)
	return w, nil
}

// ConfigureREST implements [Opener].
func (w *Worker) ConfigureREST(o *rest.Options) {
	o.Cluster = w
	o.Session = w.session
}

// Destinations implements [Opener].
func (w *Worker) Destinations() *transport.OriginRegistry { return w.destinations }

// Store returns the store of the config topic.
func (w *Worker) Store() *configtopic.Store { return w.store }

// Refresh implements [View].
func (w *Worker) Refresh(ctx context.Context) error { return w.log.Refresh(ctx) }

// CatchUp implements [View].
func (w *Worker) CatchUp(ctx context.Context, r *reload.Reloader, connector string) error {
	err := w.Refresh(ctx)
	if err == nil {
		err = r.CatchUp(ctx)
	}
	if err == nil && connector != "" {
		err = w.status.AwaitWritten(ctx, connector)
	}
	return err
}

// LeadEmptyGroup makes this worker the leader of a group without members, to write to the config topic.
func (w *Worker) LeadEmptyGroup(ctx context.Context) error { return w.log.LeadEmptyGroup(ctx) }

func (w *Worker) addHandler(call string, handler rest.Call) {
	w.handlers[call] = handler
	w.session.Handle(call, func(ctx context.Context, connector string, body []byte) (any, error) {
		result, err := handler(ctx, connector, body)
		return result, asHTTPError(err)
	})
}

// asHTTPError converts an error for another worker: a status of 409 or 503 means that a repeated call may succeed.
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
	var refusal *rest.Refusal
	if errors.As(err, &refusal) {
		return refusal.Status == http.StatusConflict || refusal.Status == http.StatusServiceUnavailable ||
			refusal.Status == http.StatusForbidden
	}
	return errors.As(err, new(*url.Error)) || errors.Is(err, rest.ErrNoKey) || isTransient(err)
}

// Membership implements [rest.Cluster].
func (w *Worker) Membership() rest.Membership {
	leader, isLeader, isKnown := w.Leader()
	return rest.Membership{URL: w.URL(), Leader: leader, IsLeader: isLeader, LeaderKnown: isKnown, Pending: w.Pending(),
		Blocked: AsRESTError(w.store.CheckGroup())}
}

// Drain implements [rest.Cluster].
func (w *Worker) Drain(ctx context.Context) error { return AsRESTError(w.Worker.Drain(ctx)) }

// Publish implements [rest.Cluster].
func (w *Worker) Publish(ctx context.Context, r configtopic.Record) error {
	_, err := w.store.Write(ctx, r)
	return AsRESTError(err)
}

// Choose implements [rest.Cluster].
func (w *Worker) Choose(ctx context.Context, name, hash string) error {
	return AsRESTError(w.Worker.Choose(ctx, name, hash))
}

// NewHerder implements [Opener]: it opens the topics of the group and blocks until they were read. cleanup receives the
// functions that close them.
func (w *Worker) NewHerder(ctx context.Context, o connect.Options, connectors []*resolved.Connector,
	cleanup *setup.Cleanup) (*connect.Herder, error) {
	if err := w.openTopics(ctx, o.Kafka, cleanup); err != nil {
		return nil, err
	}
	o.Destinations = w.destinations
	o.Group = w
	o.Target = func(c *config.Connector) connect.TargetState { return w.target(c.Name) }
	herder := connect.New(o, connectors)
	w.configure(herder, o.Kafka)
	return herder, nil
}

func (w *Worker) openTopics(ctx context.Context, k kafka.Config, cleanup *setup.Cleanup) error {
	workerConfig := w.Settings
	settings := workerConfig.All()
	delete(settings, config.SecretsSetting) // not a setting of the topic
	configTopic, problems := kafka.ParseInternalTopic(settings, "config.storage.",
		kafka.InternalTopic{Name: workerConfig.ConfigTopic(), Partitions: 1})
	statusTopic, statusProblems := cluster.ParseStatusTopic(workerConfig.All())
	if err := append(problems, statusProblems...).Err(); err != nil {
		return &setup.Error{Cause: err}
	}
	log, err := cluster.OpenLog(ctx, cluster.LogOptions{Kafka: k, Topic: configTopic,
		Group: workerConfig.Text("group.id"), Logger: w.Log})
	if err != nil {
		return &setup.Error{Cause: err}
	}
	cleanup.Add(log.Close)
	status, err := cluster.OpenStatusTopic(ctx, k, statusTopic, w.Log)
	if err != nil {
		return &setup.Error{Cause: err}
	}
	cleanup.Add(func() {
		closeCtx, cancel := context.WithTimeout(context.Background(), statusTimeout)
		defer cancel()
		if err := status.Close(closeCtx); err != nil {
			w.Log.Warn("the last states of connectors could not be written to the status topic", "error", err)
		}
	})
	w.store.SetWriter(log)
	w.log = log
	w.status = status
	// The store must have the whole topic before connectors are known.
	readCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	caughtUp := make(chan struct{})
	var readers sync.WaitGroup
	readers.Go(func() {
		defer guard.Vital("reading the config topic")
		w.readErr <- log.Read(readCtx, w.store.Apply, func() { w.store.CaughtUp(); close(caughtUp) })
	})
	cleanup.Add(func() { stop(); readers.Wait() })
	select {
	case <-caughtUp:
	case err := <-w.readErr:
		return &setup.Error{Cause: err}
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := w.store.CheckGroup(); err != nil {
		return &setup.Error{Cause: err}
	}
	w.setSigningKey()
	readers.Go(func() {
		defer guard.Vital("what this worker knows of refused logons")
		w.lockouts.Run(readCtx)
	})
	return status.Await(ctx)
}

const statusTimeout = 5 * time.Second

// handleChange handles a change of the config topic. It must not block, since it delays reading the topic.
func (w *Worker) handleChange(change configtopic.Change) {
	switch change.Kind {
	case configtopic.KindSession:
		w.setSigningKey()
	case configtopic.KindLogger:
		if _, _, err := w.Levels.Set(change.Name, change.Level); err != nil {
			w.Log.Warn("the cluster-wide level of a logger could not be set", "logger", change.Name, "error", err)
		}
	case configtopic.KindRestart:
		w.restart(change.Restart)
	}
	if w.Parts.Get().Herder != nil { // a herder that is opened later starts with this change applied
		w.ConfigChanged(change)
	}
}

func (w *Worker) setSigningKey() {
	if key, ok := w.store.SessionKey(); ok {
		if err := w.session.SetKey(key.Key); err != nil {
			w.Log.Error("the session key of the cluster was rejected", "error", err)
		}
	}
}

// restart restarts the parts of a connector that run here, as far as the request selects them.
func (w *Worker) restart(r configtopic.RestartRequest) {
	herder := w.Parts.Get().Herder
	if herder == nil {
		return
	}
	s, err := herder.Status(r.Connector)
	if err != nil {
		return
	}
	isSelected := func(state connect.State) bool { return !r.OnlyFailed || state == connect.Failed }
	if _, isLocal, _ := w.Owner(r.Connector, -1); isLocal && isSelected(s.Connector.State) {
		_ = herder.Restart(r.Connector) // also restarts its tasks on this worker
		return
	}
	for _, t := range s.Tasks {
		if r.IncludeTasks && isSelected(t.State) {
			_ = herder.Restart(r.Connector, t.ID)
		}
	}
}

// configure configures the membership. The herder runs the connectors and tasks that the group assigns.
func (w *Worker) configure(herder *connect.Herder, k kafka.Config) {
	settings := w.Settings
	w.Worker.Configure(cluster.WorkerOptions{
		Group: cluster.GroupOptions{
			Kafka:             k,
			Group:             settings.Text("group.id"),
			Topic:             settings.ConfigTopic(),
			InstanceID:        settings.Text("group.instance.id"),
			SessionTimeout:    settings.Duration("session.timeout.ms"),
			RebalanceTimeout:  settings.Duration("rebalance.timeout.ms"),
			HeartbeatInterval: settings.Duration("heartbeat.interval.ms"),
		},
		URL:              w.URL(),
		WorkerID:         w.workerID(),
		RebalanceDelay:   settings.Duration("scheduled.rebalance.max.delay.ms"),
		SyncTimeout:      settings.Duration("worker.sync.timeout.ms"),
		Herder:           herder,
		Topics:           cluster.Topics{Log: w.log, Store: w.store, Status: w.status},
		Plugins:          w.Parts.Get().Plugins,
		Classes:          w.classes,
		ResolveClass:     w.resolveClass,
		EnsureSessionKey: w.rotateSessionKey,
		SetQuotas:        w.divideLimits,
		IsRetriable:      isRetriable,
		FolderDigest:     w.folderDigest,
		Call:             w.callWorker,
		Logger:           w.Log,
	})
}

func (w *Worker) workerID() string {
	_, id, _ := strings.Cut(w.URL(), "://")
	return id
}

func (w *Worker) folderDigest() string {
	f := w.openedFolder()
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.digest
}

// divideLimits sets this worker's share of each origin's limits: a service sees one client (RATIONALE.md P16).
func (w *Worker) divideLimits(origins map[cluster.Key]limits.Division) {
	w.destinations.Divide(func(origin string) limits.Division { return origins[cluster.KeyOf(origin)] })
}

// callWorker calls a worker and decodes its response into result. receiver is its URL, "" for this worker.
func (w *Worker) callWorker(ctx context.Context, receiver, call, connector string, body, result any) error {
	request, err := json.Marshal(body)
	if err != nil {
		return err
	}
	response, err := w.send(ctx, receiver, call, connector, request)
	if err != nil || result == nil {
		return err
	}
	return json.Unmarshal(response, result)
}

func (w *Worker) send(ctx context.Context, receiver, call, connector string, body []byte) ([]byte, error) {
	server := w.Parts.Get().REST
	switch {
	case receiver == "":
		result, err := w.handlers[call](ctx, connector, body)
		if err != nil {
			return nil, err
		}
		return json.Marshal(result)
	case server == nil:
		return nil, errors.New("expected listeners, which the workers of a group use to reach each other, found none")
	}
	method, path, _ := strings.Cut(call, " ")
	return server.CallWorker(ctx, receiver, method, strings.Replace(path, "{name}", url.PathEscape(connector), 1), body)
}

// classes returns the classes that connectors can get or still run: with a pin, the pinned version's.
func (w *Worker) classes() (names []string) {
	for _, info := range w.Parts.Get().Plugins.Modules() {
		if state := info.State(); state == "active" || state == "retired" {
			for _, component := range info.Components {
				names = append(names, component.Name)
			}
		}
	}
	return names
}

// resolveClass returns the declared name of a class and its plugin, also of versions that the group does not run.
func (w *Worker) resolveClass(class string) (name, pluginName string) {
	info, component, err := resolved.Find(w.Parts.Get().Plugins, class, "", wit.ComponentSource, wit.ComponentSink,
		wit.ComponentTransformation, wit.ComponentPredicate)
	if err == nil {
		return component.Name, info.Name
	}
	for _, info := range w.Parts.Get().Plugins.Modules() {
		for _, component := range info.Components {
			if slices.Contains(plugin.Names(component), class) {
				return component.Name, info.Name
			}
		}
	}
	return class, ""
}

// rotateSessionKey writes a new session key to the config topic if the current one is missing or too old.
func (w *Worker) rotateSessionKey(ctx context.Context) error {
	workerConfig := w.Settings
	current, ok := w.store.SessionKey()
	if ok && !w.session.NeedsRotation() && current.IsFresh(workerConfig.Duration("inter.worker.key.ttl.ms")) {
		return nil
	}
	algorithm := workerConfig.Text("inter.worker.key.generation.algorithm")
	secret, err := rest.NewKey(algorithm, workerConfig.Int("inter.worker.key.size"))
	if err != nil {
		return err
	}
	_, err = w.store.Write(ctx, configtopic.SessionKeyRecord(configtopic.SessionKey{Key: secret, Algorithm: algorithm,
		Created: time.Now()}))
	return err
}

// PutTaskConfigs implements [connect.Group]: it checks the connector, then stores its task configurations.
func (w *Worker) PutTaskConfigs(ctx context.Context, name string, p config.TaskPlan) error {
	running, err := w.Parts.Get().Herder.RunningConfig(name)
	if err != nil {
		return err
	}
	if err := w.Check(ctx, running.Config).Err(); err != nil {
		return err
	}
	return w.Worker.PutTaskConfigs(ctx, name, p)
}

type fenceRequest struct {
	Version int64                `json:"version"`
	Counts  config.FencingCounts `json:"now"`
}

// InGroup implements [connect.Group].
func (w *Worker) InGroup() bool { return true }

// Fence implements [connect.Group]. It blocks and retries until there is a leader.
func (w *Worker) Fence(ctx context.Context, connector string, version int64, counts config.FencingCounts,
	_ kafka.Config) error {
	return w.RetryWithLeader(ctx, func() error {
		return w.CallLeader(ctx, fenceCall, connector, fenceRequest{version, counts}, nil)
	})
}

// RecordTopic implements [connect.Group].
func (w *Worker) RecordTopic(connector, topic string, task int) {
	if w.tracksTopics {
		w.status.RecordTopic(connector, topic, task)
	}
}

const fenceCall = "PUT /connectors/{name}/fence"

func (w *Worker) fenceAsLeader(ctx context.Context, connector string, body []byte) (any, error) {
	var request fenceRequest
	if err := json.Unmarshal(body, &request); err != nil {
		return nil, err
	}
	producers, err := w.Parts.Get().Herder.TransactionalConfig(ctx, connector)
	if err != nil {
		return nil, err
	}
	return nil, w.fencer.Fence(ctx, producers, connector, request.Version, request.Counts)
}

// target returns the target state of a connector in the config topic.
func (w *Worker) target(name string) connect.TargetState {
	w.mu.Lock()
	defer w.mu.Unlock()
	return connect.ParseTarget(w.targets[name])
}

// Applied implements [reload.Group]: it applies the target states of a snapshot.
func (w *Worker) Applied(s config.Snapshot) {
	w.mu.Lock()
	previous := w.targets
	w.targets = s.Targets
	w.mu.Unlock()
	for _, c := range s.Connectors {
		if target := connect.ParseTarget(s.Targets[c.Name]); target != connect.ParseTarget(previous[c.Name]) {
			_ = w.Parts.Get().Herder.SetTarget(c.Name, target)
		}
	}
	w.ApplySnapshot(s)
}

// Follow implements [Opener].
func (w *Worker) Follow(o reload.Options) (connectors, files *reload.Reloader, watch func(context.Context)) {
	fileOptions := o
	fileOptions.Checker.Plans = &check.Plans{} // not the topic's: a file has its settings in another order
	files = reload.New(fileOptions, reload.FolderStore(w.Files, w.Connectors, nil, w.Settings, w.Log))
	folder := &Folder{worker: w, files: files}
	if w.Files.Folder != "" || len(w.Connectors) > 0 {
		folder.digest = connectorsDigest(w.Connectors)
	}
	w.mu.Lock()
	w.folder = folder
	w.mu.Unlock()
	r := reload.New(o, w.store)
	return r, folder.files, func(ctx context.Context) {
		var watching sync.WaitGroup
		defer watching.Wait()
		watching.Go(func() { folder.files.Watch(ctx, folder.apply) })
		r.Watch(ctx, r.Reload)
	}
}

// Run implements [Opener]: it leaves the group before the tasks stop, so that other workers take them over by then.
func (w *Worker) Run(ctx context.Context, herder *connect.Herder, resume func(context.Context) (int, error)) error {
	herderContext, stop := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() {
		defer guard.Vital("the connectors")
		herder.Run(herderContext)
	})
	err := w.serve(ctx, resume)
	stop()
	running.Wait()
	return err
}

// serve joins the group and stays a member until ctx ends, then hands over its assignment.
func (w *Worker) serve(ctx context.Context, resume func(context.Context) (int, error)) (err error) {
	log := w.Log
	for err := w.Join(ctx); err != nil; err = w.Join(ctx) {
		if ctx.Err() == nil {
			log.Warn("the worker cannot join its group; it will retry", "error", err)
		}
		if pause.For(ctx, rejoinPause) != nil {
			return nil
		}
	}
	memberCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	var loops sync.WaitGroup
	loops.Go(func() {
		defer guard.Vital("the worker's part in its group")
		w.Worker.Run(memberCtx)
	})
	if resume != nil {
		loops.Go(func() {
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
	case err = <-w.readErr:
	}
	leaveCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx),
		w.Settings.Duration("task.shutdown.graceful.timeout.ms"))
	defer cancel()
	if err := w.Leave(leaveCtx); err != nil {
		log.Warn("the worker could not leave its group cleanly: the group waits for it", "error", err)
	}
	stop()
	loops.Wait()
	return err
}

const rejoinPause = 5 * time.Second
