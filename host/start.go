package host

import (
	"context"
	"fmt"
	"strings"

	"github.com/culvert-project/culvert/internal/buildinfo"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/console"
	"github.com/culvert-project/culvert/internal/group"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/internal/restbackend"
	"github.com/culvert-project/culvert/internal/run/offset"
	"github.com/culvert-project/culvert/internal/sampling"
	"github.com/culvert-project/culvert/internal/secret"
	"github.com/culvert-project/culvert/internal/setup"
)

// openStored opens the store of a worker without a group, and adds its connectors to the worker's. A worker of a group
// rejects them; with Once they are ignored.
func (h *Host) openStored() (err error) {
	installation := h.installation
	c := &installation.Config
	switch {
	case c.Once:
		return nil
	case h.mode.inGroup(*c, installation.Worker) && !h.mode.importing:
		return c.RejectStored(installation.Worker)
	}
	if h.stored, err = c.OpenStored(installation.Worker); err == nil {
		snapshot, _ := h.stored.Snapshot()
		installation.AddStored(snapshot.Connectors)
	}
	return err
}

// open reads the configuration, opens REST, then the plugins. It returns the worker's own problems.
func (h *Host) open(ctx context.Context, c Config) (problems config.Problems, err error) {
	if h.installation, problems, err = setup.Read(c); err != nil {
		return nil, err
	}
	installation := h.installation
	defer func() { err = secret.RedactError(err, installation.Worker.Redact) }()
	if err := h.openStored(); err != nil {
		return nil, err
	}
	h.samples = sampling.New(installation.Registry, installation.Worker.Redact, installation.Memory.Spare())
	if err := h.openGroup(); err != nil {
		problems = append(problems, installation.Worker.Locate(err))
	}
	h.backend = restbackend.New(restbackend.Options{Installation: installation, Offline: h.mode.offline,
		Lockouts: h.lockouts, Samples: h.samples, Group: h.group, Parts: &h.parts, WorkerID: h.workerID})
	problems = installation.ReadSettings(ctx, problems, setup.ToRun)
	needed := setup.Needed(installation.Connectors)
	if problems.Err() == nil {
		if err := h.listen(); err != nil {
			return nil, err
		}
	}
	if err := installation.OpenPlugins(ctx, needed, c.Once && !installation.Worker.IsSet("listeners")); err != nil {
		return nil, err
	}
	h.parts.Set(func(o *setup.Opened) { o.Plugins = installation.Plugins })
	installation.Checker.Destinations = h.group.Destinations()
	installation.Examine(setup.ToRun, func(connector *resolved.Connector) config.Problems {
		problems := installation.Checker.Check(ctx, connector)
		if c.Once && connector.InitialTarget() != config.TargetStarted {
			problems = append(problems, connector.InitialState.Problem("expected RUNNING in a run with --once, "+
				"found %s", connector.InitialState.Raw))
		}
		return problems
	})
	return problems, nil
}

// openGroup sets h.group: a [group.Worker] in a group, which runs the connectors of the config topic instead of the
// worker's files; otherwise [group.Standalone].
func (h *Host) openGroup() error {
	installation := h.installation
	h.group = &group.Standalone{Installation: installation, Stored: h.stored, Parts: &h.parts}
	if !h.mode.inGroup(installation.Config, installation.Worker) {
		return nil
	}
	o := group.Options{Settings: installation.Worker, Files: installation.Config.Files, Levels: installation.Levels,
		Log: installation.Log, Parts: &h.parts, Lockouts: h.lockouts, URL: h.advertisedURL,
		Check: func(ctx context.Context, c *resolved.Connector) config.Problems {
			return h.backend.Check(ctx, c)
		}}
	if !h.mode.importing {
		o.Connectors = installation.Connectors
		installation.Connectors = nil
	}
	worker, err := group.New(o)
	if err != nil {
		return err
	}
	h.group = worker
	return nil
}

// start opens Kafka and the herder. The caller runs cleanup, also after an error.
func (h *Host) start(ctx context.Context) (cleanup setup.Cleanup, err error) {
	installation := h.installation
	cleanup.Add(h.closeListeners)
	tracer, err := installation.OpenTracer(ctx, h.workerID(), &cleanup)
	if err != nil {
		return cleanup, &SetupError{Cause: err}
	}
	h.parts.Set(func(o *setup.Opened) { o.Tracer = tracer })
	if err := installation.OpenBroker(ctx, &cleanup); err != nil {
		return cleanup, &SetupError{Cause: err}
	}
	admin, err := kafka.NewAdmin(installation.Kafka)
	if err != nil {
		return cleanup, &SetupError{Cause: err}
	}
	cleanup.Add(admin.Close)
	cluster, err := installation.Reach(ctx, admin)
	if err != nil {
		return cleanup, err
	}
	offsets, problems := offset.ParseConfig(installation.Worker.All())
	if err := problems.Err(); err != nil {
		return cleanup, &SetupError{Cause: err}
	}
	var names []string
	for _, c := range installation.Connectors {
		names = append(names, c.Name)
	}
	stored, err := offset.Open(ctx, installation.Kafka, offsets, names, installation.Log)
	if err != nil {
		return cleanup, err
	}
	cleanup.Add(stored.Close)
	herder, err := h.group.NewHerder(ctx, connect.Options{Worker: installation.Worker, Plugins: installation.Plugins,
		Registry: installation.Registry, Memory: installation.Memory, Kafka: installation.Kafka, Offsets: stored,
		Lockouts: h.lockouts, WorkerID: h.workerID(), Version: buildinfo.REST(), Tracer: tracer,
		Observer: h.samples.Observer, Logger: installation.Log}, installation.Checker.Connectors, &cleanup)
	if err != nil {
		return cleanup, err
	}
	h.parts.Set(func(o *setup.Opened) {
		o.Herder = herder
		o.Cluster = cluster
	})
	return cleanup, nil
}

// listen starts REST unless the worker has no listeners.
func (h *Host) listen() error {
	w := h.installation.Worker
	log := h.installation.Log
	// With Once the default listener is not opened.
	if len(w.List("listeners")) == 0 || (h.installation.Config.Once && !w.IsSet("listeners")) {
		return nil
	}
	o := setup.RESTOptions(w)
	h.group.ConfigureREST(&o)
	if w.Boolean("console.enable") {
		o.Console = console.Environment{Title: w.Text("console.title"), Accent: w.Text("console.accent")}.New
	}
	server, err := rest.Listen(o, log)
	if err != nil {
		return fmt.Errorf("%s%w", w.ErrorPrefix("listeners"), err)
	}
	h.parts.Set(func(o *setup.Opened) { o.REST = server })
	server.Serve(h.backend.REST())
	for _, url := range server.URLs() {
		scheme, address, _ := strings.Cut(url, "://")
		log.Info("REST listens", "url", scheme+"://"+setup.LocalAddress(address))
	}
	if addresses := server.Unprotected(); len(addresses) > 0 {
		log.Warn("nothing guards REST: anyone who can reach this machine can change connectors and read their "+
			"settings, including passwords (to accept only this machine: listeners=http://127.0.0.1:8083; to "+
			"require a logon: rest.basic.auth.file; otherwise set rest.allowed.hosts to its names, and "+
			"rest.config.masked=true, or write secrets as ${file:PATH:KEY})", "listens", addresses)
	}
	return nil
}

func (h *Host) closeListeners() {
	if server := h.parts.Get().REST; server != nil {
		server.Close()
	}
}

// advertisedURL returns the URL at which other workers reach this one.
func (h *Host) advertisedURL() string {
	if server := h.parts.Get().REST; server != nil {
		return server.Advertised()
	}
	o := setup.RESTOptions(h.installation.Worker)
	return o.Advertised(nil)
}

// workerID returns host:port of the advertised URL.
func (h *Host) workerID() string {
	_, id, _ := strings.Cut(h.advertisedURL(), "://")
	return id
}
