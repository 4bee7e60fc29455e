package deadletters

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
)

// sendableLetter returns a letter of a row that the connector of the tests can send.
func sendableLetter(n int) *kgo.Record {
	r := deadLetterOf("dlq", "c", n, 0, "no")
	r.Key = nil
	r.Value = fmt.Appendf(nil, `{"schema":null,"payload":{"n":%d}}`, n)
	return r
}

// fetchOffsets records the offsets from which a topic is read.
type fetchOffsets struct {
	mu      sync.Mutex
	offsets []int64
}

func (h *harness) recordFetches(client *kgo.Client, topic string) *fetchOffsets {
	topics, err := kadm.NewClient(client).ListTopics(kafkatest.Context(h.t), topic)
	require.NoError(h.t, err)
	f := &fetchOffsets{}
	h.broker.Cluster.ControlKey(int16(kmsg.Fetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		h.broker.Cluster.KeepControl()
		for _, fetched := range r.(*kmsg.FetchRequest).Topics {
			if fetched.Topic == topic || fetched.TopicID == [16]byte(topics[topic].ID) {
				f.mu.Lock()
				f.offsets = append(f.offsets, fetched.Partitions[0].FetchOffset)
				f.mu.Unlock()
			}
		}
		return nil, nil, false
	})
	return f
}

// below returns the recorded offsets before end, each once, and forgets all.
func (f *fetchOffsets) below(end int64) []int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	offsets := slices.DeleteFunc(f.offsets, func(offset int64) bool { return offset >= end })
	f.offsets = nil
	slices.Sort(offsets)
	return slices.Compact(offsets)
}

// A retry of single letters in a topic of 5 MB reads only these letters and the other letters of their rows.
func TestRetryReadsItsLettersOnly(t *testing.T) {
	t.Parallel()
	const count = 100
	h, client := newHarness(t, map[string]string{"c": "dlq"})
	var records []*kgo.Record
	for n := range count {
		r := sendableLetter(n)
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: "text", Value: []byte(strings.Repeat("x", 50_000))})
		records = append(records, r)
	}
	records[99] = records[20] // a duplicate
	for _, r := range records {
		produce(t, client, r)
	}
	h.awaitOpen("c", count-1)
	fetches := h.recordFetches(client, "dlq")
	retry := func(again bool, positions ...string) Result {
		t.Helper()
		var f Filter
		require.NoError(t, f.SelectPositions(positions))
		result, err := h.ReplayConnector(kafkatest.Context(t), "c", Request{Filter: f, IncludeReplayed: again})
		require.NoError(t, err)
		return result
	}
	const again = true
	assert.Equal(t, Result{Sent: 1, Delivered: 1, Kept: map[string]int{}}, retry(!again, "0@40"))
	assert.Equal(t, []int64{40}, fetches.below(count))
	assert.Equal(t, Result{Sent: 1, Delivered: 1, Kept: map[string]int{}}, retry(!again, "0@20"))
	assert.Equal(t, []int64{20, 99}, fetches.below(count))
	h.awaitOpen("c", count-3)
	assert.Equal(t, Result{Kept: map[string]int{keptUnknown + ": 0@40": 1}}, retry(!again, "0@40"))
	assert.Equal(t, Result{Sent: 1, Delivered: 1, Kept: map[string]int{}}, retry(again, "0@40"))
	assert.Equal(t, []int64{40}, fetches.below(count))
	h.awaitOpen("c", count-3)
	assert.Equal(t, Result{Sent: count - 3, Delivered: count - 3, Kept: map[string]int{}}, retry(!again))
}

// Letters are located if the index of the tracker has all letters that are open. Otherwise a replay reads the topic: an
// older letter of the same record would remain open, and be sent again.
func TestLettersAreLocatedInTheIndex(t *testing.T) {
	t.Parallel()
	const firstRead = 5
	h, client := newHarness(t, map[string]string{"c": "dlq"})
	produce(t, client, lettersOf("dlq", "c", 2*firstRead)...)
	h.awaitOpen("c", 2*firstRead)
	ctx := kafkatest.Context(t)
	require.NoError(t, h.withIndex(ctx, "c", "dlq", func(c *trackedConnector, _ *kafka.Reader) error {
		c.index.from[0] = firstRead
		return nil
	}))
	located := func(offset int64) Request {
		r := Request{Topic: "dlq"}
		r.Filter = Filter{Connector: "c", Positions: map[Position]bool{{Offset: offset}: true}}
		h.locate(ctx, &r)
		return r
	}
	for _, offset := range []int64{firstRead - 1, firstRead} {
		assert.Equal(t, false, located(offset).isLocated)
	}
	_, err := h.discard("c", "0@0", "0@1", "0@2", "0@3", "0@4")
	require.NoError(t, err)
	letters := located(firstRead)
	l := Parse(lettersOf("dlq", "c", firstRead+1)[firstRead], nil)
	original := l.recordID().original()
	assert.Equal(t, []int64{1, firstRead}, []int64{int64(len(letters.letters)), letters.letters[0].Offset})
	assert.Equal(t, true, letters.isOpen(original))
	_, err = h.discard("c", "0@5")
	require.NoError(t, err)
	h.awaitOpen("c", firstRead-1)
	assert.Equal(t, false, letters.isOpen(original))
}
