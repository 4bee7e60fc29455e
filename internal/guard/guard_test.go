package guard

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
)

func TestRecover(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	var passed *PanicError
	err := func() (err error) {
		defer Recover(logger, "task orders-0", &err, func(p *PanicError) { passed = p })
		panic("a nil map")
	}()
	var p *PanicError
	if !errors.As(err, &p) || passed != p || p.Operation != "task orders-0" || !strings.Contains(err.Error(),
		"task orders-0: an internal error of culvert") {
		t.Errorf("expected a PanicError, found %v", err)
	}
	assert.Contains(t, log.String(), "task orders-0", "a nil map", "guard_test.go", "TestRecover")
	want := errors.New("plain")
	if err := Do(logger, "x", func() error { return want }); err != want {
		t.Errorf("expected the error itself, found %v", err)
	}
}

// ended reports whether f ends the process.
func ended(t *testing.T, f func()) bool {
	t.Helper()
	before := exit
	defer func() { exit = before }()
	type goexit struct{}
	ends := false
	exit = func() { ends = true; panic(goexit{}) }
	func() {
		defer func() { _ = recover() }()
		f()
	}()
	return ends
}

func TestPanicUnderLockEndsProcess(t *testing.T) {
	logger := slog.New(slog.DiscardHandler)
	var m Mutex
	if ended(t, func() { m.Lock(); defer m.Unlock() }) {
		t.Error("expected the process to continue after a lock without a panic")
	}
	if !ended(t, func() {
		defer Recover(logger, "x", nil)
		var m Mutex
		m.Lock()
		defer m.Unlock()
		panic("in the middle")
	}) {
		t.Error("expected a panic under a lock to end the process")
	}
	if ended(t, func() {
		defer Recover(logger, "x", nil)
		defer func() { m.Lock(); defer m.Unlock() }()
		panic("outside")
	}) {
		t.Error("expected the process to continue after a lock in a deferred call")
	}
	if !ended(t, func() { defer Vital("the store"); panic("x") }) {
		t.Error("expected a panic in a vital goroutine to end the process")
	}
}

// A lock that was not released after a panic is detected.
func TestUnreleasedLockEndsProcess(t *testing.T) {
	locks.Clear() // locks of other tests
	synctest.Test(t, func(t *testing.T) {
		before := exit
		defer func() { exit = before }()
		var ends int
		exit = func() { ends++ }
		m := &Mutex{}
		free := &Mutex{}
		free.Lock()
		func() {
			defer Recover(slog.New(slog.DiscardHandler), "x", nil)
			m.Lock()
			panic("without defer")
		}()
		time.Sleep(stuckAfter / 2)
		free.Unlock()
		time.Sleep(stuckAfter)
		synctest.Wait()
		if ends != 1 {
			t.Errorf("expected the process to end once, found %d", ends)
		}
		m.Unlock()
	})
}
