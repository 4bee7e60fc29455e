// Package connect runs connectors and their tasks: it starts and stops them, divides a connector's work among tasks,
// and reports their states. A failed task does not affect the others.
//
// A [Herder] has a controller for each connector, with its spec (desired state: configuration, target state,
// assignment) and status (observed state). Requests and reports of runs are events in the controller's queue. Its loop
// handles them by a table of transitions, starts and stops runs, and so reconciles the status with the spec. A
// connectorRun is a connector with one configuration, from the start of its tasks until the last of them has ended.
//
// Where to look:
//
//   - herder.go, options.go, standalone.go: the API. controller.go: the loop. state.go: spec, status, events.
//     transitions.go: the table. view.go: snapshots for everything that is shown; stateclock.go: time of tasks in
//     states.
//   - run.go: a run. plan.go, taskconfig.go: task configs. taskset.go: the tasks of a run. startretry.go: waiting after
//     a failed start. retire.go: cleanup of deleted connectors. claims.go: exclusive resources.
//   - task.go, restart.go: tasks. sourcetask.go, sinktask.go: their options. transforms.go, topic.go, tracking.go,
//     registries.go: their parts. exactlyonce.go, delivery.go: producers. idletracker.go: idle source tasks.
//   - endpoint.go, listener.go: notifications. lag.go: lag of sinks, end of --once.
//   - deadletters.go: what package deadletters uses of connectors, and their dead letters for REST.
//   - condition.go: the words for states. summary.go, activity.go, restinfo.go, trace.go, progress.go, metrics.go: what
//     is shown, history.go: of the last hour. Package events: what happened to a connector. offsets.go,
//     importoffsets.go: offsets.
//
// Invariants: only a controller's loop changes its state. At most one run of a connector is active, even if the
// connector is deleted and created again; the next run starts after the previous one has stored its offsets. Enqueuing
// never waits for the loop, and the loop never waits for a task. The target state survives restarts and new
// configurations. A rejected configuration leaves the previous one running.
//
// Locks: controller.mu guards the spec, the status, the task set and the queue. While it is held, nothing calls the
// group, Kafka, a service or a plugin, except that log and events are written and the locks of the plugin manager and
// of startCounter are taken. Herder.mu is taken before controller.mu.
package connect
