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
	"github.com/culvert-project/culvert/internal/plugin/version"
)

// embeddedModules returns the built-in modules. If needed is not nil, unknown modules without a needed class are
// deferred.
func (m *Manager) embeddedModules(files fs.FS, needed []Requirement) (list []*candidateFile, err error) {
	if files == nil {
		return nil, nil
	}
	err = fs.WalkDir(files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !isModule(path) {
			return err
		}
		read := func() ([]byte, error) { return fs.ReadFile(files, path) }
		file := &candidateFile{path: embeddedPrefix + path, builtIn: true, read: read}
		if file.hash, file.size, err = code.HashFile(files, path); err != nil {
			return err
		}
		file.facts = m.loader.cache.Facts(file.hash)
		if needed != nil && file.facts == nil {
			data, err := read()
			if err != nil {
				return err
			}
			file.deferred = isDeferrable(data, needed)
		}
		list = append(list, file)
		return nil
	})
	return list, err
}

const embeddedPrefix = "embedded:"

func isModule(path string) bool { return strings.EqualFold(filepath.Ext(path), ".wasm") }

// Reload reads the folders now.
func (m *Manager) Reload(ctx context.Context) error { return m.scan(ctx, nil, nil) }

// scan loads list and the new and changed files of the folders, and retires modules whose files were removed. It skips
// files for which unfinished returns true.
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

// loadNeeded loads the needed modules and returns the built-in ones that it has not loaded. hasMore means that files of
// folders or built-in modules are not loaded. If a needed component is not found, it loads all.
func (m *Manager) loadNeeded(ctx context.Context, embedded []*candidateFile,
	needed []Requirement) (builtIn []*candidateFile, hasMore bool, err error) {
	m.folders.scanning.Lock()
	defer m.folders.scanning.Unlock()
	list, _, err := m.candidates(embedded, needed, nil)
	if err != nil {
		return nil, false, err
	}
	for _, file := range list {
		if file.facts == nil && file.err == nil {
			m.loader.compilation.set(file.path, time.Time{}) // zero: it waits to be compiled
		}
	}
	if slices.ContainsFunc(list, func(file *candidateFile) bool { return !file.builtIn }) {
		// Files of folders are compared with the declarations of built-in plugins, so these are loaded first.
		for _, file := range list {
			file.deferred = file.deferred && !file.builtIn
		}
	}
	var deferred []*candidateFile
	list = slices.DeleteFunc(list, func(file *candidateFile) bool {
		if file.deferred {
			deferred = append(deferred, file)
		}
		return file.deferred
	})
	m.loadAll(ctx, list)
	if ctx.Err() == nil && len(deferred) > 0 && !m.hasAll(needed) {
		m.loadAll(ctx, deferred)
		deferred = nil
	}
	m.scheduleTrim()
	hasMore = len(deferred) > 0
	builtIn = slices.DeleteFunc(deferred, func(file *candidateFile) bool { return !file.builtIn })
	return builtIn, hasMore, ctx.Err()
}

func (m *Manager) hasAll(needed []Requirement) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	isMissing := func(requirement Requirement) bool {
		versions, err := version.ParseRange(requirement.Version)
		providesClass := func(component *Component) bool {
			return slices.ContainsFunc(append([]string{component.Name}, component.Aliases...),
				func(name string) bool { return strings.Contains(name, requirement.Class) }) // or its short form
		}
		for _, source := range m.sources {
			if source.active != nil && err == nil && versions.Contains(source.active.info.Version) &&
				slices.ContainsFunc(source.active.info.Components, providesClass) {
				return false
			}
		}
		return true
	}
	return !slices.ContainsFunc(needed, isMissing)
}

// isDeferrable reports whether an unknown module can be loaded after the start. A module nearly always contains the
// names of its components; otherwise [Manager.hasAll] finds that one is missing.
func isDeferrable(data []byte, needed []Requirement) bool {
	return needed != nil && !slices.ContainsFunc(needed, func(requirement Requirement) bool {
		return bytes.Contains(data, []byte(requirement.Class))
	})
}

// candidates appends the new and changed files of the folders to list. present has the paths of all module files.
func (m *Manager) candidates(list []*candidateFile, needed []Requirement,
	unfinished func(path string) bool) (files []*candidateFile, present map[string]bool, err error) {
	present = map[string]bool{}
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
			if file := m.readCandidate(path, needed); file != nil {
				list = append(list, file)
			}
		}
	}
	return list, present, nil
}

// readCandidate reads a file and returns it if it changed, else nil. It compares the content, because file systems may
// have a coarse clock.
func (m *Manager) readCandidate(path string, needed []Requirement) *candidateFile {
	data, err := code.ReadModule(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // removed since the folder was read; the next scan finds that
	}
	if err != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		if source := m.sources[path]; source != nil && source.refused != nil && source.refused.Hash == "" &&
			source.refused.Err.Error() == withPath(path, err).Error() {
			return nil // this refusal is recorded already
		}
		return &candidateFile{path: path, err: err}
	}
	hash := code.HashOf(data)
	facts := m.loader.cache.Facts(hash)
	m.mu.Lock()
	defer m.mu.Unlock()
	source := m.sources[path]
	if source != nil && source.hash == hash {
		return nil
	}
	if source != nil && source.active != nil && source.active.info.Hash == hash {
		// The running version replaces a refused one again.
		source.refused = nil
		source.hash = hash
		return nil
	}
	file := newCandidateFile(path, hash, len(data))
	file.facts = facts
	file.deferred = facts == nil && isDeferrable(data, needed)
	return file
}

// loadAll loads modules in parallel, since each takes half a second without a cache. Built-in modules come first. Files
// of folders are activated after all of them are loaded, older versions first, since each is compared with the older
// ones.
func (m *Manager) loadAll(ctx context.Context, list []*candidateFile) {
	m.mu.Lock()
	for _, file := range list {
		m.loads++
		file.order = m.loads
	}
	m.mu.Unlock()
	builtIn := slices.DeleteFunc(slices.Clone(list), func(file *candidateFile) bool { return !file.builtIn })
	others := slices.DeleteFunc(slices.Clone(list), func(file *candidateFile) bool { return file.builtIn })
	m.loadParallel(ctx, builtIn, m.checkAndActivate)
	m.loadParallel(ctx, others, func(context.Context, *candidateFile) {})
	versionOf := func(file *candidateFile) string {
		if file.loaded == nil {
			return ""
		}
		return file.loaded.info.Version
	}
	slices.SortStableFunc(others, func(a, b *candidateFile) int { return version.Compare(versionOf(a), versionOf(b)) })
	for _, file := range others {
		m.checkAndActivate(ctx, file)
	}
}

// loadParallel loads files, calls then after each one, also in parallel, and returns when all are loaded.
func (m *Manager) loadParallel(ctx context.Context, list []*candidateFile, then func(context.Context, *candidateFile)) {
	var wait sync.WaitGroup
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for _, file := range list {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			defer guard.Recover(m.loader.logger, "loading "+file.path, nil)
			if file.err == nil {
				file.loaded, file.err = m.load(ctx, file)
				m.loader.compilation.end(file.path)
			}
			then(ctx, file)
		})
	}
	wait.Wait()
}

func (m *Manager) checkAndActivate(ctx context.Context, file *candidateFile) {
	defer guard.Recover(m.loader.logger, "loading "+file.path, nil)
	if file.err != nil && ctx.Err() != nil {
		return // the next scan loads the file
	}
	if file.err == nil {
		file.err = m.checkReplacement(file)
	}
	if file.err == nil {
		file.err = m.history.checkRoles(&file.loaded.info, m.olderDeclarations(file))
	}
	m.activate(file)
}

// olderDeclarations merges the declarations of the same plugin's versions in other files that are not newer.
func (m *Manager) olderDeclarations(file *candidateFile) *roleDeclarations {
	m.mu.Lock()
	defer m.mu.Unlock()
	declarations := &roleDeclarations{}
	info := &file.loaded.info
	for path, source := range m.sources {
		if mod := source.active; mod != nil && path != file.path && mod.info.Name == info.Name &&
			version.Compare(mod.info.Version, info.Version) <= 0 {
			declarations.merge(declarationsOf(&mod.info))
		}
	}
	return declarations
}

func (m *Manager) load(ctx context.Context, file *candidateFile) (mod *module, err error) {
	defer guard.Recover(m.loader.logger, "loading "+file.path, &err)
	return m.loader.load(ctx, file)
}

// activate makes a module the active one of its source. The earlier one is kept for rollback, or stays active if the
// new one is refused.
func (m *Manager) activate(file *candidateFile) {
	m.mu.Lock()
	if rejection := m.rejected[file.hash]; rejection != nil && file.err == nil {
		file.err = rejection
	}
	if file.err != nil || m.closed {
		m.mu.Unlock()
		if file.loaded != nil {
			file.loaded.freeIfUnused()
		}
		if file.err != nil {
			m.recordRefusal(file)
		}
		return
	}
	// Replace the source's version.
	info := &file.loaded.info
	file.loaded.order = file.order
	file.loaded.activate()
	source := m.sourceOf(file.path)
	var dropped *module
	if source.active != nil {
		dropped, source.previous = source.previous, source.active
		// Of the two older versions, a pinned one is kept.
		if dropped != nil && m.isPinned(dropped) {
			dropped, source.previous = source.previous, dropped
		}
	}
	source.active = file.loaded
	source.refused = nil
	source.hash = file.hash
	if m.chosen[info.Name] != file.hash { // a new file ends an operator's choice
		delete(m.chosen, info.Name)
	}
	m.changes.Add(1)
	// Find out what is unusual about the version, then log it without the lock.
	var others []string
	for _, component := range info.Components {
		for _, source := range m.sources {
			if mod := source.active; mod != nil && mod.info.Name != info.Name &&
				mod.component(component.Kind, component.Name) != nil {
				others = append(others, fmt.Sprintf("%s %s of %s %s (%s)", component.Kind, component.Name,
					mod.info.Name, mod.info.Version, mod.info.Path))
			}
		}
	}
	slices.Sort(others)
	replacedVersion := ""
	for _, source := range m.sources {
		if mod := source.active; mod != nil && !file.builtIn && mod.info.BuiltIn && mod.info.Name == info.Name &&
			m.precedes(file.loaded, mod) {
			replacedVersion = mod.info.Version
		}
	}
	m.mu.Unlock()
	if dropped != nil {
		dropped.retire()
	}
	if len(others) > 0 {
		m.loader.logger.Warn("several plugins have the same class: connectors use a built-in one, and are refused "+
			"others", "plugin", info.Name, "file", file.path, "others", others)
	}
	if replacedVersion != "" {
		m.loader.logger.Warn("a file replaces a built-in plugin: remove the file unless this is intended",
			"plugin", info.Name, "version", info.Version, "replaced", replacedVersion, "file", file.path,
			"hash", file.hash)
	}
	if err := checkFileAccess(file); err != nil {
		m.loader.logger.Warn("a plugin was loaded from a file that other users can replace", "plugin", info.Name,
			"version", info.Version, "file", file.path, "hash", file.hash, "error", err)
	}
	m.loader.logger.Info("plugin loaded", "plugin", info.Name, "version", info.Version, "hash", file.hash[:12],
		"file", file.path)
}

// checkFileAccess returns an error if users other than this one and root can write or replace a module's file.
func checkFileAccess(file *candidateFile) error {
	if file.builtIn {
		return nil
	}
	for _, path := range []string{filepath.Dir(file.path), file.path} {
		if info, err := os.Stat(path); err == nil { // otherwise it was removed after it was loaded
			if err := code.CheckPrivate(info, os.Geteuid()); err != nil {
				return withPath(path, err)
			}
		}
	}
	return nil
}

// sourceOf returns the source of a file, which it creates if there is no source. m.mu must be held.
func (m *Manager) sourceOf(path string) *moduleSource {
	source := m.sources[path]
	if source == nil {
		source = &moduleSource{}
		m.sources[path] = source
	}
	return source
}

func withPath(path string, err error) error { return fmt.Errorf("%s: %w", path, err) }

func (m *Manager) recordRefusal(file *candidateFile) {
	err := withPath(file.path, file.err)
	m.mu.Lock()
	source := m.sourceOf(file.path)
	source.refused = &Info{Path: file.path, Size: file.size, Hash: file.hash, Loaded: time.Now(), Err: err}
	if file.loaded != nil {
		source.refused.Name = file.loaded.info.Name
		source.refused.Version = file.loaded.info.Version
	}
	source.hash = file.hash
	running := source.active
	m.mu.Unlock()
	if running != nil {
		m.loader.logger.Error("plugin refused; the current version continues", "error", err,
			"plugin", running.info.Name, "version", running.info.Version)
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
	source := m.sources[path]
	active := source.active
	previous := source.previous
	if (active != nil && m.isPinned(active)) || (previous != nil && m.isPinned(previous)) {
		m.mu.Unlock() // a later scan removes it
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
		m.loader.logger.Warn("plugin file removed: running connectors continue to use it, new ones are refused",
			"plugin", active.info.Name, "version", active.info.Version, "file", path)
	}
}
