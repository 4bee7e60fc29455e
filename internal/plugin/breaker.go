package plugin

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/internal/guard"
)

const (
	// breaksToOpen is how many calls of a function must break in a row before the version is stopped. Bisecting 500
	// rows for one poison row takes up to ten, so one such row does not stop a connector; a version that only loops is
	// stopped within 20 s.
	breaksToOpen = 20
	breakWindow  = 10 * time.Minute
	// firstPause is the pause before one call is tried; each further break doubles it, until it is finalPause.
	firstPause = 30 * time.Second
	finalPause = 10 * time.Minute
	// A version that was activated less than canaryTime ago is rolled back at its canaryTraps-th broken call, even with
	// successful ones in between. One is not enough: on a busy machine a call can exceed the time limit.
	canaryTraps = 3
	canaryTime  = 10 * time.Minute
)

// StoppedError is the error of a call that was not made because the plugin version broke too often.
type StoppedError struct {
	Plugin    string
	Version   string
	Hash      string
	Connector string
	// Function broke Times times in a row, the last time by Cause: the name of a limit, or a reason.
	Function string
	Cause    string
	Times    int
	Until    time.Time // when the next call is tried
}

func (s *StoppedError) Error() string {
	return fmt.Sprintf("plugin %s %s (%.12s, connector %s) is stopped: its %s broke %d times in succession, last "+
		"by %s; it is tried again from %s on, or when its file changes",
		s.Plugin, s.Version, s.Hash, s.Connector, s.Function, s.Times, s.Cause, s.Until.UTC().Format(time.RFC3339))
}

// breaker is a circuit breaker for one version and connector.
type breaker struct {
	active atomic.Bool // avoids the lock while no function has broken

	mu        guard.Mutex
	functions map[string]*streak
}

// streak counts the breaks of a function in a row.
type streak struct {
	count   int
	last    time.Time
	cause   string        // of the last break
	until   time.Time     // the end of the pause; zero means that the version is not stopped
	pause   time.Duration // the length of the last pause
	probing bool          // one call is being tried after the pause
}

// check returns nil if a call may be made, and why not otherwise. After a pause it allows one call of the function,
// which must end with recordSuccess, recordInconclusive or recordBreak.
func (b *breaker) check(function string, now time.Time) *StoppedError {
	if !b.active.Load() {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, failures := range b.functions {
		if !failures.until.IsZero() && (now.Before(failures.until) || (name == function && failures.probing)) {
			return &StoppedError{Function: name, Cause: failures.cause, Times: failures.count, Until: failures.until}
		}
	}
	// Set only here, because a try that is recorded but not made would block the function forever.
	if failures := b.functions[function]; failures != nil && !failures.until.IsZero() {
		failures.probing = true
	}
	return nil
}

func (b *breaker) recordSuccess(function string) {
	if !b.active.Load() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.functions, function)
	b.active.Store(len(b.functions) > 0)
}

// recordInconclusive records a call that proves nothing: its caller has given up, or its arguments could not be passed.
func (b *breaker) recordInconclusive(function string) {
	if !b.active.Load() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if failures := b.functions[function]; failures != nil {
		failures.probing = false
	}
}

// recordBreak counts a call that trapped or exceeded a limit. It returns an error if this stops the version, else nil.
func (b *breaker) recordBreak(function, cause string, now time.Time) *StoppedError {
	b.mu.Lock()
	defer b.mu.Unlock()
	failures := b.functions[function]
	if failures == nil || (failures.until.IsZero() && now.Sub(failures.last) > breakWindow) {
		if b.functions == nil {
			b.functions = map[string]*streak{}
		}
		failures = &streak{}
		b.functions[function] = failures
	}
	b.active.Store(true)
	failures.count++
	failures.last = now
	failures.cause = cause
	failures.probing = false
	if failures.count < breaksToOpen || now.Before(failures.until) {
		return nil // a call that began before the version was stopped does not extend the pause
	}
	failures.pause = min(max(2*failures.pause, firstPause), finalPause)
	failures.until = now.Add(failures.pause)
	return &StoppedError{Function: function, Cause: cause, Times: failures.count, Until: failures.until}
}
