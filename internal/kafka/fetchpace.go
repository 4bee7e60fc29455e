package kafka

import (
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// quickResponse is the longest wait for a response that counts as quick.
	quickResponse = 50 * time.Millisecond
	// quickResponses in a row are usual, for example while leaders move.
	quickResponses = 10
	quickPause     = 100 * time.Millisecond
)

// fetchPace delays fetches that brokers answer at once and without records. A broker does so while a partition of the
// fetch fails, such as one of a deleted topic; clients then send hundreds of fetches a second if the response has other
// partitions. Each broker has a connection for fetches only, which waits in a hook.
type fetchPace struct {
	// threshold is less than the time that a broker waits for records. A broker does not wait if a partition fails.
	threshold time.Duration

	mu    sync.Mutex
	quick map[int32]int // quick responses in a row, by broker
}

func newFetchPace(maxWait time.Duration) *fetchPace {
	return &fetchPace{threshold: min(quickResponse, maxWait/2), quick: map[int32]int{}}
}

func (f *fetchPace) OnBrokerRead(broker kgo.BrokerMetadata, key int16, _ int, readWait, _ time.Duration, err error) {
	if key == int16(kmsg.Fetch) && err == nil && f.countResponse(broker.NodeID, readWait) {
		time.Sleep(quickPause)
	}
}

// countResponse counts a response to a fetch and reports whether the next fetch must be delayed.
func (f *fetchPace) countResponse(broker int32, readWait time.Duration) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if readWait >= f.threshold {
		f.quick[broker] = 0
		return false
	}
	f.quick[broker]++
	return f.quick[broker] > quickResponses
}

func (f *fetchPace) OnFetchBatchRead(broker kgo.BrokerMetadata, _ string, _ int32, _ kgo.FetchBatchMetrics) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.quick[broker.NodeID] = 0
}
