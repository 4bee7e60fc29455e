package transport

import (
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/transport/limits"
)

const sharedOrigin = "http://sap.example:8000"

// among divides the limits of the service's origin among workers.
func among(workers int) func(string) limits.Division {
	return func(origin string) limits.Division {
		if origin != sharedOrigin {
			return limits.Division{}
		}
		return limits.Division{Workers: workers}
	}
}

// aloneAgain is the division for a single worker.
func aloneAgain(string) limits.Division { return limits.Division{Workers: 1} }

func TestDemand(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config    Config
		origin    string
		requests  int
		perSecond float64
	}{
		"by default": {Config{Service: Service{Address: "SAP.example"}}, "https://sap.example", 4, 0},
		"as given": {Config{
			Service: Service{Scheme: "http", Address: "sap.example", Port: 8000},
			Limits:  limits.Limits{Concurrent: 7, Connections: 9, PerSecond: 2.5},
		}, sharedOrigin, 7, 2.5},
		"fewer connections": {Config{Service: Service{Address: "::1"},
			Limits: limits.Limits{Concurrent: 7, Connections: 3}},
			"https://[::1]",
			3, 0},
		"by a Cloud Connector": {Config{
			Service: Service{Scheme: "http", Address: "Virtual", Port: 44300},
			Route:   Route{Network: "Cloud Connector of location LOC"},
		},
			"http://virtual:44300 by Cloud Connector of location LOC", 4, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.config.Destinations = NewOriginRegistry()
			client, err := New(c.config)
			require.NoError(t, err)
			defer client.Close()
			origin, requests, perSecond := client.Limits()
			assert.Equal(t, c.origin, origin)
			assert.Equal(t, c.requests, requests)
			assert.Equal(t, c.perSecond, perSecond)
			c.config.Destinations.Divide(func(named string) limits.Division {
				assert.Equal(t, origin, named, "origins have one name")
				return limits.Division{Workers: 1}
			})
		})
	}
}

// A division applies to all present and later clients of an origin.
func TestDividedOrigin(t *testing.T) {
	f := &traffic{takes: time.Second}
	service(t, f.ServeHTTP, nil, func(t *testing.T, one *Client) {
		worker := one.target.Load().config.Destinations
		another := clientNextTo(t, one, func(c *Config) { c.Destinations = NewOriginRegistry() })
		takes := func(want int, when string, clients ...*Client) {
			t.Helper()
			assert.Equal(t, time.Duration(want)*time.Second, all(t, 12/len(clients), clients...), when)
		}
		takes(3, "alone, four at a time", one)
		worker.Divide(among(2))
		takes(6, "of one client", one)
		two := clientNextTo(t, one, nil)
		takes(6, "of two", one, two)
		takes(3, "another worker", another)
		worker.Divide(among(0))
		takes(12, "no tasks of this origin yet", one, two)
		worker.Divide(among(2))
		takes(6, "its tasks have come", one, two)
		one.Close()
		two.Close()
		three := clientNextTo(t, another, func(c *Config) { c.Destinations = worker })
		takes(6, "a client that came later", three)
		worker.Divide(aloneAgain)
		takes(3, "alone again", three)
	})
}

// Further origins get one request at a time.
func TestFurtherOriginsGetOneRequestAtATime(t *testing.T) {
	f := &traffic{takes: time.Second}
	service(t, f.ServeHTTP, func(c *Config) {
		c.Origins = []Origin{{Scheme: "http", Address: "files.example", Port: 8000}}
	}, func(t *testing.T, c *Client) {
		c.target.Load().config.Destinations.Divide(among(1))
		began := time.Now()
		together(3, func(int) { wantStatus(t, c, get("http://files.example:8000/"), 200) })
		assert.Equal(t, 3*time.Second, time.Since(began))
		assert.Equal(t, time.Second, all(t, 4, c), "the service itself")
	})
}

// A smaller share ends surplus sessions: idle ones at once, others after their responses.
func TestSmallerShareEndsSessions(t *testing.T) {
	s := &slowHost{}
	service(t, s.ServeHTTP, sessioned, func(t *testing.T, c *Client) {
		// in the bubble
		s.release = make(chan bool)
		s.slow = make(chan bool)
		s.client = c
		worker := c.target.Load().config.Destinations
		all(t, 1, c)
		answers := s.open(t, 4)
		s.expect(t, 1, 4, "an answer that is being read leaves its session to others")
		for range 4 {
			s.release <- true
		}
		for _, a := range answers {
			drain(a)
		}
		s.expect(t, 1, 1, "one session")
		s.host.first = time.Second // so that all start before the first has returned its session
		all(t, 4, c)
		s.host.first = 0
		s.expect(t, 4, 4, "four sessions, idle")

		checkSurplusSessionsEnd(t, s)
		worker.Divide(aloneAgain)
		answers = s.open(t, 3)
		for range 3 {
			s.release <- true
		}
		for _, a := range answers {
			a.Body.Close()
		}
		for _, asked := range s.host.asked {
			assert.Equal(t, `auth "", known true`, asked, "logoff of an open session")
		}

		worker.Divide(among(0))
		s.expect(t, 1, 1, "without a share no session stays")
		s.slow <- true
		s.expect(t, 0, 0, "and this one was idle")
		worker.Divide(aloneAgain)
		all(t, 1, c)
		checkClosedClientLogsOff(t, s)
	})
}

// A slowHost sends the body of /open once it is released, and answers a log-off when the test says so.
type slowHost struct {
	host    host
	client  *Client
	release chan bool
	slow    chan bool
}

func (s *slowHost) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/open":
		s.host.ServeHTTP(w, r)
		w.(http.Flusher).Flush()
		<-s.release
		return
	case "/logoff":
		<-s.slow
	}
	s.host.ServeHTTP(w, r)
}

// used returns how many requests, or sessions, the client uses.
func (s *slowHost) used() int {
	u := s.client.Usage(nil)[0]
	return max(u.Requests.Used, u.Sessions.Used)
}

// expect checks how many sessions are open, and how many the client uses.
func (s *slowHost) expect(t *testing.T, sessions, used int, when string) {
	t.Helper()
	synctest.Wait()
	s.host.mu.Lock()
	defer s.host.mu.Unlock()
	assert.Equal(t, sessions, len(s.host.open), when)
	assert.Equal(t, used, s.used(), when)
}

// open returns n responses whose bodies wait for their release.
func (s *slowHost) open(t *testing.T, n int) (answers []*Answer) {
	t.Helper()
	for range n {
		a, err := s.client.Do(t.Context(), get("/open"))
		require.NoError(t, err)
		answers = append(answers, a)
	}
	return answers
}

func drain(a *Answer) {
	io.Copy(io.Discard, a.Body)
	a.Body.Close()
}

// checkSurplusSessionsEnd gives a client with four sessions, two of which are in use, a share of one session.
func checkSurplusSessionsEnd(t *testing.T, s *slowHost) {
	t.Helper()
	s.host.first = time.Second
	var answers [2]*Answer
	for i := range answers {
		go func() {
			var err error
			answers[i], err = s.client.Do(t.Context(), get("/open"))
			assert.NoError(t, err)
		}()
	}
	time.Sleep(2 * time.Second)
	synctest.Wait()
	s.host.first = 0
	s.client.target.Load().config.Destinations.Divide(among(4))
	s.expect(t, 4, 4, "two of them are in use, two may be there as long as log-offs last")
	s.slow <- true
	s.slow <- true
	s.expect(t, 2, 2, "two idle ones are gone")
	waiting := make(chan error)
	go func() {
		_, _, err := text(t, s.client, get("/"))
		waiting <- err
	}()
	s.release <- true
	drain(answers[0])
	s.expect(t, 2, 2, "another one is idle, and ends")
	s.slow <- true
	s.expect(t, 1, 1, "with its log-off")
	s.release <- true
	drain(answers[1])
	require.NoError(t, <-waiting)
	s.expect(t, 1, 1, "one is left, for all requests")
}

func checkClosedClientLogsOff(t *testing.T, s *slowHost) {
	t.Helper()
	closed := make(chan bool)
	go func() {
		defer close(closed)
		s.client.Close()
	}()
	s.expect(t, 1, 1, "a client that is closed has a session as long as its log-off lasts")
	close(s.slow)
	<-closed
	assert.Equal(t, 0, s.used(), "and then none")
}
