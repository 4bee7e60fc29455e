package e2etest

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
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
	require.NoError(t, err)
	count := 0
	for line := range strings.Lines(strings.ReplaceAll(string(out), "github.com/culvert-project/culvert/", "")) {
		importer, helper, _ := strings.Cut(strings.TrimSpace(line), " ")
		importers, ok := allowed[helper]
		if !ok {
			continue
		}
		count++
		assert.True(t, slices.Contains(importers, importer),
			"expected that only tests import %s, found that %s does", helper, importer)
	}
	assert.True(t, count != 0, "expected importers, found none")
}
