package transport

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/host/transport/lockouts"
	"github.com/culvert-project/culvert/wit"
)

// refusing is a service that refuses everybody for a number of requests, or from a number on.
type refusing struct {
	mu       sync.Mutex
	from, to int // of the requests that are counted since the last change
	n        int
	refused  []time.Time
	cookies  []string
}

func (s *refusing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	s.cookies = append(s.cookies, r.Header.Get("Cookie"))
	if s.n > s.from && s.n <= s.to {
		s.refused = append(s.refused, time.Now())
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if r.Header.Get("Cookie") == "" {
		w.Header().Set("Set-Cookie", "session=1")
	}
	w.Header().Set("X-Csrf-Token", "t")
}

func (s *refusing) between(from, to int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.from, s.to, s.n, s.refused, s.cookies = from, to, 0, nil, nil
}

func (s *refusing) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.refused)
}

const forever = 1 << 30

// As in package lockouts.
const (
	doubtPause  = 3 * time.Second
	courtesy    = time.Second
	recently    = time.Hour
	openingTurn = 10 * time.Second
	trusted     = time.Minute
)

// One 401 in mid-load of a secret that works: one request tries it again, in a session of its own, after a pause, and
// all go on.
func TestOneRefusalInMidLoad(t *testing.T) {
	for name, request := range map[string]*wit.Request{"read": get("/"), "write": {Method: "POST", Target: "/",
		TokenFrom: wit.Ptr("/")}} {
		t.Run(name, func(t *testing.T) {
			s := &refusing{}
			var log journal
			service(t, s.ServeHTTP, func(c *Config) { sessioned(c); c.Logger = log.logger() },
				func(t *testing.T, c *Client, _ *wires) {
					for range 3 {
						if status, _, err := text(t, c, request); err != nil || status != 200 {
							t.Fatal(status, err)
						}
					}
					time.Sleep(50 * time.Minute)
					s.between(0, 1)
					began := time.Now()
					var wg sync.WaitGroup
					for range 8 {
						wg.Go(func() {
							if status, _, err := text(t, c, request); err != nil || status != 200 {
								t.Errorf("status %d, %v", status, err)
							}
						})
					}
					wg.Wait()
					// Of writes the fetching of a token may be what is refused: the others wait a bit longer then.
					if took := time.Since(began); s.count() != 1 || took != doubtPause &&
						(name == "read" || took != doubtPause+courtesy) {
						t.Errorf("expected one refusal and one pause, found %d and %v", s.count(), took)
					}
					if s.cookies[1] != "" {
						t.Errorf("expected a fresh session for the second try, found %q", s.cookies[1])
					}
					if why := c.Refusal(); why != "" {
						t.Errorf("found a refusal: %s", why)
					}
				})
			if said := log.String(); strings.Count(said, "tried once more in a fresh session") != 1 {
				t.Errorf("expected one warning, found\n%s", said)
			}
		})
	}
}

// A secret that worked and is wrong now is sent twice in all, by however many clients.
func TestChangedSecretIsTriedTwice(t *testing.T) {
	s := &refusing{}
	synctest.Test(t, func(t *testing.T) {
		network := &wires{conns: make(chan net.Conn), closed: make(chan struct{})}
		server := &http.Server{Handler: s, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
		go server.Serve(network)
		store, destinations := lockouts.New(), NewDestinations()
		var clients []*Client
		for range 20 {
			config := Config{Scheme: "http", Address: "sap.example", Port: 8000, Dial: network.dial, Lockouts: store,
				Destinations: destinations, User: "u", Password: "p"}
			c, err := New(config)
			require.NoError(t, err)
			clients = append(clients, c)
		}
		round := func() (unauthorized int) {
			var mu sync.Mutex
			var wg sync.WaitGroup
			for _, c := range clients {
				wg.Go(func() {
					status, _, err := text(t, c, get("/"))
					var f *wit.Fault
					if status == 401 || errors.As(err, &f) && f.Kind == wit.FaultUnauthorized {
						mu.Lock()
						defer mu.Unlock()
						unauthorized++
					} else if err != nil || status != 200 {
						t.Errorf("status %d, %v", status, err)
					}
				})
			}
			wg.Wait()
			return unauthorized
		}
		if n := round(); n != 0 {
			t.Fatalf("%d were refused", n)
		}
		time.Sleep(10 * time.Second) // they poll, and are all due at once
		s.between(0, forever)
		for range 3 {
			if n := round(); n != len(clients) {
				t.Errorf("expected all to be told, found %d", n)
			}
			time.Sleep(time.Minute)
		}
		if n := s.count(); n != 2 {
			t.Errorf("expected the secret to be sent twice, found %d times", n)
		}
		if pause := s.refused[1].Sub(s.refused[0]); pause < doubtPause {
			t.Errorf("expected a pause of %v, found %v", doubtPause, pause)
		}
		for _, c := range clients {
			c.Close()
		}
		server.Close()
		synctest.Wait()
	})
}

// What worked more than an hour ago, or never, is sent once.
func TestOldAcceptanceIsNone(t *testing.T) {
	s := &refusing{}
	service(t, s.ServeHTTP, sessioned, func(t *testing.T, c *Client, _ *wires) {
		text(t, c, get("/"))
		time.Sleep(recently + time.Second)
		s.between(0, forever)
		for range 3 {
			text(t, c, get("/"))
		}
		if s.count() != 1 {
			t.Errorf("expected the secret to be sent once, found %d times", s.count())
		}
	})
}

// That nobody looked at the secret in the second try says nothing of it.
func TestSecondTryWithoutAnAnswer(t *testing.T) {
	n, refused := 0, 0
	service(t, func(w http.ResponseWriter, r *http.Request) {
		n++
		switch n {
		case 2:
			refused++
			w.WriteHeader(401)
		case 3:
			w.WriteHeader(503)
		case 4:
			panic(http.ErrAbortHandler)
		}
	}, sessioned, func(t *testing.T, c *Client, _ *wires) {
		for range 2 {
			if status, _, err := text(t, c, get("/")); err != nil || status != 200 {
				t.Errorf("status %d, %v", status, err)
			}
		}
		if n != 5 || refused != 1 {
			t.Errorf("expected 5 requests, found %d", n)
		}
	})
}

// A server that refuses now and then what it takes otherwise is not asked for ever.
func TestDoubtsAreBounded(t *testing.T) {
	n := 0
	service(t, func(w http.ResponseWriter, r *http.Request) {
		if n++; r.URL.Path == "/wrong" {
			w.WriteHeader(401)
		}
	}, sessioned, func(t *testing.T, c *Client, _ *wires) {
		text(t, c, get("/"))
		for range 20 {
			text(t, c, get("/wrong"))
		}
		if n != 3 {
			t.Errorf("expected one try and a second one, found %d requests", n-1)
		}
	})
}

// A service may take the reads of anybody, as that which fetches a token, and refuse each write: what was refused is
// tried again itself, by one, and refused again it is refused.
func TestAcceptedReadsProveNoWrite(t *testing.T) {
	for _, lanes := range []int{1, 8} {
		var mu sync.Mutex
		writes := 0
		service(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Cookie") == "" {
				w.Header().Set("Set-Cookie", "session=1")
			}
			w.Header().Set("X-Csrf-Token", "t")
			if r.Method == http.MethodPost {
				mu.Lock()
				defer mu.Unlock()
				writes++
				w.WriteHeader(401)
			}
		}, func(c *Config) { sessioned(c); c.Limits.Concurrent = lanes }, func(t *testing.T, c *Client, _ *wires) {
			text(t, c, get("/Orders"))
			for range 3 {
				var wg sync.WaitGroup
				for i := range 3 * lanes {
					wg.Go(func() {
						r := &wit.Request{Method: "POST", Target: "/Orders" + string(rune('a'+i%2)),
							TokenFrom: wit.Ptr("/")}
						status, _, err := text(t, c, r)
						var f *wit.Fault
						if status != 401 && !(errors.As(err, &f) && f.Kind == wit.FaultUnauthorized) {
							t.Errorf("status %d, %v", status, err)
						}
						text(t, c, get("/Orders")) // accepted while that goes on
					})
				}
				wg.Wait()
				time.Sleep(time.Minute)
			}
			if most := min(lanes, 4) + 1; writes < 2 || writes > most {
				t.Errorf("%d lanes: expected those under way to be refused and one more, found %d", lanes, writes)
			}
			if c.Refusal() == "" {
				t.Error("expected the secret to be refused")
			}
		})
	}
}

// What was refused and is given up, as validations are after 3 s, leaves no doubt after doubt behind: of what is always
// refused the second refusal is the last, whatever is accepted in between.
func TestAbandonedDoubts(t *testing.T) {
	n := 0
	service(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wrong" {
			n++
			w.WriteHeader(401)
		}
	}, sessioned, func(t *testing.T, c *Client, _ *wires) {
		for range 20 {
			text(t, c, get("/"))
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if a, err := c.Do(ctx, get("/wrong")); err == nil {
				a.Body.Close()
			}
			cancel()
			time.Sleep(10 * time.Second)
		}
		if n != 2 {
			t.Errorf("expected two refusals, found %d", n)
		}
	})
}

// Of several servers behind one address one restarts for two minutes: it refuses what it is asked, and takes its share
// of new sessions. Nobody's work ends as long as no second try comes to it, too.
func TestServerRestarts(t *testing.T) {
	var mu sync.Mutex
	opened, refusals := 0, 0
	var restarting bool
	service(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		server := ""
		if c, err := r.Cookie("server"); err == nil {
			server = c.Value
		} else if opened++; opened%3 == 0 {
			server = "c"
		} else {
			server = "a"
		}
		if restarting && server == "c" {
			refusals++
			opened = 0 // what spreads sessions over servers leads nobody there again at once
			w.WriteHeader(401)
			return
		}
		w.Header().Set("Set-Cookie", "server="+server)
		w.Header().Set("X-Csrf-Token", "t")
	}, sessioned, func(t *testing.T, c *Client, _ *wires) {
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				for n := range 300 {
					mu.Lock()
					restarting = n > 100 && n < 220
					mu.Unlock()
					r := get("/" + string(rune('a'+i)))
					if i%2 == 1 {
						r = &wit.Request{Method: "POST", Target: r.Target, TokenFrom: wit.Ptr("/")}
					}
					if status, _, err := text(t, c, r); status != 200 || err != nil {
						t.Errorf("%d: status %d, %v", n, status, err)
						return
					}
					time.Sleep(time.Second)
				}
			})
		}
		wg.Wait()
		if refusals == 0 || c.Refusal() != "" {
			t.Errorf("expected refusals and none at the end, found %d, %q", refusals, c.Refusal())
		}
	})
}

// A path behind which there is nothing is answered before anybody logs on: that takes no wrong password for one that
// was right a moment ago, which would be shown a second time.
func TestNothingThereIsNoLogon(t *testing.T) {
	refusals := 0
	service(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/nothing" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		refusals++
		w.WriteHeader(http.StatusUnauthorized)
	}, func(c *Config) { c.User, c.Password = "u", "wrong" }, func(t *testing.T, c *Client, _ *wires) {
		for _, target := range []string{"/nothing", "/a", "/nothing", "/a"} {
			text(t, c, get(target))
			time.Sleep(2 * doubtPause)
		}
		if refusals != 1 || c.Refusal() == "" {
			t.Errorf("expected one refusal, found %d, %q", refusals, c.Refusal())
		}
	})
}
