package plugin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/plugin/internal/code"
	"github.com/culvert-project/culvert/wit"
)

// moduleSource is a place that a module comes from: a file, or an entry among the embedded ones.
type moduleSource struct {
	// active is what new connectors get, previous what it replaced, kept for rollback; nil where there is none.
	active, previous *module
	// refused is the last file there when it was not accepted.
	refused *Info
	// hash is that of the file as it was last read.
	hash string
}

// arrival is a module on its way to an origin. Its bytes are read when their turn comes: a folder may hold any number
// of files.
type arrival struct {
	path, hash string
	size       int
	// builtIn: it comes with the program.
	builtIn bool
	// again gives the bytes.
	again func() ([]byte, error)
	// native is what was compiled when the program was built, nil: nothing, or nothing that fits.
	native *code.Native
	// kept are the module's facts where the cache has them: then loading it costs next to nothing.
	kept *code.Facts
	// later: no connector that is configured uses it, as far as can be seen without compiling it.
	later bool
	// finished: it was loaded, or not, and what else is on its way need not wait for it.
	finished atomic.Bool
	// order is that among all that were loaded.
	order int
	// loaded or err is what became of it.
	loaded *module
	err    error
}

// Needed is what a configured connector needs of plugins: a class, or a short form of one, in a version, "" for any.
type Needed struct{ Class, Version string }

// embedded reads the modules that come with the program.
func (m *Manager) embedded(files fs.FS, needed []Needed) (list []*arrival, err error) {
	if files == nil {
		return nil, nil
	}
	err = fs.WalkDir(files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !isModule(path) {
			return err
		}
		again := func() ([]byte, error) { return fs.ReadFile(files, path) }
		a := &arrival{path: embeddedPrefix + path, builtIn: true, again: again}
		a.native = m.loader.compiler.Native(files, path)
		size := int64(0)
		if a.native != nil {
			a.hash, size = a.native.File()
		} else {
			sum := sha256.New()
			if size, err = code.SumFile(files, path, sum); err != nil {
				return err
			}
			a.hash = hex.EncodeToString(sum.Sum(nil))
		}
		a.size = int(size)
		a.native.Lay(m.loader.kept, ".json")
		a.kept = m.loader.kept.Facts(a.hash)
		if needed != nil && a.kept == nil {
			data, err := again()
			if err != nil {
				return err
			}
			a.later = canWait(data, needed)
		}
		list = append(list, a)
		return nil
	})
	return list, err
}

// embeddedPrefix begins the origin of modules that are not in a folder.
const embeddedPrefix = "embedded:"

func isModule(path string) bool { return strings.EqualFold(filepath.Ext(path), ".wasm") }

// Reload reads the folders now: what Options.Watch does by itself.
func (m *Manager) Reload(ctx context.Context) error { return m.scan(ctx, nil, nil) }

// scan compares the folders with what is known: new and changed files are loaded after those that are given, modules
// whose files are gone retire. Files that are being written, if unfinished names any, are passed over.
func (m *Manager) scan(ctx context.Context, list []*arrival, unfinished func(path string) bool) error {
	m.folders.scanning.Lock()
	defer m.folders.scanning.Unlock()
	list, present, err := m.arrivals(list, nil, unfinished)
	if err != nil {
		return err
	}
	m.loadAll(ctx, list)
	for _, path := range m.gone(present) {
		m.remove(path)
	}
	if len(list) > 0 {
		m.trimLater()
	}
	return ctx.Err()
}

// begin loads what is needed of the modules that come with the program and of the folders, and returns those of the
// program that are left. Where something needed is not found among them, all are loaded.
func (m *Manager) begin(ctx context.Context, embedded []*arrival, needed []Needed) (left []*arrival, more bool,
	err error) {
	m.folders.scanning.Lock()
	defer m.folders.scanning.Unlock()
	list, _, err := m.arrivals(embedded, needed, nil)
	if err != nil {
		return nil, false, err
	}
	if slices.ContainsFunc(list, func(a *arrival) bool { return !a.builtIn }) {
		// What files of folders may do depends on what the program's own plugins declare.
		for _, a := range list {
			a.later = a.later && !a.builtIn
		}
	}
	var later []*arrival
	list = slices.DeleteFunc(list, func(a *arrival) bool {
		if a.later {
			later = append(later, a)
		}
		return a.later
	})
	m.loadAll(ctx, list)
	if ctx.Err() == nil && len(later) > 0 && !m.has(needed) {
		m.loadAll(ctx, later)
		later = nil
	}
	m.trimLater()
	for _, a := range later {
		if strings.HasPrefix(a.path, embeddedPrefix) {
			left = append(left, a)
		}
	}
	return left, len(later) > 0, ctx.Err()
}

// has reports whether all that is needed is there.
func (m *Manager) has(needed []Needed) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !slices.ContainsFunc(needed, func(n Needed) bool {
		for _, o := range m.origins {
			if o.active != nil && (n.Version == "" || n.Version == o.active.info.Version) &&
				mentioned(o.active.info.Components, n) {
				return false
			}
		}
		return true
	})
}

func mentioned(components []wit.Component, n Needed) bool {
	return slices.ContainsFunc(components, func(c wit.Component) bool {
		return slices.ContainsFunc(append([]string{c.Name}, c.Aliases...),
			func(name string) bool { return strings.Contains(name, n.Class) })
	})
}

// canWait reports whether a module that is not known need not be loaded before connectors start, nil: none can. A
// module that has a component of a name holds that name in nearly all cases, and where it does not, [Manager.has] finds
// that something is missing.
func canWait(data []byte, needed []Needed) bool {
	return needed != nil && !slices.ContainsFunc(needed, func(n Needed) bool {
		return bytes.Contains(data, []byte(n.Class))
	})
}

// arrivals are the new and changed files of the folders, after those that are given, and the paths of all that are
// there.
func (m *Manager) arrivals(list []*arrival, needed []Needed, unfinished func(path string) bool) ([]*arrival,
	map[string]bool, error) {
	present := map[string]bool{}
	for _, folder := range m.folders.paths {
		entries, err := os.ReadDir(folder)
		if err != nil {
			return nil, nil, fmt.Errorf("plugin folder: %w", err)
		}
		for _, e := range entries {
			if e.IsDir() || !isModule(e.Name()) {
				continue
			}
			path := filepath.Join(folder, e.Name())
			present[path] = true
			if unfinished != nil && unfinished(path) {
				continue
			}
			if a := m.look(path, needed); a != nil {
				list = append(list, a)
			}
		}
	}
	return list, present, nil
}

// look reads a file and returns it unless it is as it was. Its bytes decide: the clock of a file system may stand for
// milliseconds, so that a file that was just replaced has the size and time of the one before.
func (m *Manager) look(path string, needed []Needed) *arrival {
	data, err := code.ReadModule(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // gone again; the next scan sees it
	}
	if err != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		if o := m.origins[path]; o != nil && o.refused != nil && o.refused.Hash == "" &&
			o.refused.Err.Error() == refusal(path, err).Error() {
			return nil
		}
		return &arrival{path: path, err: err}
	}
	hash := code.HashOf(data)
	kept := m.loader.kept.Facts(hash)
	m.mu.Lock()
	defer m.mu.Unlock()
	o := m.origins[path]
	if o != nil && o.hash == hash {
		return nil
	}
	if o != nil && o.active != nil && o.active.info.Hash == hash {
		// What runs has come back after something that was refused.
		o.refused, o.hash = nil, hash
		return nil
	}
	a := fileArrival(path, hash, len(data))
	a.kept = kept
	a.later = kept == nil && canWait(data, needed)
	return a
}

func fileArrival(path, hash string, size int) *arrival {
	return &arrival{path: path, hash: hash, size: size, again: func() ([]byte, error) {
		return code.ReadModule(path)
	}}
}

// bytes are the module's as they were when it was seen.
func (a *arrival) bytes() ([]byte, error) {
	data, err := a.again()
	if err == nil && code.HashOf(data) != a.hash {
		err = errors.New("the file has changed since")
	}
	return data, err
}

// loadAll loads side by side, since at a start without a compile cache each takes half a second, and gives each to its
// origin as soon as it is ready: one that takes long holds up none of the others. The program's own come first, since
// others are judged by them.
func (m *Manager) loadAll(ctx context.Context, list []*arrival) {
	m.mu.Lock()
	for _, a := range list {
		m.loads++
		a.order = m.loads
	}
	m.mu.Unlock()
	own, others := []*arrival{}, []*arrival{}
	for _, a := range list {
		if a.builtIn {
			own = append(own, a)
		} else {
			others = append(others, a)
		}
	}
	m.loadSome(ctx, own)
	// Of versions that are new together, and of which none was there before, the lowest is the first.
	undecided := m.loadSome(ctx, others)
	slices.SortStableFunc(undecided, func(a, b *arrival) int {
		return compareVersions(a.loaded.info.Version, b.loaded.info.Version)
	})
	for _, a := range undecided {
		m.adopt(a)
		m.settle(a)
	}
}

// loadSome loads a part of what is on its way; it returns modules about which one cannot decide before all are loaded.
func (m *Manager) loadSome(ctx context.Context, list []*arrival) (undecided []*arrival) {
	var wait sync.WaitGroup
	var mu sync.Mutex
	places := make(chan struct{}, runtime.GOMAXPROCS(0))
	for _, a := range list {
		places <- struct{}{}
		wait.Go(func() {
			defer func() { <-places }()
			defer guard.Recover(m.loader.logger, "loading "+a.path, nil)
			if a.err == nil {
				a.loaded, a.err = m.load(ctx, a)
			}
			if a.err != nil && ctx.Err() != nil {
				return // given up: the next look finds the file as new as it is
			}
			mu.Lock()
			a.finished.Store(true)
			waits := a.err == nil && m.waitsForOthers(a, list, undecided)
			if waits {
				undecided = append(undecided, a)
			}
			mu.Unlock()
			if !waits {
				m.adopt(a)
				m.settle(a)
			}
		})
	}
	wait.Wait()
	return undecided
}

func (m *Manager) load(ctx context.Context, a *arrival) (x *module, err error) {
	defer guard.Recover(m.loader.logger, "loading "+a.path, &err)
	return m.loader.load(ctx, a)
}

// settle makes a module what its origin offers. What was there before stays for rollback, or stays active when the new
// one was refused.
func (m *Manager) settle(a *arrival) {
	m.mu.Lock()
	if why := m.rejected[a.hash]; why != nil && a.err == nil {
		a.err = why
	}
	if a.err != nil || m.closed {
		m.mu.Unlock()
		if a.loaded != nil {
			a.loaded.rest()
		}
		if a.err != nil {
			m.refuse(a)
		}
		return
	}
	info := &a.loaded.info
	a.loaded.order = a.order
	a.loaded.offer()
	info.Accepted = m.trust.accepts(info.Name, a.hash)
	o := m.origin(a.path)
	var dropped *module
	if o.active != nil {
		dropped, o.previous = o.previous, o.active
	}
	o.active, o.refused, o.hash = a.loaded, nil, a.hash
	if m.chosen[info.Name] != a.hash {
		delete(m.chosen, info.Name)
	}
	m.changes.Add(1)
	others := m.alike(info)
	m.mu.Unlock()
	if dropped != nil {
		dropped.retire()
	}
	if len(others) > 0 {
		m.loader.logger.Warn("plugin has what another plugin has too: a class of a built-in one stays there, others "+
			"are refused to connectors, unless the file is accepted",
			"plugin", info.Name, "file", a.path, "accept", "plugin."+info.Name+".accept="+a.hash, "others", others)
	}
	m.loader.logger.Info("plugin loaded", "plugin", info.Name, "version", info.Version, "hash", a.hash[:12], "file",
		a.path)
}

// alike are the components of other plugins that have a name in common with one of a plugin; m.mu is held.
func (m *Manager) alike(info *Info) (others []string) {
	for _, c := range info.Components {
		for _, o := range m.origins {
			if x := o.active; x != nil && x.info.Name != info.Name && x.component(c.Kind, c.Name) != nil {
				others = append(others, fmt.Sprintf("%s %s of %s %s (%s)", c.Kind, c.Name, x.info.Name,
					x.info.Version, x.info.Path))
			}
		}
	}
	slices.Sort(others)
	return others
}

// origin returns the entry of a place; m.mu is held.
func (m *Manager) origin(path string) *moduleSource {
	o := m.origins[path]
	if o == nil {
		o = &moduleSource{}
		m.origins[path] = o
	}
	return o
}

func refusal(path string, err error) error { return fmt.Errorf("%s: %w", path, err) }

func (m *Manager) refuse(a *arrival) {
	err := refusal(a.path, a.err)
	m.mu.Lock()
	o := m.origin(a.path)
	o.refused = &Info{Path: a.path, Size: a.size, Hash: a.hash, Loaded: time.Now(), Err: err}
	if a.loaded != nil {
		o.refused.Name, o.refused.Version = a.loaded.info.Name, a.loaded.info.Version
	}
	o.hash = a.hash
	running := o.active
	m.mu.Unlock()
	if running != nil {
		m.loader.logger.Error("plugin refused, the version before goes on", "error", err, "plugin", running.info.Name,
			"version", running.info.Version)
		return
	}
	m.loader.logger.Error("plugin refused", "error", err)
}

// gone lists the files that were there and are not any more.
func (m *Manager) gone(present map[string]bool) (paths []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for path := range m.origins {
		if !strings.HasPrefix(path, embeddedPrefix) && !present[path] {
			paths = append(paths, path)
		}
	}
	return paths
}

// remove retires what an origin offered: running connectors keep it, new ones do not get it.
func (m *Manager) remove(path string) {
	m.mu.Lock()
	o := m.origins[path]
	active, previous := o.active, o.previous
	delete(m.origins, path)
	m.changes.Add(1)
	m.mu.Unlock()
	for _, gone := range []*module{active, previous} {
		if gone != nil {
			gone.retire()
		}
	}
	if active != nil {
		m.loader.logger.Warn("plugin file removed: running connectors keep it, new ones are refused", "plugin",
			active.info.Name,
			"version", active.info.Version, "file", path)
	}
}

// Rollback makes the version before the present one of a file active again, until the file changes, but none that was
// itself tried and left. name is a plugin's.
func (m *Manager) Rollback(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var newest *moduleSource
	for _, o := range m.origins {
		if o.active != nil && o.active.info.Name == name && o.previous != nil &&
			m.rejected[o.previous.info.Hash] == nil && (newest == nil || o.active.order > newest.active.order) {
			newest = o
		}
	}
	if newest == nil {
		return fmt.Errorf("plugin %s: no version before the present one is kept of any of its files "+
			"that connectors would take", name)
	}
	m.goBack(newest)
	m.chosen[name] = newest.active.info.Hash
	m.loader.logger.Info("plugin version rolled back, as was asked for", "plugin", name, "to", newest.active.info.Version,
		"hash", newest.active.info.Hash[:12], "file", newest.active.info.Path)
	return nil
}

// goBack makes the version before the present one of a file active; m.mu is held.
func (m *Manager) goBack(o *moduleSource) {
	o.active, o.previous = o.previous, o.active
	m.loads++
	o.active.order = m.loads
	m.changes.Add(1)
}

// Swap makes a version of a plugin the one that connectors get, whatever others there are, until another file of the
// plugin comes. hash is that of its file, which is in a folder, comes with the program, or was there before the present
// one of its path; a version that was rolled back is taken again. Connectors that name a version keep theirs, and tasks
// judge it at the end of a page or batch, as they do every other one.
func (m *Manager) Swap(ctx context.Context, name, hash string) error {
	m.mu.Lock()
	why := m.rejected[hash]
	again := why != nil && why.plugin == name
	if again {
		delete(m.rejected, hash)
		for _, o := range m.origins {
			if o.refused != nil && o.refused.Hash == hash {
				o.hash = "" // its file is read again
			}
		}
	}
	m.mu.Unlock()
	if again {
		if err := m.scan(ctx, nil, nil); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for path, o := range m.origins {
		is := func(x *module) bool { return x != nil && x.info.Name == name && x.info.Hash == hash }
		switch {
		case is(o.previous):
			m.goBack(o)
		case !is(o.active):
			continue
		}
		m.chosen[name] = hash
		m.changes.Add(1)
		m.loader.logger.Info("plugin version chosen, as was asked for", "plugin", name, "version", o.active.info.Version,
			"hash",
			hash[:12], "file", path)
		return nil
	}
	if again {
		m.rejected[hash] = why // no file has it now: one that comes is not taken unasked
	}
	return fmt.Errorf("%w %s with the hash %q", ErrUnknownVersion, name, hash)
}

// ErrUnknownVersion is the error of a version that is not there.
var ErrUnknownVersion = errors.New("there is no version of plugin")
