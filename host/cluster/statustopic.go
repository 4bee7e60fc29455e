package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/base/pause"
	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

const (
	// statusDelivery is how long the client tries a write. Those that it has when brokers go away have failed after
	// twice that, so before the group's session (10 s by default) ends and other workers write in a newer generation.
	statusDelivery = 5 * time.Second
	// statusPause is the pause after a failed write or read.
	statusPause = time.Second
)

// ParseStatusTopic takes status.storage.… from a worker's properties; the rest is not looked at. Defaults: topic
// connect-status, 5 partitions as in Kafka Connect.
func ParseStatusTopic(properties map[string]string) (kafka.Internal, setting.Problems) {
	return kafka.ParseInternal(properties, "status.storage.", kafka.Internal{Name: "connect-status", Partitions: 5})
}

// StatusTopic follows the status topic, and writes to it what this worker has to say. Its lookups say what was read
// from the topic. It owns a goroutine and its clients until Close.
//
// What is put is written when the brokers take it: meanwhile a newer value of the same key replaces an older one, so
// that the worker's memory and the writes are bounded by the number of keys, and an outage of any length loses
// nothing but states that have passed.
type StatusTopic struct {
	Statuses

	name   string
	log    *slog.Logger
	client *kgo.Client
	reader *kafka.Reader
	// life ends with Close, by end.
	life context.Context
	end  context.CancelFunc
	// read is closed when what the topic had at first was read, ended when no more is read.
	read, ended chan struct{}
	// skipped counts records that are no statuses; the goroutine that reads has it.
	skipped int

	mu     guard.Mutex
	outbox outbox
	// following: what others write is known as soon as brokers have it. Else nothing is sent. interrupt ends it.
	following bool
	interrupt context.CancelFunc
	// failing: a write has failed, and the outbox was not empty since.
	failing bool
}

// OpenStatusTopic creates the topic where it is missing, and begins to follow it. One that is there and is not
// compacted is refused.
func OpenStatusTopic(ctx context.Context, k kafka.Config, topic kafka.Internal,
	log *slog.Logger) (*StatusTopic, error) {
	admin, err := kafka.NewAdmin(k)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	if err := admin.EnsureInternal(ctx, topic); err != nil {
		return nil, err
	}
	// Whatever the worker's producers and consumers do: as Kafka Connect's KafkaBasedLog.
	k.Producer.Acks, k.Producer.Idempotent, k.Producer.Linger = -1, true, 0
	k.Producer.Retries, k.Producer.DeliveryTimeout = -1, statusDelivery
	k.Consumer.Reset = "earliest"
	// A value that may be written and may not is looked at again too: written twice it says the same. The client waits
	// for no room, since there are no more records than keys.
	client, err := kgo.NewClient(k.ProducerOpts(kgo.AllowIdempotentProduceCancellation(),
		kgo.MaxBufferedRecords(math.MaxInt), kgo.ProduceRequestTimeout(statusDelivery))...)
	if err != nil {
		return nil, fmt.Errorf("topic %s: %w", topic.Name, err)
	}
	reader, err := kafka.NewReader(k)
	if err != nil {
		client.Close()
		return nil, err
	}
	t := &StatusTopic{name: topic.Name, log: log, client: client, reader: reader, read: make(chan struct{}),
		ended: make(chan struct{}), outbox: newOutbox()}
	t.life, t.end = context.WithCancel(context.Background())
	go t.follow()
	return t, nil
}

// Await waits until what the topic had when it was opened was read; only then are the lookups complete, and only then
// is anything written.
func (t *StatusTopic) Await(ctx context.Context) error {
	select {
	case <-t.read:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("topic %s of status.storage.topic was not read to its end: %w", t.name, ctx.Err())
	}
}

// Put says what a connector or task of this worker does, whatever the topic says of it. Its trace is shown to whoever
// reads the topic or asks any worker: the caller has struck the secrets out of it ([config.Worker.Strike]).
func (t *StatusTopic) Put(s Status) { t.put(s, false) }

// PutSafe is [StatusTopic.Put] for what may be overtaken already: it is left out where another worker has written in a
// newer generation. That is for failures, for UNASSIGNED when a task has ended, and for what the leader says of
// workers that are gone.
func (t *StatusTopic) PutSafe(s Status) { t.put(s, true) }

func (t *StatusTopic) put(s Status, safe bool) {
	k, w := statusKey{connector: s.Connector, task: s.Task}, statusWrite{value: s.encode(), status: s, safe: safe}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !w.refused(t.unit(k)) {
		t.outbox.waiting[k] = w
		t.send(k)
	}
}

// Delete has the topic say nothing more of a connector, its tasks and its topics: of what was read of them, or is to be
// written. Their workers' last words may come after it, so the leader looks at each rebalance for what is left, as
// Kafka Connect's does.
func (t *StatusTopic) Delete(connector string) {
	t.erase(connector, func(statusKey) bool { return true })
}

// DeleteTasks is [StatusTopic.Delete] for a connector's tasks from a number on: those that it has no more.
func (t *StatusTopic) DeleteTasks(connector string, from int) {
	t.erase(connector, func(k statusKey) bool { return k.topic == "" && k.task >= max(0, from) })
}

// ResetTopics forgets the topics that a connector has used.
func (t *StatusTopic) ResetTopics(connector string) {
	t.erase(connector, func(k statusKey) bool { return k.topic != "" })
}

// erase writes tombstones for those keys of a connector that the topic has or is to get.
func (t *StatusTopic) erase(connector string, chosen func(statusKey) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, k := range append(t.keys(connector), t.outbox.left()...) {
		if k.connector == connector && chosen(k) {
			t.outbox.waiting[k] = statusWrite{}
			t.send(k)
		}
	}
}

// RecordTopic notes that a task of a connector uses a topic; one that is known is not written again. It takes two locks
// and two look-ups: it is for batches rather than for records, and for each, since any worker may reset the topics.
func (t *StatusTopic) RecordTopic(connector, topic string, task int) {
	k := statusKey{connector: connector, topic: topic}
	t.mu.Lock()
	defer t.mu.Unlock()
	known := t.unit(k) != Status{}
	for _, all := range []map[statusKey]statusWrite{t.outbox.underWay, t.outbox.waiting} { // the newest comes last
		if w, there := all[k]; there {
			known = w.value != nil
		}
	}
	if !known {
		t.outbox.waiting[k] = statusWrite{value: encodeTopic(k, task, time.Now().UnixMilli())}
		t.send(k)
	}
}

// Close writes what waits, for as long as ctx lasts, then ends the goroutine and the clients. What is put afterwards
// is not written. The error says how much is not written.
func (t *StatusTopic) Close(ctx context.Context) (err error) {
	for left := t.left(); left > 0 && err == nil; left = t.left() {
		if err = pause.For(ctx, 5*time.Millisecond); err != nil {
			err = fmt.Errorf("topic %s of status.storage.topic: %d statuses are not written: %w", t.name, left, err)
		}
	}
	t.end()
	<-t.ended
	t.client.Close()
	t.reader.Close()
	return err
}

// left is how many values are not written.
func (t *StatusTopic) left() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.outbox.waiting) + len(t.outbox.underWay)
}

// send gives the client what waits for keys. The lock is held.
func (t *StatusTopic) send(keys ...statusKey) {
	for _, k := range keys {
		if !t.following {
			return
		}
		t.outbox.take(k, t.unit(k), func(value []byte) {
			r := &kgo.Record{Topic: t.name, Partition: -1, Key: []byte(k.String()), Value: value}
			t.client.Produce(t.life, r, func(_ *kgo.Record, err error) { t.settled(k, err) })
		})
	}
}

// settled takes the brokers' answer. What has failed is written again after all that others have written meanwhile is
// known, but for what no broker takes, which is logged.
func (t *StatusTopic) settled(k statusKey, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, kerr.InvalidRecord) {
		t.log.Error("a status is not written", "topic", t.name, "key", k.String(), "error", err)
		err = nil
	}
	t.outbox.settled(k, err != nil)
	switch {
	case err != nil:
		if !t.failing && t.life.Err() == nil {
			t.log.Error("statuses are not written; the newest are when the brokers take them", "topic", t.name, "key",
				k.String(), "error", kafka.Lacking(err, "WRITE", "Topic "+t.name))
		}
		t.failing, t.following = true, false
		t.interrupt()
	case t.failing && len(t.outbox.waiting)+len(t.outbox.underWay) == 0:
		t.failing = false
		t.log.Info("statuses are written again", "topic", t.name)
	}
	t.send(k)
}

// follow reads the topic to its end, and goes on with what comes. Where that or a write fails it begins again there.
func (t *StatusTopic) follow() {
	defer close(t.ended)
	defer guard.Vital("the reading of statuses")
	var at kafka.Positions
	for failing, complete := false, false; ; {
		err := t.readOn(t.life, &at, false)
		if err == nil {
			if failing {
				t.log.Info("statuses are read again", "topic", t.name)
			}
			if failing = false; !complete {
				complete = true
				close(t.read)
			}
			following, interrupt := context.WithCancel(t.life)
			t.begin(true, interrupt)
			if err = t.readOn(following, &at, true); following.Err() != nil {
				err = nil // a write has failed
			}
			t.begin(false, interrupt)
			interrupt()
		}
		if err != nil && !failing && t.life.Err() == nil {
			failing = true
			t.log.Error("statuses are not read; it is tried again", "topic", t.name, "error", err)
		}
		if pause.For(t.life, statusPause) != nil {
			return
		}
	}
}

// begin notes whether the topic is followed.
func (t *StatusTopic) begin(following bool, interrupt context.CancelFunc) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.following, t.interrupt = following, interrupt
	t.send(t.outbox.left()...)
}

// readOn reads from where at stands, to the end or with no end, and moves at. As Kafka Connect it waits for no
// transaction, since nobody writes statuses in one, and begins at the start of a topic that was made again.
func (t *StatusTopic) readOn(ctx context.Context, at *kafka.Positions, endless bool) error {
	next, err := t.reader.Read(ctx, t.name, kafka.ReadOptions{From: *at, Follow: endless, Uncommitted: true,
		Expected: true, SideBySide: true}, t.see)
	if next != nil {
		*at = next
	}
	return err
}

// see takes a record. What is none of Kafka Connect's statuses is skipped and counted, and the first is logged.
func (t *StatusTopic) see(r *kgo.Record) error {
	if err := t.apply(r.Key, r.Value); err != nil {
		if t.skipped++; t.skipped == 1 {
			t.log.Warn("a record in the status topic is skipped, as more that are like it will be without a word",
				"topic", r.Topic, "partition", r.Partition, "offset", r.Offset, "error", err)
		}
	}
	return nil
}
