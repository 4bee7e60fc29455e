package chain

import (
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/java/pattern"
)

var routerSpecs = []wit.SettingSpec{
	needs("regex", wit.High, "Regular expression to use for matching."),
	needs("replacement", wit.High, "Replacement string."),
}

// compile reads the regular expression of a setting.
func compile(setting, text string) (pattern.Pattern, *wit.Fault) {
	p, err := pattern.Compile(text)
	if err != nil {
		return p, invalid(setting, text, "Invalid regex: "+err.Error())
	}
	return p, nil
}

// unmatched is the error of a match that did not come to an end: whether the topic matches is not known, and each
// answer could send a record elsewhere than it belongs.
type unmatched struct {
	topic string
	err   error
}

func (u *unmatched) Error() string {
	return "the regular expression gives no answer for the topic " + strconv.Quote(u.topic) + ": " + u.err.Error()
}

// at is the failure of a row in a stage.
func (u *unmatched) at(stage int) *failure { return &failure{stage, connectException, u.Error()} }

func matches(p pattern.Pattern, topic string) (bool, *unmatched) {
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

func newRouter(s settings) (operation, *wit.Fault) {
	text, err := s.needed("regex")
	if err != nil {
		return nil, err
	}
	o := &router{}
	if o.pattern, err = compile("regex", text); err != nil {
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

// route is the topic that becomes of one.
func (o *router) route(topic string, stage int) (string, *failure) {
	takes, unknown := matches(o.pattern, topic)
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

func (o *router) apply(_ *Engine, v *view, stage int) (f *failure, _ error) {
	if !o.any || o.from != v.topic {
		o.made, o.failure = o.route(v.topic, stage)
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

func newFilter(settings) (operation, *wit.Fault) { return filter{}, nil }

func (filter) apply(_ *Engine, v *view, _ int) (*failure, error) {
	v.dropped = true
	return nil, nil
}

var topicNameSpecs = []wit.SettingSpec{needs("pattern", wit.Medium,
	"A Java regular expression for matching against the name of a record's topic.")}

// topicName is TopicNameMatches.
type topicName struct {
	pattern pattern.Pattern
	// last and lastTopic are the last answer.
	last      bool
	lastTopic string
	asked     bool
}

func newTopicName(s settings) (condition, *wit.Fault) {
	text, err := s.needed("pattern")
	if err != nil {
		return nil, err
	}
	if text = setting.Trim(text); text == "" {
		return nil, invalid("pattern", "", "String must be non-empty")
	}
	p, err := compile("pattern", text)
	if err != nil {
		return nil, err
	}
	return &topicName{pattern: p}, nil
}

func (c *topicName) matchesTopic(topic string) (bool, *unmatched) { return matches(c.pattern, topic) }

func (c *topicName) matches(v *view, _ *Engine) (bool, error) {
	if !c.asked || c.lastTopic != v.topic {
		takes, unknown := matches(c.pattern, v.topic)
		if unknown != nil {
			return false, unknown
		}
		c.asked, c.last, c.lastTopic = true, takes, strings.Clone(v.topic)
	}
	return c.last, nil
}
