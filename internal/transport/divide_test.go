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

// divisionAmong divides the limits of the service's origin among workers.
func divisionAmong(workers int) func(string) limits.Division {
	return func(origin string) limits.Division {
		if origin != sharedOrigin {
			return limits.Division{}
		}
		return limits.Division{Workers: workers}
	}
}

// divisionOfOne is the division of a group with a single worker, for every origin.
func divisionOfOne(string) limits.Division { return limits.Division{Workers: 1} }

// Client.Limits returns the limits of all workers together, and Divide passes the same name of the origin.
func TestDemand(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config    Config
		origin    string
		requests  int
		perSecond float64
	}{
		"default limits": {
			config:   Config{Service: Service{Address: "SAP.example"}},
			origin:   "https://sap.example",
			requests: 4,
		},
		"configured limits": {
			config: Config{
				Service: Service{Scheme: "http", Address: "sap.example", Port: 8000},
				Limits:  limits.Limits{Concurrent: 7, Connections: 9, PerSecond: 2.5},
			},
			origin:    sharedOrigin,
			requests:  7,
			perSecond: 2.5,
		},
		"fewer connections than requests": {
			config: Config{
				Service: Service{Address: "::1"},
				Limits:  limits.Limits{Concurrent: 7, Connections: 3},
			},
			origin:   "https://[::1]",
			requests: 3,
		},
		"through a Cloud Connector": {
			config: Config{
				Service: Service{Scheme: "http", Address: "Virtual", Port: 44300},
				Route:   Route{Network: "Cloud Connector of location LOC"},
			},
			origin:   "http://virtual:44300 by Cloud Connector of location LOC",
			requests: 4,
		},
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
			c.config.Destinations.Divide(func(dividedOrigin string) limits.Division {
				assert.Equal(t, origin, dividedOrigin, "the origin to divide is that of Limits")
				return limits.Division{Workers: 1}
			})
		})
	}
}

// A division applies to all present and later clients of an origin.
func TestDividedOrigin(t *testing.T) {
	server := &traffic{duration: time.Second}
	service(t, server.ServeHTTP, nil, func(t *testing.T, first *Client) {
		registry := first.target.Load().config.Destinations
		undivided := clientNextTo(t, first, func(c *Config) { c.Destinations = NewOriginRegistry() })
		// checkSeconds sends 12 requests, each of which lasts a second, and checks how long all of them last.
		checkSeconds := func(want int, situation string, clients ...*Client) {
			t.Helper()
			const requests = 12
			elapsed := sendAll(t, requests/len(clients), clients...)
			assert.Equal(t, time.Duration(want)*time.Second, elapsed, situation)
		}
		checkSeconds(3, "without a division, four requests at a time", first)

		registry.Divide(divisionAmong(2))
		checkSeconds(6, "half the limit for one client", first)
		second := clientNextTo(t, first, nil)
		checkSeconds(6, "half the limit for two clients together", first, second)
		checkSeconds(3, "a client of another registry", undivided)

		registry.Divide(divisionAmong(0))
		checkSeconds(12, "a worker without tasks of this origin", first, second)
		registry.Divide(divisionAmong(2))
		checkSeconds(6, "the worker has tasks again", first, second)

		first.Close()
		second.Close()
		later := clientNextTo(t, undivided, func(c *Config) { c.Destinations = registry })
		checkSeconds(6, "a client that was created after the division", later)
		registry.Divide(divisionOfOne)
		checkSeconds(3, "the only worker of its group", later)
	})
}

// Further origins get one request at a time from each worker; only the service's limits are divided.
func TestFurtherOriginsGetOneRequestAtATime(t *testing.T) {
	server := &traffic{duration: time.Second}
	service(t, server.ServeHTTP, func(c *Config) {
		c.Origins = []Origin{{Scheme: "http", Address: "files.example", Port: 8000}}
	}, func(t *testing.T, c *Client) {
		c.target.Load().config.Destinations.Divide(divisionAmong(1))
		began := time.Now()
		runConcurrently(3, func(int) { wantStatus(t, c, get("http://files.example:8000/"), 200) })
		assert.Equal(t, 3*time.Second, time.Since(began))
		assert.Equal(t, time.Second, sendAll(t, 4, c), "the service itself")
	})
}

// A smaller share ends surplus sessions: idle ones at once, others after their responses.
func TestSmallerShareEndsSessions(t *testing.T) {
	s := &slowHost{}
	service(t, s.ServeHTTP, enableSessions, func(t *testing.T, c *Client) {
		// The handler may use only channels that were made within the bubble of the test.
		s.bodies = make(chan bool)
		s.logoffs = make(chan bool)
		s.client = c
		registry := c.target.Load().config.Destinations
		sendAll(t, 1, c)
		answers := s.open(t, 4)
		s.checkSessions(t, 1, 4, "four responses that are being read share a session")
		for range 4 {
			s.bodies <- true
		}
		for _, a := range answers {
			drain(a)
		}
		s.checkSessions(t, 1, 1, "one idle session")
		s.host.delay = time.Second // all requests start before the first one returns its session
		sendAll(t, 4, c)
		s.host.delay = 0
		s.checkSessions(t, 4, 4, "four idle sessions")

		checkSurplusSessionsEnd(t, s)
		registry.Divide(divisionOfOne)
		answers = s.open(t, 3)
		for range 3 {
			s.bodies <- true
		}
		for _, a := range answers {
			a.Body.Close()
		}
		for _, logoff := range s.host.logoffs {
			assert.Equal(t, `auth "", known true`, logoff, "logoff of an open session")
		}

		// Without tasks of the origin the worker keeps no idle session.
		registry.Divide(divisionAmong(0))
		s.checkSessions(t, 1, 1, "the idle session lasts until its log-off is answered")
		s.logoffs <- true
		s.checkSessions(t, 0, 0, "the idle session ended")
		registry.Divide(divisionOfOne)
		sendAll(t, 1, c)
		checkClosedClientLogsOff(t, s)
	})
}

// slowHost is a host whose responses wait for the test. Each value sent to bodies ends the body of one response to
// /open; each value sent to logoffs answers one log-off.
type slowHost struct {
	host    host
	client  *Client // the client under test
	bodies  chan bool
	logoffs chan bool
}

func (s *slowHost) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/open":
		s.host.ServeHTTP(w, r)
		w.(http.Flusher).Flush()
		<-s.bodies
		return
	case "/logoff":
		<-s.logoffs
	}
	s.host.ServeHTTP(w, r)
}

// usage returns the number of requests or of sessions that the client uses, whichever is greater.
func (s *slowHost) usage() int {
	u := s.client.Usage(nil)[0]
	return max(u.Requests.Used, u.Sessions.Used)
}

// checkSessions waits until all goroutines are blocked, and checks the number of open sessions and the client's usage.
func (s *slowHost) checkSessions(t *testing.T, sessions, usage int, situation string) {
	t.Helper()
	synctest.Wait()
	s.host.mu.Lock()
	defer s.host.mu.Unlock()
	assert.Equal(t, sessions, len(s.host.open), situation)
	assert.Equal(t, usage, s.usage(), situation)
}

// open returns n responses whose bodies have not ended.
func (s *slowHost) open(t *testing.T, n int) (answers []*Answer) {
	t.Helper()
	for range n {
		a, err := s.client.Do(t.Context(), get("/open"))
		require.NoError(t, err)
		answers = append(answers, a)
	}
	return answers
}

// drain reads the rest of a body and closes it.
func drain(a *Answer) {
	io.Copy(io.Discard, a.Body)
	a.Body.Close()
}

// checkSurplusSessionsEnd gives a client with four sessions, two of which are in use, a share of one session.
func checkSurplusSessionsEnd(t *testing.T, s *slowHost) {
	t.Helper()
	s.host.delay = time.Second

	// Two of the four sessions are in use by open responses.
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
	s.host.delay = 0

	// The share is one session. The idle sessions end at once, that is, when their log-offs are answered.
	s.client.target.Load().config.Destinations.Divide(divisionAmong(4))
	s.checkSessions(t, 4, 4, "two sessions are in use, and the log-offs of two have not been answered")
	s.logoffs <- true
	s.logoffs <- true
	s.checkSessions(t, 2, 2, "the two idle sessions ended")

	// One of the two open responses ends, and so does its session. Another request waits for the last one.
	requestResult := make(chan error)
	go func() {
		_, _, err := readText(t, s.client, get("/"))
		requestResult <- err
	}()
	s.bodies <- true
	drain(answers[0])
	s.checkSessions(t, 2, 2, "the session of the first response lasts until its log-off is answered")
	s.logoffs <- true
	s.checkSessions(t, 1, 1, "the session of the first response ended")
	s.bodies <- true
	drain(answers[1])
	require.NoError(t, <-requestResult)
	s.checkSessions(t, 1, 1, "one session remains, for all requests")
}

// checkClosedClientLogsOff checks that Close waits for the answers to log-offs.
func checkClosedClientLogsOff(t *testing.T, s *slowHost) {
	t.Helper()
	closed := make(chan bool)
	go func() {
		defer close(closed)
		s.client.Close()
	}()
	s.checkSessions(t, 1, 1, "the session of a closed client lasts until its log-off is answered")
	close(s.logoffs)
	<-closed
	assert.Equal(t, 0, s.usage(), "sessions of a closed client")
}
