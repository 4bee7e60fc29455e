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

	"github.com/culvert-project/culvert/sdk/go/setting"
)

// Providers resolve references in values: `${file:PATH:KEY}`, `${dir:PATH:NAME}`, `${env:NAME}`. The three are there
// under these names without being asked for; `config.providers` of the worker may declare others, by Kafka's class
// names.
//
// One thing differs from Kafka: a key, file or variable that is not there is an error. Kafka hands on the reference
// itself, which then is sent as a password and locks a user.
type Providers struct{ byName map[string]provider }

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
	kind providerKind
	// get returns the value for path and key; !ok: it has none.
	get func(path, key string) (value string, ok bool, err error)
}

type providerKind uint8

const (
	ofEnvironment providerKind = iota
	ofFile
	ofFolder
)

// lacks says what is not there.
func (k providerKind) lacks() string {
	return [...]string{ofEnvironment: "the environment of this program has no such variable",
		ofFile:   "the file has no such key",
		ofFolder: "the folder has no such file"}[k]
}

const providerClasses = "org.apache.kafka.common.config.provider."

// NewProviders reads `config.providers` and `config.providers.NAME.{class,param.…}`.
func NewProviders(worker []Entry) (*Providers, Problems) {
	p := &Providers{map[string]provider{"file": fileProvider(nil), "dir": directoryProvider(nil),
		"env": environmentProvider(nil)}}
	byKey := map[string]Entry{}
	for _, e := range worker {
		byKey[e.Key] = e
	}
	declared, ok := byKey["config.providers"]
	if !ok {
		return p, nil
	}
	var problems Problems
	for _, name := range List(declared.Value) {
		prefix := "config.providers." + name + "."
		class, ok := byKey[prefix+"class"]
		if !ok {
			problems = append(problems, declared.problem("provider %q has no class: expected the setting %sclass", name,
				prefix))
			continue
		}
		made, problem := makeProvider(class, prefix, byKey)
		if problem != nil {
			problems = append(problems, *problem)
			continue
		}
		p.byName[name] = made
	}
	return p, problems
}

func makeProvider(class Entry, prefix string, byKey map[string]Entry) (provider, *Problem) {
	allowed := List(byKey[prefix+"param.allowed.paths"].Value)
	switch strings.TrimPrefix(setting.Trim(class.Value), providerClasses) {
	case "FileConfigProvider":
		return fileProvider(allowed), nil
	case "DirectoryConfigProvider":
		return directoryProvider(allowed), nil
	case "EnvVarConfigProvider":
		pattern, ok := byKey[prefix+"param.allowlist.pattern"]
		if !ok {
			return environmentProvider(nil), nil
		}
		re, err := regexp.Compile("^(?:" + pattern.Value + ")$")
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
	return provider{ofFile, func(path, key string) (string, bool, error) {
		if err := inside(allowed, path); err != nil {
			return "", false, err
		}
		data, err := ReadRegular(path)
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
		for _, e := range slices.Backward(entries) {
			if e.Key == key {
				return e.Value, true, nil
			}
		}
		return "", false, nil
	}}
}

func directoryProvider(allowed []string) provider {
	return provider{ofFolder, func(path, key string) (string, bool, error) {
		if err := inside(allowed, path); err != nil {
			return "", false, err
		}
		if key != filepath.Base(key) {
			return "", false, fmt.Errorf("expected the name of a file in %s, found %q", path, key)
		}
		data, err := ReadRegular(filepath.Join(path, key))
		if errors.Is(err, fs.ErrNotExist) {
			return "", false, nil
		}
		return string(data), err == nil, err
	}}
}

func environmentProvider(allowed *regexp.Regexp) provider {
	return provider{ofEnvironment, func(path, key string) (string, bool, error) {
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

// inside checks `allowed.paths`: none means all.
func inside(allowed []string, path string) error {
	if len(allowed) == 0 {
		return nil
	}
	for _, a := range allowed {
		rel, err := filepath.Rel(a, path)
		if err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
			return nil
		}
	}
	return fmt.Errorf("%s is outside allowed.paths", path)
}

// reference is Kafka's pattern: ${provider:key} or ${provider:path:key}.
var reference = regexp.MustCompile(`\$\{([^}]*?):(([^}]*?):)?([^}]*?)\}`)

// Resolve returns the entries with their references replaced. References to providers that nobody declared stay as they
// are, as in Kafka (a transform's replacement may look like one).
func (p *Providers) Resolve(entries []Entry) ([]Entry, Problems) {
	var problems Problems
	resolved := slices.Clone(entries)
	for i := range resolved {
		e := &resolved[i]
		if !strings.Contains(e.Value, "${") {
			continue
		}
		e.Value = reference.ReplaceAllStringFunc(e.Value, func(match string) string {
			parts := reference.FindStringSubmatch(match)
			source, ok := p.byName[parts[1]]
			if !ok {
				return match
			}
			v, ok, err := source.get(parts[3], parts[4])
			switch {
			case err != nil:
				problems = append(problems, e.problem("%s: %v", match, err))
			case !ok:
				problems = append(problems, e.problem("%s: nothing there by that name: %s", match, source.kind.lacks()))
			}
			e.Secret = true
			e.FromFile = e.FromFile || source.kind != ofEnvironment
			return v
		})
	}
	return resolved, problems
}
