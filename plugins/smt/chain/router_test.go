package chain

import (
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/java/pattern"
	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/plugins/smt/transforms"
	"github.com/culvert-project/culvert/wit"
)

// If a regular expression times out for a topic, its records fail at the stage. Other topics are not affected.
func TestPatternTimeoutFailsRow(t *testing.T) {
	const regex = "(a|aa)+b|fine" // exponential backtracking
	endless := strings.Repeat("a", 60)
	ifTopic := &wit.Condition{Component: ClassTopicNameMatch, Settings: pairs("pattern", regex)}
	ifNotTopic := *ifTopic
	ifNotTopic.Negate = true
	route := stageOf(ClassRegexRouter, "regex", regex, "replacement", "other")
	drop := stageOf(ClassDropHeaders, "headers", "h")
	withCondition := func(stage wit.Stage, condition *wit.Condition) wit.Stage {
		stage.Condition = condition
		return stage
	}
	call := input{topics: []string{endless, "fine"}, rows: []wit.Row{{Topic: 0}, {Topic: 1}}}
	for name, test := range map[string]struct {
		stages      []wit.Stage
		failedStage uint32
	}{
		"router":               {stages: []wit.Stage{route}, failedStage: 0},
		"router after another": {stages: []wit.Stage{drop, route}, failedStage: 1},
		"predicate of the topic": {
			stages: []wit.Stage{drop, withCondition(wit.Stage{Component: ClassFilter}, &ifNotTopic)}, failedStage: 1},
		"predicate of the record": {stages: []wit.Stage{drop, withCondition(drop, ifTopic)}, failedStage: 1},
	} {
		engine, context := newPrepared(t, test.stages...)
		chain, err := engine.chain(context)
		require.NoError(t, err)
		shortenTimeouts(chain)
		out, rowErrors := apply(t, engine, context, nil, call)
		if len(out.rows) != 1 || out.rows[0].RowIndex != call.rows[1].RowIndex || len(rowErrors) != 1 {
			t.Errorf("%s: expected the row of the second topic and one failure, found %v, %v", name, out.rows,
				rowErrors)
			continue
		}
		f := rowErrors[0]
		assert.True(t, f.Stage == test.failedStage && f.ErrorClass == record.ConnectException &&
			strings.Contains(f.Error.Message, "topic \""+endless),
			"%s: expected a ConnectException of stage %d for the first topic, found %+v", name, test.failedStage, f)
	}

	engine, context := newPrepared(t, wit.Stage{Component: ifTopic.Component, Settings: ifTopic.Settings})
	chain, err := engine.chain(context)
	require.NoError(t, err)
	shortenTimeouts(chain)
	result, err := engine.Test(context, nil, call.topics, call.rows, nil)
	assert.True(t, err == nil && len(result.Errors) == 1 && result.Errors[0].RowIndex == 0 && !result.Matches[0] &&
		result.Matches[1], "test: expected the first row to fail and the second to match, found %+v, %v", result, err)
}

// shortenTimeouts sets a short timeout for the expressions of a chain. In production, the host ends the call.
func shortenTimeouts(chain *compiledChain) {
	shorten := func(p pattern.Pattern) { p.WithTimeout(time.Millisecond) }
	if predicate, ok := chain.predicate.(*transforms.TopicNameMatches); ok {
		shorten(predicate.Pattern)
	}
	for i := range chain.stages {
		if predicate, ok := chain.stages[i].Predicate.(*transforms.TopicNameMatches); ok {
			shorten(predicate.Pattern)
		}
		if router, ok := chain.stages[i].Operation.(*transforms.RegexRouter); ok {
			shorten(router.Pattern)
		}
	}
}
