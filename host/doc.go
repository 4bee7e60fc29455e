// Package host runs a worker: host.New(ctx, config), then Run. It is the API for programs that embed culvert.
//
// [New] opens what a worker needs, in this order: the rejected logons, the lock of the data folder, the connectors that
// are stored there, the configuration, the group if the worker forms one, REST's listeners, and the plugins. [Host.Run]
// then opens the tracer, the embedded broker, Kafka, the offsets and the group's topics, and creates the herder, which
// runs the connectors while a reloader follows their configurations. What is opened is closed in the opposite order.
// [Offline], [Replay] and [Import] open a worker that runs no connectors.
//
// Each part is a package below internal: setup reads and opens, reload reconciles connectors with their configurations,
// group makes the worker a member of its group, restbackend is what REST reads and changes. This package only connects
// them.
//
// Invariants: nothing is sent before [Host.Run]. Errors and the log contain no secrets.
package host
