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

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
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
	if got := fmt.Sprint(kafkatest.Values(t, b.Addr(), "orders")); got != "[one two three]" {
		t.Errorf("expected the values one, two and three after a restart, found %s", got)
	}
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
	if _, running := Find(kafkatest.Context(t), dir); running {
		t.Error("expected a killed broker to be reported as not running")
	}
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
		if got := fmt.Sprint(kafkatest.Values(t, addr, topic)); got != want {
			t.Errorf("%s: expected the values %s, found %s", topic, want, got)
		}
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
	if err != nil || addr != b.Addr() {
		t.Errorf("attach to a running broker: expected %q, found %q, %v", b.Addr(), addr, err)
	}
	assert.NoError(t, done())
	b.Close()
	if _, err := os.Stat(filepath.Join(dir, announcementFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("expected no broker.json after Close, found %v", err)
	}
	addr, done, err = Attach(ctx, dir, nil)
	require.NoError(t, err)
	if got := fmt.Sprint(kafkatest.Values(t, addr, "orders")); got != "[one]" {
		t.Errorf("attach to the folder: expected the value one, found %s", got)
	}
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
	if addr, running := Find(kafkatest.Context(t), dir); running {
		t.Errorf("expected the broker at %s to belong to another folder", addr)
	}
}

func TestBrokerListens(t *testing.T) {
	b1 := openBroker(t, Options{Dir: t.TempDir()})
	b2 := openBroker(t, Options{Dir: t.TempDir()})
	p1 := portOf(t, b1.Addr())
	p2 := portOf(t, b2.Addr())
	// Other tests on this machine may use some of the ports.
	if p1 < firstPort || p1 > lastPort || p2 < firstPort || p2 > lastPort || p1 == p2 {
		t.Errorf("default ports: expected two from %d to %d, found %d and %d", firstPort, lastPort, p1, p2)
	}
	_, err := Open(Options{Dir: t.TempDir(), Listen: b1.Addr()})
	if err == nil || !strings.Contains(err.Error(), b1.Addr()) {
		t.Errorf("a port in use: expected an error that names %s, got %v", b1.Addr(), err)
	}
	if _, err := Open(Options{Dir: t.TempDir(), Listen: "9092"}); err == nil {
		t.Error("expected an error for a listen address without host and colon")
	}
}

func TestBrokerAdvertises(t *testing.T) {
	b := openBroker(t, Options{Dir: t.TempDir(), Listen: ":0", Advertised: "localhost"})
	host, _, _ := net.SplitHostPort(b.Addr())
	if host != "localhost" {
		t.Errorf("expected the advertised host localhost, found %s", b.Addr())
	}
	kafkatest.Put(t, b.Addr(), "orders", "one")
	client := kafkatest.Client(t, kgo.SeedBrokers(b.Addr()))
	request := kmsg.NewPtrMetadataRequest()
	response, err := request.RequestWith(kafkatest.Context(t), client)
	require.NoError(t, err)
	if got := fmt.Sprintf("%s:%d", response.Brokers[0].Host, response.Brokers[0].Port); got != b.Addr() {
		t.Errorf("metadata: expected the address %s, found %s", b.Addr(), got)
	}
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
	if v, ok := highest[int16(kmsg.CreateTopics)]; !ok || v != 4 {
		t.Errorf("CreateTopics: found version %d %v, expected 4", v, ok)
	}
	if v, ok := highest[int16(kmsg.DescribeTopicPartitions)]; ok {
		t.Errorf("expected no DescribeTopicPartitions, found version %d", v)
	}
	if _, ok := highest[int16(kmsg.Produce)]; !ok {
		t.Error("expected Produce to be offered")
	}
}

// Nothing is compacted or expires, whatever the settings of the topic.
func TestBrokerNeverCleans(t *testing.T) {
	b := openTestBroker(t, t.TempDir())
	got := brokerConfig(t, b.Addr(), "log.cleaner.backoff.ms", "log.retention.ms")
	if got["log.cleaner.backoff.ms"] != "3155760000000" || got["log.retention.ms"] != "-1" {
		t.Errorf("expected the longest backoff of the cleaner and no retention, found %v", got)
	}
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
