package transforms

import (
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/internal/java/dateformat"
	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

var timestampRouterKeys = []wit.ConfigKey{
	{Name: "topic.format", Kind: wit.KindString, DefaultValue: wit.Ptr("${topic}-${timestamp}"), Importance: wit.High,
		Documentation: "Format string which can contain <code>${topic}</code> and <code>${timestamp}</code> as " +
			"placeholders for the topic and timestamp, respectively."},
	{Name: "timestamp.format", Kind: wit.KindString, DefaultValue: wit.Ptr("yyyyMMdd"), Importance: wit.High,
		Documentation: "Format string for the timestamp that is compatible with " +
			"<code>java.text.SimpleDateFormat</code>."},
}

// TimestampRouter computes the topic from topic and timestamp.
type TimestampRouter struct {
	format string             // of the topic
	date   *dateformat.Format // of the timestamp
	// Err reports an invalid date pattern. Kafka reports it for each record.
	Err        error
	isCached   bool   // the following fields are set
	lastTopic  string // the topic of the last record
	lastTime   int64  // its timestamp, in units of the date format
	lastResult string // its new topic
	buf        []byte
}

func newTimestampRouter(values Settings) (Operation, *wit.Error) {
	valueOrDefault := func(spec *wit.ConfigKey) string {
		if value, ok := values.Find(spec.Name); ok {
			return setting.Trim(value)
		}
		return *spec.DefaultValue
	}
	router := &TimestampRouter{format: valueOrDefault(&timestampRouterKeys[0])}
	router.date, router.Err = dateformat.Parse(valueOrDefault(&timestampRouterKeys[1]))
	return router, nil
}

func (t *TimestampRouter) Apply(_ *Context, rec *record.Record, stage int) (*record.Failure, error) {
	timestamp := rec.Row.Timestamp
	if timestamp < 0 {
		return record.DataFailure(stage, "Timestamp missing on record: of topic "+strconv.Quote(rec.Topic)), nil
	}
	if t.Err != nil {
		return record.NewFailure(stage, record.IllegalArgumentException, t.Err.Error()), nil
	}
	result := t.TopicAt(rec.Topic, timestamp)
	if result == "" {
		return emptyTopic(stage, rec.Topic), nil
	}
	rec.Topic = result
	return nil, nil
}

// TopicAt returns the topic of a record with a timestamp, which must not be negative.
func (t *TimestampRouter) TopicAt(topic string, timestamp int64) string {
	unit := timestamp / t.date.Unit
	if !t.isCached || t.lastTime != unit || t.lastTopic != topic {
		t.buf = t.date.Append(t.buf[:0], timestamp)
		t.lastResult = strings.ReplaceAll(t.format, "${topic}", topic)
		t.lastResult = strings.ReplaceAll(t.lastResult, "${timestamp}", string(t.buf))
		t.isCached = true
		t.lastTime = unit
		t.lastTopic = strings.Clone(topic)
	}
	return t.lastResult
}

// SameTopic returns the index after the rows from n on whose timestamps result in the same topic as row n.
func (t *TimestampRouter) SameTopic(rows []wit.Row, n int) int {
	unitStart := rows[n].Timestamp / t.date.Unit * t.date.Unit
	end := n + 1
	for end < len(rows) && uint64(rows[end].Timestamp-unitStart) < uint64(t.date.Unit) {
		end++
	}
	return end
}
