package topics

import (
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/internal/java/pattern"
	"github.com/culvert-project/culvert/plugins/smt/operation"
	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/plugins/smt/rowerror"
	"github.com/culvert-project/culvert/plugins/smt/settings"
	"github.com/culvert-project/culvert/wit"
)

// Classes lists the transforms of the package.
var Classes = []operation.Class{
	{Name: operation.KafkaPackage + "RegexRouter", Keys: regexRouterKeys, Transform: newRegexRouter,
		Doc: "Update the record topic using the configured regular expression and replacement string. The " +
			"expression must match the whole topic; its syntax, and that of the replacement, are Java's."},
	{Name: operation.KafkaPackage + "TimestampRouter", Keys: timestampRouterKeys, Transform: newTimestampRouter,
		Doc: "Update the record's topic field as a function of the original topic value and the record " +
			"timestamp."},
}

var regexRouterKeys = []wit.ConfigKey{
	settings.RequiredKey("regex", wit.High, "Regular expression to use for matching."),
	settings.RequiredKey("replacement", wit.High, "Replacement string."),
}

// RegexRouter replaces topics that match a regular expression.
type RegexRouter struct {
	Pattern     pattern.Pattern
	replacement pattern.Replacement
	// replacementFailure is the failure of an invalid replacement. Kafka reports it when a topic matches.
	replacementFailure *rowerror.Failure
	isCached           bool   // the following fields are set
	lastInput          string // the topic of the last record
	lastResult         string // its new topic
	lastFailure        *rowerror.Failure
}

func newRegexRouter(values settings.Values) (operation.Operation, *wit.Error) {
	expression, err := values.Required("regex")
	if err != nil {
		return nil, err
	}
	transform := &RegexRouter{}
	if transform.Pattern, err = settings.Pattern("regex", expression); err != nil {
		return nil, err
	}
	replacement, err := values.Required("replacement")
	if err != nil {
		return nil, err
	}
	var replacementErr *pattern.ReplacementError
	if transform.replacement, replacementErr = transform.Pattern.Replacement(replacement); replacementErr != nil {
		transform.replacementFailure = &rowerror.Failure{Class: rowerror.IllegalArgumentException,
			Message: replacementErr.Text}
		if replacementErr.NoGroup {
			transform.replacementFailure.Class = rowerror.IndexOutOfBoundsException
		}
	}
	return transform, nil
}

// TopicFor returns the new topic of records with a topic.
func (r *RegexRouter) TopicFor(topic string, stage int) (string, *rowerror.Failure) {
	matches, matchErr := operation.MatchTopic(r.Pattern, topic)
	switch {
	case matchErr != nil:
		return topic, matchErr.Failure(stage)
	case !matches:
		return topic, nil
	case r.replacementFailure != nil:
		return topic, rowerror.New(stage, r.replacementFailure.Class, r.replacementFailure.Message)
	}
	// As in Kafka, the first match is replaced, even if it is not the whole topic.
	result, err := r.Pattern.ReplaceFirst(topic, r.replacement)
	switch {
	case err != nil:
		return topic, (&operation.MatchError{Topic: topic, Err: err}).Failure(stage)
	case result == "":
		return topic, emptyTopic(stage, topic)
	}
	return result, nil
}

func (r *RegexRouter) Apply(_ *operation.Context, rec *record.Record, stage int) (failure *rowerror.Failure, _ error) {
	if !r.isCached || r.lastInput != rec.Topic {
		r.lastResult, r.lastFailure = r.TopicFor(rec.Topic, stage)
		r.isCached = true
		r.lastInput = strings.Clone(rec.Topic)
	}
	rec.Topic = r.lastResult
	return r.lastFailure, nil
}

func emptyTopic(stage int, topic string) *rowerror.Failure {
	return rowerror.New(stage, rowerror.InvalidTopicException, "the topic "+strconv.Quote(topic)+
		" would become an empty name")
}
