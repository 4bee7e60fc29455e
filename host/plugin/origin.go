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

// embeddedModules reads the modules that come with the program.
func (m *Manager) embeddedModules(files fs.FS, needed []Needed) (list []*candidateFile, err error) {
	if files == nil {
		return nil, nil
	}
	err = fs.WalkDir(files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !isModule(path) {
			return err
		}
		again := func() ([]byte, error) { return fs.ReadFile(files, path) }
		a := &candidateFile{path: embeddedPrefix + path, builtIn: true, read: again}
		if a.hash, a.size, err = code.HashFile(files, path); err != nil {
			return err
		}
		a.facts = m.loader.cache.Facts(a.hash)
		if needed != nil && a.facts == nil {
			data, err := again()
			if err != nil {
				return err
			}
			a.deferred = isDeferrable(data, needed)
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
func (m *Manager) scan(ctx context.Context, list []*candidateFile, unfinished func(path string) bool) error {
	m.folders.scanning.Lock()
	defer m.folders.scanning.Unlock()
	list, present, err := m.candidates(list, nil, unfinished)
	if err != nil {
		return err
	}
	m.loadAll(ctx, list)
	for _, path := range m.removedFiles(present) {
		m.remove(path)
	}
	if len(list) > 0 {
		m.scheduleTrim()
	}
	return ctx.Err()
}

// loadNeeded loads what is needed of the modules that come with the program and of the folders, and returns those of
// the program that are left. Where something needed is not found among them, all are loaded.
func (m *Manager) loadNeeded(ctx context.Context, embedded []*candidateFile, needed []Needed) (left []*candidateFile,
	more bool,
	err error) {
	m.folders.scanning.Lock()
	defer m.folders.scanning.Unlock()
	list, _, err := m.candidates(embedded, needed, nil)
	if err != nil {
		return nil, false, err
	}
	if slices.ContainsFunc(list, func(a *candidateFile) bool { return !a.builtIn }) {
		// What files of folders may do depends on what the program's own plugins declare.
		for _, a := range list {
			a.deferred = a.deferred && !a.builtIn
		}
	}
	var later []*candidateFile
	list = slices.DeleteFunc(list, func(a *candidateFile) bool {
		if a.deferred {
			later = append(later, a)
		}
		return a.deferred
	})
	m.loadAll(ctx, list)
	if ctx.Err() == nil && len(later) > 0 && !m.hasAll(needed) {
		m.loadAll(ctx, later)
		later = nil
	}
	m.scheduleTrim()
	for _, a := range later {
		if strings.HasPrefix(a.path, embeddedPrefix) {
			left = append(left, a)
		}
	}
	return left, len(later) > 0, ctx.Err()
}

// hasAll reports whether all that is needed is there.
func (m *Manager) hasAll(needed []Needed) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !slices.ContainsFunc(needed, func(n Needed) bool {
		for _, o := range m.sources {
			if o.active != nil && (n.Version == "" || n.Version == o.active.info.Version) &&
				providesClass(o.active.info.Components, n) {
				return false
			}
		}
		return true
	})
}

func providesClass(components []wit.Component, n Needed) bool {
	return slices.ContainsFunc(components, func(c wit.Component) bool {
		return slices.ContainsFunc(append([]string{c.Name}, c.Aliases...),
			func(name string) bool { return strings.Contains(name, n.Class) })
	})
}

// isDeferrable reports whether a module that is not known need not be loaded before connectors start, nil: none can. A
// module that has a component of a name holds that name in nearly all cases, and where it does not, [Manager.hasAll]
// finds that something is missing.
func isDeferrable(data []byte, needed []Needed) bool {
	return needed != nil && !slices.ContainsFunc(needed, func(n Needed) bool {
		return bytes.Contains(data, []byte(n.Class))
	})
}

// candidates are the new and changed files of the folders, after those that are given, and the paths of all that are
// there.
func (m *Manager) candidates(list []*candidateFile, needed []Needed,
	unfinished func(path string) bool) ([]*candidateFile,
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
			if a := m.readCandidate(path, needed); a != nil {
				list = append(list, a)
			}
		}
	}
	return list, present, nil
}

// look reads a file and returns it unless it is as it was. Its bytes decide: the clock of a file system may stand for
// milliseconds, so that a file that was just replaced has the size and time of the one before.
func (m *Manager) readCandidate(path string, needed []Needed) *candidateFile {
	data, err := code.ReadModule(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // gone again; the next scan sees it
	}
	if err != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		if o := m.sources[path]; o != nil && o.refused != nil && o.refused.Hash == "" &&
			o.refused.Err.Error() == refusal(path, err).Error() {
			return nil
		}
		return &candidateFile{path: path, err: err}
	}
	hash := code.HashOf(data)
	kept := m.loader.cache.Facts(hash)
	m.mu.Lock()
	defer m.mu.Unlock()
	o := m.sources[path]
	if o != nil && o.hash == hash {
		return nil
	}
	if o != nil && o.active != nil && o.active.info.Hash == hash {
		// What runs has come back after something that was refused.
		o.refused, o.hash = nil, hash
		return nil
	}
	a := newCandidateFile(path, hash, len(data))
	a.facts = kept
	a.deferred = kept == nil && isDeferrable(data, needed)
	return a
}

// loadAll loads modules in parallel, since each takes half a second without a compile cache. The modules of the program
// come first, since files of folders are compared with them; each is offered as soon as it is loaded. Files of folders
// are offered when all of them are loaded, older versions first, since newer versions are compared with older ones.
func (m *Manager) loadAll(ctx context.Context, list []*candidateFile) {
	m.mu.Lock()
	for _, a := range list {
		m.loads++
		a.order = m.loads
	}
	m.mu.Unlock()
	own, others := []*candidateFile{}, []*candidateFile{}
	for _, a := range list {
		if a.builtIn {
			own = append(own, a)
		} else {
			others = append(others, a)
		}
	}
	m.loadSome(ctx, own, m.checkAndActivate)
	m.loadSome(ctx, others, func(context.Context, *candidateFile) {})
	version := func(a *candidateFile) string {
		if a.loaded == nil {
			return ""
		}
		return a.loaded.info.Version
	}
	slices.SortStableFunc(others, func(a, b *candidateFile) int { return CompareVersions(version(a), version(b)) })
	for _, a := range others {
		m.checkAndActivate(ctx, a)
	}
}

// loadSome loads modules in parallel and calls then with each.
func (m *Manager) loadSome(ctx context.Context, list []*candidateFile, then func(context.Context, *candidateFile)) {
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

// checkAndActivate compares a module that was loaded with other versions, and offers or refuses it.
func (m *Manager) checkAndActivate(ctx context.Context, a *candidateFile) {
	defer guard.Recover(m.loader.logger, "loading "+a.path, nil)
	if a.err != nil && ctx.Err() != nil {
		return // given up: the next look finds the file as new as it is
	}
	if a.err == nil {
		a.err = m.history.check(&a.loaded.info, m.olderDeclarations(a))
	}
	m.activate(a)
}

// olderDeclarations joins what the versions of the plugin declare that other files offer and that are not newer than a
// module.
func (m *Manager) olderDeclarations(a *candidateFile) *roleDeclarations {
	m.mu.Lock()
	defer m.mu.Unlock()
	all, info := &roleDeclarations{}, &a.loaded.info
	for path, o := range m.sources {
		if x := o.active; x != nil && path != a.path && x.info.Name == info.Name &&
			CompareVersions(x.info.Version, info.Version) <= 0 {
			all.join(declarationsOf(&x.info))
		}
	}
	return all
}

func (m *Manager) load(ctx context.Context, a *candidateFile) (x *module, err error) {
	defer guard.Recover(m.loader.logger, "loading "+a.path, &err)
	return m.loader.load(ctx, a)
}

// activate makes a module what its origin offers. What was there before stays for rollback, or stays active when the
// new one was refused.
func (m *Manager) activate(a *candidateFile) {
	m.mu.Lock()
	if why := m.rejected[a.hash]; why != nil && a.err == nil {
		a.err = why
	}
	if a.err != nil || m.closed {
		m.mu.Unlock()
		if a.loaded != nil {
			a.loaded.freeIfUnused()
		}
		if a.err != nil {
			m.recordRefusal(a)
		}
		return
	}
	info := &a.loaded.info
	a.loaded.order = a.order
	a.loaded.offer()
	o := m.source(a.path)
	var dropped *module
	if o.active != nil {
		dropped, o.previous = o.previous, o.active
		if dropped != nil && m.isPinned(dropped) {
			dropped, o.previous = o.previous, dropped
		}
	}
	o.active, o.refused, o.hash = a.loaded, nil, a.hash
	if m.chosen[info.Name] != a.hash {
		delete(m.chosen, info.Name)
	}
	m.changes.Add(1)
	others := m.conflicts(info)
	replaced := ""
	for _, o := range m.sources {
		if b := o.active; b != nil && !a.builtIn && b.info.BuiltIn && b.info.Name == info.Name &&
			m.precedes(a.loaded, b) {
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
func exposed(a *candidateFile) error {
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

// conflicts are the components of other plugins that have a name in common with one of a plugin; m.mu is held.
func (m *Manager) conflicts(info *Info) (others []string) {
	for _, c := range info.Components {
		for _, o := range m.sources {
			if x := o.active; x != nil && x.info.Name != info.Name && x.component(c.Kind, c.Name) != nil {
				others = append(others, fmt.Sprintf("%s %s of %s %s (%s)", c.Kind, c.Name, x.info.Name,
					x.info.Version, x.info.Path))
			}
		}
	}
	slices.Sort(others)
	return others
}

// source returns the entry of a place; m.mu is held.
func (m *Manager) source(path string) *moduleSource {
	o := m.sources[path]
	if o == nil {
		o = &moduleSource{}
		m.sources[path] = o
	}
	return o
}

func refusal(path string, err error) error { return fmt.Errorf("%s: %w", path, err) }

func (m *Manager) recordRefusal(a *candidateFile) {
	err := refusal(a.path, a.err)
	m.mu.Lock()
	o := m.source(a.path)
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
func (m *Manager) removedFiles(present map[string]bool) (paths []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for path := range m.sources {
		if !strings.HasPrefix(path, embeddedPrefix) && !present[path] {
			paths = append(paths, path)
		}
	}
	return paths
}

// remove retires what an origin offered: running connectors keep it, new ones do not get it.
func (m *Manager) remove(path string) {
	m.mu.Lock()
	o := m.sources[path]
	active, previous := o.active, o.previous
	if active != nil && m.isPinned(active) || previous != nil && m.isPinned(previous) {
		m.mu.Unlock() // a later scan asks again
		return
	}
	delete(m.sources, path)
	m.changes.Add(1)
	m.mu.Unlock()
	for _, removed := range []*module{active, previous} {
		if removed != nil {
			removed.retire()
		}
	}
	if active != nil {
		m.loader.logger.Warn("plugin file removed: running connectors keep it, new ones are refused", "plugin",
			active.info.Name,
			"version", active.info.Version, "file", path)
	}
}
