package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/host/kafka/security"
	"github.com/culvert-project/culvert/host/secret"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

// Providers resolve references in values: `${file:PATH:KEY}`, `${dir:PATH:NAME}`, `${env:NAME}`. In files of the
// installation the three are there under these names without being asked for; `config.providers` of the worker may
// declare others, by Kafka's class names. For what comes by REST ([Entry.FromREST]) only those count that
// `config.providers` names, within their `allowed.paths` or `allowlist.pattern`, as in Kafka: whoever may change
// connectors could read every file of the worker otherwise.
//
// One thing differs from Kafka: a key, file or variable that is not there is an error. Kafka hands on the reference
// itself, which then is sent as a password and locks a user.
//
// What they have given is kept out of texts as long as a configuration holds it, see [Providers.Redact].
type Providers struct {
	byName map[string]provider
	// declared are the names in config.providers.
	declared []string
	known    secret.Known
}

// Redact is a text without what providers gave.
func (p *Providers) Redact(text string) string {
	if p == nil {
		return text
	}
	return p.known.Strike(text)
}

// struck are problems without what providers gave.
func (p *Providers) struck(problems Problems) Problems {
	for i := range problems {
		problems[i].Text = p.Redact(problems[i].Text)
	}
	return problems
}

// names of the providers, for messages.
func (p *Providers) names() string {
	var names []string
	if p != nil {
		names = slices.Sorted(maps.Keys(p.byName))
	}
	if len(names) < 2 {
		return strings.Join(append(names, "no others"), ", ")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// provider is where values come from.
type provider struct {
	kind *providerKind
	// open to what comes by REST.
	open bool
	// get returns the value for path and key; !ok: it has none.
	get func(path, key string) (value string, ok bool, err error)
}

// providerKind is one of Kafka's own: its class, what is not there where it has no value, and the parameter that says
// how much of it is open.
type providerKind struct{ class, lacks, bound string }

var (
	ofEnvironment = &providerKind{providerClasses + "EnvVarConfigProvider",
		"the environment of this program has no such variable", "param.allowlist.pattern"}
	ofFile   = &providerKind{providerClasses + "FileConfigProvider", "the file has no such key", "param.allowed.paths"}
	ofFolder = &providerKind{providerClasses + "DirectoryConfigProvider", "the folder has no such file",
		"param.allowed.paths"}
)

const providerClasses = "org.apache.kafka.common.config.provider."

// newProviders reads `config.providers` and `config.providers.NAME.{class,param.…}`.
func newProviders(worker []Entry) (*Providers, Problems) {
	p := &Providers{byName: map[string]provider{"file": fileProvider(nil), "dir": directoryProvider(nil),
		"env": environmentProvider(nil)}}
	declared, ok := entryOf(worker, "config.providers")
	if !ok {
		return p, nil
	}
	var problems Problems
	p.declared = List(declared.Value.Reveal())
	for _, name := range p.declared {
		prefix := "config.providers." + name + "."
		class, ok := entryOf(worker, prefix+"class")
		if !ok {
			problems = append(problems, declared.problem("provider %q has no class: expected the setting %sclass", name,
				prefix))
			continue
		}
		made, problem := makeProvider(class, prefix, worker)
		if problem != nil {
			problems = append(problems, *problem)
			continue
		}
		limit, limited := entryOf(worker, prefix+made.kind.bound)
		switch {
		case setting.Trim(limit.Value.Reveal()) != "":
		case limited && made.kind == ofEnvironment: // as in Kafka, where empty paths bound nothing
			problems = append(problems, limit.warning("the provider gives nothing: no variable's name matches an "+
				"empty pattern"))
		default:
			problems = append(problems, class.warning("without %s it gives what comes by REST all that the worker may "+
				"read", prefix+made.kind.bound))
		}
		made.open = true
		p.byName[name] = made
	}
	return p, problems
}

func makeProvider(class Entry, prefix string, worker []Entry) (provider, *Problem) {
	paths, _ := entryOf(worker, prefix+"param.allowed.paths")
	allowed := List(paths.Value.Reveal())
	switch strings.TrimPrefix(setting.Trim(class.Value.Reveal()), providerClasses) {
	case "FileConfigProvider":
		return fileProvider(allowed), nil
	case "DirectoryConfigProvider":
		return directoryProvider(allowed), nil
	case "EnvVarConfigProvider":
		pattern, ok := entryOf(worker, prefix+"param.allowlist.pattern")
		if !ok {
			return environmentProvider(nil), nil
		}
		re, err := regexp.Compile("^(?:" + pattern.Value.Reveal() + ")$")
		if err != nil {
			problem := pattern.problem("expected a regular expression: %v", err)
			return provider{}, &problem
		}
		return environmentProvider(re), nil
	}
	problem := class.problem("expected %s{FileConfigProvider, DirectoryConfigProvider, EnvVarConfigProvider}, found %q",
		providerClasses, class.Value)
	return provider{}, &problem
}

func fileProvider(allowed []string) provider {
	return provider{kind: ofFile, get: func(path, key string) (string, bool, error) {
		real, err := inside(allowed, path)
		if err != nil {
			return "", false, err
		}
		data, err := ReadRegular(real)
		if err == nil {
			data, err = decoded(data)
		}
		if err != nil {
			return "", false, err
		}
		entries, problems := readProperties(path, data)
		if err := problems.Err(); err != nil {
			return "", false, err
		}
		e, ok := entryOf(entries, key)
		return e.Raw, ok, nil
	}}
}

func directoryProvider(allowed []string) provider {
	return provider{kind: ofFolder, get: func(path, key string) (string, bool, error) {
		if key != filepath.Base(key) {
			return "", false, fmt.Errorf("expected the name of a file in %s, found %q", path, key)
		}
		real, err := inside(allowed, filepath.Join(path, key))
		var data []byte
		if err == nil {
			data, err = ReadRegular(real)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return "", false, nil
		}
		return string(data), err == nil, err
	}}
}

func environmentProvider(allowed *regexp.Regexp) provider {
	return provider{kind: ofEnvironment, get: func(path, key string) (string, bool, error) {
		if path != "" {
			return "", false, fmt.Errorf("expected ${env:NAME}, found a path %q", path)
		}
		if allowed != nil && !allowed.MatchString(key) {
			return "", false, fmt.Errorf("variable %s does not match allowlist.pattern", key)
		}
		v, ok := os.LookupEnv(key)
		return v, ok, nil
	}}
}

// inside is the path of a file that `allowed.paths` allows to read, links followed; no paths allow all.
func inside(allowed []string, path string) (real string, err error) {
	if len(allowed) == 0 {
		return path, nil
	}
	real, err = filepath.EvalSymlinks(path)
	leads := err == nil
	if !leads { // whoever reads it finds out why; only its name tells whether it may be read
		real = filepath.Clean(path)
	}
	for _, at := range allowed {
		if to, err := filepath.EvalSymlinks(at); err == nil && leads {
			at = to
		}
		rel, err := filepath.Rel(at, real)
		if err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
			return real, nil
		}
	}
	return "", fmt.Errorf("%s is outside allowed.paths", path)
}

// reference is Kafka's pattern: ${provider:key} or ${provider:path:key}.
var reference = regexp.MustCompile(`\$\{([^}]*?):(([^}]*?):)?([^}]*?)\}`)

// resolveAll returns the entries with their references replaced, as they are now. References to providers that nobody
// declared stay as they are, as in Kafka (a transform's replacement may look like one).
func (p *Providers) resolveAll(entries []Entry) ([]Entry, Problems) {
	var problems Problems
	resolved := slices.Clone(entries)
	for i := range resolved {
		problems = append(problems, p.resolve(&resolved[i])...)
	}
	return resolved, problems
}

// AllowedForREST tells whether all that the entry's value is to have from providers is open to REST.
func (p *Providers) AllowedForREST(e Entry) bool {
	return !slices.ContainsFunc(reference.FindAllStringSubmatch(e.Raw, -1), func(parts []string) bool {
		source, ok := p.byName[parts[1]]
		return ok && !source.open
	})
}

// refers tells whether some of the entry's value is to come from a provider.
func (p *Providers) refers(e Entry) bool {
	return slices.ContainsFunc(reference.FindAllStringSubmatch(e.Raw, -1), func(parts []string) bool {
		_, ok := p.byName[parts[1]]
		return ok
	})
}

func (p *Providers) resolve(e *Entry) (problems Problems) {
	if !p.refers(*e) {
		return nil
	}
	var given []string
	fromFile, absent := false, false
	text := reference.ReplaceAllStringFunc(e.Raw, func(match string) string {
		parts := reference.FindStringSubmatch(match)
		source, ok := p.byName[parts[1]]
		if !ok {
			return match
		}
		fromFile = fromFile || source.kind != ofEnvironment
		if e.FromREST && !source.open {
			problems = append(problems, e.problem("%s: %s", match, p.closed(source, parts[1], parts[3], parts[4])))
			return ""
		}
		v, ok, err := source.get(parts[3], parts[4])
		switch {
		case err != nil:
			problems = append(problems, e.problem("%s: %v", match, err))
		case !ok:
			problems = append(problems, e.problem("%s: nothing there by that name: %s", match, source.kind.lacks))
		}
		absent = absent || err != nil || !ok
		given = append(given, hiddenOf(v)...)
		return v
	})
	if absent { // what stands around it is no value either
		text = ""
	}
	e.Value = p.known.Given(text, fromFile, given...)
	return problems
}

// hiddenOf are the texts of a given one that are not to be shown: all of it, but of the line of a login module only
// the values of its options. Its class, its flag and their names are words that stand in many a message.
func hiddenOf(given string) []string {
	if values, ok := security.LoginOptions(given); ok {
		return values
	}
	return []string{given}
}

// closed says what opens a provider to what comes by REST.
func (p *Providers) closed(source provider, name, path, key string) string {
	to := path
	switch source.kind {
	case ofEnvironment:
		to = regexp.QuoteMeta(key)
	case ofFile:
		to = filepath.Dir(path)
	}
	prefix := "config.providers." + name + "."
	return fmt.Sprintf("what comes by REST, or is in config.storage.topic, may use only those config providers that "+
		"the worker's file names. These lines there open this one, as far as the last of them says: %s %s %s",
		"config.providers="+strings.Join(append(slices.Clone(p.declared), name), ","),
		prefix+"class="+source.kind.class, prefix+source.kind.bound+"="+to)
}

// Resolve is the connector with its references resolved again: the secret in a file may be another one by now. What was
// given in place is as it was.
func (c *Connector) Resolve(p *Providers) (*Connector, error) {
	entries, problems := p.resolveAll(c.Entries)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return &Connector{Name: c.Name, File: c.File, Entries: entries}, nil
}

// ChangedSince returns the keys whose values differ between two readings of one connector.
func (c *Connector) ChangedSince(other *Connector) []string {
	return ChangedKeys(c.ResolvedSettings(), other.ResolvedSettings())
}

// ResolvedSettings returns the settings with all references resolved, secrets included.
func (c *Connector) ResolvedSettings() map[string]string {
	values := map[string]string{}
	for _, e := range c.Entries {
		values[e.Key] = e.Value.Reveal()
	}
	return values
}

// Files are those that references of a connector lead to.
func (p *Providers) Files(c *Connector) []string {
	var files []string
	for _, e := range c.Entries {
		for _, parts := range reference.FindAllStringSubmatch(e.Raw, -1) {
			path := ""
			switch provider := p.byName[parts[1]]; {
			case provider.kind == ofFile:
				path = parts[3]
			case provider.kind == ofFolder:
				path = filepath.Join(parts[3], parts[4])
			}
			if path != "" && !slices.Contains(files, path) {
				files = append(files, path)
			}
		}
	}
	return files
}
