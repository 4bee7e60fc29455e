package config

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// A file of secrets that many references of several connectors name is read once in a scan, and the provider returns
// only the values that they refer to.
func TestFileOfManyReferencesIsReadOnceInAScan(t *testing.T) {
	const connectorCount = 3
	const referenceCount = 3_000   // of each connector
	const maxAllocated = 256 << 20 // a hundredth of what reading the file for each reference allocates
	dir := t.TempDir()
	secrets := filepath.Join(t.TempDir(), "some.properties")
	var secretLines strings.Builder
	for i := range 40_000 {
		fmt.Fprintf(&secretLines, "key%d=value of %d\n", i, i)
	}
	write(t, secrets, secretLines.String())

	// Each reference has its own key: connector n begins with key n*referenceCount.
	var files Files
	for n := range connectorCount {
		var lines strings.Builder
		lines.WriteString("connector.class=x\n")
		for i := range referenceCount {
			fmt.Fprintf(&lines, "x%d=${file:%s:key%d}\n", i, secrets, n*referenceCount+i)
		}
		path := filepath.Join(dir, fmt.Sprintf("c%d.properties", n))
		write(t, path, lines.String())
		files.Connectors = append(files.Connectors, path)
	}
	worker := plainWorker(t, "")
	reads := 0
	values := 0
	countReads(worker.Providers, &reads, &values)

	// checkReads checks the reads since its last call, and the last value of each connector.
	checkReads := func(step string, loaded []*Connector) {
		t.Helper()
		assert.True(t, reads == 1 && values == connectorCount*referenceCount,
			"%s: expected one read that returns %d values, found %d reads and %d values", step,
			connectorCount*referenceCount, reads, values)
		for n, connector := range loaded {
			key := fmt.Sprintf("x%d", referenceCount-1)
			want := fmt.Sprintf("value of %d", (n+1)*referenceCount-1)
			assert.Equal(t, want, connector.Text(key), step, connector.Problems)
		}
		reads = 0
		values = 0
	}

	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	loaded := loadAll(files.Connectors, worker.Providers)
	runtime.ReadMemStats(&after)
	checkReads("at the start", loaded)
	assert.AtMost(t, maxAllocated, after.TotalAlloc-before.TotalAlloc, "bytes")

	const requested = false
	store := NewFolderStore(Locations{Folder: dir}, worker, nil)
	store.scan()
	checkReads("in the first scan", store.snapshot(requested).Connectors)
	if different, unstable := store.scan(); different || unstable || reads != 0 {
		t.Errorf("expected no change and no read in the second scan, found different %t, unstable %t and %d reads",
			different, unstable, reads)
	}
	store.reload(func(*Connector) bool { return true }) // of all connectors
	checkReads("in a reload", store.snapshot(requested).Connectors)
}

// countReads makes the provider "file" add to reads the files that it reads, and to values the values that it returns.
func countReads(p *Providers, reads, values *int) {
	provider := p.byName["file"]
	read := provider.read
	provider.read = func(path string, keys map[string]bool) (map[string]string, error) {
		*reads++
		result, err := read(path, keys)
		*values += len(result)
		return result, err
	}
	p.byName["file"] = provider
}

// References insert at most maxResolvedBytes into a configuration, however often they name a value. Without the bound,
// a short configuration could fill the memory.
func TestResolvedValuesAreBounded(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "large"), strings.Repeat("v", maxResolvedBytes/16))
	large := "${dir:" + dir + ":large}"
	const (
		oneByte   = "${env:CONFIG_TEST_BYTE}"
		overBound = "in one configuration"
		maxMemory = 1 << 30
	)
	t.Setenv("CONFIG_TEST_BYTE", "v")
	providers, problems := newProviders(nil)
	require.NoError(t, problems.Err())
	for _, test := range []struct {
		name   string
		first  string
		second string
		want   string // in the problems. Empty means no problem.
	}{
		{name: "exactly the bound", first: strings.Repeat(large, 16)},
		{name: "the bound in two settings", first: strings.Repeat(large, 15), second: large},
		{name: "one byte more", first: strings.Repeat(large, 16), second: oneByte, want: overBound},
		{name: "far more in one setting", first: strings.Repeat(large, 10_000), want: overBound},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		entries, problems := providers.resolveAll([]Entry{
			NewEntry("a", test.first, "c.properties", 1),
			NewEntry("b", test.second, "c.properties", 2),
		})
		runtime.ReadMemStats(&after)
		if got := problems.Error(); !strings.Contains(got, test.want) || (test.want == "") != (got == "") {
			t.Errorf("%s: expected %q, found %.300q", test.name, test.want, got)
		}
		assert.True(t, test.want == "" || entries[0].Value.Reveal() == "" || entries[1].Value.Reveal() == "",
			"%s: expected one value without a problem at most, found two", test.name)
		assert.AtMost(t, maxMemory, after.TotalAlloc-before.TotalAlloc, test.name, "bytes")
	}
}

// A malformed line of a file with secrets is a problem with the file, the line and the key, but without the secret. A
// missing file is another problem.
func TestMalformedFileOfSecrets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "some.properties")
	missing := filepath.Join(t.TempDir(), "missing.properties")
	write(t, path, "a=1\npwd=geheim\\u12\nb=2")
	providers, _ := newProviders(nil)
	_, problems := providers.resolveAll([]Entry{
		NewEntry("x", "${file:"+path+":a}", "c.properties", 1),
		NewEntry("y", "${file:"+missing+":a}", "c.properties", 2),
	})
	want := "c.properties:1: x: ${file:" + path + ":a}: " + path + ":2: pwd: expected four hexadecimal digits after \\u"
	got := problems.Error()
	reportsMissing := strings.Contains(got, fs.ErrNotExist.Error()) || strings.Contains(got, "no such file")
	assert.True(t, strings.HasPrefix(got, want+"\n") && reportsMissing,
		"expected %q and a missing file, found %q", want, got)
}
