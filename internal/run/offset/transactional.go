package offset

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/kafka"
)

// Transactional implements kafka.OffsetRecords: offsets are written in the transactions of records. If the store is the
// connector's own, a goroutine copies committed offsets to the worker's store until Close.
type Transactional struct {
	store     *Store
	connector string

	mu      sync.Mutex
	pending map[string]Entry // committed offsets to copy to the worker's store
	queued  guard.Bell
	cancel  context.CancelFunc
	done    chan struct{}
}

// NewTransactional starts a [Transactional] for a task.
func (s *Store) NewTransactional(connector string) *Transactional {
	t := &Transactional{store: s, connector: connector, pending: map[string]Entry{}, queued: guard.NewBell(),
		done: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	t.cancel = cancel
	go func() {
		defer close(t.done)
		defer guard.Vital("the copying of offsets of connector " + connector)
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.queued:
				t.copy(context.WithoutCancel(ctx)) // Close waits for it
			}
		}
	}()
	return t
}

// Record returns the record of an offset.
func (t *Transactional) Record(o kafka.Offset) *kgo.Record {
	return &kgo.Record{Topic: t.store.config.Topic, Key: t.store.key(t.connector, o.Partition), Partition: -1,
		Value: AppendJSON(nil, o.Position)}
}

// Committed is called after the commit of an offset.
func (t *Transactional) Committed(o kafka.Offset, r *kgo.Record) {
	e := Entry{Partition: o.Partition, Offset: o.Position}
	t.store.remember(t.connector, e, r)
	if t.store.worker == nil {
		return
	}
	t.mu.Lock()
	t.pending[identity(t.connector, o.Partition)] = e
	t.mu.Unlock()
	t.queued.Ring()
}

func (t *Transactional) copy(ctx context.Context) {
	t.mu.Lock()
	entries := slices.Collect(maps.Values(t.pending))
	clear(t.pending)
	t.mu.Unlock()
	copyCtx, cancel := context.WithTimeout(ctx, t.store.config.FlushTimeout)
	defer cancel()
	t.store.copyToWorker(copyCtx, t.connector, entries)
}

// Close ends the goroutine and copies pending offsets.
func (t *Transactional) Close(ctx context.Context) {
	t.cancel()
	<-t.done
	t.copy(ctx)
}

const openTransactionWait = 90 * time.Second

// RefreshCommitted is [Store.Refresh] after fencing: it waits for open transactions of other connectors, so that all
// commits of the fenced producers are read.
func (s *Store) RefreshCommitted(ctx context.Context) error {
	if s.worker != nil {
		if err := s.worker.RefreshCommitted(ctx); err != nil {
			return err
		}
	}
	waitCtx, cancel := context.WithTimeout(ctx, openTransactionWait)
	defer cancel()
	if err := s.reader.AwaitCommitted(waitCtx, s.config.Topic); err != nil {
		return fmt.Errorf("offsets: %w", err)
	}
	return s.Refresh(ctx)
}
