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
		list = append(list, k.condition())
	}
	return list
}

func (k *controller) condition() Condition {
	k.mu.Lock()
	life, before, asked, state, fault, entered := k.current, k.shown(), *k.asked, k.state, k.fault, k.entered
	k.mu.Unlock()
	strike := life.o.Worker.Strike
	c := Condition{Name: k.name, Type: life.kind(), Given: asked.given,
		Class: shown.Line(strike(asked.given.Text("connector.class")))}
	own := SaidPart(-1, state, life.o.WorkerID, "")
	own.Here, own.Since = asked.share.Whole || asked.share.Plans, entered
	if refused := asked.refused.Err(); refused != nil {
		own.Cause, own.Kind = cause(strike(refused.Error())), wit.FaultConfig.String()
	}
	switch {
	case state == Failed && fault != nil:
		life.mu.Lock()
		next := life.crew.startsAt
		life.mu.Unlock()
		own.fails(fault, next, strike)
	case asked.target == Paused:
		own.Word = "paused"
	case asked.target == Stopped:
		own.Word = "stopped"
	}
	if c.Parts = []Part{own}; state != Stopped {
		c.Parts = append(c.Parts, before.parts()...)
	}
	return c
}

// parts are the tasks.
func (c *connector) parts() (all []Part) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.tasks {
		now := t.now()
		p := Part{Task: t.number, WorkerID: c.o.WorkerID, Here: true, State: t.state, Word: "running",
			Since: c.owner.times.entered(t.number), Rows: now.Flow.Rows, Refused: now.Failed}
		switch {
		case t.fault != nil:
			p.fails(t.fault, t.next, c.o.Worker.Strike)
		case t.state == Running && c.to.client != nil:
			p.works(c.to.client, &now)
			p.Cause = cause(c.o.Worker.Strike(p.Cause))
		}
		all = append(all, p)
	}
	return all
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
