package deadletters

import (
	"context"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// KeyLocks holds the record keys that a replay is sending. The sink's tasks in this process do not write a record with
// such a key, so that a dead letter never overwrites a newer record (RATIONALE.md P20).
type KeyLocks struct {
	mu       sync.Mutex
	keys     map[recordID]bool // the locked keys
	released chan struct{}     // closed when the keys are released; nil while no key is locked
}

// topicKey returns the key that locks a whole topic for a dead letter without a key.
func topicKey(topic string) recordID { return newKeyID(topic, -1, nil) }

// lock locks the keys of dead letters until unlock is called. Only one caller may have locked keys at a time.
func (k *KeyLocks) lock(deadLetters []*Letter) (unlock func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys = map[recordID]bool{}
	k.released = make(chan struct{})
	for _, deadLetter := range deadLetters {
		key := topicKey(deadLetter.Topic)
		if deadLetter.Record.Key != nil {
			key = newKeyID(deadLetter.Topic, deadLetter.Partition, deadLetter.Record.Key)
		}
		k.keys[key] = true
	}
	return func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		close(k.released)
		k.keys = nil
		k.released = nil
	}
}

// Wait waits until none of the records has a locked key, or ctx ends.
func (k *KeyLocks) Wait(ctx context.Context, records []*kgo.Record) error {
	for {
		k.mu.Lock()
		released := k.released
		isLocked := released != nil && slices.ContainsFunc(records, func(r *kgo.Record) bool {
			return k.keys[newKeyID(r.Topic, r.Partition, r.Key)] || k.keys[topicKey(r.Topic)]
		})
		k.mu.Unlock()
		if !isLocked {
			return nil
		}
		select {
		case <-released:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
