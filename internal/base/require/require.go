// Package require ends a test at a failed precondition.
package require

import (
	"testing"
	"time"
)

// NoError ends the test if there is an error.
func NoError(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
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
