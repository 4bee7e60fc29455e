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

	"github.com/culvert-project/culvert/internal/base/inbound"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/wit"
)

const (
	maxBody        = 4 << 20  // bytes
	maxTotalBodies = 32 << 20 // bytes, of all requests in progress
	maxConcurrent  = 256      // requests of a port
	maxHeaders     = 64 << 10 // bytes
	// readTimeout bounds reading a request, writeTimeout the response. Senders wait up to handleTimeout.
	readTimeout   = 30 * time.Second
	handleTimeout = 60 * time.Second
	writeTimeout  = readTimeout + handleTimeout + 10*time.Second
	idleTimeout   = 2 * time.Minute
	logInterval   = 10 * time.Second
)

// Settings specify where to listen and who may send.
type Settings struct {
	// Ports are tried in order. Address is "" for all addresses.
	Ports   []int
	Address string
	// TLS is nil for plain HTTP. Identity identifies it: connectors with the same Identity share a port.
	TLS      *tls.Config
	Identity string
	// User is "" if senders need no password.
	User     string
	Password string
}

// AllowsAnonymous reports whether senders need neither password nor certificate.
func (s *Settings) AllowsAnonymous() bool {
	return s.User == "" && (s.TLS == nil || s.TLS.ClientAuth != tls.RequireAndVerifyClientCert)
}

// Handler handles a notification. It returns nil, a *wit.Error, or [ErrBusy].
type Handler func(ctx context.Context, n wit.Notification) error

// ErrBusy means that the sender must send the notification again.
var ErrBusy = errors.New("the notification cannot be accepted now")

// Hub has the listeners of a worker. The zero value is ready for use, and safe for concurrent use.
type Hub struct {
	Logger *slog.Logger

	mu      sync.Mutex
	servers []*server
	counts  [len(outcomes)]atomic.Int64
	bodies  inbound.Bodies // of all listeners
}

// Outcomes of notifications, by their metric labels.
const (
	outcomeAccepted = iota
	outcomeInvalid
	outcomeUnauthorized
	outcomeUnknownPath
	outcomeTooLarge
	outcomeBusy
	outcomeFailed
)

var outcomes = [...]string{"taken", "garbage", "unauthorized", "misdirected", "too_large", "busy", "failed"}

// Counts returns the number of notifications by outcome.
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
	slots    chan struct{} // one element for each request in progress

	mu      sync.Mutex
	paths   map[string]*endpoint
	unknown endpoint // limits the log lines of requests without an endpoint
}

// endpoint receives the notifications for a path.
type endpoint struct {
	settings   Settings
	handle     Handler
	lastLogged [len(outcomes)]time.Time
}

// Register registers a handler for a path, on the first port with the same settings, or else on the first free port. A
// path /segment/ includes all unregistered paths below it. close unregisters it; the last one closes the port.
func (h *Hub) Register(path string, s Settings, handle Handler) (port int, close func(), err error) {
	if path, err = url.PathUnescape(path); err != nil {
		return 0, nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	added := &endpoint{settings: s, handle: handle}
	for _, port := range s.Ports {
		for _, existing := range h.servers {
			if existing.port == port && existing.address == s.Address && existing.identity == s.Identity {
				if err := existing.add(path, added); err != nil {
					return 0, nil, err
				}
				return existing.port, h.closer(existing, path), nil
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
		server := h.serve(l, port, &s)
		_ = server.add(path, added) // the first path cannot conflict
		return server.port, h.closer(server, path), nil
	}
	return 0, nil, fmt.Errorf("expected a free port for notifications among %v, found none: %s", s.Ports,
		strings.Join(reasons, "; "))
}

// closer returns a function that unregisters a path, and closes the server of the last one. Repeated calls do nothing.
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
			_ = s.http.Close() // senders retry interrupted requests
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

// serve adds a server and serves l in the background until the server is closed.
func (h *Hub) serve(l net.Listener, port int, s *Settings) *server {
	added := &server{hub: h, port: port, address: s.Address, identity: s.Identity,
		slots: make(chan struct{}, maxConcurrent), paths: map[string]*endpoint{}}
	added.http = &http.Server{
		Handler:           http.HandlerFunc(added.serveHTTP),
		ReadHeaderTimeout: readTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaders,
		TLSConfig:         s.TLS,
		ErrorLog:          slog.NewLogLogger(h.log().Handler(), slog.LevelDebug),
	}
	if s.TLS != nil {
		l = tls.NewListener(l, s.TLS)
	}
	h.servers = append(h.servers, added)
	h.log().Info("listening for notifications", "address", l.Addr().String(), "tls", s.TLS != nil)
	go func() {
		defer guard.Recover(h.log(), "the listener for notifications", nil)
		if err := added.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			h.log().Error("the listener for notifications has ended", "port", port, "error", err)
		}
	}()
	return added
}

func (s *server) add(path string, endpoint *endpoint) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.paths[path] != nil {
		return fmt.Errorf("another connector already accepts notifications under %s", path)
	}
	s.paths[path] = endpoint
	return nil
}

func (s *server) remove(path string) (remaining int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.paths, path)
	return len(s.paths)
}

// find returns the endpoint for a URL, nil if no endpoint is registered.
func (s *server) find(address *url.URL) *endpoint {
	first, _, _ := strings.Cut(strings.TrimPrefix(address.EscapedPath(), "/"), "/")
	first, _ = url.PathUnescape(first) // was parsed before
	s.mu.Lock()
	defer s.mu.Unlock()
	if exact := s.paths[address.Path]; exact != nil {
		return exact
	}
	return s.paths["/"+first+"/"]
}

func (s *server) serveHTTP(w http.ResponseWriter, r *http.Request) {
	defer guard.Recover(s.hub.log(), "a notification", nil, func(*guard.PanicError) {
		s.reject(w, r, nil, outcomeFailed, http.StatusInternalServerError, "")
	})
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	default:
		inbound.AnswerEarly(w, r, func() { s.retryLater(w, r, nil) })
		return
	}
	endpoint := s.find(r.URL)
	switch {
	case endpoint == nil:
		s.reject(w, r, nil, outcomeUnknownPath, http.StatusNotFound, "no subscription has this path")
		return
	case !endpoint.isAuthorized(r):
		w.Header().Set("WWW-Authenticate", `Basic realm="notifications", charset="UTF-8"`)
		s.reject(w, r, endpoint, outcomeUnauthorized, http.StatusUnauthorized, "wrong user or password")
		return
	case r.Method != http.MethodPost && r.Method != http.MethodPut:
		w.Header().Set("Allow", "POST, PUT")
		s.reject(w, r, endpoint, outcomeInvalid, http.StatusMethodNotAllowed, "expected POST")
		return
	}
	body, release, err := s.hub.bodies.Read(http.MaxBytesReader(w, r.Body, maxBody), maxTotalBodies)
	defer release()
	tooLarge := new(http.MaxBytesError)
	switch {
	case errors.Is(err, inbound.ErrFull):
		inbound.AnswerEarly(w, r, func() { s.retryLater(w, r, endpoint) })
		return
	case errors.As(err, &tooLarge):
		s.reject(w, r, endpoint, outcomeTooLarge, http.StatusRequestEntityTooLarge,
			fmt.Sprintf("expected at most %d bytes", maxBody))
		return
	case err != nil:
		s.reject(w, r, endpoint, outcomeInvalid, http.StatusBadRequest, "the body cannot be read")
		return
	}
	s.handle(w, r, endpoint, body)
}

func (s *server) handle(w http.ResponseWriter, r *http.Request, endpoint *endpoint, body []byte) {
	ctx, cancel := context.WithTimeout(r.Context(), handleTimeout)
	defer cancel()
	n := wit.Notification{Method: r.Method, Target: r.URL.RequestURI(), Body: body, Headers: []wit.Header{}}
	for name, values := range r.Header {
		switch name {
		case "Authorization", "Cookie", "Proxy-Authorization": // plugins get no secrets
			continue
		}
		for _, value := range values {
			n.Headers = append(n.Headers, wit.Header{Name: name, Value: value})
		}
	}
	err := endpoint.handle(ctx, n)
	pluginErr := new(wit.Error)
	switch {
	case err == nil:
		s.hub.counts[outcomeAccepted].Add(1)
		w.WriteHeader(http.StatusNoContent)
	case errors.Is(err, ErrBusy) || ctx.Err() != nil:
		s.retryLater(w, r, endpoint)
	case errors.As(err, &pluginErr) && pluginErr.Kind == wit.ErrorData:
		s.reject(w, r, endpoint, outcomeInvalid, http.StatusBadRequest, pluginErr.Message)
	case errors.As(err, &pluginErr) && pluginErr.Kind == wit.ErrorUnauthorized:
		s.reject(w, r, endpoint, outcomeUnauthorized, http.StatusUnauthorized, pluginErr.Message)
	case errors.As(err, &pluginErr) && pluginErr.Kind == wit.ErrorNotFound:
		s.reject(w, r, endpoint, outcomeUnknownPath, http.StatusNotFound, pluginErr.Message)
	default:
		s.hub.log().Error("a notification could not be handled", "path", r.URL.EscapedPath(), "error", err)
		s.reject(w, r, endpoint, outcomeFailed, http.StatusInternalServerError, "")
	}
}

// isAuthorized compares user and password in constant time.
func (e *endpoint) isAuthorized(r *http.Request) bool {
	if e.settings.User == "" {
		return true
	}
	user, password, _ := r.BasicAuth()
	compare := func(a, b string) int {
		digestA := sha256.Sum256([]byte(a))
		digestB := sha256.Sum256([]byte(b))
		return subtle.ConstantTimeCompare(digestA[:], digestB[:])
	}
	return compare(user, e.settings.User)&compare(password, e.settings.Password) == 1
}

func (s *server) retryLater(w http.ResponseWriter, r *http.Request, endpoint *endpoint) {
	w.Header().Set("Retry-After", "10")
	s.reject(w, r, endpoint, outcomeBusy, http.StatusServiceUnavailable, "send it again")
}

// reject counts, logs and sends a response. endpoint is nil if the path is unknown or was not looked up.
func (s *server) reject(w http.ResponseWriter, r *http.Request, endpoint *endpoint, outcome, status int, cause string) {
	s.hub.counts[outcome].Add(1)
	if s.shouldLog(endpoint, outcome) {
		path := r.URL.EscapedPath()
		s.hub.log().Warn("a notification was rejected", "path", path[:min(len(path), 200)], "from", r.RemoteAddr,
			"status", status, "reason", cause)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, cause)
}

// shouldLog limits log lines to one for each endpoint and outcome in logInterval. endpoint may be nil.
func (s *server) shouldLog(endpoint *endpoint, outcome int) bool {
	if endpoint == nil {
		endpoint = &s.unknown
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); now.Sub(endpoint.lastLogged[outcome]) > logInterval {
		endpoint.lastLogged[outcome] = now
		return true
	}
	return false
}
