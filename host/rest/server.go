package rest

import (
	"context"
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

	"github.com/prometheus/client_golang/prometheus"

	"github.com/culvert-project/culvert/host/check"
	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/internal/base/inbound"
	"github.com/culvert-project/culvert/host/internal/run/offset"
	"github.com/culvert-project/culvert/host/logging"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/transport/lockouts"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

// Worker is whose state is shown and changed. Errors are or wrap a [Refusal] or [connect.ErrUnknownConnector].
type Worker interface {
	// Root is what GET / shows.
	Root() Root
	// Ready returns nil once start-up is completed; the error says what the worker is doing.
	Ready(context.Context) error
	// Known returns nil once the herder is there and has all connectors; until then no answer is to say that there are
	// none.
	Known() error
	// Herder has the connectors; nil while the worker starts.
	Herder() Herder
	// Steered returns nil where connectors may be steered.
	Steered() error
	// Aim gives a connector a target state, and keeps it.
	Aim(name string, target connect.TargetState) error
	// Parts are the other parts of the worker.
	Parts() Parts
	// Strike leaves out of a text what must not be shown.
	Strike(text string) string
	// Passwords tells which settings have values that are not shown where configurations are masked.
	Passwords() func(setting string) bool
	// Validate checks a configuration for a plugin, see [check.Checker.Validate]. logon: its sender says that the
	// secret in it is right, so that the check may log on with it.
	Validate(ctx context.Context, class string, settings map[string]string, logon bool) (*check.Validation, error)
	// Definitions are what a class declares, see [check.Checker.Definitions].
	Definitions(ctx context.Context, class string, version *string) ([]check.Definition, error)
	// Create, Put, Patch and Delete change connectors for good. Settings that are null are refused, each with
	// [NullValue] in addition to what else is wrong; in a Patch they are taken out.
	Create(ctx context.Context, name string, settings map[string]string, null []string,
		target connect.TargetState) (connect.Info, error)
	Put(ctx context.Context, name string, settings map[string]string, null []string) (info connect.Info, created bool,
		err error)
	Patch(ctx context.Context, name string, set map[string]string, out []string) (connect.Info, error)
	Delete(ctx context.Context, name string) error
	// TracksTopics tells whether it may be shown which topics a connector has used, and whether that may be forgotten.
	TracksTopics() (tracks, resets bool)
	// Reload is what became of the folder of connectors; false: the worker follows none. LookAgain has it read again,
	// Changes are what that would do at the moment.
	Reload() (Reload, bool)
	LookAgain()
	Changes(ctx context.Context) ([]Change, error)
	// Metrics are what GET /metrics shows.
	Metrics() prometheus.Gatherer
}

// Herder is [connect.Herder], as far as REST needs it.
type Herder interface {
	Names() []string
	Info(name string) (connect.Info, error)
	Status(name string) (connect.Status, error)
	Tasks(name string) ([]connect.TaskInfo, error)
	Plugins(connectorsOnly bool) []connect.Plugin
	FiguresOf(name string) (connect.Figures, error)
	Restart(name string) error
	RestartTask(name string, task int) error
	Offsets(ctx context.Context, name string) ([]offset.Entry, error)
	AlterOffsets(ctx context.Context, name string, entries []offset.Entry) error
	ResetOffsets(ctx context.Context, name string) error
	Topics(name string) ([]string, error)
	ResetTopics(name string) error
	Retire(ctx context.Context, name string) (string, error)
	Snapshot(name, feed, ident string) error
	LettersOf(ctx context.Context, name string, last int64, each func(*connect.DeadLetter) error) (string, error)
	ReplayOf(ctx context.Context, name string, r connect.Replay) (connect.Replayed, error)
}

// Parts are those of a worker that REST asks itself. Plugins is nil while they are loaded.
type Parts struct {
	Plugins  *plugin.Manager
	Lockouts *lockouts.Store
	Levels   *logging.Levels
	Log      *slog.Logger
}

// Root names version and cluster. Version begins as Kafka's does, because tools read it.
type Root struct {
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Cluster string `json:"kafka_cluster_id"`
}

// Server listens and answers; it has a goroutine for each listener, which Close ends.
type Server struct {
	http      http.Server
	options   Options
	log       *slog.Logger
	listeners []listener
	users     *users
	headers   []header
}

type listener struct {
	net.Listener
	secure, admin bool
}

// Options say where REST listens, who may use it, and by which names it is called.
type Options struct {
	// Listeners are given as http://HOST:PORT or https://HOST:PORT; no host means all addresses.
	Listeners []string
	// Admin are those of /admin, in the same form; with Apart and none it is nowhere, without Apart on Listeners.
	Admin []string
	Apart bool
	// TLS are the settings below listeners.https., for listeners of https.
	TLS map[string]string
	// AllowedHosts are names and addresses that requests may name as their Host, besides those of the loopback
	// interface. Without any, Host is checked on loopback listeners alone, and on others a name that is neither this
	// machine's nor of a network of its own sees no passwords and changes nothing while there are no Users.
	AllowedHosts []string
	// AdvertisedHost is the name by which others reach this worker, "" where it is not known.
	AdvertisedHost string
	// Masked has configurations shown without passwords.
	Masked bool
	// Users is a file of those who may use REST, "" for everybody.
	Users string
	// ReadOnly refuses whatever changes something.
	ReadOnly bool
	// Origins and Methods are what pages of other origins may do in a browser. Without origins nothing, without methods
	// GET, POST and HEAD.
	Origins, Methods []string
	// Headers are put to each answer, see [parseHeaders].
	Headers string
}

// Listen opens the listeners. Errors name the setting. Nothing is answered before Serve.
func Listen(o Options, log *slog.Logger) (*Server, error) {
	s := newServer(o, log)
	secure, err := s.read(log)
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
	if err = open("listeners", o.Listeners, false); err == nil && o.Apart {
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
	s.http.MaxHeaderBytes = headerBytes
	s.http.DisableGeneralOptionsHandler = true // OPTIONS * is answered as by Kafka Connect: there is no such resource
	s.http.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	s.http.BaseContext = listenedBy
	return s
}

// How long a client may take to send the head of a request, to send another one, and to have an answer, which is more
// than any change takes; and how large the head may be.
const (
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	answerTimeout = 5 * time.Minute
	headerBytes   = 64 << 10
)

// secure tells whether a listener takes TLS.
func (o Options) secure() bool {
	return slices.ContainsFunc(slices.Concat(o.Listeners, o.Admin), func(l string) bool {
		return strings.HasPrefix(l, "https://")
	})
}

// Check finds what [Listen] would refuse without listening anywhere. Files are read.
func (o Options) Check() error {
	_, err := (&Server{options: o}).read(slog.New(slog.DiscardHandler))
	return err
}

// read takes the options in, and the files that they name.
func (s *Server) read(log *slog.Logger) (secure *tls.Config, err error) {
	o := s.options
	if err := o.words(); err != nil {
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
	if o.secure() {
		secure, err = serverTLS(o.TLS, log)
	}
	return secure, err
}

// words finds what is wrong with the options themselves.
func (o Options) words() error {
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

// Open are the addresses of listeners that others than this machine reach, that check no Host, and where nobody needs a
// logon.
func (s *Server) Open() []string {
	var open []string
	for _, l := range s.listeners {
		if !alone(l) && len(s.options.AllowedHosts) == 0 && s.users == nil {
			open = append(open, l.Addr().String())
		}
	}
	return open
}

func invalid(name, value, why string) error {
	return setting.Problem{Setting: name, Code: setting.CodeInvalid, Text: setting.Invalid(name, value, why)}
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
	others := newOthers(&s.options, s.users == nil, s.log)
	chain := func(next http.Handler) http.Handler {
		next = known(reading(logged(next, s.log, s.users != nil), s.options.ReadOnly), s.users)
		return headed(guarded(crossing(next, s.options.Origins, s.options.Methods), &s.options, others), s.headers)
	}
	all := serving{worker: w, bodies: new(inbound.Bodies), masked: s.options.Masked}
	main := chain(all.handler(func(path string) bool { return !s.options.Apart || !isAdmin(path) }))
	admin := chain(all.handler(func(path string) bool { return path == "/" || isAdmin(path) }))
	s.http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != http.NoBody { // also where nobody reads it: the server looks for the next request after it
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
		}
		if by, _ := r.Context().Value(listenerKey{}).(listener); by.admin {
			admin.ServeHTTP(w, r)
			return
		}
		main.ServeHTTP(w, r)
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

// Close stops listening at once.
func (s *Server) Close() error {
	err := s.http.Close()
	for _, l := range s.listeners {
		l.Close() // those that Serve was not called for
	}
	return err
}
