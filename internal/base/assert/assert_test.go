package assert_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// spy is a test whose failures are recorded.
type spy struct {
	testing.TB
	message  string
	hasEnded bool
}

func (s *spy) Helper()                           {}
func (s *spy) Error(args ...any)                 { s.message += fmt.Sprint(args...) }
func (s *spy) Errorf(format string, args ...any) { s.message += fmt.Sprintf(format, args...) }
func (s *spy) FailNow()                          { s.hasEnded = true }

type hidden struct{ n int }

// A check that is not met says what was expected and found, and about what; a check that is met says nothing.
func TestMessages(t *testing.T) {
	failure := fmt.Errorf("reading: %w", io.EOF)
	for want, check := range map[string]func(t testing.TB, about ...any) bool{
		"expected no error, found reading: EOF": func(t testing.TB, about ...any) bool {
			return assert.NoError(t, nil, about...) && assert.ErrorOrNone(t, failure, "", about...)
		},
		`expected an error with "EOF", found <nil>`: func(t testing.TB, about ...any) bool {
			return assert.Error(t, failure, "EOF", about...) && assert.ErrorOrNone(t, nil, "EOF", about...)
		},
		`expected an error with "", found reading: EOF`: func(t testing.TB, about ...any) bool {
			return assert.Error(t, failure, "", about...)
		},
		"expected closed, found reading: EOF": func(t testing.TB, about ...any) bool {
			return assert.ErrorIs(t, failure, io.EOF, about...) && assert.ErrorIs(t, failure, errors.New("closed"), about...)
		},
		"expected 2, found 3": func(t testing.TB, about ...any) bool {
			return assert.Equal(t, 2, 2, about...) && assert.Equal(t, 2, 3, about...)
		},
		`expected "a", found "b"`: func(t testing.TB, about ...any) bool {
			return assert.Equal(t, &hidden{1}, &hidden{1}, about...) && assert.Equal(t, "a", "b", about...)
		},
		`expected 1, found 2: ["a" "b"]`: func(t testing.TB, about ...any) bool {
			return assert.Len(t, 0, map[int]int(nil), about...) && assert.Len(t, 1, []string{"a", "b"}, about...)
		},
		"expected at least 2, found 1": func(t testing.TB, about ...any) bool {
			return assert.AtLeast(t, 2, 2, about...) && assert.AtLeast(t, 2, 1, about...)
		},
		"expected at most 2, found 3": func(t testing.TB, about ...any) bool {
			return assert.AtMost(t, 2, 2, about...) && assert.AtMost(t, 2, 3, about...)
		},
		"expected no \"b\" in\nabc": func(t testing.TB, about ...any) bool {
			return assert.NotContains(t, "abc", "d", about...) && assert.NotContains(t, "abc", "b", about...)
		},
	} {
		for _, about := range [][]any{nil, {"row", 3}, {"the\nlog"}} {
			s := &spy{}
			assert.True(t, !check(s, about...), "%s: expected a failure", want)
			expected := want
			if len(about) == 2 {
				expected = "row 3: " + want
			} else if len(about) == 1 {
				expected = want + "\nthe\nlog"
			}
			assert.Equal(t, expected, s.message)
			assert.True(t, !s.hasEnded, "%s: expected the test to continue", want)
		}
	}
}

// Texts, conditions and compared structures have messages of their own.
func TestOtherMessages(t *testing.T) {
	s := &spy{}
	assert.Contains(s, "abc", "b", "d", "e")
	assert.True(s, false, "\nexpected %d", 5)
	assert.Equal(s, &hidden{1}, &hidden{2})
	assert.Contains(t, s.message, "expected \"d\" in\nabcexpected \"e\" in\nabc\nexpected 5(-want +got)\n", "n: 1")
}

// Package require ends the test, and only at a failure.
func TestRequireEndsTheTest(t *testing.T) {
	for want, check := range map[bool]func(t testing.TB){
		false: func(t testing.TB) { require.NoError(t, nil); require.Equal(t, 1, 1); require.True(t, true, "no") },
		true:  func(t testing.TB) { require.Equal(t, 1, 2) },
	} {
		s := &spy{}
		check(s)
		assert.Equal(t, want, s.hasEnded)
	}
}
