package chain

import (
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/java/dateformat"
)

var stampSpecs = []wit.ConfigKey{
	{Name: "topic.format", Kind: wit.KindString, DefaultValue: wit.Ptr("${topic}-${timestamp}"), Importance: wit.High,
		Documentation: "Format string which can contain <code>${topic}</code> and <code>${timestamp}</code> as " +
			"placeholders for the topic and timestamp, respectively."},
	{Name: "timestamp.format", Kind: wit.KindString, DefaultValue: wit.Ptr("yyyyMMdd"), Importance: wit.High,
		Documentation: "Format string for the timestamp that is compatible with " +
			"<code>java.text.SimpleDateFormat</code>."},
}

// stampRouter is TimestampRouter: a topic of the record's topic and timestamp.
type stampRouter struct {
	topic string
	date  *dateformat.Format
	// wrong is what SimpleDateFormat says about a bad pattern, which Kafka finds out with each record.
	wrong error
	// made is the topic that came out last, from a row of the topic and the time: of times that look alike it is the
	// same.
	made, from string
	time       int64
	any        bool
	text       []byte
}

func newStampRouter(s settings) (operation, *wit.Error) {
	given := func(spec *wit.ConfigKey) string {
		if text, ok := s.find(spec.Name); ok {
			return setting.Trim(text)
		}
		return *spec.DefaultValue
	}
	o := &stampRouter{topic: given(&stampSpecs[0])}
	pattern := given(&stampSpecs[1])
	o.date, o.wrong = dateformat.Parse(pattern)
	if _, is := o.wrong.(*dateformat.Unsupported); is {
		return nil, invalid("timestamp.format", pattern, o.wrong.Error())
	}
	return o, nil
}

func (o *stampRouter) apply(_ *work, v *view, stage int) (*failure, error) {
	at := v.row.Timestamp
	if at < 0 {
		return &failure{stage, dataException, "Timestamp missing on record: of topic " + strconv.Quote(v.topic)}, nil
	}
	if o.wrong != nil {
		return &failure{stage, illegalArgument, o.wrong.Error()}, nil
	}
	made := o.topicOf(v.topic, at)
	if made == "" {
		return emptyTopic(stage, v.topic), nil
	}
	v.topic = made
	return nil, nil
}

// topicOf is what becomes of the topic of a row with a timestamp, which is not negative.
func (o *stampRouter) topicOf(topic string, at int64) string {
	unit := at / o.date.Unit
	if !o.any || o.time != unit || o.from != topic {
		o.text = o.date.Append(o.text[:0], at)
		o.made = strings.ReplaceAll(strings.ReplaceAll(o.topic, "${topic}", topic), "${timestamp}", string(o.text))
		o.any, o.time, o.from = true, unit, strings.Clone(topic)
	}
	return o.made
}

// alike is the end of the rows from n on that get the topic that row n gets, as far as their timestamps tell.
func (o *stampRouter) alike(rows []wit.Row, n int) int {
	from := rows[n].Timestamp / o.date.Unit * o.date.Unit
	end := n + 1
	for end < len(rows) && uint64(rows[end].Timestamp-from) < uint64(o.date.Unit) {
		end++
	}
	return end
}
