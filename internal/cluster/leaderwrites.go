package cluster

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/configtopic"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/wit"
)

// ErrNotLeader is the error of a leader's write by a worker that does not lead.
var ErrNotLeader = errors.New("Cannot write to config topic: this worker is not the leader of its group")

// WriteError is a failed write of the leader, for example because a newer leader has fenced it. The records may have
// been written.
type WriteError struct{ Cause error }

// Error returns Kafka Connect's text (DistributedHerder).
func (e *WriteError) Error() string {
	return "Failed to write to config topic; this may be due to a transient error and the request can be safely retried"
}

func (e *WriteError) Unwrap() error { return e.Cause }

// leaderWrite is a queued write of the leader. done and err are set under the write lock.
type leaderWrite struct {
	records []*kgo.Record
	done    bool
	err     error
}

// LeaderTransactionalID returns the ID that only a group's leader uses, as in Kafka Connect
// (DistributedConfig.transactionalProducerId). A worker that opens a producer with it fences the previous leader.
func LeaderTransactionalID(group string) string { return "connect-cluster-" + group }

// CheckLeaderAccess checks whether a client may write as the leader of a group, without fencing the leader.
func CheckLeaderAccess(ctx context.Context, client *kgo.Client, group string) error {
	// Ending the transaction of a producer that cannot exist changes nothing. Brokers check access before producers
	// (KafkaApis.handleEndTxnRequest).
	end := kmsg.NewPtrEndTxnRequest()
	end.TransactionalID = LeaderTransactionalID(group)
	end.ProducerID = math.MaxInt64
	answer, err := end.RequestWith(ctx, client)
	if err == nil {
		err = kerr.ErrorForCode(answer.ErrorCode)
	}
	if errors.Is(err, kerr.TransactionalIDAuthorizationFailed) {
		return &wit.Error{Kind: wit.ErrorConfig, Message: "the brokers deny this user to lead the group: expected " +
			"the right WRITE on the resource TransactionalId " + LeaderTransactionalID(group)}
	}
	return nil // other errors are expected for this request
}

// Lead opens the leader's producer, which fences the previous leader, and returns when all of its writes are applied.
// After an error the worker leads, too: the next write opens the producer.
func (l *Log) Lead(ctx context.Context) error {
	l.startTerm()
	return l.fencePreviousLeader(ctx)
}

// LeadEmptyGroup is [Log.Lead] for a process outside the group. It fails if the group has members, including joining
// ones.
func (l *Log) LeadEmptyGroup(ctx context.Context) error {
	g, err := l.admin.Group(ctx, l.options.Group)
	switch {
	case err != nil:
		return err
	case len(g.Members) > 0:
		return fmt.Errorf("expected no workers in group %s, found %d: stop them first (static members stay until "+
			"session.timeout.ms expires)", l.options.Group, len(g.Members))
	}
	return l.Lead(ctx)
}

// Resign ends this worker's leadership and cancels a leader's write in progress.
func (l *Log) Resign() {
	l.mu.Lock()
	l.endTerm()
	l.mu.Unlock()
	if l.writeLock.TryLock() { // else the writer closes the producer when it unlocks
		l.unlock()
	}
}

// Write implements [configtopic.RecordWriter] within 30 seconds. A leader's write may wait as long for the lock, and
// read as long after a failure. Resign cancels it with a [WriteError] or [ErrNotLeader].
func (l *Log) Write(ctx context.Context, leading bool, records ...configtopic.Record) (last int64, err error) {
	limited, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	write := l.writeAny
	if leading {
		write = l.writeLeading
	}
	var written []*kgo.Record
	for _, r := range records {
		written = append(written, &kgo.Record{Topic: l.options.Topic.Name, Key: []byte(r.Key), Value: r.Value})
	}
	if err = write(limited, written); err != nil {
		return 0, err
	}
	last = written[len(written)-1].Offset
	return last, l.Await(limited, last+1)
}

func (l *Log) startTerm() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.term.Err() != nil {
		l.term, l.endTerm = context.WithCancel(context.Background())
	}
}

func (l *Log) fencePreviousLeader(ctx context.Context) error {
	if err := l.lock(ctx); err != nil {
		return err
	}
	defer l.unlock()
	l.mu.Lock()
	term := l.term
	l.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(term, cancel)()
	switch {
	case term.Err() != nil:
		return ErrNotLeader
	case l.transactions == nil:
		return l.openProducer(ctx)
	}
	return l.Refresh(ctx)
}

func (l *Log) lock(ctx context.Context) error {
	err := l.writeLock.Lock(ctx)
	if err != nil {
		err = fmt.Errorf("topic %s: another write is in progress: %w", l.options.Topic.Name, err)
	}
	return err
}

func (l *Log) unlock() {
	if !l.isLeading() {
		l.closeProducer()
	}
	l.writeLock.Unlock()
}

func (l *Log) isLeading() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.term.Err() == nil
}

func (l *Log) openProducer(ctx context.Context) error {
	t, err := kafka.OpenTransactions(ctx, l.options.Kafka, l.options.Group+"-configs-leader",
		[]string{LeaderTransactionalID(l.options.Group)}, nil)
	if err != nil {
		return fmt.Errorf("%s: lead the group: %w", l.options.Topic.Setting, err)
	}
	l.output = t.Output()
	l.transactions = t
	if err := l.Refresh(ctx); err != nil {
		l.closeProducer()
		return err
	}
	return nil
}

func (l *Log) closeProducer() {
	if l.transactions == nil {
		return
	}
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	_ = l.output.Close(canceled) // without waiting
	l.transactions.Close()
	l.transactions = nil
}

func (l *Log) writeAny(ctx context.Context, records []*kgo.Record) error {
	if err := l.anyWriter.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return fmt.Errorf("%s: write to topic %s: %w", l.options.Topic.Setting, l.options.Topic.Name,
			kafka.WithMissingRight(l.dialer.Explain(err), "WRITE", "Topic "+l.options.Topic.Name))
	}
	return nil
}

// writeLeading writes the records of all queued writes in one transaction, and holds the lock until they are read:
// Kafka 4 delays a transaction by 20 ms (add.partitions.to.txn.retry.backoff.ms) if the previous one is incomplete.
func (l *Log) writeLeading(ctx context.Context, records []*kgo.Record) error {
	write := &leaderWrite{records: records}
	l.mu.Lock()
	l.queue = append(l.queue, write)
	term := l.term
	l.mu.Unlock()
	if err := l.lock(ctx); err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		if pos := slices.Index(l.queue, write); pos >= 0 {
			l.queue = slices.Delete(l.queue, pos, pos+1)
			return err
		}
		return &WriteError{err} // another write has taken it from the queue
	}
	defer l.unlock()
	if write.done { // by the previous holder of the lock
		return write.err
	}
	l.mu.Lock()
	batch := l.queue
	l.queue = nil
	l.mu.Unlock()
	records = nil
	for _, w := range batch {
		records = append(records, w.records...)
		w.done = true
		w.err = &WriteError{errors.New("the shared transaction has panicked")}
	}
	err := l.transact(ctx, term, records, len(batch) > 1)
	for _, w := range batch {
		w.err = err
	}
	return err
}

// transact writes records in a transaction. shared means that they belong to several callers.
func (l *Log) transact(ctx, term context.Context, records []*kgo.Record, shared bool) (err error) {
	// Without cancel: the end of one caller must not end the transaction of all.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	defer context.AfterFunc(term, cancel)()
	switch {
	case !l.isLeading():
		return ErrNotLeader
	case l.transactions == nil:
		if err = l.openProducer(ctx); err != nil {
			return &WriteError{err}
		}
	}
	if err = l.output.Write(ctx, records...); err == nil {
		_ = l.Await(ctx, records[len(records)-1].Offset+1) // Write reports a failure
		return nil
	}
	l.options.Logger.Warn("a write to the config topic has failed", "topic", l.options.Topic.Name,
		"key", string(records[0].Key), "error", err)
	l.closeProducer()
	// The next decision needs what a newer leader may have written.
	if l.isLeading() && term.Err() == nil {
		again, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
		defer cancel()
		if failed := l.openProducer(again); failed != nil {
			l.options.Logger.Warn("the leader's producer for the config topic cannot be opened; the next write "+
				"tries again",
				"error", failed)
		}
	}
	if errors.Is(err, kerr.MessageTooLarge) && !shared { // else each caller repeats its own records and finds out
		return fmt.Errorf("%s: topic %s: expected records that max.message.bytes allows, found larger ones: %w",
			l.options.Topic.Setting, l.options.Topic.Name, err)
	}
	return &WriteError{err}
}
