package kafka

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/kafka/security"
	"github.com/culvert-project/culvert/wit"
)

// IsTransactionTimeout reports whether a transaction timed out because a broker was unreachable for at least half of
// the time. If it is aborted, the feed can restart ([TransactionAbortedError]) once brokers are back.
func IsTransactionTimeout(err error) bool {
	timedOut := (*timedOutError)(nil)
	return errors.As(err, &timedOut)
}

type timedOutError struct{ err *wit.Error }

func (o *timedOutError) Error() string { return o.err.Error() }
func (o *timedOutError) Unwrap() error { return o.err }

// IsRejected reports whether the brokers reject the producer for good, other than by a timeout of its transaction.
func (t *TransactionAbortedError) IsRejected() bool {
	return isFatal(t.Cause) && !IsTransactionTimeout(t.Cause)
}

// TransactionalOutput commits each page of a source feed with its offset in one transaction: Begin, Produce, then
// Commit or Abort. Only Flush and NewBatch may be called concurrently. Flush and Close abort an unfinished page.
type TransactionalOutput struct {
	transactions *Transactions
	producer     *Producer

	mu        sync.Mutex
	current   *transactional
	startedAt time.Time
	offset    Offset // of the last batch
	records   int
	stored    Offset
	committed bool
	failed    error
}

// Output opens an output that shares the producers of t with the other outputs. The caller must close it.
func (t *Transactions) Output() *TransactionalOutput {
	client := &sharedClient{maxRequestBytes: t.config.Producer.MaxRequestBytes, users: map[*Producer]struct{}{}}
	client.ctx, client.cancel = context.WithCancel(context.Background())
	p, _ := client.newProducer(t.config.Producer.BufferBytes)
	o := &TransactionalOutput{transactions: t, producer: p}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.outputs[o] = struct{}{}
	if t.denied != nil {
		p.deny(t.denied)
	}
	return o
}

// NewBatch returns an empty batch for [TransactionalOutput.Produce].
func (o *TransactionalOutput) NewBatch() Records { return o.producer.NewBatch() }

// AtLeastOnce is false: records of an aborted page are not read.
func (o *TransactionalOutput) AtLeastOnce() bool { return false }

// OnFailure does nothing: Commit returns the failures of offsets.
func (o *TransactionalOutput) OnFailure(func(error)) {}

// Begin takes a free producer and begins its transaction. It blocks until another output has ended a page, if all
// producers are in use. It does nothing if a page has begun, and fails for good once the producer of a page has become
// unusable.
func (o *TransactionalOutput) Begin(ctx context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failed != nil {
		return o.failed
	}
	if o.current == nil {
		producer, err := o.transactions.acquire(ctx)
		if err != nil {
			return err
		}
		if err := producer.BeginTransaction(); err != nil {
			o.transactions.free <- producer
			return transactionError(o.transactions.config, producer.id, err)
		}
		o.current = producer
		o.startedAt = time.Now()
		o.records = 0
		o.offset = Offset{}
		o.producer.txnClient.Store(producer.Client)
	}
	return nil
}

// Produce is [Producer.Produce]; the last offset is written by Commit.
func (o *TransactionalOutput) Produce(ctx context.Context, b Records, upTo Offset, done func(n int, err error)) {
	batch := b.(*Batch)
	o.mu.Lock()
	current := o.current
	if upTo.Partition != nil {
		o.offset = upTo
	}
	if current == nil && batch.records > 0 {
		batch.fail(errors.New("produce: no transaction is open"))
	} else if current != nil && o.isOverdue(o.startedAt) {
		batch.fail(o.timeoutError(current, o.startedAt)) // the brokers have aborted it, or are about to
	}
	o.records += batch.records
	startedAt := o.startedAt
	o.mu.Unlock()
	o.producer.Produce(ctx, batch, func(n int, err error) {
		if err != nil && current != nil {
			err = o.explain(current, startedAt, err)
		}
		done(n, err)
	})
}

func (o *TransactionalOutput) isOverdue(startedAt time.Time) bool {
	return time.Since(startedAt) >= o.transactions.config.Producer.TransactionTimeout
}

// timeoutError returns a transient error if a broker was unreachable in the meantime. An outage of at least half of the
// time was the cause.
func (o *TransactionalOutput) timeoutError(producer *transactional, startedAt time.Time) error {
	limit := o.transactions.config.Producer.TransactionTimeout
	message := fmt.Sprintf("the page's transaction exceeded transaction.timeout.ms (%d) and is aborted: ",
		limit.Milliseconds())
	const pageSize = "set a smaller page.size, or a larger producer.override.transaction.timeout.ms"
	broker, outage := producer.outageSince(startedAt)
	if broker == "" {
		return &wit.Error{Kind: wit.ErrorConfig, Message: message + pageSize}
	}
	message += fmt.Sprintf("broker %s was unreachable for %v of it", broker, outage.Round(time.Millisecond))
	if outage >= limit/2 {
		return &timedOutError{&wit.Error{Kind: wit.ErrorTransient, Message: message}}
	}
	return &wit.Error{Kind: wit.ErrorTransient, Message: message + "; if this happens again without an outage, " +
		pageSize}
}

func (o *TransactionalOutput) explain(producer *transactional, startedAt time.Time, err error) error {
	if isFenced(err) && o.isOverdue(startedAt) {
		return fmt.Errorf("%w (%w)", o.timeoutError(producer, startedAt), err)
	}
	return transactionError(o.transactions.config, producer.id, err)
}

// Commit waits until all records are acknowledged, and commits them with the last offset. It ends the page and returns
// the producer, unless ctx ends first or the producer has become unusable. After an error the records are aborted;
// [*TransactionAbortedError] means that the feed may restart. Without a page it returns the failure of an earlier one.
func (o *TransactionalOutput) Commit(ctx context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.current == nil {
		return o.failed
	}
	return o.commit(ctx)
}

func (o *TransactionalOutput) commit(ctx context.Context) error {
	producer := o.current
	startedAt := o.startedAt
	upTo := o.offset
	if o.records == 0 && (upTo.Partition == nil || reflect.DeepEqual(upTo, o.stored)) {
		return o.abort(ctx, producer) // there is nothing to commit
	}
	committing := time.Now()
	records := o.records
	stored, acknowledged := o.produceOffset(ctx, producer)
	err := o.producer.Flush(ctx)
	offsetErr := acknowledged()
	if err == nil { // awaited in any case: a transaction must not end before its records
		err = offsetErr
	}
	if err == nil && o.isOverdue(startedAt) {
		err = o.timeoutError(producer, startedAt)
	}
	if err == nil {
		err = producer.EndTransaction(ctx, kgo.TryCommit)
	}
	o.transactions.OnCommit(committing, records, err)
	if err == nil {
		if stored != nil {
			o.transactions.offsets.Committed(upTo, stored)
			o.stored = upTo
		}
		o.committed = true
		o.release()
		return nil
	}
	err = o.explain(producer, startedAt, err)
	aborted := o.abort(ctx, producer)
	if IsTransactionTimeout(err) && IsTransactionTimeout(aborted) {
		return aborted // which also has the reason why the producer cannot be reopened
	}
	explained := (*wit.Error)(nil)
	isPermanent := errors.As(err, &explained) || o.producer.Err() != nil
	if aborted != nil || (isPermanent && !IsTransactionTimeout(err)) {
		return err
	}
	return &TransactionAbortedError{err, o.committed} // the stored offset shows whether it was committed after all
}

// produceOffset sends the record of the offset, nil if there is none. acknowledged waits for its response.
func (o *TransactionalOutput) produceOffset(ctx context.Context,
	producer *transactional) (r *kgo.Record, acknowledged func() error) {
	if o.offset.Partition == nil {
		return nil, func() error { return nil }
	}
	r = o.transactions.offsets.Record(o.offset)
	r.Context = context.WithoutCancel(ctx)
	answer := make(chan error, 1)
	producer.Produce(r.Context, r, func(_ *kgo.Record, err error) { answer <- err })
	return r, func() error {
		if err := producer.Client.Flush(ctx); err != nil {
			return fmt.Errorf("store the offset: %w", err)
		}
		if err := <-answer; err != nil {
			return fmt.Errorf("store the offset in topic %s: %w", r.Topic,
				WithMissingRight(err, "WRITE", "Topic "+r.Topic))
		}
		return nil
	}
}

// abort ends the transaction, and repeats that until ctx ends or the producer is unusable.
func (o *TransactionalOutput) abort(ctx context.Context, producer *transactional) error {
	logged := map[bool]bool{} // by whether the brokers are aborting the transaction themselves
	for {
		err := producer.EndTransaction(ctx, kgo.TryAbort)
		if err == nil { // kgo also returns nil for a failed producer, whose transaction is still open
			_, _, err = producer.ProducerID(ctx)
		}
		if err == nil {
			o.release()
			return nil
		}
		unusable := isFatal(err)
		if unusable && IsTransactionTimeout(o.explain(producer, o.startedAt, err)) {
			reopenErr := o.transactions.reopen(ctx, producer)
			if reopenErr == nil {
				o.release()
				return nil
			}
			unusable = isReopenFatal(reopenErr)
			if aborting := errors.Is(reopenErr, errAborting); !unusable && !logged[aborting] {
				logged[aborting] = true
				o.transactions.config.log().Warn(
					"kafka: a transaction timed out while a broker was unreachable; its producer is reopened when "+
						"the brokers report the outcome",
					"transactional_id", producer.id, "error", reopenErr)
			}
			err = errors.Join(err, reopenErr)
		}
		if unusable {
			startedAt := o.startedAt
			o.clearCurrent() // without release: nobody may use the producer again
			o.failed = o.explain(producer, startedAt, err)
			return o.failed
		}
		if pause.For(ctx, 100*time.Millisecond) != nil {
			return o.explain(producer, o.startedAt, err)
		}
	}
}

func isReopenFatal(err error) bool {
	denied := (*security.Denied)(nil)
	return isFatal(err) || errors.Is(err, errFenced) || errors.As(err, &denied) || isUnknownRequest(err)
}

// release ends the page and hands its producer over to the next Begin of any output. mu is held.
func (o *TransactionalOutput) release() {
	m := o.current
	o.clearCurrent()
	o.transactions.free <- m
}

// clearCurrent resets the state of the page. mu is held.
func (o *TransactionalOutput) clearCurrent() {
	o.current = nil
	o.records = 0
	o.offset = Offset{}
	o.producer.txnClient.Store(nil)
}

// Write commits records in their own transaction and sets their offsets. It uses topic, key and value of a record.
func (o *TransactionalOutput) Write(ctx context.Context, records ...*kgo.Record) error {
	if err := o.Begin(ctx); err != nil {
		return err
	}
	batch := o.NewBatch()
	sent := make([]*kgo.Record, len(records))
	for i, r := range records {
		sent[i] = batch.Add()
		sent[i].Topic = r.Topic
		sent[i].Key = r.Key
		sent[i].Value = r.Value
	}
	o.Produce(ctx, batch, Offset{}, func(int, error) { // before the batch is recycled
		for i, r := range sent {
			*records[i] = *r
		}
	})
	return o.Commit(ctx)
}

// Abort waits until all records are acknowledged or have failed, aborts them, and ends the page, unless ctx ends first.
func (o *TransactionalOutput) Abort(ctx context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.current == nil {
		return o.failed
	}
	err := o.producer.Flush(ctx)
	aborted := o.abort(ctx, o.current)
	if err == nil {
		err = aborted
	}
	return err
}

// Flush aborts an unfinished page, as Abort does, but does not report failures of its records.
func (o *TransactionalOutput) Flush(ctx context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.current == nil {
		return o.failed
	}
	_ = o.producer.Flush(ctx) // errors were reported with their batches
	return o.abort(ctx, o.current)
}

// Close aborts an unfinished page and removes the output from its [Transactions], which stay open. If ctx ends before,
// the producer of the page is lost to the other outputs.
func (o *TransactionalOutput) Close(ctx context.Context) error {
	err := o.Flush(ctx)
	o.mu.Lock()
	if o.current != nil {
		o.clearCurrent()
	}
	o.mu.Unlock()
	o.transactions.mu.Lock()
	delete(o.transactions.outputs, o)
	o.transactions.mu.Unlock()
	o.producer.client.remove(o.producer)
	return err
}
