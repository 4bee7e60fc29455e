package rest

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/culvert-project/culvert/internal/base/inbound"
)

// Server is the HTTP server of a worker's REST API. It has a goroutine for each listener, which Close ends.
type Server struct {
	http         http.Server
	options      Options
	log          *slog.Logger
	listeners    []listener
	users        *users
	headers      []header
	workerClient *http.Client
	bodies       inbound.Bodies // the memory budget of all listeners
	held         heldAnswers    // of all listeners
	seen         seenWorkers
}

type listener struct {
	net.Listener
	isHTTPS bool
	isAdmin bool // it serves only /admin
}

// Listen opens the listeners. Errors name the setting. No request is answered before Serve is called.
func Listen(o Options, log *slog.Logger) (*Server, error) {
	s := newServer(o, log)
	tlsConfig, err := s.loadOptions(log)
	if err != nil {
		return nil, err
	}
	err = s.open("listeners", o.Listeners, tlsConfig)
	if err == nil && o.SeparateAdmin {
		err = s.open(adminListeners, o.Admin, tlsConfig)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

const adminListeners = "admin.listeners"

// open adds the listeners of a setting.
func (s *Server) open(setting string, urls []string, tlsConfig *tls.Config) error {
	for _, l := range urls {
		address, isHTTPS, err := listenAddress(setting, l)
		if err != nil {
			return err
		}
		netListener, err := inbound.Listen(address)
		if err != nil {
			return fmt.Errorf("%s: REST cannot listen on %s: %w (for another port: culvert run --set "+
				"%s=http://127.0.0.1:8084, or the worker's file; for no REST: --set %s=)", setting, l, err, setting,
				setting)
		}
		if isHTTPS {
			netListener = tls.NewListener(netListener, tlsConfig)
		}
		s.listeners = append(s.listeners, listener{Listener: netListener, isHTTPS: isHTTPS,
			isAdmin: setting == adminListeners})
	}
	return nil
}

func newServer(o Options, log *slog.Logger) *Server {
	if len(o.Methods) == 0 { // as in Kafka Connect
		o.Methods = []string{"GET", "POST", "HEAD"}
	}
	s := &Server{options: o, log: log}
	s.http.ReadHeaderTimeout = headerTimeout
	s.http.IdleTimeout = idleTimeout
	s.http.WriteTimeout = answerTimeout
	s.http.MaxHeaderBytes = maxHeaderBytes
	s.http.DisableGeneralOptionsHandler = true // OPTIONS * is 404, as in Kafka Connect
	s.http.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	s.http.BaseContext = withListener
	return s
}

// Limits of a request's header, of the pause between requests, and of a response, which covers the longest change.
const (
	headerTimeout  = 10 * time.Second
	idleTimeout    = 2 * time.Minute
	answerTimeout  = 5 * time.Minute
	maxHeaderBytes = 64 << 10
)

// Check returns the error that [Listen] would return, without listening. It reads files.
func (o Options) Check() error {
	_, err := (&Server{options: o}).loadOptions(slog.New(slog.DiscardHandler))
	return err
}

// loadOptions checks the options and loads their files. tlsConfig is nil without https listeners.
func (s *Server) loadOptions(log *slog.Logger) (tlsConfig *tls.Config, err error) {
	o := s.options
	if err := o.validate(); err != nil {
		return nil, err
	}
	if s.headers, err = parseHeaders(o.Headers); err != nil {
		return nil, err
	}
	if o.Users != "" {
		if s.users, err = readUsers(o.Users, log); err != nil {
			return nil, invalid("rest.basic.auth.file", o.Users, err.Error())
		}
	}
	if !o.cluster().Membership().IsStandalone {
		if s.workerClient, err = NewWorkerClient(o.TLS, log); err != nil {
			return nil, err
		}
	}
	if slices.ContainsFunc(slices.Concat(o.Listeners, o.Admin), func(l string) bool {
		return strings.HasPrefix(l, "https://")
	}) {
		tlsConfig, err = serverTLS(o.TLS, log)
	}
	return tlsConfig, err
}

func (o Options) validate() error {
	for _, l := range o.Listeners {
		if _, _, err := listenAddress("listeners", l); err != nil {
			return err
		}
	}
	for _, l := range o.Admin {
		if _, _, err := listenAddress(adminListeners, l); err != nil {
			return err
		}
	}
	for _, origin := range o.Origins {
		if u, err := url.Parse(origin); origin != "*" && (err != nil || u.Scheme == "" || u.Host == "" ||
			u.Path != "") {
			return invalid("access.control.allow.origin", origin,
				"expected origins such as https://ui.example.com, or *")
		}
	}
	for _, name := range o.AllowedHosts {
		if strings.ContainsAny(name, "/@*?# \t") {
			return invalid("rest.allowed.hosts", name,
				"expected names or addresses as in a URL, such as connect.example.com")
		}
	}
	return nil
}

// Unprotected returns the addresses of listeners that other machines can reach without a Host check or a logon.
func (s *Server) Unprotected() []string {
	var addresses []string
	for _, l := range s.listeners {
		if !isLoopback(l) && len(s.options.AllowedHosts) == 0 && s.users == nil {
			addresses = append(addresses, l.Addr().String())
		}
	}
	return addresses
}

func listenAddress(setting, l string) (address string, isHTTPS bool, err error) {
	const expected = "expected http://HOST:PORT or https://HOST:PORT"
	u, err := url.Parse(l)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Port() == "" || (u.Path != "" && u.Path != "/") {
		return "", false, invalid(setting, l, expected)
	}
	return u.Host, u.Scheme == "https", nil
}

// Serve starts to answer requests for the worker.
func (s *Server) Serve(w Worker) {
	guard := &hostGuard{anonymous: s.users == nil, advertised: normalizeHost(s.options.Advertise.Host), log: s.log,
		hostnames: (&hostnames{hostname: os.Hostname, canonical: net.DefaultResolver.LookupCNAME}).names}
	shared := common{worker: w, bodies: &s.bodies, held: &s.held, validations: make(chan struct{}, maxValidations),
		masked: s.options.Masked, records: s.options.Records, requiresLogon: s.users != nil,
		cluster: s.options.cluster(), seen: &s.seen, workerClient: s.workerClient}
	chain := func(next http.Handler) http.Handler { // the last of these handlers sees a request first
		next = rejectChanges(logChanges(next, s.log, s.users != nil), s.options.ReadOnly)
		next = requireUser(s.withPages(next, shared), s.users)
		return addHeaders(checkHost(allowOrigins(next, s.options.Origins, s.options.Methods), &s.options, guard),
			s.headers)
	}
	// Calls of other workers are signed: the restrictions of users do not apply.
	callShared := common{worker: w, bodies: &s.bodies, held: &s.held, cluster: s.options.cluster()}
	main := chain(shared.handler(func(path string) bool { return !s.options.SeparateAdmin || !isAdmin(path) }))
	admin := chain(shared.handler(func(path string) bool { return path == "/" || isAdmin(path) }))
	s.http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w = &pacedWriter{ResponseWriter: w, deadline: time.Now().Add(answerTimeout)}
		if r.Body != http.NoBody { // even if no handler reads it: the server skips it to find the next request
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
		}
		if acceptedOn, _ := r.Context().Value(listenerKey{}).(listener); acceptedOn.isAdmin {
			admin.ServeHTTP(w, r)
			return
		}
		if !s.options.Session.serve(w, r, callShared) {
			main.ServeHTTP(w, r)
		}
	})
	for _, l := range s.listeners {
		go s.http.Serve(l)
	}
}

// Addresses returns host:port of the listeners, with real ports, except listeners that serve only /admin.
func (s *Server) Addresses() (addresses []string) {
	for _, l := range s.listeners {
		if !l.isAdmin {
			addresses = append(addresses, l.Addr().String())
		}
	}
	return addresses
}

// URLs returns the URLs of all listeners; listeners that serve only /admin come last.
func (s *Server) URLs() (urls []string) {
	for _, l := range s.listeners {
		scheme := "http"
		if l.isHTTPS {
			scheme = "https"
		}
		urls = append(urls, scheme+"://"+l.Addr().String())
	}
	return urls
}

// Advertised returns the URL by which other workers reach this one.
func (s *Server) Advertised() string { return s.options.Advertised(s.URLs()[:len(s.Addresses())]) }

// Close closes listeners and connections immediately.
func (s *Server) Close() error {
	err := s.http.Close()
	for _, l := range s.listeners {
		l.Close() // before Serve, http does not know them
	}
	return err
}
