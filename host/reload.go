package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/host/check"
	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/rest"
	"github.com/culvert-project/culvert/wit"
)

// reloader brings the connectors that run to what folders of files say, each time that they say something else. A
// connector is checked whole before anything of it is touched; one that is bad, or whose file is, runs on as it was,
// and all others are none of its business.
type reloader struct {
	host    *Host
	store   config.Store
	checker check.Checker
	log     *slog.Logger
	// asksUntil is when the current reload must stop asking services, silent holds origins that did not answer it in
	// time; applying is held.
	asksUntil time.Time
	silent    map[string]bool

	// applying is held while connectors are brought to a snapshot, and while REST writes one: a snapshot of the time
	// before would undo it.
	applying guard.Turn
	// applied: a snapshot was taken in once.
	applied atomic.Bool

	mu       sync.Mutex
	problems config.Problems // of no connector
	refused  map[string]string
	counts   map[string]int64    // reloads, by what they came to
	last     time.Time           // when something was changed last
	files    []*config.Connector // all, as they were found last
}

// What a reload came to.
const (
	reloadUnchanged = "unchanged"
	reloadApplied   = "applied"
	reloadRefused   = "refused" // at least one connector's change was
)

func newReloader(h *Host, store config.Store, applying guard.Turn) *reloader {
	r := &reloader{host: h, store: store, checker: *h.checker,
		log: h.log, problems: h.in.Shadowed, applying: applying,
		files: h.in.Connectors, refused: map[string]string{}, counts: map[string]int64{reloadUnchanged: 0,
			reloadApplied: 0, reloadRefused: 0}}
	for _, c := range h.in.Connectors {
		if err := c.Problems.Err(); err != nil {
			r.refused[c.Name] = err.Error() // which was logged
		}
	}
	return r
}

// folder is the store of the worker's files, given the connectors that were read.
func (h *Host) folder(connectors []*config.Connector) *config.FolderStore {
	places := config.Locations{Folder: h.config.Files.Folder, REST: h.config.Files.REST, TargetStates: h.targets}
	if places.Folder == "" {
		for _, c := range connectors {
			if !h.config.Files.IsRESTConnector(c) {
				places.Files = append(places.Files, c)
			}
		}
	}
	return config.NewFolderStore(places, h.in.Worker, h.log)
}

// check finds the problems of a connector that are not known yet: files that were named one by one have those of the
// worker's start.
func (r *reloader) check(ctx context.Context, c *config.Connector) config.Problems {
	problems, elsewhere := r.checker.Check(ctx, c), r.host.elsewhere(ctx, c)
	if problems.Err() == nil && elsewhere.Err() == nil {
		checker := r.checker
		checker.Lockouts = r.host.lockouts
		sent := worker{r.host}.sent(&checker, c, c.Raw())
		switch origin := check.Origin(c, sent.Declarations); {
		case r.silent[origin] || !r.host.mayStop(c, sent):
		case time.Now().After(r.asksUntil):
			problems = append(problems, c.Locate(config.Problem{Setting: "connector.class", Text: fmt.Sprintf("the "+
				"service was not asked whether this change is right, since services took %v to answer about others: "+
				"it is asked again at once", reloadAsks)}))
			r.store.Refresh()
		default:
			if judged := r.host.judge(ctx, checker, c, sent); judged != nil {
				problems = judged // which have again what was found before
			}
			r.silent[origin] = check.Silent(problems)
		}
	}
	return slices.DeleteFunc(append(problems, elsewhere...), func(p config.Problem) bool {
		return slices.Contains(c.Problems, p)
	})
}

// reloadAsks is how long one reload may ask services about changes, whose answers it waits for one after the other.
const reloadAsks = 5 * time.Second

// mayStop tells whether a configuration would take the place of one of which something runs.
func (h *Host) mayStop(c *config.Connector, sent config.ConfigChange) bool {
	if sent.Stored == nil || maps.Equal(sent.Stored.Raw(), c.Raw()) {
		return false
	}
	s, err := worker{h}.herderOf(h.now()).Status(c.Name)
	return err == nil && slices.ContainsFunc(s.Tasks, func(t connect.TaskStatus) bool {
		return t.State == connect.Running
	})
}

// judge asks the service about a configuration without known problems that would replace one that runs, see
// [Host.mayStop]. An error that only the service can find, such as a misspelt entity set, would otherwise end the run.
func (h *Host) judge(ctx context.Context, k check.Checker, c *config.Connector,
	sent config.ConfigChange) config.Problems {
	k.Wait, k.Logon = check.OnlineTime, k.Logon || sent.HasCompleteCredentials()
	return k.CheckOnline(ctx, c)
}

// elsewhere finds what keeps a connector that runs from going on at another origin.
func (h *Host) elsewhere(ctx context.Context, c *config.Connector) config.Problems {
	now, unknown := h.running.herder.RunningConfig(c.Name)
	_, component, err := check.Find(h.running.plugins, c.Text("connector.class"), c.Text("connector.plugin.version"),
		wit.ComponentSource)
	if unknown != nil || err != nil || now.Config.Text("connector.class") != c.Text("connector.class") {
		return nil
	}
	problems, err := check.Moved(now.Config, c, component, func() ([]string, error) {
		return h.running.herder.Fingerprints(ctx, c.Name)
	})
	if err != nil {
		problems = config.Problems{{File: c.File, Text: err.Error()}}
	}
	return problems
}

// watch calls apply with the content of the folder each time it has changed, until ctx ends.
func (r *reloader) watch(ctx context.Context, apply func(context.Context, config.Snapshot)) {
	defer guard.Recover(r.log, "following the folder of connectors", nil)
	if r.host.running.plugins.Loaded(ctx) != nil {
		return
	}
	r.store.Watch(ctx, func(s config.Snapshot) {
		_ = guard.Do(r.log, "a reload", func() error { // the next one may do
			apply(ctx, s)
			return nil
		})
	})
}

// reload does what a snapshot takes.
func (r *reloader) reload(ctx context.Context, s config.Snapshot) {
	if r.applying.Lock(ctx) != nil {
		return // the worker stops
	}
	defer r.applying.Unlock()
	if r.store.IsStale(s) {
		if s.Requested {
			r.store.Refresh()
		}
		return // the next one follows
	}
	r.bring(ctx, s, r.host.running.herder.RunningConfigs(), s.Connectors, r.check, nil)
	r.applied.Store(ctx.Err() == nil)
}

// bring applies the files of a snapshot to the connectors in have, which are theirs; r.applying is held. found are the
// problems of a connector that differs. do carries out a step; nil means that the herder does.
func (r *reloader) bring(ctx context.Context, s config.Snapshot, have []config.RunningConnector,
	files []*config.Connector,
	found func(context.Context, *config.Connector) config.Problems, do func(step config.Change, news bool)) {
	r.general(s.Problems)
	if s.Problems.Err() != nil {
		return
	}
	herder := r.host.running.herder
	r.mu.Lock()
	r.files = s.Connectors
	r.mu.Unlock()
	r.checker, r.asksUntil = r.checker.Among(s.Connectors), time.Now().Add(reloadAsks)
	r.silent = map[string]bool{}
	check := func(c *config.Connector) config.Problems { return found(ctx, c) }
	if do == nil {
		do = func(step config.Change, news bool) { r.do(herder, step, s.Connectors, news) }
		if c := r.host.clustered; c != nil { // who plans a connector checks it: one worker, and not each of them
			check = func(*config.Connector) config.Problems { return nil }
			defer c.brought(s, herder)
		}
	}
	plan := config.Diff(have, files, check, r.checker.Declared)
	if ctx.Err() != nil {
		return // what a check has found was cut off
	}
	outcome := reloadUnchanged
	for _, step := range plan {
		if now, err := herder.RunningConfig(step.Name); err == nil && step.Action == config.Reject &&
			r.host.clustered != nil {
			// Others run the new settings by now: here nothing goes on with those before.
			step.KeepsRunning = step.KeepsRunning && maps.Equal(now.Raw, step.Connector.Raw())
		}
		news := r.say(step)
		switch {
		case step.Action == config.Reject && news:
			outcome = reloadRefused
		case step.Action != config.Reject && step.Action != config.NoChange && outcome == reloadUnchanged:
			outcome = reloadApplied
		}
		do(step, news)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if outcome != reloadUnchanged || s.Requested {
		r.counts[outcome]++
	}
	if outcome != reloadUnchanged {
		r.last = time.Now()
	}
	if s.Requested {
		r.log.Info("the folder of connectors was read again, as was asked for", "config", r.host.config.Files.Folder,
			"outcome", outcome)
	}
}

func (r *reloader) do(herder *connect.Herder, step config.Change, all []*config.Connector, news bool) {
	var err error
	switch step.Action {
	case config.NoChange:
		err = herder.ReplaceEquivalent(step.Connector)
	case config.UpdateInPlace:
		err = herder.UpdateInPlace(step.Connector)
	case config.Create, config.Restart:
		herder.Put(step.Connector, all)
	case config.Remove:
		err = r.host.forget(herder, step.Name)
	case config.Reject:
		if step.KeepsRunning {
			err = herder.RejectConfig(step.Name, step.Problems)
		} else if news {
			herder.Put(step.Connector, all) // it is FAILED, and says why
		}
	}
	if err != nil {
		r.log.Error("a mistake in culvert: a reload", "connector", step.Name, "error", err)
	}
}

// forget removes a connector, with what is kept of it.
func (h *Host) forget(herder *connect.Herder, name string) error {
	if h.clustered != nil {
		return herder.Remove(name)
	}
	h.steering.Lock()
	defer h.steering.Unlock()
	return errors.Join(herder.Remove(name), h.targets.Forget(name))
}

// say logs a step; news: it is not the refusal that was logged before.
func (r *reloader) say(step config.Change) (news bool) {
	r.mu.Lock()
	before := r.refused[step.Name]
	if delete(r.refused, step.Name); step.Action == config.Reject {
		r.refused[step.Name] = step.Problems.Error()
	}
	news = r.refused[step.Name] != before
	r.mu.Unlock()
	log := r.log.With("connector", step.Name)
	switch step.Action {
	case config.Create:
		log.Info("reload: a new connector", "file", step.Connector.File)
	case config.UpdateInPlace:
		log.Info("reload: settings have changed, and its tasks go on with them", "file", step.Connector.File,
			"settings", step.Settings)
	case config.Restart:
		log.Info("reload: settings have changed, and its tasks are created again", "file", step.Connector.File,
			"settings",
			step.Settings)
	case config.Remove:
		log.Info("reload: its file is gone, and it stops; its offsets stay")
	case config.NoChange:
		if before != "" {
			log.Info("reload: its file says again what it runs with", "file", step.Connector.File)
		}
	case config.Reject:
		if !news {
			return false
		}
		what := "reload: a change is refused, and what ran goes on: "
		if !step.KeepsRunning {
			what = "reload: a connector's file is refused, the others run: "
		}
		for _, p := range step.Problems {
			if !p.Warning {
				log.Error(what + p.String())
			}
		}
	}
	if step.Action != config.Reject {
		for _, p := range step.Problems {
			log.Warn(p.String())
		}
	}
	return news
}

// all are the connectors of the folder.
func (r *reloader) all() []*config.Connector {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.files
}

// general notes problems of no connector, and logs those that are new.
func (r *reloader) general(problems config.Problems) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range problems {
		switch {
		case slices.Contains(r.problems, p):
		case p.Warning:
			r.log.Warn("reload: " + p.String())
		default:
			r.log.Error("reload: " + p.String())
		}
	}
	if r.problems.Err() != nil && problems.Err() == nil {
		r.log.Info("reload: the folder of connectors can be read again", "config", r.host.config.Files.Folder)
	}
	r.problems = problems
}

// outcomes are how many reloads there were, by what they came to.
func (r *reloader) outcomes() map[string]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.counts)
}

// followed is what follows the worker's files, nil before it does.
func (n running) followed() *reloader {
	if n.folder != nil {
		return n.folder.files
	}
	return n.reloads
}

// Reload is what REST says of reloads; again: the folder is read again.
func (w worker) Reload(again bool) (rest.Reload, bool) {
	now := w.host.now()
	r, herder := now.followed(), now.herder
	if r == nil || herder == nil || w.host.config.Files.Folder == "" {
		return rest.Reload{}, false
	}
	if again {
		w.host.Reload()
	}
	have, problems := herder.RunningConfigs(), []string{}
	if now.folder != nil {
		have, problems = now.folder.shown()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	answer := rest.Reload{Folder: w.host.config.Files.Folder, Reloads: maps.Clone(r.counts),
		Connectors: []rest.Reloaded{}, Problems: problems}
	if !r.last.IsZero() {
		answer.Last = r.last.UTC().Format(time.RFC3339)
	}
	for _, p := range r.problems {
		answer.Problems = append(answer.Problems, p.String())
	}
	for _, n := range have {
		answer.Connectors = append(answer.Connectors, rest.Reloaded{Name: n.Name, File: n.File,
			Error: r.refused[n.Name]})
	}
	return answer, true
}
