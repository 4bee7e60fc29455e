package connect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/internal/base/away"
	"github.com/culvert-project/culvert/host/internal/base/pause"
	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/wit/java/pattern"
)

// ends tells how far a sink is: when it has committed everything up to the ends that its topics had when it began, and
// how many records lie before it. It asks the cluster that the connector's consumers read, as they log on.
type ends struct {
	connector *connector
	task      int
	log       *slog.Logger
	admin     *kafka.Admin
	reader    *kafka.Reader
	group     string
	reset     string // auto.offset.reset
	at        map[string]kafka.Positions

	mu     sync.Mutex
	topics []string
	regex  string
}

func newEnds(c *connector, task int) (*ends, error) {
	admin, err := kafka.NewConsumerAdmin(c.run.kafka)
	if err != nil {
		return nil, err
	}
	reader, err := kafka.NewReader(c.run.kafka)
	if err != nil {
		admin.Close()
		return nil, err
	}
	return &ends{connector: c, task: task, log: c.log, admin: admin, reader: reader, group: c.group(),
		reset: c.run.kafka.Consumer.Reset}, nil
}

// group is the consumer group of a sink.
func (c *connector) group() string {
	if g := c.run.kafka.Consumer.Group; g != "" {
		return g
	}
	return config.ConsumerGroup(c.config.Name)
}

func (e *ends) close() {
	e.reader.Close()
	e.admin.Close()
}

// read says which topics it is about.
func (e *ends) read(topics []string, regex string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.topics, e.regex = topics, regex
}

// mark notes where the topics end now. Where the group has no place yet and reads from the end, these ends become its
// place: what comes after them is read by this run or by the next, and by none is it passed over.
func (e *ends) mark(ctx context.Context) error {
	e.connector.set.marking.Lock() // the first of the tasks commits for all of them, before any has joined
	defer e.connector.set.marking.Unlock()
	at, missing, err := e.find(ctx)
	if err != nil {
		return err
	}
	for _, topic := range missing {
		if e.task > 0 {
			break // the first one has said so
		}
		e.log.Warn("there is no such topic: nothing is read of it", "topic", topic, "group", e.group)
	}
	e.at = at
	if err := e.nothing(ctx, at); err != nil || e.reset != "latest" {
		return err
	}
	_, open, err := e.standing(ctx, at)
	if err != nil || len(open) == 0 {
		return err
	}
	if err := e.admin.CommitOffsets(ctx, e.group, open); err != nil {
		if members, asked := e.admin.Members(ctx, e.group); asked != nil || len(members) == 0 {
			return err
		}
		e.log.Info("the group has other members, which go on from the end", "group", e.group)
	}
	return nil
}

// nothing says that a start finds nothing to write, as where all records of a topic were written before: of the tasks
// the first one says so.
func (e *ends) nothing(ctx context.Context, at map[string]kafka.Positions) error {
	if e.task > 0 || len(at) == 0 {
		return nil
	}
	all, err := e.upTo(ctx, at)
	if c := e.connector.config; all && err == nil {
		e.log.Info("this start has nothing to write: its topics hold nothing that its group has not read; to write "+
			"their records again reset the connector's offsets", "topics",
			cmp.Or(c.Text("topics"), c.Text("topics.regex")), "group", e.group)
	}
	return err
}

// nowhere is the fault of topics that are named and do not exist: a misspelt one would be read of every night, with
// nothing to show for it. It is asked for after the others, which are read all the same.
func (e *ends) nowhere(ctx context.Context) error {
	_, missing, err := e.find(ctx)
	if err != nil || len(missing) == 0 {
		return err
	}
	return fmt.Errorf("topics: expected topics that exist, found none with the name %s: what the others hold is "+
		"written; correct the name or bootstrap.servers (of the worker, or consumer.override.bootstrap.servers), or "+
		"make the topic",
		strings.Join(missing, ", "))
}

// reached asks the broker whether the group has committed what the topics held when the run began.
func (e *ends) reached(ctx context.Context) (bool, error) { return e.upTo(ctx, e.at) }

// upTo asks the broker whether the group has committed all up to these ends. What lies between the committed offset and
// the end may be no records at all: marks of transactions.
func (e *ends) upTo(ctx context.Context, at map[string]kafka.Positions) (bool, error) {
	from, _, err := e.standing(ctx, at)
	if err != nil {
		return false, err
	}
	for topic, to := range at {
		empty, err := e.reader.Empty(ctx, topic, from[topic], to)
		if err != nil || !empty {
			return false, err
		}
	}
	return true, nil
}

// standing is where the group reads on, at most at the ends; open are those partitions of it where nothing is
// committed, so that auto.offset.reset decides. One whose offset is not in the log (its records have expired, or the
// topic was deleted and made again) is not open: its consumer says so, see kafka.Consumer.
func (e *ends) standing(ctx context.Context, ends map[string]kafka.Positions) (from, open map[string]kafka.Positions,
	err error) {
	committed, err := e.committed(ctx)
	if err != nil {
		return nil, nil, err
	}
	from, open = map[string]kafka.Positions{}, map[string]kafka.Positions{}
	for topic, to := range ends {
		starts, err := e.admin.StartOffsets(ctx, topic)
		if err != nil {
			return nil, nil, err
		}
		logs, err := e.admin.EndOffsets(ctx, true, topic)
		if err != nil {
			return nil, nil, err
		}
		from[topic], open[topic] = kafka.Positions{}, kafka.Positions{}
		for partition, end := range to {
			next, known := committed[topic][partition]
			switch {
			case known && next <= logs[topic][partition]:
				next = max(next, starts[partition])
			case e.reset == "latest": // also of a partition that may have been added: nothing tells it from a quiet one
				next = end
			default:
				next = starts[partition]
			}
			if from[topic][partition] = next; !known {
				open[topic][partition] = next
			}
		}
		if len(open[topic]) == 0 {
			delete(open, topic)
		}
	}
	return from, open, nil
}

// committed is where the group stands; a group that nobody has joined yet stands nowhere.
func (e *ends) committed(ctx context.Context) (map[string]kafka.Positions, error) {
	committed, err := e.admin.Committed(ctx, e.group)
	if errors.Is(err, kerr.GroupIDNotFound) {
		return nil, nil
	}
	return committed, err
}

// find is where the topics end now. A topic that does not exist has nothing, and is missing where it was asked for by
// its name.
func (e *ends) find(ctx context.Context) (at map[string]kafka.Positions, missing []string, err error) {
	e.mu.Lock()
	topics, regex := slices.Clone(e.topics), e.regex
	e.mu.Unlock()
	if regex != "" {
		matching, err := pattern.Compile(regex)
		if err != nil {
			return nil, nil, fmt.Errorf("topics.regex: %w", err)
		}
		all, err := e.admin.Topics(ctx)
		if err != nil {
			return nil, nil, err
		}
		for _, topic := range all {
			takes, err := config.MatchesTopic(matching, topic)
			if err != nil {
				return nil, nil, fmt.Errorf("topics.regex: %w", err)
			}
			if takes {
				topics = append(topics, topic)
			}
		}
	}
	at = map[string]kafka.Positions{}
	for _, topic := range topics {
		one, err := e.admin.EndOffsets(ctx, false, topic)
		switch {
		case errors.Is(err, kafka.ErrUnknownTopic) && regex == "":
			missing = append(missing, topic)
		case errors.Is(err, kafka.ErrUnknownTopic):
		case err != nil:
			return nil, nil, fmt.Errorf("where the topics of group %s end: %w", e.group, err)
		default:
			at[topic] = one[topic]
		}
	}
	return at, missing, nil
}

// lagEvery is how often the lag is looked at.
const lagEvery = time.Second

// backlog is how many records lie between what is committed and the ends of the topics: for the whole group, and in the
// task's own partitions, -1 before that is known.
type backlog struct{ group, own atomic.Int64 }

// measure keeps the backlog of a task, which has some partitions, until ctx ends. Where it is known first and the task
// is idle, it says that there is nothing to write, if that is so.
func (e *ends) measure(ctx context.Context, b *backlog, has func(topic string, partition int32) bool,
	idle func() bool) {
	var brokers away.Partner
	known := false // the lag was measured once
	for pause.For(ctx, lagEvery) == nil {
		began := time.Now()
		group, own, err := e.lag(ctx, has)
		switch {
		case err == nil:
			b.group.Store(group)
			b.own.Store(own)
			if !known && idle() {
				if at, _, err := e.find(ctx); err == nil {
					_ = e.nothing(ctx, at) // it is only said
				}
			}
			known = true
			brokers.Back(e.log, began, "the lag is known again")
		case ctx.Err() == nil:
			brokers.Lost(e.log, began, err.Error(), "the lag is not known and stays as it was", "error", err)
		}
	}
}

func (e *ends) lag(ctx context.Context, has func(topic string, partition int32) bool) (group, own int64, err error) {
	at, _, err := e.find(ctx)
	if err != nil {
		return 0, 0, err
	}
	from, _, err := e.standing(ctx, at)
	if err != nil {
		return 0, 0, err
	}
	for topic, partitions := range at {
		for partition, end := range partitions {
			n := max(0, end-from[topic][partition])
			if group += n; has(topic, partition) {
				own += n
			}
		}
	}
	return group, own, nil
}
