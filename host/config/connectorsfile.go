package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/culvert-project/culvert/host/internal/base/wholefile"
)

// ConnectorsFile keeps the connectors that were created by REST on a worker without a group, in one file of its data
// folder. They belong to REST, as those in a file of their own belong to that file. All methods may be called at any
// time.
type ConnectorsFile struct {
	path string

	mu     sync.Mutex
	stored storedConnectors
}

// storedConnectors is the JSON document of a [ConnectorsFile].
type storedConnectors struct {
	// Last is the highest version that was given to a connector so far.
	Last       int64                      `json:"last_version"`
	Connectors map[string]storedConnector `json:"connectors"`
}

type storedConnector struct {
	Version int64             `json:"version"`
	Config  map[string]string `json:"config"`
}

// maxConnectorsFile is how large a [ConnectorsFile] may be, in bytes.
const maxConnectorsFile = 64 << 20

// OpenConnectorsFile reads the file, which may be absent; "" keeps all in memory. A file that cannot be read is an
// error: its connectors would be taken for deleted.
func OpenConnectorsFile(path string) (*ConnectorsFile, error) {
	f := &ConnectorsFile{path: path}
	if err := loadJSON(path, maxConnectorsFile, &f.stored); err != nil {
		return nil, fmt.Errorf("connectors that were made by REST: %w", err)
	}
	if f.stored.Connectors == nil {
		f.stored.Connectors = map[string]storedConnector{}
	}
	return f, nil
}

// place is the [Connector.File] of a connector.
func (f *ConnectorsFile) place(name string) string { return f.path + ": " + name }

// holds reports whether a connector was read from the file.
func (f *ConnectorsFile) holds(c *Connector) bool { return f != nil && c.File == f.place(c.Name) }

// Names are the connectors of the file, in their order.
func (f *ConnectorsFile) Names() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.stored.Connectors))
}

// connector reads a connector, nil if it is absent.
func (f *ConnectorsFile) connector(name string, providers *Providers) *Connector {
	f.mu.Lock()
	stored, there := f.stored.Connectors[name]
	f.mu.Unlock()
	if !there {
		return nil
	}
	settings := map[string]string{}
	maps.Copy(settings, stored.Config) // null in a file that somebody has edited
	settings["name"] = name
	c := NewRESTConnector(f.place(name), settings, nil, providers)
	c.Name, c.Version = name, fmt.Sprint(stored.Version)
	return c
}

// put stores a configuration durably. over is [Stored.IfMatch].
func (f *ConnectorsFile) put(name string, settings map[string]string, over func(version string) bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	before, there := f.stored.Connectors[name]
	version := ""
	if there {
		version = fmt.Sprint(before.Version)
	}
	switch {
	case over != nil && !over(version):
		return &ChangedError{name}
	case there && maps.Equal(before.Config, settings):
		return nil
	}
	if n := len(encoded(settings)); n > maxFileBytes {
		return &TooLargeError{fmt.Sprintf("expected at most %d bytes in a configuration, found %d", maxFileBytes, n)}
	}
	return f.change(func(next *storedConnectors) {
		next.Last++
		next.Connectors[name] = storedConnector{next.Last, settings}
	})
}

// remove deletes a connector durably.
func (f *ConnectorsFile) remove(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.change(func(next *storedConnectors) { delete(next.Connectors, name) })
}

// change saves what do makes of a copy; f.mu is held.
func (f *ConnectorsFile) change(do func(*storedConnectors)) error {
	next := storedConnectors{f.stored.Last, maps.Clone(f.stored.Connectors)}
	do(&next)
	if err := saveJSON(f.path, maxConnectorsFile, next); err != nil {
		return err
	}
	f.stored = next
	return nil
}

// Import stores the connectors that an earlier version kept in a folder, one file for each, and removes their files. A
// file that cannot be imported stays, with a problem. A target state next to the settings counts unless another was
// set. Import may be repeated after a crash. It also removes what killed writes have left in the folder.
func (f *ConnectorsFile) Import(folder string, targets *TargetStates) (imported []string, problems Problems,
	err error) {
	wholefile.Clean(folder)
	files, err := ListFolder(folder)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return nil, nil, err
	}
	var done []string
	f.mu.Lock()
	defer f.mu.Unlock()
	next := storedConnectors{f.stored.Last, maps.Clone(f.stored.Connectors)}
	for _, path := range files.Connectors {
		c := loadAny(path, &Providers{})
		stored, there := next.Connectors[c.Name]
		switch {
		case c.Problems.Err() != nil:
			problems = append(problems, c.Problems...)
			continue
		case there && !maps.Equal(stored.Config, c.Raw()):
			problems = append(problems, Problem{File: path, Text: fmt.Sprintf("has no effect: %s holds a connector of "+
				"the same name, %s", f.path, c.Name)})
			continue
		case !there:
			next.Last++
			next.Connectors[c.Name] = storedConnector{next.Last, c.Raw()}
			imported = append(imported, c.Name)
		}
		if _, set := targets.get(c.Name); !set && c.InitialState != nil {
			if err := targets.Set(c.Name, c.InitialTarget()); err != nil {
				return nil, nil, err
			}
		}
		done = append(done, path)
	}
	if err := saveJSON(f.path, maxConnectorsFile, next); err != nil {
		return nil, nil, err
	}
	f.stored = next
	for _, path := range done {
		if err := os.Remove(path); err != nil {
			return nil, nil, err
		}
	}
	_ = os.Remove(folder) // unless something is left in it
	return imported, problems, nil
}

// loadJSON reads a file of at most so many bytes into a value, which it leaves alone if the path is "" or leads to
// nothing.
func loadJSON(path string, most int64, into any) error {
	if path == "" {
		return nil
	}
	data, err := wholefile.Read(path, most)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// saveJSON replaces a file durably, unless the path is "".
func saveJSON(path string, most int, value any) error {
	if path == "" {
		return nil
	}
	data, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	if len(data) > most {
		return fmt.Errorf("expected at most %d bytes in %s, found %d", most, filepath.Base(path), len(data))
	}
	return wholefile.ReplaceSynced(path, data)
}
