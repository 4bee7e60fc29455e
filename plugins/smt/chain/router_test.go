package chain

import (
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/java/pattern"
)

// A match that does not come to an end is no answer: the record fails at its stage, as does its row where a predicate
// is asked for other modules. A second topic, of which the same expression is sure, goes on.
func TestMatchesWithoutAnswer(t *testing.T) {
	const regex = "(a|aa)+b|fine" // tries every way to divide the letters before it says no
	endless := strings.Repeat("a", 60)
	byTopic := &wit.Condition{Component: ClassTopicNameMatch, Settings: pairs("pattern", regex)}
	negated := *byTopic
	negated.Negate = true
	route := stageOf(ClassRegexRouter, "regex", regex, "replacement", "other")
	drop := stageOf(ClassDropHeaders, "headers", "h")
	when := func(s wit.Stage, c *wit.Condition) wit.Stage { s.Condition = c; return s }
	b := batch{topics: []string{endless, "fine"}, rows: []wit.Row{{Topic: 0}, {Topic: 1}}}
	for name, x := range map[string]struct {
		stages []wit.Stage
		at     uint32
	}{
		"router":                  {[]wit.Stage{route}, 0},
		"router behind another":   {[]wit.Stage{drop, route}, 1},
		"predicate of the topic":  {[]wit.Stage{drop, when(wit.Stage{Component: ClassFilter}, &negated)}, 1},
		"predicate of the record": {[]wit.Stage{drop, when(drop, byTopic)}, 1},
	} {
		e, context := prepared(t, x.stages...)
		c, err := e.chain(context)
		noError(t, err)
		hasten(c)
		out, faults := apply(t, e, context, nil, b)
		if len(out.rows) != 1 || out.rows[0].RowIndex != b.rows[1].RowIndex || len(faults) != 1 {
			t.Errorf("%s: expected the row of the second topic and one failure, found %v, %v", name, out.rows, faults)
			continue
		}
		if f := faults[0]; f.Stage != x.at || f.ErrorClass != connectException ||
			!strings.Contains(f.Error.Message, "topic \""+endless) {
			t.Errorf("%s: %+v", name, f)
		}
	}

	e, context := prepared(t, wit.Stage{Component: byTopic.Component, Settings: byTopic.Settings})
	c, err := e.chain(context)
	noError(t, err)
	hasten(c)
	tested, err := e.Test(context, nil, b.topics, b.rows, nil)
	if err != nil || len(tested.Errors) != 1 || tested.Errors[0].RowIndex != 0 || tested.Matches[0] ||
		!tested.Matches[1] {
		t.Errorf("test: expected the first row to fail and the second to match, found %+v, %v", tested, err)
	}
}

// hasten gives the expressions of a chain a time, which they have none of in a guest: its host ends it.
func hasten(c *transformationChain) {
	within := func(p pattern.Pattern) { p.Within(time.Millisecond) }
	if test, is := c.test.(*topicName); is {
		within(test.pattern)
	}
	for i := range c.stages {
		if when, is := c.stages[i].condition.(*topicName); is {
			within(when.pattern)
		}
		if o, is := c.stages[i].operation.(*router); is {
			within(o.pattern)
		}
	}
}
