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
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/events"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/internal/transport/lockouts"
)

// Options are the dependencies of a [Reloader].
type Options struct {
	Worker *config.Worker
	Folder string
	// Connectors were read at the start, Hidden are the problems of other files. All problems were logged.
	Connectors []*resolved.Connector
	Hidden     config.Problems
	Checker    check.Checker
	Lockouts   *lockouts.Store
	Changes    ChangeChecker
	Group      Group
	Lock       guard.CtxMutex // held while connectors are reconciled and while REST changes one
	Log        *slog.Logger
}

// Group is the group of a worker. In a group, only the worker that plans a connector's tasks checks it.
type Group interface {
	InGroup() bool
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
	problems   config.Problems       // that belong to no connector
	rejections map[string]string     // problems of rejected configurations, by connector
	counts     map[string]int64      // of reloads, by outcome
	lastChange time.Time             // of the last reload that changed something
	connectors []*resolved.Connector // of the last snapshot
	progress   *rest.ReloadProgress  // of the running reload, nil without one
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
	r.isReconciled.Store(!o.Group.InGroup()) // else the herder has no connectors yet
	for _, connector := range o.Connectors {
		if err := connector.Problems.Err(); err != nil {
			r.rejections[connector.Name] = err.Error()
		}
	}
	return r
}

// FolderStore returns the store of the worker's files, from which connectors were read at the start, and of what REST
// created, see [config.Locations].
func FolderStore(files config.Files, connectors []*config.Connector, stored config.Store, w *config.Worker,
	log *slog.Logger) *config.FolderStore {
	locations := config.Locations{Folder: files.Folder, Stored: stored}
	if locations.Folder == "" {
		for _, connector := range connectors {
			if connector.Version == "" {
				locations.Files = append(locations.Files, connector)
			}
		}
	}
	return config.NewFolderStore(locations, w, log)
}

// Check returns the problems of a connector that it did not have when it was read. A change that interrupts a running
// task is also checked with the service, as long as there is time.
func (r *Reloader) Check(ctx context.Context, connector *resolved.Connector) config.Problems {
	problems := r.Changes.OriginProblems(ctx, connector)
	checker := r.Checker
	change := r.Changes.Change(connector, connector.Raw())
	origin := connector.System().Origin
	isDue := problems.Err() == nil && !r.timedOutOrigins[origin] && r.Changes.Interrupts(connector, change)
	isLate := time.Now().After(r.serviceDeadline)
	if isDue && !isLate {
		checker = r.Changes.Online(checker, change)
		checker.Lockouts = r.Lockouts
	}
	problems = append(problems, checker.Check(ctx, connector)...)
	switch {
	case isDue && !isLate:
		r.timedOutOrigins[origin] = check.TimedOut(problems)
	case isDue && problems.Err() == nil:
		problems = append(problems, connector.Locate(config.Problem{Setting: resolved.ClassSetting,
			Text: fmt.Sprintf("the change was not checked with the service, because checks of other changes took %v: "+
				"the check is repeated immediately", serviceTimeout)}))
		r.store.Refresh()
	}
	return slices.DeleteFunc(problems, func(p config.Problem) bool { return slices.Contains(connector.Problems, p) })
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
	var apply func(resolved.Change, bool) bool
	if !r.Group.InGroup() {
		apply = func(step resolved.Change, isNew bool) bool {
			r.apply(ctx, step, isNew)
			r.Lock.Yield()
			return !r.Superseded(snapshot)
		}
	}
	r.Reconcile(ctx, snapshot, r.herder.RunningConfigs(), r.Resolve(snapshot), r.Check, apply)
	if ctx.Err() == nil {
		r.isReconciled.Store(true)
	}
}

// CatchUp reconciles the connectors with the current snapshot of the store.
func (r *Reloader) CatchUp(ctx context.Context) error {
	if err := r.Lock.Lock(ctx); err != nil {
		return err
	}
	defer r.Lock.Unlock()
	if snapshot, ok := r.store.Snapshot(); ok {
		r.Reconcile(context.WithoutCancel(ctx), snapshot, r.herder.RunningConfigs(), r.Resolve(snapshot), r.Check, nil)
	}
	return nil
}

// Resolve returns the connectors of a snapshot, which replace the reloader's. The caller holds the lock. What a change
// does not concern is shared with the previous ones, so that each configuration is resolved once.
func (r *Reloader) Resolve(snapshot config.Snapshot) []*resolved.Connector {
	r.mu.Lock()
	defer r.mu.Unlock()
	previous := make(map[string]*resolved.Connector, len(r.connectors))
	for _, connector := range r.connectors {
		previous[connector.Name] = connector
	}
	r.connectors = make([]*resolved.Connector, len(snapshot.Connectors))
	for i, written := range snapshot.Connectors {
		if connector := previous[written.Name]; connector != nil {
			r.connectors[i] = connector.Current().Reread(written)
		} else {
			r.connectors[i] = r.Checker.Resolver().Resolve(written)
		}
	}
	return r.connectors
}

// accept lets the next [Reloader.Resolve] share what a check has resolved.
func (r *Reloader) accept(connector *resolved.Connector) {
	r.mu.Lock()
	defer r.mu.Unlock()
	others := slices.DeleteFunc(slices.Clone(r.connectors),
		func(other *resolved.Connector) bool { return other.Name == connector.Name })
	r.connectors = append(others, connector)
}

// Reconcile applies files of a snapshot to the running connectors. The caller holds the lock. find returns the problems
// of a connector that differs. apply applies a change and reports whether the next one follows; nil means that the
// herder applies all of them.
func (r *Reloader) Reconcile(ctx context.Context, snapshot config.Snapshot, running []resolved.RunningConnector,
	files []*resolved.Connector, find func(context.Context, *resolved.Connector) config.Problems,
	apply func(step resolved.Change, isNew bool) bool) {
	r.LogGlobalProblems(snapshot.Problems)
	if snapshot.Problems.Err() != nil {
		return
	}
	r.mu.Lock()
	progress := &rest.ReloadProgress{Started: time.Now().UTC().Format(time.RFC3339), Files: len(files)}
	r.progress = progress
	r.mu.Unlock()
	defer func() { // also after a panic
		r.mu.Lock()
		defer r.mu.Unlock()
		r.progress = nil
	}()
	// The checks of this reload share the following.
	r.Checker = r.Checker.WithConnectors(r.Connectors())
	r.serviceDeadline = time.Now().Add(serviceTimeout)
	r.Checker.Running = nil
	for _, current := range running {
		if current.Config != nil && !current.Rejected {
			r.Checker.Running = append(r.Checker.Running, current.Config)
		}
	}
	r.timedOutOrigins = map[string]bool{}
	examine := func(connector *resolved.Connector) config.Problems { return find(ctx, connector) }
	if apply == nil {
		apply = func(step resolved.Change, isNew bool) bool {
			r.apply(ctx, step, isNew)
			return true
		}
		if r.Group.InGroup() {
			examine = func(*resolved.Connector) config.Problems { return nil }
		}
		defer r.Group.Applied(snapshot)
	}
	outcome := reloadUnchanged
	isComplete := true
	for step := range resolved.Diff(running, files, examine) {
		if ctx.Err() != nil {
			return // the check is incomplete
		}
		r.mu.Lock()
		progress.Checked = min(progress.Checked+1, progress.Files)
		r.mu.Unlock()
		current, err := r.herder.RunningConfig(step.Name)
		if err == nil && step.Action == resolved.Reject && r.Group.InGroup() {
			// Other workers run the new settings, so no task continues with the previous ones here.
			step.KeepsRunning = step.KeepsRunning && maps.Equal(current.Raw, step.Connector.Raw())
		}
		isNew := r.logStep(step)
		switch {
		case step.Action == resolved.Reject && isNew:
			outcome = reloadRefused
		case step.Action != resolved.Reject && step.Action != resolved.NoChange && outcome == reloadUnchanged:
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
func (r *Reloader) apply(ctx context.Context, step resolved.Change, isNew bool) {
	var err error
	switch step.Action {
	case resolved.NoChange:
		err = r.herder.ReplaceEquivalent(step.Connector)
	case resolved.UpdateInPlace:
		err = r.herder.UpdateInPlace(step.Connector)
	case resolved.Create, resolved.Restart:
		r.herder.Put(step.Connector, r.Connectors())
	case resolved.Remove:
		err = r.herder.Remove(step.Name)
	case resolved.Reject:
		if step.KeepsRunning {
			err = r.herder.RejectConfig(step.Name, step.Problems)
		} else if isNew {
			r.herder.Put(step.Connector, r.Connectors()) // it becomes FAILED, with the reason
		}
	}
	if err != nil {
		r.Log.Error("an internal error of culvert: a reload", "connector", step.Name, "error", err)
	}
	if r.Reconciled() && r.Group.Membership().IsLeader { // not at the start; the leader makes the group's changes
		r.recordEvent(ctx, step, isNew)
	}
}

var eventKinds = map[resolved.Action]string{resolved.Create: "created", resolved.UpdateInPlace: "changed",
	resolved.Restart: "changed", resolved.Remove: "deleted", resolved.Reject: "rejected"}

// recordEvent adds a change to the events of its connector.
func (r *Reloader) recordEvent(ctx context.Context, step resolved.Change, isNew bool) {
	event := events.Event{Connector: step.Name, Kind: eventKinds[step.Action], Text: strings.Join(step.Settings, ", ")}
	if event.Kind == "" || (step.Action == resolved.Reject && !isNew) {
		return
	}
	if step.Action == resolved.Reject {
		event.Text = step.Problems.Error()
	}
	if step.Connector != nil {
		event.By = step.Connector.File
	}
	r.herder.Events().Record(ctx, event)
}

// logStep logs a change. isNew is false for a rejection that was logged before, which is not logged again.
func (r *Reloader) logStep(step resolved.Change) (isNew bool) {
	r.mu.Lock()
	previous := r.rejections[step.Name]
	delete(r.rejections, step.Name)
	if step.Action == resolved.Reject {
		r.rejections[step.Name] = step.Problems.Error()
	}
	isNew = r.rejections[step.Name] != previous
	r.mu.Unlock()
	log := r.Log.With("connector", step.Name)
	switch step.Action {
	case resolved.Create:
		log.Info("reload: a new connector", "file", step.Connector.File)
	case resolved.UpdateInPlace:
		log.Info("reload: settings have changed; the tasks continue with them", "file", step.Connector.File,
			"settings", step.Settings)
	case resolved.Restart:
		log.Info("reload: settings have changed; the tasks are restarted", "file", step.Connector.File,
			"settings", step.Settings)
	case resolved.Remove:
		log.Info("reload: the connector's file was deleted; the connector stops, its offsets remain")
	case resolved.NoChange:
		if previous != "" {
			log.Info("reload: the file has the running configuration again", "file", step.Connector.File)
		}
	case resolved.Reject:
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
	if step.Action != resolved.Reject {
		for _, p := range step.Problems {
			log.Warn(p.String())
		}
	}
	return isNew
}

// Connectors returns the connectors of the store.
func (r *Reloader) Connectors() []*resolved.Connector {
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

// Reconciled reports whether the herder has the connectors of the store: a standalone worker starts with them, in a
// group they are reconciled with the store first.
func (r *Reloader) Reconciled() bool { return r.isReconciled.Load() }

// ApplyOne applies the stored configuration of one connector, even if ctx has ended. checked is that configuration with
// its warnings, nil after a deletion. The lock is held.
func (r *Reloader) ApplyOne(ctx context.Context, name string, checked *resolved.Connector, warnings config.Problems) {
	if checked != nil {
		r.accept(checked)
	}
	snapshot, _ := r.store.Snapshot()
	var running []resolved.RunningConnector
	if current, err := r.herder.RunningConfig(name); err == nil {
		running = append(running, current)
	}
	files := slices.DeleteFunc(slices.Clone(r.Resolve(snapshot)),
		func(connector *resolved.Connector) bool { return connector.Name != name })
	checkWarnings := func(_ context.Context, connector *resolved.Connector) (problems config.Problems) {
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
func (r *Reloader) Report(connectors []resolved.RunningConnector, problems []string) rest.Reload {
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
