package notify

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/base/inbound"
	"github.com/culvert-project/culvert/wit"
)

// Bounds of what senders may do.
const (
	// maxBody is the most that a notification may have, in bytes.
	maxBody = 4 << 20
	// maxBodies is how many bytes the bodies of all notifications have together that are held at a time.
	maxBodies = 32 << 20
	// maxAtATime is how many notifications are taken at a time, those included whose senders wait for their rows.
	maxAtATime = 256
	// maxHeaders bounds a request's head.
	maxHeaders = 64 << 10
	// readWithin bounds how long a sender may take for a request, writeWithin the answer. HoldWithin is how long a
	// sender waits for rows; then it is asked to send again.
	readWithin  = 30 * time.Second
	holdWithin  = 60 * time.Second
	writeWithin = readWithin + holdWithin + 10*time.Second
	// idleWithin is how long a connection without requests is kept.
	idleWithin = 2 * time.Minute
	// logEvery is how often the same kind of refusal is logged, for each path that is registered.
	logEvery = 10 * time.Second
)

// Settings say where to listen and who may send.
type Settings struct {
	// Ports in the order in which they are tried. Address is the one to listen on, "" for all.
	Ports   []int
	Address string
	// TLS is nil for plain HTTP. Identity tells it apart from that of others: a port is shared by those with the same.
	TLS      *tls.Config
	Identity string
	// User and Password are asked for where there is a user.
	User, Password string
}

// AllowsAnonymous tells whether senders need neither a logon nor a certificate.
func (s *Settings) AllowsAnonymous() bool {
	return s.User == "" && (s.TLS == nil || s.TLS.ClientAuth != tls.RequireAndVerifyClientCert)
}

// Handler takes a notification. It returns when it is to be answered: nil, a *wit.Fault, or [ErrBusy].
type Handler func(ctx context.Context, n wit.Notification) error

// ErrBusy is the error of a notification that the sender is to send again.
var ErrBusy = errors.New("the notification cannot be taken now")

// Hub holds the listeners of a worker. The zero value is ready to use; its methods may be called at any time.
type Hub struct {
	Logger *slog.Logger

	mu      sync.Mutex
	servers []*server
	counts  [len(outcomes)]atomic.Int64
	bodies  inbound.Bodies // of all listeners
}

// Outcomes of notifications, as figures name them.
const (
	taken = iota
	garbage
	unauthorized
	misdirected
	tooLarge
	busy
	failed
)

var outcomes = [...]string{"taken", "garbage", "unauthorized", "misdirected", "too_large", "busy", "failed"}

// Counts are how many notifications came, by what became of them.
func (h *Hub) Counts() map[string]int64 {
	counts := map[string]int64{}
	for i, name := range outcomes {
		counts[name] = h.counts[i].Load()
	}
	return counts
}

// server listens on one port.
type server struct {
	hub      *Hub
	port     int
	address  string
	identity string
	http     *http.Server
	// room has a token for each notification at a time.
	room chan struct{}

	mu    sync.Mutex
	paths map[string]*door
	// stranger is the door of those who come to none.
	stranger door
}

// door is a path that somebody has registered.
type door struct {
	settings Settings
	handle   Handler
	lastSaid [len(outcomes)]time.Time
}

// Register has notifications for a path handed to handle, on the first port that is listened on already for settings
// that may share it, else on the first that is free. A path of one segment that ends in / stands for all below it that
// are not registered themselves. close ends it; the last one closes the port.
func (h *Hub) Register(path string, s Settings, handle Handler) (port int, close func(), err error) {
	if path, err = url.PathUnescape(path); err != nil {
		return 0, nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	d := &door{settings: s, handle: handle}
	for _, port := range s.Ports {
		for _, have := range h.servers {
			if have.port == port && have.address == s.Address && have.identity == s.Identity {
				if err := have.add(path, d); err != nil {
					return 0, nil, err
				}
				return have.port, h.closer(have, path), nil
			}
		}
	}
	var reasons []string
	for _, port := range s.Ports {
		l, err := inbound.Listen(net.JoinHostPort(s.Address, strconv.Itoa(port)))
		if err != nil {
			reasons = append(reasons, err.Error())
			continue
		}
		have := h.serve(l, port, &s)
		_ = have.add(path, d) // it is the first
		return have.port, h.closer(have, path), nil
	}
	return 0, nil, fmt.Errorf("expected a free port for notifications among %v, found none: %s", s.Ports,
		strings.Join(reasons, "; "))
}

func (h *Hub) closer(s *server, path string) func() {
	var once sync.Once
	return func() {
		once.Do(func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			if s.remove(path) > 0 {
				return
			}
			h.servers = slices.DeleteFunc(h.servers, func(other *server) bool { return other == s })
			_ = s.http.Close() // senders send again what is cut off
			h.log().Info("no longer listening for notifications", "port", s.port)
		})
	}
}

func (h *Hub) log() *slog.Logger {
	if h.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return h.Logger
}

// serve begins to listen; h.mu is held.
func (h *Hub) serve(l net.Listener, port int, s *Settings) *server {
	v := &server{hub: h, port: port, address: s.Address, identity: s.Identity, room: make(chan struct{}, maxAtATime),
		paths: map[string]*door{}}
	v.http = &http.Server{Handler: http.HandlerFunc(v.serveHTTP), ReadHeaderTimeout: readWithin,
		ReadTimeout:  readWithin,
		WriteTimeout: writeWithin, IdleTimeout: idleWithin, MaxHeaderBytes: maxHeaders, TLSConfig: s.TLS,
		ErrorLog: slog.NewLogLogger(h.log().Handler(), slog.LevelDebug)}
	if s.TLS != nil {
		l = tls.NewListener(l, s.TLS)
	}
	h.servers = append(h.servers, v)
	h.log().Info("listening for notifications", "address", l.Addr().String(), "tls", s.TLS != nil)
	go func() {
		defer guard.Recover(h.log(), "the listener for notifications", nil)
		if err := v.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			h.log().Error("the listener for notifications has ended", "port", port, "error", err)
		}
	}()
	return v
}

func (s *server) add(path string, d *door) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.paths[path] != nil {
		return fmt.Errorf("notifications under %s are taken by another one already", path)
	}
	s.paths[path] = d
	return nil
}

func (s *server) remove(path string) (left int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.paths, path)
	return len(s.paths)
}

func (s *server) find(at *url.URL) *door {
	first, _, _ := strings.Cut(strings.TrimPrefix(at.EscapedPath(), "/"), "/")
	first, _ = url.PathUnescape(first) // it was parsed
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.paths[at.Path]; d != nil {
		return d
	}
	return s.paths["/"+first+"/"]
}

func (s *server) serveHTTP(w http.ResponseWriter, r *http.Request) {
	defer guard.Recover(s.hub.log(), "a notification", nil, func(*guard.Panic) {
		s.refuse(w, r, nil, failed, http.StatusInternalServerError, "")
	})
	select {
	case s.room <- struct{}{}:
		defer func() { <-s.room }()
	default:
		inbound.Early(w, r, func() { s.again(w, r, nil) })
		return
	}
	d := s.find(r.URL)
	switch {
	case d == nil:
		s.refuse(w, r, nil, misdirected, http.StatusNotFound, "nobody has subscribed under this path")
		return
	case !d.admits(r):
		w.Header().Set("WWW-Authenticate", `Basic realm="notifications", charset="UTF-8"`)
		s.refuse(w, r, d, unauthorized, http.StatusUnauthorized, "user or password is not right")
		return
	case r.Method != http.MethodPost && r.Method != http.MethodPut:
		w.Header().Set("Allow", "POST, PUT")
		s.refuse(w, r, d, garbage, http.StatusMethodNotAllowed, "expected POST")
		return
	}
	body, release, err := s.hub.bodies.Read(http.MaxBytesReader(w, r.Body, maxBody), maxBodies)
	defer release()
	tooMuch := new(http.MaxBytesError)
	switch {
	case errors.Is(err, inbound.ErrFull):
		inbound.Early(w, r, func() { s.again(w, r, d) })
		return
	case errors.As(err, &tooMuch):
		s.refuse(w, r, d, tooLarge, http.StatusRequestEntityTooLarge, fmt.Sprintf("expected at most %d bytes", maxBody))
		return
	case err != nil:
		s.refuse(w, r, d, garbage, http.StatusBadRequest, "the body cannot be read")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), holdWithin)
	defer cancel()
	err = d.handle(ctx, notificationOf(r, body))
	fault := new(wit.Error)
	switch {
	case err == nil:
		s.hub.counts[taken].Add(1)
		w.WriteHeader(http.StatusNoContent)
	case errors.Is(err, ErrBusy) || ctx.Err() != nil:
		s.again(w, r, d)
	case errors.As(err, &fault) && fault.Kind == wit.ErrorData:
		s.refuse(w, r, d, garbage, http.StatusBadRequest, fault.Message)
	case errors.As(err, &fault) && fault.Kind == wit.ErrorUnauthorized:
		s.refuse(w, r, d, unauthorized, http.StatusUnauthorized, fault.Message)
	case errors.As(err, &fault) && fault.Kind == wit.ErrorNotFound:
		s.refuse(w, r, d, misdirected, http.StatusNotFound, fault.Message)
	default:
		s.hub.log().Error("a notification could not be handled", "path", r.URL.EscapedPath(), "error", err)
		s.refuse(w, r, d, failed, http.StatusInternalServerError, "")
	}
}

// notificationOf is what a plugin sees: no credentials, no cookies.
func notificationOf(r *http.Request, body []byte) wit.Notification {
	n := wit.Notification{Method: r.Method, Target: r.URL.RequestURI(), Body: body, Headers: []wit.Header{}}
	for name, values := range r.Header {
		switch name {
		case "Authorization", "Cookie", "Proxy-Authorization":
			continue
		}
		for _, value := range values {
			n.Headers = append(n.Headers, wit.Header{Name: name, Value: value})
		}
	}
	return n
}

// admits tells whether a sender may come in. Times tell nothing of what was right.
func (d *door) admits(r *http.Request) bool {
	if d.settings.User == "" {
		return true
	}
	user, password, _ := r.BasicAuth()
	same := func(a, b string) int {
		x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
		return subtle.ConstantTimeCompare(x[:], y[:])
	}
	return same(user, d.settings.User)&same(password, d.settings.Password) == 1
}

// again has a sender send again.
func (s *server) again(w http.ResponseWriter, r *http.Request, d *door) {
	w.Header().Set("Retry-After", "10")
	s.refuse(w, r, d, busy, http.StatusServiceUnavailable, "send it again")
}

// refuse answers what is not taken. why is for the sender, and shown in the log, not every time.
func (s *server) refuse(w http.ResponseWriter, r *http.Request, d *door, outcome, status int, why string) {
	s.hub.counts[outcome].Add(1)
	if s.tells(d, outcome) {
		s.hub.log().Warn("a notification was not taken", "path", clip(r.URL.EscapedPath()), "from", r.RemoteAddr,
			"status", status, "reason", why)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, why)
}

func (s *server) tells(d *door, outcome int) bool {
	if d == nil {
		d = &s.stranger
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); now.Sub(d.lastSaid[outcome]) > logEvery {
		d.lastSaid[outcome] = now
		return true
	}
	return false
}

func clip(s string) string { return s[:min(len(s), 200)] }
