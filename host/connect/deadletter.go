package connect

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/check"
	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/convert"
	"github.com/culvert-project/culvert/host/internal/run/sink"
	"github.com/culvert-project/culvert/host/internal/run/source"
	core "github.com/culvert-project/culvert/host/internal/run/task"
	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Settings of dead letters (KIP-298).
const (
	deadLetterTopic       = "errors.deadletterqueue.topic.name"
	deadLetterReplication = "errors.deadletterqueue.topic.replication.factor"
	deadLetterHeaders     = "errors.deadletterqueue.context.headers.enable"
)

// lettersTo is the topic of dead letters, which is made, of one partition as Kafka Connect does; "": the connector has
// no such topic, or tolerates nothing, and then a record that cannot be handled fails its task.
func (t *task) lettersTo(ctx context.Context) (topic string, err error) {
	c := t.connector
	topic = setting.Trim(c.config.Text(deadLetterTopic))
	if topic == "" || !c.tolerance().TolerateAll {
		return "", nil
	}
	if err := c.o.reserved.Check(topic); err != nil {
		return "", fmt.Errorf("%s: %w", deadLetterTopic, err)
	}
	replication, ok := setting.ParseInt(wit.KindShort, c.config.Text(deadLetterReplication))
	if !ok {
		return "", fmt.Errorf("%s: expected a number, found %q", deadLetterReplication,
			c.config.Text(deadLetterReplication))
	}
	k := c.run.kafka
	if k.Admin.ClientID == "" {
		k.Admin.ClientID = fmt.Sprintf("connector-dlq-adminclient-%s-%d", c.config.Name, t.number)
	}
	admin, err := kafka.NewAdmin(k)
	if err != nil {
		return "", err
	}
	defer admin.Close()
	if embedded, err := admin.Embedded(ctx); err == nil && embedded {
		replication = 1 // it is alone
	}
	created, err := admin.EnsureTopics(ctx, kafka.Topic{Name: topic, Partitions: 1, Replication: int16(replication)})
	if err != nil {
		return "", fmt.Errorf("the topic of dead letters (%s, replicas by %s): %w", deadLetterTopic,
			deadLetterReplication, err)
	}
	if len(created) > 0 {
		c.log.Info("topic of dead letters created", "task", t.number, "topic", topic)
	}
	return topic, k.LearnTopic(ctx, admin, topic)
}

// sourceLetters are the dead letters of a source: rows as documents of the service, or as JSON with their schema.
func (t *task) sourceLetters(ctx context.Context, binding *plugin.Binding) (*source.DeadLetters, error) {
	c := t.connector
	topic, err := t.lettersTo(ctx)
	if topic == "" || err != nil {
		return nil, err
	}
	return t.sourceLettersTo(topic, c.boolean(deadLetterHeaders), binding), nil
}

// sourceLettersTo are those that go to a topic, with what there is to say of them, or without.
func (t *task) sourceLettersTo(topic string, context bool, binding *plugin.Binding) *source.DeadLetters {
	c := t.connector
	return &source.DeadLetters{
		Topic: topic,
		NewConverters: func() (key, value convert.Converter, err error) {
			const class = "org.apache.kafka.connect.json.JsonConverter"
			if key, err = convert.New(class, nil, c.converting(true)); err != nil {
				return nil, nil, err
			}
			value, err = convert.New(class, nil, c.converting(false))
			return key, value, err
		},
		Headers: func(l source.FailedRow) []kgo.RecordHeader {
			if !context {
				return nil
			}
			list := t.letterHeaders(failureContext{Failure: l.Failure, topic: l.Topic, partition: -1,
				offset: int64(l.Row), request: l.Page, timestamp: l.Timestamp}, binding)
			if l.Partition >= 0 {
				list = append(list, kgo.RecordHeader{Key: ownLetterHeader + "partition",
					Value: strconv.AppendInt(nil, int64(l.Partition), 10)})
			}
			return append(list, kgo.RecordHeader{Key: ownLetterHeader + "feed", Value: []byte(l.Feed)})
		},
	}
}

// deadLetters sends the records of a sink's task that cannot be written to the topic of dead letters, as they were
// read.
type deadLetters struct {
	task     *task
	binding  *plugin.Binding
	topic    string
	context  bool
	producer *kafka.Producer
}

// openDeadLetters makes the topic and the producer; nil: there are no dead letters.
func (t *task) openDeadLetters(ctx context.Context, binding *plugin.Binding) (*deadLetters, error) {
	c := t.connector
	topic, err := t.lettersTo(ctx)
	if topic == "" || err != nil {
		return nil, err
	}
	return t.lettersOf(topic, c.boolean(deadLetterHeaders), binding)
}

// lettersOf makes the producer of dead letters that go to a topic.
func (t *task) lettersOf(topic string, context bool, binding *plugin.Binding) (*deadLetters, error) {
	c := t.connector
	producer, err := kafka.NewProducer(c.run.kafka, fmt.Sprintf("connector-dlq-producer-%s-%d", c.config.Name,
		t.number))
	if err != nil {
		return nil, err
	}
	return &deadLetters{task: t, binding: binding, topic: topic, context: context, producer: producer}, nil
}

func (d *deadLetters) close() {
	if d == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second) // what is not stored is not settled either
	defer cancel()
	if err := d.producer.Close(ctx); err != nil {
		d.task.connector.log.Debug("dead letters that nobody waits for are given up", "task", d.task.number, "error",
			err)
	}
}

// Send implements [sink.DeadLetters].
func (d *deadLetters) Send(ctx context.Context, letters []sink.FailedRecord) error {
	b := d.producer.NewBatch()
	for i := range letters {
		l := &letters[i]
		r := b.Add()
		r.Topic, r.Key, r.Value, r.Timestamp = d.topic, l.Record.Key, l.Record.Value, l.Record.Timestamp
		var added []kgo.RecordHeader
		if d.context {
			what := failureContext{Failure: l.Failure, topic: l.Record.Topic, partition: l.Record.Partition,
				offset: l.Record.Offset, timestamp: -1}
			if !l.Record.Timestamp.IsZero() {
				what.timestamp = l.Record.Timestamp.UnixMilli()
			}
			added = d.task.letterHeaders(what, d.binding)
		}
		r.Headers = append(append(b.Headers(len(l.Record.Headers) + len(added))[:0], l.Record.Headers...), added...)
	}
	stored := make(chan error, 1)
	d.producer.Produce(ctx, b, func(_ int, err error) { stored <- err })
	select {
	case err := <-stored:
		if err != nil {
			return fmt.Errorf("topic %s: %w", d.topic, err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("topic %s: %w", d.topic, context.Cause(ctx))
	}
}

// stages are the names of org.apache.kafka.connect.runtime.errors.Stage.
var stages = map[core.ErrorStage]string{
	core.StageDecode: "TASK_POLL", core.StageReplay: "TASK_POLL",
	core.StageKeyConverter: "KEY_CONVERTER", core.StageValueConverter: "VALUE_CONVERTER",
	core.StageHeaderConverter: "HEADER_CONVERTER", core.StageTransforms: "TRANSFORMATION",
	core.StageEncode: "TASK_PUT", core.StageWrite: "TASK_PUT",
}

// failureContext is what there is to say of a dead letter: where it came from, and what failed there.
type failureContext struct {
	core.Failure
	topic     string
	partition int32 // -1: it comes from no topic
	offset    int64
	request   string // that a row came with, "" for a record
	timestamp int64  // in milliseconds since 1970, -1: none
}

// letterHeaders are the ten of Kafka Connect (DeadLetterQueueReporter), and what the service and the plugin have to
// say.
func (t *task) letterHeaders(l failureContext, binding *plugin.Binding) []kgo.RecordHeader {
	c := t.connector
	strike := c.o.Worker.Redact
	setting, component, info := t.failed(l, binding)
	list := make([]kgo.RecordHeader, 0, 24)
	add := func(name, value string) { list = append(list, kgo.RecordHeader{Key: name, Value: []byte(value)}) }
	const kip298 = letterHeader
	class := l.Class
	if class == "" {
		class = "org.apache.kafka.connect.errors.ConnectException"
	}
	text := l.Err.Error()
	trace := strike(class + ": " + text)
	message, ok := strings.CutPrefix(trace, class+": ")
	if !ok { // the class is a text of a plugin's, too
		class, message = strike(class), strike(text)
	}
	add(kip298+"topic", l.topic)
	add(kip298+"partition", strconv.Itoa(int(l.partition)))
	add(kip298+"offset", strconv.FormatInt(l.offset, 10))
	add(kip298+"connector.name", c.config.Name)
	add(kip298+"task.id", strconv.Itoa(t.number))
	add(kip298+"stage", stages[l.Stage])
	add(kip298+"class.name", strike(component))
	add(kip298+"exception.class.name", class)
	add(kip298+"exception.message", message)
	add(kip298+"exception.stacktrace", trace)
	const ours = ownLetterHeader
	add(ours+"plugin.name", info.Name)
	add(ours+"plugin.version", info.Version)
	add(ours+"plugin.hash", info.Hash)
	add(ours+"stage", string(l.Stage))
	add(ours+"setting", strike(setting))
	add(ours+"time", time.Now().UTC().Format(time.RFC3339))
	if l.timestamp >= 0 {
		add(ours+"timestamp", strconv.FormatInt(l.timestamp, 10))
	}
	if !l.Rows.IsAll() {
		add(ours+"parts", l.Rows.String())
	}
	if l.Replays > 0 {
		add(ours+"replays", strconv.Itoa(l.Replays))
	}
	var f *wit.Error
	if errors.As(l.Err, &f) && (l.Stage == core.StageWrite || l.Stage == core.StageEncode) {
		if f.Code != nil {
			add(ours+"service.code", strike(*f.Code))
		}
		if text != f.Message {
			message = strike(f.Message)
		}
		add(ours+"service.message", message)
	}
	if l.request != "" {
		add(ours+"request", strike(l.request))
	}
	return list
}

// failed finds the component in which a record failed.
func (t *task) failed(l failureContext, binding *plugin.Binding) (setting, class string, info plugin.Info) {
	c := t.connector
	info = binding.Current().Module()
	switch l.Stage {
	case core.StageKeyConverter:
		return "key.converter", c.classOf("key.converter"), info
	case core.StageValueConverter:
		return "value.converter", c.classOf("value.converter"), info
	case core.StageHeaderConverter:
		return "header.converter", c.classOf("header.converter"), info
	case core.StageTransforms:
		if aliases := config.List(c.config.Text("transforms")); l.Transform < len(aliases) {
			prefix := "transforms." + aliases[l.Transform] + "."
			class = c.config.Text(prefix + "type")
			if of, component, err := check.Find(c.o.Plugins, class, c.config.Text(prefix+"plugin.version"),
				wit.ComponentTransformation); err == nil {
				info, class = of, component.Name
			}
			return prefix + "type", class, info
		}
	}
	return "connector.class", c.class.component.Name, info
}

// classOf is the whole class of a converter, the connector's or else the worker's, also where an alias names it.
func (c *connector) classOf(setting string) string {
	class, _ := c.config.Converter(setting, c.o.Worker)
	declared, err := check.ConverterOf(setting, class)
	if err != nil { // cannot be: a converter was made of it
		return class
	}
	return declared.Class
}
