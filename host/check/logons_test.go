package check

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/host/transport"
	"github.com/culvert-project/culvert/host/transport/lockouts"
	"github.com/culvert-project/culvert/wit"
)

// locked is a service in memory with a user whose password is right, behind which clients and logons of one process
// stand.
type locked struct {
	t        *testing.T
	right    string
	logons   *logons
	lockouts *lockouts.Store
	// answer is the status in the place of 200 and 401, 0 where the password is looked at; away: nobody is there;
	// silent: there is no answer.
	answer       int
	away, silent bool
	client       string   // that checks name, "" for none
	shown        []string // passwords
}

func newLocked(t *testing.T) *locked {
	return &locked{t: t, right: "right", logons: newLogons(), lockouts: lockouts.New()}
}

func (l *locked) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, password, _ := r.BasicAuth()
	l.shown = append(l.shown, password)
	switch {
	case l.silent:
		<-r.Context().Done()
	case l.answer != 0:
		w.WriteHeader(l.answer)
	case password != l.right:
		w.WriteHeader(http.StatusUnauthorized)
	}
}

func (l *locked) config(user, password string) transport.Config {
	once := 0
	return transport.Config{Scheme: "http", Address: "service.example", User: user, Password: password,
		Headers: map[string]string{"sap-client": l.client},
		Retry:   transport.Retry{Max: &once}, Lockouts: l.lockouts, Destinations: transport.NewDestinations(),
		Dial: func(context.Context, string, string) (net.Conn, error) {
			if l.away {
				return nil, &net.OpError{Op: "dial", Err: fmt.Errorf("connection refused")}
			}
			ours, theirs := net.Pipe()
			go serve(theirs, l)
			return ours, nil
		}}
}

// serve answers the requests of a connection.
func serve(conn net.Conn, h http.Handler) {
	listener := &one{conns: make(chan net.Conn, 1)}
	listener.conns <- conn
	close(listener.conns)
	(&http.Server{Handler: h}).Serve(listener)
}

// one is a listener of one connection.
type one struct{ conns chan net.Conn }

func (o *one) Accept() (net.Conn, error) {
	if conn, ok := <-o.conns; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}
func (o *one) Close() error   { return nil }
func (o *one) Addr() net.Addr { return &net.TCPAddr{} }

// check is one check with as many requests, within a second.
func (l *locked) check(user, password string, by LogonBy, requests int) (why string) {
	l.t.Helper()
	c := l.config(user, password)
	who, err := transport.LogonOf(c)
	if err != nil {
		l.t.Fatal(err)
	}
	trial, why := l.logons.begin(who, by)
	if why != "" {
		return why
	}
	client, err := transport.New(c)
	if err != nil {
		l.t.Fatal(err)
	}
	defer client.Close()
	exchange := client.Exchange
	if trial != nil {
		defer trial.end()
		exchange = func(ctx context.Context, r *wit.Request) (wit.Response, error) {
			return trial.exchange(ctx, client, r)
		}
	}
	ctx, cancel := context.WithTimeout(l.t.Context(), time.Second)
	defer cancel()
	for i := range requests {
		exchange(ctx, &wit.Request{Tag: fmt.Sprint(i), Method: "GET", Target: "/x", Repeatable: true})
	}
	return ""
}

// Which secrets checks send, in which order and after which time. A step is a secret, with ! behind it on purpose, with
// @ by the owner; a time that passes; or what happens meanwhile, in brackets.
func TestChecksLockNobody(t *testing.T) {
	for name, c := range map[string]struct{ steps, want string }{
		"typed letter by letter":          {"r ri rig righ right", ""},
		"typed, and left there":           {"r ri ri ri 10m ri right right right", ""},
		"typed between others":            {"a! a a 10m b b", "a"},
		"a wrong one is sent once":        {"wrong! wrong! wrong wrong!", "wrong"},
		"one in ten minutes":              {"a! 9m59s b! right! 1s b!", "a b"},
		"on purpose":                      {"right! right", "right right"},
		"no third":                        {"a! 10m b! 10m right! 24h right!", "a b"},
		"a third after a task's":          {"a! 10m b! 10m [task] c!", "c"},
		"a third after a check's":         {"a! 10m right! 10m b! 10m c! 10m d!", "a right b c"},
		"soon after the right one":        {"right! 1m b!", "right"},
		"what a task has shown":           {"[task] right", "right"},
		"what nobody looked at":           {"[404] right! right right! b! [200] right!", "right right right"},
		"no answer":                       {"[silent] a! a! 10m a! 10m a!", "a a"},
		"nobody there":                    {"[away] a! b! c! [back] right!", "right"},
		"the owner's own doing":           {"a@ b@ right@", "a b right"},
		"after an operator's resume":      {"a! [resume] a! 10m a!", "a a"},
		"soon after an operator's resume": {"a! [resume] a!", "a"},
		// A request that names no client is for the system's own, which another one may name.
		"whatever client":  {"a! [client=100] b! 10m b! [client=200] 10m c! 24h right!", "a b"},
		"in each client":   {"[client=100] right! [client=200] right! 10m right!", "right right"},
		"taken in another": {"[client=100] a! 10m [client=200] right! 10m b! 10m [client=100] c!", "a right b c"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLocked(t)
				for step := range strings.FieldsSeq(c.steps) {
					l.step(step)
				}
				synctest.Wait()
				if got := strings.Join(l.shown, " "); got != c.want {
					t.Errorf("expected %q, the service was shown %q", c.want, got)
				}
				time.Sleep(time.Hour) // until idle connections end
			})
		})
	}
}

func (l *locked) step(step string) {
	l.t.Helper()
	if pause, err := time.ParseDuration(step); err == nil {
		time.Sleep(pause)
		return
	}
	if client, ok := strings.CutPrefix(step, "[client="); ok {
		l.client = strings.TrimSuffix(client, "]")
		return
	}
	switch step {
	case "[404]":
		l.answer = http.StatusNotFound
	case "[200]":
		l.answer = 0
	case "[silent]":
		l.silent = true
	case "[away]", "[back]":
		l.away = step == "[away]"
	case "[resume]":
		l.lockouts.Resume(context.Background())
	case "[task]":
		l.check("me", l.right, ByOwner, 1)
		l.shown = nil
	default:
		by := map[byte]LogonBy{'!': OnPurpose, '@': ByOwner}[step[len(step)-1]]
		l.check("me", strings.Trim(step, "!@"), by, 1)
	}
}

// One check sends a secret that is not proven with one request at a time, and not again behind one without an answer;
// users are told apart as services do.
func TestOneRequestAtATimeIsATrial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			set  func(*locked)
			want int
		}{
			{func(l *locked) { l.right = "other" }, 1}, {func(l *locked) { l.silent = true }, 1},
			{func(l *locked) { l.answer = 404 }, 5}, {func(*locked) {}, 5},
		} {
			l := newLocked(t)
			c.set(l)
			l.check("me", "right", OnPurpose, 5)
			if why := l.check("me", "right", byChance, 0); l.right == "other" && why != "" {
				t.Errorf("of a secret that was refused there is nothing to try: %s", why)
			}
			if len(l.shown) != c.want {
				t.Errorf("expected %d requests, found %d", c.want, len(l.shown))
			}
			if why := l.check("ME", "wrong", OnPurpose, 1); why == "" {
				t.Error("another spelling counts as another user")
			}
			if why := l.check("you", "wrong", OnPurpose, 1); why != "" {
				t.Errorf("another user: %s", why)
			}
		}
		time.Sleep(time.Hour)
	})
}

// What is remembered is bounded: of what was only typed there is nothing, what was sent is not forgotten, and where
// there is no room nothing is sent. Nothing in it is a secret or a user.
func TestWhatChecksRememberIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLocked(t)
		begin := func(user string, by LogonBy) string {
			who, err := transport.LogonOf(l.config(user, "a-secret"))
			require.NoError(t, err)
			trial, why := l.logons.begin(who, by)
			if trial != nil {
				trial.sent.Store(true)
				trial.over = errUntried
				trial.end()
			}
			return why
		}
		begin("typed", byChance)
		if n := len(l.logons.places); n != 0 {
			t.Errorf("%d places of what was only typed", n)
		}
		for i := range maxPlaces {
			if why := begin(fmt.Sprint("sent", i), OnPurpose); why != "" {
				t.Fatalf("%d: %s", i, why)
			}
		}
		if why := begin("one more", OnPurpose); !strings.Contains(why, "too many users") {
			t.Errorf("expected no room, found %q", why)
		}
		if n := len(l.logons.places); n != maxPlaces {
			t.Errorf("%d places", n)
		}
		text := fmt.Sprintf("%+v", l.logons.places)
		if strings.Contains(text, "a-secret") || strings.Contains(text, "sent1") {
			t.Error("a secret or a user is remembered")
		}
		time.Sleep(time.Hour)
	})
}
