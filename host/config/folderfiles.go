package config

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
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

// Put writes a connector's file: the one that it has, in JSON where its ending is .json or that of YAML, else in
// properties; without one NAME.json, or NAME.properties of a text of properties, in the folder, or in the worker's own
// where there is none or it cannot be written. A file of properties keeps all that it is not asked to change, see
// [Edit], or holds the text that is given, with the connector's name in it. JSON keeps the order of its settings, and
// comments of YAML are lost. A file is replaced at once, never half, and holds as it was written when Put returns. One
// that cannot be changed is an [ErrKept].
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
	if err := s.putFile(name, stored); err != nil {
		return errors.Join(err, undo())
	}
	return nil
}

func (s *FolderStore) putFile(name string, stored Stored) error {
	s.seen.mu.Lock()
	defer s.seen.mu.Unlock()
	path, err := s.file(name)
	if err != nil {
		return fmt.Errorf("connector %s: %w", name, err)
	}
	var before []byte
	version := ""
	if path != "" {
		if before, err = ReadRegular(path); err == nil {
			version = versionOf(before)
		} else if !errors.Is(err, fs.ErrNotExist) && stored.Over != nil {
			return err
		}
	}
	if stored.Over != nil && !stored.Over(version) {
		return &ErrChanged{name}
	}
	if err := s.places.Brought.while(stored.Connector, func() (err error) {
		path, err = s.writeFile(name, path, before, stored)
		return err
	}); err != nil {
		return err
	}
	stamp := watch.Stamp(path)
	s.seen.files[path] = &watchedFile{stamp: stamp, same: 1, loaded: s.load(path), of: stamp}
	s.wrote()
	return nil
}

// writeFile writes the file of a connector, which is at a path and held something before, or is a new one, and returns
// its path.
func (s *FolderStore) writeFile(name, path string, before []byte, stored Stored) (string, error) {
	settings := stored.Connector.Raw()
	settings["name"] = name
	var err error
	if path == "" {
		path, err = s.writeNew(name, settings, stored.Text)
	} else {
		// What stands next to the settings is not written again: it goes on to hold.
		if c := s.seen.files[path].loaded; c.Initial != nil {
			err = s.places.Targets.Set(name, s.places.Targets.Get(c))
		}
		if err == nil {
			err = writeConnector(path, before, settings, stored.Text)
		}
		if unwritable(err) {
			return "", &ErrKept{name, path, "which cannot be written"}
		}
	}
	if err != nil {
		return "", fmt.Errorf("connector %s: %w", name, err)
	}
	return path, nil
}

// Takes implements [Store]. Whether a folder takes files is tried with an empty one, which is none of a connector.
func (s *FolderStore) Takes(name string) error {
	s.seen.mu.Lock()
	defer s.seen.mu.Unlock()
	path, err := s.file(name)
	switch {
	case err != nil:
		return err
	case path != "":
		if unwritable(wholefile.Try(path)) {
			return &ErrKept{name, path, "which cannot be written"}
		}
	case s.places.Own == "" && s.places.Folder == "":
		return errNoFolder
	case s.places.Own == "" && unwritable(wholefile.Try(filepath.Join(s.places.Folder, "x"))):
		return fmt.Errorf("Connectors are kept in %s, which cannot be written", s.places.Folder)
	}
	return nil
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

var errNoFolder = errors.New("there is no folder to keep it in")

// writeNew writes a connector that has no file yet.
func (s *FolderStore) writeNew(name string, settings map[string]string, text []byte) (path string, err error) {
	ending := ".json"
	if text != nil {
		ending = ".properties"
	}
	write := func(dir string) error {
		if path, err = newFile(dir, name, ending); err == nil {
			err = writeConnector(path, nil, settings, text)
		}
		return err
	}
	if s.places.Folder != "" && (!unwritable(write(s.places.Folder)) || s.places.Own == "") {
		return path, err
	}
	if s.places.Own == "" {
		return "", errNoFolder
	}
	if err := os.MkdirAll(s.places.Own, 0o700); err != nil {
		return "", err
	}
	err = write(s.places.Own)
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

// ErrChanged is the error of a change that is to be made of another version than the one that is stored.
type ErrChanged struct{ Connector string }

func (e *ErrChanged) Error() string {
	return fmt.Sprintf("Connector %s was changed meanwhile, by REST or in its file, and nothing was written: expected "+
		"the version that the request names (If-Match, If-None-Match); read it again, and change what it is now",
		e.Connector)
}

// versionKey makes versions say nothing about passwords to those who see them. It is another one in each process, so
// that after a restart of the worker a version that was read before counts as changed.
var versionKey = []byte(rand.Text())

// versionOf is the version of what a file holds.
func versionOf(data []byte) string {
	sum := hmac.New(sha256.New, versionKey)
	sum.Write(data)
	return hex.EncodeToString(sum.Sum(nil)[:16])
}

// ReadText is the text of a connector's file of properties as it is at the moment, with its version; nil where the file
// has another form.
func ReadText(path string) (text []byte, version string, err error) {
	data, err := ReadRegular(path)
	if err != nil || strings.ToLower(filepath.Ext(path)) != ".properties" ||
		isJSON(bytes.TrimPrefix(data, []byte(byteOrderMark))) {
		return nil, "", err
	}
	return data, versionOf(data), nil
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

func newFile(dir, name, ending string) (string, error) {
	for n := range newFiles {
		path := filepath.Join(dir, fileName(name))
		if n > 0 {
			path += fmt.Sprintf("-%d", n+1)
		}
		path += ending
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

// writeConnector replaces a file, which held something before. The name of what is written first begins with a dot,
// which the folder passes over.
func writeConnector(path string, before []byte, settings map[string]string, text []byte) error {
	data, err := connectorFile(path, before, settings, text)
	if err != nil {
		return err
	}
	if err := readsAs(path, data, settings); err != nil {
		return err
	}
	return rewrite(path, data)
}

var rewrite = wholefile.Rewrite // which tests make fail

// connectorFile is what a file holds that is written.
func connectorFile(path string, before []byte, settings map[string]string, text []byte) (data []byte, err error) {
	if strings.ToLower(filepath.Ext(path)) != ".properties" {
		return jsonFile(path, before, settings), nil // JSON is YAML, too
	}
	if text != nil {
		encoded := encodedAs(before, string(text)) // Kafka Connect reads the file in the encoding that it had
		if back, err := decoded(encoded); err == nil && bytes.Equal(back, text) {
			text = encoded
		}
		before = text
	}
	if data, err = Edit(before, settings); err != nil && text == nil { // what is there is no text that can be kept
		return PropertiesText(settings), nil
	}
	return data, err
}

// jsonFile are settings in JSON, in the order that they had before, new ones after them in that of their names.
func jsonFile(path string, before []byte, settings map[string]string) []byte {
	entries, _ := Read(path, before)
	place := map[string]int{} // of new ones it is 0, after all others
	for i, e := range entries {
		place[e.Key] = i - len(entries)
	}
	keys := slices.Sorted(maps.Keys(settings))
	slices.SortStableFunc(keys, func(a, b string) int { return place[a] - place[b] })
	var lines []string
	for _, key := range keys {
		name, _ := json.Marshal(key) // which text cannot fail
		value, _ := json.Marshal(settings[key])
		lines = append(lines, fmt.Sprintf("\n  %s: %s", name, value))
	}
	return []byte("{" + strings.Join(lines, ",") + "\n}")
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
	if !maps.Equal(rawOf(entries), settings) {
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
