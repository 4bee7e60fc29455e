package connect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

// ErrNoDeadLetterTopic means that the connector has no dead letter topic.
var ErrNoDeadLetterTopic = errors.New("the connector has no " + deadLetterTopic)

// ReadDeadLetters calls each with the connector's dead letters among the last records of each partition of its dead
// letter topic, oldest first, and returns the topic.
func (h *Herder) ReadDeadLetters(ctx context.Context, name string, last int64,
	each func(*DeadLetter) error) (topic string,
	err error) {
	if topic, err = h.deadLetterTopic(name); err != nil {
		return "", err
	}
	admin, err := kafka.NewAdmin(h.shared.Kafka)
	if err != nil {
		return topic, err
	}
	defer admin.Close()
	ends, err := admin.EndOffsets(ctx, false, topic)
	switch {
	case errors.Is(err, kafka.ErrUnknownTopic):
		return topic, nil // the first dead letter creates it
	case err != nil:
		return topic, err
	}
	from := kafka.Positions{}
	for partition, end := range ends[topic] {
		from[partition] = max(0, end-last)
	}
	states, err := h.replayStates(ctx, name, topic, ends[topic])
	if err != nil {
		return topic, err
	}
	reader, err := kafka.NewReader(h.shared.Kafka)
	if err != nil {
		return topic, err
	}
	defer reader.Close()
	_, err = reader.Read(ctx, topic, kafka.ReadOptions{From: from, To: ends[topic]}, func(r *kgo.Record) error {
		if deadLetter := ParseDeadLetter(r); deadLetter.Connector == name {
			state := states[r.Partition]
			replayed := state.isDone(r.Offset)
			deadLetter.Replayed = &replayed
			return each(&deadLetter)
		}
		return nil
	})
	return topic, err
}

const (
	countInterval = 3 * time.Second
	countTimeout  = time.Second
)

type dlqCounts struct {
	mu        sync.Mutex
	countedAt time.Time
	counts    map[string]int64
}

// DeadLetterCounts returns the number of records in the dead letter topic of each connector, up to a few seconds old.
// Topics whose brokers do not respond are missing.
func (h *Herder) DeadLetterCounts(ctx context.Context) map[string]int64 {
	topics, all := map[string]string{}, []string{}
	for _, ctl := range h.all() {
		if topic, err := h.deadLetterTopic(ctl.name); err == nil {
			topics[ctl.name] = topic
			all = append(all, topic)
		}
	}
	cache := &h.deadLetterCounts
	cache.mu.Lock()
	due := len(all) > 0 && time.Since(cache.countedAt) > countInterval
	if due {
		cache.countedAt = time.Now() // concurrent callers get the previous counts
	}
	by := cache.counts
	cache.mu.Unlock()
	if due {
		slices.Sort(all)
		by = h.countRecords(ctx, slices.Compact(all))
		cache.mu.Lock()
		cache.counts = by
		cache.mu.Unlock()
	}
	counts := map[string]int64{}
	for name, topic := range topics {
		if n, known := by[topic]; known {
			counts[name] = n
		}
	}
	return counts
}

func (h *Herder) countRecords(ctx context.Context, topics []string) map[string]int64 {
	ctx, cancel := context.WithTimeout(ctx, countTimeout)
	defer cancel()
	admin, err := kafka.NewAdmin(h.shared.Kafka)
	if err != nil {
		return nil
	}
	defer admin.Close()
	return admin.Records(ctx, topics...)
}

func (h *Herder) replayStates(ctx context.Context, name, topic string, partitions kafka.Positions) (
	states map[int32]replayState, err error) {
	ctl, err := h.find(name)
	if err != nil {
		return nil, err
	}
	run, err := ctl.openDetachedRun(ctx)
	if err != nil {
		return nil, err
	}
	defer run.closeOffsets()
	if err := run.clients.offsets.Refresh(ctx); err != nil {
		return nil, err
	}
	states = map[int32]replayState{}
	for partition := range partitions {
		fields, _, err := run.clients.offsets.Get(ctx, replayOwnerPrefix+name, replayPartition(topic, partition))
		if err == nil {
			states[partition], err = parseReplayState(fields)
		}
		if err != nil {
			return nil, err
		}
	}
	return states, nil
}

// ReplayConnector is [Herder.Replay] for one connector and the topic of its settings. It returns [ErrNotRunning] for a
// paused or stopped connector.
func (h *Herder) ReplayConnector(ctx context.Context, name string, r ReplayRequest) (done ReplayResult, err error) {
	if r.Topic, err = h.deadLetterTopic(name); err != nil {
		return done, err
	}
	switch isPaused, err := h.isPausedOrStopped(ctx, name); {
	case err != nil:
		return done, err
	case isPaused && !r.DryRun:
		return done, ErrNotRunning
	}
	if !h.replayLock.TryLock() {
		return done, ErrReplayInProgress
	}
	defer h.replayLock.Unlock()
	r.Filter.Connector = name
	return h.Replay(ctx, r)
}

// ErrNotRunning means that the connector is paused or stopped.
var ErrNotRunning = errors.New("the connector is PAUSED or STOPPED: resume it first")

// isPausedOrStopped reports whether the target state is not Running after all queued requests.
func (h *Herder) isPausedOrStopped(ctx context.Context, name string) (bool, error) {
	ctl, err := h.find(name)
	if err != nil {
		return false, err
	}
	answer := make(chan bool, 1)
	ctl.enqueue(event{apply: func(context.Context) { answer <- ctl.desired().target != Running }})
	select {
	case isHeld := <-answer:
		return isHeld, nil
	case <-ctl.done:
		return false, fmt.Errorf("%s: %w", name, ErrUnknownConnector)
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// ErrReplayInProgress means that a concurrent replay would send dead letters twice.
var ErrReplayInProgress = errors.New("dead letters are being replayed already")

func (h *Herder) deadLetterTopic(name string) (string, error) {
	running, err := h.RunningConfig(name)
	if err != nil {
		return "", err
	}
	topic := setting.Trim(running.Config.Text(deadLetterTopic))
	if topic == "" {
		return "", ErrNoDeadLetterTopic
	}
	return topic, nil
}
