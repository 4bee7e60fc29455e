package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Each section names benchmarks that exist. Without this test a moved benchmark is only noticed when figures are
// needed.
func TestSectionsNameExistingBenchmarks(t *testing.T) {
	for _, b := range []benchmark{decoding, stock, transforming, encoding} {
		out, err := exec.Command("go", "test", "-list", "^"+b.name+"$", "../../"+strings.TrimPrefix(b.folder,
			"./")).CombinedOutput()
		if name, _, _ := strings.Cut(b.name, "("); err != nil || !strings.HasPrefix(string(out), name) {
			t.Errorf("%s has no %s: %v\n%s", b.folder, b.name, err, out)
		}
	}
}

func TestParseStages(t *testing.T) {
	found, err := stagesOf("level=INFO msg=\"source task ended\" rows=5 at_work.fetch=1.5s at_work.decode=20ms "+
		"at_work.transform=0s at_work.convert=3µs at_work.produce=1m0s\n", stageNames)
	if err != nil || !slices.Equal(found, []float64{1.5, 0.02, 0, 0.000003, 60}) {
		t.Errorf("%v %v", found, err)
	}
	if _, err := stagesOf("level=INFO msg=other", stageNames); err == nil {
		t.Error("expected an error where the line is missing")
	}
}

func TestParseFigures(t *testing.T) {
	found := figures([]byte("goos: linux\nBenchmarkPages/json/orders-2\t12\t 0 ns/op\t 5.5 ratio\t 812.5 "+
		"guest-ns/row\nBenchmarkOther\t1\t3 ns/op\nPASS\n"), "guest-ns/row")
	if want := []figure{{"BenchmarkPages/json/orders-2", 812.5}}; !slices.Equal(found, want) {
		t.Errorf("expected %v, found %v", want, found)
	}
}

// With --strict a benchmark fails if it misses its target by more than the variation between runs.
func TestStrictReportsFailedTargets(t *testing.T) {
	m := feedCase{reading: 200, finished: 100}
	for _, c := range []struct {
		reading  float64
		finished float64
		failures int
	}{{200, 100, 0}, {229, 114, 0}, {231, 90, 1}, {231, 116, 2}} {
		if failures := m.exceededAims(feedMemory{most: c.reading, finished: c.finished}); len(failures) != c.failures {
			t.Errorf("%v and %v MiB: expected %d failures, found %q", c.reading, c.finished, c.failures, failures)
		}
	}
}

// The output replaces the text between the marks of the page. The rest of the page does not change.
func TestPageGetsOutputBetweenMarks(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.md")
	out := os.Stdout
	if err := os.WriteFile(page, []byte("head\n"+pageBegin+"old\n"+pageEnd+"\ntail\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	finish, err := copyOutput(page)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("1.5 times")
	if err := finish(); err != nil || os.Stdout != out {
		t.Fatal(err)
	}
	text, err := os.ReadFile(page)
	found := regexp.MustCompile("(?s)^head\n" + pageBegin + "go[^\n]*\n\n```\n\\$ bench [^\n]*\n\n" +
		"1.5 times\n```\n\n" + pageEnd + "\ntail\n$")
	if err != nil || !found.Match(text) {
		t.Errorf("%v\n%s", err, text)
	}
}
