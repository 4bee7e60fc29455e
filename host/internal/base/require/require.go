// Package require ends tests whose conditions do not hold.
package require

import "testing"

// NoError ends the test at an error that it is not about.
func NoError(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
