package service

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/base/watch"
	"github.com/culvert-project/culvert/host/transport"
	"github.com/culvert-project/culvert/host/transport/btp"
	"github.com/culvert-project/culvert/host/transport/lockouts"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/wit"
)

// Service is where the client of a connector gets its settings from: from the connector, secrets of references
// included, and from the destination of BTP that it names. Safe for use by several goroutines.
type Service struct {
	component wit.Component
	providers *config.Providers
	lockouts  *lockouts.Store
	meets     *transport.Destinations // see Meet
	log       *slog.Logger
	target    *namedDestination // nil without a destination of BTP
	once      bool              // see Once
	rereads   time.Duration

	// changed: a file may have changed since it was read.
	changed atomic.Bool

	// version counts changes; news is closed and made again with each.
	version atomic.Int64

	mu        sync.Mutex
	connector *config.Connector // as it was read last
	adopted   *config.Connector // other settings, to be taken with the next look
	stamp     string            // of the files that are read by the path that a setting gives
	news      chan struct{}
}

// New reads what a connector says about its service; it sends nothing.
func New(component wit.Component, c *config.Connector, p *config.Providers, lockouts *lockouts.Store,
	log *slog.Logger) (*Service, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Service{component: component, providers: p, lockouts: lockouts, log: log, connector: c,
		news: make(chan struct{}), rereads: time.Minute}
	roles := s.roles()
	s.stamp = watch.Stamp(pathsOf(roles)...)
	var err error
	if roles.Has(role.Destination) {
		s.target, err = newNamedDestination(roles, log)
	}
	return s, err
}

func (s *Service) roles() config.Roles {
	return s.connector.Roles(s.component)
}

// Once has every request sent once, whatever the connector's settings say: no answer is tried again, and a Cloud
// Connector that is away is not waited for. It is called before the first of them.
func (s *Service) Once() { s.once = true }

// Meet has the client meet others of the same origin at a place, whose limits they share. It is called before the first
// use. Default, and nil: one for the whole process.
func (s *Service) Meet(at *transport.Destinations) { s.meets = at }

// HasDestination tells whether the connector names a destination of BTP.
func (s *Service) HasDestination() bool { return s.target != nil }

// Version counts changes of the settings, see [Service.AwaitFix].
func (s *Service) Version() int64 { return s.version.Load() }

// Check finds what is wrong with the settings without sending anything. What only a destination of BTP says is not
// known then.
func (s *Service) Check(ctx context.Context) error {
	roles := s.roles()
	if s.target != nil {
		_, err := transport.ConfigOf(s.target.assumed(roles), s.surroundings(ctx))
		return err
	}
	client, err := s.Open(ctx)
	if err == nil {
		client.Close()
	}
	return err
}

// Open makes the client. It sends nothing but questions to the destination service.
func (s *Service) Open(ctx context.Context) (*transport.Client, error) {
	c, err := s.Destination(ctx)
	if err != nil {
		return nil, err
	}
	return transport.New(c)
}

// Destination is how requests of the connector travel; where the connector names a destination of BTP, that is asked
// for. Changes to it change nothing.
func (s *Service) Destination(ctx context.Context) (transport.Config, error) {
	if s.target != nil {
		if _, err := s.target.find(ctx); err != nil {
			return transport.Config{}, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.config(ctx)
}

func (s *Service) surroundings(ctx context.Context) transport.Surroundings {
	vcap, err := btp.Environment()
	return transport.Surroundings{Context: ctx, VCAP: vcap, VCAPErr: err, Logger: s.log, Lockouts: s.lockouts,
		Destinations: s.meets}
}

// config is what the settings come to now; s.mu is held.
func (s *Service) config(ctx context.Context) (transport.Config, error) {
	roles, around := s.roles(), s.surroundings(ctx)
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

// Adopt has the client go on with other settings of the connector. It sends nothing where there is no destination of
// BTP.
func (s *Service) Adopt(client *transport.Client, c *config.Connector) {
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
func (s *Service) refresh(ctx context.Context, refused bool) (*transport.Config, error) {
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
	c, err := s.config(ctx)
	if err != nil { // half of a change, maybe: the rest comes with the next one
		s.log.Error("changed settings of the service can't be used, those before are kept", "error", err)
		return nil, nil
	}
	s.log.Info("settings of the service have changed: going on with the new ones")
	s.version.Add(1)
	close(s.news)
	s.news = make(chan struct{})
	return &c, nil
}

// read reads secrets again; it reports whether any is another one. s.mu is held.
func (s *Service) read() bool {
	if s.adopted != nil {
		s.connector, s.adopted = s.adopted, nil
		s.stamp = watch.Stamp(pathsOf(s.roles())...)
		return true
	}
	again, err := s.connector.Resolve(s.providers)
	if err != nil {
		s.log.Error("secrets can't be read, those before are kept", "error", err)
		return false
	}
	differing := s.connector.ChangedSince(again)
	d := config.DeclareComponent(s.component)
	mine := slices.DeleteFunc(slices.Clone(differing), func(key string) bool { return !concernsService(d, key) })
	if len(mine) < len(differing) {
		s.log.Warn("changed behind a reference, which holds when the connector starts again", "settings", differing)
	}
	s.connector = again
	stamp := watch.Stamp(pathsOf(s.roles())...)
	other := stamp != s.stamp
	s.stamp = stamp
	return len(mine) > 0 || other
}

func concernsService(d *config.Declarations, key string) bool {
	spec, ok := d.Find(key)
	name := spec.Role()
	return ok && (strings.HasPrefix(name, role.HTTP) || strings.HasPrefix(name, role.TLS) ||
		strings.HasPrefix(name, role.Retry))
}

// pathRoles are settings whose value is the path of a file.
var pathRoles = []string{role.TLSKeyStoreLocation, role.TLSTrustStoreLocation,
	role.ProxyServiceKey, role.ProxyTokenCertificate, role.ProxyTokenKey}

// Paths are the files that a connector names without a reference for its service.
func Paths(component wit.Component, c *config.Connector) []string {
	return pathsOf(c.Roles(component))
}

func pathsOf(roles config.Roles) []string {
	var paths []string
	for _, name := range pathRoles {
		if path := roles.Text(name); path != "" {
			paths = append(paths, path)
		}
	}
	return paths
}

// Watch follows the files that the settings lead to, for a client. close ends it.
func (s *Service) Watch(client *transport.Client) (close func()) {
	files := append(s.providers.Files(s.connector), pathsOf(s.roles())...)
	if strings.EqualFold(s.connector.Text("config.action.reload"), "none") || len(files) == 0 && s.target == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	unwatch := watch.Files(files, s.log, func() {
		s.changed.Store(true)
		if err := client.Refresh(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("settings of the service", "error", err)
		}
	})
	return func() { cancel(); unwatch() }
}
