package operation

import (
	"strconv"

	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/plugins/smt/rowerror"
	"github.com/culvert-project/culvert/wit/java/pattern"
)

// Predicate is a predicate.
type Predicate interface {
	// Matches reports whether the row at work matches. An *unmatched is that row's failure, another error the call's.
	Matches(v *record.Record, w *Context) (bool, error)
}

// TopicPredicate is a predicate of the topic alone: in the fast lane it is asked once for each topic.
type TopicPredicate interface {
	Predicate
	MatchesTopic(topic string) (bool, *MatchError)
}

// MatchError is the error of a match that did not come to an end: whether the topic matches is not known, and each
// answer could send a record elsewhere than it belongs.
type MatchError struct {
	Topic string
	Err   error
}

func (u *MatchError) Error() string {
	return "the regular expression gives no answer for the topic " + strconv.Quote(u.Topic) + ": " + u.Err.Error()
}

// Failure is the failure of a row in a stage.
func (u *MatchError) Failure(stage int) *rowerror.Failure {
	return rowerror.New(stage, rowerror.ConnectException, u.Error())
}

func MatchTopic(p pattern.Pattern, topic string) (bool, *MatchError) {
	ok, err := p.Matches(topic)
	if err != nil {
		return false, &MatchError{topic, err}
	}
	return ok, nil
}
