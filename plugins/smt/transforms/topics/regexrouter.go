package topics

import (
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/smt/operation"
	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/plugins/smt/rowerror"
	"github.com/culvert-project/culvert/plugins/smt/settings"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/java/pattern"
)

var RegexRouterKeys = []wit.ConfigKey{
	settings.RequiredKey("regex", wit.High, "Regular expression to use for matching."),
	settings.RequiredKey("replacement", wit.High, "Replacement string."),
}

// RegexRouter is RegexRouter: another topic for records whose topic matches as a whole.
type RegexRouter struct {
	Pattern     pattern.Pattern
	replacement pattern.Replacement
	// replacementFailure is what is wrong with the replacement; Kafka finds out when a topic matches.
	replacementFailure *rowerror.Failure
	// lastResult, or failure, is what became of the last topic, which was from.
	lastInput, lastResult string
	lastFailure           *rowerror.Failure
	cached                bool
}

func NewRegexRouter(s settings.Values) (operation.Operation, *wit.Error) {
	text, err := s.Required("regex")
	if err != nil {
		return nil, err
	}
	o := &RegexRouter{}
	if o.Pattern, err = settings.Pattern("regex", text); err != nil {
		return nil, err
	}
	replacement, err := s.Required("replacement")
	if err != nil {
		return nil, err
	}
	var replacementErr *pattern.WrongReplacement
	if o.replacement, replacementErr = o.Pattern.Replacement(replacement); replacementErr != nil {
		o.replacementFailure = &rowerror.Failure{Class: rowerror.IllegalArgumentException, Message: replacementErr.Text}
		if replacementErr.NoGroup {
			o.replacementFailure.Class = rowerror.IndexOutOfBoundsException
		}
	}
	return o, nil
}

// TopicFor is the topic that becomes of one.
func (o *RegexRouter) TopicFor(topic string, stage int) (string, *rowerror.Failure) {
	matches, matchErr := operation.MatchTopic(o.Pattern, topic)
	switch {
	case matchErr != nil:
		return topic, matchErr.Failure(stage)
	case !matches:
		return topic, nil
	case o.replacementFailure != nil:
		return topic, rowerror.New(stage, o.replacementFailure.Class, o.replacementFailure.Message)
	}
	// as in Kafka, the first place where the expression matches is replaced, whole or not
	result, err := o.Pattern.ReplaceFirst(topic, o.replacement)
	switch {
	case err != nil:
		return topic, (&operation.MatchError{Topic: topic, Err: err}).Failure(stage)
	case result == "":
		return topic, emptyTopic(stage, topic)
	}
	return result, nil
}

func (o *RegexRouter) Apply(_ *operation.Context, v *record.Record, stage int) (f *rowerror.Failure, _ error) {
	if !o.cached || o.lastInput != v.Topic {
		o.lastResult, o.lastFailure = o.TopicFor(v.Topic, stage)
		o.cached, o.lastInput = true, strings.Clone(v.Topic)
	}
	v.Topic = o.lastResult
	return o.lastFailure, nil
}

// emptyTopic is the failure of a topic that would have no name.
func emptyTopic(stage int, topic string) *rowerror.Failure {
	return rowerror.New(stage, rowerror.InvalidTopicException, "the topic "+strconv.Quote(topic)+" would become an empty name")
}
