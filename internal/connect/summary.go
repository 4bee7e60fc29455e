package connect

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/deadletters"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/kafka/security"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/run/sink"
	"github.com/culvert-project/culvert/internal/shown"
	"github.com/culvert-project/culvert/internal/transport/limits"
	"github.com/culvert-project/culvert/internal/transport/lockouts"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/wit"
)

// Summary describes the condition of a connector and its tasks.
type Summary struct {
	Name       string
	Type       string
	Class      string
	Config     *resolved.Connector
	Components []ComponentStatus
}

// ComponentStatus is the condition of a connector or of one of its tasks.
type ComponentStatus struct {
	Task     int // -1 for the connector itself
	WorkerID string
	// Local means that this worker runs the component. Otherwise only the group's status topic was read.
	Local     bool
	State     State
	Condition Condition
	Since     time.Time // when the condition began; zero means unknown
	// RestartsAt is when the component restarts by itself, or its maintenance window ends. Zero means that it does not.
	RestartsAt time.Time
	Note       string  // is shown with any condition, such as a limit of the user
	Cause      string  // one line without secrets
	Kind       string  // a kind of [wit.Error], "kafka", or ""
	Action     *Action // nil if no action helps
	Activity   Activity
}

// causeLine returns the first line of an error, with the reason before the record. It leaves such a line unchanged.
func causeLine(text string) string { return shown.Line(reasonOf(text)) }

func reasonOf(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return sink.ReasonFirst(line)
}

// IsAllOf reports whether a cause contains the whole error text.
func IsAllOf(text, cause string) bool { return sink.ReasonFirst(text) == cause }

// RefusedCause is the cause of [ConditionRefusing] for users who may not see values of records, which reasons may
// quote.
const RefusedCause = "a record was refused in the last 10 minutes"

// RemoteStatus returns the status of a component of which only the status topic was read. restartsAt is when it
// restarts by itself, in RFC 3339; empty means that it does not.
func RemoteStatus(task int, state State, worker, trace, restartsAt string) ComponentStatus {
	component := ComponentStatus{Task: task, WorkerID: worker, State: state}
	if state == Failed {
		component.RestartsAt, _ = time.Parse(time.RFC3339, restartsAt)
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

// SetUnknown records that the worker does not answer. Failures and target states remain known.
func (c *ComponentStatus) SetUnknown(reason string) {
	if c.Condition.Precedence() >= 0 {
		*c = ComponentStatus{Task: c.Task, WorkerID: c.WorkerID, State: c.State, Condition: ConditionUnknown,
			Cause: causeLine(reason)}
	}
}

// Summaries returns the conditions of all connectors, sorted by name. [Herder.Hour] has the last hour.
func (h *Herder) Summaries() (summaries []Summary) {
	for _, ctl := range h.allControllers() {
		summaries = append(summaries, ctl.observe().summary())
	}
	return summaries
}

func (v *view) summary() Summary {
	summary := Summary{Name: v.name, Type: v.currentRun.kind(), Config: v.config,
		Class: shown.Line(v.redact(v.config.Text("connector.class")))}
	components := append(make([]ComponentStatus, 0, 1+len(v.tasks)), v.ownStatus())
	for i := range v.tasks {
		progress := v.tasks[i].currentProgress()
		components = append(components, v.taskStatus(&v.tasks[i], &progress))
	}
	summary.Components = components
	return summary
}

// ownStatus returns the status of the connector itself. While it runs, it is idle: the conditions of its tasks count.
func (v *view) ownStatus() ComponentStatus {
	component := ComponentStatus{Task: -1, WorkerID: v.options.WorkerID, State: v.state, Since: v.stateSince,
		Local: v.assignment.OwnsConnector}
	isPlanned := len(v.tasks) > 0 || v.assignment.TaskConfigs != nil // other workers may run the tasks
	facts := evidence{target: v.target, hasStarted: isPlanned, isCaughtUp: true}
	if v.options.Group.InGroup() {
		facts.state = v.state
	}
	if v.currentRun.isSink() {
		component.Activity.Topics = v.sinkTopics()
	}
	if err := v.rejected.Err(); err != nil {
		component.Cause = err.Error()
		component.Kind = wit.ErrorConfig.String()
		component.Action = v.changeAction("edit", firstProblem(v.rejected))
	}
	if v.state == Failed && v.err != nil {
		facts.hasFailed = true
		facts.willRestart = !v.restartsAt.IsZero()
		v.setFailed(&component, v.err, v.restartsAt)
	}
	component.Cause = causeLine(v.redact(component.Cause))
	component.Condition = facts.condition(time.Now())
	if component.Condition == ConditionPaused || component.Condition == ConditionStopped {
		component.Action = &Action{Do: "resume"}
	}
	return component
}

// sinkTopics returns the topics that the settings name. It returns no topics for a sink with topics.regex.
func (v *view) sinkTopics() []string {
	topics := config.List(v.config.Text("topics"))
	if len(topics) > 0 || v.config.Text("topics.regex") != "" {
		return topics
	}
	for _, entry := range v.currentRun.config.SinkTopics() {
		topics = union(topics, []string{resolved.TopicOf(entry)})
	}
	return topics
}

// taskStatus returns the status of a task, and sets the conditions of the feeds in progress.
func (v *view) taskStatus(task *taskView, progress *Progress) ComponentStatus {
	component := ComponentStatus{Task: task.number, WorkerID: v.options.WorkerID, Local: true, State: task.state,
		Since: task.clock.stateSince, Activity: taskActivity(progress)}
	facts := evidence{target: task.state, hasStarted: task.fillProgress != nil, isCaughtUp: progress.CaughtUp,
		lastRefused: progress.Refusal.Last, readingSince: earliestReading(progress.Feeds)}
	var unavailableSince time.Time // when the service or Kafka stopped answering
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
	// Since, cause and action depend on the condition.
	switch component.Condition {
	case ConditionAway:
		component.Since = task.failingSince
		if facts.isAway {
			component.Since = unavailableSince
		}
	case ConditionRefusing:
		component.Since = progress.Refusal.Since
		component.Cause = deadletters.CauseText(reasonOf(v.redact(progress.Refusal.Err.Error())))
		component.Action = &Action{Do: "log"}
		if v.config.Text(deadletters.TopicSetting) != "" {
			component.Action.Do = "letters"
		}
	case ConditionLoading:
		component.Since = facts.readingSince
	case ConditionWaiting:
		component.Since = facts.waits.Since
		component.RestartsAt = v.client.Window()
		component.Cause = strings.Join(facts.waits.Reasons, "; ")
	case ConditionIdle:
		if progress.Flow.LastActive.After(component.Since) {
			component.Since = progress.Flow.LastActive
		}
	case ConditionRunning:
		if time.Since(progress.Flow.LastActive) < time.Minute { // else rows have paused since
			component.Since = progress.Flow.ActiveSince
		}
	}
	if limit := facts.waits.PerSecond; limit > 0 && component.State == Running {
		component.Note = fmt.Sprintf("limited to %v requests a second", limit)
		if limit == 1 {
			component.Note = "limited to 1 request a second"
		}
		if component.Action == nil && v.currentRun.config.Roles().IsSet(role.RequestsPerSecond) {
			component.Action = v.roleAction("limit", role.RequestsPerSecond)
		}
	} else if component.Condition == ConditionLoading {
		component.Note = shown.Line(v.redact(strings.Join(facts.waits.Reasons, "; ")))
	}
	component.Cause = causeLine(v.redact(component.Cause))
	for i := range progress.Feeds {
		progress.Feeds[i].State = string(component.feedCondition(&progress.Feeds[i], time.Now()))
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

// earliestReading returns when the first of the feeds that are read began. Zero means that no feed is read.
func earliestReading(feeds []FeedProgress) (earliest time.Time) {
	for i := range feeds {
		since := feeds[i].ReadingSince
		if since != nil && (earliest.IsZero() || since.Before(earliest)) {
			earliest = *since
		}
	}
	return earliest
}

// setAway sets cause and kind if the service or Kafka does not answer. It returns since when; zero means that both do.
func (v *view) setAway(component *ComponentStatus, waits *limits.Wait) time.Time {
	if since := v.client.AwaySince(); !since.IsZero() && !waits.ByService { // else it answers, with a requested pause
		component.Kind = wit.ErrorTransient.String()
		component.Cause = v.client.Origin() + " does not answer, or is not available"
		return since
	}
	since := v.currentRun.clients.kafka.Unreachable(v.currentRun.isSink())
	if !since.IsZero() {
		component.Kind = wit.ErrorTransient.String()
		component.Cause = "Kafka does not answer"
	}
	return since
}

func (v *view) setFailed(component *ComponentStatus, err error, restartsAt time.Time) {
	component.State = Failed
	component.RestartsAt = restartsAt
	reason := reasonOf(v.redact(err.Error()))
	if !restartsAt.IsZero() && isKafkaFault(err) {
		reason = "Kafka: " + reason
	}
	component.Cause = reason
	component.Action = &Action{Do: "restart"}
	var witError *wit.Error
	var problems config.Problems
	switch {
	case errors.As(err, &problems):
		component.Kind = wit.ErrorConfig.String()
		component.Action = v.changeAction("edit", firstProblem(problems))
	case errors.As(err, new(*security.Denied)):
		component.Kind = "kafka"
	case errors.As(err, &witError):
		component.Kind = witError.Kind.String()
		do := "edit"
		if errors.As(err, new(*lockouts.LockedOut)) {
			do = "logon"
		}
		switch {
		case witError.Setting != nil:
			component.Action = v.changeAction(do, v.config.Locate(config.Problem{Setting: *witError.Setting}))
		case witError.Kind == wit.ErrorUnauthorized && v.currentRun.config.Roles().IsSet(role.Password):
			component.Action = v.roleAction(do, role.Password)
		case do == "logon":
			component.Action = &Action{Do: do}
		}
	}
}

// roleAction returns the action that changes the setting of a role.
func (v *view) roleAction(do, roleName string) *Action {
	return v.changeAction(do, v.config.Locate(config.Problem{Setting: v.currentRun.config.Roles().Setting(roleName)}))
}

// changeAction returns the action that changes the setting of a problem, with its place if the connector is in a file.
func (v *view) changeAction(do string, p config.Problem) *Action {
	action := &Action{Do: do, Setting: p.Setting}
	if v.config.Version == "" {
		action.File = p.File
		action.Line = p.Line
	}
	return action
}

// firstProblem returns the first error of a setting, or else of the whole configuration.
func firstProblem(problems config.Problems) (first config.Problem) {
	for _, problem := range problems {
		switch {
		case problem.Warning:
			// it is no reason
		case problem.Setting != "":
			return problem
		case first.Text == "":
			first = problem
		}
	}
	return first
}

// isKafkaFault reports whether brokers caused a transient error. Errors of services are [wit.Error]s.
func isKafkaFault(err error) bool {
	return errors.As(err, new(*kerr.Error)) || errors.Is(err, kgo.ErrRecordTimeout) ||
		errors.Is(err, kgo.ErrRecordRetries) || kafka.IsTransactionTimeout(err) ||
		(!errors.As(err, new(*wit.Error)) && security.IsTransient(err))
}
