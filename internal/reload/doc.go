// Package reload applies changes of stored configurations to the running connectors: a [Reloader] watches a
// [config.Store] (connector files, or the config topic of a group), checks changed connectors and passes each to the
// herder when it was checked. A [ChangeChecker] finds problems that only a change can cause.
//
// Invariants: reloads and changes by REST hold one lock, which a reload yields after each connector. A newer snapshot
// of the store ends a reload, and the next one begins with it. Connectors are removed after all checks.
package reload
