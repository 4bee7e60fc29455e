package predicates

import (
	"strings"

	"github.com/culvert-project/culvert/plugins/smt/operation"
	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/plugins/smt/settings"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/java/pattern"
)

var HasHeaderKeyKeys = []wit.ConfigKey{settings.RequiredKey("name", wit.Medium, "The header name.")}

// HasHeaderKey is HasHeaderKey.
type HasHeaderKey struct{ name string }

func NewHasHeaderKey(s settings.Values) (operation.Predicate, *wit.Error) {
	name, err := s.Required("name")
	if err != nil {
		return nil, err
	}
	if name = setting.Trim(name); name == "" {
		return nil, settings.Invalid("name", "", "String must be non-empty")
	}
	return &HasHeaderKey{name}, nil
}

func (c *HasHeaderKey) Matches(v *record.Record, _ *operation.Context) (bool, error) {
	headers := &v.Parts[record.Headers]
	return headers.Encoding == wit.Raw && c.In(headers.Bytes), nil
}

// In reports whether a block of headers has one of the name.
func (c *HasHeaderKey) In(block []byte) bool {
	list := record.ReadHeaders(block)
	for name, ok := list.Next(); ok; name, ok = list.Next() {
		if string(name) == c.name {
			return true
		}
	}
	return false
}

// RecordIsTombstone is RecordIsTombstone: the value is null.
type RecordIsTombstone struct{}

func NewRecordIsTombstone(settings.Values) (operation.Predicate, *wit.Error) {
	return RecordIsTombstone{}, nil
}

func (RecordIsTombstone) Matches(v *record.Record, w *operation.Context) (bool, error) {
	return v.Parts[record.Value].IsNull(&w.Schemas)
}

var TopicNameMatchesKeys = []wit.ConfigKey{settings.RequiredKey("pattern", wit.Medium,
	"A Java regular expression for matching against the name of a record's topic.")}

// TopicNameMatches is TopicNameMatches.
type TopicNameMatches struct {
	Pattern pattern.Pattern
	// lastMatch and lastTopic are the last answer.
	lastMatch bool
	lastTopic string
	cached    bool
}

func NewTopicNameMatches(s settings.Values) (operation.Predicate, *wit.Error) {
	text, err := s.Required("pattern")
	if err != nil {
		return nil, err
	}
	if text = setting.Trim(text); text == "" {
		return nil, settings.Invalid("pattern", "", "String must be non-empty")
	}
	p, err := settings.Pattern("pattern", text)
	if err != nil {
		return nil, err
	}
	return &TopicNameMatches{Pattern: p}, nil
}

func (c *TopicNameMatches) MatchesTopic(topic string) (bool, *operation.MatchError) {
	return operation.MatchTopic(c.Pattern, topic)
}

func (c *TopicNameMatches) Matches(v *record.Record, _ *operation.Context) (bool, error) {
	if !c.cached || c.lastTopic != v.Topic {
		matches, matchErr := operation.MatchTopic(c.Pattern, v.Topic)
		if matchErr != nil {
			return false, matchErr
		}
		c.cached, c.lastMatch, c.lastTopic = true, matches, strings.Clone(v.Topic)
	}
	return c.lastMatch, nil
}
