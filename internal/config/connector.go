package config

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/shown"
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
	// Version is the version in a [ConnectorsFile] or the offset of a record. Empty means that it was read from a file.
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
		return settings, nil, Problems{entries[i].problem("expected RUNNING, PAUSED or STOPPED, found %s",
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

func isConnector(entries []Entry) bool {
	has := func(keys ...string) bool {
		return slices.ContainsFunc(entries, func(entry Entry) bool { return slices.Contains(keys, entry.Key) })
	}
	if has(classKey) {
		return true
	}
	_, misspelt := misspelledClass(entries)
	return !has("bootstrap.servers") && (misspelt || has("name", "tasks.max", "topics", "topics.regex", "transforms") ||
		(len(entries) > 0 && !slices.ContainsFunc(entries, isWorkerSetting)))
}

func isWorkerSetting(entry Entry) bool {
	if _, ok := common.Find(entry.Key); ok || hasPrefix(entry.Key, connectorPrefixes) {
		return false
	}
	if strings.HasPrefix(entry.Key, "plugin.") || hasPrefix(entry.Key, passThroughPrefixes) {
		return true
	}
	near := workerDeclarations().Nearest(entry.Key)
	return near != "" && setting.Distance(near, entry.Key) <= 2
}

var connectorPrefixes = []string{"key.converter.", "value.converter.", "header.converter.", "producer.override.",
	"consumer.override.", "admin.override.", "transforms.", "predicates."}

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
		return entry.problem("%s, which is required", setting.Unknown(classKey))
	}
	return c.missingProblem(classKey)
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

// Converter returns class and settings of a converter: the connector's, if it names a class, else the worker's.
func (c *Connector) Converter(name string, w *Worker) (class string, settings map[string]string) {
	if ownClass := c.Text(name); ownClass != "" {
		return ownClass, c.Prefixed(name + ".")
	}
	return w.Text(name), w.Prefixed(name + ".")
}

// Setting returns a setting of the connector, or else of the worker (errors.…).
func (c *Connector) Setting(key string, w *Worker) string {
	if v, ok := c.Get(key); ok {
		return setting.Trim(v)
	}
	return w.Text(key)
}

// stage is a transformation as declared, see [Connector.Stages].
type stage struct {
	Alias     string
	Class     string
	Version   string     // Version is plugin.version. Empty means the newest.
	Prefix    string     // Prefix begins its settings: transforms.ALIAS.
	Predicate *Predicate // Predicate restricts it to some records. Nil means all records.
	Negate    bool       // Negate restricts it to the other records.
}

// Predicate is a declared predicate.
type Predicate struct {
	Alias   string
	Class   string
	Version string // Version is plugin.version. Empty means the newest.
	Prefix  string // Prefix begins its settings: predicates.ALIAS.
}

// PluginClass is a class that a connector names, with a range of versions, of which "" means any.
type PluginClass struct {
	Class   string
	Version string
}

// PluginClasses returns the classes of the connector, its transformations and their predicates, each once.
func (c *Connector) PluginClasses() (classes []PluginClass) {
	classes = append(classes, PluginClass{c.Text(classKey), c.Text("connector.plugin.version")})
	stages, _ := c.Stages()
	for _, s := range stages {
		classes = append(classes, PluginClass{s.Class, s.Version})
		if s.Predicate != nil {
			classes = append(classes, PluginClass{s.Predicate.Class, s.Predicate.Version})
		}
	}
	return unique(classes)
}

// StageConfig returns the settings of a transformation or predicate without their prefix.
func (c *Connector) StageConfig(prefix string) *Connector {
	stageConfig := &Connector{Name: c.Name, File: c.File}
	for _, entry := range c.Entries {
		name, ok := strings.CutPrefix(entry.Key, prefix)
		if !ok || stageSettings[name] {
			continue
		}
		entry.Key = name
		stageConfig.Entries = append(stageConfig.Entries, entry)
	}
	return stageConfig
}

var stageSettings = map[string]bool{"type": true, "plugin.version": true, "predicate": true, "negate": true}

// Stages returns the transformations in order, with the problems of the settings that Kafka Connect itself reads.
func (c *Connector) Stages() ([]stage, Problems) {
	var stages []stage
	var problems Problems
	transforms, _ := c.Entry("transforms")
	predicates, _ := c.Entry("predicates")
	aliases, declared, problem := stageAliases(transforms, predicates)
	if problem != nil {
		return nil, Problems{*problem}
	}
	problems = append(problems, c.duplicateAliases(transforms)...)
	problems = append(problems, c.duplicateAliases(predicates)...)
	for _, alias := range unique(aliases) {
		prefix := "transforms." + alias + "."
		stage := stage{Alias: alias, Class: c.Text(prefix + "type"), Version: c.Text(prefix + "plugin.version"),
			Prefix: prefix}
		if stage.Class == "" {
			problems = append(problems, transforms.missingProblem(prefix+"type"))
		}
		negate, isSet := c.Entry(prefix + "negate")
		if b, ok := Boolean(negate.Value.Reveal()); ok {
			stage.Negate = b
			if b && setting.Trim(negate.Raw) != negate.Raw {
				problems = append(problems,
					negate.warning("is true here, but false in Kafka Connect, which does not trim the spaces around "+
						"this value: remove them"))
			}
		} else if isSet {
			problems = append(problems, negate.codedProblem(setting.CodeInvalid, setting.Invalid(negate.Key,
				setting.Trim(negate.Value.String()), "Expected value to be either true or false")))
		}
		if predicate, ok := c.Entry(prefix + "predicate"); ok {
			name := setting.Trim(predicate.Value.Reveal())
			if !slices.Contains(declared, name) {
				message := fmt.Sprintf("expected one of the predicates (%s), found %q",
					shown.LineUpTo(strings.Join(declared, ", "), 200), name) // each transform may have this problem
				if len(declared) == 0 {
					message = fmt.Sprintf("there is no predicate %q: expected predicates=%s", name, name)
				}
				problems = append(problems, predicate.problem("%s", message))
			}
			p := c.predicate(name)
			stage.Predicate = &p
		} else if isSet {
			problems = append(problems, negate.codedProblem(setting.CodeInvalid, "Config '"+negate.Key+
				"' was provided but there is no config '"+prefix+"predicate' defining a predicate to be negated."))
		}
		stages = append(stages, stage)
	}
	for _, alias := range unique(declared) {
		if c.Text("predicates."+alias+".type") == "" {
			problems = append(problems, predicates.missingProblem("predicates."+alias+".type"))
		}
	}
	return stages, problems
}

// A check calls a plugin for each transform and predicate, and its answer describes all settings of each, with the
// alias in their names.
const (
	maxStages     = 200 // transforms and predicates of a connector together
	maxAliasBytes = 250
)

// stageAliases returns the aliases in the lists of transforms and predicates, or the problem of lists beyond the
// bounds.
func stageAliases(transforms, predicates Entry) (ofTransforms, ofPredicates []string, problem *Problem) {
	invalid := func(entry Entry, text string) *Problem {
		p := entry.codedProblem(setting.CodeInvalid, text)
		return &p
	}
	ofTransforms = List(transforms.Value.Reveal())
	ofPredicates = List(predicates.Value.Reveal())
	if n := len(ofTransforms) + len(ofPredicates); n > maxStages {
		entry := transforms
		if entry.Key == "" {
			entry = predicates
		}
		return nil, nil, invalid(entry, fmt.Sprintf("expected at most %d transforms and predicates together, found %d",
			maxStages, n))
	}
	isLong := func(alias string) bool { return len(alias) > maxAliasBytes }
	const tooLong = "expected names of at most %d bytes, found one of %d"
	if i := slices.IndexFunc(ofTransforms, isLong); i >= 0 {
		return nil, nil, invalid(transforms, fmt.Sprintf(tooLong, maxAliasBytes, len(ofTransforms[i])))
	}
	if i := slices.IndexFunc(ofPredicates, isLong); i >= 0 {
		return nil, nil, invalid(predicates, fmt.Sprintf(tooLong, maxAliasBytes, len(ofPredicates[i])))
	}
	return ofTransforms, ofPredicates, nil
}

// stagePrefixes returns the prefixes of the settings of transforms and predicates. If their lists are beyond the
// bounds, which [Connector.Stages] reports, all keys with these words count as such settings.
func (c *Connector) stagePrefixes() []string {
	transforms, _ := c.Entry("transforms")
	predicates, _ := c.Entry("predicates")
	ofTransforms, ofPredicates, problem := stageAliases(transforms, predicates)
	if problem != nil {
		return []string{"transforms.", "predicates."}
	}
	var prefixes []string
	for _, alias := range ofTransforms {
		prefixes = append(prefixes, "transforms."+alias+".")
	}
	for _, alias := range ofPredicates {
		prefixes = append(prefixes, "predicates."+alias+".")
	}
	return prefixes
}

// Predicates returns all declared predicates, used or not. Lists beyond the bounds have none.
func (c *Connector) Predicates() []Predicate {
	transforms, _ := c.Entry("transforms")
	predicates, _ := c.Entry("predicates")
	_, aliases, _ := stageAliases(transforms, predicates)
	var declared []Predicate
	for _, alias := range unique(aliases) {
		declared = append(declared, c.predicate(alias))
	}
	return declared
}

func (c *Connector) predicate(alias string) Predicate {
	p := "predicates." + alias + "."
	return Predicate{Alias: alias, Class: c.Text(p + "type"), Version: c.Text(p + "plugin.version"), Prefix: p}
}

func unique[T comparable](list []T) []T {
	var once []T
	isKnown := make(map[T]bool, len(list))
	for _, element := range list {
		if !isKnown[element] {
			isKnown[element] = true
			once = append(once, element)
		}
	}
	return once
}

func (c *Connector) duplicateAliases(list Entry) Problems {
	aliases := List(list.Value.Reveal())
	if len(unique(aliases)) == len(aliases) {
		return nil
	}
	return Problems{list.codedProblem(setting.CodeInvalid, setting.Invalid(list.Key,
		"["+strings.Join(aliases, ", ")+"]", "Duplicate alias provided."))}
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
