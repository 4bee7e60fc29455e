package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
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

	reigns sync.WaitGroup // those that serve

	mu    guard.Mutex
	reign *reign        // nil while this worker does not lead its group
	next  int64         // the offset after the last record that was read
	moved chan struct{} // closed when next has grown
}

// reign is a time in which this worker leads its group. What it writes is written by the goroutine of serve, which owns
// the producer of the transactional id: claim, and output, which writes by it; nil means that others may have the id.
type reign struct {
	*Log
	life   context.Context
	end    context.CancelFunc
	start  sync.Once // of serve
	writes chan leaderWrite
	claim  *kafka.Transactions
	output *kafka.TransactionalOutput
}

// leaderWrite is a write that waits for its turn. Without records it claims the right to write, and reads what was
// written before.
type leaderWrite struct {
	records []*kgo.Record
	done    chan error // has room for the outcome
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
	l := &Log{o: o, moved: make(chan struct{})}
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
	l.Follow()
	l.reigns.Wait()
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

// LeaderID is the transactional id of a group's leader, as in Kafka Connect
// (DistributedConfig.transactionalProducerId).
func LeaderID(group string) string { return "connect-cluster-" + group }

// check finds what would keep the worker from leading.
func (l *Log) check(ctx context.Context) error {
	err := kafka.Examine(ctx, l.plain, l.o.Topic)
	if err == nil {
		err = MayLead(ctx, l.plain, l.o.Group)
	}
	return l.dialer.Explain(err)
}

// MayLead finds whether a client has the right to write as the leader of a group, without disturbing that one.
func MayLead(ctx context.Context, client *kgo.Client, group string) error {
	// To end a transaction of a producer that there cannot be changes nothing: brokers look at rights first, and at
	// producers then (KafkaApis.handleEndTxnRequest).
	end := kmsg.NewPtrEndTxnRequest()
	end.TransactionalID, end.ProducerID = LeaderID(group), math.MaxInt64
	answer, err := end.RequestWith(ctx, client)
	if err == nil {
		err = kerr.ErrorForCode(answer.ErrorCode)
	}
	if errors.Is(err, kerr.TransactionalIDAuthorizationFailed) {
		return &wit.Fault{Kind: wit.FaultConfig, Message: "the brokers do not let this user lead the group: expected " +
			"the right WRITE on the resource TransactionalId " + LeaderID(group)}
	}
	return nil // any other answer is to this odd request alone
}

// Read hands every record to apply, in their order, and calls caughtUp once, after those that were there at the
// beginning. It goes on with new ones until ctx ends, which is no error. A topic that cannot be read any more is
// tried again, but for one that has lost records.
func (l *Log) Read(ctx context.Context, apply func(config.TopicRecord), caughtUp func()) error {
	each := func(r *kgo.Record) error {
		apply(config.TopicRecord{Key: string(r.Key), Value: r.Value, Offset: r.Offset})
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
	if l.reign == nil {
		l.reign = &reign{Log: l, writes: make(chan leaderWrite)}
		l.reign.life, l.reign.end = context.WithCancel(context.Background())
	}
}

// claimReign is Lead for a worker that leads; after Follow it is [ErrNotLeader], and disturbs no other leader.
func (l *Log) claimReign(ctx context.Context) error {
	err := l.writeLeading(ctx, nil)
	if failed, ok := errors.AsType[*WriteError](err); ok {
		return failed.Cause
	}
	return err
}

// LeadNobody is [Log.Lead] for who is no worker of the group, which is to have none, also none that is joining.
func (l *Log) LeadNobody(ctx context.Context) error {
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

// Follow lets go of that right, and ends a leader's write that is under way: another worker leads, which may take it.
func (l *Log) Follow() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reign != nil {
		l.reign.end()
		l.reign = nil
	}
}

func (l *Log) leading() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reign != nil
}

// Write implements [config.TopicLog]. It takes 30 seconds at most; a leader's waits as long for its turn, writes for as
// long, and reads for as long again what others wrote where that has failed. Follow ends it. The error is then a
// [WriteError], or [ErrNotLeader].
func (l *Log) Write(ctx context.Context, leading bool, records ...config.TopicRecord) (last int64, err error) {
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

// writeLeading has the reign make a write. When ctx has ended it may be made all the same, once it has its turn.
func (l *Log) writeLeading(ctx context.Context, records []*kgo.Record) error {
	l.mu.Lock()
	r := l.reign
	l.mu.Unlock()
	if r == nil {
		return ErrNotLeader
	}
	r.start.Do(func() { l.reigns.Go(r.serve) })
	w := leaderWrite{records, make(chan error, 1)}
	select {
	case r.writes <- w:
	case <-r.life.Done():
		return ErrNotLeader
	case <-ctx.Done():
		return fmt.Errorf("topic %s: another write is under way: %w", l.o.Topic.Name, context.Cause(ctx))
	}
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		return &WriteError{context.Cause(ctx)}
	}
}

// serve makes writes until the reign ends. What waits is one transaction: Kafka 4 holds a producer's next one up for
// 20 ms (add.partitions.to.txn.retry.backoff.ms) where that comes before all of the one before is written. So the next
// begins when that was read.
func (r *reign) serve() {
	defer guard.Vital("writing to the topic of configurations")
	defer r.letGo()
	for {
		var all []leaderWrite
		select {
		case w := <-r.writes:
			all = append(all, w)
		case <-r.life.Done():
			return
		}
		for waits := true; waits; {
			select {
			case w := <-r.writes:
				all = append(all, w)
			default:
				waits = false
			}
		}
		var records []*kgo.Record
		for _, w := range all {
			records = append(records, w.records...)
		}
		err := r.transact(records, len(all) > 1)
		for _, w := range all {
			w.done <- err
		}
		if err == nil && len(records) > 0 {
			ctx, cancel := context.WithTimeout(r.life, writeWithin)
			_ = r.Await(ctx, records[len(records)-1].Offset+1) // Write says that it was not read
			cancel()
		}
	}
}

// claimID fences whoever has the id, and reads what was written before.
func (r *reign) claimID() error {
	ctx, cancel := context.WithTimeout(r.life, writeWithin)
	defer cancel()
	if r.claim == nil {
		t, err := kafka.OpenTransactions(ctx, r.o.Kafka, r.o.Group+"-configs-leader", []string{LeaderID(r.o.Group)}, nil)
		if err != nil {
			return fmt.Errorf("%s: lead the group: %w", r.o.Topic.Setting, err)
		}
		r.claim, r.output = t, t.Output()
	}
	err := r.Refresh(ctx)
	if err != nil {
		r.letGo()
	}
	return err
}

// letGo ends the leader's producer. What it has open is aborted by whoever claims the id next.
func (r *reign) letGo() {
	if r.claim == nil {
		return
	}
	over, end := context.WithCancel(context.Background())
	end()
	_ = r.output.Close(over)
	r.claim.Close()
	r.claim = nil
}

// transact writes records in one transaction; without any, it claims the id.
func (r *reign) transact(records []*kgo.Record, shared bool) error {
	if r.claim == nil || len(records) == 0 {
		if err := r.claimID(); err != nil {
			return &WriteError{err}
		}
	}
	if len(records) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(r.life, writeWithin)
	defer cancel()
	err := r.output.Write(ctx, records...)
	if err == nil {
		return nil
	}
	r.o.Logger.Warn("a write to the topic of configurations has failed", "topic", r.o.Topic.Name, "key",
		string(records[0].Key), "error", err)
	r.letGo()
	// Whoever decides once more is to know what was written meanwhile, as by a newer leader.
	if failed := r.claimID(); failed != nil && r.life.Err() == nil {
		r.o.Logger.Warn("the right to write to the topic of configurations is claimed with the next write",
			"error", failed)
	}
	if errors.Is(err, kerr.MessageTooLarge) && !shared { // else whoever asks again finds out whose it is
		return fmt.Errorf("%s: topic %s: expected records that max.message.bytes allows, found larger ones: %w",
			r.o.Topic.Setting, r.o.Topic.Name, err)
	}
	return &WriteError{err}
}
