package service

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/internal/base/watch"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/internal/transport/btp"
	"github.com/culvert-project/culvert/internal/transport/lockouts"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

// Service holds the client settings and the BTP destination of a connector. It is safe for concurrent use.
type Service struct {
	lockouts     *lockouts.Store
	origins      *transport.OriginRegistry // see UseLimits
	log          *slog.Logger
	destination  *namedDestination // nil if the settings name no BTP destination
	noRetries    bool              // see NoRetries
	pollInterval time.Duration

	// mayHaveChanged: settings or files may have changed since the last refresh.
	mayHaveChanged atomic.Bool

	version atomic.Int64 // the number of changes; each closes and replaces notify

	mu        sync.Mutex
	connector *resolved.Connector // the settings in use
	pending   *resolved.Connector // changed settings, which the next refresh applies; nil for none
	stamp     string              // of the files whose paths are settings, see pathRoles
	notify    chan struct{}
}

// New reads the settings of a connector's service; it sends nothing. log may be nil.
func New(c *resolved.Connector, store *lockouts.Store, log *slog.Logger) (*Service, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Service{
		lockouts:     store,
		log:          log,
		connector:    c,
		notify:       make(chan struct{}),
		pollInterval: time.Minute,
	}
	roles := c.Roles()
	s.stamp = watch.Stamp(pathsOf(roles)...)
	var err error
	if roles.Has(role.Destination) {
		s.destination, err = newNamedDestination(roles, log)
	}
	return s, err
}

// NoRetries makes the client send requests once and not wait for a Cloud Connector. Call it before the first request.
func (s *Service) NoRetries() { s.noRetries = true }

// UseLimits sets the registry in which clients of an origin share limits, before the first use. Nil: the process's.
func (s *Service) UseLimits(registry *transport.OriginRegistry) { s.origins = registry }

// HasDestination reports whether the connector names a BTP destination.
func (s *Service) HasDestination() bool { return s.destination != nil }

// Version counts changes of the settings, see [Service.WaitForConfigChange].
func (s *Service) Version() int64 { return s.version.Load() }

// Check validates the settings without sending anything; values of a BTP destination are not checked.
func (s *Service) Check(ctx context.Context) error {
	roles := s.connector.Roles()
	if s.destination != nil {
		_, err := transport.ConfigOf(s.destination.placeholder(roles), s.environment(ctx))
		return err
	}
	client, err := s.Open(ctx)
	if err == nil {
		client.Close()
	}
	return err
}

// Open returns a client. It calls only the destination service.
func (s *Service) Open(ctx context.Context) (*transport.Client, error) {
	c, err := s.Destination(ctx)
	if err != nil {
		return nil, err
	}
	return transport.New(c)
}

// Destination returns the client's configuration at this time. It may call the destination service.
func (s *Service) Destination(ctx context.Context) (transport.Config, error) {
	if s.destination != nil {
		if _, err := s.destination.find(ctx); err != nil {
			return transport.Config{}, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.config(ctx)
}

func (s *Service) environment(ctx context.Context) transport.Environment {
	vcap, err := btp.ReadVCAP()
	return transport.Environment{
		Context: ctx,
		VCAP:    vcap,
		VCAPErr: err,
		Shared:  transport.Shared{Logger: s.log, Lockouts: s.lockouts, Destinations: s.origins},
	}
}

// config returns the client's configuration by the settings in use. s.mu must be held.
func (s *Service) config(ctx context.Context) (transport.Config, error) {
	roles := s.connector.Roles()
	environment := s.environment(ctx)
	var c transport.Config
	var err error
	if s.destination != nil {
		c, err = s.destination.config(roles, environment)
	} else {
		c, err = transport.ConfigOf(roles, environment)
	}
	c.Refresh = s.refresh
	if s.noRetries {
		c.Retry.Max = new(int)
		c.Route.Outage = 0
	}
	return c, err
}

// UpdateInPlace applies other settings of the connector in the background.
func (s *Service) UpdateInPlace(client *transport.Client, c *resolved.Connector) {
	s.mu.Lock()
	s.pending = c
	s.mu.Unlock()
	s.mayHaveChanged.Store(true)
	go func() { // refreshes wait for each other, and a destination may be slow to answer
		defer guard.Recover(s.log, "settings of a service", nil)
		if err := client.Refresh(context.Background()); err != nil {
			s.log.Warn("the changed settings of the service could not be applied", "error", err)
		}
	}()
}

// refresh is called before each request. It applies changed settings, notifies waitForVersion and returns the new
// configuration; nil means no change. After a refusal it reads files and the destination in any case.
func (s *Service) refresh(ctx context.Context, refused bool) (*transport.Config, error) {
	destinationChanged := false
	if s.destination != nil {
		if refused {
			s.destination.destinations.Forget(s.destination.name)
		}
		var err error
		if destinationChanged, err = s.destination.find(ctx); err != nil {
			return nil, err
		}
	}
	if !refused && !destinationChanged && !s.mayHaveChanged.Load() {
		return nil, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mayHaveChanged.Store(false)
	if !s.reload() && !destinationChanged {
		return nil, nil
	}
	c, err := s.config(ctx)
	if err != nil { // perhaps a change is not written completely yet
		s.log.Error("the changed settings of the service are invalid; the previous ones stay in use", "error", err)
		return nil, nil
	}
	s.log.Info("changed settings of the service were applied")
	s.version.Add(1)
	close(s.notify)
	s.notify = make(chan struct{})
	return &c, nil
}

// reload applies pending settings, else resolves secrets, and reports changes of settings or files. s.mu must be held.
func (s *Service) reload() bool {
	if s.pending != nil {
		s.connector = s.pending
		s.pending = nil
		s.stamp = watch.Stamp(pathsOf(s.connector.Roles())...)
		return true
	}
	values, err := s.connector.Connector.Resolve(s.connector.Worker.Providers)
	if err != nil {
		s.log.Error("secrets cannot be read; the previous ones stay in use", "error", err)
		return false
	}
	changedKeys := s.connector.ChangedSince(values)
	declarations := s.connector.Class.Component.Table()
	serviceKeys := slices.DeleteFunc(slices.Clone(changedKeys),
		func(key string) bool { return !affectsService(declarations, key) })
	if len(serviceKeys) < len(changedKeys) {
		s.log.Warn("settings changed behind a reference; they take effect when the connector restarts",
			"settings", changedKeys)
	}
	s.connector = s.connector.Reread(values)
	stamp := watch.Stamp(pathsOf(s.connector.Roles())...)
	filesChanged := stamp != s.stamp
	s.stamp = stamp
	return len(serviceKeys) > 0 || filesChanged
}

// affectsService reports whether a setting concerns the HTTP client, so that [Service] can apply it.
func affectsService(d *setting.Table, key string) bool {
	spec, ok := d.Find(key)
	name := spec.Role()
	return ok && (strings.HasPrefix(name, role.HTTP) || strings.HasPrefix(name, role.TLS) ||
		strings.HasPrefix(name, role.Retry))
}

// pathRoles are the roles of settings whose value is a path.
var pathRoles = []string{role.TLSKeyStoreLocation, role.TLSTrustStoreLocation, role.ProxyServiceKey,
	role.ProxyTokenCertificate, role.ProxyTokenKey}

// Paths returns the files that a connector's service settings name without a reference.
func Paths(c *resolved.Connector) []string { return pathsOf(c.Roles()) }

func pathsOf(roles resolved.Roles) []string {
	var paths []string
	for _, name := range pathRoles {
		if path := roles.Text(name); path != "" {
			paths = append(paths, path)
		}
	}
	return paths
}

// Watch applies changes of the settings' files to a client, until close is called.
func (s *Service) Watch(client *transport.Client) (close func()) {
	files := append(s.connector.Worker.Providers.Files(s.connector.Connector), pathsOf(s.connector.Roles())...)
	isDisabled := strings.EqualFold(s.connector.Text("config.action.reload"), "none")
	if isDisabled || (len(files) == 0 && s.destination == nil) { // a destination is polled, see [watch.Files]
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	unwatch := watch.Files(files, s.log, func() {
		s.mayHaveChanged.Store(true)
		if err := client.Refresh(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("the changed settings of the service could not be applied", "error", err)
		}
	})
	return func() { cancel(); unwatch() }
}
