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

type loader struct {
	host
	limits      Limits
	namedLimits map[string]Limits
	notice      *compileNotice
}

func (l *loader) load(ctx context.Context, a *candidateFile) (*module, error) {
	if a.facts != nil {
		m, err := l.fromCache(ctx, a, a.facts)
		if m != nil || err != nil {
			return m, err
		}
	}
	data, err := a.bytes()
	if err != nil {
		return nil, err
	}
	read, err := binary.Read(data)
	if err != nil {
		return nil, err
	}
	m, err := l.newModule(a, read)
	if err != nil {
		return nil, err
	}
	if err := cachedRefusal(l.cache, a.hash, m.limits); err != nil {
		return nil, err
	}
	l.notice.start()
	d, err := l.start(ctx, m)
	if err != nil {
		cacheRefusal(l.cache, a.hash, m.limits, err)
		return nil, err
	}
	l.cache.Remember(a.hash, &code.Facts{Binary: *read, Description: *d})
	before := m.limits
	if m.limits = l.limitsFor(m.info.Name); m.limits.pages() != before.pages() {
		m.freeIfUnused()
		if m.code, err = m.compileCode(ctx); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (l *loader) newModule(a *candidateFile, read *binary.Module) (*module, error) {
	found, err := read.Judge()
	if err != nil {
		return nil, err
	}
	return &module{binary: read, host: &l.host, limits: l.widest(), original: a.bytes,
		info: Info{Hash: a.hash, Size: a.size, Path: a.path, BuiltIn: a.builtIn, Contract: read.Contract,
			Interfaces: found, Loaded: time.Now()}}, nil
}

func (l *loader) fromCache(ctx context.Context, a *candidateFile, known *code.Facts) (*module, error) {
	m, err := l.newModule(a, &known.Binary)
	if err != nil {
		return nil, nil
	}
	if err := m.checkDescription(ctx, &known.Description); err != nil {
		return nil, context.Cause(ctx)
	}
	m.setDescription(&known.Description)
	m.limits = l.limitsFor(m.info.Name)
	if err := m.checkMemory(); err != nil {
		return nil, err
	}
	return m, nil
}

func (l *loader) start(ctx context.Context, m *module) (d *wit.Description, err error) {
	if m.code, err = m.compileCode(ctx); err != nil {
		return nil, err
	}
	if d, err = m.describe(ctx); err != nil {
		m.freeIfUnused()
		return nil, err
	}
	return d, nil
}

func (l *loader) limitsFor(name string) Limits {
	own, ok := l.namedLimits[name]
	if !ok {
		own = l.limits
	}
	return own.filled()
}

// maxDescribe bounds describe: otherwise the limit of a plugin with long calls would apply to any file.
const maxDescribe = time.Minute

// widest returns limits under which any configured plugin can be asked for its name.
func (l *loader) widest() Limits {
	widest := l.limits.filled()
	for _, named := range l.namedLimits {
		widest.MemoryBytes = max(widest.MemoryBytes, named.filled().MemoryBytes)
		if named.call("describe") > widest.call("describe") {
			widest.CallMs = named.CallMs
		}
	}
	if widest.call("describe") > maxDescribe {
		widest.CallMs = maxDescribe.Milliseconds()
	}
	return widest
}

func (m *module) describe(ctx context.Context) (*wit.Description, error) {
	i, err := m.newInstance(ctx, newBucket(m.limits.LogLinesPerSecond), nil)
	if err != nil {
		return nil, err
	}
	defer i.close()
	d, err := i.Describe(ctx)
	if err != nil {
		return nil, err
	}
	if err := m.checkDescription(ctx, &d); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx) // which says nothing of the module
		}
		return nil, &code.Unfit{Reason: fmt.Errorf("describe: %w", err)}
	}
	if m.info.Has(wit.InterfaceTools) {
		// A plugin that cannot list its commands has none; a request for one returns the reason.
		if commands, err := i.Commands(ctx); err == nil {
			if err := CheckCommands(commands); err != nil {
				return nil, err
			}
		}
	}
	m.setDescription(&d)
	return &d, nil
}

func (m *module) setDescription(d *wit.Description) {
	m.info.Name, m.info.Version, m.info.Documentation, m.info.Components = d.Name, d.Version, d.Documentation,
		d.Components
}

func (m *module) checkDescription(ctx context.Context, d *wit.Description) error {
	if d.Name == "" || d.Version == "" {
		return fmt.Errorf("expected a name and a version, found %q and %q", d.Name, d.Version)
	}
	if n := max(len(d.Name), len(d.Version)); n > maxNameBytes {
		return fmt.Errorf("expected a name and a version of at most %d bytes, found one of %d", maxNameBytes, n)
	}
	if err := checkLists(ctx, d); err != nil {
		return err
	}
	needs := [...]string{wit.ComponentSource: wit.InterfaceSource, wit.ComponentSink: wit.InterfaceSink,
		wit.ComponentTransformation: wit.InterfaceTransform, wit.ComponentPredicate: wit.InterfaceTransform}
	seen := map[string]bool{}
	for _, c := range d.Components {
		if err := ctx.Err(); err != nil {
			return err
		}
		for _, name := range append([]string{c.Name}, c.Aliases...) {
			if len(name) > maxNameBytes {
				return fmt.Errorf("component %.40q...: expected names of at most %d bytes, found one of %d", name,
					maxNameBytes, len(name))
			}
			key := c.Kind.String() + " " + name
			if name == "" || seen[key] {
				return fmt.Errorf("component %q: expected names that are not empty and stand once, found %q", c.Name,
					name)
			}
			seen[key] = true
		}
		if !m.info.Has(needs[c.Kind]) {
			return fmt.Errorf("component %q is a %s: expected the interface %s among the exports, found %v", c.Name,
				c.Kind,
				needs[c.Kind], m.info.Interfaces)
		}
		for _, f := range role.Check(&c) {
			if f.Fatal {
				return fmt.Errorf("component %q: %v", c.Name, f)
			}
		}
	}
	return nil
}

// candidateFile is a module file that is being loaded. Its bytes are read late, since a folder may hold any number of
// files.
type candidateFile struct {
	path, hash string
	size       int
	builtIn    bool
	read       func() ([]byte, error)
	facts      *code.Facts
	// deferred: no configured connector uses it, as far as its bytes show.
	deferred bool
	order    int
	loaded   *module
	err      error
}

func newCandidateFile(path, hash string, size int) *candidateFile {
	return &candidateFile{path: path, hash: hash, size: size, read: func() ([]byte, error) {
		return code.ReadModule(path)
	}}
}

// bytes returns an error if the file changed since it was seen.
func (a *candidateFile) bytes() ([]byte, error) {
	data, err := a.read()
	if err == nil && code.HashOf(data) != a.hash {
		err = errors.New("the file has changed since")
	}
	return data, err
}
