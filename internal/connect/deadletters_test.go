package connect

import (
	"errors"
	"fmt"
	"strconv"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/deadletters"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
)

// newLetterHerd runs a connector c with the dead letter topic dlq, which has letters of so many of its rows.
func newLetterHerd(t *testing.T, count int, lines ...string) *herd {
	t.Helper()
	h := newHerd(t)
	h.Put(h.spyConnector("c", append([]string{"errors.tolerance=all", deadletters.HeadersSetting + "=true",
		deadletters.TopicSetting + "=dlq"}, lines...)...), nil)
	client := kafkatest.Client(t, kgo.SeedBrokers(h.bench.options.Kafka.Bootstrap...), kgo.AllowAutoTopicCreation())
	for n := range count {
		r := &kgo.Record{Topic: "dlq", Value: fmt.Appendf(nil, `{"schema":null,"payload":{"n":%d}}`, n)}
		for name, value := range map[string]string{
			"__connect.errors.connector.name": "c",
			"__connect.errors.topic":          "orders",
			"__connect.errors.partition":      "-1",
			"__connect.errors.offset":         strconv.Itoa(n),
			"__culvert.errors.stage":          "transforms",
		} {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
		}
		require.NoError(t, client.ProduceSync(kafkatest.Context(t), r).FirstErr())
	}
	return h
}

// unknownOpen is the number of open letters of a summary that is unknown.
const unknownOpen = -1

// awaitOpen waits until the connector c has the wanted number of open letters.
func (h *herd) awaitOpen(want int) {
	h.t.Helper()
	var open int
	require.Until(h.t, func() bool {
		open = unknownOpen
		if s := h.DeadLetterSummary("c"); s.Open != nil {
			open = int(*s.Open)
		}
		return open == want
	}, func() string { return fmt.Sprintf("expected %d open letters, found %d", want, open) })
}

// The letters of a connector are counted by the worker that owns it, if they have the headers that name it.
func TestLettersAreCountedByTheOwner(t *testing.T) {
	t.Parallel()
	h := newLetterHerd(t, 1)
	h.awaitOpen(1)
	h.must(h.Assign("c", Assignment{}))
	h.awaitOpen(unknownOpen)
	h.must(h.Assign("c", Assignment{OwnsConnector: true}))
	h.awaitOpen(1)
	h.Put(h.spyConnector("c", "errors.tolerance=all", deadletters.TopicSetting+"=dlq"), nil)
	h.awaitOpen(unknownOpen)
	assert.Equal(t, deadletters.Summary{}, h.DeadLetterSummary("unknown"))
	_, err := h.DiscardDeadLetters(t.Context(), "unknown", deadletters.Filter{})
	assert.Equal(t, true, errors.Is(err, ErrUnknownConnector))
}

// Letters that a connector with its own offsets topic has settled are not open: its writes are copied to the topic of
// the worker.
func TestDeadLettersSettledInAnOwnOffsetsTopicCount(t *testing.T) {
	t.Parallel()
	h := newLetterHerd(t, 3, "offsets.storage.topic=own")
	h.awaitOpen(3)
	var filter deadletters.Filter
	require.NoError(t, filter.SelectPositions([]string{"0@0", "0@1"}))
	_, err := h.DiscardDeadLetters(kafkatest.Context(t), "c", filter)
	require.NoError(t, err)
	h.awaitOpen(1)
}

// The letters of a running source are sent as its rows. A paused one sends none, but can try.
func TestLettersOfASourceAreSent(t *testing.T) {
	t.Parallel()
	h := newLetterHerd(t, 2)
	h.await("c", Running)
	replay := func(want deadletters.Result, isDryRun bool) {
		t.Helper()
		want.Kept = map[string]int{}
		result, err := h.ReplayConnector(kafkatest.Context(t), "c", deadletters.Request{DryRun: isDryRun})
		require.NoError(t, err)
		assert.Equal(t, want, result)
	}
	const isDryRun = true
	h.must(h.SetTarget("c", Paused))
	replay(deadletters.Result{Sent: 2, Delivered: 2}, isDryRun)
	_, err := h.ReplayConnector(kafkatest.Context(t), "c", deadletters.Request{})
	assert.Equal(t, true, errors.Is(err, ErrNotRunning))
	h.must(h.SetTarget("c", Running))
	replay(deadletters.Result{Sent: 2, Delivered: 2}, !isDryRun)
	assert.Equal(t, 2, len(kafkatest.Values(t, h.bench.options.Kafka.Bootstrap[0], "orders")))
	replay(deadletters.Result{}, !isDryRun)
}
