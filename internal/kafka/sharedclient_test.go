package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// countingBroker starts a broker that counts its connections.
func countingBroker(t *testing.T) (address string, connections *atomic.Int64) {
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

// sharedProducer opens a producer that shares its client.
func sharedProducer(t *testing.T, c Config) *Producer {
	t.Helper()
	p, err := c.SharedProducer("", "connector-producer")
	require.NoError(t, err)
	return p
}

// Producers with equal settings share one client, those with other settings do not. The last one closes it, and later
// producers get another.
func TestProducersShareAClient(t *testing.T) {
	address, connections := countingBroker(t)
	ctx := kafkatest.Context(t)
	makeTopics(t, address, Topic{Name: "orders"})
	before := connections.Load()
	c := shareable(t, address)
	of := func(key string, n int) (all []*Producer) {
		for range n {
			own, _, err := c.Override(t.Context(), nil) // as for each connector
			require.NoError(t, err)
			p, err := own.SharedProducer(key, "connector-producer")
			require.NoError(t, err)
			all = append(all, p)
		}
		return all
	}
	all := of("", 50)
	for _, p := range all {
		require.NoError(t, <-deliver(ctx, p, "orders", "one"))
	}
	one := connections.Load() - before
	if one > 5 {
		t.Errorf("expected the connections of one client for 50 producers with equal settings, found %d", one)
	}
	other := of("other", 1)[0]
	require.NoError(t, <-deliver(ctx, other, "orders", "one"))
	if other.client == all[0].client {
		t.Error("expected another client for other settings")
	}
	for i, p := range all {
		require.NoError(t, p.Close(ctx))
		if i+1 < len(all) && p.client.ctx.Err() != nil {
			t.Fatalf("expected the client to last for all users, ended with user %d of 50", i+1)
		}
	}
	if all[0].client.ctx.Err() == nil {
		t.Error("expected the client to end with its users")
	}
	again := of("", 1)[0]
	assert.NoError(t, <-deliver(ctx, again, "orders", "one"))
	for _, p := range []*Producer{again, other} {
		_ = p.Close(ctx)
	}
	if n := len(c.shared.producers); n != 0 {
		t.Errorf("expected no remaining clients, found %d", n)
	}
}

// A failure of one feed fails no other feed of the client, even if their records go to the same partition. A feed that
// is closed before its records are acknowledged withdraws no records of others.
func TestSharedProducersFailAlone(t *testing.T) {
	address, _ := countingBroker(t)
	ctx := kafkatest.Context(t)
	makeTopics(t, address, Topic{Name: "orders"})
	c := shareable(t, address)
	c.Producer.MaxRequestBytes = 10_000
	open := func() *Producer { return sharedProducer(t, c) }
	bad := open()
	good := open()
	var failed atomic.Pointer[error]
	produce(ctx, bad, "orders", func(_ int, err error) { failed.Store(&err) }, make([]byte, 50_000))
	assert.NoError(t, <-deliver(ctx, good, "orders", "one"), "the other feed's failure")
	if err := bad.Flush(ctx); !errors.Is(err, kerr.MessageTooLarge) || failed.Load() == nil {
		t.Error("the feed's own:", err)
	}
	_ = bad.Close(ctx)
	assert.NoError(t, good.Close(ctx))

	// The client keeps the former limit of a topic: a producer opened after a batch that was too large gets another
	// client.
	hasty := open()
	good = open()
	assert.Equal(t, false, hasty.client == bad.client)
	assert.Equal(t, true, hasty.client == good.client)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	var results []<-chan error
	for n := range 100 {
		for _, p := range []*Producer{hasty, good} {
			results = append(results, deliver(ctx, p, "orders", fmt.Sprint(n)))
		}
	}
	_ = hasty.Close(ended)
	for _, result := range results {
		require.NoError(t, <-result)
	}
	assert.NoError(t, good.Close(ctx))
}

// A client that received no producer ID from a broker fails for good. A restarted feed gets another client, even if an
// idle feed keeps the first.
func TestProducersDoNotJoinAClientThatFailed(t *testing.T) {
	b := openTestBroker(t, t.TempDir())
	ctx := kafkatest.Context(t)
	makeTopics(t, b.Addr(), Topic{Name: "orders"})
	kafkatest.Reject(b.Cluster, kmsg.InitProducerID, 1, kerr.ClusterAuthorizationFailed)
	c := shareable(t, b.Addr())
	open := func() *Producer { return sharedProducer(t, c) }
	idle := open()
	failing := open()
	if err := <-deliver(ctx, failing, "orders", "one"); !errors.Is(err, kerr.ClusterAuthorizationFailed) {
		t.Fatal(err)
	}
	_ = failing.Close(ctx)
	again := open()
	other := open()
	assert.NoError(t, <-deliver(ctx, again, "orders", "one"), "started again, and it fails again")
	if other.client != again.client {
		t.Error("expected restarted producers to share a client")
	}
	for _, p := range []*Producer{idle, again, other} {
		_ = p.Close(ctx)
	}
	if idle.client.ctx.Err() == nil || len(c.shared.producers) != 0 {
		t.Error("expected the client to end with its users")
	}
}

// Administrators with equal settings share one client, those with other settings do not. The last one closes it,
// closing twice counts once, and later administrators get another.
func TestAdministratorsShareAClient(t *testing.T) {
	address, connections := countingBroker(t)
	ctx := kafkatest.Context(t)
	c := shareable(t, address)
	of := func(key string) *Admin {
		own, _, err := c.Override(t.Context(), nil) // as for each connector
		require.NoError(t, err)
		a, err := own.SharedAdmin(key, "connector-adminclient")
		require.NoError(t, err)
		return a
	}
	ask := func(a *Admin) {
		t.Helper()
		_, err := a.EnsureTopics(ctx, Topic{Name: "orders"})
		require.NoError(t, err)
	}
	var all []*Admin
	for range 50 {
		all = append(all, of(""))
	}
	for _, a := range all {
		ask(a)
	}
	if n := connections.Load(); n > 5 {
		t.Errorf("expected the connections of one client for 50 administrators with equal settings, found %d", n)
	}
	other := of("other")
	ask(other)
	if other.client == all[0].client {
		t.Error("expected another client for other settings")
	}
	for _, a := range all[1:] {
		a.Close()
		a.Close()
	}
	ask(all[0])
	all[0].Close()
	if len(c.shared.admins) != 1 {
		t.Errorf("expected the client of the other one alone, found %d", len(c.shared.admins))
	}
	again := of("")
	ask(again)
	if again.client == all[0].client {
		t.Error("expected a closed client not to be used again")
	}
	again.Close()
	other.Close()
	if n := len(c.shared.admins); n != 0 {
		t.Errorf("expected no remaining clients, found %d", n)
	}
}
