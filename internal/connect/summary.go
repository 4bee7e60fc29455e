package connect

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/kafka/security"
	"github.com/culvert-project/culvert/internal/shown"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/wit"
)

// Conditions lists the one-word conditions of connectors and tasks, the most severe first.
var Conditions = []string{"failed", "paused", "stopped", waitingForService, waitingForKafka, "maintenance",
	"throttled", "running", "idle"}

const (
	waitingForService = "waiting-for-service"
	waitingForKafka   = "waiting-for-kafka"
)

// Summary describes the condition of a connector and its tasks.
type Summary struct {
	Name, Type, Class string
	Config            *config.Connector
	Components        []ComponentStatus
}

// ComponentStatus is the condition of a connector (Task is -1) or of one of its tasks.
type ComponentStatus struct {
	Task     int
	WorkerID string
	// Local means that this worker runs it. If not, only the group's status topic was read.
	Local bool
	State State
	// Condition is one of [Conditions]. Since is when it began; zero means unknown. RestartsAt is when the component
	// restarts by itself; zero means that it does not.
	Condition         string
	Since, RestartsAt time.Time
	// Cause is one line without secrets. Kind is a kind of [wit.Error], "kafka", or "".
	Cause, Kind string
	// RowsPerSecond is the mean of the last minute. Rejected counts rejected, tolerated rows since the task was
	// created.
	RowsPerSecond float64
	Rejected      int64
}

func causeLine(text string) string {
	text, _, _ = strings.Cut(strings.TrimSpace(text), "\n")
	return shown.LineUpTo(text, 270) // Within adds how much it cut off
}

// RemoteStatus returns the status of a component of which only the state is known.
func RemoteStatus(task int, state State, worker, trace string) ComponentStatus {
	component := ComponentStatus{Task: task, WorkerID: worker, State: state, Condition: "running"}
	switch {
	case state == Failed:
		component.Condition, component.Cause = "failed", causeLine(trace)
	case state == Unassigned && task >= 0:
		component.Cause = "no worker runs this task at the moment"
	case task < 0:
		component.Condition = "idle" // its tasks have the details
	}
	return component
}

// Summaries returns the conditions of all connectors, sorted by name.
func (h *Herder) Summaries() (list []Summary) {
	for _, ctl := range h.all() {
		list = append(list, ctl.observe().summary())
	}
	return list
}

func (v *view) summary() Summary {
	summary := Summary{Name: v.name, Type: v.currentRun.kind(), Config: v.config,
		Class: shown.Line(v.redact(v.config.Text("connector.class")))}
	ownStatus := RemoteStatus(-1, v.state, v.options.WorkerID, "")
	ownStatus.Local, ownStatus.Since = v.assignment.Standalone || v.assignment.OwnsConnector, v.stateSince
	if refused := v.rejected.Err(); refused != nil {
		ownStatus.Cause, ownStatus.Kind = causeLine(v.redact(refused.Error())), wit.ErrorConfig.String()
	}
	switch {
	case v.state == Failed && v.err != nil:
		ownStatus.setFailed(v.err, v.restartsAt, v.redact)
	case v.target == Paused:
		ownStatus.Condition = "paused"
	case v.target == Stopped:
		ownStatus.Condition = "stopped"
	}
	summary.Components = []ComponentStatus{ownStatus}
	for _, task := range v.tasks {
		current := task.currentProgress()
		component := ComponentStatus{Task: task.number, WorkerID: v.options.WorkerID, Local: true, State: task.state,
			Condition: "running",
			Since:     task.clock.stateSince, RowsPerSecond: current.Flow.Rows, Rejected: current.Failed}
		switch {
		case task.err != nil:
			component.setFailed(task.err, task.restartsAt, v.redact)
		case task.state == Running && v.client != nil:
			component.setWorking(v.client, &current)
			component.Cause = causeLine(v.redact(component.Cause))
		}
		summary.Components = append(summary.Components, component)
	}
	return summary
}

func (p *ComponentStatus) setWorking(client *transport.Client, current *Progress) {
	waits, unavailableSince, until := client.Waits(), client.AwaySince(), client.Window()
	switch {
	case !unavailableSince.IsZero() && !waits.ByService:
		p.Condition, p.Since, p.Kind = waitingForService, unavailableSince, wit.ErrorTransient.String()
		p.Cause = client.Origin() + " does not answer, or is not available"
	case !until.IsZero():
		p.Condition, p.Since, p.RestartsAt, p.Cause = "maintenance", waits.Since, until,
			strings.Join(waits.Reasons, "; ")
	case len(waits.Reasons) > 0:
		p.Condition, p.Since, p.Cause = "throttled", waits.Since, strings.Join(waits.Reasons, "; ")
	case current.CaughtUp:
		if p.Condition = "idle"; current.Flow.LastActive.After(p.Since) {
			p.Since = current.Flow.LastActive
		}
	case time.Since(current.Flow.LastActive) < time.Minute:
		p.Since = current.Flow.ActiveSince
	}
}

func (p *ComponentStatus) setFailed(fault error, next time.Time, redact func(string) string) {
	p.Condition, p.State, p.RestartsAt, p.Cause = "failed", Failed, next, causeLine(redact(fault.Error()))
	if !next.IsZero() {
		p.Condition = waitingForService
		if isKafkaFault(fault) {
			p.Condition = waitingForKafka
		}
	}
	var witError *wit.Error
	switch {
	case errors.As(fault, new(config.Problems)):
		p.Kind = wit.ErrorConfig.String()
	case errors.As(fault, new(*security.Denied)):
		p.Kind = "kafka"
	case errors.As(fault, &witError):
		p.Kind = witError.Kind.String()
	}
}

// isKafkaFault reports whether brokers caused a transient error. Errors of services are [wit.Error]s.
func isKafkaFault(fault error) bool {
	return errors.As(fault, new(*kerr.Error)) || errors.Is(fault, kgo.ErrRecordTimeout) ||
		errors.Is(fault, kgo.ErrRecordRetries) || kafka.IsTransactionTimeout(fault) ||
		(!errors.As(fault, new(*wit.Error)) && security.IsTransient(fault))
}

// Severity returns the index of a condition in [Conditions]; unknown conditions come last.
func Severity(condition string) int {
	if at := slices.Index(Conditions, condition); at >= 0 {
		return at
	}
	return len(Conditions)
}
