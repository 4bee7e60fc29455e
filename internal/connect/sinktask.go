package connect

import (
	"context"
	"fmt"
	"time"

	"github.com/culvert-project/culvert/internal/components"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/run/sink"
	core "github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

func (t *task) sink(ctx context.Context, binding *plugin.Binding, once bool) error {
	c := t.run
	t.metrics = &core.Metrics{}
	transforms, err := newChainFactory(c)
	if err != nil {
		return err
	}
	defer transforms.close()
	ends, err := newLagTracker(c, t.number)
	if err != nil {
		return err
	}
	defer ends.close()
	deadLetters, err := t.openDeadLetters(ctx, binding)
	if err != nil {
		return err
	}
	defer deadLetters.close()
	options := t.sinkOptions(binding, transforms)
	options.Once, options.CaughtUp, options.Observer = once, ends.caughtUp, c.observer()
	options.AwaitWritable = c.controller.keyLocks.wait
	options.NewConsumer = func(topics []string, r kafka.Rebalances) (sink.Consumer, error) {
		consumerOptions := t.consumerOptions(topics, r)
		ends.setTopics(consumerOptions.Topics, consumerOptions.Regex)
		if once { // later records are left for the next run
			if err := ends.snapshotEnds(ctx); err != nil {
				return nil, err
			}
		}
		consumer, err := kafka.NewConsumer(c.clients.kafka, consumerOptions)
		if err != nil {
			return nil, err
		}
		return trackedConsumer{consumer, t.recordTopic}, nil
	}
	if deadLetters != nil {
		options.DeadLetters = deadLetters
	}
	task := sink.NewTask(options)
	var behind lag
	behind.own.Store(-1)
	measuring, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		defer guard.Recover(c.log, t.name()+", its lag", nil)
		ends.track(measuring, &behind, task.Owns, func() bool { return !once && task.Progress().Read == 0 })
	}()
	metrics := t.metrics
	t.setRunning(func(p *Progress) { t.fillSinkProgress(p, task.Progress(), &behind, metrics) },
		func(s *TaskStatus) { t.fillVersions(s, task.Progress().Version, binding, transforms) })
	err = task.Run(ctx)
	if err == nil && ctx.Err() == nil && once && t.number == 0 && !c.controller.desired().sourcesRan {
		return ends.checkTopicsExist(ctx)
	}
	return err
}

func (t *task) fillSinkProgress(p *Progress, now sink.Progress, behind *lag, metrics *core.Metrics) {
	p.Counters, p.Errors, p.LastError = metrics.Snapshot(time.Now()), now.Errors, now.LastError
	p.Flow = now.Flow
	p.Partitions, p.Read = int64(now.Partitions), now.Read
	p.Rows, p.Failed = now.Written, now.Skipped
	p.Warnings = now.Warnings
	p.Batches, p.Requests, p.Reencoded = now.Batches, now.Requests, now.Reencoded
	if t.number == 0 { // shared by all tasks of the connector
		p.Uncertain = int64(now.InDoubt)
	}
	if t.number == 0 { // of the group, which all tasks are members of
		p.Lag = behind.group.Load()
	}
	p.CaughtUp = now.Unsettled == 0 && behind.own.Load() == 0
}

func (t *task) sinkOptions(binding *plugin.Binding, transforms *chainFactory) sink.Options {
	c := t.run
	roles := c.roles()
	return sink.Options{
		Connector: c.config.Name, Task: t.number, Component: c.class.component.Name, Settings: t.settings,
		Versions: sink.BoundVersions(binding, t.visibleSettings), Client: c.clients.client, Registry: c.registry(),
		Stages: sink.Stages{
			NewChain:           chainFunc(transforms, func(chain namedChain) sink.Chain { return chain }),
			NewConverters:      c.converters,
			NewHeaderConverter: c.headerConverter,
		},
		Limits: sink.Limits{
			BatchRows:   roles.Int(role.SinkFlushRows),
			Linger:      flushEvery(roles, c.options.Worker),
			InFlight:    roles.Int(role.SinkInFlight),
			StopTimeout: c.options.Worker.Duration("task.shutdown.graceful.timeout.ms"),
		},
		ErrorHandling: sink.ErrorHandling{
			Tolerance: c.tolerance(),
			Retry:     c.retryPolicy(),
			Send:      config.List(c.config.Text("errors.uncertain.send")),
			Skip:      config.List(c.config.Text("errors.uncertain.skip")),
		},
		Shared:    sink.Shared{InDoubt: &c.set.inDoubt, Revoked: &c.set.revoked, Unmatched: c.set.unmatched},
		Telemetry: sink.Telemetry{Metrics: t.metrics, Tracer: c.options.Tracer, Logger: c.options.Logger},
	}
}

func (t *task) consumerOptions(topics []string, r kafka.Rebalances) kafka.ConsumerOptions {
	c := t.run
	o := kafka.ConsumerOptions{Group: config.ConsumerGroup(c.config.Name),
		ClientID: fmt.Sprintf("connector-consumer-%s-%d", c.config.Name, t.number),
		Topics:   config.List(c.config.Text("topics")), Regex: c.config.Text("topics.regex"), Rebalances: r}
	if len(o.Topics) == 0 && o.Regex == "" {
		o.Topics = topics
	}
	return o
}

// flushEvery returns the worker's offset.flush.interval.ms if only that is set, as in Kafka Connect.
func flushEvery(roles config.Roles, worker *config.Worker) time.Duration {
	const offsets = "offset.flush.interval.ms"
	if worker != nil && !roles.IsSet(role.SinkFlushIntervalMS) && worker.IsSet(offsets) {
		return worker.Duration(offsets)
	}
	return roles.Duration(role.SinkFlushIntervalMS)
}

func (c *connectorRun) newUnmatchedTopics() *sink.UnmatchedTopics {
	r := &sink.UnmatchedTopics{Settings: map[string]string{}}
	for _, e := range components.TopicSettings(c.config, c.class.component) {
		r.Settings[setting.Trim(e.Value.Reveal())] = e.Key
	}
	if components.ByTopic(c.options.Plugins, c.config) {
		r.InputTopics = config.List(c.config.Text("topics"))
	}
	return r
}
