package config

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/require"
)

// watchedFolder is a watched folder and the snapshots that it reported.
type watchedFolder struct {
	t         *testing.T
	dir       string
	store     *FolderStore
	snapshots chan Snapshot
	last      Snapshot
}

// follow watches a folder with frequent scans until the test has ended.
func follow(t *testing.T, dir string) *watchedFolder {
	t.Helper()
	followed := &watchedFolder{t: t, dir: dir, snapshots: make(chan Snapshot),
		store: NewFolderStore(Locations{Folder: dir}, plainWorker(t, ""), slog.New(slog.DiscardHandler))}
	followed.store.settle = 10 * time.Millisecond
	followed.store.interval = 50 * time.Millisecond
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		followed.store.Watch(ctx, func(s Snapshot) {
			select {
			case followed.snapshots <- s:
			case <-ctx.Done():
			}
		})
	}()
	t.Cleanup(func() { stop(); <-ended })
	return followed
}

// put writes a file with a rename, as careful editors do.
func (f *watchedFolder) put(name, text string) {
	f.t.Helper()
	temporary := filepath.Join(f.dir, "."+filepath.Base(name)+".new")
	require.NoError(f.t, os.WriteFile(temporary, []byte(text), 0o600))
	require.NoError(f.t, os.Rename(temporary, filepath.Join(f.dir, name)))
}

// shown returns a snapshot as lines: NAME VALUE, or NAME and its problems.
func (f *watchedFolder) shown(snapshot Snapshot) string {
	var lines []string
	for _, connector := range snapshot.Connectors {
		line := connector.Name + " " + connector.Text("x")
		if err := connector.Problems.Err(); err != nil {
			line = connector.Name + " ! " + strings.ReplaceAll(err.Error(), f.dir+"/", "")
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	for _, p := range snapshot.Problems {
		lines = append(lines, "! "+strings.ReplaceAll(p.String(), f.dir, "DIR"))
	}
	return strings.Join(lines, "\n")
}

// until waits for a snapshot. Earlier snapshots must be in meanwhile or equal the previous one.
func (f *watchedFolder) until(want string, meanwhile ...string) {
	f.t.Helper()
	deadline := time.NewTimer(5 * time.Minute)
	defer deadline.Stop()
	allowed := append(meanwhile, f.shown(f.last))
	for {
		select {
		case f.last = <-f.snapshots:
		case <-deadline.C:
			f.t.Fatalf("expected\n%s\nfound\n%s", want, f.shown(f.last))
		}
		switch found := f.shown(f.last); {
		case strings.HasPrefix(found, want) && (found == want || strings.HasSuffix(want, " ")):
			return
		case !slices.Contains(allowed, found):
			f.t.Fatalf("between\n%s\nand\n%s\nfound an unexpected snapshot\n%s", strings.Join(allowed, "\nor\n"), want,
				found)
		}
	}
}

func TestFolderIsFollowed(t *testing.T) {
	dir := t.TempDir()
	folder := follow(t, dir)
	folder.until("")
	folder.put("a.properties", "x=1\n")
	folder.until("a 1")
	folder.put("b.json", `{"name":"b","config":{"x":"1"}}`)
	folder.until("a 1\nb 1")
	folder.put("a.properties", "x=2\n")
	folder.until("a 2\nb 1")
	folder.put("b.json", `{"name":"b","config":{`)
	folder.until("a 2\nb ! b.json:1: invalid JSON: ")
	folder.put("b.json", `{"name":"b","config":{"x":"3"}}`)
	folder.until("a 2\nb 3")
	folder.put("c.properties", "name=a\nx=9\n")
	folder.until("a ! a.properties:1: name: expected a name that no other connector has, found \"a\" in " +
		"a.properties and " +
		"c.properties: none of them runs, because offsets belong to the name\nc.properties:1: name: expected a name " +
		"that no other connector has, found " +
		"\"a\" in a.properties and c.properties: " +
		"none of them runs, because offsets belong to the name\nb 3")
	require.NoError(t, os.Remove(filepath.Join(dir, "a.properties")))
	folder.until("a 9\nb 3")
	// The name of the connector stays the same.
	require.NoError(t, os.Rename(filepath.Join(dir, "c.properties"), filepath.Join(dir, "d.properties")))
	folder.until("a 9\nb 3", "b 3", folder.shown(folder.last))
	// Other files and hidden files are ignored.
	folder.put("README.md", "x=1")
	folder.put(".e.properties", "x=1")
	require.NoError(t, os.Remove(filepath.Join(dir, "b.json")))
	folder.until("a 9")
	folder.store.Refresh()
	for folder.last = <-folder.snapshots; !folder.last.Requested; folder.last = <-folder.snapshots {
	}
	if found := folder.shown(folder.last); found != "a 9" {
		t.Errorf("asked: expected a 9, found %s", found)
	}
}

// A growing file is accepted when it no longer changes. Until then its previous contents apply, and other files are not
// delayed.
func TestGrowingFileIsReadWhole(t *testing.T) {
	folder := follow(t, t.TempDir())
	folder.put("a.properties", "x=before\n")
	folder.until("a before")
	file, err := os.OpenFile(filepath.Join(folder.dir, "a.properties"), os.O_WRONLY|os.O_TRUNC, 0)
	require.NoError(t, err)
	defer file.Close()
	stop := make(chan struct{})
	grown := make(chan int)
	go func() {
		ticker := time.NewTicker(time.Millisecond)
		defer ticker.Stop()
		for n := 0; ; n++ {
			fmt.Fprintf(file, "x=%d\n", n)
			select {
			case <-ticker.C:
			case <-stop:
				grown <- n
				return
			}
		}
	}()
	folder.put("b.properties", "x=1\n")
	// On a busy machine the writer may pause for longer than the scan interval. Then the file counts as complete,
	// and is read whole.
	for {
		folder.last = <-folder.snapshots
		if strings.Contains(folder.shown(folder.last), "b 1") {
			break
		}
	}
	close(stop)
	want := fmt.Sprintf("a %d\nb 1", <-grown)
	for folder.shown(folder.last) != want {
		folder.last = <-folder.snapshots
		for _, connector := range folder.last.Connectors {
			if connector.Problems.Err() != nil &&
				connector.Problems[0].Text != "the file is empty: expected the settings of a connector" {
				t.Errorf("expected no problems, found %v", connector.Problems)
			}
		}
	}
}

// A file that changes during the start does not count as deleted: the first snapshot contains it.
func TestFileChangedAtStartIsNotDeleted(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a", "b"} {
		write(t, filepath.Join(dir, name+".properties"), "x=1\n")
	}
	s := NewFolderStore(Locations{Folder: dir}, plainWorker(t, ""), slog.New(slog.DiscardHandler))
	for range 3 {
		if _, unstable := s.scan(); !unstable {
			t.Error("expected another scan of a file that has just changed")
		}
		if found := s.snapshot(false); len(found.Connectors) != 2 {
			t.Errorf("expected both files, found %v", found.Connectors)
		}
		s.state.files[filepath.Join(dir, "a.properties")].stamp = "of another one"
	}
}

// Kubernetes replaces the files of a ConfigMap by swapping a link to a folder.
func TestSwappedLinksAreFollowed(t *testing.T) {
	dir := t.TempDir()
	version := func(name, x string) {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, name), 0o700))
		for _, c := range []string{"a", "b"} {
			write(t, filepath.Join(dir, name, c+".properties"), "x="+x+"\n")
		}
	}
	version("..1", "1")
	for _, link := range [][2]string{{"..1", "..data"}, {"..data/a.properties", "a.properties"}, {"..data/b.properties",
		"b.properties"}} {
		require.NoError(t, os.Symlink(link[0], filepath.Join(dir, link[1])))
	}
	f := follow(t, dir)
	f.until("a 1\nb 1", "a 1", "b 1")
	version("..2", "2")
	require.NoError(t, os.Symlink("..2", filepath.Join(dir, "..data_tmp")))
	require.NoError(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "..1")))
	f.until("a 2\nb 2", "a 2\nb 1", "a 1\nb 2")
}

// A deleted folder deletes no connectors, and neither does an empty one in its place. When it is back, its files apply.
func TestMissingFolderDeletesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "folder")
	require.NoError(t, os.Mkdir(dir, 0o700))
	folder := follow(t, dir)
	folder.put("a.properties", "x=1\n")
	folder.put("b.properties", "x=1\n")
	folder.until("a 1\nb 1", "", "a 1", "b 1")
	require.NoError(t, os.Rename(dir, dir+".away"))
	folder.until("a 1\nb 1\n! DIR: the folder of connectors cannot be read; all connectors continue unchanged: no " +
		"such " +
		"file or " +
		"directory")
	require.NoError(t, os.Mkdir(dir, 0o700))
	folder.until("a 1\nb 1\n! DIR: the folder of connectors was replaced by an empty one, for example because a " +
		"drive is " +
		"not mounted; all connectors continue unchanged")
	require.NoError(t, os.Remove(dir))
	require.NoError(t, os.Rename(dir+".away", dir))
	missing := folder.shown(folder.last)
	folder.until("a 1\nb 1", missing, "a 1\nb 1\n! DIR: the folder of connectors cannot be read; all connectors "+
		"continue "+
		"unchanged: "+
		"no such file or directory")
	folder.put("a.properties", "x=2\n")
	folder.until("a 2\nb 1")
	require.NoError(t, os.Remove(filepath.Join(dir, "a.properties")))
	require.NoError(t, os.Remove(filepath.Join(dir, "b.properties"))) // the user removes the last file
	folder.until("", "a 2", "b 1")
}

func opened(t *testing.T, path string) *TargetStates {
	t.Helper()
	targets, err := OpenTargetStates(path)
	require.NoError(t, err)
	return targets
}
