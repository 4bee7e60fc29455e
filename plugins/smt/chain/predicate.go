package chain

import (
	"strings"

	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/java/pattern"
)

var headerKeySpecs = []wit.ConfigKey{needs("name", wit.Medium, "The header name.")}

// hasHeader is HasHeaderKey.
type hasHeader struct{ name string }

func newHasHeader(s settings) (condition, *wit.Error) {
	name, err := s.needed("name")
	if err != nil {
		return nil, err
	}
	if name = setting.Trim(name); name == "" {
		return nil, invalid("name", "", "String must be non-empty")
	}
	return &hasHeader{name}, nil
}

func (c *hasHeader) matches(v *view, _ *work) (bool, error) {
	headers := &v.columns[headerSide]
	return headers.form == wit.Raw && c.in(headers.bytes), nil
}

// in reports whether a block of headers has one of the name.
func (c *hasHeader) in(block []byte) bool {
	list := headersOf(block)
	for name, ok := list.next(); ok; name, ok = list.next() {
		if string(name) == c.name {
			return true
		}
	}
	return false
}

// tombstone is RecordIsTombstone: the value is null.
type tombstone struct{}

func newTombstone(settings) (condition, *wit.Error) { return tombstone{}, nil }

func (tombstone) matches(v *view, w *work) (bool, error) {
	return v.columns[valueSide].null(&w.schemas)
}

var topicNameSpecs = []wit.ConfigKey{needs("pattern", wit.Medium,
	"A Java regular expression for matching against the name of a record's topic.")}

// topicName is TopicNameMatches.
type topicName struct {
	pattern pattern.Pattern
	// last and lastTopic are the last answer.
	last      bool
	lastTopic string
	asked     bool
}

func newTopicName(s settings) (condition, *wit.Error) {
	text, err := s.needed("pattern")
	if err != nil {
		return nil, err
	}
	if text = setting.Trim(text); text == "" {
		return nil, invalid("pattern", "", "String must be non-empty")
	}
	p, err := compilePattern("pattern", text)
	if err != nil {
		return nil, err
	}
	return &topicName{pattern: p}, nil
}

func (c *topicName) matchesTopic(topic string) (bool, *unmatched) {
	return matchesPattern(c.pattern, topic)
}

func (c *topicName) matches(v *view, _ *work) (bool, error) {
	if !c.asked || c.lastTopic != v.topic {
		takes, unknown := matchesPattern(c.pattern, v.topic)
		if unknown != nil {
			return false, unknown
		}
		c.asked, c.last, c.lastTopic = true, takes, strings.Clone(v.topic)
	}
	return c.last, nil
}
