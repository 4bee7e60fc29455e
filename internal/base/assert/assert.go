// Package assert reports failed expectations and continues the test; package require ends it. Each function reports
// whether the expectation is met. about describes the case; about of several lines is printed last.
package assert

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	diff "github.com/google/go-cmp/cmp"
)

// NoError expects no error.
func NoError(t testing.TB, err error, about ...any) bool {
	t.Helper()
	return err == nil || report(t, about, fmt.Sprintf("expected no error, found %v", err))
}

// Error expects an error whose text contains want.
func Error(t testing.TB, err error, want string, about ...any) bool {
	t.Helper()
	return (want != "" && err != nil && strings.Contains(err.Error(), want)) ||
		report(t, about, fmt.Sprintf("expected an error with %q, found %.3000v", want, err))
}

// ErrorOrNone is Error, or NoError if want is empty, for tables of cases.
func ErrorOrNone(t testing.TB, err error, want string, about ...any) bool {
	t.Helper()
	if want == "" {
		return NoError(t, err, about...)
	}
	return Error(t, err, want, about...)
}

// ErrorIs expects an error that wraps target.
func ErrorIs(t testing.TB, err, target error, about ...any) bool {
	t.Helper()
	return errors.Is(err, target) || report(t, about, fmt.Sprintf("expected %v, found %v", target, err))
}

// Equal expects equal values by [reflect.DeepEqual] or [diff.Diff].
func Equal[T any](t testing.TB, want, got T, about ...any) bool {
	t.Helper()
	// DeepEqual takes a tenth of the time of Diff, which matters in loops.
	if reflect.DeepEqual(want, got) {
		return true
	}
	changes := diff.Diff(want, got, diff.Exporter(func(reflect.Type) bool { return true }))
	return changes == "" || report(t, about, difference(want, got, changes))
}

// Len expects a slice, map or string of a length.
func Len(t testing.TB, want int, got any, about ...any) bool {
	t.Helper()
	length := reflect.ValueOf(got).Len()
	format := "expected %d, found %d: %+v"
	if _, ok := got.([]string); ok {
		format = "expected %d, found %d: %q"
	}
	return length == want || report(t, about, fmt.Sprintf(format, want, length, got))
}

// AtLeast expects no less than a value.
func AtLeast[T cmp.Ordered](t testing.TB, least, got T, about ...any) bool {
	t.Helper()
	return got >= least || report(t, about, fmt.Sprintf("expected at least %v, found %v", least, got))
}

// AtMost expects no more than a value.
func AtMost[T cmp.Ordered](t testing.TB, most, got T, about ...any) bool {
	t.Helper()
	return got <= most || report(t, about, fmt.Sprintf("expected at most %v, found %v", most, got))
}

// Contains expects all of wants in a text.
func Contains(t testing.TB, text string, wants ...string) bool {
	t.Helper()
	isMet := true
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("expected %q in\n%s", want, text)
			isMet = false
		}
	}
	return isMet
}

// NotContains expects that a text has no such part.
func NotContains(t testing.TB, text, unwanted string, about ...any) bool {
	t.Helper()
	return !strings.Contains(text, unwanted) || report(t, about, fmt.Sprintf("expected no %q in\n%s", unwanted, text))
}

// True expects that a condition is met, for those that no other function has. The text describes what was expected and
// found.
func True(t testing.TB, isMet bool, format string, args ...any) bool {
	t.Helper()
	if !isMet {
		t.Errorf(format, args...)
	}
	return isMet
}

// difference describes two values: scalars and short lines by themselves, others by their diff.
func difference(want, got any, changes string) string {
	const maxLine = 200
	value := reflect.ValueOf(got)
	switch kind := value.Kind(); {
	case reflect.Bool <= kind && kind <= reflect.Complex128:
		return fmt.Sprintf("expected %v, found %v", want, got)
	case kind == reflect.String && value.Len() <= maxLine && !strings.Contains(value.String(), "\n"):
		return fmt.Sprintf("expected %q, found %q", want, got)
	}
	return "(-want +got)\n" + changes
}

func report(t testing.TB, about []any, problem string) bool {
	t.Helper()
	switch context := strings.TrimSuffix(fmt.Sprintln(about...), "\n"); {
	case context == "":
		t.Error(problem)
	case strings.Contains(context, "\n"):
		t.Errorf("%s\n%s", problem, context)
	default:
		t.Errorf("%s: %s", context, problem)
	}
	return false
}
