package plugin

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/internal/base/watch"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/plugin/internal/code"
	"github.com/culvert-project/culvert/internal/record"
)

// Options of a [Manager].
type Options struct {
	// Folders contain plugins as .wasm files. They override embedded ones of the same name and version.
	Folders  []string
	Embedded fs.FS // holds the built-in plugins
	// CacheDir is the folder for compiled code; "" keeps it in memory. Only this user or root may be able to write to
	// it.
	CacheDir string
	History  string // the file that records the roles that versions declared, "" for none
	// Limits for every plugin, and Settings for single ones: `plugin.<name>.limits.memory.bytes`, `.result.bytes`,
	// `.log.lines.per.second`, `.call.ms`, `.instances`, `.calls`, `.recycle.bytes`; `plugin.<name>.reveal`, see
	// [Manager.Revealed]; and `plugin.<name>.replace`, see [ReplaceSetting]. Other keys are ignored.
	Limits   Limits
	Settings map[string]string
	Registry *record.Registry // assigns schema IDs. Required.
	Logger   *slog.Logger     // defaults to slog.Default()
	Watch    bool             // loads new and changed files
	// Debounce is how long a folder must be unchanged before it is read; after ten times as long it is read without the
	// files that are being written. Default 200 ms.
	Debounce time.Duration
	// Compiling is called with 0 when compiling uncached plugins takes a while, and with the total time when New
	// returns. Default: lines of the Logger.
	Compiling   func(elapsed time.Duration)
	Compilation *Compilation // where New records its progress; nil means nowhere
	// Needed are the components that starting connectors need: New loads their plugins, and the rest in the background.
	// Nil means to load everything first.
	Needed     []Requirement
	NeededOnly bool // does not load the rest: a short run would compile it each time without finishing
	// CodeIdle is how long code stays in memory while no connector uses the module (default 5 s) or it has no instance
	// (default 30 s). Without CacheDir, code of used modules stays.
	CodeIdle time.Duration
	Idle     time.Duration // how long an unused instance is kept. Default 5 s.
	// MemoryBytes bounds the memory of all instances, by [Limits.MemoryBytes] of each; connectors wait for it.
	// Transforms have the same amount in addition. Zero means no limit.
	MemoryBytes int64
}

func (o *Options) compiling() func(time.Duration) {
	if o.Compiling != nil {
		return o.Compiling
	}
	return func(elapsed time.Duration) { o.logger().Info(CompilingText(elapsed)) }
}

// CompilingText is the default message for [Options.Compiling].
func CompilingText(elapsed time.Duration) string {
	const text = "compiling plugins, once"
	if elapsed == 0 {
		return text
	}
	return fmt.Sprintf("%s: %.0f s", text, max(1, elapsed.Seconds()))
}

func (o *Options) logger() *slog.Logger { return cmp.Or(o.Logger, slog.Default()) }

func newHost(o *Options) host {
	h := host{compiler: code.NewCompiler(o.CacheDir, provideImports, o.logger()), registry: o.Registry,
		logger: o.logger(), processors: &processors{slots: make(chan struct{}, runtime.GOMAXPROCS(0))},
		idle: cmp.Or(o.Idle, idleTime), codeIdle: o.CodeIdle}
	h.memory = newMemoryLimiter(o.MemoryBytes, h.processors, h.logger)
	return h
}

// Manager holds all modules. With Options.Watch it owns a goroutine, which [Manager.Close] ends.
type Manager struct {
	loader   loader
	folders  folders
	stop     context.CancelFunc
	loading  sync.WaitGroup
	watching sync.WaitGroup
	trusted  trust
	history  *history
	// changes is incremented when files or choices change or a version runs for the first time, so that bindings search
	// for candidates, and secretNames is made again, only then.
	changes     atomic.Uint64
	secretNames atomic.Pointer[secretNames] // nil before the first use
	shared      sharedPools

	mu       guard.Mutex
	sources  map[string]*moduleSource // by path
	bindings map[*Binding]struct{}
	loads    int // counts the files that were loaded
	closed   bool
	onSwap   func(connector, plugin, from, to string) // nil before OnSwap is called
	pinning
	trimming trimming
}

// Changes counts changes of the set of plugins and of the versions that connectors get.
func (m *Manager) Changes() uint64 { return m.changes.Load() }

// OnSwap sets a function that is called after each swap with the versions.
func (m *Manager) OnSwap(do func(connector, plugin, from, to string)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.onSwap = do
}

// folders holds the plugin folders.
type folders struct {
	scanning sync.Mutex // held during a scan, and locked before Manager.mu
	paths    []string
	changes  *watch.Folders // nil without [Options.Watch]
}

// trust is what plugins from folders may do according to the settings, by the name of the plugin.
type trust struct {
	reveal  map[string][]string // settings whose values from files the plugin may see
	replace map[string]bool     // whether a file may replace the built-in plugin, if that has transforms
}

// trimming frees the code of modules that no connector uses.
type trimming struct {
	after time.Duration // see [Options.CodeIdle]
	timer *time.Timer   // nil before the first use
}

// scheduleTrim has unused code freed after a while, since restarting connectors would need it again at once.
func (m *Manager) scheduleTrim() {
	if m.loader.cache == nil {
		return // compiling again would take seconds
	}
	wait := cmp.Or(max(m.trimming.after, 0), 5*time.Second)
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.closed: // Close has stopped the timer
	case m.trimming.timer == nil:
		m.trimming.timer = time.AfterFunc(wait, m.trim)
	default:
		m.trimming.timer.Reset(wait)
	}
}

func (m *Manager) trim() {
	defer guard.Recover(m.loader.logger, "freeing code of plugins", nil)
	m.mu.Lock()
	var modules []*module
	for _, source := range m.sources {
		modules = append(modules, source.active, source.previous)
	}
	m.mu.Unlock()
	for _, mod := range modules {
		if mod != nil {
			mod.freeIfUnused()
		}
	}
}

// Memory describes the memory of all instances.
type Memory struct {
	Used    int64 // the present total, in bytes
	Bound   int64 // the limit for sources and sinks, in bytes
	Waiting int64 // how many calls wait for memory
}

// Memory returns the memory use of instances.
func (m *Manager) Memory() Memory {
	limiter := m.loader.memory
	return Memory{Used: limiter.used.Load(), Bound: limiter.sources.bytes,
		Waiting: limiter.sources.waiting.Load() + limiter.transforms.waiting.Load()}
}

// rollbackError is the error of a version whose calls broke soon after it was activated.
type rollbackError struct {
	Version string
	Reason  string
	plugin  string
}

func (r *rollbackError) Error() string {
	return fmt.Sprintf("version %s was rolled back: %s", r.Version, r.Reason)
}

// moduleSource is a module file, or an embedded module.
type moduleSource struct {
	active   *module // the version for new connectors; may be nil
	previous *module // the version that active replaced; may be nil
	refused  *Info   // the refused version of the file, nil if it was accepted
	hash     string  // the hash of the file when it was read last
}

// Requirement is a class, or its short form, and a version range, see [version.ParseRange].
type Requirement struct {
	Class   string
	Version string
}

// Revealed returns the settings whose values from files a plugin from a folder may see: `plugin.NAME.reveal`.
func (m *Manager) Revealed(name string) []string { return m.trusted.reveal[name] }
