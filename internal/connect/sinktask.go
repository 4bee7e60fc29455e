package connect

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/run/sink"
	core "github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/sdk/go/role"
)

// runSink runs a task of a sink until ctx ends, or with once up to the end offsets at the start.
func (t *task) runSink(ctx context.Context, binding *plugin.Binding, once bool) error {
	run := t.run
	t.metrics = &core.Metrics{}
	transforms, err := newChainFactory(run)
	if err != nil {
		return err
	}
	defer transforms.close()
	clients, err := kafka.OpenClients(kafka.NewConsumerAdmin, run.clients.kafka)
	if err != nil {
		return err
	}
	tracker := &lagTracker{clients: clients, run: run, task: t.number, log: run.log, group: run.group(),
		offsetReset: run.clients.kafka.Consumer.Reset}
	defer tracker.clients.Close()
	deadLetters, err := t.openDeadLetters(ctx, binding)
	if err != nil {
		return err
	}
	// The task, and the tracker, which learns the topics from it.
	options := t.sinkOptions(binding, transforms)
	if deadLetters != nil {
		if err := deadLetters.Open(); err != nil {
			return err
		}
		defer deadLetters.Close()
		options.DeadLetters = deadLetters
	}
	options.Once = once
	options.CaughtUp = tracker.isCaughtUp
	options.Observer = run.observer()
	options.AwaitWritable = run.controller.keyLocks.Wait
	options.NewConsumer = func(topics []string, r kafka.Rebalances) (sink.Consumer, error) {
		consumerOptions := t.consumerOptions(topics, r)
		tracker.setTopics(consumerOptions.Topics, consumerOptions.Regex)
		if once { // the next run reads later records
			if err := tracker.snapshotEnds(ctx); err != nil {
				return nil, err
			}
		}
		consumer, err := kafka.NewConsumer(run.clients.kafka, consumerOptions)
		if err != nil {
			return nil, err
		}
		return trackedConsumer{consumer, t.recordTopic}, nil
	}
	sinkTask := sink.NewTask(options)
	var taskLag lag
	taskLag.task.Store(-1)
	trackCtx, stopTracking := context.WithCancel(ctx)
	defer stopTracking()
	go func() {
		defer guard.Recover(run.log, t.name()+", its lag", nil)
		tracker.track(trackCtx, &taskLag, sinkTask.Owns, func() bool { return !once && sinkTask.Progress().Read == 0 })
	}()
	// Run the task. Its status shows progress and versions.
	metrics := t.metrics
	t.setRunning(func(progress *Progress) {
		current := sinkTask.Progress()
		progress.Counters = metrics.Snapshot(time.Now())
		progress.Errors = current.Errors
		progress.LastError = current.LastError
		progress.Refusal = current.Refusal
		progress.Flow = current.Flow
		progress.Partitions = int64(current.Partitions)
		progress.Read = current.Read
		progress.Rows = current.Written
		progress.Failed = current.Skipped
		progress.Warnings = current.Warnings
		progress.Batches = current.Batches
		progress.Requests = current.Requests
		progress.Reencoded = current.Reencoded
		if t.number == 0 { // both are counts of all tasks of the connector
			progress.Uncertain = int64(current.InDoubt)
			if progress.IsLagKnown = taskLag.isKnown.Load(); progress.IsLagKnown {
				progress.Lag = taskLag.group.Load()
			}
		}
		progress.CaughtUp = current.Unsettled == 0 && taskLag.task.Load() == 0
	}, func(s *TaskStatus) { t.fillVersions(s, sinkTask.Progress().Version, binding, transforms) })
	err = transforms.withPlugin(sinkTask.Run(ctx))
	if err == nil && ctx.Err() == nil && once && t.number == 0 && !run.controller.desiredSpec().sourcesRan {
		_, missing, err := tracker.currentEnds(ctx) // a misspelt name would go unnoticed
		if err != nil || len(missing) == 0 {
			return err
		}
		return fmt.Errorf("topics: expected topics that exist, found none with the name %s: the records of the other "+
			"topics were written; correct the name or bootstrap.servers (of the worker, or "+
			"consumer.override.bootstrap.servers), or create the topic", strings.Join(missing, ", "))
	}
	return err
}

func (t *task) sinkOptions(binding *plugin.Binding, transforms *chainFactory) sink.Options {
	run := t.run
	roles := run.config.Roles()
	return sink.Options{
		Connector: run.config.Name, Task: t.number, Component: run.component().Name, Settings: t.settings,
		Versions: sink.BoundVersions(binding, t.visibleSettings), Client: run.clients.client, Registry: run.registry(),
		Stages: sink.Stages{
			NewChain:           chainFunc(transforms, func(chain namedChain) sink.Chain { return chain }),
			NewConverters:      run.converters,
			NewHeaderConverter: run.headerConverter,
		},
		Limits: sink.Limits{
			BatchRows:   roles.Int(role.SinkFlushRows),
			Linger:      flushInterval(roles, run.options.Worker),
			InFlight:    roles.Int(role.SinkInFlight),
			StopTimeout: run.options.Worker.Duration(stopLimit),
			Memory:      run.options.Memory.Rows(),
		},
		ErrorHandling: sink.ErrorHandling{
			Tolerance: run.tolerance(),
			Retry:     run.retryPolicy(),
			Send:      config.List(run.config.Text("errors.uncertain.send")),
			Skip:      config.List(run.config.Text("errors.uncertain.skip")),
		},
		Shared: sink.Shared{Answered: &run.taskSet.answered, InDoubt: &run.taskSet.inDoubt,
			Revoked: &run.taskSet.revoked, Unmatched: run.taskSet.unmatched},
		Telemetry: sink.Telemetry{Metrics: t.metrics, Tracer: run.options.Tracer, Logger: run.options.Logger},
	}
}

// consumerOptions selects topics, which the plugin has returned, if the settings select no topics.
func (t *task) consumerOptions(topics []string, r kafka.Rebalances) kafka.ConsumerOptions {
	run := t.run
	options := kafka.ConsumerOptions{Group: config.ConsumerGroup(run.config.Name),
		ClientID: fmt.Sprintf("connector-consumer-%s-%d", run.config.Name, t.number),
		Topics:   config.List(run.config.Text("topics")), Regex: run.config.Text("topics.regex"), Rebalances: r}
	if len(options.Topics) == 0 && options.Regex == "" {
		options.Topics = topics
	}
	return options
}

// flushInterval returns the sink's own interval, or the worker's if only that is set, as in Kafka Connect.
func flushInterval(roles resolved.Roles, worker *config.Worker) time.Duration {
	const workerSetting = "offset.flush.interval.ms"
	if worker != nil && !roles.IsSet(role.SinkFlushIntervalMS) && worker.IsSet(workerSetting) {
		return worker.Duration(workerSetting)
	}
	return roles.Duration(role.SinkFlushIntervalMS)
}
