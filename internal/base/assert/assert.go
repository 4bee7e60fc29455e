// Package assert reports failed expectations and continues the test; package require ends it.
package assert

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// NoError expects no error. about describes the case.
func NoError(t testing.TB, err error, about ...any) {
	t.Helper()
	if err != nil {
		t.Errorf("%sexpected no error, found %v", prefix(about), err)
	}
}

// Error expects an error whose text contains want.
func Error(t testing.TB, err error, want string, about ...any) {
	t.Helper()
	if want == "" || err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%sexpected an error with %q, found %.3000v", prefix(about), want, err)
	}
}

// ErrorOrNone is Error, or NoError if want is empty, for tables of cases.
func ErrorOrNone(t testing.TB, err error, want string, about ...any) {
	t.Helper()
	if want == "" {
		NoError(t, err, about...)
	} else {
		Error(t, err, want, about...)
	}
}

// Equal expects equal values by [cmp.Diff].
func Equal[T any](t testing.TB, want, got T, about ...any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s(-want +got)\n%s", prefix(about), diff)
	}
}

// Contains expects all of wants in a text.
func Contains(t testing.TB, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("expected %q in\n%s", want, text)
		}
	}
}

func prefix(about []any) string {
	if len(about) == 0 {
		return ""
	}
	return strings.TrimSuffix(fmt.Sprintln(about...), "\n") + ": "
}
