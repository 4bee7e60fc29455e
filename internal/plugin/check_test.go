package plugin_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/canon"
)

// checkFile checks a module file, and returns its findings as lines of text, too.
func checkFile(t *testing.T, path string) (*plugin.CheckResult, string) {
	t.Helper()
	c, err := plugin.Check(t.Context(), path, plugin.Options{CacheDir: cacheDir()})
	require.NoError(t, err)
	var text strings.Builder
	for _, f := range c.Findings {
		text.WriteString(f.String() + "\n")
	}
	return c, text.String()
}

func TestCheck(t *testing.T) {
	c, findings := checkFile(t, guesttest.Build(t, allGuest))
	assert.True(t, !c.Refused() && c.Info.Name == "all" &&
		strings.Contains(findings, "source org.example.AllSource: has no documentation") &&
		strings.Contains(findings, "panic: runtime error: index out of range") &&
		strings.Contains(findings, "source org.example.AllSource: validate returns nothing for the setting text"),
		"%+v %s", c, findings)
	m := c.Metered
	assert.True(t, m.BytesOut > c.Info.Size && m.Functions >= 1000 && m.Entries != 0 && m.Loops != 0 && m.Copies != 0 &&
		m.Leaves != 0, "expected a larger module with all kinds of metered code, found %+v", m)
	// Every function of the contract was called.
	calledFunctions := map[string]bool{}
	for _, call := range c.Calls {
		calledFunctions[call.Function] = true
		// The command panics without its option, which is a finding and no reason to reject the plugin.
		assert.True(t, call.Answer != "trap" || call.Function == "tools.run", "expected no trap, found %+v", call)
	}
	for _, i := range c.Info.Interfaces {
		for _, f := range canon.Functions(i) {
			assert.True(t, calledFunctions[i+"."+f.Name], "%s.%s was not called", i, f.Name)
		}
	}
	assert.Equal(t, 8, len(c.Info.Interfaces), "interfaces of the guest")
	_, err := plugin.Check(t.Context(), filepath.Join(t.TempDir(), "none.wasm"), plugin.Options{})
	assert.True(t, os.IsNotExist(err), "%v", err)
}

// Findings name the place and the reason.
func TestCheckFindings(t *testing.T) {
	static := wit.Description{Name: "s", Version: "1",
		Components: []wit.Component{{Name: "T", Kind: wit.ComponentTransformation}}}
	tails := hostile(2, constantBody([]byte{0x12, 0x00}))
	for name, c := range map[string]struct {
		module []byte
		want   string
		loaded bool
	}{
		"text":       {module: []byte("not found\n"), want: "load: not WebAssembly"},
		"tail calls": {module: tails.Bytes(), want: " (in function 3), which cannot be metered"},
		"traps": {
			module: guesttest.Static(static, "", wit.InterfaceTransform),
			want:   "plugin.validate transformation T: plugin s 1: validate: wasm error: unreachable", loaded: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.wasm")
			require.NoError(t, os.WriteFile(path, c.module, 0o600))
			got, findings := checkFile(t, path)
			assert.True(t, got.Refused() && strings.Contains(findings, c.want) && (got.Info.Err == nil) == c.loaded,
				"expected %q, found %v %s", c.want, got.Info.Err, findings)
		})
	}
	c, findings := checkFile(t, guesttest.Build(t, rogue))
	if !c.Refused() || !strings.Contains(findings,
		"transform.test: plugin rogue 1.0.0: test: matches: expected 0, one for each row, found 1") {
		t.Error(findings)
	}
}

// The total time of all calls is limited, whatever their number and duration.
func TestCheckTimeIsBounded(t *testing.T) {
	description := wit.Description{Name: "slow", Version: "1"}
	for n := range 1000 {
		description.Components = append(description.Components, wit.Component{Name: fmt.Sprint("T", n),
			Kind:          wit.ComponentTransformation,
			Documentation: "x"})
	}
	m := guesttest.StaticModule(description, "", wit.InterfaceTransform)
	m.Exports[m.Index(wit.ExportName(wit.InterfacePlugin, "validate"))].Body = endlessLoop()
	path := filepath.Join(t.TempDir(), "slow.wasm")
	require.NoError(t, os.WriteFile(path, m.Bytes(), 0o600))
	// On a busy machine, the work before the calls takes some seconds.
	timeout := time.Second
	options := plugin.Options{Settings: map[string]string{"plugin.slow.limits.call.ms": "3600000"}}
	c, err := plugin.CheckWithin(t.Context(), path, options, timeout)
	for err == nil && len(c.Calls) == 0 && timeout < 2*time.Minute {
		timeout *= 2
		c, err = plugin.CheckWithin(t.Context(), path, options, timeout)
	}
	require.NoError(t, err)
	want := plugin.Finding{Refused: true, Where: "all calls",
		Text: fmt.Sprintf("expected compiling and all calls to take at most %v together: 1 calls were made, "+
			"the others were not tried", timeout)}
	assert.True(t, len(c.Findings) == 1 && c.Findings[0] == want && len(c.Calls) == 1 && c.Info.Name == "slow",
		"expected only the call of describe and the finding %+v, found the calls %+v and findings %+v", want, c.Calls,
		c.Findings)
	// Compiling counts toward the time.
	c, err = plugin.CheckWithin(t.Context(), path, plugin.Options{}, time.Nanosecond)
	assert.True(t, err == nil && c.Refused() && len(c.Findings) == 1 &&
		strings.HasPrefix(c.Findings[0].String(), "load: expected compiling and describe to take at most 1ns"),
		"%v, %+v", err, c.Findings)
	assert.Equal(t, time.Minute, plugin.CheckTime, "the time limit in the help of plugins check")
}

// A plugin without faults passes all calls: they receive the contexts that open and prepare returned.
func TestCheckPassesExample(t *testing.T) {
	c, findings := checkFile(t, guesttest.Build(t, "../../examples/plugin-transform"))
	assert.True(t, !c.Refused() && findings == "", "%v", findings)
	for _, call := range c.Calls {
		assert.Equal(t, "answered", call.Answer, call)
	}
}

// commandsOf returns the path of a module with these commands.
func commandsOf(t *testing.T, commands ...wit.Command) string {
	t.Helper()
	m := guesttest.StaticModule(wit.Description{Name: "c", Version: "1"}, "", wit.InterfaceTools)
	m.Answer(wit.InterfaceTools, "Commands", commands)
	path := filepath.Join(t.TempDir(), "c.wasm")
	require.NoError(t, os.WriteFile(path, m.Bytes(), 0o600))
	return path
}

func TestCheckOfInvalidCommands(t *testing.T) {
	option := func(name string, aliases ...string) wit.ConfigKey {
		key := wit.ConfigKey{Name: name}
		for _, a := range aliases {
			key.Rules = append(key.Rules, wit.Rule{Alias: &a})
		}
		return key
	}
	many := make([]wit.Command, plugin.MaxCommands+1)
	for want, commands := range map[string][]wit.Command{
		"": {{Name: "look", Options: []wit.ConfigKey{option("service", "s"), option("deep")}}, {Name: "look-twice"}},
		"command look, option --data: expected another name, since culvert adds an option --data to every command": {
			{Name: "look", Options: []wit.ConfigKey{option("data")}}},
		"command look, option -p: expected another name, since culvert adds an option -p to every command": {
			{Name: "look", Options: []wit.ConfigKey{option("place", "p")}}},
		"command look, option -h: ": {{Name: "look", Options: []wit.ConfigKey{option("host", "h")}}},
		"command look, option -s: expected unique names and letters": {{Name: "look",
			Options: []wit.ConfigKey{option("service", "s"), option("set-of", "s")}}},
		`command look, option "a b": expected a name`: {
			{Name: "look", Options: []wit.ConfigKey{option("a b")}},
		},
		`command "": expected a unique name`:                                         {{Name: ""}},
		`command "--look": expected a unique name`:                                   {{Name: "--look"}},
		`command "look": expected a unique name of letters, digits, dots and dashes`: {{Name: "look"}, {Name: "look"}},
		"command run: expected another name, since culvert has a command run":        {{Name: "look"}, {Name: "run"}},
		"commands: expected at most 100, found 101":                                  many,
	} {
		c, findings := checkFile(t, commandsOf(t, commands...))
		if want == "" {
			// Its commands are valid; all other calls trap in this guest.
			assert.NoError(t, c.Info.Err)
			continue
		}
		assert.True(t, c.Info.Err != nil && strings.HasPrefix(findings, "load: "+want) &&
			strings.Count(findings, "\n") == 1, "expected %q once, found %s", want, findings)
	}
}

// componentWith describes a plugin whose only component is of this kind and has these settings.
func componentWith(kind wit.ComponentKind, settings ...wit.ConfigKey) wit.Description {
	return wit.Description{Name: "k", Version: "1", Components: []wit.Component{{Name: "K", Kind: kind,
		Documentation: "x", Settings: settings}}}
}

// transformationWith describes a plugin whose only component is a transformation with these settings.
func transformationWith(settings ...wit.ConfigKey) wit.Description {
	return componentWith(wit.ComponentTransformation, settings...)
}

// findingCase is a description of a plugin, and what Check finds in it.
type findingCase struct {
	description wit.Description
	want        string // a part of the findings
}

func findingCases() map[string]findingCase {
	long := strings.Repeat("x", 300)
	repeated := transformationWith(wit.ConfigKey{Name: "a"}, wit.ConfigKey{Name: "a"}, wit.ConfigKey{Name: "a"})
	transform := wit.Component{Name: "K0", Kind: wit.ComponentTransformation}
	withRole := func(role string) []wit.Rule { return []wit.Rule{{Role: &role}} }
	return map[string]findingCase{
		"an unknown role": {
			description: componentWith(wit.ComponentSource, wit.ConfigKey{Name: "a", Rules: withRole("http.adress")}),
			want:        "source K: setting a",
		},
		"a source without address": {
			description: componentWith(wit.ComponentSource),
			want:        "source K: no setting has the role http.address",
		},
		"a secret without role": {
			description: componentWith(wit.ComponentSource, wit.ConfigKey{Name: "a", Kind: wit.KindPassword}),
			want:        "is a password without a role",
		},
		"a role of a transform": {
			description: transformationWith(wit.ConfigKey{Name: "a", Rules: withRole("http.address")}),
			want:        "has the role http.address: only settings of sources and sinks have roles",
		},
		"a role twice": {
			description: componentWith(wit.ComponentSource, wit.ConfigKey{Name: "a", Rules: withRole("http.address")},
				wit.ConfigKey{Name: "b", Rules: withRole("http.address")}),
			want: "has the role http.address, which a has",
		},
		"no name": {description: wit.Description{Version: "1"}, want: "load: describe: expected a name and a version"},
		"a long name": {
			description: wit.Description{Name: long, Version: "1"},
			want:        "load: describe: expected a name and a version of at most 200 bytes, found one of 300",
		},
		"no version": {
			description: wit.Description{Name: "k"},
			want:        `load: describe: expected a name and a version, found "k" and ""`,
		},
		"a long alias": {
			description: wit.Description{Name: "k", Version: "1", Components: []wit.Component{{Name: "K",
				Kind: wit.ComponentTransformation, Aliases: []string{long}}}},
			want: "...: expected names of at most 200 bytes, found one of 300",
		},
		"an alias twice": {
			description: wit.Description{Name: "k", Version: "1", Components: []wit.Component{{Name: "K",
				Kind: wit.ComponentTransformation, Aliases: []string{"K"}}}},
			want: `load: describe: component "K": expected unique names that are not empty, found "K"`,
		},
		"placeholders": {
			description: transformationWith(wit.ConfigKey{Name: "a{n}{m}{o}"}),
			want:        `load: describe: component K, setting "a{n}{m}{o}": expected at most 2 placeholders`,
		},
		"a wrong pattern": {
			description: transformationWith(wit.ConfigKey{Name: "a", Rules: []wit.Rule{{Pattern: wit.Ptr("(?=x)")}}}),
			want:        "transformation K: setting a: expected an RE2 pattern",
		},
		"a name thrice": {
			description: repeated,
			want:        `transformation K: expected unique setting names that are not empty, found "a"`,
		},
		"a world missing": {
			description: wit.Description{Name: "k", Version: "1", Components: []wit.Component{{Name: "S",
				Kind: wit.ComponentSink}}},
			want: `load: describe: component "S" is a sink: expected the interface sink`,
		},
		"a component twice": {
			description: wit.Description{Name: "k", Version: "1", Components: []wit.Component{transform, transform}},
			want:        `load: describe: component "K0": expected unique names that are not empty`,
		},
		"a default of another kind": {
			description: transformationWith(wit.ConfigKey{Name: "a", Kind: wit.KindInt, DefaultValue: wit.Ptr("soon")}),
			want:        `transformation K: the default of "a" is not a valid value: `,
		},
		"a default beyond a rule": {
			description: transformationWith(wit.ConfigKey{Name: "a", DefaultValue: wit.Ptr("c"),
				Rules: []wit.Rule{{Allowed: &[]string{"a", "b"}}}}),
			want: `transformation K: the default of "a" is not a valid value: `,
		},
	}
}

// assertFoundOnce runs Check on a plugin with this description, and expects a text once in the findings.
func assertFoundOnce(t *testing.T, description wit.Description, want string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "k.wasm")
	module := guesttest.Static(description, "", wit.InterfaceTransform, wit.InterfaceSource)
	require.NoError(t, os.WriteFile(path, module, 0o600))
	_, findings := checkFile(t, path)
	assert.True(t, strings.Count(findings, want) == 1, "expected %q once, found\n%s", want, findings)
}

// Check finds each kind of problem once, including those that loading rejects.
func TestCheckFindsEachKindOnce(t *testing.T) {
	for name, c := range findingCases() {
		t.Run(name, func(t *testing.T) { assertFoundOnce(t, c.description, c.want) })
	}
}

// Check finds control characters in each text of a description, once each.
func TestCheckFindsControlCharacters(t *testing.T) {
	escapes := transformationWith(wit.ConfigKey{Name: "a\x1b[2J", Documentation: "\u202edoc",
		DefaultValue: wit.Ptr("\x07")})
	escapes.Components[0].Settings[0].Rules = []wit.Rule{{Allowed: &[]string{"\x07", "\x1b"}},
		{DisplayName: wit.Ptr("\x1b[2J")}}
	escapes.Components[0].Aliases = []string{"L\x1b[2J"}
	escapes.Components[0].Prefixes = []string{"k\x1b."}
	escapes.Components[0].Name = "K\u200b"
	escapes.Documentation = "\x1b]0;title\x07"
	const component = "transformation K\u200b: "
	for name, want := range map[string]string{
		"an alias":         component + `the alias "L\x1b[2J" contains control characters`,
		"a prefix":         component + `the prefix "k\x1b." contains control characters`,
		"an allowed value": component + `the allowed value of "a\x1b[2J" contains control characters`,
		"a display name":   component + `the display name of "a\x1b[2J" contains control characters`,
		"documentation":    "plugin.describe: the documentation contains control characters",
		"a setting":        component + "the name of a setting contains control characters",
		"a default":        component + `the default of "a\x1b[2J" contains control characters`,
		"a class":          component + "the name contains control characters",
	} {
		t.Run(name, func(t *testing.T) { assertFoundOnce(t, escapes, want) })
	}
}

// Check finds control characters in the texts of commands.
func TestCheckReadsCommandTexts(t *testing.T) {
	option := wit.ConfigKey{Name: "deep", Documentation: "\x1b]0;title\x07",
		Rules: []wit.Rule{{Allowed: &[]string{"\u202ea"}}}}
	_, findings := checkFile(t, commandsOf(t, wit.Command{Name: "look", Usage: "\x1b[2J",
		Options: []wit.ConfigKey{option}}))
	for _, want := range []string{"command look: the usage contains",
		`command look: the documentation of "deep" contains`,
		`command look: the allowed value of "deep" contains`} {
		assert.Equal(t, 1, strings.Count(findings, want), want, "found in", findings)
	}
}
