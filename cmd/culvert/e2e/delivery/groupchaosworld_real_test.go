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

	"github.com/culvert-project/culvert/internal/base/require"
)

const sessionCookie = "SAP_SESSIONID_NWD_100"

// origin is a service that recognizes each worker by its password. It records requests, sessions and pages.
type origin struct {
	inner http.Handler

	mu            sync.Mutex
	inFlight      int // requests that are not answered yet
	maxInFlight   int
	writeRequests []workerRequest // requests that acknowledge deltas or write

	// sessions are the open sessions, by worker and cookie. A session is open until its worker logs off.
	sessions    [3]map[string]bool
	maxSessions int
	// excessSince is when the number of sessions exceeded chaosLimit. Zero means that it does not exceed it now.
	excessSince time.Time
	// longestExcess is the longest time that the number of sessions exceeded chaosLimit, see countSessions.
	longestExcess time.Duration

	// pages are the pages of the sets of numberFields, by entity set, in the order of the responses.
	pages map[string][]page
}

// page is a response with rows of a set. Pages of a set are numbered from 1 on. Each row has the number of its page in
// a field, and the next link has it in a parameter.
type page struct {
	query    string // the query of the next link that was followed; "" for a set's first page
	previous int    // the number of the page with that link; 0 for a set's first page
	rows     int
	isLast   bool // the page has no next link
}

// workerRequest is a request of a worker.
type workerRequest struct {
	worker int
	time   time.Time
	line   string // method and URL
}

// numberFields matches, by entity set, the field that receives the page's number.
var numberFields = map[string]*regexp.Regexp{
	"Orders":        regexp.MustCompile(`"EmployeeID":(-?\d+|null)`),
	"Order_Details": regexp.MustCompile(`"Quantity":-?\d+`),
}

var (
	nextLink      = regexp.MustCompile(`"__next":"([^"?]*)\?`)
	pageParameter = regexp.MustCompile(`page=(\d+)&`)
)

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// A logoff has no password.
	if session, err := r.Cookie(sessionCookie); err == nil && strings.HasSuffix(r.URL.Path, "/logoff") {
		o.mu.Lock()
		defer o.mu.Unlock()
		for _, sessions := range o.sessions {
			delete(sessions, session.Value)
		}
		o.countSessions()
		return
	}

	_, password, _ := r.BasicAuth()
	worker, err := strconv.Atoi(strings.TrimPrefix(password, "worker"))
	if err != nil {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	o.mu.Lock()
	o.inFlight++
	o.maxInFlight = max(o.maxInFlight, o.inFlight)
	if r.Method == http.MethodPost || strings.Contains(r.URL.RawQuery, "deltatoken") {
		line := r.Method + " " + r.URL.RequestURI()
		o.writeRequests = append(o.writeRequests, workerRequest{worker: worker, time: time.Now(), line: line})
	}

	response := httptest.NewRecorder()
	session, err := r.Cookie(sessionCookie)
	if err != nil || !o.sessions[worker][session.Value] {
		session = &http.Cookie{Name: sessionCookie, Value: rand.Text(), Path: "/"}
		http.SetCookie(response, session)
		o.sessions[worker][session.Value] = true
		o.countSessions()
		defer func() {
			if r.Context().Err() != nil { // the worker went away before it received the cookie
				o.mu.Lock()
				defer o.mu.Unlock()
				delete(o.sessions[worker], session.Value)
				o.countSessions()
			}
		}()
	}
	o.mu.Unlock()

	select {
	case <-time.After(10 * time.Millisecond): // makes it likely that a fault meets a request in flight
		o.serveNumbered(response, r)
	case <-r.Context().Done():
	}
	// A worker that has the whole response may send its next request before the response's Write returns.
	o.mu.Lock()
	o.inFlight--
	o.mu.Unlock()
	maps.Copy(w.Header(), response.Header())
	w.WriteHeader(response.Code)
	_, _ = w.Write(response.Body.Bytes())
}

// serveNumbered records the inner handler's response. It numbers and records the pages of the sets of numberFields.
func (o *origin) serveNumbered(response *httptest.ResponseRecorder, r *http.Request) {
	set := path.Base(r.URL.Path)
	field := numberFields[set]
	if field == nil || r.Method != http.MethodGet {
		o.inner.ServeHTTP(response, r)
		return
	}
	p := page{}
	if parameter := pageParameter.FindStringSubmatch(r.URL.RawQuery); parameter != nil {
		p.query = r.URL.RawQuery
		p.previous, _ = strconv.Atoi(parameter[1])
		r.URL.RawQuery = strings.Replace(p.query, parameter[0], "", 1)
	}
	r.Header.Del("Accept-Encoding")
	o.inner.ServeHTTP(response, r)
	body := response.Body.Bytes()
	if p.rows = len(field.FindAll(body, -1)); p.rows > 0 {
		p.isLast = !nextLink.Match(body)
		o.mu.Lock()
		o.pages[set] = append(o.pages[set], p)
		number := len(o.pages[set])
		o.mu.Unlock()
		name, _, _ := strings.Cut(string(field.Find(body)), ":")
		body = field.ReplaceAll(body, fmt.Appendf(nil, "%s:%d", name, number))
		body = nextLink.ReplaceAll(body, fmt.Appendf(nil, `"__next":"${1}?page=%d&`, number))
		response.Header().Del("Content-Length")
		response.Body = bytes.NewBuffer(body)
	}
}

// lostPages compares the pages of a set with keys, the keys of the rows that arrived, by page number. A page is lost if
// rows are missing although rows of the next page arrived. last counts the responses with a last page, lastArrived
// the last pages whose rows all arrived. Rows of a repeated request may have arrived with an earlier response.
func (o *origin) lostPages(set string, keys map[int]map[string]bool) (lost []int, last, lastArrived int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	keysByQuery := map[string]map[string]bool{}
	isComplete := map[int]bool{} // by page number
	for i, p := range o.pages[set] {
		number := i + 1
		if keysByQuery[p.query] == nil {
			keysByQuery[p.query] = map[string]bool{}
		}
		maps.Copy(keysByQuery[p.query], keys[number])
		isComplete[number] = len(keysByQuery[p.query]) >= p.rows
		if len(keys[number]) > 0 && p.previous > 0 && !isComplete[p.previous] {
			lost = append(lost, p.previous)
		}
		if p.isLast {
			last++
			if isComplete[number] {
				lastArrived++
				delete(keysByQuery, "") // the next first page belongs to the next load
			}
		}
	}
	return lost, last, lastArrived
}

// dropSessions lets the sessions of a worker time out that cannot log off because it was killed or suspended.
func (o *origin) dropSessions(worker int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.sessions[worker])
	o.countSessions()
}

// countSessions updates maxSessions, excessSince and longestExcess after a change of sessions. The caller holds o.mu.
func (o *origin) countSessions() {
	n := len(o.sessions[0]) + len(o.sessions[1]) + len(o.sessions[2])
	o.maxSessions = max(o.maxSessions, n)
	switch {
	case o.excessSince.IsZero() && n > chaosLimit:
		o.excessSince = time.Now()
	case !o.excessSince.IsZero():
		o.longestExcess = max(o.longestExcess, time.Since(o.excessSince))
		if n <= chaosLimit {
			o.excessSince = time.Time{}
		}
	}
}

// writesBetween describes a worker's requests that acknowledge or write, after start and before end.
func (o *origin) writesBetween(worker int, start, end time.Time) (requests []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range o.writeRequests {
		if r.worker == worker && r.time.After(start) && r.time.Before(end) {
			requests = append(requests, fmt.Sprintf("%v after the begin: %s", r.time.Sub(start), r.line))
		}
	}
	return requests
}

// The directions of a relay.
const (
	fromWorker = iota
	fromBrokers
)

// relay is an HTTP proxy between a worker and its brokers that can block each direction.
type relay struct {
	mu    sync.Mutex
	gates [2]chan struct{} // by direction; a closed channel lets bytes pass
	trap  *endTxnTrap      // nil means none
}

// endTxnTrap catches the request that ends a transaction of the group's leader. The relay does not forward it, and
// closes its connection when the test closes released.
type endTxnTrap struct {
	caught   chan struct{} // closed by the relay when the request arrives
	released chan struct{}
}

// newRelay starts a relay that blocks nothing. It listens until the test ends.
func newRelay(t *testing.T) (r *relay, address string) {
	t.Helper()
	r = &relay{}
	for direction := range r.gates {
		r.gates[direction] = make(chan struct{})
		close(r.gates[direction])
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			worker, err := listener.Accept()
			if err != nil {
				return
			}
			go r.serve(worker)
		}
	}()
	return r, listener.Addr().String()
}

// serve handles a connection with a CONNECT request until one of the two directions ends. It closes the connection.
func (r *relay) serve(worker net.Conn) {
	defer worker.Close()
	reader := bufio.NewReader(worker)
	connect, err := http.ReadRequest(reader)
	if err != nil {
		return
	}
	broker, err := net.Dial("tcp", connect.Host)
	if err != nil {
		fmt.Fprint(worker, "HTTP/1.1 502 Bad Gateway\r\n\r\n")
		return
	}
	defer broker.Close()
	fmt.Fprint(worker, "HTTP/1.1 200 OK\r\n\r\n")
	ended := make(chan struct{}, 2)
	go func() {
		r.forward(fromWorker, broker, reader)
		ended <- struct{}{}
	}()
	go func() {
		r.forward(fromBrokers, worker, broker)
		ended <- struct{}{}
	}()
	<-ended
}

// forward copies a direction until an error or until the test releases a trap that caught a request.
func (r *relay) forward(direction int, dst io.Writer, src io.Reader) {
	for buffer := make([]byte, 64<<10); ; {
		n, readErr := src.Read(buffer)
		r.mu.Lock()
		gate := r.gates[direction]
		trap := r.trap
		if trap != nil && direction == fromWorker && hasLeaderEndTxn(buffer[:n]) {
			r.trap = nil
			r.mu.Unlock()
			close(trap.caught)
			<-trap.released
			return
		}
		r.mu.Unlock()
		<-gate
		if _, err := dst.Write(buffer[:n]); readErr != nil || err != nil {
			return
		}
	}
}

// hasLeaderEndTxn reports whether one of the requests, each with its length in front, is an EndTxnRequest with the
// transactional ID of a group's leader. The last request may be cut off.
func hasLeaderEndTxn(requests []byte) bool {
	const (
		lengthSize = 4
		endTxnKey  = 26
	)
	for len(requests) >= lengthSize+2 {
		size := lengthSize + int(binary.BigEndian.Uint32(requests))
		request := requests[:min(size, len(requests))]
		isEndTxn := binary.BigEndian.Uint16(request[lengthSize:]) == endTxnKey
		if isEndTxn && bytes.Contains(request, []byte("connect-cluster-")) {
			return true
		}
		requests = requests[len(request):]
	}
	return false
}

// setTrap catches the next request that ends a transaction of the leader.
func (r *relay) setTrap() *endTxnTrap {
	trap := &endTxnTrap{caught: make(chan struct{}), released: make(chan struct{})}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trap = trap
	return trap
}

// block holds back the bytes of a direction until unblock is called.
func (r *relay) block(direction int) (unblock func()) {
	gate := make(chan struct{})
	r.mu.Lock()
	r.gates[direction] = gate
	r.mu.Unlock()
	return func() { close(gate) }
}
