package config

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/java/pattern"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// An expression that times out is an error that names it, not a mismatch.
func TestExpressionTimeoutIsReported(t *testing.T) {
	p, err := pattern.Compile("(a|aa)+b")
	require.NoError(t, err)
	topic := strings.Repeat("a", 200)
	_, err = MatchesTopic(p, topic)
	assert.Error(t, err, topic, "names the topic")
	isMatch, err := MatchesTopic(p, "aab")
	assert.True(t, err == nil && isMatch, "expected aab to match, found %t, %v", isMatch, err)
}

// A sink creates a task for each that it may have, so the number is bounded, with Kafka Connect's message.
func TestSinkTasksAreBounded(t *testing.T) {
	for value, want := range map[string]bool{"1000": false, "1001": true, "2147483647": true} {
		connector, problems := NewConnector("x", []Entry{
			NewEntry("name", "x", "", 0),
			NewEntry("tasks.max", value, "", 0),
			NewEntry("topics", "t", "", 0),
		}, nil)
		require.True(t, problems.Err() == nil, "%v", problems)
		isRejected := func(kind wit.ComponentKind) bool {
			return slices.ContainsFunc(checkCommonRules(connector, kind),
				func(p Problem) bool { return p.Setting == "tasks.max" })
		}
		if isRejected(wit.ComponentSink) != want || isRejected(wit.ComponentSource) {
			t.Errorf("%s: expected only a sink to be rejected: sink rejected %t, source rejected %t", value,
				isRejected(wit.ComponentSink), isRejected(wit.ComponentSource))
		}
	}
}

// countingContext is a context that is canceled after this many checks of it.
type countingContext struct {
	context.Context
	checks int
	limit  int
}

func (c *countingContext) Err() error {
	c.checks++
	if c.checks > c.limit {
		return context.Canceled
	}
	return nil
}

// A check stops with a problem when its context ends.
func TestCheckStopsWithContext(t *testing.T) {
	component := wit.Component{Name: "c", Kind: wit.ComponentTransformation, Prefixes: []string{"mad."}}
	connector := &Connector{}
	for i := range 1000 {
		connector.Entries = append(connector.Entries, NewEntry(fmt.Sprintf("mad.p%d", i), "1", "", 0))
	}
	for name, check := range map[string]func(ctx context.Context) Problems{
		"connector": func(ctx context.Context) Problems { return checkComponent(ctx, Checker{}, connector, component) },
		"part": func(ctx context.Context) Problems {
			return checkStage(ctx, connector, "mad.", component)
		},
	} {
		unlimited := &countingContext{Context: context.Background(), limit: 1 << 30}
		check(unlimited)
		assert.True(t, unlimited.checks >= len(connector.Entries),
			"%s: expected a check of the context for each of %d settings, found %d", name, len(connector.Entries),
			unlimited.checks)
		for _, limit := range []int{0, 100, unlimited.checks - 1} {
			problems := check(&countingContext{Context: context.Background(), limit: limit})
			n := len(problems)
			assert.True(t, n != 0 && n <= limit+1 && problems.Err() != nil &&
				strings.Contains(problems[n-1].Text, "context canceled"),
				"%s: expected the check to stop after %d settings with a problem, found %d problems", name, limit, n)
		}
	}
}

// The lists of aliases are parsed once for a check, not for each setting of a transform or predicate.
func TestAliasesAreParsedOnceForACheck(t *testing.T) {
	const count = 100
	component := wit.Component{Name: "c", Kind: wit.ComponentSource}
	for _, list := range []string{"transforms", "predicates"} {
		for aliases, warnings := range map[string]int{strings.Repeat("a,", 150_000) + "a": 0, "a,b,a.q": 2 * count} {
			connector := &Connector{Entries: []Entry{NewEntry(list, aliases, "", 1)}}
			for i := range count {
				for _, alias := range []string{"a", "a.q", "qa", "q.a"} {
					key := fmt.Sprintf("%s.%s.%d", list, alias, i)
					connector.Entries = append(connector.Entries, NewEntry(key, "x", "", 2))
				}
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			problems := checkComponent(t.Context(), Checker{}, connector, component)
			runtime.ReadMemStats(&after)
			if used := after.TotalAlloc - before.TotalAlloc; used > 50<<20 {
				t.Errorf("%s: expected at most 50 MiB for a list of %d bytes and %d settings, found %d MiB", list,
					len(aliases), len(connector.Entries), used>>20)
			}
			noEffect := 0
			for _, p := range problems {
				if strings.HasPrefix(p.Text, "has no effect: "+list+" does not name q") {
					noEffect++
				}
			}
			assert.True(t, noEffect == warnings,
				"%s=%.9s: expected %d settings without effect, found %d", list, aliases, warnings, noEffect)
		}
	}
}

// With a declaration of thousands of long templates, the time to check a file with unknown keys does not grow with
// their product.
func TestHostileDeclarationsAreCheckedInTime(t *testing.T) {
	component := wit.Component{Name: "c", Kind: wit.ComponentSource, Prefixes: []string{"mad."}}
	for i := range 4_000 {
		component.Settings = append(component.Settings, wit.ConfigKey{Name: fmt.Sprintf("mad.%s%d.{a}.{b}",
			strings.Repeat("n", 150), i), Kind: wit.KindString})
	}
	for i := range 99 {
		component.Prefixes = append(component.Prefixes, fmt.Sprintf("p%d{a}.{b}", i))
	}
	connector := &Connector{}
	for i := range 500 {
		key := fmt.Sprintf("mad.%s%d.q", strings.Repeat("n", 140), i)
		connector.Entries = append(connector.Entries, NewEntry(key, "1", "", 0))
	}
	done := make(chan Problems, 1)
	go func() { done <- checkComponent(t.Context(), Checker{}, connector, component) }()
	select {
	case problems := <-done:
		unknown := 0
		for _, p := range problems {
			if !p.Warning && strings.HasPrefix(p.Text, "unknown setting") {
				unknown++
			}
		}
		assert.Equal(t, len(connector.Entries), unknown, "unknown settings")
	case <-time.After(10 * time.Minute): // many times the usual duration; without a bound it is an hour
		t.Fatal("expected the check to end in time")
	}
}

func tableOf(component wit.Component) *Declarations { return setting.NewComponentTable(&component) }

func checkComponent(ctx context.Context, ch Checker, connector *Connector, component wit.Component) Problems {
	return ch.CheckComponent(ctx, connector, component.Kind, tableOf(component))
}

func checkStage(ctx context.Context, connector *Connector, prefix string, component wit.Component) Problems {
	return Checker{}.CheckStage(ctx, connector, prefix, component.Name, tableOf(component))
}
