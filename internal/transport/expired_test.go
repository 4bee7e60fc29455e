package transport

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/logtest"
	"github.com/culvert-project/culvert/internal/transport/limits"
	"github.com/culvert-project/culvert/wit"
)

// expiring is a service that answers requests in a session that has ended with 401 and a page, as SAP does, and checks
// the password of requests without a session only.
type expiring struct {
	mu       sync.Mutex
	password string
	sessions map[string]bool // open ones, by ID
	opened   int
	expired  int // requests in sessions that had ended
	wrong    int // wrong passwords
	logons   int // right passwords
	writes   int
	// delay of each answer, and of answers without a session.
	delay         time.Duration
	logonDelay    time.Duration
	refusesWrites bool
	// single ends all sessions when another one is opened.
	single bool
	seen   []string // methods and whether there was a cookie
}

func (e *expiring) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	cookie, _ := r.Cookie("SID")
	pause := e.delay
	if cookie == nil {
		pause += e.logonDelay
	}
	e.mu.Lock()
	e.seen = append(e.seen, fmt.Sprintf("%s %t", r.Method, cookie != nil))
	e.mu.Unlock()
	time.Sleep(pause)
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case cookie == nil:
		if _, password, _ := r.BasicAuth(); password != e.password {
			e.wrong++
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		e.logons++
		e.opened++
		cookie = &http.Cookie{Name: "SID", Value: strconv.Itoa(e.opened), Path: "/"}
		if e.sessions == nil || e.single {
			e.sessions = map[string]bool{}
		}
		e.sessions[cookie.Value] = true
		http.SetCookie(w, cookie)
	case !e.sessions[cookie.Value]:
		e.expired++
		w.Header().Set("Set-Cookie", "SID=; Path=/; Max-Age=0")
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusUnauthorized)
		io.WriteString(w, "<html><h1>Session timed out</h1></html>")
		return
	}
	token := "t" + cookie.Value
	switch {
	case r.Header.Get("X-Csrf-Token") == "Fetch":
		w.Header().Set("X-Csrf-Token", token)
	case r.Method == http.MethodPost && r.Header.Get("X-Csrf-Token") != token:
		w.Header().Set("X-Csrf-Token", "Required")
		w.WriteHeader(http.StatusForbidden)
	case r.Method == http.MethodPost && e.refusesWrites:
		w.WriteHeader(http.StatusUnauthorized)
	case r.Method == http.MethodPost:
		e.writes++
	}
}

// expire ends all sessions. password is the right one from now on.
func (e *expiring) expire(password string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.password = password
	clear(e.sessions)
	e.expired = 0
	e.wrong = 0
	e.logons = 0
	e.writes = 0
	e.seen = nil
}

// batchRequest returns a request as a sink sends it, subscription one of a feed with notifications.
func batchRequest() *wit.Request { return withToken(post("/svc/$batch"), "/svc/") }

func subscription() *wit.Request {
	return withToken(post("/svc/SubscriptionCollection"), "/svc/SubscriptionCollection")
}

// Each kind of request is sent once more without cookies, after the request of its token if it has one, and the 401 is
// no wrong password.
func TestExpiredSessionIsRenewed(t *testing.T) {
	for name, k := range map[string]struct {
		request func() *wit.Request
		warm    []*wit.Request // requests before the session expires
		seen    []string
	}{
		"read":               {func() *wit.Request { return get("/svc/Orders") }, nil, []string{"GET true", "GET false"}},
		"write with a token": {write, []*wit.Request{write()}, []string{"POST true", "HEAD false", "POST true"}},
		"first write, whose token is fetched": {write, []*wit.Request{get("/svc/Orders")},
			[]string{"HEAD true", "HEAD false", "POST true"}},
		"batch": {batchRequest, []*wit.Request{batchRequest()}, []string{"POST true", "HEAD false", "POST true"}},
		"subscription": {subscription, []*wit.Request{get("/svc/Orders")},
			[]string{"HEAD true", "HEAD false", "POST true"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &expiring{password: "p"}
			service(t, s.ServeHTTP, sessioned, func(t *testing.T, c *Client) {
				for _, r := range append(k.warm, k.request()) {
					wantStatus(t, c, r, 200)
					if k.warm != nil {
						break
					}
				}
				for range 3 {
					s.expire("p")
					wantStatus(t, c, k.request(), 200)
					assert.Equal(t, k.seen, s.seen)
					wantStatus(t, c, k.request(), 200)
					if name == "first write, whose token is fetched" || name == "subscription" {
						break // later ones have a token
					}
					time.Sleep(30 * time.Minute)
				}
				if why := c.Refusal(); why != "" {
					t.Errorf("expected no refusal, found %s", why)
				}
			})
		})
	}
}

// If the sessions of many concurrent requests expire at once, all requests succeed. With a password that was changed in
// the meantime, one of them carries it to the service once more.
func TestManySessionsExpireAtOnce(t *testing.T) {
	const lanes = 16
	for name, request := range map[string]func() *wit.Request{"reads": func() *wit.Request { return get("/svc/Orders") },
		"writes": write, "batches": batchRequest} {
		for _, right := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, right %t", name, right), func(t *testing.T) {
				s := &expiring{password: "p", delay: 50 * time.Millisecond}
				wide := func(c *Config) { sessioned(c); c.Limits.Concurrent = lanes }
				service(t, s.ServeHTTP, wide, func(t *testing.T, c *Client) {
					others := []*Client{c, clientNextTo(t, c, nil), clientNextTo(t, c, nil)}
					together(lanes, func(int) { wantStatus(t, c, request(), 200) })
					together(lanes, func(int) { wantStatus(t, c, request(), 200) })
					assert.Equal(t, lanes, len(s.sessions))
					password := "p"
					if !right {
						password = "changed"
					}
					s.expire(password)
					began := time.Now()
					together(4*lanes, func(i int) {
						status, _, err := text(t, others[i%3], request())
						if (right && (status != 200 || err != nil)) || (!right && !isUnauthorized(status, err)) {
							t.Errorf("found %d, %v", status, err)
						}
					})
					if elapsed := time.Since(began); elapsed > openingTurn {
						t.Errorf("expected no request to wait for openingWait, found %v", elapsed)
					}
					if right {
						assert.Equal(t, []int{0, lanes}, []int{s.wrong, s.logons}, "wrong passwords, logons")
						if c.Refusal() != "" || (request().Method == "POST" && s.writes != 4*lanes) {
							t.Errorf("expected all writes once, found %d, %q", s.writes, c.Refusal())
						}
						return
					}
					assert.Equal(t, 1, s.wrong, "requests without a session")
					if s.expired < 1 || s.expired > lanes || c.Refusal() == "" {
						t.Errorf("expected the requests in flight and a refusal, found %d, %q", s.expired, c.Refusal())
					}
				})
			})
		}
	}
}

// A session counts only if the service opened it by an accepted request: otherwise a 401 is final.
func TestSessionsThatDoNotCount(t *testing.T) {
	for name, k := range map[string]struct {
		cookie string
		first  int // status that sets it
		want   int // requests
	}{
		"none":                 {"", 200, 2},
		"user context":         {"sap-usercontext=sap-client=100", 200, 2},
		"lasting":              {"lb=1; Max-Age=3600", 200, 2},
		"another path":         {"SID=1; Path=/other", 200, 2},
		"a rejecting answer":   {"SID=1; Path=/", 404, 2},
		"a redirecting answer": {"SID=1; Path=/", 302, 2},
		"session":              {"SID=1; Path=/", 200, 3},
	} {
		t.Run(name, func(t *testing.T) {
			requests := 0
			service(t, func(w http.ResponseWriter, r *http.Request) {
				requests++
				if requests > 1 {
					w.Header().Set("Set-Cookie", "SID=2; Path=/")
					w.WriteHeader(http.StatusUnauthorized)
					return
				}
				if k.cookie != "" {
					w.Header().Set("Set-Cookie", k.cookie)
				}
				w.WriteHeader(k.first)
			}, sessioned, func(t *testing.T, c *Client) {
				wantStatus(t, c, get("/svc/"), uint16(k.first))
				wantStatus(t, c, get("/svc/"), 401)
				assert.Equal(t, k.want, requests)
				wantFaultOf(t, c, get("/svc/"), wit.ErrorUnauthorized, "was refused (401)")
			})
		})
	}
}

// A 401 to the write in the new session is about the secret, although the request of its token was accepted.
func TestRefusedWriteInNewSessionIsFinal(t *testing.T) {
	s := &expiring{password: "p"}
	service(t, s.ServeHTTP, sessioned, func(t *testing.T, c *Client) {
		wantStatus(t, c, get("/svc/"), 200)
		s.expire("p")
		s.refusesWrites = true
		wantStatus(t, c, write(), 401)
		assert.Equal(t, []string{"HEAD true", "HEAD false", "POST true"}, s.seen)
		wantFaultOf(t, c, get("/svc/"), wit.ErrorUnauthorized, "was refused (401)")
	})
}

// Requests that share a session hold its token's lock while they wait for a logon; the request that logs on needs
// neither the lock nor another slot. All slots are in use, and another logon of the user is under way.
func TestRenewalNeedsNoLockOfWaitingRequests(t *testing.T) {
	s := &expiring{password: "p", delay: 10 * time.Millisecond}
	narrow := func(c *Config) {
		sessioned(c)
		c.Limits = limits.Limits{Concurrent: 8, Connections: 8}
	}
	service(t, s.ServeHTTP, narrow, func(t *testing.T, c *Client) {
		together(2, func(int) { wantStatus(t, c, get("/svc/Orders"), 200) })
		c.target.Load().sessions.UseSingle()
		for i := range 20 {
			together(8, func(int) { wantStatus(t, c, write(), 200) })
			s.expire("p")
			s.logonDelay = time.Second
			other := clientNextTo(t, c, func(c *Config) { c.Headers = map[string]string{"sap-language": fmt.Sprint(i)} })
			began := time.Now()
			opening := make(chan struct{})
			go func() {
				defer close(opening)
				wantStatus(t, other, get("/svc/Orders"), 200)
			}()
			synctest.Wait()
			together(40, func(i int) {
				r := withToken(post("/svc/Orders"), fmt.Sprintf("/svc/%d/", i%3)) // whose tokens are fetched
				if i%4 == 0 {
					r = get("/svc/Orders")
				}
				wantStatus(t, c, r, 200)
			})
			<-opening
			if elapsed := time.Since(began); elapsed >= openingTurn {
				t.Errorf("expected no request to wait for openingWait, found %v", elapsed)
			}
			assert.Equal(t, []int{0, 2, 30}, []int{s.wrong, s.logons, s.writes}, "wrong passwords, logons, writes")
			other.Close()
			s.logonDelay = 0
			time.Sleep(time.Hour)
		}
	})
}

// From the 401 in a session to the answer of the logon, no other request is sent, also in a session that is open.
func TestOthersWaitForRenewal(t *testing.T) {
	for _, right := range []bool{true, false} {
		t.Run(fmt.Sprintf("right %t", right), func(t *testing.T) {
			s := &expiring{password: "p", delay: 10 * time.Millisecond}
			service(t, s.ServeHTTP, sessioned, func(t *testing.T, c *Client) {
				together(4, func(int) { wantStatus(t, c, write(), 200) })
				together(4, func(int) { wantStatus(t, c, write(), 200) })
				for id := range s.sessions { // one of four
					delete(s.sessions, id)
					break
				}
				s.logonDelay = 2 * time.Second
				if !right {
					s.password = "changed"
				}
				s.seen = nil
				var wg sync.WaitGroup
				var failed atomic.Int64
				send := func() {
					if status, _, _ := text(t, c, get("/svc/Orders")); status != 200 {
						failed.Add(1)
					}
				}
				for range 4 { // one of them finds that its session has expired
					wg.Go(send)
				}
				time.Sleep(100 * time.Millisecond)
				for range 8 {
					wg.Go(send)
				}
				time.Sleep(time.Second)
				s.mu.Lock()
				assert.Equal(t, []string{"GET true", "GET true", "GET true", "GET true", "GET false"}, s.seen)
				s.mu.Unlock()
				wg.Wait()
				assert.Equal(t, map[bool]int64{true: 0, false: 9}[right], failed.Load())
				assert.Equal(t, map[bool]int{true: 0, false: 1}[right], s.wrong)
			})
		})
	}
}

// A request that opens a queue may get its answer after an hour. Others wait for it at most openingWait.
func TestRenewalThatTakesLong(t *testing.T) {
	s := &expiring{password: "p"}
	patient := func(c *Config) { sessioned(c); c.ReadTimeout = 2 * time.Hour }
	service(t, s.ServeHTTP, patient, func(t *testing.T, c *Client) {
		together(2, func(int) { wantStatus(t, c, get("/svc/"), 200) })
		s.expire("p")
		s.logonDelay = time.Hour
		slow := make(chan struct{})
		go func() {
			defer close(slow)
			wantStatus(t, c, get("/svc/"), 200)
		}()
		time.Sleep(time.Second)
		s.mu.Lock()
		s.logonDelay = 0
		s.mu.Unlock()
		began := time.Now()
		together(3, func(int) { wantStatus(t, c, get("/svc/"), 200) })
		if waits := time.Since(began); waits < openingTurn-2*time.Second || waits > openingTurn {
			t.Errorf("expected to wait for about %v, found %v", openingTurn, waits)
		}
		<-slow
		assert.Equal(t, "", c.Refusal())
	})
}

// If the request whose session ended is cancelled, or gets no conclusive answer, others continue.
func TestRenewalWithoutAnswer(t *testing.T) {
	s := &expiring{password: "p", delay: time.Second}
	service(t, s.ServeHTTP, sessioned, func(t *testing.T, c *Client) {
		together(2, func(int) { wantStatus(t, c, get("/svc/"), 200) })
		s.expire("p")
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			_, err := c.Do(ctx, get("/svc/"))
			if err == nil {
				t.Error("expected the request to be cancelled")
			}
		}()
		time.Sleep(1500 * time.Millisecond) // the request is in the new session
		cancel()
		synctest.Wait()
		began := time.Now()
		together(4, func(int) { wantStatus(t, c, get("/svc/"), 200) })
		if elapsed := time.Since(began); elapsed >= openingTurn {
			t.Errorf("expected no wait for openingWait, found %v", elapsed)
		}
		assert.Equal(t, []int{0}, []int{s.wrong})
	})
}

// A service that allows one session ends the others: after two refusals of fresh tokens, one session is used, and a
// warning names the setting.
func TestServiceWithOneSession(t *testing.T) {
	for name, k := range map[string]struct {
		expired int // status in a session that has ended; zero means that another one is opened
		opened  int // at most
		warned  int
	}{"refused tokens": {0, 60, 1}, "session not found": {400, 60, 1}, "401": {401, 60, 1}} {
		t.Run(name, func(t *testing.T) {
			s := &onlySession{expired: k.expired}
			var log logtest.Journal
			wide := func(c *Config) {
				sessioned(c)
				c.Logger = log.Logger(slog.LevelWarn)
				c.Limits.Concurrent = 8
				c.names.connections = "sap.odata.max.connections"
			}
			service(t, s.ServeHTTP, wide, func(t *testing.T, c *Client) {
				together(8, func(int) {
					for range 100 {
						if status, _, err := text(t, c, write()); status != 200 || err != nil {
							t.Errorf("found %d, %v", status, err)
							return
						}
					}
				})
				assert.Equal(t, 800, s.writes)
				warnings := strings.Count(log.String(), "sap.odata.max.connections = 1")
				if s.opened > k.opened || warnings != k.warned {
					t.Errorf("expected at most %d sessions and %d warning, found %d and %s", k.opened, k.warned,
						s.opened, &log)
				}
			})
		})
	}
}

// Sessions that end within a minute of their logon, twice in a row, show a service with one session. A service that
// restarts once, or ends sessions later, keeps several.
func TestSessionsThatEndEarly(t *testing.T) {
	for name, k := range map[string]struct {
		times int
		age   time.Duration
		want  bool
	}{
		"once":  {times: 1, age: time.Second},
		"twice": {times: 2, age: 59 * time.Second, want: true},
		"later": {times: 10, age: 61 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			s := &expiring{password: "p", delay: 10 * time.Millisecond}
			service(t, s.ServeHTTP, sessioned, func(t *testing.T, c *Client) {
				send := func(int) { wantStatus(t, c, get("/svc/Orders"), 200) }
				together(2, send)
				for range k.times {
					time.Sleep(k.age)
					s.expire("p")
					together(2, send)
				}
				assert.Equal(t, k.want, c.target.Load().sessions.IsSingle(), "limited to one session")
			})
		})
	}
}

// onlySession is a service whose newest session ends the others. Requests in these open another one, or are answered by
// a status.
type onlySession struct {
	mu      sync.Mutex
	expired int
	opened  int
	writes  int
}

func (s *onlySession) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	time.Sleep(time.Millisecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	cookie, _ := r.Cookie("SID")
	isOpen := cookie != nil && cookie.Value == strconv.Itoa(s.opened)
	switch {
	case cookie != nil && !isOpen && s.expired != 0:
		w.WriteHeader(s.expired)
		io.WriteString(w, "Session not found")
		return
	case !isOpen:
		s.opened++
		http.SetCookie(w, &http.Cookie{Name: "SID", Value: strconv.Itoa(s.opened), Path: "/"})
	}
	token := "t" + strconv.Itoa(s.opened)
	switch {
	case r.Header.Get("X-Csrf-Token") == "Fetch":
		w.Header().Set("X-Csrf-Token", token)
	case r.Method == http.MethodPost && !slices.Contains(r.Header.Values("X-Csrf-Token"), token):
		w.Header().Set("X-Csrf-Token", "Required")
		w.WriteHeader(http.StatusForbidden)
	case r.Method == http.MethodPost:
		s.writes++
	}
}
