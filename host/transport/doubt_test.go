package transport

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/culvert-project/culvert/host/internal/base/assert"
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

// isUnauthorized tells whether a request was refused, by the service or without being sent.
func isUnauthorized(status uint16, err error) bool {
	f, _ := errors.AsType[*wit.Fault](err)
	return status == 401 || f != nil && f.Kind == wit.FaultUnauthorized
}

// One 401 in mid-load of a secret that works: one request tries it again, in a session of its own, after a pause, and
// all go on.
func TestOneRefusalInMidLoad(t *testing.T) {
	for name, request := range map[string]*wit.Request{"read": get("/"), "write": {Method: "POST", Target: "/",
		TokenFrom: wit.Ptr("/")}} {
		t.Run(name, func(t *testing.T) {
			s := &refusing{}
			var log journal
			service(t, s.ServeHTTP, func(c *Config) { sessioned(c); c.Logger = log.logger() },
				func(t *testing.T, c *Client) {
					for range 3 {
						wantStatus(t, c, request, 200)
					}
					time.Sleep(50 * time.Minute)
					s.between(0, 1)
					began := time.Now()
					together(8, func(int) { wantStatus(t, c, request, 200) })
					// Of writes the fetching of a token may be what is refused: the others wait a bit longer then.
					if took := time.Since(began); s.count() != 1 || took != doubtPause &&
						(name == "read" || took != doubtPause+courtesy) {
						t.Errorf("expected one refusal and one pause, found %d and %v", s.count(), took)
					}
					assert.Equal(t, "", s.cookies[1], "the second try has a fresh session")
					assert.Equal(t, "", c.Refusal())
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
	service(t, s.ServeHTTP, loggedOn, func(t *testing.T, c *Client) {
		clients := []*Client{c}
		for range 19 {
			clients = append(clients, beside(t, c, nil))
		}
		round := func() (unauthorized int) {
			var mu sync.Mutex
			together(len(clients), func(i int) {
				status, _, err := text(t, clients[i], get("/"))
				if isUnauthorized(status, err) {
					mu.Lock()
					defer mu.Unlock()
					unauthorized++
				} else if err != nil || status != 200 {
					t.Errorf("status %d, %v", status, err)
				}
			})
			return unauthorized
		}
		assert.Equal(t, 0, round(), "refused")
		time.Sleep(10 * time.Second) // they poll, and are all due at once
		s.between(0, forever)
		for range 3 {
			assert.Equal(t, len(clients), round(), "told")
			time.Sleep(time.Minute)
		}
		assert.Equal(t, 2, s.count(), "times that the secret was sent")
		if pause := s.refused[1].Sub(s.refused[0]); pause < doubtPause {
			t.Errorf("expected a pause of %v, found %v", doubtPause, pause)
		}
	})
}

// What worked more than an hour ago, or never, is sent once.
func TestOldAcceptanceIsNone(t *testing.T) {
	s := &refusing{}
	service(t, s.ServeHTTP, sessioned, func(t *testing.T, c *Client) {
		text(t, c, get("/"))
		time.Sleep(recently + time.Second)
		s.between(0, forever)
		for range 3 {
			text(t, c, get("/"))
		}
		assert.Equal(t, 1, s.count(), "times that the secret was sent")
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
	}, sessioned, func(t *testing.T, c *Client) {
		for range 2 {
			wantStatus(t, c, get("/"), 200)
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
	}, sessioned, func(t *testing.T, c *Client) {
		text(t, c, get("/"))
		for range 20 {
			text(t, c, get("/wrong"))
		}
		assert.Equal(t, 3, n, "requests: one, a try and a second one")
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
		}, func(c *Config) { sessioned(c); c.Limits.Concurrent = lanes }, func(t *testing.T, c *Client) {
			text(t, c, get("/Orders"))
			for range 3 {
				together(3*lanes, func(i int) {
					r := &wit.Request{Method: "POST", Target: "/Orders" + string(rune('a'+i%2)),
						TokenFrom: wit.Ptr("/")}
					status, _, err := text(t, c, r)
					var f *wit.Fault
					if status != 401 && !(errors.As(err, &f) && f.Kind == wit.FaultUnauthorized) {
						t.Errorf("status %d, %v", status, err)
					}
					text(t, c, get("/Orders")) // accepted while that goes on
				})
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
	}, sessioned, func(t *testing.T, c *Client) {
		for range 20 {
			text(t, c, get("/"))
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if a, err := c.Do(ctx, get("/wrong")); err == nil {
				a.Body.Close()
			}
			cancel()
			time.Sleep(10 * time.Second)
		}
		assert.Equal(t, 2, n, "refusals")
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
	}, sessioned, func(t *testing.T, c *Client) {
		together(4, func(i int) {
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
		if refusals == 0 || c.Refusal() != "" {
			t.Errorf("expected refusals and none at the end, found %d, %q", refusals, c.Refusal())
		}
	})
}

// A path where the service has nothing is answered before anybody logs on: such an answer does not show that a password
// is right, and a wrong one must not be sent a second time.
func TestNothingThereIsNoLogon(t *testing.T) {
	refusals := 0
	service(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/nothing" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		refusals++
		w.WriteHeader(http.StatusUnauthorized)
	}, func(c *Config) { c.User, c.Password = "u", "wrong" }, func(t *testing.T, c *Client) {
		for _, target := range []string{"/nothing", "/a", "/nothing", "/a"} {
			text(t, c, get(target))
			time.Sleep(2 * doubtPause)
		}
		if refusals != 1 || c.Refusal() == "" {
			t.Errorf("expected one refusal, found %d, %q", refusals, c.Refusal())
		}
	})
}
