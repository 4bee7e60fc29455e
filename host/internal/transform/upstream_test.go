package transform

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every test method of Kafka's transforms that testdata/upstream-cases.txt lists names a case that is there.
func TestUpstreamCases(t *testing.T) {
	const section = "# area: transforms and predicates"
	all, err := os.ReadFile("../../../testdata/upstream-cases.txt")
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(all), section)
	if !found {
		t.Fatalf("expected the section %q", section)
	}
	text, _, _ = strings.Cut(text, "\n# area: ")
	var tests strings.Builder
	files, _ := filepath.Glob("../../../plugins/smt/chain/*_test.go")
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		tests.Write(b)
	}
	count := 0
	for _, line := range strings.Split(text, "\n")[1:] {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		method, name, two := strings.Cut(line, "\t")
		count++
		switch {
		case !two || !strings.Contains(method, "Test."):
			t.Errorf("expected a method and a case, found %q", line)
		case strings.HasPrefix(name, "not ours: "):
		case strings.HasPrefix(name, "Test"):
			if !strings.Contains(tests.String(), "func "+name+"(") {
				t.Errorf("%s: there is no test %s", method, name)
			}
		default:
			if _, err := os.Stat("../../../plugins/smt/testdata/" + name + ".golden"); err != nil {
				t.Errorf("%s: there is no case %s", method, name)
			}
		}
	}
	if count < 200 {
		t.Errorf("expected the methods of all test classes, found %d", count)
	}
}
