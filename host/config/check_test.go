package config

import (
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/plugins/smt/pattern"
	"github.com/culvert-project/culvert/wit"
)

// An expression that goes back and forth is named, and is not taken for one that does not match.
func TestExpressionWithoutEndIsNamed(t *testing.T) {
	p, err := pattern.Compile("(a|aa)+b")
	if err != nil {
		t.Fatal(err)
	}
	topic := strings.Repeat("a", 200)
	if _, err := TakesTopic(p, topic); err == nil || !strings.Contains(err.Error(), topic) {
		t.Errorf("expected an error that names the topic, found %v", err)
	}
	if takes, err := TakesTopic(p, "aab"); err != nil || !takes {
		t.Errorf("expected aab to match, found %v", err)
	}
}

// What a plugin says of a value behind a reference is not shown where it repeats some of it.
func TestToldOfSecrets(t *testing.T) {
	for _, c := range []struct {
		value, text string
		secret, hid bool
	}{
		{"geheim", "Invalid type found in casting spec: geheim", true, true},
		{"geheim", "Invalid type found in casting spec: geheim", false, false},
		{"a:geheim,b", "unknown type eheim", true, true},
		{"abc", "expected a number, found abc", true, true},
		{"abc", "expected a number", true, false},
		{"", "expected something", true, false},
		{"0 0 12 * *", "expected six fields", true, false},
	} {
		e := Entry{Value: c.value, Secret: c.secret}
		if got := e.Told(c.text); (got != c.text) != c.hid {
			t.Errorf("%q of %q: found %q", c.text, c.value, got)
		}
	}
}

// A sink makes a task for each that it may have: the number is bounded, with Kafka Connect's wording.
func TestSinkTasksAreBounded(t *testing.T) {
	for value, want := range map[string]bool{"1000": false, "1001": true, "2147483647": true} {
		c, problems := NewConnector("x", []Entry{{Key: "name", Value: "x", Raw: "x"}, {Key: "tasks.max", Value: value,
			Raw: value},
			{Key: "topics", Value: "t", Raw: "t"}}, nil)
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
