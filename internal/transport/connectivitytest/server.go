// Package connectivitytest simulates a subaccount of SAP BTP on 127.0.0.1, like net/http/httptest: the Connectivity
// proxy with SOCKS5 and HTTP ports, Cloud Connectors, the token service, the destination service, and the list of
// connected Cloud Connectors. Tests can inject faults ([Fault]) and inspect all requests ([Server.Ledger]).
//
// It implements SAP's documentation ("Using the TCP Protocol for Cloud Applications", "Calling the Connectivity Service
// REST API", "Destination Service REST API") independently of Culvert's client. Undocumented behavior is marked as an
// assumption.
package connectivitytest

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Server is a subaccount. Its goroutines end with Close.
type Server struct {
	// SOCKS5 and HTTP are host:port of the Connectivity proxy, URL and TLSURL those of the services. They are set by
	// Start.
	SOCKS5 string
	HTTP   string
	URL    string
	TLSURL string

	// Connectivity, API, Destination and XSUAA are the token service's clients, API the one of the list of Cloud
	// Connectors. They may be changed before Start.
	Connectivity Client
	API          Client
	Destination  Client
	XSUAA        Client

	// Dial connects to systems behind the Cloud Connectors. Nil means net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	mu      sync.Mutex // guards the embedded structs
	changed *sync.Cond // signals changes of the embedded structs
	subaccount
	faultState
	ledger
	connections
}

// subaccount is the configuration of Cloud Connectors and services.
type subaccount struct {
	locations    map[string]bool
	virtualHosts map[string]string // location NUL virtual host:port to real address; * is every location
	destinations map[string]string // responses by name
	authority    *authority
	issuer       issuer
}

// faultState holds the faults of the SOCKS5 port.
type faultState struct {
	faults        []*Fault
	fragment      bool // see Fragment
	refuseByReply bool // see RefuseByReply
}

// ledger holds requests and, if record is set, the bytes of tunnels.
type ledger struct {
	entries  []Entry
	record   bool
	recorded []byte
}

// connections holds everything that Close ends.
type connections struct {
	tunnels    map[*tunnel]struct{}
	conns      map[net.Conn]struct{}
	listeners  []net.Listener
	servers    []*http.Server
	done       chan struct{}
	closed     bool
	goroutines sync.WaitGroup
}

// Client is a client of the token service.
type Client struct{ ID, Secret string }

// NewServer starts a subaccount with one Cloud Connector, without a location id and virtual hosts. It panics if it
// cannot listen.
func NewServer() *Server {
	s := NewUnstartedServer()
	s.Start()
	return s
}

// NewUnstartedServer does not listen yet; ServeSOCKS5 accepts connections, such as pipes.
func NewUnstartedServer() *Server {
	s := &Server{
		Connectivity: Client{ID: "sb-clone1!b123|connectivity!b17", Secret: "connectivity-secret+/="},
		API:          Client{ID: "sb-api1!b123|connectivity!b17", Secret: "api-secret"},
		Destination:  Client{ID: "sb-clone2!b123|destination-xsappname!b9", Secret: "destination-secret"},
		XSUAA:        Client{ID: "sb-culvert!t123", Secret: "xsuaa-secret"},
		subaccount: subaccount{locations: map[string]bool{"": true}, virtualHosts: map[string]string{},
			destinations: map[string]string{}},
		connections: connections{tunnels: map[*tunnel]struct{}{}, conns: map[net.Conn]struct{}{},
			done: make(chan struct{})},
	}
	s.changed = sync.NewCond(&s.mu)
	s.issuer.lifetime = defaultLifetime
	return s
}

// Start listens on free ports of 127.0.0.1.
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
	server := &http.Server{Handler: handler, MaxHeaderBytes: 1 << 20, ReadHeaderTimeout: time.Minute,
		ErrorLog: log.New(io.Discard, "", 0)}
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

// track lets Close end a connection and wait for its goroutine, which must call goroutines.Done. It returns false
// after Close.
func (s *Server) track(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		conn.Close()
		return false
	}
	s.conns[conn] = struct{}{}
	s.goroutines.Add(1) // under the lock, so that none is added once Close waits
	return true
}

func (s *Server) untrack(conn net.Conn) {
	conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, conn)
}

// Attach connects a Cloud Connector with a location id, which may be "".
func (s *Server) Attach(location string) { s.set(func() { s.locations[location] = true }) }

// Detach disconnects a Cloud Connector and its tunnels.
func (s *Server) Detach(location string) {
	s.set(func() { delete(s.locations, location) })
	s.drop(func(t *tunnel) bool { return t.location == location })
}

// Map exposes a virtual host:port of all Cloud Connectors. For the HTTP port the real address may begin with https://.
func (s *Server) Map(virtual, real string) { s.MapAt("*", virtual, real) }

// MapAt is Map for one Cloud Connector.
func (s *Server) MapAt(location, virtual, real string) {
	s.set(func() { s.virtualHosts[location+"\x00"+strings.ToLower(virtual)] = real })
}

// Unmap reverts Map.
func (s *Server) Unmap(virtual string) {
	s.set(func() { delete(s.virtualHosts, "*\x00"+strings.ToLower(virtual)) })
}

func (s *Server) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	s.changed.Broadcast()
}

// lookUp returns the real address of a virtual one. isAttached reports whether there is a Cloud Connector with the
// location id, isExposed whether it has the virtual host.
func (s *Server) lookUp(location, virtual string) (real string, isAttached, isExposed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	virtual = strings.ToLower(virtual)
	real, isExposed = s.virtualHosts[location+"\x00"+virtual]
	if !isExposed {
		real, isExposed = s.virtualHosts["*\x00"+virtual]
	}
	return real, s.locations[location], isExposed
}

func (s *Server) dial(ctx context.Context, address string) (net.Conn, error) {
	if s.Dial != nil {
		return s.Dial(ctx, "tcp", address)
	}
	return new(net.Dialer).DialContext(ctx, "tcp", address)
}
