package embedded

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
)

// TestMain lets the test binary be a broker that can be killed.
func TestMain(m *testing.M) {
	kafkatest.Main(m, func(dir, listen string) (*Broker, error) {
		return Open(Options{Dir: dir, Listen: listen})
	})
}

func openTestBroker(t *testing.T, dir string) *Broker {
	t.Helper()
	return openBroker(t, Options{Dir: dir, Listen: "127.0.0.1:0"})
}

func openBroker(t *testing.T, o Options) *Broker {
	t.Helper()
	b, err := Open(o)
	require.NoError(t, err)
	t.Cleanup(func() { b.Close() })
	return b
}

func TestBrokerKeepsDataOverRestart(t *testing.T) {
	dir := t.TempDir()
	b := openTestBroker(t, dir)
	kafkatest.Put(t, b.Addr(), "orders", "one", "two")
	idBefore := folderClusterID(dir)
	require.NoError(t, b.Close())
	b = openTestBroker(t, dir)
	kafkatest.Put(t, b.Addr(), "orders", "three")
	got := fmt.Sprint(kafkatest.Values(t, b.Addr(), "orders"))
	assert.Equal(t, "[one two three]", got, "the values one, two and three after a restart")
	if id := folderClusterID(dir); id != idBefore || !strings.HasPrefix(id, ClusterPrefix) {
		t.Errorf("expected the same cluster ID, found %q and then %q", idBefore, id)
	}
}

// The topic is created by the producer's metadata request, which kfake alone would not persist.
func TestBrokerKeepsDataOverKill(t *testing.T) {
	dir := t.TempDir()
	for round := range 3 {
		addr, kill := kafkatest.Process(t, dir, "127.0.0.1:0")
		kafkatest.Put(t, addr, fmt.Sprintf("round-%d", round), "a", "b")
		kafkatest.Put(t, addr, "all", strconv.Itoa(round))
		kill()
	}
	_, running := Find(kafkatest.Context(t), dir)
	assert.True(t, !running, "expected a killed broker to be reported as not running")
	if _, err := os.Stat(filepath.Join(dir, announcementFile)); err != nil {
		t.Errorf("expected the killed broker's %s to stay, found %v", announcementFile, err)
	}
	addr, done, err := Attach(kafkatest.Context(t), dir, nil)
	require.NoError(t, err)
	defer done()
	for topic, want := range map[string]string{
		"round-0": "[a b]",
		"round-1": "[a b]",
		"round-2": "[a b]",
		"all":     "[0 1 2]",
	} {
		got := fmt.Sprint(kafkatest.Values(t, addr, topic))
		assert.True(t, got == want, "%s: expected the values %s, found %s", topic, want, got)
	}
}

func TestBrokerLocksItsFolder(t *testing.T) {
	dir := t.TempDir()
	b := openTestBroker(t, dir)
	_, err := Open(Options{Dir: dir, Listen: "127.0.0.1:0"})
	if !errors.Is(err, errLocked) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), b.Addr()) {
		t.Errorf("second broker on the folder: expected an error that names folder and address, got %v", err)
	}
	require.NoError(t, b.Close())
	openTestBroker(t, dir)
}

func TestBrokerAnnouncesItself(t *testing.T) {
	dir := t.TempDir()
	ctx := kafkatest.Context(t)
	if _, _, err := Attach(ctx, dir, nil); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("attach to an empty folder: expected an error that names it, got %v", err)
	}
	b := openTestBroker(t, dir)
	kafkatest.Put(t, b.Addr(), "orders", "one")
	if addr, running := Find(ctx, dir); !running || addr != b.Addr() {
		t.Errorf("Find: expected %q, found %q, %v", b.Addr(), addr, running)
	}
	addr, done, err := Attach(ctx, dir, nil)
	assert.True(t, err == nil && addr == b.Addr(),
		"attach to a running broker: expected %q, found %q, %v", b.Addr(), addr, err)
	assert.NoError(t, done())
	b.Close()
	_, err = os.Stat(filepath.Join(dir, announcementFile))
	assert.ErrorIs(t, err, os.ErrNotExist, "no broker.json after Close")
	addr, done, err = Attach(ctx, dir, nil)
	require.NoError(t, err)
	assert.Equal(t, "[one]", fmt.Sprint(kafkatest.Values(t, addr, "orders")), "attach to the folder: the value one")
	assert.NoError(t, done())
}

// A killed broker's address may belong to the broker of another folder by now.
func TestFindBrokerDistinguishesFolders(t *testing.T) {
	dir := t.TempDir()
	otherDir := t.TempDir()
	b := openTestBroker(t, dir)
	b.Close()
	b = openTestBroker(t, otherDir)
	require.NoError(t, writeAnnouncement(dir, announcement{Address: b.Addr(), PID: 1}))
	addr, running := Find(kafkatest.Context(t), dir)
	assert.True(t, !running, "expected the broker at %s to belong to another folder", addr)
}

func TestBrokerListens(t *testing.T) {
	b1 := openBroker(t, Options{Dir: t.TempDir()})
	b2 := openBroker(t, Options{Dir: t.TempDir()})
	p1 := portOf(t, b1.Addr())
	p2 := portOf(t, b2.Addr())
	// Other tests on this machine may use some of the ports.
	assert.True(t, p1 >= firstPort && p1 <= lastPort && p2 >= firstPort && p2 <= lastPort && p1 != p2,
		"default ports: expected two from %d to %d, found %d and %d", firstPort, lastPort, p1, p2)
	_, err := Open(Options{Dir: t.TempDir(), Listen: b1.Addr()})
	assert.True(t, err != nil && strings.Contains(err.Error(), b1.Addr()),
		"a port in use: expected an error that names %s, got %v", b1.Addr(), err)
	_, err = Open(Options{Dir: t.TempDir(), Listen: "9092"})
	assert.True(t, err != nil, "expected an error for a listen address without host and colon")
}

func TestBrokerAdvertises(t *testing.T) {
	b := openBroker(t, Options{Dir: t.TempDir(), Listen: ":0", Advertised: "localhost"})
	host, _, _ := net.SplitHostPort(b.Addr())
	assert.True(t, host == "localhost", "expected the advertised host localhost, found %s", b.Addr())
	kafkatest.Put(t, b.Addr(), "orders", "one")
	client := kafkatest.Client(t, kgo.SeedBrokers(b.Addr()))
	request := kmsg.NewPtrMetadataRequest()
	response, err := request.RequestWith(kafkatest.Context(t), client)
	require.NoError(t, err)
	got := fmt.Sprintf("%s:%d", response.Brokers[0].Host, response.Brokers[0].Port)
	assert.True(t, got == b.Addr(), "metadata: expected the address %s, found %s", b.Addr(), got)
}

func portOf(t *testing.T, addr string) int {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	n, _ := strconv.Atoi(port)
	return n
}

func TestBrokerVersionsForJava(t *testing.T) {
	b := openTestBroker(t, t.TempDir())
	client := kafkatest.Client(t, kgo.SeedBrokers(b.Addr()))
	request := kmsg.NewPtrApiVersionsRequest()
	request.ClientSoftwareName = "test"
	request.ClientSoftwareVersion = "0"
	response, err := request.RequestWith(kafkatest.Context(t), client)
	require.NoError(t, err)
	highest := map[int16]int16{}
	for _, k := range response.ApiKeys {
		highest[k.ApiKey] = k.MaxVersion
	}
	v, ok := highest[int16(kmsg.CreateTopics)]
	assert.True(t, ok && v == 4, "CreateTopics: found version %d %v, expected 4", v, ok)
	v, ok = highest[int16(kmsg.DescribeTopicPartitions)]
	assert.True(t, !ok, "expected no DescribeTopicPartitions, found version %d", v)
	_, ok = highest[int16(kmsg.Produce)]
	assert.True(t, ok, "expected Produce to be offered")
}

// Nothing is compacted or expires, whatever the settings of the topic.
func TestBrokerNeverCleans(t *testing.T) {
	b := openTestBroker(t, t.TempDir())
	got := brokerConfig(t, b.Addr(), "log.cleaner.backoff.ms", "log.retention.ms")
	assert.True(t, got["log.cleaner.backoff.ms"] == "3155760000000" && got["log.retention.ms"] == "-1",
		"expected the longest backoff of the cleaner and no retention, found %v", got)
}

// The control function that keeps auto-created topics is renewed. The broker keeps responding after that.
func TestBrokerRespondsToManyMetadataRequests(t *testing.T) {
	b := openTestBroker(t, t.TempDir())
	client := kafkatest.Client(t, kgo.SeedBrokers(b.Addr()))
	for i := range 2100 {
		request := kmsg.NewPtrMetadataRequest()
		request.AllowAutoTopicCreation = true
		topic := kmsg.NewMetadataRequestTopic()
		name := fmt.Sprintf("topic-%d", i%3)
		topic.Topic = &name
		request.Topics = append(request.Topics, topic)
		response, err := request.RequestWith(kafkatest.Context(t), client)
		require.NoError(t, err)
		if got := response.Topics[0]; got.ErrorCode != 0 || len(got.Partitions) != 1 {
			t.Fatalf("request %d: expected one partition, found %d, error %d", i, len(got.Partitions), got.ErrorCode)
		}
	}
}

// brokerConfig returns settings of a broker.
func brokerConfig(t *testing.T, addr string, names ...string) map[string]string {
	t.Helper()
	admin := kadm.NewClient(kafkatest.Client(t, kgo.SeedBrokers(addr)))
	resources, err := admin.DescribeBrokerConfigs(kafkatest.Context(t), 0)
	require.NoError(t, err)
	result := map[string]string{}
	for _, resource := range resources {
		for _, c := range resource.Configs {
			if slices.Contains(names, c.Key) && c.Value != nil {
				result[c.Key] = *c.Value
			}
		}
	}
	return result
}
