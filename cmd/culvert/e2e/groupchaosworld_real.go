//go:build real

package e2e

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const sessionCookie = "SAP_SESSIONID_NWD_100"

// origin is a service that knows which worker asks it, by a password that each of them has for itself.
type origin struct {
	inner http.Handler

	mu    sync.Mutex
	under int // requests under way, and the most that there were
	most  int
	asked []asked // those that acknowledge, and those that write
	// open are the sessions of each worker that were not logged off, by cookie; sessions is the most that there were,
	// over since when there are more than the limit, and longest how long there were.
	open     [3]map[string]bool
	sessions int
	over     time.Time
	longest  time.Duration
}

type asked struct {
	worker int
	at     time.Time
	what   string
}

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if session, err := r.Cookie(sessionCookie); err == nil && strings.HasSuffix(r.URL.Path, "/logoff") {
		o.mu.Lock()
		defer o.mu.Unlock()
		for _, of := range o.open {
			delete(of, session.Value)
		}
		o.count()
		return // without a password
	}
	_, password, _ := r.BasicAuth()
	worker, err := strconv.Atoi(strings.TrimPrefix(password, "worker"))
	if err != nil {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	o.mu.Lock()
	o.under++
	o.most = max(o.most, o.under)
	if r.Method == http.MethodPost || strings.Contains(r.URL.RawQuery, "deltatoken") {
		o.asked = append(o.asked, asked{worker, time.Now(), r.Method + " " + r.URL.RequestURI()})
	}
	session, err := r.Cookie(sessionCookie)
	if err != nil || !o.open[worker][session.Value] {
		session = &http.Cookie{Name: sessionCookie, Value: rand.Text(), Path: "/"}
		http.SetCookie(w, session)
		o.open[worker][session.Value] = true
		o.count()
		defer func() {
			if r.Context().Err() != nil { // nobody has heard of it
				o.mu.Lock()
				defer o.mu.Unlock()
				delete(o.open[worker], session.Value)
				o.count()
			}
		}()
	}
	o.mu.Unlock()
	select { // so that requests are under way when something happens
	case <-time.After(10 * time.Millisecond):
		o.inner.ServeHTTP(w, r)
	case <-r.Context().Done():
	}
	o.mu.Lock()
	o.under--
	o.mu.Unlock()
}

// forget leaves the sessions of a worker to time out that cannot log them off: it was killed, or stands still.
func (o *origin) forget(worker int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.open[worker])
	o.count()
}

// count takes the sessions that there are now; o.mu is held.
func (o *origin) count() {
	n := len(o.open[0]) + len(o.open[1]) + len(o.open[2])
	o.sessions = max(o.sessions, n)
	switch {
	case o.over.IsZero() && n > chaosLimit:
		o.over = time.Now()
	case !o.over.IsZero():
		o.longest = max(o.longest, time.Since(o.over))
		if n <= chaosLimit {
			o.over = time.Time{}
		}
	}
}

// of are a worker's requests that acknowledge or write, in a time.
func (o *origin) of(worker int, from, to time.Time) (found []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, a := range o.asked {
		if a.worker == worker && a.at.After(from) && a.at.Before(to) {
			found = append(found, fmt.Sprintf("%v after the begin: %s", a.at.Sub(from), a.what))
		}
	}
	return found
}

// relay is a proxy between a worker and its brokers, each of whose directions can be stopped: what is on its way waits.
type relay struct {
	mu    sync.Mutex
	flows [2]chan struct{} // closed: what comes from the worker, or from the brokers, goes on
}

func newRelay(t *testing.T) (r *relay, address string) {
	t.Helper()
	r = &relay{}
	for way := range r.flows {
		r.flows[way] = make(chan struct{})
		close(r.flows[way])
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			go r.connect(from)
		}
	}()
	return r, listener.Addr().String()
}

func (r *relay) connect(from net.Conn) {
	defer from.Close()
	reader := bufio.NewReader(from)
	asks, err := http.ReadRequest(reader)
	if err != nil {
		return
	}
	to, err := net.Dial("tcp", asks.Host)
	if err != nil {
		fmt.Fprint(from, "HTTP/1.1 502 Bad Gateway\r\n\r\n")
		return
	}
	defer to.Close()
	fmt.Fprint(from, "HTTP/1.1 200 OK\r\n\r\n")
	ended := make(chan struct{}, 2)
	for way, ends := range [2]struct {
		from io.Reader
		to   io.Writer
	}{{reader, to}, {to, from}} {
		go func() {
			defer func() { ended <- struct{}{} }()
			for part := make([]byte, 64<<10); ; {
				n, err := ends.from.Read(part)
				r.mu.Lock()
				flows := r.flows[way]
				r.mu.Unlock()
				<-flows
				if _, failed := ends.to.Write(part[:n]); err != nil || failed != nil {
					return
				}
			}
		}()
	}
	<-ended
}

// cut stops a direction until heal is called.
func (r *relay) cut(way int) (heal func()) {
	stopped := make(chan struct{})
	r.mu.Lock()
	r.flows[way] = stopped
	r.mu.Unlock()
	return func() { close(stopped) }
}
