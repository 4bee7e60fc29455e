package connect

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/internal/sink"
	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/wit"
)

// Settings of dead letters (KIP-298).
const (
	deadLetterTopic       = "errors.deadletterqueue.topic.name"
	deadLetterReplication = "errors.deadletterqueue.topic.replication.factor"
	deadLetterHeaders     = "errors.deadletterqueue.context.headers.enable"
)

// deadLetters sends the records of a sink's task that cannot be written to the topic of dead letters, as they were
// read.
type deadLetters struct {
	task     *task
	binding  *plugin.Binding
	topic    string
	context  bool
	producer *kafka.Producer
}

// openDeadLetters makes the topic, of one partition as Kafka Connect does, and the producer; nil: the connector has no
// such topic, or tolerates nothing, and then a record that cannot be written fails its task.
func (t *task) openDeadLetters(ctx context.Context, binding *plugin.Binding) (*deadLetters, error) {
	c := t.connector
	topic := strings.TrimSpace(c.config.Text(deadLetterTopic))
	if topic == "" || !c.tolerance().TolerateAll {
		return nil, nil
	}
	if err := c.o.reserved.Check(topic); err != nil {
		return nil, fmt.Errorf("%s: %w", deadLetterTopic, err)
	}
	replication, err := strconv.ParseInt(strings.TrimSpace(c.config.Text(deadLetterReplication)), 10, 16)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", deadLetterReplication, err)
	}
	k := c.kafka
	if k.Admin.ClientID == "" {
		k.Admin.ClientID = fmt.Sprintf("connector-dlq-adminclient-%s-%d", c.config.Name, t.number)
	}
	admin, err := kafka.NewAdmin(k)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	if embedded, err := admin.Embedded(ctx); err == nil && embedded {
		replication = 1 // it is alone
	}
	created, err := admin.EnsureTopics(ctx, kafka.Topic{Name: topic, Partitions: 1, Replication: int16(replication)})
	if err != nil {
		return nil, fmt.Errorf("the topic of dead letters (%s, replicas by %s): %w", deadLetterTopic, deadLetterReplication, err)
	}
	if len(created) > 0 {
		c.log.Info("topic of dead letters created", "task", t.number, "topic", topic)
	}
	producer, err := kafka.NewProducer(c.kafka, fmt.Sprintf("connector-dlq-producer-%s-%d", c.config.Name, t.number))
	if err != nil {
		return nil, err
	}
	return &deadLetters{t, binding, topic, c.boolean(deadLetterHeaders), producer}, nil
}

func (d *deadLetters) close() {
	if d == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second) // what is not stored is not settled either
	defer cancel()
	if err := d.producer.Close(ctx); err != nil {
		d.task.connector.log.Debug("dead letters that nobody waits for are given up", "task", d.task.number, "error", err)
	}
}

// Send implements [sink.DeadLetters].
func (d *deadLetters) Send(ctx context.Context, l sink.Letter) error {
	b := d.producer.NewBatch()
	r := b.Add()
	r.Topic, r.Key, r.Value, r.Timestamp = d.topic, l.Record.Key, l.Record.Value, l.Record.Timestamp
	var added []kgo.RecordHeader
	if d.context {
		added = d.headers(l)
	}
	r.Headers = append(append(b.Headers(len(l.Record.Headers) + len(added))[:0], l.Record.Headers...), added...)
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
var stages = map[sink.Stage]string{sink.StageKey: "KEY_CONVERTER", sink.StageValue: "VALUE_CONVERTER", sink.StageHeaders: "HEADER_CONVERTER",
	sink.StageTransforms: "TRANSFORMATION", sink.StageEncode: "TASK_PUT", sink.StageWrite: "TASK_PUT"}

// headers are the ten of Kafka Connect (DeadLetterQueueReporter), and what the service and the plugin have to say.
func (d *deadLetters) headers(l sink.Letter) []kgo.RecordHeader {
	c, r := d.task.connector, l.Record
	var list []kgo.RecordHeader
	add := func(name, value string) { list = append(list, kgo.RecordHeader{Key: name, Value: []byte(value)}) }
	const kip298 = "__connect.errors."
	class := l.Class
	if class == "" {
		class = "org.apache.kafka.connect.errors.ConnectException"
	}
	add(kip298+"topic", r.Topic)
	add(kip298+"partition", strconv.Itoa(int(r.Partition)))
	add(kip298+"offset", strconv.FormatInt(r.Offset, 10))
	add(kip298+"connector.name", c.config.Name)
	add(kip298+"task.id", strconv.Itoa(d.task.number))
	add(kip298+"stage", stages[l.Stage])
	add(kip298+"class.name", d.failed(l))
	add(kip298+"exception.class.name", class)
	add(kip298+"exception.message", l.Err.Error())
	add(kip298+"exception.stacktrace", class+": "+l.Err.Error())
	const ours = "__culvert.errors."
	info := d.binding.Current().Module()
	add(ours+"plugin.name", info.Name)
	add(ours+"plugin.version", info.Version)
	add(ours+"plugin.hash", info.Hash)
	add(ours+"stage", string(l.Stage))
	var f *wit.Fault
	if errors.As(l.Err, &f) && (l.Stage == sink.StageWrite || l.Stage == sink.StageEncode) {
		if f.Code != nil {
			add(ours+"service.code", *f.Code)
		}
		add(ours+"service.message", f.Message)
	}
	return list
}

// failed is the class that was at work.
func (d *deadLetters) failed(l sink.Letter) string {
	c := d.task.connector
	switch l.Stage {
	case sink.StageKey:
		return c.classOf("key.converter")
	case sink.StageValue:
		return c.classOf("value.converter")
	case sink.StageHeaders:
		return c.classOf("header.converter")
	case sink.StageTransforms:
		if aliases := config.List(c.config.Text("transforms")); l.Transform < len(aliases) {
			return c.config.Text("transforms." + aliases[l.Transform] + ".type")
		}
	}
	return c.component.Name
}

// classOf is the class of a converter: the connector's, else the worker's.
func (c *connector) classOf(setting string) string {
	if class := strings.TrimSpace(c.config.Text(setting)); class != "" {
		return class
	}
	return c.o.Worker.Text(setting)
}
