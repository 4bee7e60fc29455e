// Package upstreamtest compares tests with the list of Kafka's own test methods in testdata/upstream-cases.txt.
package upstreamtest

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// List is a section of the list: which of our tests corresponds to which method of Kafka's.
type List struct {
	// Root is the folder of the repository, Area the heading of the section.
	Root string
	Area string
	// Tests are the folders of the tests that the section may name.
	Tests []string
	// Least is the minimum number of methods.
	Least int
	// Method reports whether the section may contain a name.
	Method func(name string) bool
	// Case checks the test, or case of a table, that a line names for a method, and returns what is missing, or "".
	// Nil means that all names are tests.
	Case func(method, name string) string
}

// Check fails for each method without its test or case.
func (l List) Check(t *testing.T) {
	t.Helper()
	list, err := os.ReadFile(filepath.Join(l.Root, "testdata/upstream-cases.txt"))
	require.NoError(t, err)
	_, section, ok := strings.Cut(string(list), "# area: "+l.Area)
	require.True(t, ok, "expected the section of %s", l.Area)
	section, _, _ = strings.Cut(section, "\n# area: ")
	var tests strings.Builder
	for _, folder := range l.Tests {
		err := filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			b, err := os.ReadFile(path)
			tests.Write(b)
			return err
		})
		require.NoError(t, err)
	}
	count := 0
	for _, line := range strings.Split(section, "\n")[1:] {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		count++
		method, name, ok := strings.Cut(line, "\t")
		switch {
		case !ok || !l.Method(method):
			t.Errorf("expected a method and a test or case, found %q", line)
			continue
		case strings.HasPrefix(name, "not ours: "):
			continue
		case l.Case == nil || strings.HasPrefix(name, "Test"):
			for test := range strings.SplitSeq(name, ", ") {
				assert.True(t, strings.Contains(tests.String(), "func "+test+"("),
					"%s: expected a test %s, found none", method, test)
			}
		}
		if l.Case == nil {
			continue
		}
		missing := l.Case(method, name)
		assert.True(t, missing == "", "%s: %s", method, missing)
	}
	assert.AtLeast(t, l.Least, count, "all methods")
}
