package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/rawbytes"
	"github.com/knadh/koanf/v2"

	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Worker is the worker's own configuration: defaults, below a file, below the environment (CULVERT_…), below flags.
type Worker struct {
	// File is the worker's file, "" if there is none.
	File      string
	Providers *Providers
	layers    layers
	// followed are the last values of those that are followed, by name, which are hidden as long as they are here.
	followed sync.Map
}

// layers holds settings, which koanf lays over each other: of two for one key the one that was loaded later counts.
type layers struct {
	// Koanf maps keys to texts. Nil means no settings.
	*koanf.Koanf
	// entries are what its map cannot hold: file, line and order of the settings that the user gave.
	entries []Entry
}

// flat is a delimiter that no key holds, so that koanf makes no tree of keys: what a file holds is read as UTF-8, and
// neither variables nor arguments hold a byte 0.
const flat = "\xff\x00"

// LoadWorker makes a worker's configuration of a file ("" for none), the environment as os.Environ gives it, and flags
// by setting name. The error is for a file that cannot be read; everything else is a problem.
func LoadWorker(file string, environ []string, flags map[string]string) (_ *Worker, _ Problems, err error) {
	var data []byte
	if file != "" {
		if data, err = ReadRegular(file); err != nil {
			return nil, nil, err
		}
	}
	d := &document{path: file}
	w, more := newWorker(d, data, environ, flags)
	if d.problems.Err() != nil { // nobody knows what it was to hold
		more = slices.DeleteFunc(more, func(p Problem) bool {
			return p.Setting == "bootstrap.servers" && !w.IsSet(p.Setting)
		})
	} else if file != "" && len(d.entries) == 0 && more.Err() != nil {
		return w, Problems{{File: file,
			Text: "the file is empty: expected the settings of a worker or of a connector"}}, nil
	}
	return w, append(d.problems, more...), nil
}

// NewWorker is [LoadWorker] for entries in hand.
func NewWorker(file string, entries []Entry, environ []string, flags map[string]string) (*Worker, Problems) {
	return newWorker(&document{path: file, entries: entries}, nil, environ, flags)
}

func newWorker(d *document, data []byte, environ []string, flags map[string]string) (*Worker, Problems) {
	l := layers{Koanf: koanf.New(flat)}
	err := errors.Join(l.Load(defaults(d.path), nil), l.Load(rawbytes.Provider(data), d),
		l.Load(l.environment(environ), nil), l.Load(l.commandLine(flags), nil))
	l.entries = slices.Concat(d.entries, l.entries)
	below, warnings := ofTelemetry(environ, l.entries)
	l.entries = slices.Concat(below, l.entries)
	providers, problems := newProviders(l.entries)
	resolved, more := providers.resolveAll(l.entries)
	problems = slices.Concat(problems, warnings, more)
	l.entries = MergeLayers(resolved)
	// The last layer is what depends on others: references, and variables of OpenTelemetry that nothing goes before.
	last := slices.DeleteFunc(slices.Clone(l.entries),
		func(e Entry) bool { return !e.Value.Secret() && !strings.HasPrefix(e.File, fromTelemetry) })
	if err = errors.Join(err, l.Load(confmap.Provider(texts(last), flat), nil)); err != nil {
		problems = append(problems, Problem{File: d.path, Text: err.Error()})
	}
	w := &Worker{File: d.path, Providers: providers, layers: l}
	problems = append(problems, w.check()...)
	problems.Sort()
	return w, providers.struck(problems)
}

// defaults are those of the declarations. Without a file nobody has thought of who may read passwords by REST, so it is
// for this machine alone.
func defaults(file string) koanf.Provider {
	m := map[string]any{}
	for _, s := range workerSettings {
		if s.DefaultValue != nil {
			m[s.Name] = *s.DefaultValue
		}
	}
	if file == "" {
		m["listeners"] = listensAlone
	}
	return confmap.Provider(m, flat)
}

// listensAlone is the default of `listeners` where the worker has no file.
const listensAlone = "http://127.0.0.1:8083"

// fromEnvironment is in front of the variable's name in Entry.File.
const fromEnvironment = "environment "

// variableKey turns the name of a variable into a key: as in Kafka's container images, _ is a dot, __ an underscore and
// ___ a dash.
var variableKey = strings.NewReplacer("___", "-", "__", "_", "_", ".")

// environment turns CULVERT_OFFSET_FLUSH_INTERVAL_MS into offset.flush.interval.ms.
func (l *layers) environment(environ []string) koanf.Provider {
	return variables("CULVERT_", environ, func(name, value string) (string, any) {
		key := variableKey.Replace(strings.ToLower(strings.TrimPrefix(name, "CULVERT_")))
		l.entries = append(l.entries, NewEntry(key, value, fromEnvironment+name, 0))
		return key, value
	})
}

// variables provides those of the environment whose names begin with prefix, under the keys that keyed returns.
func variables(prefix string, environ []string, keyed func(name, value string) (string, any)) koanf.Provider {
	all := func() []string { return environ }
	return env.Provider(flat, env.Opt{Prefix: prefix, TransformFunc: keyed, EnvironFunc: all})
}

func (l *layers) commandLine(flags map[string]string) koanf.Provider {
	var given []Entry
	for _, key := range slices.Sorted(maps.Keys(flags)) {
		given = append(given, NewEntry(key, flags[key], "command line", 0))
	}
	l.entries = append(l.entries, given...)
	return confmap.Provider(texts(given), flat)
}

// check goes over what the user gave and over what is required.
func (w *Worker) check() Problems {
	var problems Problems
	d := workerDeclarations()
	for _, e := range w.layers.entries {
		if e.unresolved() {
			continue
		}
		spec, ok := d.Find(e.Key)
		switch {
		case ok:
			if text := CheckValue(&spec, e.Value.Reveal(), !e.Value.Secret()); text != "" {
				problems = append(problems, invalid(e, text, w.Providers)...)
			} else if found := literal(e, &spec, w.Providers); found != nil {
				problems = append(problems, found...)
			} else if why := w.noEffect(&spec); why != "" {
				problems = append(problems, e.warning("has no effect: %s", why))
			} else if e.Key == ExactlyOnceSetting {
				if text := w.without(); text != "" {
					problems = append(problems, e.coded(setting.CodeInvalid, text))
				}
			}
		case strings.HasPrefix(e.Key, "offset.storage.") && setting.Distance(d.Nearest(e.Key),
			e.Key) > 2: // a setting of the topic
		case ofPlugin(e.Key):
		case hasPrefix(e.Key, passedOn), slices.Contains(clientSettings, e.Key):
			if w.Providers.HasUnknownProvider(e) && w.isSecret(e.Key) {
				problems = append(problems, w.Providers.UnknownProvider(e, true))
			}
		case strings.HasPrefix(e.File, fromEnvironment) && setting.Distance(d.Nearest(e.Key),
			e.Key) > 2: // a variable of something else
		case ofConnectors(e.Key):
			problems = append(problems, e.warning("has no effect: a setting of connectors, which stands in a "+
				"connector's file"))
		default:
			problems = append(problems, e.warning("%s", setting.Unknown(d.Nearest(e.Key))))
		}
	}
	if w.File != "" && !w.IsSet("bootstrap.servers") {
		problems = append(problems, Problem{File: w.File, Line: 1, Setting: "bootstrap.servers",
			Text: setting.Missing("bootstrap.servers")})
	}
	return problems
}

// isSecret reports whether the value of a setting that is passed on is a secret.
func (w *Worker) isSecret(key string) bool {
	for _, prefix := range []string{"producer.", "consumer.", "admin.", "listeners.https."} {
		key = strings.TrimPrefix(key, prefix)
	}
	return IsPassword(key, workerDeclarations())
}

// ExactlyOnceSetting is the setting that has sources write in transactions.
const ExactlyOnceSetting = "exactly.once.source.support"

// ExactlyOnce tells whether sources write their records and offsets in transactions. `preparing`, by which a group of
// Java workers gets there, changes nothing for one worker.
func (w *Worker) ExactlyOnce() bool { return strings.EqualFold(w.Text(ExactlyOnceSetting), "enabled") }

// ConfigTopic is config.storage.topic, which keeps the connectors of a group, and how many transactional producers a
// connector had.
func (w *Worker) ConfigTopic() string {
	if topic := w.Text("config.storage.topic"); topic != "" {
		return topic
	}
	return "connect-configs"
}

// without says what exactly-once lacks.
func (w *Worker) without() string {
	switch {
	case !w.ExactlyOnce():
		return ""
	case strings.HasPrefix(w.Text("bootstrap.servers"), "embedded"):
		return setting.Invalid(ExactlyOnceSetting, "enabled",
			"expected disabled with bootstrap.servers=embedded: a kill of "+
				"this process tears the transactions of the broker in it. Name brokers of a Kafka, or "+
				"those of `culvert broker`")
	case w.Text("group.id") == "":
		return setting.Invalid(ExactlyOnceSetting, "enabled",
			"expected group.id beside it, which transactional ids begin with: "+
				"one name for this installation, which no other one has")
	}
	return ""
}

// ofPlugin tells whether a key is one of plugin.NAME.limits.…, .accept and .reveal, which package plugin looks at.
func ofPlugin(key string) bool {
	return strings.HasPrefix(key, "plugin.") &&
		(strings.Contains(key, ".limits.") || strings.HasSuffix(key, ".accept") || strings.HasSuffix(key, ".reveal"))
}

// ofConnectors tells whether a key is a setting of connectors alone, or of a transform.
func ofConnectors(key string) bool {
	_, ok := common.Find(key)
	return ok || hasPrefix(key, []string{"transforms.", "predicates."})
}

// passedOn are prefixes whose keys belong to something else that looks at them itself.
var passedOn = []string{"key.converter.", "value.converter.", "header.converter.", "config.providers.", "producer.",
	"consumer.", "admin.", "ssl.", "sasl.", "security.", "listeners.https."}

// clientSettings are those of all Kafka clients, which package kafka looks at.
var clientSettings = []string{"compression.type", "metadata.max.age.ms", "request.timeout.ms", "retry.backoff.ms",
	"reconnect.backoff.ms",
	"reconnect.backoff.max.ms", "connections.max.idle.ms", "socket.connection.setup.timeout.ms",
	"socket.connection.setup.timeout.max.ms", "send.buffer.bytes", "receive.buffer.bytes", "client.dns.lookup"}

func hasPrefix(key string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(key, p) })
}

// Redact is a text without what config providers gave the worker and its connectors, see [Providers.Redact]; nil leaves
// it as it is.
func (w *Worker) Redact(text string) string {
	if w == nil {
		return text
	}
	return w.Providers.Redact(text)
}

// Format is its file by any verb: a worker holds secrets, and koanf prints what it has.
func (w *Worker) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "worker (%s)", w.File) }

// IsSet tells whether the user set it, by whatever means.
func (w *Worker) IsSet(name string) bool { _, ok := entryOf(w.layers.entries, name); return ok }

// Text is the value, or the default, without blanks around it.
func (w *Worker) Text(name string) string {
	if w.layers.Koanf == nil || name == "" { // for which koanf gives all values
		return ""
	}
	return setting.Trim(w.layers.String(name))
}

// List is the value cut at commas.
func (w *Worker) List(name string) []string { return List(w.Text(name)) }

// Int is the value as a number; values were checked when they were read.
func (w *Worker) Int(name string) int {
	n, _ := setting.Integer(wit.KindLong, w.Text(name))
	return int(n)
}

// Duration is the value of a setting in milliseconds.
func (w *Worker) Duration(name string) time.Duration { return setting.Milliseconds(int64(w.Int(name))) }

// Boolean is the value as true or false.
func (w *Worker) Boolean(name string) bool {
	b, _ := Boolean(w.Text(name))
	return b
}

// ErrorPrefix is in front of an error that names a setting: `worker.properties:3: `, or nothing where nobody gave it.
func (w *Worker) ErrorPrefix(name string) string {
	e, ok := entryOf(w.layers.entries, name)
	switch {
	case !ok:
		return ""
	case e.Line == 0:
		return e.File + ": "
	}
	return fmt.Sprintf("%s:%d: ", e.File, e.Line)
}

// Prefixed is the settings below a prefix, by what follows it.
func (w *Worker) Prefixed(prefix string) map[string]string { return below(prefix, w.layers.All()) }

// Current is the value of a setting at this time: references to config providers in it are resolved again, so that it
// follows the file that holds a secret. !ok: it has no such reference, or what it refers to is not there now.
func (w *Worker) Current(name string) (value string, ok bool) {
	e, given := entryOf(w.layers.entries, name)
	if !given || !e.Value.Secret() {
		return "", false
	}
	now, problems := w.Providers.resolveAll([]Entry{e})
	if problems.Err() != nil {
		return "", false
	}
	w.followed.Store(name, now[0].Value)
	return setting.Trim(now[0].Value.Reveal()), true
}

// Locate puts an error where its setting was given, if it is, or wraps, a [Problem]; else it is the file's.
func (w *Worker) Locate(err error) Problem {
	var p Problem
	if !errors.As(err, &p) {
		return w.Problem("", err.Error())
	}
	at := w.Problem(p.Setting, p.Text)
	p.File, p.Line, p.Text = at.File, at.Line, at.Text
	return p
}

// Problem is a problem with a setting, at the place where it was given.
func (w *Worker) Problem(name, text string) Problem {
	e, ok := entryOf(w.layers.entries, name)
	if !ok {
		e = Entry{Key: name, File: w.File, Line: 1}
	}
	return e.problem("%s", w.Redact(text))
}

// All is every setting with its value, defaults included.
func (w *Worker) All() map[string]string {
	m := map[string]string{}
	for key, value := range w.layers.All() {
		m[key] = setting.Trim(value.(string))
	}
	return m
}

// ValidSettings is All without the settings in which an error is known: whoever reads it finds only what is new.
func (w *Worker) ValidSettings(known Problems) map[string]string {
	m := w.All()
	for _, p := range known {
		if !p.Warning {
			delete(m, p.Setting)
		}
	}
	return m
}

// PluginFolders is plugin.path, as far as its entries are folders, with a warning for each of the others: real workers'
// files name places of Java plugins, which Kafka Connect passes over too where they do not exist.
func (w *Worker) PluginFolders() (folders []string, warnings Problems) {
	for _, f := range w.List("plugin.path") {
		if info, err := os.Stat(f); err == nil && info.IsDir() {
			folders = append(folders, filepath.Clean(f))
			continue
		}
		p := w.Problem("plugin.path", fmt.Sprintf("expected folders, and there is none at %s", f))
		p.Warning = true
		warnings = append(warnings, p)
	}
	return folders, warnings
}
