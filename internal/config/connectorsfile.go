package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/culvert-project/culvert/internal/base/wholefile"
	"github.com/culvert-project/culvert/internal/secret"
)

// ConnectorsFile stores the connectors that REST created on a worker without a group. It is safe for concurrent use.
type ConnectorsFile struct {
	path string

	mu     sync.Mutex // guards stored and the file
	stored storedConnectors
}

type storedConnectors struct {
	LastVersion int64                      `json:"last_version"`
	Connectors  map[string]storedConnector `json:"connectors"`
}

type storedConnector struct {
	Version int64             `json:"version"`
	Config  map[string]string `json:"config"`
}

const maxConnectorsFile = 64 << 20

// OpenConnectorsFile reads the file, which may be missing; an empty path keeps all in memory.
func OpenConnectorsFile(path string) (*ConnectorsFile, error) {
	f := &ConnectorsFile{path: path}
	if err := loadJSON(path, maxConnectorsFile, &f.stored); err != nil {
		return nil, fmt.Errorf("connectors created by REST: %w", err)
	}
	if f.stored.Connectors == nil {
		f.stored.Connectors = map[string]storedConnector{}
	}
	return f, nil
}

func (f *ConnectorsFile) location(name string) string { return f.path + ": " + name }

func (f *ConnectorsFile) contains(connector *Connector) bool {
	return f != nil && connector.File == f.location(connector.Name)
}

// Names returns the names of the connectors, sorted.
func (f *ConnectorsFile) Names() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.stored.Connectors))
}

func (f *ConnectorsFile) connector(name string, providers *Providers) *Connector {
	f.mu.Lock()
	stored, ok := f.stored.Connectors[name]
	f.mu.Unlock()
	if !ok {
		return nil
	}
	settings := map[string]string{}
	maps.Copy(settings, stored.Config) // null if a user has edited the file
	settings["name"] = name
	connector := NewRESTConnector(f.location(name), settings, nil, providers)
	connector.Name = name
	connector.Version = fmt.Sprint(stored.Version)
	return connector
}

// put stores a connector unless it is unchanged. ifMatch reports whether the stored version, "" if there is none, may
// be replaced; nil accepts any version.
func (f *ConnectorsFile) put(name string, settings map[string]string, ifMatch func(version string) bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	previous, ok := f.stored.Connectors[name]
	version := ""
	if ok {
		version = fmt.Sprint(previous.Version)
	}
	switch {
	case ifMatch != nil && !ifMatch(version):
		return &ChangedError{name}
	case ok && maps.Equal(previous.Config, settings):
		return nil
	}
	if n := encodedSize(settings); n > maxFileBytes {
		return &TooLargeError{Text: fmt.Sprintf("expected at most %d bytes in a configuration, found %d", maxFileBytes,
			n)}
	}
	return f.update(func(next *storedConnectors) {
		next.LastVersion++
		next.Connectors[name] = storedConnector{Version: next.LastVersion, Config: settings}
	})
}

func encodedSize(settings map[string]string) int {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(settings) // cannot fail
	return b.Len() - len("\n")
}

func (f *ConnectorsFile) remove(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.update(func(next *storedConnectors) { delete(next.Connectors, name) })
}

// update applies a change to a copy of the connectors, which replaces them once it is in the file. The caller holds mu.
func (f *ConnectorsFile) update(change func(*storedConnectors)) error {
	next := storedConnectors{LastVersion: f.stored.LastVersion, Connectors: maps.Clone(f.stored.Connectors)}
	change(&next)
	if err := saveJSON(f.path, maxConnectorsFile, next); err != nil {
		return err
	}
	f.stored = next
	return nil
}

// Import stores connectors that an earlier version kept in a folder, one file each, and deletes the files. A target
// state in a file is used unless one was set. Import may be repeated after a crash.
func (f *ConnectorsFile) Import(folder string,
	targets *TargetStates) (imported []string, problems Problems, err error) {
	wholefile.Clean(folder)
	files, err := ListFolder(folder)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return nil, nil, err
	}
	var importedPaths []string
	f.mu.Lock()
	defer f.mu.Unlock()
	next := storedConnectors{LastVersion: f.stored.LastVersion, Connectors: maps.Clone(f.stored.Connectors)}
	for _, path := range files.Connectors {
		connector := loadAny(path, &Providers{})
		stored, ok := next.Connectors[connector.Name]
		switch {
		case connector.Problems.Err() != nil:
			problems = append(problems, connector.Problems...)
			continue
		case ok && !maps.Equal(stored.Config, connector.Raw()):
			problems = append(problems, Problem{File: path,
				Text: fmt.Sprintf("has no effect: %s contains a connector of the same name, %s", f.path,
					connector.Name)})
			continue
		case !ok:
			next.LastVersion++
			next.Connectors[connector.Name] = storedConnector{Version: next.LastVersion, Config: connector.Raw()}
			imported = append(imported, connector.Name)
		}
		if _, isSet := targets.get(connector.Name); !isSet && connector.InitialState != nil {
			if err := targets.Set(connector.Name, connector.InitialTarget()); err != nil {
				return nil, nil, err
			}
		}
		importedPaths = append(importedPaths, path)
	}
	if err := saveJSON(f.path, maxConnectorsFile, next); err != nil {
		return nil, nil, err
	}
	f.stored = next
	for _, path := range importedPaths {
		if err := os.Remove(path); err != nil {
			return nil, nil, err
		}
	}
	_ = os.Remove(folder) // unless other files remain
	return imported, problems, nil
}

func loadJSON(path string, maxBytes int64, into any) error {
	if path == "" {
		return nil
	}
	data, err := wholefile.Read(path, maxBytes)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	if err := secret.UnmarshalJSON(data, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func saveJSON(path string, maxBytes int, value any) error {
	if path == "" {
		return nil
	}
	data, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	if len(data) > maxBytes {
		return fmt.Errorf("expected at most %d bytes in %s, found %d", maxBytes, filepath.Base(path), len(data))
	}
	return wholefile.WriteSynced(path, data)
}
