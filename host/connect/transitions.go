package connect

// State of a connector or of a task, under Kafka Connect's names.
type State string

const (
	// Unassigned: known, and nothing runs yet, or no longer.
	Unassigned State = "UNASSIGNED"
	// Running: its tasks are at work, or are being made.
	Running State = "RUNNING"
	// Paused: its tasks have stopped in good order; they go on when it is resumed.
	Paused State = "PAUSED"
	// Stopped is Paused without tasks: what they held is given free.
	Stopped State = "STOPPED"
	// Failed: its configuration is bad, or it ended by an error; tasks fail by themselves.
	Failed State = "FAILED"
	// Restarting: its tasks stop, and are made again as soon as the last of them has.
	Restarting State = "RESTARTING"
)

// TargetState is the state that the user wants a connector to have: Running, Paused or Stopped.
type TargetState = State

// eventKind is what happens to a connector.
type eventKind string

const (
	// What its tasks report.
	evStarted    eventKind = "started" // its tasks are made
	evFailed     eventKind = "failed"  // it could not be started; it may try again by itself
	evTasksEnded eventKind = "over"    // all of its tasks have ended, and nobody asked them to

	// What is asked of it.
	evResume     eventKind = "resume"
	evPause      eventKind = "pause"
	evStop       eventKind = "stop"
	evRestart    eventKind = "restart"
	evShutdown   eventKind = "shutdown" // the worker stops, or the connector is removed
	evReassigned eventKind = "shared"   // the worker has another share of it, which its run cannot take

	// Nothing of it runs any more, as was asked for; which of these it is, is a matter of its target state.
	evRunnable   eventKind = "free" // to run again
	evPaused     eventKind = "paused"
	evStopped    eventKind = "stopped"
	evTerminated eventKind = "gone" // the worker stops, or the connector is removed
	evUnassigned eventKind = "away" // the worker has no share of it
)

// action is what the loop of a connector does about an event.
type action uint8

const (
	doNothing action = iota
	doStart          // start its tasks; where some run, stop them first
	doStop           // stop its tasks
)

// transition is what an event does in a state.
type transition struct {
	next   State
	action action
}

// transitions are all that can happen to a connector. Each state has an entry for each event, those included that come
// too late to matter: a test walks the table.
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
		// its tasks say how they ended
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
		// its fault is the result of a run
		evRunnable: {Failed, doStart}, evPaused: {Paused, doNothing}, evStopped: {Stopped, doNothing}, evTerminated: {Failed, doNothing},
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
