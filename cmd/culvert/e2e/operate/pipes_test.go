//go:build unix

package operate

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/culvert-project/culvert/host/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// filesBelow are the regular files below folders, links to folders followed.
func filesBelow(t *testing.T, folders ...string) (files []string) {
	t.Helper()
	for _, folder := range folders {
		err := filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
			if err == nil && e.Type().IsRegular() {
				files = append(files, path)
			}
			return err
		})
		e2etest.NoError(t, err)
	}
	return files
}

// TestPipesInPlaceOfFiles: a pipe that nobody writes to, in the place of any file that a worker keeps, holds up no
// start: the worker does without the file, or says what is wrong and ends.
func TestPipesInPlaceOfFiles(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	_, address := e2etest.Demo(t, odatatest.Options{Rows: 10, User: "sap", Password: "geheim"})
	for _, dir := range []string{p.Data, filepath.Join(p.Dir, "cache", "culvert")} { // a cache of its own
		e2etest.NoError(t, os.Remove(filepath.Join(dir, "plugins.cache")))
	}
	own := filepath.Join(p.Data, "plugins.cache")
	err := os.CopyFS(own, os.DirFS(guesttest.Code(t)))
	for tries := 1; errors.Is(err, fs.ErrNotExist) && tries < 100; tries++ { // workers of other tests write files in it
		e2etest.NoError(t, os.RemoveAll(own))
		err = os.CopyFS(own, os.DirFS(guesttest.Code(t)))
	}
	e2etest.NoError(t, err)
	worker := p.File("worker.properties", "bootstrap.servers=embedded", "listeners=")
	connector := p.File("c.properties", append(e2etest.Source("c", address, "Products"), "sap.odata.user.name=sap",
		"sap.odata.user.pwd=geheim")...)
	run := func() e2etest.Result {
		return p.StartFor(2*time.Minute, "run", "--once", "--plugins", e2etest.Plugins(t), "--data", p.Data, worker,
			connector).Wait()
	}
	if r := run(); r.Code != 0 {
		t.Fatalf("exit %d\n%s", r.Code, r.Stderr)
	}
	groups := map[string][]string{}
	for _, file := range filesBelow(t, p.Data, filepath.Join(p.Dir, "cache")) {
		group := file
		for _, folder := range []string{"plugins.cache", "broker"} {
			if i := strings.Index(file, "/"+folder+"/"); i >= 0 {
				group = file[:i+len(folder)+1]
			}
		}
		groups[group] = append(groups[group], file)
	}
	for group, files := range groups {
		for _, file := range files {
			e2etest.NoError(t, os.Rename(file, file+".kept"))
			e2etest.NoError(t, syscall.Mkfifo(file, 0o600))
		}
		r := run()
		if r.Code != 0 && r.Code != 1 && r.Code != 2 {
			t.Errorf("%s: expected the worker to end, found exit %d\n%s", group, r.Code, r.Stderr)
		}
		if r.Code != 0 && !strings.Contains(r.Stderr, "found a pipe") {
			t.Errorf("%s: expected what is wrong, found %s", group, r.LastLine())
		}
		for _, file := range files {
			e2etest.NoError(t, os.Rename(file+".kept", file))
		}
	}
}
