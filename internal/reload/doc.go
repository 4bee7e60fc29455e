// Package reload applies changes of stored configurations to the running connectors: a [Reloader] watches a
// [config.Store] (connector files, or the config topic of a group), checks changed connectors and passes them to the
// herder. A [ChangeChecker] finds problems that only a change can cause. Reloads and changes by REST hold one lock.
package reload
