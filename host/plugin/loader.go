package plugin

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/culvert-project/culvert/host/plugin/binary"
	"github.com/culvert-project/culvert/host/plugin/internal/code"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
)

// loader makes modules.
type loader struct {
	compiler *code.Compiler
	// kept keeps what loading finds out; nil: nothing is kept.
	kept     *code.Cache
	limits   Limits
	named    map[string]Limits
	registry *record.Registry
	logger   *slog.Logger
	notice   *notice
	// processors are what running calls share, of all connectors. idle is how long an instance is kept that nobody
	// uses.
	processors *processors
	idle       time.Duration
	// doze is how long code is kept that has no instances. Default [dozeTime].
	doze time.Duration
	// admission bounds the memory of all guests together.
	admission *admission
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
	if err := refusalOf(l.kept, a.hash, m.limits); err != nil {
		return nil, err
	}
	l.notice.begin()
	prepare := sync.OnceValues(func() (*code.Prepared, error) { return code.Prepare(ctx, data) })
	d, err := l.start(ctx, m, prepare)
	if err != nil {
		keepRefusal(l.kept, a.hash, m.limits, err)
		return nil, err
	}
	l.kept.Remember(a.hash, &code.Facts{Binary: *read, Description: *d})
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
func (l *loader) recall(ctx context.Context, a *arrival, known *code.Facts) (*module, error) {
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
func (l *loader) start(ctx context.Context, m *module, prepare func() (*code.Prepared, error)) (d *wit.Description,
	err error) {
	m.native.Lay(l.kept, "")
	if err := l.compiler.Turn(ctx); err != nil {
		return nil, err
	}
	m.code, err = l.compile(ctx, m, prepare)
	l.compiler.Done()
	if err != nil {
		return nil, err
	}
	if d, err = m.describe(ctx); err != nil {
		m.rest()
		return nil, err
	}
	return d, nil
}

// compile makes a module's code, under its limits.
func (l *loader) compile(ctx context.Context, m *module, prepare func() (*code.Prepared, error)) (*code.Code, error) {
	if err := m.fits(); err != nil {
		return nil, err
	}
	return l.compiler.Compile(ctx, &code.Module{Hash: m.info.Hash, Binary: m.binary, Interfaces: m.info.Interfaces,
		Pages: m.limits.pages()}, prepare)
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
