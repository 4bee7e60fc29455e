package plugin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/culvert-project/culvert/internal/plugin/binary"
	"github.com/culvert-project/culvert/internal/plugin/internal/code"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/wit"
)

// loader turns a file into a module.
type loader struct {
	host
	limits      Limits
	namedLimits map[string]Limits
	notice      *compileNotice
	compilation *Compilation
}

// load loads a file from the cached facts about it, or by starting the plugin. It remembers why a plugin was refused.
func (l *loader) load(ctx context.Context, file *candidateFile) (*module, error) {
	if file.facts != nil {
		if mod, err := l.fromCache(ctx, file, file.facts); mod != nil || err != nil {
			return mod, err
		}
	}
	data, err := file.bytes()
	if err != nil {
		return nil, err
	}
	parsed, err := binary.Read(data)
	if err != nil {
		return nil, err
	}
	mod, err := l.newModule(file, parsed)
	if err != nil {
		return nil, err
	}
	if err := cachedRefusal(l.cache, file.hash, mod.limits); err != nil {
		return nil, err
	}
	l.notice.start()
	l.compilation.set(file.path, time.Now())
	var description *wit.Description
	if mod.code, err = mod.compileCode(ctx); err == nil {
		if description, err = mod.describe(ctx); err != nil {
			mod.freeIfUnused()
		}
	}
	if err != nil {
		cacheRefusal(l.cache, file.hash, mod.limits, err)
		return nil, err
	}
	l.cache.StoreFacts(file.hash, &code.Facts{Binary: *parsed, Description: *description})
	compiledPages := mod.limits.pages()
	mod.limits = l.limitsFor(mod.info.Name)
	if mod.limits.pages() != compiledPages {
		mod.freeIfUnused()
		if mod.code, err = mod.compileCode(ctx); err != nil {
			return nil, err
		}
	}
	return mod, nil
}

func (l *loader) newModule(file *candidateFile, parsed *binary.Module) (*module, error) {
	interfaces, err := parsed.CheckContract()
	if err != nil {
		return nil, err
	}
	return &module{binary: parsed, host: &l.host, limits: l.widestLimits(), original: file.bytes,
		info: Info{Hash: file.hash, Size: file.size, Path: file.path, BuiltIn: file.builtIn, Contract: parsed.Contract,
			Interfaces: interfaces, Loaded: time.Now()}}, nil
}

// fromCache returns a module by its cached facts, or nil if the facts are no longer valid.
func (l *loader) fromCache(ctx context.Context, file *candidateFile, facts *code.Facts) (*module, error) {
	mod, err := l.newModule(file, &facts.Binary)
	if err != nil {
		return nil, nil
	}
	if err := mod.checkDescription(ctx, &facts.Description); err != nil {
		return nil, context.Cause(ctx)
	}
	mod.info.describe(&facts.Description)
	mod.limits = l.limitsFor(mod.info.Name)
	if err := mod.checkMemory(); err != nil {
		return nil, err
	}
	return mod, nil
}

func (l *loader) limitsFor(name string) Limits {
	limits, ok := l.namedLimits[name]
	if !ok {
		limits = l.limits
	}
	return limits.withDefaults()
}

// maxDescribe bounds describe: otherwise the limit of one plugin with long calls would apply to any file.
const maxDescribe = time.Minute

// widestLimits returns limits with which any configured plugin can return its name.
func (l *loader) widestLimits() Limits {
	widest := l.limits.withDefaults()
	for _, named := range l.namedLimits {
		widest.MemoryBytes = max(widest.MemoryBytes, named.withDefaults().MemoryBytes)
		if named.callTime("describe") > widest.callTime("describe") {
			widest.CallMs = named.CallMs
		}
	}
	if widest.callTime("describe") > maxDescribe {
		widest.CallMs = maxDescribe.Milliseconds()
	}
	return widest
}

// describe calls describe on a new instance, checks the result, and stores it in m.info.
func (m *module) describe(ctx context.Context) (*wit.Description, error) {
	i, err := m.newInstance(ctx, newBucket(m.limits.LogLinesPerSecond), nil)
	if err != nil {
		return nil, err
	}
	defer i.close()
	description, err := i.Describe(ctx)
	if err != nil {
		return nil, err
	}
	if err := m.checkDescription(ctx, &description); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx) // not an error of the module
		}
		return nil, &code.UnusableError{Reason: fmt.Errorf("describe: %w", err)}
	}
	if m.info.Has(wit.InterfaceTools) {
		// A plugin that cannot list its commands has no commands; calling one returns the reason.
		if commands, err := i.Commands(ctx); err == nil {
			if err := CheckCommands(commands); err != nil {
				return nil, err
			}
		}
	}
	m.info.describe(&description)
	return &description, nil
}

func (m *module) checkDescription(ctx context.Context, description *wit.Description) error {
	if description.Name == "" || description.Version == "" {
		return fmt.Errorf("expected a name and a version, found %q and %q", description.Name, description.Version)
	}
	if n := max(len(description.Name), len(description.Version)); n > maxNameBytes {
		return fmt.Errorf("expected a name and a version of at most %d bytes, found one of %d", maxNameBytes, n)
	}
	if err := checkLists(ctx, description); err != nil {
		return err
	}
	required := [...]string{wit.ComponentSource: wit.InterfaceSource, wit.ComponentSink: wit.InterfaceSink,
		wit.ComponentTransformation: wit.InterfaceTransform, wit.ComponentPredicate: wit.InterfaceTransform}
	seen := map[string]bool{}
	for _, component := range description.Components {
		if err := ctx.Err(); err != nil {
			return err
		}
		for _, name := range append([]string{component.Name}, component.Aliases...) {
			if len(name) > maxNameBytes {
				return fmt.Errorf("component %.40q...: expected names of at most %d bytes, found one of %d", name,
					maxNameBytes, len(name))
			}
			key := component.Kind.String() + " " + name
			if name == "" || seen[key] {
				return fmt.Errorf("component %q: expected unique names that are not empty, found %q", component.Name,
					name)
			}
			seen[key] = true
		}
		if !m.info.Has(required[component.Kind]) {
			return fmt.Errorf("component %q is a %s: expected the interface %s among the exports, found %v",
				component.Name, component.Kind, required[component.Kind], m.info.Interfaces)
		}
		for _, f := range role.Check(&component) {
			if f.Fatal {
				return fmt.Errorf("component %q: %v", component.Name, f)
			}
		}
	}
	return nil
}

// candidateFile is a module file that is being loaded. Its bytes are read late, since a folder may contain any number
// of files.
type candidateFile struct {
	path     string
	hash     string
	size     int
	builtIn  bool
	read     func() ([]byte, error)
	facts    *code.Facts // cached facts about the file, nil for no facts
	deferred bool        // no configured connector uses it, as far as its bytes show
	order    int         // increases with each file that the manager loads
	loaded   *module     // nil if err is set
	err      error       // why the file is refused
}

func newCandidateFile(path, hash string, size int) *candidateFile {
	return &candidateFile{path: path, hash: hash, size: size, read: func() ([]byte, error) {
		return code.ReadModule(path)
	}}
}

// bytes returns an error if the file has changed since it was found.
func (c *candidateFile) bytes() ([]byte, error) {
	data, err := c.read()
	if err == nil && code.HashOf(data) != c.hash {
		err = errors.New("the file has changed while it was loaded")
	}
	return data, err
}
