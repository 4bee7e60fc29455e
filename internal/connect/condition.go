package connect

import (
	"slices"
	"time"

	core "github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/internal/transport/limits"
)

// Condition is the word for what a connector, a task or a feed is doing. All routes below /culvert, the commands, the
// console and the log use it; Kafka Connect's routes and metrics have a [State]. [evidence.condition] decides it.
type Condition string

// The conditions.
const (
	ConditionFailed     Condition = "failed"     // the connector, or a task that does not restart by itself, has failed
	ConditionUnknown    Condition = "unknown"    // the worker does not answer
	ConditionUnassigned Condition = "unassigned" // no worker runs the connector or task
	// ConditionAway means that the service or Kafka does not answer, or that a task waits for its automatic restart.
	ConditionAway     Condition = "away"
	ConditionRefusing Condition = "refusing" // a record was refused in the last 10 minutes
	ConditionStarting Condition = "starting" // no task has run since the start of the connector
	ConditionLoading  Condition = "loading"  // pages of a set have followed each other for at least 5 seconds
	ConditionWaiting  Condition = "waiting"  // a request waits for a maintenance window, a logon or a free connection
	ConditionRunning  Condition = "running"  // no other condition applies
	ConditionIdle     Condition = "idle"     // all feeds, or all partitions of a sink, are caught up
	ConditionPaused   Condition = "paused"   // the target state
	ConditionStopped  Condition = "stopped"  // the target state
)

// Conditions are sorted by urgency.
var Conditions = []Condition{ConditionFailed, ConditionUnknown, ConditionUnassigned, ConditionAway, ConditionRefusing,
	ConditionStarting, ConditionLoading, ConditionWaiting, ConditionRunning, ConditionIdle, ConditionPaused,
	ConditionStopped}

// Urgency returns the index of a condition in [Conditions]; unknown words come last.
func (c Condition) Urgency() int {
	if i := slices.Index(Conditions, c); i >= 0 {
		return i
	}
	return len(Conditions)
}

// Precedence is the urgency, but a target state precedes all except a failure. Of several conditions, the one with the
// least precedence is shown.
func (c Condition) Precedence() int {
	switch c {
	case ConditionFailed:
		return -2
	case ConditionPaused, ConditionStopped:
		return -1
	}
	return c.Urgency()
}

// LoadingTime is how long pages have followed each other before their set is loading.
const LoadingTime = 5 * time.Second

// evidence holds the observations from which a condition is derived.
type evidence struct {
	hasFailed    bool
	willRestart  bool  // the failed part restarts by itself
	target       State // only Paused and Stopped count
	state        State // only Unassigned counts
	isAway       bool
	lastRefused  time.Time // zero means that no record was refused
	hasStarted   bool
	readingSince time.Time // when the pages began that follow each other; zero means that no page is read
	waits        limits.Wait
	isCaughtUp   bool
}

func (e *evidence) condition(now time.Time) Condition {
	sinceRefused := now.Sub(e.lastRefused) // negative after the clock was set back
	switch {
	case e.hasFailed && !e.willRestart:
		return ConditionFailed
	case e.target == Paused:
		return ConditionPaused
	case e.target == Stopped:
		return ConditionStopped
	case e.state == Unassigned:
		return ConditionUnassigned
	case e.hasFailed, e.isAway:
		return ConditionAway
	case !e.lastRefused.IsZero() && sinceRefused >= 0 && sinceRefused < core.RefusingTime:
		return ConditionRefusing
	case !e.hasStarted:
		return ConditionStarting
	case !e.readingSince.IsZero() && now.Sub(e.readingSince) >= LoadingTime:
		return ConditionLoading
	case len(e.waits.Reasons) > 0 && !e.waits.ByRate: // a rate limit is a note of the task (taskStatus)
		return ConditionWaiting
	case e.isCaughtUp:
		return ConditionIdle
	}
	return ConditionRunning
}

// Action is a step that an operator can take, and that can succeed.
type Action struct {
	// Do is one of edit, logon (edit a refused secret, or try it again), resume, restart, letters, limit and log.
	Do string `json:"do"`
	// Setting is the setting to edit, or the one of the limit; "" for others. If the connector comes from a file, a
	// user edits it there: File and Line are its place. A zero Line means that the place in the file is unknown.
	Setting string `json:"setting,omitempty"`
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
}
