package connect

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/convert"
	"github.com/culvert-project/culvert/internal/deadletters"
	"github.com/culvert-project/culvert/internal/events"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/run/source"
	core "github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

// letterConnectors implements [deadletters.Connectors].
type letterConnectors struct{ herder *Herder }

// Topics implements [deadletters.Connectors].
func (l letterConnectors) Topics() map[string]string {
	topics := map[string]string{}
	for _, ctl := range l.herder.allControllers() {
		if topic, isCounted := ctl.deadLetterTopic(); topic != "" && isCounted {
			topics[ctl.name] = topic
		}
	}
	return topics
}

// Topic implements [deadletters.Connectors].
func (l letterConnectors) Topic(connector string) (topic string, isCounted bool, err error) {
	ctl, err := l.herder.find(connector)
	if err != nil {
		return "", false, err
	}
	topic, isCounted = ctl.deadLetterTopic()
	return topic, isCounted, nil
}

// deadLetterTopic returns the topic, "" for none. The worker that owns the connector counts its letters, if they have
// headers: only these name the connector.
func (ctl *controller) deadLetterTopic() (topic string, isCounted bool) {
	desired := ctl.desiredSpec()
	hasHeaders, _ := config.Boolean(desired.config.Setting(deadletters.HeadersSetting))
	return setting.Trim(desired.config.Text(deadletters.TopicSetting)), hasHeaders && desired.assignment.OwnsConnector
}

// OpenTask implements [deadletters.Connectors].
func (l letterConnectors) OpenTask(ctx context.Context, connector string) (*deadletters.Task, error) {
	ctl, err := l.herder.find(connector)
	if err != nil {
		return nil, err
	}
	run, err := ctl.openDetachedRun(ctx)
	if err != nil {
		return nil, err
	}
	return &deadletters.Task{Kafka: run.clients.kafka, Offsets: run.clients.offsets, OpenSender: run.openLetterSender,
		Close: run.closeOffsets}, nil
}

// openLetterSender opens what a task of a detached run needs, but does not run it.
func (run *connectorRun) openLetterSender(ctx context.Context, isTrial bool) (sender *deadletters.Sender, err error) {
	if err := run.accepted.Problems.Err(); err != nil {
		return nil, err
	}
	var cleanup []func()
	closeAll := func() {
		for _, end := range slices.Backward(cleanup) {
			end()
		}
	}
	defer func() {
		if err != nil {
			closeAll()
		}
	}()
	run.clients.registries.ctx = ctx
	run.clients.dryRun = isTrial
	if _, err := run.reloadSecrets(); err != nil {
		return nil, err
	}
	if err := run.openService(ctx); err != nil {
		return nil, err
	}
	cleanup = append(cleanup, run.clients.client.Close)
	if err := run.openTopicAdmin(); err != nil {
		return nil, err
	}
	if run.clients.admin != nil {
		cleanup = append(cleanup, run.clients.admin.Close)
	}
	binding, err := run.bind()
	if err != nil {
		return nil, err
	}
	cleanup = append(cleanup, binding.Close)
	transforms, err := newChainFactory(run)
	if err != nil {
		return nil, err
	}
	cleanup = append(cleanup, transforms.close)
	t := &task{run: run, settings: run.pluginSettings(binding.Current().Module())}
	sender = &deadletters.Sender{Config: run.config,
		Writer: t.deadLetterWriter(binding), KeyLocks: &run.controller.keyLocks, Close: closeAll}
	if run.isSink() {
		options := t.sinkOptions(binding, transforms)
		sender.Sink = &options
		return sender, nil
	}
	plan, err := run.callPlan(ctx, binding, 1) // one task, which reads all feeds
	if err != nil {
		return nil, err
	}
	t.settings = nil
	if len(plan.Tasks) > 0 {
		t.settings = plan.Tasks[0]
	}
	sender.Source = func(owner string, isTrial bool) (source.Options, func(context.Context)) {
		t.metrics = &core.Metrics{} // of the replay alone
		delivery := t.atLeastOnceDelivery(owner)
		if !isTrial { // a trial must not fence another replay
			delivery = t.newDelivery(owner, func(int) []string {
				return []string{run.options.Worker.Text("group.id") + "-" + run.config.Name + "-dlq"}
			})
		}
		return t.sourceOptions(delivery, binding, transforms), delivery.close
	}
	return sender, nil
}

// deadLetterWriter returns a writer of dead letters, without their topic.
func (t *task) deadLetterWriter(binding *plugin.Binding) *deadletters.Writer {
	run := t.run
	return &deadletters.Writer{Task: t.number, Config: run.config, Kafka: run.clients.kafka,
		Module:           func() plugin.Info { return binding.Current().Module() },
		ConverterOptions: func(isKey bool) convert.Options { return run.converterUse(isKey) }, Log: run.log}
}

// openDeadLetters creates a missing topic and returns its writer, nil if the connector names no topic or tolerates no
// errors.
func (t *task) openDeadLetters(ctx context.Context, binding *plugin.Binding) (*deadletters.Writer, error) {
	run := t.run
	topic := setting.Trim(run.config.Text(deadletters.TopicSetting))
	if topic == "" || !run.tolerance().TolerateAll {
		return nil, nil
	}
	w := t.deadLetterWriter(binding)
	w.Topic = topic
	w.HasHeaders = run.boolean(deadletters.HeadersSetting)
	return w, w.EnsureTopic(ctx, run.options.reserved)
}

// DeadLetterSummary is [deadletters.Queues.Summary].
func (h *Herder) DeadLetterSummary(name string) deadletters.Summary { return h.letters.Summary(name) }

// ListDeadLetters is [deadletters.Queues.List].
func (h *Herder) ListDeadLetters(ctx context.Context, name string, query deadletters.Query,
	handle func(deadletters.ListedLetter) error) (deadletters.Page, error) {
	return h.letters.List(ctx, name, query, handle)
}

// Replay is [deadletters.Queues.Replay].
func (h *Herder) Replay(ctx context.Context, r deadletters.Request) (deadletters.Result, error) {
	return h.letters.Replay(ctx, r)
}

// ErrNotRunning means that the connector is paused or stopped.
var ErrNotRunning = errors.New("the connector is paused or stopped: resume it, then replay its dead letters")

// ReplayConnector is [deadletters.Queues.ReplayConnector]. It returns [ErrNotRunning] if the connector is paused or
// stopped, after queued requests are handled.
func (h *Herder) ReplayConnector(ctx context.Context, name string,
	r deadletters.Request) (result deadletters.Result, err error) {
	ctl, err := h.find(name)
	if err != nil {
		return result, err
	}
	response := make(chan TargetState, 1)
	ctl.enqueue(event{apply: func(context.Context) { response <- ctl.desiredSpec().target }})
	select {
	case target := <-response:
		if target != Running && !r.DryRun {
			return result, ErrNotRunning
		}
	case <-ctl.done:
		return result, fmt.Errorf("%s: %w", name, ErrUnknownConnector)
	case <-ctx.Done():
		return result, ctx.Err()
	}
	result, err = h.letters.ReplayConnector(ctx, name, r)
	if result.Sent > 0 && !r.DryRun {
		h.Events().Record(ctx, events.Event{Connector: name, Kind: "replayed", Text: fmt.Sprintf("dead letters: "+
			"%d sent, %d delivered, %d refused again", result.Sent, result.Delivered, result.Rejected)})
	}
	return result, err
}

// DiscardDeadLetters is [deadletters.Queues.Discard].
func (h *Herder) DiscardDeadLetters(ctx context.Context, name string,
	filter deadletters.Filter) (deadletters.Result, error) {
	result, err := h.letters.Discard(ctx, name, filter)
	if result.Discarded > 0 {
		h.Events().Record(ctx, events.Event{Connector: name, Kind: "discarded",
			Text: fmt.Sprintf("dead letters: %d", result.Discarded)})
	}
	return result, err
}
