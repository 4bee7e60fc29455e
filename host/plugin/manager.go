package plugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/base/watch"
	"github.com/culvert-project/culvert/host/plugin/internal/code"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
)

// MemorySetting is the worker's setting that [Options.MemoryBytes] comes from.
const MemorySetting = "plugins.memory.bytes"

// Options of a [Manager].
type Options struct {
	// Folders hold plugins as .wasm files, directly. They override embedded ones of the same name and version.
	Folders []string
	// Embedded holds the plugins that come with the program, nil for none; next to NAME.wasm may lie NAME.native, what
	// [Native] has made of it when the program was built: then a CacheDir that is empty is as good as a full one.
	Embedded fs.FS
	// CacheDir keeps compiled code, "" to keep it in memory only. Its owner must be the only one who can write there.
	CacheDir string
	// Adopted is the file that keeps what versions of plugins were taken from folders, "" to know it only while the
	// manager lives.
	Adopted string
	// Limits for every plugin, and Settings for single ones: `plugin.<name>.limits.memory.bytes`, `.result.bytes`,
	// `.log.lines.per.second`, `.call.ms`, `.instances`, `.calls`, `.recycle.bytes`; and `plugin.<name>.accept` and
	// `.reveal`, which say what plugins of folders may do: see [Held] and [Manager.Revealed]. Other keys are ignored.
	Limits   Limits
	Settings map[string]string
	// Registry numbers the schemas of everything that comes out of plugins. Required.
	Registry *record.Registry
	// Logger takes what plugins say and what becomes of files. Default slog.Default().
	Logger *slog.Logger
	// Watch loads new and changed files of the folders while the manager lives.
	Watch bool
	// Debounce is how long a folder must be quiet before its changes are read; one that is never quiet is read after
	// ten times as long, without the files that are being written. Default 200 ms.
	Debounce time.Duration
	// Compiling is called when plugins are compiled which no cache has: with 0 when that has gone on for a while, and
	// with the time that it took when New is about to return. Default: lines of the Logger.
	Compiling func(took time.Duration)
	// Needed is what the connectors need that are to start: New loads what has it, and the rest in the background, so
	// that nothing that no connector uses delays them. nil: New loads everything.
	Needed []Needed
	// NeededOnly leaves the rest alone: a run that ends by itself would compile it each time, and end before it is
	// done.
	NeededOnly bool
	// Rest is how long compiled code is kept that no connector uses, or of which none has an instance; without CacheDir
	// it is kept for good. Default 5 s.
	Rest time.Duration
	// Idle is how long an instance is kept that nobody uses. Default 5 s.
	Idle time.Duration
	// MemoryBytes bounds the memory of all instances together: connectors that find none left take turns, and one is
	// always let in. 0: no bound but those of instances.
	MemoryBytes int64
}

func (o *Options) compiling() func(time.Duration) {
	if o.Compiling != nil {
		return o.Compiling
	}
	return func(took time.Duration) { o.logger().Info(CompilingText(took)) }
}

// CompilingText says in words what [Options.Compiling] is called with.
func CompilingText(took time.Duration) string {
	const text = "compiling plugins, once"
	if took == 0 {
		return text
	}
	return fmt.Sprintf("%s: %.0f s", text, max(1, took.Seconds()))
}

func (o *Options) logger() *slog.Logger {
	if o.Logger != nil {
		return o.Logger
	}
	return slog.Default()
}

// Manager knows all modules. With Options.Watch it owns a goroutine, which [Manager.Close] ends.
type Manager struct {
	loader  loader
	folders folders
	// stop ends what goes on in the background: loading what nothing needed at the start, and watching folders.
	stop              context.CancelFunc
	loading, watching sync.WaitGroup
	trust             trust
	adoptions         *adoptions
	// changes counts what became of files, so that bindings need not look for candidates when nothing did.
	changes atomic.Uint64
	shared  sharedPools

	mu       guard.Mutex
	origins  map[string]*moduleSource
	bindings map[*Binding]struct{}
	loads    int
	closed   bool
	// rejected holds, by hash, the versions that were tried and left.
	rejected map[string]*rolledBack
	// chosen are the hashes of the versions that an operator has named, by the names of plugins, until a file of the
	// plugin comes.
	chosen   map[string]string
	trimming trimming
}

// folders are where plugins lie. scanning is held while they are read; it comes before Manager.mu. changes is nil
// without [Options.Watch].
type folders struct {
	scanning sync.Mutex
	paths    []string
	changes  *watch.Folders
}

// sharedPools are the pools that bindings share, under a lock within Manager.mu and the bindings' locks.
type sharedPools struct {
	mu    guard.Mutex
	pools map[poolKey]*sharedPool
}

// sharedPool is a pool, and how many bindings share it.
type sharedPool struct {
	pool  *Pool
	users int
}

// trimming lets code rest that no connector has used for so long; it is under Manager.mu.
type trimming struct {
	after time.Duration
	timer *time.Timer
}

// New loads all plugins. A file that is refused does not fail it: see [Manager.Modules].
func New(ctx context.Context, o Options) (*Manager, error) {
	if o.Registry == nil {
		return nil, errors.New("plugin: Options.Registry is required")
	}
	logger := o.logger()
	named, err := limitsOf(o.Limits, o.Settings)
	if err != nil {
		return nil, err
	}
	trusted, err := trustOf(o.Settings)
	if err != nil {
		return nil, err
	}
	before, err := readAdoptions(o.Adopted)
	if err != nil {
		return nil, err
	}
	m := &Manager{trust: trusted, adoptions: before, folders: folders{paths: o.Folders},
		trimming: trimming{after: o.Rest}, origins: map[string]*moduleSource{},
		bindings: map[*Binding]struct{}{}, rejected: map[string]*rolledBack{},
		chosen: map[string]string{}, shared: sharedPools{pools: map[poolKey]*sharedPool{}},
		loader: loader{limits: o.Limits.filled(), named: named, registry: o.Registry, logger: logger,
			notice: &notice{tell: o.compiling()}, processors: newProcessors(), idle: cmp.Or(o.Idle, idleTime),
			doze: o.Rest}}
	background, stop := context.WithCancel(context.Background())
	m.stop = stop
	m.loader.compiler = code.NewCompiler(o.CacheDir, provide, logger)
	m.loader.kept = m.loader.compiler.Cache()
	m.loader.kept.Tidy(time.Now())
	m.loader.admission = newAdmission(o.MemoryBytes, m.loader.processors.free, logger)
	defer m.loader.notice.end()
	maxTick() // measured before anything competes for the processors
	if o.Watch {
		// Before the first look, so that nothing falls between.
		if err := m.listen(o.Debounce); err != nil {
			m.Close()
			return nil, err
		}
	}
	embedded, err := m.embedded(o.Embedded, o.Needed)
	more := false
	if err == nil {
		embedded, more, err = m.begin(ctx, embedded, o.Needed)
	}
	if err != nil {
		m.Close()
		return nil, err
	}
	// Nobody compiles now, and only this goroutine has m.
	m.loader.compiler.LimitTurns()
	switch {
	case more && o.NeededOnly:
	case more:
		m.loading.Go(func() { m.loadRest(background, embedded) })
	default:
		m.warnOfLimits()
	}
	if o.Watch {
		m.watching.Go(func() { m.watch(background) })
	}
	return m, nil
}

// loadRest loads what no connector needed at the start.
func (m *Manager) loadRest(ctx context.Context, embedded []*arrival) {
	defer guard.Recover(m.loader.logger, "loading plugins", nil)
	if err := m.scan(ctx, embedded, nil); err != nil {
		if ctx.Err() == nil {
			m.loader.logger.Warn("reading plugin folders", "error", err)
		}
		return
	}
	m.warnOfLimits()
}

// warnOfLimits names limits of plugins that are not there: more likely misspelt than meant for later.
func (m *Manager) warnOfLimits() {
	m.mu.Lock()
	defer m.mu.Unlock()
	there := map[string]bool{}
	for _, o := range m.origins {
		if o.active != nil {
			there[o.active.info.Name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.loader.named)) {
		if !there[name] {
			m.loader.logger.Warn("limits are set for a plugin that is not there", "plugin", name, "settings",
				limitSetting(name, "*"))
		}
	}
}

// Modules lists what was found, by name, version (newest first) and origin: refused files with Err among them, versions
// that are only there because connectors still run them, and those that a rollback comes back to.
func (m *Manager) Modules() []Info {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []Info
	for _, o := range m.origins {
		if o.active != nil {
			info := o.active.snapshot()
			info.Active = !m.overridden(o.active)
			info.Chosen = m.chosen[info.Name] == info.Hash
			if why := m.rejected[info.Hash]; why != nil {
				info.Active, info.Err = false, why
			}
			all = append(all, info)
		}
		if o.refused != nil {
			all = append(all, *o.refused)
		}
	}
	retired := m.retired()
	for _, o := range m.origins {
		if o.previous != nil && !slices.Contains(retired, o.previous) {
			retired = append(retired, o.previous)
		}
	}
	for _, x := range retired {
		info := x.snapshot()
		if o := m.origins[info.Path]; o != nil && o.previous == x {
			info.Kept = m.rejected[info.Hash] == nil
		}
		all = append(all, info)
	}
	slices.SortFunc(all, func(a, b Info) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), compareVersions(b.Version, a.Version),
			strings.Compare(a.Path, b.Path))
	})
	return all
}

// retired are modules that no origin offers any more, but connectors run; m.mu is held.
func (m *Manager) retired() (list []*module) {
	for b := range m.bindings {
		x := b.Current().module
		if o := m.origins[x.info.Path]; (o == nil || o.active != x) && !slices.Contains(list, x) {
			list = append(list, x)
		}
	}
	return list
}

// overridden reports whether another origin offers the same version, loaded later; m.mu is held.
func (m *Manager) overridden(x *module) bool {
	for _, o := range m.origins {
		if a := o.active; a != nil && a != x && a.info.Name == x.info.Name && a.info.Version == x.info.Version &&
			a.order > x.order {
			return true
		}
	}
	return false
}

// Find returns the module that a new connector would get for a component: the newest version that has it, or the given
// one.
func (m *Manager) Find(kind wit.ComponentKind, class, version string) (Info, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	found, err := m.find(selection{kind: kind, class: class, version: version})
	if err != nil {
		return Info{}, err
	}
	return found.snapshot(), nil
}

// find returns the best active module for a selection; m.mu is held.
func (m *Manager) find(s selection) (*module, error) {
	if err := m.choosePlugin(&s); err != nil {
		return nil, err
	}
	var best *module
	var versions, refused []string
	for _, o := range m.origins {
		// Only what was rolled back has a name.
		if o.refused != nil && (o.active == nil || o.refused.Name != "" && s.offered(o.active)) {
			refused = append(refused, o.refused.Err.Error())
		}
		a := o.active
		if a == nil || !s.offered(a) {
			continue
		}
		if why := m.rejected[a.info.Hash]; why != nil {
			refused = append(refused, why.Error())
			continue
		}
		versions = append(versions, a.info.Version)
		if s.version != "" && s.version != a.info.Version {
			continue
		}
		if best == nil || m.before(a, best) {
			best = a
		}
	}
	if best != nil {
		return best, nil
	}
	slices.Sort(refused)
	if held := m.held(""); len(versions) == 0 && len(held) > 0 {
		return nil, &Unsettled{fmt.Sprintf("no plugin has the %s; refused: %s", s, strings.Join(refused, "; "))}
	}
	hint := ""
	if len(refused) > 0 {
		hint = "; refused: " + strings.Join(refused, "; ")
	}
	if len(versions) > 0 {
		slices.SortFunc(versions, compareVersions)
		return nil, fmt.Errorf("%s: expected version %s, there are %s%s", s, s.version,
			strings.Join(slices.Compact(versions), ", "), hint)
	}
	return nil, fmt.Errorf("no plugin has the %s%s", s, hint)
}

// before reports whether connectors get a module rather than another one: an operator's choice, else the newer one;
// m.mu is held.
func (m *Manager) before(a, b *module) bool {
	if chosen := m.chosen[a.info.Name]; chosen != "" && a.info.Name == b.info.Name && a.info.Hash != b.info.Hash {
		switch chosen {
		case a.info.Hash:
			return true
		case b.info.Hash:
			return false
		}
	}
	return a.newer(b)
}

// Unsettled is the error of a class that depends on what the user says about files in the folders: which of two plugins
// has it, or whether a version is taken. It concerns the connectors that name the class, and no others.
type Unsettled struct{ text string }

func (u *Unsettled) Error() string { return u.text }

// choosePlugin decides between several plugins that have a class: the plugin that the user accepted, else the one built
// into the program. Otherwise it is undecided, which is an error of the connectors that name the class. m.mu is held.
func (m *Manager) choosePlugin(s *selection) error {
	if s.within != "" {
		return nil
	}
	var names, accepted []string
	builtIn := map[string]bool{}
	for _, o := range m.origins {
		a := o.active
		if a == nil || !s.offered(a) || m.rejected[a.info.Hash] != nil {
			continue
		}
		builtIn[a.info.Name] = builtIn[a.info.Name] || a.info.BuiltIn
		names = append(names, a.info.Name)
		if a.info.Accepted {
			accepted = append(accepted, a.info.Name)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) < 2 {
		return nil
	}
	chosen := slices.DeleteFunc(slices.Compact(slices.Sorted(slices.Values(accepted))),
		func(name string) bool { return builtIn[name] })
	if len(chosen) == 0 {
		chosen = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !builtIn[name] })
	}
	if len(chosen) != 1 {
		return &Unsettled{fmt.Sprintf("%s: expected one plugin that has it, there are %s (%s): take one away, or set "+
			"plugin.NAME.accept to the hash of one's file",
			s, strings.Join(names, ", "), m.offers(*s))}
	}
	s.within = chosen[0]
	return nil
}

// offers are the plugins that have what is asked for, with their files; m.mu is held.
func (m *Manager) offers(s selection) string {
	var list []string
	for path, o := range m.origins {
		if o.active != nil && s.offered(o.active) {
			list = append(list, fmt.Sprintf("%s %s (%s)", o.active.info.Name, o.active.info.Version, path))
		}
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

// others are the plugins of other names that have what a binding runs; m.mu is held.
func (m *Manager) others(s selection, name string) (list []string) {
	s.within = ""
	for path, o := range m.origins {
		if a := o.active; a != nil && a.info.Name != name && s.offered(a) {
			list = append(list, fmt.Sprintf("plugin %s (%s) has the %s too and does not take it; plugin.%s.accept=%s "+
				"in the worker's settings lets it, from the next start",
				a.info.Name, path, s, a.info.Name, a.info.Hash))
		}
	}
	slices.Sort(list)
	return list
}

// trimLater lets code rest after a while, if it is not used then: a start or a restart of connectors would need it at
// once.
func (m *Manager) trimLater() {
	if m.loader.kept == nil {
		return
	}
	wait := m.trimming.after
	if wait <= 0 {
		wait = 5 * time.Second
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.closed:
	case m.trimming.timer == nil:
		m.trimming.timer = time.AfterFunc(wait, m.trim)
	default:
		m.trimming.timer.Reset(wait)
	}
}

// trim frees what nobody uses. What loading has left is given back to the machine too: the collector would get round
// to it only when as much again has been allocated.
func (m *Manager) trim() {
	defer guard.Recover(m.loader.logger, "letting plugins rest", nil)
	m.mu.Lock()
	var all []*module
	for _, o := range m.origins {
		all = append(all, o.active, o.previous)
	}
	m.mu.Unlock()
	for _, x := range all {
		if x != nil {
			x.rest()
		}
	}
	debug.FreeOSMemory()
}

// Loaded waits until the plugins that nothing needed at the start have been looked at, too. The error is that of ctx.
func (m *Manager) Loaded(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		m.loading.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close ends the watching and closes all bindings and modules. Instances that are out are closed when they come back.
func (m *Manager) Close() error {
	m.stop()
	m.watching.Wait()
	m.loading.Wait()
	m.folders.changes.Close()
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return nil
	}
	m.closed = true
	if m.trimming.timer != nil {
		m.trimming.timer.Stop()
	}
	var bindings []*Binding
	for b := range m.bindings {
		bindings = append(bindings, b)
	}
	origins := m.origins
	m.origins = map[string]*moduleSource{}
	m.mu.Unlock()
	for _, b := range bindings {
		b.Close()
	}
	for _, o := range origins {
		for _, x := range []*module{o.active, o.previous} {
			if x != nil {
				x.retire()
			}
		}
	}
	return nil
}
