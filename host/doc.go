// Package host runs a worker: call [New], then [Host.Run]. It is the API for programs that embed culvert.
//
// [New] opens the parts of a worker in this order: the rejected logons, the lock of the data folder, the connectors
// stored there, the configuration, the group if there is one, REST's listeners, and the plugins. [Host.Run] then opens
// the tracer, the embedded broker, Kafka, the offsets and the group's topics, and creates the herder, which runs the
// connectors while a reloader watches their configurations. Parts are closed in the opposite order.
//
// The parts are packages below internal, which this package connects: setup, reload, group and restbackend.
//
// Invariants: nothing is sent before [Host.Run]. Errors and the log contain no secrets.
package host
