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

// ensureDeadLetterTopic creates a missing topic. It returns "" if the connector names no topic or tolerates no errors.
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
	newTopics, err := admin.EnsureTopics(ctx, kafka.Topic{Name: topic, Partitions: 1, Replication: int16(replication)})
	if err != nil {
		return "", fmt.Errorf("dead letter topic (%s, %s): %w", deadLetterTopic, deadLetterReplication, err)
	}
	if len(newTopics) > 0 {
		run.log.Info("dead letter topic created", "task", t.number, "topic", topic)
	}
	return topic, kafkaConfig.LoadTopicLimits(ctx, admin, topic)
}

// openSourceDeadLetters returns nil if the connector has no dead letter topic.
func (t *task) openSourceDeadLetters(ctx context.Context, binding *plugin.Binding) (*source.DeadLetters, error) {
	topic, err := t.ensureDeadLetterTopic(ctx)
	if topic == "" || err != nil {
		return nil, err
	}
	return t.newSourceDeadLetters(topic, t.run.boolean(deadLetterContext), binding), nil
}

func (t *task) newSourceDeadLetters(topic string, withHeaders bool, binding *plugin.Binding) *source.DeadLetters {
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
		Headers: func(row source.FailedRow) []kgo.RecordHeader {
			if !withHeaders {
				return nil
			}
			headers := t.deadLetterHeaders(failureContext{Failure: row.Failure, topic: row.Topic, partition: -1,
				offset: int64(row.Row), request: row.Page, timestamp: row.Timestamp}, binding)
			if row.Partition >= 0 {
				headers = append(headers, kgo.RecordHeader{Key: culvertHeaderPrefix + "partition",
					Value: strconv.AppendInt(nil, int64(row.Partition), 10)})
			}
			return append(headers, kgo.RecordHeader{Key: culvertHeaderPrefix + "feed", Value: []byte(row.Feed)})
		},
	}
}

// deadLetterProducer sends the records that a sink task could not write to the dead letter topic, as they were read.
type deadLetterProducer struct {
	task        *task
	binding     *plugin.Binding
	topic       string
	withHeaders bool // which describe the failures
	producer    *kafka.Producer
}

// openDeadLetters returns nil if the connector has no dead letter topic.
func (t *task) openDeadLetters(ctx context.Context, binding *plugin.Binding) (*deadLetterProducer, error) {
	topic, err := t.ensureDeadLetterTopic(ctx)
	if topic == "" || err != nil {
		return nil, err
	}
	return t.newDeadLetterProducer(topic, t.run.boolean(deadLetterContext), binding)
}

func (t *task) newDeadLetterProducer(topic string, withHeaders bool,
	binding *plugin.Binding) (*deadLetterProducer, error) {
	clientID := fmt.Sprintf("connector-dlq-producer-%s-%d", t.run.config.Name, t.number)
	producer, err := kafka.NewProducer(t.run.clients.kafka, clientID)
	if err != nil {
		return nil, err
	}
	return &deadLetterProducer{task: t, binding: binding, topic: topic, withHeaders: withHeaders,
		producer: producer}, nil
}

// close waits up to a second for pending dead letters. A nil producer has no letters.
func (d *deadLetterProducer) close() {
	if d == nil {
		return
	}
	// If dead letters are lost, their records are not acknowledged either and are read again.
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := d.producer.Close(ctx); err != nil {
		d.task.run.log.Debug("dead letters were not stored before the task ended", "task", d.task.number, "error", err)
	}
}

// Send implements [sink.DeadLetters]. It waits until the brokers have stored the dead letters.
func (d *deadLetterProducer) Send(ctx context.Context, deadLetters []sink.FailedRecord) error {
	b := d.producer.NewBatch()
	for i := range deadLetters {
		record := deadLetters[i].Record
		r := b.Add()
		r.Topic = d.topic
		r.Key = record.Key
		r.Value = record.Value
		r.Timestamp = record.Timestamp
		var extra []kgo.RecordHeader
		if d.withHeaders {
			failure := failureContext{Failure: deadLetters[i].Failure, topic: record.Topic, partition: record.Partition,
				offset: record.Offset, timestamp: -1}
			if !record.Timestamp.IsZero() {
				failure.timestamp = record.Timestamp.UnixMilli()
			}
			extra = d.task.deadLetterHeaders(failure, d.binding)
		}
		r.Headers = appendHeaders(b.Headers(len(record.Headers) + len(extra))[:0], record.Headers, extra)
	}
	acknowledgment := make(chan error, 1)
	d.producer.Produce(ctx, b, func(_ int, err error) { acknowledgment <- err })
	select {
	case err := <-acknowledgment:
		if err != nil {
			return fmt.Errorf("topic %s: %w", d.topic, err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("topic %s: %w", d.topic, context.Cause(ctx))
	}
}

// appendHeaders appends headers to dst. The headers of the failure replace those of an earlier failure.
func appendHeaders(dst, record, failure []kgo.RecordHeader) []kgo.RecordHeader {
	for _, h := range record {
		if len(failure) == 0 || !strings.HasPrefix(h.Key, culvertHeaderPrefix) {
			dst = append(dst, h)
		}
	}
	return append(dst, failure...)
}

// kafkaStages maps stages to names of org.apache.kafka.connect.runtime.errors.Stage.
var kafkaStages = map[core.ErrorStage]string{
	core.StageDecode:          "TASK_POLL",
	core.StageReplay:          "TASK_POLL",
	core.StageKeyConverter:    "KEY_CONVERTER",
	core.StageValueConverter:  "VALUE_CONVERTER",
	core.StageHeaderConverter: "HEADER_CONVERTER",
	core.StageTransforms:      "TRANSFORMATION",
	core.StageEncode:          "TASK_PUT",
	core.StageWrite:           "TASK_PUT",
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

func (t *task) deadLetterHeaders(failure failureContext, binding *plugin.Binding) []kgo.RecordHeader {
	run := t.run
	redact := run.options.Worker.Redact
	settingName, component, info := t.failedComponent(failure, binding)
	headers := make([]kgo.RecordHeader, 0, 24)
	add := func(name, value string) { headers = append(headers, kgo.RecordHeader{Key: name, Value: []byte(value)}) }
	class := failure.Class
	if class == "" {
		class = "org.apache.kafka.connect.errors.ConnectException"
	}
	reason := failure.Err.Error()
	trace := redact(class + ": " + reason)
	message, ok := strings.CutPrefix(trace, class+": ")
	if !ok { // redaction changed the class, which a plugin may set
		class = redact(class)
		message = redact(reason)
	}
	add(kafkaHeaderPrefix+"topic", failure.topic)
	add(kafkaHeaderPrefix+"partition", strconv.Itoa(int(failure.partition)))
	add(kafkaHeaderPrefix+"offset", strconv.FormatInt(failure.offset, 10))
	add(kafkaHeaderPrefix+"connector.name", run.config.Name)
	add(kafkaHeaderPrefix+"task.id", strconv.Itoa(t.number))
	add(kafkaHeaderPrefix+"stage", kafkaStages[failure.Stage])
	add(kafkaHeaderPrefix+"class.name", redact(component))
	add(kafkaHeaderPrefix+"exception.class.name", class)
	add(kafkaHeaderPrefix+"exception.message", message)
	add(kafkaHeaderPrefix+"exception.stacktrace", trace)
	add(culvertHeaderPrefix+"plugin.name", info.Name)
	add(culvertHeaderPrefix+"plugin.version", info.Version)
	add(culvertHeaderPrefix+"plugin.hash", info.Hash)
	add(culvertHeaderPrefix+"stage", string(failure.Stage))
	add(culvertHeaderPrefix+"setting", redact(settingName))
	add(culvertHeaderPrefix+"time", time.Now().UTC().Format(time.RFC3339))
	if failure.timestamp >= 0 {
		add(culvertHeaderPrefix+"timestamp", strconv.FormatInt(failure.timestamp, 10))
	}
	if !failure.Rows.IsAll() {
		add(culvertHeaderPrefix+"parts", failure.Rows.String())
	}
	if failure.Replays > 0 {
		add(culvertHeaderPrefix+"replays", strconv.Itoa(failure.Replays))
		add(culvertHeaderPrefix+"original", failure.Original)
	}
	var witError *wit.Error
	if errors.As(failure.Err, &witError) && failure.Stage == core.StageWrite { // else no service answered
		if witError.Code != nil {
			add(culvertHeaderPrefix+"service.code", redact(*witError.Code))
		}
		if reason != witError.Message {
			message = redact(witError.Message)
		}
		add(culvertHeaderPrefix+"service.message", message)
	}
	if failure.request != "" {
		add(culvertHeaderPrefix+"request", redact(failure.request))
	}
	return headers
}

// failedComponent returns the setting and the class in which a record failed, and the module that has the class.
func (t *task) failedComponent(failure failureContext,
	binding *plugin.Binding) (settingName, class string, info plugin.Info) {
	run := t.run
	info = binding.Current().Module()
	switch failure.Stage {
	case core.StageKeyConverter:
		return "key.converter", run.converterClass("key.converter"), info
	case core.StageValueConverter:
		return "value.converter", run.converterClass("value.converter"), info
	case core.StageHeaderConverter:
		return "header.converter", run.converterClass("header.converter"), info
	case core.StageTransforms:
		if aliases := config.List(run.config.Text("transforms")); failure.Transform < len(aliases) {
			prefix := "transforms." + aliases[failure.Transform] + "."
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

func (run *connectorRun) converterClass(settingName string) string {
	class, _ := run.config.Converter(settingName, run.options.Worker)
	converter, err := components.ConverterOf(settingName, class)
	if err != nil { // does not happen: the converter was created from the same settings
		return class
	}
	return converter.Class
}
