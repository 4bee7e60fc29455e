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

	"github.com/culvert-project/culvert/internal/base/away"
	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/java/pattern"
	"github.com/culvert-project/culvert/internal/kafka"
)

// lagTracker compares the committed offsets of a sink's group with the end offsets of its topics. It uses the cluster
// and credentials of the connector's consumers.
type lagTracker struct {
	run         *connectorRun
	task        int
	log         *slog.Logger
	admin       *kafka.Admin
	reader      *kafka.Reader
	group       string
	offsetReset string // auto.offset.reset
	startEnds   map[string]kafka.Positions

	mu     sync.Mutex
	topics []string
	regex  string
}

func newLagTracker(c *connectorRun, task int) (*lagTracker, error) {
	admin, err := kafka.NewConsumerAdmin(c.clients.kafka)
	if err != nil {
		return nil, err
	}
	reader, err := kafka.NewReader(c.clients.kafka)
	if err != nil {
		admin.Close()
		return nil, err
	}
	return &lagTracker{run: c, task: task, log: c.log, admin: admin, reader: reader, group: c.group(),
		offsetReset: c.clients.kafka.Consumer.Reset}, nil
}

func (c *connectorRun) group() string {
	if g := c.clients.kafka.Consumer.Group; g != "" {
		return g
	}
	return config.ConsumerGroup(c.config.Name)
}

func (e *lagTracker) close() {
	e.reader.Close()
	e.admin.Close()
}

func (e *lagTracker) setTopics(topics []string, regex string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.topics, e.regex = topics, regex
}

// snapshotEnds stores the current end offsets. If the group has no offsets and reads from the end, it commits them, so
// that no record between two --once runs is skipped.
func (e *lagTracker) snapshotEnds(ctx context.Context) error {
	e.run.set.endsLock.Lock() // the first task commits for all before any has joined
	defer e.run.set.endsLock.Unlock()
	ends, missing, err := e.currentEnds(ctx)
	if err != nil {
		return err
	}
	for _, topic := range missing {
		if e.task > 0 {
			break // the first task has logged it
		}
		e.log.Warn("the topic does not exist and is not read", "topic", topic, "group", e.group)
	}
	e.startEnds = ends
	if err := e.logNothingToRead(ctx, ends); err != nil || e.offsetReset != "latest" {
		return err
	}
	_, open, err := e.positions(ctx, ends)
	if err != nil || len(open) == 0 {
		return err
	}
	if err := e.admin.CommitOffsets(ctx, e.group, open); err != nil {
		if members, membersErr := e.admin.Members(ctx, e.group); membersErr != nil || len(members) == 0 {
			return err
		}
		e.log.Info("offsets were not committed, because the group has other members", "group", e.group)
	}
	return nil
}

func (e *lagTracker) logNothingToRead(ctx context.Context, at map[string]kafka.Positions) error {
	if e.task > 0 || len(at) == 0 {
		return nil
	}
	all, err := e.committedUpTo(ctx, at)
	if c := e.run.config; all && err == nil {
		e.log.Info("nothing to write: the group has read all records of the topics; to write "+
			"their records again reset the connector's offsets", "topics",
			cmp.Or(c.Text("topics"), c.Text("topics.regex")), "group", e.group)
	}
	return err
}

// checkTopicsExist returns an error for missing topics: a misspelt name would go unnoticed in every run. It is called
// after the existing topics were read.
func (e *lagTracker) checkTopicsExist(ctx context.Context) error {
	_, missing, err := e.currentEnds(ctx)
	if err != nil || len(missing) == 0 {
		return err
	}
	return fmt.Errorf("topics: expected topics that exist, found none with the name %s: the records of the others "+
		"were written; correct the name or bootstrap.servers (of the worker, or consumer.override.bootstrap.servers), "+
		"or create the topic",
		strings.Join(missing, ", "))
}

func (e *lagTracker) caughtUp(ctx context.Context) (bool, error) {
	return e.committedUpTo(ctx, e.startEnds)
}

// committedUpTo reports whether no record remains between the committed offsets and ends. Transaction markers are not
// records.
func (e *lagTracker) committedUpTo(ctx context.Context, at map[string]kafka.Positions) (bool, error) {
	from, _, err := e.positions(ctx, at)
	if err != nil {
		return false, err
	}
	for topic, to := range at {
		empty, err := e.reader.IsEmpty(ctx, topic, from[topic], to)
		if err != nil || !empty {
			return false, err
		}
	}
	return true, nil
}

// positions returns where the group continues, at most at ends. open are partitions without a committed offset, for
// which auto.offset.reset decides. A committed offset outside the log is not open: its consumer reports it
// (kafka.Consumer).
func (e *lagTracker) positions(ctx context.Context, ends map[string]kafka.Positions) (from,
	open map[string]kafka.Positions, err error) {
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
			case e.offsetReset == "latest": // also for a partition that may be new
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

func (e *lagTracker) committed(ctx context.Context) (map[string]kafka.Positions, error) {
	committed, err := e.admin.Committed(ctx, e.group)
	if errors.Is(err, kerr.GroupIDNotFound) {
		return nil, nil
	}
	return committed, err
}

func (e *lagTracker) currentEnds(ctx context.Context) (ends map[string]kafka.Positions, missing []string, err error) {
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
			matches, err := config.MatchesTopic(matching, topic)
			if err != nil {
				return nil, nil, fmt.Errorf("topics.regex: %w", err)
			}
			if matches {
				topics = append(topics, topic)
			}
		}
	}
	ends = map[string]kafka.Positions{}
	for _, topic := range topics {
		found, err := e.admin.EndOffsets(ctx, false, topic)
		switch {
		case errors.Is(err, kafka.ErrUnknownTopic) && regex == "":
			missing = append(missing, topic)
		case errors.Is(err, kafka.ErrUnknownTopic):
		case err != nil:
			return nil, nil, fmt.Errorf("end offsets of the topics of group %s: %w", e.group, err)
		default:
			ends[topic] = found[topic]
		}
	}
	return ends, missing, nil
}

const lagInterval = time.Second

// lag counts records after the committed offsets: of the group, and of the task's own partitions (-1 before it is
// known).
type lag struct{ group, own atomic.Int64 }

// track updates the lag until ctx ends. If the task is idle when the lag is first known, it logs that there is nothing
// to read.
func (e *lagTracker) track(ctx context.Context, b *lag, has func(topic string, partition int32) bool,
	idle func() bool) {
	var brokers away.Partner
	known := false
	for pause.For(ctx, lagInterval) == nil {
		began := time.Now()
		group, own, err := e.measure(ctx, has)
		switch {
		case err == nil:
			b.group.Store(group)
			b.own.Store(own)
			if !known && idle() {
				if at, _, err := e.currentEnds(ctx); err == nil {
					_ = e.logNothingToRead(ctx, at) // it only logs
				}
			}
			known = true
			brokers.Back(e.log, began, "the lag is updated again")
		case ctx.Err() == nil:
			brokers.Lost(e.log, began, err.Error(), "the lag cannot be updated", "error", err)
		}
	}
}

func (e *lagTracker) measure(ctx context.Context, has func(topic string, partition int32) bool) (group, own int64,
	err error) {
	ends, _, err := e.currentEnds(ctx)
	if err != nil {
		return 0, 0, err
	}
	from, _, err := e.positions(ctx, ends)
	if err != nil {
		return 0, 0, err
	}
	for topic, partitions := range ends {
		for partition, end := range partitions {
			n := max(0, end-from[topic][partition])
			if group += n; has(topic, partition) {
				own += n
			}
		}
	}
	return group, own, nil
}
