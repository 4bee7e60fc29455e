package host

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
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
			assert.NotContains(t, i.Path.Value, "/culvert/plugins/", path, "import of plugins")
		}
		return nil
	}
	for _, root := range []string{".", "../internal"} {
		require.NoError(t, filepath.WalkDir(root, check))
	}
	require.AtLeast(t, 500, files, "files of the host")
}
