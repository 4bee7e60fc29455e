// Package check examines connectors: every setting by its declaration and with the plugin itself, transforms,
// converters, Kafka clients, topics, the service, and what only one connector may have. [Checker] does so offline,
// without sending anything anywhere; [Tool] asks the service of a connector by commands of its plugin.
//
// Where to look: check.go for the order of it all, guest.go for calls of a connector's plugin, topics.go for topics
// that take no records or that no record reaches, claims.go, moved.go for a source that is to read elsewhere,
// notbuilt.go for roles that the host acts on, online.go for what a service is asked, validation.go for the answer of
// REST's validate, tool.go. What a class names, and what its declarations mean, is package components.
//
// Invariants: a check changes nothing and remembers nothing but what it planned ([Checker.WithConnectors] begins
// again). Whatever is wrong is a problem with file, line and setting, also where a plugin says so. Tasks go by the same
// functions as checks: a class, a claim or a topic that passed a check means the same to the task.
package check
