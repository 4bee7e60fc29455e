package connect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

// ErrNoDeadLetterTopic is the error of a connector whose settings name no topic of dead letters.
var ErrNoDeadLetterTopic = errors.New("the connector has no " + deadLetterTopic)

// ReadDeadLetters hands on the last letters of each partition of a connector's topic of dead letters, oldest first, and
// returns the topic. What other connectors have written there is not among them, and counts all the same.
func (h *Herder) ReadDeadLetters(ctx context.Context, name string, last int64,
	each func(*DeadLetter) error) (topic string,
	err error) {
	if topic, err = h.letterTopic(name); err != nil {
		return "", err
	}
	admin, err := kafka.NewAdmin(h.o.Kafka)
	if err != nil {
		return topic, err
	}
	defer admin.Close()
	ends, err := admin.EndOffsets(ctx, false, topic)
	switch {
	case errors.Is(err, kafka.ErrUnknownTopic):
		return topic, nil // the first letter makes it
	case err != nil:
		return topic, err
	}
	from := kafka.Positions{}
	for partition, end := range ends[topic] {
		from[partition] = max(0, end-last)
	}
	replayed, err := h.replayed(ctx, name, topic, ends[topic])
	if err != nil {
		return topic, err
	}
	reader, err := kafka.NewReader(h.o.Kafka)
	if err != nil {
		return topic, err
	}
	defer reader.Close()
	_, err = reader.Read(ctx, topic, kafka.ReadOptions{From: from, To: ends[topic]}, func(r *kgo.Record) error {
		if l := ParseDeadLetter(r); l.Connector == name {
			place := replayed[r.Partition]
			has := place.settled(r.Offset)
			l.Replayed = &has
			return each(&l)
		}
		return nil
	})
	return topic, err
}

// lettersEvery is how long a count of dead letters is reused, lettersWithin how long brokers may take to answer.
const (
	lettersEvery  = 3 * time.Second
	lettersWithin = time.Second
)

// letterCounts holds how many records each dead letter topic had at one point in time.
type letterCounts struct {
	mu sync.Mutex
	at time.Time
	by map[string]int64
}

// DeadLetterCounts are how many records the topics of dead letters have that connectors name, by connector, as of a few
// seconds ago at most. Of what brokers do not answer for there is nothing.
func (h *Herder) DeadLetterCounts(ctx context.Context) map[string]int64 {
	topics, all := map[string]string{}, []string{}
	for _, k := range h.all() {
		if topic, err := h.letterTopic(k.name); err == nil {
			topics[k.name] = topic
			all = append(all, topic)
		}
	}
	l := &h.letters
	l.mu.Lock()
	due := len(all) > 0 && time.Since(l.at) > lettersEvery
	if due {
		l.at = time.Now() // others take the former counts until this call has asked
	}
	by := l.by
	l.mu.Unlock()
	if due {
		slices.Sort(all)
		by = h.records(ctx, slices.Compact(all))
		l.mu.Lock()
		l.by = by
		l.mu.Unlock()
	}
	counts := map[string]int64{}
	for name, topic := range topics {
		if n, known := by[topic]; known {
			counts[name] = n
		}
	}
	return counts
}

func (h *Herder) records(ctx context.Context, topics []string) map[string]int64 {
	ctx, cancel := context.WithTimeout(ctx, lettersWithin)
	defer cancel()
	admin, err := kafka.NewAdmin(h.o.Kafka)
	if err != nil {
		return nil
	}
	defer admin.Close()
	return admin.Records(ctx, topics...)
}

// replayed is what was replayed of a connector's letters in a topic with these partitions.
func (h *Herder) replayed(ctx context.Context, name, topic string, partitions kafka.Positions) (
	places map[int32]replayPlace, err error) {
	k, err := h.find(name)
	if err != nil {
		return nil, err
	}
	c, err := k.apart(ctx)
	if err != nil {
		return nil, err
	}
	defer c.closeOffsets()
	if err := c.run.offsets.Refresh(ctx); err != nil {
		return nil, err
	}
	places = map[int32]replayPlace{}
	for partition := range partitions {
		fields, _, err := c.run.offsets.Get(ctx, replayOwner+name, replayPartition(topic, partition))
		if err == nil {
			places[partition], err = readReplayPlace(fields)
		}
		if err != nil {
			return nil, err
		}
	}
	return places, nil
}

// ReplayConnector is [Herder.ReplayRequest] of a connector's letters in the topic that its settings name, while its
// tasks run. One that is paused or stopped is to write nothing: [ErrNotRunning].
func (h *Herder) ReplayConnector(ctx context.Context, name string, r ReplayRequest) (done ReplayResult, err error) {
	if r.Topic, err = h.letterTopic(name); err != nil {
		return done, err
	}
	switch held, err := h.held(ctx, name); {
	case err != nil:
		return done, err
	case held && !r.DryRun:
		return done, ErrNotRunning
	}
	if !h.replaying.TryLock() {
		return done, ErrReplayInProgress
	}
	defer h.replaying.Unlock()
	r.Filter.Connector = name
	return h.Replay(ctx, r)
}

// ErrNotRunning is the error of a replay for a connector that was paused or stopped.
var ErrNotRunning = errors.New("the connector is to be PAUSED or STOPPED, and writes nothing until it is resumed")

// held tells whether a connector is to be paused or stopped, by all that was asked before.
func (h *Herder) held(ctx context.Context, name string) (bool, error) {
	k, err := h.find(name)
	if err != nil {
		return false, err
	}
	seen := make(chan bool, 1)
	k.post(occurrence{prior: func(context.Context) { seen <- k.desired().target != Running }})
	select {
	case held := <-seen:
		return held, nil
	case <-k.done:
		return false, fmt.Errorf("%s: %w", name, ErrUnknownConnector)
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// ErrReplayInProgress is the error of a replay during another one, which would send letters twice.
var ErrReplayInProgress = errors.New("dead letters are being replayed already")

// letterTopic is where a connector's dead letters go.
func (h *Herder) letterTopic(name string) (string, error) {
	now, err := h.RunningConfig(name)
	if err != nil {
		return "", err
	}
	topic := setting.Trim(now.Config.Text(deadLetterTopic))
	if topic == "" {
		return "", ErrNoDeadLetterTopic
	}
	return topic, nil
}
