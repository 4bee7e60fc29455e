package host

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// The file maps of the large packages name all of their files, and only existing ones.
func TestFileMaps(t *testing.T) {
	folders := []string{"../internal/plugin", "../internal/run/source", "../internal/run/sink", "../internal/transport",
		"../internal/kafka", "../internal/connect", "../internal/cluster",
		"../plugins/odata/paging", "../plugins/odata/feedreader", "../plugins/odata/delta"}
	name := regexp.MustCompile(`[a-z0-9_]+\.go\b`)
	for _, folder := range folders {
		text, err := os.ReadFile(filepath.Join(folder, "doc.go"))
		require.NoError(t, err)
		assert.True(t, strings.Contains(string(text), "// Where to look") &&
			strings.Contains(string(text), "// Invariants:"), "%s/doc.go: expected a file map and invariants", folder)
		mappedNames := name.FindAllString(string(text), -1)
		files, _ := filepath.Glob(filepath.Join(folder, "*.go"))
		for _, file := range files {
			base := filepath.Base(file)
			assert.True(t, base == "doc.go" || strings.HasSuffix(base, "_test.go") ||
				slices.Contains(mappedNames, base), "%s/doc.go: expected the file %s in the file map", folder, base)
		}
		for _, base := range mappedNames {
			assert.True(t, slices.Contains(files, filepath.Join(folder, base)),
				"%s/doc.go: expected the file %s to exist", folder, base)
		}
	}
}
