package host

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"

	"github.com/culvert-project/culvert/internal/base/lock"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/configtopic"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/deadletters"
	"github.com/culvert-project/culvert/internal/group"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/reload"
	"github.com/culvert-project/culvert/internal/restbackend"
	"github.com/culvert-project/culvert/internal/sampling"
	"github.com/culvert-project/culvert/internal/secret"
	"github.com/culvert-project/culvert/internal/setup"
	"github.com/culvert-project/culvert/internal/transport/lockouts"
)

// Config specifies what a worker runs.
type Config = setup.Config

// Files lists the configuration files of connectors.
type Files = config.Files

// ListFolder returns the configuration files of a folder.
func ListFolder(dir string) (Files, error) { return config.ListFolder(dir) }

// ReplayRequest selects dead letters for [Replay].
type ReplayRequest = deadletters.Request

// ReplayResult counts what [Replay] did.
type ReplayResult = deadletters.Result

// Progress is the state of one task, see [Host.Progress].
type Progress = connect.Progress

// SetupError wraps an error of the configuration or of the worker's environment, as opposed to the error of a task.
type SetupError = setup.Error

// Host is a worker. Run may be called once.
type Host struct {
	installation *setup.Installation
	mode         mode
	dataLock     *lock.Lock
	lockouts     *lockouts.Store
	stored       *configtopic.Store // of a worker without a group; nil with --once
	samples      *sampling.Sampler
	group        group.Member
	backend      *restbackend.Backend
	parts        setup.Parts
}

// mode specifies how a host differs from a worker that runs connectors. The zero mode is such a worker.
type mode struct {
	standalone bool // ignores the group
	importing  bool // prepares the connectors for a group
	offline    bool // runs no connectors
}

// inGroup reports whether the host is a worker of a group.
func (m mode) inGroup(c Config, w *config.Worker) bool {
	return w.InGroup() && !c.Once && !m.standalone
}

// New opens everything that sends nothing: configuration, REST's listeners, and the plugins that the connectors need,
// with which it checks them. An error is a [SetupError], which wraps config.Problems for an invalid configuration, or
// ctx.Err(). Warnings are logged.
func New(ctx context.Context, c Config) (*Host, error) { return newHost(ctx, c, mode{}) }

func newHost(ctx context.Context, c Config, m mode) (*Host, error) {
	setup.LimitMemory()
	c.Complete()
	if err := os.MkdirAll(c.Data, 0o755); err != nil {
		return nil, &SetupError{Cause: fmt.Errorf("data folder: %w", err)}
	}
	// before the lock: logons may be resumed while another worker runs on the folder
	store, err := c.OpenLockouts()
	if err != nil {
		return nil, &SetupError{Cause: err}
	}
	dataLock, err := setup.LockData(c.Data, c.Logger)
	if err != nil {
		return nil, &SetupError{Cause: err}
	}
	h := &Host{mode: m, dataLock: dataLock, lockouts: store}
	problems, err := h.open(ctx, c)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		h.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &SetupError{Cause: err}
	}
	if err := fatalProblems(h.installation, problems).Err(); err != nil {
		h.Close()
		return nil, &SetupError{Cause: err}
	}
	for _, p := range slices.Concat(problems, h.installation.Problems(), h.installation.Shadowed) {
		if p.Warning {
			h.installation.Log.Warn(p.String())
		} else {
			h.installation.Log.Error("a connector's file is rejected; the other connectors run: " + p.String())
		}
	}
	return h, nil
}

// fatalProblems leaves out problems of connectors that REST created, or whose folder has a valid connector.
func fatalProblems(installation *setup.Installation, problems config.Problems) config.Problems {
	var files []*config.Connector
	for _, c := range installation.Connectors {
		if c.Version == "" {
			files = append(files, c)
		}
	}
	valid := slices.ContainsFunc(files, func(c *config.Connector) bool { return c.Problems.Err() == nil })
	if installation.Config.Files.Folder != "" && valid {
		return problems
	}
	for _, c := range files {
		for _, p := range c.Problems {
			if !p.ConnectorOnly {
				problems = append(problems, p)
			}
		}
	}
	return problems
}

// Run runs the worker until ctx ends and everything has stopped; with Once until all data was delivered. The error is a
// [SetupError], or why the config topic cannot be read. With Once it joins the errors of tasks and connectors, in a
// SetupError if a connector's file was rejected.
func (h *Host) Run(ctx context.Context) (err error) {
	defer func() { err = secret.RedactError(err, h.installation.Worker.Redact) }()
	cleanup, err := h.start(ctx)
	defer cleanup.Run()
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil:
		return err
	case h.installation.Config.Once:
		err := h.parts.Get().Herder.RunOnce(ctx) // also if ctx has ended: earlier errors count
		if h.installation.Problems().Err() != nil {
			return &SetupError{Cause: err}
		}
		return err
	}
	connectors, files, watch := h.group.Follow(h.reloadOptions())
	h.parts.Set(func(o *setup.Opened) {
		o.Reloader = connectors
		o.Files = files
	})
	watchContext, end := context.WithCancel(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer end()
	watching.Go(func() {
		defer guard.Vital("following the connectors' configurations")
		watch(watchContext)
	})
	var resume func(context.Context) (int, error)
	if h.installation.Config.ResumeLogons {
		resume = h.lockouts.Resume
	}
	return h.group.Run(ctx, h.parts.Get().Herder, resume)
}

// reloadOptions are the same for all reloaders of the worker, which share a lock.
func (h *Host) reloadOptions() reload.Options {
	parts := h.parts.Get()
	return reload.Options{Worker: h.installation.Worker, Folder: h.installation.Config.Files.Folder,
		Connectors: h.installation.Checker.Connectors, Hidden: h.installation.Shadowed,
		Checker: *h.installation.Checker, Lockouts: h.lockouts,
		Changes: h.backend.ChangeChecker(parts.Plugins, parts.Herder), Group: h.group,
		Lock: guard.NewCtxMutex(), Log: h.installation.Log}
}

// Reload scans the connector folders again. Before Run has opened everything it does nothing.
func (h *Host) Reload() { h.parts.Get().Rescan() }

// Progress returns the progress of each connector. It is empty before Run has opened everything.
func (h *Host) Progress() []Progress {
	if herder := h.parts.Get().Herder; herder != nil {
		return herder.Progress()
	}
	return nil
}

// Close closes plugins and REST, and unlocks the data folder. It must be called after Run has returned.
func (h *Host) Close() error {
	defer h.dataLock.Release()
	h.closeListeners()
	if plugins := h.parts.Get().Plugins; plugins != nil {
		return plugins.Close()
	}
	return nil
}
