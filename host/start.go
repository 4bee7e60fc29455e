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
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/internal/restbackend"
	"github.com/culvert-project/culvert/internal/run/offset"
	"github.com/culvert-project/culvert/internal/sampling"
	"github.com/culvert-project/culvert/internal/secret"
	"github.com/culvert-project/culvert/internal/setup"
)

// openStored opens what a data folder stores: connectors into c.Files, and target states. A worker of a group rejects a
// folder with connectors, and one that ends by itself ignores it.
func openStored(c *Config, m mode) (*config.TargetStates, error) {
	own, _, err := config.LoadWorker(c.Files.Worker, c.Environ, c.Settings)
	if err == nil && m.inGroup(*c, own) && !m.importing {
		return nil, setup.RejectStored(*c)
	}
	if c.Once {
		return nil, nil
	}
	targets, rejected, err := c.OpenStored()
	if err == nil && m.importing {
		err = rejected.Err() // these connectors would be lost once the group has the others
	}
	if err != nil {
		return nil, err
	}
	for _, p := range rejected {
		c.Logger.Error("a connector of an earlier version, which was made by REST, does not run: mend its file, "+
			"then start the worker again: "+p.String(), "file", p.File)
	}
	return targets, nil
}

// open reads the configuration and opens REST and the plugins. REST listens before anything is compiled, and plugins
// that no connector needs wait. The problems are those of the worker; each connector has its own.
func (h *Host) open(ctx context.Context, c Config) (problems config.Problems, err error) {
	if h.in, problems, err = setup.Read(c); err != nil {
		return nil, err
	}
	in := h.in
	defer func() { err = secret.Error(err, in.Worker.Redact) }()
	h.samples = sampling.New(in.Registry, in.Worker.Redact)
	if h.mode.inGroup(c, in.Worker) {
		if err := h.openGroup(); err != nil {
			problems = append(problems, in.Worker.Locate(err))
		}
	}
	h.backend = restbackend.New(restbackend.Options{Installation: in, Offline: h.mode.offline, Lockouts: h.lockouts,
		Targets: h.states, Samples: h.samples, Group: h.group, Parts: h.parts.get, WorkerID: h.workerID})
	problems = in.ReadSettings(ctx, problems, setup.ToRun)
	needed := setup.Needed(in.Connectors)
	if problems.Err() == nil {
		if err := h.listen(); err != nil {
			return nil, err
		}
	}
	// While REST listens, connectors may be added, in a run that ends by itself too.
	if err := in.OpenPlugins(ctx, needed, c.Once && !in.Worker.IsSet("listeners")); err != nil {
		return nil, err
	}
	h.parts.set(func(p *restbackend.Parts) { p.Plugins = in.Plugins })
	if h.group != nil {
		in.Checker.Destinations = h.group.Destinations()
	}
	in.ExamineOffline(ctx, setup.ToRun)
	if c.Once {
		rejectTargetStates(in.Connectors)
	}
	return problems, nil
}

// openGroup opens what REST needs of the worker's group. The group runs the connectors of its config topic, so those of
// the worker's files are left to the folder that the leader writes there.
func (h *Host) openGroup() (err error) {
	in := h.in
	o := group.Options{Settings: in.Worker, Files: in.Config.Files, Levels: in.Levels, Log: in.Log, Parts: &h.parts,
		URL: h.advertisedURL, Check: func(ctx context.Context, c *config.Connector) config.Problems {
			return h.backend.Check(ctx, c)
		}}
	if !h.mode.importing {
		o.Connectors = in.Connectors
	}
	if h.group, err = group.New(o); err != nil {
		return err
	}
	if !h.mode.importing {
		in.Connectors = nil
	}
	h.group.ShareLockouts(h.lockouts)
	return nil
}

func rejectTargetStates(connectors []*config.Connector) {
	for _, k := range connectors {
		if k.InitialTarget() != config.TargetStarted {
			k.Problems = append(k.Problems, config.Problem{File: k.InitialState.File, Line: k.InitialState.Line,
				Setting: k.InitialState.Key, Text: "expected RUNNING in a run with --once, found " +
					k.InitialState.Raw})
		}
	}
}

// start opens Kafka and the herder. The caller runs cleanup, also after an error.
func (h *Host) start(ctx context.Context) (cleanup setup.Cleanup, err error) {
	in := h.in
	cleanup.Add(h.closeListeners)
	tracer, err := in.OpenTracer(ctx, h.workerID(), &cleanup)
	if err != nil {
		return cleanup, &SetupError{Cause: err}
	}
	h.parts.set(func(p *restbackend.Parts) { p.Tracer = tracer })
	if err := in.OpenBroker(ctx, &cleanup); err != nil {
		return cleanup, &SetupError{Cause: err}
	}
	admin, err := kafka.NewAdmin(in.Kafka)
	if err != nil {
		return cleanup, &SetupError{Cause: err}
	}
	cleanup.Add(admin.Close)
	cluster, err := in.Reach(ctx, admin)
	if err != nil {
		return cleanup, err
	}
	offsets, wrong := offset.ParseConfig(in.Worker.All())
	if err := wrong.Err(); err != nil {
		return cleanup, &SetupError{Cause: err}
	}
	var names []string
	for _, c := range in.Connectors {
		names = append(names, c.Name)
	}
	stored, err := offset.Open(ctx, in.Kafka, offsets, names, in.Log)
	if err != nil {
		return cleanup, err
	}
	cleanup.Add(stored.Close)
	o := connect.Options{Worker: in.Worker, Plugins: in.Plugins, Registry: in.Registry, Kafka: in.Kafka,
		Offsets:  stored,
		Lockouts: h.lockouts, WorkerID: h.workerID(), Version: buildinfo.REST(), Target: h.states.Get, Tracer: tracer,
		Observer: h.samples.Tap, Logger: in.Log}
	if g := h.group; g != nil {
		if err := g.Open(ctx, in.Kafka, &cleanup); err != nil {
			return cleanup, err
		}
		o.Destinations, o.Group = g.Destinations(), g
		o.Target = func(c *config.Connector) connect.TargetState { return g.Target(c.Name) }
	}
	herder := connect.New(o, in.Connectors)
	if h.group != nil {
		h.group.Begin(herder, in.Kafka)
	}
	h.parts.set(func(p *restbackend.Parts) { p.Herder, p.Cluster = herder, cluster })
	return cleanup, nil
}

func (h *Host) listen() error {
	w, log := h.in.Worker, h.in.Log
	if len(w.List("listeners")) == 0 || h.in.Config.Once && !w.IsSet("listeners") {
		return nil
	}
	o := setup.RESTOptions(w)
	if h.group != nil {
		o.Cluster, o.Session = h.group, h.group.Session()
	}
	if w.Boolean("console.enable") {
		o.Console = console.New
	}
	server, err := rest.Listen(o, log)
	if err != nil {
		return fmt.Errorf("%s%w", w.ErrorPrefix("listeners"), err)
	}
	h.parts.mu.Lock()
	h.parts.rest = server
	h.parts.mu.Unlock()
	server.Serve(h.backend.REST())
	for _, at := range server.URLs() {
		scheme, address, _ := strings.Cut(at, "://")
		log.Info("REST listens", "url", scheme+"://"+setup.LocalAddress(address))
	}
	if open := server.Unprotected(); len(open) > 0 {
		log.Warn("nothing guards REST: whoever reaches this machine can change "+
			"connectors and read their settings, passwords that are written in them included (for this machine alone: "+
			"listeners=http://127.0.0.1:8083; for users with passwords: rest.basic.auth.file; else set "+
			"rest.allowed.hosts to its names, and rest.config.masked=true, or have the file name secrets as "+
			"${file:PATH:KEY})", "listens", open)
	}
	return nil
}

func (h *Host) closeListeners() {
	if server := h.parts.REST(); server != nil {
		server.Close()
	}
}

// advertisedURL returns the URL of REST as other workers reach it.
func (h *Host) advertisedURL() string {
	if server := h.parts.REST(); server != nil {
		return server.Advertised()
	}
	o := setup.RESTOptions(h.in.Worker)
	return o.Advertised(nil)
}

func (h *Host) workerID() string {
	_, id, _ := strings.Cut(h.advertisedURL(), "://")
	return id
}
