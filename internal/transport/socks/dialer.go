// Package socks dials through the Connectivity proxy of SAP BTP: SOCKS5 with method 0x80, in which the client shows a
// JWT and the location id of a Cloud Connector. Names are resolved behind the tunnel, never here.
//
// The bytes and the meaning of the answers are SAP's ("Using the TCP Protocol for Cloud Applications"); what is done
// about an answer is in [Refused.Permanent] and in attempt.go.
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

// Dialer makes tunnels: each connection is one to the proxy and belongs to one target. Fields are not changed once it
// is in use; it is then safe for use by several goroutines.
type Dialer struct {
	// Address is the proxy's host:port. Required.
	Address string
	// Token returns a JWT for the Connectivity proxy, another one than refused where that is not empty. It is called
	// for every attempt, so it should cache. Required.
	//
	// An error of it ends the dialling, unless it has a method `Temporary() bool` that returns true: then it is tried
	// again like an answer that passes.
	Token func(ctx context.Context, refused string) (string, error)
	// Locations are the location ids of the Cloud Connectors that reach the target, in the order in which they are
	// tried. None means the Cloud Connector without a location id, and so does "".
	Locations []string
	// Outage is how long to go on while the answers are such that pass: no Cloud Connector (03), no way to the backend
	// (04), a general failure (01), a proxy that does not answer. 0 tries every location once.
	Outage time.Duration
	// Attempt bounds one attempt: the connection to the proxy and the three exchanges. 0 means 30 s.
	Attempt time.Duration
	// Forward connects to the proxy. nil means plain TCP with [keepAlive].
	Forward proxy.ContextDialer
	// Logger gets what is tried again and why; never a token. nil means nobody.
	Logger *slog.Logger
	// Trace, where it is set, gets every step of every attempt, in the goroutine of DialContext. A diagnosis uses
	// it.
	Trace func(Event)

	// unreachable are the targets to which there was no tunnel when one was asked for last: an outage is logged once.
	unreachable sync.Map
}

// Event is one step of an attempt.
type Event struct {
	Step     Step
	Target   string
	Location string
	Elapsed  time.Duration
	Err      error
}

// keepAlive is how often a connection is probed: idle tunnels are cut by what lies between, and the proxy sends no
// probes.
func keepAlive() net.KeepAliveConfig {
	return net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 15 * time.Second, Count: 4}
}

// Direct connects without a proxy, with [keepAlive].
func Direct() proxy.ContextDialer { return &net.Dialer{KeepAliveConfig: keepAlive()} }

// DialContext makes a tunnel to address, a virtual host of the Cloud Connector with its port. network is tcp or tcp4.
// It returns when there is a tunnel, when an answer is one that does not pass, when Outage is over, or when ctx is
// done. The connection outlives ctx.
//
// Errors are a *[Refused] for what the proxy answered, a *[Unusable] for what cannot be sent at all, those of Token,
// and what the network said; they are wrapped, and those that will not pass have a method `Permanent() bool` that
// returns true.
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
