package transport

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/host/internal/base/assert"
	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/host/transport/limits"
)

const sharedOrigin = "http://sap.example:8000"

// sharing hands out one share of the service's origin, and none of others.
func sharing(requests int) func(string) limits.Share {
	return func(origin string) limits.Share {
		if origin != sharedOrigin {
			return limits.Share{}
		}
		return limits.Share{Requests: requests}
	}
}

func TestDemand(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config    Config
		origin    string
		requests  int
		perSecond float64
	}{
		"by default": {Config{Address: "SAP.example"}, "https://sap.example", 4, 0},
		"as given": {Config{Scheme: "http", Address: "sap.example", Port: 8000,
			Limits: limits.Limits{Concurrent: 7, Connections: 9, PerSecond: 2.5}}, sharedOrigin, 7, 2.5},
		"fewer connections": {Config{Address: "::1", Limits: limits.Limits{Concurrent: 7, Connections: 3}}, "https://[::1]",
			3, 0},
		"by a Cloud Connector": {Config{Scheme: "http", Address: "Virtual", Port: 44300,
			Route: Route{Place: "Cloud Connector of location LOC"}},
			"http://virtual:44300 by Cloud Connector of location LOC", 4, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.config.Destinations = NewDestinations()
			client, err := New(c.config)
			require.NoError(t, err)
			defer client.Close()
			origin, requests, perSecond := client.Demand()
			assert.Equal(t, c.origin, origin)
			assert.Equal(t, c.requests, requests)
			assert.Equal(t, c.perSecond, perSecond)
			assert.Equal(t, map[string]int{origin: 0}, c.config.Destinations.Taken(), "shares name origins alike")
		})
	}
}

// Shares hold for all clients of an origin, those that are there and those that come, and for none of another worker.
func TestShareOfAnOrigin(t *testing.T) {
	f := &traffic{takes: time.Second}
	service(t, f.ServeHTTP, nil, func(t *testing.T, one *Client) {
		worker := one.at.Load().config.Destinations
		another := beside(t, one, func(c *Config) { c.Destinations = NewDestinations() })
		takes := func(want int, when string, clients ...*Client) {
			t.Helper()
			assert.Equal(t, time.Duration(want)*time.Second, all(t, 12/len(clients), clients...), when)
		}
		takes(3, "alone, four at a time", one)
		worker.Share(sharing(2))
		takes(6, "of one client", one)
		two := beside(t, one, nil)
		takes(6, "of two", one, two)
		takes(3, "another worker", another)
		worker.Share(sharing(0))
		takes(12, "no share of this origin yet", one, two)
		worker.Share(sharing(3))
		takes(4, "its share has come", one, two)
		one.Close()
		two.Close()
		assert.Equal(t, map[string]int{}, worker.Taken())
		three := beside(t, another, func(c *Config) { c.Destinations = worker })
		takes(4, "a client that came later", three)
		worker.Share(nil)
		takes(3, "alone again", three)
	})
}

// Other origins that a service's settings name get no share, and one request at a time.
func TestFurtherOriginsHaveNoShare(t *testing.T) {
	f := &traffic{takes: time.Second}
	service(t, f.ServeHTTP, func(c *Config) {
		c.Origins = []Origin{{Scheme: "http", Address: "files.example", Port: 8000}}
	}, func(t *testing.T, c *Client) {
		c.at.Load().config.Destinations.Share(sharing(4))
		began := time.Now()
		together(3, func(int) { wantStatus(t, c, get("http://files.example:8000/"), 200) })
		assert.Equal(t, 3*time.Second, time.Since(began))
		assert.Equal(t, time.Second, all(t, 4, c), "the service itself")
	})
}

// A share that has become smaller ends the sessions that it has no room for: idle ones at once, others with the answers
// that are read in them.
func TestShareEndsSessions(t *testing.T) {
	s := &host{}
	var release, slow chan bool
	handler := func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/open":
			s.ServeHTTP(w, r)
			w.(http.Flusher).Flush()
			<-release
			return
		case "/logoff":
			<-slow
		}
		s.ServeHTTP(w, r)
	}
	service(t, handler, sessioned, func(t *testing.T, c *Client) {
		release, slow = make(chan bool), make(chan bool)
		worker := c.at.Load().config.Destinations
		wants := func(sessions, taken int, when string) {
			t.Helper()
			synctest.Wait()
			s.mu.Lock()
			defer s.mu.Unlock()
			assert.Equal(t, sessions, len(s.open), when)
			assert.Equal(t, map[string]int{sharedOrigin: taken}, worker.Taken(), when)
		}
		all(t, 1, c)
		var answers []*Answer
		for range 4 {
			a, err := c.Do(t.Context(), get("/open"))
			require.NoError(t, err)
			answers = append(answers, a)
		}
		wants(1, 4, "an answer that is being read leaves its session to others")
		for range 4 {
			release <- true
		}
		for _, a := range answers {
			io.Copy(io.Discard, a.Body)
			a.Body.Close()
		}
		wants(1, 1, "one session")

		s.first = time.Second // so that all begin before the first has given its session back
		all(t, 4, c)
		s.first = 0
		wants(4, 4, "four sessions, idle")

		s.first = time.Second
		for i := range answers[:2] {
			go func() {
				var err error
				answers[i], err = c.Do(t.Context(), get("/open"))
				assert.NoError(t, err)
			}()
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		s.first = 0
		ends := func(a *Answer) {
			release <- true
			io.Copy(io.Discard, a.Body)
			a.Body.Close()
		}
		worker.Share(sharing(1))
		wants(4, 4, "two of them are in use, two may be there as long as log-offs last")
		slow <- true
		slow <- true
		wants(2, 2, "two idle ones are gone")
		waiting := make(chan error)
		go func() {
			_, _, err := text(t, c, get("/"))
			waiting <- err
		}()
		ends(answers[0])
		wants(2, 2, "another one is idle, and ends")
		slow <- true
		wants(1, 1, "with its log-off")
		ends(answers[1])
		require.NoError(t, <-waiting)
		wants(1, 1, "one is left, for all requests")

		worker.Share(nil)
		answers = answers[:0]
		for range 3 {
			a, err := c.Do(t.Context(), get("/open"))
			require.NoError(t, err)
			answers = append(answers, a)
		}
		for range 3 {
			release <- true
		}
		for _, a := range answers {
			a.Body.Close()
		}
		for _, asked := range s.asked {
			assert.Equal(t, `auth "", known true`, asked, "a log-off of a session that was open")
		}

		worker.Share(sharing(0))
		wants(1, 1, "without a share no session stays")
		slow <- true
		wants(0, 0, "and this one was idle")
		worker.Share(nil)
		all(t, 1, c)

		closed := make(chan bool)
		go func() {
			defer close(closed)
			c.Close()
		}()
		wants(1, 1, "a client that is closed has a session as long as its log-off lasts")
		close(slow)
		<-closed
		assert.Equal(t, map[string]int{}, worker.Taken(), "and then none")
	})
}

// A worker's part of what is asked comes and goes, while a service counts requests and sessions of all. The leader
// gives to one what another has said it does without.
func TestWorkersKeepToTheirShares(t *testing.T) {
	const limit, workers = 5, 3
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 16))
			var now, most, opened int // under the lock of s
			s := &host{}
			count := func(change int) {
				s.mu.Lock()
				defer s.mu.Unlock()
				now += change
				most, opened = max(most, now), max(opened, len(s.open))
			}
			handler := func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/logoff" {
					time.Sleep(300 * time.Millisecond)
					s.ServeHTTP(w, r)
					return
				}
				count(1)
				defer count(-1)
				time.Sleep(700 * time.Millisecond)
				s.ServeHTTP(w, r)
				count(0)
				w.(http.Flusher).Flush()
				time.Sleep(500 * time.Millisecond)
			}
			service(t, handler, sessioned, func(t *testing.T, first *Client) {
				var places [workers]*Destinations
				var clients []*Client
				shares := [workers]int{2, 2, 1}
				for w := range places {
					places[w] = NewDestinations()
					places[w].Share(sharing(shares[w]))
					for range 2 {
						clients = append(clients, beside(t, first, func(c *Config) {
							c.Limits.Concurrent, c.Destinations = limit, places[w]
						}))
					}
				}
				var wg sync.WaitGroup
				for i := range 150 {
					c, pause := clients[r.IntN(len(clients))], time.Duration(r.IntN(20_000))*time.Millisecond
					wg.Go(func() {
						time.Sleep(pause)
						if status, _, err := text(t, c, get(fmt.Sprint("/", i))); status != 200 || err != nil {
							t.Errorf("request %d: found %d, %v", i, status, err)
						}
					})
				}
				for range 200 {
					time.Sleep(time.Duration(r.IntN(300)) * time.Millisecond)
					left, keeps := limit, shares
					for w, place := range places { // as they would say it to the leader
						keeps[w] = max(shares[w], place.Taken()[sharedOrigin])
						left -= keeps[w]
					}
					if w := r.IntN(workers); r.IntN(2) == 0 {
						shares[w] = keeps[w] + r.IntN(left+1)
					} else {
						shares[w] = 1 + r.IntN(shares[w])
					}
					for w, place := range places {
						place.Share(sharing(shares[w]))
					}
				}
				wg.Wait()
				if most != limit || opened != limit {
					t.Errorf("expected %d requests and sessions at most, and at times, found %d and %d", limit, most,
						opened)
				}
			})
		})
	}
}
