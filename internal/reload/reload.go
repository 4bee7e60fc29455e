package reload

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/internal/check"
	"github.com/culvert-project/culvert/internal/components"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/events"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/internal/transport/lockouts"
)

// Options are the dependencies of a [Reloader].
type Options struct {
	Worker *config.Worker
	Folder string
	// Connectors were read at the start, Hidden are the problems of other files. All problems were logged.
	Connectors []*config.Connector
	Hidden     config.Problems
	Checker    check.Checker
	Lockouts   *lockouts.Store
	Changes    ChangeChecker
	Group      Group
	Remove     func(name string) error // stops and deletes a connector with its stored data
	Lock       guard.CtxMutex          // held while connectors are reconciled and while REST changes one
	Log        *slog.Logger
}

// Group is the group of a worker. In a group only the worker that plans a connector's tasks checks it.
type Group interface {
	Membership() rest.Membership
	// Applied reports that the herder has the connectors of a snapshot.
	Applied(config.Snapshot)
}

// Reloader applies a store's changes to the running connectors, each as soon as it is checked. A connector whose new
// configuration is invalid or cannot be read continues unchanged, and so do all others.
type Reloader struct {
	Options
	store  config.Store
	herder *connect.Herder
	// The following are guarded by Lock and belong to the current reload.
	serviceDeadline time.Time       // when checks with services must end
	timedOutOrigins map[string]bool // origins that did not respond in time
	isReconciled    atomic.Bool

	mu         sync.Mutex
	problems   config.Problems      // that belong to no connector
	rejections map[string]string    // problems of rejected configurations, by connector
	counts     map[string]int64     // of reloads, by outcome
	lastChange time.Time            // of the last reload that changed something
	connectors []*config.Connector  // of the last snapshot
	progress   *rest.ReloadProgress // of the running reload, nil without one
}

// Outcomes of a reload.
const (
	reloadUnchanged = "unchanged"
	reloadApplied   = "applied"
	reloadRefused   = "refused" // at least one change was rejected
)

// New returns a reloader.
func New(o Options, store config.Store) *Reloader {
	r := &Reloader{Options: o, store: store, herder: o.Changes.Herder, problems: o.Hidden, connectors: o.Connectors,
		rejections: map[string]string{},
		counts:     map[string]int64{reloadUnchanged: 0, reloadApplied: 0, reloadRefused: 0}}
	for _, connector := range o.Connectors {
		if err := connector.Problems.Err(); err != nil {
			r.rejections[connector.Name] = err.Error()
		}
	}
	return r
}

// FolderStore returns the store of the worker's files, from which connectors were read at the start.
func FolderStore(files config.Files, connectors []*config.Connector, targets *config.TargetStates, w *config.Worker,
	log *slog.Logger) *config.FolderStore {
	locations := config.Locations{Folder: files.Folder, REST: files.REST, TargetStates: targets}
	if locations.Folder == "" {
		for _, connector := range connectors {
			if !files.IsRESTConnector(connector) {
				locations.Files = append(locations.Files, connector)
			}
		}
	}
	return config.NewFolderStore(locations, w, log)
}

// Check returns the problems of a connector that it did not have when it was read.
func (r *Reloader) Check(ctx context.Context, connector *config.Connector) config.Problems {
	problems := r.Checker.Check(ctx, connector)
	originProblems := r.Changes.OriginProblems(ctx, connector)
	if problems.Err() == nil && originProblems.Err() == nil {
		checker := r.Checker
		checker.Lockouts = r.Lockouts
		change := r.Changes.Change(&checker, connector, connector.Raw())
		switch origin := components.Origin(connector, change.Declarations); {
		case r.timedOutOrigins[origin] || !r.Changes.Interrupts(connector, change):
			// it is not checked with the service
		case time.Now().After(r.serviceDeadline):
			problems = append(problems, connector.Locate(config.Problem{Setting: "connector.class",
				Text: fmt.Sprintf("the change was not checked with the service, because checks of other changes "+
					"took %v: the check is repeated immediately", serviceTimeout)}))
			r.store.Refresh()
		default:
			if onlineProblems := r.Changes.CheckWithService(ctx, checker, connector, change); onlineProblems != nil {
				problems = onlineProblems // they include the problems of the first check
			}
			r.timedOutOrigins[origin] = check.TimedOut(problems)
		}
	}
	return slices.DeleteFunc(append(problems, originProblems...), func(p config.Problem) bool {
		return slices.Contains(connector.Problems, p)
	})
}

// serviceTimeout bounds the time of all checks of one reload with services.
const serviceTimeout = 5 * time.Second

// Watch waits for the plugins and calls apply with a snapshot of the store after each change, until ctx ends. While
// apply runs, the store is watched for newer snapshots, see Superseded.
func (r *Reloader) Watch(ctx context.Context, apply func(context.Context, config.Snapshot)) {
	if r.Changes.Plugins.Loaded(ctx) != nil {
		return
	}
	next := make(chan config.Snapshot, 1)
	var watching sync.WaitGroup
	defer watching.Wait()
	watching.Go(func() {
		defer guard.Recover(r.Log, "following the folder of connectors", nil)
		r.store.Watch(ctx, func(snapshot config.Snapshot) {
			select {
			case older := <-next:
				snapshot.Requested = snapshot.Requested || older.Requested
			default:
			}
			next <- snapshot
		})
	})
	for {
		select {
		case <-ctx.Done():
			return
		case snapshot := <-next:
			_ = guard.Do(r.Log, "a reload", func() error { // after a panic the next reload may succeed
				apply(ctx, snapshot)
				return nil
			})
		}
	}
}

// Superseded reports whether a newer snapshot of the store follows, with which the caller starts again. A request for a
// reload is not lost.
func (r *Reloader) Superseded(snapshot config.Snapshot) bool {
	if !r.store.IsStale(snapshot) {
		return false
	}
	if snapshot.Requested {
		r.store.Refresh()
	}
	return true
}

// Reload reconciles the connectors with a snapshot of the store until a newer one follows, for example because REST has
// changed a connector while Reload yielded the lock. In a group it checks nothing, so it ends soon.
func (r *Reloader) Reload(ctx context.Context, snapshot config.Snapshot) {
	if r.Lock.Lock(ctx) != nil {
		return // the worker stops
	}
	defer r.Lock.Unlock()
	if r.Superseded(snapshot) {
		return
	}
	var apply func(config.Change, bool) bool
	if r.Group == nil {
		apply = func(step config.Change, isNew bool) bool {
			r.apply(ctx, step, snapshot.Connectors, isNew)
			r.Lock.Yield()
			return !r.Superseded(snapshot)
		}
	}
	r.Reconcile(ctx, snapshot, r.herder.RunningConfigs(), snapshot.Connectors, r.Check, apply)
	r.isReconciled.Store(ctx.Err() == nil)
}

// CatchUp reconciles the connectors with the current snapshot of the store.
func (r *Reloader) CatchUp(ctx context.Context) error {
	if err := r.Lock.Lock(ctx); err != nil {
		return err
	}
	defer r.Lock.Unlock()
	if snapshot, ok := r.store.Snapshot(); ok {
		r.Reconcile(context.WithoutCancel(ctx), snapshot, r.herder.RunningConfigs(), snapshot.Connectors, r.Check, nil)
	}
	return nil
}

// Reconcile applies files of a snapshot to the running connectors. The caller holds the lock. find returns the problems
// of a connector that differs. apply applies a change and reports whether the next one follows; nil means that the
// herder applies all of them.
func (r *Reloader) Reconcile(ctx context.Context, snapshot config.Snapshot, running []config.RunningConnector,
	files []*config.Connector, find func(context.Context, *config.Connector) config.Problems,
	apply func(step config.Change, isNew bool) bool) {
	r.LogGlobalProblems(snapshot.Problems)
	if snapshot.Problems.Err() != nil {
		return
	}
	r.mu.Lock()
	r.connectors = snapshot.Connectors
	progress := &rest.ReloadProgress{Started: time.Now().UTC().Format(time.RFC3339), Files: len(files)}
	r.progress = progress
	r.mu.Unlock()
	defer func() { // also after a panic
		r.mu.Lock()
		defer r.mu.Unlock()
		r.progress = nil
	}()
	r.Checker = r.Checker.WithConnectors(snapshot.Connectors)
	r.serviceDeadline = time.Now().Add(serviceTimeout)
	r.Checker.Running = nil
	for _, current := range running {
		if current.Config != nil && !current.Rejected {
			r.Checker.Running = append(r.Checker.Running, current.Config)
		}
	}
	r.timedOutOrigins = map[string]bool{}
	check := func(connector *config.Connector) config.Problems { return find(ctx, connector) }
	if apply == nil {
		apply = func(step config.Change, isNew bool) bool {
			r.apply(ctx, step, snapshot.Connectors, isNew)
			return true
		}
		if r.Group != nil {
			check = func(*config.Connector) config.Problems { return nil }
			defer r.Group.Applied(snapshot)
		}
	}
	outcome := reloadUnchanged
	isComplete := true
	for step := range config.Diff(running, files, check, r.Checker.Declared) {
		if ctx.Err() != nil {
			return // the check is incomplete
		}
		r.mu.Lock()
		progress.Checked = min(progress.Checked+1, progress.Files)
		r.mu.Unlock()
		running, err := r.herder.RunningConfig(step.Name)
		if err == nil && step.Action == config.Reject && r.Group != nil {
			// Other workers run the new settings, so no task continues with the previous ones here.
			step.KeepsRunning = step.KeepsRunning && maps.Equal(running.Raw, step.Connector.Raw())
		}
		isNew := r.logStep(step)
		switch {
		case step.Action == config.Reject && isNew:
			outcome = reloadRefused
		case step.Action != config.Reject && step.Action != config.NoChange && outcome == reloadUnchanged:
			outcome = reloadApplied
		}
		if isComplete = apply(step, isNew); !isComplete {
			break
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	isRequested := snapshot.Requested && isComplete
	if outcome != reloadUnchanged || isRequested {
		r.counts[outcome]++
	}
	if outcome != reloadUnchanged {
		r.lastChange = time.Now()
	}
	if isRequested {
		r.Log.Info("the folder of connectors was read again on request", "config", r.Folder, "outcome", outcome)
	}
}

// apply passes a change to the herder, and records its event. An error is logged.
func (r *Reloader) apply(ctx context.Context, step config.Change, connectors []*config.Connector, isNew bool) {
	var err error
	switch step.Action {
	case config.NoChange:
		err = r.herder.ReplaceEquivalent(step.Connector)
	case config.UpdateInPlace:
		err = r.herder.UpdateInPlace(step.Connector)
	case config.Create, config.Restart:
		r.herder.Put(step.Connector, connectors)
	case config.Remove:
		err = r.Remove(step.Name)
	case config.Reject:
		if step.KeepsRunning {
			err = r.herder.RejectConfig(step.Name, step.Problems)
		} else if isNew {
			r.herder.Put(step.Connector, connectors) // it becomes FAILED, with the reason
		}
	}
	if err != nil {
		r.Log.Error("an internal error of culvert: a reload", "connector", step.Name, "error", err)
	}
	if r.Group == nil || (r.Reconciled() && r.Group.Membership().IsLeader) { // the leader makes changes for the group
		r.recordEvent(ctx, step, isNew)
	}
}

var eventKinds = map[config.Action]string{config.Create: "created", config.UpdateInPlace: "changed",
	config.Restart: "changed", config.Remove: "deleted", config.Reject: "rejected"}

// recordEvent adds a change to the events of its connector.
func (r *Reloader) recordEvent(ctx context.Context, step config.Change, isNew bool) {
	event := events.Event{Connector: step.Name, Kind: eventKinds[step.Action], Text: strings.Join(step.Settings, ", ")}
	if event.Kind == "" || (step.Action == config.Reject && !isNew) {
		return
	}
	if step.Action == config.Reject {
		event.Text = step.Problems.Error()
	}
	if step.Connector != nil {
		event.By = step.Connector.File
	}
	r.herder.Events().Record(ctx, event)
}

// logStep logs a change. isNew is false for a rejection that was logged before, which is not logged again.
func (r *Reloader) logStep(step config.Change) (isNew bool) {
	r.mu.Lock()
	previous := r.rejections[step.Name]
	delete(r.rejections, step.Name)
	if step.Action == config.Reject {
		r.rejections[step.Name] = step.Problems.Error()
	}
	isNew = r.rejections[step.Name] != previous
	r.mu.Unlock()
	log := r.Log.With("connector", step.Name)
	switch step.Action {
	case config.Create:
		log.Info("reload: a new connector", "file", step.Connector.File)
	case config.UpdateInPlace:
		log.Info("reload: settings have changed; the tasks continue with them", "file", step.Connector.File,
			"settings", step.Settings)
	case config.Restart:
		log.Info("reload: settings have changed; the tasks are restarted", "file", step.Connector.File,
			"settings", step.Settings)
	case config.Remove:
		log.Info("reload: the connector's file was deleted; the connector stops, its offsets remain")
	case config.NoChange:
		if previous != "" {
			log.Info("reload: the file has the running configuration again", "file", step.Connector.File)
		}
	case config.Reject:
		if !isNew {
			return false
		}
		prefix := "reload: a change was rejected, the previous configuration continues: "
		if !step.KeepsRunning {
			prefix = "reload: a connector's file was rejected, the other connectors run: "
		}
		for _, p := range step.Problems {
			if !p.Warning {
				log.Error(prefix + p.String())
			}
		}
	}
	if step.Action != config.Reject {
		for _, p := range step.Problems {
			log.Warn(p.String())
		}
	}
	return isNew
}

// Connectors returns the connectors of the store.
func (r *Reloader) Connectors() []*config.Connector {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.connectors
}

// LogGlobalProblems records the problems that belong to no connector, and logs those that are new.
func (r *Reloader) LogGlobalProblems(problems config.Problems) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range problems {
		switch {
		case slices.Contains(r.problems, p):
			// it was logged before
		case p.Warning:
			r.Log.Warn("reload: " + p.String())
		default:
			r.Log.Error("reload: " + p.String())
		}
	}
	if r.problems.Err() != nil && problems.Err() == nil {
		r.Log.Info("reload: the folder of connectors can be read again", "config", r.Folder)
	}
	r.problems = problems
}

// Outcomes returns the number of reloads by outcome.
func (r *Reloader) Outcomes() map[string]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.counts)
}

// Rejected returns the names of the connectors whose configuration is rejected.
func (r *Reloader) Rejected() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Keys(r.rejections))
}

// Rejection returns why the configuration of a connector is rejected, "" if it is not.
func (r *Reloader) Rejection(name string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rejections[name]
}

// Readable reports whether the folder could be read.
func (r *Reloader) Readable() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.problems.Err() == nil
}

// Store returns the store of configurations.
func (r *Reloader) Store() config.Store { return r.store }

// Reconciled reports whether the connectors were reconciled with the store at least once.
func (r *Reloader) Reconciled() bool { return r.isReconciled.Load() }

// ApplyOne applies the stored configuration of one connector, even if ctx has ended. The lock is held.
func (r *Reloader) ApplyOne(ctx context.Context, name string, warnings config.Problems) {
	snapshot, _ := r.store.Snapshot()
	var running []config.RunningConnector
	if current, err := r.herder.RunningConfig(name); err == nil {
		running = append(running, current)
	}
	files := slices.DeleteFunc(slices.Clone(snapshot.Connectors),
		func(connector *config.Connector) bool { return connector.Name != name })
	checkWarnings := func(_ context.Context, connector *config.Connector) (problems config.Problems) {
		for _, p := range warnings {
			problems = append(problems, connector.Locate(p))
		}
		return problems
	}
	r.Reconcile(context.WithoutCancel(ctx), snapshot, running, files, checkWarnings, nil)
}

// Stored returns a stored connector, or an empty one.
func (r *Reloader) Stored(name string) *config.Connector {
	snapshot, _ := r.store.Snapshot()
	for _, connector := range snapshot.Connectors {
		if connector.Name == name {
			return connector
		}
	}
	return &config.Connector{}
}

// Report returns the state of reloads for REST, with additional problems.
func (r *Reloader) Report(connectors []config.RunningConnector, problems []string) rest.Reload {
	r.mu.Lock()
	defer r.mu.Unlock()
	report := rest.Reload{Folder: r.Folder, Reloads: maps.Clone(r.counts),
		Connectors: []rest.ReloadedConnector{}, Problems: problems}
	if r.progress != nil {
		report.Running = new(*r.progress)
	}
	if !r.lastChange.IsZero() {
		report.Last = r.lastChange.UTC().Format(time.RFC3339)
	}
	for _, p := range r.problems {
		report.Problems = append(report.Problems, p.String())
	}
	for _, c := range connectors {
		report.Connectors = append(report.Connectors, rest.ReloadedConnector{Name: c.Name, File: c.File,
			Error: r.rejections[c.Name]})
	}
	return report
}
