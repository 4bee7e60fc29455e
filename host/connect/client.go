package connect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/transport"
	"github.com/culvert-project/culvert/wit"
)

// builtRoles are those that the host acts on. A role that ends in a dot stands for all below it.
var builtRoles = []string{"http.scheme", "http.address", "http.port", "http.user", "http.password", "http.connect-timeout-ms",
	"http.read-timeout-ms", "http.header.", "http.query.", "http.login.", "http.origins", "http.client-in", "http.auth", "http.oauth.", "http.proxy.", "http.destination", "http.max-concurrent",
	"http.max-connections", "http.requests-per-second", "http.maintenance-windows", "http.logoff-path", "tls.", "retry.", roleTopic}

// service is where the client of a connector gets its settings from: from the connector, secrets behind references included, and from
// the destination of BTP that it names. Safe for use by several goroutines.
type service struct {
	component wit.Component
	providers *config.Providers
	lockouts  *transport.Lockouts
	log       *slog.Logger
	target    *target // nil without a destination of BTP
	once      bool    // see Tool.Once
	rereads   time.Duration

	// changed: a file may have changed since it was read.
	changed atomic.Bool

	// version counts changes; told is closed and made anew with each.
	version atomic.Int64

	mu        sync.Mutex
	connector *config.Connector // as it was read last
	adopted   *config.Connector // other settings, to be taken with the next look
	stamp     string            // of the files that are read by the path that a setting gives
	told      chan struct{}
}

// newService reads what a connector says about its service; it sends nothing.
func newService(component wit.Component, c *config.Connector, p *config.Providers, lockouts *transport.Lockouts, log *slog.Logger) (*service, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &service{component: component, providers: p, lockouts: lockouts, log: log, connector: c, told: make(chan struct{}), rereads: time.Minute}
	roles := s.roles()
	s.stamp = config.Stamp(pathsOf(roles)...)
	var err error
	if roles.Has("http.destination") {
		s.target, err = newTarget(roles, log)
	}
	return s, err
}

func (s *service) roles() config.Roles {
	return config.NewRoles(config.DeclareComponent(s.component), s.connector)
}

// check finds what is wrong with the settings without sending anything. What only a destination of BTP says is not known then.
func (s *service) check() error {
	roles := s.roles()
	if s.target != nil {
		_, err := transport.ConfigOf(s.target.assumed(roles), s.surroundings())
		return err
	}
	client, err := s.open(context.Background())
	if err == nil {
		client.Close()
	}
	return err
}

// open makes the client. It sends nothing but questions to the destination service.
func (s *service) open(ctx context.Context) (*transport.Client, error) {
	if s.target != nil {
		if _, err := s.target.find(ctx); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.config()
	if err != nil {
		return nil, err
	}
	return transport.New(c)
}

func (s *service) surroundings() transport.Surroundings {
	return transport.Surroundings{VCAP: os.Getenv(vcapServices), Logger: s.log, Lockouts: s.lockouts}
}

// config is what the settings come to now; s.mu is held.
func (s *service) config() (transport.Config, error) {
	roles, around := s.roles(), s.surroundings()
	var c transport.Config
	var err error
	if s.target != nil {
		c, err = s.target.config(roles, around)
	} else {
		c, err = transport.ConfigOf(roles, around)
	}
	c.Refresh = s.refresh
	if s.once {
		c.Retry.Max, c.Route.Outage = new(int), 0
	}
	return c, err
}

// adopt has the client go on with other settings of the connector. It sends nothing where there is no destination of BTP.
func (s *service) adopt(client *transport.Client, c *config.Connector) {
	s.mu.Lock()
	s.adopted = c
	s.mu.Unlock()
	s.changed.Store(true)
	go func() { // who asks for settings waits for one another, and a destination may be slow to answer
		defer guard.Recover(s.log, "settings of a service", nil)
		if err := client.Refresh(context.Background()); err != nil {
			s.log.Warn("settings of the service", "error", err)
		}
	}()
}

// refresh is asked before each request; after a refusal it looks at the files, and at the destination, in any case.
func (s *service) refresh(ctx context.Context, refused bool) (*transport.Config, error) {
	moved := false
	if s.target != nil {
		if refused {
			s.target.destinations.Forget(s.target.name)
		}
		var err error
		if moved, err = s.target.find(ctx); err != nil {
			return nil, err
		}
	}
	if !refused && !moved && !s.changed.Load() {
		return nil, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed.Store(false)
	if !s.read() && !moved {
		return nil, nil
	}
	c, err := s.config()
	if err != nil { // half of a change, maybe: the rest comes with the next one
		s.log.Error("changed settings of the service can't be used, those before are kept", "error", err)
		return nil, nil
	}
	s.log.Info("settings of the service have changed: going on with the new ones")
	s.version.Add(1)
	close(s.told)
	s.told = make(chan struct{})
	return &c, nil
}

// read reads secrets anew; it tells whether any is another one. s.mu is held.
func (s *service) read() bool {
	if s.adopted != nil {
		s.connector, s.adopted = s.adopted, nil
		s.stamp = config.Stamp(pathsOf(s.roles())...)
		return true
	}
	again, err := s.connector.Again(s.providers)
	if err != nil {
		s.log.Error("secrets can't be read, those before are kept", "error", err)
		return false
	}
	differing := s.connector.Differing(again)
	d := config.DeclareComponent(s.component)
	mine := slices.DeleteFunc(slices.Clone(differing), func(key string) bool { return !concernsService(d, key) })
	if len(mine) < len(differing) {
		s.log.Warn("changed behind a reference, which holds when the connector starts again", "settings", differing)
	}
	s.connector = again
	stamp := config.Stamp(pathsOf(s.roles())...)
	other := stamp != s.stamp
	s.stamp = stamp
	return len(mine) > 0 || other
}

func concernsService(d *config.Declarations, key string) bool {
	spec, ok := d.Find(key)
	role := spec.Role()
	return ok && (strings.HasPrefix(role, "http.") || strings.HasPrefix(role, "tls.") || strings.HasPrefix(role, "retry."))
}

// pathRoles are settings whose value is the path of a file.
var pathRoles = []string{"tls.keystore.location", "tls.truststore.location", "http.proxy.service-key", "http.proxy.token-certificate", "http.proxy.token-key"}

func pathsOf(roles config.Roles) []string {
	var paths []string
	for _, role := range pathRoles {
		if path := roles.Text(role); path != "" {
			paths = append(paths, path)
		}
	}
	return paths
}

// watch follows what stands behind the settings, for a client. close ends it.
func (s *service) watch(client *transport.Client) (close func()) {
	files := append(s.providers.Files(s.connector), pathsOf(s.roles())...)
	if strings.EqualFold(s.connector.Text("config.action.reload"), "none") || len(files) == 0 && s.target == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := config.Watch(files, s.log, func() {
		s.changed.Store(true)
		if err := client.Refresh(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("settings of the service", "error", err)
		}
	})
	return func() { cancel(); w.Close() }
}

// reread looks again and again, while ctx lasts, whether the destination is another one: nobody else does where no task makes requests.
// Where the destination service was refused itself, nothing is asked again: each question would show the same secret once more (P10).
func (s *service) reread(ctx context.Context, client *transport.Client) {
	ticker := time.NewTicker(s.rereads)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			var refused *wit.Fault // what else is wrong is known: a task has failed by it
			if err := client.Refresh(ctx); errors.As(err, &refused) && refused.Kind == wit.FaultUnauthorized {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// other waits until the settings are others than those of a version; false: ctx has ended.
func (s *service) other(ctx context.Context, version int64) bool {
	for {
		s.mu.Lock()
		told := s.told
		s.mu.Unlock()
		if s.version.Load() != version {
			return true
		}
		select {
		case <-told:
		case <-ctx.Done():
			return false
		}
	}
}

// notBuilt are the problems of settings whose role the host does not act on yet: passing them over in silence could lose data or
// send secrets in the clear.
func notBuilt(c *config.Connector, d *config.Declarations, found config.Problems) config.Problems {
	var problems config.Problems
	for _, e := range c.Entries {
		spec, ok := d.Find(e.Key)
		if !ok || spec.Role() == "" || strings.TrimSpace(e.Value) == "" || built(spec.Role()) {
			continue
		}
		if spec.DefaultValue != nil && strings.EqualFold(strings.TrimSpace(e.Value), *spec.DefaultValue) {
			continue
		}
		if slices.ContainsFunc(found, func(p config.Problem) bool { return p.Setting == e.Key && !p.Warning }) {
			continue // the plugin has said so, or something worse
		}
		problems = append(problems, problem(e, fmt.Errorf("not built yet (the host does nothing about %s)", spec.Role())))
	}
	return problems
}

func built(role string) bool {
	for _, b := range append(builtRoles, sinkRoles...) {
		if role == b || strings.HasSuffix(b, ".") && strings.HasPrefix(role, b) {
			return true
		}
	}
	return false
}
