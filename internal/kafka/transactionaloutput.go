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
func IsTransactionTimeout(err error) bool { return errors.As(err, new(*timedOutError)) }

type timedOutError struct{ err *wit.Error }

func (t *timedOutError) Error() string { return t.err.Error() }
func (t *timedOutError) Unwrap() error { return t.err }

// TransactionAbortedError ends a feed that continued after uncommitted pages. Restart it from the offset in Kafka.
type TransactionAbortedError struct {
	Cause     error
	Committed bool // an earlier page of the output was committed
}

func (t *TransactionAbortedError) Error() string {
	return "the page was not committed: " + t.Cause.Error()
}
func (t *TransactionAbortedError) Unwrap() error { return t.Cause }

// IsRejected reports whether the brokers reject the producer for good, other than by a timeout of its transaction.
func (t *TransactionAbortedError) IsRejected() bool {
	return isFatal(t.Cause) && !IsTransactionTimeout(t.Cause)
}

// TransactionalOutput commits each page of a source feed with its offset in one transaction: Begin, Produce, then
// Commit or Abort. Only Flush and NewBatch may be called concurrently. Flush and Close abort an unfinished page.
type TransactionalOutput struct {
	transactions *Transactions
	producer     *Producer

	mu           sync.Mutex
	current      *transactionalProducer // of the open page; nil between pages
	startedAt    time.Time              // of the page
	offset       Offset                 // of the page's last batch
	records      int                    // of the page
	stored       Offset                 // of the last committed page
	hasCommitted bool                   // a page was committed
	failure      error                  // the producer of a page has become unusable
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
	if t.denial != nil {
		p.deny(t.denial)
	}
	return o
}

// NewBatch returns an empty batch for [TransactionalOutput.Produce].
func (o *TransactionalOutput) NewBatch() Records { return o.producer.NewBatch() }

// AtLeastOnce returns false: consumers do not read records of an aborted page.
func (o *TransactionalOutput) AtLeastOnce() bool { return false }

// OnFailure does nothing: Commit returns the failures of offsets.
func (o *TransactionalOutput) OnFailure(func(error)) {}

// Begin takes a free producer, waiting until another output ends a page, and begins its transaction. It does nothing if
// a page has begun, and fails for good once a page's producer has become unusable.
func (o *TransactionalOutput) Begin(ctx context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failure != nil {
		return o.failure
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

// timeoutError returns a transient error if an outage of at least half of the time was the cause.
func (o *TransactionalOutput) timeoutError(producer *transactionalProducer, startedAt time.Time) error {
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

// explain adds the setting or the outage that causes an error of the page's producer.
func (o *TransactionalOutput) explain(producer *transactionalProducer, startedAt time.Time, err error) error {
	if isFenced(err) && o.isOverdue(startedAt) {
		return fmt.Errorf("%w (%w)", o.timeoutError(producer, startedAt), err)
	}
	return transactionError(o.transactions.config, producer.id, err)
}

// Commit waits until all records are acknowledged, commits them with the last offset, and ends the page, unless ctx
// ends first. After an error they are aborted; [*TransactionAbortedError] means that the feed may restart.
func (o *TransactionalOutput) Commit(ctx context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.current == nil {
		return o.failure
	}
	return o.commit(ctx)
}

// commit is Commit of an open page. The caller holds mu.
func (o *TransactionalOutput) commit(ctx context.Context) error {
	producer := o.current
	startedAt := o.startedAt
	upTo := o.offset
	if o.records == 0 && (upTo.Partition == nil || reflect.DeepEqual(upTo, o.stored)) {
		return o.abort(ctx, producer) // there is nothing to commit
	}
	commitBegan := time.Now()
	records := o.records
	stored, awaitResponse := o.produceOffset(ctx, producer)
	err := o.producer.Flush(ctx)
	offsetErr := awaitResponse() // also after an error: a transaction must not end before its records
	if err == nil {
		err = offsetErr
	}
	if err == nil && o.isOverdue(startedAt) {
		err = o.timeoutError(producer, startedAt)
	}
	if err == nil {
		err = producer.EndTransaction(ctx, kgo.TryCommit)
	}
	o.transactions.OnCommit(commitBegan, records, err)
	if err == nil {
		if stored != nil {
			o.transactions.offsets.Committed(upTo, stored)
			o.stored = upTo
		}
		o.hasCommitted = true
		o.release()
		return nil
	}
	err = o.explain(producer, startedAt, err)
	abortErr := o.abort(ctx, producer)
	if IsTransactionTimeout(err) && IsTransactionTimeout(abortErr) {
		return abortErr // it also contains why the producer cannot be reopened
	}
	isPermanent := errors.As(err, new(*wit.Error)) || o.producer.Err() != nil
	if abortErr != nil || (isPermanent && !IsTransactionTimeout(err)) {
		return err
	}
	// The stored offset shows whether the page was committed after all.
	return &TransactionAbortedError{Cause: err, Committed: o.hasCommitted}
}

// produceOffset sends the page's offset; r is nil without one. awaitResponse waits for the acknowledgement.
func (o *TransactionalOutput) produceOffset(ctx context.Context,
	producer *transactionalProducer) (r *kgo.Record, awaitResponse func() error) {
	if o.offset.Partition == nil {
		return nil, func() error { return nil }
	}
	r = o.transactions.offsets.Record(o.offset)
	r.Context = context.WithoutCancel(ctx)
	response := make(chan error, 1)
	producer.Produce(r.Context, r, func(_ *kgo.Record, err error) { response <- err })
	return r, func() error {
		if err := producer.Client.Flush(ctx); err != nil {
			return fmt.Errorf("store the offset: %w", err)
		}
		if err := <-response; err != nil {
			return fmt.Errorf("store the offset in topic %s: %w", r.Topic,
				WithMissingRight(err, "WRITE", "Topic "+r.Topic))
		}
		return nil
	}
}

// abort aborts the transaction and ends the page. It retries until ctx ends or the producer is unusable.
func (o *TransactionalOutput) abort(ctx context.Context, producer *transactionalProducer) error {
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
		isUnusable := isFatal(err)
		if isUnusable && IsTransactionTimeout(o.explain(producer, o.startedAt, err)) {
			reopenErr := o.transactions.reopen(ctx, producer)
			if reopenErr == nil {
				o.release()
				return nil
			}
			isUnusable = isFatal(reopenErr) || errors.Is(reopenErr, errFenced) ||
				errors.As(reopenErr, new(*security.Denied)) || isUnknownRequest(reopenErr)
			if isAborting := errors.Is(reopenErr, errAborting); !isUnusable && !logged[isAborting] {
				logged[isAborting] = true
				o.transactions.config.log().Warn(
					"kafka: a transaction timed out while a broker was unreachable; its producer is reopened when "+
						"the brokers report the outcome",
					"transactional_id", producer.id, "error", reopenErr)
			}
			err = errors.Join(err, reopenErr)
		}
		if isUnusable {
			startedAt := o.startedAt
			o.clearCurrent() // without release: no output may use the producer again
			o.failure = o.explain(producer, startedAt, err)
			return o.failure
		}
		if pause.For(ctx, 100*time.Millisecond) != nil {
			return o.explain(producer, o.startedAt, err)
		}
	}
}

// release ends the page and passes its producer to the next Begin of any output. The caller holds mu.
func (o *TransactionalOutput) release() {
	producer := o.current
	o.clearCurrent()
	o.transactions.free <- producer
}

// clearCurrent resets the state of the page. The caller holds mu.
func (o *TransactionalOutput) clearCurrent() {
	o.current = nil
	o.records = 0
	o.offset = Offset{}
	o.producer.txnClient.Store(nil)
}

// Write commits records in their own transaction and overwrites them with the results: partition and offset.
func (o *TransactionalOutput) Write(ctx context.Context, records ...*kgo.Record) error {
	if err := o.Begin(ctx); err != nil {
		return err
	}
	batch := o.NewBatch()
	copies := make([]*kgo.Record, len(records))
	for i, r := range records {
		copies[i] = batch.Add()
		copies[i].Topic = r.Topic
		copies[i].Key = r.Key
		copies[i].Value = r.Value
	}
	o.Produce(ctx, batch, Offset{}, func(int, error) { // before the batch is recycled
		for i, r := range copies {
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
		return o.failure
	}
	err := o.producer.Flush(ctx)
	abortErr := o.abort(ctx, o.current)
	if err == nil {
		err = abortErr
	}
	return err
}

// Flush aborts an unfinished page, as Abort does, but does not report failures of its records.
func (o *TransactionalOutput) Flush(ctx context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.current == nil {
		return o.failure
	}
	_ = o.producer.Flush(ctx) // errors were reported with their batches
	return o.abort(ctx, o.current)
}

// Close aborts an unfinished page and removes the output. If ctx ends, the page's producer is lost to others.
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
