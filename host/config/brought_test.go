package config

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/internal/base/require"
)

const fileClass = "org.apache.kafka.common.config.provider.FileConfigProvider"

// restOf is a worker whose file says so much about config providers, a store of a folder, and what is noted of it.
func restOf(t *testing.T, dir string, lines ...string) (*Worker, *FolderStore, *Brought) {
	t.Helper()
	w := plainWorker(t, strings.Join(append(lines, "bootstrap.servers=a:1"), "\n"))
	b, err := OpenBrought(filepath.Join(dir, "brought.json"))
	require.NoError(t, err)
	return w, NewFolderStore(Places{Folder: filepath.Join(dir, "conf"), Brought: b}, w, slog.New(slog.DiscardHandler)), b
}

// What REST wrote is REST's after a restart, as long as nobody changes it; what was there before it is not.
func TestWhatRESTWroteStaysItsOwn(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "conf"), 0o700))
	secrets := filepath.Join(dir, "secrets")
	write(t, secrets, "a=one\nb=two\n")
	a, b := "${file:"+secrets+":a}", "${file:"+secrets+":b}"
	open := []string{"config.providers=file", "config.providers.file.class=" + fileClass,
		"config.providers.file.param.allowed.paths=" + dir}
	w, store, brought := restOf(t, dir, open...)
	stored := &Connector{Name: "c", Entries: []Entry{NewEntry("old", a, "", 0)}}
	sent := map[string]string{"name": "c", "old": a, "new": b, "x": "1"}
	c := NewBrought("the request", sent, stored, w.Providers)
	require.NoError(t, c.Problems.Err())
	require.NoError(t, store.Put(t.Context(), "c", Stored{Connector: c}))
	path := filepath.Join(dir, "conf", "c.json")
	if data, err := os.ReadFile(path); err != nil || strings.Count(string(data), "\n") != len(sent)+1 {
		t.Errorf("expected nothing but the settings in the file, found %s %v", data, err)
	}
	if brought.Unknown(c, false, w.Providers) {
		t.Error("expected it to be known who wrote it")
	}

	w, _, brought = restOf(t, dir)
	read := loadAny(path, w.Providers, brought)
	old, _ := read.Entry("old")
	now, _ := read.Entry("new")
	if old.Brought || old.Value.Reveal() != "one" || !now.Brought || now.Value.Reveal() != "" ||
		len(read.Problems) != 1 || !strings.Contains(read.Problems[0].Text, "config.providers=file") {
		t.Errorf("found %q, %q, %v", old.Value.Reveal(), now.Value.Reveal(), read.Problems)
	}
	// Sent back as it is shown, it is whose it was.
	if c := NewBrought("the request", read.Raw(), read, w.Providers); len(c.Problems) != 1 ||
		c.Problems[0].Setting != "new" {
		t.Errorf("found %v", c.Problems)
	}
	// Moved to another setting, or to a transform of another class, it is the sender's.
	stage := &Connector{Name: "c", Entries: []Entry{NewEntry("transforms.t.type", "A", "", 0),
		NewEntry("transforms.t.key", a, "", 0)}}
	for text, want := range map[string]int{"A": 0, "B": 1} {
		c := NewBrought("the request", map[string]string{"name": "c", "transforms.t.type": text, "transforms.t.key": a},
			stage, w.Providers)
		if len(c.Problems) != want {
			t.Errorf("class %s: found %v", text, c.Problems)
		}
	}
	// A value that somebody has changed in the file is theirs.
	write(t, path, strings.ReplaceAll(`{"name": "c", "new": "NEW"}`, "NEW", a))
	if read := loadAny(path, w.Providers, brought); read.Problems.Err() != nil || read.Text("new") != "one" {
		t.Errorf("changed by hand: found %v", read.Problems)
	}
	require.NoError(t, brought.Forget("c"))
	write(t, path, "{\n  \"name\": \"c\",\n  \"new\": \""+a+"\"\n}")
	if read := loadAny(path, w.Providers, brought); read.Problems.Err() != nil ||
		!brought.Unknown(read, false, w.Providers) {
		t.Errorf("forgotten: found %v", read.Problems)
	}
}

// A reference is noted before the file is written, and one that the file held is noted until it is written.
func TestNotedBeforeItIsWritten(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "brought.json")
	brought := func() *Brought {
		b, err := OpenBrought(path)
		require.NoError(t, err)
		return b
	}
	marked := func(key, raw string) bool {
		entries := []Entry{NewEntry("name", "c", "", 0), NewEntry(key, raw, "", 0)}
		brought().mark(entries)
		return entries[1].Brought
	}
	c := func(key, raw string) *Connector {
		e := NewEntry(key, raw, "", 0)
		e.Brought = true
		return &Connector{Name: "c", Entries: []Entry{e}}
	}
	cut := errors.New("cut off")
	b := brought()
	if err := b.while(c("a", "${env:A}"), func() error { return nil }); err != nil || !marked("a", "${env:A}") {
		t.Fatal(err)
	}
	if err := b.while(c("b", "${env:B}"), func() error {
		if !marked("a", "${env:A}") || !marked("b", "${env:B}") {
			t.Error("expected both to be noted while the file is written")
		}
		return cut
	}); !errors.Is(err, cut) || !marked("a", "${env:A}") {
		t.Errorf("expected what the file holds to be noted still: %v", err)
	}
	if err := b.while(c("b", "${env:B}"), func() error { return nil }); err != nil || marked("a", "${env:A}") ||
		!marked("b", "${env:B}") || marked("b", "${env:C}") {
		t.Errorf("expected b alone: %v", err)
	}
	write(t, path, "{")
	if _, err := OpenBrought(path); err == nil {
		t.Error("expected an error for a file that is cut off")
	}
}

// The warnings of providers that REST may have read everything by.
func TestProvidersWithoutBounds(t *testing.T) {
	for class, bound := range map[string]string{"FileConfigProvider": "allowed.paths",
		"DirectoryConfigProvider": "allowed.paths", "EnvVarConfigProvider": "allowlist.pattern"} {
		lines := "config.providers=p\nconfig.providers.p.class=" + providerClasses + class
		if _, problems := newProviders(workerEntries(t, lines)); len(problems) != 1 || !problems[0].Warning ||
			!strings.Contains(problems[0].Text, "config.providers.p.param."+bound) {
			t.Errorf("%s: found %v", class, problems)
		}
		param := lines + "\nconfig.providers.p.param." + bound
		if _, problems := newProviders(workerEntries(t, param+"=/x")); len(problems) != 0 {
			t.Errorf("%s with a bound: found %v", class, problems)
		}
		says := "gives what comes by REST all that the worker may read"
		if class == "EnvVarConfigProvider" {
			says = "an empty pattern"
		}
		p, problems := newProviders(workerEntries(t, param+"= "))
		if len(problems) != 1 || !problems[0].Warning || !strings.Contains(problems[0].Text, says) {
			t.Errorf("%s with an empty bound: expected %q, found %v", class, says, problems)
		}
		if _, problems := p.resolveAll([]Entry{NewEntry("k", "${p:PATH}", "", 0)}); problems.Err() == nil {
			t.Errorf("%s with an empty bound gives PATH of the environment", class)
		}
	}
}
