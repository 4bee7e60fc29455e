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

	"github.com/culvert-project/culvert/host/check"
	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/convert"
	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/run/offset"
	"github.com/culvert-project/culvert/host/internal/run/source"
	core "github.com/culvert-project/culvert/host/internal/run/task"
	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// source runs a task of a source.
func (t *task) source(ctx context.Context, binding *plugin.Binding, once bool) error {
	c := t.connector
	t.tally = &core.Metrics{}
	stopWithin := c.o.Worker.Duration("task.shutdown.graceful.timeout.ms")
	deliver := t.delivers(c.config.Name, t.transactionalIDs)
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
		defer cancel()
		deliver.close(closing)
	}()
	transforms, err := newChains(c)
	if err != nil {
		return err
	}
	defer transforms.close()
	letters, err := t.sourceLetters(ctx, binding)
	if err != nil {
		return err
	}
	options := t.sourceOptions(deliver, binding, transforms)
	options.Once, options.DeadLetters, options.Observer = once, letters, c.tap()
	task := source.NewTask(options)
	tally := t.tally
	t.running(func(p *Progress) {
		now := task.Progress()
		p.Counters, p.Errors, p.LastError = tally.Snapshot(time.Now()), now.Errors, now.LastError
		p.Flow = now.Flow
		p.Rows, p.Read, p.Pages, p.Bytes, p.Failed = now.Written, now.Read, now.Pages, now.Bytes, now.Skipped
		p.CaughtUp, p.LastCaughtUp, p.LastNotified, p.Feeds = now.CaughtUp, now.LastCaughtUp, now.LastNotified,
			now.Feeds
		c.strike(p.Feeds)
	}, func(s *TaskStatus) { t.works(s, task.Progress().Version, binding, transforms) })
	snapshots := func(by func(feed, ident string) error) {
		c.controller.change(func(*spec, *status) { t.snapshot = by })
	}
	snapshots(task.Snapshot)
	defer snapshots(nil)
	defer c.set.idling.begin()()
	return t.overtaken(task.Run(ctx))
}

// strike leaves out of what is shown of feeds what config providers gave.
func (c *connector) strike(feeds []FeedProgress) {
	for i := range feeds {
		f := &feeds[i]
		if f.LastRequest != nil {
			struck := *f.LastRequest
			struck.Request = c.o.Worker.Redact(struck.Request)
			f.LastRequest = &struck
		}
		if f.LastError != nil {
			struck := *f.LastError
			struck.Message = c.o.Worker.Redact(struck.Message)
			f.LastError = &struck
		}
	}
}

// idling tells when the instances of a source's plugins, which its tasks share, are of no use to any of them.
type idling struct {
	mu guard.Mutex
	// reading is how many tasks run; resting are those of them that rest, and until when, zero: for ever.
	reading int
	resting map[int]time.Time
}

// begin counts a task that runs, until the returned function is called.
func (s *idling) begin() (end func()) {
	count := func(by int) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.reading += by
	}
	count(1)
	return func() { count(-1) }
}

// rest notes that a task rests, until the returned function is called. When all that run do, each of them for
// [source.RestsFrom] from now on, it calls letGo: no other task goes on before that returns.
func (s *idling) rest(task int, until, now time.Time, letGo func()) (end func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.resting == nil {
		s.resting = map[int]time.Time{}
	}
	s.resting[task] = until
	all := len(s.resting) == s.reading
	for _, due := range s.resting {
		all = all && (due.IsZero() || !due.Before(now.Add(source.MinIdleTime)))
	}
	if all {
		letGo()
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.resting, task)
	}
}

// sourceOptions are those of a task, whatever it reads.
func (t *task) sourceOptions(deliver delivery, binding *plugin.Binding, transforms *chains) source.Options {
	c := t.connector
	o := source.Options{
		Connector: c.config.Name, Task: t.number, Component: c.class.component.Name, Settings: t.settings,
		Versions: source.BoundVersions(binding, t.planned), Client: c.run.client, Registry: c.registry(),
		StoredOffset: func(ctx context.Context, partition []wit.OffsetEntry) (fields []wit.OffsetEntry, err error) {
			fields, _, err = c.run.offsets.Get(ctx, c.config.Name, partition)
			return offset.RelativeToOrigin(fields, c.run.client.Origin()), err // the original connector's are absolute
		},
		MismatchSetting:     check.ChangedBy(c.class.component),
		PrepareOffsets:      deliver.renew,
		ExactlyOnceRequired: c.required(),
		NewOutput: func(feed string) (source.Output, error) {
			output, err := deliver.output(feed)
			if err != nil {
				return nil, err
			}
			return trackedOutput{output, t.uses}, nil
		},
		NewChain:           each(transforms, func(c namedChain) source.Chain { return c }),
		NewConverters:      c.converters,
		NewHeaderConverter: c.headers,
		EnsureTopic:        c.ensureTopic,
		Listen:             c.listen,
		Buffers:            c.o.buffers,
		MaxRecordBytes:     int(c.run.kafka.Producer.MaxRequestBytes),
		Tolerance:          c.tolerance(),
		Retry:              c.retrying(),
		StopTimeout:        c.o.Worker.Duration("task.shutdown.graceful.timeout.ms"),
		OnIdle: func(until time.Time) (end func()) {
			return c.set.idling.rest(t.number, until, time.Now(), func() { binding.Current().Rest() })
		},
		Metrics:      t.tally,
		Tracer:       c.o.Tracer,
		TraceHeaders: c.boolean(config.TraceHeaders),
		Logger:       c.o.Logger,
	}
	if c.o.Group != nil {
		o.CheckLease = c.o.Group.CheckLease
	}
	return o
}

// sharedBy is the configuration of the connector's clients of a kind, by the prefix of its settings for them, with what
// tells it apart from others: connectors that change nothing in the worker's share one client, and so do those that
// change the same. A secret is read again for each logon, from where the connector has it: with one, the client is the
// connector's own.
func (c *connector) sharedBy(prefix string) (k kafka.Config, key string) {
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
		return c.o.Kafka, ""
	}
	for _, name := range slices.Sorted(maps.Keys(own)) {
		key += fmt.Sprintf("%q=%q ", name, own[name])
	}
	return c.run.kafka, key
}

// registry numbers the schemas of what the connector reads and writes; they count for it.
func (c *connector) registry() *record.Registry { return c.o.Registry.For(c.given.Name) }

// converters makes a pair of converters; they are not to be shared.
func (c *connector) converters() (key, value convert.Converter, err error) {
	for _, one := range []struct {
		setting string
		into    *convert.Converter
	}{{"key.converter", &key}, {"value.converter", &value}} {
		class, settings := c.config.Converter(one.setting, c.o.Worker)
		if c.run.dry {
			settings["auto.register.schemas"] = "false"
		}
		if *one.into, err = convert.New(class, settings, c.converting(one.into == &key)); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", one.setting, err)
		}
	}
	return key, value, nil
}

// headers makes a converter of headers; it is not to be shared.
func (c *connector) headers() (convert.Headers, error) {
	class, settings := c.config.Converter("header.converter", c.o.Worker)
	h, err := convert.NewHeaders(class, settings, c.converting(false))
	if err != nil {
		return nil, fmt.Errorf("header.converter: %w", err)
	}
	return h, nil
}

// converting is what converters are made for.
func (c *connector) converting(key bool) convert.Use {
	return convert.Use{Key: key, Schemas: c.registry(), Registry: c.run.registries.client,
		Reading: c.class.component.Kind == wit.ComponentSink}
}

// boolean is a setting of the connector, else the worker's.
func (c *connector) boolean(name string) bool {
	b, _ := config.Boolean(c.config.Setting(name, c.o.Worker))
	return b
}

// retrying is for how long what may do better the next time is tried again.
func (c *connector) retrying() core.RetryPolicy {
	ms := func(name string) time.Duration {
		n, _ := setting.ParseInt(wit.KindLong, c.config.Setting(name, c.o.Worker)) // checked before
		const longest = int64(math.MaxInt64 / time.Millisecond)
		return time.Duration(min(n, longest)) * time.Millisecond
	}
	return core.RetryPolicy{Timeout: ms("errors.retry.timeout"), MaxDelay: ms("errors.retry.delay.max.ms")}
}

func (c *connector) tolerance() core.Tolerance {
	return core.Tolerance{TolerateAll: strings.EqualFold(c.config.Setting("errors.tolerance", c.o.Worker), "all"),
		LogErrors: c.boolean("errors.log.enable"), LogMessages: c.boolean("errors.log.include.messages")}
}

// ErrNoFeed is the error of a feed that no task of a connector is reading, ErrSnapshots of one for which too many
// snapshots wait.
var (
	ErrNoFeed           = source.ErrNoFeed
	ErrTooManySnapshots = source.ErrTooManySnapshots
)

// Snapshot has a feed of a source that runs read as it is now, in addition to going on from its offset. It returns when
// that is noted.
func (h *Herder) Snapshot(name, feed, ident string) error {
	k, err := h.find(name)
	if err != nil {
		return err
	}
	k.mu.Lock()
	var ask []func(feed, ident string) error
	for _, t := range k.status.current.set.tasks {
		if t.snapshot != nil {
			ask = append(ask, t.snapshot)
		}
	}
	k.mu.Unlock()
	for _, snapshot := range ask {
		if err := snapshot(feed, ident); !errors.Is(err, ErrNoFeed) {
			return err
		}
	}
	return fmt.Errorf("%w: %q of connector %s, which has to run", ErrNoFeed, feed, name)
}
