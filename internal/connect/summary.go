package connect

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/components"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/kafka/security"
	"github.com/culvert-project/culvert/internal/run/sink"
	"github.com/culvert-project/culvert/internal/shown"
	"github.com/culvert-project/culvert/internal/transport/limits"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/wit"
)

// Summary describes the condition of a connector and its tasks.
type Summary struct {
	Name       string
	Type       string
	Class      string
	Config     *config.Connector
	Components []ComponentStatus
}

// ComponentStatus is the condition of a connector (Task is -1) or of one of its tasks.
type ComponentStatus struct {
	Task     int
	WorkerID string
	// Local means that this worker runs it. If not, only the group's status topic was read.
	Local     bool
	State     State
	Condition Condition
	// Since is when the condition began; zero means unknown. RestartsAt is when the component restarts by itself, or
	// its maintenance window ends; zero means that it does not.
	Since      time.Time
	RestartsAt time.Time
	// Note is in addition to any condition, such as a limit of the user.
	Note string
	// Cause is one line without secrets. Kind is a kind of [wit.Error], "kafka", or "".
	Cause    string
	Kind     string
	Action   *Action
	Activity Activity
}

// causeLine returns the first line of an error for lists, with the reason before the record, since columns are narrow.
func causeLine(text string) string { return shown.LineUpTo(reasonOf(text), causeLength) }

// causeLength is in characters. What is longer ends with how much was cut off.
const causeLength = 270

func reasonOf(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return sink.ReasonFirst(line)
}

// IsAllOf reports whether a cause contains the whole error text.
func IsAllOf(text, cause string) bool { return sink.ReasonFirst(text) == cause }

// RemoteStatus returns the status of a component of which only the status topic was read. restarts is when it restarts
// by itself, in RFC 3339; empty means that it does not.
func RemoteStatus(task int, state State, worker, trace, restarts string) ComponentStatus {
	component := ComponentStatus{Task: task, WorkerID: worker, State: state}
	if state == Failed {
		component.RestartsAt, _ = time.Parse(time.RFC3339, restarts)
	}
	facts := evidence{hasFailed: state == Failed, willRestart: !component.RestartsAt.IsZero(), state: state,
		target: state, hasStarted: true, isCaughtUp: task < 0}
	component.Condition = facts.condition(time.Now())
	switch component.Condition {
	case ConditionFailed, ConditionAway:
		component.Cause = causeLine(trace)
		component.Action = &Action{Do: "restart"}
	case ConditionUnassigned:
		component.Cause = "no worker runs this task at the moment"
		if task < 0 {
			component.Cause = "no worker runs this connector at the moment"
		}
	}
	return component
}

// SetUnknown marks a component of which the worker does not answer. A failure and a target state are known without it.
func (c *ComponentStatus) SetUnknown(reason string) {
	if c.Condition.Precedence() >= 0 {
		*c = ComponentStatus{Task: c.Task, WorkerID: c.WorkerID, State: c.State, Condition: ConditionUnknown,
			Cause: causeLine(reason)}
	}
}

// Summaries returns the conditions of all connectors, sorted by name. [Herder.Hour] has the last hour.
func (h *Herder) Summaries() (list []Summary) {
	for _, ctl := range h.allControllers() {
		list = append(list, ctl.observe().summary())
	}
	return list
}

func (v *view) summary() Summary {
	summary := Summary{Name: v.name, Type: v.currentRun.kind(), Config: v.config,
		Class: shown.Line(v.redact(v.config.Text("connector.class")))}
	components := append(make([]ComponentStatus, 0, 1+len(v.tasks)), v.ownStatus())
	for i := range v.tasks {
		current := v.tasks[i].currentProgress()
		components = append(components, v.taskStatus(&v.tasks[i], &current))
	}
	summary.Components = components
	return summary
}

// ownStatus returns the status of the connector itself. While it runs, its tasks decide.
func (v *view) ownStatus() ComponentStatus {
	component := ComponentStatus{Task: -1, WorkerID: v.options.WorkerID, State: v.state, Since: v.stateSince,
		Local: v.assignment.Standalone || v.assignment.OwnsConnector}
	isPlanned := len(v.tasks) > 0 || v.assignment.TaskConfigs != nil // other workers may run the tasks
	facts := evidence{target: v.target, hasStarted: isPlanned, isCaughtUp: true}
	if !v.assignment.Standalone {
		facts.state = v.state
	}
	if v.currentRun.isSink() {
		component.Activity.Topics = v.sinkTopics()
	}
	if refused := v.rejected.Err(); refused != nil {
		component.Cause = causeLine(v.redact(refused.Error()))
		component.Kind = wit.ErrorConfig.String()
		component.Action = &Action{Do: "edit", Setting: firstSetting(v.rejected)}
	}
	if v.state == Failed && v.err != nil {
		facts.hasFailed = true
		facts.willRestart = !v.restartsAt.IsZero()
		v.setFailed(&component, v.err, v.restartsAt)
	}
	component.Condition = facts.condition(time.Now())
	if component.Condition == ConditionPaused || component.Condition == ConditionStopped {
		component.Action = &Action{Do: "resume"}
	}
	return component
}

// sinkTopics returns the topics of the settings; a sink with topics.regex has none there.
func (v *view) sinkTopics() []string {
	topics := config.List(v.config.Text("topics"))
	if len(topics) > 0 || v.config.Text("topics.regex") != "" {
		return topics
	}
	for _, entry := range components.TopicSettings(v.config, v.currentRun.class.component) {
		topics = union(topics, []string{components.TopicOf(entry)})
	}
	return topics
}

// taskStatus also sets the conditions of the feeds in current.
func (v *view) taskStatus(task *taskView, current *Progress) ComponentStatus {
	component := ComponentStatus{Task: task.number, WorkerID: v.options.WorkerID, Local: true, State: task.state,
		Since: task.clock.stateSince, Activity: taskActivity(current)}
	facts := evidence{target: task.state, hasStarted: task.fillProgress != nil, isCaughtUp: current.CaughtUp,
		lastRefused: current.LastRefused, readingSince: earliestReading(current.Feeds)}
	var unavailableSince time.Time
	switch {
	case task.err != nil:
		facts.hasFailed = true
		facts.willRestart = !task.restartsAt.IsZero()
		v.setFailed(&component, task.err, task.restartsAt)
	case task.state == Running && v.client != nil:
		facts.waits = v.client.Waits()
		unavailableSince = v.setAway(&component, &facts.waits)
		facts.isAway = !unavailableSince.IsZero()
	}
	component.Condition = facts.condition(time.Now())
	switch component.Condition {
	case ConditionAway:
		component.Since = task.failingSince
		if facts.isAway {
			component.Since = unavailableSince
		}
	case ConditionRefusing:
		component.Since = current.LastRefused
		component.Cause = "a record was refused in the last 10 minutes"
		component.Action = &Action{Do: "log"}
		if v.config.Text(deadLetterTopic) != "" {
			component.Action.Do = "letters"
		}
	case ConditionLoading:
		component.Since = facts.readingSince
	case ConditionWaiting:
		component.Since = facts.waits.Since
		component.RestartsAt = v.client.Window()
		component.Cause = strings.Join(facts.waits.Reasons, "; ")
	case ConditionIdle:
		if current.Flow.LastActive.After(component.Since) {
			component.Since = current.Flow.LastActive
		}
	case ConditionRunning:
		if time.Since(current.Flow.LastActive) < time.Minute {
			component.Since = current.Flow.ActiveSince
		}
	}
	if limit := facts.waits.PerSecond; limit > 0 && component.State == Running {
		component.Note = fmt.Sprintf("limited to %v requests a second", limit)
		if limit == 1 {
			component.Note = "limited to 1 request a second"
		}
		if component.Action == nil && v.currentRun.roles().IsSet(role.RequestsPerSecond) {
			component.Action = &Action{Do: "limit", Setting: v.currentRun.roles().Setting(role.RequestsPerSecond)}
		}
	}
	component.Cause = causeLine(v.redact(component.Cause))
	for i := range current.Feeds {
		current.Feeds[i].State = string(component.feedCondition(&current.Feeds[i], time.Now()))
	}
	return component
}

// feedCondition returns the condition of a feed: its task's, unless it depends on the feed alone.
func (c *ComponentStatus) feedCondition(feed *FeedProgress, now time.Time) Condition {
	switch c.Condition {
	case ConditionLoading, ConditionRunning, ConditionIdle:
		facts := evidence{hasStarted: true, isCaughtUp: feed.CaughtUp}
		if feed.ReadingSince != nil {
			facts.readingSince = *feed.ReadingSince
		}
		return facts.condition(now)
	}
	return c.Condition
}

func earliestReading(feeds []FeedProgress) (since time.Time) {
	for i := range feeds {
		began := feeds[i].ReadingSince
		if began != nil && (since.IsZero() || began.Before(since)) {
			since = *began
		}
	}
	return since
}

// setAway returns since when the service or Kafka has not answered, zero if they do, and records which one.
func (v *view) setAway(p *ComponentStatus, waits *limits.Wait) time.Time {
	if since := v.client.AwaySince(); !since.IsZero() && !waits.ByService {
		p.Kind = wit.ErrorTransient.String()
		p.Cause = v.client.Origin() + " does not answer, or is not available"
		return since
	}
	since := v.currentRun.clients.kafka.Unreachable(v.currentRun.isSink())
	if !since.IsZero() {
		p.Kind = wit.ErrorTransient.String()
		p.Cause = "Kafka does not answer"
	}
	return since
}

func (v *view) setFailed(p *ComponentStatus, fault error, restartsAt time.Time) {
	p.State = Failed
	p.RestartsAt = restartsAt
	reason := reasonOf(v.redact(fault.Error()))
	if !restartsAt.IsZero() && isKafkaFault(fault) {
		reason = "Kafka: " + reason
	}
	p.Cause = shown.LineUpTo(reason, causeLength)
	p.Action = &Action{Do: "restart"}
	var witError *wit.Error
	var problems config.Problems
	switch {
	case errors.As(fault, &problems):
		p.Kind = wit.ErrorConfig.String()
		p.Action = &Action{Do: "edit", Setting: firstSetting(problems)}
	case errors.As(fault, new(*security.Denied)):
		p.Kind = "kafka"
	case errors.As(fault, &witError):
		p.Kind = witError.Kind.String()
		switch {
		case witError.Setting != nil:
			p.Action = &Action{Do: "edit", Setting: *witError.Setting}
		case witError.Kind == wit.ErrorUnauthorized && v.currentRun.roles().IsSet(role.Password):
			p.Action = &Action{Do: "edit", Setting: v.currentRun.roles().Setting(role.Password)}
		}
	}
}

func firstSetting(problems config.Problems) string {
	for _, problem := range problems {
		if problem.Setting != "" && !problem.Warning {
			return problem.Setting
		}
	}
	return ""
}

// isKafkaFault reports whether brokers caused a transient error. Errors of services are [wit.Error]s.
func isKafkaFault(fault error) bool {
	return errors.As(fault, new(*kerr.Error)) || errors.Is(fault, kgo.ErrRecordTimeout) ||
		errors.Is(fault, kgo.ErrRecordRetries) || kafka.IsTransactionTimeout(fault) ||
		(!errors.As(fault, new(*wit.Error)) && security.IsTransient(fault))
}
