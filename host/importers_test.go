package host

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// The host does not import packages of plugins. Shared code is in wit.
func TestHostImportsNoPlugin(t *testing.T) {
	files := 0
	check := func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		files++
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, i := range file.Imports {
			if strings.Contains(i.Path.Value, "/culvert/plugins/") {
				t.Errorf("%s: expected no import of plugins, found %s", path, i.Path.Value)
			}
		}
		return nil
	}
	for _, root := range []string{".", "../internal"} {
		if err := filepath.WalkDir(root, check); err != nil {
			t.Fatal(err)
		}
	}
	if files < 500 {
		t.Fatalf("expected files of the host, found %d", files)
	}
}
