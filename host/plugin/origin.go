package plugin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/plugin/internal/code"
	"github.com/culvert-project/culvert/wit"
)

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
		if a.hash, a.size, err = code.HashFile(files, path); err != nil {
			return err
		}
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

// loadAll loads modules in parallel, since each takes half a second without a compile cache. The modules of the program
// come first, since files of folders are compared with them; each is offered as soon as it is loaded. Files of folders
// are offered when all of them are loaded, older versions first, since newer versions are compared with older ones.
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
	m.loadSome(ctx, own, m.admit)
	m.loadSome(ctx, others, func(context.Context, *arrival) {})
	version := func(a *arrival) string {
		if a.loaded == nil {
			return ""
		}
		return a.loaded.info.Version
	}
	slices.SortStableFunc(others, func(a, b *arrival) int { return CompareVersions(version(a), version(b)) })
	for _, a := range others {
		m.admit(ctx, a)
	}
}

// loadSome loads modules in parallel and calls then with each.
func (m *Manager) loadSome(ctx context.Context, list []*arrival, then func(context.Context, *arrival)) {
	var wait sync.WaitGroup
	places := make(chan struct{}, runtime.GOMAXPROCS(0))
	for _, a := range list {
		places <- struct{}{}
		wait.Go(func() {
			defer func() { <-places }()
			defer guard.Recover(m.loader.logger, "loading "+a.path, nil)
			if a.err == nil {
				a.loaded, a.err = m.load(ctx, a)
			}
			then(ctx, a)
		})
	}
	wait.Wait()
}

// admit compares a module that was loaded with other versions, and offers or refuses it.
func (m *Manager) admit(ctx context.Context, a *arrival) {
	defer guard.Recover(m.loader.logger, "loading "+a.path, nil)
	if a.err != nil && ctx.Err() != nil {
		return // given up: the next look finds the file as new as it is
	}
	if a.err == nil {
		a.err = m.history.judge(&a.loaded.info, m.older(a))
	}
	m.settle(a)
}

// older joins what the versions of the plugin declare that other files offer and that are not newer than a module.
func (m *Manager) older(a *arrival) *declared {
	m.mu.Lock()
	defer m.mu.Unlock()
	all, info := &declared{}, &a.loaded.info
	for path, o := range m.origins {
		if x := o.active; x != nil && path != a.path && x.info.Name == info.Name &&
			CompareVersions(x.info.Version, info.Version) <= 0 {
			all.join(declaredBy(&x.info))
		}
	}
	return all
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
	o := m.origin(a.path)
	var dropped *module
	if o.active != nil {
		dropped, o.previous = o.previous, o.active
		if dropped != nil && m.keeps(dropped) {
			dropped, o.previous = o.previous, dropped
		}
	}
	o.active, o.refused, o.hash = a.loaded, nil, a.hash
	if m.chosen[info.Name] != a.hash {
		delete(m.chosen, info.Name)
	}
	m.changes.Add(1)
	others := m.alike(info)
	replaced := ""
	for _, o := range m.origins {
		if b := o.active; b != nil && !a.builtIn && b.info.BuiltIn && b.info.Name == info.Name &&
			m.before(a.loaded, b) {
			replaced = b.info.Version
		}
	}
	m.mu.Unlock()
	if dropped != nil {
		dropped.retire()
	}
	if len(others) > 0 {
		m.loader.logger.Warn("plugin has what another plugin has too: a class of a built-in one stays there, others "+
			"are refused to connectors", "plugin", info.Name, "file", a.path, "others", others)
	}
	if replaced != "" {
		m.loader.logger.Warn("a file replaces a plugin that is built into the program: take it away unless it is meant",
			"plugin", info.Name, "version", info.Version, "replaced", replaced, "file", a.path, "hash", a.hash)
	}
	if err := exposed(a); err != nil {
		m.loader.logger.Warn("a plugin was loaded, and others can put another file in its place", "plugin", info.Name,
			"version", info.Version, "file", a.path, "hash", a.hash, "error", err)
	}
	m.loader.logger.Info("plugin loaded", "plugin", info.Name, "version", info.Version, "hash", a.hash[:12], "file",
		a.path)
}

// exposed says which others than this user, and root, can write a module's file, or put another one in its place.
func exposed(a *arrival) error {
	if a.builtIn {
		return nil
	}
	for _, path := range []string{filepath.Dir(a.path), a.path} {
		if info, err := os.Stat(path); err == nil { // else it is gone again
			if err := code.Private(info, os.Geteuid()); err != nil {
				return refusal(path, err)
			}
		}
	}
	return nil
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
	if active != nil && m.keeps(active) || previous != nil && m.keeps(previous) {
		m.mu.Unlock() // a later scan asks again
		return
	}
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
