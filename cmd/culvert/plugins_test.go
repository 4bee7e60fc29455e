package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/host/plugin/guesttest"
	"github.com/culvert-project/culvert/wit"
)

// writePlugin writes a plugin with a name, and a source if class is not empty.
func writePlugin(t *testing.T, file, name, class string) {
	t.Helper()
	d := wit.Description{Name: name, Version: "1"}
	if class != "" {
		d.Components = []wit.Component{{Name: class, Kind: wit.ComponentSource}}
	}
	if err := os.WriteFile(file, guesttest.Static(d, "", wit.InterfaceSource), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A file is shown alone, whatever its ending is and whatever is next to it.
func TestPluginsShowOpensOneFile(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	dir := t.TempDir()
	file := filepath.Join(dir, "candidate.bin")
	writePlugin(t, file, "same", "Mine")
	writePlugin(t, filepath.Join(dir, "sibling.wasm"), "same", "Other")
	code, stdout, stderr := command(t, "plugins", "show", file)
	if code != exitDone || !strings.Contains(stdout, "Mine") || strings.Contains(stdout, "Other") {
		t.Errorf("expected only Mine, found exit %d and %s%s", code, stdout, stderr)
	}
	code, stdout, _ = command(t, "plugins", "show", file, "--json")
	var found []struct{ From string }
	if err := json.Unmarshal([]byte(stdout), &found); err != nil || code != exitDone || len(found) != 1 ||
		found[0].From != file {
		t.Errorf("expected one plugin from %s, found exit %d, %v and %s", file, code, err, stdout)
	}
	broken := filepath.Join(dir, "broken.wasm")
	if err := os.WriteFile(broken, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := command(t, "plugins", "show", broken); code != exitFailed ||
		!strings.HasPrefix(stderr, broken+": ") {
		t.Errorf("expected exit 1 and what is wrong with %s, found exit %d and %s", broken, code, stderr)
	}
	const unreadable = "/proc/self/mem" // reading it fails, even for root
	if runtime.GOOS == "linux" {
		if code, _, stderr := command(t, "plugins", "show", unreadable); code != exitWrong {
			t.Errorf("expected exit 2, found exit %d and %s", code, stderr)
		}
	}
}

// JSON has all members of a plugin, and each plugin has a row.
func TestPluginsListHasPluginsWithoutComponents(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	dir := t.TempDir()
	writePlugin(t, filepath.Join(dir, "empty.wasm"), "empty", "")
	writePlugin(t, filepath.Join(dir, "one.wasm"), "one", "One")
	if err := os.WriteFile(filepath.Join(dir, "broken.wasm"), []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, stdout, stderr := command(t, "plugins", "list", "--plugins", dir)
	if !strings.Contains(stdout, "\nempty  1 ") {
		t.Errorf("expected a row for the plugin without components, found\n%s%s", stdout, stderr)
	}
	_, stdout, stderr = command(t, "plugins", "list", "--plugins", dir, "--json")
	var all []map[string]any
	if err := json.Unmarshal([]byte(stdout), &all); err != nil {
		t.Fatalf("%v in %s%s", err, stdout, stderr)
	}
	found := map[string][]string{}
	for _, p := range all {
		name := filepath.Base(p["from"].(string))
		for member := range p {
			found[name] = append(found[name], member)
		}
		slices.Sort(found[name])
		components, _ := p["components"].([]any)
		for _, c := range components {
			for member := range c.(map[string]any) {
				found[name] = append(found[name], "component."+member)
			}
		}
		slices.Sort(found[name])
	}
	members := []string{"components", "contract", "documentation", "from", "hash", "interfaces", "name", "version"}
	want := map[string][]string{"broken.wasm": {"from", "hash", "refused"}, "empty.wasm": members,
		"one.wasm": slices.Sorted(slices.Values(append([]string{"component.aliases", "component.class",
			"component.documentation", "component.kind", "component.settings"}, members...)))}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
