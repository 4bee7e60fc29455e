package e2etest

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestOnlyTestsImportThis holds that no program has a helper of tests in it: of the module's files that are no tests,
// only this package's and the demo's import packages of internal.
func TestOnlyTestsImportThis(t *testing.T) {
	const prefix = "github.com/culvert-project/culvert/"
	allowed := map[string][]string{
		"internal/e2etest":   {"internal/e2etest"},
		"internal/odatatest": {"internal/e2etest", "internal/odatatest", "examples/demo", "examples/demo-service"},
	}
	c := exec.Command("go", "list", "-tags", "real", "-json=ImportPath,Imports", "./...")
	c.Dir = "../.."
	out, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		for helper, importers := range allowed {
			importer := strings.TrimPrefix(p.ImportPath, prefix)
			if !slices.Contains(p.Imports, prefix+helper) {
				continue
			}
			found++
			if !slices.Contains(importers, importer) {
				t.Errorf("expected that only tests import %s, found that %s does", helper, importer)
			}
		}
	}
	if found == 0 {
		t.Error("expected importers, found none")
	}
}
