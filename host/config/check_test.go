package config

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/plugins/smt/pattern"
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
