package plugin

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/wit"
)

func TestDescriptionListsAreBounded(t *testing.T) {
	settings := func(n int, spec wit.ConfigKey) *wit.Description {
		component := wit.Component{Name: "c"}
		for range n {
			component.Settings = append(component.Settings, spec)
		}
		return &wit.Description{Components: []wit.Component{component}}
	}
	pattern := func(p string) wit.ConfigKey { return wit.ConfigKey{Name: "s", Rules: []wit.Rule{{Pattern: &p}}} }
	for want, description := range map[string]*wit.Description{
		"": settings(5000, wit.ConfigKey{Name: "shop#{n}.of#{m}",
			Rules: []wit.Rule{{Alias: wit.Ptr("a{name}")}}}),
		"at most 20000 settings":        settings(20_001, wit.ConfigKey{Name: "s"}),
		"at most 1000 patterns":         settings(1001, pattern("a*")),
		"pattern of at most 1000 bytes": settings(1, pattern(strings.Repeat("a", 1001))),
		"at most 2 placeholders":        settings(1, wit.ConfigKey{Name: "a{n}.{m}.{name}"}),
		"placeholders, each once":       settings(1, wit.ConfigKey{Name: "a{n}.{n}"}),
		"alias \"a{n}{m}{name}\"": settings(1, wit.ConfigKey{Name: "s",
			Rules: []wit.Rule{{Alias: wit.Ptr("a{n}{m}{name}")}}}),
		"prefix \"p{a}{b}{c}\"":           {Components: []wit.Component{{Name: "c", Prefixes: []string{"p{a}{b}{c}"}}}},
		"at most 100 prefixes, found 101": {Components: []wit.Component{{Name: "c", Prefixes: make([]string, 101)}}},
		"at most 200 bytes, found 300":    settings(1, wit.ConfigKey{Name: strings.Repeat("n", 300)}),
		"at most 4194304 bytes of text": settings(5, wit.ConfigKey{Name: "s", Documentation: strings.Repeat("d",
			1<<20)}),
		"at most 1000 components": {Components: []wit.Component{{Name: "c", Aliases: make([]string, 1000)}}},
		"rules and aliases, found 100002": settings(1, wit.ConfigKey{Name: "s",
			Rules: []wit.Rule{{Allowed: wit.Ptr(make([]string, 100_000))}}}),
	} {
		assert.ErrorOrNone(t, checkLists(t.Context(), description), want)
	}
}

// Checking a description ends when its context is canceled.
func TestDescriptionCheckEndsWithContext(t *testing.T) {
	long := &wit.Description{Name: "n", Version: "1",
		Components: []wit.Component{{Name: "c", Settings: make([]wit.ConfigKey, 3*checkEvery)}}}
	mod := &module{info: Info{Interfaces: []string{wit.InterfaceSource}}}
	require.NoError(t, mod.checkDescription(t.Context(), long))
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	assert.ErrorIs(t, mod.checkDescription(canceled, long), context.Canceled)
}

func TestOffsetsAreBounded(t *testing.T) {
	entryOf := func(n int) wit.OffsetEntry { return wit.StringEntry("link", strings.Repeat("x", n)) }
	for want, fields := range map[string][]wit.OffsetEntry{
		"":                           {entryOf(60_000), wit.IntegerEntry("n", 1)},
		"at most 65536 bytes":        {entryOf(65_530)},
		"found \"a\" twice":          {wit.IntegerEntry("a", 1), wit.StringEntry("b", ""), wit.NullEntry("a")},
		"next: expected at most 655": make([]wit.OffsetEntry, 100_000),
	} {
		for i := range fields {
			if fields[i].Name == "" {
				fields[i].Name = fmt.Sprint(i)
			}
		}
		assert.ErrorOrNone(t, CheckOffset("next", fields), want)
	}
	assert.Error(t, checkFeeds(make([]wit.Feed, maxFeeds+1)), "at most 10000 feeds, found 10001")
}

// Results that the host stores or iterates over repeatedly are limited.
func TestStoredResultsAreBounded(t *testing.T) {
	textOf := func(n int) string { return strings.Repeat("x", n) }
	for want, check := range map[string]func(more int) error{
		"at most 10000 tasks": func(more int) error {
			return checkPlan(&wit.PlanResult{Tasks: make([][]wit.Setting, 10_000+more)})
		},
		"at most 10000 claims": func(more int) error {
			return checkPlan(&wit.PlanResult{Claims: make([]string, 10_000+more)})
		},
		"at most 1048576 bytes of claims": func(more int) error {
			return checkPlan(&wit.PlanResult{Claims: []string{textOf(1 << 19), textOf(1<<19 + more)}})
		},
		"at most 65536 bytes of name, topic, cron and fingerprint": func(more int) error {
			return checkFeeds([]wit.Feed{{Name: textOf(1 << 14), Topic: textOf(1 << 14), Cron: wit.Ptr(textOf(1 << 14)),
				Fingerprint: textOf(1<<14 + more)}})
		},
		"at most 100000 settings": func(more int) error {
			return checkConfigValues(make([]wit.ConfigValue, 100_000+more))
		},
		"at most 10000 rows for a notification": func(more int) error {
			return checkTriggers(make([]wit.Trigger, 10_000+more))
		},
		"at most 4096 bytes in token and ident of a notification": func(more int) error {
			return checkTriggers([]wit.Trigger{{Token: textOf(2048), Ident: textOf(2048 + more)}})
		},
		"done: expected at most 65536 bytes": func(more int) error {
			return checkDone(&wit.CallResult{Done: wit.Ptr(textOf(65_536 + more))})
		},
		"hint of at most 16384 bytes": func(more int) error {
			return checkHints([]wit.RowResult{{Written: wit.Set}, {Retry: &wit.Retry{Hint: textOf(16_384 + more)}}})
		},
	} {
		assert.NoError(t, check(0), want, "results within the limits")
		assert.Error(t, check(1), want)
	}
}

// A validation with very many errors returns the first ones and does not fail.
func TestValidationErrorsAreBounded(t *testing.T) {
	for _, more := range []int{0, 1, 700} {
		values := []wit.ConfigValue{
			{Errors: make([]string, 500)},
			{},
			{Errors: make([]string, 500+more)},
			{Errors: make([]string, more)},
		}
		require.NoError(t, checkConfigValues(values))
		assert.Equal(t, 500, len(values[0].Errors))
		assert.Equal(t, 500, len(values[2].Errors))
		assert.Equal(t, 0, len(values[3].Errors))
	}
}
