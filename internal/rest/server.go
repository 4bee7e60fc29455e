package rest

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/culvert-project/culvert/internal/base/inbound"
)

// Server listens and answers; it has a goroutine for each listener, which Close ends.
type Server struct {
	http         http.Server
	options      Options
	log          *slog.Logger
	listeners    []listener
	users        *users
	headers      []header
	workerClient *http.Client
	bodies       inbound.Bodies // of all listeners
}

type listener struct {
	net.Listener
	secure, admin bool
}

// Listen opens the listeners. Errors name the setting. Nothing is answered before Serve.
func Listen(o Options, log *slog.Logger) (*Server, error) {
	s := newServer(o, log)
	secure, err := s.loadOptions(log)
	if err != nil {
		return nil, err
	}
	open := func(setting string, urls []string, admin bool) error {
		for _, l := range urls {
			address, https, err := listenAddress(setting, l)
			if err != nil {
				return err
			}
			opened, err := inbound.Listen(address)
			if err != nil {
				return fmt.Errorf("%s: REST cannot listen on %s: %w (another port: %s=http://:8084; none: %s=)",
					setting, l, err, setting, setting)
			}
			if https {
				opened = tls.NewListener(opened, secure)
			}
			s.listeners = append(s.listeners, listener{opened, https, admin})
		}
		return nil
	}
	if err = open("listeners", o.Listeners, false); err == nil && o.SeparateAdmin {
		err = open("admin.listeners", o.Admin, true)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func newServer(o Options, log *slog.Logger) *Server {
	if len(o.Methods) == 0 { // as in Kafka Connect
		o.Methods = []string{"GET", "POST", "HEAD"}
	}
	s := &Server{options: o, log: log}
	s.http.ReadHeaderTimeout, s.http.IdleTimeout, s.http.WriteTimeout = headerTimeout, idleTimeout, answerTimeout
	s.http.MaxHeaderBytes = maxHeaderBytes
	s.http.DisableGeneralOptionsHandler = true // OPTIONS * is answered as by Kafka Connect: there is no such resource
	s.http.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	s.http.BaseContext = withListener
	return s
}

// How long a client may take to send the head of a request, to send another one, and to have an answer, which is more
// than any change takes; and how large the head may be.
const (
	headerTimeout  = 10 * time.Second
	idleTimeout    = 2 * time.Minute
	answerTimeout  = 5 * time.Minute
	maxHeaderBytes = 64 << 10
)

// secure reports whether a listener takes TLS.
func (o Options) secure() bool {
	return slices.ContainsFunc(slices.Concat(o.Listeners, o.Admin), func(l string) bool {
		return strings.HasPrefix(l, "https://")
	})
}

// Check finds what [Listen] would refuse without listening anywhere. Files are read.
func (o Options) Check() error {
	_, err := (&Server{options: o}).loadOptions(slog.New(slog.DiscardHandler))
	return err
}

func (s *Server) loadOptions(log *slog.Logger) (secure *tls.Config, err error) {
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
	if o.Cluster != nil {
		if s.workerClient, err = newWorkerClient(o.TLS, log); err != nil {
			return nil, err
		}
	}
	if o.secure() {
		secure, err = serverTLS(o.TLS, log)
	}
	return secure, err
}

func (o Options) validate() error {
	for _, l := range o.Listeners {
		if _, _, err := listenAddress("listeners", l); err != nil {
			return err
		}
	}
	for _, l := range o.Admin {
		if _, _, err := listenAddress("admin.listeners", l); err != nil {
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
				"expected names or addresses as they stand in a URL, such as connect.example.com")
		}
	}
	return nil
}

// Unprotected are the addresses of listeners that others than this machine reach, that check no Host, and where nobody
// needs a logon.
func (s *Server) Unprotected() []string {
	var open []string
	for _, l := range s.listeners {
		if !isLoopback(l) && len(s.options.AllowedHosts) == 0 && s.users == nil {
			open = append(open, l.Addr().String())
		}
	}
	return open
}

func listenAddress(setting, l string) (address string, secure bool, err error) {
	const expected = "expected http://HOST:PORT or https://HOST:PORT"
	u, err := url.Parse(l)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Port() == "" || (u.Path != "" && u.Path != "/") {
		return "", false, invalid(setting, l, expected)
	}
	return u.Host, u.Scheme == "https", nil
}

// Serve begins to answer for the worker.
func (s *Server) Serve(w Worker) {
	guard := newHostGuard(&s.options, s.users == nil, s.log)
	chain := func(next http.Handler) http.Handler {
		next = rejectChanges(logChanges(next, s.log, s.users != nil), s.options.ReadOnly)
		next = requireUser(s.withPages(next), s.users)
		return addHeaders(checkHost(allowOrigins(next, s.options.Origins, s.options.Methods), &s.options, guard),
			s.headers)
	}
	shared := common{worker: w, bodies: &s.bodies, validations: make(chan struct{}, maxValidations),
		masked:  s.options.Masked,
		records: s.options.Records, requiresLogon: s.users != nil, cluster: s.options.Cluster,
		workerClient: s.workerClient}
	callShared := common{worker: w, bodies: &s.bodies, cluster: s.options.Cluster}
	main := chain(shared.handler(func(path string) bool { return !s.options.SeparateAdmin || !isAdmin(path) }))
	admin := chain(shared.handler(func(path string) bool { return path == "/" || isAdmin(path) }))
	s.http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != http.NoBody { // also where nobody reads it: the server looks for the next request after it
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
		}
		if acceptedOn, _ := r.Context().Value(listenerKey{}).(listener); acceptedOn.admin {
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

// Addresses are host:port of each listener but those of /admin alone, with the ports that port 0 came to.
func (s *Server) Addresses() (addresses []string) {
	for _, l := range s.listeners {
		if !l.admin {
			addresses = append(addresses, l.Addr().String())
		}
	}
	return addresses
}

// URLs are where each listener is, those of /admin alone last.
func (s *Server) URLs() (urls []string) {
	for _, l := range s.listeners {
		scheme := "http"
		if l.secure {
			scheme = "https"
		}
		urls = append(urls, scheme+"://"+l.Addr().String())
	}
	return urls
}

// Advertised is the URL by which others reach this worker; listeners of /admin alone do not count.
func (s *Server) Advertised() string { return s.options.Advertised(s.URLs()[:len(s.Addresses())]) }

// Close stops listening at once.
func (s *Server) Close() error {
	err := s.http.Close()
	for _, l := range s.listeners {
		l.Close() // those that Serve was not called for
	}
	return err
}
