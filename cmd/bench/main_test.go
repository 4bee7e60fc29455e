package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// Each section names benchmarks that exist. Without this test a moved benchmark is only noticed when figures are
// needed.
func TestSectionsNameExistingBenchmarks(t *testing.T) {
	for _, b := range []benchmark{decodeBenchmark, stockGoBenchmark, transformBenchmark, encodeBenchmark} {
		files, err := filepath.Glob(filepath.Join("../..", b.folder, "*_test.go"))
		require.NoError(t, err)
		isDeclared := slices.ContainsFunc(files, func(file string) bool {
			source, err := os.ReadFile(file)
			return err == nil && strings.Contains(string(source), "\nfunc "+b.name+"(b *testing.B) {")
		})
		assert.True(t, isDeclared, "%s: expected %s, found none", b.folder, b.name)
	}
}

func TestParseStages(t *testing.T) {
	seconds, err := parseStages("level=INFO msg=\"source task ended\" rows=5 at_work.fetch=1.5s at_work.decode=20ms "+
		"at_work.transform=0s at_work.convert=3µs at_work.produce=1m0s\n", stageNames)
	want := []float64{1.5, 0.02, 0, 0.000003, 60}
	assert.True(t, err == nil && slices.Equal(seconds, want), "expected %v, found %v, %v", want, seconds, err)
	_, err = parseStages("level=INFO msg=other", stageNames)
	assert.True(t, err != nil, "expected an error for a log without the stages, found nil")
}

func TestParseFigures(t *testing.T) {
	found := figures([]byte("goos: linux\nBenchmarkPages/json/orders-2\t12\t 0 ns/op\t 5.5 ratio\t 812.5 "+
		"guest-ns/row\nBenchmarkOther\t1\t3 ns/op\nPASS\n"), "guest-ns/row")
	assert.Equal(t, []figure{{name: "BenchmarkPages/json/orders-2", value: 812.5}}, found)
}

// With --strict a benchmark fails if it misses its target by more than the variation between runs.
func TestStrictReportsFailedTargets(t *testing.T) {
	f := feedCase{readingAim: 200, finishedAim: 100}
	for _, c := range []struct {
		reading  float64
		finished float64
		failures int
	}{
		{reading: 200, finished: 100, failures: 0},
		{reading: 229, finished: 114, failures: 0},
		{reading: 231, finished: 90, failures: 1},
		{reading: 231, finished: 116, failures: 2},
	} {
		failures := f.exceededAims(feedMemory{reading: c.reading, finished: c.finished})
		assert.Len(t, c.failures, failures, c.reading, "and", c.finished, "MiB: failures")
	}
}

// The output replaces the text between the marks of the page. The rest of the page does not change.
func TestPageGetsOutputBetweenMarks(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.md")
	out := os.Stdout
	require.NoError(t, os.WriteFile(page, []byte("head\n"+pageBegin+"old\n"+pageEnd+"\ntail\n"), 0o644))
	finish, err := copyOutput(page)
	require.NoError(t, err)
	fmt.Println("1.5 times")
	err = finish()
	require.True(t, err == nil && os.Stdout == out, "expected standard output to be restored, found %v", err)
	text, err := os.ReadFile(page)
	want := regexp.MustCompile("(?s)^head\n" + pageBegin + "go[^\n]*\n\n```\n\\$ bench [^\n]*\n\n" +
		"1.5 times\n```\n\n" + pageEnd + "\ntail\n$")
	assert.True(t, err == nil && want.Match(text), "expected %s, found %v\n%s", want, err, text)
}
