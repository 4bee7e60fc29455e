package deadletters

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/kafka"
)

// Summary counts the open dead letters of a connector by original record or row.
type Summary struct {
	// Open is nil if the number is unknown: this worker does not count the letters of the connector or has not read the
	// topic yet, or may not read it.
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

// trackedTopic is one dead letter topic, which several connectors may share.
type trackedTopic struct {
	name string
	lock guard.CtxMutex // held while the topic is read, guards the connectors' indexes
	// The following are guarded by [Queues.mu].
	connectors map[string]*trackedConnector
	backoff    time.Duration // zero after a success
	retryAt    time.Time     // before that, the topic is not read in the background
	isReading  bool          // in the background
}

// trackedConnector is a connector of a tracked topic.
type trackedConnector struct {
	name     string
	lock     guard.CtxMutex        // of the topic
	index    *deadLetterIndex      // nil means that nothing was read
	letters  atomic.Int64          // number of letters in index
	next     kafka.Positions       // where the next read starts
	topicID  string                // [kafka.Range.TopicID] of what was read
	isStale  bool                  // the index has changed since the summary was derived
	states   map[int32]parsedState // by partition
	stateErr error                 // of the last read of the replay states
	summary  atomic.Pointer[datedSummary]
}

// datedSummary is a summary with the last time that it was up to date. Nil means unknown.
type datedSummary struct {
	Summary
	readAt time.Time
}

// Summary returns what this worker knows of the open dead letters of a connector.
func (q *Queues) Summary(connector string) Summary {
	topic, isCounted, err := q.connectors.Topic(connector)
	if err != nil || topic == "" || !isCounted {
		return Summary{}
	}
	q.mu.Lock()
	var c *trackedConnector
	if entry := q.topics[topic]; entry != nil {
		c = entry.connectors[connector]
	}
	q.mu.Unlock()
	if c == nil {
		return Summary{}
	}
	s := c.summary.Load()
	if s == nil || time.Since(s.readAt) > trackingGrace {
		return Summary{}
	}
	return s.Summary
}

// Run counts the letters of connectors until ctx ends, and closes the clients.
func (q *Queues) Run(ctx context.Context) {
	ticker := time.NewTicker(trackingInterval)
	defer ticker.Stop()
	for ctx.Err() == nil {
		err := guard.Do(q.o.Logger, "counting dead letters", func() error { return q.refreshAll(ctx) })
		if err != nil && ctx.Err() == nil {
			q.o.Logger.Debug("dead letters are not counted", "error", err)
		}
		select {
		case <-ticker.C:
		case <-q.wake:
		case <-ctx.Done():
		}
	}
	q.reads.Wait()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.isClosed = true
	q.clients.Close()
}

// openClients opens the clients if needed. A request may still use them after they are closed at shutdown.
func (q *Queues) openClients() (clients *kafka.Clients, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.isClosed:
		return nil, errors.New("the worker is shutting down")
	case q.clients == nil:
		q.clients, err = kafka.OpenClients(kafka.NewAdmin, q.o.Kafka)
	}
	return q.clients, err
}

// track adds a connector to its topic and returns the topic.
func (q *Queues) track(connector, topic string) *trackedTopic {
	q.mu.Lock()
	defer q.mu.Unlock()
	entry := q.topics[topic]
	if entry == nil {
		entry = &trackedTopic{name: topic, lock: guard.NewCtxMutex(), connectors: map[string]*trackedConnector{}}
		q.topics[topic] = entry
	}
	if entry.connectors[connector] == nil {
		entry.connectors[connector] = &trackedConnector{name: connector, lock: entry.lock}
	}
	return entry
}

// refreshAll starts to refresh the topics of all counted connectors, without waiting, and removes other connectors.
func (q *Queues) refreshAll(ctx context.Context) error {
	counted := q.connectors.Topics()
	for connector, topic := range counted {
		q.track(connector, topic)
	}
	q.mu.Lock()
	letters := int64(0)
	for topic, entry := range q.topics {
		maps.DeleteFunc(entry.connectors, func(name string, _ *trackedConnector) bool { return counted[name] != topic })
		if len(entry.connectors) == 0 {
			delete(q.topics, topic)
		}
		for _, c := range entry.connectors {
			letters += c.letters.Load()
		}
	}
	q.letters.Store(letters)
	q.counted.Store(int64(len(counted)))
	dueTopics := slices.Collect(maps.Values(q.topics))
	dueTopics = slices.DeleteFunc(dueTopics, func(entry *trackedTopic) bool {
		return entry.isReading || time.Now().Before(entry.retryAt)
	})
	q.mu.Unlock()
	if len(dueTopics) == 0 {
		return nil
	}
	ranges, err := q.loadRanges(ctx, dueTopics...)
	if err != nil {
		return err
	}
	for _, entry := range dueTopics {
		if offsets, ok := ranges[entry.name]; ok {
			q.startRefresh(ctx, entry, offsets)
		} else {
			q.setBackoff(ctx, entry, true)
		}
	}
	return nil
}

// startRefresh refreshes a topic in the background as soon as fewer than [concurrentReads] reads run.
func (q *Queues) startRefresh(ctx context.Context, entry *trackedTopic, offsets kafka.Range) {
	setReading := func(isReading bool) {
		q.mu.Lock()
		defer q.mu.Unlock()
		entry.isReading = isReading
	}
	setReading(true)
	q.reads.Go(func() {
		defer setReading(false)
		select {
		case q.slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		defer func() { <-q.slots }()
		err := guard.Do(q.o.Logger, "counting dead letters", func() error {
			if err := entry.lock.Lock(ctx); err != nil {
				return err
			}
			defer entry.lock.Unlock()
			return q.refresh(ctx, entry, offsets)
		})
		if err != nil && ctx.Err() == nil {
			q.o.Logger.Debug("dead letters are not counted", "topic", entry.name, "error", err)
		}
	})
}

// setBackoff pauses background reads after a failed read, each time longer. A successful read ends the pause.
func (q *Queues) setBackoff(ctx context.Context, entry *trackedTopic, hasFailed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case !hasFailed:
		entry.backoff = 0
	case ctx.Err() == nil: // else the request was canceled
		entry.backoff = min(max(2*entry.backoff, trackingInterval), maxTrackingBackoff)
	}
	entry.retryAt = time.Now().Add(entry.backoff)
}

// loadRanges returns the offsets of the topics that can be read, and loads the replay states of their connectors.
func (q *Queues) loadRanges(ctx context.Context, topics ...*trackedTopic) (map[string]kafka.Range, error) {
	if q.o.Offsets == nil {
		return nil, errors.New("the worker has no offsets topic")
	}
	clients, err := q.openClients()
	if err != nil {
		return nil, err
	}
	var names, owners []string
	q.mu.Lock()
	for _, entry := range topics {
		names = append(names, entry.name)
		for name := range entry.connectors {
			owners = append(owners, stateOwnerPrefix+name)
		}
	}
	q.mu.Unlock()
	ranges := clients.Admin.Ranges(ctx, names...)
	if err := q.o.Offsets.Load(ctx, owners...); err != nil {
		return nil, err
	}
	return ranges, q.o.Offsets.Refresh(ctx)
}

// refresh reads the new records of a topic, which has these offsets, and updates the summaries of its connectors. The
// lock of the topic is held.
func (q *Queues) refresh(ctx context.Context, entry *trackedTopic, offsets kafka.Range) error {
	clients, err := q.openClients()
	if err != nil {
		return err
	}
	q.mu.Lock()
	connectors := maps.Clone(entry.connectors)
	q.mu.Unlock()
	isExceeded := false
	for _, c := range connectors {
		q.readStates(ctx, entry.name, c, offsets)
		isExceeded = c.exceeds(offsets) || isExceeded
	}
	if isExceeded { // another refresh or a replay came first, or the topic was created again
		current, ok := clients.Admin.Ranges(ctx, entry.name)[entry.name]
		if !ok {
			q.setBackoff(ctx, entry, true)
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
		_, readErr = clients.Reader.Read(ctx, entry.name, kafka.ReadOptions{From: from, To: offsets.To},
			func(r *kgo.Record) error {
				l := Parse(r, q.o.Worker.Redact)
				if c := connectors[l.Connector]; c != nil && r.Offset >= c.next[r.Partition] {
					c.index.add(&l)
					q.updateLimit(c)
					c.next[r.Partition] = r.Offset + 1
				}
				return nil
			})
	}
	q.setBackoff(ctx, entry, readErr != nil)
	for _, c := range connectors {
		if readErr == nil {
			maps.Copy(c.next, offsets.To)
		}
		q.updateLimit(c)
		if c.stateErr == nil {
			c.update(offsets, readErr == nil)
		}
		if errors.Is(readErr, kerr.TopicAuthorizationFailed) { // also of a topic that was empty before
			c.summary.Store(nil)
		}
		q.updateLimit(c) // again, because update drops letters
	}
	return readErr
}

// updateLimit counts the letters of a connector and limits them to an equal share, or more if others need less.
func (q *Queues) updateLimit(c *trackedConnector) {
	count := int64(len(c.index.letters))
	total := q.letters.Add(count - c.letters.Swap(count))
	share := q.limit / max(1, q.counted.Load())
	c.index.limit = int(min(maxTrackedLetters, max(share, q.limit-total+count)))
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
		c.index = newIndex()
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
func (q *Queues) readStates(ctx context.Context, topic string, c *trackedConnector, offsets kafka.Range) {
	states := map[int32]parsedState{}
	c.stateErr = nil
	for partition := range offsets.To {
		fields, _, err := q.o.Offsets.Get(ctx, stateOwnerPrefix+c.name, stateKey(topic, partition))
		p := c.states[partition]
		if err == nil {
			p.update(fields)
			err = p.err
		}
		if err != nil {
			c.stateErr = fmt.Errorf("stored replay state of topic %s, partition %d: %w", topic, partition, err)
			q.o.Logger.Debug("dead letters are not counted", "connector", c.name, "error", err)
		}
		states[partition] = p
	}
	c.states = states
}

// update derives the summary from new letters and replay states. isComplete means that all new letters were read.
func (c *trackedConnector) update(offsets kafka.Range, isComplete bool) {
	states := map[int32]replayState{}
	for partition, p := range c.states {
		states[partition] = p.state
	}
	c.isStale = c.index.update(offsets.From, statesOf(states, offsets)) || c.isStale
	if !isComplete {
		return // the summary remains until it is too old
	}
	current := &datedSummary{readAt: time.Now()}
	if dated := c.summary.Load(); dated != nil && !c.isStale {
		current.Summary = dated.Summary
	} else {
		current.Summary = *c.index.summary()
	}
	c.isStale = false
	c.summary.Store(current)
}

// withIndex refreshes a topic and calls do with the connector, while the lock of the topic is held.
func (q *Queues) withIndex(ctx context.Context, connector, topic string,
	do func(*trackedConnector, *kafka.Reader) error) error {
	clients, err := q.openClients()
	if err != nil {
		return err
	}
	entry := q.track(connector, topic)
	ranges, err := q.loadRanges(ctx, entry)
	if err != nil {
		return err
	}
	offsets, ok := ranges[topic]
	if !ok {
		_, err := clients.Admin.EndOffsets(ctx, false, topic) // loadRanges returns no reason
		return cmp.Or(err, fmt.Errorf("topic %s cannot be read at the moment", topic))
	}
	if err := entry.lock.Lock(ctx); err != nil {
		return err
	}
	defer entry.lock.Unlock()
	q.mu.Lock()
	c := entry.connectors[connector]
	q.mu.Unlock()
	if c == nil {
		_, err := q.topic(connector) // it may have been deleted
		return cmp.Or(err, fmt.Errorf("the dead letter topic of connector %s has changed: try again", connector))
	}
	if err := q.refresh(ctx, entry, offsets); err != nil {
		return err
	}
	if c.stateErr != nil {
		return c.stateErr
	}
	return do(c, clients.Reader)
}

// locate sets which letters a replay reads in place of the whole topic: all letters of the originals that its filter
// selects. It sets nothing if the filter selects all, or the index could not be updated, or lacks letters that are open
// and may be of the same originals.
func (q *Queues) locate(ctx context.Context, r *Request) {
	if r.Filter.IsZero() {
		return
	}
	show := ShowOpen
	if r.IncludeReplayed {
		show = ShowAll
	}
	// After an error, nothing is set.
	_ = q.withIndex(ctx, r.Filter.Connector, r.Topic, func(c *trackedConnector, _ *kafka.Reader) error {
		if !c.index.isComplete() {
			return nil
		}
		if r.Filter.Positions == nil { // the index has no texts of letters, so Error stays
			r.Filter = Filter{Connector: r.Filter.Connector, Error: r.Filter.Error,
				Positions: maps.Collect(c.index.selected(show, &r.Filter))}
		}
		r.isLocated = true
		r.letters = c.index.related(r.Filter.Positions)
		r.offsets = kafka.Range{To: maps.Clone(c.next), TopicID: c.topicID}
		r.isOpen = func(original originalID) (isOpen bool) {
			if c.lock.Lock(ctx) == nil {
				defer c.lock.Unlock()
				isOpen = c.index.isOpen(original)
			}
			return isOpen
		}
		return nil
	})
}
