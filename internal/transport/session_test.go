package transport

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/transport/limits"
)

// host is a service that opens a session for each request without a cookie of an open one.
type host struct {
	mu     sync.Mutex
	opened int             // number of sessions opened so far
	open   map[string]bool // IDs of the sessions that were not logged off
	// logoffs describes each log-off: its Authorization header, and whether its session was open.
	logoffs []string
	// hangsLogoffs makes log-offs wait until the client gives up.
	hangsLogoffs bool
	delay        time.Duration // of each response
}

func (h *host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h.delay > 0 {
		time.Sleep(h.delay)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.open == nil {
		h.open = map[string]bool{}
	}
	id := ""
	if c, err := r.Cookie("SID"); err == nil && h.open[c.Value] {
		id = c.Value
	}
	if r.URL.Path == "/logoff" {
		h.logoffs = append(h.logoffs, fmt.Sprintf("auth %q, known %t", r.Header.Get("Authorization"), id != ""))
		delete(h.open, id)
		if h.hangsLogoffs {
			h.mu.Unlock()
			<-r.Context().Done()
			h.mu.Lock()
		}
		return
	}
	if id == "" {
		h.opened++
		id = fmt.Sprint(h.opened)
		h.open[id] = true
		w.Header().Add("Set-Cookie", "SID="+id+"; Path=/")
		w.Header().Add("Set-Cookie", "sap-usercontext=sap-client=100; Path=/")
	}
	if r.Header.Get("X-Csrf-Token") == "Fetch" {
		w.Header().Set("X-Csrf-Token", "t"+id)
	} else if r.Method == "POST" && r.Header.Get("X-Csrf-Token") != "t"+id {
		w.Header().Set("X-Csrf-Token", "Required")
		w.WriteHeader(403)
	}
}

// enableSessions configures a user whose sessions are logged off.
func enableSessions(c *Config) {
	c.User = "u"
	c.Password = "p"
	c.LogoffPath = "/logoff"
}

// Clients share at most as many sessions as requests may be sent at a time. The last client logs them off.
func TestSessionsAreBoundedAndLoggedOff(t *testing.T) {
	for name, k := range map[string]struct {
		limits      limits.Limits
		maxSessions int
		requests    int
	}{
		"default, four at a time": {limits: limits.Limits{}, maxSessions: 4, requests: 100},
		"eight at a time":         {limits: limits.Limits{Concurrent: 8}, maxSessions: 8, requests: 200},
		"eight with two connections": {
			limits:      limits.Limits{Concurrent: 8, Connections: 2},
			maxSessions: 2,
			requests:    40,
		},
		"one at a time": {limits: limits.Limits{Concurrent: 1}, maxSessions: 1, requests: 10},
	} {
		t.Run(name, func(t *testing.T) {
			s := &host{delay: time.Millisecond}
			change := func(c *Config) {
				enableSessions(c)
				c.Limits = k.limits
			}
			service(t, s.ServeHTTP, change, func(t *testing.T, c *Client) {
				other := clientNextTo(t, c, nil)
				runConcurrently(k.requests, func(i int) {
					r := get("/")
					isWrite := i%2 == 1
					if isWrite {
						r = withToken(post("/"), "/")
					}
					// Both clients send reads and writes.
					wantStatus(t, []*Client{c, other}[i/2%2], r, 200)
				})
				assert.AtMost(t, k.maxSessions, s.opened, "sessions")
				other.Close()
				assert.Equal(t, 0, len(s.logoffs), "sessions stay while a client has them", s.logoffs)
				c.Close()
				assert.True(t, len(s.open) == 0 && len(s.logoffs) == s.opened,
					"expected all of %d sessions to be logged off, found %v open and log-offs %q", s.opened, s.open,
					s.logoffs)
				for _, logoff := range s.logoffs {
					assert.Equal(t, `auth "", known true`, logoff, "the session's cookies and no password")
				}
			})
		})
	}
}

// Close does not wait for a service that does not answer log-offs.
func TestLogoffIsBounded(t *testing.T) {
	s := &host{hangsLogoffs: true}
	service(t, s.ServeHTTP, enableSessions, func(t *testing.T, c *Client) {
		sendAll(t, 4, c)
		began := time.Now()
		c.Close()
		assert.AtMost(t, logoffTimeout, time.Since(began))
	})
}

// Only cookies that identify a session lead to a log-off.
func TestNoLogoffWithoutSession(t *testing.T) {
	for name, cookie := range map[string]string{
		"no cookie":               "",
		"cookie with a lifetime":  "lb=1; Max-Age=60",
		"cookie of SAP's context": "sap-usercontext=sap-client=100",
	} {
		t.Run(name, func(t *testing.T) {
			var paths []string
			service(t, func(w http.ResponseWriter, r *http.Request) {
				paths = append(paths, r.URL.Path)
				if cookie != "" {
					w.Header().Set("Set-Cookie", cookie)
				}
			}, enableSessions, func(t *testing.T, c *Client) {
				sendAll(t, 1, c)
				c.Close()
				assert.Equal(t, []string{"/"}, paths)
			})
		})
	}
}

// Sessions continue when the settings are read again, and end when the password changes.
func TestChangedSecretEndsSessions(t *testing.T) {
	s := &host{}
	service(t, s.ServeHTTP, enableSessions, func(t *testing.T, c *Client) {
		sendAll(t, 1, c)
		config := c.target.Load().config
		require.NoError(t, c.setConfig(config))
		sendAll(t, 1, c)
		assert.True(t, s.opened == 1 && len(s.logoffs) == 0,
			"expected the session to continue with the same secret, found %d opened, %q", s.opened, s.logoffs)
		config.Password = "other"
		require.NoError(t, c.setConfig(config))
		sendAll(t, 1, c)
		assert.True(t, s.opened == 2 && len(s.logoffs) == 1 && len(s.open) == 1,
			"expected one session after another, found %d opened, %q, %v", s.opened, s.logoffs, s.open)
	})
}

// A session that a rejecting response opens is used.
func TestSessionOfRejectingResponseIsUsed(t *testing.T) {
	s := &host{}
	service(t, s.ServeHTTP, enableSessions, func(t *testing.T, c *Client) {
		r := withToken(post("/"), "/")
		for range 3 {
			wantStatus(t, c, r, 200)
			clear(s.open) // all sessions time out
		}
		assert.Equal(t, 3, s.opened, "sessions, one for each request")
	})
}

// sessionTimeoutCase is an error response to a number of POST requests, and what the client does then.
type sessionTimeoutCase struct {
	contentType string
	body        string
	errors      int    // number of POST requests that get status 400
	methods     string // of the requests: GET for the token, and POST
	status      uint16 // of the final answer
}

func sessionTimeoutCases() map[string]sessionTimeoutCase {
	const inJSON = `{"error":{"code":"ZS/001","message":{"lang":"en","value":"Training session not found"}}}`
	const inXML = `<error xmlns="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata"><code>ZS/001</code>` +
		`<message xml:lang="en">Training session not found</message></error>`
	const always = 9 // more than the number of attempts
	const oneAttempt, twoAttempts = "GET POST", "GET POST GET POST"
	return map[string]sessionTimeoutCase{
		"HTML, first request": {
			contentType: "text/html",
			body:        "<h1>400 Session timed out</h1>",
			errors:      1,
			methods:     twoAttempts,
			status:      200,
		},
		"HTML, all requests": {
			contentType: "text/html",
			body:        "<h1>400 Session timed out</h1>",
			errors:      always,
			methods:     twoAttempts,
			status:      400,
		},
		"without content type": {body: "400 Session not found", errors: 1, methods: twoAttempts, status: 200},
		"XHTML": {
			contentType: "application/xhtml+xml",
			body:        "<?xml version='1.0'?><html>Session not found</html>",
			errors:      1,
			methods:     twoAttempts,
			status:      200,
		},
		"another error": {
			contentType: "text/html",
			body:        "<h1>400 Bad Request</h1>" + strings.Repeat("x", 10_000),
			errors:      always,
			methods:     oneAttempt,
			status:      400,
		},
		"error document": {
			contentType: "application/json;charset=utf-8",
			body:        inJSON,
			errors:      always,
			methods:     oneAttempt,
			status:      400,
		},
		"JSON as HTML": {contentType: "text/html", body: inJSON, errors: always, methods: oneAttempt, status: 400},
		"error document, XML": {
			contentType: "application/atom+xml",
			body:        inXML,
			errors:      always,
			methods:     oneAttempt,
			status:      400,
		},
		"XML as HTML": {
			contentType: "text/html",
			body:        `<?xml version="1.0"?>` + inXML,
			errors:      always,
			methods:     oneAttempt,
			status:      400,
		},
	}
}

// A request is repeated once in a new session if the text of its error response shows that the session timed out. The
// error document of an application does not show that, whatever its message says.
func TestSessionTimedOut(t *testing.T) {
	for name, k := range sessionTimeoutCases() {
		t.Run(name, func(t *testing.T) {
			var methods []string
			posts := 0
			service(t, func(w http.ResponseWriter, r *http.Request) {
				methods = append(methods, strings.ReplaceAll(r.Method, "HEAD", "GET"))
				if r.Method != "POST" {
					w.Header().Set("Set-Cookie", fmt.Sprintf("SID=%d; Path=/", len(methods)))
					w.Header().Set("X-Csrf-Token", "t")
					return
				}
				posts++
				if posts <= k.errors {
					w.Header()["Content-Type"] = nil // otherwise net/http would detect it
					if k.contentType != "" {
						w.Header().Set("Content-Type", k.contentType)
					}
					w.WriteHeader(400)
					io.WriteString(w, k.body)
				}
			}, nil, func(t *testing.T, c *Client) {
				r := withToken(post("/"), "/")
				status, body, err := readText(t, c, r)
				assert.True(t, err == nil && status == k.status && (status != 400 || body == k.body),
					"expected status %d, found %d %.50q %v", k.status, status, body, err)
				assert.Equal(t, k.methods, strings.Join(methods, " "))
			})
		})
	}
}

// Other requests wait for a first logon until its response, and for a logon with a known secret at most openingWait.
func TestRequestsWaitForSlowLogons(t *testing.T) {
	for name, k := range map[string]struct {
		isRelogon bool // the secret was accepted before
		wait      time.Duration
	}{
		"first logon":  {wait: time.Hour},
		"known secret": {isRelogon: true, wait: openingWait},
	} {
		t.Run(name, func(t *testing.T) {
			s := &host{}
			service(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/slow" {
					time.Sleep(time.Hour)
				}
				s.ServeHTTP(w, r)
			}, func(c *Config) {
				enableSessions(c)
				c.ReadTimeout = 2 * time.Hour
			}, func(t *testing.T, c *Client) {
				if k.isRelogon {
					done, err := c.target.Load().gate.Acquire(t.Context(), func() bool { return false })
					require.NoError(t, err)
					done(200)
				}
				slow := make(chan error)
				go func() {
					_, _, err := readText(t, c, get("/slow"))
					slow <- err
				}()
				synctest.Wait()
				began := time.Now()
				reason := make(chan string)
				go func() {
					time.Sleep(6 * time.Second) // Waiting reports waits of more than 5 s
					reason <- c.Waiting()
				}()
				sendAll(t, 1, c)
				assert.Equal(t, k.wait, time.Since(began), "wait")
				assert.Equal(t, "waiting for another logon to http://sap.example:8000", <-reason)
				assert.NoError(t, <-slow)
			})
		})
	}
}
