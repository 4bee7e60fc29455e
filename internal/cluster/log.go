package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/configtopic"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/kafka/security"
)

// writeTimeout includes reading back, as in Kafka Connect (KafkaConfigBackingStore.READ_WRITE_TOTAL_TIMEOUT_MS).
const (
	writeTimeout      = 30 * time.Second
	readRetryInterval = time.Second
)

// LogOptions configure a [Log].
type LogOptions struct {
	Kafka  kafka.Config        // the configuration of the worker's clients
	Topic  kafka.InternalTopic // the config topic, with one partition: Partitions is ignored
	Group  string              // group.id
	Logger *slog.Logger
}

// Log reads the config topic of a Connect cluster, and writes to it for this worker. It sees committed records only.
// Any worker may write some records; all others are the leader's, see leaderwrites.go. A Log owns the goroutines of its
// clients until Close; until then all methods may be called at any time.
type Log struct {
	options   LogOptions
	admin     *kafka.Admin
	reader    *kafka.Reader
	anyWriter *kgo.Client // writes the records that any worker may write
	dialer    *security.Dialer

	// writeLock is held for a leader's write. It guards output and transactions, nil while no producer is open.
	writeLock    guard.CtxMutex
	transactions *kafka.Transactions
	output       *kafka.TransactionalOutput

	mu       guard.Mutex     // guards the fields below
	term     context.Context // lasts while this worker leads its group; endTerm ends it
	endTerm  context.CancelFunc
	offset   int64          // the offset after the last record that was read
	advanced chan struct{}  // closed when offset has grown
	queue    []*leaderWrite // leader's writes that no transaction has taken yet
}

// OpenLog creates the topic if it is missing, and checks the topic and the worker's rights. It reads nothing yet.
func OpenLog(ctx context.Context, options LogOptions) (log *Log, err error) {
	options.Topic.Partitions = 1
	config := options.Kafka
	config.Consumer.ReadUncommitted = false
	config.Producer.Acks = -1 // all replicas
	config.Producer.Idempotent = true
	config.Producer.Linger = 0
	options.Kafka = config
	l := &Log{options: options, writeLock: guard.NewCtxMutex(), advanced: make(chan struct{})}
	l.term, l.endTerm = context.WithCancel(context.Background())
	l.endTerm() // an ended term: this worker does not lead yet
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
	// A write ends with its context, although it may still arrive: repeating it writes the same.
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

// Close closes the clients. It keeps the write lock; call it once, after Read has returned.
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

func (l *Log) checkAccess(ctx context.Context) error {
	err := kafka.CheckInternalTopic(ctx, l.anyWriter, l.options.Topic)
	if err == nil {
		err = CheckLeaderAccess(ctx, l.anyWriter, l.options.Group)
	}
	return l.dialer.Explain(err)
}

// Read calls apply for every record of the topic, and caughtUp once after its first content. It continues until ctx
// ends, which is no error. Later failed reads are repeated, unless the topic has lost records. Read is called once.
func (l *Log) Read(ctx context.Context, apply func(configtopic.Record), caughtUp func()) error {
	lastLogged := "" // an equal error is logged again after a record
	applyRecord := func(r *kgo.Record) error {
		lastLogged = ""
		apply(configtopic.Record{Key: string(r.Key), Value: r.Value, Offset: r.Offset})
		l.advance(r.Offset + 1)
		return nil
	}
	positions := kafka.Positions(nil)
	for isCaughtUp := false; ; {
		next, err := l.reader.Read(ctx, l.options.Topic.Name,
			kafka.ReadOptions{From: positions, Resumed: true, Follow: isCaughtUp, Expected: true}, applyRecord)
		if next != nil {
			positions = next
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil && !isCaughtUp:
			isCaughtUp = true
			caughtUp()
			continue
		case !isCaughtUp, errors.Is(err, kafka.ErrTruncated):
			return fmt.Errorf("%s: %w", l.options.Topic.Setting, err)
		case err != nil && err.Error() != lastLogged:
			lastLogged = err.Error()
			l.options.Logger.Warn("the config topic cannot be read; retrying", "error", err)
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

// Offset returns the offset after the last record that was applied. Members of the group compare it.
func (l *Log) Offset() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.offset
}

// Await waits until Offset has reached an offset, or ctx ends.
func (l *Log) Await(ctx context.Context, offset int64) error {
	for {
		l.mu.Lock()
		next := l.offset
		advanced := l.advanced
		l.mu.Unlock()
		if next >= offset {
			return nil
		}
		select {
		case <-advanced:
		case <-ctx.Done():
			return fmt.Errorf("topic %s: expected to have read up to offset %d, found %d: %w", l.options.Topic.Name,
				offset, next, context.Cause(ctx))
		}
	}
}

// Refresh waits until all records are applied that were committed before the call.
func (l *Log) Refresh(ctx context.Context) error {
	name := l.options.Topic.Name
	ends, err := l.admin.EndOffsets(ctx, false, name)
	if err != nil {
		return err
	}
	for {
		// What remains before the end may be only markers of transactions, which Read does not pass on.
		next := l.Offset()
		isEmpty, err := l.reader.IsEmpty(ctx, name, kafka.Positions{0: next}, ends[name])
		if err != nil || isEmpty {
			return err
		}
		if err := l.Await(ctx, next+1); err != nil {
			return err
		}
	}
}
