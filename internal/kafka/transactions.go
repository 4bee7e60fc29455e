package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/kafka/security"
	"github.com/culvert-project/culvert/wit"
)

// TransactionalID returns `<group.id>-<connector>-<task>`, as Kafka Connect does; further producers append a number.
func TransactionalID(group, connector string, task, producer int) string {
	id := fmt.Sprintf("%s-%s-%d", group, connector, task)
	if producer > 0 {
		id = fmt.Sprintf("%s-%d", id, producer)
	}
	return id
}

// TransactionalIDs returns the IDs of a connector's tasks with this number of producers each; zero means one.
func TransactionalIDs(group, connector string, tasks, producers int) []string {
	var ids []string
	for task := range tasks {
		for producer := range max(1, producers) {
			ids = append(ids, TransactionalID(group, connector, task, producer))
		}
	}
	return ids
}

// Fence aborts open transactions of other producers with these IDs and fences them, as c's producers' user.
func Fence(ctx context.Context, c Config, ids []string) error {
	client, dialer, err := newClient(c.ProducerOpts())
	if err != nil {
		return err
	}
	defer client.Close()
	for _, id := range ids {
		if err := fence(ctx, client, c, id); err != nil {
			return fmt.Errorf("fence earlier producers: %w", transactionError(c, id, dialer.Explain(err)))
		}
	}
	return nil
}

// fence fences the producers of one ID. It waits until the coordinator has ended their transactions.
func fence(ctx context.Context, client *kgo.Client, c Config, id string) error {
	ctx, cancel := context.WithTimeout(ctx, coordinatorTimeout) // per ID: there may be tens of thousands
	defer cancel()
	for backoff := (pause.Backoff{First: 5 * time.Millisecond, Longest: 500 * time.Millisecond}); ; {
		request := kmsg.NewPtrInitProducerIDRequest()
		request.TransactionalID = &id
		request.TransactionTimeoutMillis = int32(c.Producer.TransactionTimeout.Milliseconds())
		request.ProducerID = -1
		request.ProducerEpoch = -1
		response, err := request.RequestWith(ctx, client)
		if err == nil {
			err = kerr.ErrorForCode(response.ErrorCode)
		}
		// The coordinator first ends the earlier producer's transaction.
		if err == nil || (!kerr.IsRetriable(err) && !errors.Is(err, kerr.ConcurrentTransactions)) {
			return err
		}
		if backoff.Wait(ctx) != nil {
			return err
		}
	}
}

// FencedTransactionalID returns the ID of a producer that another one has fenced, "" for other errors.
func FencedTransactionalID(err error) (id string) {
	var fenced *fencedError
	if errors.As(err, &fenced) {
		return fenced.id
	}
	return ""
}

type fencedError struct {
	err *wit.Error
	id  string
}

func (f *fencedError) Error() string { return f.err.Error() }
func (f *fencedError) Unwrap() error { return f.err }

// transactionError explains errors that a setting, a right or another worker causes.
func transactionError(config Config, id string, err error) error {
	explanation := ""
	kind := wit.ErrorConfig
	switch {
	case err == nil || errors.As(err, new(*security.Denied)):
		return err
	case errors.Is(err, kerr.TransactionalIDAuthorizationFailed):
		explanation = "the brokers deny this user access to it: expected the rights DESCRIBE and WRITE on the " +
			"resource TransactionalId (by the prefix of group.id and the connector's name)"
	case errors.Is(err, kerr.ClusterAuthorizationFailed):
		explanation = "the brokers deny this user idempotent writes: expected the right IDEMPOTENT_WRITE on the cluster"
	case errors.Is(err, kerr.InvalidTransactionTimeout):
		explanation = fmt.Sprintf("transaction.timeout.ms is %d, which is more than the brokers allow: "+
			"expected at most their transaction.max.timeout.ms; set producer.override.transaction.timeout.ms",
			config.Producer.TransactionTimeout.Milliseconds())
	case errors.Is(err, errNoTransactions), errors.Is(err, kerr.UnsupportedVersion), isUnknownRequest(err):
		explanation = "the brokers do not support transactions: expected Apache Kafka 2.5 or newer, or " +
			"exactly.once.source.support=disabled for the worker"
	case isFenced(err):
		explanation = "another producer uses it: only one worker may run the connector with this group.id. This " +
			"producer has committed nothing since. Stop the other worker, or change the group.id of one"
	case errors.Is(err, kerr.CoordinatorNotAvailable), errors.Is(err, context.DeadlineExceeded):
		kind = wit.ErrorTransient
		explanation = fmt.Sprintf("no transaction coordinator within %v: is transaction.state.log.replication.factor "+
			"of the brokers (3 by default) larger than the number of brokers?", coordinatorTimeout)
	case errors.Is(err, kerr.ConcurrentTransactions):
		kind = wit.ErrorTransient
		explanation = fmt.Sprintf("expected the previous producer's transaction to end within %v", coordinatorTimeout)
	default:
		return fmt.Errorf("transactional id %s: %w", id, err)
	}
	result := &wit.Error{Kind: kind, Message: fmt.Sprintf("transactional id %s: %s (%v)", id, explanation, err)}
	if isFenced(err) {
		return &fencedError{err: result, id: id}
	}
	return result
}

// isUnknownRequest reports whether brokers do not support a request; kgo has no named errors for it.
func isUnknownRequest(err error) bool {
	return strings.Contains(err.Error(), "request key is unknown") || strings.Contains(err.Error(), "broker is too old")
}

func isFenced(err error) bool {
	return errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch) ||
		errors.Is(err, kerr.InvalidProducerIDMapping)
}

var errNoTransactions = errors.New("the brokers assigned no producer ID")

// OffsetRecords converts offsets into records of the offsets topic: *offset.Store, for one connector.
type OffsetRecords interface {
	Record(o Offset) *kgo.Record
	Committed(o Offset, r *kgo.Record)
}

// Transactions are the producers of one source task; a page uses one exclusively. It owns their clients until Close.
type Transactions struct {
	// OnCommit is called after each attempt to commit. Set it before the first output is opened.
	OnCommit func(began time.Time, records int, err error)

	config    Config
	offsets   OffsetRecords
	free      chan *transactionalProducer // producers that no page uses
	producers []*transactionalProducer

	mu      sync.Mutex
	outputs map[*TransactionalOutput]struct{}
	denial  error // the brokers have denied access to the producers
}

// transactionalProducer is used by one page at a time, see [TransactionalOutput].
type transactionalProducer struct {
	*kgo.Client
	id          string
	outageSince func(begin time.Time) (broker string, outage time.Duration) // see [security.Outages.Since]
	acks        *ackRecorder
}

// ackRecorder records which producers and epochs have written the acknowledged records of a transaction.
type ackRecorder struct {
	mu      sync.Mutex
	writers map[writer]struct{}
}

// writer is a topic and the producer that wrote to it. A new epoch aborts the records of the earlier one.
type writer struct {
	topic string
	id    int64
	epoch int16
}

func (a *ackRecorder) OnProduceRecordUnbuffered(r *kgo.Record, err error) {
	if err != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.writers[writer{topic: r.Topic, id: r.ProducerID, epoch: r.ProducerEpoch}] = struct{}{}
}

// BeginTransaction also forgets the acknowledgements of the last transaction, which the caller must have ended.
func (t *transactionalProducer) BeginTransaction() error {
	t.acks.mu.Lock()
	clear(t.acks.writers)
	t.acks.mu.Unlock()
	return t.Client.BeginTransaction()
}

// EndTransaction is [kgo.Client.EndTransaction] with two checks. Only the output that uses the producer calls it, after
// BeginTransaction and when all records are acknowledged or have failed. It blocks until the client knows all
// written partitions and the coordinator has responded, or ctx ends. The next transaction may begin only after it has
// returned nil; after an error the transaction may be open, so the caller repeats it with TryAbort.
//
// kgo 1.22.2 sends waiting records of a new topic before it stores the topic's partitions (storePartitionsUpdate). If
// brokers respond in between, its EndTransaction finds no partition and aborts, or leaves the transaction open
// (before Kafka 4.0), without an error. So this waits until PartitionLeader finds them.
//
// If brokers reject a batch for a partition whose log begins after all that was acknowledged, kgo sends it with the
// next epoch (handleReqRespBatch): earlier records are lost.
func (t *transactionalProducer) EndTransaction(ctx context.Context, outcome kgo.TransactionEndTry) error {
	t.acks.mu.Lock()
	writers := slices.Collect(maps.Keys(t.acks.writers))
	t.acks.mu.Unlock()
	for slices.ContainsFunc(writers, func(w writer) bool {
		leader, _, _ := t.PartitionLeader(w.topic, 0)
		return leader == -1
	}) {
		if err := pause.For(ctx, time.Millisecond); err != nil {
			return fmt.Errorf("the client does not know the partitions of all written topics yet: %w", err)
		}
	}
	if outcome == kgo.TryCommit {
		id, epoch, err := t.ProducerID(ctx) // for a failed producer kgo.EndTransaction returns the reason
		if err == nil && slices.ContainsFunc(writers, func(w writer) bool { return w.id != id || w.epoch != epoch }) {
			return fmt.Errorf("expected all records of the transaction by producer %d with epoch %d, found others: "+
				"brokers have aborted those", id, epoch)
		}
	}
	return t.Client.EndTransaction(ctx, outcome)
}

// OpenTransactions opens a producer for each ID, which fences earlier ones. Read what those have committed afterwards.
func OpenTransactions(ctx context.Context, c Config, clientID string, ids []string,
	offsets OffsetRecords) (*Transactions, error) {
	if c.Producer.ClientID == "" {
		c.Producer.ClientID = clientID
	}
	c.Producer.Acks = -1
	c.Producer.Idempotent = true
	t := &Transactions{
		OnCommit: func(time.Time, int, error) {},
		config:   c,
		offsets:  offsets,
		free:     make(chan *transactionalProducer, len(ids)),
		outputs:  map[*TransactionalOutput]struct{}{},
	}
	for _, id := range ids {
		producer, err := t.open(ctx, id)
		if err != nil {
			t.Close()
			return nil, transactionError(t.config, id, err)
		}
		t.producers = append(t.producers, producer)
		t.free <- producer
	}
	return t, nil
}

// open opens the producer of one ID, which fences earlier ones.
func (t *Transactions) open(ctx context.Context, id string) (*transactionalProducer, error) {
	acks := &ackRecorder{writers: map[writer]struct{}{}}
	client, dialer, err := newClient(t.config.ProducerOpts(kgo.TransactionalID(id), kgo.WithHooks(acks),
		kgo.MaxBufferedRecords(math.MaxInt), kgo.MaxBufferedBytes(math.MaxInt)))
	if err != nil {
		return nil, err
	}
	producer := &transactionalProducer{Client: client, id: id, outageSince: dialer.Outages().Since, acks: acks}
	openCtx, cancel := context.WithTimeout(ctx, coordinatorTimeout)
	defer cancel()
	if err := producer.open(openCtx); err != nil {
		client.Close()
		return nil, dialer.Explain(err)
	}
	dialer.OnDenied(t.deny)
	return producer, nil
}

var errFenced = errors.New("another producer has fenced this one")

// expiredEpochs is by how much aborting a timed out transaction raises the epoch (measured with Apache Kafka 4.3.1).
const expiredEpochs = 1

// reopen opens a producer again after the brokers aborted its timed out transaction, and replaces *expired, whose
// client it closes. Only the producer's output may call it. errFenced means that another producer or a higher epoch
// exists, errAborting that reopen may be retried.
func (t *Transactions) reopen(ctx context.Context, expired *transactionalProducer) error {
	producer, epoch, _ := expired.ProducerID(ctx) // known although it has failed
	transactions, err := kadm.NewClient(expired.Client).DescribeTransactions(ctx, expired.id)
	if err != nil {
		if isUnknownRequest(err) {
			err = fmt.Errorf("the brokers cannot report whether another producer has fenced this one (expected Apache "+
				"Kafka 3.0 or newer): %w", err)
		}
		return err
	}
	transaction, ok := transactions[expired.id]
	isExpired := transaction.ProducerID == producer && transaction.ProducerEpoch <= epoch+expiredEpochs
	willAbort := slices.Contains([]string{"Ongoing", "PrepareAbort", "PrepareEpochFence"}, transaction.State)
	switch {
	case !ok:
		return fmt.Errorf("the coordinator does not describe the transactional id: %w", errFenced)
	case transaction.Err != nil:
		return transaction.Err
	case isExpired && willAbort:
		return errAborting
	case !isExpired || transaction.State != "CompleteAbort":
		return fmt.Errorf("producer %d of epoch %d is now %d of epoch %d, %s: %w", producer, epoch,
			transaction.ProducerID, transaction.ProducerEpoch, transaction.State, errFenced)
	}
	reopened, err := t.open(ctx, expired.id)
	if err != nil {
		return err
	}
	expired.Close()
	*expired = *reopened
	return nil
}

var errAborting = errors.New("the brokers are about to abort the transaction")

// open waits until the coordinator has assigned a producer ID, which fences earlier producers of the transactional ID.
func (t *transactionalProducer) open(ctx context.Context) error {
	for {
		id, _, err := t.ProducerID(ctx)
		switch {
		case err == nil && id < 0:
			return errNoTransactions
		case err == nil:
			return nil
		case isFatal(err):
			return err
		}
		if pause.For(ctx, 100*time.Millisecond) != nil {
			return err
		}
	}
}

// isFatal reports whether a broker has rejected a producer for good.
func isFatal(err error) bool {
	var brokerErr *kerr.Error
	return errors.As(err, &brokerErr) && !brokerErr.Retriable && !errors.Is(err, kerr.ConcurrentTransactions) &&
		!errors.Is(err, kerr.UnknownServerError)
}

// Close closes the producers; open transactions are aborted by the next producer or by timeout.
func (t *Transactions) Close() {
	for _, producer := range t.producers {
		producer.Client.Close()
	}
}

// deny makes the producers of all outputs fail, also of later outputs.
func (t *Transactions) deny(err error) {
	t.mu.Lock()
	t.denial = err
	outputs := slices.Collect(maps.Keys(t.outputs))
	t.mu.Unlock()
	for _, o := range outputs {
		o.producer.deny(err)
	}
}

// acquire takes a free producer, or waits for one. The caller returns it to t.free.
func (t *Transactions) acquire(ctx context.Context) (*transactionalProducer, error) {
	select {
	case producer := <-t.free:
		return producer, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
