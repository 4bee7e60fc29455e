package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/base/pause"
	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/host/kafka/security"
	"github.com/culvert-project/culvert/wit"
)

// writeWithin is how long a write may take until it is read back, as in Kafka Connect
// (KafkaConfigBackingStore.READ_WRITE_TOTAL_TIMEOUT_MS); readAgain is after how long a topic is read again that could
// not be read.
const (
	writeWithin = 30 * time.Second
	readAgain   = time.Second
)

// ErrNotLeader is the error of a write that is the leader's alone, by a worker that does not lead.
var ErrNotLeader = errors.New("Cannot write to config topic: this worker is not the leader of its group")

// WriteError is the error of a leader's write that failed, as where a newer leader has fenced this one. Whether it was
// written is not known; by now this worker has read what the topic has, where it could.
type WriteError struct{ Cause error }

// Error is Kafka Connect's text (DistributedHerder).
func (e *WriteError) Error() string {
	return "Failed to write to config topic; this may be due to a transient error and the request can be safely retried"
}

// Unwrap is the cause.
func (e *WriteError) Unwrap() error { return e.Cause }

// LogOptions say what a [Log] is of.
type LogOptions struct {
	// Kafka is the configuration of the worker's clients.
	Kafka kafka.Config
	// Topic is the topic of configurations; of its partitions there is one, whatever is asked for.
	Topic kafka.Internal
	// Group is group.id.
	Group  string
	Logger *slog.Logger
}

// Log follows the topic of configurations and writes to it. It reads what is committed alone. The leader writes in
// transactions, under a transactional id that all workers of the group share, whatever exactly.once.source.support
// says: who claims it fences the leader before. It owns the goroutines of its clients until Close; all methods may be
// called at any time before.
type Log struct {
	o      LogOptions
	admin  *kafka.Admin
	reader *kafka.Reader
	// plain writes what any worker may write.
	plain  *kgo.Client
	dialer *security.Dialer

	// writing is held by whoever writes as the leader, claims the transactional id or lets go of it. It guards the
	// id's producer, claim, and output, which writes by it; nil: others may have it.
	writing guard.Turn
	claim   *kafka.Transactions
	output  *kafka.TransactionalOutput

	mu guard.Mutex
	// reign lasts while this worker leads its group, and ends by cut.
	reign context.Context
	cut   context.CancelFunc
	next  int64         // the offset after the last record that was read
	moved chan struct{} // closed when next has grown
	queue []*leaderWrite
}

// leaderWrite is a write that waits for its turn; whoever has the turn makes all that wait. written: it was made, with
// err. Both are of whoever has the turn.
type leaderWrite struct {
	records []*kgo.Record
	written bool
	err     error
}

// OpenLog makes the topic where it is missing, and checks that it has one partition, is compacted, and that the worker
// has the rights to lead: READ and WRITE on the topic, WRITE on the transactional id. Nothing is read before Read.
func OpenLog(ctx context.Context, o LogOptions) (opened *Log, err error) {
	o.Topic.Partitions = 1
	k := o.Kafka
	k.Consumer.ReadUncommitted = false
	// As the store of offsets: acknowledged by all replicas, and few.
	k.Producer.Acks, k.Producer.Idempotent, k.Producer.Linger = -1, true, 0
	o.Kafka = k
	l := &Log{o: o, writing: guard.NewTurn(), moved: make(chan struct{})}
	l.reign, l.cut = context.WithCancel(context.Background())
	l.cut()
	defer func() {
		if err != nil {
			l.Close()
		}
	}()
	if l.admin, err = kafka.NewAdmin(k); err != nil {
		return nil, err
	}
	if err = l.admin.EnsureInternal(ctx, o.Topic); err != nil {
		return nil, err
	}
	if l.reader, err = kafka.NewReader(k); err != nil {
		return nil, err
	}
	k.Producer.ClientID = o.Group + "-configs"
	// A write ends with its context, though it may be written: written once more it says the same.
	opts := k.ProducerOpts(kgo.AllowIdempotentProduceCancellation())
	if l.plain, err = kgo.NewClient(opts...); err != nil {
		return nil, fmt.Errorf("%s: %w", o.Topic.Setting, err)
	}
	l.dialer = security.DialerOf(opts)
	if err = l.check(ctx); err != nil {
		return nil, fmt.Errorf("%s: %w", o.Topic.Setting, err)
	}
	return l, nil
}

// Close ends the clients. Read is to be ended before.
func (l *Log) Close() {
	_ = l.writing.Lock(context.Background())
	l.letGo()
	if l.plain != nil {
		l.plain.Close()
	}
	if l.reader != nil {
		l.reader.Close()
	}
	if l.admin != nil {
		l.admin.Close()
	}
}

// LeaderTransactionalID is the transactional id of a group's leader, as in Kafka Connect
// (DistributedConfig.transactionalProducerId).
func LeaderTransactionalID(group string) string { return "connect-cluster-" + group }

// check finds what would keep the worker from leading.
func (l *Log) check(ctx context.Context) error {
	err := kafka.Examine(ctx, l.plain, l.o.Topic)
	if err == nil {
		err = CheckLeaderAccess(ctx, l.plain, l.o.Group)
	}
	return l.dialer.Explain(err)
}

// CheckLeaderAccess finds whether a client has the right to write as the leader of a group, without disturbing that
// one.
func CheckLeaderAccess(ctx context.Context, client *kgo.Client, group string) error {
	// To end a transaction of a producer that there cannot be changes nothing: brokers look at rights first, and at
	// producers then (KafkaApis.handleEndTxnRequest).
	end := kmsg.NewPtrEndTxnRequest()
	end.TransactionalID, end.ProducerID = LeaderTransactionalID(group), math.MaxInt64
	answer, err := end.RequestWith(ctx, client)
	if err == nil {
		err = kerr.ErrorForCode(answer.ErrorCode)
	}
	if errors.Is(err, kerr.TransactionalIDAuthorizationFailed) {
		return &wit.Error{Kind: wit.ErrorConfig, Message: "the brokers do not let this user lead the group: expected " +
			"the right WRITE on the resource TransactionalId " + LeaderTransactionalID(group)}
	}
	return nil // any other answer is to this odd request alone
}

// Read hands every record to apply, in their order, and calls caughtUp once, after those that were there at the
// beginning. It goes on with new ones until ctx ends, which is no error. A topic that cannot be read any more is
// tried again, but for one that has lost records.
func (l *Log) Read(ctx context.Context, apply func(config.Record), caughtUp func()) error {
	each := func(r *kgo.Record) error {
		apply(config.Record{Key: string(r.Key), Value: r.Value, Offset: r.Offset})
		l.advance(r.Offset + 1)
		return nil
	}
	at, said := kafka.Positions(nil), ""
	for caught := false; ; {
		next, err := l.reader.Read(ctx, l.o.Topic.Name, kafka.ReadOptions{From: at, Resumed: true, Follow: caught,
			Expected: true}, each)
		if next != nil {
			at = next
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil && !caught:
			caught = true
			caughtUp()
			continue
		case !caught, errors.Is(err, kafka.ErrShrunk):
			return fmt.Errorf("%s: %w", l.o.Topic.Setting, err)
		case err != nil && err.Error() != said:
			said = err.Error()
			l.o.Logger.Error("the topic of configurations cannot be read; it is tried again", "error", err)
		}
		if pause.For(ctx, readAgain) != nil {
			return nil
		}
	}
}

func (l *Log) advance(next int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next = next
	close(l.moved)
	l.moved = make(chan struct{})
}

// Offset is the offset after the last record that was read and applied, as members of the group tell each other.
func (l *Log) Offset() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next
}

// Await returns when Offset is at least this one. The error is ctx's end.
func (l *Log) Await(ctx context.Context, offset int64) error {
	for {
		l.mu.Lock()
		next, moved := l.next, l.moved
		l.mu.Unlock()
		if next >= offset {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("topic %s: expected to have read up to offset %d, found %d: %w", l.o.Topic.Name, offset,
				next, context.Cause(ctx))
		}
	}
}

// Refresh returns when all records are applied that were committed when it was called.
func (l *Log) Refresh(ctx context.Context) error {
	name := l.o.Topic.Name
	ends, err := l.admin.EndOffsets(ctx, false, name)
	if err != nil {
		return err
	}
	for {
		// What lies before the end may be markers of transactions alone.
		at := l.Offset()
		empty, err := l.reader.Empty(ctx, name, kafka.Positions{0: at}, ends[name])
		if err != nil || empty {
			return err
		}
		if err := l.Await(ctx, at+1); err != nil {
			return err
		}
	}
}

// Lead claims the right to write as the leader, which a leader before loses by that, and returns when everything is
// applied that was written before. With an error the worker leads, too: the next write claims it again.
func (l *Log) Lead(ctx context.Context) error {
	l.begin()
	return l.claimReign(ctx)
}

// begin has the worker lead, if it does not yet: with the first write it claims the right.
func (l *Log) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reign.Err() != nil {
		l.reign, l.cut = context.WithCancel(context.Background())
	}
}

// claimReign is Lead for a worker that leads; after Follow it is [ErrNotLeader], and disturbs no other leader.
func (l *Log) claimReign(ctx context.Context) error {
	if err := l.take(ctx); err != nil {
		return err
	}
	defer l.give()
	l.mu.Lock()
	reign := l.reign
	l.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(reign, cancel)()
	switch {
	case reign.Err() != nil:
		return ErrNotLeader
	case l.claim == nil:
		return l.claimID(ctx)
	}
	return l.Refresh(ctx)
}

// LeadEmptyGroup is [Log.Lead] for who is no worker of the group, which is to have none, also none that is joining.
func (l *Log) LeadEmptyGroup(ctx context.Context) error {
	g, err := l.admin.Group(ctx, l.o.Group)
	switch {
	case err != nil:
		return err
	case len(g.Members) > 0:
		return fmt.Errorf("expected no workers in group %s, found %d: stop them first (those with "+
			"group.instance.id stay until session.timeout.ms is over)", l.o.Group, len(g.Members))
	}
	return l.Lead(ctx)
}

// Resign lets go of that right, and ends a leader's write that is under way: another worker leads, which may take it.
func (l *Log) Resign() {
	l.mu.Lock()
	l.cut()
	l.mu.Unlock()
	if l.writing.TryLock() { // else whoever writes lets go of it after that
		l.give()
	}
}

// take waits for its turn, and no longer than ctx lasts.
func (l *Log) take(ctx context.Context) error {
	err := l.writing.Lock(ctx)
	if err != nil {
		err = fmt.Errorf("topic %s: another write is under way: %w", l.o.Topic.Name, err)
	}
	return err
}

// give ends a turn.
func (l *Log) give() {
	if !l.leading() {
		l.letGo()
	}
	l.writing.Unlock()
}

func (l *Log) leading() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reign.Err() == nil
}

// claimID fences whoever has the id, and reads what was written before.
func (l *Log) claimID(ctx context.Context) error {
	t, err := kafka.OpenTransactions(ctx, l.o.Kafka, l.o.Group+"-configs-leader",
		[]string{LeaderTransactionalID(l.o.Group)}, nil)
	if err != nil {
		return fmt.Errorf("%s: lead the group: %w", l.o.Topic.Setting, err)
	}
	l.claim, l.output = t, t.Output()
	if err := l.Refresh(ctx); err != nil {
		l.letGo()
		return err
	}
	return nil
}

// letGo ends the leader's producer. What it has open is aborted by whoever claims the id next.
func (l *Log) letGo() {
	if l.claim == nil {
		return
	}
	over, end := context.WithCancel(context.Background())
	end()
	_ = l.output.Close(over)
	l.claim.Close()
	l.claim = nil
}

// Write implements [config.TopicLog]. It takes 30 seconds at most; a leader's waits as long for its turn, writes for as
// long, and reads for as long again what others wrote where that has failed. Follow ends it. The error is then a
// [WriteError], or [ErrNotLeader].
func (l *Log) Write(ctx context.Context, leading bool, records ...config.Record) (last int64, err error) {
	limited, cancel := context.WithTimeout(ctx, writeWithin)
	defer cancel()
	write := l.writePlain
	if leading {
		write = l.writeLeading
	}
	var written []*kgo.Record
	for _, r := range records {
		written = append(written, &kgo.Record{Topic: l.o.Topic.Name, Key: []byte(r.Key), Value: r.Value})
	}
	if err = write(limited, written); err != nil {
		return 0, err
	}
	last = written[len(written)-1].Offset
	return last, l.Await(limited, last+1)
}

func (l *Log) writePlain(ctx context.Context, records []*kgo.Record) error {
	if err := l.plain.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return fmt.Errorf("%s: write to topic %s: %w", l.o.Topic.Setting, l.o.Topic.Name,
			kafka.Lacking(l.dialer.Explain(err), "WRITE", "Topic "+l.o.Topic.Name))
	}
	return nil
}

// writeLeading writes together with what waits for the same turn: Kafka 4 holds a producer's next transaction up for
// 20 ms (add.partitions.to.txn.retry.backoff.ms) where that comes before all of the one before is written. So the turn
// also lasts until that was read.
func (l *Log) writeLeading(ctx context.Context, records []*kgo.Record) error {
	own := &leaderWrite{records: records}
	l.mu.Lock()
	l.queue = append(l.queue, own)
	reign := l.reign
	l.mu.Unlock()
	if err := l.take(ctx); err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		if at := slices.Index(l.queue, own); at >= 0 {
			l.queue = slices.Delete(l.queue, at, at+1)
			return err
		}
		return &WriteError{err} // another one is writing it
	}
	defer l.give()
	if own.written {
		return own.err
	}
	l.mu.Lock()
	all := l.queue
	l.queue = nil
	l.mu.Unlock()
	records = nil
	for _, w := range all {
		records = append(records, w.records...)
		w.written, w.err = true, &WriteError{errors.New("a write that it shared has panicked")}
	}
	err := l.transact(ctx, reign, records, len(all) > 1)
	for _, w := range all {
		w.err = err
	}
	return err
}

// transact writes records in one transaction, and waits until they were read. It goes on when the caller stops waiting,
// since others may share it, and ends with reign.
func (l *Log) transact(ctx, reign context.Context, records []*kgo.Record, shared bool) (err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeWithin)
	defer cancel()
	defer context.AfterFunc(reign, cancel)()
	switch {
	case !l.leading():
		return ErrNotLeader
	case l.claim == nil:
		if err = l.claimID(ctx); err != nil {
			return &WriteError{err}
		}
	}
	if err = l.output.Write(ctx, records...); err == nil {
		_ = l.Await(ctx, records[len(records)-1].Offset+1) // Write says that it was not read
		return nil
	}
	l.o.Logger.Warn("a write to the topic of configurations has failed", "topic", l.o.Topic.Name, "key",
		string(records[0].Key), "error", err)
	l.letGo()
	// Whoever decides once more is to know what was written meanwhile, as by a newer leader.
	if l.leading() && reign.Err() == nil {
		again, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeWithin)
		defer cancel()
		if failed := l.claimID(again); failed != nil {
			l.o.Logger.Warn("the right to write to the topic of configurations is claimed with the next write",
				"error", failed)
		}
	}
	if errors.Is(err, kerr.MessageTooLarge) && !shared { // else whoever asks again finds out whose it is
		return fmt.Errorf("%s: topic %s: expected records that max.message.bytes allows, found larger ones: %w",
			l.o.Topic.Setting, l.o.Topic.Name, err)
	}
	return &WriteError{err}
}
