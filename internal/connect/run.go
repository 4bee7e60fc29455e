package connect

import (
	"cmp"
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/internal/base/watch"
	"github.com/culvert-project/culvert/internal/components"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/run/offset"
	"github.com/culvert-project/culvert/internal/service"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/wit"
)

// connectorRun is one run of a connector with one configuration, from the start of its tasks until the last of them has
// ended. The controller has the state. Detached runs are created for a single query and never run.
type connectorRun struct {
	controller     *controller
	options        *Options
	accepted       *config.Connector // unresolved; never changes
	config         *config.Connector // last resolved; only the run writes it, and not while its tasks run
	unresolved     bool              // the last start could not resolve the references
	log            *slog.Logger
	class          class
	configErr      error // the configuration has problems
	clients        runClients
	set            taskSet         // guarded by controller.mu
	warnedSettings map[string]bool // logged by warnWithheld; guarded by controller.mu
}

type class struct {
	component    wit.Component
	declarations *config.Declarations
	plugin       plugin.Info
	err          error
	planBinding  atomic.Pointer[plugin.Binding]
}

// runClients holds the clients of a run. start opens the service, the first task opens the others (openForTasks), and
// all are closed when the last task has ended.
type runClients struct {
	started          bool // guarded by controller.mu: running, or its tasks were planned to be shown
	lastLogged       string
	service          *service.Service
	client           *transport.Client
	kafka            kafka.Config
	openLock         guard.CtxMutex // held by openForTasks
	opened           bool           // guarded by openLock
	admin            *kafka.Admin   // of a source: creates its topics
	offsets          *offset.Store  // of a source
	producersPerTask int
	registries       registries
	dryRun           bool
}

func newConnectorRun(k *controller, o *Options, c *config.Connector) *connectorRun {
	n := &connectorRun{controller: k, options: o, accepted: c, config: c, configErr: c.Problems.Err(), log: k.log,
		clients: runClients{openLock: guard.NewCtxMutex()}, set: taskSet{assignment: Assignment{Standalone: true}}}
	n.clients.registries.log = n.log
	n.class.plugin, n.class.component, n.class.err = components.Find(o.Plugins, c.Text("connector.class"),
		c.Text("connector.plugin.version"), wit.ComponentSource, wit.ComponentSink)
	n.class.declarations = config.DeclareComponent(n.class.component)
	return n
}

func (c *connectorRun) roles() config.Roles { return config.NewRoles(c.class.declarations, c.config) }

func (c *connectorRun) configError() error { return cmp.Or(c.configErr, c.class.err) }

func (c *connectorRun) isSink() bool {
	return c.class.err == nil && c.class.component.Kind == wit.ComponentSink
}

// runUntilStopped starts the connector and its tasks and returns when all of them have ended. If the start fails, it
// waits until a retry can help.
func (c *connectorRun) runUntilStopped(ctx context.Context, once bool) {
	for {
		stamp := watch.Stamp(c.storeFiles()...)
		close, err := c.start(ctx)
		if err == nil {
			defer close()
			c.runTasks(ctx)
			return
		}
		if ctx.Err() == nil {
			c.options.starts.connectors.add(false)
		}
		c.reportFailure(ctx, err)
		if once || !c.waitRetryable(ctx, err, stamp) {
			return
		}
	}
}

const startRetryDelay = 30 * time.Second

func formatRestart(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339)
}

func (c *connectorRun) reportFailure(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	if text := err.Error(); text != c.clients.lastLogged {
		c.clients.lastLogged = text
		c.log.Error("connector FAILED", "error", err)
	}
	c.controller.report(c, evFailed, err)
}

func (c *connectorRun) start(ctx context.Context) (close func(), err error) {
	if err := c.configError(); err != nil {
		return nil, err
	}
	c.clients.service, c.clients.client = nil, nil
	c.clients.registries.ctx = ctx
	_, err = c.reloadSecrets()
	c.unresolved = err != nil
	if err == nil {
		err = c.configureKafka(ctx)
	}
	if err == nil {
		err = c.openService(ctx)
	}
	if err != nil {
		return nil, err
	}
	if c.isSink() {
		c.set.unmatched = c.newUnmatchedTopics()
	}
	configs, err := c.planTasks(ctx)
	if err != nil {
		c.options.claims.release(c.config.Name)
		c.releasePlan()
		c.clients.client.Close()
		return nil, err
	}
	c.clients.lastLogged = ""
	c.createTasks(configs)
	c.options.starts.connectors.add(true)
	c.controller.report(c, evStarted, nil)
	c.log.Info("connector started", "class", c.class.component.Name, "plugin", c.class.plugin.Name, "version",
		c.class.plugin.Version,
		"file", c.class.plugin.Path, "tasks", len(configs))
	unwatch := c.clients.service.Watch(c.clients.client)
	return func() {
		if c.options.Group == nil {
			c.controller.endpoint.shutDown()
		}
		unwatch()
		c.releasePlan()
		c.closeOffsets()
		c.clients.client.Close()
		if c.clients.admin != nil {
			c.clients.admin.Close()
		}
	}, nil
}

func (c *connectorRun) openService(ctx context.Context) (err error) {
	c.clients.service, err = service.New(c.class.component, c.config, c.options.Worker.Providers, c.options.Lockouts,
		c.log)
	if err == nil {
		c.clients.service.UseLimits(c.options.Destinations)
		c.clients.client, err = c.clients.service.Open(ctx)
	}
	return err
}

func (c *connectorRun) planShownTasks(ctx context.Context) error {
	p, err := c.plan(ctx, false)
	if err != nil {
		return err
	}
	c.createTasks(p.Tasks)
	c.controller.statusChanged()
	return nil
}

// configureKafka sets the connector's own Kafka configuration. Secrets are resolved again for each authentication.
func (c *connectorRun) configureKafka(ctx context.Context) (err error) {
	settings := map[string]string{}
	for _, e := range c.config.Entries {
		settings[e.Key] = e.Value.Reveal()
	}
	c.clients.kafka, _, err = c.options.Kafka.Override(ctx, settings)
	accepted := c.config
	var last atomic.Pointer[config.Connector] // keeps the resolved secrets redacted while clients use them
	c.clients.kafka.SetCurrentValues(func(name string) (string, bool) {
		if e, known := accepted.Entry(name); !known || !e.Value.IsSecret() {
			return "", false
		}
		resolved, err := accepted.Resolve(c.options.Worker.Providers)
		if err != nil {
			return "", false // the previous value may still work
		}
		last.Store(resolved)
		return resolved.Get(name)
	})
	return err
}

func (c *connectorRun) kind() string {
	if c.class.err != nil {
		return "unknown"
	}
	return c.class.component.Kind.String()
}
