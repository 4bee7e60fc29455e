package transport

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/transport/limits"
)

// host opens a session for each request without a known one.
type host struct {
	mu     sync.Mutex
	opened int
	open   map[string]bool
	asked  []string // headers of the logoff
	hangs  bool
	first  time.Duration // duration of the first responses
}

func (h *host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h.first > 0 {
		time.Sleep(h.first)
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
		h.asked = append(h.asked, fmt.Sprintf("auth %q, known %t", r.Header.Get("Authorization"), id != ""))
		delete(h.open, id)
		if h.hangs {
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

func sessioned(c *Config) {
	c.User = "u"
	c.Password = "p"
	c.LogoffPath = "/logoff"
}

func TestSessionsAreBoundedAndLoggedOff(t *testing.T) {
	for name, k := range map[string]struct {
		limits   limits.Limits
		most     int
		requests int
	}{
		"four at a time": {limits.Limits{}, 4, 100}, "eight lanes": {limits.Limits{Concurrent: 8}, 8, 200},
		"two connections": {limits.Limits{Concurrent: 8, Connections: 2}, 2, 40},
		"one":             {limits.Limits{Concurrent: 1}, 1, 10},
	} {
		t.Run(name, func(t *testing.T) {
			s := &host{first: time.Millisecond}
			limit := func(c *Config) { sessioned(c); c.Limits = k.limits }
			service(t, s.ServeHTTP, limit, func(t *testing.T, c *Client) {
				other := clientNextTo(t, c, nil)
				together(k.requests, func(i int) {
					r := get("/")
					if i%2 == 1 {
						r = withToken(post("/"), "/")
					}
					wantStatus(t, []*Client{c, other}[i/2%2], r, 200)
				})
				if s.opened > k.most {
					t.Errorf("expected at most %d sessions, found %d", k.most, s.opened)
				}
				other.Close()
				assert.Equal(t, 0, len(s.asked), "sessions stay while a client has them", s.asked)
				c.Close()
				if len(s.open) != 0 || len(s.asked) != s.opened {
					t.Errorf("expected all of %d sessions to be logged off, found %v open, asked %q", s.opened, s.open,
						s.asked)
				}
				for _, a := range s.asked {
					assert.Equal(t, `auth "", known true`, a, "the session's cookies and no password")
				}
			})
		})
	}
}

func TestLogoffIsBounded(t *testing.T) {
	s := &host{hangs: true}
	service(t, s.ServeHTTP, sessioned, func(t *testing.T, c *Client) {
		all(t, 4, c)
		began := time.Now()
		c.Close()
		if elapsed := time.Since(began); elapsed > logoffTimeout {
			t.Errorf("expected at most %v, found %v", logoffTimeout, elapsed)
		}
	})
}

func TestNoLogoffWithoutSession(t *testing.T) {
	for name, cookie := range map[string]string{"none": "", "lasting": "lb=1; Max-Age=60",
		"context": "sap-usercontext=sap-client=100"} {
		t.Run(name, func(t *testing.T) {
			var paths []string
			service(t, func(w http.ResponseWriter, r *http.Request) {
				paths = append(paths, r.URL.Path)
				if cookie != "" {
					w.Header().Set("Set-Cookie", cookie)
				}
			}, sessioned, func(t *testing.T, c *Client) {
				all(t, 1, c)
				c.Close()
				assert.Equal(t, []string{"/"}, paths)
			})
		})
	}
}

// Changed credentials end the sessions of the old ones.
func TestChangedSecretEndsSessions(t *testing.T) {
	s := &host{}
	service(t, s.ServeHTTP, sessioned, func(t *testing.T, c *Client) {
		all(t, 1, c)
		config := c.target.Load().config
		require.NoError(t, c.setConfig(config))
		all(t, 1, c)
		if s.opened != 1 || len(s.asked) != 0 {
			t.Errorf("expected the session to go on with the same secret, found %d opened, %q", s.opened, s.asked)
		}
		config.Password = "other"
		require.NoError(t, c.setConfig(config))
		all(t, 1, c)
		if s.opened != 2 || len(s.asked) != 1 || len(s.open) != 1 {
			t.Errorf("expected one session after another, found %d opened, %q, %v", s.opened, s.asked, s.open)
		}
	})
}

// A session that a rejecting response opens is used.
func TestSessionOfRejectingResponseIsUsed(t *testing.T) {
	s := &host{}
	service(t, s.ServeHTTP, sessioned, func(t *testing.T, c *Client) {
		r := withToken(post("/"), "/")
		for range 3 {
			wantStatus(t, c, r, 200)
			clear(s.open) // all sessions time out
		}
		assert.Equal(t, 3, s.opened, "sessions, one for each")
	})
}

// After a session timeout the request is repeated once in a new session.
func TestSessionTimedOut(t *testing.T) {
	const business = `{"error":{"code":"ZS/001","message":{"lang":"en","value":"Training session not found"}}}`
	const inXML = `<error xmlns="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata"><code>ZS/001</code>` +
		`<message xml:lang="en">Training session not found</message></error>`
	for name, k := range map[string]struct {
		kind    string
		body    string
		times   int
		answers string
		status  uint16
	}{
		"once":         {"text/html", "<h1>400 Session timed out</h1>", 1, "GET POST GET POST", 200},
		"always":       {"text/html", "<h1>400 Session timed out</h1>", 9, "GET POST GET POST", 400},
		"without kind": {"", "400 Session not found", 1, "GET POST GET POST", 200},
		"XHTML": {"application/xhtml+xml", "<?xml version='1.0'?><html>Session not found</html>", 1,
			"GET POST GET POST", 200},
		"another":         {"text/html", "<h1>400 Bad Request</h1>" + strings.Repeat("x", 10_000), 9, "GET POST", 400},
		"business":        {"application/json;charset=utf-8", business, 9, "GET POST", 400},
		"mislabelled":     {"text/html", business, 9, "GET POST", 400},
		"business, XML":   {"application/atom+xml", inXML, 9, "GET POST", 400},
		"mislabelled XML": {"text/html", `<?xml version="1.0"?>` + inXML, 9, "GET POST", 400},
	} {
		t.Run(name, func(t *testing.T) {
			var seen []string
			posts := 0
			service(t, func(w http.ResponseWriter, r *http.Request) {
				seen = append(seen, strings.ReplaceAll(r.Method, "HEAD", "GET"))
				if r.Method != "POST" {
					w.Header().Set("Set-Cookie", fmt.Sprintf("SID=%d; Path=/", len(seen)))
					w.Header().Set("X-Csrf-Token", "t")
					return
				}
				posts++
				if posts <= k.times {
					w.Header()["Content-Type"] = slices.DeleteFunc([]string{k.kind}, func(kind string) bool {
						return kind == ""
					})
					w.WriteHeader(400)
					io.WriteString(w, k.body)
				}
			}, nil, func(t *testing.T, c *Client) {
				r := withToken(post("/"), "/")
				status, body, err := text(t, c, r)
				if err != nil || status != k.status || (status == 400 && body != k.body) {
					t.Errorf("found %d %.50q %v", status, body, err)
				}
				assert.Equal(t, k.answers, strings.Join(seen, " "))
			})
		})
	}
}

// Other requests wait for a slow logon for a while, and for a first logon until its response.
func TestRequestsWaitForSlowLogons(t *testing.T) {
	for name, k := range map[string]struct {
		isRelogon bool
		waits     time.Duration
	}{
		"first": {waits: time.Hour},
		"known": {isRelogon: true, waits: openingTurn},
	} {
		t.Run(name, func(t *testing.T) {
			s := &host{}
			service(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/slow" {
					time.Sleep(time.Hour)
				}
				s.ServeHTTP(w, r)
			}, func(c *Config) { sessioned(c); c.ReadTimeout = 2 * time.Hour }, func(t *testing.T, c *Client) {
				if k.isRelogon {
					done, err := c.target.Load().gate.Acquire(t.Context(), func() bool { return false })
					require.NoError(t, err)
					done(200)
				}
				slow := make(chan error)
				go func() {
					_, _, err := text(t, c, get("/slow"))
					slow <- err
				}()
				synctest.Wait()
				began := time.Now()
				logged := make(chan string)
				go func() {
					time.Sleep(5*time.Second + time.Second)
					logged <- c.Waiting()
				}()
				all(t, 1, c)
				assert.Equal(t, k.waits, time.Since(began), "waited")
				assert.Equal(t, "waiting for another logon to http://sap.example:8000", <-logged)
				if err := <-slow; err != nil {
					t.Error(err)
				}
			})
		})
	}
}
