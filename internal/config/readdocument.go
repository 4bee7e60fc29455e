package config

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"unicode/utf8"
)

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
	entries, duplicates := dropDuplicates(entries)
	return entries, append(problems, duplicates...)
}

// document is a worker's file as a parser of koanf, which calls Unmarshal and never Marshal.
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
