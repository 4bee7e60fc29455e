package kafka

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
)

// requestCounter receives the keys of all requests of a client.
type requestCounter chan int16

func (c requestCounter) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, _ error) {
	select {
	case c <- key:
	default:
	}
}

// A topic that is deleted while others are read costs a few requests a second. After each error the client requests
// metadata, at most once a second: they are the clock.
func TestDeletedTopicIsRequestedRarely(t *testing.T) {
	for name, o := range map[string]ConsumerOptions{
		"a list":                  {Group: "g", Topics: []string{"orders", "gone"}},
		"an expression":           {Group: "g", Regex: "orders|gone"},
		"an expression of Java's": {Group: "g", Regex: "orders|gone(?!x)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := openTestBroker(t, t.TempDir())
			makeTopics(t, b.Addr(), Topic{Name: "orders"}, Topic{Name: "gone"})
			c := testConfig(b.Addr())
			requests := make(requestCounter, 100_000)
			c.Extra = append(c.Extra, kgo.WithHooks(requests))
			s := openConsumer(t, c, o)
			ctx := kafkatest.Context(t)
			client := kafkatest.Client(t, kgo.SeedBrokers(b.Addr()))
			put := func(topic string) {
				require.NoError(t, client.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("{}")}).FirstErr())
			}
			receive := func() {
				for {
					records, err := s.Poll(ctx)
					require.NoError(t, err)
					if len(records) > 0 {
						return
					}
				}
			}
			for _, topic := range []string{"orders", "gone"} { // both are read
				put(topic)
				receive()
			}
			_, err := kadm.NewClient(client).DeleteTopics(ctx, "gone")
			require.NoError(t, err)
			fetches := 0
			for metadata := 0; metadata < 5; {
				switch <-requests {
				case int16(kmsg.Metadata):
					metadata++
				case int16(kmsg.Fetch):
					fetches++
				}
			}
			assert.AtMost(t, 200, fetches, "fetches")
			put("orders")
			receive()
		})
	}
}

// Only fetches that are answered at once and without records are delayed, from the eleventh in a row.
func TestQuickFetchesArePaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pace := newFetchPace(Defaults().Consumer.FetchMaxWait)
		broker := kgo.BrokerMetadata{NodeID: 1}
		read := func(key kmsg.Key, wait time.Duration) time.Duration {
			start := time.Now()
			pace.OnBrokerRead(broker, int16(key), 100, wait, 0, nil)
			return time.Since(start)
		}
		for range quickResponses {
			assert.Equal(t, time.Duration(0), read(kmsg.Fetch, 0), "the first ones")
		}
		assert.Equal(t, quickPause, read(kmsg.Fetch, 0), "the next one")
		assert.Equal(t, time.Duration(0), read(kmsg.Metadata, 0), "another request")
		pace.OnFetchBatchRead(broker, "orders", 0, kgo.FetchBatchMetrics{})
		assert.Equal(t, time.Duration(0), read(kmsg.Fetch, 0), "after records")
		for range quickResponses - 1 {
			read(kmsg.Fetch, 0)
		}
		assert.Equal(t, time.Duration(0), read(kmsg.Fetch, quickResponse), "a response that was waited for")
		assert.Equal(t, time.Duration(0), read(kmsg.Fetch, 0), "after a response that was waited for")
	})
}

// Fetches that have waited fetch.max.wait.ms are not delayed, however short it is.
func TestShortWaitsAreNotPaced(t *testing.T) {
	const maxWait = 10 * time.Millisecond
	pace := newFetchPace(maxWait)
	for range quickResponses + 1 {
		assert.Equal(t, false, pace.countResponse(1, maxWait), "a response that was waited for")
	}
	for range quickResponses {
		assert.Equal(t, false, pace.countResponse(1, time.Millisecond), "the first quick ones")
	}
	assert.Equal(t, true, pace.countResponse(1, time.Millisecond), "the next one")
}
