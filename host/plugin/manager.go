package plugin

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/base/watch"
	"github.com/culvert-project/culvert/host/plugin/internal/code"
	"github.com/culvert-project/culvert/host/record"
)

// Options of a [Manager].
type Options struct {
	// Folders hold plugins as .wasm files, directly. They override embedded ones of the same name and version.
	Folders []string
	// Embedded holds the plugins inside the program, nil for none.
	Embedded fs.FS
	// CacheDir is the folder for compiled code; "" keeps it in memory only. Only the process's user or root may be able
	// to write there.
	CacheDir string
	// History is the file that keeps what versions of plugins have declared that ran, "" to know it only while the
	// manager lives.
	History string
	// Limits for every plugin, and Settings for single ones: `plugin.<name>.limits.memory.bytes`, `.result.bytes`,
	// `.log.lines.per.second`, `.call.ms`, `.instances`, `.calls`, `.recycle.bytes`; and `plugin.<name>.reveal`, see
	// [Manager.Revealed]. Other keys are ignored.
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
	Compiling func(elapsed time.Duration)
	// Needed is what the connectors need that are to start: New loads what has it, and the rest in the background, so
	// that nothing that no connector uses delays them. nil: New loads everything.
	Needed []Needed
	// NeededOnly leaves the rest alone: a run that ends by itself would compile it each time, and end before it is
	// done.
	NeededOnly bool
	// Rest is how long a module's code stays in memory while no connector uses the module (default 5 s), or while the
	// module has no instance (default 1 min). Without CacheDir, the code of a module that connectors use stays.
	Rest time.Duration
	// Idle is how long an instance is kept that nobody uses. Default 5 s.
	Idle time.Duration
	// MemoryBytes bounds how many instances there are, by the memory that each may have ([Limits.MemoryBytes]):
	// connectors that find none left take turns, and one is always let in. As many of transforms come in addition. Zero
	// means no bound but those of connectors.
	MemoryBytes int64
}

func (o *Options) compiling() func(time.Duration) {
	if o.Compiling != nil {
		return o.Compiling
	}
	return func(elapsed time.Duration) { o.logger().Info(CompilingText(elapsed)) }
}

// CompilingText says in words what [Options.Compiling] is called with.
func CompilingText(elapsed time.Duration) string {
	const text = "compiling plugins, once"
	if elapsed == 0 {
		return text
	}
	return fmt.Sprintf("%s: %.0f s", text, max(1, elapsed.Seconds()))
}

func (o *Options) logger() *slog.Logger {
	if o.Logger != nil {
		return o.Logger
	}
	return slog.Default()
}

// newHost is what all modules share under options; nothing is kept as yet.
func newHost(o *Options) host {
	h := host{compiler: code.NewCompiler(o.CacheDir, provideImports, o.logger()), registry: o.Registry,
		logger:     o.logger(),
		processors: newProcessors(), idle: cmp.Or(o.Idle, idleTime), codeIdle: o.Rest}
	h.memory = newMemoryLimiter(o.MemoryBytes, h.logger)
	return h
}

// Manager knows all modules. With Options.Watch it owns a goroutine, which [Manager.Close] ends.
type Manager struct {
	loader  loader
	folders folders
	// stop ends what goes on in the background: loading what nothing needed at the start, and watching folders.
	stop              context.CancelFunc
	loading, watching sync.WaitGroup
	reveal            map[string][]string
	history           *history
	// changes counts what became of files, so that bindings need not look for candidates when nothing did.
	changes atomic.Uint64
	shared  sharedPools

	mu       guard.Mutex
	sources  map[string]*moduleSource
	bindings map[*Binding]struct{}
	loads    int
	closed   bool
	pinning
	trimming trimming
}

// folders are where plugins lie. scanning is held while they are read; it comes before Manager.mu. changes is nil
// without [Options.Watch].
type folders struct {
	scanning sync.Mutex
	paths    []string
	changes  *watch.Folders
}

// trimming lets code rest that no connector has used for so long; it is under Manager.mu.
type trimming struct {
	after time.Duration
	timer *time.Timer
}

// scheduleTrim lets code rest after a while, if it is not used then: a start or a restart of connectors would need it
// at once.
func (m *Manager) scheduleTrim() {
	if m.loader.cache == nil {
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

// trim frees what nobody uses.
func (m *Manager) trim() {
	defer guard.Recover(m.loader.logger, "letting plugins rest", nil)
	m.mu.Lock()
	var all []*module
	for _, o := range m.sources {
		all = append(all, o.active, o.previous)
	}
	m.mu.Unlock()
	for _, x := range all {
		if x != nil {
			x.freeIfUnused()
		}
	}
}

// Memory is what all instances of plugins take together.
type Memory struct {
	// Used is what they have, in bytes, Bound what those of sources and sinks may come to.
	Used, Bound int64
	// Waiting is how many calls wait until there is room for an instance.
	Waiting int64
}

// Memory is how much memory instances take.
func (m *Manager) Memory() Memory {
	a := m.loader.memory
	return Memory{a.used.Load(), a.sources.bytes, a.sources.waiting.Load() + a.transforms.waiting.Load()}
}

// rolledBack is why a version is refused that was tried and left for the one before.
type rolledBack struct {
	Version, Reason string
	plugin          string
}

func (r *rolledBack) Error() string {
	return fmt.Sprintf("version %s was rolled back: %s", r.Version, r.Reason)
}

// moduleSource is a place that a module comes from: a file, or an entry among the embedded ones.
type moduleSource struct {
	// active is what new connectors get, previous what it replaced, kept for rollback; nil where there is none.
	active, previous *module
	// refused is the last file there when it was not accepted.
	refused *Info
	// hash is that of the file as it was last read.
	hash string
}

// Needed is what a configured connector needs of plugins: a class, or a short form of one, in a version, "" for any.
type Needed struct{ Class, Version string }

// Revealed are the settings whose values a plugin of a folder may see although they come from a file:
// `plugin.NAME.reveal`.
func (m *Manager) Revealed(name string) []string { return m.reveal[name] }
