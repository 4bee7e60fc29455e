// Package setup opens what a worker needs before it reaches Kafka: it reads the configuration, locks the data folder,
// and opens rejected logons, plugins, the tracer and the embedded broker.
//
// [Read] reads the files of a [Config] into an [Installation]; [Installation.ReadSettings] parses the worker's settings
// and returns all of their problems at once; [Installation.OpenPlugins] opens the plugins and the checker. [Open] does
// the three for commands that run no connectors.
//
// Invariants: nothing is sent to a service. What is logged, and every error, is redacted once the configuration was
// read.
package setup
