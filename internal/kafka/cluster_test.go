package kafka

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
	"github.com/culvert-project/culvert/internal/porttest"
	"github.com/culvert-project/culvert/internal/transport/connectivitytest"
)

// restartableListener is a listener that can be closed, with all of its connections, and opened again on the same port:
// a restarted broker, as its clients see it.
type restartableListener struct {
	realAddr   string // the port's address
	advertised net.Addr

	mu       sync.Mutex
	reopened *sync.Cond   // also signaled by Close
	listener net.Listener // nil while closed
	conns    map[net.Conn]bool
	isEnded  bool // by Close: it cannot be opened again
}

// newRestartableListener listens on a free port. advertised is the address that clients see, "" means the real one.
func newRestartableListener(t *testing.T, advertised string) *restartableListener {
	t.Helper()
	l := porttest.Listen(t)
	r := &restartableListener{realAddr: l.Addr().String(), advertised: l.Addr(), listener: l,
		conns: map[net.Conn]bool{}}
	if advertised != "" {
		r.advertised = hostPort(advertised)
	}
	r.reopened = sync.NewCond(&r.mu)
	return r
}

func (r *restartableListener) Addr() net.Addr { return r.advertised }

// hostPort is an advertised address.
type hostPort string

func (hostPort) Network() string  { return "tcp" }
func (h hostPort) String() string { return string(h) }

func (r *restartableListener) Accept() (net.Conn, error) {
	for {
		r.mu.Lock()
		for r.listener == nil && !r.isEnded {
			r.reopened.Wait()
		}
		l := r.listener
		isEnded := r.isEnded
		r.mu.Unlock()
		if isEnded {
			return nil, net.ErrClosed
		}
		conn, err := l.Accept()
		if err != nil {
			r.mu.Lock()
			if r.listener == l {
				r.listener = nil
			}
			r.mu.Unlock()
			continue
		}
		r.mu.Lock()
		r.conns[conn] = true
		r.mu.Unlock()
		return trackedConn{conn, r}, nil
	}
}

// trackedConn is a connection that unregisters itself at its listener when it ends.
type trackedConn struct {
	net.Conn
	listener *restartableListener
}

func (t trackedConn) Close() error {
	t.listener.mu.Lock()
	delete(t.listener.conns, t.Conn)
	t.listener.mu.Unlock()
	return t.Conn.Close()
}

// shut closes the port and all of its connections, and returns their number.
func (r *restartableListener) shut() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.listener != nil {
		r.listener.Close()
		r.listener = nil
	}
	for conn := range r.conns {
		if conn.Close() == nil {
			n++
		}
	}
	clear(r.conns)
	return n
}

// busiestListener waits for a listener with connections, and returns the one with the most.
func busiestListener(ctx context.Context, listeners []*restartableListener) (busiest *restartableListener) {
	for most := 0; ctx.Err() == nil; pause.For(ctx, time.Millisecond) {
		for _, l := range listeners {
			l.mu.Lock()
			if n := len(l.conns); n > most {
				busiest = l
				most = n
			}
			l.mu.Unlock()
		}
		if busiest != nil {
			return busiest
		}
	}
	return listeners[0]
}

func (r *restartableListener) reopen(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", r.realAddr)
	require.NoError(t, err)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.listener = l
	r.reopened.Broadcast()
}

func (r *restartableListener) Close() error {
	r.shut()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.isEnded = true
	r.reopened.Broadcast()
	return nil
}

// openCluster starts a cluster with a broker behind each listener.
func openCluster(t *testing.T, listeners []*restartableListener, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	next := 0
	opts = append([]kfake.Opt{kfake.NumBrokers(len(listeners)), kfake.DefaultNumPartitions(3),
		kfake.ListenFn(func(string, string) (net.Listener, error) {
			next++
			return listeners[next-1], nil
		})}, opts...)
	return kafkatest.Cluster(t, opts...)
}

// remote is a cluster of three brokers behind a Cloud Connector of a subaccount, with host names that nobody else can
// resolve.
type remote struct {
	*connectivitytest.Server
	cluster   *kfake.Cluster
	listeners []*restartableListener
}

func openRemote(t *testing.T, opts ...kfake.Opt) *remote {
	t.Helper()
	r := &remote{Server: connectivitytest.NewServer()}
	t.Cleanup(r.Server.Close)
	for i := range 3 {
		advertised := fmt.Sprintf("broker-%d.corp.invalid:9092", i)
		l := newRestartableListener(t, advertised)
		r.listeners = append(r.listeners, l)
		r.Map(fmt.Sprintf("kafka.virtual:%d", 19092+i), l.realAddr)
	}
	r.cluster = openCluster(t, r.listeners, opts...)
	return r
}

// properties returns the settings of a worker that reaches the cluster, and more of the form NAME=VALUE.
func (r *remote) properties(t *testing.T, more ...string) map[string]string {
	t.Helper()
	return with(map[string]string{
		"bootstrap.servers":               "broker-0.corp.invalid:9092,broker-1.corp.invalid:9092,broker-2.corp.invalid:9092",
		"kafka.proxy.type":                "sap-connectivity",
		"kafka.proxy.address":             r.SOCKS5,
		"kafka.proxy.token.url":           r.URL,
		"kafka.proxy.token.client.id":     r.Connectivity.ID,
		"kafka.proxy.token.client.secret": r.Connectivity.Secret,
		"kafka.proxy.address.map":         "broker-0.corp.invalid:9092=kafka.virtual:19092,broker-1.corp.invalid:9092=kafka.virtual:19093,broker-2.corp.invalid:9092=kafka.virtual:19094",
	}, more...)
}

// propertiesWithoutBinding returns the properties without those that a service binding provides.
func (r *remote) propertiesWithoutBinding(t *testing.T, more ...string) map[string]string {
	t.Helper()
	p := r.properties(t, more...)
	for _, name := range []string{"address", "token.url", "token.client.id", "token.client.secret"} {
		delete(p, "kafka.proxy."+name)
	}
	return p
}

// parseConfig returns the configuration of a worker with these properties.
func parseConfig(t *testing.T, properties map[string]string) Config {
	t.Helper()
	c, _, err := Parse(t.Context(), properties)
	require.NoError(t, err)
	return c
}

// longContext returns a context that is long enough for events that must happen, even on a busy machine.
func longContext(t *testing.T) context.Context {
	t.Helper()
	return limitedContext(t, 5*time.Minute)
}

// limitedContext returns a context for events that must not happen.
func limitedContext(t *testing.T, limit time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	return ctx
}
