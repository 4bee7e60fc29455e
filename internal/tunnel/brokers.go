package tunnel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/internal/base/away"
	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/kafka/wire"
)

// node is a broker in a response.
type node struct {
	id   int32
	host string
	port int32
}

func (n node) address() string { return net.JoinHostPort(n.host, strconv.Itoa(int(n.port))) }

// brokers holds the listeners by broker id. They stay open until the tunnel ends, since clients remember addresses.
type brokers struct {
	tunnel    *Tunnel
	bootstrap net.Addr
	host      string

	mu     sync.Mutex
	closed bool
	byID   map[int32]*brokerListener
	all    []net.Listener
}

// brokerListener is a broker's local port and current address.
type brokerListener struct {
	address atomic.Pointer[string]
	port    int32
}

func (b *brokers) open(t *Tunnel, bootstrap net.Listener) {
	b.bootstrap = bootstrap.Addr()
	b.tunnel = t
	b.byID = map[int32]*brokerListener{}
	b.all = []net.Listener{bootstrap}
	b.host, _, _ = net.SplitHostPort(bootstrap.Addr().String())
}

func (b *brokers) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for _, listener := range b.all {
		listener.Close()
	}
}

const maxBrokers = 1_000

// update opens listeners for new brokers and stores changed addresses.
func (b *brokers) update(nodes []node) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var fresh []node
	for _, n := range nodes {
		to := n.address()
		if e := b.byID[n.id]; e == nil {
			fresh = append(fresh, n)
		} else if from := e.address.Swap(&to); *from != to {
			b.tunnel.log.Info("tunnel: a broker has a new address", "broker", n.id, "from", *from, "to", to)
		}
	}
	slices.SortFunc(fresh, func(x, y node) int { return cmp.Compare(x.id, y.id) })
	fresh = slices.CompactFunc(fresh, func(x, y node) bool { return x.id == y.id })
	if n := len(b.byID) + len(fresh); n > maxBrokers {
		return fmt.Errorf("expected at most %d brokers, found %d", maxBrokers, n)
	}
	ids := slices.Collect(maps.Keys(b.byID))
	for i, n := range fresh {
		rank := i // how many known and new brokers have a smaller id
		for _, id := range ids {
			if id < n.id {
				rank++
			}
		}
		if err := b.add(n, rank); err != nil {
			return err
		}
	}
	return nil
}

func (b *brokers) add(n node, rank int) error {
	if b.closed {
		return net.ErrClosed
	}
	var listener net.Listener
	var err error
	for port := portOf(b.bootstrap) + 1 + rank; port <= math.MaxUint16; port++ {
		if listener, err = net.Listen("tcp", net.JoinHostPort(b.host, strconv.Itoa(port))); err == nil {
			break
		}
	}
	if listener == nil {
		return fmt.Errorf("no free port for broker %d behind %s: %v", n.id, b.bootstrap, err)
	}
	address := n.address()
	e := &brokerListener{port: int32(portOf(listener.Addr()))}
	e.address.Store(&address)
	b.all = append(b.all, listener)
	b.byID[n.id] = e
	b.tunnel.options.Announce(fmt.Sprintf("%s broker %d %s", listener.Addr(), n.id, address))
	b.tunnel.serve(listener, func(ctx context.Context) (net.Conn, string, error) {
		address := *e.address.Load()
		conn, err := b.tunnel.options.Dial(ctx, address)
		return conn, address, err
	})
	return nil
}

func (b *brokers) port(id int32) int32 {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.byID[id]; e != nil {
		return e.port
	}
	return 0
}

// discover requests the brokers until the cluster responds. If only clients can log on, their responses open the
// listeners.
func (t *Tunnel) discover() {
	var cluster away.Partner
	for backoff := (pause.Backoff{First: time.Second, Longest: time.Minute}); ; {
		began := time.Now()
		err := t.fetchBrokers()
		if err == nil || t.ctx.Err() != nil {
			return
		}
		if t.options.SASL == nil && errors.As(err, new(*wire.ConnectionClosedError)) {
			t.log.Info("tunnel: listeners of brokers will be opened after the first client's logon", "error", err)
			return
		}
		wait := backoff.Next()
		cluster.Lost(t.log, began, err.Error(), "tunnel: the cluster's brokers could not be requested; retrying",
			"error", err, "next", wait)
		if pause.For(t.ctx, wait) != nil {
			return
		}
	}
}

func (t *Tunnel) fetchBrokers() error {
	ctx, cancel := context.WithTimeoutCause(t.ctx, t.options.DialTimeout, fmt.Errorf("no answer after %v",
		t.options.DialTimeout))
	defer cancel()
	conn, address, err := t.dialBootstrap(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	broker := wire.New(conn)
	if t.options.SASL != nil {
		host, _, _ := net.SplitHostPort(address)
		if _, err := wire.Authenticate(ctx, host, t.options.SASL, broker.RoundTrip); err != nil {
			return fmt.Errorf("logging on to %s with SASL %s: %w", address, t.options.SASL.Name(), err)
		}
	}
	brokers, err := broker.Brokers()
	if err != nil {
		return fmt.Errorf("%s: %w", address, err)
	}
	nodes := make([]node, 0, len(brokers))
	for _, b := range brokers {
		nodes = append(nodes, node{b.ID, b.Host, b.Port})
	}
	return t.brokers.update(nodes)
}
