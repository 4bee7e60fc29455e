package connect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/internal/base/away"
	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/java/pattern"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/resolved"
)

// lagTracker measures how far a sink is behind: it compares the committed offsets of its consumer group with the end
// offsets of its topics. It uses the cluster and credentials of the connector's consumers.
type lagTracker struct {
	clients     *kafka.Clients
	run         *connectorRun
	task        int
	log         *slog.Logger
	group       string
	offsetReset string                     // auto.offset.reset
	startEnds   map[string]kafka.Positions // end offsets at the start of the task; set by snapshotEnds

	mu     sync.Mutex
	topics []string // topics of the sink
	regex  string   // topics.regex; "" if topics selects them
}

func (run *connectorRun) group() string {
	if g := run.clients.kafka.Consumer.Group; g != "" {
		return g
	}
	return config.ConsumerGroup(run.config.Name)
}

func (l *lagTracker) setTopics(topics []string, regex string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.topics = topics
	l.regex = regex
}

// snapshotEnds stores the current end offsets. If the group has no offsets and reads from the end, it commits them, so
// that no record between two --once runs is skipped.
func (l *lagTracker) snapshotEnds(ctx context.Context) error {
	l.run.taskSet.endsLock.Lock() // so that one task commits for all of them before any has joined the group
	defer l.run.taskSet.endsLock.Unlock()
	ends, missing, err := l.currentEnds(ctx)
	if err != nil {
		return err
	}
	for _, topic := range missing {
		if l.task > 0 {
			break // the first task has logged it
		}
		l.log.Warn("the topic does not exist and is not read", "topic", topic, "group", l.group)
	}
	l.startEnds = ends
	if err := l.logNothingToRead(ctx, ends); err != nil || l.offsetReset != "latest" {
		return err
	}
	_, uncommitted, err := l.positions(ctx, ends)
	if err != nil || len(uncommitted) == 0 {
		return err
	}
	if err := l.clients.Admin.CommitOffsets(ctx, l.group, uncommitted); err != nil {
		if members, membersErr := l.clients.Admin.Members(ctx, l.group); membersErr != nil || len(members) == 0 {
			return err
		}
		l.log.Info("offsets were not committed, because the group has other members", "group", l.group)
	}
	return nil
}

// logNothingToRead logs, for the first task, if the group has read everything before ends.
func (l *lagTracker) logNothingToRead(ctx context.Context, ends map[string]kafka.Positions) error {
	if l.task > 0 || len(ends) == 0 {
		return nil
	}
	hasReadAll, err := l.hasCommittedUpTo(ctx, ends)
	connector := l.run.config
	if hasReadAll && err == nil {
		l.log.Info("nothing to write: the group has read all records of the topics; "+
			"to write their records again reset the connector's offsets",
			"topics", cmp.Or(connector.Text("topics"), connector.Text("topics.regex")), "group", l.group)
	}
	return err
}

func (l *lagTracker) isCaughtUp(ctx context.Context) (bool, error) {
	return l.hasCommittedUpTo(ctx, l.startEnds)
}

func (l *lagTracker) hasCommittedUpTo(ctx context.Context, ends map[string]kafka.Positions) (bool, error) {
	from, _, err := l.positions(ctx, ends)
	if err != nil {
		return false, err
	}
	for topic, to := range ends {
		isEmpty, err := l.clients.Reader.IsEmpty(ctx, topic, from[topic], to)
		if err != nil || !isEmpty {
			return false, err
		}
	}
	return true, nil
}

// positions returns where the group continues, at most at ends. uncommitted are the positions of partitions without a
// committed offset, for which auto.offset.reset decides. A committed offset outside the log is not among them: its
// consumer reports it (kafka.Consumer).
func (l *lagTracker) positions(ctx context.Context,
	ends map[string]kafka.Positions) (from, uncommitted map[string]kafka.Positions, err error) {
	committed, err := l.clients.Admin.Committed(ctx, l.group)
	if err != nil {
		return nil, nil, err
	}
	from = map[string]kafka.Positions{}
	uncommitted = map[string]kafka.Positions{}
	for topic, to := range ends {
		starts, err := l.clients.Admin.StartOffsets(ctx, topic)
		if err != nil {
			return nil, nil, err
		}
		logEnds, err := l.clients.Admin.EndOffsets(ctx, true, topic) // high watermarks: a commit may be up to there
		if err != nil {
			return nil, nil, err
		}
		from[topic] = kafka.Positions{}
		uncommitted[topic] = kafka.Positions{}
		for partition, end := range to {
			next, ok := committed[topic][partition]
			switch {
			case ok && next <= logEnds[topic][partition]:
				next = max(next, starts[partition])
			case l.offsetReset == "latest": // also for a partition that may be new: a missing offset does not show it
				next = end
			default:
				next = starts[partition]
			}
			from[topic][partition] = next
			if !ok {
				uncommitted[topic][partition] = next
			}
		}
		if len(uncommitted[topic]) == 0 {
			delete(uncommitted, topic)
		}
	}
	return from, uncommitted, nil
}

// currentEnds returns the end offsets of the topics, and the topics that do not exist, unless a regex selects them.
func (l *lagTracker) currentEnds(ctx context.Context) (ends map[string]kafka.Positions, missing []string, err error) {
	l.mu.Lock()
	topics := slices.Clone(l.topics)
	regex := l.regex
	l.mu.Unlock()
	if regex != "" {
		topicPattern, err := pattern.Compile(regex)
		if err != nil {
			return nil, nil, fmt.Errorf("topics.regex: %w", err)
		}
		names, err := l.clients.Admin.Topics(ctx)
		if err != nil {
			return nil, nil, err
		}
		for _, topic := range names {
			matches, err := resolved.MatchesTopic(topicPattern, topic)
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
		positions, err := l.clients.Admin.EndOffsets(ctx, false, topic)
		switch {
		case errors.Is(err, kafka.ErrUnknownTopic) && regex == "":
			missing = append(missing, topic)
		case errors.Is(err, kafka.ErrUnknownTopic):
			// it was deleted after it had matched the regex
		case err != nil:
			return nil, nil, fmt.Errorf("end offsets of the topics of group %s: %w", l.group, err)
		default:
			ends[topic] = positions[topic]
		}
	}
	return ends, missing, nil
}

const lagInterval = time.Second

// lag counts the records after the committed offsets. Its fields change while the task runs.
type lag struct {
	group   atomic.Int64 // of all partitions of the consumer group
	task    atomic.Int64 // of the task's own partitions, -1 before it is known
	isKnown atomic.Bool  // the last measurement has succeeded and the task runs
}

// track updates current each second until ctx ends. It logs if an idle task has nothing to read at first.
func (l *lagTracker) track(ctx context.Context, current *lag, hasPartition func(topic string, partition int32) bool,
	isIdle func() bool) {
	var brokers away.Partner
	wasKnown := false
	defer current.isKnown.Store(false)
	for pause.For(ctx, lagInterval) == nil {
		start := time.Now()
		ofGroup, ofTask, err := l.measure(ctx, hasPartition)
		switch {
		case err == nil:
			current.group.Store(ofGroup)
			current.task.Store(ofTask)
			current.isKnown.Store(true)
			if !wasKnown && isIdle() {
				if ends, _, err := l.currentEnds(ctx); err == nil {
					_ = l.logNothingToRead(ctx, ends) // without the log line if the check fails
				}
			}
			wasKnown = true
			brokers.Back(l.log, start, "the lag is updated again")
		case ctx.Err() == nil:
			current.isKnown.Store(false)
			brokers.Lost(l.log, start, err.Error(), "the lag cannot be updated", "error", err)
		}
	}
}

func (l *lagTracker) measure(ctx context.Context,
	hasPartition func(topic string, partition int32) bool) (ofGroup, ofTask int64, err error) {
	ends, _, err := l.currentEnds(ctx)
	if err != nil {
		return 0, 0, err
	}
	from, _, err := l.positions(ctx, ends)
	if err != nil {
		return 0, 0, err
	}
	for topic, partitions := range ends {
		for partition, end := range partitions {
			n := max(0, end-from[topic][partition])
			ofGroup += n
			if hasPartition(topic, partition) {
				ofTask += n
			}
		}
	}
	return ofGroup, ofTask, nil
}
