// Package resolved holds a connector's configuration with what it means. A [Resolver] looks its classes up once and
// interprets its settings by the declarations of the plugin; check, service, connect, reload and REST take the
// [Connector], not its text.
//
// Files: connector.go has [Connector], with the class of each plugin; find.go looks classes up; stage.go reads
// transforms and predicates; roles.go finds settings by their roles; view.go decides what a plugin may see; system.go
// has the system and its claims, topics.go what transforms do to topics, converters.go converters; diff.go
// compares running connectors with files.
//
// Invariants: a Connector never changes. A changed secret makes other values over the same shape
// ([Connector.Reread]), a changed set of plugins another Connector ([Connector.Current]). Answers of a service are
// never in it. A built-in component is found before one of the same alias in a plugin file, and no plugin file can turn
// its settings into passwords.
package resolved
