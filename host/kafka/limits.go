package kafka

import (
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// limits are how many bytes a batch of records may have in the topics of a cluster, for all clients that write to it. A
// client asks once for each topic, with its first record, so a limit that changes holds for clients opened later.
//
// Invariant: a limit is at most what max.request.size and, where it is known, the topic's max.message.bytes allow.
type limits struct {
	mu     sync.Mutex
	topics map[string]limit
	// changes is how often a limit was changed because of what brokers refused.
	changes int
}

// limit is what a batch may have, and what it may have at most if a record needs it. changed is which of the changes it
// comes of, 0 for none.
type limit struct {
	bytes, most int32
	changed     int
}

// of is the limit of a topic, most where nothing is known of it.
func (l *limits) of(topic string, most int32) int32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(smallBatch, min(l.at(topic, most).bytes, fullBatch))
}

// opt has a client ask for the limits of its topics.
func (l *limits) opt(most int32) kgo.Opt {
	return kgo.ProducerBatchMaxBytesFn(func(topic string) int32 { return l.of(topic, most) })
}

func (l *limits) at(topic string, most int32) limit {
	if known, ok := l.topics[topic]; ok {
		return limit{min(known.bytes, most), min(known.most, most), known.changed}
	}
	return limit{most, most, 0}
}

// raisable is the limit of a topic where a larger record may have it raised, else 0.
func (l *limits) raisable(topic string, most int32) int32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := l.at(topic, most); now.bytes < now.most {
		return now.bytes
	}
	return 0
}

func (l *limits) set(topic string, to limit) {
	if l.topics == nil {
		l.topics = map[string]limit{}
	}
	l.topics[topic] = to
}

// defaultBatch is the batch.size of Kafka's own producers where nobody sets one, in bytes.
const defaultBatch = 16_384

// resize changes the limits of topics after brokers, or the client itself, refused records there of which the largest
// has so many bytes alone: to an eighth and at most defaultBatch, so that three tries are enough whatever
// max.request.size is, and never below that record. A limit that was changed after the client's version has not been
// tried by it, and stands if it has room for the record. false: no limit helps any of them.
func (l *limits) resize(largest map[string]int32, most int32, version int) (helps bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	changes := false
	for topic, record := range largest {
		now := l.at(topic, most)
		if now.changed > version && record <= now.bytes {
			helps = true
			continue
		}
		next := max(min(now.bytes/8, defaultBatch), smallBatch, record)
		if record <= now.bytes {
			next = min(next, now.bytes)
		}
		if next = min(next, now.most); next != now.bytes {
			l.set(topic, limit{next, now.most, l.changes + 1})
			changes = true
		}
	}
	if changes {
		l.changes++
	}
	return helps || changes
}

func (l *limits) version() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changes
}

// sizeAlone is the most that a batch with a record alone has.
func sizeAlone(r *kgo.Record) int32 {
	const around, aroundHeader = 100, 10
	size := around + len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		size += aroundHeader + len(h.Key) + len(h.Value)
	}
	return int32(min(size, fullBatch))
}
