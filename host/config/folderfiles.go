package config

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/culvert-project/culvert/host/internal/base/watch"
	"github.com/culvert-project/culvert/host/internal/base/wholefile"
)

// Put writes a connector's file: the one that it has, in JSON where its ending is .json, else in properties;
// without one NAME.json, in the folder, or in the worker's own where there is none or it cannot be written. Comments of
// a file that is written again are lost. It is replaced at once, never half, and holds as it was written when Put
// returns. A file that cannot be changed is an [ErrKept].
//
// A target state is kept before the file is written, so that what is to be stopped never runs; where the file cannot be
// written it is again what it was: a connector of that name that comes later has its own.
func (s *FolderStore) Put(_ context.Context, name string, stored Stored) error {
	undo := func() error { return nil }
	if stored.Target != "" {
		var err error
		if undo, err = s.places.Targets.try(name, stored.Target); err != nil {
			return err
		}
	}
	if stored.Connector == nil {
		s.kicks.Ring()
		return nil
	}
	if err := s.putFile(name, stored.Connector); err != nil {
		return errors.Join(err, undo())
	}
	return nil
}

func (s *FolderStore) putFile(name string, c *Connector) error {
	s.seen.mu.Lock()
	defer s.seen.mu.Unlock()
	settings := c.Raw()
	settings["name"] = name
	var path string
	if err := s.places.Brought.while(c, func() (err error) {
		path, err = s.writeFile(name, settings)
		return err
	}); err != nil {
		return err
	}
	stamp := watch.Stamp(path)
	s.seen.files[path] = &watchedFile{stamp: stamp, same: 1, loaded: s.load(path), of: stamp}
	s.wrote()
	return nil
}

// writeFile writes the file of a connector, and returns its path.
func (s *FolderStore) writeFile(name string, settings map[string]string) (path string, err error) {
	path, err = s.file(name)
	switch {
	case err != nil:
	case path != "":
		// What stands next to the settings is not written again: it goes on to hold.
		if c := s.seen.files[path].loaded; c.Initial != nil {
			if err = s.places.Targets.Set(name, s.places.Targets.Get(c)); err != nil {
				break
			}
		}
		if err = writeConnector(path, settings); unwritable(err) {
			return "", &ErrKept{name, path, "which cannot be written"}
		}
	default:
		path, err = s.writeNew(name, settings)
	}
	if err != nil {
		return "", fmt.Errorf("connector %s: %w", name, err)
	}
	return path, nil
}

// file is the file of a connector, "" where it has none; s.seen is locked.
func (s *FolderStore) file(name string) (string, error) {
	for _, c := range s.places.Named {
		if c.Name == name {
			return "", &ErrKept{name, c.File, "which was named when the worker was started"}
		}
	}
	var files, own []string
	for path, f := range s.seen.files {
		switch {
		case f.loaded == nil || f.loaded.Name != name:
		case s.isOwn(path):
			own = append(own, path)
		default:
			files = append(files, path)
		}
	}
	if len(files) == 0 {
		files = own
	}
	switch slices.Sort(files); len(files) {
	case 0:
		return "", nil
	case 1:
		return files[0], nil
	}
	return "", fmt.Errorf("expected it in one file, found it in %s", strings.Join(files, " and "))
}

// writeNew writes a connector that has no file yet.
func (s *FolderStore) writeNew(name string, settings map[string]string) (path string, err error) {
	if s.places.Folder != "" {
		if path, err = newFile(s.places.Folder, name); err == nil {
			err = writeConnector(path, settings)
		}
		if s.places.Own == "" || !unwritable(err) {
			return path, err
		}
	}
	if s.places.Own == "" {
		return "", errors.New("there is no folder to keep it in")
	}
	if err := os.MkdirAll(s.places.Own, 0o700); err != nil {
		return "", err
	}
	if path, err = newFile(s.places.Own, name); err == nil {
		err = writeConnector(path, settings)
	}
	return path, err
}

// Delete removes a connector's file, in the worker's own folder too, and forgets its target state. A file that cannot
// be removed is an [ErrKept].
func (s *FolderStore) Delete(_ context.Context, name string) error {
	s.seen.mu.Lock()
	defer s.seen.mu.Unlock()
	path, err := s.file(name)
	switch {
	case err != nil:
		return fmt.Errorf("connector %s: %w", name, err)
	case path == "":
		return fmt.Errorf("connector %s: there is no file of it", name)
	}
	gone := []string{path}
	for other, f := range s.seen.files { // one that it has hidden would come in its place
		if other != path && s.isOwn(other) && f.loaded != nil && f.loaded.Name == name {
			gone = append(gone, other)
		}
	}
	for _, path := range gone {
		switch err := wholefile.Remove(path); {
		case unwritable(err):
			return &ErrKept{name, path, "which cannot be removed"}
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("connector %s: %w", name, err)
		}
		delete(s.seen.files, path)
		s.wrote()
	}
	return errors.Join(s.places.Targets.Forget(name), s.places.Brought.Forget(name))
}

// wrote notes that files are others now; s.seen is locked.
func (s *FolderStore) wrote() {
	s.mu.Lock()
	s.writes++
	s.news = true
	s.mu.Unlock()
	s.kicks.Ring()
}

// ErrKept is the error of a change of a connector whose file cannot be changed.
type ErrKept struct {
	Connector, File, Why string
}

func (e *ErrKept) Error() string {
	return fmt.Sprintf("Connector %s is kept in %s, %s: change it there", e.Connector, e.File, e.Why)
}

// unwritable tells whether a place takes no files, whatever they hold.
func unwritable(err error) bool {
	// A file that is mounted by itself, into a container for example, can be neither replaced nor removed.
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.EBUSY) ||
		errors.Is(err, syscall.EXDEV)
}

// newFiles is how many names are tried for the file of a connector: there may be a file of that name with another
// connector in it.
const newFiles = 100

func newFile(dir, name string) (string, error) {
	for n := range newFiles {
		path := filepath.Join(dir, fileName(name))
		if n > 0 {
			path += fmt.Sprintf("-%d", n+1)
		}
		path += ".json"
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			return path, nil
		} else if err != nil {
			return "", err
		}
	}
	return "", fmt.Errorf("%s has %d files of that name, with other connectors in them", dir, newFiles)
}

// maxFileName is how much of a connector's name stands in its file's, in bytes: file systems take 255, ending included.
const maxFileName = 200

// fileName is a name for the file of a connector that stays in its folder and is no hidden one.
func fileName(connector string) string {
	name := url.PathEscape(connector)
	if strings.HasPrefix(name, ".") {
		name = "%2E" + name[1:]
	}
	if len(name) > maxFileName { // what is cut off stands in the file
		name = fmt.Sprintf("%s~%x", name[:maxFileName], sha256.Sum256([]byte(connector)))[:maxFileName+20]
	}
	return name
}

// writeConnector replaces a file. The name of what is written first begins with a dot, which the folder passes over.
func writeConnector(path string, settings map[string]string) error {
	data, err := connectorFile(path, settings)
	if err != nil {
		return err
	}
	if err := readsAs(path, data, settings); err != nil {
		return err
	}
	return wholefile.Rewrite(path, data)
}

// connectorFile is what a file holds that is written.
func connectorFile(path string, settings map[string]string) (data []byte, err error) {
	if filepath.Ext(path) != ".properties" { // JSON is YAML, too
		return json.MarshalIndent(settings, "", "  ")
	}
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		data = append(data, PropertiesLine(key, settings[key])+"\n"...)
	}
	return data, nil
}

// ErrUnfit is the error of a configuration that a connector's file cannot hold: it has too many settings or bytes, or
// characters that there is no way to write.
type ErrUnfit struct{ text string }

func (e *ErrUnfit) Error() string { return e.text }

// readsAs checks that a file will be read as the settings that are written into it. The error is an [ErrUnfit].
func readsAs(path string, data []byte, settings map[string]string) error {
	if len(data) > maxFileBytes {
		return &ErrUnfit{fmt.Sprintf("expected at most %d bytes in a file, found %d", maxFileBytes, len(data))}
	}
	entries, problems := Read(path, data)
	if err := problems.Err(); err != nil {
		return &ErrUnfit{err.Error()}
	}
	found := make(map[string]string, len(entries))
	for _, e := range entries {
		found[e.Key] = e.Raw
	}
	if !maps.Equal(found, settings) {
		return &ErrUnfit{path + " would not be read as it is written: a key or a value has characters that files " +
			"cannot hold"}
	}
	return nil
}

// PropertiesLine is a setting as properties have it, so that it is read as it was.
func PropertiesLine(key, value string) string {
	return escaped(key, true) + "=" + escaped(value, false)
}

// escaped is a key or a value as properties have it, so that it is read as it was.
func escaped(text string, key bool) string {
	var b []rune
	for i, r := range []rune(text) {
		switch {
		case r == '\n':
			b = append(b, '\\', 'n')
		case r == '\r':
			b = append(b, '\\', 'r')
		case r == '\t':
			b = append(b, '\\', 't')
		case r == '\f':
			b = append(b, '\\', 'f')
		case r == 0 || r == '\ufeff': // no file of text has the first, and the other one is none where a file begins
			b = append(b, []rune(fmt.Sprintf(`\u%04x`, r))...)
		case r == '\\', key && (r == ':' || r == '=' || r == ' '), i == 0 && (r == '#' || r == '!' || r == ' '),
			i == 0 && key && r == '{':
			b = append(b, '\\', r)
		default:
			b = append(b, r)
		}
	}
	return string(b)
}
