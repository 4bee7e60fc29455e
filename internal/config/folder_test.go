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

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// watchedFolder is a folder that a store watches, with the snapshots that the store reports.
type watchedFolder struct {
	t         *testing.T
	dir       string
	store     *FolderStore
	snapshots chan Snapshot // the store waits until the test receives each one
	last      Snapshot      // the last one that the test received
}

// watchFolder watches a folder with frequent scans until the test has ended.
func watchFolder(t *testing.T, dir string) *watchedFolder {
	t.Helper()
	folder := &watchedFolder{
		t:         t,
		dir:       dir,
		store:     NewFolderStore(Locations{Folder: dir}, plainWorker(t, ""), slog.New(slog.DiscardHandler)),
		snapshots: make(chan Snapshot),
	}
	folder.store.settle = 10 * time.Millisecond
	folder.store.interval = 50 * time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		folder.store.Watch(ctx, func(s Snapshot) {
			select {
			case folder.snapshots <- s:
			case <-ctx.Done():
			}
		})
	}()
	t.Cleanup(func() { cancel(); <-done })
	return folder
}

// writeFile replaces a file by renaming another one, as many editors do.
func (f *watchedFolder) writeFile(name, text string) {
	f.t.Helper()
	temporary := filepath.Join(f.dir, "."+filepath.Base(name)+".new")
	require.NoError(f.t, os.WriteFile(temporary, []byte(text), 0o600))
	require.NoError(f.t, os.Rename(temporary, filepath.Join(f.dir, name)))
}

// describe returns a snapshot as lines: "NAME X" with the setting x of a connector, or "NAME ! PROBLEMS", sorted, then
// "! PROBLEM" for each problem of the folder.
func (f *watchedFolder) describe(snapshot Snapshot) string {
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

// awaitSnapshot waits for a snapshot that describe describes as want. A want that ends with a space is only the start
// of the description. Snapshots before it must equal the previous one or an element of intermediate.
func (f *watchedFolder) awaitSnapshot(want string, intermediate ...string) {
	f.t.Helper()
	deadline := time.NewTimer(5 * time.Minute)
	defer deadline.Stop()
	allowed := append(intermediate, f.describe(f.last))
	isPrefix := strings.HasSuffix(want, " ")
	for {
		select {
		case f.last = <-f.snapshots:
		case <-deadline.C:
			f.t.Fatalf("expected\n%s\nfound\n%s", want, f.describe(f.last))
		}
		got := f.describe(f.last)
		if got == want || (isPrefix && strings.HasPrefix(got, want)) {
			return
		}
		require.True(f.t, slices.Contains(allowed, got),
			"between\n%s\nand\n%s\nfound an unexpected snapshot\n%s", strings.Join(allowed, "\nor\n"), want, got)
	}
}

// Added, changed, renamed and removed files change the snapshots.
func TestFolderIsFollowed(t *testing.T) {
	dir := t.TempDir()
	folder := watchFolder(t, dir)
	folder.awaitSnapshot("")

	// Files are added, changed and broken.
	folder.writeFile("a.properties", "x=1\n")
	folder.awaitSnapshot("a 1")
	folder.writeFile("b.json", `{"name":"b","config":{"x":"1"}}`)
	folder.awaitSnapshot("a 1\nb 1")
	previous := folder.last
	assert.True(t, !folder.store.IsStale(previous), "expected that the last snapshot is not stale")
	folder.writeFile("a.properties", "x=2\n")
	folder.awaitSnapshot("a 2\nb 1")
	assert.True(t, folder.store.IsStale(previous) && !folder.store.IsStale(folder.last),
		"expected that the snapshot before a change is stale, and the one after it is not")
	folder.writeFile("b.json", `{"name":"b","config":{`)
	folder.awaitSnapshot("a 2\nb ! b.json:1: invalid JSON: ")
	folder.writeFile("b.json", `{"name":"b","config":{"x":"3"}}`)
	folder.awaitSnapshot("a 2\nb 3")

	// Two files name the same connector, until one of them is removed.
	folder.writeFile("c.properties", "name=a\nx=9\n")
	const duplicate = `:1: name: expected a name that no other connector has, found "a" in a.properties and ` +
		"c.properties: none of them runs, because offsets belong to the name\n"
	folder.awaitSnapshot("a ! a.properties" + duplicate + "c.properties" + duplicate + "b 3")
	require.NoError(t, os.Remove(filepath.Join(dir, "a.properties")))
	folder.awaitSnapshot("a 9\nb 3")

	// A renamed file keeps its connector, whose name is in the file.
	require.NoError(t, os.Rename(filepath.Join(dir, "c.properties"), filepath.Join(dir, "d.properties")))
	folder.awaitSnapshot("a 9\nb 3", "b 3")

	// Hidden files and files of other types are ignored.
	folder.writeFile("README.md", "x=1")
	folder.writeFile(".e.properties", "x=1")
	require.NoError(t, os.Remove(filepath.Join(dir, "b.json")))
	folder.awaitSnapshot("a 9")

	// A requested scan is reported although nothing has changed.
	folder.store.Refresh()
	for folder.last = <-folder.snapshots; !folder.last.Requested; folder.last = <-folder.snapshots {
	}
	assert.Equal(t, "a 9", folder.describe(folder.last), "after Refresh")
}

// A growing file does not delay other files, and is read whole when it no longer changes.
func TestGrowingFileIsReadWhole(t *testing.T) {
	folder := watchFolder(t, t.TempDir())
	folder.writeFile("a.properties", "x=before\n")
	folder.awaitSnapshot("a before")
	file, err := os.OpenFile(filepath.Join(folder.dir, "a.properties"), os.O_WRONLY|os.O_TRUNC, 0)
	require.NoError(t, err)
	defer file.Close()

	// A writer appends lines to a.properties until the store has reported b.properties.
	stop := make(chan struct{})
	lastWritten := make(chan int)
	go func() {
		ticker := time.NewTicker(time.Millisecond)
		defer ticker.Stop()
		for n := 0; ; n++ {
			fmt.Fprintf(file, "x=%d\n", n)
			select {
			case <-ticker.C:
			case <-stop:
				lastWritten <- n
				return
			}
		}
	}()
	folder.writeFile("b.properties", "x=1\n")
	for !strings.Contains(folder.describe(folder.last), "b 1") {
		folder.last = <-folder.snapshots
	}
	close(stop)

	// The last line applies in the end. If the writer pauses for longer than the scan interval, the store also reports
	// earlier lines, or the file before its first line.
	want := fmt.Sprintf("a %d\nb 1", <-lastWritten)
	for folder.describe(folder.last) != want {
		folder.last = <-folder.snapshots
		for _, connector := range folder.last.Connectors {
			assert.True(t, connector.Problems.Err() == nil ||
				connector.Problems[0].Text == "the file is empty: expected the settings of a connector",
				"expected no problems, found %v", connector.Problems)
		}
	}
}

// A file that changes during the start does not count as deleted: each snapshot contains it.
func TestFileChangedAtStartIsNotDeleted(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a", "b"} {
		write(t, filepath.Join(dir, name+".properties"), "x=1\n")
	}
	s := NewFolderStore(Locations{Folder: dir}, plainWorker(t, ""), slog.New(slog.DiscardHandler))
	const requested = false
	for range 3 {
		_, unstable := s.scan()
		assert.True(t, unstable, "expected another scan of a file that has just changed")
		assert.Len(t, 2, s.snapshot(requested).Connectors, "both files")
		// The next scan finds other contents than this one.
		s.state.files[filepath.Join(dir, "a.properties")].stamp = "stamp of other contents"
	}
}

// Kubernetes replaces the files of a ConfigMap by swapping a link to a folder.
func TestSwappedLinksAreFollowed(t *testing.T) {
	dir := t.TempDir()
	writeVersion := func(name, x string) {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, name), 0o700))
		for _, c := range []string{"a", "b"} {
			write(t, filepath.Join(dir, name, c+".properties"), "x="+x+"\n")
		}
	}
	link := func(target, name string) {
		require.NoError(t, os.Symlink(target, filepath.Join(dir, name)))
	}
	writeVersion("..1", "1")
	link("..1", "..data")
	link("..data/a.properties", "a.properties")
	link("..data/b.properties", "b.properties")
	folder := watchFolder(t, dir)
	folder.awaitSnapshot("a 1\nb 1", "a 1", "b 1")

	writeVersion("..2", "2")
	link("..2", "..data_tmp")
	require.NoError(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "..1")))
	folder.awaitSnapshot("a 2\nb 2", "a 2\nb 1", "a 1\nb 2")
}

// A deleted folder deletes no connectors, and neither does an empty one in its place. When it is back, its files apply.
func TestMissingFolderDeletesNothing(t *testing.T) {
	const unreadable = "a 1\nb 1\n! DIR: the folder of connectors cannot be read; all connectors continue unchanged: " +
		"no such file or directory"
	const replaced = "a 1\nb 1\n! DIR: the folder of connectors was replaced by an empty one, for example because a " +
		"drive is not mounted; all connectors continue unchanged"
	dir := filepath.Join(t.TempDir(), "folder")
	require.NoError(t, os.Mkdir(dir, 0o700))
	folder := watchFolder(t, dir)
	folder.writeFile("a.properties", "x=1\n")
	folder.writeFile("b.properties", "x=1\n")
	folder.awaitSnapshot("a 1\nb 1", "", "a 1", "b 1")

	// The folder is moved away, replaced by an empty one, and moved back.
	require.NoError(t, os.Rename(dir, dir+".away"))
	folder.awaitSnapshot(unreadable)
	require.NoError(t, os.Mkdir(dir, 0o700))
	folder.awaitSnapshot(replaced)
	require.NoError(t, os.Remove(dir))
	require.NoError(t, os.Rename(dir+".away", dir))
	folder.awaitSnapshot("a 1\nb 1", unreadable)

	// After that, changed and removed files count again, even the last one.
	folder.writeFile("a.properties", "x=2\n")
	folder.awaitSnapshot("a 2\nb 1")
	require.NoError(t, os.Remove(filepath.Join(dir, "a.properties")))
	require.NoError(t, os.Remove(filepath.Join(dir, "b.properties")))
	folder.awaitSnapshot("", "a 2", "b 1")
}
