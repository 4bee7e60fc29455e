package connect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/host/offset"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/host/transport"
)

// Options are what connectors work with.
type Options struct {
	Worker   *config.Worker
	Plugins  *plugin.Manager
	Registry *record.Registry
	Kafka    kafka.Config
	Offsets  *offset.Store
	// Logons remembers refused logons. Default: one for the process.
	Logons *transport.Logons
	// WorkerID is host:port of this worker, as status shows it. Version is what converters are said to have.
	WorkerID, Version string
	Logger            *slog.Logger

	reserved kafka.Reserved // what no records go to
}

// Herder owns connectors and their tasks, and the goroutines of these while Run or RunOnce runs.
type Herder struct {
	o          Options
	connectors []*connector // by name
}

// New makes a herder of connectors that were checked. Nothing runs before [Herder.Run].
func New(o Options, connectors []*config.Connector) *Herder {
	h := &Herder{o: o}
	h.o.reserved = Reserved(o.Worker, connectors)
	for _, c := range connectors {
		h.connectors = append(h.connectors, newConnector(&h.o, c))
	}
	slices.SortFunc(h.connectors, func(a, b *connector) int { return strings.Compare(a.given.Name, b.given.Name) })
	return h
}

// Run starts all connectors and returns when ctx has ended and they have stopped: within task.shutdown.graceful.timeout.ms
// everything under way is acknowledged and offsets are stored. A connector or task that fails is logged and shown as FAILED; the
// others go on.
func (h *Herder) Run(ctx context.Context) {
	h.run(ctx, h.connectors, false)
	<-ctx.Done() // although all have failed, or there are none: REST still answers
}

// RunOnce has every source caught up and acknowledged, then every sink settle what its topics hold at that moment. Errors are the
// faults of the tasks that failed, one *Failure each; the others have finished before it returns.
func (h *Herder) RunOnce(ctx context.Context) error {
	var sources, sinks []*connector
	for _, c := range h.connectors {
		if c.isSink() {
			sinks = append(sinks, c)
		} else {
			sources = append(sources, c)
		}
	}
	h.run(ctx, sources, true)
	if ctx.Err() == nil {
		for _, c := range sinks {
			c.fed = len(sources) > 0
		}
		h.run(ctx, sinks, true)
	}
	var failures []error
	for _, c := range h.connectors {
		failures = append(failures, c.failures()...)
	}
	return errors.Join(failures...)
}

// stopSlack is what tasks get beyond their time before they are given up: they keep to it by themselves.
const stopSlack = 2 * time.Second

func (h *Herder) run(ctx context.Context, connectors []*connector, once bool) {
	var wg sync.WaitGroup
	for _, c := range connectors {
		wg.Go(func() {
			defer guard.Recover(h.o.Logger, "connector "+c.given.Name, nil, func(p *guard.Panic) { c.failed(ctx, p) })
			c.run(ctx, once)
		})
	}
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return
	case <-ctx.Done():
	}
	limit := h.o.Worker.Duration("task.shutdown.graceful.timeout.ms")
	select {
	case <-done:
	case <-time.After(limit + stopSlack):
		h.o.Logger.Warn("tasks did not stop in time and are given up", "task.shutdown.graceful.timeout.ms", limit.Milliseconds())
	}
}

// Failure is the fault of a connector or of one of its tasks.
type Failure struct {
	Connector string
	// Task is -1 for the connector itself.
	Task  int
	Cause error
}

// Error is one line.
func (f *Failure) Error() string {
	text, _, _ := strings.Cut(f.Cause.Error(), "\n")
	if f.Task < 0 {
		return fmt.Sprintf("connector %s: FAILED: %s", f.Connector, text)
	}
	return fmt.Sprintf("connector %s, task %d: FAILED: %s", f.Connector, f.Task, text)
}

func (f *Failure) Unwrap() error { return f.Cause }

func (h *Herder) find(name string) *connector {
	for _, c := range h.connectors {
		if c.given.Name == name {
			return c
		}
	}
	return nil
}

// Names of all connectors, sorted.
func (h *Herder) Names() []string {
	var names []string
	for _, c := range h.connectors {
		names = append(names, c.given.Name)
	}
	return names
}

// Info is what a connector was asked to be.
func (h *Herder) Info(name string) (Info, bool) {
	c := h.find(name)
	if c == nil {
		return Info{}, false
	}
	return c.info(), true
}

// Status is what a connector is doing.
func (h *Herder) Status(name string) (Status, bool) {
	c := h.find(name)
	if c == nil {
		return Status{}, false
	}
	return c.status(), true
}

// Tasks are what a connector's tasks were asked to do.
func (h *Herder) Tasks(name string) ([]TaskInfo, bool) {
	c := h.find(name)
	if c == nil {
		return nil, false
	}
	return c.taskInfos(), true
}

// Progress of a connector since it started.
type Progress struct {
	Connector string
	// Type is source or sink.
	Type  string
	State State
	// Rows that were delivered: acknowledged by Kafka, or settled by the service.
	Rows int64
	// Pages that a source read, Bytes of their bodies.
	Pages, Bytes int64
	// Lag is how many records a sink has before it.
	Lag int64
	// Failed rows were refused and tolerated.
	Failed int64
	// CaughtUp: there is nothing left to do at the moment.
	CaughtUp bool
	// version of the plugin that a task works with.
	version string
	// file is the plugin's.
	file string
	// notes say what keeps other versions from it.
	notes []string
}

// Progress is that of each connector, by name. It may be called at any time.
func (h *Herder) Progress() []Progress {
	var list []Progress
	for _, c := range h.connectors {
		list = append(list, c.progress())
	}
	return list
}
