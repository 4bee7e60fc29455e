package connect

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/kafka/security"
	"github.com/culvert-project/culvert/host/shown"
	"github.com/culvert-project/culvert/host/transport"
	"github.com/culvert-project/culvert/wit"
)

// Conditions are states of a connector in one word, the most urgent ones first.
var Conditions = []string{"failed", "paused", "stopped", waitingForService, "maintenance", "throttled", "running", "idle"}

// waitingForService is the condition of what goes on by itself when its service, or the way to it, is there again.
const waitingForService = "waiting-for-service"

// Summary is what is known of a connector: first of itself, then of its tasks.
type Summary struct {
	Name, Type, Class string
	// Config is the configuration that counts.
	Config     *config.Connector
	Components []ComponentStatus
}

// ComponentStatus is what is known of a connector itself, with Task -1, or of a task.
type ComponentStatus struct {
	Task     int
	WorkerID string
	// Local: this worker runs it, else it knows no more than the group's topics say.
	Local bool
	State State
	// Condition is one of [Summaries], Since is when the part came to it; zero: nobody knows. Next is when it is to go
	// on by itself, zero where no clock says that.
	Condition         string
	Since, RestartsAt time.Time
	// Cause is a line of why, without secrets; Kind is that of the failure: a kind of [wit.HeaderError], or kafka, or
	// "".
	Cause, Kind string
	// RowsPerSecond that were delivered in a second, as the mean of the last minute; Refused are those that were
	// refused and tolerated since the task was made.
	RowsPerSecond float64
	Rejected      int64
}

// causeLine is the first line of a text, of 300 characters at most.
func causeLine(text string) string {
	text, _, _ = strings.Cut(strings.TrimSpace(text), "\n")
	return shown.Within(text, 270) // which adds how much is left out
}

// RemoteStatus is a task, or a connector, of which no more is known than its state.
func RemoteStatus(task int, state State, worker, trace string) ComponentStatus {
	p := ComponentStatus{Task: task, WorkerID: worker, State: state, Condition: "running"}
	switch {
	case state == Failed:
		p.Condition, p.Cause = "failed", causeLine(trace)
	case state == Unassigned && task >= 0:
		p.Cause = "no worker runs all of its tasks at the moment"
	case task < 0:
		p.Condition = "idle" // its tasks say more
	}
	return p
}

// Summaries are those of all connectors, by name.
func (h *Herder) Summaries() (list []Summary) {
	for _, k := range h.all() {
		list = append(list, k.observe().summary())
	}
	return list
}

func (v *view) summary() Summary {
	c := Summary{Name: v.name, Type: v.currentRun.kind(), Config: v.config,
		Class: shown.Line(v.redact(v.config.Text("connector.class")))}
	own := RemoteStatus(-1, v.state, v.options.WorkerID, "")
	own.Local, own.Since = v.assignment.Standalone || v.assignment.OwnsConnector, v.stateSince
	if refused := v.rejected.Err(); refused != nil {
		own.Cause, own.Kind = causeLine(v.redact(refused.Error())), wit.ErrorConfig.String()
	}
	switch {
	case v.state == Failed && v.err != nil:
		own.setFailed(v.err, v.restartsAt, v.redact)
	case v.target == Paused:
		own.Condition = "paused"
	case v.target == Stopped:
		own.Condition = "stopped"
	}
	c.Components = []ComponentStatus{own}
	for _, t := range v.tasks {
		now := t.currentProgress()
		p := ComponentStatus{Task: t.number, WorkerID: v.options.WorkerID, Local: true, State: t.state, Condition: "running",
			Since: t.clock.stateSince, RowsPerSecond: now.Flow.Rows, Rejected: now.Failed}
		switch {
		case t.err != nil:
			p.setFailed(t.err, t.restartsAt, v.redact)
		case t.state == Running && v.client != nil:
			p.setWorking(v.client, &now)
			p.Cause = causeLine(v.redact(p.Cause))
		}
		c.Components = append(c.Components, p)
	}
	return c
}

// setWorking tells what a task that runs does.
func (p *ComponentStatus) setWorking(client *transport.Client, now *Progress) {
	waits, unavailableSince, until := client.Waits(), client.AwaySince(), client.Window()
	switch {
	case !unavailableSince.IsZero() && !waits.Asked:
		p.Condition, p.Since, p.Kind = waitingForService, unavailableSince, wit.ErrorTransient.String()
		p.Cause = client.Origin() + " does not answer, or is not available"
	case !until.IsZero():
		p.Condition, p.Since, p.RestartsAt, p.Cause = "maintenance", waits.Since, until,
			strings.Join(waits.Reasons, "; ")
	case len(waits.Reasons) > 0:
		p.Condition, p.Since, p.Cause = "throttled", waits.Since, strings.Join(waits.Reasons, "; ")
	case now.CaughtUp:
		if p.Condition = "idle"; now.Flow.LastActive.After(p.Since) {
			p.Since = now.Flow.LastActive
		}
	case time.Since(now.Flow.LastActive) < time.Minute:
		p.Since = now.Flow.ActiveSince
	}
}

// setFailed tells why the part has failed; next is when it goes on by itself.
func (p *ComponentStatus) setFailed(fault error, next time.Time, redact func(string) string) {
	p.Condition, p.State, p.RestartsAt, p.Cause = "failed", Failed, next, causeLine(redact(fault.Error()))
	if !next.IsZero() {
		p.Condition = waitingForService
	}
	var of *wit.Error
	switch {
	case errors.As(fault, new(config.Problems)):
		p.Kind = wit.ErrorConfig.String()
	case errors.As(fault, new(*security.Denied)):
		p.Kind = "kafka"
	case errors.As(fault, &of):
		p.Kind = of.Kind.String()
	}
}

// Severity is the place of a word among [Summaries], after all of them for any other.
func Severity(word string) int {
	if at := slices.Index(Conditions, word); at >= 0 {
		return at
	}
	return len(Conditions)
}
