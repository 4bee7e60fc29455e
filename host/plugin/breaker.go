package plugin

import (
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
	canaryTraps = 3
	canaryTime  = 10 * time.Minute
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
	// active: there is something to look at: calls of a plugin that works cost one load.
	active atomic.Bool

	mu        guard.Mutex
	functions map[string]*streak
}

// streak is the breaks of one function since it last went well.
type streak struct {
	count int
	last  time.Time
	cause string
	// until is when the function is tried again, zero while it is not stopped; rest is the present pause.
	until time.Time
	pause time.Duration
	// probing: a call was let through to see.
	probing bool
}

// check reports whether a call of a function may be made: nil, or what is stopped.
func (b *breaker) check(function string, now time.Time) *Stopped {
	if !b.active.Load() {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, s := range b.functions {
		if !s.until.IsZero() && (now.Before(s.until) || name == function && s.probing) {
			return &Stopped{Function: name, Broke: s.cause, Times: s.count, Until: s.until}
		}
	}
	// Only when nothing else stops the call: a try that is noted and not made would be waited for without end.
	if s := b.functions[function]; s != nil && !s.until.IsZero() {
		s.probing = true
	}
	return nil
}

// succeeded notes a call that ended well.
func (b *breaker) succeeded(function string) {
	if !b.active.Load() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.functions, function)
	b.active.Store(len(b.functions) > 0)
}

// inconclusive notes a call that says nothing of the plugin: its caller gave up, or its arguments could not be passed.
func (b *breaker) inconclusive(function string) {
	if !b.active.Load() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.functions[function]; s != nil {
		s.probing = false
	}
}

// trapped counts a call that trapped or broke a fence. When it was one too many the function is stopped for a while:
// that is returned, else nil.
func (b *breaker) trapped(function, broke string, now time.Time) *Stopped {
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
	b.active.Store(true)
	s.count++
	s.last, s.cause, s.probing = now, broke, false
	if s.count < breaksToOpen || now.Before(s.until) {
		return nil // a call that began before the version was stopped makes its rest no longer
	}
	s.pause = min(max(2*s.pause, openFirst), openLongest)
	s.until = now.Add(s.pause)
	return &Stopped{Function: function, Broke: broke, Times: s.count, Until: s.until}
}
