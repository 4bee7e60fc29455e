package offset

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/kafka"
)

// Transactional has the offsets of a connector's task written in the transactions of its records: kafka.OffsetRecords.
// Where the store is the connector's own, what was committed is written to the worker's topic after that, by a
// goroutine, until Close.
type Transactional struct {
	store     *Store
	connector string

	mu      sync.Mutex
	pending map[string]Entry // for the worker's topic
	more    guard.Bell
	end     context.CancelFunc
	ended   chan struct{}
}

// NewTransactional begins that.
func (s *Store) NewTransactional(connector string) *Transactional {
	t := &Transactional{store: s, connector: connector, pending: map[string]Entry{}, more: guard.NewBell(),
		ended: make(chan struct{})}
	ctx, end := context.WithCancel(context.Background())
	t.end = end
	go func() {
		defer close(t.ended)
		defer guard.Vital("the copying of offsets of connector " + connector)
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.more:
				t.copy(context.WithoutCancel(ctx)) // Close waits for what has begun
			}
		}
	}()
	return t
}

// Record is what stores an offset.
func (t *Transactional) Record(o kafka.Offset) *kgo.Record {
	return &kgo.Record{Topic: t.store.config.Topic, Key: t.store.key(t.connector, o.Partition), Partition: -1,
		Value: AppendJSON(nil, o.Position)}
}

// Committed notes an offset that was committed.
func (t *Transactional) Committed(o kafka.Offset, r *kgo.Record) {
	e := Entry{o.Partition, o.Position}
	t.store.written(t.connector, e, r)
	if t.store.worker == nil {
		return
	}
	t.mu.Lock()
	t.pending[identity(t.connector, o.Partition)] = e
	t.mu.Unlock()
	t.more.Ring()
}

func (t *Transactional) copy(ctx context.Context) {
	t.mu.Lock()
	entries := slices.Collect(maps.Values(t.pending))
	clear(t.pending)
	t.mu.Unlock()
	limited, cancel := context.WithTimeout(ctx, t.store.config.FlushTimeout)
	defer cancel()
	t.store.copied(limited, t.connector, entries)
}

// Close ends the goroutine and copies what is pending, for as long as ctx lasts.
func (t *Transactional) Close(ctx context.Context) {
	t.end()
	<-t.ended
	t.copy(ctx)
}

// openTransactions is how long others' transactions in the topic are waited for: more than one lasts by default.
const openTransactions = 90 * time.Second

// RefreshCommitted is [Store.Refresh] for one who has fenced others: whatever they have committed is known then,
// although other connectors' transactions may be open before it in the topic. It waits for these.
func (s *Store) RefreshCommitted(ctx context.Context) error {
	if s.worker != nil {
		if err := s.worker.RefreshCommitted(ctx); err != nil {
			return err
		}
	}
	waiting, cancel := context.WithTimeout(ctx, openTransactions)
	defer cancel()
	if err := s.reader.AwaitCommitted(waiting, s.config.Topic); err != nil {
		return fmt.Errorf("offsets: %w", err)
	}
	return s.Refresh(ctx)
}
