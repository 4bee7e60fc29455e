// Package tunnel makes a remote Kafka cluster available to local clients: one local listener per broker, with
// brokers' addresses rewritten in answers. Requests pass unchanged; only answers that may contain an address are
// decoded, by API key (see [rewrite]). ApiVersions answers are limited to versions of known layout, so that no
// address passes unseen. The dialer does TLS. SASL is done here ([Options].SASL) or by the client. Decoded answers
// are held whole, one per connection and at most 128 MiB; everything else passes through buffers of 64 KiB.
package tunnel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/sasl"

	"github.com/culvert-project/culvert/internal/base/away"
	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/guard"
)

// Options of a tunnel.
type Options struct {
	// Listen is the local address (host:port) of the bootstrap listener. Default 127.0.0.1:9092. Port 0 takes a free
	// one. The broker with the n-th smallest id gets the n-th port after it, a taken port the next free one.
	Listen string
	// Bootstrap are the remote brokers (host:port) that a connection to the bootstrap listener is made to, the first
	// that can be reached.
	Bootstrap []string
	// Dial connects to a broker by the address that it advertises; proxies, mapped addresses and TLS are its business.
	Dial func(ctx context.Context, address string) (net.Conn, error)
	// DialTimeout bounds dialling and logging on. Default 30 s.
	DialTimeout time.Duration
	// SASL logs on to brokers for the clients, which then use none. nil: the client's own handshake is passed on.
	SASL sasl.Mechanism
	// Announce gets a line for each listener: "127.0.0.1:9093 broker 0 kafka.virtual:9092". Default: none.
	Announce func(line string)
	// Logger. Default: discards.
	Logger *slog.Logger
}

// drainTime bounds answers in progress when the tunnel ends; by default a consumer's fetch waits half a second.
const drainTime = 2 * time.Second

// Tunnel is a running tunnel.
type Tunnel struct {
	options    Options
	log        *slog.Logger
	ctx        context.Context
	cancel     context.CancelFunc
	brokers    brokers
	goroutines sync.WaitGroup
	partners   sync.Map // of *away.Partner, by the address of a broker
}

// Open listens on the bootstrap address and discovers the brokers in the background; if the cluster is unreachable
// or requires the client's own logon, it learns them from clients' answers. It returns once the bootstrap listener
// is open. The tunnel ends with ctx; answers in progress get [drainTime].
func Open(ctx context.Context, o Options) (*Tunnel, error) {
	if o.Listen == "" {
		o.Listen = "127.0.0.1:9092"
	}
	if o.DialTimeout == 0 {
		o.DialTimeout = 30 * time.Second
	}
	if o.Announce == nil {
		o.Announce = func(string) {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if len(o.Bootstrap) == 0 {
		return nil, errors.New("tunnel: expected brokers to start from (bootstrap.servers), found none")
	}
	t := &Tunnel{options: o, log: o.Logger}
	listener, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("tunnel: listening: %w", err)
	}
	t.ctx, t.cancel = context.WithCancel(ctx)
	t.brokers.open(t, listener)
	o.Announce(fmt.Sprintf("%s bootstrap %s", listener.Addr(), strings.Join(o.Bootstrap, ",")))
	t.serve(listener, t.dialBootstrap)
	t.goroutines.Go(func() {
		defer guard.Recover(t.log, "tunnel, the search for brokers", nil)
		t.discover()
	})
	return t, nil
}

// Wait returns when the tunnel has ended and every connection is closed.
func (t *Tunnel) Wait() {
	<-t.ctx.Done()
	t.brokers.close()
	t.goroutines.Wait()
}

// dialer connects to a broker and names it.
type dialer func(ctx context.Context) (conn net.Conn, address string, err error)

func (t *Tunnel) dialBootstrap(ctx context.Context) (net.Conn, string, error) {
	var refusals []error
	for _, address := range t.options.Bootstrap {
		conn, err := t.options.Dial(ctx, address)
		if err == nil {
			return conn, address, nil
		}
		refusals = append(refusals, fmt.Errorf("%s: %w", address, err))
		if ctx.Err() != nil {
			break
		}
	}
	return nil, strings.Join(t.options.Bootstrap, ","), errors.Join(refusals...)
}

func (t *Tunnel) serve(listener net.Listener, dial dialer) {
	t.goroutines.Go(func() {
		defer guard.Recover(t.log, "tunnel, a listener", nil, func(*guard.Panic) { t.cancel() })
		for {
			client, err := listener.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				// Out of file descriptors, most likely: connections that end give some back.
				t.log.Warn("tunnel: a connection could not be accepted", "listener", listener.Addr().String(), "error",
					err)
				if pause.For(t.ctx, 100*time.Millisecond) != nil {
					return
				}
				continue
			}
			t.goroutines.Go(func() {
				defer client.Close()
				defer guard.Recover(t.log, "tunnel, a connection", nil)
				t.connect(client, dial)
			})
		}
	})
}

func (t *Tunnel) connect(client net.Conn, dial dialer) {
	defer client.Close()
	ctx, cancel := context.WithTimeoutCause(t.ctx, t.options.DialTimeout, fmt.Errorf("no connection after %v",
		t.options.DialTimeout))
	defer cancel()
	broker, address, err := dial(ctx)
	if err != nil {
		t.logRefusal(address, err)
		return
	}
	defer broker.Close()
	r := newRelay(t, client, broker, address)
	if t.options.SASL != nil {
		if err := r.logOn(ctx); err != nil {
			t.logRefusal(address, err)
			return
		}
	}
	cancel()
	t.partner(address).Back(t.log, time.Now(), "tunnel: the broker is reached again", "broker", address)
	if err := r.run(t.ctx); err != nil {
		t.log.Warn("tunnel: connection closed", "broker", address, "client", client.RemoteAddr().String(), "error", err)
	}
}

// logRefusal logs why a client's connection was closed. Clients retry many times a second, so each reason is logged
// once until the broker is reached.
func (t *Tunnel) logRefusal(address string, err error) {
	if t.ctx.Err() != nil {
		return
	}
	t.partner(address).Lost(t.log, time.Now(), err.Error(),
		"tunnel: a client's connection was closed, the broker cannot be reached", "broker", address, "error", err)
}

func (t *Tunnel) partner(address string) *away.Partner {
	p, _ := t.partners.LoadOrStore(address, &away.Partner{})
	return p.(*away.Partner)
}

// advertised returns the local address of a client's connection, at which it can reach the other listeners.
func advertised(client net.Conn) string {
	if a, err := netip.ParseAddrPort(client.LocalAddr().String()); err == nil {
		return a.Addr().Unmap().String()
	}
	return "127.0.0.1"
}

func portOf(a net.Addr) int { return a.(*net.TCPAddr).Port }
