package plugin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"
)

// origin is a place that a module comes from: a file, or an entry among the embedded ones.
type origin struct {
	// active is what new connectors get, previous what it replaced, kept for rollback; nil where there is none.
	active, previous *module
	// refused is the last file there when it was not accepted.
	refused *Info
	// hash is that of the file as it was last read.
	hash string
}

// arrival is a module's bytes on their way to an origin.
type arrival struct {
	path, hash string
	data       []byte
	// again gives the bytes once more: a file's are kept, since it may change, the program's own are there anyway.
	again func() ([]byte, error)
	// loaded or err is what became of them.
	loaded *module
	err    error
}

// embedded reads the modules that come with the program.
func (m *Manager) embedded(files fs.FS) (list []*arrival, err error) {
	if files == nil {
		return nil, nil
	}
	err = fs.WalkDir(files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !isModule(path) {
			return err
		}
		data, err := fs.ReadFile(files, path)
		list = append(list, &arrival{path: embeddedPrefix + path, hash: hashOf(data), data: data, err: err,
			again: func() ([]byte, error) { return fs.ReadFile(files, path) }})
		return nil
	})
	return list, err
}

// embeddedPrefix begins the origin of modules that are not in a folder.
const embeddedPrefix = "embedded:"

func isModule(path string) bool { return strings.EqualFold(filepath.Ext(path), ".wasm") }

// Reload reads the folders now: what Options.Watch does by itself.
func (m *Manager) Reload(ctx context.Context) error { return m.scan(ctx, nil) }

// scan compares the folders with what is known: new and changed files are loaded behind those that are given, modules whose files
// are gone retire.
func (m *Manager) scan(ctx context.Context, list []*arrival) error {
	m.scanning.Lock()
	defer m.scanning.Unlock()
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
			if a := m.look(path); a != nil {
				list = append(list, a)
			}
		}
	}
	m.loadAll(ctx, list)
	for _, a := range list {
		if a.err != nil && ctx.Err() != nil {
			continue // given up: the next look finds the file as new as it is
		}
		m.settle(a)
	}
	for _, path := range m.gone(present) {
		m.remove(path)
	}
	if len(list) > 0 {
		m.trimLater()
	}
	return ctx.Err()
}

// look reads a file and returns it unless it is as it was. Its bytes decide: the clock of a file system may stand for
// milliseconds, so that a file that was just replaced has the size and time of the one before.
func (m *Manager) look(path string) *arrival {
	data, err := readModule(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // gone again; the next scan sees it
	}
	if err != nil {
		return &arrival{path: path, err: err}
	}
	hash := hashOf(data)
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
	return fileArrival(path, hash, data)
}

// maxModuleBytes is the largest file that is taken for a module: the largest guests known have 12 MB.
const maxModuleBytes = 256 << 20

func readModule(path string) ([]byte, error) {
	file, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !file.Mode().IsRegular():
		return nil, fmt.Errorf("expected a file, found %s", file.Mode().Type())
	case file.Size() > maxModuleBytes:
		return nil, fmt.Errorf("expected a module of at most %d bytes, found %d", maxModuleBytes, file.Size())
	}
	return os.ReadFile(path)
}

func fileArrival(path, hash string, data []byte) *arrival {
	return &arrival{path: path, hash: hash, data: data, again: func() ([]byte, error) { return data, nil }}
}

// loadAll loads side by side: at a start without a compile cache each takes half a second.
func (m *Manager) loadAll(ctx context.Context, list []*arrival) {
	var wait sync.WaitGroup
	places := make(chan struct{}, runtime.GOMAXPROCS(0))
	for _, a := range list {
		if a.err != nil {
			continue
		}
		places <- struct{}{}
		wait.Go(func() {
			a.loaded, a.err = m.loader.load(ctx, a)
			<-places
		})
	}
	wait.Wait()
}

// settle makes a module what its origin offers. What was there before stays for rollback, or stays active when the new one was
// refused.
func (m *Manager) settle(a *arrival) {
	if a.err != nil {
		m.refuse(a)
		return
	}
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		a.loaded.rest()
		return
	}
	if why := m.rejected[a.hash]; why != nil {
		m.mu.Unlock()
		a.loaded.rest()
		a.err = why
		m.refuse(a)
		return
	}
	m.loads++
	a.loaded.order = m.loads
	a.loaded.offered = true
	o := m.origin(a.path)
	var dropped *module
	if o.active != nil {
		dropped, o.previous = o.previous, o.active
	}
	o.active, o.refused, o.hash = a.loaded, nil, a.hash
	m.changes.Add(1)
	m.mu.Unlock()
	if dropped != nil {
		dropped.retire()
	}
	m.logger.Info("plugin loaded", "plugin", a.loaded.info.Name, "version", a.loaded.info.Version, "hash", a.hash[:12], "file", a.path)
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

func (m *Manager) refuse(a *arrival) {
	err := fmt.Errorf("%s: %w", a.path, a.err)
	m.mu.Lock()
	o := m.origin(a.path)
	o.refused = &Info{Origin: a.path, Size: len(a.data), Hash: a.hash, Loaded: time.Now(), Err: err}
	o.hash = a.hash
	running := o.active
	m.mu.Unlock()
	if running != nil {
		m.logger.Error("plugin refused, the version before goes on", "error", err, "plugin", running.info.Name, "version", running.info.Version)
		return
	}
	m.logger.Error("plugin refused", "error", err)
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
	m.changes.Add(1)
	return nil
}
