package config

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
)

// countReads makes the provider `file` count the files that it reads, and the keys that it returns.
func countReads(p *Providers, files, values *int) {
	source := p.byName["file"]
	read := source.read
	source.read = func(path string, keys map[string]bool) (map[string]string, error) {
		*files++
		found, err := read(path, keys)
		*values += len(found)
		return found, err
	}
	p.byName["file"] = source
}

// A file of secrets that many references of several connectors name is read once in a scan, and only the requested keys
// are kept.
func TestFileOfManyReferencesIsReadOnceInAScan(t *testing.T) {
	const connectors, count = 3, 3_000
	const most = 256 << 20 // a hundredth of what reading the file for each reference takes
	dir := t.TempDir()
	secrets := filepath.Join(t.TempDir(), "some.properties")
	var text strings.Builder
	for i := range 40_000 {
		fmt.Fprintf(&text, "key%d=value of %d\n", i, i)
	}
	write(t, secrets, text.String())
	var files Files
	for n := range connectors {
		var b strings.Builder
		b.WriteString("connector.class=x\n")
		for i := range count {
			fmt.Fprintf(&b, "x%d=${file:%s:key%d}\n", i, secrets, n*count+i)
		}
		path := filepath.Join(dir, fmt.Sprintf("c%d.properties", n))
		write(t, path, b.String())
		files.Connectors = append(files.Connectors, path)
	}
	w := plainWorker(t, "")
	read := 0
	kept := 0
	countReads(w.Providers, &read, &kept)
	check := func(name string, loaded []*Connector) {
		t.Helper()
		if read != 1 || kept != connectors*count {
			t.Errorf("%s: expected one read that keeps %d values, found %d reads and %d values", name, connectors*count,
				read, kept)
		}
		for n, connector := range loaded {
			key := fmt.Sprintf("x%d", count-1)
			if want := fmt.Sprintf("value of %d", (n+1)*count-1); connector.Text(key) != want {
				t.Errorf("%s: expected %q, found %q %v", name, want, connector.Text(key), connector.Problems)
			}
		}
		read = 0
		kept = 0
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	loaded, _ := LoadConnectors(files, w.Providers)
	runtime.ReadMemStats(&after)
	check("at the start", loaded)
	if used := after.TotalAlloc - before.TotalAlloc; used > most {
		t.Errorf("expected at most %d bytes, found %d", most, used)
	}
	store := NewFolderStore(Locations{Folder: dir}, w, nil)
	store.scan()
	check("in the first scan", store.snapshot(false).Connectors)
	if different, unstable := store.scan(); different || unstable || read != 0 {
		t.Errorf("expected nothing to be read again, found %v %v %d", different, unstable, read)
	}
	store.reload(func(*Connector) bool { return true })
	check("in a reload", store.snapshot(false).Connectors)
}

// References insert a bounded number of bytes into a configuration, however often they name a value.
func TestResolvedValuesAreBounded(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "large"), strings.Repeat("v", maxResolvedBytes/16))
	large := "${dir:" + dir + ":large}"
	providers, problems := newProviders(nil)
	require.NoError(t, problems.Err())
	for _, test := range []struct {
		value string
		more  string
		want  string
	}{
		{strings.Repeat(large, 16), "", ""},
		{strings.Repeat(large, 15), large, ""},
		{strings.Repeat(large, 16), "${env:CONFIG_TEST_BYTE}", "in one configuration"},
		{strings.Repeat(large, 10_000), "", "in one configuration"},
	} {
		t.Setenv("CONFIG_TEST_BYTE", "v")
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		entries, problems := providers.resolveAll([]Entry{NewEntry("a", test.value, "c.properties", 1),
			NewEntry("b", test.more, "c.properties", 2)})
		runtime.ReadMemStats(&after)
		if found := problems.Error(); !strings.Contains(found, test.want) || (test.want == "") != (found == "") {
			t.Errorf("%d bytes: expected %q, found %.300q", len(test.value), test.want, found)
		}
		if test.want != "" && entries[0].Value.Reveal() != "" && entries[1].Value.Reveal() != "" {
			t.Error("expected no value beyond the bound")
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 1<<30 {
			t.Errorf("%d bytes: expected less than 1 GiB, found %d", len(test.value), used)
		}
	}
}

// A malformed line of a file with secrets is an error that names the file and quotes nothing.
func TestMalformedFileOfSecrets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "some.properties")
	write(t, path, "a=1\npwd=geheim\\u12\nb=2")
	providers, _ := newProviders(nil)
	_, problems := providers.resolveAll([]Entry{NewEntry("x", "${file:"+path+":a}", "c.properties", 1),
		NewEntry("y", "${file:"+path+"y:a}", "c.properties", 2)})
	want := "c.properties:1: x: ${file:" + path + ":a}: " + path + ":2: pwd: expected four hexadecimal digits after \\u"
	if found := problems.Error(); !strings.HasPrefix(found, want+"\n") || (!strings.Contains(found,
		fs.ErrNotExist.Error()) && !strings.Contains(found, "no such file")) {
		t.Errorf("expected %q and a missing file, found %q", want, found)
	}
}
