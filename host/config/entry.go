package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/culvert-project/culvert/host/internal/base/wholefile"
	"github.com/culvert-project/culvert/host/secret"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

// Entry is a setting as it stands in a file, in the environment or on the command line.
type Entry struct {
	Key string
	// Value is the value with references to config providers resolved; Raw before that.
	Value secret.Value
	// Raw is the value as it was written, references and all: what REST shows.
	Raw string
	// File is where it stands: a path, or `environment` or `command line`.
	File string
	// Line counts from 1; 0: not in a file.
	Line int
	// FromREST: it came by REST, and only the config providers count for it that are open to REST, see [Providers].
	FromREST bool
	// IsInitialState: it stood next to `config` in the form that REST has, and is no setting, see
	// [Connector.InitialState].
	IsInitialState bool
}

// String leaves the value out: entries end up in logs.
func (e Entry) String() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Key) }

// Problem is something wrong with a configuration, in the form that is shown to its author.
type Problem = setting.Problem

// Problems are problems in the order of file and line. As an error it is the text of those that are no warnings.
type Problems = setting.Problems

// NewEntry is a setting as it is written at a place.
func NewEntry(key, value, file string, line int) Entry {
	return Entry{Key: key, Value: secret.Written(value), Raw: value, File: file, Line: line}
}

func (e Entry) problem(format string, args ...any) Problem {
	return Problem{File: e.File, Line: e.Line, Setting: e.Key, Text: fmt.Sprintf(format, args...)}
}

// coded is a problem of a kind.
func (e Entry) coded(code setting.Code, text string) Problem {
	p := e.problem("%s", text)
	p.Code = code
	return p
}

// unresolved tells whether the value is nothing because its references could not be resolved, which is a problem
// already.
func (e Entry) unresolved() bool { return e.Value.Secret() && e.Value.Reveal() == "" }

// UnresolvedKeys are the settings that have a reference to a config provider which leads to nothing, with those of the
// worker's that count for the connector: which it does not have itself, nor one that they belong to.
func (c *Connector) UnresolvedKeys(ofWorker ...string) []string {
	all := absent(c.Entries)
	for _, name := range ofWorker {
		if !slices.ContainsFunc(c.Entries, func(e Entry) bool { return strings.HasPrefix(name+".", e.Key+".") }) {
			all = append(all, name)
		}
	}
	return all
}

// UnresolvedKeys are the settings that have a reference to a config provider which leads to nothing.
func (w *Worker) UnresolvedKeys() []string { return absent(w.layers.entries) }

func absent(entries []Entry) (names []string) {
	for _, e := range entries {
		if e.unresolved() {
			names = append(names, e.Key)
		}
	}
	return names
}

// WithoutUnresolved leaves out the problems of settings that are absent, and those that may be there for no other
// reason: of a setting below whose name one of them stands, as with value.converter, and those whose text names one of
// them.
func WithoutUnresolved(problems Problems, absent []string) Problems {
	return slices.DeleteFunc(problems, func(p Problem) bool {
		return slices.ContainsFunc(absent, func(name string) bool {
			return p.Setting == name || strings.HasPrefix(name, p.Setting+".") || Mentions(p.Text, name)
		})
	})
}

// Mentions tells whether a text holds the name of a setting as a whole.
func Mentions(text, name string) bool {
	ofName := func(r rune) bool { return strings.ContainsRune(".-_#", r) || unicode.IsLetter(r) || unicode.IsDigit(r) }
	words := strings.FieldsFunc(text, func(r rune) bool { return !ofName(r) })
	return slices.ContainsFunc(words, func(word string) bool { return strings.TrimRight(word, ".") == name })
}

// missing is the problem of a setting that what the entry says calls for.
func (e Entry) missing(name string) Problem {
	return Problem{File: e.File, Line: e.Line, Setting: name, Code: setting.CodeMissing, Text: setting.Missing(name)}
}

func (e Entry) warning(format string, args ...any) Problem {
	p := e.problem(format, args...)
	p.Warning = true
	return p
}

// maxFileBytes and MaxSettings are how large a configuration file may be, and how many settings it may have.
const (
	maxFileBytes = 1 << 20
	MaxSettings  = 10_000
)

// ReadFile reads the entries of a file by the ending of its name: .yaml or .yml, .json, else .properties; a file that
// begins with a brace is JSON whatever its name, as for Kafka's standalone worker. A key that is given twice stands
// once, with its last value, and makes a warning. The error is for what cannot be read, and names the file.
func ReadFile(path string) ([]Entry, Problems, error) {
	data, err := ReadRegular(path)
	if err != nil {
		return nil, nil, err
	}
	entries, problems := Read(path, data)
	return entries, problems, nil
}

// readTries is how often a file is read that changes while it is read.
const readTries = 3

// ReadRegular reads a file of at most [maxFileBytes]. What is no file (a folder, a pipe, a device) is not opened: it
// may never end. A file that somebody writes at the same time is read again, because half a file may be a valid one
// with half a password.
func ReadRegular(path string) ([]byte, error) {
	for range readTries {
		before, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, withoutPath(err))
		}
		if size := before.Size(); before.Mode().IsRegular() && size > maxFileBytes {
			return nil, fmt.Errorf("%s: expected at most %d bytes, found %d", path, maxFileBytes, size)
		}
		data, after, err := readBounded(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, withoutPath(err))
		}
		if os.SameFile(before, after) && before.Size() == after.Size() && int64(len(data)) == after.Size() &&
			before.ModTime().Equal(after.ModTime()) {
			return data, nil
		}
	}
	return nil, fmt.Errorf("%s: the file changes while it is read: try again when it has been written to its end", path)
}

// readBounded reads a file up to a byte beyond what it may have; after is what it was like then.
func readBounded(path string) (data []byte, after os.FileInfo, err error) {
	f, _, err := wholefile.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	if data, err = io.ReadAll(io.LimitReader(f, maxFileBytes+1)); err != nil {
		return nil, nil, err
	}
	if after, err = os.Stat(path); err != nil {
		return nil, nil, err
	}
	return data, after, nil
}

// withoutPath leaves out the path that an error names: who reports it says it.
func withoutPath(err error) error {
	var named *fs.PathError
	if errors.As(err, &named) {
		return named.Err
	}
	return err
}

// Read is [ReadFile] for bytes in hand.
func Read(path string, data []byte) ([]Entry, Problems) {
	data, err := decoded(data)
	if err != nil {
		return nil, Problems{{File: path, Text: err.Error()}}
	}
	entries, problems := readDocument(path, data)
	if len(entries) > MaxSettings {
		return nil, Problems{{File: path, Text: fmt.Sprintf("expected at most %d settings, found %d", MaxSettings,
			len(entries))}}
	}
	entries, twice := lastCounts(entries)
	return entries, append(problems, twice...)
}

// document is a koanf.Parser of a file in properties, YAML or JSON, see [ReadFile], which keeps what a map cannot hold.
type document struct {
	path     string
	entries  []Entry
	problems Problems
}

// Unmarshal reads a file. Without data it returns the entries that the document already has.
func (d *document) Unmarshal(data []byte) (map[string]any, error) {
	if len(data) > 0 {
		d.entries, d.problems = Read(d.path, data)
	}
	return texts(d.entries), nil
}

// Marshal fails, because a map has neither the order nor the comments of a file, see [Edit].
func (d *document) Marshal(map[string]any) ([]byte, error) {
	return nil, errors.New("expected a document to be read, not to be written")
}

// texts are the values of entries by key, as koanf has them.
func texts(entries []Entry) map[string]any {
	m := make(map[string]any, len(entries))
	for _, e := range entries {
		m[e.Key] = e.Value.Reveal()
	}
	return m
}

// below returns the texts whose keys have a prefix, by the rest of the key.
func below(prefix string, texts map[string]any) map[string]string {
	m := map[string]string{}
	for key, value := range texts {
		if rest, ok := strings.CutPrefix(key, prefix); ok && rest != "" {
			m[rest] = value.(string)
		}
	}
	return m
}

// entryOf is the last entry of a key.
func entryOf(entries []Entry, key string) (e Entry, ok bool) {
	for _, e := range slices.Backward(entries) {
		if e.Key == key {
			return e, true
		}
	}
	return Entry{}, false
}

func readDocument(path string, data []byte) ([]Entry, Problems) {
	ending := strings.ToLower(filepath.Ext(path))
	switch {
	case ending == ".yaml" || ending == ".yml":
		return readYAML(path, data)
	case ending == ".json" || isJSON(data):
		return readJSON(path, data)
	}
	return readProperties(path, data)
}

// MergeLayers is the entries of all layers, of each key the last one.
func MergeLayers(layers ...[]Entry) []Entry {
	entries, _ := lastCounts(slices.Concat(layers...))
	return entries
}

// lastCounts keeps the last entry of each key, at the place of that last one.
func lastCounts(entries []Entry) ([]Entry, Problems) {
	last := make(map[string]int, len(entries))
	var problems Problems
	for i, e := range entries {
		if before, ok := last[e.Key]; ok {
			problems = append(problems, e.warning("given twice, the first time in line %d: the last one counts",
				entries[before].Line))
		}
		last[e.Key] = i
	}
	if len(problems) == 0 {
		return entries, nil
	}
	kept := entries[:0:0]
	for i, e := range entries {
		if last[e.Key] == i {
			kept = append(kept, e)
		}
	}
	return kept, problems
}

// decoded is a file's content as UTF-8, without a byte order mark: as it is where it is valid UTF-8, else from
// ISO-8859-1, as Java before 9 and many editors wrote properties.
func decoded(data []byte) ([]byte, error) {
	switch data = bytes.TrimPrefix(data, []byte(byteOrderMark)); {
	case bytes.HasPrefix(data, []byte("\xff\xfe")), bytes.HasPrefix(data, []byte("\xfe\xff")):
		return nil, errors.New("the file is in UTF-16: expected UTF-8; save it in that encoding")
	case bytes.IndexByte(data, 0) >= 0:
		return nil, fmt.Errorf("expected text in UTF-8, found a byte 0 in line %d",
			1+bytes.Count(data[:bytes.IndexByte(data, 0)], []byte("\n")))
	case utf8.Valid(data):
		return data, nil
	}
	runes := make([]rune, len(data))
	for i, b := range data {
		runes[i] = rune(b)
	}
	return []byte(string(runes)), nil
}
