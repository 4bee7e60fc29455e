package connect

import "github.com/culvert-project/culvert/internal/config"

// State is the state of a connector or task, with Kafka Connect's names.
type State string

const (
	Unassigned State = "UNASSIGNED"
	Running    State = "RUNNING"
	Paused     State = "PAUSED"
	Stopped    State = "STOPPED" // Paused without tasks
	Failed     State = "FAILED"
	Restarting State = "RESTARTING"
)

// TargetState is the state that a user wants: Running, Paused or Stopped.
type TargetState = State

// ParseTarget returns the target state with a name in a store ([config.TargetStarted]). Other names mean running.
func ParseTarget(name string) TargetState {
	if name == config.TargetPaused || name == config.TargetStopped {
		return TargetState(name)
	}
	return Running
}

// StoredName returns the name of a target state in a store.
func (s State) StoredName() string {
	if s == Paused || s == Stopped {
		return string(s)
	}
	return config.TargetStarted
}

// eventKind names an event. Its text appears only in logs.
type eventKind string

const (
	evStarted    eventKind = "started" // the tasks were created
	evFailed     eventKind = "failed"  // the start failed and may be retried
	evTasksEnded eventKind = "over"    // all tasks have ended without a request

	evResume     eventKind = "resume"
	evPause      eventKind = "pause"
	evStop       eventKind = "stop"
	evRestart    eventKind = "restart"
	evShutdown   eventKind = "shutdown" // the worker stops, or the connector is deleted
	evReassigned eventKind = "shared"   // the run cannot apply the new assignment

	// The following mean that nothing of the connector runs anymore; see controller.idleEvent.
	evRunnable   eventKind = "free" // the connector must run
	evPaused     eventKind = "paused"
	evStopped    eventKind = "stopped"
	evTerminated eventKind = "gone" // the worker stops, or the connector was deleted
	evUnassigned eventKind = "away" // the worker has no part of the connector
)

type action uint8

const (
	doNothing action = iota
	doStart          // stop the tasks that run, then start the tasks
	doStop           // stop the tasks
)

type transition struct {
	next   State
	action action
}

// transitions has, by state and event, the next state and what to do.
var transitions = map[State]map[eventKind]transition{
	Unassigned: {
		evStarted: {Running, doNothing}, evFailed: {Failed, doNothing}, evTasksEnded: {Unassigned, doNothing},
		evResume: {Unassigned, doStart}, evPause: {Unassigned, doStop}, evStop: {Unassigned, doStop},
		evRestart: {Unassigned, doStart}, evShutdown: {Unassigned, doStop},
		evRunnable: {Unassigned, doStart}, evPaused: {Paused, doNothing}, evStopped: {Stopped, doNothing},
		evTerminated: {Unassigned, doNothing},
		evReassigned: {Unassigned, doStop}, evUnassigned: {Unassigned, doNothing},
	},
	Running: {
		evStarted: {Running, doNothing}, evFailed: {Failed, doNothing}, evTasksEnded: {Running, doNothing},
		evResume: {Running, doNothing}, evPause: {Running, doStop}, evStop: {Running, doStop},
		evRestart: {Restarting, doStart}, evShutdown: {Running, doStop},
		evRunnable: {Restarting, doStart}, evPaused: {Paused, doNothing}, evStopped: {Stopped, doNothing},
		evTerminated: {Unassigned, doNothing},
		evReassigned: {Running, doStop}, evUnassigned: {Unassigned, doNothing},
	},
	Paused: {
		evStarted: {Paused, doNothing}, evFailed: {Paused, doNothing}, evTasksEnded: {Paused, doNothing},
		evResume: {Unassigned, doStart}, evPause: {Paused, doNothing}, evStop: {Paused, doStop},
		evRestart: {Paused, doNothing}, evShutdown: {Paused, doStop},
		evRunnable: {Unassigned, doStart}, evPaused: {Paused, doNothing}, evStopped: {Stopped, doNothing},
		evTerminated: {Unassigned, doNothing},
		evReassigned: {Paused, doStop}, evUnassigned: {Unassigned, doNothing},
	},
	Stopped: {
		evStarted: {Stopped, doNothing}, evFailed: {Stopped, doNothing}, evTasksEnded: {Stopped, doNothing},
		evResume: {Unassigned, doStart}, evPause: {Stopped, doStop}, evStop: {Stopped, doNothing},
		evRestart: {Stopped, doNothing}, evShutdown: {Stopped, doStop},
		evRunnable: {Unassigned, doStart}, evPaused: {Paused, doNothing}, evStopped: {Stopped, doNothing},
		evTerminated: {Unassigned, doNothing},
		evReassigned: {Stopped, doStop}, evUnassigned: {Unassigned, doNothing},
	},
	Failed: {
		evStarted: {Running, doNothing}, evFailed: {Failed, doNothing}, evTasksEnded: {Failed, doNothing},
		evResume: {Failed, doNothing}, evPause: {Failed, doStop}, evStop: {Failed, doStop},
		evRestart: {Restarting, doStart}, evShutdown: {Failed, doStop},
		evRunnable: {Failed, doStart}, evPaused: {Paused, doNothing}, evStopped: {Stopped, doNothing},
		evTerminated: {Failed, doNothing},
		evReassigned: {Failed, doStop}, evUnassigned: {Unassigned, doNothing},
	},
	Restarting: {
		evStarted: {Running, doNothing}, evFailed: {Failed, doNothing}, evTasksEnded: {Unassigned, doNothing},
		evResume: {Restarting, doNothing}, evPause: {Restarting, doStop}, evStop: {Restarting, doStop},
		evRestart: {Restarting, doStart}, evShutdown: {Restarting, doStop},
		evRunnable: {Restarting, doStart}, evPaused: {Paused, doNothing}, evStopped: {Stopped, doNothing},
		evTerminated: {Unassigned, doNothing},
		evReassigned: {Restarting, doStop}, evUnassigned: {Unassigned, doNothing},
	},
}
