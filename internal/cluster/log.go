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

	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/cluster/configtopic"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/kafka/security"
	"github.com/culvert-project/culvert/wit"
)

const (
	// writeTimeout includes reading back, as in Kafka Connect (KafkaConfigBackingStore.READ_WRITE_TOTAL_TIMEOUT_MS).
	writeTimeout      = 30 * time.Second
	readRetryInterval = time.Second
)

// ErrNotLeader is returned for a leader's write by a worker that does not lead.
var ErrNotLeader = errors.New("Cannot write to config topic: this worker is not the leader of its group")

// WriteError is a failed write of the leader, for example because a newer leader has fenced it. The records may be
// written.
type WriteError struct{ Cause error }

// Error returns Kafka Connect's text (DistributedHerder).
func (e *WriteError) Error() string {
	return "Failed to write to config topic; this may be due to a transient error and the request can be safely retried"
}

// Unwrap returns the cause.
func (e *WriteError) Unwrap() error { return e.Cause }

// LogOptions configure a [Log].
type LogOptions struct {
	Kafka  kafka.Config        // the configuration of the worker's clients
	Topic  kafka.InternalTopic // the config topic. It has one partition, whatever Partitions says.
	Group  string              // group.id
	Logger *slog.Logger
}

// Log reads committed records of the config topic and writes to it. The leader writes in transactions, also without
// exactly.once.source.support: a worker that claims the group's transactional ID fences the previous leader. A Log
// owns the goroutines of its clients until Close; until then all methods may be called at any time.
type Log struct {
	options   LogOptions
	admin     *kafka.Admin
	reader    *kafka.Reader
	anyWriter *kgo.Client // anyWriter writes the records that any worker may write
	dialer    *security.Dialer

	// writeLock guards transactions, which is nil unless the ID is claimed, and output. It is held for a leader's
	// write.
	writeLock    guard.CtxMutex
	transactions *kafka.Transactions
	output       *kafka.TransactionalOutput

	mu       guard.Mutex
	term     context.Context // term lasts while this worker leads its group; endTerm ends it
	endTerm  context.CancelFunc
	offset   int64         // the offset after the last record that was read
	advanced chan struct{} // closed when offset has grown
	queue    []*leaderWrite
}

type leaderWrite struct {
	records []*kgo.Record
	done    bool
	err     error
}

// OpenLog creates the topic if it is missing, and checks it and the worker's access as a leader. It does not read yet.
func OpenLog(ctx context.Context, options LogOptions) (opened *Log, err error) {
	options.Topic.Partitions = 1
	config := options.Kafka
	config.Consumer.ReadUncommitted = false
	config.Producer.Acks, config.Producer.Idempotent, config.Producer.Linger = -1, true, 0
	options.Kafka = config
	l := &Log{options: options, writeLock: guard.NewCtxMutex(), advanced: make(chan struct{})}
	l.term, l.endTerm = context.WithCancel(context.Background())
	l.endTerm()
	defer func() {
		if err != nil {
			l.Close()
		}
	}()
	if l.admin, err = kafka.NewAdmin(config); err != nil {
		return nil, err
	}
	if err = l.admin.EnsureInternalTopic(ctx, options.Topic); err != nil {
		return nil, err
	}
	if l.reader, err = kafka.NewReader(config); err != nil {
		return nil, err
	}
	config.Producer.ClientID = options.Group + "-configs"
	// A write ends with its context even if it may have been written: a repetition writes the same.
	opts := config.ProducerOpts(kgo.AllowIdempotentProduceCancellation())
	if l.anyWriter, err = kgo.NewClient(opts...); err != nil {
		return nil, fmt.Errorf("%s: %w", options.Topic.Setting, err)
	}
	l.dialer = security.DialerOf(opts)
	if err = l.checkAccess(ctx); err != nil {
		return nil, fmt.Errorf("%s: %w", options.Topic.Setting, err)
	}
	return l, nil
}

// Close closes the clients, after Read has returned.
func (l *Log) Close() {
	_ = l.writeLock.Lock(context.Background())
	l.closeProducer()
	if l.anyWriter != nil {
		l.anyWriter.Close()
	}
	if l.reader != nil {
		l.reader.Close()
	}
	if l.admin != nil {
		l.admin.Close()
	}
}

// LeaderTransactionalID is that of a group's leader, as in Kafka Connect (DistributedConfig.transactionalProducerId).
func LeaderTransactionalID(group string) string { return "connect-cluster-" + group }

func (l *Log) checkAccess(ctx context.Context) error {
	err := kafka.CheckInternalTopic(ctx, l.anyWriter, l.options.Topic)
	if err == nil {
		err = CheckLeaderAccess(ctx, l.anyWriter, l.options.Group)
	}
	return l.dialer.Explain(err)
}

// CheckLeaderAccess checks whether a client may write as the leader of a group, without disturbing the leader.
func CheckLeaderAccess(ctx context.Context, client *kgo.Client, group string) error {
	// Ending a transaction of a producer that cannot exist changes nothing: brokers check access first, and producers
	// then (KafkaApis.handleEndTxnRequest).
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

// Read calls apply for every record, and caughtUp once after the first content. It continues until ctx ends, which is
// no error, and retries failed reads, unless the topic has lost records.
func (l *Log) Read(ctx context.Context, apply func(configtopic.Record), caughtUp func()) error {
	each := func(r *kgo.Record) error {
		apply(configtopic.Record{Key: string(r.Key), Value: r.Value, Offset: r.Offset})
		l.advance(r.Offset + 1)
		return nil
	}
	positions, lastLogged := kafka.Positions(nil), ""
	for caught := false; ; {
		next, err := l.reader.Read(ctx, l.options.Topic.Name, kafka.ReadOptions{From: positions, Resumed: true,
			Follow:   caught,
			Expected: true}, each)
		if next != nil {
			positions = next
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil && !caught:
			caught = true
			caughtUp()
			continue
		case !caught, errors.Is(err, kafka.ErrTruncated):
			return fmt.Errorf("%s: %w", l.options.Topic.Setting, err)
		case err != nil && err.Error() != lastLogged:
			lastLogged = err.Error()
			l.options.Logger.Error("the topic of configurations cannot be read; it is tried again", "error", err)
		}
		if pause.For(ctx, readRetryInterval) != nil {
			return nil
		}
	}
}

func (l *Log) advance(next int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.offset = next
	close(l.advanced)
	l.advanced = make(chan struct{})
}

// Offset returns the offset after the last record that was read and applied. Members of the group compare it.
func (l *Log) Offset() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.offset
}

// Await returns when Offset has reached an offset. It fails only when ctx ends.
func (l *Log) Await(ctx context.Context, offset int64) error {
	for {
		l.mu.Lock()
		next, advanced := l.offset, l.advanced
		l.mu.Unlock()
		if next >= offset {
			return nil
		}
		select {
		case <-advanced:
		case <-ctx.Done():
			return fmt.Errorf("topic %s: expected to have read up to offset %d, found %d: %w", l.options.Topic.Name,
				offset,
				next, context.Cause(ctx))
		}
	}
}

// Refresh returns when all records are applied that were committed before the call.
func (l *Log) Refresh(ctx context.Context) error {
	name := l.options.Topic.Name
	ends, err := l.admin.EndOffsets(ctx, false, name)
	if err != nil {
		return err
	}
	for {
		// The records before the end may be markers of transactions alone.
		at := l.Offset()
		empty, err := l.reader.IsEmpty(ctx, name, kafka.Positions{0: at}, ends[name])
		if err != nil || empty {
			return err
		}
		if err := l.Await(ctx, at+1); err != nil {
			return err
		}
	}
}

// Lead claims the right to write as the leader, which fences the previous one, and returns when its writes are applied.
// After an error the worker leads, too: the next write claims the right.
func (l *Log) Lead(ctx context.Context) error {
	l.startTerm()
	return l.fencePreviousLeader(ctx)
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

// LeadEmptyGroup is [Log.Lead] for a process outside the group. It fails if the group has members, joining ones
// included.
func (l *Log) LeadEmptyGroup(ctx context.Context) error {
	g, err := l.admin.Group(ctx, l.options.Group)
	switch {
	case err != nil:
		return err
	case len(g.Members) > 0:
		return fmt.Errorf("expected no workers in group %s, found %d: stop them first (those with "+
			"group.instance.id stay until session.timeout.ms is over)", l.options.Group, len(g.Members))
	}
	return l.Lead(ctx)
}

// Resign gives up the right to write and cancels a leader's write in progress.
func (l *Log) Resign() {
	l.mu.Lock()
	l.endTerm()
	l.mu.Unlock()
	if l.writeLock.TryLock() { // else whoever writes lets go of it after that
		l.unlock()
	}
}

func (l *Log) lock(ctx context.Context) error {
	err := l.writeLock.Lock(ctx)
	if err != nil {
		err = fmt.Errorf("topic %s: another write is under way: %w", l.options.Topic.Name, err)
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
	l.transactions, l.output = t, t.Output()
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
	over, end := context.WithCancel(context.Background())
	end()
	_ = l.output.Close(over)
	l.transactions.Close()
	l.transactions = nil
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

func (l *Log) writeAny(ctx context.Context, records []*kgo.Record) error {
	if err := l.anyWriter.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return fmt.Errorf("%s: write to topic %s: %w", l.options.Topic.Setting, l.options.Topic.Name,
			kafka.WithMissingRight(l.dialer.Explain(err), "WRITE", "Topic "+l.options.Topic.Name))
	}
	return nil
}

// writeLeading writes all queued records together, and holds the lock until they are read: Kafka 4 delays a transaction
// by 20 ms (add.partitions.to.txn.retry.backoff.ms) if the previous one is incomplete.
func (l *Log) writeLeading(ctx context.Context, records []*kgo.Record) error {
	own := &leaderWrite{records: records}
	l.mu.Lock()
	l.queue = append(l.queue, own)
	term := l.term
	l.mu.Unlock()
	if err := l.lock(ctx); err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		if at := slices.Index(l.queue, own); at >= 0 {
			l.queue = slices.Delete(l.queue, at, at+1)
			return err
		}
		return &WriteError{err} // another one is writing it
	}
	defer l.unlock()
	if own.done {
		return own.err
	}
	l.mu.Lock()
	all := l.queue
	l.queue = nil
	l.mu.Unlock()
	records = nil
	for _, w := range all {
		records = append(records, w.records...)
		w.done, w.err = true, &WriteError{errors.New("a write that it shared has panicked")}
	}
	err := l.transact(ctx, term, records, len(all) > 1)
	for _, w := range all {
		w.err = err
	}
	return err
}

func (l *Log) transact(ctx, term context.Context, records []*kgo.Record, shared bool) (err error) {
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
		_ = l.Await(ctx, records[len(records)-1].Offset+1) // Write says that it was not read
		return nil
	}
	l.options.Logger.Warn("a write to the topic of configurations has failed", "topic", l.options.Topic.Name, "key",
		string(records[0].Key), "error", err)
	l.closeProducer()
	// The next decision needs what a newer leader may have written.
	if l.isLeading() && term.Err() == nil {
		again, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
		defer cancel()
		if failed := l.openProducer(again); failed != nil {
			l.options.Logger.Warn("the right to write to the topic of configurations is claimed with the next write",
				"error", failed)
		}
	}
	if errors.Is(err, kerr.MessageTooLarge) && !shared { // else whoever asks again finds out whose it is
		return fmt.Errorf("%s: topic %s: expected records that max.message.bytes allows, found larger ones: %w",
			l.options.Topic.Setting, l.options.Topic.Name, err)
	}
	return &WriteError{err}
}
