// Package require ends tests whose conditions do not hold.
package require

import (
	"testing"
	"time"
)

// NoError ends the test at an error that it is not about.
func NoError(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Until waits until a condition holds that other goroutines bring about, and ends the test after two minutes. wanted is
// the message of that: what was expected, and what is found.
func Until(t testing.TB, holds func() bool, wanted func() string) {
	t.Helper()
	deadline := time.NewTimer(2 * time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("waited in vain: %s", wanted())
		}
	}
}
