package connect

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/components"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/convert"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/run/sink"
	"github.com/culvert-project/culvert/internal/run/source"
	core "github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Settings of dead letter queues (KIP-298).
const (
	deadLetterTopic       = "errors.deadletterqueue.topic.name"
	deadLetterReplication = "errors.deadletterqueue.topic.replication.factor"
	deadLetterContext     = "errors.deadletterqueue.context.headers.enable"
)

// ensureDeadLetterTopic creates the dead letter topic with one partition, as Kafka Connect does. It returns "" if the
// connector has none or does not tolerate errors.
func (t *task) ensureDeadLetterTopic(ctx context.Context) (topic string, err error) {
	run := t.run
	topic = setting.Trim(run.config.Text(deadLetterTopic))
	if topic == "" || !run.tolerance().TolerateAll {
		return "", nil
	}
	if err := run.options.reserved.Check(topic); err != nil {
		return "", fmt.Errorf("%s: %w", deadLetterTopic, err)
	}
	replication, ok := setting.ParseInt(wit.KindShort, run.config.Text(deadLetterReplication))
	if !ok {
		return "", fmt.Errorf("%s: expected a number, found %q", deadLetterReplication,
			run.config.Text(deadLetterReplication))
	}
	kafkaConfig := run.clients.kafka
	if kafkaConfig.Admin.ClientID == "" {
		kafkaConfig.Admin.ClientID = fmt.Sprintf("connector-dlq-adminclient-%s-%d", run.config.Name, t.number)
	}
	admin, err := kafka.NewAdmin(kafkaConfig)
	if err != nil {
		return "", err
	}
	defer admin.Close()
	if embedded, err := admin.Embedded(ctx); err == nil && embedded {
		replication = 1 // a single broker
	}
	created, err := admin.EnsureTopics(ctx, kafka.Topic{Name: topic, Partitions: 1, Replication: int16(replication)})
	if err != nil {
		return "", fmt.Errorf("dead letter topic (%s, %s): %w", deadLetterTopic, deadLetterReplication, err)
	}
	if len(created) > 0 {
		run.log.Info("dead letter topic created", "task", t.number, "topic", topic)
	}
	return topic, kafkaConfig.LoadTopicLimits(ctx, admin, topic)
}

func (t *task) openSourceDeadLetters(ctx context.Context, binding *plugin.Binding) (*source.DeadLetters, error) {
	run := t.run
	topic, err := t.ensureDeadLetterTopic(ctx)
	if topic == "" || err != nil {
		return nil, err
	}
	return t.newSourceDeadLetters(topic, run.boolean(deadLetterContext), binding), nil
}

func (t *task) newSourceDeadLetters(topic string, context bool, binding *plugin.Binding) *source.DeadLetters {
	run := t.run
	return &source.DeadLetters{
		Topic: topic,
		NewConverters: func() (key, value convert.Converter, err error) {
			const class = "org.apache.kafka.connect.json.JsonConverter"
			if key, err = convert.New(class, nil, run.converterUse(forKey)); err != nil {
				return nil, nil, err
			}
			value, err = convert.New(class, nil, run.converterUse(forValue))
			return key, value, err
		},
		Headers: func(failed source.FailedRow) []kgo.RecordHeader {
			if !context {
				return nil
			}
			list := t.deadLetterHeaders(failureContext{Failure: failed.Failure, topic: failed.Topic, partition: -1,
				offset: int64(failed.Row), request: failed.Page, timestamp: failed.Timestamp}, binding)
			if failed.Partition >= 0 {
				list = append(list, kgo.RecordHeader{Key: ownHeaderPrefix + "partition",
					Value: strconv.AppendInt(nil, int64(failed.Partition), 10)})
			}
			return append(list, kgo.RecordHeader{Key: ownHeaderPrefix + "feed", Value: []byte(failed.Feed)})
		},
	}
}

// deadLetterProducer sends the records that a sink task could not write to the dead letter topic, as they were read.
type deadLetterProducer struct {
	task     *task
	binding  *plugin.Binding
	topic    string
	context  bool
	producer *kafka.Producer
}

func (t *task) openDeadLetters(ctx context.Context, binding *plugin.Binding) (*deadLetterProducer, error) {
	run := t.run
	topic, err := t.ensureDeadLetterTopic(ctx)
	if topic == "" || err != nil {
		return nil, err
	}
	return t.newDeadLetterProducer(topic, run.boolean(deadLetterContext), binding)
}

func (t *task) newDeadLetterProducer(topic string, context bool, binding *plugin.Binding) (*deadLetterProducer, error) {
	run := t.run
	producer, err := kafka.NewProducer(run.clients.kafka, fmt.Sprintf("connector-dlq-producer-%s-%d", run.config.Name,
		t.number))
	if err != nil {
		return nil, err
	}
	return &deadLetterProducer{task: t, binding: binding, topic: topic, context: context, producer: producer}, nil
}

func (d *deadLetterProducer) close() {
	if d == nil {
		return
	}
	// the records of unstored dead letters are not acknowledged either
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := d.producer.Close(ctx); err != nil {
		d.task.run.log.Debug("dead letters were not stored before the task ended", "task", d.task.number, "error", err)
	}
}

// Send implements [sink.DeadLetters].
func (d *deadLetterProducer) Send(ctx context.Context, deadLetters []sink.FailedRecord) error {
	b := d.producer.NewBatch()
	for i := range deadLetters {
		failed := &deadLetters[i]
		r := b.Add()
		r.Topic = d.topic
		r.Key = failed.Record.Key
		r.Value = failed.Record.Value
		r.Timestamp = failed.Record.Timestamp
		var extra []kgo.RecordHeader
		if d.context {
			failure := failureContext{Failure: failed.Failure, topic: failed.Record.Topic,
				partition: failed.Record.Partition, offset: failed.Record.Offset, timestamp: -1}
			if !failed.Record.Timestamp.IsZero() {
				failure.timestamp = failed.Record.Timestamp.UnixMilli()
			}
			extra = d.task.deadLetterHeaders(failure, d.binding)
		}
		r.Headers = appendHeaders(b.Headers(len(failed.Record.Headers) + len(extra))[:0], failed.Record.Headers, extra)
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

// appendHeaders appends the headers of a record and those of its failure, which replace the headers of another
// connector's dead letter.
func appendHeaders(to, record, failure []kgo.RecordHeader) []kgo.RecordHeader {
	for _, h := range record {
		if len(failure) == 0 || !strings.HasPrefix(h.Key, ownHeaderPrefix) {
			to = append(to, h)
		}
	}
	return append(to, failure...)
}

// kafkaStages maps stages to names of org.apache.kafka.connect.runtime.errors.Stage.
var kafkaStages = map[core.ErrorStage]string{
	core.StageDecode: "TASK_POLL", core.StageReplay: "TASK_POLL",
	core.StageKeyConverter: "KEY_CONVERTER", core.StageValueConverter: "VALUE_CONVERTER",
	core.StageHeaderConverter: "HEADER_CONVERTER", core.StageTransforms: "TRANSFORMATION",
	core.StageEncode: "TASK_PUT", core.StageWrite: "TASK_PUT",
}

// failureContext is a failure with the position of its record or row.
type failureContext struct {
	core.Failure
	topic     string
	partition int32 // -1 means a row of a source
	offset    int64
	request   string // the request that returned the row; "" for a record
	timestamp int64  // Unix milliseconds; -1 means unknown
}

func (t *task) deadLetterHeaders(failed failureContext, binding *plugin.Binding) []kgo.RecordHeader {
	run := t.run
	redact := run.options.Worker.Redact
	setting, component, info := t.failedComponent(failed, binding)
	list := make([]kgo.RecordHeader, 0, 24)
	add := func(name, value string) { list = append(list, kgo.RecordHeader{Key: name, Value: []byte(value)}) }
	const kip298 = kafkaHeaderPrefix
	class := failed.Class
	if class == "" {
		class = "org.apache.kafka.connect.errors.ConnectException"
	}
	reason := failed.Err.Error()
	trace := redact(class + ": " + reason)
	message, ok := strings.CutPrefix(trace, class+": ")
	if !ok { // redaction changed the class, which a plugin may set
		class = redact(class)
		message = redact(reason)
	}
	add(kip298+"topic", failed.topic)
	add(kip298+"partition", strconv.Itoa(int(failed.partition)))
	add(kip298+"offset", strconv.FormatInt(failed.offset, 10))
	add(kip298+"connector.name", run.config.Name)
	add(kip298+"task.id", strconv.Itoa(t.number))
	add(kip298+"stage", kafkaStages[failed.Stage])
	add(kip298+"class.name", redact(component))
	add(kip298+"exception.class.name", class)
	add(kip298+"exception.message", message)
	add(kip298+"exception.stacktrace", trace)
	const ours = ownHeaderPrefix
	add(ours+"plugin.name", info.Name)
	add(ours+"plugin.version", info.Version)
	add(ours+"plugin.hash", info.Hash)
	add(ours+"stage", string(failed.Stage))
	add(ours+"setting", redact(setting))
	add(ours+"time", time.Now().UTC().Format(time.RFC3339))
	if failed.timestamp >= 0 {
		add(ours+"timestamp", strconv.FormatInt(failed.timestamp, 10))
	}
	if !failed.Rows.IsAll() {
		add(ours+"parts", failed.Rows.String())
	}
	if failed.Replays > 0 {
		add(ours+"replays", strconv.Itoa(failed.Replays))
		add(ours+"original", failed.Original)
	}
	var witError *wit.Error
	if errors.As(failed.Err, &witError) && failed.Stage == core.StageWrite { // else no service answered
		if witError.Code != nil {
			add(ours+"service.code", redact(*witError.Code))
		}
		if reason != witError.Message {
			message = redact(witError.Message)
		}
		add(ours+"service.message", message)
	}
	if failed.request != "" {
		add(ours+"request", redact(failed.request))
	}
	return list
}

// failedComponent returns the setting and the class in which a record failed, and the module that has the class.
func (t *task) failedComponent(failed failureContext,
	binding *plugin.Binding) (setting, class string, info plugin.Info) {
	run := t.run
	info = binding.Current().Module()
	switch failed.Stage {
	case core.StageKeyConverter:
		return "key.converter", run.converterClass("key.converter"), info
	case core.StageValueConverter:
		return "value.converter", run.converterClass("value.converter"), info
	case core.StageHeaderConverter:
		return "header.converter", run.converterClass("header.converter"), info
	case core.StageTransforms:
		if aliases := config.List(run.config.Text("transforms")); failed.Transform < len(aliases) {
			prefix := "transforms." + aliases[failed.Transform] + "."
			class = run.config.Text(prefix + "type")
			if module, component, err := components.Find(run.options.Plugins, class,
				run.config.Text(prefix+"plugin.version"), wit.ComponentTransformation); err == nil {
				info = module
				class = component.Name
			}
			return prefix + "type", class, info
		}
	}
	return "connector.class", run.class.component.Name, info
}

func (run *connectorRun) converterClass(setting string) string {
	class, _ := run.config.Converter(setting, run.options.Worker)
	declared, err := components.ConverterOf(setting, class)
	if err != nil { // does not happen: the converter was created with it
		return class
	}
	return declared.Class
}
