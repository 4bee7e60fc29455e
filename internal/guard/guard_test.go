package guard

import (
	"bytes"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// A panic is logged, returned and passed to the handlers. Other errors are returned as they are.
func TestRecoverReturnsAndLogsPanics(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	var handled *PanicError
	err := func() (err error) {
		defer Recover(logger, "task orders-0", &err, func(p *PanicError) { handled = p })
		panic("a nil map")
	}()
	var p *PanicError
	require.True(t, errors.As(err, &p) && handled == p,
		"expected a PanicError that was passed to the handler, found %v", err)
	assert.Equal(t, "task orders-0", p.Operation)
	assert.Contains(t, err.Error(), "task orders-0: an internal error of culvert")
	assert.Contains(t, log.String(), "task orders-0", "a nil map", "guard_test.go", "TestRecoverReturnsAndLogsPanics")
	want := errors.New("no panic")
	err = Do(logger, "x", func() error { return want })
	assert.True(t, err == want, "expected the error itself, found %v", err)
}

// endsProcess reports whether f ends the process.
func endsProcess(t *testing.T, f func()) (hasEnded bool) {
	t.Helper()
	realExit := exit
	defer func() { exit = realExit }()
	exit = func() {
		hasEnded = true
		panic("f must not continue")
	}
	func() {
		defer func() { _ = recover() }()
		f()
	}()
	return hasEnded
}

func TestPanicUnderLockEndsProcess(t *testing.T) {
	logger := slog.New(slog.DiscardHandler)
	var m Mutex
	if endsProcess(t, func() {
		m.Lock()
		defer m.Unlock()
	}) {
		t.Error("expected the process to continue after a lock without a panic")
	}
	if !endsProcess(t, func() {
		defer Recover(logger, "x", nil)
		var m Mutex
		m.Lock()
		defer m.Unlock()
		panic("in the middle")
	}) {
		t.Error("expected a panic under a lock to end the process")
	}
	if endsProcess(t, func() {
		defer Recover(logger, "x", nil)
		defer func() {
			m.Lock()
			defer m.Unlock()
		}()
		panic("outside")
	}) {
		t.Error("expected the process to continue after a lock in a deferred call")
	}
	if !endsProcess(t, func() {
		defer Vital("the store")
		panic("x")
	}) {
		t.Error("expected a panic in a vital goroutine to end the process")
	}
}

// A lock that was not released after a panic is detected.
func TestUnreleasedLockEndsProcess(t *testing.T) {
	locks.Clear() // of the locks of other tests
	synctest.Test(t, func(t *testing.T) {
		realExit := exit
		defer func() { exit = realExit }()
		exits := 0
		exit = func() { exits++ }
		m := &Mutex{}
		other := &Mutex{} // which is released in time
		other.Lock()
		func() {
			defer Recover(slog.New(slog.DiscardHandler), "x", nil)
			m.Lock()
			panic("without defer")
		}()
		time.Sleep(stuckAfter / 2)
		other.Unlock()
		time.Sleep(stuckAfter)
		synctest.Wait()
		assert.Equal(t, 1, exits)
		m.Unlock()
	})
}
