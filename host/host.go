// Package host runs a worker: it reads its configuration, opens plugins and Kafka, and runs connectors. It is the API
// for programs that embed culvert: host.New(ctx, config), then Run.
package host

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/culvert-project/culvert/host/check"
	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/console"
	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/base/lock"
	"github.com/culvert-project/culvert/host/internal/run/offset"
	"github.com/culvert-project/culvert/host/internal/run/tracing"
	"github.com/culvert-project/culvert/host/internal/sampling"
	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/host/logging"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/host/rest"
	"github.com/culvert-project/culvert/host/secret"
	"github.com/culvert-project/culvert/host/transport/lockouts"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

// Config says what to run.
type Config struct {
	// Files of the worker and of its connectors.
	Files config.Files
	// Settings of the worker that go before its file, by name; Environ is the environment as os.Environ gives it, of
	// which CULVERT_… count.
	Settings map[string]string
	Environ  []string
	// Data is the folder of the embedded broker and of caches. Default culvert-data.
	Data string
	// Plugins are folders with .wasm files, besides plugin.path. They are watched.
	Plugins []string
	// Embedded holds the plugins that come with the program, nil for none.
	Embedded fs.FS
	// Once ends Run when everything that is there has arrived: see [connect.Herder.RunOnce].
	Once bool
	// ResumeLogons has secrets that a service refused tried once more: see [lockouts.Store].
	ResumeLogons bool
	// Compiling hears how long plugins are compiled at the start, where that has to be: see [plugin.Options]. Default:
	// lines of the Logger.
	Compiling func(took time.Duration)
	// alone: it joins no group, whatever its settings say. adopts: its group gets the connectors of the data folder.
	// offline: it runs no connectors, see [Offline].
	alone, adopts, offline bool
	// Logger. Default slog.Default().
	Logger *slog.Logger
}

// complete sets what is not given to its default.
func (c *Config) complete() {
	c.Data = cmp.Or(c.Data, "culvert-data")
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
}

// SetupError is in the errors of what is wrong with the configuration or the surroundings, rather than with a task.
type SetupError struct{ Cause error }

func (e *SetupError) Error() string { return e.Cause.Error() }
func (e *SetupError) Unwrap() error { return e.Cause }

// Host is a worker. Run may be called once.
type Host struct {
	config   Config
	log      *slog.Logger
	levels   *logging.Levels
	recent   *logging.Recent
	in       *config.Installation
	kafka    kafka.Config
	registry *record.Registry
	lockouts *lockouts.Store
	locked   *lock.Lock // of the data folder; nil where it has none

	// targets are what users want their connectors to do; a run that ends by itself has none. steering is held while
	// one of them changes, together with its connector.
	targets  *config.TargetStates
	steering sync.Mutex

	// checker is what configurations are checked with.
	checker *check.Checker
	rates   rates
	// samples are rows that REST shows.
	samples *sampling.Sampler
	// clustered is what the worker shares with others of its group; nil: it is alone.
	clustered *clustered

	mu      sync.Mutex
	running *running
}

// now is what the worker has opened by now.
func (h *Host) now() running {
	h.mu.Lock()
	defer h.mu.Unlock()
	return *h.running
}

// opened notes what the worker has opened.
func (h *Host) opened(note func(*running)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	note(h.running)
}

// running is what the worker has opened by now; the host's lock guards it.
type running struct {
	plugins *plugin.Manager // nil while they are loaded
	reloads *reloader       // nil in a run that ends by itself, too
	folder  *groupFolder    // nil where the worker is alone, too
	herder  *connect.Herder // nil while the worker starts
	tracer  *tracing.Tracer // nil where nothing is traced
	rest    *rest.Server
	cluster string // the id of Kafka's, "" while the worker starts
}

// New locks the data folder, reads the configuration, opens REST's listeners, opens the plugins that the connectors
// need and checks the connectors with them; other plugins are loaded later, so that they delay nothing. It sends
// nothing. Errors are a [SetupError], of config.Problems where it is the configuration, or that of ctx; warnings are
// logged.
func New(ctx context.Context, c Config) (*Host, error) {
	limitMemory()
	c.complete()
	if err := os.MkdirAll(c.Data, 0o755); err != nil {
		return nil, &SetupError{fmt.Errorf("data folder: %w", err)}
	}
	// Before the lock: who resumes logons may do so while a worker runs, which goes on then.
	lockouts, err := openLockouts(&c)
	if err != nil {
		return nil, &SetupError{err}
	}
	locked, err := lockData(c.Data, c.Logger)
	if err != nil {
		return nil, &SetupError{err}
	}
	var targets *config.TargetStates
	if own, _, err := config.LoadWorker(c.Files.Worker, c.Environ, c.Settings); err == nil && c.inGroup(own) &&
		!c.adopts {
		// Connectors and what they are to do stand in the group's topics.
		if err := noneOfBefore(c); err != nil {
			locked.Release()
			return nil, &SetupError{err}
		}
	} else if !c.Once {
		// In a run that ends by itself what was made by REST, and what was paused, would be a surprise.
		var refused config.Problems
		if targets, refused, err = c.openStored(); err == nil && c.adopts {
			err = refused.Err() // a group that adopts the others would lose these connectors
		}
		if err != nil {
			locked.Release()
			return nil, &SetupError{err}
		}
		for _, p := range refused {
			c.Logger.Error("a connector of an earlier version, which was made by REST, does not run: mend its file, "+
				"then start the worker again: "+p.String(), "file", p.File)
		}
	}
	h, problems, err := open(ctx, c, true)
	if err != nil {
		locked.Release()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &SetupError{err}
	}
	if h.clustered != nil {
		h.clustered.share(lockouts)
		h.checker.Destinations = h.clustered.destinations
	}
	h.targets = targets
	h.examineOffline(ctx, true)
	if c.Once {
		for _, k := range h.in.Connectors {
			if k.InitialTarget() != config.TargetStarted {
				k.Problems = append(k.Problems, config.Problem{File: k.InitialState.File, Line: k.InitialState.Line,
					Setting: k.InitialState.Key, Text: "expected RUNNING in a run with --once, found " +
						k.InitialState.Raw})
			}
		}
	}
	h.locked, h.lockouts = locked, lockouts
	if ctx.Err() != nil {
		h.Close()
		return nil, ctx.Err()
	}
	if err := h.refuse(problems); err != nil {
		h.Close()
		return nil, &SetupError{err}
	}
	for _, p := range slices.Concat(problems, h.in.Problems(), h.in.Shadowed) {
		if p.Warning {
			h.log.Warn(p.String())
		} else {
			h.log.Error("a connector's file is refused, the others run: " + p.String())
		}
	}
	if len(c.Files.Connectors) == 0 && h.clustered == nil {
		h.log.Warn("there are no connectors to run: no connector file found", "config", c.Files.Folder)
	}
	return h, nil
}

// openStored opens what a worker without a group keeps in its data folder: the connectors that REST has made, into
// c.Files, and the target states of all connectors. It imports connectors of an earlier version from DATA/connectors,
// unless that folder holds files that the user has given. The problems are those of files that cannot be imported.
func (c *Config) openStored() (targets *config.TargetStates, problems config.Problems, err error) {
	if targets, err = config.OpenTargetStates(filepath.Join(c.Data, statesFile)); err != nil {
		return nil, nil, err
	}
	if c.Files.REST, err = config.OpenConnectorsFile(filepath.Join(c.Data, connectorsFile)); err != nil {
		return nil, nil, err
	}
	folder := filepath.Join(c.Data, "connectors")
	if c.Files.UsesFolder(folder) {
		if c.Files.Folder == "" {
			c.Logger.Warn("files that were given lie in the folder where an earlier version kept the connectors that "+
				"were made by REST: nothing there is imported, and what was made by REST there does not run", "folder",
				folder)
		}
		return targets, nil, nil
	}
	imported, problems, err := c.Files.REST.Import(folder, targets)
	if len(imported) > 0 {
		c.Logger.Info("connectors that were made by REST in an earlier version are kept in one file from now on",
			"folder", folder, "file", filepath.Join(c.Data, connectorsFile), "connectors", imported)
	}
	return targets, problems, err
}

// refuse is what keeps the worker from running: problems of its own, and those of its connectors unless they come from
// a folder in which another one is sound, were made by REST, which can mend them, or come from files in the plugin
// folders, which may be anybody's.
func (h *Host) refuse(problems config.Problems) error {
	var given []*config.Connector
	for _, c := range h.in.Connectors {
		if !h.config.Files.IsRESTConnector(c) {
			given = append(given, c)
		}
	}
	sound := slices.ContainsFunc(given, func(c *config.Connector) bool { return c.Problems.Err() == nil })
	if h.config.Files.Folder == "" || !sound {
		for _, c := range given {
			for _, p := range c.Problems {
				if !p.ConnectorOnly {
					problems = append(problems, p)
				}
			}
		}
	}
	return problems.Err()
}

// Check returns all problems of a configuration, warnings included. It sends nothing. The error is for files that
// cannot be read.
func Check(ctx context.Context, c Config) (Checked, error) {
	return checkBy(ctx, c, func(h *Host, worker config.Problems) config.Problems {
		h.examineOffline(ctx, false)
		return worker
	})
}

// checkBy is Check by what examine does with the connectors; it is given the problems of the worker and returns those
// that count.
func checkBy(ctx context.Context, c Config, examine func(*Host, config.Problems) config.Problems) (all Checked,
	err error) {
	h, problems, err := open(ctx, c, false)
	if err != nil {
		return all, err
	}
	defer h.Close()
	if h.in.Worker.InGroup() {
		for _, c := range h.in.Connectors {
			c.Problems = append(c.Problems, h.in.Worker.SharedProblems(c, check.Passwords(h.now().plugins))...)
		}
	}
	problems = examine(h, problems)
	all.Problems = append(problems, h.in.Problems()...)
	for _, c := range h.in.Connectors {
		if c.Problems.Err() == nil {
			all.Good = append(all.Good, c)
		}
	}
	return all, nil
}

// CheckWithoutSecrets is Check where references to config providers that lead to nothing are taken as present, as on a
// machine that does not have the secrets. Problems of settings with such a reference are left out, and so are those of
// other settings that the reference alone may have caused.
func CheckWithoutSecrets(ctx context.Context, c Config) (Checked, error) {
	return checkBy(ctx, c, func(h *Host, worker config.Problems) config.Problems {
		h.examineOffline(ctx, false)
		absent := h.in.Worker.UnresolvedKeys()
		for _, connector := range h.in.Connectors {
			connector.Problems = config.WithoutUnresolved(connector.Problems, connector.UnresolvedKeys(absent...))
		}
		return config.WithoutUnresolved(worker, absent)
	})
}

// CheckOnline is Check where connectors' plugins ask their services, too, and wait so long for each. A connector in
// which something is wrong already is left alone: what stands there in place of a password that can't be had, say,
// would be shown to the service. The data folder is not locked: refused logons are looked up and noted while a worker
// runs.
func CheckOnline(ctx context.Context, c Config, wait time.Duration) (Checked, error) {
	c.complete()
	lockouts, err := OpenLockouts(c.Data)
	if err != nil {
		return Checked{}, err
	}
	all, err := checkBy(ctx, c, func(h *Host, worker config.Problems) config.Problems {
		checker := h.checker.Among(h.in.Connectors)
		checker.Lockouts, checker.Wait, checker.Logon = lockouts, wait, true
		h.examine(false, func(connector *config.Connector) config.Problems {
			offline := checker.Check(ctx, connector)
			if connector.Problems.Err() != nil || offline.Err() != nil {
				return offline
			}
			all := append(checker.CheckOnline(ctx, connector), checker.Registries(ctx, connector)...)
			for i := range all { // the former have again what was found offline
				all[i].Warning = all[i].Warning && all[i].Code != setting.CodeNotChecked // no success without an answer
			}
			return all
		})
		return worker
	})
	return all, cmp.Or(err, ctx.Err())
}

// Checked is what a check has found.
type Checked struct {
	config.Problems
	// Good are the connectors in which nothing is wrong.
	Good []*config.Connector
}

// examine adds what check finds to the problems that each connector has from its file.
func (h *Host) examine(toRun bool, check func(*config.Connector) config.Problems) {
	for _, connector := range h.in.Connectors {
		// What will not run anyway is not looked at with plugins that were not loaded for it.
		if connector.Problems.Err() == nil || !toRun && len(connector.Entries) > 0 {
			connector.Problems = append(connector.Problems, check(connector)...)
		}
	}
}

// examineOffline is examine by what can be known without asking services.
func (h *Host) examineOffline(ctx context.Context, toRun bool) {
	checker := h.checker.Among(h.in.Connectors)
	h.examine(toRun, func(c *config.Connector) config.Problems { return checker.Check(ctx, c) })
}

// open reads the configuration and opens the plugins. The problems are the worker's, each connector has those of its
// file. toRun: REST listens before anything is compiled, and plugins that no connector needs wait.
func open(ctx context.Context, c Config, toRun bool) (_ *Host, _ config.Problems, err error) {
	c.complete()
	var levels *logging.Levels
	levels, c.Logger = logging.Of(c.Logger)
	in, problems, err := config.Load(c.Files, c.Environ, c.Settings)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = secret.Error(err, in.Worker.Redact) }()
	recent := &logging.Recent{}
	c.Logger = logging.Struck(logging.Remembered(c.Logger, recent), in.Worker.Redact)
	h := &Host{config: c, log: c.Logger, levels: levels, recent: recent, registry: record.NewRegistry(), in: in,
		checker: &check.Checker{}, running: &running{}}
	h.samples = sampling.New(h.registry, in.Worker.Redact)
	if toRun && c.inGroup(in.Worker) {
		if h.clustered, err = newClustered(h); err != nil {
			problems = append(problems, in.Worker.Locate(err))
		} else if !c.adopts { // what runs is in the config topic
			h.clustered.given, in.Connectors = in.Connectors, nil
		}
	}
	problems, embedded := h.readSettings(ctx, problems, toRun)
	defer func() {
		if err != nil {
			h.Close()
		}
	}()
	var needed []plugin.Needed
	if toRun {
		if needed = neededBy(in.Connectors); problems.Err() == nil {
			if err := h.listen(); err != nil {
				return nil, nil, err
			}
		}
	}
	// Where REST listens, more connectors may come, in a run that ends by itself too.
	plugins, err := openPlugins(ctx, c, in.Worker, h.registry, needed, c.Once && !in.Worker.IsSet("listeners"))
	if err != nil {
		return nil, nil, err
	}
	h.opened(func(r *running) { r.plugins = plugins })
	*h.checker = check.Checker{Worker: in.Worker, Plugins: plugins, Kafka: h.kafka, Embedded: embedded,
		Registry: h.registry, Connectors: in.Connectors, Plans: &check.Plans{}, Logger: h.log}
	return h, problems, nil
}

// readSettings reads the worker's own settings, those of Kafka into the host, and returns the problems that are known
// together with what is wrong with the settings that are in none of those: all of it, so that it is mended at once.
// embedded: the worker brings its own Kafka. toRun: the levels of loggers are set, too.
func (h *Host) readSettings(ctx context.Context, problems config.Problems, toRun bool) (_ config.Problems,
	embedded bool) {
	add := func(err error) { // two sides may say the same of one setting: of a key store that both use, say
		if p := h.in.Worker.Locate(err); !slices.Contains(problems, p) {
			problems = append(problems, p)
		}
	}
	sound := h.in.Worker.ValidSettings(problems)
	if toRun {
		if err := h.setLevels(sound); err != nil {
			add(err)
		}
	}
	var err error
	var warnings config.Problems
	if h.kafka, warnings, err = kafka.Parse(ctx, sound); err != nil {
		add(err)
	}
	h.kafka.Figures = kafka.NewFigures()
	h.kafka.Follow(h.in.Worker.Current)
	if _, known := sound["security.protocol"]; known { // else nobody knows what has an effect
		for _, w := range warnings {
			add(w)
		}
	}
	_, wrong := offset.ParseConfig(sound)
	for _, p := range wrong {
		add(p)
	}
	if _, err := kafka.OverridePolicy(h.in.Worker.Text(kafka.OverridePolicySetting),
		h.in.Worker.Text(kafka.OverrideAllowlistSetting)); err != nil {
		add(err)
	}
	_, embedded, err = kafka.EmbeddedListen(h.kafka.Bootstrap)
	if err != nil {
		add(err)
	}
	if err := restOptions(h.in.Worker).Check(); err != nil {
		add(err)
	}
	if _, err := tracingOptions(h.in.Worker, h.config.Environ); err != nil {
		add(err)
	}
	if slices.Contains(h.in.Worker.List("metrics.names"), "confluent") {
		add(config.Problem{Setting: "metrics.names", Warning: true, Text: "/metrics has Strimzi's names alone; for " +
			"Confluent's dashboards put the metric_relabel_configs of examples/monitoring/confluent.yaml into " +
			"Prometheus' scrape job"})
	}
	if classes := h.in.Worker.Text("rest.extension.classes"); classes != "" {
		add(rest.ErrExtensions(classes))
	}
	problems = append(problems, check.WorkerConverters(h.in.Worker)...)
	h.kafka.Logger = h.log
	_, missing := h.in.Worker.PluginFolders()
	return append(problems, missing...), embedded
}

// setLevels sets the levels of loggers that the worker's settings name, each before those below it, which it would set,
// too.
func (h *Host) setLevels(settings map[string]string) error {
	set := map[string]string{}
	for key, level := range settings {
		if name, ok := strings.CutPrefix(key, config.LoggerLevelPrefix); ok {
			set[name] = level
		}
	}
	above := func(a, b string) int {
		if isRoot := strings.EqualFold(a, logging.Root); isRoot != strings.EqualFold(b, logging.Root) {
			return map[bool]int{true: -1, false: 1}[isRoot]
		}
		return strings.Compare(a, b)
	}
	for _, name := range slices.SortedFunc(maps.Keys(set), above) {
		_, lines, err := h.levels.Set(name, set[name])
		if err != nil {
			return config.Problem{Setting: config.LoggerLevelPrefix + name, Text: err.Error()}
		}
		if !lines {
			h.log.Warn(logging.NoLines, "logger", name, "level", set[name], "loggers", logging.Loggers())
		}
	}
	return nil
}

// neededBy are the classes of plugins that connectors name.
func neededBy(connectors []*config.Connector) []plugin.Needed {
	needed := []plugin.Needed{}
	add := func(class, version string) {
		if n := (plugin.Needed{Class: class, Version: version}); class != "" && !slices.Contains(needed, n) {
			needed = append(needed, n)
		}
	}
	for _, c := range connectors {
		if c.Problems.Err() != nil {
			continue
		}
		add(c.Text("connector.class"), c.Text("connector.plugin.version"))
		stages, _ := c.Stages()
		for _, s := range stages {
			add(s.Class, s.Version)
			if s.Predicate != nil {
				add(s.Predicate.Class, s.Predicate.Version)
			}
		}
	}
	return needed
}

// OpenPlugins opens the plugins of a configuration alone: those that are built in, those of plugin.path and of the
// folders.
func OpenPlugins(ctx context.Context, c Config, w *config.Worker, registry *record.Registry) (*plugin.Manager, error) {
	return openPlugins(ctx, c, w, registry, nil, false)
}

// openPlugins is OpenPlugins where those that are needed come first, nil: all are waited for; only: the others are left
// alone.
func openPlugins(ctx context.Context, c Config, w *config.Worker, registry *record.Registry, needed []plugin.Needed,
	only bool) (*plugin.Manager, error) {
	folders, _ := w.PluginFolders()
	folders = append(folders, c.Plugins...)
	return plugin.New(ctx, plugin.Options{Folders: folders, Embedded: c.Embedded, CacheDir: cacheFolder(c.Data, w),
		History: historyFile(c.Data), Settings: w.All(),
		Registry: registry, Logger: c.Logger, Compiling: c.Compiling, Watch: len(folders) > 0, Needed: needed,
		NeededOnly: only, MemoryBytes: guestMemory(w)})
}

// historyFile is where it is kept what versions of plugins have declared that ran: in the data folder, and nowhere
// where there is none.
func historyFile(data string) string {
	if info, err := os.Stat(data); err != nil || !info.IsDir() {
		return ""
	}
	return filepath.Join(data, "plugins.adopted.json")
}

// cacheFolder returns the folder for compiled plugins: cache.dir, else a folder in the data folder if that exists, else
// one in the user's cache folder. If it cannot be created, "" is returned, and plugins are compiled at each start.
func cacheFolder(data string, w *config.Worker) string {
	if dir := w.Text("cache.dir"); dir != "" {
		return dir
	}
	if info, err := os.Stat(data); err != nil || !info.IsDir() {
		user, err := os.UserCacheDir()
		if err != nil {
			return ""
		}
		data = filepath.Join(user, "culvert")
	}
	dir := filepath.Join(data, "plugins.cache")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return ""
	}
	return dir
}

// Run runs the worker until ctx ends and everything has stopped; with Once until everything has arrived. An error is a
// [SetupError] before anything runs, or why a worker of a group cannot read the config topic any more; else the faults
// of tasks and connectors, with Once alone: each a [connect.Failure], and in a SetupError where the file of one of them
// is refused.
func (h *Host) Run(ctx context.Context) (err error) {
	defer func() { err = secret.Error(err, h.in.Worker.Redact) }()
	closing, err := h.start(ctx)
	defer closing.close()
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil:
		return err
	case h.config.Once:
		err := h.running.herder.RunOnce(ctx) // stopped or not: what had failed has failed
		if h.in.Problems().Err() != nil {
			return &SetupError{err}
		}
		return err
	}
	var store config.Store
	var folder *groupFolder
	var watching sync.WaitGroup
	ctx, end := context.WithCancel(ctx)
	applying := guard.NewTurn()
	if h.clustered == nil {
		store = h.folder(h.in.Connectors)
	} else {
		store, folder = h.clustered.store, newGroupFolder(h.clustered, applying)
		watching.Go(func() { folder.files.watch(ctx, folder.apply) })
	}
	r := newReloader(h, store, applying)
	h.opened(func(n *running) { n.reloads, n.folder = r, folder })
	watching.Go(func() { r.watch(ctx, r.reload) })
	defer watching.Wait()
	defer end()
	if h.clustered == nil {
		h.running.herder.Run(ctx)
		return nil
	}
	// The group hears of it before the tasks stop, so that others have them by then.
	herding, stop := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() {
		defer guard.Vital("the connectors")
		h.running.herder.Run(herding)
	})
	err = h.clustered.run(ctx)
	stop()
	running.Wait()
	return err
}

// Reload has the folders of connectors read again, whether or not they seem to have changed; before Run has opened
// everything it does nothing.
func (h *Host) Reload() {
	now := h.now()
	if now.reloads != nil {
		now.reloads.store.Refresh()
	}
	if now.folder != nil {
		now.folder.files.store.Refresh()
	}
}

// closers are closed in the opposite order.
type closers []func()

func (c *closers) add(f func()) { *c = append(*c, f) }

func (c closers) close() {
	for i := len(c) - 1; i >= 0; i-- {
		c[i]()
	}
}

// start opens Kafka and the offsets, and makes the herder. What was opened is to be closed, with an error too.
func (h *Host) start(ctx context.Context) (closing closers, err error) {
	closing.add(h.hangUp)
	if err := h.openTracer(ctx, &closing); err != nil {
		return closing, &SetupError{err}
	}
	if err := h.openBroker(ctx, &closing); err != nil {
		return closing, &SetupError{err}
	}
	admin, err := kafka.NewAdmin(h.kafka)
	if err != nil {
		return closing, &SetupError{err}
	}
	closing.add(admin.Close)
	cluster, err := h.reach(ctx, admin)
	if err != nil {
		return closing, err
	}
	offsets, wrong := offset.ParseConfig(h.in.Worker.All())
	if err := wrong.Err(); err != nil {
		return closing, &SetupError{err}
	}
	var names []string
	for _, c := range h.in.Connectors {
		names = append(names, c.Name)
	}
	store, err := offset.Open(ctx, h.kafka, offsets, names, h.log)
	if err != nil {
		return closing, err
	}
	closing.add(store.Close)
	o := connect.Options{Worker: h.in.Worker, Plugins: h.now().plugins, Registry: h.registry,
		Kafka: h.kafka, Offsets: store, Lockouts: h.lockouts, WorkerID: h.workerID(), Version: restVersion(),
		Target: h.target, Tracer: h.running.tracer, Observer: h.samples.Tap,
		Logger: h.log}
	connectors := h.in.Connectors
	if c := h.clustered; c != nil {
		if err := c.open(ctx, &closing); err != nil {
			return closing, err
		}
		o.Destinations, o.Group = c.destinations, c
	}
	herder := connect.New(o, connectors)
	if h.clustered != nil {
		h.clustered.join(herder)
	}
	h.opened(func(r *running) { r.herder, r.cluster = herder, cluster })
	return closing, nil
}

// target is what a connector is to do by what was kept of it.
func (h *Host) target(c *config.Connector) connect.TargetState {
	switch {
	case h.clustered != nil:
		return h.clustered.target(c.Name)
	case h.targets == nil:
		return connect.Running
	}
	return targetOf(h.targets.Get(c))
}

// listen opens REST's listeners, and answers from now on; with Once only where the user asked for them.
func (h *Host) listen() error {
	listeners := h.in.Worker.List("listeners")
	if len(listeners) == 0 || h.config.Once && !h.in.Worker.IsSet("listeners") {
		return nil
	}
	o := restOptions(h.in.Worker)
	if h.clustered != nil {
		o.Cluster, o.Session = h.clustered, h.clustered.session
	}
	if h.in.Worker.Boolean("console.enable") {
		o.Console = console.New
	}
	server, err := rest.Listen(o, h.log)
	if err != nil {
		return fmt.Errorf("%s%w", h.in.Worker.ErrorPrefix("listeners"), err)
	}
	h.opened(func(r *running) { r.rest = server })
	server.Serve(worker{h}.rest())
	for _, at := range server.URLs() {
		scheme, address, _ := strings.Cut(at, "://")
		h.log.Info("REST listens", "url", scheme+"://"+local(address))
	}
	if open := server.Open(); len(open) > 0 {
		h.log.Warn("nothing guards REST: whoever reaches this machine can change "+
			"connectors and read their settings, passwords that are written in them included (for this machine alone: "+
			"listeners=http://127.0.0.1:8083; for users with passwords: rest.basic.auth.file; else set "+
			"rest.allowed.hosts to its names, and rest.config.masked=true, or have the file name secrets as "+
			"${file:PATH:KEY})", "listens", open)
	}
	return nil
}

// restOptions are what the worker's settings say about REST.
func restOptions(w *config.Worker) rest.Options {
	o := rest.Options{Listeners: w.List("listeners"), AllowedHosts: w.List("rest.allowed.hosts"),
		Admin: w.List("admin.listeners"), Apart: w.IsSet("admin.listeners"), Users: w.Text("rest.basic.auth.file"),
		AdvertisedHost: w.Text("rest.advertised.host.name"), AdvertisedPort: w.Text("rest.advertised.port"),
		AdvertisedListener: w.Text("rest.advertised.listener"), Masked: w.Boolean("rest.config.masked"),
		ReadOnly: w.Boolean("rest.read.only"), Records: w.Text("console.records"),
		Origins: w.List("access.control.allow.origin"),
		Methods: w.List("access.control.allow.methods"), Headers: w.Text("response.http.headers.config"),
		TLS: map[string]string{}}
	own, all := w.Prefixed("listeners.https."), w.All()
	for name := range own {
		if w.IsSet("listeners.https." + name) {
			o.TLS[name] = own[name]
		}
	}
	if len(o.TLS) == 0 { // all or nothing, as in Kafka Connect
		for name, value := range all {
			if rest.TakesTLS(name) && value != "" {
				o.TLS[name] = value
			}
		}
	}
	return o
}

// hangUp closes REST's listeners.
func (h *Host) hangUp() {
	if server := h.now().rest; server != nil {
		server.Close()
	}
}

// local is an address that a browser on this machine can open.
func local(address string) string {
	host, port, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		return net.JoinHostPort("localhost", port)
	}
	return address
}

// advertised is the URL of REST, as others reach it.
func (h *Host) advertised() string {
	if server := h.now().rest; server != nil {
		return server.Advertised()
	}
	o := restOptions(h.in.Worker)
	return o.Advertised(nil)
}

// workerID is host:port of that.
func (h *Host) workerID() string {
	_, id, _ := strings.Cut(h.advertised(), "://")
	return id
}

// Progress is that of each connector; empty before Run has opened everything.
func (h *Host) Progress() []connect.Progress {
	if herder := h.now().herder; herder != nil {
		return herder.Progress()
	}
	return nil
}

// Close ends the plugins and REST and lets go of the data folder. Run has returned before.
func (h *Host) Close() error {
	defer h.locked.Release()
	h.hangUp()
	if plugins := h.now().plugins; plugins != nil {
		return plugins.Close()
	}
	return nil
}
