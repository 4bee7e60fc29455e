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

// event is what happens to a connector.
type event string

const (
	// What its tasks report.
	onStarted event = "started" // its tasks are made
	onFailed  event = "failed"  // it could not be started; it may try again by itself
	onOver    event = "over"    // all of its tasks have ended, and nobody asked them to

	// What is asked of it.
	onResume   event = "resume"
	onPause    event = "pause"
	onStop     event = "stop"
	onRestart  event = "restart"
	onShutdown event = "shutdown" // the worker stops, or the connector is removed
	onShared   event = "shared"   // the worker has another share of it, which its run cannot take

	// Nothing of it runs any more, as was asked for; which of these it is, is a matter of its target state.
	onFree    event = "free" // to run again
	onPaused  event = "paused"
	onStopped event = "stopped"
	onGone    event = "gone" // the worker stops, or the connector is removed
	onAway    event = "away" // the worker has no share of it
)

// action is what the loop of a connector does about an event.
type action uint8

const (
	nothing action = iota
	begin          // start its tasks; where some run, stop them first
	halt           // stop its tasks
)

// transition is what an event does in a state.
type transition struct {
	next State
	do   action
}

// transitions are all that can happen to a connector. Each state has an entry for each event, those included that come
// too late to matter: a test walks the table.
var transitions = map[State]map[event]transition{
	Unassigned: {
		onStarted: {Running, nothing}, onFailed: {Failed, nothing}, onOver: {Unassigned, nothing},
		onResume: {Unassigned, begin}, onPause: {Unassigned, halt}, onStop: {Unassigned, halt},
		onRestart: {Unassigned, begin}, onShutdown: {Unassigned, halt},
		onFree: {Unassigned, begin}, onPaused: {Paused, nothing}, onStopped: {Stopped, nothing},
		onGone:   {Unassigned, nothing},
		onShared: {Unassigned, halt}, onAway: {Unassigned, nothing},
	},
	Running: {
		// its tasks say how they ended
		onStarted: {Running, nothing}, onFailed: {Failed, nothing}, onOver: {Running, nothing},
		onResume: {Running, nothing}, onPause: {Running, halt}, onStop: {Running, halt},
		onRestart: {Restarting, begin}, onShutdown: {Running, halt},
		onFree: {Restarting, begin}, onPaused: {Paused, nothing}, onStopped: {Stopped, nothing},
		onGone:   {Unassigned, nothing},
		onShared: {Running, halt}, onAway: {Unassigned, nothing},
	},
	Paused: {
		onStarted: {Paused, nothing}, onFailed: {Paused, nothing}, onOver: {Paused, nothing},
		onResume: {Unassigned, begin}, onPause: {Paused, nothing}, onStop: {Paused, halt},
		onRestart: {Paused, nothing}, onShutdown: {Paused, halt},
		onFree: {Unassigned, begin}, onPaused: {Paused, nothing}, onStopped: {Stopped, nothing},
		onGone:   {Unassigned, nothing},
		onShared: {Paused, halt}, onAway: {Unassigned, nothing},
	},
	Stopped: {
		onStarted: {Stopped, nothing}, onFailed: {Stopped, nothing}, onOver: {Stopped, nothing},
		onResume: {Unassigned, begin}, onPause: {Stopped, halt}, onStop: {Stopped, nothing},
		onRestart: {Stopped, nothing}, onShutdown: {Stopped, halt},
		onFree: {Unassigned, begin}, onPaused: {Paused, nothing}, onStopped: {Stopped, nothing},
		onGone:   {Unassigned, nothing},
		onShared: {Stopped, halt}, onAway: {Unassigned, nothing},
	},
	Failed: {
		onStarted: {Running, nothing}, onFailed: {Failed, nothing}, onOver: {Failed, nothing},
		onResume: {Failed, nothing}, onPause: {Failed, halt}, onStop: {Failed, halt},
		onRestart: {Restarting, begin}, onShutdown: {Failed, halt},
		// its fault is the result of a run
		onFree: {Failed, begin}, onPaused: {Paused, nothing}, onStopped: {Stopped, nothing}, onGone: {Failed, nothing},
		onShared: {Failed, halt}, onAway: {Unassigned, nothing},
	},
	Restarting: {
		onStarted: {Running, nothing}, onFailed: {Failed, nothing}, onOver: {Unassigned, nothing},
		onResume: {Restarting, nothing}, onPause: {Restarting, halt}, onStop: {Restarting, halt},
		onRestart: {Restarting, begin}, onShutdown: {Restarting, halt},
		onFree: {Restarting, begin}, onPaused: {Paused, nothing}, onStopped: {Stopped, nothing},
		onGone:   {Unassigned, nothing},
		onShared: {Restarting, halt}, onAway: {Unassigned, nothing},
	},
}
