// Package config reads what users write: worker files, connector files, environment and flags. It knows Kafka Connect's settings
// and those of this worker by name, and the settings of plugins only by their declarations and roles.
//
// Keys stay flat. Kafka Connect has keys that are prefixes of others (`transforms` and `transforms.a.type`), so nothing here ever
// makes a tree of them, and `#` or `{}` in a key mean nothing to the readers.
package config

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"unicode/utf8"
)

// Entry is a setting as it stands in a file, in the environment or on the command line.
type Entry struct {
	Key string
	// Value is the value with references to config providers resolved; equal to Raw before that.
	Value string
	// Raw is the value as it was written, references and all: what REST shows.
	Raw string
	// File is where it stands: a path, or `environment` or `command line`.
	File string
	// Line counts from 1; 0: not in a file.
	Line int
	// Secret: a config provider had a hand in Value, so that it must not be shown.
	Secret bool
}

// String leaves the value out: entries end up in logs.
func (e Entry) String() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Key) }

// Problem is something wrong with a configuration, in the form that is shown to its author.
type Problem struct {
	File string
	Line int
	// Setting is the key, "" where the problem is not with one setting.
	Setting string
	Text    string
	// Warning: worth knowing, and no reason to refuse the configuration.
	Warning bool
}

// String is `FILE:LINE: SETTING: text`.
func (p Problem) String() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d", p.Line)
		}
		b.WriteString(": ")
	}
	if p.Setting != "" {
		b.WriteString(p.Setting)
		b.WriteString(": ")
	}
	if p.Warning {
		b.WriteString("warning: ")
	}
	b.WriteString(p.Text)
	return b.String()
}

// Problems are problems in the order of file and line. As an error it is the text of those that are no warnings.
type Problems []Problem

// Error is one line for each problem that is no warning.
func (ps Problems) Error() string {
	var lines []string
	for _, p := range ps {
		if !p.Warning {
			lines = append(lines, p.String())
		}
	}
	return strings.Join(lines, "\n")
}

// Err is ps as an error, nil if there are only warnings.
func (ps Problems) Err() error {
	for _, p := range ps {
		if !p.Warning {
			return ps
		}
	}
	return nil
}

// Sort orders by file and line, keeping the order found within a line.
func (ps Problems) Sort() {
	sort.SliceStable(ps, func(i, j int) bool {
		if ps[i].File != ps[j].File {
			return ps[i].File < ps[j].File
		}
		return ps[i].Line < ps[j].Line
	})
}

func (e Entry) problem(format string, args ...any) Problem {
	return Problem{File: e.File, Line: e.Line, Setting: e.Key, Text: fmt.Sprintf(format, args...)}
}

func (e Entry) warning(format string, args ...any) Problem {
	p := e.problem(format, args...)
	p.Warning = true
	return p
}

// ReadFile reads the entries of a file by the ending of its name: .properties, .json, .yaml or .yml. A key that is given twice
// stands once, with its last value, and makes a warning.
func ReadFile(path string) ([]Entry, Problems, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	entries, problems := Read(path, data)
	return entries, problems, nil
}

// Read is [ReadFile] for bytes in hand.
func Read(path string, data []byte) ([]Entry, Problems) {
	var entries []Entry
	var problems Problems
	switch strings.ToLower(filepath.Ext(path)) {
	case ".json":
		entries, problems = readJSON(path, data)
	case ".yaml", ".yml":
		entries, problems = readYAML(path, data)
	default:
		entries, problems = readProperties(path, data)
	}
	entries, twice := lastCounts(entries)
	return entries, append(problems, twice...)
}

// lastCounts keeps the last entry of each key, at the place of that last one.
func lastCounts(entries []Entry) ([]Entry, Problems) {
	last := make(map[string]int, len(entries))
	var problems Problems
	for i, e := range entries {
		if before, ok := last[e.Key]; ok {
			problems = append(problems, e.warning("given twice, the first time in line %d: the last one counts", entries[before].Line))
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

// text is the bytes of a file as text: UTF-8 where they are valid UTF-8, else ISO-8859-1, as Java before 9 and many editors wrote
// properties.
func text(data []byte) string {
	data = []byte(strings.TrimPrefix(string(data), "\ufeff"))
	if utf8.Valid(data) {
		return string(data)
	}
	runes := make([]rune, len(data))
	for i, b := range data {
		runes[i] = rune(b)
	}
	return string(runes)
}
