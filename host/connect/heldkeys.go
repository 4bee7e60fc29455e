package connect

import (
	"context"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// heldKeys are those of the letters that a replay has on their way: the tasks of the sink that run in this process
// write no later record of them before the letters are settled (P20). The zero value holds none.
//
// A replay holds keys before it looks where topics end. So each record of such a key either is behind that end and
// waits, or is before it, and the letter is left.
type heldKeys struct {
	mu sync.Mutex
	// keys are made by keyOf; the key of a letter that has none is its topic, see heldTopic.
	keys map[recordIdentity]bool
	// freed is closed when they are held no more; nil: none are held.
	freed chan struct{}
}

// heldTopic names all records of a topic, any of which may be of the entity of a letter without a key.
func heldTopic(topic string) recordIdentity { return keyOf(topic, -1, nil) }

// hold holds the keys of letters until free is called. There is one replay of a connector at a time.
func (h *heldKeys) hold(letters []*DeadLetter) (free func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.keys, h.freed = map[recordIdentity]bool{}, make(chan struct{})
	for _, l := range letters {
		if l.Record.Key == nil {
			h.keys[heldTopic(l.Topic)] = true
		} else {
			h.keys[keyOf(l.Topic, l.Partition, l.Record.Key)] = true
		}
	}
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		close(h.freed)
		h.keys, h.freed = nil, nil
	}
}

// wait returns when none of the records has a key that is held, or with the cause of the context's end.
func (h *heldKeys) wait(ctx context.Context, records []*kgo.Record) error {
	for {
		h.mu.Lock()
		freed := h.freed
		held := freed != nil && slices.ContainsFunc(records, func(r *kgo.Record) bool {
			return h.keys[keyOf(r.Topic, r.Partition, r.Key)] || h.keys[heldTopic(r.Topic)]
		})
		h.mu.Unlock()
		if !held {
			return nil
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
