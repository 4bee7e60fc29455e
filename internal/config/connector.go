package config

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Connector is a connector's configuration as written, with references to config providers resolved.
type Connector struct {
	Name         string
	File         string
	Entries      []Entry  // in the order of the file, with unique keys
	InitialState *Entry   // InitialState is the initial_state in the connector's file, nil if it has none
	Problems     Problems // found so far. A connector with errors must not run.
	// Version is the offset of the connector's record in the config topic, or in the file of a standalone worker. Empty
	// means that it was read from a file of its own, or is part of a request.
	Version string
}

// LoadConnector reads a connector with [ReadFile]. It only fails if the file cannot be read.
func LoadConnector(file string, providers *Providers) (*Connector, Problems, error) {
	read := readConnectorFile(file)
	if read.err != nil {
		return nil, nil, read.err
	}
	connector := read.connector(providers.newReferences(read.entries))
	return connector, connector.Problems, nil
}

// connectorFile is a connector's file whose references are not resolved yet.
type connectorFile struct {
	path     string
	entries  []Entry
	problems Problems
	err      error // not nil if the file cannot be read
}

func readConnectorFile(path string) connectorFile {
	f := connectorFile{path: path}
	f.entries, f.problems, f.err = ReadFile(path)
	if f.err == nil && len(f.entries) == 0 && f.problems.Err() == nil {
		f.problems = append(f.problems, Problem{File: path,
			Text: "the file is empty: expected the settings of a connector"})
	}
	return f
}

func (f *connectorFile) connector(references *references) *Connector {
	connector, problems := newConnector(f.path, f.entries, references)
	connector.Problems = append(f.problems, problems...)
	return connector
}

// NewConnector is [LoadConnector] for entries in memory.
func NewConnector(file string, entries []Entry, providers *Providers) (*Connector, Problems) {
	return newConnector(file, entries, providers.newReferences(entries))
}

func newConnector(file string, entries []Entry, references *references) (*Connector, Problems) {
	settings, initial, stateProblems := splitInitialState(entries)
	entries, problems := references.resolve(settings)
	problems = append(stateProblems, problems...)
	connector := &Connector{File: file, Entries: entries, InitialState: initial}
	if name, ok := connector.Get("name"); ok {
		connector.Name = setting.Trim(name)
	}
	if connector.Name == "" {
		base := filepath.Base(file)
		connector.Name = strings.TrimSuffix(base, filepath.Ext(base))
	}
	return connector, references.providers.redactProblems(problems)
}

// InitialStateKey is the target state of a connector in its file, and next to its configuration in a request to create
// it. In a configuration in a request it is an unknown setting, as in Kafka Connect.
const InitialStateKey = "initial_state"

func splitInitialState(entries []Entry) (settings []Entry, initial *Entry, problems Problems) {
	i := slices.IndexFunc(entries, func(entry Entry) bool { return entry.Key == InitialStateKey && !entry.FromREST })
	if i < 0 {
		return entries, nil, nil
	}
	settings = slices.Delete(slices.Clone(entries), i, i+1)
	if initialTarget(entries[i]) == "" {
		return settings, nil, Problems{entries[i].Problem("expected RUNNING, PAUSED or STOPPED, found %s",
			entries[i].Raw)}
	}
	return settings, &entries[i], nil
}

func initialTarget(entry Entry) string {
	switch strings.ToUpper(setting.Trim(entry.Raw)) {
	case "RUNNING":
		return TargetStarted
	case TargetPaused:
		return TargetPaused
	case TargetStopped:
		return TargetStopped
	}
	return ""
}

// InitialTarget returns the target state of a connector for which no other one was set.
func (c *Connector) InitialTarget() string {
	if c.InitialState == nil {
		return TargetStarted
	}
	return initialTarget(*c.InitialState)
}

const classKey = "connector.class"

// isConnector reports whether a file has the settings of a connector rather than of a worker. Some may be missing or
// misspelt.
func isConnector(entries []Entry) bool {
	has := func(keys ...string) bool {
		return slices.ContainsFunc(entries, func(entry Entry) bool { return slices.Contains(keys, entry.Key) })
	}
	if has(classKey) {
		return true
	}
	if has("bootstrap.servers") {
		return false
	}
	_, misspelt := misspelledClass(entries)
	return misspelt || has("name", "tasks.max", "topics", "topics.regex", "transforms") ||
		(len(entries) > 0 && !slices.ContainsFunc(entries, isWorkerSetting))
}

// typingErrors is the largest [setting.Distance] between a misspelt key and the setting that it means.
const typingErrors = 2

// isWorkerSetting reports whether a key is, or may be a misspelt, setting of workers only.
func isWorkerSetting(entry Entry) bool {
	if _, ok := common.Find(entry.Key); ok || HasPrefix(entry.Key, connectorPrefixes) {
		return false
	}
	if strings.HasPrefix(entry.Key, "plugin.") || HasPrefix(entry.Key, passThroughPrefixes) {
		return true
	}
	near := workerDeclarations().Nearest(entry.Key)
	return near != "" && setting.Distance(near, entry.Key) <= typingErrors
}

var connectorPrefixes = []string{"key.converter.", "value.converter.", "header.converter.", "producer.override.",
	"consumer.override.", "admin.override.", "transforms.", "predicates."}

// misspelledClass returns the first entry whose key resembles connector.class.
func misspelledClass(entries []Entry) (Entry, bool) {
	declarations := Declare(declared(classKey, wit.KindString, "", ""))
	i := slices.IndexFunc(entries, func(entry Entry) bool { return declarations.Nearest(entry.Key) != "" })
	if i < 0 {
		return Entry{}, false
	}
	return entries[i], true
}

// MissingClass returns the problem of a connector without a class, at a similar key if there is one.
func (c *Connector) MissingClass() Problem {
	if entry, ok := misspelledClass(c.Entries); ok {
		return entry.Problem("%s, which is required", setting.Unknown(classKey))
	}
	return c.MissingProblem(classKey)
}

// MissingProblem returns the error that a setting is missing, at the top of the file.
func (c *Connector) MissingProblem(name string) Problem {
	return Entry{File: c.File, Line: 1}.MissingProblem(name)
}

// Locate returns the error as a problem at the line of its setting if it wraps a [Problem], else at the file.
func (c *Connector) Locate(err error) Problem {
	var p Problem
	if !errors.As(err, &p) {
		p = Problem{Text: err.Error()}
	}
	p.File = c.File
	p.Line = 1
	if entry, ok := c.Entry(p.Setting); ok {
		p.File = entry.File
		p.Line = entry.Line
	}
	return p
}

// Get returns the resolved value of a key.
func (c *Connector) Get(key string) (string, bool) {
	entry, ok := c.Entry(key)
	return entry.Value.Reveal(), ok
}

// Entry returns the entry of a key.
func (c *Connector) Entry(key string) (Entry, bool) { return lastEntry(c.Entries, key) }

// Text returns the trimmed value of a key, or the default of Kafka Connect's definition.
func (c *Connector) Text(key string) string {
	if v, ok := c.Get(key); ok {
		return setting.Trim(v)
	}
	if spec, ok := common.Find(key); ok && spec.DefaultValue != nil {
		return *spec.DefaultValue
	}
	return ""
}

// Raw returns the settings as written, references unresolved, with the name: what REST shows.
func (c *Connector) Raw() map[string]string {
	m := rawOf(c.Entries)
	m["name"] = c.Name
	return m
}

// Prefixed returns the settings with a prefix, by the rest of their keys.
func (c *Connector) Prefixed(prefix string) map[string]string {
	return withPrefix(prefix, valuesByKey(c.Entries))
}

// String returns name and file, because connectors hold secrets.
func (c *Connector) String() string { return fmt.Sprintf("connector %s (%s)", c.Name, c.File) }

// LogValue implements [slog.LogValuer].
func (c *Connector) LogValue() slog.Value { return slog.StringValue(c.String()) }

// ConsumerGroup returns a sink's consumer group, unless the connector sets another.
func ConsumerGroup(connector string) string { return "connect-" + connector }

// NewRESTConnector builds a connector from settings received by REST. Their references may only use providers of
// `config.providers`, unless stored has the same value.
func NewRESTConnector(location string, settings map[string]string, stored *Connector, providers *Providers) *Connector {
	var entries []Entry
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		entry := NewEntry(key, settings[key], location, 0)
		entry.FromREST = true
		if stored != nil {
			if previous, ok := stored.Entry(key); ok && previous.Raw == entry.Raw {
				entry.FromREST = previous.FromREST
			}
		}
		entries = append(entries, entry)
	}
	connector, problems := NewConnector(location, entries, providers)
	connector.Problems = problems
	return connector
}
