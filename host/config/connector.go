package config

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Connector is the configuration of a connector as its author wrote it, with references to config providers resolved.
type Connector struct {
	// Name is `name`, or the file's name without its ending.
	Name string
	File string
	// Entries are in the order of the file; no key stands twice.
	Entries []Entry
	// InitialState is `initial_state` of the file: the target state of a connector that was given no other one since it
	// was first there. Without one it is to run.
	InitialState *Entry
	// Problems are what was found about it so far. With errors among them it must not run.
	Problems Problems
	// Version is a number that tells what is stored by REST from what was stored before: that of a [ConnectorsFile],
	// or the offset of a topic's record, which all workers of a group know. "": it was read from neither.
	Version string
}

// LoadConnector reads a connector from a file, see [ReadFile]. The error is for a file that cannot be read; everything
// else is a problem.
func LoadConnector(file string, providers *Providers) (*Connector, Problems, error) {
	entries, problems, err := ReadFile(file)
	if err != nil {
		return nil, nil, err
	}
	if len(entries) == 0 && problems.Err() == nil {
		problems = append(problems, Problem{File: file,
			Text: "the file is empty: expected the settings of a connector"})
	}
	c, more := NewConnector(file, entries, providers)
	c.Problems = append(problems, more...)
	return c, c.Problems, nil
}

// NewConnector is [LoadConnector] for entries in hand.
func NewConnector(file string, entries []Entry, providers *Providers) (*Connector, Problems) {
	settings, initial := divided(entries)
	entries, problems := providers.resolveAll(settings)
	c := &Connector{File: file, Entries: entries, InitialState: initial}
	if name, ok := c.Get("name"); ok {
		c.Name = setting.Trim(name)
	}
	if c.Name == "" {
		base := filepath.Base(file)
		c.Name = strings.TrimSuffix(base, filepath.Ext(base))
	}
	return c, providers.struck(problems)
}

// divided are the settings among entries, and the one that is none.
func divided(entries []Entry) (settings []Entry, initial *Entry) {
	i := slices.IndexFunc(entries, func(e Entry) bool { return e.IsInitialState })
	if i < 0 {
		return entries, nil
	}
	return slices.Delete(slices.Clone(entries), i, i+1), &entries[i]
}

// InitialTarget is the state that a connector is to have that was given no other one.
func (c *Connector) InitialTarget() string {
	if c.InitialState == nil {
		return TargetStarted
	}
	return initialTarget(*c.InitialState)
}

// classKey is the key that every connector has and no worker.
const classKey = "connector.class"

// isConnector tells whether the entries are a connector's rather than a worker's: they name a class, under a misspelt
// key maybe, or they hold what only connectors have and no brokers, or nothing that a worker's file holds.
func isConnector(entries []Entry) bool {
	has := func(keys ...string) bool {
		return slices.ContainsFunc(entries, func(e Entry) bool { return slices.Contains(keys, e.Key) })
	}
	if has(classKey) {
		return true
	}
	_, misspelt := misspeltClass(entries)
	return !has("bootstrap.servers") && (misspelt || has("name", "tasks.max", "topics", "topics.regex", "transforms") ||
		len(entries) > 0 && !slices.ContainsFunc(entries, ofWorker))
}

// ofWorker tells whether a setting is one that workers have and connectors have not, be it misspelt.
func ofWorker(e Entry) bool {
	if _, ok := common.Find(e.Key); ok || hasPrefix(e.Key, connectorPrefixes) {
		return false
	}
	if strings.HasPrefix(e.Key, "plugin.") || hasPrefix(e.Key, passedOn) {
		return true
	}
	near := workerDeclarations().Nearest(e.Key)
	return near != "" && setting.Distance(near, e.Key) <= 2
}

// connectorPrefixes are those of settings that connectors have, too, and of stages.
var connectorPrefixes = []string{"key.converter.", "value.converter.", "header.converter.", "producer.override.",
	"consumer.override.", "admin.override.", "transforms.", "predicates."}

// misspeltClass is the entry whose key was to be connector.class, as it seems.
func misspeltClass(entries []Entry) (Entry, bool) {
	d := Declare(declared(classKey, wit.KindString, "", ""))
	i := slices.IndexFunc(entries, func(e Entry) bool { return d.Nearest(e.Key) != "" })
	if i < 0 {
		return Entry{}, false
	}
	return entries[i], true
}

// MissingClass is the problem of a connector that names no class: the key that was to do so is shown where one looks
// like it.
func (c *Connector) MissingClass() Problem {
	if e, ok := misspeltClass(c.Entries); ok {
		return e.problem("%s, which is required", setting.Unknown(classKey))
	}
	return c.missing(classKey)
}

// Locate puts an error where its setting was given, if it is, or wraps, a [Problem]; else it is the file's.
func (c *Connector) Locate(err error) Problem {
	var p Problem
	if !errors.As(err, &p) {
		p = Problem{Text: err.Error()}
	}
	p.File, p.Line = c.File, 1
	if e, ok := c.Entry(p.Setting); ok {
		p.File, p.Line = e.File, e.Line
	}
	return p
}

// Get is the resolved value of a key.
func (c *Connector) Get(key string) (string, bool) {
	e, ok := c.Entry(key)
	return e.Value.Reveal(), ok
}

// Entry is the entry of a key.
func (c *Connector) Entry(key string) (Entry, bool) { return entryOf(c.Entries, key) }

// Text is the value of a key without blanks around it; if it is not given, the default of Kafka Connect's own
// definition.
func (c *Connector) Text(key string) string {
	if v, ok := c.Get(key); ok {
		return setting.Trim(v)
	}
	if spec, ok := common.Find(key); ok && spec.DefaultValue != nil {
		return *spec.DefaultValue
	}
	return ""
}

// Raw is the configuration as it was written, references unresolved, with the name in it: what REST shows.
func (c *Connector) Raw() map[string]string {
	m := rawOf(c.Entries)
	m["name"] = c.Name
	return m
}

// Prefixed is the settings below a prefix, by what follows it.
func (c *Connector) Prefixed(prefix string) map[string]string { return below(prefix, texts(c.Entries)) }

// Converter is the class and the settings of `key.converter`, `value.converter` or `header.converter`: the connector's
// own if it names a class, with its own settings only, else the worker's, as in Kafka Connect.
func (c *Connector) Converter(which string, w *Worker) (class string, settings map[string]string) {
	if own := c.Text(which); own != "" {
		return own, c.Prefixed(which + ".")
	}
	return w.Text(which), w.Prefixed(which + ".")
}

// Setting is a setting that both the worker and the connector may give: the connector's, else the worker's (errors.…).
func (c *Connector) Setting(key string, w *Worker) string {
	if v, ok := c.Get(key); ok {
		return setting.Trim(v)
	}
	return w.Text(key)
}

// stage is a transform of a connector's chain as `transforms` names it.
type stage struct {
	Alias, Class, Version string
	// Prefix is `transforms.ALIAS.`
	Prefix    string
	Predicate *Predicate
	Negate    bool
}

// Predicate is a predicate that a stage names.
type Predicate struct{ Alias, Class, Version, Prefix string }

// StageConfig is a transform or predicate of the connector seen as a configuration of its own: its settings, prefix cut
// off, and where they stand.
func (c *Connector) StageConfig(prefix string) *Connector {
	part := &Connector{Name: c.Name, File: c.File}
	for _, e := range c.Entries {
		rest, ok := strings.CutPrefix(e.Key, prefix)
		if !ok || framework[rest] {
			continue
		}
		e.Key = rest
		part.Entries = append(part.Entries, e)
	}
	return part
}

// framework are the settings of a stage that Kafka Connect itself reads.
var framework = map[string]bool{"type": true, "plugin.version": true, "predicate": true, "negate": true}

// Stages are the transforms in their order, with the problems of what Kafka Connect itself reads of them.
func (c *Connector) Stages() ([]stage, Problems) {
	var stages []stage
	var problems Problems
	transforms, _ := c.Entry("transforms")
	predicates, _ := c.Entry("predicates")
	known := List(predicates.Value.Reveal())
	problems = append(problems, c.twice(transforms)...)
	problems = append(problems, c.twice(predicates)...)
	for _, alias := range distinct(List(transforms.Value.Reveal())) {
		prefix := "transforms." + alias + "."
		s := stage{Alias: alias, Class: c.Text(prefix + "type"), Version: c.Text(prefix + "plugin.version"),
			Prefix: prefix}
		if s.Class == "" {
			problems = append(problems, transforms.missing(prefix+"type"))
		}
		negate, given := c.Entry(prefix + "negate")
		if b, ok := Boolean(negate.Value.Reveal()); ok {
			s.Negate = b
			if b && setting.Trim(negate.Raw) != negate.Raw {
				problems = append(problems, negate.warning("is true here; Kafka Connect takes it for false, since it "+
					"does not cut the blanks around this value: leave them out"))
			}
		} else if given {
			problems = append(problems, negate.coded(setting.CodeInvalid, setting.Invalid(negate.Key,
				setting.Trim(negate.Value.String()), "Expected value to be either true or false")))
		}
		if named, ok := c.Entry(prefix + "predicate"); ok {
			name := setting.Trim(named.Value.Reveal())
			if !slices.Contains(known, name) {
				text := fmt.Sprintf("expected one that predicates names (%s), found %q", strings.Join(known, ", "),
					name)
				if len(known) == 0 {
					text = fmt.Sprintf("there is no predicate %q: expected predicates=%s beside it", name, name)
				}
				problems = append(problems, named.problem("%s", text))
			}
			p := c.predicate(name)
			s.Predicate = &p
		} else if given {
			problems = append(problems, negate.coded(setting.CodeInvalid, "Config '"+negate.Key+"' was provided but "+
				"there is no config '"+prefix+"predicate' defining a predicate to be negated."))
		}
		stages = append(stages, s)
	}
	for _, alias := range distinct(known) {
		if c.Text("predicates."+alias+".type") == "" {
			problems = append(problems, predicates.missing("predicates."+alias+".type"))
		}
	}
	return stages, problems
}

// Predicates are those that the connector declares, whether or not a transform has them.
func (c *Connector) Predicates() []Predicate {
	var all []Predicate
	for _, alias := range distinct(List(c.Text("predicates"))) {
		all = append(all, c.predicate(alias))
	}
	return all
}

func (c *Connector) predicate(alias string) Predicate {
	p := "predicates." + alias + "."
	return Predicate{Alias: alias, Class: c.Text(p + "type"), Version: c.Text(p + "plugin.version"), Prefix: p}
}

// distinct are the aliases of a list, each at its first place.
func distinct(aliases []string) []string {
	var once []string
	for _, alias := range aliases {
		if !slices.Contains(once, alias) {
			once = append(once, alias)
		}
	}
	return once
}

func (c *Connector) twice(list Entry) Problems {
	aliases := List(list.Value.Reveal())
	if len(distinct(aliases)) == len(aliases) {
		return nil
	}
	return Problems{list.coded(setting.CodeInvalid, setting.Invalid(list.Key, "["+strings.Join(aliases, ", ")+"]",
		"Duplicate alias provided."))}
}

// String is name and file: connectors hold secrets.
func (c *Connector) String() string { return fmt.Sprintf("connector %s (%s)", c.Name, c.File) }

// LogValue is String.
func (c *Connector) LogValue() slog.Value { return slog.StringValue(c.String()) }

// ConsumerGroup is the group in which the tasks of a sink read, unless the connector names one.
func ConsumerGroup(connector string) string { return "connect-" + connector }
