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

	"github.com/culvert-project/culvert/internal/components"
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

func (t *task) source(ctx context.Context, binding *plugin.Binding, once bool) error {
	c := t.run
	t.metrics = &core.Metrics{}
	stopWithin := c.options.Worker.Duration("task.shutdown.graceful.timeout.ms")
	deliver := t.newDelivery(c.config.Name, t.transactionalIDs)
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
		defer cancel()
		deliver.close(closing)
	}()
	transforms, err := newChainFactory(c)
	if err != nil {
		return err
	}
	defer transforms.close()
	deadLetters, err := t.openSourceDeadLetters(ctx, binding)
	if err != nil {
		return err
	}
	options := t.sourceOptions(deliver, binding, transforms)
	options.Once, options.DeadLetters, options.Observer = once, deadLetters, c.observer()
	task := source.NewTask(options)
	tally := t.metrics
	t.setRunning(func(p *Progress) {
		now := task.Progress()
		p.Counters, p.Errors, p.LastError = tally.Snapshot(time.Now()), now.Errors, now.LastError
		p.Flow = now.Flow
		p.Rows, p.Read, p.Pages, p.Bytes, p.Failed = now.Written, now.Read, now.Pages, now.Bytes, now.Skipped
		p.CaughtUp, p.LastCaughtUp, p.LastNotified, p.Feeds = now.CaughtUp, now.LastCaughtUp, now.LastNotified,
			now.Feeds
		c.redactFeeds(p.Feeds)
	}, func(s *TaskStatus) { t.fillVersions(s, task.Progress().Version, binding, transforms) })
	snapshots := func(start func(feed, ident string) error) {
		c.controller.update(func(*spec, *status) { t.requestSnapshot = start })
	}
	snapshots(task.Snapshot)
	defer snapshots(nil)
	defer c.set.idle.addTask()()
	return t.asFencedError(task.Run(ctx))
}

// redactFeeds redacts values of config providers.
func (c *connectorRun) redactFeeds(feeds []FeedProgress) {
	for i := range feeds {
		f := &feeds[i]
		if f.LastRequest != nil {
			redacted := *f.LastRequest
			redacted.Request = c.options.Worker.Redact(redacted.Request)
			f.LastRequest = &redacted
		}
		if f.LastError != nil {
			redacted := *f.LastError
			redacted.Message = c.options.Worker.Redact(redacted.Message)
			f.LastError = &redacted
		}
	}
}

func (t *task) sourceOptions(deliver delivery, binding *plugin.Binding, transforms *chainFactory) source.Options {
	c := t.run
	o := source.Options{
		Connector: c.config.Name, Task: t.number, Component: c.class.component.Name, Settings: t.settings,
		Versions: source.BoundVersions(binding, t.visibleSettings), Client: c.clients.client, Registry: c.registry(),
		Offsets: source.Offsets{
			StoredOffset: func(ctx context.Context, partition []wit.OffsetEntry) (fields []wit.OffsetEntry, err error) {
				fields, _, err = c.clients.offsets.Get(ctx, c.config.Name, partition)
				return offset.RelativeToOrigin(fields, c.clients.client.Origin()), err // may be absolute URLs
			},
			MismatchSetting:     components.ChangedBy(c.class.component),
			PrepareOffsets:      deliver.prepare,
			ExactlyOnceRequired: c.requiresExactlyOnce(),
		},
		Stages: source.Stages{
			NewOutput: func(feed string) (source.Output, error) {
				output, err := deliver.output(feed)
				if err != nil {
					return nil, err
				}
				return trackedOutput{output, t.recordTopic}, nil
			},
			NewChain:           chainFunc(transforms, func(chain namedChain) source.Chain { return chain }),
			NewConverters:      c.converters,
			NewHeaderConverter: c.headerConverter,
			EnsureTopic:        c.ensureTopic,
			Listen:             c.listen,
		},
		ErrorHandling: source.ErrorHandling{Tolerance: c.tolerance(), Retry: c.retryPolicy()},
		Limits: source.Limits{
			StopTimeout:    c.options.Worker.Duration("task.shutdown.graceful.timeout.ms"),
			MaxRecordBytes: int(c.clients.kafka.Producer.MaxRequestBytes),
			Buffers:        c.options.buffers,
		},
		OnIdle: func(until time.Time) (end func()) {
			return c.set.idle.setIdle(t.number, until, time.Now(), func() { binding.Current().CloseIdle() })
		},
		Telemetry: source.Telemetry{Metrics: t.metrics, Tracer: c.options.Tracer,
			TraceHeaders: c.boolean(config.TraceHeaders), Logger: c.options.Logger},
	}
	if c.options.Group != nil {
		o.CheckLease = c.options.Group.CheckLease
	}
	return o
}

// clientConfig returns the Kafka configuration for settings with a prefix, and the key under which clients are shared.
// Connectors with the same settings share one client, unless they have a secret, which is resolved for the connector at
// each authentication.
func (c *connectorRun) clientConfig(prefix string) (k kafka.Config, key string) {
	own := map[string]string{}
	for _, e := range c.config.Entries {
		if !strings.HasPrefix(e.Key, prefix) {
			continue
		}
		own[e.Key] = e.Value.Reveal()
		if e.Value.Secret() {
			own["name"] = c.config.Name
		}
	}
	if len(own) == 0 {
		return c.options.Kafka, ""
	}
	for _, name := range slices.Sorted(maps.Keys(own)) {
		key += fmt.Sprintf("%q=%q ", name, own[name])
	}
	return c.clients.kafka, key
}

func (c *connectorRun) registry() *record.Registry { return c.options.Registry.For(c.accepted.Name) }

func (c *connectorRun) converters() (key, value convert.Converter, err error) {
	for _, one := range []struct {
		setting string
		into    *convert.Converter
	}{{"key.converter", &key}, {"value.converter", &value}} {
		class, settings := c.config.Converter(one.setting, c.options.Worker)
		if c.clients.dryRun {
			settings["auto.register.schemas"] = "false"
		}
		if *one.into, err = convert.New(class, settings, c.converterUse(one.into == &key)); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", one.setting, err)
		}
	}
	return key, value, nil
}

func (c *connectorRun) headerConverter() (convert.Headers, error) {
	class, settings := c.config.Converter("header.converter", c.options.Worker)
	h, err := convert.NewHeaders(class, settings, c.converterUse(false))
	if err != nil {
		return nil, fmt.Errorf("header.converter: %w", err)
	}
	return h, nil
}

func (c *connectorRun) converterUse(key bool) convert.Use {
	return convert.Use{Key: key, Schemas: c.registry(), Registry: c.clients.registries.client,
		Reading: c.class.component.Kind == wit.ComponentSink}
}

func (c *connectorRun) boolean(name string) bool {
	b, _ := config.Boolean(c.config.Setting(name, c.options.Worker))
	return b
}

func (c *connectorRun) retryPolicy() core.RetryPolicy {
	ms := func(name string) time.Duration {
		n, _ := setting.ParseInt(wit.KindLong, c.config.Setting(name, c.options.Worker)) // checked before
		const longest = int64(math.MaxInt64 / time.Millisecond)
		return time.Duration(min(n, longest)) * time.Millisecond
	}
	return core.RetryPolicy{Timeout: ms("errors.retry.timeout"), MaxDelay: ms("errors.retry.delay.max.ms")}
}

func (c *connectorRun) tolerance() core.Tolerance {
	return core.Tolerance{TolerateAll: strings.EqualFold(c.config.Setting("errors.tolerance", c.options.Worker), "all"),
		LogErrors: c.boolean("errors.log.enable"), LogMessages: c.boolean("errors.log.include.messages")}
}

// ErrNoFeed means that no task reads the feed, ErrTooManySnapshots that too many snapshots of it are pending.
var (
	ErrNoFeed           = source.ErrNoFeed
	ErrTooManySnapshots = source.ErrTooManySnapshots
)

// Snapshot requests a snapshot of a source's feed, in addition to its changes. It returns when the request is stored.
func (h *Herder) Snapshot(name, feed, ident string) error {
	k, err := h.find(name)
	if err != nil {
		return err
	}
	k.mu.Lock()
	var requests []func(feed, ident string) error
	for _, t := range k.status.currentRun.set.tasks {
		if t.requestSnapshot != nil {
			requests = append(requests, t.requestSnapshot)
		}
	}
	k.mu.Unlock()
	for _, snapshot := range requests {
		if err := snapshot(feed, ident); !errors.Is(err, ErrNoFeed) {
			return err
		}
	}
	return fmt.Errorf("%w: %q of connector %s, which must run", ErrNoFeed, feed, name)
}
