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

	"github.com/culvert-project/culvert/host/internal/base/pause"
	"github.com/culvert-project/culvert/host/kafka/security"
	"github.com/culvert-project/culvert/wit"
)

// TransactionalID names a transactional producer as Kafka Connect does, `<group.id>-<connector>-<task>`; further ones
// of the same task have a number from 1 on after that.
func TransactionalID(group, connector string, task, producer int) string {
	id := fmt.Sprintf("%s-%s-%d", group, connector, task)
	if producer > 0 {
		id = fmt.Sprintf("%s-%d", id, producer)
	}
	return id
}

// TransactionalIDs are those of a connector whose tasks have so many producers each; 0 is one, as Kafka Connect has it.
func TransactionalIDs(group, connector string, tasks, producers int) []string {
	var ids []string
	for task := range tasks {
		for producer := range max(1, producers) {
			ids = append(ids, TransactionalID(group, connector, task, producer))
		}
	}
	return ids
}

// Fence ends what other producers with these transactional ids have open, and keeps them from committing anything from
// now on. It logs on as the producers of c do, with the rights that they need.
func Fence(ctx context.Context, c Config, ids []string) error {
	client, dialer, err := newClient(c.ProducerOpts())
	if err != nil {
		return err
	}
	defer client.Close()
	for _, id := range ids {
		if err := fence(ctx, client, c, id); err != nil {
			return fmt.Errorf("fence earlier producers: %w", transactionFault(c, id, dialer.Explain(err)))
		}
	}
	return nil
}

func fence(ctx context.Context, client *kgo.Client, c Config, id string) error {
	ctx, cancel := context.WithTimeout(ctx, coordinatorTimeout) // for each, since there may be tens of thousands
	defer cancel()
	for backoff := (pause.Backoff{First: 5 * time.Millisecond, Longest: 500 * time.Millisecond}); ; {
		request := kmsg.NewPtrInitProducerIDRequest()
		request.TransactionalID = &id
		request.TransactionTimeoutMillis = int32(c.Producer.TransactionTimeout.Milliseconds())
		request.ProducerID, request.ProducerEpoch = -1, -1
		response, err := request.RequestWith(ctx, client)
		if err == nil {
			err = kerr.ErrorForCode(response.ErrorCode)
		}
		// The coordinator first ends what the producer before has open.
		if err == nil || !kerr.IsRetriable(err) && !errors.Is(err, kerr.ConcurrentTransactions) {
			return err
		}
		if backoff.Wait(ctx) != nil {
			return err
		}
	}
}

// Taken is the transactional id of a producer that commits nothing more, since another one has taken it over; "" where
// an error is not of that.
func Taken(err error) (id string) {
	if taken := (*takenOverError)(nil); errors.As(err, &taken) {
		return taken.id
	}
	return ""
}

// takenOverError is the fault of such a producer.
type takenOverError struct {
	fault *wit.Error
	id    string
}

func (t *takenOverError) Error() string { return t.fault.Error() }
func (t *takenOverError) Unwrap() error { return t.fault }

// transactionFault says what is missing where a transactional producer cannot work: the right, or the setting.
func transactionFault(c Config, id string, err error) error {
	denied := (*security.Denied)(nil)
	text, kind := "", wit.ErrorConfig
	switch {
	case err == nil || errors.As(err, &denied):
		return err
	case errors.Is(err, kerr.TransactionalIDAuthorizationFailed):
		text = "the brokers do not let this user work with it: expected the rights DESCRIBE and WRITE on the " +
			"resource TransactionalId (by the prefix of group.id and the connector's name)"
	case errors.Is(err, kerr.ClusterAuthorizationFailed):
		text = "the brokers do not let this user write without repeating: expected the right " +
			"IDEMPOTENT_WRITE on the cluster"
	case errors.Is(err, kerr.InvalidTransactionTimeout):
		text = fmt.Sprintf("transaction.timeout.ms is %d, which is more than the brokers allow: "+
			"expected at most their "+
			"transaction.max.timeout.ms; set producer.override.transaction.timeout.ms",
			c.Producer.TransactionTimeout.Milliseconds())
	case errors.Is(err, errNoTransactions), errors.Is(err, kerr.UnsupportedVersion), isUnknownRequest(err):
		text = "the brokers know no transactions: expected Apache Kafka 2.5 or newer; without them set the worker's " +
			"exactly.once.source.support=disabled"
	case isFenced(err):
		text = "another producer uses it: expected one worker alone to run the connector with this group.id; this " +
			"one has committed nothing since. Stop the other, or give one of both another group.id"
	case errors.Is(err, kerr.CoordinatorNotAvailable), errors.Is(err, context.DeadlineExceeded):
		kind = wit.ErrorTransient
		text = fmt.Sprintf("no coordinator of transactions within %v: is transaction.state.log.replication.factor of "+
			"the brokers (3 by default) more than there are brokers?", coordinatorTimeout)
	case errors.Is(err, kerr.ConcurrentTransactions):
		kind = wit.ErrorTransient
		text = fmt.Sprintf("expected the transaction of the producer before to end within %v", coordinatorTimeout)
	default:
		return fmt.Errorf("transactional id %s: %w", id, err)
	}
	fault := &wit.Error{Kind: kind, Message: fmt.Sprintf("transactional id %s: %s (%v)", id, text, err)}
	if isFenced(err) {
		return &takenOverError{fault, id}
	}
	return fault
}

// isUnknownRequest tells whether the client found brokers that do not take a request; its errors for that have no
// names.
func isUnknownRequest(err error) bool {
	return strings.Contains(err.Error(), "request key is unknown") || strings.Contains(err.Error(), "broker is too old")
}

// isFenced tells whether a newer producer has taken the transactional id over.
func isFenced(err error) bool {
	return errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch) ||
		errors.Is(err, kerr.InvalidProducerIDMapping)
}

var errNoTransactions = errors.New("no producer id was given")

// OffsetRecords turns offsets into records of the topic that keeps them: an offset.Store's, for one connector.
type OffsetRecords interface {
	// Record is the record that stores an offset. The caller produces it.
	Record(o Offset) *kgo.Record
	// Committed says that such a record is in the topic.
	Committed(o Offset, r *kgo.Record)
}

// Transactions are the transactional producers of one source task, which its feeds share: each page of a feed has one
// for itself from its beginning to its end. It owns their clients until Close.
type Transactions struct {
	// Ended is called with each transaction that was to be committed: since when, with how many records, and whether it
	// was. It is set before the first output is.
	Ended func(began time.Time, records int, err error)

	config  Config
	offsets OffsetRecords
	free    chan *transactional
	all     []*transactional

	mu      sync.Mutex
	outputs map[*TransactionalOutput]struct{}
	denied  error
}

// transactional is one of the producers.
type transactional struct {
	*kgo.Client
	id string
	// outageSince is [security.Outages.Since] of the cluster.
	outageSince  func(begin time.Time) (broker string, lasted time.Duration)
	acknowledged *ackRecorder
}

// ackRecorder is a hook of a client that notes, before promises are called, what brokers have acknowledged since the
// transaction began.
type ackRecorder struct {
	mu  sync.Mutex
	all map[writer]struct{}
}

// writer is what records of a transaction have in common: their topic, and the producer as brokers know it. With the
// next epoch they abort what is open by the one before.
type writer struct {
	topic string
	id    int64
	epoch int16
}

// OnProduceRecordUnbuffered implements [kgo.HookProduceRecordUnbuffered].
func (a *ackRecorder) OnProduceRecordUnbuffered(r *kgo.Record, err error) {
	if err != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all[writer{r.Topic, r.ProducerID, r.ProducerEpoch}] = struct{}{}
}

// BeginTransaction is [kgo.Client.BeginTransaction].
func (m *transactional) BeginTransaction() error {
	m.acknowledged.mu.Lock()
	clear(m.acknowledged.all)
	m.acknowledged.mu.Unlock()
	return m.Client.BeginTransaction()
}

// EndTransaction is [kgo.Client.EndTransaction] where that does what it says. All records are to be acknowledged.
//
// Where a topic is new to the client, kgo 1.22.2 sends the records that have waited for its partitions, and only then
// stores these, all at once (storePartitionsUpdate). Where brokers answer in between, its EndTransaction finds no
// partition of the transaction: it aborts one that is to be committed, or leaves it open (Kafka before 4.0), without
// an error. EndTransaction looks where PartitionLeader does, and partitions stay there once they are stored.
//
// Where brokers refuse a batch for a partition whose log begins after all that was acknowledged there before, kgo takes
// the next epoch and sends the batch with that (handleReqRespBatch): what the transaction had before is lost.
func (m *transactional) EndTransaction(ctx context.Context, how kgo.TransactionEndTry) error {
	m.acknowledged.mu.Lock()
	all := slices.Collect(maps.Keys(m.acknowledged.all))
	m.acknowledged.mu.Unlock()
	for slices.ContainsFunc(all, func(w writer) bool {
		leader, _, _ := m.PartitionLeader(w.topic, 0)
		return leader == -1
	}) {
		if err := pause.For(ctx, time.Millisecond); err != nil {
			return fmt.Errorf("expected a client that knows the partitions of all topics written: %w", err)
		}
	}
	if how == kgo.TryCommit {
		id, epoch, err := m.ProducerID(ctx) // kgo says what is wrong with one that has failed
		if err == nil && slices.ContainsFunc(all, func(w writer) bool { return w.id != id || w.epoch != epoch }) {
			return fmt.Errorf("expected all records of the transaction by producer %d with epoch %d, found others: "+
				"brokers have aborted those", id, epoch)
		}
	}
	return m.Client.EndTransaction(ctx, how)
}

// OpenTransactions opens a producer for each id, and fences others with these ids: what those have committed is to be
// read after that. Records go to the cluster of the offsets. A transaction ends with each page.
func OpenTransactions(ctx context.Context, c Config, clientID string, ids []string,
	offsets OffsetRecords) (*Transactions, error) {
	if c.Producer.ClientID == "" {
		c.Producer.ClientID = clientID
	}
	// Whatever the worker's producers do: a transaction needs both.
	c.Producer.Acks, c.Producer.Idempotent = -1, true
	t := &Transactions{Ended: func(time.Time, int, error) {}, config: c, offsets: offsets,
		free: make(chan *transactional, len(ids)), outputs: map[*TransactionalOutput]struct{}{}}
	for _, id := range ids {
		member, err := t.open(ctx, id)
		if err != nil {
			t.Close()
			return nil, transactionFault(t.config, id, err)
		}
		t.all = append(t.all, member)
		t.free <- member
	}
	return t, nil
}

// open opens a producer, and fences others with its id.
func (t *Transactions) open(ctx context.Context, id string) (*transactional, error) {
	acks := &ackRecorder{all: map[writer]struct{}{}}
	client, dialer, err := newClient(t.config.ProducerOpts(kgo.TransactionalID(id), kgo.WithHooks(acks),
		kgo.MaxBufferedRecords(math.MaxInt), kgo.MaxBufferedBytes(math.MaxInt)))
	if err != nil {
		return nil, err
	}
	m := &transactional{client, id, dialer.Outages().Since, acks}
	waiting, cancel := context.WithTimeout(ctx, coordinatorTimeout)
	defer cancel()
	if err := m.open(waiting); err != nil {
		client.Close()
		return nil, dialer.Explain(err)
	}
	dialer.OnDenied(t.deny)
	return m, nil
}

// errTakenOver is the error of a transactional id that another producer has taken over.
var errTakenOver = errors.New("another producer has taken the id over")

// expiredEpochs is by how much the coordinator raises the epoch of a producer whose transaction it aborts since its
// time is over, measured with Apache Kafka 4.3.1. Who takes an id over raises it once more.
const expiredEpochs = 1

// reopen opens a producer again whose transaction the brokers have aborted because its time was over: they take nothing
// more of it. They say the same to a producer whose id another one has taken over; but that one leaves another state:
// it begins in the state Empty, with an epoch above that of the abort.
func (t *Transactions) reopen(ctx context.Context, m *transactional) error {
	producer, epoch, _ := m.ProducerID(ctx) // also of one that has failed
	described, err := kadm.NewClient(m.Client).DescribeTransactions(ctx, m.id)
	if err != nil {
		if isUnknownRequest(err) {
			err = fmt.Errorf("the brokers cannot tell whether another producer has taken the id over (expected Apache "+
				"Kafka 3.0 or newer): %w", err)
		}
		return err
	}
	d, ok := described[m.id]
	switch {
	case !ok:
		return fmt.Errorf("the coordinator does not describe the transactional id: %w", errTakenOver)
	case d.Err != nil:
		return d.Err
	case d.ProducerID == producer && d.ProducerEpoch <= epoch+expiredEpochs &&
		(d.State == "Ongoing" || d.State == "PrepareAbort" || d.State == "PrepareEpochFence"):
		return errAborting
	case d.ProducerID != producer || d.ProducerEpoch > epoch+expiredEpochs || d.State != "CompleteAbort":
		return fmt.Errorf("producer %d of epoch %d is now %d of epoch %d, %s: %w", producer, epoch, d.ProducerID,
			d.ProducerEpoch, d.State, errTakenOver)
	}
	fresh, err := t.open(ctx, m.id)
	if err != nil {
		return err
	}
	m.Close()
	*m = *fresh
	return nil
}

// errAborting is the error of a transaction whose abort by the brokers is not complete.
var errAborting = errors.New("the brokers are about to abort the transaction")

// open gets the producer its id, which fences others.
func (m *transactional) open(ctx context.Context) error {
	for {
		id, _, err := m.ProducerID(ctx)
		switch {
		case err == nil && id < 0:
			return errNoTransactions
		case err == nil:
			return nil
		case isFinal(err):
			return err
		}
		if pause.For(ctx, 100*time.Millisecond) != nil {
			return err
		}
	}
}

// isFinal tells whether an error is the broker's last word.
func isFinal(err error) bool {
	broker := (*kerr.Error)(nil)
	return errors.As(err, &broker) && !broker.Retriable && !errors.Is(err, kerr.ConcurrentTransactions) &&
		!errors.Is(err, kerr.UnknownServerError)
}

// Close ends the producers; what is open is aborted by whoever opens them next, or by the brokers after a time.
func (t *Transactions) Close() {
	for _, m := range t.all {
		m.Client.Close()
	}
}

// deny fails all outputs: brokers do not let the clients in.
func (t *Transactions) deny(err error) {
	t.mu.Lock()
	t.denied = err
	outputs := slices.Collect(maps.Keys(t.outputs))
	t.mu.Unlock()
	for _, o := range outputs {
		o.producer.deny(err)
	}
}

// acquire is a producer for a page.
func (t *Transactions) acquire(ctx context.Context) (*transactional, error) {
	select {
	case m := <-t.free:
		return m, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
