package offset

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/kafka"
)

// OpenTransactionalWriter is [Store.NewWriter] by a producer of its own with a transactional id, which fences those
// before it: what they write from now on never counts. Without that, compaction would keep the late offset of a worker
// that was paused, and drop a newer one. Each write is a transaction. A write whose context ends goes on, and later
// ones wait for it.
func (s *Store) OpenTransactionalWriter(ctx context.Context, connector, id string,
	wrote func(began time.Time, err error)) (*Writer, error) {
	transactions, err := kafka.OpenTransactions(ctx, s.kafka, "offsets-"+id, []string{id}, nil)
	if err != nil {
		return nil, fmt.Errorf("offsets of connector %s: %w", connector, err)
	}
	t := &transacting{store: s, connector: connector, transactions: transactions, turn: guard.NewTurn()}
	t.life, t.end = context.WithCancel(context.WithoutCancel(ctx))
	return s.writer(connector, wrote, t), nil
}

// transacting writes offsets in transactions, one after another.
type transacting struct {
	store        *Store
	connector    string
	transactions *kafka.Transactions
	life         context.Context // until close
	end          context.CancelFunc

	// turn is held during a transaction, until it is committed or aborted. It guards what is below.
	turn   guard.Turn
	output *kafka.TransactionalOutput // nil: none is open
	over   *lost                      // nil: the producer works
}

// lost is the error of a producer that commits nothing more.
type lost struct{ error }

func (l *lost) Unwrap() error { return l.error }

func (t *transacting) set(ctx context.Context, entries []Entry) error {
	if err := t.turn.Lock(ctx); err != nil {
		return t.explain(err)
	}
	if len(entries) == 0 || t.over != nil {
		defer t.turn.Unlock()
		if t.over != nil {
			return t.over
		}
		return nil
	}
	ended := make(chan error, 1)
	go func() {
		defer t.turn.Unlock()
		ended <- guard.Do(t.store.log, "offsets of connector "+t.connector, func() error { return t.commit(entries) })
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return t.explain(ctx.Err())
	}
}

func (t *transacting) explain(err error) error {
	return fmt.Errorf("offsets of connector %s: write to topic %s: %w", t.connector, t.store.config.Topic, err)
}

// commit writes entries in a transaction; where that fails it is aborted, however long the brokers are away.
func (t *transacting) commit(entries []Entry) error {
	if t.output == nil {
		t.output = t.transactions.Output()
	}
	records := make([]*kgo.Record, len(entries))
	for i, e := range entries {
		records[i] = &kgo.Record{Topic: t.store.config.Topic, Key: t.store.key(t.connector, e.Partition),
			Value: AppendJSON(nil, e.Offset)}
	}
	err := t.output.Write(t.life, records...)
	if err == nil {
		for i, e := range entries {
			t.store.written(t.connector, e, records[i])
		}
		limited, cancel := context.WithTimeout(t.life, t.store.config.FlushTimeout)
		defer cancel()
		t.store.copied(limited, t.connector, entries)
		return nil
	}
	if rewound := (*kafka.Rewound)(nil); errors.As(err, &rewound) {
		err = rewound.Cause // the entries are written again
	}
	err = t.explain(err)
	gone := t.output.Close(t.life)
	t.output = nil
	if gone != nil || kafka.Taken(err) != "" {
		t.over = &lost{err}
		return t.over
	}
	return err
}

// close ends the producer; a transaction that is under way is given up.
func (t *transacting) close() {
	t.end()
	_ = t.turn.Lock(context.Background())
	defer t.turn.Unlock()
	t.over = &lost{t.explain(context.Canceled)}
	if t.output != nil {
		_ = t.output.Close(t.life)
	}
	t.transactions.Close()
}
