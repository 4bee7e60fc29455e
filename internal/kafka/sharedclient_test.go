package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
)

// startCountingBroker starts a broker that counts its connections.
func startCountingBroker(t *testing.T) (address string, connections *atomic.Int64) {
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

// shareableConfig returns a configuration whose clients can be shared.
func shareableConfig(t *testing.T, address string) Config {
	t.Helper()
	c, _, err := Parse(t.Context(), map[string]string{"bootstrap.servers": address})
	require.NoError(t, err)
	return c
}

// openSharedProducer opens a producer that shares its client.
func openSharedProducer(t *testing.T, c Config) *Producer {
	t.Helper()
	p, err := c.SharedProducer("", "connector-producer")
	require.NoError(t, err)
	return p
}

// Producers with equal settings share one client, those with other settings do not. The last one closes it, and later
// producers get another.
func TestProducersShareAClient(t *testing.T) {
	address, connections := startCountingBroker(t)
	ctx := kafkatest.Context(t)
	makeTopics(t, address, Topic{Name: "orders"})
	connectionsBefore := connections.Load()
	c := shareableConfig(t, address)
	openProducers := func(key string, n int) (producers []*Producer) {
		for range n {
			connectorConfig, _, err := c.Override(t.Context(), nil)
			require.NoError(t, err)
			p, err := connectorConfig.SharedProducer(key, "connector-producer")
			require.NoError(t, err)
			producers = append(producers, p)
		}
		return producers
	}
	producers := openProducers("", 50)
	for _, p := range producers {
		require.NoError(t, <-deliver(ctx, p, "orders", "one"))
	}
	opened := connections.Load() - connectionsBefore
	assert.AtMost(t, 5, opened, "the connections of one client for 50 producers with equal settings")
	other := openProducers("other", 1)[0]
	require.NoError(t, <-deliver(ctx, other, "orders", "one"))
	assert.True(t, other.client != producers[0].client, "expected another client for other settings")
	for i, p := range producers {
		require.NoError(t, p.Close(ctx))
		require.True(t, i+1 >= len(producers) || p.client.ctx.Err() == nil,
			"expected the client to last for all users, ended with user %d of 50", i+1)
	}
	assert.True(t, producers[0].client.ctx.Err() != nil, "expected the client to end with its users")
	reopened := openProducers("", 1)[0]
	assert.NoError(t, <-deliver(ctx, reopened, "orders", "one"))
	for _, p := range []*Producer{reopened, other} {
		_ = p.Close(ctx)
	}
	assert.Equal(t, 0, len(c.shared.producers), "remaining clients")
}

// A failure of one feed fails no other feed of the client, even if their records go to the same partition. A feed that
// is closed before its records are acknowledged withdraws no records of others.
func TestSharedProducersFailAlone(t *testing.T) {
	address, _ := startCountingBroker(t)
	ctx := kafkatest.Context(t)
	makeTopics(t, address, Topic{Name: "orders"})
	c := shareableConfig(t, address)
	c.Producer.MaxRequestBytes = 10_000
	open := func() *Producer { return openSharedProducer(t, c) }
	failing := open()
	healthy := open()
	var failure atomic.Pointer[error]
	produce(ctx, failing, "orders", func(_ int, err error) { failure.Store(&err) }, make([]byte, 50_000))
	assert.NoError(t, <-deliver(ctx, healthy, "orders", "one"), "the other feed's failure")
	if err := failing.Flush(ctx); !errors.Is(err, kerr.MessageTooLarge) || failure.Load() == nil {
		t.Errorf("expected MESSAGE_TOO_LARGE of Flush, and a failed batch, found %v", err)
	}
	_ = failing.Close(ctx)
	assert.NoError(t, healthy.Close(ctx))

	// The client keeps the former limit of a topic: a producer opened after a batch that was too large gets another
	// client.
	closedEarly := open()
	healthy = open()
	assert.Equal(t, false, closedEarly.client == failing.client)
	assert.Equal(t, true, closedEarly.client == healthy.client)
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	var results []<-chan error
	for n := range 100 {
		for _, p := range []*Producer{closedEarly, healthy} {
			results = append(results, deliver(ctx, p, "orders", fmt.Sprint(n)))
		}
	}
	_ = closedEarly.Close(canceled)
	for _, result := range results {
		require.NoError(t, <-result)
	}
	assert.NoError(t, healthy.Close(ctx))
}

// A client that received no producer ID from a broker fails for good. A restarted feed gets another client, even if an
// idle feed keeps the first.
func TestProducersDoNotJoinAClientThatFailed(t *testing.T) {
	b := openTestBroker(t, t.TempDir())
	ctx := kafkatest.Context(t)
	makeTopics(t, b.Addr(), Topic{Name: "orders"})
	kafkatest.Reject(b.Cluster, kmsg.InitProducerID, 1, kerr.ClusterAuthorizationFailed)
	c := shareableConfig(t, b.Addr())
	open := func() *Producer { return openSharedProducer(t, c) }
	idle := open()
	failing := open()
	err := <-deliver(ctx, failing, "orders", "one")
	require.ErrorIs(t, err, kerr.ClusterAuthorizationFailed, "CLUSTER_AUTHORIZATION_FAILED")
	_ = failing.Close(ctx)
	restarted := open()
	other := open()
	assert.NoError(t, <-deliver(ctx, restarted, "orders", "one"), "started again, and it fails again")
	assert.True(t, other.client == restarted.client, "expected restarted producers to share a client")
	for _, p := range []*Producer{idle, restarted, other} {
		_ = p.Close(ctx)
	}
	assert.True(t, idle.client.ctx.Err() != nil && len(c.shared.producers) == 0,
		"expected the client to end with its users")
}

// Administrators with equal settings share one client, those with other settings do not. The last one closes it,
// closing twice counts once, and later administrators get another.
func TestAdministratorsShareAClient(t *testing.T) {
	address, connections := startCountingBroker(t)
	ctx := kafkatest.Context(t)
	c := shareableConfig(t, address)
	openAdmin := func(key string) *Admin {
		connectorConfig, _, err := c.Override(t.Context(), nil)
		require.NoError(t, err)
		a, err := connectorConfig.SharedAdmin(key, "connector-adminclient")
		require.NoError(t, err)
		return a
	}
	sendRequest := func(a *Admin) {
		t.Helper()
		_, err := a.EnsureTopics(ctx, Topic{Name: "orders"})
		require.NoError(t, err)
	}
	var admins []*Admin
	for range 50 {
		admins = append(admins, openAdmin(""))
	}
	for _, a := range admins {
		sendRequest(a)
	}
	assert.AtMost(t, 5, connections.Load(), "the connections of one client for 50 administrators with equal settings")
	other := openAdmin("other")
	sendRequest(other)
	assert.True(t, other.client != admins[0].client, "expected another client for other settings")
	for _, a := range admins[1:] {
		a.Close()
		a.Close()
	}
	sendRequest(admins[0])
	admins[0].Close()
	assert.Equal(t, 1, len(c.shared.admins), "the client of the other one alone")
	reopened := openAdmin("")
	sendRequest(reopened)
	assert.True(t, reopened.client != admins[0].client, "expected a closed client not to be used again")
	reopened.Close()
	other.Close()
	assert.Equal(t, 0, len(c.shared.admins), "remaining clients")
}
