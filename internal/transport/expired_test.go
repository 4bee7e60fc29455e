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

// expiringService answers requests in a session that has ended with 401 and a page, as SAP does. It checks the password
// of requests without a session only.
type expiringService struct {
	mu       sync.Mutex
	password string          // the right one
	sessions map[string]bool // open sessions, by ID
	opened   int             // number of sessions opened so far; the ID of the last one
	expired  int             // requests in sessions that had ended
	wrong    int             // requests with a wrong password
	logons   int             // requests with the right password
	writes   int
	// delay applies to each answer, logonDelay also to answers to requests without a session.
	delay         time.Duration
	logonDelay    time.Duration
	refusesWrites bool // writes with a valid token get 401
	// requests lists the method of each request, and whether it had a cookie, such as "GET true".
	requests []string
}

func (e *expiringService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	cookie, _ := r.Cookie("SID")
	pause := e.delay
	if cookie == nil {
		pause += e.logonDelay
	}
	e.mu.Lock()
	e.requests = append(e.requests, fmt.Sprintf("%s %t", r.Method, cookie != nil))
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
		if e.sessions == nil {
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

// expire ends all sessions and resets all counters except opened. password is the right one from now on.
func (e *expiringService) expire(password string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.password = password
	clear(e.sessions)
	e.expired = 0
	e.wrong = 0
	e.logons = 0
	e.writes = 0
	e.requests = nil
}

// batchRequest returns a request as a sink sends it.
func batchRequest() *wit.Request { return withToken(post("/svc/$batch"), "/svc/") }

// subscription returns the request by which a source subscribes to notifications.
func subscription() *wit.Request {
	return withToken(post("/svc/SubscriptionCollection"), "/svc/SubscriptionCollection")
}

// After a 401 in a session each kind of request is sent once more without cookies, after a request for its CSRF token
// if it needs one. The 401 does not count as a refusal of the password.
func TestExpiredSessionIsRenewed(t *testing.T) {
	for name, k := range map[string]struct {
		request func() *wit.Request
		// first opens the session.
		first *wit.Request
		// hasNoToken means that the session has no token for the request when it expires. Later requests have one.
		hasNoToken bool
		requests   []string
	}{
		"read": {
			request:  func() *wit.Request { return get("/svc/Orders") },
			first:    get("/svc/Orders"),
			requests: []string{"GET true", "GET false"},
		},
		"write with a token": {
			request:  writeRequest,
			first:    writeRequest(),
			requests: []string{"POST true", "HEAD false", "POST true"},
		},
		"first write, whose token is fetched": {
			request:    writeRequest,
			first:      get("/svc/Orders"),
			hasNoToken: true,
			requests:   []string{"HEAD true", "HEAD false", "POST true"},
		},
		"batch": {
			request:  batchRequest,
			first:    batchRequest(),
			requests: []string{"POST true", "HEAD false", "POST true"},
		},
		"subscription": {
			request:    subscription,
			first:      get("/svc/Orders"),
			hasNoToken: true,
			requests:   []string{"HEAD true", "HEAD false", "POST true"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &expiringService{password: "p"}
			service(t, s.ServeHTTP, enableSessions, func(t *testing.T, c *Client) {
				wantStatus(t, c, k.first, 200)
				for range 3 {
					s.expire("p")
					wantStatus(t, c, k.request(), 200)
					assert.Equal(t, k.requests, s.requests)
					wantStatus(t, c, k.request(), 200)
					if k.hasNoToken {
						break
					}
					time.Sleep(30 * time.Minute)
				}
				assert.Equal(t, "", c.Refusal(), "no refusal")
			})
		})
	}
}

// If the sessions of many concurrent requests expire at once, all requests succeed. If the password was changed in the
// meantime, the old one is sent once more.
func TestManySessionsExpireAtOnce(t *testing.T) {
	const concurrent = 16
	for name, request := range map[string]func() *wit.Request{
		"reads":   func() *wit.Request { return get("/svc/Orders") },
		"writes":  writeRequest,
		"batches": batchRequest,
	} {
		for _, isRight := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, right %t", name, isRight), func(t *testing.T) {
				s := &expiringService{password: "p", delay: 50 * time.Millisecond}
				change := func(c *Config) {
					enableSessions(c)
					c.Limits.Concurrent = concurrent
				}
				service(t, s.ServeHTTP, change, func(t *testing.T, c *Client) {
					clients := []*Client{c, clientNextTo(t, c, nil), clientNextTo(t, c, nil)}
					runConcurrently(concurrent, func(int) { wantStatus(t, c, request(), 200) })
					runConcurrently(concurrent, func(int) { wantStatus(t, c, request(), 200) })
					assert.Equal(t, concurrent, len(s.sessions))
					password := "p"
					if !isRight {
						password = "changed"
					}
					s.expire(password)
					began := time.Now()
					runConcurrently(4*concurrent, func(i int) {
						status, _, err := readText(t, clients[i%len(clients)], request())
						if (isRight && (status != 200 || err != nil)) || (!isRight && !isUnauthorized(status, err)) {
							t.Errorf("password right: %v: expected an answer only then, found status %d, %v", isRight,
								status, err)
						}
					})
					assert.AtMost(t, openingWait, time.Since(began), "no request to wait for openingWait")
					if isRight {
						assert.Equal(t, []int{0, concurrent}, []int{s.wrong, s.logons}, "wrong passwords, logons")
						if c.Refusal() != "" || (request().Method == "POST" && s.writes != 4*concurrent) {
							t.Errorf("expected all writes once, found %d, %q", s.writes, c.Refusal())
						}
						return
					}
					assert.Equal(t, 1, s.wrong, "requests without a session")
					if s.expired < 1 || s.expired > concurrent || c.Refusal() == "" {
						t.Errorf("expected the requests in flight and a refusal, found %d, %q", s.expired, c.Refusal())
					}
				})
			})
		}
	}
}

// A 401 is repeated only in a session that the service opened with the answer to an accepted request. Without such a
// session it is final.
func TestSessionsThatDoNotCount(t *testing.T) {
	for name, k := range map[string]struct {
		cookie   string
		status   int // of the answer that sets the cookie
		requests int // number of requests, two of them by the test
	}{
		"no cookie":                      {status: 200, requests: 2},
		"cookie of SAP's user context":   {cookie: "sap-usercontext=sap-client=100", status: 200, requests: 2},
		"cookie with a lifetime":         {cookie: "lb=1; Max-Age=3600", status: 200, requests: 2},
		"cookie for another path":        {cookie: "SID=1; Path=/other", status: 200, requests: 2},
		"cookie of a rejecting answer":   {cookie: "SID=1; Path=/", status: 404, requests: 2},
		"cookie of a redirecting answer": {cookie: "SID=1; Path=/", status: 305, requests: 2},
		"session of an accepted request": {cookie: "SID=1; Path=/", status: 200, requests: 3},
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
				w.WriteHeader(k.status)
			}, enableSessions, func(t *testing.T, c *Client) {
				wantStatus(t, c, get("/svc/"), uint16(k.status))
				wantStatus(t, c, get("/svc/"), 401)
				assert.Equal(t, k.requests, requests)
				wantFaultOf(t, c, get("/svc/"), wit.ErrorUnauthorized, "was refused (401)")
			})
		})
	}
}

// A 401 to a write in the new session is a refusal of the secret, although the request for its token was accepted.
func TestRefusedWriteInNewSessionIsFinal(t *testing.T) {
	s := &expiringService{password: "p"}
	service(t, s.ServeHTTP, enableSessions, func(t *testing.T, c *Client) {
		wantStatus(t, c, get("/svc/"), 200)
		s.expire("p")
		s.refusesWrites = true
		wantStatus(t, c, writeRequest(), 401)
		assert.Equal(t, []string{"HEAD true", "HEAD false", "POST true"}, s.requests)
		wantFaultOf(t, c, get("/svc/"), wit.ErrorUnauthorized, "was refused (401)")
	})
}

// Requests that share a session hold the lock of its token while they wait for a logon. The request that logs on needs
// neither that lock nor another slot: all requests succeed, although all slots are in use and another logon of the user
// is in progress.
func TestRenewalNeedsNoLockOfWaitingRequests(t *testing.T) {
	s := &expiringService{password: "p", delay: 10 * time.Millisecond}
	setLimits := func(c *Config) {
		enableSessions(c)
		c.Limits = limits.Limits{Concurrent: 8, Connections: 8}
	}
	service(t, s.ServeHTTP, setLimits, func(t *testing.T, c *Client) {
		runConcurrently(2, func(int) { wantStatus(t, c, get("/svc/Orders"), 200) })
		c.target.Load().sessions.UseSingle()
		for i := range 20 {
			// Open the only session, and let it expire.
			runConcurrently(8, func(int) { wantStatus(t, c, writeRequest(), 200) })
			s.expire("p")
			s.logonDelay = time.Second

			// A client with other headers, and thus another session, begins a logon.
			headers := map[string]string{"sap-language": fmt.Sprint(i)}
			other := clientNextTo(t, c, func(c *Config) { c.Headers = headers })
			began := time.Now()
			otherDone := make(chan struct{})
			go func() {
				defer close(otherDone)
				wantStatus(t, other, get("/svc/Orders"), 200)
			}()
			synctest.Wait()

			// Ten reads, and thirty writes with three new tokens.
			runConcurrently(40, func(i int) {
				r := withToken(post("/svc/Orders"), fmt.Sprintf("/svc/%d/", i%3))
				if isRead := i%4 == 0; isRead {
					r = get("/svc/Orders")
				}
				wantStatus(t, c, r, 200)
			})
			<-otherDone
			elapsed := time.Since(began)
			assert.True(t, elapsed < openingWait, "expected no request to wait for openingWait, found %v", elapsed)
			assert.Equal(t, []int{0, 2, 30}, []int{s.wrong, s.logons, s.writes}, "wrong passwords, logons, writes")

			other.Close()
			s.logonDelay = 0
			time.Sleep(time.Hour)
		}
	})
}

// From a 401 in a session to the answer to the logon no other request is sent, not even in an open session.
func TestOthersWaitForRenewal(t *testing.T) {
	for _, isRight := range []bool{true, false} {
		t.Run(fmt.Sprintf("right %t", isRight), func(t *testing.T) {
			s := &expiringService{password: "p", delay: 10 * time.Millisecond}
			service(t, s.ServeHTTP, enableSessions, func(t *testing.T, c *Client) {
				runConcurrently(4, func(int) { wantStatus(t, c, writeRequest(), 200) })
				runConcurrently(4, func(int) { wantStatus(t, c, writeRequest(), 200) })

				// One of four sessions expires.
				for id := range s.sessions {
					delete(s.sessions, id)
					break
				}
				s.logonDelay = 2 * time.Second
				if !isRight {
					s.password = "changed"
				}
				s.requests = nil
				var wg sync.WaitGroup
				var failures atomic.Int64
				send := func() {
					if status, _, _ := readText(t, c, get("/svc/Orders")); status != 200 {
						failures.Add(1)
					}
				}
				// One of these requests finds that its session has expired, and logs on.
				for range 4 {
					wg.Go(send)
				}
				time.Sleep(100 * time.Millisecond)
				// These requests wait for the logon.
				for range 8 {
					wg.Go(send)
				}
				time.Sleep(time.Second)
				s.mu.Lock()
				assert.Equal(t, []string{"GET true", "GET true", "GET true", "GET true", "GET false"}, s.requests)
				s.mu.Unlock()
				wg.Wait()
				if isRight {
					assert.Equal(t, []int{0, 0}, []int{int(failures.Load()), s.wrong}, "failures, wrong passwords")
					return
				}
				// The logon fails, and the eight requests that wait for it.
				assert.Equal(t, []int{9, 1}, []int{int(failures.Load()), s.wrong}, "failures, wrong passwords")
			})
		})
	}
}

// The answer to a logon may take an hour, for example to a request that waits for a queue. Other requests wait for it
// at most openingWait.
func TestRenewalThatTakesLong(t *testing.T) {
	s := &expiringService{password: "p"}
	longTimeout := func(c *Config) {
		enableSessions(c)
		c.ReadTimeout = 2 * time.Hour
	}
	service(t, s.ServeHTTP, longTimeout, func(t *testing.T, c *Client) {
		runConcurrently(2, func(int) { wantStatus(t, c, get("/svc/"), 200) })
		s.expire("p")
		s.logonDelay = time.Hour
		slowDone := make(chan struct{})
		go func() {
			defer close(slowDone)
			wantStatus(t, c, get("/svc/"), 200)
		}()
		time.Sleep(time.Second)
		s.mu.Lock()
		s.logonDelay = 0
		s.mu.Unlock()
		began := time.Now()
		runConcurrently(3, func(int) { wantStatus(t, c, get("/svc/"), 200) })
		if elapsed := time.Since(began); elapsed < openingWait-2*time.Second || elapsed > openingWait {
			t.Errorf("expected to wait for about %v, found %v", openingWait, elapsed)
		}
		<-slowDone
		assert.Equal(t, "", c.Refusal())
	})
}

// If the request that logs on again is cancelled, others continue.
func TestRenewalWithoutAnswer(t *testing.T) {
	s := &expiringService{password: "p", delay: time.Second}
	service(t, s.ServeHTTP, enableSessions, func(t *testing.T, c *Client) {
		runConcurrently(2, func(int) { wantStatus(t, c, get("/svc/"), 200) })
		s.expire("p")
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			_, err := c.Do(ctx, get("/svc/"))
			assert.True(t, err != nil, "expected the request to be cancelled")
		}()
		// After a second the request got its 401; it waits for the answer to the logon.
		time.Sleep(1500 * time.Millisecond)
		cancel()
		synctest.Wait()
		began := time.Now()
		runConcurrently(4, func(int) { wantStatus(t, c, get("/svc/"), 200) })
		elapsed := time.Since(began)
		assert.True(t, elapsed < openingWait, "expected no wait for openingWait, found %v", elapsed)
		assert.Equal(t, 0, s.wrong, "wrong passwords")
	})
}

// A service that allows one session ends the others: after two refusals of fresh tokens, one session is used, and a
// warning names the setting.
func TestServiceWithOneSession(t *testing.T) {
	for name, k := range map[string]struct {
		expired     int // status in a session that has ended; zero means that another one is opened
		maxSessions int
		warnings    int
	}{
		"refused tokens":    {maxSessions: 60, warnings: 1},
		"session not found": {expired: 400, maxSessions: 60, warnings: 1},
		"401":               {expired: 401, maxSessions: 60, warnings: 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := &singleSessionService{expired: k.expired}
			var log logtest.Journal
			change := func(c *Config) {
				enableSessions(c)
				c.Logger = log.Logger(slog.LevelWarn)
				c.Limits.Concurrent = 8
				c.names.connections = "sap.odata.max.connections"
			}
			service(t, s.ServeHTTP, change, func(t *testing.T, c *Client) {
				runConcurrently(8, func(int) {
					for range 100 {
						if status, _, err := readText(t, c, writeRequest()); status != 200 || err != nil {
							t.Errorf("expected status 200, found %d, %v", status, err)
							return
						}
					}
				})
				assert.Equal(t, 800, s.writes)
				warnings := strings.Count(log.String(), "sap.odata.max.connections = 1")
				assert.True(t, s.opened <= k.maxSessions && warnings == k.warnings,
					"expected at most %d sessions and %d warning, found %d and %s", k.maxSessions, k.warnings, s.opened,
					&log)
			})
		})
	}
}

// Sessions that end within a minute of their logon, twice in a row, show a service with one session. A service that
// restarts once, or ends sessions later, keeps several.
func TestSessionsThatEndEarly(t *testing.T) {
	for name, k := range map[string]struct {
		ends        int           // how often all sessions end
		age         time.Duration // of the sessions when they end
		limitsToOne bool
	}{
		"one early end":  {ends: 1, age: time.Second},
		"two early ends": {ends: 2, age: 59 * time.Second, limitsToOne: true},
		"ten late ends":  {ends: 10, age: 61 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			s := &expiringService{password: "p", delay: 10 * time.Millisecond}
			service(t, s.ServeHTTP, enableSessions, func(t *testing.T, c *Client) {
				send := func(int) { wantStatus(t, c, get("/svc/Orders"), 200) }
				runConcurrently(2, send)
				for range k.ends {
					time.Sleep(k.age)
					s.expire("p")
					runConcurrently(2, send)
				}
				assert.Equal(t, k.limitsToOne, c.target.Load().sessions.IsSingle(), "limited to one session")
			})
		})
	}
}

// singleSessionService is a service whose newest session ends the others. A request in a session that has ended opens
// another one if expired is zero; otherwise expired is the status of its answer.
type singleSessionService struct {
	mu      sync.Mutex
	expired int // status in a session that has ended
	opened  int // number of sessions opened so far; the ID of the open one
	writes  int
}

func (s *singleSessionService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
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
