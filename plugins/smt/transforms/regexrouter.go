package transforms

import (
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/internal/java/pattern"
	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/wit"
)

var regexRouterKeys = []wit.ConfigKey{
	requiredKey("regex", wit.High, "Regular expression to use for matching."),
	requiredKey("replacement", wit.High, "Replacement string."),
}

// RegexRouter replaces topics that match a regular expression.
type RegexRouter struct {
	Pattern     pattern.Pattern
	replacement pattern.Replacement
	// replacementFailure is the failure of an invalid replacement. Kafka reports it when a topic matches.
	replacementFailure *record.Failure
	isCached           bool   // the following fields are set
	lastInput          string // the topic of the last record
	lastResult         string // its new topic
	lastFailure        *record.Failure
}

func newRegexRouter(values Settings) (Operation, *wit.Error) {
	expression, err := values.Required("regex")
	if err != nil {
		return nil, err
	}
	transform := &RegexRouter{}
	if transform.Pattern, err = compilePattern("regex", expression); err != nil {
		return nil, err
	}
	replacement, err := values.Required("replacement")
	if err != nil {
		return nil, err
	}
	var replacementErr *pattern.ReplacementError
	if transform.replacement, replacementErr = transform.Pattern.Replacement(replacement); replacementErr != nil {
		transform.replacementFailure = &record.Failure{Class: record.IllegalArgumentException,
			Message: replacementErr.Text}
		if replacementErr.NoGroup {
			transform.replacementFailure.Class = record.IndexOutOfBoundsException
		}
	}
	return transform, nil
}

// TopicFor returns the new topic of records with a topic.
func (r *RegexRouter) TopicFor(topic string, stage int) (string, *record.Failure) {
	matches, matchErr := matchTopic(r.Pattern, topic)
	switch {
	case matchErr != nil:
		return topic, matchErr.failure(stage)
	case !matches:
		return topic, nil
	case r.replacementFailure != nil:
		return topic, record.NewFailure(stage, r.replacementFailure.Class, r.replacementFailure.Message)
	}
	// As in Kafka, the first match is replaced, even if it is not the whole topic.
	result, err := r.Pattern.ReplaceFirst(topic, r.replacement)
	switch {
	case err != nil:
		return topic, (&MatchError{Topic: topic, Err: err}).failure(stage)
	case result == "":
		return topic, emptyTopic(stage, topic)
	}
	return result, nil
}

func (r *RegexRouter) Apply(_ *Context, rec *record.Record, stage int) (failure *record.Failure, _ error) {
	if !r.isCached || r.lastInput != rec.Topic {
		r.lastResult, r.lastFailure = r.TopicFor(rec.Topic, stage)
		r.isCached = true
		r.lastInput = strings.Clone(rec.Topic)
	}
	rec.Topic = r.lastResult
	return r.lastFailure, nil
}

func emptyTopic(stage int, topic string) *record.Failure {
	return record.NewFailure(stage, record.InvalidTopicException, "the topic "+strconv.Quote(topic)+
		" would become an empty name")
}
