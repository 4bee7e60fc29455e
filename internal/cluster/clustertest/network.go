// Package clustertest has brokers and workers of a cluster in one process, on a network in memory whose parts can be
// held and cut. Within a bubble of testing/synctest its time is virtual: sessions and time-outs cost no time.
package clustertest

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
)

// Network is a broker, or several, and the ways of workers to them. It ends with the test. A test that uses it in a
// bubble closes its clients there: a bubble waits for its goroutines.
type Network struct {
	// Cluster is what answers: its ControlKey changes answers.
	Cluster *kfake.Cluster
	network kfake.VirtualNetwork

	mu   sync.Mutex
	ways map[string]*way
}

// New starts a broker, with a topic of one partition. More options win; ports are those from 1 on, see listen.
func New(t testing.TB, topic string, opts ...kfake.Opt) *Network {
	t.Helper()
	n := &Network{ways: map[string]*way{}}
	n.Cluster = kafkatest.Cluster(t, append([]kfake.Opt{kfake.Ports(1), kfake.ListenFn(n.listen),
		kfake.SeedTopics(1, topic)}, opts...)...)
	t.Cleanup(func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		for _, w := range n.ways {
			w.there.shut(false)
			w.back.shut(false)
			w.cutOff(true)
		}
	})
	return n
}

// listen gives brokers addresses that nothing has to be asked about, and that nobody answers at: where a connection
// breaks, the worker's dialer looks what the broker speaks, on the machine's own network.
func (n *Network) listen(network, address string) (net.Listener, error) {
	l, err := n.network.Listen(network, address)
	_, port, _ := net.SplitHostPort(address)
	return listener{l, port}, err
}

type listener struct {
	net.Listener
	port string
}

func (l listener) Addr() net.Addr { return l }
func (listener) Network() string  { return "tcp" }
func (l listener) String() string { return "127.0.0.1:" + l.port }

// Config is that of a worker, whose connections are known by its name from then on.
func (n *Network) Config(worker string) kafka.Config {
	c := kafka.Defaults()
	c.Bootstrap = n.Cluster.ListenAddrs()
	c.Extra = append(c.Extra, kgo.Dialer(func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		w := n.way(worker)
		if !w.there.pass(ctx.Done()) {
			return nil, context.Cause(ctx)
		}
		if w.isCut() {
			return nil, errCut
		}
		conn, err := n.network.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return w.over(conn), nil
	}))
	return c
}

// Hold stops what a worker sends (there), what it is sent (back), or both, until it is held no more: all arrives then.
// Neither side sees more than silence. With both false all goes on.
func (n *Network) Hold(worker string, there, back bool) {
	n.way(worker).there.shut(there)
	n.way(worker).back.shut(back)
}

// Cut breaks a worker's connections, and lets it make none until it is mended.
func (n *Network) Cut(worker string, cut bool) { n.way(worker).cutOff(cut) }

func (n *Network) way(worker string) *way {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ways[worker] == nil {
		n.ways[worker] = &way{conns: map[net.Conn]bool{}}
	}
	return n.ways[worker]
}

var errCut = &net.OpError{Op: "dial", Net: "fake", Err: errors.New("the test has cut it off")}

// way is a worker's way to the brokers.
type way struct {
	there, back gate

	mu    sync.Mutex
	conns map[net.Conn]bool // those of the worker
	cut   bool
}

func (w *way) isCut() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cut
}

// over leads a connection through the gates.
func (w *way) over(broker net.Conn) net.Conn {
	worker, far := net.Pipe()
	closed := make(chan struct{})
	end := sync.OnceFunc(func() {
		close(closed)
		far.Close()
		broker.Close()
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.conns, far)
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns[far] = true
	go carry(far, broker, &w.there, closed, end)
	go carry(broker, far, &w.back, closed, end)
	return worker
}

func (w *way) cutOff(cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
	if cut {
		for c := range w.conns {
			c.Close()
		}
	}
}

// chunks is how many pieces a connection holds, as the buffers of TCP do: more than any test sends.
const chunks = 1 << 12

// carry takes bytes from one side to the other, through a gate, and the end of the connection after them.
func carry(from, to net.Conn, g *gate, closed <-chan struct{}, end func()) {
	pieces := make(chan []byte, chunks)
	go func() {
		defer close(pieces)
		for {
			piece := make([]byte, 4096)
			n, err := from.Read(piece)
			if err != nil {
				return
			}
			pieces <- piece[:n]
		}
	}()
	defer end()
	for piece := range pieces {
		if !g.pass(closed) {
			return
		}
		if _, err := to.Write(piece); err != nil {
			return
		}
	}
	g.pass(closed)
}

// gate is open or shut.
type gate struct {
	mu     sync.Mutex
	opened chan struct{} // nil: it is open
}

func (g *gate) shut(shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case shut && g.opened == nil:
		g.opened = make(chan struct{})
	case !shut && g.opened != nil:
		close(g.opened)
		g.opened = nil
	}
}

// pass waits for the gate to be open; false: over came first.
func (g *gate) pass(over <-chan struct{}) bool {
	g.mu.Lock()
	opened := g.opened
	g.mu.Unlock()
	if opened == nil {
		return true
	}
	select {
	case <-opened:
		return true
	case <-over:
		return false
	}
}
