package connect

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/convert"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/run/offset"
	"github.com/culvert-project/culvert/internal/run/source"
	core "github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// runSource runs a task of a source until ctx ends, or with once until it has caught up.
func (t *task) runSource(ctx context.Context, binding *plugin.Binding, once bool) error {
	run := t.run
	t.metrics = &core.Metrics{}
	delivery := t.newDelivery(run.config.Name, t.transactionalIDs)
	defer func() {
		closeCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), run.options.Worker.Duration(stopLimit))
		defer cancel()
		delivery.close(closeCtx)
	}()
	transforms, err := newChainFactory(run)
	if err != nil {
		return err
	}
	defer transforms.close()
	deadLetters, err := t.openDeadLetters(ctx, binding)
	if err != nil {
		return err
	}
	options := t.sourceOptions(delivery, binding, transforms)
	options.Observer = run.observer()
	if deadLetters != nil {
		options.DeadLetters = deadLetters.ForSource()
	}
	options.Once = once
	sourceTask := source.NewTask(options)
	metrics := t.metrics
	t.setRunning(func(progress *Progress) {
		current := sourceTask.Progress()
		progress.Counters = metrics.Snapshot(time.Now())
		progress.Errors = current.Errors
		progress.LastError = current.LastError
		progress.Refusal = current.Refusal
		progress.Flow = current.Flow
		progress.Rows = current.Written
		progress.Read = current.Read
		progress.Pages = current.Pages
		progress.Bytes = current.Bytes
		progress.Failed = current.Skipped
		progress.CaughtUp = current.CaughtUp
		progress.LastCaughtUp = current.LastCaughtUp
		progress.LastNotified = current.LastNotified
		progress.Feeds = current.Feeds
		// Feeds share their requests and errors with the task: redacted copies replace them.
		for i := range progress.Feeds {
			f := &progress.Feeds[i]
			if f.LastRequest != nil {
				redacted := *f.LastRequest
				redacted.Request = run.options.Worker.Redact(redacted.Request)
				f.LastRequest = &redacted
			}
			if f.LastError != nil {
				redacted := *f.LastError
				redacted.Message = run.options.Worker.Redact(redacted.Message)
				f.LastError = &redacted
			}
		}
	}, func(s *TaskStatus) { t.fillVersions(s, sourceTask.Progress().Version, binding, transforms) })
	setRequestSnapshot := func(request func(feed, ident string) error) {
		run.controller.update(func(*spec, *status) { t.requestSnapshot = request })
	}
	setRequestSnapshot(sourceTask.Snapshot)
	defer setRequestSnapshot(nil)
	defer run.taskSet.idle.addTask()()
	return t.asFencedError(transforms.withPlugin(sourceTask.Run(ctx)))
}

func (t *task) sourceOptions(delivery delivery, binding *plugin.Binding, transforms *chainFactory) source.Options {
	run := t.run
	return source.Options{
		Connector: run.config.Name, Task: t.number, Component: run.component().Name, Settings: t.settings,
		Versions: source.BoundVersions(binding, t.visibleSettings), Client: run.clients.client,
		Registry: run.registry(), Answered: &run.taskSet.answered,
		Offsets: source.Offsets{
			CheckLease: run.options.Group.CheckLease,
			StoredOffset: func(ctx context.Context, partition []wit.OffsetEntry) (fields []wit.OffsetEntry, err error) {
				fields, _, err = run.clients.offsets.Get(ctx, run.config.Name, partition)
				return offset.RelativeToOrigin(fields, run.clients.client.Origin()), err // fields may be absolute URLs
			},
			MismatchSetting:     run.config.OriginChangeSetting(),
			PrepareOffsets:      delivery.prepare,
			ExactlyOnceRequired: run.requiresExactlyOnce(),
		},
		Stages: source.Stages{
			NewOutput: func(feed string) (source.Output, error) {
				output, err := delivery.output(feed)
				if err != nil {
					return nil, err
				}
				return trackedOutput{output, t.recordTopic}, nil
			},
			NewChain:           chainFunc(transforms, func(chain namedChain) source.Chain { return chain }),
			NewConverters:      run.converters,
			NewHeaderConverter: run.headerConverter,
			EnsureTopic:        run.ensureTopic,
			Listen:             run.listen,
		},
		ErrorHandling: source.ErrorHandling{Tolerance: run.tolerance(), Retry: run.retryPolicy()},
		Limits: source.Limits{
			StopTimeout:    run.options.Worker.Duration(stopLimit),
			MaxRecordBytes: int(run.clients.kafka.Producer.MaxRequestBytes),
			Buffers:        run.options.buffers,
			Spare:          run.options.Memory.Spare(),
		},
		OnIdle: func(until time.Time) (end func()) {
			return run.taskSet.idle.setIdle(t.number, until, time.Now(), func() { binding.Current().CloseIdle() })
		},
		Telemetry: source.Telemetry{Metrics: t.metrics, Tracer: run.options.Tracer,
			TraceHeaders: run.boolean(config.TraceHeaders), Logger: run.options.Logger},
	}
}

// clientConfig returns the Kafka configuration of the clients whose settings have a prefix, and the key under which
// they are shared. Connectors with the same settings share one client, unless they have a secret, which is resolved for
// the connector at each authentication.
func (run *connectorRun) clientConfig(prefix string) (kafkaConfig kafka.Config, key string) {
	overrides := map[string]string{}
	for _, e := range run.config.Entries {
		if !strings.HasPrefix(e.Key, prefix) {
			continue
		}
		overrides[e.Key] = e.Value.Reveal()
		if e.Value.IsSecret() {
			overrides["name"] = run.config.Name // a key of its own
		}
	}
	if len(overrides) == 0 {
		return run.options.Kafka, ""
	}
	for _, name := range slices.Sorted(maps.Keys(overrides)) {
		key += fmt.Sprintf("%q=%q ", name, overrides[name])
	}
	return run.clients.kafka, key // has the settings of the other prefixes too, for other clients
}

func (run *connectorRun) registry() *record.Registry {
	return run.options.Registry.ForConnector(run.config.Name)
}

func (run *connectorRun) converters() (key, value convert.Converter, err error) {
	if key, err = run.newConverter("key.converter", forKey); err != nil {
		return nil, nil, err
	}
	if value, err = run.newConverter("value.converter", forValue); err != nil {
		return nil, nil, err
	}
	return key, value, nil
}

func (run *connectorRun) newConverter(name string, isKey bool) (convert.Converter, error) {
	class, settings := run.config.Converter(name)
	if run.clients.dryRun {
		settings["auto.register.schemas"] = "false"
	}
	converter, err := convert.New(class, settings, run.converterUse(isKey))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return converter, nil
}

func (run *connectorRun) headerConverter() (convert.Headers, error) {
	class, settings := run.config.Converter("header.converter")
	converter, err := convert.NewHeaders(class, settings, run.converterUse(forValue))
	if err != nil {
		return nil, fmt.Errorf("header.converter: %w", err)
	}
	return converter, nil
}

// Values of converterUse's isKey.
const (
	forKey   = true
	forValue = false
)

func (run *connectorRun) converterUse(isKey bool) convert.Options {
	return convert.Options{IsKey: isKey, Schemas: run.registry(), OpenRegistry: run.clients.registries.client,
		ReadOnly: run.component().Kind == wit.ComponentSink}
}

// boolean returns a setting of the connector or the worker; false if it is invalid.
func (run *connectorRun) boolean(name string) bool {
	value, _ := config.Boolean(run.config.Setting(name))
	return value
}

func (run *connectorRun) retryPolicy() core.RetryPolicy {
	ms := func(name string) time.Duration {
		n, _ := setting.ParseInt(wit.KindLong, run.config.Setting(name)) // checked before
		const longest = int64(math.MaxInt64 / time.Millisecond)
		return time.Duration(min(n, longest)) * time.Millisecond
	}
	return core.RetryPolicy{Timeout: ms("errors.retry.timeout"), MaxDelay: ms("errors.retry.delay.max.ms")}
}

func (run *connectorRun) tolerance() core.Tolerance {
	return core.Tolerance{
		TolerateAll: strings.EqualFold(run.config.Setting("errors.tolerance"), "all"),
		LogErrors:   run.boolean("errors.log.enable"),
		LogMessages: run.boolean("errors.log.include.messages"),
	}
}

// Errors of [Herder.Snapshot].
var (
	ErrNoFeed           = source.ErrNoFeed           // no task reads the feed
	ErrTooManySnapshots = source.ErrTooManySnapshots // too many snapshots of the feed are pending
)

// Snapshot requests a snapshot of a source's feed, in addition to its changes. It returns when the request is stored.
// ident is the name of the snapshot for the plugin.
func (h *Herder) Snapshot(name, feed, ident string) error {
	ctl, err := h.find(name)
	if err != nil {
		return err
	}
	ctl.mu.Lock()
	var requests []func(feed, ident string) error
	for _, t := range ctl.status.currentRun.taskSet.tasks {
		if t.requestSnapshot != nil {
			requests = append(requests, t.requestSnapshot)
		}
	}
	ctl.mu.Unlock()
	for _, snapshot := range requests {
		if err := snapshot(feed, ident); !errors.Is(err, ErrNoFeed) {
			return err
		}
	}
	return fmt.Errorf("%w: %q of connector %s, which must run", ErrNoFeed, feed, name)
}
