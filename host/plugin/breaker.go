package plugin

import (
	"cmp"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/host/guard"
)

const (
	// breaksToOpen is how many calls of a function must break in succession, with no good one in between, before the
	// version is stopped. Finding one row among 500 by halving (P32) takes up to ten, each bad neighbour of it one or
	// two more: whoever has one poisonous row keeps the connector, and a version that only ever loops has its
	// connector's time for 20 s, not for hours.
	breaksToOpen = 20
	// breakWindow is the longest pause between two breaks that count as in succession: what happens once a day is an
	// accident.
	breakWindow = 10 * time.Minute
	// openFirst is how long a stopped version rests before one call is let through; each one that breaks too doubles
	// it, up to openLongest. Whoever restarts a task by hand or by a timer gets an answer within minutes.
	openFirst, openLongest = 30 * time.Second, 10 * time.Minute
	// A version that took over less than trialFor ago is left for the one before at the trialBreaks-th broken call,
	// whatever went well in between: the one before was good, so doubt is for the new one. Once is not enough, because
	// a busy machine can break the fence of time.
	trialBreaks = 3
	trialFor    = 10 * time.Minute
)

// Stopped is the error of a call that was not made, because the plugin version broke too often.
type Stopped struct {
	Plugin, Version, Hash, Connector string
	// Function broke Times times in succession, at last by Broke: a limit as in the settings, or a reason.
	Function, Broke string
	Times           int
	// Until is when a call is let through again.
	Until time.Time
}

func (s *Stopped) Error() string {
	return fmt.Sprintf("plugin %s %s (%.12s, connector %s) is stopped: its %s broke %d times in succession, at last "+
		"by %s; it is tried again from %s on, or when its file changes",
		s.Plugin, s.Version, s.Hash, s.Connector, s.Function, s.Times, s.Broke, s.Until.UTC().Format(time.RFC3339))
}

// breaker stops a plugin version for one connector: another's settings and data may suit it well.
type breaker struct {
	// troubled: there is something to look at: calls of a plugin that works cost one load.
	troubled atomic.Bool

	mu        guard.Mutex
	functions map[string]*streak
}

// streak is the breaks of one function since it last went well.
type streak struct {
	count int
	last  time.Time
	broke string
	// until is when the function is tried again, zero while it is not stopped; rest is the present pause.
	until time.Time
	rest  time.Duration
	// trying: a call was let through to see.
	trying bool
}

// check reports whether a call of a function may be made: nil, or what is stopped.
func (b *breaker) check(function string, now time.Time) *Stopped {
	if !b.troubled.Load() {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, s := range b.functions {
		if !s.until.IsZero() && (now.Before(s.until) || name == function && s.trying) {
			return &Stopped{Function: name, Broke: s.broke, Times: s.count, Until: s.until}
		}
	}
	// Only when nothing else stops the call: a try that is noted and not made would be waited for without end.
	if s := b.functions[function]; s != nil && !s.until.IsZero() {
		s.trying = true
	}
	return nil
}

// good notes a call that ended well.
func (b *breaker) good(function string) {
	if !b.troubled.Load() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.functions, function)
	b.troubled.Store(len(b.functions) > 0)
}

// undone notes a call that says nothing of the plugin: its caller gave up, or its arguments could not be passed.
func (b *breaker) undone(function string) {
	if !b.troubled.Load() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.functions[function]; s != nil {
		s.trying = false
	}
}

// bad counts a call that trapped or broke a fence. When it was one too many the function is stopped for a while: that
// is returned, else nil.
func (b *breaker) bad(function, broke string, now time.Time) *Stopped {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.functions[function]
	if s == nil || s.until.IsZero() && now.Sub(s.last) > breakWindow {
		if b.functions == nil {
			b.functions = map[string]*streak{}
		}
		s = &streak{}
		b.functions[function] = s
	}
	b.troubled.Store(true)
	s.count++
	s.last, s.broke, s.trying = now, broke, false
	if s.count < breaksToOpen || now.Before(s.until) {
		return nil // a call that began before the version was stopped makes its rest no longer
	}
	s.rest = min(max(2*s.rest, openFirst), openLongest)
	s.until = now.Add(s.rest)
	return &Stopped{Function: function, Broke: broke, Times: s.count, Until: s.until}
}

// named adds the plugin and the connector, which the breaker does not know.
func (s *Stopped) named(m *module, connector string) *Stopped {
	s.Plugin, s.Version, s.Hash, s.Connector = cmp.Or(m.info.Name, m.info.Path), m.info.Version, m.info.Hash,
		connector
	return s
}

// stopped is why a call of a function must not be made, nil if it may.
func (i *Instance) stopped(function string, now time.Time) error {
	if i.pool == nil {
		return nil
	}
	if s := i.pool.breaker.check(function, now); s != nil {
		return s.named(i.module, i.connector())
	}
	return nil
}

// judge reports to the breaker how the running call ended: well with nil, badly with a [*Trap].
func (i *Instance) judge(err error) {
	switch {
	case i.pool == nil:
	case err == nil:
		i.pool.breaker.good(i.call.function)
	default:
		i.broke(err)
	}
}

func (i *Instance) broke(err error) {
	trap, ok := errors.AsType[*Trap](err)
	if !ok {
		i.pool.breaker.undone(i.call.function)
		return
	}
	if s := i.pool.breaker.bad(i.call.function, trap.Broke(), time.Now()); s != nil {
		i.module.counters.stopped.Add(1)
		i.out.logger.Error("plugin stopped", "error", s.named(i.module, i.connector()))
	}
	i.pool.broke(trap)
}

// trial is the time in which a version that was swapped in can be left for the one before.
type trial struct {
	until  time.Time
	breaks int
	leave  func(reason string)
}

// broke counts a broken call of a version on trial, and ends the trial where it was one too many.
func (p *Pool) broke(t *Trap) {
	p.mu.Lock()
	tried := p.trial
	if tried != nil && time.Now().After(tried.until) {
		p.trial, tried = nil, nil
	}
	if tried != nil {
		if tried.breaks++; tried.breaks < trialBreaks {
			tried = nil
		} else {
			p.trial = nil
		}
	}
	p.mu.Unlock()
	if tried != nil {
		tried.leave(fmt.Sprintf("%d calls broke soon after it took over for connector %s, at last %s by %s",
			trialBreaks, p.connector, t.Function, t.Broke()))
	}
}

// onTrial reports whether the version took over a short while ago and can still be left.
func (p *Pool) onTrial() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.trial != nil && time.Now().Before(p.trial.until)
}

// rolledBack is why a version is refused that was tried and left for the one before.
type rolledBack struct {
	Version, Reason string
	plugin          string
}

func (r *rolledBack) Error() string {
	return fmt.Sprintf("version %s was rolled back: %s", r.Version, r.Reason)
}

// leave rolls a version back: it is not offered any more, whatever file has it, and bindings that run it get the
// version before it as their candidate. Without another version of the plugin nothing happens.
func (m *Manager) leave(x *module, reason string) {
	m.mu.Lock()
	if m.rejected[x.info.Hash] != nil || !m.replaceable(x) {
		m.mu.Unlock()
		return
	}
	why := &rolledBack{Version: x.info.Version, Reason: reason, plugin: x.info.Name}
	m.rejected[x.info.Hash] = why
	for path, o := range m.origins {
		if o.active != x || o.previous == nil || m.rejected[o.previous.info.Hash] != nil {
			continue
		}
		info := x.snapshot()
		info.Err = fmt.Errorf("%s: %w", path, why)
		m.goBack(o)
		o.previous, o.refused = nil, &info
		x.mu.Lock()
		x.offered = false
		x.mu.Unlock()
	}
	m.changes.Add(1)
	m.mu.Unlock()
	m.loader.logger.Error("plugin version rolled back, the one before takes over", "plugin", x.info.Name, "version",
		x.info.Version, "hash", x.info.Hash[:12],
		"file", x.info.Path, "reason", reason)
}

// replaceable reports whether another version of the plugin is there; m.mu is held.
func (m *Manager) replaceable(x *module) bool {
	for _, o := range m.origins {
		for _, other := range []*module{o.active, o.previous} {
			if other != nil && other != x && other.info.Name == x.info.Name && m.rejected[other.info.Hash] == nil &&
				(other == o.active || o.active == x) {
				return true
			}
		}
	}
	return false
}

// Again reports whether a call that failed is to be made once more before the failure counts: its version is on trial,
// or was just rolled back and the one before is the [Binding.Candidate] now. It is true a few times at most, unless the
// version before cannot be opened for the moment: so ask it after each try, and give up after as many as you would for
// a service that does not answer.
func (b *Binding) Again(err error) bool {
	if !isA[*Trap](err) {
		return false
	}
	b.manager.mu.Lock()
	defer b.manager.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	current := b.current
	return current.onTrial() || b.manager.rejected[current.module.info.Hash] != nil && b.best() != nil
}
