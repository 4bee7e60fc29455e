package chain

import (
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/java/pattern"
	"github.com/culvert-project/culvert/plugins/smt/predicates"
	"github.com/culvert-project/culvert/plugins/smt/rowerror"
	"github.com/culvert-project/culvert/plugins/smt/transforms/topics"
	"github.com/culvert-project/culvert/wit"
)

// If a regular expression times out for a topic, its records fail at the stage. Other topics are not affected.
func TestPatternTimeoutFailsRow(t *testing.T) {
	const regex = "(a|aa)+b|fine" // exponential backtracking
	endless := strings.Repeat("a", 60)
	byTopic := &wit.Condition{Component: ClassTopicNameMatch, Settings: pairs("pattern", regex)}
	negated := *byTopic
	negated.Negate = true
	route := stageOf(ClassRegexRouter, "regex", regex, "replacement", "other")
	drop := stageOf(ClassDropHeaders, "headers", "h")
	when := func(stage wit.Stage, c *wit.Condition) wit.Stage { stage.Condition = c; return stage }
	call := testCall{topics: []string{endless, "fine"}, rows: []wit.Row{{Topic: 0}, {Topic: 1}}}
	for name, test := range map[string]struct {
		stages []wit.Stage
		at     uint32
	}{
		"router":                  {[]wit.Stage{route}, 0},
		"router behind another":   {[]wit.Stage{drop, route}, 1},
		"predicate of the topic":  {[]wit.Stage{drop, when(wit.Stage{Component: ClassFilter}, &negated)}, 1},
		"predicate of the record": {[]wit.Stage{drop, when(drop, byTopic)}, 1},
	} {
		engine, context := prepared(t, test.stages...)
		chain, err := engine.chain(context)
		noError(t, err)
		hasten(chain)
		out, faults := apply(t, engine, context, nil, call)
		if len(out.rows) != 1 || out.rows[0].RowIndex != call.rows[1].RowIndex || len(faults) != 1 {
			t.Errorf("%s: expected the row of the second topic and one failure, found %v, %v", name, out.rows, faults)
			continue
		}
		if f := faults[0]; f.Stage != test.at || f.ErrorClass != rowerror.ConnectException ||
			!strings.Contains(f.Error.Message, "topic \""+endless) {
			t.Errorf("%s: %+v", name, f)
		}
	}

	engine, context := prepared(t, wit.Stage{Component: byTopic.Component, Settings: byTopic.Settings})
	chain, err := engine.chain(context)
	noError(t, err)
	hasten(chain)
	tested, err := engine.Test(context, nil, call.topics, call.rows, nil)
	if err != nil || len(tested.Errors) != 1 || tested.Errors[0].RowIndex != 0 || tested.Matches[0] ||
		!tested.Matches[1] {
		t.Errorf("test: expected the first row to fail and the second to match, found %+v, %v", tested, err)
	}
}

// hasten sets a timeout for the expressions of a chain. In production, the host ends the call.
func hasten(chain *compiledChain) {
	within := func(p pattern.Pattern) { p.WithTimeout(time.Millisecond) }
	if test, ok := chain.test.(*predicates.TopicNameMatches); ok {
		within(test.Pattern)
	}
	for i := range chain.stages {
		if when, ok := chain.stages[i].Predicate.(*predicates.TopicNameMatches); ok {
			within(when.Pattern)
		}
		if o, ok := chain.stages[i].Operation.(*topics.RegexRouter); ok {
			within(o.Pattern)
		}
	}
}
