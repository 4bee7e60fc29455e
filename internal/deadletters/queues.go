package deadletters

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/run/offset"
	"github.com/culvert-project/culvert/internal/run/sink"
	"github.com/culvert-project/culvert/internal/run/source"
)

// Queues are the dead letter queues of the connectors of a worker. They are safe for concurrent use.
type Queues struct {
	o          Options
	connectors Connectors
	replays    replayRegistry
	wake       guard.Bell
	limit      int64 // of letters of all connectors

	// letters is the number of letters of all connectors, also of those that were removed since the last refresh.
	letters  atomic.Int64
	counted  atomic.Int64   // number of connectors whose letters are counted
	reads    sync.WaitGroup // of topics in the background
	slots    chan struct{}  // has an element for each read that runs
	mu       sync.Mutex
	clients  *kafka.Clients // nil until a topic is read
	isClosed bool
	topics   map[string]*trackedTopic
}

// Options are what the queues use of their worker.
type Options struct {
	Worker  *config.Worker
	Kafka   kafka.Config
	Offsets *offset.Store // has the replay states. Nil means none: letters can only be replayed.
	Logger  *slog.Logger
}

// Connectors are the connectors of a worker.
type Connectors interface {
	// Topics returns the dead letter topics of the connectors whose letters this worker counts, by connector.
	Topics() map[string]string
	// Topic returns the dead letter topic of a connector, "" for none, and whether this worker counts its letters.
	Topic(connector string) (topic string, isCounted bool, err error)
	// OpenTask opens the stored state of a connector, which need not run. The caller closes it.
	OpenTask(ctx context.Context, connector string) (*Task, error)
}

// Task is a task of a connector that handles dead letters only.
type Task struct {
	Kafka   kafka.Config // of the connector's clients
	Offsets *offset.Store
	// OpenSender opens the service and the plugin. In a trial nothing is sent and no schema is registered. The caller
	// closes the sender before the task.
	OpenSender func(ctx context.Context, isTrial bool) (*Sender, error)
	Close      func()
}

// Sender sends the records and rows of dead letters, to the service of a sink or the topics of a source.
type Sender struct {
	Config   *resolved.Connector // with the secrets of now
	Writer   *Writer             // of letters that are rejected again
	Sink     *sink.Options       // nil for a source
	KeyLocks *KeyLocks           // of a sink: keys that its tasks must not write meanwhile
	// Source opens a delivery of a source. owner owns the offsets that it stores. In a trial it stores none.
	Source func(owner string, isTrial bool) (source.Options, func(context.Context))
	Close  func()
}

// NewQueues returns the queues of connectors. Summaries are known while Run runs.
func NewQueues(o Options, connectors Connectors) *Queues {
	return &Queues{o: o, connectors: connectors, wake: guard.NewBell(), limit: maxTrackedOfWorker,
		slots: make(chan struct{}, concurrentReads), topics: map[string]*trackedTopic{}}
}

// Errors of requests.
var (
	ErrNoTopic = errors.New("the connector has no " + TopicSetting)
	// ErrMixedCauses means that a filter selects [UnknownCause].
	ErrMixedCauses = errors.New("cause " + UnknownCause + " has letters of several faults: expected letters, or " +
		"another filter")
)

func (q *Queues) topic(connector string) (string, error) {
	topic, _, err := q.connectors.Topic(connector)
	if err == nil && topic == "" {
		err = ErrNoTopic
	}
	return topic, err
}

// List calls handle with each dead letter of a page of a connector, in any order. Letters that are deleted in the
// meantime are missing.
func (q *Queues) List(ctx context.Context, connector string, query Query,
	handle func(ListedLetter) error) (page Page, err error) {
	topic, err := q.topic(connector)
	if err != nil {
		return page, err
	}
	var reader *kafka.Reader
	err = q.withIndex(ctx, connector, topic, func(c *trackedConnector, r *kafka.Reader) (err error) {
		reader = r
		page, err = c.index.page(topic, query)
		if dated := c.summary.Load(); dated != nil {
			page.Summary = dated.Summary
		}
		return err
	})
	page.Replay = q.replays.progress(connector)
	if err != nil {
		return page, err
	}
	// This read does not hold the lock of the topic, so that other lists do not wait for it.
	return page, page.read(ctx, reader, q.o.Worker.Redact, &query.Filter, handle)
}

// ReplayConnector is [Queues.Replay] for one connector, of which no other replay may run, and its topic. It returns
// [ErrMixedCauses].
func (q *Queues) ReplayConnector(ctx context.Context, connector string, r Request) (result Result, err error) {
	if r.Topic, err = q.topic(connector); err != nil {
		return result, err
	}
	if r.Filter.Cause == UnknownCause {
		return result, ErrMixedCauses
	}
	bytes := int64(replayBytes)
	if r.isDiscard {
		bytes = 0 // it sends no batch
	}
	if r.running, err = q.replays.begin(connector, bytes); err != nil {
		return result, err
	}
	defer r.running.end()
	defer q.wake.Ring()
	r.Filter.Connector = connector
	named := r.Filter.Positions
	r.notFound = maps.Clone(named)
	q.locate(ctx, &r)
	result, err = q.Replay(ctx, r)
	if err != nil || result.Rejected == 0 || r.DryRun || len(named) != 1 {
		return result, err
	}
	// The only selected letter was rejected: find the letter that it became. Without the timeout, the first read of a
	// large topic would take minutes.
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for selected := range named {
		newest := func(l ListedLetter) error {
			if position := l.position(); position != selected {
				result.Letter = position.String()
			}
			return nil
		}
		_, _ = q.List(ctx, connector, Query{Show: ShowAll, Only: &selected}, newest) // after an error it is unknown
	}
	return result, nil
}

// Discard marks the original records or rows of the open dead letters that a filter selects as settled: they are not
// replayed. An error wraps [ErrTooManyRanges] if their state would exceed its bound; nothing is stored then. It returns
// [ErrMixedCauses].
func (q *Queues) Discard(ctx context.Context, connector string, filter Filter) (Result, error) {
	return q.ReplayConnector(ctx, connector, Request{Filter: filter, isDiscard: true})
}
