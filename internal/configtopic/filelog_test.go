package configtopic

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/config"
)

func openFileStore(t *testing.T, path string) *Store {
	t.Helper()
	s, err := OpenFileStore(path, newWorker(t, ""), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	return s
}

// put stores a connector with a setting x.
func put(s *Store, name, x string) error {
	c := &config.Connector{Name: name, Entries: []config.Entry{config.NewEntry("x", x, "", 0)}}
	return s.Put(context.Background(), name, config.Stored{Connector: c})
}

// describe returns the connectors of a store as NAME@VERSION=x, and the target states.
func describe(s *Store) string {
	snapshot, _ := s.Snapshot()
	var b strings.Builder
	for _, c := range snapshot.Connectors {
		fmt.Fprintf(&b, "%s@%s=%s ", c.Name, c.Version, c.Text("x"))
	}
	return b.String() + fmt.Sprint(snapshot.Targets)
}

// A connector created by REST exists after a restart, with any characters, its version and its target state. A deleted
// one does not, and its version is not used again. The file is for this user only: it has passwords.
func TestFileStoreSurvivesRestart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "connectors.log")
	store := openFileStore(t, path)
	_, err := os.Stat(path)
	assert.ErrorIs(t, err, os.ErrNotExist, "expected no file before the first change")
	odd := map[string]string{"name": "../b/c", "x": " # \\ \t = : é\n!\x00<&>\u2028", "a b=c:#d": "#1"}
	c := &config.Connector{Name: odd["name"]}
	for key, value := range odd {
		c.Entries = append(c.Entries, config.NewEntry(key, value, "", 0))
	}
	require.NoError(t, store.Put(t.Context(), c.Name, config.Stored{Connector: c, Target: config.TargetStopped}))
	require.NoError(t, put(store, "a", "1"))
	require.NoError(t, put(store, "a", "1")) // unchanged
	require.NoError(t, store.Put(t.Context(), "file", config.Stored{Target: config.TargetPaused}))
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode())
	store = openFileStore(t, path)
	snapshot, _ := store.Snapshot()
	assert.Equal(t, odd, snapshot.Connectors[0].Raw())
	assert.Equal(t, "2", snapshot.Connectors[1].Version)
	assert.Equal(t, map[string]string{"../b/c": "STOPPED", "file": "PAUSED"}, snapshot.Targets)
	require.NoError(t, store.Delete(t.Context(), "../b/c"))
	require.NoError(t, store.Delete(t.Context(), "a"))
	store = openFileStore(t, path)
	assert.Equal(t, "map[file:PAUSED]", describe(store))
	require.NoError(t, put(store, "a", "1"))
	assert.Equal(t, "a@8=1 map[file:PAUSED]", describe(store))
}

// A change fails without an effect if a step of its write fails, and the next one succeeds. If it cannot be undone
// either, the answer says so, and no other change is accepted until a restart.
func TestFailedWriteChangesNothing(t *testing.T) {
	t.Parallel()
	errDisk := errors.New("input/output error")
	for _, c := range []struct {
		name    string
		failing string // steps, separated by commas
		unknown bool
		initial string // the file
	}{
		{name: "new file", failing: "replace", initial: "none"},
		{name: "append", failing: "append"},
		{name: "sync", failing: "sync"},
		{name: "cut", failing: "append,cut", unknown: true},
		{name: "sync of the cut", failing: "append,sync of the cut", unknown: true},
		{name: "cut of an earlier change", failing: "cut", initial: "incomplete"},
		{name: "sync of that cut", failing: "sync of the cut", initial: "incomplete"},
	} {
		path := filepath.Join(t.TempDir(), "connectors.log")
		store := openFileStore(t, path)
		if c.initial != "none" {
			require.NoError(t, put(store, "a", "1"))
		}
		if c.initial == "incomplete" {
			require.NoError(t, os.WriteFile(path, []byte(readText(t, path)+"12345678 {"), 0o600))
			store = openFileStore(t, path)
		}
		before := describe(store)
		l := store.writer.(*FileLog)
		works := l.intercept
		l.intercept = func(step logStep, content []byte) error {
			if !slices.Contains(strings.Split(c.failing, ","), string(step)) {
				return nil
			}
			if step == stepAppend { // a half of it reaches the file
				half := append([]byte(readText(t, path)), content[:len(content)/2]...)
				require.NoError(t, os.WriteFile(path, half, 0o600))
			}
			return errDisk
		}
		err := put(store, "a", "2")
		assert.ErrorIs(t, err, errDisk, c.name)
		assert.Equal(t, c.unknown, errors.Is(err, ErrOutcomeUnknown), c.name)
		assert.Equal(t, before, describe(store), c.name)
		assert.Equal(t, before, describe(openFileStore(t, path)), c.name, "after a restart")
		l.intercept = works
		err = put(store, "b", "1")
		if c.unknown {
			assert.ErrorIs(t, err, ErrOutcomeUnknown, c.name)
			continue
		}
		require.NoError(t, err)
		assert.Equal(t, describe(store), describe(openFileStore(t, path)), c.name)
		assert.Contains(t, describe(store), "b@")
	}
}

func readText(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(content)
}

// Wherever the last change ends, it is ignored, and the next one replaces it. Bytes that did not reach the disk read as
// zeros.
func TestIncompleteLastChangeIsCutOff(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "connectors.log")
	store := openFileStore(t, path)
	require.NoError(t, put(store, "a", "1"))
	complete := readText(t, path)
	require.NoError(t, put(store, "b", "1"))
	text := readText(t, path)
	for n := len(complete); n < len(text); n += 3 {
		for _, broken := range []string{text[:n], text[:n] + strings.Repeat("\x00", len(text)-n),
			text[:n] + "\x00" + text[n+1:]} {
			require.NoError(t, os.WriteFile(path, []byte(broken), 0o600))
			store := openFileStore(t, path)
			require.Equal(t, "a@0=1 map[]", describe(store), n)
			require.Equal(t, broken, readText(t, path), "expected no write before a change")
			require.NoError(t, put(store, "c", "1"))
			require.Equal(t, "a@0=1 c@1=1 map[]", describe(openFileStore(t, path)), n)
		}
	}
}

// A damaged change refuses the file by its name and line: connectors would be missing.
func TestDamageIsRejected(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "connectors.log")
	store := openFileStore(t, path)
	require.NoError(t, put(store, "a", "1"))
	require.NoError(t, put(store, "b", "1"))
	text := readText(t, path)
	refused := func(damaged, want string) {
		t.Helper()
		require.NoError(t, os.WriteFile(path, []byte(damaged), 0o600))
		_, err := OpenFileStore(path, newWorker(t, ""), discard)
		require.Error(t, err, path+": "+want)
	}
	for n := range len(text) - 1 {
		refused(text[:n]+string(text[n]^1)+text[n+1:], "")
	}
	lines := strings.SplitAfter(text, "\n")
	refused("", "expected a file that begins with \"culvert connectors 1\"")
	refused(lines[0]+strings.Replace(lines[1], "a", "A", 1)+lines[2], "line 2: expected a change with the checksum")
	refused(lines[0]+lines[2]+lines[1], "line 3: expected an offset of at least 2, found 0")
	refused(lines[0]+strings.Replace(lines[1], `"x"`, "\x00\x00\x00", 1)+lines[2], "line 2: ")
	foreign := string(encodeChange(logChange{Next: 1, Records: []logRecord{{Key: "other", Value: []byte("{}")}}}))
	refused(lines[0]+foreign, "expected connectors and target states of this version, found other records")
}

// A change is rejected if the file is not as the worker has left it.
func TestForeignWriteIsDetected(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "connectors.log")
	first := openFileStore(t, path)
	second := openFileStore(t, path)
	require.NoError(t, put(first, "a", "1"))
	assert.Error(t, put(second, "b", "1"), path+": expected 0 bytes, as this worker has left them, found ")
	second = openFileStore(t, path)
	require.NoError(t, put(second, "b", "1"))
	assert.Error(t, put(first, "a", "2"), "stop other workers with this data folder")
	require.NoError(t, os.Remove(path))
	assert.Error(t, put(second, "a", "2"), "found 0")
	_, err := os.Stat(path)
	assert.ErrorIs(t, err, os.ErrNotExist)
}

// A file that has doubled is compacted. Versions stay, and none is used twice.
func TestFileIsCompacted(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "connectors.log")
	store := openFileStore(t, path)
	const compactMin = 10_000
	store.writer.(*FileLog).compactMin = compactMin
	require.NoError(t, put(store, "a", "1"))
	require.NoError(t, store.Put(t.Context(), "a", config.Stored{Target: config.TargetPaused}))
	large := strings.Repeat("x", 1000)
	var sizes []int
	for n := range 24 {
		require.NoError(t, put(store, "b", fmt.Sprint(large, n)))
		sizes = append(sizes, len(readText(t, path)))
	}
	for n := 1; n < len(sizes); n++ {
		hasShrunk := sizes[n] < sizes[n-1]
		assert.Equal(t, sizes[n-1] >= compactMin, hasShrunk, "change", n)
	}
	assert.Equal(t, describe(store), describe(openFileStore(t, path)))
	assert.Contains(t, describe(store), "a@0=1 ", "b@25=", "map[a:PAUSED]")
	require.NoError(t, store.Delete(t.Context(), "b"))
	for range 2 {
		require.NoError(t, put(store, "c", large))
		require.NoError(t, store.Delete(t.Context(), "c"))
	}
	assert.Equal(t, describe(store), describe(openFileStore(t, path)))
}

// The file has at most maxLogSize bytes. A change that does not fit is rejected, and one that makes room is accepted.
func TestFileIsBounded(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "connectors.log")
	store := openFileStore(t, path)
	const maxSize = 100_000
	store.writer.(*FileLog).maxSize = maxSize
	value := strings.Repeat("x", 9000)
	var err error
	stored := 0
	for ; err == nil; stored++ {
		err = put(store, strconv.Itoa(stored), value)
	}
	assert.Equal(t, maxSize/len(value)+1, stored)
	assert.Equal(t, true, errors.As(err, new(*config.TooLargeError)), err)
	require.NoError(t, put(store, "0", "small")) // compacts the file
	require.NoError(t, put(store, "last", value))
	assert.AtMost(t, maxSize, len(readText(t, path)))
	assert.Equal(t, describe(store), describe(openFileStore(t, path)))
	require.NoError(t, os.Truncate(path, maxLogSize+1))
	_, err = OpenFileStore(path, newWorker(t, ""), discard)
	assert.Error(t, err, "expected at most")
}

const (
	killVariable  = "CULVERT_TEST_KILL"
	killedChanges = 6
)

// Changes that a killed worker has confirmed exist, at whichever step of which write it was killed, and each change
// exists whole or not at all.
func TestKilledWritesLoseNothing(t *testing.T) {
	if step := os.Getenv(killVariable); step != "" {
		changeUntilKilled(t, step)
		return
	}
	t.Parallel()
	for _, initial := range []string{"", logHeader + "12345678 {"} { // no file, and one with an incomplete change
		isOver := false
		for step := 1; !isOver; step++ {
			path := filepath.Join(t.TempDir(), "connectors.log")
			if initial != "" {
				require.NoError(t, os.WriteFile(path, []byte(initial), 0o600))
			}
			child := exec.Command(os.Args[0], "-test.run=^TestKilledWritesLoseNothing$")
			child.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s", killVariable, step, path))
			output, err := child.Output()
			confirmed := bytes.Count(output, []byte("confirmed\n"))
			store := openFileStore(t, path)
			snapshot, _ := store.Snapshot()
			changes := 0
			if len(snapshot.Connectors) > 0 {
				changes, _ = strconv.Atoi(snapshot.Connectors[0].Text("x"))
				require.Equal(t, map[string]string{"a": "PAUSED"}, snapshot.Targets, "of the same change")
			}
			require.True(t, changes == confirmed || changes == confirmed+1,
				"step %d: expected %d changes, or one more, found %d", step, confirmed, changes)
			require.NoError(t, put(store, "b", "1"))
			require.Equal(t, describe(store), describe(openFileStore(t, path)))
			if isOver = err == nil; isOver {
				require.Equal(t, killedChanges, changes)
				require.AtLeast(t, 2*killedChanges-2, step, "steps, some of them of compactions")
			}
		}
	}
}

// changeUntilKilled makes changes with compactions in between, and kills its process at a step. A change that is being
// appended is written by half before.
func changeUntilKilled(t *testing.T, argument string) {
	text, path, _ := strings.Cut(argument, " ")
	killAt, err := strconv.Atoi(text)
	require.NoError(t, err)
	store := openFileStore(t, path)
	store.writer.(*FileLog).compactMin = 600
	store.writer.(*FileLog).intercept = func(step logStep, content []byte) error {
		killAt--
		if killAt > 0 {
			return nil
		}
		if step == stepAppend {
			half := append([]byte(readText(t, path)), content[:len(content)/2]...)
			require.NoError(t, os.WriteFile(path, half, 0o600))
		}
		return syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	for n := 1; n <= killedChanges; n++ {
		c := &config.Connector{Entries: []config.Entry{config.NewEntry("x", strconv.Itoa(n), "", 0)}}
		require.NoError(t, store.Put(t.Context(), "a", config.Stored{Connector: c, Target: config.TargetPaused}))
		fmt.Println("confirmed")
	}
}
