package offset

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/kafka"
)

// OpenTransactionalWriter is [Store.NewWriter] with its own transactional producer, which fences earlier ones:
// otherwise compaction would keep a late offset of a paused worker instead of a newer one. Each write is a transaction.
// A write whose context ends continues, and later ones wait for it.
func (s *Store) OpenTransactionalWriter(ctx context.Context, connector, id string,
	onWrite func(start time.Time, err error)) (*Writer, error) {
	transactions, err := kafka.OpenTransactions(ctx, s.kafka, "offsets-"+id, []string{id}, nil)
	if err != nil {
		return nil, fmt.Errorf("offsets of connector %s: %w", connector, err)
	}
	t := &transactionalProducer{store: s, connector: connector, transactions: transactions, mu: guard.NewCtxMutex()}
	t.ctx, t.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return s.writer(connector, onWrite, t), nil
}

type transactionalProducer struct {
	store        *Store
	connector    string
	transactions *kafka.Transactions
	ctx          context.Context // canceled by close
	cancel       context.CancelFunc

	mu     guard.CtxMutex
	output *kafka.TransactionalOutput // nil while no transaction is open
	lost   *lostError                 // nil while the producer works
}

// lostError means that the producer can never write again.
type lostError struct{ error }

func (l *lostError) Unwrap() error { return l.error }

// set writes entries in a transaction.
func (t *transactionalProducer) set(ctx context.Context, entries []Entry) error {
	if err := t.mu.Lock(ctx); err != nil {
		return t.wrapError(err)
	}
	if len(entries) == 0 || t.lost != nil {
		defer t.mu.Unlock()
		if t.lost != nil {
			return t.lost
		}
		return nil
	}
	result := make(chan error, 1)
	go func() { // unlocks t.mu: the write continues if ctx ends
		defer t.mu.Unlock()
		result <- guard.Do(t.store.log, "offsets of connector "+t.connector, func() error { return t.commit(entries) })
	}()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return t.wrapError(ctx.Err())
	}
}

func (t *transactionalProducer) wrapError(err error) error {
	return fmt.Errorf("offsets of connector %s: write to topic %s: %w", t.connector, t.store.config.Topic, err)
}

// commit writes entries in a transaction; t.mu is locked.
func (t *transactionalProducer) commit(entries []Entry) error {
	if t.output == nil {
		t.output = t.transactions.Output()
	}
	records := make([]*kgo.Record, len(entries))
	for i, e := range entries {
		records[i] = &kgo.Record{Topic: t.store.config.Topic, Key: t.store.key(t.connector, e.Partition),
			Value: AppendJSON(nil, e.Offset)}
	}
	err := t.output.Write(t.ctx, records...)
	if err == nil {
		for i, e := range entries {
			t.store.remember(t.connector, e, records[i])
		}
		copyCtx, cancel := context.WithTimeout(t.ctx, t.store.config.FlushTimeout)
		defer cancel()
		t.store.copyToWorker(copyCtx, t.connector, entries)
		return nil
	}
	if aborted := (*kafka.TransactionAbortedError)(nil); errors.As(err, &aborted) {
		err = aborted.Cause // the entries are written again
	}
	err = t.wrapError(err)
	closeErr := t.output.Close(t.ctx)
	t.output = nil
	if closeErr != nil || kafka.FencedTransactionalID(err) != "" {
		t.lost = &lostError{err}
		return t.lost
	}
	return err
}

func (t *transactionalProducer) close() {
	t.cancel()
	_ = t.mu.Lock(context.Background())
	defer t.mu.Unlock()
	t.lost = &lostError{t.wrapError(context.Canceled)}
	if t.output != nil {
		_ = t.output.Close(t.ctx)
	}
	t.transactions.Close()
}
