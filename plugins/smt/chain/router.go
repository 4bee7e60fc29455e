package chain

import (
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/java/pattern"
)

var routerSpecs = []wit.ConfigKey{
	needs("regex", wit.High, "Regular expression to use for matching."),
	needs("replacement", wit.High, "Replacement string."),
}

// compilePattern reads the regular expression of a setting.
func compilePattern(setting, text string) (pattern.Pattern, *wit.Error) {
	p, err := pattern.Compile(text)
	if err != nil {
		return p, invalid(setting, text, "Invalid regex: "+err.Error())
	}
	return p, nil
}

func matchesPattern(p pattern.Pattern, topic string) (bool, *unmatched) {
	ok, err := p.Matches(topic)
	if err != nil {
		return false, &unmatched{topic, err}
	}
	return ok, nil
}

// router is RegexRouter: another topic for records whose topic matches as a whole.
type router struct {
	pattern     pattern.Pattern
	replacement pattern.Replacement
	// wrong is what is wrong with the replacement; Kafka finds out when a topic matches.
	wrong *failure
	// made, or failure, is what became of the last topic, which was from.
	from, made string
	failure    *failure
	any        bool
}

func newRouter(s settings) (operation, *wit.Error) {
	text, err := s.needed("regex")
	if err != nil {
		return nil, err
	}
	o := &router{}
	if o.pattern, err = compilePattern("regex", text); err != nil {
		return nil, err
	}
	replacement, err := s.needed("replacement")
	if err != nil {
		return nil, err
	}
	var wrong *pattern.WrongReplacement
	if o.replacement, wrong = o.pattern.Replacement(replacement); wrong != nil {
		o.wrong = &failure{class: illegalArgument, text: wrong.Text}
		if wrong.NoGroup {
			o.wrong.class = indexOutOfBounds
		}
	}
	return o, nil
}

// topicFor is the topic that becomes of one.
func (o *router) topicFor(topic string, stage int) (string, *failure) {
	takes, unknown := matchesPattern(o.pattern, topic)
	switch {
	case unknown != nil:
		return topic, unknown.at(stage)
	case !takes:
		return topic, nil
	case o.wrong != nil:
		return topic, &failure{stage, o.wrong.class, o.wrong.text}
	}
	// as in Kafka, the first place where the expression matches is replaced, whole or not
	made, err := o.pattern.ReplaceFirst(topic, o.replacement)
	switch {
	case err != nil:
		return topic, (&unmatched{topic, err}).at(stage)
	case made == "":
		return topic, emptyTopic(stage, topic)
	}
	return made, nil
}

func (o *router) apply(_ *work, v *view, stage int) (f *failure, _ error) {
	if !o.any || o.from != v.topic {
		o.made, o.failure = o.topicFor(v.topic, stage)
		o.any, o.from = true, strings.Clone(v.topic)
	}
	v.topic = o.made
	return o.failure, nil
}

// emptyTopic is the failure of a topic that would have no name.
func emptyTopic(stage int, topic string) *failure {
	return &failure{stage, invalidTopicException, "the topic " + strconv.Quote(topic) + " would become an empty name"}
}

// filter is Filter: it drops every record that comes to it.
type filter struct{}

func newFilter(settings) (operation, *wit.Error) { return filter{}, nil }

func (filter) apply(_ *work, v *view, _ int) (*failure, error) {
	v.dropped = true
	return nil, nil
}
