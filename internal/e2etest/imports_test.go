package e2etest

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestOnlyTestsImportThis checks that no program contains test helpers: among the files that are no tests, only this
// package and the demo import packages of internal.
func TestOnlyTestsImportThis(t *testing.T) {
	allowed := map[string][]string{
		"internal/e2etest":   {"internal/e2etest"},
		"internal/odatatest": {"internal/e2etest", "internal/odatatest", "examples/demo", "examples/demo-service"},
	}
	c := exec.Command("go", "list", "-tags", "real", "-f", `{{range .Imports}}{{$.ImportPath}} {{.}}{{"\n"}}{{end}}`,
		"./...")
	c.Dir = "../.."
	out, err := c.Output()
	NoError(t, err)
	count := 0
	for line := range strings.Lines(strings.ReplaceAll(string(out), "github.com/culvert-project/culvert/", "")) {
		importer, helper, _ := strings.Cut(strings.TrimSpace(line), " ")
		importers, ok := allowed[helper]
		if !ok {
			continue
		}
		count++
		if !slices.Contains(importers, importer) {
			t.Errorf("expected that only tests import %s, found that %s does", helper, importer)
		}
	}
	if count == 0 {
		t.Error("expected importers, found none")
	}
}
