package connect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/kafka"
)

// DeadLetterSummary counts the open dead letters of a connector by original record or row.
type DeadLetterSummary struct {
	// Open is nil if the number is unknown: this worker does not own the connector or has not read the topic yet, or
	// the connector has no topic or writes no headers to it, or the worker may not read it.
	Open       *int64
	More       bool         // older letters, which were not read, may be open as well
	Causes     []CauseCount // the most frequent ones first
	Superseded int          // number of open letters with a newer one of the same key and another value
}

const (
	trackingInterval   = 3 * time.Second // how often the worker looks for new dead letters
	maxTrackingBackoff = 5 * time.Minute // the longest pause after failed reads of a topic
	trackingGrace      = time.Minute     // how long an old summary is shown while the topic cannot be read
	concurrentReads    = 4               // topics that are read at the same time
)

// deadLetterTracker follows the dead letter topics of the connectors that this worker owns, each in one pass.
type deadLetterTracker struct {
	herder *Herder
	wake   guard.Bell
	limit  int64 // of letters of all connectors

	// letters is the number of letters of all connectors, also of those that were removed since the last refresh.
	letters    atomic.Int64
	connectors atomic.Int64   // number of connectors that this worker owns and that have a topic
	reads      sync.WaitGroup // of topics in the background
	slots      chan struct{}  // has an element for each read that runs

	mu       sync.Mutex
	clients  *topicClients // nil until a topic is read
	isClosed bool
	topics   map[string]*trackedTopic
}

// topicClients are clients of one cluster to read topics.
type topicClients struct {
	admin  *kafka.Admin
	reader *kafka.Reader
}

func newTopicClients(newAdmin func(kafka.Config) (*kafka.Admin, error), config kafka.Config) (*topicClients, error) {
	admin, err := newAdmin(config)
	if err != nil {
		return nil, err
	}
	reader, err := kafka.NewReader(config)
	if err != nil {
		admin.Close()
		return nil, err
	}
	return &topicClients{admin: admin, reader: reader}, nil
}

// close closes the clients. Nil has no clients.
func (c *topicClients) close() {
	if c != nil {
		c.reader.Close()
		c.admin.Close()
	}
}

// trackedTopic is one dead letter topic, which several connectors may share.
type trackedTopic struct {
	name string
	lock guard.CtxMutex // held while the topic is read, guards the connectors' indexes
	// The following are guarded by the tracker's mu.
	connectors map[string]*trackedConnector
	backoff    time.Duration // zero after a success
	retryAt    time.Time     // before that, the topic is not read in the background
	isReading  bool          // in the background
}

// trackedConnector is a connector of a tracked topic. A connector that was deleted and created again is another one.
type trackedConnector struct {
	controller *controller
	lock       guard.CtxMutex        // of the topic
	index      *deadLetterIndex      // nil means that nothing was read
	letters    atomic.Int64          // number of letters in index
	next       kafka.Positions       // where the next read starts
	topicID    string                // [kafka.Range.TopicID] of what was read
	isStale    bool                  // the index has changed since the summary was derived
	states     map[int32]parsedState // by partition
	stateErr   error                 // of the last read of the replay states

	mu      sync.Mutex
	summary *DeadLetterSummary // nil means unknown
	readAt  time.Time          // the last time that the summary was up to date
}

func newDeadLetterTracker(h *Herder) *deadLetterTracker {
	return &deadLetterTracker{herder: h, wake: guard.NewBell(), limit: maxTrackedOfWorker,
		slots: make(chan struct{}, concurrentReads), topics: map[string]*trackedTopic{}}
}

// DeadLetterSummary returns what this worker knows of the open dead letters of a connector that it owns.
func (h *Herder) DeadLetterSummary(name string) DeadLetterSummary {
	ctl, err := h.find(name)
	if err != nil || !ctl.ownsConnector() {
		return DeadLetterSummary{}
	}
	topic, err := h.deadLetterTopic(name)
	if err != nil || !ctl.writesDeadLetterHeaders() {
		return DeadLetterSummary{}
	}
	t := h.tracker
	t.mu.Lock()
	var c *trackedConnector
	if entry := t.topics[topic]; entry != nil {
		c = entry.connectors[name]
	}
	t.mu.Unlock()
	if c == nil || c.controller != ctl {
		return DeadLetterSummary{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.summary == nil || time.Since(c.readAt) > trackingGrace {
		return DeadLetterSummary{}
	}
	return *c.summary
}

func (ctl *controller) ownsConnector() bool {
	ctl.mu.Lock()
	defer ctl.mu.Unlock()
	return ctl.spec.assignment.Standalone || ctl.spec.assignment.OwnsConnector
}

func (ctl *controller) writesDeadLetterHeaders() bool {
	v := ctl.observe()
	enabled, _ := config.Boolean(v.config.Setting(deadLetterContext, v.options.Worker))
	return enabled
}

// run follows the topics until ctx ends, and closes the clients.
func (t *deadLetterTracker) run(ctx context.Context) {
	ticker := time.NewTicker(trackingInterval)
	defer ticker.Stop()
	for ctx.Err() == nil {
		err := guard.Do(t.herder.shared.Logger, "counting dead letters", func() error { return t.refreshAll(ctx) })
		if err != nil && ctx.Err() == nil {
			t.herder.shared.Logger.Debug("dead letters are not counted", "error", err)
		}
		select {
		case <-ticker.C:
		case <-t.wake:
		case <-ctx.Done():
		}
	}
	t.reads.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.isClosed = true
	t.clients.close()
}

var errTrackerClosed = errors.New("the worker is shutting down")

// openClients opens the clients if needed. A request may still use them after they are closed at shutdown.
func (t *deadLetterTracker) openClients() (clients *topicClients, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.isClosed:
		return nil, errTrackerClosed
	case t.clients == nil:
		t.clients, err = newTopicClients(kafka.NewAdmin, t.herder.shared.Kafka)
	}
	return t.clients, err
}

// track adds a connector to its topic, in place of an earlier one with the same name, and returns the topic.
func (t *deadLetterTracker) track(ctl *controller, topic string) *trackedTopic {
	t.mu.Lock()
	defer t.mu.Unlock()
	entry := t.topics[topic]
	if entry == nil {
		entry = &trackedTopic{name: topic, lock: guard.NewCtxMutex(), connectors: map[string]*trackedConnector{}}
		t.topics[topic] = entry
	}
	if c := entry.connectors[ctl.name]; c == nil || c.controller != ctl {
		entry.connectors[ctl.name] = &trackedConnector{controller: ctl, lock: entry.lock}
	}
	return entry
}

// refreshAll starts to refresh the topics of all owned connectors, without waiting, and removes other connectors.
func (t *deadLetterTracker) refreshAll(ctx context.Context) error {
	owned := map[string]string{} // topic by connector
	for _, ctl := range t.herder.allControllers() {
		if topic, err := t.herder.deadLetterTopic(ctl.name); err == nil && ctl.ownsConnector() {
			owned[ctl.name] = topic
			t.track(ctl, topic)
		}
	}
	t.mu.Lock()
	letters := int64(0)
	for topic, entry := range t.topics {
		maps.DeleteFunc(entry.connectors, func(name string, _ *trackedConnector) bool { return owned[name] != topic })
		if len(entry.connectors) == 0 {
			delete(t.topics, topic)
		}
		for _, c := range entry.connectors {
			letters += c.letters.Load()
		}
	}
	t.letters.Store(letters)
	t.connectors.Store(int64(len(owned)))
	dueTopics := slices.Collect(maps.Values(t.topics))
	dueTopics = slices.DeleteFunc(dueTopics, func(entry *trackedTopic) bool {
		return entry.isReading || time.Now().Before(entry.retryAt)
	})
	t.mu.Unlock()
	if len(dueTopics) == 0 {
		return nil
	}
	ranges, err := t.loadRanges(ctx, dueTopics...)
	if err != nil {
		return err
	}
	for _, entry := range dueTopics {
		if offsets, ok := ranges[entry.name]; ok {
			t.startRefresh(ctx, entry, offsets)
		} else {
			t.setBackoff(ctx, entry, true)
		}
	}
	return nil
}

// startRefresh refreshes a topic in the background as soon as fewer than [concurrentReads] reads run.
func (t *deadLetterTracker) startRefresh(ctx context.Context, entry *trackedTopic, offsets kafka.Range) {
	setReading := func(isReading bool) {
		t.mu.Lock()
		defer t.mu.Unlock()
		entry.isReading = isReading
	}
	setReading(true)
	t.reads.Go(func() {
		defer setReading(false)
		select {
		case t.slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		defer func() { <-t.slots }()
		err := guard.Do(t.herder.shared.Logger, "counting dead letters", func() error {
			return t.refresh(ctx, entry, offsets)
		})
		if err != nil && ctx.Err() == nil {
			t.herder.shared.Logger.Debug("dead letters are not counted", "topic", entry.name, "error", err)
		}
	})
}

// setBackoff pauses background reads after a failed read, each time longer. A successful read ends the pause.
func (t *deadLetterTracker) setBackoff(ctx context.Context, entry *trackedTopic, hasFailed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case !hasFailed:
		entry.backoff = 0
	case ctx.Err() == nil: // else the request was canceled
		entry.backoff = min(max(2*entry.backoff, trackingInterval), maxTrackingBackoff)
	}
	entry.retryAt = time.Now().Add(entry.backoff)
}

// loadRanges returns the offsets of the topics that can be read, and loads the replay states of their connectors.
func (t *deadLetterTracker) loadRanges(ctx context.Context, topics ...*trackedTopic) (map[string]kafka.Range, error) {
	if t.herder.shared.Offsets == nil {
		return nil, errors.New("the worker has no offsets topic")
	}
	clients, err := t.openClients()
	if err != nil {
		return nil, err
	}
	var names, owners []string
	t.mu.Lock()
	for _, entry := range topics {
		names = append(names, entry.name)
		for name := range entry.connectors {
			owners = append(owners, replayOwnerPrefix+name)
		}
	}
	t.mu.Unlock()
	ranges := clients.admin.Ranges(ctx, names...)
	if err := t.herder.shared.Offsets.Load(ctx, owners...); err != nil {
		return nil, err
	}
	return ranges, t.herder.shared.Offsets.Refresh(ctx)
}

// refresh reads the new records of a topic, which has these offsets, and updates the summaries of its connectors.
func (t *deadLetterTracker) refresh(ctx context.Context, entry *trackedTopic, offsets kafka.Range) error {
	if err := entry.lock.Lock(ctx); err != nil {
		return err
	}
	defer entry.lock.Unlock()
	return t.refreshLocked(ctx, entry, offsets)
}

// refreshLocked is refresh while the lock of the topic is held.
func (t *deadLetterTracker) refreshLocked(ctx context.Context, entry *trackedTopic, offsets kafka.Range) error {
	clients, err := t.openClients()
	if err != nil {
		return err
	}
	t.mu.Lock()
	connectors := maps.Clone(entry.connectors)
	t.mu.Unlock()
	isExceeded := false
	for _, c := range connectors {
		t.readStates(ctx, entry.name, c, offsets)
		isExceeded = c.exceeds(offsets) || isExceeded
	}
	if isExceeded {
		current, ok := clients.admin.Ranges(ctx, entry.name)[entry.name]
		if !ok {
			t.setBackoff(ctx, entry, true)
			return fmt.Errorf("topic %s cannot be read at the moment", entry.name)
		}
		offsets = current
	}
	from := kafka.Positions{}
	maps.Copy(from, offsets.To)
	for _, c := range connectors {
		c.prepareIndex(offsets)
		for partition, next := range c.next {
			from[partition] = min(from[partition], next)
		}
	}
	var readErr error
	if !maps.Equal(from, offsets.To) {
		_, readErr = clients.reader.Read(ctx, entry.name, kafka.ReadOptions{From: from, To: offsets.To},
			func(r *kgo.Record) error {
				l := t.herder.shared.parseDeadLetter(r)
				if c := connectors[l.Connector]; c != nil && r.Offset >= c.next[r.Partition] {
					c.index.add(&l)
					t.updateLimit(c)
					c.next[r.Partition] = r.Offset + 1
				}
				return nil
			})
	}
	t.setBackoff(ctx, entry, readErr != nil)
	for _, c := range connectors {
		if readErr == nil {
			maps.Copy(c.next, offsets.To)
		}
		t.updateLimit(c)
		if c.stateErr == nil {
			c.update(offsets, readErr == nil)
		}
		if errors.Is(readErr, kerr.TopicAuthorizationFailed) { // also of a topic that was empty before
			c.isStale = true
			c.setSummary(nil)
		}
		t.updateLimit(c) // again, because update drops letters
	}
	return readErr
}

// updateLimit counts the letters of a connector and limits them to an equal share, or more if others need less.
func (t *deadLetterTracker) updateLimit(c *trackedConnector) {
	count := int64(len(c.index.letters))
	total := t.letters.Add(count - c.letters.Swap(count))
	share := t.limit / max(1, t.connectors.Load())
	c.index.limit = int(min(maxTrackedLetters, max(share, t.limit-total+count)))
}

// exceeds reports whether letters after the end of offsets were read or settled: offsets are old, or of a new topic.
func (c *trackedConnector) exceeds(offsets kafka.Range) bool {
	for partition, next := range c.next {
		if next > offsets.To[partition] {
			return true
		}
	}
	for partition, p := range c.states {
		if p.state.end() > offsets.To[partition] {
			return true
		}
	}
	return false
}

// prepareIndex replaces the index of a connector that has no index or whose topic was created again, and sets where the
// read of new partitions starts. If the topic has more letters than the limit, a part at the end of each partition is
// read.
func (c *trackedConnector) prepareIndex(offsets kafka.Range) {
	isOtherTopic := c.topicID != offsets.TopicID
	for partition, next := range c.next {
		end, ok := offsets.To[partition]
		isOtherTopic = isOtherTopic || !ok || next > end
	}
	if c.index == nil || isOtherTopic {
		c.index = newDeadLetterIndex()
		c.next = kafka.Positions{}
	}
	c.topicID = offsets.TopicID
	total := int64(0)
	for partition, end := range offsets.To {
		total += end - offsets.From[partition]
	}
	for partition, end := range offsets.To {
		if _, ok := c.next[partition]; ok {
			continue
		}
		start := offsets.From[partition]
		if limit := int64(c.index.limit); total > limit {
			start = end - int64(float64(limit)*float64(end-start)/float64(total))
		}
		c.next[partition] = start
		c.index.from[partition] = start
	}
}

// readStates reads the replay states of a connector, and sets stateErr.
func (t *deadLetterTracker) readStates(ctx context.Context, topic string, c *trackedConnector, offsets kafka.Range) {
	states := map[int32]parsedState{}
	c.stateErr = nil
	for partition := range offsets.To {
		fields, _, err := t.herder.shared.Offsets.Get(ctx, replayOwnerPrefix+c.controller.name,
			replayPartition(topic, partition))
		p := c.states[partition]
		if err == nil {
			p.update(fields)
			err = p.err
		}
		if err != nil {
			c.stateErr = fmt.Errorf("stored replay state of topic %s, partition %d: %w", topic, partition, err)
			t.herder.shared.Logger.Debug("dead letters are not counted", "connector", c.controller.name, "error", err)
		}
		states[partition] = p
	}
	c.states = states
}

// update derives the summary from new letters and replay states. isComplete means that all new letters were read.
func (c *trackedConnector) update(offsets kafka.Range, isComplete bool) {
	states := map[int32]replayState{}
	for partition, p := range c.states {
		if p.state.canBeOf(offsets.TopicID) && p.state.end() <= offsets.To[partition] { // else of an earlier topic
			states[partition] = p.state
		}
	}
	c.isStale = c.index.update(offsets.From, states) || c.isStale
	if !isComplete {
		return // the summary remains until it is too old
	}
	summary := c.summary
	if c.isStale {
		summary = c.index.summary()
	}
	c.isStale = false
	c.setSummary(summary)
}

// setSummary stores a summary that is up to date; nil means unknown. The lock of the topic is held.
func (c *trackedConnector) setSummary(s *DeadLetterSummary) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.summary = s
	c.readAt = time.Now()
}

// withIndex refreshes a topic and calls do with the connector, while the lock of the topic is held.
func (t *deadLetterTracker) withIndex(ctx context.Context, name, topic string,
	do func(*trackedConnector, *kafka.Reader) error) error {
	ctl, err := t.herder.find(name)
	if err != nil {
		return err
	}
	clients, err := t.openClients()
	if err != nil {
		return err
	}
	entry := t.track(ctl, topic)
	ranges, err := t.loadRanges(ctx, entry)
	if err != nil {
		return err
	}
	offsets, ok := ranges[topic]
	if !ok {
		_, err := clients.admin.EndOffsets(ctx, false, topic)
		return cmp.Or(err, fmt.Errorf("topic %s cannot be read at the moment", topic))
	}
	if err := entry.lock.Lock(ctx); err != nil {
		return err
	}
	defer entry.lock.Unlock()
	t.mu.Lock()
	c := entry.connectors[name]
	t.mu.Unlock()
	if c == nil {
		return fmt.Errorf("%s: %w", name, ErrUnknownConnector)
	}
	if err := t.refreshLocked(ctx, entry, offsets); err != nil {
		return err
	}
	if c.stateErr != nil {
		return c.stateErr
	}
	return do(c, clients.reader)
}

// locatedLetters are all letters of some originals, which a replay reads in place of the whole topic.
type locatedLetters struct {
	filter  DeadLetterFilter // the filter of the request, with positions in place of what the index knows
	letters []trackedDeadLetter
	ends    kafka.Positions       // the end offsets of the topic
	topicID string                // [kafka.Range.TopicID]
	isOpen  func(originalID) bool // reports whether an original is open, also one that was not located
}

// locate returns the letters of the originals that a filter selects. Nil means that the topic must be read instead: the
// filter selects all, or the index could not be updated, or lacks letters that are open and may be of the same
// originals. show is as in [DeadLetterQuery].
func (t *deadLetterTracker) locate(ctx context.Context, topic, show string,
	filter DeadLetterFilter) (located *locatedLetters) {
	if filter.IsZero() {
		return nil
	}
	// After an error, located is nil.
	_ = t.withIndex(ctx, filter.Connector, topic, func(c *trackedConnector, _ *kafka.Reader) error {
		if !c.index.isComplete() {
			return nil
		}
		located = &locatedLetters{filter: filter, ends: maps.Clone(c.next), topicID: c.topicID}
		if filter.Positions == nil {
			located.filter = DeadLetterFilter{Connector: filter.Connector, Error: filter.Error,
				Positions: maps.Collect(c.index.selected(show, &filter))}
		}
		located.letters = c.index.related(located.filter.Positions)
		located.isOpen = func(original originalID) (isOpen bool) {
			if c.lock.Lock(ctx) == nil {
				defer c.lock.Unlock()
				isOpen = c.index.isOpen(original)
			}
			return isOpen
		}
		return nil
	})
	return located
}
