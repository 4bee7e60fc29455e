// Package require ends a test at a failed precondition. Its functions are those of package assert.
package require

import (
	"cmp"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
)

// NoError ends the test if there is an error.
func NoError(t testing.TB, err error, about ...any) {
	t.Helper()
	end(t, assert.NoError(t, err, about...))
}

// Error ends the test without an error whose text contains want.
func Error(t testing.TB, err error, want string, about ...any) {
	t.Helper()
	end(t, assert.Error(t, err, want, about...))
}

// ErrorOrNone is Error, or NoError if want is empty.
func ErrorOrNone(t testing.TB, err error, want string, about ...any) {
	t.Helper()
	end(t, assert.ErrorOrNone(t, err, want, about...))
}

// ErrorIs ends the test without an error that wraps target.
func ErrorIs(t testing.TB, err, target error, about ...any) {
	t.Helper()
	end(t, assert.ErrorIs(t, err, target, about...))
}

// Equal ends the test if two values differ.
func Equal[T any](t testing.TB, want, got T, about ...any) {
	t.Helper()
	end(t, assert.Equal(t, want, got, about...))
}

// Len ends the test if a slice, map or string has another length.
func Len(t testing.TB, want int, got any, about ...any) {
	t.Helper()
	end(t, assert.Len(t, want, got, about...))
}

// AtLeast ends the test at a lower value.
func AtLeast[T cmp.Ordered](t testing.TB, least, got T, about ...any) {
	t.Helper()
	end(t, assert.AtLeast(t, least, got, about...))
}

// AtMost ends the test at a higher value.
func AtMost[T cmp.Ordered](t testing.TB, most, got T, about ...any) {
	t.Helper()
	end(t, assert.AtMost(t, most, got, about...))
}

// NotContains ends the test if a text has a part.
func NotContains(t testing.TB, text, unwanted string, about ...any) {
	t.Helper()
	end(t, assert.NotContains(t, text, unwanted, about...))
}

// True ends the test if a condition is not met.
func True(t testing.TB, isMet bool, format string, args ...any) {
	t.Helper()
	end(t, assert.True(t, isMet, format, args...))
}

// Until waits up to two minutes until isMet returns true. describe returns what was expected and found.
func Until(t testing.TB, isMet func() bool, describe func() string) {
	t.Helper()
	deadline := time.NewTimer(2 * time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !isMet() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("not within two minutes: %s", describe())
		}
	}
}

func end(t testing.TB, isMet bool) {
	t.Helper()
	if !isMet {
		t.FailNow()
	}
}
