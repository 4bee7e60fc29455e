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

// OpenTransactionalWriter is [Store.NewWriter] with its own transactional producer, which fences earlier ones: without
// that, compaction would keep a late offset of a paused worker instead of a newer one. Each write is a transaction. A
// write whose context ends continues, and later ones wait for it.
func (s *Store) OpenTransactionalWriter(ctx context.Context, connector, id string,
	onWrite func(began time.Time, err error)) (*Writer, error) {
	transactions, err := kafka.OpenTransactions(ctx, s.kafka, "offsets-"+id, []string{id}, nil)
	if err != nil {
		return nil, fmt.Errorf("offsets of connector %s: %w", connector, err)
	}
	t := &transactionalProducer{store: s, connector: connector, transactions: transactions, lock: guard.NewCtxMutex()}
	t.ctx, t.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return s.writer(connector, onWrite, t), nil
}

type transactionalProducer struct {
	store        *Store
	connector    string
	transactions *kafka.Transactions
	ctx          context.Context // canceled by close
	cancel       context.CancelFunc

	lock   guard.CtxMutex
	output *kafka.TransactionalOutput // nil while no transaction is open
	failed *lostError                 // nil while the producer works
}

type lostError struct{ error }

func (l *lostError) Unwrap() error { return l.error }

func (t *transactionalProducer) set(ctx context.Context, entries []Entry) error {
	if err := t.lock.Lock(ctx); err != nil {
		return t.explain(err)
	}
	if len(entries) == 0 || t.failed != nil {
		defer t.lock.Unlock()
		if t.failed != nil {
			return t.failed
		}
		return nil
	}
	ended := make(chan error, 1)
	go func() {
		defer t.lock.Unlock()
		ended <- guard.Do(t.store.log, "offsets of connector "+t.connector, func() error { return t.commit(entries) })
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return t.explain(ctx.Err())
	}
}

func (t *transactionalProducer) explain(err error) error {
	return fmt.Errorf("offsets of connector %s: write to topic %s: %w", t.connector, t.store.config.Topic, err)
}

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
		limited, cancel := context.WithTimeout(t.ctx, t.store.config.FlushTimeout)
		defer cancel()
		t.store.copyToWorker(limited, t.connector, entries)
		return nil
	}
	if rewound := (*kafka.TransactionAbortedError)(nil); errors.As(err, &rewound) {
		err = rewound.Cause // the entries are written again
	}
	err = t.explain(err)
	closeErr := t.output.Close(t.ctx)
	t.output = nil
	if closeErr != nil || kafka.FencedTransactionalID(err) != "" {
		t.failed = &lostError{err}
		return t.failed
	}
	return err
}

func (t *transactionalProducer) close() {
	t.cancel()
	_ = t.lock.Lock(context.Background())
	defer t.lock.Unlock()
	t.failed = &lostError{t.explain(context.Canceled)}
	if t.output != nil {
		_ = t.output.Close(t.ctx)
	}
	t.transactions.Close()
}
