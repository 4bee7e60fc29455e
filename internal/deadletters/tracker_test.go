package deadletters

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
	"github.com/culvert-project/culvert/internal/run/offset"
	"github.com/culvert-project/culvert/wit"
)

// deadLetterOf returns a record of a dead letter topic: the n-th row of a source's connector, which failed in its first
// attempt and in so many replays.
func deadLetterOf(topic, connector string, n, replays int, message string) *kgo.Record {
	r := &kgo.Record{
		Topic:     topic,
		Key:       []byte(strconv.Itoa(n)),
		Value:     fmt.Appendf(nil, `{"n":%d}`, n),
		Timestamp: time.UnixMilli(1_700_000_000_000),
	}
	for name, value := range map[string]string{
		"__connect.errors.connector.name":       connector,
		"__connect.errors.topic":                "orders",
		"__connect.errors.partition":            "-1",
		"__connect.errors.offset":               strconv.Itoa(n),
		"__connect.errors.exception.class.name": "E",
		"__connect.errors.exception.message":    message,
		"__culvert.errors.stage":                "transforms",
		"__culvert.errors.time":                 time.Unix(1_700_000_000+int64(n), 0).UTC().Format(time.RFC3339),
		"__culvert.errors.replays":              strconv.Itoa(replays),
	} {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
	}
	return r
}

// lettersOf returns count letters of different rows that failed for one cause.
func lettersOf(topic, connector string, count int) (records []*kgo.Record) {
	for n := range count {
		records = append(records, deadLetterOf(topic, connector, n, 0, fmt.Sprintf("order \"%d\" is locked", n)))
	}
	return records
}

func produce(t *testing.T, client *kgo.Client, records ...*kgo.Record) {
	t.Helper()
	for chunk := range slices.Chunk(records, 500) { // as many as a task produces at a time
		require.NoError(t, client.ProduceSync(kafkatest.Context(t), chunk...).FirstErr())
	}
}

// 25,000 letters of one fault, as users have them, are one cause, and each is on exactly one page, the newest first.
func TestPagesHaveEachDeadLetterOnce(t *testing.T) {
	t.Parallel()
	const count = 25_000
	h, client := newHarness(t, map[string]string{"c": "dlq", "none": ""})
	produce(t, client, lettersOf("dlq", "c", count)...)
	s := h.awaitOpen("c", count)
	assert.Equal(t, false, s.More)
	assert.Equal(t, 1, len(s.Causes))
	assert.Equal(t, CauseCount{ID: s.Causes[0].ID, Text: `order "…" is locked`, Count: count,
		Newest: 1_700_000_000 + count - 1}, s.Causes[0])
	positions := h.pages("c", Query{Show: ShowOpen, Filter: Filter{Cause: s.Causes[0].ID}})
	assert.Equal(t, count, len(positions))
	for i, position := range positions {
		require.Equal(t, fmt.Sprintf("0@%d x1", count-1-i), position, "place", i)
	}
	for _, cause := range []string{"12345678", "no number"} {
		assert.Equal(t, 0, len(h.pages("c", Query{Show: ShowOpen, Filter: Filter{Cause: cause}})))
	}
	assert.Equal(t, 0, len(h.pages("c", Query{Show: ShowSettled})))
	h.awaitOpen("none", unknownOpen)
	_, err := h.List(kafkatest.Context(t), "c", Query{Show: ShowAll, After: "17-0"}, nil)
	assert.Equal(t, true, errors.Is(err, ErrInvalidAfter))
}

// A summary that became unknown is derived again by the next complete read, even without a letter of the connector.
func TestUnknownSummaryIsDerivedAgain(t *testing.T) {
	t.Parallel()
	c := &trackedConnector{index: newIndex()}
	for _, r := range lettersOf("dlq", "c", 3) {
		l := Parse(r, nil)
		c.index.add(&l)
	}
	offsets := kafka.Range{From: kafka.Positions{0: 0}, To: kafka.Positions{0: 3}}
	const complete, incomplete = true, false
	c.update(offsets, complete)
	assert.Equal(t, int64(3), *c.summary.Load().Open)
	c.summary.Store(nil)
	c.update(offsets, incomplete)
	assert.Equal(t, (*datedSummary)(nil), c.summary.Load(), "after an incomplete read")
	c.update(offsets, complete)
	assert.Equal(t, int64(3), *c.summary.Load().Open, "after a complete read")
}

// A letter needs about 80 bytes; the bound leaves room for growing slices. The test does not run in parallel with
// others, whose memory would count.
func TestDeadLetterNeedsFewBytes(t *testing.T) {
	const count = 25_000
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	index := newIndex()
	for _, r := range lettersOf("dlq", "c", count) {
		l := Parse(r, nil)
		index.add(&l)
	}
	index.update(kafka.Positions{0: 0}, nil)
	runtime.GC()
	runtime.ReadMemStats(&after)
	used := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	assert.True(t, used <= 200*count, "expected at most 200 bytes for each letter, found %d", used/count)
	runtime.KeepAlive(index)
}

// Attempts of one original are one entry, also of connectors that share a topic with transaction markers.
func TestAttemptsOfAnOriginalAreOneEntry(t *testing.T) {
	t.Parallel()
	h, client := newHarness(t, map[string]string{"c": "dlq", "d": "dlq"})
	transactions := kafkatest.Client(t, kgo.SeedBrokers(h.o.Kafka.Bootstrap...), kgo.TransactionalID("x"),
		kgo.AllowAutoTopicCreation(), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	produceInTransaction := func(commit kgo.TransactionEndTry, records ...*kgo.Record) {
		t.Helper()
		require.NoError(t, transactions.BeginTransaction())
		produce(t, transactions, records...)
		require.NoError(t, transactions.EndTransaction(kafkatest.Context(t), commit))
	}
	h.awaitOpen("c", 0)
	// The offsets are 0, 1 and a marker, then 3 and a marker, then 5 to 7, which is a duplicate of the first attempt.
	produceInTransaction(kgo.TryCommit, deadLetterOf("dlq", "c", 1, 0, "no 1"), deadLetterOf("dlq", "d", 1, 0, "no 1"))
	produceInTransaction(kgo.TryAbort, deadLetterOf("dlq", "c", 2, 0, "no 2"))
	produce(t, client,
		deadLetterOf("dlq", "c", 1, 1, "no 1 again"),
		deadLetterOf("dlq", "c", 3, 0, "other"),
		deadLetterOf("dlq", "c", 1, 0, "no 1"))
	assert.Equal(t, 2, len(h.awaitOpen("c", 2).Causes))
	h.awaitOpen("d", 1)
	assert.Equal(t, []string{"0@6 x1", "0@7 x3"}, h.pages("c", Query{Show: ShowAll}))
	assert.Equal(t, []string{"0@7 x3"}, h.pages("c", Query{Show: ShowOpen, Only: &Position{0, 5}}))
	// The first two are of one original, 0@1 is of another connector, and 0@99 does not exist.
	result, err := h.discard("c", "0@0", "0@5", "0@1", "0@99")
	require.NoError(t, err)
	assert.Equal(t, Result{Discarded: 1, Kept: map[string]int{keptUnknown + ": 0@1 0@99": 2}}, result)
	h.awaitOpen("c", 1)
	h.awaitOpen("d", 1)
	assert.Equal(t, []string{"0@6 x1"}, h.pages("c", Query{Show: ShowOpen}))
	assert.Equal(t, []string{"0@7 x3"}, h.pages("c", Query{Show: ShowSettled}))
	result, err = h.discard("c", "0@6", "0@0")
	require.NoError(t, err)
	assert.Equal(t, Result{Discarded: 1, Kept: map[string]int{keptUnknown + ": 0@0": 1}}, result)
	assert.Equal(t, 0, len(h.awaitOpen("c", 0).Causes))
	produceInTransaction(kgo.TryCommit, deadLetterOf("dlq", "d", 2, 0, "no 2"))
	h.awaitOpen("c", 0)
	h.awaitOpen("d", 2)

	// After a change of the topic, letters of the previous one do not count.
	h.put("d", "missing")
	h.awaitOpen("d", 0)
}

// The state of one connector that cannot be read prevents the lists of that connector only.
func TestUnreadableReplayStatePreventsListsOfItsConnectorOnly(t *testing.T) {
	t.Parallel()
	h, client := newHarness(t, map[string]string{"c": "dlq", "d": "dlq"})
	produce(t, client, deadLetterOf("dlq", "c", 1, 0, "no"), deadLetterOf("dlq", "d", 1, 0, "no"))
	h.awaitOpen("c", 1)
	unknown := offset.Entry{Partition: stateKey("dlq", 0), Offset: []wit.OffsetEntry{wit.IntegerEntry("x", 1)}}
	require.NoError(t, h.o.Offsets.Set(kafkatest.Context(t), stateOwnerPrefix+"c", unknown))
	_, err := h.List(kafkatest.Context(t), "c", Query{Show: ShowOpen}, nil)
	assert.Contains(t, fmt.Sprint(err), "stored replay state of topic dlq, partition 0", "found x")
	assert.Equal(t, []string{"0@1 x1"}, h.pages("d", Query{Show: ShowOpen}))
}

// A replay state is parsed when another one is stored, not each time that the tracker looks for new letters.
func TestReplayStateIsParsedWhenItChanges(t *testing.T) {
	t.Parallel()
	h, client := newHarness(t, map[string]string{"c": "dlq"})
	produce(t, client, lettersOf("dlq", "c", 3)...)
	h.awaitOpen("c", 3)
	parsedRange := func() (first *offsetRange) { // its address shows by which call it was parsed
		require.NoError(t, h.withIndex(kafkatest.Context(t), "c", "dlq",
			func(c *trackedConnector, _ *kafka.Reader) error {
				first = &c.states[0].state.settled[0]
				return nil
			}))
		return first
	}
	for _, position := range []string{"0@0", "0@2"} {
		_, err := h.discard("c", position)
		require.NoError(t, err)
		first := parsedRange()
		for range 3 {
			refreshNow(t, h.Queues)
			again := parsedRange()
			require.True(t, again == first, "expected the state to be parsed once, found another one: %v", again)
		}
	}
	h.awaitOpen("c", 1)
}

// Numbers of an incomplete refresh are not shown until the next complete one.
func TestIncompleteRefreshIsNotShown(t *testing.T) {
	t.Parallel()
	c := &trackedConnector{}
	offsets := kafka.Range{From: kafka.Positions{0: 0}, To: kafka.Positions{0: 1}}
	c.prepareIndex(offsets)
	l := Parse(deadLetterOf("dlq", "c", 0, 0, "no"), nil)
	c.index.add(&l)
	for _, isComplete := range []bool{false, true} {
		c.update(offsets, isComplete)
		isKnown := c.summary.Load() != nil
		assert.Equal(t, isComplete, isKnown, fmt.Sprintf("summary after a complete refresh: %t", isComplete))
	}
	assert.Equal(t, int64(1), *c.summary.Load().Open)
}

// refreshNow refreshes all topics and waits until they are read.
func refreshNow(t *testing.T, tracker *Queues) {
	t.Helper()
	require.NoError(t, tracker.refreshAll(kafkatest.Context(t)))
	tracker.reads.Wait()
}

// A topic that takes long to read delays no other one.
func TestLargeTopicDelaysNoOther(t *testing.T) {
	t.Parallel()
	h, client := newHarness(t, map[string]string{"c": "dlq", "d": "dlq2"})
	h.awaitOpen("c", 0)
	h.mu.Lock()
	large := h.topics["dlq"]
	h.mu.Unlock()
	require.NoError(t, large.lock.Lock(kafkatest.Context(t)))
	defer large.lock.Unlock()
	produce(t, client, lettersOf("dlq2", "d", 2)...)
	h.awaitOpen("d", 2)
	produce(t, client, deadLetterOf("dlq2", "d", 2, 0, "no"))
	h.awaitOpen("d", 3)
}

// untrackedTopic returns a topic of a connector that the tracker does not refresh in the background.
func (h *harness) untrackedTopic(topic, connector string) *trackedTopic {
	return &trackedTopic{name: topic, lock: guard.NewCtxMutex(),
		connectors: map[string]*trackedConnector{connector: {name: connector}}}
}

// The index of a topic is dropped with the topic, also if it was empty.
func TestIndexIsDroppedWithItsTopic(t *testing.T) {
	t.Parallel()
	h, _ := newHarness(t, map[string]string{"c": "dlq"})
	h.awaitOpen("c", 0)
	topic := h.untrackedTopic("gone", "c")
	for _, offsets := range []kafka.Range{{From: kafka.Positions{0: 0}, To: kafka.Positions{0: 0}}, {}} {
		require.NoError(t, h.refresh(kafkatest.Context(t), topic, offsets))
		assert.Equal(t, len(offsets.To), len(topic.connectors["c"].next))
	}
}

// Settled letters of a deleted topic do not settle letters of a new topic with its name, even if that has more records.
func TestTopicCreatedAgainHasNoSettledLetters(t *testing.T) {
	t.Parallel()
	h, client := newHarness(t, map[string]string{"c": "dlq"})
	produce(t, client, lettersOf("dlq", "c", 3)...)
	h.awaitOpen("c", 3)
	_, err := h.discard("c", "0@0", "0@1", "0@2")
	require.NoError(t, err)
	h.awaitOpen("c", 0)
	_, err = kadm.NewClient(client).DeleteTopic(kafkatest.Context(t), "dlq")
	require.NoError(t, err)
	newClient := kafkatest.Client(t, kgo.SeedBrokers(h.o.Kafka.Bootstrap...), kgo.AllowAutoTopicCreation())
	produce(t, newClient, lettersOf("dlq", "c", 5)...)
	h.awaitOpen("c", 5)
	var firstLetter Filter
	require.NoError(t, firstLetter.SelectPositions([]string{"0@0"}))
	result, err := h.ReplayConnector(kafkatest.Context(t), "c", Request{Filter: firstLetter})
	require.NoError(t, err)
	for i := range result.Rejections {
		result.Rejections[i].Reason = result.Rejections[i].Reason[:len("its key")]
	}
	assert.Equal(t, Result{Sent: 1, Rejected: 1, Kept: map[string]int{}, Letter: "0@5",
		Rejections: []Rejection{{"0@0", "its key"}}}, result)
	h.awaitOpen("c", 5)
	_, err = h.discard("c", "0@5", "0@1")
	require.NoError(t, err)
	h.awaitOpen("c", 3)
}

// Offsets that are older than the last refresh or the replay state are requested again: the topic does not count as
// created again.
func TestRefreshWithOlderOffsetsKeepsTheIndex(t *testing.T) {
	t.Parallel()
	h, client := newHarness(t, map[string]string{"c": "dlq"})
	produce(t, client, lettersOf("dlq", "c", 3)...)
	h.awaitOpen("c", 3)
	_, err := h.discard("c", "0@0", "0@1", "0@2")
	require.NoError(t, err)
	topic := h.untrackedTopic("dlq", "c")
	c := topic.connectors["c"]
	var index *deadLetterIndex
	for range 2 { // the first refresh reads the topic, the second has nothing to read
		require.NoError(t, h.refresh(kafkatest.Context(t), topic,
			kafka.Range{From: kafka.Positions{0: 0}, To: kafka.Positions{0: 2}}))
		assert.Equal(t, []int64{3, 0}, []int64{c.next[0], *c.summary.Load().Open})
		assert.Equal(t, true, index == nil || index == c.index, "the index was built again")
		index = c.index
	}
}

// After failures a topic is read less often in the background, until a request has read it.
func TestUnreadableTopicIsReadLessOften(t *testing.T) {
	t.Parallel()
	h, client := newHarness(t, map[string]string{"c": "dlq"})
	h.awaitOpen("c", 0)
	tracker := NewQueues(h.o, h)
	ctx, cancel := context.WithCancel(kafkatest.Context(t))
	refreshNow(t, tracker)
	topic := tracker.topics["dlq"]
	for _, wantSeconds := range []time.Duration{3, 6, 12, 24, 48, 96, 192, 300, 300} {
		const hasFailed = true
		tracker.setBackoff(ctx, topic, hasFailed)
		assert.Equal(t, wantSeconds*time.Second, topic.backoff)
	}
	produce(t, client, lettersOf("dlq", "c", 1)...)
	open := func() int64 { return *topic.connectors["c"].summary.Load().Open }
	refreshNow(t, tracker)
	assert.Equal(t, int64(0), open(), "during the backoff")
	require.Until(t, func() bool { // the client may remember for a second that the topic did not exist
		err := tracker.withIndex(ctx, "c", "dlq", func(*trackedConnector, *kafka.Reader) error { return nil })
		return err == nil && open() == 1
	}, func() string { return fmt.Sprintf("expected 1 open letter, found %d", open()) })
	assert.Equal(t, time.Duration(0), topic.backoff)
	cancel()
	tracker.Run(ctx) // closes its clients, also for lists that are requested while the worker shuts down
	err := tracker.withIndex(kafkatest.Context(t), "c", "dlq", nil)
	assert.Error(t, err, "the worker is shutting down")
}

// Secrets in messages of other programs are removed before digits are replaced, which would make them unrecognizable.
func TestCausesAreRedacted(t *testing.T) {
	t.Parallel()
	h, client := newHarness(t, map[string]string{"c": "dlq"})
	file := filepath.Join(t.TempDir(), "secrets")
	require.NoError(t, os.WriteFile(file, []byte("pwd=s3cret-word4711\n"), 0o600))
	entries, _ := config.Read("c.properties", []byte("spy.password=${file:"+file+":pwd}"))
	connector, problems := config.NewConnector("c.properties", entries, h.o.Worker.Providers)
	require.NoError(t, problems.Err())
	defer runtime.KeepAlive(connector)
	produce(t, client, deadLetterOf("dlq", "c", 0, 0, "no s3cret-word4711 for 17 rows"))
	cause := h.awaitOpen("c", 1).Causes[0]
	assert.Equal(t, "no […] for # rows", cause.Text)
	query := Query{Show: ShowOpen, Filter: Filter{Cause: cause.ID}}
	_, err := h.List(kafkatest.Context(t), "c", query,
		func(l ListedLetter) error {
			assert.Equal(t, []string{cause.ID, "no [hidden] for 17 rows"}, []string{l.CauseID(), l.Message})
			return nil
		})
	require.NoError(t, err)
}

// A discard of one of two alternating causes leaves more gaps than ranges are stored. Both causes are settled.
func TestAlternatingCausesAreDiscarded(t *testing.T) {
	t.Parallel()
	const count = 25_000
	h, client := newHarness(t, map[string]string{"c": "dlq"})
	var records []*kgo.Record
	for n := range count {
		records = append(records, deadLetterOf("dlq", "c", n, 0, []string{"odd", "even"}[n%2]))
	}
	produce(t, client, records...)
	for left := count / 2; left >= 0; left -= count / 2 {
		s := h.awaitOpen("c", left+count/2)
		assert.Equal(t, count/2, s.Causes[0].Count)
		result, err := h.Discard(kafkatest.Context(t), "c", Filter{Cause: s.Causes[0].ID})
		require.NoError(t, err)
		assert.Equal(t, Result{Discarded: count / 2, Kept: map[string]int{}}, result)
		h.awaitOpen("c", left)
	}
}

// A state that is too large for a bitmap is not stored.
func TestStateOfSettledLettersIsBounded(t *testing.T) {
	settled := func(letters ...Position) error {
		c := &connectorReplay{partitions: map[int32]*partitionReplay{0: {}}}
		return c.settledStates(letters)[0].checkBounds(0)
	}
	letters := []Position{{Offset: 8 * maxSettledBitmap}}
	for n := range int64(maxSettledRanges) {
		letters = append(letters, Position{Offset: 2*n + 1})
	}
	assert.ErrorIs(t, settled(letters...), ErrTooManyRanges)
	assert.NoError(t, settled(letters[1:]...))
	letters[0].Offset--
	assert.NoError(t, settled(letters...), "within the bitmap")
}

// A list does not wait for the records that another list of the topic reads.
func TestListsDoNotWaitForOneAnother(t *testing.T) {
	t.Parallel()
	h, client := newHarness(t, map[string]string{"c": "dlq", "d": "dlq"})
	produce(t, client, deadLetterOf("dlq", "c", 1, 0, "no"), deadLetterOf("dlq", "d", 1, 0, "no"))
	h.awaitOpen("d", 1)
	ctx, cancel := context.WithTimeout(kafkatest.Context(t), 5*time.Second)
	defer cancel()
	count := 0
	_, err := h.List(ctx, "c", Query{Show: ShowOpen}, func(ListedLetter) error {
		_, err := h.List(ctx, "d", Query{Show: ShowOpen}, func(ListedLetter) error {
			count++
			return nil
		})
		return err
	})
	require.NoError(t, err)
	assert.Equal(t, 1, count)
}

// Beyond the bound the newest letters are kept, and the summary reports that there may be more.
func TestTrackedLettersAreBounded(t *testing.T) {
	t.Parallel()
	index := newIndex()
	assert.Equal(t, maxTrackedLetters, index.limit)
	index.limit = 10
	index.from = kafka.Positions{0: 0}
	fill := func(from, to int) *Summary {
		for n := from; n < to; n++ {
			l := Parse(deadLetterOf("dlq", "c", n, 0, fmt.Sprintf("fault %c", 'a'+rune(n%7))), nil)
			l.Record.Offset = int64(n)
			index.add(&l)
		}
		index.update(kafka.Positions{0: 0}, map[int32]replayState{})
		return index.summary()
	}
	s := fill(0, 10)
	assert.Equal(t, false, s.More)
	assert.Equal(t, int64(10), *s.Open)
	s = fill(10, 11)
	assert.Equal(t, true, s.More)
	assert.Equal(t, int64(9), *s.Open, "nine tenths")
	s = fill(11, 500)
	assert.Equal(t, []any{true, int64(10), 7}, []any{s.More, *s.Open, len(s.Causes)})
	page, err := index.page("dlq", Query{Show: ShowOpen})
	require.NoError(t, err)
	listed := slices.SortedFunc(maps.Keys(page.listed), comparePositions)
	assert.Equal(t, []int64{490, 499}, []int64{listed[0].Offset, listed[9].Offset})
	var older replayState
	older.markSettled(0, 489)
	index.update(kafka.Positions{0: 0}, map[int32]replayState{0: older})
	assert.Equal(t, false, index.summary().More, "all older ones are settled")
	index.update(kafka.Positions{0: 495}, map[int32]replayState{0: older})
	assert.Equal(t, int64(5), *index.summary().Open, "after older ones were deleted from the topic")
}

// Beyond the worker's bound, the connectors with more than an equal share keep fewer letters, also in a shared topic.
func TestTrackedLettersOfWorkerAreBounded(t *testing.T) {
	t.Parallel()
	h, client := newHarness(t, map[string]string{"c": "dlq", "d": "dlq2", "e": "dlq2"})
	tracker := NewQueues(h.o, h)
	assert.Equal(t, int64(maxTrackedOfWorker), tracker.limit)
	tracker.limit = 90
	summaries := func() (open []int64, more []bool) {
		for _, c := range []*trackedConnector{
			tracker.topics["dlq"].connectors["c"],
			tracker.topics["dlq2"].connectors["d"],
			tracker.topics["dlq2"].connectors["e"],
		} {
			s := c.summary.Load()
			open = append(open, *s.Open)
			more = append(more, s.More)
		}
		return open, more
	}
	add := func(records ...*kgo.Record) {
		t.Helper()
		produce(t, client, records...)
		for range 3 { // others shrink at the next refresh
			refreshNow(t, tracker)
		}
	}
	add(slices.Concat(lettersOf("dlq", "c", 50), lettersOf("dlq2", "d", 30), lettersOf("dlq2", "e", 10))...)
	open, more := summaries()
	assert.Equal(t, []int64{50, 30, 10}, open)
	assert.Equal(t, []bool{false, false, false}, more)
	add(lettersOf("dlq2", "e", 1)...) // a duplicate, which is a letter
	open, more = summaries()
	assert.Equal(t, []int64{45, 30, 10}, open)
	assert.Equal(t, []bool{true, false, false}, more)
	add(lettersOf("dlq2", "e", 100)...)
	open, more = summaries()
	assert.Equal(t, []bool{true, false, true}, more)
	assert.Equal(t, true, open[0] >= 27 && open[1] == 30 && open[2] >= 27 && open[0]+open[1]+open[2] <= 90,
		fmt.Sprint(open))
}

// A page that a text selects reads at most a number of letters, and continues after them.
func TestSearchedLettersAreBounded(t *testing.T) {
	t.Parallel()
	index := newIndex()
	for i, r := range lettersOf("dlq", "c", maxSearchedLetters+1) {
		r.Offset = int64(i)
		l := Parse(r, nil)
		index.add(&l)
	}
	index.update(kafka.Positions{0: 0}, nil)
	query := Query{Show: ShowOpen, Filter: Filter{Error: "locked"}}
	for _, want := range []int{maxSearchedLetters, 1} {
		page, err := index.page("dlq", query)
		require.NoError(t, err)
		assert.Equal(t, []any{want, want == 1}, []any{len(page.listed), page.Next == ""})
		query.After = page.Next
	}
}

// Causes beyond the bound are counted and listed together, and cannot be selected together.
func TestCausesAreBounded(t *testing.T) {
	t.Parallel()
	index := newIndex()
	message := func(n int) string { return "fault " + string('a'+rune(n/26%26)) + string('a'+rune(n%26)) }
	for n := range maxCauseTexts + 1 {
		l := Parse(deadLetterOf("dlq", "c", n, 0, message(n)), nil)
		index.add(&l)
	}
	index.update(kafka.Positions{}, nil)
	s := index.summary()
	assert.Equal(t, maxCauseTexts+1, len(s.Causes))
	others := Filter{Cause: UnknownCause}
	page, err := index.page("dlq", Query{Show: ShowOpen, Filter: others})
	require.NoError(t, err)
	assert.Equal(t, 1, len(page.listed))
	otherForm := maps.Collect(index.selected(ShowOpen, &Filter{Cause: "0"}))
	assert.Equal(t, 0, len(otherForm), "another form of the unknown cause")
	h, _ := newHarness(t, map[string]string{"c": "dlq"})
	_, err = h.Discard(t.Context(), "c", others)
	assert.Equal(t, true, errors.Is(err, ErrMixedCauses))
	_, err = h.ReplayConnector(t.Context(), "c", Request{Filter: others})
	assert.Equal(t, true, errors.Is(err, ErrMixedCauses))
}

// A record that is read and refused again after its letter was settled is open again: it is counted, discarded, and
// sent by a replay.
func TestRecordRefusedAgainAfterSettlementIsOpen(t *testing.T) {
	t.Parallel()
	h, client := newHarness(t, map[string]string{"c": "dlq"})
	letter := func() *kgo.Record {
		r := deadLetterOf("dlq", "c", 1, 0, "no")
		r.Key = nil
		r.Value = []byte(`{"schema":null,"payload":{"n":1}}`)
		return r
	}
	produce(t, client, letter(), letter()) // the second one after a crash
	h.awaitOpen("c", 1)
	_, err := h.discard("c", "0@0")
	require.NoError(t, err)
	h.awaitOpen("c", 0)
	for offset := 2; offset < 4; offset++ {
		produce(t, client, letter())
		h.awaitOpen("c", 1)
		assert.Equal(t, []string{fmt.Sprintf("0@%d x%d", offset, offset+1)}, h.pages("c", Query{Show: ShowOpen}))
		if offset == 2 {
			result, err := h.discard("c", "0@2")
			require.NoError(t, err)
			assert.Equal(t, Result{Discarded: 1, Kept: map[string]int{}}, result)
		} else {
			result, err := h.ReplayConnector(kafkatest.Context(t), "c", Request{})
			require.NoError(t, err)
			assert.Equal(t, Result{Sent: 1, Delivered: 1, Kept: map[string]int{}}, result)
		}
		h.awaitOpen("c", 0)
	}
}

// A discard settles the originals of open letters only, as a retry sends these only: the position of a settled letter
// does not select a newer letter of its original.
func TestDiscardSelectsOpenLetters(t *testing.T) {
	t.Parallel()
	h, client := newHarness(t, map[string]string{"c": "dlq"})
	check := func(position string, want Result, wantOpen int) {
		t.Helper()
		result, err := h.discard("c", position)
		require.NoError(t, err)
		assert.Equal(t, want, result, position)
		h.awaitOpen("c", wantOpen)
	}
	discarded := Result{Discarded: 1, Kept: map[string]int{}}
	kept := func(position string) Result {
		return Result{Kept: map[string]int{keptUnknown + ": " + position: 1}}
	}
	row := func() *kgo.Record { return deadLetterOf("dlq", "c", 1, 0, "no") }
	produce(t, client, row())
	check("0@0", discarded, 0)
	check("0@0", kept("0@0"), 0)
	produce(t, client, row(), row())
	check("0@0", kept("0@0"), 1)
	check("0@1", discarded, 0) // the older one of two open letters
	check("0@2", kept("0@2"), 0)
	check("0@3", kept("0@3"), 0)
}

// A discard reads the topic if the index lacks letters that may be open: these are settled, whether they are selected
// or older letters of a selected original.
func TestDiscardSettlesLettersMissingInTheIndex(t *testing.T) {
	t.Parallel()
	const firstRead = 3
	h, client := newHarness(t, map[string]string{"c": "dlq"})
	row := func(n int) *kgo.Record { return deadLetterOf("dlq", "c", n, 0, "no") }
	produce(t, client, row(0), row(1), row(2), row(0), row(3))
	h.awaitOpen("c", 4)
	topic := h.topics["dlq"]
	dropOld := func() {
		require.NoError(t, topic.lock.Lock(t.Context()))
		defer topic.lock.Unlock()
		index := topic.connectors["c"].index
		index.letters = slices.DeleteFunc(index.letters, func(l indexedLetter) bool { return l.offset < firstRead })
		index.from[0] = firstRead
		index.indexed = 0
	}
	dropOld()
	for _, position := range []string{"0@3", "0@1"} {
		result, err := h.discard("c", position)
		require.NoError(t, err)
		assert.Equal(t, Result{Discarded: 1, Kept: map[string]int{}}, result, position)
	}
	var settled []bool
	require.NoError(t, h.withIndex(t.Context(), "c", "dlq", func(c *trackedConnector, _ *kafka.Reader) error {
		for offset := range int64(5) {
			settled = append(settled, c.index.isSettled(&indexedLetter{offset: offset}))
		}
		return nil
	}))
	assert.Equal(t, []bool{true, true, false, true, false}, settled)
}

// lettersOfTwoCauses returns sendable letters. Each second one is of one cause; row 7 has ten values.
func lettersOfTwoCauses(count int) (records []*kgo.Record) {
	for n := range count {
		r := sendableLetter(n)
		for i := range r.Headers {
			if r.Headers[i].Key == "__connect.errors.exception.message" {
				r.Headers[i].Value = []byte([]string{"order 17 is locked", "no stock"}[n%2])
			}
		}
		if n%25 == 7 {
			r.Key = []byte(`{"schema":null,"payload":7}`)
			r.Timestamp = time.Unix(1_700_000_000+int64(n), 0)
		}
		records = append(records, r)
	}
	return records
}

// A list, with and without a worker, a dry run, a replay and a discard select the same letters by a filter, whether the
// index has all letters or the topic must be read.
func TestFilterSelectsTheSameLetters(t *testing.T) {
	t.Parallel()
	const count = 250
	h, client := newHarness(t, map[string]string{"c": "dlq"})
	produce(t, client, lettersOfTwoCauses(count)...)
	causes := h.awaitOpen("c", count).Causes
	assert.Equal(t, 2, len(causes))
	at := func(n int64) time.Time { return time.Unix(1_700_000_000+n, 0) }
	const isComplete, isIncomplete = true, false
	for name, test := range map[string]struct {
		filter Filter
		want   int
	}{
		"cause":            {Filter{Cause: causes[0].ID}, count / 2},
		"unknown cause":    {Filter{Cause: "12345678"}, 0},
		"since":            {Filter{Since: at(200)}, 50},
		"until":            {Filter{Until: at(200)}, 200},
		"text":             {Filter{Error: "NO STOCK"}, count / 2},
		"superseded":       {Filter{Superseded: true}, 9},
		"text, superseded": {Filter{Superseded: true, Error: "locked"}, 4},
		"text, time":       {Filter{Error: "locked", Since: at(10), Until: at(14)}, 2},
		"text of a cause":  {Filter{Cause: causes[0].ID, Error: causes[1].Text[:5]}, 0},
	} {
		query := Query{Show: ShowOpen, Filter: test.filter}
		assert.Equal(t, test.want, len(h.pages("c", query)), name)
		assert.Equal(t, test.want, len(h.topicPages("c", query)), name+", without a worker")
		page, err := h.List(kafkatest.Context(t), "c", query, func(ListedLetter) error { return nil })
		require.NoError(t, err)
		if test.filter.Error != "" {
			assert.Equal(t, (*int64)(nil), page.Matching, name)
		} else {
			assert.Equal(t, int64(test.want), *page.Matching, name)
		}
		for _, complete := range []bool{isComplete, isIncomplete} {
			name := fmt.Sprintf("%s, index complete: %t", name, complete)
			require.NoError(t, h.withIndex(kafkatest.Context(t), "c", "dlq",
				func(c *trackedConnector, _ *kafka.Reader) error {
					c.index.from[0] = 0
					if !complete {
						c.index.from[0] = count
					}
					return nil
				}))
			dry := Request{Filter: test.filter, DryRun: true}
			result, err := h.ReplayConnector(kafkatest.Context(t), "c", dry)
			require.NoError(t, err)
			assert.Equal(t, Result{Sent: test.want, Delivered: test.want, Kept: map[string]int{}}, result, name)
		}
	}
	// The index is incomplete, as at first.
	lockedFilter := Filter{Superseded: true, Error: "locked"}
	h.discardSelected(lockedFilter, 4)
	newest := Request{Filter: Filter{Since: at(180)}}
	replayed, err := h.ReplayConnector(kafkatest.Context(t), "c", newest)
	require.NoError(t, err)
	assert.Equal(t, Result{Sent: 69, Delivered: 69, Kept: map[string]int{}}, replayed, "one of 70 was discarded")
	h.awaitOpen("c", count-4-69)
	for _, show := range []string{ShowOpen, ShowSettled, ShowAll} {
		assert.Equal(t, h.pages("c", Query{Show: show}), h.topicPages("c", Query{Show: show}), show+", without a worker")
	}
	h.discardSelected(Filter{Since: at(1)}, count-4-69-1)
	h.awaitOpen("c", 1)
	h.replayAgain(Filter{Error: "no stock"}, count/2)
	h.awaitOpen("c", 1) // letters that the filter does not select are still settled
	h.discardSelected(Filter{}, 1)
	h.awaitOpen("c", 0)
}

// discardSelected discards the open letters of the connector c that a filter selects.
func (h *harness) discardSelected(filter Filter, want int) {
	h.t.Helper()
	discarded, err := h.Discard(kafkatest.Context(h.t), "c", filter)
	require.NoError(h.t, err)
	assert.Equal(h.t, Result{Discarded: want, Kept: map[string]int{}}, discarded)
}

// replayAgain replays all letters of the connector c that a filter selects, also settled ones.
func (h *harness) replayAgain(filter Filter, want int) {
	h.t.Helper()
	again := Request{Filter: filter, IncludeReplayed: true, IncludeSuperseded: true}
	replayed, err := h.ReplayConnector(kafkatest.Context(h.t), "c", again)
	require.NoError(h.t, err)
	assert.Equal(h.t, Result{Sent: want, Delivered: want, Kept: map[string]int{}}, replayed, "again")
}

// A replay of a topic opens only connectors whose letters it may select. It reports letters of unknown connectors.
func TestReplayOpensSelectedConnectorsOnly(t *testing.T) {
	t.Parallel()
	h, client := newHarness(t, map[string]string{"c": "dlq", "broken": "dlq"})
	produce(t, client, sendableLetter(1), deadLetterOf("dlq", "broken", 2, 0, "other"),
		deadLetterOf("dlq", "gone", 3, 0, "no"))
	result, err := h.Replay(kafkatest.Context(t), Request{Topic: "dlq", Filter: Filter{Error: "no"}})
	require.NoError(t, err)
	assert.Equal(t, Result{Sent: 1, Delivered: 1, Kept: map[string]int{
		`of connector "gone", which is not configured`: 1}}, result)
	_, err = h.Replay(kafkatest.Context(t), Request{Topic: "dlq"})
	assert.Error(t, err, "connector broken: it has no class")
}
