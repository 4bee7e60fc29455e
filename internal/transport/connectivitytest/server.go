// Package connectivitytest is a subaccount of SAP BTP on 127.0.0.1, in the manner of net/http/httptest: the
// Connectivity proxy with its SOCKS5 port and its HTTP port, Cloud Connectors behind it, the token service, the
// destination service, and the list of attached Cloud Connectors. Everything can be made to go wrong, and everything
// that was asked for is in a ledger.
//
// It follows SAP's pages ("Using the TCP Protocol for Cloud Applications", "Calling the Connectivity Service REST API",
// "Destination Service REST API"), never Culvert's client. What no page says is marked as an assumption.
package connectivitytest

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
)

// Server is a subaccount. It owns goroutines, which end with Close.
type Server struct {
	// SOCKS5, HTTP are host:port of the Connectivity proxy. URL and TLSURL are those of the services: tokens,
	// destinations, Cloud Connectors. They are empty before Start.
	SOCKS5, HTTP string
	URL, TLSURL  string

	// Connectivity, API, Destination and XSUAA are the clients that tokens are made for. API is that of the list of
	// attached Cloud Connectors, which has a binding of its own. They may be changed before Start.
	Connectivity, API, Destination, XSUAA Client

	// Dial reaches the real addresses behind the Cloud Connectors. nil means net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	mu            sync.Mutex
	changed       *sync.Cond
	locations     map[string]bool
	virtualHosts  map[string]string // location NUL virtual host:port -> real; "*" stands for every location
	faults        []*Fault
	fragment      bool
	refuseByReply bool
	record        bool
	recorded      []byte
	ledger        []Entry
	tunnels       map[*tunnel]struct{}
	conns         map[net.Conn]struct{}
	destinations  map[string]string // destinations
	authority     *authority
	issuer        issuer
	listeners     []net.Listener
	servers       []*http.Server
	done          chan struct{}
	closed        bool
	goroutines    sync.WaitGroup
}

// Client is one of the token service's: the client of a binding.
type Client struct{ ID, Secret string }

// NewServer starts a subaccount with one Cloud Connector, which has no location id and exposes nothing. It panics where
// it cannot listen.
func NewServer() *Server {
	s := NewUnstartedServer()
	s.Start()
	return s
}

// NewUnstartedServer does not listen yet; connections can be given to ServeSOCKS5 all the same, pipes for instance.
func NewUnstartedServer() *Server {
	s := &Server{
		Connectivity: Client{"sb-clone1!b123|connectivity!b17", "connectivity-secret+/="},
		API:          Client{"sb-api1!b123|connectivity!b17", "api-secret"},
		Destination:  Client{"sb-clone2!b123|destination-xsappname!b9", "destination-secret"},
		XSUAA:        Client{"sb-culvert!t123", "xsuaa-secret"},
		locations:    map[string]bool{"": true}, virtualHosts: map[string]string{}, destinations: map[string]string{},
		tunnels: map[*tunnel]struct{}{}, conns: map[net.Conn]struct{}{}, done: make(chan struct{}),
	}
	s.changed = sync.NewCond(&s.mu)
	s.issuer.lifetime = defaultLifetime
	return s
}

// Start listens on ports of 127.0.0.1 that are free.
func (s *Server) Start() {
	s.authority = newAuthority()
	socks := s.listen()
	s.SOCKS5 = socks.Addr().String()
	s.goroutines.Go(func() { s.accept(socks) })

	proxy := s.listen()
	s.HTTP = proxy.Addr().String()
	s.serve(proxy, http.HandlerFunc(s.serveProxy))

	services := s.services()
	plain := s.listen()
	s.URL = "http://" + plain.Addr().String()
	s.serve(plain, services)
	secure := s.listen()
	s.TLSURL = "https://" + secure.Addr().String()
	s.serve(s.authority.listener(secure), services)
}

func (s *Server) listen() net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic("connectivitytest: " + err.Error())
	}
	s.listeners = append(s.listeners, l)
	return l
}

func (s *Server) serve(l net.Listener, handler http.Handler) {
	server := newHTTPServer(handler)
	s.servers = append(s.servers, server)
	s.goroutines.Go(func() { server.Serve(l) })
}

// Close ends all connections and waits for the goroutines.
func (s *Server) Close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	close(s.done)
	for conn := range s.conns {
		conn.Close()
	}
	s.changed.Broadcast()
	s.mu.Unlock()
	for _, l := range s.listeners {
		l.Close()
	}
	for _, server := range s.servers {
		server.Close()
	}
	s.goroutines.Wait()
}

// track lets Close end a connection and wait for the goroutine that serves it, which says so by goroutines.Done; it is
// false when Close has happened already.
func (s *Server) track(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		conn.Close()
		return false
	}
	s.conns[conn] = struct{}{}
	s.goroutines.Add(1) // in the lock: none is added once Close waits
	return true
}

func (s *Server) untrack(conn net.Conn) {
	conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, conn)
}

// Attach connects a Cloud Connector under a location id to the subaccount; "" is the one without.
func (s *Server) Attach(location string) { s.set(func() { s.locations[location] = true }) }

// Detach disconnects a Cloud Connector, and with it its tunnels.
func (s *Server) Detach(location string) {
	s.set(func() { delete(s.locations, location) })
	s.drop(func(t *tunnel) bool { return t.location == location })
}

// Map lets every Cloud Connector expose a virtual host:port for a real one. For the HTTP port the real address may
// begin with https://: the Cloud Connector then speaks TLS with the system.
func (s *Server) Map(virtual, real string) { s.MapAt("*", virtual, real) }

// MapAt is Map for the Cloud Connector of one location id.
func (s *Server) MapAt(location, virtual, real string) {
	s.set(func() { s.virtualHosts[location+"\x00"+strings.ToLower(virtual)] = real })
}

// Unmap takes back what Map did.
func (s *Server) Unmap(virtual string) {
	s.set(func() { delete(s.virtualHosts, "*\x00"+strings.ToLower(virtual)) })
}

func (s *Server) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	s.changed.Broadcast()
}

// lookUp is the address behind a virtual one.
func (s *Server) lookUp(location, virtual string) (real string, attached, exposed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	virtual = strings.ToLower(virtual)
	real, exposed = s.virtualHosts[location+"\x00"+virtual]
	if !exposed {
		real, exposed = s.virtualHosts["*\x00"+virtual]
	}
	return real, s.locations[location], exposed
}

func (s *Server) dial(ctx context.Context, address string) (net.Conn, error) {
	if s.Dial != nil {
		return s.Dial(ctx, "tcp", address)
	}
	return new(net.Dialer).DialContext(ctx, "tcp", address)
}
