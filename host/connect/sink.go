package connect

import (
	"context"
	"fmt"
	"time"

	"github.com/culvert-project/culvert/host/check"
	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/run/sink"
	core "github.com/culvert-project/culvert/host/internal/run/task"
	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

// sink runs a task of a sink.
func (t *task) sink(ctx context.Context, binding *plugin.Binding, once bool) error {
	c := t.connector
	t.tally = &core.Metrics{}
	transforms, err := newChains(c)
	if err != nil {
		return err
	}
	defer transforms.close()
	ends, err := newEnds(c, t.number)
	if err != nil {
		return err
	}
	defer ends.close()
	letters, err := t.openDeadLetters(ctx, binding)
	if err != nil {
		return err
	}
	defer letters.close()
	options := t.sinkOptions(binding, transforms)
	options.Once, options.CaughtUp, options.Observer = once, ends.reached, c.tap()
	options.AwaitWritable = c.controller.heldKeys.wait
	options.NewConsumer = func(topics []string, r kafka.Rebalances) (sink.Consumer, error) {
		o := t.consumerOptions(topics, r)
		ends.read(o.Topics, o.Regex)
		if once { // what comes from now on is not waited for
			if err := ends.mark(ctx); err != nil {
				return nil, err
			}
		}
		consumer, err := kafka.NewConsumer(c.run.kafka, o)
		if err != nil {
			return nil, err
		}
		return trackedConsumer{consumer, t.uses}, nil
	}
	if letters != nil {
		options.DeadLetters = letters
	}
	task := sink.NewTask(options)
	var before backlog
	before.own.Store(-1)
	measuring, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		defer guard.Recover(c.log, t.name()+", its lag", nil)
		ends.measure(measuring, &before, task.Owns, func() bool { return !once && task.Progress().Read == 0 })
	}()
	tally := t.tally
	t.running(func(p *Progress) {
		now := task.Progress()
		p.Counters, p.Errors, p.LastError = tally.Snapshot(time.Now()), now.Errors, now.LastError
		p.Flow = now.Flow
		p.Partitions, p.Read = int64(now.Partitions), now.Read
		p.Rows, p.Failed = now.Written, now.Skipped
		p.Warnings = now.Warnings
		p.Batches, p.Requests, p.Reencoded = now.Batches, now.Requests, now.Reencoded
		if t.number == 0 { // they are the connector's, which its tasks share
			p.Uncertain = int64(now.InDoubt)
		}
		if t.number == 0 { // that of the group, which all tasks are members of
			p.Lag = before.group.Load()
		}
		p.CaughtUp = now.Unsettled == 0 && before.own.Load() == 0
	}, func(s *TaskStatus) { t.works(s, task.Progress().Version, binding, transforms) })
	err = task.Run(ctx)
	if err == nil && ctx.Err() == nil && once && t.number == 0 && !c.controller.desired().fed {
		return ends.nowhere(ctx)
	}
	return err
}

// sinkOptions are those of a task, whatever it reads.
func (t *task) sinkOptions(binding *plugin.Binding, transforms *chains) sink.Options {
	c := t.connector
	roles := c.roles()
	return sink.Options{
		Connector: c.config.Name, Task: t.number, Component: c.class.component.Name, Settings: t.settings,
		Versions: sink.BoundVersions(binding, t.planned), Client: c.run.client, Registry: c.registry(),
		NewChain:           each(transforms, func(c namedChain) sink.Chain { return c }),
		NewConverters:      c.converters,
		NewHeaderConverter: c.headers,
		BatchRows:          roles.Int(role.SinkFlushRows),
		Linger:             flushEvery(roles, c.o.Worker),
		InFlight:           roles.Int(role.SinkInFlight),
		Tolerance:          c.tolerance(),
		Retry:              c.retrying(),
		InDoubt:            &c.set.uncertain,
		Revoked:            &c.set.settled,
		Unmatched:          c.set.reached,
		Send:               config.List(c.config.Text("errors.uncertain.send")),
		Skip:               config.List(c.config.Text("errors.uncertain.skip")),
		StopTimeout:        c.o.Worker.Duration("task.shutdown.graceful.timeout.ms"),
		Metrics:            t.tally,
		Tracer:             c.o.Tracer,
		Logger:             c.o.Logger,
	}
}

// consumerOptions: the connector's own topics go before those that the plugin named.
func (t *task) consumerOptions(topics []string, r kafka.Rebalances) kafka.ConsumerOptions {
	c := t.connector
	o := kafka.ConsumerOptions{Group: config.ConsumerGroup(c.config.Name),
		ClientID: fmt.Sprintf("connector-consumer-%s-%d", c.config.Name, t.number),
		Topics:   config.List(c.config.Text("topics")), Regex: c.config.Text("topics.regex"), Rebalances: r}
	if len(o.Topics) == 0 && o.Regex == "" {
		o.Topics = topics
	}
	return o
}

// flushEvery is how long records wait for more: where only the worker says how often offsets are written, a sink writes
// as often, as in Kafka Connect.
func flushEvery(roles config.Roles, worker *config.Worker) time.Duration {
	const offsets = "offset.flush.interval.ms"
	if worker != nil && !roles.IsSet(role.SinkFlushIntervalMS) && worker.IsSet(offsets) {
		return worker.Duration(offsets)
	}
	return roles.Duration(role.SinkFlushIntervalMS)
}

// reach is what the tasks of a sink look at together.
func (c *connector) reach() *sink.UnmatchedTopics {
	r := &sink.UnmatchedTopics{Settings: map[string]string{}}
	for _, e := range check.TopicSettings(c.config, c.class.component) {
		r.Settings[setting.Trim(e.Value.Reveal())] = e.Key
	}
	if check.ByTopic(c.o.Plugins, c.config) {
		r.InputTopics = config.List(c.config.Text("topics"))
	}
	return r
}
