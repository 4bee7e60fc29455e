package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/culvert-project/culvert/internal/base/wholefile"
	"github.com/culvert-project/culvert/internal/secret"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

// Entry is a setting in a file, the environment or on the command line.
type Entry struct {
	Key   string
	Value secret.Value // the value with references resolved
	Raw   string       // the value as written: what REST shows
	File  string       // a path, `environment` or `command line`
	Line  int          // Line counts from 1. Zero means that it is not in a file.
	// FromREST restricts references to the config providers that are open to REST, see [Providers].
	FromREST       bool
	IsInitialState bool
}

// String omits the value, because entries are logged.
func (e Entry) String() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Key) }

// Problem is a problem of a configuration, with the file and line of its setting.
type Problem = setting.Problem

// Problems are problems in the order of file and line. As an error they are the text of those that are no warnings.
type Problems = setting.Problems

// NewEntry returns a setting as written.
func NewEntry(key, value, file string, line int) Entry {
	return Entry{Key: key, Value: secret.Plain(value), Raw: value, File: file, Line: line}
}

func (e Entry) problem(format string, args ...any) Problem {
	return Problem{File: e.File, Line: e.Line, Setting: e.Key, Text: fmt.Sprintf(format, args...)}
}

func (e Entry) codedProblem(code setting.Code, text string) Problem {
	p := e.problem("%s", text)
	p.Code = code
	return p
}

func (e Entry) unresolved() bool { return e.Value.IsSecret() && e.Value.Reveal() == "" }

// UnresolvedKeys returns the settings with unresolved references, including those of the worker that the connector does
// not override.
func (c *Connector) UnresolvedKeys(ofWorker ...string) []string {
	all := unresolvedKeys(c.Entries)
	for _, name := range ofWorker {
		if !slices.ContainsFunc(c.Entries,
			func(entry Entry) bool { return strings.HasPrefix(name+".", entry.Key+".") }) {
			all = append(all, name)
		}
	}
	return all
}

// UnresolvedKeys returns the settings with unresolved references.
func (w *Worker) UnresolvedKeys() []string { return unresolvedKeys(w.layers.entries) }

func unresolvedKeys(entries []Entry) (names []string) {
	for _, entry := range entries {
		if entry.unresolved() {
			names = append(names, entry.Key)
		}
	}
	return names
}

// WithoutUnresolved omits problems that unresolved settings may cause: of these settings, of settings that contain
// them, such as value.converter, and problems that mention them.
func WithoutUnresolved(problems Problems, absent []string) Problems {
	return slices.DeleteFunc(problems, func(p Problem) bool {
		return slices.ContainsFunc(absent, func(name string) bool {
			return p.Setting == name || strings.HasPrefix(name, p.Setting+".") || Mentions(p.Text, name)
		})
	})
}

// Mentions reports whether a text contains the whole name of a setting.
func Mentions(text, name string) bool {
	ofName := func(r rune) bool { return strings.ContainsRune(".-_#", r) || unicode.IsLetter(r) || unicode.IsDigit(r) }
	words := strings.FieldsFunc(text, func(r rune) bool { return !ofName(r) })
	return slices.ContainsFunc(words, func(part string) bool { return strings.TrimRight(part, ".") == name })
}

func (e Entry) missingProblem(name string) Problem {
	return Problem{File: e.File, Line: e.Line, Setting: name, Code: setting.CodeMissing, Text: setting.Missing(name)}
}

func (e Entry) warning(format string, args ...any) Problem {
	p := e.problem(format, args...)
	p.Warning = true
	return p
}

const (
	maxFileBytes = 1 << 20
	MaxSettings  = 10_000
)

// ReadFile reads a file by its extension: .yaml or .yml, .json, else .properties. As for Kafka's standalone worker, a
// file that begins with a brace is JSON, and one that begins with NAME= has properties. The last value of a repeated
// key counts, with a warning.
func ReadFile(path string) ([]Entry, Problems, error) {
	data, err := ReadRegular(path)
	if err != nil {
		return nil, nil, err
	}
	entries, problems := Read(path, data)
	return entries, problems, nil
}

const readTries = 3

// ReadRegular reads a regular file of at most [maxFileBytes]; pipes and devices may never end. It reads again if the
// file changes during the read, because half a file may be valid with half a password.
func ReadRegular(path string) ([]byte, error) {
	for range readTries {
		before, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, withoutPathError(err))
		}
		if size := before.Size(); before.Mode().IsRegular() && size > maxFileBytes {
			return nil, fmt.Errorf("%s: expected at most %d bytes, found %d", path, maxFileBytes, size)
		}
		data, after, err := readBounded(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, withoutPathError(err))
		}
		if os.SameFile(before, after) && before.Size() == after.Size() && int64(len(data)) == after.Size() &&
			before.ModTime().Equal(after.ModTime()) {
			return data, nil
		}
	}
	return nil, fmt.Errorf("%s: the file changes while it is read: try again when it is complete", path)
}

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

func withoutPathError(err error) error {
	var named *fs.PathError
	if errors.As(err, &named) {
		return named.Err
	}
	return err
}

// Read is [ReadFile] for bytes in memory.
func Read(path string, data []byte) ([]Entry, Problems) {
	data, err := decodeText(data)
	if err != nil {
		return nil, Problems{{File: path, Text: err.Error()}}
	}
	entries, problems := readDocument(path, data)
	if len(entries) > MaxSettings {
		return nil, Problems{{File: path, Text: fmt.Sprintf("expected at most %d settings, found %d", MaxSettings,
			len(entries))}}
	}
	entries, twice := dropDuplicates(entries)
	return entries, append(problems, twice...)
}

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
	return valuesByKey(d.entries), nil
}

// Marshal fails, because a map has neither the order nor the comments of a file, see [Edit].
func (d *document) Marshal(map[string]any) ([]byte, error) {
	return nil, errors.New("expected a document to be read, not to be written")
}

func valuesByKey(entries []Entry) map[string]any {
	settings := make(map[string]any, len(entries))
	for _, entry := range entries {
		settings[entry.Key] = entry.Value.Reveal()
	}
	return settings
}

func withPrefix(prefix string, texts map[string]any) map[string]string {
	m := map[string]string{}
	for key, value := range texts {
		if rest, ok := strings.CutPrefix(key, prefix); ok && rest != "" {
			m[rest] = value.(string)
		}
	}
	return m
}

func lastEntry(entries []Entry, key string) (entry Entry, ok bool) {
	for _, entry := range slices.Backward(entries) {
		if entry.Key == key {
			return entry, true
		}
	}
	return Entry{}, false
}

func readDocument(path string, data []byte) ([]Entry, Problems) {
	ending := strings.ToLower(filepath.Ext(path))
	switch {
	case isProperties(path, data):
		return readProperties(path, data)
	case ending == ".yaml" || ending == ".yml":
		return readYAML(path, data)
	}
	return readJSON(path, data)
}

// firstProperty matches properties whose first setting has a =. Neither JSON nor a YAML mapping of settings begins so.
var firstProperty = regexp.MustCompile(`^(?:[ \t]*(?:[#!].*)?\r?\n)*[ \t]*[\w.#-]+[ \t]*=`)

// isProperties reports whether a file contains properties. Renamed files are recognized by their content.
func isProperties(path string, data []byte) bool {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".yaml", ".yml", ".json":
		return firstProperty.Match(data)
	}
	return !isJSON(data)
}

// MergeLayers concatenates layers; of each key the last entry counts.
func MergeLayers(layers ...[]Entry) []Entry {
	entries, _ := dropDuplicates(slices.Concat(layers...))
	return entries
}

func dropDuplicates(entries []Entry) ([]Entry, Problems) {
	first := make(map[string]int, len(entries))
	set := make(map[string]Entry, len(entries)) // the last one with a value
	last := make(map[string]int, len(entries))
	var problems Problems
	for i, entry := range entries {
		if earlier, ok := first[entry.Key]; ok {
			problems = append(problems, entry.repeats(entries[earlier], set[entry.Key]))
		} else {
			first[entry.Key] = i
		}
		if setting.Trim(entry.Raw) != "" {
			set[entry.Key] = entry
		}
		last[entry.Key] = i
	}
	if len(problems) == 0 {
		return entries, nil
	}
	remaining := entries[:0:0]
	for i, entry := range entries {
		if last[entry.Key] == i {
			remaining = append(remaining, entry)
		}
	}
	return remaining, problems
}

// repeats returns the problem of a key that was set before: an error if the empty value of this entry would switch off
// a protection. withValue is the last earlier entry with a value, or the zero entry.
func (e Entry) repeats(first, withValue Entry) Problem {
	if isProtection(e.Key) && setting.Trim(e.Raw) == "" && withValue.Key != "" {
		return e.codedProblem(setting.CodeInvalid, fmt.Sprintf("is empty, which would switch off the protection that "+
			"line %d sets: expected one of the two lines", withValue.Line))
	}
	return e.warning("set again, first in line %d: the last one counts", first.Line)
}

// decodeText reads invalid UTF-8 as ISO-8859-1, in which Java before 9 and many editors wrote properties.
func decodeText(data []byte) ([]byte, error) {
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
