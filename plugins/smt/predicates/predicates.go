package predicates

import (
	"strings"

	"github.com/culvert-project/culvert/internal/java/pattern"
	"github.com/culvert-project/culvert/plugins/smt/operation"
	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/plugins/smt/settings"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Classes lists the predicates of the package.
var Classes = []operation.Class{
	{Name: operation.KafkaPackage + "predicates.HasHeaderKey", Keys: hasHeaderKeyKeys, Predicate: newHasHeaderKey,
		Doc: "A predicate which is true for records with at least one header with the configured name."},
	{Name: operation.KafkaPackage + "predicates.RecordIsTombstone", Predicate: newRecordIsTombstone,
		Doc: "A predicate which is true for records which are tombstones (i.e. have null value)."},
	{Name: operation.KafkaPackage + "predicates.TopicNameMatches", Keys: topicNameMatchesKeys,
		Predicate: newTopicNameMatches,
		Doc: "A predicate which is true for records with a topic name that matches the configured regular " +
			"expression."},
}

var hasHeaderKeyKeys = []wit.ConfigKey{settings.RequiredKey("name", wit.Medium, "The header name.")}

// HasHeaderKey matches records with a header of a name.
type HasHeaderKey struct{ name string }

func newHasHeaderKey(values settings.Values) (operation.Predicate, *wit.Error) {
	name, err := values.Required("name")
	if err != nil {
		return nil, err
	}
	if name = setting.Trim(name); name == "" {
		return nil, settings.Invalid("name", "", "String must be non-empty")
	}
	return &HasHeaderKey{name}, nil
}

func (h *HasHeaderKey) Matches(rec *record.Record, _ *operation.Context) (bool, error) {
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

func newRecordIsTombstone(settings.Values) (operation.Predicate, *wit.Error) {
	return RecordIsTombstone{}, nil
}

func (RecordIsTombstone) Matches(rec *record.Record, ctx *operation.Context) (bool, error) {
	return rec.Parts[record.Value].IsNull(&ctx.Schemas)
}

var topicNameMatchesKeys = []wit.ConfigKey{settings.RequiredKey("pattern", wit.Medium,
	"A Java regular expression for matching against the name of a record's topic.")}

// TopicNameMatches matches records by a regular expression for the topic.
type TopicNameMatches struct {
	Pattern   pattern.Pattern
	isCached  bool // lastTopic and lastMatch are set
	lastTopic string
	lastMatch bool // the result for lastTopic
}

func newTopicNameMatches(values settings.Values) (operation.Predicate, *wit.Error) {
	expression, err := values.Required("pattern")
	if err != nil {
		return nil, err
	}
	if expression = setting.Trim(expression); expression == "" {
		return nil, settings.Invalid("pattern", "", "String must be non-empty")
	}
	p, err := settings.Pattern("pattern", expression)
	if err != nil {
		return nil, err
	}
	return &TopicNameMatches{Pattern: p}, nil
}

func (t *TopicNameMatches) MatchesTopic(topic string) (bool, *operation.MatchError) {
	return operation.MatchTopic(t.Pattern, topic)
}

func (t *TopicNameMatches) Matches(rec *record.Record, _ *operation.Context) (bool, error) {
	if !t.isCached || t.lastTopic != rec.Topic {
		matches, matchErr := operation.MatchTopic(t.Pattern, rec.Topic)
		if matchErr != nil {
			return false, matchErr
		}
		t.isCached = true
		t.lastMatch = matches
		t.lastTopic = strings.Clone(rec.Topic)
	}
	return t.lastMatch, nil
}
