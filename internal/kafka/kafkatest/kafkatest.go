// Package kafkatest provides brokers for tests: in-process brokers that fail like Apache Kafka, and brokers in their
// own process that can be killed.
package kafkatest

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"math"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// Reject makes a cluster reject the first requests of a kind with a code. It returns the number of requests so far,
// also of those that were not rejected.
func Reject(cluster *kfake.Cluster, kind kmsg.Key, times int32, code *kerr.Error) (requests *atomic.Int32) {
	requests = &atomic.Int32{}
	RejectIf(cluster, kind, code, func(kmsg.Request) bool { return requests.Add(1) <= times })
	return requests
}

// Unlimited is a number of requests that no test reaches.
const Unlimited = math.MaxInt32

// RejectIf makes a cluster reject the requests of a kind for which mustReject returns true. That may change the
// request.
func RejectIf(cluster *kfake.Cluster, kind kmsg.Key, code *kerr.Error, mustReject func(kmsg.Request) bool) {
	cluster.ControlKey(int16(kind), func(r kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if !mustReject(r) {
			return nil, nil, false
		}
		return Response(r, code), nil, true
	})
}

// Response returns a response with a code (nil for success) for each partition, topic, group or resource of a request,
// or else for the request itself.
func Response(r kmsg.Request, code *kerr.Error) kmsg.Response {
	number := int16(0)
	if code != nil {
		number = code.Code
	}
	response := r.ResponseKind()
	addParts(reflect.ValueOf(r).Elem(), reflect.ValueOf(response).Elem(), number)
	return response
}

// addParts adds a part to a response for each part of a request in a field of the same name, and sets the code of the
// innermost parts that have one. It reports whether it has set a code.
func addParts(request, response reflect.Value, code int16) (isSet bool) {
	for i := range request.NumField() {
		requestParts := request.Field(i)
		responseParts := response.FieldByName(request.Type().Field(i).Name)
		if !responseParts.IsValid() || !isParts(requestParts) || !isParts(responseParts) {
			continue
		}
		for n := range requestParts.Len() {
			part := reflect.New(responseParts.Type().Elem())
			part.Interface().(interface{ Default() }).Default()
			for _, name := range []string{"Topic", "TopicID", "Partition", "Group", "ResourceType", "ResourceName"} {
				source := requestParts.Index(n).FieldByName(name)
				target := part.Elem().FieldByName(name)
				if source.IsValid() && target.IsValid() {
					target.Set(source)
				}
			}
			isSet = addParts(requestParts.Index(n), part.Elem(), code) || isSet
			responseParts.Set(reflect.Append(responseParts, part.Elem()))
		}
	}
	if topLevel := response.FieldByName("ErrorCode"); !isSet && topLevel.IsValid() {
		topLevel.SetInt(int64(code))
		return true
	}
	return isSet
}

// isParts reports whether a field is a list of structs, such as topics or partitions.
func isParts(v reflect.Value) bool {
	return v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct
}

// Cluster starts a cluster that is closed with the test.
func Cluster(t testing.TB, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(opts...)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// ClusterWithLateTopics starts a broker that does not know its topics in the first requests for offsets, like the
// leader of a new topic. The test fails if there are no more requests.
func ClusterWithLateTopics(t *testing.T, times int32) *kfake.Cluster {
	t.Helper()
	cluster := Cluster(t, kfake.NumBrokers(1))
	requests := Reject(cluster, kmsg.ListOffsets, times, kerr.UnknownTopicOrPartition)
	t.Cleanup(func() {
		n := requests.Load()
		assert.True(t, n > times, "expected more than %d requests to the leader, found %d", times, n)
	})
	return cluster
}

// Main runs the tests of a package, or the broker that [Process] has started.
func Main[B interface{ Addr() string }](m *testing.M, open func(dir, listen string) (B, error)) {
	if dir := os.Getenv("CULVERT_TEST_BROKER"); dir != "" {
		broker, err := open(dir, os.Getenv("CULVERT_TEST_LISTEN"))
		if err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		fmt.Println(broker.Addr())
		select {} // until killed
	}
	os.Exit(m.Run())
}

// Process starts a broker in its own process, which can be killed.
func Process(t *testing.T, dir, listen string) (addr string, kill func()) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	child := exec.Command(self)
	child.Env = append(os.Environ(), "CULVERT_TEST_BROKER="+dir, "CULVERT_TEST_LISTEN="+listen)
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	kill = func() {
		child.Process.Kill()
		child.Wait()
	}
	t.Cleanup(kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	require.True(t, err == nil && !strings.HasPrefix(line, "error:"), "broker process: %s %v", line, err)
	return strings.TrimSpace(line), kill
}

// Context returns a context that is long enough for any response.
func Context(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// Client opens a client that is closed with the test.
func Client(t testing.TB, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(opts...)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

// Put writes values to a topic one by one.
func Put(t *testing.T, addr, topic string, values ...string) {
	t.Helper()
	client := Client(t, kgo.SeedBrokers(addr), kgo.AllowAutoTopicCreation(), kgo.ProducerLinger(0))
	for _, v := range values {
		r := &kgo.Record{Topic: topic, Value: []byte(v)}
		require.NoError(t, client.ProduceSync(Context(t), r).FirstErr(), "produce", v, "to", topic)
	}
}

// Values returns the values of a topic's records, partition by partition.
func Values(t *testing.T, addr, topic string) (got []string) {
	t.Helper()
	client := Client(t, kgo.SeedBrokers(addr), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	ends, err := kadm.NewClient(client).ListEndOffsets(Context(t), topic)
	require.NoError(t, err, "read", topic)
	remaining := int64(0)
	ends.Each(func(o kadm.ListedOffset) { remaining += o.Offset })
	byPartition := map[int32][]string{}
	for remaining > 0 {
		fetches := client.PollFetches(Context(t))
		require.NoError(t, fetches.Err(), "read", topic)
		fetches.EachRecord(func(r *kgo.Record) {
			byPartition[r.Partition] = append(byPartition[r.Partition], string(r.Value))
			remaining--
		})
	}
	for _, p := range slices.Sorted(maps.Keys(byPartition)) {
		got = append(got, byPartition[p]...)
	}
	return got
}

// ZeroRecord returns the encoding of a record before and after its value of the given size.
func ZeroRecord(size int) (head, tail []byte) {
	inner := binary.AppendVarint([]byte{0, 0, 0, 1}, int64(size)) // attributes, deltas of time and offset, no key
	tail = []byte{0}                                              // no headers
	head = binary.AppendVarint(nil, int64(len(inner)+size+len(tail)))
	return append(head, inner...), tail
}

// PutBatch writes one compressed record to a partition of an existing topic.
func PutBatch(t *testing.T, addr, topic string, partition int32, codec kgo.CompressionCodecType, compressed []byte) {
	t.Helper()
	batch := (&kmsg.RecordBatch{Magic: 2, Attributes: int16(codec), ProducerID: -1, ProducerEpoch: -1,
		FirstSequence: -1, NumRecords: 1, Records: compressed}).AppendTo(nil)
	// At 8 is the length of the bytes after it, at 17 the checksum of the bytes after it.
	binary.BigEndian.PutUint32(batch[8:], uint32(len(batch)-12))
	binary.BigEndian.PutUint32(batch[17:], crc32.Checksum(batch[21:], crc32.MakeTable(crc32.Castagnoli)))
	client := Client(t, kgo.SeedBrokers(addr))
	metadata, err := kadm.NewClient(client).Metadata(Context(t), topic)
	require.NoError(t, err)
	request := kmsg.NewPtrProduceRequest()
	request.Acks = -1
	request.TimeoutMillis = 60_000
	part := kmsg.NewProduceRequestTopicPartition()
	part.Partition = partition
	part.Records = batch
	requestTopic := kmsg.NewProduceRequestTopic()
	requestTopic.Topic = topic
	requestTopic.TopicID = metadata.Topics[topic].ID
	requestTopic.Partitions = append(requestTopic.Partitions, part)
	request.Topics = append(request.Topics, requestTopic)
	leader := metadata.Topics[topic].Partitions[partition].Leader
	response, err := client.Broker(int(leader)).Request(Context(t), request)
	require.NoError(t, err)
	code := response.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode
	require.NoError(t, kerr.ErrorForCode(code), "produce a batch to", topic)
}
