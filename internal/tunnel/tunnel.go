// Package tunnel makes a remote Kafka cluster available to local clients: it opens a local listener per broker and
// replaces the brokers' addresses in responses. Only responses that may contain an address are decoded. ApiVersions
// responses are limited to versions that the tunnel can decode, so that no address is missed. The dialer provides TLS;
// the tunnel ([Options].SASL) or the client logs on with SASL.
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
	"github.com/culvert-project/culvert/internal/kafka/security"
)

// Options of a tunnel.
type Options struct {
	// Listen is the host:port of the bootstrap listener. Default 127.0.0.1:9092; port 0 selects a free one. The
	// broker with the n-th smallest id gets the n-th port after it, or the next free one.
	Listen    string
	Bootstrap []string // the remote brokers (host:port); the first reachable one is used
	// Dial connects to a broker's advertised address, with TLS, proxies and address maps.
	Dial        func(ctx context.Context, address string) (net.Conn, error)
	DialTimeout time.Duration // bounds dialing and the logon. Default 30 s.
	// SASL logs on for the clients, which must use no SASL. Nil relays the clients' own logons.
	SASL     sasl.Mechanism
	Announce func(line string) // receives a line per listener: "127.0.0.1:9093 broker 0 kafka.virtual:9092"
	Logger   *slog.Logger
}

// drainTime is how long the end of a tunnel waits for responses. By default a consumer's fetch waits half a second.
const drainTime = 2 * time.Second

// Tunnel is a running tunnel.
type Tunnel struct {
	options    Options
	log        *slog.Logger
	ctx        context.Context
	cancel     context.CancelFunc
	brokers    brokers
	goroutines sync.WaitGroup
	partners   sync.Map // *away.Partner by broker address
}

// Open opens the bootstrap listener. It discovers the brokers in the background, or from responses to clients if the
// cluster is unreachable or requires the clients' own logon. The tunnel ends with ctx, after up to [drainTime] for
// pending responses.
func Open(ctx context.Context, options Options) (*Tunnel, error) {
	if options.Listen == "" {
		options.Listen = "127.0.0.1:9092"
	}
	if options.DialTimeout == 0 {
		options.DialTimeout = 30 * time.Second
	}
	if options.Announce == nil {
		options.Announce = func(string) {}
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	if len(options.Bootstrap) == 0 {
		return nil, errors.New("tunnel: expected brokers to start from (bootstrap.servers), found none")
	}
	t := &Tunnel{options: options, log: options.Logger}
	listener, err := net.Listen("tcp", options.Listen)
	if err != nil {
		return nil, fmt.Errorf("tunnel: listening: %w", err)
	}
	t.ctx, t.cancel = context.WithCancel(ctx)
	t.brokers.open(t, listener)
	options.Announce(fmt.Sprintf("%s bootstrap %s", listener.Addr(), strings.Join(options.Bootstrap, ",")))
	t.serve(listener, t.dialBootstrap)
	t.goroutines.Go(func() {
		defer guard.Recover(t.log, "tunnel, the search for brokers", nil)
		// Brokers are requested until the cluster responds, unless only clients can log on.
		var cluster away.Partner
		for backoff := (pause.Backoff{First: time.Second, Longest: time.Minute}); ; {
			start := time.Now()
			err := t.fetchBrokers()
			if err == nil || t.ctx.Err() != nil {
				return
			}
			if t.options.SASL == nil && errors.As(err, new(*security.ConnectionClosedError)) {
				t.log.Info("tunnel: listeners of brokers will be opened after the first client's logon", "error", err)
				return
			}
			wait := backoff.Next()
			cluster.Lost(t.log, start, err.Error(), "tunnel: the cluster's brokers could not be requested; retrying",
				"error", err, "next", wait)
			if pause.For(t.ctx, wait) != nil {
				return
			}
		}
	})
	return t, nil
}

// Wait waits until the tunnel has ended and all connections are closed.
func (t *Tunnel) Wait() {
	<-t.ctx.Done()
	t.brokers.close()
	t.goroutines.Wait()
}

// dialer connects to a broker and returns its address.
type dialer func(ctx context.Context) (conn net.Conn, address string, err error)

// dialBootstrap connects to the first reachable bootstrap broker. With an error the address is a list of all of them.
func (t *Tunnel) dialBootstrap(ctx context.Context) (net.Conn, string, error) {
	var errs []error
	for _, address := range t.options.Bootstrap {
		conn, err := t.options.Dial(ctx, address)
		if err == nil {
			return conn, address, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", address, err))
		if ctx.Err() != nil {
			break
		}
	}
	return nil, strings.Join(t.options.Bootstrap, ","), errors.Join(errs...)
}

// serve relays each connection of a listener to the broker that dial returns, until the listener is closed.
func (t *Tunnel) serve(listener net.Listener, dial dialer) {
	t.goroutines.Go(func() {
		defer guard.Recover(t.log, "tunnel, a listener", nil, func(*guard.PanicError) { t.cancel() })
		for {
			client, err := listener.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				// The cause is probably a lack of file descriptors: retry when connections have ended.
				t.log.Warn("tunnel: a connection could not be accepted", "listener", listener.Addr().String(),
					"error", err)
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

// connect relays one connection, after the tunnel's logon.
func (t *Tunnel) connect(client net.Conn, dial dialer) {
	defer client.Close()
	timeout := t.options.DialTimeout
	ctx, cancel := context.WithTimeoutCause(t.ctx, timeout, fmt.Errorf("no connection after %v", timeout))
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
	t.partner(address).Back(t.log, time.Now(), "tunnel: the broker can be reached again", "broker", address)
	if err := r.run(t.ctx); err != nil {
		t.log.Warn("tunnel: connection closed", "broker", address, "client", client.RemoteAddr().String(), "error", err)
	}
}

// logRefusal logs each reason once until the broker can be reached: clients retry many times a second.
func (t *Tunnel) logRefusal(address string, err error) {
	if t.ctx.Err() != nil {
		return
	}
	t.partner(address).Lost(t.log, time.Now(), err.Error(),
		"tunnel: the broker cannot be reached; a client's connection was closed", "broker", address, "error", err)
}

func (t *Tunnel) partner(address string) *away.Partner {
	p, _ := t.partners.LoadOrStore(address, &away.Partner{})
	return p.(*away.Partner)
}

// localHost returns the local address of a client's connection, at which the client can reach the other listeners.
func localHost(client net.Conn) string {
	if a, err := netip.ParseAddrPort(client.LocalAddr().String()); err == nil {
		return a.Addr().Unmap().String()
	}
	return "127.0.0.1"
}

func portOf(a net.Addr) int { return a.(*net.TCPAddr).Port }
