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
