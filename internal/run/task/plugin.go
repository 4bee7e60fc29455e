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

// PluginVersion is one version of a plugin that a connector uses. C is an instance, or a page's share of one.
// Implementations are comparable with ==.
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
	// ShouldRetry reports whether a failed call should be repeated because the version has just changed.
	ShouldRetry(err error) bool
}

// Opener has the functions that open a version for a task. O is a pointer to the opened version.
type Opener[C any, O comparable] struct {
	New       func(PluginVersion[C]) O
	VersionOf func(O) PluginVersion[C]
	// CallOpen opens the version and stores the result in o, or returns requests whose responses it needs first.
	CallOpen func(ctx context.Context, call C, o O, state []byte, answers []wit.Response) (*wit.RequestBatch, error)
	// CheckCompatible returns an error if a newer version cannot continue from the task's offsets.
	CheckCompatible func(ctx context.Context, o O) error
	// Answered is true after any version was opened: then the service has answered. All tasks of a connector may share
	// it. Nil means that the Plugin has its own.
	Answered *atomic.Bool
}

// Plugin is a task's plugin: the opened version and a newer one that may replace it. It is safe for concurrent use.
type Plugin[C any, O comparable] struct {
	Opener[C, O]
	versions PluginVersions[C]
	client   transport.Fetcher
	log      *slog.Logger

	evaluateMu sync.Mutex // held while a version is evaluated
	openers    sync.WaitGroup

	mu            sync.Mutex
	opened        O
	pending       *pendingVersion[C, O] // is opened in the background; nil means none
	evaluateAfter time.Time             // until then there is no candidate
	lastReopen    time.Time
	reopenCount   int // counts the calls of Reopen within reopenWindow of each other
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
	evaluateRetry = 30 * time.Second // delay after a candidate could not be opened
	reopenWindow  = 10 * time.Second // reopening within this time after the last one is delayed
	upgradeWait   = 5 * time.Millisecond
	watchInterval = time.Second // between looks for a candidate
	callAttempts  = 3           // of [Do]
	noLimit       = time.Duration(-1)
)

// Open opens a version. If the service is not found but has answered before, it returns a transient error: the service
// may be restarting, with a router that answers in its place, or be deactivated for a time.
func (p *Plugin[C, O]) Open(ctx context.Context, version PluginVersion[C]) (O, error) {
	return p.openWith(ctx, version, nil)
}

// openWith is Open. first is the state of the first call that opens the version.
func (p *Plugin[C, O]) openWith(ctx context.Context, version PluginVersion[C], first []byte) (O, error) {
	opened := p.New(version)
	callOpen := func(state []byte, answers []wit.Response) (need *wit.RequestBatch, err error) {
		if answers == nil { // the first call
			state = first
		}
		err = Do(ctx, version, func(call C) error {
			need, err = p.CallOpen(ctx, call, opened, state, answers)
			return err
		})
		return need, err
	}
	err := transport.CallWithFetch(ctx, p.client, callOpen)
	notFound, isPluginErr := errors.AsType[*wit.Error](err)
	switch {
	case err == nil:
		p.Answered.Store(true)
	case isPluginErr && notFound.Kind == wit.ErrorNotFound && p.Answered.Load():
		outage := *notFound
		outage.Kind = wit.ErrorTransient
		outage.Message += " (the service has answered before: it may be restarting)"
		return opened, &outage
	}
	return opened, err
}

// Start opens the current version. The caller passes it to Use.
func (p *Plugin[C, O]) Start(ctx context.Context) (o O, err error) {
	if o, err = p.openCurrent(ctx, p.Open); err != nil {
		return o, fmt.Errorf("open: %w", err)
	}
	return o, nil
}

// openCurrent opens the current version. It starts again if another task has upgraded in the meantime.
func (p *Plugin[C, O]) openCurrent(ctx context.Context,
	open func(context.Context, PluginVersion[C]) (O, error)) (O, error) {
	for {
		version := p.versions.Current()
		if o, err := open(ctx, version); !p.isSuperseded(version, err) {
			return o, err
		}
	}
}

// Superseded reports whether a call failed because its version was replaced. Upgrade returns the new one.
func (p *Plugin[C, O]) Superseded(o O, err error) bool { return p.isSuperseded(p.VersionOf(o), err) }

func (p *Plugin[C, O]) isSuperseded(version PluginVersion[C], err error) bool {
	return errors.Is(err, plugin.ErrClosed) && version != p.versions.Current()
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

// pendingVersion is a version that is opened in the background.
type pendingVersion[C any, O comparable] struct {
	version PluginVersion[C]
	ctx     context.Context // cancels opening
	done    chan struct{}   // closed when opened and err are set
	opened  O
	err     error
}

// Upgrade switches to a compatible candidate, or to the version that another task has switched to, and returns the
// opened version. It waits until a candidate is opened.
func (p *Plugin[C, O]) Upgrade(ctx context.Context) (O, error) { return p.upgrade(ctx, noLimit) }

// UpgradeIfOpened is Upgrade, but leaves a candidate that is not opened within upgradeWait for a later call. Opening it
// continues in the background until ctx ends; Close waits for that.
func (p *Plugin[C, O]) UpgradeIfOpened(ctx context.Context) (O, error) {
	return p.upgrade(ctx, upgradeWait)
}

// WatchVersions opens candidates in the background until ctx ends, for tasks that seldom call Upgrade.
func (p *Plugin[C, O]) WatchVersions(ctx context.Context) {
	p.openers.Go(func() {
		if err := guard.Do(p.log, "the watch for newer versions of the plugin", func() error {
			for pause.For(ctx, watchInterval) == nil {
				candidate := p.candidate()
				if candidate == nil {
					continue
				}
				pending := p.openInBackground(ctx, candidate)
				if !pending.await(ctx, noLimit) || pending.err == nil || !p.evaluateMu.TryLock() {
					continue // a candidate that was opened is for the next Upgrade; here only failed ones are evaluated
				}
				err := p.evaluate(ctx, pending)
				p.evaluateMu.Unlock()
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
	if candidate := p.candidate(); candidate != nil {
		pending := p.openInBackground(ctx, candidate)
		if pending.await(ctx, limit) && p.evaluateMu.TryLock() {
			err = p.evaluate(ctx, pending)
			p.evaluateMu.Unlock()
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

// openInBackground starts opening a version, unless that was started before.
func (p *Plugin[C, O]) openInBackground(ctx context.Context, version PluginVersion[C]) *pendingVersion[C, O] {
	p.mu.Lock()
	defer p.mu.Unlock()
	if pending := p.pending; pending != nil && pending.version == version {
		return pending
	}
	pending := &pendingVersion[C, O]{version: version, ctx: ctx, done: make(chan struct{})}
	p.pending = pending
	p.openers.Go(func() {
		defer close(pending.done)
		pending.err = guard.Do(p.log, "opening a newer version of the plugin", func() (err error) {
			pending.opened, err = p.Open(ctx, version)
			return err
		})
		if pending.err == nil {
			p.log.Info("a newer version of the plugin is open and will replace the current one",
				"version", version.Version())
		}
	})
	return pending
}

// await waits until opening has ended, and reports whether it has within limit, which may be noLimit.
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

// claimPending removes and returns the pending version if it is this one, otherwise it returns nil.
func (p *Plugin[C, O]) claimPending(version PluginVersion[C]) *pendingVersion[C, O] {
	p.mu.Lock()
	defer p.mu.Unlock()
	pending := p.pending
	if pending == nil || pending.version != version {
		return nil
	}
	p.pending = nil
	return pending
}

// candidate returns the version to try next. It is nil if there is none, or during evaluateRetry.
func (p *Plugin[C, O]) candidate() PluginVersion[C] {
	p.mu.Lock()
	isEarly := time.Now().Before(p.evaluateAfter)
	p.mu.Unlock()
	if isEarly {
		return nil
	}
	return p.versions.Candidate()
}

// evaluate promotes or rejects an opened candidate. It returns an error only if ctx ends.
func (p *Plugin[C, O]) evaluate(ctx context.Context, pending *pendingVersion[C, O]) error {
	candidate := p.candidate()
	if candidate != pending.version {
		return nil
	}
	if p.claimPending(candidate) == nil {
		return nil // it was evaluated concurrently
	}
	opened := pending.opened
	err := pending.err
	if err == nil {
		err = p.CheckCompatible(ctx, opened)
	}
	pluginErr, isPluginErr := errors.AsType[*wit.Error](err)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case pending.err != nil && pending.ctx.Err() != nil: // cancelled; the next upgrade opens it again
	case err == nil:
		p.versions.Promote(candidate)
		p.Use(opened)
	case isPluginErr && pluginErr.Kind == wit.ErrorTransient:
		p.log.Warn("a newer version of the plugin cannot be opened now", "version", candidate.Version(), "error", err)
		p.mu.Lock()
		p.evaluateAfter = time.Now().Add(evaluateRetry)
		p.mu.Unlock()
	default:
		p.versions.Reject(candidate, err.Error())
	}
	return nil
}

// switchToCurrent opens the connector's version if another task has switched to it.
func (p *Plugin[C, O]) switchToCurrent(ctx context.Context) error {
	if p.versions.Current() == p.VersionOf(p.Opened()) {
		return nil
	}
	p.evaluateMu.Lock()
	defer p.evaluateMu.Unlock()
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

// openPending is Open, but uses the result if the version is being opened in the background.
func (p *Plugin[C, O]) openPending(ctx context.Context, version PluginVersion[C]) (O, error) {
	if pending := p.claimPending(version); pending != nil && pending.await(ctx, noLimit) && pending.err == nil {
		return pending.opened, nil
	}
	return p.Open(ctx, version)
}

// Reopen opens a version again after an error that [IsStale] accepts, delayed if that is repeated. It uses the result
// if the version is still in use.
func (p *Plugin[C, O]) Reopen(ctx context.Context, old O, stale error) (opened O, err error) {
	p.mu.Lock()
	if time.Since(p.lastReopen) > reopenWindow {
		p.reopenCount = 0
	}
	p.lastReopen = time.Now()
	reopenCount := p.reopenCount
	p.reopenCount++
	p.mu.Unlock()
	if reopenCount > 0 {
		if err := transport.PauseIdle(ctx, reopenCount, 0); err != nil {
			return opened, err
		}
	}
	var previous []byte // what the plugin has learned, see RATIONALE.md P23
	if pluginErr, ok := errors.AsType[*wit.Error](stale); ok && pluginErr.Detail != nil {
		previous = []byte(*pluginErr.Detail)
	}
	if opened, err = p.openWith(ctx, p.VersionOf(old), previous); err != nil {
		return opened, fmt.Errorf("open again: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.VersionOf(p.opened) == p.VersionOf(opened) {
		p.opened = opened
	}
	return opened, nil
}

// Current returns the connector's version, which this task may not have opened yet.
func (p *Plugin[C, O]) Current() PluginVersion[C] { return p.versions.Current() }

// ShouldRetry is [PluginVersions.ShouldRetry].
func (p *Plugin[C, O]) ShouldRetry(err error) bool { return p.versions.ShouldRetry(err) }

// Do makes a call, and repeats it if a concurrent page broke the shared instance.
func Do[C any](ctx context.Context, version PluginVersion[C], call func(C) error) (err error) {
	for range callAttempts {
		err = DoAcquired(ctx, version, version.Acquire, call)
		if _, isLost := errors.AsType[*plugin.PageLostError](err); !isLost {
			return err
		}
	}
	return err
}

// DoAcquired makes a call on the result of acquire and releases that.
func DoAcquired[C any](ctx context.Context, version PluginVersion[C], acquire func(context.Context) (C, error),
	call func(C) error) error {
	c, err := acquire(ctx)
	if err != nil {
		return err
	}
	defer version.Release(c)
	return call(c)
}

// IsStale reports whether err requires that the plugin is opened again.
func IsStale(err error) bool {
	pluginErr, ok := errors.AsType[*wit.Error](err)
	return ok && pluginErr.Kind == wit.ErrorStale
}
