package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

const (
	// statusDeliveryTimeout makes pending writes fail before the group's session (10 s) ends and other workers write.
	statusDeliveryTimeout = 5 * time.Second
	statusRetryInterval   = time.Second
	writtenPollInterval   = 5 * time.Millisecond
)

// ParseStatusTopic reads status.storage.… from properties. Default: connect-status with 5 partitions.
func ParseStatusTopic(properties map[string]string) (kafka.InternalTopic, setting.Problems) {
	return kafka.ParseInternalTopic(properties, "status.storage.",
		kafka.InternalTopic{Name: "connect-status", Partitions: 5})
}

// StatusTopic reads the status topic and writes to it. It owns a goroutine and its clients until Close. While the
// brokers are unavailable a newer value of a key replaces an older one, so memory is bounded.
type StatusTopic struct {
	Statuses

	name     string
	log      *slog.Logger
	client   *kgo.Client
	reader   *kafka.Reader
	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
	caughtUp chan struct{} // closed when the first content was read
	done     chan struct{} // closed when the reading goroutine has ended
	skipped  int           // records that are no statuses; for the reading goroutine only

	mu     guard.Mutex
	outbox outbox
	// written and read are the positions after the last records that this worker has written and has read back.
	written kafka.Positions
	read    kafka.Positions
	// following is true while new records are read as they are written. Otherwise nothing is sent. interrupt ends it.
	following bool
	interrupt context.CancelFunc
}

// OpenStatusTopic creates the topic if it is missing, and starts reading it. It rejects one that is not compacted.
func OpenStatusTopic(ctx context.Context, k kafka.Config, topic kafka.InternalTopic,
	log *slog.Logger) (*StatusTopic, error) {
	admin, err := kafka.NewAdmin(k)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	if err := admin.EnsureInternalTopic(ctx, topic); err != nil {
		return nil, err
	}
	// Fixed, as in Kafka Connect's KafkaBasedLog, whatever the worker's producers and consumers are configured to.
	k.Producer.Acks = -1
	k.Producer.Idempotent = true
	k.Producer.Linger = 0
	k.Producer.Retries = -1
	k.Producer.DeliveryTimeout = statusDeliveryTimeout
	k.Consumer.Reset = "earliest"
	// A value in doubt may be written twice without harm. The buffer is unlimited: there are no more records than keys.
	client, err := kgo.NewClient(k.ProducerOpts(kgo.AllowIdempotentProduceCancellation(),
		kgo.MaxBufferedRecords(math.MaxInt), kgo.ProduceRequestTimeout(statusDeliveryTimeout))...)
	if err != nil {
		return nil, fmt.Errorf("topic %s: %w", topic.Name, err)
	}
	reader, err := kafka.NewReader(k)
	if err != nil {
		client.Close()
		return nil, err
	}
	t := &StatusTopic{name: topic.Name, log: log, client: client, reader: reader, caughtUp: make(chan struct{}),
		done: make(chan struct{}), outbox: newOutbox(), written: kafka.Positions{}, read: kafka.Positions{}}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	go t.follow()
	return t, nil
}

// Await waits until the first content was read. Only then are lookups complete and statuses written.
func (t *StatusTopic) Await(ctx context.Context) error {
	select {
	case <-t.caughtUp:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("topic %s of status.storage.topic was not read to its end: %w", t.name, ctx.Err())
	}
}

// Put publishes a status of this worker. Its trace is public: the caller has redacted it ([config.Worker.Redact]).
func (t *StatusTopic) Put(s Status) { t.put(statusWrite{value: s.encode(), status: s}) }

// PutSafe is [StatusTopic.Put] unless another worker has written in a newer generation.
func (t *StatusTopic) PutSafe(s Status) { t.put(statusWrite{value: s.encode(), status: s, safe: true}) }

func (t *StatusTopic) put(w statusWrite) {
	k := statusKey{connector: w.status.Connector, task: w.status.Task}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !w.isSuperseded(t.status(k)) {
		t.outbox.waiting[k] = w
		t.send(k)
	}
}

// Delete deletes all statuses of a connector. Workers may write others later: the leader cleans up.
func (t *StatusTopic) Delete(connector string) {
	t.erase(connector, func(statusKey) bool { return true })
}

// DeleteTasks is [StatusTopic.Delete] for the tasks from a number on.
func (t *StatusTopic) DeleteTasks(connector string, from int) {
	t.erase(connector, func(k statusKey) bool { return k.topic == "" && k.task >= max(0, from) })
}

// ResetTopics deletes the records of the topics that a connector has used.
func (t *StatusTopic) ResetTopics(connector string) {
	t.erase(connector, func(k statusKey) bool { return k.topic != "" })
}

func (t *StatusTopic) erase(connector string, isErased func(statusKey) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, k := range append(t.keys(connector), t.outbox.keys()...) {
		if k.connector == connector && isErased(k) {
			t.outbox.waiting[k] = statusWrite{}
			t.send(k)
		}
	}
}

// RecordTopic records that a task uses a topic, cheaply enough for each batch.
func (t *StatusTopic) RecordTopic(connector, topic string, task int) {
	k := statusKey{connector: connector, topic: topic}
	t.mu.Lock()
	defer t.mu.Unlock()
	isRecorded := t.status(k) != Status{}
	for _, writes := range []map[statusKey]statusWrite{t.outbox.inFlight, t.outbox.waiting} { // the newest comes last
		if w, ok := writes[k]; ok {
			isRecorded = w.value != nil
		}
	}
	if !isRecorded {
		t.outbox.waiting[k] = statusWrite{value: encodeTopic(k, task, time.Now().UnixMilli())}
		t.send(k)
	}
}

// AwaitWritten waits until everything that this worker has to write about a connector was written and read back.
func (t *StatusTopic) AwaitWritten(ctx context.Context, connector string) error {
	var written kafka.Positions // nil while records about the connector wait in the outbox
	for !t.hasRead(connector, &written) {
		if err := pause.For(ctx, writtenPollInterval); err != nil {
			return fmt.Errorf("topic %s of status.storage.topic: statuses of connector %s are not read back yet: %w",
				t.name, connector, err)
		}
	}
	return nil
}

// hasRead reports whether this worker has read back what it has written about a connector. If *written is nil, it sets
// *written to the positions to reach, as soon as no record about the connector waits in the outbox.
func (t *StatusTopic) hasRead(connector string, written *kafka.Positions) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if *written == nil {
		isOfConnector := func(k statusKey) bool { return k.connector == connector }
		if slices.ContainsFunc(t.outbox.keys(), isOfConnector) {
			return false
		}
		*written = maps.Clone(t.written)
	}
	for partition, next := range *written {
		if t.read[partition] < next {
			return false
		}
	}
	return true
}

// Close writes what waits until ctx ends, then ends the goroutine and the clients. An error means unwritten statuses.
func (t *StatusTopic) Close(ctx context.Context) (err error) {
	for pending := t.pending(); pending > 0 && err == nil; pending = t.pending() {
		if err = pause.For(ctx, writtenPollInterval); err != nil {
			err = fmt.Errorf("topic %s of status.storage.topic: %d statuses cannot be written: %w", t.name,
				pending, err)
		}
	}
	t.cancel()
	<-t.done
	t.client.Close()
	t.reader.Close()
	return err
}

func (t *StatusTopic) pending() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.outbox.size()
}

// send sends the waiting writes of keys while new records are read. The caller holds t.mu.
func (t *StatusTopic) send(keys ...statusKey) {
	for _, k := range keys {
		if !t.following {
			return
		}
		t.outbox.send(k, t.status(k), func(value []byte) {
			r := &kgo.Record{Topic: t.name, Partition: -1, Key: []byte(k.String()), Value: value}
			t.client.Produce(t.ctx, r, func(r *kgo.Record, err error) { t.onProduced(k, r, err) })
		})
	}
}

func (t *StatusTopic) onProduced(k statusKey, r *kgo.Record, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		t.written[r.Partition] = r.Offset + 1
	}
	if errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, kerr.InvalidRecord) {
		t.log.Error("a status is not written", "topic", t.name, "key", k.String(), "error", err)
		err = nil
	}
	t.outbox.complete(k, err != nil)
	switch {
	case err != nil:
		if !t.outbox.failing && t.ctx.Err() == nil {
			t.log.Warn("statuses cannot be written; the newest ones are written when the brokers accept them again",
				"topic", t.name, "key", k.String(), "error", kafka.WithMissingRight(err, "WRITE", "Topic "+t.name))
		}
		t.outbox.failing = true
		t.following = false
		t.interrupt()
	case t.outbox.failing && t.outbox.size() == 0:
		t.outbox.failing = false
		t.log.Info("statuses are written again", "topic", t.name)
	}
	t.send(k)
}

// follow reads the topic until Close. After a failed write or read it reads up to the end before it sends again.
func (t *StatusTopic) follow() {
	defer close(t.done)
	defer guard.Vital("the reading of statuses")
	var positions kafka.Positions
	var isFailing, isComplete bool
	for {
		err := t.readFrom(t.ctx, &positions, kafka.ReadOptions{})
		if err == nil {
			if isFailing {
				t.log.Info("statuses are read again", "topic", t.name)
			}
			isFailing = false
			if !isComplete {
				isComplete = true
				close(t.caughtUp)
			}
			followCtx, interrupt := context.WithCancel(t.ctx)
			t.setFollowing(true, interrupt)
			err = t.readFrom(followCtx, &positions, kafka.ReadOptions{Follow: true})
			if followCtx.Err() != nil {
				err = nil // interrupted after a failed write
			}
			t.setFollowing(false, interrupt)
			interrupt()
		}
		if err != nil && !isFailing && t.ctx.Err() == nil {
			isFailing = true
			t.log.Warn("statuses cannot be read; retrying", "topic", t.name, "error", err)
		}
		if pause.For(t.ctx, statusRetryInterval) != nil {
			return
		}
	}
}

func (t *StatusTopic) setFollowing(following bool, interrupt context.CancelFunc) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.following = following
	t.interrupt = interrupt
	t.send(t.outbox.keys()...)
}

func (t *StatusTopic) readFrom(ctx context.Context, positions *kafka.Positions, options kafka.ReadOptions) error {
	options.From = *positions
	options.Uncommitted = true
	options.Expected = true
	options.Parallel = true
	next, err := t.reader.Read(ctx, t.name, options, t.applyRecord)
	if next != nil {
		*positions = next
	}
	return err
}

func (t *StatusTopic) applyRecord(r *kgo.Record) error {
	if err := t.apply(r.Key, r.Value); err != nil {
		t.skipped++
		if t.skipped == 1 {
			t.log.Warn("a record in the status topic is skipped; further ones are skipped without a log line",
				"topic", r.Topic, "partition", r.Partition, "offset", r.Offset, "error", err)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if r.Offset < t.read[r.Partition] { // the topic was created again, and what was written before is lost
		delete(t.written, r.Partition)
	}
	t.read[r.Partition] = r.Offset + 1
	return nil
}
