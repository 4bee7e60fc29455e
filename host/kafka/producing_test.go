package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"

	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/host/kafka/kafkatest"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// counted is a broker that counts the connections to it.
func counted(t *testing.T) (address string, connections *atomic.Int64) {
	t.Helper()
	connections = new(atomic.Int64)
	c := kafkatest.Cluster(t, kfake.NumBrokers(1), kfake.ListenFn(func(network, address string) (net.Listener, error) {
		l, err := net.Listen(network, address)
		return &countingListener{l, connections}, err
	}))
	return c.ListenAddrs()[0], connections
}

type countingListener struct {
	net.Listener
	n *atomic.Int64
}

func (l *countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.n.Add(1)
	}
	return c, err
}

func shareable(t *testing.T, address string) Config {
	t.Helper()
	c, _, err := Parse(t.Context(), map[string]string{"bootstrap.servers": address})
	require.NoError(t, err)
	return c
}

// deliverOne sends a record and waits until it is reported.
func deliverOne(t *testing.T, p *Producer, topic string) error {
	t.Helper()
	b := p.NewBatch()
	r := b.Add()
	r.Topic, r.Value = topic, []byte("one")
	done := make(chan error, 1)
	p.Produce(kafkatest.Context(t), b, func(_ int, err error) { done <- err })
	return <-done
}

// Producers of equal settings share one client, those of others do not; the last one to go ends it, and who comes then
// gets another.
func TestProducersShareAClient(t *testing.T) {
	address, connections := counted(t)
	ctx := kafkatest.Context(t)
	makeTopics(t, address, Topic{Name: "orders"})
	before := connections.Load()
	c := shareable(t, address)
	of := func(key string, n int) (all []*Producer) {
		for range n {
			own, _, err := c.Override(t.Context(), nil) // as each connector has it
			require.NoError(t, err)
			p, err := own.SharedProducer(key, "connector-producer")
			require.NoError(t, err)
			all = append(all, p)
		}
		return all
	}
	all := of("", 50)
	for _, p := range all {
		require.NoError(t, deliverOne(t, p, "orders"))
	}
	one := connections.Load() - before
	if one > 5 {
		t.Errorf("50 producers of equal settings: %d connections", one)
	}
	other := of("other", 1)[0]
	require.NoError(t, deliverOne(t, other, "orders"))
	if other.client.Load() == all[0].client.Load() {
		t.Error("other settings, and the same client")
	}
	for i, p := range all {
		require.NoError(t, p.Close(ctx))
		if i+1 < len(all) && p.client.Load().life.Err() != nil {
			t.Fatalf("the client ended with user %d of 50", i+1)
		}
	}
	if all[0].client.Load().life.Err() == nil {
		t.Error("the client outlives its users")
	}
	again := of("", 1)[0]
	if err := deliverOne(t, again, "orders"); err != nil {
		t.Error(err)
	}
	for _, p := range []*Producer{again, other} {
		_ = p.Close(ctx)
	}
	if n := len(c.shared.producing); n != 0 {
		t.Errorf("%d clients are left", n)
	}
}

// What fails for one feed fails for no other of the client, though their records go to the same partition; and a feed
// that is closed before its records are acknowledged takes back those of nobody else.
func TestSharedProducersFailAlone(t *testing.T) {
	address, _ := counted(t)
	ctx := kafkatest.Context(t)
	makeTopics(t, address, Topic{Name: "orders"})
	c := shareable(t, address)
	c.Producer.MaxRequestBytes = 10_000
	open := func() *Producer {
		p, err := c.SharedProducer("", "connector-producer")
		require.NoError(t, err)
		return p
	}
	bad, good := open(), open()
	var failed atomic.Pointer[error]
	b := bad.NewBatch()
	r := b.Add()
	r.Topic, r.Value = "orders", make([]byte, 50_000)
	bad.Produce(ctx, b, func(_ int, err error) { failed.Store(&err) })
	if err := deliverOne(t, good, "orders"); err != nil {
		t.Error("the other feed's failure:", err)
	}
	if err := bad.Flush(ctx); !errors.Is(err, kerr.MessageTooLarge) || failed.Load() == nil {
		t.Error("the feed's own:", err)
	}
	_ = bad.Close(ctx)

	hasty := open()
	ended, cancel := context.WithCancel(ctx)
	cancel()
	var batches []*Batch
	results := make(chan error, 200)
	for n := range 100 {
		for _, p := range []*Producer{hasty, good} {
			b := p.NewBatch()
			r := b.Add()
			r.Topic, r.Value = "orders", fmt.Append(nil, n)
			p.Produce(ctx, b, func(_ int, err error) { results <- err })
			batches = append(batches, b)
		}
	}
	_ = hasty.Close(ended)
	for range batches {
		require.NoError(t, <-results)
	}
	if err := good.Close(ctx); err != nil {
		t.Error(err)
	}
}

// A client that a broker gave no producer id fails for good. A feed that is started again gets another one, though an
// idle feed keeps the first.
func TestProducersDoNotJoinAClientThatFailed(t *testing.T) {
	b := openTestBroker(t, t.TempDir())
	ctx := kafkatest.Context(t)
	makeTopics(t, b.Addr(), Topic{Name: "orders"})
	b.Cluster.ControlKey(int16(kmsg.InitProducerID), func(r kmsg.Request) (kmsg.Response, error, bool) { // once
		response := r.ResponseKind().(*kmsg.InitProducerIDResponse)
		response.ErrorCode = kerr.ClusterAuthorizationFailed.Code
		return response, nil, true
	})
	c := shareable(t, b.Addr())
	open := func() *Producer {
		p, err := c.SharedProducer("", "connector-producer")
		require.NoError(t, err)
		return p
	}
	idle, failing := open(), open()
	if err := deliverOne(t, failing, "orders"); !errors.Is(err, kerr.ClusterAuthorizationFailed) {
		t.Fatal(err)
	}
	_ = failing.Close(ctx)
	again, other := open(), open()
	if err := deliverOne(t, again, "orders"); err != nil {
		t.Error("started again, and it fails again:", err)
	}
	if other.client.Load() != again.client.Load() {
		t.Error("those that are started again do not share a client")
	}
	for _, p := range []*Producer{idle, again, other} {
		_ = p.Close(ctx)
	}
	if idle.client.Load().life.Err() == nil || len(c.shared.producing) != 0 {
		t.Error("a client outlives its users")
	}
}
