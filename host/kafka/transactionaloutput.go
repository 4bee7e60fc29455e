package kafka

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/internal/base/pause"
	"github.com/culvert-project/culvert/host/kafka/security"
	"github.com/culvert-project/culvert/wit"
)

// Outlasted tells whether a transaction has outlasted its time because a broker was away for at least half of it. Where
// it was given up, its feed can start over ([Rewound]): the brokers are to be waited for.
func Outlasted(err error) bool {
	outlasted := (*outlasted)(nil)
	return errors.As(err, &outlasted)
}

// outlasted is the fault of such a transaction.
type outlasted struct{ fault *wit.Error }

func (o *outlasted) Error() string { return o.fault.Error() }
func (o *outlasted) Unwrap() error { return o.fault }

// Refused tells whether brokers have said no, rather than that nobody could be reached or that it may pass.
func (r *Rewound) Refused() bool { return definite(r.Cause) && !Outlasted(r.Cause) }

// TransactionalOutput is an [Output] whose pages are committed with their offset or not at all. Its methods are called
// one at a time, but for Flush and NewBatch.
type TransactionalOutput struct {
	of       *Transactions
	producer *Producer

	// mu is held during a call that changes what is below.
	mu sync.Mutex
	// held is the producer of the open transaction, nil: none is open.
	held  *transactional
	began time.Time
	upTo  Offset // of the last batch
	// records are those of the transaction; stored is the offset that was committed last.
	records int
	stored  Offset
	// committed: a transaction was. failed is the fault of one that could not be aborted.
	committed bool
	failed    error
}

// Output opens one for a feed.
func (t *Transactions) Output() *TransactionalOutput {
	client := &producing{most: t.config.Producer.MaxRequestBytes, users: map[*Producer]struct{}{}}
	client.life, client.end = context.WithCancel(context.Background())
	p, _ := client.join(t.config.Producer.BufferBytes)
	o := &TransactionalOutput{of: t, producer: p}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.outputs[o] = struct{}{}
	if t.denied != nil {
		p.deny(t.denied)
	}
	return o
}

// NewBatch is [Producer.NewBatch].
func (o *TransactionalOutput) NewBatch() Records { return o.producer.NewBatch() }

// Keeps tells that a page that broke off comes again from its start.
func (o *TransactionalOutput) Keeps() bool { return false }

// OnFailure does nothing: what fails is in the error of a call.
func (o *TransactionalOutput) OnFailure(func(error)) {}

// Begin opens a transaction, or goes on with the one that is open.
func (o *TransactionalOutput) Begin(ctx context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failed != nil {
		return o.failed
	}
	if o.held == nil {
		m, err := o.of.acquire(ctx)
		if err != nil {
			return err
		}
		if err := m.BeginTransaction(); err != nil {
			o.of.free <- m
			return transactionFault(o.of.config, m.id, err)
		}
		o.held, o.began, o.records, o.upTo = m, time.Now(), 0, Offset{}
		o.producer.through.Store(m.Client)
	}
	return nil
}

// Produce is [Producer.Produce]; the last offset is written when the transaction ends.
func (o *TransactionalOutput) Produce(ctx context.Context, b Records, upTo Offset, done func(n int, err error)) {
	batch := b.(*Batch)
	o.mu.Lock()
	held := o.held
	if upTo.Partition != nil {
		o.upTo = upTo
	}
	if held == nil && batch.n > 0 {
		batch.fail(errors.New("produce: no transaction is open"))
	} else if held != nil && o.late(o.began) {
		batch.fail(o.overdue(held, o.began)) // the brokers have ended it, or are about to
	}
	o.records += batch.n
	began := o.began
	o.mu.Unlock()
	o.producer.Produce(ctx, batch, func(n int, err error) {
		if err != nil && held != nil {
			err = o.explain(held, began, err)
		}
		done(n, err)
	})
}

// late tells whether a transaction has outlasted its time.
func (o *TransactionalOutput) late(began time.Time) bool {
	return time.Since(began) >= o.of.config.Producer.TransactionTimeout
}

// overdue is the fault of one that has. It may pass where a broker was away meanwhile: if for half of the time, that
// was it; for less, nobody knows.
func (o *TransactionalOutput) overdue(m *transactional, began time.Time) error {
	limit := o.of.config.Producer.TransactionTimeout
	text := fmt.Sprintf("the transaction of the page has lasted longer than "+
		"transaction.timeout.ms (%d) and is aborted: ", limit.Milliseconds())
	const pageSize = "set a smaller page.size, or a larger producer.override.transaction.timeout.ms"
	broker, away := m.away(began)
	if broker == "" {
		return &wit.Error{Kind: wit.ErrorConfig, Message: text + pageSize}
	}
	text += fmt.Sprintf("broker %s was away for %v of it", broker, away.Round(time.Millisecond))
	if away >= limit/2 {
		return &outlasted{&wit.Error{Kind: wit.ErrorTransient, Message: text}}
	}
	return &wit.Error{Kind: wit.ErrorTransient, Message: text + "; where it comes again without that, " + pageSize}
}

// explain is an error of a producer with what is to be done about it. The brokers fence a producer, too, whose
// transaction has outlasted its time.
func (o *TransactionalOutput) explain(m *transactional, began time.Time, err error) error {
	if fencedOff(err) && o.late(began) {
		return fmt.Errorf("%w (%w)", o.overdue(m, began), err)
	}
	return transactionFault(o.of.config, m.id, err)
}

// Commit ends a page and its transaction.
func (o *TransactionalOutput) Commit(ctx context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.held == nil {
		return o.failed
	}
	return o.commit(ctx)
}

// commit writes the offset and ends the transaction with it.
func (o *TransactionalOutput) commit(ctx context.Context) error {
	m, began, upTo := o.held, o.began, o.upTo
	if o.records == 0 && (upTo.Partition == nil || reflect.DeepEqual(upTo, o.stored)) {
		return o.abort(ctx, m) // there is nothing to commit
	}
	committing, records := time.Now(), o.records
	// The offset goes out with the last records: all are acknowledged before the transaction ends, or none counts.
	stored, acknowledged := o.store(ctx, m)
	err := o.producer.Flush(ctx)
	if fault := acknowledged(); err == nil { // waited for in any case: a transaction is not ended above its records
		err = fault
	}
	if err == nil && o.late(began) {
		err = o.overdue(m, began)
	}
	if err == nil {
		err = m.EndTransaction(ctx, kgo.TryCommit)
	}
	o.of.Ended(committing, records, err)
	if err == nil {
		if stored != nil {
			o.of.offsets.Committed(upTo, stored)
			o.stored = upTo
		}
		o.committed = true
		o.release()
		return nil
	}
	err = o.explain(m, began, err)
	aborted := o.abort(ctx, m)
	if Outlasted(err) && Outlasted(aborted) {
		return aborted // which says, besides, why its producer cannot be opened again
	}
	fault := (*wit.Error)(nil)
	if aborted != nil || (errors.As(err, &fault) || o.producer.Err() != nil) && !Outlasted(err) {
		return err
	}
	return &Rewound{err, o.committed} // whether it was committed the offset tells
}

// store sends the offset after the records, nil where there is none; it counts when the transaction is committed.
// acknowledged waits for the answer.
func (o *TransactionalOutput) store(ctx context.Context, m *transactional) (r *kgo.Record, acknowledged func() error) {
	if o.upTo.Partition == nil {
		return nil, func() error { return nil }
	}
	r = o.of.offsets.Record(o.upTo)
	r.Context = context.WithoutCancel(ctx)
	answer := make(chan error, 1)
	m.Produce(r.Context, r, func(_ *kgo.Record, err error) { answer <- err })
	return r, func() error {
		if err := m.Client.Flush(ctx); err != nil {
			return fmt.Errorf("store the offset: %w", err)
		}
		if err := <-answer; err != nil {
			return fmt.Errorf("store the offset in topic %s: %w", r.Topic, Lacking(err, "WRITE", "Topic "+r.Topic))
		}
		return nil
	}
}

// abort ends the transaction without its records, as soon as brokers can be reached.
func (o *TransactionalOutput) abort(ctx context.Context, m *transactional) error {
	said := map[bool]bool{} // whether the brokers are aborting it, or cannot be asked
	for {
		err := m.EndTransaction(ctx, kgo.TryAbort)
		if err == nil { // also of a producer that cannot go on since its commit was refused: its transaction is open
			_, _, err = m.ProducerID(ctx)
		}
		if err == nil {
			o.release()
			return nil
		}
		final := definite(err)
		if final && Outlasted(o.explain(m, o.began, err)) {
			again := o.of.again(ctx, m)
			if again == nil {
				o.release()
				return nil
			}
			denied, aborting := (*security.Denied)(nil), errors.Is(again, errAborting)
			final = definite(again) || errors.Is(again, errTaken) || errors.As(again, &denied) || unknownRequest(again)
			if !final && !said[aborting] {
				said[aborting] = true
				o.of.config.log().Warn("kafka: a transaction has outlasted its time while a broker was away; its "+
					"producer is opened again as soon as the brokers say what became of it", "transactional_id", m.id,
					"error", again)
			}
			err = errors.Join(err, again)
		}
		if final {
			began := o.began
			o.forget()
			err = o.explain(m, began, err)
			o.failed = err // the producer is not free any more: who began once more would wait for it for ever
			return err
		}
		if pause.For(ctx, 100*time.Millisecond) != nil {
			return o.explain(m, o.began, err)
		}
	}
}

// release gives the producer back to the task's others.
func (o *TransactionalOutput) release() {
	m := o.held
	o.forget()
	o.of.free <- m
}

// forget keeps the producer from being used again.
func (o *TransactionalOutput) forget() {
	o.held, o.records, o.upTo = nil, 0, Offset{}
	o.producer.through.Store(nil)
}

// Write commits records by themselves, all or none, and sets in them where they were written. Of a record it takes the
// topic, the key and the value.
func (o *TransactionalOutput) Write(ctx context.Context, records ...*kgo.Record) error {
	if err := o.Begin(ctx); err != nil {
		return err
	}
	batch, sent := o.NewBatch(), make([]*kgo.Record, len(records))
	for i, r := range records {
		sent[i] = batch.Add()
		sent[i].Topic, sent[i].Key, sent[i].Value = r.Topic, r.Key, r.Value
	}
	o.Produce(ctx, batch, Offset{}, func(int, error) { // before they are used again
		for i, r := range sent {
			*records[i] = *r
		}
	})
	return o.Commit(ctx)
}

// Abort takes a page back that broke off.
func (o *TransactionalOutput) Abort(ctx context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.held == nil {
		return o.failed
	}
	// Records that wait would fail the producer for good.
	err := o.producer.Flush(ctx)
	if aborted := o.abort(ctx, o.held); err == nil {
		err = aborted
	}
	return err
}

// Flush gives up a page that is not at its end.
func (o *TransactionalOutput) Flush(ctx context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.held == nil {
		return o.failed
	}
	_ = o.producer.Flush(ctx) // what failed was reported with its batch
	return o.abort(ctx, o.held)
}

// Close gives up a transaction that is open, as Flush does.
func (o *TransactionalOutput) Close(ctx context.Context) error {
	err := o.Flush(ctx)
	o.mu.Lock()
	if o.held != nil {
		o.forget()
	}
	o.mu.Unlock()
	o.of.mu.Lock()
	delete(o.of.outputs, o)
	o.of.mu.Unlock()
	o.producer.client.leave(o.producer)
	return err
}
