package odatatest

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
)

// server is an application server with its own sessions and tokens. Users and written rows are in the database, which
// all servers share.
type server struct {
	name     string
	sessions *sessions
	// away is the number of counted requests for which the server stays down, guarded by the dispatcher's lock.
	away int
}

// dispatcher distributes requests to application servers, like SAP Web Dispatcher: a cookie binds a client to its
// server, other clients get the next one.
type dispatcher struct {
	book *book

	mu      sync.Mutex
	servers []*server
	turn    int // index of the next server, modulo their number
	counted int // requests that count for the switch kill-every
}

// affinityCookie names the server of a client. Assumption: no document has the name and form of SAP Web Dispatcher's
// own. It is set only if there are several servers.
const affinityCookie = "sap-webdisp-server"

func newDispatcher(b *book, servers int) *dispatcher {
	d := &dispatcher{book: b}
	d.addServers(max(servers, 1))
	return d
}

// addServers adds servers until there are n.
func (d *dispatcher) addServers(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.servers) < n {
		name := fmt.Sprintf("NWD_%02d", len(d.servers)+1)
		d.servers = append(d.servers, &server{name: name,
			sessions: &sessions{server: name, open: map[string]*session{}, book: d.book}})
	}
}

// routing is the dispatcher's decision about a request.
type routing struct {
	server   *server      // nil if no server is available, or the chosen one was killed at this moment
	affinity *http.Cookie // that the response sets, or nil
}

// send chooses the server for a request. The switches kill-… may kill it at this moment.
func (d *dispatcher) send(r *http.Request, sw *Switches) routing {
	d.mu.Lock()
	defer d.mu.Unlock()
	isCounted := sw.KillEvery > 0 && (sw.Match == "" || strings.Contains(r.Method+" "+r.URL.RequestURI(), sw.Match))
	if isCounted {
		for _, s := range d.servers {
			s.away = max(0, s.away-1)
		}
		d.counted++
	}
	s, hasCookie := d.choose(r)
	if s == nil {
		return routing{}
	}
	decision := routing{server: s}
	if isCounted && d.counted%sw.KillEvery == 0 {
		d.kill(s, sw.KillFor)
		d.book.update(func(l *Ledger) { l.Unreached++ })
		return routing{}
	}
	if !hasCookie && len(d.servers) > 1 {
		decision.affinity = &http.Cookie{Name: affinityCookie, Value: s.name, Path: "/", HttpOnly: true}
	}
	return decision
}

// choose returns the server of a request's cookie or the next one, nil if no server is available. hasCookie reports
// whether the cookie names the server. The caller holds d.mu.
func (d *dispatcher) choose(r *http.Request) (s *server, hasCookie bool) {
	for _, c := range r.Cookies() {
		for _, s := range d.servers {
			if c.Name == affinityCookie && c.Value == s.name && s.away == 0 {
				return s, true
			}
		}
	}
	for range d.servers {
		s := d.servers[d.turn%len(d.servers)]
		d.turn++
		if s.away == 0 {
			return s, false
		}
	}
	return nil, false
}

// kill ends a server with all of its sessions; it returns after so many requests. The caller holds d.mu.
func (d *dispatcher) kill(s *server, away int) {
	s.away = away
	if away > 0 {
		s.away++ // the count goes down before a server is chosen
	}
	s.sessions.expire(true)
	d.book.update(func(l *Ledger) { l.Kills++ })
}

// expire ends the sessions of all servers.
func (d *dispatcher) expire() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.servers {
		s.sessions.expire(false)
	}
}

// unavailable is the dispatcher's own answer.
func unavailable(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(http.StatusServiceUnavailable)
	w.Write([]byte("<html><head><title>503 Service not available</title></head><body><h1>503 Service not " +
		"available</h1><p>Error: -6 No application server reached</p></body></html>"))
}
