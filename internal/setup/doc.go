// Package setup opens what a worker needs before it connects to Kafka: configuration, data folder, rejected logons,
// plugins, tracer and embedded broker. [Open] does so for commands that run no connectors, package host step by step.
//
// Invariants: nothing is sent to a service. The log and all errors are redacted once the configuration was read.
package setup
