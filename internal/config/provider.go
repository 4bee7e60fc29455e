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

	"github.com/culvert-project/culvert/internal/kafka/clientconfig"
	"github.com/culvert-project/culvert/internal/secret"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

// Providers resolve references to secrets in values: `${file:PATH:KEY}`, `${dir:PATH:NAME}`, `${env:NAME}`. Files of
// the installation may use these three; `config.providers` declares others by Kafka's class names. Settings from REST
// ([Entry.FromREST]) may only use declared ones, within `allowed.paths` or `allowlist.pattern`, as in Kafka.
//
// Unlike in Kafka a missing key, file or variable is an error. Kafka would use the reference itself as the password,
// and the failed logons would lock the user. Resolved values are redacted while a configuration uses them.
type Providers struct {
	byName   map[string]provider
	declared []string // the names in config.providers
	known    secret.Redactor
}

// Redact removes resolved values from a text.
func (p *Providers) Redact(text string) string {
	if p == nil {
		return text
	}
	return p.known.Redact(text)
}

func (p *Providers) redactProblems(problems Problems) Problems {
	for i := range problems {
		problems[i].Text = p.Redact(problems[i].Text)
	}
	return problems
}

// names lists the providers in a message, at least file, dir and env. A nil p, as in checks without a worker, has none.
func (p *Providers) names() string {
	if p == nil {
		return "no others"
	}
	names := slices.Sorted(maps.Keys(p.byName))
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// provider is a config provider that a reference names.
type provider struct {
	kind       *providerKind
	openToREST bool
	// get returns the value of a key. Providers of properties files have read instead, which returns the values of
	// several keys, without those that are not in the file.
	get  func(path, key string) (value string, ok bool, err error)
	read func(path string, keys map[string]bool) (values map[string]string, err error)
}

type providerKind struct {
	class   string // Kafka's class name
	missing string // the text of the problem of a key without a value
	limit   string // the setting of config.providers.NAME. that limits what may be read
}

var (
	environmentKind = &providerKind{
		class:   providerClasses + "EnvVarConfigProvider",
		missing: "the environment of this program has no such variable",
		limit:   "param.allowlist.pattern",
	}
	fileKind = &providerKind{
		class:   providerClasses + "FileConfigProvider",
		missing: "the file has no such key",
		limit:   "param.allowed.paths",
	}
	directoryKind = &providerKind{
		class:   providerClasses + "DirectoryConfigProvider",
		missing: "the folder has no such file",
		limit:   "param.allowed.paths",
	}
)

const providerClasses = "org.apache.kafka.common.config.provider."

func newProviders(worker []Entry) (*Providers, Problems) {
	providers := &Providers{byName: map[string]provider{"file": fileProvider(nil), "dir": directoryProvider(nil),
		"env": environmentProvider(nil)}}
	declared, ok := lastEntry(worker, "config.providers")
	if !ok {
		return providers, nil
	}
	var problems Problems
	providers.declared = List(declared.Value.Reveal())
	for _, name := range providers.declared {
		prefix := "config.providers." + name + "."
		class, ok := lastEntry(worker, prefix+"class")
		if !ok {
			problems = append(problems, declared.Problem("provider %q has no class: expected the setting %sclass", name,
				prefix))
			continue
		}
		added, problem := newProvider(class, prefix, worker)
		if problem != nil {
			problems = append(problems, *problem)
			continue
		}
		limit, limited := lastEntry(worker, prefix+added.kind.limit)
		switch {
		case setting.Trim(limit.Value.Reveal()) != "": // limited
		case limited && added.kind == environmentKind: // as in Kafka, where an empty list of paths is no limit
			problems = append(problems, limit.Warning(
				"the provider returns nothing, because no variable's name matches an empty pattern"))
		default:
			problems = append(problems, class.Warning(
				"without %s configurations received by REST can read everything that the worker can",
				prefix+added.kind.limit))
		}
		added.openToREST = true
		providers.byName[name] = added
	}
	return providers, problems
}

func newProvider(class Entry, prefix string, worker []Entry) (provider, *Problem) {
	paths, _ := lastEntry(worker, prefix+"param.allowed.paths")
	allowed := List(paths.Value.Reveal())
	switch strings.TrimPrefix(setting.Trim(class.Value.Reveal()), providerClasses) {
	case "FileConfigProvider":
		return fileProvider(allowed), nil
	case "DirectoryConfigProvider":
		return directoryProvider(allowed), nil
	case "EnvVarConfigProvider":
		pattern, ok := lastEntry(worker, prefix+"param.allowlist.pattern")
		if !ok {
			return environmentProvider(nil), nil
		}
		re, err := regexp.Compile("^(?:" + pattern.Value.Reveal() + ")$")
		if err != nil {
			problem := pattern.Problem("expected a regular expression: %v", err)
			return provider{}, &problem
		}
		return environmentProvider(re), nil
	}
	problem := class.Problem("expected %s{FileConfigProvider, DirectoryConfigProvider, EnvVarConfigProvider}, found %q",
		providerClasses, class.Value)
	return provider{}, &problem
}

func fileProvider(allowed []string) provider {
	return provider{kind: fileKind, read: func(path string, keys map[string]bool) (map[string]string, error) {
		real, err := allowedPath(allowed, path)
		if err != nil {
			return nil, err
		}
		data, err := ReadRegular(real)
		if err == nil {
			data, err = decodeText(data)
		}
		if err != nil {
			return nil, err
		}
		return readKeys(path, data, keys)
	}}
}

func directoryProvider(allowed []string) provider {
	return provider{kind: directoryKind, get: func(path, key string) (string, bool, error) {
		if key != filepath.Base(key) {
			return "", false, fmt.Errorf("expected the name of a file in %s, found %q", path, key)
		}
		real, err := allowedPath(allowed, filepath.Join(path, key))
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
	return provider{kind: environmentKind, get: func(path, key string) (string, bool, error) {
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

// allowedPath returns the path to read, or an error if it is not below one of the allowed folders after symbolic links
// are followed. No folders allow any path.
func allowedPath(allowed []string, path string) (real string, err error) {
	if len(allowed) == 0 {
		return path, nil
	}
	real, err = filepath.EvalSymlinks(path)
	exists := err == nil
	if !exists { // reading it will fail; here only its name decides
		real = filepath.Clean(path)
	}
	for _, dir := range allowed {
		if target, err := filepath.EvalSymlinks(dir); err == nil && exists {
			dir = target
		}
		rel, err := filepath.Rel(dir, real)
		if err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
			return real, nil
		}
	}
	return "", fmt.Errorf("%s is outside allowed.paths", path)
}

// reference matches ${PROVIDER:PATH:KEY} and ${PROVIDER:KEY}, as in Kafka. Group 1 is the provider, 3 the path (or ""),
// and 4 the key.
var reference = regexp.MustCompile(`\$\{([^}]*?):(([^}]*?):)?([^}]*?)\}`)

// resolveAll resolves the references of one configuration.
func (p *Providers) resolveAll(entries []Entry) ([]Entry, Problems) {
	return p.newReferences(entries).resolve(entries)
}

// AllowedForREST reports whether all providers in a value are open to REST.
func (p *Providers) AllowedForREST(entry Entry) bool {
	return !slices.ContainsFunc(reference.FindAllStringSubmatch(entry.Raw, -1), func(parts []string) bool {
		source, ok := p.byName[parts[1]]
		return ok && !source.openToREST
	})
}

func (p *Providers) hasReference(entry Entry) bool {
	return slices.ContainsFunc(reference.FindAllStringSubmatch(entry.Raw, -1), func(parts []string) bool {
		_, ok := p.byName[parts[1]]
		return ok
	})
}

// secretValues returns the option values of a login module's line, because its other words occur in many messages; else
// the value.
func secretValues(value string) []string {
	if values, ok := clientconfig.LoginOptions(value); ok {
		return values
	}
	return []string{value}
}

// closedHint explains why a reference from REST is rejected, with lines for the worker's file that would allow it.
func (p *Providers) closedHint(source provider, name, path, key string) string {
	allowed := path // of directoryKind
	switch source.kind {
	case environmentKind:
		allowed = regexp.QuoteMeta(key)
	case fileKind:
		allowed = filepath.Dir(path)
	}
	prefix := "config.providers." + name + "."
	return fmt.Sprintf("a configuration received by REST, or in config.storage.topic, may use only config providers "+
		"that the worker's file declares. These lines declare this one, limited by the last line: %s %s %s",
		"config.providers="+strings.Join(append(slices.Clone(p.declared), name), ","),
		prefix+"class="+source.kind.class, prefix+source.kind.limit+"="+allowed)
}

// Resolve resolves the references again, because the secret in a file may have changed.
func (c *Connector) Resolve(providers *Providers) (*Connector, error) {
	entries, problems := providers.resolveAll(c.Entries)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return &Connector{Name: c.Name, File: c.File, Entries: entries}, nil
}

// ChangedKeys returns the sorted keys that differ between two configurations or are missing in one.
func ChangedKeys(before, after map[string]string) (names []string) {
	for name, value := range after {
		if was, ok := before[name]; !ok || was != value {
			names = append(names, name)
		}
	}
	for name := range before {
		if _, ok := after[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// ChangedSince returns the keys whose resolved values differ between two versions of a connector.
func (c *Connector) ChangedSince(other *Connector) []string {
	return ChangedKeys(c.ResolvedSettings(), other.ResolvedSettings())
}

// ResolvedSettings returns the settings with all references resolved, secrets included.
func (c *Connector) ResolvedSettings() map[string]string {
	values := map[string]string{}
	for _, entry := range c.Entries {
		values[entry.Key] = entry.Value.Reveal()
	}
	return values
}

// Files returns the files that a connector's references name.
func (p *Providers) Files(connector *Connector) []string {
	var files []string
	for _, entry := range connector.Entries {
		for _, parts := range reference.FindAllStringSubmatch(entry.Raw, -1) {
			path := ""
			switch provider := p.byName[parts[1]]; {
			case provider.kind == fileKind:
				path = parts[3]
			case provider.kind == directoryKind:
				path = filepath.Join(parts[3], parts[4])
			}
			if path != "" && !slices.Contains(files, path) {
				files = append(files, path)
			}
		}
	}
	return files
}
