// Package assert reports what does not hold, and lets the test go on; package require ends it.
package assert

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// NoError expects none. about is what the test was at.
func NoError(t testing.TB, err error, about ...any) {
	t.Helper()
	if err != nil {
		t.Errorf("%sexpected no error, found %v", prefix(about), err)
	}
}

// Error expects an error whose text holds a text, which is not empty.
func Error(t testing.TB, err error, want string, about ...any) {
	t.Helper()
	if want == "" || err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%sexpected an error with %q, found %.3000v", prefix(about), want, err)
	}
}

// ErrorOrNone is Error, or NoError where the text is empty, as in a table of what fails and what does not.
func ErrorOrNone(t testing.TB, err error, want string, about ...any) {
	t.Helper()
	if want == "" {
		NoError(t, err, about...)
	} else {
		Error(t, err, want, about...)
	}
}

// Equal expects values that do not differ by [cmp.Diff].
func Equal[T any](t testing.TB, want, got T, about ...any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s(-want +got)\n%s", prefix(about), diff)
	}
}

// Contains expects each of the texts in another one.
func Contains(t testing.TB, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("expected %q in\n%s", want, text)
		}
	}
}

// prefix is a prefix of messages.
func prefix(about []any) string {
	if len(about) == 0 {
		return ""
	}
	return strings.TrimSuffix(fmt.Sprintln(about...), "\n") + ": "
}
