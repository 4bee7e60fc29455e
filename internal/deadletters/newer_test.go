package deadletters

import (
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
)

// failedRow returns the letter at an offset of a row, which has failed at a time in seconds.
func failedRow(offset int64, seconds int64) *Letter {
	return &Letter{Record: &kgo.Record{Offset: offset}, Origin: Origin{Offset: offset},
		Cause: Cause{FailedAt: time.Unix(seconds, 0)}}
}

// A record of the same key holds a row back if it may be newer. Times decide, and in doubt the record is newer.
func TestNewerRowsHoldLettersBack(t *testing.T) {
	record := func(key, value string, millis int64) *kgo.Record {
		return &kgo.Record{Topic: "t", Key: []byte(key), Value: []byte(value), Timestamp: time.UnixMilli(millis)}
	}
	deletion := record("k", "", 101_000)
	deletion.Value = nil
	withoutKey := record("", "b", 101_000)
	withoutKey.Key = nil
	otherTopic := record("k", "b", 101_000)
	otherTopic.Topic = "u"
	row := failedRow(0, 100)
	ownTime := failedRow(0, 100)
	ownTime.Timestamp = time.Unix(50, 0)
	for name, test := range map[string]struct {
		letter  *Letter
		records []*kgo.Record
		want    bool
	}{
		"no record":                      {letter: row},
		"a later record":                 {letter: row, records: []*kgo.Record{record("k", "b", 101_000)}, want: true},
		"a deletion":                     {letter: row, records: []*kgo.Record{deletion}, want: true},
		"a record of another key":        {letter: row, records: []*kgo.Record{record("l", "b", 101_000)}},
		"a record of another topic":      {letter: row, records: []*kgo.Record{otherTopic}},
		"a record without a key":         {letter: row, records: []*kgo.Record{withoutKey}},
		"clocks may differ by 2 seconds": {letter: row, records: []*kgo.Record{record("k", "b", 98_000)}, want: true},
		"an earlier record":              {letter: row, records: []*kgo.Record{record("k", "b", 97_999)}},
		"after the time of the row":      {letter: ownTime, records: []*kgo.Record{record("k", "b", 60_000)}, want: true},
		"before the time of the row":     {letter: ownTime, records: []*kgo.Record{record("k", "b", 40_000)}},
		"the letter's own record":        {letter: row, records: []*kgo.Record{record("k", "a", 101_000)}},
		"a record before the letter's own": {letter: row,
			records: []*kgo.Record{record("k", "b", 101_000), record("k", "a", 102_000)}},
		"a record after the letter's own": {letter: row,
			records: []*kgo.Record{record("k", "a", 101_000), record("k", "b", 102_000)}, want: true},
	} {
		newer := newSourceNewerRecords(kafka.Config{}, nil)
		newer.watch(test.letter, "t", []byte("k"), []byte("a"))
		for _, r := range test.records {
			newer.add(r)
		}
		assert.Equal(t, test.want, newer.isSuperseded(test.letter), name+": the letter is held back")
	}
}

// Records to look for use the memory of replays, once for each record that a letter becomes.
func TestNewerRecordsAreBounded(t *testing.T) {
	for name, c := range map[string]struct {
		newer func(*runningReplay) newerRecords
		bytes int64 // of a letter
		watch func(n newerRecords, i int)
	}{
		"of a source": {
			newer: func(r *runningReplay) newerRecords { return newSourceNewerRecords(kafka.Config{}, r) },
			bytes: watchedRowBytes,
			watch: func(n newerRecords, i int) { n.watch(failedRow(0, 100), "t", []byte{byte(i)}, []byte("a")) },
		},
		"of a sink": {
			newer: func(r *runningReplay) newerRecords { return newSinkNewerRecords(kafka.Config{}, r, nil) },
			bytes: watchedKeyBytes,
			watch: func(n newerRecords, i int) { n.watch(failedRow(int64(i), 100), "t", nil, nil) },
		},
	} {
		reserved := maxReplayBytes - 2*c.bytes
		running := &runningReplay{registry: &replayRegistry{bytes: reserved}, bytes: reserved}
		newer := c.newer(running)
		for i := range 2 {
			c.watch(newer, i)
			require.NoError(t, newer.err)
		}
		c.watch(newer, 2)
		assert.Error(t, newer.read(t.Context()), "expected dead letters that need at most 312 MiB", name)
		running.end()
		assert.Equal(t, 0, running.registry.bytes, name)
	}
}

// What a replay has sent holds back the letters of earlier rows and no others, whatever the broker's times are.
func TestSentRowsHoldEarlierLettersBack(t *testing.T) {
	newer := newSourceNewerRecords(kafka.Config{}, nil)
	letters := []*Letter{failedRow(0, 100), failedRow(1, 100), failedRow(2, 300)}
	for i, l := range letters {
		newer.watch(l, "t", []byte("k"), []byte(strconv.Itoa(i)))
	}
	newer.markSent(letters[1])
	newer.add(&kgo.Record{Topic: "t", Key: []byte("k"), Value: []byte("1"), Timestamp: time.Unix(1000, 0)})
	var held []bool
	for _, l := range letters {
		held = append(held, newer.isSuperseded(l))
	}
	assert.Equal(t, []bool{true, false, false}, held)
}

// A source's letter is held back by a later record of its key in the topic that it is sent to, until a user asks for it
// anyway. Rows without a key are not held back.
func TestSourceHoldsOlderRowsBack(t *testing.T) {
	t.Parallel()
	h, client := newHarness(t, map[string]string{"c": "dlq"})
	letter := func(n int, key string) *kgo.Record {
		r := sendableLetter(n)
		if key != "" {
			r.Key = []byte(`{"schema":{"type":"string","optional":false},"payload":"` + key + `"}`)
		}
		return r
	}
	replay := func(request Request) Result {
		t.Helper()
		result, err := h.ReplayConnector(kafkatest.Context(t), "c", request)
		require.NoError(t, err)
		return result
	}
	sent := Result{Sent: 1, Delivered: 1, Kept: map[string]int{}}
	held := Result{Kept: map[string]int{keptSuperseded: 1}}
	produce(t, client, letter(1, "k"))
	assert.Equal(t, sent, replay(Request{}), "no later record")
	records := readRecords(t, client, "orders", 1)
	produce(t, client, letter(2, "k"), &kgo.Record{Topic: "orders", Key: records[0].Key, Partition: records[0].Partition})
	assert.Equal(t, held, replay(Request{DryRun: true}), "tried, a deletion is later")
	assert.Equal(t, held, replay(Request{}), "a deletion is later")
	h.awaitOpen("c", 1)
	assert.Equal(t, sent, replay(Request{IncludeSuperseded: true}), "sent anyway")
	produce(t, client, letter(3, ""), &kgo.Record{Topic: "orders", Value: []byte("1")})
	assert.Equal(t, sent, replay(Request{}), "without a key")
}

// readRecords reads the first records of a topic.
func readRecords(t *testing.T, client *kgo.Client, topic string, count int) (records []*kgo.Record) {
	t.Helper()
	client.AddConsumeTopics(topic)
	for len(records) < count {
		fetches := client.PollFetches(kafkatest.Context(t))
		require.NoError(t, fetches.Err())
		records = append(records, fetches.Records()...)
	}
	return records
}
