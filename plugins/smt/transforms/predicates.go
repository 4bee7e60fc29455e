package transforms

import (
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/internal/java/pattern"
	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
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

// failure returns the failure of the row for which the expression was evaluated.
func (m *MatchError) failure(stage int) *record.Failure {
	return record.NewFailure(stage, record.ConnectException, m.Error())
}

// matchTopic reports whether a topic matches the expression as a whole.
func matchTopic(p pattern.Pattern, topic string) (bool, *MatchError) {
	ok, err := p.Matches(topic)
	if err != nil {
		return false, &MatchError{topic, err}
	}
	return ok, nil
}

var hasHeaderKeyKeys = []wit.ConfigKey{requiredKey("name", wit.Medium, "The header name.")}

// HasHeaderKey matches records with a header of a name.
type HasHeaderKey struct{ name string }

func newHasHeaderKey(values Settings) (Predicate, *wit.Error) {
	name, err := values.Required("name")
	if err != nil {
		return nil, err
	}
	if name = setting.Trim(name); name == "" {
		return nil, invalidSetting("name", "", "String must be non-empty")
	}
	return &HasHeaderKey{name}, nil
}

func (h *HasHeaderKey) Matches(rec *record.Record, _ *Context) (bool, error) {
	headers := &rec.Parts[record.Headers]
	return headers.Encoding == wit.Raw && h.In(headers.Bytes), nil
}

// In reports whether encoded headers contain the name.
func (h *HasHeaderKey) In(block []byte) bool {
	list := record.ReadHeaders(block)
	for name, ok := list.Next(); ok; name, ok = list.Next() {
		if string(name) == h.name {
			return true
		}
	}
	return false
}

// RecordIsTombstone matches records whose value is null.
type RecordIsTombstone struct{}

func (RecordIsTombstone) Matches(rec *record.Record, ctx *Context) (bool, error) {
	return rec.Parts[record.Value].IsNull(&ctx.Schemas)
}

var topicNameMatchesKeys = []wit.ConfigKey{requiredKey("pattern", wit.Medium,
	"A Java regular expression for matching against the name of a record's topic.")}

// TopicNameMatches matches records by a regular expression for the topic.
type TopicNameMatches struct {
	Pattern   pattern.Pattern
	isCached  bool // lastTopic and lastMatch are set
	lastTopic string
	lastMatch bool // the result for lastTopic
}

func newTopicNameMatches(values Settings) (Predicate, *wit.Error) {
	expression, err := values.Required("pattern")
	if err != nil {
		return nil, err
	}
	if expression = setting.Trim(expression); expression == "" {
		return nil, invalidSetting("pattern", "", "String must be non-empty")
	}
	p, err := compilePattern("pattern", expression)
	if err != nil {
		return nil, err
	}
	return &TopicNameMatches{Pattern: p}, nil
}

func (t *TopicNameMatches) MatchesTopic(topic string) (bool, *MatchError) {
	return matchTopic(t.Pattern, topic)
}

func (t *TopicNameMatches) Matches(rec *record.Record, _ *Context) (bool, error) {
	if !t.isCached || t.lastTopic != rec.Topic {
		matches, matchErr := matchTopic(t.Pattern, rec.Topic)
		if matchErr != nil {
			return false, matchErr
		}
		t.isCached = true
		t.lastMatch = matches
		t.lastTopic = strings.Clone(rec.Topic)
	}
	return t.lastMatch, nil
}
