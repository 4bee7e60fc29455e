// Package rest answers Kafka Connect's REST API. Statuses, bodies and error texts are those that a real worker
// was recorded to give, because tools depend on them.
package rest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/culvert-project/culvert/host/check"
	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/internal/offset"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

// Worker is whose state is shown.
type Worker interface {
	// Root is what GET / shows.
	Root() Root
	// Ready returns nil once start-up is completed; the error says what the worker is doing.
	Ready(context.Context) error
	// Names of all connectors.
	Names() []string
	Info(name string) (connect.Info, bool)
	Status(name string) (connect.Status, bool)
	Tasks(name string) ([]connect.TaskInfo, bool)
	// Plugins in the order in which they are shown; connectorsOnly leaves all others out.
	Plugins(connectorsOnly bool) []connect.Plugin
	// Validate checks a configuration for a plugin, see [check.Checker.Validate].
	Validate(ctx context.Context, class string, settings map[string]string) (*check.Validation, error)
	// Create, Put, Patch and Delete change connectors for good; errors are as of Pause.
	Create(ctx context.Context, name string, settings map[string]string, target connect.Target) (connect.Info, error)
	Put(ctx context.Context, name string, settings map[string]string) (info connect.Info, created bool, err error)
	Patch(ctx context.Context, name string, set map[string]string, out []string) (connect.Info, error)
	Delete(ctx context.Context, name string) error
	// Pause, Resume, Stop and Restart return when it is noted; status shows what came of it. The error is or wraps a
	// [Refusal] or
	// [connect.ErrUnknownConnector].
	Pause(name string) error
	Resume(name string) error
	Stop(name string) error
	Restart(name string) error
	// Offsets, AlterOffsets and ResetOffsets are those of [connect.Herder]. Errors are as of Pause, and those that are
	// told there.
	Offsets(ctx context.Context, name string) ([]offset.Entry, error)
	AlterOffsets(ctx context.Context, name string, entries []offset.Entry) error
	ResetOffsets(ctx context.Context, name string) error
	// Topics are those that a connector's records have gone to or come from, ResetTopics forgets them. Errors are
	// [connect.ErrUnknownConnector], or an [ErrTopics].
	Topics(name string) ([]string, error)
	ResetTopics(name string) error
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
	listeners []net.Listener
	addresses []string
	allowed   []string
}

// Options say where REST listens and by which names it is called.
type Options struct {
	// Listeners are given as http://HOST:PORT; no host means all addresses.
	Listeners []string
	// AllowedHosts are names and addresses that requests may name as their Host, besides those of the loopback
	// interface. Without any, Host is checked on loopback listeners alone.
	AllowedHosts []string
}

// Listen opens the listeners. Errors name the setting. Nothing is answered before Serve.
func Listen(o Options, log *slog.Logger) (*Server, error) {
	s := &Server{allowed: o.AllowedHosts}
	s.http.ReadHeaderTimeout = 10 * time.Second
	s.http.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	s.http.BaseContext = listenedBy
	if err := o.Check(); err != nil {
		return nil, err
	}
	for _, l := range o.Listeners {
		address, err := listenAddress(l)
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		listener, err := net.Listen("tcp", address)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("listeners: REST cannot listen on %s: %w (another port: "+
				"listeners=http://:8084; none: listeners=)", l, err), s.Close())
		}
		s.listeners = append(s.listeners, listener)
		s.addresses = append(s.addresses, listener.Addr().String())
	}
	return s, nil
}

// Check finds what [Listen] would refuse without opening anything.
func (o Options) Check() error {
	for _, l := range o.Listeners {
		if _, err := listenAddress(l); err != nil {
			return err
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

// Open are the addresses of listeners that others than this machine reach and that check no Host.
func (s *Server) Open() []string {
	var open []string
	for i, l := range s.listeners {
		if !alone(l) && len(s.allowed) == 0 {
			open = append(open, s.addresses[i])
		}
	}
	return open
}

func invalid(name, value, why string) error {
	return setting.Problem{Setting: name, Code: setting.CodeInvalid, Text: setting.Invalid(name, value, why)}
}

func listenAddress(l string) (string, error) {
	u, err := url.Parse(l)
	switch {
	case err != nil:
		return "", invalid("listeners", l, "expected http://HOST:PORT")
	case u.Scheme == "https":
		return "", setting.Problem{Setting: "listeners", Code: setting.CodeNotBuilt,
			Text: fmt.Sprintf("https is not built yet: expected http://HOST:PORT, found %q", l)}
	case u.Scheme != "http" || u.Port() == "" || (u.Path != "" && u.Path != "/"):
		return "", invalid("listeners", l, "expected http://HOST:PORT")
	}
	return u.Host, nil
}

// Serve begins to answer for the worker.
func (s *Server) Serve(w Worker) {
	s.http.Handler = guarded(Handler(w), s.allowed)
	for _, l := range s.listeners {
		go s.http.Serve(l)
	}
}

// Addresses are host:port of each listener, with the ports that port 0 came to.
func (s *Server) Addresses() []string { return s.addresses }

// Close stops listening at once.
func (s *Server) Close() error {
	err := s.http.Close()
	for _, l := range s.listeners {
		l.Close() // those that Serve was not called for
	}
	return err
}
