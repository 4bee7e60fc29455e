package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/wit"
)

// writePlugin writes a plugin with a name. If class is not empty, it has a source.
func writePlugin(t *testing.T, file, name, class string) {
	t.Helper()
	d := wit.Description{Name: name, Version: "1"}
	if class != "" {
		d.Components = []wit.Component{{Name: class, Kind: wit.ComponentSource}}
	}
	require.NoError(t, os.WriteFile(file, guesttest.Static(d, "", wit.InterfaceSource), 0o600))
}

// A single file is shown, whatever its extension and its neighbours.
func TestPluginsShowOpensSingleFile(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	dir := t.TempDir()
	file := filepath.Join(dir, "candidate.bin")
	writePlugin(t, file, "same", "Mine")
	writePlugin(t, filepath.Join(dir, "sibling.wasm"), "same", "Other")
	code, stdout, stderr := command(t, "plugins", "show", file)
	assert.True(t, code == exitDone && strings.Contains(stdout, "Mine") && !strings.Contains(stdout, "Other"),
		"expected only Mine, found exit %d and %s%s", code, stdout, stderr)
	code, stdout, _ = command(t, "plugins", "show", file, "--json")
	var shown []struct{ From string }
	err := json.Unmarshal([]byte(stdout), &shown)
	assert.True(t, err == nil && code == exitDone && len(shown) == 1 && shown[0].From == file,
		"expected one plugin from %s, found exit %d, %v and %s", file, code, err, stdout)
	broken := filepath.Join(dir, "broken.wasm")
	require.NoError(t, os.WriteFile(broken, []byte("text"), 0o600))
	code, _, stderr = command(t, "plugins", "show", broken)
	assert.True(t, code == exitFailed && strings.HasPrefix(stderr, broken+": "),
		"expected exit 1 and what is wrong with %s, found exit %d and %s", broken, code, stderr)
	const unreadable = "/proc/self/mem" // reading it fails, even for root
	if runtime.GOOS == "linux" {
		code, _, stderr := command(t, "plugins", "show", unreadable)
		assert.True(t, code == exitWrong, "expected exit 2, found exit %d and %s", code, stderr)
	}
}

// JSON has all members of a plugin, and each plugin has a row.
func TestPluginsListHasPluginsWithoutComponents(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	guesttest.ShareCode(t, filepath.Join(cache, "culvert"))
	dir := t.TempDir()
	writePlugin(t, filepath.Join(dir, "empty.wasm"), "empty", "")
	writePlugin(t, filepath.Join(dir, "one.wasm"), "one", "One")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "broken.wasm"), []byte("text"), 0o600))
	_, stdout, stderr := command(t, "plugins", "list", "--plugins", dir)
	if !regexp.MustCompile(`(?m)^empty +1 `).MatchString(stdout) { // built-in plugins make the column wider
		t.Errorf("expected a row for the plugin without components, found\n%s%s", stdout, stderr)
	}
	_, stdout, stderr = command(t, "plugins", "list", "--plugins", dir, "--json")
	var plugins []map[string]any
	require.NoError(t, json.Unmarshal([]byte(stdout), &plugins), "in", stdout, stderr)
	membersByFile := map[string][]string{}
	for _, p := range plugins {
		name := filepath.Base(p["from"].(string))
		if strings.HasPrefix(name, "embedded:") {
			continue // built into the program by make
		}
		for member := range p {
			membersByFile[name] = append(membersByFile[name], member)
		}
		slices.Sort(membersByFile[name])
		components, _ := p["components"].([]any)
		for _, c := range components {
			for member := range c.(map[string]any) {
				membersByFile[name] = append(membersByFile[name], "component."+member)
			}
		}
		slices.Sort(membersByFile[name])
	}
	members := []string{"components", "contract", "documentation", "from", "hash", "interfaces", "name", "version"}
	componentMembers := []string{"component.aliases", "component.class", "component.documentation", "component.kind",
		"component.settings"}
	want := map[string][]string{
		"broken.wasm": {"from", "hash", "refused"},
		"empty.wasm":  members,
		"one.wasm":    slices.Concat(componentMembers, members), // sorted
	}
	assert.Equal(t, want, membersByFile)
}

// hostile clears a screen, sets a title, changes the text direction, is invalid UTF-8 when truncated, and looks like a
// log line.
const hostile = "\x1b[2J\x1b]0;title\x07\u009b31m\u202egro\u200b.evil\ntime=2026-01-01T00:00:00Z " +
	"level=INFO msg=\"all is well\""

// expectSafeText fails if a terminal would interpret the text, or if it looks like a log line of the worker.
func expectSafeText(t *testing.T, name, output string) {
	t.Helper()
	for _, r := range output {
		if r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
			t.Errorf("%s: found %q in\n%q", name, r, output)
			return
		}
	}
	assert.True(t, !strings.Contains("\n"+output, "\ntime=2026-01-01"), "%s: found a hostile line in\n%s", name, output)
	for line := range strings.Lines(output) {
		assert.True(t, len(line) <= 20_000, "%s: found a line of %d bytes", name, len(line))
	}
}

// writeTalker writes a plugin with long hostile text in every field, and the file of a connector that uses it.
func writeTalker(t *testing.T, p *e2etest.Place) (folder, connector string) {
	t.Helper()
	folder = p.Subfolder("talker")
	long := hostile + strings.Repeat("long ", 10_000)
	d := wit.Description{Name: "talker" + hostile, Version: "1" + hostile, Documentation: long[:8_000],
		Components: []wit.Component{{
			Name: "Talker", Prefixes: []string{"talk."}, Aliases: []string{"T" + hostile}, Kind: wit.ComponentSource,
			Documentation: long[:4_000], Settings: []wit.ConfigKey{
				{Name: "talk." + hostile, DefaultValue: wit.Ptr(long[:8_000]), Documentation: long[:8_000]},
				{Name: "talk.host", Rules: []wit.Rule{{Role: wit.Ptr("http.address")}}},
				{Name: "talk.port", Kind: wit.KindInt, Rules: []wit.Rule{{Role: wit.Ptr("http.port")}}},
				{Name: "talk.scheme", Rules: []wit.Rule{{Role: wit.Ptr("http.scheme")}}}}}}}
	m := guesttest.StaticModule(d, "", wit.InterfaceSource, wit.InterfaceTools)
	m.Answer(wit.InterfaceTools, "Commands", []wit.Command{{Name: "talk", Usage: hostile,
		Options: []wit.ConfigKey{{Name: "loud", Documentation: hostile, DefaultValue: wit.Ptr(hostile)}}},
		{Name: "ask", Options: []wit.ConfigKey{{Name: "must", Documentation: hostile,
			Rules: []wit.Rule{{Required: wit.Set}}},
			{Name: "one", Rules: []wit.Rule{{Allowed: &[]string{"a", hostile}}}}}}})
	document, err := json.Marshal(map[string]any{"say": hostile, hostile: []map[string]any{{hostile: hostile}}})
	require.NoError(t, err)
	// Marshal escapes only what JSON requires. A plugin need not escape anything.
	raw := strings.NewReplacer(`\u009b`, "\u009b", `\u202e`, "\u202e", `\u200b`, "\u200b").Replace(string(document))
	m.Answer(wit.InterfaceTools, "Run", wit.CommandResult{Document: &raw})
	e2etest.WriteFile(t, folder, "talker.wasm", m.Bytes())
	return folder, p.File("talker.properties", "name=talker", "connector.class=Talker", "talk.host=127.0.0.1",
		"talk.port=1", "talk.scheme=http")
}

func TestPluginTextIsPrintedSafely(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	folder, connector := writeTalker(t, p)
	file := filepath.Join(folder, "talker.wasm")
	for _, args := range [][]string{
		{"plugins", "list", "--plugins", folder},
		{"plugins", "show", file},
		{"plugins", "check", file},
		{"plugins", "list", "--plugins", folder, "--log-level", "debug"},
		{"validate", "--plugins", folder, connector},
		{"validate", "--plugins", folder, "--json", connector},
		{"run", "--once", "--plugins", folder, "--data", p.Data, connector},
		{"talk", "-p", connector, "--plugins", folder, "--data", p.Data},
		{"talk", "-p", connector, "--plugins", folder, "--data", p.Data, "--help"},
		{"ask", "-p", connector, "--plugins", folder, "--data", p.Data},
		{"ask", "-p", connector, "--plugins", folder, "--data", p.Data, "--must", "x", "--one", "x"},
		{"quiet", "-p", connector, "--plugins", folder, "--data", p.Data},
	} {
		r := p.Run(args...)
		expectSafeText(t, strings.Join(args, " ")+", stdout", r.Stdout)
		expectSafeText(t, strings.Join(args, " ")+", stderr", r.Stderr)
		assert.True(t, args[0] != "talk" || (r.Code == 0 && strings.Contains(r.Stdout, "evil")),
			"%q: expected exit 0 and evil in the output, found exit %d\n%s%s", args, r.Code, r.Stdout, r.Stderr)
	}
	// JSON keeps the text unchanged.
	r := p.Run("talk", "-p", connector, "--plugins", folder, "--data", p.Data, "--json")
	expectSafeText(t, "talk --json", r.Stdout)
	var document struct{ Say string }
	if err := json.Unmarshal([]byte(r.Stdout), &document); err != nil || document.Say != hostile {
		t.Errorf("%v: expected %q, found %q in %s", err, hostile, document.Say, r.Stdout)
	}
	r = p.Run("plugins", "show", file, "--json")
	expectSafeText(t, "show --json", strings.ReplaceAll(r.Stdout, "long ", ""))
	var list []struct{ Name string }
	err := json.Unmarshal([]byte(r.Stdout), &list)
	assert.True(t, err == nil && len(list) == 1 && list[0].Name == "talker"+hostile,
		"expected one plugin with the hostile name, found %v, %.2000s", err, r.Stdout)
	// `plugins check` warns about the documentation.
	if r := p.Run("plugins", "check", file); !strings.Contains(r.Stdout, "documentation contains control characters") {
		t.Errorf("expected the warning, found exit %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
}

// The option names that plugins must not use are the options of the command line.
func TestReservedOptionsMatchCommandLine(t *testing.T) {
	c := &cobra.Command{Use: "x"}
	commonFlags(c, &installation{}, &output{}, new(string), new(time.Duration))
	c.InitDefaultHelpFlag()
	var names []string
	c.Flags().VisitAll(func(f *pflag.Flag) {
		names = append(names, f.Name)
		if f.Shorthand != "" {
			names = append(names, f.Shorthand)
		}
	})
	slices.Sort(names)
	assert.Equal(t, plugin.ReservedOptions, names)
}

// The command names that plugins must not use are the commands of the command line.
func TestReservedCommandsMatchCommandLine(t *testing.T) {
	root := newRoot(t.Context(), nil)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	pluginCommands := []string{"ping", "doctor"} // which plugins declare and culvert runs
	for _, c := range builtInTools() {
		pluginCommands = append(pluginCommands, c.Name())
	}
	var names []string
	for _, c := range root.Commands() {
		if !slices.Contains(pluginCommands, c.Name()) {
			names = append(names, c.Name())
		}
	}
	slices.Sort(names)
	assert.Equal(t, plugin.ReservedCommands, names)
}
