package operation

import (
	"strconv"

	"github.com/culvert-project/culvert/internal/java/pattern"
	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/plugins/smt/rowerror"
)

// Predicate is the condition of a stage. A [MatchError] of Matches fails the row, other errors concern the call.
type Predicate interface {
	Matches(rec *record.Record, ctx *Context) (bool, error)
}

// TopicPredicate depends on the topic alone, so the fast path evaluates it once per topic.
type TopicPredicate interface {
	Predicate
	MatchesTopic(topic string) (bool, *MatchError)
}

// MatchError reports that a regular expression timed out. The row fails because either answer might misroute it.
type MatchError struct {
	Topic string
	Err   error
}

func (m *MatchError) Error() string {
	return "the regular expression could not be evaluated for the topic " + strconv.Quote(m.Topic) + ": " +
		m.Err.Error()
}

// Failure returns the failure of the row for which the expression was evaluated.
func (m *MatchError) Failure(stage int) *rowerror.Failure {
	return rowerror.New(stage, rowerror.ConnectException, m.Error())
}

// MatchTopic reports whether a topic matches the expression as a whole.
func MatchTopic(p pattern.Pattern, topic string) (bool, *MatchError) {
	ok, err := p.Matches(topic)
	if err != nil {
		return false, &MatchError{topic, err}
	}
	return ok, nil
}
