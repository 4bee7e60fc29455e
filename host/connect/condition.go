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
var Conditions = []string{"failed", "paused", "stopped", waitsForService, "maintenance", "throttled", "running", "idle"}

// waitsForService is the condition of what goes on by itself when its service, or the way to it, is there again.
const waitsForService = "waiting-for-service"

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

// cause is the first line of a text, of 300 characters at most.
func cause(text string) string {
	text, _, _ = strings.Cut(strings.TrimSpace(text), "\n")
	return shown.Within(text, 270) // which adds how much is left out
}

// RemoteStatus is a task, or a connector, of which no more is known than its state.
func RemoteStatus(task int, state State, worker, trace string) ComponentStatus {
	p := ComponentStatus{Task: task, WorkerID: worker, State: state, Condition: "running"}
	switch {
	case state == Failed:
		p.Condition, p.Cause = "failed", cause(trace)
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
		list = append(list, k.observe().condition())
	}
	return list
}

func (v *view) condition() Summary {
	c := Summary{Name: v.name, Type: v.current.kind(), Config: v.given,
		Class: shown.Line(v.strike(v.given.Text("connector.class")))}
	own := RemoteStatus(-1, v.state, v.o.WorkerID, "")
	own.Local, own.Since = v.share.Standalone || v.share.OwnsConnector, v.entered
	if refused := v.refused.Err(); refused != nil {
		own.Cause, own.Kind = cause(v.strike(refused.Error())), wit.ErrorConfig.String()
	}
	switch {
	case v.state == Failed && v.fault != nil:
		own.fails(v.fault, v.startsAt, v.strike)
	case v.target == Paused:
		own.Condition = "paused"
	case v.target == Stopped:
		own.Condition = "stopped"
	}
	c.Components = []ComponentStatus{own}
	for _, t := range v.tasks {
		now := t.now()
		p := ComponentStatus{Task: t.number, WorkerID: v.o.WorkerID, Local: true, State: t.state, Condition: "running",
			Since: t.times.entered, RowsPerSecond: now.Flow.Rows, Rejected: now.Failed}
		switch {
		case t.fault != nil:
			p.fails(t.fault, t.next, v.strike)
		case t.state == Running && v.client != nil:
			p.works(v.client, &now)
			p.Cause = cause(v.strike(p.Cause))
		}
		c.Components = append(c.Components, p)
	}
	return c
}

// works tells what a task that runs does.
func (p *ComponentStatus) works(client *transport.Client, now *Progress) {
	waits, away, until := client.Waits(), client.AwaySince(), client.Window()
	switch {
	case !away.IsZero() && !waits.Asked:
		p.Condition, p.Since, p.Kind = waitsForService, away, wit.ErrorTransient.String()
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

// fails tells why the part has failed; next is when it goes on by itself.
func (p *ComponentStatus) fails(fault error, next time.Time, strike func(string) string) {
	p.Condition, p.State, p.RestartsAt, p.Cause = "failed", Failed, next, cause(strike(fault.Error()))
	if !next.IsZero() {
		p.Condition = waitsForService
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
