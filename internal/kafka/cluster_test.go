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
	at         string // the port's real address
	advertised net.Addr

	mu       sync.Mutex
	open     *sync.Cond
	listener net.Listener // nil while closed
	inside   map[net.Conn]bool
	over     bool
}

func newDoor(t *testing.T, advertised string) *restartableListener {
	t.Helper()
	l := porttest.Listen(t)
	d := &restartableListener{at: l.Addr().String(), advertised: l.Addr(), listener: l, inside: map[net.Conn]bool{}}
	if advertised != "" {
		d.advertised = hostPort(advertised)
	}
	d.open = sync.NewCond(&d.mu)
	return d
}

func (r *restartableListener) Addr() net.Addr { return r.advertised }

// hostPort is an advertised address.
type hostPort string

func (hostPort) Network() string  { return "tcp" }
func (h hostPort) String() string { return string(h) }

func (r *restartableListener) Accept() (net.Conn, error) {
	for {
		r.mu.Lock()
		for r.listener == nil && !r.over {
			r.open.Wait()
		}
		l := r.listener
		over := r.over
		r.mu.Unlock()
		if over {
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
		r.inside[conn] = true
		r.mu.Unlock()
		return trackedConn{conn, r}, nil
	}
}

// trackedConn is a connection that unregisters itself at its listener when it ends.
type trackedConn struct {
	net.Conn
	door *restartableListener
}

func (t trackedConn) Close() error {
	t.door.mu.Lock()
	delete(t.door.inside, t.Conn)
	t.door.mu.Unlock()
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
	for conn := range r.inside {
		if conn.Close() == nil {
			n++
		}
	}
	clear(r.inside)
	return n
}

// busiest waits for a listener with connections, and returns the one with the most.
func busiest(ctx context.Context, doors []*restartableListener) (busiest *restartableListener) {
	for most := 0; ctx.Err() == nil; pause.For(ctx, time.Millisecond) {
		for _, d := range doors {
			d.mu.Lock()
			if n := len(d.inside); n > most {
				busiest = d
				most = n
			}
			d.mu.Unlock()
		}
		if busiest != nil {
			return busiest
		}
	}
	return doors[0]
}

func (r *restartableListener) reopen(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", r.at)
	require.NoError(t, err)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.listener = l
	r.open.Broadcast()
}

func (r *restartableListener) Close() error {
	r.shut()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
	r.open.Broadcast()
	return nil
}

// openCluster starts a cluster with a broker behind each listener.
func openCluster(t *testing.T, doors []*restartableListener, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	next := 0
	opts = append([]kfake.Opt{kfake.NumBrokers(len(doors)), kfake.DefaultNumPartitions(3),
		kfake.ListenFn(func(string, string) (net.Listener, error) {
			next++
			return doors[next-1], nil
		})}, opts...)
	return kafkatest.Cluster(t, opts...)
}

// remote is a cluster of three brokers behind a Cloud Connector of a subaccount, with host names that nobody else can
// resolve.
type remote struct {
	*connectivitytest.Server
	cluster *kfake.Cluster
	doors   []*restartableListener
}

func openRemote(t *testing.T, opts ...kfake.Opt) *remote {
	t.Helper()
	r := &remote{Server: connectivitytest.NewServer()}
	t.Cleanup(r.Server.Close)
	for i := range 3 {
		advertised := fmt.Sprintf("broker-%d.corp.invalid:9092", i)
		d := newDoor(t, advertised)
		r.doors = append(r.doors, d)
		r.Map(fmt.Sprintf("kafka.virtual:%d", 19092+i), d.at)
	}
	r.cluster = openCluster(t, r.doors, opts...)
	return r
}

// properties returns the settings of a worker that reaches the cluster; more are of the form NAME=VALUE.
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

// unbound returns the properties without those that a service binding provides.
func (r *remote) unbound(t *testing.T, more ...string) map[string]string {
	t.Helper()
	p := r.properties(t, more...)
	for _, name := range []string{"address", "token.url", "token.client.id", "token.client.secret"} {
		delete(p, "kafka.proxy."+name)
	}
	return p
}

func parsed(t *testing.T, properties map[string]string) Config {
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
