package transport

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/host/internal/base/require"
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
		lockouts, destinations := NewLockouts(), NewDestinations()
		var clients []*Client
		for range 20 {
			config := Config{Scheme: "http", Address: "sap.example", Port: 8000, Dial: network.dial, Lockouts: lockouts,
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

// Processes know of each other what was accepted, what is in doubt, and who tries: a command beside a worker condemns
// nothing that works there, and of several one tries.
func TestDoubtIsShared(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "logons")
	synctest.Test(t, func(t *testing.T) {
		worker := openLockouts(t, folder)
		if sent, err := try(t, worker, somebody, 200); !sent {
			t.Fatal(err)
		}
		command := openLockouts(t, folder)
		if sent, err := try(t, command, somebody, 401); !sent {
			t.Fatal(err)
		}
		others := []*Lockouts{worker, command, openLockouts(t, folder), openLockouts(t, folder)}
		for _, l := range others {
			if !l.of(somebody).look().doubted() || l.of(somebody).fault(l.of(somebody).look()) != nil {
				t.Errorf("expected a doubt, found %v", l.of(somebody).look())
			}
		}
		// 40 requests of four processes: one of them tries, after the pause.
		began, sent := time.Now(), 0
		var mu sync.Mutex
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				p, err := others[i%4].of(somebody).enter(t.Context(), requestID{}, never)
				if err != nil {
					wantFault(t, err, wit.FaultUnauthorized, "ALICE")
					return
				}
				mu.Lock()
				sent++
				mu.Unlock()
				if took := time.Since(began); p.doubt.IsZero() || took < doubtPause-time.Millisecond {
					t.Errorf("expected the second try after %v, found %v after %v", doubtPause, p.doubt, took)
				}
				p.done(401)
			})
		}
		wg.Wait()
		if sent != 1 {
			t.Errorf("expected one second try, found %d", sent)
		}
		if _, err := try(t, openLockouts(t, folder), somebody, 200); err == nil {
			t.Error("expected the secret to be refused after a restart")
		}
		if files, _ := filepath.Glob(filepath.Join(folder, "*"+acceptance)); len(files) != 0 {
			t.Errorf("expected no acceptance beside a refusal, found %v", files)
		}
	})
	nothingReadable(t, folder)
}

// Whoever dies in the second try leaves no third one to others.
func TestKilledInTheSecondTry(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "logons")
	synctest.Test(t, func(t *testing.T) {
		l := openLockouts(t, folder)
		try(t, l, somebody, 200)
		try(t, l, somebody, 401)
		g := l.of(somebody)
		g.mu.Lock()
		g.replace(verdict{state: tried, at: time.Now()})
		g.mu.Unlock()
		_, err := try(t, openLockouts(t, folder), somebody, 200)
		wantFault(t, err, wit.FaultUnauthorized, "ALICE")
	})
}

// Acceptances that are too old to count are taken away, and files of unknown content are refusals.
func TestFilesOfDoubts(t *testing.T) {
	folder := t.TempDir()
	l := openLockouts(t, folder)
	try(t, l, somebody, 200)
	files, _ := filepath.Glob(filepath.Join(folder, "*"+acceptance))
	if len(files) != 1 {
		t.Fatalf("expected an acceptance, found %v", files)
	}
	if info, err := os.Stat(files[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("expected mode 0600, found %v, %v", info.Mode(), err)
	}
	old := time.Now().Add(-recently - time.Minute)
	require.NoError(t, os.Chtimes(files[0], old, old))
	openLockouts(t, folder)
	if files, _ := filepath.Glob(filepath.Join(folder, "*"+acceptance)); len(files) != 0 {
		t.Errorf("expected it to be taken away, found %v", files)
	}
	for _, content := range [][]byte{nil, {1}, slices.Repeat([]byte{0}, 8), slices.Repeat([]byte{'x'}, 9),
		slices.Repeat([]byte{'d'}, 10)} {
		if v := readVerdict(content); v.state != refused {
			t.Errorf("%q: expected a refusal, found %q", content, v.state)
		}
	}
	of := l.asks(&exchange{method: "POST", line: "/Orders?x=1"})
	of.serves = [8]byte{}
	for _, s := range []state{doubtful, tried, onTrial, retried} {
		v := verdict{s, time.UnixMilli(1), of}
		if got := readVerdict(v.bytes()); got != v {
			t.Errorf("expected %v, found %v", v, got)
		}
	}
	if v := (verdict{state: refused, at: time.UnixMilli(1)}); readVerdict(v.bytes()) != v {
		t.Errorf("expected %v, found %v", v, readVerdict(v.bytes()))
	}
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

// Whoever dies while what was refused is tried again leaves no third try to others, who read meanwhile.
func TestKilledOnTrial(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "logons")
	synctest.Test(t, func(t *testing.T) {
		l := openLockouts(t, folder)
		write, read := l.asks(&exchange{method: "POST", line: "/"}), l.asks(&exchange{method: "GET", line: "/"})
		send := func(l *Lockouts, a requestID, status int) error {
			p, err := l.of(somebody).enter(t.Context(), a, never)
			if err == nil && status != 0 {
				p.done(status)
			}
			return err
		}
		for _, err := range []error{send(l, read, 200), send(l, write, 401), send(l, read, 200)} {
			require.NoError(t, err)
		}
		v := l.of(somebody).look()
		if v.state != onTrial || v.of.hash != write.hash || !v.of.writes {
			t.Fatalf("expected the write to be on trial, found %v", v)
		}
		if !v.trial(write) || v.left(write) > 0 || v.trial(read) {
			t.Errorf("%v: the write is to be tried", v)
		}
		g := l.of(somebody)
		tries := func() {
			g.mu.Lock()
			defer g.mu.Unlock()
			v.state = retried
			g.replace(v)
		}
		tries()
		if err := send(openLockouts(t, folder), read, 200); err != nil {
			t.Errorf("expected reads to go on, found %v", err)
		}
		wantFault(t, send(openLockouts(t, folder), write, 201), wit.FaultUnauthorized, "ALICE")
		tries()
		time.Sleep(recently + time.Second)
		if v := openLockouts(t, folder).of(somebody).look(); v.state != unjudged {
			t.Errorf("expected the trial to be over after an hour, found %v", v)
		}
	})
}
