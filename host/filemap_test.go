package host

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
)

// The file maps of the large packages name all of their files, and only existing ones.
func TestFileMaps(t *testing.T) {
	rooms := []string{"../internal/plugin", "../internal/run/source", "../internal/run/sink", "../internal/transport",
		"../internal/kafka", "../internal/connect", "../internal/cluster",
		"../plugins/odata/paging", "../plugins/odata/feedreader", "../plugins/odata/delta"}
	name := regexp.MustCompile(`[a-z0-9_]+\.go\b`)
	for _, room := range rooms {
		text, err := os.ReadFile(filepath.Join(room, "doc.go"))
		require.NoError(t, err)
		if !strings.Contains(string(text), "// Where to look") || !strings.Contains(string(text), "// Invariants:") {
			t.Errorf("%s/doc.go: expected a file map and invariants", room)
		}
		named := name.FindAllString(string(text), -1)
		files, _ := filepath.Glob(filepath.Join(room, "*.go"))
		for _, file := range files {
			base := filepath.Base(file)
			if base != "doc.go" && !strings.HasSuffix(base, "_test.go") && !slices.Contains(named, base) {
				t.Errorf("%s/doc.go: expected the file %s in the file map", room, base)
			}
		}
		for _, base := range named {
			if !slices.Contains(files, filepath.Join(room, base)) {
				t.Errorf("%s/doc.go: expected the file %s to exist", room, base)
			}
		}
	}
}
