//go:build real

package delivery

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/e2etest"
)

const sessionCookie = "SAP_SESSIONID_NWD_100"

// origin is a service that recognizes each worker by its password.
type origin struct {
	inner http.Handler

	mu    sync.Mutex
	under int // requests under way, and the most that there were
	most  int
	asked []asked // those that acknowledge, and those that write
	// open are the sessions by worker and cookie that were not logged off; sessions is the maximum so far, over the
	// time since which the limit is exceeded, and longest how long it was.
	open     [3]map[string]bool
	sessions int
	over     time.Time
	longest  time.Duration
	// pages are the pages of sets that are read completely, by topic, in the order of the responses.
	pages map[string][]page
}

// page is a response with rows of a set. Each row has the page's number in its topic, from 1 on, as a field; the next
// link has it, too.
type page struct {
	asked string // "": a set's first page
	after int    // the page whose link led here, 0 for a first page
	rows  int
	last  bool
}

// numbered has, by set, the field that contains the page's number.
var (
	numbered = map[string]*regexp.Regexp{"Orders": regexp.MustCompile(`"EmployeeID":(-?\d+|null)`),
		"Order_Details": regexp.MustCompile(`"Quantity":-?\d+`)}
	pageLink = regexp.MustCompile(`"__next":"([^"?]*)\?`)
	pageOf   = regexp.MustCompile(`page=(\d+)&`)
)

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
		o.answer(w, r)
	case <-r.Context().Done():
	}
	o.mu.Lock()
	o.under--
	o.mu.Unlock()
}

// answer numbers the pages of a set.
func (o *origin) answer(w http.ResponseWriter, r *http.Request) {
	set := path.Base(r.URL.Path)
	field := numbered[set]
	if field == nil || r.Method != http.MethodGet {
		o.inner.ServeHTTP(w, r)
		return
	}
	p := page{}
	if link := pageOf.FindStringSubmatch(r.URL.RawQuery); link != nil {
		p.asked = r.URL.RawQuery
		p.after, _ = strconv.Atoi(link[1])
		r.URL.RawQuery = strings.Replace(p.asked, link[0], "", 1)
	}
	r.Header.Del("Accept-Encoding")
	noted := httptest.NewRecorder()
	o.inner.ServeHTTP(noted, r)
	body := noted.Body.Bytes()
	if p.rows = len(field.FindAll(body, -1)); p.rows > 0 {
		p.last = !pageLink.Match(body)
		o.mu.Lock()
		o.pages[set] = append(o.pages[set], p)
		number := len(o.pages[set])
		o.mu.Unlock()
		name, _, _ := strings.Cut(string(field.Find(body)), ":")
		body = field.ReplaceAll(body, fmt.Appendf(nil, "%s:%d", name, number))
		body = pageLink.ReplaceAll(body, fmt.Appendf(nil, `"__next":"${1}?page=%d&`, number))
		noted.Header().Del("Content-Length")
	}
	maps.Copy(w.Header(), noted.Header())
	w.WriteHeader(noted.Code)
	_, _ = w.Write(body)
}

// received finds the pages of a set whose rows all arrived, by their keys. A page is lost if rows are missing although
// rows of the next page arrived. It also counts the last pages of sets, and those that arrived. Rows of a repeated
// request may have arrived with the first response.
func (o *origin) received(set string, keys map[int]map[string]bool) (lost []int, last, lastArrived int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	pages := o.pages[set]
	asked := map[string]map[string]bool{}
	complete := map[int]bool{}
	for n, p := range pages {
		number := n + 1
		if asked[p.asked] == nil {
			asked[p.asked] = map[string]bool{}
		}
		maps.Copy(asked[p.asked], keys[number])
		complete[number] = len(asked[p.asked]) >= p.rows
		if len(keys[number]) > 0 && p.after > 0 && !complete[p.after] {
			lost = append(lost, p.after)
		}
		if p.last {
			last++
			if complete[number] {
				lastArrived++
				delete(asked, "") // what comes of a first page from now on is of the next time
			}
		}
	}
	return lost, last, lastArrived
}

// forget lets the sessions of a worker time out that cannot log them off because it was killed or is paused.
func (o *origin) forget(worker int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.open[worker])
	o.count()
}

// count updates the maximum of sessions. The caller holds o.mu.
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

// of returns a worker's requests that acknowledge or write, in a period.
func (o *origin) of(worker int, from, to time.Time) (requests []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, a := range o.asked {
		if a.worker == worker && a.at.After(from) && a.at.Before(to) {
			requests = append(requests, fmt.Sprintf("%v after the begin: %s", a.at.Sub(from), a.what))
		}
	}
	return requests
}

// relay is a proxy between a worker and its brokers that can hold back the bytes of each direction.
type relay struct {
	mu    sync.Mutex
	flows [2]chan struct{} // closed: what comes from the worker, or from the brokers, goes on
	trap  *trap            // nil means none
}

// trap catches the request that ends a transaction of the group's leader: it is not forwarded, and its connection is
// closed at release.
type trap struct{ caught, released chan struct{} }

// endsTransaction reports whether a worker sends an EndTxnRequest of its group's leader.
func endsTransaction(requests []byte) bool {
	for len(requests) >= 6 {
		size := 4 + int(binary.BigEndian.Uint32(requests))
		one := requests[:min(size, len(requests))]
		if binary.BigEndian.Uint16(one[4:]) == 26 && bytes.Contains(one, []byte("connect-cluster-")) {
			return true
		}
		requests = requests[len(one):]
	}
	return false
}

func newRelay(t *testing.T) (r *relay, address string) {
	t.Helper()
	r = &relay{}
	for way := range r.flows {
		r.flows[way] = make(chan struct{})
		close(r.flows[way])
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	e2etest.NoError(t, err)
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
				trap := r.trap
				if trap != nil && way == 0 && endsTransaction(part[:n]) {
					r.trap = nil
					r.mu.Unlock()
					close(trap.caught)
					<-trap.released
					return
				}
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

func (r *relay) catch() *trap {
	t := &trap{make(chan struct{}), make(chan struct{})}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trap = t
	return t
}

// cut stops a direction until heal is called.
func (r *relay) cut(way int) (heal func()) {
	stopped := make(chan struct{})
	r.mu.Lock()
	r.flows[way] = stopped
	r.mu.Unlock()
	return func() { close(stopped) }
}
