// Package socks dials through SAP Connectivity's proxy: SOCKS5 with authentication method 0x80, in which the client
// sends a JWT and the location id of a Cloud Connector. The Cloud Connector resolves names.
//
// Source: SAP Help, "Using the TCP Protocol for Cloud Applications".
package socks

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/net/proxy"
)

var _ proxy.ContextDialer = (*Dialer)(nil)

// Dialer opens tunnels, each on a connection of its own to the proxy. Safe for concurrent use once its fields are set.
type Dialer struct {
	Address string // the proxy's host:port, required
	// Token returns a JWT other than refused for each attempt, so it should cache; required. Its errors end dialing,
	// unless they have a method `Temporary() bool` that returns true.
	Token func(ctx context.Context, refused string) (string, error)
	// Locations are location ids of Cloud Connectors in the order of attempts. None means the default one, as does "".
	Locations []string
	// Outage is how long to retry temporary errors: a missing Cloud Connector, an unreachable backend, a general
	// failure, or an unreachable proxy. Zero means one attempt per location.
	Outage  time.Duration
	Attempt time.Duration // bounds one attempt; default 30 s
	// Forward dials the proxy. Nil means [Direct].
	Forward proxy.ContextDialer
	Logger  *slog.Logger // optional
	// Trace receives each step of each attempt, in the goroutine of DialContext; optional.
	Trace func(Event)

	// unreachable holds the targets of the last failed attempts: an outage is logged once.
	unreachable sync.Map
}

// Event is one step of an attempt to open a tunnel.
type Event struct {
	Step     Step
	Target   string
	Location string
	Elapsed  time.Duration
	Err      error // nil means success
}

// Direct returns a TCP dialer with keep-alive probes: intermediaries close idle tunnels and the proxy sends no probes.
func Direct() proxy.ContextDialer {
	return &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second,
		Interval: 15 * time.Second, Count: 4}}
}

// DialContext opens a tunnel to a virtual host:port of the Cloud Connector; network is tcp or tcp4. It returns on
// success, a permanent error, the end of Outage or of ctx, which does not affect the connection afterwards. Errors
// wrap *[Refused], *[Unusable], *[Unexpected], those of Token and of the network.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	target, err := parseEndpoint(network, address)
	if err != nil {
		return nil, err
	}
	if err := d.Validate(); err != nil {
		return nil, err
	}
	return (&dialCall{Dialer: d, endpoint: target}).run(ctx)
}
