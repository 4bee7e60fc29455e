// Package plugin runs plugins: it finds and compiles their modules, keeps instances of them for connectors, fences them in, and
// swaps them for newer ones while connectors run. It knows the contract, but neither OData nor Kafka.
package plugin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"

	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
)

// Options of a [Manager].
type Options struct {
	// Folders hold plugins as .wasm files, directly. They override embedded ones of the same name and version.
	Folders []string
	// Embedded holds the plugins that come with the program, nil for none.
	Embedded fs.FS
	// CacheDir keeps compiled code, "" to keep it in memory only. Its owner must be the only one who can write there.
	CacheDir string
	// Limits for every plugin, and Settings for single ones: `plugin.<name>.limits.memory.bytes`, `.result.bytes`,
	// `.log.lines.per.second`, `.instances`, `.calls`, `.recycle.bytes`. Other keys are ignored.
	Limits   Limits
	Settings map[string]string
	// Registry numbers the schemas of everything that comes out of plugins. Required.
	Registry *record.Registry
	// Logger takes what plugins say and what becomes of files. Default slog.Default().
	Logger *slog.Logger
	// Watch loads new and changed files of the folders while the manager lives.
	Watch bool
	// Debounce is how long a folder must be quiet before its changes are read. Default 200 ms.
	Debounce time.Duration
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
	folders []string
	cache   wazero.CompilationCache
	logger  *slog.Logger
	watcher *watcher

	mu       sync.Mutex
	origins  map[string]*origin
	bindings map[*Binding]struct{}
	loads    int
	closed   bool
}

// origin is a place that a module comes from: a file, or an entry among the embedded ones.
type origin struct {
	// active is what new connectors get, previous what it replaced, kept for rollback; nil where there is none.
	active, previous *module
	// refused is the last file there when it was not accepted.
	refused *Info
	// hash is that of the file as it was last read.
	hash string
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
	cache := wazero.NewCompilationCache()
	if o.CacheDir != "" {
		if cache, err = wazero.NewCompilationCacheWithDir(o.CacheDir); err != nil {
			return nil, fmt.Errorf("compile cache %s: %w", o.CacheDir, err)
		}
	}
	m := &Manager{cache: cache, logger: logger, folders: o.Folders, origins: map[string]*origin{}, bindings: map[*Binding]struct{}{},
		loader: loader{cache: cache, dir: o.CacheDir, limits: o.Limits.filled(), named: named, registry: o.Registry, logger: logger}}
	if o.Watch {
		// Before the first look, so that nothing falls between.
		if m.watcher, err = watch(m, o.Folders, o.Debounce); err != nil {
			m.Close()
			return nil, err
		}
	}
	if err = m.loadEmbedded(ctx, o.Embedded); err == nil {
		err = m.scan(ctx)
	}
	if err != nil {
		m.Close()
		return nil, err
	}
	if m.watcher != nil {
		m.watcher.start()
	}
	return m, nil
}

func (m *Manager) loadEmbedded(ctx context.Context, embedded fs.FS) error {
	if embedded == nil {
		return nil
	}
	return fs.WalkDir(embedded, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !isModule(path) {
			return err
		}
		data, err := fs.ReadFile(embedded, path)
		if err != nil {
			return err
		}
		m.take(ctx, "embedded:"+path, data, hashOf(data))
		return ctx.Err()
	})
}

func isModule(path string) bool { return strings.EqualFold(filepath.Ext(path), ".wasm") }

// scan compares the folders with what is known: new and changed files are loaded, modules whose files are gone retire.
func (m *Manager) scan(ctx context.Context) error {
	present := map[string]bool{}
	for _, folder := range m.folders {
		entries, err := os.ReadDir(folder)
		if err != nil {
			return fmt.Errorf("plugin folder: %w", err)
		}
		for _, e := range entries {
			if e.IsDir() || !isModule(e.Name()) {
				continue
			}
			path := filepath.Join(folder, e.Name())
			present[path] = true
			m.look(ctx, path)
			if err := ctx.Err(); err != nil {
				return err
			}
		}
	}
	m.mu.Lock()
	var gone []string
	for path, o := range m.origins {
		if !strings.HasPrefix(path, "embedded:") && !present[path] && (o.active != nil || o.refused != nil) {
			gone = append(gone, path)
		}
	}
	m.mu.Unlock()
	for _, path := range gone {
		m.remove(path)
	}
	return nil
}

// look reads a file and loads it unless it is as it was. Its bytes decide: the clock of a file system may stand for milliseconds,
// so that a file that was just replaced has the size and time of the one before.
func (m *Manager) look(ctx context.Context, path string) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return // gone again; the next scan sees it
	}
	hash := ""
	if err == nil {
		hash = hashOf(data)
	}
	m.mu.Lock()
	o := m.origins[path]
	same := o != nil && err == nil && o.hash == hash
	m.mu.Unlock()
	switch {
	case same:
	case err != nil:
		m.refuse(path, nil, "", err)
	default:
		m.take(ctx, path, data, hash)
	}
}

// take loads a module and makes it what its origin offers. What was there before stays for rollback, or stays active when the
// new one is refused.
func (m *Manager) take(ctx context.Context, path string, data []byte, hash string) {
	loaded, err := m.loader.load(ctx, path, data)
	if err != nil {
		m.refuse(path, data, hash, err)
		return
	}
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		loaded.close()
		return
	}
	m.loads++
	loaded.order = m.loads
	loaded.hold()
	o := m.origin(path)
	dropped := o.previous
	if o.active == nil {
		dropped = nil
	} else {
		o.previous = o.active
	}
	o.active, o.refused, o.hash = loaded, nil, hash
	m.mu.Unlock()
	if dropped != nil {
		dropped.release()
	}
	m.logger.Info("plugin loaded", "plugin", loaded.info.Name, "version", loaded.info.Version, "hash", loaded.info.Hash[:12], "file", path)
}

// origin returns the entry of a place; m.mu is held.
func (m *Manager) origin(path string) *origin {
	o := m.origins[path]
	if o == nil {
		o = &origin{}
		m.origins[path] = o
	}
	return o
}

func (m *Manager) refuse(path string, data []byte, hash string, err error) {
	err = fmt.Errorf("%s: %w", path, err)
	m.mu.Lock()
	o := m.origin(path)
	o.refused = &Info{Origin: path, Size: len(data), Hash: hash, Loaded: time.Now(), Err: err}
	o.hash = hash
	running := o.active
	m.mu.Unlock()
	if running != nil {
		m.logger.Error("plugin refused, the version before goes on", "error", err, "plugin", running.info.Name, "version", running.info.Version)
		return
	}
	m.logger.Error("plugin refused", "error", err)
}

// remove retires what an origin offered: running connectors keep it, new ones do not get it.
func (m *Manager) remove(path string) {
	m.mu.Lock()
	o := m.origins[path]
	active, previous := o.active, o.previous
	delete(m.origins, path)
	m.mu.Unlock()
	for _, gone := range []*module{active, previous} {
		if gone != nil {
			gone.release()
		}
	}
	if active != nil {
		m.logger.Warn("plugin file removed: running connectors keep it, new ones are refused", "plugin", active.info.Name,
			"version", active.info.Version, "file", path)
	}
}

// Rollback makes the version before the present one of a file active again, until the file changes. name is a plugin's.
func (m *Manager) Rollback(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var newest *origin
	for _, o := range m.origins {
		if o.active != nil && o.active.info.Name == name && o.previous != nil && (newest == nil || o.active.order > newest.active.order) {
			newest = o
		}
	}
	if newest == nil {
		return fmt.Errorf("plugin %s: no version before the present one is kept", name)
	}
	newest.active, newest.previous = newest.previous, newest.active
	m.loads++
	newest.active.order = m.loads
	return nil
}

// Modules lists what was found, refused files with Err among them, by name, version (newest first) and origin.
func (m *Manager) Modules() []Info {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []Info
	for _, o := range m.origins {
		if o.active != nil {
			info := o.active.snapshot()
			info.Active = !m.overridden(o.active)
			all = append(all, info)
		}
		if o.refused != nil {
			all = append(all, *o.refused)
		}
	}
	slices.SortFunc(all, func(a, b Info) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		if c := compareVersions(b.Version, a.Version); c != 0 {
			return c
		}
		return strings.Compare(a.Origin, b.Origin)
	})
	return all
}

// overridden tells whether another origin offers the same version, loaded later; m.mu is held.
func (m *Manager) overridden(x *module) bool {
	for _, o := range m.origins {
		if a := o.active; a != nil && a != x && a.info.Name == x.info.Name && a.info.Version == x.info.Version && a.order > x.order {
			return true
		}
	}
	return false
}

// Find returns the module that a new connector would get for a component: the newest version that has it, or the given one.
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
	var best *module
	var versions, refused, names []string
	for _, o := range m.origins {
		if o.refused != nil && o.active == nil {
			refused = append(refused, o.refused.Err.Error())
		}
		a := o.active
		if a == nil || !s.offered(a) {
			continue
		}
		versions, names = append(versions, a.info.Version), append(names, a.info.Name)
		if s.version != "" && s.version != a.info.Version {
			continue
		}
		if best == nil || a.newer(best) {
			best = a
		}
	}
	slices.Sort(names)
	if names = slices.Compact(names); len(names) > 1 {
		return nil, fmt.Errorf("%s: expected one plugin that has it, there are %s", s, strings.Join(names, ", "))
	}
	if best != nil {
		return best, nil
	}
	if len(versions) > 0 {
		slices.SortFunc(versions, compareVersions)
		return nil, fmt.Errorf("%s: expected version %s, there are %s", s, s.version, strings.Join(slices.Compact(versions), ", "))
	}
	slices.Sort(refused)
	hint := ""
	if len(refused) > 0 {
		hint = "; refused: " + strings.Join(refused, "; ")
	}
	return nil, fmt.Errorf("no plugin has the %s%s", s, hint)
}

// Close ends the watching and closes all bindings and modules. Instances that are out are closed when they come back.
func (m *Manager) Close() error {
	if m.watcher != nil {
		m.watcher.stop()
	}
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return nil
	}
	m.closed = true
	var bindings []*Binding
	for b := range m.bindings {
		bindings = append(bindings, b)
	}
	origins := m.origins
	m.origins = map[string]*origin{}
	m.mu.Unlock()
	for _, b := range bindings {
		b.Close()
	}
	for _, o := range origins {
		for _, x := range []*module{o.active, o.previous} {
			if x != nil {
				x.release()
			}
		}
	}
	return nil
}
