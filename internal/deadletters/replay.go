package deadletters

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/java/pattern"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/run/sink"
	"github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

// connectorReplay settles dead letters of one connector: it sends or discards them.
//
// Invariants: no field is set after the first letter was sent. The index has all letters of the selected originals that
// are before the end of the topic, and the states as they were when the replay began.
type connectorReplay struct {
	queues     *Queues
	name       string
	task       *Task
	sender     *Sender         // nil for a discard
	lock       sink.Membership // nil in a dry run
	reader     *kafka.Reader
	request    Request
	result     *Result
	index      *replayIndex
	selected   map[Position]bool // the newest letters of the selected originals
	partitions map[int32]*partitionReplay
	newer      newerRecords
	rejections *rejections
	topics     []string         // the topics that the connector uses; empty means any
	regex      *pattern.Pattern // topics.regex of a sink, which selects topics instead; nil if it is not set
}

// run selects letters and settles them while no other process changes the replay state of the connector.
func (c *connectorReplay) run(ctx context.Context) (err error) {
	if !c.index.mayMatch { // so nothing of the connector is opened, which may fail
		return nil
	}
	if _, _, err := c.queues.connectors.Topic(c.name); err != nil {
		reason := "of connector " + strconv.Quote(c.name) + ", which is not configured"
		if c.name == "" {
			reason = "without the headers of errors.deadletterqueue.context.headers.enable"
		}
		c.index.update(nil) // without states all letters are open
		c.selectLetters()
		c.markFound()
		if len(c.selected) > 0 {
			c.result.Kept[reason] += len(c.selected)
		}
		return nil
	}
	if c.task, err = c.queues.connectors.OpenTask(ctx, c.name); err != nil {
		return err
	}
	defer c.task.Close()
	if err := c.task.Offsets.Refresh(ctx); err != nil {
		return err
	}
	if err := c.load(ctx); err != nil || len(c.selected) == 0 {
		return err
	}
	if !c.request.DryRun {
		worker := c.queues.o.Worker
		lock, err := kafka.AcquireGroupLock(ctx, c.queues.o.Kafka, config.ConsumerGroup(stateOwnerPrefix+c.name),
			worker.Text("offset.storage.topic"))
		if errors.Is(err, kafka.ErrLocked) {
			return fmt.Errorf("%w by another process: %w", ErrInProgress, err)
		}
		if err != nil {
			return err
		}
		defer lock.Close()
		c.lock = lock
		ctx = lock.Context()
		if err := c.task.Offsets.RefreshCommitted(ctx); err != nil {
			return err
		}
		if err := c.load(ctx); err != nil { // again, because another process may have settled letters
			return err
		}
	}
	c.markFound()
	letters := c.index.related(c.selected)
	for partition, state := range c.settledStates(letters) { // before the first letter is settled
		if err := state.checkBounds(c.partitions[partition].state.ranges()); err != nil {
			return err
		}
	}
	if c.request.isDiscard {
		return c.discard(ctx, letters)
	}
	return c.replay(ctx)
}

// load loads the states and selects letters.
func (c *connectorReplay) load(ctx context.Context) error {
	c.partitions = map[int32]*partitionReplay{}
	for partition := range c.request.offsets.To {
		p := &partitionReplay{connectorReplay: c, partition: partition}
		if err := p.load(ctx); err != nil {
			return err
		}
		c.partitions[partition] = p
	}
	c.index.update(c.partitions)
	if filter := &c.request.Filter; c.request.IncludeReplayed && !filter.IsZero() {
		positions := filter.Positions
		if positions == nil {
			positions = c.index.matching(ShowAll, filter)
		}
		for position := range positions { // the states of other letters remain
			if p := c.partitions[position.Partition]; p != nil {
				p.state.unmark(position.Offset)
			}
		}
		c.index.update(c.partitions)
	}
	c.selectLetters()
	for _, position := range slices.SortedFunc(maps.Keys(c.selected), comparePositions) {
		p := c.partitions[position.Partition]
		p.pending = append(p.pending, position)
	}
	c.request.running.selected.Store(int64(len(c.selected)))
	// The index has all letters of the connector, so offsets of other letters can be settled, too: fewer ranges are
	// stored.
	if !c.request.isLocated {
		open := map[int32][]int64{}
		for i := range c.index.letters {
			if l := &c.index.letters[i]; !c.index.isSettled(l) {
				open[l.partition] = append(open[l.partition], l.offset)
			}
		}
		for partition, p := range c.partitions {
			slices.Sort(open[partition])
			p.state.settled = nil // replaced by all offsets before the end, except open letters
			next := int64(0)
			for _, pos := range append(open[partition], p.end()) {
				if pos > next {
					p.state.settled = append(p.state.settled, offsetRange{first: next, last: pos - 1})
				}
				next = pos + 1
			}
			maps.DeleteFunc(p.state.inDoubt, func(pos int64, _ string) bool { return p.state.isSettled(pos) })
		}
	}
	return nil
}

// selectLetters sets which letters the request selects, as the states of the index are. A named position selects the
// original of an open letter.
func (c *connectorReplay) selectLetters() {
	filter := c.request.Filter
	if filter.Positions != nil {
		filter.Positions = c.index.newestOf(filter.Positions)
	}
	c.selected = c.index.matching(ShowOpen, &filter)
}

// markFound removes the positions of selected originals from those that were not found.
func (c *connectorReplay) markFound() {
	for i := range c.index.letters {
		l := &c.index.letters[i]
		if !c.index.isSettled(l) && c.selected[c.index.newest(l.original).position()] {
			delete(c.request.notFound, l.position())
		}
	}
}

// discard stores the letters of the selected originals as settled. It does not need the service.
func (c *connectorReplay) discard(ctx context.Context, letters []Position) error {
	isNewest := func(position Position) bool { return c.selected[position] }
	older := slices.DeleteFunc(slices.Clone(letters), isNewest)
	if err := c.storeSettled(ctx, older); err != nil { // first, see [deadLetterIndex]
		return err
	}
	if err := c.storeSettled(ctx, letters); err != nil {
		return err
	}
	c.result.Discarded += len(c.selected)
	return nil
}

// settledStates returns the states of the partitions of letters in which these are settled.
func (c *connectorReplay) settledStates(letters []Position) map[int32]*replayState {
	states := map[int32]*replayState{}
	for _, l := range letters {
		if states[l.Partition] == nil {
			states[l.Partition] = new(c.partitions[l.Partition].state.clone())
		}
		states[l.Partition].markSettled(l.Offset, l.Offset)
	}
	return states
}

// storeSettled stores letters as settled.
func (c *connectorReplay) storeSettled(ctx context.Context, letters []Position) error {
	for partition, state := range c.settledStates(letters) {
		if err := c.partitions[partition].store(ctx, *state); err != nil {
			return err
		}
	}
	return nil
}

// replay sends the selected letters.
func (c *connectorReplay) replay(ctx context.Context) (err error) {
	if c.sender, err = c.task.OpenSender(ctx, c.request.DryRun); err != nil {
		return err
	}
	defer c.sender.Close()
	c.sender.Writer.Topic = c.request.Topic
	c.sender.Writer.HasHeaders = true // whatever the connector's settings are
	c.rejections = newRejections(c.queues.o.Worker.Redact, c.result)
	if err := c.loadTopics(); err != nil {
		return err
	}
	isSink := c.sender.Sink != nil
	if isSink {
		isOpen := c.index.isOpen
		if c.request.isLocated {
			isOpen = c.request.isOpen
		}
		c.newer = newSinkNewerRecords(c.task.Kafka, c.request.running, isOpen)
	} else {
		c.newer = newSourceNewerRecords(c.task.Kafka, c.request.running)
	}
	defer func() { c.newer.clients.Close() }() // a function, because clients are opened later, or stay nil
	if !isSink {
		for _, partition := range slices.Sorted(maps.Keys(c.partitions)) {
			p := c.partitions[partition]
			if len(p.pending) == 0 {
				continue
			}
			if !c.request.IncludeSuperseded {
				if err := p.watchRows(ctx); err != nil {
					return err
				}
			}
			if err := p.sendRows(ctx, nil); err != nil {
				return err
			}
		}
		return nil
	}
	if !c.request.IncludeSuperseded {
		for _, p := range c.partitions {
			err := readLetters(ctx, c.reader, c.request.Topic, p.pending, func(r *kgo.Record) error {
				l := Parse(r, c.queues.o.Worker.Redact)
				if c.skipReason(&l) == "" {
					c.newer.watch(&l, l.Topic, r.Key, r.Value)
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		if err := c.newer.read(ctx); err != nil {
			return err
		}
	}
	return c.sendToService(ctx)
}

// loadTopics sets which topics the connector uses.
func (c *connectorReplay) loadTopics() error {
	connector := c.sender.Config
	topicRole := role.SourceTopic
	if c.sender.Sink != nil {
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
	for e, spec := range connector.Declared() {
		if spec.Role() == topicRole {
			c.topics = append(c.topics, setting.Trim(e.Value.Reveal()))
		}
	}
	return nil
}

// skipReason explains why a dead letter cannot be replayed; "" means that it can. Headers are not trusted: rows are
// sent only to topics of the connector.
func (c *connectorReplay) skipReason(l *Letter) string {
	isSink := c.sender.Sink != nil
	next := c.nextAttempt(l)
	switch {
	case l.Stage == "":
		return "that another program has written in an unknown format"
	case l.UnreadableHeader != "":
		return "with the header " + l.UnreadableHeader + ", whose format this version does not know"
	case next.isContradictory:
		return "of records whose dead letters contradict each other about their number of rows"
	case isSink && (l.Partition < 0 || l.Offset < 0):
		return "without the position of their record"
	case next.valueDigest != "" && next.valueDigest != c.request.valueDigest():
		return keptOtherValue
	case isSink && l.Record.Key == nil && c.newer.isSuperseded(l):
		return "of records without a key, whose topic has later records that may be of the same entity and would be " +
			"overwritten: --older sends them anyway"
	case c.newer.isSuperseded(l):
		return keptSuperseded
	case len(c.topics) > 0 && !slices.Contains(c.topics, l.Topic):
		return fmt.Sprintf("of topic %q, which connector %s does not use", l.Topic, c.name)
	case c.regex != nil:
		if matches, err := resolved.MatchesTopic(*c.regex, l.Topic); err != nil || !matches {
			return fmt.Sprintf("of topic %q, which topics.regex of connector %s does not match", l.Topic, c.name)
		}
	}
	return ""
}

// nextAttempt returns the next attempt of the original of a letter.
func (c *connectorReplay) nextAttempt(l *Letter) attempt {
	return c.index.nextAttempt(l.recordID().original())
}

// replayed returns a letter in the form in which it is sent now.
func (c *connectorReplay) replayed(l *Letter) task.DeadLetter {
	next := c.nextAttempt(l)
	replayed := l.forReplay()
	replayed.Rows = next.rows
	replayed.Replays = next.replays
	replayed.InDoubt = next.inDoubt
	return replayed
}

// dropSuperseded reads newer records, and returns the letters of a batch that no newer record supersedes. It counts the
// others as kept.
func (c *connectorReplay) dropSuperseded(ctx context.Context, letters []*Letter) ([]*Letter, error) {
	if err := c.newer.read(ctx); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(letters, func(l *Letter) bool {
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
