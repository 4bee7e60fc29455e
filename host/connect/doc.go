// Package connect runs connectors and their tasks: it starts and stops them, shares a connector's work out among its
// tasks, and knows the state of each. A failed task leaves all others running. Package service opens what a connector
// talks to, and package check checks its settings.
//
// A [Herder] has a controller for each connector, with its spec (the desired state: configuration, target state, share
// of the tasks) and its status (the observed state). A controller is a loop that brings the status to the spec.
// Requests (pause, a new configuration) and reports of tasks are events in one queue, and a table defines the effect of
// each event in each state. A run is a connector with one configuration, from the start of its tasks until the last of
// them has ended; another configuration is another run.
//
// Where to look:
//
//   - herder.go: what others call. controller.go with transitions.go: spec, status, the loop and its table. view.go:
//     what is known of a connector at one moment, of which all is made that others see; times.go: for how long tasks
//     were in which state.
//   - connector.go: a run; plan.go: how its plugin shares the work out; taskset.go: its tasks, as they come and go;
//     waiting.go: what a connector that failed at its start waits for; retire.go: what one that is deleted or stopped
//     leaves at its service; claims.go: what one connector alone may have.
//   - task.go, source.go, sink.go: tasks, with chain.go (transforms), guest.go (what a plugin may see), topic.go
//     (topics for rows), exactly.go (transactional producers), notify.go (paths of notifications), front.go
//     (where notifications come in), registries.go (schema registries).
//   - ends.go: lag, and where a run with --once ends.
//   - deadletter.go, letter.go: settings and headers of dead letters; replay.go: dead letters that are sent once more;
//     dry.go: those that are refused once more, or would be; letterrecords.go: which records those of a sink are of;
//     heldkeys.go: which keys the tasks of a sink do not write meanwhile;
//     replayed.go: which were sent; letters.go: those of one connector, for REST.
//   - condition.go: a word for what each connector does, and why. origins.go: what is used of services.
//   - state.go, trace.go, tracking.go, figures.go, offsets.go, adopt.go: what REST shows, and the offsets that it
//     changes. classes.go: what connectors can name.
//
// Invariants: only a controller's loop changes its state. At most one run of a connector is active, even if the
// connector is deleted and created again; the next run begins when the offsets of the previous one are stored. Posting
// an event never waits for the loop, and the loop never waits for a task. A target state survives restarts and new
// configurations. A configuration that is rejected leaves the previous one running.
//
// Locks: controller.mu, one for each controller, guards its spec, its status with the states and the set of tasks, and
// the queue of events. While it is held, nothing calls the group, Kafka, a service or a plugin: code that shows a
// connector copies the state under the lock (see view) and asks tasks and clients afterwards; [Group].Changed is called
// after it is released. While it is held, the log is written, and two other locks are taken: the plugin manager's,
// which finds classes, and startup.mu. Herder.mu is taken before controller.mu.
package connect
