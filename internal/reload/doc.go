// Package reload applies changes of stored configurations to the running connectors: a [Reloader] watches a
// [config.Store] (connector files, or the config topic of a group), checks what differs and lets the herder apply it. A
// [ChangeChecker] finds what only a change can break. Reloads and changes by REST hold one lock.
package reload
