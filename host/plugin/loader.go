package plugin

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"

	"github.com/culvert-project/culvert/host/plugin/binary"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
)

// loader makes modules.
type loader struct {
	// cache is the engine's in memory, where there is no folder for what loading finds out.
	cache wazero.CompilationCache
	// descriptions and codes keep what loading finds out, and native code; nil: nothing is kept.
	descriptions *descriptionCache
	codes        *codeCache
	// turns holds a token for each module that is being compiled; nil: as many as there are.
	turns chan struct{}
	// compileTime is how long compiling a module may take. Default [compileTime].
	compileTime time.Duration
	limits      Limits
	named       map[string]Limits
	registry    *record.Registry
	logger      *slog.Logger
	notice      *notice
	// processors are what running calls share, of all connectors. idle is how long an instance is kept that nobody
	// uses.
	processors *processors
	idle       time.Duration
	// doze is how long code is kept that has no instances. Default [dozeTime].
	doze time.Duration
	// admission bounds the memory of all guests together.
	admission *admission
}

// open opens what is kept in a folder, "" for memory only. One in which others can write is not used, since it holds
// what is run, and neither is one in which nothing can be written.
func (l *loader) open(dir string) {
	l.cache = wazero.NewCompilationCache()
	if dir == "" {
		return
	}
	kept := &descriptionCache{dir, l.logger}
	err := private(dir, os.Geteuid())
	if err == nil {
		l.codes, err = openCodeCache(kept)
	}
	if err != nil {
		l.logger.Warn("plugins are compiled again: the cache is not used", "folder", dir, "error", err)
		return
	}
	l.descriptions = kept
}

// load recognises, compiles and describes a module. The error says what is wrong with the file, not which file.
func (l *loader) load(ctx context.Context, a *arrival) (*module, error) {
	if a.kept != nil {
		m, err := l.recall(ctx, a, a.kept)
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
	m, err := l.module(a, read)
	if err != nil {
		return nil, err
	}
	if err := l.descriptions.refusal(a.hash, m.limits); err != nil {
		return nil, err
	}
	l.notice.begin()
	prepare := sync.OnceValues(func() (*prepared, error) { return prepareModule(ctx, data) })
	d, err := l.start(ctx, m, prepare)
	if err != nil {
		l.descriptions.refuse(a.hash, m.limits, err)
		return nil, err
	}
	l.descriptions.remember(a.hash, &facts{*read, *d})
	// Only now the name is known that limits are set by.
	before := m.limits
	if m.limits = l.of(m.info.Name); m.limits.pages() != before.pages() {
		m.rest()
		if m.code, err = l.compile(ctx, m, prepare); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// module is the one that a file comes to by what was read off its bytes.
func (l *loader) module(a *arrival, read *binary.Module) (*module, error) {
	found, err := read.Judge()
	if err != nil {
		return nil, err
	}
	return &module{binary: read, loader: l, limits: l.widest(), original: a.bytes, native: a.native,
		info: Info{Hash: a.hash, Size: a.size, Path: a.path, BuiltIn: a.builtIn, Contract: read.Contract,
			Interfaces: found, Loaded: time.Now()}}, nil
}

// recall makes a module of what is kept of it; nil where this host does not take it as it did then.
func (l *loader) recall(ctx context.Context, a *arrival, known *facts) (*module, error) {
	m, err := l.module(a, &known.Binary)
	if err != nil {
		return nil, nil
	}
	if err := m.judgeDescription(ctx, &known.Description); err != nil {
		return nil, context.Cause(ctx)
	}
	m.describedAs(&known.Description)
	m.limits = l.of(m.info.Name)
	if err := m.fits(); err != nil {
		return nil, err
	}
	return m, nil
}

// start compiles a module and asks it what it is.
func (l *loader) start(ctx context.Context, m *module, prepare func() (*prepared, error)) (d *wit.Description,
	err error) {
	m.native.lay(l.descriptions, "")
	if err := l.turn(ctx); err != nil {
		return nil, err
	}
	m.code, err = l.compile(ctx, m, prepare)
	l.done()
	if err != nil {
		return nil, err
	}
	if d, err = m.describe(ctx); err != nil {
		m.rest()
		return nil, err
	}
	return d, nil
}

// of are the limits of a plugin by its name.
func (l *loader) of(name string) Limits {
	own, ok := l.named[name]
	if !ok {
		own = l.limits
	}
	return own.filled()
}

// maxDescribe is the longest time in which a module must say what it is: what is set for a plugin with long calls would
// hold for any file then.
const maxDescribe = time.Minute

// widest are limits under which any module that some setting allows can be asked for its name.
func (l *loader) widest() Limits {
	widest := l.limits.filled()
	for _, named := range l.named {
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
