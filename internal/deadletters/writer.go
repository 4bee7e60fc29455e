package deadletters

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/convert"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/run/sink"
	"github.com/culvert-project/culvert/internal/run/source"
	"github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Settings of dead letter queues (KIP-298).
const (
	TopicSetting       = "errors.deadletterqueue.topic.name"
	replicationSetting = "errors.deadletterqueue.topic.replication.factor"
	HeadersSetting     = "errors.deadletterqueue.context.headers.enable"
)

// Writer writes the dead letters of a task, as Kafka Connect's DeadLetterQueueReporter does: the records of a sink as
// they were read, the rows of a source as JSON.
type Writer struct {
	Topic      string
	HasHeaders bool // letters have headers that describe the failures
	Task       int
	Config     *resolved.Connector
	Module     func() plugin.Info // of the plugin of the connector's class
	Kafka      kafka.Config       // of the connector's clients
	// ConverterOptions are of the converters of a source's rows.
	ConverterOptions func(isKey bool) convert.Options
	Log              *slog.Logger

	producer *kafka.Producer // of a sink; nil before Open
}

// EnsureTopic creates the topic if it is missing.
func (w *Writer) EnsureTopic(ctx context.Context, reserved kafka.ReservedTopics) error {
	if err := reserved.Check(w.Topic); err != nil {
		return fmt.Errorf("%s: %w", TopicSetting, err)
	}
	replication, ok := setting.ParseInt(wit.KindShort, w.Config.Text(replicationSetting))
	if !ok {
		return fmt.Errorf("%s: expected a number, found %q", replicationSetting, w.Config.Text(replicationSetting))
	}
	kafkaConfig := w.Kafka
	if kafkaConfig.Admin.ClientID == "" {
		kafkaConfig.Admin.ClientID = fmt.Sprintf("connector-dlq-adminclient-%s-%d", w.Config.Name, w.Task)
	}
	admin, err := kafka.NewAdmin(kafkaConfig)
	if err != nil {
		return err
	}
	defer admin.Close()
	if embedded, err := admin.Embedded(ctx); err == nil && embedded {
		replication = 1 // a single broker
	}
	topic := kafka.Topic{Name: w.Topic, Partitions: 1, Replication: int16(replication)}
	newTopics, err := admin.EnsureTopics(ctx, topic)
	if err != nil {
		return fmt.Errorf("dead letter topic (%s, %s): %w", TopicSetting, replicationSetting, err)
	}
	if len(newTopics) > 0 {
		w.Log.Info("dead letter topic created", "task", w.Task, "topic", w.Topic)
	}
	return kafkaConfig.LoadTopicLimits(ctx, admin, w.Topic)
}

// ForSource returns what a source needs to write its rows with their page.
func (w *Writer) ForSource() *source.DeadLetters {
	return &source.DeadLetters{
		Topic: w.Topic,
		NewConverters: func() (key, value convert.Converter, err error) {
			const class = "org.apache.kafka.connect.json.JsonConverter"
			const isKey = true
			if key, err = convert.New(class, nil, w.ConverterOptions(isKey)); err != nil {
				return nil, nil, err
			}
			value, err = convert.New(class, nil, w.ConverterOptions(!isKey))
			return key, value, err
		},
		Headers: func(row source.FailedRow) []kgo.RecordHeader {
			if !w.HasHeaders {
				return nil
			}
			origin := Origin{Topic: row.Topic, Partition: -1, Offset: int64(row.Row), Feed: row.Feed, Request: row.Page,
				TargetPartition: row.Partition}
			if row.Timestamp >= 0 {
				origin.Timestamp = time.UnixMilli(row.Timestamp)
			}
			return w.headers(&origin, &row.Failure)
		},
	}
}

// Open opens the producer of a sink's letters. The caller must close the writer.
func (w *Writer) Open() (err error) {
	w.producer, err = kafka.NewProducer(w.Kafka, fmt.Sprintf("connector-dlq-producer-%s-%d", w.Config.Name, w.Task))
	return err
}

// Close closes the producer, and waits up to a second for pending dead letters.
func (w *Writer) Close() {
	// If dead letters are lost, their records are not acknowledged either and are read again.
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := w.producer.Close(ctx); err != nil {
		w.Log.Debug("dead letters were not stored before the task ended", "task", w.Task, "error", err)
	}
}

// Send implements [sink.DeadLetters]. It waits until the brokers have stored the dead letters.
func (w *Writer) Send(ctx context.Context, deadLetters []sink.FailedRecord) error {
	b := w.producer.NewBatch()
	for i := range deadLetters {
		record := deadLetters[i].Record
		r := b.Add()
		r.Topic = w.Topic
		r.Key = record.Key
		r.Value = record.Value
		r.Timestamp = record.Timestamp
		var extra []kgo.RecordHeader
		if w.HasHeaders {
			origin := Origin{Topic: record.Topic, Partition: record.Partition, Offset: record.Offset,
				Timestamp: record.Timestamp, TargetPartition: -1}
			extra = w.headers(&origin, &deadLetters[i].Failure)
		}
		r.Headers = appendHeaders(b.Headers(len(record.Headers) + len(extra))[:0], record.Headers, extra)
	}
	acknowledgment := make(chan error, 1)
	w.producer.Produce(ctx, b, func(_ int, err error) { acknowledgment <- err })
	select {
	case err := <-acknowledgment:
		if err != nil {
			return fmt.Errorf("topic %s: %w", w.Topic, err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("topic %s: %w", w.Topic, context.Cause(ctx))
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
var kafkaStages = map[task.ErrorStage]string{
	task.StageDecode:          "TASK_POLL",
	task.StageReplay:          "TASK_POLL",
	task.StageKeyConverter:    "KEY_CONVERTER",
	task.StageValueConverter:  "VALUE_CONVERTER",
	task.StageHeaderConverter: "HEADER_CONVERTER",
	task.StageTransforms:      "TRANSFORMATION",
	task.StageEncode:          "TASK_PUT",
	task.StageWrite:           "TASK_PUT",
}

// headers returns the headers of Kafka Connect and of Culvert about a failure, without secrets.
func (w *Writer) headers(origin *Origin, failure *task.Failure) []kgo.RecordHeader {
	redact := w.Config.Worker.Redact
	settingName, component, info := w.failedComponent(failure)
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
	add(kafkaHeaderPrefix+"topic", origin.Topic)
	add(kafkaHeaderPrefix+"partition", strconv.Itoa(int(origin.Partition)))
	add(kafkaHeaderPrefix+"offset", strconv.FormatInt(origin.Offset, 10))
	add(kafkaHeaderPrefix+"connector.name", w.Config.Name)
	add(kafkaHeaderPrefix+"task.id", strconv.Itoa(w.Task))
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
	if millis := origin.Timestamp.UnixMilli(); millis >= 0 { // else unknown
		add(culvertHeaderPrefix+"timestamp", strconv.FormatInt(millis, 10))
	}
	if !failure.Rows.IsAll() {
		add(culvertHeaderPrefix+"parts", failure.Rows.String())
	}
	if failure.Replays > 0 {
		add(culvertHeaderPrefix+"replays", strconv.Itoa(failure.Replays))
		add(culvertHeaderPrefix+"original", failure.Original)
	}
	var witError *wit.Error
	if errors.As(failure.Err, &witError) && failure.Stage == task.StageWrite { // else no service answered
		if witError.Code != nil {
			add(culvertHeaderPrefix+"service.code", redact(*witError.Code))
		}
		if reason != witError.Message {
			message = redact(witError.Message)
		}
		add(culvertHeaderPrefix+"service.message", message)
	}
	if origin.Request != "" {
		add(culvertHeaderPrefix+"request", redact(origin.Request))
	}
	if origin.TargetPartition >= 0 {
		add(culvertHeaderPrefix+"partition", strconv.Itoa(int(origin.TargetPartition)))
	}
	if origin.Partition < 0 {
		add(culvertHeaderPrefix+"feed", origin.Feed)
	}
	return headers
}

// failedComponent returns the setting and the class in which a record failed, and the module that has the class.
func (w *Writer) failedComponent(failure *task.Failure) (settingName, class string, info plugin.Info) {
	info = w.Module()
	switch failure.Stage {
	case task.StageKeyConverter, task.StageValueConverter, task.StageHeaderConverter:
		settingName = strings.ReplaceAll(string(failure.Stage), " ", ".") // the stage "key converter" is of key.converter
		class, _ = w.Config.Converter(settingName)
		if converter, err := resolved.ConverterOf(settingName, class); err == nil { // as when it was created
			class = converter.Class
		}
		return settingName, class, info
	case task.StageTransforms:
		if transforms := w.Config.Stages.Transforms; failure.Transform < len(transforms) {
			stage := transforms[failure.Transform]
			if stage.Class.RunError() != nil {
				return stage.Prefix + "type", stage.Class.Class, info
			}
			return stage.Prefix + "type", stage.Class.Component.Name, stage.Class.Module
		}
	}
	return resolved.ClassSetting, w.Config.Class.Component.Name, info
}
