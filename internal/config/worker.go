package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/rawbytes"
	"github.com/knadh/koanf/v2"

	"github.com/culvert-project/culvert/internal/kafka/clientconfig"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Worker is the configuration of a worker. Flags override the environment (CULVERT_…), the file and the defaults.
type Worker struct {
	File      string // the worker's file, empty if there is none
	Providers *Providers
	layers    layers
	resolved  sync.Map // the last values of [Worker.Current], by setting; values are redacted while referenced
}

// LoadWorker reads a file (empty for none), the environment as os.Environ returns it, and flags by setting name. It
// only fails if the file cannot be read.
func LoadWorker(file string, environ []string, flags map[string]string) (_ *Worker, _ Problems, err error) {
	var data []byte
	if file != "" {
		if data, err = ReadRegular(file); err != nil {
			return nil, nil, err
		}
	}
	doc := &document{path: file}
	w, problems := newWorker(doc, data, environ, flags)
	if doc.problems.Err() != nil { // it may be in the unreadable part
		problems = slices.DeleteFunc(problems, func(p Problem) bool {
			return p.Setting == "bootstrap.servers" && !w.IsSet(p.Setting)
		})
	} else if file != "" && len(doc.entries) == 0 && problems.Err() != nil {
		return w, Problems{{File: file,
			Text: "the file is empty: expected the settings of a worker or of a connector"}}, nil
	}
	return w, append(doc.problems, problems...), nil
}

// NewWorker is [LoadWorker] for entries in memory.
func NewWorker(file string, entries []Entry, environ []string, flags map[string]string) (*Worker, Problems) {
	return newWorker(&document{path: file, entries: entries}, nil, environ, flags)
}

func newWorker(doc *document, data []byte, environ []string, flags map[string]string) (*Worker, Problems) {
	// The values as written. Load adds the entries of the environment and of flags after the entries of the file.
	environ, links := withoutServiceLinks(environ)
	merged := layers{Koanf: koanf.New(noDelimiter)}
	err := errors.Join(merged.Load(defaults(doc.path), nil), merged.Load(rawbytes.Provider(data), doc),
		merged.Load(merged.environment(environ), nil), merged.Load(merged.commandLine(flags), nil))
	merged.entries = slices.Concat(doc.entries, merged.entries)
	telemetry, warnings := telemetryEntries(environ, merged.entries)
	merged.entries = slices.Concat(telemetry, merged.entries)
	// The resolved values.
	providers, problems := newProviders(merged.entries)
	resolved, resolveProblems := providers.resolveAll(merged.entries)
	problems = slices.Concat(problems, warnings, links, resolveProblems)
	problems = append(problems, emptiedProtections(resolved, problems)...)
	merged.entries = MergeLayers(resolved)
	// Only resolved references, and the variables of OpenTelemetry, differ from what koanf has.
	overrides := slices.DeleteFunc(slices.Clone(merged.entries), func(entry Entry) bool {
		return !entry.Value.IsSecret() && !strings.HasPrefix(entry.File, fromTelemetry)
	})
	if err = errors.Join(err, merged.Load(confmap.Provider(valuesByKey(overrides), noDelimiter), nil)); err != nil {
		problems = append(problems, Problem{File: doc.path, Text: err.Error()})
	}
	w := &Worker{File: doc.path, Providers: providers, layers: merged}
	problems = append(problems, w.check()...)
	problems.Sort()
	return w, providers.redactProblems(problems)
}

// defaults returns the declared defaults. Without a file, and so without passwords, REST listens on this machine only.
func defaults(file string) koanf.Provider {
	settings := map[string]any{}
	for _, s := range workerSettings {
		if s.DefaultValue != nil {
			settings[s.Name] = *s.DefaultValue
		}
	}
	if file == "" {
		settings["listeners"] = loopbackListener
	}
	return confmap.Provider(settings, noDelimiter)
}

const loopbackListener = "http://127.0.0.1:8083"

func (w *Worker) check() Problems {
	var problems Problems
	declarations := workerDeclarations()
	for _, entry := range w.layers.entries {
		if entry.IsUnresolved() {
			continue
		}
		spec, ok := declarations.Find(entry.Key)
		switch {
		case ok:
			if message := CheckValue(&spec, entry.Value.Reveal(), !entry.Value.IsSecret()); message != "" {
				problems = append(problems, w.Providers.InvalidValue(entry, message)...)
			} else if literalProblems := w.Providers.CheckLiteral(entry, &spec); literalProblems != nil {
				problems = append(problems, literalProblems...)
			} else if reason := w.noEffect(&spec); reason != "" {
				problems = append(problems, entry.Warning("has no effect: %s", reason))
			} else if entry.Key == ExactlyOnceSetting {
				if message := w.exactlyOnceProblem(); message != "" {
					problems = append(problems, entry.CodedProblem(setting.CodeInvalid, message))
				}
			}
		case strings.HasPrefix(entry.Key, "offset.storage.") && setting.Distance(declarations.Nearest(entry.Key),
			entry.Key) > typingErrors: // a setting of the topic
		case isPluginSetting(entry.Key): // package plugin checks it
		case HasPrefix(entry.Key, passThroughPrefixes), slices.Contains(clientSettings, entry.Key):
			if w.Providers.HasUnknownProvider(entry) && w.isSecret(entry.Key) {
				problems = append(problems, w.Providers.UnknownProvider(entry, true))
			}
		case strings.HasPrefix(entry.File, fromEnvironment) && setting.Distance(declarations.Nearest(entry.Key),
			entry.Key) > typingErrors: // a variable of something else
		case IsConnectorSetting(entry.Key):
			problems = append(problems, entry.Warning(
				"has no effect: a setting of connectors, which belongs in a connector's file"))
		default:
			problems = append(problems, entry.Warning("%s", setting.Unknown(declarations.Nearest(entry.Key))))
		}
	}
	if w.File != "" && !w.IsSet("bootstrap.servers") {
		problems = append(problems, Problem{File: w.File, Line: 1, Setting: "bootstrap.servers",
			Text: setting.Missing("bootstrap.servers")})
	}
	return problems
}

// clientPrefixes begin settings of one kind of Kafka clients, or of https listeners.
var clientPrefixes = []string{"producer.", "consumer.", "admin.", "listeners.https."}

func (w *Worker) isSecret(key string) bool {
	for _, prefix := range clientPrefixes {
		key = strings.TrimPrefix(key, prefix)
	}
	return IsPassword(key, workerDeclarations())
}

// ExactlyOnceSetting is the setting that makes sources write in transactions.
const ExactlyOnceSetting = "exactly.once.source.support"

// ExactlyOnce reports whether sources write in transactions. `preparing` has no effect.
func (w *Worker) ExactlyOnce() bool { return strings.EqualFold(w.Text(ExactlyOnceSetting), "enabled") }

// ConfigTopic returns config.storage.topic, which stores a group's connectors and counts of transactional producers.
func (w *Worker) ConfigTopic() string {
	if topic := w.Text("config.storage.topic"); topic != "" {
		return topic
	}
	return "connect-configs"
}

func (w *Worker) exactlyOnceProblem() string {
	switch {
	case !w.ExactlyOnce():
		return ""
	case slices.ContainsFunc(w.List("bootstrap.servers"), clientconfig.IsEmbedded):
		return setting.Invalid(ExactlyOnceSetting, "enabled",
			"expected disabled with bootstrap.servers=embedded: killing this process would break transactions of "+
				"its broker. Use the brokers of a Kafka cluster or of `culvert broker`")
	case w.Text("group.id") == "":
		return setting.Invalid(ExactlyOnceSetting, "enabled",
			"expected group.id to be set, too, because transactional ids begin with it: a name that no other "+
				"installation uses")
	}
	return ""
}

func isPluginSetting(key string) bool {
	hasSuffix := func(suffix string) bool { return strings.HasSuffix(key, suffix) }
	return strings.HasPrefix(key, "plugin.") && (strings.Contains(key, ".limits.") ||
		slices.ContainsFunc([]string{".reveal", ".replace"}, hasSuffix))
}

// IsConnectorSetting reports whether a key is one of Kafka Connect's settings of connectors, or of a transform or
// predicate.
func IsConnectorSetting(key string) bool {
	_, ok := common.Find(key)
	return ok || HasPrefix(key, []string{"transforms.", "predicates."})
}

var passThroughPrefixes = []string{"key.converter.", "value.converter.", "header.converter.", "config.providers.",
	"producer.", "consumer.", "admin.", "ssl.", "sasl.", "security.", "listeners.https."}

var clientSettings = []string{"compression.type", "metadata.max.age.ms", "request.timeout.ms", "retry.backoff.ms",
	"reconnect.backoff.ms", "reconnect.backoff.max.ms", "connections.max.idle.ms", "socket.connection.setup.timeout.ms",
	"socket.connection.setup.timeout.max.ms", "send.buffer.bytes", "receive.buffer.bytes", "client.dns.lookup"}

// HasPrefix reports whether a key begins with one of the prefixes.
func HasPrefix(key string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(key, p) })
}

// Redact removes resolved values from a text, see [Providers.Redact]. A nil Worker returns the text.
func (w *Worker) Redact(text string) string {
	if w == nil {
		return text
	}
	return w.Providers.Redact(text)
}

// Format prints the file for every verb, because a worker holds secrets and koanf would print them.
func (w *Worker) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "worker (%s)", w.File) }

// IsSet reports whether the user set a setting by any means.
func (w *Worker) IsSet(name string) bool {
	_, ok := lastEntry(w.layers.entries, name)
	return ok
}

// Text returns the trimmed value, or the default.
func (w *Worker) Text(name string) string {
	if w.layers.Koanf == nil || name == "" { // koanf would return all values
		return ""
	}
	return setting.Trim(w.layers.String(name))
}

// List returns the value split at commas.
func (w *Worker) List(name string) []string { return List(w.Text(name)) }

// Int returns the value as a number; values were checked before.
func (w *Worker) Int(name string) int {
	n, _ := setting.ParseInt(wit.KindLong, w.Text(name))
	return int(n)
}

// Duration returns the value of a setting in milliseconds.
func (w *Worker) Duration(name string) time.Duration { return setting.Milliseconds(int64(w.Int(name))) }

// Boolean returns the value as a bool.
func (w *Worker) Boolean(name string) bool {
	b, _ := Boolean(w.Text(name))
	return b
}

// ErrorPrefix returns the place of a setting for an error, such as `worker.properties:3: `, empty if it is not set.
func (w *Worker) ErrorPrefix(name string) string {
	entry, ok := lastEntry(w.layers.entries, name)
	switch {
	case !ok:
		return ""
	case entry.Line == 0:
		return entry.File + ": "
	}
	return fmt.Sprintf("%s:%d: ", entry.File, entry.Line)
}

// Prefixed returns the settings with a prefix, by the rest of their keys.
func (w *Worker) Prefixed(prefix string) map[string]string { return withPrefix(prefix, w.layers.All()) }

// Current resolves the references in a setting again. ok is false if it has none or one cannot be resolved now.
func (w *Worker) Current(name string) (value string, ok bool) {
	entry, isSet := lastEntry(w.layers.entries, name)
	if !isSet || !entry.Value.IsSecret() {
		return "", false
	}
	resolved, problems := w.Providers.resolveAll([]Entry{entry})
	if problems.Err() != nil {
		return "", false
	}
	w.resolved.Store(name, resolved[0].Value)
	return setting.Trim(resolved[0].Value.Reveal()), true
}

// Locate returns the error as a problem at the line of its setting if it wraps a [Problem], else at the file.
func (w *Worker) Locate(err error) Problem {
	var p Problem
	if !errors.As(err, &p) {
		return w.Problem("", err.Error())
	}
	located := w.Problem(p.Setting, p.Text)
	p.File = located.File
	p.Line = located.Line
	p.Text = located.Text
	return p
}

// Problem returns a problem at the line of a setting.
func (w *Worker) Problem(name, text string) Problem {
	entry, ok := lastEntry(w.layers.entries, name)
	if !ok {
		entry = Entry{Key: name, File: w.File, Line: 1}
	}
	return entry.Problem("%s", w.Redact(text))
}

// All returns every setting with its value, defaults included.
func (w *Worker) All() map[string]string {
	m := map[string]string{}
	for key, value := range w.layers.All() {
		m[key] = setting.Trim(value.(string))
	}
	return m
}

// ValidSettings is All without settings with a known error, so that further checks find only new ones.
func (w *Worker) ValidSettings(reported Problems) map[string]string {
	m := w.All()
	for _, p := range reported {
		if !p.Warning {
			delete(m, p.Setting)
		}
	}
	return m
}

// PluginFolders returns the folders of plugin.path, with a warning for each other entry: files of existing workers name
// folders of Java plugins, and Kafka Connect skips missing ones, too.
func (w *Worker) PluginFolders() (folders []string, warnings Problems) {
	for _, f := range w.List("plugin.path") {
		if info, err := os.Stat(f); err == nil && info.IsDir() {
			folders = append(folders, filepath.Clean(f))
			continue
		}
		p := w.Problem("plugin.path", fmt.Sprintf("expected folders, found none at %s", f))
		p.Warning = true
		warnings = append(warnings, p)
	}
	return folders, warnings
}
