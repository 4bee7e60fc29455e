package chain

import (
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/smt/pattern"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
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

func matches(p pattern.Pattern, topic string) bool {
	ok, err := p.Matches(topic)
	return ok && err == nil
}

// router is RegexRouter: another topic for records whose topic matches as a whole.
type router struct {
	pattern     pattern.Pattern
	replacement []piece
	// wrong is what is wrong with the replacement; Kafka finds out when a topic matches.
	wrong *failure
}

// piece of a replacement: a text, or what a group matched.
type piece struct {
	text  string
	group int // -1: the text
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
	o.parse(replacement)
	return o, nil
}

// parse reads Java's replacement syntax: $1, ${name}, and a backslash in front of what stands for itself.
func (o *router) parse(text string) {
	const digits = "0123456789"
	const named = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" + digits
	wrong := func(class, why string) { o.wrong = &failure{class: class, text: why} }
	var plain strings.Builder
	flush := func() {
		if plain.Len() > 0 {
			o.replacement = append(o.replacement, piece{plain.String(), -1})
			plain.Reset()
		}
	}
	groups := o.pattern.Groups
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\':
			if i++; i == len(text) {
				wrong(illegalArgument, "character to be escaped is missing")
				return
			}
			plain.WriteByte(text[i])
		case text[i] != '$':
			plain.WriteByte(text[i])
		case i+1 < len(text) && text[i+1] == '{':
			rest := text[i+2:]
			name := rest[:len(rest)-len(strings.TrimLeft(rest, named))]
			group, known := o.pattern.Names[name]
			switch {
			case name == "":
				wrong(illegalArgument, "named capturing group has 0 length name")
				return
			case !strings.HasPrefix(rest[len(name):], "}"):
				wrong(illegalArgument, "named capturing group is missing trailing '}'")
				return
			case strings.ContainsAny(name[:1], digits):
				wrong(illegalArgument, "capturing group name {"+name+"} starts with digit character")
				return
			case !known:
				wrong(illegalArgument, "No group with name {"+name+"}")
				return
			}
			flush()
			o.replacement = append(o.replacement, piece{group: group})
			i += len(name) + 2
		case i+1 < len(text) && text[i+1]-'0' < 10:
			group := int(text[i+1] - '0')
			if group > groups {
				wrong(indexOutOfBounds, "No group "+strconv.Itoa(group))
				return
			}
			// further digits belong to the number as long as there is such a group
			for i++; i+1 < len(text) && text[i+1]-'0' < 10 && group*10+int(text[i+1]-'0') <= groups; i++ {
				group = group*10 + int(text[i+1]-'0')
			}
			flush()
			o.replacement = append(o.replacement, piece{group: group})
		case i+1 == len(text):
			wrong(illegalArgument, "Illegal group reference: group index is missing")
			return
		default:
			wrong(illegalArgument, "Illegal group reference")
			return
		}
	}
	flush()
}

func (o *router) route(r *route, stage int) {
	if !matches(o.pattern, r.topic) {
		return
	}
	topic, wrong := o.replace(r.topic)
	switch {
	case wrong != nil:
		r.stop = &failure{stage, wrong.class, wrong.text}
	case topic == "":
		r.stop = emptyTopic(stage, r.topic)
	default:
		r.topic = topic
	}
}

// emptyTopic is the failure of a topic that would have no name.
func emptyTopic(stage int, topic string) *failure {
	return &failure{stage, invalidTopicException, "the topic " + strconv.Quote(topic) + " would become an empty name"}
}

func (o *router) replace(topic string) (string, *failure) {
	if o.wrong != nil {
		return "", o.wrong
	}
	// as in Kafka, the first place where the expression matches is replaced, whole or not
	m, err := o.pattern.Find(topic)
	if err != nil || m == nil {
		return topic, nil
	}
	runes := []rune(topic)
	var b strings.Builder
	b.WriteString(string(runes[:m.Index]))
	for _, p := range o.replacement {
		if p.group < 0 {
			b.WriteString(p.text)
		} else if g := m.GroupByNumber(p.group); g != nil && len(g.Captures) > 0 {
			b.WriteString(g.String())
		}
	}
	b.WriteString(string(runes[m.Index+m.Length:]))
	return b.String(), nil
}

// filter is Filter: it drops every record that comes to it.
type filter struct{}

func newFilter(settings) (operation, *wit.Fault) { return filter{}, nil }

func (filter) route(r *route, stage int) { r.dropped = true }

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

func (c *topicName) matchesTopic(topic string) bool { return matches(c.pattern, topic) }

func (c *topicName) matches(v *view, _ *Engine) (bool, error) {
	if !c.asked || c.lastTopic != v.topic {
		c.asked, c.last, c.lastTopic = true, matches(c.pattern, v.topic), strings.Clone(v.topic)
	}
	return c.last, nil
}
