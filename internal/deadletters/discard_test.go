package deadletters

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
	"github.com/culvert-project/culvert/internal/run/offset"
	"github.com/culvert-project/culvert/wit"
)

// A discard that fails after it has stored a part leaves the newest letter of an original open. If only the older
// letter were open, a replay would send all its rows, although some of them may have been delivered since.
func TestFailedDiscardLeavesTheNewestLetterOpen(t *testing.T) {
	t.Parallel()
	h, client := newHarness(t, map[string]string{"c": "dlq"})
	const originals = 8
	_, err := kadm.NewClient(client).CreateTopic(kafkatest.Context(t), 2, 1, nil, "dlq")
	require.NoError(t, err)
	var newest []Position
	for n := range originals {
		position := Position{int32(n % 2), int64(n)}
		for partition := range int32(2) {
			letter := deadLetterOf("dlq", "c", n, 0, "no")
			letter.Partition = partition
			if partition == position.Partition {
				for i := range letter.Headers {
					if letter.Headers[i].Key == "__culvert.errors.time" {
						letter.Headers[i].Value = []byte(time.Unix(1_700_001_000, 0).UTC().Format(time.RFC3339))
					}
				}
			}
			produce(t, client, letter)
		}
		newest = append(newest, position)
	}
	h.awaitOpen("c", originals)
	name := h.o.Worker.Text("offset.storage.topic")
	topics, err := kadm.NewClient(client).ListTopics(kafkatest.Context(t), name)
	require.NoError(t, err)
	stores := make(chan struct{}, 1) // has an element while one more state can be stored
	kafkatest.RejectIf(h.broker.Cluster, kmsg.Produce, kerr.TopicAuthorizationFailed, func(r kmsg.Request) bool {
		topic := r.(*kmsg.ProduceRequest).Topics[0]
		if topic.Topic != name && topic.TopicID != [16]byte(topics[name].ID) {
			return false
		}
		select {
		case <-stores:
			return false
		default:
			return true
		}
	})
	for _, position := range newest {
		stores <- struct{}{}
		_, err := h.discard("c", position.String())
		assert.Error(t, err, kerr.TopicAuthorizationFailed.Message)
		require.NoError(t, h.withIndex(kafkatest.Context(t), "c", "dlq",
			func(c *trackedConnector, _ *kafka.Reader) error {
				settled := fmt.Sprintf("%v is settled: %t, the older letter: %t", position,
					c.index.isSettled(&indexedLetter{partition: position.Partition, offset: position.Offset}),
					c.index.isSettled(&indexedLetter{partition: 1 - position.Partition, offset: position.Offset}))
				assert.Equal(t, fmt.Sprintf("%v is settled: false, the older letter: true", position), settled)
				return nil
			}))
	}
}

// Letters are open that the state of a topic with the same name does not settle, also if it was stored without the
// topic's ID. They can be discarded.
func TestDiscardIgnoresTheStateOfAnEarlierTopic(t *testing.T) {
	t.Parallel()
	h, client := newHarness(t, map[string]string{"c": "dlq"})
	produce(t, client, lettersOf("dlq", "c", 3)...)
	h.awaitOpen("c", 3)
	earlier := offset.Entry{Partition: stateKey("dlq", 0), Offset: []wit.OffsetEntry{wit.IntegerEntry(fieldNext, 100)}}
	require.NoError(t, h.o.Offsets.Set(kafkatest.Context(t), stateOwnerPrefix+"c", earlier))
	h.awaitOpen("c", 3)
	result, err := h.discard("c", "0@0", "0@2")
	require.NoError(t, err)
	assert.Equal(t, Result{Discarded: 2, Kept: map[string]int{}}, result)
	h.awaitOpen("c", 1)
}
