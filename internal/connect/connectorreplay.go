package connect

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/java/pattern"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/run/sink"
	core "github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

// withFailureHeaders adds the headers that describe a failure to dead letters, whatever the connector's settings are.
const withFailureHeaders = true

// connectorReplay sends the dead letters of one connector, one partition of the dead letter topic after the other.
//
// Invariants: all fields are set before the first letter is sent. The index does not change then: it has the letters
// and states from when the replay began.
type connectorReplay struct {
	run        *connectorRun
	lock       sink.Membership // nil in a dry run
	reader     *kafka.Reader
	request    ReplayRequest // Filter.Positions has the newest letters of the selected originals
	result     *ReplayResult
	rejections *rejections
	index      *replayIndex
	newer      newerRecords
	partitions map[int32]*partitionReplay
	topics     []string         // the topics that the connector uses; empty means any
	regex      *pattern.Pattern // topics.regex of a sink, which selects topics instead; nil if it is not set
}

// replayDeadLetters sends the connector's dead letters while it has the lock. ends are the ends of the topic when the
// index was built.
func (run *connectorRun) replayDeadLetters(ctx context.Context, lock sink.Membership, reader *kafka.Reader,
	ends kafka.Positions, index *replayIndex, request ReplayRequest, result *ReplayResult) error {
	c := &connectorReplay{run: run, lock: lock, reader: reader, request: request, result: result,
		rejections: newRejections(run, result), index: index, partitions: map[int32]*partitionReplay{}}
	if err := c.loadTopics(); err != nil {
		return err
	}
	for partition, end := range ends {
		p := &partitionReplay{connectorReplay: c, partition: partition, end: end}
		if err := p.load(ctx); err != nil {
			return err
		}
		c.partitions[partition] = p
	}
	index.update(c.partitions)
	if selected := request.Filter.Positions; selected != nil {
		newest, missing := index.newestOf(selected)
		c.request.Filter.Positions = newest
		maps.DeleteFunc(request.notFound, func(p DeadLetterPosition, _ bool) bool { return selected[p] && !missing[p] })
		maps.Copy(request.notFound, newest)
	}
	if run.isSink() {
		isOpen := index.isOpen
		if request.located != nil {
			isOpen = request.located.isOpen
		}
		c.newer = newSinkNewerRecords(run.clients.kafka, run.options.replays, isOpen)
	} else {
		c.newer = newSourceNewerRecords(run.clients.kafka, run.options.replays)
	}
	defer c.newer.close()
	if run.isSink() && !request.IncludeSuperseded {
		if err := c.watchRecords(ctx); err != nil {
			return err
		}
	}
	if err := c.checkRoom(ctx); err != nil { // before the first letter is sent
		return err
	}
	return c.send(ctx)
}

// loadTopics sets which topics the connector uses.
func (c *connectorReplay) loadTopics() error {
	connector := c.run.config
	topicRole := role.SourceTopic
	if c.run.isSink() {
		topicRole = role.SinkTopic
		if regex := connector.Text("topics.regex"); regex != "" {
			compiled, err := pattern.Compile(regex)
			if err != nil {
				return fmt.Errorf("topics.regex: %w", err)
			}
			c.regex = &compiled
			return nil
		}
	}
	c.topics = config.List(connector.Text("topics"))
	for _, e := range connector.Entries {
		if spec, ok := c.run.class.declarations.Find(e.Key); ok && spec.Role() == topicRole {
			c.topics = append(c.topics, setting.Trim(e.Value.Reveal()))
		}
	}
	return nil
}

// watchRecords reads whether the topics of a sink have newer records than the selected letters.
func (c *connectorReplay) watchRecords(ctx context.Context) error {
	for _, p := range c.partitions {
		state := p.state.clone()
		_, err := p.readSelected(ctx, &state, func(l *DeadLetter) error {
			if c.skipReason(l) == "" {
				c.newer.watch(l, l.Topic, l.Record.Key, l.Record.Value)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return c.newer.read(ctx)
}

// checkRoom returns an error if a state would be too large after all selected dead letters are settled. It does not
// read partitions whose letters are fewer than the ranges that may be stored.
func (c *connectorReplay) checkRoom(ctx context.Context) error {
	projected := map[int32]*replayState{}
	for partition, p := range c.partitions {
		projected[partition] = new(p.state.clone())
	}
	for partition, p := range c.partitions {
		if p.end-p.next < maxReplayedRanges {
			continue
		}
		_, err := p.readSelected(ctx, projected[partition], func(l *DeadLetter) error {
			if c.skipReason(l) == "" {
				for position := range c.index.positions(l) {
					projected[position.Partition].markSettled(position.Offset, position.Offset)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	for partition, p := range c.partitions {
		if err := projected[partition].checkBounds(p.state.ranges()); err != nil {
			return err
		}
	}
	return nil
}

// send sends the selected letters.
func (c *connectorReplay) send(ctx context.Context) error {
	t := &task{run: c.run}
	binding, err := c.run.bind()
	if err != nil {
		return err
	}
	defer binding.Close()
	transforms, err := newChainFactory(c.run)
	if err != nil {
		return err
	}
	defer transforms.close()
	if c.run.isSink() {
		return c.sendToService(ctx, t, binding, transforms)
	}
	return c.sendToTopics(ctx, t, binding, transforms)
}

// sortedPartitions returns the partitions in the order in which they are sent.
func (c *connectorReplay) sortedPartitions() (partitions []*partitionReplay) {
	for _, partition := range slices.Sorted(maps.Keys(c.partitions)) {
		partitions = append(partitions, c.partitions[partition])
	}
	return partitions
}

// skipReason explains why a dead letter cannot be replayed; "" means that it can. Headers are not trusted: rows are
// sent only to topics of the connector.
func (c *connectorReplay) skipReason(l *DeadLetter) string {
	isSink := c.run.isSink()
	attempt := c.attempt(l)
	switch {
	case l.Stage == "":
		return "that another program has written in an unknown format"
	case l.HeaderError != nil:
		return "with a header that cannot be read"
	case attempt.isContradictory:
		return "of records whose dead letters contradict each other about their number of rows"
	case isSink && (l.Partition < 0 || l.Offset < 0):
		return "without the position of their record"
	case attempt.value != "" && attempt.value != c.request.valueDigest():
		return keptOtherValue
	case isSink && l.Record.Key == nil && c.newer.isSuperseded(l):
		return "of records without a key, whose topic has later records that may be of the same entity and would be " +
			"overwritten: --older sends them anyway"
	case c.newer.isSuperseded(l):
		return keptSuperseded
	case len(c.topics) > 0 && !slices.Contains(c.topics, l.Topic):
		return fmt.Sprintf("of topic %q, which connector %s does not use", l.Topic, c.run.config.Name)
	case c.regex != nil:
		if matches, err := config.MatchesTopic(*c.regex, l.Topic); err != nil || !matches {
			return fmt.Sprintf("of topic %q, which topics.regex of connector %s does not match", l.Topic,
				c.run.config.Name)
		}
	}
	return ""
}

func (c *connectorReplay) attempt(l *DeadLetter) attempt {
	return c.index.attempt(l.recordID().original())
}

// replayed returns a letter in the form in which it is sent now.
func (c *connectorReplay) replayed(l *DeadLetter) core.DeadLetter {
	attempt := c.attempt(l)
	replayed := l.forReplay()
	replayed.Rows = attempt.rows
	replayed.Replays = attempt.replays
	replayed.InDoubt = attempt.inDoubt
	return replayed
}

// dropSuperseded reads newer records, and returns the letters of a batch that no newer record supersedes. It counts the
// others as kept.
func (c *connectorReplay) dropSuperseded(ctx context.Context, letters []*DeadLetter) ([]*DeadLetter, error) {
	if err := c.newer.read(ctx); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(letters, func(l *DeadLetter) bool {
		isSuperseded := c.newer.isSuperseded(l)
		if isSuperseded {
			c.result.Kept[c.skipReason(l)]++
		}
		return isSuperseded
	}), nil
}

// count counts a settled letter. isDelivered means that it was accepted, unless it became a dead letter again.
func (c *connectorReplay) count(position string, isDelivered bool) {
	switch {
	case c.rejections.has(position):
		c.result.Refused++
	case isDelivered:
		c.result.Delivered++
	default:
		c.result.Kept[SettledUnsent]++
		return
	}
	c.result.Sent++
}

func (c *connectorReplay) checkLock(ctx context.Context) error {
	if c.request.DryRun {
		return nil
	}
	return c.lock.CheckMembership(ctx)
}
