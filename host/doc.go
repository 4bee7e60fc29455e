// Package host runs a worker: call [New], then [Host.Run]. It is the API for programs that embed culvert.
//
// [New] opens the data folder, the configuration, the group if there is one, REST's listeners and the plugins.
// [Host.Run] opens the tracer, the embedded broker, Kafka, the offsets and the group's topics, and creates the herder,
// which runs the connectors while a reloader watches their configurations. The parts are packages below internal:
// setup, reload, group and restbackend.
//
// Invariants: nothing is sent before [Host.Run]. Errors and the log contain no secrets. Parts are closed in reverse
// order.
package host
