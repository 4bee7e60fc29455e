package kafka

import (
	"encoding/binary"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/kafka/kafkatest"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// batchWithoutRecords is a batch of one offset whose record is gone, as compaction leaves it.
func batchWithoutRecords(offset int64) []byte {
	b := (&kmsg.RecordBatch{FirstOffset: offset, Magic: 2, ProducerID: -1, ProducerEpoch: -1,
		FirstSequence: -1}).AppendTo(nil)
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-12))
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// A broker that goes on answering with batches that lie before what was asked for is an error, and no endless loop.
func TestReadWithoutProgress(t *testing.T) {
	b := openTestBroker(t, t.TempDir())
	a := openTestAdmin(t, b.Addr())
	if _, err := a.EnsureTopics(kafkatest.Context(t), Topic{Name: "broken"}); err != nil {
		t.Fatal(err)
	}
	client := kafkatest.Client(t, testConfig(b.Addr()).ProducerOpts()...)
	if err := client.ProduceSync(kafkatest.Context(t), &kgo.Record{Topic: "broken"},
		&kgo.Record{Topic: "broken"}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	b.Cluster.ControlKey(int16(kmsg.Fetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		b.Cluster.KeepControl()
		asked := r.(*kmsg.FetchRequest)
		answer := asked.ResponseKind().(*kmsg.FetchResponse)
		topic := kmsg.NewFetchResponseTopic()
		topic.Topic, topic.TopicID = asked.Topics[0].Topic, asked.Topics[0].TopicID
		partition := kmsg.NewFetchResponseTopicPartition()
		partition.HighWatermark, partition.LastStableOffset, partition.RecordBatches = 2, 2, batchWithoutRecords(0)
		topic.Partitions = append(topic.Partitions, partition)
		answer.Topics = append(answer.Topics, topic)
		return answer, nil, true
	})
	at, err := openTestReader(t, b.Addr()).Read(kafkatest.Context(t), "broken", ReadOptions{},
		func(*kgo.Record) error { return nil })
	if err == nil || !strings.Contains(err.Error(),
		"read broken, partition 0 at offset 1: the broker answers with batches that hold nothing from there") {
		t.Errorf("expected an error that names the place, found %v at %v", err, at)
	}
}
