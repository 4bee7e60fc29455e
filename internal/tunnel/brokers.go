package tunnel

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/culvert-project/culvert/internal/kafka/security"
)

// node is a broker with its advertised address.
type node struct {
	id   int32
	host string
	port int32
}

func (n node) address() string { return net.JoinHostPort(n.host, strconv.Itoa(int(n.port))) }

// brokers holds the listeners of the brokers. They stay open until the tunnel ends, since clients remember addresses.
type brokers struct {
	tunnel    *Tunnel
	bootstrap net.Addr
	host      string // of all listeners

	mu        sync.Mutex
	isClosed  bool
	byID      map[int32]*brokerListener
	listeners []net.Listener // including the bootstrap listener
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
	b.listeners = []net.Listener{bootstrap}
	b.host, _, _ = net.SplitHostPort(bootstrap.Addr().String())
}

func (b *brokers) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.isClosed = true
	for _, listener := range b.listeners {
		listener.Close()
	}
}

const maxBrokers = 1_000 // each has a listener

// update opens listeners for new brokers and stores changed addresses. It opens no listener if there would be too many.
func (b *brokers) update(nodes []node) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var newNodes []node
	for _, n := range nodes {
		address := n.address()
		if existing := b.byID[n.id]; existing == nil {
			newNodes = append(newNodes, n)
		} else if previous := existing.address.Swap(&address); *previous != address {
			b.tunnel.log.Info("tunnel: a broker has a new address", "broker", n.id, "from", *previous, "to", address)
		}
	}
	slices.SortFunc(newNodes, func(x, y node) int { return cmp.Compare(x.id, y.id) })
	newNodes = slices.CompactFunc(newNodes, func(x, y node) bool { return x.id == y.id })
	if n := len(b.byID) + len(newNodes); n > maxBrokers {
		return fmt.Errorf("expected at most %d brokers, found %d", maxBrokers, n)
	}
	ids := slices.Collect(maps.Keys(b.byID))
	for i, n := range newNodes {
		rank := i // number of brokers with a smaller id
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

// add opens the listener of a new broker on the first free port from its rank on. b.mu is held.
func (b *brokers) add(n node, rank int) error {
	if b.isClosed {
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
	added := &brokerListener{port: int32(portOf(listener.Addr()))}
	added.address.Store(&address)
	b.listeners = append(b.listeners, listener)
	b.byID[n.id] = added
	b.tunnel.options.Announce(fmt.Sprintf("%s broker %d %s", listener.Addr(), n.id, address))
	b.tunnel.serve(listener, func(ctx context.Context) (net.Conn, string, error) {
		address := *added.address.Load()
		conn, err := b.tunnel.options.Dial(ctx, address)
		return conn, address, err
	})
	return nil
}

// port returns the local port of a broker, zero for an unknown one.
func (b *brokers) port(id int32) int32 {
	b.mu.Lock()
	defer b.mu.Unlock()
	if listener := b.byID[id]; listener != nil {
		return listener.port
	}
	return 0
}

// fetchBrokers requests the brokers from a bootstrap broker and opens their listeners.
func (t *Tunnel) fetchBrokers() error {
	timeout := t.options.DialTimeout
	ctx, cancel := context.WithTimeoutCause(t.ctx, timeout, fmt.Errorf("no answer after %v", timeout))
	defer cancel()
	conn, address, err := t.dialBootstrap(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	broker := security.NewConn(conn)
	if t.options.SASL != nil {
		host, _, _ := net.SplitHostPort(address)
		if _, err := security.Authenticate(ctx, host, t.options.SASL, broker.RoundTrip); err != nil {
			return fmt.Errorf("logging on to %s with SASL %s: %w", address, t.options.SASL.Name(), err)
		}
	}
	advertised, err := broker.Brokers()
	if err != nil {
		return fmt.Errorf("%s: %w", address, err)
	}
	nodes := make([]node, 0, len(advertised))
	for _, b := range advertised {
		nodes = append(nodes, node{id: b.ID, host: b.Host, port: b.Port})
	}
	return t.brokers.update(nodes)
}
