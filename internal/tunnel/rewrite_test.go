package tunnel

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// notForClients has the responses with addresses to which clients do not connect; see [carriesAddress].
var notForClients = map[int16]string{
	52: "Vote, between controllers",
	53: "BeginQuorumEpoch, between controllers",
	54: "EndQuorumEpoch, between controllers",
	55: "DescribeQuorum: listeners of controllers",
	59: "FetchSnapshot, between controllers",
	82: "UpdateRaftVoter, between controllers",
	88: "StreamsGroupHeartbeat: endpoints of applications",
	89: "StreamsGroupDescribe: endpoints of applications",
}

// secretHost is a host that clients of the tunnel must not receive.
const secretHost = "broker.example"

// No address remains in a rewritten response. The test fills all responses of kmsg, in all versions, with addresses.
func TestAllAddressesAreRewritten(t *testing.T) {
	r := newTestRelay(t)
	count := 0
	for key := int16(0); key <= kmsg.MaxKey; key++ {
		response := kmsg.ResponseForKey(key)
		if response == nil {
			continue
		}
		for version := int16(0); version <= response.MaxVersion(); version++ {
			response := kmsg.ResponseForKey(key)
			response.SetVersion(version)
			if !setAddresses(reflect.ValueOf(response).Elem()) {
				continue
			}
			frame := frameWith(response)
			if !bytes.Contains(frame, []byte(secretHost)) {
				continue
			}
			if _, ok := notForClients[key]; ok {
				if carriesAddress(key, version) {
					t.Errorf("%s: expected either rewriting or an exception, found both", kmsg.NameForKey(key))
				}
				continue
			}
			if key == keyFetch && version <= maxFetch && !carriesAddress(key, version) {
				continue // kmsg writes the address in every flexible version, brokers from 16 on
			}
			if !carriesAddress(key, version) {
				t.Errorf("%s version %d: expected the address to be rewritten", kmsg.NameForKey(key), version)
				continue
			}
			count++
			got, err := r.rewrite(pendingRequest{key: key, version: version}, bytes.Clone(frame))
			if err != nil {
				t.Errorf("%s version %d: %v", kmsg.NameForKey(key), version, err)
			} else if bytes.Contains(got, []byte(secretHost)) {
				t.Errorf("%s version %d: expected no original address", kmsg.NameForKey(key), version)
			} else if int(got[2])<<8|int(got[3]) != len(got)-4 {
				t.Errorf("%s version %d: expected the size of the frame, found size % x of %d bytes",
					kmsg.NameForKey(key), version, got[:4], len(got))
			}
		}
	}
	assert.AtLeast(t, 30, count, "responses with an address")
}

// setAddresses sets every host and port, and adds an element to every list. It reports whether there is a host.
func setAddresses(v reflect.Value) bool {
	found := false
	switch v.Kind() {
	case reflect.Pointer:
		return v.Type() != reflect.TypeFor[*string]() && !v.IsNil() && setAddresses(v.Elem())
	case reflect.Slice:
		if v.Type().Elem().Kind() != reflect.Struct {
			return false
		}
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		return setAddresses(v.Index(0))
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[kmsg.Tags]() {
			return false
		}
		host := v.FieldByName("Host")
		port := v.FieldByName("Port")
		if host.IsValid() && port.IsValid() {
			host.SetString(secretHost)
			if port.CanInt() {
				port.SetInt(9)
			} else {
				port.SetUint(9)
			}
			if id := v.FieldByName("NodeID"); id.IsValid() {
				id.SetInt(7)
			}
			found = true
		}
		for i := range v.NumField() {
			found = setAddresses(v.Field(i)) || found
		}
	}
	return found
}

// frameWith returns a response as a frame with its size and correlation ID.
func frameWith(response kmsg.Response) []byte {
	frame := []byte{0, 0, 0, 0, 0, 0, 0, 3}
	if response.IsFlexible() && response.Key() != keyApiVersions {
		frame = append(frame, 0)
	}
	return setFrameLength(response.AppendTo(frame))
}

func newTestRelay(t testing.TB) *relay {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	tunnel := &Tunnel{options: Options{Announce: func(string) {}}, log: slog.New(slog.DiscardHandler), ctx: t.Context()}
	tunnel.brokers.open(tunnel, listener)
	near, far := net.Pipe()
	t.Cleanup(func() {
		near.Close()
		far.Close()
		tunnel.brokers.close()
		tunnel.goroutines.Wait()
	})
	return newRelay(tunnel, near, far, "far:1")
}

func TestResponsesWithoutAddressAreUnchanged(t *testing.T) {
	r := newTestRelay(t)
	fetch := kmsg.NewPtrFetchResponse()
	fetch.Version = 16
	topic := kmsg.NewFetchResponseTopic()
	partition := kmsg.NewFetchResponseTopicPartition()
	partition.RecordBatches = bytes.Repeat([]byte("x"), 1000)
	topic.Partitions = append(topic.Partitions, partition)
	fetch.Topics = append(fetch.Topics, topic)
	coordinator := kmsg.NewPtrFindCoordinatorResponse()
	coordinator.Version = 3
	coordinator.NodeID = -1
	coordinator.ErrorCode = 15
	controllers := kmsg.NewPtrDescribeClusterResponse()
	controllers.Version = 1
	controllers.EndpointType = endpointController
	node := kmsg.NewDescribeClusterResponseBroker()
	node.NodeID = 3
	node.Host = "controller.example"
	node.Port = 9093
	controllers.Brokers = append(controllers.Brokers, node)
	for _, response := range []kmsg.Response{fetch, coordinator, controllers} {
		frame := frameWith(response)
		got, err := r.rewrite(pendingRequest{key: response.Key(), version: response.GetVersion()}, bytes.Clone(frame))
		require.NoError(t, err)
		assert.Equal(t, frame, got, fmt.Sprintf("%T changed", response))
	}
}

// A rewritten response has the size of its frame, whatever a broker sends.
func FuzzRewrite(f *testing.F) {
	for _, key := range []int16{keyProduce, keyFetch, keyMetadata, keyFindCoordinator, keyApiVersions,
		keyDescribeCluster, keyShareFetch, keyShareAcknowledge} {
		response := kmsg.ResponseForKey(key)
		response.SetVersion(response.MaxVersion())
		setAddresses(reflect.ValueOf(response).Elem())
		f.Add(key, response.MaxVersion(), frameWith(response)[8:])
	}
	f.Add(int16(keyApiVersions), int16(3), []byte{0, errUnsupportedVersion, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, key, version int16, body []byte) {
		layout := kmsg.ResponseForKey(key)
		if layout == nil || version < 0 || version > layout.MaxVersion() || !carriesAddress(key, version) {
			return
		}
		r := newTestRelay(t)
		frame := setFrameLength(append(make([]byte, 8), body...))
		got, err := r.rewrite(pendingRequest{key: key, version: version}, frame)
		if err == nil && int(got[0])<<24|int(got[1])<<16|int(got[2])<<8|int(got[3]) != len(got)-4 {
			t.Errorf("expected the size of the frame, found size % x of %d bytes", got[:4], len(got))
		}
	})
}

// The number of brokers, and so of local ports, is bounded.
func TestBrokersAreBounded(t *testing.T) {
	var b brokers
	b.byID = map[int32]*brokerListener{}
	nodes := make([]node, 100_000)
	for i := range nodes {
		nodes[i] = node{id: int32(i), host: "broker", port: 9092}
	}
	assert.Error(t, b.update(nodes), "expected at most 1000 brokers, found 100000")
	assert.Equal(t, 0, len(b.byID), "listeners")
}
