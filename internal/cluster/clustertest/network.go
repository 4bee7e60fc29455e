// Package clustertest runs brokers and workers of a cluster in one process, on an in-memory network that can be held
// and cut. In a bubble of testing/synctest time is virtual: sessions and timeouts take no time.
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

// Network is a cluster of brokers and the connections of workers to it, which a test can hold and cut. It ends with the
// test. A test in a synctest bubble must close its clients inside the bubble.
type Network struct {
	// Cluster is the broker. Its ControlKey changes responses.
	Cluster *kfake.Cluster
	network kfake.VirtualNetwork

	mu    sync.Mutex
	links map[string]*link
}

// New starts a broker with a topic of one partition. Ports count from 1, see listen.
func New(t testing.TB, topic string, opts ...kfake.Opt) *Network {
	t.Helper()
	n := &Network{links: map[string]*link{}}
	n.Cluster = kafkatest.Cluster(t, append([]kfake.Opt{kfake.Ports(1), kfake.ListenFn(n.listen),
		kfake.SeedTopics(1, topic)}, opts...)...)
	t.Cleanup(func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		for _, w := range n.links {
			w.toBroker.setClosed(false)
			w.toWorker.setClosed(false)
			w.cut()
		}
	})
	return n
}

// listen returns addresses that need no resolver and on which nothing listens: after a broken connection a dialer
// probes the address on the machine's real network.
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

// Config returns the configuration of a worker. Its connections are identified by its name.
func (n *Network) Config(worker string) kafka.Config {
	c := kafka.Defaults()
	c.Bootstrap = n.Cluster.ListenAddrs()
	c.Extra = append(c.Extra, kgo.Dialer(func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		w := n.link(worker)
		if !w.toBroker.pass(ctx.Done()) {
			return nil, context.Cause(ctx)
		}
		if w.isCutOff() {
			return nil, errCut
		}
		conn, err := n.network.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return w.connect(conn), nil
	}))
	return c
}

// Directions selects directions of the bytes between a worker and the brokers. The zero value selects no direction.
type Directions struct {
	ToBroker bool
	ToWorker bool
}

// BothWays selects the directions to the broker and to the worker.
var BothWays = Directions{ToBroker: true, ToWorker: true}

// Hold delays the bytes of the directions, and lets those of the others arrive. Neither side notices more than silence.
func (n *Network) Hold(worker string, held Directions) {
	n.link(worker).toBroker.setClosed(held.ToBroker)
	n.link(worker).toWorker.setClosed(held.ToWorker)
}

// Cut breaks a worker's connections and rejects new ones until Mend.
func (n *Network) Cut(worker string) { n.link(worker).cut() }

// Mend ends the effect of Cut.
func (n *Network) Mend(worker string) { n.link(worker).mend() }

func (n *Network) link(worker string) *link {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.links[worker] == nil {
		n.links[worker] = &link{conns: map[net.Conn]bool{}}
	}
	return n.links[worker]
}

var errCut = &net.OpError{Op: "dial", Net: "fake", Err: errors.New("the test has cut it off")}

// link is the connection of one worker to the brokers.
type link struct {
	toBroker gate
	toWorker gate

	mu     sync.Mutex
	conns  map[net.Conn]bool
	cutOff bool
}

func (l *link) isCutOff() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cutOff
}

// connect forwards a connection to the broker through the gates, and returns the worker's end.
func (l *link) connect(broker net.Conn) net.Conn {
	worker, peer := net.Pipe()
	closed := make(chan struct{})
	end := sync.OnceFunc(func() {
		close(closed)
		peer.Close()
		broker.Close()
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.conns, peer)
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns[peer] = true
	go carry(peer, broker, &l.toBroker, closed, end)
	go carry(broker, peer, &l.toWorker, closed, end)
	return worker
}

func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cutOff = true
	for c := range l.conns {
		c.Close()
	}
}

func (l *link) mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cutOff = false
}

// pieceCount is the number of pieces that a connection buffers, as TCP does: more than any test sends.
const pieceCount = 1 << 12

// carry copies bytes through a gate and closes the connection after them.
func carry(from, to net.Conn, g *gate, closed <-chan struct{}, end func()) {
	pieces := make(chan []byte, pieceCount)
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
	g.pass(closed) // the end is held as bytes are
}

// gate delays bytes while it is closed.
type gate struct {
	mu     sync.Mutex
	opened chan struct{} // nil means open
}

func (g *gate) setClosed(closed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case closed && g.opened == nil:
		g.opened = make(chan struct{})
	case !closed && g.opened != nil:
		close(g.opened)
		g.opened = nil
	}
}

// pass waits until the gate is open. It returns false if canceled was closed first.
func (g *gate) pass(canceled <-chan struct{}) bool {
	g.mu.Lock()
	opened := g.opened
	g.mu.Unlock()
	if opened == nil {
		return true
	}
	select {
	case <-opened:
		return true
	case <-canceled:
		return false
	}
}
