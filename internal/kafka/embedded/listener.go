package embedded

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"
)

// listen opens the address of [Options.Listen]; the listener's Addr is the address for clients.
func listen(address, advertised string) (*advertisedListener, error) {
	if address == "" {
		return listenNextFree(firstPort, lastPort, advertised)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("embedded broker: listen address: expected HOST:PORT, found %q", address)
	}
	if port != "0" && isListening(net.JoinHostPort(loopbackFor(host), port)) {
		return nil, fmt.Errorf("embedded broker: %s is in use by another program; bootstrap.servers=embedded:PORT, or "+
			"--listen of culvert broker, chooses another one", address)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	return advertise(l, host, advertised)
}

func listenNextFree(first, last int, advertised string) (*advertisedListener, error) {
	var lastErr error
	for port := first; port <= last; port++ {
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		if isListening(addr) {
			lastErr = errors.New("another program listens there")
			continue
		}
		l, err := net.Listen("tcp", addr)
		if err == nil {
			return advertise(l, "127.0.0.1", advertised)
		}
		lastErr = err
	}
	return nil, fmt.Errorf("embedded broker: no free port from %d to %d on 127.0.0.1 (the last one: %w); "+
		"bootstrap.servers=embedded:PORT chooses another one", first, last, lastErr)
}

// isListening reports whether another process listens: some systems allow us to bind next to its wildcard.
func isListening(addr string) bool {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

func loopbackFor(host string) string {
	if host == "" || isWildcard(host) {
		return "127.0.0.1"
	}
	return host
}

func isWildcard(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || (ip != nil && ip.IsUnspecified())
}

// advertise returns a listener with the advertised address, by default with host. It closes listener on errors.
func advertise(listener net.Listener, host, advertised string) (*advertisedListener, error) {
	listeningPort := listener.Addr().(*net.TCPAddr).Port
	advertisedHost := advertised
	port := strconv.Itoa(listeningPort)
	if h, p, err := net.SplitHostPort(advertised); err == nil {
		advertisedHost = h
		port = p
	}
	switch {
	case advertisedHost != "":
		// The caller specifies it.
	case isWildcard(host):
		name, err := os.Hostname()
		if err != nil {
			listener.Close()
			return nil, fmt.Errorf("embedded broker: listening on all interfaces needs an advertised host: %w", err)
		}
		advertisedHost = name
	default:
		advertisedHost = host
	}
	return &advertisedListener{listener, advertisedAddr(net.JoinHostPort(advertisedHost, port))}, nil
}

type advertisedListener struct {
	net.Listener
	addr advertisedAddr
}

// Addr returns the address for clients, which kfake puts into metadata.
func (l *advertisedListener) Addr() net.Addr { return l.addr }

type advertisedAddr string

func (advertisedAddr) Network() string { return "tcp" }

func (a advertisedAddr) String() string { return string(a) }
