package transport

import (
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/wit"
)

func TestExpiredCSRFToken(t *testing.T) {
	g := &gateway{}
	service(t, g.ServeHTTP, nil, func(t *testing.T, c *Client) {
		readText(t, c, writeRequest())
		g.tokens = 50
		g.session = 50
		wantStatus(t, c, writeRequest(), 201)
		assert.Equal(t, 1, g.refused, "refused tokens")
		assert.Equal(t, 2, len(g.fetches), "requests for tokens")
	})
}

// A proxy may remove the header from a rejection. SAP's text is enough.
func TestExpiredCSRFTokenIsRecognizedByText(t *testing.T) {
	g := &gateway{answer: func(g *gateway, w http.ResponseWriter, r *http.Request) bool {
		isRefused := r.Method == "POST" && r.Header.Get("X-Csrf-Token") != fmt.Sprintf("t%d", g.tokens)
		if isRefused { // a proxy has removed the header
			g.refused++
			w.WriteHeader(403)
			io.WriteString(w, "CSRF token validation failed")
		}
		return isRefused
	}}
	service(t, g.ServeHTTP, nil, func(t *testing.T, c *Client) {
		readText(t, c, writeRequest())
		g.tokens = 50
		wantStatus(t, c, writeRequest(), 201)
		assert.Equal(t, 1, g.refused)
	})
}

// While requests of others are answered, a token may expire a second time in a row.
func TestCSRFTokenMayExpireTwiceInARow(t *testing.T) {
	sessionEnds := 0
	g := &gateway{}
	g.answer = func(g *gateway, w http.ResponseWriter, r *http.Request) bool {
		if r.URL.RawQuery == "x=1" && sessionEnds < 2 { // each time another request has ended the session
			sessionEnds++
			g.tokens += 10
			g.session += 10
		}
		return false
	}
	service(t, g.ServeHTTP, setRetries(0), func(t *testing.T, c *Client) {
		readText(t, c, writeRequest())
		w := writeRequest()
		w.Target += "?x=1"
		wantStatus(t, c, w, 201)
		assert.Equal(t, 2, g.refused)
	})
}

func TestCSRFTokenIsNotFetchedForever(t *testing.T) {
	g := &gateway{answer: func(_ *gateway, w http.ResponseWriter, r *http.Request) bool {
		if r.Method == "POST" {
			w.Header().Set("x-csrf-token", "Required")
			w.WriteHeader(403)
		}
		return r.Method == "POST"
	}}
	service(t, g.ServeHTTP, nil, func(t *testing.T, c *Client) {
		wantFaultOf(t, c, writeRequest(), wit.ErrorForbidden, "status 403", "the maximum number of connections = 1")
		assert.Equal(t, 3, len(g.fetches))
	})
}

// A token is not fetched forever while others may end the session either.
func TestCSRFTokenIsNotFetchedForeverInSharedSession(t *testing.T) {
	var release chan struct{}
	writes := 0
	service(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/slow":
			<-release
		case r.Method == "POST":
			writes++
			w.Header().Set("X-Csrf-Token", "Required")
			w.WriteHeader(403)
			io.WriteString(w, "refused")
		default:
			w.Header().Set("X-Csrf-Token", "t")
		}
	}, setRetries(0), func(t *testing.T, c *Client) {
		release = make(chan struct{}) // in the bubble
		var others sync.WaitGroup
		for range 2 { // in sessions that are in use until the end
			others.Go(func() { wantStatus(t, c, get("/slow"), 200) })
		}
		synctest.Wait()
		c.target.Load().sessions.UseSingle()
		status, body, err := readText(t, c, writeRequest())
		assert.True(t, status == 403 && body == "refused" && err == nil,
			"expected the service's answer, found %d, %q, %v", status, body, err)
		assert.Equal(t, maxFreshRefusals+2, writes)
		close(release)
		others.Wait()
	})
}

// Requests that share a session share a new token.
func TestSharedCSRFTokenIsFetchedOnce(t *testing.T) {
	g := &gateway{answer: func(g *gateway, w http.ResponseWriter, r *http.Request) bool {
		// Only tokens are checked, so that concurrent requests do not affect each other.
		if r.Method == "POST" && r.Header.Get("X-Csrf-Token") == fmt.Sprintf("t%d", g.tokens) {
			w.WriteHeader(201)
			return true
		}
		return false
	}}
	setOneConnection := func(c *Config) { c.Limits.Connections = 1 }
	service(t, g.ServeHTTP, setOneConnection, func(t *testing.T, c *Client) {
		readText(t, c, writeRequest())
		g.tokens = 50
		runConcurrently(8, func(int) { wantStatus(t, c, writeRequest(), 201) })
		assert.Equal(t, 2, len(g.fetches))
	})
}
