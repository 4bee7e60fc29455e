package host

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/internal/base/require"
)

const hostPath = "github.com/culvert-project/culvert/host"

// RATIONALE.md names each room under host/internal, and says of each other package under host who outside of host
// imports it, or that nobody does.
func TestRationaleNamesImporters(t *testing.T) {
	text, err := os.ReadFile("../RATIONALE.md")
	require.NoError(t, err)
	_, after, found := strings.Cut(string(text), "- **`host/internal` is what nobody imports from outside**:")
	list, _, ended := strings.Cut(after, "\n- **")
	internal, rows, parted := strings.Cut(list, "Who\n  imports each:\n")
	if !found || !ended || !parted {
		t.Fatal("expected the list of rooms and the rows of importers in RATIONALE.md")
	}
	others, nobody, parted := strings.Cut(rows, "  - nobody outside:")
	if !parted {
		t.Fatal("expected a row of those that nobody outside imports")
	}
	internal, _, _ = strings.Cut(internal, ".")
	named := regexp.MustCompile("`([a-z]+(?:/[a-z0-9]+)*)`")
	names := func(text string) (found []string) {
		for _, m := range named.FindAllStringSubmatch(text, -1) {
			found = append(found, m[1])
		}
		return found
	}
	packages, imported := hostPackages(t)
	rooms, used, unused := names(internal), names(others), names(nobody)
	for name := range packages {
		if room, inside := strings.CutPrefix(name, "internal/"); inside {
			if !slices.Contains(rooms, room) {
				t.Errorf("RATIONALE.md does not name host/%s", name)
			}
			continue
		}
		row := used
		if !imported[name] {
			row = unused
		}
		if !slices.Contains(row, name) {
			t.Errorf("host/%s: expected it in another row of importers: imported from outside of host: %v", name,
				imported[name])
		}
	}
	for _, room := range rooms {
		if !packages["internal/"+room] {
			t.Errorf("RATIONALE.md names host/internal/%s, which is not there", room)
		}
	}
	for _, name := range unused {
		if !packages[name] {
			t.Errorf("RATIONALE.md says of host/%s that nobody imports it, and it is not there", name)
		}
	}
}

// hostPackages are the packages below host, by their paths from there, and those of them that something outside of host
// imports.
func hostPackages(t *testing.T) (packages, imported map[string]bool) {
	t.Helper()
	packages, imported = map[string]bool{}, map[string]bool{}
	err := filepath.WalkDir("..", func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() && (path == built || e.Name() == "testdata" || strings.HasPrefix(e.Name(), ".") && e.Name() != "..") {
			return fs.SkipDir
		}
		if e.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		folder := filepath.ToSlash(filepath.Dir(path))
		if name, below := strings.CutPrefix(folder, "../host/"); below {
			packages[name] = true
			return nil
		}
		if folder == "../host" {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, i := range file.Imports {
			target, _ := strconv.Unquote(i.Path.Value)
			if name, below := strings.CutPrefix(target, hostPath+"/"); below {
				imported[name] = true
			}
		}
		return nil
	})
	require.NoError(t, err)
	if len(packages) < 40 || len(imported) < 20 {
		t.Errorf("expected the packages of host, found %d, of which %d are imported", len(packages), len(imported))
	}
	return packages, imported
}

// The host imports nothing of plugins: what both need stands below wit.
func TestHostImportsNoPlugin(t *testing.T) {
	files := 0
	err := filepath.WalkDir(".", func(path string, e fs.DirEntry, err error) error {
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
	})
	if err != nil || files == 0 {
		t.Fatalf("read %d files: %v", files, err)
	}
}
