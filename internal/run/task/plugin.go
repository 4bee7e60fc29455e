package task

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/wit"
)

// PluginVersion is one version of a plugin that a connector uses. C is an instance, or a page's share of one. Values
// are comparable.
type PluginVersion[C any] interface {
	Acquire(ctx context.Context) (C, error)
	AcquireFresh(ctx context.Context) (C, error) // an unused instance
	Release(C)
	Version() string
}

// PluginVersions are the versions of a connector's plugin, see [NewPluginVersions].
type PluginVersions[C any] interface {
	Current() PluginVersion[C]
	// Candidate returns a newer version that was not evaluated yet, or nil.
	Candidate() PluginVersion[C]
	Promote(PluginVersion[C])
	Reject(c PluginVersion[C], reason string)
	// ShouldRetry reports whether a failed call is repeated because the version has just changed.
	ShouldRetry(err error) bool
}

// Opener has the functions that open a version for a task. O points to the result.
type Opener[C any, O comparable] struct {
	New       func(PluginVersion[C]) O
	VersionOf func(O) PluginVersion[C]
	// CallOpen opens the version and stores the result in o, or returns requests whose responses it needs first.
	CallOpen func(ctx context.Context, call C, o O, state []byte, answers []wit.Response) (*wit.RequestBatch, error)
	// CheckCompatible returns an error if a newer version cannot continue from the task's offsets.
	CheckCompatible func(ctx context.Context, o O) error
	// Answered is true after a version was opened, so that the service has answered. The attempts of all tasks of a
	// connector share it; nil means that it is this plugin's own.
	Answered *atomic.Bool
}

// Plugin is the plugin of a task: the opened version and a newer one that may replace it. It is safe for concurrent
// use.
type Plugin[C any, O comparable] struct {
	Opener[C, O]
	versions PluginVersions[C]
	client   transport.Fetcher
	log      *slog.Logger

	evaluating sync.Mutex // held while a version is evaluated
	openers    sync.WaitGroup

	mu            sync.Mutex
	opened        O
	pending       *pendingVersion[C, O]
	evaluateAfter time.Time
	reopened      time.Time
	reopenings    int
}

// NewPlugin returns a plugin without an opened version.
func NewPlugin[C any, O comparable](versions PluginVersions[C], client transport.Fetcher, log *slog.Logger,
	o Opener[C, O]) *Plugin[C, O] {
	if o.Answered == nil {
		o.Answered = &atomic.Bool{}
	}
	return &Plugin[C, O]{Opener: o, versions: versions, client: client, log: log}
}

const (
	evaluateRetry = 30 * time.Second
	reopenWindow  = 10 * time.Second
	callAttempts  = 3
)

// Open opens a version. That a service which has answered before is not found is a transient error: it may be
// restarting, and a router answers in its place, or it is deactivated for a time.
func (p *Plugin[C, O]) Open(ctx context.Context, code PluginVersion[C]) (O, error) {
	opened := p.New(code)
	call := func(state []byte, answers []wit.Response) (need *wit.RequestBatch, err error) {
		err = Do(ctx, code, func(calls C) error {
			need, err = p.CallOpen(ctx, calls, opened, state, answers)
			return err
		})
		return need, err
	}
	err := transport.CallWithFetch(ctx, p.client, call)
	notFound, ok := errors.AsType[*wit.Error](err)
	switch {
	case err == nil:
		p.Answered.Store(true)
	case ok && notFound.Kind == wit.ErrorNotFound && p.Answered.Load():
		outage := *notFound
		outage.Kind = wit.ErrorTransient
		outage.Message += " (the service has answered before: it may be restarting)"
		return opened, &outage
	}
	return opened, err
}

// Start opens the current version, for Use.
func (p *Plugin[C, O]) Start(ctx context.Context) (o O, err error) {
	if o, err = p.openCurrent(ctx, p.Open); err != nil {
		return o, fmt.Errorf("open: %w", err)
	}
	return o, nil
}

// openCurrent opens the current version, or the next one if another task has upgraded in the meantime.
func (p *Plugin[C, O]) openCurrent(ctx context.Context,
	open func(context.Context, PluginVersion[C]) (O, error)) (O, error) {
	for {
		code := p.versions.Current()
		o, err := open(ctx, code)
		if !p.superseded(code, err) {
			return o, err
		}
	}
}

// Superseded reports whether a call failed because its version was replaced. Upgrade returns the new one.
func (p *Plugin[C, O]) Superseded(o O, err error) bool { return p.superseded(p.VersionOf(o), err) }

func (p *Plugin[C, O]) superseded(code PluginVersion[C], err error) bool {
	return errors.Is(err, plugin.ErrClosed) && code != p.versions.Current()
}

// Use makes o the opened version.
func (p *Plugin[C, O]) Use(o O) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.opened = o
}

// Opened returns the opened version, or the zero value.
func (p *Plugin[C, O]) Opened() O {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.opened
}

// Version returns the name of the opened version, or "".
func (p *Plugin[C, O]) Version() string {
	var none O
	if o := p.Opened(); o != none {
		return p.VersionOf(o).Version()
	}
	return ""
}

// UpgradePending reports whether Upgrade may switch to another version.
func (p *Plugin[C, O]) UpgradePending() bool {
	return p.candidate() != nil || p.versions.Current() != p.VersionOf(p.Opened())
}

type pendingVersion[C any, O comparable] struct {
	code   PluginVersion[C]
	ctx    context.Context // cancels opening
	done   chan struct{}   // closed when o and err are set
	opened O
	err    error
}

const upgradeWait = 5 * time.Millisecond

const watchInterval = time.Second

// Upgrade switches to a compatible candidate, or to the version that another task has switched to, and waits until that
// is opened.
func (p *Plugin[C, O]) Upgrade(ctx context.Context) (O, error) { return p.upgrade(ctx, -1) }

// UpgradeIfOpened is Upgrade, but a candidate that is not opened yet is left for a later call. A goroutine that ends
// with ctx opens it; Close waits for that.
func (p *Plugin[C, O]) UpgradeIfOpened(ctx context.Context) (O, error) {
	return p.upgrade(ctx, upgradeWait)
}

// WatchVersions opens and evaluates candidates in the background until ctx ends, for tasks that seldom call Upgrade.
func (p *Plugin[C, O]) WatchVersions(ctx context.Context) {
	p.openers.Go(func() {
		if err := guard.Do(p.log, "the watch for newer versions of the plugin", func() error {
			for pause.For(ctx, watchInterval) == nil {
				c := p.candidate()
				if c == nil {
					continue
				}
				pending := p.openInBackground(ctx, c)
				if !pending.await(ctx, -1) || pending.err == nil || !p.evaluating.TryLock() {
					continue
				}
				err := p.evaluate(ctx, pending)
				p.evaluating.Unlock()
				if err != nil {
					return nil // ctx has ended
				}
			}
			return nil
		}); err != nil {
			p.log.Warn("newer versions of the plugin are opened at the ends of pages only", "error", err)
		}
	})
}

// Close waits for background work. Its contexts must have ended.
func (p *Plugin[C, O]) Close() { p.openers.Wait() }

func (p *Plugin[C, O]) upgrade(ctx context.Context, limit time.Duration) (opened O, err error) {
	if c := p.candidate(); c != nil {
		pending := p.openInBackground(ctx, c)
		if pending.await(ctx, limit) && p.evaluating.TryLock() {
			err = p.evaluate(ctx, pending)
			p.evaluating.Unlock()
		}
		if err != nil {
			return opened, err
		}
	}
	if err = p.switchToCurrent(ctx); err != nil {
		return opened, err
	}
	return p.Opened(), nil
}

func (p *Plugin[C, O]) openInBackground(ctx context.Context, c PluginVersion[C]) *pendingVersion[C, O] {
	p.mu.Lock()
	defer p.mu.Unlock()
	if pending := p.pending; pending != nil && pending.code == c {
		return pending
	}
	pending := &pendingVersion[C, O]{code: c, ctx: ctx, done: make(chan struct{})}
	p.pending = pending
	p.openers.Go(func() {
		defer close(pending.done)
		pending.err = guard.Do(p.log, "opening a newer version of the plugin", func() (err error) {
			pending.opened, err = p.Open(ctx, c)
			return err
		})
		if pending.err == nil {
			p.log.Info("a newer version of the plugin is open and will replace the current one", "version", c.Version())
		}
	})
	return pending
}

// await reports whether opening has ended within limit. Negative means no limit.
func (p *pendingVersion[C, O]) await(ctx context.Context, limit time.Duration) bool {
	var timeout <-chan time.Time
	if limit >= 0 {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case <-p.done:
		return true
	case <-timeout:
	case <-ctx.Done():
	}
	return false
}

func (p *Plugin[C, O]) claimPending(c PluginVersion[C]) *pendingVersion[C, O] {
	p.mu.Lock()
	defer p.mu.Unlock()
	pending := p.pending
	if pending == nil || pending.code != c {
		return nil
	}
	p.pending = nil
	return pending
}

func (p *Plugin[C, O]) candidate() PluginVersion[C] {
	p.mu.Lock()
	early := time.Now().Before(p.evaluateAfter)
	p.mu.Unlock()
	if early {
		return nil
	}
	return p.versions.Candidate()
}

// evaluate promotes or rejects an opened candidate. It returns an error only if ctx ends.
func (p *Plugin[C, O]) evaluate(ctx context.Context, pending *pendingVersion[C, O]) error {
	c := p.candidate()
	if c != pending.code {
		return nil
	}
	if p.claimPending(c) == nil {
		return nil // it was evaluated concurrently
	}
	opened := pending.opened
	err := pending.err
	if err == nil {
		err = p.CheckCompatible(ctx, opened)
	}
	pluginErr, faulty := errors.AsType[*wit.Error](err)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case pending.err != nil && pending.ctx.Err() != nil: // the next boundary opens it again
	case err == nil:
		p.versions.Promote(c)
		p.Use(opened)
	case faulty && pluginErr.Kind == wit.ErrorTransient:
		p.log.Warn("a newer version of the plugin cannot be opened now", "version", c.Version(), "error", err)
		p.mu.Lock()
		p.evaluateAfter = time.Now().Add(evaluateRetry)
		p.mu.Unlock()
	default:
		p.versions.Reject(c, err.Error())
	}
	return nil
}

func (p *Plugin[C, O]) switchToCurrent(ctx context.Context) error {
	if p.versions.Current() == p.VersionOf(p.Opened()) {
		return nil
	}
	p.evaluating.Lock()
	defer p.evaluating.Unlock()
	if p.versions.Current() == p.VersionOf(p.Opened()) {
		return nil
	}
	o, err := p.openCurrent(ctx, p.openPending)
	if err != nil {
		return fmt.Errorf("open version %s of the plugin: %w", p.versions.Current().Version(), err)
	}
	p.Use(o)
	return nil
}

func (p *Plugin[C, O]) openPending(ctx context.Context, code PluginVersion[C]) (O, error) {
	if pending := p.claimPending(code); pending != nil && pending.await(ctx, -1) && pending.err == nil {
		return pending.opened, nil
	}
	return p.Open(ctx, code)
}

// Reopen opens a stale version again, with a delay if that happens repeatedly. Another opened version stays in use.
func (p *Plugin[C, O]) Reopen(ctx context.Context, old O) (opened O, err error) {
	if err := p.pauseBeforeReopen(ctx); err != nil {
		return opened, err
	}
	if opened, err = p.Open(ctx, p.VersionOf(old)); err != nil {
		return opened, fmt.Errorf("open again: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.VersionOf(p.opened) == p.VersionOf(opened) {
		p.opened = opened
	}
	return opened, nil
}

func (p *Plugin[C, O]) pauseBeforeReopen(ctx context.Context) error {
	p.mu.Lock()
	if time.Since(p.reopened) > reopenWindow {
		p.reopenings = 0
	}
	p.reopened = time.Now()
	n := p.reopenings
	p.reopenings++
	p.mu.Unlock()
	if n == 0 {
		return nil
	}
	return transport.PauseIdle(ctx, n, 0)
}

// Current returns the connector's version, which this task may not have opened yet.
func (p *Plugin[C, O]) Current() PluginVersion[C] { return p.versions.Current() }

// ShouldRetry is [PluginVersions.ShouldRetry].
func (p *Plugin[C, O]) ShouldRetry(err error) bool { return p.versions.ShouldRetry(err) }

// Do makes a call, and repeats it if a concurrent page broke the shared instance.
func Do[C any](ctx context.Context, code PluginVersion[C], call func(C) error) (err error) {
	for range callAttempts {
		err = DoAcquired(ctx, code, code.Acquire, call)
		if _, shared := errors.AsType[*plugin.PageLostError](err); !shared {
			return err
		}
	}
	return err
}

// DoAcquired is Do on the result of acquire, without repetition.
func DoAcquired[C any](ctx context.Context, code PluginVersion[C], acquire func(context.Context) (C, error),
	call func(C) error) error {
	c, err := acquire(ctx)
	if err != nil {
		return err
	}
	defer code.Release(c)
	return call(c)
}

// IsStale reports whether the plugin must be opened again.
func IsStale(err error) bool {
	f, ok := errors.AsType[*wit.Error](err)
	return ok && f.Kind == wit.ErrorStale
}
