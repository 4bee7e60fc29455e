package config

import (
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/java/pattern"
)

// An expression that goes back and forth is named, and is not taken for one that does not match.
func TestExpressionWithoutEndIsNamed(t *testing.T) {
	p, err := pattern.Compile("(a|aa)+b")
	require.NoError(t, err)
	topic := strings.Repeat("a", 200)
	if _, err := TakesTopic(p, topic); err == nil || !strings.Contains(err.Error(), topic) {
		t.Errorf("expected an error that names the topic, found %v", err)
	}
	if takes, err := TakesTopic(p, "aab"); err != nil || !takes {
		t.Errorf("expected aab to match, found %v", err)
	}
}

// A sink makes a task for each that it may have: the number is bounded, with Kafka Connect's wording.
func TestSinkTasksAreBounded(t *testing.T) {
	for value, want := range map[string]bool{"1000": false, "1001": true, "2147483647": true} {
		c, problems := NewConnector("x", []Entry{NewEntry("name", "x", "", 0), NewEntry("tasks.max", value, "", 0),
			NewEntry("topics", "t", "", 0)}, nil)
		if problems.Err() != nil {
			t.Fatal(problems)
		}
		refused := func(kind wit.ComponentKind) bool {
			return slices.ContainsFunc(frameRules(c, kind), func(p Problem) bool { return p.Setting == "tasks.max" })
		}
		if refused(wit.ComponentSink) != want || refused(wit.ComponentSource) {
			t.Errorf("%s: a sink is refused: %t, a source %t", value, refused(wit.ComponentSink),
				refused(wit.ComponentSource))
		}
	}
}
