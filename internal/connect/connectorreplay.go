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

// connectorReplay settles dead letters of one connector: it sends or discards them.
//
// Invariants: no field is set after the first letter was sent. The index has all letters of the selected originals that
// are before ends, and the states as they were when the replay began.
type connectorReplay struct {
	run        *connectorRun
	lock       sink.Membership // nil in a dry run
	reader     *kafka.Reader
	request    ReplayRequest // after load, Filter.Positions has the newest letters of the selected originals
	result     *ReplayResult
	ends       kafka.Positions // the end offsets of the topic when the replay began
	index      *replayIndex
	partitions map[int32]*partitionReplay
	newer      newerRecords
	rejections *rejections
	topics     []string         // the topics that the connector uses; empty means any
	regex      *pattern.Pattern // topics.regex of a sink, which selects topics instead; nil if it is not set
}

// load loads the states, and finds the newest letters of the selected originals.
func (c *connectorReplay) load(ctx context.Context) error {
	c.partitions = map[int32]*partitionReplay{}
	for partition := range c.ends {
		p := &partitionReplay{connectorReplay: c, partition: partition}
		if err := p.load(ctx); err != nil {
			return err
		}
		c.partitions[partition] = p
	}
	c.index.update(c.partitions)
	if selected := c.request.Filter.Positions; selected != nil {
		newest, missing := c.index.newestOf(selected)
		c.request.Filter.Positions = newest
		if c.request.notFound != nil { // else no user has named them
			isFound := func(position DeadLetterPosition, _ bool) bool { return !missing[position] }
			maps.DeleteFunc(c.request.notFound, isFound)
			maps.Copy(c.request.notFound, newest)
		}
		c.request.running.selected.Store(int64(len(newest)))
	} else if c.request.Filter.IsZero() {
		c.request.running.selected.Store(*c.index.summary().Open)
	}
	return nil
}

// discard stores the letters of the selected originals as settled. It does not need the service.
func (c *connectorReplay) discard(ctx context.Context) error {
	if err := c.load(ctx); err != nil {
		return err
	}
	if !c.request.positionsSuffice() {
		if err := c.findPositions(ctx); err != nil {
			return err
		}
	}
	newest := c.request.Filter.Positions
	letters := c.index.related(newest)
	if err := c.checkBounds(c.settledStates(letters)); err != nil {
		return err
	}
	isNewest := func(l trackedDeadLetter) bool { return newest[l.position()] }
	older := slices.DeleteFunc(slices.Clone(letters), isNewest)
	if err := c.storeSettled(ctx, older); err != nil { // first, see [deadLetterIndex]
		return err
	}
	if err := c.storeSettled(ctx, letters); err != nil {
		return err
	}
	for position := range newest {
		delete(c.request.notFound, position)
	}
	c.result.Discarded += len(newest)
	return nil
}

// findPositions reads which open letters the request selects.
func (c *connectorReplay) findPositions(ctx context.Context) error {
	positions := map[DeadLetterPosition]bool{}
	for _, p := range c.partitions {
		_, err := p.readSelected(ctx, &p.state, func(l *DeadLetter) error {
			positions[l.position()] = true
			return nil
		})
		if err != nil {
			return err
		}
	}
	c.request.Filter.Positions = positions
	return nil
}

// settledStates returns the states of the partitions of letters in which these are settled.
func (c *connectorReplay) settledStates(letters []trackedDeadLetter) map[int32]*replayState {
	states := map[int32]*replayState{}
	for _, l := range letters {
		if states[l.partition] == nil {
			states[l.partition] = new(c.partitions[l.partition].state.clone())
		}
		states[l.partition].markSettled(l.offset, l.offset)
	}
	return states
}

// storeSettled stores letters as settled.
func (c *connectorReplay) storeSettled(ctx context.Context, letters []trackedDeadLetter) error {
	for partition, state := range c.settledStates(letters) {
		if err := c.partitions[partition].store(ctx, *state); err != nil {
			return err
		}
	}
	return nil
}

// replay sends the selected letters.
func (c *connectorReplay) replay(ctx context.Context) error {
	c.rejections = newRejections(c.run, c.result)
	if err := c.loadTopics(); err != nil {
		return err
	}
	if err := c.load(ctx); err != nil {
		return err
	}
	c.newer = newSourceNewerRecords(c.run.clients.kafka, c.run.options.replays)
	if c.run.isSink() {
		isOpen := c.index.isOpen
		if c.request.located != nil {
			isOpen = c.request.located.isOpen
		}
		c.newer = newSinkNewerRecords(c.run.clients.kafka, c.run.options.replays, isOpen)
	}
	defer c.newer.close()
	if c.run.isSink() && !c.request.IncludeSuperseded {
		if err := c.watchRecords(ctx); err != nil {
			return err
		}
	}
	if err := c.checkProjectedStates(ctx); err != nil { // before the first letter is sent
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

// watchRecords reads the topics of a sink to find records that are newer than the selected letters.
func (c *connectorReplay) watchRecords(ctx context.Context) error {
	for _, p := range c.partitions {
		_, err := p.readSelected(ctx, new(p.state.clone()), func(l *DeadLetter) error {
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

// checkProjectedStates returns an error if a state would be too large after all selected dead letters are settled. It
// does not read partitions whose letters are fewer than the ranges that may be stored.
func (c *connectorReplay) checkProjectedStates(ctx context.Context) error {
	projected := map[int32]*replayState{}
	for partition, p := range c.partitions {
		projected[partition] = new(p.state.clone())
	}
	for partition, p := range c.partitions {
		if p.end()-p.next < maxSettledRanges {
			continue
		}
		_, err := p.readSelected(ctx, projected[partition], func(l *DeadLetter) error {
			if c.skipReason(l) == "" {
				for settled := range c.index.deadLettersOf(l.recordID().original()) {
					projected[settled.partition].markSettled(settled.offset, settled.offset)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return c.checkBounds(projected)
}

// checkBounds returns an error if a state that replaces the state of its partition is too large to be stored.
func (c *connectorReplay) checkBounds(states map[int32]*replayState) error {
	for partition, state := range states {
		if err := state.checkBounds(c.partitions[partition].state.ranges()); err != nil {
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
	case attempt.valueDigest != "" && attempt.valueDigest != c.request.valueDigest():
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

// attempt returns the next attempt of the original of a letter.
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
			c.keep(c.skipReason(l))
		}
		return isSuperseded
	}), nil
}

// count counts a settled letter. isDelivered means that it was accepted, unless it became a dead letter again.
func (c *connectorReplay) count(position string, isDelivered bool) {
	switch {
	case c.rejections.has(position):
		c.result.Rejected++
	case isDelivered:
		c.result.Delivered++
	default:
		c.keep(SettledUnsent)
		return
	}
	c.result.Sent++
	c.request.running.handled.Add(1)
}

// keep counts a letter that is not sent.
func (c *connectorReplay) keep(reason string) {
	c.result.Kept[reason]++
	c.request.running.handled.Add(1)
}

// checkLock returns an error if the replay has lost its lock, so that another process may replay. A dry run needs none.
func (c *connectorReplay) checkLock(ctx context.Context) error {
	if c.request.DryRun {
		return nil
	}
	return c.lock.CheckMembership(ctx)
}
