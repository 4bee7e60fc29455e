package config

import (
	"fmt"
	"slices"
	"strings"

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
	FromREST bool
}

// String omits the value, because entries are logged.
func (e Entry) String() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Key) }

// Problem is a problem of a configuration, with the file and line of its setting.
type Problem = setting.Problem

// Problems are problems in the order of file and line. As an error they have the text of all problems but warnings.
type Problems = setting.Problems

// NewEntry returns a setting as written.
func NewEntry(key, value, file string, line int) Entry {
	return Entry{Key: key, Value: secret.Plain(value), Raw: value, File: file, Line: line}
}

// Problem returns an error of the setting.
func (e Entry) Problem(format string, args ...any) Problem {
	return Problem{File: e.File, Line: e.Line, Setting: e.Key, Text: fmt.Sprintf(format, args...)}
}

// CodedProblem is Problem with a code.
func (e Entry) CodedProblem(code setting.Code, text string) Problem {
	p := e.Problem("%s", text)
	p.Code = code
	return p
}

// MissingProblem returns the error that another setting is missing, at the line of this one.
func (e Entry) MissingProblem(name string) Problem {
	return Problem{File: e.File, Line: e.Line, Setting: name, Code: setting.CodeMissing, Text: setting.Missing(name)}
}

// Warning returns a warning about the setting.
func (e Entry) Warning(format string, args ...any) Problem {
	p := e.Problem(format, args...)
	p.Warning = true
	return p
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
		if name, ok := strings.CutPrefix(key, prefix); ok && name != "" {
			m[name] = value.(string)
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
