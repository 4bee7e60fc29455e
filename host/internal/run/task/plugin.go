// Package task is what tasks of sources and of sinks have in common: which version of the plugin is opened, how another
// one takes its place, how long stages were at work, and what becomes of records that cannot be handled. What is read
// and written is the business of host/internal/run/source and host/internal/run/sink.
package task

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/base/pause"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/transport"
	"github.com/culvert-project/culvert/wit"
)

// PluginVersion is one version of a plugin at work for one connector. C is what a task makes its calls on: an instance,
// or a page's share of one. Codes are comparable.
type PluginVersion[C any] interface {
	Acquire(ctx context.Context) (C, error)
	// AcquireFresh is Acquire of an instance that has done nothing yet.
	AcquireFresh(ctx context.Context) (C, error)
	Release(C)
	// Version is for messages.
	Version() string
}

// PluginVersions is what a connector runs and what it could run: see [VersionOf].
type PluginVersions[C any] interface {
	Current() PluginVersion[C]
	// Candidate is a newer version that nobody has judged yet, nil if there is none.
	Candidate() PluginVersion[C]
	Promote(PluginVersion[C])
	Reject(c PluginVersion[C], reason string)
	// ShouldRetry reports whether what failed is to be tried once more before it counts: the version has just taken
	// over, or was rolled back, and then the one before is the candidate.
	ShouldRetry(err error) bool
}

// Opener is how a version of the plugin is opened for a task: O is what comes of it, a pointer.
type Opener[C any, O comparable] struct {
	// New makes the value for a version about to be opened; Of returns that value's version.
	New       func(PluginVersion[C]) O
	VersionOf func(O) PluginVersion[C]
	// CallOpen makes one call of open, and puts what it comes to into o; or it needs documents.
	CallOpen func(ctx context.Context, call C, o O, state []byte, answers []wit.Response) (*wit.RequestBatch, error)
	// CheckCompatible is why a newer version cannot go on where the task stands.
	CheckCompatible func(ctx context.Context, o O) error
}

// Plugin is the plugin of a task: the version that was opened last, and those that may take its place. It is safe for
// use by several goroutines.
type Plugin[C any, O comparable] struct {
	Opener[C, O]
	versions PluginVersions[C]
	client   transport.Fetcher
	log      *slog.Logger

	judging sync.Mutex // held while a version is judged
	openers sync.WaitGroup

	mu     sync.Mutex
	opened O
	// ahead is the newer version that is being opened, or was, and is not judged yet; nil: none.
	ahead *ahead[C, O]
	// judgeAfter is until when no other version is looked at.
	judgeAfter time.Time
	// reopened is when the plugin was opened again last, reopenings how often in succession.
	reopened   time.Time
	reopenings int
}

// NewPlugin makes one; nothing is opened yet.
func NewPlugin[C any, O comparable](versions PluginVersions[C], client transport.Fetcher, log *slog.Logger,
	o Opener[C, O]) *Plugin[C, O] {
	return &Plugin[C, O]{Opener: o, versions: versions, client: client, log: log}
}

const (
	// judgeAgain is how long a version waits that could not be opened for reasons of the moment.
	judgeAgain = 30 * time.Second
	// inSuccession is the longest pause between two reopenings that count as in succession.
	inSuccession = 10 * time.Second
	// soonAgain is how often a call is made again that a page broke by breaking its instance.
	soonAgain = 3
)

// Open has a version work out what it needs.
func (p *Plugin[C, O]) Open(ctx context.Context, code PluginVersion[C]) (O, error) {
	o := p.New(code)
	err := transport.Ask(ctx, p.client, func(state []byte, answers []wit.Response) (need *wit.RequestBatch, err error) {
		err = Do(ctx, code, func(call C) error {
			need, err = p.CallOpen(ctx, call, o, state, answers)
			return err
		})
		return need, err
	})
	return o, err
}

// Start opens the version that the connector runs, which is not taken yet.
func (p *Plugin[C, O]) Start(ctx context.Context) (o O, err error) {
	if o, err = p.openCurrent(ctx, p.Open); err != nil {
		return o, fmt.Errorf("open: %w", err)
	}
	return o, nil
}

// openCurrent opens the version that the connector runs, and the next one where another task of the connector takes
// that while the first is being opened: its code is closed then.
func (p *Plugin[C, O]) openCurrent(ctx context.Context, open func(context.Context, PluginVersion[C]) (O, error)) (O,
	error) {
	for {
		code := p.versions.Current()
		o, err := open(ctx, code)
		if !p.superseded(code, err) {
			return o, err
		}
	}
}

// Superseded reports whether a call failed because another version has taken the place of the one that it was made on:
// whoever made it goes on with that, by [Plugin.Upgrade].
func (p *Plugin[C, O]) Superseded(o O, err error) bool { return p.superseded(p.VersionOf(o), err) }

func (p *Plugin[C, O]) superseded(code PluginVersion[C], err error) bool {
	return errors.Is(err, plugin.ErrClosed) && code != p.versions.Current()
}

// Use has the task go on with what was opened.
func (p *Plugin[C, O]) Use(o O) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.opened = o
}

// Opened is what was opened last; the zero value before that.
func (p *Plugin[C, O]) Opened() O {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.opened
}

// Version is the version that was opened last, "" before that.
func (p *Plugin[C, O]) Version() string {
	var none O
	if o := p.Opened(); o != none {
		return p.VersionOf(o).Version()
	}
	return ""
}

// UpgradePending reports whether another version waits for a boundary.
func (p *Plugin[C, O]) UpgradePending() bool {
	return p.candidate() != nil || p.versions.Current() != p.VersionOf(p.Opened())
}

// ahead is a version that is opened while the one before works.
type ahead[C any, O comparable] struct {
	code  PluginVersion[C]
	begun context.Context // whose end ends it
	done  chan struct{}   // closed when the rest is there
	o     O
	err   error
}

// patience is how long a boundary waits for a newer version that is being opened: the work goes on with the old one
// until another boundary where that takes longer, as it does while a service is asked for its documents.
const patience = 5 * time.Millisecond

// watchEvery is how often [Plugin.WatchVersions] looks for a newer version.
const watchEvery = time.Second

// Upgrade takes another version of the plugin at a boundary: a newer one if it fits, or the version that another task,
// or another feed of this task, has taken already. It waits until that version is opened.
func (p *Plugin[C, O]) Upgrade(ctx context.Context) (O, error) { return p.adopt(ctx, -1) }

// UpgradeIfOpened is Adopt that leaves a newer version which is not opened yet for a later boundary: it is opened
// meanwhile, by a goroutine that ends with ctx, and that Close waits for.
func (p *Plugin[C, O]) UpgradeIfOpened(ctx context.Context) (O, error) {
	return p.adopt(ctx, patience)
}

// WatchVersions opens newer versions while work goes on that has no boundary for long, until ctx ends. What cannot be
// opened is rejected at once.
func (p *Plugin[C, O]) WatchVersions(ctx context.Context) {
	p.openers.Go(func() {
		if err := guard.Do(p.log, "looking for newer versions of the plugin", func() error {
			for pause.For(ctx, watchEvery) == nil {
				c := p.candidate()
				if c == nil {
					continue
				}
				a := p.openBeside(ctx, c)
				if !a.await(ctx, -1) || a.err == nil || !p.judging.TryLock() {
					continue
				}
				err := p.judge(ctx, a)
				p.judging.Unlock()
				if err != nil {
					return nil // ctx has ended
				}
			}
			return nil
		}); err != nil {
			p.log.Error("newer versions of the plugin are taken at the ends of pages only", "error", err)
		}
	})
}

// Close waits for what was begun in the background; the contexts of whoever began it are to have ended.
func (p *Plugin[C, O]) Close() { p.openers.Wait() }

func (p *Plugin[C, O]) adopt(ctx context.Context, atMost time.Duration) (o O, err error) {
	if c := p.candidate(); c != nil {
		a := p.openBeside(ctx, c)
		if a.await(ctx, atMost) && p.judging.TryLock() {
			err = p.judge(ctx, a)
			p.judging.Unlock()
		}
		if err != nil {
			return o, err
		}
	}
	if err = p.follow(ctx); err != nil {
		return o, err
	}
	return p.Opened(), nil
}

// openBeside begins to open a candidate, unless that was begun before.
func (p *Plugin[C, O]) openBeside(ctx context.Context, c PluginVersion[C]) *ahead[C, O] {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a := p.ahead; a != nil && a.code == c {
		return a
	}
	a := &ahead[C, O]{code: c, begun: ctx, done: make(chan struct{})}
	p.ahead = a
	p.openers.Go(func() {
		defer close(a.done)
		a.err = guard.Do(p.log, "opening a newer version of the plugin", func() (err error) {
			a.o, err = p.Open(ctx, c)
			return err
		})
		if a.err == nil {
			p.log.Info("a newer version of the plugin is open, and takes over at a boundary", "version", c.Version())
		}
	})
	return a
}

// await reports whether the version is opened, or cannot be, within a time; negative: it waits for that, or for the end
// of ctx.
func (a *ahead[C, O]) await(ctx context.Context, atMost time.Duration) bool {
	var late <-chan time.Time
	if atMost >= 0 {
		timer := time.NewTimer(atMost)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-a.done:
		return true
	case <-late:
	case <-ctx.Done():
	}
	return false
}

// take hands over what was opened for a version before its turn, nil where nothing was. From then on only
// the caller has it.
func (p *Plugin[C, O]) take(c PluginVersion[C]) *ahead[C, O] {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.ahead
	if a == nil || a.code != c {
		return nil
	}
	p.ahead = nil
	return a
}

func (p *Plugin[C, O]) candidate() PluginVersion[C] {
	p.mu.Lock()
	early := time.Now().Before(p.judgeAfter)
	p.mu.Unlock()
	if early {
		return nil
	}
	return p.versions.Candidate()
}

// judge promotes or rejects a candidate that was opened while another version runs. Only the context's end is an error.
func (p *Plugin[C, O]) judge(ctx context.Context, a *ahead[C, O]) error {
	c := p.candidate()
	if c != a.code {
		return nil
	}
	if p.take(c) == nil {
		return nil // somebody else has judged it
	}
	o, err := a.o, a.err
	if err == nil {
		err = p.CheckCompatible(ctx, o)
	}
	fault, faulty := errors.AsType[*wit.Error](err)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case a.err != nil && a.begun.Err() != nil: // whoever began it has ended: the next boundary begins again
	case err == nil:
		p.versions.Promote(c)
		p.Use(o)
	case faulty && fault.Kind == wit.ErrorTransient:
		p.log.Warn("a newer version of the plugin cannot be opened now", "version", c.Version(), "error", err)
		p.mu.Lock()
		p.judgeAfter = time.Now().Add(judgeAgain)
		p.mu.Unlock()
	default:
		p.versions.Reject(c, err.Error())
	}
	return nil
}

// follow opens what the connector runs now, if that has not been done.
func (p *Plugin[C, O]) follow(ctx context.Context) error {
	if p.versions.Current() == p.VersionOf(p.Opened()) {
		return nil
	}
	p.judging.Lock()
	defer p.judging.Unlock()
	if p.versions.Current() == p.VersionOf(p.Opened()) {
		return nil
	}
	o, err := p.openCurrent(ctx, p.openedAhead)
	if err != nil {
		return fmt.Errorf("open version %s of the plugin: %w", p.versions.Current().Version(), err)
	}
	p.Use(o)
	return nil
}

// openedAhead is a version opened, which may have begun while it was a candidate.
func (p *Plugin[C, O]) openedAhead(ctx context.Context, code PluginVersion[C]) (O, error) {
	if a := p.take(code); a != nil && a.await(ctx, -1) && a.err == nil {
		return a.o, nil
	}
	return p.Open(ctx, code)
}

// Reopen opens a version again because what it worked out no longer fits; with a pause where that was asked for shortly
// before, since each time the service is asked for documents. The task goes on with it unless it has left the version
// meanwhile.
func (p *Plugin[C, O]) Reopen(ctx context.Context, old O) (o O, err error) {
	if err := p.pace(ctx); err != nil {
		return o, err
	}
	if o, err = p.Open(ctx, p.VersionOf(old)); err != nil {
		return o, fmt.Errorf("open again: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.VersionOf(p.opened) == p.VersionOf(o) {
		p.opened = o
	}
	return o, nil
}

func (p *Plugin[C, O]) pace(ctx context.Context) error {
	p.mu.Lock()
	if time.Since(p.reopened) > inSuccession {
		p.reopenings = 0
	}
	p.reopened = time.Now()
	n := p.reopenings
	p.reopenings++
	p.mu.Unlock()
	if n == 0 {
		return nil
	}
	return transport.Idle(ctx, n, 0)
}

// Current is the version that the connector runs, which may not be opened yet.
func (p *Plugin[C, O]) Current() PluginVersion[C] { return p.versions.Current() }

// ShouldRetry is [PluginVersions.ShouldRetry].
func (p *Plugin[C, O]) ShouldRetry(err error) bool { return p.versions.ShouldRetry(err) }

// Do makes a call that belongs to no page; again where a page broke the instance before it could be made.
func Do[C any](ctx context.Context, code PluginVersion[C], call func(C) error) (err error) {
	for range soonAgain {
		err = DoAcquired(ctx, code, code.Acquire, call)
		if _, shared := errors.AsType[*plugin.Abandoned](err); !shared {
			return err
		}
	}
	return err
}

// DoAcquired makes a call on what acquire finds.
func DoAcquired[C any](ctx context.Context, code PluginVersion[C], acquire func(context.Context) (C, error),
	call func(C) error) error {
	c, err := acquire(ctx)
	if err != nil {
		return err
	}
	defer code.Release(c)
	return call(c)
}

// IsStale reports whether a plugin asks to be opened again.
func IsStale(err error) bool {
	f, ok := errors.AsType[*wit.Error](err)
	return ok && f.Kind == wit.ErrorStale
}
