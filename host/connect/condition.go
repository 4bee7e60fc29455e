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

// Condition is what is known of a connector: first of itself, then of its tasks.
type Condition struct {
	Name, Type, Class string
	// Given is the configuration that counts.
	Given *config.Connector
	Parts []Part
}

// Part is what is known of a connector itself, with Task -1, or of a task.
type Part struct {
	Task     int
	WorkerID string
	// Here: this worker runs it, else it knows no more than the group's topics say.
	Here  bool
	State State
	// Word is one of [Conditions], Since is when the part came to it; zero: nobody knows. Next is when it is to go on
	// by itself, zero where no clock says that.
	Word        string
	Since, Next time.Time
	// Cause is a line of why, without secrets; Kind is that of the failure: a kind of [wit.Fault], or kafka, or "".
	Cause, Kind string
	// Rows that were delivered in a second, as the mean of the last minute; Refused are those that were refused and
	// tolerated since the task was made.
	Rows    float64
	Refused int64
}

// cause is the first line of a text, of 300 characters at most.
func cause(text string) string {
	text, _, _ = strings.Cut(strings.TrimSpace(text), "\n")
	return shown.Within(text, 270) // which adds how much is left out
}

// SaidPart is a task, or a connector, of which no more is known than its state.
func SaidPart(task int, state State, worker, trace string) Part {
	p := Part{Task: task, WorkerID: worker, State: state, Word: "running"}
	switch {
	case state == Failed:
		p.Word, p.Cause = "failed", cause(trace)
	case state == Unassigned && task >= 0:
		p.Cause = "no worker runs all of its tasks at the moment"
	case task < 0:
		p.Word = "idle" // its tasks say more
	}
	return p
}

// Conditions are those of all connectors, by name.
func (h *Herder) Conditions() (list []Condition) {
	for _, k := range h.all() {
		list = append(list, k.observe().condition())
	}
	return list
}

func (v *view) condition() Condition {
	c := Condition{Name: v.name, Type: v.current.kind(), Given: v.given,
		Class: shown.Line(v.strike(v.given.Text("connector.class")))}
	own := SaidPart(-1, v.state, v.o.WorkerID, "")
	own.Here, own.Since = v.share.Whole || v.share.Plans, v.entered
	if refused := v.refused.Err(); refused != nil {
		own.Cause, own.Kind = cause(v.strike(refused.Error())), wit.FaultConfig.String()
	}
	switch {
	case v.state == Failed && v.fault != nil:
		own.fails(v.fault, v.startsAt, v.strike)
	case v.target == Paused:
		own.Word = "paused"
	case v.target == Stopped:
		own.Word = "stopped"
	}
	c.Parts = []Part{own}
	for _, t := range v.tasks {
		now := t.now()
		p := Part{Task: t.number, WorkerID: v.o.WorkerID, Here: true, State: t.state, Word: "running",
			Since: t.times.entered, Rows: now.Flow.Rows, Refused: now.Failed}
		switch {
		case t.fault != nil:
			p.fails(t.fault, t.next, v.strike)
		case t.state == Running && v.client != nil:
			p.works(v.client, &now)
			p.Cause = cause(v.strike(p.Cause))
		}
		c.Parts = append(c.Parts, p)
	}
	return c
}

// works tells what a task that runs does.
func (p *Part) works(client *transport.Client, now *Progress) {
	waits, away, until := client.Waits(), client.AwaySince(), client.Window()
	switch {
	case !away.IsZero() && !waits.Asked:
		p.Word, p.Since, p.Kind = waitsForService, away, wit.FaultTransient.String()
		p.Cause = client.Origin() + " does not answer, or is not available"
	case !until.IsZero():
		p.Word, p.Since, p.Next, p.Cause = "maintenance", waits.Since, until, strings.Join(waits.Reasons, "; ")
	case len(waits.Reasons) > 0:
		p.Word, p.Since, p.Cause = "throttled", waits.Since, strings.Join(waits.Reasons, "; ")
	case now.CaughtUp:
		if p.Word = "idle"; now.Flow.Latest.After(p.Since) {
			p.Since = now.Flow.Latest
		}
	case time.Since(now.Flow.Latest) < time.Minute:
		p.Since = now.Flow.Since
	}
}

// fails tells why the part has failed; next is when it goes on by itself.
func (p *Part) fails(fault error, next time.Time, strike func(string) string) {
	p.Word, p.State, p.Next, p.Cause = "failed", Failed, next, cause(strike(fault.Error()))
	if !next.IsZero() {
		p.Word = waitsForService
	}
	var of *wit.Fault
	switch {
	case errors.As(fault, new(config.Problems)):
		p.Kind = wit.FaultConfig.String()
	case errors.As(fault, new(*security.Denied)):
		p.Kind = "kafka"
	case errors.As(fault, &of):
		p.Kind = of.Kind.String()
	}
}

// Urgency is the place of a word among [Conditions], after all of them for any other.
func Urgency(word string) int {
	if at := slices.Index(Conditions, word); at >= 0 {
		return at
	}
	return len(Conditions)
}
