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

	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/plugin/internal/code"
	"github.com/culvert-project/culvert/wit"
)

func (m *Manager) embeddedModules(files fs.FS, needed []Requirement) (list []*candidateFile, err error) {
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

const embeddedPrefix = "embedded:"

func isModule(path string) bool { return strings.EqualFold(filepath.Ext(path), ".wasm") }

// Reload reads the folders now.
func (m *Manager) Reload(ctx context.Context) error { return m.scan(ctx, nil, nil) }

// scan loads list and the new and changed files of the folders, and retires modules whose files were removed. Files
// for which unfinished is true are skipped.
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

// loadNeeded loads the needed modules and returns the built-in ones that are left. If a needed component is not
// found, it loads all.
func (m *Manager) loadNeeded(ctx context.Context, embedded []*candidateFile,
	needed []Requirement) (left []*candidateFile,
	more bool,
	err error) {
	m.folders.scanning.Lock()
	defer m.folders.scanning.Unlock()
	list, _, err := m.candidates(embedded, needed, nil)
	if err != nil {
		return nil, false, err
	}
	if slices.ContainsFunc(list, func(a *candidateFile) bool { return !a.builtIn }) {
		// Files of folders are compared with what the built-in plugins declare.
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

func (m *Manager) hasAll(needed []Requirement) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !slices.ContainsFunc(needed, func(n Requirement) bool {
		for _, o := range m.sources {
			if o.active != nil && (n.Version == "" || n.Version == o.active.info.Version) &&
				providesClass(o.active.info.Components, n) {
				return false
			}
		}
		return true
	})
}

func providesClass(components []wit.Component, n Requirement) bool {
	return slices.ContainsFunc(components, func(c wit.Component) bool {
		return slices.ContainsFunc(append([]string{c.Name}, c.Aliases...),
			func(name string) bool { return strings.Contains(name, n.Class) })
	})
}

// isDeferrable reports whether an unknown module can be loaded after the start. It nearly always contains the names
// of its components; where it does not, [Manager.hasAll] finds that one is missing.
func isDeferrable(data []byte, needed []Requirement) bool {
	return needed != nil && !slices.ContainsFunc(needed, func(n Requirement) bool {
		return bytes.Contains(data, []byte(n.Class))
	})
}

func (m *Manager) candidates(list []*candidateFile, needed []Requirement,
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

// readCandidate reads a file and returns it if it changed. It compares the bytes: file systems may have a coarse
// clock.
func (m *Manager) readCandidate(path string, needed []Requirement) *candidateFile {
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
		// The running version is back after a refused one.
		o.refused, o.hash = nil, hash
		return nil
	}
	a := newCandidateFile(path, hash, len(data))
	a.facts = kept
	a.deferred = kept == nil && isDeferrable(data, needed)
	return a
}

// loadAll loads modules in parallel, since each takes half a second without a cache. Built-in modules come first;
// files of folders are activated after all of them are loaded, older versions first, since they are compared with
// them.
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

// activate makes a module the active one of its source. The earlier one is kept for rollback, or stays active if the
// new one is refused.
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
		m.loader.logger.Warn("a file replaces a plugin that is built into the program: remove the file unless this "+
			"is intended",
			"plugin", info.Name, "version", info.Version, "replaced", replaced, "file", a.path, "hash", a.hash)
	}
	if err := exposed(a); err != nil {
		m.loader.logger.Warn("a plugin was loaded, and others can put another file in its place", "plugin", info.Name,
			"version", info.Version, "file", a.path, "hash", a.hash, "error", err)
	}
	m.loader.logger.Info("plugin loaded", "plugin", info.Name, "version", info.Version, "hash", a.hash[:12], "file",
		a.path)
}

// exposed returns an error if other users than this one and root can write or replace a module's file.
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
		m.loader.logger.Error("plugin refused; the current version keeps running", "error", err, "plugin",
			running.info.Name,
			"version", running.info.Version)
		return
	}
	m.loader.logger.Error("plugin refused", "error", err)
}

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
